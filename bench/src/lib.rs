//! What a request costs: criterion benchmarks in `benches/`, instructions per request in
//! `src/bin/instructions/`.
//!
//! ```sh
//! cargo bench -p shardwire-bench                                       # wall time of the parts
//! cargo run --release -p shardwire-bench --bin instructions            # instructions of the whole
//! ```
//!
//! Wall time is reported and never a gate; instructions are exact enough to be one.
