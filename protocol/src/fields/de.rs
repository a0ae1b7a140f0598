//! Reading the fields of a struct.
//!
//! Next: `routing/mod.rs`.

use std::slice;

use super::{AsRow, AsUdt, Fault, FieldName, FieldType, Matching, Named, check, udt_mismatch};
use crate::error::{DeserializeError, TypeMismatch};
use crate::row::Cells;
use crate::types::{ColumnSpec, ColumnType, Name};
use crate::value::{DeserializeValue, read_field};
use crate::wire::Reader;

/// The fields of a struct that is read, from the columns of a row ([`AsRow`]) or from the fields of
/// a user-defined type ([`AsUdt`]).
///
/// Derived with `DeserializeRow` and `DeserializeValue`. What those traits need is provided by
/// [`DeserializeRowFields`] and [`DeserializeUdtFields`].
///
/// ```
/// use shardwire_protocol::fields::{AsRow, DeserializeFields};
/// use shardwire_protocol::row::DeserializeRow;
///
/// #[derive(DeserializeRow)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Item<'a> {
///     id: i64,
///     #[shardwire(rename = "title")]
///     name: &'a str,
/// }
///
/// let mut names = Vec::new();
/// <Item as DeserializeFields<AsRow>>::visit_types(&mut |field| {
///     names.push(field.name.text());
///     Ok::<(), ()>(())
/// });
/// assert_eq!(names, ["id", "title"]);
/// ```
pub trait DeserializeFields<'frame, As>: Sized {
    /// How many there are, with those of flattened structs.
    const COUNT: usize;

    /// How they find their columns.
    const MATCHING: Matching;

    /// Whether fields that the user-defined type has and the struct has not are an error.
    const FORBID_EXCESS: bool;

    /// How few bytes their cells take, see [`DeserializeValue::CELL_LEN_MIN`].
    const LEN_MIN: usize;

    /// The values found so far, while they are looked for by name.
    type Partial: Default;

    /// Shows all fields to `visit`, in their order, until it gives an error.
    ///
    /// # Errors
    /// Those of `visit`.
    fn visit_types<E>(visit: &mut impl FnMut(FieldType) -> Result<(), E>) -> Result<(), E>;

    /// Reads the next cell as the field whose name has the hash `name`; false without one, and
    /// nothing is read.
    ///
    /// # Errors
    /// Those of the value.
    fn read_named(
        partial: &mut Self::Partial,
        name: u64,
        cells: &mut impl CellSource<'frame>,
    ) -> Result<bool, DeserializeError>;

    /// The struct of the values that were found.
    ///
    /// # Errors
    /// [`DeserializeError::NoColumnForField`] where one was not.
    fn from_partial(partial: Self::Partial) -> Result<Self, DeserializeError>;

    /// Reads all fields from cells in their order.
    ///
    /// # Errors
    /// Those of the values.
    fn read(cells: &mut impl CellSource<'frame>) -> Result<Self, DeserializeError>;

    /// As [`read`](Self::read), without saying what is wrong.
    fn read_sound(cells: &mut impl CellSource<'frame>) -> Option<Self>;
}

/// What [`DeserializeRow`](crate::row::DeserializeRow) needs of a struct, from its fields.
///
/// ```
/// use shardwire_protocol::fields::DeserializeRowFields;
/// use shardwire_protocol::row::DeserializeRow;
///
/// #[derive(DeserializeRow)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Item {
///     id: i64,
/// }
///
/// let error = Item::check_row(&[]).unwrap_err();
/// assert_eq!(error.to_string(), "the result has no column for field id");
/// ```
pub trait DeserializeRowFields<'frame>: DeserializeFields<'frame, AsRow> {
    /// What [`DeserializeRow::type_check`](crate::row::DeserializeRow::type_check) does.
    ///
    /// # Errors
    /// `WrongColumnCount`, `NoColumnForField`, `NoFieldForColumn`, or the first column that does
    /// not fit its field.
    fn check_row(columns: &[ColumnSpec]) -> Result<(), DeserializeError> {
        check(Self::MATCHING, false, columns, |mut visit| Self::visit_types(&mut visit)).map_err(
            |fault| match fault {
                Fault::Missing(field) => DeserializeError::NoColumnForField { field: field.text() },
                Fault::Excess(column) | Fault::Order(_, column) => {
                    DeserializeError::NoFieldForColumn { column: 0 }.at_column(column)
                }
                Fault::Count { fields, columns } => {
                    DeserializeError::wrong_column_count(fields, columns)
                }
                Fault::Type(_, column, mismatch) => mismatch.at_column(column).into(),
            },
        )
    }

    /// What [`DeserializeRow::is_in_order`](crate::row::DeserializeRow::is_in_order) does.
    fn is_row_in_order(columns: &[ColumnSpec]) -> bool {
        Self::MATCHING != Matching::ByName
            || (columns.len() == Self::COUNT && begin_in_order::<Self, AsRow>(columns))
    }

    /// What [`DeserializeRow::deserialize`](crate::row::DeserializeRow::deserialize) does.
    ///
    /// # Errors
    /// Those of the values, with the index of the column.
    #[inline(always)]
    fn read_row(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
        if Self::MATCHING != Matching::ByName || cells.are_in_order() {
            return Self::read(cells);
        }
        read_row_by_name(cells)
    }

    /// What [`DeserializeRow::deserialize_sound`](crate::row::DeserializeRow::deserialize_sound)
    /// does.
    #[inline(always)]
    fn read_sound_row(cells: &mut Cells<'frame, '_>) -> Option<Self> {
        if Self::MATCHING == Matching::ByName && !cells.are_in_order() {
            return read_row_by_name(cells).ok();
        }
        // One comparison, which the compiler then knows the outcome of some later ones from.
        if cells.has_bytes(Self::LEN_MIN) { Self::read_sound(cells) } else { None }
    }
}

impl<'frame, F: DeserializeFields<'frame, AsRow>> DeserializeRowFields<'frame> for F {}

/// What [`DeserializeValue`] needs of a struct that is a user-defined type, from its fields.
///
/// ```
/// use shardwire_protocol::fields::DeserializeUdtFields;
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::DeserializeValue;
///
/// #[derive(Debug, DeserializeValue)]
/// #[shardwire(crate = shardwire_protocol)]
/// struct Address {
///     street: String,
/// }
///
/// assert!(Address::check_udt(&ColumnType::Int).is_err());
/// assert!(Address::read_udt(&ColumnType::Int, None).is_err());
/// ```
pub trait DeserializeUdtFields<'frame>: DeserializeFields<'frame, AsUdt> {
    /// What [`DeserializeValue::type_check`] does.
    ///
    /// # Errors
    /// A type that is not user-defined, lacks a field of the struct's, or has one of another type.
    fn check_udt(typ: &ColumnType) -> Result<(), TypeMismatch> {
        let ColumnType::Udt(udt) = typ else { return Err(TypeMismatch::of::<Self>(typ)) };
        check(Self::MATCHING, !Self::FORBID_EXCESS, &udt.fields, |mut visit| {
            Self::visit_types(&mut visit)
        })
        .map_err(|fault| udt_mismatch::<Self>(fault, typ))
    }

    /// What [`DeserializeValue::deserialize`] does. Fields behind the end of the cell are null.
    ///
    /// # Errors
    /// A null, a cell that ends within a field, and those of the fields' values.
    #[inline]
    fn read_udt(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let ColumnType::Udt(udt) = typ else { return Err(TypeMismatch::of::<Self>(typ).into()) };
        let content = cell.ok_or_else(DeserializeError::unexpected_null::<Self>)?;
        let mut cells = UdtCells { fields: udt.fields.iter(), reader: Reader::new(content) };
        if Self::MATCHING != Matching::ByName || begin_in_order::<Self, AsUdt>(&udt.fields) {
            return Self::read(&mut cells);
        }
        let mut partial = Self::Partial::default();
        while let Some((name, _)) = cells.fields.as_slice().first() {
            if !Self::read_named(&mut partial, name.hash(), &mut cells)? {
                cells.next()?;
            }
        }
        Self::from_partial(partial)
    }
}

impl<'frame, F: DeserializeFields<'frame, AsUdt>> DeserializeUdtFields<'frame> for F {}

/// Where the fields of a struct are read from: the cells of a row, or those within a value of a
/// user-defined type.
///
/// ```
/// use shardwire_protocol::fields::{CellSource, FieldName};
/// use shardwire_protocol::row::Cells;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// use shardwire_protocol::wire::Reader;
///
/// let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
/// let columns = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
/// let mut cells = Cells::new(Reader::new(&[0, 0, 0, 4, 0, 0, 0, 7]), &columns);
/// let id = FieldName::new("id");
/// assert!(cells.is_next(id));
/// assert_eq!(cells.field(id), Ok(7));
/// assert!(!cells.is_next(id));
/// ```
pub trait CellSource<'frame> {
    /// Reads the next cell, as the field of this name.
    ///
    /// # Errors
    /// Those of the value, with the column or the field it is in.
    fn field<T: DeserializeValue<'frame>>(
        &mut self,
        name: FieldName,
    ) -> Result<T, DeserializeError>;

    /// As [`field`](Self::field), without saying what is wrong.
    fn sound_field<T: DeserializeValue<'frame>>(&mut self) -> Option<T>;

    /// Whether the next cell is that of the field of this name.
    fn is_next(&self, name: FieldName) -> bool;
}

