//! Finds frame boundaries in received bytes, in place.
//!
//! Knows nothing about sockets or about what a body contains, and keeps no bytes: the caller shows
//! what it has from the start of a frame on, and learns whether that is a whole frame or how much
//! is missing. A length that exceeds the limit is refused before anything waits for it.
//!
//! Step 10 of 14 in `docs/REQUEST.md`. Next: `driver/src/connection/complete.rs`.

use crate::error::{FrameError, TooLarge};
use crate::header::{BODY_LEN_MAX, HEADER_LEN, ResponseHeader};

/// Splits a connection's bytes into frames.
///
/// ```
/// use shardwire_protocol::deframer::{Deframer, Step};
///
/// let deframer = Deframer::default();
/// let mut received = vec![0x84, 0, 0, 7, 2, 0, 0, 0];
/// assert_eq!(deframer.next(&received)?, Step::NeedMore { at_least: 9 });
/// received.push(0);
/// assert!(matches!(deframer.next(&received)?, Step::Frame { total_len: 9, .. }));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deframer {
    max_body_len: u32,
}

/// What the bytes shown are.
///
/// ```
/// use shardwire_protocol::deframer::{Deframer, Step};
///
/// let received = [0x84, 0, 0, 7, 8, 0, 0, 0, 4, 0, 0]; // two of the body's four bytes
/// let step = Deframer::default().next(&received)?;
/// assert_eq!(step, Step::NeedMore { at_least: 13 });
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// They begin with a whole frame.
    Frame {
        /// Its header.
        header: ResponseHeader,
        /// Its length, header included; the next frame begins there.
        total_len: usize,
    },
    /// They are the beginning of a frame, or nothing.
    NeedMore {
        /// How long the frame is at least: the header's length if that is not complete, else
        /// exactly the frame's.
        at_least: usize,
    },
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new(BODY_LEN_MAX)
    }
}

impl Deframer {
    /// Refuses bodies longer than `max_body_len` bytes, and ever those beyond the protocol's own
    /// limit.
    ///
    /// ```
    /// # use shardwire_protocol::deframer::Deframer;
    /// let received = [0x84, 0, 0, 7, 8, 0, 0, 4, 0];
    /// let error = Deframer::new(1000).next(&received).unwrap_err();
    /// assert_eq!(error.to_string(), "frame body of 1024 bytes, at most 1000 accepted");
    /// ```
    #[must_use]
    pub const fn new(max_body_len: u32) -> Self {
        if max_body_len > BODY_LEN_MAX {
            return Self { max_body_len: BODY_LEN_MAX };
        }
        Self { max_body_len }
    }

    /// Looks at `filled`, which begins where a frame begins.
    ///
    /// ```
    /// # use shardwire_protocol::deframer::{Deframer, Step};
    /// let received = [0x84, 0, 0, 7, 2, 0, 0, 0, 0, 0x84];
    /// let Step::Frame { header, total_len } = Deframer::default().next(&received)? else {
    ///     panic!("the frame is all there");
    /// };
    /// assert_eq!((header.stream, &received[total_len..]), (7, &[0x84][..]));
    /// # Ok::<(), shardwire_protocol::error::FrameError>(())
    /// ```
    ///
    /// # Errors
    /// A header that is not CQL, or a body beyond the limit. The connection is beyond help.
    #[inline]
    pub fn next(&self, filled: &[u8]) -> Result<Step, FrameError> {
        let Some(header) = filled.first_chunk::<HEADER_LEN>() else {
            return Ok(Step::NeedMore { at_least: HEADER_LEN });
        };
        let header = ResponseHeader::decode(header)?;
        if header.body_len > self.max_body_len {
            return Err(self.too_large(header.body_len));
        }
        // At most BODY_LEN_MAX, which `decode` checked, so neither cast nor sum can overflow.
        let total_len = HEADER_LEN + header.body_len as usize;
        if filled.len() < total_len {
            return Ok(Step::NeedMore { at_least: total_len });
        }
        Ok(Step::Frame { header, total_len })
    }

