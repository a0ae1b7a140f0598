//! User-defined types, nested anywhere: what one codec writes the other reads, field by field.
//!
//! The official codec's dynamic value is the middle: it is written by its own serializer and read
//! here by the views, and written here and read by its own deserializer. Of cells of any bytes,
//! both must find the same fields.

use std::net::IpAddr;

use bytes::Bytes;
use scylla_cql::deserialize::FrameSlice;
use scylla_cql::deserialize::value::{DeserializeValue as OfficialDeserialize, UdtIterator};
use scylla_cql::value::{self as official, CqlValue};
use shardwire_protocol::error::DeserializeError;
use shardwire_protocol::types::{ColumnType, UdtType};
use shardwire_protocol::value::{self as ours, DeserializeValue, RawValue, UdtView};
use shardwire_protocol::value::{Emptiable, ListView, MapView, MaybeEmpty, TupleView};
use shardwire_protocol::wire::Writer;

use super::source::Source;
use super::types::{self, to_official};
use super::values::{official_bytes, our_bytes};

/// A random type with a user-defined one in it, `depth` levels down at most.
fn random_type(source: &mut Source<'_>, depth: usize) -> ColumnType {
    if depth == 0 {
        return udt(source, 0);
    }
    let choice = source.below(10);
    let nested = Box::new(random_type(source, depth - 1));
    match choice {
        0 => ColumnType::List(nested),
        1 => ColumnType::Set(nested),
        2 => ColumnType::Map(Box::new((types::random(source, 1), *nested))),
        3 => ColumnType::Map(Box::new((*nested, types::random(source, 1)))),
        4 => ColumnType::Tuple([types::random(source, 2), *nested].into()),
        5 => ColumnType::Vector(nested, 1 + source.u8() as u16 % 3),
        _ => udt(source, depth - 1),
    }
}

/// A random user-defined type; its first field is another one if there may be more levels.
fn udt(source: &mut Source<'_>, depth: usize) -> ColumnType {
    let field = |index| {
        let typ = match index {
            0 if depth > 0 => random_type(source, depth - 1),
            _ => types::random(source, 2),
        };
        (format!("{}{index}", source.text(3)).into(), typ)
    };
    let fields = (0..4).map(field).collect::<Vec<_>>();
    let fields = fields.into_iter().take(1 + source.below(4)).collect();
    let (keyspace, name) = (source.text(4).into(), source.text(4).into());
    ColumnType::Udt(Box::new(UdtType { keyspace, name, fields }))
}

