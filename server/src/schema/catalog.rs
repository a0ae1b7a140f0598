//! Rows of the system tables, made up when they are read.

use std::net::Ipv4Addr;
use std::rc::Rc;

use super::options::is_known;
use super::system::{AUTH, DISTRIBUTED, VIRTUAL_SCHEMA};
use super::{Column, Keyspace, Kind, Schema, Table};
use crate::cdc::options::CaptureOptions;
use crate::cdc::streams::Generations;
use crate::cql::ast::OptionValue;
use crate::growing::Growing;
use crate::persona::Persona;
use crate::roles::Roles;
use crate::routing::{NodeIndex, Partitioner, Ring};
use crate::store::{Cell, Element, Stamp, TableData};
use crate::tablets::{Tablet, replica_list};
use crate::value::literal::{collection, map};
use crate::value::multi_cell::{NewElement, split};
use crate::value::text::scalar_text;
use crate::value::types::{CqlType, Native};

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
    pub(crate) nodes: &'a Growing<NodeInfo>,
    /// The node that is asked.
    pub(crate) node: NodeIndex,
    /// Plain port of all nodes.
    pub(crate) port: u16,
    pub(crate) persona: Persona,
    pub(crate) roles: &'a Roles,
    pub(crate) generations: &'a Generations,
}

/// The partitioner's class.
pub(crate) const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
/// That of CDC logs.
const CDC_PARTITIONER: &str = "com.scylladb.dht.CDCPartitioner";
/// The cluster's name.
pub(crate) const CLUSTER_NAME: &str = "shardwire";
/// Port that Cassandra's nodes would talk to each other on; nobody listens there.
const STORAGE_PORT: i32 = 7000;

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
            ("system", "peers" | "peers_v2") => self.peers(),
            ("system", "cdc_local") => self.generations.local(),
            (DISTRIBUTED, "cdc_generation_timestamps") => self.generations.timestamps(),
            (DISTRIBUTED, "cdc_streams_descriptions_v2") => self.generations.descriptions(),
            (AUTH, table) => self.roles.rows(table),
            (VIRTUAL_SCHEMA, "keyspaces") => vec![vec![("keyspace_name", text(VIRTUAL_SCHEMA))]],
            (VIRTUAL_SCHEMA, "tables") => self.virtual_tables().map(virtual_table_row).collect(),
            (VIRTUAL_SCHEMA, "columns") => self.virtual_tables().flat_map(column_rows).collect(),
            (_, "keyspaces") => self.keyspaces().map(keyspace_row).collect(),
            ("system", "tablets") => self.tablets(),
            (_, "scylla_keyspaces") => self.keyspaces().map(scylla_keyspace_row).collect(),
            (_, "types") => self.keyspaces().flat_map(type_rows).collect(),
            (_, "indexes") => self.all_tables().flat_map(index_rows).collect(),
            (_, "views") => {
                self.all_tables().filter_map(|table| view_row(table, self.persona)).collect()
            }
            (_, "functions") => self.keyspaces().flat_map(function_rows).collect(),
            (_, "aggregates") => self.keyspaces().flat_map(aggregate_rows).collect(),
            (_, "tables") => self.tables().map(|table| table_row(table, self.persona)).collect(),
            (_, "scylla_tables") => {
                self.tables().map(|table| scylla_table_row(table, self.schema.version)).collect()
            }
            (_, "columns") => self.all_tables().flat_map(column_rows).collect(),
            _ => Vec::new(),
        };
        fill(table, rows)
    }

    fn keyspaces(&self) -> impl Iterator<Item = &Keyspace> {
        self.schema.keyspaces.values().filter(|keyspace| keyspace.name != VIRTUAL_SCHEMA)
    }

    fn virtual_tables(&self) -> impl Iterator<Item = &Table> {
        let keyspace = self.schema.keyspaces.get(VIRTUAL_SCHEMA);
        keyspace.into_iter().flat_map(|keyspace| keyspace.tables.values()).map(AsRef::as_ref)
    }

    /// Tables and views.
    fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.keyspaces().flat_map(|keyspace| keyspace.tables.values()).map(AsRef::as_ref)
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.all_tables().filter(|table| table.view.is_none())
    }

    /// A row for each tablet of each table.
    fn tablets(&self) -> Vec<NamedRow> {
        let host_id =
            |node: NodeIndex| self.nodes.get(node).map(|node| node.host_id).unwrap_or_default();
        let of_table = |table: &Table| {
            let keyspace = self.schema.keyspaces.get(&table.keyspace)?;
            let placement = Rc::clone(keyspace.placement(&table.name));
            let tablets = placement.tablets()?;
            let row = |tablet: &Tablet| {
                vec![
                    ("table_id", table.id.to_vec()),
                    ("keyspace_name", text(&table.keyspace)),
                    ("table_name", text(&table.name)),
                    ("tablet_count", int(i32::try_from(tablets.len()).unwrap_or(i32::MAX))),
                    ("last_token", tablet.last.to_be_bytes().to_vec()),
                    ("replicas", replica_list(&tablet.homes, host_id)),
                ]
            };
            Some(tablets.iter().map(row).collect::<Vec<_>>())
        };
        self.all_tables().filter_map(of_table).flatten().collect()
    }

    fn node_columns(&self, index: NodeIndex, node: &NodeInfo) -> NamedRow {
        let mut tokens: Vec<_> =
            self.ring.tokens_of(index).map(|token| text(&token.to_string())).collect();
        tokens.sort();
        vec![
            ("data_center", text(&node.datacenter)),
            ("host_id", node.host_id.to_vec()),
            ("rack", text(&node.rack)),
            ("release_version", text(self.persona.release_version())),
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
            ("broadcast_port", int(STORAGE_PORT)),
            ("cluster_name", text(CLUSTER_NAME)),
            ("cql_version", text(self.persona.cql_version())),
            ("gossip_generation", int(1)),
            ("listen_address", node.address.octets().to_vec()),
            ("listen_port", int(STORAGE_PORT)),
            ("native_protocol_version", text(self.persona.native_protocol_version())),
            ("partitioner", text(PARTITIONER)),
            ("rpc_port", int(self.port.into())),
            ("thrift_version", text("19.39.0")),
        ]);
        vec![row]
    }

    fn peers(&self) -> Vec<NamedRow> {
        let is_other = |index| index != self.node && self.ring.is_member(index);
        let others = self.nodes.iter().enumerate().filter(|(index, _)| is_other(*index));
        others
            .map(|(index, node)| {
                let mut row = self.node_columns(index, node);
                row.push(("peer", node.address.octets().to_vec()));
                row.push(("preferred_ip", node.address.octets().to_vec()));
                row.push(("peer_port", int(STORAGE_PORT)));
                row.push(("preferred_port", int(STORAGE_PORT)));
                row.push(("native_address", node.address.octets().to_vec()));
                row.push(("native_port", int(self.port.into())));
                row
            })
            .collect()
    }
}

