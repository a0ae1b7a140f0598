//! The short way of statements that are run most: one row is written or read, named by its whole
//! key, all of it bound by markers.
//!
//! What such a statement needs is found once, when it is planned. It is for the usual course of
//! things alone: whatever needs an error, a warning, a look at single replicas or anything else
//! that is not usual is left, before anything has changed, to the way that all statements go. So
//! nothing here says why.

use std::cell::RefCell;
use std::rc::Rc;

use super::modify::When;
use super::plan::Action;
use super::restrict::RowValues;
use crate::replicas::Consistency;
use crate::routing::{NodeIndex, write_composite};
use crate::schema::{Column, Table};
use crate::store::{Partition, Stamp};
use crate::value::order::write_ordered;
use crate::value::validate::validate;
use crate::wire::write::Writer;

/// A statement that can go the short way.
#[derive(Debug)]
pub(crate) struct Direct {
    table: Rc<Table>,
    /// Markers of the primary key's columns.
    key: Vec<usize>,
    work: Work,
    /// By the node that is asked.
    granted: RefCell<Vec<Granted>>,
}

/// Levels, one bit each, as long as all nodes are up.
#[derive(Clone, Copy, Debug, Default)]
struct Granted {
    /// Those that were asked for.
    known: u16,
    /// Of these, the ones that find enough replicas.
    granted: u16,
}

#[derive(Debug)]
enum Work {
    Write {
        /// Whether the row exists by itself then.
        marks: bool,
        /// Positions of columns, and their markers.
        cells: Vec<(usize, usize)>,
        /// Seconds; 0 is for ever.
        ttl_s: i32,
    },
    /// Positions of columns.
    Read(Vec<usize>),
}

/// Buffers that are used again: of a partition's key, and of a row's.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    partition: Vec<u8>,
    row: Vec<u8>,
}

impl Direct {
    /// What `action` needs, if it can go this way.
    pub(super) fn of(action: &Action) -> Option<Self> {
        let (table, restrictions, work) = match action {
            Action::Modify(modify) => {
                let (marks, cells) = modify.puts()?;
                let ttl_s = modify.table.default_ttl_s();
                let work = Work::Write { marks, cells, ttl_s };
                (&modify.table, &modify.restrictions, work)
            }
            Action::Select(select) => {
                let positions = select.plain_columns()?;
                let is_static = |position: &usize| select.table.is_static(*position);
                // Each element of a collection may be a tombstone, and too many are told of.
                let is_multi = |column: &Column| column.typ.is_multi_cell();
                if positions.iter().any(is_static) || select.table.columns.iter().any(is_multi) {
                    return None;
                }
                (&select.table, &select.restrictions, Work::Read(positions))
            }
            _ => return None,
        };
        if table.view.is_some() || table.is_captured() || table.has_rate_limits() {
            return None;
        }
        Some(Self {
            table: Rc::clone(table),
            key: restrictions.row_markers(table)?,
            work,
            granted: RefCell::default(),
        })
    }

    pub(crate) fn is_write(&self) -> bool {
        matches!(self.work, Work::Write { .. })
    }

    /// Whether a level finds enough replicas for clients of `node`; `find` tells, once.
    #[inline]
    pub(crate) fn is_granted(
        &self,
        level: Consistency,
        node: NodeIndex,
        find: impl FnOnce(Consistency) -> bool,
    ) -> bool {
        let bit = 1 << level.code();
        let of_node = self.granted.borrow().get(node).copied().unwrap_or_default();
        if of_node.known & bit == 0 {
            return self.note(bit, node, find(level));
        }
        of_node.granted & bit != 0
    }

    #[cold]
    fn note(&self, bit: u16, node: NodeIndex, is_granted: bool) -> bool {
        let mut all = self.granted.borrow_mut();
        if all.len() <= node {
            all.resize(node + 1, Granted::default());
        }
        if let Some(of_node) = all.get_mut(node) {
            of_node.known |= bit;
            of_node.granted |= if is_granted { bit } else { 0 };
        }
        is_granted
    }

