//! Tests of `../slots.rs`, one thread at a time or on real threads; the models are beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Wake, Waker};
use std::thread;

use super::free_list::FIRST_LEN;
use super::*;
use crate::ticks;

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicU32::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

fn claim<R: Send>(table: &SlotTable<R>) -> Option<SlotId> {
    table.claim(Waker::noop(), 0)
}

#[test]
fn delivers_a_reply() {
    let table = SlotTable::new(100);
    let (count, waker) = counting();
    assert_eq!(table.complete(0, 1), Completion::Unknown(1));
    let id = table.claim(&waker, 0).unwrap();
    assert_eq!(table.poll(id, &waker), Poll::Pending);
    assert_eq!(table.complete(id.stream(), 7), Completion::Delivered);
    assert_eq!(table.complete(id.stream(), 8), Completion::Unknown(8));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(table.poll(id, &waker), Poll::Ready(Outcome::Reply(7)));
    assert_eq!(table.in_use(), 0);
    assert_eq!(table.abandon(id), Abandoned::Stale);
    assert_eq!(table.complete(40_000, 8), Completion::Unknown(8));
}

#[test]
fn claims_exactly_as_many_as_allowed() {
    for max in [1, 63, 64, 65, if cfg!(miri) { 130 } else { 1000 }, SLOTS_MAX] {
        if cfg!(miri) && max == SLOTS_MAX {
            continue; // takes minutes there
        }
        let table = SlotTable::<u8>::new(max);
        let mut ids: Vec<_> = std::iter::from_fn(|| claim(&table)).collect();
        assert_eq!((ids.len(), table.in_use() as usize), (max, max));
        let last = ids.pop().unwrap();
        table.release_unsent(last);
        let again = claim(&table).unwrap();
        assert_eq!(again.stream(), last.stream());
        assert_ne!(again, last);
        table.release_unsent(last); // stale
        assert_eq!(table.in_use() as usize, max);
        ids.push(again);
        let mut streams: Vec<_> = ids.iter().map(|id| usize::from(id.stream())).collect();
        streams.sort_unstable();
        assert!(streams.into_iter().eq(0..max));
        ids.into_iter().for_each(|id| table.release_unsent(id));
        assert_eq!(table.in_use(), 0);
    }
}

#[test]
fn holds_the_id_of_what_was_given_up() {
    let table = SlotTable::new(4);
    let id = table.claim(Waker::noop(), 0).unwrap();
    assert_eq!(table.abandon(id), Abandoned::Orphaned);
    assert_eq!((table.in_use(), table.orphans()), (1, 1));
    assert_eq!(table.complete(id.stream(), 3), Completion::Orphan(3));
    assert_eq!((table.in_use(), table.orphans()), (0, 0));

    let id = table.claim(Waker::noop(), 0).unwrap();
    assert!(!table.withdraw(id.stream()));
    assert_eq!(table.abandon(id), Abandoned::Orphaned);
    assert!(table.withdraw(id.stream()));
    assert_eq!((table.in_use(), table.orphans()), (0, 0));
}

#[test]
fn expires_what_is_due() {
    for start in [1, u32::MAX - 20] {
        let table = SlotTable::<u8>::new(300);
        let (count, waker) = counting();
        let at = |ticks_later| ticks::after(start, ticks_later);
        let ids: Vec<_> =
            (0..200).map(|i| table.claim(&waker, at(10 + i % 2 * 20)).unwrap()).collect();
        assert_eq!(table.expire(at(9)), Expiry { expired: 0, next_due: Some(at(10)) });
        assert_eq!(table.expire(at(12)), Expiry { expired: 100, next_due: Some(at(30)) });
        assert_eq!(count.0.load(Ordering::Relaxed), 100);
        assert_eq!(table.expire(at(30)).expired, 100);
        for (index, id) in ids.into_iter().enumerate() {
            match index % 3 {
                0 => {
                    assert_eq!(table.poll(id, &waker), Poll::Ready(Outcome::Expired));
                    assert_eq!(table.complete(id.stream(), 1), Completion::Orphan(1));
                }
                1 => {
                    assert_eq!(table.complete(id.stream(), 1), Completion::Orphan(1));
                    assert_eq!(table.poll(id, &waker), Poll::Ready(Outcome::Expired));
                }
                _ => {
                    assert!(table.withdraw(id.stream()));
                    assert_eq!(table.abandon(id), Abandoned::Freed);
                }
            }
        }
        assert_eq!((table.in_use(), table.orphans()), (0, 0));
        assert_eq!(table.expire(at(30 + RECHECK_TICKS)).next_due, None);
    }
}

#[test]
fn fails_all() {
    let table = SlotTable::new(8);
    let unsent = claim(&table).unwrap();
    let pending = table.claim(Waker::noop(), 0).unwrap();
    let orphaned = table.claim(Waker::noop(), 0).unwrap();
    table.abandon(orphaned);
    let expired = table.claim(Waker::noop(), 5).unwrap();
    table.expire(5);
    table.fail_all(|| "gone");
    assert_eq!(table.poll(pending, Waker::noop()), Poll::Ready(Outcome::Reply("gone")));
    assert_eq!(table.poll(expired, Waker::noop()), Poll::Ready(Outcome::Expired));
    table.release_unsent(unsent);
    assert_eq!((table.in_use(), table.orphans()), (0, 0));
}

