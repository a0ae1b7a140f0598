//! Logs as tables: their names and columns, and how they follow the tables that they are of.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::options::CaptureOptions;
use crate::cql::ast::{ColumnDefinition, CreateTable, OptionValue, TableName};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::Partitioner;
use crate::schema::change::{LogChange, table};
use crate::schema::{Column, Table};
use crate::store::TableData;
use crate::value::types::{CqlType, Native};

type Result<T> = std::result::Result<T, CqlError>;
type Tables = BTreeMap<String, Rc<Table>>;

const STREAM_ID: &str = "cdc$stream_id";
const TIME: &str = "cdc$time";
const BATCH_SEQ_NO: &str = "cdc$batch_seq_no";
pub(crate) const OPERATION: &str = "cdc$operation";
pub(crate) const TTL: &str = "cdc$ttl";
pub(crate) const END_OF_BATCH: &str = "cdc$end_of_batch";

/// What a log's name ends with.
const SUFFIX: &str = "_scylla_cdc_log";
/// Windows of compaction that a row's life is cut into: ScyllaDB shows them as options of the log.
const WINDOWS: i32 = 24;

/// The name of a table's log.
pub(crate) fn log_name(base: &str) -> String {
    format!("{base}{SUFFIX}")
}

/// The column that tells whether another was deleted.
pub(crate) fn deleted_name(column: &str) -> String {
    format!("cdc$deleted_{column}")
}

/// The column of what was taken off a collection.
pub(crate) fn deleted_elements_name(column: &str) -> String {
    format!("cdc$deleted_elements_{column}")
}

/// Whether a table is the log of another whose changes are captured.
pub(crate) fn is_log(tables: &Tables, name: &str) -> bool {
    let base = name.strip_suffix(SUFFIX).and_then(|base| tables.get(base));
    base.is_some_and(|base| base.capture.is_some())
}

/// Views tell of nothing: their tables do.
pub(crate) fn check_view(persona: Persona, options: &[(String, OptionValue)]) -> Result<()> {
    match options.iter().any(|(name, _)| name == "cdc") && persona == Persona::Scylla {
        true => Err(CqlError::invalid("Cannot create CDC log for a materialized view")),
        false => Ok(()),
    }
}

/// Reads what a new definition asks for. Makes the log that goes with it, if it wants one, in the
/// place of the one that there is.
pub(crate) fn log_for(
    persona: Persona,
    tables: &Tables,
    old: Option<&Table>,
    new: &mut Table,
) -> Result<Option<Table>> {
    if persona == Persona::Cassandra {
        return Ok(None);
    }
    new.capture = CaptureOptions::of(new)?.filter(|options| options.enabled);
    let Some(options) = new.capture else { return Ok(None) };
    let (keyspace, name) = (&new.keyspace, &new.name);
    if old.is_some() && is_log(tables, name) {
        return Err(CqlError::invalid(format!(
            "Cannot create a CDC log for a table {keyspace}.{name}, because creating nested CDC \
             logs is not allowed"
        )));
    }
    let log_name = log_name(name);
    // A log that was left when capturing ended is taken up again; a user's table is not.
    let existing = tables.get(&log_name);
    if let Some(other) = existing
        && (old.is_none() || other.partitioner != Partitioner::Cdc)
    {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log table for table {keyspace}.{name} because a table of name \
             {keyspace}.{} already exists",
            other.name
        )));
    }
    if new.is_counter() {
        return Err(CqlError::invalid(format!(
            "Cannot create CDC log for table {keyspace}.{name}. Counter support not implemented"
        )));
    }
    log_of(new, options, existing.map(Rc::as_ref)).map(Some)
}

/// Stores a log; what that changed.
pub(crate) fn store(tables: &mut Tables, log: Option<Table>) -> Option<LogChange> {
    let log = log?;
    let name = log.name.clone();
    let old = tables.insert(name.clone(), Rc::new(log));
    Some((if old.is_some() { "UPDATED" } else { "CREATED" }, name))
}

/// Drops the log of a table that is dropped.
pub(crate) fn drop_log(tables: &mut Tables, base: &str) -> Option<LogChange> {
    let name = log_name(base);
    tables.get(&name).filter(|log| log.partitioner == Partitioner::Cdc)?;
    tables.remove(&name);
    Some(("DROPPED", name))
}

