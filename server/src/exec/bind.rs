//! What a statement's bind markers are: the bind metadata of PREPARED.

use crate::cql::ast::Term;
use crate::value::functions;
use crate::value::types::{CqlType, Native};

/// One bind marker, as PREPARED describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Marker {
    pub(crate) name: String,
    pub(crate) typ: CqlType,
}

/// Markers of a statement, filled while it is planned.
#[derive(Debug)]
pub(crate) struct Markers {
    names: Vec<Option<String>>,
    found: Vec<Option<Marker>>,
}

impl Markers {
    pub(crate) fn new(names: &[Option<String>]) -> Self {
        Self { names: names.to_vec(), found: vec![None; names.len()] }
    }

    /// Notes that `term` stands where a `typ` called `name` is expected.
    pub(crate) fn note(&mut self, term: &Term, name: &str, typ: &CqlType) {
        match (term, typ.thawed()) {
            (Term::Marker(index), _) => {
                let given = self.names.get(*index).cloned().flatten();
                if let Some(slot) = self.found.get_mut(*index) {
                    let name = given.unwrap_or_else(|| name.to_owned());
                    *slot = Some(Marker { name, typ: typ.clone() });
                }
            }
            (Term::List(items), CqlType::List(element))
            | (Term::Set(items), CqlType::Set(element)) => {
                items.iter().for_each(|item| self.note(item, &format!("value({name})"), element));
            }
            (Term::Map(items), CqlType::Map(pair)) => {
                for (key, value) in items {
                    self.note(key, &format!("key({name})"), &pair.0);
                    self.note(value, &format!("value({name})"), &pair.1);
                }
            }
            (Term::List(items), CqlType::Vector(element, _)) => {
                items.iter().for_each(|item| self.note(item, &format!("value({name})"), element));
            }
            (Term::Tuple(items), CqlType::Tuple(types)) => {
                for (i, (item, typ)) in items.iter().zip(types).enumerate() {
                    self.note(item, &format!("{name}[{i}]"), typ);
                }
            }
            (Term::Udt(fields), CqlType::Udt(udt)) => {
                for (field, term) in fields {
                    if let Some((_, typ)) = udt.field(field) {
                        self.note(term, &format!("{name}.{field}"), typ);
                    }
                }
            }
            (Term::Hint(typ, inner), _) => self.note(inner, name, typ),
            (Term::Arithmetic(_, left, right), CqlType::Native(native)) => {
                let is_time = matches!(native, Native::Timestamp | Native::Date);
                let right_type = if is_time { Native::Duration } else { *native };
                self.note(left, name, typ);
                self.note(right, name, &CqlType::Native(right_type));
            }
            (Term::Call(function, arguments), _) => {
                let Ok(called) = functions::called(function, arguments, Some(typ)) else { return };
                let full = format!("system.{}", function.name);
                for (i, (argument, typ)) in arguments.iter().zip(&called.arguments).enumerate() {
                    self.note(argument, &format!("arg{i}({full})"), typ);
                }
            }
            _ => {}
        }
    }

    /// All markers; one that nothing was noted about (it stands in a call) is taken as a blob.
    pub(crate) fn finish(self) -> Vec<Marker> {
        let unknown = || Marker { name: "arg".to_owned(), typ: CqlType::Native(Native::Blob) };
        self.found.into_iter().map(|marker| marker.unwrap_or_else(unknown)).collect()
    }
}