/// What ScyllaDB adds to a table's row.
fn scylla_table_row(table: &Table, version: [u8; 16]) -> NamedRow {
    let mut row = vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("version", version.to_vec()),
    ];
    if let Ok(Some(options)) = CaptureOptions::of(table) {
        let map = options.to_map();
        row.push(("cdc", text_map(map.iter().map(|(key, value)| (*key, value.as_str())))));
    }
    if table.partitioner == Partitioner::Cdc {
        row.push(("partitioner", text(CDC_PARTITIONER)));
    }
    if let Some(OptionValue::Map(rates)) = table.options.get("per_partition_rate_limit") {
        let entries = rates.iter().map(|(key, value)| (&key[..], &value[..]));
        row.push(("per_partition_rate_limit", text_map(entries)));
    }
    row
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

fn scylla_keyspace_row(keyspace: &Keyspace) -> NamedRow {
    let mut row = vec![("keyspace_name", text(&keyspace.name))];
    if let Some(tablets) = &keyspace.tablets {
        let initial = i32::try_from(tablets.initial).unwrap_or(i32::MAX);
        row.push(("initial_tablets", int(initial)));
    }
    row
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

fn virtual_table_row(table: &Table) -> NamedRow {
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("comment", text("")),
    ]
}

/// Defaults of table options where the two databases differ.
struct OptionDefaults {
    rows_per_partition: &'static str,
    compaction: &'static [(&'static str, &'static str)],
    compression: &'static [(&'static str, &'static str)],
    speculative_retry: &'static str,
}

