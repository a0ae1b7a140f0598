//! The clients, each with the version that is run.

use clap::ValueEnum;

/// A client of others.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Client {
    /// As its registry has it; the two gocql by their repositories.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: Kind,
}

/// How a client is fetched and run. Paths are below this crate's folder.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A package of Python, with what else its environment gets.
    Python { packages: &'static [&'static str], program: &'static str, cases: Cases },
    /// A folder with a Go module, whose `go.mod` names the version.
    Go { folder: &'static str },
    /// A folder with a `pom.xml` and one class.
    Java { folder: &'static str, class: &'static str },
}

/// Which cases a client's program has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cases {
    Driver,
    Shell,
}

/// The database that the nodes pass for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Persona {
    Scylla,
    Cassandra,
}

/// All of them. The official crate of Rust is run by `server/tests/official_driver.rs`.
pub(crate) const CLIENTS: [Client; 6] = [
    Client {
        name: "cassandra-driver",
        version: "3.30.1",
        // With LZ4, which is asked for where it is installed.
        kind: Kind::Python {
            packages: &["cassandra-driver==3.30.1", "lz4==4.4.5"],
            program: "python/driver.py",
            cases: Cases::Driver,
        },
    },
    Client {
        name: "scylla-driver",
        version: "3.29.12",
        kind: Kind::Python {
            packages: &["scylla-driver==3.29.12", "lz4==4.4.5"],
            program: "python/driver.py",
            cases: Cases::Driver,
        },
    },
    Client {
        name: "cqlsh",
        version: "6.2.2",
        kind: Kind::Python {
            packages: &["cqlsh==6.2.2"],
            program: "python/shell.py",
            cases: Cases::Shell,
        },
    },
    Client {
        name: "cassandra-gocql-driver",
        version: "2.1.2",
        kind: Kind::Go { folder: "gocql/apache" },
    },
    Client { name: "scylladb-gocql", version: "1.17.3", kind: Kind::Go { folder: "gocql/scylla" } },
    Client {
        name: "java-driver-core",
        version: "4.19.0",
        kind: Kind::Java { folder: "java", class: "Cases.java" },
    },
];

impl Client {
    /// The names of its cases.
    pub(crate) fn cases(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Python { cases: Cases::Shell, .. } => crate::cases::SHELL,
            _ => crate::cases::DRIVER,
        }
    }
}

impl Persona {
    pub(crate) const ALL: [Self; 2] = [Self::Scylla, Self::Cassandra];

    /// As options and programs have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scylla => "scylla",
            Self::Cassandra => "cassandra",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn read(path: &str) -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    }

    #[test]
    fn versions_are_those_that_are_fetched() {
        for Client { name, version, kind } in &CLIENTS {
            match kind {
                Kind::Python { packages, .. } => {
                    assert_eq!(packages[0], format!("{name}=={version}"));
                }
                Kind::Go { folder } => {
                    let module = read(&format!("{folder}/go.mod"));
                    assert!(module.contains(&format!(" v{version}\n")), "{module}");
                }
                Kind::Java { folder, .. } => {
                    let pom = read(&format!("{folder}/pom.xml"));
                    assert!(pom.contains(&format!("<version>{version}</version>")), "{pom}");
                }
            }
        }
    }

    #[test]
    fn the_readme_names_all() {
        let readme = read("../../server/README.md");
        for Client { name, version, .. } in &CLIENTS {
            let row = readme.lines().find(|line| line.contains(&format!("| `{name}`")));
            assert!(row.is_some_and(|row| row.contains(version)), "{name} {version}");
        }
    }
}
