//! Values of any type at run time: both codecs' `CqlValue`, of random types that nest.
//!
//! What one writes the other writes alike and reads as the same value, and both read cells of any
//! bytes to the same effect. Fields beyond a cell's end are null to the official codec, and left
//! out here; values are compared with those added.

use bytes::Bytes;
use scylla_cql::deserialize::FrameSlice;
use scylla_cql::deserialize::value::DeserializeValue as OfficialDeserialize;
use scylla_cql::value as official;
use shardwire_protocol::types::ColumnType;
use shardwire_protocol::value::{self as ours, CqlValue, DeserializeValue};

use super::source::Source;
use super::types::{random, to_official};
use super::values::{official_bytes, our_bytes};

/// How deep the types nest.
const DEPTH: usize = 4;

/// A random value of a random type.
pub(crate) fn check(data: &[u8]) {
    let mut source = Source::new(data);
    let typ = random(&mut source, DEPTH);
    let value = random_value(&mut source, &typ, Place::Anywhere);
    let official = to_official_value(&value);
    let bytes = our_bytes(&typ, &value).expect("it fits");
    let theirs = official_bytes(&typ, &official);
    assert_eq!(theirs.as_ref(), Some(&bytes), "{typ}: {value:?}");
    let cell = &bytes[4..];
    assert_eq!(CqlValue::deserialize(&typ, Some(cell)), Ok(value.clone()), "{typ}");
    let read = read_official(&typ, cell).expect("its own bytes");
    assert_eq!(in_words(&typ, from_official(&read)), in_words(&typ, value), "{typ}: {cell:02x?}");
}

/// A cell of a random type: bytes of a value with some of them changed, or any.
pub(crate) fn check_any_cell(data: &[u8]) {
    let mut source = Source::new(data);
    let typ = random(&mut source, DEPTH);
    let mut cell = if source.coin() {
        let value = random_value(&mut source, &typ, Place::Anywhere);
        our_bytes(&typ, &value).expect("it fits").split_off(4)
    } else {
        source.bytes(40)
    };
    if !cell.is_empty() {
        for _ in 0..source.below(3) {
            let index = source.below(cell.len().min(256));
            cell[index] = source.u8();
        }
    }
    let ours = CqlValue::deserialize(&typ, Some(&cell)).ok();
    let official = read_official(&typ, &cell);
    match (ours, official) {
        (Some(ours), Some(official)) => assert!(
            in_words(&typ, ours.clone()) == in_words(&typ, from_official(&official))
                || has_vint_vector(&typ),
            "{typ}: {cell:02x?}\n ours {ours:?}\n official {official:?}"
        ),
        (None, None) => {}
        // The elements of such vectors may be empty, see `docs/DIFFERENCES.md`.
        (ours, official) => assert!(
            has_vint_vector(&typ),
            "{typ}: {cell:02x?}\n ours {ours:?}\n official {official:?}"
        ),
    }
}

fn read_official(typ: &ColumnType, cell: &[u8]) -> Option<official::CqlValue> {
    let cell = Bytes::copy_from_slice(cell);
    official::CqlValue::deserialize(&to_official(typ), Some(FrameSlice::new(&cell))).ok()
}

/// Where a value stands, which decides about content of no bytes: in a vector there is none of it,
/// in one of fixed lengths because it does not fit, in another because of a known difference.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Anywhere,
    InVector,
}

