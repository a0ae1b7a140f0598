//! Tests of requests: bytes built by hand, and promises kept and broken.

use super::*;
use crate::consistency::{Consistency, SerialConsistency};
use crate::error::{LengthMismatch, TypeMismatch};
use crate::row::SerializeRow;
use crate::types::{ColumnSpec, ColumnType};
use crate::value::{SerializeValue, Unset, ValueLen};

fn encode<R: Request + ?Sized>(request: &R, version: Version) -> Vec<u8> {
    let mut out = vec![0xAA; frame_len(request, version).unwrap()];
    encode_request(request, version, 0, 7, &mut out).unwrap();
    out
}

/// The frame in this version is made of these parts; no slice of another length is taken.
#[track_caller]
pub(super) fn check_in<R: Request + ?Sized>(version: Version, request: &R, parts: &[&[u8]]) {
    let body = parts.concat();
    let mut frame = vec![version.as_u8(), request.header_flags(), 0, 7, R::OPCODE.as_u8()];
    frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    assert_eq!(encode(request, version), frame);
    for len in (0..frame.len()).chain([frame.len() + 1]) {
        let mut out = vec![0; len];
        assert!(encode_request(request, version, 0, 7, &mut out).is_err(), "{len}");
    }
}

#[track_caller]
pub(super) fn check<R: Request + ?Sized>(request: &R, parts: &[&[u8]]) {
    check_in(Version::V3, request, parts);
    check_in(Version::V4, request, parts);
}

#[track_caller]
pub(super) fn check_all<R: Request + ?Sized>(request: &R, parts: &[&[u8]]) {
    check(request, parts);
    check_in(Version::V5, request, parts);
}

/// Neither measured nor written, whatever the length of the slice.
#[track_caller]
pub(super) fn refused<R: Request + ?Sized>(request: &R, version: Version, what: &'static str) {
    let error = SerializeError::NotInMessage { what, opcode: R::OPCODE, version };
    assert_eq!(frame_len(request, version), Err(error));
    for len in 0..200 {
        let mut out = vec![0; len];
        assert!(encode_request(request, version, 0, 7, &mut out).is_err(), "{len}");
    }
}

const ID: [u8; 16] = [0x1D; 16];

#[test]
fn options_startup_register_prepare() {
    check_all(&Options, &[]);
    let options = [Startup::CQL_VERSION, (Startup::COMPRESSION, "lz4")];
    check_all(
        &Startup { options: &options },
        &[
            &[0, 2],
            &[0, 11],
            b"CQL_VERSION",
            &[0, 5],
            b"4.0.0",
            &[0, 11],
            b"COMPRESSION",
            &[0, 3],
            b"lz4",
        ],
    );
    let events = [EventKind::TopologyChange, EventKind::StatusChange, EventKind::SchemaChange];
    check_all(
        &Register { events: &events },
        &[
            &[0, 3],
            &[0, 15],
            b"TOPOLOGY_CHANGE",
            &[0, 13],
            b"STATUS_CHANGE",
            &[0, 13],
            b"SCHEMA_CHANGE",
        ],
    );
    check_all(
        &Register { events: &[EventKind::ClientRoutesChange] },
        &[&[0, 1, 0, 20], b"CLIENT_ROUTES_CHANGE"],
    );
    let prepare = Prepare { statement: "SELECT 1", keyspace: None };
    let statement: [&[u8]; 2] = [&[0, 0, 0, 8], b"SELECT 1"];
    check(&prepare, &statement);
    check_in(Version::V5, &prepare, &[statement[0], statement[1], &[0, 0, 0, 0]]);
    let prepare = Prepare { keyspace: Some("ks"), ..prepare };
    let keyspace = [0, 0, 0, 1, 0, 2, b'k', b's'];
    check_in(Version::V5, &prepare, &[statement[0], statement[1], &keyspace]);
    refused(&prepare, Version::V4, "keyspace");
    refused(&prepare, Version::V3, "keyspace");
}

#[test]
fn auth_response() {
    let token = [0, b'u', 0, b'p'];
    check_all(&AuthResponse::Token(&token), &[&[0, 0, 0, 4], &token]);
    let plain = AuthResponse::Plain { user: "u", password: "p" };
    check_all(&plain, &[&[0, 0, 0, 4], &token]);
    assert_eq!(format!("{plain:?}"), r#"Plain { user: "u", .. }"#);
}

/// All that a statement can say in version 4.
fn full(state: &[u8]) -> Parameters<'_> {
    Parameters {
        consistency: Consistency::Quorum,
        serial_consistency: Some(SerialConsistency::LocalSerial),
        timestamp: Some(-2),
        page_size: Some(5000),
        paging_state: Some(state),
        skip_metadata: true,
        ..Parameters::default()
    }
}

