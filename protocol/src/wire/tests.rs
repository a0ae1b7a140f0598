//! Tests of the notations: golden bytes, truncation, round trips.

use core::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::LengthMismatch;

fn written(len: usize, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = vec![0xAA; len];
    let mut writer = Writer::new(&mut out);
    fill(&mut writer);
    writer.finish().unwrap();
    out
}

#[test]
fn unsigned_vint_vectors() {
    let vectors: [(u64, &[u8]); 10] = [
        (0, &[0]),
        (127, &[0x7F]),
        (128, &[0x80, 0x80]),
        (255, &[0x80, 0xFF]),
        (16383, &[0xBF, 0xFF]),
        (16384, &[0xC0, 0x40, 0]),
        (256_000, &[0xC3, 0xE8, 0]),
        ((1 << 56) - 1, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        (1 << 56, &[0xFF, 1, 0, 0, 0, 0, 0, 0, 0]),
        (u64::MAX, &[0xFF; 9]),
    ];
    for (value, bytes) in vectors {
        assert_eq!(unsigned_vint_len(value), bytes.len(), "{value}");
        assert_eq!(written(bytes.len(), |out| out.put_unsigned_vint(value)), bytes);
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.unsigned_vint("v"), Ok(value));
        assert!(reader.remaining().is_empty());
        for len in 0..bytes.len() {
            assert!(Reader::new(&bytes[..len]).unsigned_vint("v").is_err());
        }
    }
}

#[test]
fn vint_vectors() {
    let vectors: [(i64, &[u8]); 11] = [
        (0, &[0]),
        (-1, &[1]),
        (1, &[2]),
        (-2, &[3]),
        (-64, &[0x7F]),
        (64, &[0x80, 0x80]),
        (-65, &[0x80, 0x81]),
        (-1_000_000_000, &[0xF0, 0x77, 0x35, 0x93, 0xFF]),
        (1 << 55, &[0xFF, 1, 0, 0, 0, 0, 0, 0, 0]),
        (i64::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE]),
        (i64::MIN, &[0xFF; 9]),
    ];
    for (value, bytes) in vectors {
        assert_eq!(vint_len(value), bytes.len(), "{value}");
        assert_eq!(written(bytes.len(), |out| out.put_vint(value)), bytes);
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.vint("v"), Ok(value));
        assert!(reader.remaining().is_empty());
    }
}

