//! `shardwire-testing-chaos`: three nodes of Apache Cassandra that are killed, paused, restarted
//! and cut off from their clients, under load, with Shardwire and with the official crate.
//!
//! Clients write unique keys and read back what was acknowledged, at QUORUM of three replicas. Both
//! drivers run at once, on the same nodes: a fault meets both at the same instant, with the same
//! requests at the same instants. At the end every acknowledged write is read once more. What is
//! printed: per kind of fault, how long until clients had their first success after it; by how much
//! the drivers differ, fault by fault; what failed meanwhile; and whether anything was lost.
//!
//! Reading order: `script.rs`, `pace.rs`, `load.rs`, `tally.rs`, `clients/mod.rs`, `side.rs`,
//! `run.rs`, `pair.rs`, `report.rs`.

#![forbid(unsafe_code)]

mod beside;
mod chart;
mod clients;
mod fact;
mod load;
mod pace;
mod pair;
mod report;
mod run;
mod script;
mod side;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use shardwire_testing_cassandra::Version;

use crate::clients::Which;
use crate::report::{Gate, Report};
use crate::run::{Plan, run};
use crate::script::Fault;

/// Hurts the nodes of Apache Cassandra under load, and shows what clients notice.
#[derive(Debug, Parser)]
struct Options {
    /// Drivers, separated by commas; two run at once, on the same nodes.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "shardwire,scylla")]
    drivers: Vec<Which>,
    /// Runs them one after the other instead, each on nodes of its own; then what they took until
    /// the first success is shown and not judged.
    #[arg(long)]
    apart: bool,
    /// Time of a run, in seconds; the last round of faults is finished.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Clients of each driver.
    #[arg(long, default_value_t = 64)]
    concurrency: u32,
    /// Requests a second of each driver, all its clients together, as long as the nodes answer soon
    /// enough.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Which faults come when, and at which nodes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Kinds of faults, separated by commas, such as one that is to be looked at many times.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Fault::ALL)]
    faults: Vec<Fault>,
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
    let drivers = options.drivers.as_slice();
    ensure!(
        matches!(drivers, [_]) || matches!(drivers, [one, other] if one != other),
        "--drivers is not one driver, or two different ones"
    );
    ensure!(drivers.len() > 1 || !options.apart, "--apart is for two --drivers");
    let plan = Plan {
        version: options.version,
        duration: Duration::from_secs(options.seconds),
        concurrency: options.concurrency,
        rate: options.rate,
        seed: options.seed,
        faults: options.faults.clone(),
    };
    let report = if options.apart {
        let each: Result<Vec<_>> = drivers.chunks(1).map(|driver| run(driver, &plan)).collect();
        Report::apart(&plan, each?.into_iter().flatten().collect())
    } else {
        Report::at_once(&plan, run(drivers, &plan)?)
    };
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
