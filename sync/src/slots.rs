//! One object per request in flight: stream id, waker, deadline, generation and reply in one slot.
//!
//! What it is not: a queue (who finds no free slot waits in a [`crate::WaitQueue`]), a timer (the
//! I/O task calls [`SlotTable::expire`] with the time it likes), or anything that knows CQL.
//! In steady state nothing allocates: slots come in segments that end at 64, 1,024, 8,192 and
//! 32,768 and stay, and a slot keeps its waker from one request to the next.
//!
//! # States
//!
//! Each use of a slot has an owner (the request's future) and the I/O side. A state word
//! (generation and state) decides who may touch the two cells, `waker` and `reply`.
//!
//! | from | by | to |
//! |---|---|---|
//! | FREE | owner `claim`, off the free list, stores the waker | PENDING, next generation |
//! | PENDING, DONE, EXPIRED, SETTLED | owner `release_unsent` | FREE |
//! | PENDING | I/O `complete`, `fail_all` | FILLING while it stores and wakes, then DONE |
//! | PENDING | I/O `expire` | FILLING while it wakes, then EXPIRED |
//! | PENDING | owner `poll` | REGISTERING while it replaces the waker, then PENDING |
//! | REGISTERING | I/O `complete` | REG_FILLING while it stores the reply, then REG_DONE |
//! | REG_FILLING | owner ends registering | FILLING: the I/O side goes on and wakes the new waker |
//! | REG_DONE | owner ends registering | DONE, which the same `poll` takes |
//! | DONE | owner `poll`, `abandon` | FREE; the reply is taken or dropped |
//! | FILLING | owner `abandon` | LEFT: the I/O side frees the slot, or orphans it if it expired |
//! | FILLING | owner `release_unsent` | LEFT_UNSENT: the I/O side frees the slot |
//! | PENDING | owner `abandon` | ORPHANED |
//! | EXPIRED | owner `poll`, `abandon` | ORPHANED |
//! | EXPIRED | I/O `complete` (late), `withdraw`, `fail_all` | SETTLED: no reply is outstanding |
//! | SETTLED | owner `poll`, `abandon` | FREE |
//! | ORPHANED | I/O `complete` (late), `withdraw`, `fail_all` | FREE |
//!
//! # Invariants
//!
//! - A stream id is reused only when no reply to its last use can come any more.
//! - Every transition is one compare-exchange on a word with the generation in it (or a store by
//!   the only thread that may leave the state), so an id from an earlier use changes nothing.
//! - Nobody waits for anybody: who finds the slot in another's hands leaves a state behind for the
//!   other to act on, or (a poll) wakes itself and comes again.
//! - Foreign code (a waker, a reply's destructor) runs only where its panic or its calling back
//!   into the table does no harm.
//!
//! Step 12 of 14 in `docs/REQUEST.md`. Next: `protocol/src/rows.rs`.

mod expiry;
mod free_list;
#[cfg(all(test, loom))]
mod models;
mod slot;
#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::mem;
use std::task::{Poll, Waker};

pub use expiry::{Expiry, RECHECK_TICKS};
pub use free_list::SLOTS_MAX;
use free_list::{BLOCKS, Head, NONE, Segments, next_index};
pub use slot::SlotId;
use slot::{
    DONE, EXPIRED, FILLING, FREE, LEFT, LEFT_UNSENT, ORPHANED, PENDING, REG_DONE, REG_FILLING,
    REGISTERING, SETTLED, Slot, exchange, next_use, put_reply, read_reply, register, set_waker,
    state_of, wake, with_state,
};

use crate::panics::{OnUnwind, Panics};
use crate::shim::{Apart, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, lock};

