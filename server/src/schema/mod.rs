//! Keyspaces, tables and columns.

pub(crate) mod catalog;
pub(crate) mod change;
mod objects;
mod options;
pub(crate) mod system;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cdc::options::CaptureOptions;
use crate::cql::ast::{OptionValue, TableName};
use crate::error::CqlError;
use crate::exec::user_function::{UserAggregate, UserFunction};
use crate::persona::Persona;
use crate::routing::{Partitioner, Placement, Ring, Strategy};
use crate::store::{PartitionKey, TableData};
use crate::tablets::{KeyspaceTablets, Settling, TooFewNodes};
use crate::value::order::write_ordered;
use crate::value::types::{CqlType, Native, Udt};

/// What a column is to its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The n-th column of the partition key.
    PartitionKey(usize),
    /// The n-th clustering column.
    Clustering(usize),
    /// One value for all rows of a partition.
    Static,
    Regular,
}

impl Kind {
    /// Whether the column is part of the primary key.
    pub(crate) fn is_key(self) -> bool {
        matches!(self, Self::PartitionKey(_) | Self::Clustering(_))
    }
}

/// An index: it is stored and shown; rows are found without it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) column: String,
    /// What stands in brackets, as `values(column)`.
    pub(crate) target: String,
    /// The class of a custom one.
    pub(crate) class: Option<String>,
    pub(crate) options: Vec<(String, String)>,
}

/// A materialized view: its rows are made of its base table's when they are read.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) base: String,
    pub(crate) base_id: [u8; 16],
    pub(crate) includes_all: bool,
    pub(crate) where_text: String,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Stable while the table lives; cells are stored under it.
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) typ: CqlType,
    pub(crate) kind: Kind,
}

/// A table's definition, replaced whole by ALTER, and its rows, shared by all definitions.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) keyspace: String,
    pub(crate) name: String,
    pub(crate) id: [u8; 16],
    /// In the order of `SELECT *`: partition key, clustering columns, static ones and others
    /// by name.
    pub(crate) columns: Vec<Column>,
    pub(crate) partition_key_len: usize,
    /// Direction of each clustering column: true for DESC.
    pub(crate) clustering_desc: Vec<bool>,
    pub(crate) options: BTreeMap<String, OptionValue>,
    pub(crate) next_column_id: u16,
    pub(crate) indexes: Vec<Index>,
    /// Of which table it is a view, if it is one.
    pub(crate) view: Option<View>,
    pub(crate) partitioner: Partitioner,
    /// What is kept of its changes, if they are captured: then there is a log beside it.
    pub(crate) capture: Option<CaptureOptions>,
    pub(crate) data: Rc<RefCell<TableData>>,
}

impl Table {
    /// Position and definition of a column.
    pub(crate) fn column(&self, name: &str) -> Result<(usize, &Column), CqlError> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| column.name == name)
            .ok_or_else(|| CqlError::invalid(format!("Undefined column name {name}")))
    }

    pub(crate) fn partition_key(&self) -> &[Column] {
        self.columns.get(..self.partition_key_len).unwrap_or_default()
    }

    pub(crate) fn clustering(&self) -> &[Column] {
        let end = self.partition_key_len + self.clustering_desc.len();
        self.columns.get(self.partition_key_len..end).unwrap_or_default()
    }

    /// Whether the column at this position is static.
    pub(crate) fn is_static(&self, position: usize) -> bool {
        self.columns.get(position).is_some_and(|column| column.kind == Kind::Static)
    }

    /// Whether there is an index on the column.
    pub(crate) fn has_index(&self, column: &Column) -> bool {
        self.indexes.iter().any(|index| index.column == column.name)
    }

    /// The static columns and the regular ones.
    pub(crate) fn regular(&self) -> &[Column] {
        let start = self.partition_key_len + self.clustering_desc.len();
        self.columns.get(start..).unwrap_or_default()
    }

    /// What sorts partitions by the values of their keys.
    pub(crate) fn partition_order(&self, values: &[Vec<u8>]) -> Vec<u8> {
        let mut key = Vec::new();
        for (column, value) in self.partition_key().iter().zip(values) {
            write_ordered(&column.typ, value, false, &mut key);
        }
        key
    }

    /// The partition whose key columns have these values.
    pub(crate) fn partition_of(&self, values: &[Vec<u8>]) -> PartitionKey {
        PartitionKey::with(self.partitioner, values)
    }

    /// The key that sorts a row with these clustering values within its partition.
    pub(crate) fn row_key(&self, clustering: &[Vec<u8>]) -> Vec<u8> {
        let mut key = Vec::new();
        for ((column, desc), value) in
            self.clustering().iter().zip(&self.clustering_desc).zip(clustering)
        {
            write_ordered(&column.typ, value, *desc, &mut key);
        }
        key
    }

    pub(crate) fn is_counter(&self) -> bool {
        self.columns.iter().any(|column| column.typ == CqlType::Native(Native::Counter))
    }

    /// Whether its changes are captured, as ScyllaDB does it or as Cassandra does.
    pub(crate) fn is_captured(&self) -> bool {
        self.capture.is_some()
            || matches!(
                self.options.get("cdc"),
                Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("true")
            )
    }

    /// Seconds that a written value lives unless the statement says otherwise; 0 is for ever.
    pub(crate) fn default_ttl_s(&self) -> i32 {
        match self.options.get("default_time_to_live") {
            Some(OptionValue::Text(text)) => text.parse().unwrap_or(0),
            _ => 0,
        }
    }
}

