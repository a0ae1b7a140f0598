//! Gathers what the runs measured and boils it down to a row per driver and case.
//!
//! The serialised form is `report.json`. Next: `../report/mod.rs`.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    ByRun,
    matrix::{Case, Pace},
    node::Cpus,
    options::{Options, Place},
    process::Measured,
    server::Server,
};
use crate::job::{Outcome, Quantiles};

/// A whole comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where and how it was made.
    pub environment: Environment,
    /// A row per driver and case.
    pub results: Vec<Row>,
    /// What was asked for and could not be measured, with the reason.
    pub left_out: Vec<String>,
    /// Runs that failed or gave a wrong answer, in words.
    pub failures: Vec<String>,
}

/// Where and how a comparison was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it, and are those of `report.json`")]
pub struct Environment {
    pub cpu: String,
    pub cpu_count: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    pub rustc: String,
    pub commit: String,
    pub version: String,
    pub command: String,
    pub node: String,
    pub server: Server,
    pub node_cpus: Vec<usize>,
    pub client_cpus: Vec<usize>,
    pub rows: String,
    pub repetitions: u32,
    pub seconds_per_run: f64,
    pub seconds_in_all: f64,
    pub drivers: BTreeMap<String, String>,
}

impl Environment {
    /// Puts together what is known.
    pub(super) fn new(
        machine: &shardwire_meter::Environment,
        options: &Options,
        cpus: &Cpus,
        drivers: BTreeMap<String, String>,
        server: Server,
        elapsed: Duration,
    ) -> Self {
        let rows = if options.measures_stored_rows() { "stored" } else { "canned" };
        let (node, node_cpus) = match options.place() {
            Place::Embedded => {
                (format!("embedded, {} node(s) in one process", options.nodes), cpus.node.clone())
            }
            Place::Cassandra => {
                (format!("Apache Cassandra, {} process(es)", options.nodes), cpus.server.clone())
            }
            Place::Existing => {
                let points = options.contact_points.join(", ");
                (format!("existing cluster at {points}"), Vec::new())
            }
        };
        Self {
            cpu: machine.cpu.clone(),
            cpu_count: machine.cpu_count,
            memory_bytes: machine.memory_bytes,
            kernel: machine.kernel.clone(),
            rustc: machine.rustc.to_owned(),
            commit: machine.commit.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            node,
            server,
            node_cpus,
            client_cpus: cpus.clients.clone(),
            rows: rows.to_owned(),
            repetitions: options.repetitions(),
            seconds_per_run: options.seconds(),
            seconds_in_all: round(elapsed.as_secs_f64(), 1),
            drivers,
        }
    }
}

/// What one driver did in one case: medians of its timed runs, and the exact counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it, and are those of `report.json`")]
pub struct Row {
    pub driver: String,
    pub workload: String,
    pub concurrency: u32,
    pub shards: u16,
    pub nodes: u16,
    pub compression: String,
    pub runtime: String,
    pub threads: u32,
    /// "closed" or "open".
    pub pacing: String,
    /// Requests per second that were due, in an open loop.
    pub rate: Option<f64>,
    /// "canned" or "stored".
    pub rows: String,
    /// Timed runs behind the medians.
    pub repetitions: u32,
    /// Of all measured stretches together, counted ones included.
    pub requests: u64,
    pub errors: u64,
    pub requests_per_second: Option<f64>,
    /// (Largest - smallest) / median over the repetitions.
    pub requests_per_second_spread: Option<f64>,
    pub cpu_us_per_request: Option<f64>,
    pub cpu_us_per_request_spread: Option<f64>,
    pub allocations_per_request: Option<f64>,
    pub reallocations_per_request: Option<f64>,
    pub frees_per_request: Option<f64>,
    pub bytes_per_request: Option<f64>,
    /// Requests over which the four above were counted.
    pub counted_requests: Option<u64>,
    pub latency_us: Option<Quantiles>,
    pub peak_rss_bytes: Option<u64>,
    pub wrong_shard_requests: Option<u64>,
    /// Share of one core that the node used in the timed runs.
    /// More than 1 of a real server that uses several.
    pub node_cpu_share: Option<f64>,
    /// Share of its threads' cores that the client used in the timed runs.
    pub client_cpu_share: Option<f64>,
    /// Whether the server set the pace, so that throughput says little of the driver; unknown of
    /// a cluster that was not started for the comparison.
    pub node_was_limit: Option<bool>,
    /// Whether every byte read was the right one, in a run of its own on stored rows.
    pub answers_checked: Option<bool>,
    /// Why there are no numbers.
    pub failure: Option<String>,
}

