//! Rows in memory: partitions by token, rows by clustering key, cells with timestamps.
//!
//! One copy for all replicas as long as they have seen the same; `store/copies.rs` has what single
//! ones have instead, `store/merge.rs` makes one of several. Volatile: nothing outlives the
//! process.

mod copies;
mod merge;
mod partitions;
mod rows;

use std::cell::Cell as Shared;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smallvec::SmallVec;

use self::copies::Copies;
pub(crate) use self::copies::{Delivery, Fate, Seen, View};
use self::partitions::Partitions;
use self::rows::Rows;
use crate::routing::{NodeIndex, Partitioner, write_composite};

/// A list of so many columns grows by one, a longer one by as much as it has.
const FEW_COLUMNS: usize = 8;

/// Timestamp (microseconds) below all that a client can write.
const NEVER: i64 = i64::MIN;

/// A key or a value. Most are as short as a UUID, and one that is has no memory of its own: where
/// rows are many, each block of it is a cache miss.
pub(crate) type Bytes = SmallVec<[u8; 16]>;

/// A partition's place in the ring.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct PartitionKey {
    pub(crate) token: i64,
    /// What the token is the hash of.
    pub(crate) bytes: Bytes,
}

impl PartitionKey {
    /// From the key columns' values, in order.
    pub(crate) fn new(values: &[Vec<u8>]) -> Self {
        Self::with(Partitioner::Murmur3, values)
    }

    /// Before all others.
    pub(crate) fn first() -> Self {
        Self { token: i64::MIN, bytes: Bytes::new() }
    }

    /// The same, in a table whose tokens are made otherwise.
    pub(crate) fn with(partitioner: Partitioner, values: &[Vec<u8>]) -> Self {
        let bytes = match values {
            [single] => Bytes::from_slice(single),
            parts => {
                let mut bytes = Vec::new();
                parts.iter().for_each(|part| write_composite(part, &mut bytes));
                Bytes::from_slice(&bytes)
            }
        };
        Self { token: partitioner.token_of(&bytes), bytes }
    }
}

/// When a written value was written and how long it lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    /// Microseconds.
    pub(crate) at: i64,
    /// Seconds since 1970, and the TTL that was asked for.
    pub(crate) expires: Option<(i64, i32)>,
}

impl Stamp {
    fn is_live(&self, now_s: i64, deleted_at: i64) -> bool {
        self.at > deleted_at && self.expires.is_none_or(|(expires_s, _)| expires_s > now_s)
    }
}

/// One value, or the mark of a deleted one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cell {
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<Bytes>,
}

impl Cell {
    pub(crate) fn new(stamp: Stamp, value: Option<Vec<u8>>) -> Self {
        Self { stamp, value: value.map(Bytes::from_vec) }
    }

    /// Which of two writes of one cell wins: the later; a deletion; one that expires, the one that
    /// expires later; the larger value.
    pub(crate) fn wins_over(&self, other: &Self) -> bool {
        let rank = |cell: &Self| {
            let end = cell.stamp.expires.map(|(expires_s, _)| expires_s);
            (cell.stamp.at, cell.value.is_none(), end)
        };
        // The time to live comes last: without it, which one wins would depend on the order.
        let ttl = |cell: &Self| cell.stamp.expires.map(|(_, ttl_s)| ttl_s);
        (rank(self), &self.value, ttl(self)) >= (rank(other), &other.value, ttl(other))
    }
}

/// One element of a collection, or one field of a user-defined type, that is not frozen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Element {
    /// A map's key, a set's element; nothing in lists and user-defined types.
    pub(crate) key: Vec<u8>,
    pub(crate) cell: Cell,
}

/// A value that is made of elements, each with a time of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Elements {
    /// When all that was there before was replaced or deleted.
    deleted_at: i64,
    by_path: BTreeMap<Vec<u8>, Element>,
}

/// What one replica has counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shard {
    pub(crate) node: NodeIndex,
    /// Grows with each change; of two states the one with the greater clock is the later.
    pub(crate) clock: i64,
    pub(crate) count: i64,
}

