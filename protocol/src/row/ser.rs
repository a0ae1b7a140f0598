//! Bound rows: the values of a statement, in the order of its markers.
//!
//! A row knows its length without being walked twice and hashes its key columns where they lie.
//! Which columns are the key is the statement's business. Next: `row/map.rs`.

use crate::error::SerializeError;
use crate::routing::KeySink;
use crate::types::{ColumnSpec, ColumnType};
use crate::value::SerializeValue;
use crate::wire::Writer;

/// Values that can be bound to the markers of a statement.
///
/// `columns` are the statement's markers, as its preparation told them. The caller checks the
/// types once per statement and [`Self::type_key`], then measures and writes without looking at
/// them again; an implementation that binds by position need not look at `columns` at all.
///
/// ```
/// use shardwire_protocol::row::SerializeRow;
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
/// use shardwire_protocol::wire::Writer;
///
/// let (keyspace, table, name) = ("shop".into(), "items".into(), "id".into());
/// let markers = [ColumnSpec { keyspace, table, name, typ: ColumnType::Int }];
/// let row = (7,);
/// row.type_check(&markers)?;
/// let mut values = vec![0; row.values_len(&markers)?];
/// row.write_values(&markers, &mut Writer::new(&mut values));
/// assert_eq!(values, [0, 0, 0, 4, 0, 0, 0, 7]);
/// assert!((7_i64,).type_check(&markers).is_err());
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound as the values of a statement",
    note = "derive `SerializeRow` for structs; a single value is the tuple `(value,)`"
)]
pub trait SerializeRow {
    /// Whether number and types of the values fit the markers.
    ///
    /// # Errors
    /// `WrongValueCount`, or the first value that does not fit.
    fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError>;

    /// Identity of the check. Equal keys mean the same outcome of [`Self::type_check`] for the
    /// same columns, so it need not be repeated; `None` means that it must. Never zero.
    fn type_key(&self) -> Option<usize>;

    /// How many values there are.
    fn value_count(&self) -> usize;

    /// Exact length of what [`Self::write_values`] writes, in bytes.
    ///
    /// # Errors
    /// The first value that the protocol cannot express.
    fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError>;

    /// Writes all values, each with its length.
    fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>);

    /// Gives the value of one marker to `sink`, by one call of [`KeySink::column`].
    ///
    /// # Errors
    /// A value that cannot be part of a key; `WrongValueCount` if there is no such marker.
    fn hash_column(
        &self,
        index: usize,
        columns: &[ColumnSpec],
        sink: &mut KeySink<'_>,
    ) -> Result<(), SerializeError>;
}

/// No values.
impl SerializeRow for () {
    #[inline]
    fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
        check_none(columns)
    }

    #[inline]
    fn type_key(&self) -> Option<usize> {
        // Not 0, which a caller may keep for "not checked yet".
        Some((check_none as TypeCheck as *const ()).addr())
    }

    #[inline]
    fn value_count(&self) -> usize {
        0
    }

    #[inline]
    fn values_len(&self, _: &[ColumnSpec]) -> Result<usize, SerializeError> {
        Ok(0)
    }

    #[inline]
    fn write_values(&self, _: &[ColumnSpec], _: &mut Writer<'_>) {}

    #[inline]
    fn hash_column(
        &self,
        index: usize,
        _: &[ColumnSpec],
        _: &mut KeySink<'_>,
    ) -> Result<(), SerializeError> {
        Err(no_such_value(index, 0))
    }
}

impl<R: SerializeRow + ?Sized> SerializeRow for &R {
    #[inline]
    fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
        (**self).type_check(columns)
    }

    #[inline]
    fn type_key(&self) -> Option<usize> {
        (**self).type_key()
    }

    #[inline]
    fn value_count(&self) -> usize {
        (**self).value_count()
    }

    #[inline]
    fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
        (**self).values_len(columns)
    }

    #[inline]
    fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
        (**self).write_values(columns, out);
    }

    #[inline]
    fn hash_column(
        &self,
        index: usize,
        columns: &[ColumnSpec],
        sink: &mut KeySink<'_>,
    ) -> Result<(), SerializeError> {
        (**self).hash_column(index, columns, sink)
    }
}

