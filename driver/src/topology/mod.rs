//! The cluster as last seen: nodes, ring, replicas. A snapshot, replaced whole.
//!
//! Requests look at it without writing to shared memory, and never across an await; nodes and
//! their pools outlive the snapshots, so an index into the pools stays good.
//! Reading it off the cluster is `topology/fetch.rs`; who is a replica is `topology/ring.rs`, or
//! `topology/tablets.rs` for tables that have tablets.

pub(crate) mod fetch;
pub(crate) mod rank;
pub(crate) mod ring;
pub(crate) mod schema;
pub(crate) mod tablets;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use shardwire_protocol::routing::Token;
use uuid::Uuid;

use rank::{EXCLUDED, Preference};
use ring::{Replication, Ring};

/// A node of the cluster, as long as the session knows it.
///
/// ```
/// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
/// # support::run(|session| async move {
/// let nodes = session.nodes();
/// assert!(nodes[0].address.is_loopback());
/// assert_eq!(nodes[0].datacenter.as_deref(), Some("datacenter1"));
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Node {
    /// The node's id, stable over restarts and changes of address.
    pub host_id: Uuid,
    /// Where clients reach it.
    pub address: IpAddr,
    /// The port there that is not the shard-aware one. Of nodes that do not tell (ScyllaDB, and
    /// Cassandra before 4.0) that of the contact point.
    pub port: u16,
    /// Its datacenter, if it has told.
    pub datacenter: Option<Box<str>>,
    /// Its rack, if it has told.
    pub rack: Option<Box<str>>,
    /// Index of its pool in the session's pool table, or `NO_POOL` before the first connection.
    pool: AtomicU32,
    /// Announced as down, and has not answered since.
    down: AtomicBool,
}

const NO_POOL: u32 = u32::MAX;

impl Node {
    pub(crate) fn new(row: &fetch::NodeRow) -> Node {
        Node {
            host_id: row.host_id,
            address: row.address.ip(),
            port: row.address.port(),
            datacenter: row.datacenter.clone(),
            rack: row.rack.clone(),
            pool: AtomicU32::new(NO_POOL),
            down: AtomicBool::new(false),
        }
    }

    /// Whether the cluster has announced the node as down, and it has not answered us since.
    ///
    /// ```
    /// # mod support { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctest.inc")); }
    /// # support::run(|session| async move {
    /// let nodes = session.nodes();
    /// let down = nodes.iter().filter(|node| node.is_down());
    /// assert_eq!(down.count(), 0);
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Whether it was marked as down until now.
    pub(crate) fn set_down(&self, is_down: bool) -> bool {
        self.down.swap(is_down, Ordering::Relaxed)
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Whether `row` describes this node unchanged.
    pub(crate) fn is(&self, row: &fetch::NodeRow) -> bool {
        self.host_id == row.host_id
            && self.socket_address() == row.address
            && self.datacenter == row.datacenter
            && self.rack == row.rack
    }

    #[inline]
    pub(crate) fn pool(&self) -> Option<u32> {
        // Pairs with the `Release` in `set_pool`: a pool is in the table before its index is here.
        match self.pool.load(Ordering::Acquire) {
            NO_POOL => None,
            pool => Some(pool),
        }
    }

    pub(crate) fn set_pool(&self, pool: u32) {
        self.pool.store(pool, Ordering::Release);
    }
}

/// A keyspace's replicas, ready to be looked up.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) name: Box<str>,
    /// For each position of the ring: which of `sets`.
    pub(crate) set_of_position: Box<[u32]>,
    /// Distinct replica lists, as indexes into `Topology::nodes`; none where tables have tablets.
    pub(crate) sets: Box<[Box<[u16]>]>,
}

impl Keyspace {
    /// Of the tables of which the ring says nothing.
    fn with_tablets(name: &str) -> Keyspace {
        Keyspace { name: name.into(), set_of_position: [].into(), sets: [].into() }
    }
}

