//! The token ring: which nodes hold a token, for each replication strategy.
//!
//! Replica lists are worked out once per snapshot, one per ring position, and shared where equal;
//! a request finds its list with a jump table, a short scan and two indexed loads.

use std::collections::HashMap;
use std::sync::Arc;

use shardwire_protocol::routing::Token;

use super::{Keyspace, Node};
use crate::metadata::Strategy;

/// How a keyspace spreads its rows (CREATE KEYSPACE ... WITH replication).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Replication {
    /// The first `replication_factor` distinct nodes of the ring.
    Simple { replication_factor: u32 },
    /// So many nodes of each datacenter, over as many racks as there are.
    NetworkTopology { datacenters: Vec<(Box<str>, u32)> },
    /// Each node has everything (EverywhereStrategy) or only its own (LocalStrategy).
    AnyNode { class: Box<str> },
}

impl Replication {
    /// Reads the `replication` map of `system_schema.keyspaces`.
    pub(crate) fn from_options(options: &HashMap<String, String>) -> Replication {
        let class = options.get("class").map_or("", String::as_str);
        let class = class.rsplit('.').next().unwrap_or(class);
        // Transient replication writes "3/1": three replicas of which one is transient.
        let factor = |text: &str| text.split('/').next().and_then(|n| n.trim().parse::<u32>().ok());
        match class {
            "SimpleStrategy" => {
                let text = options.get("replication_factor").map_or("1", String::as_str);
                Replication::Simple { replication_factor: factor(text).unwrap_or(1) }
            }
            "NetworkTopologyStrategy" => {
                let mut datacenters: Vec<(Box<str>, u32)> = Vec::new();
                for (name, value) in options.iter().filter(|(name, _)| *name != "class") {
                    // Newer ScyllaDB may flatten rack lists: 'dc2:0' -> 'rack1' counts as one.
                    match (factor(value), name.rsplit_once(':')) {
                        (Some(n), None) => datacenters.push((name.as_str().into(), n)),
                        (None, Some((name, _))) if !value.is_empty() => {
                            match datacenters.iter_mut().find(|(known, _)| **known == *name) {
                                Some((_, n)) => *n += 1,
                                None => datacenters.push((name.into(), 1)),
                            }
                        }
                        _ => {}
                    }
                }
                datacenters.sort();
                Replication::NetworkTopology { datacenters }
            }
            _ => Replication::AnyNode { class: class.into() },
        }
    }

    /// The same for those who only want to know.
    pub(crate) fn strategy(&self) -> Strategy {
        match self {
            Replication::Simple { replication_factor } => {
                Strategy::SimpleStrategy { replication_factor: *replication_factor }
            }
            Replication::NetworkTopology { datacenters } => {
                Strategy::NetworkTopologyStrategy { datacenter_repfactors: datacenters.clone() }
            }
            Replication::AnyNode { class } => Strategy::Other { name: class.clone() },
        }
    }
}

/// All tokens in order, each with its owner.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    tokens: Box<[i64]>,
    owners: Box<[u16]>,
    /// `jump[high bits of a token]` is the first position whose token may be at or above it.
    jump: Box<[u32]>,
}

/// High bits of a token that index the jump table: 1024 entries, about one ring position each in
/// a cluster of four nodes with 256 tokens.
const JUMP_BITS: u32 = 10;

