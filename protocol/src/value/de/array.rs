//! Arrays: a vector's elements, or a blob's bytes, of a number that is known when compiling.
//!
//! Neither allocates. Of lists and sets a `Vec` is read: how long these are is not their type's.
//!
//! Next: `value/de/tuple.rs`.

use super::{DeserializeValue, ListView, fixed};
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Reader;

/// A blob of exactly so many bytes.
impl<'frame, const N: usize> DeserializeValue<'frame> for [u8; N] {
    const CELL_LEN_MIN: usize = 4 + N;

    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        <&[u8]>::type_check(typ).map_err(|_| TypeMismatch::of::<Self>(typ))
    }

    #[inline(always)]
    fn deserialize(
        _: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        fixed::<Self, N>(cell)
    }

    #[inline(always)]
    fn deserialize_sound(_: &'frame ColumnType, cells: &mut Reader<'frame>) -> Option<Self> {
        cells.bytes_of_len(N)?.try_into().ok()
    }
}

/// A vector of as many dimensions.
impl<'frame, T: DeserializeValue<'frame>, const N: usize> DeserializeValue<'frame> for [T; N] {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Vector(element, dimensions) if usize::from(*dimensions) == N => {
                T::type_check(element)
            }
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    #[inline]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let view = ListView::<T>::deserialize(typ, cell)?;
        if view.len() != N {
            return Err(DeserializeError::bad_value("number of elements of an array"));
        }
        let mut elements = [const { None }; N];
        let mut free = elements.iter_mut();
        view.read_all(|element| {
            if let Some(place) = free.next() {
                *place = Some(element);
            }
        })?;
        // As many were read as the view told, each of which filled a place.
        Ok(elements.map(|element| element.expect("`N` elements were read")))
    }
}
