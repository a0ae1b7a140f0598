//! Tests of batches: the short way writes what the long one does, and refuses the same.

use shardwire_protocol::error::TypeMismatch;
use shardwire_protocol::header::{HEADER_LEN, Opcode, Version};
use shardwire_protocol::metadata::ResultMetadata;
use shardwire_protocol::response::{Agreed, Body, Response, ResultBody};
use shardwire_protocol::types::ColumnType;
use shardwire_protocol::value::{SerializeValue, ValueLen};

use super::*;
use crate::error::ErrorKind;
use crate::statement::Ids;

const BIGINT: u16 = 0x02;
const BLOB: u16 = 0x03;
const INT: u16 = 0x09;

fn byte(len: usize) -> u8 {
    len.try_into().unwrap()
}

/// A statement with markers of these types.
pub(crate) fn prepared(id: &[u8], types: &[u16]) -> PreparedStatement {
    let string = |text: &str| [&[0, byte(text.len())], text.as_bytes()].concat();
    let columns = types.iter().flat_map(|typ| [string("c"), typ.to_be_bytes().to_vec()].concat());
    let body = [
        vec![0, 0, 0, 4, 0, byte(id.len())],
        id.to_vec(),
        vec![0, 0, 0, 1, 0, 0, 0, byte(types.len()), 0, 0, 0, 0],
        string("k"),
        string("t"),
        columns.collect(),
        vec![0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let body_len = body.len().try_into().unwrap();
    let (version, opcode) = (Version::V4, Opcode::Result);
    let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len };
    let body = Body::parse(&header, &body).unwrap();
    let Ok(Response::Result(ResultBody::Prepared(answer))) =
        body.response(&Agreed::default(), None)
    else {
        panic!("not the answer to a PREPARE");
    };
    let bind = answer.bind.to_metadata(None).unwrap();
    let result = ResultMetadata::parse(&answer.result).unwrap();
    let ids = Ids { id: answer.id, result_metadata: None };
    PreparedStatement::new(Version::V4, ids, "INSERT", bind, result, Config::default(), false)
        .unwrap()
}

fn batch_of(statement: &PreparedStatement, count: usize) -> Batch {
    let mut batch = Batch::new(BatchType::Unlogged);
    (0..count).for_each(|_| batch.append_statement(statement.clone()));
    batch
}

fn encode_run<B: BatchValues>(run: &Run<'_, B>) -> Result<Vec<u8>, Error> {
    let mut frame = vec![0xAA; run.frame_len()?];
    run.encode(7, &mut frame).map_err(|error| run.serialize_error(error))?;
    Ok(frame)
}

fn frame(batch: &Batch, values: impl BatchValues) -> Result<Vec<u8>, Error> {
    encode_run(&Run { batch, values, version: Version::V4 })
}

/// Rows that are only given out one by one.
struct OneByOne<B>(B);

impl<B: BatchValues> BatchValues for OneByOne<B> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn with_row<V: RowVisitor>(&self, index: usize, visit: V) -> Option<V::Output> {
        self.0.with_row(index, visit)
    }
}

/// Both ways to the frame.
#[track_caller]
fn check(batch: &Batch, rows: impl BatchValues, expect: &Result<Vec<u8>, ErrorKind>) {
    let frames = [frame(batch, &rows), frame(batch, OneByOne(rows))];
    for frame in frames {
        assert_eq!(frame.map_err(|error| error.kind()), *expect);
    }
}

#[test]
fn both_ways_write_the_same() {
    let batch = batch_of(&prepared(&[0x1D; 16], &[BIGINT, INT, BLOB]), 2);
    assert!(batch.alike().is_some());
    let item = |values: &[u8]| [&[1, 0, 16], &[0x1D; 16][..], &[0, 3], values].concat();
    let body = [
        vec![1, 0, 2],
        item(&[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 1, b'x']),
        item(&[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0]),
        vec![0, 6, 0x10, 0, 9],
    ]
    .concat();
    let golden = Ok([&[4, 0, 0, 7, 13, 0, 0, 0, byte(body.len())], body.as_slice()].concat());

    let rows = [(1_i64, 2_i32, &b"x"[..]), (3, 4, b"")];
    check(&batch, rows, &golden);
    check(&batch, rows.as_slice(), &golden);
    check(&batch, rows.to_vec(), &golden);
    check(&batch, (rows[0], rows[1]), &golden);
    check(&batch, ((1_i64, 2_i32, [b'x']), (3_i64, Some(4_i32), Vec::<u8>::new())), &golden);
    let mixed: [&dyn SerializeRow; 2] = [&rows[0], &(3_i64, 4_i32, Vec::<u8>::new())];
    check(&batch, mixed, &golden);
}

