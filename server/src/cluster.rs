//! A cluster and the thread it runs on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::address::{Addresses, Listeners, ShardAware, Wanted, bind, bind_all};
use crate::admin;
use crate::counters::{ClusterCounters, Counters};
use crate::endpoints::endpoints;
use crate::error::CqlError;
use crate::faults::{FaultRule, Faults};
use crate::limits::Limits;
use crate::node::{Ending, RunningNode};
use crate::persona::Persona;
use crate::replicas::Health;
use crate::routing::{Location, NODES_MAX, NodeIndex, Ring, Sharding};
use crate::schema::catalog::NodeInfo;
use crate::state::{EventKinds, Parts, Shared};
use crate::tablets::moved;
use crate::tls::Tls;
use crate::topology::{NewNode, TabletsChange};
use crate::users::Users;
use crate::wire::frame::BODY_LEN_MAX;
use crate::wire::write::Writer;

/// Bits of a token that sharding ignores: ScyllaDB's default.
const IGNORE_MSB: u8 = 12;
/// Tokens of each node.
const TOKENS_PER_NODE: usize = 16;
/// Commands that may wait for the cluster's thread.
const COMMANDS_MAX: usize = 16;

/// Settings of a [`Cluster`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start`"]
pub struct ClusterBuilder {
    persona: Persona,
    users: Users,
    tls: Option<Tls>,
    nodes: usize,
    shards: u16,
    addresses: Addresses,
    port: u16,
    shard_aware: ShardAware,
    canned: bool,
    compression: bool,
    seed: u64,
    datacenters: Vec<String>,
    racks: usize,
    body_len_max: usize,
    limits: Limits,
    tablets: bool,
    admin: Option<SocketAddr>,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            persona: Persona::default(),
            users: Users::default(),
            tls: None,
            nodes: 1,
            shards: 1,
            addresses: Addresses::Auto,
            port: 0,
            shard_aware: ShardAware::Default,
            canned: false,
            compression: true,
            seed: 0,
            datacenters: vec!["datacenter1".to_owned()],
            racks: 1,
            body_len_max: BODY_LEN_MAX,
            limits: Limits::default(),
            tablets: false,
            admin: None,
        }
    }
}

impl ClusterBuilder {
    /// The database that the cluster passes for; ScyllaDB unless set. Cassandra has no shards and
    /// no shard-aware port.
    pub fn persona(mut self, persona: Persona) -> Self {
        self.persona = persona;
        self
    }

