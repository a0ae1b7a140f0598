//! The nine bytes before each body.
//!
//! ```text
//! 0        1      2        4       5              9
//! version | flags | stream | opcode | body length | body …
//! ```
//!
//! Both directions are here, because the embedded node reads what a driver writes. What a body
//! contains is not this module's business. Next: `deframer.rs`.

use core::fmt;

use crate::error::{FrameError, Malformed, PeerMisbehaved, TooLarge, Unsupported};

/// Length of a header in bytes.
pub const HEADER_LEN: usize = 9;

/// Longest body the protocol allows, in bytes (CQL v4 §2.5).
pub const BODY_LEN_MAX: u32 = 256 << 20;

/// The stream of frames that the server sends on its own accord.
pub const EVENT_STREAM: i16 = -1;

/// Bits of the header's second byte.
pub mod flags {
    /// The body is compressed. Without meaning from version 5 on, where segments are.
    pub const COMPRESSION: u8 = 0x01;
    /// Request: trace it. Response: the body begins with a tracing id.
    pub const TRACING: u8 = 0x02;
    /// The body holds a custom payload.
    pub const CUSTOM_PAYLOAD: u8 = 0x04;
    /// The response holds warnings.
    pub const WARNING: u8 = 0x08;
    /// Opts into a beta version.
    pub const USE_BETA: u8 = 0x10;
}

/// Version of the protocol; one per connection, fixed by its first message.
///
/// ```
/// use shardwire_protocol::header::Version;
///
/// assert_eq!(Version::default(), Version::V4);
/// assert!(Version::V3 < Version::V5);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Version {
    /// Version 3.
    V3 = 3,
    /// Version 4, the one that ScyllaDB speaks.
    #[default]
    V4 = 4,
    /// Version 5, of Apache Cassandra.
    V5 = 5,
}

impl Version {
    /// The version with this number.
    ///
    /// ```
    /// # use shardwire_protocol::error::Unsupported;
    /// # use shardwire_protocol::header::Version;
    /// assert_eq!(Version::from_u8(4), Ok(Version::V4));
    /// assert_eq!(Version::from_u8(2), Err(Unsupported::Version(2)));
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for any other than 3, 4 and 5.
    #[inline]
    pub const fn from_u8(number: u8) -> Result<Self, Unsupported> {
        match number {
            3 => Ok(Self::V3),
            4 => Ok(Self::V4),
            5 => Ok(Self::V5),
            _ => Err(Unsupported::Version(number)),
        }
    }

    /// Its number.
    ///
    /// ```
    /// # use shardwire_protocol::header::Version;
    /// assert_eq!(Version::V5.as_u8(), 5);
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// What a message is.
///
/// ```
/// use shardwire_protocol::header::Opcode;
///
/// assert_eq!(Opcode::AuthChallenge.to_string(), "AUTH_CHALLENGE");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Opcode {
    Error = 0x00,
    Startup = 0x01,
    Ready = 0x02,
    Authenticate = 0x03,
    Options = 0x05,
    Supported = 0x06,
    Query = 0x07,
    Result = 0x08,
    Prepare = 0x09,
    Execute = 0x0A,
    Register = 0x0B,
    Event = 0x0C,
    Batch = 0x0D,
    AuthChallenge = 0x0E,
    AuthResponse = 0x0F,
    AuthSuccess = 0x10,
}

impl Opcode {
    /// The opcode with this number.
    ///
    /// ```
    /// # use shardwire_protocol::error::Malformed;
    /// # use shardwire_protocol::header::Opcode;
    /// assert_eq!(Opcode::from_u8(0x0A), Ok(Opcode::Execute));
    /// assert_eq!(Opcode::from_u8(0x77), Err(Malformed::UnknownOpcode(0x77)));
    /// ```
    ///
    /// # Errors
    /// `Malformed` where the protocol defines none.
    #[inline]
    pub const fn from_u8(number: u8) -> Result<Self, Malformed> {
        Ok(match number {
            0x00 => Self::Error,
            0x01 => Self::Startup,
            0x02 => Self::Ready,
            0x03 => Self::Authenticate,
            0x05 => Self::Options,
            0x06 => Self::Supported,
            0x07 => Self::Query,
            0x08 => Self::Result,
            0x09 => Self::Prepare,
            0x0A => Self::Execute,
            0x0B => Self::Register,
            0x0C => Self::Event,
            0x0D => Self::Batch,
            0x0E => Self::AuthChallenge,
            0x0F => Self::AuthResponse,
            0x10 => Self::AuthSuccess,
            _ => return Err(Malformed::UnknownOpcode(number)),
        })
    }

