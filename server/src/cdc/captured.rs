//! All that one write changes in a partition, and its parts as the log tells of them.
//!
//! Statements of a batch that change one partition are one change of it, as for the partition
//! itself: of two values for a cell one is left. It is told of in parts, each of one kind, one time
//! and one time to live.

use std::collections::{BTreeMap, BTreeSet};

use crate::exec::restrict::Ends;
use crate::store::{Cell, Element, Stamp};

/// What happens to a column.
#[derive(Clone, Debug)]
enum CapturedColumn {
    Cell(Cell),
    Elements {
        /// When all that was there before was deleted.
        deleted_at: Option<i64>,
        by_path: ByPath,
    },
}

/// Columns by their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns(BTreeMap<u16, CapturedColumn>);

/// What happens to a row.
#[derive(Clone, Debug)]
pub(crate) struct CapturedRow {
    /// Values of the clustering columns.
    clustering: Vec<Vec<u8>>,
    marker: Option<Stamp>,
    deleted_at: Option<i64>,
    columns: Columns,
}

/// What happens to a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured {
    statics: Columns,
    /// By the rows' keys.
    rows: BTreeMap<Vec<u8>, CapturedRow>,
    ranges: Vec<(Ends, i64)>,
    deleted_at: Option<i64>,
}

/// What happens to a column at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ColumnChange {
    /// Another value, or none.
    Cell(Option<Vec<u8>>),
    Elements {
        is_deleted: bool,
        elements: WithPaths,
    },
}

/// Columns of a row that get values or lose them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RowChange {
    /// The row; none for the static columns.
    pub(crate) row: Option<Place>,
    /// Whether it makes the row exist by itself.
    pub(crate) is_insert: bool,
    /// Seconds; 0 is for ever.
    pub(crate) ttl_s: i32,
    pub(crate) columns: BTreeMap<u16, ColumnChange>,
}

/// A row: its key, and the values of its clustering columns.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) key: Vec<u8>,
    pub(crate) clustering: Vec<Vec<u8>>,
}

/// A part of what happens, as the log tells of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Row(RowChange),
    DeleteRow(Place),
    DeleteRange(Ends),
    DeletePartition,
}

/// Time and time to live of a part.
type Age = (i64, i32);
/// What happens to columns, by their ids, at each time.
type Ages = BTreeMap<Age, BTreeMap<u16, ColumnChange>>;
/// Elements, each with its path.
type WithPaths = Vec<(Vec<u8>, Element)>;
/// Elements by their paths.
type ByPath = BTreeMap<Vec<u8>, Element>;

impl Columns {
    /// A cell gets a value or loses it.
    pub(crate) fn write(&mut self, id: u16, cell: Cell) {
        match self.0.get_mut(&id) {
            Some(CapturedColumn::Cell(old)) if !cell.wins_over(old) => {}
            _ => {
                self.0.insert(id, CapturedColumn::Cell(cell));
            }
        }
    }

    /// All elements of a column are deleted, by a statement of this time.
    pub(crate) fn delete_elements(&mut self, id: u16, at: i64) {
        if let Some((deleted_at, _)) = self.elements_mut(id) {
            *deleted_at = Some(deleted_at.map_or(at, |old| old.max(at)));
        }
    }

    /// An element gets a value or loses it.
    pub(crate) fn write_element(&mut self, id: u16, path: Vec<u8>, element: Element) {
        let Some((_, by_path)) = self.elements_mut(id) else { return };
        if by_path.get(&path).is_none_or(|old| element.cell.wins_over(&old.cell)) {
            by_path.insert(path, element);
        }
    }

    fn elements_mut(&mut self, id: u16) -> Option<(&mut Option<i64>, &mut ByPath)> {
        let none = CapturedColumn::Elements { deleted_at: None, by_path: BTreeMap::new() };
        match self.0.entry(id).or_insert(none) {
            CapturedColumn::Elements { deleted_at, by_path } => Some((deleted_at, by_path)),
            CapturedColumn::Cell(_) => None, // a column is one or the other
        }
    }

    /// What happens at each time and with each time to live.
    fn by_age(&self) -> Ages {
        let mut ages = Ages::new();
        for (id, column) in &self.0 {
            match column {
                CapturedColumn::Cell(cell) => {
                    let change = ColumnChange::Cell(cell.value.as_deref().map(<[u8]>::to_vec));
                    ages.entry(age(cell)).or_default().insert(*id, change);
                }
                CapturedColumn::Elements { deleted_at, by_path } => {
                    if let Some(at) = deleted_at {
                        // A tombstone has no time to live.
                        let change = elements_at(&mut ages, (*at, 0), *id);
                        if let Some((is_deleted, _)) = change {
                            *is_deleted = true;
                        }
                    }
                    for (path, element) in by_path {
                        let change = elements_at(&mut ages, age(&element.cell), *id);
                        if let Some((_, elements)) = change {
                            elements.push((path.clone(), element.clone()));
                        }
                    }
                }
            }
        }
        ages
    }
}

/// What happens to a column's elements at one time.
fn elements_at(ages: &mut Ages, age: Age, id: u16) -> Option<(&mut bool, &mut WithPaths)> {
    let none = ColumnChange::Elements { is_deleted: false, elements: Vec::new() };
    match ages.entry(age).or_default().entry(id).or_insert(none) {
        ColumnChange::Elements { is_deleted, elements } => Some((is_deleted, elements)),
        ColumnChange::Cell(_) => None,
    }
}

