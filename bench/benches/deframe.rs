//! Finding the frames in received bytes: a buffer of 128 replies, as one read brings them.

mod sample;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scylla_cql::frame::read_response_frame;
use shardwire_protocol::deframer::{Deframer, Step};
use shardwire_protocol::header::BODY_LEN_MAX;

const FRAMES: u16 = 128;

fn deframe(c: &mut Criterion) {
    let bodies = [("void", sample::VOID.to_vec()), ("10 rows", sample::rows_without_metadata(10))];
    for (name, body) in bodies {
        let mut group = c.benchmark_group(format!("deframe 128 x {name}"));
        group.throughput(Throughput::Elements(u64::from(FRAMES)));
        let streams = 0..i16::try_from(FRAMES).expect("few frames");
        let received: Vec<u8> = streams.flat_map(|s| sample::frame(s, 8, &body)).collect();
        group.bench_function("shardwire", |b| b.iter(|| shardwire(black_box(&received))));
        group.bench_function("scylla", |b| b.iter(|| scylla(black_box(&received))));
        group.finish();
    }
}

fn shardwire(received: &[u8]) -> u64 {
    let deframer = Deframer::new(BODY_LEN_MAX);
    let mut rest = received;
    let mut sum = 0;
    while let Ok(Step::Frame { header, total_len }) = deframer.next(rest) {
        let (frame, tail) = rest.split_at(total_len);
        black_box(&frame[sample::HEADER_LEN..]);
        sum += u64::from(header.stream.unsigned_abs());
        rest = tail;
    }
    sum
}

/// The official driver copies each body into an allocation of its own.
fn scylla(received: &[u8]) -> u64 {
    let mut rest = received;
    let mut sum = 0;
    while !rest.is_empty() {
        let frame = pin!(read_response_frame(&mut rest));
        // A slice is always ready: no executor is needed.
        let Poll::Ready(frame) = frame.poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("a slice is always ready")
        };
        let (parameters, _, body) = frame.expect("the frame is whole");
        black_box(&body);
        sum += u64::from(parameters.stream.unsigned_abs());
    }
    sum
}

criterion_group!(benches, deframe);
criterion_main!(benches);