/// One view of the cluster.
#[derive(Debug)]
pub(crate) struct Topology {
    /// Grows with each snapshot; caches of indexes carry it.
    pub(crate) version: u32,
    /// No other snapshot of any session has it.
    pub(crate) id: u64,
    pub(crate) nodes: Box<[Arc<Node>]>,
    pub(crate) ring: Ring,
    pub(crate) keyspaces: Box<[Keyspace]>,
    /// Which nodes are better than others.
    pub(crate) ranks: Box<[u8]>,
    /// None is.
    pub(crate) is_level: bool,
}

impl Topology {
    pub(crate) fn empty() -> Topology {
        Topology {
            version: 0,
            id: next_id(),
            nodes: [].into(),
            ring: Ring::default(),
            keyspaces: [].into(),
            ranks: [].into(),
            is_level: true,
        }
    }

    /// Builds the snapshot that follows `previous`; unchanged nodes are carried over.
    pub(crate) fn next(
        previous: &Topology,
        seen: &fetch::Seen,
        preference: &Preference,
    ) -> Topology {
        let nodes: Vec<Arc<Node>> = seen
            .nodes
            .iter()
            .take(usize::from(u16::MAX))
            .map(|row| {
                let known = previous.nodes.iter().find(|node| node.is(row));
                known.map_or_else(|| Arc::new(Node::new(row)), Arc::clone)
            })
            .collect();
        let ring = Ring::new(seen.nodes.iter().map(|row| row.tokens.as_slice()));
        let keyspaces = seen
            .keyspaces
            .iter()
            .map(|keyspace| match keyspace.has_tablets {
                true => Keyspace::with_tablets(&keyspace.name),
                false => ring.keyspace(&keyspace.name, &keyspace.replication, &nodes),
            })
            .collect();
        let version = previous.version.wrapping_add(1).max(1);
        let ranks = rank::ranks(&nodes, preference);
        if !ranks.is_empty() && ranks.iter().all(|rank| *rank == EXCLUDED) {
            tracing::warn!(?preference, "no node is in the preferred datacenter");
        }
        // All down is as good as all up.
        let is_level = ranks
            .first()
            .is_none_or(|first| *first != EXCLUDED && ranks.iter().all(|r| r == first));
        Topology { version, id: next_id(), nodes: nodes.into(), ring, keyspaces, ranks, is_level }
    }

    /// The nodes that requests may go to.
    pub(crate) fn usable_nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        let ranked = self.nodes.iter().zip(&self.ranks);
        ranked.filter(|(_, rank)| **rank != EXCLUDED).map(|(node, _)| node)
    }

    /// The node that an announcement means.
    pub(crate) fn node_at(&self, address: SocketAddr) -> Option<&Arc<Node>> {
        // By address alone where that says enough: a node may announce another port than ours.
        let mut nodes = self.nodes.iter().filter(|node| node.address == address.ip());
        let first = nodes.next()?;
        match nodes.next() {
            None => Some(first),
            Some(_) => self.nodes.iter().find(|node| node.socket_address() == address),
        }
    }

    /// Index of the keyspace of this name.
    pub(crate) fn keyspace_index(&self, name: &str) -> Option<usize> {
        self.keyspaces.iter().position(|keyspace| &*keyspace.name == name)
    }

    /// Index of the node with this id.
    pub(crate) fn node_index(&self, host_id: Uuid) -> Option<usize> {
        self.nodes.iter().position(|node| node.host_id == host_id)
    }

    /// The replicas of `token` in the keyspace of this index, primary first; none where tables
    /// have tablets.
    #[inline]
    pub(crate) fn replicas(&self, keyspace: usize, token: Token) -> &[u16] {
        let position = self.ring.position(token);
        let found = self.keyspaces.get(keyspace).and_then(|keyspace| {
            let set = *keyspace.set_of_position.get(position)?;
            keyspace.sets.get(set as usize)
        });
        found.map_or(&[], |set| set)
    }
}

