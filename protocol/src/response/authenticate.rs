//! AUTHENTICATE, AUTH_CHALLENGE, AUTH_SUCCESS: the server's side of authentication.
//!
//! Which mechanism to answer with is the driver's business. Next: `response/supported.rs`.

use crate::error::Malformed;
use crate::wire::Reader;

/// The server wants to know who is there.
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
