//! What is no value: unset, empty, and what a type cannot hold.
//!
//! Null is no type of its own, it is `None`.
//!
//! Next: `value/number.rs`.

use core::error::Error;
use core::fmt;
use core::net::IpAddr;

use super::{
    CqlDate, CqlDecimal, CqlDecimalBorrowed, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
    CqlVarintBorrowed,
};

/// Leaves the column as it is: neither writes it nor deletes it. Only as a bound value, and from
/// version 4 of the protocol on; a request of version 3 with one is refused.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{SerializeValue, Unset, ValueLen};
///
/// assert_eq!(Unset.value_len(&ColumnType::Int), Ok(ValueLen::Unset));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unset;

/// A value, or [`Unset`].
///
/// ```
/// use shardwire_protocol::value::MaybeUnset;
///
/// assert_eq!(MaybeUnset::from_option(Some(1)), MaybeUnset::Set(1));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MaybeUnset<V> {
    /// Leaves the column as it is.
    #[default]
    Unset,
    /// Writes the value.
    Set(V),
}

impl<V> MaybeUnset<V> {
    /// `None` becomes `Unset` rather than null.
    #[must_use]
    pub fn from_option(value: Option<V>) -> Self {
        match value {
            Some(value) => Self::Set(value),
            None => Self::Unset,
        }
    }
}

/// A value, or the empty one: a cell of no bytes, which is not null.
///
/// Most types of fixed length have one value more in CQL than in Rust, left over from Thrift. A
/// cell that holds it is an error for `i32` and for `Option<i32>`.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, MaybeEmpty};
///
/// let read = |cell| <Option<MaybeEmpty<i32>>>::deserialize(&ColumnType::Int, cell);
/// assert_eq!(read(None), Ok(None));
/// assert_eq!(read(Some(&[])), Ok(Some(MaybeEmpty::Empty)));
/// assert_eq!(read(Some(&[0, 0, 0, 7])), Ok(Some(MaybeEmpty::Value(7))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MaybeEmpty<T: Emptiable> {
    /// A cell of no bytes.
    Empty,
    /// Any other.
    Value(T),
}

/// A Rust type that has no value for a cell of no bytes; [`MaybeEmpty`] adds it.
///
/// ```
/// use shardwire_protocol::value::{Emptiable, MaybeEmpty};
///
/// struct Celsius(f32);
/// impl Emptiable for Celsius {}
/// let _: MaybeEmpty<Celsius> = MaybeEmpty::Empty;
/// # let _ = Celsius(0.0).0;
/// ```
pub trait Emptiable {}

macro_rules! emptiable {
    ($($rust:ty),*) => { $(impl Emptiable for $rust {})* };
}

emptiable! {
    bool, i8, i16, i32, i64, f32, f64, CqlVarint, CqlVarintBorrowed<'_>, CqlDecimal,
    CqlDecimalBorrowed<'_>, CqlDate, CqlTime, CqlTimestamp, CqlTimeuuid, IpAddr
}

#[cfg(feature = "uuid-1")]
impl Emptiable for uuid::Uuid {}

/// A value is beyond what the type that it was to become can hold.
///
/// ```
/// use shardwire_protocol::value::{CqlTimestamp, CqlTimeuuid, ValueOverflow};
///
/// assert_eq!(CqlTimeuuid::min_at(CqlTimestamp(i64::MAX)), Err(ValueOverflow));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ValueOverflow;

impl fmt::Display for ValueOverflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value is out of the range of the type to convert it to")
    }
}

impl Error for ValueOverflow {}
