//! Decoding rows touches the heap zero times, for every borrowed type: not one allocation,
//! reallocation or free from the reply's body to the last element of the last row.
//!
//! Each CQL type is read as each Rust type that borrows or is `Copy`, plain and as an `Option` of
//! which every third is null, and walked to its innermost values. Types that own their content are
//! read too and must be seen to allocate: what could not be counted would not be proved.
//!
//! It is a program of its own rather than a `#[test]`, so that no thread of a test runner is
//! counted. It prints what it counted as a table.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "in a test a panic is the right answer"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use shardwire_meter::CountingAllocator;
use shardwire_protocol::response::{Agreed, ResultBody};
use shardwire_protocol::row::DeserializeRow;
use shardwire_protocol::rows::RowsBody;
use shardwire_protocol::types::{ColumnSpec, ColumnType, UdtType};
use shardwire_protocol::value::{
    Counter, CqlDate, CqlDecimal, CqlDecimalBorrowed, CqlDuration, CqlTime, CqlTimestamp,
    CqlTimeuuid, CqlVarint, CqlVarintBorrowed, DeserializeValue, ListView, MapView, MaybeEmpty,
    RawValue, TupleView, UdtView,
};
use shardwire_protocol::wire::Reader;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const ROWS: u32 = 1_000;
/// Of the cells that are read as an `Option`, each whose index this divides is null.
const NULL_EVERY: u32 = 3;

/// What a column holds in the row of an index.
type Content = fn(u32) -> Vec<u8>;
/// Reads all rows and says how many values it saw.
type Read = for<'a> fn(&RowsBody<'a>, &'a [ColumnSpec]) -> u64;

struct Case {
    columns: Vec<(ColumnType, Content)>,
    rust: &'static str,
    /// Innermost values of a cell.
    values: u64,
    nulls: Nulls,
    read: Read,
}

#[derive(Clone, Copy, PartialEq)]
enum Nulls {
    None,
    /// Each cell whose index [`NULL_EVERY`] divides.
    Some,
}

/// One line per CQL type: the type, how many innermost values a cell has, what a cell holds, and
/// the Rust types to read it as.
macro_rules! cases {
    ($($typ:expr, $values:literal, $content:expr => $($rust:ty),+;)*) => {
        vec![$($(
            Case {
                columns: vec![($typ, $content)],
                rust: stringify!($rust),
                values: $values,
                nulls: Nulls::None,
                read: |rows, columns| walk::<($rust,)>(rows, columns),
            },
            Case {
                columns: vec![($typ, $content)],
                rust: concat!("Option<", stringify!($rust), ">"),
                values: $values,
                nulls: Nulls::Some,
                read: |rows, columns| walk::<(Option<$rust>,)>(rows, columns),
            },
        )+)*]
    };
}

