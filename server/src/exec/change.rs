//! What a modification does to one column of a row.

use super::modify::{Action, taken_type};
use crate::cdc::captured::Columns;
use crate::cql::ast::Term;
use crate::error::CqlError;
use crate::routing::NodeIndex;
use crate::schema::Column;
use crate::store::{Cell, Element, Row, RowView, Shard, Stamp};
use crate::value::literal::{Bound, evaluate};
use crate::value::multi_cell::{End, NewElement, field, keyed, list_elements, split};
use crate::value::types::CqlType;
use crate::value::validate::elements;
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// A change of which all values are known.
#[derive(Clone, Debug)]
pub(super) enum CellChange {
    /// Another value, or none.
    Put(Option<Vec<u8>>),
    /// Other elements instead of all that there are.
    Replace(Vec<NewElement>),
    /// No elements.
    Clear,
    /// More elements, other values of some, some deleted.
    Elements(Vec<NewElement>),
    /// Adds to a counter.
    Count(i64),
    /// Takes all elements with these values off a list.
    TakeValues(Vec<Vec<u8>>),
    /// Another value at this place of a list, or none.
    Place(i32, Option<Vec<u8>>),
}

/// What is written to a row.
#[derive(Debug)]
pub(super) enum Write {
    Cell(Option<Vec<u8>>),
    Elements {
        /// Deletes what was there before.
        replaces: bool,
        elements: Vec<NewElement>,
    },
    /// Deletes all elements.
    Clear,
    /// What one replica has counted by now.
    Count(Shard),
    /// The same, where nothing is left of what was counted before.
    CountAnew(Shard),
}