impl Shard {
    /// After one more change, or the first, at a time in microseconds.
    pub(crate) fn next(node: NodeIndex, old: Option<Self>, by: i64, at: i64) -> Self {
        let (clock, count) = old.map_or((at, 0), |old| (at.max(old.clock + 1), old.count));
        Self { node, clock, count: count.wrapping_add(by) }
    }
}

/// A counter: the sum of what replicas have counted, each for itself, so that none is lost or
/// counted twice when copies are made one.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Counter {
    /// By node, ascending.
    shards: Vec<Shard>,
    sum: Cell,
}

impl Counter {
    fn new(shard: Shard, stamp: Stamp) -> Self {
        let value = Some(Bytes::from_slice(&shard.count.to_be_bytes()));
        Self { shards: vec![shard], sum: Cell { stamp, value } }
    }

    fn take(&mut self, shard: Shard, stamp: Stamp) {
        match self.shards.binary_search_by_key(&shard.node, |shard| shard.node) {
            Ok(at) => match self.shards.get_mut(at) {
                Some(old) if old.clock < shard.clock => *old = shard,
                _ => {}
            },
            Err(at) => self.shards.insert(at, shard),
        }
        self.sum.stamp.at = self.sum.stamp.at.max(stamp.at);
        self.add_up();
    }

    fn add_up(&mut self) {
        let counts = self.shards.iter().map(|shard| shard.count);
        let sum = counts.fold(0_i64, i64::wrapping_add).to_be_bytes();
        match &mut self.sum.value {
            Some(value) if value.len() == sum.len() => value.copy_from_slice(&sum),
            value => *value = Some(Bytes::from_slice(&sum)),
        }
    }
}

/// What a row has for a column.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Stored {
    /// A value that is replaced as a whole.
    Whole(Cell),
    Elements(Elements),
    Counter(Counter),
}

/// One row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// Values of the clustering columns.
    pub(crate) clustering: Vec<Vec<u8>>,
    /// Written by INSERT: the row exists even without a cell.
    marker: Option<Stamp>,
    deleted_at: i64,
    /// By column id, ascending.
    columns: Vec<(u16, Stored)>,
}

impl Row {
    pub(crate) fn new(clustering: Vec<Vec<u8>>) -> Self {
        Self { clustering, marker: None, deleted_at: NEVER, columns: Vec::new() }
    }

    /// Notes that the row was inserted. Of two of one time the one that expires wins, or expires
    /// later.
    pub(crate) fn mark(&mut self, stamp: Stamp) {
        let rank = |stamp: &Stamp| (stamp.at, stamp.expires);
        if self.marker.is_none_or(|old| rank(&old) <= rank(&stamp)) {
            self.marker = Some(stamp);
        }
    }

    /// Puts a column in its place. Rows with few columns take room for those alone.
    fn add(&mut self, at: usize, column: u16, stored: Stored) {
        if self.columns.len() < FEW_COLUMNS {
            self.columns.reserve_exact(1);
        }
        self.columns.insert(at, (column, stored));
    }

    /// Writes a cell, unless a newer one is there.
    pub(crate) fn write(&mut self, column: u16, cell: Cell) {
        match self.columns.binary_search_by_key(&column, |(id, _)| *id) {
            Ok(at) => match self.columns.get_mut(at) {
                Some((_, Stored::Whole(old))) if !cell.wins_over(old) => {}
                Some((_, Stored::Counter(old))) if cell.stamp.at < old.sum.stamp.at => {}
                Some((_, stored)) => *stored = Stored::Whole(cell),
                None => {}
            },
            Err(at) => self.add(at, column, Stored::Whole(cell)),
        }
    }

    /// [`Self::write`] of a value: into the place of an older one, if that has room and does not
    /// have much too much.
    #[inline]
    pub(crate) fn put(&mut self, column: u16, stamp: Stamp, value: &[u8]) {
        if let Ok(at) = self.columns.binary_search_by_key(&column, |(id, _)| *id)
            && let Some((_, Stored::Whole(old))) = self.columns.get_mut(at)
            && old.stamp.at < stamp.at
            && let Some(bytes) = &mut old.value
            && (!bytes.spilled() || (value.len()..=2 * value.len()).contains(&bytes.capacity()))
        {
            bytes.clear();
            bytes.extend_from_slice(value);
            old.stamp = stamp;
            return;
        }
        self.write(column, Cell { stamp, value: Some(Bytes::from_slice(value)) });
    }

