//! Tokens, shards, the ring and replicas, computed by this crate's own code.
//!
//! The driver under test computes the same from `shardwire-protocol`; the counters compare the two.

use std::collections::{BTreeMap, BTreeSet};

use crate::tablets::Tablets;

/// Cassandra's flavour of MurmurHash3 x64 128, first half: tail bytes are sign-extended.
pub(crate) fn murmur3(key: &[u8]) -> i64 {
    const C1: u64 = 0x87C3_7B91_1142_53D5;
    const C2: u64 = 0x4CF5_AD43_2745_937F;
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let (blocks, tail) = key.as_chunks::<16>();
    for block in blocks {
        let both = u128::from_le_bytes(*block);
        let (k1, k2) = (low(both), low(both >> 64));
        h1 ^= k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52DC_E729);
        h2 ^= k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5AB5);
    }
    let (mut k1, mut k2) = (0_u64, 0_u64);
    for (i, &byte) in tail.iter().enumerate() {
        let extended = i64::from(byte.cast_signed()).cast_unsigned();
        if i < 8 {
            k1 ^= extended << (8 * i);
        } else {
            k2 ^= extended << (8 * (i - 8));
        }
    }
    h2 ^= k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    h1 ^= k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let len = key.len() as u64;
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1.wrapping_add(h2).cast_signed()
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(value: u128) -> u64 {
    value as u64
}

fn finish(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    k ^= k >> 33;
    k = k.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    k ^ (k >> 33)
}

/// Token of a partition key's bytes.
#[inline]
pub(crate) fn token_of(key: &[u8]) -> i64 {
    match murmur3(key) {
        i64::MIN => i64::MAX,
        token => token,
    }
}

/// What makes a token of a partition key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Partitioner {
    #[default]
    Murmur3,
    /// Of CDC logs: a stream's id begins with its token.
    Cdc,
}

impl Partitioner {
    #[inline]
    pub(crate) fn token_of(self, key: &[u8]) -> i64 {
        match self {
            Self::Murmur3 => token_of(key),
            Self::Cdc => key.first_chunk().map_or(i64::MIN, |token| i64::from_be_bytes(*token)),
        }
    }
}

/// Bytes of a partition key of several columns: each as `[short] length, bytes, 00`.
pub(crate) fn write_composite(part: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(part);
    out.push(0);
}

/// How a node spreads tokens over its shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharding {
    pub(crate) nr_shards: u16,
    pub(crate) ignore_msb: u8,
}

impl Sharding {
    /// The shard that owns `token`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than nr_shards, which is u16")]
    pub(crate) fn shard_of(self, token: i64) -> u16 {
        let biased = token.cast_unsigned().wrapping_add(1 << 63) << self.ignore_msb;
        ((u128::from(biased) * u128::from(self.nr_shards)) >> 64) as u16
    }
}

/// Index of a node in its cluster.
pub(crate) type NodeIndex = usize;

/// Most nodes of a cluster: one per address of a /24, without .0 and .255.
pub(crate) const NODES_MAX: usize = 254;

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct NodeSet([u64; 4]);

impl NodeSet {
    #[inline]
    pub(crate) fn contains(&self, node: NodeIndex) -> bool {
        self.0.get(node / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, node: NodeIndex) {
        if let Some(word) = self.0.get_mut(node / 64) {
            *word |= 1 << (node % 64);
        }
    }

    pub(crate) fn of(nodes: impl IntoIterator<Item = NodeIndex>) -> Self {
        let mut set = Self::default();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }

    /// The nodes, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = NodeIndex> {
        (0..NODES_MAX).filter(move |node| self.contains(*node))
    }
}

/// Where a node stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Location {
    pub(crate) datacenter: String,
    pub(crate) rack: String,
}

/// The tokens of the nodes, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// Those of members.
    entries: Vec<(i64, NodeIndex)>,
    /// Those of all nodes: one that comes back has the tokens that it had.
    all: Vec<(i64, NodeIndex)>,
    locations: Vec<Location>,
    /// By node: whether it belongs to the cluster.
    members: Vec<bool>,
    /// Shards of each node, which tablets are spread over.
    shards: u16,
}

impl Ring {
    /// Gives each node `tokens_per_node` tokens; the same seed gives the same tokens.
    pub(crate) fn new(locations: Vec<Location>, tokens_per_node: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut taken = BTreeMap::new();
        for node in 0..locations.len() {
            take_tokens(&mut taken, node, tokens_per_node, &mut random);
        }
        let members = vec![true; locations.len()];
        let all: Vec<_> = taken.into_iter().collect();
        Self { entries: all.clone(), all, locations, members, shards: 1 }
    }