impl Schema {
    /// Works out anew who holds what; fails, and changes nothing, if tablets find no home.
    pub(crate) fn place(&mut self, ring: &Ring) -> Result<(), TooFewNodes> {
        self.settle_tablets(ring, Settling::Even)?;
        for keyspace in self.keyspaces.values_mut() {
            keyspace.placement = Rc::new(Placement::new(ring, &keyspace.strategy));
        }
        Ok(())
    }
}

/// A keyspace.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    pub(crate) name: String,
    /// As given, class included.
    pub(crate) replication: Vec<(String, String)>,
    pub(crate) durable_writes: bool,
    pub(crate) strategy: Strategy,
    /// By the ring, which tables go by unless they have tablets.
    placement: Rc<Placement>,
    pub(crate) tablets: Option<KeyspaceTablets>,
    pub(crate) tables: BTreeMap<String, Rc<Table>>,
    pub(crate) types: BTreeMap<String, Rc<Udt>>,
    pub(crate) functions: Vec<Rc<UserFunction>>,
    pub(crate) aggregates: Vec<Rc<UserAggregate>>,
}

impl Keyspace {
    /// Whether its rows are made up on demand and belong to the node that is asked.
    pub(crate) fn is_system(&self) -> bool {
        self.strategy == Strategy::Local
    }

    /// Who has the rows of a table.
    pub(crate) fn placement(&self, table: &str) -> &Rc<Placement> {
        let tablets = self.tablets.as_ref().and_then(|tablets| tablets.placement(table));
        tablets.unwrap_or(&self.placement)
    }
}

/// All keyspaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pub(crate) keyspaces: BTreeMap<String, Keyspace>,
    /// Changes with every DDL statement; all nodes report the same.
    pub(crate) version: [u8; 16],
    /// Whose schema it is.
    pub(crate) persona: Persona,
    /// Whether keyspaces have tablets that don't say, if their strategy can.
    pub(crate) tablets_by_default: bool,
}

impl Schema {
    pub(crate) fn keyspace(&self, name: &str) -> Result<&Keyspace, CqlError> {
        self.keyspaces
            .get(name)
            .ok_or_else(|| CqlError::invalid(format!("Keyspace '{name}' does not exist")))
    }

    /// Finds a table; `current` is the keyspace that USE chose.
    pub(crate) fn table(
        &self,
        name: &TableName,
        current: Option<&str>,
    ) -> Result<(&Keyspace, &Rc<Table>), CqlError> {
        let keyspace = self.keyspace(keyspace_of(name, current)?)?;
        let table = keyspace
            .tables
            .get(&name.name)
            .ok_or_else(|| CqlError::invalid(format!("unconfigured table {}", name.name)))?;
        Ok((keyspace, table))
    }
}

/// The keyspace that a table's name means.
pub(crate) fn keyspace_of<'a>(
    name: &'a TableName,
    current: Option<&'a str>,
) -> Result<&'a str, CqlError> {
    name.keyspace.as_deref().or(current).ok_or_else(|| {
        CqlError::invalid(
            "No keyspace has been specified. USE a keyspace, or explicitly specify \
             keyspace.tablename",
        )
    })
}
