//! Values of every type, nested: golden bytes, literals, round trips, cuts, garbage, bounds.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use expect_test::{Expect, expect};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::{DeserializeError, SerializeError};
use crate::types::{ColumnType, UdtType};
use crate::value::{DeserializeValue, SerializeValue, ValueLen};
use crate::wire::{Reader, Writer};

fn encode(typ: &ColumnType, value: &CqlValue) -> Result<Vec<u8>, SerializeError> {
    let ValueLen::Bytes(len) = value.value_len(typ)? else { panic!("a value is not null") };
    let mut out = vec![0; usize::try_from(len).unwrap()];
    let mut writer = Writer::new(&mut out);
    value.write(typ, &mut writer);
    writer.finish().unwrap();
    let mut whole = vec![0; out.len() + 4];
    let mut writer = Writer::new(&mut whole);
    value.write_value(typ, &mut writer);
    writer.finish().unwrap();
    assert_eq!(whole[4..], out);
    if let Some(content) = value.as_bytes() {
        assert_eq!(content, out);
    }
    Ok(out)
}

fn decode(typ: &ColumnType, cell: &[u8]) -> Result<CqlValue, DeserializeError> {
    CqlValue::deserialize(typ, Some(cell))
}

/// The value has these bytes, is read from them, and is shown so. Each cut is an error or another
/// value, never a panic.
#[track_caller]
fn check(typ: ColumnType, value: CqlValue, hex: &str, shown: Expect) {
    let bytes = encode(&typ, &value).unwrap();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, hex.replace(' ', ""), "{typ}");
    assert_eq!(decode(&typ, &bytes), Ok(value.clone()));
    shown.assert_eq(&value.to_string());
    for len in 0..bytes.len() {
        assert_ne!(decode(&typ, &bytes[..len]), Ok(value.clone()), "cut at {len}");
    }
}

fn udt() -> ColumnType {
    let fields = [("a".into(), ColumnType::Int), ("B".into(), ColumnType::Text)];
    let typ = UdtType { keyspace: "k".into(), name: "t".into(), fields: fields.into() };
    ColumnType::Udt(Box::new(typ))
}

fn udt_value(fields: &[(&str, Option<CqlValue>)]) -> CqlValue {
    let field = |(name, value): &(&str, Option<CqlValue>)| (Name::from(*name), value.clone());
    let fields = fields.iter().map(field).collect();
    CqlValue::UserDefinedType { keyspace: "k".into(), name: "t".into(), fields }
}

#[test]
fn scalars() {
    use ColumnType as T;
    let id = Uuid::from_u128(1);
    check(T::Ascii, CqlValue::Ascii("it's".into()), "69742773", expect!["'it''s'"]);
    check(T::Bigint, 7_i64.into(), "0000000000000007", expect!["7"]);
    check(T::Blob, vec![1, 2].into(), "0102", expect!["0x0102"]);
    check(T::Boolean, true.into(), "01", expect!["true"]);
    check(T::Counter, Counter(-1).into(), "ffffffffffffffff", expect!["-1"]);
    check(T::Custom("c".into()), vec![1].into(), "01", expect!["0x01"]);
    check(T::Date, CqlDate(1 << 31).into(), "80000000", expect!["'1970-01-01'"]);
    let number = CqlDecimal::new(7_i64.into(), 1);
    check(T::Decimal, number.into(), "0000000107", expect!["0.7"]);
    check(T::Double, 1e300_f64.into(), "7e37e43c8800759c", expect!["1e300"]);
    let duration = CqlDuration { months: 1, days: 2, nanoseconds: 3 };
    check(T::Duration, duration.into(), "020406", expect!["1mo2d3ns"]);
    check(T::Float, f32::INFINITY.into(), "7f800000", expect!["Infinity"]);
    check(T::Inet, Ipv4Addr::LOCALHOST.into(), "7f000001", expect!["'127.0.0.1'"]);
    check(T::Int, 7.into(), "00000007", expect!["7"]);
    check(T::Smallint, 7_i16.into(), "0007", expect!["7"]);
    check(T::Text, "\u{e4}".into(), "c3a4", expect!["'ä'"]);
    check(T::Time, CqlTime(1).into(), "0000000000000001", expect!["'00:00:00.000000001'"]);
    let time = expect!["'1970-01-01 00:00:00.001+0000'"];
    check(T::Timestamp, CqlTimestamp(1).into(), "0000000000000001", time);
    let hex = "00000000000000000000000000000001";
    let shown = expect!["00000000-0000-0000-0000-000000000001"];
    check(T::Timeuuid, CqlTimeuuid::from(id).into(), hex, shown);
    check(T::Tinyint, (-1_i8).into(), "ff", expect!["-1"]);
    let shown = expect!["00000000-0000-0000-0000-000000000001"];
    check(T::Uuid, id.into(), hex, shown);
    check(T::Varint, CqlVarint::from(128_i64).into(), "0080", expect!["128"]);
    assert_eq!(CqlValue::Double(f64::NAN).to_string(), "NaN");
    assert_eq!(CqlValue::Double(f64::NEG_INFINITY).to_string(), "-Infinity");
    assert_eq!(CqlValue::Float(1.0).to_string(), "1.0");
}

