//! The packed head of the list of free slots, and the memory behind the slots.
//!
//! The list is a stack linked through `Slot::next`: what was freed last is claimed next, which
//! keeps few slots hot. The head's tag changes with every claim, so a claim whose view of the head
//! is out of date fails its exchange (no ABA).
//! Next: `sync/src/slots/expiry.rs`.

use std::ptr;

use super::SlotTable;
use super::slot::Slot;
use crate::shim::{AtomicPtr, Ordering, lock};

#[cfg(not(loom))]
pub(super) const FIRST_BITS: u32 = 6;
#[cfg(not(loom))]
const INDEX_BITS: u32 = 15;
// Small enough to explore; growing still happens, at the third slot.
#[cfg(loom)]
pub(super) const FIRST_BITS: u32 = 1;
#[cfg(loom)]
const INDEX_BITS: u32 = 2;

/// Slots of the first segment, and of a block that shares one bound of deadlines.
pub(super) const FIRST_LEN: usize = 1 << FIRST_BITS;
/// The most slots a table may have: a stream id is a positive 16-bit integer.
pub const SLOTS_MAX: usize = 1 << INDEX_BITS;
/// Blocks of [`FIRST_LEN`] slots.
pub(super) const BLOCKS: usize = SLOTS_MAX / FIRST_LEN;

/// Where each segment ends. Few and far apart: a table grows when a connection first has more in
/// flight than ever, which is by chance, and must not go on doing so under a load that stays.
#[cfg(not(loom))]
const ENDS: [usize; 4] = [FIRST_LEN, 1024, 8192, SLOTS_MAX];
#[cfg(loom)]
const ENDS: [usize; 2] = [FIRST_LEN, SLOTS_MAX];
const SEGMENTS: usize = ENDS.len();

/// ```text
/// 63 .. 32 | 31 .. 16 | 15 ............... 0
///   tag    |  in use  | first free, or 0xFFFF
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub(super) struct Head(pub(super) u64);

/// Stands for "no slot"; never the index of one.
pub(super) const NONE: u16 = u16::MAX;

impl Head {
    const ONE_IN_USE: u64 = 1 << 16;
    const ONE_TAG: u64 = 1 << 32;
    const INDEX: u64 = 0xFFFF;

    pub(super) const EMPTY: Head = Head(Self::INDEX);

    #[inline]
    pub(super) const fn index(self) -> u16 {
        (self.0 & Self::INDEX) as u16
    }

    #[inline]
    pub(super) const fn in_use(self) -> u32 {
        ((self.0 >> 16) & 0xFFFF) as u32
    }

    /// After the first slot was taken, `next` being the one behind it.
    #[inline]
    pub(super) const fn popped(self, next: u32) -> Head {
        let rest = (self.0 & !Self::INDEX).wrapping_add(Self::ONE_TAG + Self::ONE_IN_USE);
        Head(rest | (next as u64 & Self::INDEX))
    }

    /// After slot `index` was given back.
    #[inline]
    pub(super) const fn pushed(self, index: u16) -> Head {
        Head((self.0 & !Self::INDEX).wrapping_sub(Self::ONE_IN_USE) | index as u64)
    }

    /// With another list, but the same slots in use.
    pub(super) const fn relinked(self, index: u16) -> Head {
        Head((self.0 & !Self::INDEX).wrapping_add(Self::ONE_TAG) | index as u64)
    }
}

