//! What a keyspace has beside tables: types, indexes, views, functions and aggregates.

use std::rc::Rc;

use super::change::{Change, Target, table, user_keyspace};
use super::{Index, Keyspace, Kind, Schema, Table, View, keyspace_of};
use crate::cql::ast::{
    AlterType, ColumnDefinition, CreateAggregate, CreateFunction, CreateIndex, CreateTable,
    CreateType, CreateView, DropFunction, FunctionName, OptionValue, TableName,
};
use crate::error::CqlError;
use crate::exec::user_function::{UserAggregate, UserFunction};
use crate::persona::Persona;
use crate::routing::Partitioner;
use crate::value::literal::{Bound, evaluate};
use crate::value::types::{CqlType, Native, Udt};

type Result<T> = std::result::Result<T, CqlError>;
/// What a statement has changed; `None` if IF [NOT] EXISTS made it one that does nothing.
type Changed = Result<Option<Change>>;

/// Deepest nesting of types, those of fields included.
const DEPTH_MAX: usize = 32;

fn changed(what: &'static str, keyspace: &str, target: Target) -> Changed {
    Ok(Some(Change { what, keyspace: keyspace.to_owned(), target, log: None }))
}

/// A column's type, with the keyspace's own types in the place of their names.
pub(super) fn resolve(keyspace: &Keyspace, typ: &CqlType) -> Result<CqlType> {
    resolve_in(keyspace, typ, Place::Column)
}

/// Where a type stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Column,
    /// In a collection, which has to say that what it is of is frozen.
    Collection,
    /// In something frozen, where all is.
    Frozen,
}

fn resolve_in(keyspace: &Keyspace, typ: &CqlType, place: Place) -> Result<CqlType> {
    let within = |typ: &CqlType| {
        let place = if place == Place::Frozen { Place::Frozen } else { Place::Collection };
        resolve_in(keyspace, typ, place)
    };
    let frozen = |typ: &CqlType| resolve_in(keyspace, typ, Place::Frozen);
    let what = match typ {
        CqlType::Native(Native::Counter) if place != Place::Column => {
            return Err(CqlError::invalid("Counters are not allowed inside collections"));
        }
        CqlType::Native(_) => return Ok(typ.clone()),
        CqlType::Frozen(inner) => {
            if matches!(inner.thawed(), CqlType::Native(_)) {
                let message = "frozen<> is only allowed on collections, tuples, and user-defined \
                               types";
                return Err(CqlError::invalid(message));
            }
            return frozen(inner.thawed());
        }
        // Neither has parts that change by themselves.
        CqlType::Tuple(parts) => {
            let parts = parts.iter().map(frozen).collect::<Result<_>>()?;
            return Ok(CqlType::Frozen(Box::new(CqlType::Tuple(parts))));
        }
        CqlType::Vector(element, len) => {
            return Ok(CqlType::Vector(Box::new(frozen(element)?), *len));
        }
        CqlType::List(element) => CqlType::List(Box::new(within(element)?)),
        CqlType::Set(element) => CqlType::Set(Box::new(within(element)?)),
        CqlType::Map(pair) => CqlType::Map(Box::new((within(&pair.0)?, within(&pair.1)?))),
        CqlType::Named(home, name) => {
            if let Some(home) = home.as_ref().filter(|home| **home != keyspace.name) {
                return Err(CqlError::invalid(format!(
                    "Statement on keyspace {} cannot refer to a user type in keyspace {home}; \
                     user types can only be used in the keyspace they are defined in",
                    keyspace.name
                )));
            }
            let udt = keyspace.types.get(name).ok_or_else(|| {
                CqlError::invalid(format!("Unknown type {}.{name}", keyspace.name))
            })?;
            CqlType::Udt(Rc::clone(udt))
        }
        CqlType::Udt(udt) => CqlType::Udt(Rc::clone(udt)),
    };
    match (place, &what) {
        (Place::Column, _) => Ok(what),
        (Place::Frozen, _) => Ok(CqlType::Frozen(Box::new(what))),
        (Place::Collection, CqlType::Udt(udt)) => Err(CqlError::invalid(format!(
            "Non-frozen UDTs are not allowed inside collections: {}",
            udt.name
        ))),
        (Place::Collection, _) => Err(CqlError::invalid(format!(
            "Non-frozen collections are not allowed inside collections: {what}"
        ))),
    }
}