impl Ring {
    /// From each node's tokens, in the order of the nodes.
    pub(crate) fn new<'t>(nodes: impl Iterator<Item = &'t [i64]>) -> Ring {
        let mut entries: Vec<(i64, u16)> = Vec::new();
        for (index, tokens) in nodes.enumerate() {
            let Ok(owner) = u16::try_from(index) else { break };
            entries.extend(tokens.iter().map(|token| (*token, owner)));
        }
        entries.sort_unstable();
        entries.dedup_by_key(|(token, _)| *token);
        let tokens: Box<[i64]> = entries.iter().map(|(token, _)| *token).collect();
        let owners = entries.iter().map(|(_, owner)| *owner).collect();
        let jump = (0..1u64 << JUMP_BITS)
            .map(|high| {
                let lowest = unbias(high << (u64::BITS - JUMP_BITS));
                u32::try_from(tokens.partition_point(|token| *token < lowest)).unwrap_or(u32::MAX)
            })
            .collect();
        Ring { tokens, owners, jump }
    }

    /// Position of the first token at or above `token`; the ring wraps.
    #[inline]
    pub(crate) fn position(&self, token: Token) -> usize {
        let high = usize::try_from(bias(token.0) >> (u64::BITS - JUMP_BITS)).unwrap_or(0);
        let mut position = self.jump.get(high).map_or(0, |position| *position as usize);
        while let Some(at) = self.tokens.get(position) {
            if *at >= token.0 {
                return position;
            }
            position += 1;
        }
        0
    }

    /// Works out the replicas of each position.
    pub(crate) fn keyspace(
        &self,
        name: &str,
        replication: &Replication,
        nodes: &[Arc<Node>],
    ) -> Keyspace {
        let mut sets: Vec<Box<[u16]>> = Vec::new();
        let mut known: HashMap<Box<[u16]>, u32> = HashMap::new();
        let mut set_of_position = Vec::with_capacity(self.tokens.len());
        let datacenters = Datacenters::new(nodes);
        for position in 0..self.tokens.len() {
            let set: Box<[u16]> = match replication {
                Replication::Simple { replication_factor } => {
                    self.simple(position, *replication_factor)
                }
                Replication::NetworkTopology { datacenters: wanted } => {
                    self.network_topology(position, wanted, nodes, &datacenters)
                }
                Replication::AnyNode { .. } => self.simple(position, 1),
            };
            let next = u32::try_from(sets.len()).unwrap_or(u32::MAX);
            set_of_position.push(*known.entry(set.clone()).or_insert_with(|| {
                sets.push(set);
                next
            }));
        }
        Keyspace { name: name.into(), set_of_position: set_of_position.into(), sets: sets.into() }
    }

    /// Owners from `position` on, once around the ring.
    fn walk(&self, position: usize) -> impl Iterator<Item = u16> + '_ {
        let (before, after) = self.owners.split_at(position.min(self.owners.len()));
        after.iter().chain(before).copied()
    }

    fn simple(&self, position: usize, replication_factor: u32) -> Box<[u16]> {
        let mut set: Vec<u16> = Vec::new();
        for owner in self.walk(position) {
            if set.len() >= replication_factor as usize {
                break;
            }
            if !set.contains(&owner) {
                set.push(owner);
            }
        }
        set.into()
    }

    /// As Cassandra's NetworkTopologyStrategy: in each datacenter one node per rack first; a rack
    /// is used again only as often as there are too few racks.
    fn network_topology(
        &self,
        position: usize,
        wanted: &[(Box<str>, u32)],
        nodes: &[Arc<Node>],
        datacenters: &Datacenters<'_>,
    ) -> Box<[u16]> {
        let mut set: Vec<u16> = Vec::new();
        for (name, replication_factor) in wanted {
            let Some(datacenter) = datacenters.by_name.get(&**name) else { continue };
            let want = (*replication_factor as usize).min(datacenter.node_count);
            let mut repeats = want.saturating_sub(datacenter.racks.len());
            let mut racks: Vec<Option<&str>> = Vec::new();
            let start = set.len();
            for owner in self.walk(position) {
                if set.len() - start >= want {
                    break;
                }
                let Some(node) = nodes.get(usize::from(owner)) else { continue };
                if node.datacenter.as_deref() != Some(&**name) || set.contains(&owner) {
                    continue;
                }
                let rack = node.rack.as_deref();
                if !racks.contains(&rack) {
                    racks.push(rack);
                    set.push(owner);
                } else if repeats > 0 {
                    repeats -= 1;
                    set.push(owner);
                }
            }
        }
        set.into()
    }
}

struct Datacenter<'n> {
    node_count: usize,
    racks: Vec<Option<&'n str>>,
}

struct Datacenters<'n> {
    by_name: HashMap<&'n str, Datacenter<'n>>,
}

impl<'n> Datacenters<'n> {
    fn new(nodes: &'n [Arc<Node>]) -> Self {
        let mut by_name: HashMap<&str, Datacenter<'_>> = HashMap::new();
        for node in nodes {
            let Some(name) = node.datacenter.as_deref() else { continue };
            let entry =
                by_name.entry(name).or_insert(Datacenter { node_count: 0, racks: Vec::new() });
            entry.node_count += 1;
            if !entry.racks.contains(&node.rack.as_deref()) {
                entry.racks.push(node.rack.as_deref());
            }
        }
        Datacenters { by_name }
    }
}

/// Maps tokens to unsigned numbers of the same order.
#[inline]
pub(super) fn bias(token: i64) -> u64 {
    token.cast_unsigned() ^ (1 << 63)
}

