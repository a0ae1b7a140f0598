//! Tests of bound values: golden bytes, and promises kept and broken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use expect_test::{Expect, expect};

use super::*;

fn encode<V: SerializeValue + ?Sized>(
    typ: &ColumnType,
    value: &V,
) -> Result<Vec<u8>, SerializeError> {
    let mut out = vec![0; value.value_len(typ)?.encoded_len()];
    let mut writer = Writer::new(&mut out);
    value.write_value(typ, &mut writer);
    writer.finish()?;
    Ok(out)
}

#[track_caller]
fn check<V: SerializeValue + ?Sized>(typ: &ColumnType, value: &V, expected: Expect) {
    V::type_check(typ).unwrap();
    let bytes = encode(typ, value).unwrap();
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    expected.assert_eq(&hex.concat());
    // Length and content apart give the same.
    let content_len = bytes.len() - 4;
    let mut content = vec![0; content_len];
    let mut writer = Writer::new(&mut content);
    value.write(typ, &mut writer);
    writer.finish().unwrap();
    assert_eq!(content, bytes[4..]);
    if let Some(in_memory) = value.as_bytes() {
        assert_eq!(in_memory, content);
    }
}

fn list(element: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(element))
}

#[test]
fn numbers() {
    check(&ColumnType::Boolean, &true, expect!["0000000101"]);
    check(&ColumnType::Tinyint, &-2_i8, expect!["00000001fe"]);
    check(&ColumnType::Smallint, &-2_i16, expect!["00000002fffe"]);
    check(&ColumnType::Int, &1_i32, expect!["0000000400000001"]);
    check(&ColumnType::Bigint, &-1_i64, expect!["00000008ffffffffffffffff"]);
    check(&ColumnType::Float, &1_f32, expect!["000000043f800000"]);
    check(&ColumnType::Double, &1_f64, expect!["000000083ff0000000000000"]);
    check(&ColumnType::Counter, &Counter(5), expect!["000000080000000000000005"]);
    let decimal = |unscaled: i64, scale| CqlDecimal::new(unscaled.into(), scale);
    check(&ColumnType::Decimal, &decimal(12345, 2), expect!["00000006000000023039"]);
    check(&ColumnType::Decimal, &decimal(-1, 2), expect!["0000000500000002ff"]);
    check(&ColumnType::Decimal, &decimal(1, -3), expect!["00000005fffffffd01"]);
    check(&ColumnType::Varint, &CqlVarint::from(128_i64), expect!["000000020080"]);
    check(&ColumnType::Varint, &CqlVarint::from(-129_i64).as_borrowed(), expect!["00000002ff7f"]);
}

#[test]
fn times() {
    check(&ColumnType::Date, &CqlDate(1 << 31), expect!["0000000480000000"]);
    check(&ColumnType::Date, &CqlDate(0x8000_512A), expect!["000000048000512a"]);
    check(&ColumnType::Timestamp, &CqlTimestamp(-1), expect!["00000008ffffffffffffffff"]);
    let time = CqlTime(86_399_999_999_000);
    check(&ColumnType::Time, &time, expect!["0000000800004e94914efc18"]);
    let duration = |months, days, nanoseconds| CqlDuration { months, days, nanoseconds };
    check(&ColumnType::Duration, &duration(1, 2, 3), expect!["00000003020406"]);
    check(
        &ColumnType::Duration,
        &duration(-1, -2, -1_000_000_000),
        expect!["000000070103f0773593ff"],
    );
    check(
        &ColumnType::Duration,
        &duration(0, 0, (89 * 3600 + 4 * 60 + 48) * 1_000_000_000),
        expect!["0000000a0000fe024753fca5c000"],
    );
    let mixed = duration(1, -1, 0).value_len(&ColumnType::Duration);
    assert!(matches!(mixed, Err(SerializeError::BadValue { .. })));
}

