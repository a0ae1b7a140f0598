//! Whether a cluster is ready: each node serves CQL, knows all the others and reaches them.
//!
//! A port that accepts is not enough: nodes serve clients before they have met. That the tables of
//! peers are filled is not enough either, as they say nothing of who is up. So each node also reads
//! a table all over the ring at ALL, which it refuses while it holds any replica for down.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::{Access, Client, Consistency};
use crate::node::Node;
use crate::progress::Progress;

/// Time between two looks.
const POLL: Duration = Duration::from_millis(100);

/// Both have what drivers need of a node, and are filled one column after the other.
const LOCAL: &str = "SELECT schema_version, host_id, tokens FROM system.local";
const PEERS: &str = "SELECT schema_version, host_id, tokens, rpc_address FROM system.peers";

/// A small table that is on all nodes together, and always there.
const ALL_OVER_THE_RING: &str = "SELECT role FROM system_auth.roles";

/// What to wait for.
pub(crate) struct Ready<'a> {
    /// Named in the lines of progress.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) access: Access<'a>,
    pub(crate) deadline: Duration,
}

impl Ready<'_> {
    /// Returns how long it took until all `nodes` that run were ready, in one and the same round.
    pub(crate) fn wait(&self, nodes: &mut [Node]) -> Result<Duration> {
        let mut progress = Progress::new(self.name.clone(), self.deadline);
        loop {
            for (index, node) in nodes.iter_mut().enumerate() {
                if let Some(status) = node.ended()? {
                    let words = node.last_words();
                    bail!("{}: node {index} ended with {status}; {words}", self.name);
                }
            }
            let Some((index, error)) = self.first_unready(nodes) else {
                return Ok(progress.passed());
            };
            let state = format!("node {index}: {error:#}");
            if !progress.is_in_time(&state) {
                let words = nodes.get(index).map(Node::last_words).unwrap_or_default();
                let deadline = self.deadline;
                bail!("{}: not ready after {deadline:?}, {state}; {words}", self.name);
            }
            sleep(POLL);
        }
    }

    /// The first node that is not ready, and why.
    fn first_unready(&self, nodes: &[Node]) -> Option<(usize, anyhow::Error)> {
        let running: Vec<_> = nodes.iter().filter(|n| n.is_running()).map(|n| n.address).collect();
        let view = View { running: &running, node_count: nodes.len() };
        let mut indexed = nodes.iter().enumerate().filter(|(_, node)| node.is_running());
        indexed.find_map(|(index, node)| {
            let address = SocketAddr::from((node.address, self.port));
            Some(index).zip(view.check(address, self.access).err())
        })
    }
}

/// What each node should see.
struct View<'a> {
    running: &'a [Ipv4Addr],
    node_count: usize,
}

impl View<'_> {
    fn check(&self, address: SocketAddr, access: Access<'_>) -> Result<()> {
        let mut client = Client::connect(address, access)?;
        let local = client.query(LOCAL, Consistency::One)?;
        let local = local.first().context("it does not know itself")?;
        let [Some(schema), Some(_), Some(_)] = local.as_slice() else {
            bail!("it does not know all of itself");
        };
        let mut peer_count = 0;
        for row in client.query(PEERS, Consistency::One)? {
            let [peer_schema, host_id, tokens, rpc_address] = row.as_slice() else {
                bail!("it answers with {} columns of peers", row.len());
            };
            let peer = rpc_address.as_deref().and_then(ip);
            let is_whole = [peer_schema, host_id, tokens].iter().all(|cell| cell.is_some());
            let Some(peer) = peer.filter(|_| is_whole) else { continue };
            peer_count += 1;
            if self.running.iter().any(|running| IpAddr::from(*running) == peer) {
                ensure!(peer_schema.as_ref() == Some(schema), "its schema is not that of {peer}");
            }
        }
        let expect = self.node_count - 1;
        ensure!(peer_count == expect, "it knows {peer_count} of {expect} peers");
        if self.running.len() == self.node_count {
            client.query(ALL_OVER_THE_RING, Consistency::All)?;
        }
        Ok(())
    }
}

fn ip(cell: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(cell) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(cell).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(ip(&[127, 0, 0, 2]), Some(IpAddr::from([127, 0, 0, 2])));
        assert_eq!(ip(&[0; 16]), Some(IpAddr::from([0_u16; 8])));
        assert_eq!(ip(&[]), None);
        assert_eq!(ip(&[127, 0, 0]), None);
    }
}