/// What follows the values for [`full`] with the state 1, 2, 3.
const FULL_TAIL: &[u8] = &[
    0, 0, 0x13, 0x88, // page size
    0, 0, 0, 3, 1, 2, 3, // paging state
    0, 9, // serial consistency
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, // timestamp
];

#[test]
fn query() {
    let bare = Query {
        statement: "SELECT a",
        values: &(),
        columns: &[],
        names: ValueNames::None,
        parameters: Parameters { consistency: Consistency::One, ..Parameters::default() },
    };
    let statement: [&[u8]; 2] = [&[0, 0, 0, 8], b"SELECT a"];
    check(&bare, &[statement[0], statement[1], &[0, 1, 0]]);
    check_in(Version::V5, &bare, &[statement[0], statement[1], &[0, 1, 0, 0, 0, 0]]);
    let values = [0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE];
    let query = Query {
        statement: "SELECT a",
        values: &(1, Unset),
        columns: &[],
        names: ValueNames::None,
        parameters: full(&[1, 2, 3]),
    };
    let parts: [&[u8]; 5] = [statement[0], statement[1], &[0, 4, 0x3F], &values, FULL_TAIL];
    check_in(Version::V4, &query, &parts);
    let flags = [0, 4, 0, 0, 0, 0x3F];
    check_in(Version::V5, &query, &[statement[0], statement[1], &flags, &values, FULL_TAIL]);
}

/// What only version 5 has, and what only EXECUTE has.
#[test]
fn fields_of_some_messages() {
    let parameters =
        Parameters { keyspace: Some("ks"), now_in_seconds: Some(0x0102_0304), ..full(&[1, 2, 3]) };
    let query =
        Query { statement: "S", values: &(7,), columns: &[], names: ValueNames::None, parameters };
    let body: [&[u8]; 5] = [
        &[0, 0, 0, 1, b'S'],
        &[0, 4, 0, 0, 1, 0xBF],
        &[0, 1, 0, 0, 0, 4, 0, 0, 0, 7],
        FULL_TAIL,
        &[0, 2, b'k', b's', 1, 2, 3, 4],
    ];
    check_in(Version::V5, &query, &body);
    for version in [Version::V3, Version::V4] {
        refused(&query, version, "keyspace");
        let parameters = Parameters { keyspace: None, ..parameters };
        refused(&Query { parameters, ..query }, version, "time in seconds");
        let parameters = Parameters { keyspace: Some(""), ..Parameters::default() };
        refused(&Query { parameters, ..query }, version, "keyspace");
    }
    let with_block = Parameters { tablet_block: Some(0x4F), ..Parameters::default() };
    for version in [Version::V3, Version::V4, Version::V5] {
        refused(&Query { parameters: with_block, ..query }, version, "tablet block");
    }
    let execute = Execute {
        id: &ID,
        result_metadata_id: None,
        values: &(7,),
        columns: &[],
        names: ValueNames::None,
        parameters: with_block,
    };
    let body: [&[u8]; 3] = [&[0, 16], &ID, &[0, 6, 1, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 0x4F]];
    check(&execute, &body);
    let parameters = Parameters { tablet_block: Some(0xF0), ..parameters };
    let body: [&[u8]; 6] = [
        &[0, 16],
        &ID,
        &[0, 0, 0, 4, 0, 0, 1, 0xBF],
        &[0, 1, 0, 0, 0, 4, 0, 0, 0, 7],
        FULL_TAIL,
        &[0, 2, b'k', b's', 1, 2, 3, 4, 0xF0],
    ];
    check_in(Version::V5, &Execute { parameters, ..execute }, &body);
    refused(&Execute { parameters, ..execute }, Version::V4, "keyspace");
}