    /// Of nodes with so many shards each.
    pub(crate) fn with_shards(self, shards: u16) -> Self {
        Self { shards, ..self }
    }

    pub(crate) fn shards(&self) -> u16 {
        self.shards
    }

    /// Adds a node, with tokens of its own, that is no member yet. The same seed gives the same
    /// tokens to the n-th node, whenever it is added.
    pub(crate) fn add(&mut self, location: Location, tokens: usize, seed: u64) -> NodeIndex {
        let node = self.locations.len();
        self.locations.push(location);
        self.members.push(false);
        let number = u64::try_from(node).unwrap_or(u64::MAX);
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number.wrapping_add(1) << 32));
        let mut taken: BTreeMap<_, _> = self.all.iter().copied().collect();
        take_tokens(&mut taken, node, tokens, &mut random);
        self.all = taken.into_iter().collect();
        node
    }

    /// Where a node stands.
    pub(crate) fn location(&self, node: NodeIndex) -> Option<&Location> {
        self.locations.get(node)
    }

    /// The members that stand in a datacenter, ascending.
    pub(crate) fn members_in<'a>(
        &'a self,
        datacenter: &'a str,
    ) -> impl Iterator<Item = NodeIndex> + 'a {
        let nodes = self.locations.iter().enumerate();
        nodes
            .filter(move |(node, at)| at.datacenter == datacenter && self.is_member(*node))
            .map(|(node, _)| node)
    }

    /// Takes a node in or out.
    pub(crate) fn set_member(&mut self, node: NodeIndex, is_member: bool) {
        if let Some(member) = self.members.get_mut(node) {
            *member = is_member;
        }
        let members = &self.members;
        let owned = self.all.iter().filter(|(_, node)| members.get(*node) == Some(&true));
        self.entries = owned.copied().collect();
    }

    pub(crate) fn is_member(&self, node: NodeIndex) -> bool {
        self.members.get(node) == Some(&true)
    }

    pub(crate) fn member_count(&self) -> usize {
        self.members.iter().filter(|is_member| **is_member).count()
    }

    /// Where the members stand.
    fn members(&self) -> impl Iterator<Item = &Location> {
        self.locations.iter().zip(&self.members).filter(|(_, is)| **is).map(|(at, _)| at)
    }

    #[cfg(test)]
    fn from_entries(mut entries: Vec<(i64, NodeIndex)>, locations: Vec<Location>) -> Self {
        entries.sort_unstable();
        let members = vec![true; locations.len()];
        Self { all: entries.clone(), entries, locations, members, shards: 1 }
    }

    /// Names of the datacenters, each once.
    pub(crate) fn datacenters(&self) -> BTreeSet<String> {
        self.members().map(|location| location.datacenter.clone()).collect()
    }

    /// Tokens of all members, ascending.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = i64> + '_ {
        self.entries.iter().map(|(token, _)| *token)
    }

    /// Tokens of one node, ascending.
    pub(crate) fn tokens_of(&self, node: NodeIndex) -> impl Iterator<Item = i64> + '_ {
        self.entries.iter().filter(move |(_, n)| *n == node).map(|(token, _)| *token)
    }

    fn walk(&self, from: usize) -> impl Iterator<Item = NodeIndex> + '_ {
        self.entries.iter().cycle().skip(from).take(self.entries.len()).map(|(_, node)| *node)
    }
}

/// Finds tokens that nobody has.
fn take_tokens(
    taken: &mut BTreeMap<i64, NodeIndex>,
    node: NodeIndex,
    count: usize,
    random: &mut fastrand::Rng,
) {
    let mut missing = count;
    while missing > 0 {
        if let std::collections::btree_map::Entry::Vacant(free) =
            taken.entry(random.i64(i64::MIN + 1..=i64::MAX))
        {
            free.insert(node);
            missing -= 1;
        }
    }
}

/// A keyspace's replication strategy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Strategy {
    Simple {
        factor: usize,
    },
    NetworkTopology {
        factors: BTreeMap<String, usize>,
    },
    /// Every node has its own rows: the system keyspaces.
    Local,
    Everywhere,
}

