//! Tests of `../chunks.rs`, one thread at a time or on real threads; the models are beside it.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;

use super::*;

fn filled(pool: &mut ChunkPool, bytes: &[u8]) -> Chunk {
    let mut chunk = pool.take(bytes.len());
    chunk.spare()[..bytes.len()].copy_from_slice(bytes);
    chunk.advance(bytes.len());
    chunk
}

#[test]
fn lends_and_starts_over() {
    let mut pool = ChunkPool::new(64, 1024);
    let mut chunk = filled(&mut pool, b"hello world");
    let hello = chunk.lend(0, 5).unwrap();
    let world = chunk.lend(6, 5).unwrap();
    assert!(chunk.lend(6, 6).is_none());
    assert!(chunk.lend(usize::MAX, 2).is_none());
    let copy = world.clone();
    drop(hello);
    drop(world);
    assert!(!chunk.rewind());
    assert_eq!(&copy.slice(1..3)[..], b"or");
    assert!(chunk.rewind());
    assert_eq!(chunk.spare_len(), 64);
    pool.give(chunk);
    assert_eq!(pool.stats().allocated, 1);
}

#[test]
fn slices() {
    let lease = Lease::copy_of(b"0123456789");
    assert_eq!(&lease.clone().slice(2..5).slice(1..)[..], b"34");
    assert_eq!(&lease.clone().slice(..=1)[..], b"01");
    assert_eq!(&lease.clone().slice(8..100)[..], b"89");
    assert_eq!(&lease.clone().slice(20..30)[..], b"");
    assert_eq!(&lease.slice(..)[..], b"0123456789");
    assert_eq!(&Lease::copy_of(b"")[..], b"");
    assert_eq!(size_of::<Option<Lease>>(), 16);
}

#[test]
fn leases_outlive_chunk_and_pool() {
    let mut pool = ChunkPool::new(64, 0);
    let mut chunk = filled(&mut pool, &[7; 64]);
    let lease = chunk.lend(3, 2).unwrap();
    pool.give(chunk); // keeps nothing
    assert_eq!(pool.pinned_len(), 64);
    let stats = pool.stats();
    assert_eq!((stats.live_len, stats.detached_len, stats.idle), (64, 64, 0));
    let other = lease.clone();
    drop(lease);
    assert_eq!(pool.pinned_len(), 64);
    drop(other);
    assert_eq!((pool.pinned_len(), pool.stats().live_len), (0, 0));
    let mut big = pool.big(1000);
    big.advance(1000);
    let lease = big.lend(0, 1000).unwrap();
    drop(big);
    drop(pool);
    assert_eq!(&lease[..], [0; 1000]);
}

/// Fills a chunk, lends all of it and gives it back.
fn full(pool: &mut ChunkPool) -> Lease {
    let len = pool.chunk_len();
    let mut chunk = filled(pool, &vec![1; len]);
    let lease = chunk.lend(0, len).expect("all of it is filled");
    pool.give(chunk);
    lease
}

/// Whenever the demand comes, all that is ever kept was allocated with the first chunk.
#[test]
fn allocates_once_for_all_it_keeps() {
    let mut pool = ChunkPool::new(64, 64 * 64);
    assert_eq!(pool.stats(), PoolStats::default());
    drop(full(&mut pool));
    for count in [2, 9, 63, 64, 64, 1, 64] {
        let leases: Vec<_> = (0..count).map(|_| full(&mut pool)).collect();
        assert_eq!((pool.pinned_len(), leases.len()), (count * 64, count));
    }
    let stats = pool.stats();
    assert_eq!((stats.allocated, stats.carved, stats.live_len), (1, 64, 64 * 64));
}

/// Of the memory that is there, no more is touched than the replies that are held make necessary.
#[test]
fn few_chunks_are_hot() {
    let mut pool = ChunkPool::new(64, 64 * 512);
    let mut leases = VecDeque::new();
    for number in 0..if cfg!(miri) { 200 } else { 10_000 } {
        leases.push_back(full(&mut pool));
        // One reply in a hundred is held for long.
        if leases.len() > 20 {
            let index = if number % 100 == 0 { 0 } else { 5 };
            leases.remove(index);
        }
    }
    assert!(pool.stats().carved <= 30, "{:?}", pool.stats());
    // After a peak the rest cools down.
    let peak: Vec<_> = (0..if cfg!(miri) { 50 } else { 400 }).map(|_| full(&mut pool)).collect();
    drop(peak);
    for _ in 0..if cfg!(miri) { 150 } else { 1_000 } {
        leases.push_back(full(&mut pool));
        leases.pop_front();
    }
    assert!(pool.stats().retired <= 30, "{:?}", pool.stats());
    assert_eq!(pool.stats().allocated, 1);
}

