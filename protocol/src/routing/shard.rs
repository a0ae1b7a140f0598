//! Which CPU core of a ScyllaDB node a token belongs to, and how to reach it.

use core::num::NonZeroU16;
use core::ops::RangeInclusive;

use super::token::Token;

/// How a node spreads tokens over its shards, by `biased-token-round-robin`.
///
/// ```
/// use std::num::NonZeroU16;
///
/// use shardwire_protocol::routing::{Sharder, Token};
///
/// let sharder = Sharder::new(NonZeroU16::new(4).unwrap(), 12);
/// assert_eq!(sharder.shard_of(Token(6_292_367_497_774_912_474)), 0);
/// assert_eq!(sharder.shard_of(Token(-1)), 3);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sharder {
    /// How many shards the node has.
    pub nr_shards: NonZeroU16,
    /// How many of a token's highest bits do not count.
    pub ignore_msb: u8,
}

impl Sharder {
    /// Of a node with these settings.
    ///
    /// ```
    /// # use std::num::NonZeroU16;
    /// # use shardwire_protocol::routing::Sharder;
    /// let sharder = Sharder::new(NonZeroU16::MIN, 0);
    /// assert_eq!((sharder.nr_shards.get(), sharder.ignore_msb), (1, 0));
    /// ```
    #[inline]
    #[must_use]
    pub const fn new(nr_shards: NonZeroU16, ignore_msb: u8) -> Self {
        Self { nr_shards, ignore_msb }
    }

    /// The shard that owns the token.
    ///
    /// ```
    /// # use std::num::NonZeroU16;
    /// # use shardwire_protocol::routing::{Sharder, Token};
    /// let sharder = Sharder::new(NonZeroU16::new(2).unwrap(), 0);
    /// assert_eq!(sharder.shard_of(Token(i64::MIN)), 0);
    /// assert_eq!(sharder.shard_of(Token(0)), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn shard_of(&self, token: Token) -> u16 {
        let biased = token.0.cast_unsigned() ^ (1 << 63);
        let scaled = biased.checked_shl(u32::from(self.ignore_msb)).unwrap_or(0);
        let product = u128::from(scaled) * u128::from(self.nr_shards.get());
        #[expect(clippy::cast_possible_truncation, reason = "less than nr_shards, which is u16")]
        {
            (product >> 64) as u16
        }
    }

    /// Ports of `range` from which a connection to the shard-aware port reaches `shard`, each
    /// once, from the first at or above `start` on, then from the range's beginning.
    ///
    /// ```
    /// # use std::num::NonZeroU16;
    /// # use shardwire_protocol::routing::Sharder;
    /// let sharder = Sharder::new(NonZeroU16::new(4).unwrap(), 12);
    /// let ports: Vec<u16> = sharder.source_ports(1, 49152..=49165, 49158).collect();
    /// assert_eq!(ports, [49161, 49165, 49153, 49157]);
    /// ```
    #[must_use]
    pub fn source_ports(&self, shard: u16, range: RangeInclusive<u16>, start: u16) -> SourcePorts {
        let step = u32::from(self.nr_shards.get());
        let shard = u32::from(shard) % step;
        // The first port at or above `from` that leads to the shard.
        let next = |from: u16| {
            let from = u32::from(from);
            from + (step + shard - from % step) % step
        };
        let (first, end) = (next(*range.start()), u32::from(*range.end()));
        let left = if range.is_empty() || first > end { 0 } else { (end - first) / step + 1 };
        let port = match next(start.max(*range.start())) {
            port if port <= end => port,
            _ => first,
        };
        SourcePorts { first, end, step, port, left }
    }
}

/// See [`Sharder::source_ports`].
///
/// ```
/// # use std::num::NonZeroU16;
/// # use shardwire_protocol::routing::Sharder;
/// let sharder = Sharder::new(NonZeroU16::new(4).unwrap(), 12);
/// let mut ports = sharder.source_ports(3, 49152..=65535, 49152);
/// assert_eq!((ports.len(), ports.next()), (4096, Some(49155)));
/// ```
#[derive(Clone, Debug)]
pub struct SourcePorts {
    first: u32,
    end: u32,
    step: u32,
    /// The next one, if any are left.
    port: u32,
    left: u32,
}

