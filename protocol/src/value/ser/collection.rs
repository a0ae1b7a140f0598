//! Bound collections and tuples: a value made of values, each with a length of its own.
//!
//! A vector's elements follow each other without one where their type has a fixed length.
//! Next: `row/ser.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{SerializeValue, ValueLen};
use crate::error::{SerializeError, TypeMismatch, saturating_u32};
use crate::types::ColumnType;
use crate::wire::{Writer, unsigned_vint_len};

/// How the elements of a list-like value follow each other.
#[derive(Clone, Copy)]
enum Framing {
    /// Lists, sets: a count, then each element as a `[value]`.
    Values,
    /// Vectors of a type of fixed length, in bytes: nothing but the content.
    Fixed(usize),
    /// Other vectors: an unsigned vint with the length, then the content.
    Vint,
}

/// Type of the elements of `typ` and how they are written. A type that is not list-like, which the
/// check of types would have refused, is taken for a list of itself.
fn elements_of(typ: &ColumnType) -> (&ColumnType, Framing) {
    match typ {
        ColumnType::List(element) | ColumnType::Set(element) => (element, Framing::Values),
        ColumnType::Vector(element, _) => {
            (element, element.vector_element_len().map_or(Framing::Vint, Framing::Fixed))
        }
        _ => (typ, Framing::Values),
    }
}

/// Length of a value within a collection or tuple, its length field included.
#[inline]
pub(in crate::value) fn element_len(
    element: &(impl SerializeValue + ?Sized),
    typ: &ColumnType,
) -> Result<usize, SerializeError> {
    match element.value_len(typ)? {
        ValueLen::Unset => {
            let what = "a part of a collection or tuple cannot be unset";
            Err(SerializeError::bad_value(what))
        }
        len => Ok(len.encoded_len()),
    }
}

/// Length of the content of an element of a vector.
fn content_len(
    element: &(impl SerializeValue + ?Sized),
    typ: &ColumnType,
) -> Result<usize, SerializeError> {
    match element.value_len(typ)? {
        ValueLen::Bytes(len) => Ok(usize::try_from(len).unwrap_or(usize::MAX)),
        ValueLen::Null | ValueLen::Unset => {
            let what = "an element of a vector cannot be null or unset";
            Err(SerializeError::bad_value(what))
        }
    }
}

fn sequence_len<'v, T: SerializeValue + 'v>(
    values: impl ExactSizeIterator<Item = &'v T>,
    typ: &ColumnType,
) -> Result<ValueLen, SerializeError> {
    if let ColumnType::Vector(_, dimensions) = typ
        && values.len() != usize::from(*dimensions)
    {
        let what = "another number of elements than the vector has dimensions";
        return Err(SerializeError::bad_value(what));
    }
    let (element_typ, framing) = elements_of(typ);
    let mut len = if let Framing::Values = framing { 4_usize } else { 0 };
    for value in values {
        len = len.saturating_add(match framing {
            Framing::Values => element_len(value, element_typ)?,
            Framing::Fixed(fixed_len) => {
                if content_len(value, element_typ)? != fixed_len {
                    let what = "an element of a vector has not the length of its type";
                    return Err(SerializeError::bad_value(what));
                }
                fixed_len
            }
            Framing::Vint => {
                let len = content_len(value, element_typ)?;
                len.saturating_add(unsigned_vint_len(u64::try_from(len).unwrap_or(u64::MAX)))
            }
        });
    }
    ValueLen::bytes(len)
}

fn write_sequence<'v, T: SerializeValue + 'v>(
    values: impl ExactSizeIterator<Item = &'v T>,
    typ: &ColumnType,
    out: &mut Writer<'_>,
) {
    let (element_typ, framing) = elements_of(typ);
    if let Framing::Values = framing {
        // Each element takes four bytes at least: the count is as small as the length.
        out.put_u32(saturating_u32(values.len()));
    }
    for value in values {
        match framing {
            Framing::Values => value.write_value(element_typ, out),
            Framing::Fixed(_) => value.write(element_typ, out),
            Framing::Vint => match value.value_len(element_typ) {
                Ok(ValueLen::Bytes(len)) => {
                    out.put_unsigned_vint(u64::from(len));
                    let start = out.position();
                    value.write(element_typ, out);
                    if usize::try_from(len) != Ok(out.position().saturating_sub(start)) {
                        out.set_fault();
                    }
                }
                // It was fine when the request was measured.
                _ => out.set_fault(),
            },
        }
    }
}

