//! CREATE, ALTER and DROP.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Column, Keyspace, Kind, Schema, Table, keyspace_of};
use crate::cql::ast::{
    AlterTable, ColumnDefinition, CreateTable, Ddl, KeyspaceOptions, OptionValue,
};
use crate::error::CqlError;
use crate::routing::{Placement, Ring, Strategy};
use crate::store::TableData;
use crate::value::types::{CqlType, Native};

/// What a change did, as the reply and the event say it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Change {
    /// CREATED, UPDATED or DROPPED.
    pub(crate) what: &'static str,
    pub(crate) keyspace: String,
    /// `None` when the keyspace itself changed.
    pub(crate) table: Option<String>,
}

/// Most columns of a table: ids and indexes are 16 bits wide on the wire.
const COLUMNS_MAX: usize = 10_000;

/// Applies a change; `None` when IF [NOT] EXISTS made it one that does nothing.
pub(crate) fn apply(
    schema: &mut Schema,
    ring: &Ring,
    ddl: &Ddl,
    current: Option<&str>,
) -> Result<Option<Change>, CqlError> {
    let change = match ddl {
        Ddl::CreateKeyspace(options) => create_keyspace(schema, ring, options)?,
        Ddl::AlterKeyspace(options) => alter_keyspace(schema, ring, options)?,
        Ddl::DropKeyspace { name, if_exists } => drop_keyspace(schema, name, *if_exists)?,
        Ddl::CreateTable(create) => create_table(schema, create, current)?,
        Ddl::AlterTable(alter) => alter_table(schema, alter, current)?,
        Ddl::DropTable { table, if_exists } => {
            let keyspace = keyspace_of(table, current)?.to_owned();
            let tables = &mut user_keyspace(schema, &keyspace)?.tables;
            match tables.remove(&table.name) {
                Some(_) => {
                    Some(Change { what: "DROPPED", keyspace, table: Some(table.name.clone()) })
                }
                None if *if_exists => None,
                None => {
                    return Err(CqlError::invalid(format!("unconfigured table {}", table.name)));
                }
            }
        }
    };
    if change.is_some() {
        schema.version = fresh_uuid();
    }
    Ok(change)
}

/// A random version 4 UUID.
pub(crate) fn fresh_uuid() -> [u8; 16] {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().into_bytes()
}

fn user_keyspace<'a>(schema: &'a mut Schema, name: &str) -> Result<&'a mut Keyspace, CqlError> {
    let keyspace = schema
        .keyspaces
        .get_mut(name)
        .ok_or_else(|| CqlError::invalid(format!("Keyspace '{name}' does not exist")))?;
    if keyspace.is_system() {
        return Err(CqlError::invalid(format!("Keyspace '{name}' is not user-modifiable")));
    }
    Ok(keyspace)
}

/// What the options of a keyspace say; `None` for what they leave out.
#[derive(Default)]
struct KeyspaceSettings {
    replication: Option<Vec<(String, String)>>,
    durable_writes: Option<bool>,
}

fn settings_of(options: &[(String, OptionValue)]) -> Result<KeyspaceSettings, CqlError> {
    let mut settings = KeyspaceSettings::default();
    for (name, value) in options {
        match (name.as_str(), value) {
            ("replication", OptionValue::Map(map)) => settings.replication = Some(map.clone()),
            ("durable_writes", OptionValue::Text(text)) => {
                settings.durable_writes = Some(text == "true");
            }
            // Tablets are not served; asking for none of them is what this node does anyway.
            ("tablets", OptionValue::Map(map))
                if map.contains(&("enabled".to_owned(), "false".to_owned())) => {}
            _ => return Err(CqlError::invalid(format!("keyspace option {name} is not supported"))),
        }
    }
    Ok(settings)
}

fn create_keyspace(
    schema: &mut Schema,
    ring: &Ring,
    options: &KeyspaceOptions,
) -> Result<Option<Change>, CqlError> {
    let settings = settings_of(&options.options)?;
    let replication =
        settings.replication.ok_or_else(|| CqlError::invalid("replication is mandatory"))?;
    let name = options.name.clone();
    if schema.keyspaces.contains_key(&name) {
        return if options.conditional {
            Ok(None)
        } else {
            Err(CqlError::already_exists(&name, ""))
        };
    }
    let keyspace =
        keyspace(name.clone(), replication, settings.durable_writes.unwrap_or(true), ring)?;
    schema.keyspaces.insert(name.clone(), keyspace);
    Ok(Some(Change { what: "CREATED", keyspace: name, table: None }))
}

