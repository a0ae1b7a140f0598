//! What is printed, and what is asked of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::clients::{Client, REQUEST_TIMEOUT, Shardwire};
use crate::run::{NODE_COUNT, Outcome, Plan};
use crate::script::Fault;
use crate::tally::Noticed;

/// How much longer than its deadline a request may take.
const OVERTIME_MAX_MS: f64 = 250.0;

/// Of the fault-free rate, between faults.
const CALM_MIN: f64 = 0.95;

/// First successes that differ by less are alike: at the default rate a request begins every
/// millisecond, and what happens within a few of them is chance.
const ALIKE_MS: f64 = 10.0;

/// What ends the program with an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Gate {
    /// Of Shardwire: nothing lost, deadlines kept, the rate between faults, and the first success
    /// after each kind of fault no later than the official crate's, if that ran too.
    All,
    /// Only what no busy machine excuses: nothing lost, nothing wrong, no request that hangs.
    Safety,
}

/// All results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: String,
    concurrency: u32,
    rate: u32,
    seed: u64,
    request_timeout_ms: f64,
    pub(crate) outcomes: Vec<Outcome>,
}

/// What one kind of fault did to one driver.
struct Line {
    count: usize,
    first: Option<f64>,
    all: Option<f64>,
    failed: u64,
}

impl Report {
    pub(crate) fn new(plan: &Plan, outcomes: Vec<Outcome>) -> Report {
        Report {
            server: format!("Apache Cassandra {}, {NODE_COUNT} nodes", plan.version.release()),
            concurrency: plan.concurrency,
            rate: plan.rate,
            seed: plan.seed,
            request_timeout_ms: REQUEST_TIMEOUT.as_secs_f64() * 1e3,
            outcomes,
        }
    }

    /// Tables in Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}, replication factor 3, QUORUM; {} clients, {} requests/s, deadline {:.0} ms, \
             seed {}\n\n",
            self.server, self.concurrency, self.rate, self.request_timeout_ms, self.seed,
        );
        text += "| fault | driver | times | first success, ms | all clients, ms | failed |\n\
                 |---|---|---:|---:|---:|---:|\n";
        for fault in Fault::ALL {
            for outcome in &self.outcomes {
                let line = line(outcome, fault);
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} |",
                    fault.name(),
                    outcome.driver,
                    line.count,
                    shown(line.first),
                    shown(line.all),
                    line.failed,
                );
            }
        }
        text += "\n| | ";
        let row = |text: &mut String, name: &str, value: &dyn Fn(&Outcome) -> String| {
            let cells: Vec<_> = self.outcomes.iter().map(value).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        };
        let names: Vec<_> = self.outcomes.iter().map(|outcome| outcome.driver).collect();
        let _ = writeln!(text, "{} |", names.join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(names.len()));
        row(&mut text, "time, s", &|o| format!("{:.0}", o.seconds));
        row(&mut text, "requests", &|o| o.requests.to_string());
        row(&mut text, "of these failed", &|o| o.failed.to_string());
        row(&mut text, "longest request, ms", &|o| format!("{:.0}", o.rare.longest_ms));
        row(&mut text, "fault-free rate, /s", &|o| format!("{:.0}", o.fault_free_rate));
        row(&mut text, "lowest rate between faults", &|o| {
            calm(o).map_or("-".to_owned(), |part| format!("{:.1} %", part * 100.0))
        });
        row(&mut text, "acknowledged writes", &|o| o.found.acknowledged.to_string());
        row(&mut text, "of these lost", &|o| o.found.missing.to_string());
        row(&mut text, "of these with another value", &|o| o.found.wrong.to_string());
        row(&mut text, "checksum", &|o| {
            let is_same = o.found.checksum_written == o.found.checksum_read;
            if is_same { "the same" } else { "another" }.to_owned()
        });
        row(&mut text, "writes of unknown outcome", &|o| o.found.unknown.to_string());
        row(&mut text, "of these stored", &|o| o.found.unknown_stored.to_string());
        row(&mut text, "wrong reads during the run", &|o| o.rare.wrong_reads.len().to_string());
        for outcome in &self.outcomes {
            for (kind, count) in &outcome.rare.failures {
                let example = outcome.rare.examples.get(kind).map_or("", |text| text);
                let _ =
                    writeln!(text, "\n{}: {count} x {kind}, such as: {example}", outcome.driver);
            }
        }
        text
    }

    /// What does not hold, a line each.
    pub(crate) fn broken(&self, gate: Gate) -> Vec<String> {
        let mut broken = Vec::new();
        for outcome in self.outcomes.iter().filter(|o| o.driver == Shardwire::NAME) {
            safety(outcome, &mut broken);
            if gate == Gate::All {
                self.promises(outcome, &mut broken);
            }
        }
        broken
    }

    fn promises(&self, outcome: &Outcome, broken: &mut Vec<String>) {
        let longest_max = self.request_timeout_ms + OVERTIME_MAX_MS;
        if outcome.rare.longest_ms > longest_max {
            let longest = outcome.rare.longest_ms;
            broken.push(format!("a request took {longest:.0} ms, more than {longest_max:.0}"));
        }
        if let Some(part) = calm(outcome).filter(|part| *part < CALM_MIN) {
            broken.push(format!("{:.1} % of the fault-free rate between faults", part * 100.0));
        }
        for official in self.outcomes.iter().filter(|other| other.driver != outcome.driver) {
            for fault in Fault::ALL {
                let (ours, theirs) = (line(outcome, fault), line(official, fault));
                if let (Some(ours), Some(theirs)) = (ours.first, theirs.first)
                    && ours > theirs + ALIKE_MS
                {
                    broken.push(format!(
                        "{}: first success after {ours:.0} ms, {} after {theirs:.0}",
                        fault.name(),
                        official.driver,
                    ));
                }
            }
        }
    }
}

