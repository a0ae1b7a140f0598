//! A cluster: its builder, and what can be done to its nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::certificates::{Authority, Certificates, TlsFiles};
use crate::client::{Access, Credentials};
use crate::config::{Login, Schema, Settings, Tls};
use crate::node::{Node, Program};
use crate::ports::Port;
use crate::ready::Ready;
use crate::version::Version;
use crate::watcher::{Files, Watcher};
use crate::{folder, install, tools};

/// Most nodes of a cluster; each takes some 440 MB.
pub const NODES_MAX: usize = 8;

/// The user that Cassandra makes by itself, where clients have to log in.
pub const USER: &str = "cassandra";

/// The password of [`USER`].
pub const PASSWORD: &str = "cassandra";

/// Time to be ready. Three nodes took 10 s; a machine under load may take many times as long, and
/// a start that fails ends its process, which is noticed at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

/// What to start; from [`Cassandra::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use shardwire_testing_cassandra::{Cassandra, Version};
///
/// let builder = Cassandra::builder().version(Version::V4_1).nodes(3).auth();
/// let cluster = builder.deadline(Duration::from_secs(60)).start()?;
/// assert_eq!(cluster.contact_points().len(), 3);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is started before `start`"]
pub struct Builder {
    version: Version,
    node_count: usize,
    login: Login,
    tls: Tls,
    schema: Schema,
    management: Management,
    deadline: Duration,
    folder: Option<PathBuf>,
    lines: Vec<(String, String)>,
}

/// Whether nodes can be managed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Management {
    Off,
    Nodetool,
}

/// A running cluster, on loopback addresses. Dropping it ends it and removes its data.
///
/// Nodes are counted from 0; the first one's address is 127.0.0.1, the next one's 127.0.0.2.
///
/// ```no_run
/// use shardwire_testing_cassandra::Cassandra;
///
/// let mut cluster = Cassandra::builder().nodes(3).start()?;
/// cluster.pause(0)?; // its sockets stay, and nobody answers
/// cluster.resume(0)?;
/// cluster.stop(1)?; // it tells the others first
/// cluster.restart(1)?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Cassandra {
    nodes: Vec<Node>,
    settings: Settings,
    deadline: Duration,
    java: PathBuf,
    jars: Vec<PathBuf>,
    certificates: Option<Certificates>,
    folder: PathBuf,
    start_time: Duration,
    // Dropped in this order: ports are given back when the nodes have ended.
    watcher: Watcher,
    _ports: Vec<Port>,
}

impl Builder {
    /// Which Cassandra; the newest that is known, if this is not called.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// How many nodes, from 1 to [`NODES_MAX`]; 1, if this is not called.
    pub fn nodes(mut self, count: usize) -> Self {
        self.node_count = count;
        self
    }

    /// Clients have to log in: [`USER`] with [`PASSWORD`] may do everything.
    pub fn auth(mut self) -> Self {
        self.login = Login::Password;
        self
    }

    /// Clients have to speak TLS, to nodes whose certificates name their IP address, of an
    /// authority that is made for the cluster: [`Cassandra::tls`].
    pub fn tls(mut self) -> Self {
        if self.tls == Tls::Off {
            self.tls = Tls::On;
        }
        self
    }

    /// As [`tls`](Self::tls), and clients have to show a certificate of the same authority.
    pub fn client_certificates(mut self) -> Self {
        self.tls = Tls::ClientCertificates;
        self
    }

    /// Nodes can be managed: [`Cassandra::nodetool`].
    pub fn nodetool(mut self) -> Self {
        self.management = Management::Nodetool;
        self
    }

    /// Nodes answer changes of the schema before they have flushed them, which takes half the time.
    ///
    /// A node that is killed comes back without those since its last flush, and then without the
    /// rows of such tables: call `nodetool flush system_schema` before.
    ///
    /// ```
    /// use shardwire_testing_cassandra::Cassandra;
    ///
    /// let builder = Cassandra::builder().schema_in_memory();
    /// ```
    pub fn schema_in_memory(mut self) -> Self {
        self.schema = Schema::InMemory;
        self
    }

