//! The table of what works, and below it what does not.

use std::fmt::Write;

use crate::run::Outcome;

/// Names of the columns; the last two are to the right.
const HEAD: [&str; 5] = ["client", "version", "persona", "cases passed", "time"];

/// The table, what is excused and what is wrong.
pub(crate) fn text(outcomes: &[Outcome]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(outcomes.iter().map(row));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or_default()
    };
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    // Writing to a string does not fail.
    for [client, version, persona, passed, time] in &rows {
        let _ =
            writeln!(text, "{client:a$}  {version:b$}  {persona:c$}  {passed:>d$}  {time:>e$}",);
    }
    let _ = writeln!(text, "scylla (Rust) is run by server/tests/official_driver.rs");
    for outcome in outcomes {
        let title = format!("{} as {}", outcome.client.name, outcome.persona.name());
        for line in &outcome.excused {
            let _ = writeln!(text, "{title}: {line}");
        }
        for line in &outcome.faults {
            let _ = writeln!(text, "FAILED {title}: {line}");
        }
    }
    let passed: usize = outcomes.iter().map(|outcome| outcome.passed).sum();
    let failed: usize = outcomes.iter().map(|outcome| outcome.faults.len()).sum();
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    text
}

fn row(outcome: &Outcome) -> [String; 5] {
    let count = outcome.client.cases().len();
    [
        outcome.client.name.to_owned(),
        outcome.client.version.to_owned(),
        outcome.persona.name().to_owned(),
        format!("{} of {count}", outcome.passed),
        format!("{:.1} s", outcome.time.as_secs_f64()),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::list::{CLIENTS, Persona};

    #[test]
    fn columns_stand_below_each_other() {
        let outcome = Outcome {
            client: &CLIENTS[0],
            persona: Persona::Scylla,
            time: Duration::from_millis(3_120),
            passed: 13,
            excused: vec!["absent: vectors: why".to_owned()],
            faults: vec!["pages: why".to_owned()],
        };
        let expect = "\
client            version  persona  cases passed   time
cassandra-driver  3.30.1   scylla       13 of 16  3.1 s
scylla (Rust) is run by server/tests/official_driver.rs
cassandra-driver as scylla: absent: vectors: why
FAILED cassandra-driver as scylla: pages: why
13 passed, 1 failed
";
        assert_eq!(text(&[outcome]), expect);
    }
}
