//! Reading one cell as a Rust value.
//!
//! A cell is the content of a CQL `[bytes]`: `None` for null, else a slice of the reply's body.
//! Borrowed types (`&str`, `&[u8]`, [`ListView`], [`MapView`]) point into that body and cost no
//! allocation; owned ones copy and say so.
//!
//! Types are checked once per result (`type_check`) and cells decoded many times
//! (`deserialize`), so the second trusts the first: reading a cell without the check gives an
//! error or a wrong value, never a panic. What a Rust type accepts is what the official driver
//! accepts:
//!
//! - a null is an error unless the type is an [`Option`], or the column a list, set or map (of
//!   which CQL knows no difference between null and empty);
//! - a cell of zero length is an error for every type whose content has a fixed length, also
//!   inside an [`Option`]: it is neither null nor a value. Such cells are left over from Thrift.
//!
//! Next: `value/de/collection.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use ascii::AsciiStr;
use bytes::Bytes;
#[cfg(feature = "uuid-1")]
use uuid::Uuid;

use super::{
    Counter, CqlDate, CqlDecimal, CqlDecimalBorrowed, CqlDuration, CqlTime, CqlTimestamp,
    CqlTimeuuid, CqlVarint, CqlVarintBorrowed, Emptiable, MaybeEmpty,
};
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Reader;

mod array;
mod collection;
mod owned;
mod tuple;
mod view;

pub use collection::{COLLECTION_RESERVE_MAX, ListIter, ListView, MapIter, MapView};
pub(crate) use view::read_field;
pub use view::{Field, TupleIter, TupleView, UdtIter, UdtView};

/// A Rust type that a CQL cell can be read as.
///
/// `'frame` is how long both the reply's body and the column's metadata live; what is borrowed
/// from either lives no longer.
///
/// ```
/// use shardwire_protocol::error::{DeserializeError, TypeMismatch};
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::DeserializeValue;
///
/// /// A number that is kept as text.
/// #[derive(Debug, PartialEq)]
/// struct Digits(u32);
///
/// impl<'frame> DeserializeValue<'frame> for Digits {
///     fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
///         <&str>::type_check(typ)
///     }
///
///     fn deserialize(
///         typ: &'frame ColumnType,
///         cell: Option<&'frame [u8]>,
///     ) -> Result<Self, DeserializeError> {
///         let number = <&str>::deserialize(typ, cell)?.parse();
///         number.map(Self).map_err(|_| DeserializeError::bad_value("text that is no number"))
///     }
/// }
///
/// assert_eq!(Digits::deserialize(&ColumnType::Text, Some(b"42")), Ok(Digits(42)));
/// assert!(Digits::deserialize(&ColumnType::Text, Some(b"lamp")).is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a CQL value",
    note = "derive `DeserializeValue` for structs that are user-defined types, or `transparent` ones"
)]
pub trait DeserializeValue<'frame>: Sized {
    /// How few bytes a cell takes that can be read, its length included. A row with less left than
    /// its values need is found with one comparison.
    const CELL_LEN_MIN: usize = 4; // a null, or no content

    /// Whether columns of type `typ` can be read as `Self`.
    ///
    /// # Errors
    /// [`TypeMismatch`] with column 0; a row puts the column's index in.
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch>;

    /// Reads a cell of a column that passed [`type_check`](Self::type_check).
    ///
    /// # Errors
    /// [`DeserializeError::UnexpectedNull`] or [`DeserializeError::BadValue`] with column 0; a
    /// row puts the column's index in.
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError>;

    /// Reads the cell that `cells` are at, without saying what is wrong: `None` where
    /// [`deserialize`](Self::deserialize) gives an error or the body ends.
    ///
    /// Types that can tell from the length alone do so with fewer comparisons.
    #[inline(always)]
    fn deserialize_sound(typ: &'frame ColumnType, cells: &mut Reader<'frame>) -> Option<Self> {
        let content = cells.bytes("cell").ok()?;
        Self::deserialize(typ, content).ok()
    }
}

// ---- shared by the impls below ----

#[inline(always)]
fn not_null<T: ?Sized>(cell: Option<&[u8]>) -> Result<&[u8], DeserializeError> {
    cell.ok_or_else(DeserializeError::unexpected_null::<T>)
}

#[inline(always)]
fn fixed<T, const LEN: usize>(cell: Option<&[u8]>) -> Result<[u8; LEN], DeserializeError> {
    match <[u8; LEN]>::try_from(not_null::<T>(cell)?) {
        Ok(content) => Ok(content),
        Err(_) => Err(DeserializeError::bad_value("length of a fixed-length value")),
    }
}

