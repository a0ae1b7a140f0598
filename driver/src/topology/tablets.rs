//! Tablets: which nodes and shards have which tokens of a table (ScyllaDB).
//!
//! No node tells them all. Who sends an EXECUTE where the row's tablet is not is served, and told
//! of the tablet along with the result; a token whose tablet is not known goes to any node, and is
//! known from then on. Statements on one table share what was learned.
//!
//! The ring is cut into parts, each with a list of the tablets that reach into it, replaced whole
//! when one of them is learned: so requests read without waiting, and what it costs to learn a
//! tablet does not grow with the number of tablets but by a 256th of it. Nothing of it is needed
//! for a request to be right: what is outdated leads to a node that knows better.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use arc_swap::ArcSwapOption;
use shardwire_protocol::routing::Token;
use shardwire_protocol::tablets::{self, Tablet as Told};
use uuid::Uuid;

use super::ring::bias;
use super::{CachedIndex, Node, Topology};
use crate::pool::Aim;

/// Parts of the ring, told apart by the highest bits of a token; a power of two.
const PARTS: usize = 256;
/// Tablets that are kept of one part; a table of equal ones can have 131,072.
const TABLETS_PER_PART_MAX: usize = 512;
/// Replicas of one tablet that requests look at first.
const REPLICAS_MAX: usize = 16;

/// What is known of a table's tablets.
#[derive(Debug, Default)]
pub(crate) struct Tablets {
    /// Allocates: with the first tablet.
    parts: OnceLock<Box<[Part; PARTS]>>,
    /// Held while something is replaced. Requests never wait for it.
    replacing: Mutex<()>,
}

type Part = ArcSwapOption<Vec<Arc<Tablet>>>;

/// The tokens after `before`, up to `last`, which is greater.
#[derive(Debug)]
struct Tablet {
    before: i64,
    last: i64,
    replicas: Box<[Replica]>,
}

#[derive(Debug)]
struct Replica {
    host_id: Uuid,
    shard: u16,
    /// Which node that is.
    node: CachedIndex,
}

/// Where a token's tablet is: nodes as indexes into the snapshot's, and the shards there.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    nodes: [u16; REPLICAS_MAX],
    shards: [u16; REPLICAS_MAX],
    len: usize,
}

impl Homes {
    pub(crate) fn nodes(&self) -> &[u16] {
        self.nodes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn shards(&self) -> &[u16] {
        self.shards.get(..self.len).unwrap_or_default()
    }

    /// Which of the node's connections leads to the tablet; any, if the node does not have it.
    #[inline]
    pub(crate) fn aim(&self, topology: &Topology, node: &Arc<Node>) -> Aim {
        let is_it = |home: &u16| {
            let home = topology.nodes.get(usize::from(*home));
            home.is_some_and(|home| Arc::ptr_eq(home, node))
        };
        let place = self.nodes().iter().position(is_it);
        let shard = place.and_then(|place| self.shards().get(place));
        shard.map_or(Aim::Any, |shard| Aim::Shard(*shard))
    }

    /// One more, if there is room.
    fn push(&mut self, node: u16, shard: u16) {
        if let (Some(to), Some(shard_to)) =
            (self.nodes.get_mut(self.len), self.shards.get_mut(self.len))
        {
            (*to, *shard_to) = (node, shard);
            self.len += 1;
        }
    }
}

impl From<&Told<'_>> for Tablet {
    fn from(told: &Told<'_>) -> Tablet {
        let replicas = told.replicas().map(|replica| Replica {
            host_id: replica.host_id,
            shard: shard(&replica),
            node: CachedIndex::default(),
        });
        Tablet { before: told.first_token.0, last: told.last_token.0, replicas: replicas.collect() }
    }
}

/// No node has as many shards; one that is not there is as good as none.
fn shard(replica: &tablets::Replica) -> u16 {
    u16::try_from(replica.shard).unwrap_or(u16::MAX)
}