/// A random value of the type, never of no bytes if `in_vector`: elements that are empty are a
/// difference of their own.
fn random_value(source: &mut Source<'_>, typ: &ColumnType, in_vector: bool) -> CqlValue {
    let is_text = matches!(typ, ColumnType::Ascii | ColumnType::Text | ColumnType::Blob);
    if !in_vector && is_native(typ) && typ.can_be_empty() && !is_text && source.below(16) == 15 {
        return CqlValue::Empty;
    }
    let filler = if in_vector { "x" } else { "" };
    let several = |source: &mut Source<'_>, typ: &ColumnType| -> Vec<CqlValue> {
        (0..source.below(3)).map(|_| random_value(source, typ, false)).collect()
    };
    match typ {
        ColumnType::Ascii => {
            CqlValue::Ascii(source.text(9).replace(|c: char| !c.is_ascii(), "x") + filler)
        }
        ColumnType::Bigint => CqlValue::BigInt(i64::from_be_bytes(source.array())),
        ColumnType::Blob => {
            let mut bytes = source.bytes(20);
            bytes.extend_from_slice(filler.as_bytes());
            CqlValue::Blob(bytes)
        }
        ColumnType::Boolean => CqlValue::Boolean(source.coin()),
        ColumnType::Counter => {
            CqlValue::Counter(official::Counter(i64::from_be_bytes(source.array())))
        }
        ColumnType::Date => CqlValue::Date(official::CqlDate(u32::from_be_bytes(source.array()))),
        ColumnType::Decimal => {
            let digits = random_digits(source);
            let scale = i32::from_be_bytes(source.array());
            CqlValue::Decimal(official::CqlDecimal::from_signed_be_bytes_and_exponent(
                digits, scale,
            ))
        }
        // No NaN, so that values can be compared.
        ColumnType::Double => CqlValue::Double(f64::from(i32::from_be_bytes(source.array()))),
        ColumnType::Float => CqlValue::Float(f32::from(i16::from_be_bytes(source.array()))),
        ColumnType::Duration => {
            let sign = if source.coin() { -1 } else { 1 };
            CqlValue::Duration(official::CqlDuration {
                months: sign * i32::from(source.u8()),
                days: sign * i32::from(u16::from_be_bytes(source.array())),
                nanoseconds: i64::from(sign) * (i64::from_be_bytes(source.array()) & i64::MAX),
            })
        }
        ColumnType::Inet => CqlValue::Inet(match source.coin() {
            true => IpAddr::from(source.array::<4>()),
            false => IpAddr::from(source.array::<16>()),
        }),
        ColumnType::Int => CqlValue::Int(i32::from_be_bytes(source.array())),
        ColumnType::Smallint => CqlValue::SmallInt(i16::from_be_bytes(source.array())),
        ColumnType::Text => CqlValue::Text(source.text(9) + filler),
        ColumnType::Time => {
            let time = i64::from_be_bytes(source.array()).rem_euclid(86_400_000_000_000);
            CqlValue::Time(official::CqlTime(time))
        }
        ColumnType::Timestamp => {
            CqlValue::Timestamp(official::CqlTimestamp(i64::from_be_bytes(source.array())))
        }
        ColumnType::Timeuuid => {
            CqlValue::Timeuuid(official::CqlTimeuuid::from_bytes(source.array()))
        }
        ColumnType::Tinyint => CqlValue::TinyInt(i8::from_be_bytes(source.array())),
        ColumnType::Uuid => CqlValue::Uuid(uuid::Uuid::from_bytes(source.array())),
        ColumnType::Varint => {
            CqlValue::Varint(official::CqlVarint::from_signed_bytes_be(random_digits(source)))
        }
        ColumnType::List(element) => CqlValue::List(several(source, element)),
        ColumnType::Set(element) => CqlValue::Set(several(source, element)),
        ColumnType::Map(pair) => {
            let (key, value) = &**pair;
            let pair = |source: &mut Source<'_>| {
                (random_value(source, key, false), random_value(source, value, false))
            };
            CqlValue::Map((0..source.below(3)).map(|_| pair(source)).collect())
        }
        ColumnType::Vector(element, dimensions) => {
            let element = |_| random_value(source, element, true);
            CqlValue::Vector((0..*dimensions).map(element).collect())
        }
        ColumnType::Tuple(fields) => {
            CqlValue::Tuple(fields.iter().map(|typ| random_field(source, typ)).collect())
        }
        ColumnType::Udt(udt) => CqlValue::UserDefinedType {
            keyspace: udt.keyspace.to_string(),
            name: udt.name.to_string(),
            fields: udt
                .fields
                .iter()
                .map(|(name, typ)| (name.to_string(), random_field(source, typ)))
                .collect(),
        },
        other => panic!("{other} is not generated"),
    }
}

fn random_field(source: &mut Source<'_>, typ: &ColumnType) -> Option<CqlValue> {
    (source.below(4) != 3).then(|| random_value(source, typ, false))
}

/// A number in as few bytes as possible: others are a difference of their own.
fn random_digits(source: &mut Source<'_>) -> Vec<u8> {
    ours::CqlVarint::from_signed_bytes_be(source.bytes(20)).into_signed_bytes_be()
}

fn is_native(typ: &ColumnType) -> bool {
    use ColumnType::{Custom, List, Map, Set, Tuple, Udt, Vector};
    !matches!(typ, Custom(_) | List(_) | Map(_) | Set(_) | Tuple(_) | Udt(_) | Vector(..))
}