    /// Makes room for so many columns of a row that has none yet.
    pub(crate) fn reserve(&mut self, count: usize) {
        if self.columns.is_empty() {
            self.columns.reserve_exact(count);
        }
    }

    /// Writes one element, unless a newer one is there.
    pub(crate) fn write_element(&mut self, column: u16, path: Vec<u8>, element: Element) {
        let Some(elements) = self.elements_mut(column) else { return };
        match elements.by_path.entry(path) {
            Entry::Vacant(place) => {
                place.insert(element);
            }
            Entry::Occupied(mut place) => {
                if element.cell.wins_over(&place.get().cell) {
                    place.insert(element);
                }
            }
        }
    }

    /// Counts, unless the counter was deleted later.
    pub(crate) fn count(&mut self, column: u16, shard: Shard, stamp: Stamp) {
        match self.columns.binary_search_by_key(&column, |(id, _)| *id) {
            Ok(at) => match self.columns.get_mut(at) {
                Some((_, Stored::Counter(counter))) => counter.take(shard, stamp),
                Some((_, Stored::Whole(deleted))) if deleted.stamp.at >= stamp.at => {}
                Some((_, stored)) => *stored = Stored::Counter(Counter::new(shard, stamp)),
                None => {}
            },
            Err(at) => {
                self.add(at, column, Stored::Counter(Counter::new(shard, stamp)));
            }
        }
    }

    /// Counts from 0, where all that was counted before is deleted.
    pub(crate) fn count_anew(&mut self, column: u16, shard: Shard, stamp: Stamp) {
        if let Ok(at) = self.columns.binary_search_by_key(&column, |(id, _)| *id) {
            self.columns.remove(at);
        }
        self.count(column, shard, stamp);
    }

    /// Takes over what another row has in a column, with its times.
    pub(crate) fn copy_column(&mut self, column: u16, from: RowView<'_>) {
        let Some(stored) = from.stored(column) else { return };
        match self.columns.binary_search_by_key(&column, |(id, _)| *id) {
            Ok(at) => {
                if let Some((_, old)) = self.columns.get_mut(at) {
                    *old = stored.clone();
                }
            }
            Err(at) => self.add(at, column, stored.clone()),
        }
    }

    /// Deletes all elements that were written at this time or before.
    pub(crate) fn delete_elements(&mut self, column: u16, at: i64) {
        let Some(elements) = self.elements_mut(column) else { return };
        elements.deleted_at = elements.deleted_at.max(at);
        elements.by_path.retain(|_, element| element.cell.stamp.at > at);
    }

    /// The elements of a column, made if there are none.
    fn elements_mut(&mut self, column: u16) -> Option<&mut Elements> {
        let new = || Stored::Elements(Elements { deleted_at: NEVER, by_path: BTreeMap::new() });
        let at = match self.columns.binary_search_by_key(&column, |(id, _)| *id) {
            Ok(at) => at,
            Err(at) => {
                self.add(at, column, new());
                at
            }
        };
        let (_, stored) = self.columns.get_mut(at)?;
        if !matches!(stored, Stored::Elements(_)) {
            *stored = new();
        }
        match stored {
            Stored::Elements(elements) => Some(elements),
            Stored::Whole(_) | Stored::Counter(_) => None,
        }
    }

    pub(crate) fn delete(&mut self, at: i64) {
        self.deleted_at = self.deleted_at.max(at);
    }
}

/// A row as one reader sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowView<'a> {
    row: &'a Row,
    deleted_at: i64,
    now_s: i64,
}

