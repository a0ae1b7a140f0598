//! Fetches a release with Maven, once, into the cache.
//!
//! A release is a folder of jars that appears under its name when it is complete; a process that
//! dies half-way leaves a folder under another name, which the next one removes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::progress::Progress;
use crate::version::Version;
use crate::{folder, tools};

/// Names the packages to fetch; the version is a property.
const POM: &str = include_str!("../pom.xml");

/// Time for some 70 MB; they took 6 s where the network was good.
const DEADLINE: Duration = Duration::from_secs(600);

/// How often to look whether Maven has ended.
const POLL: Duration = Duration::from_millis(50);

/// Parts of the names of jars with another platform's code.
const OTHER_PLATFORMS: [&str; 5] = ["-osx-", "-windows-", "-riscv64", "kqueue", "-native-macos-"];

/// The jars of a release in the order of the class path. Fetches them, if the cache has none.
pub(crate) fn jars(version: Version) -> Result<Vec<PathBuf>> {
    let cache = folder::cache()?;
    let name = format!("apache-cassandra-{}", version.release());
    let complete = cache.join(&name);
    // Two test processes that start together fetch it once.
    let _lock = folder::lock(&cache.join(format!("{name}.lock")))?;
    if !complete.is_dir() {
        let partial = cache.join(format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("{} stays", partial.display()))?;
        }
        fs::create_dir(&partial).with_context(|| format!("no folder {}", partial.display()))?;
        fetch(version, &partial)?;
        let lib = partial.join("lib");
        fs::rename(&lib, &complete).with_context(|| format!("no {}", complete.display()))?;
        fs::remove_dir_all(&partial).with_context(|| format!("{} stays", partial.display()))?;
    }
    jars_in(&complete)
}

fn fetch(version: Version, partial: &Path) -> Result<()> {
    let mvn = tools::maven()?;
    let (pom, lib) = (partial.join("pom.xml"), partial.join("lib"));
    let log_path = partial.join("mvn.log");
    fs::write(&pom, POM).with_context(|| format!("no {}", pom.display()))?;
    let log = File::create(&log_path).with_context(|| format!("no {}", log_path.display()))?;
    let mut child = Command::new(&mvn)
        .args(["--batch-mode", "--no-transfer-progress", "--file"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg("-DincludeScope=runtime")
        .arg(format!("-Dcassandra.version={}", version.release()))
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} does not run", mvn.display()))?;
    let what = format!("fetching Apache Cassandra {} with mvn", version.release());
    let mut progress = Progress::new(what, DEADLINE);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !progress.is_in_time(&format!("{} jars", jars_in(&lib).map_or(0, |jars| jars.len()))) {
            child.kill()?;
            child.wait()?;
            bail!("mvn has not ended after {DEADLINE:?}:\n{}", last_lines(&log_path));
        }
        sleep(POLL);
    };
    if !status.success() {
        bail!("mvn ended with {status}:\n{}", last_lines(&log_path));
    }
    Ok(())
}

fn jars_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut jars = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_ours) {
            jars.push(path);
        }
    }
    // The order in which a folder lists its files differs from one machine to another.
    jars.sort();
    Ok(jars)
}

fn is_ours(name: &str) -> bool {
    name.ends_with(".jar") && !OTHER_PLATFORMS.iter().any(|part| name.contains(part))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jars_of_other_platforms_are_left_out() {
        assert!(is_ours("cassandra-all-5.0.9.jar"));
        assert!(is_ours("netty-transport-native-epoll-4.1.125.Final-linux-x86_64.jar"));
        assert!(!is_ours("netty-transport-native-kqueue-4.1.125.Final-osx-x86_64.jar"));
        assert!(!is_ours("zstd-jni-1.5.7-2.pom"));
    }

    #[test]
    fn the_pom_leaves_the_version_open() {
        assert!(POM.contains("<version>${cassandra.version}</version>"));
    }
}
