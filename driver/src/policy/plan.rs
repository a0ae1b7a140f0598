//! The order in which nodes are tried for one request, without ever listing them.
//!
//! The replicas of the token come first, beginning with a random one so that they share the load
//! (a conditional statement begins with the primary, where its Paxos rounds meet no rivals); then
//! the other nodes. The n-th choice is worked out when it is asked for.
//!
//! Where nodes differ in rank - a datacenter is preferred, or a node is down - the better ones come
//! first: replicas of the rack, of the datacenter, other nodes there, then remote replicas and
//! other remote nodes; those that are down in the same order after all others. `start` tells that
//! they differ, so that otherwise nothing more is looked at than one flag of the snapshot.
//!
//! Step 4 of 14 in `docs/REQUEST.md`. Next: `driver/src/pool.rs`.

use std::ops::Range;
use std::sync::Arc;

use shardwire_protocol::routing::Token;

use crate::topology::rank::{DATACENTER, DOWN, RACK, REMOTE};
use crate::topology::{Node, Topology};

/// What a statement says about where it belongs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Routing<'t> {
    /// Nodes that hold the partition, as indexes into the snapshot's; empty when it is not known.
    pub(crate) replicas: &'t [u16],
    pub(crate) token: Option<Token>,
    /// Replicas in ring order, the primary first.
    pub(crate) in_order: bool,
}

pub(crate) struct Plan<'t> {
    topology: &'t Topology,
    replicas: &'t [u16],
    /// Where in `replicas` to begin; `RANKED` or `RANKED_IN_ORDER` where ranks decide.
    start: usize,
    seed: u32,
}

/// Beyond any list of replicas, and far enough from overflow.
const RANKED: usize = usize::MAX / 2;
/// The same; replicas of a datacenter in ring order.
const RANKED_IN_ORDER: usize = RANKED + 1;

impl<'t> Plan<'t> {
    /// `seed` spreads requests over replicas; the same seed gives the same plan. It is drawn when
    /// it is 0 and there is a choice to be made.
    #[inline]
    pub(crate) fn new(topology: &'t Topology, routing: Routing<'t>, seed: &mut u32) -> Plan<'t> {
        let replicas = routing.replicas;
        let start = match replicas.len() {
            _ if !topology.is_level => ranked_start(routing.in_order, seed),
            1 => 0,
            len => {
                let chosen = choose(len, seed); // also draws the seed, which `other` needs
                if routing.in_order { 0 } else { chosen }
            }
        };
        Plan { topology, replicas, start, seed: *seed }
    }

    /// The n-th node to try.
    #[inline]
    pub(crate) fn nth(&self, n: usize) -> Option<&'t Arc<Node>> {
        if n < self.replicas.len() {
            let index = self.start + n;
            let index =
                if index < self.replicas.len() { index } else { index - self.replicas.len() };
            return match self.replicas.get(index) {
                Some(node) => self.topology.nodes.get(usize::from(*node)),
                None => self.ranked(n),
            };
        }
        self.other(n)
    }

    /// The n-th choice, which is no replica.
    #[cold]
    fn other(&self, n: usize) -> Option<&'t Arc<Node>> {
        if self.start >= RANKED {
            return self.ranked(n);
        }
        let n = n.checked_sub(self.replicas.len())?;
        let nodes = &self.topology.nodes;
        let start = scale(self.seed, nodes.len());
        let (before, after) = nodes.split_at_checked(start)?;
        let after = after.iter().zip(start..);
        let before = before.iter().zip(0..);
        after
            .chain(before)
            .filter(|(_, index)| {
                !self.replicas.iter().any(|replica| usize::from(*replica) == *index)
            })
            .nth(n)
            .map(|(node, _)| node)
    }

    /// The n-th choice where ranks decide.
    #[cold]
    fn ranked(&self, mut n: usize) -> Option<&'t Arc<Node>> {
        let in_order = self.start == RANKED_IN_ORDER;
        // A conditional statement meets rivals of all racks of the datacenter at its primary.
        let (local, first) = if in_order {
            (std::slice::from_ref(&BOTH), None)
        } else {
            (&LOCAL[..], Some(self.seed))
        };
        let others = Some(self.seed);
        for down in [0, DOWN] {
            let of = |ranks: &Range<u8>| ranks.start + down..ranks.end + down;
            let found = local
                .iter()
                .find_map(|ranks| turn(self.replicas_of(of(ranks)), first, &mut n))
                .or_else(|| {
                    LOCAL.iter().find_map(|ranks| turn(self.others_of(of(ranks)), others, &mut n))
                })
                .or_else(|| turn(self.replicas_of(of(&REMOTE_ONLY)), first, &mut n))
                .or_else(|| turn(self.others_of(of(&REMOTE_ONLY)), others, &mut n));
            if let Some(node) = found {
                return self.topology.nodes.get(node);
            }
        }
        None
    }

    /// Replicas of these ranks in ring order.
    fn replicas_of(&self, ranks: Range<u8>) -> impl Iterator<Item = usize> + Clone {
        let replicas = self.replicas.iter().map(|node| usize::from(*node));
        replicas.filter(move |node| self.is_of(*node, &ranks))
    }

    /// Nodes of these ranks that are no replicas.
    fn others_of(&self, ranks: Range<u8>) -> impl Iterator<Item = usize> + Clone {
        let is_replica =
            |node: usize| self.replicas.iter().any(|index| usize::from(*index) == node);
        let nodes = 0..self.topology.nodes.len();
        nodes.filter(move |node| self.is_of(*node, &ranks) && !is_replica(*node))
    }

    fn is_of(&self, node: usize, ranks: &Range<u8>) -> bool {
        self.topology.ranks.get(node).is_some_and(|rank| ranks.contains(rank))
    }
}