/// A field's type: what is not frozen in it may not be.
fn resolve_field(keyspace: &Keyspace, typ: &CqlType) -> Result<CqlType> {
    let typ = resolve(keyspace, typ)?;
    if let CqlType::Udt(udt) = &typ {
        let message = format!("A user type cannot contain non-frozen UDTs: {}", udt.name);
        return Err(CqlError::invalid(message));
    }
    if depth(&typ) > DEPTH_MAX {
        return Err(CqlError::invalid(format!("types nested deeper than {DEPTH_MAX} levels")));
    }
    if typ == CqlType::Native(Native::Counter) {
        return Err(CqlError::invalid("A user type cannot contain counters"));
    }
    Ok(typ)
}

fn depth(typ: &CqlType) -> usize {
    1 + match typ {
        CqlType::Native(_) | CqlType::Named(..) => 0,
        CqlType::List(inner)
        | CqlType::Set(inner)
        | CqlType::Vector(inner, _)
        | CqlType::Frozen(inner) => depth(inner),
        CqlType::Map(pair) => depth(&pair.0).max(depth(&pair.1)),
        CqlType::Tuple(parts) => parts.iter().map(depth).max().unwrap_or(0),
        CqlType::Udt(udt) => udt.fields.iter().map(|(_, typ)| depth(typ)).max().unwrap_or(0),
    }
}

/// The type with another definition of a user-defined one, wherever it stands in it.
fn with(typ: &CqlType, new: &Rc<Udt>) -> CqlType {
    let boxed = |typ: &CqlType| Box::new(with(typ, new));
    match typ {
        CqlType::Native(_) | CqlType::Named(..) => typ.clone(),
        CqlType::List(inner) => CqlType::List(boxed(inner)),
        CqlType::Set(inner) => CqlType::Set(boxed(inner)),
        CqlType::Vector(inner, len) => CqlType::Vector(boxed(inner), *len),
        CqlType::Frozen(inner) => CqlType::Frozen(boxed(inner)),
        CqlType::Map(pair) => CqlType::Map(Box::new((with(&pair.0, new), with(&pair.1, new)))),
        CqlType::Tuple(parts) => CqlType::Tuple(parts.iter().map(|p| with(p, new)).collect()),
        CqlType::Udt(udt) if udt.name == new.name => CqlType::Udt(Rc::clone(new)),
        CqlType::Udt(udt) => {
            let field = |(name, typ): &(String, CqlType)| (name.clone(), with(typ, new));
            let fields = udt.fields.iter().map(field).collect();
            let (keyspace, name) = (udt.keyspace.clone(), udt.name.clone());
            CqlType::Udt(Rc::new(Udt { keyspace, name, fields }))
        }
    }
}

/// Whether the user-defined type stands anywhere in the other.
fn uses(typ: &CqlType, name: &str) -> bool {
    match typ {
        CqlType::Native(_) | CqlType::Named(..) => false,
        CqlType::List(inner)
        | CqlType::Set(inner)
        | CqlType::Vector(inner, _)
        | CqlType::Frozen(inner) => uses(inner, name),
        CqlType::Map(pair) => uses(&pair.0, name) || uses(&pair.1, name),
        CqlType::Tuple(parts) => parts.iter().any(|part| uses(part, name)),
        CqlType::Udt(udt) => udt.name == name || udt.fields.iter().any(|(_, typ)| uses(typ, name)),
    }
}

pub(super) fn create_type(
    schema: &mut Schema,
    create: &CreateType,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(&create.name, current)?.to_owned();
    let name = create.name.name.clone();
    let keyspace = user_keyspace(schema, &home)?;
    if keyspace.types.contains_key(&name) {
        return if create.if_not_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("A user type with name '{name}' already exists")))
        };
    }
    let mut fields: Vec<(String, CqlType)> = Vec::new();
    for (field, typ) in &create.fields {
        if fields.iter().any(|(other, _)| other == field) {
            let message = format!("Duplicate field name '{field}' in type '{name}'");
            return Err(CqlError::invalid(message));
        }
        fields.push((field.clone(), resolve_field(keyspace, typ)?));
    }
    let udt = Udt { keyspace: home.clone(), name: name.clone(), fields };
    keyspace.types.insert(name.clone(), Rc::new(udt));
    changed("CREATED", &home, Target::Type(name))
}