fn unbias(token: u64) -> i64 {
    (token ^ (1 << 63)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fetch::NodeRow;
    use uuid::Uuid;

    /// The seven nodes that the official drivers' locator tests use.
    fn locator() -> (Ring, Vec<Arc<Node>>) {
        let rows: [(&str, &str, &[i64]); 7] = [
            ("eu", "r1", &[50, 250, 400]),
            ("eu", "r1", &[100, 600, 900]),
            ("eu", "r1", &[300, 650, 700]),
            ("us", "r1", &[350, 550]),
            ("us", "r1", &[150, 750]),
            ("us", "r2", &[200, 450]),
            ("eu", "r2", &[500, 800]),
        ];
        let nodes = rows.iter().map(|(datacenter, rack, tokens)| {
            Arc::new(Node::new(&NodeRow {
                host_id: Uuid::nil(),
                address: ([127, 0, 0, 1], 9042).into(),
                datacenter: Some((*datacenter).into()),
                rack: Some((*rack).into()),
                tokens: tokens.to_vec(),
            }))
        });
        (Ring::new(rows.iter().map(|(_, _, tokens)| *tokens)), nodes.collect())
    }

    #[track_caller]
    fn check(replication: &Replication, token: i64, expect: &str) {
        let (ring, nodes) = locator();
        let keyspace = ring.keyspace("k", replication, &nodes);
        let position = ring.position(Token(token));
        let set = &keyspace.sets[keyspace.set_of_position[position] as usize];
        let names: String =
            set.iter().map(|node| char::from(b"ABCDEFG"[usize::from(*node)])).collect();
        assert_eq!(names, expect);
    }

    #[test]
    fn walks_the_ring_for_simple_strategy() {
        let simple = |replication_factor| Replication::Simple { replication_factor };
        check(&simple(2), 160, "FA");
        check(&simple(7), 200, "FACDGBE");
        check(&simple(5), 701, "EGBAF");
        check(&simple(8), 701, "EGBAFCD");
    }

    #[test]
    fn spreads_over_racks_for_network_topology_strategy() {
        let of =
            |name: &str, n| Replication::NetworkTopology { datacenters: vec![(name.into(), n)] };
        check(&of("eu", 1), 160, "A");
        check(&of("eu", 2), 160, "AG");
        check(&of("eu", 3), 160, "ACG");
        check(&of("eu", 4), 160, "ACGB");
        check(&of("us", 2), 160, "FD");
        check(&of("us", 3), 160, "FDE");
        check(&of("us", 9), 160, "FDE");
        check(&of("nowhere", 3), 160, "");
    }

    #[test]
    fn finds_positions_at_the_edges() {
        let (ring, _) = locator();
        for (token, position) in
            [(i64::MIN, 0), (50, 0), (51, 1), (900, 16), (901, 0), (i64::MAX, 0), (-1, 0)]
        {
            assert_eq!(ring.position(Token(token)), position, "{token}");
        }
        assert_eq!(Ring::default().position(Token(7)), 0);
    }

    #[test]
    fn finds_what_a_plain_search_finds() {
        let mut random = fastrand::Rng::with_seed(7);
        let tokens: Vec<i64> = (0..768).map(|_| random.i64(..)).collect();
        let ring = Ring::new([tokens.as_slice()].into_iter());
        let mut sorted = tokens;
        sorted.sort_unstable();
        for _ in 0..100_000 {
            let token = random.i64(..);
            let expect = sorted.partition_point(|at| *at < token) % sorted.len();
            assert_eq!(ring.position(Token(token)), expect);
        }
    }

    #[test]
    fn reads_replication_options() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<HashMap<_, _>>()
        };
        assert_eq!(
            Replication::from_options(&map(&[
                ("class", "org.apache.cassandra.locator.SimpleStrategy"),
                ("replication_factor", "3")
            ])),
            Replication::Simple { replication_factor: 3 }
        );
        assert_eq!(
            Replication::from_options(&map(&[
                ("class", "NetworkTopologyStrategy"),
                ("dc1", "3/1"),
                ("dc2:0", "rack1"),
                ("dc2:1", "rack2"),
                ("dc3:-1", "")
            ])),
            Replication::NetworkTopology {
                datacenters: vec![("dc1".into(), 3), ("dc2".into(), 2)]
            }
        );
        assert_eq!(
            Replication::from_options(&map(&[("class", "LocalStrategy")])),
            Replication::AnyNode { class: "LocalStrategy".into() }
        );
    }
}