    /// Puts the keys of the row that `values` name into `scratch`, and gives the token; nothing if
    /// one of them is not right.
    #[inline]
    pub(crate) fn locate(&self, values: &[&[u8]], scratch: &mut Scratch) -> Option<i64> {
        let Scratch { partition, row } = scratch;
        partition.clear();
        row.clear();
        let (of_partition, of_row) = self.key.split_at_checked(self.table.partition_key_len)?;
        for (column, marker) in self.table.partition_key().iter().zip(of_partition) {
            let value = checked(column, values, *marker)?;
            match of_partition {
                [_] => partition.extend_from_slice(value),
                _ => write_composite(value, partition),
            }
        }
        let columns = self.table.clustering().iter().zip(&self.table.clustering_desc);
        for ((column, desc), marker) in columns.zip(of_row) {
            write_ordered(&column.typ, checked(column, values, *marker)?, *desc, row);
        }
        (!partition.is_empty()).then(|| self.table.partitioner.token_of(partition))
    }

    /// Writes the row that `scratch` names; `None`, and nothing has changed, if it can't.
    #[inline]
    pub(crate) fn write(
        &self,
        values: &[&[u8]],
        scratch: &Scratch,
        token: i64,
        when: When,
    ) -> Option<()> {
        let Work::Write { marks, cells, ttl_s } = &self.work else { return None };
        let mut data = self.table.data.borrow_mut();
        if data.has_copies() {
            return None;
        }
        let column = |position: usize| self.table.columns.get(position);
        for (position, marker) in cells {
            checked(column(*position)?, values, *marker)?;
        }
        let value = |marker: &usize| values.get(*marker).copied().unwrap_or_default();
        let (of_partition, of_row) = self.key.split_at_checked(self.table.partition_key_len)?;
        let owned = |markers: &[usize]| markers.iter().map(|m| value(m).to_vec()).collect();
        let expires = (*ttl_s > 0).then(|| (when.now_s + i64::from(*ttl_s), *ttl_s));
        let stamp = Stamp { at: when.timestamp_us, expires };
        let partition = data.partition_at(token, &scratch.partition, || owned(of_partition));
        let row = partition.row_at(&scratch.row, || owned(of_row));
        row.reserve(cells.len());
        if *marks {
            row.mark(stamp);
        }
        for (position, marker) in cells {
            if let Some(column) = column(*position) {
                row.put(column.id, stamp, value(marker));
            }
        }
        Some(())
    }

    /// Appends the number of rows, 0 or 1, and the cells of the row that `scratch` names; `None` if
    /// it can't.
    #[inline]
    pub(crate) fn read(
        &self,
        scratch: &Scratch,
        token: i64,
        now_s: i64,
        tombstones_max: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let Work::Read(positions) = &self.work else { return None };
        let data = self.table.data.borrow();
        // Each column of the row may be a tombstone.
        if data.has_copies() || self.table.columns.len() >= tombstones_max {
            return None;
        }
        let partition = data.find_at(token, &scratch.partition);
        if partition.is_some_and(Partition::has_deleted_ranges) {
            return None;
        }
        let row = partition.and_then(|partition| partition.find(&scratch.row, now_s));
        let mut out = Writer::new(out);
        out.int(row.is_some().into());
        let (Some(partition), Some(row)) = (partition, row) else { return Some(()) };
        let row = RowValues { partition: &partition.key, row: Some(row), statics: None };
        for position in positions {
            let column = self.table.columns.get(*position);
            out.bytes(column.and_then(|column| row.value(column)).as_deref());
        }
        Some(())
    }
}

