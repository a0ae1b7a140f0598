//! One allocation for all the chunks that a pool reuses.
//!
//! Carved from its beginning, a chunk at a time, when the pool has no other: what was not carved
//! yet was never touched, and memory that the system has zeroed costs nothing until then. So a pool
//! takes all it may ever keep at once, and later demand allocates nothing.
//! It is freed in one piece, when the pool and every chunk have let go of it.
//!
//! A chunk each, allocated when needed, would be simpler, but then the moment at which the last one
//! is needed (a reader was interrupted while it held a reply) is anybody's guess.
//!
//! Next: `sync/src/chunks/pool.rs`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Account, Chunk, HEADER_LEN, Header};
use crate::shim::Ordering;

/// The memory; its chunks hold it together with the pool.
pub(super) struct Slab {
    memory: NonNull<u8>,
    layout: Layout,
    /// Bytes of its chunks, their headers not counted.
    len: usize,
    account: Arc<Account>,
}

/// The pool's handle: carves each piece once.
#[derive(Debug)]
pub(super) struct Carver {
    slab: Arc<Slab>,
    chunk_len: usize,
    carved: usize,
    count: usize,
}

// SAFETY: `memory` is only ever used to make chunks, each of another piece, by the one `Carver`;
// chunks are `Send` and `Sync`, and so are `Layout` and `Account`.
unsafe impl Send for Slab {}
// SAFETY: as for `Send`; `&Slab` gives no access to the memory.
unsafe impl Sync for Slab {}

impl Carver {
    /// Memory for `count` chunks, at least one, of `chunk_len` bytes, less than 4 GiB.
    // Allocates: the slab, and what counts its chunks.
    pub(super) fn alloc(chunk_len: usize, count: usize, account: &Arc<Account>) -> Carver {
        let layout = layout(chunk_len, count);
        // SAFETY: the layout's size is not 0: there is a chunk, and that has a header.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        let len = chunk_len * count;
        account.live_len.fetch_add(len, Ordering::Relaxed);
        let slab = Slab { memory, layout, len, account: Arc::clone(account) };
        Carver { slab: Arc::new(slab), chunk_len, carved: 0, count }
    }

    /// The next chunk; `None` if all were carved.
    pub(super) fn carve(&mut self) -> Option<Chunk> {
        if self.carved == self.count {
            return None;
        }
        let offset = self.carved * stride(self.chunk_len);
        self.carved += 1;
        // SAFETY: a piece with a number below `count`, so it lies in the allocation.
        let place = unsafe { self.slab.memory.add(offset) }.cast::<Header>();
        let header = Header::new(self.chunk_len, &self.slab.account, Some(Arc::clone(&self.slab)));
        // SAFETY: a stride is a multiple of a header's alignment and has room for header and bytes,
        // which were zeroed; the piece is carved this once and the header keeps the slab alive.
        Some(unsafe { Chunk::write(place, header) })
    }

    /// How many chunks were carved.
    pub(super) fn carved(&self) -> usize {
        self.carved
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.account.live_len.fetch_sub(self.len, Ordering::Relaxed);
        // SAFETY: allocated by `Carver::alloc` with this very layout; the carver is gone, and so is
        // every chunk, for each held the slab until its count was 0.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

impl std::fmt::Debug for Slab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slab").field("len", &self.len).finish_non_exhaustive()
    }
}

/// From one chunk's header to the next's: different chunks share no cache line.
const fn stride(chunk_len: usize) -> usize {
    (HEADER_LEN + chunk_len).next_multiple_of(LINE_LEN)
}

/// Bytes of a cache line; a multiple of a header's alignment.
const LINE_LEN: usize = 64;
const _: () = assert!(LINE_LEN.is_multiple_of(align_of::<Header>()));

#[expect(clippy::expect_used, reason = "a limit that cannot be is the program's mistake")]
fn layout(chunk_len: usize, count: usize) -> Layout {
    stride(chunk_len)
        .checked_mul(count)
        .and_then(|size| Layout::from_size_align(size, align_of::<Header>()).ok())
        .expect("a pool keeps less than the address space")
}
