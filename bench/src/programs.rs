//! Programs of this repository, built by cargo itself so that they are never older than their
//! source.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

/// The repository's root.
///
/// # Errors
///
/// None, as long as this package is a folder of it.
pub fn repository() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("bench is a folder of the repository")?.to_owned())
}

/// A `cargo` of the version that built this, in the repository.
///
/// # Errors
///
/// As [`repository`].
pub fn cargo() -> anyhow::Result<Command> {
    let mut command = shardwire_meter::cargo().unwrap_or_else(|| Command::new("cargo"));
    command.current_dir(repository()?);
    Ok(command)
}

/// Builds targets in release, `arguments` saying which, and tells where the programs are.
///
/// # Errors
///
/// What cargo finds wrong; a name that is not among what it built.
pub fn build<const N: usize>(arguments: &[&str], names: [&str; N]) -> anyhow::Result<[PathBuf; N]> {
    let output = cargo()?
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the programs do not build");
    }
    // One JSON message per line.
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages: Vec<Value> =
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut paths = Vec::new();
    for name in names {
        let artefacts = messages.iter().filter(|message| message["target"]["name"] == name);
        let path = artefacts.filter_map(|message| message["executable"].as_str()).next_back();
        paths.push(path.with_context(|| format!("cargo built no program {name}"))?.into());
    }
    paths.try_into().map_err(|_| anyhow::anyhow!("there is a path for each name"))
}
