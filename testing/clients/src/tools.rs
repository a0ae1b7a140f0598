//! Python, Go, Java and Maven: where they are, and what to install where they are missing.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::list::{Client, Kind};

/// The Go that ScyllaDB's fork asks for.
const GO: (u32, u32) = (1, 25);

/// The first Go that fetches a newer one, where a module asks for it.
const GO_THAT_FETCHES: (u32, u32) = (1, 21);

const INSTALL_PYTHON: &str = "install it with `apt-get install python3-venv` (Debian, Ubuntu)";

const INSTALL_GO: &str = "\
install it with `apt-get install golang-go` (Debian 13 and later; Debian 12's is too old), or put a
newer `go` in PATH";

const INSTALL_JAVA: &str = "\
install it with `apt-get install default-jdk-headless` (Debian, Ubuntu), or set JAVA_HOME";

const INSTALL_MAVEN: &str = "install it with `apt-get install maven` (Debian, Ubuntu)";

/// What the client lacks on this machine.
pub(crate) fn check(client: &Client) -> Option<anyhow::Error> {
    let found = match client.kind {
        Kind::Python { .. } => python().map(drop),
        Kind::Go { .. } => go().map(drop),
        Kind::Java { .. } => java().and_then(|_| maven()).map(drop),
    };
    found.err()
}

/// The `python3` to make environments with.
pub(crate) fn python() -> Result<PathBuf> {
    let python = in_path("python3").with_context(|| missing("python3", INSTALL_PYTHON))?;
    // Debian's python3 has the module, but not all that it needs.
    let tried = Command::new(&python).args(["-c", "import venv, ensurepip"]).output();
    if !tried.with_context(|| format!("{} does not run", python.display()))?.status.success() {
        bail!("{} can't make environments\n{INSTALL_PYTHON}", python.display());
    }
    Ok(python)
}

/// The `go` to build with.
pub(crate) fn go() -> Result<PathBuf> {
    let go = in_path("go").with_context(|| missing("go", INSTALL_GO))?;
    let said = output(Command::new(&go).args(["env", "GOVERSION", "GOTOOLCHAIN"]))?;
    check_go(&go, &said)?;
    Ok(go)
}

/// The `java` to run with; it compiles the class as well.
pub(crate) fn java() -> Result<PathBuf> {
    let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let found = |program: &str| match &home {
        Some(home) => Some(Path::new(home).join("bin").join(program)).filter(|file| file.is_file()),
        None => in_path(program),
    };
    let place = if home.is_some() { "JAVA_HOME" } else { "PATH" };
    let java = found("java").zip(found("javac"));
    let none = || format!("there is no `java` with a `javac` in {place}\n{INSTALL_JAVA}");
    java.map(|(java, _)| java).with_context(none)
}

/// The `mvn` to fetch with.
pub(crate) fn maven() -> Result<PathBuf> {
    in_path("mvn").with_context(|| missing("mvn", INSTALL_MAVEN))
}

fn missing(program: &str, install: &str) -> String {
    format!("there is no `{program}` in PATH\n{install}")
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find(program, &path)
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} does not run"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether this is what `go env GOVERSION GOTOOLCHAIN` of a Go that is new enough prints.
fn check_go(go: &Path, said: &str) -> Result<()> {
    let mut lines = said.lines().map(str::trim);
    let (version, toolchain) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let needed = if toolchain == "local" { GO } else { GO_THAT_FETCHES };
    if go_version(version).is_some_and(|version| version >= needed) {
        return Ok(());
    }
    let (major, minor) = needed;
    bail!("{} is `{version}`, not Go {major}.{minor} or later\n{INSTALL_GO}", go.display())
}

/// 1 and 26 of `go1.26.8`, `go1.25rc1`.
fn go_version(text: &str) -> Option<(u32, u32)> {
    let (major, tail) = text.strip_prefix("go")?.split_once('.')?;
    let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    Some((major.parse().ok()?, tail.get(..digits)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_read() {
        assert_eq!(go_version("go1.26.8"), Some((1, 26)));
        assert_eq!(go_version("go1.25rc1"), Some((1, 25)));
        assert_eq!(go_version("devel"), None);
        assert_eq!(go_version(""), None);
    }

    #[test]
    fn an_old_go_is_named_with_what_to_install() {
        let go = Path::new("/usr/bin/go");
        check_go(go, "go1.24.4\nauto\n").unwrap();
        check_go(go, "go1.25.1\nlocal\n").unwrap();
        let error = check_go(go, "go1.24.4\nlocal\n").unwrap_err().to_string();
        assert!(error.contains("/usr/bin/go is `go1.24.4`, not Go 1.25 or later"), "{error}");
        let error = check_go(go, "go1.19.8\n\n").unwrap_err().to_string();
        assert!(error.contains("not Go 1.21 or later"), "{error}");
        assert!(error.contains("apt-get install golang-go"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(find("python3", OsStr::new("/nonexistent")), None);
        assert!(missing("mvn", INSTALL_MAVEN).contains("apt-get install maven"));
    }
}
