//! A call is lost neither to a waiter that goes nor to one that expires.

use std::sync::Arc;

use loom::thread;

use super::*;

/// Two wait, one goes, one call is made: the other sees it.
#[test]
fn notify_meets_cancel() {
    loom::model(|| {
        let queue = Arc::new(WaitQueue::new(2));
        let [first, second] = [(); 2].map(|()| queue.enqueue(0).unwrap());
        let caller = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        };
        let goer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.cancel(first))
        };
        caller.join().unwrap();
        goer.join().unwrap();
        let seen = [first, second].map(|ticket| queue.poll(ticket, Waker::noop()));
        assert!(seen.contains(&Waited::Notified), "{seen:?}");
    });
}

#[test]
fn notify_meets_expire() {
    loom::model(|| {
        let queue = Arc::new(WaitQueue::new(2));
        let [first, second] = [1, 0].map(|deadline| queue.enqueue(deadline).unwrap());
        let caller = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        };
        let expired = queue.expire(5);
        assert_eq!(caller.join().unwrap(), 1);
        let seen = [first, second].map(|ticket| queue.poll(ticket, Waker::noop()));
        match expired {
            0 => assert_eq!(seen, [Waited::Notified, Waited::Waiting]),
            _ => assert_eq!(seen, [Waited::Expired, Waited::Notified]),
        }
    });
}

#[test]
fn notify_meets_requeue() {
    loom::model(|| {
        let queue = Arc::new(WaitQueue::new(1));
        let ticket = queue.enqueue(0).unwrap();
        queue.notify(1);
        assert_eq!(queue.poll(ticket, Waker::noop()), Waited::Notified);
        let caller = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        };
        queue.requeue(ticket, Waker::noop());
        caller.join().unwrap();
        assert_eq!(queue.poll(ticket, Waker::noop()), Waited::Notified);
    });
}

/// Three wait, two calls are made at once: the first two are called, in whatever order.
#[test]
fn notify_meets_notify() {
    loom::model(|| {
        let queue = Arc::new(WaitQueue::new(3));
        let tickets = [(); 3].map(|()| queue.enqueue(0).unwrap());
        let callers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        });
        let polled = queue.poll(tickets[0], Waker::noop());
        assert_ne!(polled, Waited::Expired);
        let called = callers.map(|caller| caller.join().unwrap());
        assert_eq!(called, [1, 1]);
        let seen = tickets.map(|ticket| queue.poll(ticket, Waker::noop()));
        assert_eq!(seen, [Waited::Notified, Waited::Notified, Waited::Waiting]);
    });
}

/// One waiter was called and holds the call while two more are made: one of them is saved.
#[test]
fn notify_meets_notify_and_requeue() {
    loom::model(|| {
        let queue = Arc::new(WaitQueue::new(2));
        let ticket = queue.enqueue(0).unwrap();
        queue.notify(1);
        assert_eq!(queue.poll(ticket, Waker::noop()), Waited::Notified);
        let callers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        });
        queue.requeue(ticket, Waker::noop());
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(queue.poll(ticket, Waker::noop()), Waited::Notified);
        queue.cancel(ticket);
        assert!(queue.is_empty());
    });
}
