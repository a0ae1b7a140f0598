//! A global allocator that counts what the whole process asks of the system allocator.
//!
//! The counters are process-wide statics rather than thread-local ones: a driver's I/O runs on
//! other tasks and threads than its caller, and an allocation hidden there is still one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The system allocator, with every call counted.
///
/// It has no state of its own: [`counts`] reads the totals of the process. Counting is on from
/// the start and can be switched with [`set_counting`].
///
/// # Allocation
///
/// Counting itself is four relaxed atomics and never allocates.
#[derive(Debug, Default)]
pub struct CountingAllocator(());

impl CountingAllocator {
    /// Makes the allocator; to be used in a `#[global_allocator]` static.
    pub const fn new() -> Self {
        Self(())
    }
}

/// What the process has asked of the allocator since it started, while counting was on.
///
/// Stays at zero in a program whose global allocator is another one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AllocationCounts {
    /// Calls that asked for new memory.
    pub allocations: u64,
    /// Calls that asked for existing memory to grow or shrink.
    pub reallocations: u64,
    /// Calls that gave memory back.
    pub frees: u64,
    /// Bytes asked for: the sizes of allocations, and of reallocations their new sizes.
    pub bytes: u64,
}

impl AllocationCounts {
    /// What was counted after `earlier` was read.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations.wrapping_sub(earlier.allocations),
            reallocations: self.reallocations.wrapping_sub(earlier.reallocations),
            frees: self.frees.wrapping_sub(earlier.frees),
            bytes: self.bytes.wrapping_sub(earlier.bytes),
        }
    }

    /// Whether nothing at all was counted.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// The totals of this process so far.
///
/// The four numbers are read one after the other; while other threads allocate they may be a few
/// calls apart.
pub fn counts() -> AllocationCounts {
    AllocationCounts {
        allocations: ALLOCATIONS.load(Relaxed),
        reallocations: REALLOCATIONS.load(Relaxed),
        frees: FREES.load(Relaxed),
        bytes: BYTES.load(Relaxed),
    }
}

/// Switches counting on or off for the whole process, and returns what it was.
pub fn set_counting(on: bool) -> bool {
    COUNTING.swap(on, Relaxed)
}

// SAFETY: every method hands its arguments unchanged to `System`, which upholds the contract of
// `GlobalAlloc`; the counters touch no allocated memory and cannot unwind.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS, layout.size());
        // SAFETY: the caller upholds the contract of `alloc`: `layout` has a size above zero.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS, layout.size());
        // SAFETY: the caller upholds the contract of `alloc_zeroed`, the same as of `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(&REALLOCATIONS, new_size);
        // SAFETY: the caller says `block` came from this allocator with `layout`, and this
        // allocator took it from `System` with that same layout.
        unsafe { System.realloc(block, layout, new_size) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&FREES, 0);
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn count(calls: &AtomicU64, bytes: usize) {
    if COUNTING.load(Relaxed) {
        calls.fetch_add(1, Relaxed);
        if bytes > 0 {
            // A `usize` always fits: no supported target has more than 64 bits.
            BYTES.fetch_add(bytes as u64, Relaxed);
        }
    }
}

static COUNTING: AtomicBool = AtomicBool::new(true);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static REALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
