//! Those who wait for room on a connection, or for any connection: bounded, in order, with
//! deadlines.
//!
//! Everything is under one lock, for nobody comes here while there is room; the one load of
//! [`WaitQueue::len`] tells. No waker is called, and none is dropped, under the lock.
//!
//! # States of a ticket
//!
//! | from | by | to |
//! |---|---|---|
//! | - | `enqueue` | WAITING, at the end |
//! | WAITING | `notify` | CALLED; its waker is called |
//! | WAITING | `expire` | EXPIRED; its waker is called |
//! | WAITING, CALLED, EXPIRED | `cancel` | gone; a call that was not seen goes to the next |
//! | CALLED | `poll` | HELD: the caller now tries to take what it waited for |
//! | EXPIRED | `poll` | gone |
//! | HELD | `cancel` | gone: the caller got it, or does not want it any more |
//! | HELD | `requeue` | WAITING, in its old place; CALLED if a call found nobody else meanwhile |
//!
//! # Not losing a call
//!
//! Who waits: try, `enqueue`, try once more, and only then rely on being woken. Who gives something
//! back: give it back, then `notify(1)` if `len()` is not 0. Whichever comes second sees the other.
//! Who was called and succeeds passes the call on if there may be more (`notify(1)`).
//!
//! Next: `sync/src/chunks.rs`.

use std::task::Waker;
use std::{fmt, mem};

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::panics::Panics;
use crate::shim::{AtomicUsize, Guard, Mutex, Ordering, lock};
use crate::ticks;

/// A bounded queue of waiters; see the module.
pub struct WaitQueue {
    inner: Mutex<Inner>,
    /// Tickets that are not gone, whatever their state; changes under the lock.
    len: AtomicUsize,
    len_max: usize,
}

/// A place in a [`WaitQueue`]. Ends with [`WaitQueue::cancel`] or [`Waited::Expired`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket {
    index: u32,
    number: u64,
}

/// The queue has as many waiters as it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests wait already")
    }
}

impl std::error::Error for Full {}

/// How a waiter stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waited {
    /// The deadline passed, or the ticket is gone. It is gone now.
    Expired,
    /// Called: try, then `cancel` the ticket or `requeue` it.
    Notified,
    /// Not yet; the waker will be called.
    Waiting,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Gone,
    Waiting,
    Called,
    Held,
    Expired,
}

/// A waiter. Those in WAITING form one doubly linked list, ordered by number; those that are gone
/// a singly linked one.
struct Node {
    number: u64,
    deadline: u32,
    state: State,
    before: u32,
    after: u32,
    waker: Option<Waker>,
}

/// Places that are reserved at once; 40 bytes each.
const RESERVED_MAX: usize = 65_536;
/// No node.
const NIL: u32 = u32::MAX;

struct Inner {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
    gone: u32,
    /// Empty; room for the wakers of those that expire.
    expiring: Vec<Waker>,
    next_number: u64,
    held: usize,
    /// Calls that found nobody waiting while some were HELD; at most as many as those.
    saved: usize,
    /// No later than any waiter's deadline; 0 if none has any.
    due: u32,
}

impl WaitQueue {
    /// A queue of at most `len_max` waiters. Allocates nothing yet.
    #[must_use]
    pub fn new(len_max: usize) -> WaitQueue {
        WaitQueue {
            inner: Mutex::new(Inner {
                nodes: Vec::new(),
                first: NIL,
                last: NIL,
                gone: NIL,
                expiring: Vec::new(),
                next_number: 0,
                held: 0,
                saved: 0,
                due: 0,
            }),
            len: AtomicUsize::new(0),
            len_max: len_max.min(NIL as usize - 1),
        }
    }

