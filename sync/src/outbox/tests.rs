//! Tests of `../outbox.rs`, one thread at a time or on real threads; the models are beside it.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use std::thread;

use super::*;

fn put(outbox: &Outbox, frame: &[u8]) -> Result<Pushed, PushError<()>> {
    let encode = |out: &mut [u8]| {
        out.copy_from_slice(frame);
        Ok(())
    };
    let is_short = frame.len() <= outbox.buffer_len();
    if is_short { outbox.push(frame.len(), encode) } else { outbox.push_large(frame.len(), encode) }
}

/// A frame's first byte is its length.
fn frame_len(bytes: &[u8]) -> usize {
    usize::from(bytes[0])
}

fn take(outbox: &Outbox, writing: &mut WriteBuffer, keep: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut taken = Vec::new();
    outbox.swap(writing, frame_len, keep);
    while !writing.is_empty() {
        taken.push(writing.remaining()[0]);
        writing.consume(1);
    }
    taken
}

#[test]
fn queues_whole_frames_only() {
    let outbox = Outbox::new(8);
    let mut writing = WriteBuffer::new(8);
    assert_eq!(put(&outbox, &[3, 1, 1]), Ok(Pushed { was_empty: true }));
    assert_eq!(outbox.push(3, |_| Err("no")), Err(PushError::Encode("no")));
    let panics = std::panic::AssertUnwindSafe(|| {
        outbox.push::<()>(3, |out| {
            out.fill(9);
            panic!("on purpose")
        })
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(put(&outbox, &[2, 2]), Ok(Pushed { was_empty: false }));
    assert_eq!(put(&outbox, &[4, 2, 2, 2]), Err(PushError::Full));
    assert_eq!(outbox.queued_len(), 5);
    assert_eq!(take(&outbox, &mut writing, |_| true), [3, 1, 1, 2, 2]);
    assert!(outbox.is_empty());
    assert_eq!(put(&outbox, &[1]), Ok(Pushed { was_empty: true }));
    outbox.close();
    assert_eq!(put(&outbox, &[1]), Err(PushError::Closed));
    outbox.reopen();
    assert_eq!(put(&outbox, &[1]), Ok(Pushed { was_empty: true }));
}

/// Both buffers take their full length once, and what is queued stays.
#[test]
fn grows_once_and_loses_nothing() {
    let len = 4 * FIRST_LEN;
    let outbox = Outbox::new(len);
    let mut writing = WriteBuffer::new(len);
    let frame = |byte| vec![byte; FIRST_LEN / 2 + 1];
    let lens = |outbox: &Outbox, writing: &WriteBuffer| {
        (lock(&outbox.filling.0).buf.len(), writing.buf.len())
    };
    assert!(put(&outbox, &frame(1)).is_ok());
    assert_eq!(lens(&outbox, &writing), (FIRST_LEN, FIRST_LEN));
    for byte in 2..8 {
        assert!(put(&outbox, &frame(byte)).is_ok());
    }
    assert_eq!(lens(&outbox, &writing), (len, FIRST_LEN));
    assert_eq!(put(&outbox, &frame(9)), Err(PushError::Full));
    outbox.swap(&mut writing, |_| 0, |_| true);
    assert_eq!(lens(&outbox, &writing), (len, len));
    assert_eq!(writing.remaining(), (1..8).flat_map(frame).collect::<Vec<_>>());
}

#[test]
fn keeps_long_frames_apart() {
    let outbox = Outbox::new(4);
    let mut writing = WriteBuffer::new(4);
    let long = [6, 1, 1, 1, 1, 1];
    put(&outbox, &long).unwrap();
    put(&outbox, &[2, 2]).unwrap();
    outbox.mark_withdrawn();
    assert_eq!(take(&outbox, &mut writing, |frame| frame[0] == 6), long);
    for _ in 0..LARGE_COUNT_MAX.min(256 / 6) {
        put(&outbox, &long).unwrap();
    }
    assert_eq!(put(&outbox, &long), Err(PushError::Full));
    assert_eq!(take(&outbox, &mut writing, |_| true).len(), 42 * 6);
    assert_eq!(take(&outbox, &mut writing, |_| true), []);
    put(&outbox, &long).unwrap();
    put(&outbox, &vec![1; 1000]).unwrap_err();
    take(&outbox, &mut writing, |_| true);
    take(&outbox, &mut writing, |_| true);
    put(&outbox, &vec![1; 1000]).unwrap(); // alone it may be as long as it is
}

#[test]
fn drops_withdrawn_frames() {
    let outbox = Outbox::new(64);
    let mut writing = WriteBuffer::new(64);
    for frame in [&[3, 1, 1][..], &[1], &[2, 2], &[4, 3, 3, 3]] {
        put(&outbox, frame).unwrap();
    }
    outbox.mark_withdrawn();
    let taken = take(&outbox, &mut writing, |frame| frame.len() % 2 == 1);
    assert_eq!(taken, [3, 1, 1, 1]);
    put(&outbox, &[2, 2]).unwrap();
    assert_eq!(take(&outbox, &mut writing, |_| false), [2, 2]); // not marked: not asked
}

#[test]
fn stress() {
    let rounds = if cfg!(miri) { 100 } else { 100_000 };
    let outbox = Outbox::new(256);
    let received = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writing = WriteBuffer::new(256);
            let mut received = [0; 3];
            while received.iter().sum::<u32>() < 3 * rounds {
                outbox.swap(&mut writing, |_| 0, |_| true);
                while let Some(&[len, owner, ..]) = writing.remaining().first_chunk::<2>() {
                    let frame = &writing.remaining()[..usize::from(len)];
                    assert!(frame[1..].iter().all(|byte| *byte == owner));
                    received[usize::from(owner)] += 1;
                    writing.consume(usize::from(len));
                }
                thread::yield_now();
            }
            received
        });
        for owner in 0..3 {
            let outbox = &outbox;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(owner.into());
                for _ in 0..rounds {
                    let len = random.u8(2..50);
                    let mut frame = [owner; 50];
                    frame[0] = len;
                    while put(outbox, &frame[..usize::from(len)]).is_err() {
                        thread::yield_now();
                    }
                }
            });
        }
        writer.join().unwrap()
    });
    assert_eq!(received, [rounds; 3]);
}
