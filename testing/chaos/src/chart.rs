//! The picture: successes a second over time, and where faults were.

use std::fmt::Write as _;

use crate::report::Report;
use crate::run::Outcome;
use crate::tally::SPAN;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 50.0;
const PLOT_HEIGHT: f64 = 150.0;
const PANEL_HEIGHT: f64 = PLOT_HEIGHT + 60.0;

/// Spans that one point of the line is made of.
const POINT: usize = 5;

/// An SVG file that reads on light and on dark, a panel per driver.
pub(crate) fn draw(report: &Report) -> String {
    let height = PANEL_HEIGHT * report.outcomes.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<style>\
         text{{fill:#333}}.axis{{stroke:#999}}.ok{{stroke:#1764ab;fill:none}}\
         .bad{{stroke:#c0392b;fill:none}}.band{{fill:#f5a623;opacity:.25}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ccc}}.ok{{stroke:#6db3f2}}\
         .bad{{stroke:#ff7b6b}}}}</style>\n",
    );
    let seconds = report.outcomes.iter().map(|o| o.seconds).fold(1.0, f64::max);
    let rates = report.outcomes.iter().flat_map(points).map(|(_, ok, _)| ok);
    let most = rates.fold(1.0, f64::max);
    for (index, outcome) in report.outcomes.iter().enumerate() {
        panel(&mut svg, outcome, index as f64 * PANEL_HEIGHT, seconds, most);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, outcome: &Outcome, top: f64, seconds: f64, most: f64) {
    let x = |at: f64| LEFT + at / seconds * (WIDTH - LEFT - 10.0);
    let bottom = top + 30.0 + PLOT_HEIGHT;
    let y = |rate: f64| bottom - rate / most * PLOT_HEIGHT;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\">{}: requests/s that succeeded, and that failed</text>\
         <line class=\"axis\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{:.0}\" y2=\"{bottom}\"/>\
         <text x=\"4\" y=\"{:.0}\">{most:.0}</text><text x=\"4\" y=\"{bottom}\">0</text>",
        top + 14.0,
        outcome.driver,
        WIDTH - 10.0,
        y(most) + 4.0,
    );
    for noticed in &outcome.faults {
        let (from, to) = (noticed.at_seconds, noticed.healed_seconds.unwrap_or(outcome.seconds));
        let _ = writeln!(
            svg,
            "<rect class=\"band\" x=\"{:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{PLOT_HEIGHT}\">\
             <title>{} of node {}</title></rect>",
            x(from),
            top + 30.0,
            x(to) - x(from),
            noticed.fault.name(),
            noticed.node,
        );
    }
    // Restarts of all nodes touch one another: one name for them.
    let mut last = None;
    for noticed in &outcome.faults {
        if last != Some(noticed.fault) {
            let (at, name) = (x(noticed.at_seconds), noticed.fault.name());
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.0}\" font-size=\"9\">{name}</text>",
                top + 27.0
            );
        }
        last = Some(noticed.fault);
    }
    for class in ["ok", "bad"] {
        let _ = write!(svg, "<polyline class=\"{class}\" points=\"");
        for (at, ok, bad) in points(outcome) {
            let rate = if class == "ok" { ok } else { bad };
            let _ = write!(svg, "{:.1},{:.1} ", x(at), y(rate));
        }
        svg.push_str("\"/>\n");
    }
    let mut at = 0.0;
    while at < seconds {
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.0}\">{at:.0} s</text>", x(at), bottom + 16.0);
        at += (seconds / 10.0).max(10.0).round();
    }
}

/// Time in seconds, and the rates of successes and failures there.
fn points(outcome: &Outcome) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
    let span = SPAN.as_secs_f64();
    outcome.spans.chunks_exact(POINT).enumerate().map(move |(index, spans)| {
        let rate = |of: fn(&(u32, u32)) -> u32| {
            f64::from(spans.iter().map(of).sum::<u32>()) / (POINT as f64 * span)
        };
        ((index * POINT) as f64 * span, rate(|span| span.0), rate(|span| span.1))
    })
}
