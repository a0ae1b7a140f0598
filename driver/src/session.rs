//! The session: what a program holds, and what its requests and tasks share.
//!
//! [`Session`] is a handle, cheap to clone; when the last clone is dropped, all tasks end and all
//! sockets close. Running statements is `execute.rs`, `query.rs`, `batch.rs` and `pager.rs`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use shardwire_protocol::header::Version;
use shardwire_protocol::routing::{Partitioner, Token, token_of_key};
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::supported::Supported;
use shardwire_sync::WaitQueue;
use uuid::Uuid;

use crate::clock::{Clock, TICK};
use crate::connection::Conn;
use crate::control::Control;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, Listeners};
use crate::keeper::Keeper;
use crate::metadata::Metadata;
use crate::pool::{Aim, PoolTable};
use crate::runtime::{self, Instant, Notify, Task, watch};
use crate::settings::Settings;
use crate::statement::PreparedStatement;
use crate::topology::fetch::{self, Seen};
use crate::topology::tablets::Tables;
use crate::topology::{Current, Node, Topology, rank};

/// A connection to a cluster, shared by all who run statements on it.
///
/// Clones are handles to the same session.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let insert = session.prepare("INSERT INTO shop.items (id, name) VALUES (?, ?)").await?;
/// let tasks = [(1_i64, "lamp"), (2, "table")].map(|row| {
///     let (session, insert) = (session.clone(), insert.clone());
///     tokio::spawn(async move { session.execute_unpaged(&insert, row).await })
/// });
/// for task in tasks {
///     task.await??;
/// }
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Session {
    pub(crate) inner: Arc<Handle>,
}

/// A node that holds a partition.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// for replica in session.replicas("shop", shardwire::Token(7)) {
///     match replica.shard {
///         Some(shard) => println!("shard {shard} of {}", replica.node.address),
///         None => println!("{}", replica.node.address),
///     }
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Replica {
    /// The node.
    pub node: Arc<Node>,
    /// The shard that owns the partition there; `None` where the node has no shards, or no
    /// connection yet that would tell.
    pub shard: Option<u16>,
}

/// Ends the session when the last clone goes.
pub(crate) struct Handle(Arc<Inner>);

impl Deref for Handle {
    type Target = Inner;

    #[inline]
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

/// What requests and tasks share. Tasks hold it without keeping the session alive.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    /// The default time-out, in ticks.
    pub(crate) timeout: u32,
    pub(crate) clock: Arc<Clock>,
    pub(crate) topology: Current,
    pub(crate) tables: Tables,
    pub(crate) pools: PoolTable,
    /// Requests that wait for any connection at all.
    pub(crate) waiting: WaitQueue,
    /// Somebody began to wait: deadlines must be looked at.
    pub(crate) sweep: Notify,
    pub(crate) contact_points: Box<[SocketAddr]>,
    /// Port of all nodes: that of the contact point that answered.
    port: AtomicU16,
    control: OnceLock<Control>,
    keepers: Mutex<HashMap<Uuid, Arc<Keeper>>>,
    /// What the present snapshot was made from.
    last_seen: Mutex<Option<Seen>>,
    /// The version of the protocol that all nodes are spoken to in: that of the first.
    version: OnceLock<Version>,
    /// Bit 32 set: the mask in the low half marks conditional statements.
    lwt_mark: AtomicU64,
    pub(crate) listeners: Listeners,
    pub(crate) metadata: ArcSwap<Metadata>,
    /// New requests are refused; see `close.rs`.
    closing: AtomicBool,
    /// All but the I/O tasks.
    tasks: Mutex<Vec<Task>>,
    stop: watch::Sender<bool>,
}

