//! The programs that take part.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use shardwire_bench::programs;

use crate::node::Nodes;
use crate::setting::Setting;

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
        let repository = programs::repository()?;
        let packages = ["--package", "shardwire-server", "--package", "shardwire-compare"];
        let bins = ["--bin", "shardwire-server", "--bin", "client", "--bin", "shardwire-compare"];
        let [server, client, compare] = programs::build(
            &[packages.as_slice(), &bins].concat(),
            ["shardwire-server", "client", "shardwire-compare"],
        )?;
        Ok(Self { repository, server, client, compare })
    }

    /// Creates the tables of the workloads, with a partition each, on all nodes.
    pub(crate) fn create_tables(&self, nodes: &Nodes, setting: Setting) -> anyhow::Result<()> {
        let mut command = Command::new(&self.compare);
        command.args(["tables", &setting.nodes().to_string()]).args(&nodes.contact_points);
        let status = command.status().context("creating the tables")?;
        if !status.success() {
            bail!("the tables can't be created");
        }
        Ok(())
    }
}
