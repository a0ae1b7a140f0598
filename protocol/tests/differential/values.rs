//! Values of every type: what one codec writes the other reads, and writes again the same.
//!
//! Also cells of any bytes: both read them, to the same effect, or both refuse them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;
use scylla_cql::deserialize::FrameSlice;
use scylla_cql::deserialize::value::DeserializeValue as OfficialDeserialize;
use scylla_cql::serialize::CellWriter;
use scylla_cql::serialize::value::SerializeValue as OfficialSerialize;
use scylla_cql::value as official;
use shardwire_protocol::types::ColumnType;
use shardwire_protocol::types::ColumnType::{
    Ascii, Bigint, Blob, Boolean, Counter, Date, Decimal, Double, Duration, Float, Inet, Int, List,
    Map, Set, Smallint, Text, Time, Timestamp, Timeuuid, Tinyint, Tuple, Uuid, Varint, Vector,
};
use shardwire_protocol::value::{self as ours, DeserializeValue, SerializeValue};
use shardwire_protocol::wire::{Reader, Writer};

use super::differences;
use super::source::Source;
use super::types::to_official;

/// Length and content, as this codec writes them.
pub(crate) fn our_bytes(typ: &ColumnType, value: &impl SerializeValue) -> Option<Vec<u8>> {
    let mut out = vec![0; value.value_len(typ).ok()?.encoded_len()];
    let mut writer = Writer::new(&mut out);
    value.write_value(typ, &mut writer);
    writer.finish().expect("a value is as long as it announced");
    Some(out)
}

/// The same of the official codec.
pub(crate) fn official_bytes(typ: &ColumnType, value: &impl OfficialSerialize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    value.serialize(&to_official(typ), CellWriter::new(&mut out)).ok()?;
    Some(out)
}

/// A cell, as it is in a row, read by this codec and written again; `None` if it is refused.
pub(crate) fn our_round_trip<T>(typ: &ColumnType, cell: &[u8]) -> Option<Option<Vec<u8>>>
where
    T: for<'frame> DeserializeValue<'frame> + SerializeValue,
{
    <T as DeserializeValue>::type_check(typ).expect("the type fits");
    <T as SerializeValue>::type_check(typ).expect("the type fits");
    let content = Reader::new(cell).bytes("cell").ok()?;
    let value = T::deserialize(typ, content).ok()?;
    Some(our_bytes(typ, &value))
}

/// The same of the official codec.
pub(crate) fn official_round_trip<T>(typ: &ColumnType, cell: &[u8]) -> Option<Option<Vec<u8>>>
where
    T: for<'frame> OfficialDeserialize<'frame, 'frame> + OfficialSerialize,
{
    let official_typ = to_official(typ);
    let content = Reader::new(cell).bytes("cell").ok()?;
    let content = content.map(Bytes::copy_from_slice);
    T::type_check(&official_typ).expect("the type fits");
    let value = T::deserialize(&official_typ, content.as_ref().map(FrameSlice::new)).ok()?;
    Some(official_bytes(typ, &value))
}

/// A value, given to both.
#[track_caller]
fn check_value<O, T>(typ: ColumnType, ours: &O, official: &T)
where
    O: for<'frame> DeserializeValue<'frame> + SerializeValue,
    T: for<'frame> OfficialDeserialize<'frame, 'frame> + OfficialSerialize,
{
    let Some(bytes) = our_bytes(&typ, ours) else {
        let written = official_bytes(&typ, official);
        panic!("{typ}: refused here, {written:02x?} by the official codec");
    };
    assert_eq!(official_bytes(&typ, official).as_ref(), Some(&bytes), "{typ}");
    let again = Some(Some(bytes.clone()));
    assert_eq!(our_round_trip::<O>(&typ, &bytes), again, "{typ}: {bytes:02x?}");
    let official = official_round_trip::<T>(&typ, &bytes);
    assert!(
        official == again || differences::is_known_of_cells(&typ, &bytes, &again, &official),
        "{typ}: {bytes:02x?}, {official:02x?}"
    );
}

/// A cell of any bytes, given to both.
#[track_caller]
fn check_cell<O, T>(typ: ColumnType, cell: &[u8])
where
    O: for<'frame> DeserializeValue<'frame> + SerializeValue,
    T: for<'frame> OfficialDeserialize<'frame, 'frame> + OfficialSerialize,
{
    let ours = our_round_trip::<O>(&typ, cell);
    let official = official_round_trip::<T>(&typ, cell);
    assert!(
        ours == official || differences::is_known_of_cells(&typ, cell, &ours, &official),
        "{typ}: {cell:02x?}\n ours {ours:02x?}\n official {official:02x?}"
    );
}

