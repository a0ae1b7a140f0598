//! Leases that are read and dropped elsewhere, against an owner that starts over or lets go.

use loom::thread;

use super::*;

fn lent() -> (Chunk, Lease) {
    let mut chunk = ChunkPool::new(64, 64).take(1);
    chunk.spare()[..2].copy_from_slice(&[1, 2]);
    chunk.advance(2);
    let lease = chunk.lend(0, 2).unwrap();
    (chunk, lease)
}

#[test]
fn drop_meets_rewind() {
    loom::model(|| {
        let (mut chunk, lease) = lent();
        let reader = thread::spawn(move || {
            let clone = lease.clone();
            drop(lease);
            assert_eq!(clone[..], [1, 2]);
        });
        if chunk.rewind() {
            chunk.spare()[..2].fill(9);
        }
        reader.join().unwrap();
        assert!(chunk.rewind());
    });
}

#[test]
fn drop_meets_letting_go() {
    loom::model(|| {
        let (mut chunk, lease) = lent();
        let other = chunk.lend(1, 1).unwrap();
        let account = Arc::clone(&chunk.header().account);
        let readers = [lease, other].map(|lease| {
            thread::spawn(move || {
                assert!(!lease.is_empty());
                drop(lease);
            })
        });
        drop(chunk);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(account.live_len.load(Ordering::Relaxed), 0);
        assert_eq!(account.detached_len.load(Ordering::Relaxed), 0);
    });
}