impl Tablet {
    fn overlaps(&self, other: &Tablet) -> bool {
        self.before < other.last && other.before < self.last
    }

    /// The parts that it reaches into.
    fn parts(&self) -> RangeInclusive<usize> {
        part_of(self.before.saturating_add(1))..=part_of(self.last)
    }
}

/// Which part a token is in.
#[inline]
fn part_of(token: i64) -> usize {
    usize::try_from(bias(token) >> (u64::BITS - PARTS.ilog2())).unwrap_or(0)
}

impl Tablets {
    /// Where the token's tablet is: nowhere, if that is not known. Replicas on nodes that are not
    /// known are left out.
    #[inline]
    pub(crate) fn find(&self, topology: &Topology, token: Token) -> Homes {
        let mut homes = Homes::default();
        let part = self.parts.get().and_then(|parts| parts.get(part_of(token.0)));
        let Some(part) = part.map(Part::load) else { return homes };
        let Some(tablets) = &*part else { return homes };
        let place = tablets.partition_point(|tablet| tablet.last < token.0);
        let tablet = tablets.get(place).filter(|tablet| tablet.before < token.0);
        for Replica { host_id, shard, node } in tablet.iter().flat_map(|tablet| &tablet.replicas) {
            let node = node.get(topology, || topology.node_index(*host_id));
            if let Some(node) = node.and_then(|node| u16::try_from(node).ok()) {
                homes.push(node, *shard);
            }
        }
        homes
    }

    /// Takes over what a node has told. A result is good whatever comes with it: a tablet that
    /// cannot be read is no error of the request.
    #[cold]
    pub(crate) fn told(&self, content: &[u8]) {
        match Told::parse(content) {
            // As long as there is no connection to its shard, it is told again and again.
            Ok(told) if self.is_known(&told) => {}
            Ok(told) => {
                tracing::debug!(tablet = ?told, "a tablet is learned");
                self.learn(Tablet::from(&told));
            }
            Err(error) => tracing::warn!(%error, "a tablet that cannot be read is passed over"),
        }
    }

    /// Whether this very tablet is known.
    fn is_known(&self, told: &Told<'_>) -> bool {
        let (before, last) = (told.first_token.0, told.last_token.0);
        let part = self.parts.get().and_then(|parts| parts.get(part_of(last)));
        let Some(part) = part.map(Part::load) else { return false };
        let is_it = |tablet: &&Arc<Tablet>| (tablet.before, tablet.last) == (before, last);
        let known = part.iter().flat_map(|tablets| tablets.iter()).find(is_it);
        known.is_some_and(|known| {
            let replicas = known.replicas.iter().map(|replica| (replica.host_id, replica.shard));
            replicas.eq(told.replicas().map(|replica| (replica.host_id, shard(&replica))))
        })
    }

    /// What was known of the tablet's tokens is forgotten. Not if another thread is just learning:
    /// who asks next is told again.
    // Allocates: the lists that the tablet is in.
    fn learn(&self, new: Tablet) {
        let _replacing = match self.replacing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let new = Arc::new(new);
        let parts = self.parts.get_or_init(|| Box::new(std::array::from_fn(|_| Part::default())));
        // Those that go may reach beyond it.
        let mut touched = new.parts();
        for part in parts.get(new.parts()).unwrap_or_default() {
            for gone in part.load().iter().flat_map(|part| &**part).filter(|old| new.overlaps(old))
            {
                let (from, to) = gone.parts().into_inner();
                touched = from.min(*touched.start())..=to.max(*touched.end());
            }
        }
        let is_useful = !new.replicas.is_empty();
        for (index, part) in (0..).zip(parts.iter()) {
            if touched.contains(&index) {
                let new_here = (is_useful && new.parts().contains(&index)).then_some(&new);
                replace(part, |old| !new.overlaps(old), new_here);
            }
        }
    }