pub(super) fn alter_type(schema: &mut Schema, alter: &AlterType, current: Option<&str>) -> Changed {
    let home = keyspace_of(&alter.name, current)?.to_owned();
    let name = &alter.name.name;
    let keyspace = user_keyspace(schema, &home)?;
    let Some(old) = keyspace.types.get(name) else {
        return if alter.if_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("Type '{home}.{name}' doesn't exist")))
        };
    };
    let mut new = (**old).clone();
    let in_key = |table: &&Rc<Table>| {
        let mut key = table.partition_key().iter().chain(table.clustering());
        key.any(|column| uses(&column.typ, name))
    };
    if let Some(table) = keyspace.tables.values().find(in_key).filter(|_| !alter.add.is_empty()) {
        return Err(CqlError::invalid(format!(
            "Cannot add new field to type {home}.{name} as it is being used in the primary key of \
             {}",
            table.name
        )));
    }
    for (field, typ) in &alter.add {
        if alter.skips_done && new.field(field).is_some() {
            continue;
        }
        if new.field(field).is_some() {
            let message = format!(
                "Cannot add field {field} to type {home}.{name}: a field with \
                name {field} already exists"
            );
            return Err(CqlError::invalid(message));
        }
        let typ = resolve_field(keyspace, typ)?;
        if uses(&typ, name) {
            return Err(CqlError::invalid(format!(
                "Cannot add new field {field} of type {typ} to user type {home}.{name} as it would \
                 create a circular reference"
            )));
        }
        new.fields.push((field.clone(), typ));
    }
    for (from, to) in &alter.rename {
        if alter.skips_done && new.field(from).is_none() {
            continue;
        }
        let (at, _) = new.field(from).ok_or_else(|| {
            CqlError::invalid(format!("Unkown field {from} in user type {home}.{name}"))
        })?;
        if let Some((field, _)) = new.fields.get_mut(at) {
            field.clone_from(to);
        }
    }
    let new = Rc::new(new);
    let other = |udt: &Udt| match with(&CqlType::Udt(Rc::new(udt.clone())), &new) {
        CqlType::Udt(udt) => udt,
        _ => Rc::clone(&new),
    };
    let types = keyspace.types.iter().map(|(name, udt)| (name.clone(), other(udt)));
    let types: std::collections::BTreeMap<_, _> = types.collect();
    if types.values().any(|udt| depth(&CqlType::Udt(Rc::clone(udt))) > DEPTH_MAX) {
        return Err(CqlError::invalid(format!("types nested deeper than {DEPTH_MAX} levels")));
    }
    keyspace.types = types;
    for table in keyspace.tables.values_mut() {
        if table.columns.iter().any(|column| uses(&column.typ, name)) {
            let mut changed = copy(table);
            for column in &mut changed.columns {
                column.typ = with(&column.typ, &new);
            }
            *table = Rc::new(changed);
        }
    }
    changed("UPDATED", &home, Target::Type(name.clone()))
}

pub(super) fn drop_type(
    schema: &mut Schema,
    name: &TableName,
    if_exists: bool,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(name, current)?.to_owned();
    let name = &name.name;
    let keyspace = user_keyspace(schema, &home)?;
    if !keyspace.types.contains_key(name) {
        return if if_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("Type '{home}.{name}' doesn't exist")))
        };
    }
    let used = |what: &str, by: &str| {
        let message =
            format!("Cannot drop user type '{home}.{name}' as it is still used by {what} {by}");
        Err(CqlError::invalid(message))
    };
    let mut types = keyspace.types.values().filter(|udt| udt.name != *name);
    if let Some(other) = types.find(|udt| udt.fields.iter().any(|(_, typ)| uses(typ, name))) {
        return used("user types", &other.name);
    }
    let is_user = |table: &&Rc<Table>| table.columns.iter().any(|c| uses(&c.typ, name));
    if let Some(table) = keyspace.tables.values().find(is_user) {
        return used("tables", &table.name);
    }
    let mut functions = keyspace.functions.iter();
    let takes = |function: &&Rc<UserFunction>| {
        uses(&function.returns, name) || function.arguments.iter().any(|(_, t)| uses(t, name))
    };
    if let Some(function) = functions.find(takes) {
        return used("functions", &function.name);
    }
    keyspace.types.remove(name);
    changed("DROPPED", &home, Target::Type(name.clone()))
}

