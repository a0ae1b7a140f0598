//! What is in a [`CqlValue`], and values of Rust's own types as one.
//!
//! Next: `value/dynamic/literal.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use uuid::Uuid;

use super::CqlValue;
use crate::types::Name;
use crate::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
};

/// Closed table: the name, of what it gives what, and an example of a value and of what it gives.
macro_rules! accessors {
    ($([$($receiver:tt)+] $this:ident.$name:ident, $of:literal, $pattern:pat => $given:expr,
        $out:ty, $value:literal, $shown:literal;)*) => {
        impl CqlValue {$(
            #[doc = concat!("What is in ", $of, "; `None` of another value.")]
            #[doc = ""]
            #[doc = "```"]
            #[doc = "# use bytes::Bytes;"]
            #[doc = "# use shardwire_protocol::value::*;"]
            #[doc = concat!("let value = CqlValue::", $value, ";")]
            #[doc = concat!("assert_eq!(value.", stringify!($name), "(), Some(", $shown, "));")]
            #[doc = "```"]
            #[must_use]
            pub fn $name($($receiver)+) -> Option<$out> {
                match $this {
                    $pattern => Some($given),
                    _ => None,
                }
            }
        )*}
    };
}

accessors! {
    [&self] self.as_boolean, "a boolean", Self::Boolean(value) => *value, bool,
        "Boolean(true)", "true";
    [&self] self.as_tinyint, "a tinyint", Self::TinyInt(value) => *value, i8,
        "TinyInt(7)", "7";
    [&self] self.as_smallint, "a smallint", Self::SmallInt(value) => *value, i16,
        "SmallInt(7)", "7";
    [&self] self.as_int, "an int", Self::Int(value) => *value, i32,
        "Int(7)", "7";
    [&self] self.as_bigint, "a bigint", Self::BigInt(value) => *value, i64,
        "BigInt(7)", "7";
    [&self] self.as_counter, "a counter", Self::Counter(value) => *value, Counter,
        "Counter(Counter(7))", "Counter(7)";
    [&self] self.as_float, "a float", Self::Float(value) => *value, f32,
        "Float(0.5)", "0.5";
    [&self] self.as_double, "a double", Self::Double(value) => *value, f64,
        "Double(0.5)", "0.5";
    [&self] self.as_cql_date, "a date", Self::Date(value) => *value, CqlDate,
        "Date(CqlDate(7))", "CqlDate(7)";
    [&self] self.as_cql_time, "a time", Self::Time(value) => *value, CqlTime,
        "Time(CqlTime(7))", "CqlTime(7)";
    [&self] self.as_cql_timestamp, "a timestamp", Self::Timestamp(value) => *value, CqlTimestamp,
        "Timestamp(CqlTimestamp(7))", "CqlTimestamp(7)";
    [&self] self.as_cql_duration, "a duration", Self::Duration(value) => *value, CqlDuration,
        "Duration(CqlDuration::default())", "CqlDuration::default()";
    [&self] self.as_uuid, "a uuid", Self::Uuid(value) => *value, Uuid,
        "Uuid(uuid::Uuid::nil())", "uuid::Uuid::nil()";
    [&self] self.as_timeuuid, "a timeuuid", Self::Timeuuid(value) => *value, CqlTimeuuid,
        "Timeuuid(CqlTimeuuid::nil())", "CqlTimeuuid::nil()";
    [&self] self.as_inet, "an inet", Self::Inet(value) => *value, IpAddr,
        "Inet([127, 0, 0, 1].into())", "[127, 0, 0, 1].into()";
    [&self] self.as_ascii, "an ascii", Self::Ascii(value) => value, &str,
        "Ascii(\"a\".into())", "\"a\"";
    [&self] self.as_text, "a text", Self::Text(value) => value, &str,
        "Text(\"a\".into())", "\"a\"";
    [&self] self.as_blob, "a blob", Self::Blob(value) => value, &Bytes,
        "Blob(Bytes::from_static(&[7]))", "&Bytes::from_static(&[7])";
    [&self] self.as_varint, "a varint", Self::Varint(value) => value, &CqlVarint,
        "Varint(7_i64.into())", "&7_i64.into()";
    [&self] self.as_decimal, "a decimal", Self::Decimal(value) => value, &CqlDecimal,
        "Decimal(CqlDecimal::new(7_i64.into(), 1))", "&CqlDecimal::new(7_i64.into(), 1)";
    [&self] self.as_list, "a list", Self::List(value) => value, &[CqlValue],
        "List(vec![CqlValue::Int(7)])", "&[CqlValue::Int(7)][..]";
    [&self] self.as_set, "a set", Self::Set(value) => value, &[CqlValue],
        "Set(vec![CqlValue::Int(7)])", "&[CqlValue::Int(7)][..]";
    [&self] self.as_vector, "a vector", Self::Vector(value) => value, &[CqlValue],
        "Vector(vec![CqlValue::Int(7)])", "&[CqlValue::Int(7)][..]";
    [&self] self.as_map, "a map", Self::Map(value) => value, &[(CqlValue, CqlValue)],
        "Map(vec![])", "&[][..]";
    [&self] self.as_tuple, "a tuple", Self::Tuple(value) => value, &[Option<CqlValue>],
        "Tuple(vec![None])", "&[None][..]";
    [&self] self.as_udt, "the fields of a user-defined type",
        Self::UserDefinedType { fields, .. } => fields, &[(Name, Option<CqlValue>)],
        "UserDefinedType { keyspace: \"k\".into(), name: \"t\".into(), fields: vec![] }",
        "&[][..]";
    [self] self.into_string, "a text or an ascii",
        Self::Ascii(value) | Self::Text(value) => value, String,
        "Text(\"a\".into())", "\"a\".into()";
    [self] self.into_blob, "a blob", Self::Blob(value) => value, Bytes,
        "Blob(Bytes::from_static(&[7]))", "Bytes::from_static(&[7])";
    [self] self.into_cql_varint, "a varint", Self::Varint(value) => value, CqlVarint,
        "Varint(7_i64.into())", "7_i64.into()";
    [self] self.into_cql_decimal, "a decimal", Self::Decimal(value) => value, CqlDecimal,
        "Decimal(CqlDecimal::new(7_i64.into(), 1))", "CqlDecimal::new(7_i64.into(), 1)";
    [self] self.into_vec, "a list, set or vector",
        Self::List(value) | Self::Set(value) | Self::Vector(value) => value, Vec<CqlValue>,
        "Set(vec![CqlValue::Int(7)])", "vec![CqlValue::Int(7)]";
    [self] self.into_pair_vec, "a map", Self::Map(value) => value, Vec<(CqlValue, CqlValue)>,
        "Map(vec![])", "vec![]";
    [self] self.into_tuple, "a tuple", Self::Tuple(value) => value, Vec<Option<CqlValue>>,
        "Tuple(vec![None])", "vec![None]";
    [self] self.into_udt_pair_vec, "the fields of a user-defined type",
        Self::UserDefinedType { fields, .. } => fields, Vec<(Name, Option<CqlValue>)>,
        "UserDefinedType { keyspace: \"k\".into(), name: \"t\".into(), fields: vec![] }",
        "vec![]";
}

