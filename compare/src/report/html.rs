//! The report as one page: no script, no resource from elsewhere, light and dark, wide and narrow.

use std::fmt::Write as _;

use super::{
    chart::{Bar, Line, bars, escape, lines},
    figures::{CaseRows, FIGURES, Figure, REFERENCE, SUBJECT, by_case, remarks, summary},
    text::environment_lines,
};
use crate::orchestrate::results::{Report, Row};

/// The page.
pub(super) fn page(report: &Report) -> String {
    let cases = by_case(report);
    let drivers = drivers(report);
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>Comparison of CQL drivers</title><style>",
    );
    page.push_str(STYLE);
    page.push_str("</style></head><body><main><h1>Comparison of CQL drivers</h1>");
    let _ = write!(page, "<p>Server: {}</p>", escape(&report.environment.server.line()));
    for failure in &report.failures {
        let _ = write!(page, "<p class=\"failure\"><b>Failed:</b> {}</p>", escape(failure));
    }
    let summary = summary(report);
    if !summary.is_empty() {
        let _ = write!(page, "<p>{SUBJECT} beside {REFERENCE}:</p><ul>");
        for sentence in &summary {
            let _ = write!(page, "<li>{}</li>", escape(sentence));
        }
        page.push_str("</ul>");
    }
    page.push_str(&legend(&drivers));
    page.push_str(&bar_section(&cases, &drivers, "CPU per request", &FIGURES[1]));
    page.push_str(&bar_section(&cases, &drivers, "Allocations per request", &FIGURES[5]));
    page.push_str(&concurrency_section(report, &drivers));
    page.push_str(&latency_section(&cases, &drivers));
    page.push_str(&table(&cases));
    page.push_str("<h2>How to read it</h2><ul>");
    for remark in remarks(report) {
        let _ = write!(page, "<li>{}</li>", escape(&remark));
    }
    page.push_str("</ul><h2>Environment</h2><dl>");
    for (name, value) in environment_lines(report) {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(&name), escape(&value));
    }
    page.push_str("</dl></main></body></html>\n");
    page
}

/// Drivers in the report's order: their places are their colours.
fn drivers(report: &Report) -> Vec<&str> {
    let mut drivers: Vec<&str> = Vec::new();
    for row in &report.results {
        if !drivers.contains(&row.driver.as_str()) {
            drivers.push(&row.driver);
        }
    }
    // Known drivers keep their colour when one of them is not there.
    drivers.sort_by_key(|name| COLOURED.iter().position(|known| known == name).unwrap_or(9));
    drivers
}

const COLOURED: [&str; 3] = [SUBJECT, REFERENCE, "floor"];

fn colour(drivers: &[&str], driver: &str) -> usize {
    COLOURED.iter().position(|known| *known == driver).unwrap_or_else(|| {
        let others = drivers.iter().filter(|name| !COLOURED.contains(name));
        COLOURED.len() + others.take_while(|name| **name != driver).count()
    })
}

fn legend(drivers: &[&str]) -> String {
    let mut legend = String::from("<p class=\"legend\">");
    for driver in drivers {
        let _ = write!(
            legend,
            "<span><svg viewBox=\"0 0 12 12\"><rect class=\"fill{}\" width=\"12\" height=\"12\" \
             rx=\"2\"/></svg> {}</span> ",
            colour(drivers, driver) % super::chart::COLOURS,
            escape(driver)
        );
    }
    legend.push_str("</p>");
    legend
}

