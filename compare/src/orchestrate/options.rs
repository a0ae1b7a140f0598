//! What a user may choose on the command line. Next: `matrix.rs`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, builder::RangedU64ValueParser, value_parser};
use shardwire_testing_cassandra::{NODES_MAX, Version};

use crate::{
    job::{Compression, Runtime},
    workload::Workload,
};

/// Compares CQL drivers on identical workloads, on this machine.
///
/// Without options it runs the whole comparison in under six minutes and writes
/// `compare-report/report.html`. Choosing any of --workloads, --concurrency, --shards,
/// --compression or --rate replaces the default matrix by every combination of what is chosen.
#[derive(Clone, Debug, Parser)]
#[command(name = "shardwire-compare", version, max_term_width = 100)]
pub struct Options {
    /// Drivers to compare: shardwire, scylla, floor and those given with --client [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub drivers: Vec<String>,

    /// Workloads: insert, select-1, select-10, select-100, batch-10, mixed, scan
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub workloads: Vec<Workload>,

    /// Requests in flight, each by a task of its own
    #[arg(long, value_delimiter = ',', value_name = "COUNTS",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=32_768))]
    pub concurrency: Vec<u32>,

    /// Shards of each embedded node
    #[arg(long, value_delimiter = ',', value_name = "COUNTS",
        value_parser = RangedU64ValueParser::<u16>::new().range(1..=256))]
    pub shards: Vec<u16>,

    /// Embedded nodes (all in one process, on one core), or with --cassandra its nodes
    #[arg(long, default_value_t = 1,
        value_parser = RangedU64ValueParser::<u16>::new().range(1..=64))]
    pub nodes: u16,

    /// Runtime of the Rust drivers
    #[arg(long, value_enum, default_value_t = Runtime::CurrentThread)]
    pub runtime: Runtime,

    /// Worker threads of the multi-thread runtime [default: 2]
    #[arg(long, value_parser = RangedU64ValueParser::<u32>::new().range(1..=256))]
    pub threads: Option<u32>,

    /// Compression of frame bodies (the floor client has none)
    #[arg(long, value_enum, value_delimiter = ',')]
    pub compression: Vec<Compression>,

    /// Open loop: requests per second that start whatever the replies do
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: Option<f64>,

    /// Timed runs of each driver and case, of which the median is reported [default: 3]
    #[arg(long, value_parser = value_parser!(u32).range(1..=99))]
    pub repetitions: Option<u32>,

    /// Measure on really stored rows
    #[arg(long, conflicts_with = "canned")]
    pub stored: bool,

    /// Measure on replies that the node encodes once per statement (the default)
    #[arg(long)]
    pub canned: bool,

    /// Start Apache Cassandra, measure it instead of the embedded node, and end it. Needs Java 17
    #[arg(long, conflicts_with_all = ["canned", "shards", "contact_points"])]
    pub cassandra: bool,

    /// Which one [default: the newest that is known]
    #[arg(long, value_name = "VERSION", requires = "cassandra")]
    pub cassandra_version: Option<Version>,

    /// Measure an existing ScyllaDB or Cassandra cluster instead of the embedded node. Creates
    /// the keyspace `shardwire_compare`, and drops it afterwards
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS:PORT", value_parser = contact_point,
        conflicts_with_all = ["canned", "shards", "nodes"])]
    pub contact_points: Vec<String>,

    /// Version of the protocol that drivers speak; those that cannot speak 5 speak 4
    #[arg(long, default_value_t = 4, value_name = "4|5",
        value_parser = value_parser!(u8).range(4..=5))]
    pub protocol_version: u8,

    /// A short comparison, in under a minute
    #[arg(long)]
    pub quick: bool,

    /// Length of a timed run [default: 1.2, with --quick 0.25]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,

    /// Folder of the reports
    #[arg(long, default_value = "compare-report", value_name = "DIR")]
    pub out: PathBuf,

    /// Write a dhat heap profile of the steady state of each driver and case
    #[arg(long)]
    pub dhat: bool,

    /// Another driver: a command that speaks the contract of compare/CONTRACT.md
    #[arg(long = "client", value_name = "NAME=COMMAND", value_parser = external_client)]
    pub clients: Vec<ExternalClient>,

    /// Leave out the runs that check answers (for profiling by hand)
    #[arg(long, hide = true)]
    pub no_check: bool,
}

