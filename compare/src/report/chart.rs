//! Charts as inline SVG, drawn by hand: bars and lines, with the page's own colours.
//!
//! A plotting crate would fix the colours at the time of writing; here they are classes, so that
//! one file reads well on light and on dark. Next: `html.rs`.

use std::fmt::Write as _;

/// A bar: whose, how long, and what is written at its end.
pub(super) struct Bar<'a> {
    pub(super) driver: &'a str,
    /// Number of the driver's colour.
    pub(super) colour: usize,
    pub(super) value: f64,
    pub(super) text: String,
}

/// Horizontal bars from zero.
pub(super) fn bars(title: &str, bars: &[Bar<'_>]) -> String {
    let longest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let height = 26.0 + bars.len() as f64 * BAR_STEP;
    let mut svg = open(title, height);
    for (index, bar) in bars.iter().enumerate() {
        let y = 26.0 + index as f64 * BAR_STEP;
        let room = WIDTH - BARS_X - BAR_TEXT_WIDTH;
        let len = if longest > 0.0 { bar.value / longest * room } else { 0.0 };
        let _ = write!(
            svg,
            "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <rect class=\"fill{}\" x=\"{BARS_X}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"14\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            BARS_X - 6.0,
            y + 11.5,
            escape(bar.driver),
            bar.colour % COLOURS,
            // A value of zero is still to be seen.
            len.max(1.0),
            BARS_X + len.max(1.0) + 6.0,
            y + 11.5,
            escape(&bar.text),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A line: whose, and its value at each place on the x axis.
pub(super) struct Line<'a> {
    pub(super) driver: &'a str,
    /// Number of the driver's colour.
    pub(super) colour: usize,
    pub(super) values: Vec<Option<f64>>,
}

/// Lines over named places, the y axis logarithmic.
pub(super) fn lines(title: &str, places: &[String], unit: &str, lines: &[Line<'_>]) -> String {
    let all = || lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let positive = || all().filter(|&value| value > 0.0);
    let (low, high) = (positive().fold(f64::MAX, f64::min), positive().fold(0.0, f64::max));
    let mut svg = open(title, LINES_HEIGHT);
    if high == 0.0 {
        svg.push_str("</svg>");
        return svg;
    }
    let ticks = log_ticks(low, high);
    let (bottom, top) = (
        ticks.first().copied().unwrap_or(low).min(low).ln(),
        ticks.last().copied().unwrap_or(high).max(high).ln(),
    );
    let y_of = |value: f64| {
        let share = if top > bottom { (value.ln() - bottom) / (top - bottom) } else { 0.5 };
        PLOT_BOTTOM - share * (PLOT_BOTTOM - PLOT_TOP)
    };
    let x_of = |index: usize| {
        let steps = places.len().saturating_sub(1).max(1) as f64;
        PLOT_LEFT + 12.0 + index as f64 / steps * (WIDTH - PLOT_LEFT - 46.0)
    };
    for tick in ticks {
        let y = y_of(tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{PLOT_LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - 8.0,
            PLOT_LEFT - 5.0,
            y + 4.0,
            tick_text(tick),
        );
    }
    for (index, place) in places.iter().enumerate() {
        let _ = write!(
            svg,
            "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x_of(index),
            PLOT_BOTTOM + 18.0,
            escape(place)
        );
    }
    for line in lines {
        let points: Vec<_> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| Some((index, (*value).filter(|&value| value > 0.0)?)))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|&(index, value)| format!("{:.1},{:.1}", x_of(index), y_of(value)))
            .collect();
        let colour = line.colour % COLOURS;
        let _ = write!(svg, "<polyline class=\"line{colour}\" points=\"{}\"/>", path.join(" "));
        for (index, value) in points {
            let _ = write!(
                svg,
                "<circle class=\"fill{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\">\
                 <title>{} {}: {value:.1} {unit}</title></circle>",
                x_of(index),
                y_of(value),
                escape(line.driver),
                escape(&places[index]),
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Round numbers that enclose `low..=high`: 1, 2, 5, 10, 20 ... or powers of ten.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let mantissas: &[f64] = if high / low > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let all: Vec<f64> = (first..=last)
        .flat_map(|power| mantissas.iter().map(move |mantissa| mantissa * 10_f64.powi(power)))
        .collect();
    let from = all.iter().rposition(|&tick| tick <= low * 1.0001).unwrap_or(0);
    let to = all.iter().position(|&tick| tick >= high * 0.9999).unwrap_or(all.len() - 1);
    all[from..=to.max(from)].to_vec()
}

fn tick_text(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value if value >= 1.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\
         <text class=\"title\" x=\"4\" y=\"14\">{title}</text>"
    )
}

/// Text as it may stand in HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Colours that the page's style defines.
pub(super) const COLOURS: usize = 5;
const WIDTH: f64 = 360.0;
const BAR_STEP: f64 = 20.0;
const BARS_X: f64 = 78.0;
const BAR_TEXT_WIDTH: f64 = 62.0;
const LINES_HEIGHT: f64 = 220.0;
const PLOT_LEFT: f64 = 44.0;
const PLOT_TOP: f64 = 30.0;
const PLOT_BOTTOM: f64 = 192.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_the_values() {
        assert_eq!(log_ticks(3.0, 40.0), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(log_ticks(7.0, 9000.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(log_ticks(5.0, 5.0), [5.0]);
        for (low, high) in [(0.03, 0.9), (1.0, 1e7), (81.0, 82.0), (99.9, 100.1)] {
            let ticks = log_ticks(low, high);
            assert!(ticks[0] <= low * 1.001 && *ticks.last().unwrap() >= high * 0.999, "{ticks:?}");
        }
    }

    #[test]
    fn names_cannot_break_the_page() {
        let bar = Bar { driver: "<b>", colour: 7, value: 0.0, text: "0 & \"more\"".into() };
        let svg = bars("a < b", &[bar]);
        assert!(!svg.contains("<b>") && svg.contains("a &lt; b"), "{svg}");
        assert!(svg.contains("fill2"));
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn lines_without_values_are_an_empty_chart() {
        let line = Line { driver: "a", colour: 0, values: vec![None, Some(0.0)] };
        let svg = lines("t", &["1".into(), "2".into()], "us", &[line]);
        assert!(svg.ends_with("</svg>") && !svg.contains("polyline"));
    }
}
