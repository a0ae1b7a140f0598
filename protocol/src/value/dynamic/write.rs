//! [`CqlValue`] as a bound value, checked against the column's type as it is measured.
//!
//! What has a Rust type is written as that is; only maps, tuples and user-defined types are walked
//! here.
//!
//! Next: `value/dynamic/access.rs`.

use super::CqlValue;
use crate::error::{SerializeError, TypeMismatch, saturating_u32};
use crate::types::{ColumnType, Name, UdtType};
use crate::value::ser::element_len;
use crate::value::{SerializeValue, ValueLen};
use crate::wire::Writer;

/// The type is checked with each value, by [`SerializeValue::value_len`]: a
/// [`SerializeError::Type`] names the variant and the type that it does not fit.
impl SerializeValue for CqlValue {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        self.with_content(typ, |content| content.content_len(typ))?
    }

    fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        if self.with_content(typ, |content| content.write_content(typ, out)).is_err() {
            out.set_fault(); // measuring it gave an error
        }
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Ascii(text) | Self::Text(text) => Some(str::as_bytes(text)),
            Self::Blob(blob) => Some(blob),
            Self::Varint(number) => Some(number.as_signed_bytes_be_slice()),
            Self::Empty => Some(&[]),
            _ => None,
        }
    }
}

/// What is written for a value: [`SerializeValue`] without the check of the type, so that one
/// function can find out for all variants what it is.
trait Content {
    fn content_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError>;
    fn write_content(&self, typ: &ColumnType, out: &mut Writer<'_>);
}

impl<T: SerializeValue> Content for T {
    fn content_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        self.value_len(typ)
    }

    fn write_content(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        self.write(typ, out);
    }
}

impl CqlValue {
    /// Gives what is written of the value to `f`.
    ///
    /// # Errors
    /// A value that does not fit the type.
    fn with_content<R>(
        &self,
        typ: &ColumnType,
        f: impl FnOnce(&dyn Content) -> R,
    ) -> Result<R, TypeMismatch> {
        use ColumnType as Type;
        Ok(match (self, typ) {
            (Self::Ascii(text) | Self::Text(text), Type::Ascii | Type::Text) => f(text),
            (Self::BigInt(number), Type::Bigint) => f(number),
            (Self::Blob(blob), Type::Blob | Type::Custom(_)) => f(blob),
            (Self::Boolean(value), Type::Boolean) => f(value),
            (Self::Counter(number), Type::Counter) => f(number),
            (Self::Date(date), Type::Date) => f(date),
            (Self::Decimal(number), Type::Decimal) => f(number),
            (Self::Double(number), Type::Double) => f(number),
            (Self::Duration(duration), Type::Duration) => f(duration),
            (Self::Empty, typ) if typ.can_be_empty() => f(&[0_u8; 0]),
            (Self::Float(number), Type::Float) => f(number),
            (Self::Inet(ip), Type::Inet) => f(ip),
            (Self::Int(number), Type::Int) => f(number),
            (
                Self::List(elements) | Self::Set(elements) | Self::Vector(elements),
                Type::List(_) | Type::Set(_) | Type::Vector(..),
            ) => f(elements),
            (Self::Map(entries), Type::Map(pair)) => f(&Entries { entries, types: pair }),
            (Self::SmallInt(number), Type::Smallint) => f(number),
            (Self::Time(time), Type::Time) => f(time),
            (Self::Timestamp(time), Type::Timestamp) => f(time),
            (Self::Timeuuid(id), Type::Timeuuid) => f(id),
            (Self::TinyInt(number), Type::Tinyint) => f(number),
            (Self::Tuple(fields), Type::Tuple(types)) if fields.len() <= types.len() => {
                f(&Tuple { fields, types })
            }
            (Self::UserDefinedType { keyspace, name, fields }, Type::Udt(udt))
                if (keyspace, name) == (&udt.keyspace, &udt.name) =>
            {
                f(&Udt { fields, typ: udt })
            }
            (Self::Uuid(id), Type::Uuid | Type::Timeuuid) => f(id.as_bytes()),
            (Self::Varint(number), Type::Varint) => f(number),
            _ => {
                return Err(TypeMismatch { rust: self.kind(), ..TypeMismatch::of::<Self>(typ) });
            }
        })
    }
}