/// The requests in flight on one connection; see the module's table of states.
///
/// Methods may be called from any thread. [`complete`](Self::complete),
/// [`withdraw`](Self::withdraw), [`expire`](Self::expire) and [`fail_all`](Self::fail_all) are the
/// I/O side's: called by one thread at a time they answer exactly; called by several at once
/// nothing breaks, but a reply to a slot that another of them is just handling is taken for
/// unknown.
pub struct SlotTable<R> {
    /// The free list; written by every claim and every release.
    head: Apart<AtomicU64>,
    /// Per block a time no later than any deadline in it; 0 when there is none. Mostly read.
    due: Apart<[AtomicU32; BLOCKS]>,
    segments: Segments<R>,
    /// Slots that are or were on the free list.
    linked: AtomicUsize,
    slots_max: usize,
    /// Ids that are held for a late reply.
    orphans: AtomicU32,
    /// Held while the free list is made longer or is away.
    growth: Mutex<()>,
}

/// What a [`SlotTable::poll`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome<R> {
    /// The deadline passed first. The id is held until the late reply comes or the connection ends.
    Expired,
    /// The reply; the slot is free again.
    Reply(R),
}

/// What became of a slot whose request was given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abandoned {
    /// The reply was there already, or none can come: the slot is free.
    Freed,
    /// The id is held until the late reply comes, the frame is withdrawn, or the connection ends.
    Orphaned,
    /// The id is from an earlier use of the slot; nothing happened.
    Stale,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Completion<R> {
    /// Its request has been woken.
    Delivered,
    /// The request had been given up; the id is free again, or will be when its owner looks.
    Orphan(R),
    /// Nothing is in flight under this id: the peer misbehaves.
    Unknown(R),
}

// SAFETY: the cells of a slot are touched only by whom the state word says, one at a time; replies
// move from the I/O side's thread to the owner's, hence `R: Send`. Wakers are `Send + Sync`.
unsafe impl<R: Send> Sync for SlotTable<R> {}
// SAFETY: owns its slots, which own `R`s and wakers.
unsafe impl<R: Send> Send for SlotTable<R> {}

impl<R: Send> SlotTable<R> {
    /// A table of at most `slots_max` slots; allocates none yet.
    ///
    /// # Panics
    ///
    /// If `slots_max` is 0 or more than [`SLOTS_MAX`].
    #[must_use]
    pub fn new(slots_max: usize) -> SlotTable<R> {
        assert!((1..=SLOTS_MAX).contains(&slots_max), "a table has 1 to {SLOTS_MAX} slots");
        SlotTable {
            head: Apart(AtomicU64::new(Head::EMPTY.0)),
            due: Apart(std::array::from_fn(|_| AtomicU32::new(0))),
            segments: Segments::new(),
            linked: AtomicUsize::new(0),
            slots_max,
            orphans: AtomicU32::new(0),
            growth: Mutex::new(()),
        }
    }

    /// Slots that are not free, orphans included. One load.
    #[inline]
    pub fn in_use(&self) -> u32 {
        Head(self.head.0.load(Ordering::Relaxed)).in_use()
    }

    /// Slots that nobody waits for but whose id is held for a late reply.
    #[inline]
    pub fn orphans(&self) -> u32 {
        self.orphans.load(Ordering::Relaxed)
    }

    // The owner's side.

    /// Takes a free slot, ready for its reply, which will wake `waker`; `None` if all are in use.
    ///
    /// Must come before the frame can be sent. `deadline` is in ticks, 0 for none. If the frame
    /// then is not published, [`release_unsent`](Self::release_unsent) takes the slot back.
    ///
    /// # Allocation
    ///
    /// When the free list is empty and the table may still grow.
    #[inline(always)]
    pub fn claim(&self, waker: &Waker, deadline: u32) -> Option<SlotId> {
        let (index, slot) = self.pop()?;
        // Relaxed: taking it off the free list ordered this after all earlier uses.
        let word = next_use(slot.state.load(Ordering::Relaxed));
        let unwinding = OnUnwind(|| self.push(index, slot)); // still FREE
        // SAFETY: taken off the free list and its new id not given out: nobody else has access.
        unsafe { set_waker(slot, waker) };
        mem::forget(unwinding);
        slot.deadline.store(deadline, Ordering::Relaxed);
        // Release: pairs with the `Acquire` of whoever takes the slot out of PENDING.
        slot.state.store(word, Ordering::Release);
        self.note_deadline(index, deadline);
        Some(SlotId::new(word, index))
    }

