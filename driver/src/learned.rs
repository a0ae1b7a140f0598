//! The columns that a prepared statement's result has come to have since it was prepared.
//!
//! From version 5 of the protocol on, a request names the columns it knows by an id, and a node
//! that knows others sends them with its rows (CQL v5 section 4.2.5.2). They are kept for as long
//! as the statement is, so that a request only borrows them; each id once, for while nodes disagree
//! about the schema the same ones come again and again. More than [`KEPT_MAX`] are not kept: those
//! come with each reply.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use shardwire_protocol::metadata::ResultMetadata;

/// How many are kept of one statement; each stands for an ALTER under it.
pub(crate) const KEPT_MAX: usize = 16;

/// The columns of a result after the table was altered.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) id: Box<[u8]>,
    pub(crate) result: Arc<ResultMetadata>,
}

/// All that was learned of one statement.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// Position in `kept` of the newest, and one; 0: what the statement was prepared with.
    newest: AtomicUsize,
    kept: OnceLock<Box<[OnceLock<Changed>; KEPT_MAX]>>,
}

impl Learned {
    /// What the columns are now, if they are others than the statement was prepared with.
    #[inline]
    pub(crate) fn newest(&self) -> Option<&Changed> {
        // Only tells where to look; what is there was published by its `OnceLock`.
        match self.newest.load(Ordering::Relaxed) {
            0 => None,
            place => self.kept.get()?.get(place - 1)?.get(),
        }
    }

    /// The columns are those again that the statement was prepared with.
    pub(crate) fn forget(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }

    /// The columns are now those of `id`, which `result` makes if they are not known.
    // Allocates: once for each id.
    pub(crate) fn learn<E>(
        &self,
        id: &[u8],
        result: impl FnOnce() -> Result<ResultMetadata, E>,
    ) -> Result<(), E> {
        let kept = self.kept.get_or_init(Box::default);
        let mut changed = None;
        let mut result = Some(result);
        for (index, place) in kept.iter().enumerate() {
            if place.get().is_none() {
                if let Some(result) = result.take() {
                    changed = Some(Changed { id: id.into(), result: Arc::new(result()?) });
                }
                if let Some(new) = changed.take() {
                    changed = place.set(new).err(); // another thread may have been faster
                }
            }
            if place.get().is_some_and(|known| *known.id == *id) {
                self.newest.store(index + 1, Ordering::Relaxed);
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(learned: &Learned, id: &[u8]) {
        learned.learn(id, || Ok::<_, ()>(ResultMetadata::default())).unwrap();
    }

    fn newest(learned: &Learned) -> Option<&[u8]> {
        learned.newest().map(|changed| &*changed.id)
    }

    #[test]
    fn the_last_one_told_is_the_newest() {
        let learned = Learned::default();
        assert_eq!(newest(&learned), None);
        learn(&learned, b"one");
        assert_eq!(newest(&learned), Some(&b"one"[..]));
        learn(&learned, b"two");
        assert_eq!(newest(&learned), Some(&b"two"[..]));
        learned.forget();
        assert_eq!(newest(&learned), None);
    }

    /// Half of the nodes know of an ALTER and half do not: each reply tells the other columns.
    #[test]
    fn each_is_kept_once() {
        let learned = Learned::default();
        learn(&learned, b"one");
        for _ in 0..3 * KEPT_MAX {
            learn(&learned, b"two");
            let again = learned.learn(b"one", || Err("is known"));
            assert_eq!((again, newest(&learned)), (Ok(()), Some(&b"one"[..])));
        }
    }

    #[test]
    fn no_more_are_kept_than_allowed() {
        let learned = Learned::default();
        for id in 0..2 * KEPT_MAX {
            learn(&learned, &id.to_be_bytes());
        }
        let last = (KEPT_MAX - 1).to_be_bytes();
        assert_eq!(newest(&learned), Some(&last[..]));
    }

    #[test]
    fn columns_that_can_not_be_read_are_an_error() {
        let learned = Learned::default();
        assert_eq!(learned.learn(b"one", || Err("cut")), Err("cut"));
        assert_eq!(newest(&learned), None);
        learn(&learned, b"one");
        assert_eq!(newest(&learned), Some(&b"one"[..]));
    }

    #[test]
    fn threads_learn_at_once() {
        let learned = Learned::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for id in 0..KEPT_MAX {
                        learn(&learned, &id.to_be_bytes());
                        assert!(learned.newest().is_some());
                    }
                });
            }
        });
        let kept = learned.kept.get().unwrap();
        let mut ids: Vec<_> = kept.iter().filter_map(|place| Some(&place.get()?.id)).collect();
        assert_eq!(ids.len(), KEPT_MAX);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), KEPT_MAX, "none is there twice");
    }
}
