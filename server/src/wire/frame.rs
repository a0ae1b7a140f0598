//! Frame headers, or those of v5's envelopes: splitting what was read, and starting and ending a
//! reply in place.

use super::version::Version;
use crate::error::CqlError;

/// Length of a frame header in bytes.
pub(crate) const HEADER_LEN: usize = 9;
/// Largest body that the specification allows, in bytes.
pub(crate) const BODY_LEN_MAX: usize = 256 * 1024 * 1024;
/// Largest body of a client that has not logged in, in bytes: STARTUP may have 32 KiB of
/// configuration.
pub(crate) const HANDSHAKE_LEN_MAX: usize = 128 * 1024;
/// Header flag: the body is compressed.
pub(crate) const FLAG_COMPRESSION: u8 = 0x01;
/// Header flag: the client wants a trace; the reply begins with its id.
pub(crate) const FLAG_TRACING: u8 = 0x02;
/// Header flag: a bytes map stands in front of the message.
pub(crate) const FLAG_CUSTOM_PAYLOAD: u8 = 0x04;
/// Header flag: a list of warnings stands in front of the message.
pub(crate) const FLAG_WARNING: u8 = 0x08;
/// Header flag: the client wants a version that is not final.
pub(crate) const FLAG_USE_BETA: u8 = 0x10;

/// Opcodes of CQL v4 section 2.4.
pub(crate) mod opcode {
    pub(crate) const ERROR: u8 = 0x00;
    pub(crate) const STARTUP: u8 = 0x01;
    pub(crate) const READY: u8 = 0x02;
    pub(crate) const AUTHENTICATE: u8 = 0x03;
    pub(crate) const OPTIONS: u8 = 0x05;
    pub(crate) const SUPPORTED: u8 = 0x06;
    pub(crate) const QUERY: u8 = 0x07;
    pub(crate) const RESULT: u8 = 0x08;
    pub(crate) const PREPARE: u8 = 0x09;
    pub(crate) const EXECUTE: u8 = 0x0A;
    pub(crate) const REGISTER: u8 = 0x0B;
    pub(crate) const EVENT: u8 = 0x0C;
    pub(crate) const BATCH: u8 = 0x0D;
    pub(crate) const AUTH_RESPONSE: u8 = 0x0F;
    pub(crate) const AUTH_SUCCESS: u8 = 0x10;

    /// Name of a request opcode, as rules and error texts spell it.
    pub(crate) fn name(opcode: u8) -> Option<&'static str> {
        Some(match opcode {
            STARTUP => "STARTUP",
            OPTIONS => "OPTIONS",
            QUERY => "QUERY",
            PREPARE => "PREPARE",
            EXECUTE => "EXECUTE",
            REGISTER => "REGISTER",
            BATCH => "BATCH",
            AUTH_RESPONSE => "AUTH_RESPONSE",
            _ => return None,
        })
    }
}

/// Header of a request, as it stands in the frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) flags: u8,
    pub(crate) stream: i16,
    pub(crate) opcode: u8,
    pub(crate) body_len: usize,
}

impl Header {
    #[inline]
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let [version, flags, s0, s1, opcode, l0, l1, l2, l3] = *bytes;
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        Self {
            version,
            flags,
            stream: i16::from_be_bytes([s0, s1]),
            opcode,
            body_len: usize::try_from(len).unwrap_or(usize::MAX),
        }
    }
}

/// What stands at the front of the received bytes.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Split<'a> {
    /// A whole frame and what follows it.
    Frame { header: Header, body: &'a [u8], rest: &'a [u8] },
    /// Not yet a whole frame, which is this many bytes long as far as known.
    Partial { frame_len: usize },
    /// The version byte is not the connection's; the flags if they have come.
    OtherVersion { byte: u8, flags: Option<u8>, stream: i16 },
    /// The bytes cannot be a frame; the reply to send before closing.
    Refused { stream: i16, error: CqlError },
}

