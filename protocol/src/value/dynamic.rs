//! Values whose type is known only at run time.
//!
//! For tools that show any table, and for statements that are put together at run time. A value
//! owns what it holds and each costs 64 bytes; where types are known when compiling, Rust's own are
//! the fast way. Null is no value: it is the `None` of an `Option<CqlValue>`.
//!
//! Next: `value/dynamic/read.rs`.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
};
use crate::types::Name;

mod access;
mod literal;
mod read;
mod write;

/// A value of any CQL type.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{CqlValue, DeserializeValue};
///
/// let typ = ColumnType::List(Box::new(ColumnType::Int));
/// let cell = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
/// let value = CqlValue::deserialize(&typ, Some(&cell))?;
/// assert_eq!(value, CqlValue::List(vec![CqlValue::Int(7)]));
/// assert_eq!(value.to_string(), "[7]");
/// assert_eq!(value.as_list().map(<[_]>::len), Some(1));
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
///
/// It is bound to a column of its type, or of one that the Rust type within fits as well: a
/// [`Text`](Self::Text) to an ascii column, any sequence to a list, set or vector. Anything else
/// is an error when the request is encoded, since no sooner is it known.
///
/// A tuple, or a value of a user-defined type, has the fields that its cell has: what the type has
/// beyond them is null. Such fields are neither kept nor written, so that memory is bounded by the
/// cell and not by its type.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are CQL's")]
pub enum CqlValue {
    Ascii(String),
    BigInt(i64),
    /// A blob, or a value of a custom type.
    Blob(Bytes),
    Boolean(bool),
    Counter(Counter),
    Date(CqlDate),
    Decimal(CqlDecimal),
    Double(f64),
    Duration(CqlDuration),
    /// A cell of no bytes where that is no text, no blob and no null: left over from Thrift.
    Empty,
    Float(f32),
    Inet(IpAddr),
    Int(i32),
    List(Vec<CqlValue>),
    /// Entries in the order of the cell.
    Map(Vec<(CqlValue, CqlValue)>),
    /// Elements in the order of the cell.
    Set(Vec<CqlValue>),
    SmallInt(i16),
    Text(String),
    Time(CqlTime),
    Timestamp(CqlTimestamp),
    Timeuuid(CqlTimeuuid),
    TinyInt(i8),
    Tuple(Vec<Option<CqlValue>>),
    /// The type's names are shared with the metadata that it was read with.
    UserDefinedType {
        /// The keyspace of the type.
        keyspace: Arc<str>,
        /// The type's name.
        name: Arc<str>,
        /// Names of fields and what is in them. They are bound by name, in whatever order.
        fields: Vec<(Name, Option<CqlValue>)>,
    },
    Uuid(Uuid),
    Varint(CqlVarint),
    Vector(Vec<CqlValue>),
}

// An element of one byte may become a value.
const _: () = assert!(size_of::<Option<CqlValue>>() <= 64);

impl CqlValue {
    /// What it is, for errors.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Ascii(_) => "CqlValue::Ascii",
            Self::BigInt(_) => "CqlValue::BigInt",
            Self::Blob(_) => "CqlValue::Blob",
            Self::Boolean(_) => "CqlValue::Boolean",
            Self::Counter(_) => "CqlValue::Counter",
            Self::Date(_) => "CqlValue::Date",
            Self::Decimal(_) => "CqlValue::Decimal",
            Self::Double(_) => "CqlValue::Double",
            Self::Duration(_) => "CqlValue::Duration",
            Self::Empty => "CqlValue::Empty",
            Self::Float(_) => "CqlValue::Float",
            Self::Inet(_) => "CqlValue::Inet",
            Self::Int(_) => "CqlValue::Int",
            Self::List(_) => "CqlValue::List",
            Self::Map(_) => "CqlValue::Map",
            Self::Set(_) => "CqlValue::Set",
            Self::SmallInt(_) => "CqlValue::SmallInt",
            Self::Text(_) => "CqlValue::Text",
            Self::Time(_) => "CqlValue::Time",
            Self::Timestamp(_) => "CqlValue::Timestamp",
            Self::Timeuuid(_) => "CqlValue::Timeuuid",
            Self::TinyInt(_) => "CqlValue::TinyInt",
            Self::Tuple(_) => "CqlValue::Tuple",
            Self::UserDefinedType { .. } => "CqlValue::UserDefinedType",
            Self::Uuid(_) => "CqlValue::Uuid",
            Self::Varint(_) => "CqlValue::Varint",
            Self::Vector(_) => "CqlValue::Vector",
        }
    }
}

#[cfg(test)]
mod tests;
