//! A list that only grows, so that what borrows an item may keep it while others are added.
//!
//! Nodes are added while connections hold on to theirs. Room for all is taken at the start: a
//! cluster has at most as many nodes as a net has addresses.

use std::cell::OnceCell;

use crate::routing::NODES_MAX;

/// Something of each node, by index.
#[derive(Debug)]
pub(crate) struct Growing<T>(Box<[OnceCell<T>]>);

impl<T> Growing<T> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index)?.get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map_while(OnceCell::get)
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Adds an item; gives it back if there is no room.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        match self.0.get(self.len()) {
            Some(slot) => slot.set(item),
            None => Err(item),
        }
    }
}

impl<T> FromIterator<T> for Growing<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let slot = |_| items.next().map_or_else(OnceCell::new, OnceCell::from);
        Self((0..NODES_MAX).map(slot).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are_and_there_is_an_end() {
        let list: Growing<usize> = (0..3).collect();
        let first = list.get(0).unwrap();
        for index in 3..NODES_MAX {
            assert_eq!(list.push(index), Ok(()));
        }
        assert_eq!((*first, list.len()), (0, NODES_MAX));
        assert_eq!(list.push(7), Err(7));
        assert!(list.iter().copied().eq(0..NODES_MAX));
        assert_eq!(list.get(NODES_MAX), None);
    }
}
