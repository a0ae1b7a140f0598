//! Streams: the partitions of the logs, and which of them a write's rows go to.
//!
//! A generation has a stream for each shard of each range of the ring, so that a log's row lies
//! where the row is that it tells of. It holds until the next one begins, which it does when a node
//! joins. A range that loses its node becomes a part of another: its streams go on being right.
//!
//! An id is 16 bytes:
//!
//! ```text
//! | token, 64 bits | random, 38 bits | index of the range, 22 bits | version, 4 bits: 1 |
//! ```
//!
//! Ids are not kept but worked out when they are asked for: a range's shards may be thousands.

use crate::error::{CqlError, code};
use crate::routing::{Ring, Sharding};
use crate::schema::change::fresh_uuid;
use crate::value::literal::collection;
use crate::value::time::now_us;

type Result<T> = std::result::Result<T, CqlError>;
/// A row of a system table: values by the columns' names.
type NamedRow = Vec<(&'static str, Vec<u8>)>;

/// How far a write's time may be from the node's clock, in microseconds, before it matters to which
/// generation it belongs.
const LEEWAY_US: i64 = 5_000_000;
/// Generations that are told of; beyond it the oldest is forgotten.
const GENERATIONS_MAX: usize = 256;
/// The least token that a key can have.
const FIRST_TOKEN: i64 = i64::MIN + 1;

/// The id of a stream.
pub(crate) type StreamId = [u8; 16];

/// A set of streams, and since when it holds.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    /// Milliseconds since 1970.
    time_ms: i64,
    id: [u8; 16],
    /// Makes the random part of the ids.
    seed: u64,
    /// Where the ranges of the ring end, ascending.
    ends: Vec<i64>,
    sharding: Sharding,
}

/// All generations, the oldest first. Cassandra has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generations(Vec<Generation>);

impl Generations {
    /// The first one, which holds from now on.
    pub(crate) fn first(ring: &Ring, sharding: Sharding) -> Self {
        Self(vec![Generation::new(now_us().div_euclid(1000), ring, sharding)])
    }

    /// Another one, because a node has joined.
    pub(crate) fn add(&mut self, ring: &Ring, sharding: Sharding) {
        let Some(last) = self.0.last() else { return };
        // From the next millisecond on: what was written in this one is in the streams before.
        let time_ms = (now_us().div_euclid(1000) + 1).max(last.time_ms + 1);
        if self.0.len() >= GENERATIONS_MAX {
            self.0.remove(0);
        }
        self.0.push(Generation::new(time_ms, ring, sharding));
    }

    /// The stream of a row with this token that is written at `at_us`.
    ///
    /// Streams of a generation that is over have been read to their end by then, and of one that is
    /// to come nothing is known, so a write may not be of another time than now.
    pub(crate) fn stream_at(&self, at_us: i64, now_us: i64, token: i64) -> Result<StreamId> {
        if at_us > now_us.saturating_add(LEEWAY_US) {
            return Err(CqlError::invalid(format!(
                "cdc: attempted to get a stream \"from the future\" ({at_us}; current server time: \
                 {now_us}). With CDC you cannot send writes with timestamps arbitrarily into the \
                 future, because we don't know what streams will be used at that time.\nWe *do* \
                 allow sending writes into the near future, but our ability to do that is limited. \
                 If you really must use your own timestamps, then make sure your clocks are \
                 well-synchronized with the database's clocks."
            )));
        }
        let safe_us = now_us.saturating_sub(LEEWAY_US);
        let settled = self.at(safe_us);
        if at_us <= safe_us {
            let is_settled = settled.is_some_and(|(index, generation)| {
                let next = self.0.get(index + 1);
                at_us >= generation.time_us() && next.is_none_or(|next| next.time_us() > now_us)
            });
            if !is_settled {
                return Err(CqlError::invalid(format!(
                    "cdc: attempted to get a stream \"from the past\" ({at_us}; current server \
                     time: {now_us}). With CDC you cannot send writes with timestamps too far into \
                     the past, because that would break consistency properties.\nWe *do* allow \
                     sending writes into the near past, but our ability to do that is limited. Are \
                     you using client-side timestamps? Make sure your clocks are well-synchronized \
                     with the database's clocks."
                )));
            }
        }
        let (_, generation) = self.at(at_us).ok_or_else(|| {
            let message = format!(
                "cdc::metadata::get_stream: could not find any CDC stream for timestamp {at_us}."
            );
            CqlError::new(code::SERVER, message)
        })?;
        Ok(generation.stream_of(token))
    }

    /// The generation that holds at a time.
    fn at(&self, at_us: i64) -> Option<(usize, &Generation)> {
        let index = self.0.partition_point(|generation| generation.time_us() <= at_us);
        let index = index.checked_sub(1)?;
        self.0.get(index).map(|generation| (index, generation))
    }

