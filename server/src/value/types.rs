//! CQL types: their spelling in schema tables and their `[option]` on the wire.

use std::fmt;
use std::rc::Rc;

use crate::cql::parser::RESERVED;
use crate::persona::Persona;
use crate::wire::version::{Dialect, Version};
use crate::wire::write::Writer;

/// A scalar type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Native {
    Ascii,
    Bigint,
    Blob,
    Boolean,
    Counter,
    Date,
    Decimal,
    Double,
    Duration,
    Float,
    Inet,
    Int,
    Smallint,
    Text,
    Time,
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
}

/// Name and `[option]` id of every scalar type (CQL v4 section 4.2.5.2; duration is ScyllaDB's).
const NATIVES: [(Native, &str, u16); 20] = [
    (Native::Ascii, "ascii", 0x01),
    (Native::Bigint, "bigint", 0x02),
    (Native::Blob, "blob", 0x03),
    (Native::Boolean, "boolean", 0x04),
    (Native::Counter, "counter", 0x05),
    (Native::Decimal, "decimal", 0x06),
    (Native::Double, "double", 0x07),
    (Native::Float, "float", 0x08),
    (Native::Int, "int", 0x09),
    (Native::Timestamp, "timestamp", 0x0B),
    (Native::Uuid, "uuid", 0x0C),
    (Native::Text, "text", 0x0D),
    (Native::Varint, "varint", 0x0E),
    (Native::Timeuuid, "timeuuid", 0x0F),
    (Native::Inet, "inet", 0x10),
    (Native::Date, "date", 0x11),
    (Native::Time, "time", 0x12),
    (Native::Smallint, "smallint", 0x13),
    (Native::Tinyint, "tinyint", 0x14),
    (Native::Duration, "duration", 0x15),
];

impl Native {
    /// The type with this CQL name; `varchar` is `text`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name = if name == "varchar" { "text" } else { name };
        NATIVES.iter().find(|(_, n, _)| *n == name).map(|&(native, ..)| native)
    }

    /// The type that Cassandra has this class for, given with or without its package.
    pub(crate) fn from_class(class: &str) -> Option<Self> {
        let class = class.strip_prefix("org.apache.cassandra.db.marshal.").unwrap_or(class);
        NATIVES.iter().map(|&(native, ..)| native).find(|native| native.class() == class)
    }

    fn row(self) -> (&'static str, u16) {
        NATIVES
            .iter()
            .find(|(native, ..)| *native == self)
            .map_or(("blob", 0x03), |&(_, name, id)| (name, id))
    }
}

impl Native {
    /// The class that Cassandra has for the type, without its package.
    fn class(self) -> &'static str {
        match self {
            Self::Ascii => "AsciiType",
            Self::Bigint => "LongType",
            Self::Blob => "BytesType",
            Self::Boolean => "BooleanType",
            Self::Counter => "CounterColumnType",
            Self::Date => "SimpleDateType",
            Self::Decimal => "DecimalType",
            Self::Double => "DoubleType",
            Self::Duration => "DurationType",
            Self::Float => "FloatType",
            Self::Inet => "InetAddressType",
            Self::Int => "Int32Type",
            Self::Smallint => "ShortType",
            Self::Text => "UTF8Type",
            Self::Time => "TimeType",
            Self::Timestamp => "TimestampType",
            Self::Timeuuid => "TimeUUIDType",
            Self::Tinyint => "ByteType",
            Self::Uuid => "UUIDType",
            Self::Varint => "IntegerType",
        }
    }

    /// The type's name in CQL.
    pub(crate) fn name(self) -> &'static str {
        self.row().0
    }

    /// The class that Cassandra names instead of a type that came later than the version.
    fn class_name(self, dialect: Dialect) -> Option<&'static str> {
        let (since, class) = match self {
            Self::Smallint => (Version::V4, "org.apache.cassandra.db.marshal.ShortType"),
            Self::Tinyint => (Version::V4, "org.apache.cassandra.db.marshal.ByteType"),
            Self::Date => (Version::V4, "org.apache.cassandra.db.marshal.SimpleDateType"),
            Self::Time => (Version::V4, "org.apache.cassandra.db.marshal.TimeType"),
            Self::Duration => (Version::V5, "org.apache.cassandra.db.marshal.DurationType"),
            _ => return None,
        };
        (dialect.persona == Persona::Cassandra && dialect.version < since).then_some(class)
    }
}

