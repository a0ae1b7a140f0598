//! WHERE clauses: which partitions, which rows of them, and what is left to filter.

use crate::cql::ast::{InList, Operator, Relation, Term};
use crate::error::CqlError;
use crate::exec::bind::Markers;
use crate::routing::token_of;
use crate::schema::{Column, Kind, Table};
use crate::store::{PartitionKey, Range, RowView, successor};
use crate::value::literal::{Bound, evaluate};
use crate::value::order::{ordered, write_ordered};
use crate::value::types::CqlType;
use crate::value::validate::elements;
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
    terms: Vec<Term>,
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
}

/// A WHERE clause, sorted out.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions {
    /// One per column of the partition key, or none for a scan.
    partition: Vec<Choice>,
    token: Vec<(Operator, Term)>,
    prefix: Vec<Choice>,
    slices: Vec<Slice>,
    filters: Vec<Filter>,
}

/// A row's values, for filters.
pub(crate) struct RowValues<'a> {
    pub(crate) partition: &'a [Vec<u8>],
    pub(crate) row: RowView<'a>,
}

impl<'a> RowValues<'a> {
    pub(crate) fn value(&self, column: &Column) -> Option<&'a [u8]> {
        match column.kind {
            Kind::PartitionKey(position) => self.partition.get(position).map(Vec::as_slice),
            Kind::Clustering(position) => self.row.clustering().get(position).map(Vec::as_slice),
            Kind::Regular => self.row.cell(column.id)?.value.as_deref(),
        }
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
            slices: Vec::new(),
            filters: Vec::new(),
        };
        plan.plan_partition(table, relations)?;
        let used = plan.plan_clustering(table, relations)?;
        plan.plan_filters(table, relations, used)?;
        Ok(plan)
    }

    /// An INSERT's values as restrictions: `=` on every column of the primary key.
    pub(crate) fn of_key(table: &Table, values: &[(String, Term)]) -> Result<Self> {
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
            prefix: table.clustering().iter().map(choice).collect::<Result<_>>()?,
            slices: Vec::new(),
            filters: Vec::new(),
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
        let at = self.prefix.len();
        let Some(next) = table.clustering().get(at) else { return Ok(at) };
        for relation in relations {
            match relation {
                Relation::Compare(name, operator, term)
                    if *name == next.name && *operator != Operator::NotEq =>
                {
                    self.slices.push(Slice { operator: *operator, terms: vec![term.clone()] });
                }
                Relation::Tuple(names, operator, terms) => {
                    check_tuple(table, at, names, terms)?;
                    self.slices.push(Slice { operator: *operator, terms: terms.clone() });
                }
                _ => {}
            }
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
                Relation::Tuple(..) if self.partition.is_empty() => {
                    return Err(CqlError::invalid(
                        "Multi-column relations need the whole partition key",
                    ));
                }
                Relation::Tuple(..) | Relation::Token(..) => continue,
            };
            let (position, column) = table.column(name)?;
            let is_done = match column.kind {
                Kind::PartitionKey(_) => !self.partition.is_empty(),
                Kind::Clustering(position) => position < used,
                Kind::Regular => false,
            };
            if !is_done {
                self.filters.push(Filter { column: position, test });
            }
        }
        Ok(())
    }

    /// Whether rows have to be looked at one by one, which needs ALLOW FILTERING.
    pub(crate) fn is_filtering(&self) -> bool {
        !self.filters.is_empty()
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
        self.prefix.len() == table.clustering().len()
    }

    /// Whether clustering columns are restricted at all.
    pub(crate) fn has_clustering(&self) -> bool {
        !self.prefix.is_empty() || !self.slices.is_empty()
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
            combinations.into_iter().map(|key| (PartitionKey::new(&key), key)).collect();
        if keys.iter().any(|(key, _)| key.bytes.is_empty()) {
            return Err(CqlError::invalid("Key may not be empty"));
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// The least and the greatest token that are asked for.
    pub(crate) fn token_range(&self, values: &[Value<'_>]) -> Result<(i64, i64)> {
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        for (operator, term) in &self.token {
            let token = token_value(term, values)?;
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
        combine(table.clustering(), &self.prefix, values)
    }

    /// The ranges of rows that are asked for, in clustering order.
    pub(crate) fn ranges(&self, table: &Table, values: &[Value<'_>]) -> Result<Vec<Range>> {
        let columns = table.clustering().get(..self.prefix.len()).unwrap_or_default();
        let mut ranges = Vec::new();
        for combination in combine(columns, &self.prefix, values)? {
            let prefix = table.row_key(&combination);
            let mut range = Range::of_prefix(prefix.clone());
            for slice in &self.slices {
                slice.narrow(table, self.prefix.len(), &prefix, values, &mut range)?;
            }
            ranges.push(range);
        }
        ranges.sort_by(|a, b| a.from.cmp(&b.from));
        ranges.dedup();
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
            if !filter.test.accepts(column, row.value(column), values)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
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
        let columns = table.clustering().iter().zip(&table.clustering_desc).skip(at);
        let mut is_desc = false;
        for ((column, desc), term) in columns.zip(&self.terms) {
            is_desc = *desc;
            write_ordered(&column.typ, &key_value(column, term, values)?, *desc, &mut key);
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
            Self::Compare(operator, term) => compare(column, value, *operator, term, values),
            Self::In(list) => {
                let Some(value) = value else { return Ok(false) };
                Ok(in_values(column, list, values)?.iter().any(|item| item == value))
            }
        }
    }
}

/// Compares a stored value with a term; null is never equal to, less or greater than anything but
/// equal to a null that is asked for.
pub(crate) fn compare(
    column: &Column,
    value: Option<&[u8]>,
    operator: Operator,
    term: &Term,
    values: &[Value<'_>],
) -> Result<bool> {
    let wanted = match evaluate(term, &column.typ, values)? {
        Bound::Unset => return Err(CqlError::invalid("a compared value is not set")),
        Bound::Null => {
            return Ok(match operator {
                Operator::Eq => value.is_none(),
                Operator::NotEq => value.is_some(),
                _ => false,
            });
        }
        Bound::Bytes(bytes) => ordered(&column.typ, &bytes),
    };
    let Some(value) = value else { return Ok(operator == Operator::NotEq) };
    let found = ordered(&column.typ, value);
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

fn check_tuple(table: &Table, at: usize, names: &[String], terms: &[Term]) -> Result<()> {
    let expected = table.clustering().iter().skip(at).map(|column| &column.name).take(names.len());
    if names.len() != terms.len() || !names.iter().eq(expected) {
        return Err(CqlError::invalid(
            "Clustering columns of a multi-column relation must follow each other in order",
        ));
    }
    let mut desc = table.clustering_desc.iter().skip(at).take(names.len());
    let first = desc.next();
    if desc.any(|d| Some(d) != first) {
        return Err(CqlError::invalid("Multi-column slices of mixed order are not supported"));
    }
    Ok(())
}

/// A key column with `=` or IN has no other relation: one of the two would go unheeded.
fn check_twice(table: &Table, relations: &[Relation]) -> Result<()> {
    for column in table.partition_key().iter().chain(table.clustering()) {
        let names = |relation: &&Relation| match relation {
            Relation::Compare(name, ..) | Relation::In(name, _) => *name == column.name,
            Relation::Token(names, ..) | Relation::Tuple(names, ..) => names.contains(&column.name),
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
            Relation::Tuple(names, _, terms) => {
                for (name, term) in names.iter().zip(terms) {
                    markers.note(term, name, &table.column(name)?.1.typ);
                }
            }
        }
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
            Choice::Many(list) => in_values(column, list, values)?,
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
    match evaluate(term, &column.typ, values)? {
        Bound::Bytes(bytes) => Ok(bytes.into_owned()),
        Bound::Null => Err(CqlError::invalid(format!(
            "Invalid null value in condition for column {}",
            column.name
        ))),
        Bound::Unset => {
            Err(CqlError::invalid(format!("Invalid unset value for column {}", column.name)))
        }
    }
}

fn in_values(column: &Column, list: &InList, values: &[Value<'_>]) -> Result<Vec<Vec<u8>>> {
    match list {
        InList::Terms(terms) => terms.iter().map(|term| key_value(column, term, values)).collect(),
        InList::Marker(term) => {
            let typ = CqlType::List(Box::new(column.typ.clone()));
            let Bound::Bytes(bytes) = evaluate(term, &typ, values)? else {
                return Err(CqlError::invalid(format!(
                    "Invalid null value for IN of {}",
                    column.name
                )));
            };
            let items = elements(&bytes, 1).map_err(CqlError::invalid)?;
            Ok(items.into_iter().map(<[u8]>::to_vec).collect())
        }
    }
}

fn token_value(term: &Term, values: &[Value<'_>]) -> Result<i64> {
    if let Term::Call(name, _) = term {
        return Err(CqlError::invalid(format!("{name}() on the right side is not supported")));
    }
    let bytes = evaluate(term, &CqlType::BIGINT, values)?.into_bytes();
    let token = bytes.as_deref().and_then(|bytes| bytes.first_chunk().copied());
    token.map(i64::from_be_bytes).ok_or_else(|| CqlError::invalid("a token cannot be null"))
}

/// Token of a partition key's bytes, as `token()` shows it.
pub(crate) fn token_bytes(key: &[Vec<u8>]) -> [u8; 8] {
    match key {
        [single] => token_of(single).to_be_bytes(),
        _ => PartitionKey::new(key).token.to_be_bytes(),
    }
}