impl CqlValue {
    /// The field of this name in a user-defined type; `None` where it is null, where the value has
    /// no such field, or of another value.
    ///
    /// ```
    /// use shardwire_protocol::value::CqlValue;
    ///
    /// let value = CqlValue::UserDefinedType {
    ///     keyspace: "shop".into(),
    ///     name: "address".into(),
    ///     fields: vec![("number".into(), Some(CqlValue::Int(7)))],
    /// };
    /// assert_eq!(value.udt_field("number"), Some(&CqlValue::Int(7)));
    /// assert_eq!(value.udt_field("street"), None);
    /// ```
    #[must_use]
    pub fn udt_field(&self, name: &str) -> Option<&Self> {
        let (_, field) = self.as_udt()?.iter().find(|(other, _)| *other == *name)?;
        field.as_ref()
    }
}

/// Closed table: of each Rust type, what it becomes.
macro_rules! from {
    ($($rust:ty, |$value:ident| $of:expr;)*) => {$(
        impl From<$rust> for CqlValue {
            fn from($value: $rust) -> Self {
                $of
            }
        }
    )*};
}

from! {
    bool, |value| Self::Boolean(value);
    i8, |value| Self::TinyInt(value);
    i16, |value| Self::SmallInt(value);
    i32, |value| Self::Int(value);
    i64, |value| Self::BigInt(value);
    f32, |value| Self::Float(value);
    f64, |value| Self::Double(value);
    &str, |value| Self::Text(value.to_owned()); // Allocates.
    String, |value| Self::Text(value);
    Bytes, |value| Self::Blob(value);
    Vec<u8>, |value| Self::Blob(value.into());
    &[u8], |value| Self::Blob(Bytes::copy_from_slice(value)); // Allocates.
    Counter, |value| Self::Counter(value);
    CqlVarint, |value| Self::Varint(value);
    CqlDecimal, |value| Self::Decimal(value);
    CqlDate, |value| Self::Date(value);
    CqlTime, |value| Self::Time(value);
    CqlTimestamp, |value| Self::Timestamp(value);
    CqlDuration, |value| Self::Duration(value);
    CqlTimeuuid, |value| Self::Timeuuid(value);
    Uuid, |value| Self::Uuid(value);
    IpAddr, |value| Self::Inet(value);
    Ipv4Addr, |value| Self::Inet(value.into());
    Ipv6Addr, |value| Self::Inet(value.into());
}
