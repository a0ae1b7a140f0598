//! The table on the terminal, and the same in Markdown. Next: `chart.rs`.

use std::fmt::Write as _;

use super::figures::{CaseRows, FIGURES, REFERENCE, SUBJECT, by_case, remarks, summary};
use crate::orchestrate::results::{Report, Row};

/// The side-by-side table for a terminal.
pub fn terminal(report: &Report) -> String {
    let mut out = format!("\nServer: {}\n", report.environment.server.line());
    let mut heading = " ".repeat(LABEL_WIDTH);
    for (index, figure) in FIGURES.iter().enumerate() {
        let _ = write!(heading, "{:>10}", figure.heading);
        if index == 0 {
            heading.push_str("   +-%");
        }
    }
    let width = heading.len();
    for case in by_case(report) {
        let _ = writeln!(out, "{}", "-".repeat(width));
        let _ = writeln!(out, "{}{}", case.title, &heading[case.title.len().min(LABEL_WIDTH)..]);
        for row in &case.rows {
            out.push_str(&terminal_row(row));
        }
        if let Some(ratios) = ratios(&case) {
            let _ = write!(out, "{:<LABEL_WIDTH$}", "  ratio");
            for (index, ratio) in ratios.iter().enumerate() {
                let _ = write!(out, "{ratio:>10}");
                if index == 0 {
                    out.push_str("      ");
                }
            }
            out.push('\n');
        }
    }
    let _ = writeln!(out, "{}", "-".repeat(width));
    let _ = writeln!(
        out,
        "ratio = {SUBJECT} / {REFERENCE}, `!` where {SUBJECT} is the worse one. Columns:"
    );
    for figure in &FIGURES {
        let _ = writeln!(out, "  {:<9} {}", figure.heading, figure.unit);
    }
    for remark in remarks(report) {
        let _ = writeln!(out, "{remark}");
    }
    let summary = summary(report);
    if !summary.is_empty() {
        let _ = writeln!(out, "\n{SUBJECT} beside {REFERENCE}:");
    }
    for sentence in summary {
        let _ = writeln!(out, "  {sentence}");
    }
    out
}

fn terminal_row(row: &Row) -> String {
    let mut line = format!("{:<LABEL_WIDTH$}", format!("  {}", row.driver));
    if let Some(failure) = &row.failure {
        let _ = writeln!(line, "  FAILED: {failure}");
        return line;
    }
    for (index, figure) in FIGURES.iter().enumerate() {
        let mut value = figure.text(row);
        if index == 0 {
            if row.node_was_limit == Some(true) {
                value.push('*');
            }
            let _ = write!(line, "{value:>10}{:>6}", spread(row));
        } else {
            let _ = write!(line, "{value:>10}");
        }
    }
    line.push('\n');
    line
}

fn spread(row: &Row) -> String {
    row.requests_per_second_spread
        .map_or_else(String::new, |spread| format!("{:.0}", spread * 50.0))
}

fn ratios(case: &CaseRows<'_>) -> Option<Vec<String>> {
    let (subject, reference) = case.pair()?;
    if subject.failure.is_some() || reference.failure.is_some() {
        return None;
    }
    let text = |figure: &super::figures::Figure| {
        figure.ratio(subject, reference).map_or_else(String::new, |ratio| {
            let mark = if ratio.is_loss { "!" } else { "" };
            format!("{}{mark}", ratio.text())
        })
    };
    Some(FIGURES.iter().map(text).collect())
}

/// The whole report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out =
        format!("# Comparison of CQL drivers\n\nServer: {}\n\n", report.environment.server.line());
    for failure in &report.failures {
        let _ = writeln!(out, "> **FAILED**: {failure}\n");
    }
    for sentence in summary(report) {
        let _ = writeln!(out, "- {sentence}");
    }
    out.push_str("\n| case | driver | +-% |");
    for figure in &FIGURES {
        let _ = write!(out, " {} |", figure.heading);
    }
    out.push_str("\n|---|---|--:|");
    out.push_str(&"--:|".repeat(FIGURES.len()));
    out.push('\n');
    for case in by_case(report) {
        for (index, row) in case.rows.iter().enumerate() {
            let title = if index == 0 { case.title.as_str() } else { "" };
            let _ = write!(out, "| {title} | {} | {} |", row.driver, spread(row));
            if let Some(failure) = &row.failure {
                let failure = failure.replace('|', "/").replace('\n', " ");
                let _ = writeln!(out, " FAILED: {failure} |");
                continue;
            }
            for (index, figure) in FIGURES.iter().enumerate() {
                let limit = index == 0 && row.node_was_limit == Some(true);
                let _ = write!(out, " {}{} |", figure.text(row), if limit { " \\*" } else { "" });
            }
            out.push('\n');
        }
        if let Some(ratios) = ratios(&case) {
            out.push_str("| | *ratio* | |");
            for ratio in ratios {
                let _ = write!(out, " *{ratio}* |");
            }
            out.push('\n');
        }
    }
    let _ = writeln!(
        out,
        "\nRatio: {SUBJECT} / {REFERENCE}, `!` where {SUBJECT} is the worse one.\n\nColumns:\n"
    );
    for figure in &FIGURES {
        let _ = writeln!(out, "- {}: {}", figure.heading, figure.unit);
    }
    out.push('\n');
    for remark in remarks(report) {
        let _ = writeln!(out, "{}\n", remark.replace('*', "\\*"));
    }
    out.push_str("## Environment\n\n");
    for (name, value) in environment_lines(report) {
        let _ = writeln!(out, "- {name}: {value}");
    }
    out
}

