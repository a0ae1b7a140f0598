//! One connection against a peer that the test plays itself, byte by byte.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use shardwire_protocol::error::{
    FrameError, Malformed, PeerMisbehaved, SerializeError, Unsupported,
};
use shardwire_protocol::header::{
    HEADER_LEN, Opcode, RequestHeader, ResponseHeader, Version, flags,
};
use shardwire_protocol::request::{Options, Request};
use shardwire_protocol::supported::Supported;
use shardwire_protocol::wire::Writer;
use shardwire_sync::{Lease, Outcome, SlotId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::handshake::Established;
use super::submit::{Refusal, Turn};
use super::{Framing, Reply};
use crate::clock::Clock;
use crate::error::Lost;
use crate::message::Message;
use crate::pool::{Aim, EventSink, NodePool};
use crate::runtime::Notify;
use crate::settings::Limits;
use crate::statement::Config;

mod segments;

/// A request whose serializer, a user's, has a bug.
struct Panics;

impl Request for Panics {
    const OPCODE: Opcode = Opcode::Query;

    fn body_len(&self, _: Version) -> Result<usize, SerializeError> {
        Ok(91)
    }

    fn write_body(&self, _: Version, _: &mut Writer<'_>) {
        panic!("a user's bug");
    }
}

#[derive(Default)]
struct Log {
    events: Mutex<Vec<Vec<u8>>>,
    lost: Mutex<Vec<Lost>>,
    changed: Notify,
}

impl EventSink for Log {
    fn opened(&self, _: &NodePool, _: usize) {
        self.changed.notify_one();
    }

    fn closed(&self, _: &NodePool, _: usize, lost: Lost) {
        self.lost.lock().unwrap().push(lost);
        self.changed.notify_one();
    }

    fn event(&self, _: &ResponseHeader, body: &Lease) {
        self.events.lock().unwrap().push(body.to_vec());
        self.changed.notify_one();
    }
}

/// A pool with one open connection, and the other end of it.
struct Pair {
    pool: Arc<NodePool>,
    log: Arc<Log>,
    peer: TcpStream,
}

impl Pair {
    async fn new(limits: Limits) -> Pair {
        Pair::of(limits, Version::V4, Framing::Frames { compressed: true }).await
    }

    async fn of(limits: Limits, version: Version, framing: Framing) -> Pair {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let log = Arc::new(Log::default());
        let sink: Arc<dyn EventSink> = Arc::clone(&log) as Arc<dyn EventSink>;
        let clock = Arc::new(Clock::new());
        let pool = NodePool::start(address, None, 1, &clock, &limits, &sink);
        let stream = stream.unwrap();
        let supported = Supported::default();
        pool.install(0, Established { stream, secured: None, supported, version, framing });
        log.changed.notified().await;
        Pair { pool, log, peer: accepted.unwrap().0 }
    }

    /// Puts an OPTIONS on the connection, with a time-out in ticks (0 for none).
    async fn submit(&self, timeout: u32) -> Result<SlotId, Refusal> {
        let conn = &self.pool.conns[0];
        poll_fn(|cx| {
            let (now, want_ticks) = conn.group.now();
            let deadline = if timeout == 0 { 0 } else { now + timeout };
            let op = Message { message: Options, config: Config::default(), version: Version::V4 };
            let id = conn.submit(&op, HEADER_LEN, deadline, Turn::New, cx.waker());
            if want_ticks {
                conn.group.want_ticks();
            }
            Poll::Ready(id)
        })
        .await
    }

    async fn outcome(&self, id: SlotId) -> Outcome<Reply> {
        let conn = &self.pool.conns[0];
        poll_fn(|cx| conn.slots.poll(id, cx.waker())).await
    }

    async fn reply(&self, id: SlotId) -> Reply {
        match self.outcome(id).await {
            Outcome::Reply(reply) => reply,
            Outcome::Expired => panic!("expired"),
        }
    }

    /// The streams of the next `count` requests, as the peer receives them.
    async fn receive(&mut self, count: usize) -> Vec<i16> {
        let mut bytes = vec![0; HEADER_LEN * count];
        self.peer.read_exact(&mut bytes).await.unwrap();
        let (frames, _) = bytes.as_chunks::<HEADER_LEN>();
        frames.iter().map(|frame| RequestHeader::decode(frame).unwrap().stream).collect()
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).await.unwrap();
    }
}