/// Closed table: the CQL types that each takes.
macro_rules! sequence {
    ($([$($param:tt)*] $rust:ty => $($cql:ident)|+ $(, vector $dimensions:expr)?;)*) => {$(
        impl<$($param)*> SerializeValue for $rust {
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    $(ColumnType::$cql(element))|+ => T::type_check(element),
                    $(ColumnType::Vector(element, dimensions)
                        if $dimensions.is_none_or(|len| len == usize::from(*dimensions)) =>
                    {
                        T::type_check(element)
                    })?
                    other => Err(TypeMismatch::of::<Self>(other)),
                }
            }

            fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
                sequence_len(self.iter(), typ)
            }

            fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
                write_sequence(self.iter(), typ, out);
            }
        }
    )*};
}

sequence! {
    [T: SerializeValue] [T] => List | Set, vector None::<usize>;
    [T: SerializeValue] Vec<T> => List | Set, vector None::<usize>;
    [T: SerializeValue, const N: usize] [T; N] => List | Set, vector Some(N);
    [T: SerializeValue, S] HashSet<T, S> => Set;
    [T: SerializeValue] BTreeSet<T> => Set;
}

/// Types of the keys and the values of `typ`; itself where it is no map.
fn entries_of(typ: &ColumnType) -> (&ColumnType, &ColumnType) {
    match typ {
        ColumnType::Map(pair) => (&pair.0, &pair.1),
        _ => (typ, typ),
    }
}

macro_rules! map {
    ($([$($param:tt)*] $rust:ty;)*) => {$(
        impl<$($param)*> SerializeValue for $rust {
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    ColumnType::Map(pair) => {
                        K::type_check(&pair.0)?;
                        V::type_check(&pair.1)
                    }
                    other => Err(TypeMismatch::of::<Self>(other)),
                }
            }

            fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
                let (key_typ, value_typ) = entries_of(typ);
                let mut len = 4_usize;
                for (key, value) in self {
                    len = len.saturating_add(element_len(key, key_typ)?);
                    len = len.saturating_add(element_len(value, value_typ)?);
                }
                ValueLen::bytes(len)
            }

            fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
                let (key_typ, value_typ) = entries_of(typ);
                out.put_u32(saturating_u32(self.len()));
                for (key, value) in self {
                    key.write_value(key_typ, out);
                    value.write_value(value_typ, out);
                }
            }
        }
    )*};
}

map! {
    [K: SerializeValue, V: SerializeValue, S] HashMap<K, V, S>;
    [K: SerializeValue, V: SerializeValue] BTreeMap<K, V>;
}

/// Type of the field at `index` of a tuple; its own where it has none.
#[inline]
fn field_of(typ: &ColumnType, index: usize) -> &ColumnType {
    match typ {
        ColumnType::Tuple(fields) => fields.get(index).unwrap_or(typ),
        _ => typ,
    }
}

macro_rules! tuple {
    ($($T:ident $i:tt),+) => {
        impl<$($T: SerializeValue),+> SerializeValue for ($($T,)+) {
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                const COUNT: usize = [$($i),+].len();
                let fields = match typ {
                    ColumnType::Tuple(fields) if fields.len() == COUNT => fields,
                    other => return Err(TypeMismatch::of::<Self>(other)),
                };
                let mut fields = fields.iter();
                $(if let Some(field) = fields.next() {
                    $T::type_check(field)?;
                })+
                Ok(())
            }

            fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
                let mut len = 0_usize;
                $(len = len.saturating_add(element_len(&self.$i, field_of(typ, $i))?);)+
                ValueLen::bytes(len)
            }

            fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
                $(self.$i.write_value(field_of(typ, $i), out);)+
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
