//! What a server answers: one file per message.
//!
//! Every message borrows from the frame's body, which must be decompressed already. What precedes
//! the message in a body (tracing id, warnings, custom payload) is split off by [`Body::parse`];
//! bytes after a message that are not known are ignored, which is how the protocol is extended.
//!
//! Next: `response/ready.rs`.

use uuid::Uuid;

use crate::error::{FrameError, PeerMisbehaved};
use crate::header::{Opcode, ResponseHeader, Version, flags};
use crate::metadata::ResultMetadata;
use crate::wire::{BytesMap, Reader, StringList};

mod authenticate;
mod error;
mod event;
mod prepared;
mod ready;
mod result;
mod supported;
#[cfg(test)]
pub(crate) mod tests;

pub use authenticate::{AuthChallengeBody, AuthSuccessBody, AuthenticateBody};
pub use error::{
    ErrorBody, ErrorCode, ErrorDetail, FailureReasons, Failures, RateLimitedOperation, WriteType,
};
pub use event::{
    ClientRoutesChange, EventBody, SchemaChange, SchemaChangeKind, SchemaTarget, StatusChange,
    TopologyChange,
};
pub use prepared::PreparedBody;
pub use ready::ReadyBody;
pub use result::{
    PLAIN_ROWS_LEN, PLAIN_VOID_LEN, ResultBody, ResultKind, is_plain_void, plain_rows_count,
    plain_void_stream,
};
pub use supported::SupportedBody;

/// What a connection agreed on that changes how its messages are read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Agreed {
    /// The version of the protocol.
    pub version: Version,
    /// Whether the extension for metadata ids was agreed. From version 5 on they are always there.
    pub metadata_id: bool,
    /// The error code of a rate limit.
    pub rate_limit_error: Option<i32>,
}

impl Agreed {
    /// What a version of the protocol says by itself, without extensions.
    ///
    /// ```
    /// use shardwire_protocol::header::Version;
    /// use shardwire_protocol::response::Agreed;
    ///
    /// assert!(Agreed::on(Version::V5).has_metadata_ids());
    /// assert!(!Agreed::on(Version::V4).has_metadata_ids());
    /// ```
    #[must_use]
    pub const fn on(version: Version) -> Self {
        Self { version, metadata_id: false, rate_limit_error: None }
    }

    /// Whether PREPARED tells an id of the result's metadata, and EXECUTE sends it back.
    #[must_use]
    pub const fn has_metadata_ids(&self) -> bool {
        self.metadata_id || matches!(self.version, Version::V5)
    }
}

/// A body, of which the parts that any message may have are split off.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// What the message is.
    pub opcode: Opcode,
    /// Under which id the server traced the request.
    pub tracing_id: Option<Uuid>,
    /// What the server warns of.
    pub warnings: Option<StringList<'a>>,
    /// What extensions send along.
    pub custom_payload: Option<BytesMap<'a>>,
    /// The message itself.
    pub message: Reader<'a>,
}

impl<'a> Body<'a> {
    /// Splits a decompressed body; `header.flags` say what precedes the message.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] where the body ends too early or text is not UTF-8.
    #[inline]
    pub fn parse(header: &ResponseHeader, body: &'a [u8]) -> Result<Self, FrameError> {
        const PARTS: u8 = flags::TRACING | flags::WARNING | flags::CUSTOM_PAYLOAD;
        if header.flags & PARTS != 0 {
            return Self::parse_parts(header, body); // few replies have any
        }
        Ok(Self {
            opcode: header.opcode,
            tracing_id: None,
            warnings: None,
            custom_payload: None,
            message: Reader::new(body),
        })
    }

    #[inline(never)]
    fn parse_parts(header: &ResponseHeader, body: &'a [u8]) -> Result<Self, FrameError> {
        let mut message = Reader::new(body);
        let (mut tracing_id, mut warnings, mut custom_payload) = (None, None, None);
        if header.flags & flags::TRACING != 0 {
            tracing_id = Some(message.uuid("tracing id")?);
        }
        if header.flags & flags::WARNING != 0 {
            warnings = Some(message.string_list("warnings")?);
        }
        if header.flags & flags::CUSTOM_PAYLOAD != 0 {
            custom_payload = Some(message.bytes_map("custom payload")?);
        }
        Ok(Self { opcode: header.opcode, tracing_id, warnings, custom_payload, message })
    }

    /// The entry `key` of the custom payload.
    #[must_use]
    pub fn payload(&self, key: &str) -> Option<&'a [u8]> {
        let (_, content) = self.custom_payload?.find(|(name, _)| *name == key)?;
        content
    }

    /// Reads the message. `known` are the columns that Rows may have, see [`RowsBody::parse`].
    ///
    /// [`RowsBody::parse`]: crate::rows::RowsBody::parse
    ///
    /// # Errors
    /// [`FrameError::Malformed`] where the message is not CQL, and
    /// [`PeerMisbehaved::UnexpectedOpcode`] where it is a request.
    pub fn response(
        &self,
        agreed: &Agreed,
        known: Option<&ResultMetadata>,
    ) -> Result<Response<'a>, FrameError> {
        let reader = self.message;
        Ok(match self.opcode {
            Opcode::Result => Response::Result(ResultBody::parse(reader, agreed, known)?),
            Opcode::Error => Response::Error(ErrorBody::parse(reader, agreed)?),
            Opcode::Event => Response::Event(EventBody::parse(reader)?),
            Opcode::Ready => Response::Ready(ReadyBody),
            Opcode::Supported => Response::Supported(SupportedBody::parse(reader)?),
            Opcode::Authenticate => Response::Authenticate(AuthenticateBody::parse(reader)?),
            Opcode::AuthChallenge => Response::AuthChallenge(AuthChallengeBody::parse(reader)?),
            Opcode::AuthSuccess => Response::AuthSuccess(AuthSuccessBody::parse(reader)?),
            request => return Err(PeerMisbehaved::UnexpectedOpcode(request).into()),
        })
    }
}

/// Any message from a server.
#[derive(Clone, Copy, Debug)]
pub enum Response<'a> {
    /// More of the authentication's dialogue.
    AuthChallenge(AuthChallengeBody<'a>),
    /// The authentication is complete.
    AuthSuccess(AuthSuccessBody<'a>),
    /// The server wants authentication.
    Authenticate(AuthenticateBody<'a>),
    /// The request was refused.
    Error(ErrorBody<'a>),
    /// Not an answer: something happened.
    Event(EventBody<'a>),
    /// The connection is ready for requests.
    Ready(ReadyBody),
    /// The request was carried out.
    Result(ResultBody<'a>),
    /// What the server can do.
    Supported(SupportedBody<'a>),
}
