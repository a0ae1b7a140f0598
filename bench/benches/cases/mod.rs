//! What both codecs decode: for each case a body with rows, and the type that each reads it as.
//!
//! Shared by the wall times of `benches/decode.rs` and the instruction counts of
//! `src/bin/decode/`. A case is one line of the table below: a type of single columns, or rows of
//! several columns. Where the official codec borrows, both borrow; where it owns, both own, and
//! where Shardwire borrows besides, that is a line of its own.
//!
//! Next: `types.rs`, then `structs.rs` and `fold.rs`.

#![allow(dead_code, reason = "the wall times have no limit")]

mod fold;
mod structs;
mod types;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use scylla_cql::deserialize::value::{ListlikeIterator, MapIterator, UdtIterator, VectorIterator};
use scylla_cql::frame::protocol_features::ProtocolFeatures;
use scylla_cql::frame::response::result as official;
use scylla_cql::value as scylla;
use shardwire_protocol::metadata::ResultMetadata;
use shardwire_protocol::response::{Agreed, ResultBody};
use shardwire_protocol::rows::{RowsBody, RowsMetadata};
use shardwire_protocol::value as shardwire;
use shardwire_protocol::value::{ListView, MapView};
use shardwire_protocol::wire::Reader;

use self::fold::fold_all;
use self::structs::{Ten, TenOrdered, TenTurned, Three, ThreeTurned, official as official_structs};
use self::types::Type::{self, *};

/// Rows of a kind, read by both codecs.
pub(crate) struct Case {
    /// CQL type and what is read, or what the rows are.
    pub(crate) name: &'static str,
    pub(crate) limit: Limit,
    columns: &'static [Type],
    shardwire: fn(&[u8], &ResultMetadata) -> u64,
    scylla: fn(&Bytes, &Arc<official::ResultMetadata<'static>>) -> u64,
}

/// How much Shardwire may take of what the official codec takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    /// As much: the types one by one.
    All,
    /// Half: rows as programs have them.
    Half,
}

/// A body and what both codecs need to know to read it.
pub(crate) struct Input {
    body: Bytes,
    shardwire: ResultMetadata,
    scylla: Arc<official::ResultMetadata<'static>>,
}

/// One line per case: limit, name, columns, the row as Shardwire reads it, and as `scylla` does
/// where that is another type.
macro_rules! cases {
    ($($limit:ident $name:literal [$($column:expr),+] $ours:ty $(, $theirs:ty)?;)*) => {
        &[$(Case {
            name: $name,
            limit: Limit::$limit,
            columns: const { &[$($column),+] },
            shardwire: |body, metadata| {
                let rows = shardwire_rows(body, metadata);
                let rows = rows.rows::<$ours>(&metadata.columns).expect("the types fit");
                fold_all(rows, 0)
            },
            scylla: |body, metadata| {
                let rows = scylla_rows(body, metadata);
                let rows = rows.rows_iter::<last!($ours $(, $theirs)?)>().expect("the types fit");
                fold_all(rows, 0)
            },
        }),*]
    };
}

macro_rules! last {
    ($ours:ty) => {
        $ours
    };
    ($ours:ty, $theirs:ty) => {
        $theirs
    };
}

type Hasher = BuildHasherDefault<DefaultHasher>;

