//! Requests: what a client sends, a file per message.
//!
//! Each knows its body's exact length and then writes it in place. Bodies are those of versions
//! 3 and 4; version 5 spells the flags of statements differently and is refused for them.
//! Frames come without compression: who writes them to the wire compresses.
//! Next: `request/execute.rs`.

use crate::error::{SerializeError, saturating_u32};
use crate::header::{BODY_LEN_MAX, HEADER_LEN, Opcode, RequestHeader, Version};
use crate::wire::Writer;

mod auth_response;
mod batch;
mod execute;
mod options;
mod parameters;
mod prepare;
mod query;
mod register;
mod startup;

pub use auth_response::AuthResponse;
pub use batch::{Batch, BatchItemHead, BatchItems, BatchKind, BatchRows, BatchStatement};
pub use execute::{Execute, ExecuteTemplate};
pub use options::Options;
pub use parameters::Parameters;
pub use prepare::Prepare;
pub use query::Query;
pub use register::{EventKind, Register};
pub use startup::Startup;

/// A message from client to server.
pub trait Request {
    /// What it is.
    const OPCODE: Opcode;

    /// Exact length of the body in bytes.
    ///
    /// # Errors
    /// A part that the protocol cannot express.
    fn body_len(&self) -> Result<usize, SerializeError>;

    /// Writes the body, as many bytes as [`Self::body_len`] tells.
    fn write_body(&self, out: &mut Writer<'_>);
}

/// Length of the request's frame, header included.
///
/// # Errors
/// A part, or the whole, that the protocol cannot express.
#[inline]
pub fn frame_len<R: Request + ?Sized>(request: &R) -> Result<usize, SerializeError> {
    frame_len_of_body(request.body_len()?)
}

/// Encodes a whole frame into `out`, which has exactly the length that [`frame_len`] tells.
///
/// # Errors
/// `UnsupportedVersion` for statements in version 5; `Length` if `out` has another length than
/// what is written, or a value than it announced. `out` then holds no frame.
#[inline]
pub fn encode_request<R: Request + ?Sized>(
    request: &R,
    version: Version,
    flags: u8,
    stream: i16,
    out: &mut [u8],
) -> Result<(), SerializeError> {
    let statement =
        matches!(R::OPCODE, Opcode::Query | Opcode::Prepare | Opcode::Execute | Opcode::Batch);
    if statement && version == Version::V5 {
        return Err(SerializeError::UnsupportedVersion(version));
    }
    let body_len = check_frame(out)?;
    let mut writer = Writer::new(out);
    let mut header = [0; HEADER_LEN];
    RequestHeader { version, flags, stream, opcode: R::OPCODE, body_len }.encode(&mut header);
    writer.put_array(header);
    request.write_body(&mut writer);
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

// A usize holds every body length, also on wasm32.
const _: () = assert!(size_of::<usize>() >= size_of::<u32>());

#[cfg(test)]
mod tests;