/// The same definition over the same rows, to be changed.
fn copy(table: &Table) -> Table {
    Table {
        keyspace: table.keyspace.clone(),
        name: table.name.clone(),
        id: table.id,
        columns: table.columns.clone(),
        partition_key_len: table.partition_key_len,
        clustering_desc: table.clustering_desc.clone(),
        options: table.options.clone(),
        next_column_id: table.next_column_id,
        indexes: table.indexes.clone(),
        view: table.view.clone(),
        partitioner: table.partitioner,
        capture: table.capture,
        data: Rc::clone(&table.data),
    }
}

pub(super) fn create_index(
    schema: &mut Schema,
    create: &CreateIndex,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(&create.table, current)?.to_owned();
    let keyspace = user_keyspace(schema, &home)?;
    let name = create
        .name
        .clone()
        .unwrap_or_else(|| format!("{}_{}_idx", create.table.name, create.column));
    let mut tables = keyspace.tables.values();
    if tables.any(|table| table.indexes.iter().any(|index| index.name == name)) {
        return if create.if_not_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("Index '{name}' already exists")))
        };
    }
    let table = keyspace.tables.get_mut(&create.table.name).ok_or_else(|| {
        CqlError::invalid(format!("Table '{home}.{}' doesn't exist", create.table.name))
    })?;
    let (_, column) = table.column(&create.column)?;
    if table.partition_key_len == 1 && column.kind == Kind::PartitionKey(0) {
        return Err(CqlError::invalid(format!(
            "Cannot create secondary index on the only partition key column {}",
            column.name
        )));
    }
    if table.is_counter() {
        return Err(CqlError::invalid("Secondary indexes on counter tables aren't supported"));
    }
    if table.view.is_some() {
        let message = "Secondary indexes on materialized views aren't supported";
        return Err(CqlError::invalid(message));
    }
    check_index_target(create, &column.typ)?;
    check_index_class(create)?;
    let target = match &create.part {
        Some(part) => format!("{part}({})", column.name),
        None if column.typ.is_multi_cell() => format!("values({})", column.name),
        None => column.name.clone(),
    };
    let class = create.class.as_ref().map(|class| match class.to_ascii_lowercase().as_str() {
        "sai" | "storageattachedindex" => "StorageAttachedIndex".to_owned(),
        _ => class.clone(),
    });
    let index = Index {
        name,
        column: create.column.clone(),
        target,
        class,
        options: create.options.clone(),
    };
    let mut new = copy(table);
    new.indexes.push(index);
    *table = Rc::new(new);
    changed("UPDATED", &home, Target::Table(create.table.name.clone()))
}

/// `keys`, `values`, `entries` and `full` are of collections, each of some.
fn check_index_target(create: &CreateIndex, typ: &CqlType) -> Result<()> {
    let (column, Some(part)) = (&create.column, create.part.as_deref()) else { return Ok(()) };
    let is_map = matches!(typ.thawed(), CqlType::Map(_));
    let is_collection = is_map || matches!(typ.thawed(), CqlType::List(_) | CqlType::Set(_));
    let message = if !is_collection {
        format!(
            "Cannot create {part}() index on {column}. Non-collection columns only support simple \
             indexes"
        )
    } else if part == "full" && typ.is_multi_cell() {
        "full() indexes can only be created on frozen collections".to_owned()
    } else if part != "full" && !typ.is_multi_cell() {
        format!(
            "Cannot create {part}() index on frozen column {column}. Frozen collections are \
             immutable and must be fully indexed"
        )
    } else if matches!(part, "keys" | "entries") && !is_map {
        format!("Cannot create index on {part} of column {column} with non-map type")
    } else {
        return Ok(());
    };
    Err(CqlError::invalid(message))
}

