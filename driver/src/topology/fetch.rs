//! Reads the cluster's nodes and keyspaces from the system tables of one node.
//!
//! `system.local` describes the node itself, `system.peers` the others;
//! `system_schema.keyspaces` how each keyspace is replicated.

use std::collections::HashMap;
use std::net::IpAddr;

use uuid::Uuid;

use super::KeyspaceRow;
use super::ring::Replication;
use crate::connection::Conn;
use crate::error::Error;
use crate::rows::QueryRowsResult;
use crate::session::Inner;

/// One node as the system tables tell it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NodeRow {
    pub(crate) host_id: Uuid,
    pub(crate) address: IpAddr,
    pub(crate) datacenter: Option<Box<str>>,
    pub(crate) rack: Option<Box<str>>,
    pub(crate) tokens: Vec<i64>,
}

/// What one reading of the system tables found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) keyspaces: Vec<KeyspaceRow>,
}

const LOCAL: &str =
    "SELECT host_id, rpc_address, data_center, rack, tokens FROM system.local WHERE key='local'";
const PEERS: &str = "SELECT host_id, rpc_address, data_center, rack, tokens FROM system.peers";
const KEYSPACES: &str = "SELECT keyspace_name, replication FROM system_schema.keyspaces";
const LOCAL_VERSION: &str = "SELECT schema_version FROM system.local WHERE key='local'";
const PEER_VERSIONS: &str = "SELECT host_id, schema_version FROM system.peers";

/// Reads everything over `conn`, whose node is at `address`.
pub(crate) async fn fetch(inner: &Inner, conn: &Conn, address: IpAddr) -> Result<Seen, Error> {
    let mut nodes = Vec::new();
    read_nodes(&inner.system_query(conn, LOCAL).await?, Some(address), &mut nodes)?;
    read_nodes(&inner.system_query(conn, PEERS).await?, None, &mut nodes)?;
    if nodes.iter().all(|node| node.tokens.is_empty()) {
        tracing::warn!("no node has tokens; requests go to any node");
    }
    let rows = inner.system_query(conn, KEYSPACES).await?;
    let mut keyspaces = Vec::new();
    for row in rows.rows::<(&str, HashMap<String, String>)>()? {
        let (name, options) = row?;
        let replication = Replication::from_options(&options);
        keyspaces.push(KeyspaceRow { name: name.into(), replication });
    }
    nodes.sort_by_key(|node| node.host_id);
    keyspaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Seen { nodes, keyspaces })
}

type Columns<'r> =
    (Option<Uuid>, Option<IpAddr>, Option<&'r str>, Option<&'r str>, Option<Vec<&'r str>>);

/// `fallback` is the address of the node that answers, for nodes that listen on every address.
fn read_nodes(
    rows: &QueryRowsResult,
    fallback: Option<IpAddr>,
    nodes: &mut Vec<NodeRow>,
) -> Result<(), Error> {
    for row in rows.rows::<Columns<'_>>()? {
        let (host_id, address, datacenter, rack, tokens) = row?;
        let address = address.filter(|address| !address.is_unspecified()).or(fallback);
        let (Some(host_id), Some(address)) = (host_id, address) else {
            tracing::warn!(?host_id, ?address, "a node without host id or address is left out");
            continue;
        };
        let tokens = tokens.unwrap_or_default();
        let tokens: Vec<i64> = tokens.iter().filter_map(|token| token.parse().ok()).collect();
        if nodes.iter().any(|node| node.host_id == host_id) {
            continue;
        }
        nodes.push(NodeRow {
            host_id,
            address,
            datacenter: datacenter.map(Into::into),
            rack: rack.map(Into::into),
            tokens,
        });
    }
    Ok(())
}

/// Whether all nodes that the answering one knows have the same schema.
pub(crate) async fn schema_agrees(inner: &Inner, conn: &Conn) -> Result<bool, Error> {
    let local = inner.system_query(conn, LOCAL_VERSION).await?;
    let (local,) = local.first_row::<(Option<Uuid>,)>()?;
    let peers = inner.system_query(conn, PEER_VERSIONS).await?;
    for row in peers.rows::<(Option<Uuid>, Option<Uuid>)>()? {
        let (host_id, version) = row?;
        // A peer that is down keeps its old version for as long as it is down.
        let reachable = host_id.is_some_and(|host_id| inner.is_connected(host_id));
        if reachable && version.is_some() && version != local {
            return Ok(false);
        }
    }
    Ok(true)
}
