//! `shardwire-testing-clients`: runs well-known CQL clients, as they are published, against
//! embedded nodes that pass for ScyllaDB and for Apache Cassandra, and prints what works.
//!
//! A client's program (`python`, `gocql`, `java` beside this folder) is given a contact point, the
//! persona and the admin port, and prints a line per case; `cases.rs` says which. What a client
//! needs is fetched by its language's own tool into a cache, once.
//!
//! Reading order: `list.rs`, `cases.rs`, `known.rs`, `tools.rs`, `install.rs`, `nodes.rs`,
//! `run.rs`, `table.rs`.

#![forbid(unsafe_code)]

mod cases;
mod folder;
mod install;
mod known;
mod list;
mod nodes;
mod process;
mod run;
mod table;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use crate::list::{CLIENTS, Client, Persona};
use crate::run::Outcome;

/// Runs well-known CQL clients, unchanged, against the embedded node.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Clients, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_parser = parse_client)]
    clients: Vec<&'static Client>,
    /// Databases that the nodes pass for, separated by commas [default: both].
    #[arg(long, value_enum, value_delimiter = ',')]
    personas: Vec<Persona>,
}

fn parse_client(name: &str) -> Result<&'static Client> {
    match CLIENTS.iter().find(|client| client.name == name) {
        Some(client) => Ok(client),
        None => bail!("there are {}", CLIENTS.map(|client| client.name).join(", ")),
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    Passed,
    Failed,
    /// A client, or a program that it needs, can't be had: nothing is known of the node.
    Missing,
}

/// The exit code where a client can't be had.
const MISSING: u8 = 3;

fn main() -> ExitCode {
    match try_main(Options::parse()) {
        Ok(Ended::Passed) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::FAILURE,
        Ok(Ended::Missing) => MISSING.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_main(mut options: Options) -> Result<Ended> {
    if options.clients.is_empty() {
        options.clients = CLIENTS.iter().collect();
    }
    if options.personas.is_empty() {
        options.personas = Persona::ALL.to_vec();
    }
    // All that is missing is named before anything takes long.
    let missing: Vec<_> =
        options.clients.iter().filter_map(|client| tools::check(client)).collect();
    if !missing.is_empty() {
        let mut texts: Vec<_> = missing.iter().map(|error| format!("{error:#}")).collect();
        texts.dedup();
        eprintln!("error: {}", texts.join("\n"));
        return Ok(Ended::Missing);
    }
    let server = nodes::build()?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for client in &options.clients {
        let program = match install::install(client) {
            Ok(program) => program,
            Err(error) => {
                eprintln!("error: {}: {error:#}", client.name);
                return Ok(Ended::Missing);
            }
        };
        for persona in &options.personas {
            outcomes.push(run::run(client, *persona, &program, &server)?);
        }
    }
    print!("{}", table::text(&outcomes));
    let all_passed = outcomes.iter().all(|outcome| outcome.faults.is_empty());
    Ok(if all_passed { Ended::Passed } else { Ended::Failed })
}
