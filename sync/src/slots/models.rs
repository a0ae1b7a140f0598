//! Every pair of calls that may meet at a slot, in all orders that the memory model allows.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use super::*;

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicU32::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

/// A reply that loom sees being dropped.
type Reply = Box<u32>;

/// One slot in use, the I/O side's call on a thread of its own, and the owner's here.
fn meet(
    io: impl Fn(&SlotTable<Reply>, u16) + Send + Sync + 'static,
    owner: impl Fn(&SlotTable<Reply>, SlotId, &Waker) + Send + Sync + 'static,
) {
    let io = Arc::new(io);
    loom::model(move || {
        let table = Arc::new(SlotTable::new(1));
        let (_, waker) = counting();
        let id = table.claim(&waker, 1).unwrap();
        let thread = {
            let (table, io) = (Arc::clone(&table), Arc::clone(&io));
            thread::spawn(move || io(&table, id.stream()))
        };
        owner(&table, id, &waker);
        thread.join().unwrap();
        assert_eq!((table.in_use(), table.orphans()), (0, 0));
    });
}

fn complete(table: &SlotTable<Reply>, stream: u16) {
    assert!(!matches!(table.complete(stream, Box::new(7)), Completion::Unknown(_)));
}

fn expire_then_late_reply(table: &SlotTable<Reply>, stream: u16) {
    table.expire(1);
    complete(table, stream);
}

/// The owner polls once with another waker. Pending means that exactly that waker will have been
/// called when the I/O side is done, and that the next poll is ready. (Waiting for it in a loop
/// has no end in a model: a poll that meets FILLING wakes itself.)
fn poll_meets(io: impl Fn(&SlotTable<Reply>, u16) + Send + Sync + 'static) {
    let io = Arc::new(io);
    loom::model(move || {
        let table = Arc::new(SlotTable::new(1));
        let (_, first) = counting();
        let id = table.claim(&first, 1).unwrap();
        let thread = {
            let (table, io) = (Arc::clone(&table), Arc::clone(&io));
            thread::spawn(move || io(&table, id.stream()))
        };
        let (count, waker) = counting();
        let polled = table.poll(id, &waker);
        thread.join().unwrap();
        if polled.is_pending() {
            // `expire` passes over a slot whose owner is registering, until the next tick.
            if count.0.load(Ordering::Acquire) == 0 {
                assert_eq!(table.expire(2).expired, 1, "the wake-up was lost");
            }
            assert!(count.0.load(Ordering::Acquire) > 0, "the wake-up was lost");
            assert!(table.poll(id, &waker).is_ready());
        }
        // An expired request's id is held until its reply, which `io` may have brought before.
        if table.in_use() != 0 {
            assert!(matches!(table.complete(id.stream(), Box::new(9)), Completion::Orphan(_)));
        }
        assert_eq!((table.in_use(), table.orphans()), (0, 0));
    });
}

#[test]
fn complete_meets_poll_with_another_waker() {
    poll_meets(complete);
}

#[test]
fn complete_meets_abandon() {
    meet(complete, |table, id, _| {
        let _ = table.abandon(id);
    });
}

#[test]
fn complete_meets_poll_then_abandon() {
    meet(complete, |table, id, _| {
        let (_, waker) = counting();
        if table.poll(id, &waker).is_pending() {
            table.abandon(id);
        }
    });
}

#[test]
fn expire_meets_poll_with_another_waker() {
    poll_meets(|table, _| {
        table.expire(1);
    });
    poll_meets(expire_then_late_reply);
}

#[test]
fn expire_meets_abandon() {
    meet(expire_then_late_reply, |table, id, _| {
        let _ = table.abandon(id);
    });
}

#[test]
fn fail_all_meets_poll_with_another_waker() {
    poll_meets(|table, _| table.fail_all(|| Box::new(1)));
}

#[test]
fn fail_all_meets_abandon() {
    meet(
        |table, _| {
            table.fail_all(|| Box::new(1));
            table.fail_all(|| Box::new(2)); // orphaned in between: the reopened connection's turn
        },
        |table, id, _| {
            let _ = table.abandon(id);
        },
    );
}

#[test]
fn fail_all_meets_release_unsent() {
    meet(|table, _| table.fail_all(|| Box::new(1)), |table, id, _| table.release_unsent(id));
}

#[test]
fn withdraw_meets_abandon() {
    meet(
        |table, stream| {
            if !table.withdraw(stream) {
                complete(table, stream);
            }
        },
        |table, id, _| {
            let _ = table.abandon(id);
        },
    );
}