fn list(element: ColumnType) -> ColumnType {
    List(Box::new(element))
}

fn vector(element: ColumnType, dimensions: u16) -> ColumnType {
    Vector(Box::new(element), dimensions)
}

/// Closed table: a CQL type, the types of both codecs that hold it, and how to make a value.
macro_rules! pairs {
    ($($typ:expr => $ours:ty, $official:ty, |$source:ident| $make:expr;)*) => {
        /// How many there are.
        const PAIR_COUNT: usize = [$(stringify!($typ)),*].len();

        fn check_random_value(choice: usize, source: &mut Source<'_>) {
            let mut index = 0;
            $(
                if index == choice {
                    let $source = source;
                    let (ours, official): ($ours, $official) = $make;
                    return check_value($typ, &ours, &official);
                }
                index += 1;
            )*
            panic!("{choice} of {index}");
        }

        fn check_random_cell(choice: usize, cell: &[u8]) {
            let mut index = 0;
            $(
                if index == choice {
                    return check_cell::<$ours, $official>($typ, cell);
                }
                index += 1;
            )*
            panic!("{choice} of {index}");
        }
    };
}

/// The same value for both.
fn same<T: Clone>(value: T) -> (T, T) {
    (value.clone(), value)
}

fn texts(source: &mut Source<'_>) -> Vec<String> {
    (0..source.below(4)).map(|_| source.text(6)).collect()
}

fn ints(source: &mut Source<'_>) -> Vec<i32> {
    (0..source.below(4)).map(|_| i32::from_be_bytes(source.array())).collect()
}

fn sign(source: &mut Source<'_>) -> i32 {
    if source.coin() { -1 } else { 1 }
}

