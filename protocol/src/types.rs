//! CQL types and column specifications, as RESULT and PREPARED metadata describe them.
//!
//! Owned, because metadata outlives the frame it came in: parsed once per statement and metadata
//! version, shared by all its requests. What a peer may make us allocate is bounded by
//! [`TYPE_DEPTH_MAX`], [`COLUMN_COUNT_MAX`] and [`TYPE_COUNT_MAX`]. Values are not known here.
//! Next: `metadata.rs`.

use core::fmt;
use std::sync::Arc;

use crate::error::{CqlTypeName, Malformed};
use crate::wire::Reader;

mod class;
#[cfg(test)]
pub(crate) mod codec_tests;
mod name;

pub use name::{Name, name_hash};

/// How deep types may nest; `list<int>` has depth 2.
pub const TYPE_DEPTH_MAX: u32 = 32;

/// How many columns or bind markers one metadata may have; they are numbered by `u16`.
pub const COLUMN_COUNT_MAX: u32 = 65_535;

/// How many types, nested ones counted, one metadata may have.
pub const TYPE_COUNT_MAX: u32 = 262_144;

/// A CQL type.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
///
/// let typ = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Bigint)));
/// assert_eq!(typ.to_string(), "map<text, bigint>");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "the names are CQL's")]
pub enum ColumnType {
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
    /// Of elements of one type.
    List(Box<ColumnType>),
    /// Of elements of one type.
    Set(Box<ColumnType>),
    /// Of keys and values.
    Map(Box<(ColumnType, ColumnType)>),
    /// Of its fields.
    Tuple(Box<[ColumnType]>),
    /// A user-defined type.
    Udt(Box<UdtType>),
    /// Of that many elements of one type.
    Vector(Box<ColumnType>, u16),
    /// Any other, by the name of its Java class.
    Custom(Box<str>),
}

/// A user-defined type.
///
/// ```
/// use shardwire_protocol::types::{ColumnType, UdtType};
///
/// let typ = ColumnType::Udt(Box::new(UdtType {
///     keyspace: "shop".into(),
///     name: "address".into(),
///     fields: [("street".into(), ColumnType::Text)].into(),
/// }));
/// assert_eq!(typ.to_string(), "address");
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UdtType {
    /// The keyspace it is defined in.
    pub keyspace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Names and types of its fields, in their order. A value may lack the last ones.
    pub fields: Box<[(Name, ColumnType)]>,
}

/// A column of a result, or a bind marker of a statement.
///
/// ```
/// use shardwire_protocol::types::{ColumnSpec, ColumnType};
///
/// let column = ColumnSpec {
///     keyspace: "shop".into(),
///     table: "items".into(),
///     name: "id".into(),
///     typ: ColumnType::Bigint,
/// };
/// assert_eq!(column.name, "id");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ColumnSpec {
    /// The keyspace of its table.
    pub keyspace: Arc<str>,
    /// Its table.
    pub table: Arc<str>,
    /// Its name.
    pub name: Name,
    /// Its type.
    pub typ: ColumnType,
}

impl ColumnType {
    /// Its CQL name, without parameters.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// let typ = ColumnType::List(Box::new(ColumnType::Int));
    /// assert_eq!(typ.type_name().to_string(), "list");
    /// ```
    #[must_use]
    pub const fn type_name(&self) -> CqlTypeName {
        CqlTypeName::new(match self {
            Self::Ascii => &"ascii",
            Self::Bigint => &"bigint",
            Self::Blob => &"blob",
            Self::Boolean => &"boolean",
            Self::Counter => &"counter",
            Self::Date => &"date",
            Self::Decimal => &"decimal",
            Self::Double => &"double",
            Self::Duration => &"duration",
            Self::Float => &"float",
            Self::Inet => &"inet",
            Self::Int => &"int",
            Self::Smallint => &"smallint",
            Self::Text => &"text",
            Self::Time => &"time",
            Self::Timestamp => &"timestamp",
            Self::Timeuuid => &"timeuuid",
            Self::Tinyint => &"tinyint",
            Self::Uuid => &"uuid",
            Self::Varint => &"varint",
            Self::List(_) => &"list",
            Self::Set(_) => &"set",
            Self::Map(_) => &"map",
            Self::Tuple(_) => &"tuple",
            Self::Udt(_) => &"udt",
            Self::Vector(..) => &"vector",
            Self::Custom(_) => &"custom",
        })
    }