/// What an index with a class knows, in Cassandra and, for vectors, in ScyllaDB.
const INDEX_OPTIONS: [&str; 13] = [
    "ascii",
    "case_sensitive",
    "class_name",
    "construction_beam_width",
    "index_version",
    "maximum_node_connections",
    "normalize",
    "optimize_for",
    "oversampling",
    "quantization",
    "rescoring",
    "similarity_function",
    "target",
];

fn check_index_class(create: &CreateIndex) -> Result<()> {
    let Some(class) = &create.class else {
        return match create.options.is_empty() {
            true => Ok(()),
            false => Err(CqlError::invalid("Cannot specify options for a non-CUSTOM index")),
        };
    };
    let short = class.rsplit('.').next().unwrap_or(class).to_ascii_lowercase();
    match short.as_str() {
        "sai" | "storageattachedindex" | "vector_index" => {}
        "legacy_local_table" if create.options.is_empty() => return Ok(()),
        "sasiindex" => {
            let message = "SASI indexes are disabled. Enable in cassandra.yaml to use.";
            return Err(CqlError::invalid(message));
        }
        _ => {
            let message = format!("Unable to find custom indexer class '{class}'");
            return Err(CqlError::configuration(message));
        }
    }
    for (name, value) in &create.options {
        if !INDEX_OPTIONS.contains(&name.as_str()) {
            return Err(CqlError::configuration(format!(
                "Properties specified [{name}] are not understood by StorageAttachedIndex"
            )));
        }
        let is_flag = matches!(name.as_str(), "ascii" | "case_sensitive" | "normalize");
        if is_flag && !["true", "false"].contains(&value.to_ascii_lowercase().as_str()) {
            let message = format!("Illegal value for boolean option '{name}': {value}");
            return Err(CqlError::invalid(message));
        }
    }
    Ok(())
}

pub(super) fn drop_index(
    schema: &mut Schema,
    name: &TableName,
    if_exists: bool,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(name, current)?.to_owned();
    let keyspace = user_keyspace(schema, &home)?;
    let has_it = |table: &&mut Rc<Table>| table.indexes.iter().any(|i| i.name == name.name);
    let Some(table) = keyspace.tables.values_mut().find(has_it) else {
        return if if_exists {
            Ok(None)
        } else {
            Err(CqlError::invalid(format!("Index '{home}.{}' doesn't exist", name.name)))
        };
    };
    let mut new = copy(table);
    new.indexes.retain(|index| index.name != name.name);
    *table = Rc::new(new);
    changed("UPDATED", &home, Target::Table(table.name.clone()))
}

pub(super) fn create_view(
    schema: &mut Schema,
    create: &CreateView,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(&create.name, current)?.to_owned();
    if keyspace_of(&create.base, current)? != home {
        let message = "Cannot create a materialized view on a table in a different keyspace";
        return Err(CqlError::invalid(message));
    }
    let persona = schema.persona;
    crate::cdc::table::check_view(persona, &create.options)?;
    let keyspace = user_keyspace(schema, &home)?;
    let name = create.name.name.clone();
    if keyspace.tables.contains_key(&name) {
        return if create.if_not_exists {
            Ok(None)
        } else {
            Err(CqlError::already_exists(&home, &name))
        };
    }
    let base = keyspace.tables.get(&create.base.name).filter(|base| base.view.is_none());
    let base = base.ok_or_else(|| {
        CqlError::invalid(format!("Base table '{}' doesn't exist", create.base.name))
    })?;
    if base.partitioner == Partitioner::Cdc {
        let message = "Materialized views cannot be created on CDC Log tables";
        return Err(CqlError::invalid(message));
    }
    let view = view_of(persona, base, create)?;
    keyspace.tables.insert(name.clone(), Rc::new(view));
    changed("CREATED", &home, Target::Table(name))
}

fn view_time_to_live() -> CqlError {
    CqlError::invalid(
        "Cannot set default_time_to_live for a materialized view. Data in a materialized view \
         always expire at the same time than the corresponding data in the parent table.",
    )
}

