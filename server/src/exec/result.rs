//! Results and how RESULT carries them.

use std::rc::Rc;

use md5::{Digest, Md5};

use super::bind::Marker;
use crate::schema::change::{Change, Target};
use crate::value::types::CqlType;
use crate::wire::version::{Dialect, Version};
use crate::wire::write::Writer;

/// One column of a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    pub(crate) typ: CqlType,
}

/// The columns of a statement's result, all of one table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ResultColumns {
    pub(crate) keyspace: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<ResultColumn>,
}

/// Rows, already encoded.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) columns: Rc<ResultColumns>,
    /// Cells as `[bytes]`, row by row.
    pub(crate) cells: Vec<u8>,
    pub(crate) row_count: usize,
    /// Where the next page begins, if there is one.
    pub(crate) paging_state: Option<Vec<u8>>,
}

/// What a statement did.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Void,
    Rows(Rows),
    SetKeyspace(String),
    SchemaChange(Change),
}

/// Whether a reply repeats the columns that PREPARED has already described.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Metadata {
    Full,
    Skipped,
    /// They are other ones than the client knows; this is their new id.
    Changed(MetadataId),
}

/// Id of a result's columns (v5).
pub(crate) type MetadataId = [u8; 16];

/// The id of these columns: other columns have another id. No columns have one too.
pub(crate) fn metadata_id(columns: Option<&ResultColumns>) -> MetadataId {
    let mut hash = Md5::new();
    let mut bytes = Vec::new();
    if let Some(columns) = columns {
        let mut out = Writer::new(&mut bytes);
        out.string(&columns.keyspace);
        out.string(&columns.table);
        for column in &columns.columns {
            out.string(&column.name);
            out.string(&column.typ.to_string());
        }
    }
    hash.update(&bytes);
    hash.finalize().into()
}

const GLOBAL_TABLE_SPEC: i32 = 0x01;
const HAS_MORE_PAGES: i32 = 0x02;
const NO_METADATA: i32 = 0x04;
const METADATA_CHANGED: i32 = 0x08;
/// Bind metadata: the statement is conditional (ScyllaDB's extension).
pub(crate) const LWT_MARK: i32 = i32::MIN;

/// Appends the body of a RESULT.
pub(crate) fn write_outcome(
    outcome: &Outcome,
    metadata: Metadata,
    dialect: Dialect,
    out: &mut Vec<u8>,
) {
    let mut out = Writer::new(out);
    match outcome {
        Outcome::Void => out.int(1),
        Outcome::Rows(rows) => {
            let state = rows.paging_state.as_deref();
            write_rows_head(&rows.columns, state, metadata, dialect, &mut out);
            out.len(rows.row_count);
            out.raw(&rows.cells);
        }
        Outcome::SetKeyspace(name) => {
            out.int(3);
            out.string(name);
        }
        Outcome::SchemaChange(change) => {
            out.int(5);
            write_change(change, &mut out);
        }
    }
}

/// A schema change, in RESULT and EVENT alike.
pub(crate) fn write_change(change: &Change, out: &mut Writer<'_>) {
    let (kind, name, arguments) = match &change.target {
        Target::Keyspace => ("KEYSPACE", None, None),
        Target::Table(name) => ("TABLE", Some(name), None),
        Target::Type(name) => ("TYPE", Some(name), None),
        Target::Function(name, arguments) => ("FUNCTION", Some(name), Some(arguments)),
        Target::Aggregate(name, arguments) => ("AGGREGATE", Some(name), Some(arguments)),
    };
    out.string(change.what);
    out.string(kind);
    out.string(&change.keyspace);
    if let Some(name) = name {
        out.string(name);
    }
    if let Some(arguments) = arguments {
        out.short_len(arguments.len());
        arguments.iter().for_each(|argument| out.string(argument));
    }
}

/// Appends the beginning of a RESULT of rows; what follows is their number.
pub(crate) fn write_rows_head(
    columns: &ResultColumns,
    paging_state: Option<&[u8]>,
    metadata: Metadata,
    dialect: Dialect,
    out: &mut Writer<'_>,
) {
    out.int(2);
    write_metadata(columns, paging_state, metadata, dialect, out);
}

fn write_metadata(
    columns: &ResultColumns,
    paging_state: Option<&[u8]>,
    metadata: Metadata,
    dialect: Dialect,
    out: &mut Writer<'_>,
) {
    let specs = match metadata {
        Metadata::Full => GLOBAL_TABLE_SPEC,
        Metadata::Skipped => NO_METADATA,
        Metadata::Changed(_) => GLOBAL_TABLE_SPEC | METADATA_CHANGED,
    };
    out.int(specs | if paging_state.is_some() { HAS_MORE_PAGES } else { 0 });
    out.len(columns.columns.len());
    if let Some(state) = paging_state {
        out.bytes(Some(state));
    }
    if let Metadata::Changed(id) = &metadata {
        out.short_bytes(id);
    }
    if metadata != Metadata::Skipped {
        out.string(&columns.keyspace);
        out.string(&columns.table);
        for column in &columns.columns {
            out.string(&column.name);
            column.typ.write_option(dialect, out);
        }
    }
}

/// What PREPARED says about a statement.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) id: &'a [u8; 16],
    /// Id of the result's columns, which v5 wants to know.
    pub(crate) metadata_id: Option<MetadataId>,
    pub(crate) markers: &'a [Marker],
    /// For each column of the partition key, the marker bound to it. Empty if not all are.
    pub(crate) key_indexes: &'a [u16],
    /// Keyspace and table of the markers.
    pub(crate) table: (&'a str, &'a str),
    pub(crate) columns: Option<&'a ResultColumns>,
    pub(crate) is_lwt: bool,
}

/// Appends the body of a RESULT of kind Prepared.
pub(crate) fn write_prepared(prepared: &Prepared<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    let mut out = Writer::new(out);
    out.int(4);
    out.short_bytes(prepared.id);
    if let Some(id) = &prepared.metadata_id {
        out.short_bytes(id);
    }
    // A statement without a table, such as USE, has no markers to say the table of either.
    let has_table = !prepared.table.1.is_empty();
    let spec = if has_table { GLOBAL_TABLE_SPEC } else { 0 };
    out.int(spec | if prepared.is_lwt { LWT_MARK } else { 0 });
    out.len(prepared.markers.len());
    if dialect.version > Version::V3 {
        out.len(prepared.key_indexes.len());
        for index in prepared.key_indexes {
            out.short(*index);
        }
    }
    if has_table {
        out.string(prepared.table.0);
        out.string(prepared.table.1);
    }
    for marker in prepared.markers {
        if !has_table {
            out.string("");
            out.string("");
        }
        out.string(&marker.name);
        marker.typ.write_option(dialect, &mut out);
    }
    match prepared.columns {
        Some(columns) => write_metadata(columns, None, Metadata::Full, dialect, &mut out),
        None => {
            out.int(NO_METADATA);
            out.int(0);
        }
    }
}