    /// Length of an element of this type within a `vector` where elements have no length before
    /// them, in bytes. `None` where each has one; that this is so for `smallint`, `tinyint`,
    /// `date`, `time` and `counter` is the servers' custom.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// assert_eq!(ColumnType::Float.vector_element_len(), Some(4));
    /// let nested = ColumnType::Vector(Box::new(ColumnType::Float), 3);
    /// assert_eq!(nested.vector_element_len(), Some(12));
    /// assert_eq!(ColumnType::Text.vector_element_len(), None);
    /// ```
    #[must_use]
    pub fn vector_element_len(&self) -> Option<usize> {
        match self {
            Self::Boolean => Some(1),
            Self::Int | Self::Float => Some(4),
            Self::Bigint | Self::Double | Self::Timestamp => Some(8),
            Self::Uuid | Self::Timeuuid => Some(16),
            Self::Vector(element, dimensions) => {
                element.vector_element_len()?.checked_mul(usize::from(*dimensions))
            }
            _ => None,
        }
    }

    /// Whether a cell of no bytes is a value of this type that differs from null: the empty text or
    /// blob, and of most other types one more value than their own, which Thrift left behind.
    ///
    /// ```
    /// use shardwire_protocol::types::ColumnType;
    ///
    /// assert!(ColumnType::Int.can_be_empty());
    /// assert!(!ColumnType::Counter.can_be_empty());
    /// ```
    #[inline]
    #[must_use]
    pub fn can_be_empty(&self) -> bool {
        !matches!(
            self,
            Self::Counter
                | Self::Duration
                | Self::List(_)
                | Self::Set(_)
                | Self::Map(_)
                | Self::Udt(_)
        )
    }

    /// Reads an `[option]`.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// use shardwire_protocol::wire::Reader;
    ///
    /// let typ = ColumnType::parse(&mut Reader::new(&[0, 0x20, 0, 9]))?;
    /// assert_eq!(typ, ColumnType::List(Box::new(ColumnType::Int)));
    /// let error = ColumnType::parse(&mut Reader::new(&[0, 0x16])).unwrap_err();
    /// assert_eq!(error.to_string(), "unknown type 0x16 at byte 2");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Bytes that are no type, or one over a limit.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        parse_type(reader, 1, &mut { TYPE_COUNT_MAX })
    }

    const fn native(id: u16) -> Option<Self> {
        Some(match id {
            0x0001 => Self::Ascii,
            0x0002 => Self::Bigint,
            0x0003 => Self::Blob,
            0x0004 => Self::Boolean,
            0x0005 => Self::Counter,
            0x0006 => Self::Decimal,
            0x0007 => Self::Double,
            0x0008 => Self::Float,
            0x0009 => Self::Int,
            0x000A | 0x000D => Self::Text,
            0x000B => Self::Timestamp,
            0x000C => Self::Uuid,
            0x000E => Self::Varint,
            0x000F => Self::Timeuuid,
            0x0010 => Self::Inet,
            0x0011 => Self::Date,
            0x0012 => Self::Time,
            0x0013 => Self::Smallint,
            0x0014 => Self::Tinyint,
            0x0015 => Self::Duration,
            _ => return None,
        })
    }
}

/// The CQL spelling. `frozen` is not known to the protocol and so not shown.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(pair) => write!(f, "map<{}, {}>", pair.0, pair.1),
            Self::Tuple(fields) => {
                f.write_str("tuple<")?;
                for (index, field) in fields.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{field}")?;
                }
                f.write_str(">")
            }
            Self::Udt(udt) => {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                if udt.name.starts_with(|c: char| c.is_ascii_lowercase())
                    && udt.name.chars().all(plain)
                {
                    f.write_str(&udt.name)
                } else {
                    write!(f, "\"{}\"", udt.name.replace('"', "\"\""))
                }
            }
            Self::Vector(element, dimensions) => write!(f, "vector<{element}, {dimensions}>"),
            Self::Custom(class) => write!(f, "'{}'", class.replace('\'', "''")),
            native => native.type_name().fmt(f),
        }
    }
}

