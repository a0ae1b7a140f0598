//! A running cluster, whichever server it is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use shardwire_server::{Cluster, Persona, Tls};
use shardwire_testing_cassandra::{Cassandra, PASSWORD, USER};

use crate::certificates::{Authority, ClientPem};
use crate::configuration::{Access, Configuration, Server};

/// Shards of an embedded node that passes for ScyllaDB.
pub(crate) const SHARDS: u16 = 2;

/// Time that embedded nodes wait for others.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// Time that a node of Cassandra has to close its connections to clients.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How often it is told to.
const CLOSE_TIMES: usize = 5;

/// How often to look whether it has.
const CLOSE_POLL: Duration = Duration::from_millis(20);

/// What makes Cassandra err, or warn, soon enough.
const SETTINGS: [(&str, &str); 5] = [
    ("truncate_request_timeout", "3000ms"),
    ("tombstone_warn_threshold", "100"),
    ("tombstone_failure_threshold", "1000"),
    ("cdc_enabled", "true"),
    ("cdc_total_space", "1MiB"), // less than a segment: there is never room
];

/// A running cluster. It ends when it is dropped.
#[derive(Debug)]
pub struct Target {
    configuration: Configuration,
    contact_points: Vec<SocketAddr>,
    client_pem: Option<ClientPem>,
    nodes: Nodes,
    /// What was done to each node and not yet undone.
    hurts: Mutex<Vec<Hurt>>,
}

#[derive(Debug)]
enum Nodes {
    Embedded(Cluster),
    /// Its methods block, so they run on threads of their own.
    Cassandra(Arc<Mutex<Cassandra>>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hurt {
    None,
    Ended,
    Paused,
}

impl Target {
    /// Starts a cluster.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub async fn start(configuration: Configuration) -> Result<Self> {
        let mut client_pem = None;
        let (contact_points, nodes) = match configuration.server {
            Server::Embedded(persona) => {
                let mut builder = Cluster::builder()
                    .persona(persona)
                    .nodes(configuration.node_count)
                    .read_request_timeout(REQUEST_TIMEOUT)
                    .write_request_timeout(REQUEST_TIMEOUT)
                    .truncate_request_timeout(REQUEST_TIMEOUT)
                    .tombstone_warn_threshold(100)
                    .tombstone_failure_threshold(1000)
                    .max_mutation_size(8 << 20) // as Cassandra is started
                    .cdc_has_no_room(true);
                if persona == Persona::Scylla {
                    builder = builder.shards(SHARDS);
                }
                match configuration.access {
                    Access::Open => {}
                    Access::Password => builder = builder.user(USER, PASSWORD),
                    Access::Tls | Access::ClientCertificates => {
                        let authority = Authority::new()?;
                        let address = own_address(&configuration);
                        let node = authority.issue(Some(address.into()))?;
                        let (certificate, key) = (node.certificate, node.key);
                        let mut tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes())?;
                        if configuration.access == Access::ClientCertificates {
                            tls = tls.client_ca(authority.pem().as_bytes())?;
                        }
                        builder = builder.address(address).tls(tls);
                        client_pem = Some(authority.client()?);
                    }
                }
                let cluster = builder.start().await.context("embedded nodes don't start")?;
                (cluster.contact_points(), Nodes::Embedded(cluster))
            }
            Server::Cassandra(version) => {
                let mut builder = Cassandra::builder()
                    .version(version)
                    .nodes(configuration.node_count)
                    .nodetool()
                    .schema_in_memory();
                for (name, value) in SETTINGS {
                    builder = builder.setting(name, value);
                }
                builder = match configuration.access {
                    Access::Open => builder,
                    Access::Password => builder.auth(),
                    Access::Tls => builder.tls(),
                    Access::ClientCertificates => builder.client_certificates(),
                };
                let cluster = tokio::task::spawn_blocking(move || builder.start()).await?;
                let cluster = cluster.context("Cassandra can't be started")?;
                client_pem = cluster.tls().map(ClientPem::read).transpose()?;
                (cluster.contact_points(), Nodes::Cassandra(Arc::new(Mutex::new(cluster))))
            }
        };
        let hurts = Mutex::new(vec![Hurt::None; configuration.node_count]);
        Ok(Self { configuration, contact_points, client_pem, nodes, hurts })
    }

