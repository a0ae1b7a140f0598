//! Reads the cluster's nodes and keyspaces from the system tables of one node.
//!
//! `system.local` describes the node itself, `system.peers_v2` the others, each with a port of its
//! own (Cassandra 4 and later), or else `system.peers`; `system_schema.keyspaces` how each keyspace
//! is replicated, and ScyllaDB's `system_schema.scylla_keyspaces` whether by tablets.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::KeyspaceRow;
use super::ring::Replication;
use crate::connection::Conn;
use crate::error::{Error, ErrorKind};
use crate::rows::QueryRowsResult;
use crate::session::Inner;

/// One node as the system tables tell it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NodeRow {
    pub(crate) host_id: Uuid,
    pub(crate) address: SocketAddr,
    pub(crate) datacenter: Option<Box<str>>,
    pub(crate) rack: Option<Box<str>>,
    pub(crate) tokens: Vec<i64>,
}

/// What one reading of the system tables found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) keyspaces: Vec<KeyspaceRow>,
    /// Version of the schema of the node that was asked.
    pub(crate) schema_version: Option<Uuid>,
}

const LOCAL: &str = "SELECT host_id, rpc_address, data_center, rack, tokens, schema_version \
                     FROM system.local WHERE key='local'";
const PEERS_V2: &str =
    "SELECT host_id, native_address, data_center, rack, tokens, native_port FROM system.peers_v2";
const PEERS: &str = "SELECT host_id, rpc_address, data_center, rack, tokens FROM system.peers";
const KEYSPACES: &str =
    "SELECT keyspace_name, durable_writes, replication FROM system_schema.keyspaces";
const TABLETS: &str = "SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces";
const LOCAL_VERSION: &str = "SELECT schema_version FROM system.local WHERE key='local'";

/// Where one reads.
pub(crate) struct Source<'c> {
    pub(crate) conn: &'c Conn,
    /// Where the node is that answers: it may not know itself how it is reached.
    pub(crate) peer: SocketAddr,
    /// Whether it may have `system.peers_v2`.
    pub(crate) peers_v2: &'c AtomicBool,
    /// Whether it may have keyspaces with tablets.
    pub(crate) tablets: bool,
}

/// Reads everything.
pub(crate) async fn fetch(inner: &Inner, source: &Source<'_>) -> Result<Seen, Error> {
    let conn = source.conn;
    let mut nodes = Vec::new();
    let local = inner.system_query(conn, LOCAL).await?;
    let mut schema_version = None;
    for row in local.rows::<LocalColumns<'_>>()? {
        let (host_id, address, datacenter, rack, tokens, version) = row?;
        schema_version = version;
        let address = address.filter(|address| !address.is_unspecified());
        let address = address.unwrap_or(source.peer.ip());
        let address = Some(SocketAddr::new(address, source.peer.port()));
        add_node(&mut nodes, host_id, address, (datacenter, rack, tokens));
    }
    match peers_v2(inner, source).await? {
        Some(peers) => {
            for row in peers.rows::<ColumnsV2<'_>>()? {
                let (host_id, address, datacenter, rack, tokens, port) = row?;
                let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
                let address = usable(address, port.unwrap_or_else(|| inner.port()));
                add_node(&mut nodes, host_id, address, (datacenter, rack, tokens));
            }
        }
        None => {
            let peers = inner.system_query(conn, PEERS).await?;
            for row in peers.rows::<Columns<'_>>()? {
                let (host_id, address, datacenter, rack, tokens) = row?;
                let address = usable(address, inner.port());
                add_node(&mut nodes, host_id, address, (datacenter, rack, tokens));
            }
        }
    }
    if nodes.iter().all(|node| node.tokens.is_empty()) {
        tracing::warn!("no node has tokens; requests go to any node");
    }
    let with_tablets = keyspaces_with_tablets(inner, source).await?;
    let rows = inner.system_query(conn, KEYSPACES).await?;
    let mut keyspaces = Vec::new();
    for row in rows.rows::<(&str, Option<bool>, HashMap<String, String>)>()? {
        let (name, durable_writes, options) = row?;
        let durable_writes = durable_writes.unwrap_or(true);
        let replication = Replication::from_options(&options);
        let has_tablets = with_tablets.contains(name);
        keyspaces.push(KeyspaceRow { name: name.into(), durable_writes, replication, has_tablets });
    }
    nodes.sort_by_key(|node| node.host_id);
    keyspaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Seen { nodes, keyspaces, schema_version })
}