/// The environment as names and values.
pub(super) fn environment_lines(report: &Report) -> Vec<(String, String)> {
    let environment = &report.environment;
    let cpus = |cpus: &[usize]| match cpus {
        [] => "not pinned".to_owned(),
        cpus => format!("CPU {}", cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut lines = vec![
        ("CPU".to_owned(), format!("{}, {} usable", environment.cpu, environment.cpu_count)),
        ("memory".to_owned(), format!("{:.1} GB", environment.memory_bytes as f64 / 1e9)),
        ("kernel".to_owned(), environment.kernel.clone()),
        ("compiler".to_owned(), environment.rustc.clone()),
        (
            "Shardwire".to_owned(),
            format!("{} at commit {}", environment.version, environment.commit),
        ),
        ("server".to_owned(), environment.server.line()),
        ("node".to_owned(), format!("{}; {}", environment.node, cpus(&environment.node_cpus))),
        ("rows".to_owned(), environment.rows.clone()),
        ("clients".to_owned(), cpus(&environment.client_cpus)),
        (
            "options".to_owned(),
            match environment.command.as_str() {
                "" => "none".to_owned(),
                options => options.to_owned(),
            },
        ),
        ("time taken".to_owned(), format!("{:.0} s", environment.seconds_in_all)),
    ];
    for (driver, settings) in &environment.drivers {
        lines.push((format!("driver {driver}"), settings.clone()));
    }
    lines
}

/// The longest title of a case fits.
const LABEL_WIDTH: usize = 26;

#[cfg(test)]
pub(super) use tests::sample;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        job::Quantiles,
        orchestrate::{
            results::{Environment, Row},
            server::Server,
        },
    };

    fn row(driver: &str, rate: f64, cpu: f64, allocations: f64) -> Row {
        Row {
            driver: driver.into(),
            workload: "insert".into(),
            concurrency: 128,
            shards: 1,
            compression: "none".into(),
            pacing: "closed".into(),
            requests_per_second: Some(rate),
            requests_per_second_spread: Some(0.1),
            cpu_us_per_request: Some(cpu),
            allocations_per_request: Some(allocations),
            reallocations_per_request: Some(0.0),
            bytes_per_request: Some(allocations * 64.0),
            latency_us: Some(Quantiles { p50: 80.0, p90: 90.0, p99: 120.5, p999: 300.0, max: 1e3 }),
            peak_rss_bytes: Some(9_400_000),
            wrong_shard_requests: Some(0),
            node_was_limit: Some(driver == "floor"),
            answers_checked: Some(true),
            ..Row::default()
        }
    }

    pub(in crate::report) fn sample() -> Report {
        let mut failed = row("gocql", 1.0, 1.0, 1.0);
        failed.failure = Some("no route".into());
        let drivers = [("floor".to_owned(), "no driver".to_owned())].into();
        Report {
            environment: Environment {
                cpu: "Fast CPU".into(),
                cpu_count: 2,
                memory_bytes: 8_000_000_000,
                kernel: "Linux 6.1".into(),
                rustc: "rustc 1.95.0".into(),
                commit: "abc".into(),
                version: "0.1.0".into(),
                command: String::new(),
                node: "embedded".into(),
                server: Server {
                    product: "Some Database".into(),
                    version: "1.2".into(),
                    remark: "of the test".into(),
                    nodes: 1,
                    replication_factor: 1,
                    protocol_versions: [("scylla".to_owned(), 4)].into(),
                    cpus: Some(1),
                },
                node_cpus: vec![0],
                client_cpus: vec![1],
                rows: "canned".into(),
                repetitions: 3,
                seconds_per_run: 1.2,
                seconds_in_all: 300.0,
                drivers,
            },
            results: vec![
                row("shardwire", 1_091_000.0, 0.39, 0.0),
                row("scylla", 341_000.0, 2.49, 11.0),
                row("floor", 1_500_000.0, 0.307, 0.0),
                failed,
            ],
            left_out: vec!["floor, insert-c128-lz4: it has no compression".into()],
            failures: vec!["gocql, insert-c128: no route".into()],
        }
    }

    #[test]
    fn the_terminal_table() {
        let table = terminal(&sample());
        let head = table.lines().skip(1).take(9).collect::<Vec<_>>().join("\n") + "\n";
        expect_test::expect_file!["golden/terminal.txt"].assert_eq(&head);
    }

    #[test]
    fn the_markdown_table() {
        let table = markdown(&sample());
        let head = table.lines().take(23).collect::<Vec<_>>().join("\n") + "\n";
        expect_test::expect_file!["golden/markdown.md"].assert_eq(&head);
    }
}
