//! What the submitters share with the one I/O task that drives a group of connections.
//!
//! Three bitmaps say what there is to do - a connection's outbox is no longer empty, its socket is
//! readable, its socket is writable again - and only the first bit set in an empty bitmap wakes
//! the task. Cold matters (a new socket, closing) go through a small list of commands.
//! Bit i stands for the group's i-th connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};

use super::handshake::Established;
use crate::clock::Clock;
use crate::error::Lost;

/// Connections of one group; a bitmap's width.
pub(crate) const GROUP_LEN_MAX: usize = 64;

/// Something the I/O task must do that is not a request's.
pub(crate) enum Command {
    /// Take over a socket that has finished its handshake.
    Install { index: u32, socket: Box<Established> },
    /// Close the socket and answer what is on it.
    Close { index: u32, lost: Lost },
}

pub(crate) struct Group {
    dirty: AtomicU64,
    readable: AtomicU64,
    writable: AtomicU64,
    /// Set once, on the I/O task's first turn. A task's waker stays the same.
    waker: OnceLock<Waker>,
    commands: Mutex<Vec<Command>>,
    commanded: AtomicBool,
    shutdown: AtomicBool,
    /// Whether the I/O task advances the clock every tick.
    ticking: AtomicBool,
    tick_wanted: AtomicBool,
    trim_wanted: AtomicBool,
    pub(crate) clock: Arc<Clock>,
}

impl Group {
    pub(crate) fn new(clock: Arc<Clock>) -> Group {
        Group {
            dirty: AtomicU64::new(0),
            readable: AtomicU64::new(0),
            writable: AtomicU64::new(0),
            waker: OnceLock::new(),
            commands: Mutex::new(Vec::new()),
            commanded: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
            ticking: AtomicBool::new(false),
            tick_wanted: AtomicBool::new(false),
            trim_wanted: AtomicBool::new(false),
            clock,
        }
    }

    /// The time for a new deadline, and whether the I/O task must be asked to tick for it.
    #[inline]
    pub(crate) fn now(&self) -> (u32, bool) {
        if self.ticking.load(Ordering::Relaxed) {
            (self.clock.coarse(), false)
        } else {
            (self.clock.read(), true)
        }
    }

    /// Asks the I/O task to look at deadlines every tick until nothing is pending.
    #[cold]
    pub(crate) fn want_ticks(&self) {
        if !self.tick_wanted.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// The outbox of connection `index` is no longer empty.
    #[inline]
    pub(crate) fn mark_dirty(&self, index: u32) {
        // Release: the frame is in the outbox before its bit is seen; pairs with `take_dirty`.
        if self.dirty.fetch_or(1 << index, Ordering::AcqRel) == 0 {
            self.wake();
        }
    }

    /// Lets the I/O task free what receive memory it does not need, in its next turn.
    ///
    /// For connections that were quiet for a whole keepalive interval: a pause of milliseconds
    /// between two bursts must not cost an allocation.
    pub(crate) fn want_trim(&self) {
        self.trim_wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.commanded.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Ends the I/O task; its sockets close and what is on them is answered.
    pub(crate) fn shut_down(&self) {
        self.shutdown.store(true, Ordering::SeqCst);
        self.wake();
    }

    #[inline]
    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
        // Else the task has not had its first turn, in which it looks at everything.
    }

    // The I/O task's side.

    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    pub(crate) fn take_dirty(&self) -> u64 {
        self.dirty.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn take_readable(&self) -> u64 {
        self.readable.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn take_writable(&self) -> u64 {
        self.writable.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn take_tick_wanted(&self) -> bool {
        self.tick_wanted.load(Ordering::Relaxed) && self.tick_wanted.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_trim_wanted(&self) -> bool {
        self.trim_wanted.load(Ordering::Relaxed) && self.trim_wanted.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_ticking(&self, ticking: bool) {
        self.ticking.store(ticking, Ordering::SeqCst);
    }

    pub(crate) fn is_ticking(&self) -> bool {
        self.ticking.load(Ordering::Relaxed)
    }

    pub(crate) fn take_commands(&self) -> Vec<Command> {
        if !self.commanded.load(Ordering::Relaxed) || !self.commanded.swap(false, Ordering::SeqCst)
        {
            return Vec::new();
        }
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed)
    }
}

/// Wakes the I/O task for one socket, so that a turn looks only at sockets that have something.
///
/// Made once per connection; the runtime keeps clones of it.
pub(crate) struct SocketWaker {
    pub(crate) group: Arc<Group>,
    pub(crate) bit: u64,
    pub(crate) side: Side,
}

/// Which readiness a [`SocketWaker`] stands for.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Read,
    Write,
}

impl Wake for SocketWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let bits = match self.side {
            Side::Read => &self.group.readable,
            Side::Write => &self.group.writable,
        };
        if bits.fetch_or(self.bit, Ordering::SeqCst) == 0 {
            self.group.wake();
        }
    }
}

/// The indexes of the bits set, lowest first.
pub(crate) fn bits(mut map: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        if map == 0 {
            return None;
        }
        let index = map.trailing_zeros();
        map &= map - 1;
        Some(index)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn lists_bits() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(0b1010_0001).collect::<Vec<_>>(), [0, 5, 7]);
        assert_eq!(bits(u64::MAX).count(), 64);
    }

    #[test]
    fn wakes_only_on_the_first_bit() {
        struct Count(AtomicU32);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicU32::new(0)));
        let group = Group::new(Arc::new(Clock::new()));
        group.set_waker(&Waker::from(Arc::clone(&count)));
        group.mark_dirty(0);
        group.mark_dirty(3);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(group.take_dirty(), 0b1001);
        group.mark_dirty(3);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