    /// Adds a superuser, who logs in with this password (PLAIN). Everybody is let in unless there
    /// is a user; then nobody else is, until CQL makes other roles. Neither may be empty.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.add(name.into(), password.into());
        self
    }

    /// Speaks TLS, and nothing else, on all ports of all nodes. They speak plainly unless set.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Number of nodes, 1 to 254; 1 unless set.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Shards of each node, at least 1; 1 unless set.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = shards;
        self
    }

    /// Address of the first node; the others follow it. A free loopback net unless set.
    pub fn address(mut self, address: impl Into<Addresses>) -> Self {
        self.addresses = address.into();
        self
    }

    /// Plain port of all nodes; 0, the default, takes one that is free on all of them.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Whether there is a shard-aware port; there is unless set to false.
    pub fn shard_aware_port(mut self, enabled: bool) -> Self {
        self.shard_aware = if enabled { ShardAware::Default } else { ShardAware::None };
        self
    }

    /// Shard-aware port of all nodes; 0 takes a free one. The plain port plus 10,000 unless set, or
    /// any free one if the plain port is 0.
    pub fn shard_aware_port_number(mut self, port: u16) -> Self {
        self.shard_aware = ShardAware::Port(port);
        self
    }

    /// Whether EXECUTE is answered with replies encoded once per statement (see `README.md`).
    pub fn canned(mut self, canned: bool) -> Self {
        self.canned = canned;
        self
    }

    /// Whether clients may ask for LZ4 or Snappy; they may unless set to false.
    pub fn compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    /// Seed of the nodes' tokens and of the fault rules' chances.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Name of the datacenter; `datacenter1` unless set.
    pub fn datacenter(self, datacenter: impl Into<String>) -> Self {
        self.datacenters([datacenter])
    }

    /// Names of the datacenters that the nodes are dealt to in turn, at least one.
    pub fn datacenters<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.datacenters = names.into_iter().map(Into::into).collect();
        self
    }

    /// Number of racks that each datacenter's nodes are dealt to in turn; 1 unless set.
    pub fn racks(mut self, racks: usize) -> Self {
        self.racks = racks;
        self
    }

    /// Longest request body in bytes; a longer one is refused. 256 MiB unless set.
    pub fn body_len_max(mut self, body_len_max: usize) -> Self {
        self.body_len_max = body_len_max;
        self
    }

    /// How long a node waits for replicas that are to read before it answers that they have not; 5
    /// s unless set.
    pub fn read_request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.read_request_timeout = timeout;
        self
    }

    /// How long a node waits for replicas that are to write, also counters, the log of a batch, and
    /// what decides on a conditional statement; 2 s unless set.
    pub fn write_request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_request_timeout = timeout;
        self
    }

    /// How long TRUNCATE waits for all nodes; 60 s unless set.
    pub fn truncate_request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.truncate_request_timeout = timeout;
        self
    }

    /// Tombstones that a read may meet before its reply carries a warning; 1,000 unless set.
    pub fn tombstone_warn_threshold(mut self, count: usize) -> Self {
        self.limits.tombstone_warn_threshold = count;
        self
    }

    /// Tombstones that a read may meet before it fails; 100,000 unless set.
    pub fn tombstone_failure_threshold(mut self, count: usize) -> Self {
        self.limits.tombstone_failure_threshold = count;
        self
    }

    /// Bytes that a batch may write before its reply carries a warning; 5 KiB unless set.
    pub fn batch_size_warn_threshold(mut self, bytes: usize) -> Self {
        self.limits.batch_size_warn_threshold = bytes;
        self
    }

    /// Bytes that may be written to a partition at a time and, in protocol v5, that a request may
    /// have; 16 MiB unless set.
    pub fn max_mutation_size(mut self, bytes: usize) -> Self {
        self.limits.max_mutation_size = bytes;
        self
    }

    /// Whether there is no room to capture changes: then writes to tables `WITH cdc = true` fail.
    /// There is room unless set.
    pub fn cdc_has_no_room(mut self, cdc_has_no_room: bool) -> Self {
        self.limits.cdc_has_no_room = cdc_has_no_room;
        self
    }

    /// Whether nodes keep what others miss while these are down, and deliver it when they are up
    /// again; they do unless set to false.
    pub fn hinted_handoff_enabled(mut self, enabled: bool) -> Self {
        self.limits.hinted_handoff_enabled = enabled;
        self
    }

    /// For how long after a node went down the others keep what it misses; 3 h unless set.
    pub fn max_hint_window(mut self, window: Duration) -> Self {
        self.limits.max_hint_window = window;
        self
    }

    /// Whether keyspaces with NetworkTopologyStrategy have tablets unless they say `tablets =
    /// {'enabled': false}`; otherwise those have that say `{'enabled': true}`, which is so unless
    /// set. Cassandra has no tablets.
    pub fn tablets(mut self, tablets: bool) -> Self {
        self.tablets = tablets;
        self
    }

    /// Connections that a node takes at a time; one more is told that the node is overloaded. As
    /// many as the system allows unless set.
    pub fn max_concurrent_connections(mut self, count: usize) -> Self {
        self.limits.max_concurrent_connections = count;
        self
    }

    /// Connections that a node takes from one address at a time. As many as it takes at all unless
    /// set.
    pub fn max_concurrent_connections_per_ip(mut self, count: usize) -> Self {
        self.limits.max_concurrent_connections_per_ip = count;
        self
    }

    /// How long a client has to log in, or to send STARTUP if it need not, from the beginning of
    /// its connection, with TLS's handshake; 10 s unless set.
    pub fn login_timeout(mut self, timeout: Duration) -> Self {
        self.limits.login_timeout = timeout;
        self
    }

    /// Bytes that may be held for all clients that keep the nodes waiting: requests that have come
    /// in part, replies that are not read. Beyond it the connections are closed that have kept them
    /// waiting for longest. 1 GiB unless set.
    pub fn held_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.held_bytes_max = bytes;
        self
    }

    /// Address of the admin port (see `README.md`), port 0 for any. There is none unless set.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// Starts the cluster; when this returns, all nodes accept connections.
    ///
    /// # Errors
    ///
    /// If the settings make no sense or the addresses cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    pub async fn start(self) -> io::Result<Cluster> {
        self.check()?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (ready, is_ready) = oneshot::channel();
        let weak = commands.downgrade();
        let thread = std::thread::Builder::new()
            .name("shardwire-server".to_owned())
            .spawn(move || run_thread(&self, ready, receiver, &weak))?;
        // From here on, dropping `cluster` stops the thread.
        let mut cluster = Cluster { commands: Some(commands), thread: Some(thread), ready: None };
        let ended = |_| io::Error::other("the cluster's thread ended");
        cluster.ready = Some(is_ready.await.map_err(ended)??);
        Ok(cluster)
    }

    fn check(&self) -> io::Result<()> {
        let bad = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        match () {
            () if self.nodes == 0 || self.nodes > NODES_MAX => bad("nodes must be 1 to 254"),
            () if self.shards == 0 => bad("shards must be at least 1"),
            () if !self.users.can_log_in() => bad("names and passwords must not be empty"),
            () if self.racks == 0 => bad("racks must be at least 1"),
            () if self.datacenters.is_empty() => bad("there must be a datacenter"),
            () if self.persona == Persona::Cassandra && self.shards > 1 => {
                bad("Cassandra has no shards: shards must be 1")
            }
            () if self.persona == Persona::Cassandra && self.tablets => {
                bad("Cassandra has no tablets")
            }
            () if self.persona == Persona::Cassandra
                && matches!(self.shard_aware, ShardAware::Port(_)) =>
            {
                bad("Cassandra has no shard-aware port")
            }
            () => Ok(()),
        }
    }

    /// Where a node stands: they are dealt to datacenters and racks in turn.
    fn location(&self, node: NodeIndex) -> Location {
        let count = self.datacenters.len().max(1);
        let datacenter = self.datacenters.get(node % count).cloned().unwrap_or_default();
        Location { datacenter, rack: format!("rack{}", node / count % self.racks + 1) }
    }

    /// Binds the listeners and builds the state behind them.
    fn prepare(&self) -> io::Result<(Vec<Listeners>, Rc<Shared>)> {
        let listeners = bind_all(Wanted {
            addresses: self.addresses,
            nodes: self.nodes,
            port: self.port,
            shard_aware: match self.persona {
                Persona::Scylla => self.shard_aware,
                Persona::Cassandra => ShardAware::None,
            },
        })?;
        let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
        let port = first.plain.local_addr()?.port();
        let shard_aware_port = match &first.shard_aware {
            Some(listener) => Some(listener.local_addr()?.port()),
            None => None,
        };
        let locations: Vec<_> = (0..self.nodes).map(|node| self.location(node)).collect();
        let nodes = listeners.iter().zip(&locations).map(|(node, location)| NodeInfo {
            address: node.address,
            host_id: host_id(node.address),
            datacenter: location.datacenter.clone(),
            rack: location.rack.clone(),
        });
        let addresses = listeners.iter().map(|node| node.address.to_string());
        let shared = Shared::new(Parts {
            persona: self.persona,
            users: self.users.clone(),
            tls: self.tls.as_ref().map(Tls::acceptor).transpose()?,
            sharding: Sharding { nr_shards: self.shards, ignore_msb: IGNORE_MSB },
            nodes: nodes.collect(),
            ring: Ring::new(locations.clone(), TOKENS_PER_NODE, self.seed).with_shards(self.shards),
            port,
            shard_aware_port,
            canned: self.canned,
            compression: self.compression,
            body_len_max: self.body_len_max.min(BODY_LEN_MAX),
            counters: Arc::new(Counters::new(addresses, self.shards)),
            faults: Arc::new(Faults::new(self.seed)),
        });
        let mut shared = shared.map_err(|error| io::Error::other(error.message))?;
        shared.limits = self.limits;
        shared.schema.get_mut().tablets_by_default = self.tablets;
        Ok((listeners, Rc::new(shared)))
    }
}

