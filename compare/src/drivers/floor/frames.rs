//! Requests encoded once and patched per use; replies parsed just far enough.
//!
//! Next: `engine.rs`.

use std::str;

use anyhow::{Context as _, bail};

use super::{
    PROTOCOL_VERSION,
    connect::{Node, ask},
};
use crate::{
    drivers::Failure,
    fold::{Answer, Fold},
    workload::{self, BATCH_ROWS, PAGE_ROWS, Select},
};

/// A request of which only stream, key and blob change.
pub(super) struct Template {
    frame: Vec<u8>,
    rows: Vec<Row>,
}

/// Values to patch.
struct Row {
    /// Offset of the key.
    key: usize,
    /// The number of the row, if a blob follows.
    c: Option<i32>,
}

/// Values of a row with a blob, from the content of the key to the end of the blob.
///
/// ```text
/// key | [int] 4 | c | [int] 64 | blob
///  8    4         4   4          64
/// ```
type Values = [u8; BLOB_AT + workload::BLOB_LEN];
const BLOB_AT: usize = 8 + 4 + 4 + 4;

impl Template {
    /// Appends the request to `out`.
    #[inline]
    pub(super) fn write(&self, stream: u16, key: i64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        frame[2..4].copy_from_slice(&stream.to_be_bytes());
        for row in &self.rows {
            let values = &mut frame[row.key..];
            let key_bytes = key.to_be_bytes();
            match row.c {
                Some(c) => {
                    let values: &mut Values = values.first_chunk_mut().expect("they are there");
                    values[..8].copy_from_slice(&key_bytes);
                    workload::renew_blob(&mut values[BLOB_AT..], key, c);
                }
                None => values[..8].copy_from_slice(&key_bytes),
            }
        }
    }

    /// Appends a request that ends with a paging state.
    pub(super) fn write_with_state(&self, stream: u16, key: i64, state: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.write(stream, key, out);
        out.extend_from_slice(&(state.len() as u32).to_be_bytes());
        out.extend_from_slice(state);
        let body_len = (out.len() - start - HEADER_LEN) as u32;
        out[start + 5..start + 9].copy_from_slice(&body_len.to_be_bytes());
    }

    fn new(opcode: u8) -> Self {
        Self { frame: vec![PROTOCOL_VERSION, 0, 0, 0, opcode, 0, 0, 0, 0], rows: Vec::new() }
    }

    fn id(&mut self, id: &[u8]) {
        self.frame.extend((id.len() as u16).to_be_bytes());
        self.frame.extend(id);
    }

    fn insert_values(&mut self, c: i32) {
        self.frame.extend(3_u16.to_be_bytes());
        let key = self.value(&[0; 8]);
        self.value(&c.to_be_bytes());
        self.value(&workload::blob(0, c));
        self.rows.push(Row { key, c: Some(c) });
    }

    fn value(&mut self, value: &[u8]) -> usize {
        self.frame.extend((value.len() as u32).to_be_bytes());
        self.frame.extend(value);
        self.frame.len() - value.len()
    }

    fn sealed(mut self) -> Self {
        let body_len = (self.frame.len() - HEADER_LEN) as u32;
        self.frame[5..9].copy_from_slice(&body_len.to_be_bytes());
        self
    }
}

/// The requests of all workloads.
pub(super) struct Frames {
    pub(super) insert: Template,
    pub(super) batch: Template,
    pub(super) first_page: Template,
    pub(super) next_page: Template,
    pub(super) select_grouped: Template,
    selects: [Template; 3],
}

