//! The programs that take part, built by cargo itself so that they are never older than their
//! source.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::node::Node;

/// The programs, and where they were built.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The repository's root.
    pub(crate) repository: PathBuf,
    /// The embedded node.
    pub(crate) server: PathBuf,
    /// The client with its drivers.
    pub(crate) client: PathBuf,
    /// The comparison, which creates the tables.
    pub(crate) compare: PathBuf,
}

impl Programs {
    /// Builds them, in release.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = here.parent().context("bench is a folder of the repository")?.to_owned();
        let [server, client, compare] =
            built(&repository, ["shardwire-server", "client", "shardwire-compare"])?;
        Ok(Self { repository, server, client, compare })
    }

    /// Creates the tables of the workloads, with a partition each.
    pub(crate) fn create_tables(&self, node: &Node) -> anyhow::Result<()> {
        let mut command = Command::new(&self.compare);
        command.arg("tables").args(&node.contact_points);
        let status = command.status().context("creating the tables")?;
        if !status.success() {
            bail!("the tables can't be created");
        }
        Ok(())
    }
}

/// Callgrind's version, or what to do about its absence.
pub(crate) fn valgrind_version() -> anyhow::Result<String> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("valgrind is needed: `apt-get install valgrind`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn built<const N: usize>(repository: &Path, names: [&str; N]) -> anyhow::Result<[PathBuf; N]> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(["--package", "shardwire-server", "--package", "shardwire-compare"])
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .current_dir(repository)
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