/// A keyspace without tables.
pub(crate) fn keyspace(
    name: String,
    mut replication: Vec<(String, String)>,
    durable_writes: bool,
    ring: &Ring,
) -> Result<Keyspace, CqlError> {
    expand_factor(&mut replication, ring);
    let strategy = Strategy::parse(&replication).map_err(CqlError::invalid)?;
    let placement = Rc::new(Placement::new(ring, &strategy));
    Ok(Keyspace { name, replication, durable_writes, strategy, placement, tables: BTreeMap::new() })
}

/// `replication_factor` with NetworkTopologyStrategy stands for every datacenter.
fn expand_factor(replication: &mut Vec<(String, String)>, ring: &Ring) {
    let is_network = replication.iter().any(|(key, value)| {
        key == "class" && value.rsplit('.').next() == Some("NetworkTopologyStrategy")
    });
    let at = replication.iter().position(|(key, _)| key == "replication_factor");
    let Some(at) = at.filter(|_| is_network) else { return };
    let (_, factor) = replication.remove(at);
    for dc in ring.datacenters() {
        if !replication.iter().any(|(key, _)| *key == dc) {
            replication.push((dc, factor.clone()));
        }
    }
}

fn alter_keyspace(
    schema: &mut Schema,
    ring: &Ring,
    options: &KeyspaceOptions,
) -> Result<Option<Change>, CqlError> {
    if options.conditional && !schema.keyspaces.contains_key(&options.name) {
        return Ok(None);
    }
    let settings = settings_of(&options.options)?;
    let old = user_keyspace(schema, &options.name)?;
    let replication = settings.replication.unwrap_or_else(|| old.replication.clone());
    let durable = settings.durable_writes.unwrap_or(old.durable_writes);
    let mut new = keyspace(options.name.clone(), replication, durable, ring)?;
    new.tables = std::mem::take(&mut old.tables);
    *old = new;
    Ok(Some(Change { what: "UPDATED", keyspace: options.name.clone(), table: None }))
}

fn drop_keyspace(
    schema: &mut Schema,
    name: &str,
    if_exists: bool,
) -> Result<Option<Change>, CqlError> {
    if if_exists && !schema.keyspaces.contains_key(name) {
        return Ok(None);
    }
    user_keyspace(schema, name)?;
    schema.keyspaces.remove(name);
    Ok(Some(Change { what: "DROPPED", keyspace: name.to_owned(), table: None }))
}

fn create_table(
    schema: &mut Schema,
    create: &CreateTable,
    current: Option<&str>,
) -> Result<Option<Change>, CqlError> {
    let keyspace_name = keyspace_of(&create.table, current)?.to_owned();
    let keyspace = user_keyspace(schema, &keyspace_name)?;
    let name = create.table.name.clone();
    if keyspace.tables.contains_key(&name) {
        return if create.if_not_exists {
            Ok(None)
        } else {
            Err(CqlError::already_exists(&keyspace_name, &name))
        };
    }
    let table = table(&keyspace_name, create)?;
    keyspace.tables.insert(name.clone(), Rc::new(table));
    Ok(Some(Change { what: "CREATED", keyspace: keyspace_name, table: Some(name) }))
}

/// A new, empty table.
pub(crate) fn table(keyspace: &str, create: &CreateTable) -> Result<Table, CqlError> {
    if create.partition_key.is_empty() {
        return Err(CqlError::invalid("No PRIMARY KEY specified (exactly one required)"));
    }
    if create.columns.len() > COLUMNS_MAX {
        return Err(CqlError::invalid(format!("more than {COLUMNS_MAX} columns")));
    }
    let mut columns = Vec::new();
    for (position, name) in create.partition_key.iter().enumerate() {
        columns.push(key_column(create, name, Kind::PartitionKey(position))?);
    }
    for (position, name) in create.clustering_key.iter().enumerate() {
        columns.push(key_column(create, name, Kind::Clustering(position))?);
    }
    let is_key =
        |name: &String| create.partition_key.contains(name) || create.clustering_key.contains(name);
    for definition in create.columns.iter().filter(|definition| !is_key(&definition.name)) {
        columns.push(regular_column(definition)?);
    }
    if columns.len() != create.columns.len() {
        return Err(CqlError::invalid("a column is defined or used in the key twice"));
    }
    let mut next_column_id = 0;
    for column in &mut columns {
        column.id = next_column_id;
        next_column_id += 1;
    }
    let mut table = Table {
        keyspace: keyspace.to_owned(),
        name: create.table.name.clone(),
        id: fresh_uuid(),
        partition_key_len: create.partition_key.len(),
        clustering_desc: directions(create)?,
        options: create.options.iter().cloned().collect(),
        columns,
        next_column_id,
        data: Rc::new(RefCell::new(TableData::default())),
    };
    sort_regular(&mut table);
    check_names(&table)?;
    check_counters(&table)?;
    Ok(table)
}

