//! AUTHENTICATE, AUTH_CHALLENGE, AUTH_SUCCESS: the server's side of authentication.
//!
//! Which mechanism to answer with is the driver's business. Next: `response/supported.rs`.

use crate::error::Malformed;
use crate::wire::Reader;

/// The server wants to know who is there.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, Response};
///
/// # let (version, opcode) = (Version::V4, Opcode::Authenticate);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 23 };
/// let body = Body::parse(&header, b"\0\x15PasswordAuthenticator")?;
/// let Response::Authenticate(body) = body.response(&Agreed::default(), None)? else {
///     panic!("it is an AUTHENTICATE");
/// };
/// assert_eq!(body.authenticator, "PasswordAuthenticator");
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthenticateBody<'a> {
    /// Name of the Java class that authenticates.
    pub authenticator: &'a str,
}

impl<'a> AuthenticateBody<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { authenticator: reader.string("authenticator")? })
    }
}

/// The server asks on.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, Response};
///
/// # let (version, opcode) = (Version::V4, Opcode::AuthChallenge);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 5 };
/// let body = Body::parse(&header, &[0, 0, 0, 1, 7])?;
/// let Response::AuthChallenge(body) = body.response(&Agreed::default(), None)? else {
///     panic!("it is an AUTH_CHALLENGE");
/// };
/// assert_eq!(body.token, Some(&[7][..]));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthChallengeBody<'a> {
    /// What the mechanism makes of it; `None` for null.
    pub token: Option<&'a [u8]>,
}

impl<'a> AuthChallengeBody<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { token: reader.bytes("challenge")? })
    }
}

/// The server knows who is there.
///
/// ```
/// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
/// use shardwire_protocol::response::{Agreed, Body, Response};
///
/// # let (version, opcode) = (Version::V4, Opcode::AuthSuccess);
/// # let header = ResponseHeader { version, flags: 0, stream: 0, opcode, body_len: 4 };
/// let body = Body::parse(&header, &[0xFF; 4])?;
/// let Response::AuthSuccess(body) = body.response(&Agreed::default(), None)? else {
///     panic!("it is an AUTH_SUCCESS");
/// };
/// assert_eq!(body.token, None);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuthSuccessBody<'a> {
    /// What the mechanism makes of it; `None` for null, as it usually is.
    pub token: Option<&'a [u8]>,
}

impl<'a> AuthSuccessBody<'a> {
    pub(super) fn parse(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { token: reader.bytes("authentication's last token")? })
    }
}