/// A user-defined type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Udt {
    pub(crate) keyspace: String,
    pub(crate) name: String,
    /// Names and types, in order.
    pub(crate) fields: Vec<(String, CqlType)>,
}

impl Udt {
    /// Position and type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<(usize, &CqlType)> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        self.fields.get(at).map(|(_, typ)| (at, typ))
    }
}

/// A column's type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CqlType {
    Native(Native),
    List(Box<CqlType>),
    Set(Box<CqlType>),
    Map(Box<(CqlType, CqlType)>),
    Tuple(Vec<CqlType>),
    /// Elements of one type, as many as are declared.
    Vector(Box<CqlType>, usize),
    Udt(Rc<Udt>),
    /// A user-defined type as a statement names it, with the keyspace if it was written; the schema
    /// has the type itself in its place.
    Named(Option<String>, String),
    /// Same bytes and same wire type as what it wraps; differs in `system_schema` only.
    Frozen(Box<CqlType>),
}

impl CqlType {
    pub(crate) const TEXT: Self = Self::Native(Native::Text);
    pub(crate) const INT: Self = Self::Native(Native::Int);
    pub(crate) const BIGINT: Self = Self::Native(Native::Bigint);
    pub(crate) const BOOLEAN: Self = Self::Native(Native::Boolean);

    /// The type without `frozen<>` around it.
    pub(crate) fn thawed(&self) -> &Self {
        match self {
            Self::Frozen(inner) => inner.thawed(),
            other => other,
        }
    }

    /// Whether single elements can be changed, so that null and empty are the same.
    pub(crate) fn is_multi_cell(&self) -> bool {
        matches!(self, Self::List(_) | Self::Set(_) | Self::Map(_) | Self::Udt(_))
    }

    /// Bytes of each value as part of a vector, if they are as many for all.
    ///
    /// Narrower than one would think: dates, times and the short integers have a length before
    /// each, as Cassandra has them.
    pub(crate) fn fixed_len(&self) -> Option<usize> {
        match self.thawed() {
            Self::Native(native) => match native {
                Native::Boolean => Some(1),
                Native::Int | Native::Float => Some(4),
                Native::Bigint | Native::Double | Native::Timestamp => Some(8),
                Native::Uuid | Native::Timeuuid => Some(16),
                _ => None,
            },
            Self::Vector(element, len) => element.fixed_len()?.checked_mul(*len),
            _ => None,
        }
    }

    /// The class that Cassandra has for the type.
    pub(crate) fn class(&self) -> String {
        const PACKAGE: &str = "org.apache.cassandra.db.marshal";
        let of = |class: &str, parts: &[&Self]| {
            let parts: Vec<_> = parts.iter().map(|part| part.class()).collect();
            format!("{PACKAGE}.{class}({})", parts.join(","))
        };
        match self {
            Self::Native(native) => format!("{PACKAGE}.{}", native.class()),
            Self::List(element) => of("ListType", &[element]),
            Self::Set(element) => of("SetType", &[element]),
            Self::Map(pair) => of("MapType", &[&pair.0, &pair.1]),
            Self::Tuple(parts) => of("TupleType", &parts.iter().collect::<Vec<_>>()),
            Self::Vector(element, len) => {
                format!("{PACKAGE}.VectorType({} , {len})", element.class())
            }
            Self::Udt(udt) => {
                let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
                let fields = udt.fields.iter();
                let fields = fields.map(|(name, typ)| format!(",{}:{}", hex(name), typ.class()));
                let fields: String = fields.collect();
                format!("{PACKAGE}.UserType({},{}{fields})", udt.keyspace, hex(&udt.name))
            }
            Self::Named(_, name) => name.clone(),
            Self::Frozen(inner) => of("FrozenType", &[inner]),
        }
    }

