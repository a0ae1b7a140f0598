//! WHERE clauses: which partitions, which rows of them, and what is left to filter.

use std::borrow::Cow;

use crate::cql::ast::{InList, Operator, Relation, Term};
use crate::error::CqlError;
use crate::exec::bind::Markers;
use crate::schema::{Column, Kind, Table};
use crate::store::{PartitionKey, Range, RowView, successor};
use crate::value::literal::{Bound, evaluate};
use crate::value::multi_cell::assemble;
use crate::value::order::{ordered, write_ordered};
use crate::value::types::CqlType;
use crate::value::validate::{elements, parts};
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// Most combinations of IN lists of one statement.
const COMBINATIONS_MAX: usize = 10_000;

/// `=` or IN on one key column.
#[derive(Clone, Debug)]
enum Choice {
    One(Term),
    Many(InList),
}

/// A slice of clustering columns, beginning with the first that has no `=` or IN.
#[derive(Clone, Debug)]
struct Slice {
    operator: Operator,
    /// The columns' values, or one marker that binds them all.
    term: Term,
    len: usize,
}

/// `(a, b) IN (…)` on leading clustering columns, or on the next ones.
#[derive(Clone, Debug)]
struct Tuples {
    /// The first column's place among the clustering columns.
    at: usize,
    len: usize,
    list: InList,
}

/// A condition that is checked row by row.
#[derive(Clone, Debug)]
struct Filter {
    column: usize,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Compare(Operator, Term),
    In(InList),
    Contains(Term),
    ContainsKey(Term),
    Entry(Term, Term),
}

/// A WHERE clause, sorted out.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions {
    /// One per column of the partition key, or none for a scan.
    partition: Vec<Choice>,
    token: Vec<(Operator, Term)>,
    prefix: Vec<Choice>,
    tuples: Option<Tuples>,
    slices: Vec<Slice>,
    filters: Vec<Filter>,
    /// A filter is on a column that has an index.
    has_index: bool,
}

/// A row's values: for filters, conditions and results.
#[derive(Clone, Copy)]
pub(crate) struct RowValues<'a> {
    pub(crate) partition: &'a [Vec<u8>],
    /// None where there is nothing but static columns.
    pub(crate) row: Option<RowView<'a>>,
    pub(crate) statics: Option<RowView<'a>>,
}

impl<'a> RowValues<'a> {
    pub(crate) fn value(&self, column: &Column) -> Option<Cow<'a, [u8]>> {
        match column.kind {
            Kind::PartitionKey(position) => {
                self.partition.get(position).map(|value| value.as_slice().into())
            }
            Kind::Clustering(position) => {
                self.row?.clustering().get(position).map(|value| value.as_slice().into())
            }
            Kind::Static | Kind::Regular => {
                let row = self.holder(column)?;
                if column.typ.is_multi_cell() {
                    return assemble(&column.typ, row.elements(column.id)).map(Cow::Owned);
                }
                row.cell(column.id)?.value.as_deref().map(Cow::Borrowed)
            }
        }
    }

    /// What has the cells of a column that is no part of the key.
    pub(crate) fn holder(&self, column: &Column) -> Option<RowView<'a>> {
        if column.kind == Kind::Static { self.statics } else { self.row }
    }
}

impl Restrictions {
    /// Sorts out the relations of a statement on `table`; its markers are noted in `markers`.
    pub(crate) fn plan(
        table: &Table,
        relations: &[Relation],
        markers: &mut Markers,
    ) -> Result<Self> {
        note_markers(table, relations, markers)?;
        check_twice(table, relations)?;
        let mut plan = Self {
            partition: Vec::new(),
            token: Vec::new(),
            prefix: Vec::new(),
            tuples: None,
            slices: Vec::new(),
            filters: Vec::new(),
            has_index: false,
        };
        plan.plan_partition(table, relations)?;
        let used = plan.plan_clustering(table, relations)?;
        plan.plan_filters(table, relations, used)?;
        Ok(plan)
    }

