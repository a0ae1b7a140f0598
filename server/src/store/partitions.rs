//! The partitions of a table, in the order of their tokens.
//!
//! Tokens are hashes, evenly spread, so that the first bits of one tell where it is: a directory
//! has a page of a few partitions for each. A page that is full is split in two, and the directory
//! is doubled when it needs one bit more: extendible hashing, but with the order kept, which scans
//! need. Where tokens are not spread, since they are no hashes or somebody has sought for such
//! keys, the directory does not grow for them and a page becomes a tree.

use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::slice;

use smallvec::SmallVec;

use super::{Bytes, Partition, PartitionKey};

/// Beyond so many partitions a page is split, or becomes a tree. Their tokens fill a cache line.
const FEW: usize = 8;
/// The directory has at most so many places per page.
const PLACES_PER_PAGE: usize = 16;

/// A partition and its key.
type Entry = (PartitionKey, Partition);

/// A few partitions, ascending.
#[derive(Debug, Default)]
struct Few {
    /// Tokens of the entries: looking for one of them takes no look at an entry.
    tokens: SmallVec<[i64; FEW]>,
    entries: SmallVec<[Box<Entry>; FEW]>,
}

/// Partitions of some neighbouring tokens.
#[derive(Debug)]
enum Sorted {
    Few(Few),
    /// Where tokens are not spread.
    Many(BTreeMap<PartitionKey, Box<Entry>>),
}

/// What all tokens share that begin with the same bits.
#[derive(Debug)]
struct Page {
    /// How many bits they share.
    depth: u32,
    sorted: Sorted,
}

/// Partitions by key.
#[derive(Debug)]
pub(super) struct Partitions {
    /// The page of each beginning of a token.
    directory: Vec<u32>,
    /// Bits of such a beginning.
    bits: u32,
    pages: Vec<Page>,
}

impl Default for Partitions {
    fn default() -> Self {
        let page = Page { depth: 0, sorted: Sorted::Few(Few::default()) };
        Self { directory: vec![0], bits: 0, pages: vec![page] }
    }
}

impl Few {
    /// Where `(token, bytes)` is, or would be.
    #[inline]
    fn place(&self, token: i64, bytes: &[u8]) -> Result<usize, usize> {
        let mut at = self.first_from(token);
        // Two keys of one token are rare.
        while self.tokens.get(at) == Some(&token)
            && let Some(entry) = self.entries.get(at)
        {
            match entry.0.bytes.as_slice().cmp(bytes) {
                Ordering::Equal => return Ok(at),
                Ordering::Greater => return Err(at),
                Ordering::Less => at += 1,
            }
        }
        Err(at)
    }

    /// The first place with this token or one beyond it. All are looked at: it takes no branch.
    #[inline]
    fn first_from(&self, token: i64) -> usize {
        self.tokens.iter().map(|known| usize::from(*known < token)).sum()
    }

    fn insert(&mut self, at: usize, key: PartitionKey, partition: Partition) {
        self.tokens.insert(at, key.token);
        self.entries.insert(at, Box::new((key, partition)));
    }

    fn remove(&mut self, at: usize) {
        self.tokens.remove(at);
        self.entries.remove(at);
    }

    /// Takes away what is at this token or beyond it.
    fn split_off(&mut self, token: i64) -> Self {
        let at = self.first_from(token);
        Self {
            tokens: self.tokens.drain(at..).collect(),
            entries: self.entries.drain(at..).collect(),
        }
    }
}

impl FromIterator<Box<Entry>> for Few {
    fn from_iter<I: IntoIterator<Item = Box<Entry>>>(entries: I) -> Self {
        let entries: SmallVec<[_; FEW]> = entries.into_iter().collect();
        Self { tokens: entries.iter().map(|entry| entry.0.token).collect(), entries }
    }
}

impl Sorted {
    /// Takes away what is at this token or beyond it.
    fn split_off(&mut self, token: i64) -> Self {
        match self {
            Self::Few(few) => Self::Few(few.split_off(token)),
            Self::Many(many) => {
                let first = PartitionKey { token, bytes: Bytes::new() };
                Self::Many(many.split_off(&first)).pack()
            }
        }
    }

    /// A tree of a few is a list.
    fn pack(self) -> Self {
        match self {
            Self::Many(many) if many.len() <= FEW => Self::Few(many.into_values().collect()),
            other => other,
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Few(Few::default()))
    }
}

impl Partitions {
    /// The place of a token in the directory.
    #[inline]
    fn slot(&self, token: i64) -> usize {
        let ascending = token.cast_unsigned() ^ 1 << 63;
        let first = ascending.checked_shr(u64::BITS - self.bits).unwrap_or(0);
        usize::try_from(first).unwrap_or(usize::MAX)
    }