impl<'a> RowView<'a> {
    pub(crate) fn clustering(&self) -> &'a [Vec<u8>] {
        &self.row.clustering
    }

    /// The live cell of a column whose value is one.
    pub(crate) fn cell(&self, column: u16) -> Option<&'a Cell> {
        match self.stored(column)? {
            Stored::Whole(cell) | Stored::Counter(Counter { sum: cell, .. }) => {
                self.is_live(cell, NEVER).then_some(cell)
            }
            Stored::Elements(_) => None,
        }
    }

    /// What a node has counted, of a counter that is live.
    pub(crate) fn shard(&self, column: u16, node: NodeIndex) -> Option<Shard> {
        let Stored::Counter(counter) = self.stored(column)? else { return None };
        counter.shards.iter().find(|shard| shard.node == node).copied()
    }

    /// The live elements of a column, in order, each with its path.
    pub(crate) fn elements(
        &self,
        column: u16,
    ) -> impl Iterator<Item = (&'a [u8], &'a Element)> + use<'a> {
        let elements = match self.stored(column) {
            Some(Stored::Elements(elements)) => Some(elements),
            _ => None,
        };
        let view = *self;
        elements.into_iter().flat_map(move |elements| {
            let live = move |element: &Element| view.is_live(&element.cell, elements.deleted_at);
            let paths = elements.by_path.iter().filter(move |(_, element)| live(element));
            paths.map(|(path, element)| (path.as_slice(), element))
        })
    }

    fn stored(&self, column: u16) -> Option<&'a Stored> {
        let at = self.row.columns.binary_search_by_key(&column, |(id, _)| *id).ok()?;
        self.row.columns.get(at).map(|(_, stored)| stored)
    }

    fn is_live(&self, cell: &Cell, deleted_at: i64) -> bool {
        cell.value.is_some() && cell.stamp.is_live(self.now_s, self.deleted_at.max(deleted_at))
    }

    /// Deleted and expired cells; of a row without any that is gone itself, the row.
    fn tombstone_count(&self) -> usize {
        let is_dead = |cell: &Cell, deleted_at: i64| {
            cell.stamp.at > self.deleted_at.max(deleted_at) && !self.is_live(cell, deleted_at)
        };
        let in_column = |stored: &Stored| match stored {
            Stored::Whole(cell) | Stored::Counter(Counter { sum: cell, .. }) => {
                usize::from(is_dead(cell, NEVER))
            }
            Stored::Elements(elements) => {
                let all = elements.by_path.values();
                all.filter(|element| is_dead(&element.cell, elements.deleted_at)).count()
            }
        };
        let cells: usize = self.row.columns.iter().map(|(_, stored)| in_column(stored)).sum();
        // What a newer deletion of a range covers is not there at all.
        let is_deleted = self.row.deleted_at > NEVER && self.row.deleted_at == self.deleted_at;
        let is_expired = self.row.marker.is_some_and(|marker| marker.at > self.deleted_at);
        let is_gone = cells == 0 && (is_deleted || is_expired) && !self.exists();
        cells + usize::from(is_gone)
    }

    fn exists(&self) -> bool {
        self.row.marker.is_some_and(|marker| marker.is_live(self.now_s, self.deleted_at))
            || self.row.columns.iter().any(|(_, stored)| match stored {
                Stored::Whole(cell) | Stored::Counter(Counter { sum: cell, .. }) => {
                    self.is_live(cell, NEVER)
                }
                Stored::Elements(elements) => {
                    let mut all = elements.by_path.values();
                    all.any(|element| self.is_live(&element.cell, elements.deleted_at))
                }
            })
    }
}

/// Tombstones that a read meets.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// In the partition that is being read, or in all of a scan.
    here: Shared<usize>,
    most: Shared<usize>,
}

impl Tombstones {
    fn add(&self, count: usize) {
        self.here.set(self.here.get() + count);
        self.most.set(self.most.get().max(self.here.get()));
    }

    /// Another partition is read, by a request of its own.
    pub(crate) fn begin(&self) {
        self.here.set(0);
    }

    /// Most that one request has met.
    pub(crate) fn most(&self) -> usize {
        self.most.get()
    }
}

/// Rows whose key is at least `from` and less than `to`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Range {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

impl Range {
    /// All keys that begin with `prefix`.
    pub(crate) fn of_prefix(prefix: Vec<u8>) -> Self {
        let to = successor(&prefix);
        Self { from: prefix, to }
    }