/// Each notation: its bytes, what is read of them, and an error for each beginning of them.
#[test]
fn golden_notations() {
    use expect_test::{Expect, expect};
    use std::fmt::Debug;

    #[track_caller]
    fn check<'a, T: Debug>(
        bytes: &'a [u8],
        read: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
        expected: Expect,
    ) {
        let mut reader = Reader::with_offset(bytes, 100);
        expected.assert_eq(&format!("{:?}", read(&mut reader).unwrap()));
        assert!(reader.remaining().is_empty());
        assert_eq!(reader.offset(), 100 + bytes.len());
        for len in 0..bytes.len() {
            let cut = read(&mut Reader::new(&bytes[..len]));
            assert!(matches!(cut, Err(Malformed::Truncated { what: "f", .. })), "{len}: {cut:?}");
        }
    }
    fn all<T: Iterator<Item: Debug>>(items: T) -> Vec<T::Item> {
        items.collect()
    }

    check(b"\xFE", |reader| reader.u8("f"), expect!["254"]);
    check(b"\xFE\x01", |reader| reader.u16("f"), expect!["65025"]);
    check(b"\xFF\xFF\xFF\xFE", |reader| reader.i32("f"), expect!["-2"]);
    check(b"\x80\0\0\x01", |reader| reader.u32("f"), expect!["2147483649"]);
    check(b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", |reader| reader.i64("f"), expect!["-2"]);
    check(b"\0\x03a\xC3\xA9", |reader| reader.string("f"), expect![[r#""aé""#]]);
    check(b"\0\0\0\x03a\xC3\xA9", |reader| reader.long_string("f"), expect![[r#""aé""#]]);
    check(b"\0\x02\0\xFF", |reader| reader.short_bytes("f"), expect!["[0, 255]"]);
    check(b"\0\0\0\x02\0\xFF", |reader| reader.bytes("f"), expect!["Some([0, 255])"]);
    check(b"\0\0\0\0", |reader| reader.bytes("f"), expect!["Some([])"]);
    check(b"\xFF\xFF\xFF\xFF", |reader| reader.bytes("f"), expect!["None"]);
    check(b"\0\0", |reader| reader.string_list("f").map(all), expect!["[]"]);
    check(
        b"\0\x02\0\x01a\0\0",
        |reader| reader.string_list("f").map(all),
        expect![[r#"["a", ""]"#]],
    );
    check(
        b"\0\x02\0\x01a\0\x01b\0\0\0\x01c",
        |reader| reader.string_map("f").map(all),
        expect![[r#"[("a", "b"), ("", "c")]"#]],
    );
    check(
        b"\0\x02\0\x01a\0\x02\0\x01b\0\x01c\0\x01d\0\0",
        |reader| {
            let map = reader.string_multimap("f")?;
            Ok(all(map.map(|(key, values)| (key, all(values)))))
        },
        expect![[r#"[("a", ["b", "c"]), ("d", [])]"#]],
    );
    check(
        b"\0\x02\0\x01a\0\0\0\x01b\0\x01c\xFF\xFF\xFF\xFF",
        |reader| reader.bytes_map("f").map(all),
        expect![[r#"[("a", Some([98])), ("c", None)]"#]],
    );
    check(b"\x04\x7F\0\0\x01\0\0\x23\x52", |reader| reader.inet("f"), expect!["127.0.0.1:9042"]);
    check(
        b"\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\xFF\xFF",
        |reader| reader.inet("f"),
        expect!["[::1]:65535"],
    );
    check(b"\x04\x0A\0\0\x07", |reader| reader.ip_addr("f"), expect!["10.0.0.7"]);
    check(
        b"\x11\x11\x11\x11\x22\x22\x43\x33\x84\x44\x55\x55\x55\x55\x55\x55",
        |reader| reader.uuid("f"),
        expect!["11111111-2222-4333-8444-555555555555"],
    );
    check(b"\0\x06", |reader| reader.consistency("f"), expect!["LocalQuorum"]);
    check(b"\xC3\xE8\0", |reader| reader.unsigned_vint("f"), expect!["256000"]);
    check(b"\xC3\xE8\x01", |reader| reader.vint("f"), expect!["-128001"]);
    check(b"\x01\x02\x03", |reader| reader.array::<3>("f"), expect!["[1, 2, 3]"]);
    check(b"\x01\x02\x03", |reader| reader.take(3, "f"), expect!["[1, 2, 3]"]);
}

#[test]
fn strings_lists_and_maps() {
    let list = written(2 + 4 + 2, |out| out.put_string_list(&["é", ""]));
    assert_eq!(list, [0, 2, 0, 2, 0xC3, 0xA9, 0, 0]);
    let texts: Vec<_> = Reader::new(&list).string_list("l").unwrap().collect();
    assert_eq!(texts, ["é", ""]);

    let multimap = [0, 1, 0, 1, b'k', 0, 2, 0, 1, b'a', 0, 1, b'b'];
    let mut reader = Reader::new(&multimap);
    let pairs: Vec<_> = reader
        .string_multimap("m")
        .unwrap()
        .map(|(key, values)| (key, values.collect::<Vec<_>>()))
        .collect();
    assert_eq!(pairs, [("k", vec!["a", "b"])]);
    assert_eq!(reader.offset(), multimap.len());

    let map = [0, 2, 0, 1, b'k', 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1, 7];
    let pairs: Vec<_> = Reader::new(&map).bytes_map("m").unwrap().collect();
    assert_eq!(pairs, [("k", None), ("", Some(&[7][..]))]);
    for len in 0..map.len() {
        assert!(Reader::new(&map[..len]).bytes_map("m").is_err(), "{len}");
    }
}

#[test]
fn errors_name_field_and_offset() {
    let mut reader = Reader::with_offset(&[0, 5, b'a'], 100);
    assert_eq!(reader.string("name"), Err(Malformed::Truncated { what: "name", offset: 102 }));
    let mut reader = Reader::new(&[0, 1, 0xFF]);
    assert_eq!(reader.string("name"), Err(Malformed::Text { what: "name", offset: 3 }));
    let mut reader = Reader::new(&[0xFF; 4]);
    assert_eq!(
        reader.long_string("query"),
        Err(Malformed::NegativeLength { what: "query", offset: 4 })
    );
    let mut reader = Reader::new(&[0, 11]);
    assert_eq!(
        reader.consistency("level"),
        Err(Malformed::UnknownCode { what: "level", code: 11, offset: 2 })
    );
}

#[test]
fn bytes_of_a_length_are_those_or_nothing_is_read() {
    let with = |prefix: i32, content: &[u8]| [&prefix.to_be_bytes()[..], content].concat();
    let body = with(3, b"abcd");
    let mut reader = Reader::new(&body);
    assert_eq!(reader.bytes_of_len(3), Some(&b"abc"[..]));
    assert_eq!(reader.remaining(), b"d");
    for cut in 0..7 {
        assert_eq!(Reader::new(&body[..cut]).bytes_of_len(3), None, "{cut}");
    }
    for (prefix, len) in [(2, 3), (4, 3), (-1, 3), (i32::MIN, 3), (-1, usize::MAX), (0, 4)] {
        let body = with(prefix, b"abcd");
        let mut reader = Reader::new(&body);
        assert_eq!(reader.bytes_of_len(len), None, "{prefix} {len}");
        assert_eq!(reader.remaining().len(), 8);
    }
    assert_eq!(Reader::new(&with(0, b"")).bytes_of_len(0), Some(&b""[..]));
}

#[test]
fn bytes_of_any_negative_length_are_null() {
    for len in [-1, -2, i32::MIN, i32::MIN + 4] {
        let body = [&len.to_be_bytes()[..], b"rest"].concat();
        let mut reader = Reader::new(&body);
        assert_eq!(reader.bytes("f"), Ok(None));
        assert_eq!(reader.remaining(), b"rest");
        let mut reader = Reader::new(&body);
        assert!(reader.take_null());
        assert_eq!(reader.remaining(), b"rest");
        assert!(!reader.take_null());
        assert_eq!(reader.remaining(), b"rest");
        assert!(!Reader::new(&body[..3]).take_null());
    }
    let body = [&i32::MAX.to_be_bytes()[..], b"rest"].concat();
    let error = Malformed::Truncated { what: "f", offset: 4 };
    assert_eq!(Reader::new(&body).bytes("f"), Err(error));
}

#[test]
fn count_is_bounded_by_what_is_there() {
    let bytes = [0, 0, 0, 2, 1, 2, 3, 4];
    assert_eq!(Reader::new(&bytes).count("n", 2), Ok(2));
    assert_eq!(
        Reader::new(&bytes).count("n", 4),
        Err(Malformed::Count { what: "n", count: 2, max: 1, offset: 4 })
    );
    assert!(Reader::new(&[0x80, 0, 0, 0]).count("n", 0).is_err());
}

#[test]
fn inet_both_families() {
    for text in ["127.0.0.1:9042", "[2001:db8::1]:65535"] {
        let address: SocketAddr = text.parse().unwrap();
        let len = if address.is_ipv4() { 9 } else { 21 };
        let bytes = written(len, |out| out.put_inet(address));
        assert_eq!(Reader::new(&bytes).inet("i"), Ok(address));
    }
    assert!(Reader::new(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0]).inet("i").is_err());
    assert!(Reader::new(&[4, 0, 0, 0, 0, 0, 1, 0, 0]).inet("i").is_err());
}

#[test]
fn writer_never_exceeds_its_slice() {
    let mut out = [0; 6];
    let mut writer = Writer::new(&mut out);
    writer.put_i32(1);
    writer.put_i32(2);
    writer.put_u8(3);
    assert_eq!(writer.finish(), Err(LengthMismatch { announced: 6, written: 7 }));
    assert_eq!(out, [0, 0, 0, 1, 0, 0]);

    let mut writer = Writer::new(&mut out);
    writer.put_bytes(b"ab");
    assert_eq!(writer.finish(), Ok(()));

    let mut writer = Writer::new(&mut out);
    writer.put_i32(1);
    assert_eq!(writer.finish(), Err(LengthMismatch { announced: 6, written: 4 }));

    let mut writer = Writer::new(&mut out);
    writer.put_short_bytes(&[0; 65_536]);
    assert!(writer.finish().is_err());
}

#[derive(Clone, Debug)]
enum Field {
    Byte(u8),
    Short(u16),
    Int(i32),
    Long(i64),
    Text(String),
    LongText(String),
    Bytes(Option<Vec<u8>>),
    Vint(i64),
    UnsignedVint(u64),
    Array([u8; 16]),
    ShortBytes(Vec<u8>),
    List(Vec<String>),
    Map(Vec<(String, String)>),
    Multimap(Vec<(String, Vec<String>)>),
    BytesMap(Vec<(String, Option<Vec<u8>>)>),
    Inet(SocketAddr),
    Address(IpAddr),
    Uuid(Uuid),
    Consistency(Consistency),
}

impl Field {
    fn len(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Short(_) => 2,
            Self::Int(_) => 4,
            Self::Long(_) => 8,
            Self::Text(text) => 2 + text.len(),
            Self::LongText(text) => 4 + text.len(),
            Self::Bytes(bytes) => 4 + bytes.as_ref().map_or(0, Vec::len),
            Self::Vint(value) => vint_len(*value),
            Self::UnsignedVint(value) => unsigned_vint_len(*value),
            Self::Array(_) => 20,
            Self::ShortBytes(bytes) => 2 + bytes.len(),
            Self::List(texts) => list_len(texts),
            Self::Map(pairs) => {
                2 + pairs.iter().map(|(key, value)| 4 + key.len() + value.len()).sum::<usize>()
            }
            Self::Multimap(pairs) => {
                let pair_len = |(key, list): &(String, Vec<_>)| 2 + key.len() + list_len(list);
                2 + pairs.iter().map(pair_len).sum::<usize>()
            }
            Self::BytesMap(pairs) => {
                let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
                2 + pairs.iter().map(|(key, bytes)| 6 + key.len() + len(bytes)).sum::<usize>()
            }
            Self::Inet(address) => {
                if address.is_ipv4() {
                    9
                } else {
                    21
                }
            }
            Self::Address(address) => {
                if address.is_ipv4() {
                    5
                } else {
                    17
                }
            }
            Self::Uuid(_) => 16,
            Self::Consistency(_) => 2,
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Byte(value) => out.put_u8(*value),
            Self::Short(value) => out.put_u16(*value),
            Self::Int(value) => out.put_i32(*value),
            Self::Long(value) => out.put_i64(*value),
            Self::Text(text) => out.put_string(text),
            Self::LongText(text) => out.put_long_string(text),
            Self::Bytes(None) => out.put_i32(-1),
            Self::Bytes(Some(bytes)) => out.put_bytes(bytes),
            Self::Vint(value) => out.put_vint(*value),
            Self::UnsignedVint(value) => out.put_unsigned_vint(*value),
            Self::Array(bytes) => out.put_fixed_value(*bytes),
            Self::ShortBytes(bytes) => out.put_short_bytes(bytes),
            Self::List(texts) => put_list(texts, out),
            Self::Map(pairs) => {
                out.put_u16(u16::try_from(pairs.len()).unwrap());
                for (key, value) in pairs {
                    out.put_string(key);
                    out.put_string(value);
                }
            }
            Self::Multimap(pairs) => {
                out.put_u16(u16::try_from(pairs.len()).unwrap());
                for (key, values) in pairs {
                    out.put_string(key);
                    put_list(values, out);
                }
            }
            Self::BytesMap(pairs) => {
                out.put_u16(u16::try_from(pairs.len()).unwrap());
                for (key, bytes) in pairs {
                    out.put_string(key);
                    Self::Bytes(bytes.clone()).write(out);
                }
            }
            Self::Inet(address) => out.put_inet(*address),
            Self::Address(IpAddr::V4(address)) => {
                out.put_u8(4);
                out.put_array(address.octets());
            }
            Self::Address(IpAddr::V6(address)) => {
                out.put_u8(16);
                out.put_array(address.octets());
            }
            Self::Uuid(uuid) => out.put_uuid(*uuid),
            Self::Consistency(level) => out.put_consistency(*level),
        }
    }

    /// Reads a field of this kind and compares.
    fn check(&self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        match self {
            Self::Byte(value) => assert_eq!(reader.u8("f")?, *value),
            Self::Short(value) => assert_eq!(reader.u16("f")?, *value),
            Self::Int(value) => assert_eq!(reader.i32("f")?, *value),
            Self::Long(value) => assert_eq!(reader.i64("f")?, *value),
            Self::Text(text) => assert_eq!(reader.string("f")?, text),
            Self::LongText(text) => assert_eq!(reader.long_string("f")?, text),
            Self::Bytes(bytes) => assert_eq!(reader.bytes("f")?, bytes.as_deref()),
            Self::Vint(value) => assert_eq!(reader.vint("f")?, *value),
            Self::UnsignedVint(value) => assert_eq!(reader.unsigned_vint("f")?, *value),
            Self::Array(bytes) => assert_eq!(reader.bytes("f")?, Some(&bytes[..])),
            Self::ShortBytes(bytes) => assert_eq!(reader.short_bytes("f")?, bytes),
            Self::List(texts) => assert!(reader.string_list("f")?.eq(texts)),
            Self::Map(pairs) => {
                let map = reader.string_map("f")?;
                assert_eq!(map.len(), pairs.len());
                assert!(map.eq(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
            }
            Self::Multimap(pairs) => {
                let map = reader.string_multimap("f")?;
                assert_eq!(map.len(), pairs.len());
                for ((key, values), (written_key, written)) in map.zip(pairs) {
                    assert_eq!(key, written_key);
                    assert!(values.eq(written));
                }
            }
            Self::BytesMap(pairs) => {
                let map = reader.bytes_map("f")?;
                assert_eq!(map.len(), pairs.len());
                assert!(map.eq(pairs.iter().map(|(key, value)| (key.as_str(), value.as_deref()))));
            }
            Self::Inet(address) => assert_eq!(reader.inet("f")?, *address),
            Self::Address(address) => assert_eq!(reader.ip_addr("f")?, *address),
            Self::Uuid(uuid) => assert_eq!(reader.uuid("f")?, *uuid),
            Self::Consistency(level) => assert_eq!(reader.consistency("f")?, *level),
        }
        Ok(())
    }
}

fn list_len(texts: &[String]) -> usize {
    2 + texts.iter().map(|text| 2 + text.len()).sum::<usize>()
}

fn put_list(texts: &[String], out: &mut Writer<'_>) {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    out.put_string_list(&texts);
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        any::<u8>().prop_map(Field::Byte),
        any::<u16>().prop_map(Field::Short),
        any::<i32>().prop_map(Field::Int),
        any::<i64>().prop_map(Field::Long),
        ".{0,20}".prop_map(Field::Text),
        ".{0,20}".prop_map(Field::LongText),
        any::<Option<Vec<u8>>>().prop_map(Field::Bytes),
        (any::<i64>(), 0..64).prop_map(|(value, shift)| Field::Vint(value >> shift)),
        (any::<u64>(), 0..64).prop_map(|(value, shift)| Field::UnsignedVint(value >> shift)),
        any::<[u8; 16]>().prop_map(Field::Array),
        vec(any::<u8>(), 0..20).prop_map(Field::ShortBytes),
        vec(".{0,4}", 0..4).prop_map(Field::List),
        vec((".{0,4}", ".{0,4}"), 0..4).prop_map(Field::Map),
        vec((".{0,4}", vec(".{0,4}", 0..3)), 0..3).prop_map(Field::Multimap),
        vec((".{0,4}", proptest::option::of(vec(any::<u8>(), 0..9))), 0..4)
            .prop_map(Field::BytesMap),
        any::<(IpAddr, u16)>().prop_map(|address| Field::Inet(address.into())),
        any::<IpAddr>().prop_map(Field::Address),
        any::<u128>().prop_map(|id| Field::Uuid(Uuid::from_u128(id))),
        (0_u16..=10).prop_map(|level| Field::Consistency(Consistency::from_u16(level).unwrap())),
    ]
}

proptest! {
    #[test]
    fn round_trip(fields in vec(field(), 0..8)) {
        let len = fields.iter().map(Field::len).sum();
        let bytes = written(len, |out| fields.iter().for_each(|field| field.write(out)));
        let mut reader = Reader::new(&bytes);
        for field in &fields {
            field.check(&mut reader).unwrap();
        }
        prop_assert!(reader.remaining().is_empty());
        // Truncated anywhere: an error, never a panic and never another value.
        for len in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..len]);
            prop_assert!(fields.iter().any(|field| field.check(&mut reader).is_err()));
        }
    }
}

#[test]
fn contents_of_any_length_are_copied_whole() {
    let content: Vec<u8> = (0..=255).collect();
    for len in 0..=130 {
        let content = &content[..len];
        let mut out = vec![0xAA; 2 * len + 4];
        let mut writer = Writer::new(&mut out);
        writer.put_slice(content);
        writer.put_bytes(content);
        writer.finish().unwrap();
        assert_eq!(out, [content, &[0, 0, 0, u8::try_from(len).unwrap()], content].concat());
    }
}
