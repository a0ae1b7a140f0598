//! The results as table, JSON and CSV, beside the counts that were committed.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;

use crate::setting::Setting;

/// Where the committed counts are.
const BASELINE: &str = "bench/baseline.csv";
/// First line of the committed counts and of `--csv`.
const CSV_HEAD: &str = "setting,driver,workload,concurrency,instructions_per_request";

/// What a driver spends on a request of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) setting: Setting,
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

impl Measured {
    /// What has to be equal for counts to be compared.
    fn case(&self) -> Case {
        Case {
            setting: self.setting,
            driver: self.driver.clone(),
            workload: self.workload.clone(),
            concurrency: self.concurrency,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Case {
    setting: Setting,
    driver: String,
    workload: String,
    concurrency: u32,
}

/// The committed counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline(Vec<(Case, f64)>);

impl Baseline {
    /// Reads them; none at all if there is no file.
    ///
    /// # Errors
    ///
    /// If the file can't be read, or has a line that is not a count.
    pub(crate) fn read(repository: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(repository.join(BASELINE)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).context(BASELINE),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines().zip(1..);
        match lines.next() {
            Some((CSV_HEAD, _)) => {}
            Some((head, _)) => bail!("{BASELINE} begins with `{head}`, not with `{CSV_HEAD}`"),
            None => bail!("{BASELINE} is empty"),
        }
        let mut rows: Vec<(Case, f64)> = Vec::new();
        for (line, number) in lines.filter(|(line, _)| !line.starts_with('#')) {
            let (case, count) =
                parse_row(line).with_context(|| format!("{BASELINE}, line {number}: {line}"))?;
            if rows.iter().any(|(known, _)| *known == case) {
                bail!("{BASELINE}, line {number}: {line}: counted in an earlier line already");
            }
            rows.push((case, count));
        }
        Ok(Self(rows))
    }

    fn of(&self, measured: &Measured) -> Option<f64> {
        let case = measured.case();
        self.0.iter().find(|(known, _)| *known == case).map(|(_, count)| *count)
    }

    /// Change against the committed count, in per cent.
    fn change(&self, measured: &Measured) -> Option<f64> {
        self.of(measured).map(|count| 100.0 * (measured.per_request / count - 1.0))
    }
}

fn parse_row(line: &str) -> anyhow::Result<(Case, f64)> {
    let cells: Vec<&str> = line.split(',').collect();
    let [setting, driver, workload, concurrency, count] = cells[..] else {
        bail!("{} cells where there should be 5", cells.len());
    };
    let case = Case {
        setting: Setting::of_name(setting)
            .with_context(|| format!("there is no setting `{setting}`"))?,
        driver: driver.to_owned(),
        workload: workload.to_owned(),
        concurrency: concurrency
            .parse()
            .with_context(|| format!("the concurrency `{concurrency}` is not a number"))?,
    };
    // What others are divided by.
    let count = count.parse().ok().filter(|count: &f64| count.is_finite() && *count > 0.0);
    Ok((case, count.context("the count is not a number above 0")?))
}

/// For people.
pub(crate) fn table(results: &[Measured], baseline: &Baseline, valgrind: &str) -> String {
    let mut text = format!(
        "Instructions per request, user mode, whole client process ({valgrind}, callgrind; one \
         shard\nper node, two where there are tablets; current-thread runtime, canned nodes \
         outside of\nvalgrind; 2N requests less N)\n\n"
    );
    let _ = writeln!(
        text,
        "{:<11} {:<11} {:<11} {:>5} {:>7} {:>12} {:>10} {:>9}",
        "setting", "workload", "driver", "C", "N", "instructions", "of scylla", "change"
    );
    for measured in results {
        let scylla = Case { driver: "scylla".to_owned(), ..measured.case() };
        let scylla = results.iter().find(|other| other.case() == scylla);
        let ratio = scylla.map(|other| 100.0 * measured.per_request / other.per_request);
        let _ = writeln!(
            text,
            "{:<11} {:<11} {:<11} {:>5} {:>7} {:>12.0} {:>10} {:>9}",
            measured.setting,
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
                "setting": measured.setting.name(),
                "nodes": measured.setting.nodes(),
                "replication_factor": measured.setting.nodes(),
                "protocol_version": measured.setting.protocol_version(),
                "driver": measured.driver,
                "workload": measured.workload,
                "concurrency": measured.concurrency,
                "shards": measured.setting.shards(),
                "tablets": measured.setting == Setting::Tablets,
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
    let mut text = format!("{CSV_HEAD}\n");
    for measured in results {
        let _ = writeln!(
            text,
            "{},{},{},{},{:.0}",
            measured.setting,
            measured.driver,
            measured.workload,
            measured.concurrency,
            measured.per_request
        );
    }
    text
}

/// Those more than `percent` above the committed count, and those without one.
pub(crate) fn failed(results: &[Measured], baseline: &Baseline, percent: f64) -> Vec<String> {
    let failed = results.iter().filter_map(|measured| {
        let why = match baseline.change(measured) {
            Some(change) if change <= percent => return None,
            Some(change) => format!("{change:+.1} %"),
            None => format!("has no count at concurrency {}", measured.concurrency),
        };
        Some(format!("{} {} {} {why}", measured.setting, measured.driver, measured.workload))
    });
    failed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(setting: Setting, per_request: f64) -> Measured {
        Measured {
            setting,
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
        let is = |per_request| measured(Setting::OneNode, per_request);
        let baseline = Baseline::parse(&csv(&[is(1000.0)])).unwrap();
        assert_eq!(baseline.of(&is(1.0)), Some(1000.0));
        assert_eq!(failed(&[is(1019.0)], &baseline, 2.0), Vec::<String>::new());
        assert_eq!(failed(&[is(1021.0)], &baseline, 2.0), ["one-node shardwire insert +2.1 %"]);
        assert!(table(&[is(1021.0)], &baseline, "v").contains("+2.1 %"));
    }

    #[test]
    fn like_is_compared_with_like() {
        let counts = [(Setting::OneNode, 1000.0), (Setting::ThreeNodes, 2000.0)];
        let counts = counts.map(|(setting, count)| measured(setting, count));
        let baseline = Baseline::parse(&csv(&counts)).unwrap();
        assert_eq!(baseline.of(&measured(Setting::ThreeNodes, 1.0)), Some(2000.0));
        assert_eq!(
            failed(&[measured(Setting::OneNodeV5, 1.0)], &baseline, 2.0),
            ["one-node-v5 shardwire insert has no count at concurrency 128"]
        );
        let scylla = Measured { driver: "scylla".to_owned(), ..measured(Setting::OneNode, 4000.0) };
        let table = table(&[&counts[..], &[scylla]].concat(), &baseline, "v");
        let share = |setting| {
            let line = table.lines().find(|line| line.starts_with(setting)).unwrap();
            line.contains("25.0 %")
        };
        assert!(share("one-node ") && !share("three-nodes "), "{table}");
        let json = json(&counts, &baseline, "v");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let row = &json["results"][1];
        assert_eq!((&row["setting"], &row["nodes"]), (&json!("three-nodes"), &json!(3)));
    }

    #[test]
    fn a_bad_baseline_is_an_error_that_names_the_line() {
        let row = "one-node,shardwire,insert,128,1419";
        assert!(Baseline::parse(&format!("{CSV_HEAD}\n# a remark\n{row}\n")).is_ok());
        for (text, expect) in [
            ("", "bench/baseline.csv is empty"),
            (
                "driver,workload,concurrency,instructions_per_request\n",
                "bench/baseline.csv begins with `driver,workload,",
            ),
            ("HEAD\n\n", "line 2: : 1 cells where there should be 5"),
            ("HEAD\nshardwire,insert,128,1419", "4 cells where there should be 5"),
            ("HEAD\n#\ntwo-nodes,a,b,1,1", "line 3: two-nodes,a,b,1,1: there is no setting"),
            ("HEAD\none-node,a,b,x,1", "the concurrency `x` is not a number"),
            ("HEAD\none-node,a,b,1,0", "the count is not a number above 0"),
            ("HEAD\none-node,a,b,1,NaN", "the count is not a number above 0"),
            ("HEAD\none-node,a,b,1,2\none-node,a,b,1,3", "counted in an earlier line already"),
        ] {
            let error = Baseline::parse(&text.replace("HEAD", CSV_HEAD)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
