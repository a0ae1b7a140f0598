//! `shardwire-testing-chaos`: three nodes of Apache Cassandra that are killed, paused, restarted
//! and cut off from their clients, under load, with Shardwire and with the official crate.
//!
//! Clients write unique keys and read back what was acknowledged, at QUORUM of three replicas. The
//! same seed gives each driver the same faults at the same nodes. At the end every acknowledged
//! write is read once more. What is printed: per kind of fault, how long until clients had their
//! first success after it; what failed meanwhile; and whether anything was lost.
//!
//! Reading order: `script.rs`, `load.rs`, `tally.rs`, `clients/mod.rs`, `run.rs`, `report.rs`.

#![forbid(unsafe_code)]

mod chart;
mod clients;
mod fact;
mod load;
mod report;
mod run;
mod script;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use shardwire_testing_cassandra::Version;

use crate::clients::{Official, Shardwire};
use crate::report::{Gate, Report};
use crate::run::{Plan, run};

/// Hurts the nodes of Apache Cassandra under load, and shows what clients notice.
#[derive(Debug, Parser)]
struct Options {
    /// Drivers, separated by commas; each gets a cluster and the whole script.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "shardwire,scylla")]
    drivers: Vec<Which>,
    /// Time of one driver's run, in seconds; the last round of faults is finished.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Requests in flight at once.
    #[arg(long, default_value_t = 64)]
    concurrency: u32,
    /// Requests a second, all clients together, as long as the nodes answer soon enough.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Which faults come when, and at which nodes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// 4.1 or 5.0.
    #[arg(long, default_value_t = Version::default())]
    version: Version,
    /// What ends the program with an error.
    #[arg(long, value_enum, default_value_t = Gate::All)]
    gate: Gate,
    /// Where the results go as JSON, besides the table.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the picture goes, as SVG.
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Which {
    Shardwire,
    /// The official crate.
    Scylla,
}

fn main() -> ExitCode {
    match try_main(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_main(options: &Options) -> Result<bool> {
    ensure!((1..=10_000).contains(&options.concurrency), "--concurrency is not 1 to 10000");
    ensure!((1..=1_000_000).contains(&options.rate), "--rate is not 1 to 1000000");
    ensure!((10..=86_400).contains(&options.seconds), "--seconds is not 10 to 86400");
    let plan = Plan {
        version: options.version,
        duration: Duration::from_secs(options.seconds),
        concurrency: options.concurrency,
        rate: options.rate,
        seed: options.seed,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut outcomes = Vec::new();
    for which in &options.drivers {
        outcomes.push(match which {
            Which::Shardwire => run::<Shardwire>(&runtime, &plan)?,
            Which::Scylla => run::<Official>(&runtime, &plan)?,
        });
    }
    let report = Report::new(&plan, outcomes);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("--json {}", path.display()))?;
    }
    if let Some(path) = &options.svg {
        let text = chart::draw(&report);
        std::fs::write(path, text).with_context(|| format!("--svg {}", path.display()))?;
    }
    print!("{}", report.text());
    let broken = report.broken(options.gate);
    for line in &broken {
        eprintln!("BROKEN: {line}");
    }
    Ok(broken.is_empty())
}