impl Iterator for SourcePorts {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        let port = self.port;
        self.port = match port + self.step {
            next if next <= self.end => next,
            _ => self.first,
        };
        u16::try_from(port).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for SourcePorts {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sharder(nr_shards: u16, ignore_msb: u8) -> Sharder {
        Sharder::new(NonZeroU16::new(nr_shards).unwrap(), ignore_msb)
    }

    #[track_caller]
    fn check(token: i64, expected: &[((u16, u8), u16)]) {
        for ((nr_shards, ignore_msb), shard) in expected {
            let got = sharder(*nr_shards, *ignore_msb).shard_of(Token(token));
            assert_eq!(got, *shard, "{token} of {nr_shards}, {ignore_msb}");
        }
    }

    #[test]
    fn shards_of_tokens() {
        let table = [
            (-9_219_783_007_514_621_794, 3),
            (-9_218_910_161_940_551_519, 3),
            (-9_217_148_724_365_525_195, 1),
            (-9_215_501_124_608_928_187, 2),
            (-9_212_118_992_469_829_075, 1),
            (-9_212_030_144_112_870_790, 2),
            (9_205_919_749_081_689_000, 0),
            (9_207_233_672_484_108_073, 1),
            (9_208_939_405_210_219_392, 3),
            (9_209_692_744_597_551_944, 3),
            (9_222_568_625_800_748_744, 3),
            (9_222_582_454_147_032_830, 3),
        ];
        for (token, shard) in table {
            check(token, &[((4, 12), shard)]);
        }
        check(-1, &[((4, 12), 3), ((4, 0), 1), ((8, 12), 7), ((2, 0), 0), ((96, 12), 95)]);
        check(0, &[((4, 12), 0), ((4, 0), 2), ((2, 0), 1)]);
        check(i64::MAX, &[((4, 12), 3), ((8, 12), 7), ((8, 64), 0), ((8, 255), 0)]);
        check(-9_219_783_007_514_621_794, &[((8, 12), 6), ((96, 12), 76)]);
        let five = |token, shards: [u16; 5]| {
            let settings = [(4, 12), (8, 12), (2, 0), (16, 12), (3, 0)];
            let expected: Vec<_> = settings.into_iter().zip(shards).collect();
            check(token, &expected);
        };
        five(-4_069_959_284_402_364_209, [1, 2, 0, 4, 0]);
        five(-3_485_513_579_396_041_028, [0, 0, 0, 0, 0]);
        five(6_292_367_497_774_912_474, [0, 1, 1, 2, 2]);
        five(7_071_048_584_287_372_947, [0, 0, 1, 1, 2]);
        five(2_945_182_322_382_062_539, [3, 7, 1, 15, 1]);
        five(8_405_366_727_316_198_727, [1, 2, 1, 5, 2]);
        five(8_849_112_093_580_131_862, [3, 7, 1, 14, 2]);
        five(6_516_349_416_904_725_244, [3, 7, 1, 14, 2]);
        five(-3_322_137_777_577_922_905, [1, 2, 0, 5, 0]);
    }

    #[test]
    fn ports_of_a_shard() {
        let ports = |shard, range, start| -> Vec<u16> {
            sharder(4, 12).source_ports(shard, range, start).collect()
        };
        assert_eq!(ports(1, 49152..=49165, 49152), [49153, 49157, 49161, 49165]);
        assert_eq!(ports(1, 49152..=49165, 49158), [49161, 49165, 49153, 49157]);
        assert_eq!(ports(1, 49152..=49165, 60000), [49153, 49157, 49161, 49165]);
        assert!(ports(2, 49152..=49153, 49152).is_empty());
        assert_eq!(ports(3, 65534..=65535, 0), [65535]);
        #[expect(clippy::reversed_empty_ranges, reason = "it must not panic")]
        let none = ports(3, 7..=3, 5);
        assert!(none.is_empty());
    }

    proptest! {
        #[test]
        fn all_ports_of_a_shard_come_once(
            nr_shards in 1_u16..200, shard in 0_u16..200,
            low in 1024_u16.., len in 0_u16..500, start: u16,
        ) {
            let shard = shard % nr_shards;
            let range = low..=low.saturating_add(len);
            let ports = sharder(nr_shards, 12).source_ports(shard, range.clone(), start);
            prop_assert_eq!(ports.len(), ports.clone().count());
            let mut ports: Vec<u16> = ports.collect();
            ports.sort_unstable();
            let all: Vec<u16> = range.filter(|port| port % nr_shards == shard).collect();
            prop_assert_eq!(ports, all);
        }
    }
}