fn random_value(source: &mut Source<'_>, typ: &ColumnType, place: Place) -> CqlValue {
    let is_text = matches!(typ, ColumnType::Ascii | ColumnType::Text | ColumnType::Blob);
    if place == Place::Anywhere && typ.can_be_empty() && !is_text && source.below(16) == 15 {
        return CqlValue::Empty;
    }
    let first = if place == Place::InVector { "x" } else { "" };
    let mut some = |typ: &ColumnType| {
        (0..source.below(3)).map(|_| random_value(source, typ, Place::Anywhere)).collect()
    };
    match typ {
        ColumnType::List(element) => CqlValue::List(some(element)),
        ColumnType::Set(element) => CqlValue::Set(some(element)),
        ColumnType::Map(pair) => CqlValue::Map(
            (0..source.below(3))
                .map(|_| {
                    let key = random_value(source, &pair.0, Place::Anywhere);
                    (key, random_value(source, &pair.1, Place::Anywhere))
                })
                .collect(),
        ),
        ColumnType::Vector(element, dimensions) => CqlValue::Vector(
            (0..*dimensions).map(|_| random_value(source, element, Place::InVector)).collect(),
        ),
        ColumnType::Tuple(types) => {
            let count = 1 + source.below(types.len());
            CqlValue::Tuple(types.iter().take(count).map(|typ| field(source, typ)).collect())
        }
        ColumnType::Udt(udt) => CqlValue::UserDefinedType {
            keyspace: udt.keyspace.clone(),
            name: udt.name.clone(),
            fields: udt
                .fields
                .iter()
                .map(|(name, typ)| (name.clone(), field(source, typ)))
                .collect(),
        },
        ColumnType::Ascii => {
            CqlValue::Ascii(source.text(9).replace(|c: char| !c.is_ascii(), "x") + first)
        }
        ColumnType::Text => CqlValue::Text(source.text(9) + first),
        ColumnType::Blob => [first.as_bytes(), &source.bytes(9)].concat().into(),
        ColumnType::Bigint => i64::from_be_bytes(source.array()).into(),
        ColumnType::Boolean => source.coin().into(),
        ColumnType::Counter => ours::Counter(i64::from_be_bytes(source.array())).into(),
        ColumnType::Date => ours::CqlDate(u32::from_be_bytes(source.array())).into(),
        ColumnType::Decimal => {
            let scale = i32::from_be_bytes(source.array());
            ours::CqlDecimal::from_signed_be_bytes_and_exponent(source.bytes(20), scale).into()
        }
        ColumnType::Double => f64::from(i32::from_be_bytes(source.array())).into(),
        ColumnType::Duration => {
            let sign = if source.coin() { -1 } else { 1 };
            let months = sign * i32::from(source.u8());
            let days = sign * i32::from(u16::from_be_bytes(source.array()));
            let nanoseconds = i64::from(sign) * (i64::from_be_bytes(source.array()) & i64::MAX);
            ours::CqlDuration { months, days, nanoseconds }.into()
        }
        ColumnType::Float => f32::from(i16::from_be_bytes(source.array())).into(),
        ColumnType::Inet if source.coin() => CqlValue::Inet(source.array::<4>().into()),
        ColumnType::Inet => CqlValue::Inet(source.array::<16>().into()),
        ColumnType::Int => i32::from_be_bytes(source.array()).into(),
        ColumnType::Smallint => i16::from_be_bytes(source.array()).into(),
        ColumnType::Time => {
            let ns = i64::from_be_bytes(source.array()).rem_euclid(86_400_000_000_000);
            ours::CqlTime(ns).into()
        }
        ColumnType::Timestamp => ours::CqlTimestamp(i64::from_be_bytes(source.array())).into(),
        ColumnType::Timeuuid => ours::CqlTimeuuid::from_bytes(source.array()).into(),
        ColumnType::Tinyint => i8::from_be_bytes(source.array()).into(),
        ColumnType::Uuid => uuid::Uuid::from_bytes(source.array()).into(),
        ColumnType::Varint => ours::CqlVarint::from_signed_bytes_be(source.bytes(20)).into(),
        other => panic!("{other} is no type of the official codec"),
    }
}

fn field(source: &mut Source<'_>, typ: &ColumnType) -> Option<CqlValue> {
    (source.below(4) > 0).then(|| random_value(source, typ, Place::Anywhere))
}