/// Values of one type, as many as there are markers.
impl<T: SerializeValue> SerializeRow for [T] {
    fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
        check_count(self.len(), columns)?;
        check_all::<T>(columns)
    }

    /// None: how many values there are is not part of the type.
    #[inline]
    fn type_key(&self) -> Option<usize> {
        None
    }

    #[inline]
    fn value_count(&self) -> usize {
        self.len()
    }

    fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
        let mut len = 0_usize;
        for (index, value) in self.iter().enumerate() {
            let typ = type_at(columns, index);
            let value_len = value.value_len(typ).map_err(|error| error.at_column(index))?;
            len = len.saturating_add(value_len.encoded_len());
        }
        Ok(len)
    }

    fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
        for (index, value) in self.iter().enumerate() {
            value.write_value(type_at(columns, index), out);
        }
    }

    fn hash_column(
        &self,
        index: usize,
        columns: &[ColumnSpec],
        sink: &mut KeySink<'_>,
    ) -> Result<(), SerializeError> {
        match self.get(index) {
            Some(value) => {
                sink.column(value, type_at(columns, index)).map_err(|error| error.at_column(index))
            }
            None => Err(no_such_value(index, self.len())),
        }
    }
}

/// Passes all but the type's identity to the slice.
macro_rules! as_slice {
    ($([$($param:tt)*] $rust:ty, $type_key:expr;)*) => {$(
        impl<$($param)*> SerializeRow for $rust {
            fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
                self.as_slice().type_check(columns)
            }

            #[inline]
            fn type_key(&self) -> Option<usize> {
                $type_key
            }

            #[inline]
            fn value_count(&self) -> usize {
                self.len()
            }

            #[inline]
            fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
                self.as_slice().values_len(columns)
            }

            #[inline]
            fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
                self.as_slice().write_values(columns, out);
            }

            #[inline]
            fn hash_column(
                &self,
                index: usize,
                columns: &[ColumnSpec],
                sink: &mut KeySink<'_>,
            ) -> Result<(), SerializeError> {
                self.as_slice().hash_column(index, columns, sink)
            }
        }
    )*};
}

as_slice! {
    [T: SerializeValue] Vec<T>, None;
    [T: SerializeValue, const N: usize] [T; N],
        Some((check_array::<T, N> as TypeCheck as *const ()).addr());
}

macro_rules! tuple {
    ($($T:ident $i:tt),+) => {
        impl<$($T: SerializeValue),+> SerializeRow for ($($T,)+) {
            #[inline]
            fn type_check(&self, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
                check_tuple::<($($T,)+)>(columns)
            }

            #[inline]
            fn type_key(&self) -> Option<usize> {
                Some((check_tuple::<($($T,)+)> as TypeCheck as *const ()).addr())
            }

            #[inline]
            fn value_count(&self) -> usize {
                <Self as Tuple>::COUNT
            }

            #[inline]
            fn values_len(&self, columns: &[ColumnSpec]) -> Result<usize, SerializeError> {
                let mut len = 0_usize;
                $(match self.$i.value_len(type_at(columns, $i)) {
                    Ok(value_len) => len = len.saturating_add(value_len.encoded_len()),
                    Err(error) => return Err(error.at_column($i)),
                })+
                Ok(len)
            }

            #[inline]
            fn write_values(&self, columns: &[ColumnSpec], out: &mut Writer<'_>) {
                $(self.$i.write_value(type_at(columns, $i), out);)+
            }

            #[inline]
            fn hash_column(
                &self,
                index: usize,
                columns: &[ColumnSpec],
                sink: &mut KeySink<'_>,
            ) -> Result<(), SerializeError> {
                match index {
                    $($i => sink.column(&self.$i, type_at(columns, $i)),)+
                    _ => return Err(no_such_value(index, <Self as Tuple>::COUNT)),
                }
                .map_err(|error| error.at_column(index))
            }
        }

        impl<$($T: SerializeValue),+> Tuple for ($($T,)+) {
            const COUNT: usize = [$($i),+].len();

            fn check_types(columns: &[ColumnSpec]) -> Result<(), SerializeError> {
                let mut columns = columns.iter();
                $(if let Some(column) = columns.next() {
                    $T::type_check(&column.typ)
                        .map_err(|mismatch| SerializeError::Type(mismatch.at_column($i)))?;
                })+
                Ok(())
            }
        }
    };
}

/// What a tuple's check needs of it, apart from a value: the check is a function of its own, so
/// that its address can be the check's identity. Where the linker folds two such functions into
/// one, they do the same.
trait Tuple {
    const COUNT: usize;

    fn check_types(columns: &[ColumnSpec]) -> Result<(), SerializeError>;
}

type TypeCheck = fn(&[ColumnSpec]) -> Result<(), SerializeError>;

fn check_none(columns: &[ColumnSpec]) -> Result<(), SerializeError> {
    check_count(0, columns)
}

fn check_tuple<T: Tuple>(columns: &[ColumnSpec]) -> Result<(), SerializeError> {
    check_count(T::COUNT, columns)?;
    T::check_types(columns)
}

fn check_array<T: SerializeValue, const N: usize>(
    columns: &[ColumnSpec],
) -> Result<(), SerializeError> {
    check_count(N, columns)?;
    check_all::<T>(columns)
}