impl Row {
    /// The case in a few words, equal for all drivers.
    pub fn case(&self) -> String {
        let mut case = format!("{} C={}", self.workload, self.concurrency);
        if self.pacing == "open" {
            case = match self.rate {
                Some(rate) => format!("{} open loop, {:.0} k/s", self.workload, rate / 1000.0),
                None => format!("{} open loop", self.workload),
            };
        }
        if self.nodes > 1 {
            case.push_str(&format!(", {} nodes", self.nodes));
        }
        if self.shards != 1 {
            case.push_str(&format!(", {} shards", self.shards));
        }
        if self.compression != "none" {
            case.push_str(&format!(", {}", self.compression));
        }
        case
    }

    /// Allocations and reallocations together.
    pub fn heap_calls_per_request(&self) -> Option<f64> {
        Some(self.allocations_per_request? + self.reallocations_per_request?)
    }
}

/// Outcome of a run that checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// All answers were right.
    Right,
}

/// What the runs measured so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    timed: ByRun<Vec<Measured>>,
    rates: ByRun<f64>,
    counted: ByRun<Measured>,
    checked: ByRun<Verdict>,
    failed: ByRun<String>,
    /// Each driver's own words about its settings.
    pub(super) settings: BTreeMap<String, String>,
    /// The version of the protocol that each driver spoke.
    pub(super) protocol_versions: BTreeMap<String, u8>,
    /// Runs that failed, in words.
    pub(super) failures: Vec<String>,
}

impl Gathered {
    /// A timed run ended.
    pub(super) fn timed(
        &mut self,
        driver: &str,
        case: &Case,
        rate: Option<f64>,
        measured: Measured,
    ) {
        self.note(driver, case, &measured.outcome);
        if let Some(rate) = rate {
            self.rates.insert((driver.to_owned(), *case), rate);
        }
        self.timed.entry((driver.to_owned(), *case)).or_default().push(measured);
    }

    /// A counting run ended.
    pub(super) fn counted(&mut self, driver: &str, case: &Case, measured: Measured) {
        self.note(driver, case, &measured.outcome);
        self.counted.insert((driver.to_owned(), *case), measured);
    }

    /// A run that checks ended.
    pub(super) fn checked(&mut self, driver: &str, case: &Case, verdict: Verdict) {
        self.checked.insert((driver.to_owned(), *case), verdict);
    }

    /// A run failed.
    pub(super) fn fail(&mut self, driver: &str, case: &Case, why: String) {
        let failure = format!("{driver}, {case}: {why}");
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
        self.failed.entry((driver.to_owned(), *case)).or_insert(why);
    }

    /// The best median throughput of `driver` in closed loops that differ from `case` only in
    /// their concurrency.
    pub(super) fn best_rate(&self, driver: &str, case: &Case) -> Option<f64> {
        self.timed
            .iter()
            .filter(|((name, other), _)| {
                name == driver
                    && other.pace == Pace::Closed
                    && other.workload == case.workload
                    && other.shards == case.shards
                    && other.compression == case.compression
            })
            .filter_map(|(_, runs)| Some(median_and_spread(runs.iter().map(throughput))?.0))
            .max_by(f64::total_cmp)
    }

    /// A row per driver and case, in the order of `cases`.
    pub(super) fn rows(&self, options: &Options, cases: &[Case], server: &Server) -> Vec<Row> {
        let drivers = options.chosen_drivers();
        cases
            .iter()
            .flat_map(|case| drivers.iter().map(|driver| (driver.clone(), *case)))
            .filter_map(|run| self.row(options, &run, server))
            .collect()
    }

    fn note(&mut self, driver: &str, case: &Case, outcome: &Outcome) {
        self.settings.entry(driver.to_owned()).or_insert_with(|| outcome.settings.clone());
        if let Some(version) = outcome.protocol_version {
            self.protocol_versions.insert(driver.to_owned(), version);
        }
        if outcome.errors > 0 {
            let first = outcome.first_error.as_deref().unwrap_or("no reason given");
            self.fail(
                driver,
                case,
                format!("{} of {} requests failed: {first}", outcome.errors, outcome.requests),
            );
        }
    }

