//! Rows of the system tables, made up when they are read.

use std::net::Ipv4Addr;

use super::{Column, Keyspace, Kind, Schema, Table};
use crate::cql::ast::OptionValue;
use crate::routing::{NodeIndex, Ring};
use crate::store::{Cell, Stamp, TableData};
use crate::value::literal::{collection, map};

/// One node as the system tables show it.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    pub(crate) address: Ipv4Addr,
    pub(crate) host_id: [u8; 16],
    pub(crate) datacenter: String,
    pub(crate) rack: String,
}

/// What the rows are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Catalog<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) ring: &'a Ring,
    pub(crate) nodes: &'a [NodeInfo],
    /// The node that is asked.
    pub(crate) node: NodeIndex,
}

/// The version that ScyllaDB reports: clients then use v4 and the schema tables of Cassandra 3.
const RELEASE_VERSION: &str = "3.0.8";
/// The partitioner's class.
pub(crate) const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
/// The cluster's name.
const CLUSTER_NAME: &str = "shardwire";
/// CQL version that clients are told.
pub(crate) const CQL_VERSION: &str = "3.3.1";

type NamedRow = Vec<(&'static str, Vec<u8>)>;

fn text(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

fn int(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn double(value: f64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

fn boolean(value: bool) -> Vec<u8> {
    vec![u8::from(value)]
}

fn text_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut entries: Vec<_> = entries.into_iter().map(|(k, v)| (text(k), text(v))).collect();
    entries.sort();
    map(&entries)
}

impl Catalog<'_> {
    /// The rows of a system table.
    pub(crate) fn data(&self, table: &Table) -> TableData {
        let rows = match (table.keyspace.as_str(), table.name.as_str()) {
            ("system", "local") => self.local(),
            ("system", "peers") => self.peers(),
            (_, "keyspaces") => self.keyspaces().map(keyspace_row).collect(),
            (_, "scylla_keyspaces") => {
                self.keyspaces().map(|ks| vec![("keyspace_name", text(&ks.name))]).collect()
            }
            (_, "tables") => self.tables().map(table_row).collect(),
            (_, "scylla_tables") => self
                .tables()
                .map(|table| {
                    vec![
                        ("keyspace_name", text(&table.keyspace)),
                        ("table_name", text(&table.name)),
                        ("version", self.schema.version.to_vec()),
                    ]
                })
                .collect(),
            (_, "columns") => self.tables().flat_map(column_rows).collect(),
            _ => Vec::new(),
        };
        fill(table, rows)
    }

    fn keyspaces(&self) -> impl Iterator<Item = &Keyspace> {
        self.schema.keyspaces.values()
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.keyspaces().flat_map(|keyspace| keyspace.tables.values()).map(AsRef::as_ref)
    }

    fn node_columns(&self, index: NodeIndex, node: &NodeInfo) -> NamedRow {
        let mut tokens: Vec<_> =
            self.ring.tokens_of(index).map(|token| text(&token.to_string())).collect();
        tokens.sort();
        vec![
            ("data_center", text(&node.datacenter)),
            ("host_id", node.host_id.to_vec()),
            ("rack", text(&node.rack)),
            ("release_version", text(RELEASE_VERSION)),
            ("rpc_address", node.address.octets().to_vec()),
            ("schema_version", self.schema.version.to_vec()),
            ("supported_features", text("")),
            ("tokens", collection(&tokens)),
        ]
    }

    fn local(&self) -> Vec<NamedRow> {
        let Some(node) = self.nodes.get(self.node) else { return Vec::new() };
        let mut row = self.node_columns(self.node, node);
        row.extend([
            ("key", text("local")),
            ("bootstrapped", text("COMPLETED")),
            ("broadcast_address", node.address.octets().to_vec()),
            ("cluster_name", text(CLUSTER_NAME)),
            ("cql_version", text(CQL_VERSION)),
            ("gossip_generation", int(1)),
            ("listen_address", node.address.octets().to_vec()),
            ("native_protocol_version", text("4")),
            ("partitioner", text(PARTITIONER)),
            ("thrift_version", text("19.39.0")),
        ]);
        vec![row]
    }

    fn peers(&self) -> Vec<NamedRow> {
        let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != self.node);
        others
            .map(|(index, node)| {
                let mut row = self.node_columns(index, node);
                row.push(("peer", node.address.octets().to_vec()));
                row.push(("preferred_ip", node.address.octets().to_vec()));
                row
            })
            .collect()
    }
}

fn keyspace_row(keyspace: &Keyspace) -> NamedRow {
    let replication = keyspace.replication.iter().map(|(key, value)| {
        (key.as_str(), if key == "class" { full_class(value) } else { value.as_str() })
    });
    vec![
        ("keyspace_name", text(&keyspace.name)),
        ("durable_writes", boolean(keyspace.durable_writes)),
        ("replication", text_map(replication)),
    ]
}

/// Clients look for the full class name, users write the short one.
fn full_class(class: &str) -> &str {
    match class {
        "SimpleStrategy" => "org.apache.cassandra.locator.SimpleStrategy",
        "NetworkTopologyStrategy" => "org.apache.cassandra.locator.NetworkTopologyStrategy",
        "EverywhereStrategy" => "org.apache.cassandra.locator.EverywhereStrategy",
        other => other,
    }
}

fn table_row(table: &Table) -> NamedRow {
    let option = |name: &str, default: &str| match table.options.get(name) {
        Some(OptionValue::Text(value)) => value.clone(),
        _ => default.to_owned(),
    };
    let number = |name: &str, default: i32| int(option(name, "").parse().unwrap_or(default));
    let fraction = |name: &str, default: f64| double(option(name, "").parse().unwrap_or(default));
    let options = |name: &str, default: &[(&str, &str)]| match table.options.get(name) {
        Some(OptionValue::Map(map)) => text_map(map.iter().map(|(k, v)| (&k[..], &v[..]))),
        _ => text_map(default.iter().copied()),
    };
    let flag = if table.is_counter() {
        vec![text("compound"), text("counter")]
    } else {
        vec![text("compound")]
    };
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("bloom_filter_fp_chance", fraction("bloom_filter_fp_chance", 0.01)),
        ("caching", options("caching", &[("keys", "ALL"), ("rows_per_partition", "ALL")])),
        ("comment", text(&option("comment", ""))),
        ("compaction", options("compaction", &[("class", "SizeTieredCompactionStrategy")])),
        ("compression", options("compression", &[])),
        ("crc_check_chance", fraction("crc_check_chance", 1.0)),
        ("dclocal_read_repair_chance", fraction("dclocal_read_repair_chance", 0.0)),
        ("default_time_to_live", number("default_time_to_live", 0)),
        ("extensions", map(&[])),
        ("flags", collection(&flag)),
        ("gc_grace_seconds", number("gc_grace_seconds", 864_000)),
        ("id", table.id.to_vec()),
        ("max_index_interval", number("max_index_interval", 2048)),
        ("memtable_flush_period_in_ms", number("memtable_flush_period_in_ms", 0)),
        ("min_index_interval", number("min_index_interval", 128)),
        ("read_repair_chance", fraction("read_repair_chance", 0.0)),
        ("speculative_retry", text(&option("speculative_retry", "99.0PERCENTILE"))),
    ]
}

