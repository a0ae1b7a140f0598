//! What single replicas have of a partition, once they have not seen what the others have.
//!
//! As long as all replicas have seen the same there is one copy, in [`TableData`] itself. A replica
//! that misses a write gets a copy of its own, as the partition was before; from then on it takes
//! writes into that one and is read from it, until it has what the others have again. So a cluster
//! without trouble keeps and reads rows once, and looks the same as one that keeps them thrice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{Partition, PartitionKey, Range, TableData};
use crate::routing::{NodeIndex, NodeSet};

/// What becomes of a write at one replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Taken,
    /// The replica takes it when it goes on.
    Queued,
    Missed,
}

/// A write to one partition, as its replicas get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    /// Nothing but what is written.
    pub(crate) delta: &'a Partition,
    pub(crate) replica: NodeIndex,
    pub(crate) fate: Fate,
    /// Who keeps a hint, if the write is not taken.
    pub(crate) hinted_by: Option<NodeIndex>,
    /// Paxos has decided on it.
    pub(crate) is_commit: bool,
}

/// By partition, then by replica. Partitions that are here are in the table, too.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<PartitionKey, BTreeMap<NodeIndex, OwnCopy>>);

/// What one replica has, and what it is yet to get.
#[derive(Debug, Default)]
struct OwnCopy {
    content: Option<Partition>,
    /// To be taken when the replica goes on: first this deletes all.
    truncates: bool,
    queued: Option<Partition>,
    /// By the node that keeps it. Writes are put together, so that hints take no more room than
    /// rows.
    hints: BTreeMap<NodeIndex, Partition>,
    /// The last thing that Paxos has decided, if the replica does not know it.
    missed_commit: Option<Partition>,
}

impl OwnCopy {
    fn take(&mut self, delta: &Partition) {
        add(&mut self.content, delta);
    }

    /// Whether it is yet to get something that others need not have.
    fn is_owed(&self) -> bool {
        self.truncates || self.queued.is_some() || !self.hints.is_empty()
    }
}

fn add(to: &mut Option<Partition>, delta: &Partition) {
    to.get_or_insert_with(|| Partition::new(delta.key.clone())).absorb(delta);
}

/// Without what is hidden; nothing where nothing is left.
fn bare(partition: Option<&Partition>) -> Option<Partition> {
    let bare = partition?.slice(&[Range::all()]);
    (!bare.is_blank()).then_some(bare)
}

/// What a reader sees of a partition.
#[derive(Clone, Debug)]
enum What {
    /// What this replica has, as the others that were asked have it.
    Held(NodeIndex),
    /// What they have together, as they differ.
    Merged(Partition),
}

/// What a read gets to know of a partition of which there are several copies.
#[derive(Clone, Debug)]
struct Sight {
    asked: Vec<NodeIndex>,
    what: What,
}

/// What a read gets to know of all such partitions that it may come across.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    by_key: BTreeMap<PartitionKey, Sight>,
    /// Those that it has come across.
    met: RefCell<BTreeSet<PartitionKey>>,
}

impl Seen {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Partitions that were met and of which copies differed, with the replicas that were asked.
    pub(crate) fn differing(&self) -> Vec<(PartitionKey, Vec<NodeIndex>)> {
        let met = self.met.borrow();
        let differing = self
            .by_key
            .iter()
            .filter(|(key, sight)| matches!(sight.what, What::Merged(_)) && met.contains(*key));
        differing.map(|(key, sight)| (key.clone(), sight.asked.clone())).collect()
    }
}

/// The rows of a table as one reader sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    data: &'a TableData,
    /// Of those that there are several copies of; none where there are no such.
    seen: Option<&'a Seen>,
}

impl<'a> View<'a> {
    /// Of a table whose rows are the same on all nodes, or of a node's own.
    pub(crate) fn whole(data: &'a TableData) -> Self {
        Self { data, seen: None }
    }

    pub(crate) fn new(data: &'a TableData, seen: &'a Seen) -> Self {
        Self { data, seen: (!seen.is_empty()).then_some(seen) }
    }