fn defaults(persona: Persona) -> OptionDefaults {
    match persona {
        Persona::Scylla => OptionDefaults {
            rows_per_partition: "ALL",
            compaction: &[("class", "SizeTieredCompactionStrategy")],
            compression: &[],
            speculative_retry: "99.0PERCENTILE",
        },
        Persona::Cassandra => OptionDefaults {
            rows_per_partition: "NONE",
            compaction: &[
                ("class", "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy"),
                ("max_threshold", "32"),
                ("min_threshold", "4"),
            ],
            compression: &[
                ("chunk_length_in_kb", "16"),
                ("class", "org.apache.cassandra.io.compress.LZ4Compressor"),
            ],
            speculative_retry: "99p",
        },
    }
}

fn text_list<'a>(items: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    collection(&items.into_iter().map(text).collect::<Vec<_>>())
}

fn type_rows(keyspace: &Keyspace) -> impl Iterator<Item = NamedRow> {
    keyspace.types.values().map(|udt| {
        let types: Vec<_> = udt.fields.iter().map(|(_, typ)| typ.to_string()).collect();
        vec![
            ("keyspace_name", text(&udt.keyspace)),
            ("type_name", text(&udt.name)),
            ("field_names", text_list(udt.fields.iter().map(|(name, _)| name.as_str()))),
            ("field_types", text_list(types.iter().map(String::as_str))),
        ]
    })
}

fn index_rows(table: &Table) -> impl Iterator<Item = NamedRow> {
    table.indexes.iter().map(|index| {
        let class = index.class.iter().map(|class| ("class_name", class.as_str()));
        let options = index.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all = options.chain(class).chain([("target", index.target.as_str())]);
        let kind = if index.class.is_some() { "CUSTOM" } else { "COMPOSITES" };
        vec![
            ("keyspace_name", text(&table.keyspace)),
            ("table_name", text(&table.name)),
            ("index_name", text(&index.name)),
            ("kind", text(kind)),
            ("options", text_map(all)),
        ]
    })
}

fn view_row(table: &Table, persona: Persona) -> Option<NamedRow> {
    let view = table.view.as_ref()?;
    let mut row = table_row(table, persona);
    row.retain(|(name, _)| !matches!(*name, "table_name" | "flags"));
    row.extend([
        ("view_name", text(&table.name)),
        ("base_table_id", view.base_id.to_vec()),
        ("base_table_name", text(&view.base)),
        ("include_all_columns", boolean(view.includes_all)),
        ("where_clause", text(&view.where_text)),
    ]);
    Some(row)
}

fn function_rows(keyspace: &Keyspace) -> impl Iterator<Item = NamedRow> {
    keyspace.functions.iter().map(|function| {
        let types: Vec<_> = function.arguments.iter().map(|(_, typ)| typ.to_string()).collect();
        let names = function.arguments.iter().map(|(name, _)| name.as_str());
        vec![
            ("keyspace_name", text(&keyspace.name)),
            ("function_name", text(&function.name)),
            ("argument_types", text_list(types.iter().map(String::as_str))),
            ("argument_names", text_list(names)),
            ("body", text(&function.body)),
            ("called_on_null_input", boolean(function.called_on_null)),
            ("language", text(&function.language)),
            ("return_type", text(&function.returns.to_string())),
        ]
    })
}

fn aggregate_rows(keyspace: &Keyspace) -> impl Iterator<Item = NamedRow> {
    keyspace.aggregates.iter().map(|aggregate| {
        let types: Vec<_> = aggregate.arguments.iter().map(ToString::to_string).collect();
        let mut row = vec![
            ("keyspace_name", text(&keyspace.name)),
            ("aggregate_name", text(&aggregate.name)),
            ("argument_types", text_list(types.iter().map(String::as_str))),
            ("return_type", text(&aggregate.returns().to_string())),
            ("state_func", text(&aggregate.state.name)),
            ("state_type", text(&aggregate.state_type.to_string())),
        ];
        if let Some(last) = &aggregate.last {
            row.push(("final_func", text(&last.name)));
        }
        if let (Some(initial), CqlType::Native(native)) =
            (&aggregate.initial, aggregate.state_type.thawed())
        {
            row.push(("initcond", text(&scalar_text(*native, initial))));
        }
        row
    })
}

