//! SELECT.

use std::ops::ControlFlow;
use std::rc::Rc;

use super::aggregate::{Aggregate, State};
use super::bind::Markers;
use super::expression::{Expression, Planner, Scope, all, title};
use super::paging::PagingState;
use super::restrict::{Restrictions, RowValues};
use super::result::{ResultColumn, ResultColumns, Rows};
use crate::cql::ast::{Operator, Relation, Select, Selected, Selector, Term};
use crate::error::CqlError;
use crate::persona::Persona;
use crate::routing::murmur3;
use crate::schema::{Column, Keyspace, Table};
use crate::store::{Bytes, Partition, PartitionKey, Range, RowView, Tombstones, View};
use crate::value::functions::{Similarity, floats};
use crate::value::json::{write_json, write_name};
use crate::value::literal::{Bound, evaluate};
use crate::value::types::CqlType;
use crate::wire::read::Value;
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// The rows nearest to a vector, by a column of vectors.
#[derive(Debug)]
struct Nearest {
    column: usize,
    to: Term,
    similarity: Similarity,
}

/// A SELECT, ready to run.
#[derive(Debug)]
pub(crate) struct SelectPlan {
    persona: Persona,
    pub(crate) table: Rc<Table>,
    items: Vec<Expression>,
    /// What is computed over many rows.
    aggregates: Vec<Aggregate>,
    /// Positions of the columns of GROUP BY.
    group_by: Vec<usize>,
    /// SELECT JSON: the names of the items.
    json: Option<Vec<String>>,
    pub(crate) columns: Rc<ResultColumns>,
    pub(crate) restrictions: Restrictions,
    reversed: bool,
    /// Whether rows of several partitions are put in one order.
    merges: bool,
    nearest: Option<Nearest>,
    limit: Option<Term>,
    per_partition_limit: Option<Term>,
    distinct: bool,
    /// Ties paging states to this statement.
    fingerprint: u64,
}

/// The page that a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Page<'a> {
    /// Most rows of the page; `None` for all.
    pub(crate) size: Option<usize>,
    pub(crate) state: Option<&'a [u8]>,
}

impl SelectPlan {
    pub(crate) fn new(
        persona: Persona,
        keyspace: &Keyspace,
        table: &Rc<Table>,
        select: &Select,
        text: &str,
        markers: &mut Markers,
    ) -> Result<Self> {
        let Chosen { items, aggregates, names, columns } =
            chosen(keyspace, table, select, markers)?;
        let restrictions = Restrictions::plan(table, &select.relations, markers)?;
        let nearest = nearest(table, select, markers)?;
        if restrictions.is_filtering() && !select.allow_filtering {
            return Err(CqlError::invalid(
                "Cannot execute this query as it might involve data filtering and thus may have \
                 unpredictable performance. If you want to execute this query despite the \
                 performance unpredictability, use ALLOW FILTERING",
            ));
        }
        if let Some(limit) = &select.limit {
            markers.note(limit, "[limit]", &CqlType::INT);
        }
        if let Some(limit) = &select.per_partition_limit {
            markers.note(limit, "[per_partition_limit]", &CqlType::INT);
        }
        if select.distinct && !items.iter().all(|item| item.is_of_partition(table)) {
            return Err(CqlError::invalid(
                "SELECT DISTINCT queries must only request partition key columns and/or static \
                 columns",
            ));
        }
        if select.distinct && !select.selectors.is_empty() {
            let is_named = |column: &&Column| {
                let is_it = |selector: &Selector| match &selector.what {
                    Selected::Column(name) => *name == column.name,
                    _ => false,
                };
                !select.selectors.iter().any(is_it)
            };
            if let Some(missing) = table.partition_key().iter().find(is_named) {
                return Err(CqlError::invalid(format!(
                    "SELECT DISTINCT queries must request all the partition key columns (missing \
                     {})",
                    missing.name
                )));
            }
        }
        let merges = !select.order_by.is_empty()
            && !restrictions.has_one_partition()
            && aggregates.is_empty()
            && select.group_by.is_empty();
        Ok(Self {
            persona,
            merges,
            table: Rc::clone(table),
            items,
            aggregates,
            group_by: group_by(table, select)?,
            json: select.json.then_some(names),
            columns: Rc::new(columns),
            reversed: reversed(table, &select.order_by, &restrictions)?,
            restrictions,
            nearest,
            limit: select.limit.clone(),
            per_partition_limit: select.per_partition_limit.clone(),
            distinct: select.distinct,
            fingerprint: murmur3(&[&table.id, text.as_bytes()].concat()).cast_unsigned(),
        })
    }

