//! Who is connected to a node: how many, from where, since when, and who has to leave.
//!
//! A client that has not logged in is a stranger: it has a time for that, and its place goes to
//! the next one when places are short. What a client takes that has logged in is bounded by what is
//! held for it, see `memory.rs`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::memory::Holding;
use crate::error::{CqlError, code};
use crate::limits::Limits;

/// How long a stranger keeps its place though others wait for one.
const PLACE_TIME: Duration = Duration::from_secs(1);

/// Why a node ends a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It has not logged in within this time.
    Late(Duration),
    /// Others need its place, and it has not logged in.
    Displaced,
    /// Too much is held for clients, and this one has kept the node waiting for longest.
    Holding { held_len: usize },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(time) => write!(f, "no log-in within {time:?}"),
            Self::Displaced => f.write_str("not logged in, and others wait for its place"),
            Self::Holding { held_len } => {
                write!(f, "{held_len} bytes are held for it, and too many for all")
            }
        }
    }
}

/// A connection, as its node sees it.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) peer: SocketAddr,
    /// Of all guests of the node, ever.
    pub(crate) number: u64,
    opened: Instant,
    /// It has logged in, or need not.
    pub(crate) is_ready: Cell<bool>,
    verdict: Cell<Option<Verdict>>,
    waker: RefCell<Option<Waker>>,
    pub(super) holding: Cell<Option<Holding>>,
}

impl Guest {
    /// Runs the connection's task to its end, or until the node wants it to leave.
    pub(crate) async fn stay<F: Future>(
        &self,
        mut task: Pin<Box<F>>,
    ) -> Result<F::Output, Verdict> {
        poll_fn(|context| {
            if let Some(verdict) = self.verdict.get() {
                return Poll::Ready(Err(verdict));
            }
            let mut waker = self.waker.borrow_mut();
            if waker.is_none() {
                *waker = Some(context.waker().clone());
            }
            drop(waker);
            task.as_mut().poll(context).map(Ok)
        })
        .await
    }

    pub(super) fn leave(&self, verdict: Verdict) {
        self.verdict.set(Some(verdict));
        self.waker.borrow().iter().for_each(Waker::wake_by_ref);
    }

    fn is_stranger(&self) -> bool {
        !self.is_ready.get() && self.verdict.get().is_none()
    }
}

/// The guests of a node.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    count: Cell<usize>,
    by_client: RefCell<HashMap<IpAddr, usize>>,
    /// Guests by the time they came; all strangers are among them.
    strangers: RefCell<VecDeque<Weak<Guest>>>,
    has_strangers: Notify,
    number: Cell<u64>,
    refused: Cell<usize>,
}

impl Guests {
    /// Lets a client in, or says why not.
    pub(crate) fn admit(&self, peer: SocketAddr, limits: &Limits) -> Result<Rc<Guest>, CqlError> {
        let (of_all, of_one) =
            (limits.max_concurrent_connections, limits.max_concurrent_connections_per_ip);
        let overloaded = |what: String| Err(CqlError::new(code::OVERLOADED, what));
        let mut by_client = self.by_client.borrow_mut();
        let count = by_client.entry(peer.ip()).or_default();
        if *count >= of_one {
            return overloaded(format!("{} has {of_one} connections, no more", peer.ip()));
        }
        if self.count.get() >= of_all && !self.make_room() {
            if *count == 0 {
                by_client.remove(&peer.ip());
            }
            return overloaded(format!("the node has {of_all} connections, no more"));
        }
        *count += 1;
        self.count.set(self.count.get() + 1);
        self.number.set(self.number.get() + 1);
        let guest = Rc::new(Guest {
            peer,
            number: self.number.get(),
            opened: Instant::now(),
            is_ready: Cell::new(false),
            verdict: Cell::new(None),
            waker: RefCell::new(None),
            holding: Cell::new(None),
        });
        self.strangers.borrow_mut().push_back(Rc::downgrade(&guest));
        self.has_strangers.notify_one();
        Ok(guest)
    }

    /// To be called once for each who was let in.
    pub(crate) fn left(&self, guest: &Guest) {
        self.count.set(self.count.get().saturating_sub(1));
        let mut by_client = self.by_client.borrow_mut();
        if let Some(count) = by_client.get_mut(&guest.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&guest.peer.ip());
            }
        }
    }

    /// Lets the oldest stranger leave; whether there is one that has been here for long enough.
    pub(crate) fn make_room(&self) -> bool {
        match self.first_stranger() {
            Some(guest) if guest.opened.elapsed() >= PLACE_TIME => {
                guest.leave(Verdict::Displaced);
                true
            }
            _ => false,
        }
    }

    fn first_stranger(&self) -> Option<Rc<Guest>> {
        let mut strangers = self.strangers.borrow_mut();
        while let Some(first) = strangers.front() {
            match first.upgrade() {
                Some(guest) if guest.is_stranger() => return Some(guest),
                _ => strangers.pop_front(),
            };
        }
        None
    }

    /// Lets strangers leave when their time is over, for ever. `since` says from when on times
    /// count at the earliest: a node that was paused has not looked at anybody meanwhile.
    pub(crate) async fn watch(&self, limits: &Limits, since: impl Fn() -> Option<Instant>) {
        let time = limits.login_timeout;
        loop {
            let Some(guest) = self.first_stranger() else {
                self.has_strangers.notified().await;
                continue;
            };
            let begin = since().map_or(guest.opened, |since| guest.opened.max(since));
            // A time that no clock reaches is none.
            let Some(due) = begin.checked_add(time) else { return std::future::pending().await };
            if due <= Instant::now() {
                guest.leave(Verdict::Late(time));
                continue;
            }
            drop(guest);
            sleep_until(due).await;
        }
    }

    /// A place among those who are told that they are refused, if there is one.
    pub(crate) fn refuse(&self) -> Option<RefusedPlace<'_>> {
        let count = self.refused.get();
        (count < REFUSED_MAX).then(|| {
            self.refused.set(count + 1);
            RefusedPlace(self)
        })
    }
}

