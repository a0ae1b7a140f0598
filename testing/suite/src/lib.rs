//! One suite of integration tests, for any cluster that speaks CQL.
//!
//! A [`Case`] is an async function over a [`Context`]: it gets sessions and a keyspace of its own,
//! and does not know which server answers. What is to be run against which cluster is told by
//! [`Configuration`]s: embedded nodes as ScyllaDB and as Cassandra in the test target `embedded`,
//! Apache Cassandra in the target `cassandra`. Each case runs once per [`Variant`] of the protocol.
//!
//! ```sh
//! cargo test -p shardwire-testing-suite # embedded nodes
//! cargo test -p shardwire-testing-suite --features cassandra --test cassandra
//! cargo test -p shardwire-testing-suite --features cassandra --test cassandra -- "3 nodes"
//! ```
//!
//! A case that embedded nodes can't serve yet is named in `cassandra-only.txt`, with the reason.
//!
//! What a script of CQL in `scripts/` gives is compared with what Apache Cassandra gave.
//!
//! Read on in this order: `case.rs`, `configuration.rs`, `context.rs`, `target.rs`, `stage.rs`,
//! `run.rs`, `script.rs`; then the cases, in `cases/`.

#![forbid(unsafe_code)]

mod case;
mod cases;
mod certificates;
mod configuration;
mod context;
mod list;
mod run;
mod script;
mod stage;
mod target;

pub use case::Case;
pub use configuration::{Access, Configuration, Server, Variant};
pub use context::Context;
pub use run::main;
pub use script::{SCRIPTS, Script, play};
pub use target::Target;
