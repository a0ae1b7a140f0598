//! Types that come as the name of a Java class: `vector` above all.
//!
//! Not a parser of all that Cassandra can spell: what it does not know stays
//! [`ColumnType::Custom`], whose values are read as bytes.

use super::{ColumnType, Name, TYPE_DEPTH_MAX, UdtType};

/// The type with this class name; [`ColumnType::Custom`] unless it is one that has a CQL name.
pub(super) fn parse(class: &str) -> ColumnType {
    let mut rest = class;
    match parse_class(&mut rest, 1) {
        Some(typ) if rest.is_empty() => typ,
        _ => ColumnType::Custom(class.into()),
    }
}

fn parse_class(rest: &mut &str, depth: u32) -> Option<ColumnType> {
    if depth > TYPE_DEPTH_MAX {
        return None;
    }
    let name_len = rest.find(['(', ')', ',', ' ']).unwrap_or(rest.len());
    let (name, tail) = rest.split_at_checked(name_len)?;
    *rest = tail;
    let name = name.strip_prefix("org.apache.cassandra.db.marshal.").unwrap_or(name);
    let nested = |rest: &mut &str| parse_class(rest, depth + 1);
    Some(match name {
        "AsciiType" => ColumnType::Ascii,
        "BooleanType" => ColumnType::Boolean,
        "ByteType" => ColumnType::Tinyint,
        "BytesType" => ColumnType::Blob,
        "CounterColumnType" => ColumnType::Counter,
        "DateType" | "TimestampType" => ColumnType::Timestamp,
        "DecimalType" => ColumnType::Decimal,
        "DoubleType" => ColumnType::Double,
        "DurationType" => ColumnType::Duration,
        "FloatType" => ColumnType::Float,
        "InetAddressType" => ColumnType::Inet,
        "Int32Type" => ColumnType::Int,
        "IntegerType" => ColumnType::Varint,
        "LongType" => ColumnType::Bigint,
        "ShortType" => ColumnType::Smallint,
        "SimpleDateType" => ColumnType::Date,
        "TimeType" => ColumnType::Time,
        "TimeUUIDType" => ColumnType::Timeuuid,
        "UTF8Type" => ColumnType::Text,
        "UUIDType" => ColumnType::Uuid,
        "FrozenType" | "ReversedType" => {
            expect(rest, "(")?;
            let inner = nested(rest)?;
            expect(rest, ")")?;
            inner
        }
        "ListType" => {
            expect(rest, "(")?;
            let element = nested(rest)?;
            expect(rest, ")")?;
            ColumnType::List(Box::new(element))
        }
        "SetType" => {
            expect(rest, "(")?;
            let element = nested(rest)?;
            expect(rest, ")")?;
            ColumnType::Set(Box::new(element))
        }
        "MapType" => {
            expect(rest, "(")?;
            let key = nested(rest)?;
            expect(rest, ",")?;
            let value = nested(rest)?;
            expect(rest, ")")?;
            ColumnType::Map(Box::new((key, value)))
        }
        "TupleType" => {
            expect(rest, "(")?;
            let mut fields = vec![nested(rest)?];
            while expect(rest, ",").is_some() {
                fields.push(nested(rest)?);
            }
            expect(rest, ")")?;
            ColumnType::Tuple(fields.into_boxed_slice())
        }
        "UserType" => {
            expect(rest, "(")?;
            let keyspace = word(rest)?;
            if !keyspace.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return None; // no keyspace is called so: the name is another's
            }
            let keyspace = keyspace.into();
            expect(rest, ",")?;
            let name = text_from_hex(word(rest)?)?.into();
            let mut fields = Vec::new(); // no more than the name has letters
            while expect(rest, ",").is_some() {
                let name: Name = text_from_hex(word(rest)?)?.into();
                expect(rest, ":")?;
                fields.push((name, nested(rest)?));
            }
            expect(rest, ")")?;
            let fields = fields.into_boxed_slice();
            ColumnType::Udt(Box::new(UdtType { keyspace, name, fields }))
        }
        "VectorType" => {
            expect(rest, "(")?;
            let element = nested(rest)?;
            expect(rest, ",")?;
            let len = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, tail) = rest.split_at_checked(len)?;
            *rest = tail;
            expect(rest, ")")?;
            // Of no elements there is none, and nested ones would make much of an empty cell.
            let dimensions = digits.parse().ok().filter(|dimensions| *dimensions > 0)?;
            ColumnType::Vector(Box::new(element), dimensions)
        }
        _ => return None,
    })
}

/// Takes what stands before the next punctuation.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let len = rest.find(['(', ')', ',', ':', ' '])?;
    let (word, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(word)
}

/// Names within a class name are written as the digits of their bytes.
fn text_from_hex(hex: &str) -> Option<String> {
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect();
    String::from_utf8(bytes?).ok().filter(|_| odd.is_empty())
}

/// Skips blanks, `token`, and blanks; `None` if something else stands there.
fn expect(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.trim_start_matches(' ').strip_prefix(token)?.trim_start_matches(' ');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_defined_types() {
        let typ = parse(
            "org.apache.cassandra.db.marshal.UserType(ks,6e616d65,\
             6964:org.apache.cassandra.db.marshal.Int32Type,c3a9:ListType(UTF8Type))",
        );
        let ColumnType::Udt(udt) = &typ else { panic!("{typ:?}") };
        assert_eq!((&*udt.keyspace, &*udt.name), ("ks", "name"));
        let fields: Vec<_> = udt.fields.iter().map(|(name, typ)| format!("{name} {typ}")).collect();
        assert_eq!(fields, ["id int", "é list<text>"]);
        for wrong in ["6", "6g", "ff", ""] {
            let class = format!("UserType(ks,{wrong}:Int32Type)");
            assert!(matches!(parse(&class), ColumnType::Custom(_)), "{class}");
        }
        assert!(matches!(parse("UserType(k\t,6e,6964:Int32Type)"), ColumnType::Custom(_)));
        let whole = "UserType(ks,6e,6964:Int32Type)";
        for len in 0..whole.len() {
            assert!(matches!(parse(&whole[..len]), ColumnType::Custom(_)), "{len}");
        }
    }

    #[test]
    fn vectors_have_elements() {
        let vector = |dimensions: &str| parse(&format!("VectorType(Int32Type, {dimensions})"));
        assert_eq!(vector("1"), ColumnType::Vector(Box::new(ColumnType::Int), 1));
        for dimensions in ["0", "", "65536", "-1"] {
            assert!(matches!(vector(dimensions), ColumnType::Custom(_)), "{dimensions}");
        }
        // Its empty cell would hold 4,294,836,225 elements.
        let nested = "VectorType(VectorType(VectorType(Int32Type, 0), 65535), 65535)";
        assert_eq!(parse(nested), ColumnType::Custom(nested.into()));
    }
}
