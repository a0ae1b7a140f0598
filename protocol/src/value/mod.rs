//! Values: how Rust types and CQL's meet.
//!
//! The types here are for what Rust has no type of its own for. They keep the value as the
//! protocol has it; conversions to calendars and big numbers belong to other crates, each behind
//! a feature that is named after it.
//!
//! Next: `value/absent.rs`.

mod absent;
mod convert;
mod de;
mod dynamic;
#[cfg(feature = "serde_json-1")]
mod json;
mod literal;
mod number;
mod ser;
mod time;

pub use absent::{Emptiable, MaybeEmpty, MaybeUnset, Unset, ValueOverflow};
pub(crate) use de::read_field;
pub use de::{
    COLLECTION_RESERVE_MAX, DeserializeValue, Field, ListIter, ListView, MapIter, MapView,
    RawValue, TupleIter, TupleView, UdtIter, UdtView,
};
pub use dynamic::CqlValue;
#[cfg(feature = "serde_json-1")]
pub use json::Json;
pub use literal::DIGITS_LEN_MAX;
pub use number::{Counter, CqlDecimal, CqlDecimalBorrowed, CqlVarint, CqlVarintBorrowed};
pub use ser::{SerializeValue, ValueLen};
pub use shardwire_protocol_derive::{DeserializeValue, SerializeValue};
pub use time::{CqlDate, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid};

#[cfg(test)]
mod golden_tests;