fn view_of(persona: Persona, base: &Table, create: &CreateView) -> Result<Table> {
    if create.options.iter().any(|(name, _)| name == "default_time_to_live") {
        return Err(view_time_to_live());
    }
    if base.is_counter() {
        return Err(CqlError::invalid("Materialized views are not supported on counter tables"));
    }
    let key = || create.partition_key.iter().chain(&create.clustering_key);
    for column in base.partition_key().iter().chain(base.clustering()) {
        if !key().any(|name| *name == column.name) {
            return Err(CqlError::invalid(format!(
                "Cannot create Materialized View {} without primary key columns from base {} ({})",
                create.name.name, base.name, column.name
            )));
        }
    }
    let others = key().filter(|name| base.column(name).is_ok_and(|(_, c)| !c.kind.is_key()));
    if others.count() > 1 {
        let message = "Cannot include more than one non-primary key column in materialized view \
                       primary key";
        return Err(CqlError::invalid(message));
    }
    for name in key() {
        let is_restricted = create.relations.iter().any(|relation| {
            matches!(relation, crate::cql::ast::Relation::IsNotNull(column) if column == name)
        });
        if !is_restricted {
            return Err(CqlError::invalid(format!(
                "Primary key column '{name}' is required to be filtered by 'IS NOT NULL'"
            )));
        }
    }
    let includes_all = create.columns.is_empty();
    let mut columns = Vec::new();
    let names: Vec<&String> = match includes_all {
        true => base.columns.iter().map(|column| &column.name).collect(),
        false => create.columns.iter().chain(key()).collect(),
    };
    for name in names {
        let (_, column) = base.column(name)?;
        if column.kind == Kind::Static {
            let message = format!(
                "Cannot include static column '{name}' in materialized view '{}'",
                create.name.name
            );
            return Err(CqlError::invalid(message));
        }
        if !columns.iter().any(|other: &ColumnDefinition| other.name == *name) {
            let (name, typ) = (name.clone(), column.typ.clone());
            columns.push(ColumnDefinition { name, typ, is_static: false });
        }
    }
    let mut view = table(
        persona,
        &base.keyspace,
        &CreateTable {
            table: create.name.clone(),
            if_not_exists: false,
            columns,
            partition_key: create.partition_key.clone(),
            clustering_key: create.clustering_key.clone(),
            clustering_order: create.clustering_order.clone(),
            options: create.options.clone(),
        },
    )?;
    // Cells are found under the base table's ids.
    for column in &mut view.columns {
        column.id = base.column(&column.name)?.1.id;
    }
    view.view = Some(View {
        base: base.name.clone(),
        base_id: base.id,
        includes_all,
        where_text: create.where_text.clone(),
    });
    Ok(view)
}

/// Lets the views of a table that was altered follow it; fails where they can't.
pub(super) fn follow(
    keyspace: &mut Keyspace,
    base: &Table,
    alter: &crate::cql::ast::AlterTable,
) -> Result<()> {
    let is_view =
        |table: &&mut Rc<Table>| table.view.as_ref().is_some_and(|view| view.base == base.name);
    for table in keyspace.tables.values_mut().filter(is_view) {
        if let Some(column) = alter.drop.iter().find(|name| table.column(name).is_ok()) {
            return Err(CqlError::invalid(format!(
                "Cannot drop column {column} on base table {} with materialized views",
                base.name
            )));
        }
        let mut new = copy(table);
        for (from, to) in &alter.rename {
            let renamed = new.columns.iter_mut().find(|column| column.name == *from);
            if let Some(column) = renamed {
                column.name.clone_from(to);
            }
        }
        if table.view.as_ref().is_some_and(|view| view.includes_all) {
            let added = alter.add.iter().filter_map(|added| base.column(&added.name).ok());
            new.columns.extend(added.map(|(_, column)| column.clone()));
            super::change::sort_regular(&mut new);
        }
        *table = Rc::new(new);
    }
    Ok(())
}