    /// The stream and the length of the frame that `filled` begins with, if that is all there and a
    /// RESULT of version 4 without flags: what most requests get that read, found with few
    /// comparisons.
    ///
    /// `None` is no error: [`next`](Self::next) tells what it is.
    ///
    /// ```
    /// # use shardwire_protocol::deframer::Deframer;
    /// let received = [0x84, 0, 0, 7, 8, 0, 0, 0, 4, 0, 0, 0, 1];
    /// assert_eq!(Deframer::default().plain_result(&received), Some((7, 13)));
    /// assert_eq!(Deframer::default().plain_result(&received[..12]), None);
    /// ```
    #[inline]
    #[must_use]
    pub fn plain_result(&self, filled: &[u8]) -> Option<(i16, usize)> {
        let [0x84, 0, s0, s1, 0x08, len @ ..] = filled.first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        let body_len = u32::from_be_bytes(*len);
        if body_len > self.max_body_len {
            return None;
        }
        let total_len = HEADER_LEN + body_len as usize; // at most BODY_LEN_MAX: no overflow
        (total_len <= filled.len()).then(|| (i16::from_be_bytes([*s0, *s1]), total_len))
    }

    #[cold]
    fn too_large(&self, len: u32) -> FrameError {
        let (len, max) = (u64::from(len), u64::from(self.max_body_len));
        TooLarge { what: "frame body", len, max }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Malformed, PeerMisbehaved, Unsupported};
    use crate::header::{Opcode, Version};
    use proptest::prelude::*;

    /// A void RESULT on stream 5, an empty READY on stream 0, an EVENT.
    const GOLDEN: &[u8] = &[
        0x84, 0, 0, 5, 8, 0, 0, 0, 4, 0, 0, 0, 1, // RESULT
        0x84, 0, 0, 0, 2, 0, 0, 0, 0, // READY
        0x84, 0, 0xFF, 0xFF, 0x0C, 0, 0, 0, 2, 7, 7, // EVENT
    ];

    fn header(stream: i16, opcode: Opcode, body_len: u32) -> ResponseHeader {
        ResponseHeader { version: Version::V4, flags: 0, stream, opcode, body_len }
    }

