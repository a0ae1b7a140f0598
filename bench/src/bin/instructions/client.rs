//! One client process under callgrind, driven by the contract of `compare/CONTRACT.md`.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use shardwire_bench::{Profile, callgrind};

use crate::node::Nodes;
use crate::programs::Programs;
use crate::setting::Setting;

/// Requests before the counted ones; the same in both runs, so they cancel out.
const WARM_UP_REQUESTS: u64 = 2_000;
/// Partitions over which requests cycle.
const KEYS: u64 = 100_000;

/// A number of requests by one driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting<'a> {
    pub(crate) setting: Setting,
    pub(crate) driver: &'a str,
    pub(crate) workload: &'a str,
    pub(crate) concurrency: u32,
    pub(crate) requests: u64,
}

/// Enough requests for a steady difference, few enough for callgrind's pace.
pub(crate) fn requests_for(workload: &str) -> u64 {
    match workload {
        "select-100" | "scan" => 5_000,
        "select-10" => 10_000,
        _ => 20_000,
    }
}

impl Counting<'_> {
    /// Instructions in user mode of the whole process.
    pub(crate) fn run(
        self,
        programs: &Programs,
        nodes: &Nodes,
        profiles: Option<&Path>,
    ) -> anyhow::Result<Profile> {
        let name = format!(
            "callgrind.{}.{}.{}.{}.{}",
            self.setting, self.driver, self.workload, self.concurrency, self.requests
        );
        let folder = match profiles {
            Some(folder) => folder.to_owned(),
            None => std::env::temp_dir(),
        };
        std::fs::create_dir_all(&folder)?;
        let unique = format!("{name}.{}", std::process::id());
        let profile = folder.join(if profiles.is_some() { name } else { unique });
        self.run_client(programs, nodes, &profile)?;
        let text = std::fs::read_to_string(&profile).context("reading callgrind's profile")?;
        if profiles.is_none() {
            std::fs::remove_file(&profile)?;
        }
        Profile::parse(&text)
    }

    fn run_client(self, programs: &Programs, nodes: &Nodes, profile: &Path) -> anyhow::Result<()> {
        let mut process = callgrind::command(profile, &[], &programs.client)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting valgrind")?;
        let job = self.job(nodes);
        let mut stdin = process.stdin.take().context("the client's input is piped")?;
        writeln!(stdin, "{job}").context("writing the job")?;
        drop(stdin);
        let output = process.wait_with_output().context("waiting for the client")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last: Value = text.lines().last().map_or(Ok(Value::Null), serde_json::from_str)?;
        let is_whole = last["event"] == "result"
            && last["errors"] == 0
            && last["requests"].as_u64() == Some(self.requests)
            && last["protocol_version"] == self.setting.protocol_version();
        if !output.status.success() || !is_whole {
            bail!("the client ended with {} and said {last}", output.status);
        }
        Ok(())
    }

    fn job(self, nodes: &Nodes) -> Value {
        json!({
            "driver": self.driver,
            "contact_points": nodes.contact_points,
            "workload": self.workload,
            "concurrency": self.concurrency,
            "first_key": 0,
            "keys": KEYS,
            "mode": {
                "kind": "count",
                "warm_up_requests": WARM_UP_REQUESTS,
                "requests": self.requests,
                "heap_profile": null,
            },
            "compression": "none",
            "runtime": "current-thread",
            "threads": 1,
            "shards": self.setting.shards(),
            "protocol_version": self.setting.protocol_version(),
        })
    }
}
