//! The reports: a table on the terminal, Markdown, JSON, and a page with charts.
//!
//! Losses are shown as plainly as wins. Read in the order `figures.rs`, `text.rs`, `chart.rs`,
//! `html.rs`.

mod chart;
mod figures;
mod html;
mod text;

use std::{fs, path::Path};

use anyhow::Context as _;

pub use text::{markdown, terminal};

use crate::{drivers::Failure, orchestrate::results::Report};

/// Writes `report.json`, `report.md` and `report.html` into `folder`.
///
/// # Errors
///
/// What kept a file from being written.
pub fn write(report: &Report, folder: &Path) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report)?;
    for (name, content) in [
        ("report.json", json + "\n"),
        ("report.md", markdown(report)),
        ("report.html", html::page(report)),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