fn borrowed() -> Vec<Case> {
    use ColumnType::{
        Ascii, Bigint, Blob, Boolean, Counter as CounterType, Date, Decimal, Double, Duration,
        Float, Inet, Int, Smallint, Text, Time, Timestamp, Timeuuid, Tinyint, Uuid as UuidType,
        Varint,
    };
    cases! {
        Ascii, 1, text => &str, Cow<str>, RawValue;
        Text, 1, text => &str, Cow<str>, RawValue;
        Text, 1, text_beyond_ascii => &str, Cow<str>;
        Blob, 1, text => &[u8], Cow<[u8]>, RawValue;
        Boolean, 1, boolean => bool, RawValue;
        Tinyint, 1, |i| vec![i as u8] => i8, RawValue;
        Smallint, 1, smallint => i16, RawValue;
        Int, 1, int => i32, RawValue;
        Bigint, 1, bigint => i64, RawValue;
        Varint, 1, varint => CqlVarintBorrowed, RawValue;
        Decimal, 1, decimal => CqlDecimalBorrowed, RawValue;
        Float, 1, int => f32, RawValue;
        Double, 1, bigint => f64, RawValue;
        CounterType, 1, bigint => Counter, RawValue;
        Timestamp, 1, bigint => CqlTimestamp, RawValue;
        Date, 1, int => CqlDate, RawValue;
        Time, 1, bigint => CqlTime, RawValue;
        Duration, 1, duration => CqlDuration, RawValue;
        UuidType, 1, uuid => Uuid, RawValue;
        Timeuuid, 1, uuid => CqlTimeuuid, Uuid, RawValue;
        Inet, 1, inet => IpAddr, RawValue;
        list(Int), 3, |i| elements([int(i), int(i + 1), int(i + 2)]) => ListView<i32>;
        list(Int), 2, |i| with_null([int(i), int(i + 1)]) => ListView<Option<i32>>;
        list(list(Int)), 4, |i| elements([
            elements([int(i), int(i)]),
            elements([int(i), int(i)]),
        ]) => ListView<ListView<i32>>;
        set(Text), 2, |i| elements([text(i), text(i + 1)]) => ListView<&str>, ListView<Cow<str>>;
        set(Varint), 2, |i| elements([varint(i), varint(i + 1)]) => ListView<CqlVarintBorrowed>;
        map(Text, Int), 4, |i| entries([text(i), int(i), text(i + 1), int(i)])
            => MapView<&str, i32>, MapView<RawValue, RawValue>;
        map(Int, list(Text)), 3, |i| entries([int(i), elements([text(i), text(i)])])
            => MapView<i32, ListView<&str>>;
        tuple([Int, Text, Blob]), 3, |i| fields([int(i), text(i), text(i)])
            => (i32, &str, &[u8]), (i32, Cow<str>, Option<&[u8]>);
        tuple([Int, Text, Blob]), 2, |i| fields([int(i), text(i)])
            => (i32, &str, Option<&[u8]>);
        list(tuple([Int, Text])), 2, |i| elements([fields([int(i), text(i)])])
            => ListView<(i32, &str)>;
        vector(Float, 4), 4, |i| [int(i), int(i), int(i), int(i)].concat() => ListView<f32>;
        vector(Text, 2), 2, |i| vint_elements([text(i), text(i + 1)]) => ListView<&str>;
        vector(vector(Int, 2), 2), 4, |i| [int(i), int(i), int(i), int(i)].concat()
            => ListView<ListView<i32>>;
        Blob, 1, bigint => [u8; 8];
        Int, 1, int => MaybeEmpty<i32>;
        vector(Float, 4), 4, |i| [int(i), int(i), int(i), int(i)].concat() => [f32; 4];
        vector(Text, 2), 2, |i| vint_elements([text(i), text(i + 1)]) => [&str; 2];
        tuple([Int, Text, Blob]), 3, |i| fields([int(i), text(i), text(i)]) => TupleView;
        udt([("a", Int), ("b", Text)]), 2, |i| fields([int(i), text(i)]) => UdtView;
        list(udt([("a", Int)])), 2, |i| elements([fields([int(i)]), fields([int(i)])])
            => ListView<UdtView>;
        udt([("a", Int), ("b", Text)]), 2, |i| fields([int(i), text(i)]) => Both, Turned;
        udt([("b", Text), ("a", Int)]), 2, |i| fields([text(i), int(i)]) => Both, Turned;
        Int, 1, int => Transparent;
    }
}

/// Types that own what they were read from. Each cell is of such a length that it must allocate.
fn owned() -> Vec<Case> {
    use ColumnType::{Blob, Decimal, Int, Text, Varint};
    cases! {
        Text, 1, text => String, Box<str>, Arc<str>;
        Blob, 1, text => Vec<u8>, Box<[u8]>, Bytes;
        Varint, 1, varint => CqlVarint;
        Decimal, 1, decimal => CqlDecimal;
        list(Int), 3, |i| elements([int(i), int(i + 1), int(i + 2)]) => Vec<i32>;
        map(Text, Int), 2, |i| entries([text(i), int(i)]) => BTreeMap<&str, i32>;
    }
}

/// As many columns as a tuple can have, a third of the cells null.
fn sixteen_columns() -> Case {
    type Row<'a> = (
        Option<i32>,
        Option<&'a str>,
        Option<i64>,
        Option<&'a [u8]>,
        Option<f64>,
        Option<bool>,
        Option<Uuid>,
        Option<CqlTimestamp>,
        Option<IpAddr>,
        Option<CqlDuration>,
        Option<CqlVarintBorrowed<'a>>,
        Option<Cow<'a, str>>,
        Option<CqlTimeuuid>,
        Option<CqlDate>,
        Option<i16>,
        Option<RawValue<'a>>,
    );
    let columns: Vec<(ColumnType, Content)> = vec![
        (ColumnType::Int, int),
        (ColumnType::Text, text),
        (ColumnType::Bigint, bigint),
        (ColumnType::Blob, text),
        (ColumnType::Double, bigint),
        (ColumnType::Boolean, boolean),
        (ColumnType::Uuid, uuid),
        (ColumnType::Timestamp, bigint),
        (ColumnType::Inet, inet),
        (ColumnType::Duration, duration),
        (ColumnType::Varint, varint),
        (ColumnType::Text, text_beyond_ascii),
        (ColumnType::Timeuuid, uuid),
        (ColumnType::Date, int),
        (ColumnType::Smallint, smallint),
        (ColumnType::Decimal, decimal),
    ];
    Case {
        columns,
        rust: "a tuple of Options",
        values: 1,
        nulls: Nulls::Some,
        read: |rows, columns| walk::<Row<'_>>(rows, columns),
    }
}