/// The change that an action makes; `None` if its value is not set.
pub(super) fn cell_change(
    column: &Column,
    action: &Action,
    values: &[Value<'_>],
) -> Result<Option<CellChange>> {
    let typ = &column.typ;
    let is_multi = typ.is_multi_cell();
    match action {
        Action::Set(term) => Ok(match evaluate(term, typ, values)? {
            Bound::Unset => None,
            Bound::Null if is_multi => Some(CellChange::Clear),
            Bound::Null => Some(CellChange::Put(None)),
            Bound::Bytes(bytes) if is_multi => Some(CellChange::Replace(split(typ, &bytes))),
            Bound::Bytes(bytes) => Some(CellChange::Put(Some(bytes.into_owned()))),
        }),
        Action::Delete if is_multi => Ok(Some(CellChange::Clear)),
        Action::Delete => Ok(Some(CellChange::Put(None))),
        Action::DeleteField(index) => Ok(Some(CellChange::Elements(vec![field(*index, None)]))),
        Action::Field(index, term) => {
            let CqlType::Udt(udt) = typ else { return Ok(None) };
            let Some((_, typ)) = udt.fields.get(*index) else { return Ok(None) };
            let element = match evaluate(term, typ, values)? {
                Bound::Unset => return Ok(None),
                Bound::Null => field(*index, None),
                Bound::Bytes(bytes) => field(*index, Some(&bytes)),
            };
            Ok(Some(CellChange::Elements(vec![element])))
        }
        Action::Element(key, term) => element_change(column, key, Some(term), values),
        Action::DeleteElement(key) => element_change(column, key, None, values),
        Action::Add(term) => added(column, term, values, End::Back),
        Action::Prepend(term) => added(column, term, values, End::Front),
        Action::Subtract(term) => subtracted(column, term, values),
    }
}

/// One element gets a value, or is deleted.
fn element_change(
    column: &Column,
    key: &Term,
    term: Option<&Term>,
    values: &[Value<'_>],
) -> Result<Option<CellChange>> {
    let (key_type, value_type) = match &column.typ {
        CqlType::Map(pair) => (pair.0.clone(), &pair.1),
        CqlType::List(element) => (CqlType::INT, &**element),
        CqlType::Set(element) => ((**element).clone(), &**element),
        _ => return Ok(None),
    };
    let what = if matches!(column.typ, CqlType::Map(_)) { "map key" } else { "list index" };
    let key = match evaluate(key, &key_type, values)? {
        Bound::Bytes(bytes) => bytes,
        Bound::Null => return Err(CqlError::invalid(format!("Invalid null {what}"))),
        Bound::Unset => return Err(CqlError::invalid(format!("Invalid unset {what}"))),
    };
    let value = match term.map(|term| evaluate(term, value_type, values)).transpose()? {
        Some(Bound::Unset) => return Ok(None),
        Some(Bound::Bytes(bytes)) => Some(bytes),
        Some(Bound::Null) | None => None,
    };
    if let CqlType::List(_) = column.typ {
        let index = key.first_chunk().map_or(-1, |index| i32::from_be_bytes(*index));
        return Ok(Some(CellChange::Place(index, value.map(|value| value.into_owned()))));
    }
    Ok(Some(CellChange::Elements(vec![keyed(&key_type, &key, value.as_deref())])))
}

fn added(
    column: &Column,
    term: &Term,
    values: &[Value<'_>],
    end: End,
) -> Result<Option<CellChange>> {
    let typ = &column.typ;
    let bytes = match evaluate(term, typ, values)? {
        Bound::Unset => return Ok(None),
        // To add nothing changes nothing.
        Bound::Null if typ.is_multi_cell() => return Ok(None),
        Bound::Null => return Err(CqlError::invalid("Invalid null value for counter increment")),
        Bound::Bytes(bytes) => bytes,
    };
    Ok(Some(match typ {
        CqlType::List(_) => {
            CellChange::Elements(list_elements(&elements(&bytes, 1).unwrap_or_default(), end))
        }
        CqlType::Set(_) | CqlType::Map(_) => CellChange::Elements(split(typ, &bytes)),
        _ => CellChange::Count(bytes.first_chunk().map_or(0, |by| i64::from_be_bytes(*by))),
    }))
}

fn subtracted(column: &Column, term: &Term, values: &[Value<'_>]) -> Result<Option<CellChange>> {
    let typ = taken_type(&column.typ);
    let bytes = match evaluate(term, &typ, values)? {
        Bound::Unset => return Ok(None),
        Bound::Null if typ.is_multi_cell() => return Ok(None),
        Bound::Null => return Err(CqlError::invalid("Invalid null value for counter increment")),
        Bound::Bytes(bytes) => bytes,
    };
    Ok(Some(match &typ {
        CqlType::List(_) => {
            let items = elements(&bytes, 1).unwrap_or_default();
            CellChange::TakeValues(items.into_iter().map(<[u8]>::to_vec).collect())
        }
        CqlType::Set(element) => {
            let items = elements(&bytes, 1).unwrap_or_default();
            CellChange::Elements(items.into_iter().map(|i| keyed(element, i, None)).collect())
        }
        _ => {
            let by = bytes.first_chunk().map_or(0, |by| i64::from_be_bytes(*by));
            CellChange::Count(by.wrapping_neg())
        }
    }))
}

impl CellChange {
    /// Bytes that it takes, times included.
    pub(super) fn size(&self) -> usize {
        const TIME: usize = 8;
        let value = |value: &Option<Vec<u8>>| TIME + value.as_ref().map_or(0, Vec::len);
        match self {
            Self::Put(new) | Self::Place(_, new) => value(new),
            Self::Replace(elements) | Self::Elements(elements) => {
                elements.iter().map(|element| element.path.len() + value(&element.value)).sum()
            }
            Self::Clear => TIME,
            Self::Count(_) => TIME + size_of::<i64>(),
            Self::TakeValues(taken) => taken.iter().map(|taken| TIME + taken.len()).sum(),
        }
    }

    /// Whether what is written depends on the elements that a list has.
    pub(super) fn reads_list(&self) -> bool {
        matches!(self, Self::Place(..) | Self::TakeValues(_))
    }

    /// The place that is changed is there.
    pub(super) fn check_place(&self, id: u16, row: Option<RowView<'_>>) -> Result<()> {
        let Self::Place(index, _) = self else { return Ok(()) };
        let count = row.map_or(0, |row| row.elements(id).count());
        if count == 0 {
            let message = "Attempted to set or delete an element on a list which is null";
            return Err(CqlError::invalid(message));
        }
        if usize::try_from(*index).is_ok_and(|index| index < count) {
            return Ok(());
        }
        let message = format!("List index {index} out of bound, list has size {count}");
        Err(CqlError::invalid(message))
    }

    /// What is written at a time in microseconds, where the row was this one; `leader` is the
    /// replica that counts.
    pub(super) fn write(
        &self,
        id: u16,
        old: Option<RowView<'_>>,
        leader: NodeIndex,
        at: i64,
    ) -> Write {
        let some = |elements| Write::Elements { replaces: false, elements };
        match self {
            Self::Put(value) => Write::Cell(value.clone()),
            Self::Clear => Write::Clear,
            Self::Replace(elements) => {
                Write::Elements { replaces: true, elements: elements.clone() }
            }
            Self::Elements(elements) => some(elements.clone()),
            Self::Count(by) => match old.filter(|row| row.cell(id).is_some()) {
                Some(row) => Write::Count(Shard::next(leader, row.shard(id, leader), *by, at)),
                None => Write::CountAnew(Shard::next(leader, None, *by, at)),
            },
            Self::TakeValues(taken) => some(existing(id, old, None, |_, element| {
                let value = element.cell.value.as_deref();
                value.is_some_and(|value| taken.iter().any(|taken| taken == value))
            })),
            Self::Place(index, value) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                some(existing(id, old, value.as_ref(), |at, _| at == index))
            }
        }
    }
}

/// Another value, or none, for the elements that are chosen.
fn existing(
    id: u16,
    old: Option<RowView<'_>>,
    value: Option<&Vec<u8>>,
    is_chosen: impl Fn(usize, &Element) -> bool,
) -> Vec<NewElement> {
    let elements = old.into_iter().flat_map(|row| row.elements(id)).enumerate();
    let chosen = elements.filter(|(at, (_, element))| is_chosen(*at, element));
    chosen
        .map(|(_, (path, element))| NewElement {
            path: path.to_vec(),
            key: element.key.clone(),
            value: value.cloned(),
        })
        .collect()
}

impl Write {
    /// Adds it to what a log tells of.
    pub(super) fn record(self, columns: &mut Columns, id: u16, stamp: Stamp) {
        match self {
            // Tables of counters have no log.
            Self::Count(_) | Self::CountAnew(_) => {}
            Self::Cell(value) => columns.write(id, cell(stamp, value)),
            Self::Clear => columns.delete_elements(id, stamp.at),
            Self::Elements { replaces, elements } => {
                if replaces {
                    columns.delete_elements(id, stamp.at);
                }
                for NewElement { path, key, value } in elements {
                    columns.write_element(id, path, Element { key, cell: cell(stamp, value) });
                }
            }
        }
    }

    pub(super) fn apply(self, row: &mut Row, id: u16, stamp: Stamp) {
        match self {
            Self::Cell(value) => row.write(id, cell(stamp, value)),
            Self::Clear => row.delete_elements(id, stamp.at),
            Self::Count(shard) => row.count(id, shard, stamp),
            Self::CountAnew(shard) => row.count_anew(id, shard, stamp),
            Self::Elements { replaces, elements } => {
                if replaces {
                    // Before them in time, or it would delete them too.
                    row.delete_elements(id, stamp.at.saturating_sub(1));
                }
                for NewElement { path, key, value } in elements {
                    row.write_element(id, path, Element { key, cell: cell(stamp, value) });
                }
            }
        }
    }
}

/// What is deleted has no time to live.
fn cell(stamp: Stamp, value: Option<Vec<u8>>) -> Cell {
    let expires = stamp.expires.filter(|_| value.is_some());
    Cell::new(Stamp { expires, ..stamp }, value)
}
