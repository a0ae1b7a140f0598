//! Pushing, swapping and closing at once: each frame is written once or refused.

use std::sync::Arc;

use loom::thread;

use super::*;

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
