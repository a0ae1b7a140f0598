//! User-defined types and tuples, walked in place.
//!
//! For values whose fields are known only at run time, or of which few are needed. A cell may hold
//! fewer fields than its type has: what is missing reads as null.
//!
//! Next: `row/de.rs`.

use std::fmt;
use std::iter::FusedIterator;
use std::slice;

use super::{DeserializeValue, RawValue, not_null};
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::{ColumnType, Name, UdtType};
use crate::wire::Reader;

/// The next field's content: of a tuple or a user-defined type, null behind the cell's end.
#[inline]
pub(crate) fn read_field<'frame>(
    reader: &mut Reader<'frame>,
) -> Result<Option<&'frame [u8]>, DeserializeError> {
    if reader.remaining().is_empty() {
        return Ok(None);
    }
    reader.bytes("field").map_err(|_| DeserializeError::bad_value("fields cut short"))
}

/// The content of the field at `index`; those before it are passed over.
fn field_at<'frame>(
    mut reader: Reader<'frame>,
    index: usize,
) -> Result<Option<&'frame [u8]>, DeserializeError> {
    for _ in 0..index {
        read_field(&mut reader)?;
    }
    read_field(&mut reader)
}

#[cold]
fn no_field() -> DeserializeError {
    DeserializeError::bad_value("type without the field that was asked for")
}

/// A value of a user-defined type in the bytes of its cell.
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
/// use shardwire_protocol::value::{DeserializeValue, UdtView};
///
/// let fields = [("street".into(), ColumnType::Text), ("number".into(), ColumnType::Int)];
/// let typ = UdtType { keyspace: "k".into(), name: "address".into(), fields: fields.into() };
/// let typ = ColumnType::Udt(Box::new(typ));
///
/// let address = UdtView::deserialize(&typ, Some(&[0, 0, 0, 2, b'E', b'1']))?;
/// assert_eq!(address.field::<&str>("street"), Ok("E1"));
/// assert_eq!(address.field::<Option<i32>>("number"), Ok(None));
/// for field in address {
///     let field = field?;
///     println!("{} {}: {:?}", field.name, field.cell.typ, field.cell.content);
/// }
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct UdtView<'frame> {
    typ: &'frame UdtType,
    reader: Reader<'frame>,
}

/// A field of a [`UdtView`].
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
/// use shardwire_protocol::value::{DeserializeValue, UdtView};
///
/// let fields = [("number".into(), ColumnType::Int)];
/// let typ = UdtType { keyspace: "k".into(), name: "address".into(), fields: fields.into() };
/// let typ = ColumnType::Udt(Box::new(typ));
/// let address = UdtView::deserialize(&typ, Some(&[0, 0, 0, 4, 0, 0, 0, 7]))?;
/// for field in address {
///     let field = field?;
///     assert_eq!((field.name.as_str(), field.cell.read::<i32>()?), ("number", 7));
/// }
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'frame> {
    /// Its name.
    pub name: &'frame Name,
    /// Its type and content; null where the cell ends before it.
    pub cell: RawValue<'frame>,
}

impl<'frame> UdtView<'frame> {
    /// Its type.
    #[must_use]
    pub fn typ(&self) -> &'frame UdtType {
        self.typ
    }

    /// Reads the field of this name.
    ///
    /// # Errors
    /// [`DeserializeError::BadValue`] where the type has no such field or the cell is cut short;
    /// [`DeserializeError::Type`] where `T` does not fit, and those of the value.
    pub fn field<T: DeserializeValue<'frame>>(&self, name: &str) -> Result<T, DeserializeError> {
        let mut names = self.typ.fields.iter();
        self.at(names.position(|(field, _)| field == name).ok_or_else(no_field)?)
    }

    /// Reads the field at this index.
    ///
    /// # Errors
    /// As [`Self::field`].
    pub fn at<T: DeserializeValue<'frame>>(&self, index: usize) -> Result<T, DeserializeError> {
        let (_, typ) = self.typ.fields.get(index).ok_or_else(no_field)?;
        RawValue { typ, content: field_at(self.reader, index)? }.read()
    }

    /// Walks over all fields of the type, in their order. After an error it ends.
    #[must_use]
    pub fn iter(&self) -> UdtIter<'frame> {
        UdtIter { fields: self.typ.fields.iter(), reader: self.reader }
    }
}

