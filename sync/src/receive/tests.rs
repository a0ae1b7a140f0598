//! Frames of many lengths through a receiver, whatever the cuts.

#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use super::*;

/// Frames of random lengths, read in random pieces, come out whole, whatever is held meanwhile.
#[test]
fn frames_come_out_whole() {
    for seed in 0..if cfg!(miri) { 3 } else { 300 } {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut pool = ChunkPool::new(256, 2048);
        let mut receivers = [Receiver::new(&mut pool), Receiver::new(&mut pool)];
        let mut sent = [(); 2].map(|()| std::collections::VecDeque::<u8>::new());
        let mut held = Vec::new();
        for number in 0..if cfg!(miri) { 12 } else { 200_u8 } {
            let which = random.usize(..2);
            let (receiver, sent) = (&mut receivers[which], &mut sent[which]);
            let len =
                if random.u8(..) < 20 { random.usize(256..2000) } else { random.usize(2..90) };
            sent.extend(u16::try_from(len).unwrap().to_be_bytes());
            sent.extend(std::iter::repeat_n(number, len - 2));
            while !sent.is_empty() {
                let spare = receiver.spare(&mut pool);
                assert!(!spare.is_empty());
                let len = random.usize(1..=spare.len()).min(sent.len());
                sent.drain(..len).zip(spare).for_each(|(byte, place)| *place = byte);
                receiver.advance(len);
                deliver(receiver, &mut pool, &mut random, &mut held);
                if random.bool() {
                    receiver.rest(&mut pool);
                }
            }
            while held.len() > 6 {
                check(&held.swap_remove(random.usize(..held.len())));
            }
        }
        receivers.iter_mut().for_each(|receiver| assert!(receiver.rest(&mut pool)));
        held.iter().for_each(check);
        held.clear();
        assert_eq!(pool.pinned_len(), 0);
        assert!(pool.stats().live_len <= 2048);
    }
}

fn deliver(
    receiver: &mut Receiver,
    pool: &mut ChunkPool,
    random: &mut fastrand::Rng,
    held: &mut Vec<Lease>,
) {
    loop {
        let Some(head) = receiver.unparsed().first_chunk::<2>() else {
            return receiver.reserve(pool, 2);
        };
        let len = usize::from(u16::from_be_bytes(*head));
        if receiver.unparsed().len() < len {
            return receiver.reserve(pool, len);
        }
        if random.bool() {
            held.push(receiver.take_frame(len));
        } else {
            receiver.skip(len);
        }
    }
}

fn check(lease: &Lease) {
    assert_eq!(lease.len(), usize::from(u16::from_be_bytes([lease[0], lease[1]])));
    assert!(lease[2..].iter().all(|byte| *byte == lease[lease.len() - 1]));
}

#[test]
fn bodies_come_without_their_heads() {
    let mut pool = ChunkPool::new(256, 2048);
    let mut receiver = Receiver::new(&mut pool);
    receiver.spare(&mut pool)[..8].copy_from_slice(b"abcdefgh");
    receiver.advance(8);
    assert_eq!(&*receiver.take_body(2, 5), b"cde");
    assert_eq!(receiver.unparsed(), b"fgh");
    assert_eq!(&*receiver.take_body(2, 2), b"");
    assert_eq!(&*receiver.take_body(0, 1), b"h");
    assert!(receiver.rest(&mut pool));
    assert_eq!(pool.pinned_len(), 0);
}
