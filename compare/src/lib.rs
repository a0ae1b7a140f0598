//! Compares CQL drivers on identical workloads.
//!
//! `cargo run --release -p shardwire-compare` runs the whole comparison. This library holds the
//! parts: what is measured, the client processes that measure, the orchestrator that starts
//! them, and the reports. Clients in other languages need only `CONTRACT.md`.

pub mod client;
pub mod drivers;
pub mod fold;
pub mod job;
pub mod measure;
pub mod orchestrate;
pub mod pacer;
pub mod report;
pub mod run;
pub mod traffic;
pub mod workload;