/// All cases, in the order of reports.
pub(crate) const CASES: &[Case] = cases! {
    All "ascii as &str" [Ascii] (&str,);
    All "text as &str" [Text] (&str,);
    All "text of 8 letters as &str" [TextShort] (&str,);
    All "text beyond ASCII as &str" [TextBeyondAscii] (&str,);
    All "text as Cow<str>" [Text] (Cow<str>,);
    All "text as String" [Text] (String,);
    All "text as Box<str>" [Text] (Box<str>,);
    All "text as Arc<str>" [Text] (Arc<str>,);
    All "blob as &[u8]" [Blob] (&[u8],);
    All "blob as Cow<[u8]>" [Blob] (Cow<[u8]>,);
    All "blob as Vec<u8>" [Blob] (Vec<u8>,);
    All "blob as Bytes" [Blob] (Bytes,);
    All "boolean" [Boolean] (bool,);
    All "tinyint" [Tinyint] (i8,);
    All "smallint" [Smallint] (i16,);
    All "int" [Int] (i32,);
    All "int, half of them null" [Nullable(&Int)] (Option<i32>,);
    All "bigint" [Bigint] (i64,);
    All "varint, borrowed" [Varint]
        (shardwire::CqlVarintBorrowed,), (scylla::CqlVarintBorrowed,);
    All "varint, owned" [Varint] (shardwire::CqlVarint,), (scylla::CqlVarint,);
    All "decimal, owned" [Decimal] (shardwire::CqlDecimal,), (scylla::CqlDecimal,);
    All "float" [Float] (f32,);
    All "double" [Double] (f64,);
    All "counter" [Counter] (shardwire::Counter,), (scylla::Counter,);
    All "timestamp" [Timestamp] (shardwire::CqlTimestamp,), (scylla::CqlTimestamp,);
    All "date" [Date] (shardwire::CqlDate,), (scylla::CqlDate,);
    All "time" [Time] (shardwire::CqlTime,), (scylla::CqlTime,);
    All "duration" [Duration] (shardwire::CqlDuration,), (scylla::CqlDuration,);
    All "uuid" [Uuid] (uuid::Uuid,);
    All "timeuuid" [Timeuuid] (shardwire::CqlTimeuuid,), (scylla::CqlTimeuuid,);
    All "inet" [Inet] (IpAddr,);
    All "list<int>, in place" [List(&Int)] (ListView<i32>,), (ListlikeIterator<i32>,);
    All "list<int> as Vec" [List(&Int)] (Vec<i32>,);
    All "set<text>, in place" [Set(&Text)] (ListView<&str>,), (ListlikeIterator<&str>,);
    All "set<text> as Vec" [Set(&Text)] (Vec<String>,);
    All "set<text> as BTreeSet" [Set(&Text)] (BTreeSet<String>,);
    All "set<text> as HashSet" [Set(&Text)] (HashSet<String, Hasher>,);
    All "map<text, int>, in place" [Map(&Text, &Int)]
        (MapView<&str, i32>,), (MapIterator<&str, i32>,);
    All "map<text, int> as BTreeMap" [Map(&Text, &Int)] (BTreeMap<String, i32>,);
    All "map<text, int> as HashMap" [Map(&Text, &Int)] (HashMap<String, i32, Hasher>,);
    All "list<list<int>>, in place" [List(&List(&Int))]
        (ListView<ListView<i32>>,), (ListlikeIterator<ListlikeIterator<i32>>,);
    All "list<list<int>> as Vec" [List(&List(&Int))] (Vec<Vec<i32>>,);
    All "tuple<int, text, bigint>" [Tuple(&[Int, Text, Bigint])] ((i32, &str, i64),);
    All "tuple<int, text, bigint>, owned" [Tuple(&[Int, Text, Bigint])] ((i32, String, i64),);
    All "list<tuple<int, text>>, in place" [List(&Tuple(&[Int, Text]))]
        (ListView<(i32, &str)>,), (ListlikeIterator<(i32, &str)>,);
    All "vector<float, 16>, in place" [Vector(&Float, 16)]
        (ListView<f32>,), (VectorIterator<f32>,);
    All "vector<float, 16> as Vec" [Vector(&Float, 16)] (Vec<f32>,);
    All "vector<text, 4>, in place" [Vector(&Text, 4)]
        (ListView<&str>,), (VectorIterator<&str>,);
    All "vector<text, 4> as Vec" [Vector(&Text, 4)] (Vec<String>,);
    All "vector<float, 16> as an array" [Vector(&Float, 16)] ([f32; 16],), (Vec<f32>,);
    All "decimal, borrowed" [Decimal]
        (shardwire::CqlDecimalBorrowed,), (scylla::CqlDecimalBorrowed,);
    All "user-defined type, in place" [Udt(&[Int, Text, Bigint])]
        (shardwire::UdtView,), (UdtIterator,);
    All "user-defined type as a struct" [Udt(&[Int, Text, Bigint])]
        (Three,), (official_structs::Three,);
    All "user-defined type as a struct, other order" [Udt(&[Int, Text, Bigint])]
        (ThreeTurned,), (official_structs::ThreeTurned,);

    Half "4 columns" [Bigint, Int, Text, Blob] (i64, i32, &str, &[u8]);
    Half "10 columns"
        [Uuid, Timestamp, Text, Int, Double, Boolean, Inet, Blob, Date, Bigint]
        (uuid::Uuid, shardwire::CqlTimestamp, &str, i32, f64, bool, IpAddr, &[u8],
            shardwire::CqlDate, i64),
        (uuid::Uuid, scylla::CqlTimestamp, &str, i32, f64, bool, IpAddr, &[u8],
            scylla::CqlDate, i64);
    Half "10 columns with collections"
        [Uuid, Text, List(&Int), Map(&Text, &Int), Timestamp, Set(&Text), Int, Blob, Boolean,
            Tuple(&[Int, Text])]
        (uuid::Uuid, &str, ListView<i32>, MapView<&str, i32>, shardwire::CqlTimestamp,
            ListView<&str>, i32, &[u8], bool, (i32, &str)),
        (uuid::Uuid, &str, ListlikeIterator<i32>, MapIterator<&str, i32>, scylla::CqlTimestamp,
            ListlikeIterator<&str>, i32, &[u8], bool, (i32, &str));
    Half "16 columns, half of them nullable"
        [Bigint, Text, Nullable(&Int), Nullable(&Text), Timestamp, Uuid, Nullable(&Double),
            Nullable(&Blob), Boolean, Int, Nullable(&Bigint), Nullable(&TextShort), Smallint,
            Float, Nullable(&Date), Nullable(&Inet)]
        (i64, &str, Option<i32>, Option<&str>, shardwire::CqlTimestamp, uuid::Uuid, Option<f64>,
            Option<&[u8]>, bool, i32, Option<i64>, Option<&str>, i16, f32,
            Option<shardwire::CqlDate>, Option<IpAddr>),
        (i64, &str, Option<i32>, Option<&str>, scylla::CqlTimestamp, uuid::Uuid, Option<f64>,
            Option<&[u8]>, bool, i32, Option<i64>, Option<&str>, i16, f32,
            Option<scylla::CqlDate>, Option<IpAddr>);
    Half "10 columns as a struct"
        [Uuid, Timestamp, Text, Int, Double, Boolean, Inet, Blob, Date, Bigint]
        Ten, official_structs::Ten;
    Half "10 columns as a struct, other order"
        [Uuid, Timestamp, Text, Int, Double, Boolean, Inet, Blob, Date, Bigint]
        TenTurned, official_structs::TenTurned;
    Half "10 columns as a struct that insists on the order"
        [Uuid, Timestamp, Text, Int, Double, Boolean, Inet, Blob, Date, Bigint]
        TenOrdered, official_structs::TenOrdered;
    // What the allocator takes is the same for both, and no half of it can be left out.
    All "4 columns, owned" [Bigint, Int, Text, Blob] (i64, i32, String, Vec<u8>);
};