    /// Rows of `system_distributed.cdc_generation_timestamps`.
    pub(crate) fn timestamps(&self) -> Vec<NamedRow> {
        let row = |generation: &Generation| {
            vec![("key", b"timestamps".to_vec()), ("time", generation.timestamp())]
        };
        self.0.iter().map(row).collect()
    }

    /// Rows of `system_distributed.cdc_streams_descriptions_v2`.
    pub(crate) fn descriptions(&self) -> Vec<NamedRow> {
        let of_generation = |generation: &Generation| {
            let (time, ranges) = (generation.timestamp(), generation.ranges());
            ranges.into_iter().map(move |(end, ids)| {
                let ids: Vec<_> = ids.iter().map(|id| id.to_vec()).collect();
                vec![
                    ("time", time.clone()),
                    ("range_end", end.to_be_bytes().to_vec()),
                    ("streams", collection(&ids)),
                ]
            })
        };
        self.0.iter().flat_map(of_generation).collect()
    }

    /// Rows of `system.cdc_local`: the generation that a node has heard of last, and that there is
    /// none from before the tables of today.
    pub(crate) fn local(&self) -> Vec<NamedRow> {
        let Some(last) = self.0.last() else { return Vec::new() };
        let row = |key: &str| {
            vec![
                ("key", key.as_bytes().to_vec()),
                ("streams_timestamp", last.timestamp()),
                ("uuid", last.id.to_vec()),
            ]
        };
        vec![row("cdc_local"), row("rewritten")]
    }
}

impl Generation {
    fn new(time_ms: i64, ring: &Ring, sharding: Sharding) -> Self {
        let (id, seed) = (fresh_uuid(), fastrand::u64(..));
        Self { time_ms, id, seed, ends: ring.tokens().collect(), sharding }
    }

    fn time_us(&self) -> i64 {
        self.time_ms.saturating_mul(1000)
    }

    fn timestamp(&self) -> Vec<u8> {
        self.time_ms.to_be_bytes().to_vec()
    }

    /// The stream of the rows with this token.
    fn stream_of(&self, token: i64) -> StreamId {
        let at = self.ends.partition_point(|end| *end < token);
        let index = if at == self.ends.len() { 0 } else { at };
        self.stream(index, self.sharding.shard_of(token))
    }

    /// The stream of a shard of a range.
    fn stream(&self, index: usize, shard: u16) -> StreamId {
        let end = self.ends.get(index).copied().unwrap_or(i64::MAX);
        let before = index.checked_sub(1).map_or(self.ends.last(), |before| self.ends.get(before));
        let start = before.copied().unwrap_or(end);
        let token = first_token(self.sharding, (start, end), shard);
        let index = u64::try_from(index).unwrap_or(0);
        let random = mixed(self.seed ^ (index << 16) ^ u64::from(shard));
        let low = random << 26 | (index & 0x3F_FFFF) << 4 | 1;
        (u128::from(token.cast_unsigned()) << 64 | u128::from(low)).to_be_bytes()
    }

    /// The streams of each range, in order, and where it ends.
    fn ranges(&self) -> Vec<(i64, Vec<StreamId>)> {
        let streams = |index| {
            let shards = 0..self.sharding.nr_shards;
            let mut ids: Vec<_> = shards.map(|shard| self.stream(index, shard)).collect();
            ids.sort_unstable();
            ids
        };
        self.ends.iter().enumerate().map(|(index, end)| (*end, streams(index))).collect()
    }
}

/// Bits that look random, always the same for one number.
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// The first token of a range, which begins behind `start`, that belongs to the shard; its last
/// one, `end`, if none does.
fn first_token(sharding: Sharding, (start, end): (i64, i64), shard: u16) -> i64 {
    let found = if start < end {
        token_from(sharding, start + 1, shard).filter(|token| *token <= end)
    } else {
        let behind = start.checked_add(1).and_then(|from| token_from(sharding, from, shard));
        behind.or_else(|| token_from(sharding, FIRST_TOKEN, shard).filter(|token| *token <= end))
    };
    found.unwrap_or(end)
}