    pub(crate) fn find(&self, key: &PartitionKey) -> Option<&'a Partition> {
        match self.instead(key) {
            Some(found) => found,
            None => self.data.find(key),
        }
    }

    /// Partitions from `from` on, in token order.
    pub(crate) fn from(
        self,
        from: &PartitionKey,
    ) -> impl Iterator<Item = (&'a PartitionKey, &'a Partition)> {
        let all = self.data.from(from);
        all.filter_map(move |(key, partition)| match self.instead(key) {
            Some(found) => found.map(|found| (key, found)),
            None => Some((key, partition)),
        })
    }

    /// What is there instead of what most replicas have.
    fn instead(&self, key: &PartitionKey) -> Option<Option<&'a Partition>> {
        let seen = self.seen?;
        let sight = seen.by_key.get(key)?;
        seen.met.borrow_mut().insert(key.clone());
        Some(match &sight.what {
            What::Held(node) => self.data.held_by(key, *node),
            What::Merged(merged) => Some(merged),
        })
    }
}

impl TableData {
    /// Whether replicas differ, or have.
    #[inline]
    pub(crate) fn has_copies(&self) -> bool {
        !self.copies.0.is_empty()
    }

    /// Whether replicas of this partition differ, or have.
    pub(crate) fn is_apart(&self, key: &PartitionKey) -> bool {
        self.copies.0.contains_key(key)
    }

    /// Partitions with several copies.
    pub(crate) fn apart(&self) -> impl Iterator<Item = &PartitionKey> {
        self.copies.0.keys()
    }

    /// What a replica has.
    pub(crate) fn held_by(&self, key: &PartitionKey, node: NodeIndex) -> Option<&Partition> {
        match self.copies.0.get(key).and_then(|copies| copies.get(&node)) {
            Some(own) => own.content.as_ref(),
            None => self.partitions.get(key),
        }
    }

    /// What a replica will have once it has gone on.
    pub(crate) fn expected_of(&self, key: &PartitionKey, node: NodeIndex) -> Option<Partition> {
        let own = self.copies.0.get(key).and_then(|copies| copies.get(&node));
        let Some(own) = own else { return self.partitions.get(key).cloned() };
        let mut expected = own.content.clone().filter(|_| !own.truncates);
        own.queued.iter().for_each(|queued| add(&mut expected, queued));
        expected
    }

