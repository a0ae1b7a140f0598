//! Tests of `../chunks.rs`, one thread at a time or on real threads; the models are beside it.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

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

#[test]
fn retires_and_recovers() {
    let mut pool = ChunkPool::new(64, 64 * 7);
    let mut leases = Vec::new();
    for _ in 0..20 {
        let mut chunk = filled(&mut pool, &[1; 64]);
        leases.extend(chunk.lend(0, 64));
        pool.give(chunk);
    }
    assert_eq!(pool.pinned_len(), 20 * 64);
    assert_eq!(pool.stats().retired + pool.stats().idle, 7);
    leases.clear();
    assert_eq!((pool.pinned_len(), pool.stats().live_len), (0, 7 * 64));
    let allocated = pool.stats().allocated;
    for _ in 0..100 {
        let mut chunk = filled(&mut pool, &[1; 64]);
        leases.extend(chunk.lend(0, 64));
        if leases.len() == 5 {
            leases.clear();
        }
        pool.give(chunk);
    }
    assert_eq!(pool.stats().allocated, allocated);
    leases.clear();
    pool.trim(1);
    assert_eq!((pool.stats().idle, pool.stats().live_len), (1, 64));
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
