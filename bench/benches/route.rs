//! From a partition key to the shard that owns it.

mod sample;

use std::hint::black_box;
use std::num::NonZeroU16;

use criterion::{Criterion, criterion_group, criterion_main};
use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner as _};
use shardwire_protocol::routing::{Partitioner, Sharder, token_of_key};

/// Shards of the node.
const SHARDS: u16 = 8;
/// Highest bits of a token that do not count, as ScyllaDB is installed.
const IGNORE_MSB: u8 = 12;

fn route(c: &mut Criterion) {
    let keys: [(&str, Vec<u8>); 3] = [
        ("a bigint", sample::KEY.to_be_bytes().to_vec()),
        ("a 36-byte text", b"123e4567-e89b-12d3-a456-426614174000".to_vec()),
        ("1 KiB", sample::blob().repeat(16)),
    ];
    let nr_shards = NonZeroU16::new(SHARDS).expect("there are shards");
    let ours = Sharder { nr_shards, ignore_msb: IGNORE_MSB };
    let theirs = scylla::routing::Sharder::new(nr_shards, IGNORE_MSB);
    for (name, key) in &keys {
        let mut group = c.benchmark_group(format!("murmur3 and shard of {name}"));
        let shardwire = |key: &[u8]| ours.shard_of(token_of_key(key, Partitioner::Murmur3));
        let scylla = |key: &[u8]| theirs.shard_of(Murmur3Partitioner.hash_one(key));
        assert_eq!(u32::from(shardwire(key)), scylla(key), "both find the same shard");
        group.bench_function("shardwire", |b| b.iter(|| shardwire(black_box(key))));
        group.bench_function("scylla", |b| b.iter(|| scylla(black_box(key))));
        group.finish();
    }
}

criterion_group!(benches, route);
criterion_main!(benches);