/// What kind of server is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Nodes of `shardwire-server`.
    Embedded,
    /// Apache Cassandra, started for the comparison.
    Cassandra,
    /// A cluster that runs anyway.
    Existing,
}

/// A driver outside of this package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExternalClient {
    /// Its name in the report.
    pub name: String,
    /// Run by `sh -c`.
    pub command: String,
}

/// Drivers that the clients of this package know.
pub const BUILT_IN: &[&str] = &crate::client::DRIVERS;

impl Options {
    /// Reads the command line, and exits with a message where it makes no sense.
    pub fn parse_or_exit() -> Self {
        let options = Self::parse();
        if let Err(message) = options.validate() {
            use clap::CommandFactory as _;
            Self::command().error(clap::error::ErrorKind::ValueValidation, message).exit();
        }
        options
    }

    /// What clap cannot see in a single option.
    ///
    /// # Errors
    ///
    /// What makes no sense, in one line.
    pub fn validate(&self) -> Result<(), String> {
        for (index, client) in self.clients.iter().enumerate() {
            if BUILT_IN.contains(&client.name.as_str())
                || self.clients[..index].iter().any(|other| other.name == client.name)
            {
                return Err(format!("there are two drivers called `{}`", client.name));
            }
        }
        let known = self.known_drivers();
        if let Some(unknown) = self.drivers.iter().find(|name| !known.contains(name)) {
            return Err(format!("unknown driver `{unknown}`; known are {}", known.join(", ")));
        }
        if self.threads.is_some() && self.runtime == Runtime::CurrentThread {
            return Err("--threads needs --runtime multi-thread".to_owned());
        }
        if self.cassandra && usize::from(self.nodes) > NODES_MAX {
            return Err(format!("--cassandra starts at most {NODES_MAX} nodes"));
        }
        if self.protocol_version == 5 && self.place() == Place::Embedded {
            return Err("--protocol-version 5 needs --cassandra or --contact-points".to_owned());
        }
        Ok(())
    }

    /// Drivers to compare, in the order of reports.
    pub fn chosen_drivers(&self) -> Vec<String> {
        let mut known = self.known_drivers();
        if !self.drivers.is_empty() {
            known.retain(|name| self.drivers.contains(name));
        }
        known
    }

    fn known_drivers(&self) -> Vec<String> {
        let built_in = BUILT_IN.iter().map(|&name| name.to_owned());
        built_in.chain(self.clients.iter().map(|client| client.name.clone())).collect()
    }

    /// Whether timed runs read rows that are really stored.
    pub fn measures_stored_rows(&self) -> bool {
        self.stored || self.place() != Place::Embedded
    }

    /// What kind of server is measured.
    pub fn place(&self) -> Place {
        if self.cassandra {
            Place::Cassandra
        } else if self.contact_points.is_empty() {
            Place::Embedded
        } else {
            Place::Existing
        }
    }

    /// Worker threads of a client.
    pub fn threads(&self) -> u32 {
        match self.runtime {
            Runtime::CurrentThread => 1,
            Runtime::MultiThread => self.threads.unwrap_or(2),
        }
    }

    /// Length of a timed run.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.25 } else { 1.2 })
    }

    /// Timed runs of each driver and case.
    pub fn repetitions(&self) -> u32 {
        self.repetitions.unwrap_or(3)
    }
}

impl ValueEnum for Compression {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::None, Self::Lz4]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.name().into())
    }
}

impl ValueEnum for Runtime {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::CurrentThread, Self::MultiThread]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.name().into())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("must be a number above 0 and at most 1000000000".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.05..=3600.0).contains(&number) => Ok(number),
        _ => Err("must be a number of seconds from 0.05 to 3600".to_owned()),
    }
}