    pub(crate) fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        key >= self.from.as_slice() && self.to.as_deref().is_none_or(|to| key < to)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |a: &Self, b: &Self| b.to.as_ref().is_none_or(|to| a.from < *to);
        begins_before_end(self, other) && begins_before_end(other, self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

/// The least key greater than all that begin with `prefix`; `None` if there is none.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let len = prefix.iter().rposition(|&byte| byte != 0xFF)? + 1;
    let mut next = prefix.get(..len)?.to_vec();
    if let Some(last) = next.last_mut() {
        *last += 1;
    }
    Some(next)
}

/// One partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Partition {
    /// Values of the partition key's columns.
    pub(crate) key: Vec<Vec<u8>>,
    deleted_at: i64,
    /// Deleted ranges and when; deleted for older writes that arrive later too.
    deleted_ranges: Vec<(Range, i64)>,
    /// Values of the static columns.
    statics: Option<Box<Row>>,
    rows: Rows,
}

impl Partition {
    pub(crate) fn new(key: Vec<Vec<u8>>) -> Self {
        Self {
            key,
            deleted_at: NEVER,
            deleted_ranges: Vec::new(),
            statics: None,
            rows: Rows::default(),
        }
    }

    /// The row with this key, made if it is not there.
    pub(crate) fn row(&mut self, key: Vec<u8>, clustering: Vec<Vec<u8>>) -> &mut Row {
        self.rows.get_or_insert(key, || Row::new(clustering))
    }

    /// The row with this key, made of the clustering columns' values if it is not there.
    #[inline]
    pub(crate) fn row_at(
        &mut self,
        key: &[u8],
        clustering: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> &mut Row {
        self.rows.get_or_insert(key, || Row::new(clustering()))
    }

    /// Whether ranges of it have been deleted.
    #[inline]
    pub(crate) fn has_deleted_ranges(&self) -> bool {
        !self.deleted_ranges.is_empty()
    }

    /// What holds the static columns.
    pub(crate) fn statics_mut(&mut self) -> &mut Row {
        self.statics.get_or_insert_with(|| Box::new(Row::new(Vec::new())))
    }

    /// The static columns, if one of them has a value.
    pub(crate) fn statics(&self, now_s: i64) -> Option<RowView<'_>> {
        let row = self.statics.as_deref()?;
        let deleted_at = self.deleted_at.max(row.deleted_at);
        let view = RowView { row, deleted_at, now_s };
        view.exists().then_some(view)
    }

    /// Deletes the whole partition.
    pub(crate) fn delete(&mut self, at: i64) {
        self.deleted_at = self.deleted_at.max(at);
        self.rows.retain(|_, row| row.outlives(at));
    }

    /// Deletes a range of rows.
    pub(crate) fn delete_range(&mut self, range: Range, at: i64) {
        self.rows.retain(|key, row| !range.contains(key) || row.outlives(at));
        match self.deleted_ranges.iter_mut().find(|(old, _)| *old == range) {
            Some((_, old_at)) => *old_at = at.max(*old_at),
            None => self.deleted_ranges.push((range, at)),
        }
    }

    /// The row as it is, whether it exists or not.
    fn view<'a>(&'a self, key: &[u8], row: &'a Row, now_s: i64) -> RowView<'a> {
        RowView { row, deleted_at: self.deleted_at_of(key).max(row.deleted_at), now_s }
    }

    /// When what is around a row was last deleted.
    fn deleted_at_of(&self, key: &[u8]) -> i64 {
        let ranges = self.deleted_ranges.iter().filter(|(range, _)| range.contains(key));
        ranges.map(|(_, at)| *at).fold(self.deleted_at, i64::max)
    }

