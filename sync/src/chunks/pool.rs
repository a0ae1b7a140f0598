//! Which chunk is read into next, and what becomes of one that is full.
//!
//! Invariants: the chunks that were carved are in `idle`, in `retired` or with a receiver; of those
//! that are allocations of their own at most one is in `idle`, and none in `retired`.
//!
//! Next: `sync/src/receive.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::slab::Carver;
use super::{Account, Chunk};
use crate::shim::Ordering;

/// Retired chunks that are looked at for each that is retired: more than one, so that there are
/// soon no more of them than replies are held.
const LOOKS_PER_RETIRED: usize = 2;
/// Retired chunks that are looked at before one is carved whose memory was never touched.
const LOOKS_PER_CARVED: usize = 4;

/// The chunks of one I/O task, for all its connections.
///
/// Chunks with room are handed out last in, first out, so that few are hot. One that is full but
/// still lent from is set aside; whenever that happens those that were set aside first are looked
/// at. When there is none the pool carves one from its slab, which holds `retain_max` bytes and is
/// allocated the first time (memory that is not touched costs nothing). Only when every chunk of
/// the slab is lent from or being read into, more are allocated, one at a time, and freed when they
/// come back. Reading never waits for readers.
///
/// So nothing is allocated as long as leases and receivers are together no more than the slab has
/// chunks, or, since many leases share a chunk, mostly far more.
#[derive(Debug)]
pub struct ChunkPool {
    pub(super) account: Arc<Account>,
    chunk_len: usize,
    /// How many chunks the slab has.
    kept_max: usize,
    slab: Option<Carver>,
    /// Have room, or come to have it when all leases are back.
    idle: Vec<Chunk>,
    /// Full, and lent from when last looked at; roughly in the order in which they were filled.
    retired: VecDeque<Chunk>,
    allocated: u64,
}

/// Figures about a [`ChunkPool`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PoolStats {
    /// Slabs, chunks beyond them and big buffers ever allocated.
    pub allocated: u64,
    /// Chunks of the slab that were ever used.
    pub carved: usize,
    /// Chunks in the pool, not counting those that receivers hold.
    pub idle: usize,
    /// Full chunks that wait for their leases.
    pub retired: usize,
    /// Bytes of all memory alive, wherever it is and whether or not it was touched.
    pub live_len: usize,
    /// Bytes of chunks that only leases hold.
    pub detached_len: usize,
}

impl ChunkPool {
    /// A pool of chunks of `chunk_len` bytes that keeps `retain_max` bytes of them for reuse.
    ///
    /// Allocates nothing yet.
    ///
    /// # Panics
    ///
    /// If `chunk_len` is less than 64 bytes, or 4 GiB or more.
    #[must_use]
    pub fn new(chunk_len: usize, retain_max: usize) -> ChunkPool {
        assert!(chunk_len >= 64, "a chunk of {chunk_len} bytes holds no frame");
        assert!(u32::try_from(chunk_len).is_ok(), "a chunk has less than 4 GiB");
        ChunkPool {
            account: Account::new(),
            chunk_len,
            kept_max: retain_max / chunk_len,
            slab: None,
            idle: Vec::new(),
            retired: VecDeque::new(),
            allocated: 0,
        }
    }

    /// Bytes of one chunk.
    #[inline]
    #[must_use]
    pub fn chunk_len(&self) -> usize {
        self.chunk_len
    }

    /// A chunk with at least `spare_len` bytes of room; longer ones are made to measure.
    ///
    /// # Allocation
    ///
    /// The slab, the first time; a chunk, if all of the slab's are lent from or being read into; a
    /// buffer, if it is to be longer than a chunk.
    pub fn take(&mut self, spare_len: usize) -> Chunk {
        if spare_len > self.chunk_len {
            return self.big(spare_len);
        }
        loop {
            while let Some(mut chunk) = self.idle.pop() {
                if chunk.rewind() || chunk.spare_len() >= spare_len {
                    return chunk;
                }
                self.retire(chunk);
            }
            self.look(LOOKS_PER_CARVED);
            if self.idle.is_empty() {
                if let Some(chunk) = self.carve() {
                    return chunk;
                }
                self.look(self.retired.len());
            }
            if self.idle.is_empty() {
                return self.big(self.chunk_len);
            }
        }
    }

