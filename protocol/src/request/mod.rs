//! Requests: what a client sends, a file per message.
//!
//! Each knows its body's exact length in each version of the protocol and then writes it in place.
//! What a version cannot express is an error, never left out. Frames come without compression: who
//! writes them to the wire compresses, and from version 5 on wraps them in segments.
//! Next: `request/execute.rs`.

use crate::error::{SerializeError, saturating_u32};
use crate::header::{BODY_LEN_MAX, HEADER_LEN, Opcode, RequestHeader, Version, flags};
use crate::wire::{Reader, Writer};

mod auth_response;
mod batch;
mod execute;
#[cfg(test)]
mod field_tests;
mod options;
mod parameters;
mod payload;
mod prepare;
mod query;
mod register;
mod startup;

pub use auth_response::AuthResponse;
pub use batch::{Batch, BatchItemHead, BatchItems, BatchKind, BatchRows, BatchStatement};
pub use execute::{Execute, ExecuteTemplate};
pub use options::Options;
pub use parameters::Parameters;
pub use payload::WithPayload;
pub use prepare::Prepare;
pub use query::{Query, ValueNames};
pub use register::{EventKind, Register};
pub use startup::Startup;

/// A message from client to server.
///
/// ```
/// use shardwire_protocol::header::{Opcode, Version};
/// use shardwire_protocol::request::{Prepare, Request};
///
/// fn describe<R: Request>(request: &R) -> Option<(Opcode, usize)> {
///     Some((R::OPCODE, request.body_len(Version::V4).ok()?))
/// }
///
/// let prepare = Prepare { statement: "SELECT", keyspace: None };
/// assert_eq!(describe(&prepare), Some((Opcode::Prepare, 4 + 6)));
/// ```
pub trait Request {
    /// What it is.
    const OPCODE: Opcode;

    /// Flags of the header that say how the body is read, see [`crate::header::flags`].
    ///
    /// ```
    /// use shardwire_protocol::header::flags;
    /// use shardwire_protocol::request::{Options, Request};
    ///
    /// assert_eq!(Options.header_flags() & flags::CUSTOM_PAYLOAD, 0);
    /// ```
    #[inline]
    fn header_flags(&self) -> u8 {
        0
    }

    /// Exact length of the body in bytes.
    ///
    /// ```
    /// use shardwire_protocol::header::Version;
    /// use shardwire_protocol::request::{Prepare, Request};
    ///
    /// let prepare = Prepare { statement: "SELECT", keyspace: Some("ks") };
    /// assert_eq!(prepare.body_len(Version::V5), Ok(4 + 6 + 4 + 2 + 2));
    /// assert!(prepare.body_len(Version::V4).is_err()); // which has no keyspace there
    /// ```
    ///
    /// # Errors
    /// A part that this version of the protocol cannot express.
    fn body_len(&self, version: Version) -> Result<usize, SerializeError>;