fn check_all<T: SerializeValue>(columns: &[ColumnSpec]) -> Result<(), SerializeError> {
    for (index, column) in columns.iter().enumerate() {
        T::type_check(&column.typ)
            .map_err(|mismatch| SerializeError::Type(mismatch.at_column(index)))?;
    }
    Ok(())
}

fn check_count(count: usize, columns: &[ColumnSpec]) -> Result<(), SerializeError> {
    if count == columns.len() {
        Ok(())
    } else {
        Err(SerializeError::wrong_value_count(columns.len(), count))
    }
}

/// Type of the marker at `index`. Where the caller gives no columns, values that have one form only
/// are written all the same. The compiler drops the look-up for values that ignore the type.
///
/// ```
/// use shardwire_protocol::row::type_at;
/// use shardwire_protocol::types::ColumnType;
///
/// assert_eq!(type_at(&[], 0), &ColumnType::Blob);
/// ```
#[inline(always)]
#[must_use]
pub fn type_at(columns: &[ColumnSpec], index: usize) -> &ColumnType {
    static NOT_KNOWN: ColumnType = ColumnType::Blob;
    match columns.get(index) {
        Some(column) => &column.typ,
        None => &NOT_KNOWN,
    }
}

/// The key is made of markers that the row has no values for.
#[cold]
fn no_such_value(index: usize, count: usize) -> SerializeError {
    SerializeError::wrong_value_count(index.saturating_add(1), count)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(types: &[ColumnType]) -> Vec<ColumnSpec> {
        let spec = |(index, typ): (usize, &ColumnType)| ColumnSpec {
            keyspace: "k".into(),
            table: "t".into(),
            name: format!("c{index}").into(),
            typ: typ.clone(),
        };
        types.iter().enumerate().map(spec).collect()
    }

    fn encode(row: &(impl SerializeRow + ?Sized)) -> Vec<u8> {
        let mut out = vec![0; row.values_len(&[]).unwrap()];
        let mut writer = Writer::new(&mut out);
        row.write_values(&[], &mut writer);
        writer.finish().unwrap();
        out
    }

    #[test]
    fn writes_each_value_with_its_length() {
        let row = (7_i64, 1_i32, &b"xy"[..]);
        let golden =
            [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, b'x', b'y'];
        assert_eq!(encode(&row), golden);
        assert_eq!(encode(&&row), golden);
        assert_eq!(row.value_count(), 3);
        assert_eq!(encode(&[1_i32, 2]), encode(&(1_i32, 2_i32)));
        assert_eq!(encode(&vec![1_i32, 2]), encode([1_i32, 2].as_slice()));
        assert!(encode(&()).is_empty());
    }

    #[test]
    fn checks_count_and_types() {
        let int_text = columns(&[ColumnType::Int, ColumnType::Text]);
        let int_int = columns(&[ColumnType::Int, ColumnType::Int]);
        assert_eq!((1, "a").type_check(&int_text), Ok(()));
        assert_eq!(
            (1,).type_check(&int_text),
            Err(SerializeError::WrongValueCount { expected: 2, got: 1 })
        );
        let error = (1, "a").type_check(&int_int).unwrap_err();
        assert_eq!(error.to_string(), "column 1: str does not fit int");
        assert_eq!([1, 2].type_check(&int_int), Ok(()));
        assert_eq!(vec![1, 2].type_check(&int_int), Ok(()));
        assert!([1, 2].type_check(&int_text).is_err());
        assert!(vec![1].type_check(&int_int).is_err());
        assert!([1].type_check(&int_int).is_err());
        assert_eq!(().type_check(&[]), Ok(()));
        assert!(().type_check(&int_int).is_err());
    }

    #[test]
    fn type_keys_are_the_types() {
        // Miri lets a function have another address each time it is asked for: the check is then
        // made again, which is slow and right.
        if !cfg!(miri) {
            assert_eq!((1, "a").type_key(), (2, "b").type_key());
            assert_eq!(<&(i32, &str)>::type_key(&&(1, "a")), (2, "b").type_key());
        }
        assert_ne!((1, "a").type_key(), (1, 2).type_key());
        assert_ne!([1].type_key(), [1, 2].type_key());
        assert_eq!(vec![1].type_key(), None);
        assert_ne!(().type_key(), Some(0));
    }

    #[test]
    fn errors_name_the_column() {
        let bad = crate::value::CqlDuration { months: 1, days: -1, nanoseconds: 0 };
        let error = (1, 2, bad).values_len(&[]).unwrap_err();
        assert!(matches!(error, SerializeError::BadValue { column: 2, .. }));
        let error = [bad].values_len(&[]).unwrap_err();
        assert!(matches!(error, SerializeError::BadValue { column: 0, .. }));
    }
}