    /// Gives a slot back whose frame was never published.
    ///
    /// Not for a frame that the writer may have seen: its reply would meet the slot's next use.
    pub fn release_unsent(&self, id: SlotId) {
        self.leave(id, LEFT_UNSENT);
    }

    /// Asks for the reply; pending, `waker` will be woken.
    ///
    /// An id from an earlier use is reported as expired.
    #[inline]
    pub fn poll(&self, id: SlotId, waker: &Waker) -> Poll<Outcome<R>> {
        let Some(slot) = self.segments.slot(id.stream()) else {
            return Poll::Ready(Outcome::Expired);
        };
        // Relaxed, since the exchange acquires what `complete` released.
        if slot.state.load(Ordering::Relaxed) == id.word(DONE)
            && exchange(slot, id.word(DONE), id.word(FREE))
        {
            return Poll::Ready(Outcome::Reply(self.take_reply(id.stream(), slot)));
        }
        self.poll_slow(slot, id, waker)
    }

    /// The owner is gone, or has given up. Takes no lock.
    pub fn abandon(&self, id: SlotId) -> Abandoned {
        self.leave(id, LEFT)
    }

    /// Drops the wakers that free slots keep, and with them the tasks that hang on them.
    ///
    /// For idle times: the next request of each slot clones a waker again.
    ///
    /// # Allocation
    ///
    /// A list of the wakers, for the time of the call.
    pub fn release_wakers(&self) {
        let mut wakers = Vec::new();
        let growing = lock(&self.growth);
        let mut head = Head(self.head.0.load(Ordering::SeqCst));
        // Take the whole list; a claim that finds none waits for the lock in `grow`.
        while let Err(now) = self.exchange_head(head, head.relinked(NONE)) {
            head = now;
        }
        let mut last = None;
        let mut index = head.index();
        while let Some(slot) = self.segments.slot(index) {
            // SAFETY: off the list and FREE, so nobody else has access.
            let waker = slot.waker.with_mut(|waker| unsafe { (*waker).take() });
            wakers.extend(waker);
            last = Some(slot);
            index = next_index(slot.next.load(Ordering::Relaxed));
        }
        if let Some(last) = last {
            self.link(head.index(), last);
        }
        drop(growing);
        drop(wakers); // foreign code, run without the lock
    }

    // The I/O side.

    /// Hands the reply to the request with stream id `id` and wakes it.
    #[inline]
    pub fn complete(&self, id: u16, reply: R) -> Completion<R> {
        let Some(slot) = self.segments.slot(id) else { return Completion::Unknown(reply) };
        let word = slot.state.load(Ordering::Relaxed);
        if state_of(word) == PENDING && exchange(slot, word, with_state(word, FILLING)) {
            // SAFETY: FILLING, so the reply's cell is the I/O side's, and it is empty.
            unsafe { put_reply(slot, reply) };
            return self.deliver(id, slot, word);
        }
        self.complete_slow(id, slot, reply)
    }

    /// Asks, just before a frame is written, whether its request has been given up.
    ///
    /// If so the frame must not be sent, and its id is free.
    pub fn withdraw(&self, id: u16) -> bool {
        let Some(slot) = self.segments.slot(id) else { return false };
        self.settle(id, slot)
    }