#[test]
fn text_blobs_and_addresses() {
    check(&ColumnType::Text, "ab", expect!["000000026162"]);
    check(&ColumnType::Ascii, &"", expect!["00000000"]);
    check(&ColumnType::Text, &String::from("é"), expect!["00000002c3a9"]);
    check(&ColumnType::Text, &Cow::from("a"), expect!["0000000161"]);
    check(&ColumnType::Text, &Box::<str>::from("a"), expect!["0000000161"]);
    check(&ColumnType::Blob, &&[1_u8, 2][..], expect!["000000020102"]);
    check(&ColumnType::Blob, &vec![1_u8, 2], expect!["000000020102"]);
    check(&ColumnType::Blob, &[1_u8, 2], expect!["000000020102"]);
    check(&ColumnType::Blob, &Bytes::from_static(&[7]), expect!["0000000107"]);
    check(
        &ColumnType::Timeuuid,
        &CqlTimeuuid::from_u128(1),
        expect!["0000001000000000000000000000000000000001"],
    );
    #[cfg(feature = "uuid-1")]
    for typ in [ColumnType::Uuid, ColumnType::Timeuuid] {
        check(&typ, &Uuid::from_u128(1), expect!["0000001000000000000000000000000000000001"]);
    }
    check(&ColumnType::Inet, &IpAddr::from([127, 0, 0, 1]), expect!["000000047f000001"]);
    check(
        &ColumnType::Inet,
        &IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        expect!["0000001000000000000000000000000000000001"],
    );
}

#[test]
fn null_and_unset() {
    check(&ColumnType::Int, &None::<i32>, expect!["ffffffff"]);
    check(&ColumnType::Int, &Some(1), expect!["0000000400000001"]);
    check(&ColumnType::Int, &MaybeUnset::<i32>::Unset, expect!["fffffffe"]);
    check(&ColumnType::Int, &MaybeUnset::Set(Some(1)), expect!["0000000400000001"]);
    check(&ColumnType::Int, &MaybeUnset::Set(None::<i32>), expect!["ffffffff"]);
    check(&ColumnType::Int, &Unset, expect!["fffffffe"]);
    assert_eq!(MaybeUnset::from_option(None::<i32>), MaybeUnset::Unset);
}

#[test]
fn collections_and_tuples() {
    check(
        &list(ColumnType::Int),
        &vec![1, 2],
        expect!["000000140000000200000004000000010000000400000002"],
    );
    check(
        &list(ColumnType::Int),
        &[1, 2],
        expect!["000000140000000200000004000000010000000400000002"],
    );
    check(
        &list(ColumnType::Int),
        &&[1, 2][..],
        expect!["000000140000000200000004000000010000000400000002"],
    );
    let set = ColumnType::Set(Box::new(ColumnType::Int));
    check(
        &set,
        &BTreeSet::from([1, 2]),
        expect!["000000140000000200000004000000010000000400000002"],
    );
    check(&set, &vec![1, 2], expect!["000000140000000200000004000000010000000400000002"]);
    let map = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Int)));
    check(&map, &HashMap::from([("a", 1)]), expect!["000000110000000100000001610000000400000001"]);
    check(
        &map,
        &BTreeMap::from([("a".to_owned(), 1)]),
        expect!["000000110000000100000001610000000400000001"],
    );
    let tuple = ColumnType::Tuple([ColumnType::Int, ColumnType::Text].into());
    check(&tuple, &(1, None::<&str>), expect!["0000000c0000000400000001ffffffff"]);
    check(
        &list(list(ColumnType::Int)),
        &vec![vec![], vec![1]],
        expect!["0000001c0000000200000004000000000000000c000000010000000400000001"],
    );
    let unset = vec![MaybeUnset::Set(1), MaybeUnset::Unset];
    assert!(unset.value_len(&list(ColumnType::Int)).is_err());
}

