//! SUPPORTED: what the server can do, as strings. `supported.rs` one folder up makes sense of them.
//!
//! Next: `response/error.rs`.

use crate::error::Malformed;
use crate::wire::{Reader, StringList, StringMultimap};

/// The answer to OPTIONS.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, Response};
///
/// # let (version, opcode) = (Version::V4, Opcode::Supported);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 22 };
/// let body = Body::parse(&header, b"\0\x01\0\x0BCOMPRESSION\0\x01\0\x03lz4")?;
/// let Response::Supported(supported) = body.response(&Agreed::default(), None)? else {
///     panic!("it is a SUPPORTED");
/// };
/// assert_eq!(supported.iter().len(), 1);
/// let mut compression = supported.values("COMPRESSION").expect("it was sent");
/// assert_eq!(compression.next(), Some("lz4"));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SupportedBody<'a> {
    options: StringMultimap<'a>,
}

impl<'a> SupportedBody<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { options: reader.string_multimap("supported options")? })
    }

    /// Options and their values, in the order sent.
    #[must_use]
    pub fn iter(&self) -> StringMultimap<'a> {
        self.options
    }

    /// Values of the option `key`, if it was sent.
    #[must_use]
    pub fn values(&self, key: &str) -> Option<StringList<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, values)| values)
    }
}

impl<'a> IntoIterator for SupportedBody<'a> {
    type Item = (&'a str, StringList<'a>);
    type IntoIter = StringMultimap<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.options
    }
}