#[test]
fn allocates_beyond_the_slab_and_frees_that() {
    let mut pool = ChunkPool::new(64, 64 * 7);
    let mut leases: Vec<_> = (0..20).map(|_| full(&mut pool)).collect();
    assert_eq!(pool.pinned_len(), 20 * 64);
    let stats = pool.stats();
    assert_eq!((stats.allocated, stats.retired, stats.idle), (1 + 13, 7, 0));
    assert_eq!((stats.live_len, stats.detached_len), (20 * 64, 13 * 64));
    // One with room is kept meanwhile: reading little by little does not allocate each time.
    for _ in 0..4 {
        let mut chunk = pool.take(4);
        chunk.advance(4);
        leases.extend(chunk.lend(chunk.filled().len() - 4, 4));
        pool.give(chunk);
        assert_eq!(pool.stats().allocated, 1 + 14);
    }
    leases.clear();
    assert_eq!((pool.pinned_len(), pool.stats().live_len), (0, 8 * 64));
    for _ in 0..8 {
        drop(full(&mut pool));
    }
    let stats = pool.stats();
    assert_eq!((stats.allocated, stats.live_len), (1 + 14, 7 * 64), "the one beyond is freed");
}

#[test]
fn trims_when_nothing_is_lent() {
    let mut pool = ChunkPool::new(64, 64 * 7);
    let leases = [full(&mut pool), full(&mut pool)];
    pool.trim();
    assert_eq!(pool.stats().live_len, 7 * 64, "replies are held");
    let [first, second] = leases;
    drop(first);
    pool.trim();
    assert_eq!(&second[..], [1; 64]);
    drop(second);
    let reading = pool.take(1);
    pool.trim();
    assert_eq!(pool.stats().live_len, 7 * 64, "a receiver reads into it");
    pool.give(reading);
    pool.trim();
    let empty = PoolStats { allocated: 1, ..PoolStats::default() };
    assert_eq!(pool.stats(), empty);
    let lease = full(&mut pool);
    drop(pool);
    assert_eq!(&lease[..], [1; 64], "a lease keeps the slab");
}

/// Full chunks are counted as pinned without being looked at, as long as that makes no difference.
#[test]
fn pinnable_is_exact_where_it_matters() {
    let mut pool = ChunkPool::new(64, 64 * 10);
    let mut leases: Vec<_> = (0..8).map(|_| full(&mut pool)).collect();
    leases.truncate(2);
    let big = pool.big(100);
    let held = { big }.lend(0, 0).unwrap(); // detached
    assert_eq!(pool.pinned_len(), 2 * 64 + 100);
    let rough = 1_000 - 8 * 64 - 100;
    assert_eq!(pool.pinnable_len(rough, 1_000), rough);
    assert_eq!(pool.pinnable_len(rough + 1, 1_000), 1_000 - 2 * 64 - 100);
    assert_eq!(pool.pinnable_len(usize::MAX, 1_000), 1_000 - 2 * 64 - 100);
    assert_eq!(pool.pinnable_len(1, 100), 0);
    drop(held);
    assert_eq!(pool.pinnable_len(1, 100 + 2 * 64), 100);
}

#[test]
fn stress() {
    let rounds = if cfg!(miri) { 200 } else { 200_000_u32 };
    let (send, receive) = mpsc::sync_channel::<(u8, Lease)>(16);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut pool = ChunkPool::new(256, 1024);
            let mut random = fastrand::Rng::with_seed(1);
            let mut chunk = pool.take(64);
            for _ in 0..rounds {
                let len = random.usize(1..64);
                if chunk.spare_len() < len && !chunk.rewind() {
                    let full = std::mem::replace(&mut chunk, pool.take(64));
                    pool.give(full);
                }
                let byte = random.u8(..);
                chunk.spare()[..len].fill(byte);
                chunk.advance(len);
                let lease = chunk.lend(chunk.filled().len() - len, len).unwrap();
                send.send((byte, lease)).unwrap();
            }
        });
        scope.spawn(move || {
            let mut random = fastrand::Rng::with_seed(2);
            let mut held = Vec::new();
            while let Ok((byte, lease)) = receive.recv() {
                if random.bool() {
                    held.push((byte, lease.clone()));
                }
                if held.len() > 8 {
                    let (byte, lease) = held.swap_remove(random.usize(..9));
                    assert!(lease.iter().all(|b| *b == byte));
                }
                assert!(lease.iter().all(|b| *b == byte));
            }
        });
    });
}