    /// The row with this key, if it exists.
    pub(crate) fn find(&self, key: &[u8], now_s: i64) -> Option<RowView<'_>> {
        Some(self.view(key, self.rows.get(key)?, now_s)).filter(RowView::exists)
    }

    /// Existing rows of a range, in clustering order.
    pub(crate) fn range<'a>(
        &'a self,
        range: &Range,
        now_s: i64,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], RowView<'a>)> + use<'a> {
        let views = self.stored(range).map(move |(key, row)| (key, self.view(key, row, now_s)));
        views.filter(|(_, view)| view.exists()).map(|(key, view)| (key.as_slice(), view))
    }

    /// The same, counting the tombstones on the way.
    pub(crate) fn scan<'a>(
        &'a self,
        range: &Range,
        now_s: i64,
        met: &'a Tombstones,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], RowView<'a>)> + use<'a> {
        // A deleted range has a beginning and an end.
        let ranges = self.deleted_ranges.iter();
        met.add(2 * ranges.filter(|(deleted, _)| deleted.overlaps(range)).count());
        let views = self.stored(range).map(move |(key, row)| {
            let view = self.view(key, row, now_s);
            met.add(view.tombstone_count());
            (key, view)
        });
        views.filter(|(_, view)| view.exists()).map(|(key, view)| (key.as_slice(), view))
    }

    fn stored(&self, range: &Range) -> rows::Iter<'_> {
        self.rows.range(&range.from, range.to.as_deref())
    }
}

impl Row {
    /// Whether anything in the row was written after `at`.
    fn outlives(&self, at: i64) -> bool {
        self.marker.is_some_and(|marker| marker.at > at)
            || self.deleted_at > at
            || self.columns.iter().any(|(_, stored)| match stored {
                Stored::Whole(cell) | Stored::Counter(Counter { sum: cell, .. }) => {
                    cell.stamp.at > at
                }
                Stored::Elements(elements) => {
                    let mut all = elements.by_path.values();
                    elements.deleted_at > at || all.any(|element| element.cell.stamp.at > at)
                }
            })
    }
}

/// All rows of a table.
#[derive(Debug, Default)]
pub(crate) struct TableData {
    partitioner: Partitioner,
    /// As those replicas have them that have no copy of their own.
    partitions: Partitions,
    copies: Copies,
}

impl TableData {
    /// No rows, of a table whose tokens are made in this way.
    pub(crate) fn with(partitioner: Partitioner) -> Self {
        Self { partitioner, ..Self::default() }
    }

    /// The partition with this key, made if it is not there.
    pub(crate) fn partition(&mut self, values: Vec<Vec<u8>>) -> &mut Partition {
        let key = PartitionKey::with(self.partitioner, &values);
        self.partition_at(key.token, &key.bytes, || values)
    }

    /// The partition whose key has these bytes, of which this is the token; made of the values of
    /// the key's columns if it is not there.
    #[inline]
    pub(crate) fn partition_at(
        &mut self,
        token: i64,
        bytes: &[u8],
        values: impl FnOnce() -> Vec<Vec<u8>>,
    ) -> &mut Partition {
        self.partitions.get_or_insert(token, bytes, || Partition::new(values()))
    }

    /// The partition whose key has these bytes, of which this is the token.
    #[inline]
    pub(crate) fn find_at(&self, token: i64, bytes: &[u8]) -> Option<&Partition> {
        self.partitions.find(token, bytes)
    }

    pub(crate) fn find(&self, key: &PartitionKey) -> Option<&Partition> {
        self.partitions.get(key)
    }