/// The first token of the shard that is not less than `from`.
fn token_from(sharding: Sharding, from: i64, shard: u16) -> Option<i64> {
    if sharding.shard_of(from) == shard {
        return Some(from);
    }
    // The ring is cut into pieces, in each of which the shards have their tokens in order.
    let piece_len = 1_u128 << (64 - u32::from(sharding.ignore_msb));
    let scaled = (u128::from(shard) << 64).div_ceil(u128::from(sharding.nr_shards));
    let offset = scaled.div_ceil(1 << sharding.ignore_msb);
    let biased = u128::from(from.cast_unsigned().wrapping_add(1 << 63));
    let here = biased / piece_len * piece_len + offset;
    let next = if here >= biased { here } else { here + piece_len };
    let token = u64::try_from(next).ok()?.wrapping_sub(1 << 63).cast_signed();
    // A piece that is smaller than the number of shards has no token for some.
    (sharding.shard_of(token) == shard).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Location;

    fn ring(nodes: usize, tokens: usize) -> Ring {
        let location = |_| Location { datacenter: "dc".into(), rack: "r".into() };
        Ring::new((0..nodes).map(location).collect(), tokens, 3)
    }

    const SHARDING: Sharding = Sharding { nr_shards: 5, ignore_msb: 12 };

    fn token(id: StreamId) -> i64 {
        i64::from_be_bytes(id[..8].try_into().unwrap())
    }

    #[test]
    fn a_stream_lies_where_its_rows_do() {
        let generation = Generation::new(1, &ring(3, 16), SHARDING);
        let range_of =
            |token: i64| generation.ends.iter().position(|end| token <= *end).unwrap_or_default();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let of_row = random.i64(FIRST_TOKEN..);
            let id = generation.stream_of(of_row);
            assert_eq!(range_of(token(id)), range_of(of_row), "{of_row}");
            assert_eq!(SHARDING.shard_of(token(id)), SHARDING.shard_of(of_row), "{of_row}");
            let low = u64::from_be_bytes(id[8..].try_into().unwrap());
            assert_eq!(low & 15, 1, "the version");
            assert_eq!(low >> 4 & 0x3F_FFFF, u64::try_from(range_of(of_row)).unwrap());
        }
    }

    #[test]
    fn all_streams_are_told_of_each_with_its_range() {
        let generation = Generation::new(1, &ring(3, 16), SHARDING);
        let ranges = generation.ranges();
        assert_eq!(ranges.len(), 48);
        let mut ids: Vec<_> = ranges.iter().flat_map(|(_, ids)| ids).collect();
        assert!(ids.contains(&&generation.stream_of(42)));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 48 * 5);
    }

    #[test]
    fn the_first_token_of_a_shard_is_found_by_looking_at_each() {
        for (nr_shards, ignore_msb) in [(1, 0), (3, 0), (4, 12), (7, 58), (5, 60), (16, 62)] {
            let sharding = Sharding { nr_shards, ignore_msb };
            for start in [FIRST_TOKEN, -70, -1, 0, 5, i64::MAX - 300, i64::MAX - 1, i64::MAX] {
                for len in [1, 2, 40, 200] {
                    let end = start.checked_add(len).unwrap_or(FIRST_TOKEN + len);
                    let walk = (1..=len)
                        .map(|step| start.checked_add(step).unwrap_or_else(|| end - len + step));
                    let walk: Vec<_> = match end > start {
                        true => walk.collect(),
                        false => (start..=i64::MAX).skip(1).chain(FIRST_TOKEN..=end).collect(),
                    };
                    for shard in 0..nr_shards {
                        let own = walk.iter().find(|token| sharding.shard_of(**token) == shard);
                        let found = first_token(sharding, (start, end), shard);
                        assert_eq!(found, *own.unwrap_or(&end), "{sharding:?} {start} {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn writes_go_to_the_generation_of_their_time() {
        let ring = ring(1, 4);
        let at = |time_ms| Generation::new(time_ms, &ring, SHARDING);
        let second = 1_000_000;
        let generations = Generations(vec![at(100_000), at(200_000), at(201_000)]);
        let stream = |at_s: i64, now_s: i64| {
            let id = generations.stream_at(at_s * second, now_s * second, 7);
            let which = |id| generations.0.iter().position(|g| g.stream_of(7) == id).unwrap();
            id.map(which).map_err(|error| error.message.split(' ').nth(5).unwrap().to_owned())
        };
        assert_eq!(stream(150, 150), Ok(0));
        assert_eq!(stream(110, 150), Ok(0), "no other has begun");
        assert_eq!(stream(99, 150), Err("stream".to_owned()), "there was none");
        assert_eq!(stream(155, 150), Ok(0));
        assert!(stream(156, 150).is_err(), "the future");
        assert_eq!(stream(199, 201), Ok(0), "not long ago");
        assert_eq!(stream(200, 201), Ok(1));
        assert_eq!(stream(201, 201), Ok(2));
        assert!(stream(196, 201).is_err(), "a generation that is over");
        assert_eq!(stream(201, 300), Ok(2));
        assert!(stream(200, 300).is_err());
        assert!(generations.stream_at(0, 104 * second, 7).is_err());
        let young = Generations(vec![at(100_000)]);
        assert_eq!(young.stream_at(99 * second, 101 * second, 7).unwrap_err().code, code::SERVER);
    }

    #[test]
    fn a_new_generation_begins_after_the_last_one() {
        let ring = ring(2, 4);
        let mut generations = Generations::first(&ring, SHARDING);
        for _ in 0..300 {
            generations.add(&ring, SHARDING);
        }
        assert_eq!(generations.0.len(), GENERATIONS_MAX);
        assert!(generations.0.is_sorted_by(|a, b| a.time_ms < b.time_ms));
        assert_eq!(generations.timestamps().len(), GENERATIONS_MAX);
        assert_eq!(generations.local().len(), 2);
        let mut none = Generations::default();
        none.add(&ring, SHARDING);
        assert!(none.timestamps().is_empty() && none.local().is_empty());
    }
}
