//! The process of one node: started, ended, stopped for a while.
//!
//! Invariant: a process that has ended was waited for only here, so a signal never reaches another
//! process that got its number.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::{self, Settings};

/// Time that a node has to end by itself. Three at once took 11 s on a busy machine, but where
/// messages to others don't get through, it waits a minute for them to, and as long for threads.
const STOP_DEADLINE: Duration = Duration::from_secs(150);

/// Time that nodetool has; for a node that is paused it would wait for ever.
const NODETOOL_DEADLINE: Duration = Duration::from_secs(60);

/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(20);

/// Lines of a log that an error quotes.
const LINES_MAX: usize = 20;

/// What is needed to start a node besides its own configuration.
pub(crate) struct Program<'a> {
    pub(crate) java: &'a Path,
    pub(crate) jars: &'a [PathBuf],
    /// The process group that the watcher ends.
    pub(crate) group: i32,
}

/// A node of a cluster, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: Ipv4Addr,
    pub(crate) folder: PathBuf,
    /// Where nodetool finds it, if that was asked for.
    pub(crate) jmx_port: Option<u16>,
    process: Process,
}

#[derive(Debug)]
enum Process {
    None,
    Running(Child),
    Paused(Child),
}

impl Node {
    /// Writes its configuration; starts nothing.
    pub(crate) fn create(settings: &Settings, address: Ipv4Addr, folder: PathBuf) -> Result<Self> {
        let create = || {
            fs::create_dir(&folder)?;
            fs::create_dir(folder.join("tmp"))?;
            fs::create_dir(folder.join("triggers"))?;
            fs::write(folder.join("cassandra.yaml"), config::yaml(settings, address, &folder))?;
            fs::write(folder.join("logback-tools.xml"), config::LOGBACK_TOOLS)?;
            fs::write(folder.join("logback.xml"), config::logback(&folder))
        };
        create().with_context(|| format!("no configuration in {}", folder.display()))?;
        Ok(Self { address, folder, jmx_port: None, process: Process::None })
    }

    /// Starts its process, on the data that it had.
    pub(crate) fn spawn(&mut self, settings: &Settings, program: &Program<'_>) -> Result<()> {
        let path = self.folder.join("output.log");
        let output = File::options().create(true).append(true).open(&path);
        let output = output.with_context(|| format!("no {}", path.display()))?;
        let child = Command::new(program.java)
            .args(config::java_arguments(settings, self.jmx_port, program.jars, &self.folder))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(program.group)
            .spawn()
            .with_context(|| format!("{} does not run", program.java.display()))?;
        self.process = Process::Running(child);
        Ok(())
    }

    /// What nodetool prints, run with `arguments`.
    pub(crate) fn nodetool(&self, program: &Program<'_>, arguments: &[&str]) -> Result<String> {
        let port = self.jmx_port.context("the builder's `nodetool` was not called")?;
        // Into files: a pipe that is full would stop it, and it is not read while it runs.
        let path = |name: &str| self.folder.join(name);
        let create = |name: &str| {
            File::create(path(name)).with_context(|| format!("no {}", path(name).display()))
        };
        let mut child = Command::new(program.java)
            .args(config::nodetool_arguments(port, program.jars, &self.folder))
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(create("nodetool.out")?)
            .stderr(create("nodetool.err")?)
            .process_group(program.group)
            .spawn()
            .with_context(|| format!("{} does not run", program.java.display()))?;
        let what = format!("nodetool {}", arguments.join(" "));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > NODETOOL_DEADLINE {
                child.kill()?;
                child.wait()?;
                bail!("{what} has not ended after {NODETOOL_DEADLINE:?}");
            }
            sleep(POLL);
        };
        let printed = fs::read_to_string(path("nodetool.out")).unwrap_or_default();
        if !status.success() {
            let error = fs::read_to_string(path("nodetool.err")).unwrap_or_default();
            bail!("{what} ended with {status}:\n{}\n{}", tail(&printed), tail(&error));
        }
        Ok(printed)
    }

    /// Whether it was started and not stopped, killed or paused since.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.process, Process::Running(_))
    }

    /// How its process ended, if that happened by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Process::Running(child) = &mut self.process else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.process = Process::None;
        }
        Ok(status)
    }

    /// SIGKILL, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Process::Running(child) | Process::Paused(child) = &mut self.process {
            child.kill().context("SIGKILL")?;
            child.wait()?;
            self.process = Process::None;
        }
        Ok(())
    }

    /// SIGTERM, upon which it tells the others and ends.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.resume()?;
        let Process::Running(child) = &mut self.process else { return Ok(()) };
        signal(child, Signal::TERM)?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > STOP_DEADLINE {
                bail!("{} has not ended {STOP_DEADLINE:?} after SIGTERM", self.address);
            }
            sleep(POLL);
        }
        self.process = Process::None;
        Ok(())
    }

    /// SIGSTOP: its sockets stay, and nobody answers.
    pub(crate) fn pause(&mut self) -> Result<()> {
        let status = self.ended()?;
        self.process = match std::mem::replace(&mut self.process, Process::None) {
            Process::Running(mut child) => {
                signal(&mut child, Signal::STOP)?;
                Process::Paused(child)
            }
            Process::Paused(child) => Process::Paused(child),
            Process::None => {
                let status = status.map(|status| format!(", it ended with {status}"));
                bail!("{} does not run{}", self.address, status.unwrap_or_default());
            }
        };
        Ok(())
    }

    /// SIGCONT, if it is paused.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.process = match std::mem::replace(&mut self.process, Process::None) {
            Process::Paused(mut child) => {
                signal(&mut child, Signal::CONT)?;
                Process::Running(child)
            }
            process => process,
        };
        Ok(())
    }

    /// Its log, which grows over restarts.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("system.log")
    }

    /// What its logs say last: errors, else whatever there is.
    pub(crate) fn last_words(&self) -> String {
        let output = fs::read_to_string(self.folder.join("output.log")).unwrap_or_default();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        format!("its log ends with\n{}\nits output with\n{}", tail(&log), tail(&output))
    }
}

fn signal(child: &mut Child, signal: Signal) -> Result<()> {
    let status = child.try_wait()?;
    ensure!(status.is_none(), "the process has ended by itself");
    kill_process(Pid::from_child(child), signal).with_context(|| format!("{signal:?}"))
}

/// The last error and what follows it, else the last lines.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let is_error = |line: &&str| line.starts_with("ERROR") || line.starts_with("Exception");
    let end = lines.len().saturating_sub(LINES_MAX);
    let start = lines.iter().rposition(is_error).unwrap_or(end);
    let lines: Vec<_> = lines.into_iter().skip(start).take(LINES_MAX).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_quoted() {
        let text = "INFO a\nERROR first\nINFO b\nERROR second\n  at x\nINFO c";
        assert_eq!(tail(text), "ERROR second\n  at x\nINFO c");
        assert_eq!(tail("INFO a\nINFO b"), "INFO a\nINFO b");
        assert_eq!(tail(""), "");
        let many = "INFO a\n".repeat(100);
        assert_eq!(tail(&many).lines().count(), LINES_MAX);
    }
}