    /// Its number.
    ///
    /// ```
    /// # use shardwire_protocol::header::Opcode;
    /// assert_eq!(Opcode::Batch.as_u8(), 0x0D);
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "ERROR",
            Self::Startup => "STARTUP",
            Self::Ready => "READY",
            Self::Authenticate => "AUTHENTICATE",
            Self::Options => "OPTIONS",
            Self::Supported => "SUPPORTED",
            Self::Query => "QUERY",
            Self::Result => "RESULT",
            Self::Prepare => "PREPARE",
            Self::Execute => "EXECUTE",
            Self::Register => "REGISTER",
            Self::Event => "EVENT",
            Self::Batch => "BATCH",
            Self::AuthChallenge => "AUTH_CHALLENGE",
            Self::AuthResponse => "AUTH_RESPONSE",
            Self::AuthSuccess => "AUTH_SUCCESS",
        })
    }
}

/// Header of a frame from client to server.
///
/// ```
/// use shardwire_protocol::header::{Opcode, RequestHeader, Version};
///
/// let (version, opcode) = (Version::V4, Opcode::Query);
/// let header = RequestHeader { version, flags: 0, stream: 7, opcode, body_len: 258 };
/// let mut bytes = [0; 9];
/// header.encode(&mut bytes);
/// assert_eq!(bytes, [4, 0, 0, 7, 7, 0, 0, 1, 2]);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestHeader {
    /// Version of the protocol.
    pub version: Version,
    /// See [`flags`].
    pub flags: u8,
    /// Chosen by the client, echoed by the server. Not negative.
    pub stream: i16,
    /// What the body is.
    pub opcode: Opcode,
    /// Length of the body in bytes.
    pub body_len: u32,
}

/// Header of a frame from server to client.
///
/// ```
/// use shardwire_protocol::header::{Opcode, ResponseHeader};
///
/// let header = ResponseHeader::decode(&[0x84, 0, 0, 7, 8, 0, 0, 1, 2])?;
/// assert_eq!((header.stream, header.opcode, header.body_len), (7, Opcode::Result, 258));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseHeader {
    /// Version of the protocol.
    pub version: Version,
    /// See [`flags`].
    pub flags: u8,
    /// The request's, or [`EVENT_STREAM`].
    pub stream: i16,
    /// What the body is.
    pub opcode: Opcode,
    /// Length of the body in bytes.
    pub body_len: u32,
}

macro_rules! header_codec {
    ($name:ident, $direction:expr) => {
        impl $name {
            /// Writes the header's nine bytes.
            ///
            /// ```
            /// # use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
            /// let (version, opcode) = (Version::V4, Opcode::Ready);
            /// let header = ResponseHeader { version, flags: 0, stream: 1, opcode, body_len: 0 };
            /// let mut bytes = [0; 9];
            /// header.encode(&mut bytes);
            /// assert_eq!(bytes, [0x84, 0, 0, 1, 2, 0, 0, 0, 0]);
            /// ```
            #[inline]
            pub fn encode(&self, out: &mut [u8; HEADER_LEN]) {
                let [s0, s1] = self.stream.to_be_bytes();
                let [l0, l1, l2, l3] = self.body_len.to_be_bytes();
                *out = [
                    self.version.as_u8() | $direction,
                    self.flags,
                    s0,
                    s1,
                    self.opcode.as_u8(),
                    l0,
                    l1,
                    l2,
                    l3,
                ];
            }

            /// Reads a header's nine bytes.
            ///
            /// ```
            /// # use shardwire_protocol::header::{RequestHeader, ResponseHeader};
            /// let bytes = [0x84, 0, 0, 1, 2, 0, 0, 0, 0];
            /// assert!(ResponseHeader::decode(&bytes).is_ok());
            /// let error = RequestHeader::decode(&bytes).unwrap_err();
            /// assert_eq!(error.to_string(), "frame is for the other direction");
            /// ```
            ///
            /// # Errors
            /// A version or opcode that is not known, the other direction's bit, or a body longer
            /// than [`BODY_LEN_MAX`].
            #[inline]
            pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, FrameError> {
                let [version, flags, s0, s1, opcode, l0, l1, l2, l3] = *bytes;
                let version = Version::from_u8(version & !DIRECTION)?;
                if (bytes[0] & DIRECTION) != $direction {
                    return Err(PeerMisbehaved::WrongDirection.into());
                }
                let opcode = Opcode::from_u8(opcode)?;
                let body_len = u32::from_be_bytes([l0, l1, l2, l3]);
                if body_len > BODY_LEN_MAX {
                    let (len, max) = (u64::from(body_len), u64::from(BODY_LEN_MAX));
                    return Err(TooLarge { what: "frame body", len, max }.into());
                }
                let stream = i16::from_be_bytes([s0, s1]);
                Ok(Self { version, flags, stream, opcode, body_len })
            }
        }
    };
}

header_codec!(RequestHeader, 0);
header_codec!(ResponseHeader, DIRECTION);

