//! Tests of requests, field by field: each alone, in each version that has it.

use super::tests::{check, check_all, check_in, refused};
use super::*;
use crate::consistency::{Consistency, SerialConsistency};
use crate::value::MaybeUnset;

const OLD: [Version; 2] = [Version::V3, Version::V4];

/// A field of the parameters: what sets it, its bit, and its bytes.
fn fields() -> [(Parameters<'static>, u16, &'static [u8]); 8] {
    let none = Parameters::default();
    let serial = |level| Parameters { serial_consistency: Some(level), ..none };
    [
        (none, 0, &[]),
        (Parameters { skip_metadata: true, ..none }, 0x02, &[]),
        (Parameters { page_size: Some(-1), ..none }, 0x04, &[0xFF; 4]),
        (Parameters { paging_state: Some(&[]), ..none }, 0x08, &[0; 4]),
        (Parameters { paging_state: Some(&[7]), ..none }, 0x08, &[0, 0, 0, 1, 7]),
        (serial(SerialConsistency::Serial), 0x10, &[0, 8]),
        (serial(SerialConsistency::LocalSerial), 0x10, &[0, 9]),
        (Parameters { timestamp: Some(i64::MIN), ..none }, 0x20, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

/// Those of version 5.
fn new_fields() -> [(Parameters<'static>, u16, &'static [u8]); 2] {
    let none = Parameters::default();
    [
        (Parameters { keyspace: Some("ks"), ..none }, 0x80, &[0, 2, b'k', b's']),
        (Parameters { now_in_seconds: Some(-2), ..none }, 0x100, &[0xFF, 0xFF, 0xFF, 0xFE]),
    ]
}

/// The parts of a request that ends with parameters: `head`, level, flags, `values`, `tail`.
#[track_caller]
fn check_fields<R: Request>(
    version: Version,
    request: &R,
    head: &[u8],
    flags: u16,
    values: &[u8],
    tail: &[u8],
) {
    let level: &[u8] = &[0, 6];
    if version == Version::V5 {
        let flags = u32::from(flags).to_be_bytes();
        return check_in(version, request, &[head, level, &flags, values, tail]);
    }
    let flags = [u8::try_from(flags).unwrap()];
    check_in(version, request, &[head, level, &flags, values, tail]);
}

#[test]
fn each_parameter_has_its_bit_and_its_bytes() {
    const ONE: &[u8] = &[0, 1, 0, 0, 0, 4, 0, 0, 0, 7];
    const NAMED: &[u8] = &[0, 1, 0, 1, b'n', 0, 0, 0, 4, 0, 0, 0, 7];
    let check = |parameters, bit: u16, tail: &[u8], versions: &[Version]| {
        for &version in versions {
            for (names, values, values_bits) in
                [(ValueNames::None, ONE, 0x01), (ValueNames::Given(&["n"]), NAMED, 0x41)]
            {
                let query =
                    Query { statement: "S", values: &(7,), columns: &[], names, parameters };
                let head = [0, 0, 0, 1, b'S'];
                check_fields(version, &query, &head, bit | values_bits, values, tail);
                let execute = Execute {
                    id: b"i",
                    result_metadata_id: Some(b"m"),
                    values: &(7,),
                    columns: &[],
                    names,
                    parameters,
                };
                let head = [0, 1, b'i', 0, 1, b'm'];
                check_fields(version, &execute, &head, bit | values_bits, values, tail);
                // The byte for tablets is the last of all.
                let parameters = Parameters { tablet_block: Some(0xA5), ..parameters };
                let tail = [tail, &[0xA5]].concat();
                let execute = Execute { parameters, ..execute };
                check_fields(version, &execute, &head, bit | values_bits, values, &tail);
            }
            let (names, values) = (ValueNames::None, &());
            let query = Query { statement: "S", values, columns: &[], names, parameters };
            check_fields(version, &query, &[0, 0, 0, 1, b'S'], bit, &[], tail);
        }
    };
    for (parameters, bit, tail) in fields() {
        check(parameters, bit, tail, &[Version::V3, Version::V4, Version::V5]);
    }
    for (parameters, bit, tail) in new_fields() {
        check(parameters, bit, tail, &[Version::V5]);
        let names = ValueNames::None;
        let what = if bit == 0x80 { "keyspace" } else { "time in seconds" };
        for version in OLD {
            let query = Query { statement: "S", values: &(), columns: &[], names, parameters };
            refused(&query, version, what);
        }
    }
}

#[test]
fn each_level() {
    for number in 0..=10_u8 {
        let consistency = Consistency::from_u16(number.into()).unwrap();
        let parameters = Parameters { consistency, ..Parameters::default() };
        let names = ValueNames::None;
        let query = Query { statement: "", values: &(), columns: &[], names, parameters };
        check(&query, &[&[0, 0, 0, 0, 0, number, 0]]);
        let batch = Batch { consistency, ..empty_batch() };
        check(&batch, &[&[0, 0, 0, 0, number, 0]]);
    }
}

/// A value, a null and what leaves a column as it is; and a text of no bytes.
#[test]
fn what_values_are() {
    let (names, parameters) = (ValueNames::None, Parameters::default());
    let row = (Some(7), None::<i32>, MaybeUnset::<i32>::Unset, "");
    let query = Query { statement: "", values: &row, columns: &[], names, parameters };
    let values: [&[u8]; 5] = [
        &[0, 4],
        &[0, 0, 0, 4, 0, 0, 0, 7],
        &[0xFF, 0xFF, 0xFF, 0xFF],
        &[0xFF, 0xFF, 0xFF, 0xFE],
        &[0, 0, 0, 0],
    ];
    check_in(Version::V4, &query, &[&[0, 0, 0, 0, 0, 6, 1], &values.concat()]);
    check_in(Version::V5, &query, &[&[0, 0, 0, 0, 0, 6, 0, 0, 0, 1], &values.concat()]);
}

/// To version 3 what is not set would be null, which deletes.
#[test]
fn version_3_has_no_unset_values() {
    const UNSET: &str = "unset value";
    let (names, parameters) = (ValueNames::None, Parameters::default());
    for row in [
        (MaybeUnset::Unset, MaybeUnset::Set(1)),
        (MaybeUnset::Set(-2), MaybeUnset::Unset),
        (MaybeUnset::Unset, MaybeUnset::Unset),
    ] {
        let query = Query { statement: "S", values: &row, columns: &[], names, parameters };
        refused(&query, Version::V3, UNSET);
        refused(&Query { names: ValueNames::Given(&["a", "b"]), ..query }, Version::V3, UNSET);
        let execute = Execute {
            id: &[7; 16],
            result_metadata_id: None,
            values: &row,
            columns: &[],
            names,
            parameters,
        };
        refused(&execute, Version::V3, UNSET);
        let head = BatchItemHead::new(&[7; 16], 2).unwrap();
        let rows = [(MaybeUnset::Set(1), MaybeUnset::Set(2)), row];
        let items = BatchRows { head: &head, rows: &rows, columns: &[] };
        let batch = Batch {
            kind: BatchKind::Logged,
            items,
            consistency: Consistency::One,
            serial_consistency: None,
            timestamp: None,
            keyspace: None,
            now_in_seconds: None,
        };
        refused(&batch, Version::V3, UNSET);
        for version in [Version::V4, Version::V5] {
            assert!(frame_len(&query, version).is_ok() && frame_len(&batch, version).is_ok());
        }
    }
    // Values that look like one are none: bytes within a value, and a null.
    let row = (&[0xFF_u8, 0xFF, 0xFF, 0xFE][..], None::<i32>, -2);
    let query = Query { statement: "", values: &row, columns: &[], names, parameters };
    let values: [&[u8]; 4] = [
        &[0, 3],
        &[0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFE],
        &[0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFE],
    ];
    check(&query, &[&[0, 0, 0, 0, 0, 6, 1], &values.concat()]);
}

/// Texts with one value each.
#[derive(Clone, Copy)]
struct Texts<'a>(&'a [(&'a str, i32)]);

impl BatchItems for Texts<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn statement(&self, index: usize) -> BatchStatement<'_> {
        BatchStatement::Text(self.0[index].0)
    }

    fn value_count(&self, _: usize) -> usize {
        1
    }

    fn values_len(&self, _: usize) -> Result<usize, SerializeError> {
        Ok(8)
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        out.put_fixed_value(self.0[index].1.to_be_bytes());
    }
}

fn empty_batch() -> Batch<'static, Texts<'static>> {
    Batch {
        kind: BatchKind::Logged,
        items: Texts(&[]),
        consistency: Consistency::LocalQuorum,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    }
}

#[test]
fn each_field_of_a_batch() {
    for (number, kind) in
        [BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter].into_iter().enumerate()
    {
        let number = u8::try_from(number).unwrap();
        check(&Batch { kind, ..empty_batch() }, &[&[number, 0, 0, 0, 6, 0]]);
    }
    let items = Texts(&[("A", 1), ("", -1)]);
    let body: [&[u8]; 4] = [
        &[0, 0, 2],
        &[0, 0, 0, 0, 1, b'A', 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0, 6, 0],
    ];
    check(&Batch { items, ..empty_batch() }, &body);

    let none = empty_batch();
    for serial in [SerialConsistency::Serial, SerialConsistency::LocalSerial] {
        let batch = Batch { serial_consistency: Some(serial), ..empty_batch() };
        let tail = serial.as_u16().to_be_bytes();
        check(&batch, &[&[0, 0, 0, 0, 6, 0x10], &tail]);
        check_in(Version::V5, &batch, &[&[0, 0, 0, 0, 6, 0, 0, 0, 0x10], &tail]);
    }
    let timestamp = Batch { timestamp: Some(1), ..none };
    check(&timestamp, &[&[0, 0, 0, 0, 6, 0x20], &[0, 0, 0, 0, 0, 0, 0, 1]]);
    let keyspace = Batch { keyspace: Some("ks"), ..empty_batch() };
    let body = [0, 0, 0, 0, 6, 0, 0, 0, 0x80, 0, 2, b'k', b's'];
    check_in(Version::V5, &keyspace, &[&body]);
    let now = Batch { now_in_seconds: Some(1), ..empty_batch() };
    check_in(Version::V5, &now, &[&[0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 1]]);
    for version in OLD {
        refused(&keyspace, version, "keyspace");
        refused(&now, version, "time in seconds");
    }
}

#[test]
fn options_of_startup_have_these_names() {
    let options = [
        Startup::CQL_VERSION,
        (Startup::COMPRESSION, "snappy"),
        (Startup::NO_COMPACT, "true"),
        (Startup::THROW_ON_OVERLOAD, "1"),
        (Startup::DRIVER_NAME, "n"),
        (Startup::DRIVER_VERSION, "v"),
        (Startup::APPLICATION_NAME, "a"),
        (Startup::APPLICATION_VERSION, "w"),
        (Startup::CLIENT_ID, "c"),
        (Startup::SESSION_ID, "s"),
        (Startup::DRIVER_CONFIG, "{}"),
        (Startup::DRIVER_BAGGAGE, "b"),
    ];
    let names = "CQL_VERSION COMPRESSION NO_COMPACT THROW_ON_OVERLOAD DRIVER_NAME DRIVER_VERSION \
                 APPLICATION_NAME APPLICATION_VERSION CLIENT_ID SESSION_ID DRIVER_CONFIG \
                 DRIVER_BAGGAGE";
    assert!(options.iter().map(|(name, _)| *name).eq(names.split(' ')));
    let mut body = vec![0, 12];
    for text in options.iter().flat_map(|(name, value)| [name, value]) {
        body.extend([0, u8::try_from(text.len()).unwrap()]);
        body.extend_from_slice(text.as_bytes());
    }
    check(&Startup { options: &options }, &[&body]);
    for snappy in ["snappy", "Snappy"] {
        let options = [Startup::CQL_VERSION, (Startup::COMPRESSION, snappy)];
        refused(&Startup { options: &options }, Version::V5, "Snappy");
    }
    check_all(&Startup { options: &[] }, &[&[0, 0]]);
    for option in options {
        if option.0 == Startup::COMPRESSION {
            continue;
        }
        let lens = [option.0, option.1].map(|text| u8::try_from(text.len()).unwrap());
        let parts: [&[u8]; 5] =
            [&[0, 1], &[0, lens[0]], option.0.as_bytes(), &[0, lens[1]], option.1.as_bytes()];
        check_in(Version::V5, &Startup { options: &[option] }, &parts);
    }
}

#[test]
fn small_requests() {
    check_all(&Register { events: &[] }, &[&[0, 0]]);
    check_all(&AuthResponse::Null, &[&[0xFF; 4]]);
    check_all(&AuthResponse::Token(&[]), &[&[0; 4]]);
    let plain = AuthResponse::Plain { user: "cassandra", password: "" };
    check_all(&plain, &[&[0, 0, 0, 11, 0], b"cassandra", &[0]]);
    let prepare = Prepare { statement: "é", keyspace: None };
    check(&prepare, &[&[0, 0, 0, 2, 0xC3, 0xA9]]);
}

/// Flags of the caller's: tracing, and taking part in a beta.
#[test]
fn flags_of_the_header() {
    for flags in [0, flags::TRACING, flags::USE_BETA, flags::COMPRESSION, 0x1B] {
        for version in [Version::V3, Version::V4, Version::V5] {
            let mut out = [0; HEADER_LEN];
            encode_request(&Options, version, flags, -2, &mut out).unwrap();
            assert_eq!(out, [version.as_u8(), flags, 0xFF, 0xFE, 5, 0, 0, 0, 0]);
        }
    }
}