/// The definition of a table's log; `old` is the one before.
fn log_of(base: &Table, options: CaptureOptions, old: Option<&Table>) -> Result<Table> {
    let key = |name: &str, typ| ColumnDefinition { name: name.to_owned(), typ, is_static: false };
    let mut columns = vec![
        key(STREAM_ID, CqlType::Native(Native::Blob)),
        key(TIME, CqlType::Native(Native::Timeuuid)),
        key(BATCH_SEQ_NO, CqlType::INT),
        key(OPERATION, CqlType::Native(Native::Tinyint)),
        key(TTL, CqlType::BIGINT),
        key(END_OF_BATCH, CqlType::BOOLEAN),
    ];
    for column in &base.columns {
        columns.push(key(&column.name, logged_type(column)));
        if column.kind.is_key() {
            continue;
        }
        columns.push(key(&deleted_name(&column.name), CqlType::BOOLEAN));
        if let Some(keys) = deleted_type(column) {
            columns.push(key(&deleted_elements_name(&column.name), keys));
        }
    }
    let mut log = table(
        Persona::Scylla,
        &base.keyspace,
        &CreateTable {
            table: TableName { keyspace: None, name: log_name(&base.name) },
            if_not_exists: false,
            columns,
            partition_key: vec![STREAM_ID.to_owned()],
            clustering_key: vec![TIME.to_owned(), BATCH_SEQ_NO.to_owned()],
            clustering_order: Vec::new(),
            options: table_options(base, options),
        },
    )?;
    log.partitioner = Partitioner::Cdc;
    log.data = Rc::new(RefCell::new(TableData::with(Partitioner::Cdc)));
    if let Some(old) = old {
        log.id = old.id;
        log.data = Rc::clone(&old.data);
        log.next_column_id = old.next_column_id;
        for column in &mut log.columns {
            // A column that was dropped and comes back is another one.
            column.id = match old.column(&column.name) {
                Ok((_, known)) => known.id,
                Err(_) => {
                    log.next_column_id += 1;
                    log.next_column_id - 1
                }
            };
        }
    }
    Ok(log)
}

/// The type that a log has for a column: what has elements is whole there, with the time at which
/// each element of a list stands.
fn logged_type(column: &Column) -> CqlType {
    match &column.typ {
        CqlType::List(element) => {
            let pair = (CqlType::Native(Native::Timeuuid), (**element).clone());
            CqlType::Frozen(Box::new(CqlType::Map(Box::new(pair))))
        }
        typ if typ.is_multi_cell() => CqlType::Frozen(Box::new(typ.clone())),
        typ => typ.clone(),
    }
}

/// The type of what is taken off a column that has elements: their keys, or numbers of fields.
fn deleted_type(column: &Column) -> Option<CqlType> {
    let key = match &column.typ {
        CqlType::List(_) => CqlType::Native(Native::Timeuuid),
        CqlType::Set(element) => (**element).clone(),
        CqlType::Map(pair) => pair.0.clone(),
        CqlType::Udt(_) => CqlType::Native(Native::Smallint),
        _ => return None,
    };
    Some(CqlType::Frozen(Box::new(CqlType::Set(Box::new(key)))))
}

/// Options of a log, as ScyllaDB sets them.
fn table_options(base: &Table, options: CaptureOptions) -> Vec<(String, OptionValue)> {
    let map = |entries: &[(&str, String)]| {
        let owned = |(key, value): &(&str, String)| ((*key).to_owned(), value.clone());
        OptionValue::Map(entries.iter().map(owned).collect())
    };
    let mut compaction = vec![("class", "TimeWindowCompactionStrategy".to_owned())];
    let mut all = vec![
        (
            "caching",
            map(&[
                ("enabled", "false".to_owned()),
                ("keys", "NONE".to_owned()),
                ("rows_per_partition", "NONE".to_owned()),
            ]),
        ),
        ("comment", OptionValue::Text(format!("CDC log for {}.{}", base.keyspace, base.name))),
    ];
    if options.ttl_s > 0 {
        let window_s = options.ttl_s / WINDOWS + i32::from(options.ttl_s % WINDOWS != 0);
        let window_min = window_s / 60 + i32::from(window_s % 60 != 0);
        compaction.extend([
            ("compaction_window_size", window_min.to_string()),
            ("compaction_window_unit", "MINUTES".to_owned()),
            ("expired_sstable_check_frequency_seconds", (window_s / 2).max(1).to_string()),
        ]);
        all.push(("gc_grace_seconds", OptionValue::Text("0".to_owned())));
    }
    all.push(("compaction", map(&compaction)));
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