    /// An INSERT's values as restrictions: `=` on every column of the primary key, or only of the
    /// partition key.
    pub(crate) fn of_key(
        table: &Table,
        values: &[(String, Term)],
        of_partition: bool,
    ) -> Result<Self> {
        let choice = |column: &Column| {
            values
                .iter()
                .find(|(name, _)| *name == column.name)
                .map(|(_, term)| Choice::One(term.clone()))
                .ok_or_else(|| {
                    CqlError::invalid(format!(
                        "Some primary key parts are missing: {}",
                        column.name
                    ))
                })
        };
        Ok(Self {
            partition: table.partition_key().iter().map(choice).collect::<Result<_>>()?,
            token: Vec::new(),
            prefix: match of_partition {
                true => Vec::new(),
                false => table.clustering().iter().map(choice).collect::<Result<_>>()?,
            },
            tuples: None,
            slices: Vec::new(),
            filters: Vec::new(),
            has_index: false,
        })
    }

    fn plan_partition(&mut self, table: &Table, relations: &[Relation]) -> Result<()> {
        for column in table.partition_key() {
            match choice_of(relations, &column.name) {
                Some(choice) => self.partition.push(choice),
                None => {
                    self.partition.clear();
                    break;
                }
            }
        }
        for relation in relations {
            let Relation::Token(columns, operator, term) = relation else { continue };
            if !columns.iter().eq(table.partition_key().iter().map(|column| &column.name)) {
                return Err(CqlError::invalid(
                    "The token() function must be applied to all partition key components in order",
                ));
            }
            self.token.push((*operator, term.clone()));
        }
        Ok(())
    }

    /// Takes `=` and IN on leading clustering columns, then slices on the next; says how many
    /// columns are done with.
    fn plan_clustering(&mut self, table: &Table, relations: &[Relation]) -> Result<usize> {
        if self.partition.is_empty() {
            return Ok(0);
        }
        for column in table.clustering() {
            match choice_of(relations, &column.name) {
                Some(choice) => self.prefix.push(choice),
                None => break,
            }
        }
        for relation in relations {
            let (names, list) = match relation {
                Relation::TupleIn(names, list) => (names, list.clone()),
                Relation::Tuple(names, Operator::Eq, term) => {
                    (names, InList::Terms(vec![term.clone()]))
                }
                _ => continue,
            };
            if self.tuples.is_some() {
                return Err(CqlError::invalid("a second IN of several columns is not supported"));
            }
            let at = self.prefix.len();
            check_tuple(table, at, names)?;
            self.tuples = Some(Tuples { at, len: names.len(), list });
        }
        let at = self.prefix.len() + self.tuples.as_ref().map_or(0, |tuples| tuples.len);
        let Some(next) = table.clustering().get(at) else { return Ok(at) };
        for relation in relations {
            match relation {
                Relation::Compare(name, operator, term)
                    if *name == next.name && *operator != Operator::NotEq =>
                {
                    let term = Term::Tuple(vec![term.clone()]);
                    self.slices.push(Slice { operator: *operator, term, len: 1 });
                }
                Relation::Tuple(names, operator, term) if *operator != Operator::Eq => {
                    check_tuple(table, at, names)?;
                    check_order(table, at, names)?;
                    let len = names.len();
                    if let Term::Tuple(terms) = term
                        && terms.len() != len
                    {
                        return Err(CqlError::invalid(format!(
                            "Expected {len} elements in value tuple, but got {}",
                            terms.len()
                        )));
                    }
                    self.slices.push(Slice { operator: *operator, term: term.clone(), len });
                }
                _ => {}
            }
        }
        let is_start = |slice: &&Slice| matches!(slice.operator, Operator::Gt | Operator::GtEq);
        let starts = self.slices.iter().filter(is_start).count();
        if starts > 1 || self.slices.len() - starts > 1 {
            return Err(CqlError::invalid(format!(
                "More than one restriction was found for the start or end bound on {}",
                next.name
            )));
        }
        Ok(at + usize::from(!self.slices.is_empty()))
    }

