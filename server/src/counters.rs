//! Where requests arrived: per node and shard.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::routing::NODES_MAX;

/// Counts of one shard since the start or the last reset.
///
/// A routed request is an EXECUTE, or a BATCH that begins with a prepared statement, on a table of
/// a user's keyspace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ShardCounters {
    /// The node is a replica of the key, the connection's shard owns it there.
    pub right: u64,
    /// The node is a replica, but another shard of it owns the key.
    pub wrong_shard: u64,
    /// The node is no replica of the key.
    pub wrong_node: u64,
    /// The request has no token: its statement does not bind the whole partition key.
    pub unrouted: u64,
    /// Connections open now. Not changed by a reset.
    pub connections: u64,
}

/// Counts of one node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NodeCounters {
    /// The node's address, without port.
    pub address: String,
    /// Counts by shard.
    pub shards: Vec<ShardCounters>,
}

/// Counts of a cluster.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ClusterCounters {
    /// Counts by node.
    pub nodes: Vec<NodeCounters>,
}

impl ClusterCounters {
    /// Sums over all nodes and shards.
    #[must_use]
    pub fn total(&self) -> ShardCounters {
        let mut total = ShardCounters::default();
        for shard in self.nodes.iter().flat_map(|node| &node.shards) {
            total.right += shard.right;
            total.wrong_shard += shard.wrong_shard;
            total.wrong_node += shard.wrong_node;
            total.unrouted += shard.unrouted;
            total.connections += shard.connections;
        }
        total
    }
}

/// Where one request arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    Right,
    WrongShard,
    WrongNode,
    Unrouted,
}

/// Live counts of one shard. The node's thread writes, any thread reads: `Relaxed` throughout,
/// since a count says nothing about other memory.
#[derive(Debug, Default)]
pub(crate) struct ShardCount {
    arrivals: [AtomicU64; 4],
    connections: AtomicU64,
}

impl ShardCount {
    #[inline]
    pub(crate) fn arrived(&self, arrival: Arrival) {
        if let Some(count) = self.arrivals.get(arrival as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> ShardCounters {
        let [right, wrong_shard, wrong_node, unrouted] =
            self.arrivals.each_ref().map(|count| count.load(Ordering::Relaxed));
        let connections = self.connections.load(Ordering::Relaxed);
        ShardCounters { right, wrong_shard, wrong_node, unrouted, connections }
    }
}

/// Live counts of one node, by shard, and its address.
type NodeCount = (String, Vec<ShardCount>);

/// Live counts of a cluster. There is room for all nodes from the start, since other threads read
/// while some are added.
#[derive(Debug)]
pub(crate) struct Counters {
    nodes: Box<[OnceLock<NodeCount>]>,
}

impl Counters {
    pub(crate) fn new(addresses: impl Iterator<Item = String>, shards: u16) -> Self {
        let counters = Self { nodes: (0..NODES_MAX).map(|_| OnceLock::new()).collect() };
        for address in addresses {
            counters.add(address, shards);
        }
        counters
    }

    /// Adds a node; `None` if there is no room.
    pub(crate) fn add(&self, address: String, shards: u16) -> Option<()> {
        let slot = self.nodes.get(self.all().count())?;
        slot.set((address, (0..shards).map(|_| ShardCount::default()).collect())).ok()
    }

    fn all(&self) -> impl Iterator<Item = &NodeCount> {
        self.nodes.iter().map_while(OnceLock::get)
    }

    #[inline]
    pub(crate) fn shard(&self, node: usize, shard: u16) -> Option<&ShardCount> {
        self.nodes.get(node)?.get()?.1.get(usize::from(shard))
    }

    pub(crate) fn read(&self) -> ClusterCounters {
        let node = |(address, shards): &NodeCount| NodeCounters {
            address: address.clone(),
            shards: shards.iter().map(ShardCount::read).collect(),
        };
        ClusterCounters { nodes: self.all().map(node).collect() }
    }

    pub(crate) fn reset(&self) {
        let shards = self.all().flat_map(|(_, shards)| shards);
        shards
            .flat_map(|shard| &shard.arrivals)
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }

    pub(crate) fn connection_opened(&self, node: usize, shard: u16) {
        if let Some(count) = self.shard(node, shard) {
            count.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn connection_closed(&self, node: usize, shard: u16) {
        if let Some(count) = self.shard(node, shard) {
            count.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_arrival_and_resets() {
        let counters = Counters::new(["a".to_owned(), "b".to_owned()].into_iter(), 2);
        counters.connection_opened(1, 1);
        counters.shard(1, 1).unwrap().arrived(Arrival::WrongShard);
        counters.shard(0, 0).unwrap().arrived(Arrival::Right);
        let read = counters.read();
        assert_eq!(read.nodes[1].shards[1].wrong_shard, 1);
        assert_eq!((read.total().right, read.total().connections), (1, 1));
        counters.reset();
        assert_eq!(counters.read().total(), ShardCounters { connections: 1, ..Default::default() });
        assert!(counters.shard(2, 0).is_none());
    }
}