    /// Partitions from `from` on, in token order.
    fn from(&self, from: &PartitionKey) -> impl Iterator<Item = (&PartitionKey, &Partition)> {
        self.partitions.from(from.token).skip_while(move |(key, _)| *key < from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(at: i64, value: Option<&str>) -> Cell {
        Cell::new(Stamp { at, expires: None }, value.map(|v| v.as_bytes().to_vec()))
    }

    fn value(partition: &Partition, key: &[u8]) -> Option<String> {
        let cell = partition.find(key, 100)?.cell(1)?.value.clone()?;
        Some(String::from_utf8(cell.to_vec()).unwrap())
    }

    #[test]
    fn the_later_write_wins_whatever_the_order() {
        let mut row = Row::new(Vec::new());
        row.write(1, cell(5, Some("b")));
        row.write(1, cell(4, Some("z")));
        let stored = |row: &Row| match &row.columns[0].1 {
            Stored::Whole(cell) => cell.clone(),
            other => unreachable!("only whole values were written, not {other:?}"),
        };
        assert_eq!(stored(&row), cell(5, Some("b")));
        row.write(1, cell(5, None));
        assert_eq!(stored(&row).value, None);
        row.write(1, cell(6, Some("a")));
        assert_eq!(stored(&row).value.as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn elements_have_times_of_their_own() {
        let element = |at, value| Element { key: Vec::new(), cell: cell(at, value) };
        let mut partition = Partition::new(vec![vec![1]]);
        let row = partition.row(vec![5], Vec::new());
        row.write_element(1, vec![1], element(10, Some("a")));
        row.write_element(1, vec![2], element(20, Some("b")));
        row.write_element(1, vec![1], element(9, Some("old")));
        row.delete_elements(1, 15);
        row.write_element(1, vec![3], element(15, Some("late")));
        let view = partition.find(&[5], 100).unwrap();
        let paths: Vec<_> = view.elements(1).map(|(path, _)| path.to_vec()).collect();
        assert_eq!(paths, [[2]]);
        partition.row(vec![5], Vec::new()).write_element(1, vec![2], element(20, None));
        assert!(partition.find(&[5], 100).is_none(), "no element lives");
    }

    #[test]
    fn deletions_shadow_older_writes_that_come_later() {
        let mut partition = Partition::new(vec![vec![1]]);
        partition.row(vec![5], Vec::new()).write(1, cell(10, Some("old")));
        partition.delete_range(Range::of_prefix(vec![5]), 20);
        assert_eq!(value(&partition, &[5]), None);
        partition.row(vec![5], Vec::new()).write(1, cell(15, Some("late")));
        assert_eq!(value(&partition, &[5]), None);
        partition.row(vec![5], Vec::new()).write(1, cell(25, Some("new")));
        assert_eq!(value(&partition, &[5]).as_deref(), Some("new"));
        partition.delete(30);
        assert_eq!(value(&partition, &[5]), None);
    }

    #[test]
    fn expired_cells_and_rows_are_gone() {
        let mut partition = Partition::new(vec![vec![1]]);
        let stamp = Stamp { at: 1, expires: Some((100, 10)) };
        let row = partition.row(vec![1], Vec::new());
        row.mark(stamp);
        row.write(1, Cell::new(stamp, Some(b"x".to_vec())));
        assert!(partition.find(&[1], 99).is_some());
        assert!(partition.find(&[1], 100).is_none());
    }

    #[test]
    fn tombstones_are_counted_as_they_are_met() {
        let mut partition = Partition::new(vec![vec![1]]);
        partition.row(vec![1], Vec::new()).write(1, cell(10, Some("lives")));
        partition.row(vec![2], Vec::new()).delete(10);
        let row = partition.row(vec![3], Vec::new());
        row.write(1, cell(10, None));
        row.write(2, cell(10, Some("lives")));
        let stamp = Stamp { at: 10, expires: Some((100, 10)) };
        partition.row(vec![4], Vec::new()).write(1, Cell::new(stamp, Some(vec![1])));
        partition.row(vec![5], Vec::new()).mark(stamp);
        let met = Tombstones::default();
        let all = Range::all();
        let count = |partition: &Partition, range: &Range| {
            met.begin();
            let rows = partition.scan(range, 100, &met).count();
            (rows, met.here.get())
        };
        assert_eq!(count(&partition, &all), (2, 4));
        assert_eq!(count(&partition, &Range::of_prefix(vec![3])), (1, 1));
        // A range that is deleted takes the place of what was deleted in it.
        partition.delete_range(Range { from: vec![2], to: Some(vec![6]) }, 20);
        assert_eq!(count(&partition, &all), (1, 2));
        assert_eq!(count(&partition, &Range::of_prefix(vec![1])), (1, 0));
        assert_eq!(met.most(), 4);
    }

    #[test]
    fn ranges_of_prefixes() {
        assert_eq!(successor(&[1, 0xFF]), Some(vec![2]));
        assert_eq!(successor(&[0xFF]), None);
        let range = Range::of_prefix(vec![1, 0xFF]);
        assert!(range.contains(&[1, 0xFF, 7]) && !range.contains(&[2]));
    }
}
