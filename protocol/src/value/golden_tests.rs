//! Golden vectors of all types, in both directions, and all their truncations.
//!
//! The bytes were made by another implementation of the protocol, or follow from its text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::types::ColumnType::{self, *};
use crate::wire::{Reader, Writer};

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Content of the value, by both ways to write it, which must agree.
#[track_caller]
pub(super) fn content_of<V: SerializeValue + ?Sized>(typ: &ColumnType, value: &V) -> Vec<u8> {
    V::type_check(typ).unwrap();
    let len = value.value_len(typ).unwrap();
    let mut out = vec![0; len.encoded_len()];
    let mut writer = Writer::new(&mut out);
    value.write_value(typ, &mut writer);
    writer.finish().unwrap();
    let content = out.split_off(4);
    assert_eq!(usize::try_from(i32::from_be_bytes(out.try_into().unwrap())), Ok(content.len()));
    let mut alone = vec![0; content.len()];
    let mut writer = Writer::new(&mut alone);
    value.write(typ, &mut writer);
    writer.finish().unwrap();
    assert_eq!(alone, content);
    if let Some(in_memory) = value.as_bytes() {
        assert_eq!(in_memory, content);
    }
    content
}

/// Reads a cell in both ways, which must agree.
#[track_caller]
pub(super) fn read<'a, T: DeserializeValue<'a>>(
    typ: &'a ColumnType,
    body: &'a [u8],
) -> Result<T, crate::error::DeserializeError> {
    T::type_check(typ)?;
    let content = Reader::new(body).bytes("cell").unwrap();
    let value = T::deserialize(typ, content);
    let mut reader = Reader::new(body);
    let sound = T::deserialize_sound(typ, &mut reader);
    assert_eq!(sound.is_some(), value.is_ok(), "both ways agree on what is sound");
    if sound.is_some() {
        assert!(reader.remaining().is_empty(), "both ways read the same");
        let len_min = T::CELL_LEN_MIN;
        assert!(body.len() >= len_min, "{} bytes, at least {len_min} announced", body.len());
    }
    value
}