    #[inline]
    fn page_of(&self, token: i64) -> usize {
        let page = self.directory.get(self.slot(token)).copied().unwrap_or(0);
        usize::try_from(page).unwrap_or(usize::MAX)
    }

    pub(super) fn get(&self, key: &PartitionKey) -> Option<&Partition> {
        self.find(key.token, &key.bytes)
    }

    /// The partition whose key has these bytes, of which this is the token.
    #[inline]
    pub(super) fn find(&self, token: i64, bytes: &[u8]) -> Option<&Partition> {
        let entry = match &self.pages.get(self.page_of(token))?.sorted {
            Sorted::Few(few) => few.entries.get(few.place(token, bytes).ok()?),
            Sorted::Many(many) => {
                many.get(&PartitionKey { token, bytes: Bytes::from_slice(bytes) })
            }
        };
        entry.map(|entry| &entry.1)
    }

    /// The partition with this key; `new` is put there if there is none.
    #[inline]
    pub(super) fn get_or_insert(
        &mut self,
        token: i64,
        bytes: &[u8],
        new: impl FnOnce() -> Partition,
    ) -> &mut Partition {
        let page = self.page_of(token);
        // That it is there is likelier than not, and then nothing has to be made room for.
        let found = match self.pages.get(page).map(|page| &page.sorted) {
            Some(Sorted::Few(few)) => few.place(token, bytes).ok(),
            _ => None,
        };
        let page = if found.is_some() { page } else { self.make_room(token) };
        let key = || PartitionKey { token, bytes: Bytes::from_slice(bytes) };
        #[expect(clippy::indexing_slicing, reason = "the directory has numbers of pages")]
        match &mut self.pages[page].sorted {
            Sorted::Many(many) => {
                let entry = || Box::new((key(), new()));
                &mut many.entry(key()).or_insert_with(entry).1
            }
            Sorted::Few(few) => {
                let at = found.unwrap_or_else(|| {
                    let at = few.place(token, bytes).unwrap_or_else(|at| at);
                    few.insert(at, key(), new());
                    at
                });
                &mut few.entries[at].1
            }
        }
    }

    pub(super) fn insert(&mut self, key: &PartitionKey, partition: Partition) {
        let mut partition = Some(partition);
        let new = || partition.take().unwrap_or_else(|| Partition::new(Vec::new()));
        let at = self.get_or_insert(key.token, &key.bytes, new);
        if let Some(partition) = partition {
            *at = partition;
        }
    }

    pub(super) fn remove(&mut self, key: &PartitionKey) {
        let page = self.page_of(key.token);
        match self.pages.get_mut(page).map(|page| &mut page.sorted) {
            Some(Sorted::Few(few)) => {
                if let Ok(at) = few.place(key.token, &key.bytes) {
                    few.remove(at);
                }
            }
            Some(Sorted::Many(many)) => drop(many.remove(key)),
            None => {}
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &PartitionKey> {
        self.from(i64::MIN).map(|(key, _)| key)
    }

    /// Those at this token and beyond it.
    pub(super) fn from(&self, token: i64) -> Iter<'_> {
        let mut iter = Iter { partitions: self, slot: self.slot(token), page: InPage::none() };
        iter.next_page(token);
        iter
    }

    /// Splits the page of a token if it is full; gives the page that the token has then.
    fn make_room(&mut self, token: i64) -> usize {
        loop {
            let at = self.page_of(token);
            let Some(page) = self.pages.get_mut(at) else { return at };
            if matches!(&page.sorted, Sorted::Few(few) if few.entries.len() < FEW) {
                return at;
            }
            if page.depth < self.bits || self.grow() {
                self.split(at, token);
                continue;
            }
            if let Some(page) = self.pages.get_mut(at)
                && let Sorted::Few(few) = &mut page.sorted
            {
                let entries = std::mem::take(few).entries.into_iter();
                let by_key = entries.map(|entry| (entry.0.clone(), entry)).collect();
                page.sorted = Sorted::Many(by_key);
            }
            return at;
        }
    }

    /// Doubles the directory, unless it is large for what is in it.
    fn grow(&mut self) -> bool {
        let may_grow = self.directory.len() * 2 <= PLACES_PER_PAGE * self.pages.len();
        if may_grow {
            self.directory = self.directory.iter().flat_map(|page| [*page, *page]).collect();
            self.bits += 1;
        }
        may_grow
    }

    /// Splits a page whose tokens share fewer bits than the directory has; `token` is one of them.
    fn split(&mut self, at: usize, token: i64) {
        let new = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        let Some(page) = self.pages.get_mut(at) else { return };
        page.depth += 1;
        let depth = page.depth;
        // The first token of the upper half: the shared bits, then a one.
        let ascending = token.cast_unsigned() ^ 1 << 63;
        let one = 1_u64 << (u64::BITS - depth);
        let middle = (ascending & !(one - 1) | one) ^ 1 << 63;
        let middle = middle.cast_signed();
        let upper = page.sorted.split_off(middle);
        page.sorted = page.sorted.take().pack();
        self.pages.push(Page { depth, sorted: upper });
        let first = self.slot(middle);
        let count = 1_usize << (self.bits - depth);
        self.directory.iter_mut().skip(first).take(count).for_each(|page| *page = new);
    }
}

/// What is left of a page.
#[derive(Clone, Debug)]
enum InPage<'a> {
    Few(slice::Iter<'a, Box<Entry>>),
    Many(btree_map::Range<'a, PartitionKey, Box<Entry>>),
}

impl InPage<'_> {
    fn none() -> Self {
        Self::Few([].iter())
    }
}

/// Partitions and their keys, ascending.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    partitions: &'a Partitions,
    /// The place of the next page.
    slot: usize,
    page: InPage<'a>,
}