/// An index into one of a snapshot's lists, looked up once per snapshot.
///
/// ```text
/// 63 ............. 32  31 ............... 0
/// topology version    | index + 1, or 0 for what is not there
/// ```
#[derive(Debug, Default)]
pub(crate) struct CachedIndex(AtomicU64);

impl CachedIndex {
    /// The index, which `find` looks up if it is not known for this snapshot.
    #[inline]
    pub(crate) fn get(
        &self,
        topology: &Topology,
        find: impl FnOnce() -> Option<usize>,
    ) -> Option<usize> {
        let cached = self.0.load(Ordering::Relaxed);
        if cached >> 32 == u64::from(topology.version) {
            return usize::try_from(cached & u64::from(u32::MAX)).ok()?.checked_sub(1);
        }
        self.look_up(topology, find)
    }

    #[cold]
    fn look_up(&self, topology: &Topology, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let found = find();
        let entry = found.map_or(0, |index| index as u64 + 1);
        self.0.store(u64::from(topology.version) << 32 | entry, Ordering::Relaxed);
        found
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The present snapshot, and what threads remember of it.
///
/// A thread keeps the snapshot it used last and finds by one load whether it is still the present
/// one; that is 70 instructions a request less than a guard of `arc-swap`. So a thread may hold on
/// to one outdated snapshot, until it makes its next request.
pub(crate) struct Current {
    topology: ArcSwap<Topology>,
    id: AtomicU64,
}

thread_local! {
    static LAST: Cell<Option<Arc<Topology>>> = const { Cell::new(None) };
}

impl Current {
    pub(crate) fn new(topology: Topology) -> Current {
        let id = AtomicU64::new(topology.id);
        Current { topology: ArcSwap::from_pointee(topology), id }
    }

    pub(crate) fn load_full(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    pub(crate) fn store(&self, topology: Arc<Topology>) {
        let id = topology.id;
        self.topology.store(topology);
        // Release: who sees this id finds this snapshot, or a later one; pairs with `with`.
        self.id.store(id, Ordering::Release);
    }

    /// Runs `f` on the present snapshot.
    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&Topology) -> T) -> T {
        let id = self.id.load(Ordering::Acquire);
        let topology = match LAST.take() {
            Some(last) if last.id == id => last,
            _ => self.topology.load_full(),
        };
        let result = f(&topology);
        LAST.set(Some(topology));
        result
    }
}

/// What the driver keeps of a keyspace's definition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyspaceRow {
    pub(crate) name: Box<str>,
    pub(crate) durable_writes: bool,
    pub(crate) replication: Replication,
    /// Its tables have tablets, by which ScyllaDB spreads rows instead of by the ring.
    pub(crate) has_tablets: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use fetch::{NodeRow, Seen};

    #[test]
    fn finds_the_node_that_an_announcement_means() {
        let addresses =
            ["10.0.0.1:9042", "10.0.0.2:9042", "10.0.0.2:9043"].map(|text| text.parse().unwrap());
        let row = |(id, address): (u128, &SocketAddr)| NodeRow {
            host_id: Uuid::from_u128(id),
            address: *address,
            datacenter: None,
            rack: None,
            tokens: Vec::new(),
        };
        let seen = Seen { nodes: (0..).zip(&addresses).map(row).collect(), ..Seen::default() };
        let topology = Topology::next(&Topology::empty(), &seen, &Preference::default());
        let find = |text: &str| Some(topology.node_at(text.parse().unwrap())?.host_id.as_u128());
        assert_eq!(find("10.0.0.1:9042"), Some(0));
        assert_eq!(find("10.0.0.1:9142"), Some(0)); // the port for another kind of client
        assert_eq!(find("10.0.0.2:9043"), Some(2));
        assert_eq!(find("10.0.0.2:9142"), None);
        assert_eq!(find("10.0.0.3:9042"), None);
    }
}
