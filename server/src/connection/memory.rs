//! Memory that connections lend each other, and how much is held for clients that keep the node
//! waiting.
//!
//! One thread serves all connections and handles one at a time, so buffers are needed by those few
//! that have something to do. A connection that waits has given its buffers back. What it must keep
//! meanwhile - the part of a request that has come, replies that were not taken, delayed replies -
//! is counted; beyond a limit for all together the ones that have kept the node waiting for longest
//! leave.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::guests::{Guest, Verdict};
use super::{INPUT_LEN, OUTPUT_LEN};
use crate::exec::direct::Scratch;
use crate::state::Shared;
use crate::wire::compression::{Compressor, Decompressor};

/// Buffers of each kind that are kept when nobody needs them.
const BUFFERS_MAX: usize = 16;
/// What is held for a guest is counted from here on, in bytes: less is as good as nothing.
const HELD_LEN_MIN: usize = 4 * 1024;

/// What a guest holds, and when it began to: a number that grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    since: u64,
    len: usize,
}

/// Shared by all connections of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Each [`INPUT_LEN`] long.
    inputs: RefCell<Vec<Vec<u8>>>,
    /// Empty, with room.
    outputs: RefCell<Vec<Vec<u8>>>,
    pub(super) compressor: RefCell<Compressor>,
    pub(super) decompressor: RefCell<Decompressor>,
    /// Of the row that a request is about. One for all: a key may be long, and those who wait have
    /// none.
    pub(super) keys: RefCell<Scratch>,
    held_len: Cell<usize>,
    holders: RefCell<BTreeMap<u64, Rc<Guest>>>,
    holding_count: Cell<u64>,
}

impl Memory {
    pub(super) fn take_input(&self) -> Vec<u8> {
        let kept = self.inputs.borrow_mut().pop();
        kept.unwrap_or_else(|| vec![0; INPUT_LEN])
    }

    pub(super) fn give_input(&self, buffer: Vec<u8>) {
        let mut inputs = self.inputs.borrow_mut();
        if buffer.len() == INPUT_LEN && inputs.len() < BUFFERS_MAX {
            inputs.push(buffer);
        }
    }

    pub(super) fn take_output(&self) -> Vec<u8> {
        let kept = self.outputs.borrow_mut().pop();
        kept.unwrap_or_else(|| Vec::with_capacity(INPUT_LEN))
    }

    pub(super) fn give_output(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(2 * OUTPUT_LEN);
        let mut outputs = self.outputs.borrow_mut();
        if buffer.capacity() > 0 && outputs.len() < BUFFERS_MAX {
            outputs.push(buffer);
        }
    }
}

impl Memory {
    /// Frees what one long request or reply has taken.
    pub(super) fn shrink(&self) {
        self.compressor.borrow_mut().shrink();
        self.decompressor.borrow_mut().shrink();
    }
}

impl Shared {
    /// Notes what a guest holds that the node waits for.
    #[inline]
    pub(super) fn hold(&self, guest: &Rc<Guest>, len: usize) {
        if len >= HELD_LEN_MIN || guest.holding.get().is_some() {
            self.change_holding(guest, len);
        }
    }

    #[cold]
    fn change_holding(&self, guest: &Rc<Guest>, len: usize) {
        if len < HELD_LEN_MIN {
            return self.release(guest);
        }
        let memory = &self.memory;
        let (since, before) = match guest.holding.get() {
            Some(holding) => (holding.since, holding.len),
            None => {
                let since = memory.holding_count.get();
                memory.holding_count.set(since + 1);
                memory.holders.borrow_mut().insert(since, Rc::clone(guest));
                (since, 0)
            }
        };
        guest.holding.set(Some(Holding { since, len }));
        memory.held_len.set(memory.held_len.get() - before + len);
        while memory.held_len.get() > self.limits.held_bytes_max {
            let first =
                memory.holders.borrow().first_key_value().map(|(_, guest)| Rc::clone(guest));
            let Some(first) = first else { return };
            let held_len = first.holding.get().map_or(0, |holding| holding.len);
            self.release(&first);
            first.leave(Verdict::Holding { held_len });
        }
    }

    /// A guest holds nothing any more, or has got on: what it holds next is held from then on.
    pub(crate) fn release(&self, guest: &Guest) {
        let Some(holding) = guest.holding.take() else { return };
        self.memory.holders.borrow_mut().remove(&holding.since);
        self.memory.held_len.set(self.memory.held_len.get() - holding.len);
    }
}