fn invalid_input(error: CqlError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.message)
}

/// A version 4 UUID that says which address it belongs to.
fn host_id(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0x5A; 16];
    if let Some(tail) = bytes.last_chunk_mut() {
        *tail = address.octets();
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes()
}

/// What the caller of [`ClusterBuilder::start`] gets to know.
#[derive(Clone, Debug)]
struct Ready {
    /// Grows as nodes are added.
    contact_points: Arc<Mutex<Vec<SocketAddr>>>,
    shard_aware_port: Option<u16>,
    admin: Option<SocketAddr>,
    counters: Arc<Counters>,
    faults: Arc<Faults>,
}

/// What the cluster's thread is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    StartNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    StopNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    PauseNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    ResumeNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    DisableBinary(NodeIndex, oneshot::Sender<io::Result<()>>),
    EnableBinary(NodeIndex, oneshot::Sender<io::Result<()>>),
    AddNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    AddNewNode(NewNode, oneshot::Sender<io::Result<NodeIndex>>),
    RemoveNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    DecommissionNode(NodeIndex, oneshot::Sender<io::Result<()>>),
    /// Keyspace and table.
    ChangeTablets([String; 2], TabletsChange, oneshot::Sender<io::Result<()>>),
    /// Keyspace, table and key.
    Endpoints([String; 3], oneshot::Sender<io::Result<Vec<IpAddr>>>),
    /// Of a keyspace.
    Repair(String, oneshot::Sender<io::Result<()>>),
    Quit,
}

