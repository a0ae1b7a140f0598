//! One connection to one shard: what requests, the I/O task and the pool share.
//!
//! A `Conn` is a place, not a socket: it is made once per shard when a pool is built and lives as
//! long as the session. When its socket breaks, what was on it is answered with the reason, and
//! the pool installs a new socket in the same place; requests never hold anything but its index.
//! It reads and writes nothing itself: submitting is `submit.rs`, the I/O task is `io.rs`.

mod channel;
pub(crate) mod complete;
pub(crate) mod group;
pub(crate) mod handshake;
pub(crate) mod io;
mod login;
mod opening;
mod segments;
mod silence;
pub(crate) mod submit;
#[cfg(test)]
mod tests;
mod wrap;
pub(crate) mod writer;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use shardwire_protocol::header::{Opcode, ResponseHeader, Version};
use shardwire_protocol::segment::SegmentFormat;
use shardwire_sync::{Lease, Outbox, SlotTable, WaitQueue};

use crate::error::Lost;
use crate::settings::Limits;
use group::Group;
use writer::Writer;

/// What a request gets back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A RESULT of kind VOID without warnings or anything else: nothing to keep.
    Void,
    /// Any other reply; `body` is already decompressed.
    Frame { head: ReplyHead, body: Lease },
    /// The reply was dropped unread because held replies take too much memory already.
    TooLarge,
    /// The connection ended first.
    Lost(Arc<Lost>),
    /// The connection ended while the request was still in the outbox.
    Unsent(Arc<Lost>),
}

/// What is kept of a reply's header, so that a slot stays within a cache line.
///
/// Aligned so that a reply is copied by words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(align(4))]
pub(crate) struct ReplyHead {
    pub(crate) version: Version,
    pub(crate) opcode: Opcode,
    pub(crate) flags: u8,
}

impl ReplyHead {
    /// The header, as far as reading `body` takes it.
    #[inline]
    pub(crate) fn header(self, body: &Lease) -> ResponseHeader {
        let ReplyHead { version, opcode, flags } = self;
        let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        ResponseHeader { version, flags, stream: 0, opcode, body_len }
    }
}

const _: () = assert!(size_of::<Reply>() <= 32);

/// How messages follow one another on a socket, as agreed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// One after the other; bodies may be compressed with LZ4.
    Frames { compressed: bool },
    /// In segments, from version 5 on.
    Segments(SegmentFormat),
}

/// Whether requests may be submitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum State {
    Closed = 0,
    Open = 1,
    /// Open, but nothing has come for so long that other nodes are preferred; see `silence.rs`.
    Silent = 2,
}

pub(crate) struct Conn {
    pub(crate) slots: SlotTable<Reply>,
    pub(crate) outbox: Outbox,
    /// Requests that wait for a slot or for room in the outbox, first come first served.
    pub(crate) waiting: WaitQueue,
    /// Who holds it writes to the socket.
    pub(crate) writer: Mutex<Writer>,
    pub(crate) group: Arc<Group>,
    /// This connection's place in `group`.
    pub(crate) index: u32,
    pub(crate) peer: SocketAddr,
    state: AtomicU8,
    /// The last read completed at most one request: batching would gain nothing.
    pub(crate) quiet: AtomicBool,
    /// Replies seen, wrapping; the keepalive looks whether it moved.
    pub(crate) replies: AtomicU32,
}

impl Conn {
    pub(crate) fn new(group: Arc<Group>, index: u32, peer: SocketAddr, limits: &Limits) -> Conn {
        Conn {
            slots: SlotTable::new(limits.in_flight_max),
            outbox: Outbox::new(limits.outbox_len),
            waiting: WaitQueue::new(limits.waiting_max),
            writer: Mutex::new(Writer::new(limits.outbox_len)),
            group,
            index,
            peer,
            state: AtomicU8::new(State::Closed as u8),
            quiet: AtomicBool::new(true),
            replies: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.state() != State::Closed as u8
    }

    /// Whether it is open and not silent.
    #[inline]
    pub(crate) fn answers(&self) -> bool {
        self.state() == State::Open as u8
    }

    /// Whether requests are better given to another node.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.state() == State::Silent as u8
    }

    #[inline]
    fn state(&self) -> u8 {
        // Pairs with the `Release` in `set_state`: the socket is in place before it is open.
        self.state.load(Ordering::Acquire)
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }
}