pub(super) fn alter_view(
    schema: &mut Schema,
    name: &TableName,
    if_exists: bool,
    options: &[(String, OptionValue)],
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(name, current)?.to_owned();
    let persona = schema.persona;
    crate::cdc::table::check_view(persona, options)?;
    let view = view_mut(user_keyspace(schema, &home)?, &name.name);
    let Some(view) = view else {
        let message = format!("Materialized view '{home}.{}' doesn't exist", name.name);
        return if if_exists { Ok(None) } else { Err(CqlError::invalid(message)) };
    };
    let mut new = copy(view);
    let given = super::options::check(persona, options)?;
    if options.iter().any(|(name, _)| name == "default_time_to_live") {
        return Err(view_time_to_live());
    }
    new.options.extend(given);
    *view = Rc::new(new);
    changed("UPDATED", &home, Target::Table(name.name.clone()))
}

fn view_mut<'k>(keyspace: &'k mut Keyspace, name: &str) -> Option<&'k mut Rc<Table>> {
    keyspace.tables.get_mut(name).filter(|table| table.view.is_some())
}

pub(super) fn drop_view(
    schema: &mut Schema,
    name: &TableName,
    if_exists: bool,
    current: Option<&str>,
) -> Changed {
    let home = keyspace_of(name, current)?.to_owned();
    let keyspace = user_keyspace(schema, &home)?;
    if view_mut(keyspace, &name.name).is_none() {
        return if if_exists {
            Ok(None)
        } else {
            let message = format!("Materialized view '{home}.{}' doesn't exist", name.name);
            Err(CqlError::invalid(message))
        };
    }
    keyspace.tables.remove(&name.name);
    changed("DROPPED", &home, Target::Table(name.name.clone()))
}

/// The keyspace that a function's name means.
fn home_of(name: &FunctionName, current: Option<&str>) -> Result<String> {
    let name = TableName { keyspace: name.keyspace.clone(), name: name.name.clone() };
    keyspace_of(&name, current).map(str::to_owned)
}

fn shown(types: &[CqlType]) -> Vec<String> {
    types.iter().map(|typ| typ.thawed().to_string()).collect()
}

pub(super) fn create_function(
    schema: &mut Schema,
    create: &CreateFunction,
    current: Option<&str>,
) -> Changed {
    let home = home_of(&create.name, current)?;
    let keyspace = user_keyspace(schema, &home)?;
    let argument = |(name, typ): &(String, CqlType)| Ok((name.clone(), resolve(keyspace, typ)?));
    let arguments = create.arguments.iter().map(argument).collect::<Result<Vec<_>>>()?;
    let returns = resolve(keyspace, &create.returns)?;
    let function = UserFunction::new(&home, create, arguments, returns)?;
    let (name, types) = (function.name.clone(), function.argument_types());
    let existing = keyspace
        .functions
        .iter()
        .position(|other| other.name == name && other.argument_types() == types);
    let what = match existing {
        Some(_) if create.if_not_exists => return Ok(None),
        Some(at) if create.or_replace => {
            keyspace.functions.remove(at);
            "UPDATED"
        }
        Some(_) => {
            let message = format!("Function '{home}.{name}' already exists");
            return Err(CqlError::invalid(message));
        }
        None => "CREATED",
    };
    keyspace.functions.push(Rc::new(function));
    changed(what, &home, Target::Function(name, shown(&types)))
}

/// The one of several of this name that has these arguments, if they are given.
fn find<T>(
    all: &[Rc<T>],
    drop: &DropFunction,
    what: &str,
    describe: impl Fn(&T) -> (String, Vec<CqlType>),
) -> Result<Option<usize>> {
    let fits = |item: &T| {
        let (name, types) = describe(item);
        name == drop.name.name
            && drop.arguments.as_ref().is_none_or(|wanted| shown(wanted) == shown(&types))
    };
    let mut found = all.iter().enumerate().filter(|(_, item)| fits(item)).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(Some(at)),
        (None, _) if drop.if_exists => Ok(None),
        (None, _) => Err(CqlError::invalid(format!("{what} '{}' doesn't exist", drop.name.name))),
        (Some(_), Some(_)) => Err(CqlError::invalid(format!(
            "'DROP {what} {0}' matches multiple {what} definitions; specify the argument types by \
             issuing a statement like 'DROP {what} {0} (type, type, ...)'",
            drop.name.name
        ))),
    }
}