    /// Feeds the pieces as they come; the frames that were found and what is left over.
    fn feed(pieces: &[&[u8]]) -> (Vec<(ResponseHeader, Vec<u8>)>, usize) {
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Step::Frame { header, total_len } = Deframer::default().next(&buffer).unwrap()
            {
                let frame: Vec<u8> = buffer.drain(..total_len).collect();
                frames.push((header, frame[HEADER_LEN..].to_vec()));
            }
        }
        (frames, buffer.len())
    }

    fn golden_frames() -> Vec<(ResponseHeader, Vec<u8>)> {
        vec![
            (header(5, Opcode::Result, 4), vec![0, 0, 0, 1]),
            (header(0, Opcode::Ready, 0), vec![]),
            (header(-1, Opcode::Event, 2), vec![7, 7]),
        ]
    }

    #[test]
    fn splits_at_every_byte() {
        for first in 0..=GOLDEN.len() {
            for second in first..=GOLDEN.len() {
                let pieces = [&GOLDEN[..first], &GOLDEN[first..second], &GOLDEN[second..]];
                assert_eq!(feed(&pieces), (golden_frames(), 0), "{first} {second}");
            }
        }
    }

    #[test]
    fn truncated_at_every_byte() {
        for len in 0..13 {
            let at_least = if len < 9 { 9 } else { 13 };
            let step = Deframer::default().next(&GOLDEN[..len]);
            assert_eq!(step, Ok(Step::NeedMore { at_least }), "{len}");
        }
        assert_eq!(
            Deframer::default().next(GOLDEN),
            Ok(Step::Frame { header: header(5, Opcode::Result, 4), total_len: 13 })
        );
    }

    /// What `plain_result` finds is what `next` finds, and it finds every one.
    fn check_plain(deframer: Deframer, bytes: &[u8]) {
        let expected = match deframer.next(bytes) {
            Ok(Step::Frame { header, total_len })
                if header.version == Version::V4
                    && header.flags == 0
                    && header.opcode == Opcode::Result =>
            {
                Some((header.stream, total_len))
            }
            _ => None,
        };
        assert_eq!(deframer.plain_result(bytes), expected, "{bytes:?}");
    }

    #[test]
    fn plain_results_are_found_and_nothing_else() {
        assert_eq!(Deframer::default().plain_result(GOLDEN), Some((5, 13)));
        for len in 0..=GOLDEN.len() {
            check_plain(Deframer::default(), &GOLDEN[..len]);
        }
        for index in 0..HEADER_LEN {
            for byte in 0..=255 {
                let mut bytes = GOLDEN.to_vec();
                bytes[index] = byte;
                for max in [0, 3, 4, u32::MAX] {
                    check_plain(Deframer::new(max), &bytes);
                }
            }
        }
    }

    #[test]
    fn refuses_lengths_over_the_limit() {
        let refused = |length: u32, deframer: Deframer| {
            let mut frame = [0x84, 0, 0, 5, 8, 0, 0, 0, 0];
            frame[5..].copy_from_slice(&length.to_be_bytes());
            match deframer.next(&frame) {
                Err(FrameError::TooLarge(error)) => error.len == u64::from(length),
                other => panic!("{other:?}"),
            }
        };
        assert!(refused(0x8000_0000, Deframer::default()));
        assert!(refused(0x7FFF_FFFF, Deframer::default()));
        assert!(refused(u32::MAX, Deframer::new(u32::MAX)));
        assert!(refused(BODY_LEN_MAX + 1, Deframer::default()));
        assert!(refused(17, Deframer::new(16)));
        let just_fits = [0x84, 0, 0, 5, 8, 0, 0, 0, 16];
        assert_eq!(Deframer::new(16).next(&just_fits), Ok(Step::NeedMore { at_least: 25 }));
    }

    #[test]
    fn refuses_what_is_not_cql() {
        let error = |bytes: &[u8]| Deframer::default().next(bytes).unwrap_err();
        assert_eq!(error(b"HTTP/1.1 400"), Unsupported::Version(b'H').into());
        assert_eq!(error(&[4, 0, 0, 5, 8, 0, 0, 0, 0]), PeerMisbehaved::WrongDirection.into());
        assert_eq!(
            error(&[0x84, 0, 0, 5, 0x99, 0, 0, 0, 0]),
            Malformed::UnknownOpcode(0x99).into()
        );
    }

    /// Header and body, as a server sends them.
    fn frame() -> impl Strategy<Value = (ResponseHeader, Vec<u8>)> {
        let version = prop::sample::select(&[Version::V3, Version::V4, Version::V5]);
        let opcode = prop::sample::select(&[Opcode::Error, Opcode::Result, Opcode::Event]);
        let body = prop::collection::vec(any::<u8>(), 0..40);
        (version, any::<u8>(), any::<i16>(), opcode, body).prop_map(
            |(version, flags, stream, opcode, body)| {
                let body_len = u32::try_from(body.len()).unwrap();
                (ResponseHeader { version, flags, stream, opcode, body_len }, body)
            },
        )
    }

    proptest! {
        #[test]
        fn frames_survive(
            frames in proptest::collection::vec(frame(), 0..5),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut bytes = Vec::new();
            for (header, body) in &frames {
                let mut head = [0; HEADER_LEN];
                header.encode(&mut head);
                bytes.extend_from_slice(&head);
                bytes.extend_from_slice(body);
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            prop_assert_eq!(feed(&pieces), (frames, 0));
        }

        #[test]
        fn never_panics_nor_claims_more_than_there_is(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), max: u32,
        ) {
            check_plain(Deframer::new(max), &bytes);
            match Deframer::new(max).next(&bytes) {
                Ok(Step::Frame { total_len, .. }) => prop_assert!(total_len <= bytes.len()),
                Ok(Step::NeedMore { at_least }) => prop_assert!(at_least > bytes.len()),
                Err(_) => {}
            }
        }
    }
}
