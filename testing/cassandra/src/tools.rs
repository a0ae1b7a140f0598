//! Java and Maven: where they are, and what to install where they are missing.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The one Java that runs all versions: 4.1 knows none after it, 5.0's next is not stable.
const JAVA: u32 = 17;

const INSTALL_JAVA: &str = "\
install it with `apt-get install openjdk-17-jdk-headless` (Debian 12, Ubuntu) or
`dnf install java-17-openjdk-headless` (RHEL), or set JAVA_HOME to a Java 17 that is installed";

const INSTALL_MAVEN: &str = "\
install it with `apt-get install maven` (Debian, Ubuntu) or `dnf install maven` (Fedora, RHEL), so
that `mvn` is in PATH";

/// Where programs are looked for.
struct Search<'a> {
    java_home: Option<&'a OsStr>,
    path: &'a OsStr,
}

/// The `java` to run Cassandra with: that of JAVA_HOME, else the first in PATH.
pub(crate) fn java() -> Result<PathBuf> {
    let (home, path) = (env::var_os("JAVA_HOME"), env::var_os("PATH").unwrap_or_default());
    let java = Search { java_home: home.as_deref(), path: &path }.java()?;
    let shown = java.display();
    let output = Command::new(&java)
        .arg("-version")
        .output()
        .with_context(|| format!("`{shown} -version` does not run"))?;
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        text += &String::from_utf8_lossy(&output.stdout);
        text += &format!("\nit ended with {}", output.status);
    }
    check_java(&java, &text)?;
    Ok(java)
}

/// The `mvn` to fetch Cassandra with.
pub(crate) fn maven() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    Search { java_home: None, path: &path }.maven()
}

impl Search<'_> {
    fn java(&self) -> Result<PathBuf> {
        if let Some(home) = self.java_home.filter(|home| !home.is_empty()) {
            let java = Path::new(home).join("bin/java");
            if !java.is_file() {
                bail!("JAVA_HOME is set, but there is no {}\n{INSTALL_JAVA}", java.display());
            }
            return Ok(java);
        }
        let none = || format!("Apache Cassandra needs Java {JAVA}, and there is no `java` in PATH");
        self.in_path("java").with_context(|| format!("{}\n{INSTALL_JAVA}", none()))
    }

    fn maven(&self) -> Result<PathBuf> {
        let none = "Apache Cassandra is fetched with Maven, and there is no `mvn` in PATH";
        self.in_path("mvn").with_context(|| format!("{none}\n{INSTALL_MAVEN}"))
    }

    fn in_path(&self, program: &str) -> Option<PathBuf> {
        env::split_paths(self.path).map(|folder| folder.join(program)).find(|file| file.is_file())
    }
}

/// Whether this is what `java -version` of the right Java prints.
fn check_java(java: &Path, output: &str) -> Result<()> {
    let java = java.display();
    // Its own words: a JVM that finds no memory says so here, and no version.
    let first = output.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    match major_version(output) {
        Some(JAVA) => Ok(()),
        Some(other) => {
            bail!("Apache Cassandra needs Java {JAVA}, and {java} is Java {other}\n{INSTALL_JAVA}")
        }
        None => bail!("`{java} -version` names no version, but says: {first}\n{INSTALL_JAVA}"),
    }
}

/// 17 of `openjdk version "17.0.15" 2025-04-15`, 8 of `java version "1.8.0_392"`.
fn major_version(output: &str) -> Option<u32> {
    let (_, tail) = output.split_once(" version \"")?;
    let mut numbers = tail.split(['.', '-', '"', '_', '+']).map(str::parse);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_java_are_read() {
        let check = |output, expect| assert_eq!(major_version(output), expect, "{output}");
        check("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17));
        check("openjdk version \"17\" 2021-09-14", Some(17));
        check("java version \"1.8.0_392\"", Some(8));
        check("openjdk version \"25-ea\" 2025-09-16", Some(25));
        check("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"21.0.1\"", Some(21));
        check("", None);
        check("openjdk version \"\"", None);
        check("openjdk version \"x\"", None);
    }

    #[test]
    fn a_missing_java_is_named_with_what_to_install() {
        let nowhere = Search { java_home: None, path: OsStr::new("/nonexistent") };
        let error = nowhere.java().unwrap_err().to_string();
        assert!(error.contains("needs Java 17, and there is no `java` in PATH"), "{error}");
        assert!(error.contains("apt-get install openjdk-17-jdk-headless"), "{error}");
        assert!(error.contains("JAVA_HOME"), "{error}");
    }

    #[test]
    fn a_wrong_java_home_is_named() {
        let home = Some(OsStr::new("/nonexistent"));
        let error = Search { java_home: home, path: OsStr::new("") }.java().unwrap_err();
        assert!(error.to_string().contains("no /nonexistent/bin/java"), "{error}");
    }

    #[test]
    fn another_java_is_named_with_what_to_install() {
        let java = Path::new("/opt/java/bin/java");
        let error = check_java(java, "openjdk version \"21.0.1\" 2023-10-17").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("needs Java 17, and /opt/java/bin/java is Java 21"), "{error}");
        assert!(error.contains("openjdk-17-jdk-headless"), "{error}");
    }

    #[test]
    fn a_missing_maven_is_named_with_what_to_install() {
        let nowhere = Search { java_home: None, path: OsStr::new("/nonexistent") };
        let error = nowhere.maven().unwrap_err().to_string();
        assert!(error.contains("there is no `mvn` in PATH"), "{error}");
        assert!(error.contains("apt-get install maven"), "{error}");
    }
}