/// Fields of a [`UdtView`], as many as the type has.
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
/// use shardwire_protocol::value::{DeserializeValue, UdtView};
///
/// let fields = [("street".into(), ColumnType::Text), ("number".into(), ColumnType::Int)];
/// let typ = UdtType { keyspace: "k".into(), name: "address".into(), fields: fields.into() };
/// let typ = ColumnType::Udt(Box::new(typ));
/// let fields = UdtView::deserialize(&typ, Some(&[]))?.iter();
/// for field in fields {
///     assert_eq!(field?.cell.content, None);
/// }
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone)]
pub struct UdtIter<'frame> {
    fields: slice::Iter<'frame, (Name, ColumnType)>,
    reader: Reader<'frame>,
}

impl<'frame> Iterator for UdtIter<'frame> {
    type Item = Result<Field<'frame>, DeserializeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, typ) = self.fields.next()?;
        Some(match read_field(&mut self.reader) {
            Ok(content) => Ok(Field { name, cell: RawValue { typ, content } }),
            Err(error) => {
                self.fields = [].iter();
                Err(error)
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl<'frame> DeserializeValue<'frame> for UdtView<'frame> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Udt(_) => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    #[inline]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let ColumnType::Udt(typ) = typ else {
            return Err(TypeMismatch::of::<Self>(typ).into());
        };
        Ok(Self { typ, reader: Reader::new(not_null::<Self>(cell)?) })
    }
}

/// A tuple in the bytes of its cell.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, TupleView};
///
/// let typ = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
/// let pair = TupleView::deserialize(&typ, Some(&[0, 0, 0, 4, 0, 0, 0, 7]))?;
/// assert_eq!(pair.at::<i32>(0), Ok(7));
/// assert_eq!(pair.at::<Option<&str>>(1), Ok(None));
/// assert_eq!(pair.iter().count(), 2);
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct TupleView<'frame> {
    types: &'frame [ColumnType],
    reader: Reader<'frame>,
}

impl<'frame> TupleView<'frame> {
    /// The types of its fields.
    #[must_use]
    pub fn types(&self) -> &'frame [ColumnType] {
        self.types
    }

    /// Reads the field at this index.
    ///
    /// # Errors
    /// [`DeserializeError::BadValue`] where the type has no such field or the cell is cut short;
    /// [`DeserializeError::Type`] where `T` does not fit, and those of the value.
    pub fn at<T: DeserializeValue<'frame>>(&self, index: usize) -> Result<T, DeserializeError> {
        let typ = self.types.get(index).ok_or_else(no_field)?;
        RawValue { typ, content: field_at(self.reader, index)? }.read()
    }

    /// Walks over all fields of the type, in their order. After an error it ends.
    #[must_use]
    pub fn iter(&self) -> TupleIter<'frame> {
        TupleIter { types: self.types.iter(), reader: self.reader }
    }
}

/// Fields of a [`TupleView`], as many as the type has.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, TupleView};
///
/// let typ = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
/// let mut fields = TupleView::deserialize(&typ, Some(&[0, 0, 0, 4, 0, 0, 0, 7]))?.iter();
/// assert_eq!(fields.next().expect("there are two")?.read::<i32>(), Ok(7));
/// assert_eq!(fields.next().expect("there are two")?.content, None);
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
#[derive(Clone)]
pub struct TupleIter<'frame> {
    types: slice::Iter<'frame, ColumnType>,
    reader: Reader<'frame>,
}

