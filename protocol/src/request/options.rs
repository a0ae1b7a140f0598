//! OPTIONS: asks what the server can do; also the keepalive.
//!
//! Next: `request/register.rs`.

use super::Request;
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::wire::Writer;

/// Asks for SUPPORTED. May be sent at any time, also before STARTUP.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{Options, encode_request};
///
/// let mut frame = [0; 9];
/// encode_request(&Options, Version::V4, 0, 0, &mut frame)?;
/// assert_eq!(frame, [4, 0, 0, 0, 5, 0, 0, 0, 0]);
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options;

impl Request for Options {
    const OPCODE: Opcode = Opcode::Options;

    #[inline]
    fn body_len(&self, _: Version) -> Result<usize, SerializeError> {
        Ok(0)
    }

    #[inline]
    fn write_body(&self, _: Version, _: &mut Writer<'_>) {}
}
