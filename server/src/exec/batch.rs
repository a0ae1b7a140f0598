//! Batches: what can stand in one, and the conditions of one that has any.

use std::rc::Rc;

use super::modify::{ModifyPlan, Mutation, When};
use super::restrict::RowValues;
use super::result::{Outcome, ResultColumn, ResultColumns, Rows};
use crate::cql::ast::{BatchKind, Term};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::schema::Column;
use crate::store::{Seen, View};
use crate::value::literal::evaluate;
use crate::value::types::CqlType;
use crate::wire::read::Value;
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// A statement of a batch and its values.
pub(crate) type Item<'a> = (&'a ModifyPlan, &'a [Value<'a>]);

/// `BEGIN BATCH … APPLY BATCH`, ready to run.
#[derive(Debug)]
pub(crate) struct BatchPlan {
    pub(crate) kind: BatchKind,
    /// `USING TIMESTAMP`
    pub(crate) timestamp: Option<Term>,
    pub(crate) plans: Vec<ModifyPlan>,
}

impl BatchPlan {
    /// The statements, checked, with the time that the batch gives them.
    pub(crate) fn run(
        &self,
        values: &[Value<'_>],
        when: When,
        persona: Persona,
        seen: &Seen,
    ) -> Result<(Vec<Mutation>, Outcome)> {
        let items: Vec<Item<'_>> = self.plans.iter().map(|plan| (plan, values)).collect();
        let mut when = when;
        if let Some(term) = &self.timestamp {
            let bytes = evaluate(term, &CqlType::BIGINT, values)?.into_bytes();
            if let Some(bytes) = bytes.as_deref().and_then(|bytes| bytes.first_chunk()) {
                when.timestamp_us = i64::from_be_bytes(*bytes);
            }
            if self.plans.iter().any(ModifyPlan::has_timestamp) {
                return Err(CqlError::invalid(
                    "Timestamp must be set either on BATCH or individual statements",
                ));
            }
        }
        let when = (when, self.timestamp.is_some());
        run(self.kind, &items, when, persona, seen)
    }
}

/// Checks a batch and says what it changes and what it answers. With the time goes whether the
/// batch says itself when it was made; `seen` is what its conditions see.
pub(crate) fn run(
    kind: BatchKind,
    items: &[Item<'_>],
    (when, has_timestamp): (When, bool),
    persona: Persona,
    seen: &Seen,
) -> Result<(Vec<Mutation>, Outcome)> {
    check_kind(kind, items)?;
    let (applies, outcome) = check(items, (when.now_s, has_timestamp), persona, seen)?;
    let mut mutations = Vec::new();
    for (plan, values) in items {
        mutations.extend(plan.mutations(values, when)?);
    }
    if !applies {
        mutations.clear();
    }
    Ok((mutations, outcome))
}

fn check_kind(kind: BatchKind, items: &[Item<'_>]) -> Result<()> {
    let counters = items.iter().filter(|(plan, _)| plan.table.is_counter()).count();
    if kind == BatchKind::Counter && counters < items.len() {
        return Err(CqlError::invalid("Cannot include non-counter statement in a counter batch"));
    }
    if kind == BatchKind::Logged && counters > 0 {
        return Err(CqlError::invalid("Cannot include a counter statement in a logged batch"));
    }
    if counters > 0 && counters < items.len() {
        return Err(CqlError::invalid(
            "Counter and non-counter mutations cannot exist in the same batch",
        ));
    }
    Ok(())
}

/// Whether all conditions hold, and what a conditional batch answers.
fn check(
    items: &[Item<'_>],
    (now_s, has_timestamp): (i64, bool),
    persona: Persona,
    seen: &Seen,
) -> Result<(bool, Outcome)> {
    if !items.iter().any(|(plan, _)| plan.is_conditional()) {
        return Ok((true, Outcome::Void));
    }
    if has_timestamp || items.iter().any(|(plan, _)| plan.has_timestamp()) {
        return Err(CqlError::invalid("Cannot provide custom timestamp for conditional BATCH"));
    }
    let Some((first, first_values)) = items.first() else { return Ok((true, Outcome::Void)) };
    let (key, partition, _) = first.place(first_values)?;
    let mut places = Vec::new();
    for (plan, values) in items {
        if plan.table.id != first.table.id {
            return Err(CqlError::invalid("Batch with conditions cannot span multiple tables"));
        }
        if !plan.restrictions.has_one_partition() || plan.place(values)?.0 != key {
            return Err(CqlError::invalid("Batch with conditions cannot span multiple partitions"));
        }
        places.push(if plan.is_conditional() { Some(plan.place(values)?.2) } else { None });
    }
    let data = first.table.data.borrow();
    let view = View::new(&data, seen);
    let mut applies = true;
    let mut rows = Vec::new();
    for ((plan, values), place) in items.iter().zip(&places) {
        let row = place
            .as_ref()
            .and_then(|clustering| plan.row(view, &key, &partition, clustering, now_s));
        applies &= plan.holds(row.as_ref(), values)?;
        rows.push(row);
    }
    let answer = match persona {
        Persona::Scylla => scylla_answer(items, &rows, applies),
        Persona::Cassandra => cassandra_answer(items, &places, &rows, applies),
    };
    Ok((applies, Outcome::Rows(answer)))
}

/// The primary key and the columns of all conditions, each once.
fn shown<'p>(items: &[Item<'p>]) -> Vec<&'p Column> {
    let Some((first, _)) = items.first() else { return Vec::new() };
    let of_conditions: Option<Vec<_>> =
        items.iter().map(|(plan, _)| plan.condition_columns()).collect();
    let Some(of_conditions) = of_conditions else { return first.table.columns.iter().collect() };
    let table = &first.table;
    let mut shown: Vec<&Column> = table.partition_key().iter().chain(table.clustering()).collect();
    for column in of_conditions.into_iter().flatten() {
        if !shown.iter().any(|other| other.id == column.id) {
            shown.push(column);
        }
    }
    shown
}

fn columns_of(items: &[Item<'_>], shown: &[&Column]) -> Rc<ResultColumns> {
    let applied = ResultColumn { name: "[applied]".to_owned(), typ: CqlType::BOOLEAN };
    let shown = shown
        .iter()
        .map(|column| ResultColumn { name: column.name.clone(), typ: column.typ.clone() });
    let (keyspace, table) = items
        .first()
        .map(|(plan, _)| (plan.table.keyspace.clone(), plan.table.name.clone()))
        .unwrap_or_default();
    let columns = std::iter::once(applied).chain(shown).collect();
    Rc::new(ResultColumns { keyspace, table, columns })
}

fn rows_of(columns: Rc<ResultColumns>, cells: Vec<u8>, row_count: usize) -> Rows {
    Rows { columns, cells, row_count, paging_state: None }
}

/// A row for each statement, whether it has a condition or not.
fn scylla_answer(items: &[Item<'_>], rows: &[Option<RowValues<'_>>], applies: bool) -> Rows {
    let shown = shown(items);
    let mut cells = Vec::new();
    for row in rows {
        let mut out = Writer::new(&mut cells);
        out.bytes(Some(&[u8::from(applies)]));
        for column in &shown {
            out.bytes(row.as_ref().and_then(|row| row.value(column)).as_deref());
        }
    }
    rows_of(columns_of(items, &shown), cells, rows.len())
}

/// `[applied]`, and the rows that were looked at if the conditions do not hold.
fn cassandra_answer(
    items: &[Item<'_>],
    places: &[Option<Vec<Vec<u8>>>],
    rows: &[Option<RowValues<'_>>],
    applies: bool,
) -> Rows {
    let mut existing: Vec<(Vec<u8>, &RowValues<'_>)> = items
        .iter()
        .zip(places)
        .zip(rows)
        .filter_map(|(((plan, _), place), row)| {
            Some((plan.table.row_key(place.as_ref()?), row.as_ref()?))
        })
        .collect();
    existing.sort_by(|a, b| a.0.cmp(&b.0));
    existing.dedup_by(|a, b| a.0 == b.0);
    let mut cells = Vec::new();
    if applies || existing.is_empty() {
        Writer::new(&mut cells).bytes(Some(&[u8::from(applies)]));
        return rows_of(columns_of(items, &[]), cells, 1);
    }
    let shown = shown(items);
    for (_, row) in &existing {
        let mut out = Writer::new(&mut cells);
        out.bytes(Some(&[0]));
        shown.iter().for_each(|column| out.bytes(row.value(column).as_deref()));
    }
    rows_of(columns_of(items, &shown), cells, existing.len())
}
