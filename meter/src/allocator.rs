//! A global allocator that counts what the whole process asks of the system allocator.
//!
//! The counters are process-wide statics rather than thread-local ones: a driver's I/O runs on
//! other tasks and threads than its caller, and an allocation hidden there is still one. Where a
//! stretch should make no call at all, [`watch`] tells who made those that it did.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// One call of the allocator, seen while watching.
pub struct Call {
    /// What was asked for.
    pub kind: CallKind,
    /// Bytes of the block; of a reallocation its new size.
    pub bytes: usize,
    /// Where, down to the allocator.
    pub backtrace: Backtrace,
}

/// What was asked of the allocator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallKind {
    /// New memory.
    Allocation,
    /// To give memory back.
    Free,
    /// To have memory grow or shrink.
    Reallocation,
}

/// As many calls are remembered with their backtraces.
const WATCHED_MAX: usize = 4;

/// From now on the first few calls are remembered with where they came from.
///
/// # Allocation
///
/// Once, before it begins. Taking a backtrace allocates too, which is not counted.
pub fn watch() {
    WATCHING.store(false, Relaxed);
    let mut watched = watched();
    watched.clear();
    watched.reserve(WATCHED_MAX);
    drop(watched);
    WATCHING.store(true, Relaxed);
}

/// Ends watching; the first few calls since [`watch`], in order.
pub fn watched_calls() -> Vec<Call> {
    WATCHING.store(false, Relaxed);
    std::mem::take(&mut *watched())
}

impl fmt::Debug for Call {
    /// With the names of functions, which are looked up here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} bytes at\n{}", self.kind, self.bytes, self.backtrace)
    }
}

// SAFETY: every method hands its arguments unchanged to `System`, which upholds the contract of
// `GlobalAlloc`; the counters touch no allocated memory and cannot unwind.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS, CallKind::Allocation, layout.size());
        // SAFETY: the caller upholds the contract of `alloc`: `layout` has a size above zero.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS, CallKind::Allocation, layout.size());
        // SAFETY: the caller upholds the contract of `alloc_zeroed`, the same as of `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(&REALLOCATIONS, CallKind::Reallocation, new_size);
        // SAFETY: the caller says `block` came from this allocator with `layout`, and this
        // allocator took it from `System` with that same layout.
        unsafe { System.realloc(block, layout, new_size) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&FREES, CallKind::Free, layout.size());
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn count(calls: &AtomicU64, kind: CallKind, bytes: usize) {
    if !COUNTING.load(Relaxed) || WATCHING.load(Relaxed) && remember(kind, bytes) == Own::Yes {
        return;
    }
    calls.fetch_add(1, Relaxed);
    if kind != CallKind::Free {
        // A `usize` always fits: no supported target has more than 64 bits.
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

/// Whether a call comes from taking a backtrace.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Own {
    No,
    Yes,
}

/// Remembers a call, if there are not enough yet.
#[cold]
fn remember(kind: CallKind, bytes: usize) -> Own {
    // A thread that is ending has no such variable any more; what it frees is counted, no more.
    let entered = REMEMBERING.try_with(|remembering| remembering.replace(true));
    if entered != Ok(false) {
        return if entered == Ok(true) { Own::Yes } else { Own::No };
    }
    // A panic holds the lock under which backtraces are taken.
    if !std::thread::panicking() {
        let mut watched = watched();
        if watched.len() < WATCHED_MAX {
            watched.push(Call { kind, bytes, backtrace: Backtrace::force_capture() });
        }
    }
    REMEMBERING.set(false);
    Own::No
}

fn watched() -> MutexGuard<'static, Vec<Call>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// This thread is taking a backtrace: what it allocates meanwhile is nobody's.
    static REMEMBERING: Cell<bool> = const { Cell::new(false) };
}

static WATCHING: AtomicBool = AtomicBool::new(false);
/// Has room for [`WATCHED_MAX`] while watching.
static WATCHED: Mutex<Vec<Call>> = Mutex::new(Vec::new());
static COUNTING: AtomicBool = AtomicBool::new(true);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static REALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