fn to_official_value(value: &CqlValue) -> official::CqlValue {
    use official::CqlValue as Official;
    let all = |values: &[CqlValue]| values.iter().map(to_official_value).collect();
    match value {
        CqlValue::Ascii(text) => Official::Ascii(text.clone()),
        CqlValue::BigInt(number) => Official::BigInt(*number),
        CqlValue::Blob(blob) => Official::Blob(blob.to_vec()),
        CqlValue::Boolean(value) => Official::Boolean(*value),
        CqlValue::Counter(number) => Official::Counter(official::Counter(number.0)),
        CqlValue::Date(date) => Official::Date(official::CqlDate(date.0)),
        CqlValue::Decimal(number) => {
            let (digits, scale) = number.as_signed_be_bytes_slice_and_exponent();
            let number =
                official::CqlDecimal::from_signed_be_bytes_slice_and_exponent(digits, scale);
            Official::Decimal(number)
        }
        CqlValue::Double(number) => Official::Double(*number),
        CqlValue::Duration(ours::CqlDuration { months, days, nanoseconds }) => {
            let (months, days, nanoseconds) = (*months, *days, *nanoseconds);
            Official::Duration(official::CqlDuration { months, days, nanoseconds })
        }
        CqlValue::Empty => Official::Empty,
        CqlValue::Float(number) => Official::Float(*number),
        CqlValue::Inet(ip) => Official::Inet(*ip),
        CqlValue::Int(number) => Official::Int(*number),
        CqlValue::List(values) => Official::List(all(values)),
        CqlValue::Map(entries) => {
            let entry = |(key, value): &(_, _)| (to_official_value(key), to_official_value(value));
            Official::Map(entries.iter().map(entry).collect())
        }
        CqlValue::Set(values) => Official::Set(all(values)),
        CqlValue::SmallInt(number) => Official::SmallInt(*number),
        CqlValue::Text(text) => Official::Text(text.clone()),
        CqlValue::Time(time) => Official::Time(official::CqlTime(time.0)),
        CqlValue::Timestamp(time) => Official::Timestamp(official::CqlTimestamp(time.0)),
        CqlValue::Timeuuid(id) => {
            Official::Timeuuid(official::CqlTimeuuid::from_bytes(*id.as_bytes()))
        }
        CqlValue::TinyInt(number) => Official::TinyInt(*number),
        CqlValue::Tuple(fields) => {
            let field = |field: &Option<_>| field.as_ref().map(to_official_value);
            Official::Tuple(fields.iter().map(field).collect())
        }
        CqlValue::UserDefinedType { keyspace, name, fields } => {
            let field = |(name, field): &(shardwire_protocol::types::Name, Option<_>)| {
                (name.to_string(), field.as_ref().map(to_official_value))
            };
            Official::UserDefinedType {
                keyspace: keyspace.to_string(),
                name: name.to_string(),
                fields: fields.iter().map(field).collect(),
            }
        }
        CqlValue::Uuid(id) => Official::Uuid(*id),
        CqlValue::Varint(number) => {
            let digits = number.as_signed_bytes_be_slice();
            Official::Varint(official::CqlVarint::from_signed_bytes_be_slice(digits))
        }
        CqlValue::Vector(values) => Official::Vector(all(values)),
        other => panic!("{other:?} has no place there"),
    }
}

