//! PREPARED: a statement's id and metadata.
//!
//! Next: `response/event.rs`.

use crate::error::Malformed;
use crate::metadata::{RawBindMetadata, RawColumns, ResultHead, result_flags};
use crate::response::Agreed;
use crate::types::GlobalTable;
use crate::wire::Reader;

/// A statement was prepared.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::response::{Agreed, PreparedBody};
/// use shardwire_protocol::wire::Reader;
///
/// // The id P; one marker, which is the partition key: a bigint named id; no result.
/// let body = b"\0\x01P\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\
///     \0\x04shop\0\x05items\0\x02id\0\x02\0\0\0\x04\0\0\0\0";
/// let prepared = PreparedBody::parse(Reader::new(body), &Agreed::on(Version::V4))?;
/// assert_eq!(prepared.id, b"P");
/// assert_eq!(prepared.bind.columns().count(), 1);
/// assert_eq!(prepared.result.count(), 0);
/// # Ok::<(), shardwire_protocol::error::Malformed>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct PreparedBody<'a> {
    /// What EXECUTE names the statement by.
    pub id: &'a [u8],
    /// What EXECUTE names the result's metadata by, where that was agreed.
    pub result_metadata_id: Option<&'a [u8]>,
    /// What the statement binds.
    pub bind: RawBindMetadata<'a>,
    /// The columns of its result; none for a statement that returns none, or if they can't be told
    /// before it is executed.
    pub result: RawColumns<'a>,
}

impl<'a> PreparedBody<'a> {
    /// Reads what follows the kind of a RESULT.
    ///
    /// ```
    /// # use shardwire_protocol::response::{Agreed, PreparedBody};
    /// # use shardwire_protocol::wire::Reader;
    /// let error = PreparedBody::parse(Reader::new(b"\0\x02P"), &Agreed::default()).unwrap_err();
    /// assert_eq!(error.to_string(), "body ends within statement id, which begins at byte 2");
    /// ```
    ///
    /// # Errors
    /// Where the bytes are not CQL, or announce more columns than they can hold.
    pub fn parse(mut reader: Reader<'a>, agreed: &Agreed) -> Result<Self, Malformed> {
        let id = reader.short_bytes("statement id")?;
        let result_metadata_id = if agreed.has_metadata_ids() {
            Some(reader.short_bytes("result metadata id")?)
        } else {
            None
        };
        let bind = RawBindMetadata::read(&mut reader)?;
        let result = result_columns(&mut reader, agreed)?;
        Ok(Self { id, result_metadata_id, bind, result })
    }
}

/// Result metadata, in the form that rows have but with nothing to page through.
fn result_columns<'a>(
    reader: &mut Reader<'a>,
    agreed: &Agreed,
) -> Result<RawColumns<'a>, Malformed> {
    // A paging state or a new id is of no use here, and not allowed; harmless.
    let ResultHead { flags, column_count, .. } = ResultHead::read(reader, agreed)?;
    if flags & result_flags::NO_METADATA != 0 {
        return Ok(RawColumns::EMPTY);
    }
    RawColumns::read(reader, GlobalTable::from_flags(flags), column_count, None)
}