#[test]
fn execute() {
    let row = (7_i64, 1_i32, &b"xy"[..]);
    let request = Execute {
        id: &ID,
        result_metadata_id: None,
        values: &row,
        columns: &[],
        names: ValueNames::None,
        parameters: Parameters { page_size: Some(10), ..Parameters::default() },
    };
    let values: &[u8] =
        &[0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, b'x', b'y'];
    let page_size = [0, 0, 0, 10];
    check(&request, &[&[0, 16], &ID, &[0, 6, 5], values, &page_size]);
    let flags = [0, 6, 0, 0, 0, 5];
    check_in(Version::V5, &request, &[&[0, 16], &ID, &[0, 0], &flags, values, &page_size]);
    let with_metadata_id = Execute { result_metadata_id: Some(&[9, 9]), ..request };
    let metadata_id = [0, 2, 9, 9];
    check(&with_metadata_id, &[&[0, 16], &ID, &metadata_id, &[0, 6, 5], values, &page_size]);
    let parts: [&[u8]; 6] = [&[0, 16], &ID, &metadata_id, &flags, values, &page_size];
    check_in(Version::V5, &with_metadata_id, &parts);
}

fn columns(names: &[&str]) -> Vec<ColumnSpec> {
    let spec = |name: &&str| ColumnSpec {
        keyspace: "k".into(),
        table: "t".into(),
        name: (*name).into(),
        typ: ColumnType::Int,
    };
    names.iter().map(spec).collect()
}

#[test]
fn named_values() {
    let columns = columns(&["id", "", "name"]);
    let row = (7, Unset, "abc");
    let values = [
        &[0, 3, 0, 2, b'i', b'd', 0, 0, 0, 4, 0, 0, 0, 7][..],
        &[0, 0, 0xFF, 0xFF, 0xFF, 0xFE],
        &[0, 4, b'n', b'a', b'm', b'e', 0, 0, 0, 3, b'a', b'b', b'c'],
        &[0, 0, 0, 9],
    ]
    .concat();
    let parameters = Parameters { page_size: Some(9), ..Parameters::default() };
    for names in [ValueNames::OfColumns, ValueNames::Given(&["id", "", "name"])] {
        let query = Query { statement: "S", values: &row, columns: &columns, names, parameters };
        let statement = [0, 0, 0, 1, b'S'];
        check_in(Version::V4, &query, &[&statement, &[0, 6, 0x45], &values]);
        refused(&query, Version::V3, "unset value");
        check_in(Version::V5, &query, &[&statement, &[0, 6, 0, 0, 0, 0x45], &values]);
        let execute = Execute {
            id: &ID,
            result_metadata_id: None,
            values: &row,
            columns: &columns,
            names,
            parameters,
        };
        check_in(Version::V4, &execute, &[&[0, 16], &ID, &[0, 6, 0x45], &values]);
        let flags = [0, 0, 0, 6, 0, 0, 0, 0x45];
        check_in(Version::V5, &execute, &[&[0, 16], &ID, &flags, &values]);
    }
    let names = ValueNames::Given(&["id"]);
    let query = Query { statement: "S", values: &row, columns: &columns, names, parameters };
    let error = SerializeError::WrongValueCount { expected: 1, got: 3 };
    assert_eq!(frame_len(&query, Version::V4), Err(error));
    let long = "x".repeat(65_536);
    let names = [&*long];
    let query = Query {
        statement: "S",
        values: &(1,),
        columns: &[],
        names: ValueNames::Given(&names),
        parameters,
    };
    let error = frame_len(&query, Version::V4).unwrap_err();
    assert!(matches!(error, SerializeError::PartTooLong { what: "name of a value", .. }));
    // Without values there is nothing to name, and no flag for it.
    let none = Query {
        statement: "S",
        values: &(),
        columns: &[],
        names: ValueNames::Given(&[]),
        parameters: Parameters::default(),
    };
    check(&none, &[&[0, 0, 0, 1, b'S', 0, 6, 0]]);
}

#[test]
fn named_values_that_lie_never_become_a_frame() {
    let encode = |first: (u32, usize), second: (u32, usize)| {
        let liar = |(announced, written)| Liar { announced, written };
        let query = Query {
            statement: "",
            values: &(liar(first), liar(second)),
            columns: &[],
            names: ValueNames::Given(&["a", "bc"]),
            parameters: Parameters::default(),
        };
        let mut out = vec![0; frame_len(&query, Version::V4).unwrap()];
        encode_request(&query, Version::V4, 0, 1, &mut out)
    };
    assert_eq!(encode((3, 3), (4, 4)), Ok(()));
    for (first, second) in
        [((3, 2), (4, 4)), ((3, 2), (4, 5)), ((3, 4), (4, 3)), ((0, 9), (4, 4)), ((3, 3), (4, 9))]
    {
        assert!(encode(first, second).is_err(), "{first:?} {second:?}");
    }
}

