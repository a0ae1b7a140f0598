//! Bound values: from Rust to the bytes of a `[value]`.
//!
//! In two steps, because a request is encoded in place: first its exact length, then its content.
//! Types are checked apart from that, once per statement and Rust type; the column's type is passed
//! on for those that CQL has several forms of (a `Vec` as a list or as a vector), and costs nothing
//! where it isn't looked at. Which column a value goes to is the row's business.
//! Next: `value/ser/collection.rs`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
#[cfg(feature = "uuid-1")]
use uuid::Uuid;

use super::{
    Counter, CqlDate, CqlDecimal, CqlDecimalBorrowed, CqlDuration, CqlTime, CqlTimestamp,
    CqlTimeuuid, CqlVarint, CqlVarintBorrowed, Emptiable, MaybeEmpty, MaybeUnset, Unset,
};
use crate::error::{SerializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::{Writer, vint_len};

mod collection;

pub(super) use collection::element_len;

/// What stands in the length field of a `[value]`.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{SerializeValue, ValueLen};
///
/// assert_eq!("lamp".value_len(&ColumnType::Text), Ok(ValueLen::Bytes(4)));
/// assert_eq!(None::<i32>.value_len(&ColumnType::Int), Ok(ValueLen::Null));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValueLen {
    /// There is no value.
    Null,
    /// The column is left as it is.
    Unset,
    /// The content has that many bytes, at most 2 GiB - 1.
    Bytes(u32),
}

impl ValueLen {
    /// A content of `len` bytes.
    ///
    /// ```
    /// # use shardwire_protocol::value::ValueLen;
    /// assert_eq!(ValueLen::bytes(4), Ok(ValueLen::Bytes(4)));
    /// assert!(ValueLen::bytes(1 << 31).is_err());
    /// ```
    ///
    /// # Errors
    /// `ValueTooLong` above 2 GiB - 1.
    #[inline]
    pub fn bytes(len: usize) -> Result<Self, SerializeError> {
        match u32::try_from(len) {
            Ok(len) if len <= i32::MAX.cast_unsigned() => Ok(Self::Bytes(len)),
            _ => Err(SerializeError::ValueTooLong {
                column: 0,
                len: u64::try_from(len).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Length of the whole `[value]` in bytes, its length field included.
    ///
    /// ```
    /// # use shardwire_protocol::value::ValueLen;
    /// assert_eq!(ValueLen::Null.encoded_len(), 4);
    /// assert_eq!(ValueLen::Bytes(4).encoded_len(), 8);
    /// ```
    #[inline]
    #[must_use]
    pub fn encoded_len(self) -> usize {
        match self {
            Self::Null | Self::Unset => 4,
            // On 32 bits the sum of a row saturates and then finds no buffer.
            Self::Bytes(len) => usize::try_from(len).unwrap_or(usize::MAX).saturating_add(4),
        }
    }
}

/// A Rust type that can be bound to a marker.
///
/// Implementations announce the length of what they write; a broken promise fails the request and
/// never reaches the wire.
///
/// `typ` is a type that passed [`Self::type_check`]. An implementation that relies on that gives an
/// error or wrong bytes where it did not, never a panic.
///
/// ```
/// use shardwire_protocol::error::{SerializeError, TypeMismatch};
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{SerializeValue, ValueLen};
/// use shardwire_protocol::wire::Writer;
///
/// /// A number that is kept as text.
/// struct Digits(u32);
///
/// impl SerializeValue for Digits {
///     fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
///         match typ {
///             ColumnType::Text => Ok(()),
///             _ => Err(TypeMismatch::of::<Self>(typ)),
///         }
///     }
///
///     fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
///         ValueLen::bytes(self.0.to_string().len())
///     }
///
///     fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
///         out.put_slice(self.0.to_string().as_bytes());
///     }
/// }
///
/// let mut value = [0; 6];
/// Digits(42).write_value(&ColumnType::Text, &mut Writer::new(&mut value));
/// assert_eq!(value, *b"\0\0\0\x0242");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound as a CQL value",
    note = "derive `SerializeValue` for structs that are user-defined types, or `transparent` ones"
)]
pub trait SerializeValue {
    /// Whether values of this Rust type fit a column of type `typ`. Depends on nothing else.
    ///
    /// # Errors
    /// The part of `typ` that does not fit.
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch>;

    /// Exact length of the content.
    ///
    /// # Errors
    /// A value that the protocol cannot express.
    fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError>;

    /// Writes the content, as many bytes as [`Self::value_len`] tells; nothing for null and unset.
    fn write(&self, typ: &ColumnType, out: &mut Writer<'_>);

    /// The content, where it lies in memory as it is sent: text and blobs. A partition key is
    /// then hashed without copying it.
    #[inline]
    fn as_bytes(&self) -> Option<&[u8]> {
        None
    }

    /// Writes length and content. Types of fixed length do both at once.
    #[inline]
    fn write_value(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        match self.value_len(typ) {
            Ok(ValueLen::Bytes(len)) => {
                out.put_u32(len);
                let start = out.position();
                self.write(typ, out);
                if usize::try_from(len) != Ok(out.position().saturating_sub(start)) {
                    out.set_fault();
                }
            }
            Ok(ValueLen::Null) => out.put_i32(-1),
            Ok(ValueLen::Unset) => out.put_i32(-2),
            // It was fine when the request was measured: the serializer is not constant.
            Err(_) => out.set_fault(),
        }
    }
}

/// Content of `N` bytes, whatever the value.
macro_rules! fixed_len {
    ($($(#[$attribute:meta])* $rust:ty => $($cql:ident)|+, |$value:ident| $bytes:expr;)*) => {$(
        $(#[$attribute])*
        impl SerializeValue for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    $(ColumnType::$cql)|+ => Ok(()),
                    other => Err(TypeMismatch::of::<Self>(other)),
                }
            }

            #[inline]
            fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
                let $value = self;
                ValueLen::bytes($bytes.len())
            }

            #[inline]
            fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                out.put_array($bytes);
            }

            #[inline]
            fn write_value(&self, _: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                out.put_fixed_value($bytes);
            }
        }
    )*};
}

