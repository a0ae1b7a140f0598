//! Types that come as the name of a Java class: `vector` above all.
//!
//! Not a parser of all that Cassandra can spell: what it does not know stays
//! [`ColumnType::Custom`], whose values are read as bytes.

use super::{ColumnType, TYPE_DEPTH_MAX};

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

/// Skips blanks, `token`, and blanks; `None` if something else stands there.
fn expect(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.trim_start_matches(' ').strip_prefix(token)?.trim_start_matches(' ');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
