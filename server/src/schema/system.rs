//! Definitions of the system tables, in CQL, as clients expect to find them.

use std::rc::Rc;

use super::Schema;
use super::change::{keyspace, table};
use crate::cql::ast::{Ddl, Statement};
use crate::cql::parser::parse;
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::Ring;

/// `system.*` of ScyllaDB.
const SCYLLA_SYSTEM: &[&str] = &[
    "CREATE TABLE local (key text PRIMARY KEY, bootstrapped text, broadcast_address inet, \
     cluster_name text, cql_version text, data_center text, gossip_generation int, host_id uuid, \
     listen_address inet, native_protocol_version text, partitioner text, rack text, \
     release_version text, rpc_address inet, schema_version uuid, supported_features text, \
     thrift_version text, tokens set<text>, truncated_at map<uuid, blob>)",
    "CREATE TABLE peers (peer inet PRIMARY KEY, data_center text, host_id uuid, \
     preferred_ip inet, rack text, release_version text, rpc_address inet, schema_version uuid, \
     supported_features text, tokens set<text>)",
    "CREATE TABLE tablets (table_id uuid, last_token bigint, keyspace_name text static, \
     new_replicas frozen<list<frozen<tuple<uuid, int>>>>, \
     replicas frozen<list<frozen<tuple<uuid, int>>>>, session uuid, stage text, \
     table_name text static, tablet_count int static, transition text, \
     PRIMARY KEY (table_id, last_token))",
    "CREATE TABLE cdc_local (key text PRIMARY KEY, streams_timestamp timestamp, uuid uuid)",
];

/// The keyspace of what all nodes of ScyllaDB keep together. Its rows are made up.
pub(crate) const DISTRIBUTED: &str = "system_distributed";

/// `system_distributed.*`: the streams of CDC logs.
const SYSTEM_DISTRIBUTED: &[&str] = &[
    "CREATE TABLE cdc_generation_timestamps (key text, time timestamp, expired timestamp, \
     PRIMARY KEY (key, time)) WITH CLUSTERING ORDER BY (time DESC)",
    "CREATE TABLE cdc_streams_descriptions_v2 (time timestamp, range_end bigint, \
     streams frozen<set<blob>>, PRIMARY KEY (time, range_end))",
];

/// `system.*` of Cassandra 5.0.
const CASSANDRA_SYSTEM: &[&str] = &[
    "CREATE TABLE local (key text PRIMARY KEY, bootstrapped text, broadcast_address inet, \
     broadcast_port int, cluster_name text, cql_version text, data_center text, \
     gossip_generation int, host_id uuid, listen_address inet, listen_port int, \
     native_protocol_version text, partitioner text, rack text, release_version text, \
     rpc_address inet, rpc_port int, schema_version uuid, tokens set<text>, \
     truncated_at map<uuid, blob>)",
    "CREATE TABLE peers (peer inet PRIMARY KEY, data_center text, host_id uuid, \
     preferred_ip inet, rack text, release_version text, rpc_address inet, schema_version uuid, \
     tokens set<text>)",
    "CREATE TABLE peers_v2 (peer inet, peer_port int, data_center text, host_id uuid, \
     native_address inet, native_port int, preferred_ip inet, preferred_port int, rack text, \
     release_version text, schema_version uuid, tokens set<text>, PRIMARY KEY (peer, peer_port))",
];

/// Options that `system_schema.tables` and `.views` of ScyllaDB show.
const SCYLLA_OPTIONS: &str = "bloom_filter_fp_chance double, caching frozen<map<text, text>>, \
     comment text, compaction frozen<map<text, text>>, compression frozen<map<text, text>>, \
     crc_check_chance double, dclocal_read_repair_chance double, default_time_to_live int, \
     extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid, max_index_interval int, \
     memtable_flush_period_in_ms int, min_index_interval int, read_repair_chance double, \
     speculative_retry text";

/// Those of Cassandra 5.0.
const CASSANDRA_OPTIONS: &str = "allow_auto_snapshot boolean, bloom_filter_fp_chance double, \
     caching frozen<map<text, text>>, comment text, compaction frozen<map<text, text>>, \
     compression frozen<map<text, text>>, memtable text, crc_check_chance double, \
     dclocal_read_repair_chance double, default_time_to_live int, \
     extensions frozen<map<text, blob>>, gc_grace_seconds int, incremental_backups boolean, \
     id uuid, max_index_interval int, memtable_flush_period_in_ms int, min_index_interval int, \
     read_repair_chance double, speculative_retry text, additional_write_policy text, \
     cdc boolean, read_repair text";