/// The value of a marker, if it is one of the column's type.
#[inline]
fn checked<'a>(column: &Column, values: &[&'a [u8]], marker: usize) -> Option<&'a [u8]> {
    let value = *values.get(marker)?;
    validate(&column.typ, value).is_ok().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Database;
    use crate::persona::Persona;

    /// Which statements go the short way: if none did, nothing else would fail.
    #[test]
    fn only_what_is_bound_whole_goes_the_short_way() {
        let database = Database::with(Persona::Scylla);
        for text in [
            "CREATE TABLE ks.one (k int PRIMARY KEY, v int, m map<int, int>)",
            "CREATE TABLE ks.st (k int, c int, s int static, v int, PRIMARY KEY (k, c))",
            "CREATE TABLE ks.counts (k int PRIMARY KEY, n counter)",
            "CREATE TABLE ks.slow (k int PRIMARY KEY, v int) \
             WITH per_partition_rate_limit = {'max_reads_per_second': 1}",
            "CREATE TABLE ks.log (k int PRIMARY KEY, v int) WITH cdc = {'enabled': true}",
        ] {
            database.run(text);
        }
        for (text, is_short) in [
            ("INSERT INTO t (p, a, b, v) VALUES (?, ?, ?, ?)", true),
            ("INSERT INTO t (v, b, a, p) VALUES (:v, :b, :a, :p)", true),
            ("INSERT INTO t (p, a, b) VALUES (?, ?, ?)", true),
            ("UPDATE t SET v = ? WHERE p = ? AND a = ? AND b = ?", true),
            ("SELECT * FROM t WHERE p = ? AND a = ? AND b = ?", true),
            ("SELECT v AS w, v FROM t WHERE b = ? AND p = ? AND a = ? ALLOW FILTERING", true),
            ("INSERT INTO one (k, v) VALUES (?, ?)", true),
            ("INSERT INTO t (p, a, b, v) VALUES (?, ?, ?, 1)", false),
            ("INSERT INTO t (p, a, b, v) VALUES (1, ?, ?, ?)", false),
            ("INSERT INTO t (p, a, b, v) VALUES (?, ?, ?, ?) IF NOT EXISTS", false),
            ("INSERT INTO t (p, a, b, v) VALUES (?, ?, ?, ?) USING TTL 5", false),
            ("INSERT INTO t (p, a, b, v) VALUES (?, ?, ?, ?) USING TIMESTAMP ?", false),
            ("INSERT INTO t JSON ?", false),
            ("UPDATE t SET v = ? WHERE p = ? AND a = ? AND b IN (?, ?)", false),
            ("UPDATE one SET m[?] = ? WHERE k = ?", false),
            ("UPDATE one SET m = ? WHERE k = ?", false),
            ("UPDATE st SET s = ? WHERE k = ?", false),
            ("INSERT INTO st (k, c, s, v) VALUES (?, ?, ?, ?)", false),
            ("UPDATE counts SET n = n + ? WHERE k = ?", false),
            ("DELETE FROM t WHERE p = ? AND a = ? AND b = ?", false),
            ("SELECT * FROM t WHERE p = ? AND a = ?", false),
            ("SELECT * FROM t WHERE p = ? AND a = ? AND b >= ?", false),
            ("SELECT * FROM t WHERE p = ? AND a = ? AND b = ? AND v = ? ALLOW FILTERING", false),
            ("SELECT * FROM t WHERE p IN (?) AND a = ? AND b = ?", false),
            ("SELECT * FROM t WHERE p = ? AND a = ? AND b = ? LIMIT ?", false),
            ("SELECT writetime(v) FROM t WHERE p = ? AND a = ? AND b = ?", false),
            ("SELECT count(*) FROM t WHERE p = ? AND a = ? AND b = ?", false),
            ("SELECT JSON * FROM t WHERE p = ? AND a = ? AND b = ?", false),
            ("SELECT DISTINCT k FROM one WHERE k = ?", false),
            ("SELECT s, v FROM st WHERE k = ? AND c = ?", false),
            ("SELECT v FROM one WHERE k = ?", false),
            ("SELECT v FROM slow WHERE k = ?", false),
            ("INSERT INTO log (k, v) VALUES (?, ?)", false),
            ("SELECT * FROM system.local WHERE key = ?", false),
        ] {
            let plan = database.0.plan(text, Some("ks")).unwrap();
            assert_eq!(plan.direct.is_some(), is_short, "{text}");
        }
    }
}
