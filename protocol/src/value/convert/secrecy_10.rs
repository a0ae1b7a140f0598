//! Secrets: values that `secrecy` never shows, and wipes when they are dropped.
//!
//! That holds for the value alone. Requests and replies are buffers that are used again and not
//! wiped, and a value that is read on the stack before it is boxed leaves its bytes there.

use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretBox};

use crate::error::{DeserializeError, SerializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::value::{DeserializeValue, SerializeValue, ValueLen};
use crate::wire::Writer;

/// `SecretString` is a `SecretBox<str>`.
impl<V: SerializeValue + Zeroize + ?Sized> SerializeValue for SecretBox<V> {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        V::type_check(typ)
    }

    fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        self.expose_secret().value_len(typ)
    }

    fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        self.expose_secret().write(typ, out);
    }

    fn write_value(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        self.expose_secret().write_value(typ, out);
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        self.expose_secret().as_bytes()
    }
}

/// Allocates. `SecretString` is a `SecretBox<str>`.
impl<'frame, V> DeserializeValue<'frame> for SecretBox<V>
where
    V: Zeroize + ?Sized,
    Box<V>: DeserializeValue<'frame>,
{
    const CELL_LEN_MIN: usize = <Box<V>>::CELL_LEN_MIN;

    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        <Box<V>>::type_check(typ)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        <Box<V>>::deserialize(typ, cell).map(Self::new)
    }
}
