//! Values: how Rust types and CQL's meet.
//!
//! The types here are for what Rust has no type of its own for. They keep the value as the
//! protocol has it; conversions to calendars belong to other crates.
//!
//! Next: `value/ser.rs`.

mod de;
mod number;
mod ser;
mod time;

pub use de::{
    COLLECTION_RESERVE_MAX, DeserializeValue, ListIter, ListView, MapIter, MapView, RawValue,
};
pub use number::{Counter, CqlDecimal, CqlVarint, CqlVarintBorrowed};
pub use ser::{SerializeValue, ValueLen};
pub use time::{CqlDate, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid};

/// Leaves the column as it is: neither writes it nor deletes it. Only as a bound value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unset;

/// A value, or [`Unset`].
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
