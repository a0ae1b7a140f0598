//! A custom payload: what extensions of the server want to be sent along with a statement.
//!
//! What an entry means is between the client and the server's query handler.
//! Next: `request/startup.rs`.

use super::{Request, Statement, long_len, short_count, short_len};
use crate::error::SerializeError;
use crate::header::{Opcode, Version, flags};
use crate::wire::Writer;

/// A statement with a custom payload. From version 4 on.
///
/// ```
/// use shardwire_protocol::header::{Version, flags};
/// use shardwire_protocol::request::{Prepare, WithPayload, encode_request, frame_len};
///
/// let prepare = Prepare { statement: "SELECT a FROM t", keyspace: None };
/// let request = WithPayload { payload: &[("key", b"value")], request: prepare };
/// let mut frame = vec![0; frame_len(&request, Version::V4)?];
/// encode_request(&request, Version::V4, 0, 1, &mut frame)?;
/// assert_eq!(frame[1], flags::CUSTOM_PAYLOAD);
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithPayload<'a, R> {
    /// Keys and contents, in the order in which they are sent.
    pub payload: &'a [(&'a str, &'a [u8])],
    /// The statement.
    pub request: R,
}

impl<R: Statement> Request for WithPayload<'_, R> {
    const OPCODE: Opcode = R::OPCODE;

    fn header_flags(&self) -> u8 {
        flags::CUSTOM_PAYLOAD | self.request.header_flags()
    }

    fn body_len(&self, version: Version) -> Result<usize, SerializeError> {
        if version < Version::V4 {
            let what = "custom payload";
            return Err(SerializeError::NotInMessage { what, opcode: R::OPCODE, version });
        }
        short_count("entries of a custom payload", self.payload.len())?;
        let mut len = 2_usize;
        for (key, content) in self.payload {
            len = len.saturating_add(short_len("key of a custom payload", key.len())?);
            len = len.saturating_add(long_len("content of a custom payload", content.len())?);
        }
        Ok(len.saturating_add(self.request.body_len(version)?))
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        match u16::try_from(self.payload.len()) {
            Ok(count) if version >= Version::V4 => out.put_u16(count),
            _ => out.set_fault(), // measuring has refused it
        }
        for (key, content) in self.payload {
            out.put_string(key);
            out.put_bytes(content);
        }
        self.request.write_body(version, out);
    }
}
