//! The rows of a log that tell of a write.
//!
//! They are mutations like the write itself, and go with it to the replicas. Each time of a write
//! is a record: the rows as they were, what changes, the rows as they are then.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::captured::{Captured, Change, ColumnChange, Place, RowChange};
use super::options::{CaptureOptions, Detail, Preimage};
use super::table::{END_OF_BATCH, OPERATION, TTL, deleted_elements_name, deleted_name, log_name};
use crate::coordinator::Coordinator;
use crate::error::{CqlError, code};
use crate::exec::modify::Mutation;
use crate::exec::restrict::{End, Ends};
use crate::schema::{Column, Kind, Table};
use crate::state::Shared;
use crate::store::{Partition, PartitionKey, RowView, Stamp, View};
use crate::value::literal::{collection, map};
use crate::value::multi_cell::{list_key, tuple};
use crate::value::time::{now_us, timeuuid};
use crate::value::types::CqlType;

type Result<T> = std::result::Result<T, CqlError>;

/// Values of `cdc$operation`.
mod operation {
    pub(super) const PREIMAGE: u8 = 0;
    pub(super) const UPDATE: u8 = 1;
    pub(super) const INSERT: u8 = 2;
    pub(super) const ROW_DELETE: u8 = 3;
    pub(super) const PARTITION_DELETE: u8 = 4;
    pub(super) const RANGE_START_INCLUSIVE: u8 = 5;
    pub(super) const RANGE_START_EXCLUSIVE: u8 = 6;
    pub(super) const RANGE_END_INCLUSIVE: u8 = 7;
    pub(super) const RANGE_END_EXCLUSIVE: u8 = 8;
    pub(super) const POSTIMAGE: u8 = 9;
}

/// The rows of logs that go with a write; none for tables without a log. What was there before is
/// what the coordinator reads at the level of the write.
pub(crate) fn log_rows(
    coordinator: &Coordinator<'_>,
    mutations: &[Mutation],
) -> Result<Vec<Mutation>> {
    if !mutations.iter().any(|mutation| mutation.table().capture.is_some()) {
        return Ok(Vec::new());
    }
    let mut partitions: BTreeMap<([u8; 16], PartitionKey), Vec<&Mutation>> = BTreeMap::new();
    for mutation in mutations.iter().filter(|mutation| mutation.table().capture.is_some()) {
        partitions.entry((mutation.table().id, mutation.key())).or_default().push(mutation);
    }
    let mut rows = Vec::new();
    for ((_, key), mutations) in &partitions {
        let Some(first) = mutations.first() else { continue };
        let Some(teller) = Teller::new(coordinator.shared, first)? else { continue };
        if teller.options.has_images() {
            coordinator.check_images(teller.base, key)?;
        }
        let data = teller.base.data.borrow();
        let seen = coordinator.see_one(&data, teller.base, key)?;
        let partition = View::new(&data, &seen).find(key);
        let mut captured = Captured::default();
        for mutation in mutations {
            mutation.record(partition, coordinator.node, &mut captured);
        }
        rows.extend(teller.tell(coordinator.shared, (key, partition), &captured)?);
    }
    Ok(rows)
}

/// What the log needs to know of the partition.
struct Teller<'m> {
    base: &'m Table,
    log: Rc<Table>,
    options: CaptureOptions,
    /// Values of the partition key's columns.
    partition: &'m [Vec<u8>],
    now_s: i64,
}

/// Where a column's value stands: one, or elements with their keys by their paths.
#[derive(Clone, Debug)]
enum State {
    Cell(Vec<u8>),
    Elements(BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>),
}

/// A row as it is while the changes are told: its columns that have values.
type RowState = BTreeMap<u16, State>;

/// All rows that change, as they are while the changes are told.
#[derive(Debug, Default)]
struct Rows {
    statics: RowState,
    rows: BTreeMap<Vec<u8>, RowState>,
    /// Whether a change of the static columns has been told.
    has_told_statics: bool,
}

/// Rows of a log that are one record.
struct Record<'t> {
    teller: &'t Teller<'t>,
    rows: Vec<Vec<(u16, Vec<u8>)>>,
}

