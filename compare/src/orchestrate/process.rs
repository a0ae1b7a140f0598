//! Runs client processes. Next: `progress.rs`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{
    PATIENCE,
    build::Binaries,
    node::{Cpus, Node, NodeCounters, spawn_on},
    options::Options,
};
use crate::{
    drivers::Failure,
    job::{Event, Job, Mode, Outcome},
};

/// Which build of a client a run needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Client {
    /// The system allocator.
    Plain,
    /// The counting allocator.
    Counting,
    /// dhat's allocator.
    Dhat,
}

/// What a run measured, and what the node saw of it.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// What the client says.
    pub(super) outcome: Outcome,
    /// Share of one core that the node used in the measured stretch; `None` where unknown.
    pub(super) node_cpu_share: Option<f64>,
    /// Requests that came to a wrong shard or node in that stretch; `None` where unknown.
    pub(super) wrong_shard_requests: Option<u64>,
}

/// The commands of all drivers.
pub(super) struct Clients {
    drivers: Vec<Driver>,
    cpus: Cpus,
}

struct Driver {
    name: String,
    command: DriverCommand,
}

enum DriverCommand {
    BuiltIn { plain: PathBuf, counting: PathBuf, dhat: Option<PathBuf> },
    External(String),
}

impl Clients {
    /// The drivers chosen by `options`.
    pub(super) fn new(
        options: &Options,
        binaries: &Binaries,
        cpus: &Cpus,
    ) -> Result<Self, Failure> {
        let command = |name: &String| {
            let external = options.clients.iter().find(|client| &client.name == name);
            match external {
                Some(client) => DriverCommand::External(client.command.clone()),
                None => DriverCommand::BuiltIn {
                    plain: binaries.plain.clone(),
                    counting: binaries.counting.clone(),
                    dhat: binaries.dhat.clone(),
                },
            }
        };
        let drivers: Vec<_> = options
            .chosen_drivers()
            .into_iter()
            .map(|name| Driver { command: command(&name), name })
            .collect();
        if drivers.is_empty() {
            bail!("no driver is chosen");
        }
        Ok(Self { drivers, cpus: cpus.clone() })
    }

    /// Names of the drivers, in the order of reports.
    pub(super) fn names(&self) -> Vec<String> {
        self.drivers.iter().map(|driver| driver.name.clone()).collect()
    }

    /// Whether allocations of a driver can be counted: it must be in our own client.
    pub(super) fn can_count(&self, name: &str) -> bool {
        self.drivers.iter().any(|driver| {
            driver.name == name && matches!(driver.command, DriverCommand::BuiltIn { .. })
        })
    }

    /// Runs one job to its end; `node` is asked what it saw of it.
    ///
    /// # Errors
    ///
    /// When the client fails, says nothing for too long, or says nonsense.
    pub(super) fn run(
        &self,
        name: &str,
        client: Client,
        job: &Job,
        node: Option<&Node>,
    ) -> Result<Measured, Failure> {
        let driver = self
            .drivers
            .iter()
            .find(|driver| driver.name == name)
            .context("the driver was chosen")?;
        let mut command = match (&driver.command, client) {
            (DriverCommand::BuiltIn { plain, .. }, Client::Plain) => Command::new(plain),
            (DriverCommand::BuiltIn { counting, .. }, Client::Counting) => Command::new(counting),
            (DriverCommand::BuiltIn { dhat, .. }, Client::Dhat) => {
                Command::new(dhat.as_ref().context("the client with dhat was not built")?)
            }
            (DriverCommand::External(line), _) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]);
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let cpus = if name == "floor" { &self.cpus.floor } else { &self.cpus.clients };
        let process = spawn_on(cpus, command).context("cannot start the client")?;
        Running { process }.finish(job, node)
    }
}