/// Closed table: one line per type whose content has a fixed length.
macro_rules! fixed_length {
    ($($(#[$attribute:meta])* $rust:ty, $len:literal, $($cql:ident)|+, $read:expr;)*) => {$(
        $(#[$attribute])*
        impl<'frame> DeserializeValue<'frame> for $rust {
            const CELL_LEN_MIN: usize = 4 + $len;

            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    $(ColumnType::$cql)|+ => Ok(()),
                    _ => Err(TypeMismatch::of::<Self>(typ)),
                }
            }

            #[inline(always)]
            fn deserialize(
                _: &'frame ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, DeserializeError> {
                let content: [u8; $len] = fixed::<Self, $len>(cell)?;
                $read(content)
            }

            #[inline(always)]
            fn deserialize_sound(
                typ: &'frame ColumnType,
                cells: &mut Reader<'frame>,
            ) -> Option<Self> {
                let content = cells.bytes_of_len($len)?;
                Self::deserialize(typ, Some(content)).ok()
            }
        }
    )*};
}

fixed_length! {
    bool, 1, Boolean, |[byte]: [u8; 1]| Ok(byte != 0);
    i8, 1, Tinyint, |content| Ok(i8::from_be_bytes(content));
    i16, 2, Smallint, |content| Ok(i16::from_be_bytes(content));
    i32, 4, Int, |content| Ok(i32::from_be_bytes(content));
    i64, 8, Bigint, |content| Ok(i64::from_be_bytes(content));
    f32, 4, Float, |content| Ok(f32::from_be_bytes(content));
    f64, 8, Double, |content| Ok(f64::from_be_bytes(content));
    Counter, 8, Counter, |content| Ok(Counter(i64::from_be_bytes(content)));
    CqlDate, 4, Date, |content| Ok(CqlDate(u32::from_be_bytes(content)));
    CqlTime, 8, Time, |content| time(i64::from_be_bytes(content));
    CqlTimestamp, 8, Timestamp, |content| Ok(CqlTimestamp(i64::from_be_bytes(content)));
    CqlTimeuuid, 16, Timeuuid, |content| Ok(CqlTimeuuid::from_bytes(content));
    #[cfg(feature = "uuid-1")]
    Uuid, 16, Uuid | Timeuuid, |content| Ok(Uuid::from_bytes(content));
    Ipv4Addr, 4, Inet, |content: [u8; 4]| Ok(Ipv4Addr::from(content));
    Ipv6Addr, 16, Inet, |content: [u8; 16]| Ok(Ipv6Addr::from(content));
}

#[inline]
fn time(nanoseconds: i64) -> Result<CqlTime, DeserializeError> {
    let time = CqlTime(nanoseconds);
    if time.is_valid() {
        Ok(time)
    } else {
        Err(DeserializeError::bad_value("time outside of a day"))
    }
}

// ---- text ----

/// Text, borrowed. ASCII is tried first: the standard library's check for UTF-8 costs several times
/// as much on short text, and nearly all text is ASCII.
#[inline(always)]
fn text<'frame, T: ?Sized>(
    typ: &ColumnType,
    cell: Option<&'frame [u8]>,
) -> Result<&'frame str, DeserializeError> {
    let content = not_null::<T>(cell)?;
    let text = match AsciiStr::from_ascii(content) {
        Ok(text) => Some(text.as_str()),
        Err(_) => text_beyond_ascii(typ, content), // no error from there, to stay in registers
    };
    text.ok_or_else(|| DeserializeError::bad_value("text that is not of its encoding"))
}

#[inline(never)]
fn text_beyond_ascii<'frame>(typ: &ColumnType, content: &'frame [u8]) -> Option<&'frame str> {
    if matches!(typ, ColumnType::Ascii) {
        return None;
    }
    std::str::from_utf8(content).ok()
}

macro_rules! text_types {
    ($($rust:ty, $from:expr;)*) => {$(
        impl<'frame> DeserializeValue<'frame> for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    ColumnType::Ascii | ColumnType::Text => Ok(()),
                    _ => Err(TypeMismatch::of::<Self>(typ)),
                }
            }

            #[inline(always)]
            fn deserialize(
                typ: &'frame ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, DeserializeError> {
                text::<Self>(typ, cell).map($from)
            }
        }
    )*};
}

text_types! {
    &'frame str, |text| text;
    String, str::to_owned; // Allocates.
    Box<str>, Box::from; // Allocates.
    Arc<str>, Arc::from; // Allocates.
    Rc<str>, Rc::from; // Allocates.
}

// ---- bytes as they are ----

macro_rules! bytes_types {
    ($($rust:ty, $cql:pat, $from:expr;)*) => {$(
        impl<'frame> DeserializeValue<'frame> for $rust {
            #[inline]
            fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
                match typ {
                    $cql => Ok(()),
                    _ => Err(TypeMismatch::of::<Self>(typ)),
                }
            }

            #[inline(always)]
            fn deserialize(
                _: &'frame ColumnType,
                cell: Option<&'frame [u8]>,
            ) -> Result<Self, DeserializeError> {
                not_null::<Self>(cell).map($from)
            }
        }
    )*};
}

