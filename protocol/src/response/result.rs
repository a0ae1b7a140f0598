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
///
/// ```
/// use shardwire_protocol::response::{ResultBody, ResultKind};
///
/// assert_eq!(ResultBody::Void.kind(), ResultKind::Void);
/// assert_eq!(ResultKind::Prepared as i32, 4);
/// ```
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
///
/// ```
/// use shardwire_protocol::response::{Agreed, ResultBody};
/// use shardwire_protocol::wire::Reader;
///
/// let result = ResultBody::parse(Reader::new(b"\0\0\0\x03\0\x02ks"), &Agreed::default(), None)?;
/// assert!(matches!(result, ResultBody::SetKeyspace { keyspace: "ks" }));
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
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
    /// ```
    /// # use shardwire_protocol::response::{Agreed, ResultBody};
    /// # use shardwire_protocol::wire::Reader;
    /// let parse = |body| ResultBody::parse(Reader::new(body), &Agreed::default(), None);
    /// assert!(matches!(parse(&[0, 0, 0, 1]), Ok(ResultBody::Void)));
    /// let error = parse(&[0, 0, 0, 9]).unwrap_err();
    /// assert_eq!(error.to_string(), "unknown result kind 0x9 at byte 4");
    /// ```
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
            2 => RowsBody::parse(reader, agreed, known).map(Self::Rows),
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
    ///
    /// ```
    /// # use shardwire_protocol::response::{ResultBody, ResultKind};
    /// let result = ResultBody::SetKeyspace { keyspace: "shop" };
    /// assert_eq!(result.kind(), ResultKind::SetKeyspace);
    /// ```
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
///
/// ```
/// use shardwire_protocol::response::{PLAIN_ROWS_LEN, plain_rows_count};
///
/// let body = [0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7];
/// assert_eq!(plain_rows_count(&body, 1), Some(1));
/// assert_eq!(body[PLAIN_ROWS_LEN..], [0, 0, 0, 1, 7]);
/// assert_eq!(plain_rows_count(&body, 2), None); // it has one column
/// ```
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

/// Whether a RESULT of rows brings columns that are others than the request named (version 5): one
/// look at a body that nothing else precedes.
///
/// ```
/// use shardwire_protocol::response::brings_new_metadata;
///
/// assert!(brings_new_metadata(&[0, 0, 0, 2, 0, 0, 0, 8]));
/// assert!(!brings_new_metadata(&[0, 0, 0, 2, 0, 0, 0, 4]));
/// ```
#[inline]
#[must_use]
pub fn brings_new_metadata(body: &[u8]) -> bool {
    let Some([0, 0, 0, 2, flags @ ..]) = body.first_chunk::<8>() else { return false };
    u32::from_be_bytes(*flags) & result_flags::METADATA_CHANGED != 0
}

/// Length of a frame that says "done" and nothing else.
pub const PLAIN_VOID_LEN: usize = HEADER_LEN + 4;

/// The stream that the frame at the beginning of `bytes` answers, if that frame says "done" and
/// nothing else: two comparisons instead of taking a header apart.
///
/// Only of version 4; [`is_plain_void`] after the header was decoded finds those of any.
///
/// ```
/// use shardwire_protocol::response::plain_void_stream;
///
/// let frame = [0x84, 0, 0, 7, 8, 0, 0, 0, 4, 0, 0, 0, 1];
/// assert_eq!(plain_void_stream(&frame), Some(7));
/// assert_eq!(plain_void_stream(&frame[..12]), None);
/// ```
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
///
/// ```
/// use shardwire_protocol::header::ResponseHeader;
/// use shardwire_protocol::response::is_plain_void;
///
/// let header = ResponseHeader::decode(&[0x85, 0, 0, 7, 8, 0, 0, 0, 4])?;
/// assert!(is_plain_void(&header, &[0, 0, 0, 1]));
/// assert!(!is_plain_void(&header, &[0, 0, 0, 2]));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[inline]
#[must_use]
pub fn is_plain_void(header: &ResponseHeader, body: &[u8]) -> bool {
    header.opcode == Opcode::Result && header.flags == 0 && body.starts_with(&[0, 0, 0, 1])
}
