//! `cargo run --release -p shardwire-compare`: the whole comparison with one command.

use std::{env, process::ExitCode};

use shardwire_compare::orchestrate::{compare, options::Options, run_node};

fn main() -> ExitCode {
    // The node runs in a process of its own, from this same binary.
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "node") {
        return run_node(arguments);
    }
    match compare(&Options::parse_or_exit()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
