//! The orchestrator: starts the node and the clients, one after the other, and gathers results.
//!
//! Read in the order `options.rs`, `matrix.rs`, `build.rs`, `node.rs`, `server.rs`, `embedded.rs`,
//! `setup.rs`, `process.rs`, `progress.rs`, `results.rs`; then `../report/mod.rs`.

mod build;
mod embedded;
mod matrix;
mod node;
pub mod options;
mod process;
mod progress;
pub mod results;
pub mod server;
mod setup;

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use shardwire_meter::Environment;

use self::{
    build::build_clients,
    matrix::{Case, Pace, cases},
    node::{Cpus, Node, Nodes},
    options::{Options, Place},
    process::{Client, Clients, Measured},
    progress::Progress,
    results::{Gathered, Report, Verdict},
    server::Server,
};
use crate::{
    drivers::Failure,
    job::{Compression, Job, Mode},
    report,
    workload::{PARTITIONS, WIDE_PARTITIONS_STORED, Workload, expected_checksum},
};

pub use embedded::run_node;
pub use setup::run_tables;

/// Does everything, and says whether all answers were right.
///
/// # Errors
///
/// What kept the comparison from being made; the message names the step.
pub fn compare(options: &Options) -> Result<bool, Failure> {
    let began = Instant::now();
    let binaries = build_clients(options)?;
    let cpus = Cpus::choose(options.threads());
    let clients = Clients::new(options, &binaries, &cpus)?;
    let cases = cases(options);
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot create {}", options.out.display()))?;
    let mut nodes = Nodes::new(options, &cpus);
    nodes.prepare_server()?;
    let session = Session {
        options,
        clients,
        nodes,
        progress: Progress::start(),
        plan: Plan::of(options),
        gathered: Gathered::default(),
        keys_used: 0,
    };
    let (gathered, timings, server) = session.run(&cases)?;
    let report = Report {
        environment: results::Environment::new(
            &Environment::of(Path::new(env!("CARGO_MANIFEST_DIR"))),
            options,
            &cpus,
            gathered.settings.clone(),
            Server { protocol_versions: gathered.protocol_versions.clone(), ..server.clone() },
            began.elapsed(),
        ),
        results: gathered.rows(options, &cases, &server),
        left_out: matrix::left_out(options),
        failures: gathered.failures.clone(),
    };
    print!("{}", report::terminal(&report));
    report::write(&report, &options.out)?;
    println!(
        "\n{} runs in {:.0} s. Report: {}",
        timings.runs,
        began.elapsed().as_secs_f64(),
        options.out.join("report.html").display()
    );
    for failure in &report.failures {
        eprintln!("FAILED: {failure}");
    }
    Ok(report.failures.is_empty())
}

/// How long and how many.
struct Plan {
    warm_up_seconds: f64,
    seconds: f64,
    count_requests: CountBudget,
    repetitions: u32,
}

/// Requests of counting runs; a quarter to a half as many come before as warm-up.
struct CountBudget {
    /// Small requests, many in flight.
    small: u64,
    /// Replies of many rows.
    large: u64,
    /// Few in flight: each waits for the node.
    lone: u64,
}

impl Plan {
    fn of(options: &Options) -> Self {
        let seconds = options.seconds();
        let count_requests = match (options.place(), options.quick) {
            (Place::Embedded, true) => CountBudget { small: 50_000, large: 10_000, lone: 5_000 },
            (Place::Embedded, false) => CountBudget { small: 200_000, large: 30_000, lone: 10_000 },
            // A real server on a small machine answers a few thousand in a second.
            (_, true) => CountBudget { small: 5_000, large: 2_000, lone: 500 },
            (_, false) => CountBudget { small: 20_000, large: 5_000, lone: 1_000 },
        };
        Self {
            warm_up_seconds: (seconds / 4.0).clamp(0.1, 2.0),
            seconds,
            count_requests,
            repetitions: options.repetitions(),
        }
    }

