//! Writing is a role: who holds the `Writer` moves what the outbox has gathered to the socket.
//!
//! Normally that is the I/O task; a submitter takes the role for one write when it is alone
//! (`submit.rs`). The outbox holds plain frames; compressing happens here, with one table and one
//! buffer per connection.

use std::pin::Pin;
use std::sync::{PoisonError, TryLockError};
use std::task::{Context, Poll};

use shardwire_protocol::compression::Lz4Encoder;
use shardwire_protocol::header::{HEADER_LEN, RequestHeader, flags};
use shardwire_sync::WriteBuffer;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::Conn;
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
    deflate: Option<Box<Deflate>>,
    outbox_len: usize,
}

impl Writer {
    pub(crate) fn new(outbox_len: usize) -> Writer {
        Writer { half: None, buffer: WriteBuffer::new(outbox_len), deflate: None, outbox_len }
    }

    pub(crate) fn install(&mut self, half: OwnedWriteHalf, lz4: bool) {
        self.half = Some(half);
        self.buffer.clear();
        self.deflate = lz4.then(|| Box::new(Deflate::new(self.outbox_len)));
    }

    /// Drops the socket and what was not written.
    pub(crate) fn clear(&mut self) {
        self.half = None;
        self.buffer.clear();
        self.deflate = None;
    }

    /// The bytes that come next; swaps with the outbox when there are none.
    fn refill(&mut self, conn: &Conn) {
        if !self.is_empty() {
            return;
        }
        conn.outbox
            .swap(&mut self.buffer, frame_len, |frame| !conn.slots.withdraw(stream_of(frame)));
        if let Some(deflate) = &mut self.deflate {
            deflate.fill(&mut self.buffer);
        }
    }

    fn is_empty(&self) -> bool {
        self.buffer.remaining().is_empty()
            && self.deflate.as_ref().is_none_or(|deflate| deflate.remaining().is_empty())
    }

    fn remaining(&self) -> &[u8] {
        self.deflate.as_ref().map_or_else(|| self.buffer.remaining(), |deflate| deflate.remaining())
    }

    fn consume(&mut self, len: usize) {
        match &mut self.deflate {
            Some(deflate) => deflate.start += len,
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

/// Compresses frames into one reused buffer.
struct Deflate {
    lz4: Lz4Encoder,
    out: Vec<u8>,
    start: usize,
    outbox_len: usize,
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

impl Deflate {
    // Allocates: once per connection, for few requests.
    fn new(outbox_len: usize) -> Deflate {
        let out = Vec::with_capacity(out_len(FEW_REQUESTS_LEN.min(outbox_len)));
        Deflate { lz4: Lz4Encoder::new(), out, start: 0, outbox_len }
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
        loop {
            let bytes = plain.remaining();
            let len = frame_len(bytes);
            let Some(frame) = bytes.get(..len).filter(|_| len >= HEADER_LEN) else { break };
            self.push(frame);
            plain.consume(len);
        }
    }

    fn push(&mut self, frame: &[u8]) {
        let Some((head, body)) = frame.split_at_checked(HEADER_LEN) else { return };
        let start = self.out.len();
        self.out.extend_from_slice(head);
        if body.len() >= COMPRESS_LEN_MIN && self.compress(start, head, body).is_some() {
            return;
        }
        self.out.truncate(start + HEADER_LEN);
        self.out.extend_from_slice(body);
    }

    /// Appends the compressed body and corrects the header at `start`; `None` if it is not shorter.
    fn compress(&mut self, start: usize, head: &[u8], body: &[u8]) -> Option<()> {
        self.lz4.compress_body(body, &mut self.out).ok()?;
        let len = self.out.len() - start - HEADER_LEN;
        let mut header = RequestHeader::decode(head.first_chunk()?).ok()?;
        header.flags |= flags::COMPRESSION;
        header.body_len = u32::try_from(len).ok().filter(|_| len < body.len())?;
        header.encode(self.out.get_mut(start..)?.first_chunk_mut()?);
        Some(())
    }
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
