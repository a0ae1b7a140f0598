//! Pushing, swapping and closing at once: each frame is written once or refused.

use std::sync::Arc;
use std::task::Waker;

use loom::thread;

use super::*;
use crate::{Abandoned, Completion, SlotTable};

#[test]
fn push_meets_swap_and_close() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(2));
        let pusher = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || {
                let frame = |out: &mut [u8]| {
                    out.fill(1);
                    Ok::<_, ()>(())
                };
                u32::from(outbox.push(1, frame).is_ok()) + u32::from(outbox.push(1, frame).is_ok())
            })
        };
        let closer = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.close())
        };
        let mut writing = WriteBuffer::new(2);
        let mut written = outbox.swap(&mut writing, |_| 1, |_| true);
        let pushed = pusher.join().unwrap();
        closer.join().unwrap();
        writing.clear();
        written += outbox.swap(&mut writing, |_| 1, |_| true);
        assert_eq!(usize::try_from(pushed), Ok(written));
        assert!(outbox.is_empty());
    });
}

/// A frame is in the buffer when its request is given up, perhaps while the writer takes it: it is
/// written, or withdrawn and its id free; never both, and never neither.
#[test]
fn swap_meets_abandon() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(2));
        let table = Arc::new(SlotTable::<u8>::new(1));
        let id = table.claim(Waker::noop(), 0).unwrap();
        push(&outbox, 1).unwrap();
        let owner = {
            let (outbox, table) = (Arc::clone(&outbox), Arc::clone(&table));
            thread::spawn(move || {
                let abandoned = table.abandon(id);
                outbox.mark_withdrawn();
                abandoned
            })
        };
        let mut writing = WriteBuffer::new(2);
        let written = outbox.swap(&mut writing, |_| 1, |_| !table.withdraw(id.stream()));
        assert_eq!(owner.join().unwrap(), Abandoned::Orphaned);
        assert_eq!((written, table.in_use()), if written == 0 { (0, 0) } else { (1, 1) });
        if written == 1 {
            assert_eq!(table.complete(id.stream(), 3), Completion::Orphan(3));
        }
        assert_eq!((table.in_use(), table.orphans()), (0, 0));
    });
}

/// Three frames of which the middle one is given up before the swap, while another thread queues
/// one more: the frames around it are written whole and in order.
#[test]
fn swap_with_withdrawn_frames_meets_push() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(4));
        for byte in 1..=3 {
            outbox.push(1, |out| fill(out, byte)).unwrap();
        }
        outbox.mark_withdrawn();
        let pusher = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || outbox.push(1, |out| fill(out, 4)).unwrap())
        };
        let mut writing = WriteBuffer::new(4);
        let mut written = Vec::new();
        outbox.swap(&mut writing, |_| 1, |frame| frame != [2]);
        written.extend_from_slice(writing.remaining());
        writing.clear();
        let pushed = pusher.join().unwrap();
        assert_eq!(pushed.was_empty, written == [1, 3]);
        outbox.swap(&mut writing, |_| 1, |frame| frame != [2]);
        written.extend_from_slice(writing.remaining());
        assert_eq!(written, [1, 3, 4]);
    });
}

/// A long frame is encoded without the lock; its room is given back whether it is queued, refused
/// by a close in between, or dropped by a reopening.
#[test]
fn push_large_meets_close() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(1));
        let pusher = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || push(&outbox, 3))
        };
        outbox.close();
        let queued_before = outbox.queued_len();
        outbox.reopen();
        let queued = outbox.queued_len();
        let pushed = pusher.join().unwrap();
        let mut writing = WriteBuffer::new(1);
        let written = outbox.swap(&mut writing, |_| 3, |_| true);
        match pushed {
            Ok(pushed) => {
                assert!(pushed.was_empty);
                // Queued before the close and dropped by the reopening, or queued after it.
                assert_eq!(written, if queued_before == 0 { 3 } else { 0 });
            }
            Err(error) => assert_eq!((error, written), (PushError::Closed, 0)),
        }
        assert!(queued == 0 || queued == 3);
        let filling = lock(&outbox.filling.0);
        assert_eq!((filling.large_count, filling.large_len), (0, 0));
        drop(filling);
    });
}

#[test]
fn push_large_meets_push_and_swap() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(1));
        let pushers = [1, 2].map(|len| {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || push(&outbox, len).unwrap().was_empty)
        });
        let mut writing = WriteBuffer::new(1);
        let mut written = outbox.swap(&mut writing, |_| 0, |_| true);
        writing.clear();
        let firsts = pushers.map(|pusher| pusher.join().unwrap());
        assert!(firsts.contains(&true), "the writer was not told");
        written += outbox.swap(&mut writing, |_| 0, |_| true);
        assert_eq!((written, outbox.is_empty()), (3, true));
    });
}

fn push(outbox: &Outbox, len: usize) -> Result<Pushed, PushError<()>> {
    let encode = |out: &mut [u8]| fill(out, 1);
    if len <= outbox.buffer_len() {
        outbox.push(len, encode)
    } else {
        outbox.push_large(len, encode)
    }
}

fn fill(out: &mut [u8], byte: u8) -> Result<(), ()> {
    out.fill(byte);
    Ok(())
}