fn contact_point(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "9042"));
    match port.parse::<u16>() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(format!("{host}:{port}")),
        _ => Err("must be ADDRESS or ADDRESS:PORT".to_owned()),
    }
}

fn external_client(text: &str) -> Result<ExternalClient, String> {
    match text.split_once('=') {
        Some((name, command))
            if !command.trim().is_empty()
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) =>
        {
            Ok(ExternalClient { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err("must be NAME=COMMAND, the name of letters, digits, `-`, `_` and `.`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments = ["compare"].iter().chain(arguments);
        let options = Options::try_parse_from(arguments).map_err(|error| error.to_string())?;
        options.validate()?;
        Ok(options)
    }

    #[track_caller]
    fn refused(arguments: &[&str], because: &str) {
        let message = parse(arguments).unwrap_err();
        assert!(message.contains(because), "{message}");
    }

    #[test]
    fn bad_options_say_what_would_be_good() {
        refused(&["--workloads", "insrt"], "unknown workload `insrt`; known are insert, select-1");
        refused(&["--concurrency", "0"], "0 is not in 1..=32768");
        refused(&["--concurrency", "many"], "invalid digit");
        refused(&["--shards", "0"], "0 is not in 1..=256");
        refused(&["--drivers", "scyla"], "unknown driver `scyla`; known are ");
        refused(&["--rate", "0"], "above 0");
        refused(&["--seconds", "0"], "from 0.05");
        refused(&["--repetitions", "0"], "0 is not in 1..");
        refused(&["--compression", "zip"], "possible values: none, lz4");
        refused(&["--stored", "--canned"], "cannot be used with");
        refused(&["--contact-points", "a:b"], "ADDRESS:PORT");
        refused(&["--contact-points", "a:1", "--shards", "2"], "cannot be used with");
        refused(&["--cassandra", "--contact-points", "a:1"], "cannot be used with");
        refused(&["--cassandra", "--canned"], "cannot be used with");
        refused(&["--cassandra", "--shards", "2"], "cannot be used with");
        refused(&["--cassandra", "--cassandra-version", "3.11"], "not a version that is known");
        refused(&["--cassandra-version", "5.0"], "--cassandra");
        refused(&["--cassandra", "--nodes", "9"], "at most 8 nodes");
        refused(&["--cassandra", "--protocol-version", "3"], "3 is not in 4..=5");
        refused(&["--protocol-version", "5"], "needs --cassandra or --contact-points");
        refused(&["--threads", "2"], "--threads needs --runtime multi-thread");
        refused(&["--client", "gocql"], "NAME=COMMAND");
        refused(&["--client", "scylla=x"], "two drivers called `scylla`");
        refused(&["--client", "a=x", "--client", "a=y"], "two drivers called `a`");
    }

    #[test]
    fn good_options_are_understood() {
        let options = parse(&[
            "--client=gocql=./gocql --fast",
            "--drivers=gocql,scylla",
            "--workloads=insert,scan",
            "--concurrency=1,16",
            "--contact-points=db1,db2:9043",
        ])
        .unwrap();
        assert_eq!(options.chosen_drivers(), ["scylla", "gocql"]);
        assert_eq!(options.workloads, [Workload::Insert, Workload::Scan]);
        assert_eq!(options.contact_points, ["db1:9042", "db2:9043"]);
        assert!(options.measures_stored_rows());
        assert_eq!(options.threads(), 1);
        assert_eq!(options.place(), Place::Existing);
        let options = parse(&["--cassandra", "--cassandra-version=4.1", "--nodes=3"]).unwrap();
        assert_eq!(options.place(), Place::Cassandra);
        assert_eq!(options.cassandra_version, Some(Version::V4_1));
        assert_eq!(options.protocol_version, 4);
        assert!(options.measures_stored_rows());
        assert!(!parse(&[]).unwrap().measures_stored_rows());
        assert_eq!(parse(&["--runtime=multi-thread"]).unwrap().threads(), 2);
    }
}