/// Bit of the version byte that says "from the server".
const DIRECTION: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUEST: [u8; 9] = [4, 0, 0, 7, 0x0A, 0, 0, 1, 2];

    #[test]
    fn encodes_and_decodes_both_directions() {
        let header = RequestHeader::decode(&REQUEST).unwrap();
        assert_eq!(header.stream, 7);
        assert_eq!(header.opcode, Opcode::Execute);
        assert_eq!(header.body_len, 0x102);
        let mut out = [0; 9];
        header.encode(&mut out);
        assert_eq!(out, REQUEST);

        let event = ResponseHeader {
            version: Version::V4,
            flags: flags::WARNING,
            stream: EVENT_STREAM,
            opcode: Opcode::Event,
            body_len: 5,
        };
        event.encode(&mut out);
        assert_eq!(out, [0x84, 8, 0xFF, 0xFF, 0x0C, 0, 0, 0, 5]);
        assert_eq!(ResponseHeader::decode(&out), Ok(event));
    }

    #[test]
    fn refuses_what_it_must() {
        let with = |index: usize, byte: u8| {
            let mut bytes = REQUEST;
            bytes[index] = byte;
            RequestHeader::decode(&bytes).unwrap_err()
        };
        assert_eq!(with(0, 0x84), PeerMisbehaved::WrongDirection.into());
        assert_eq!(with(0, 66), Unsupported::Version(66).into());
        assert_eq!(with(0, 0xC2), Unsupported::Version(66).into());
        assert_eq!(with(4, 4), Malformed::UnknownOpcode(4).into());
        assert!(matches!(with(5, 0x80), FrameError::TooLarge(_)));
        assert!(matches!(with(5, 0x11), FrameError::TooLarge(_)));
        assert_eq!(ResponseHeader::decode(&REQUEST), Err(PeerMisbehaved::WrongDirection.into()));
    }

    #[test]
    fn opcodes_have_these_numbers() {
        let table = [
            (0x00, "ERROR"),
            (0x01, "STARTUP"),
            (0x02, "READY"),
            (0x03, "AUTHENTICATE"),
            (0x05, "OPTIONS"),
            (0x06, "SUPPORTED"),
            (0x07, "QUERY"),
            (0x08, "RESULT"),
            (0x09, "PREPARE"),
            (0x0A, "EXECUTE"),
            (0x0B, "REGISTER"),
            (0x0C, "EVENT"),
            (0x0D, "BATCH"),
            (0x0E, "AUTH_CHALLENGE"),
            (0x0F, "AUTH_RESPONSE"),
            (0x10, "AUTH_SUCCESS"),
        ];
        for number in 0..=255 {
            match table.iter().find(|(known, _)| *known == number) {
                Some((_, name)) => {
                    let opcode = Opcode::from_u8(number).unwrap();
                    assert_eq!((opcode.as_u8(), opcode.to_string()), (number, (*name).to_owned()));
                }
                None => assert_eq!(
                    Opcode::from_u8(number),
                    Err(Malformed::UnknownOpcode(number)),
                    "{number}"
                ),
            }
        }
    }

    #[test]
    fn flags_are_one_bit_each() {
        let flags = [
            flags::COMPRESSION,
            flags::TRACING,
            flags::CUSTOM_PAYLOAD,
            flags::WARNING,
            flags::USE_BETA,
        ];
        assert_eq!(flags, [0x01, 0x02, 0x04, 0x08, 0x10]);
    }

    #[test]
    fn versions_have_a_number_and_a_direction() {
        let versions = [(Version::V3, 0x03, 0x83), (Version::V4, 0x04, 0x84)];
        for (version, request, response) in versions.into_iter().chain([(Version::V5, 5, 0x85)]) {
            let with = |number: u8| {
                let mut bytes = REQUEST;
                bytes[0] = number;
                bytes
            };
            assert_eq!(RequestHeader::decode(&with(request)).unwrap().version, version);
            assert_eq!(ResponseHeader::decode(&with(response)).unwrap().version, version);
            assert!(RequestHeader::decode(&with(response)).is_err());
            assert!(ResponseHeader::decode(&with(request)).is_err());
        }
        let known = (0..=255).filter(|number| Version::from_u8(*number).is_ok());
        assert!(known.eq([3, 4, 5]));
    }

    proptest! {
        #[test]
        fn headers_survive(
            version in prop::sample::select(&[Version::V3, Version::V4, Version::V5]),
            flags: u8,
            stream: i16,
            number in 0_u8..=0x10,
            body_len in 0..=BODY_LEN_MAX,
        ) {
            let Ok(opcode) = Opcode::from_u8(number) else { return Ok(()) };
            let mut bytes = [0; HEADER_LEN];
            let request = RequestHeader { version, flags, stream, opcode, body_len };
            request.encode(&mut bytes);
            prop_assert_eq!(RequestHeader::decode(&bytes), Ok(request));
            let response = ResponseHeader { version, flags, stream, opcode, body_len };
            response.encode(&mut bytes);
            prop_assert_eq!(ResponseHeader::decode(&bytes), Ok(response));
        }

        /// What is taken is written again as the same bytes.
        #[test]
        fn any_bytes(bytes: [u8; HEADER_LEN]) {
            let mut again = [0; HEADER_LEN];
            if let Ok(header) = RequestHeader::decode(&bytes) {
                header.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
            if let Ok(header) = ResponseHeader::decode(&bytes) {
                header.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