/// Splits the first frame off `bytes`.
#[inline]
pub(crate) fn split(bytes: &[u8], version: Version, body_len_max: usize) -> Split<'_> {
    let Some((head, after)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        // A wrong version byte is refused at once: whoever sent it may never send nine bytes.
        if let Some(&byte) = bytes.first().filter(|&&byte| byte != version.number()) {
            return Split::OtherVersion { byte, flags: bytes.get(1).copied(), stream: 0 };
        }
        return Split::Partial { frame_len: HEADER_LEN };
    };
    let header = Header::decode(head);
    if header.version != version.number() {
        let Header { version: byte, flags, stream, .. } = header;
        return Split::OtherVersion { byte, flags: Some(flags), stream };
    }
    if header.body_len > body_len_max {
        let error = CqlError::protocol(format!(
            "frame body of {} bytes exceeds the limit of {body_len_max}",
            header.body_len
        ));
        return Split::Refused { stream: header.stream, error };
    }
    match after.split_at_checked(header.body_len) {
        Some((body, rest)) => Split::Frame { header, body, rest },
        None => Split::Partial { frame_len: HEADER_LEN + header.body_len },
    }
}

/// Starts a reply in `out`; the body is appended by the caller, then [`end`] is called.
pub(crate) fn begin(out: &mut Vec<u8>, version: Version, stream: i16, opcode: u8) -> usize {
    let at = out.len();
    let [version, flags] = version.reply_head();
    let [s0, s1] = stream.to_be_bytes();
    out.extend_from_slice(&[version, flags, s0, s1, opcode, 0, 0, 0, 0]);
    at
}

/// Ends the reply that [`begin`] started at `at`: writes the body's length.
pub(crate) fn end(out: &mut [u8], at: usize) {
    let body_len = out.len().saturating_sub(at + HEADER_LEN);
    set_body_len(out, at, body_len);
}

/// Writes the length of the body of the frame at `at`.
pub(super) fn set_body_len(out: &mut [u8], at: usize, body_len: usize) {
    let len = u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(at + 5..at + HEADER_LEN) {
        field.copy_from_slice(&len);
    }
}

/// Replaces version and flags of an encoded frame at `at`.
pub(crate) fn set_version(out: &mut [u8], at: usize, version: Version) {
    if let Some(field) = out.get_mut(at..at + 2) {
        field.copy_from_slice(&version.reply_head());
    }
}

/// Replaces the stream id of an encoded frame at `at`.
#[inline]
pub(crate) fn set_stream(out: &mut [u8], at: usize, stream: i16) {
    if let Some(field) = out.get_mut(at + 2..at + 4) {
        field.copy_from_slice(&stream.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [u8; 9] = [4, 0, 0, 7, opcode::OPTIONS, 0, 0, 0, 0];

    #[test]
    fn splits_wherever_the_bytes_are_cut() {
        let frame = [4, 0, 0, 1, opcode::QUERY, 0, 0, 0, 2, 8, 9, 4];
        for cut in 0..11 {
            let split = split(&frame[..cut], Version::V4, 100);
            assert!(matches!(split, Split::Partial { .. }), "{cut}");
        }
        let split = split(&frame, Version::V4, 100);
        let Split::Frame { header, body, rest } = split else { panic!() };
        assert_eq!((header.stream, header.opcode, body, rest), (1, 7, &[8, 9][..], &[4][..]));
    }

    #[test]
    fn other_versions_are_noticed_at_once() {
        let mut frame = OPTIONS;
        frame[0] = 5;
        let other = |flags, stream| Split::OtherVersion { byte: 5, flags, stream };
        assert_eq!(split(&frame, Version::V4, 100), other(Some(0), 7));
        assert_eq!(split(&[5], Version::V4, 100), other(None, 0));
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
        let frame = [4, 0, 0, 1, opcode::QUERY, 0x7F, 0xFF, 0xFF, 0xFF];
        assert!(matches!(split(&frame, Version::V4, BODY_LEN_MAX), Split::Refused { .. }));
    }
}
