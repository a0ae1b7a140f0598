//! Which cases are measured. Next: `build.rs`.

use std::fmt;

use super::options::{Options, Place};
use crate::{job::Compression, workload::Workload};

/// One line of the comparison: all drivers do the same here.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Case {
    /// The traffic.
    pub(super) workload: Workload,
    /// Requests in flight; in an open loop the most there may be.
    pub(super) concurrency: u32,
    /// Shards per node.
    pub(super) shards: u16,
    /// Of frame bodies.
    pub(super) compression: Compression,
    /// When requests start.
    pub(super) pace: Pace,
}

/// When requests start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// When the task's last one is answered.
    Closed,
    /// At this many per second.
    Open(f64),
    /// At half of the best rate that scylla reached with the same workload in the closed loop.
    HalfOfScylla,
}

impl PartialEq for Pace {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pace {}

impl std::hash::Hash for Pace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Pace {
    fn key(self) -> (u8, u64) {
        match self {
            Self::Closed => (0, 0),
            Self::Open(rate) => (1, rate.to_bits()),
            Self::HalfOfScylla => (2, 0),
        }
    }
}

impl Case {
    fn closed(workload: Workload, concurrency: u32) -> Self {
        Self {
            workload,
            concurrency,
            shards: 1,
            compression: Compression::None,
            pace: Pace::Closed,
        }
    }

    /// A name for files.
    pub(super) fn slug(&self) -> String {
        let mut slug = format!("{}-c{}", self.workload, self.concurrency);
        if self.shards != 1 {
            slug.push_str(&format!("-s{}", self.shards));
        }
        if self.compression != Compression::None {
            slug.push_str(&format!("-{}", self.compression.name()));
        }
        if self.pace != Pace::Closed {
            slug.push_str("-open");
        }
        slug
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.slug())
    }
}

/// The cases to measure, in the order of reports.
pub(super) fn cases(options: &Options) -> Vec<Case> {
    let mut cases = asked_for(options);
    cases.retain(|case| obstacle(options, case).is_none());
    cases
}

/// What is asked for and can't be measured, with the reason.
pub(super) fn left_out(options: &Options) -> Vec<String> {
    let mut left_out = Vec::new();
    let drivers = options.chosen_drivers();
    for case in asked_for(options) {
        if let Some(why) = obstacle(options, &case) {
            left_out.push(format!("{case}: {why}"));
        } else if case.compression != Compression::None && drivers.iter().any(|d| d == "floor") {
            left_out.push(format!("floor, {case}: it has no compression"));
        }
    }
    left_out
}

fn asked_for(options: &Options) -> Vec<Case> {
    let chosen = !options.workloads.is_empty()
        || !options.concurrency.is_empty()
        || !options.shards.is_empty()
        || !options.compression.is_empty()
        || options.rate.is_some();
    match (chosen, options.quick) {
        (true, _) => combinations(options),
        (false, true) => quick(),
        (false, false) => whole(),
    }
}

/// Why a case can't be measured on the server that is chosen, if it can't.
fn obstacle(options: &Options, case: &Case) -> Option<&'static str> {
    let is_real = options.place() != Place::Embedded;
    (is_real && case.shards != 1).then_some("the server has the shards that it has")
}

/// What the project promises to measure when nothing is chosen.
fn whole() -> Vec<Case> {
    let mut cases = Vec::new();
    for workload in [Workload::Insert, Workload::Select1, Workload::Select100, Workload::Batch10] {
        cases.extend([1, 128, 1024].map(|concurrency| Case::closed(workload, concurrency)));
    }
    for workload in [Workload::Select10, Workload::Mixed, Workload::Scan] {
        cases.push(Case::closed(workload, 128));
    }
    cases.sort_by_key(|case| case.workload);
    let insert = Case::closed(Workload::Insert, 128);
    cases.push(Case { shards: 8, ..insert });
    cases.push(Case { compression: Compression::Lz4, ..insert });
    cases.push(Case { concurrency: OPEN_CONCURRENCY, pace: Pace::HalfOfScylla, ..insert });
    cases
}