struct Entries<'v> {
    entries: &'v [(CqlValue, CqlValue)],
    types: &'v (ColumnType, ColumnType),
}

impl Content for Entries<'_> {
    fn content_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        let mut len = 4_usize;
        for (key, value) in self.entries {
            len = len.saturating_add(element_len(key, &self.types.0)?);
            len = len.saturating_add(element_len(value, &self.types.1)?);
        }
        ValueLen::bytes(len)
    }

    fn write_content(&self, _: &ColumnType, out: &mut Writer<'_>) {
        out.put_u32(saturating_u32(self.entries.len()));
        for (key, value) in self.entries {
            key.write_value(&self.types.0, out);
            value.write_value(&self.types.1, out);
        }
    }
}

/// As many fields as it has, which may be fewer than the type; but one, since a cell of no bytes
/// is another value.
struct Tuple<'v> {
    fields: &'v [Option<CqlValue>],
    types: &'v [ColumnType],
}

impl Tuple<'_> {
    fn fields(&self) -> impl Iterator<Item = (Option<&CqlValue>, &ColumnType)> {
        self.types
            .iter()
            .enumerate()
            .take(self.fields.len().max(1))
            .map(|(index, typ)| (self.fields.get(index).and_then(Option::as_ref), typ))
    }
}

impl Content for Tuple<'_> {
    fn content_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        fields_len(self.fields())
    }

    fn write_content(&self, _: &ColumnType, out: &mut Writer<'_>) {
        self.fields().for_each(|(field, typ)| field.write_value(typ, out));
    }
}

/// Fields in the type's order, to the last one that it has; but one, as in [`Tuple`]. Those before
/// it that it lacks are null.
struct Udt<'v> {
    fields: &'v [(Name, Option<CqlValue>)],
    typ: &'v UdtType,
}

impl Udt<'_> {
    fn fields(&self) -> impl Iterator<Item = (Option<&CqlValue>, &ColumnType)> {
        let has = |(name, _): &(Name, _)| self.find(name).is_some();
        let last = match self.in_order() {
            true => self.fields.len(),
            false => self.typ.fields.iter().rposition(has).map_or(0, |index| index + 1),
        };
        self.typ.fields.iter().enumerate().take(last.max(1)).map(|(index, (name, typ))| {
            let field = match self.fields.get(index) {
                Some((other, field)) if other == name => Some(field),
                _ => self.find(name).map(|(_, field)| field),
            };
            (field.and_then(Option::as_ref), typ)
        })
    }

    /// Whether its fields are the type's first ones, as they are when it was read.
    fn in_order(&self) -> bool {
        self.fields.len() <= self.typ.fields.len()
            && self.fields.iter().zip(&self.typ.fields).all(|(ours, its)| ours.0 == its.0)
    }

    fn find(&self, name: &Name) -> Option<&(Name, Option<CqlValue>)> {
        self.fields.iter().find(|(other, _)| other == name)
    }
}

impl Content for Udt<'_> {
    fn content_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        if !self.in_order() {
            for (index, (name, _)) in self.fields.iter().enumerate() {
                if !self.typ.fields.iter().any(|(other, _)| other == name) {
                    let what = "a field that the user-defined type does not have";
                    return Err(SerializeError::bad_value(what));
                }
                if self.fields.iter().take(index).any(|(other, _)| other == name) {
                    let what = "a field of a user-defined type that is given twice";
                    return Err(SerializeError::bad_value(what));
                }
            }
        }
        fields_len(self.fields())
    }

    fn write_content(&self, _: &ColumnType, out: &mut Writer<'_>) {
        self.fields().for_each(|(field, typ)| field.write_value(typ, out));
    }
}

fn fields_len<'v>(
    mut fields: impl Iterator<Item = (Option<&'v CqlValue>, &'v ColumnType)>,
) -> Result<ValueLen, SerializeError> {
    let len = fields.try_fold(0_usize, |len, (field, typ)| {
        Ok::<_, SerializeError>(len.saturating_add(element_len(&field, typ)?))
    })?;
    ValueLen::bytes(len)
}
