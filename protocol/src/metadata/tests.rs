//! Tests of metadata: what bytes mean, and that they are known again. Cut and hostile bytes are
//! tested with the bodies they come in, in `response/tests.rs` and `rows/tests.rs`.

use super::*;
use crate::error::Malformed;
use crate::response::tests::{Build, build};
use crate::types::ColumnType;

fn bind(flags: u32, key: &[u16]) -> Build {
    let body = build().u32(flags).u32(2).u32(u32::try_from(key.len()).unwrap());
    let body = key.iter().fold(body, |body, index| body.u16(*index));
    body.string("ks").string("t").string("a").u16(2).string("b").u16(0x0D)
}

fn read(body: &Build) -> Result<RawBindMetadata<'_>, Malformed> {
    RawBindMetadata::read(&mut Reader::new(&body.0))
}

#[test]
fn bind_metadata() {
    let body = bind(1, &[1, 0]);
    let raw = read(&body).unwrap();
    assert_eq!(raw.columns().count(), 2);
    let metadata = raw.to_metadata(None).unwrap();
    assert_eq!(*metadata.partition_key_indexes, [1, 0]);
    let [a, b] = &*metadata.columns else { panic!("{metadata:?}") };
    assert_eq!((&*a.name, &a.typ), ("a", &ColumnType::Bigint));
    assert_eq!((&*b.name, &b.typ), ("b", &ColumnType::Text));
    assert_eq!((&*b.keyspace, &*b.table), ("ks", "t"));
    for len in 0..body.0.len() {
        assert!(read(&Build(body.0[..len].to_vec())).is_err(), "cut to {len}");
    }
}

/// The bit that marks conditional statements is the server's choice, and only if it was agreed.
#[test]
fn lwt_mark_is_a_parameter() {
    let is_lwt =
        |flags: u32, mark| read(&bind(flags, &[])).unwrap().to_metadata(mark).unwrap().is_lwt;
    assert!(is_lwt(0x8000_0001, Some(0x8000_0000)));
    assert!(!is_lwt(0x8000_0001, Some(0x4000_0000)));
    assert!(!is_lwt(0x8000_0001, None));
    assert!(!is_lwt(0x0000_0001, Some(0x8000_0000)));
}

#[test]
fn offsets_of_late_errors_count_from_the_start_of_the_body() {
    // A type that does not exist, walked over and parsed: the same error.
    let body = build().u32(0xAAAA_AAAA).string("ks").string("t").string("a").u16(0x99);
    let mut reader = Reader::new(&body.0);
    reader.u32("something before").unwrap();
    let error = RawColumns::read(&mut reader, GlobalTable::Once, 1, None).unwrap_err();
    let offset = u32::try_from(body.0.len()).unwrap();
    assert_eq!(error, Malformed::UnknownCode { what: "type", code: 0x99, offset });
}

#[test]
fn default_matches_no_columns_only() {
    let none = ResultMetadata::default();
    assert!(none.matches(&RawColumns::EMPTY));
    let body = bind(1, &[]);
    assert!(!none.matches(&read(&body).unwrap().columns()));
}
