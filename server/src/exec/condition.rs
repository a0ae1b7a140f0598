//! The conditions of a statement with IF.

use super::bind::Markers;
use super::restrict::{RowValues, compare, entry, in_values};
use crate::cql::ast::{Comparison, InList, Operator, Place, Term};
use crate::error::CqlError;
use crate::schema::Table;
use crate::value::literal::{Bound, evaluate};
use crate::value::types::CqlType;
use crate::value::validate::{elements, parts};
use crate::wire::read::Value;

type Result<T> = std::result::Result<T, CqlError>;

/// A condition on a column, or on a part of it.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Position of the column.
    pub(super) column: usize,
    part: Part,
    /// Of what is compared.
    typ: CqlType,
    comparison: Comparison,
}

#[derive(Clone, Debug)]
enum Part {
    Whole,
    /// A map's value or a list's element, and the type of what it stands at.
    Element(Term, CqlType),
    Field(usize),
}

/// Resolves the conditions of a statement on `table`.
pub(super) fn plan_conditions(
    table: &Table,
    conditions: &[(Place, Comparison)],
    markers: &mut Markers,
) -> Result<Vec<Condition>> {
    conditions.iter().map(|(place, comparison)| plan(table, place, comparison, markers)).collect()
}

fn plan(
    table: &Table,
    place: &Place,
    comparison: &Comparison,
    markers: &mut Markers,
) -> Result<Condition> {
    let (Place::Column(name) | Place::Element(name, _) | Place::Field(name, _)) = place;
    let (position, column) = table.column(name)?;
    if column.kind.is_key() {
        return Err(CqlError::invalid(format!("PRIMARY KEY column {name} cannot have IF")));
    }
    let (part, typ) = match place {
        Place::Column(_) => (Part::Whole, column.typ.clone()),
        Place::Element(_, key) => {
            let (what, key_type, typ) = match column.typ.thawed() {
                CqlType::Map(pair) => ("key", pair.0.clone(), pair.1.clone()),
                CqlType::List(element) => ("idx", CqlType::INT, (**element).clone()),
                _ => {
                    let message = format!("Invalid element access syntax for column {name}");
                    return Err(CqlError::invalid(message));
                }
            };
            markers.note(key, &format!("{what}({name})"), &key_type);
            (Part::Element(key.clone(), key_type), typ)
        }
        Place::Field(_, field) => {
            let CqlType::Udt(udt) = column.typ.thawed() else {
                return Err(CqlError::invalid(format!("Invalid field access on column {name}")));
            };
            let (index, typ) = udt.field(field).ok_or_else(|| {
                CqlError::invalid(format!("UDT column {name} does not have a field named {field}"))
            })?;
            (Part::Field(index), typ.clone())
        }
    };
    match comparison {
        Comparison::With(_, term) => markers.note(term, name, &typ),
        Comparison::Contains(term) => {
            let (_, value) = contained(&typ, false, name)?;
            markers.note(term, &format!("value({name})"), &value);
        }
        Comparison::ContainsKey(term) => {
            let (_, key) = contained(&typ, true, name)?;
            markers.note(term, &format!("key({name})"), &key);
        }
        Comparison::In(InList::Terms(terms)) => {
            terms.iter().for_each(|term| markers.note(term, name, &typ));
        }
        Comparison::In(InList::Marker(term)) => {
            markers.note(term, name, &CqlType::List(Box::new(typ.clone())));
        }
    }
    Ok(Condition { column: position, part, typ, comparison: comparison.clone() })
}

impl Condition {
    pub(super) fn holds(
        &self,
        table: &Table,
        row: Option<&RowValues<'_>>,
        values: &[Value<'_>],
    ) -> Result<bool> {
        let Some(column) = table.columns.get(self.column) else { return Ok(true) };
        let whole = row.and_then(|row| row.value(column));
        let value = match &self.part {
            Part::Whole => whole.as_deref(),
            Part::Field(index) => {
                let parts = whole.as_deref().and_then(|whole| parts(whole).ok());
                parts.and_then(|parts| parts.get(*index).copied().flatten())
            }
            Part::Element(key, typ) => {
                let Bound::Bytes(key) = evaluate(key, typ, values)? else {
                    return Err(CqlError::invalid("Invalid null value for a collection's element"));
                };
                whole.as_deref().and_then(|whole| element(column.typ.thawed(), whole, &key))
            }
        };
        match &self.comparison {
            Comparison::With(operator, term) => {
                let is_null = matches!(evaluate(term, &self.typ, values)?, Bound::Null);
                if is_null && !matches!(operator, Operator::Eq | Operator::NotEq) {
                    let message = "Invalid comparison with null";
                    return Err(CqlError::invalid(message));
                }
                compare(&self.typ, value, *operator, term, values)
            }
            Comparison::Contains(term) => self.contains(false, value, term, &column.name, values),
            Comparison::ContainsKey(term) => self.contains(true, value, term, &column.name, values),
            Comparison::In(list) => {
                let nulls = matches!(list, InList::Terms(terms) if terms.contains(&Term::Null));
                let list = match list {
                    InList::Terms(terms) => InList::Terms(
                        terms.iter().filter(|term| **term != Term::Null).cloned().collect(),
                    ),
                    marker => marker.clone(),
                };
                let wanted = in_values(&column.name, &self.typ, &list, values)?;
                Ok(value.map_or(nulls, |value| wanted.iter().any(|item| item == value)))
            }
        }
    }
}

impl Condition {
    fn contains(
        &self,
        is_key: bool,
        value: Option<&[u8]>,
        term: &Term,
        name: &str,
        values: &[Value<'_>],
    ) -> Result<bool> {
        let (width, typ) = contained(&self.typ, is_key, name)?;
        let Bound::Bytes(wanted) = evaluate(term, &typ, values)? else {
            let operator = if is_key { "CONTAINS KEY" } else { "CONTAINS" };
            let message = format!("Invalid comparison with null for operator \"{operator}\"");
            return Err(CqlError::invalid(message));
        };
        let Some(all) = value.and_then(|value| elements(value, width).ok()) else {
            return Ok(false);
        };
        // Of a map keys and values take turns.
        let first = if width == 2 && !is_key { 1 } else { 0 };
        Ok(all.iter().skip(first).step_by(width).any(|item| *item == &wanted[..]))
    }
}

/// How many values an entry of the collection has, and the type of the one that is looked for.
fn contained(typ: &CqlType, is_key: bool, name: &str) -> Result<(usize, CqlType)> {
    match (typ.thawed(), is_key) {
        (CqlType::Map(pair), true) => Ok((2, pair.0.clone())),
        (CqlType::Map(pair), false) => Ok((2, pair.1.clone())),
        (CqlType::List(element) | CqlType::Set(element), false) => Ok((1, (**element).clone())),
        (_, true) => {
            Err(CqlError::invalid(format!("Cannot use CONTAINS KEY on non-map column {name}")))
        }
        (_, false) => {
            Err(CqlError::invalid(format!("Cannot use CONTAINS on non-collection column {name}")))
        }
    }
}

/// What a map has for a key, or a list at a place.
fn element<'w>(typ: &CqlType, whole: &'w [u8], key: &[u8]) -> Option<&'w [u8]> {
    if matches!(typ, CqlType::Map(_)) {
        return entry(whole, key);
    }
    let index = key.first_chunk().map(|index| i32::from_be_bytes(*index))?;
    elements(whole, 1).ok()?.get(usize::try_from(index).ok()?).copied()
}