impl Strategy {
    /// The short name of its class.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Simple { .. } => "SimpleStrategy",
            Self::NetworkTopology { .. } => "NetworkTopologyStrategy",
            Self::Local => "LocalStrategy",
            Self::Everywhere => "EverywhereStrategy",
        }
    }

    /// Reads the replication map of a CREATE KEYSPACE.
    pub(crate) fn parse(replication: &[(String, String)]) -> Result<Self, String> {
        let class = replication
            .iter()
            .find(|(key, _)| key == "class")
            .map(|(_, class)| class.as_str())
            .ok_or("replication has no class")?;
        let number = |text: &str| {
            text.parse::<usize>().map_err(|_| format!("replication factor {text:?} is no number"))
        };
        let others = replication.iter().filter(|(key, _)| key != "class");
        match class.rsplit('.').next().unwrap_or(class) {
            "SimpleStrategy" => {
                let factor = replication.iter().find(|(key, _)| key == "replication_factor");
                let (_, factor) = factor.ok_or("SimpleStrategy needs a replication_factor")?;
                Ok(Self::Simple { factor: number(factor)? })
            }
            "NetworkTopologyStrategy" => {
                let factors = others
                    .map(|(dc, factor)| Ok((dc.clone(), number(factor)?)))
                    .collect::<Result<_, String>>()?;
                Ok(Self::NetworkTopology { factors })
            }
            "LocalStrategy" => Ok(Self::Local),
            "EverywhereStrategy" => Ok(Self::Everywhere),
            other => Err(format!("unknown replication strategy {other}")),
        }
    }
}

/// Replicas of every range: those of the ring, for one strategy, or the tablets of one table.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) strategy: Strategy,
    /// Where ranges end, ascending; `replicas` has the set of each range that ends there.
    tokens: Vec<i64>,
    replicas: Vec<NodeSet>,
    /// The same ranges, if they are tablets: also which shards have them.
    tablets: Option<Tablets>,
}

impl Placement {
    pub(crate) fn new(ring: &Ring, strategy: &Strategy) -> Self {
        let set_from = |from| {
            let mut set = NodeSet::default();
            replicas_from(ring, strategy, from).into_iter().for_each(|node| set.insert(node));
            set
        };
        Self {
            strategy: strategy.clone(),
            tokens: ring.entries.iter().map(|(token, _)| *token).collect(),
            replicas: (0..ring.entries.len()).map(set_from).collect(),
            tablets: None,
        }
    }

    /// That of a table's tablets.
    pub(crate) fn of_tablets(strategy: &Strategy, tablets: Tablets) -> Self {
        Self {
            strategy: strategy.clone(),
            tokens: tablets.iter().map(|tablet| tablet.last).collect(),
            replicas: tablets.iter().map(|tablet| tablet.nodes()).collect(),
            tablets: Some(tablets),
        }
    }

    pub(crate) fn tablets(&self) -> Option<&Tablets> {
        self.tablets.as_ref()
    }

    /// The shard of `node` that has the rows of this token, if the node has them.
    #[inline]
    pub(crate) fn shard_at(&self, token: i64, node: NodeIndex, sharding: Sharding) -> Option<u16> {
        let range = self.range_of(token);
        if !self.replicas.get(range)?.contains(node) {
            return None;
        }
        match &self.tablets {
            None => Some(sharding.shard_of(token)),
            Some(tablets) => tablets.shard(range, node),
        }
    }

    #[inline]
    fn range_of(&self, token: i64) -> usize {
        let at = self.tokens.partition_point(|t| *t < token);
        if at == self.tokens.len() { 0 } else { at }
    }

    #[inline]
    pub(crate) fn is_replica(&self, token: i64, node: NodeIndex) -> bool {
        self.replicas.get(self.range_of(token)).is_some_and(|set| set.contains(node))
    }

    /// Who has the rows of this token.
    pub(crate) fn replicas(&self, token: i64) -> NodeSet {
        self.replicas.get(self.range_of(token)).copied().unwrap_or_default()
    }

    /// The replicas of each range, each set once.
    pub(crate) fn all_replicas(&self) -> BTreeSet<NodeSet> {
        self.replicas.iter().copied().collect()
    }
}

/// Replicas of the range that ends at entry `from`, the owner of the range first.
fn replicas_from(ring: &Ring, strategy: &Strategy, from: usize) -> Vec<NodeIndex> {
    match strategy {
        Strategy::Simple { factor } => distinct(ring.walk(from), *factor),
        Strategy::Local => distinct(ring.walk(from), 1),
        Strategy::Everywhere => distinct(ring.walk(from), usize::MAX),
        Strategy::NetworkTopology { factors } => {
            factors.iter().flat_map(|(dc, factor)| replicas_in(ring, dc, *factor, from)).collect()
        }
    }
}