/// A table's options, those that were given and the defaults of the others.
struct Options<'t> {
    table: &'t Table,
    persona: Persona,
}

impl Options<'_> {
    fn text(&self, name: &str, default: &str) -> String {
        match self.table.options.get(name) {
            Some(OptionValue::Text(value)) => value.clone(),
            _ => default.to_owned(),
        }
    }

    fn number(&self, name: &str, default: i32) -> i32 {
        self.text(name, "").parse().unwrap_or(default)
    }

    fn fraction(&self, name: &str, default: f64) -> f64 {
        self.text(name, "").parse().unwrap_or(default)
    }

    /// A map's entries. Cassandra adds what it holds for given, and writes classes in full.
    fn map(&self, name: &str) -> Vec<(String, String)> {
        let defaults = defaults(self.persona);
        let default: &[(&str, &str)] = match name {
            "caching" => &[("keys", "ALL"), ("rows_per_partition", defaults.rows_per_partition)],
            "compaction" => defaults.compaction,
            _ => defaults.compression,
        };
        let mut entries: Vec<(String, String)> = match self.table.options.get(name) {
            Some(OptionValue::Map(map)) => map.clone(),
            _ => Vec::new(),
        };
        let is_off = entries.iter().any(|(key, value)| key == "enabled" && value == "false");
        let adds = entries.is_empty() || self.persona == Persona::Cassandra;
        // The unified strategy has no thresholds.
        let is_unified =
            entries.iter().any(|(_, class)| class.ends_with("UnifiedCompactionStrategy"));
        for (key, value) in default.iter().filter(|_| adds && !is_off && !is_unified) {
            if !entries.iter().any(|(known, _)| known == key) {
                entries.push(((*key).to_owned(), (*value).to_owned()));
            }
        }
        let package = match name {
            "compaction" => "org.apache.cassandra.db.compaction.",
            _ => "org.apache.cassandra.io.compress.",
        };
        for (key, value) in &mut entries {
            if self.persona == Persona::Cassandra && name == "caching" {
                value.make_ascii_uppercase();
            }
            if self.persona == Persona::Cassandra && key == "class" && !value.contains('.') {
                value.insert_str(0, package);
            }
        }
        entries.sort();
        entries
    }

    fn bloom_filter_fp_chance(&self) -> f64 {
        let is_leveled = self.persona == Persona::Cassandra
            && self
                .map("compaction")
                .iter()
                .any(|(_, class)| class.ends_with("LeveledCompactionStrategy"));
        self.fraction("bloom_filter_fp_chance", if is_leveled { 0.1 } else { 0.01 })
    }
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn entries_text(entries: &[(String, String)]) -> String {
    let entry =
        |(key, value): &(String, String)| format!("{}: {}", text_literal(key), text_literal(value));
    format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
}

