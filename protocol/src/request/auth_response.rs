//! AUTH_RESPONSE: answers AUTHENTICATE and AUTH_CHALLENGE.
//!
//! Next: `request/options.rs`.

use super::{Request, long_len};
use crate::error::SerializeError;
use crate::header::{Opcode, Version};
use crate::wire::Writer;

/// What proves who the client is.
///
/// ```
/// use shardwire_protocol::header::Version;
/// use shardwire_protocol::request::{AuthResponse, encode_request, frame_len};
///
/// let answer = AuthResponse::Plain { user: "u", password: "pw" };
/// let mut frame = vec![0; frame_len(&answer, Version::V4)?];
/// encode_request(&answer, Version::V4, 0, 1, &mut frame)?;
/// assert_eq!(frame[9..], *b"\0\0\0\x05\0u\0pw");
/// assert!(!format!("{answer:?}").contains("pw"));
/// # Ok::<(), shardwire_protocol::error::SerializeError>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum AuthResponse<'a> {
    /// A null token: some mechanisms have nothing to say at first.
    Null,
    /// A token of whatever the server's authenticator expects.
    Token(&'a [u8]),
    /// SASL's PLAIN: `00 user 00 password`.
    Plain {
        /// Name of the role.
        user: &'a str,
        /// Its password.
        password: &'a str,
    },
}

/// Without the secret.
impl core::fmt::Debug for AuthResponse<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Plain { user, .. } => write!(f, "Plain {{ user: {user:?}, .. }}"),
        }
    }
}

impl AuthResponse<'_> {
    fn token_len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Token(token) => token.len(),
            Self::Plain { user, password } => {
                2_usize.saturating_add(user.len()).saturating_add(password.len())
            }
        }
    }
}

impl Request for AuthResponse<'_> {
    const OPCODE: Opcode = Opcode::AuthResponse;

    fn body_len(&self, _: Version) -> Result<usize, SerializeError> {
        long_len("authentication token", self.token_len())
    }

    fn write_body(&self, _: Version, out: &mut Writer<'_>) {
        match self {
            Self::Null => out.put_i32(-1),
            Self::Token(token) => out.put_bytes(token),
            Self::Plain { user, password } => {
                out.put_u32(crate::error::saturating_u32(self.token_len()));
                out.put_u8(0);
                out.put_slice(user.as_bytes());
                out.put_u8(0);
                out.put_slice(password.as_bytes());
            }
        }
    }
}
