//! Which nodes are better for this client: those of its datacenter and rack, and those that are up.
//!
//! Worked out once per snapshot; the plan reads it only where nodes differ.

use std::sync::Arc;

use super::Node;

/// Where the client would rather send its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preference {
    pub(crate) datacenter: Option<Box<str>>,
    /// Within that datacenter.
    pub(crate) rack: Option<Box<str>>,
    /// Whether nodes of other datacenters are used at all.
    pub(crate) permit_dc_failover: bool,
}

/// In the preferred rack; all nodes are where nothing is preferred.
pub(crate) const RACK: u8 = 0;
/// In the preferred datacenter.
pub(crate) const DATACENTER: u8 = 1;
/// In another datacenter.
pub(crate) const REMOTE: u8 = 2;
/// Added to the rank of a node that is down.
pub(crate) const DOWN: u8 = 3;
/// Never used.
pub(crate) const EXCLUDED: u8 = u8::MAX;

/// Rank of each node.
pub(crate) fn ranks(nodes: &[Arc<Node>], preference: &Preference) -> Box<[u8]> {
    nodes.iter().map(|node| rank(node, preference)).collect()
}

fn rank(node: &Node, preference: &Preference) -> u8 {
    let is_local = node.datacenter == preference.datacenter;
    let place = match (&preference.datacenter, &preference.rack) {
        (None, _) => RACK,
        (Some(_), None) if is_local => RACK,
        (Some(_), rack) if is_local && node.rack == *rack => RACK,
        (Some(_), _) if is_local => DATACENTER,
        (Some(_), _) if preference.permit_dc_failover => REMOTE,
        (Some(_), _) => return EXCLUDED,
    };
    place + if node.is_down() { DOWN } else { 0 }
}