/// Options as a statement writes them, in the order in which Cassandra does.
pub(crate) fn option_texts(table: &Table, persona: Persona) -> Vec<(&'static str, String)> {
    let options = Options { table, persona };
    let text = |name: &str, default: &str| text_literal(&options.text(name, default));
    let map = |name: &str| entries_text(&options.map(name));
    let fraction = |value: f64| scalar_text(Native::Double, &value.to_be_bytes());
    let number = |name: &str, default: i32| options.number(name, default).to_string();
    let speculative_retry = defaults(persona).speculative_retry;
    let cdc = match persona {
        Persona::Cassandra => Some(options.text("cdc", "false")),
        Persona::Scylla => CaptureOptions::of(table).ok().flatten().map(|options| {
            let entries = options.to_map();
            let entry = |(key, value): &(&str, String)| format!("'{key}': '{value}'");
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }),
    };
    let before = [
        ("additional_write_policy", text("additional_write_policy", "99p")),
        ("allow_auto_snapshot", options.text("allow_auto_snapshot", "true")),
        ("bloom_filter_fp_chance", fraction(options.bloom_filter_fp_chance())),
        ("caching", map("caching")),
    ];
    let after = [
        ("comment", text("comment", "")),
        ("compaction", map("compaction")),
        ("compression", map("compression")),
        ("memtable", text("memtable", "default")),
        ("crc_check_chance", fraction(options.fraction("crc_check_chance", 1.0))),
        ("default_time_to_live", number("default_time_to_live", 0)),
        ("extensions", "{}".to_owned()),
        ("gc_grace_seconds", number("gc_grace_seconds", 864_000)),
        ("incremental_backups", options.text("incremental_backups", "true")),
        ("max_index_interval", number("max_index_interval", 2048)),
        ("memtable_flush_period_in_ms", number("memtable_flush_period_in_ms", 0)),
        ("min_index_interval", number("min_index_interval", 128)),
        ("read_repair", text("read_repair", "BLOCKING")),
        ("speculative_retry", text("speculative_retry", speculative_retry)),
    ];
    let cdc = cdc.map(|text| ("cdc", text));
    // ScyllaDB's own are written if they are given.
    let own = [
        "dclocal_read_repair_chance",
        "in_memory",
        "paxos_grace_seconds",
        "per_partition_rate_limit",
        "read_repair_chance",
        "synchronous_updates",
        "tombstone_gc",
    ];
    let own = own.into_iter().filter_map(|name| {
        let text = match table.options.get(name)? {
            OptionValue::Text(text) => text.clone(),
            OptionValue::Map(entries) => entries_text(entries),
        };
        Some((name, text))
    });
    let all = before.into_iter().chain(cdc).chain(after).chain(own);
    all.filter(|(name, _)| is_known(persona, name)).collect()
}

fn table_row(table: &Table, persona: Persona) -> NamedRow {
    let defaults = defaults(persona);
    let given = Options { table, persona };
    let option = |name: &str, default: &str| given.text(name, default);
    let number = |name: &str, default: i32| int(given.number(name, default));
    let fraction = |name: &str, default: f64| double(given.fraction(name, default));
    let options = |name: &str| {
        let entries = given.map(name);
        text_map(entries.iter().map(|(key, value)| (&key[..], &value[..])))
    };
    let flag = if table.is_counter() {
        vec![text("compound"), text("counter")]
    } else {
        vec![text("compound")]
    };
    vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("additional_write_policy", text(&option("additional_write_policy", "99p"))),
        ("allow_auto_snapshot", boolean(option("allow_auto_snapshot", "true") == "true")),
        ("bloom_filter_fp_chance", double(given.bloom_filter_fp_chance())),
        ("caching", options("caching")),
        ("comment", text(&option("comment", ""))),
        ("compaction", options("compaction")),
        ("compression", options("compression")),
        ("crc_check_chance", fraction("crc_check_chance", 1.0)),
        ("dclocal_read_repair_chance", fraction("dclocal_read_repair_chance", 0.0)),
        ("default_time_to_live", number("default_time_to_live", 0)),
        ("extensions", map(&[])),
        ("flags", collection(&flag)),
        ("gc_grace_seconds", number("gc_grace_seconds", 864_000)),
        ("id", table.id.to_vec()),
        ("incremental_backups", boolean(option("incremental_backups", "true") == "true")),
        ("max_index_interval", number("max_index_interval", 2048)),
        ("memtable_flush_period_in_ms", number("memtable_flush_period_in_ms", 0)),
        ("min_index_interval", number("min_index_interval", 128)),
        ("read_repair", text(&option("read_repair", "BLOCKING"))),
        ("read_repair_chance", fraction("read_repair_chance", 0.0)),
        ("speculative_retry", text(&option("speculative_retry", defaults.speculative_retry))),
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
        Kind::Static => ("static", usize::MAX, "none"),
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
        let is_static = |column: &Column| column.kind == Kind::Static;
        for column in table.regular().iter().filter(|column| !is_static(column)) {
            let Some(value) = value(column) else { continue };
            if !column.typ.is_multi_cell() {
                stored.write(column.id, Cell::new(stamp, Some(value)));
                continue;
            }
            for NewElement { path, key, value } in split(&column.typ, &value) {
                stored.write_element(
                    column.id,
                    path,
                    Element { key, cell: Cell::new(stamp, value) },
                );
            }
        }
        for column in table.regular().iter().filter(|column| is_static(column)) {
            let value = value(column);
            partition.statics_mut().write(column.id, Cell::new(stamp, value));
        }
    }
    data
}