/// What named values of any lengths are, put together by appending.
fn named(names: &[String], values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in names.iter().zip(values) {
        out.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        out.extend(name.as_bytes());
        match value {
            Some(value) => {
                out.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                out.extend(value);
            }
            None => out.extend([0xFF; 4]),
        }
    }
    out
}

proptest::proptest! {
    #[test]
    fn names_move_before_their_values(
        pairs in proptest::collection::vec(
            (".{0,20}", proptest::option::of(proptest::collection::vec(0_u8.., 0..40))),
            1..8,
        ),
    ) {
        let (names, values): (Vec<String>, Vec<Option<Vec<u8>>>) = pairs.into_iter().unzip();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let bound: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        let query = Query {
            statement: "",
            values: &bound,
            columns: &[],
            names: ValueNames::Given(&borrowed),
            parameters: Parameters::default(),
        };
        let frame = encode(&query, Version::V4);
        proptest::prop_assert_eq!(&frame[HEADER_LEN + 9..], &*named(&names, &values));
    }
}

#[test]
fn custom_payload() {
    let payload: [(&str, &[u8]); 2] = [("a", &[1, 2]), ("", &[])];
    let entries = [0, 2, 0, 1, b'a', 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0];
    let prepare = Prepare { statement: "S", keyspace: None };
    let with = WithPayload { payload: &payload, request: prepare };
    let statement = [0, 0, 0, 1, b'S'];
    check_in(Version::V4, &with, &[&entries, &statement]);
    check_in(Version::V5, &with, &[&entries, &statement, &[0, 0, 0, 0]]);
    refused(&with, Version::V3, "custom payload");
    let query = Query {
        statement: "S",
        values: &(),
        columns: &[],
        names: ValueNames::None,
        parameters: Parameters::default(),
    };
    let with = WithPayload { payload: &payload, request: query };
    check_in(Version::V4, &with, &[&entries, &statement, &[0, 6, 0]]);
    let head = BatchItemHead::new(&ID, 1).unwrap();
    let items = BatchRows { head: &head, rows: &[(1,)][..0], columns: &[] };
    let with = WithPayload { payload: &payload, request: batch_of(items) };
    check_in(Version::V4, &with, &[&entries, &[0, 0, 0, 0, 1, 0]]);
    let execute = Execute {
        id: b"id",
        result_metadata_id: None,
        values: &(),
        columns: &[],
        names: ValueNames::None,
        parameters: Parameters::default(),
    };
    let with = WithPayload { payload: &payload, request: execute };
    check_in(Version::V4, &with, &[&entries, &[0, 2, b'i', b'd', 0, 6, 0]]);
    // The flag is the request's business, others are the caller's.
    let mut out = vec![0; frame_len(&with, Version::V4).unwrap()];
    encode_request(&with, Version::V4, 2, 7, &mut out).unwrap();
    assert_eq!(out[1], 6);
    let mut out = [0; HEADER_LEN];
    encode_request(&Options, Version::V4, 6, 7, &mut out).unwrap();
    assert_eq!(out[1], 2);
}

