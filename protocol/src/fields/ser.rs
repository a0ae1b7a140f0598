//! Binding the fields of a struct.
//!
//! Next: `fields/de.rs`.

use super::{AsRow, AsUdt, Fault, FieldName, FieldType, Matching, Named, check, udt_mismatch};
use crate::error::{SerializeError, TypeMismatch};
use crate::routing::KeySink;
use crate::row::type_at;
use crate::types::{ColumnSpec, ColumnType, Name, UdtType};
use crate::value::{SerializeValue, ValueLen};
use crate::wire::Writer;

/// The fields of a struct whose values are bound, `As` markers of a statement ([`AsRow`]) or fields
/// of a user-defined type ([`AsUdt`]).
///
/// Derived with `SerializeRow` and `SerializeValue`. What those traits need is provided here.
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::fields::{AsRow, FieldName, FieldVisitor, SerializeFields};
/// use shardwire_protocol::row::SerializeRow;
/// use shardwire_protocol::value::SerializeValue;
///
/// #[derive(SerializeRow)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Item<'a> {
///     id: i64,
///     name: &'a str,
/// }
///
/// /// Counts how many bytes there are to borrow.
/// struct Borrowed(usize);
///
/// impl FieldVisitor for Borrowed {
///     fn value<V: SerializeValue + ?Sized>(
///         &mut self,
///         _: FieldName,
///         value: &V,
///     ) -> Result<(), SerializeError> {
///         self.0 += value.as_bytes().map_or(0, <[u8]>::len);
///         Ok(())
///     }
/// }
///
/// let mut borrowed = Borrowed(0);
/// SerializeFields::<AsRow>::visit(&Item { id: 7, name: "lamp" }, &mut borrowed)?;
/// assert_eq!(borrowed.0, 4);
/// # Ok::<(), SerializeError>(())
/// ```
pub trait SerializeFields<As> {
    /// How many there are, with those of flattened structs.
    const COUNT: usize;

    /// How they find their columns.
    const MATCHING: Matching;

    /// Whether fields that the user-defined type has and the struct has not are an error.
    const FORBID_EXCESS: bool;

    /// Shows all fields to `visit`, in their order, until it gives an error.
    ///
    /// # Errors
    /// Those of `visit`.
    fn visit_types<E>(visit: &mut impl FnMut(FieldType) -> Result<(), E>) -> Result<(), E>;

    /// Shows all values to `visitor`, in their order, until it gives an error.
    ///
    /// # Errors
    /// Those of `visitor`.
    fn visit(&self, visitor: &mut impl FieldVisitor) -> Result<(), SerializeError>;

    /// Shows the value of the field whose name has the hash `name` to `visitor`; false without one.
    ///
    /// # Errors
    /// Those of `visitor`.
    fn visit_named(
        &self,
        name: u64,
        visitor: &mut impl FieldVisitor,
    ) -> Result<bool, SerializeError>;
}

/// What [`SerializeRow`](crate::row::SerializeRow) needs of a struct, from its fields.
///
/// ```
/// use shardwire_protocol::fields::SerializeRowFields;
/// use shardwire_protocol::row::SerializeRow;
/// use shardwire_protocol::wire::Writer;
///
/// #[derive(SerializeRow)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Item {
///     id: i16,
/// }
///
/// let mut value = [0; 6];
/// Item { id: 7 }.write_row(&[], &mut Writer::new(&mut value));
/// assert_eq!(value, [0, 0, 0, 2, 0, 7]);
/// ```
pub trait SerializeRowFields: SerializeFields<AsRow> {
    /// What [`SerializeRow::type_check`](crate::row::SerializeRow::type_check) does.
    ///
    /// # Errors
    /// `WrongValueCount`, `NoMarkerForField`, `NoValueForMarker`, or the first field that does not
    /// fit its marker.
    fn check_row(columns: &[ColumnSpec]) -> Result<(), SerializeError> {
        let fits = check(Self::MATCHING, false, columns, |mut visit| Self::visit_types(&mut visit));
        fits.map_err(|fault| match fault {
            Fault::Missing(field) => SerializeError::NoMarkerForField { field: field.text() },
            Fault::Excess(column) | Fault::Order(_, column) => {
                SerializeError::NoValueForMarker { column: 0 }.at_column(column)
            }
            Fault::Count { fields, columns } => SerializeError::wrong_value_count(columns, fields),
            Fault::Type(_, column, mismatch) => mismatch.at_column(column).into(),
        })
    }