    /// Brings a write to each replica. At least one of them does not take it, or has a copy of its
    /// own.
    pub(crate) fn write_apart(&mut self, key: &PartitionKey, deliveries: &[Delivery<'_>]) {
        let Self { partitions, copies, .. } = self;
        let copies = copies.0.entry(key.clone()).or_default();
        // Those that do not take it stay as they are, before the others change.
        for delivery in deliveries.iter().filter(|delivery| delivery.fate != Fate::Taken) {
            let own = copies.entry(delivery.replica).or_insert_with(|| OwnCopy {
                content: partitions.get(key).cloned(),
                ..OwnCopy::default()
            });
            if delivery.fate == Fate::Queued {
                add(&mut own.queued, delivery.delta);
            }
            if let Some(holder) = delivery.hinted_by {
                let new = || Partition::new(delivery.delta.key.clone());
                own.hints.entry(holder).or_insert_with(new).absorb(delivery.delta);
            }
            if delivery.is_commit {
                own.missed_commit = Some(delivery.delta.clone());
            }
        }
        for delivery in deliveries {
            let new = || Partition::new(delivery.delta.key.clone());
            let shared = partitions.get_or_insert(key.token, &key.bytes, new);
            match copies.get_mut(&delivery.replica) {
                _ if delivery.fate != Fate::Taken => {}
                Some(own) => {
                    own.take(delivery.delta);
                    if delivery.is_commit {
                        own.missed_commit = None;
                    }
                }
                None => shared.absorb(delivery.delta),
            }
        }
    }

    /// Asks replicas for some ranges of partitions; of those that all have alike there is nothing
    /// to be known.
    pub(crate) fn see(
        &self,
        keys: impl IntoIterator<Item = (PartitionKey, Vec<NodeIndex>)>,
        ranges: &[Range],
    ) -> Seen {
        let sight = |(key, asked): (PartitionKey, Vec<NodeIndex>)| {
            self.is_apart(&key).then(|| {
                let what = self.sight(&key, &asked, ranges);
                (key, Sight { asked, what })
            })
        };
        let by_key = keys.into_iter().filter_map(sight).collect();
        Seen { by_key, met: RefCell::default() }
    }

    fn sight(&self, key: &PartitionKey, asked: &[NodeIndex], ranges: &[Range]) -> What {
        let Some((first, others)) = asked.split_first() else { return What::Held(0) };
        if others.is_empty() {
            return What::Held(*first);
        }
        let held: Vec<_> = asked.iter().filter_map(|node| self.held_by(key, *node)).collect();
        let Some(any) = held.first() else { return What::Held(*first) };
        let mut merged = Partition::new(any.key.clone());
        let slices: Vec<_> = held.iter().map(|partition| partition.slice(ranges)).collect();
        slices.iter().for_each(|slice| merged.absorb(slice));
        let merged = merged.slice(ranges);
        let is_missing = slices.len() < asked.len() && !merged.is_blank();
        if is_missing || slices.iter().any(|slice| *slice != merged) {
            What::Merged(merged)
        } else {
            What::Held(*first)
        }
    }

    /// Gives each replica that was asked what they have together. `all` are the partition's.
    pub(crate) fn repair(
        &mut self,
        key: &PartitionKey,
        asked: &[NodeIndex],
        ranges: &[Range],
        all: NodeSet,
    ) {
        if !self.is_apart(key) {
            return;
        }
        let What::Merged(merged) = self.sight(key, asked, ranges) else {
            return self.settle(key, all);
        };
        let Self { partitions, copies, .. } = self;
        let copies = copies.0.entry(key.clone()).or_default();
        let is_alone = all.iter().all(|node| copies.contains_key(&node) || asked.contains(&node));
        for node in asked {
            match copies.get_mut(node) {
                Some(own) => own.take(&merged),
                // Those that share a copy and were asked are all that do.
                None if is_alone => {
                    let new = || Partition::new(merged.key.clone());
                    partitions.get_or_insert(key.token, &key.bytes, new).absorb(&merged);
                }
                None => {
                    let content = partitions.get(key).cloned();
                    let mut own = OwnCopy { content, ..OwnCopy::default() };
                    own.take(&merged);
                    copies.insert(*node, own);
                }
            }
        }
        self.settle(key, all);
    }

    /// Gives replicas what Paxos has decided without them.
    pub(crate) fn catch_up(&mut self, key: &PartitionKey, nodes: &[NodeIndex], all: NodeSet) {
        let Some(copies) = self.copies.0.get_mut(key) else { return };
        for node in nodes {
            let Some(own) = copies.get_mut(node) else { continue };
            if let Some(commit) = own.missed_commit.take() {
                own.take(&commit);
            }
        }
        self.settle(key, all);
    }

    /// Drops copies that are like the others' again. `all` are the partition's replicas.
    fn settle(&mut self, key: &PartitionKey, all: NodeSet) {
        let Some(copies) = self.copies.0.get_mut(key) else { return };
        copies.retain(|node, _| all.contains(*node));
        if !copies.is_empty() && all.iter().all(|node| copies.contains_key(&node)) {
            // Nobody has the common copy; what most have in common will do for one.
            let mut merged = None;
            let contents = copies.values().filter_map(|own| own.content.as_ref());
            contents.for_each(|content| add(&mut merged, content));
            match merged {
                Some(merged) => self.partitions.insert(key, merged),
                None => self.partitions.remove(key),
            }
        }
        let common = bare(self.partitions.get(key));
        copies.retain(|_, own| own.is_owed() || bare(own.content.as_ref()) != common);
        if !copies.is_empty() {
            return;
        }
        self.copies.0.remove(key);
        if common.is_none() {
            self.partitions.remove(key);
        }
    }

    /// Brings what is owed to nodes that are up: what has waited for them to go on, and the hints
    /// of nodes that are up too.
    pub(crate) fn deliver(
        &mut self,
        is_up: impl Fn(NodeIndex) -> bool,
        replicas: impl Fn(i64) -> NodeSet,
    ) {
        let keys: Vec<_> = self.copies.0.keys().cloned().collect();
        for key in keys {
            let Some(copies) = self.copies.0.get_mut(&key) else { continue };
            let mut is_changed = false;
            let owed = copies.iter_mut().filter(|(node, own)| is_up(**node) && own.is_owed());
            for (_, own) in owed {
                if std::mem::take(&mut own.truncates) {
                    own.content = None;
                }
                if let Some(queued) = own.queued.take() {
                    own.take(&queued);
                }
                let hints = std::mem::take(&mut own.hints).into_iter();
                let (due, kept): (Vec<_>, Vec<_>) = hints.partition(|(holder, _)| is_up(*holder));
                own.hints = kept.into_iter().collect();
                due.iter().for_each(|(_, hint)| own.take(hint));
                is_changed = true;
            }
            if is_changed {
                self.settle(&key, replicas(key.token));
            }
        }
    }

    /// Forgets what a node would have taken had it gone on.
    pub(crate) fn lose(&mut self, node: NodeIndex) {
        for own in self.copies.0.values_mut().filter_map(|copies| copies.get_mut(&node)) {
            (own.truncates, own.queued) = (false, None);
        }
    }

    /// Forgets all rows, on the nodes that take part; those that are paused will when they go on.
    pub(crate) fn truncate(&mut self, paused: &[NodeIndex], replicas: impl Fn(i64) -> NodeSet) {
        let old = std::mem::replace(self, Self::with(self.partitioner));
        if paused.is_empty() {
            return;
        }
        for key in old.partitions.keys() {
            let all = replicas(key.token);
            for node in paused.iter().copied().filter(|node| all.contains(*node)) {
                let Some(content) = old.held_by(key, node).cloned() else { continue };
                let blank = Partition::new(content.key.clone());
                let own = OwnCopy { content: Some(content), truncates: true, ..OwnCopy::default() };
                self.copies.0.entry(key.clone()).or_default().insert(node, own);
                self.partitions.insert(key, blank);
            }
        }
    }

    /// Others hold a partition now; what they get is what those that are up and have held it have
    /// together.
    pub(crate) fn stream(
        &mut self,
        is_up: impl Fn(NodeIndex) -> bool,
        old: impl Fn(i64) -> NodeSet,
        new: impl Fn(i64) -> NodeSet,
    ) {
        let keys: Vec<_> = self.copies.0.keys().cloned().collect();
        for key in keys {
            let (old, new) = (old(key.token), new(key.token));
            let asked: Vec<_> = old.iter().filter(|node| is_up(*node)).collect();
            let content = match self.sight(&key, &asked, &[Range::all()]) {
                _ if asked.is_empty() => None,
                What::Merged(merged) => Some(merged),
                What::Held(node) => self.held_by(&key, node).cloned(),
            };
            let copies = self.copies.0.entry(key.clone()).or_default();
            for node in new.iter().filter(|node| !old.contains(*node)) {
                let content = content.clone();
                copies.insert(node, OwnCopy { content, ..OwnCopy::default() });
            }
            self.settle(&key, new);
        }
    }

    /// Others are to hold partitions from now on, and have nothing of them yet.
    pub(crate) fn spread(&mut self, old: impl Fn(i64) -> NodeSet, new: impl Fn(i64) -> NodeSet) {
        let keys: Vec<_> = self.partitions.keys().cloned().collect();
        for key in keys {
            let (old, new) = (old(key.token), new(key.token));
            if old == new {
                continue;
            }
            let copies = self.copies.0.entry(key.clone()).or_default();
            for node in new.iter().filter(|node| !old.contains(*node)) {
                copies.insert(node, OwnCopy::default());
            }
            self.settle(&key, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Stamp};
    use super::*;

    const ALL: [NodeIndex; 3] = [0, 1, 2];

    fn replicas(_: i64) -> NodeSet {
        NodeSet::of(ALL)
    }

    fn key() -> PartitionKey {
        PartitionKey::new(&[vec![7]])
    }

    fn delta(column: u16, at: i64) -> Partition {
        let mut delta = Partition::new(vec![vec![7]]);
        let stamp = Stamp { at, expires: None };
        let value = Some(at.to_be_bytes().to_vec());
        delta.row(vec![1], Vec::new()).write(column, Cell::new(stamp, value));
        delta
    }

    /// A write that some do not take; the first node keeps hints if there are to be any.
    fn write(data: &mut TableData, at: i64, fates: [Fate; 3], hints: bool) {
        let delta = delta(1, at);
        let delivery = |(replica, fate)| Delivery {
            delta: &delta,
            replica,
            fate,
            hinted_by: (hints && fate != Fate::Taken).then_some(0),
            is_commit: false,
        };
        let deliveries = fates.into_iter().enumerate().map(delivery);
        data.write_apart(&key(), &deliveries.collect::<Vec<_>>());
    }

    /// When what each has was written.
    fn held(data: &TableData) -> [i64; 3] {
        ALL.map(|node| {
            let row = data.held_by(&key(), node).and_then(|partition| partition.find(&[1], 0));
            row.and_then(|row| row.cell(1)).map_or(0, |cell| cell.stamp.at)
        })
    }

    use Fate::{Missed, Queued, Taken};

    #[test]
    fn who_misses_a_write_keeps_what_it_had() {
        let mut data = TableData::default();
        write(&mut data, 10, [Taken, Taken, Missed], false);
        write(&mut data, 20, [Taken, Missed, Taken], false);
        write(&mut data, 30, [Missed, Missed, Taken], false);
        assert_eq!(held(&data), [20, 10, 30]);
        let seen = data.see([(key(), vec![1])], &[Range::all()]);
        let view = View::new(&data, &seen);
        assert!(view.find(&key()).is_some() && seen.differing().is_empty());
        // Two that are asked agree, the third keeps what it has.
        let seen = data.see([(key(), vec![1, 0])], &[Range::all()]);
        assert_eq!(View::new(&data, &seen).from(&PartitionKey::first()).count(), 1);
        assert_eq!(seen.differing(), [(key(), vec![1, 0])]);
        data.repair(&key(), &[1, 0], &[Range::all()], replicas(0));
        assert_eq!(held(&data), [20, 20, 30]);
        data.repair(&key(), &ALL, &[Range::all()], replicas(0));
        assert_eq!(held(&data), [30, 30, 30]);
        assert!(!data.has_copies(), "all have the same");
    }

    #[test]
    fn some_that_share_a_copy_are_repaired_without_the_others() {
        let mut data = TableData::default();
        write(&mut data, 10, [Taken, Taken, Missed], false);
        write(&mut data, 20, [Missed, Missed, Taken], false);
        data.repair(&key(), &[0, 2], &[Range::all()], replicas(0));
        assert_eq!(held(&data), [20, 10, 20]);
    }

    #[test]
    fn hints_come_when_both_ends_are_up() {
        let mut data = TableData::default();
        write(&mut data, 10, [Taken, Taken, Missed], true);
        write(&mut data, 20, [Taken, Taken, Missed], true);
        data.deliver(|node| node == 0, replicas);
        data.deliver(|node| node == 2, replicas);
        assert_eq!(held(&data), [20, 20, 0]);
        data.deliver(|_| true, replicas);
        assert_eq!(held(&data), [20, 20, 20]);
        assert!(!data.has_copies());
    }

    #[test]
    fn what_waits_is_taken_or_lost() {
        let mut data = TableData::default();
        write(&mut data, 10, [Taken, Queued, Queued], false);
        assert_eq!(held(&data), [10, 0, 0]);
        data.lose(2);
        data.deliver(|_| true, replicas);
        assert_eq!(held(&data), [10, 10, 0]);
        data.truncate(&[1], replicas);
        write(&mut data, 20, [Taken, Queued, Taken], false);
        assert_eq!(held(&data), [20, 10, 20]);
        assert_eq!(data.expected_of(&key(), 1), Some(delta(1, 20)));
        data.deliver(|_| true, replicas);
        assert_eq!(held(&data), [20, 20, 20]);
        data.truncate(&[1], replicas);
        data.deliver(|_| true, replicas);
        assert!(!data.has_copies() && data.find(&key()).is_none());
    }

    #[test]
    fn others_get_what_is_there_or_nothing() {
        let mut data = TableData::default();
        write(&mut data, 10, [Taken, Taken, Missed], false);
        let two = |_| NodeSet::of([1, 2]);
        // The first leaves: the third is a replica as it was, and nobody else has come.
        data.stream(|_| true, replicas, two);
        assert_eq!(held(&data)[1..], [10, 0]);
        data.stream(|node| node == 1, two, replicas);
        assert_eq!(held(&data), [10, 10, 0]);
        data.repair(&key(), &ALL, &[Range::all()], replicas(0));
        data.spread(two, replicas);
        assert_eq!(held(&data), [0, 10, 10]);
        data.spread(replicas, |_| NodeSet::default());
        assert!(data.find(&key()).is_some(), "nobody has it, but it is not gone");
    }

    #[test]
    fn a_round_of_paxos_brings_the_last_decision() {
        let mut data = TableData::default();
        for (at, column) in [(10, 2), (20, 1)] {
            let delta = delta(column, at);
            let delivery = |replica| Delivery {
                delta: &delta,
                replica,
                fate: if replica == 2 { Missed } else { Taken },
                hinted_by: None,
                is_commit: true,
            };
            data.write_apart(&key(), &ALL.map(delivery));
        }
        data.catch_up(&key(), &ALL, replicas(0));
        assert_eq!(held(&data), [20, 20, 20]);
        let third = data.held_by(&key(), 2).and_then(|partition| partition.find(&[1], 0));
        assert!(third.is_some_and(|row| row.cell(2).is_none()), "the one before is still missing");
    }
}
