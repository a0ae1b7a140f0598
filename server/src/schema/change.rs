//! CREATE, ALTER and DROP.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Column, Keyspace, Kind, Schema, Table, keyspace_of, objects, options};
use crate::cdc::table as cdc;
use crate::cql::ast::{
    AlterTable, ColumnDefinition, CreateTable, Ddl, KeyspaceOptions, OptionValue, TableName,
};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::{Partitioner, Placement, Ring, Strategy};
use crate::store::TableData;
use crate::tablets::{self, KeyspaceTablets, Settling, TabletsOption, TooFewNodes};
use crate::value::types::{CqlType, Native};

/// What a change did, as the reply and the event say it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Change {
    /// CREATED, UPDATED or DROPPED.
    pub(crate) what: &'static str,
    pub(crate) keyspace: String,
    pub(crate) target: Target,
    /// What happened to the CDC log of the table: an event of its own.
    pub(crate) log: Option<LogChange>,
}

/// CREATED, UPDATED or DROPPED, and the name of a log.
pub(crate) type LogChange = (&'static str, String);

impl Change {
    /// The change of the log, as one by itself.
    pub(crate) fn of_log(&self) -> Option<Self> {
        let (what, name) = self.log.clone()?;
        let target = Target::Table(name);
        Some(Self { what, keyspace: self.keyspace.clone(), target, log: None })
    }
}

/// What of a keyspace has changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// Itself.
    Keyspace,
    /// A table, a view, or an index of a table.
    Table(String),
    Type(String),
    /// Name and types of the arguments.
    Function(String, Vec<String>),
    Aggregate(String, Vec<String>),
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
    match ddl {
        Ddl::CreateTable(create) => check_new_table(schema, ring, create, current)?,
        Ddl::AlterTable(alter) => {
            let types = alter.add.iter().map(|added| &added.typ);
            tablets::check_table(schema, ring, &alter.table, current, (types, &alter.options))?;
        }
        _ => {}
    }
    let change = match ddl {
        Ddl::CreateKeyspace(options) => create_keyspace(schema, ring, options)?,
        Ddl::AlterKeyspace(options) => alter_keyspace(schema, ring, options)?,
        Ddl::DropKeyspace { name, if_exists } => drop_keyspace(schema, name, *if_exists)?,
        Ddl::CreateTable(create) => create_table(schema, create, current)?,
        Ddl::AlterTable(alter) => alter_table(schema, alter, current)?,
        Ddl::DropTable { table, if_exists } => drop_table(schema, table, *if_exists, current)?,
        Ddl::CreateType(create) => objects::create_type(schema, create, current)?,
        Ddl::AlterType(alter) => objects::alter_type(schema, alter, current)?,
        Ddl::DropType { name, if_exists } => objects::drop_type(schema, name, *if_exists, current)?,
        Ddl::CreateIndex(create) => objects::create_index(schema, create, current)?,
        Ddl::DropIndex { name, if_exists } => {
            objects::drop_index(schema, name, *if_exists, current)?
        }
        Ddl::CreateView(create) => objects::create_view(schema, create, current)?,
        Ddl::AlterView { name, if_exists, options } => {
            objects::alter_view(schema, name, *if_exists, options, current)?
        }
        Ddl::DropView { name, if_exists } => objects::drop_view(schema, name, *if_exists, current)?,
        Ddl::CreateFunction(create) => objects::create_function(schema, create, current)?,
        Ddl::DropFunction(drop) => objects::drop_function(schema, drop, current)?,
        Ddl::CreateAggregate(create) => objects::create_aggregate(schema, create, current)?,
        Ddl::DropAggregate(drop) => objects::drop_aggregate(schema, drop, current)?,
    };
    if change.is_some() {
        schema.version = fresh_uuid();
        schema.settle_tablets(ring, Settling::Needed).map_err(TooFewNodes::error)?;
    }
    Ok(change)
}

/// Refuses a table that a keyspace with tablets can't have, if it is really new.
fn check_new_table(
    schema: &Schema,
    ring: &Ring,
    create: &CreateTable,
    current: Option<&str>,
) -> Result<(), CqlError> {
    let home = schema.keyspaces.get(keyspace_of(&create.table, current)?);
    if home.is_some_and(|home| home.tables.contains_key(&create.table.name)) {
        return Ok(());
    }
    let types = create.columns.iter().map(|column| &column.typ);
    tablets::check_table(schema, ring, &create.table, current, (types, &create.options))
}

