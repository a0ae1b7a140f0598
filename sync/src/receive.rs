//! What a connection reads into: one chunk at a time, from which whole frames are lent.
//!
//! Does not know what a frame is, only how long. A frame always lies in one piece: its beginning is
//! copied to the next chunk when it straddles the end of one, and into a buffer of its own when it
//! is longer than a chunk; nothing else is ever copied. A connection at rest holds no chunk.
//!
//! Invariant: `parsed <= filled <= len` in the chunk, and `parsed` is 0 without one.
//! Next: `sync/src/ticks.rs`.

#[cfg(all(test, not(loom)))]
mod tests;

use crate::chunks::{Chunk, ChunkPool, Lease};

/// The receiving end of one connection. Its memory comes from the [`ChunkPool`] of its I/O task.
///
/// ```
/// use shardwire_sync::{ChunkPool, Receiver};
///
/// let mut pool = ChunkPool::new(1024, 4096);
/// let mut receiver = Receiver::new(&mut pool);
/// receiver.spare(&mut pool)[..5].copy_from_slice(b"helfr"); // a socket's read
/// receiver.advance(5);
/// let first = receiver.take_frame(3);
/// receiver.reserve(&mut pool, 4); // the next frame is 4 bytes long
/// receiver.spare(&mut pool)[..2].copy_from_slice(b"om");
/// receiver.advance(2);
/// assert_eq!((&first[..], receiver.unparsed()), (&b"hel"[..], &b"from"[..]));
/// receiver.skip(4);
/// receiver.rest(&mut pool);
/// ```
#[derive(Debug, Default)]
pub struct Receiver {
    chunk: Option<Chunk>,
    /// Where the bytes begin that are not taken yet.
    parsed: usize,
    /// Whether room was reserved for the frame that begins there.
    reserved: bool,
}

impl Receiver {
    /// A receiver at rest, without a chunk.
    #[must_use]
    pub fn new(_pool: &mut ChunkPool) -> Receiver {
        Receiver::default()
    }

    /// Room for the next read; never empty, as long as whole frames are taken before reading on.
    ///
    /// After [`reserve`](Self::reserve) at least what the frame still lacks.
    #[inline]
    pub fn spare<'s>(&'s mut self, pool: &mut ChunkPool) -> &'s mut [u8] {
        let ready = match &mut self.chunk {
            None => false,
            Some(chunk) => {
                if !self.reserved && self.parsed == chunk.filled().len() && chunk.rewind() {
                    self.parsed = 0;
                }
                let spare_len = chunk.spare_len();
                spare_len > 0 && (self.reserved || spare_len >= pool.spare_len_min())
            }
        };
        if !ready {
            let least = pool.spare_len_min();
            self.renew(pool, self.unparsed().len() + least);
        }
        match &mut self.chunk {
            Some(chunk) => chunk.spare(),
            None => &mut [], // `renew` has just put one there
        }
    }

    /// Counts `len` bytes at the beginning of the spare ones as received.
    #[inline]
    pub fn advance(&mut self, len: usize) {
        if let Some(chunk) = &mut self.chunk {
            chunk.advance(len);
        }
    }

    /// What was received and not taken yet.
    #[inline]
    #[must_use]
    pub fn unparsed(&self) -> &[u8] {
        let Some(chunk) = &self.chunk else { return &[] };
        chunk.filled().get(self.parsed..).unwrap_or_default()
    }

    /// Makes sure that a frame of `total_len` bytes, the next one, will lie in one piece.
    ///
    /// # Allocation
    ///
    /// If the frame is longer than a chunk, or the pool has no chunk to spare.
    #[inline]
    pub fn reserve(&mut self, pool: &mut ChunkPool, total_len: usize) {
        let fits = match &self.chunk {
            Some(chunk) => chunk.spare_len() + self.unparsed().len() >= total_len,
            None => false,
        };
        if !fits {
            self.renew(pool, total_len);
        }
        // A header, say: nothing is known of the frame yet that `spare` had to respect.
        self.reserved = total_len > self.unparsed().len() && total_len >= pool.spare_len_min();
    }

    /// Lends the next `total_len` bytes, or what there is of them.
    #[inline]
    pub fn take_frame(&mut self, total_len: usize) -> Lease {
        let len = total_len.min(self.unparsed().len());
        debug_assert_eq!(len, total_len, "a frame was taken before all of it was there");
        let start = self.parsed;
        match self.chunk.as_mut().and_then(|chunk| chunk.lend(start, len)) {
            Some(lease) => {
                self.skip(len);
                lease
            }
            None => Lease::copy_of(&[]), // nothing received at all: the caller's mistake
        }
    }

    /// Lends the next `total_len` bytes but for the first `head_len`, which are dropped.
    #[inline]
    pub fn take_body(&mut self, head_len: usize, total_len: usize) -> Lease {
        let start = self.parsed;
        if let Some(chunk) = &mut self.chunk
            && let Some(len) = total_len.checked_sub(head_len)
            && let Some(lease) = chunk.lend(start.saturating_add(head_len), len)
        {
            self.parsed = start + total_len; // up to where the lease ends, so no more than filled
            self.reserved = false;
            return lease;
        }
        self.take_frame(total_len).slice(head_len..)
    }

    /// Drops the next `total_len` bytes, or what there is of them.
    #[inline]
    pub fn skip(&mut self, total_len: usize) {
        self.parsed += total_len.min(self.unparsed().len());
        self.reserved = false;
    }

    /// Gives the chunk back if nothing is left in it to be taken; whether that is so.
    ///
    /// What is lent stays valid, and the pool hands the chunk to who reads next.
    #[inline]
    pub fn rest(&mut self, pool: &mut ChunkPool) -> bool {
        if !self.unparsed().is_empty() || self.reserved {
            return false;
        }
        self.parsed = 0;
        if let Some(chunk) = self.chunk.take() {
            pool.give(chunk);
        }
        true
    }

    /// Goes on in another chunk with room for `total_len` bytes, what is unparsed first.
    #[inline(never)]
    fn renew(&mut self, pool: &mut ChunkPool, total_len: usize) {
        let mut next = pool.take(total_len);
        let start = next.filled().len();
        if self.chunk.is_none() {
            self.parsed = start;
            self.chunk = Some(next);
            return;
        }
        let tail = self.unparsed();
        if let Some(room) = next.spare().get_mut(..tail.len()) {
            room.copy_from_slice(tail);
        }
        next.advance(tail.len());
        self.parsed = start;
        if let Some(old) = self.chunk.replace(next) {
            pool.give(old);
        }
    }
}