impl Session {
    pub(crate) async fn connect(
        settings: Settings,
        contact_points: Vec<SocketAddr>,
        timeout_ticks: u32,
    ) -> Result<Session, Error> {
        Error::warm_up();
        let Some(first) = contact_points.first().copied() else {
            return Err(Error::config("no contact point was given"));
        };
        let inner = Arc::new(Inner {
            waiting: WaitQueue::new(settings.limits.waiting_max),
            settings,
            timeout: timeout_ticks,
            clock: Arc::new(Clock::new()),
            topology: Current::new(Topology::empty()),
            tables: Tables::default(),
            pools: PoolTable::new(),
            sweep: Notify::new(),
            contact_points: contact_points.into(),
            port: AtomicU16::new(first.port()),
            control: OnceLock::new(),
            keepers: Mutex::new(HashMap::new()),
            last_seen: Mutex::new(None),
            version: OnceLock::new(),
            lwt_mark: AtomicU64::new(0),
            listeners: Listeners::default(),
            metadata: ArcSwap::default(),
            closing: AtomicBool::new(false),
            tasks: Mutex::new(Vec::new()),
            stop: watch::Sender::new(false),
        });
        let session = Session { inner: Arc::new(Handle(Arc::clone(&inner))) };
        let control = Control::new(&inner, first)?;
        let control = inner.control.get_or_init(|| control);
        let mut connected = Err(Error::config("no contact point was given"));
        for peer in &inner.contact_points {
            inner.set_port(peer.port());
            connected = control.connect(&inner, *peer).await.map_err(|error| match error.kind() {
                ErrorKind::Authentication | ErrorKind::Connect => error,
                _ => Error::connect(Some(*peer), error.to_string()), // it did answer, but how
            });
            match &connected {
                Err(error) if error.kind() != ErrorKind::Authentication => {}
                _ => break, // whom one node does not let in, the others don't either
            }
        }
        connected?;
        inner.keep(runtime::spawn(Control::run(Arc::clone(&inner))));
        inner.keep(runtime::spawn(sweep(Arc::clone(&inner))));
        for keeper in inner.all_keepers() {
            keeper.settled().await;
        }
        Ok(session)
    }

