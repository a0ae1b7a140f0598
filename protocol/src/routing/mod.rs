//! From a statement's values to the token of its partition, and to the shard of a node.
//!
//! Which nodes hold a token is topology and not known here. `key.rs` is where it begins.
//!
//! Step 3 of 14 in `docs/REQUEST.md`. Next: `driver/src/policy/plan.rs`.

mod key;
mod murmur3;
mod shard;
mod token;

pub use key::{KeySink, token_of_key, token_of_row, write_key_of_row};
pub use murmur3::{Murmur3, hash as murmur3};
pub use shard::{Sharder, SourcePorts};
pub use token::{Partitioner, Token};