    /// Forgets the tablets for which `keep` is not true.
    fn retain(&self, keep: impl Fn(&Tablet) -> bool) {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        for part in self.parts.get().iter().flat_map(|parts| parts.iter()) {
            replace(part, &keep, None);
        }
    }
}

/// Takes out what is not kept and puts in what is new, if there is room.
fn replace(part: &Part, keep: impl Fn(&Tablet) -> bool, new: Option<&Arc<Tablet>>) {
    let present = part.load();
    let kept = present.iter().flat_map(|part| part.iter()).filter(|tablet| keep(tablet));
    let mut next: Vec<Arc<Tablet>> = kept.map(Arc::clone).collect();
    if let Some(new) = new
        && next.len() < TABLETS_PER_PART_MAX
    {
        let place = next.partition_point(|tablet| tablet.last < new.last);
        next.insert(place, Arc::clone(new));
    }
    part.store((!next.is_empty()).then(|| Arc::new(next)));
}

/// The tables that a session's statements are about.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<Vec<Table>>);

#[derive(Debug)]
struct Table {
    keyspace: Box<str>,
    name: Box<str>,
    /// Held by its statements.
    tablets: Weak<Tablets>,
}

impl Tables {
    /// What is known of this table.
    // Allocates: once per table that has statements.
    pub(crate) fn get(&self, keyspace: &str, name: &str) -> Arc<Tablets> {
        let mut tables = self.lock();
        let is_it = |table: &&Table| *table.keyspace == *keyspace && *table.name == *name;
        if let Some(known) = tables.iter().find(is_it).and_then(|table| table.tablets.upgrade()) {
            return known;
        }
        let new = Arc::new(Tablets::default());
        tables.retain(|table| table.tablets.strong_count() > 0);
        let tablets = Arc::downgrade(&new);
        tables.push(Table { keyspace: keyspace.into(), name: name.into(), tablets });
        new
    }

    /// Forgets all tablets of a keyspace: it has changed how many replicas they have, or is gone.
    pub(crate) fn forget_keyspace(&self, name: &str) {
        for table in self.lock().iter().filter(|table| *table.keyspace == *name) {
            table.retain(|_| false);
        }
    }

