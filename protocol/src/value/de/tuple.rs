//! CQL tuples as Rust tuples.
//!
//! A tuple's cell may hold fewer fields than its type: what is missing reads as null, as the
//! official driver has it. The number of fields of the types must agree.
//!
//! Next: `value/de/view.rs`.

use super::{DeserializeValue, not_null};
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Reader;

/// What is left of a tuple's cell, and of its types.
struct Fields<'frame> {
    types: std::slice::Iter<'frame, ColumnType>,
    reader: Reader<'frame>,
}

impl<'frame> Fields<'frame> {
    fn value<T: DeserializeValue<'frame>>(&mut self) -> Result<T, DeserializeError> {
        let Some(typ) = self.types.next() else {
            return Err(DeserializeError::bad_value("tuple of another number of fields"));
        };
        if self.reader.remaining().is_empty() {
            return T::deserialize(typ, None);
        }
        let content = self.reader.bytes("field").map_err(|_| short())?;
        T::deserialize(typ, content)
    }
}

#[cold]
fn short() -> DeserializeError {
    DeserializeError::bad_value("tuple cut short")
}

/// Closed table: one line per number of fields.
macro_rules! tuples {
    ($($($field:ident)+;)*) => {$(
        impl<'frame, $($field: DeserializeValue<'frame>),+> DeserializeValue<'frame>
            for ($($field,)+)
        {
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                const COUNT: usize = [$(stringify!($field)),+].len();
                match typ {
                    ColumnType::Tuple(types) if types.len() == COUNT => {
                        let mut types = types.iter();
                        $(types.next().map_or(Ok(()), $field::type_check)?;)+
                        Ok(())
                    }
                    _ => Err(TypeMismatch::of::<Self>(typ)),
                }
            }

            fn deserialize(
                typ: &'frame ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, DeserializeError> {
                let ColumnType::Tuple(types) = typ else {
                    return Err(TypeMismatch::of::<Self>(typ).into());
                };
                let reader = Reader::new(not_null::<Self>(cell)?);
                let mut fields = Fields { types: types.iter(), reader };
                Ok(($(fields.value::<$field>()?,)+))
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
    A B C D E F G H I J K L M;
    A B C D E F G H I J K L M N;
    A B C D E F G H I J K L M N O;
    A B C D E F G H I J K L M N O P;
}