    fn count_mode(&self, case: &Case, heap_profile: Option<String>) -> Mode {
        let CountBudget { small, large, lone } = self.count_requests;
        let (mut requests, warm_up_share) = match case {
            Case { concurrency: ..16, .. } => (lone, 4),
            // Receive buffers take a while to find the size that suffices for ever.
            Case { workload, .. } if workload.reads_wide_rows() => (large, 2),
            Case { .. } => (small, 4),
        };
        // A profile with backtraces makes each allocation a hundred times dearer.
        if heap_profile.is_some() {
            requests /= 4;
        }
        let warm_up_requests = (requests / warm_up_share).max(u64::from(case.concurrency) * 16);
        Mode::Count { warm_up_requests, requests, heap_profile }
    }
}

struct Session<'run> {
    options: &'run Options,
    clients: Clients,
    nodes: Nodes<'run>,
    progress: Progress,
    plan: Plan,
    gathered: Gathered,
    keys_used: i64,
}

struct Timings {
    runs: u32,
}

impl Session<'_> {
    fn run(mut self, cases: &[Case]) -> Result<(Gathered, Timings, Server), Failure> {
        let drivers = self.clients.names();
        let closed: Vec<_> =
            cases.iter().copied().filter(|case| case.pace == Pace::Closed).collect();
        let open: Vec<_> = cases.iter().copied().filter(|case| case.pace != Pace::Closed).collect();
        let to_check = matrix::to_check(cases);
        let repetitions = self.plan.repetitions;
        let per_driver = to_check.len()
            + cases.len() * repetitions as usize
            + closed.len()
            + if self.options.dhat { closed.len() } else { 0 };
        self.progress.expect_runs(per_driver * drivers.len());

        if !self.options.no_check {
            for case in &to_check {
                self.for_each_driver(&drivers, 0, case, Self::check)?;
            }
        }
        for case in &closed {
            self.for_each_driver(&drivers, 1, case, Self::count)?;
        }
        for repetition in 0..repetitions {
            for (number, case) in closed.iter().enumerate() {
                self.for_each_driver(&drivers, repetition as usize + number, case, Self::time)?;
            }
        }
        for repetition in 0..repetitions {
            for case in &open {
                self.for_each_driver(&drivers, repetition as usize, case, Self::time)?;
            }
        }
        if self.options.dhat {
            for case in &closed {
                self.for_each_driver(&drivers, 0, case, Self::profile)?;
            }
        }
        let runs = self.progress.finish();
        Ok((self.gathered, Timings { runs }, self.nodes.server()))
    }

    /// One run of each driver; every other turn in the opposite order.
    fn for_each_driver(
        &mut self,
        drivers: &[String],
        turn: usize,
        case: &Case,
        work: fn(&mut Self, &str, &Case) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut order: Vec<_> = drivers.iter().collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for driver in order {
            if driver == "floor" && case.compression != Compression::None {
                self.progress.skip();
                continue;
            }
            if let Err(error) = work(self, driver, case) {
                self.gathered.fail(driver, case, format!("{error:#}"));
            }
            self.progress.done();
        }
        Ok(())
    }

    /// Writes and reads really stored rows and compares every byte.
    fn check(&mut self, driver: &str, case: &Case) -> Result<(), Failure> {
        self.progress.at("check", driver, case);
        let writes = matches!(case.workload, Workload::Insert | Workload::Batch10);
        let requests = check_requests(case.workload);
        let (first_key, keys) = if writes {
            // Fresh keys: what another run left behind must not pass for what this one wrote.
            (self.fresh_keys(requests), requests)
        } else if case.workload.reads_wide_rows() {
            (0, setup::WIDE_PARTITIONS_CHECKED)
        } else {
            (0, setup::POINTS_CHECKED)
        };
        let node = self.nodes.stored(case.shards)?;
        let mode = Mode::Check { requests };
        let job = self.job(driver, case, &node, mode, first_key, keys);
        let Measured { outcome, .. } = self.clients.run(driver, Client::Plain, &job, None)?;
        let expect =
            format!("{:016x}", expected_checksum(case.workload, first_key, keys, requests));
        if outcome.errors > 0 {
            let first = outcome.first_error.unwrap_or_default();
            bail!("{} of {} requests failed: {first}", outcome.errors, outcome.requests);
        }
        if outcome.checksum != expect {
            bail!("wrong answer: checksum {} instead of {expect}", outcome.checksum);
        }
        self.gathered.checked(driver, case, Verdict::Right);
        Ok(())
    }

    /// Counts allocations.
    fn count(&mut self, driver: &str, case: &Case) -> Result<(), Failure> {
        if !self.clients.can_count(driver) {
            return Ok(());
        }
        self.progress.at("count", driver, case);
        let node = self.nodes.measured(case.shards)?;
        let mode = self.plan.count_mode(case, None);
        let keys = self.keys(case.workload);
        let job = self.job(driver, case, &node, mode, 0, keys);
        let measured = self.clients.run(driver, Client::Counting, &job, Some(&node))?;
        self.gathered.counted(driver, case, measured);
        Ok(())
    }

    /// Measures time.
    fn time(&mut self, driver: &str, case: &Case) -> Result<(), Failure> {
        let rate = match case.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate),
            Pace::HalfOfScylla => match self.gathered.best_rate("scylla", case) {
                Some(best) => Some(best / 2.0),
                None => bail!("an open loop at half of scylla's maximum needs scylla; use --rate"),
            },
        };
        self.progress.at("time", driver, case);
        let node = self.nodes.measured(case.shards)?;
        let mode = Mode::Timed {
            warm_up_seconds: self.plan.warm_up_seconds,
            seconds: self.plan.seconds,
            rate,
        };
        let keys = self.keys(case.workload);
        let job = self.job(driver, case, &node, mode, 0, keys);
        let measured = self.clients.run(driver, Client::Plain, &job, Some(&node))?;
        self.gathered.timed(driver, case, rate, measured);
        Ok(())
    }

    /// Writes a heap profile.
    fn profile(&mut self, driver: &str, case: &Case) -> Result<(), Failure> {
        if !self.clients.can_count(driver) {
            return Ok(());
        }
        self.progress.at("dhat", driver, case);
        let node = self.nodes.measured(case.shards)?;
        let file = self.options.out.join(format!("dhat-{driver}-{}.json", case.slug()));
        let file = std::path::absolute(file)?.display().to_string();
        let mode = self.plan.count_mode(case, Some(file));
        let keys = self.keys(case.workload);
        let job = self.job(driver, case, &node, mode, 0, keys);
        self.clients.run(driver, Client::Dhat, &job, None)?;
        Ok(())
    }

    fn keys(&self, workload: Workload) -> u64 {
        if self.options.measures_stored_rows() && workload.reads_wide_rows() {
            WIDE_PARTITIONS_STORED
        } else {
            PARTITIONS
        }
    }

    /// Keys that no run of this process used, nor, very likely, of an earlier one on the same
    /// cluster.
    fn fresh_keys(&mut self, count: u64) -> i64 {
        if self.keys_used == 0 {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.keys_used = (since_epoch.as_secs() as i64) << 24;
        }
        let first = self.keys_used;
        self.keys_used += count as i64;
        first
    }

    fn job(
        &self,
        driver: &str,
        case: &Case,
        node: &Node,
        mode: Mode,
        first_key: i64,
        keys: u64,
    ) -> Job {
        Job {
            driver: driver.to_owned(),
            contact_points: node.contact_points.clone(),
            workload: case.workload,
            concurrency: case.concurrency,
            first_key,
            keys,
            mode,
            compression: case.compression,
            runtime: self.options.runtime,
            threads: self.options.threads(),
            shards: case.shards,
            protocol_version: self.options.protocol_version,
        }
    }
}

/// Requests of a run that checks; of the scan a multiple of a partition's pages.
fn check_requests(workload: Workload) -> u64 {
    match workload {
        Workload::Insert | Workload::Select1 | Workload::Mixed => 10_000,
        Workload::Select10 | Workload::Batch10 => 4_000,
        Workload::Select100 | Workload::Scan => 2_000,
    }
}

/// Longest time a client may stay silent beyond what its job takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Results by driver and case.
type ByRun<T> = HashMap<(String, Case), T>;
