//! One slot, its packed state word, and the id that names one use of it.
//!
//! What may follow what is drawn in `slots.rs`; here are only the representations.
//! Next: `sync/src/slots/free_list.rs`.

use std::fmt;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::task::Waker;

use crate::shim::{AtomicU32, AtomicU64, UnsafeCell};

pub(super) const FREE: u64 = 0;
pub(super) const CLAIMED: u64 = 1;
pub(super) const ARMING: u64 = 2;
pub(super) const PENDING: u64 = 3;
pub(super) const REGISTERING: u64 = 4;
pub(super) const REG_FILLING: u64 = 5;
pub(super) const REG_DONE: u64 = 6;
pub(super) const FILLING: u64 = 7;
pub(super) const LEFT: u64 = 8;
pub(super) const LEFT_UNSENT: u64 = 9;
pub(super) const DONE: u64 = 10;
pub(super) const EXPIRED: u64 = 11;
pub(super) const SETTLED: u64 = 12;
pub(super) const ORPHANED: u64 = 13;

/// Bits of the state word, and of an id, that are not the generation.
const LOW: u64 = 0xFFFF;

#[inline]
pub(super) const fn state_of(word: u64) -> u64 {
    word & LOW
}

#[inline]
pub(super) const fn with_state(word: u64, state: u64) -> u64 {
    (word & !LOW) | state
}

/// The word of the slot's next use. 2^48 uses of one slot take years; then the count starts again.
#[inline]
pub(super) const fn next_claimed(word: u64) -> u64 {
    with_state(word, CLAIMED).wrapping_add(LOW + 1)
}

/// One use of one slot: the stream id and a generation that no other use of the slot has.
///
/// ```text
/// 63 ......... 16 | 15 | 14 ..... 0
///    generation   | 1  | stream id
/// ```
///
/// Bit 15 makes the whole never 0, so that `Option<SlotId>` takes no more room.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SlotId(NonZeroU64);

const MARK: NonZeroU64 = NonZeroU64::new(0x8000).unwrap();

impl SlotId {
    #[inline]
    pub(super) fn new(word: u64, index: u16) -> SlotId {
        SlotId(MARK | ((word & !LOW) | u64::from(index)))
    }

    /// The stream id on the wire, at most 32,767.
    #[inline]
    #[must_use]
    pub const fn stream(self) -> u16 {
        (self.0.get() & 0x7FFF) as u16
    }

    /// The state word of a slot that is in `state` for this use.
    #[inline]
    pub(super) const fn word(self, state: u64) -> u64 {
        with_state(self.0.get(), state)
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotId({} use {})", self.stream(), self.0.get() >> 16)
    }
}

/// Everything about one request in flight; 64 bytes if `R` has at most 32.
#[repr(align(64))]
pub(super) struct Slot<R> {
    /// Generation and state; decides who may touch the two cells.
    pub(super) state: AtomicU64,
    /// The next free slot, while this one is on the free list.
    pub(super) next: AtomicU32,
    /// When to expire, in ticks; 0 is never.
    pub(super) deadline: AtomicU32,
    /// Kept from one use to the next. Written in CLAIMED, ARMING and REG*, read in FILLING and
    /// LEFT*.
    pub(super) waker: UnsafeCell<Option<Waker>>,
    /// Initialised in DONE and REG_DONE, and on the way there.
    pub(super) reply: UnsafeCell<MaybeUninit<R>>,
}

impl<R> Slot<R> {
    pub(super) fn new() -> Slot<R> {
        Slot {
            state: AtomicU64::new(FREE),
            next: AtomicU32::new(0),
            deadline: AtomicU32::new(0),
            waker: UnsafeCell::new(None),
            reply: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}