impl<'m> Teller<'m> {
    fn new(shared: &Shared, mutation: &'m Mutation) -> Result<Option<Self>> {
        let base = mutation.table();
        let Some(options) = base.capture else { return Ok(None) };
        let schema = shared.schema.borrow();
        let name = log_name(&base.name);
        let log = schema.keyspace(&base.keyspace)?.tables.get(&name).ok_or_else(|| {
            CqlError::new(code::SERVER, format!("the log {}.{name} is missing", base.keyspace))
        })?;
        let (log, partition, now_s) = (Rc::clone(log), mutation.partition(), mutation.now_s());
        Ok(Some(Self { base, log, options, partition, now_s }))
    }

    /// A record for each time. With the key goes the partition as it is before the write.
    fn tell(
        &self,
        shared: &Shared,
        (key, partition): (&PartitionKey, Option<&Partition>),
        captured: &Captured,
    ) -> Result<Vec<Mutation>> {
        let mut rows = match self.options.has_images() {
            true => self.existing(partition, captured),
            false => Rows::default(),
        };
        let mut mutations = Vec::new();
        let generations = shared.generations.borrow();
        for (at, changes) in captured.changes() {
            let stream = generations.stream_at(at, now_us(), key.token)?;
            let mut record = Record { teller: self, rows: Vec::new() };
            let affected = affected(&changes, self.base);
            if self.options.preimage != Preimage::Off {
                record.images(operation::PREIMAGE, &affected, &rows)?;
            }
            for change in &changes {
                record.change(change)?;
                if self.options.has_images() {
                    rows.change(change, self.base);
                }
            }
            if self.options.postimage {
                record.images(operation::POSTIMAGE, &affected, &rows)?;
            }
            mutations.extend(record.finish(&stream, at)?);
        }
        Ok(mutations)
    }

    /// The rows that are named as they are before the write.
    fn existing(&self, partition: Option<&Partition>, captured: &Captured) -> Rows {
        let mut rows = Rows::default();
        let Some(partition) = partition else { return rows };
        if let Some(statics) = partition.statics(self.now_s) {
            rows.statics = self.state_of(statics, Kind::Static);
        }
        for key in captured.keys() {
            if let Some(row) = partition.find(key, self.now_s) {
                rows.rows.insert(key.to_vec(), self.state_of(row, Kind::Regular));
            }
        }
        rows
    }

    fn state_of(&self, row: RowView<'_>, kind: Kind) -> RowState {
        let columns = self.base.regular().iter().filter(|column| column.kind == kind);
        let state = |column: &Column| {
            if !column.typ.is_multi_cell() {
                return Some(State::Cell(row.cell(column.id)?.value.as_ref()?.to_vec()));
            }
            let elements = row.elements(column.id).map(|(path, element)| {
                let value = element.cell.value.as_deref().unwrap_or_default().to_vec();
                (path.to_vec(), (key_of(column, path, &element.key), value))
            });
            Some(State::Elements(elements.collect()))
        };
        columns.filter_map(|column| Some((column.id, state(column)?))).collect()
    }
}

/// Rows that change, and which columns of each; `None` stands for the static columns.
type Affected = BTreeMap<Option<Place>, Vec<u16>>;

fn affected(changes: &[Change], base: &Table) -> Affected {
    let mut affected = Affected::new();
    for change in changes {
        let (place, ids): (_, Vec<u16>) = match change {
            Change::Row(change) => (change.row.clone(), change.columns.keys().copied().collect()),
            Change::DeleteRow(place) => {
                let of_rows = base.regular().iter().filter(|column| column.kind == Kind::Regular);
                (Some(place.clone()), of_rows.map(|column| column.id).collect())
            }
            Change::DeleteRange(_) | Change::DeletePartition => continue,
        };
        affected.entry(place).or_default().extend(ids);
    }
    affected
}

impl Rows {
    /// The row as the changes that have been told have left it.
    fn state(&self, row: Option<&Place>) -> Option<&RowState> {
        match row {
            Some(place) => self.rows.get(&place.key),
            None => (self.has_told_statics || !self.statics.is_empty()).then_some(&self.statics),
        }
    }

