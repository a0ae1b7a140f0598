//! Tests of cells: golden bytes, truncation at every byte, hostile counts, round trips, garbage.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;

use expect_test::{Expect, expect};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::types::UdtType;
use crate::value::{SerializeValue, ValueLen};
use crate::wire::Writer;

fn read<'a, T: DeserializeValue<'a>>(
    typ: &'a ColumnType,
    cell: Option<&'a [u8]>,
) -> Result<T, DeserializeError> {
    T::type_check(typ)?;
    T::deserialize(typ, cell)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Reads `$hex` as each of the types, which must all show alike, and all its truncations, which
/// must be errors. A cell of zero length, too.
macro_rules! check {
    ($typ:expr, $hex:literal, [$($rust:ty),+], $expected:expr) => {{
        let (typ, cell, expected): (ColumnType, _, Expect) = ($typ, bytes($hex), $expected);
        $(
            expected.assert_eq(&format!("{:?}", read::<$rust>(&typ, Some(&cell)).unwrap()));
            for len in 0..cell.len() {
                let cut = read::<$rust>(&typ, Some(&cell[..len]));
                assert!(cut.is_err(), "cut to {len} bytes: {cut:?}");
            }
        )+
    }};
}

fn list(element: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(element))
}

fn set(element: ColumnType) -> ColumnType {
    ColumnType::Set(Box::new(element))
}

fn map(key: ColumnType, value: ColumnType) -> ColumnType {
    ColumnType::Map(Box::new((key, value)))
}

fn tuple(fields: &[ColumnType]) -> ColumnType {
    ColumnType::Tuple(fields.into())
}

fn udt(types: Vec<ColumnType>) -> ColumnType {
    let field = |(index, typ)| (format!("f{index}").into(), typ);
    let fields = types.into_iter().enumerate().map(field).collect();
    ColumnType::Udt(Box::new(UdtType { keyspace: "k".into(), name: "u".into(), fields }))
}

fn vector(element: ColumnType, dimensions: u16) -> ColumnType {
    ColumnType::Vector(Box::new(element), dimensions)
}

#[test]
fn fixed_lengths() {
    check!(ColumnType::Boolean, "01", [bool], expect!["true"]);
    check!(ColumnType::Boolean, "07", [bool], expect!["true"]);
    check!(ColumnType::Boolean, "00", [bool], expect!["false"]);
    check!(ColumnType::Tinyint, "fe", [i8], expect!["-2"]);
    check!(ColumnType::Smallint, "fffe", [i16], expect!["-2"]);
    check!(ColumnType::Int, "00000001", [i32], expect!["1"]);
    check!(ColumnType::Bigint, "ffffffffffffffff", [i64], expect!["-1"]);
    check!(ColumnType::Float, "3f800000", [f32], expect!["1.0"]);
    check!(ColumnType::Double, "3ff0000000000000", [f64], expect!["1.0"]);
    check!(ColumnType::Counter, "0000000000000005", [Counter], expect!["Counter(5)"]);
    check!(ColumnType::Date, "8000512a", [CqlDate], expect!["CqlDate(2147504426)"]);
    check!(
        ColumnType::Timestamp,
        "00000000000003e8",
        [CqlTimestamp],
        expect!["CqlTimestamp(1000)"]
    );
    check!(ColumnType::Time, "00004e94914efc18", [CqlTime], expect!["CqlTime(86399999999000)"]);
    let id = expect!["CqlTimeuuid(5fe94000-f5bc-11ea-8080-808080808080)"];
    check!(ColumnType::Timeuuid, "5fe94000f5bc11ea8080808080808080", [CqlTimeuuid], id);
    check!(ColumnType::Int, "00000001", [Option<i32>], expect!["Some(1)"]);
}

#[cfg(feature = "uuid-1")]
#[test]
fn uuids() {
    let id = expect!["11111111-2222-4333-8444-555555555555"];
    check!(ColumnType::Uuid, "11111111222243338444555555555555", [Uuid], id);
    let id = expect!["5fe94000-f5bc-11ea-8080-808080808080"];
    check!(ColumnType::Timeuuid, "5fe94000f5bc11ea8080808080808080", [Uuid], id);
}

