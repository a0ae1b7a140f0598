//! Receive memory: chunks that one I/O task fills while others read what it has lent out.
//!
//! A chunk is a header, then bytes. The task appends to it; a [`Lease`] is a range of what is
//! filled. Knows neither sockets nor frames ([`crate::Receiver`] is the layer above).
//!
//! The chunks that a pool reuses are pieces of one slab, which it allocates when it needs the first
//! of them. A chunk beyond those, or longer than they are, is an allocation of its own.
//!
//! # Counting leases
//!
//! The count is biased. The chunk's owner holds [`BIAS`] of it, and lending is a plain addition to
//! the owner's own `lent`; only dropping (or cloning) a lease touches the shared count:
//!
//! ```text
//! count = BIAS + clones - drops       leases alive = lent + count - BIAS
//! ```
//!
//! All leases are back when `count == BIAS - lent`; then the owner is alone and starts over at
//! offset 0. An owner that lets go subtracts `BIAS - lent`, which leaves the leases alive in
//! `count`; whoever brings that to 0 frees the memory, or the chunk's hold on its slab. So leases
//! outlive pool and session.
//!
//! # Invariants
//!
//! - `0 <= filled <= len`; bytes below `filled` are never written while a lease is alive, bytes at
//!   or above it are in no lease. Owner and leases thus never meet in a byte.
//! - Memory is zeroed when allocated, so every byte is initialised.
//!
//! Next: `sync/src/chunks/slab.rs`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::mem;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

#[cfg(all(test, loom))]
mod models;
mod pool;
mod slab;
#[cfg(all(test, not(loom)))]
mod tests;

pub use pool::{ChunkPool, PoolStats};
use slab::Slab;

#[cfg(loom)]
use crate::shim::UnsafeCell;
use crate::shim::{AtomicU64, AtomicUsize, Ordering, fence};

/// The owner's part of a chunk's count: more leases than can ever be made of it.
const BIAS: u64 = 1 << 62;

/// The first bytes of a chunk's memory.
///
/// Aligned no more than the system allocator does unasked: it would write the zeroes itself
/// otherwise, and thus touch all of the memory.
#[repr(C, align(16))]
struct Header {
    count: AtomicU64,
    /// Bytes after the header.
    len: usize,
    account: Arc<Account>,
    /// What the chunk is a piece of; `None` if it is an allocation of its own.
    slab: Option<Arc<Slab>>,
    /// What loom watches: read with a lease, written when the owner starts over or memory is freed.
    #[cfg(loom)]
    witness: UnsafeCell<()>,
}

const HEADER_LEN: usize = size_of::<Header>();

/// What a pool and its scattered chunks know together.
#[derive(Debug)]
struct Account {
    /// Bytes that are allocated: the slab's, and those of chunks of their own.
    live_len: AtomicUsize,
    /// Bytes of chunks without an owner, which their last lease will free.
    detached_len: AtomicUsize,
}

/// Receive memory that one I/O task appends to and lends from.
#[derive(Debug)]
pub struct Chunk {
    header: NonNull<Header>,
    filled: usize,
    len: usize,
    lent: u64,
}

/// A range of received bytes, which stay as they are for as long as it lives.
///
/// Cloning and dropping is one atomic operation. A lease pins its whole chunk, and keeps the pool's
/// slab from being freed; who keeps one for long had better take a [`Lease::copy_of`] it.
pub struct Lease {
    header: NonNull<Header>,
    start: u32,
    len: u32,
}

// SAFETY: a chunk is a unique handle; what it shares with leases is atomic or never written.
unsafe impl Send for Chunk {}
// SAFETY: `&Chunk` only reads bytes below `filled` and atomics.
unsafe impl Sync for Chunk {}
// SAFETY: a lease reads bytes that nobody writes, and its count is atomic; `Account` is `Sync`.
unsafe impl Send for Lease {}
// SAFETY: as for `Send`; `&Lease` gives shared access only.
unsafe impl Sync for Lease {}

impl Account {
    fn new() -> Arc<Account> {
        Arc::new(Account { live_len: AtomicUsize::new(0), detached_len: AtomicUsize::new(0) })
    }
}

impl Header {
    fn new(len: usize, account: &Arc<Account>, slab: Option<Arc<Slab>>) -> Header {
        Header {
            count: AtomicU64::new(BIAS),
            len,
            account: Arc::clone(account),
            slab,
            #[cfg(loom)]
            witness: UnsafeCell::new(()),
        }
    }
}

