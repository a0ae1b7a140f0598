//! The results as table, JSON and CSV, beside the counts that were committed.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

/// Where the committed counts are.
const BASELINE: &str = "bench/baseline.csv";
/// First line of the committed counts and of `--csv`.
const CSV_HEAD: &str = "driver,workload,concurrency,instructions_per_request\n";

/// What a driver spends on a request of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) driver: String,
    pub(crate) workload: String,
    pub(crate) concurrency: u32,
    /// Requests of the shorter run.
    pub(crate) requests: u64,
    /// Instructions per request.
    pub(crate) per_request: f64,
    /// Instructions for connecting, preparing and warming up.
    pub(crate) start_up: f64,
}

/// The committed counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline(Vec<(String, String, u32, f64)>);

impl Baseline {
    /// Reads them; none at all if there is no file.
    pub(crate) fn read(repository: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(repository.join(BASELINE)) {
            Ok(text) => Self::parse(&text),
            Err(_) => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        for line in text.lines().skip(1).filter(|line| !line.starts_with('#')) {
            let cells: Vec<&str> = line.split(',').collect();
            let [driver, workload, concurrency, count] = cells[..] else {
                anyhow::bail!("{BASELINE} has a row with {} cells: {line}", cells.len());
            };
            let concurrency = concurrency.parse().with_context(|| line.to_owned())?;
            let count = count.parse().with_context(|| line.to_owned())?;
            rows.push((driver.to_owned(), workload.to_owned(), concurrency, count));
        }
        Ok(Self(rows))
    }

    fn of(&self, measured: &Measured) -> Option<f64> {
        let mut rows = self.0.iter();
        let found = rows.find(|(driver, workload, concurrency, _)| {
            *driver == measured.driver
                && *workload == measured.workload
                && *concurrency == measured.concurrency
        });
        found.map(|(_, _, _, count)| *count)
    }

    /// Change against the committed count, in per cent.
    fn change(&self, measured: &Measured) -> Option<f64> {
        self.of(measured).map(|count| 100.0 * (measured.per_request / count - 1.0))
    }
}

/// For people.
pub(crate) fn table(results: &[Measured], baseline: &Baseline, valgrind: &str) -> String {
    let mut text = format!(
        "Instructions per request, user mode, whole client process ({valgrind}, callgrind; one \
         shard,\ncurrent-thread runtime, canned node outside of valgrind; 2N requests less N)\n\n"
    );
    let _ = writeln!(
        text,
        "{:<11} {:<11} {:>5} {:>7} {:>12} {:>10} {:>9}",
        "workload", "driver", "C", "N", "instructions", "of scylla", "change"
    );
    for measured in results {
        let scylla = results.iter().find(|other| {
            other.driver == "scylla"
                && other.workload == measured.workload
                && other.concurrency == measured.concurrency
        });
        let ratio = scylla.map(|other| 100.0 * measured.per_request / other.per_request);
        let _ = writeln!(
            text,
            "{:<11} {:<11} {:>5} {:>7} {:>12.0} {:>10} {:>9}",
            measured.workload,
            measured.driver,
            measured.concurrency,
            measured.requests,
            measured.per_request,
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.1} %")),
            baseline.change(measured).map_or_else(String::new, |change| format!("{change:+.1} %")),
        );
    }
    text
}

/// For programs.
pub(crate) fn json(results: &[Measured], baseline: &Baseline, valgrind: &str) -> String {
    let rows: Vec<_> = results
        .iter()
        .map(|measured| {
            json!({
                "driver": measured.driver,
                "workload": measured.workload,
                "concurrency": measured.concurrency,
                "shards": 1,
                "runtime": "current-thread",
                "requests": measured.requests,
                "instructions_per_request": measured.per_request,
                "instructions_at_start": measured.start_up,
                "baseline_instructions_per_request": baseline.of(measured),
            })
        })
        .collect();
    let all = json!({ "tool": format!("{valgrind} callgrind"), "results": rows });
    format!("{all:#}\n")
}

/// For `bench/baseline.csv`.
pub(crate) fn csv(results: &[Measured]) -> String {
    let mut text = CSV_HEAD.to_owned();
    for measured in results {
        let _ = writeln!(
            text,
            "{},{},{},{:.0}",
            measured.driver, measured.workload, measured.concurrency, measured.per_request
        );
    }
    text
}

/// Those more than `percent` above the committed count.
pub(crate) fn above(results: &[Measured], baseline: &Baseline, percent: f64) -> Vec<String> {
    let is_above = |change: &f64| *change > percent;
    let above = results.iter().filter_map(|measured| {
        let change = baseline.change(measured).filter(is_above)?;
        Some(format!("{} {} {change:+.1} %", measured.driver, measured.workload))
    });
    above.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(per_request: f64) -> Measured {
        Measured {
            driver: "shardwire".to_owned(),
            workload: "insert".to_owned(),
            concurrency: 128,
            requests: 10,
            per_request,
            start_up: 5.0,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let baseline = Baseline::parse(&csv(&[measured(1000.0)])).unwrap();
        assert_eq!(baseline.of(&measured(1.0)), Some(1000.0));
        assert_eq!(above(&[measured(1019.0)], &baseline, 2.0), Vec::<String>::new());
        assert_eq!(above(&[measured(1021.0)], &baseline, 2.0), ["shardwire insert +2.1 %"]);
        assert!(table(&[measured(1021.0)], &baseline, "v").contains("+2.1 %"));
    }

    #[test]
    fn a_bad_baseline_is_an_error() {
        assert!(Baseline::parse("head\na,b,c\n").is_err());
        assert!(Baseline::parse("head\na,b,x,1\n").is_err());
    }
}
