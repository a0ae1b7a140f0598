//! Tests of `../wait_queue.rs`, one thread at a time or on real threads; the models are beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use std::thread;

use super::*;

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// However many come to wait later, their places are there.
#[test]
fn reserves_all_places_at_once() {
    let queue = WaitQueue::new(1_000);
    assert_eq!(lock(&queue.inner).nodes.capacity(), 0);
    queue.enqueue(0).unwrap();
    let capacity = lock(&queue.inner).nodes.capacity();
    assert!((1_000..2_000).contains(&capacity), "{capacity}");
    for _ in 1..1_000 {
        queue.enqueue(0).unwrap();
    }
    assert_eq!(queue.enqueue(0), Err(Full));
    assert_eq!(lock(&queue.inner).nodes.capacity(), capacity);
    let queue = WaitQueue::new(usize::MAX);
    queue.enqueue(0).unwrap();
    assert_eq!(lock(&queue.inner).nodes.capacity(), RESERVED_MAX);
}

#[test]
fn calls_in_order() {
    let queue = WaitQueue::new(3);
    let [a, b, c] = [(); 3].map(|()| queue.enqueue(0).unwrap());
    assert_eq!(queue.enqueue(0), Err(Full));
    let none = Waker::noop();
    assert_eq!(queue.poll(b, none), Waited::Waiting);
    assert_eq!(queue.notify(2), 2);
    assert_eq!(queue.poll(a, none), Waited::Notified);
    assert_eq!(queue.requeue(a, none), Waited::Waiting);
    queue.cancel(b); // called and not seen: passed on to `a`, which kept its place
    assert_eq!(queue.poll(c, none), Waited::Waiting);
    assert_eq!(queue.poll(a, none), Waited::Notified);
    queue.cancel(a);
    assert_eq!(queue.poll(c, none), Waited::Waiting);
    assert_eq!(queue.notify(usize::MAX), 1);
    assert_eq!(queue.poll(c, none), Waited::Notified);
    queue.cancel(c);
    queue.cancel(c);
    assert_eq!(queue.len(), 0);
}

#[test]
fn saves_a_call_for_who_comes_back() {
    let queue = WaitQueue::new(3);
    let a = queue.enqueue(0).unwrap();
    queue.notify(1);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    assert_eq!(queue.poll(a, &waker), Waited::Notified);
    assert_eq!(queue.notify(5), 0);
    assert_eq!(queue.requeue(a, &waker), Waited::Waiting);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(queue.poll(a, &waker), Waited::Notified);
    assert_eq!(queue.requeue(a, &waker), Waited::Waiting);
    assert_eq!(queue.poll(a, &waker), Waited::Waiting);
}

#[test]
fn expires() {
    let queue = WaitQueue::new(10);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let tickets = [5, 0, 3, 9].map(|deadline| queue.enqueue(deadline).unwrap());
    for ticket in tickets {
        assert_eq!(queue.poll(ticket, &waker), Waited::Waiting);
    }
    assert_eq!(queue.next_due(), Some(3));
    assert_eq!(queue.expire(2), 0);
    assert_eq!(queue.expire(5), 2);
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(queue.next_due(), Some(9));
    assert_eq!(queue.poll(tickets[0], &waker), Waited::Expired);
    queue.cancel(tickets[2]);
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.notify(1), 1);
    assert_eq!(queue.poll(tickets[1], &waker), Waited::Notified);
}

#[test]
fn wakes_all_though_one_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let panics = Waker::from(Arc::new(Panics));
    let fails = |call: &dyn Fn()| {
        let call = std::panic::AssertUnwindSafe(call);
        std::panic::catch_unwind(call).unwrap_err();
    };
    let queue = WaitQueue::new(6);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let counts = Waker::from(Arc::clone(&count));
    let wakers = [&panics, &counts, &panics, &counts, &panics, &counts];
    let tickets = wakers.map(|waker| {
        let ticket = queue.enqueue(1).unwrap();
        assert_eq!(queue.poll(ticket, waker), Waited::Waiting);
        ticket
    });
    fails(&|| {
        queue.notify(4);
    });
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    fails(&|| {
        queue.expire(1);
    });
    assert_eq!(count.0.load(Ordering::Relaxed), 3);
    let seen = tickets.map(|ticket| queue.poll(ticket, &counts));
    assert_eq!(
        seen,
        [[Waited::Notified; 2], [Waited::Notified; 2], [Waited::Expired; 2]].concat()[..]
    );
}

/// A few permits, many takers that sometimes give up: nobody waits for ever.
#[test]
fn stress() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let rounds = if cfg!(miri) { 40 } else { 20_000 };
    let queue = WaitQueue::new(8);
    let permits = AtomicU32::new(1);
    let take =
        || permits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
    let give = || {
        permits.fetch_add(1, Ordering::SeqCst);
        if !queue.is_empty() {
            queue.notify(1);
        }
    };
    thread::scope(|scope| {
        for owner in 0..4 {
            let (queue, take, give) = (&queue, &take, &give);
            scope.spawn(move || {
                let waker = Waker::from(Arc::new(Unpark(thread::current())));
                let mut random = fastrand::Rng::with_seed(owner);
                for _ in 0..rounds {
                    if queue.is_empty() && take() {
                        give();
                        continue;
                    }
                    let ticket = queue.enqueue(0).unwrap();
                    if take() {
                        queue.cancel(ticket);
                        give();
                        continue;
                    }
                    if random.u8(..) < 30 {
                        queue.cancel(ticket);
                        continue;
                    }
                    loop {
                        match queue.poll(ticket, &waker) {
                            Waited::Waiting => thread::park(),
                            Waited::Notified if take() => {
                                queue.cancel(ticket);
                                break give();
                            }
                            Waited::Notified => {
                                queue.requeue(ticket, &waker);
                            }
                            Waited::Expired => unreachable!(),
                        }
                    }
                }
            });
        }
    });
    assert_eq!((permits.into_inner(), queue.len()), (1, 0));
}
