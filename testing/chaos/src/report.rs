//! What is printed, and what is asked of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::clients::{Client, REQUEST_TIMEOUT, Shardwire};
use crate::pair::{Differences, Paired, Verdict, compare, median};
use crate::run::{NODE_COUNT, Outcome, Plan};
use crate::script::Fault;
use crate::tally::{Noticed, rate};

/// How much longer than its deadline a request may take.
const OVERTIME_MAX_MS: f64 = 250.0;

/// Of the fault-free rate, between faults.
const CALM_MIN: f64 = 0.95;

/// What ends the program with an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Gate {
    /// Of Shardwire: nothing lost, deadlines kept, the rate between faults, and the first success
    /// after each kind of fault no later than the official crate's, if that ran at once.
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
    /// By kinds of faults; nothing if no two drivers ran at once.
    paired: Vec<Paired>,
}

/// What one kind of fault did to one driver.
struct Line {
    count: usize,
    first: Option<f64>,
    all: Option<f64>,
    /// Successes a second from a fault until all nodes are ready again, the wave's included, as a
    /// part of the fault-free rate.
    meanwhile: Option<f64>,
    failed: u64,
}

impl Report {
    /// Of drivers that ran at once, or of one.
    pub(crate) fn at_once(plan: &Plan, outcomes: Vec<Outcome>) -> Report {
        let (ours, others): (Vec<_>, Vec<_>) = outcomes.iter().partition(|o| is_ours(o));
        let paired = match (ours.as_slice(), others.as_slice()) {
            ([ours], [theirs]) => compare(ours, theirs),
            _ => Vec::new(),
        };
        Report { paired, ..Report::apart(plan, outcomes) }
    }

    /// Of drivers that ran one after the other.
    pub(crate) fn apart(plan: &Plan, outcomes: Vec<Outcome>) -> Report {
        Report {
            server: format!("Apache Cassandra {}, {NODE_COUNT} nodes", plan.version.release()),
            concurrency: plan.concurrency,
            rate: plan.rate,
            seed: plan.seed,
            request_timeout_ms: REQUEST_TIMEOUT.as_secs_f64() * 1e3,
            outcomes,
            paired: Vec::new(),
        }
    }

    /// Tables in Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}, replication factor 3, QUORUM; {} clients and {} requests/s of each driver, \
             deadline {:.0} ms, seed {}\n\n",
            self.server, self.concurrency, self.rate, self.request_timeout_ms, self.seed,
        );
        text += "| fault | driver | times | first success, ms | all clients, ms \
                 | rate meanwhile | failed |\n|---|---|---:|---:|---:|---:|---:|\n";
        for fault in Fault::ALL {
            for outcome in &self.outcomes {
                let line = line(outcome, fault);
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    fault.name(),
                    outcome.driver,
                    line.count,
                    shown(line.first, 2),
                    shown(line.all, 1),
                    percent(line.meanwhile),
                    line.failed,
                );
            }
        }
        self.add_paired(&mut text);
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
        row(&mut text, "lowest rate between faults", &|o| percent(calm(o)));
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

    /// What a fault did to ours less what it did to theirs: below 0 where ours was better.
    fn add_paired(&self, text: &mut String) {
        if self.paired.is_empty() {
            return;
        }
        *text += "\n| fault | ours less theirs | pairs | median | smallest | largest | below 0 \
                  | above 0 | first success |\n|---|---|---:|---:|---:|---:|---:|---:|---|\n";
        for Paired { fault, first, all, failed, verdict } in &self.paired {
            let mut row = |of: &str, differences: &Differences, digits, verdict: &str| {
                let Differences { pairs, less, more, median, smallest, largest } = differences;
                let [median, smallest, largest] = [median, smallest, largest].map(|value| {
                    value.map_or("-".to_owned(), |value| format!("{value:+.digits$}"))
                });
                let _ = writeln!(
                    text,
                    "| {} | {of} | {pairs} | {median} | {smallest} | {largest} | {less} | {more} \
                     | {verdict} |",
                    fault.name(),
                );
            };
            row("first success, ms", first, 2, &verdict.text());
            row("all clients, ms", all, 1, "");
            row("failed", failed, 0, "");
        }
    }

    /// What does not hold, a line each.
    pub(crate) fn broken(&self, gate: Gate) -> Vec<String> {
        let mut broken = Vec::new();
        for outcome in self.outcomes.iter().filter(|o| is_ours(o)) {
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
        for paired in &self.paired {
            if let Verdict::Later(_) = paired.verdict {
                let Differences { pairs, more, .. } = paired.first;
                let (fault, verdict) = (paired.fault.name(), paired.verdict.text());
                broken.push(format!("{fault}: first success {verdict}, {more} times of {pairs}"));
            }
        }
    }
}

