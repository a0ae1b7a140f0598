//! Tests of requests: bytes built by hand, and promises kept and broken.

use super::*;
use crate::consistency::{Consistency, SerialConsistency};
use crate::error::{LengthMismatch, TypeMismatch};
use crate::row::SerializeRow;
use crate::types::{ColumnSpec, ColumnType};
use crate::value::{SerializeValue, Unset, ValueLen};

fn encode<R: Request + ?Sized>(request: &R) -> Vec<u8> {
    let mut out = vec![0xAA; frame_len(request).unwrap()];
    encode_request(request, Version::V4, 0, 7, &mut out).unwrap();
    out
}

#[track_caller]
fn check<R: Request + ?Sized>(request: &R, parts: &[&[u8]]) {
    let body = parts.concat();
    let mut frame = vec![4, 0, 0, 7, R::OPCODE.as_u8()];
    frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    assert_eq!(encode(request), frame);
}

const ID: [u8; 16] = [0x1D; 16];

#[test]
fn options_startup_register_prepare() {
    check(&Options, &[]);
    let options = [Startup::CQL_VERSION, (Startup::COMPRESSION, "lz4")];
    check(
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
    check(
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
    check(&Prepare { statement: "SELECT 1" }, &[&[0, 0, 0, 8], b"SELECT 1"]);
}

#[test]
fn auth_response() {
    let token = [0, b'u', 0, b'p'];
    check(&AuthResponse::Token(&token), &[&[0, 0, 0, 4], &token]);
    let plain = AuthResponse::Plain { user: "u", password: "p" };
    check(&plain, &[&[0, 0, 0, 4], &token]);
    assert_eq!(format!("{plain:?}"), r#"Plain { user: "u", .. }"#);
}

#[test]
fn query() {
    let bare = Query {
        statement: "SELECT a",
        values: &(),
        columns: &[],
        parameters: Parameters { consistency: Consistency::One, ..Parameters::default() },
    };
    check(&bare, &[&[0, 0, 0, 8], b"SELECT a", &[0, 1, 0]]);
    let full = Query {
        statement: "SELECT a",
        values: &(1, Unset),
        columns: &[],
        parameters: Parameters {
            consistency: Consistency::Quorum,
            serial_consistency: Some(SerialConsistency::LocalSerial),
            timestamp: Some(-2),
            page_size: Some(5000),
            paging_state: Some(&[1, 2, 3]),
            skip_metadata: true,
        },
    };
    check(
        &full,
        &[
            &[0, 0, 0, 8],
            b"SELECT a",
            &[0, 4, 0x3F],
            &[0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE],
            &[0, 0, 0x13, 0x88],
            &[0, 0, 0, 3, 1, 2, 3],
            &[0, 9],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE],
        ],
    );
}

#[test]
fn execute() {
    let row = (7_i64, 1_i32, &b"xy"[..]);
    let request = Execute {
        id: &ID,
        result_metadata_id: None,
        values: &row,
        columns: &[],
        parameters: Parameters { page_size: Some(10), ..Parameters::default() },
    };
    let values: &[u8] =
        &[0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, b'x', b'y'];
    let page_size = [0, 0, 0, 10];
    check(&request, &[&[0, 16], &ID, &[0, 6, 5], values, &page_size]);
    let with_metadata_id = Execute { result_metadata_id: Some(&[9, 9]), ..request };
    let metadata_id = [0, 2, 9, 9];
    check(&with_metadata_id, &[&[0, 16], &ID, &metadata_id, &[0, 6, 5], values, &page_size]);
}

#[test]
fn a_template_writes_the_same_as_the_request() {
    let state = [1, 2, 3];
    let plain = Parameters::default();
    let all = Parameters {
        consistency: Consistency::One,
        serial_consistency: Some(SerialConsistency::Serial),
        timestamp: Some(1),
        page_size: Some(10),
        paging_state: Some(&state),
        skip_metadata: true,
    };
    fn check_row<R: SerializeRow>(row: &R, parameters: Parameters<'_>) {
        for id in [&ID[..], &[1; 20], &[]] {
            for result_metadata_id in [None, Some(&[7_u8; 16][..])] {
                let request =
                    Execute { id, result_metadata_id, values: row, columns: &[], parameters };
                let expected = encode(&request);
                let template =
                    ExecuteTemplate::new(Version::V4, 0, id, result_metadata_id, row.value_count())
                        .unwrap();
                let len = template.frame_len(row, &[], &parameters).unwrap();
                let mut out = vec![0xAA; len];
                template.write(7, row, &[], &parameters, &mut out).unwrap();
                assert_eq!(out, expected);
                // Never into a slice of another length.
                for len in (0..len).chain([len + 1]) {
                    let mut out = vec![0; len];
                    assert!(template.write(7, row, &[], &parameters, &mut out).is_err(), "{len}");
                }
            }
        }
    }
    for parameters in [plain, all] {
        check_row(&(7_i64, 1_i32, &b"xy"[..]), parameters);
        check_row(&(), parameters);
        check_row(&vec!["a", "b"], parameters);
    }
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

fn batch_of<I: BatchItems>(items: I) -> Batch<I> {
    Batch {
        kind: BatchKind::Logged,
        items,
        consistency: Consistency::One,
        serial_consistency: None,
        timestamp: None,
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
    assert_eq!(frame_len(&batch_of(items)), Err(error));
    let rows = vec![(1, 2); 1 << 16];
    let items = BatchRows { head: &head, rows: &rows, columns: &[] };
    assert!(matches!(frame_len(&batch_of(items)), Err(SerializeError::PartTooLong { .. })));
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
        let mut out = vec![0; frame_len(&request)?];
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
    let request = Query { statement: "", values: &LyingRow, columns: &[], parameters };
    let mut out = vec![0; frame_len(&request).unwrap()];
    let len = out.len();
    assert_eq!(
        encode_request(&request, Version::V4, 0, 1, &mut out),
        Err(LengthMismatch { announced: len, written: len - 1 }.into())
    );
}

#[test]
fn what_the_protocol_cannot_express() {
    let long = "x".repeat(65_536);
    let startup = Startup { options: &[("a", &long)] };
    assert!(matches!(frame_len(&startup), Err(SerializeError::PartTooLong { len: 65_536, .. })));
    let values = vec![1; 65_536];
    let parameters = Parameters::default();
    let query = Query { statement: "", values: &values, columns: &[], parameters };
    assert!(matches!(frame_len(&query), Err(SerializeError::PartTooLong { what: "values", .. })));
    let blob = vec![0_u8; 100 << 20];
    let row = (&*blob, &*blob, &*blob);
    let query = Query { statement: "", values: &row, columns: &[], parameters };
    assert!(matches!(
        frame_len(&query),
        Err(SerializeError::PartTooLong { what: "request body", .. })
    ));
    let unsupported = SerializeError::UnsupportedVersion(Version::V5);
    let prepare = Prepare { statement: "" };
    let mut out = [0; 13];
    assert_eq!(encode_request(&prepare, Version::V5, 0, 0, &mut out), Err(unsupported));
    assert_eq!(encode_request(&Options, Version::V5, 0, 0, &mut out[..9]), Ok(()));
    assert!(encode_request(&Options, Version::V4, 0, 0, &mut out[..8]).is_err());
    assert!(ExecuteTemplate::new(Version::V5, 0, &ID, None, 1).is_err());
}
