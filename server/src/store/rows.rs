//! The rows of one partition, by key.
//!
//! Most partitions have one row or a few. A tree keeps room for eleven in its smallest node, so a
//! few rows are kept in a list that is as long as they are.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::slice;

use super::Row;

/// Beyond so many rows a partition has a tree.
const FEW: usize = 8;

#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// By key, ascending.
    Few(Vec<(Vec<u8>, Row)>),
    Many(BTreeMap<Vec<u8>, Row>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// The same rows are the same, however they are kept.
impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Rows {}

fn place(few: &[(Vec<u8>, Row)], key: &[u8]) -> Result<usize, usize> {
    few.binary_search_by(|(known, _)| known.as_slice().cmp(key))
}

impl Rows {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(few) => few.is_empty(),
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Row> {
        match self {
            Self::Few(few) => few.get(place(few, key).ok()?).map(|(_, row)| row),
            Self::Many(many) => many.get(key),
        }
    }

    /// The row with this key; `new` is put there if there is none.
    pub(crate) fn get_or_insert(
        &mut self,
        key: impl AsRef<[u8]> + Into<Vec<u8>>,
        new: impl FnOnce() -> Row,
    ) -> &mut Row {
        self.make_room(key.as_ref());
        match self {
            Self::Many(many) => many.entry(key.into()).or_insert_with(new),
            Self::Few(few) => {
                let at = place(few, key.as_ref()).unwrap_or_else(|at| {
                    few.reserve_exact(1);
                    few.insert(at, (key.into(), new()));
                    at
                });
                #[expect(clippy::indexing_slicing, reason = "it has been found there, or put")]
                let (_, row) = &mut few[at];
                row
            }
        }
    }

    pub(crate) fn insert(&mut self, key: Vec<u8>, row: Row) {
        let mut row = Some(row);
        let at = self.get_or_insert(key, || row.take().unwrap_or_else(|| Row::new(Vec::new())));
        if let Some(row) = row {
            *at = row;
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Row> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|at| few.remove(at).1),
            Self::Many(many) => many.remove(key),
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&[u8], &Row) -> bool) {
        match self {
            Self::Few(few) => few.retain(|(key, row)| keep(key, row)),
            Self::Many(many) => many.retain(|key, row| keep(key, row)),
        }
    }

    /// From a key on, up to another that is left out.
    pub(crate) fn range(&self, from: &[u8], to: Option<&[u8]>) -> Iter<'_> {
        match self {
            Self::Few(few) => {
                let start = few.partition_point(|(key, _)| key.as_slice() < from);
                let end =
                    to.map_or(few.len(), |to| few.partition_point(|(key, _)| key.as_slice() < to));
                Iter::Few(few.get(start..end).unwrap_or_default().iter())
            }
            Self::Many(many) => {
                // A tree panics at ranges that end before they begin.
                let to = match to {
                    Some(to) => Bound::Excluded(to.max(from)),
                    None => Bound::Unbounded,
                };
                Iter::Many(many.range::<[u8], _>((Bound::Included(from), to)))
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        self.range(&[], None)
    }

    /// Turns a list that is full into a tree, if `key` is not in it.
    fn make_room(&mut self, key: &[u8]) {
        let Self::Few(few) = self else { return };
        if few.len() >= FEW && place(few, key).is_err() {
            *self = Self::Many(std::mem::take(few).into_iter().collect());
        }
    }
}

/// Rows and their keys, ascending.
#[derive(Clone, Debug)]
pub(crate) enum Iter<'a> {
    Few(slice::Iter<'a, (Vec<u8>, Row)>),
    Many(btree_map::Range<'a, Vec<u8>, Row>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a Vec<u8>, &'a Row);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(few) => few.next().map(|(key, row)| (key, row)),
            Self::Many(many) => many.next(),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(few) => few.next_back().map(|(key, row)| (key, row)),
            Self::Many(many) => many.next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list that turns into a tree is the same as a tree all the time.
    #[test]
    fn lists_and_trees_hold_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let (mut rows, mut tree) = (Rows::default(), BTreeMap::new());
            for step in 0..random.i64(0..40) {
                let key = vec![random.u8(0..12); random.usize(0..2)];
                let mut row = Row::new(vec![key.clone()]);
                row.delete(step);
                match random.u8(0..4) {
                    0 => assert_eq!(rows.remove(&key), tree.remove(&key)),
                    1 => {
                        rows.insert(key.clone(), row.clone());
                        tree.insert(key, row);
                    }
                    2 => {
                        let found = rows.get_or_insert(key.clone(), || row.clone()).clone();
                        assert_eq!(found, *tree.entry(key).or_insert(row));
                    }
                    _ => {
                        rows.retain(|known, _| known != key);
                        tree.retain(|known, _| *known != key);
                    }
                }
                assert!(rows.iter().eq(tree.iter()));
                assert!(rows.iter().rev().eq(tree.iter().rev()));
                assert_eq!(rows.is_empty(), tree.is_empty());
                let (a, b) = (vec![random.u8(0..12)], vec![random.u8(0..12)]);
                assert_eq!(rows.get(&a), tree.get(&a));
                let inside = tree.iter().filter(|(key, _)| **key >= a && **key < b);
                assert!(rows.range(&a, Some(&b)).eq(inside));
                assert!(rows.range(&a, None).eq(tree.range(a.clone()..)));
            }
        }
    }
}