impl<R> SlotTable<R> {
    #[inline]
    pub(super) fn exchange_head(&self, from: Head, to: Head) -> Result<(), Head> {
        // SeqCst: a claim that fails after queueing, and a release that then looks at the queue's
        // length, must not miss each other (see `WaitQueue::len`). It also acquires and releases:
        // the claim of a slot sees all of the slot's earlier uses.
        self.head
            .0
            .compare_exchange_weak(from.0, to.0, Ordering::SeqCst, Ordering::SeqCst)
            .map(drop)
            .map_err(Head)
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<(u16, &Slot<R>)> {
        let mut head = Head(self.head.0.load(Ordering::SeqCst)); // see `exchange_head`
        loop {
            let index = head.index();
            let Some(slot) = self.segments.slot(index) else {
                // `NONE`: the list is empty.
                head = self.grow()?;
                continue;
            };
            // May be out of date by now; then the tag is too and the exchange fails.
            let next = slot.next.load(Ordering::Relaxed);
            match self.exchange_head(head, head.popped(next)) {
                Ok(()) => return Some((index, slot)),
                Err(now) => head = now,
            }
        }
    }

    #[inline]
    pub(super) fn push(&self, index: u16, slot: &Slot<R>) {
        let mut head = Head(self.head.0.load(Ordering::Relaxed));
        loop {
            slot.next.store(u32::from(head.index()), Ordering::Relaxed);
            match self.exchange_head(head, head.pushed(index)) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Puts a chain of slots that was not on the list in front of it.
    pub(super) fn link(&self, first: u16, last: &Slot<R>) {
        let mut head = Head(self.head.0.load(Ordering::Relaxed));
        loop {
            last.next.store(u32::from(head.index()), Ordering::Relaxed);
            match self.exchange_head(head, head.relinked(first)) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }

    /// The free list is empty: links another segment. The head afterwards, or `None` if full.
    #[cold]
    fn grow(&self) -> Option<Head> {
        let _growing = lock(&self.growth);
        let head = Head(self.head.0.load(Ordering::SeqCst)); // see `exchange_head`
        if head.index() != NONE {
            return Some(head); // somebody else grew the table, or gave a slot back
        }
        let linked = self.linked.load(Ordering::Relaxed); // written under the lock
        if linked == self.slots_max {
            return None;
        }
        let end = (linked + self.segments.grow(linked)).min(self.slots_max);
        let first = u16::try_from(linked).ok()?;
        let mut last = self.segments.slot(first)?;
        for index in first + 1..u16::try_from(end).ok()? {
            last.next.store(u32::from(index), Ordering::Relaxed);
            last = self.segments.slot(index)?;
        }
        // Release: pairs with the `Acquire` in `expire` and `fail_all`.
        self.linked.store(end, Ordering::Release);
        self.link(first, last);
        Some(Head(self.head.0.load(Ordering::SeqCst)))
    }
}

/// Slots in segments that are allocated when needed and never move.
///
/// Each pointer is null, or where slot 0 would be if the segment reached back that far, so that
/// any index of the segment can be added to it as it is. It has its own segment's provenance.
pub(super) struct Segments<R>([AtomicPtr<Slot<R>>; SEGMENTS]);

impl<R> Segments<R> {
    pub(super) fn new() -> Segments<R> {
        Segments(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }

    /// The slot with this index, if its segment exists.
    #[inline]
    pub(super) fn slot(&self, index: u16) -> Option<&Slot<R>> {
        let index = usize::from(index);
        // Acquire: pairs with the `Release` in `grow`; the slots were written before.
        let base = self.0.get(segment_of(index))?.load(Ordering::Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: `grow` has moved the base back by `first_index`, and `index` lies less than
        // `segment_len` behind that by the definition of `segment_of`; so this is a slot of the
        // allocation, initialised by `grow`, alive as long as `self`, and only ever shared.
        Some(unsafe { &*base.wrapping_add(index) })
    }

    /// Allocates the segment that begins at `linked`; returns its length.
    ///
    /// Only one thread at a time may call it, each `linked` once: the table's growth lock sees to
    /// that. Were it otherwise, memory would leak, no more.
    pub(super) fn grow(&self, linked: usize) -> usize {
        let segment = segment_of(linked);
        let Some(place) = self.0.get(segment) else { return 0 };
        // Allocates: at most 4 times in a table's life.
        let slots: Box<[Slot<R>]> = (0..segment_len(segment)).map(|_| Slot::new()).collect();
        let len = slots.len();
        let first: *mut Slot<R> = Box::into_raw(slots).cast();
        let base = first.wrapping_sub(first_index(segment));
        if base.is_null() {
            // Memory within the first megabytes of the address space. It can't be told from no
            // memory, so it leaks and the table stays as it is.
            return 0;
        }
        // Release: pairs with the `Acquire` in `slot`.
        place.store(base, Ordering::Release);
        len
    }
}

impl<R> Drop for Segments<R> {
    fn drop(&mut self) {
        for (segment, place) in self.0.iter().enumerate() {
            let base = place.load(Ordering::Relaxed); // exclusive
            if base.is_null() {
                continue;
            }
            let first = base.wrapping_add(first_index(segment));
            let slots = ptr::slice_from_raw_parts_mut(first, segment_len(segment));
            // SAFETY: exactly the box that `grow` took apart; `&mut self` proves that it is unused.
            drop(unsafe { Box::from_raw(slots) });
        }
    }
}

/// The segment of slot `index`; `SEGMENTS` if there can be no such slot.
#[inline]
#[expect(clippy::indexing_slicing, reason = "below the array's length, and unrolled")]
const fn segment_of(index: usize) -> usize {
    let mut segment = 0;
    let mut at = 0;
    while at < SEGMENTS {
        segment += (index >= ENDS[at]) as usize;
        at += 1;
    }
    segment
}

/// Index of a segment's first slot.
#[expect(clippy::indexing_slicing, reason = "segments are numbered as their ends")]
const fn first_index(segment: usize) -> usize {
    if segment == 0 { 0 } else { ENDS[segment - 1] }
}

#[expect(clippy::indexing_slicing, reason = "segments are numbered as their ends")]
const fn segment_len(segment: usize) -> usize {
    ENDS[segment] - first_index(segment)
}

const _: () = {
    assert!(first_index(SEGMENTS - 1) + segment_len(SEGMENTS - 1) == SLOTS_MAX);
    assert!(segment_of(SLOTS_MAX) == SEGMENTS);
    let mut segment = 0;
    while segment < SEGMENTS {
        let first = first_index(segment);
        assert!(segment_of(first) == segment);
        assert!(segment_of(first + segment_len(segment) - 1) == segment);
        segment += 1;
    }
};

#[expect(clippy::cast_possible_truncation, reason = "only indexes are stored, widened from u16")]
pub(super) const fn next_index(next: u32) -> u16 {
    next as u16
}
