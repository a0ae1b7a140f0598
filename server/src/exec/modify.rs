//! INSERT, UPDATE and DELETE: first all values are checked, then rows change.

use std::rc::Rc;

use super::bind::Markers;
use super::change::{CellChange, cell_change};
use super::condition::{Condition, plan_conditions};
use super::restrict::{Ends, Restrictions, RowValues};
use super::result::{Outcome, ResultColumn, ResultColumns, Rows};
use crate::cdc::captured::Captured;
use crate::cql::ast::{
    self, Assignment, Delete, Insert, InsertValues, JsonField, Place, Term, Update, Using,
};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::NodeIndex;
use crate::schema::{Column, Kind, Table};
use crate::store::{Partition, PartitionKey, Range, Row, RowView, Seen, Stamp, View};
use crate::value::literal::{Bound, evaluate, json_fields};
use crate::value::types::{CqlType, Native};
use crate::wire::read::Value;
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// Longest TTL: 20 years, in seconds.
const TTL_MAX_S: i32 = 630_720_000;

/// What happens to a column, or to a part of one.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Set(Term),
    Add(Term),
    Prepend(Term),
    Subtract(Term),
    Element(Term, Term),
    Field(usize, Term),
    Delete,
    DeleteElement(Term),
    DeleteField(usize),
}

#[derive(Clone, Debug)]
enum Effect {
    /// Writes cells; `marks` makes the row exist by itself, as INSERT does.
    Write {
        actions: Vec<(usize, Action)>,
        marks: bool,
    },
    DeleteRows,
}

#[derive(Clone, Debug)]
enum Test {
    Always,
    NotExists,
    Exists,
    Columns(Vec<Condition>),
}

/// A modification, ready to run.
#[derive(Debug)]
pub(crate) struct ModifyPlan {
    pub(crate) table: Rc<Table>,
    pub(crate) restrictions: Restrictions,
    effect: Effect,
    using: Using,
    test: Test,
    /// What INSERT JSON inserts.
    json: Option<Term>,
    /// Only static columns change: no row is named.
    of_statics: bool,
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
    /// With what is told of its ends, if it is.
    Range(Range, Option<Ends>),
    Row {
        key: Vec<u8>,
        clustering: Vec<Vec<u8>>,
    },
}