    /// Reads the cluster's nodes and keyspaces anew, and the schema if it has changed.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// session.refresh_metadata().await?; // sooner than it would be by itself
    /// assert_eq!(session.nodes().len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Connect`] if no node can be asked, and what the nodes answer.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn refresh_metadata(&self) -> Result<(), Error> {
        match self.inner.control() {
            _ if self.inner.is_closing() => Err(Error::shutdown()),
            Some(control) => control.refresh(&self.inner.0, None).await,
            None => Err(Error::shutdown()),
        }
    }

    /// The nodes of the cluster as last seen.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// for node in session.nodes() {
    ///     println!("{} at {}", node.host_id, node.address);
    /// }
    /// # assert_eq!(session.nodes().len(), 1);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.inner.topology.load_full().nodes.to_vec()
    }

    /// The nodes that hold `token` in `keyspace`, each with the shard that owns it there.
    ///
    /// Empty if the keyspace is not known, or its tables have tablets: then each table has replicas
    /// of its own, see [`replicas_of`](Self::replicas_of).
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let token = session.token_of_key(&7_i64.to_be_bytes());
    /// assert_eq!(session.replicas("shop", token).len(), 1);
    /// assert!(session.replicas("no_such_keyspace", token).is_empty());
    /// # Ok(()) });
    /// ```
    // Allocates: the list.
    #[must_use]
    pub fn replicas(&self, keyspace: &str, token: Token) -> Vec<Replica> {
        let topology = self.inner.topology.load_full();
        let Some(keyspace) = topology.keyspace_index(keyspace) else { return Vec::new() };
        let replicas = topology.replicas(keyspace, token).iter();
        let nodes = replicas.filter_map(|index| topology.nodes.get(usize::from(*index)));
        nodes
            .map(|node| {
                let pool = node.pool().and_then(|pool| self.inner.pools.get(pool));
                let sharder = pool.and_then(|pool| pool.sharder);
                let shard = sharder.map(|sharder| sharder.shard_of(token));
                Replica { node: Arc::clone(node), shard }
            })
            .collect()
    }

    /// The nodes and shards that `values` of this statement belong to, the primary first.
    ///
    /// Empty if the partition key is not bound, or the partition is in a tablet (ScyllaDB) of which
    /// no node has told yet: one does when a request for it comes to a wrong place.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let replicas = session.replicas_of(&select, &(7_i64,))?;
    /// assert_eq!(replicas[0].node.host_id, session.nodes()[0].host_id);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As [`PreparedStatement::calculate_token`].
    // Allocates: the list.
    pub fn replicas_of(
        &self,
        prepared: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<Vec<Replica>, Error> {
        let token = prepared.calculate_token(values)?;
        let column = prepared.get_variable_col_specs().first();
        let Some((token, column)) = token.zip(column) else { return Ok(Vec::new()) };
        let by_ring = self.replicas(&column.keyspace, token);
        if !by_ring.is_empty() {
            return Ok(by_ring);
        }
        let topology = self.inner.topology.load_full();
        let homes = prepared.shared.tablets.find(&topology, token);
        let homes = homes.nodes().iter().zip(homes.shards());
        let replica = |(node, shard): (&u16, &u16)| {
            let node = topology.nodes.get(usize::from(*node))?;
            Some(Replica { node: Arc::clone(node), shard: Some(*shard) })
        };
        Ok(homes.filter_map(replica).collect())
    }

    /// The token of a partition key given as the bytes that are hashed: a single column's value
    /// as it is, several with length and end of component (CQL v4, "composite").
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let select = session.prepare("SELECT name FROM shop.items WHERE id = ?").await?;
    /// let token = session.token_of_key(&7_i64.to_be_bytes());
    /// assert_eq!(select.calculate_token(&(7_i64,))?, Some(token));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn token_of_key(&self, key: &[u8]) -> Token {
        token_of_key(key, Partitioner::Murmur3)
    }

    /// Waits until all reachable nodes have the same schema, and says which version that is.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// // After another program has changed the schema; for one's own changes the session waits.
    /// session.await_schema_agreement().await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Timeout`] after
    /// [`schema_agreement_timeout`](crate::SessionBuilder::schema_agreement_timeout), a minute
    /// unless set; [`crate::ErrorKind::Shutdown`].
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn await_schema_agreement(&self) -> Result<Uuid, Error> {
        if self.inner.is_closing() {
            return Err(Error::shutdown());
        }
        self.inner.await_schema_agreement().await
    }

    /// The version of the schema, if all reachable nodes have the same now.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let version = session.await_schema_agreement().await?;
    /// assert_eq!(session.check_schema_agreement().await?, Some(version));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// What asking a node ends with, after another one has been asked if the first was lost.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn check_schema_agreement(&self) -> Result<Option<Uuid>, Error> {
        if self.inner.is_closing() {
            return Err(Error::shutdown());
        }
        self.inner.check_schema_agreement().await
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes = self.inner.topology.load_full().nodes.len();
        f.debug_struct("Session").field("nodes", &nodes).finish_non_exhaustive()
    }
}

impl Handle {
    /// After a statement that changed the schema: agreement, then the topology with it.
    pub(crate) async fn refresh(&self, keyspace: &str) -> Result<(), Error> {
        if self.0.settings.schema.auto_await_agreement {
            self.0.await_schema_agreement().await?;
        }
        // The statement has been executed, whatever becomes of the reading.
        if let Some(control) = self.0.control()
            && let Err(error) = control.refresh(&self.0, Some(keyspace)).await
        {
            tracing::warn!(%error, "the changed schema could not be read");
        }
        Ok(())
    }
}