/// A datacenter's nodes whatever their rack.
const BOTH: Range<u8> = RACK..DATACENTER + 1;
const LOCAL: [Range<u8>; 2] = [RACK..RACK + 1, DATACENTER..DATACENTER + 1];
const REMOTE_ONLY: Range<u8> = REMOTE..REMOTE + 1;

/// The n-th of `members`, beginning where the seed says and going round; makes `n` smaller by their
/// number if there are not so many.
fn turn(
    members: impl Iterator<Item = usize> + Clone,
    seed: Option<u32>,
    n: &mut usize,
) -> Option<usize> {
    let count = members.clone().count();
    if *n >= count {
        *n -= count;
        return None;
    }
    let index = seed.map_or(0, |seed| scale(seed, count)) + *n;
    members.clone().nth(if index < count { index } else { index - count })
}

/// Draws the seed, which each rank needs.
#[cold]
fn ranked_start(in_order: bool, seed: &mut u32) -> usize {
    choose(1, seed);
    if in_order { RANKED_IN_ORDER } else { RANKED }
}

/// Which of several replicas, or of all nodes, comes first. Apart, for where there is one replica
/// there is nothing to choose.
#[inline(never)]
fn choose(len: usize, seed: &mut u32) -> usize {
    if *seed == 0 {
        *seed = fastrand::u32(1..);
    }
    scale(*seed, len)
}