    /// The connection is gone: every request that waits gets a reply, every held id is freed.
    ///
    /// To be called after the outbox was closed, so that no further request can be published.
    ///
    /// # Panics
    ///
    /// If a waker (or `make`, or a reply's destructor) does, after all have been called.
    pub fn fail_all(&self, mut make: impl FnMut() -> R) {
        let mut panics = Panics::default();
        let linked = self.linked.load(Ordering::Acquire); // pairs with the `Release` in `grow`
        for index in 0..linked {
            let Ok(index) = u16::try_from(index) else { break };
            let Some(slot) = self.segments.slot(index) else { break };
            match state_of(slot.state.load(Ordering::Acquire)) {
                PENDING | REGISTERING => {
                    panics.catch(|| drop(self.complete_slow(index, slot, make())));
                }
                EXPIRED | ORPHANED => drop(self.settle(index, slot)),
                _ => {}
            }
        }
        panics.resume();
    }
}

impl<R> SlotTable<R> {
    /// Takes the reply of a slot that the caller has just moved from DONE to FREE, and frees it.
    #[inline]
    fn take_reply(&self, index: u16, slot: &Slot<R>) -> R {
        // SAFETY: DONE says that there is a reply; leaving it gave the cell to this call alone, and
        // the slot is not on the free list yet.
        let reply = unsafe { read_reply(slot) };
        self.push(index, slot);
        reply
    }

    #[cold]
    fn poll_slow(&self, slot: &Slot<R>, id: SlotId, waker: &Waker) -> Poll<Outcome<R>> {
        let mut registered = false;
        loop {
            let word = slot.state.load(Ordering::Acquire); // pairs with every release of a state
            if word != id.word(state_of(word)) {
                debug_assert!(false, "{id:?} is polled after it ended");
                return Poll::Ready(Outcome::Expired);
            }
            match state_of(word) {
                DONE if exchange(slot, word, id.word(FREE)) => {
                    return Poll::Ready(Outcome::Reply(self.take_reply(id.stream(), slot)));
                }
                EXPIRED if self.orphan(slot, word) => return Poll::Ready(Outcome::Expired),
                SETTLED if exchange(slot, word, id.word(FREE)) => {
                    self.push(id.stream(), slot);
                    return Poll::Ready(Outcome::Expired);
                }
                DONE | EXPIRED | SETTLED => {} // changed in between: look again
                // Registered in an earlier round of this loop: whoever completes wakes it.
                _ if registered => return Poll::Pending,
                PENDING => {
                    if exchange(slot, word, id.word(REGISTERING)) {
                        register(slot, id, waker);
                        registered = true;
                    }
                }
                FILLING | REGISTERING | REG_FILLING | REG_DONE => {
                    // The I/O side is about to finish. It takes no time worth registering for.
                    waker.wake_by_ref();
                    return Poll::Pending;
                }
                _ => {
                    debug_assert!(false, "{id:?} is polled but not in use");
                    return Poll::Ready(Outcome::Expired);
                }
            }
        }
    }

    /// The owner goes. `left` is what it leaves behind when the I/O side is at the slot.
    fn leave(&self, id: SlotId, left: u64) -> Abandoned {
        let Some(slot) = self.segments.slot(id.stream()) else { return Abandoned::Stale };
        loop {
            let word = slot.state.load(Ordering::Acquire); // pairs with every release of a state
            if word != id.word(state_of(word)) {
                return Abandoned::Stale;
            }
            match state_of(word) {
                DONE => {
                    if exchange(slot, word, id.word(FREE)) {
                        drop(self.take_reply(id.stream(), slot)); // freed first: a drop may panic
                        return Abandoned::Freed;
                    }
                }
                PENDING | EXPIRED if left == LEFT => {
                    if self.orphan(slot, word) {
                        return Abandoned::Orphaned;
                    }
                }
                PENDING | EXPIRED | SETTLED => {
                    if exchange(slot, word, id.word(FREE)) {
                        self.push(id.stream(), slot);
                        return Abandoned::Freed;
                    }
                }
                FILLING => {
                    if exchange(slot, word, id.word(left)) {
                        return Abandoned::Orphaned; // the I/O side finds out when it is done
                    }
                }
                // Free, orphaned or left already; or in the middle of another call of the owner.
                _ => return Abandoned::Stale,
            }
        }
    }