/// A user-defined type, its fields in the type's order or not.
#[derive(DeserializeValue)]
#[shardwire(crate = shardwire_protocol)]
struct Both<'a> {
    a: i32,
    b: &'a str,
}

#[derive(DeserializeValue)]
#[shardwire(crate = shardwire_protocol)]
struct Turned<'a> {
    b: &'a str,
    a: i32,
}

#[derive(DeserializeValue)]
#[shardwire(crate = shardwire_protocol, transparent)]
struct Transparent(i32);

/// Rows as structs, by name in the columns' order and in another, and by position.
fn structs() -> Vec<Case> {
    fn case(read: Read, rust: &'static str) -> Case {
        let columns: Vec<(ColumnType, Content)> =
            vec![(ColumnType::Int, int), (ColumnType::Text, text), (ColumnType::Blob, text)];
        Case { columns, rust, values: 1, nulls: Nulls::Some, read }
    }
    vec![
        case(|rows, columns| walk::<Row<'_>>(rows, columns), "a struct by name"),
        case(|rows, columns| walk::<RowTurned<'_>>(rows, columns), "a struct in another order"),
        case(|rows, columns| walk::<RowInOrder<'_>>(rows, columns), "a struct by position"),
    ]
}

#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol)]
struct Row<'a> {
    c0: Option<i32>,
    c1: Option<&'a str>,
    c2: Option<&'a [u8]>,
}

#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol)]
struct RowTurned<'a> {
    c2: Option<&'a [u8]>,
    #[shardwire(flatten)]
    rest: Rest<'a>,
}

#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol)]
struct Rest<'a> {
    c1: Option<&'a str>,
    c0: Option<i32>,
}

#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol, flavor = "enforce_order")]
struct RowInOrder<'a> {
    c0: Option<i32>,
    c1: Option<&'a str>,
    c2: Option<&'a [u8]>,
}

fn main() {
    println!("{:<26} {:<38} {:>6} {:>7} {:>11}", "CQL", "Rust", "rows", "values", "allocations");
    let mut cases = borrowed();
    cases.push(sixteen_columns());
    cases.extend(structs());
    for case in &cases {
        let calls = measure(case);
        assert_eq!(calls, 0, "{} touched the heap", case.rust);
    }
    println!();
    let controls = owned();
    for case in &controls {
        let calls = measure(case);
        let values = case.cells().filter(|is_null| !is_null).count() as u64;
        assert!(calls >= values, "{} allocates, which was not seen", case.rust);
    }
    check_each_type_is_there(&cases);
    let count = cases.len() + controls.len();
    println!("test result: ok. {count} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn check_each_type_is_there(cases: &[Case]) {
    let columns = || cases.iter().flat_map(|case| &case.columns);
    let has = |name: String| columns().any(|(typ, _)| typ.type_name().to_string() == name);
    for id in 0x0001_u16..0x0020 {
        // Ids that stand for no type are left out.
        if let Ok(typ) = ColumnType::parse(&mut Reader::new(&id.to_be_bytes())) {
            assert!(has(typ.type_name().to_string()), "{typ} is not decoded here");
        }
    }
    for name in ["list", "set", "map", "tuple", "vector"] {
        assert!(has(name.to_owned()), "{name} is not decoded here");
    }
}

/// Decodes and walks the rows of a case; prints and returns the calls of the allocator.
fn measure(case: &Case) -> u64 {
    let columns: Vec<ColumnSpec> = case.columns.iter().enumerate().map(column).collect();
    let body = case.body();
    let before = shardwire_meter::counts();
    let result = ResultBody::parse(Reader::new(black_box(&body)), &Agreed::default(), None);
    let Ok(ResultBody::Rows(rows)) = result else { panic!("the sample is rows") };
    let values = black_box((case.read)(&rows, &columns));
    let counts = shardwire_meter::counts().since(before);

    let expected = case.cells().filter(|is_null| !is_null).count() as u64 * case.values;
    assert_eq!(values, expected, "{}: not each value was walked", case.rust);
    let cql = match columns.as_slice() {
        [column] => column.typ.to_string(),
        columns => format!("{} columns", columns.len()),
    };
    let allocations = counts.allocations + counts.reallocations;
    println!("{cql:<26} {:<38} {ROWS:>6} {values:>7} {allocations:>11}", case.rust);
    allocations + counts.frees
}

impl Case {
    /// For each cell, whether it is null.
    fn cells(&self) -> impl Iterator<Item = bool> {
        let count = ROWS * self.columns.len() as u32;
        let nulls = self.nulls;
        (0..count).map(move |index| nulls == Nulls::Some && index.is_multiple_of(NULL_EVERY))
    }

    /// The body of a RESULT with the rows, metadata left out (CQL v4 §4.2.5.2).
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for int in [2, 4, self.columns.len() as u32, ROWS] {
            body.extend_from_slice(&int.to_be_bytes()); // rows, no metadata, columns, rows
        }
        let contents = self.columns.iter().map(|(_, content)| content).cycle();
        for ((index, is_null), content) in (0..).zip(self.cells()).zip(contents) {
            match is_null {
                true => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                false => body.extend_from_slice(&cell(content(index))),
            }
        }
        body
    }
}