pub(super) fn body_of(content: &[u8]) -> Vec<u8> {
    [&i32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// `$value` is written as `$hex` and read from it; each truncation is an error, except of types
/// whose content may have any length (`any`).
macro_rules! golden {
    ($typ:expr, $hex:literal, $rust:ty, $value:expr $(, $any:ident)?) => {{
        let (typ, value, content): (ColumnType, $rust, _) = ($typ, $value, bytes($hex));
        assert_eq!(content_of(&typ, &value), content, "{value:?} as {typ}");
        let body = body_of(&content);
        assert_eq!(read::<$rust>(&typ, &body).as_ref(), Ok(&value), "{typ} {}", $hex);
        let any: &[&str] = &[$(stringify!($any))?];
        for len in 0..content.len() {
            let body = body_of(&content[..len]);
            let cut = read::<$rust>(&typ, &body);
            assert!(cut.is_err() || !any.is_empty(), "{typ} {} cut to {len}: {cut:?}", $hex);
        }
        // And not as null, unless that is asked for; empty collections are null.
        assert_eq!(read::<Option<$rust>>(&typ, &(-1_i32).to_be_bytes()), Ok(None));
    }};
}

fn list(element: ColumnType) -> ColumnType {
    List(Box::new(element))
}

fn set(element: ColumnType) -> ColumnType {
    Set(Box::new(element))
}

fn map(key: ColumnType, value: ColumnType) -> ColumnType {
    Map(Box::new((key, value)))
}

fn vector(element: ColumnType, dimensions: u16) -> ColumnType {
    Vector(Box::new(element), dimensions)
}

fn decimal(unscaled: i64, scale: i32) -> CqlDecimal {
    CqlDecimal::new(unscaled.into(), scale)
}

fn duration(months: i32, days: i32, nanoseconds: i64) -> CqlDuration {
    CqlDuration { months, days, nanoseconds }
}

#[test]
fn numbers() {
    golden!(Boolean, "01", bool, true);
    golden!(Boolean, "00", bool, false);
    golden!(Tinyint, "fe", i8, -2);
    golden!(Smallint, "fffe", i16, -2);
    golden!(Int, "00000001", i32, 1);
    golden!(Bigint, "ffffffffffffffff", i64, -1);
    golden!(Float, "3f800000", f32, 1.0);
    golden!(Double, "3ff0000000000000", f64, 1.0);
    golden!(ColumnType::Counter, "0000000000000005", super::Counter, super::Counter(5));
    golden!(Decimal, "00000002 3039", CqlDecimal, decimal(12345, 2), any);
    golden!(Decimal, "00000002 ff", CqlDecimal, decimal(-1, 2), any);
    golden!(Decimal, "fffffffd 01", CqlDecimal, decimal(1, -3), any);
    let thousand = CqlDecimalBorrowed::from_signed_be_bytes_slice_and_exponent(&[1], -3);
    golden!(Decimal, "fffffffd 01", CqlDecimalBorrowed<'_>, thousand, any);
    golden!(Varint, "00", CqlVarint, 0_i64.into(), any);
    golden!(Varint, "0080", CqlVarint, 128_i64.into(), any);
    golden!(Varint, "ff7f", CqlVarint, CqlVarint::from(-129_i64), any);
    golden!(Varint, "00ff", CqlVarint, 255_i64.into(), any);
    golden!(Varint, "008000000000000000", CqlVarint, (1_i128 << 63).into(), any);
    let borrowed = CqlVarintBorrowed::from_signed_bytes_be_slice(&[0, 0xFF]);
    golden!(Varint, "00ff", CqlVarintBorrowed<'_>, borrowed, any);
}

#[test]
fn times() {
    golden!(Date, "80000000", CqlDate, CqlDate(1 << 31));
    golden!(Date, "8000512a", CqlDate, CqlDate((1 << 31) + 20_778));
    golden!(Time, "00004e94914efc18", CqlTime, CqlTime(86_399_999_999_000));
    golden!(Timestamp, "00000000000003e8", CqlTimestamp, CqlTimestamp(1000));
    golden!(Timestamp, "ffffffffffffffff", CqlTimestamp, CqlTimestamp(-1));
    golden!(Duration, "020406", CqlDuration, duration(1, 2, 3));
    golden!(Duration, "01 03 f0773593ff", CqlDuration, duration(-1, -2, -1_000_000_000));
    let hours = duration(0, 0, (89 * 3600 + 4 * 60 + 48) * 1_000_000_000);
    golden!(Duration, "00 00 fe024753fca5c000", CqlDuration, hours);
    let min = CqlTimeuuid::min_at(CqlTimestamp(1_600_000_000_000)).unwrap();
    golden!(Timeuuid, "5fe94000f5bc11ea8080808080808080", CqlTimeuuid, min);
    let max = CqlTimeuuid::max_at(CqlTimestamp(1_600_000_000_000)).unwrap();
    golden!(Timeuuid, "5fe9670ff5bc11ea7f7f7f7f7f7f7f7f", CqlTimeuuid, max);
}

#[test]
#[cfg(feature = "uuid-1")]
fn uuids() {
    let id = uuid::Uuid::from_u128(0x11111111_2222_4333_8444_555555555555);
    golden!(Uuid, "11111111222243338444555555555555", uuid::Uuid, id);
    golden!(Timeuuid, "11111111222243338444555555555555", uuid::Uuid, id);
}

#[test]
fn text_blobs_and_addresses() {
    golden!(Text, "6162", &str, "ab", any);
    golden!(Ascii, "6162", String, "ab".into(), any);
    golden!(Text, "c3a9", String, "é".into(), any);
    golden!(Text, "6162", Box<str>, "ab".into(), any);
    golden!(Text, "6162", Rc<str>, "ab".into(), any);
    golden!(Text, "6162", Arc<str>, "ab".into(), any);
    golden!(Text, "6162", Cow<'_, str>, "ab".into(), any);
    golden!(Text, "6162", Box<String>, Box::new("ab".into()), any);
    golden!(Blob, "0102", &[u8], &[1, 2], any);
    golden!(Blob, "0102", Vec<u8>, vec![1, 2], any);
    golden!(Blob, "0102", Box<[u8]>, [1, 2].into(), any);
    golden!(Blob, "0102", Arc<[u8]>, [1, 2].into(), any);
    golden!(Blob, "0102", Cow<'_, [u8]>, Cow::Borrowed(&[1, 2]), any);
    golden!(Blob, "0102", Bytes, Bytes::from_static(&[1, 2]), any);
    golden!(Blob, "0102", [u8; 2], [1, 2]);
    golden!(Custom("com.example.Own".into()), "0102", &[u8], &[1, 2], any);
    golden!(Inet, "7f000001", IpAddr, Ipv4Addr::LOCALHOST.into());
    golden!(Inet, "7f000001", Ipv4Addr, Ipv4Addr::LOCALHOST);
    golden!(Inet, "00000000000000000000000000000001", Ipv6Addr, Ipv6Addr::LOCALHOST);
    let (v6, content) = (IpAddr::from(Ipv6Addr::LOCALHOST), 1_u128.to_be_bytes());
    assert_eq!(content_of(&Inet, &v6), content);
    assert_eq!(read(&Inet, &body_of(&content)), Ok(v6));
}

#[test]
fn pointers() {
    golden!(Int, "00000001", Box<i32>, Box::new(1));
    golden!(Int, "00000001", Rc<i32>, Rc::new(1));
    golden!(Int, "00000001", Arc<Box<i32>>, Arc::new(Box::new(1)));
    let [one, two] = [1, 2].map(i32::to_be_bytes);
    golden!(vector(Int, 2), "00000001 00000002", Box<[i32]>, [1, 2].into());
    assert_eq!(content_of(&vector(Int, 2), &Arc::<[i32]>::from([1, 2])), [one, two].concat());
}

#[test]
fn collections() {
    const ONE_TWO: &[i32] = &[1, 2];
    golden!(list(Int), "00000002 00000004 00000001 00000004 00000002", Vec<i32>, ONE_TWO.to_vec());
    golden!(
        set(Int),
        "00000002 00000004 00000001 00000004 00000002",
        BTreeSet<i32>,
        ONE_TWO.iter().copied().collect()
    );
    golden!(set(Int), "00000001 00000004 00000001", HashSet<i32>, [1].into());
    golden!(
        map(Text, Int),
        "00000001 00000001 61 00000004 00000001",
        BTreeMap<String, i32>,
        [("a".to_owned(), 1)].into()
    );
    golden!(
        map(Text, Int),
        "00000001 00000001 61 00000004 00000001",
        HashMap<&str, i32>,
        [("a", 1)].into()
    );
    golden!(list(Int), "00000000", Vec<i32>, vec![]);
    // Fields that are missing are null: a tuple may be cut between them.
    golden!(
        Tuple([Int, Text].into()),
        "00000004 00000001 ffffffff",
        (i32, Option<String>),
        (1, None),
        any
    );
    golden!(Tuple([Int, Int].into()), "00000004 00000001 00000004 00000002", (i32, i32), (1, 2));
}

#[test]
fn vectors() {
    golden!(vector(Float, 2), "3f800000 40000000", [f32; 2], [1.0, 2.0]);
    golden!(vector(Float, 2), "3f800000 40000000", Vec<f32>, vec![1.0, 2.0]);
    golden!(vector(Bigint, 2), "0000000000000001 ffffffffffffffff", Vec<i64>, vec![1, -1]);
    golden!(vector(Boolean, 3), "01 00 01", [bool; 3], [true, false, true]);
    golden!(vector(Smallint, 2), "02 0001 02 0002", [i16; 2], [1, 2]);
    golden!(vector(Smallint, 2), "02 0001 02 0002", Vec<i16>, vec![1, 2]);
    golden!(vector(Text, 2), "02 6162 01 63", [&str; 2], ["ab", "c"]);
    golden!(vector(Text, 2), "02 6162 01 63", Vec<String>, vec!["ab".into(), "c".into()]);
    golden!(vector(vector(Int, 1), 2), "00000001 00000002", [[i32; 1]; 2], [[1], [2]]);
    golden!(vector(list(Int), 1), "0c 00000001 00000004 00000001", [Vec<i32>; 1], [vec![1]]);
    golden!(vector(Tinyint, 2), "01 fe 01 02", [i8; 2], [-2, 2]);
    golden!(vector(Date, 1), "04 80000000", [CqlDate; 1], [CqlDate(1 << 31)]);
    golden!(vector(Time, 1), "08 0000000000000001", [CqlTime; 1], [CqlTime(1)]);
    golden!(vector(Timestamp, 1), "0000000000000001", [CqlTimestamp; 1], [CqlTimestamp(1)]);
    // A length of two bytes: 0x80, then 128.
    let long = "x".repeat(128);
    let content = [&[0x80, 128], long.as_bytes()].concat();
    assert_eq!(content_of(&vector(Text, 1), &[&*long]), content);
    assert_eq!(read::<[&str; 1]>(&vector(Text, 1), &body_of(&content)), Ok([&*long]));
    let typ = vector(Int, 2);
    assert!(<[i32; 3] as DeserializeValue>::type_check(&typ).is_err());
    assert!(<[i64; 2] as DeserializeValue>::type_check(&typ).is_err());
    assert!(<[i32; 2] as DeserializeValue>::type_check(&list(Int)).is_err());
    assert!(<[i32; 2]>::deserialize(&typ, None).is_err());
    // Unchecked: another number of elements.
    assert!(<[i32; 3]>::deserialize(&typ, Some(&[0; 8])).is_err());
    assert!(<[i32; 1]>::deserialize(&typ, Some(&[0; 8])).is_err());
    // More bytes than elements: the rest is left, as in lists.
    assert_eq!(<[i32; 2]>::deserialize(&typ, Some(&[0; 9])), Ok([0, 0]));
}

/// Null, unset and empty are told apart, on both sides.
#[test]
fn what_is_no_value() {
    golden!(Int, "", MaybeEmpty<i32>, MaybeEmpty::Empty);
    golden!(Int, "00000001", MaybeEmpty<i32>, MaybeEmpty::Value(1), any);
    golden!(Varint, "", MaybeEmpty<CqlVarint>, MaybeEmpty::Empty);
    golden!(Decimal, "", MaybeEmpty<CqlDecimalBorrowed<'_>>, MaybeEmpty::Empty);
    golden!(list(Int), "00000001 00000000", Vec<MaybeEmpty<i32>>, vec![MaybeEmpty::Empty]);
    let null = (-1_i32).to_be_bytes();
    assert!(read::<MaybeEmpty<i32>>(&Int, &null).is_err());
    assert!(read::<Option<i32>>(&Int, &[0; 4]).is_err());
    assert_eq!(read::<Option<MaybeEmpty<i32>>>(&Int, &null), Ok(None));
    assert_eq!(read::<Option<MaybeEmpty<i32>>>(&Int, &[0; 4]), Ok(Some(MaybeEmpty::Empty)));
    for cut in 1..4 {
        assert!(read::<MaybeEmpty<i32>>(&Int, &body_of(&[0; 4][..cut])).is_err());
    }

    let written = |value: &Option<MaybeUnset<MaybeEmpty<i32>>>| {
        let mut out = vec![0; value.value_len(&Int).unwrap().encoded_len()];
        let mut writer = Writer::new(&mut out);
        value.write_value(&Int, &mut writer);
        writer.finish().unwrap();
        out
    };
    assert_eq!(written(&None), null);
    assert_eq!(written(&Some(MaybeUnset::Unset)), (-2_i32).to_be_bytes());
    assert_eq!(written(&Some(MaybeUnset::Set(MaybeEmpty::Empty))), [0; 4]);
    assert_eq!(written(&Some(MaybeUnset::Set(MaybeEmpty::Value(1)))), [0, 0, 0, 4, 0, 0, 0, 1]);

    /// A type of a user's for columns that have no empty value.
    #[derive(Debug)]
    struct Any;
    impl Emptiable for Any {}
    impl SerializeValue for Any {
        fn type_check(_: &ColumnType) -> Result<(), crate::error::TypeMismatch> {
            Ok(())
        }
        fn value_len(&self, _: &ColumnType) -> Result<ValueLen, crate::error::SerializeError> {
            Ok(ValueLen::Null)
        }
        fn write(&self, _: &ColumnType, _: &mut Writer<'_>) {}
    }
    for typ in [ColumnType::Counter, Duration, list(Int), set(Int), map(Int, Int)] {
        assert!(MaybeEmpty::<Any>::type_check(&typ).is_err(), "{typ}");
    }
    assert_eq!(MaybeEmpty::<Any>::type_check(&Timestamp), Ok(()));
    // An empty element has not the length that a vector's elements have.
    let vector = vector(Int, 1);
    assert!([MaybeEmpty::<i32>::Empty].value_len(&vector).is_err());
}
