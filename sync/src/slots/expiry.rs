//! Deadlines: how the I/O side finds, without looking at every slot, those that are due.
//!
//! Each block of slots has a bound, a time no later than any deadline in it. Claiming a slot lowers
//! it if need be, which is seldom: deadlines mostly come in order. A visit computes it anew.
//! Next: `sync/src/slots/tests.rs`.

use std::mem;

use super::SlotTable;
use super::free_list::{FIRST_BITS, FIRST_LEN, Head};
use super::slot::{
    EXPIRED, FILLING, FREE, LEFT_UNSENT, ORPHANED, PENDING, REGISTERING, Slot, exchange, state_of,
    wake, with_state,
};
use crate::panics::{OnUnwind, Panics};
use crate::shim::{AtomicU32, Ordering};
use crate::ticks;

/// What a round of [`SlotTable::expire`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expiry {
    /// Requests expired in this round.
    pub expired: u32,
    /// A time no later than any deadline that is set, if any is.
    pub next_due: Option<u32>,
}

/// A deadline that is set while its block is being visited is noticed this much later, at worst.
///
/// Between storing a slot's state and reading the block's bound there is no fence, to spare every
/// request one; so a visit may miss a slot that is being claimed at that moment. Therefore a block
/// is visited again after so many ticks as long as any slot of the table is in use.
pub const RECHECK_TICKS: u32 = 64;

impl<R: Send> SlotTable<R> {
    /// Expires what is due at `now`; visits only blocks of 64 slots that may have something due.
    ///
    /// A deadline is noticed in the first round at or after it; one that is being set at the moment
    /// of a round may be noticed [`RECHECK_TICKS`] later.
    ///
    /// # Panics
    ///
    /// If a waker does, after all that is due has expired.
    pub fn expire(&self, now: u32) -> Expiry {
        let mut expiry = Expiry::default();
        let mut next_due = 0;
        let mut panics = Panics::default();
        // Acquire: pairs with the `Release` in `grow`.
        let blocks = self.linked.load(Ordering::Acquire).div_ceil(FIRST_LEN);
        for (block, due) in self.due.0.iter().enumerate().take(blocks) {
            // Acquire: pairs with the `Release` in `lower`; the slot was PENDING before.
            let bound = due.load(Ordering::Acquire);
            if bound != 0 && ticks::is_due(bound, now) {
                expiry.expired += self.expire_block(block, due, now, &mut panics);
            }
            next_due = ticks::earlier(next_due, due.load(Ordering::Relaxed));
        }
        expiry.next_due = (next_due != 0).then_some(next_due);
        panics.resume();
        expiry
    }
}

impl<R> SlotTable<R> {
    #[inline]
    pub(super) fn note_deadline(&self, index: u16, deadline: u32) {
        if deadline == 0 {
            return;
        }
        if let Some(due) = self.due.0.get(usize::from(index >> FIRST_BITS)) {
            let bound = due.load(Ordering::Relaxed);
            if bound == 0 || !ticks::is_due(bound, deadline) {
                lower(due, deadline);
            }
        }
    }

    /// Expires what is due in one block and renews its bound; returns how many expired.
    fn expire_block(&self, block: usize, due: &AtomicU32, now: u32, panics: &mut Panics) -> u32 {
        // Whoever claims a slot from here on sets the bound anew.
        due.store(0, Ordering::Relaxed);
        let mut expired = 0;
        let mut bound = 0;
        for index in block << FIRST_BITS..(block + 1) << FIRST_BITS {
            let Ok(index) = u16::try_from(index) else { break };
            let Some(slot) = self.segments.slot(index) else { break };
            let word = slot.state.load(Ordering::Acquire); // pairs with the `Release` in `claim`
            let deadline = slot.deadline.load(Ordering::Relaxed);
            if !matches!(state_of(word), PENDING | REGISTERING) || deadline == 0 {
                continue;
            }
            if ticks::is_due(deadline, now) {
                let is_pending = state_of(word) == PENDING;
                // It has expired even if its waker panics.
                let expire = || self.expire_slot(index, slot, word);
                if is_pending && panics.catch(expire).unwrap_or(true) {
                    expired += 1;
                } else {
                    // Its owner is just polling, or something else happened: look again soon.
                    bound = ticks::earlier(bound, ticks::after(now, 1));
                }
            } else {
                bound = ticks::earlier(bound, deadline);
            }
        }
        // A slot that was being claimed meanwhile may have been missed; if any slot is in use, look
        // again. If none is, then by this read-modify-write of the head (AcqRel, pairs with
        // `exchange_head`) every later claim sees the bound of 0 and sets it.
        if Head(self.head.0.fetch_add(0, Ordering::AcqRel)).in_use() != 0 {
            bound = ticks::earlier(bound, ticks::after(now, RECHECK_TICKS));
        }
        if bound != 0 {
            lower(due, bound);
        }
        expired
    }

    fn expire_slot(&self, index: u16, slot: &Slot<R>, word: u64) -> bool {
        if !exchange(slot, word, with_state(word, FILLING)) {
            return false; // completed or given up in between
        }
        let unwinding = OnUnwind(|| self.expired(index, slot, word));
        wake(slot);
        mem::forget(unwinding);
        self.expired(index, slot, word);
        true
    }

    fn expired(&self, index: u16, slot: &Slot<R>, word: u64) {
        if exchange(slot, with_state(word, FILLING), with_state(word, EXPIRED)) {
            return;
        }
        // The owner has left; nobody else acts in these states.
        if state_of(slot.state.load(Ordering::Acquire)) == LEFT_UNSENT {
            slot.state.store(with_state(word, FREE), Ordering::Release);
            self.push(index, slot);
        } else {
            self.orphans.fetch_add(1, Ordering::Relaxed);
            slot.state.store(with_state(word, ORPHANED), Ordering::Release);
        }
    }
}

/// Moves a block's bound to `deadline` if that is earlier.
#[cold]
fn lower(due: &AtomicU32, deadline: u32) {
    let mut bound = due.load(Ordering::Relaxed);
    while ticks::earlier(bound, deadline) != bound {
        // Release: pairs with the `Acquire` in `expire`, which then finds the slot PENDING.
        match due.compare_exchange_weak(bound, deadline, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => bound = now,
        }
    }
}