fn column_rows(table: &Table) -> impl Iterator<Item = NamedRow> {
    table.columns.iter().map(move |column| column_row(table, column))
}

fn column_row(table: &Table, column: &Column) -> NamedRow {
    let (kind, position, order) = match column.kind {
        Kind::PartitionKey(position) => ("partition_key", position, "none"),
        Kind::Clustering(position) => {
            let desc = table.clustering_desc.get(position) == Some(&true);
            ("clustering", position, if desc { "desc" } else { "asc" })
        }
        Kind::Regular => ("regular", usize::MAX, "none"),
    };
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("column_name", text(&column.name)),
        ("clustering_order", text(order)),
        ("column_name_bytes", text(&column.name)),
        ("kind", text(kind)),
        ("position", int(i32::try_from(position).unwrap_or(-1))),
        ("type", text(&column.typ.to_string())),
    ]
}

/// Stores rows that are given by column name.
fn fill(table: &Table, rows: Vec<NamedRow>) -> TableData {
    let mut data = TableData::default();
    let stamp = Stamp { at: 0, expires: None };
    for row in rows {
        let value = |column: &Column| {
            row.iter().find(|(name, _)| *name == column.name).map(|(_, value)| value.clone())
        };
        let key = |columns: &[Column]| -> Vec<Vec<u8>> {
            columns.iter().map(|column| value(column).unwrap_or_default()).collect()
        };
        let clustering = key(table.clustering());
        let partition = data.partition(key(table.partition_key()));
        let stored = partition.row(table.row_key(&clustering), clustering);
        stored.mark(stamp);
        for column in table.regular() {
            if let Some(value) = value(column) {
                stored.write(column.id, Cell { stamp, value: Some(value) });
            }
        }
    }
    data
}
