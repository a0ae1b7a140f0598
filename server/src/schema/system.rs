//! Definitions of the system tables, in CQL, as clients expect to find them.

use std::rc::Rc;

use super::Schema;
use super::change::{keyspace, table};
use crate::cql::ast::{Ddl, Statement};
use crate::cql::parser::parse;
use crate::error::CqlError;
use crate::routing::Ring;

/// `system.*`
const SYSTEM: &[&str] = &[
    "CREATE TABLE local (key text PRIMARY KEY, bootstrapped text, broadcast_address inet, \
     cluster_name text, cql_version text, data_center text, gossip_generation int, host_id uuid, \
     listen_address inet, native_protocol_version text, partitioner text, rack text, \
     release_version text, rpc_address inet, schema_version uuid, supported_features text, \
     thrift_version text, tokens set<text>, truncated_at map<uuid, blob>)",
    "CREATE TABLE peers (peer inet PRIMARY KEY, data_center text, host_id uuid, \
     preferred_ip inet, rack text, release_version text, rpc_address inet, schema_version uuid, \
     supported_features text, tokens set<text>)",
];

/// Options that `system_schema.tables` and `.views` show.
const TABLE_OPTIONS: &str = "bloom_filter_fp_chance double, caching frozen<map<text, text>>, \
     comment text, compaction frozen<map<text, text>>, compression frozen<map<text, text>>, \
     crc_check_chance double, dclocal_read_repair_chance double, default_time_to_live int, \
     extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid, max_index_interval int, \
     memtable_flush_period_in_ms int, min_index_interval int, read_repair_chance double, \
     speculative_retry text";

/// `system_schema.*`; `{}` stands for [`TABLE_OPTIONS`].
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
    "CREATE TABLE scylla_tables (keyspace_name text, table_name text, cdc frozen<map<text, text>>, \
     partitioner text, version uuid, PRIMARY KEY (keyspace_name, table_name))",
    "CREATE TABLE scylla_keyspaces (keyspace_name text PRIMARY KEY, initial_tablets int, \
     storage_options frozen<map<text, text>>, storage_type text)",
];

/// A schema that has the system keyspaces only.
pub(crate) fn schema(ring: &Ring) -> Result<Schema, CqlError> {
    let mut schema = Schema { version: super::change::fresh_uuid(), ..Schema::default() };
    for (name, tables) in [("system", SYSTEM), ("system_schema", SYSTEM_SCHEMA)] {
        let replication =
            vec![("class".to_owned(), "org.apache.cassandra.locator.LocalStrategy".to_owned())];
        let mut system = keyspace(name.to_owned(), replication, true, ring)?;
        for text in tables {
            let parsed = parse(&text.replace("{}", TABLE_OPTIONS))?;
            if let Statement::Ddl(Ddl::CreateTable(create)) = parsed.statement {
                let table = table(name, &create)?;
                system.tables.insert(table.name.clone(), Rc::new(table));
            }
        }
        schema.keyspaces.insert(name.to_owned(), system);
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_system_tables_are_defined() {
        let schema = schema(&Ring::new(Vec::new(), 1, 1)).unwrap();
        assert_eq!(schema.keyspaces["system"].tables.len(), 2);
        assert_eq!(schema.keyspaces["system_schema"].tables.len(), 11);
    }
}