/// Scales a random number to `0..len` without dividing.
#[inline]
fn scale(seed: u32, len: usize) -> usize {
    let product = u64::from(seed).wrapping_mul(len as u64) >> 32;
    usize::try_from(product).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fetch::{NodeRow, Seen};
    use crate::topology::rank::Preference;
    use crate::topology::ring::Replication;
    use crate::topology::{KeyspaceRow, Topology};

    /// Four nodes, whose places are given as datacenter and rack.
    fn topology(places: [(&str, &str); 4], preference: &Preference, down: &[usize]) -> Topology {
        let nodes = (0..4u8).zip(places).map(|(n, (datacenter, rack))| NodeRow {
            host_id: uuid::Uuid::from_u128(u128::from(n)),
            address: ([127, 0, 0, n + 1], 9042).into(),
            datacenter: Some(datacenter.into()),
            rack: Some(rack.into()),
            tokens: vec![i64::from(n) * 100],
        });
        let keyspaces = vec![KeyspaceRow {
            name: "k".into(),
            durable_writes: true,
            replication: Replication::Simple { replication_factor: 2 },
            has_tablets: false,
        }];
        let seen = Seen { nodes: nodes.collect(), keyspaces, ..Seen::default() };
        let topology = Topology::next(&Topology::empty(), &seen, preference);
        for node in down {
            topology.nodes[*node].set_down(true);
        }
        Topology::next(&topology, &seen, preference)
    }

    fn same_place() -> Topology {
        topology([("d", "r"); 4], &Preference::default(), &[])
    }

    fn order(seed: u32, token: Option<Token>, in_order: bool) -> Vec<u8> {
        order_in(&same_place(), seed, token, in_order)
    }

    fn order_in(
        topology: &Topology,
        mut seed: u32,
        token: Option<Token>,
        in_order: bool,
    ) -> Vec<u8> {
        let replicas = token.map_or(&[][..], |token| topology.replicas(0, token));
        let routing = Routing { replicas, token, in_order };
        let plan = Plan::new(topology, routing, &mut seed);
        let last = |node: &Arc<Node>| match node.address {
            std::net::IpAddr::V4(address) => address.octets()[3] - 1,
            std::net::IpAddr::V6(_) => unreachable!("the test's nodes have IPv4 addresses"),
        };
        (0..).map_while(|n| plan.nth(n)).map(last).collect()
    }

    #[test]
    fn tries_replicas_first_then_each_other_node_once() {
        let token = Some(Token(50));
        assert_eq!(order(1, token, false), [1, 2, 0, 3]);
        assert_eq!(order(u32::MAX, token, false), [2, 1, 3, 0]);
    }

    #[test]
    fn begins_with_the_primary_when_order_matters() {
        assert_eq!(order(u32::MAX, Some(Token(50)), true)[..2], [1, 2]);
    }

    #[test]
    fn lists_all_nodes_without_a_token() {
        for seed in [1, 1 << 30, 1 << 31, u32::MAX] {
            let mut nodes = order(seed, None, false);
            nodes.sort_unstable();
            assert_eq!(nodes, [0, 1, 2, 3]);
        }
    }

    fn prefer(datacenter: &str, rack: Option<&str>, permit_dc_failover: bool) -> Preference {
        Preference {
            datacenter: Some(datacenter.into()),
            rack: rack.map(Into::into),
            permit_dc_failover,
        }
    }

    /// Node 0 and 2 are in one datacenter, 1 and 3 in the other; 1 and 2 are the replicas.
    const TWO: [(&str, &str); 4] = [("a", "r"), ("b", "r"), ("a", "s"), ("b", "s")];

    #[test]
    fn prefers_a_datacenter() {
        let token = Some(Token(50));
        for seed in [1, 1 << 30, 1 << 31, u32::MAX] {
            let topology = topology(TWO, &prefer("a", None, true), &[]);
            assert_eq!(order_in(&topology, seed, token, false), [2, 0, 1, 3]);
            assert_eq!(order_in(&topology, seed, token, true), [2, 0, 1, 3]);
            let mut any = order_in(&topology, seed, None, false);
            any[..2].sort_unstable();
            any[2..].sort_unstable();
            assert_eq!(any, [0, 2, 1, 3]);
            let topology = self::topology(TWO, &prefer("a", None, false), &[]);
            assert_eq!(order_in(&topology, seed, token, false), [2, 0]);
            let topology = self::topology(TWO, &prefer("c", None, false), &[]);
            assert!(order_in(&topology, seed, token, false).is_empty());
        }
    }

    #[test]
    fn prefers_a_rack_but_not_for_conditional_statements() {
        let places = [("a", "r"), ("a", "r"), ("a", "s"), ("a", "s")];
        let topology = topology(places, &prefer("a", Some("s"), true), &[]);
        for seed in [1, u32::MAX] {
            assert_eq!(order_in(&topology, seed, Some(Token(50)), false), [2, 1, 3, 0]);
            assert_eq!(order_in(&topology, seed, Some(Token(50)), true), [1, 2, 3, 0]);
        }
    }

    #[test]
    fn spreads_over_the_replicas_of_one_rank() {
        let topology = topology([("a", "r"); 4], &prefer("a", Some("r"), true), &[3]);
        let token = Some(Token(50));
        assert_eq!(order_in(&topology, 1, token, false), [1, 2, 0, 3]);
        assert_eq!(order_in(&topology, u32::MAX, token, false), [2, 1, 0, 3]);
        assert_eq!(order_in(&topology, u32::MAX, token, true), [1, 2, 0, 3]);
    }

    #[test]
    fn tries_nodes_that_are_down_last() {
        let topology = topology([("d", "r"); 4], &Preference::default(), &[1, 0]);
        for seed in [1, u32::MAX] {
            assert_eq!(order_in(&topology, seed, Some(Token(50)), false), [2, 3, 1, 0]);
        }
        let topology = self::topology(TWO, &prefer("a", None, true), &[2]);
        assert_eq!(order_in(&topology, 7, Some(Token(50)), false), [0, 1, 3, 2]);
    }

    #[test]
    fn each_node_is_tried_once_whatever_its_rank() {
        for (seed, down) in
            [(1, vec![]), (9, vec![0]), (1 << 31, vec![1, 2]), (5, vec![0, 1, 2, 3])]
        {
            for (datacenter, rack) in [("a", None), ("b", Some("s")), ("c", None)] {
                let topology = topology(TWO, &prefer(datacenter, rack, true), &down);
                for token in [None, Some(Token(50)), Some(Token(301))] {
                    let mut nodes = order_in(&topology, seed, token, false);
                    nodes.sort_unstable();
                    assert_eq!(nodes, [0, 1, 2, 3]);
                }
            }
        }
    }
}
