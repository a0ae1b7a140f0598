//! A client process: reads its job, runs it, says what it measured.
//!
//! Next: `orchestrate/mod.rs`.

use std::{io, process::ExitCode};

use anyhow::{Context as _, bail};

use crate::{
    drivers::{Driver, Failure, floor, scylla::Scylla, shardwire::Shardwire},
    job::{Event, Job, Outcome, Runtime},
    measure::{Instrument, announce},
    run::run,
};

/// The whole of a client binary's `main`.
pub fn main(instrument: Instrument) -> ExitCode {
    match read_job().and_then(|job| do_job(job, instrument)) {
        Ok(outcome) => {
            announce(&Event::Result(Box::new(outcome)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            announce(&Event::Failed { message: format!("{error:#}") });
            ExitCode::FAILURE
        }
    }
}

/// Drivers that the Rust clients have built in.
pub const DRIVERS: [&str; 3] = ["shardwire", "scylla", "floor"];

fn read_job() -> Result<Job, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the job from standard input")?;
    serde_json::from_str(&line).context("standard input has no valid job on its first line")
}

fn do_job(job: Job, instrument: Instrument) -> Result<Outcome, Failure> {
    match job.driver.as_str() {
        "floor" => floor::run(&job, instrument)
            .map(|outcome| Outcome { protocol_version: Some(floor::PROTOCOL_VERSION), ..outcome }),
        "shardwire" => do_async::<Shardwire>(job, instrument),
        "scylla" => do_async::<Scylla>(job, instrument),
        other => bail!("unknown driver `{other}`; known are {}", DRIVERS.join(", ")),
    }
}

fn do_async<D: Driver>(job: Job, instrument: Instrument) -> Result<Outcome, Failure> {
    let runtime = match job.runtime {
        Runtime::CurrentThread => tokio::runtime::Builder::new_current_thread(),
        Runtime::MultiThread => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(usize::try_from(job.threads.max(1))?);
            builder
        }
    }
    .enable_all()
    .build()?;
    runtime.block_on(async {
        let driver = D::connect(&job).await?;
        announce(&Event::Connected);
        let protocol_version = Some(D::protocol_version(&job));
        let outcome = run(driver, job, instrument).await?;
        Ok(Outcome { protocol_version, ..outcome })
    })
}