#[test]
fn survives_a_waker_that_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let waker = Waker::from(Arc::new(Panics));
    let table = SlotTable::new(8);
    let id = table.claim(&waker, 0).unwrap();
    let wake = std::panic::AssertUnwindSafe(|| table.complete(id.stream(), 5));
    assert!(std::panic::catch_unwind(wake).is_err());
    assert_eq!(table.poll(id, Waker::noop()), Poll::Ready(Outcome::Reply(5)));
    let id = table.claim(&waker, 1).unwrap();
    let wake = std::panic::AssertUnwindSafe(|| table.expire(1));
    assert!(std::panic::catch_unwind(wake).is_err());
    assert_eq!(table.poll(id, Waker::noop()), Poll::Ready(Outcome::Expired));
    table.complete(id.stream(), 6);

    // Nor does it keep the others of its round from being woken.
    let (count, counts) = counting();
    let claim = |waker: &Waker| table.claim(waker, 2).unwrap();
    let ids = [&waker, &counts, &waker, &counts].map(claim);
    let wake = std::panic::AssertUnwindSafe(|| table.expire(2));
    assert!(std::panic::catch_unwind(wake).is_err());
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    for id in ids {
        assert_eq!(table.poll(id, Waker::noop()), Poll::Ready(Outcome::Expired));
        table.complete(id.stream(), 7);
    }
    let ids = [&waker, &counts, &waker, &counts].map(claim);
    let wake = std::panic::AssertUnwindSafe(|| table.fail_all(|| 8));
    assert!(std::panic::catch_unwind(wake).is_err());
    assert_eq!(count.0.load(Ordering::Relaxed), 4);
    for id in ids {
        assert_eq!(table.poll(id, Waker::noop()), Poll::Ready(Outcome::Reply(8)));
    }
    assert_eq!((table.in_use(), table.orphans()), (0, 0));
}

#[test]
fn releases_wakers_of_free_slots() {
    let table = SlotTable::new(100);
    let (count, waker) = counting();
    let ids: Vec<_> = (0..70).map(|_| table.claim(&waker, 0).unwrap()).collect();
    let (kept, done) = ids.split_at(1);
    done.iter().for_each(|id| table.release_unsent(*id));
    assert_eq!(Arc::strong_count(&count), 72);
    table.release_wakers();
    assert_eq!(Arc::strong_count(&count), 3);
    assert_eq!(table.in_use(), 1);
    table.complete(kept[0].stream(), ());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let ids: Vec<_> = std::iter::from_fn(|| claim(&table)).collect();
    assert_eq!(ids.len(), 99);
}

#[test]
fn drops_replies_with_the_table() {
    let reply = Arc::new(());
    let table = SlotTable::new(2);
    let id = table.claim(Waker::noop(), 0).unwrap();
    table.complete(id.stream(), Arc::clone(&reply));
    drop(table);
    assert_eq!(Arc::strong_count(&reply), 1);
}

/// A load that stays makes a table grow at few points.
#[test]
fn grows_in_few_steps() {
    let table = SlotTable::<u32>::new(SLOTS_MAX);
    let linked = || table.linked.load(Ordering::Relaxed);
    let mut steps = Vec::new();
    for in_use in 0..1_100 {
        let before = linked();
        claim(&table).unwrap();
        if linked() != before {
            steps.push((in_use, linked()));
        }
    }
    assert_eq!(steps, [(0, 64), (64, 1_024), (1_024, 8_192)]);
}

#[test]
fn an_idle_table_is_small() {
    assert!(size_of::<SlotTable<[u64; 4]>>() + FIRST_LEN * size_of::<Slot<[u64; 4]>>() <= 8192);
    assert_eq!(size_of::<Slot<[u64; 4]>>(), 64);
    assert_eq!(size_of::<Option<SlotId>>(), 8);
}

/// Owners that poll with changing wakers, give up or wait, against one I/O side.
#[test]
fn stress() {
    let rounds = if cfg!(miri) { 25 } else { 60_000 };
    let table = SlotTable::new(96);
    let (send, receive) = std::sync::mpsc::sync_channel::<(u16, u64)>(64);
    thread::scope(|scope| {
        for owner in 0..3 {
            let (table, send) = (&table, send.clone());
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(owner);
                let (count, waker) = counting();
                let (_, other) = counting();
                for round in 0..rounds {
                    let key = owner << 32 | round;
                    count.0.store(0, Ordering::Relaxed);
                    let deadline = if random.bool() { 1 } else { 0 };
                    let Some(id) = table.claim(&waker, deadline) else {
                        thread::yield_now();
                        continue;
                    };
                    if random.u8(..) < 20 {
                        table.release_unsent(id);
                        continue;
                    }
                    send.send((id.stream(), key)).unwrap();
                    if random.u8(..) < 80 {
                        table.abandon(id);
                        continue;
                    }
                    loop {
                        let waker = if random.bool() { &waker } else { &other };
                        match table.poll(id, waker) {
                            Poll::Ready(Outcome::Reply(reply)) => break assert_eq!(reply, key),
                            Poll::Ready(Outcome::Expired) => break,
                            Poll::Pending => thread::yield_now(),
                        }
                    }
                }
            });
        }
        drop(send);
        let table = &table;
        scope.spawn(move || {
            let mut random = fastrand::Rng::with_seed(99);
            while let Ok((stream, key)) = receive.recv() {
                match random.u8(..) {
                    0..10 if table.withdraw(stream) => continue,
                    10..30 => drop(table.expire(1)),
                    _ => {}
                }
                assert!(!matches!(table.complete(stream, key), Completion::Unknown(_)));
            }
        });
    });
    assert_eq!((table.in_use(), table.orphans()), (0, 0));
}