    /// Tickets that are not gone, those called included. One load.
    #[inline]
    pub fn len(&self) -> usize {
        // SeqCst: pairs with the one in `enqueue`, together with those of the slot table's head:
        // a release that sees no waiter is seen by the waiter's second try.
        self.len.load(Ordering::SeqCst)
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits at the end of the queue, until `deadline` if it is not 0.
    ///
    /// # Errors
    ///
    /// [`Full`]: nothing changed.
    ///
    /// # Allocation
    ///
    /// The first time, for all who may ever wait at once (memory that is not touched costs
    /// nothing); later only if that is more than `RESERVED_MAX` and the queue has never been so
    /// long.
    pub fn enqueue(&self, deadline: u32) -> Result<Ticket, Full> {
        let mut inner = lock(&self.inner);
        if self.len.load(Ordering::Relaxed) >= self.len_max {
            return Err(Full);
        }
        let number = inner.next_number;
        inner.next_number += 1;
        let node =
            Node { number, deadline, state: State::Waiting, before: NIL, after: NIL, waker: None };
        let index = inner.gone;
        let index = match inner.node(index) {
            Some(free) => {
                let next = free.after;
                *free = node;
                inner.gone = next;
                index
            }
            None => {
                if inner.nodes.is_empty() {
                    inner.nodes.reserve_exact(self.len_max.min(RESERVED_MAX));
                }
                inner.nodes.push(node);
                u32::try_from(inner.nodes.len() - 1).map_err(|_| Full)?
            }
        };
        inner.insert(index);
        self.len.fetch_add(1, Ordering::SeqCst); // see `len`
        Ok(Ticket { index, number })
    }

    /// How the waiter stands; if it waits, `waker` will be called.
    pub fn poll(&self, ticket: Ticket, waker: &Waker) -> Waited {
        let mut inner = lock(&self.inner);
        let Some(node) = inner.ticket(ticket) else { return Waited::Expired };
        match node.state {
            State::Waiting => {
                let old = node.set_waker(waker);
                drop(inner);
                drop(old); // foreign code, run without the lock
                Waited::Waiting
            }
            State::Called => {
                node.state = State::Held;
                inner.held += 1;
                Waited::Notified
            }
            State::Held => Waited::Notified,
            State::Expired | State::Gone => {
                self.remove(inner, ticket.index);
                Waited::Expired
            }
        }
    }

    /// Called in vain: waits again, in the old place.
    ///
    /// If a call found nobody else meanwhile, `waker` is called at once.
    pub fn requeue(&self, ticket: Ticket, waker: &Waker) -> Waited {
        let mut inner = lock(&self.inner);
        let Some(node) = inner.ticket(ticket) else { return Waited::Expired };
        if node.state != State::Held {
            drop(inner);
            return self.poll(ticket, waker);
        }
        let old = node.set_waker(waker);
        inner.held -= 1;
        let called = inner.saved > 0;
        if called {
            inner.saved -= 1;
            if let Some(node) = inner.ticket(ticket) {
                node.state = State::Called;
            }
        } else {
            inner.insert(ticket.index);
        }
        drop(inner);
        drop(old); // foreign code, run without the lock
        if called {
            waker.wake_by_ref();
        }
        Waited::Waiting
    }

    /// The waiter goes. If it was called and has not seen it, the next one is called.
    pub fn cancel(&self, ticket: Ticket) {
        let mut inner = lock(&self.inner);
        let Some(node) = inner.ticket(ticket) else { return };
        match node.state {
            State::Waiting => {
                inner.unlink(ticket.index);
                self.remove(inner, ticket.index);
            }
            State::Called => {
                self.remove(inner, ticket.index);
                self.notify(1);
            }
            State::Held => {
                inner.held -= 1;
                // A saved call was for whoever comes back; with fewer to come, fewer are needed,
                // but then somebody may have queued since who has not been called.
                let surplus = inner.saved.saturating_sub(inner.held);
                inner.saved -= surplus;
                self.remove(inner, ticket.index);
                self.notify(surplus);
            }
            State::Expired | State::Gone => self.remove(inner, ticket.index),
        }
    }

    /// Calls the first `count` waiters; returns how many there were.
    ///
    /// # Panics
    ///
    /// If a waker does, after all have been called.
    pub fn notify(&self, count: usize) -> usize {
        let mut panics = Panics::default();
        let called = self.notify_each(count, |waker| {
            panics.catch(|| waker.wake());
        });
        panics.resume();
        called
    }

    fn notify_each(&self, count: usize, mut wake: impl FnMut(Waker)) -> usize {
        for called in 0..count {
            let mut inner = lock(&self.inner);
            let first = inner.first;
            inner.unlink(first);
            let Some(node) = inner.node(first) else {
                inner.saved = (count - called).saturating_add(inner.saved).min(inner.held);
                return called;
            };
            node.state = State::Called;
            let waker = node.waker.take();
            drop(inner);
            // A waiter without a waker has not polled yet and will see it when it does.
            if let Some(waker) = waker {
                wake(waker);
            }
        }
        count
    }

    /// Expires the waiters that are due at `now`; returns how many.
    ///
    /// # Panics
    ///
    /// If a waker does, after all have been called.
    pub fn expire(&self, now: u32) -> u32 {
        let mut inner = lock(&self.inner);
        if inner.due == 0 || !ticks::is_due(inner.due, now) {
            return 0;
        }
        let mut wakers = mem::take(&mut inner.expiring);
        let mut expired = 0;
        let mut due = 0;
        let mut index = inner.first;
        while let Some(node) = inner.node(index) {
            let (after, deadline) = (node.after, node.deadline);
            if deadline != 0 && ticks::is_due(deadline, now) {
                node.state = State::Expired;
                wakers.extend(node.waker.take());
                inner.unlink(index);
                expired += 1;
            } else {
                due = ticks::earlier(due, deadline);
            }
            index = after;
        }
        inner.due = due;
        drop(inner);
        let mut panics = Panics::default();
        for waker in wakers.drain(..) {
            panics.catch(|| waker.wake()); // foreign code, run without the lock
        }
        lock(&self.inner).expiring = wakers;
        panics.resume();
        expired
    }

    /// A time no later than any waiter's deadline, if any has one.
    pub fn next_due(&self) -> Option<u32> {
        let due = lock(&self.inner).due;
        (due != 0).then_some(due)
    }

    /// Frees a node that is in no list.
    fn remove(&self, mut inner: Guard<'_, Inner>, index: u32) {
        let gone = inner.gone;
        let Some(node) = inner.node(index) else { return };
        node.state = State::Gone;
        node.after = gone;
        let waker = node.waker.take();
        inner.gone = index;
        self.len.fetch_sub(1, Ordering::SeqCst); // see `len`
        drop(inner);
        drop(waker); // foreign code, run without the lock
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn node(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index as usize)
    }

    fn ticket(&mut self, ticket: Ticket) -> Option<&mut Node> {
        self.node(ticket.index)
            .filter(|node| node.number == ticket.number && node.state != State::Gone)
    }

    /// Puts a node into the list of those who wait, where its number belongs; mostly at one end.
    fn insert(&mut self, index: u32) {
        let Some(node) = self.node(index) else { return };
        node.state = State::Waiting;
        let (number, deadline) = (node.number, node.deadline);
        let (mut before, mut after) = (self.last, NIL);
        if self.node(before).is_some_and(|last| last.number > number) {
            // It comes back: look from the front, whence it was called.
            (before, after) = (NIL, self.first);
            while let Some(other) = self.node(after).filter(|other| other.number < number) {
                let next = other.after;
                (before, after) = (after, next);
            }
        }
        if let Some(node) = self.node(index) {
            (node.before, node.after) = (before, after);
        }
        self.join(before, index);
        self.join(index, after);
        self.due = ticks::earlier(self.due, deadline);
    }

    /// Takes a node out of the list of those who wait.
    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node(index) else { return };
        let before = mem::replace(&mut node.before, NIL);
        let after = mem::replace(&mut node.after, NIL);
        self.join(before, after);
    }

    fn join(&mut self, before: u32, after: u32) {
        match self.node(before) {
            Some(node) => node.after = after,
            None => self.first = after,
        }
        match self.node(after) {
            Some(node) => node.before = before,
            None => self.last = before,
        }
    }
}

impl Node {
    /// Keeps the waker if it would wake the same task; the one to be dropped otherwise.
    fn set_waker(&mut self, waker: &Waker) -> Option<Waker> {
        if self.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            return None;
        }
        self.waker.replace(waker.clone())
    }
}