fn key_column(create: &CreateTable, name: &str, kind: Kind) -> Result<Column, CqlError> {
    let definition = create.columns.iter().find(|definition| definition.name == name);
    let definition = definition
        .ok_or_else(|| CqlError::invalid(format!("Unknown column {name} in the PRIMARY KEY")))?;
    let is_bad = definition.is_static
        || definition.typ.is_multi_cell()
        || matches!(definition.typ, CqlType::Native(Native::Counter | Native::Duration));
    if is_bad {
        let message = format!("Invalid type {} for PRIMARY KEY column {name}", definition.typ);
        return Err(CqlError::invalid(message));
    }
    Ok(Column { id: 0, name: name.to_owned(), typ: definition.typ.clone(), kind })
}

fn regular_column(definition: &ColumnDefinition) -> Result<Column, CqlError> {
    if definition.is_static {
        return Err(CqlError::invalid("static columns are not supported by this node"));
    }
    let ColumnDefinition { name, typ, .. } = definition;
    Ok(Column { id: 0, name: name.clone(), typ: typ.clone(), kind: Kind::Regular })
}

fn directions(create: &CreateTable) -> Result<Vec<bool>, CqlError> {
    let order = &create.clustering_order;
    let in_order =
        order.iter().map(|(name, _)| name).eq(create.clustering_key.iter().take(order.len()));
    if !in_order || (!order.is_empty() && order.len() != create.clustering_key.len()) {
        return Err(CqlError::invalid(
            "CLUSTERING ORDER BY must name the clustering columns in order",
        ));
    }
    let mut desc: Vec<bool> = order.iter().map(|(_, desc)| *desc).collect();
    desc.resize(create.clustering_key.len(), false);
    Ok(desc)
}

fn sort_regular(table: &mut Table) {
    let start = table.partition_key_len + table.clustering_desc.len();
    if let Some(regular) = table.columns.get_mut(start..) {
        regular.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

fn check_names(table: &Table) -> Result<(), CqlError> {
    let mut names: Vec<_> = table.columns.iter().map(|column| &column.name).collect();
    names.sort_unstable();
    match names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b) {
        Some((name, _)) => Err(CqlError::invalid(format!("Multiple definition of column {name}"))),
        None => Ok(()),
    }
}

fn check_counters(table: &Table) -> Result<(), CqlError> {
    let counters = table
        .regular()
        .iter()
        .filter(|column| column.typ == CqlType::Native(Native::Counter))
        .count();
    if counters > 0 && counters != table.regular().len() {
        return Err(CqlError::invalid(
            "Cannot mix counter and non counter columns in the same table",
        ));
    }
    Ok(())
}

fn alter_table(
    schema: &mut Schema,
    alter: &AlterTable,
    current: Option<&str>,
) -> Result<Option<Change>, CqlError> {
    let keyspace_name = keyspace_of(&alter.table, current)?.to_owned();
    let keyspace = user_keyspace(schema, &keyspace_name)?;
    let name = &alter.table.name;
    let Some(old) = keyspace.tables.get(name) else {
        return if alter.if_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("unconfigured table {name}")))
        };
    };
    let mut new = Table {
        keyspace: old.keyspace.clone(),
        name: old.name.clone(),
        id: old.id,
        columns: old.columns.clone(),
        partition_key_len: old.partition_key_len,
        clustering_desc: old.clustering_desc.clone(),
        options: old.options.clone(),
        next_column_id: old.next_column_id,
        data: Rc::clone(&old.data),
    };
    for definition in &alter.add {
        let mut column = regular_column(definition)?;
        column.id = new.next_column_id;
        new.next_column_id += 1;
        new.columns.push(column);
    }
    for column in &alter.drop {
        let (position, definition) = new.column(column)?;
        if definition.kind != Kind::Regular {
            return Err(CqlError::invalid(format!("Cannot drop PRIMARY KEY part {column}")));
        }
        new.columns.remove(position);
    }
    if new.columns.len() > COLUMNS_MAX {
        return Err(CqlError::invalid(format!("more than {COLUMNS_MAX} columns")));
    }
    new.options.extend(alter.options.iter().cloned());
    sort_regular(&mut new);
    check_names(&new)?;
    check_counters(&new)?;
    keyspace.tables.insert(name.clone(), Rc::new(new));
    Ok(Some(Change { what: "UPDATED", keyspace: keyspace_name, table: Some(name.clone()) }))
}
