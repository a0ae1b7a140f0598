//! Writing is a role: who holds the `Writer` moves what the outbox has gathered to the socket.
//!
//! Normally that is the I/O task; a submitter takes the role for one write when it is alone
//! (`submit.rs`). The outbox holds plain frames; compressing and wrapping in segments happen here,
//! with one table and one buffer per connection.

use std::pin::Pin;
use std::sync::{PoisonError, TryLockError};
use std::task::{Context, Poll};

use shardwire_protocol::compression::Lz4Encoder;
use shardwire_protocol::header::{HEADER_LEN, RequestHeader, flags};
use shardwire_protocol::segment::SegmentEncoder;
use shardwire_sync::WriteBuffer;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Conn, Framing};
use crate::error::Lost;

/// How an attempt to write in the submitter's own turn ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Inline {
    Written,
    /// The I/O task must go on.
    Left,
}

/// How a flush ended.
pub(crate) enum Flushed {
    /// Everything is in the kernel.
    All,
    /// The socket is full; its waker is registered.
    Blocked,
    Lost(Lost),
}

pub(crate) struct Writer {
    half: Option<OwnedWriteHalf>,
    buffer: WriteBuffer,
    /// `None` where frames are sent as they are.
    wrap: Option<Box<Wrap>>,
    outbox_len: usize,
}

impl Writer {
    pub(crate) fn new(outbox_len: usize) -> Writer {
        Writer { half: None, buffer: WriteBuffer::new(outbox_len), wrap: None, outbox_len }
    }

    pub(crate) fn install(&mut self, half: OwnedWriteHalf, framing: Framing) {
        self.half = Some(half);
        self.buffer.clear();
        let how = match framing {
            Framing::Frames { compressed: false } => None,
            Framing::Frames { compressed: true } => Some(How::Compress(Lz4Encoder::new())),
            Framing::Segments(format) => Some(How::Segment(SegmentEncoder::new(format))),
        };
        self.wrap = how.map(|how| Box::new(Wrap::new(how, self.outbox_len)));
    }

    /// Drops the socket and what was not written.
    pub(crate) fn clear(&mut self) {
        self.half = None;
        self.buffer.clear();
        self.wrap = None;
    }

    /// The bytes that come next; swaps with the outbox when there are none.
    fn refill(&mut self, conn: &Conn) {
        if !self.is_empty() {
            return;
        }
        conn.outbox
            .swap(&mut self.buffer, frame_len, |frame| !conn.slots.withdraw(stream_of(frame)));
        if let Some(wrap) = &mut self.wrap {
            wrap.fill(&mut self.buffer);
        }
    }

    fn is_empty(&self) -> bool {
        self.buffer.remaining().is_empty()
            && self.wrap.as_ref().is_none_or(|wrap| wrap.remaining().is_empty())
    }

    fn remaining(&self) -> &[u8] {
        self.wrap.as_ref().map_or_else(|| self.buffer.remaining(), |wrap| wrap.remaining())
    }

    fn consume(&mut self, len: usize) {
        match &mut self.wrap {
            Some(wrap) => wrap.start += len,
            None => self.buffer.consume(len),
        }
    }

    /// Writes until nothing is left or the socket is full.
    pub(crate) fn poll_flush(&mut self, conn: &Conn, cx: &mut Context<'_>) -> Flushed {
        loop {
            self.refill(conn);
            if self.is_empty() {
                return Flushed::All;
            }
            let Some(mut half) = self.half.take() else {
                self.clear();
                return Flushed::All; // closed since; the outbox is closed too
            };
            let wrote = Pin::new(&mut half).poll_write(cx, self.remaining());
            self.half = Some(half);
            match wrote {
                Poll::Ready(Ok(0)) => return Flushed::Lost(Lost::ClosedByPeer),
                Poll::Ready(Ok(len)) => self.consume(len),
                Poll::Ready(Err(e)) => return Flushed::Lost(Lost::Io(e.kind())),
                Poll::Pending => return Flushed::Blocked,
            }
        }
    }
}

impl Conn {
    /// One write from the submitter's own turn, if nobody else is writing.
    pub(crate) fn write_inline(&self) -> Inline {
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Inline::Left,
        };
        if !writer.is_empty() {
            return Inline::Left; // the I/O task waits for the socket to take the rest
        }
        writer.refill(self);
        let wrote = match &writer.half {
            Some(half) => half.try_write(writer.remaining()),
            None => return Inline::Left,
        };
        match wrote {
            Ok(len) => {
                writer.consume(len);
                if writer.is_empty() { Inline::Written } else { Inline::Left }
            }
            Err(_) => Inline::Left, // full or broken: the I/O task finds out which
        }
    }

    /// The writer's role, waiting for a submitter that is in the middle of its one write.
    pub(crate) fn lock_writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns frames into what is sent, in one reused buffer.
struct Wrap {
    how: How,
    out: Vec<u8>,
    start: usize,
    outbox_len: usize,
}

/// What is done to frames.
enum How {
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
/// while it is tried.
const fn out_len(plain_len: usize) -> usize {
    plain_len.saturating_add(plain_len / 8).saturating_add(1024)
}

/// Bodies shorter than this are sent as they are: compressing would not make them smaller.
const COMPRESS_LEN_MIN: usize = 64;

impl Wrap {
    // Allocates: once per connection, for few requests.
    fn new(how: How, outbox_len: usize) -> Wrap {
        let out = Vec::with_capacity(out_len(FEW_REQUESTS_LEN.min(outbox_len)));
        Wrap { how, out, start: 0, outbox_len }
    }

    fn remaining(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    /// Takes all of `plain`, which holds whole frames.
    // Allocates: once more per connection, for a whole outbox, when there is more at once than few.
    fn fill(&mut self, plain: &mut WriteBuffer) {
        self.out.clear();
        self.start = 0;
        if self.out.capacity() > out_len(self.outbox_len.saturating_mul(KEPT_LEN_FACTOR)) {
            self.out = Vec::new(); // made for a long request: not kept
        }
        if out_len(plain.len()) > self.out.capacity() {
            self.out.reserve_exact(out_len(plain.len().max(self.outbox_len)));
        }
        while !plain.remaining().is_empty() {
            let bytes = plain.remaining();
            let taken = match &mut self.how {
                How::Compress(lz4) => push_frame(lz4, bytes, &mut self.out),
                How::Segment(encoder) => {
                    encoder.append(bytes, &mut self.out).ok().map(|()| bytes.len())
                }
            };
            debug_assert!(taken.is_some(), "the outbox holds whole frames");
            let Some(taken) = taken else { return plain.clear() };
            plain.consume(taken);
        }
    }
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
fn header_of(bytes: &[u8]) -> Option<RequestHeader> {
    RequestHeader::decode(bytes.first_chunk()?).ok()
}

/// Length of the frame that `bytes` begins with; 0 when there is none.
fn frame_len(bytes: &[u8]) -> usize {
    header_of(bytes).map_or(0, |header| HEADER_LEN + header.body_len as usize)
}

fn stream_of(frame: &[u8]) -> u16 {
    header_of(frame).map_or(u16::MAX, |header| header.stream.cast_unsigned())
}
