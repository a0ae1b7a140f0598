//! A real server: started or found, asked what it is, its CPU time read from outside.
//!
//! The embedded node is not among them: it counts by itself. Next: `embedded.rs`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, ensure};
use scylla::client::session::Session;
use serde::Serialize;
use shardwire_testing_cassandra::Cassandra;

use super::{node::on_cpus, options::Options};
use crate::drivers::Failure;

/// What was measured, for the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Server {
    /// Its name, as far as it tells.
    pub product: String,
    /// The release, as it says itself.
    pub version: String,
    /// What else is to be known of it.
    pub remark: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// Replicas of each row, per datacenter.
    pub replication_factor: usize,
    /// The version of the protocol that each driver spoke.
    pub protocol_versions: BTreeMap<String, u8>,
    /// CPUs that it may use, if that is known.
    pub cpus: Option<usize>,
}

impl Server {
    /// In one line, for the head of reports.
    pub fn line(&self) -> String {
        let plural = if self.nodes == 1 { "" } else { "s" };
        let mut line = format!(
            "{} {} ({}); {} node{plural}, replication factor {}",
            self.product, self.version, self.remark, self.nodes, self.replication_factor
        );
        let mut versions: Vec<_> = self.protocol_versions.values().collect();
        versions.sort_unstable();
        versions.dedup();
        match versions.as_slice() {
            [] => {}
            [version] => line.push_str(&format!("; all drivers spoke protocol v{version}")),
            _ => {
                let each = self.protocol_versions.iter();
                let each: Vec<_> =
                    each.map(|(name, version)| format!("{name} v{version}")).collect();
                line.push_str(&format!("; protocol versions: {}", each.join(", ")));
            }
        }
        line
    }

    /// Asks the server that `session` is connected to.
    ///
    /// # Errors
    ///
    /// The table that can't be read, and why.
    pub(super) async fn ask(session: &Session) -> Result<Self, Failure> {
        const LOCAL: &str = "SELECT release_version FROM system.local WHERE key = 'local'";
        const TABLES: &str = "SELECT table_name FROM system_schema.tables \
                              WHERE keyspace_name = 'system' AND table_name = 'versions'";
        const VERSIONS: &str = "SELECT version FROM system.versions WHERE key = 'local'";
        let texts = async |cql: &str| {
            let rows = session.query_unpaged(cql, ()).await.with_context(|| cql.to_owned())?;
            let rows = rows.into_rows_result().with_context(|| cql.to_owned())?;
            let rows: Result<Vec<_>, _> = rows.rows::<(String,)>()?.collect();
            Ok::<_, Failure>(rows?.into_iter().map(|(text,)| text).next())
        };
        let release = texts(LOCAL).await?.context("system.local names no release")?;
        let scylla = match texts(TABLES).await? {
            Some(_) => texts(VERSIONS).await?,
            None => None,
        };
        let state = session.get_cluster_state();
        let nodes = state.get_nodes_info();
        let mut per_datacenter: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for node in nodes {
            *per_datacenter.entry(node.datacenter.as_deref()).or_default() += 1;
        }
        let has_shards = nodes.iter().any(|node| node.sharder().is_some());
        let (product, version) = name(scylla, release, has_shards);
        Ok(Self {
            product,
            version,
            nodes: nodes.len(),
            replication_factor: replication_factor(per_datacenter.values().copied()),
            ..Self::default()
        })
    }
}

/// Product and version, from what its tables say.
fn name(scylla: Option<String>, release: String, has_shards: bool) -> (String, String) {
    match (scylla, has_shards) {
        (Some(version), _) => ("ScyllaDB".to_owned(), version),
        // It does not say what it is, but not what Cassandra is either.
        (None, true) => ("server with ScyllaDB's extensions, release_version".to_owned(), release),
        (None, false) => ("Apache Cassandra".to_owned(), release),
    }
}

/// Three as in production, or fewer where a datacenter has fewer nodes.
fn replication_factor(nodes_per_datacenter: impl Iterator<Item = usize>) -> usize {
    nodes_per_datacenter.min().unwrap_or(1).clamp(1, 3)
}

/// Apache Cassandra that was started for the comparison; dropping it ends it.
pub(super) struct Launched {
    pub(super) cluster: Cassandra,
    pub(super) processes: Processes,
}

