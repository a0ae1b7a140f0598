//! A connection of version 5: what its peer may send, and what ends it.

use shardwire_protocol::segment::{SegmentDecoder, SegmentEncoder, SegmentFormat, SegmentStep};

use super::*;

async fn open(format: SegmentFormat, limits: Limits) -> Pair {
    Pair::of(limits, Version::V5, Framing::Segments(format)).await
}

fn envelope(opcode: Opcode, flags: u8, stream: i16, body: &[u8]) -> Vec<u8> {
    let mut envelope = frame(opcode, flags, stream, body);
    envelope[0] = 0x85;
    envelope
}

fn segments(format: SegmentFormat, envelopes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    SegmentEncoder::new(format).append(envelopes, &mut out).unwrap();
    out
}

/// A segment of these bytes, whole envelopes or not.
fn segment(payload: &[u8], is_self_contained: bool) -> Vec<u8> {
    // The encoder wraps an envelope as it is; what it says of itself is then changed.
    let mut wrapped = payload.to_vec();
    let whole = envelope(Opcode::Ready, 0, 0, &vec![0; payload.len() - HEADER_LEN]);
    let mut out = segments(SegmentFormat::Plain, &whole);
    out.truncate(6);
    if !is_self_contained {
        out[2] &= !2;
        out.splice(3..6, crc24(&out[..3]));
    }
    let sum = crc32(&wrapped);
    out.append(&mut wrapped);
    out.extend(sum);
    out
}

/// As the specification has it, bit by bit.
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x0087_5060;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0197_4F0B;
            }
        }
    }
    [crc.to_le_bytes()[0], crc.to_le_bytes()[1], crc.to_le_bytes()[2]]
}

fn crc32(payload: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in [0xFA, 0x2D, 0x55, 0xCA].iter().chain(payload) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

/// What a request gets when the peer answers its stream 0 with `bytes`.
fn check(bytes: &[u8], expect: Lost) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut pair = open(SegmentFormat::Plain, Limits::default()).await;
        let id = pair.submit(0).await.unwrap();
        assert_eq!(id.stream(), 0);
        pair.send(bytes).await;
        match pair.reply(id).await {
            Reply::Lost(lost) => assert_eq!(*lost, expect),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn segments_that_are_wrong_end_the_connection() {
    let misbehaved = |what: PeerMisbehaved| Lost::Frame(what.into());
    let void = envelope(Opcode::Result, 0, 0, &[0, 0, 0, 1]);
    let (first, second) = void.split_at(10);
    check(&segment(first, true), misbehaved(PeerMisbehaved::SegmentsOutOfStep));
    let within = [segment(first, false), segment(&void, true)].concat();
    check(&within, misbehaved(PeerMisbehaved::SegmentsOutOfStep));
    let longer = [segment(first, false), segment(&[second, &[0; 9]].concat(), false)].concat();
    check(&longer, misbehaved(PeerMisbehaved::SegmentsOutOfStep));

    let compressed = envelope(Opcode::Result, flags::COMPRESSION, 0, &[0, 0, 0, 1]);
    check(&segment(&compressed, true), misbehaved(PeerMisbehaved::CompressionNotAgreed));
    let of_version_4 = frame(Opcode::Result, 0, 0, &[0, 0, 0, 1]);
    check(&segment(&of_version_4, true), Lost::Frame(Unsupported::Version(4).into()));
    check(&segment(&envelope(Opcode::Ready, 0, 9, &[]), true), Lost::UnknownStream(9));

    let good = segment(&void, true);
    for (at, what) in
        [(0, "a segment's header"), (4, "a segment's header"), (20, "a segment's payload")]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = open(SegmentFormat::Plain, Limits::default()).await;
            let id = pair.submit(0).await.unwrap();
            pair.send(&bad).await;
            let Reply::Lost(lost) = pair.reply(id).await else { panic!("at {at}") };
            let Lost::Frame(FrameError::Malformed(Malformed::Checksum { what: got, .. })) = *lost
            else {
                panic!("{lost}");
            };
            assert_eq!(got, what);
        });
    }
}

#[tokio::test]
async fn frames_without_segments_are_not_accepted() {
    let mut pair = open(SegmentFormat::Plain, Limits::default()).await;
    let id = pair.submit(0).await.unwrap();
    pair.send(&envelope(Opcode::Result, 0, 0, &[0, 0, 0, 1])).await;
    let Reply::Lost(lost) = pair.reply(id).await else { panic!() };
    assert!(matches!(*lost, Lost::Frame(FrameError::Malformed(Malformed::Checksum { .. }))));
}

