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
#[cfg(test)]
mod codec_tests;
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
    PLAIN_ROWS_LEN, PLAIN_VOID_LEN, ResultBody, ResultKind, brings_new_metadata, is_plain_void,
    plain_rows_count, plain_void_stream,
};
pub use supported::SupportedBody;

/// What a connection agreed on that changes how its messages are read.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::response::Agreed;
///
/// let mut agreed = Agreed::on(Version::V4);
/// assert!(!agreed.has_metadata_ids());
/// agreed.metadata_id = true; // an extension of ScyllaDB
/// assert!(agreed.has_metadata_ids());
/// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::header::Version;
    /// # use shardwire_protocol::response::Agreed;
    /// assert!(!Agreed::on(Version::V4).has_metadata_ids());
    /// assert!(Agreed::on(Version::V5).has_metadata_ids());
    /// ```
    #[must_use]
    pub const fn has_metadata_ids(&self) -> bool {
        self.metadata_id || matches!(self.version, Version::V5)
    }
}

/// A body, of which the parts that any message may have are split off.
///
/// ```
/// use shardwire_protocol::header::{Opcode, ResponseHeader, Version, flags};
/// use shardwire_protocol::response::Body;
///
/// let (version, flags, opcode) = (Version::V4, flags::WARNING, Opcode::Result);
/// let header = ResponseHeader { version, flags, stream: 0, opcode, body_len: 12 };
/// let body = Body::parse(&header, b"\0\x01\0\x04slow\0\0\0\x01")?;
/// assert_eq!(body.warnings.and_then(|mut warnings| warnings.next()), Some("slow"));
/// assert_eq!(body.message.remaining(), [0, 0, 0, 1]);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
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
    /// ```
    /// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version, flags};
    /// # use shardwire_protocol::response::Body;
    /// let (version, flags, opcode) = (Version::V4, flags::TRACING, Opcode::Result);
    /// let header = ResponseHeader { version, flags, stream: 0, opcode, body_len: 4 };
    /// let error = Body::parse(&header, &[0, 0, 0, 1]).unwrap_err();
    /// assert_eq!(error.to_string(), "body ends within tracing id, which begins at byte 0");
    /// ```
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
    ///
    /// ```
    /// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version, flags};
    /// # use shardwire_protocol::response::Body;
    /// # let (version, flags, opcode) = (Version::V4, flags::CUSTOM_PAYLOAD, Opcode::Result);
    /// # let header = ResponseHeader { version, flags, stream: 0, opcode, body_len: 14 };
    /// let body = Body::parse(&header, b"\0\x01\0\x01k\0\0\0\x01v\0\0\0\x01")?;
    /// assert_eq!(body.payload("k"), Some(&b"v"[..]));
    /// assert_eq!(body.payload("l"), None);
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
    #[must_use]
    pub fn payload(&self, key: &str) -> Option<&'a [u8]> {
        let (_, content) = self.custom_payload?.find(|(name, _)| *name == key)?;
        content
    }

    /// Reads the message. `known` are the columns that Rows may have, see [`RowsBody::parse`].
    ///
    /// [`RowsBody::parse`]: crate::rows::RowsBody::parse
    ///
    /// ```
    /// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
    /// # use shardwire_protocol::response::{Agreed, Body, Response, ResultBody};
    /// let (version, opcode) = (Version::V4, Opcode::Result);
    /// let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 4 };
    /// let response = Body::parse(&header, &[0, 0, 0, 1])?.response(&Agreed::default(), None)?;
    /// assert!(matches!(response, Response::Result(ResultBody::Void)));
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
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
///
/// ```
/// use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, ErrorCode, Response};
///
/// let (version, opcode) = (Version::V4, Opcode::Error);
/// let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 8 };
/// let body = Body::parse(&header, b"\0\0\x20\0\0\x02no")?;
/// match body.response(&Agreed::default(), None)? {
///     Response::Error(error) => assert_eq!(error.code, ErrorCode::SYNTAX_ERROR),
///     response => panic!("{response:?}"),
/// }
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
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