bytes_types! {
    &'frame [u8], ColumnType::Blob | ColumnType::Custom(_), |content| content;
    Vec<u8>, ColumnType::Blob | ColumnType::Custom(_), <[u8]>::to_vec; // Allocates.
    Box<[u8]>, ColumnType::Blob | ColumnType::Custom(_), Box::from; // Allocates.
    Arc<[u8]>, ColumnType::Blob | ColumnType::Custom(_), Arc::from; // Allocates.
    // Allocates: it does not pin the body.
    Bytes, ColumnType::Blob | ColumnType::Custom(_), Bytes::copy_from_slice;
    CqlVarintBorrowed<'frame>, ColumnType::Varint, CqlVarintBorrowed::from_signed_bytes_be_slice;
    CqlVarint, ColumnType::Varint, CqlVarint::from_signed_bytes_be_slice; // Allocates.
}

// ---- scalars of variable length ----

impl<'frame> DeserializeValue<'frame> for IpAddr {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Inet => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn deserialize(
        _: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let content = not_null::<Self>(cell)?;
        if let Ok(octets) = <[u8; 4]>::try_from(content) {
            return Ok(IpAddr::V4(Ipv4Addr::from(octets)));
        }
        match <[u8; 16]>::try_from(content) {
            Ok(octets) => Ok(IpAddr::V6(Ipv6Addr::from(octets))),
            Err(_) => Err(DeserializeError::bad_value("length of an inet")),
        }
    }
}

impl<'frame> DeserializeValue<'frame> for CqlDuration {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Duration => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn deserialize(
        _: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let mut reader = Reader::new(not_null::<Self>(cell)?);
        let mut vint = || {
            reader.vint("duration").map_err(|_| DeserializeError::bad_value("duration cut short"))
        };
        let (months, days, nanoseconds) = (vint()?, vint()?, vint()?);
        let months = i32::try_from(months)
            .map_err(|_| DeserializeError::bad_value("months of a duration"))?;
        let days =
            i32::try_from(days).map_err(|_| DeserializeError::bad_value("days of a duration"))?;
        Ok(CqlDuration { months, days, nanoseconds })
    }
}

impl<'frame> DeserializeValue<'frame> for CqlDecimalBorrowed<'frame> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Decimal => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    #[inline]
    fn deserialize(
        _: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let content = not_null::<Self>(cell)?;
        let (scale, unscaled) = content
            .split_first_chunk::<4>()
            .ok_or_else(|| DeserializeError::bad_value("decimal cut short"))?;
        Ok(Self::from_signed_be_bytes_slice_and_exponent(unscaled, i32::from_be_bytes(*scale)))
    }
}

/// Allocates.
impl<'frame> DeserializeValue<'frame> for CqlDecimal {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::Decimal => Ok(()),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    #[inline]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        CqlDecimalBorrowed::deserialize(typ, cell).map(Self::from)
    }
}

// ---- null and empty ----

/// `None` for null. A cell of zero length is not null, see the module's notes.
impl<'frame, T: DeserializeValue<'frame>> DeserializeValue<'frame> for Option<T> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        T::type_check(typ)
    }

    #[inline(always)]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        match cell {
            Some(_) => T::deserialize(typ, cell).map(Some),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn deserialize_sound(typ: &'frame ColumnType, cells: &mut Reader<'frame>) -> Option<Self> {
        if cells.take_null() { Some(None) } else { T::deserialize_sound(typ, cells).map(Some) }
    }
}

/// `Empty` for a cell of no bytes.
impl<'frame, T: DeserializeValue<'frame> + Emptiable> DeserializeValue<'frame> for MaybeEmpty<T> {
    #[inline]
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        T::type_check(typ)
    }

    #[inline(always)]
    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        match cell {
            Some([]) => Ok(Self::Empty),
            _ => T::deserialize(typ, cell).map(Self::Value),
        }
    }

    #[inline(always)]
    fn deserialize_sound(typ: &'frame ColumnType, cells: &mut Reader<'frame>) -> Option<Self> {
        match cells.bytes_of_len(0) {
            Some(_) => Some(Self::Empty),
            None => T::deserialize_sound(typ, cells).map(Self::Value),
        }
    }
}

/// A cell of any type, as it came.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::RawValue;
///
/// let cell = RawValue { typ: &ColumnType::Int, content: Some(&[0, 0, 0, 7]) };
/// assert_eq!(cell.read::<i32>(), Ok(7));
/// assert!(cell.read::<&str>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawValue<'frame> {
    /// The column's (or element's) type.
    pub typ: &'frame ColumnType,
    /// The content, `None` for null.
    pub content: Option<&'frame [u8]>,
}

impl<'frame> RawValue<'frame> {
    /// Reads it as a `T`, whose fit it checks.
    ///
    /// # Errors
    /// [`DeserializeError::Type`], and those of the value.
    #[inline]
    pub fn read<T: DeserializeValue<'frame>>(self) -> Result<T, DeserializeError> {
        T::type_check(self.typ)?;
        T::deserialize(self.typ, self.content)
    }
}

impl<'frame> DeserializeValue<'frame> for RawValue<'frame> {
    #[inline]
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    #[inline(always)]
    fn deserialize(
        typ: &'frame ColumnType,
        content: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        Ok(Self { typ, content })
    }
}

#[cfg(test)]
mod tests;
