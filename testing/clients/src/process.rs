//! Child processes with a time limit: they are ended with all that they have started.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

/// Time between two lines that say how long something has taken.
const INTERVAL: Duration = Duration::from_secs(2);

/// Lines of a log that an error quotes.
const LINES_MAX: usize = 20;

/// A child process in a group of its own, which is ended when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left, or these are; the number is still the group's while the child is not
        // waited for.
        if let Ok(None) = self.0.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Runs a command that gets something ready, and shows every two seconds that it is not done.
pub(crate) fn prepare(
    what: &str,
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<()> {
    let stderr = File::create(log).with_context(|| format!("no {}", log.display()))?;
    let mut line_count = 0_usize;
    let status = stream(command, stderr, limit, |event| match event {
        Event::Line(_) => line_count += 1,
        Event::Passed(time) => eprintln!("{what}: {} s, {line_count} lines", time.as_secs()),
    });
    let status = status.with_context(|| format!("{what}:\n{}", last_lines(log)))?;
    ensure!(status.success(), "{what}: it ended with {status}:\n{}", last_lines(log));
    Ok(())
}

/// What is heard of a child.
pub(crate) enum Event<'a> {
    /// It has printed this on its standard output.
    Line(&'a str),
    /// It has been running for this time, said every two seconds.
    Passed(Duration),
}

/// Runs a command without input, tells what it prints, and returns how it ended.
pub(crate) fn stream(
    command: &mut Command,
    stderr: File,
    limit: Duration,
    mut tell: impl FnMut(Event<'_>),
) -> Result<ExitStatus> {
    let start = Instant::now();
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
    let mut group = Group(command.spawn().with_context(|| format!("{name} does not run"))?);
    let output = group.0.stdout.take().context("no standard output")?;
    let (sender, lines) = mpsc::sync_channel(1);
    thread::spawn(move || send_lines(output, &sender));
    let mut reports = 1;
    loop {
        let passed = start.elapsed();
        let Some(left) = limit.checked_sub(passed) else {
            bail!("{name} has not ended after {limit:?}");
        };
        let report = (INTERVAL * reports).saturating_sub(passed);
        match lines.recv_timeout(left.min(report)) {
            Ok(line) => tell(Event::Line(&line)),
            Err(RecvTimeoutError::Timeout) if report <= left => {
                reports += 1;
                tell(Event::Passed(start.elapsed()));
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The output has ended: so has the process, or it is about to.
            Err(RecvTimeoutError::Disconnected) => return Ok(group.0.wait()?),
        }
    }
}

fn send_lines(output: impl Read, sender: &mpsc::SyncSender<String>) {
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { return };
        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

/// The end of a log.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let start = lines.len().saturating_sub(LINES_MAX);
    lines.get(start..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> (Result<ExitStatus>, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let log = File::create("/dev/null").unwrap();
        let status = stream(command.args(["-c", script]), log, limit, |event| {
            if let Event::Line(line) = event {
                lines.push(line.to_owned());
            }
        });
        (status, lines)
    }

    #[test]
    fn lines_and_the_end_are_told() {
        let (status, lines) = run("echo a; echo b; exit 3", Duration::from_secs(60));
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let (status, lines) = run("echo a; sleep 600 & wait", Duration::from_millis(300));
        assert!(status.unwrap_err().to_string().contains("sh has not ended after 300ms"));
        assert_eq!(lines, ["a"]);
    }
}