impl ColumnSpec {
    /// Reads the specifications of `count` columns. With `global_table`, keyspace and table come
    /// once before them, else with each. Allocates: once per metadata.
    ///
    /// ```
    /// use shardwire_protocol::types::{ColumnSpec, ColumnType, GlobalTable};
    /// # use shardwire_protocol::wire::Reader;
    ///
    /// let mut reader = Reader::new(b"\0\x04shop\0\x05items\0\x02id\0\x02\0\x04name\0\x0D");
    /// let columns = ColumnSpec::parse_list(&mut reader, GlobalTable::Once, 2)?;
    /// assert_eq!((columns[0].name.as_str(), &columns[0].typ), ("id", &ColumnType::Bigint));
    /// assert_eq!((columns[1].name.as_str(), &columns[1].typ), ("name", &ColumnType::Text));
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// Bytes that are no column specifications, or more than a limit.
    pub fn parse_list(
        reader: &mut Reader<'_>,
        global_table: GlobalTable,
        count: u32,
    ) -> Result<Box<[Self]>, Malformed> {
        check_column_count(reader, count)?;
        let mut types_left = TYPE_COUNT_MAX;
        let mut table: Option<(Arc<str>, Arc<str>)> = None;
        if global_table == GlobalTable::Once {
            table = Some((reader.string("keyspace")?.into(), reader.string("table")?.into()));
        }
        let mut columns = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        for _ in 0..count {
            let (keyspace, table) = match (global_table, &mut table) {
                (GlobalTable::Once, Some((keyspace, table))) => (keyspace.clone(), table.clone()),
                (_, last) => {
                    let names = (reader.string("keyspace")?, reader.string("table")?);
                    // Nearly always the table of the column before: share its names.
                    let names = match last {
                        Some((keyspace, table)) if (&**keyspace, &**table) == names => {
                            (keyspace.clone(), table.clone())
                        }
                        _ => (Arc::from(names.0), Arc::from(names.1)),
                    };
                    last.insert(names).clone()
                }
            };
            let name = reader.string("column name")?.into();
            let typ = parse_type(reader, 1, &mut types_left)?;
            columns.push(Self { keyspace, table, name, typ });
        }
        Ok(columns.into_boxed_slice())
    }

    /// Walks over what [`Self::parse_list`] reads, checking as much and allocating nothing.
    ///
    /// ```
    /// # use shardwire_protocol::types::{ColumnSpec, GlobalTable};
    /// # use shardwire_protocol::wire::Reader;
    /// let mut reader = Reader::new(b"\0\x04shop\0\x05items\0\x02id\0\x02rest");
    /// ColumnSpec::skip_list(&mut reader, GlobalTable::Once, 1)?;
    /// assert_eq!(reader.remaining(), b"rest");
    /// # Ok::<(), shardwire_protocol::error::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::parse_list`].
    pub fn skip_list(
        reader: &mut Reader<'_>,
        global_table: GlobalTable,
        count: u32,
    ) -> Result<(), Malformed> {
        check_column_count(reader, count)?;
        let mut types_left = TYPE_COUNT_MAX;
        if global_table == GlobalTable::Once {
            reader.string("keyspace")?;
            reader.string("table")?;
        }
        for _ in 0..count {
            if global_table == GlobalTable::PerColumn {
                reader.string("keyspace")?;
                reader.string("table")?;
            }
            reader.string("column name")?;
            skip_type(reader, 1, &mut types_left)?;
        }
        Ok(())
    }
}

/// Where keyspace and table stand in column specifications.
///
/// ```
/// use shardwire_protocol::types::{ColumnSpec, GlobalTable};
/// # use shardwire_protocol::wire::Reader;
///
/// let mut reader = Reader::new(b"\0\x04shop\0\x05items\0\x02id\0\x02");
/// let columns = ColumnSpec::parse_list(&mut reader, GlobalTable::PerColumn, 1)?;
/// assert_eq!(&*columns[0].table, "items");
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GlobalTable {
    /// Once, before the columns.
    Once,
    /// With each column.
    PerColumn,
}

impl GlobalTable {
    /// From the lowest bit of a metadata's flags.
    ///
    /// ```
    /// # use shardwire_protocol::types::GlobalTable;
    /// assert_eq!(GlobalTable::from_flags(0x0005), GlobalTable::Once);
    /// assert_eq!(GlobalTable::from_flags(0x0004), GlobalTable::PerColumn);
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_flags(flags: u32) -> Self {
        if flags & 0x0001 != 0 { Self::Once } else { Self::PerColumn }
    }
}

fn check_column_count(reader: &Reader<'_>, count: u32) -> Result<(), Malformed> {
    // A column takes at least four bytes: an empty name and a type.
    let max = crate::error::saturating_u32(reader.remaining().len() / 4).min(COLUMN_COUNT_MAX);
    if count > max {
        let offset = reader.offset_u32();
        return Err(Malformed::Count { what: "column count", count, max, offset });
    }
    Ok(())
}