    /// Appends the `[option]` of this type.
    pub(crate) fn write_option(&self, dialect: Dialect, out: &mut Writer<'_>) {
        match self {
            Self::Native(native) => match native.class_name(dialect) {
                None => out.short(native.row().1),
                Some(class) => {
                    out.short(0);
                    out.string(class);
                }
            },
            Self::List(element) => {
                out.short(0x20);
                element.write_option(dialect, out);
            }
            Self::Map(pair) => {
                out.short(0x21);
                pair.0.write_option(dialect, out);
                pair.1.write_option(dialect, out);
            }
            Self::Set(element) => {
                out.short(0x22);
                element.write_option(dialect, out);
            }
            Self::Tuple(parts) => {
                out.short(0x31);
                out.short_len(parts.len());
                for part in parts {
                    part.write_option(dialect, out);
                }
            }
            Self::Vector(..) => {
                out.short(0);
                out.string(&self.class());
            }
            Self::Udt(udt) => {
                out.short(0x30);
                out.string(&udt.keyspace);
                out.string(&udt.name);
                out.short_len(udt.fields.len());
                for (name, typ) in &udt.fields {
                    out.string(name);
                    typ.write_option(dialect, out);
                }
            }
            // Never in a schema; a class that no client knows tells more than another type would.
            Self::Named(_, name) => {
                out.short(0);
                out.string(name);
            }
            Self::Frozen(inner) => inner.write_option(dialect, out),
        }
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(native) => f.write_str(native.row().0),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(pair) => write!(f, "map<{}, {}>", pair.0, pair.1),
            Self::Tuple(parts) => {
                f.write_str("tuple<")?;
                for (i, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(">")
            }
            Self::Vector(element, len) => write!(f, "vector<{element}, {len}>"),
            Self::Udt(udt) => f.write_str(&quoted(&udt.name)),
            Self::Named(None, name) => f.write_str(&quoted(name)),
            Self::Named(Some(keyspace), name) => {
                write!(f, "{}.{}", quoted(keyspace), quoted(name))
            }
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
        }
    }
}

/// A name as a statement has to write it.
pub(crate) fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let is_plain = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_plain = is_plain && !RESERVED.contains(&name);
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options() {
        let map = CqlType::Frozen(Box::new(CqlType::Map(Box::new((
            CqlType::TEXT,
            CqlType::List(Box::new(CqlType::INT)),
        )))));
        assert_eq!(map.to_string(), "frozen<map<text, list<int>>>");
        let mut out = Vec::new();
        let dialect = Dialect { persona: Persona::Scylla, version: Version::V4 };
        map.write_option(dialect, &mut Writer::new(&mut out));
        assert_eq!(out, [0, 0x21, 0, 0x0D, 0, 0x20, 0, 0x09]);
        assert_eq!(Native::from_name("varchar"), Some(Native::Text));
    }

    #[test]
    fn cassandra_names_the_class_of_what_the_version_does_not_know() {
        let option = |native, persona, version| {
            let mut out = Vec::new();
            let typ = CqlType::Native(native);
            typ.write_option(Dialect { persona, version }, &mut Writer::new(&mut out));
            out
        };
        let short = option(Native::Smallint, Persona::Cassandra, Version::V3);
        assert_eq!(short[..4], [0, 0, 0, 41]);
        assert!(short.ends_with(b"marshal.ShortType"));
        assert_eq!(option(Native::Smallint, Persona::Cassandra, Version::V4), [0, 0x13]);
        assert!(option(Native::Duration, Persona::Cassandra, Version::V4).len() > 2);
        assert_eq!(option(Native::Duration, Persona::Cassandra, Version::V5), [0, 0x15]);
        assert_eq!(option(Native::Duration, Persona::Scylla, Version::V4), [0, 0x15]);
    }
}