    fn plan_filters(&mut self, table: &Table, relations: &[Relation], used: usize) -> Result<()> {
        for relation in relations {
            let (name, test) = match relation {
                Relation::Compare(name, operator, term) => {
                    (name, Test::Compare(*operator, term.clone()))
                }
                Relation::In(name, list) => (name, Test::In(list.clone())),
                Relation::Contains(name, term) => (name, Test::Contains(term.clone())),
                Relation::ContainsKey(name, term) => (name, Test::ContainsKey(term.clone())),
                Relation::Entry(name, key, term) => (name, Test::Entry(key.clone(), term.clone())),
                Relation::Tuple(..) | Relation::TupleIn(..) if self.partition.is_empty() => {
                    return Err(CqlError::invalid(
                        "Multi-column relations need the whole partition key",
                    ));
                }
                Relation::IsNotNull(name) => {
                    return Err(CqlError::invalid(format!(
                        "Unsupported restriction: {name} IS NOT NULL"
                    )));
                }
                Relation::Tuple(..) | Relation::TupleIn(..) | Relation::Token(..) => continue,
            };
            let (position, column) = table.column(name)?;
            let is_done = match column.kind {
                Kind::PartitionKey(_) => !self.partition.is_empty(),
                Kind::Clustering(position) => position < used,
                Kind::Static | Kind::Regular => false,
            };
            check_filter(column, &test)?;
            if !is_done {
                // An index finds what is equal, and what is in a collection.
                let is_found = !matches!(
                    test,
                    Test::In(_)
                        | Test::Compare(
                            Operator::NotEq
                                | Operator::Lt
                                | Operator::LtEq
                                | Operator::Gt
                                | Operator::GtEq,
                            _
                        )
                );
                self.has_index |= is_found && table.has_index(column);
                self.filters.push(Filter { column: position, test });
            }
        }
        Ok(())
    }

    /// Whether rows are looked at one by one.
    pub(crate) fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether rows have to be looked at one by one, which needs ALLOW FILTERING unless it is for
    /// one column that has an index.
    pub(crate) fn is_filtering(&self) -> bool {
        self.filters.len() > usize::from(self.has_index)
    }

    /// Whether the partition key is given.
    pub(crate) fn has_partitions(&self) -> bool {
        !self.partition.is_empty()
    }

    /// Whether exactly one partition is given.
    pub(crate) fn has_one_partition(&self) -> bool {
        self.has_partitions()
            && self.partition.iter().all(|choice| matches!(choice, Choice::One(_)))
    }

    /// Whether every clustering column has an `=` or IN.
    pub(crate) fn has_whole_rows(&self, table: &Table) -> bool {
        let in_tuples = self.tuples.as_ref().map_or(0, |tuples| tuples.len);
        self.prefix.len() + in_tuples == table.clustering().len()
    }

    /// Whether at most one row is given.
    pub(crate) fn has_one_row(&self, table: &Table) -> bool {
        self.has_one_partition()
            && self.has_whole_rows(table)
            && self.tuples.is_none()
            && self.prefix.iter().all(|choice| matches!(choice, Choice::One(_)))
    }

    /// The markers that bind the columns of the primary key, in order, if it is given whole and
    /// by markers alone, and nothing else is asked.
    pub(crate) fn row_markers(&self, table: &Table) -> Option<Vec<usize>> {
        let is_plain = self.has_one_row(table)
            && self.token.is_empty()
            && self.slices.is_empty()
            && self.filters.is_empty();
        let marker = |choice: &Choice| match choice {
            Choice::One(Term::Marker(index)) => Some(*index),
            _ => None,
        };
        self.partition
            .iter()
            .chain(&self.prefix)
            .map(marker)
            .collect::<Option<_>>()
            .filter(|_| is_plain)
    }

    /// Whether clustering columns are restricted at all.
    pub(crate) fn has_clustering(&self) -> bool {
        !self.prefix.is_empty() || self.tuples.is_some() || !self.slices.is_empty()
    }

    /// For each column of the partition key the marker that binds it, if all have one.
    pub(crate) fn key_indexes(&self) -> Vec<u16> {
        let index = |choice: &Choice| match choice {
            Choice::One(Term::Marker(index)) => u16::try_from(*index).ok(),
            _ => None,
        };
        self.partition.iter().map(index).collect::<Option<_>>().unwrap_or_default()
    }

