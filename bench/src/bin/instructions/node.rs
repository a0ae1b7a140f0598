//! The node that answers: canned, one shard, outside of valgrind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use crate::programs::Programs;

/// A server process; it ends with this object.
#[derive(Debug)]
pub(crate) struct Node {
    process: Child,
    /// `address:port` of its one node.
    pub(crate) contact_points: Vec<String>,
}

impl Node {
    /// Starts one and waits until it listens.
    pub(crate) fn start(programs: &Programs) -> anyhow::Result<Self> {
        let mut process = Command::new(&programs.server)
            .args(["--nodes", "1", "--shards", "1", "--canned", "--exit-with-stdin"])
            .args(["--address", "auto", "--port", "0", "--shard-aware-port", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the node")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("the node's output is piped")?;
        BufReader::new(stdout).read_line(&mut line).context("waiting for the node")?;
        let mut node = Self { process, contact_points: Vec::new() };
        let ready: Value = serde_json::from_str(&line).context("reading the node's first line")?;
        let points = ready["contact_points"].as_array().context("the node lists its addresses")?;
        node.contact_points = points.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