/// Starts what `options` ask for, on `cpus`.
///
/// # Errors
///
/// The launcher's, which say what is missing.
pub(super) fn launch(options: &Options, cpus: &[usize]) -> Result<Launched, Failure> {
    let count = usize::from(options.nodes);
    let mut builder = Cassandra::builder().nodes(count);
    if let Some(version) = options.cassandra_version {
        builder = builder.version(version);
    }
    let cluster = on_cpus(cpus, || builder.start())?;
    let processes = Processes::in_folder(cluster.folder())?;
    ensure!(
        processes.0.len() == count,
        "{} processes were found of {count} nodes",
        processes.0.len()
    );
    Ok(Launched { cluster, processes })
}

/// The processes of nodes, by their ids.
#[derive(Clone, Debug)]
pub(super) struct Processes(Vec<u32>);

impl Processes {
    /// Those that work in folders below `folder`: each node does in its own.
    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let folder = folder.canonicalize().context("cannot find the nodes' folder")?;
        let entries = fs::read_dir("/proc").context("cannot list processes in /proc")?;
        let is_there = |id: &u32| {
            fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|path| path.starts_with(&folder))
        };
        let id = |name: std::ffi::OsString| name.to_str()?.parse().ok();
        Ok(Self(entries.flatten().filter_map(|e| id(e.file_name())).filter(is_there).collect()))
    }

    /// CPU time since they started; `None` when one has ended.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let ticks = self.0.iter().map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            cpu_ticks(&stat)
        });
        Some(ticks.sum::<Option<u64>>()? as f64 / ticks_per_second as f64)
    }
}

/// User and system time of a process, from its `stat`.
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name, in brackets, may hold anything; what follows it are the third field and so on.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_of_a_process_are_found() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4 9 0 0 0 120 34 0 0 20 0 31 0 55 9 8";
        assert_eq!(cpu_ticks(stat), Some(154));
        assert_eq!(cpu_ticks("7 (java) S 1 7"), None);
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(cpu_ticks("7 (x) S 1 7 7 0 -1 4 9 0 0 0 -1 34 0"), None);
    }

    #[test]
    fn processes_are_found_by_their_folder() {
        let here = std::env::current_dir().unwrap();
        let found = Processes::in_folder(&here).unwrap();
        assert!(found.0.contains(&std::process::id()));
        let own = Processes(vec![std::process::id()]);
        assert!(own.cpu_seconds().is_some());
        assert!(Processes(vec![u32::MAX]).cpu_seconds().is_none());
        assert!(Processes::in_folder(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn products_are_told_apart() {
        let told = |scylla: Option<&str>, has_shards| {
            let (product, version) = name(scylla.map(str::to_owned), "5.0.9".into(), has_shards);
            format!("{product} {version}")
        };
        assert_eq!(told(None, false), "Apache Cassandra 5.0.9");
        assert_eq!(told(Some("2025.1.0"), true), "ScyllaDB 2025.1.0");
        assert_eq!(told(None, true), "server with ScyllaDB's extensions, release_version 5.0.9");
    }

    #[test]
    fn each_datacenter_can_hold_the_replicas() {
        let check = |nodes: &[usize], expect| {
            assert_eq!(replication_factor(nodes.iter().copied()), expect);
        };
        check(&[], 1);
        check(&[1], 1);
        check(&[3, 2], 2);
        check(&[9], 3);
    }

    #[test]
    fn the_line_tells_versions_once_if_all_are_the_same() {
        let mut server = Server {
            product: "Apache Cassandra".into(),
            version: "5.0.9".into(),
            remark: "started for this".into(),
            nodes: 1,
            replication_factor: 1,
            protocol_versions: [("scylla".to_owned(), 4), ("shardwire".to_owned(), 4)].into(),
            cpus: Some(1),
        };
        let begin = "Apache Cassandra 5.0.9 (started for this); 1 node, replication factor 1; ";
        assert_eq!(server.line(), format!("{begin}all drivers spoke protocol v4"));
        server.protocol_versions.insert("shardwire".into(), 5);
        assert_eq!(server.line(), format!("{begin}protocol versions: scylla v4, shardwire v5"));
    }
}
