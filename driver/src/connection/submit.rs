//! Puts a request on a connection: a slot, a place in the outbox, and a nudge.
//!
//! The only place with backpressure: without a slot or without room the caller waits its turn in
//! `Conn::waiting`. Nothing here blocks; the outbox's lock is held for as long as it takes to
//! encode one request.
//!
//! Step 6 of 14 in `docs/REQUEST.md`. Next: `protocol/src/request/execute.rs`.

use std::sync::atomic::Ordering;
use std::task::Waker;

use shardwire_protocol::error::SerializeError;
use shardwire_sync::{PushError, SlotId, Ticket};

use super::Conn;
use crate::connection::writer::Inline;
use crate::request::Operation;

/// Why a request is not on the connection. Nothing was sent.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The connection has no socket at present.
    Closed,
    /// No free slot, no room in the outbox, or others wait already.
    Full,
    /// The values cannot be written.
    Serialize(SerializeError),
}

/// Whether the caller has waited for room and been called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It has been called from the queue, where this is its place.
    Called(Ticket),
    /// It has just come; it does not overtake those who wait.
    New,
}

impl Conn {
    /// Encodes a request of exactly `len` bytes in place and gives it to whoever writes next.
    ///
    /// Encoding runs under the outbox's lock, but for frames that are longer than it: it must be
    /// short, and must not come back to this session.
    #[inline(always)]
    pub(crate) fn submit<'a>(
        &self,
        op: &impl Operation<'a>,
        len: usize,
        deadline: u32,
        turn: Turn,
        waker: &Waker,
    ) -> Result<SlotId, Refusal> {
        if !self.is_open() {
            return Err(Refusal::Closed);
        }
        if turn == Turn::New && !self.waiting.is_empty() {
            return Err(Refusal::Full);
        }
        // Ready for its reply before the frame can be seen by the writer.
        let Some(id) = self.slots.claim(waker, deadline) else { return Err(Refusal::Full) };
        let claim = Claim { conn: self, id };
        let stream = id.stream().cast_signed(); // at most 32,767
        let pushed = if len <= self.outbox.buffer_len() {
            self.outbox.push(len, |frame| op.encode(stream, frame))
        } else {
            self.outbox.push_large(len, |frame| op.encode_large(stream, frame))
        };
        match pushed {
            Ok(pushed) => {
                std::mem::forget(claim); // the slot is the reply's now
                if pushed.was_empty {
                    self.nudge();
                }
                Ok(id)
            }
            Err(PushError::Closed) => Err(Refusal::Closed),
            Err(PushError::Full) => Err(Refusal::Full),
            Err(PushError::Encode(error)) => Err(Refusal::Serialize(error)),
        }
    }

    /// The outbox is no longer empty: write at once if that costs no batching, else tell the task.
    ///
    /// Writing here saves a lone request the hop through another task. Anything less strict than
    /// "nothing else in flight, and the last read brought at most one reply" turns into a system
    /// call per request.
    #[inline]
    fn nudge(&self) {
        if self.slots.in_use() == 1
            && self.quiet.load(Ordering::Relaxed)
            && self.write_inline() == Inline::Written
        {
            return;
        }
        self.group.mark_dirty(self.index);
    }

    /// A slot or room became free: call the next who waits, if any.
    #[inline]
    pub(crate) fn released(&self) {
        if !self.waiting.is_empty() {
            self.waiting.notify(1);
        }
    }
}

/// A claimed slot that goes back when encoding fails or panics.
struct Claim<'c> {
    conn: &'c Conn,
    id: SlotId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.conn.slots.release_unsent(self.id);
        self.conn.released();
    }
}