impl<'frame> Iterator for TupleIter<'frame> {
    type Item = Result<RawValue<'frame>, DeserializeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let typ = self.types.next()?;
        Some(match read_field(&mut self.reader) {
            Ok(content) => Ok(RawValue { typ, content }),
            Err(error) => {
                self.types = [].iter();
                Err(error)
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.types.size_hint()
    }
}

impl<'frame> DeserializeValue<'frame> for TupleView<'frame> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Tuple(_) => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    #[inline]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let ColumnType::Tuple(types) = typ else {
            return Err(TypeMismatch::of::<Self>(typ).into());
        };
        Ok(Self { types, reader: Reader::new(not_null::<Self>(cell)?) })
    }
}

macro_rules! walked {
    ($($view:ident, $iter:ident, $left:ident;)*) => {$(
        impl<'frame> IntoIterator for $view<'frame> {
            type Item = <$iter<'frame> as Iterator>::Item;
            type IntoIter = $iter<'frame>;

            fn into_iter(self) -> $iter<'frame> {
                self.iter()
            }
        }

        impl ExactSizeIterator for $iter<'_> {}
        impl FusedIterator for $iter<'_> {}

        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($view))
                    .field("len", &self.iter().len())
                    .field("bytes", &self.reader.remaining())
                    .finish()
            }
        }

        impl fmt::Debug for $iter<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($iter)).field("left", &self.$left.len()).finish()
            }
        }
    )*};
}

walked! {
    UdtView, UdtIter, fields;
    TupleView, TupleIter, types;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udt() -> ColumnType {
        ColumnType::Udt(Box::new(UdtType {
            keyspace: "k".into(),
            name: "u".into(),
            fields: [("a".into(), ColumnType::Int), ("b".into(), ColumnType::Text)].into(),
        }))
    }

    const CELL: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'x'];

    #[test]
    fn fields_by_name_and_index() {
        let typ = udt();
        let view = UdtView::deserialize(&typ, Some(CELL)).unwrap();
        assert_eq!((view.field::<i32>("a"), view.at::<i32>(0)), (Ok(1), Ok(1)));
        assert_eq!((view.field::<&str>("b"), view.at::<&str>(1)), (Ok("x"), Ok("x")));
        assert!(matches!(view.field::<i64>("a"), Err(DeserializeError::Type(_))));
        assert_eq!(view.field::<i32>("c"), Err(no_field()));
        assert_eq!(view.at::<i32>(2), Err(no_field()));
        let fields: Vec<_> = view.iter().map(Result::unwrap).collect();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(fields[1].cell.content, Some(&b"x"[..]));
        assert_eq!(view.typ().name, "u".into());
        assert!(UdtView::deserialize(&typ, None).is_err());
        assert!(UdtView::deserialize(&ColumnType::Int, Some(CELL)).is_err());
        assert!(UdtView::type_check(&ColumnType::Int).is_err());
    }

    #[test]
    fn cut_at_every_byte() {
        let typ = udt();
        for len in 0..CELL.len() {
            let view = UdtView::deserialize(&typ, Some(&CELL[..len])).unwrap();
            let fields: Vec<_> = view.iter().collect();
            match len {
                0 | 8 => {
                    assert!(fields.iter().all(Result::is_ok), "{len}: missing ones are null");
                    assert_eq!(view.field::<Option<&str>>("b"), Ok(None));
                }
                _ => {
                    assert!(fields.last().unwrap().is_err(), "{len}");
                    assert!(view.field::<Option<&str>>("b").is_err());
                }
            }
            let typ = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
            let tuple = TupleView::deserialize(&typ, Some(&CELL[..len])).unwrap();
            assert_eq!(tuple.iter().filter(Result::is_ok).count(), fields.iter().flatten().count());
        }
    }

    #[test]
    fn tuples() {
        let typ = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
        let view = TupleView::deserialize(&typ, Some(CELL)).unwrap();
        assert_eq!((view.at::<i32>(0), view.at::<&str>(1)), (Ok(1), Ok("x")));
        assert_eq!(view.at::<i32>(2), Err(no_field()));
        assert_eq!((view.types().len(), view.iter().len()), (2, 2));
        assert!(TupleView::type_check(&udt()).is_err());
        assert!(TupleView::deserialize(&typ, None).is_err());
    }
}