impl Frames {
    /// Prepares the statements on `node` and encodes the requests.
    pub(super) fn prepare(node: &mut Node) -> Result<Self, Failure> {
        // Prepared statements belong to the node, whichever connection asked.
        let socket = node.sockets.first_mut().context("a node has a socket")?;
        let mut prepare = |cql: &str| {
            let mut body = u32::try_from(cql.len())?.to_be_bytes().to_vec();
            body.extend(cql.as_bytes());
            let reply = ask(socket, PREPARE, &body, RESULT).with_context(|| cql.to_owned())?;
            let mut parser = Parser(&reply);
            let id = parser.int().filter(|&kind| kind == KIND_PREPARED);
            let id = id.and_then(|_| parser.short_bytes()).map(<[u8]>::to_vec);
            id.with_context(|| format!("{cql}: not answered as a PREPARE is"))
        };
        let select = |id: &[u8], flags: u8| {
            let mut template = Template::new(EXECUTE);
            template.id(id);
            template.frame.extend(CONSISTENCY);
            template.frame.push(flags);
            template.frame.extend(1_u16.to_be_bytes());
            let key = template.value(&[0; 8]);
            template.rows.push(Row { key, c: None });
            if flags & FLAG_PAGE_SIZE != 0 {
                template.frame.extend(PAGE_ROWS.to_be_bytes());
            }
            template.sealed()
        };
        let mut insert = Template::new(EXECUTE);
        insert.id(&prepare(workload::INSERT)?);
        insert.frame.extend(CONSISTENCY);
        insert.frame.push(FLAG_VALUES | FLAG_SKIP_METADATA);
        insert.insert_values(0);
        let grouped = prepare(workload::INSERT_GROUPED)?;
        let mut batch = Template::new(BATCH);
        batch.frame.push(BATCH_UNLOGGED);
        batch.frame.extend((BATCH_ROWS as u16).to_be_bytes());
        for c in 0..BATCH_ROWS {
            batch.frame.push(BATCH_ITEM_PREPARED);
            batch.id(&grouped);
            batch.insert_values(c as i32);
        }
        batch.frame.extend(CONSISTENCY);
        batch.frame.push(0);
        let whole = FLAG_VALUES | FLAG_SKIP_METADATA;
        let scan = prepare(workload::SCAN)?;
        Ok(Self {
            insert: insert.sealed(),
            batch: batch.sealed(),
            first_page: select(&scan, whole | FLAG_PAGE_SIZE),
            next_page: select(&scan, whole | FLAG_PAGE_SIZE | FLAG_PAGING_STATE),
            select_grouped: select(&prepare(workload::SELECT_GROUPED)?, whole),
            selects: [
                select(&prepare(workload::SELECT_1)?, whole),
                select(&prepare(workload::SELECT_10)?, whole),
                select(&prepare(workload::SELECT_100)?, whole),
            ],
        })
    }

    #[inline]
    pub(super) fn select(&self, select: Select) -> &Template {
        let [one, ten, hundred] = &self.selects;
        match select {
            Select::One => one,
            Select::Ten => ten,
            Select::Hundred => hundred,
        }
    }
}

/// What a reply to EXECUTE or BATCH holds; its paging state goes to `cursor`.
#[inline]
pub(super) fn parse(
    opcode: u8,
    flags: u8,
    body: &[u8],
    fold: Fold,
    cursor: &mut Vec<u8>,
) -> Result<Answer, Failure> {
    let mut parser = Parser(body);
    if opcode != RESULT || flags != 0 {
        bail!("a reply with opcode {opcode:#04x}, flags {flags:#04x}: {}", error_text(body));
    }
    match parser.int() {
        Some(KIND_VOID) => Ok(Answer::default()),
        Some(KIND_ROWS) => rows(parser, fold, cursor).context("a reply is cut short"),
        kind => bail!("a result of kind {kind:?}"),
    }
}

#[cold]
fn error_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(6..).unwrap_or_default()).into_owned()
}

fn rows(mut parser: Parser<'_>, mut fold: Fold, cursor: &mut Vec<u8>) -> Option<Answer> {
    let flags = parser.int()?;
    let columns = parser.int()?;
    cursor.clear();
    if flags & ROWS_HAS_MORE != 0 {
        cursor.extend_from_slice(parser.bytes()?);
    }
    // Metadata was told to be skipped; a reply that has it all the same is not understood.
    if flags & ROWS_NO_METADATA == 0 {
        return None;
    }
    let rows = u32::try_from(parser.int()?).ok()?;
    for _ in 0..rows {
        fold.bigint(i64::from_be_bytes(parser.bytes()?.try_into().ok()?));
        fold.int(i32::from_be_bytes(parser.bytes()?.try_into().ok()?));
        if columns == 4 {
            fold.bytes(str::from_utf8(parser.bytes()?).ok()?.as_bytes());
        }
        fold.bytes(parser.bytes()?);
    }
    Some(Answer { rows, sum: fold.finish() })
}