fn safety(outcome: &Outcome, broken: &mut Vec<String>) {
    let found = &outcome.found;
    let counts = BTreeMap::from([
        ("acknowledged writes lost", found.missing),
        ("acknowledged writes with another value", found.wrong),
        ("acknowledged writes that can't be read", found.unread),
        ("values that nobody wrote", found.unknown_wrong),
    ]);
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        broken.push(format!("{count} {what}"));
    }
    if let Some(text) = &found.unread_example {
        broken.push(format!("can't be read: {text}"));
    }
    if found.checksum_written != found.checksum_read {
        broken.push("the checksum is another".to_owned());
    }
    broken.extend(outcome.rare.wrong_reads.iter().take(3).cloned());
    if found.acknowledged == 0 {
        broken.push("nothing was written".to_owned());
    }
    for noticed in outcome.faults.iter().filter(|noticed| noticed.first_success_ms.is_none()) {
        broken.push(format!("no success after {} of node {}", noticed.fault.name(), noticed.node));
    }
}

/// The lowest rate between faults, as a part of the fault-free one.
fn calm(outcome: &Outcome) -> Option<f64> {
    let lowest = outcome.calm_rates.iter().copied().reduce(f64::min)?;
    Some(lowest / outcome.fault_free_rate)
}

fn line(outcome: &Outcome, fault: Fault) -> Line {
    let noticed: Vec<_> = outcome.faults.iter().filter(|n| n.fault == fault).collect();
    Line {
        count: noticed.len(),
        first: median(&noticed, |n| n.first_success_ms),
        all: median(&noticed, |n| n.all_clients_ms),
        failed: noticed.iter().map(|n| n.failed).sum(),
    }
}

/// Of those that came to it.
fn median(noticed: &[&Noticed], value: impl Fn(&Noticed) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<_> = noticed.iter().filter_map(|noticed| value(noticed)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(ms: Option<f64>) -> String {
    ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"))
}