fn column((index, (typ, _)): (usize, &(ColumnType, Content))) -> ColumnSpec {
    let name = format!("c{index}").into();
    ColumnSpec { keyspace: "ks".into(), table: "t".into(), name, typ: typ.clone() }
}

// ---- walking ----

fn walk<'a, R: DeserializeRow<'a> + Walk>(rows: &RowsBody<'a>, columns: &'a [ColumnSpec]) -> u64 {
    let rows = rows.rows::<R>(columns).expect("the types fit");
    rows.map(|row| row.expect("the sample is whole").walk()).sum()
}

/// Looks at each innermost value and counts them.
trait Walk {
    fn walk(self) -> u64;
}

macro_rules! innermost {
    ($($rust:ty),*) => {$(
        impl Walk for $rust {
            fn walk(self) -> u64 {
                black_box(&self);
                1
            }
        }
    )*};
}

innermost! {
    &str, Cow<'_, str>, String, Box<str>, Arc<str>, &[u8], Cow<'_, [u8]>, Vec<u8>, Box<[u8]>,
    Bytes, bool, i8, i16, i32, i64, f32, f64, Counter, CqlVarintBorrowed<'_>, CqlVarint, CqlDecimal,
    CqlTimestamp, CqlDate, CqlTime, CqlDuration, Uuid, CqlTimeuuid, IpAddr, RawValue<'_>,
    CqlDecimalBorrowed<'_>, MaybeEmpty<i32>, [u8; 8]
}

impl<T: Walk> Walk for Option<T> {
    fn walk(self) -> u64 {
        self.map_or(0, T::walk)
    }
}

impl<'a, T: DeserializeValue<'a> + Walk> Walk for ListView<'a, T> {
    fn walk(self) -> u64 {
        self.into_iter().map(|element| element.expect("the sample is whole").walk()).sum()
    }
}

impl<'a, K, V> Walk for MapView<'a, K, V>
where
    K: DeserializeValue<'a> + Walk,
    V: DeserializeValue<'a> + Walk,
{
    fn walk(self) -> u64 {
        self.into_iter().map(|entry| entry.expect("the sample is whole").walk()).sum()
    }
}

impl Walk for UdtView<'_> {
    fn walk(self) -> u64 {
        self.into_iter().map(|field| field.expect("the sample is whole").cell.walk()).sum()
    }
}

impl Walk for TupleView<'_> {
    fn walk(self) -> u64 {
        self.into_iter().map(|field| field.expect("the sample is whole").walk()).sum()
    }
}

impl Walk for [f32; 4] {
    fn walk(self) -> u64 {
        self.map(Walk::walk).iter().sum()
    }
}

impl Walk for [&str; 2] {
    fn walk(self) -> u64 {
        self.map(Walk::walk).iter().sum()
    }
}

macro_rules! structs {
    ($($rust:ty, [$($field:tt)+];)*) => {$(
        impl Walk for $rust {
            fn walk(self) -> u64 {
                0 $(+ self.$field.walk())+
            }
        }
    )*};
}

structs! {
    Both<'_>, [a b];
    Turned<'_>, [a b];
    Transparent, [0];
    Row<'_>, [c0 c1 c2];
    RowTurned<'_>, [c2 rest];
    Rest<'_>, [c1 c0];
    RowInOrder<'_>, [c0 c1 c2];
}