    /// What [`SerializeRow::type_key`](crate::row::SerializeRow::type_key) does.
    #[inline]
    fn check_key() -> usize {
        // Where the linker folds two such functions into one, they do the same.
        (Self::check_row as fn(&[ColumnSpec]) -> Result<(), SerializeError> as *const ()).addr()
    }

    /// What [`SerializeRow::values_len`](crate::row::SerializeRow::values_len) does.
    ///
    /// # Errors
    /// The first value that the protocol cannot express.
    #[inline]
    fn row_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
        let mut len = Len { columns, index: 0, len: 0 };
        if is_row_in_order::<Self>(columns) {
            Self::visit(self, &mut len)?;
            return Ok(len.len);
        }
        while let Some(column) = columns.get(len.index) {
            if !Self::visit_named(self, column.name.hash(), &mut len)? {
                return Err(no_value(len.index));
            }
        }
        Ok(len.len)
    }

    /// What [`SerializeRow::write_values`](crate::row::SerializeRow::write_values) does.
    #[inline]
    fn write_row(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
        let mut write = Write { columns, index: 0, out };
        let written = if is_row_in_order::<Self>(columns) {
            Self::visit(self, &mut write)
        } else {
            columns.iter().try_for_each(|column| {
                let name = column.name.hash();
                match Self::visit_named(self, name, &mut write)? {
                    true => Ok(()),
                    false => Err(no_value(write.index)),
                }
            })
        };
        if written.is_err() {
            write.out.set_fault(); // measured otherwise before
        }
    }

    /// What [`SerializeRow::hash_column`](crate::row::SerializeRow::hash_column) does.
    ///
    /// # Errors
    /// A value that cannot be part of a key; `NoValueForMarker` if there is no such marker.
    #[inline]
    fn hash_row(
        &self,
        index: usize,
        columns: &[ColumnSpec],
        sink: &mut KeySink<'_>,
    ) -> Result<(), SerializeError> {
        let typ = type_at(columns, index);
        let found = match columns.get(index) {
            Some(column) if Self::MATCHING == Matching::ByName => {
                let mut hash = Hash { typ, sink, skip: 0 };
                Self::visit_named(self, column.name.hash(), &mut hash)
            }
            _ if index < Self::COUNT => {
                let mut hash = Hash { typ, sink, skip: index };
                Self::visit(self, &mut hash).map(|()| true)
            }
            _ => Ok(false),
        };
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_value(index)),
            Err(error) => Err(error.at_column(index)),
        }
    }
}

impl<F: SerializeFields<AsRow> + ?Sized> SerializeRowFields for F {}

/// What [`SerializeValue`] needs of a struct that is a user-defined type, from its fields.
///
/// ```
/// use shardwire_protocol::fields::SerializeUdtFields;
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::SerializeValue;
///
/// #[derive(SerializeValue)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Address {
///     street: String,
/// }
///
/// assert!(Address::check_udt(&ColumnType::Int).is_err());
/// ```
pub trait SerializeUdtFields: SerializeFields<AsUdt> {
    /// What [`SerializeValue::type_check`] does.
    ///
    /// # Errors
    /// A type that is not user-defined, lacks a field of the struct's, or has one of another type.
    fn check_udt(typ: &ColumnType) -> Result<(), TypeMismatch> {
        let ColumnType::Udt(udt) = typ else { return Err(TypeMismatch::of::<Self>(typ)) };
        let allow_excess = !Self::FORBID_EXCESS;
        let matching = Self::MATCHING;
        check(matching, allow_excess, &udt.fields, |mut visit| Self::visit_types(&mut visit))
            .map_err(|fault| udt_mismatch::<Self>(fault, typ))
    }