    /// The partition keys that are asked for, each as its columns' values, in token order.
    pub(crate) fn partitions(
        &self,
        table: &Table,
        values: &[Value<'_>],
    ) -> Result<Vec<(PartitionKey, Vec<Vec<u8>>)>> {
        let combinations = combine(table.partition_key(), &self.partition, values)?;
        let mut keys: Vec<_> =
            combinations.into_iter().map(|key| (table.partition_of(&key), key)).collect();
        if keys.iter().any(|(key, _)| key.bytes.is_empty()) {
            return Err(CqlError::invalid("Key may not be empty"));
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// The least and the greatest token that are asked for.
    pub(crate) fn token_range(&self, table: &Table, values: &[Value<'_>]) -> Result<(i64, i64)> {
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        for (operator, term) in &self.token {
            let token = token_value(table, term, values)?;
            match operator {
                Operator::Eq => (low, high) = (low.max(token), high.min(token)),
                Operator::Gt if token == i64::MAX => high = i64::MIN,
                Operator::Gt => low = low.max(token + 1),
                Operator::GtEq => low = low.max(token),
                Operator::Lt => high = high.min(token.saturating_sub(1)),
                Operator::LtEq => high = high.min(token),
                Operator::NotEq => {
                    return Err(CqlError::invalid("token() cannot be compared with !="));
                }
            }
        }
        Ok((low, high))
    }

    /// The rows' clustering values that are asked for; every clustering column must be given.
    pub(crate) fn rows(&self, table: &Table, values: &[Value<'_>]) -> Result<Vec<Vec<Vec<u8>>>> {
        self.prefixes(table, values)
    }

    /// The leading clustering columns' values that are asked for.
    fn prefixes(&self, table: &Table, values: &[Value<'_>]) -> Result<Vec<Vec<Vec<u8>>>> {
        let combinations = combine(table.clustering(), &self.prefix, values)?;
        let Some(Tuples { at, len, list }) = &self.tuples else { return Ok(combinations) };
        let columns = table.clustering().get(*at..at + len).unwrap_or_default();
        let tuples = match list {
            InList::Terms(terms) => terms
                .iter()
                .map(|term| tuple_values(columns, term, values))
                .collect::<Result<Vec<_>>>()?,
            InList::Marker(term) => {
                let types = columns.iter().map(|column| column.typ.clone()).collect();
                let typ = CqlType::List(Box::new(CqlType::Tuple(types)));
                let Bound::Bytes(bytes) = evaluate(term, &typ, values)? else {
                    return Err(CqlError::invalid("Invalid null value for IN"));
                };
                let items = elements(&bytes, 1).map_err(CqlError::invalid)?;
                items.into_iter().map(|item| split_tuple(columns, item)).collect::<Result<_>>()?
            }
        };
        if combinations.len().saturating_mul(tuples.len()) > COMBINATIONS_MAX {
            return Err(CqlError::invalid(format!(
                "IN asks for more than {COMBINATIONS_MAX} rows"
            )));
        }
        let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
        for prefix in &combinations {
            rows.extend(tuples.iter().map(|tuple| [prefix.as_slice(), tuple].concat()));
        }
        Ok(rows)
    }

    /// The ranges of rows that are asked for, in clustering order.
    pub(crate) fn ranges(&self, table: &Table, values: &[Value<'_>]) -> Result<Vec<Range>> {
        let mut ranges = Vec::new();
        for combination in self.prefixes(table, values)? {
            let prefix = table.row_key(&combination);
            let mut range = Range::of_prefix(prefix.clone());
            for slice in &self.slices {
                slice.narrow(table, combination.len(), &prefix, values, &mut range)?;
            }
            ranges.push(range);
        }
        ranges.sort_by(|a, b| a.from.cmp(&b.from));
        ranges.dedup();
        Ok(ranges)
    }

    /// The same for a deletion that is told of: with the clustering values at both ends.
    pub(crate) fn ranges_and_ends(
        &self,
        table: &Table,
        values: &[Value<'_>],
    ) -> Result<Vec<(Range, Ends)>> {
        let mut ranges = Vec::new();
        for combination in self.prefixes(table, values)? {
            let prefix = table.row_key(&combination);
            let mut range = Range::of_prefix(prefix.clone());
            let end = End { values: combination.clone(), is_inclusive: true };
            let mut ends = Ends { from: end.clone(), to: end };
            for slice in &self.slices {
                let before = range.clone();
                slice.narrow(table, combination.len(), &prefix, values, &mut range)?;
                let columns = table.clustering().get(combination.len()..).unwrap_or_default();
                let columns = columns.get(..slice.len).unwrap_or_default();
                let given = tuple_values(columns, &slice.term, values)?;
                let end = End {
                    values: [combination.as_slice(), &given].concat(),
                    is_inclusive: !matches!(slice.operator, Operator::Lt | Operator::Gt),
                };
                if range.from != before.from {
                    ends.from = end.clone();
                }
                if range.to != before.to {
                    ends.to = end;
                }
            }
            ranges.push((range, ends));
        }
        ranges.sort_by(|a, b| a.0.from.cmp(&b.0.from));
        ranges.dedup_by(|a, b| a.0 == b.0);
        Ok(ranges)
    }

    /// Whether a row passes the filters.
    pub(crate) fn accepts(
        &self,
        table: &Table,
        row: &RowValues<'_>,
        values: &[Value<'_>],
    ) -> Result<bool> {
        for filter in &self.filters {
            let Some(column) = table.columns.get(filter.column) else { continue };
            if !filter.test.accepts(column, row.value(column).as_deref(), values)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Where a range of rows begins or ends: values of the first clustering columns, in clustering
/// order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct End {
    pub(crate) values: Vec<Vec<u8>>,
    /// Whether rows with these values are in it.
    pub(crate) is_inclusive: bool,
}

/// Both ends of a range of rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ends {
    pub(crate) from: End,
    pub(crate) to: End,
}

impl Slice {
    fn narrow(
        &self,
        table: &Table,
        at: usize,
        prefix: &[u8],
        values: &[Value<'_>],
        range: &mut Range,
    ) -> Result<()> {
        let mut key = prefix.to_vec();
        let columns = table.clustering().get(at..at + self.len).unwrap_or_default();
        let given = tuple_values(columns, &self.term, values)?;
        let mut is_desc = false;
        let desc = table.clustering_desc.iter().skip(at);
        for ((column, desc), value) in columns.iter().zip(desc).zip(given) {
            is_desc = *desc;
            write_ordered(&column.typ, &value, *desc, &mut key);
        }
        let operator = match (is_desc, self.operator) {
            (true, Operator::Lt) => Operator::Gt,
            (true, Operator::LtEq) => Operator::GtEq,
            (true, Operator::Gt) => Operator::Lt,
            (true, Operator::GtEq) => Operator::LtEq,
            (_, operator) => operator,
        };
        let (from, to) = match operator {
            Operator::Lt => (None, Some(key)),
            Operator::LtEq => (None, successor(&key)),
            Operator::Gt => (successor(&key), None),
            Operator::GtEq => (Some(key), None),
            Operator::Eq => (Some(key.clone()), successor(&key)),
            Operator::NotEq => return Err(CqlError::invalid("!= is not supported on key columns")),
        };
        if let Some(from) = from.filter(|from| *from > range.from) {
            range.from = from;
        }
        if let Some(to) = to.filter(|to| range.to.as_ref().is_none_or(|old| to < old)) {
            range.to = Some(to);
        }
        Ok(())
    }
}

impl Test {
    fn accepts(&self, column: &Column, value: Option<&[u8]>, values: &[Value<'_>]) -> Result<bool> {
        match self {
            Self::Compare(operator, term) => {
                if matches!(evaluate(term, &column.typ, values)?, Bound::Null) {
                    let message = format!("Unsupported null value for column {}", column.name);
                    return Err(CqlError::invalid(message));
                }
                compare(&column.typ, value, *operator, term, values)
            }
            Self::In(list) => {
                let Some(value) = value else { return Ok(false) };
                Ok(in_values(&column.name, &column.typ, list, values)?
                    .iter()
                    .any(|item| item == value))
            }
            Self::Contains(term) => {
                let (element, per_item) = match column.typ.thawed() {
                    CqlType::List(element) | CqlType::Set(element) => (&**element, 1),
                    CqlType::Map(pair) => (&pair.1, 2),
                    _ => return Ok(false),
                };
                let Some(value) = value else { return Ok(false) };
                let wanted = wanted(&column.name, element, term, values)?;
                let items = elements(value, per_item).unwrap_or_default();
                Ok(items.into_iter().skip(per_item - 1).step_by(per_item).any(|i| i == wanted))
            }
            Self::ContainsKey(term) => {
                let CqlType::Map(pair) = column.typ.thawed() else { return Ok(false) };
                let Some(value) = value else { return Ok(false) };
                let wanted = wanted(&column.name, &pair.0, term, values)?;
                Ok(entry(value, &wanted).is_some())
            }
            Self::Entry(key, term) => {
                let CqlType::Map(pair) = column.typ.thawed() else { return Ok(false) };
                let Some(value) = value else { return Ok(false) };
                let key = wanted(&column.name, &pair.0, key, values)?;
                let wanted = wanted(&column.name, &pair.1, term, values)?;
                Ok(entry(value, &key) == Some(&wanted[..]))
            }
        }
    }
}

/// A value that is compared with, which must be one.
fn wanted(name: &str, typ: &CqlType, term: &Term, values: &[Value<'_>]) -> Result<Vec<u8>> {
    match evaluate(term, typ, values)? {
        Bound::Bytes(bytes) => Ok(bytes.into_owned()),
        Bound::Null => Err(CqlError::invalid(format!("Invalid null value for {name}"))),
        Bound::Unset => Err(CqlError::invalid(format!("Invalid unset value for column {name}"))),
    }
}

/// What a map has for a key.
pub(crate) fn entry<'m>(map: &'m [u8], key: &[u8]) -> Option<&'m [u8]> {
    let parts = elements(map, 2).ok()?;
    let mut entries = parts.chunks_exact(2);
    entries.find_map(|entry| match entry {
        [found, value] if *found == key => Some(*value),
        _ => None,
    })
}

/// A filter fits its column.
fn check_filter(column: &Column, test: &Test) -> Result<()> {
    let is_fit = match (test, column.typ.thawed()) {
        (Test::Contains(_), CqlType::List(_) | CqlType::Set(_) | CqlType::Map(_)) => true,
        (Test::ContainsKey(_) | Test::Entry(..), CqlType::Map(_)) => true,
        (Test::Contains(_), _) => {
            let message = format!("Cannot use CONTAINS on non-collection column {}", column.name);
            return Err(CqlError::invalid(message));
        }
        (Test::ContainsKey(_), _) => {
            let message = format!("Cannot use CONTAINS KEY on non-map column {}", column.name);
            return Err(CqlError::invalid(message));
        }
        (Test::Entry(..), _) => {
            let message = format!("Column {} cannot be used as a map", column.name);
            return Err(CqlError::invalid(message));
        }
        (Test::Compare(..) | Test::In(_), _) => !column.typ.is_multi_cell(),
    };
    if is_fit {
        return Ok(());
    }
    let message = format!("Collection column '{}' cannot be restricted by a relation", column.name);
    Err(CqlError::invalid(message))
}

/// Compares a stored value with a term; null is never equal to, less or greater than anything but
/// equal to a null that is asked for.
pub(crate) fn compare(
    typ: &CqlType,
    value: Option<&[u8]>,
    operator: Operator,
    term: &Term,
    values: &[Value<'_>],
) -> Result<bool> {
    let wanted = match evaluate(term, typ, values)? {
        Bound::Unset => return Err(CqlError::invalid("a compared value is not set")),
        Bound::Null => {
            return Ok(match operator {
                Operator::Eq => value.is_none(),
                Operator::NotEq => value.is_some(),
                _ => false,
            });
        }
        Bound::Bytes(bytes) => ordered(typ, &bytes),
    };
    let Some(value) = value else { return Ok(operator == Operator::NotEq) };
    let found = ordered(typ, value);
    Ok(match operator {
        Operator::Eq => found == wanted,
        Operator::NotEq => found != wanted,
        Operator::Lt => found < wanted,
        Operator::LtEq => found <= wanted,
        Operator::Gt => found > wanted,
        Operator::GtEq => found >= wanted,
    })
}

fn choice_of(relations: &[Relation], name: &str) -> Option<Choice> {
    relations.iter().find_map(|relation| match relation {
        Relation::Compare(column, Operator::Eq, term) if column == name => {
            Some(Choice::One(term.clone()))
        }
        Relation::In(column, list) if column == name => Some(Choice::Many(list.clone())),
        _ => None,
    })
}

fn check_tuple(table: &Table, at: usize, names: &[String]) -> Result<()> {
    let expected = table.clustering().iter().skip(at).map(|column| &column.name).take(names.len());
    if names.is_empty() || !names.iter().eq(expected) {
        return Err(CqlError::invalid(
            "Clustering columns of a multi-column relation must follow each other in order",
        ));
    }
    Ok(())
}

fn check_order(table: &Table, at: usize, names: &[String]) -> Result<()> {
    let mut desc = table.clustering_desc.iter().skip(at).take(names.len());
    let first = desc.next();
    if desc.any(|d| Some(d) != first) {
        return Err(CqlError::invalid("Multi-column slices of mixed order are not supported"));
    }
    Ok(())
}

/// The values of a tuple, one for each column.
fn tuple_values(columns: &[Column], term: &Term, values: &[Value<'_>]) -> Result<Vec<Vec<u8>>> {
    match term {
        Term::Tuple(terms) if terms.len() == columns.len() => {
            columns.iter().zip(terms).map(|(c, term)| key_value(c, term, values)).collect()
        }
        Term::Marker(_) => {
            let typ = CqlType::Tuple(columns.iter().map(|column| column.typ.clone()).collect());
            match evaluate(term, &typ, values)? {
                Bound::Bytes(bytes) => split_tuple(columns, &bytes),
                _ => Err(CqlError::invalid("Invalid null value for a multi-column relation")),
            }
        }
        _ => {
            let message = format!("Expected {} elements in value tuple", columns.len());
            Err(CqlError::invalid(message))
        }
    }
}

fn split_tuple(columns: &[Column], bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let parts = parts(bytes).map_err(CqlError::invalid)?;
    let parts: Option<Vec<_>> = parts.into_iter().map(|part| part.map(<[u8]>::to_vec)).collect();
    parts.filter(|parts| parts.len() == columns.len()).ok_or_else(|| {
        let message = format!("Expected {} elements in value tuple, none null", columns.len());
        CqlError::invalid(message)
    })
}

/// A key column with `=` or IN has no other relation: one of the two would go unheeded.
fn check_twice(table: &Table, relations: &[Relation]) -> Result<()> {
    for column in table.partition_key().iter().chain(table.clustering()) {
        let names = |relation: &&Relation| match relation {
            Relation::Compare(name, ..)
            | Relation::In(name, _)
            | Relation::Contains(name, _)
            | Relation::ContainsKey(name, _)
            | Relation::Entry(name, ..)
            | Relation::IsNotNull(name) => *name == column.name,
            Relation::Token(names, ..)
            | Relation::Tuple(names, ..)
            | Relation::TupleIn(names, _) => names.contains(&column.name),
        };
        let count = relations.iter().filter(names).count();
        if count > 1 && choice_of(relations, &column.name).is_some() {
            return Err(CqlError::invalid(format!(
                "{} cannot be restricted by more than one relation if it includes an Equal",
                column.name
            )));
        }
    }
    Ok(())
}

fn note_markers(table: &Table, relations: &[Relation], markers: &mut Markers) -> Result<()> {
    for relation in relations {
        match relation {
            Relation::Compare(name, _, term) => {
                let (_, column) = table.column(name)?;
                markers.note(term, name, &column.typ);
            }
            Relation::In(name, list) => {
                let (_, column) = table.column(name)?;
                match list {
                    InList::Terms(terms) => {
                        terms.iter().for_each(|term| markers.note(term, name, &column.typ));
                    }
                    InList::Marker(term) => {
                        let list = CqlType::List(Box::new(column.typ.clone()));
                        markers.note(term, name, &list);
                    }
                }
            }
            Relation::Token(_, _, Term::Call(_, arguments)) => {
                for (argument, column) in arguments.iter().zip(table.partition_key()) {
                    markers.note(argument, &column.name, &column.typ);
                }
            }
            Relation::Token(_, _, term) => {
                markers.note(term, "partition key token", &CqlType::BIGINT);
            }
            Relation::Tuple(names, _, term) => {
                let typ = tuple_type(table, names)?;
                note_tuple(table, names, term, &typ, markers)?;
            }
            Relation::TupleIn(names, list) => {
                let typ = tuple_type(table, names)?;
                match list {
                    InList::Terms(terms) => {
                        for term in terms {
                            note_tuple(table, names, term, &typ, markers)?;
                        }
                    }
                    InList::Marker(term) => {
                        markers.note(term, "in", &CqlType::List(Box::new(typ)));
                    }
                }
            }
            Relation::Contains(name, term) => {
                let (_, column) = table.column(name)?;
                let element = match column.typ.thawed() {
                    CqlType::List(element) | CqlType::Set(element) => element,
                    CqlType::Map(pair) => &pair.1,
                    _ => continue,
                };
                markers.note(term, &format!("value({name})"), element);
            }
            Relation::ContainsKey(name, term) => {
                let (_, column) = table.column(name)?;
                if let CqlType::Map(pair) = column.typ.thawed() {
                    markers.note(term, &format!("key({name})"), &pair.0);
                }
            }
            Relation::Entry(name, key, term) => {
                let (_, column) = table.column(name)?;
                if let CqlType::Map(pair) = column.typ.thawed() {
                    markers.note(key, &format!("key({name})"), &pair.0);
                    markers.note(term, &format!("value({name})"), &pair.1);
                }
            }
            Relation::IsNotNull(_) => {}
        }
    }
    Ok(())
}

fn tuple_type(table: &Table, names: &[String]) -> Result<CqlType> {
    let types = names.iter().map(|name| table.column(name).map(|(_, column)| column.typ.clone()));
    types.collect::<Result<_>>().map(CqlType::Tuple)
}

/// Notes markers of a tuple: each as its column, or the one that binds all.
fn note_tuple(
    table: &Table,
    names: &[String],
    term: &Term,
    typ: &CqlType,
    markers: &mut Markers,
) -> Result<()> {
    let Term::Tuple(terms) = term else {
        markers.note(term, &format!("({})", names.join(",")), typ);
        return Ok(());
    };
    for (name, term) in names.iter().zip(terms) {
        markers.note(term, name, &table.column(name)?.1.typ);
    }
    Ok(())
}

/// Every combination of the choices' values.
fn combine(
    columns: &[Column],
    choices: &[Choice],
    values: &[Value<'_>],
) -> Result<Vec<Vec<Vec<u8>>>> {
    let mut combinations = vec![Vec::new()];
    for (column, choice) in columns.iter().zip(choices) {
        let options = match choice {
            Choice::One(term) => vec![key_value(column, term, values)?],
            Choice::Many(list) => in_values(&column.name, &column.typ, list, values)?,
        };
        if combinations.len().saturating_mul(options.len()) > COMBINATIONS_MAX {
            return Err(CqlError::invalid(format!(
                "IN asks for more than {COMBINATIONS_MAX} keys"
            )));
        }
        combinations = combinations
            .iter()
            .flat_map(|prefix: &Vec<Vec<u8>>| {
                options
                    .iter()
                    .map(|option| [prefix.as_slice(), std::slice::from_ref(option)].concat())
            })
            .collect();
    }
    Ok(combinations)
}

fn key_value(column: &Column, term: &Term, values: &[Value<'_>]) -> Result<Vec<u8>> {
    value_of(&column.name, &column.typ, term, values)
}

fn value_of(name: &str, typ: &CqlType, term: &Term, values: &[Value<'_>]) -> Result<Vec<u8>> {
    match evaluate(term, typ, values)? {
        Bound::Bytes(bytes) => Ok(bytes.into_owned()),
        Bound::Null => {
            Err(CqlError::invalid(format!("Invalid null value in condition for column {name}")))
        }
        Bound::Unset => Err(CqlError::invalid(format!("Invalid unset value for column {name}"))),
    }
}

/// The values of an IN.
pub(crate) fn in_values(
    name: &str,
    typ: &CqlType,
    list: &InList,
    values: &[Value<'_>],
) -> Result<Vec<Vec<u8>>> {
    match list {
        InList::Terms(terms) => {
            terms.iter().map(|term| value_of(name, typ, term, values)).collect()
        }
        InList::Marker(term) => {
            let list = CqlType::List(Box::new(typ.clone()));
            let Bound::Bytes(bytes) = evaluate(term, &list, values)? else {
                return Err(CqlError::invalid(format!("Invalid null value for IN of {name}")));
            };
            let items = elements(&bytes, 1).map_err(CqlError::invalid)?;
            Ok(items.into_iter().map(<[u8]>::to_vec).collect())
        }
    }
}

fn token_value(table: &Table, term: &Term, values: &[Value<'_>]) -> Result<i64> {
    if let Term::Call(function, arguments) = term
        && function.name == "token"
    {
        let columns = table.partition_key();
        if arguments.len() != columns.len() {
            return Err(CqlError::invalid(format!(
                "Invalid number of arguments in call to function system.token: {} required but {} \
                 provided",
                columns.len(),
                arguments.len()
            )));
        }
        let key = columns.iter().zip(arguments).map(|(c, term)| key_value(c, term, values));
        return Ok(table.partition_of(&key.collect::<Result<Vec<_>>>()?).token);
    }
    let bytes = evaluate(term, &CqlType::BIGINT, values)?.into_bytes();
    let token = bytes.as_deref().and_then(|bytes| bytes.first_chunk().copied());
    token.map(i64::from_be_bytes).ok_or_else(|| CqlError::invalid("a token cannot be null"))
}
