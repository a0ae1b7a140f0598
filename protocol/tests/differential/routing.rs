//! Tokens and shards: what decides where a request goes.

use core::num::NonZeroU16;

use scylla::routing::partitioner::{CDCPartitioner, Murmur3Partitioner, Partitioner as _};
use scylla::routing::{Sharder as OfficialSharder, Token as OfficialToken};
use shardwire_protocol::routing::{Partitioner, Sharder, Token, token_of_key};

/// Keys of both partitioners and all lengths that the hash treats differently, and some longer.
const KEY_COUNT: usize = 1_000_000;
const KEY_LEN_MAX: usize = 70;

#[test]
fn tokens_and_shards_agree_on_a_million_keys() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut key = [0; KEY_LEN_MAX];
    for _ in 0..KEY_COUNT {
        let key = &mut key[..random.usize(..=KEY_LEN_MAX)];
        random.fill(key);
        let token = token_of_key(key, Partitioner::Murmur3);
        assert_eq!(token.0, Murmur3Partitioner.hash_one(key).value(), "{key:02x?}");
        check_shard(token, &mut random);

        let token = token_of_key(key, Partitioner::Cdc);
        assert_eq!(token.0, CDCPartitioner.hash_one(key).value(), "CDC {key:02x?}");
    }
    // Not the lowest: no key has it, and the official type can't hold it.
    for token in [i64::MIN + 1, -1, 0, 1, i64::MAX] {
        for _ in 0..1_000 {
            check_shard(Token(token), &mut random);
        }
    }
}

fn check_shard(token: Token, random: &mut fastrand::Rng) {
    let nr_shards = NonZeroU16::new(random.u16(1..=1_024)).expect("it begins with one");
    let ignore_msb = random.u8(0..64);
    let ours = Sharder::new(nr_shards, ignore_msb).shard_of(token);
    let official = OfficialSharder::new(nr_shards, ignore_msb);
    let expected = official.shard_of(OfficialToken::new(token.0));
    assert_eq!(u32::from(ours), expected, "{token:?}, {nr_shards} shards, {ignore_msb} bits");
}