fn run_thread(
    builder: &ClusterBuilder,
    ready: oneshot::Sender<io::Result<Ready>>,
    commands: mpsc::Receiver<Command>,
    sender: &mpsc::WeakSender<Command>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match Nodes::start(builder, sender) {
            Ok((mut nodes, facts)) => {
                let _ = ready.send(Ok(facts));
                nodes.serve(commands).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

/// The nodes, as their thread holds them; `None` for one that is stopped.
struct Nodes {
    shared: Rc<Shared>,
    running: Vec<Option<RunningNode>>,
    builder: ClusterBuilder,
    contact_points: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Nodes {
    fn start(
        builder: &ClusterBuilder,
        sender: &mpsc::WeakSender<Command>,
    ) -> io::Result<(Self, Ready)> {
        let (listeners, shared) = builder.prepare()?;
        let mut admin_address = None;
        if let Some(address) = builder.admin {
            let listener = match address {
                SocketAddr::V4(v4) => TcpListener::from_std(bind(*v4.ip(), v4.port())?)?,
                SocketAddr::V6(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            admin_address = Some(listener.local_addr()?);
            tokio::task::spawn_local(admin::serve(listener, Rc::clone(&shared), sender.clone()));
        }
        let mut running = Vec::new();
        for (node, listeners) in listeners.into_iter().enumerate() {
            running.push(Some(RunningNode::start(&shared, node, listeners)?));
        }
        let point = |node: &NodeInfo| SocketAddr::from((node.address, shared.port));
        let contact_points: Vec<_> = shared.nodes.iter().map(point).collect();
        let contact_points = Arc::new(Mutex::new(contact_points));
        let ready = Ready {
            contact_points: Arc::clone(&contact_points),
            shard_aware_port: shared.shard_aware_port,
            admin: admin_address,
            counters: Arc::clone(&shared.counters),
            faults: Arc::clone(&shared.faults),
        };
        Ok((Self { shared, running, builder: builder.clone(), contact_points }, ready))
    }

    async fn serve(&mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::StopNode(node, done) => {
                    let _ = done.send(self.stop_node(node).await);
                }
                Command::StartNode(node, done) => {
                    let _ = done.send(self.start_node(node));
                }
                Command::PauseNode(node, done) => {
                    let _ = done.send(self.pause_node(node));
                }
                Command::ResumeNode(node, done) => {
                    let _ = done.send(self.resume_node(node));
                }
                Command::DisableBinary(node, done) => {
                    let _ = done.send(self.disable_binary(node).await);
                }
                Command::EnableBinary(node, done) => {
                    let _ = done.send(self.enable_binary(node));
                }
                Command::RemoveNode(node, done) => {
                    let _ = done.send(self.remove_node(node).await);
                }
                Command::DecommissionNode(node, done) => {
                    let _ = done.send(self.decommission_node(node).await);
                }
                Command::AddNode(node, done) => {
                    let _ = done.send(self.add_node(node));
                }
                Command::AddNewNode(new, done) => {
                    let _ = done.send(self.add_new_node(new));
                }
                Command::ChangeTablets([keyspace, table], change, done) => {
                    let _ = done.send(self.change_tablets(&keyspace, &table, change));
                }
                Command::Endpoints([keyspace, table, key], done) => {
                    let found = endpoints(&self.shared, &keyspace, &table, &key);
                    let _ = done.send(found.map_err(|error| io::Error::other(error.message)));
                }
                Command::Repair(keyspace, done) => {
                    let repaired = self.shared.repair(&keyspace);
                    let _ = done.send(repaired.map_err(|error| io::Error::other(error.message)));
                }
                Command::Quit => return,
            }
        }
    }

    fn health(&self, node: NodeIndex) -> io::Result<Health> {
        let state = self.shared.node_states.get(node).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.pulse.health())
    }

    fn set_health(&self, node: NodeIndex, health: Health) {
        if let Some(state) = self.shared.node_states.get(node) {
            state.pulse.set(health);
            self.shared.health_changed(node, health);
        }
    }

    /// Fails if the node has been stopped or removed.
    fn check_started(&self, node: NodeIndex) -> io::Result<()> {
        match self.health(node)? {
            Health::Down => Err(io::Error::new(io::ErrorKind::InvalidInput, "the node is stopped")),
            Health::Up | Health::Paused => Ok(()),
        }
    }

    async fn stop_node(&mut self, node: NodeIndex) -> io::Result<()> {
        let has_clients = self.close(node, Ending::Crash).await?;
        self.end(node);
        if has_clients {
            self.node_event("STATUS_CHANGE", "DOWN", node);
        }
        Ok(())
    }

    /// Closes ports and connections; whether there were any.
    async fn close(&mut self, node: NodeIndex, ending: Ending) -> io::Result<bool> {
        let slot = self.running.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
        let Some(running) = slot.take() else { return Ok(false) };
        running.stop(ending).await;
        if let Some(state) = self.shared.node_states.get(node) {
            state.listeners.borrow_mut().clear();
        }
        Ok(true)
    }

    /// The others know that it is gone; it forgets what was prepared.
    fn end(&self, node: NodeIndex) {
        self.set_health(node, Health::Down);
        if let Some(state) = self.shared.node_states.get(node) {
            state.prepared.borrow_mut().clear();
        }
    }

    fn start_node(&mut self, node: NodeIndex) -> io::Result<()> {
        let is_down = self.health(node)? == Health::Down;
        if !self.shared.ring.borrow().is_member(node) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the node was removed"));
        }
        self.open(node)?;
        if is_down {
            self.set_health(node, Health::Up);
        }
        Ok(())
    }

    /// Listens on its old ports, unless it does.
    fn open(&mut self, node: NodeIndex) -> io::Result<()> {
        let slot = self.running.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
        if slot.is_none() {
            *slot = Some(RunningNode::restart(&self.shared, node)?);
            self.node_event("STATUS_CHANGE", "UP", node);
        }
        Ok(())
    }

    fn pause_node(&self, node: NodeIndex) -> io::Result<()> {
        self.check_started(node)?;
        self.set_health(node, Health::Paused);
        Ok(())
    }

    fn resume_node(&self, node: NodeIndex) -> io::Result<()> {
        self.check_started(node)?;
        self.set_health(node, Health::Up);
        Ok(())
    }

    async fn disable_binary(&mut self, node: NodeIndex) -> io::Result<()> {
        self.check_started(node)?;
        if self.health(node)? == Health::Paused {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the node is paused"));
        }
        if self.close(node, Ending::Farewell).await? {
            self.node_event("STATUS_CHANGE", "DOWN", node);
        }
        Ok(())
    }

    fn enable_binary(&mut self, node: NodeIndex) -> io::Result<()> {
        self.check_started(node)?;
        self.open(node)
    }

    /// Gives what the node has to the others; false if it is no member.
    fn leave(&self, node: NodeIndex) -> io::Result<bool> {
        let (is_member, count) = {
            let ring = self.shared.ring.borrow();
            (ring.is_member(node), ring.member_count())
        };
        if is_member && count == 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is the last node"));
        }
        if is_member {
            self.shared.set_member(node, false).map_err(invalid_input)?;
        }
        Ok(is_member)
    }

    async fn remove_node(&mut self, node: NodeIndex) -> io::Result<()> {
        self.health(node)?;
        let is_member = self.leave(node)?;
        let was_running = self.close(node, Ending::Crash).await?;
        self.end(node);
        if is_member {
            self.node_event("TOPOLOGY_CHANGE", "REMOVED_NODE", node);
        }
        if was_running {
            self.node_event("STATUS_CHANGE", "DOWN", node);
        }
        Ok(())
    }

    async fn decommission_node(&mut self, node: NodeIndex) -> io::Result<()> {
        self.check_started(node)?;
        if self.health(node)? == Health::Paused {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the node is paused"));
        }
        if !self.leave(node)? {
            return Ok(());
        }
        // What has come by then is answered: it coordinates although it has no rows any more.
        let was_running = self.close(node, Ending::Farewell).await?;
        self.end(node);
        if was_running {
            self.node_event("STATUS_CHANGE", "DOWN", node);
        }
        self.node_event("TOPOLOGY_CHANGE", "REMOVED_NODE", node);
        Ok(())
    }

    fn add_new_node(&mut self, new: NewNode) -> io::Result<NodeIndex> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let node = self.shared.nodes.len();
        let Location { datacenter, rack } = self.builder.location(node);
        let datacenter = new.datacenter.unwrap_or(datacenter);
        let rack = new.rack.unwrap_or(rack);
        if datacenter.is_empty() || rack.is_empty() {
            return Err(wrong("datacenter and rack must not be empty"));
        }
        if node >= NODES_MAX {
            return Err(wrong("nodes must be 1 to 254"));
        }
        let first = self.shared.nodes.get(0).map(|first| first.address.to_bits());
        let next = |first: u32| first.checked_add(u32::try_from(node).ok()?);
        let address = first.and_then(next).map(Ipv4Addr::from_bits);
        let address = address.ok_or_else(|| wrong("the addresses end before the nodes do"))?;
        // First of all, so that nothing is left behind if its ports are taken.
        let listeners = Listeners {
            address,
            plain: bind(address, self.shared.port)?,
            shard_aware: self
                .shared
                .shard_aware_port
                .map(|port| bind(address, port))
                .transpose()?,
        };
        let info = NodeInfo { address, host_id: host_id(address), datacenter, rack };
        let added = self.shared.add_node(info, TOKENS_PER_NODE, self.builder.seed);
        let node = added.ok_or_else(|| wrong("nodes must be 1 to 254"))?;
        self.running.push(Some(RunningNode::start(&self.shared, node, listeners)?));
        let mut points = self.contact_points.lock().unwrap_or_else(PoisonError::into_inner);
        points.push(SocketAddr::from((address, self.shared.port)));
        drop(points);
        self.join(node)?;
        Ok(node)
    }

    fn change_tablets(&self, keyspace: &str, table: &str, change: TabletsChange) -> io::Result<()> {
        let changed = self.shared.change_tablets(keyspace, table, |tablets, ring| match change {
            TabletsChange::Split => {
                tablets.split().ok_or_else(|| format!("there are {} tablets", tablets.len()))
            }
            TabletsChange::Merge => {
                tablets.merged().ok_or_else(|| "there is one tablet alone".to_owned())
            }
            TabletsChange::Move { token, from, to } => {
                moved(tablets, token, [from.into(), to.into()], ring)
            }
        });
        changed.map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))
    }

    fn add_node(&mut self, node: NodeIndex) -> io::Result<()> {
        let slot = self.running.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
        if self.shared.ring.borrow().is_member(node) {
            return Ok(());
        }
        *slot = Some(RunningNode::restart(&self.shared, node)?);
        self.join(node)
    }

    /// Makes a node that accepts connections a member.
    fn join(&self, node: NodeIndex) -> io::Result<()> {
        self.set_health(node, Health::Up);
        self.shared.set_member(node, true).map_err(invalid_input)?;
        self.node_event("TOPOLOGY_CHANGE", "NEW_NODE", node);
        self.node_event("STATUS_CHANGE", "UP", node);
        Ok(())
    }

    fn node_event(&self, event: &str, change: &str, node: NodeIndex) {
        let Some(info) = self.shared.nodes.get(node) else { return };
        let body = |out: &mut Writer<'_>| {
            out.string(event);
            out.string(change);
            out.byte(4);
            out.raw(&info.address.octets());
            out.int(self.shared.port.into());
        };
        let wants = |kinds: EventKinds| match event {
            "STATUS_CHANGE" => kinds.status,
            _ => kinds.topology,
        };
        self.shared.send_event(Some(node), wants, body);
    }
}