fn frame(opcode: Opcode, flags: u8, stream: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_LEN];
    let body_len = u32::try_from(body.len()).unwrap();
    let header = ResponseHeader { version: Version::V4, flags, stream, opcode, body_len };
    header.encode(frame.first_chunk_mut().unwrap());
    frame.extend_from_slice(body);
    frame
}

fn void(stream: i16) -> Vec<u8> {
    frame(Opcode::Result, 0, stream, &[0, 0, 0, 1])
}

/// What a request gets when the peer answers it with `bytes`.
#[track_caller]
fn check_lost(bytes: impl Fn(i16) -> Vec<u8>, expect: Lost) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut pair = Pair::new(Limits::default()).await;
        let id = pair.submit(0).await.unwrap();
        let stream = pair.receive(1).await[0];
        pair.send(&bytes(stream)).await;
        match pair.reply(id).await {
            Reply::Lost(lost) => assert_eq!(*lost, expect),
            other => panic!("{other:?}"),
        }
        assert_eq!(*pair.log.lost.lock().unwrap(), [expect]);
        assert!(matches!(pair.submit(0).await, Err(Refusal::Closed)));
        // The socket is really closed: the peer reads its end.
        assert_eq!(pair.peer.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert_eq!(pair.pool.conns[0].slots.in_use(), 0);
    });
}