    /// What [`SerializeValue::value_len`] does.
    ///
    /// # Errors
    /// The first value that the protocol cannot express.
    fn udt_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        let ColumnType::Udt(udt) = typ else { return Err(TypeMismatch::of::<Self>(typ).into()) };
        let mut len = UdtLen { fields: udt.fields.iter(), len: 0 };
        visit_udt(self, udt, &mut len)?;
        ValueLen::bytes(len.len)
    }

    /// What [`SerializeValue::write`] does: fields that the struct has not are null, those behind
    /// its last one are left out.
    fn write_udt(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        let ColumnType::Udt(udt) = typ else { return out.set_fault() }; // measuring has refused it
        let mut write = UdtWrite { fields: udt.fields.iter(), out };
        if visit_udt(self, udt, &mut write).is_err() {
            write.out.set_fault(); // measured otherwise before
        }
    }
}

impl<F: SerializeFields<AsUdt> + ?Sized> SerializeUdtFields for F {}

/// What is done to the values of a struct's fields, see [`SerializeFields`].
///
/// ```
/// use shardwire_protocol::error::SerializeError;
/// use shardwire_protocol::fields::{FieldName, FieldVisitor};
/// use shardwire_protocol::value::SerializeValue;
///
/// struct Count(u32);
///
/// impl FieldVisitor for Count {
///     fn value<V: SerializeValue + ?Sized>(
///         &mut self,
///         _: FieldName,
///         _: &V,
///     ) -> Result<(), SerializeError> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
///
/// let mut count = Count(0);
/// assert_eq!((count.value(FieldName::new("id"), &7), count.0), (Ok(()), 1));
/// ```
pub trait FieldVisitor {
    /// The next field's value.
    ///
    /// # Errors
    /// Ends the visit, and is passed on.
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        name: FieldName,
        value: &V,
    ) -> Result<(), SerializeError>;

    /// A field that the struct has not: of a user-defined type, and null.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    fn missing(&mut self) -> Result<(), SerializeError> {
        Ok(())
    }
}

#[cold]
fn no_value(column: usize) -> SerializeError {
    SerializeError::NoValueForMarker { column: 0 }.at_column(column)
}

/// Whether values follow each other as the fields do: always where the order counts, and where no
/// columns are given.
#[inline(always)]
fn is_row_in_order<F: SerializeFields<AsRow> + ?Sized>(columns: &[ColumnSpec]) -> bool {
    F::MATCHING != Matching::ByName
        || columns.is_empty()
        || (columns.len() == F::COUNT && begin_in_order::<F, AsRow>(columns))
}

/// Whether the columns begin with those of the fields, in their order.
#[inline(always)]
fn begin_in_order<F: SerializeFields<As> + ?Sized, As>(columns: &[impl Named]) -> bool {
    let mut columns = columns.iter();
    F::visit_types(&mut |field| match columns.next() {
        Some(column) if field.name.is_hashed_as(column.name()) => Ok(()),
        _ => Err(()),
    })
    .is_ok()
}

/// Shows the values to `visitor` in the order of the type's fields, up to the struct's last one.
fn visit_udt<F: SerializeFields<AsUdt> + ?Sized>(
    fields: &F,
    udt: &UdtType,
    visitor: &mut impl FieldVisitor,
) -> Result<(), SerializeError> {
    if F::MATCHING != Matching::ByName || begin_in_order::<F, AsUdt>(&udt.fields) {
        return fields.visit(visitor);
    }
    for (name, _) in udt.fields.iter().take(present_len::<F>(udt)) {
        if !fields.visit_named(name.hash(), visitor)? {
            visitor.missing()?;
        }
    }
    Ok(())
}

