//! Protocol versions: which ones the node speaks, and what to tell clients of others.

use super::frame::FLAG_USE_BETA;
use crate::error::CqlError;
use crate::persona::Persona;

/// A version of the protocol that the node speaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Version {
    V3 = 3,
    V4 = 4,
    V5 = 5,
    /// As Cassandra 5.0 has it: version 5 under another number, for who sets a flag.
    V6Beta = 6,
}

impl Version {
    #[inline]
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Version byte and flags of a reply.
    #[inline]
    pub(crate) fn reply_head(self) -> [u8; 2] {
        let flags = if self == Self::V6Beta { FLAG_USE_BETA } else { 0 };
        [self.number() | 0x80, flags]
    }

    /// Whether envelopes travel in segments, flags of queries have 32 bits, and results have ids.
    #[inline]
    pub(crate) fn is_5(self) -> bool {
        self >= Self::V5
    }
}

/// Who is speaking to whom: what the encoding of a reply depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Dialect {
    pub(crate) persona: Persona,
    pub(crate) version: Version,
}

/// What the first bytes of a connection say.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Negotiated {
    Version(Version),
    /// The flags are needed too.
    Partial,
    /// The error, and the version to say it in.
    Refused(Version, CqlError),
}

/// Judges the version byte, and the flags as far as they have come, of a client that is new.
pub(crate) fn negotiate(persona: Persona, byte: u8, flags: Option<u8>) -> Negotiated {
    match (persona, byte) {
        (_, 3) => Negotiated::Version(Version::V3),
        (_, 4) => Negotiated::Version(Version::V4),
        (Persona::Cassandra, 5) => Negotiated::Version(Version::V5),
        (Persona::Cassandra, 6) => match flags {
            None => Negotiated::Partial,
            Some(flags) if flags & FLAG_USE_BETA != 0 => Negotiated::Version(Version::V6Beta),
            Some(_) => Negotiated::Refused(Version::V6Beta, beta_error()),
        },
        _ => Negotiated::Refused(greatest(persona), version_error(persona, byte)),
    }
}

/// The greatest version that is no beta.
pub(crate) fn greatest(persona: Persona) -> Version {
    match persona {
        Persona::Scylla => Version::V4,
        Persona::Cassandra => Version::V5,
    }
}

pub(crate) fn beta_error() -> CqlError {
    CqlError::protocol("Beta version of the protocol used (6/v6-beta), but USE_BETA flag is unset")
}

/// The wording is what clients look for to try a lower version.
fn version_error(persona: Persona, byte: u8) -> CqlError {
    let version = byte & 0x7F;
    CqlError::protocol(match persona {
        Persona::Scylla => format!("Invalid or unsupported protocol version: {version}"),
        Persona::Cassandra => format!(
            "Invalid or unsupported protocol version ({version}); supported versions are (3/v3, \
             4/v4, 5/v5, 6/v6-beta)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_persona_has_its_versions() {
        for (persona, byte, expect) in [
            (Persona::Scylla, 3, Some(Version::V3)),
            (Persona::Scylla, 4, Some(Version::V4)),
            (Persona::Scylla, 5, None),
            (Persona::Cassandra, 4, Some(Version::V4)),
            (Persona::Cassandra, 5, Some(Version::V5)),
            (Persona::Cassandra, 7, None),
            (Persona::Cassandra, 0x85, None),
            (Persona::Cassandra, 2, None),
        ] {
            match (negotiate(persona, byte, Some(0)), expect) {
                (Negotiated::Version(version), Some(expect)) => assert_eq!(version, expect),
                (Negotiated::Refused(version, error), None) => {
                    assert_eq!(version, greatest(persona));
                    assert!(error.message.contains("unsupported protocol version"), "{error:?}");
                }
                other => panic!("{persona:?} {byte}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_beta_is_for_those_who_ask() {
        let with = |flags| negotiate(Persona::Cassandra, 6, flags);
        assert_eq!(with(None), Negotiated::Partial);
        assert_eq!(with(Some(FLAG_USE_BETA)), Negotiated::Version(Version::V6Beta));
        assert_eq!(with(Some(0)), Negotiated::Refused(Version::V6Beta, beta_error()));
    }
}
