//! Measuring: what a process allocated, how much CPU and memory it used, and on which machine.
//!
//! Knows nothing about CQL or about asynchronous runtimes. Never published.
//!
//! ```
//! use shardwire_meter::{CountingAllocator, counts};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator::new();
//!
//! let before = counts();
//! drop(std::hint::black_box(vec![0_u8; 64]));
//! let spent = counts().since(before);
//! assert_eq!((spent.allocations, spent.frees), (1, 1));
//! ```

pub mod affinity;
pub mod allocator;
pub mod cargo;
pub mod environment;
pub mod usage;

pub use affinity::{allowed_cpus, pin_to_cpus};
pub use allocator::{
    AllocationCounts, Call, CallKind, CountingAllocator, counts, set_counting, watch, watched_calls,
};
pub use cargo::cargo;
pub use dhat;
pub use environment::Environment;
pub use usage::{cpu_time, current_rss_bytes, peak_rss_bytes};