#[test]
fn too_long_is_as_wrong_as_too_short() {
    let wrong = DeserializeError::bad_value("length of a fixed-length value");
    assert_eq!(read::<i32>(&ColumnType::Int, Some(&[0; 5])), Err(wrong));
    assert_eq!(read::<bool>(&ColumnType::Boolean, Some(&[0; 2])), Err(wrong));
    assert!(read::<IpAddr>(&ColumnType::Inet, Some(&[0; 5])).is_err());
    let day = crate::value::time::DAY_NS.to_be_bytes();
    assert!(read::<CqlTime>(&ColumnType::Time, Some(&day)).is_err());
    assert!(read::<CqlTime>(&ColumnType::Time, Some(&[0xFF; 8])).is_err());
}

#[test]
fn text() {
    for typ in [ColumnType::Text, ColumnType::Ascii] {
        assert_eq!(read::<&str>(&typ, Some(b"ab")), Ok("ab"));
        assert_eq!(read::<&str>(&typ, Some(b"")), Ok(""));
        assert_eq!(read::<String>(&typ, Some(b"ab")), Ok("ab".into()));
        assert_eq!(read::<Box<str>>(&typ, Some(b"ab")), Ok("ab".into()));
        assert_eq!(read::<Arc<str>>(&typ, Some(b"ab")), Ok("ab".into()));
        assert!(matches!(read::<Cow<'_, str>>(&typ, Some(b"ab")), Ok(Cow::Borrowed("ab"))));
        assert!(read::<&str>(&typ, Some(&[b'a', 0xFF])).is_err());
    }
    assert_eq!(read::<&str>(&ColumnType::Text, Some("é€𝄞".as_bytes())), Ok("é€𝄞"));
    assert!(read::<&str>(&ColumnType::Ascii, Some("é".as_bytes())).is_err());
    assert!(read::<&str>(&ColumnType::Text, Some(&"é".as_bytes()[..1])).is_err());
}

#[test]
fn blobs_and_varints() {
    let typ = ColumnType::Blob;
    assert_eq!(read::<&[u8]>(&typ, Some(&[1, 2])), Ok(&[1, 2][..]));
    assert_eq!(read::<&[u8]>(&typ, Some(&[])), Ok(&[][..]));
    assert_eq!(read::<Vec<u8>>(&typ, Some(&[1, 2])), Ok(vec![1, 2]));
    assert_eq!(read::<Box<[u8]>>(&typ, Some(&[1, 2])), Ok([1, 2].into()));
    assert_eq!(read::<Bytes>(&typ, Some(&[1, 2])), Ok(Bytes::from_static(&[1, 2])));
    assert!(matches!(read::<Cow<'_, [u8]>>(&typ, Some(&[1])), Ok(Cow::Borrowed([1]))));
    let typ = ColumnType::Varint;
    assert_eq!(read::<CqlVarint>(&typ, Some(&[0xFF, 0x7F])), Ok(CqlVarint::from(-129_i64)));
    let borrowed = read::<CqlVarintBorrowed<'_>>(&typ, Some(&[0, 0x80])).unwrap();
    assert_eq!(borrowed, CqlVarint::from(128_i64).as_borrowed());
}

#[test]
fn scalars_of_variable_length() {
    assert_eq!(read(&ColumnType::Inet, Some(&[127, 0, 0, 1])), Ok(IpAddr::from([127, 0, 0, 1])));
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    check!(
        ColumnType::Duration,
        "020406",
        [CqlDuration],
        expect![[r#"CqlDuration { months: 1, days: 2, nanoseconds: 3 }"#]]
    );
    assert_eq!(read(&ColumnType::Inet, Some(&u128::to_be_bytes(1))), Ok(v6));
    for len in (0..16).filter(|len| *len != 4) {
        assert!(read::<IpAddr>(&ColumnType::Inet, Some(&[0; 16][..len])).is_err());
    }
    let duration = read::<CqlDuration>(&ColumnType::Duration, Some(&bytes("0103f0773593ff")));
    let expected = CqlDuration { months: -1, days: -2, nanoseconds: -1_000_000_000 };
    assert_eq!(duration, Ok(expected));
    // 2^31 months, as a zig-zag number.
    let months = bytes("f100000000 00 00");
    assert!(read::<CqlDuration>(&ColumnType::Duration, Some(&months)).is_err());
    let decimal = read::<CqlDecimal>(&ColumnType::Decimal, Some(&bytes("00000002 3039")));
    assert_eq!(decimal, Ok(CqlDecimal::new(12345_i64.into(), 2)));
    for len in 0..4 {
        assert!(read::<CqlDecimal>(&ColumnType::Decimal, Some(&[0; 4][..len])).is_err());
    }
}

#[test]
fn null_needs_a_place() {
    let null = DeserializeError::unexpected_null::<i32>();
    assert_eq!(read::<i32>(&ColumnType::Int, None), Err(null));
    assert_eq!(read::<Option<i32>>(&ColumnType::Int, None), Ok(None));
    assert!(read::<&str>(&ColumnType::Text, None).is_err());
    assert!(read::<&[u8]>(&ColumnType::Blob, None).is_err());
    assert!(read::<(i32,)>(&tuple(&[ColumnType::Int]), None).is_err());
    assert_eq!(read::<Option<(i32,)>>(&tuple(&[ColumnType::Int]), None), Ok(None));
    // An empty cell is no null: not of an integer, and of a text it is the empty text.
    assert!(read::<Option<i32>>(&ColumnType::Int, Some(&[])).is_err());
    assert_eq!(read::<Option<&str>>(&ColumnType::Text, Some(&[])), Ok(Some("")));
    // A collection that is null is empty, unless asked.
    assert_eq!(read::<Vec<i32>>(&list(ColumnType::Int), None), Ok(vec![]));
    assert_eq!(read::<Option<Vec<i32>>>(&list(ColumnType::Int), None), Ok(None));
    let no_map = read::<BTreeMap<i32, i32>>(&map(ColumnType::Int, ColumnType::Int), None);
    assert_eq!(no_map, Ok(BTreeMap::new()));
    assert!(read::<Vec<i32>>(&vector(ColumnType::Int, 3), None).is_err());
}

#[test]
fn collections() {
    check!(
        list(ColumnType::Int),
        "00000002 00000004 00000001 00000004 00000002",
        [Vec<i32>, Vec<RawInt>],
        expect!["[1, 2]"]
    );
    check!(
        set(ColumnType::Int),
        "00000002 00000004 00000001 00000004 00000002",
        [Vec<i32>],
        expect!["[1, 2]"]
    );
    check!(
        set(ColumnType::Int),
        "00000002 00000004 00000001 00000004 00000002",
        [BTreeSet<i32>],
        expect!["{1, 2}"]
    );
    check!(set(ColumnType::Int), "00000001 00000004 00000001", [HashSet<i32>], expect!["{1}"]);
    check!(
        list(ColumnType::Int),
        "00000002 00000004 00000001 ffffffff",
        [Vec<Option<i32>>],
        expect!["[Some(1), None]"]
    );
    check!(
        map(ColumnType::Text, ColumnType::Int),
        "00000001 00000001 61 00000004 00000001",
        [BTreeMap<&str, i32>, HashMap<String, i32>],
        expect![[r#"{"a": 1}"#]]
    );
    check!(
        list(list(ColumnType::Int)),
        "00000001 0000000c 00000001 00000004 00000007",
        [Vec<Vec<i32>>],
        expect!["[[7]]"]
    );
}

/// An `int` that is read by a type of a user's.
struct RawInt(i32);

impl Debug for RawInt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<'frame> DeserializeValue<'frame> for RawInt {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        <i32 as DeserializeValue>::type_check(typ)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let raw = RawValue::deserialize(typ, cell)?;
        i32::deserialize(raw.typ, raw.content).map(Self)
    }
}

#[test]
fn vectors() {
    let floats = vector(ColumnType::Float, 2);
    check!(floats, "3f800000 40000000", [Vec<f32>], expect!["[1.0, 2.0]"]);
    // Elements of types that servers store with a length.
    check!(vector(ColumnType::Smallint, 2), "02 0001 02 0002", [Vec<i16>], expect!["[1, 2]"]);
    let texts = vector(ColumnType::Text, 2);
    check!(texts, "02 6162 01 63", [Vec<&str>], expect![[r#"["ab", "c"]"#]]);
    let nested = vector(vector(ColumnType::Int, 2), 2);
    check!(
        nested,
        "00000001 00000002 00000003 00000004",
        [Vec<Vec<i32>>],
        expect!["[[1, 2], [3, 4]]"]
    );
    // No vector has no elements, so that none is not there either.
    let floats = vector(ColumnType::Float, 2);
    assert!(matches!(
        read::<Vec<f32>>(&floats, None),
        Err(DeserializeError::UnexpectedNull { .. })
    ));
    assert!(read::<ListView<f32>>(&floats, None).is_err());
    assert!(read::<[f32; 2]>(&floats, None).is_err());
    assert_eq!(read::<Option<Vec<f32>>>(&floats, None), Ok(None));
}

#[test]
fn views_walk_in_place() {
    let typ = list(ColumnType::Text);
    let cell = bytes("00000002 00000001 61 00000002 6263");
    let view = read::<ListView<'_, &str>>(&typ, Some(&cell)).unwrap();
    assert_eq!((view.len(), view.is_empty()), (2, false));
    let mut texts = view.iter();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts.next(), Some(Ok("a")));
    assert_eq!(texts.len(), 1);
    assert_eq!(texts.next(), Some(Ok("bc")));
    assert_eq!(texts.next(), None);
    assert_eq!(view.into_iter().count(), 2, "a view can be walked again");

    let typ = map(ColumnType::Int, ColumnType::Text);
    let cell = bytes("00000001 00000004 00000009 00000002 6263");
    let view = read::<MapView<'_, i32, &str>>(&typ, Some(&cell)).unwrap();
    assert_eq!((view.len(), view.is_empty()), (1, false));
    assert_eq!(view.iter().collect::<Result<Vec<_>, _>>(), Ok(vec![(9, "bc")]));
    assert_eq!(view.into_iter().len(), 1);
}

#[test]
fn views_end_after_an_error() {
    let typ = list(ColumnType::Int);
    let cell = bytes("00000003 00000004 00000001 00000001 00 00000004 00000002");
    let view = read::<ListView<'_, i32>>(&typ, Some(&cell)).unwrap();
    let read: Vec<_> = view.iter().collect();
    assert_eq!(read.len(), 2);
    assert!(read[0].is_ok() && read[1].is_err());
}

#[test]
fn tuples() {
    let typ = tuple(&[ColumnType::Int, ColumnType::Text]);
    assert_eq!(
        read::<(i32, Option<&str>)>(&typ, Some(&bytes("00000004 00000001 ffffffff"))),
        Ok((1, None))
    );
    // Fields that are missing at the end are null.
    let short = bytes("00000004 00000001");
    assert_eq!(read::<(i32, Option<&str>)>(&typ, Some(&short)), Ok((1, None)));
    assert!(read::<(i32, &str)>(&typ, Some(&short)).is_err());
    for len in 1..short.len() {
        assert!(read::<(i32, Option<&str>)>(&typ, Some(&short[..len])).is_err());
    }
    assert!(read::<(i32,)>(&typ, Some(&short)).is_err(), "number of fields");
    assert!(read::<(i32, i32)>(&typ, Some(&short)).is_err(), "type of a field");
}

/// What ScyllaDB tells of a tablet: `tuple<bigint, bigint, list<tuple<uuid, int>>>`.
#[cfg(feature = "uuid-1")]
#[test]
fn tablet_payload() {
    let replica = tuple(&[ColumnType::Uuid, ColumnType::Int]);
    let typ = tuple(&[ColumnType::Bigint, ColumnType::Bigint, list(replica)]);
    let cell = bytes(
        "00000008 8000000000000000 00000008 ffffffffffffffff 00000044 00000002 \
         0000001c 00000010 11111111222243338444555555555555 00000004 00000003 \
         0000001c 00000010 11111111222243338444555555555555 00000004 00000000",
    );
    assert_eq!(cell.len(), 96);
    let host = Uuid::from_u128(0x11111111_2222_4333_8444_555555555555);
    let tablet = read::<(i64, i64, Vec<(Uuid, i32)>)>(&typ, Some(&cell));
    assert_eq!(tablet, Ok((i64::MIN, -1, vec![(host, 3), (host, 0)])));
}

#[test]
fn types_are_checked() {
    let refused = [
        <i64 as DeserializeValue>::type_check(&ColumnType::Int),
        <&str as DeserializeValue>::type_check(&ColumnType::Blob),
        <&[u8] as DeserializeValue>::type_check(&ColumnType::Text),
        <Vec<i32> as DeserializeValue>::type_check(&list(ColumnType::Text)),
        <HashSet<i32> as DeserializeValue>::type_check(&list(ColumnType::Int)),
        <BTreeSet<i32> as DeserializeValue>::type_check(&list(ColumnType::Int)),
        <HashMap<i32, i32> as DeserializeValue>::type_check(&list(ColumnType::Int)),
        <BTreeMap<i32, i32> as DeserializeValue>::type_check(&map(
            ColumnType::Int,
            ColumnType::Blob,
        )),
        <CqlTimeuuid as DeserializeValue>::type_check(&ColumnType::Uuid),
        <Option<i64> as DeserializeValue>::type_check(&ColumnType::Counter),
    ];
    for mismatch in &refused {
        assert!(mismatch.is_err(), "{mismatch:?}");
    }
    let inner = refused[3].unwrap_err();
    assert_eq!((inner.cql.as_str(), inner.rust), ("text", "i32"), "the part that does not fit");
    // Reading without a check: an error, and no panic.
    assert!(ListView::<i32>::deserialize(&ColumnType::Int, Some(&[0; 8])).is_err());
    assert!(MapView::<i32, i32>::deserialize(&ColumnType::Int, Some(&[0; 8])).is_err());
    assert!(<(i32,)>::deserialize(&ColumnType::Int, Some(&[0; 8])).is_err());
    let three = tuple(&[ColumnType::Int]);
    assert!(<(i32, i32, i32)>::deserialize(&three, Some(&[0; 0])).is_err());
}

#[test]
fn hostile_counts_are_refused() {
    for count in ["7fffffff", "80000000", "ffffffff", "00000003"] {
        let cell = bytes(&format!("{count} 00000000 00000000"));
        assert!(read::<Vec<&str>>(&list(ColumnType::Text), Some(&cell)).is_err(), "{count}");
        let typ = map(ColumnType::Text, ColumnType::Text);
        let refused = read::<HashMap<&str, &str>>(&typ, Some(&cell));
        assert!(refused.is_err(), "{count}");
    }
    let dimensions = vector(ColumnType::Text, u16::MAX);
    assert!(read::<ListView<'_, &str>>(&dimensions, Some(&[0; 100])).is_err());
    let overflow = vector(vector(vector(ColumnType::Uuid, u16::MAX), u16::MAX), u16::MAX);
    assert!(
        read::<ListView<'_, RawValue<'_>>>(&vector(overflow, u16::MAX), Some(&[0; 9])).is_err()
    );
    let nothing = vector(vector(ColumnType::Int, 0), u16::MAX);
    assert!(read::<Vec<Vec<i32>>>(&nothing, Some(&[])).is_err());
    // A count that the cell can hold, of elements far larger here than there: room is bounded.
    let cell = [&[0, 1, 0, 0][..], &[0; 4 << 16]].concat();
    let typ = list(ColumnType::Text);
    let texts = read::<Vec<&str>>(&typ, Some(&cell)).unwrap();
    assert_eq!(texts.len(), 1 << 16);
}

/// Writes as `W`, reads as `R`.
fn round_trip<W: SerializeValue>(typ: &ColumnType, value: &W) -> Option<Vec<u8>> {
    W::type_check(typ).unwrap();
    let ValueLen::Bytes(len) = value.value_len(typ).unwrap() else { return None };
    let mut content = vec![0; usize::try_from(len).unwrap()];
    let mut writer = Writer::new(&mut content);
    value.write(typ, &mut writer);
    writer.finish().unwrap();
    Some(content)
}

macro_rules! survives {
    ($typ:expr, $value:expr, $rust:ty) => {{
        let (typ, value): (ColumnType, $rust) = ($typ, $value);
        let content = round_trip(&typ, &value);
        prop_assert_eq!(read::<$rust>(&typ, content.as_deref()), Ok(value));
    }};
}

proptest! {
    #[test]
    fn scalars_survive(a: i64, b: i32, c: i16, d: i8, e: bool, f in "\\PC{0,20}", id: u128) {
        survives!(ColumnType::Bigint, a, i64);
        survives!(ColumnType::Int, b, i32);
        survives!(ColumnType::Smallint, c, i16);
        survives!(ColumnType::Tinyint, d, i8);
        survives!(ColumnType::Boolean, e, bool);
        survives!(ColumnType::Text, f, String);
        survives!(ColumnType::Timeuuid, CqlTimeuuid::from_u128(id), CqlTimeuuid);
        #[cfg(feature = "uuid-1")]
        survives!(ColumnType::Uuid, Uuid::from_u128(id), Uuid);
        survives!(ColumnType::Counter, Counter(a), Counter);
        survives!(ColumnType::Timestamp, CqlTimestamp(a), CqlTimestamp);
        survives!(ColumnType::Date, CqlDate(b.cast_unsigned()), CqlDate);
        survives!(ColumnType::Varint, CqlVarint::from(a), CqlVarint);
        survives!(ColumnType::Decimal, CqlDecimal::new(a.into(), b), CqlDecimal);
        survives!(ColumnType::Inet, IpAddr::from(id.to_be_bytes()), IpAddr);
        survives!(ColumnType::Inet, IpAddr::from(b.to_be_bytes()), IpAddr);
        let (months, days, nanoseconds) = (b & i32::MAX, i32::from(c) & 0x7FFF, a & i64::MAX);
        let duration = CqlDuration { months, days, nanoseconds };
        survives!(ColumnType::Duration, duration, CqlDuration);
        let duration = CqlDuration { months: -months, days: -days, nanoseconds: -nanoseconds };
        survives!(ColumnType::Duration, duration, CqlDuration);
    }

    #[test]
    fn floats_survive(a: f32, b: f64) {
        let content = round_trip(&ColumnType::Float, &a).unwrap();
        let read_a: f32 = read(&ColumnType::Float, Some(&content)).unwrap();
        prop_assert_eq!(read_a.to_bits(), a.to_bits());
        let content = round_trip(&ColumnType::Double, &b).unwrap();
        let read_b: f64 = read(&ColumnType::Double, Some(&content)).unwrap();
        prop_assert_eq!(read_b.to_bits(), b.to_bits());
    }

    #[test]
    fn nested_values_survive(
        a in vec(any::<i32>(), 0..6),
        b in btree_set(".{0,6}", 0..6),
        c in btree_map(any::<i16>(), vec(".{0,4}", 0..4), 0..4),
        d in prop::option::of(any::<i64>()),
        e in vec((any::<i32>(), prop::option::of(".{0,4}")), 0..4),
    ) {
        survives!(list(ColumnType::Int), a, Vec<i32>);
        survives!(set(ColumnType::Text), b, BTreeSet<String>);
        let typ = map(ColumnType::Smallint, list(ColumnType::Text));
        survives!(typ, c, BTreeMap<i16, Vec<String>>);
        survives!(ColumnType::Bigint, d, Option<i64>);
        let typ = list(tuple(&[ColumnType::Int, ColumnType::Text]));
        survives!(typ, e, Vec<(i32, Option<String>)>);
    }

    #[test]
    fn vectors_and_tuples_survive(
        a: [f32; 3],
        b: [i16; 3],
        c in vec(".{0,3}|x{130,140}", 3),
        d: ((bool, Option<i64>), Option<(i32, i8)>),
        e in vec(vec(any::<i32>(), 0..3), 2),
    ) {
        prop_assume!(a.iter().all(|number| !number.is_nan()));
        survives!(vector(ColumnType::Float, 3), a, [f32; 3]);
        survives!(vector(ColumnType::Smallint, 3), b, [i16; 3]);
        survives!(vector(ColumnType::Text, 3), c, Vec<String>);
        survives!(vector(list(ColumnType::Int), 2), e, Vec<Vec<i32>>);
        let pair = |first, second| tuple(&[first, second]);
        let typ = pair(
            pair(ColumnType::Boolean, ColumnType::Bigint),
            pair(ColumnType::Int, ColumnType::Tinyint),
        );
        survives!(typ, d, ((bool, Option<i64>), Option<(i32, i8)>));
    }

    /// A user-defined type has the bytes of a tuple: written as one, read as both.
    #[test]
    fn fields_survive(
        (a, b) in (prop::option::of(any::<i32>()), prop::option::of(".{0,5}")),
        c in prop::option::of(vec(any::<i16>(), 0..4)),
    ) {
        let types = [ColumnType::Int, ColumnType::Text, list(ColumnType::Smallint)];
        let (as_tuple, as_udt) = (tuple(&types), udt(types.to_vec()));
        let fields = (a, b, c);
        let content = round_trip(&as_tuple, &fields).unwrap();
        let (a, b, c) = fields;
        let view: TupleView<'_> = read(&as_tuple, Some(&content)).unwrap();
        prop_assert_eq!(view.at(0), Ok(a));
        prop_assert_eq!(view.at(1), Ok(b.as_deref()));
        prop_assert_eq!(view.at(2), Ok(c.clone()));
        let view: UdtView<'_> = read(&as_udt, Some(&content)).unwrap();
        prop_assert_eq!((view.at(0), view.field("f0")), (Ok(a), Ok(a)));
        prop_assert_eq!((view.at(1), view.field("f1")), (Ok(b.as_deref()), Ok(b.as_deref())));
        prop_assert_eq!((view.at(2), view.field("f2")), (Ok(c.clone()), Ok(c)));
        // Cut between fields, the rest is null; cut within one, the fields before it are there.
        let ends: Vec<usize> = view.iter().scan(0, |at, field| {
            *at += 4 + field.unwrap().cell.content.map_or(0, <[u8]>::len);
            Some(*at)
        }).collect();
        for len in 0..content.len() {
            let view: UdtView<'_> = read(&as_udt, Some(&content[..len])).unwrap();
            let whole = ends.iter().filter(|end| **end <= len).count();
            let is_between = len == 0 || ends.contains(&len);
            prop_assert_eq!(view.iter().all(|field| field.is_ok()), is_between, "{}", len);
            let there = view.iter().filter(Result::is_ok).count();
            prop_assert_eq!(there, if is_between { 3 } else { whole }, "{}", len);
        }
    }

    /// Whatever a cell holds: a value or an error, for each Rust type that its type allows.
    #[test]
    fn garbage(
        typ in types(),
        cell in prop::option::of(vec(prop_oneof![4 => 0_u8..5, 1 => any::<u8>()], 0..40)),
    ) {
        let body = match &cell {
            Some(content) => {
                let len = u32::try_from(content.len()).unwrap();
                [&len.to_be_bytes(), &**content].concat()
            }
            None => vec![0xFF; 4],
        };
        macro_rules! try_as {
            ($($rust:ty),+ $(,)?) => {$(
                // Without the check of the type, too.
                let value = <$rust>::deserialize(&typ, cell.as_deref());
                let sound = <$rust>::deserialize_sound(&typ, &mut Reader::new(&body));
                let fits = <$rust as DeserializeValue>::type_check(&typ).is_ok();
                prop_assert!(!fits || value.is_ok() == sound.is_some(), "{value:?}, {sound:?}");
            )+};
        }
        try_as!(
            bool, i8, i16, i32, i64, f32, f64, &str, String, Cow<'_, str>, Box<str>, Arc<str>,
            &[u8], Vec<u8>, Bytes, IpAddr, Counter, CqlDate, CqlTime, CqlTimestamp,
            CqlTimeuuid, CqlDuration, CqlDecimal, CqlVarint, CqlVarintBorrowed<'_>, RawValue<'_>,
            Option<i32>, Vec<i32>, Vec<&str>, Vec<Vec<i16>>, Vec<Option<RawValue<'_>>>,
            HashSet<i32>, BTreeSet<&str>, HashMap<i32, &str>, BTreeMap<&str, Vec<i32>>,
            (i32,), (i32, &str), (Option<i32>, Option<Vec<&str>>), Ipv4Addr, Ipv6Addr,
            CqlDecimalBorrowed<'_>, [u8; 3], [i32; 2], [&str; 1], [Vec<i32>; 3], Vec<f64>,
            Vec<bool>, Box<i32>, Arc<[u8]>, Rc<str>, Box<[i32]>, Cow<'_, [u8]>, MaybeEmpty<i32>,
            Option<MaybeEmpty<CqlTimeuuid>>, Vec<MaybeEmpty<CqlVarint>>, UdtView<'_>, TupleView<'_>,
        );
        #[cfg(feature = "uuid-1")]
        try_as!(Uuid, Option<MaybeEmpty<Uuid>>);
        if let Ok(view) = read::<UdtView<'_>>(&typ, cell.as_deref()) {
            prop_assert!(view.iter().count() <= view.iter().len());
        }
        if let Ok(view) = read::<TupleView<'_>>(&typ, cell.as_deref()) {
            prop_assert!(view.iter().count() <= view.types().len());
        }
        if let Ok(view) = read::<ListView<'_, RawValue<'_>>>(&typ, cell.as_deref()) {
            prop_assert!(view.iter().count() <= view.len());
        }
        if let Ok(view) = read::<MapView<'_, RawValue<'_>, RawValue<'_>>>(&typ, cell.as_deref()) {
            prop_assert!(view.iter().count() <= view.len());
        }
    }
}

/// All scalar types, and nested ones of them.
fn types() -> impl Strategy<Value = ColumnType> {
    let scalar = prop::sample::select(vec![
        ColumnType::Ascii,
        ColumnType::Bigint,
        ColumnType::Blob,
        ColumnType::Boolean,
        ColumnType::Counter,
        ColumnType::Date,
        ColumnType::Decimal,
        ColumnType::Double,
        ColumnType::Duration,
        ColumnType::Float,
        ColumnType::Inet,
        ColumnType::Int,
        ColumnType::Smallint,
        ColumnType::Text,
        ColumnType::Time,
        ColumnType::Timestamp,
        ColumnType::Timeuuid,
        ColumnType::Tinyint,
        ColumnType::Uuid,
        ColumnType::Varint,
    ]);
    scalar.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(set),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| map(key, value)),
            (inner.clone(), 0_u16..4).prop_map(|(element, count)| vector(element, count)),
            vec(inner.clone(), 1..3).prop_map(|fields| tuple(&fields)),
            vec(inner, 1..3).prop_map(udt),
        ]
    })
}