    /// Writes the body, as many bytes as [`Self::body_len`] tells.
    ///
    /// ```
    /// use shardwire_protocol::header::Version;
    /// use shardwire_protocol::request::{Prepare, Request};
    /// use shardwire_protocol::wire::Writer;
    ///
    /// let mut body = [0; 5];
    /// let prepare = Prepare { statement: "S", keyspace: None };
    /// prepare.write_body(Version::V4, &mut Writer::new(&mut body));
    /// assert_eq!(body, *b"\0\0\0\x01S");
    /// ```
    fn write_body(&self, version: Version, out: &mut Writer<'_>);
}

/// A request that may carry a custom payload: QUERY, PREPARE, EXECUTE and BATCH.
///
/// ```
/// use shardwire_protocol::request::{Prepare, Statement};
///
/// fn takes_payload(_: &impl Statement) {}
///
/// takes_payload(&Prepare { statement: "SELECT", keyspace: None });
/// ```
pub trait Statement: Request {}

/// Length of the request's frame, header included.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Options, frame_len};
///
/// assert_eq!(frame_len(&Options, Version::V4), Ok(9));
/// ```
///
/// # Errors
/// A part, or the whole, that this version of the protocol cannot express.
#[inline]
pub fn frame_len<R: Request + ?Sized>(
    request: &R,
    version: Version,
) -> Result<usize, SerializeError> {
    frame_len_of_body(request.body_len(version)?)
}

/// Encodes a whole frame into `out`, which has exactly the length that [`frame_len`] tells.
///
/// `flags` are the header's, apart from those that the request sets itself.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Options, encode_request};
///
/// let mut frame = [0; 9];
/// encode_request(&Options, Version::V4, 0, 7, &mut frame)?;
/// assert_eq!(frame, [4, 0, 0, 7, 5, 0, 0, 0, 0]);
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
///
/// # Errors
/// `Length` if `out` has another length than what is written, or a value than it announced. `out`
/// then holds no frame.
#[inline(always)] // with a version that is a constant little of it is left
pub fn encode_request<R: Request + ?Sized>(
    request: &R,
    version: Version,
    flags: u8,
    stream: i16,
    out: &mut [u8],
) -> Result<(), SerializeError> {
    let body_len = check_frame(out)?;
    let mut writer = Writer::new(out);
    let mut header = [0; HEADER_LEN];
    let flags = (flags & !flags::CUSTOM_PAYLOAD) | request.header_flags();
    RequestHeader { version, flags, stream, opcode: R::OPCODE, body_len }.encode(&mut header);
    writer.put_array(header);
    request.write_body(version, &mut writer);
    writer.finish()?;
    Ok(())
}

#[inline]
fn frame_len_of_body(body_len: usize) -> Result<usize, SerializeError> {
    if body_len > BODY_LEN_MAX as usize {
        return Err(too_long("request body", body_len, u64::from(BODY_LEN_MAX)));
    }
    Ok(body_len + HEADER_LEN)
}

/// The length of the body that a frame of `out`'s length has.
#[inline]
fn check_frame(out: &[u8]) -> Result<u32, SerializeError> {
    // Compared before the header is subtracted: then the compiler knows that a `Writer` takes it.
    if out.len() > BODY_LEN_MAX as usize + HEADER_LEN {
        return Err(too_long("request body", out.len(), u64::from(BODY_LEN_MAX)));
    }
    // Less than a header is a mistake of the caller that `Writer::finish` reports.
    Ok(saturating_u32(out.len().saturating_sub(HEADER_LEN)))
}

#[cold]
fn too_long(what: &'static str, len: usize, max: u64) -> SerializeError {
    SerializeError::PartTooLong { what, len: u64::try_from(len).unwrap_or(u64::MAX), max }
}

/// Length of a `[string]` or `[short bytes]`.
#[inline]
fn short_len(what: &'static str, len: usize) -> Result<usize, SerializeError> {
    if len > usize::from(u16::MAX) {
        return Err(too_long(what, len, u64::from(u16::MAX)));
    }
    Ok(2 + len)
}

/// Length of a `[long string]` or `[bytes]`.
#[inline]
fn long_len(what: &'static str, len: usize) -> Result<usize, SerializeError> {
    if len > BODY_LEN_MAX as usize {
        return Err(too_long(what, len, u64::from(BODY_LEN_MAX)));
    }
    Ok(4 + len)
}

/// A count that goes into a `[short]`.
#[inline]
fn short_count(what: &'static str, count: usize) -> Result<u16, SerializeError> {
    u16::try_from(count).map_err(|_| too_long(what, count, u64::from(u16::MAX)))
}

/// Refuses values that are not set, in version 3: its servers take them for null and delete.
///
/// `values` writes `values_len` bytes. A promise that it breaks is told when the request is
/// written. Allocates: in version 3 alone.
#[cold]
#[inline(never)]
fn refuse_unset(
    opcode: Opcode,
    values_len: usize,
    values: impl FnOnce(&mut Writer<'_>),
) -> Result<(), SerializeError> {
    if values_len > BODY_LEN_MAX as usize {
        return Ok(()); // told with the request's length
    }
    let mut bytes = vec![0; values_len];
    let mut writer = Writer::new(&mut bytes);
    values(&mut writer);
    let mut reader = Reader::new(if writer.finish().is_ok() { &bytes } else { &[] });
    while let Some(len) = reader.remaining().first_chunk() {
        if i32::from_be_bytes(*len) == -2 {
            let version = Version::V3;
            return Err(SerializeError::NotInMessage { what: "unset value", opcode, version });
        }
        if reader.bytes("value").is_err() {
            break;
        }
    }
    Ok(())
}

// A usize holds every body length, also on wasm32.
const _: () = assert!(size_of::<usize>() >= size_of::<u32>());

#[cfg(test)]
mod tests;
