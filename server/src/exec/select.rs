//! SELECT.

use std::ops::{Bound, ControlFlow};
use std::rc::Rc;

use super::bind::Markers;
use super::paging::PagingState;
use super::restrict::{Restrictions, RowValues, token_bytes};
use super::result::{ResultColumn, ResultColumns, Rows};
use crate::cql::ast::{Select, Selected, Selector, Term};
use crate::error::CqlError;
use crate::routing::murmur3;
use crate::schema::{Column, Kind, Table};
use crate::store::{Partition, PartitionKey, Range, RowView, TableData};
use crate::value::literal::{Bound as BoundValue, evaluate};
use crate::value::types::CqlType;
use crate::wire::read::Value;
use crate::wire::write::Writer;

type Result<T> = std::result::Result<T, CqlError>;

/// One item of a result row.
#[derive(Clone, Debug)]
enum Item {
    Column(usize),
    Writetime(u16),
    Ttl(u16),
    Token,
}

/// A SELECT, ready to run.
#[derive(Debug)]
pub(crate) struct SelectPlan {
    pub(crate) table: Rc<Table>,
    items: Vec<Item>,
    /// The result is the number of rows.
    is_count: bool,
    pub(crate) columns: Rc<ResultColumns>,
    pub(crate) restrictions: Restrictions,
    reversed: bool,
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
        table: &Rc<Table>,
        select: &Select,
        text: &str,
        markers: &mut Markers,
    ) -> Result<Self> {
        let restrictions = Restrictions::plan(table, &select.relations, markers)?;
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
        let (items, columns) = selected(table, &select.selectors)?;
        if select.distinct && !items.iter().all(|item| is_of_partition(table, item)) {
            return Err(CqlError::invalid(
                "SELECT DISTINCT queries must only request partition key columns",
            ));
        }
        Ok(Self {
            table: Rc::clone(table),
            is_count: items.is_empty(),
            items,
            columns: Rc::new(columns),
            reversed: reversed(table, &select.order_by, &restrictions)?,
            restrictions,
            limit: select.limit.clone(),
            per_partition_limit: select.per_partition_limit.clone(),
            distinct: select.distinct,
            fingerprint: murmur3(&[&table.id, text.as_bytes()].concat()).cast_unsigned(),
        })
    }

    /// Reads one page.
    pub(crate) fn run(
        &self,
        data: &TableData,
        values: &[Value<'_>],
        page: Page<'_>,
        now_s: i64,
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
        let mut reader = PageReader {
            plan: self,
            values,
            now_s,
            page_size: page.size.filter(|_| !self.is_count).unwrap_or(usize::MAX),
            limit,
            per_partition: if self.distinct { 1 } else { per_partition },
            in_partition: 0,
            cells: Vec::new(),
            row_count: 0,
            last: None,
            has_more: false,
        };
        reader.read(data, resume.as_ref())?;
        Ok(reader.finish())
    }
}

/// A LIMIT's value; no limit is `u64::MAX`.
fn limit_of(limit: Option<&Term>, values: &[Value<'_>]) -> Result<u64> {
    let Some(term) = limit else { return Ok(u64::MAX) };
    let BoundValue::Bytes(bytes) = evaluate(term, &CqlType::INT, values)? else {
        return Ok(u64::MAX);
    };
    let limit = bytes.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    match limit.and_then(|limit| u64::try_from(limit).ok()) {
        Some(limit) if limit > 0 => Ok(limit),
        _ => Err(CqlError::invalid("LIMIT must be strictly positive")),
    }
}

fn is_of_partition(table: &Table, item: &Item) -> bool {
    match item {
        Item::Column(position) => *position < table.partition_key_len,
        Item::Token => true,
        _ => false,
    }
}

fn selected(table: &Table, selectors: &[Selector]) -> Result<(Vec<Item>, ResultColumns)> {
    let mut items = Vec::new();
    let mut columns = Vec::new();
    let mut push = |name: String, alias: &Option<String>, typ: &CqlType| {
        columns.push(ResultColumn { name: alias.clone().unwrap_or(name), typ: typ.clone() });
    };
    for (position, column) in table.columns.iter().enumerate().filter(|_| selectors.is_empty()) {
        push(column.name.clone(), &None, &column.typ);
        items.push(Item::Column(position));
    }
    for Selector { what, alias } in selectors {
        match what {
            Selected::Column(name) => {
                let (position, column) = table.column(name)?;
                push(name.clone(), alias, &column.typ);
                items.push(Item::Column(position));
            }
            Selected::Writetime(name) => {
                push(format!("writetime({name})"), alias, &CqlType::BIGINT);
                items.push(Item::Writetime(stamped(table, name)?.id));
            }
            Selected::Ttl(name) => {
                push(format!("ttl({name})"), alias, &CqlType::INT);
                items.push(Item::Ttl(stamped(table, name)?.id));
            }
            Selected::Token(names) => {
                if !names.iter().eq(table.partition_key().iter().map(|column| &column.name)) {
                    return Err(CqlError::invalid("token() needs the partition key's columns"));
                }
                push(format!("system.token({})", names.join(", ")), alias, &CqlType::BIGINT);
                items.push(Item::Token);
            }
            Selected::CountAll if selectors.len() == 1 => {
                push("count".to_owned(), alias, &CqlType::BIGINT);
            }
            Selected::CountAll => {
                return Err(CqlError::invalid("count(*) beside other columns is not supported"));
            }
        }
    }
    let columns =
        ResultColumns { keyspace: table.keyspace.clone(), table: table.name.clone(), columns };
    Ok((items, columns))
}

fn stamped<'a>(table: &'a Table, name: &str) -> Result<&'a Column> {
    let (_, column) = table.column(name)?;
    if column.kind != Kind::Regular || column.typ.is_multi_cell() {
        return Err(CqlError::invalid(format!("Cannot use writetime or ttl on {name}")));
    }
    Ok(column)
}