/// Two owners share two slots, growing on the way; no slot is in two hands.
#[test]
fn claims_meet_releases() {
    loom::model(|| {
        let table = Arc::new(SlotTable::<u32>::new(3));
        let ids = [table.claim(Waker::noop(), 0).unwrap(), table.claim(Waker::noop(), 0).unwrap()];
        let threads = ids.map(|id| {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.release_unsent(id);
                let id = table.claim(Waker::noop(), 0).unwrap();
                assert_eq!(table.complete(id.stream(), 5), Completion::Delivered);
                assert_eq!(table.poll(id, Waker::noop()), Poll::Ready(Outcome::Reply(5)));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(table.in_use(), 0);
    });
}

/// The free list is away for a moment: a claim waits for it, and is not refused.
#[test]
fn claim_meets_release_wakers() {
    loom::model(|| {
        let table = Arc::new(SlotTable::<u32>::new(2));
        let (count, waker) = counting();
        let ids = [(); 2].map(|()| table.claim(&waker, 0).unwrap());
        table.release_unsent(ids[0]);
        let releaser = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.release_unsent(ids[1]);
                table.release_wakers();
            })
        };
        let id = table.claim(&waker, 0).expect("a slot is free");
        assert_eq!(table.complete(id.stream(), 5), Completion::Delivered);
        assert_eq!(count.0.load(Ordering::Acquire), 1, "the waker was lost");
        assert_eq!(table.poll(id, &waker), Poll::Ready(Outcome::Reply(5)));
        releaser.join().unwrap();
        assert_eq!(table.in_use(), 0);
        let ids = [(); 2].map(|()| table.claim(Waker::noop(), 0).unwrap());
        assert_ne!(ids[0].stream(), ids[1].stream());
        assert!(table.claim(Waker::noop(), 0).is_none());
    });
}

/// The owner arms a slot, tells the I/O side as the outbox does, and gives up; meanwhile the reply
/// comes. Nobody's reply is anybody else's: the next use of the slot has its own.
#[test]
fn claim_meets_complete_and_abandon() {
    loom::model(|| {
        let table = Arc::new(SlotTable::<Reply>::new(1));
        let sent = Arc::new(AtomicU32::new(0)); // stream id + 1
        let io = {
            let (table, sent) = (Arc::clone(&table), Arc::clone(&sent));
            thread::spawn(move || {
                let Some(stream) = sent.load(Ordering::Acquire).checked_sub(1) else { return };
                complete(&table, u16::try_from(stream).unwrap());
            })
        };
        let id = table.claim(Waker::noop(), 1).unwrap();
        sent.store(u32::from(id.stream()) + 1, Ordering::Release);
        let left = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.abandon(id))
        };
        // If the slot is free already it is used once more, while the first use may be ending.
        let next = table.claim(Waker::noop(), 1);
        assert_ne!(left.join().unwrap(), Abandoned::Stale);
        io.join().unwrap();
        assert_eq!(table.abandon(id), Abandoned::Stale);
        if let Some(next) = next {
            assert!(table.poll(next, Waker::noop()).is_pending(), "another use's reply");
            table.release_unsent(next);
        } else if table.in_use() == 1 {
            complete(&table, id.stream()); // was not yet sent when the I/O side looked
        }
        assert_eq!((table.in_use(), table.orphans()), (0, 0));
    });
}

/// An id from an earlier use changes nothing, whatever its slot's next use is just doing.
#[test]
fn stale_id_meets_the_next_use() {
    for gives_up in [
        |table: &SlotTable<Reply>, id| assert_eq!(table.abandon(id), Abandoned::Stale),
        |table: &SlotTable<Reply>, id| table.release_unsent(id),
    ] {
        loom::model(move || {
            let table = Arc::new(SlotTable::<Reply>::new(1));
            let stale = table.claim(Waker::noop(), 0).unwrap();
            complete(&table, stale.stream());
            assert!(table.poll(stale, Waker::noop()).is_ready());
            let thread = {
                let table = Arc::clone(&table);
                thread::spawn(move || gives_up(&table, stale))
            };
            let next = table.claim(Waker::noop(), 0).expect("the slot is free");
            assert_eq!(next.stream(), stale.stream());
            assert!(table.poll(next, Waker::noop()).is_pending());
            complete(&table, next.stream());
            assert_eq!(table.poll(next, Waker::noop()), Poll::Ready(Outcome::Reply(Box::new(7))));
            thread.join().unwrap();
            assert_eq!((table.in_use(), table.orphans()), (0, 0));
        });
    }
}