    /// A line of `cassandra.yaml`, in place of the one that there is for this name, if any.
    ///
    /// ```
    /// use shardwire_testing_cassandra::Cassandra;
    ///
    /// let builder = Cassandra::builder().setting("tombstone_failure_threshold", "1000");
    /// ```
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.lines.push((name.into(), value.into()));
        self
    }

    /// Time that the cluster has to be ready, after a restart as well; four minutes, if this is
    /// not called.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// A new folder for data and logs, which is kept. Otherwise they are on a RAM disk, where
    /// there is one with 2 GiB to spare, and removed when the cluster ends.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts the nodes, and returns when all are ready: each serves CQL and reaches the others.
    /// Writes to the standard error once a second how it stands.
    ///
    /// The first start of a version on a machine fetches it: some 70 MB.
    ///
    /// # Errors
    ///
    /// Java 17 or Maven is missing (the error says what to install), the version can't be fetched,
    /// a node ended, or the cluster was not ready within the deadline; the error then quotes the
    /// node's log. Also if the number of nodes is out of range, or the folder exists.
    pub fn start(self) -> Result<Cassandra> {
        let count = self.node_count;
        ensure!((1..=NODES_MAX).contains(&count), "{count} nodes are not 1 to {NODES_MAX}");
        let java = tools::java()?;
        let jars = install::jars(self.version)?;
        let addresses: Vec<_> =
            (1..).map(|last| Ipv4Addr::new(127, 0, 0, last)).take(count).collect();
        let (native, storage) = (Port::take(&addresses)?, Port::take(&addresses)?);
        let settings = Settings {
            version: self.version,
            addresses: addresses.clone(),
            native_port: native.number(),
            storage_port: storage.number(),
            login: self.login,
            tls: self.tls,
            schema: self.schema,
            lines: self.lines,
        };
        let (folder, files) = match self.folder {
            Some(folder) => (folder::create(&folder)?, Files::Keep),
            None => (folder::create_for_cluster()?, Files::Remove),
        };
        // From here on the watcher cleans up, also if this function returns early.
        let watcher = Watcher::start(&folder, files)?;
        let mut nodes = Vec::new();
        for (index, address) in addresses.into_iter().enumerate() {
            nodes.push(Node::create(&settings, address, folder.join(format!("node{index}")))?);
        }
        let certificates = match self.tls {
            Tls::Off => None,
            Tls::On | Tls::ClientCertificates => {
                let authority = Authority::new()?;
                for node in &nodes {
                    authority.write_node(node.address, &node.folder)?;
                }
                Some(authority.write_client(&folder)?)
            }
        };
        let mut ports = vec![native, storage];
        if self.management == Management::Nodetool {
            // Java listens for it on 127.0.0.1 only, so each node has another port.
            for node in &mut nodes {
                let port = Port::take(&[Ipv4Addr::LOCALHOST])?;
                node.jmx_port = Some(port.number());
                ports.push(port);
            }
        }
        for port in &mut ports {
            port.open();
        }
        let mut cluster = Cassandra {
            nodes,
            settings,
            deadline: self.deadline,
            java,
            jars,
            certificates,
            folder,
            start_time: Duration::ZERO,
            watcher,
            _ports: ports,
        };
        for index in 0..count {
            cluster.spawn(index)?;
        }
        cluster.start_time = cluster.wait_until_ready()?;
        Ok(cluster)
    }
}

impl Cassandra {
    /// A cluster of one node of the newest version that is known, without passwords and TLS.
    pub fn builder() -> Builder {
        Builder {
            version: Version::default(),
            node_count: 1,
            login: Login::None,
            tls: Tls::Off,
            schema: Schema::Flushed,
            management: Management::Off,
            deadline: DEADLINE,
            folder: None,
            lines: Vec::new(),
        }
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        self.settings.version
    }

    /// Where each node listens for clients, whether it runs or not.
    pub fn contact_points(&self) -> Vec<SocketAddr> {
        let port = self.settings.native_port;
        self.nodes.iter().map(|node| SocketAddr::from((node.address, port))).collect()
    }

    /// Time from the start of the first process until all nodes were ready.
    pub fn start_time(&self) -> Duration {
        self.start_time
    }

    /// What a client needs for TLS, if the cluster speaks it.
    pub fn tls(&self) -> Option<&TlsFiles> {
        self.certificates.as_ref().map(|certificates| &certificates.files)
    }

    /// The folder with the files of all nodes.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The log of a node.
    ///
    /// # Errors
    ///
    /// There is no node of this number.
    pub fn log(&self, index: usize) -> Result<PathBuf> {
        let node = self.nodes.get(index).with_context(|| none(index))?;
        Ok(node.log())
    }