impl Iter<'_> {
    /// Goes on with the next page, at this token of it; false if there is none.
    fn next_page(&mut self, token: i64) -> bool {
        let Some(page) = self.partitions.directory.get(self.slot) else { return false };
        let page = usize::try_from(*page).unwrap_or(usize::MAX);
        let Some(page) = self.partitions.pages.get(page) else { return false };
        self.page = match &page.sorted {
            Sorted::Few(few) => {
                let from = few.entries.get(few.first_from(token)..);
                InPage::Few(from.unwrap_or_default().iter())
            }
            Sorted::Many(many) => {
                InPage::Many(many.range(PartitionKey { token, bytes: Bytes::new() }..))
            }
        };
        // All places of a page are side by side.
        let count = 1_usize << (self.partitions.bits - page.depth);
        self.slot = (self.slot & !(count - 1)) + count;
        true
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a PartitionKey, &'a Partition);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match &mut self.page {
                InPage::Few(few) => few.next(),
                InPage::Many(many) => many.next().map(|(_, entry)| entry),
            };
            if let Some(entry) = next {
                return Some((&entry.0, &entry.1));
            }
            if !self.next_page(i64::MIN) {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u16) -> Partition {
        Partition::new(vec![number.to_be_bytes().to_vec()])
    }

    /// The same as a tree, whatever the tokens: spread, close together, or few for many keys.
    #[test]
    fn partitions_are_where_a_tree_has_them() {
        let mut random = fastrand::Rng::with_seed(1);
        let tokens: [fn(&mut fastrand::Rng) -> i64; 4] = [
            |random| random.i64(..),
            |random| random.i64(..) >> 40,
            |random| random.i64(-2..2),
            |random| [i64::MIN, i64::MAX, -1, 0][random.usize(..4)] ^ random.i64(0..50),
        ];
        for token in tokens {
            let (mut partitions, mut tree) = (Partitions::default(), BTreeMap::new());
            for number in 0..6_000 {
                let bytes = Bytes::from_elem(random.u8(..8), random.usize(..3));
                let key = match tree.keys().nth(random.usize(..20)) {
                    Some(PartitionKey { token, bytes }) if random.bool() => {
                        PartitionKey { token: *token, bytes: bytes.clone() }
                    }
                    _ => PartitionKey { token: token(&mut random), bytes },
                };
                match random.u8(..8) {
                    0 => {
                        partitions.remove(&key);
                        tree.remove(&key);
                    }
                    1 => {
                        partitions.insert(&key, partition(number));
                        tree.insert(key.clone(), partition(number));
                    }
                    _ => {
                        let new = || partition(number);
                        let found = partitions.get_or_insert(key.token, &key.bytes, new).clone();
                        assert_eq!(found, *tree.entry(key.clone()).or_insert_with(new));
                    }
                }
                assert_eq!(partitions.get(&key), tree.get(&key));
                if number % 64 == 0 {
                    assert!(partitions.keys().eq(tree.keys()));
                    let from = token(&mut random);
                    let rest = tree.range(PartitionKey { token: from, bytes: Bytes::new() }..);
                    assert!(partitions.from(from).eq(rest));
                }
            }
            assert!(partitions.from(i64::MIN).eq(tree.iter()));
            assert!(partitions.directory.len() <= PLACES_PER_PAGE * partitions.pages.len());
        }
    }

    /// A page of tokens that are spread holds no more than a few.
    #[test]
    fn spread_tokens_need_no_trees() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut partitions = Partitions::default();
        for _ in 0..100_000 {
            partitions.get_or_insert(random.i64(..), &[], || partition(0));
        }
        let is_tree = |page: &&Page| matches!(page.sorted, Sorted::Many(_));
        assert_eq!(partitions.pages.iter().filter(is_tree).count(), 0);
        assert!(partitions.pages.len() < 100_000 / (FEW / 2), "{}", partitions.pages.len());
    }
}
