//! One slot, its packed state word, what is done with its cells, and the id of one use of it.
//!
//! Which state may follow which is drawn in `slots.rs`; nothing here decides.
//! Next: `sync/src/slots/free_list.rs`.

use std::fmt;
use std::mem::{self, MaybeUninit};
use std::num::NonZeroU64;
use std::task::Waker;

use crate::panics::OnUnwind;
use crate::shim::{AtomicU32, AtomicU64, Ordering, UnsafeCell};

pub(super) const FREE: u64 = 0;
pub(super) const PENDING: u64 = 1;
pub(super) const REGISTERING: u64 = 2;
pub(super) const REG_FILLING: u64 = 3;
pub(super) const REG_DONE: u64 = 4;
pub(super) const FILLING: u64 = 5;
pub(super) const LEFT: u64 = 6;
pub(super) const LEFT_UNSENT: u64 = 7;
pub(super) const DONE: u64 = 8;
pub(super) const EXPIRED: u64 = 9;
pub(super) const SETTLED: u64 = 10;
pub(super) const ORPHANED: u64 = 11;

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
pub(super) const fn next_use(word: u64) -> u64 {
    with_state(word, PENDING).wrapping_add(LOW + 1)
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
    /// Kept from one use to the next. Written off the free list and in REG*, read in FILLING and
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

/// One transition. Acquires what the state's earlier holder wrote, releases what this one did.
#[inline]
pub(super) fn exchange<R>(slot: &Slot<R>, from: u64, to: u64) -> bool {
    slot.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// # Safety
///
/// The caller alone has access to the reply's cell, and it is empty.
#[inline]
pub(super) unsafe fn put_reply<R>(slot: &Slot<R>, reply: R) {
    slot.reply.with_mut(|cell| {
        // SAFETY: the caller's promise; writing over the empty cell drops nothing.
        let cell = unsafe { &mut *cell };
        cell.write(reply);
    });
}

/// # Safety
///
/// The caller alone has access to the reply's cell; it holds a reply, which is not read again.
#[inline]
pub(super) unsafe fn read_reply<R>(slot: &Slot<R>) -> R {
    slot.reply.with_mut(|cell| {
        // SAFETY: the caller's promise.
        let cell = unsafe { &*cell };
        // SAFETY: the caller's promise.
        unsafe { cell.assume_init_read() }
    })
}

/// Wakes the owner. Only in FILLING (or LEFT*), in which nobody writes the waker.
#[inline]
pub(super) fn wake<R>(slot: &Slot<R>) {
    slot.waker.with(|waker| {
        // SAFETY: the caller holds FILLING, which the owner leaves to the I/O side; the waker was
        // written before PENDING or before the end of registering, and stays until the slot's next
        // use or registration.
        if let Some(waker) = unsafe { &*waker } {
            waker.wake_by_ref();
        }
    });
}

/// Keeps the slot's waker if it would wake the same task, else replaces it.
///
/// # Safety
///
/// The caller alone has access to the waker's cell.
#[inline]
pub(super) unsafe fn set_waker<R>(slot: &Slot<R>, waker: &Waker) {
    // SAFETY: the caller's promise.
    let same = slot.waker.with(|kept| match unsafe { &*kept } {
        Some(kept) => kept.will_wake(waker),
        None => false,
    });
    if !same {
        // SAFETY: the caller's promise.
        drop(unsafe { replace_waker(slot, waker) });
    }
}

/// # Safety
///
/// The caller alone has access to the waker's cell.
#[inline(never)]
unsafe fn replace_waker<R>(slot: &Slot<R>, waker: &Waker) -> Option<Waker> {
    let fresh = Some(waker.clone()); // foreign code first: if it panics nothing has changed
    slot.waker.with_mut(|kept| {
        // SAFETY: the caller's promise.
        let kept = unsafe { &mut *kept };
        mem::replace(kept, fresh)
    })
}

/// Stores the waker of a slot that is in REGISTERING and ends that state.
pub(super) fn register<R>(slot: &Slot<R>, id: SlotId, waker: &Waker) {
    let unwinding = OnUnwind(|| end_registering(slot, id));
    // SAFETY: in REGISTERING and REG* the cell is the owner's, and this is its only call.
    let same = slot.waker.with(|kept| match unsafe { &*kept } {
        Some(kept) => kept.will_wake(waker),
        None => false,
    });
    // SAFETY: as above.
    let old = if same { None } else { unsafe { replace_waker(slot, waker) } };
    mem::forget(unwinding);
    end_registering(slot, id);
    drop(old); // foreign code, run when the slot is consistent
}

fn end_registering<R>(slot: &Slot<R>, id: SlotId) {
    loop {
        // Acquire: pairs with the exchanges in `complete_slow`.
        let word = slot.state.load(Ordering::Acquire);
        let to = match state_of(word) {
            REGISTERING => PENDING,
            REG_FILLING => FILLING,
            REG_DONE => DONE,
            _ => return,
        };
        if exchange(slot, word, id.word(to)) {
            return;
        }
    }
}