impl Chunk {
    fn alloc(len: usize, account: &Arc<Account>) -> Chunk {
        // Offsets in leases are 32 bits wide.
        assert!(u32::try_from(len).is_ok(), "a chunk has less than 4 GiB");
        let layout = layout(len);
        // SAFETY: the layout's size is not 0, for it has a header.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(header) = NonNull::new(memory.cast::<Header>()) else {
            handle_alloc_error(layout)
        };
        account.live_len.fetch_add(len, Ordering::Relaxed);
        // SAFETY: new memory, aligned and large enough by its layout, and zeroed.
        unsafe { Chunk::write(header, Header::new(len, account, None)) }
    }

    /// Makes a chunk of memory that is there.
    ///
    /// # Safety
    ///
    /// At `place` begin `HEADER_LEN + value.len` bytes, aligned for a header and initialised, which
    /// are the new chunk's alone until its count is 0.
    unsafe fn write(place: NonNull<Header>, value: Header) -> Chunk {
        let len = value.len;
        // SAFETY: the caller's promise.
        unsafe { place.write(value) };
        Chunk { header: place, filled: 0, len, lent: 0 }
    }

    /// Whether it is a piece of its pool's slab.
    #[inline]
    fn is_of_slab(&self) -> bool {
        self.header().slab.is_some()
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the owner's part of the count keeps the header alive; it is only ever shared.
        unsafe { self.header.as_ref() }
    }

    #[inline]
    fn bytes(&self) -> NonNull<u8> {
        bytes_of(self.header)
    }

    /// The bytes that are not filled yet.
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `filled <= len`, so this stays in (or at the end of) the allocation.
        let start = unsafe { self.bytes().add(self.filled) };
        // SAFETY: initialised, and no lease or other slice reaches above `filled` (invariant);
        // `&mut self` is the only other way to these bytes.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), self.len - self.filled) }
    }

    /// How many bytes [`spare`](Self::spare) has.
    #[inline]
    #[must_use]
    pub fn spare_len(&self) -> usize {
        self.len - self.filled
    }

    /// Counts `len` bytes of the spare ones as filled; at most all of them.
    #[inline]
    pub fn advance(&mut self, len: usize) {
        debug_assert!(len <= self.spare_len(), "more than there was room for");
        self.filled += len.min(self.spare_len());
    }

    /// The bytes filled so far.
    #[inline]
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        // SAFETY: initialised; nobody writes below `filled` without `&mut self`.
        unsafe { slice::from_raw_parts(self.bytes().as_ptr(), self.filled) }
    }

    /// Lends a range of the filled bytes; `None` if not all of them are filled.
    #[inline]
    pub fn lend(&mut self, start: usize, len: usize) -> Option<Lease> {
        if start.checked_add(len)? > self.filled {
            return None;
        }
        let lease =
            Lease { header: self.header, start: start.try_into().ok()?, len: len.try_into().ok()? };
        self.lent += 1; // below BIAS: 2^62 loans take centuries
        Some(lease)
    }

    /// Whether any lease is alive.
    #[inline]
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        // Acquire: pairs with the `Release` in `Lease::drop`; its reads are over.
        self.header().count.load(Ordering::Acquire) != BIAS - self.lent
    }

    /// Starts over at offset 0 if every lease is back. The filled bytes are forgotten.
    #[inline]
    pub fn rewind(&mut self) -> bool {
        if self.is_pinned() {
            return false;
        }
        #[cfg(loom)]
        self.header().witness.with_mut(|_| ());
        // Relaxed: without leases nobody else looks at the count, and who gets one later gets it
        // from this thread.
        self.header().count.store(BIAS, Ordering::Relaxed);
        self.lent = 0;
        self.filled = 0;
        true
    }
}

impl Drop for Chunk {
    /// Lets go; the last lease frees the memory, or this does if there is none.
    fn drop(&mut self) {
        // Counted as detached first, for a lease that frees it takes that back.
        self.header().account.detached_len.fetch_add(self.len, Ordering::Relaxed);
        let owned = BIAS - self.lent;
        // AcqRel: releases the owner's accesses to the lease that frees the memory, and acquires
        // those of the leases that are gone (the `Release` in `Lease::drop`).
        if self.header().count.fetch_sub(owned, Ordering::AcqRel) == owned {
            // SAFETY: the count is 0: no lease is left, and the owner is going.
            unsafe { free_detached(self.header) };
        }
    }
}