fn age(cell: &Cell) -> Age {
    (cell.stamp.at, cell.stamp.expires.map_or(0, |(_, ttl_s)| ttl_s))
}

impl CapturedRow {
    fn new(clustering: Vec<Vec<u8>>) -> Self {
        Self { clustering, marker: None, deleted_at: None, columns: Columns::default() }
    }

    pub(crate) fn columns(&mut self) -> &mut Columns {
        &mut self.columns
    }

    /// The row is inserted: of two times the later counts.
    pub(crate) fn mark(&mut self, stamp: Stamp) {
        let rank = |stamp: &Stamp| (stamp.at, stamp.expires);
        if self.marker.is_none_or(|old| rank(&old) <= rank(&stamp)) {
            self.marker = Some(stamp);
        }
    }

    pub(crate) fn delete(&mut self, at: i64) {
        self.deleted_at = Some(self.deleted_at.map_or(at, |old| old.max(at)));
    }

    /// Parts of what happens to the columns.
    fn changes(&self, key: &[u8]) -> Vec<(i64, RowChange)> {
        let row = Place { key: key.to_vec(), clustering: self.clustering.clone() };
        let mut ages = self.columns.by_age();
        let marker = self.marker.map(|stamp| (stamp.at, stamp.expires.map_or(0, |(_, ttl)| ttl)));
        if let Some(age) = marker {
            ages.entry(age).or_default();
        }
        let mut changes = Vec::new();
        for ((at, ttl_s), columns) in ages {
            let change = |is_insert, columns| {
                (at, RowChange { row: Some(row.clone()), is_insert, ttl_s, columns })
            };
            if marker != Some((at, ttl_s)) {
                changes.push(change(false, columns));
                continue;
            }
            // No INSERT adds elements without taking away what was there before.
            let is_of_insert = |column: &ColumnChange| {
                !matches!(column, ColumnChange::Elements { is_deleted: false, .. })
            };
            let (of_insert, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
                columns.into_iter().partition(|(_, column)| is_of_insert(column));
            changes.push(change(true, of_insert));
            if !others.is_empty() {
                changes.push(change(false, others));
            }
        }
        changes
    }
}

impl Captured {
    pub(crate) fn statics(&mut self) -> &mut Columns {
        &mut self.statics
    }

    pub(crate) fn row(&mut self, key: &[u8], clustering: &[Vec<u8>]) -> &mut CapturedRow {
        let new = || CapturedRow::new(clustering.to_vec());
        self.rows.entry(key.to_vec()).or_insert_with(new)
    }

    pub(crate) fn delete_range(&mut self, ends: Ends, at: i64) {
        self.ranges.push((ends, at));
    }

    pub(crate) fn delete(&mut self, at: i64) {
        self.deleted_at = Some(self.deleted_at.map_or(at, |old| old.max(at)));
    }

    /// Keys of all rows that are named.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.keys().map(Vec::as_slice)
    }

    /// What happens at each time, in the order in which the log tells of it.
    pub(crate) fn changes(&self) -> BTreeMap<i64, Vec<Change>> {
        let mut times: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
        let mut ages = BTreeSet::new();
        for ((at, ttl_s), columns) in self.statics.by_age() {
            ages.insert((at, ttl_s));
            let change = RowChange { row: None, is_insert: false, ttl_s, columns };
            times.entry(at).or_default().push(Change::Row(change));
        }
        let mut was_marked = false;
        let mut has_elements_of_insert = false;
        for (key, row) in &self.rows {
            was_marked |= row.marker.is_some();
            for (at, change) in row.changes(key) {
                ages.insert((at, change.ttl_s));
                has_elements_of_insert |= was_marked && change.has_live_elements();
                times.entry(at).or_default().push(Change::Row(change));
            }
            if let Some(at) = row.deleted_at {
                ages.insert((at, 0));
                let place = Place { key: key.clone(), clustering: row.clustering.clone() };
                times.entry(at).or_default().push(Change::DeleteRow(place));
            }
        }
        for (ends, at) in &self.ranges {
            ages.insert((*at, 0));
            times.entry(*at).or_default().push(Change::DeleteRange(ends.clone()));
        }
        if let Some(at) = self.deleted_at {
            times.entry(at).or_default().push(Change::DeletePartition);
        }
        // What is all of one kind is told of row by row; else it is sorted by its kinds.
        let kinds: BTreeSet<_> = times.values().flatten().map(Change::kind).collect();
        if kinds.len() > 1 || ages.len() > 1 || has_elements_of_insert {
            times.values_mut().for_each(|changes| changes.sort_by_key(Change::rank));
        }
        times
    }
}

impl RowChange {
    fn has_live_elements(&self) -> bool {
        self.columns.values().any(|column| match column {
            ColumnChange::Elements { elements, .. } => {
                elements.iter().any(|(_, element)| element.cell.value.is_some())
            }
            ColumnChange::Cell(_) => false,
        })
    }
}

impl Change {
    fn kind(&self) -> u8 {
        match self {
            Self::Row(change) if change.row.is_none() => 0,
            Self::Row(_) => 1,
            Self::DeleteRow(_) => 2,
            Self::DeleteRange(_) => 3,
            Self::DeletePartition => 4,
        }
    }

    /// The kind, and inserts before updates.
    fn rank(&self) -> (u8, bool) {
        (self.kind(), matches!(self, Self::Row(change) if !change.is_insert))
    }
}