/// The limits that each type met counts against.
fn enter(reader: &Reader<'_>, depth: u32, types_left: &mut u32) -> Result<(), Malformed> {
    let offset = reader.offset_u32();
    if depth > TYPE_DEPTH_MAX {
        return Err(Malformed::Depth { offset });
    }
    *types_left = types_left.checked_sub(1).ok_or(Malformed::Count {
        what: "type count",
        count: TYPE_COUNT_MAX.saturating_add(1),
        max: TYPE_COUNT_MAX,
        offset,
    })?;
    Ok(())
}

fn parse_type(
    reader: &mut Reader<'_>,
    depth: u32,
    types_left: &mut u32,
) -> Result<ColumnType, Malformed> {
    enter(reader, depth, types_left)?;
    let id = reader.u16("type")?;
    if let Some(native) = ColumnType::native(id) {
        return Ok(native);
    }
    let mut nested = |reader: &mut Reader<'_>| parse_type(reader, depth + 1, types_left);
    Ok(match id {
        0x0000 => class::parse(reader.string("custom type")?),
        0x0020 => ColumnType::List(Box::new(nested(reader)?)),
        0x0021 => ColumnType::Map(Box::new((nested(reader)?, nested(reader)?))),
        0x0022 => ColumnType::Set(Box::new(nested(reader)?)),
        0x0030 => {
            let keyspace = reader.string("type's keyspace")?.into();
            let name = reader.string("type's name")?.into();
            let count = reader.u16("field count")?;
            // No capacity from a count that is only claimed.
            let mut fields = Vec::new();
            for _ in 0..count {
                fields.push((reader.string("field name")?.into(), nested(reader)?));
            }
            let fields = fields.into_boxed_slice();
            ColumnType::Udt(Box::new(UdtType { keyspace, name, fields }))
        }
        0x0031 => {
            let count = reader.u16("field count")?;
            let mut fields = Vec::new();
            for _ in 0..count {
                fields.push(nested(reader)?);
            }
            ColumnType::Tuple(fields.into_boxed_slice())
        }
        _ => return Err(reader.unknown_code("type", u32::from(id))),
    })
}

