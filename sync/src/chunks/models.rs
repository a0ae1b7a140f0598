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

/// The pool takes a full chunk back and looks for one that is free, while its lease ends elsewhere:
/// memory is written again only when nobody reads it, and none is lost.
#[test]
fn drop_meets_retire_and_recover() {
    loom::model(|| {
        let mut pool = ChunkPool::new(64, 64);
        let mut chunk = pool.take(64);
        chunk.spare().fill(1);
        chunk.advance(64);
        let leases = [chunk.lend(0, 32).unwrap(), chunk.lend(32, 32).unwrap()];
        let readers = leases.map(|lease| thread::spawn(move || assert_eq!(lease[..2], [1, 1])));
        pool.give(chunk); // retired, or rewound if the leases are back
        let mut next = pool.take(64); // recovered, or another one
        next.spare().fill(2);
        next.advance(64);
        let allocated = pool.stats().allocated;
        assert_eq!(pool.stats().retired, usize::from(allocated == 2));
        for reader in readers {
            reader.join().unwrap();
        }
        pool.give(next); // one beyond the slab is freed
        assert_eq!((pool.pinned_len(), pool.stats().live_len), (0, 64));
        pool.trim();
        assert_eq!((pool.stats().detached_len, pool.stats().live_len), (0, 0));
    });
}

/// Leases of two chunks of one slab end on two threads while the pool goes: the memory is freed
/// once, after the last of them.
#[test]
fn drop_meets_the_end_of_the_pool() {
    loom::model(|| {
        let mut pool = ChunkPool::new(64, 128);
        let leases = [1, 2].map(|byte| {
            let mut chunk = pool.take(64);
            chunk.spare().fill(byte);
            chunk.advance(64);
            let lease = chunk.lend(0, 64).unwrap();
            pool.give(chunk);
            lease
        });
        let account = Arc::clone(&pool.account);
        assert_eq!(account.live_len.load(Ordering::Relaxed), 128);
        let readers = leases.map(|lease| {
            thread::spawn(move || {
                assert_eq!(lease[0], lease[63]);
                drop(lease);
            })
        });
        drop(pool);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(account.live_len.load(Ordering::Relaxed), 0);
        assert_eq!(account.detached_len.load(Ordering::Relaxed), 0);
    });
}
