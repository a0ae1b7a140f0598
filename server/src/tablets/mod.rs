//! Tablets: ranges of one table's own, each with replicas of its own, down to the shard.
//!
//! As ScyllaDB has them: always a power of two, cut at the same tokens whatever the table. Clients
//! can't compute who has them; they learn it from replies, see `payload.rs`. Here is what a table's
//! tablets are, and how they are split and merged; `balance.rs` says who gets them, `keyspace.rs`
//! what of this CQL decides. Invariant: there are `2^n` tablets, in order, that cover all tokens.

mod balance;
mod keyspace;
mod payload;

pub(crate) use balance::{Loads, TooFewNodes};
pub(crate) use keyspace::{
    KeyspaceTablets, Settling, TabletsOption, check_alter, check_table, described, moved, option_of,
};
pub(crate) use payload::{PAYLOAD_KEY, payload, replica_list};

use crate::routing::{NodeIndex, NodeSet};

/// Most tablets of a table: enough for all shards of a cluster, and quick to balance.
pub(crate) const TABLETS_MAX: usize = 8192;

/// A shard of a node that has a tablet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Home {
    pub(crate) node: NodeIndex,
    pub(crate) shard: u16,
}

/// A range of tokens and who has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tablet {
    /// The last token of the range; the first is the one after the tablet before.
    pub(crate) last: i64,
    pub(crate) homes: Vec<Home>,
}

impl Tablet {
    pub(crate) fn nodes(&self) -> NodeSet {
        let mut nodes = NodeSet::default();
        self.homes.iter().for_each(|home| nodes.insert(home.node));
        nodes
    }
}

/// The tablets of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tablets(Vec<Tablet>);

impl Tablets {
    /// At least so many tablets that nobody has yet.
    pub(crate) fn new(count: usize) -> Self {
        let count = count.clamp(1, TABLETS_MAX).next_power_of_two();
        let tablet = |index| Tablet { last: last_token(index, count), homes: Vec::new() };
        Self((0..count).map(tablet).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tablet> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tablet> {
        self.0.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The shard of `node` that has the tablet at this position.
    #[inline]
    pub(crate) fn shard(&self, index: usize, node: NodeIndex) -> Option<u16> {
        let homes = &self.0.get(index)?.homes;
        homes.iter().find(|home| home.node == node).map(|home| home.shard)
    }

    fn index_of(&self, token: i64) -> usize {
        self.0.partition_point(|tablet| tablet.last < token)
    }

    /// The tablet that has a token, and the token before its first.
    pub(crate) fn find(&self, token: i64) -> Option<(i64, &Tablet)> {
        let index = self.index_of(token);
        let before = index.checked_sub(1).and_then(|before| self.0.get(before));
        Some((before.map_or(i64::MIN, |tablet| tablet.last), self.0.get(index)?))
    }

    pub(crate) fn find_mut(&mut self, token: i64) -> Option<&mut Tablet> {
        let index = self.index_of(token);
        self.0.get_mut(index)
    }

    /// Each tablet cut in two, which stay where it was; `None` if there would be too many.
    pub(crate) fn split(&self) -> Option<Self> {
        let count = self.0.len() * 2;
        if count > TABLETS_MAX {
            return None;
        }
        let halves = self.0.iter().flat_map(|tablet| [tablet, tablet]).enumerate();
        let half = |(index, whole): (usize, &Tablet)| Tablet {
            last: last_token(index, count),
            homes: whole.homes.clone(),
        };
        Some(Self(halves.map(half).collect()))
    }

    /// Each two tablets put together where the first of them is; `None` if there is one alone.
    pub(crate) fn merged(&self) -> Option<Self> {
        let pair = |pair: &[Tablet]| match pair {
            [first, second] => Some(Tablet { last: second.last, homes: first.homes.clone() }),
            _ => None,
        };
        self.0.chunks(2).map(pair).collect::<Option<_>>().map(Self)
    }
}

/// Where the `index`-th of `count` tablets ends; `count` is a power of two.
fn last_token(index: usize, count: usize) -> i64 {
    let (index, width) = (index as u128 + 1, (1_u128 << 64) / count as u128);
    let last = i128::from(i64::MIN) + (index * width).cast_signed() - 1;
    i64::try_from(last).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasts(tablets: &Tablets) -> Vec<i64> {
        tablets.iter().map(|tablet| tablet.last).collect()
    }

    #[test]
    fn tablets_cover_all_tokens_in_equal_parts() {
        assert_eq!(lasts(&Tablets::new(0)), [i64::MAX]);
        assert_eq!(lasts(&Tablets::new(2)), [-1, i64::MAX]);
        assert_eq!(lasts(&Tablets::new(3)), [i64::MIN / 2 - 1, -1, i64::MAX / 2, i64::MAX]);
        assert_eq!(Tablets::new(usize::MAX).len(), TABLETS_MAX);
        let four = Tablets::new(4);
        for (token, first, last) in [
            (i64::MIN, i64::MIN, i64::MIN / 2 - 1),
            (i64::MIN / 2 - 1, i64::MIN, i64::MIN / 2 - 1),
            (i64::MIN / 2, i64::MIN / 2 - 1, -1),
            (0, -1, i64::MAX / 2),
            (i64::MAX, i64::MAX / 2, i64::MAX),
        ] {
            let (before, tablet) = four.find(token).unwrap();
            assert_eq!((before, tablet.last), (first, last), "{token}");
        }
    }

    #[test]
    fn halves_stay_where_the_whole_was_and_come_together_again() {
        let mut two = Tablets::new(2);
        for (node, tablet) in two.iter_mut().enumerate() {
            tablet.homes = vec![Home { node, shard: 3 }];
        }
        let four = two.split().unwrap();
        assert_eq!(lasts(&four), lasts(&Tablets::new(4)));
        let nodes: Vec<_> = four.iter().map(|tablet| tablet.homes[0].node).collect();
        assert_eq!(nodes, [0, 0, 1, 1]);
        assert_eq!(four.shard(2, 1), Some(3));
        assert_eq!(four.shard(2, 0), None);
        assert_eq!(four.merged().unwrap(), two);
        assert!(Tablets::new(1).merged().is_none());
        assert!(Tablets::new(TABLETS_MAX).split().is_none());
    }
}
