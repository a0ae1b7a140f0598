//! INSERT, UPDATE and DELETE: first all values are checked, then rows change.

use std::rc::Rc;

use super::bind::Markers;
use super::restrict::{Restrictions, RowValues, compare};
use super::result::{Outcome, ResultColumn, ResultColumns, Rows};
use crate::cql::ast::{Assignment, Condition, Delete, Insert, Term, Update, Using};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::schema::{Column, Kind, Table};
use crate::store::{Cell, PartitionKey, Range, RowView, Stamp};
use crate::value::literal::{Bound, collection, evaluate, map};
use crate::value::order::ordered;
use crate::value::types::{CqlType, Native};
use crate::value::validate::elements;
use crate::wire::read::Value;
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// Longest TTL: 20 years, in seconds.
const TTL_MAX_S: i32 = 630_720_000;

#[derive(Clone, Debug)]
enum Action {
    Set(Term),
    Add(Term),
    Subtract(Term),
    Element(Term, Term),
}

#[derive(Clone, Debug)]
enum Effect {
    /// Writes cells; `marks` makes the row exist by itself, as INSERT does.
    Write {
        actions: Vec<(usize, Action)>,
        marks: bool,
    },
    DeleteCells(Vec<u16>),
    DeleteRows,
}

#[derive(Clone, Debug)]
enum Test {
    Always,
    NotExists,
    Exists,
    Columns(Vec<(usize, crate::cql::ast::Operator, Term)>),
}

/// A modification, ready to run.
#[derive(Debug)]
pub(crate) struct ModifyPlan {
    pub(crate) table: Rc<Table>,
    pub(crate) restrictions: Restrictions,
    effect: Effect,
    using: Using,
    test: Test,
    /// Columns of the answer to a conditional statement.
    pub(crate) columns: Option<Rc<ResultColumns>>,
}

/// When a request was made: its own timestamp if it brought one, and the node's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) timestamp_us: i64,
    pub(crate) now_s: i64,
}

#[derive(Debug)]
enum Target {
    Partition,
    Range(Range),
    Row { key: Vec<u8>, clustering: Vec<Vec<u8>> },
}

#[derive(Debug)]
enum CellChange {
    Put(Option<Vec<u8>>),
    Count(i64),
    /// Adds to or takes from a collection.
    Merge {
        typ: CqlType,
        bytes: Vec<u8>,
        adds: bool,
    },
}

#[derive(Debug)]
enum RowChange {
    Delete,
    Write { marks: bool, cells: Vec<(u16, CellChange)> },
}

/// One change to one partition, all values known.
#[derive(Debug)]
pub(crate) struct Mutation {
    table: Rc<Table>,
    partition: Vec<Vec<u8>>,
    targets: Vec<Target>,
    change: RowChange,
    stamp: Stamp,
    now_s: i64,
}