fn quick() -> Vec<Case> {
    vec![
        Case::closed(Workload::Insert, 1),
        Case::closed(Workload::Insert, 128),
        Case::closed(Workload::Select1, 128),
        Case::closed(Workload::Select100, 128),
        Case::closed(Workload::Batch10, 128),
        Case::closed(Workload::Scan, 128),
    ]
}

fn combinations(options: &Options) -> Vec<Case> {
    fn or<T: Clone>(chosen: &[T], default: &[T]) -> Vec<T> {
        if chosen.is_empty() { default.to_vec() } else { chosen.to_vec() }
    }
    let pace = options.rate.map_or(Pace::Closed, Pace::Open);
    let concurrency = if pace == Pace::Closed { 128 } else { OPEN_CONCURRENCY };
    let mut cases = Vec::new();
    for &workload in &or(&options.workloads, &Workload::ALL) {
        for &shards in &or(&options.shards, &[1]) {
            for &compression in &or(&options.compression, &[Compression::None]) {
                for &concurrency in &or(&options.concurrency, &[concurrency]) {
                    let case = Case { workload, concurrency, shards, compression, pace };
                    if !cases.contains(&case) {
                        cases.push(case);
                    }
                }
            }
        }
    }
    cases
}

/// The cases whose answers are checked: one for each workload, sharding and compression.
pub(super) fn to_check(cases: &[Case]) -> Vec<Case> {
    let mut checked: Vec<Case> = Vec::new();
    for &case in cases {
        let case = Case { concurrency: CHECK_CONCURRENCY, pace: Pace::Closed, ..case };
        if !checked.contains(&case) {
            checked.push(case);
        }
    }
    checked
}

/// Most requests an open loop may have in flight.
const OPEN_CONCURRENCY: u32 = 1024;
/// Requests in flight in a run that checks.
const CHECK_CONCURRENCY: u32 = 64;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn slugs(arguments: &[&str]) -> Vec<String> {
        let options = Options::parse_from(["compare"].iter().chain(arguments));
        cases(&options).iter().map(Case::slug).collect()
    }

    #[test]
    fn the_default_matrix() {
        let expect = "insert-c1 insert-c128 insert-c1024 select-1-c1 select-1-c128 select-1-c1024 \
                      select-10-c128 select-100-c1 select-100-c128 select-100-c1024 batch-10-c1 \
                      batch-10-c128 batch-10-c1024 mixed-c128 scan-c128 insert-c128-s8 \
                      insert-c128-lz4 insert-c1024-open";
        assert_eq!(slugs(&[]).join(" "), expect);
        for server in [&["--contact-points", "db"][..], &["--cassandra"]] {
            assert!(!slugs(server).contains(&"insert-c128-s8".to_owned()));
        }
    }

    #[test]
    fn what_is_left_out_is_told() {
        let of = |arguments: &[&str]| {
            left_out(&Options::parse_from(["compare"].iter().chain(arguments)))
        };
        let floor = "floor, insert-c128-lz4: it has no compression";
        assert_eq!(of(&[]), [floor]);
        let shards = "insert-c128-s8: the server has the shards that it has";
        assert_eq!(of(&["--cassandra"]), [shards, floor]);
        assert!(of(&["--cassandra", "--workloads", "insert"]).is_empty());
    }

    #[test]
    fn chosen_values_are_combined() {
        assert_eq!(slugs(&["--workloads", "scan,scan"]), ["scan-c128"]);
        assert_eq!(
            slugs(&["--workloads", "insert", "--shards", "1,4", "--concurrency", "1,2"]),
            ["insert-c1", "insert-c2", "insert-c1-s4", "insert-c2-s4"]
        );
        assert_eq!(slugs(&["--rate", "5", "--workloads", "mixed"]), ["mixed-c1024-open"]);
    }

    #[test]
    fn each_kind_of_answer_is_checked_once() {
        let options = Options::parse_from(["compare"]);
        assert_eq!(to_check(&cases(&options)).len(), 9);
    }
}
