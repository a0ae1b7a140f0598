//! Values behind a pointer: `Box`, `Rc`, `Arc` and `Cow`.
//!
//! What they point at is read as it would be without them.
//!
//! Next: `value/de/array.rs`.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::DeserializeValue;
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Reader;

/// Reads as the second type and makes the first of it.
macro_rules! pointer {
    ($([$($param:tt)*] $rust:ty, $inner:ty, $new:expr;)*) => {$(
        impl<'frame, $($param)*> DeserializeValue<'frame> for $rust {
            const CELL_LEN_MIN: usize = <$inner>::CELL_LEN_MIN;

            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                <$inner>::type_check(typ)
            }

            #[inline(always)]
            fn deserialize(
                typ: &'frame ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, DeserializeError> {
                <$inner>::deserialize(typ, cell).map($new)
            }

            #[inline(always)]
            fn deserialize_sound(
                typ: &'frame ColumnType,
                cells: &mut Reader<'frame>,
            ) -> Option<Self> {
                <$inner>::deserialize_sound(typ, cells).map($new)
            }
        }
    )*};
}

pointer! {
    [T: DeserializeValue<'frame>] Box<T>, T, Box::new; // Allocates.
    [T: DeserializeValue<'frame>] Rc<T>, T, Rc::new; // Allocates.
    [T: DeserializeValue<'frame>] Arc<T>, T, Arc::new; // Allocates.
    [T: DeserializeValue<'frame>] Box<[T]>, Vec<T>, Vec::into_boxed_slice; // Allocates.
}

/// Borrowed always.
impl<'frame, T> DeserializeValue<'frame> for Cow<'frame, T>
where
    T: ToOwned + ?Sized + 'frame,
    &'frame T: DeserializeValue<'frame>,
{
    const CELL_LEN_MIN: usize = <&'frame T>::CELL_LEN_MIN;

    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        <&'frame T>::type_check(typ)
    }

    #[inline(always)]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        <&'frame T>::deserialize(typ, cell).map(Cow::Borrowed)
    }

    #[inline(always)]
    fn deserialize_sound(typ: &'frame ColumnType, cells: &mut Reader<'frame>) -> Option<Self> {
        <&'frame T>::deserialize_sound(typ, cells).map(Cow::Borrowed)
    }
}