impl Lease {
    /// A lease of its own memory with a copy of `bytes`, which pins nothing else.
    ///
    /// # Allocation
    ///
    /// One, of the length of `bytes`.
    ///
    /// # Panics
    ///
    /// If `bytes` has 4 GiB or more.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Lease {
        let mut chunk = Chunk::alloc(bytes.len(), &Account::new());
        chunk.spare().copy_from_slice(bytes);
        chunk.advance(bytes.len());
        chunk.lent += 1;
        #[expect(clippy::cast_possible_truncation, reason = "`alloc` has checked")]
        let len = bytes.len() as u32;
        Lease { header: chunk.header, start: 0, len }
    }

    /// The part `range` of this lease, cut off where the lease ends. No atomic operation.
    #[inline]
    #[must_use]
    pub fn slice(mut self, range: impl RangeBounds<usize>) -> Lease {
        let len = self.len as usize;
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => len,
        };
        let end = end.min(len);
        let start = start.min(end);
        #[expect(clippy::cast_possible_truncation, reason = "start <= end <= len, a u32")]
        let (start, end) = (start as u32, end as u32);
        self.start += start;
        self.len = end - start;
        self
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: this lease's part of the count keeps the header alive; it is only ever shared.
        unsafe { self.header.as_ref() }
    }
}

impl Deref for Lease {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        #[cfg(loom)]
        self.header().witness.with(|_| ());
        // SAFETY: the range was below `filled` when it was lent, so it is in the allocation.
        let start = unsafe { bytes_of(self.header).add(self.start as usize) };
        // SAFETY: initialised; not written while this lease is alive (invariant).
        unsafe { slice::from_raw_parts(start.as_ptr(), self.len as usize) }
    }
}

impl AsRef<[u8]> for Lease {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Lease {
    #[inline]
    fn clone(&self) -> Lease {
        // Relaxed: the new lease comes from a living one, as with `Arc`.
        self.header().count.fetch_add(1, Ordering::Relaxed);
        Lease { header: self.header, start: self.start, len: self.len }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the `Acquire` in `is_pinned` and the fence in `free`.
        if self.header().count.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: the owner has let go, or the count would be far from 1, and this was the
            // last lease.
            unsafe { free_detached(self.header) };
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("len", &self.len).finish_non_exhaustive()
    }
}

#[inline]
fn bytes_of(header: NonNull<Header>) -> NonNull<u8> {
    // SAFETY: every chunk's memory is at least HEADER_LEN long.
    unsafe { header.cast::<u8>().add(HEADER_LEN) }
}

#[expect(clippy::expect_used, reason = "lengths are below 4 GiB")]
fn layout(len: usize) -> Layout {
    len.checked_add(HEADER_LEN)
        .and_then(|size| Layout::from_size_align(size, align_of::<Header>()).ok())
        .expect("a chunk has less than 4 GiB")
}

/// # Safety
///
/// The count is 0, and the chunk had been counted as detached.
#[cold]
unsafe fn free_detached(header: NonNull<Header>) {
    // Acquire: pairs with the `Release` of the other leases, whose reads come before the free.
    fence(Ordering::Acquire);
    // SAFETY: the count is 0: this thread alone knows the memory.
    let len = unsafe { header.as_ref() }.len;
    // SAFETY: as above.
    let account = unsafe { &header.as_ref().account };
    account.detached_len.fetch_sub(len, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { free(header) };
}

/// # Safety
///
/// The count is 0, and everything that was done with the memory happened before.
unsafe fn free(header: NonNull<Header>) {
    // SAFETY: the count is 0: this thread alone knows the memory, which `Chunk::write` wrote.
    let value = unsafe { header.read() };
    #[cfg(loom)]
    value.witness.with_mut(|_| ());
    if value.slab.is_some() {
        return; // its hold on the slab goes, and with the last one the memory
    }
    value.account.live_len.fetch_sub(value.len, Ordering::Relaxed);
    let layout = layout(value.len);
    mem::drop(value);
    // SAFETY: allocated by `Chunk::alloc` with this very layout.
    unsafe { dealloc(header.as_ptr().cast(), layout) };
}
