//! Values of every type, written as a row of bound values and read back as a row of cells.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use shardwire_protocol::response::Agreed;
use shardwire_protocol::row::SerializeRow;
use shardwire_protocol::rows::RowsBody;
use shardwire_protocol::types::{ColumnSpec, ColumnType};
use shardwire_protocol::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlVarint,
};
use shardwire_protocol::wire::{Reader, Writer};
use uuid::Uuid;

#[derive(Arbitrary, Debug)]
struct Values<'a> {
    boolean: bool,
    tinyint: i8,
    smallint: Option<i16>,
    int: i32,
    bigint: Option<i64>,
    float: f32,
    double: f64,
    text: &'a str,
    maybe_text: Option<&'a str>,
    blob: &'a [u8],
    uuid: [u8; 16],
    address: IpAddr,
    nanoseconds: i64,
    date: u32,
    duration: (u16, u16, u32, bool),
    varint: &'a [u8],
    scale: i32,
    list: Vec<i32>,
    texts: Vec<&'a str>,
    set: BTreeSet<i64>,
    map: BTreeMap<i32, &'a str>,
    nested: BTreeMap<&'a str, Vec<Option<i32>>>,
    tuple: (i32, Option<&'a str>),
}

/// Writes and reads rows of arbitrary values.
pub fn check(data: &[u8]) {
    let Ok(values) = Values::arbitrary(&mut Unstructured::new(data)) else { return };
    scalars(&values);
    strings(&values);
    collections(&values);
}

fn scalars(v: &Values<'_>) {
    type Row = (
        bool,
        i8,
        Option<i16>,
        i32,
        Option<i64>,
        Counter,
        CqlTimestamp,
        CqlTime,
        CqlDate,
        CqlTimeuuid,
        Uuid,
        IpAddr,
    );
    use ColumnType::{
        Bigint, Boolean, Counter as CounterType, Date, Inet, Int, Smallint, Time, Timestamp,
        Timeuuid, Tinyint, Uuid as UuidType,
    };
    let columns = columns([
        Boolean,
        Tinyint,
        Smallint,
        Int,
        Bigint,
        CounterType,
        Timestamp,
        Time,
        Date,
        Timeuuid,
        UuidType,
        Inet,
    ]);
    let row: Row = (
        v.boolean,
        v.tinyint,
        v.smallint,
        v.int,
        v.bigint,
        Counter(v.nanoseconds),
        CqlTimestamp(v.nanoseconds),
        CqlTime(v.nanoseconds.rem_euclid(86_400_000_000_000)),
        CqlDate(v.date),
        CqlTimeuuid::from_bytes(v.uuid),
        Uuid::from_bytes(v.uuid),
        v.address,
    );
    let body = rows_body(&row, &columns);
    let parsed = parsed(&body);
    let read: Vec<Row> = parsed.rows(&columns).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [row]);

    // A number that is not one is not equal to itself; its bits are.
    let row = (v.float, v.double);
    let columns = self::columns([ColumnType::Float, ColumnType::Double]);
    let body = rows_body(&row, &columns);
    let parsed = self::parsed(&body);
    let (float, double) = parsed.rows::<(f32, f64)>(&columns).unwrap().next().unwrap().unwrap();
    assert_eq!((float.to_bits(), double.to_bits()), (row.0.to_bits(), row.1.to_bits()));
}

fn strings(v: &Values<'_>) {
    use ColumnType::{Blob, Decimal, Duration, Text, Varint};
    let columns = columns([Text, Text, Blob, Varint, Decimal, Duration]);
    let (months, days, nanoseconds, is_negative) = v.duration;
    let sign = if is_negative { -1 } else { 1 };
    let row = (
        v.text,
        v.maybe_text,
        v.blob,
        CqlVarint::from_signed_bytes_be_slice(v.varint),
        CqlDecimal::from_signed_be_bytes_and_exponent(v.varint.to_vec(), v.scale),
        CqlDuration {
            months: sign * i32::from(months),
            days: sign * i32::from(days),
            nanoseconds: i64::from(sign) * i64::from(nanoseconds),
        },
    );
    let body = rows_body(&row, &columns);
    let parsed = parsed(&body);
    type Row<'a> = (&'a str, Option<&'a str>, &'a [u8], CqlVarint, CqlDecimal, CqlDuration);
    let read: Vec<Row<'_>> = parsed.rows(&columns).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [row]);
}

fn collections(v: &Values<'_>) {
    use ColumnType::{Bigint, Int, List, Map, Set, Text, Tuple};
    let columns = columns([
        List(Box::new(Int)),
        List(Box::new(Text)),
        Set(Box::new(Bigint)),
        Map(Box::new((Int, Text))),
        Map(Box::new((Text, List(Box::new(Int))))),
        Tuple(Box::new([Int, Text])),
    ]);
    let row = (&v.list, &v.texts, &v.set, &v.map, &v.nested, &v.tuple);
    let body = rows_body(&row, &columns);
    let parsed = parsed(&body);
    type Row<'a> = (
        Vec<i32>,
        Vec<&'a str>,
        BTreeSet<i64>,
        BTreeMap<i32, &'a str>,
        BTreeMap<&'a str, Vec<Option<i32>>>,
        (i32, Option<&'a str>),
    );
    let read: Row<'_> = parsed.rows(&columns).unwrap().next().unwrap().unwrap();
    assert_eq!((&read.0, &read.1, &read.2, &read.3, &read.4, &read.5), row);
}

fn columns<const N: usize>(types: [ColumnType; N]) -> Vec<ColumnSpec> {
    let spec =
        |typ| ColumnSpec { keyspace: Arc::from("k"), table: Arc::from("t"), name: "c".into(), typ };
    types.into_iter().map(spec).collect()
}

/// The row as the body of a Rows result: bound values and cells have one form.
fn rows_body<R: SerializeRow>(row: &R, columns: &[ColumnSpec]) -> Vec<u8> {
    row.type_check(columns).unwrap();
    assert_eq!(row.value_count(), columns.len());
    let len = row.values_len(columns).unwrap();
    let mut body = vec![0; 12 + len];
    let mut writer = Writer::new(&mut body);
    writer.put_u32(4); // no metadata
    writer.put_u32(u32::try_from(columns.len()).unwrap());
    writer.put_u32(1);
    row.write_values(columns, &mut writer);
    writer.finish().expect("a row is as long as it announced");
    body
}

fn parsed(body: &[u8]) -> RowsBody<'_> {
    RowsBody::parse(Reader::new(body), &Agreed::default(), None).unwrap()
}