/// A client process; killed when dropped.
struct Running {
    process: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    fn finish(mut self, job: &Job, node: Option<&Node>) -> Result<Measured, Failure> {
        let mut stdin = self.process.stdin.take().context("the client has an input")?;
        let stdout = self.process.stdout.take().context("the client has an output")?;
        let mut stderr = self.process.stderr.take().context("the client has an error output")?;
        let (sender, lines) = mpsc::sync_channel(16);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.map_or(true, |line| sender.send(line).is_err()) {
                    return;
                }
            }
        });
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        let mut line = serde_json::to_string(job)?;
        line.push('\n');
        // A client that is gone already says more on its outputs than this error would.
        let _ = stdin.write_all(line.as_bytes());
        drop(stdin);

        let result = follow(&lines, length_of(job) + PATIENCE, node);
        if result.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = reader.join();
        let complaints = complaints.join().unwrap_or_default();
        result.map_err(|error| {
            if complaints.is_empty() { error } else { error.context(last_lines(&complaints)) }
        })
    }
}

/// Reads events up to the last one.
fn follow(
    lines: &mpsc::Receiver<String>,
    patience: Duration,
    node: Option<&Node>,
) -> Result<Measured, Failure> {
    let mut began: Option<(Instant, Option<NodeCounters>)> = None;
    loop {
        let line = match lines.recv_timeout(patience) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("the client said nothing for {} s", patience.as_secs());
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the client ended without a result"),
        };
        if line.trim().is_empty() {
            continue;
        }
        let event = serde_json::from_str(&line)
            .with_context(|| format!("the client said what is no event: {line}"))?;
        match event {
            Event::Connected => {}
            Event::Measuring => {
                if let Some(node) = node {
                    node.reset();
                }
                began = Some((Instant::now(), node.and_then(Node::counters)));
            }
            Event::Result(outcome) => {
                let after = node.and_then(Node::counters);
                let (node_cpu_share, wrong_shard_requests) = match (began, after) {
                    (Some((at, Some(before))), Some(after)) => {
                        let seconds = at.elapsed().as_secs_f64();
                        let cpu = after.cpu_seconds - before.cpu_seconds;
                        let wrong = after.wrong_shard.zip(before.wrong_shard);
                        let wrong = wrong.map(|(after, before)| after.saturating_sub(before));
                        (Some(cpu / seconds), wrong)
                    }
                    _ => (None, None),
                };
                return Ok(Measured { outcome: *outcome, node_cpu_share, wrong_shard_requests });
            }
            Event::Failed { message } => bail!("{message}"),
        }
    }
}

/// About how long a job takes when all is well.
fn length_of(job: &Job) -> Duration {
    match job.mode {
        Mode::Timed { warm_up_seconds, seconds, .. } => {
            Duration::try_from_secs_f64(warm_up_seconds + seconds).unwrap_or_default()
        }
        Mode::Count { .. } | Mode::Check { .. } => Duration::from_secs(30),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Compression, Runtime};
    use crate::workload::Workload;

    fn run(script: &str) -> Result<Measured, String> {
        let clients = Clients {
            drivers: vec![Driver {
                name: "script".into(),
                command: DriverCommand::External(script.into()),
            }],
            cpus: Cpus::default(),
        };
        let job = Job {
            driver: "script".into(),
            contact_points: Vec::new(),
            workload: Workload::Insert,
            concurrency: 1,
            first_key: 0,
            keys: 1,
            mode: Mode::Check { requests: 1 },
            compression: Compression::None,
            runtime: Runtime::CurrentThread,
            threads: 1,
            shards: 1,
            protocol_version: 4,
        };
        clients.run("script", Client::Plain, &job, None).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn any_program_can_be_a_client() {
        let outcome = serde_json::to_string(&Event::Result(Box::new(Outcome {
            requests: 42,
            ..Outcome::default()
        })));
        let script = format!(
            "read job; echo '{{\"event\":\"connected\"}}'; echo '{{\"event\":\"measuring\"}}'; \
             echo '{}'",
            outcome.unwrap()
        );
        assert_eq!(run(&script).unwrap().outcome.requests, 42);
    }

    #[test]
    fn failures_name_the_cause() {
        let check = |script: &str, expect: &str| {
            let error = run(script).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check("echo '{\"event\":\"failed\",\"message\":\"no route\"}'", "no route");
        check("echo hello", "no event: hello");
        check("echo broken pipe >&2", "broken pipe: the client ended without a result");
        check("no-such-program-anywhere", "not found");
    }
}
