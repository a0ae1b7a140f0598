//! Rows whose columns have any type the protocol can describe, cells of any bytes.
//!
//! Input: count of columns; the types as `[option]`s; the number of rows; the cells.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use shardwire_protocol::error::DeserializeError;
use shardwire_protocol::response::Agreed;
use shardwire_protocol::row::{Cells, DeserializeRow};
use shardwire_protocol::rows::RowsBody;
use shardwire_protocol::types::{ColumnSpec, ColumnType};
use shardwire_protocol::value::{
    Counter, CqlDate, CqlDecimal, CqlDuration, CqlTime, CqlTimestamp, CqlTimeuuid, CqlValue,
    CqlVarint, CqlVarintBorrowed, DeserializeValue, ListView, MapView, RawValue, SerializeValue,
    ValueLen,
};
use shardwire_protocol::wire::{Reader, Writer};
use uuid::Uuid;

/// More elements than this in one cell are not walked: nothing new would be seen.
const ELEMENTS_MAX: usize = 64;

/// Decodes the rows as every Rust type.
pub fn check(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(column_count) = reader.u8("column count") else { return };
    let mut columns = Vec::new();
    for _ in 0..column_count % 8 {
        let Ok(typ) = ColumnType::parse(&mut reader) else { return };
        columns.push(column(columns.len(), typ));
    }
    let Ok(rows_count) = reader.u8("row count") else { return };

    let mut body = Vec::new();
    body.extend_from_slice(&4_u32.to_be_bytes()); // no metadata
    body.extend_from_slice(&u32::try_from(columns.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&u32::from(rows_count).to_be_bytes());
    body.extend_from_slice(reader.remaining());
    let Ok(rows) = RowsBody::parse(Reader::new(&body), &Agreed::default(), None) else { return };
    let rows = rows.rows::<AnyRow>(&columns).expect("any row fits any columns");
    let announced = rows.len();
    let count = rows.count();
    assert!(count <= announced);
    let by_name = count_of::<ByName<'_>>(&body, &columns);
    let in_order = count_of::<InOrder<'_>>(&body, &columns);
    assert_eq!((by_name, in_order), (count, count));
}

fn column(index: usize, typ: ColumnType) -> ColumnSpec {
    let name = format!("c{index}").into();
    ColumnSpec { keyspace: Arc::from("k"), table: Arc::from("t"), name, typ }
}

/// How many rows come out of it as `R`, which fits any columns.
fn count_of<'f, R: DeserializeRow<'f>>(body: &'f [u8], columns: &'f [ColumnSpec]) -> usize {
    let rows = RowsBody::parse(Reader::new(body), &Agreed::default(), None).unwrap();
    rows.rows::<R>(columns).expect("all columns have a field").count()
}

/// Derived, the fields in another order than the columns.
#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol)]
#[expect(dead_code, reason = "read, and no more")]
struct ByName<'a> {
    #[shardwire(allow_missing)]
    c3: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c1: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c0: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c6: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c2: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c5: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c4: Option<RawValue<'a>>,
}

/// Derived, the fields in the order of the columns.
#[derive(DeserializeRow)]
#[shardwire(crate = shardwire_protocol, flavor = "enforce_order")]
#[expect(dead_code, reason = "read, and no more")]
struct InOrder<'a> {
    #[shardwire(allow_missing)]
    c0: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c1: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c2: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c3: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c4: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c5: Option<RawValue<'a>>,
    #[shardwire(allow_missing)]
    c6: Option<RawValue<'a>>,
}

/// Derived, a user-defined type whose fields mostly are not there.
#[derive(DeserializeValue)]
#[shardwire(crate = shardwire_protocol)]
#[expect(dead_code, reason = "read, and no more")]
struct AnyUdt<'a> {
    #[shardwire(allow_missing, default_when_null)]
    a: i32,
    #[shardwire(allow_missing)]
    b: Option<RawValue<'a>>,
}

/// Reads each cell in every way there is.
struct AnyRow;

impl<'frame> DeserializeRow<'frame> for AnyRow {
    fn type_check(_: &[ColumnSpec]) -> Result<(), DeserializeError> {
        Ok(())
    }

    fn deserialize(cells: &mut Cells<'frame, '_>) -> Result<Self, DeserializeError> {
        while cells.index() < cells.columns().len() {
            let cell: RawValue<'frame> = cells.value()?;
            walk(cell);
            every_type(cell);
            let _ = AnyUdt::deserialize(cell.typ, cell.content);
            as_dynamic(cell);
        }
        Ok(Self)
    }
}

