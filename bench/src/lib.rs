//! What a request costs: criterion benchmarks in `benches/`, instructions per request in
//! `src/bin/instructions/`, instructions of decoding a row in `src/bin/decode/`.
//!
//! ```sh
//! cargo bench -p shardwire-bench                                       # wall time of the parts
//! cargo run --release -p shardwire-bench --bin instructions            # instructions of the whole
//! cargo run --release -p shardwire-bench --bin decode                  # of decoding, by types
//! ```
//!
//! Wall time is reported and never a gate; instructions are exact enough to be one. The library
//! holds what the two programs share: building what they measure, running it under callgrind, and
//! reading what callgrind wrote.

pub mod callgrind;
pub mod profile;
pub mod programs;

pub use profile::Profile;