    fn change(&mut self, change: &Change, base: &Table) {
        match change {
            Change::Row(RowChange { row, columns, .. }) => {
                let state = match row {
                    Some(place) => self.rows.entry(place.key.clone()).or_default(),
                    None => {
                        self.has_told_statics = true;
                        &mut self.statics
                    }
                };
                for (id, change) in columns {
                    let column = base.columns.iter().find(|column| column.id == *id);
                    if let Some(column) = column {
                        change_state(state, column, change);
                    }
                }
            }
            Change::DeleteRow(place) => {
                self.rows.remove(&place.key);
            }
            Change::DeleteRange(ends) => {
                let (from, to) = (ends.from.key(base), ends.to.key(base));
                let begins = |key: &[u8]| match key.starts_with(&from) {
                    true => ends.from.is_inclusive,
                    false => key > from.as_slice(),
                };
                let ends = |key: &[u8]| match key.starts_with(&to) {
                    true => ends.to.is_inclusive,
                    false => key < to.as_slice(),
                };
                self.rows.retain(|key, _| !(begins(key) && ends(key)));
            }
            Change::DeletePartition => self.rows.clear(),
        }
    }
}

impl End {
    /// What the keys of rows at the end begin with.
    fn key(&self, table: &Table) -> Vec<u8> {
        table.row_key(&self.values)
    }
}

fn change_state(state: &mut RowState, column: &Column, change: &ColumnChange) {
    match change {
        ColumnChange::Cell(Some(value)) => {
            state.insert(column.id, State::Cell(value.clone()));
        }
        ColumnChange::Cell(None) => {
            state.remove(&column.id);
        }
        ColumnChange::Elements { is_deleted, elements } => {
            let old = state.remove(&column.id);
            let mut by_path = match old {
                Some(State::Elements(old)) if !is_deleted => old,
                _ => BTreeMap::new(),
            };
            for (path, element) in elements {
                match &element.cell.value {
                    Some(value) => {
                        let key = key_of(column, path, &element.key);
                        by_path.insert(path.clone(), (key, value.to_vec()));
                    }
                    None => {
                        by_path.remove(path);
                    }
                }
            }
            if !by_path.is_empty() {
                state.insert(column.id, State::Elements(by_path));
            }
        }
    }
}