    /// A chunk of exactly `len` bytes, for a frame that is longer than a chunk.
    ///
    /// # Allocation
    ///
    /// Always; its last lease frees it.
    #[cold]
    pub fn big(&mut self, len: usize) -> Chunk {
        self.allocated += 1;
        Chunk::alloc(len, &self.account)
    }

    /// Takes a chunk back; what is lent from it stays valid.
    pub fn give(&mut self, mut chunk: Chunk) {
        let has_room = chunk.rewind() || chunk.spare_len() >= self.spare_len_min();
        if !chunk.is_of_slab() {
            self.look(LOOKS_PER_CARVED);
            if chunk.len != self.chunk_len || !has_room || !self.idle.is_empty() {
                return; // dropped: the last lease frees it
            }
            // One at a time, or each read would allocate while the slab is lent out.
        } else if !has_room {
            return self.retire(chunk);
        }
        self.idle.push(chunk);
    }

    /// The least room worth reading into: a sixteenth of a chunk.
    #[inline]
    pub(crate) fn spare_len_min(&self) -> usize {
        self.chunk_len / 16
    }

    /// Bytes that cannot be reused because replies are held: of full chunks, and of chunks and big
    /// buffers that the pool has let go. Looks at every full chunk.
    #[must_use]
    pub fn pinned_len(&self) -> usize {
        let retired = self.retired.iter().filter(|chunk| chunk.is_pinned()).count();
        retired * self.chunk_len + self.account.detached_len.load(Ordering::Relaxed)
    }

    /// How many more bytes may be pinned until it is `max`; exact if it is less than `wanted`.
    ///
    /// Full chunks count as pinned until they are looked at, which is done only when the answer
    /// would be less than `wanted` otherwise.
    #[inline]
    #[must_use]
    pub fn pinnable_len(&self, wanted: usize, max: usize) -> usize {
        let detached_len = self.account.detached_len.load(Ordering::Relaxed);
        let rough = max.saturating_sub(self.retired.len() * self.chunk_len + detached_len);
        if rough >= wanted { rough } else { max.saturating_sub(self.pinned_len()) }
    }

    /// Frees what memory it can: the slab, if nothing is lent from it or being read into it.
    ///
    /// For idle times: the next chunk allocates it anew.
    pub fn trim(&mut self) {
        self.look(self.retired.len());
        self.idle.retain(Chunk::is_of_slab);
        let carved = self.slab.as_ref().map_or(0, Carver::carved);
        if self.idle.len() == carved && !self.idle.iter().any(Chunk::is_pinned) {
            self.slab = None;
            self.idle = Vec::new();
            self.retired = VecDeque::new();
        }
    }

    /// How the pool stands.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            allocated: self.allocated,
            carved: self.slab.as_ref().map_or(0, Carver::carved),
            idle: self.idle.len(),
            retired: self.retired.len(),
            live_len: self.account.live_len.load(Ordering::Relaxed),
            detached_len: self.account.detached_len.load(Ordering::Relaxed),
        }
    }

    /// Sets a full chunk aside; one that is not of the slab is dropped.
    fn retire(&mut self, chunk: Chunk) {
        self.look(LOOKS_PER_RETIRED);
        if chunk.is_of_slab() {
            self.retired.push_back(chunk);
        }
    }

    /// Looks at the `count` chunks that were retired first, or again: those whose leases are back
    /// become idle.
    fn look(&mut self, count: usize) {
        for _ in 0..count.min(self.retired.len()) {
            let Some(mut chunk) = self.retired.pop_front() else { return };
            if chunk.rewind() {
                self.idle.push(chunk);
            } else {
                self.retired.push_back(chunk);
            }
        }
    }

    #[cold]
    fn carve(&mut self) -> Option<Chunk> {
        if self.slab.is_none() && self.kept_max > 0 {
            self.allocated += 1;
            self.slab = Some(Carver::alloc(self.chunk_len, self.kept_max, &self.account));
            // All there can ever be: giving chunks back does not allocate either.
            self.idle.reserve_exact(self.kept_max + 1);
            self.retired.reserve_exact(self.kept_max);
        }
        self.slab.as_mut()?.carve()
    }
}
