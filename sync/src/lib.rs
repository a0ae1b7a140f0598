//! The concurrent parts of the request path: slots, outgoing buffers, queues, receive memory.
//!
//! Knows neither CQL nor tokio; whatever it holds is bytes, wakers and ticks. This is the one crate
//! of the driver with `unsafe` code: in [`SlotTable`] (who may touch a slot's cells) and in the
//! receive chunks (bytes that are read while others are appended). Each protocol is modelled with
//! loom (`RUSTFLAGS="--cfg loom" cargo test -p shardwire-sync --lib --release`) and runs under
//! Miri.
//!
//! | module | what it is | who calls it |
//! |---|---|---|
//! | `slots` | one object per request in flight | request, I/O task |
//! | `outbox` | two outgoing buffers that swap | request, writer |
//! | `wait_queue` | those who wait for room, in order | request, I/O task |
//! | `chunks` | receive memory that is lent out | I/O task, readers of replies |
//! | `receive` | what one connection reads into | I/O task |
//! | [`ticks`] | coarse time that wraps | all |
//!
//! Next: `sync/src/slots.rs`.

#![deny(clippy::multiple_unsafe_ops_per_block, clippy::undocumented_unsafe_blocks)]
#![deny(unsafe_op_in_unsafe_fn)]

mod slots;

mod outbox;

mod wait_queue;

mod chunks;

mod receive;

pub mod ticks;

mod panics;

mod shim;

pub use chunks::{Chunk, ChunkPool, Lease, PoolStats};
pub use outbox::{Outbox, PushError, Pushed, WriteBuffer};
pub use receive::Receiver;
pub use slots::{
    Abandoned, Completion, Expiry, Outcome, RECHECK_TICKS, SLOTS_MAX, SlotId, SlotTable,
};
pub use wait_queue::{Full, Ticket, WaitQueue, Waited};
