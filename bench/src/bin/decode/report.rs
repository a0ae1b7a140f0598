//! The results as a table and as JSON, and what is above its limit.

use std::fmt::Write;

use serde_json::json;

use crate::counting::{Costs, Measured};

impl Measured {
    /// Shardwire's part of the official codec's.
    fn ratio(&self) -> f64 {
        self.shardwire.instructions / self.scylla.instructions
    }
}

/// For people, and for `docs/RESULTS.md`.
pub(crate) fn table(results: &[Measured], rows: u32, valgrind: &str) -> String {
    let mut text = format!(
        "Instructions per row, user mode ({valgrind}, callgrind; {rows} rows in a reply; 2N times \
         less N)\n\n"
    );
    let has_times = results.iter().any(|measured| measured.shardwire.nanoseconds.is_some());
    let width = results.iter().map(|measured| measured.case.len()).max().unwrap_or(0);
    let _ = write!(text, "| {:<width$} | shardwire | scylla | of it | limit |", "case");
    let mut rule = format!("|{}|----------:|-------:|------:|------:|", "-".repeat(width + 2));
    if has_times {
        text.push_str(" ns/row, shardwire | scylla |");
        rule.push_str("------------------:|-------:|");
    }
    let _ = writeln!(text, "\n{rule}");
    for measured in results {
        let _ = write!(
            text,
            "| {:<width$} | {:>9.1} | {:>6.1} | {:>5.2} | {:>5} |",
            measured.case,
            measured.shardwire.instructions,
            measured.scylla.instructions,
            measured.ratio(),
            measured.limit,
        );
        if let (Some(ours), Some(theirs)) =
            (measured.shardwire.nanoseconds, measured.scylla.nanoseconds)
        {
            let _ = write!(text, " {ours:>17.1} | {theirs:>6.1} |");
        }
        text.push('\n');
    }
    text
}

/// For programs.
pub(crate) fn json(results: &[Measured], rows: u32, valgrind: &str) -> String {
    let costs = |costs: &Costs| {
        json!({
            "instructions_per_row": costs.instructions,
            "nanoseconds_per_row": costs.nanoseconds,
        })
    };
    let cases: Vec<_> = results
        .iter()
        .map(|measured| {
            json!({
                "case": measured.case,
                "limit": measured.limit,
                "ratio": measured.ratio(),
                "shardwire": costs(&measured.shardwire),
                "scylla": costs(&measured.scylla),
            })
        })
        .collect();
    let all = json!({ "tool": format!("{valgrind} callgrind"), "rows": rows, "results": cases });
    format!("{all:#}\n")
}

/// The cases in which Shardwire takes more than it may.
pub(crate) fn above(results: &[Measured]) -> Vec<String> {
    let above = results.iter().filter(|measured| measured.ratio() > measured.limit);
    above.map(|measured| format!("{} ({:.2})", measured.case, measured.ratio())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(limit: f64, shardwire: f64) -> Measured {
        let costs = |instructions| Costs { instructions, nanoseconds: None };
        Measured {
            case: "int".to_owned(),
            limit,
            shardwire: costs(shardwire),
            scylla: costs(100.0),
        }
    }

    #[test]
    fn what_is_above_its_limit_is_found() {
        let results = [measured(1.0, 100.0), measured(1.0, 101.0), measured(0.5, 51.0)];
        assert_eq!(above(&results), ["int (1.01)", "int (0.51)"]);
    }

    #[test]
    fn times_stand_in_the_table_where_there_are_any() {
        let mut results = [measured(0.5, 25.0)];
        let text = table(&results, 10, "v");
        assert!(text.ends_with("|      25.0 |  100.0 |  0.25 |   0.5 |\n"), "{text}");
        results[0].shardwire.nanoseconds = Some(2.5);
        results[0].scylla.nanoseconds = Some(10.0);
        let text = table(&results, 10, "v");
        assert!(text.ends_with("|               2.5 |   10.0 |\n"), "{text}");
        assert!(json(&results, 10, "v").contains("\"nanoseconds_per_row\": 2.5"));
    }
}