fn is_ours(outcome: &Outcome) -> bool {
    outcome.driver == Shardwire::NAME
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
    // Of those that came to it.
    let of = |value: fn(&Noticed) -> Option<f64>| {
        median(noticed.iter().filter_map(|noticed| value(noticed)).collect())
    };
    let meanwhile = |noticed: &Noticed| {
        let [from, to] = [noticed.at_seconds, noticed.healed_seconds?].map(Duration::from_secs_f64);
        Some(rate(&outcome.spans, from, to)? / outcome.fault_free_rate)
    };
    Line {
        count: noticed.len(),
        meanwhile: median(noticed.iter().filter_map(|noticed| meanwhile(noticed)).collect()),
        first: of(|noticed| noticed.first_success_ms),
        all: of(|noticed| noticed.all_clients_ms),
        failed: noticed.iter().map(|n| n.failed).sum(),
    }
}

fn percent(part: Option<f64>) -> String {
    part.map_or("-".to_owned(), |part| format!("{:.1} %", part * 100.0))
}

fn shown(ms: Option<f64>, digits: usize) -> String {
    ms.map_or("-".to_owned(), |ms| format!("{ms:.digits$}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use shardwire_testing_cassandra::Version;

    use super::*;
    use crate::load::Found;
    use crate::tally::{Slow, Tally};

    fn plan() -> Plan {
        Plan {
            version: Version::default(),
            duration: Duration::from_secs(60),
            concurrency: 64,
            rate: 200,
            seed: 1,
            faults: Fault::ALL.to_vec(),
        }
    }

    /// Eight kills and pauses, with the milliseconds to the first success of each.
    fn outcome(driver: &'static str, kills: [f64; 8], pauses: [f64; 8]) -> Outcome {
        let tally = Tally::new(64, Instant::now());
        for fault in [[Fault::Kill; 8], [Fault::Pause; 8]].concat() {
            tally.fault(fault, 0, Instant::now());
        }
        let mut faults = tally.noticed();
        for (noticed, ms) in faults.iter_mut().zip(kills.into_iter().chain(pauses)) {
            noticed.first_success_ms = Some(ms);
            noticed.all_clients_ms = Some(ms + 200.0);
            (noticed.at_seconds, noticed.healed_seconds) = (10.0, Some(14.0));
        }
        Outcome {
            driver,
            seconds: 60.0,
            requests: 12_000,
            failed: 0,
            fault_free_rate: 250.0,
            calm_rates: vec![249.0; 16],
            faults,
            rare: Slow::default(),
            found: Found { acknowledged: 6_000, ..Found::default() },
            spans: vec![(20, 0); 600],
        }
    }

    fn both() -> Vec<Outcome> {
        let ours = [1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        vec![outcome("scylla", [1.5; 8], [1.0; 8]), outcome("shardwire", ours, [1.25; 8])]
    }

    #[test]
    fn pairs_are_shown_and_judged() {
        let report = Report::at_once(&plan(), both());
        let text = report.text();
        for line in [
            "| kill -9 | shardwire | 8 | 1.00 | 201.0 | 80.0 % | 0 |",
            "| kill -9 | scylla | 8 | 1.50 | 201.5 | 80.0 % | 0 |",
            "| kill -9 | first success, ms | 8 | -0.50 | -0.50 | +7.50 | 7 | 1 \
             | no later, by the medians |",
            "| kill -9 | failed | 8 | +0 | +0 | +0 | 0 | 0 |  |",
            "| SIGSTOP | first success, ms | 8 | +0.25 | +0.25 | +0.25 | 0 | 8 \
             | later (p = 0.0039) |",
            "| SIGSTOP | all clients, ms | 8 | +0.2 | +0.2 | +0.2 | 0 | 8 |  |",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
        assert!(!text.contains("| restart | first"), "none came");
        let broken = report.broken(Gate::All);
        assert_eq!(broken, ["SIGSTOP: first success later (p = 0.0039), 8 times of 8"]);
        assert!(report.broken(Gate::Safety).is_empty());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["paired"][0]["verdict"], "no later, by the medians");
        assert_eq!(json["paired"][1]["first"]["more"], 8);
    }

    #[test]
    fn what_did_not_run_at_once_is_not_judged() {
        for report in
            [Report::apart(&plan(), both()), Report::at_once(&plan(), both().split_off(1))]
        {
            assert!(!report.text().contains("ours less theirs"));
            assert!(report.broken(Gate::All).is_empty());
        }
    }

    #[test]
    fn what_is_lost_breaks_each_gate() {
        let mut outcomes = both();
        outcomes[1].found.missing = 2;
        outcomes[1].faults[3].first_success_ms = None;
        let report = Report::at_once(&plan(), outcomes);
        for gate in [Gate::All, Gate::Safety] {
            let broken = report.broken(gate);
            assert!(broken.contains(&"2 acknowledged writes lost".to_owned()), "{broken:?}");
            assert!(broken.contains(&"no success after kill -9 of node 0".to_owned()));
        }
    }
}
