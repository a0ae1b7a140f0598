//! Reads tables, columns and user-defined types from `system_schema` of one node.
//!
//! Whole, or keyspace by keyspace: what a reading costs is bounded by `KEYSPACES_MAX`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fetch::Seen;
use crate::connection::Conn;
use crate::error::{Error, ErrorKind};
use crate::metadata::{
    ColumnKind, ColumnMetadata, KeyspaceMetadata, Metadata, TableMetadata, UserDefinedTypeMetadata,
};
use crate::rows::QueryRowsResult;
use crate::session::Inner;

/// Keyspaces that are read one by one; with more, all are read at once.
pub(crate) const KEYSPACES_MAX: usize = 16;

/// What of the schema is to be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Scope {
    #[default]
    Nothing,
    Keyspaces(BTreeSet<Box<str>>),
    Everything,
}

impl Scope {
    /// Adds a keyspace; the empty name stands for one that is not known.
    pub(crate) fn add(&mut self, keyspace: &str) {
        match self {
            Scope::Nothing if !keyspace.is_empty() => {
                *self = Scope::Keyspaces(BTreeSet::from([keyspace.into()]));
            }
            Scope::Keyspaces(keyspaces) if !keyspace.is_empty() => {
                keyspaces.insert(keyspace.into());
                if keyspaces.len() > KEYSPACES_MAX {
                    *self = Scope::Everything;
                }
            }
            _ => *self = Scope::Everything,
        }
    }
}

/// The tables and types of a keyspace.
#[derive(Debug, Default)]
struct Contents {
    tables: BTreeMap<Box<str>, TableMetadata>,
    user_defined_types: BTreeMap<Box<str>, UserDefinedTypeMetadata>,
}

/// The snapshot that follows `previous`: `seen` says which keyspaces there are, `scope` which of
/// their contents to read.
///
/// # Errors
///
/// If the connection is lost. If the node refuses, or takes too long, what is known stays.
pub(crate) async fn fetch(
    inner: &Inner,
    conn: &Conn,
    previous: &Metadata,
    seen: &Seen,
    scope: Scope,
) -> Result<Metadata, Error> {
    let is_known = seen.schema_version.is_some() && previous.schema_version == seen.schema_version;
    let mut scope = match scope {
        // Something has changed of which nothing was heard.
        Scope::Nothing if !is_known => Scope::Everything,
        scope => scope,
    };
    let mut metadata = Metadata { schema_version: seen.schema_version, ..Metadata::default() };
    let mut contents = match read(inner, conn, &scope).await {
        Ok(contents) => contents,
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Shutdown) => {
            return Err(error);
        }
        Err(error) => {
            tracing::warn!(%error, "the schema could not be read");
            scope = Scope::Nothing;
            metadata.schema_version = previous.schema_version; // it is tried again next time
            BTreeMap::new()
        }
    };
    for row in &seen.keyspaces {
        let known = previous.keyspaces.get(&row.name);
        let is_read = match &scope {
            Scope::Nothing => false,
            Scope::Keyspaces(keyspaces) => keyspaces.contains(&row.name),
            Scope::Everything => true,
        };
        let strategy = row.replication.strategy();
        let found = match known {
            Some(known) if !is_read => {
                if known.strategy == strategy && known.durable_writes == row.durable_writes {
                    metadata.keyspaces.insert(row.name.clone(), Arc::clone(known));
                    continue;
                }
                Contents {
                    tables: known.tables.clone(),
                    user_defined_types: known.user_defined_types.clone(),
                }
            }
            _ => contents.remove(&row.name).unwrap_or_default(),
        };
        let keyspace = KeyspaceMetadata {
            name: row.name.clone(),
            strategy,
            durable_writes: row.durable_writes,
            tables: found.tables,
            user_defined_types: found.user_defined_types,
        };
        let keyspace = match known {
            Some(known) if **known == keyspace => Arc::clone(known),
            _ => Arc::new(keyspace),
        };
        metadata.keyspaces.insert(row.name.clone(), keyspace);
    }
    Ok(metadata)
}

async fn read(
    inner: &Inner,
    conn: &Conn,
    scope: &Scope,
) -> Result<BTreeMap<Box<str>, Contents>, Error> {
    let settings = &inner.settings.schema;
    let mut contents = BTreeMap::new();
    if !settings.fetch {
        return Ok(contents);
    }
    let wanted: BTreeSet<&str> = match scope {
        Scope::Nothing => return Ok(contents),
        Scope::Keyspaces(keyspaces) => {
            let is_wanted = |name: &&str| settings.wants(name);
            keyspaces.iter().map(|name| &**name).filter(is_wanted).collect()
        }
        Scope::Everything if settings.keyspaces.len() > KEYSPACES_MAX => BTreeSet::new(),
        Scope::Everything => settings.keyspaces.iter().map(|name| &**name).collect(),
    };
    if wanted.is_empty() {
        if *scope == Scope::Everything {
            read_part(inner, conn, "", &mut contents).await?;
        }
        contents.retain(|name, _| settings.wants(name));
        return Ok(contents);
    }
    for name in wanted {
        let restriction = format!(" WHERE keyspace_name = '{}'", name.replace('\'', "''"));
        read_part(inner, conn, &restriction, &mut contents).await?;
    }
    Ok(contents)
}

const TABLES: &str = "SELECT keyspace_name, table_name FROM system_schema.tables";
const PARTITIONERS: &str =
    "SELECT keyspace_name, table_name, partitioner FROM system_schema.scylla_tables";