/// A card with bars per case.
fn bar_section(cases: &[CaseRows<'_>], drivers: &[&str], title: &str, figure: &Figure) -> String {
    let mut section = format!(
        "<h2>{}</h2><p>{}; shorter is better. Each chart has its own scale.</p>\
         <div class=\"cards\">",
        escape(title),
        escape(figure.unit)
    );
    for case in cases {
        let of = |row: &&Row| {
            let value = (figure.of)(row).filter(|_| row.failure.is_none())?;
            let driver = row.driver.clone();
            Some((driver, value))
        };
        let values: Vec<_> = case.rows.iter().filter_map(of).collect();
        if values.is_empty() {
            continue;
        }
        let bar = |(driver, value): &(String, f64)| (driver.clone(), *value);
        let owned: Vec<_> = values.iter().map(bar).collect();
        let drawn: Vec<_> = owned
            .iter()
            .map(|(driver, value)| Bar {
                driver,
                colour: colour(drivers, driver),
                value: *value,
                text: figure.format(*value),
            })
            .collect();
        let _ = write!(section, "<figure>{}</figure>", bars(&case.title, &drawn));
    }
    section.push_str("</div>");
    section
}

/// A card per workload that was measured at several concurrencies.
fn concurrency_section(report: &Report, drivers: &[&str]) -> String {
    let closed: Vec<_> = report
        .results
        .iter()
        .filter(|row| row.pacing == "closed" && row.compression == "none" && row.failure.is_none())
        .collect();
    let mut groups: Vec<(&str, u16)> = Vec::new();
    for row in &closed {
        if !groups.contains(&(&row.workload, row.shards)) {
            groups.push((&row.workload, row.shards));
        }
    }
    let mut cards = String::new();
    for (workload, shards) in groups {
        let rows: Vec<_> =
            closed.iter().filter(|row| row.workload == workload && row.shards == shards).collect();
        let mut places: Vec<u32> = rows.iter().map(|row| row.concurrency).collect();
        places.sort_unstable();
        places.dedup();
        if places.len() < 2 {
            continue;
        }
        let line = |driver: &&'_ str| {
            let value = |place: &u32| {
                let row =
                    rows.iter().find(|row| row.driver == **driver && row.concurrency == *place)?;
                row.requests_per_second
            };
            places.iter().map(value).collect::<Vec<_>>()
        };
        let drawn: Vec<_> = drivers
            .iter()
            .map(|driver| Line { driver, colour: colour(drivers, driver), values: line(driver) })
            .collect();
        let title = match shards {
            1 => workload.to_owned(),
            shards => format!("{workload}, {shards} shards"),
        };
        let places: Vec<_> = places.iter().map(|place| format!("C={place}")).collect();
        let _ = write!(cards, "<figure>{}</figure>", lines(&title, &places, "per s", &drawn));
    }
    if cards.is_empty() {
        return cards;
    }
    format!(
        "<h2>Throughput by concurrency</h2><p>Requests per second, logarithmic; higher is better. \
         Where the node is the limit (see the table) the lines say what the node can do.</p>\
         <div class=\"cards\">{cards}</div>"
    )
}