#[test]
fn only_clones_of_one_statement_are_alike() {
    let statement = prepared(&[0x1D; 16], &[INT]);
    let (first, second) = (prepared(&[0x2E; 16], &[INT]), prepared(&[0x1D; 16], &[INT]));
    let rows = [(1_i32,), (2,), (3,)];
    for other in [first.into(), second.into(), BatchStatement::from("INSERT")] {
        let statements = [statement.clone().into(), statement.clone().into(), other];
        for order in [[0, 1, 2], [2, 0, 1], [0, 2, 1]] {
            let statements = order.map(|index: usize| statements[index].clone()).to_vec();
            let mut appended = Batch::new(BatchType::Logged);
            statements.iter().for_each(|statement| appended.append_statement(statement.clone()));
            let batch = Batch::new_with_statements(BatchType::Logged, statements);
            assert!(batch.alike().is_none() && appended.alike().is_none());
            let whole = frame(&batch, rows).map_err(|error| error.kind());
            check(&appended, rows, &whole);
        }
    }
    let clones = vec![statement.clone().into(), statement.into()];
    assert!(Batch::new_with_statements(BatchType::Logged, clones).alike().is_some());
    assert!(Batch::default().alike().is_none());
    check(&Batch::default(), rows, &Err(ErrorKind::Config));
    assert!(frame(&Batch::default(), &rows[..0]).is_ok());
}

#[test]
fn ids_of_another_length_go_the_long_way() {
    let batch = batch_of(&prepared(b"id", &[INT]), 1);
    assert!(batch.alike().is_none());
    let golden = [
        [4, 0, 0, 7, 13, 0, 0, 0, 23].as_slice(),
        &[1, 0, 1, 1, 0, 2, b'i', b'd', 0, 1, 0, 0, 0, 4, 0, 0, 0, 5],
        &[0, 6, 0x10, 0, 9],
    ];
    check(&batch, [(5_i32,)], &Ok(golden.concat()));
}

#[test]
fn what_does_not_fit_is_refused() {
    let batch = batch_of(&prepared(&[0x1D; 16], &[INT, INT]), 2);
    assert_eq!(HEADER_LEN + 3 + 2 * (21 + 16) + 5, frame(&batch, [(1, 2); 2]).unwrap().len());
    check(&batch, [(1, 2); 1], &Err(ErrorKind::Config));
    check(&batch, [(1, 2); 3], &Err(ErrorKind::Config));
    check(&batch, [(1, "2"); 2], &Err(ErrorKind::Serialize));
    check(&batch, [(1,); 2], &Err(ErrorKind::Serialize));
    // Neither how many values these rows have nor their types are part of the rows' type.
    check(&batch, [vec![1, 2], vec![1]], &Err(ErrorKind::Serialize));
    let rows: [&dyn SerializeRow; 2] = [&(1, 2), &(1, "2")];
    check(&batch, rows, &Err(ErrorKind::Serialize));
    let rows: [&dyn SerializeRow; 2] = [&(1, 2), &[1, 2, 3]];
    check(&batch, rows, &Err(ErrorKind::Serialize));
}

/// Announces three bytes, whatever it writes.
struct Liar(usize);

impl SerializeValue for Liar {
    fn type_check(_: &ColumnType) -> Result<(), TypeMismatch> {
        Ok(())
    }

    fn value_len(&self, _: &ColumnType) -> Result<ValueLen, SerializeError> {
        Ok(ValueLen::Bytes(3))
    }

    fn write(&self, _: &ColumnType, out: &mut Writer<'_>) {
        out.put_slice(&vec![0; self.0]);
    }
}

#[test]
fn a_broken_promise_never_becomes_a_frame() {
    let batch = batch_of(&prepared(&[0x1D; 16], &[BLOB]), 2);
    assert!(frame(&batch, [(Liar(3),), (Liar(3),)]).is_ok());
    for (first, second) in [(2, 3), (3, 4), (4, 2), (3, 90)] {
        check(&batch, [(Liar(first),), (Liar(second),)], &Err(ErrorKind::Serialize));
    }
}

/// Has other rows each time it is asked.
struct Fickle(std::cell::Cell<usize>);

impl BatchValues for Fickle {
    fn len(&self) -> usize {
        2
    }

    fn with_row<V: RowVisitor>(&self, _: usize, visit: V) -> Option<V::Output> {
        Some(visit.visit(&(1,)))
    }

    fn with_rows<V: RowsVisitor>(&self, visit: V) -> Option<V::Output> {
        let count = self.0.replace(self.0.get() + 1);
        Some(visit.visit(vec![(1,); count].as_slice()))
    }
}

#[test]
fn rows_that_change_are_refused() {
    let batch = batch_of(&prepared(&[0x1D; 16], &[INT]), 2);
    for (count, kind) in [(1, ErrorKind::Config), (2, ErrorKind::Serialize)] {
        assert_eq!(frame(&batch, Fickle(count.into())).unwrap_err().kind(), kind);
    }
}
