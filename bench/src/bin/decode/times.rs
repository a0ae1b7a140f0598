//! Wall times of the same cases, which criterion measures.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;
use shardwire_bench::programs;

use crate::counting::Measured;

/// Runs the benchmark and takes its medians over.
///
/// # Errors
///
/// If it fails, or has not measured a case with so many rows.
pub(crate) fn fill_in(results: &mut [Measured], rows: u32) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("shardwire-times.{}", std::process::id()));
    let status = programs::cargo()?
        .args(["bench", "--package", "shardwire-bench", "--bench", "decode", "--", "--noplot"])
        .env("CRITERION_HOME", &folder)
        .stdout(std::io::stderr())
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "the benchmark ended with {status}");
    for measured in results {
        let group = format!("decode {rows} x {}", measured.case);
        let median =
            |codec| median(&folder, &group, codec).with_context(|| format!("{group}, {codec}"));
        measured.shardwire.nanoseconds = Some(median("shardwire")? / f64::from(rows));
        measured.scylla.nanoseconds = Some(median("scylla")? / f64::from(rows));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// In nanoseconds. Criterion names folders by its own rules, and says in each what it is of.
fn median(folder: &Path, group: &str, codec: &str) -> anyhow::Result<f64> {
    for entry in std::fs::read_dir(folder).context("reading criterion's folder")? {
        let measurement = entry?.path().join(codec).join("new");
        let Ok(about) = std::fs::read_to_string(measurement.join("benchmark.json")) else {
            continue;
        };
        let about: Value = serde_json::from_str(&about)?;
        if about["group_id"] == group {
            let text = std::fs::read_to_string(measurement.join("estimates.json"))?;
            let estimates: Value = serde_json::from_str(&text)?;
            return estimates["median"]["point_estimate"].as_f64().context("a median is a number");
        }
    }
    anyhow::bail!("criterion has not measured it")
}