impl ModifyPlan {
    pub(crate) fn insert(
        table: &Rc<Table>,
        insert: &Insert,
        markers: &mut Markers,
    ) -> Result<Self> {
        if table.is_counter() {
            return Err(CqlError::invalid("INSERT statements are not allowed on counter tables"));
        }
        let mut actions = Vec::new();
        for (name, term) in &insert.values {
            let (position, column) = table.column(name)?;
            markers.note(term, name, &column.typ);
            if column.kind == Kind::Regular {
                actions.push((position, Action::Set(term.clone())));
            }
        }
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions: Restrictions::of_key(table, &insert.values)?,
            effect: Effect::Write { actions, marks: true },
            using: insert.using.clone(),
            test: if insert.if_not_exists { Test::NotExists } else { Test::Always },
            columns: None,
        };
        plan.finish(markers)?;
        Ok(plan)
    }

    pub(crate) fn update(
        table: &Rc<Table>,
        update: &Update,
        markers: &mut Markers,
    ) -> Result<Self> {
        note_using(&update.using, markers);
        let mut actions = Vec::new();
        for assignment in &update.assignments {
            actions.push(plan_assignment(table, assignment, markers)?);
        }
        let restrictions = Restrictions::plan(table, &update.relations, markers)?;
        if !restrictions.has_whole_rows(table) {
            return Err(CqlError::invalid("Some clustering keys are missing"));
        }
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions,
            effect: Effect::Write { actions, marks: false },
            using: update.using.clone(),
            test: plan_test(table, &update.condition, markers)?,
            columns: None,
        };
        plan.finish(markers)?;
        Ok(plan)
    }

    pub(crate) fn delete(
        table: &Rc<Table>,
        delete: &Delete,
        markers: &mut Markers,
    ) -> Result<Self> {
        note_using(&delete.using, markers);
        let restrictions = Restrictions::plan(table, &delete.relations, markers)?;
        let mut ids = Vec::new();
        for name in &delete.columns {
            let (_, column) = table.column(name)?;
            if column.kind != Kind::Regular {
                return Err(CqlError::invalid(format!("Invalid identifier {name} for deletion")));
            }
            ids.push(column.id);
        }
        if !ids.is_empty() && !restrictions.has_whole_rows(table) {
            return Err(CqlError::invalid("Some clustering keys are missing"));
        }
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions,
            effect: if ids.is_empty() { Effect::DeleteRows } else { Effect::DeleteCells(ids) },
            using: delete.using.clone(),
            test: plan_test(table, &delete.condition, markers)?,
            columns: None,
        };
        plan.finish(markers)?;
        Ok(plan)
    }

    fn finish(&mut self, markers: &mut Markers) -> Result<()> {
        note_using(&self.using, markers);
        if !self.restrictions.has_partitions() {
            return Err(CqlError::invalid("Some partition key parts are missing"));
        }
        if self.restrictions.is_filtering() {
            return Err(CqlError::invalid("Non PRIMARY KEY columns found in where clause"));
        }
        if matches!(self.test, Test::Always) {
            return Ok(());
        }
        let is_row =
            self.restrictions.has_one_partition() && self.restrictions.has_whole_rows(&self.table);
        if !is_row || self.using.timestamp.is_some() {
            return Err(CqlError::invalid(
                "Conditional statements need one whole primary key and no timestamp",
            ));
        }
        // ScyllaDB's answer always has the same columns.
        self.columns = Some(Rc::new(self.result_columns(self.shown_columns().into_iter())));
        Ok(())
    }

    /// `[applied]` and these columns.
    fn result_columns<'a>(&self, shown: impl Iterator<Item = &'a Column>) -> ResultColumns {
        let applied = ResultColumn { name: "[applied]".to_owned(), typ: CqlType::BOOLEAN };
        let shown =
            shown.map(|column| ResultColumn { name: column.name.clone(), typ: column.typ.clone() });
        ResultColumns {
            keyspace: self.table.keyspace.clone(),
            table: self.table.name.clone(),
            columns: std::iter::once(applied).chain(shown).collect(),
        }
    }

    /// All columns of the table, or those of the conditions.
    fn shown_columns(&self) -> Vec<&Column> {
        match &self.test {
            Test::Columns(tests) => tests
                .iter()
                .filter_map(|(position, ..)| self.table.columns.get(*position))
                .collect(),
            _ => self.table.columns.iter().collect(),
        }
    }

    pub(crate) fn is_conditional(&self) -> bool {
        !matches!(self.test, Test::Always)
    }

    /// Checks all values and says what will change.
    pub(crate) fn mutations(&self, values: &[Value<'_>], when: When) -> Result<Vec<Mutation>> {
        let timestamp = match &self.using.timestamp {
            Some(term) => number(term, &CqlType::BIGINT, values)?.unwrap_or(when.timestamp_us),
            None => when.timestamp_us,
        };
        let stamp = Stamp { at: timestamp, expires: self.expiry(values, when)? };
        let mut mutations = Vec::new();
        for (_, partition) in self.restrictions.partitions(&self.table, values)? {
            mutations.push(Mutation {
                table: Rc::clone(&self.table),
                partition,
                targets: self.targets(values)?,
                change: self.change(values)?,
                stamp,
                now_s: when.now_s,
            });
        }
        Ok(mutations)
    }

    fn expiry(&self, values: &[Value<'_>], when: When) -> Result<Option<(i64, i32)>> {
        let ttl_s = match &self.using.ttl {
            Some(term) => number(term, &CqlType::INT, values)?,
            None => None,
        };
        let default = i64::from(self.table.default_ttl_s());
        let ttl_s = i32::try_from(ttl_s.unwrap_or(default)).unwrap_or(i32::MAX);
        if !(0..=TTL_MAX_S).contains(&ttl_s) {
            return Err(CqlError::invalid(format!("ttl {ttl_s} is not between 0 and {TTL_MAX_S}")));
        }
        Ok((ttl_s > 0).then(|| (when.now_s + i64::from(ttl_s), ttl_s)))
    }

    fn targets(&self, values: &[Value<'_>]) -> Result<Vec<Target>> {
        let is_delete = matches!(self.effect, Effect::DeleteRows);
        if is_delete && !self.restrictions.has_clustering() {
            return Ok(vec![Target::Partition]);
        }
        if is_delete && !self.restrictions.has_whole_rows(&self.table) {
            let ranges = self.restrictions.ranges(&self.table, values)?;
            return Ok(ranges.into_iter().map(Target::Range).collect());
        }
        let rows = self.restrictions.rows(&self.table, values)?;
        let target = |clustering: Vec<Vec<u8>>| Target::Row {
            key: self.table.row_key(&clustering),
            clustering,
        };
        Ok(rows.into_iter().map(target).collect())
    }

    fn change(&self, values: &[Value<'_>]) -> Result<RowChange> {
        match &self.effect {
            Effect::DeleteRows => Ok(RowChange::Delete),
            Effect::DeleteCells(ids) => Ok(RowChange::Write {
                marks: false,
                cells: ids.iter().map(|id| (*id, CellChange::Put(None))).collect(),
            }),
            Effect::Write { actions, marks } => {
                let mut cells = Vec::new();
                for (position, action) in actions {
                    let Some(column) = self.table.columns.get(*position) else { continue };
                    if let Some(change) = cell_change(column, action, values)? {
                        cells.push((column.id, change));
                    }
                }
                Ok(RowChange::Write { marks: *marks, cells })
            }
        }
    }

    /// Whether the condition holds, and the answer for a conditional statement.
    pub(crate) fn check(
        &self,
        values: &[Value<'_>],
        now_s: i64,
        persona: Persona,
    ) -> Result<(bool, Outcome)> {
        let Some(columns) = &self.columns else { return Ok((true, Outcome::Void)) };
        let (key, partition) = self
            .restrictions
            .partitions(&self.table, values)?
            .pop()
            .unwrap_or_else(|| (PartitionKey::new(&[]), Vec::new()));
        let clustering = self.restrictions.rows(&self.table, values)?.pop().unwrap_or_default();
        let data = self.table.data.borrow();
        let row = data.find(&key).and_then(|p| p.find(&self.table.row_key(&clustering), now_s));
        let row = row.map(|row| RowValues { partition: &partition, row });
        let applied = match &self.test {
            Test::Always => true,
            Test::NotExists => row.is_none(),
            Test::Exists => row.is_some(),
            Test::Columns(tests) => self.columns_match(tests, row.as_ref(), values)?,
        };
        let mut cells = Vec::new();
        let mut out = Writer::new(&mut cells);
        out.bytes(Some(&[u8::from(applied)]));
        if persona == Persona::Cassandra {
            let shown = row.filter(|_| !applied);
            return Ok((applied, Outcome::Rows(self.cassandra_rows(shown.as_ref(), cells))));
        }
        for column in self.shown_columns() {
            out.bytes(row.as_ref().and_then(|row| row.value(column)));
        }
        let rows = Rows { columns: Rc::clone(columns), cells, row_count: 1, paging_state: None };
        Ok((applied, Outcome::Rows(rows)))
    }

    /// Cassandra's answer: `[applied]`, and what stands in the way if something does. `cells` has
    /// the value of `[applied]`.
    fn cassandra_rows(&self, shown: Option<&RowValues<'_>>, mut cells: Vec<u8>) -> Rows {
        let mut columns = self.result_columns(std::iter::empty());
        if let Some(row) = shown {
            // A column that several conditions name is shown once.
            let mut seen = Vec::new();
            let mut shown = self.shown_columns();
            shown.retain(|column| {
                let is_new = !seen.contains(&column.id);
                seen.push(column.id);
                is_new
            });
            let mut out = Writer::new(&mut cells);
            shown.iter().for_each(|column| out.bytes(row.value(column)));
            columns = self.result_columns(shown.into_iter());
        }
        Rows { columns: Rc::new(columns), cells, row_count: 1, paging_state: None }
    }

    fn columns_match(
        &self,
        tests: &[(usize, crate::cql::ast::Operator, Term)],
        row: Option<&RowValues<'_>>,
        values: &[Value<'_>],
    ) -> Result<bool> {
        for (position, operator, term) in tests {
            let Some(column) = self.table.columns.get(*position) else { continue };
            let value = row.and_then(|row| row.value(column));
            if !compare(column, value, *operator, term, values)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn note_using(using: &Using, markers: &mut Markers) {
    if let Some(term) = &using.timestamp {
        markers.note(term, "[timestamp]", &CqlType::BIGINT);
    }
    if let Some(term) = &using.ttl {
        markers.note(term, "[ttl]", &CqlType::INT);
    }
}

fn plan_assignment(
    table: &Table,
    assignment: &Assignment,
    markers: &mut Markers,
) -> Result<(usize, Action)> {
    let (Assignment::Set(name, _)
    | Assignment::Add(name, _)
    | Assignment::Subtract(name, _)
    | Assignment::Element(name, ..)) = assignment;
    let (position, column) = table.column(name)?;
    if column.kind != Kind::Regular {
        return Err(CqlError::invalid(format!("PRIMARY KEY part {name} found in SET part")));
    }
    let is_counter = column.typ == CqlType::Native(Native::Counter);
    let is_change = matches!(assignment, Assignment::Add(..) | Assignment::Subtract(..));
    if is_counter != is_change && (is_counter || !column.typ.is_multi_cell()) {
        return Err(CqlError::invalid(format!(
            "Invalid operation for column {name} of type {}",
            column.typ
        )));
    }
    let action = match assignment {
        Assignment::Set(_, term) => {
            markers.note(term, name, &column.typ);
            Action::Set(term.clone())
        }
        Assignment::Add(_, term) => {
            markers.note(term, name, &column.typ);
            Action::Add(term.clone())
        }
        Assignment::Subtract(_, term) => {
            markers.note(term, name, &taken_type(&column.typ));
            Action::Subtract(term.clone())
        }
        Assignment::Element(_, key, value) => {
            let CqlType::Map(pair) = &column.typ else {
                return Err(CqlError::invalid("only elements of maps can be set"));
            };
            markers.note(key, &format!("key({name})"), &pair.0);
            markers.note(value, &format!("value({name})"), &pair.1);
            Action::Element(key.clone(), value.clone())
        }
    };
    Ok((position, action))
}

/// What is taken off a map is a set of its keys.
fn taken_type(typ: &CqlType) -> CqlType {
    match typ {
        CqlType::Map(pair) => CqlType::Set(Box::new(pair.0.clone())),
        other => other.clone(),
    }
}

fn plan_test(table: &Table, condition: &Condition, markers: &mut Markers) -> Result<Test> {
    let columns = match condition {
        Condition::None => return Ok(Test::Always),
        Condition::Exists => return Ok(Test::Exists),
        Condition::Columns(columns) => columns,
    };
    let mut tests = Vec::new();
    for (name, operator, term) in columns {
        let (position, column) = table.column(name)?;
        if column.kind != Kind::Regular {
            return Err(CqlError::invalid(format!("PRIMARY KEY column {name} cannot have IF")));
        }
        markers.note(term, name, &column.typ);
        tests.push((position, *operator, term.clone()));
    }
    Ok(Test::Columns(tests))
}

fn number(term: &Term, typ: &CqlType, values: &[Value<'_>]) -> Result<Option<i64>> {
    match evaluate(term, typ, values)? {
        Bound::Unset => Ok(None),
        Bound::Null => Err(CqlError::invalid("Invalid null value of TTL or TIMESTAMP")),
        Bound::Bytes(bytes) => Ok(match *bytes {
            [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).into()),
            _ => bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)),
        }),
    }
}

fn cell_change(
    column: &Column,
    action: &Action,
    values: &[Value<'_>],
) -> Result<Option<CellChange>> {
    let typ = match action {
        Action::Subtract(_) => taken_type(&column.typ),
        _ => column.typ.clone(),
    };
    let (term, adds) = match action {
        Action::Set(term) => {
            return Ok(match evaluate(term, &typ, values)? {
                Bound::Unset => None,
                Bound::Null => Some(CellChange::Put(None)),
                Bound::Bytes(bytes) => Some(CellChange::Put(present(&typ, bytes.into_owned()))),
            });
        }
        Action::Element(key, value) => {
            let term = Term::Map(vec![(key.clone(), value.clone())]);
            let bytes =
                evaluate(&term, &typ, values)?.into_bytes().unwrap_or_default().into_owned();
            return Ok(Some(CellChange::Merge { typ, bytes, adds: true }));
        }
        Action::Add(term) => (term, true),
        Action::Subtract(term) => (term, false),
    };
    let bytes = match evaluate(term, &typ, values)? {
        Bound::Unset => return Ok(None),
        Bound::Null => return Err(CqlError::invalid("Invalid null value for an increment")),
        Bound::Bytes(bytes) => bytes.into_owned(),
    };
    if column.typ.is_multi_cell() {
        return Ok(Some(CellChange::Merge { typ: column.typ.clone(), bytes, adds }));
    }
    let delta = bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    Ok(Some(CellChange::Count(if adds { delta } else { delta.wrapping_neg() })))
}

/// An empty collection of single cells is the same as none.
fn present(typ: &CqlType, bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!typ.is_multi_cell() || bytes.first_chunk() != Some(&[0; 4])).then_some(bytes)
}

impl Mutation {
    /// Changes the rows. Cannot fail: everything was checked before.
    pub(crate) fn apply(self) {
        let Self { table, partition, targets, change, stamp, now_s } = self;
        let mut data = table.data.borrow_mut();
        let partition = data.partition(partition);
        for target in targets {
            match (target, &change) {
                (Target::Partition, _) => partition.delete(stamp.at),
                (Target::Range(range), _) => partition.delete_range(range, stamp.at),
                (Target::Row { key, clustering }, RowChange::Delete) => {
                    partition.row(key, clustering).delete(stamp.at);
                }
                (Target::Row { key, clustering }, RowChange::Write { marks, cells }) => {
                    let values: Vec<_> = {
                        let old = partition.find(&key, now_s);
                        cells.iter().map(|(id, change)| (*id, change.value(*id, old))).collect()
                    };
                    let row = partition.row(key, clustering);
                    if *marks {
                        row.mark(stamp);
                    }
                    for (id, value) in values {
                        row.write(id, Cell { stamp, value });
                    }
                }
            }
        }
    }
}

impl CellChange {
    fn value(&self, id: u16, old: Option<RowView<'_>>) -> Option<Vec<u8>> {
        let old = old.and_then(|row| row.cell(id)).and_then(|cell| cell.value.as_deref());
        match self {
            Self::Put(value) => value.clone(),
            Self::Count(delta) => {
                let count =
                    old.and_then(|old| old.first_chunk()).map_or(0, |old| i64::from_be_bytes(*old));
                Some(count.wrapping_add(*delta).to_be_bytes().to_vec())
            }
            Self::Merge { typ, bytes, adds } => present(typ, merge(typ, old, bytes, *adds)),
        }
    }
}

fn merge(typ: &CqlType, old: Option<&[u8]>, change: &[u8], adds: bool) -> Vec<u8> {
    let parts = |bytes: Option<&[u8]>, per_item| -> Vec<Vec<u8>> {
        let parts = bytes.and_then(|bytes| elements(bytes, per_item).ok()).unwrap_or_default();
        parts.into_iter().map(<[u8]>::to_vec).collect()
    };
    match typ {
        CqlType::Map(pair) => {
            let old = parts(old, 2);
            let mut entries: Vec<_> = old.chunks_exact(2).filter_map(entry_of).collect();
            let change = parts(Some(change), if adds { 2 } else { 1 });
            for item in change.chunks_exact(if adds { 2 } else { 1 }) {
                entries.retain(|(key, _)| Some(key) != item.first());
                entries.extend(entry_of(item));
            }
            entries.sort_by_cached_key(|(key, _)| ordered(&pair.0, key));
            map(&entries)
        }
        CqlType::List(element) | CqlType::Set(element) => {
            let mut items = parts(old, 1);
            let change = parts(Some(change), 1);
            if !adds || matches!(typ, CqlType::Set(_)) {
                items.retain(|item| !change.contains(item));
            }
            if adds {
                items.extend(change);
            }
            if matches!(typ, CqlType::Set(_)) {
                items.sort_by_cached_key(|item| ordered(element, item));
            }
            collection(&items)
        }
        _ => change.to_vec(),
    }
}

fn entry_of(entry: &[Vec<u8>]) -> Option<(Vec<u8>, Vec<u8>)> {
    match entry {
        [key, value] => Some((key.clone(), value.clone())),
        _ => None,
    }
}