    /// What was started.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// How many nodes it has, whether they run or not.
    pub fn node_count(&self) -> usize {
        self.configuration.node_count
    }

    /// Where each node listens.
    pub fn contact_points(&self) -> &[SocketAddr] {
        &self.contact_points
    }

    /// A user who may do everything, and the password, where clients have to log in.
    pub fn credentials(&self) -> Option<(&'static str, &'static str)> {
        (self.configuration.access == Access::Password).then_some((USER, PASSWORD))
    }

    /// What a client has for TLS, where that is spoken.
    pub(crate) fn client_pem(&self) -> Option<&ClientPem> {
        self.client_pem.as_ref()
    }

    /// The embedded nodes, if that is what it is, for their counters.
    pub fn embedded(&self) -> Option<&Cluster> {
        match &self.nodes {
            Nodes::Embedded(cluster) => Some(cluster),
            Nodes::Cassandra(_) => None,
        }
    }

    /// Ends a node as a crash would.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn kill(&self, node: usize) -> Result<()> {
        self.note(node, Hurt::Ended);
        match &self.nodes {
            Nodes::Embedded(cluster) => Ok(cluster.stop_node(node).await?),
            Nodes::Cassandra(cluster) => {
                let kill = move |c: &mut Cassandra| {
                    // It has the schema in memory; what clients wrote it finds in its log.
                    c.nodetool(node, &["flush", "system_schema"])?;
                    c.kill(node)
                };
                blocking(cluster, kill).await
            }
        }
    }

    /// Ends a node in order: it tells the others.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn stop(&self, node: usize) -> Result<()> {
        self.note(node, Hurt::Ended);
        match &self.nodes {
            Nodes::Embedded(cluster) => Ok(cluster.stop_node(node).await?),
            Nodes::Cassandra(cluster) => blocking(cluster, move |c| c.stop(node)).await,
        }
    }

    /// Starts a node that has ended, on its data; returns when it serves and the others know.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn start_again(&self, node: usize) -> Result<()> {
        match &self.nodes {
            Nodes::Embedded(cluster) => cluster.start_node(node).await?,
            Nodes::Cassandra(cluster) => blocking(cluster, move |c| c.restart(node)).await?,
        }
        self.note(node, Hurt::None);
        Ok(())
    }

    /// Stops a node's process, or all that an embedded node does, after closing its port for
    /// clients: those that are connected to other nodes have to do with a replica that does not
    /// answer, and with nothing else.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn pause(&self, node: usize) -> Result<()> {
        self.note(node, Hurt::Paused);
        match &self.nodes {
            Nodes::Embedded(cluster) => {
                cluster.disable_binary(node).await?;
                Ok(cluster.pause_node(node).await?)
            }
            Nodes::Cassandra(cluster) => {
                let pause = move |c: &mut Cassandra| {
                    let address = c.contact_points().get(node).copied();
                    let address = address.context("no such node")?;
                    for _ in 0..CLOSE_TIMES {
                        c.nodetool(node, &["disablebinary"])?;
                        if is_closed_soon(address)? {
                            return c.pause(node);
                        }
                        // It knows a connection from STARTUP on. One that was being opened just
                        // then, as by who was cut off, stays open and is served.
                        c.nodetool(node, &["enablebinary"])?;
                    }
                    bail!("{address} has not closed its connections")
                };
                blocking(cluster, pause).await
            }
        }
    }

    /// Stops a node's process, or all that an embedded node does: its clients stay connected.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn hang(&self, node: usize) -> Result<()> {
        self.note(node, Hurt::Paused);
        match &self.nodes {
            Nodes::Embedded(cluster) => Ok(cluster.pause_node(node).await?),
            Nodes::Cassandra(cluster) => blocking(cluster, move |c| c.pause(node)).await,
        }
    }

    /// Lets a paused node go on and listen; returns when the others know.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub async fn resume(&self, node: usize) -> Result<()> {
        match &self.nodes {
            Nodes::Embedded(cluster) => {
                cluster.resume_node(node).await?;
                cluster.enable_binary(node).await?;
            }
            Nodes::Cassandra(cluster) => {
                let resume = move |c: &mut Cassandra| {
                    c.resume(node)?;
                    c.nodetool(node, &["enablebinary"])?;
                    c.wait_until_ready().map(drop)
                };
                blocking(cluster, resume).await?;
            }
        }
        self.note(node, Hurt::None);
        Ok(())
    }

    /// Addresses of the nodes that hold a partition, as the server itself tells; `key` is as
    /// `nodetool` takes it.
    ///
    /// # Errors
    ///
    /// The server's: there is no such table, or `key` is none of it.
    pub async fn endpoints(&self, keyspace: &str, table: &str, key: &str) -> Result<Vec<IpAddr>> {
        let cluster = match &self.nodes {
            Nodes::Embedded(cluster) => {
                return Ok(cluster.endpoints(keyspace, table, key).await?);
            }
            Nodes::Cassandra(cluster) => cluster,
        };
        let arguments = ["getendpoints", keyspace, table, key].map(str::to_owned);
        let printed =
            blocking(cluster, move |c| c.nodetool(0, &arguments.each_ref().map(String::as_str)));
        let printed = printed.await?;
        let addresses = printed.lines().map(|line| line.trim().parse());
        addresses.collect::<Result<_, _>>().with_context(|| printed.clone())
    }

    /// Undoes what was done to nodes and was not undone by a case that failed.
    ///
    /// # Errors
    ///
    /// The launcher's.
    pub(crate) async fn heal(&self) -> Result<()> {
        let hurts = self.hurts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (node, hurt) in hurts.into_iter().enumerate() {
            match hurt {
                Hurt::None => {}
                Hurt::Ended => self.start_again(node).await?,
                Hurt::Paused => self.resume(node).await?,
            }
        }
        Ok(())
    }

    fn note(&self, node: usize, hurt: Hurt) {
        let mut hurts = self.hurts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(noted) = hurts.get_mut(node) {
            *noted = hurt;
        }
    }
}

