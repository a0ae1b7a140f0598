//! Envelopes out of segments: taken from a payload where they lie, or put together of several.
//!
//! [`Assembly`] does the reckoning and leaves the bytes to its caller, who has the buffers.
//! Next: `tablets.rs`.

use core::iter::FusedIterator;

use super::SegmentHeader;
use crate::deframer::{Deframer, Step};
use crate::error::{FrameError, PeerMisbehaved};
use crate::header::{HEADER_LEN, ResponseHeader};

/// The envelopes of a self-contained payload, where they lie: headers and bodies.
///
/// Ends after an error, after which the connection is beyond help.
///
/// ```
/// use shardwire_protocol::deframer::Deframer;
/// use shardwire_protocol::segment::Envelopes;
///
/// let payload = [0x85, 0, 0, 5, 8, 0, 0, 0, 4, 0, 0, 0, 1, 0x85, 0, 0, 6, 2, 0, 0, 0, 0];
/// let envelopes: Result<Vec<_>, _> = Envelopes::new(Deframer::default(), &payload).collect();
/// let streams: Vec<i16> = envelopes?.iter().map(|(header, _)| header.stream).collect();
/// assert_eq!(streams, [5, 6]);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "iterators are lazy"]
pub struct Envelopes<'a> {
    deframer: Deframer,
    rest: &'a [u8],
}

impl<'a> Envelopes<'a> {
    /// Walks the envelopes of `payload`, none of which may be longer than `deframer` accepts.
    pub const fn new(deframer: Deframer, payload: &'a [u8]) -> Self {
        Self { deframer, rest: payload }
    }
}

impl<'a> Iterator for Envelopes<'a> {
    type Item = Result<(ResponseHeader, &'a [u8]), FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.deframer.next(self.rest);
        let all = core::mem::take(&mut self.rest);
        match step {
            Ok(Step::Frame { header, total_len }) => {
                let (envelope, rest) = all.split_at_checked(total_len)?;
                self.rest = rest;
                Some(Ok((header, envelope.get(HEADER_LEN..)?)))
            }
            Ok(Step::NeedMore { .. }) => Some(Err(PeerMisbehaved::SegmentsOutOfStep.into())),
            Err(error) => Some(Err(error)),
        }
    }
}

impl FusedIterator for Envelopes<'_> {}

/// Follows an envelope over the segments that it was cut into.
///
/// ```text
///              self-contained → Envelopes            part of an envelope → Part
///               ┌────────────┐                        ┌──────┐
///               │            ▼   part                 ▼      │
///               └────────── idle ───────────────────▶ within ┘
///                            ▲                          │
///                            └───── its last part → Last┘
/// ```
///
/// Anything else is an error: a self-contained segment within an envelope, a part longer than what
/// was missing, an envelope longer than the deframer accepts. That is refused as soon as its header
/// is there, before anyone makes room for it.
///
/// ```
/// use shardwire_protocol::deframer::Deframer;
/// use shardwire_protocol::segment::{Assembly, Piece, SegmentHeader};
///
/// let part = |stored_len| {
///     SegmentHeader { stored_len, decompressed_len: 0, is_self_contained: false }
/// };
/// let mut assembly = Assembly::new(Deframer::default());
/// let piece = assembly.accept(&part(10), &[0x85, 0, 0, 5, 8, 0, 0, 0, 4, 0])?;
/// assert_eq!(piece, Piece::Part { at_least: 13 });
/// let piece = assembly.accept(&part(3), &[0, 0, 1])?;
/// assert!(matches!(piece, Piece::Last { total_len: 13, .. }));
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Assembly {
    deframer: Deframer,
    /// The envelope's header, as far as it was received.
    head: [u8; HEADER_LEN],
    /// How much of the envelope was received; 0 where there is none.
    received: usize,
}

/// What to do with a payload.
///
/// ```
/// use shardwire_protocol::deframer::Deframer;
/// use shardwire_protocol::segment::{Assembly, Piece, SegmentHeader};
///
/// let header = SegmentHeader { stored_len: 9, decompressed_len: 0, is_self_contained: true };
/// let mut assembly = Assembly::new(Deframer::default());
/// let piece = assembly.accept(&header, &[0x85, 0, 0, 5, 2, 0, 0, 0, 0])?;
/// assert_eq!(piece, Piece::Envelopes);
/// # Ok::<(), shardwire_protocol::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece {
    /// It is made of whole envelopes, see [`Envelopes`].
    Envelopes,
    /// It is part of an envelope: append it to those before. More follow.
    Part {
        /// How long the envelope is at least: its header's length if that is not complete, else
        /// exactly its own. Room for so much may be made.
        at_least: usize,
    },
    /// It is the last part of an envelope: append it, and all is there.
    Last {
        /// The envelope's header.
        header: ResponseHeader,
        /// Length of the whole envelope, header included.
        total_len: usize,
    },
}

impl Assembly {
    /// Accepts envelopes as long as `deframer` does.
    #[must_use]
    pub const fn new(deframer: Deframer) -> Self {
        Self { deframer, head: [0; HEADER_LEN], received: 0 }
    }

    /// Tells what the next segment's payload, decompressed, is.
    ///
    /// # Errors
    /// Segments that do not add up to whole envelopes, an envelope whose header is not CQL, or one
    /// beyond the limit. The connection is beyond help.
    pub fn accept(&mut self, segment: &SegmentHeader, payload: &[u8]) -> Result<Piece, FrameError> {
        if segment.is_self_contained {
            if self.received != 0 {
                return Err(PeerMisbehaved::SegmentsOutOfStep.into());
            }
            return Ok(Piece::Envelopes);
        }
        if let Some(missing) = self.head.get_mut(self.received..) {
            missing.iter_mut().zip(payload).for_each(|(place, byte)| *place = *byte);
        }
        // A segment is short and the deframer limits the envelope, so the sum cannot overflow.
        self.received += payload.len();
        if self.received < HEADER_LEN {
            return Ok(Piece::Part { at_least: HEADER_LEN });
        }
        let total_len = match self.deframer.next(&self.head)? {
            Step::Frame { total_len, .. } | Step::NeedMore { at_least: total_len } => total_len,
        };
        if self.received > total_len {
            return Err(PeerMisbehaved::SegmentsOutOfStep.into());
        }
        if self.received < total_len {
            return Ok(Piece::Part { at_least: total_len });
        }
        self.received = 0;
        Ok(Piece::Last { header: ResponseHeader::decode(&self.head)?, total_len })
    }
}
