//! The nodes that answer: canned, outside of valgrind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::Value;

use crate::programs::Programs;
use crate::setting::Setting;

/// A server process with all nodes of a setting; it ends with this object.
#[derive(Debug)]
pub(crate) struct Nodes {
    process: Child,
    /// `address:port` of each.
    pub(crate) contact_points: Vec<String>,
}

impl Nodes {
    /// Starts them and waits until they listen.
    pub(crate) fn start(programs: &Programs, setting: Setting) -> anyhow::Result<Self> {
        // Only ScyllaDB has a shard-aware port.
        let shard_aware: &[&str] = match setting.persona() {
            "scylla" => &["--shard-aware-port", "0"],
            _ => &[],
        };
        let mut process = Command::new(&programs.server)
            .args(["--nodes", &setting.nodes().to_string(), "--persona", setting.persona()])
            .args(["--shards", &setting.shards().to_string(), "--canned", "--exit-with-stdin"])
            .args(["--address", "auto", "--port", "0"])
            .args(shard_aware)
            .args((setting == Setting::Tablets).then_some("--tablets"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the nodes")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("the nodes' output is piped")?;
        BufReader::new(stdout).read_line(&mut line).context("waiting for the nodes")?;
        let mut nodes = Self { process, contact_points: Vec::new() };
        let ready: Value = serde_json::from_str(&line).context("reading the nodes' first line")?;
        let points =
            ready["contact_points"].as_array().context("the nodes list their addresses")?;
        nodes.contact_points = points.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(nodes)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