/// Clients that are refused and wait to be told so; further ones are closed at once.
const REFUSED_MAX: usize = 64;

/// One of [`REFUSED_MAX`].
#[derive(Debug)]
pub(crate) struct RefusedPlace<'a>(&'a Guests);

impl Drop for RefusedPlace<'_> {
    fn drop(&mut self) {
        self.0.refused.set(self.0.refused.get().saturating_sub(1));
    }
}

/// Lines that are logged about clients in a span of [`COMPLAINTS_TIME`]; further ones are counted.
const COMPLAINTS_MAX: u32 = 10;
const COMPLAINTS_TIME: Duration = Duration::from_secs(10);

/// What is logged about clients. Whoever is turned away ten thousand times a second must not fill
/// a disk, nor hold up the node by a log that nobody reads.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    begun: Cell<Option<Instant>>,
    count: Cell<u32>,
    unsaid: Cell<u64>,
}

impl Complaints {
    pub(crate) fn tell(&self, peer: SocketAddr, what: impl fmt::Display) {
        if self.may_speak() {
            tracing::warn!(%peer, "{what}");
        }
    }

    /// About nobody in particular.
    pub(crate) fn tell_all(&self, what: impl fmt::Display) {
        if self.may_speak() {
            tracing::warn!("{what}");
        }
    }

    fn may_speak(&self) -> bool {
        if self.begun.get().is_none_or(|begun| begun.elapsed() >= COMPLAINTS_TIME) {
            self.begun.set(Some(Instant::now()));
            self.count.set(0);
            match self.unsaid.take() {
                0 => {}
                unsaid => tracing::warn!("{unsaid} more lines like those before were left out"),
            }
        }
        let may = self.count.get() < COMPLAINTS_MAX;
        if may {
            self.count.set(self.count.get() + 1);
        } else {
            self.unsaid.set(self.unsaid.get() + 1);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 1))
    }

    fn limits() -> Limits {
        Limits {
            max_concurrent_connections: 3,
            max_concurrent_connections_per_ip: 2,
            login_timeout: Duration::from_secs(10),
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_counted_and_strangers_make_room() {
        let (guests, limits) = (Guests::default(), limits());
        let first = guests.admit(peer(1), &limits).unwrap();
        let second = guests.admit(peer(1), &limits).unwrap();
        let error = guests.admit(peer(1), &limits).unwrap_err();
        assert_eq!(error.message, "127.0.0.1 has 2 connections, no more");
        let third = guests.admit(peer(2), &limits).unwrap();
        let error = guests.admit(peer(3), &limits).unwrap_err();
        assert_eq!(error.message, "the node has 3 connections, no more");
        first.is_ready.set(true);
        tokio::time::advance(PLACE_TIME).await;
        // The first has logged in, the second has not.
        let fourth = guests.admit(peer(3), &limits).unwrap();
        assert_eq!(second.verdict.get(), Some(Verdict::Displaced));
        guests.left(&second);
        third.is_ready.set(true);
        assert!(guests.admit(peer(3), &limits).is_err(), "the fourth has just come");
        guests.left(&fourth);
        assert!(guests.admit(peer(3), &limits).is_ok());
        assert_eq!(first.verdict.get(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_leave_in_time_but_not_those_of_a_paused_node() {
        let (guests, limits) = (Guests::default(), limits());
        let begun = Instant::now();
        let resumed = Cell::new(None);
        let watch = guests.watch(&limits, || resumed.get());
        let story = async {
            let stranger = guests.admit(peer(1), &limits).unwrap();
            let friend = guests.admit(peer(1), &limits).unwrap();
            friend.is_ready.set(true);
            resumed.set(Some(begun + Duration::from_secs(3)));
            let late = stranger.stay(Box::pin(std::future::pending::<()>())).await;
            assert_eq!(late, Err(Verdict::Late(Duration::from_secs(10))));
            assert_eq!(begun.elapsed().as_secs(), 13);
            assert_eq!(friend.verdict.get(), None);
        };
        tokio::select! {
            () = watch => unreachable!(),
            () = story => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_are_few() {
        let complaints = Complaints::default();
        let spoken = (0..100).filter(|_| complaints.may_speak()).count();
        assert_eq!((spoken, complaints.unsaid.get()), (10, 90));
        tokio::time::advance(COMPLAINTS_TIME).await;
        assert!(complaints.may_speak());
        assert_eq!(complaints.unsaid.get(), 0);
    }
}