pub(super) fn drop_function(
    schema: &mut Schema,
    drop: &DropFunction,
    current: Option<&str>,
) -> Changed {
    let home = home_of(&drop.name, current)?;
    let keyspace = user_keyspace(schema, &home)?;
    let describe = |function: &UserFunction| (function.name.clone(), function.argument_types());
    let Some(at) = find(&keyspace.functions, drop, "Function", describe)? else {
        return Ok(None);
    };
    let function = keyspace.functions.get(at).cloned();
    let function = function.ok_or_else(|| CqlError::invalid("the function is gone"))?;
    let is_used = |aggregate: &&Rc<UserAggregate>| {
        Rc::ptr_eq(&aggregate.state, &function)
            || aggregate.last.as_ref().is_some_and(|last| Rc::ptr_eq(last, &function))
    };
    if let Some(aggregate) = keyspace.aggregates.iter().find(is_used) {
        return Err(CqlError::invalid(format!(
            "Function '{home}.{}' is still referenced by aggregates {}",
            function.name, aggregate.name
        )));
    }
    keyspace.functions.remove(at);
    let types = shown(&function.argument_types());
    changed("DROPPED", &home, Target::Function(function.name.clone(), types))
}

pub(super) fn create_aggregate(
    schema: &mut Schema,
    create: &CreateAggregate,
    current: Option<&str>,
) -> Changed {
    let home = home_of(&create.name, current)?;
    let keyspace = user_keyspace(schema, &home)?;
    let name = create.name.name.clone();
    let arguments: Vec<CqlType> =
        create.arguments.iter().map(|typ| resolve(keyspace, typ)).collect::<Result<_>>()?;
    let state_type = resolve(keyspace, &create.state_type)?;
    let existing = keyspace
        .aggregates
        .iter()
        .position(|other| other.name == name && other.arguments == arguments);
    let what = match existing {
        Some(_) if create.if_not_exists => return Ok(None),
        Some(_) if create.or_replace => "UPDATED",
        Some(_) => {
            let message = format!("Aggregate '{home}.{name}' already exists");
            return Err(CqlError::invalid(message));
        }
        None => "CREATED",
    };
    let function = |name: &str, types: &[CqlType]| {
        let mut functions = keyspace.functions.iter();
        let found = functions.find(|f| f.name == name && f.argument_types() == types).cloned();
        found.ok_or_else(|| {
            let types = shown(types).join(", ");
            CqlError::invalid(format!("Function {home}.{name} ({types}) doesn't exist"))
        })
    };
    let taken: Vec<CqlType> = std::iter::once(&state_type).chain(&arguments).cloned().collect();
    let state = function(&create.state_function, &taken)?;
    if state.returns != state_type {
        let message = format!(
            "State function '{}' has to return the state's type {state_type}, not {}",
            state.name, state.returns
        );
        return Err(CqlError::invalid(message));
    }
    let last = create
        .final_function
        .as_ref()
        .map(|name| function(name, std::slice::from_ref(&state_type)))
        .transpose()?;
    let initial = match &create.initial {
        None => None,
        Some(term) => match evaluate(term, &state_type, &[])? {
            Bound::Bytes(bytes) => Some(bytes.into_owned()),
            _ => None,
        },
    };
    let aggregate =
        UserAggregate { name: name.clone(), arguments, state, state_type, last, initial };
    let types = shown(&aggregate.arguments);
    if let Some(at) = existing {
        keyspace.aggregates.remove(at);
    }
    keyspace.aggregates.push(Rc::new(aggregate));
    changed(what, &home, Target::Aggregate(name, types))
}

pub(super) fn drop_aggregate(
    schema: &mut Schema,
    drop: &DropFunction,
    current: Option<&str>,
) -> Changed {
    let home = home_of(&drop.name, current)?;
    let keyspace = user_keyspace(schema, &home)?;
    let describe =
        |aggregate: &UserAggregate| (aggregate.name.clone(), aggregate.arguments.clone());
    let Some(at) = find(&keyspace.aggregates, drop, "Aggregate", describe)? else {
        return Ok(None);
    };
    let aggregate = keyspace.aggregates.remove(at);
    let types = shown(&aggregate.arguments);
    changed("DROPPED", &home, Target::Aggregate(aggregate.name.clone(), types))
}
