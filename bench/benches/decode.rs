//! Reading every column of the rows of a reply, from the frame's body to values: the cases whose
//! instructions `src/bin/decode/` counts, one group each.

mod cases;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: u32 = 1_000;

fn decode(c: &mut Criterion) {
    for case in cases::CASES {
        let rows = if case.name == "4 columns" { &[1, 10, 100, ROWS][..] } else { &[ROWS] };
        for &rows in rows {
            let mut group = c.benchmark_group(format!("decode {rows} x {}", case.name));
            group.throughput(Throughput::Elements(u64::from(rows)));
            let input = case.input(rows);
            group.bench_function("shardwire", |b| b.iter(|| case.shardwire(black_box(&input))));
            group.bench_function("scylla", |b| b.iter(|| case.scylla(black_box(&input))));
            group.finish();
        }
    }
}

/// There are many cases, and each is a loop of a thousand rows: a second says enough of it.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group!(name = benches; config = short(); targets = decode);
criterion_main!(benches);