/// Replies of many lengths, in one stream of segments that arrives in pieces.
#[tokio::test]
async fn segments_are_answered_in_any_pieces() {
    for format in [SegmentFormat::Plain, SegmentFormat::Lz4] {
        for (chunk_len, piece_len) in [(4096, 89), (4096, 5_000), (65_536, 999), (262_144, 300_000)]
        {
            let mut pair = open(format, Limits { chunk_len, ..Limits::default() }).await;
            let lens = [0, 1, 900, 4_000, 60_000, 131_050, 131_058, 131_059, 131_071, 400_000];
            let body = |n: usize| {
                let noise = |at: usize| u8::try_from((at * at + n) % 251).unwrap();
                [vec![0, 0, 0, 2], (0..lens[n]).map(noise).collect()].concat()
            };
            let mut ids = Vec::new();
            let mut envelopes = Vec::new();
            for n in 0..lens.len() {
                ids.push(pair.submit(0).await.unwrap());
                let stream = i16::try_from(n).unwrap();
                envelopes.extend(envelope(Opcode::Result, 0, stream, &body(n)));
            }
            let bytes = segments(format, &envelopes);
            let (peer, slots) = (&mut pair.peer, &pair.pool.conns[0].slots);
            let send = async {
                for piece in bytes.chunks(piece_len) {
                    peer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let receive = async {
                for (n, id) in ids.into_iter().enumerate() {
                    let outcome = poll_fn(|cx| slots.poll(id, cx.waker())).await;
                    let Outcome::Reply(Reply::Frame { head, body: got }) = outcome else {
                        panic!()
                    };
                    assert_eq!(head.version, Version::V5);
                    assert!(*got == *body(n), "reply {n}, {} bytes", lens[n]);
                }
            };
            tokio::join!(send, receive);
            assert_eq!(slots.in_use(), 0);
        }
    }
}

#[tokio::test]
async fn requests_are_sent_in_segments() {
    for format in [SegmentFormat::Plain, SegmentFormat::Lz4] {
        let mut pair = open(format, Limits::default()).await;
        let ids = [pair.submit(0).await.unwrap(), pair.submit(0).await.unwrap()];
        let mut bytes = Vec::new();
        let mut streams = Vec::new();
        while streams.len() < ids.len() {
            assert_ne!(pair.peer.read_buf(&mut bytes).await.unwrap(), 0);
            let decoder = SegmentDecoder::new(format);
            while let Ok(SegmentStep::Segment { header, total_len }) = decoder.next(&bytes) {
                assert!(header.is_self_contained && !header.is_compressed());
                let payload = decoder.payload(&header, &bytes);
                let (frames, rest) = payload.as_chunks::<HEADER_LEN>();
                assert!(rest.is_empty());
                streams.extend(frames.iter().map(|f| RequestHeader::decode(f).unwrap().stream));
                bytes.drain(..total_len);
            }
        }
        assert_eq!(streams, [0, 1]);
        let replies = [1, 0].map(|stream| envelope(Opcode::Result, 0, stream, &[0, 0, 0, 1]));
        pair.send(&segments(format, &replies.concat())).await;
        for id in ids {
            assert!(matches!(pair.reply(id).await, Reply::Void));
        }
    }
}

/// A reply in one segment, and one that is cut, when hardly anything may be held.
#[tokio::test]
async fn replies_that_would_pin_too_much_are_dropped() {
    let limits = Limits { chunk_len: 4096, pinned_len_max: 64 * 1024, ..Limits::default() };
    let mut pair = open(SegmentFormat::Plain, limits).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(pair.submit(0).await.unwrap());
    }
    let replies = [(0, 100_000), (1, 300_000), (2, 10), (3, 400_000)];
    for (stream, len) in replies {
        let body = [vec![0, 0, 0, 2], vec![7; len]].concat();
        let reply = envelope(Opcode::Result, 0, stream, &body);
        pair.send(&segments(SegmentFormat::Plain, &reply)).await;
        let reply = pair.reply(ids.remove(0)).await;
        match (reply, len) {
            (Reply::TooLarge, 100_000..) => {}
            (Reply::Frame { body: got, .. }, 10) => assert_eq!(*got, body),
            (reply, _) => panic!("{len} bytes: {reply:?}"),
        }
    }
}