pairs! {
    Ascii => String, String, |s| same(s.text(9).replace(|c: char| !c.is_ascii(), "x"));
    Text => String, String, |s| same(s.text(9));
    Blob => Vec<u8>, Vec<u8>, |s| same(s.bytes(20));
    Boolean => bool, bool, |s| same(s.coin());
    Tinyint => i8, i8, |s| same(i8::from_be_bytes(s.array()));
    Smallint => i16, i16, |s| same(i16::from_be_bytes(s.array()));
    Int => i32, i32, |s| same(i32::from_be_bytes(s.array()));
    Bigint => i64, i64, |s| same(i64::from_be_bytes(s.array()));
    Float => f32, f32, |s| same(f32::from_be_bytes(s.array()));
    Double => f64, f64, |s| same(f64::from_be_bytes(s.array()));
    Counter => ours::Counter, official::Counter, |s| {
        let value = i64::from_be_bytes(s.array());
        (ours::Counter(value), official::Counter(value))
    };
    Timestamp => ours::CqlTimestamp, official::CqlTimestamp, |s| {
        let value = i64::from_be_bytes(s.array());
        (ours::CqlTimestamp(value), official::CqlTimestamp(value))
    };
    Date => ours::CqlDate, official::CqlDate, |s| {
        let value = u32::from_be_bytes(s.array());
        (ours::CqlDate(value), official::CqlDate(value))
    };
    Time => ours::CqlTime, official::CqlTime, |s| {
        let value = i64::from_be_bytes(s.array()).rem_euclid(86_400_000_000_000);
        (ours::CqlTime(value), official::CqlTime(value))
    };
    Duration => ours::CqlDuration, official::CqlDuration, |s| {
        let sign = sign(s);
        let months = sign * i32::from(u16::from_be_bytes(s.array()));
        let days = sign * i32::from(u16::from_be_bytes(s.array()));
        let nanoseconds = i64::from(sign) * (i64::from_be_bytes(s.array()) & i64::MAX);
        (
            ours::CqlDuration { months, days, nanoseconds },
            official::CqlDuration { months, days, nanoseconds },
        )
    };
    Uuid => uuid::Uuid, uuid::Uuid, |s| same(uuid::Uuid::from_bytes(s.array()));
    Timeuuid => ours::CqlTimeuuid, official::CqlTimeuuid, |s| {
        let bytes = s.array();
        (ours::CqlTimeuuid::from_bytes(bytes), official::CqlTimeuuid::from_bytes(bytes))
    };
    Inet => IpAddr, IpAddr, |s| same(if s.coin() {
        IpAddr::from(s.array::<4>())
    } else {
        IpAddr::from(s.array::<16>())
    });
    Varint => ours::CqlVarint, official::CqlVarint, |s| {
        let ours = ours::CqlVarint::from_signed_bytes_be(s.bytes(20));
        let digits = ours.as_signed_bytes_be_slice();
        let official = official::CqlVarint::from_signed_bytes_be_slice(digits);
        (ours, official)
    };
    Decimal => ours::CqlDecimal, official::CqlDecimal, |s| {
        let scale = i32::from_be_bytes(s.array());
        let unscaled = ours::CqlVarint::from_signed_bytes_be(s.bytes(20));
        let digits = unscaled.as_signed_bytes_be_slice();
        let official =
            official::CqlDecimal::from_signed_be_bytes_slice_and_exponent(digits, scale);
        (ours::CqlDecimal::new(unscaled.clone(), scale), official)
    };
    Int => Option<i32>, Option<i32>, |s| same(s.coin().then(|| i32::from_be_bytes(s.array())));
    Text => Option<String>, Option<String>, |s| same(s.coin().then(|| s.text(5)));
    list(Int) => Vec<i32>, Vec<i32>, |s| same(ints(s));
    list(Text) => Vec<String>, Vec<String>, |s| same(texts(s));
    list(list(Text)) => Vec<Vec<String>>, Vec<Vec<String>>, |s| {
        same((0..s.below(4)).map(|_| texts(s)).collect())
    };
    Set(Box::new(Text)) => BTreeSet<String>, BTreeSet<String>, |s| {
        same(texts(s).into_iter().collect())
    };
    Map(Box::new((Text, list(Int)))) => BTreeMap<String, Vec<i32>>, BTreeMap<String, Vec<i32>>,
        |s| same(texts(s).into_iter().map(|key| (key, ints(s))).collect());
    Tuple([Int, Text, list(Text)].into()) =>
        (i32, Option<String>, Vec<String>), (i32, Option<String>, Vec<String>),
        |s| same((i32::from_be_bytes(s.array()), s.coin().then(|| s.text(5)), texts(s)));
    vector(Float, 3) => Vec<f32>, Vec<f32>, |s| {
        same((0..3).map(|_| f32::from_be_bytes(s.array())).collect())
    };
    vector(Smallint, 3) => Vec<i16>, Vec<i16>, |s| {
        same((0..3).map(|_| i16::from_be_bytes(s.array())).collect())
    };
    vector(Text, 2) => Vec<String>, Vec<String>, |s| same(vec![s.text(9), s.text(200)]);
    vector(vector(Uuid, 1), 2) => Vec<Vec<uuid::Uuid>>, Vec<Vec<uuid::Uuid>>, |s| {
        same((0..2).map(|_| vec![uuid::Uuid::from_bytes(s.array())]).collect())
    };
    vector(list(Int), 2) => Vec<Vec<i32>>, Vec<Vec<i32>>, |s| same(vec![ints(s), ints(s)]);
    list(vector(Double, 2)) => Vec<Vec<f64>>, Vec<Vec<f64>>, |s| {
        same((0..s.below(3)).map(|_| vec![1.5, f64::from_be_bytes(s.array())]).collect())
    };
}

/// A random value of a random type.
pub(crate) fn check(data: &[u8]) {
    let mut source = Source::new(data);
    let choice = source.below(PAIR_COUNT);
    check_random_value(choice, &mut source);
}

/// A random cell of a random type, often of a likely length.
pub(crate) fn check_any_cell(data: &[u8]) {
    const LIKELY: [usize; 8] = [0, 1, 2, 4, 8, 12, 16, 20];
    let mut source = Source::new(data);
    let choice = source.below(PAIR_COUNT);
    let mut content = match source.below(4) {
        0 => source.bytes(60),
        // A collection of few elements, each with a small length before it.
        1 => {
            let mut content = vec![0, 0, 0, source.u8() % 4];
            for _ in 0..source.below(5) {
                let element = source.bytes(8);
                content.extend_from_slice(&(element.len() as u32).to_be_bytes());
                content.extend_from_slice(&element);
            }
            content
        }
        _ => (0..LIKELY[source.below(8)]).map(|_| source.u8()).collect(),
    };
    let mut cell = (content.len() as u32).to_be_bytes().to_vec();
    cell.append(&mut content);
    if source.below(16) == 15 {
        cell = (-1_i32).to_be_bytes().to_vec(); // null
    }
    check_random_cell(choice, &cell);
}
