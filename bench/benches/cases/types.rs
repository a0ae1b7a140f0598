//! CQL types as a server names them, and what cells of them hold.
//!
//! It is neither codec's: bytes that one of them had written could agree with it in its mistakes.

/// A type of a column, and of what its cells are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Ascii,
    Bigint,
    /// 64 bytes.
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
    /// 32 letters.
    Text,
    /// 8 letters.
    TextShort,
    /// 32 bytes of text, of which some letters take two.
    TextBeyondAscii,
    Time,
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
    List(&'static Type),
    Set(&'static Type),
    Map(&'static Type, &'static Type),
    Tuple(&'static [Type]),
    Vector(&'static Type, u16),
    /// Its fields are called as columns are.
    Udt(&'static [Type]),
    /// Null in every other row.
    Nullable(&'static Type),
}

/// Elements of each list and set, entries of each map.
const ELEMENTS: u32 = 8;

impl Type {
    /// An `[option]` (CQL v4 §4.2.5.2).
    pub(crate) fn put_option(&self, body: &mut Vec<u8>) {
        match self {
            Self::List(element) => put_nested(body, 0x20, &[element]),
            Self::Map(key, value) => put_nested(body, 0x21, &[key, value]),
            Self::Set(element) => put_nested(body, 0x22, &[element]),
            Self::Tuple(fields) => {
                put_u16(body, 0x31);
                put_u16(body, fields.len().try_into().expect("samples are small"));
                fields.iter().for_each(|field| field.put_option(body));
            }
            Self::Udt(fields) => {
                put_u16(body, 0x30);
                put_string(body, "bench");
                put_string(body, "fields");
                put_u16(body, fields.len().try_into().expect("samples are small"));
                for (index, field) in fields.iter().enumerate() {
                    put_string(body, &column_name(index));
                    field.put_option(body);
                }
            }
            Self::Vector(..) => {
                put_u16(body, 0);
                put_string(body, &self.class());
            }
            Self::Nullable(typ) => typ.put_option(body),
            native => put_u16(body, native.native_id()),
        }
    }

    /// The name of the Java class, of types that vectors are made of here.
    fn class(&self) -> String {
        let class = match self {
            Self::Float => "FloatType".to_owned(),
            Self::Text => "UTF8Type".to_owned(),
            Self::Vector(element, dimensions) => {
                format!("VectorType({}, {dimensions})", element.class())
            }
            other => unreachable!("no sample has a vector of {other:?}"),
        };
        format!("org.apache.cassandra.db.marshal.{class}")
    }

    fn native_id(&self) -> u16 {
        match self {
            Self::Ascii => 0x01,
            Self::Bigint => 0x02,
            Self::Blob => 0x03,
            Self::Boolean => 0x04,
            Self::Counter => 0x05,
            Self::Decimal => 0x06,
            Self::Double => 0x07,
            Self::Float => 0x08,
            Self::Int => 0x09,
            Self::Timestamp => 0x0B,
            Self::Uuid => 0x0C,
            Self::Text | Self::TextShort | Self::TextBeyondAscii => 0x0D,
            Self::Varint => 0x0E,
            Self::Timeuuid => 0x0F,
            Self::Inet => 0x10,
            Self::Date => 0x11,
            Self::Time => 0x12,
            Self::Smallint => 0x13,
            Self::Tinyint => 0x14,
            Self::Duration => 0x15,
            other => unreachable!("{other:?} is no native type"),
        }
    }

    /// A `[bytes]` of this type. The same `index` makes the same one.
    pub(crate) fn put_cell(&self, body: &mut Vec<u8>, index: u64) {
        match self {
            Self::Nullable(_) if index % 2 == 1 => put_u32(body, u32::MAX),
            Self::Nullable(typ) => typ.put_cell(body, index / 2),
            typ => {
                let content = typ.content(index);
                put_u32(body, content.len().try_into().expect("samples are small"));
                body.extend_from_slice(&content);
            }
        }
    }

    fn content(&self, index: u64) -> Vec<u8> {
        // Spread over all bits, so that no value is small only because the index is.
        let bits = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bytes = bits.to_be_bytes();
        match self {
            Self::Ascii | Self::Text => format!("{bits:032x}").into_bytes(),
            Self::TextShort => format!("{:08x}", bits >> 32).into_bytes(),
            Self::TextBeyondAscii => format!("žluťoučký {bits:019}").into_bytes(),
            Self::Blob => bytes.repeat(8),
            Self::Boolean => vec![bytes[0] & 1],
            Self::Tinyint => bytes[..1].to_vec(),
            Self::Smallint => bytes[..2].to_vec(),
            Self::Int | Self::Float | Self::Date => bytes[..4].to_vec(),
            Self::Bigint | Self::Double | Self::Counter | Self::Timestamp => bytes.to_vec(),
            Self::Time => (bits % 86_400_000_000_000).to_be_bytes().to_vec(),
            Self::Uuid => [bytes, bytes].concat(),
            Self::Timeuuid => [bytes, bytes].concat(),
            Self::Inet if index % 2 == 1 => [bytes, bytes].concat(),
            Self::Inet => bytes[..4].to_vec(),
            Self::Varint => varint(bits.cast_signed() >> (bits % 56)),
            Self::Decimal => [vec![0, 0, 0, bytes[0]], Self::Varint.content(index)].concat(),
            // Vints: of two bytes, of one, of seven.
            Self::Duration => {
                let mut content = vec![0x80 | bytes[0] & 0x3F, bytes[1], bytes[2] & 0x7F, 0xFC];
                content.extend_from_slice(&bytes[..6]);
                content
            }
            Self::List(element) | Self::Set(element) => {
                let mut content = Vec::new();
                put_u32(&mut content, ELEMENTS);
                nested(index).for_each(|index| element.put_cell(&mut content, index));
                content
            }
            Self::Map(key, value) => {
                let mut content = Vec::new();
                put_u32(&mut content, ELEMENTS);
                for index in nested(index) {
                    key.put_cell(&mut content, index);
                    value.put_cell(&mut content, index);
                }
                content
            }
            Self::Tuple(fields) | Self::Udt(fields) => {
                let mut content = Vec::new();
                fields.iter().for_each(|field| field.put_cell(&mut content, index));
                content
            }
            Self::Vector(element, dimensions) => {
                let mut content = Vec::new();
                for dimension in 0..u64::from(*dimensions) {
                    let element_content = element.content(index * 1_000 + dimension);
                    if !matches!(element, Self::Float | Self::Vector(..)) {
                        content.push(element_content.len().try_into().expect("a vint of a byte"));
                    }
                    content.extend_from_slice(&element_content);
                }
                content
            }
            Self::Nullable(_) => unreachable!("a cell is null, its content is not"),
        }
    }
}

/// What columns, and fields of user-defined types, are called: `c0`, `c1` and so on.
pub(crate) fn column_name(index: usize) -> String {
    format!("c{index}")
}

/// Indices of the elements of a collection.
fn nested(index: u64) -> std::ops::Range<u64> {
    let count = u64::from(ELEMENTS);
    index * count..(index + 1) * count
}

/// Two's complement in as few bytes as possible.
fn varint(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let len = (1..8).find(|len| value << (64 - 8 * len) >> (64 - 8 * len) == value).unwrap_or(8);
    bytes[8 - len..].to_vec()
}

fn put_nested(body: &mut Vec<u8>, id: u16, nested: &[&Type]) {
    put_u16(body, id);
    nested.iter().for_each(|typ| typ.put_option(body));
}

pub(crate) fn put_u16(body: &mut Vec<u8>, value: u16) {
    body.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u32(body: &mut Vec<u8>, value: u32) {
    body.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_string(body: &mut Vec<u8>, text: &str) {
    put_u16(body, text.len().try_into().expect("names are short"));
    body.extend_from_slice(text.as_bytes());
}