#[test]
fn a_template_writes_the_same_as_the_request() {
    fn check_row<R: SerializeRow>(row: &R, version: Version, parameters: Parameters<'_>) {
        for id in [&ID[..], &[1; 20], &[]] {
            for result_metadata_id in [None, Some(&[7_u8; 16][..])] {
                let request = Execute {
                    id,
                    result_metadata_id,
                    values: row,
                    columns: &[],
                    names: ValueNames::None,
                    parameters,
                };
                let count = row.value_count();
                let template =
                    ExecuteTemplate::new(version, 0, id, result_metadata_id, count).unwrap();
                if let Err(error) = frame_len(&request, version) {
                    assert_eq!(template.frame_len(row, &[], &parameters), Err(error));
                    for len in 0..300 {
                        let mut out = vec![0; len];
                        assert!(template.write(7, row, &[], &parameters, &mut out).is_err());
                    }
                    continue;
                }
                let expected = encode(&request, version);
                let len = template.frame_len(row, &[], &parameters).unwrap();
                let mut out = vec![0xAA; len];
                template.write(7, row, &[], &parameters, &mut out).unwrap();
                assert_eq!(out, expected);
                // Never into a slice of another length.
                for len in (0..len).chain([len + 1]) {
                    let mut out = vec![0; len];
                    assert!(template.write(7, row, &[], &parameters, &mut out).is_err(), "{len}");
                }
                let mut fixed = template.clone();
                if fixed.fix(&parameters) {
                    let mut out = vec![0xAA; fixed.plain_frame_len(row, &[]).unwrap()];
                    fixed.write_plain(7, row, &[], &mut out).unwrap();
                    assert_eq!(out, expected);
                }
            }
        }
    }
    let state = [1, 2, 3];
    let plain = Parameters::default();
    let with_block = Parameters { tablet_block: Some(7), ..plain };
    let of_v5 = Parameters { keyspace: Some("ks"), now_in_seconds: Some(1), ..full(&state) };
    for version in [Version::V3, Version::V4, Version::V5] {
        for parameters in [plain, full(&state), with_block, of_v5] {
            check_row(&(7_i64, 1_i32, &b"xy"[..]), version, parameters);
            check_row(&(), version, parameters);
            check_row(&(1, Unset, None::<i32>), version, parameters);
            check_row(&vec!["a", "b"], version, parameters);
        }
    }
    // A custom payload is not the template's.
    let template = ExecuteTemplate::new(Version::V4, 6, &ID, None, 0).unwrap();
    let mut out = vec![0; template.frame_len(&(), &[], &plain).unwrap()];
    template.write(1, &(), &[], &plain, &mut out).unwrap();
    assert_eq!(out[1], 2);
    let template = ExecuteTemplate::new(Version::V4, 0, &ID, None, 2).unwrap();
    assert_eq!(
        template.frame_len(&(1,), &[], &plain),
        Err(SerializeError::WrongValueCount { expected: 2, got: 1 })
    );
}

/// Rows of one prepared statement, then a text without values.
struct Items<'a>(&'a [(i32, &'a str)]);

impl BatchItems for Items<'_> {
    fn count(&self) -> usize {
        self.0.len() + 1
    }

    fn statement(&self, index: usize) -> BatchStatement<'_> {
        if index < self.0.len() {
            BatchStatement::Prepared(&ID)
        } else {
            BatchStatement::Text("INSERT")
        }
    }

    fn value_count(&self, index: usize) -> usize {
        self.0.get(index).map_or(0, SerializeRow::value_count)
    }

    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        self.0.get(index).map_or(Ok(0), |row| row.values_len(&[]))
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        if let Some(row) = self.0.get(index) {
            row.write_values(&[], out);
        }
    }
}

#[test]
fn batch() {
    let rows = [(1, "a"), (2, "")];
    let request = Batch {
        kind: BatchKind::Unlogged,
        items: Items(&rows),
        consistency: Consistency::LocalQuorum,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    };
    let items: [&[u8]; 8] = [
        &[1, 0, 3],
        &[1, 0, 16],
        &ID,
        &[0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'a'],
        &[1, 0, 16],
        &ID,
        &[0, 2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0],
        &[0, 0, 0, 0, 6, b'I', b'N', b'S', b'E', b'R', b'T', 0, 0],
    ];
    check(&request, &[items.as_slice(), &[&[0, 6, 0]]].concat());
    let timed = Batch {
        serial_consistency: Some(SerialConsistency::Serial),
        timestamp: Some(1),
        ..request
    };
    let tail = [0, 6, 0x30, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1];
    check(&timed, &[items.as_slice(), &[&tail]].concat());
    let tail = [0, 6, 0, 0, 0, 0x30, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1];
    check_in(Version::V5, &timed, &[items.as_slice(), &[&tail]].concat());
    let now = Batch { now_in_seconds: Some(-1), ..timed };
    refused(&now, Version::V4, "time in seconds");
    let all = Batch { keyspace: Some("ks"), ..now };
    refused(&all, Version::V4, "keyspace");
    refused(&all, Version::V3, "keyspace");
    let tail = [
        &[0, 6, 0, 0, 1, 0xB0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1][..],
        &[0, 2, b'k', b's', 0xFF, 0xFF, 0xFF, 0xFF],
    ]
    .concat();
    check_in(Version::V5, &all, &[items.as_slice(), &[&tail]].concat());
}

/// As [`Items`], but with ids of another length.
struct ShortIds<'a>(Items<'a>);