    /// SIGKILL, as a crash would: the node leaves no word, and loses what was not synced.
    ///
    /// Nothing happens to a node without a process.
    ///
    /// # Errors
    ///
    /// There is no node of this number, or the system refuses.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.node(index)?.kill()
    }

    /// SIGTERM, and waits for the end: the node tells the others and flushes what it holds.
    ///
    /// A paused node is resumed for it. Nothing happens to a node without a process.
    ///
    /// # Errors
    ///
    /// There is no node of this number, or it has not ended within 150 s.
    pub fn stop(&mut self, index: usize) -> Result<()> {
        self.node(index)?.stop()
    }

    /// SIGSTOP: its sockets stay open, and nobody answers.
    ///
    /// # Errors
    ///
    /// There is no node of this number, or it does not run.
    pub fn pause(&mut self, index: usize) -> Result<()> {
        self.node(index)?.pause()
    }

    /// SIGCONT, after [`pause`](Self::pause). Nothing happens to a node that is not paused.
    ///
    /// The others may hold it for down for a moment longer:
    /// [`wait_until_ready`](Self::wait_until_ready).
    ///
    /// # Errors
    ///
    /// There is no node of this number, or it has ended.
    pub fn resume(&mut self, index: usize) -> Result<()> {
        self.node(index)?.resume()
    }

    /// Starts a node on the data that it had, after stopping it if it runs, and returns when the
    /// nodes that run are ready.
    ///
    /// # Errors
    ///
    /// There is no node of this number, it ends by itself, or the cluster is not ready in time.
    pub fn restart(&mut self, index: usize) -> Result<()> {
        self.stop(index)?;
        self.spawn(index)?;
        self.wait_until_ready().map(drop)
    }

    /// Runs `nodetool` on a node, such as `&["disablebinary"]`, and returns what it prints.
    ///
    /// ```no_run
    /// use shardwire_testing_cassandra::Cassandra;
    ///
    /// let cluster = Cassandra::builder().nodes(3).nodetool().start()?;
    /// let replicas = cluster.nodetool(0, &["getendpoints", "system_auth", "roles", "me"])?;
    /// println!("{replicas}");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no node of this number, the builder's [`nodetool`](Builder::nodetool) was not
    /// called, or the program fails or has not ended within a minute.
    pub fn nodetool(&self, index: usize, arguments: &[&str]) -> Result<String> {
        let node = self.nodes.get(index).with_context(|| none(index))?;
        let group = self.watcher.group()?;
        let program = Program { java: &self.java, jars: &self.jars, group };
        node.nodetool(&program, arguments)
    }

    /// Waits until each node that runs serves CQL, knows all nodes and has the same schema as
    /// those that run; and, if all run, reaches all. Returns how long that took.
    ///
    /// # Errors
    ///
    /// A node has ended, or the deadline has passed.
    pub fn wait_until_ready(&mut self) -> Result<Duration> {
        let count = self.nodes.iter().filter(|node| node.is_running()).count();
        let release = self.settings.version.release();
        let credentials = Credentials { user: USER, password: PASSWORD };
        let ready = Ready {
            name: format!("cassandra {release}, nodes running: {count}"),
            port: self.settings.native_port,
            access: Access {
                credentials: (self.settings.login == Login::Password).then_some(credentials),
                tls: self.certificates.as_ref().map(|certificates| &certificates.client),
            },
            deadline: self.deadline,
        };
        ready.wait(&mut self.nodes)
    }

    /// Kills all nodes and removes their data, unless the builder was given a folder. Dropping
    /// does the same, but can't return an error.
    ///
    /// # Errors
    ///
    /// Something could not be removed.
    pub fn shutdown(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.kill()?;
        }
        self.watcher.finish()
    }

    fn node(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).with_context(|| none(index))
    }

    fn spawn(&mut self, index: usize) -> Result<()> {
        let group = self.watcher.group()?;
        let program = Program { java: &self.java, jars: &self.jars, group };
        let node = self.nodes.get_mut(index).with_context(|| none(index))?;
        node.spawn(&self.settings, &program)
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        // After `shutdown` there is nothing left to do.
        if let Err(error) = self.end() {
            eprintln!("cassandra: {error:#}");
        }
    }
}

fn none(index: usize) -> String {
    format!("there is no node {index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_nodes_is_limited() {
        for count in [0, NODES_MAX + 1, usize::MAX] {
            let error = Cassandra::builder().nodes(count).start().unwrap_err().to_string();
            assert_eq!(error, format!("{count} nodes are not 1 to {NODES_MAX}"));
        }
    }
}
