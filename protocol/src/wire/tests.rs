//! Tests of the notations: golden bytes, truncation, round trips.

use core::net::SocketAddr;

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
    Array([u8; 16]),
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
            Self::Array(_) => 20,
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
            Self::Array(bytes) => out.put_fixed_value(*bytes),
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
            Self::Array(bytes) => assert_eq!(reader.bytes("f")?, Some(&bytes[..])),
        }
        Ok(())
    }
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
        any::<[u8; 16]>().prop_map(Field::Array),
    ]
}

proptest! {
    #[test]
    fn round_trip(fields in proptest::collection::vec(field(), 0..8)) {
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