/// A running cluster. It stops when this is dropped.
///
/// It has a thread and a runtime of its own and works beside any runtime of its user's.
#[derive(Debug)]
#[must_use = "the cluster stops when this is dropped"]
pub struct Cluster {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    /// `Some` from the end of `start` on.
    ready: Option<Ready>,
}

impl Cluster {
    /// Settings of a new cluster: one node with one shard on a free loopback address.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Address and plain port of every node.
    #[must_use]
    pub fn contact_points(&self) -> Vec<SocketAddr> {
        let Some(ready) = &self.ready else { return Vec::new() };
        ready.contact_points.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shard-aware port of every node, if they have one.
    #[must_use]
    pub fn shard_aware_port(&self) -> Option<u16> {
        self.ready.as_ref()?.shard_aware_port
    }

    /// Address of the admin port, if there is one.
    #[must_use]
    pub fn admin(&self) -> Option<SocketAddr> {
        self.ready.as_ref()?.admin
    }

    /// Where requests have arrived since the start or the last reset.
    #[must_use]
    pub fn counters(&self) -> ClusterCounters {
        match &self.ready {
            Some(ready) => ready.counters.read(),
            None => ClusterCounters { nodes: Vec::new() },
        }
    }

    /// Sets all counters to 0, except those of open connections.
    pub fn reset_counters(&self) {
        if let Some(ready) = &self.ready {
            ready.counters.reset();
        }
    }

    /// Adds a fault rule behind those there are.
    pub fn add_fault(&self, rule: FaultRule) {
        if let Some(ready) = &self.ready {
            ready.faults.add(rule);
        }
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        if let Some(ready) = &self.ready {
            ready.faults.clear();
        }
    }

    /// Stops a node: its ports and connections are closed when this returns, and the clients of the
    /// other nodes are told that it is down. Does nothing if it is stopped.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    ///
    /// # Cancel safety
    ///
    /// The node is stopped even if the future is dropped after its first poll.
    pub async fn stop_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::StopNode(node, done)).await
    }

    /// Starts a stopped node on its old ports, without the statements it had prepared, and tells
    /// the clients of the other nodes that it is up. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// If there is no such node, or its ports are in use by now.
    ///
    /// # Cancel safety
    ///
    /// The node is started even if the future is dropped after its first poll.
    pub async fn start_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::StartNode(node, done)).await
    }

    /// Stops a node in its tracks, as SIGSTOP does to a process: its connections stay open, it
    /// answers nothing, and new connections wait. The others go on counting on it, so requests that
    /// need its answer time out. Does nothing if it is paused.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is stopped.
    ///
    /// # Cancel safety
    ///
    /// The node is paused even if the future is dropped after its first poll.
    pub async fn pause_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::PauseNode(node, done)).await
    }

    /// Lets a paused node go on: it answers what has come meanwhile. Does nothing if it is not
    /// paused.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is stopped.
    ///
    /// # Cancel safety
    ///
    /// The node goes on even if the future is dropped after its first poll.
    pub async fn resume_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::ResumeNode(node, done)).await
    }

    /// Closes a node to clients, as `nodetool disablebinary` does: its ports and connections are
    /// closed when this returns, and the clients of the other nodes are told that it is down. As a
    /// replica it goes on answering. Clients have half a second to see the end of a connection and
    /// close it too. Does nothing if it is closed.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is stopped or paused.
    ///
    /// # Cancel safety
    ///
    /// The node is closed even if the future is dropped after its first poll.
    pub async fn disable_binary(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::DisableBinary(node, done)).await
    }

    /// Opens a node to clients again and tells those of the other nodes that it is up. Does nothing
    /// if it is open.
    ///
    /// # Errors
    ///
    /// If there is no such node, it is stopped, or its ports are in use by now.
    ///
    /// # Cancel safety
    ///
    /// The node is opened even if the future is dropped after its first poll.
    pub async fn enable_binary(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::EnableBinary(node, done)).await
    }

    /// Takes a node out of the cluster: it is stopped, the others list it no longer and take over
    /// its ranges, and their clients are told. Does nothing if it was removed before.
    ///
    /// # Errors
    ///
    /// If there is no such node or no other, or too few would be left for a keyspace's tablets.
    ///
    /// # Cancel safety
    ///
    /// The node is removed even if the future is dropped after its first poll.
    pub async fn remove_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::RemoveNode(node, done)).await
    }

    /// Takes a removed node in again, with the tokens that it had, and tells the clients of the
    /// other nodes that it is new and up. Does nothing if it was not removed.
    ///
    /// # Errors
    ///
    /// If there is no such node, or its ports are in use by now.
    ///
    /// # Cancel safety
    ///
    /// The node is added even if the future is dropped after its first poll.
    pub async fn add_node(&self, node: usize) -> io::Result<()> {
        self.command(|done| Command::AddNode(node, done)).await
    }

    /// The addresses of the nodes that hold a partition, as `nodetool getendpoints` tells; `key`
    /// has the columns of the partition key as text, with colons between them.
    ///
    /// # Errors
    ///
    /// If there is no such table, or the text is no key of it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn endpoints(
        &self,
        keyspace: &str,
        table: &str,
        key: &str,
    ) -> io::Result<Vec<IpAddr>> {
        let names = [keyspace, table, key].map(str::to_owned);
        self.command(|done| Command::Endpoints(names, done)).await
    }

    /// Gives every replica of the tables of a keyspace what any of them has, as `nodetool repair`
    /// does.
    ///
    /// # Errors
    ///
    /// If there is no such keyspace, or a node is stopped or paused.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn repair(&self, keyspace: &str) -> io::Result<()> {
        self.command(|done| Command::Repair(keyspace.to_owned(), done)).await
    }

    pub(crate) async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Command,
    ) -> io::Result<T> {
        let ended = || io::Error::other("the cluster has stopped");
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        let (done, is_done) = oneshot::channel();
        commands.send(command(done)).await.map_err(|_| ended())?;
        is_done.await.map_err(|_| ended())?
    }

    /// Waits until the cluster has stopped, which an admin client can ask for.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn stopped(&self) {
        if let Some(commands) = &self.commands {
            commands.closed().await;
        }
    }

    /// Stops the cluster; all ports are closed when this returns. Dropping it does the same.
    pub fn shutdown(self) {}
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The thread ends when the last sender is gone.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
