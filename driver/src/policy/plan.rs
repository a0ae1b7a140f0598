//! The order in which nodes are tried for one request, without ever listing them.
//!
//! The replicas of the token come first, beginning with a random one so that they share the load
//! (a conditional statement begins with the primary, where its Paxos rounds meet no rivals); then
//! the other nodes. The n-th choice is worked out when it is asked for.
//!
//! Step 4 of 14 in `docs/REQUEST.md`. Next: `driver/src/pool.rs`.

use std::sync::Arc;

use shardwire_protocol::routing::Token;

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
    nodes: &'t [Arc<Node>],
    replicas: &'t [u16],
    /// Where in `replicas` to begin.
    start: usize,
    seed: u32,
}

impl<'t> Plan<'t> {
    /// `seed` spreads requests over replicas; the same seed gives the same plan. It is drawn when
    /// it is 0 and there is a choice to be made.
    #[inline]
    pub(crate) fn new(topology: &'t Topology, routing: Routing<'t>, seed: &mut u32) -> Plan<'t> {
        let replicas = routing.replicas;
        let start = match replicas.len() {
            1 => 0,
            len => {
                let chosen = choose(len, seed); // also draws the seed, which `other` needs
                if routing.in_order { 0 } else { chosen }
            }
        };
        Plan { nodes: &topology.nodes, replicas, start, seed: *seed }
    }

    /// The n-th node to try.
    #[inline]
    pub(crate) fn nth(&self, n: usize) -> Option<&'t Arc<Node>> {
        if n < self.replicas.len() {
            let index = self.start + n;
            let index =
                if index < self.replicas.len() { index } else { index - self.replicas.len() };
            return self.nodes.get(usize::from(*self.replicas.get(index)?));
        }
        self.other(n - self.replicas.len())
    }

    /// The n-th node that is no replica.
    #[cold]
    fn other(&self, n: usize) -> Option<&'t Arc<Node>> {
        let start = scale(self.seed, self.nodes.len());
        let (before, after) = self.nodes.split_at_checked(start)?;
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
    use crate::topology::ring::Replication;
    use crate::topology::{KeyspaceRow, Topology};

    fn topology() -> Topology {
        let nodes = (0..4u8).map(|n| NodeRow {
            host_id: uuid::Uuid::from_u128(u128::from(n)),
            address: ([127, 0, 0, n + 1], 9042).into(),
            datacenter: None,
            rack: None,
            tokens: vec![i64::from(n) * 100],
        });
        let keyspaces = vec![KeyspaceRow {
            name: "k".into(),
            durable_writes: true,
            replication: Replication::Simple { replication_factor: 2 },
        }];
        Topology::next(
            &Topology::empty(),
            &Seen { nodes: nodes.collect(), keyspaces, ..Seen::default() },
        )
    }

    fn order(mut seed: u32, token: Option<Token>, in_order: bool) -> Vec<u8> {
        let topology = topology();
        let replicas = token.map_or(&[][..], |token| topology.replicas(0, token));
        let routing = Routing { replicas, token, in_order };
        let plan = Plan::new(&topology, routing, &mut seed);
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
}