/// `system_schema.*` of both; `{}` stands for the options.
const SYSTEM_SCHEMA: &[&str] = &[
    "CREATE TABLE keyspaces (keyspace_name text PRIMARY KEY, durable_writes boolean, \
     replication frozen<map<text, text>>)",
    "CREATE TABLE tables (keyspace_name text, table_name text, {}, flags frozen<set<text>>, \
     PRIMARY KEY (keyspace_name, table_name))",
    "CREATE TABLE columns (keyspace_name text, table_name text, column_name text, \
     clustering_order text, column_name_bytes blob, kind text, position int, type text, \
     PRIMARY KEY (keyspace_name, table_name, column_name))",
    "CREATE TABLE types (keyspace_name text, type_name text, field_names frozen<list<text>>, \
     field_types frozen<list<text>>, PRIMARY KEY (keyspace_name, type_name))",
    "CREATE TABLE views (keyspace_name text, view_name text, {}, base_table_id uuid, \
     base_table_name text, include_all_columns boolean, where_clause text, \
     PRIMARY KEY (keyspace_name, view_name))",
    "CREATE TABLE indexes (keyspace_name text, table_name text, index_name text, kind text, \
     options frozen<map<text, text>>, PRIMARY KEY (keyspace_name, table_name, index_name))",
    "CREATE TABLE triggers (keyspace_name text, table_name text, trigger_name text, \
     options frozen<map<text, text>>, PRIMARY KEY (keyspace_name, table_name, trigger_name))",
    "CREATE TABLE functions (keyspace_name text, function_name text, \
     argument_types frozen<list<text>>, argument_names frozen<list<text>>, body text, \
     called_on_null_input boolean, language text, return_type text, \
     PRIMARY KEY (keyspace_name, function_name, argument_types))",
    "CREATE TABLE aggregates (keyspace_name text, aggregate_name text, \
     argument_types frozen<list<text>>, final_func text, initcond text, return_type text, \
     state_func text, state_type text, \
     PRIMARY KEY (keyspace_name, aggregate_name, argument_types))",
];

/// What ScyllaDB adds to `system_schema`.
const SCYLLA_SCHEMA: &[&str] = &[
    "CREATE TABLE scylla_tables (keyspace_name text, table_name text, cdc frozen<map<text, text>>, \
     partitioner text, per_partition_rate_limit frozen<map<text, text>>, version uuid, \
     PRIMARY KEY (keyspace_name, table_name))",
    "CREATE TABLE scylla_keyspaces (keyspace_name text PRIMARY KEY, initial_tablets int, \
     storage_options frozen<map<text, text>>, storage_type text)",
];

/// `system_traces.*` of ScyllaDB. Its rows are kept as those of any other keyspace.
const SCYLLA_TRACES: &[&str] = &[
    "CREATE TABLE sessions (session_id uuid PRIMARY KEY, client inet, command text, \
     coordinator inet, duration int, parameters map<text, text>, request text, request_size int, \
     response_size int, started_at timestamp, username text)",
    "CREATE TABLE events (session_id uuid, event_id timeuuid, activity text, \
     scylla_parent_id bigint, scylla_span_id bigint, source inet, source_elapsed int, \
     thread text, PRIMARY KEY (session_id, event_id))",
];

/// Those of Cassandra.
const CASSANDRA_TRACES: &[&str] = &[
    "CREATE TABLE sessions (session_id uuid PRIMARY KEY, client inet, command text, \
     coordinator inet, coordinator_port int, duration int, parameters map<text, text>, \
     request text, started_at timestamp)",
    "CREATE TABLE events (session_id uuid, event_id timeuuid, activity text, source inet, \
     source_elapsed int, source_port int, thread text, PRIMARY KEY (session_id, event_id))",
];

/// The keyspace of roles and permissions. Its rows are made up, so it can only be read.
pub(crate) const AUTH: &str = "system_auth";

/// `system_auth.*` of both.
const SYSTEM_AUTH: &[&str] = &[
    "CREATE TABLE roles (role text PRIMARY KEY, can_login boolean, is_superuser boolean, \
     member_of set<text>, salted_hash text)",
    "CREATE TABLE role_members (role text, member text, PRIMARY KEY (role, member))",
    "CREATE TABLE role_permissions (role text, resource text, permissions set<text>, \
     PRIMARY KEY (role, resource))",
];