impl Case {
    /// So many rows of this case.
    pub(crate) fn input(&self, row_count: u32) -> Input {
        let metadata = Bytes::from(self.metadata());
        Input {
            body: self.body(row_count).into(),
            shardwire: shardwire_metadata(&metadata),
            scylla: scylla_metadata(metadata),
        }
    }

    /// Decodes all rows with Shardwire's codec; the number that both codecs must agree in.
    pub(crate) fn shardwire(&self, input: &Input) -> u64 {
        (self.shardwire)(&input.body, &input.shardwire)
    }

    /// Decodes all rows with the official codec.
    pub(crate) fn scylla(&self, input: &Input) -> u64 {
        (self.scylla)(&input.body, &input.scylla)
    }

    /// The body of a RESULT with rows, metadata left out.
    fn body(&self, row_count: u32) -> Vec<u8> {
        let mut body = Vec::new();
        types::put_u32(&mut body, 2); // rows
        types::put_u32(&mut body, 4); // flags: no metadata
        types::put_u32(&mut body, self.columns.len().try_into().expect("few columns"));
        types::put_u32(&mut body, row_count);
        for index in 0..row_count {
            for (column, salt) in self.columns.iter().zip(0..) {
                column.put_cell(&mut body, u64::from(index) + salt);
            }
        }
        body
    }

    /// The body of a RESULT without rows but with the metadata of the above.
    fn metadata(&self) -> Vec<u8> {
        let mut body = Vec::new();
        types::put_u32(&mut body, 2); // rows
        types::put_u32(&mut body, 1); // flags: one table for all columns
        types::put_u32(&mut body, self.columns.len().try_into().expect("few columns"));
        types::put_string(&mut body, "bench");
        types::put_string(&mut body, "decode");
        for (index, column) in self.columns.iter().enumerate() {
            types::put_string(&mut body, &types::column_name(index));
            column.put_option(&mut body);
        }
        types::put_u32(&mut body, 0); // rows
        body
    }
}

fn shardwire_rows<'a>(body: &'a [u8], metadata: &ResultMetadata) -> RowsBody<'a> {
    let result = ResultBody::parse(Reader::new(body), &Agreed::default(), Some(metadata));
    let Ok(ResultBody::Rows(rows)) = result else { unreachable!("the sample is rows") };
    rows
}

fn scylla_rows(
    body: &Bytes,
    metadata: &Arc<official::ResultMetadata<'static>>,
) -> official::DeserializedMetadataAndRawRows {
    let features = ProtocolFeatures::default();
    let result = official::deserialize_with_features(body.clone(), Some(metadata), &features);
    let Ok(official::Result::Rows((rows, _))) = result else { unreachable!("the sample is rows") };
    rows.deserialize_metadata().expect("the metadata is known")
}

fn shardwire_metadata(body: &[u8]) -> ResultMetadata {
    let result = ResultBody::parse(Reader::new(body), &Agreed::default(), None);
    let Ok(ResultBody::Rows(rows)) = result else { unreachable!("the sample is rows") };
    let RowsMetadata::Present { raw } = rows.metadata else {
        unreachable!("the sample has metadata")
    };
    ResultMetadata::parse(&raw).expect("the sample is whole")
}

fn scylla_metadata(body: Bytes) -> Arc<official::ResultMetadata<'static>> {
    let features = ProtocolFeatures::default();
    let result = official::deserialize_with_features(body, None, &features);
    let Ok(official::Result::Rows((rows, _))) = result else { unreachable!("the sample is rows") };
    let rows = rows.deserialize_metadata().expect("the sample is whole");
    rows.into_metadata().make_owned_arced()
}