/// Where a row is: its partition, and the values of its partition key and its clustering columns.
pub(super) type RowPlace = (PartitionKey, Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Changes of cells by column id.
type Cells = Vec<(u16, CellChange)>;

#[derive(Debug)]
enum RowChange {
    Delete,
    Write { marks: bool, cells: Cells },
}

/// One change to one partition, all values known.
#[derive(Debug)]
pub(crate) struct Mutation {
    table: Rc<Table>,
    partition: Vec<Vec<u8>>,
    changes: Changes,
}

/// What a mutation does in its partition.
#[derive(Debug)]
struct Changes {
    targets: Vec<Target>,
    change: RowChange,
    statics: Cells,
    stamp: Stamp,
    now_s: i64,
}

/// The partition before a mutation.
#[derive(Clone, Copy, Debug)]
enum Old<'a> {
    /// The one that is written to.
    Same,
    Other(Option<&'a Partition>),
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
        let (values, json) = match &insert.values {
            InsertValues::Columns(values) => (values.clone(), None),
            InsertValues::Json { text, keeps_others } => {
                markers.note(text, "[json]", &CqlType::TEXT);
                (fields_of(table, text, *keeps_others), Some(text.clone()))
            }
        };
        let mut actions = Vec::new();
        for (index, (name, term)) in values.iter().enumerate() {
            let (position, column) = table.column(name)?;
            if values.iter().take(index).any(|(other, _)| other == name) {
                let message = format!("The column names contains duplicates: {name}");
                return Err(CqlError::invalid(message));
            }
            markers.note(term, name, &column.typ);
            if !column.kind.is_key() {
                actions.push((position, Action::Set(term.clone())));
            }
        }
        let is_named = |column: &Column| values.iter().any(|(name, _)| *name == column.name);
        let of_statics = !table.clustering().is_empty()
            && !table.clustering().iter().any(is_named)
            && !actions.is_empty()
            && actions.iter().all(|(position, _)| table.is_static(*position));
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions: Restrictions::of_key(table, &values, of_statics)?,
            effect: Effect::Write { actions, marks: true },
            using: insert.using.clone(),
            test: if insert.if_not_exists { Test::NotExists } else { Test::Always },
            json,
            of_statics,
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
        let test = plan_test(table, &update.condition, markers)?;
        Self::of_actions(table, restrictions, actions, &update.using, test, markers)
    }

    pub(crate) fn delete(
        table: &Rc<Table>,
        delete: &Delete,
        markers: &mut Markers,
    ) -> Result<Self> {
        note_using(&delete.using, markers);
        if delete.using.ttl.is_some() {
            return Err(CqlError::syntax("a DELETE has no TTL"));
        }
        let mut actions = Vec::new();
        for place in &delete.places {
            actions.push(plan_deletion(table, place, markers)?);
        }
        let restrictions = Restrictions::plan(table, &delete.relations, markers)?;
        let test = plan_test(table, &delete.condition, markers)?;
        if !actions.is_empty() {
            return Self::of_actions(table, restrictions, actions, &delete.using, test, markers);
        }
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions,
            effect: Effect::DeleteRows,
            using: delete.using.clone(),
            test,
            json: None,
            of_statics: false,
            columns: None,
        };
        plan.finish(markers)?;
        Ok(plan)
    }

    /// What changes columns of rows that are there by themselves.
    fn of_actions(
        table: &Rc<Table>,
        restrictions: Restrictions,
        actions: Vec<(usize, Action)>,
        using: &Using,
        test: Test,
        markers: &mut Markers,
    ) -> Result<Self> {
        let all_static = actions.iter().all(|(position, _)| table.is_static(*position));
        let of_statics = all_static && !table.clustering().is_empty();
        if of_statics && restrictions.has_clustering() {
            return Err(CqlError::invalid(
                "Invalid restrictions on clustering columns since the statement modifies only \
                 static columns",
            ));
        }
        if !of_statics && !restrictions.has_whole_rows(table) {
            let missing = table.clustering().last().map_or("", |column| &column.name);
            return Err(CqlError::invalid(format!("Some clustering keys are missing: {missing}")));
        }
        let mut plan = Self {
            table: Rc::clone(table),
            restrictions,
            effect: Effect::Write { actions, marks: false },
            using: using.clone(),
            test,
            json: None,
            of_statics,
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
        if self.restrictions.has_filters() {
            return Err(CqlError::invalid("Non PRIMARY KEY columns found in where clause"));
        }
        if self.table.is_counter() && (self.using.timestamp.is_some() || self.using.ttl.is_some()) {
            let message = "Cannot provide custom timestamp or TTL for counter updates";
            return Err(CqlError::invalid(message));
        }
        if matches!(self.test, Test::Always) {
            return Ok(());
        }
        if self.table.is_counter() {
            return Err(CqlError::invalid(
                "Conditional updates are not supported on counter tables",
            ));
        }
        let is_row = match self.of_statics {
            true => self.restrictions.has_one_partition(),
            false => self.restrictions.has_one_row(&self.table),
        };
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
        self.condition_columns().unwrap_or_else(|| self.table.columns.iter().collect())
    }

    /// The columns of the conditions; `None` where they are about the whole row.
    pub(super) fn condition_columns(&self) -> Option<Vec<&Column>> {
        match &self.test {
            Test::Columns(conditions) => Some(
                conditions
                    .iter()
                    .filter_map(|condition| self.table.columns.get(condition.column))
                    .collect(),
            ),
            Test::Always => Some(Vec::new()),
            Test::Exists | Test::NotExists => None,
        }
    }

    pub(crate) fn is_conditional(&self) -> bool {
        !matches!(self.test, Test::Always)
    }

    /// Where it is nothing but markers put into cells of one row, without conditions: whether the
    /// row exists by itself then, and positions and markers of the cells' columns.
    pub(super) fn puts(&self) -> Option<(bool, Vec<(usize, usize)>)> {
        let Effect::Write { actions, marks } = &self.effect else { return None };
        let Using { timestamp: None, ttl: None, .. } = &self.using else { return None };
        if self.is_conditional() || self.json.is_some() || self.of_statics {
            return None;
        }
        let put = |(position, action): &(usize, Action)| match action {
            Action::Set(Term::Marker(marker)) => {
                let column = self.table.columns.get(*position)?;
                let is_plain = column.kind == Kind::Regular && !column.typ.is_multi_cell();
                is_plain.then_some((*position, *marker))
            }
            _ => None,
        };
        Some((*marks, actions.iter().map(put).collect::<Option<_>>()?))
    }

    /// Whether the statement says when it was made.
    pub(super) fn has_timestamp(&self) -> bool {
        self.using.timestamp.is_some()
    }

    /// Checks all values and says what will change.
    pub(crate) fn mutations(&self, values: &[Value<'_>], when: When) -> Result<Vec<Mutation>> {
        let timestamp = match &self.using.timestamp {
            Some(term) => number(term, &CqlType::BIGINT, values)?.unwrap_or(when.timestamp_us),
            None => when.timestamp_us,
        };
        let stamp = Stamp { at: timestamp, expires: self.expiry(values, when)? };
        if let Some(text) = &self.json {
            let fields = json_fields(text, values)?;
            if let Some((name, _)) =
                fields.iter().find(|(name, _)| self.table.column(name).is_err())
            {
                let message = format!("JSON values map contains unrecognized column: {name}");
                return Err(CqlError::invalid(message));
            }
        }
        let mut mutations = Vec::new();
        for (_, partition) in self.restrictions.partitions(&self.table, values)? {
            let (change, statics) = self.change(values)?;
            let (targets, now_s) = (self.targets(values)?, when.now_s);
            let changes = Changes { targets, change, statics, stamp, now_s };
            mutations.push(Mutation { table: Rc::clone(&self.table), partition, changes });
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
        if ttl_s < 0 {
            return Err(CqlError::invalid("A TTL must be greater or equal to 0, but was negative"));
        }
        if ttl_s > TTL_MAX_S {
            return Err(CqlError::invalid(format!(
                "ttl is too large. requested ({ttl_s}) maximum \
                ({TTL_MAX_S})"
            )));
        }
        Ok((ttl_s > 0).then(|| (when.now_s + i64::from(ttl_s), ttl_s)))
    }

    fn targets(&self, values: &[Value<'_>]) -> Result<Vec<Target>> {
        if self.of_statics {
            return Ok(Vec::new());
        }
        let is_delete = matches!(self.effect, Effect::DeleteRows);
        if is_delete && !self.restrictions.has_clustering() {
            return Ok(vec![Target::Partition]);
        }
        if is_delete && !self.restrictions.has_whole_rows(&self.table) {
            if self.table.capture.is_some() {
                let ranges = self.restrictions.ranges_and_ends(&self.table, values)?;
                let target = |(range, ends)| Target::Range(range, Some(ends));
                return Ok(ranges.into_iter().map(target).collect());
            }
            let ranges = self.restrictions.ranges(&self.table, values)?;
            return Ok(ranges.into_iter().map(|range| Target::Range(range, None)).collect());
        }
        let rows = self.restrictions.rows(&self.table, values)?;
        let target = |clustering: Vec<Vec<u8>>| Target::Row {
            key: self.table.row_key(&clustering),
            clustering,
        };
        Ok(rows.into_iter().map(target).collect())
    }

    /// What changes in each row, and in the partition's static columns.
    fn change(&self, values: &[Value<'_>]) -> Result<(RowChange, Cells)> {
        let Effect::Write { actions, marks } = &self.effect else {
            return Ok((RowChange::Delete, Vec::new()));
        };
        let (mut cells, mut statics) = (Vec::new(), Vec::new());
        for (position, action) in actions {
            let Some(column) = self.table.columns.get(*position) else { continue };
            let Some(change) = cell_change(column, action, values)? else { continue };
            let of_kind = if column.kind == Kind::Static { &mut statics } else { &mut cells };
            match (of_kind.last_mut(), &change) {
                // Of one counter all changes count.
                (Some((id, CellChange::Count(sum))), CellChange::Count(by)) if *id == column.id => {
                    *sum = sum.wrapping_add(*by);
                }
                _ => of_kind.push((column.id, change)),
            }
        }
        Ok((RowChange::Write { marks: *marks, cells }, statics))
    }

    /// Where the row of a conditional statement is: partition and clustering values.
    pub(super) fn place(&self, values: &[Value<'_>]) -> Result<RowPlace> {
        let (key, partition) = self
            .restrictions
            .partitions(&self.table, values)?
            .pop()
            .unwrap_or_else(|| (PartitionKey::new(&[]), Vec::new()));
        let clustering = match self.of_statics {
            true => Vec::new(),
            false => self.restrictions.rows(&self.table, values)?.pop().unwrap_or_default(),
        };
        Ok((key, partition, clustering))
    }

    /// The row that the condition is about; `None` if it does not exist.
    pub(super) fn row<'d>(
        &self,
        data: View<'d>,
        key: &PartitionKey,
        partition: &'d [Vec<u8>],
        clustering: &[Vec<u8>],
        now_s: i64,
    ) -> Option<RowValues<'d>> {
        let found = data.find(key)?;
        let statics = found.statics(now_s);
        if self.of_statics {
            // The first row is shown beside them.
            let all = Range::all();
            let row = found.range(&all, now_s).next().map(|(_, row)| row);
            return statics.map(|_| RowValues { partition, row, statics });
        }
        let row = found.find(&self.table.row_key(clustering), now_s);
        // Static columns can be compared where there is no row.
        let is_of_statics = |column: &&Column| column.kind == Kind::Static;
        let all_static = self
            .condition_columns()
            .is_some_and(|columns| !columns.is_empty() && columns.iter().all(is_of_statics));
        if row.is_none() && !all_static {
            return None;
        }
        (row.is_some() || statics.is_some()).then_some(RowValues { partition, row, statics })
    }

    /// Whether the condition holds for a row.
    pub(super) fn holds(&self, row: Option<&RowValues<'_>>, values: &[Value<'_>]) -> Result<bool> {
        match &self.test {
            Test::Always => Ok(true),
            Test::NotExists => Ok(row.is_none()),
            Test::Exists => Ok(row.is_some()),
            Test::Columns(conditions) => {
                for condition in conditions {
                    if !condition.holds(&self.table, row, values)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether the condition holds, and the answer for a conditional statement.
    pub(crate) fn check(
        &self,
        values: &[Value<'_>],
        now_s: i64,
        persona: Persona,
        seen: &Seen,
    ) -> Result<(bool, Outcome)> {
        let Some(columns) = &self.columns else { return Ok((true, Outcome::Void)) };
        let (key, partition, clustering) = self.place(values)?;
        let data = self.table.data.borrow();
        let view = View::new(&data, seen);
        let row = self.row(view, &key, &partition, &clustering, now_s);
        let applied = self.holds(row.as_ref(), values)?;
        let mut cells = Vec::new();
        let mut out = Writer::new(&mut cells);
        out.bytes(Some(&[u8::from(applied)]));
        if persona == Persona::Cassandra {
            let shown = row.filter(|_| !applied);
            return Ok((applied, Outcome::Rows(self.cassandra_rows(shown.as_ref(), cells))));
        }
        for column in self.shown_columns() {
            out.bytes(row.as_ref().and_then(|row| row.value(column)).as_deref());
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
            shown.iter().for_each(|column| out.bytes(row.value(column).as_deref()));
            columns = self.result_columns(shown.into_iter());
        }
        Rows { columns: Rc::new(columns), cells, row_count: 1, paging_state: None }
    }
}

/// Each column of the table, with what a text of JSON has for it.
fn fields_of(table: &Table, text: &Term, keeps_others: bool) -> Vec<(String, Term)> {
    let field = |column: &Column| {
        let (text, column) = (text.clone(), column.name.clone());
        (column.clone(), Term::JsonField(Box::new(JsonField { text, column, keeps_others })))
    };
    table.columns.iter().map(field).collect()
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
    | Assignment::Prepend(name, _)
    | Assignment::Subtract(name, _)
    | Assignment::Element(name, ..)
    | Assignment::Field(name, ..)) = assignment;
    let (position, column) = table.column(name)?;
    if column.kind.is_key() {
        return Err(CqlError::invalid(format!("PRIMARY KEY part {name} found in SET part")));
    }
    let typ = &column.typ;
    let is_counter = *typ == CqlType::Native(Native::Counter);
    let wrong = || CqlError::invalid(format!("Invalid operation for column {name} of type {typ}"));
    let action = match assignment {
        Assignment::Set(..) if is_counter => {
            let message = format!(
                "Cannot set the value of counter column {name} (counters can \
                only be incremented/decremented, not set)"
            );
            return Err(CqlError::invalid(message));
        }
        Assignment::Set(_, term) => {
            markers.note(term, name, typ);
            Action::Set(term.clone())
        }
        Assignment::Add(_, term) if is_counter || is_collection(typ) => {
            markers.note(term, name, typ);
            Action::Add(term.clone())
        }
        Assignment::Prepend(_, term) if matches!(typ, CqlType::List(_)) => {
            markers.note(term, name, typ);
            Action::Prepend(term.clone())
        }
        // Of a counter, a set or a map it is the same as the other way round.
        Assignment::Prepend(_, term) if is_counter || is_collection(typ) => {
            markers.note(term, name, typ);
            Action::Add(term.clone())
        }
        Assignment::Subtract(_, term) if is_counter || is_collection(typ) => {
            markers.note(term, name, &taken_type(typ));
            Action::Subtract(term.clone())
        }
        Assignment::Element(_, key, value) => {
            let (key_type, value_type) = match typ {
                CqlType::Map(pair) => (pair.0.clone(), &pair.1),
                CqlType::List(element) => (CqlType::INT, &**element),
                _ => return Err(wrong()),
            };
            let what = if matches!(typ, CqlType::Map(_)) { "key" } else { "idx" };
            markers.note(key, &format!("{what}({name})"), &key_type);
            markers.note(value, &format!("value({name})"), value_type);
            Action::Element(key.clone(), value.clone())
        }
        Assignment::Field(_, field, value) => {
            let (index, typ) = field_of(column, field)?;
            markers.note(value, &format!("{name}.{field}"), typ);
            Action::Field(index, value.clone())
        }
        Assignment::Add(..) | Assignment::Prepend(..) | Assignment::Subtract(..) => {
            return Err(wrong());
        }
    };
    Ok((position, action))
}

/// Whether elements can be added and taken away.
fn is_collection(typ: &CqlType) -> bool {
    matches!(typ, CqlType::List(_) | CqlType::Set(_) | CqlType::Map(_))
}

/// The number and the type of a field that can be changed by itself.
fn field_of<'c>(column: &'c Column, field: &str) -> Result<(usize, &'c CqlType)> {
    let CqlType::Udt(udt) = &column.typ else {
        let message = format!(
            "Invalid operation for the field {field} of column {} of type {}",
            column.name, column.typ
        );
        return Err(CqlError::invalid(message));
    };
    udt.field(field).ok_or_else(|| {
        CqlError::invalid(format!("UDT column {} does not have a field named {field}", column.name))
    })
}

fn plan_deletion(table: &Table, place: &Place, markers: &mut Markers) -> Result<(usize, Action)> {
    let (Place::Column(name) | Place::Element(name, _) | Place::Field(name, _)) = place;
    let (position, column) = table.column(name)?;
    if column.kind.is_key() {
        let message = format!(
            "Invalid identifier {name} for deletion (should not be a PRIMARY \
            KEY part)"
        );
        return Err(CqlError::invalid(message));
    }
    let action = match place {
        Place::Column(_) => Action::Delete,
        Place::Field(_, field) => Action::DeleteField(field_of(column, field)?.0),
        Place::Element(_, key) => {
            let (what, typ) = match &column.typ {
                CqlType::Map(pair) => ("key", pair.0.clone()),
                CqlType::List(_) => ("idx", CqlType::INT),
                CqlType::Set(element) => ("value", (**element).clone()),
                typ => {
                    let message =
                        format!("Invalid deletion operation for column {name} of type {typ}");
                    return Err(CqlError::invalid(message));
                }
            };
            markers.note(key, &format!("{what}({name})"), &typ);
            Action::DeleteElement(key.clone())
        }
    };
    Ok((position, action))
}

/// What is taken off a map is a set of its keys.
pub(super) fn taken_type(typ: &CqlType) -> CqlType {
    match typ {
        CqlType::Map(pair) => CqlType::Set(Box::new(pair.0.clone())),
        other => other.clone(),
    }
}

fn plan_test(table: &Table, condition: &ast::Condition, markers: &mut Markers) -> Result<Test> {
    Ok(match condition {
        ast::Condition::None => Test::Always,
        ast::Condition::Exists => Test::Exists,
        ast::Condition::Columns(columns) => {
            Test::Columns(plan_conditions(table, columns, markers)?)
        }
    })
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

impl Mutation {
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Bytes of its keys and values.
    pub(crate) fn size(&self) -> usize {
        let Changes { targets, change, statics, .. } = &self.changes;
        let of_all = |parts: &[Vec<u8>]| parts.iter().map(Vec::len).sum::<usize>();
        let of_cells = |cells: &Cells| cells.iter().map(|(_, cell)| cell.size()).sum::<usize>();
        let in_row = match change {
            RowChange::Delete => 0,
            RowChange::Write { cells, .. } => of_cells(cells),
        };
        let of_target = |target: &Target| match target {
            Target::Partition => 0,
            Target::Range(range, _) => range.from.len() + range.to.as_ref().map_or(0, Vec::len),
            Target::Row { clustering, .. } => of_all(clustering) + in_row,
        };
        of_all(&self.partition) + of_cells(statics) + targets.iter().map(of_target).sum::<usize>()
    }

    /// The partition that changes.
    pub(crate) fn key(&self) -> PartitionKey {
        self.table.partition_of(&self.partition)
    }

    /// Values of the partition key's columns.
    pub(crate) fn partition(&self) -> &[Vec<u8>] {
        &self.partition
    }

    /// The second that it is written in.
    pub(crate) fn now_s(&self) -> i64 {
        self.changes.now_s
    }

    /// Writes cells of one row, which does not exist by itself.
    pub(crate) fn of_cells(
        table: &Rc<Table>,
        partition: Vec<Vec<u8>>,
        clustering: Vec<Vec<u8>>,
        cells: Vec<(u16, Vec<u8>)>,
        (stamp, now_s): (Stamp, i64),
    ) -> Self {
        let put = |(id, value)| (id, CellChange::Put(Some(value)));
        let cells = cells.into_iter().map(put).collect();
        let changes = Changes {
            targets: vec![Target::Row { key: table.row_key(&clustering), clustering }],
            change: RowChange::Write { marks: false, cells },
            statics: Vec::new(),
            stamp,
            now_s,
        };
        Self { table: Rc::clone(table), partition, changes }
    }

    /// Adds what it will change to what a log tells of, where the partition is this one and `node`
    /// is asked.
    pub(crate) fn record(
        &self,
        partition: Option<&Partition>,
        node: NodeIndex,
        captured: &mut Captured,
    ) {
        let Changes { targets, change, statics, stamp, now_s } = &self.changes;
        let old = partition.and_then(|partition| partition.statics(*now_s));
        for (id, write) in writes(statics, old, node, *stamp) {
            write.record(captured.statics(), id, *stamp);
        }
        for target in targets {
            match (target, change) {
                (Target::Partition, _) => captured.delete(stamp.at),
                (Target::Range(_, ends), _) => {
                    ends.iter().for_each(|ends| captured.delete_range(ends.clone(), stamp.at));
                }
                (Target::Row { key, clustering }, RowChange::Delete) => {
                    captured.row(key, clustering).delete(stamp.at);
                }
                (Target::Row { key, clustering }, RowChange::Write { marks, cells }) => {
                    let old = partition.and_then(|partition| partition.find(key, *now_s));
                    let row = captured.row(key, clustering);
                    if *marks {
                        row.mark(*stamp);
                    }
                    for (id, write) in writes(cells, old, node, *stamp) {
                        write.record(row.columns(), id, *stamp);
                    }
                }
            }
        }
    }

    /// Whether what it writes depends on the elements of a list.
    pub(crate) fn reads_lists(&self) -> bool {
        let Changes { change, statics, .. } = &self.changes;
        let RowChange::Write { cells, .. } = change else { return false };
        cells.iter().chain(statics).any(|(_, change)| change.reads_list())
    }

    /// Places in lists that are written to are there.
    pub(crate) fn check_lists(&self, partition: Option<&Partition>) -> Result<()> {
        let Changes { targets, change, statics, now_s, .. } = &self.changes;
        let RowChange::Write { cells, .. } = change else { return Ok(()) };
        let check = |cells: &Cells, row: Option<RowView<'_>>| {
            cells.iter().try_for_each(|(id, change)| change.check_place(*id, row))
        };
        check(statics, partition.and_then(|partition| partition.statics(*now_s)))?;
        for target in targets {
            if let Target::Row { key, .. } = target {
                check(cells, partition.and_then(|partition| partition.find(key, *now_s)))?;
            }
        }
        Ok(())
    }

    /// Changes the rows, of all replicas alike; `leader` is the one that counts. Cannot fail:
    /// everything was checked before.
    pub(crate) fn apply(self, leader: NodeIndex) {
        let mut data = self.table.data.borrow_mut();
        self.changes.make(data.partition(self.partition), Old::Same, leader);
    }

    /// What is written by itself, where the partition was `old`.
    pub(crate) fn into_delta(self, old: Option<&Partition>, leader: NodeIndex) -> Partition {
        let mut delta = Partition::new(self.partition);
        self.changes.make(&mut delta, Old::Other(old), leader);
        delta
    }
}

impl Changes {
    fn make(self, partition: &mut Partition, old: Old<'_>, leader: NodeIndex) {
        let Self { targets, change, statics, stamp, now_s } = self;
        if !statics.is_empty() {
            let old = old.or(partition).and_then(|old| old.statics(now_s));
            let writes = writes(&statics, old, leader, stamp);
            write_all(partition.statics_mut(), writes, stamp);
        }
        for target in targets {
            match (target, &change) {
                (Target::Partition, _) => partition.delete(stamp.at),
                (Target::Range(range, _), _) => partition.delete_range(range, stamp.at),
                (Target::Row { key, clustering }, RowChange::Delete) => {
                    partition.row(key, clustering).delete(stamp.at);
                }
                (Target::Row { key, clustering }, RowChange::Write { marks, cells }) => {
                    let old = old.or(partition).and_then(|old| old.find(&key, now_s));
                    let writes = writes(cells, old, leader, stamp);
                    let row = partition.row(key, clustering);
                    if *marks {
                        row.mark(stamp);
                    }
                    write_all(row, writes, stamp);
                }
            }
        }
    }
}

impl<'a> Old<'a> {
    fn or(self, same: &'a Partition) -> Option<&'a Partition> {
        match self {
            Self::Same => Some(same),
            Self::Other(other) => other,
        }
    }
}

/// What is written, now that the row is known.
fn writes(
    cells: &Cells,
    old: Option<RowView<'_>>,
    leader: NodeIndex,
    stamp: Stamp,
) -> Vec<(u16, super::change::Write)> {
    let write = |change: &CellChange, id| change.write(id, old, leader, stamp.at);
    cells.iter().map(|(id, change)| (*id, write(change, *id))).collect()
}

fn write_all(row: &mut Row, writes: Vec<(u16, super::change::Write)>, stamp: Stamp) {
    for (id, write) in writes {
        write.apply(row, id, stamp);
    }
}