/// The keyspace in which Cassandra describes tables that it makes up; clients of version 4 and
/// later read it. It is not shown in `system_schema`.
pub(crate) const VIRTUAL_SCHEMA: &str = "system_virtual_schema";

/// `system_virtual_schema.*` of Cassandra.
const CASSANDRA_VIRTUAL_SCHEMA: &[&str] = &[
    "CREATE TABLE keyspaces (keyspace_name text PRIMARY KEY)",
    "CREATE TABLE tables (keyspace_name text, table_name text, comment text, \
     PRIMARY KEY (keyspace_name, table_name))",
    "CREATE TABLE columns (keyspace_name text, table_name text, column_name text, \
     clustering_order text, column_name_bytes blob, kind text, position int, type text, \
     PRIMARY KEY (keyspace_name, table_name, column_name))",
];

/// A schema that has the system keyspaces only.
pub(crate) fn schema(ring: &Ring, persona: Persona) -> Result<Schema, CqlError> {
    let version = super::change::fresh_uuid();
    let mut schema = Schema { version, persona, ..Schema::default() };
    let add = |schema: &mut Schema, name: &str, tables: &[&[&str]], options: &str| {
        let replication = match name {
            "system_traces" => &[("class", "SimpleStrategy"), ("replication_factor", "2")][..],
            _ => &[("class", "LocalStrategy")],
        };
        let replication = replication
            .iter()
            .map(|(key, value)| match *key {
                "class" => (key.to_string(), format!("org.apache.cassandra.locator.{value}")),
                _ => (key.to_string(), value.to_string()),
            })
            .collect();
        let mut system = keyspace(name.to_owned(), replication, true, ring)?;
        if let AUTH | DISTRIBUTED = name {
            // As databases show it, though each node makes the rows up.
            let class = "org.apache.cassandra.locator.SimpleStrategy";
            let factor = if name == AUTH { "1" } else { "3" };
            let shown = [("class", class), ("replication_factor", factor)];
            system.replication = shown.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        }
        for text in tables.iter().copied().flatten() {
            let parsed = parse(&text.replace("{}", options), persona)?;
            if let Statement::Ddl(Ddl::CreateTable(create)) = parsed.statement {
                let table = table(persona, name, &create)?;
                system.tables.insert(table.name.clone(), Rc::new(table));
            }
        }
        schema.keyspaces.insert(name.to_owned(), system);
        Ok::<_, CqlError>(())
    };
    add(&mut schema, AUTH, &[SYSTEM_AUTH], "")?;
    match persona {
        Persona::Scylla => {
            add(&mut schema, "system", &[SCYLLA_SYSTEM], "")?;
            let tables = [SYSTEM_SCHEMA, SCYLLA_SCHEMA];
            add(&mut schema, "system_schema", &tables, SCYLLA_OPTIONS)?;
            add(&mut schema, "system_traces", &[SCYLLA_TRACES], "")?;
            add(&mut schema, DISTRIBUTED, &[SYSTEM_DISTRIBUTED], "")?;
        }
        Persona::Cassandra => {
            add(&mut schema, "system", &[CASSANDRA_SYSTEM], "")?;
            add(&mut schema, "system_schema", &[SYSTEM_SCHEMA], CASSANDRA_OPTIONS)?;
            add(&mut schema, "system_traces", &[CASSANDRA_TRACES], "")?;
            add(&mut schema, VIRTUAL_SCHEMA, &[CASSANDRA_VIRTUAL_SCHEMA], "")?;
        }
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_system_tables_are_defined() {
        let counts = |persona| {
            let schema = schema(&Ring::new(Vec::new(), 1, 1), persona).unwrap();
            let count = |(name, keyspace): (&String, &super::super::Keyspace)| {
                (name.clone(), keyspace.tables.len())
            };
            schema.keyspaces.iter().map(count).collect::<Vec<_>>()
        };
        let (system, schema) = ("system".to_owned(), "system_schema".to_owned());
        let traces = ("system_traces".to_owned(), 2);
        let auth = (AUTH.to_owned(), 3);
        let expect = [
            (system.clone(), 4),
            auth.clone(),
            (DISTRIBUTED.to_owned(), 2),
            (schema.clone(), 11),
            traces.clone(),
        ];
        assert_eq!(counts(Persona::Scylla), expect);
        let expect = [(system, 3), auth, (schema, 9), traces, (VIRTUAL_SCHEMA.to_owned(), 3)];
        assert_eq!(counts(Persona::Cassandra), expect);
    }
}