    /// Forgets the tablets that these nodes had: they are elsewhere now.
    pub(crate) fn forget_nodes(&self, host_ids: &[Uuid]) {
        let is_gone = |replica: &Replica| host_ids.contains(&replica.host_id);
        for table in self.lock().iter() {
            table.retain(|tablet| !tablet.replicas.iter().any(is_gone));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn retain(&self, keep: impl Fn(&Tablet) -> bool) {
        if let Some(tablets) = self.tablets.upgrade() {
            tablets.retain(keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fetch::{NodeRow, Seen};
    use crate::topology::rank::Preference;

    /// Three nodes, whose host ids are 0 to 2.
    fn topology() -> Topology {
        let row = |n: u8| NodeRow {
            host_id: Uuid::from_u128(u128::from(n)),
            address: ([127, 0, 0, n + 1], 9042).into(),
            datacenter: None,
            rack: None,
            tokens: Vec::new(),
        };
        let seen = Seen { nodes: (0..3).map(row).collect(), ..Seen::default() };
        Topology::next(&Topology::empty(), &seen, &Preference::default())
    }

    /// Replicas as node and shard.
    fn learn(tablets: &Tablets, before: i64, last: i64, replicas: &[(u16, u16)]) {
        let replica = |(node, shard): &(u16, u16)| Replica {
            host_id: Uuid::from_u128(u128::from(*node)),
            shard: *shard,
            node: CachedIndex::default(),
        };
        tablets.learn(Tablet { before, last, replicas: replicas.iter().map(replica).collect() });
    }

    /// Nodes and shards that have the token.
    fn homes(tablets: &Tablets, token: i64) -> Vec<(u16, u16)> {
        let homes = tablets.find(&topology(), Token(token));
        homes.nodes().iter().copied().zip(homes.shards().iter().copied()).collect()
    }

    fn known_count(tablets: &Tablets) -> usize {
        let parts = tablets.parts.get().unwrap().iter();
        parts.map(|part| part.load().as_ref().map_or(0, |part| part.len())).sum()
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(homes(&Tablets::default(), 7), []);
    }

    #[test]
    fn a_tablet_is_known_for_its_tokens_and_no_others() {
        let tablets = Tablets::default();
        learn(&tablets, -5, 7, &[(2, 3), (0, 1)]);
        for token in [-4, 0, 7] {
            assert_eq!(homes(&tablets, token), [(2, 3), (0, 1)], "{token}");
        }
        for token in [i64::MIN, -5, 8, i64::MAX] {
            assert_eq!(homes(&tablets, token), [], "{token}");
        }
    }

    #[test]
    fn a_tablet_may_have_all_tokens() {
        let tablets = Tablets::default();
        learn(&tablets, i64::MIN, i64::MAX, &[(1, 4)]);
        for token in [i64::MIN + 1, -1, 0, i64::MAX] {
            assert_eq!(homes(&tablets, token), [(1, 4)]);
        }
        assert_eq!(known_count(&tablets), PARTS);
    }

    /// A tablet is cut in two, and the halves are put together again: none of the old is left, in
    /// no part of the ring that it reached into.
    #[test]
    fn what_overlaps_with_a_new_tablet_goes() {
        let tablets = Tablets::default();
        learn(&tablets, i64::MIN, -1, &[(0, 0)]);
        learn(&tablets, -1, i64::MAX, &[(1, 1)]);
        learn(&tablets, -1, i64::MAX / 2, &[(2, 2)]);
        assert_eq!(homes(&tablets, -1), [(0, 0)]);
        assert_eq!(homes(&tablets, 0), [(2, 2)]);
        assert_eq!(homes(&tablets, i64::MAX / 2), [(2, 2)]);
        assert_eq!(homes(&tablets, i64::MAX / 2 + 1), []);
        assert_eq!(homes(&tablets, i64::MAX), []);
        learn(&tablets, -1, i64::MAX, &[(0, 5)]);
        assert_eq!(homes(&tablets, 0), [(0, 5)]);
        assert_eq!(homes(&tablets, i64::MAX), [(0, 5)]);
        assert_eq!(known_count(&tablets), PARTS);
    }

    #[test]
    fn aims_at_the_shards_of_a_tablet() {
        let topology = topology();
        let tablets = Tablets::default();
        learn(&tablets, 0, 9, &[(2, 7), (1, 0)]);
        let aims = |token| {
            let homes = tablets.find(&topology, Token(token));
            topology.nodes.iter().map(|node| homes.aim(&topology, node)).collect::<Vec<_>>()
        };
        assert_eq!(aims(5), [Aim::Any, Aim::Shard(0), Aim::Shard(7)]);
        assert_eq!(aims(10), [Aim::Any; 3]);
    }

    /// The tokens 2 to 7, by shard 3 of node 1.
    const TOLD: &[u8] = b"\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x07\
        \0\0\0\x24\0\0\0\x01\0\0\0\x1C\
        \0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\0\x03";

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let tablets = Tablets::default();
        tablets.told(&TOLD[..TOLD.len() - 1]);
        assert_eq!(homes(&tablets, 7), []);
    }

    #[test]
    fn what_is_known_is_not_learned_again() {
        let tablets = Tablets::default();
        let present = || tablets.parts.get().unwrap()[part_of(7)].load_full().unwrap();
        tablets.told(TOLD);
        assert_eq!(homes(&tablets, 7), [(1, 3)]);
        let before = present();
        tablets.told(TOLD);
        assert!(Arc::ptr_eq(&before, &present()));
        // Another shard, another node, another range: something is new.
        for (before, replicas) in [(1, [(1, 2)]), (1, [(2, 3)]), (0, [(1, 3)])] {
            learn(&tablets, before, 7, &replicas);
            assert_eq!(homes(&tablets, 7), replicas);
            tablets.told(TOLD);
            assert_eq!(homes(&tablets, 7), [(1, 3)]);
            assert_eq!(homes(&tablets, 1), []);
        }
    }

    #[test]
    fn all_tablets_of_a_table_are_found() {
        for count in [1_u64, 2, 64, 256, 8192] {
            let tablets = Tablets::default();
            let width = u64::MAX / count;
            let before = |n: u64| i64::MIN.wrapping_add_unsigned(n * width);
            let mut order: Vec<u64> = (0..count).collect();
            fastrand::Rng::with_seed(count).shuffle(&mut order);
            for n in order {
                let shard = u16::try_from(n).unwrap();
                learn(&tablets, before(n), before(n + 1), &[(1, shard)]);
            }
            for n in 0..count {
                let expected = [(1, u16::try_from(n).unwrap())];
                assert_eq!(homes(&tablets, before(n) + 1), expected);
                assert_eq!(homes(&tablets, before(n + 1)), expected);
            }
        }
    }

    #[test]
    fn nodes_that_are_not_known_are_left_out() {
        let tablets = Tablets::default();
        learn(&tablets, 0, 9, &[(77, 1), (2, 2)]);
        assert_eq!(homes(&tablets, 5), [(2, 2)]);
        learn(&tablets, 0, 9, &[]);
        assert_eq!(homes(&tablets, 5), []);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let tablets = Tablets::default();
        for n in 0..600_i64 {
            learn(&tablets, n, n + 1, &[(0, 0)]);
        }
        assert_eq!(known_count(&tablets), TABLETS_PER_PART_MAX);
        let replicas: Vec<(u16, u16)> = (0..100).map(|n| (n % 3, 0)).collect();
        learn(&tablets, -9, -1, &replicas);
        assert_eq!(homes(&tablets, -3).len(), REPLICAS_MAX);
    }

    #[test]
    fn tables_are_shared_while_they_are_used() {
        let tables = Tables::default();
        let first = tables.get("k", "t");
        assert!(Arc::ptr_eq(&first, &tables.get("k", "t")));
        assert!(!Arc::ptr_eq(&first, &tables.get("k", "u")));
        drop(first);
        for name in ["a", "b", "c"] {
            tables.get("k", name);
        }
        assert_eq!(tables.lock().len(), 1);
    }

    #[test]
    fn what_has_moved_for_sure_is_forgotten() {
        let tables = Tables::default();
        let (of_k, of_l) = (tables.get("k", "t"), tables.get("l", "t"));
        for tablets in [&of_k, &of_l] {
            learn(tablets, 0, 9, &[(0, 0), (1, 1)]);
            learn(tablets, 9, 19, &[(1, 1), (2, 2)]);
        }
        tables.forget_nodes(&[Uuid::from_u128(0)]);
        for tablets in [&of_k, &of_l] {
            assert_eq!(homes(tablets, 5), []);
            assert_eq!(homes(tablets, 15), [(1, 1), (2, 2)]);
        }
        tables.forget_keyspace("k");
        assert_eq!(homes(&of_k, 15), []);
        assert_eq!(homes(&of_l, 15), [(1, 1), (2, 2)]);
    }

    /// Requests read while others learn.
    #[test]
    fn threads_learn_and_read_at_once() {
        let tablets = Tablets::default();
        std::thread::scope(|scope| {
            for seed in 0..2 {
                let tablets = &tablets;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..2_000 {
                        let n = random.i64(-64..63);
                        learn(tablets, n << 57, (n + 1) << 57, &[(1, 1)]);
                    }
                });
            }
            for n in (-64..63).cycle().take(20_000) {
                let found = homes(&tablets, (n << 57) + 1);
                assert!(found.is_empty() || found == [(1, 1)]);
            }
        });
    }
}