/// Whether ORDER BY asks for the reverse of the declared order.
fn reversed(
    table: &Table,
    order_by: &[(String, bool)],
    restrictions: &Restrictions,
) -> Result<bool> {
    let Some((_, first_desc)) = order_by.first() else { return Ok(false) };
    if !restrictions.has_one_partition() {
        return Err(CqlError::invalid(
            "ORDER BY is only supported when the partition key is restricted by an EQ",
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
    page_size: usize,
    limit: u64,
    per_partition: u64,
    in_partition: u64,
    cells: Vec<u8>,
    row_count: usize,
    /// Where the last row of the page stands: partition, row, rows of the partition so far.
    last: Option<(PartitionKey, Vec<u8>, u64)>,
    has_more: bool,
}

impl PageReader<'_> {
    fn read(&mut self, data: &TableData, resume: Option<&PagingState>) -> Result<()> {
        let plan = self.plan;
        let ranges = plan.restrictions.ranges(&plan.table, self.values)?;
        if plan.restrictions.has_partitions() {
            for (key, _) in plan.restrictions.partitions(&plan.table, self.values)? {
                let Some(partition) = data.find(&key) else { continue };
                if self.partition(&key, partition, &ranges, resume)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let (low, high) = plan.restrictions.token_range(self.values)?;
        let first = PartitionKey { token: low, bytes: Vec::new() };
        let from = resume.map_or(first, |state| state.partition.clone());
        for (key, partition) in data.from(Bound::Included(from)) {
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
        let here = match resume {
            Some(state) if *key < state.partition => return Ok(ControlFlow::Continue(())),
            Some(state) if *key == state.partition => Some(state),
            _ => None,
        };
        self.in_partition = here.map_or(0, |state| state.in_partition);
        let count = ranges.len();
        for i in 0..count {
            let at = if self.plan.reversed { count - 1 - i } else { i };
            let Some(mut range) = ranges.get(at).cloned() else { continue };
            if let Some(state) = here {
                skip_done(&mut range, &state.row, self.plan.reversed);
            }
            let rows = partition.range(&range, self.now_s);
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
        for (row_key, row) in rows {
            let row_values = RowValues { partition: &partition.key, row };
            if !self.plan.restrictions.accepts(&self.plan.table, &row_values, self.values)? {
                continue;
            }
            if self.in_partition >= self.per_partition {
                break;
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
            self.emit(&row_values);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn emit(&mut self, row: &RowValues<'_>) {
        let mut out = Writer::new(&mut self.cells);
        for item in &self.plan.items {
            match item {
                Item::Column(position) => {
                    let column = self.plan.table.columns.get(*position);
                    out.bytes(column.and_then(|column| row.value(column)));
                }
                Item::Writetime(id) => {
                    let at = row.row.cell(*id).map(|cell| cell.stamp.at.to_be_bytes());
                    out.bytes(at.as_ref().map(<[u8; 8]>::as_slice));
                }
                Item::Ttl(id) => {
                    let expires = row.row.cell(*id).and_then(|cell| cell.stamp.expires);
                    let left = expires.map(|(expires_s, _)| {
                        i32::try_from(expires_s - self.now_s).unwrap_or(i32::MAX).to_be_bytes()
                    });
                    out.bytes(left.as_ref().map(<[u8; 4]>::as_slice));
                }
                Item::Token => out.bytes(Some(&token_bytes(row.partition))),
            }
        }
    }

    fn finish(mut self) -> Rows {
        if self.plan.is_count {
            let count = i64::try_from(self.row_count).unwrap_or(i64::MAX);
            self.cells.clear();
            Writer::new(&mut self.cells).bytes(Some(&count.to_be_bytes()));
            self.row_count = 1;
        }
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
        Rows {
            columns: Rc::clone(&self.plan.columns),
            cells: self.cells,
            row_count: self.row_count,
            paging_state: state,
        }
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