fixed_len! {
    bool => Boolean, |value| [u8::from(*value)];
    i8 => Tinyint, |value| value.to_be_bytes();
    i16 => Smallint, |value| value.to_be_bytes();
    i32 => Int, |value| value.to_be_bytes();
    i64 => Bigint, |value| value.to_be_bytes();
    f32 => Float, |value| value.to_be_bytes();
    f64 => Double, |value| value.to_be_bytes();
    Counter => Counter, |value| value.0.to_be_bytes();
    CqlTimestamp => Timestamp, |value| value.0.to_be_bytes();
    CqlDate => Date, |value| value.0.to_be_bytes();
    CqlTime => Time, |value| value.0.to_be_bytes();
    CqlTimeuuid => Timeuuid, |value| *value.as_bytes();
    #[cfg(feature = "uuid-1")] Uuid => Uuid | Timeuuid, |value| *value.as_bytes();
    Ipv4Addr => Inet, |value| value.octets();
    Ipv6Addr => Inet, |value| value.octets();
}

/// Content that lies in memory as it is sent.
macro_rules! in_memory {
    ($([$($param:tt)*] $rust:ty => $cql:pat, |$value:ident| $bytes:expr;)*) => {$(
        impl<$($param)*> SerializeValue for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    $cql => Ok(()),
                    other => Err(TypeMismatch::of::<Self>(other)),
                }
            }

            #[inline]
            fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
                let $value = self;
                ValueLen::bytes($bytes.len())
            }

            #[inline]
            fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                out.put_slice($bytes);
            }

            #[inline]
            fn write_value(&self, _: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                out.put_bytes($bytes);
            }

            #[inline]
            fn as_bytes(&self) -> Option<&[u8]> {
                let $value = self;
                Some($bytes)
            }
        }
    )*};
}

in_memory! {
    [] str => ColumnType::Ascii | ColumnType::Text, |value| value.as_bytes();
    [] String => ColumnType::Ascii | ColumnType::Text, |value| str::as_bytes(value);
    [] [u8] => ColumnType::Blob | ColumnType::Custom(_), |value| value;
    [] Vec<u8> => ColumnType::Blob | ColumnType::Custom(_), |value| value.as_slice();
    [] Bytes => ColumnType::Blob | ColumnType::Custom(_), |value| &**value;
    [const N: usize] [u8; N] => ColumnType::Blob | ColumnType::Custom(_), |value| value.as_slice();
    [] CqlVarint => ColumnType::Varint, |value| value.as_signed_bytes_be_slice();
    ['b] CqlVarintBorrowed<'b> => ColumnType::Varint, |value| value.as_signed_bytes_be_slice();
}

impl SerializeValue for IpAddr {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Inet => Ok(()),
            other => Err(TypeMismatch::of::<Self>(other)),
        }
    }

    #[inline]
    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Bytes(if self.is_ipv4() { 4 } else { 16 }))
    }

    #[inline]
    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        match self {
            Self::V4(ip) => out.put_array(ip.octets()),
            Self::V6(ip) => out.put_array(ip.octets()),
        }
    }
}

