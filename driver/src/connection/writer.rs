//! Writing is a role: who holds the `Writer` moves what the outbox has gathered to the socket.
//!
//! Normally that is the I/O task; a submitter takes the role for one write when it is alone
//! (`submit.rs`). The outbox holds plain frames; what else becomes of them is in `wrap.rs`.

use std::pin::Pin;
use std::sync::{PoisonError, TryLockError};
use std::task::{Context, Poll};

use shardwire_sync::WriteBuffer;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

use super::wrap::{Wrap, frame_len, header_of};
use super::{Conn, Framing, Reply};
use crate::error::Lost;
use crate::tls::stream::Sealer;

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
    /// Why nothing more can be sent.
    fault: Option<Lost>,
    outbox_len: usize,
}

impl Writer {
    pub(crate) fn new(outbox_len: usize) -> Writer {
        let buffer = WriteBuffer::new(outbox_len);
        Writer { half: None, buffer, wrap: None, fault: None, outbox_len }
    }

    pub(crate) fn install(
        &mut self,
        half: OwnedWriteHalf,
        framing: Framing,
        sealer: Option<Sealer>,
    ) {
        self.half = Some(half);
        self.buffer.clear();
        self.fault = None;
        self.wrap = Wrap::new(framing, sealer, self.outbox_len).map(Box::new);
    }

    /// The connection is closed, and its outbox too: drops the socket and what was not written.
    /// What no writer has taken yet was certainly not sent, and is answered so.
    pub(crate) fn abandon(&mut self, conn: &Conn, mut unsent: impl FnMut() -> Reply) {
        self.clear();
        conn.outbox.mark_withdrawn(); // so that each frame is looked at
        conn.outbox.swap(&mut self.buffer, frame_len, |frame| {
            conn.slots.complete(stream_of(frame), unsent());
            false
        });
        self.buffer.clear();
    }

    /// Drops the socket and what was not written.
    ///
    /// A node that is told so in TLS knows that nothing was cut off.
    pub(crate) fn clear(&mut self) {
        if let (Some(half), Some(wrap)) = (&self.half, &mut self.wrap)
            && let Some(farewell) = wrap.farewell()
        {
            drop(half.try_write(farewell)); // it need not arrive
        }
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
            self.fault = wrap.fill(&mut self.buffer).err();
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
            Some(wrap) => wrap.consume(len),
            None => self.buffer.consume(len),
        }
    }

    /// Writes until nothing is left or the socket is full.
    pub(crate) fn poll_flush(&mut self, conn: &Conn, cx: &mut Context<'_>) -> Flushed {
        loop {
            self.refill(conn);
            if let Some(lost) = self.fault {
                return Flushed::Lost(lost);
            }
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

fn stream_of(frame: &[u8]) -> u16 {
    header_of(frame).map_or(u16::MAX, |header| header.stream.cast_unsigned())
}
