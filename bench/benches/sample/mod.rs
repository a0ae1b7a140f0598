//! The requests and replies that the benchmarks share: those of `compare`'s workloads.

#![allow(dead_code, reason = "each benchmark uses a part")]

/// Length of a frame's header in bytes.
pub(crate) const HEADER_LEN: usize = 9;

/// A key of the insert.
pub(crate) const KEY: i64 = 0x0123_4567_89AB_CDEF;

/// A statement's id, as long as servers make them.
pub(crate) const STATEMENT_ID: [u8; 16] = *b"0123456789abcdef";

/// The blob of a row.
pub(crate) fn blob() -> [u8; 64] {
    std::array::from_fn(|index| u8::try_from(index * 3).unwrap_or(7))
}

/// The text of a row.
pub(crate) fn text() -> String {
    "0123456789abcdef".repeat(2)
}

/// A response frame of version 4.
pub(crate) fn frame(stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("samples are small");
    let mut frame = vec![0x84, 0];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.push(opcode);
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// The body of a RESULT that is VOID.
pub(crate) const VOID: [u8; 4] = [0, 0, 0, 1];

/// The body of a RESULT with rows of (bigint, int, text, blob), metadata left out.
pub(crate) fn rows_without_metadata(row_count: u32) -> Vec<u8> {
    let mut body = Vec::new();
    put_u32(&mut body, 2); // rows
    put_u32(&mut body, 4); // flags: no metadata
    put_u32(&mut body, 4); // columns
    put_u32(&mut body, row_count);
    for index in 0..row_count {
        put_cell(&mut body, &(KEY + i64::from(index)).to_be_bytes());
        put_cell(&mut body, &index.to_be_bytes());
        put_cell(&mut body, text().as_bytes());
        put_cell(&mut body, &blob());
    }
    body
}

fn put_u32(body: &mut Vec<u8>, value: u32) {
    body.extend_from_slice(&value.to_be_bytes());
}

fn put_cell(body: &mut Vec<u8>, content: &[u8]) {
    put_u32(body, u32::try_from(content.len()).expect("samples are small"));
    body.extend_from_slice(content);
}