impl<'frame> CellSource<'frame> for Cells<'frame, '_> {
    #[inline(always)]
    fn field<T: DeserializeValue<'frame>>(&mut self, _: FieldName) -> Result<T, DeserializeError> {
        self.value()
    }

    #[inline(always)]
    fn sound_field<T: DeserializeValue<'frame>>(&mut self) -> Option<T> {
        self.sound_value()
    }

    #[inline(always)]
    fn is_next(&self, name: FieldName) -> bool {
        self.next_column().is_some_and(|column| name.is_hashed_as(&column.name))
    }
}

/// What is left of a value of a user-defined type.
struct UdtCells<'frame> {
    fields: slice::Iter<'frame, (Name, ColumnType)>,
    reader: Reader<'frame>,
}

impl<'frame> UdtCells<'frame> {
    /// Type and content of the next field.
    #[inline]
    fn next(&mut self) -> Result<(&'frame ColumnType, Option<&'frame [u8]>), DeserializeError> {
        let Some((_, typ)) = self.fields.next() else {
            return Err(DeserializeError::bad_value("type with fewer fields than the struct"));
        };
        Ok((typ, read_field(&mut self.reader)?))
    }
}

impl<'frame> CellSource<'frame> for UdtCells<'frame> {
    #[inline]
    fn field<T: DeserializeValue<'frame>>(
        &mut self,
        name: FieldName,
    ) -> Result<T, DeserializeError> {
        let value = self.next().and_then(|(typ, content)| T::deserialize(typ, content));
        value.map_err(|error| error.at_field(name.text()))
    }

    #[inline]
    fn sound_field<T: DeserializeValue<'frame>>(&mut self) -> Option<T> {
        let (typ, content) = self.next().ok()?;
        T::deserialize(typ, content).ok()
    }

    #[inline]
    fn is_next(&self, name: FieldName) -> bool {
        let next = self.fields.as_slice().first();
        next.is_some_and(|(next, _)| name.is_hashed_as(next))
    }
}

/// Whether the columns begin with those of the fields, in their order.
#[inline(always)]
fn begin_in_order<'frame, F: DeserializeFields<'frame, As>, As>(columns: &[impl Named]) -> bool {
    let mut columns = columns.iter();
    F::visit_types(&mut |field| match columns.next() {
        Some(column) if field.name.is_hashed_as(column.name()) => Ok(()),
        _ => Err(()),
    })
    .is_ok()
}

#[inline(always)]
fn read_row_by_name<'frame, F: DeserializeFields<'frame, AsRow>>(
    cells: &mut Cells<'frame, '_>,
) -> Result<F, DeserializeError> {
    // A copy: rows in order are read in registers if nobody else knows the cells' address.
    let mut copy = cells.clone();
    let row = look_for_columns(&mut copy);
    *cells = copy;
    row
}

#[inline(never)]
fn look_for_columns<'frame, F: DeserializeFields<'frame, AsRow>>(
    cells: &mut Cells<'frame, '_>,
) -> Result<F, DeserializeError> {
    let mut partial = F::Partial::default();
    while let Some(column) = cells.next_column() {
        if !F::read_named(&mut partial, column.name.hash(), cells)? {
            cells.skip()?;
        }
    }
    F::from_partial(partial)
}
