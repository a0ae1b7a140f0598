//! One partition of several copies: of each cell what is newest wins, as `store.rs` has it.
//!
//! Whatever the order in which copies are made one, the result is the same.

use std::collections::BTreeMap;

use super::{Counter, Elements, NEVER, Partition, Range, Row, Stored};

impl Partition {
    /// Takes over what is newer in another copy.
    pub(super) fn absorb(&mut self, other: &Self) {
        if other.deleted_at > self.deleted_at {
            self.delete(other.deleted_at);
        }
        for (range, at) in &other.deleted_ranges {
            self.delete_range(range.clone(), *at);
        }
        if let Some(statics) = &other.statics {
            self.statics_mut().absorb(statics);
        }
        self.prune_statics();
        for (key, row) in other.rows.iter() {
            let new = || Row::new(row.clustering.clone());
            let mut own = self.rows.remove(key).unwrap_or_else(new);
            own.absorb(row);
            own.prune(self.deleted_at_of(key));
            if !own.is_blank() {
                self.rows.insert(key.clone(), own);
            }
        }
    }

    /// Drops what is hidden of the static columns, and them if nothing is left.
    fn prune_statics(&mut self) {
        if let Some(statics) = &mut self.statics {
            statics.prune(self.deleted_at);
            if statics.is_blank() {
                self.statics = None;
            }
        }
    }

    /// What it has in some ranges, and beside the rows, without what is hidden: two copies show
    /// the same, now and whatever is written to both, if these are equal.
    pub(super) fn slice(&self, ranges: &[Range]) -> Self {
        let mut slice = Self::new(self.key.clone());
        slice.deleted_at = self.deleted_at;
        slice.statics = self.statics.clone();
        slice.prune_statics();
        let newer = self.deleted_ranges.iter().filter(|(_, at)| *at > self.deleted_at);
        let within = newer.flat_map(|(deleted, at)| {
            let common = ranges.iter().map(|range| range.intersection(deleted));
            common.filter(|range| !range.is_empty()).map(|range| (range, *at))
        });
        slice.deleted_ranges = flatten(within.collect());
        for (key, row) in ranges.iter().flat_map(|range| self.stored(range)) {
            let mut row = row.clone();
            row.prune(self.deleted_at_of(key));
            if !row.is_blank() {
                slice.rows.insert(key.clone(), row);
            }
        }
        slice
    }

    /// Whether there is nothing in it, not even a deletion.
    pub(super) fn is_blank(&self) -> bool {
        self.deleted_at == NEVER
            && self.deleted_ranges.is_empty()
            && self.statics.is_none()
            && self.rows.is_empty()
    }
}

impl Row {
    fn absorb(&mut self, other: &Self) {
        self.delete(other.deleted_at);
        if let Some(stamp) = other.marker {
            self.mark(stamp);
        }
        for (column, stored) in &other.columns {
            match stored {
                Stored::Whole(cell) => self.write(*column, cell.clone()),
                Stored::Elements(Elements { deleted_at, by_path }) => {
                    self.delete_elements(*column, *deleted_at);
                    for (path, element) in by_path {
                        self.write_element(*column, path.clone(), element.clone());
                    }
                }
                Stored::Counter(counter) => {
                    for shard in &counter.shards {
                        self.count(*column, *shard, counter.sum.stamp);
                    }
                }
            }
        }
    }

    /// Drops what a deletion around it, or one in it, hides.
    fn prune(&mut self, deleted_around_at: i64) {
        let deleted_at = self.deleted_at.max(deleted_around_at);
        if self.deleted_at <= deleted_around_at {
            self.deleted_at = NEVER;
        }
        self.marker = self.marker.filter(|marker| marker.at > deleted_at);
        self.columns.retain_mut(|(_, stored)| match stored {
            Stored::Whole(cell) => cell.stamp.at > deleted_at,
            Stored::Elements(elements) => {
                if elements.deleted_at <= deleted_at {
                    elements.deleted_at = NEVER;
                }
                let deleted_at = deleted_at.max(elements.deleted_at);
                elements.by_path.retain(|_, element| element.cell.stamp.at > deleted_at);
                elements.deleted_at > NEVER || !elements.by_path.is_empty()
            }
            Stored::Counter(counter) => counter.prune(deleted_at),
        });
    }

    fn is_blank(&self) -> bool {
        self.marker.is_none() && self.deleted_at == NEVER && self.columns.is_empty()
    }
}

impl Counter {
    /// Drops what was counted before; whether anything is left.
    fn prune(&mut self, deleted_at: i64) -> bool {
        let count = self.shards.len();
        self.shards.retain(|shard| shard.clock > deleted_at);
        if self.shards.len() < count {
            self.add_up();
        }
        !self.shards.is_empty() && self.sum.stamp.at > deleted_at
    }
}

impl Range {
    fn intersection(&self, other: &Self) -> Self {
        let to = match (&self.to, &other.to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.as_ref().or(b.as_ref()),
        };
        Self { from: self.from.clone().max(other.from.clone()), to: to.cloned() }
    }
}