impl Inner {
    pub(crate) fn control(&self) -> Option<&Control> {
        self.control.get()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    pub(crate) fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether new requests are refused.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// From now on new requests are refused.
    pub(crate) fn begin_close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Keeps a task's handle until the task has ended.
    pub(crate) fn keep(&self, task: Task) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.has_ended());
        tasks.push(task);
    }

    /// Whether all tasks have ended.
    pub(crate) fn has_ended(&self) -> bool {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().all(Task::has_ended) && self.pools.iter().all(|pool| pool.has_ended())
    }

    /// Requests that somebody waits for.
    pub(crate) fn in_flight(&self) -> usize {
        let on_connections: usize = self.pools.iter().map(|pool| pool.in_flight()).sum();
        on_connections.saturating_add(self.waiting.len())
    }

    pub(crate) fn shut_down(&self) {
        self.begin_close();
        self.stop.send_replace(true);
        for pool in self.pools.iter() {
            pool.shut_down();
        }
        self.waiting.notify(usize::MAX);
        self.with_keepers(HashMap::clear);
        self.listeners.end();
    }

    /// Resolves when the session ends.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the session is gone altogether.
            drop(stop.wait_for(|stop| *stop).await);
        }
    }

    pub(crate) fn with_keepers<T>(
        &self,
        f: impl FnOnce(&mut HashMap<Uuid, Arc<Keeper>>) -> T,
    ) -> T {
        f(&mut self.keepers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version of the protocol, once the first node has answered.
    pub(crate) fn agreed_version(&self) -> Option<Version> {
        self.version.get().copied()
    }

    /// The version of the protocol that requests are encoded in.
    pub(crate) fn version(&self) -> Version {
        self.agreed_version().unwrap_or_default()
    }

    /// The first node has answered in this version.
    pub(crate) fn agree(&self, version: Version) {
        self.version.get_or_init(|| version);
    }

    pub(crate) fn all_keepers(&self) -> Vec<Arc<Keeper>> {
        self.with_keepers(|keepers| keepers.values().map(Arc::clone).collect())
    }

    /// What a node says of itself that concerns all statements.
    pub(crate) fn learn(&self, supported: &Supported) {
        if let Some(mask) = supported.lwt_mark {
            self.lwt_mark.store(1 << 32 | u64::from(mask), Ordering::Relaxed);
        }
    }

    /// The flag of PREPARED metadata that marks conditional statements, if nodes set one.
    pub(crate) fn lwt_mark(&self) -> Option<u32> {
        let mark = self.lwt_mark.load(Ordering::Relaxed);
        if mark >> 32 == 1 { u32::try_from(mark & u64::from(u32::MAX)).ok() } else { None }
    }

    /// Makes what was seen the present snapshot; starts and stops keepers accordingly.
    pub(crate) fn apply(self: &Arc<Self>, seen: &Seen) {
        let mut last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.with_keepers(|keepers| {
            // Under the keepers' lock, so that two readings do not overtake each other.
            let present = self.topology.load_full();
            let is_same =
                |last: &Seen| last.nodes == seen.nodes && last.keyspaces == seen.keyspaces;
            let ranks = rank::ranks(&present.nodes, &self.settings.preference);
            let is_same = last_seen.as_ref().is_some_and(is_same) && ranks == present.ranks;
            let next = if is_same {
                present // nothing has changed: indexes that are cached stay good
            } else {
                let next = Arc::new(Topology::next(&present, seen, &self.settings.preference));
                self.topology.store(Arc::clone(&next));
                self.tell_difference(&present, &next);
                if let Some(before) = last_seen.replace(seen.clone()) {
                    self.forget_tablets(&before, seen);
                }
                next
            };
            if self.is_shut_down() {
                return;
            }
            keepers.retain(|_, keeper| {
                let stays = next.nodes.iter().any(|node| Arc::ptr_eq(node, keeper.node()));
                if !stays {
                    keeper.stop();
                }
                stays
            });
            for node in &next.nodes {
                keepers
                    .entry(node.host_id)
                    .or_insert_with(|| Keeper::start(self, Arc::clone(node)));
            }
        });
    }

    /// Forgets the tablets of which it is known that they are elsewhere now, or have replicas that
    /// nobody tells of: a node that still has one does not.
    fn forget_tablets(&self, before: &Seen, after: &Seen) {
        for keyspace in before.keyspaces.iter().filter(|row| !after.keyspaces.contains(row)) {
            self.tables.forget_keyspace(&keyspace.name);
        }
        let is_there = |host_id: &Uuid| after.nodes.iter().any(|node| node.host_id == *host_id);
        let host_ids = before.nodes.iter().map(|node| node.host_id);
        let gone: Vec<Uuid> = host_ids.filter(|host_id| !is_there(host_id)).collect();
        if !gone.is_empty() {
            self.tables.forget_nodes(&gone);
        }
    }

    /// Tells listeners which nodes came and went.
    fn tell_difference(&self, before: &Topology, after: &Topology) {
        let is_in = |node: &Arc<Node>, topology: &Topology| {
            topology.nodes.iter().any(|other| Arc::ptr_eq(node, other))
        };
        for node in before.nodes.iter().filter(|node| !is_in(node, after)) {
            self.listeners.tell(|| Event::NodeRemoved(Arc::clone(node)));
        }
        for node in after.nodes.iter().filter(|node| !is_in(node, before)) {
            self.listeners.tell(|| Event::NodeAdded(Arc::clone(node)));
        }
    }

    /// Whether any node has an open connection that requests may use.
    pub(crate) fn is_reachable(&self) -> bool {
        let topology = self.topology.load_full();
        let mut pools = topology.usable_nodes().filter_map(|node| self.pools.get(node.pool()?));
        pools.any(|pool| pool.is_open())
    }

    /// Whether the node has an open connection.
    pub(crate) fn is_connected(&self, host_id: Uuid) -> bool {
        let topology = self.topology.load_full();
        let node = topology.nodes.iter().find(|node| node.host_id == host_id);
        let pool = node.and_then(|node| self.pools.get(node.pool()?));
        pool.is_some_and(|pool| pool.is_open())
    }

    /// A connection of each node that answers.
    pub(crate) fn one_conn_per_node(&self) -> impl Iterator<Item = &Conn> {
        let topology = self.topology.load_full();
        let pools: Vec<u32> = topology.nodes.iter().filter_map(|node| node.pool()).collect();
        pools.into_iter().filter_map(|pool| self.pools.get(pool)?.pick(Aim::Any))
    }

    /// Asks over the control connection; if that is lost, over one to any other node.
    async fn check_schema_agreement(&self) -> Result<Option<Uuid>, Error> {
        let Some(control) = self.control() else { return Err(Error::shutdown()) };
        let mut result = fetch::schema_agreement(self, control.conn()?).await;
        for conn in self.one_conn_per_node() {
            match &result {
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Timeout) => {}
                _ => break,
            }
            result = fetch::schema_agreement(self, conn).await;
        }
        if self.is_shut_down() { Err(Error::shutdown()) } else { result }
    }

    /// Errors are passed over until the time is up: whoever changed the schema must not be told
    /// that nothing was executed because a node could not be asked afterwards.
    async fn await_schema_agreement(&self) -> Result<Uuid, Error> {
        let settings = &self.settings.schema;
        let agreed = async {
            loop {
                match self.check_schema_agreement().await {
                    Ok(Some(version)) => return Ok(version),
                    Err(error) if error.kind() == ErrorKind::Shutdown => return Err(error),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "no word on the schema"),
                }
                runtime::sleep(settings.agreement_interval).await;
            }
        };
        let timeout = settings.agreement_timeout;
        runtime::within(timeout, agreed).await.unwrap_or_else(|| Err(Error::timeout(true)))
    }
}

/// Expires requests that wait for any connection, while there are some.
async fn sweep(inner: Arc<Inner>) {
    let work = async {
        loop {
            inner.sweep.notified().await;
            while !inner.waiting.is_empty() {
                runtime::sleep(TICK).await;
                inner.clock.advance(Instant::now());
                inner.waiting.expire(inner.clock.coarse());
            }
        }
    };
    runtime::race(work, inner.stopped()).await;
}