fn skip_type(reader: &mut Reader<'_>, depth: u32, types_left: &mut u32) -> Result<(), Malformed> {
    enter(reader, depth, types_left)?;
    let id = reader.u16("type")?;
    if ColumnType::native(id).is_some() {
        return Ok(());
    }
    let mut nested = |reader: &mut Reader<'_>| skip_type(reader, depth + 1, types_left);
    match id {
        0x0000 => reader.string("custom type").map(drop),
        0x0020 | 0x0022 => nested(reader),
        0x0021 => {
            nested(reader)?;
            nested(reader)
        }
        0x0030 => {
            reader.string("type's keyspace")?;
            reader.string("type's name")?;
            for _ in 0..reader.u16("field count")? {
                reader.string("field name")?;
                nested(reader)?;
            }
            Ok(())
        }
        0x0031 => {
            for _ in 0..reader.u16("field count")? {
                nested(reader)?;
            }
            Ok(())
        }
        _ => Err(reader.unknown_code("type", u32::from(id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(bytes: &[u8], expected: Expect) {
        let shown = match ColumnType::parse(&mut Reader::new(bytes)) {
            Ok(typ) => typ.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
        let mut reader = Reader::new(bytes);
        let parsed = ColumnType::parse(&mut reader).map(|_| reader.offset());
        let mut reader = Reader::new(bytes);
        let skipped = skip_type(&mut reader, 1, &mut { TYPE_COUNT_MAX }).map(|()| reader.offset());
        assert_eq!(parsed, skipped, "parsing and skipping agree");
        if let Ok(len) = parsed {
            for len in 0..len {
                assert!(ColumnType::parse(&mut Reader::new(&bytes[..len])).is_err());
            }
        }
    }

    fn custom(class: &str) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, u8::try_from(class.len()).unwrap()];
        bytes.extend_from_slice(class.as_bytes());
        bytes
    }

    #[test]
    fn spells_types_as_cql_does() {
        check(&[0, 9], expect!["int"]);
        check(&[0, 0x0D], expect!["text"]);
        check(&[0, 0x20, 0, 0x22, 0, 2], expect!["list<set<bigint>>"]);
        check(&[0, 0x21, 0, 0x0D, 0, 0x15], expect!["map<text, duration>"]);
        check(&[0, 0x31, 0, 2, 0, 9, 0, 0x0C], expect!["tuple<int, uuid>"]);
        let udt = [0, 0x30, 0, 1, b'k', 0, 1, b'T', 0, 1, 0, 1, b'f', 0, 4];
        check(&udt, expect![[r#""T""#]]);
        check(&[0, 0x16], expect!["unknown type 0x16 at byte 2"]);
        check(&[0, 0x20], expect!["body ends within type, which begins at byte 2"]);
    }

    #[test]
    fn custom_classes() {
        const MARSHAL: &str = "org.apache.cassandra.db.marshal.";
        let vector = format!("{MARSHAL}VectorType({MARSHAL}FloatType , 3)");
        check(&custom(&vector), expect!["vector<float, 3>"]);
        let nested = format!("{MARSHAL}VectorType({MARSHAL}VectorType({MARSHAL}UTF8Type,2), 4)");
        check(&custom(&nested), expect!["vector<vector<text, 2>, 4>"]);
        check(&custom(&format!("{MARSHAL}ShortType")), expect!["smallint"]);
        check(&custom("com.example.Own"), expect!["'com.example.Own'"]);
        let broken = format!("{MARSHAL}VectorType({MARSHAL}FloatType)");
        check(
            &custom(&broken),
            expect![
                "'org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType)'"
            ],
        );
        let deep = format!("{}FloatType{}", "VectorType(".repeat(15), ",1)".repeat(15));
        assert!(class::parse(&deep).to_string().starts_with("vector<vector<"));
        let too_deep = format!("{}FloatType{}", "VectorType(".repeat(5000), ",1)".repeat(5000));
        assert!(matches!(class::parse(&too_deep), ColumnType::Custom(_)));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| {
            let mut bytes = [0, 0x20].repeat(depth - 1);
            bytes.extend([0, 9]);
            ColumnType::parse(&mut Reader::new(&bytes))
        };
        assert!(nested(32).is_ok());
        assert_eq!(nested(33), Err(Malformed::Depth { offset: 64 }));
        assert!(nested(1 << 20).is_err());
    }

    #[test]
    fn the_number_of_types_is_limited() {
        // Tuples of tuples: few bytes must not become many types.
        let mut bytes = vec![0, 0x31, 0xFF, 0xFF];
        for _ in 0..0xFFFF {
            bytes.extend([0, 0x31, 0, 5, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9]);
        }
        let result = ColumnType::parse(&mut Reader::new(&bytes));
        assert!(matches!(result, Err(Malformed::Count { what: "type count", .. })));
    }

    #[test]
    fn columns_with_global_and_own_tables() {
        let global = [0, 1, b'k', 0, 1, b't', 0, 1, b'a', 0, 9, 0, 1, b'b', 0, 0x0D];
        let own: &[u8] = &[
            0, 1, b'k', 0, 1, b't', 0, 1, b'a', 0, 9, 0, 1, b'k', 0, 1, b't', 0, 1, b'b', 0, 0x0D,
        ];
        for (bytes, table) in [(&global[..], GlobalTable::Once), (own, GlobalTable::PerColumn)] {
            let columns = ColumnSpec::parse_list(&mut Reader::new(bytes), table, 2).unwrap();
            let [a, b] = &*columns else { panic!("two columns") };
            assert_eq!((&*a.keyspace, &*a.table, &*a.name), ("k", "t", "a"));
            assert_eq!((&a.typ, &b.typ), (&ColumnType::Int, &ColumnType::Text));
            assert!(Arc::ptr_eq(&a.table, &b.table), "names are shared");
            let mut reader = Reader::new(bytes);
            ColumnSpec::skip_list(&mut reader, table, 2).unwrap();
            assert!(reader.remaining().is_empty());
            for len in 0..bytes.len() {
                let short = &bytes[..len];
                assert!(ColumnSpec::parse_list(&mut Reader::new(short), table, 2).is_err());
                assert!(ColumnSpec::skip_list(&mut Reader::new(short), table, 2).is_err());
            }
        }
    }

    #[test]
    fn column_count_is_limited() {
        let result = ColumnSpec::parse_list(&mut Reader::new(&[0; 16]), GlobalTable::Once, 5);
        assert!(matches!(result, Err(Malformed::Count { count: 5, max: 4, .. })));
        let bytes = vec![0; 1 << 20];
        let result = ColumnSpec::skip_list(&mut Reader::new(&bytes), GlobalTable::Once, 65_536);
        assert!(matches!(result, Err(Malformed::Count { max: 65_535, .. })));
    }
}