    fn orphan(&self, slot: &Slot<R>, word: u64) -> bool {
        // Counted first, so that the late reply never counts down from 0.
        self.orphans.fetch_add(1, Ordering::Relaxed);
        let orphaned = exchange(slot, word, with_state(word, ORPHANED));
        if !orphaned {
            self.orphans.fetch_sub(1, Ordering::Relaxed);
        }
        orphaned
    }

    /// Wakes the owner and ends FILLING, now that the reply is in its cell.
    #[inline]
    fn deliver(&self, index: u16, slot: &Slot<R>, word: u64) -> Completion<R> {
        let unwinding = OnUnwind(move || drop(self.delivered(index, slot, word)));
        wake(slot);
        mem::forget(unwinding);
        self.delivered(index, slot, word)
    }

    #[inline]
    fn delivered(&self, index: u16, slot: &Slot<R>, word: u64) -> Completion<R> {
        if exchange(slot, with_state(word, FILLING), with_state(word, DONE)) {
            return Completion::Delivered;
        }
        // LEFT: the owner was faster than its wake-up. Nobody else acts in this state.
        slot.state.store(with_state(word, FREE), Ordering::Release);
        Completion::Orphan(self.take_reply(index, slot))
    }

    #[cold]
    fn complete_slow(&self, id: u16, slot: &Slot<R>, reply: R) -> Completion<R> {
        loop {
            let word = slot.state.load(Ordering::Acquire); // pairs with every release of a state
            match state_of(word) {
                PENDING => {
                    if exchange(slot, word, with_state(word, FILLING)) {
                        // SAFETY: FILLING, so the reply's cell is the I/O side's, and it is empty.
                        unsafe { put_reply(slot, reply) };
                        return self.deliver(id, slot, word);
                    }
                }
                REGISTERING => {
                    let filling = with_state(word, REG_FILLING);
                    if exchange(slot, word, filling) {
                        // SAFETY: REG_FILLING, so the reply's cell is the I/O side's, and empty.
                        unsafe { put_reply(slot, reply) };
                        if exchange(slot, filling, with_state(word, REG_DONE)) {
                            return Completion::Delivered; // the owner is at it and takes it
                        }
                        // FILLING: the owner has registered and relies on being woken.
                        return self.deliver(id, slot, word);
                    }
                }
                EXPIRED | ORPHANED => {
                    if self.settle(id, slot) {
                        return Completion::Orphan(reply);
                    }
                }
                _ => return Completion::Unknown(reply),
            }
        }
    }

    /// No reply will come to a request that was given up; false if it was not given up.
    fn settle(&self, index: u16, slot: &Slot<R>) -> bool {
        loop {
            let word = slot.state.load(Ordering::Acquire); // pairs with every release of a state
            match state_of(word) {
                ORPHANED => {
                    if exchange(slot, word, with_state(word, FREE)) {
                        self.orphans.fetch_sub(1, Ordering::Relaxed);
                        self.push(index, slot);
                        return true;
                    }
                }
                EXPIRED => {
                    if exchange(slot, word, with_state(word, SETTLED)) {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }
}

impl<R> Drop for SlotTable<R> {
    fn drop(&mut self) {
        for index in 0..self.linked.load(Ordering::Relaxed) {
            let Some(slot) = u16::try_from(index).ok().and_then(|i| self.segments.slot(i)) else {
                return;
            };
            if matches!(state_of(slot.state.load(Ordering::Acquire)), DONE | REG_DONE) {
                slot.state.store(FREE, Ordering::Relaxed);
                // SAFETY: these states say that there is a reply; `&mut self` is alone.
                drop(unsafe { read_reply(slot) });
            }
        }
    }
}

impl<R> fmt::Debug for SlotTable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_use = Head(self.head.0.load(Ordering::Relaxed)).in_use();
        f.debug_struct("SlotTable")
            .field("in_use", &in_use)
            .field("slots_max", &self.slots_max)
            .finish_non_exhaustive()
    }
}