impl Record<'_> {
    /// A row of the log with what all have.
    fn row(&mut self, operation: u8, clustering: &[Vec<u8>]) -> Result<()> {
        self.rows.push(Vec::new());
        let base = self.teller.base;
        let partition = base.partition_key().iter().zip(self.teller.partition);
        for (column, value) in partition.chain(base.clustering().iter().zip(clustering)) {
            self.set(&column.name, value.clone())?;
        }
        self.set(OPERATION, vec![operation])
    }

    /// Sets a column of the last row.
    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<()> {
        let (_, column) = self.teller.log.column(name)?;
        if let Some(row) = self.rows.last_mut() {
            row.push((column.id, value));
        }
        Ok(())
    }

    /// Rows before or after their changes; of those before, the columns that change.
    fn images(&mut self, operation: u8, affected: &Affected, rows: &Rows) -> Result<()> {
        let is_before = operation == operation::PREIMAGE;
        let shows_all = !is_before || self.teller.options.preimage == Preimage::Full;
        for (place, ids) in affected {
            let Some(state) = rows.state(place.as_ref()) else { continue };
            self.row(operation, place.as_ref().map_or(&[][..], |place| &place.clustering))?;
            let kind = if place.is_some() { Kind::Regular } else { Kind::Static };
            for column in self.teller.base.regular() {
                if column.kind != kind || !(shows_all || ids.contains(&column.id)) {
                    continue;
                }
                let value = state.get(&column.id).and_then(|state| value_of(column, state));
                match value {
                    Some(value) => self.set(&column.name, value)?,
                    // Or it could be one that does not change.
                    None if is_before => self.set(&deleted_name(&column.name), vec![1])?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Row(change) => self.row_change(change),
            Change::DeleteRow(place) => self.row(operation::ROW_DELETE, &place.clustering),
            Change::DeleteRange(Ends { from, to }) => {
                let start = match from.is_inclusive {
                    true => operation::RANGE_START_INCLUSIVE,
                    false => operation::RANGE_START_EXCLUSIVE,
                };
                let end = match to.is_inclusive {
                    true => operation::RANGE_END_INCLUSIVE,
                    false => operation::RANGE_END_EXCLUSIVE,
                };
                self.row(start, &from.values)?;
                self.row(end, &to.values)
            }
            Change::DeletePartition => self.row(operation::PARTITION_DELETE, &[]),
        }
    }

    fn row_change(&mut self, change: &RowChange) -> Result<()> {
        let operation = if change.is_insert { operation::INSERT } else { operation::UPDATE };
        self.row(operation, change.row.as_ref().map_or(&[][..], |place| &place.clustering))?;
        if change.ttl_s > 0 {
            self.set(TTL, i64::from(change.ttl_s).to_be_bytes().to_vec())?;
        }
        if self.teller.options.detail == Detail::Keys {
            return Ok(());
        }
        for (id, column_change) in &change.columns {
            let base = self.teller.base;
            let column = base.columns.iter().find(|column| column.id == *id);
            if let Some(column) = column {
                self.column_change(column, column_change)?;
            }
        }
        Ok(())
    }

    fn column_change(&mut self, column: &Column, change: &ColumnChange) -> Result<()> {
        match change {
            ColumnChange::Cell(Some(value)) => self.set(&column.name, value.clone()),
            ColumnChange::Cell(None) => self.set(&deleted_name(&column.name), vec![1]),
            ColumnChange::Elements { is_deleted, elements } => {
                if *is_deleted {
                    self.set(&deleted_name(&column.name), vec![1])?;
                }
                let (mut live, mut dead) = (BTreeMap::new(), Vec::new());
                for (path, element) in elements {
                    let key = key_of(column, path, &element.key);
                    match &element.cell.value {
                        Some(value) => {
                            live.insert(path.clone(), (key, value.to_vec()));
                        }
                        None => dead.push(key),
                    }
                }
                if !dead.is_empty() {
                    self.set(&deleted_elements_name(&column.name), collection(&dead))?;
                }
                match elements_value(column, &live) {
                    Some(value) => self.set(&column.name, value),
                    None => Ok(()),
                }
            }
        }
    }

    /// The mutations that write the rows.
    fn finish(mut self, stream: &[u8], at: i64) -> Result<Vec<Mutation>> {
        if !self.rows.is_empty() {
            self.set(END_OF_BATCH, vec![1])?;
        }
        let Teller { log, options, now_s, .. } = self.teller;
        let expires = (options.ttl_s > 0)
            .then(|| (now_s.saturating_add(i64::from(options.ttl_s)), options.ttl_s));
        let stamp = Stamp { at, expires };
        let time = timeuuid(at, fastrand::u64(..)).to_vec();
        let row = |(number, cells): (i32, Vec<(u16, Vec<u8>)>)| {
            let clustering = vec![time.clone(), number.to_be_bytes().to_vec()];
            Mutation::of_cells(log, vec![stream.to_vec()], clustering, cells, (stamp, *now_s))
        };
        Ok((0..).zip(self.rows).map(row).collect())
    }
}

/// What an element is known by in the log.
fn key_of(column: &Column, path: &[u8], key: &[u8]) -> Vec<u8> {
    match column.typ {
        CqlType::List(_) => list_key(path).to_vec(),
        CqlType::Udt(_) => path.to_vec(), // the number of the field, in two bytes
        _ => key.to_vec(),
    }
}

fn value_of(column: &Column, state: &State) -> Option<Vec<u8>> {
    match state {
        State::Cell(value) => Some(value.clone()),
        State::Elements(by_path) if by_path.is_empty() => None,
        State::Elements(by_path) => elements_value(column, by_path),
    }
}

/// The value that elements make in a log. A user-defined type has one even if all of its fields are
/// null, as with ScyllaDB.
fn elements_value(
    column: &Column,
    by_path: &BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
) -> Option<Vec<u8>> {
    match &column.typ {
        CqlType::Udt(udt) => {
            let mut fields = vec![None; udt.fields.len()];
            for (path, (_, value)) in by_path {
                let index = path.first_chunk().map(|path| usize::from(u16::from_be_bytes(*path)));
                if let Some(field) = index.and_then(|index| fields.get_mut(index)) {
                    *field = Some(value.clone());
                }
            }
            Some(tuple(&fields))
        }
        _ if by_path.is_empty() => None,
        CqlType::Set(_) => {
            let keys: Vec<_> = by_path.values().map(|(key, _)| key.clone()).collect();
            Some(collection(&keys))
        }
        _ => Some(map(&by_path.values().cloned().collect::<Vec<_>>())),
    }
}