/// Descends into collections and tuples as far as the type goes.
fn walk(cell: RawValue<'_>) {
    let len = cell.content.map_or(0, <[u8]>::len);
    match cell.typ {
        ColumnType::List(_) | ColumnType::Set(_) | ColumnType::Vector(..) => {
            let list = ListView::<RawValue<'_>>::deserialize(cell.typ, cell.content);
            if let Ok(list) = list {
                // However types nest, an element takes a byte at least.
                assert!(list.len() <= len);
                for element in list.iter().take(ELEMENTS_MAX).flatten() {
                    walk(element);
                }
            }
        }
        ColumnType::Map(_) => {
            let map = MapView::<RawValue<'_>, RawValue<'_>>::deserialize(cell.typ, cell.content);
            if let Ok(map) = map {
                assert!(map.len() * 8 <= len);
                for (key, value) in map.iter().take(ELEMENTS_MAX).flatten() {
                    walk(key);
                    walk(value);
                }
            }
        }
        ColumnType::Tuple(fields) if fields.len() == 2 => {
            type Pair<'a> = (RawValue<'a>, RawValue<'a>);
            if let Ok((first, second)) =
                <Pair<'_> as DeserializeValue>::deserialize(cell.typ, cell.content)
            {
                walk(first);
                walk(second);
            }
        }
        _ => {}
    }
}

/// What can be read can be written, and then reads and writes the same for ever.
///
/// Also reads without the check of the type: that may be an error, never a panic. A macro and not
/// a function, because what is read again borrows from other bytes.
macro_rules! stable {
    ($cell:expr; $($rust:ty;)*) => {$({
        let (typ, content) = ($cell.typ, $cell.content);
        let value = <$rust as DeserializeValue>::deserialize(typ, content);
        let fits = <$rust as DeserializeValue>::type_check(typ).is_ok()
            && <$rust as SerializeValue>::type_check(typ).is_ok(); // not vectors as lists
        if let Ok(value) = value
            && fits
            && let Some(first) = written(typ, &value)
        {
            let again = <$rust as DeserializeValue>::deserialize(typ, Some(&first));
            let again = again.expect("what was written can be read");
            assert_eq!(written(typ, &again).map(|bytes| bytes.len()), Some(first.len()));
        }
    })*};
}

fn every_type(cell: RawValue<'_>) {
    stable! {
        cell;
        bool;
        i8;
        i16;
        i32;
        i64;
        f32;
        f64;
        Counter;
        CqlDate;
        CqlDecimal;
        CqlDuration;
        CqlTime;
        CqlTimestamp;
        CqlTimeuuid;
        CqlVarint;
        CqlVarintBorrowed<'_>;
        IpAddr;
        Uuid;
        &str;
        String;
        Box<str>;
        Cow<'_, str>;
        &[u8];
        Vec<u8>;
        Bytes;
        Option<i32>;
        Option<&str>;
        Vec<i32>;
        Vec<f64>;
        Vec<&str>;
        Vec<Vec<&[u8]>>;
        BTreeSet<i64>;
        BTreeSet<&str>;
        HashSet<Uuid>;
        BTreeMap<i32, &str>;
        BTreeMap<&str, Vec<i64>>;
        HashMap<&str, IpAddr>;
        (i32, &str);
        (Option<i64>, );
        (Option<&str>, Option<Vec<i32>>, Option<bool>);
    }
}

/// What the type says, known only at run time: it is read and written to the same value, and reads
/// the same where its blobs are shared.
fn as_dynamic(cell: RawValue<'_>) {
    let Ok(value) = CqlValue::deserialize(cell.typ, cell.content) else { return };
    let shown = format!("{value:?}"); // what is no number does not equal itself
    let body = Bytes::copy_from_slice(cell.content.unwrap_or_default());
    let shared = CqlValue::from_shared(cell.typ, Some(&body), &body).expect("the same bytes");
    assert_eq!(format!("{shared:?}"), shown);
    assert!(!value.to_string().is_empty());
    if let Some(content) = written(cell.typ, &value) {
        let again = CqlValue::deserialize(cell.typ, Some(&content));
        let again = again.expect("what was written can be read");
        assert_eq!(format!("{again:?}"), shown);
        assert_eq!(written(cell.typ, &again), Some(content));
    }
}

/// The value's content; `None` for null, and for what a server may send but not be sent: durations
/// of mixed signs.
fn written(typ: &ColumnType, value: &impl SerializeValue) -> Option<Vec<u8>> {
    let Ok(ValueLen::Bytes(len)) = value.value_len(typ) else { return None };
    let mut out = vec![0; usize::try_from(len).unwrap()];
    let mut writer = Writer::new(&mut out);
    value.write(typ, &mut writer);
    writer.finish().expect("a value is as long as it announced");
    Some(out)
}