    fn row(&self, options: &Options, run: &(String, Case), server: &Server) -> Option<Row> {
        let (driver, case) = run;
        let timed = self.timed.get(run).map(Vec::as_slice).unwrap_or_default();
        let counted = self.counted.get(run);
        let check =
            super::matrix::to_check(&[*case]).first().map(|case| (driver.clone(), *case))?;
        let failure = self.failed.get(run).or_else(|| self.failed.get(&check));
        if timed.is_empty() && counted.is_none() && failure.is_none() {
            return None;
        }
        let outcomes = || timed.iter().chain(counted).map(|measured| &measured.outcome);
        let mut row = Row {
            driver: driver.clone(),
            workload: case.workload.name().to_owned(),
            concurrency: case.concurrency,
            shards: case.shards,
            nodes: u16::try_from(server.nodes).unwrap_or(u16::MAX),
            compression: case.compression.name().to_owned(),
            runtime: if driver == "floor" { "none" } else { options.runtime.name() }.to_owned(),
            threads: options.threads(),
            pacing: if case.pace == Pace::Closed { "closed" } else { "open" }.to_owned(),
            rate: self.rates.get(run).map(|&rate| round(rate, 0)),
            rows: if options.measures_stored_rows() { "stored" } else { "canned" }.to_owned(),
            repetitions: timed.len() as u32,
            requests: outcomes().map(|outcome| outcome.requests).sum(),
            errors: outcomes().map(|outcome| outcome.errors).sum(),
            answers_checked: match (options.no_check, self.checked.get(&check)) {
                (true, _) => None,
                (false, verdict) => Some(verdict == Some(&Verdict::Right)),
            },
            failure: failure.cloned(),
            ..Row::default()
        };
        row.add_timed(timed);
        row.node_was_limit = match (row.node_cpu_share, options.place()) {
            (Some(share), Place::Embedded) => Some(share >= NODE_BUSY_SHARE),
            (Some(share), _) => {
                let cpus = server.cpus.unwrap_or(1) as f64;
                let is_idle = row.client_cpu_share.is_some_and(|s| s < CLIENT_IDLE_SHARE);
                Some(share >= SERVER_BUSY_SHARE * cpus || (is_idle && row.pacing == "closed"))
            }
            (None, _) => None,
        };
        if let Some(counted) = counted {
            row.add_counted(counted);
        }
        let wrong: Option<Vec<_>> =
            timed.iter().map(|measured| measured.wrong_shard_requests).collect();
        row.wrong_shard_requests =
            wrong.filter(|runs| !runs.is_empty()).map(|runs| runs.iter().sum());
        Some(row)
    }
}

impl Row {
    fn add_timed(&mut self, runs: &[Measured]) {
        if let Some((median, spread)) = median_and_spread(runs.iter().map(throughput)) {
            self.requests_per_second = Some(round(median, 1));
            self.requests_per_second_spread = Some(round(spread, 4));
        }
        let cpu = runs
            .iter()
            .filter(|run| run.outcome.requests > 0)
            .map(|run| run.outcome.cpu_seconds * 1e6 / run.outcome.requests as f64);
        if let Some((median, spread)) = median_and_spread(cpu) {
            self.cpu_us_per_request = Some(round(median, 4));
            self.cpu_us_per_request_spread = Some(round(spread, 4));
        }
        let latency = |of: fn(&Quantiles) -> f64| {
            let values = runs.iter().filter_map(|run| run.outcome.latency_us.as_ref()).map(of);
            median_and_spread(values).map(|(median, _)| round(median, 2))
        };
        self.latency_us = (|| {
            Some(Quantiles {
                p50: latency(|quantiles| quantiles.p50)?,
                p90: latency(|quantiles| quantiles.p90)?,
                p99: latency(|quantiles| quantiles.p99)?,
                p999: latency(|quantiles| quantiles.p999)?,
                max: latency(|quantiles| quantiles.max)?,
            })
        })();
        let rss = runs.iter().filter_map(|run| run.outcome.peak_rss_bytes).map(|rss| rss as f64);
        self.peak_rss_bytes = median_and_spread(rss).map(|(median, _)| median as u64);
        let share = median_and_spread(runs.iter().filter_map(|run| run.node_cpu_share));
        self.node_cpu_share = share.map(|(median, _)| round(median, 3));
        let threads = f64::from(if self.driver == "floor" { 1 } else { self.threads.max(1) });
        let busy = runs.iter().filter(|run| run.outcome.seconds > 0.0);
        let busy = busy.map(|run| run.outcome.cpu_seconds / run.outcome.seconds / threads);
        self.client_cpu_share = median_and_spread(busy).map(|(median, _)| round(median, 3));
    }

    fn add_counted(&mut self, measured: &Measured) {
        let outcome = &measured.outcome;
        let (Some(heap), true) = (outcome.heap, outcome.requests > 0) else {
            return;
        };
        let per_request = |count: u64| Some(round(count as f64 / outcome.requests as f64, 6));
        self.allocations_per_request = per_request(heap.allocations);
        self.reallocations_per_request = per_request(heap.reallocations);
        self.frees_per_request = per_request(heap.frees);
        self.bytes_per_request = per_request(heap.bytes);
        self.counted_requests = Some(outcome.requests);
    }
}

fn throughput(measured: &Measured) -> f64 {
    let Outcome { requests, seconds, .. } = measured.outcome;
    if seconds > 0.0 { requests as f64 / seconds } else { 0.0 }
}