/// How many fields of the type there are up to the last one that the struct has.
fn present_len<F: SerializeFields<AsUdt> + ?Sized>(udt: &UdtType) -> usize {
    let is_present = |name: &Name| {
        F::visit_types(&mut |field| if field.name.is_hashed_as(name) { Err(()) } else { Ok(()) })
            .is_err()
    };
    udt.fields.iter().rposition(|(name, _)| is_present(name)).map_or(0, |last| last + 1)
}

/// Sums up lengths, with their length fields.
struct Len<'c> {
    columns: &'c [ColumnSpec],
    index: usize,
    len: usize,
}

impl FieldVisitor for Len<'_> {
    #[inline(always)]
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        _: FieldName,
        value: &V,
    ) -> Result<(), SerializeError> {
        match value.value_len(type_at(self.columns, self.index)) {
            Ok(len) => self.len = self.len.saturating_add(len.encoded_len()),
            Err(error) => return Err(error.at_column(self.index)),
        }
        self.index += 1;
        Ok(())
    }
}

/// Writes values, each with its length.
struct Write<'c, 'w, 'b> {
    columns: &'c [ColumnSpec],
    index: usize,
    out: &'w mut Writer<'b>,
}

impl FieldVisitor for Write<'_, '_, '_> {
    #[inline(always)]
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        _: FieldName,
        value: &V,
    ) -> Result<(), SerializeError> {
        value.write_value(type_at(self.columns, self.index), self.out);
        self.index += 1;
        Ok(())
    }
}

/// Gives one value to the sink, after those to be skipped.
struct Hash<'t, 's, 'k> {
    typ: &'t ColumnType,
    sink: &'s mut KeySink<'k>,
    skip: usize,
}

impl FieldVisitor for Hash<'_, '_, '_> {
    #[inline(always)]
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        _: FieldName,
        value: &V,
    ) -> Result<(), SerializeError> {
        let is_it = self.skip == 0;
        self.skip = self.skip.wrapping_sub(1);
        if is_it { self.sink.column(value, self.typ) } else { Ok(()) }
    }
}

type Fields<'t> = std::slice::Iter<'t, (Name, ColumnType)>;

/// As [`Len`], of a user-defined type.
struct UdtLen<'t> {
    fields: Fields<'t>,
    len: usize,
}

impl FieldVisitor for UdtLen<'_> {
    #[inline]
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        name: FieldName,
        value: &V,
    ) -> Result<(), SerializeError> {
        let Some((_, typ)) = self.fields.next() else { return Err(too_few_fields()) };
        let error = match value.value_len(typ) {
            Ok(ValueLen::Unset) => {
                SerializeError::bad_value("a part of a user-defined type cannot be unset")
            }
            Ok(len) => {
                self.len = self.len.saturating_add(len.encoded_len());
                return Ok(());
            }
            Err(error) => error,
        };
        Err(error.at_field(name.text()))
    }

    fn missing(&mut self) -> Result<(), SerializeError> {
        self.fields.next();
        self.len = self.len.saturating_add(ValueLen::Null.encoded_len());
        Ok(())
    }
}

/// As [`Write`], of a user-defined type.
struct UdtWrite<'t, 'w, 'b> {
    fields: Fields<'t>,
    out: &'w mut Writer<'b>,
}

impl FieldVisitor for UdtWrite<'_, '_, '_> {
    #[inline]
    fn value<V: SerializeValue + ?Sized>(
        &mut self,
        _: FieldName,
        value: &V,
    ) -> Result<(), SerializeError> {
        let Some((_, typ)) = self.fields.next() else { return Err(too_few_fields()) };
        value.write_value(typ, self.out);
        Ok(())
    }

    fn missing(&mut self) -> Result<(), SerializeError> {
        self.fields.next();
        self.out.put_i32(-1);
        Ok(())
    }
}

#[cold]
fn too_few_fields() -> SerializeError {
    SerializeError::bad_value("a user-defined type with fewer fields than the struct")
}