/// A random version 4 UUID.
pub(crate) fn fresh_uuid() -> [u8; 16] {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().into_bytes()
}

pub(super) fn user_keyspace<'a>(
    schema: &'a mut Schema,
    name: &str,
) -> Result<&'a mut Keyspace, CqlError> {
    let keyspace = schema
        .keyspaces
        .get_mut(name)
        .ok_or_else(|| CqlError::invalid(format!("Keyspace '{name}' does not exist")))?;
    if keyspace.is_system() {
        return Err(CqlError::unauthorized(format!("{name} keyspace is not user-modifiable.")));
    }
    Ok(keyspace)
}

/// What the options of a keyspace say; `None` for what they leave out.
#[derive(Default)]
struct KeyspaceSettings {
    replication: Option<Vec<(String, String)>>,
    durable_writes: Option<bool>,
    tablets: Option<TabletsOption>,
}

fn settings_of(
    persona: Persona,
    options: &[(String, OptionValue)],
) -> Result<KeyspaceSettings, CqlError> {
    options::check_once(options)?;
    let mut settings = KeyspaceSettings::default();
    for (name, value) in options {
        match (name.as_str(), value) {
            ("replication", OptionValue::Map(map)) => {
                check_strategy(persona, map)?;
                settings.replication = Some(map.clone());
            }
            ("durable_writes", OptionValue::Text(text)) => {
                settings.durable_writes = Some(options::boolean(name, text)?);
            }
            ("tablets", _) if persona == Persona::Cassandra => {
                return Err(options::unknown(name));
            }
            ("tablets", OptionValue::Map(map)) => {
                settings.tablets = Some(tablets::option_of(map)?);
            }
            ("replication" | "durable_writes" | "tablets", _) => {
                let wanted = if name == "durable_writes" { "string" } else { "map." };
                return Err(CqlError::syntax(format!(
                    "Invalid value for property '{name}'. It should be a {wanted}"
                )));
            }
            _ => return Err(options::unknown(name)),
        }
    }
    Ok(settings)
}

/// The class of a replication, without its package.
fn class_of(replication: &[(String, String)]) -> Option<&str> {
    let (_, class) = replication.iter().find(|(key, _)| key == "class")?;
    class.rsplit('.').next()
}

