//! Running a program under callgrind, which counts the instructions that it executes.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// Callgrind's version, or what to do about its absence.
///
/// # Errors
///
/// If there is no valgrind.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("valgrind is needed: `apt-get install valgrind`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `program` under callgrind, which writes to `profile` in the end; callgrind's further `options`
/// stand before the program, its arguments may follow.
pub fn command(profile: &Path, options: &[&str], program: &Path) -> Command {
    let mut out_file = OsString::from("--callgrind-out-file=");
    out_file.push(profile);
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).arg(out_file).args(options).arg(program);
    command
}
