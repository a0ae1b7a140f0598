//! Reading every column of the rows of a reply, from the frame's body to borrowed values.

mod sample;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scylla_cql::frame::protocol_features::ProtocolFeatures;
use scylla_cql::frame::response::result as official;
use shardwire_protocol::metadata::ResultMetadata;
use shardwire_protocol::response::{Agreed, ResultBody};
use shardwire_protocol::rows::RowsMetadata;
use shardwire_protocol::wire::Reader;

type Row<'a> = (i64, i32, &'a str, &'a [u8]);

fn decode(c: &mut Criterion) {
    let shardwire_metadata = shardwire_metadata();
    let scylla_metadata = scylla_metadata();
    for row_count in [1, 10, 100] {
        let mut group = c.benchmark_group(format!("decode rows x {row_count}"));
        group.throughput(Throughput::Elements(u64::from(row_count)));
        let body = Bytes::from(sample::rows_without_metadata(row_count));
        group.bench_function("shardwire", |b| {
            b.iter(|| shardwire(black_box(&body), &shardwire_metadata));
        });
        group.bench_function("scylla", |b| {
            b.iter(|| scylla(black_box(&body), &scylla_metadata));
        });
        group.finish();
    }
}

fn shardwire(body: &[u8], metadata: &ResultMetadata) -> i64 {
    let result = ResultBody::parse(Reader::new(body), &Agreed::default(), Some(metadata));
    let Ok(ResultBody::Rows(rows)) = result else { unreachable!("the sample is rows") };
    let rows = rows.rows::<Row<'_>>(&metadata.columns).expect("the types fit");
    rows.map(|row| sum(row.expect("the sample is whole"))).sum()
}

fn scylla(body: &Bytes, metadata: &Arc<official::ResultMetadata<'static>>) -> i64 {
    let features = ProtocolFeatures::default();
    let result = official::deserialize_with_features(body.clone(), Some(metadata), &features);
    let Ok(official::Result::Rows((rows, _))) = result else { unreachable!("the sample is rows") };
    let rows = rows.deserialize_metadata().expect("the metadata is known");
    let rows = rows.rows_iter::<Row<'_>>().expect("the types fit");
    rows.map(|row| sum(row.expect("the sample is whole"))).sum()
}

/// Looks at each column, so that none is optimised away.
fn sum((key, c, text, blob): Row<'_>) -> i64 {
    black_box((text, blob));
    key.wrapping_add(i64::from(c))
}

fn shardwire_metadata() -> ResultMetadata {
    let body = sample::metadata();
    let result = ResultBody::parse(Reader::new(&body), &Agreed::default(), None);
    let Ok(ResultBody::Rows(rows)) = result else { unreachable!("the sample is rows") };
    let RowsMetadata::Present { raw } = rows.metadata else {
        unreachable!("the sample has metadata")
    };
    ResultMetadata::parse(&raw).expect("the sample is whole")
}

fn scylla_metadata() -> Arc<official::ResultMetadata<'static>> {
    let body = Bytes::from(sample::metadata());
    let features = ProtocolFeatures::default();
    let result = official::deserialize_with_features(body, None, &features);
    let Ok(official::Result::Rows((rows, _))) = result else { unreachable!("the sample is rows") };
    let rows = rows.deserialize_metadata().expect("the sample is whole");
    rows.into_metadata().make_owned_arced()
}

criterion_group!(benches, decode);
criterion_main!(benches);