/// Asks for the table that not every server has; `None` if this one does not. An empty one means
/// that there are no peers.
async fn peers_v2(inner: &Inner, source: &Source<'_>) -> Result<Option<QueryRowsResult>, Error> {
    if !source.peers_v2.load(Ordering::Relaxed) {
        return Ok(None);
    }
    match inner.system_query(source.conn, PEERS_V2).await {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.database_code() == Some(INVALID) => {
            source.peers_v2.store(false, Ordering::Relaxed); // it is not asked again
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Names of the keyspaces whose tables have tablets.
async fn keyspaces_with_tablets(
    inner: &Inner,
    source: &Source<'_>,
) -> Result<BTreeSet<Box<str>>, Error> {
    if !source.tablets {
        return Ok(BTreeSet::new());
    }
    let rows = match inner.system_query(source.conn, TABLETS).await {
        Ok(rows) => rows,
        // Whoever may not read it goes by the ring, which any node puts right.
        Err(error) if matches!(error.database_code(), Some(INVALID | UNAUTHORIZED)) => {
            tracing::warn!(%error, "keyspaces are taken to have no tablets");
            return Ok(BTreeSet::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = BTreeSet::new();
    for row in rows.rows::<(&str, Option<i32>)>()? {
        if let (name, Some(_)) = row? {
            names.insert(name.into());
        }
    }
    Ok(names)
}

/// The error of statements that refer to what is not there.
const INVALID: i32 = 0x2200;
/// The error of statements that the role may not execute.
const UNAUTHORIZED: i32 = 0x2100;

type Columns<'r> =
    (Option<Uuid>, Option<IpAddr>, Option<&'r str>, Option<&'r str>, Option<Vec<&'r str>>);
type LocalColumns<'r> = (
    Option<Uuid>,
    Option<IpAddr>,
    Option<&'r str>,
    Option<&'r str>,
    Option<Vec<&'r str>>,
    Option<Uuid>,
);
type ColumnsV2<'r> = (
    Option<Uuid>,
    Option<IpAddr>,
    Option<&'r str>,
    Option<&'r str>,
    Option<Vec<&'r str>>,
    Option<i32>,
);

/// An address that one can connect to.
fn usable(address: Option<IpAddr>, port: u16) -> Option<SocketAddr> {
    let address = address.filter(|address| !address.is_unspecified())?;
    Some(SocketAddr::new(address, port))
}

/// Datacenter, rack and tokens.
type Place<'r> = (Option<&'r str>, Option<&'r str>, Option<Vec<&'r str>>);

fn add_node(
    nodes: &mut Vec<NodeRow>,
    host_id: Option<Uuid>,
    address: Option<SocketAddr>,
    (datacenter, rack, tokens): Place<'_>,
) {
    let (Some(host_id), Some(address)) = (host_id, address) else {
        tracing::warn!(?host_id, ?address, "a node without host id or address is left out");
        return;
    };
    if nodes.iter().any(|node| node.host_id == host_id) {
        return;
    }
    let tokens = tokens.unwrap_or_default();
    nodes.push(NodeRow {
        host_id,
        address,
        datacenter: datacenter.map(Into::into),
        rack: rack.map(Into::into),
        tokens: tokens.iter().filter_map(|token| token.parse().ok()).collect(),
    });
}

/// The version of the schema, if all nodes to which there are connections have the same.
///
/// Each is asked for its own. What one node knows of the others may be as old as its own schema:
/// while it has heard nothing of a change that another node has carried out, it sees agreement.
pub(crate) async fn schema_agreement(inner: &Inner, conn: &Conn) -> Result<Option<Uuid>, Error> {
    let version = schema_version(inner, conn).await?;
    for other in inner.one_conn_per_node() {
        match schema_version(inner, other).await {
            Ok(other) if other == version => {}
            Ok(_) => return Ok(None),
            // It has gone meanwhile; the next time it is not among those that are asked.
            Err(error) if error.kind() == ErrorKind::ConnectionLost => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(version.unwrap_or_default())) // who tells no version does not disagree
}

async fn schema_version(inner: &Inner, conn: &Conn) -> Result<Option<Uuid>, Error> {
    let local = inner.system_query(conn, LOCAL_VERSION).await?;
    Ok(local.first_row::<(Option<Uuid>,)>()?.0)
}