/// An address that a certificate can hold before the node is there: one for each process and
/// configuration.
fn own_address(configuration: &Configuration) -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let second = match (configuration.server, configuration.access) {
        (Server::Embedded(Persona::Scylla), Access::Tls) => 120,
        (Server::Embedded(Persona::Scylla), _) => 121,
        (_, Access::Tls) => 122,
        (..) => 123,
    };
    Ipv4Addr::new(127, second, high, low.clamp(1, 254))
}

/// Runs what blocks, so that the driver's tasks go on meanwhile.
async fn blocking<T: Send + 'static>(
    cluster: &Arc<Mutex<Cassandra>>,
    f: impl FnOnce(&mut Cassandra) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cluster = Arc::clone(cluster);
    let run = move || f(&mut cluster.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::task::spawn_blocking(run).await?
}

/// Waits until a node of this machine has closed its connections to clients: it begins to when it
/// is told so, and a process that is stopped in the middle of it keeps the others open. False if it
/// has not in [`CLOSE_DEADLINE`].
fn is_closed_soon(address: SocketAddr) -> Result<bool> {
    let SocketAddr::V4(address) = address else { bail!("{address} is not of IPv4") };
    // As the kernel writes it. A client's end is no longer established once the node's is closed.
    let remote =
        format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let is_open = |line: &str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(&remote) && fields.next() == Some("01")
    };
    let start = Instant::now();
    while fs::read_to_string("/proc/net/tcp")?.lines().any(is_open) {
        if start.elapsed() > CLOSE_DEADLINE {
            return Ok(false);
        }
        sleep(CLOSE_POLL);
    }
    Ok(true)
}