#[test]
fn vectors() {
    let vector = |element, dimensions| ColumnType::Vector(Box::new(element), dimensions);
    check(&vector(ColumnType::Int, 2), &[1, 2], expect!["000000080000000100000002"]);
    check(&vector(ColumnType::Float, 2), &vec![1_f32, 2.0], expect!["000000083f80000040000000"]);
    // `smallint` has a fixed length, but not to servers.
    check(&vector(ColumnType::Smallint, 2), &[1_i16, 2], expect!["00000006020001020002"]);
    check(&vector(ColumnType::Text, 2), &["ab", "c"], expect!["000000050261620163"]);
    let nested = vector(vector(ColumnType::Int, 1), 2);
    check(&nested, &[[1], [2]], expect!["000000080000000100000002"]);
    check(
        &vector(list(ColumnType::Int), 1),
        &[vec![7]],
        expect!["0000000d0c000000010000000400000007"],
    );

    let typ = vector(ColumnType::Int, 2);
    for wrong in [vec![], vec![1], vec![1, 2, 3]] {
        assert!(matches!(wrong.value_len(&typ), Err(SerializeError::BadValue { .. })));
    }
    assert!(vec![Some(1), None].value_len(&typ).is_err());
    assert!(<[i32; 3]>::type_check(&typ).is_err());
    assert!(<[i64; 2]>::type_check(&typ).is_err());
    assert!(BTreeSet::<i32>::type_check(&typ).is_err());
}

#[test]
fn types_that_do_not_fit() {
    assert!(i32::type_check(&ColumnType::Bigint).is_err());
    assert!(i64::type_check(&ColumnType::Counter).is_err());
    assert!(CqlTimeuuid::type_check(&ColumnType::Uuid).is_err());
    assert!(HashSet::<i32>::type_check(&list(ColumnType::Int)).is_err());
    let mismatch = Vec::<Option<&str>>::type_check(&list(ColumnType::Blob)).unwrap_err();
    assert_eq!(mismatch.to_string(), "column 0: str does not fit blob");
    let pair = ColumnType::Tuple([ColumnType::Int, ColumnType::Int].into());
    assert!(<(i32,)>::type_check(&pair).is_err());
    assert!(<(i32, i64)>::type_check(&pair).is_err());
}

/// Announces one length and writes another.
struct Liar {
    announced: u32,
    written: usize,
}

impl SerializeValue for Liar {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Bytes(self.announced))
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        out.put_slice(&vec![0; self.written]);
    }
}

#[test]
fn a_broken_promise_is_an_error() {
    let liar = |announced, written| Liar { announced, written };
    for (announced, written) in [(4, 5), (5, 4), (0, 1), (1, 0)] {
        let error = encode(&ColumnType::Blob, &liar(announced, written)).unwrap_err();
        assert!(matches!(error, SerializeError::Length(_)), "{announced} {written}");
    }
    // Also where the sum is right.
    let blobs = list(ColumnType::Blob);
    assert!(encode(&blobs, &vec![liar(4, 5), liar(5, 4)]).is_err());
    assert!(encode(&blobs, &vec![liar(5, 4), liar(4, 5)]).is_err());
    let texts = ColumnType::Vector(Box::new(ColumnType::Text), 2);
    assert!(encode(&texts, &vec![liar(4, 5), liar(5, 4)]).is_err());
    let ints = ColumnType::Vector(Box::new(ColumnType::Int), 2);
    assert!(encode(&ints, &vec![liar(4, 5), liar(4, 3)]).is_ok(), "eight bytes are two ints");
    assert!(encode(&ints, &vec![liar(4, 5), liar(4, 4)]).is_err());
    assert!(encode(&blobs, &(liar(4, 4), liar(5, 5))).is_ok());
}

#[test]
fn too_long_for_a_value() {
    assert!(ValueLen::bytes(0x7FFF_FFFF).is_ok());
    assert!(matches!(
        ValueLen::bytes(0x8000_0000),
        Err(SerializeError::ValueTooLong { len: 0x8000_0000, .. })
    ));
}