    /// Shows name and argument types of each function and aggregate of users that it runs.
    pub(crate) fn each_function(&self, show: &mut impl FnMut(&str, &[CqlType])) {
        self.items.iter().for_each(|item| item.each_function(show));
        self.aggregates.iter().for_each(|aggregate| aggregate.each_function(show));
    }

    /// Positions of the columns, where it asks for nothing but columns as they are, of rows as
    /// they are.
    pub(super) fn plain_columns(&self) -> Option<Vec<usize>> {
        let is_plain = !self.is_grouped()
            && self.json.is_none()
            && self.nearest.is_none()
            && self.limit.is_none()
            && self.per_partition_limit.is_none()
            && !self.distinct;
        self.items.iter().map(Expression::position).collect::<Option<_>>().filter(|_| is_plain)
    }

    /// Whether rows are put together before they are shown.
    fn is_grouped(&self) -> bool {
        !self.aggregates.is_empty() || !self.group_by.is_empty()
    }

    /// Reads one page; `met` counts the tombstones on the way.
    pub(crate) fn run(
        &self,
        data: View<'_>,
        values: &[Value<'_>],
        page: Page<'_>,
        now_s: i64,
        met: &Tombstones,
    ) -> Result<Rows> {
        let resume = match page.state {
            Some(state) => Some(PagingState::parse(state, self.fingerprint)?),
            None => None,
        };
        let limit = match &resume {
            Some(state) => state.remaining,
            None => limit_of(self.limit.as_ref(), values)?,
        };
        let per_partition = limit_of(self.per_partition_limit.as_ref(), values)?;
        if self.merges && page.size.is_some_and(|size| limit > size as u64) {
            return Err(CqlError::invalid(
                "Cannot page queries with both ORDER BY and a IN restriction on the partition \
                 key; you must either remove the ORDER BY or the IN and sort client side, or \
                 disable paging for this query",
            ));
        }
        let mut reader = PageReader {
            plan: self,
            values,
            now_s,
            met,
            page_size: page
                .size
                .filter(|_| !self.is_grouped() && self.nearest.is_none() && !self.merges)
                .unwrap_or(usize::MAX),
            limit,
            per_partition: if self.distinct { 1 } else { per_partition },
            in_partition: 0,
            cells: Vec::new(),
            row_count: 0,
            last: None,
            has_more: false,
            group: None,
            scored: Vec::new(),
            nearest: None,
            merged: Vec::new(),
        };
        if let Some(nearest) = &self.nearest {
            reader.nearest = Some(nearest.vector(&self.table, values)?);
        }
        reader.read(data, resume.as_ref())?;
        reader.finish()
    }
}

impl Nearest {
    fn vector(&self, table: &Table, values: &[Value<'_>]) -> Result<Vec<f32>> {
        let column = table.columns.get(self.column);
        let typ = column.map_or(&CqlType::INT, |column| &column.typ);
        let bytes = evaluate(&self.to, typ, values)?.into_bytes();
        bytes
            .and_then(|bytes| floats(typ, &bytes))
            .ok_or_else(|| CqlError::invalid("Invalid null value for ANN OF"))
    }
}

/// A LIMIT's value; no limit is `u64::MAX`.
fn limit_of(limit: Option<&Term>, values: &[Value<'_>]) -> Result<u64> {
    let Some(term) = limit else { return Ok(u64::MAX) };
    let Bound::Bytes(bytes) = evaluate(term, &CqlType::INT, values)? else {
        return Ok(u64::MAX);
    };
    let limit = bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    match limit.and_then(|limit| u64::try_from(limit).ok()) {
        Some(limit) if limit > 0 => Ok(limit),
        _ => Err(CqlError::invalid("LIMIT must be strictly positive")),
    }
}

/// What is asked for, resolved.
struct Chosen {
    items: Vec<Expression>,
    aggregates: Vec<Aggregate>,
    /// As the result calls the items.
    names: Vec<String>,
    columns: ResultColumns,
}

fn chosen(
    keyspace: &Keyspace,
    table: &Table,
    select: &Select,
    markers: &mut Markers,
) -> Result<Chosen> {
    let mut planner = Planner { table, keyspace, markers, aggregates: Vec::new() };
    let (mut items, mut names) = (Vec::new(), Vec::new());
    let all_columns = table.columns.iter().enumerate().filter(|_| select.selectors.is_empty());
    for (position, column) in all_columns {
        items.push(Expression::column(position, column.typ.clone()));
        names.push(column.name.clone());
    }
    for Selector { what, alias } in &select.selectors {
        items.push(planner.plan(what, None)?);
        names.push(alias.clone().unwrap_or_else(|| title(what, keyspace, table)));
    }
    let named = names.iter().zip(&items);
    let mut columns: Vec<_> = named
        .map(|(name, item)| ResultColumn { name: name.clone(), typ: item.typ.clone() })
        .collect();
    if select.json {
        columns = vec![ResultColumn { name: "[json]".to_owned(), typ: CqlType::TEXT }];
    }
    let columns =
        ResultColumns { keyspace: table.keyspace.clone(), table: table.name.clone(), columns };
    Ok(Chosen { items, aggregates: planner.aggregates, names, columns })
}

/// Positions of the columns of GROUP BY, which have to be leading ones of the primary key.
fn group_by(table: &Table, select: &Select) -> Result<Vec<usize>> {
    let mut positions = Vec::new();
    for name in &select.group_by {
        let (position, column) = table.column(name)?;
        let is_next = column.kind.is_key() && position >= positions.len();
        // Those between are restricted to one value, or the groups would not be together.
        let between = positions.last().map_or(0, |last| last + 1)..position;
        let is_restricted = between.into_iter().all(|position| {
            table.columns.get(position).is_some_and(|column| {
                let is_one = |relation: &Relation| match relation {
                    Relation::Compare(name, Operator::Eq, _) => *name == column.name,
                    _ => false,
                };
                select.relations.iter().any(is_one)
            })
        });
        if !is_next || !is_restricted {
            return Err(CqlError::invalid(format!(
                "Group by is currently only supported on the columns of the PRIMARY KEY, got {name}"
            )));
        }
        positions.push(position);
    }
    if !positions.is_empty()
        && positions.len() < table.partition_key_len
        && positions.last().is_some_and(|last| last + 1 < table.partition_key_len)
    {
        return Err(CqlError::invalid(
            "Group by is not supported on only a part of the partition key",
        ));
    }
    Ok(positions)
}

fn nearest(table: &Table, select: &Select, markers: &mut Markers) -> Result<Option<Nearest>> {
    let Some((name, to)) = &select.nearest else { return Ok(None) };
    let (position, column) = table.column(name)?;
    let index = table.indexes.iter().find(|index| index.column == *name);
    let similarity = index.map(|index| {
        let option = index.options.iter().find(|(name, _)| name == "similarity_function");
        match option.map(|(_, value)| value.to_ascii_lowercase()).as_deref() {
            Some("euclidean") => Similarity::Euclidean,
            Some("dot_product") => Similarity::DotProduct,
            _ => Similarity::Cosine,
        }
    });
    let similarity = similarity.ok_or_else(|| {
        CqlError::invalid("ANN ordering by vector requires the column to be indexed")
    })?;
    if select.limit.is_none() {
        return Err(CqlError::invalid("Use of ANN OF in an ORDER BY clause requires a LIMIT"));
    }
    markers.note(to, name, &column.typ);
    Ok(Some(Nearest { column: position, to: to.clone(), similarity }))
}

/// Whether ORDER BY asks for the reverse of the declared order.
fn reversed(
    table: &Table,
    order_by: &[(String, bool)],
    restrictions: &Restrictions,
) -> Result<bool> {
    let Some((_, first_desc)) = order_by.first() else { return Ok(false) };
    if !restrictions.has_partitions() {
        return Err(CqlError::invalid(
            "ORDER BY is only supported when the partition key is restricted by an EQ or an IN.",
        ));
    }
    let is_reversed = table.clustering_desc.first() != Some(first_desc);
    for (i, (name, desc)) in order_by.iter().enumerate() {
        let column = table.clustering().get(i).filter(|column| column.name == *name);
        let declared = table.clustering_desc.get(i).copied().unwrap_or(false);
        if column.is_none() || (declared != *desc) != is_reversed {
            return Err(CqlError::invalid(
                "ORDER BY must name clustering columns in declared or fully reversed order",
            ));
        }
    }
    Ok(is_reversed)
}

/// Gathers one page.
struct PageReader<'a> {
    plan: &'a SelectPlan,
    values: &'a [Value<'a>],
    now_s: i64,
    met: &'a Tombstones,
    page_size: usize,
    limit: u64,
    per_partition: u64,
    in_partition: u64,
    cells: Vec<u8>,
    row_count: usize,
    /// Where the last row of the page stands: partition, row, rows of the partition so far.
    last: Option<(PartitionKey, Vec<u8>, u64)>,
    has_more: bool,
    /// Rows that are being put together.
    group: Option<Group>,
    /// How alike each row is, and its cells: of statements that ask for the nearest.
    scored: Vec<(f32, Vec<u8>)>,
    nearest: Option<Vec<f32>>,
    /// Where in its partition each row stands, and its cells: of statements that order the rows of
    /// several partitions.
    merged: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Rows with the same values of GROUP BY.
struct Group {
    key: Vec<Option<Vec<u8>>>,
    states: Vec<State>,
    /// The first row's values of what is no aggregate.
    first: Vec<Option<Vec<u8>>>,
}

impl PageReader<'_> {
    fn read(&mut self, data: View<'_>, resume: Option<&PagingState>) -> Result<()> {
        let plan = self.plan;
        let ranges = plan.restrictions.ranges(&plan.table, self.values)?;
        if plan.restrictions.has_partitions() {
            let mut keys = plan.restrictions.partitions(&plan.table, self.values)?;
            if plan.persona == Persona::Cassandra {
                // By their values, where ScyllaDB has them by token.
                keys.sort_by_cached_key(|(_, values)| plan.table.partition_order(values));
            }
            let mut skips = resume.is_some();
            for (key, _) in keys {
                skips &= resume.is_some_and(|state| state.partition != key);
                if skips {
                    continue;
                }
                let Some(partition) = data.find(&key) else { continue };
                self.met.begin();
                if self.partition(&key, partition, &ranges, resume)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let (low, high) = plan.restrictions.token_range(&plan.table, self.values)?;
        let first = PartitionKey { token: low, bytes: Bytes::new() };
        let from = resume.map_or(&first, |state| &state.partition);
        for (key, partition) in data.from(from) {
            if key.token > high || self.partition(key, partition, &ranges, resume)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn partition(
        &mut self,
        key: &PartitionKey,
        partition: &Partition,
        ranges: &[Range],
        resume: Option<&PagingState>,
    ) -> Result<ControlFlow<()>> {
        let here = resume.filter(|state| *key == state.partition);
        self.in_partition = here.map_or(0, |state| state.in_partition);
        let statics = partition.statics(self.now_s);
        if statics.is_some() && here.is_none() && !self.plan.restrictions.has_clustering() {
            let all = Range::all();
            if partition.range(&all, self.now_s).next().is_none() {
                let row = RowValues { partition: &partition.key, row: None, statics };
                return self.row(key, &[], &row);
            }
        }
        let count = ranges.len();
        for i in 0..count {
            let at = if self.plan.reversed { count - 1 - i } else { i };
            let Some(mut range) = ranges.get(at).cloned() else { continue };
            if let Some(state) = here {
                skip_done(&mut range, &state.row, self.plan.reversed);
            }
            let rows = partition.scan(&range, self.now_s, self.met);
            let flow = if self.plan.reversed {
                self.rows(key, partition, rows.rev())?
            } else {
                self.rows(key, partition, rows)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn rows<'d>(
        &mut self,
        key: &PartitionKey,
        partition: &Partition,
        rows: impl Iterator<Item = (&'d [u8], RowView<'d>)>,
    ) -> Result<ControlFlow<()>> {
        let statics = partition.statics(self.now_s);
        for (row_key, row) in rows {
            let row = RowValues { partition: &partition.key, row: Some(row), statics };
            if self.in_partition >= self.per_partition {
                break;
            }
            if self.row(key, row_key, &row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a row into the page if it passes the filters.
    fn row(
        &mut self,
        key: &PartitionKey,
        row_key: &[u8],
        row: &RowValues<'_>,
    ) -> Result<ControlFlow<()>> {
        if !self.plan.restrictions.accepts(&self.plan.table, row, self.values)? {
            return Ok(ControlFlow::Continue(()));
        }
        if self.nearest.is_some() {
            return self.score(row);
        }
        if self.plan.is_grouped() {
            return self.add_to_group(row);
        }
        if self.plan.merges {
            self.in_partition += 1;
            self.emit(row)?;
            let cells = std::mem::take(&mut self.cells);
            self.merged.push((row_key.to_vec(), cells));
            return Ok(ControlFlow::Continue(()));
        }
        if self.limit == 0 {
            return Ok(ControlFlow::Break(()));
        }
        if self.row_count >= self.page_size {
            self.has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        self.limit -= 1;
        self.in_partition += 1;
        self.row_count += 1;
        // Only the last row's place is needed, and only if a page can end there.
        if self.row_count == self.page_size {
            self.last = Some((key.clone(), row_key.to_vec(), self.in_partition));
        }
        self.emit(row)?;
        Ok(ControlFlow::Continue(()))
    }

    fn scope<'s>(
        &'s self,
        row: Option<&'s RowValues<'s>>,
        aggregates: &'s [Option<Vec<u8>>],
    ) -> Scope<'s> {
        Scope { table: &self.plan.table, values: self.values, now_s: self.now_s, row, aggregates }
    }

    /// Keeps a row until it is known which are nearest.
    fn score(&mut self, row: &RowValues<'_>) -> Result<ControlFlow<()>> {
        let (Some(nearest), Some(to)) = (&self.plan.nearest, &self.nearest) else {
            return Ok(ControlFlow::Continue(()));
        };
        let column = self.plan.table.columns.get(nearest.column);
        let value = column.and_then(|column| Some((column, row.value(column)?)));
        let vector = value.and_then(|(column, value)| floats(&column.typ, &value));
        let Some(vector) = vector else { return Ok(ControlFlow::Continue(())) };
        let score = nearest.similarity.of(&vector, to);
        self.emit(row)?;
        let cells = std::mem::take(&mut self.cells);
        self.scored.push((score, cells));
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a row into its group; the one before is shown when another begins.
    fn add_to_group(&mut self, row: &RowValues<'_>) -> Result<ControlFlow<()>> {
        let plan = self.plan;
        let column = |position: &usize| {
            let value = plan.table.columns.get(*position).and_then(|column| row.value(column));
            value.map(std::borrow::Cow::into_owned)
        };
        let key: Vec<_> = plan.group_by.iter().map(column).collect();
        if self.group.as_ref().is_some_and(|group| group.key != key) {
            self.end_group()?;
        }
        if self.group.is_none() {
            if self.limit == 0 {
                return Ok(ControlFlow::Break(()));
            }
            let scope = self.scope(Some(row), &[]);
            let first = |item: &Expression| match item.has_aggregate() {
                true => Ok(None),
                false => item.value(scope),
            };
            let first = plan.items.iter().map(first).collect::<Result<_>>()?;
            let states = plan.aggregates.iter().map(Aggregate::start).collect();
            self.group = Some(Group { key, states, first });
        }
        let mut arguments = Vec::new();
        for aggregate in &plan.aggregates {
            arguments.push(all(&aggregate.arguments, self.scope(Some(row), &[]))?);
        }
        if let Some(group) = &mut self.group {
            let states = group.states.iter_mut().zip(&plan.aggregates);
            for ((state, aggregate), arguments) in states.zip(&arguments) {
                aggregate.add(state, arguments)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Shows what the rows of a group make.
    fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let results = self.plan.aggregates.iter().zip(group.states);
        let results: Vec<_> =
            results.map(|(aggregate, state)| aggregate.finish(state)).collect::<Result<_>>()?;
        let mut shown = Vec::new();
        for (item, first) in self.plan.items.iter().zip(group.first) {
            shown.push(match item.has_aggregate() {
                true => item.value(self.scope(None, &results))?,
                false => first,
            });
        }
        self.write(&shown);
        self.limit -= 1;
        self.row_count += 1;
        Ok(())
    }

    fn emit(&mut self, row: &RowValues<'_>) -> Result<()> {
        let plan = self.plan;
        if plan.json.is_none() && plan.items.iter().all(|item| item.position().is_some()) {
            // Nearly all statements ask for columns as they are: they need no copies.
            let mut out = Writer::new(&mut self.cells);
            for position in plan.items.iter().filter_map(Expression::position) {
                let column = plan.table.columns.get(position);
                out.bytes(column.and_then(|column| row.value(column)).as_deref());
            }
            return Ok(());
        }
        let values = all(&plan.items, self.scope(Some(row), &[]))?;
        self.write(&values);
        Ok(())
    }

    /// Appends a row of the result.
    fn write(&mut self, values: &[Option<Vec<u8>>]) {
        let plan = self.plan;
        let mut out = Writer::new(&mut self.cells);
        let Some(names) = &plan.json else {
            values.iter().for_each(|value| out.bytes(value.as_deref()));
            return;
        };
        let mut text = "{".to_owned();
        for (index, (name, (item, value))) in
            names.iter().zip(plan.items.iter().zip(values)).enumerate()
        {
            if index > 0 {
                text.push_str(", ");
            }
            write_name(name, &mut text);
            text.push_str(": ");
            write_json(&item.typ, value.as_deref(), &mut text);
        }
        text.push('}');
        out.bytes(Some(text.as_bytes()));
    }

    /// Shows the last group; without GROUP BY there is one even of no rows.
    fn end_groups(&mut self) -> Result<()> {
        if !self.plan.is_grouped() {
            return Ok(());
        }
        if self.group.is_none() && self.plan.group_by.is_empty() && self.row_count == 0 {
            let states = self.plan.aggregates.iter().map(Aggregate::start).collect();
            let first = self.plan.items.iter().map(|_| None).collect();
            self.group = Some(Group { key: Vec::new(), states, first });
        }
        if self.limit > 0 { self.end_group() } else { Ok(()) }
    }

    /// Shows the nearest rows, the nearest first.
    fn show_nearest(&mut self) {
        let mut scored = std::mem::take(&mut self.scored);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.show_rows(scored.into_iter().map(|(_, cells)| cells));
    }

    /// Shows the rows of several partitions, in the order of ORDER BY.
    fn show_merged(&mut self) {
        let mut merged = std::mem::take(&mut self.merged);
        match self.plan.reversed {
            true => merged.sort_by(|a, b| b.0.cmp(&a.0)),
            false => merged.sort_by(|a, b| a.0.cmp(&b.0)),
        }
        self.show_rows(merged.into_iter().map(|(_, cells)| cells));
    }

    /// Appends rows, as many as may still be shown.
    fn show_rows(&mut self, rows: impl Iterator<Item = Vec<u8>>) {
        for cells in rows {
            if self.limit == 0 {
                return;
            }
            self.limit -= 1;
            self.row_count += 1;
            self.cells.extend(cells);
        }
    }

    fn finish(mut self) -> Result<Rows> {
        self.end_groups()?;
        self.show_nearest();
        self.show_merged();
        let state = self.last.filter(|_| self.has_more).map(|(partition, row, in_partition)| {
            PagingState {
                statement: self.plan.fingerprint,
                remaining: self.limit,
                in_partition,
                partition,
                row,
            }
            .to_bytes()
        });
        Ok(Rows {
            columns: Rc::clone(&self.plan.columns),
            cells: self.cells,
            row_count: self.row_count,
            paging_state: state,
        })
    }
}

/// Takes off a range what the pages before have shown.
fn skip_done(range: &mut Range, last: &[u8], is_reversed: bool) {
    if is_reversed {
        if range.to.as_deref().is_none_or(|to| last < to) {
            range.to = Some(last.to_vec());
        }
        return;
    }
    let next = [last, &[0]].concat();
    if next > range.from {
        range.from = next;
    }
}