/// What users may not ask for, though the node has it.
fn check_strategy(persona: Persona, replication: &[(String, String)]) -> Result<(), CqlError> {
    let Some(class) = class_of(replication) else { return Ok(()) };
    let others = |known: &str| {
        replication.iter().map(|(key, _)| key).find(|key| *key != "class" && *key != known)
    };
    match class {
        "LocalStrategy" => Err(CqlError::invalid(
            "Unable to use given strategy class: LocalStrategy is reserved for internal use.",
        )),
        "EverywhereStrategy" if persona == Persona::Cassandra => Err(CqlError::configuration(
            "Unable to find replication strategy class \
             'org.apache.cassandra.locator.EverywhereStrategy'",
        )),
        "SimpleStrategy" => match others("replication_factor") {
            Some(key) => Err(CqlError::configuration(format!(
                "Unrecognized strategy option {{{key}}} passed to SimpleStrategy"
            ))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Refuses datacenters that the ring does not have.
fn check_datacenters(replication: &[(String, String)], ring: &Ring) -> Result<(), CqlError> {
    let is_network = class_of(replication) == Some("NetworkTopologyStrategy");
    let known = ring.datacenters();
    let is_unknown =
        |key: &&String| *key != "class" && *key != "replication_factor" && !known.contains(*key);
    match replication.iter().map(|(key, _)| key).find(is_unknown).filter(|_| is_network) {
        Some(key) => Err(CqlError::configuration(format!(
            "Unrecognized strategy option {{{key}}} passed to NetworkTopologyStrategy"
        ))),
        None => Ok(()),
    }
}

fn create_keyspace(
    schema: &mut Schema,
    ring: &Ring,
    options: &KeyspaceOptions,
) -> Result<Option<Change>, CqlError> {
    let settings = settings_of(schema.persona, &options.options)?;
    let replication = settings
        .replication
        .ok_or_else(|| CqlError::invalid("Missing mandatory option 'replication'"))?;
    let name = options.name.clone();
    if schema.keyspaces.contains_key(&name) {
        return if options.conditional {
            Ok(None)
        } else {
            Err(CqlError::already_exists(&name, ""))
        };
    }
    check_keyspace_name(&name)?;
    check_datacenters(&replication, ring)?;
    let mut keyspace =
        keyspace(name.clone(), replication, settings.durable_writes.unwrap_or(true), ring)?;
    keyspace.tablets = KeyspaceTablets::choose(settings.tablets, &keyspace.strategy, schema)?;
    schema.keyspaces.insert(name.clone(), keyspace);
    Ok(Some(Change { what: "CREATED", keyspace: name, target: Target::Keyspace, log: None }))
}

/// A keyspace without tables.
pub(crate) fn keyspace(
    name: String,
    mut replication: Vec<(String, String)>,
    durable_writes: bool,
    ring: &Ring,
) -> Result<Keyspace, CqlError> {
    let is_simple = class_of(&replication) == Some("SimpleStrategy");
    if is_simple && !replication.iter().any(|(key, _)| key == "replication_factor") {
        replication.push(("replication_factor".to_owned(), "1".to_owned()));
    }
    expand_factor(&mut replication, ring);
    let strategy = Strategy::parse(&replication).map_err(CqlError::configuration)?;
    let placement = Rc::new(Placement::new(ring, &strategy));
    Ok(Keyspace {
        name,
        replication,
        durable_writes,
        strategy,
        placement,
        tablets: None,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
        functions: Vec::new(),
        aggregates: Vec::new(),
    })
}

/// `replication_factor` with NetworkTopologyStrategy stands for every datacenter.
fn expand_factor(replication: &mut Vec<(String, String)>, ring: &Ring) {
    let is_network = class_of(replication) == Some("NetworkTopologyStrategy");
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
    let settings = settings_of(schema.persona, &options.options)?;
    let old = user_keyspace(schema, &options.name)?;
    if let Some(replication) = &settings.replication {
        check_datacenters(replication, ring)?;
    }
    let replication = settings.replication.unwrap_or_else(|| old.replication.clone());
    let durable = settings.durable_writes.unwrap_or(old.durable_writes);
    let mut new = keyspace(options.name.clone(), replication, durable, ring)?;
    tablets::check_alter(old, &new.strategy, settings.tablets, ring)?;
    new.tablets = old.tablets.take();
    if let (Some(tablets), Some(TabletsOption::On { initial })) =
        (&mut new.tablets, settings.tablets)
    {
        tablets.initial = initial;
    }
    new.tables = std::mem::take(&mut old.tables);
    new.types = std::mem::take(&mut old.types);
    new.functions = std::mem::take(&mut old.functions);
    new.aggregates = std::mem::take(&mut old.aggregates);
    *old = new;
    Ok(Some(Change {
        what: "UPDATED",
        keyspace: options.name.clone(),
        target: Target::Keyspace,
        log: None,
    }))
}

fn drop_table(
    schema: &mut Schema,
    table: &TableName,
    if_exists: bool,
    current: Option<&str>,
) -> Result<Option<Change>, CqlError> {
    let keyspace = keyspace_of(table, current)?.to_owned();
    let name = &table.name;
    let tables = &mut user_keyspace(schema, &keyspace)?.tables;
    match tables.get(name) {
        Some(found) if found.view.is_some() => {
            return Err(CqlError::invalid(
                "Cannot use DROP TABLE on a materialized view. Please use DROP MATERIALIZED VIEW \
                 instead.",
            ));
        }
        Some(_) => {}
        None if if_exists => return Ok(None),
        None => return Err(CqlError::invalid(format!("Table '{keyspace}.{name}' doesn't exist"))),
    }
    let is_view_of_it = |table: &Table| table.view.as_ref().is_some_and(|view| view.base == *name);
    if let Some(view) = tables.values().find(|table| is_view_of_it(table)) {
        return Err(CqlError::invalid(format!(
            "Cannot drop a table when materialized views still depend on it ({keyspace}.{})",
            view.name
        )));
    }
    if cdc::is_log(tables, name) {
        return Err(CqlError::unauthorized(format!("Cannot DROP cdc log table {name}")));
    }
    let log = cdc::drop_log(tables, name);
    tables.remove(name);
    let target = Target::Table(name.clone());
    Ok(Some(Change { what: "DROPPED", keyspace, target, log }))
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
    Ok(Some(Change {
        what: "DROPPED",
        keyspace: name.to_owned(),
        target: Target::Keyspace,
        log: None,
    }))
}

fn create_table(
    schema: &mut Schema,
    create: &CreateTable,
    current: Option<&str>,
) -> Result<Option<Change>, CqlError> {
    let persona = schema.persona;
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
    let mut create = create.clone();
    for definition in &mut create.columns {
        definition.typ = objects::resolve(keyspace, &definition.typ)?;
    }
    let mut table = table(persona, &keyspace_name, &create)?;
    let log = cdc::log_for(persona, &keyspace.tables, None, &mut table)?;
    let log = cdc::store(&mut keyspace.tables, log);
    keyspace.tables.insert(name.clone(), Rc::new(table));
    let target = Target::Table(name);
    Ok(Some(Change { what: "CREATED", keyspace: keyspace_name, target, log }))
}

/// A new, empty table.
pub(crate) fn table(
    persona: Persona,
    keyspace: &str,
    create: &CreateTable,
) -> Result<Table, CqlError> {
    if create.partition_key.is_empty() {
        return Err(CqlError::invalid("No PRIMARY KEY specified (exactly one required)"));
    }
    check_table_name(keyspace, &create.table.name)?;
    let given = options::check(persona, &create.options)?;
    let id = match create.options.iter().find(|(name, _)| name == "id") {
        Some((_, OptionValue::Text(text))) => options::uuid(text)?,
        _ => fresh_uuid(),
    };
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
        columns.push(other_column(definition));
    }
    if create.clustering_key.is_empty() && columns.iter().any(|c| c.kind == Kind::Static) {
        return Err(CqlError::invalid(
            "Static columns are only useful (and thus allowed) if the table has at least one \
             clustering column",
        ));
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
        id,
        partition_key_len: create.partition_key.len(),
        clustering_desc: directions(create)?,
        options: given.into_iter().filter(|(name, _)| name != "id").collect(),
        columns,
        next_column_id,
        indexes: Vec::new(),
        view: None,
        partitioner: Partitioner::default(),
        capture: None,
        data: Rc::new(RefCell::new(TableData::default())),
    };
    sort_regular(&mut table);
    check_names(&table)?;
    check_counters(&table)?;
    options::check_all(|name| table.options.get(name), table.is_counter())?;
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

/// A column that is no part of the key.
fn other_column(definition: &ColumnDefinition) -> Column {
    let ColumnDefinition { name, typ, is_static } = definition;
    let kind = if *is_static { Kind::Static } else { Kind::Regular };
    Column { id: 0, name: name.clone(), typ: typ.clone(), kind }
}

/// Which clustering columns go down: CLUSTERING ORDER BY names the first so many of them, in order.
fn directions(create: &CreateTable) -> Result<Vec<bool>, CqlError> {
    let (order, key) = (&create.clustering_order, &create.clustering_key);
    for (position, (name, _)) in order.iter().enumerate() {
        if !key.contains(name) {
            return Err(CqlError::invalid(format!(
                "Only clustering key columns can be defined in CLUSTERING ORDER directive: [{name}] \
                 are not clustering columns"
            )));
        }
        if order.iter().take(position).any(|(before, _)| before == name) {
            return Err(CqlError::invalid(format!(
                "Duplicate column '{name}' in CLUSTERING ORDER BY clause for table '{}'",
                create.table.name
            )));
        }
        match key.get(position) {
            Some(expected) if expected != name => {
                return Err(CqlError::invalid(format!(
                    "The order of columns in the CLUSTERING ORDER directive must match that of \
                     the clustering columns ({expected} must appear before {name})"
                )));
            }
            _ => {}
        }
    }
    let mut desc: Vec<bool> = order.iter().map(|(_, desc)| *desc).collect();
    desc.resize(key.len(), false);
    Ok(desc)
}

/// Names of keyspaces and tables are names of folders.
fn is_folder_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Longest name of a keyspace, in characters.
const KEYSPACE_NAME_MAX: usize = 48;

fn check_keyspace_name(name: &str) -> Result<(), CqlError> {
    if !is_folder_name(name) {
        return Err(CqlError::invalid(format!(
            "Keyspace name must not be empty and must contain alphanumeric or underscore \
             characters only (got \"{name}\")"
        )));
    }
    if name.len() > KEYSPACE_NAME_MAX {
        return Err(CqlError::invalid(format!(
            "Keyspace name must not be more than {KEYSPACE_NAME_MAX} characters long (got {} \
             characters for \"{name}\")",
            name.len()
        )));
    }
    Ok(())
}

fn check_table_name(keyspace: &str, name: &str) -> Result<(), CqlError> {
    if is_folder_name(name) {
        return Ok(());
    }
    Err(CqlError::configuration(format!(
        "{keyspace}.{name}: Table name must not be empty or not contain \
         non-alphanumeric-underscore characters (got \"{name}\")"
    )))
}

pub(super) fn sort_regular(table: &mut Table) {
    let start = table.partition_key_len + table.clustering_desc.len();
    if let Some(regular) = table.columns.get_mut(start..) {
        regular.sort_by(|a, b| {
            let rank = |column: &Column| column.kind != Kind::Static;
            (rank(a), &a.name).cmp(&(rank(b), &b.name))
        });
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
    let persona = schema.persona;
    let keyspace_name = keyspace_of(&alter.table, current)?.to_owned();
    let keyspace = user_keyspace(schema, &keyspace_name)?;
    let name = &alter.table.name;
    let Some(old) = keyspace.tables.get(name) else {
        return if alter.if_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("Table '{keyspace_name}.{name}' doesn't exist")))
        };
    };
    if old.view.is_some() {
        return Err(CqlError::invalid("Cannot use ALTER TABLE on Materialized View"));
    }
    let old = Rc::clone(old);
    if old.partitioner == Partitioner::Cdc && alter.options.is_empty() {
        return Err(CqlError::invalid(
            "You cannot modify the set of columns of a CDC log table directly. Modify the base \
             table instead.",
        ));
    }
    let mut new = Table {
        keyspace: old.keyspace.clone(),
        name: old.name.clone(),
        id: old.id,
        columns: old.columns.clone(),
        partition_key_len: old.partition_key_len,
        clustering_desc: old.clustering_desc.clone(),
        options: old.options.clone(),
        next_column_id: old.next_column_id,
        indexes: old.indexes.clone(),
        view: None,
        partitioner: old.partitioner,
        capture: old.capture,
        data: Rc::clone(&old.data),
    };
    for definition in &alter.add {
        if alter.skips_done && new.column(&definition.name).is_ok() {
            continue;
        }
        let typ = objects::resolve(keyspace, &definition.typ)?;
        let definition = ColumnDefinition { typ, ..definition.clone() };
        if definition.is_static && new.clustering_desc.is_empty() {
            return Err(CqlError::invalid(
                "Static columns are only useful (and thus allowed) if the table has at least one \
                 clustering column",
            ));
        }
        let mut column = other_column(&definition);
        column.id = new.next_column_id;
        new.next_column_id += 1;
        new.columns.push(column);
    }
    for column in &alter.drop {
        if alter.skips_done && new.column(column).is_err() {
            continue;
        }
        let (position, definition) = new.column(column)?;
        if definition.kind.is_key() {
            return Err(CqlError::invalid(format!("Cannot drop PRIMARY KEY column {column}")));
        }
        if new.has_index(definition) {
            return Err(CqlError::invalid(format!(
                "Cannot drop column {column} because it has dependent secondary indexes"
            )));
        }
        new.columns.remove(position);
    }
    for (from, to) in &alter.rename {
        let (position, definition) = new.column(from)?;
        if !definition.kind.is_key() {
            return Err(CqlError::invalid(format!("Cannot rename non PRIMARY KEY column {from}")));
        }
        if new.column(to).is_ok() {
            return Err(CqlError::invalid(format!(
                "Cannot rename column {from} to {to} in table '{keyspace_name}.{name}'; another \
                 column with that name already exists"
            )));
        }
        if let Some(column) = new.columns.get_mut(position) {
            column.name.clone_from(to);
        }
    }
    if new.columns.len() > COLUMNS_MAX {
        return Err(CqlError::invalid(format!("more than {COLUMNS_MAX} columns")));
    }
    let given = options::check(persona, &alter.options)?;
    if alter.options.iter().any(|(name, _)| name == "id") {
        return Err(CqlError::configuration("Cannot alter table id."));
    }
    new.options.extend(given);
    sort_regular(&mut new);
    check_names(&new)?;
    check_counters(&new).map_err(|error| CqlError::configuration(error.message))?;
    options::check_all(|name| new.options.get(name), new.is_counter())?;
    let log = cdc::log_for(persona, &keyspace.tables, Some(&old), &mut new)?;
    objects::follow(keyspace, &new, alter)?;
    let log = cdc::store(&mut keyspace.tables, log);
    keyspace.tables.insert(name.clone(), Rc::new(new));
    let target = Target::Table(name.clone());
    Ok(Some(Change { what: "UPDATED", keyspace: keyspace_name, target, log }))
}