/// Reads a body from its front.
pub(super) struct Parser<'body>(pub(super) &'body [u8]);

impl<'body> Parser<'body> {
    #[inline]
    fn int(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    #[inline]
    fn bytes(&mut self) -> Option<&'body [u8]> {
        let len = usize::try_from(self.int()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*head))
    }

    pub(super) fn short_bytes(&mut self) -> Option<&'body [u8]> {
        let len = self.short()?;
        let (head, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(head)
    }
}

/// Bytes of a frame's header.
pub(super) const HEADER_LEN: usize = 9;
const RESULT: u8 = 0x08;
const PREPARE: u8 = 0x09;
const EXECUTE: u8 = 0x0a;
const BATCH: u8 = 0x0d;
const KIND_VOID: i32 = 1;
const KIND_ROWS: i32 = 2;
const KIND_PREPARED: i32 = 4;
const BATCH_UNLOGGED: u8 = 1;
const BATCH_ITEM_PREPARED: u8 = 1;
const FLAG_VALUES: u8 = 0x01;
const FLAG_SKIP_METADATA: u8 = 0x02;
const FLAG_PAGE_SIZE: u8 = 0x04;
const FLAG_PAGING_STATE: u8 = 0x08;
const ROWS_HAS_MORE: i32 = 0x02;
const ROWS_NO_METADATA: i32 = 0x04;
/// LOCAL_QUORUM, the drivers' default.
const CONSISTENCY: [u8; 2] = [0, 6];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Table, expected_sum};

    fn rows_reply(key: i64, count: u32, state: Option<&[u8]>) -> Vec<u8> {
        let mut body = Vec::new();
        let value = |body: &mut Vec<u8>, value: &[u8]| {
            body.extend((value.len() as u32).to_be_bytes());
            body.extend(value);
        };
        body.extend(KIND_ROWS.to_be_bytes());
        let more = if state.is_some() { ROWS_HAS_MORE } else { 0 };
        body.extend((ROWS_NO_METADATA | more).to_be_bytes());
        body.extend(4_i32.to_be_bytes());
        if let Some(state) = state {
            value(&mut body, state);
        }
        body.extend(count.to_be_bytes());
        for c in 0..count as i32 {
            value(&mut body, &key.to_be_bytes());
            value(&mut body, &c.to_be_bytes());
            value(&mut body, &workload::text(key, c));
            value(&mut body, &workload::blob(key, c));
        }
        body
    }

    #[test]
    fn every_column_of_a_reply_is_summed() {
        let mut cursor = Vec::new();
        let body = rows_reply(7, 10, Some(b"next"));
        let answer = parse(RESULT, 0, &body, Fold::whole(7), &mut cursor).unwrap();
        let sum = expected_sum(Table::Wide, 7, 0, 10);
        assert_eq!(answer, Answer { rows: 10, sum });
        assert_eq!(cursor, b"next");
    }

    #[test]
    fn a_reply_cut_anywhere_is_an_error() {
        let body = rows_reply(7, 2, None);
        for len in 0..body.len() {
            let cut = parse(RESULT, 0, &body[..len], Fold::ends(7), &mut Vec::new());
            assert!(cut.is_err(), "{len}");
        }
    }

    #[test]
    fn templates_are_patched_in_place() {
        let mut template = Template::new(EXECUTE);
        template.id(b"id");
        template.insert_values(3);
        let template = template.sealed();
        let mut out = vec![0xff];
        template.write(0x0102, 9, &mut out);
        assert_eq!(out[1..6], [4, 0, 1, 2, EXECUTE]);
        assert_eq!(u32::from_be_bytes(out[6..10].try_into().unwrap()) as usize, out.len() - 10);
        assert_eq!(out[out.len() - 64..], workload::blob(9, 3));
    }
}