#[test]
fn closes_on_a_frame_of_two_gigabytes() {
    let bytes = |stream: i16| {
        let mut frame = void(stream);
        frame[5..9].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        frame
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut pair = Pair::new(Limits::default()).await;
        let id = pair.submit(0).await.unwrap();
        let stream = pair.receive(1).await[0];
        pair.send(&bytes(stream)).await;
        match pair.reply(id).await {
            Reply::Lost(lost) => {
                assert!(matches!(*lost, Lost::Frame(FrameError::TooLarge(_))), "{lost}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn closes_on_a_stream_that_nobody_uses() {
    check_lost(|stream| void(stream + 1), Lost::UnknownStream(1));
    check_lost(|_| void(-7), Lost::UnknownStream(-7));
    check_lost(|_| void(30_000), Lost::UnknownStream(30_000));
}

#[test]
fn closes_on_bytes_that_are_not_cql() {
    check_lost(
        |_| b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        Lost::Frame(FrameError::Unsupported(Unsupported::Version(b'H'))),
    );
    check_lost(
        |stream| frame_with_version(0x04, stream),
        Lost::Frame(FrameError::PeerMisbehaved(PeerMisbehaved::WrongDirection)),
    );
    check_lost(
        |stream| frame_with_version(0x82, stream),
        Lost::Frame(FrameError::Unsupported(Unsupported::Version(2))),
    );
    check_lost(
        |stream| {
            let mut frame = void(stream);
            frame[4] = 0x77;
            frame
        },
        Lost::Frame(FrameError::Malformed(Malformed::UnknownOpcode(0x77))),
    );
}

fn frame_with_version(version: u8, stream: i16) -> Vec<u8> {
    let mut frame = void(stream);
    frame[0] = version;
    frame
}

#[test]
fn closes_on_a_compressed_body_that_lies() {
    check_lost(
        |stream| frame(Opcode::Result, flags::COMPRESSION, stream, &[0x40, 0, 0, 0, 1, 2, 3]),
        Lost::Frame(FrameError::TooLarge(shardwire_protocol::error::TooLarge {
            what: "decompressed body",
            len: 0x4000_0000,
            max: u64::try_from(Limits::default().pinned_len_max).unwrap(),
        })),
    );
    check_lost(
        |stream| frame(Opcode::Result, flags::COMPRESSION, stream, &[0, 0, 0, 9, 1, 2, 3]),
        Lost::Frame(FrameError::Malformed(Malformed::Compression { announced: 9 })),
    );
}

#[tokio::test]
async fn tells_requests_that_the_peer_closed() {
    let mut pair = Pair::new(Limits::default()).await;
    let ids = [pair.submit(0).await.unwrap(), pair.submit(0).await.unwrap()];
    pair.receive(2).await;
    drop(std::mem::replace(&mut pair.peer, loopback().await));
    for id in ids {
        assert!(matches!(pair.reply(id).await, Reply::Lost(_)));
    }
}

/// Some socket, to put in the place of another.
async fn loopback() -> TcpStream {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
}

#[tokio::test]
async fn answers_in_any_order_and_in_any_pieces() {
    let mut pair = Pair::new(Limits { chunk_len: 4096, ..Limits::default() }).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(pair.submit(0).await.unwrap());
    }
    let mut streams = pair.receive(100).await;
    fastrand::Rng::with_seed(3).shuffle(&mut streams);
    let mut bytes = Vec::new();
    for stream in &streams {
        let len = usize::try_from(*stream).unwrap() * 37 % 900;
        let mut body = vec![0, 0, 0, 2];
        body.extend(std::iter::repeat_n(u8::try_from(*stream).unwrap(), len));
        bytes.extend(frame(Opcode::Result, 0, *stream, &body));
    }
    let peer = &mut pair.peer;
    let send = async {
        for piece in bytes.chunks(7) {
            peer.write_all(piece).await.unwrap();
            peer.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let slots = &pair.pool.conns[0].slots;
    let receive = async {
        for id in ids {
            let outcome = poll_fn(|cx| slots.poll(id, cx.waker())).await;
            let Outcome::Reply(Reply::Frame { body, .. }) = outcome else { panic!() };
            let fill = u8::try_from(id.stream()).unwrap();
            assert!(body[4..].iter().all(|byte| *byte == fill), "another request's reply");
            assert_eq!(body.len(), 4 + usize::from(fill) * 37 % 900);
        }
    };
    tokio::join!(send, receive);
    assert_eq!(slots.in_use(), 0);
}

#[tokio::test]
async fn takes_bodies_larger_than_a_chunk() {
    let mut pair = Pair::new(Limits { chunk_len: 4096, ..Limits::default() }).await;
    for len in [4083, 4084, 4087, 4088, 5000, 100_000, 3_000_000] {
        let id = pair.submit(0).await.unwrap();
        let stream = pair.receive(1).await[0];
        let body: Vec<u8> = (0..len).map(|n: usize| u8::try_from(n % 251).unwrap()).collect();
        let mut bytes = frame(Opcode::Supported, 0, stream, &body);
        bytes.extend(void(stream)); // not in flight any more: must not be looked at too early
        bytes.truncate(HEADER_LEN + len);
        let (reply, ()) = {
            let peer = &mut pair.peer;
            let slots = &pair.pool.conns[0].slots;
            let reply = poll_fn(|cx| slots.poll(id, cx.waker()));
            tokio::join!(reply, async { peer.write_all(&bytes).await.unwrap() })
        };
        let Outcome::Reply(Reply::Frame { body: got, .. }) = reply else { panic!() };
        assert_eq!(*got, *body);
    }
}

#[tokio::test]
async fn drops_a_reply_that_would_pin_too_much() {
    let limits = Limits { chunk_len: 4096, pinned_len_max: 64 * 1024, ..Limits::default() };
    let mut pair = Pair::new(limits).await;
    let large = pair.submit(0).await.unwrap();
    let small = pair.submit(0).await.unwrap();
    let streams = pair.receive(2).await;
    let mut bytes = frame(Opcode::Supported, 0, streams[0], &vec![7; 200_000]);
    bytes.extend(void(streams[1]));
    let (first, second) = {
        let slots = &pair.pool.conns[0].slots;
        let peer = &mut pair.peer;
        let first = poll_fn(|cx| slots.poll(large, cx.waker()));
        let second = poll_fn(|cx| slots.poll(small, cx.waker()));
        let (first, second, ()) =
            tokio::join!(first, second, async { peer.write_all(&bytes).await.unwrap() });
        (first, second)
    };
    assert!(matches!(first, Outcome::Reply(Reply::TooLarge)));
    assert!(matches!(second, Outcome::Reply(Reply::Void)), "the connection goes on");
}

#[tokio::test]
async fn swallows_the_late_reply_of_an_expired_request() {
    let mut pair = Pair::new(Limits::default()).await;
    let id = pair.submit(2).await.unwrap();
    let stream = pair.receive(1).await[0];
    assert!(matches!(pair.outcome(id).await, Outcome::Expired));
    assert_eq!(pair.pool.conns[0].slots.in_use(), 1, "its id is kept until the reply");
    let next = pair.submit(0).await.unwrap();
    let next_stream = pair.receive(1).await[0];
    assert_ne!(next_stream, stream);
    pair.send(&frame(Opcode::Supported, 0, stream, b"late")).await;
    pair.send(&void(next_stream)).await;
    assert!(matches!(pair.reply(next).await, Reply::Void));
    assert_eq!(pair.pool.conns[0].slots.in_use(), 0);
}

#[tokio::test]
async fn hands_pushed_messages_to_the_listener() {
    let mut pair = Pair::new(Limits::default()).await;
    let id = pair.submit(0).await.unwrap();
    let stream = pair.receive(1).await[0];
    pair.send(&frame(Opcode::Event, 0, -1, b"something")).await;
    pair.send(&void(stream)).await;
    assert!(matches!(pair.reply(id).await, Reply::Void));
    assert_eq!(*pair.log.events.lock().unwrap(), [b"something"]);
}

#[tokio::test]
async fn expires_within_a_few_ticks_and_then_falls_silent() {
    let mut pair = Pair::new(Limits::default()).await;
    let begin = tokio::time::Instant::now();
    let id = pair.submit(crate::clock::ticks(Duration::from_millis(50))).await.unwrap();
    pair.receive(1).await;
    assert!(matches!(pair.outcome(id).await, Outcome::Expired));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(50), "{took:?}");
    // The late reply frees the id; with nothing pending the task stops ticking.
    let group = Arc::clone(&pair.pool.conns[0].group);
    let stream = id.stream().cast_signed();
    pair.send(&void(stream)).await;
    while group.is_ticking() {
        tokio::task::yield_now().await;
    }
}

/// With a limit of 100 ms, which a request outlasts by far.
async fn quiet_pair() -> Pair {
    let silence_max = Some(Duration::from_millis(100));
    Pair::new(Limits { silence_max, ..Limits::default() }).await
}

/// In ticks: a second. The clock may jump by a tenth of that where the test is not let run.
const OUTLASTS: u32 = 200;

#[tokio::test]
async fn a_connection_is_silent_that_owes_all_and_says_nothing() {
    let mut pair = quiet_pair().await;
    let id = pair.submit(OUTLASTS).await.unwrap();
    let streams = pair.receive(2).await; // the second one asks whether it answers
    assert!(matches!(pair.outcome(id).await, Outcome::Expired));
    assert!(pair.pool.conns[0].is_silent());
    assert!(pair.pool.is_open() && pair.pool.pick(Aim::Any).is_none());
    assert!(pair.pool.pick_silent(Aim::Any).is_some());

    // The late reply is enough, though nobody waits for it.
    let id = pair.submit(0).await.unwrap();
    let stream = pair.receive(1).await[0];
    pair.send(&void(streams[0])).await;
    pair.send(&void(stream)).await;
    assert!(matches!(pair.reply(id).await, Reply::Void));
    assert!(pair.pool.conns[0].answers());
    assert!(pair.pool.pick(Aim::Any).is_some() && pair.pool.pick_silent(Aim::Any).is_none());
    assert!(pair.log.lost.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_that_answers_is_not_silent_however_long_a_request_takes() {
    let mut pair = quiet_pair().await;
    let id = pair.submit(OUTLASTS).await.unwrap();
    pair.receive(1).await;
    for _ in 0..2 {
        let stream = pair.receive(1).await[0];
        let supported = frame(Opcode::Supported, 0, stream, &[0, 0]);
        pair.send(&supported).await;
    }
    // Behind what was answered; one more question may come first.
    let last = pair.submit(0).await.unwrap();
    loop {
        let stream = pair.receive(1).await[0];
        pair.send(&void(stream)).await;
        if stream == last.stream().cast_signed() {
            break;
        }
    }
    assert!(matches!(pair.reply(last).await, Reply::Void));
    let conn = &pair.pool.conns[0];
    assert!(conn.answers());
    assert!(poll_fn(|cx| Poll::Ready(conn.slots.poll(id, cx.waker()))).await.is_pending());
}

#[tokio::test]
async fn a_panicking_serializer_leaves_nothing_behind() {
    let mut pair = Pair::new(Limits::default()).await;
    let conn = &pair.pool.conns[0];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let waker = std::task::Waker::noop();
        let op = Message { message: Panics, config: Config::default(), version: Version::V4 };
        drop(conn.submit(&op, HEADER_LEN + 91, 0, Turn::New, waker));
    }));
    assert!(panicked.is_err());
    assert_eq!(conn.slots.in_use(), 0);
    let id = pair.submit(0).await.unwrap();
    let stream = pair.receive(1).await[0];
    pair.send(&void(stream)).await;
    assert!(matches!(pair.reply(id).await, Reply::Void));
}