/// Median of `values`, and (largest - smallest) / median; of an even number the mean of the two
/// in the middle.
pub(super) fn median_and_spread(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (first, last) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    };
    let spread = if median == 0.0 { 0.0 } else { (last - first) / median };
    Some((median, spread))
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

/// From here on the node is called the limit: sampling at its ends leaves a few percent.
const NODE_BUSY_SHARE: f64 = 0.95;
/// The same of a real server, by its CPUs: its time is read in ticks, and it pauses to collect
/// garbage on one thread.
pub(crate) const SERVER_BUSY_SHARE: f64 = 0.9;
/// A client that uses less than this of its CPUs in a closed loop waits for the server.
pub(crate) const CLIENT_IDLE_SHARE: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        let check = |values: &[f64], expect| {
            assert_eq!(median_and_spread(values.iter().copied()), expect);
        };
        check(&[], None);
        check(&[5.0], Some((5.0, 0.0)));
        check(&[3.0, 1.0, 2.0], Some((2.0, 1.0)));
        check(&[4.0, 1.0, 3.0, 2.0], Some((2.5, 1.2)));
        check(&[0.0, 0.0], Some((0.0, 0.0)));
    }

    fn measured(requests: u64, p50: f64, share: f64) -> Measured {
        let latency = Quantiles { p50, ..Quantiles::default() };
        Measured {
            outcome: Outcome {
                requests,
                seconds: 2.0,
                cpu_seconds: 1.0,
                latency_us: Some(latency),
                peak_rss_bytes: Some(1000),
                ..Outcome::default()
            },
            node_cpu_share: Some(share),
            wrong_shard_requests: Some(1),
        }
    }

    #[test]
    fn rows_hold_the_medians() {
        let mut row = Row::default();
        row.add_timed(&[
            measured(100, 5.0, 0.5),
            measured(400, 3.0, 1.0),
            measured(200, 4.0, 0.97),
        ]);
        assert_eq!(row.requests_per_second, Some(100.0));
        assert_eq!(row.requests_per_second_spread, Some(1.5));
        assert_eq!(row.cpu_us_per_request, Some(5000.0));
        assert_eq!(row.latency_us.unwrap().p50, 4.0);
        assert_eq!(row.node_cpu_share, Some(0.97));
        assert_eq!(row.client_cpu_share, Some(0.5));
        assert_eq!(row.peak_rss_bytes, Some(1000));
    }

    #[test]
    fn the_limit_is_told_where_it_is_known() {
        use clap::Parser as _;

        use crate::{job::Compression, workload::Workload};
        let case = Case {
            workload: Workload::Insert,
            concurrency: 1,
            shards: 1,
            compression: Compression::None,
            pace: Pace::Closed,
        };
        let limit = |arguments: &[&str], cpus, node_cpu_share, cpu_seconds| {
            let options = Options::parse_from(["compare"].iter().chain(arguments));
            let mut gathered = Gathered::default();
            let mut run = measured(100, 1.0, 0.0);
            run.node_cpu_share = node_cpu_share;
            run.outcome.cpu_seconds = cpu_seconds;
            gathered.timed("scylla", &case, None, run);
            let server = Server { nodes: 3, cpus, ..Server::default() };
            let rows = gathered.rows(&options, &[case], &server);
            assert_eq!(rows[0].nodes, 3);
            rows[0].node_was_limit
        };
        let (busy, idle) = (2.0, 0.2); // of the two seconds of a run
        assert_eq!(limit(&[], Some(1), Some(0.96), busy), Some(true));
        assert_eq!(limit(&[], Some(1), Some(0.5), idle), Some(false));
        assert_eq!(limit(&["--cassandra"], Some(2), Some(1.9), busy), Some(true));
        assert_eq!(limit(&["--cassandra"], Some(2), Some(1.0), busy), Some(false));
        assert_eq!(limit(&["--cassandra"], Some(2), Some(1.0), idle), Some(true));
        assert_eq!(limit(&["--contact-points=a"], None, None, idle), None);
    }

    #[test]
    fn scyllas_best_rate_sets_the_open_loop() {
        use crate::{job::Compression, workload::Workload};
        let case = |concurrency, pace| Case {
            workload: Workload::Insert,
            concurrency,
            shards: 1,
            compression: Compression::None,
            pace,
        };
        let mut gathered = Gathered::default();
        for (concurrency, requests) in [(1, 100), (128, 900), (1024, 800)] {
            let run = measured(requests, 1.0, 0.1);
            gathered.timed("scylla", &case(concurrency, Pace::Closed), None, run);
        }
        gathered.timed("floor", &case(128, Pace::Closed), None, measured(9999, 1.0, 0.1));
        let open = case(1024, Pace::HalfOfScylla);
        assert_eq!(gathered.best_rate("scylla", &open), Some(450.0));
        assert_eq!(gathered.best_rate("gocql", &open), None);
    }
}