impl SerializeValue for CqlDuration {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Duration => Ok(()),
            other => Err(TypeMismatch::of::<Self>(other)),
        }
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        let positive = self.months > 0 || self.days > 0 || self.nanoseconds > 0;
        let negative = self.months < 0 || self.days < 0 || self.nanoseconds < 0;
        if positive && negative {
            let what = "the parts of a duration must have one sign";
            return Err(SerializeError::bad_value(what));
        }
        ValueLen::bytes(
            vint_len(i64::from(self.months))
                + vint_len(i64::from(self.days))
                + vint_len(self.nanoseconds),
        )
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        out.put_vint(i64::from(self.months));
        out.put_vint(i64::from(self.days));
        out.put_vint(self.nanoseconds);
    }
}

macro_rules! decimal {
    ($rust:ty) => {
        impl SerializeValue for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    ColumnType::Decimal => Ok(()),
                    other => Err(TypeMismatch::of::<Self>(other)),
                }
            }

            #[inline]
            fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
                let (unscaled, _) = self.as_signed_be_bytes_slice_and_exponent();
                ValueLen::bytes(unscaled.len().saturating_add(4))
            }

            #[inline]
            fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
                let (unscaled, scale) = self.as_signed_be_bytes_slice_and_exponent();
                out.put_i32(scale);
                out.put_slice(unscaled);
            }
        }
    };
}

decimal!(CqlDecimal);
decimal!(CqlDecimalBorrowed<'_>);

impl SerializeValue for Unset {
    #[inline]
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    #[inline]
    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Unset)
    }

    #[inline]
    fn write(&self, _: &ColumnType, _: &mut Writer<'_>) {}
}

/// Passes everything on to the value within, if there is one.
macro_rules! wrapper {
    ($([$($param:tt)*] $rust:ty, $inner:ty, |$value:ident| $set:expr, $absent:expr;)*) => {$(
        impl<$($param)*> SerializeValue for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                <$inner>::type_check(typ)
            }

            #[inline]
            fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
                let $value = self;
                match $set {
                    Some(inner) => inner.value_len(typ),
                    None => Ok($absent),
                }
            }

            #[inline]
            fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                if let Some(inner) = $set {
                    inner.write(typ, out);
                }
            }

            #[inline]
            fn write_value(&self, typ: &ColumnType, out: &mut Writer<'_>) {
                let $value = self;
                match $set {
                    Some(inner) => inner.write_value(typ, out),
                    None => out.put_i32(if $absent == ValueLen::Null { -1 } else { -2 }),
                }
            }

            #[inline]
            fn as_bytes(&self) -> Option<&[u8]> {
                let $value = self;
                $set.and_then(|inner| inner.as_bytes())
            }
        }
    )*};
}

wrapper! {
    [V: SerializeValue] Option<V>, V, |value| value.as_ref(), ValueLen::Null;
    [V: SerializeValue] MaybeUnset<V>, V, |value| match value {
        MaybeUnset::Set(inner) => Some(inner),
        MaybeUnset::Unset => None,
    }, ValueLen::Unset;
    [V: SerializeValue + ?Sized] &V, V, |value| Some(&**value), ValueLen::Null;
    [V: SerializeValue + ?Sized] Box<V>, V, |value| Some(&**value), ValueLen::Null;
    [V: SerializeValue + ?Sized] Rc<V>, V, |value| Some(&**value), ValueLen::Null;
    [V: SerializeValue + ?Sized] Arc<V>, V, |value| Some(&**value), ValueLen::Null;
    ['v, V: SerializeValue + ToOwned + ?Sized] Cow<'v, V>, V,
        |value| Some(&**value), ValueLen::Null;
}

/// `Empty` is a content of no bytes. A type that has no empty value is refused.
impl<V: SerializeValue + Emptiable> SerializeValue for MaybeEmpty<V> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        if !typ.can_be_empty() {
            return Err(TypeMismatch::of::<Self>(typ));
        }
        V::type_check(typ)
    }

    #[inline]
    fn value_len(&self, typ: &ColumnType) -> Result<ValueLen, SerializeError> {
        match self {
            Self::Empty => Ok(ValueLen::Bytes(0)),
            Self::Value(value) => value.value_len(typ),
        }
    }

    #[inline]
    fn write(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        if let Self::Value(value) = self {
            value.write(typ, out);
        }
    }

    #[inline]
    fn write_value(&self, typ: &ColumnType, out: &mut Writer<'_>) {
        match self {
            Self::Empty => out.put_u32(0),
            Self::Value(value) => value.write_value(typ, out),
        }
    }

    #[inline]
    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Empty => Some(&[]),
            Self::Value(value) => value.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