impl BatchItems for ShortIds<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn statement(&self, index: usize) -> BatchStatement<'_> {
        match self.0.statement(index) {
            BatchStatement::Prepared(_) => BatchStatement::Prepared(b"id"),
            text => text,
        }
    }

    fn value_count(&self, index: usize) -> usize {
        self.0.value_count(index)
    }

    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        self.0.values_len(index)
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        self.0.write_values(index, out);
    }
}

fn batch_of<I: BatchItems>(items: I) -> Batch<'static, I> {
    Batch {
        kind: BatchKind::Logged,
        items,
        consistency: Consistency::One,
        serial_consistency: None,
        timestamp: None,
        keyspace: None,
        now_in_seconds: None,
    }
}

#[test]
fn batch_with_ids_of_another_length() {
    let parts: [&[u8]; 4] = [
        &[0, 0, 2, 1, 0, 2, b'i', b'd'],
        &[0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'a'],
        &[0, 0, 0, 0, 6, b'I', b'N', b'S', b'E', b'R', b'T', 0, 0],
        &[0, 1, 0],
    ];
    check(&batch_of(ShortIds(Items(&[(1, "a")]))), &parts);
}

#[test]
fn batch_of_one_statement() {
    let head = BatchItemHead::new(&ID, 2).unwrap();
    let rows = [(1, "a"), (2, "")];
    let parts: [&[u8]; 8] = [
        &[0, 0, 2],
        &[1, 0, 16],
        &ID,
        &[0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'a'],
        &[1, 0, 16],
        &ID,
        &[0, 2, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0],
        &[0, 1, 0],
    ];
    let items = BatchRows { head: &head, rows: &rows, columns: &[] };
    check(&batch_of(items), &parts);
    check(&batch_of(PerItem(items)), &parts);
    let no_rows = BatchRows { rows: &rows[..0], ..items };
    check(&batch_of(no_rows), &[&[0, 0, 0, 0, 1, 0]]);

    assert_eq!(BatchItemHead::new(&ID[1..], 2), None);
    assert_eq!(BatchItemHead::new(&ID, 1 << 16), None);
    let rows = [(1,), (2,)];
    let items = BatchRows { head: &head, rows: &rows, columns: &[] };
    let error = SerializeError::WrongValueCount { expected: 2, got: 1 };
    assert_eq!(frame_len(&batch_of(items), Version::V4), Err(error));
    let rows = vec![(1, 2); 1 << 16];
    let items = BatchRows { head: &head, rows: &rows, columns: &[] };
    assert!(matches!(
        frame_len(&batch_of(items), Version::V4),
        Err(SerializeError::PartTooLong { .. })
    ));
}

/// Leaves measuring and writing all items to the trait.
struct PerItem<B>(B);

impl<B: BatchItems> BatchItems for PerItem<B> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn statement(&self, index: usize) -> BatchStatement<'_> {
        self.0.statement(index)
    }

    fn value_count(&self, index: usize) -> usize {
        self.0.value_count(index)
    }

    fn values_len(&self, index: usize) -> Result<usize, SerializeError> {
        self.0.values_len(index)
    }

    fn write_values(&self, index: usize, out: &mut Writer<'_>) {
        self.0.write_values(index, out);
    }
}

/// Announces one length and writes another.
struct Liar {
    announced: u32,
    written: usize,
}

impl SerializeValue for Liar {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Bytes(self.announced))
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        out.put_slice(&vec![0; self.written]);
    }
}