/// Numbers of more bytes than they need lose these on the way.
fn from_official(value: &official::CqlValue) -> CqlValue {
    use official::CqlValue as Official;
    let all = |values: &[Official]| values.iter().map(from_official).collect();
    match value {
        Official::Ascii(text) => CqlValue::Ascii(text.clone()),
        Official::BigInt(number) => (*number).into(),
        Official::Blob(blob) => blob.clone().into(),
        Official::Boolean(value) => (*value).into(),
        Official::Counter(number) => ours::Counter(number.0).into(),
        Official::Date(date) => ours::CqlDate(date.0).into(),
        Official::Decimal(number) => {
            let (digits, scale) = number.as_signed_be_bytes_slice_and_exponent();
            ours::CqlDecimal::from_signed_be_bytes_slice_and_exponent(digits, scale).into()
        }
        Official::Double(number) => (*number).into(),
        Official::Duration(official::CqlDuration { months, days, nanoseconds }) => {
            let (months, days, nanoseconds) = (*months, *days, *nanoseconds);
            ours::CqlDuration { months, days, nanoseconds }.into()
        }
        Official::Empty => CqlValue::Empty,
        Official::Float(number) => (*number).into(),
        Official::Inet(ip) => (*ip).into(),
        Official::Int(number) => (*number).into(),
        Official::List(values) => CqlValue::List(all(values)),
        Official::Map(entries) => {
            let entry = |(key, value): &(_, _)| (from_official(key), from_official(value));
            CqlValue::Map(entries.iter().map(entry).collect())
        }
        Official::Set(values) => CqlValue::Set(all(values)),
        Official::SmallInt(number) => (*number).into(),
        Official::Text(text) => text.clone().into(),
        Official::Time(time) => ours::CqlTime(time.0).into(),
        Official::Timestamp(time) => ours::CqlTimestamp(time.0).into(),
        Official::Timeuuid(id) => ours::CqlTimeuuid::from_bytes(*id.as_bytes()).into(),
        Official::TinyInt(number) => (*number).into(),
        Official::Tuple(fields) => {
            let field = |field: &Option<_>| field.as_ref().map(from_official);
            CqlValue::Tuple(fields.iter().map(field).collect())
        }
        Official::UserDefinedType { keyspace, name, fields } => {
            let field = |(name, field): &(String, Option<_>)| {
                (name.as_str().into(), field.as_ref().map(from_official))
            };
            CqlValue::UserDefinedType {
                keyspace: keyspace.as_str().into(),
                name: name.as_str().into(),
                fields: fields.iter().map(field).collect(),
            }
        }
        Official::Uuid(id) => (*id).into(),
        Official::Varint(number) => {
            ours::CqlVarint::from_signed_bytes_be_slice(number.as_signed_bytes_be_slice()).into()
        }
        Official::Vector(values) => CqlValue::Vector(all(values)),
        other => panic!("{other:?} has no place here"),
    }
}

/// A value in words, in which what is no number equals itself; with all fields of its type.
fn in_words(typ: &ColumnType, mut value: CqlValue) -> String {
    add_fields(typ, &mut value);
    format!("{value:?}")
}

fn add_fields(typ: &ColumnType, value: &mut CqlValue) {
    match (typ, value) {
        (
            ColumnType::List(typ) | ColumnType::Set(typ) | ColumnType::Vector(typ, _),
            CqlValue::List(values) | CqlValue::Set(values) | CqlValue::Vector(values),
        ) => values.iter_mut().for_each(|value| add_fields(typ, value)),
        (ColumnType::Map(pair), CqlValue::Map(entries)) => {
            for (key, value) in entries {
                add_fields(&pair.0, key);
                add_fields(&pair.1, value);
            }
        }
        (ColumnType::Tuple(types), CqlValue::Tuple(fields)) => {
            fields.resize(types.len(), None);
            for (typ, field) in types.iter().zip(fields) {
                field.iter_mut().for_each(|field| add_fields(typ, field));
            }
        }
        (ColumnType::Udt(udt), CqlValue::UserDefinedType { fields, .. }) => {
            for (index, (name, typ)) in udt.fields.iter().enumerate() {
                if fields.len() == index {
                    fields.push((name.clone(), None));
                }
                fields[index].1.iter_mut().for_each(|field| add_fields(typ, field));
            }
        }
        _ => {}
    }
}

/// Whether a vector in it has elements with a length before each.
fn has_vint_vector(typ: &ColumnType) -> bool {
    match typ {
        ColumnType::Vector(element, _) => {
            element.vector_element_len().is_none() || has_vint_vector(element)
        }
        ColumnType::List(element) | ColumnType::Set(element) => has_vint_vector(element),
        ColumnType::Map(pair) => has_vint_vector(&pair.0) || has_vint_vector(&pair.1),
        ColumnType::Tuple(fields) => fields.iter().any(has_vint_vector),
        ColumnType::Udt(udt) => udt.fields.iter().any(|(_, typ)| has_vint_vector(typ)),
        _ => false,
    }
}
