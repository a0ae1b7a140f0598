//! RESULT: what a request that was carried out gives back.
//!
//! Next: `response/prepared.rs`.

use crate::error::Malformed;
use crate::header::{HEADER_LEN, Opcode, ResponseHeader};
use crate::metadata::{ResultMetadata, result_flags};
use crate::response::{Agreed, PreparedBody, SchemaChange};
use crate::rows::RowsBody;
use crate::types::COLUMN_COUNT_MAX;
use crate::wire::Reader;

/// Which result it is (CQL v4 §4.2.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum ResultKind {
    Void = 1,
    Rows = 2,
    SetKeyspace = 3,
    Prepared = 4,
    SchemaChange = 5,
}

/// What a request that was carried out gives back.
#[derive(Clone, Copy, Debug)]
pub enum ResultBody<'a> {
    /// A statement was prepared.
    Prepared(PreparedBody<'a>),
    /// Rows, maybe none.
    Rows(RowsBody<'a>),
    /// The schema was changed, by this request.
    SchemaChange(SchemaChange<'a>),
    /// The connection's keyspace is now another.
    SetKeyspace {
        /// Its name.
        keyspace: &'a str,
    },
    /// Nothing.
    Void,
}

impl<'a> ResultBody<'a> {
    /// Reads a result. `known` are the columns that rows may have, see [`RowsBody::parse`].
    ///
    /// # Errors
    /// Where the bytes are not CQL, or the kind is none of the specification's.
    #[inline]
    pub fn parse(
        mut reader: Reader<'a>,
        agreed: &Agreed,
        known: Option<&ResultMetadata>,
    ) -> Result<Self, Malformed> {
        match reader.u32("result kind")? {
            1 => Ok(Self::Void),
            2 => RowsBody::parse(reader, known).map(Self::Rows),
            kind => Self::parse_rare(kind, reader, agreed),
        }
    }

    #[inline(never)]
    fn parse_rare(kind: u32, mut reader: Reader<'a>, agreed: &Agreed) -> Result<Self, Malformed> {
        match kind {
            3 => Ok(Self::SetKeyspace { keyspace: reader.string("keyspace")? }),
            4 => PreparedBody::parse(reader, agreed).map(Self::Prepared),
            5 => SchemaChange::parse(reader).map(Self::SchemaChange),
            _ => Err(reader.unknown_code("result kind", kind)),
        }
    }

    /// Which result it is.
    #[must_use]
    pub fn kind(&self) -> ResultKind {
        match self {
            Self::Prepared(_) => ResultKind::Prepared,
            Self::Rows(_) => ResultKind::Rows,
            Self::SchemaChange(_) => ResultKind::SchemaChange,
            Self::SetKeyspace { .. } => ResultKind::SetKeyspace,
            Self::Void => ResultKind::Void,
        }
    }
}

/// How much precedes the cells where [`plain_rows_count`] finds rows.
pub const PLAIN_ROWS_LEN: usize = 16;

/// How many rows `body` holds, if it is the usual Rows result: `column_count` columns, which the
/// request asked to leave out, and no further page. Its cells are all after [`PLAIN_ROWS_LEN`].
///
/// Anything else is `None`, which is no error: [`ResultBody::parse`] tells what it is.
#[inline]
#[must_use]
pub fn plain_rows_count(body: &[u8], column_count: u32) -> Option<u32> {
    const KIND_AND_FLAGS: [u8; 8] = [0, 0, 0, ResultKind::Rows as u8, 0, 0, 0, 4];
    const _: () = assert!(result_flags::NO_METADATA == 4);
    let (head, cells) = body.split_first_chunk::<PLAIN_ROWS_LEN>()?;
    let (kind_and_flags, counts) = head.split_first_chunk::<8>()?;
    let (columns, rows) = counts.split_first_chunk::<4>()?;
    let rows = u32::from_be_bytes(*rows.first_chunk::<4>()?);
    if *kind_and_flags != KIND_AND_FLAGS
        || u32::from_be_bytes(*columns) != column_count
        || column_count == 0
        || column_count > COLUMN_COUNT_MAX
    {
        return None;
    }
    // At most 2^32 rows of 2^16 columns of 2^2 bytes: no overflow.
    let len_min = u64::from(rows) * u64::from(column_count) * 4;
    (len_min <= cells.len() as u64).then_some(rows)
}

/// Length of a frame that says "done" and nothing else.
pub const PLAIN_VOID_LEN: usize = HEADER_LEN + 4;

/// The stream that the frame at the beginning of `bytes` answers, if that frame says "done" and
/// nothing else: two comparisons instead of taking a header apart.
///
/// Only of version 4; [`is_plain_void`] after the header was decoded finds those of any.
#[inline]
#[must_use]
pub fn plain_void_stream(bytes: &[u8]) -> Option<i16> {
    let [0x84, 0, high, low, 0x08, tail @ ..] = bytes.first_chunk::<PLAIN_VOID_LEN>()? else {
        return None;
    };
    (*tail == [0, 0, 0, 4, 0, 0, 0, 1]).then(|| i16::from_be_bytes([*high, *low]))
}

/// Whether the frame says "done" and nothing else: no warnings, no payload, no compression. So
/// common an answer that it is worth knowing before its body is lent to anybody.
#[inline]
#[must_use]
pub fn is_plain_void(header: &ResponseHeader, body: &[u8]) -> bool {
    header.opcode == Opcode::Result && header.flags == 0 && body.starts_with(&[0, 0, 0, 1])
}