fn distinct(walk: impl Iterator<Item = NodeIndex>, count: usize) -> Vec<NodeIndex> {
    let mut nodes = Vec::new();
    for node in walk {
        if nodes.len() >= count {
            break;
        }
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    nodes
}

/// One datacenter's replicas: each rack once, then any node while there are more replicas than
/// racks.
fn replicas_in(ring: &Ring, dc: &str, factor: usize, from: usize) -> Vec<NodeIndex> {
    let in_dc = |node: &NodeIndex| ring.locations.get(*node).is_some_and(|l| l.datacenter == dc);
    let rack_of = |node: NodeIndex| ring.locations.get(node).map(|l| l.rack.as_str());
    let all: BTreeSet<_> =
        ring.members().filter(|l| l.datacenter == dc).map(|l| l.rack.as_str()).collect();
    let mut repeats = factor.saturating_sub(all.len());
    let mut used = BTreeSet::new();
    let mut nodes = Vec::new();
    for node in ring.walk(from).filter(in_dc) {
        if nodes.len() >= factor {
            break;
        }
        if nodes.contains(&node) {
            continue;
        }
        if used.insert(rack_of(node)) {
            nodes.push(node);
        } else if repeats > 0 {
            repeats -= 1;
            nodes.push(node);
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for (key, token) in [
            (&b"test"[..], -6017608668500074083),
            (b"xd", 4507812186440344727),
            ("kremówki".as_bytes(), 4354931215268080151),
            (b"", 0),
            (b"01234567", -9064053233843489459),
            (b"0123456789012345", -6689751078119097958),
            (b"01234567890123456", -4867265143268638648),
            (&[0, 0, 0, 1], -4069959284402364209),
        ] {
            assert_eq!(token_of(key), token, "{key:?}");
        }
        let mut composite = Vec::new();
        write_composite(&[0, 0, 0, 1], &mut composite);
        write_composite(b"a", &mut composite);
        assert_eq!(token_of(&composite), 6516349416904725244);
    }

    #[test]
    fn shards() {
        for (token, nr_shards, ignore_msb, shard) in [
            (-9219783007514621794, 4, 12, 3),
            (9222582454147032830, 4, 12, 3),
            (-1, 4, 12, 3),
            (-1, 4, 0, 1),
            (-1, 96, 12, 95),
            (0, 4, 0, 2),
            (i64::MAX, 8, 12, 7),
            (-4069959284402364209, 16, 12, 4),
        ] {
            assert_eq!(Sharding { nr_shards, ignore_msb }.shard_of(token), shard, "{token}");
        }
    }

    const NAMES: [char; 7] = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];

    /// The seven-node ring of the official driver's locator tests.
    fn ring() -> Ring {
        let nodes = [
            ("eu", "r1", &[50, 250, 400][..]),
            ("eu", "r1", &[100, 600, 900]),
            ("eu", "r1", &[300, 650, 700]),
            ("us", "r1", &[350, 550]),
            ("us", "r1", &[150, 750]),
            ("us", "r2", &[200, 450]),
            ("eu", "r2", &[500, 800]),
        ];
        let entries = nodes
            .iter()
            .enumerate()
            .flat_map(|(i, (.., tokens))| tokens.iter().map(move |token| (*token, i)))
            .collect();
        let locations = nodes
            .iter()
            .map(|(dc, rack, _)| Location { datacenter: (*dc).into(), rack: (*rack).into() })
            .collect();
        Ring::from_entries(entries, locations)
    }

    #[track_caller]
    fn check(strategy: &Strategy, token: i64, expect: &str) {
        let ring = ring();
        let placement = Placement::new(&ring, strategy);
        let names: String = replicas_from(&ring, strategy, placement.range_of(token))
            .into_iter()
            .map(|node| NAMES[node])
            .collect();
        assert_eq!(names, expect);
        for (node, name) in NAMES.into_iter().enumerate() {
            let named = expect.contains(name);
            assert_eq!(placement.is_replica(token, node), named);
        }
    }

    #[test]
    fn replicas_of_both_strategies() {
        check(&Strategy::Simple { factor: 2 }, 160, "FA");
        check(&Strategy::Simple { factor: 7 }, 200, "FACDGBE");
        check(&Strategy::Simple { factor: 5 }, 701, "EGBAF");
        for (dc, factor, expect) in
            [("eu", 1, "A"), ("eu", 2, "AG"), ("eu", 3, "ACG"), ("eu", 4, "ACGB"), ("us", 2, "FD")]
        {
            let factors = BTreeMap::from([(dc.to_owned(), factor)]);
            check(&Strategy::NetworkTopology { factors }, 160, expect);
        }
    }
}