#[test]
fn nested() {
    let list = |typ| ColumnType::List(Box::new(typ));
    let hex = "00000002 00000001 61 00000000";
    let value = CqlValue::List(vec!["a".into(), "".into()]);
    check(list(ColumnType::Text), value, hex, expect!["['a', '']"]);
    let set = ColumnType::Set(Box::new(ColumnType::Tinyint));
    let value = CqlValue::Set(vec![1_i8.into(), 2_i8.into()]);
    check(set, value, "00000002 00000001 01 00000001 02", expect!["{1, 2}"]);
    let map = ColumnType::Map(Box::new((ColumnType::Boolean, list(ColumnType::Boolean))));
    let value = CqlValue::Map(vec![(true.into(), CqlValue::List(vec![]))]);
    check(map, value, "00000001 00000001 01 00000004 00000000", expect!["{true: []}"]);
    let vector = |typ| ColumnType::Vector(Box::new(typ), 2);
    let value = CqlValue::Vector(vec![1.into(), 2.into()]);
    check(vector(ColumnType::Int), value, "00000001 00000002", expect!["[1, 2]"]);
    let value = CqlValue::Vector(vec!["a".into(), "b".into()]);
    check(vector(ColumnType::Text), value, "01 61 01 62", expect!["['a', 'b']"]);
    let tuple = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
    let value = CqlValue::Tuple(vec![None, Some("a".into())]);
    check(tuple.clone(), value, "ffffffff 00000001 61", expect!["(null, 'a')"]);
    let value = CqlValue::Tuple(vec![Some(1.into())]);
    check(tuple, value, "00000004 00000001", expect!["(1)"]);
    let value = udt_value(&[("a", Some(1.into())), ("B", Some("x".into()))]);
    check(udt(), value, "00000004 00000001 00000001 78", expect![[r#"{a: 1, "B": 'x'}"#]]);
    check(udt(), udt_value(&[("a", Some(1.into()))]), "00000004 00000001", expect!["{a: 1}"]);
}

#[test]
fn fields_are_bound_by_name() {
    let ordered = udt_value(&[("a", Some(1.into())), ("B", Some("x".into()))]);
    let mixed = udt_value(&[("B", Some("x".into())), ("a", Some(1.into()))]);
    assert_eq!(encode(&udt(), &ordered), encode(&udt(), &mixed));
    let last = encode(&udt(), &udt_value(&[("B", None)]));
    assert_eq!(last, Ok(vec![0xFF; 8]), "the first one is null");
    assert_eq!(encode(&udt(), &udt_value(&[])), Ok(vec![0xFF; 4]), "not the empty value");
    let typ = ColumnType::Tuple([ColumnType::Int].into());
    assert_eq!(encode(&typ, &CqlValue::Tuple(vec![])), Ok(vec![0xFF; 4]));
    let error = encode(&udt(), &udt_value(&[("c", None)])).unwrap_err();
    assert!(error.to_string().contains("does not have"), "{error}");
    let error = encode(&udt(), &udt_value(&[("a", None), ("a", None)])).unwrap_err();
    assert!(error.to_string().contains("given twice"), "{error}");
    let error = encode(&udt(), &udt_value(&[("B", None), ("a", None), ("a", None)])).unwrap_err();
    assert!(error.to_string().contains("given twice"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    #[track_caller]
    fn refused(typ: ColumnType, value: CqlValue, expected: Expect) {
        expected.assert_eq(&encode(&typ, &value).unwrap_err().to_string());
        let mut out = [0; 8];
        let mut writer = Writer::new(&mut out);
        value.write(&typ, &mut writer);
        assert!(writer.finish().is_err());
    }
    let list = ColumnType::List(Box::new(ColumnType::Int));
    let int = expect!["column 0: CqlValue::Int does not fit text"];
    refused(ColumnType::Text, 7.into(), int);
    let text = expect!["column 0: CqlValue::Text does not fit int"];
    refused(list.clone(), CqlValue::List(vec![7.into(), "a".into()]), text);
    let empty = expect!["column 0: CqlValue::Empty does not fit list"];
    refused(list.clone(), CqlValue::Empty, empty);
    let tuple = expect!["column 0: CqlValue::Tuple does not fit tuple"];
    refused(ColumnType::Tuple([].into()), CqlValue::Tuple(vec![None]), tuple);
    let CqlValue::UserDefinedType { keyspace, fields, .. } = udt_value(&[]) else { panic!() };
    let other = CqlValue::UserDefinedType { keyspace, name: "other".into(), fields };
    refused(udt(), other, expect!["column 0: CqlValue::UserDefinedType does not fit udt"]);
    let null = decode(&list, &[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap_err();
    assert!(matches!(null, DeserializeError::UnexpectedNull { .. }));
    assert!(CqlValue::deserialize(&list, None).is_err());
    assert_eq!(<Option<CqlValue>>::deserialize(&list, None), Ok(None));
}

#[test]
fn empty_cells() {
    assert_eq!(decode(&ColumnType::Int, &[]), Ok(CqlValue::Empty));
    assert_eq!(encode(&ColumnType::Int, &CqlValue::Empty), Ok(vec![]));
    assert_eq!(CqlValue::Empty.to_string(), "0x");
    assert_eq!(decode(&ColumnType::Text, &[]), Ok("".into()));
    assert_eq!(decode(&ColumnType::Ascii, &[]), Ok(CqlValue::Ascii(String::new())));
    assert_eq!(decode(&ColumnType::Blob, &[]), Ok(CqlValue::Blob(Bytes::new())));
    assert_eq!(decode(&udt(), &[]), Ok(CqlValue::Empty));
}

/// What CQL has no such types for, but a peer may announce.
#[test]
fn types_without_content() {
    let vector = |typ, dimensions| ColumnType::Vector(Box::new(typ), dimensions);
    let tuple = ColumnType::Tuple([].into());
    for typ in [tuple, vector(ColumnType::Int, 0), vector(vector(ColumnType::Int, 0), 3)] {
        assert_eq!(decode(&typ, &[7; 9]), Ok(CqlValue::Empty), "{typ}");
        assert_eq!(encode(&typ, &CqlValue::Empty), Ok(vec![]), "{typ}");
    }
    let typ = UdtType { keyspace: "k".into(), name: "t".into(), fields: [].into() };
    assert_eq!(decode(&ColumnType::Udt(Box::new(typ)), &[7; 9]), Ok(CqlValue::Empty));
}

#[test]
fn blobs_share_the_body() {
    let typ = ColumnType::List(Box::new(ColumnType::Blob));
    let body = Bytes::from_static(&[9, 0, 0, 0, 2, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0]);
    let value = CqlValue::from_shared(&typ, Some(&body[1..]), &body).unwrap();
    let blobs: Vec<_> = value.into_vec().unwrap().into_iter().map(CqlValue::into_blob).collect();
    let [Some(blob), Some(empty)] = &*blobs else { panic!("two blobs") };
    assert_eq!((blob.as_ptr(), &**blob), (body[9..].as_ptr(), &[7, 8][..]));
    assert!(empty.is_empty());
    // A cell from elsewhere is copied.
    let other = body[1..].to_vec();
    let value = CqlValue::from_shared(&typ, Some(&other), &body).unwrap();
    assert_eq!(value.as_list().unwrap()[0].as_blob().unwrap(), &[7, 8][..]);
}

/// Few bytes do not become much memory, however large the type is.
#[test]
fn memory_is_bounded_by_the_cell() {
    let fields: Vec<_> = (0..1000).map(|i| (format!("f{i}").into(), ColumnType::Int)).collect();
    let typ = UdtType { keyspace: "k".into(), name: "t".into(), fields: fields.into() };
    let typ = ColumnType::Udt(Box::new(typ));
    let value = decode(&typ, &[0xFF; 4]).unwrap();
    assert_eq!(value.as_udt().map(<[_]>::len), Some(1));
    let ColumnType::Udt(udt) = &typ else { panic!() };
    let (name, _) = &value.as_udt().unwrap()[0];
    assert_eq!(name.as_ptr(), udt.fields[0].0.as_ptr(), "names are shared");
    let wide = ColumnType::Tuple(vec![ColumnType::Int; 1000].into());
    assert_eq!(decode(&wide, &[0xFF; 4]), Ok(CqlValue::Tuple(vec![None])));
    let list = ColumnType::List(Box::new(wide));
    assert!(decode(&list, &[0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]).is_err());
}

/// Values, and what each of the others shows, so that nothing is left out by accident.
#[test]
fn accessors_tell_the_variants_apart() {
    let values = [CqlValue::from(7), 7_i64.into(), "a".into(), vec![7].into(), CqlValue::Empty];
    assert_eq!(values.each_ref().map(|value| value.as_int().is_some() as u8), [1, 0, 0, 0, 0]);
    assert_eq!(values.each_ref().map(|value| value.as_text().is_some() as u8), [0, 0, 1, 0, 0]);
    let kinds: HashSet<_> = values.iter().map(CqlValue::kind).collect();
    assert_eq!(kinds.len(), values.len());
}

fn scalar() -> impl Strategy<Value = (ColumnType, CqlValue)> {
    use ColumnType as T;
    prop_oneof![
        "[ -~]{0,9}".prop_map(|text| (T::Ascii, CqlValue::Ascii(text))),
        any::<i64>().prop_map(|n| (T::Bigint, n.into())),
        vec(any::<u8>(), 0..9).prop_map(|blob| (T::Blob, blob.into())),
        vec(any::<u8>(), 0..9).prop_map(|blob| (T::Custom("class".into()), blob.into())),
        any::<bool>().prop_map(|value| (T::Boolean, value.into())),
        any::<i64>().prop_map(|n| (T::Counter, Counter(n).into())),
        any::<u32>().prop_map(|n| (T::Date, CqlDate(n).into())),
        any::<(i64, i32)>()
            .prop_map(|(n, scale)| { (T::Decimal, CqlDecimal::new(n.into(), scale).into()) }),
        prop::num::f64::NORMAL.prop_map(|n| (T::Double, n.into())),
        any::<(u8, u8, u8)>().prop_map(|(months, days, ns)| {
            let (months, days, nanoseconds) = (months.into(), days.into(), ns.into());
            (T::Duration, CqlDuration { months, days, nanoseconds }.into())
        }),
        prop::num::f32::NORMAL.prop_map(|n| (T::Float, n.into())),
        any::<IpAddr>().prop_map(|ip| (T::Inet, ip.into())),
        any::<i32>().prop_map(|n| (T::Int, n.into())),
        any::<i16>().prop_map(|n| (T::Smallint, n.into())),
        any::<String>().prop_map(|text| (T::Text, text.into())),
        (0..86_400_000_000_000_i64).prop_map(|n| (T::Time, CqlTime(n).into())),
        any::<i64>().prop_map(|n| (T::Timestamp, CqlTimestamp(n).into())),
        any::<u128>().prop_map(|n| (T::Timeuuid, CqlTimeuuid::from_u128(n).into())),
        any::<i8>().prop_map(|n| (T::Tinyint, n.into())),
        any::<u128>().prop_map(|n| (T::Uuid, Uuid::from_u128(n).into())),
        any::<i128>().prop_map(|n| (T::Varint, CqlVarint::from(n).into())),
        Just((T::Int, CqlValue::Empty)),
    ]
}

/// A type and a value of it. Elements of collections are copies: they have one type.
fn typed() -> impl Strategy<Value = (ColumnType, CqlValue)> {
    scalar().prop_recursive(4, 24, 3, |inner| {
        let field = (inner.clone(), any::<bool>());
        prop_oneof![
            (inner.clone(), 0..3_usize).prop_map(|((typ, value), count)| {
                (ColumnType::List(Box::new(typ)), CqlValue::List(vec![value; count]))
            }),
            (inner.clone(), 0..3_usize).prop_map(|((typ, value), count)| {
                (ColumnType::Set(Box::new(typ)), CqlValue::Set(vec![value; count]))
            }),
            (inner.clone(), 1..4_u16).prop_filter_map("fixed lengths", |((typ, value), count)| {
                let is_fixed = typ.vector_element_len().is_some();
                if is_fixed && value == CqlValue::Empty {
                    return None; // an element that is not as long as its type
                }
                let value = CqlValue::Vector(vec![value; count.into()]);
                Some((ColumnType::Vector(Box::new(typ), count), value))
            }),
            (inner.clone(), inner.clone(), 0..3_usize).prop_map(|(key, value, count)| {
                let typ = ColumnType::Map(Box::new((key.0, value.0)));
                (typ, CqlValue::Map(vec![(key.1, value.1); count]))
            }),
            vec(field.clone(), 1..4).prop_map(|fields| {
                let types = fields.iter().map(|((typ, _), _)| typ.clone()).collect();
                let values = fields.into_iter().map(|((_, value), set)| set.then_some(value));
                (ColumnType::Tuple(types), CqlValue::Tuple(values.collect()))
            }),
            vec(field, 1..4).prop_map(|fields| {
                let name = |index: usize| Name::from(format!("f{index}"));
                let field = |(index, ((typ, _), _)): (usize, &((ColumnType, _), _))| {
                    (name(index), typ.clone())
                };
                let types = fields.iter().enumerate().map(field).collect();
                let typ = UdtType { keyspace: "k".into(), name: "t".into(), fields: types };
                let field = |(index, ((_, value), set)): (usize, ((_, CqlValue), bool))| {
                    (name(index), set.then_some(value))
                };
                let fields = fields.into_iter().enumerate().map(field).collect();
                let (keyspace, name) = (typ.keyspace.clone(), typ.name.clone());
                let value = CqlValue::UserDefinedType { keyspace, name, fields };
                (ColumnType::Udt(Box::new(typ)), value)
            }),
        ]
    })
}

/// How many bytes a value holds here, roughly from above.
fn memory(value: &CqlValue) -> usize {
    let all = |values: &[CqlValue]| values.iter().map(memory).sum();
    size_of::<CqlValue>()
        + match value {
            CqlValue::Ascii(text) | CqlValue::Text(text) => text.len(),
            CqlValue::Blob(blob) => blob.len(),
            CqlValue::List(values) | CqlValue::Set(values) | CqlValue::Vector(values) => {
                all(values)
            }
            CqlValue::Map(entries) => {
                entries.iter().map(|(key, value)| memory(key) + memory(value)).sum()
            }
            CqlValue::Tuple(fields) => {
                fields.iter().map(|field| 64 + field.as_ref().map_or(0, memory)).sum()
            }
            CqlValue::UserDefinedType { fields, .. } => {
                fields.iter().map(|(_, field)| 88 + field.as_ref().map_or(0, memory)).sum()
            }
            _ => 64, // digits of numbers; those generated have fewer
        }
}

proptest! {
    #[test]
    fn round_trip((typ, value) in typed()) {
        let bytes = encode(&typ, &value).unwrap();
        prop_assert_eq!(decode(&typ, &bytes), Ok(value.clone()));
        let body = Bytes::from(bytes);
        prop_assert_eq!(CqlValue::from_shared(&typ, Some(&body), &body), Ok(value.clone()));
        prop_assert!(!value.to_string().is_empty());
        // Written in another type, an error or a value of that type, never a panic.
        let _ = value.value_len(&udt());
    }

    #[test]
    fn cut_anywhere((typ, value) in typed(), cut: prop::sample::Index) {
        let bytes = encode(&typ, &value).unwrap();
        if !bytes.is_empty() {
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert_ne!(decode(&typ, cut), Ok(value));
        }
    }

    /// Any bytes: no panic, memory of the order of the cell, and what is read is stable.
    #[test]
    fn garbage(
        (typ, _) in typed(),
        cell in vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..64),
    ) {
        let Ok(value) = decode(&typ, &cell) else { return Ok(()) };
        prop_assert!(memory(&value) <= 128 + cell.len() * 192, "{value:?}");
        if let Ok(bytes) = encode(&typ, &value) {
            let again = decode(&typ, &bytes).unwrap();
            prop_assert_eq!(encode(&typ, &again), Ok(bytes));
            prop_assert_eq!(format!("{again:?}"), format!("{value:?}"));
        }
        let _ = CqlValue::deserialize_sound(&typ, &mut Reader::new(&cell));
    }
}
