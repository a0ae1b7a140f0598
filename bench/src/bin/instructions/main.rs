//! Counts a client's instructions per request, under callgrind, against a node outside of it.
//!
//! One run makes N requests, another 2N; their difference over N is what a request costs, start-up
//! apart. Counted is the user mode of the whole client process: driver, runtime and harness. The
//! number hardly depends on the machine's load, so it shows changes that wall time hides; only how
//! the bytes of large replies are portioned differs. It is counted in several settings: one node,
//! one node in version 5 of the protocol, three nodes by the ring and by tablets.
//!
//! Reading order: this file, `setting.rs`, `programs.rs`, `node.rs`, `client.rs`, `report.rs`.

mod client;
mod node;
mod programs;
mod report;
mod setting;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use shardwire_bench::callgrind;

use crate::client::Counting;
use crate::node::Nodes;
use crate::programs::Programs;
use crate::report::{Baseline, Measured};
use crate::setting::Setting;

/// Instructions per request of a whole client process, counted by callgrind.
#[derive(Debug, Parser)]
struct Options {
    /// Drivers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "floor,shardwire,scylla")]
    drivers: Vec<String>,
    /// Workloads, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "insert,select-1,select-10,select-100,batch-10"
    )]
    workloads: Vec<String>,
    /// What the client talks to, separated by commas. A driver is left out where it can't take part
    /// [default: all; with --quick all for shardwire, the first for others]
    #[arg(long, value_delimiter = ',', value_enum)]
    settings: Vec<Setting>,
    /// Requests in flight, each by a task that is used again and again.
    #[arg(long, default_value_t = 128)]
    concurrency: u32,
    /// Requests of the shorter run; 0: as many as the workload needs, 5,000 to 20,000.
    #[arg(long, default_value_t = 0)]
    requests: u64,
    /// Only inserts, few requests, and other drivers than shardwire at one node only.
    #[arg(long)]
    quick: bool,
    /// Where the results go as JSON, besides the table.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fails if a count is more than so many per cent above that of `bench/baseline.csv`, or has
    /// none there.
    #[arg(long)]
    gate: Option<f64>,
    /// Where callgrind's profiles are kept, for `callgrind_annotate`; by default they are not.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// Prints, for each measurement, so many functions that take most of a request.
    #[arg(long, default_value_t = 0)]
    functions: usize,
    /// Prints rows for `bench/baseline.csv` instead of the table.
    #[arg(long)]
    csv: bool,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.workloads = vec!["insert".to_owned()];
        options.requests = 1_000;
    }
    if !Setting::value_variants().iter().any(|setting| !options.drivers_in(*setting).is_empty()) {
        bail!("none of the drivers can take part in any of the settings");
    }
    let valgrind = callgrind::version()?;
    let programs = Programs::build()?;
    let baseline = Baseline::read(&programs.repository)?;
    let mut results = Vec::new();
    for setting in Setting::value_variants() {
        results.extend(measure_all(&options, &programs, *setting)?);
    }
    if options.csv {
        print!("{}", report::csv(&results));
    } else {
        print!("{}", report::table(&results, &baseline, &valgrind));
    }
    if let Some(path) = &options.json {
        let text = report::json(&results, &baseline, &valgrind);
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let failed = options.gate.map(|percent| report::failed(&results, &baseline, percent));
    if let Some(failed) = failed.filter(|failed| !failed.is_empty()) {
        bail!("not within what bench/baseline.csv allows: {}", failed.join(", "));
    }
    Ok(())
}

impl Options {
    /// The drivers that are counted in `setting`.
    fn drivers_in(&self, setting: Setting) -> Vec<&str> {
        let drivers = self.drivers.iter().map(String::as_str);
        drivers.filter(|driver| self.is_counted(driver, setting)).collect()
    }

    fn is_counted(&self, driver: &str, setting: Setting) -> bool {
        let is_wanted = if !self.settings.is_empty() {
            self.settings.contains(&setting)
        } else {
            !self.quick || driver == "shardwire" || setting == Setting::OneNode
        };
        is_wanted && setting.suits(driver)
    }
}

/// Everything that is counted in one setting.
fn measure_all(
    options: &Options,
    programs: &Programs,
    setting: Setting,
) -> anyhow::Result<Vec<Measured>> {
    let drivers = options.drivers_in(setting);
    if drivers.is_empty() {
        return Ok(Vec::new());
    }
    let nodes = Nodes::start(programs, setting)?;
    programs.create_tables(&nodes, setting)?;
    let mut results = Vec::new();
    for workload in &options.workloads {
        for driver in &drivers {
            let counting = Counting {
                setting,
                driver,
                workload,
                concurrency: options.concurrency,
                requests: match options.requests {
                    0 => client::requests_for(workload),
                    requests => requests,
                },
            };
            let measured = measure(options, programs, &nodes, counting)
                .with_context(|| format!("{setting}, {driver}, {workload}"))?;
            let count = measured.per_request.round();
            eprintln!("{setting:<11} {driver:>10} {workload:<10} {count:>9}");
            results.push(measured);
        }
    }
    Ok(results)
}

fn measure(
    options: &Options,
    programs: &Programs,
    nodes: &Nodes,
    counting: Counting<'_>,
) -> anyhow::Result<Measured> {
    let requests = counting.requests;
    let short = counting.run(programs, nodes, options.profiles.as_deref())?;
    let twice = Counting { requests: 2 * requests, ..counting };
    let long = twice.run(programs, nodes, options.profiles.as_deref())?;
    for (instructions, name) in short.per_unit(&long, requests).iter().take(options.functions) {
        eprintln!("{instructions:>10.1} {name}");
    }
    let (short, long) = (short.total as f64, long.total as f64);
    Ok(Measured {
        setting: counting.setting,
        driver: counting.driver.to_owned(),
        workload: counting.workload.to_owned(),
        concurrency: counting.concurrency,
        requests,
        per_request: (long - short) / requests as f64,
        start_up: short - (long - short),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: [&[&str]; 4]) {
        let options = Options::parse_from([&["instructions"], arguments].concat());
        let counted = Setting::value_variants().iter().map(|setting| options.drivers_in(*setting));
        assert_eq!(counted.collect::<Vec<_>>(), expect, "{arguments:?}");
    }

    #[test]
    fn drivers_are_counted_in_the_settings_asked_for() {
        let all: &[&str] = &["floor", "shardwire", "scylla"];
        let (ours, both): (&[&str], &[&str]) = (&["shardwire"], &["shardwire", "scylla"]);
        check(&[], [all, ours, both, both]);
        check(&["--quick"], [all, ours, ours, ours]);
        check(&["--quick", "--settings", "three-nodes"], [&[], &[], both, &[]]);
        check(&["--drivers", "scylla", "--settings", "one-node-v5"], [&[], &[], &[], &[]]);
    }
}
