//! A call is lost neither to a waiter that goes nor to one that expires.

use std::sync::Arc;

use loom::thread;

use super::*;

/// Two wait, one goes (or both expire), one call is made: it is seen unless nobody was left.
fn one_call(go: impl Fn(&WaitQueue, Ticket) + Send + Sync + 'static) {
    let go = Arc::new(go);
    loom::model(move || {
        let queue = Arc::new(WaitQueue::new(2));
        let [first, second] = [(); 2].map(|()| queue.enqueue(0).unwrap());
        let caller = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.notify(1))
        };
        let goer = {
            let (queue, go) = (Arc::clone(&queue), Arc::clone(&go));
            thread::spawn(move || go(&queue, first))
        };
        caller.join().unwrap();
        goer.join().unwrap();
        let seen = [first, second].map(|ticket| queue.poll(ticket, Waker::noop()));
        assert!(seen.contains(&Waited::Notified), "{seen:?}");
    });
}

#[test]
fn notify_meets_cancel() {
    one_call(|queue, ticket| queue.cancel(ticket));
}

#[test]
fn notify_meets_expire() {
    one_call(|queue, _| {
        queue.expire(5);
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