const COLUMNS: &str = "SELECT keyspace_name, table_name, column_name, kind, position, type \
                       FROM system_schema.columns";
const TYPES: &str =
    "SELECT keyspace_name, type_name, field_names, field_types FROM system_schema.types";

async fn read_part(
    inner: &Inner,
    conn: &Conn,
    restriction: &str,
    contents: &mut BTreeMap<Box<str>, Contents>,
) -> Result<(), Error> {
    let query = async |text: &str| inner.system_query(conn, &format!("{text}{restriction}")).await;
    read_tables(&query(TABLES).await?, contents)?;
    // ScyllaDB is known by its mark; versions before 4.0 have no such column.
    if inner.lwt_mark().is_some() {
        match query(PARTITIONERS).await {
            Ok(rows) => read_partitioners(&rows, contents)?,
            Err(error) if error.kind() == ErrorKind::Database => {
                tracing::debug!(%error, "tables are taken to have the cluster's partitioner");
            }
            Err(error) => return Err(error),
        }
    }
    read_columns(&query(COLUMNS).await?, contents)?;
    read_types(&query(TYPES).await?, contents)
}

fn read_tables(
    rows: &QueryRowsResult,
    contents: &mut BTreeMap<Box<str>, Contents>,
) -> Result<(), Error> {
    for row in rows.rows::<(&str, &str)>()? {
        let (keyspace, name) = row?;
        let table = TableMetadata {
            name: name.into(),
            partition_key: Vec::new(),
            clustering_key: Vec::new(),
            columns: Vec::new(),
            partitioner: None,
        };
        let keyspace = contents.entry(keyspace.into()).or_default();
        keyspace.tables.insert(name.into(), table);
    }
    Ok(())
}

fn read_partitioners(
    rows: &QueryRowsResult,
    contents: &mut BTreeMap<Box<str>, Contents>,
) -> Result<(), Error> {
    for row in rows.rows::<(&str, &str, Option<&str>)>()? {
        let (keyspace, table, partitioner) = row?;
        let known = contents.get_mut(keyspace).and_then(|known| known.tables.get_mut(table));
        if let Some(known) = known {
            known.partitioner = partitioner.map(Into::into);
        }
    }
    Ok(())
}

/// Columns of what is no table belong to a materialised view, or to a table that is just coming.
fn read_columns(
    rows: &QueryRowsResult,
    contents: &mut BTreeMap<Box<str>, Contents>,
) -> Result<(), Error> {
    type Columns<'r> = (&'r str, &'r str, &'r str, Option<&'r str>, Option<i32>, Option<&'r str>);
    // By keyspace, table, kind and position.
    let mut keys: Vec<(&str, &str, ColumnKind, i32, &str)> = Vec::new();
    for row in rows.rows::<Columns<'_>>()? {
        let (keyspace, table, name, kind, position, cql_type) = row?;
        let (Some(kind), Some(cql_type)) = (kind, cql_type) else {
            tracing::warn!(%keyspace, %table, %name, "a column without kind or type is left out");
            continue;
        };
        let known = contents.get_mut(keyspace).and_then(|known| known.tables.get_mut(table));
        let Some(known) = known else { continue };
        let kind = match kind {
            "clustering" => ColumnKind::Clustering,
            "partition_key" => ColumnKind::PartitionKey,
            "static" => ColumnKind::Static,
            _ => ColumnKind::Regular,
        };
        if matches!(kind, ColumnKind::Clustering | ColumnKind::PartitionKey) {
            keys.push((keyspace, table, kind, position.unwrap_or(0), name));
        }
        known.columns.push(ColumnMetadata { name: name.into(), cql_type: cql_type.into(), kind });
    }
    keys.sort_by_key(|(_, _, _, position, _)| *position);
    for (keyspace, table, kind, _, name) in keys {
        let known = contents.get_mut(keyspace).and_then(|known| known.tables.get_mut(table));
        let Some(known) = known else { continue };
        match kind {
            ColumnKind::Clustering => known.clustering_key.push(name.into()),
            _ => known.partition_key.push(name.into()),
        }
    }
    for table in contents.values_mut().flat_map(|keyspace| keyspace.tables.values_mut()) {
        table.columns.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(())
}

fn read_types(
    rows: &QueryRowsResult,
    contents: &mut BTreeMap<Box<str>, Contents>,
) -> Result<(), Error> {
    type Columns<'r> = (&'r str, &'r str, Option<Vec<&'r str>>, Option<Vec<&'r str>>);
    for row in rows.rows::<Columns<'_>>()? {
        let (keyspace, name, names, types) = row?;
        let fields = names.unwrap_or_default().into_iter().zip(types.unwrap_or_default());
        let fields = fields.map(|(name, cql_type)| (name.into(), cql_type.into())).collect();
        let keyspace = contents.entry(keyspace.into()).or_default();
        let typ = UserDefinedTypeMetadata { name: name.into(), fields };
        keyspace.user_defined_types.insert(name.into(), typ);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keyspaces_are_read_as_one() {
        let mut scope = Scope::default();
        scope.add("a");
        scope.add("b");
        scope.add("a");
        assert_eq!(scope, Scope::Keyspaces(["a".into(), "b".into()].into()));
        for n in 0..KEYSPACES_MAX - 2 {
            scope.add(&format!("k{n}"));
            assert_ne!(scope, Scope::Everything);
        }
        scope.add("one more");
        assert_eq!(scope, Scope::Everything);
        scope.add("a");
        assert_eq!(scope, Scope::Everything);
        let mut scope = Scope::default();
        scope.add("");
        assert_eq!(scope, Scope::Everything);
    }
}