impl Walk for Vec<i32> {
    fn walk(self) -> u64 {
        self.into_iter().map(Walk::walk).sum()
    }
}

impl<K: Walk, V: Walk> Walk for BTreeMap<K, V> {
    fn walk(self) -> u64 {
        self.into_iter().map(Walk::walk).sum()
    }
}

macro_rules! tuples {
    ($($($value:ident)+;)*) => {$(
        #[expect(non_snake_case, reason = "a value is named as its type")]
        impl<$($value: Walk),+> Walk for ($($value,)+) {
            fn walk(self) -> u64 {
                let ($($value,)+) = self;
                0 $(+ $value.walk())+
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D E F G H I J K L M N O P;
}

// ---- types ----

fn list(element: ColumnType) -> ColumnType {
    ColumnType::List(Box::new(element))
}

fn set(element: ColumnType) -> ColumnType {
    ColumnType::Set(Box::new(element))
}

fn map(key: ColumnType, value: ColumnType) -> ColumnType {
    ColumnType::Map(Box::new((key, value)))
}

fn tuple<const N: usize>(fields: [ColumnType; N]) -> ColumnType {
    ColumnType::Tuple(Box::new(fields))
}

fn vector(element: ColumnType, dimensions: u16) -> ColumnType {
    ColumnType::Vector(Box::new(element), dimensions)
}

fn udt<const N: usize>(fields: [(&str, ColumnType); N]) -> ColumnType {
    let fields = fields.map(|(name, typ)| (name.into(), typ)).into();
    ColumnType::Udt(Box::new(UdtType { keyspace: "ks".into(), name: "udt".into(), fields }))
}

// ---- what cells hold; each differs from row to row ----

fn text(index: u32) -> Vec<u8> {
    format!("row number {index:>09}").into_bytes()
}

fn text_beyond_ascii(index: u32) -> Vec<u8> {
    format!("řádek číslo {index}").into_bytes()
}

fn boolean(index: u32) -> Vec<u8> {
    vec![u8::from(index.is_multiple_of(2))]
}

fn smallint(index: u32) -> Vec<u8> {
    (index as u16).to_be_bytes().to_vec()
}

fn int(index: u32) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn bigint(index: u32) -> Vec<u8> {
    (u64::from(index) << 32).to_be_bytes().to_vec() // for a `time`, within the day
}

/// Longer than it needs to be, in every other row.
fn varint(index: u32) -> Vec<u8> {
    let mut digits = vec![0; index as usize % 2];
    digits.extend_from_slice(&(index | 1 << 30).to_be_bytes());
    digits
}

fn decimal(index: u32) -> Vec<u8> {
    [int(2), varint(index)].concat()
}

fn duration(index: u32) -> Vec<u8> {
    vec![index as u8 & 0x7E, 0x81, 0x02, 0x04] // vints: of one byte, of two, of one; none negative
}

fn uuid(index: u32) -> Vec<u8> {
    u128::from(index).to_be_bytes().to_vec()
}

fn inet(index: u32) -> Vec<u8> {
    if index.is_multiple_of(2) { int(index) } else { uuid(index) }
}

/// A `[bytes]`.
fn cell(content: Vec<u8>) -> Vec<u8> {
    [int(content.len() as u32), content].concat()
}

/// Of a list or a set.
fn elements<const N: usize>(contents: [Vec<u8>; N]) -> Vec<u8> {
    [int(N as u32), contents.map(cell).concat()].concat()
}

/// As [`elements`], with a null behind them.
fn with_null<const N: usize>(contents: [Vec<u8>; N]) -> Vec<u8> {
    let null = (-1_i32).to_be_bytes().to_vec();
    [int(N as u32 + 1), contents.map(cell).concat(), null].concat()
}

/// Of a map: a key, its value, the next key.
fn entries<const N: usize>(contents: [Vec<u8>; N]) -> Vec<u8> {
    [int(N as u32 / 2), contents.map(cell).concat()].concat()
}

/// Of a tuple; those that are left out read as null.
fn fields<const N: usize>(contents: [Vec<u8>; N]) -> Vec<u8> {
    contents.map(cell).concat()
}

/// Of a vector whose elements have no fixed length; each is shorter than 128 bytes here.
fn vint_elements<const N: usize>(contents: [Vec<u8>; N]) -> Vec<u8> {
    contents.map(|content| [vec![content.len() as u8], content].concat()).concat()
}