#[test]
fn a_broken_promise_never_becomes_a_frame() {
    let template = ExecuteTemplate::new(Version::V4, 0, &ID, None, 2).unwrap();
    let parameters = Parameters::default();
    let encode = |first: (u32, usize), second: (u32, usize)| {
        let liar = |(announced, written)| Liar { announced, written };
        let row = (liar(first), liar(second));
        let mut out = vec![0; template.frame_len(&row, &[], &parameters)?];
        template.write(1, &row, &[], &parameters, &mut out)
    };
    let batch = |first: (u32, usize), second: (u32, usize)| {
        let liar = |(announced, written)| (Liar { announced, written },);
        let rows = [liar(first), liar(second)];
        let head = BatchItemHead::new(&ID, 1).unwrap();
        let request = batch_of(BatchRows { head: &head, rows: &rows, columns: &[] });
        let mut out = vec![0; frame_len(&request, Version::V4)?];
        encode_request(&request, Version::V4, 0, 1, &mut out)
    };
    assert_eq!(batch((3, 3), (4, 4)), Ok(()));
    for second in [(4, 3), (4, 5), (4, 7)] {
        assert!(matches!(batch((3, 3), second), Err(SerializeError::Length(_))));
        assert!(matches!(batch(second, (4, 4)), Err(SerializeError::Length(_))));
    }
    // What one row writes too much the other writes too little.
    assert!(matches!(batch((3, 4), (4, 3)), Err(SerializeError::Length(_))));
    assert_eq!(encode((3, 3), (4, 4)), Ok(()));
    let mismatch = LengthMismatch { announced: 15, written: 16 };
    assert_eq!(encode((3, 2), (4, 4)), Err(mismatch.into()));
    assert_eq!(encode((3, 2), (4, 5)), Err(mismatch.into()));
    assert!(encode((3, 4), (4, 4)).is_err());
    assert!(encode((3, 4), (4, 3)).is_err());
    assert!(encode((0, 1000), (4, 4)).is_err());
}

/// A row whose sum is not what it writes.
struct LyingRow;

impl SerializeRow for LyingRow {
    fn type_check(&self, _: &[ColumnSpec]) -> Result<(), SerializeError> {
        Ok(())
    }

    fn type_key(&self) -> Option<usize> {
        None
    }

    fn value_count(&self) -> usize {
        1
    }

    fn values_len(&self, _: &[ColumnSpec]) -> Result<usize, SerializeError> {
        Ok(9)
    }

    fn write_values(&self, _: &[ColumnSpec], out: &mut Writer<'_>) {
        1_i32.write_value(&ColumnType::Int, out);
    }

    fn hash_column(
        &self,
        _: usize,
        _: &[ColumnSpec],
        _: &mut crate::routing::KeySink<'_>,
    ) -> Result<(), SerializeError> {
        Ok(())
    }
}

#[test]
fn a_lying_row_never_becomes_a_frame() {
    let parameters = Parameters::default();
    let names = ValueNames::None;
    let request = Query { statement: "", values: &LyingRow, columns: &[], names, parameters };
    let mut out = vec![0; frame_len(&request, Version::V4).unwrap()];
    let len = out.len();
    assert_eq!(
        encode_request(&request, Version::V4, 0, 1, &mut out),
        Err(LengthMismatch { announced: len, written: len - 1 }.into())
    );
}

#[test]
fn what_the_protocol_cannot_express() {
    let long = "x".repeat(65_536);
    let len = |request: &Startup<'_>| frame_len(request, Version::V4);
    let startup = Startup { options: &[("a", &long)] };
    assert!(matches!(len(&startup), Err(SerializeError::PartTooLong { len: 65_536, .. })));
    let startup = Startup { options: &[(Startup::DRIVER_CONFIG, &long[..=32_768])] };
    assert!(matches!(len(&startup), Err(SerializeError::PartTooLong { max: 32_768, .. })));
    let startup = Startup { options: &[(Startup::DRIVER_CONFIG, &long[..32_768])] };
    assert!(len(&startup).is_ok());
    fn query<R: SerializeRow>(values: &R) -> Query<'_, R> {
        let parameters = Parameters::default();
        Query { statement: "", values, columns: &[], names: ValueNames::None, parameters }
    }
    let values = vec![1; 65_536];
    let error = frame_len(&query(&values), Version::V4);
    assert!(matches!(error, Err(SerializeError::PartTooLong { what: "values", .. })));
    let blob = vec![0_u8; 100 << 20];
    let row = (&*blob, &*blob, &*blob);
    let error = frame_len(&query(&row), Version::V4);
    assert!(matches!(error, Err(SerializeError::PartTooLong { what: "request body", .. })));
    let keyspace = Prepare { statement: "", keyspace: Some(&long) };
    let error = frame_len(&keyspace, Version::V5);
    assert!(matches!(error, Err(SerializeError::PartTooLong { what: "keyspace", .. })));
    let payload = [(&*long, &[][..])];
    let prepare = Prepare { statement: "", keyspace: None };
    let with = WithPayload { payload: &payload, request: prepare };
    let error = frame_len(&with, Version::V4);
    assert!(matches!(error, Err(SerializeError::PartTooLong { .. })));
    let mut out = [0; 13];
    assert!(encode_request(&Options, Version::V4, 0, 0, &mut out[..8]).is_err());
}