/// What the views of this codec read in a cell, as the official codec's value.
fn read(raw: RawValue<'_>) -> Result<Option<CqlValue>, DeserializeError> {
    if raw.content.is_none() {
        return Ok(None);
    }
    let some = |raw| Ok(read(raw)?.expect("collections of nulls are not generated"));
    Ok(Some(match raw.typ {
        ColumnType::Udt(_) => read_udt(raw.read()?)?,
        // The official codec makes no difference between a tuple without fields and no tuple.
        ColumnType::Tuple(_) if raw.content == Some(&[]) => CqlValue::Empty,
        ColumnType::Tuple(types) => {
            let view: TupleView<'_> = raw.read()?;
            let fields: Vec<_> = view.iter().collect::<Result<_, _>>()?;
            assert_eq!(fields.len(), types.len());
            for (index, field) in fields.iter().enumerate() {
                assert_eq!(view.at::<RawValue<'_>>(index).as_ref(), Ok(field));
            }
            CqlValue::Tuple(fields.into_iter().map(read).collect::<Result<_, _>>()?)
        }
        ColumnType::List(_) | ColumnType::Set(_) | ColumnType::Vector(..) => {
            let view: ListView<'_, RawValue<'_>> = raw.read()?;
            let elements = view.iter().map(|element| some(element?));
            let elements = elements.collect::<Result<Vec<_>, DeserializeError>>()?;
            assert_eq!(elements.len(), view.len());
            match raw.typ {
                ColumnType::List(_) => CqlValue::List(elements),
                ColumnType::Set(_) => CqlValue::Set(elements),
                _ => CqlValue::Vector(elements),
            }
        }
        ColumnType::Map(_) => {
            let view: MapView<'_, RawValue<'_>, RawValue<'_>> = raw.read()?;
            let pairs = view.iter().map(|pair| {
                let (key, value) = pair?;
                Ok((some(key)?, some(value)?))
            });
            CqlValue::Map(pairs.collect::<Result<_, DeserializeError>>()?)
        }
        _ => read_native(raw)?,
    }))
}

/// Each field by its index, by its name and in its turn.
fn read_udt(view: UdtView<'_>) -> Result<CqlValue, DeserializeError> {
    let mut fields = Vec::new();
    for (index, field) in view.iter().enumerate() {
        let field = field?;
        assert_eq!(view.at::<RawValue<'_>>(index), Ok(field.cell));
        assert_eq!(view.field::<RawValue<'_>>(field.name), Ok(field.cell));
        fields.push((field.name.to_string(), read(field.cell)?));
    }
    assert_eq!(fields.len(), view.typ().fields.len());
    assert!(view.at::<RawValue<'_>>(fields.len()).is_err());
    let UdtType { keyspace, name, .. } = view.typ();
    Ok(CqlValue::UserDefinedType { keyspace: keyspace.to_string(), name: name.to_string(), fields })
}

fn read_native(raw: RawValue<'_>) -> Result<CqlValue, DeserializeError> {
    fn or_empty<'a, T: DeserializeValue<'a> + Emptiable>(
        raw: RawValue<'a>,
        value: impl FnOnce(T) -> CqlValue,
    ) -> Result<CqlValue, DeserializeError> {
        Ok(match raw.read()? {
            MaybeEmpty::Empty => CqlValue::Empty,
            MaybeEmpty::Value(content) => value(content),
        })
    }
    match raw.typ {
        ColumnType::Ascii => raw.read().map(CqlValue::Ascii),
        ColumnType::Text => raw.read().map(CqlValue::Text),
        ColumnType::Blob => raw.read().map(CqlValue::Blob),
        ColumnType::Boolean => or_empty(raw, CqlValue::Boolean),
        ColumnType::Tinyint => or_empty(raw, CqlValue::TinyInt),
        ColumnType::Smallint => or_empty(raw, CqlValue::SmallInt),
        ColumnType::Int => or_empty(raw, CqlValue::Int),
        ColumnType::Bigint => or_empty(raw, CqlValue::BigInt),
        ColumnType::Float => or_empty(raw, CqlValue::Float),
        ColumnType::Double => or_empty(raw, CqlValue::Double),
        ColumnType::Inet => or_empty(raw, CqlValue::Inet),
        ColumnType::Uuid => or_empty(raw, CqlValue::Uuid),
        ColumnType::Counter => {
            let counter: ours::Counter = raw.read()?;
            Ok(CqlValue::Counter(official::Counter(counter.0)))
        }
        ColumnType::Duration => {
            let ours::CqlDuration { months, days, nanoseconds } = raw.read()?;
            Ok(CqlValue::Duration(official::CqlDuration { months, days, nanoseconds }))
        }
        ColumnType::Date => {
            or_empty(raw, |date: ours::CqlDate| CqlValue::Date(official::CqlDate(date.0)))
        }
        ColumnType::Time => {
            or_empty(raw, |time: ours::CqlTime| CqlValue::Time(official::CqlTime(time.0)))
        }
        ColumnType::Timestamp => or_empty(raw, |time: ours::CqlTimestamp| {
            CqlValue::Timestamp(official::CqlTimestamp(time.0))
        }),
        ColumnType::Timeuuid => or_empty(raw, |id: ours::CqlTimeuuid| {
            CqlValue::Timeuuid(official::CqlTimeuuid::from_bytes(*id.as_bytes()))
        }),
        ColumnType::Varint => or_empty(raw, |number: ours::CqlVarint| {
            let digits = number.into_signed_bytes_be();
            CqlValue::Varint(official::CqlVarint::from_signed_bytes_be(digits))
        }),
        ColumnType::Decimal => or_empty(raw, |number: ours::CqlDecimal| {
            let (digits, scale) = number.into_signed_be_bytes_and_exponent();
            let number = official::CqlDecimal::from_signed_be_bytes_and_exponent(digits, scale);
            CqlValue::Decimal(number)
        }),
        other => panic!("{other} is not generated"),
    }
}

/// Length and content, as this codec writes them: scalars by their own types, the rest by hand.
fn write(typ: &ColumnType, value: Option<&CqlValue>) -> Vec<u8> {
    let Some(value) = value else { return (-1_i32).to_be_bytes().to_vec() };
    let several = |typ: &ColumnType, values: &[CqlValue]| {
        let mut content = (values.len() as u32).to_be_bytes().to_vec();
        values.iter().for_each(|value| content.extend(write(typ, Some(value))));
        content
    };
    let content = match (typ, value) {
        (ColumnType::Udt(udt), CqlValue::UserDefinedType { fields, .. }) => {
            let fields = udt.fields.iter().zip(fields);
            fields.flat_map(|((_, typ), (_, value))| write(typ, value.as_ref())).collect()
        }
        (ColumnType::Tuple(types), CqlValue::Tuple(fields)) => {
            let fields = types.iter().zip(fields);
            fields.flat_map(|(typ, value)| write(typ, value.as_ref())).collect()
        }
        (ColumnType::List(element), CqlValue::List(values))
        | (ColumnType::Set(element), CqlValue::Set(values)) => several(element, values),
        (ColumnType::Map(pair), CqlValue::Map(values)) => {
            let mut content = (values.len() as u32).to_be_bytes().to_vec();
            for (key, value) in values {
                content.extend(write(&pair.0, Some(key)));
                content.extend(write(&pair.1, Some(value)));
            }
            content
        }
        (ColumnType::Vector(element, _), CqlValue::Vector(values)) => {
            values.iter().flat_map(|value| write_element(element, value)).collect()
        }
        (_, CqlValue::Empty) => Vec::new(),
        _ => return write_native(typ, value),
    };
    let mut cell = vec![0; 4 + content.len()];
    let mut writer = Writer::new(&mut cell);
    writer.put_bytes(&content);
    writer.finish().expect("there is room for it");
    cell
}

/// An element of a vector, with its length before it unless its type has one length.
fn write_element(typ: &ColumnType, value: &CqlValue) -> Vec<u8> {
    let content = write(typ, Some(value)).split_off(4);
    if typ.vector_element_len().is_some() {
        return content;
    }
    let len = content.len() as u64;
    let mut out = vec![0; shardwire_protocol::wire::unsigned_vint_len(len) + content.len()];
    let mut writer = Writer::new(&mut out);
    writer.put_unsigned_vint(len);
    writer.put_slice(&content);
    writer.finish().expect("there is room for it");
    out
}

fn write_native(typ: &ColumnType, value: &CqlValue) -> Vec<u8> {
    let bytes = match value {
        CqlValue::Ascii(text) | CqlValue::Text(text) => our_bytes(typ, text),
        CqlValue::Blob(bytes) => our_bytes(typ, bytes),
        CqlValue::Boolean(value) => our_bytes(typ, value),
        CqlValue::TinyInt(number) => our_bytes(typ, number),
        CqlValue::SmallInt(number) => our_bytes(typ, number),
        CqlValue::Int(number) => our_bytes(typ, number),
        CqlValue::BigInt(number) => our_bytes(typ, number),
        CqlValue::Float(number) => our_bytes(typ, number),
        CqlValue::Double(number) => our_bytes(typ, number),
        CqlValue::Inet(address) => our_bytes(typ, address),
        CqlValue::Uuid(id) => our_bytes(typ, id),
        CqlValue::Counter(number) => our_bytes(typ, &ours::Counter(number.0)),
        CqlValue::Date(date) => our_bytes(typ, &ours::CqlDate(date.0)),
        CqlValue::Time(time) => our_bytes(typ, &ours::CqlTime(time.0)),
        CqlValue::Timestamp(time) => our_bytes(typ, &ours::CqlTimestamp(time.0)),
        CqlValue::Timeuuid(id) => our_bytes(typ, &ours::CqlTimeuuid::from_bytes(*id.as_bytes())),
        CqlValue::Duration(duration) => {
            let official::CqlDuration { months, days, nanoseconds } = *duration;
            our_bytes(typ, &ours::CqlDuration { months, days, nanoseconds })
        }
        CqlValue::Varint(number) => {
            let digits = number.as_signed_bytes_be_slice();
            our_bytes(typ, &ours::CqlVarint::from_signed_bytes_be_slice(digits))
        }
        CqlValue::Decimal(number) => {
            let (digits, scale) = number.as_signed_be_bytes_slice_and_exponent();
            let number = ours::CqlDecimal::from_signed_be_bytes_slice_and_exponent(digits, scale);
            our_bytes(typ, &number)
        }
        other => panic!("{other:?} is no scalar"),
    };
    bytes.expect("a value that the official codec has is one here too")
}

/// What the official codec reads in a cell.
fn read_officially(typ: &ColumnType, content: &[u8]) -> Option<CqlValue> {
    let typ = to_official(typ);
    let content = Bytes::copy_from_slice(content);
    CqlValue::deserialize(&typ, Some(FrameSlice::new(&content))).ok()
}

/// A random value of a random type, both ways.
pub(crate) fn check(data: &[u8]) {
    let mut source = Source::new(data);
    let depth = source.below(4);
    let typ = random_type(&mut source, depth);
    let value = random_value(&mut source, &typ, false);
    let cell = official_bytes(&typ, &value).expect("the value is of the type");
    let raw = RawValue { typ: &typ, content: Some(&cell[4..]) };
    assert_eq!(read(raw), Ok(Some(value.clone())), "{typ:?}: {cell:02x?}");

    assert_eq!(write(&typ, Some(&value)), cell, "{typ:?}: {value:?}");
    assert_eq!(read_officially(&typ, &cell[4..]), Some(value), "{typ:?}: {cell:02x?}");
    let ColumnType::Udt(udt) = &typ else { return };
    check_without_last_fields(&typ, udt, &cell[4..]);
}

/// Written before fields were added to the type: what is not there is null, for both.
fn check_without_last_fields(typ: &ColumnType, udt: &UdtType, content: &[u8]) {
    let mut len = 0;
    for count in 0..=udt.fields.len() {
        let raw = RawValue { typ, content: Some(&content[..len]) };
        let value = read(raw).expect("a cell may have fewer fields");
        let official = read_officially(typ, &content[..len]);
        if count == 0 {
            // Its dynamic value makes no difference between one without fields and none at all.
            assert_eq!(official, Some(CqlValue::Empty));
        } else {
            assert_eq!(value, official, "{count} fields of {typ:?}");
        }
        let Some(CqlValue::UserDefinedType { fields, .. }) = &value else { panic!("{value:?}") };
        assert!(fields.iter().skip(count).all(|(_, value)| value.is_none()), "{value:?}");
        if let Some(prefix) = content[len..].first_chunk::<4>() {
            len += 4 + usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0);
        }
    }
    assert_eq!(len, content.len());
}

/// Cells of any bytes: the same fields, up to the same fault.
pub(crate) fn check_any_cell(data: &[u8]) {
    let mut source = Source::new(data);
    let typ = udt(&mut source, 0);
    let mut content = Vec::new();
    for _ in 0..source.below(6) {
        let field = source.bytes(6);
        let len = match source.below(8) {
            0 => -1,
            1 => i32::from_be_bytes(source.array()),
            2 => i32::from(source.u8()) - 4,
            _ => field.len() as i32,
        };
        content.extend_from_slice(&len.to_be_bytes());
        if len >= 0 {
            content.extend_from_slice(&field);
        }
    }
    if source.below(4) == 0 {
        content.truncate(source.below(40));
    }
    let view = UdtView::deserialize(&typ, Some(&content)).expect("fields are read later");
    let mut ours = view.iter();
    let official_typ = to_official(&typ);
    let content = Bytes::copy_from_slice(&content);
    let official = UdtIterator::deserialize(&official_typ, Some(FrameSlice::new(&content)));
    for ((name, _), official) in official.expect("fields are read later") {
        match (ours.next().expect("as many fields"), official) {
            (Ok(field), Ok(official)) => {
                assert_eq!(field.name.as_str(), name);
                let official = official.flatten().map(|slice| slice.as_slice().to_vec());
                assert_eq!(field.cell.content, official.as_deref(), "{typ:?}: {content:02x?}");
            }
            (Err(_), Err(_)) => break,
            (ours, official) => panic!("{typ:?}: {content:02x?}\n{ours:?}\n{official:?}"),
        }
    }
    assert!(ours.next().is_none(), "no more fields, or none after a fault");
}
