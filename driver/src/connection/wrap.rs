//! What becomes of frames between the outbox and the socket: compressed one by one, or put into
//! segments, and sealed. With one table and one or two buffers per connection.
//!
//! All that has gathered is taken at once, so that what gathers shares segments and records.

use shardwire_protocol::compression::Lz4Encoder;
use shardwire_protocol::header::{HEADER_LEN, RequestHeader, flags};
use shardwire_protocol::segment::SegmentEncoder;
use shardwire_sync::WriteBuffer;

use super::Framing;
use crate::error::Lost;
use crate::tls::stream::Sealer;

/// Turns frames into what is sent.
pub(super) struct Wrap {
    how: How,
    sealer: Option<Sealer>,
    /// What is to be sealed; empty where nothing is.
    plain: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` was sent.
    start: usize,
    outbox_len: usize,
}

/// What is done to frames.
enum How {
    /// Nothing; they are sealed as they are.
    Keep,
    /// Their bodies are compressed, one by one.
    Compress(Lz4Encoder),
    /// They are put into segments, as many as fit, which may be compressed.
    Segment(SegmentEncoder),
}

/// How many outboxes long the buffer may be that a long request leaves behind.
const KEPT_LEN_FACTOR: usize = 8;

/// Bytes of requests at once for which a connection's buffer is made at first.
const FEW_REQUESTS_LEN: usize = 4 * 1024;

/// Room for so many bytes of requests: a frame that compressing would lengthen takes a little more
/// while it is tried, and so do the headers of segments and records.
pub(super) const fn out_len(plain_len: usize) -> usize {
    plain_len.saturating_add(plain_len / 8).saturating_add(1024)
}

/// Bodies shorter than this are sent as they are: compressing would not make them smaller.
const COMPRESS_LEN_MIN: usize = 64;

impl Wrap {
    /// `None` where frames are sent as they are.
    // Allocates: once per connection, for few requests.
    pub(super) fn new(framing: Framing, sealer: Option<Sealer>, outbox_len: usize) -> Option<Wrap> {
        let how = match framing {
            Framing::Frames { compressed: false } if sealer.is_none() => return None,
            Framing::Frames { compressed: false } => How::Keep,
            Framing::Frames { compressed: true } => How::Compress(Lz4Encoder::new()),
            Framing::Segments(format) => How::Segment(SegmentEncoder::new(format)),
        };
        let out = Vec::with_capacity(out_len(FEW_REQUESTS_LEN.min(outbox_len)));
        Some(Wrap { how, sealer, plain: Vec::new(), out, start: 0, outbox_len })
    }

    pub(super) fn remaining(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    /// Counts `len` bytes of [`remaining`](Self::remaining) as sent.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
    }

    /// Takes all of `frames`, which are whole ones.
    ///
    /// # Errors
    ///
    /// If nothing more can be sealed. The connection is beyond help.
    // Allocates: once more per connection, for a whole outbox, when there is more at once than few.
    pub(super) fn fill(&mut self, frames: &mut WriteBuffer) -> Result<(), Lost> {
        self.start = 0;
        let len = out_len(frames.len());
        make_room(&mut self.out, len, self.outbox_len);
        let Some(sealer) = &mut self.sealer else {
            return take_frames(&mut self.how, frames, &mut self.out);
        };
        if matches!(self.how, How::Keep) {
            while !frames.remaining().is_empty() {
                seal(sealer, frames.remaining(), &mut self.out)?;
                frames.consume(frames.remaining().len());
            }
            return Ok(());
        }
        make_room(&mut self.plain, len, self.outbox_len);
        take_frames(&mut self.how, frames, &mut self.plain)?;
        seal(sealer, &self.plain, &mut self.out)
    }

    /// What tells the node that nothing more comes, if nothing else is on its way.
    pub(super) fn farewell(&mut self) -> Option<&[u8]> {
        let sealer = self.sealer.as_mut().filter(|_| self.start == self.out.len())?;
        self.start = 0;
        self.out.clear();
        sealer.close(&mut self.out).ok()?;
        Some(&self.out)
    }
}

/// Empties `out`, and makes room for so much, or for a whole outbox where it has more than little.
fn make_room(out: &mut Vec<u8>, len: usize, outbox_len: usize) {
    out.clear();
    if out.capacity() > out_len(outbox_len.saturating_mul(KEPT_LEN_FACTOR)) {
        *out = Vec::new(); // made for a long request: not kept
    }
    let few_len = out_len(FEW_REQUESTS_LEN.min(outbox_len));
    if len > out.capacity() {
        out.reserve_exact(if len <= few_len { few_len } else { len.max(out_len(outbox_len)) });
    }
}

fn seal(sealer: &mut Sealer, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
    if plain.is_empty() {
        return Ok(());
    }
    sealer.seal(plain, out).map_err(|fault| Lost::Tls(fault.0))
}

fn take_frames(how: &mut How, frames: &mut WriteBuffer, out: &mut Vec<u8>) -> Result<(), Lost> {
    while !frames.remaining().is_empty() {
        let bytes = frames.remaining();
        let taken = match how {
            How::Keep => None, // are sealed where they are
            How::Compress(lz4) => push_frame(lz4, bytes, out),
            How::Segment(encoder) => encoder.append(bytes, out).ok().map(|()| bytes.len()),
        };
        debug_assert!(taken.is_some(), "the outbox holds whole frames");
        let Some(taken) = taken else { return Err(Lost::ClosedByDriver) };
        frames.consume(taken);
    }
    Ok(())
}

/// Appends the frame that `bytes` begins with, compressed where that makes it shorter; its length.
fn push_frame(lz4: &mut Lz4Encoder, bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let len = frame_len(bytes);
    let (head, body) = bytes.get(..len)?.split_at_checked(HEADER_LEN)?;
    let start = out.len();
    out.extend_from_slice(head);
    if body.len() < COMPRESS_LEN_MIN || compress(lz4, start, head, body, out).is_none() {
        out.truncate(start + HEADER_LEN);
        out.extend_from_slice(body);
    }
    Some(len)
}

/// Appends the compressed body and corrects the header at `start`; `None` if it is not shorter.
fn compress(
    lz4: &mut Lz4Encoder,
    start: usize,
    head: &[u8],
    body: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    lz4.compress_body(body, out).ok()?;
    let len = out.len() - start - HEADER_LEN;
    let mut header = RequestHeader::decode(head.first_chunk()?).ok()?;
    header.flags |= flags::COMPRESSION;
    header.body_len = u32::try_from(len).ok().filter(|_| len < body.len())?;
    header.encode(out.get_mut(start..)?.first_chunk_mut()?);
    Some(())
}

/// The header that `bytes` begins with.
pub(super) fn header_of(bytes: &[u8]) -> Option<RequestHeader> {
    RequestHeader::decode(bytes.first_chunk()?).ok()
}

/// Length of the frame that `bytes` begins with; 0 when there is none.
pub(super) fn frame_len(bytes: &[u8]) -> usize {
    header_of(bytes).map_or(0, |header| HEADER_LEN + header.body_len as usize)
}
