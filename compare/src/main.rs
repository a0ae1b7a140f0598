//! `cargo run --release -p shardwire-compare`: the whole comparison with one command.

use std::{env, process::ExitCode};

use shardwire_compare::orchestrate::{compare, options::Options, run_node, run_tables};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|first| first.to_str()) {
        // The node runs in a process of its own, from this same binary.
        Some("node") => return run_node(arguments),
        // For those who start clients themselves, as `bench/instructions` does.
        Some("tables") => return run_tables(arguments),
        _ => {}
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
