//! The embedded nodes: `shardwire-server`, as a program, so that clients see it as users do.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::list::Persona;

const SERVER: &str = "shardwire-server";

/// Three nodes. They end when this is dropped, or with this process: they wait for the end of their
/// input.
pub(crate) struct Nodes {
    child: Child,
    pub(crate) contact_point: String,
    pub(crate) admin: String,
}

/// The server's program. It is built if cargo runs this one; it has to be beside it otherwise.
pub(crate) fn build() -> Result<PathBuf> {
    if let Some(mut command) = shardwire_meter::cargo() {
        command.args(["build", "--quiet", "--package", SERVER]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        let status = status.context("cargo does not run")?;
        ensure!(status.success(), "building {SERVER}: cargo ended with {status}");
    }
    let server = env::current_exe()?.with_file_name(SERVER);
    ensure!(server.is_file(), "no {}; `cargo build -p {SERVER}` makes it", server.display());
    Ok(server)
}

impl Nodes {
    /// Starts them, on addresses of their own, and waits until all accept connections.
    pub(crate) fn start(server: &Path, persona: Persona) -> Result<Self> {
        let mut command = Command::new(server);
        command.args(["--persona", persona.name(), "--nodes", "3", "--address", "auto"]);
        command.args(["--port", "0", "--admin", "127.0.0.1:0", "--exit-with-stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{SERVER} does not run"))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("{SERVER} is not ready, but says: {}", line.trim()))?;
        let text = |pointer| {
            let value = ready.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).with_context(|| format!("no {pointer} in: {}", line.trim()))
        };
        let (contact_point, admin) = (text("/contact_points/0")?, text("/admin")?);
        Ok(Self { child, contact_point, admin })
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