/// Ranges that do not overlap, in order, each with the last of the times that it was deleted at;
/// those of one time that touch are one.
fn flatten(ranges: Vec<(Range, i64)>) -> Vec<(Range, i64)> {
    // Where something begins (1) or ends (-1), and its time.
    let mut edges: BTreeMap<Vec<u8>, Vec<(i64, i32)>> = BTreeMap::new();
    for (Range { from, to }, at) in ranges {
        edges.entry(from).or_default().push((at, 1));
        if let Some(to) = to {
            edges.entry(to).or_default().push((at, -1));
        }
    }
    let mut counts: BTreeMap<i64, i32> = BTreeMap::new();
    let mut flat = Vec::new();
    let mut open: Option<(Vec<u8>, i64)> = None;
    for (edge, changes) in edges {
        for (at, change) in changes {
            *counts.entry(at).or_default() += change;
        }
        counts.retain(|_, count| *count > 0);
        let last = counts.last_key_value().map(|(at, _)| *at);
        if last == open.as_ref().map(|(_, at)| *at) {
            continue;
        }
        if let Some((from, at)) = open.take() {
            flat.push((Range { from, to: Some(edge.clone()) }, at));
        }
        open = last.map(|at| (edge, at));
    }
    flat.extend(open.map(|(from, at)| (Range { from, to: None }, at)));
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Cell, Element, Shard, Stamp};

    const COPIES: usize = 3;

    /// Something random is written, to all of these alike.
    fn write(random: &mut fastrand::Rng, copies: &mut [&mut Partition]) {
        let (row, path) = (random.u8(0..4), random.u8(0..3));
        let at = random.i64(1..8);
        let ttl_s = random.i32(1..4);
        let expires = (random.u8(0..3) == 0).then(|| (random.i64(10..13), ttl_s));
        let stamp = Stamp { at, expires };
        let value = (random.u8(0..4) > 0).then(|| vec![random.u8(0..3)]);
        let expires = expires.filter(|_| value.is_some());
        let cell = Cell::new(Stamp { at, expires }, value);
        let to = random.u8(0..=4);
        let kind = random.u8(0..12);
        for copy in copies {
            let cell = cell.clone();
            match kind {
                0..3 => copy.row(vec![row], Vec::new()).write(1, cell),
                3 => copy.row(vec![row], Vec::new()).mark(stamp),
                4 => copy.statics_mut().write(0, cell),
                5..7 => {
                    let element = Element { key: Vec::new(), cell };
                    copy.row(vec![row], Vec::new()).write_element(2, vec![path], element);
                }
                7 => copy.row(vec![row], Vec::new()).delete_elements(2, at),
                8 => copy.row(vec![row], Vec::new()).delete(at),
                9..11 => copy.delete_range(Range { from: vec![row], to: Some(vec![to]) }, at),
                _ => copy.delete(at),
            }
        }
    }

    fn all(partition: &Partition) -> Partition {
        partition.slice(&[Range::all()])
    }

    #[test]
    fn copies_made_one_are_what_one_copy_would_be() {
        for seed in 0..30_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut whole = Partition::new(Vec::new());
            let mut copies: [Partition; COPIES] =
                std::array::from_fn(|_| Partition::new(Vec::new()));
            for _ in 0..random.usize(1..12) {
                let first = random.usize(0..COPIES);
                let gets: [bool; COPIES] = std::array::from_fn(|n| n == first || random.bool());
                let takers = copies.iter_mut().zip(gets).filter(|(_, gets)| *gets);
                let mut takers: Vec<_> = takers.map(|(copy, _)| copy).collect();
                takers.push(&mut whole);
                write(&mut random, &mut takers);
            }
            random.shuffle(&mut copies);
            let [mut merged, others @ ..] = copies.clone();
            others.iter().for_each(|other| merged.absorb(other));
            assert_eq!(all(&merged), all(&whole), "{seed}: {copies:?}");
            // So are slices, put together again.
            let edge = vec![random.u8(0..5)];
            let low = Range { from: Vec::new(), to: Some(edge.clone()) };
            let high = Range { from: edge, to: None };
            let mut joined = whole.slice(&[low]);
            joined.absorb(&merged.slice(&[high]));
            assert_eq!(all(&joined), all(&whole), "{seed}: {copies:?}");
        }
    }

    #[test]
    fn counters_lose_nothing_and_count_nothing_twice() {
        for seed in 0..2000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut copies: [Partition; COPIES] =
                std::array::from_fn(|_| Partition::new(Vec::new()));
            let mut total = 0;
            for at in 1..random.i64(2..12) {
                let leader = random.usize(0..COPIES);
                let by = random.i64(-5..6);
                total += by;
                let own = copies[leader].find(&[1], 0).and_then(|row| row.shard(1, leader));
                let shard = Shard::next(leader, own, by, at);
                for (node, copy) in copies.iter_mut().enumerate() {
                    if node == leader || random.bool() {
                        let row = copy.row(vec![1], Vec::new());
                        row.count(1, shard, Stamp { at, expires: None });
                    }
                }
            }
            let mut merged = copies[0].clone();
            copies.iter().rev().for_each(|copy| merged.absorb(copy));
            let sum = merged.find(&[1], 0).and_then(|row| row.cell(1)?.value.clone());
            assert_eq!(sum.as_deref(), Some(&total.to_be_bytes()[..]), "{seed}");
        }
    }

    #[test]
    fn deleted_ranges_come_apart_and_together() {
        let range = |from, to: Option<u8>| Range { from: vec![from], to: to.map(|to| vec![to]) };
        let flat = flatten(vec![
            (range(1, Some(5)), 10),
            (range(3, Some(4)), 20),
            (range(5, Some(7)), 10),
            (range(6, None), 5),
        ]);
        let expect = [
            (range(1, Some(3)), 10),
            (range(3, Some(4)), 20),
            (range(4, Some(7)), 10),
            (range(7, None), 5),
        ];
        assert_eq!(flat, expect);
    }
}