/// A card per case with the quantiles of latency.
fn latency_section(cases: &[CaseRows<'_>], drivers: &[&str]) -> String {
    let places = ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let mut cards = String::new();
    for case in cases {
        let drawn: Vec<_> = case
            .rows
            .iter()
            .filter(|row| row.failure.is_none())
            .filter_map(|row| {
                let latency = row.latency_us?;
                let values = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
                Some(Line {
                    driver: &row.driver,
                    colour: colour(drivers, &row.driver),
                    values: values.map(Some).to_vec(),
                })
            })
            .collect();
        if !drawn.is_empty() {
            let _ = write!(cards, "<figure>{}</figure>", lines(&case.title, &places, "us", &drawn));
        }
    }
    format!(
        "<h2>Latency quantiles</h2><p>Microseconds, logarithmic; lower is better. In closed loops \
         a driver that is faster also asks more of the node; the open loop offers all the same \
         load.</p><div class=\"cards\">{cards}</div>"
    )
}

fn table(cases: &[CaseRows<'_>]) -> String {
    let mut table = format!(
        "<h2>All figures</h2><p>Ratio: {SUBJECT} / {REFERENCE}; \u{2713} where {SUBJECT} is the \
         better one, \u{2717} where it is the worse one.</p>\
         <div class=\"scroll\"><table><thead><tr><th>case</th><th>driver</th>"
    );
    for figure in &FIGURES {
        let _ =
            write!(table, "<th title=\"{}\">{}</th>", escape(figure.unit), escape(figure.heading));
    }
    table.push_str("<th>answers</th></tr></thead>");
    for case in cases {
        table.push_str("<tbody>");
        for (index, row) in case.rows.iter().enumerate() {
            let title = if index == 0 { case.title.as_str() } else { "" };
            let _ = write!(table, "<tr><th>{}</th><td>{}</td>", escape(title), escape(&row.driver));
            if let Some(failure) = &row.failure {
                let columns = FIGURES.len() + 1;
                let _ = write!(
                    table,
                    "<td class=\"failure\" colspan=\"{columns}\">failed: {}</td></tr>",
                    escape(failure)
                );
                continue;
            }
            for (index, figure) in FIGURES.iter().enumerate() {
                let limit = index == 0 && row.node_was_limit == Some(true);
                let star = if limit { "*" } else { "" };
                let _ = write!(table, "<td>{}{star}</td>", escape(&figure.text(row)));
            }
            let answers = match row.answers_checked {
                Some(true) => "right",
                Some(false) => "not checked!",
                None => "-",
            };
            let _ = write!(table, "<td>{answers}</td></tr>");
        }
        table.push_str(&ratio_row(case));
        table.push_str("</tbody>");
    }
    table.push_str("</table></div>");
    table
}

fn ratio_row(case: &CaseRows<'_>) -> String {
    let Some((subject, reference)) = case.pair() else {
        return String::new();
    };
    if subject.failure.is_some() || reference.failure.is_some() {
        return String::new();
    }
    let mut row = String::from("<tr class=\"ratio\"><th></th><td>ratio</td>");
    for figure in &FIGURES {
        match figure.ratio(subject, reference) {
            None => row.push_str("<td></td>"),
            Some(ratio) => {
                let (class, mark) = match (ratio.is_loss, ratio.factor == 1.0) {
                    (true, _) => ("loss", "\u{2717}"),
                    (false, true) => ("", ""),
                    (false, false) => ("win", "\u{2713}"),
                };
                let _ = write!(row, "<td class=\"{class}\">{} {mark}</td>", ratio.text());
            }
        }
    }
    row.push_str("<td></td></tr>");
    row
}

const STYLE: &str = "\
:root{--back:#fff;--card:#f6f7f9;--text:#1c2128;--faint:#5b6470;--grid:#d5d9df;--win:#126b35;\
--loss:#b3261e;--c0:#1f6feb;--c1:#c8590a;--c2:#7a828c;--c3:#1a7f4b;--c4:#8250df}\
@media(prefers-color-scheme:dark){:root{--back:#12161c;--card:#1b2129;--text:#e3e8ee;\
--faint:#a2adba;--grid:#38414c;--win:#56d48a;--loss:#ff8a80;--c0:#5aa7ff;--c1:#f29b52;\
--c2:#98a2ae;--c3:#45c98a;--c4:#bd93ff}}\
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--text);\
font:16px/1.5 system-ui,sans-serif}main{max-width:1240px;margin:0 auto;padding:1rem}\
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin:2rem 0 .25rem}\
p{margin:.25rem 0 .75rem;color:var(--faint);max-width:75ch}\
.cards{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}\
figure{margin:0;padding:.5rem;background:var(--card);border-radius:8px}\
figure svg{display:block;width:100%;height:auto}\
svg text{fill:var(--text);font:12px system-ui,sans-serif}svg .title{font-weight:600;font-size:13px}\
svg .end{text-anchor:end}svg .middle{text-anchor:middle}\
.grid{stroke:var(--grid);stroke-width:1}polyline{fill:none;stroke-width:2.5}\
.fill0{fill:var(--c0)}.fill1{fill:var(--c1)}.fill2{fill:var(--c2)}.fill3{fill:var(--c3)}\
.fill4{fill:var(--c4)}.line0{stroke:var(--c0)}.line1{stroke:var(--c1)}.line2{stroke:var(--c2)}\
.line3{stroke:var(--c3)}.line4{stroke:var(--c4)}\
.legend{position:sticky;top:0;background:var(--back);padding:.5rem 0;margin:0;max-width:none;\
color:var(--text)}.legend span{margin-right:1rem;white-space:nowrap}\
.legend svg{width:.8em;height:.8em}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;\
font-variant-numeric:tabular-nums;white-space:nowrap}\
th,td{padding:.2rem .6rem;text-align:right}th:first-child,td:nth-child(2){text-align:left}\
thead th{border-bottom:2px solid var(--grid)}tbody{border-bottom:1px solid var(--grid)}\
tbody th{font-weight:600}.ratio td{color:var(--faint);font-weight:600}\
.ratio .win{color:var(--win)}.ratio .loss{color:var(--loss)}\
.failure{color:var(--loss);white-space:normal;text-align:left;max-width:none}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;font-size:.9rem}\
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
@media(max-width:560px){dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::sample;

    #[test]
    fn the_page_stands_alone_and_tells_failures() {
        let page = page(&sample());
        for banned in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(banned), "{banned}");
        }
        assert!(page.contains("prefers-color-scheme:dark"));
        assert!(page.contains("gocql, insert-c128: no route"));
        assert!(page.contains("insert C=128"));
        assert!(page.contains("Server: Some Database 1.2 (of the test); 1 node"));
        assert!(page.contains("Left out: floor, insert-c128-lz4: it has no compression."));
        assert!(!page.contains("NaN") && !page.contains("inf\""));
    }

    #[test]
    fn colours_stay_when_a_driver_is_missing() {
        assert_eq!(colour(&["scylla", "floor"], "scylla"), 1);
        assert_eq!(colour(&["scylla", "a", "b"], "a"), 3);
        assert_eq!(colour(&["scylla", "a", "b"], "b"), 4);
    }
}
