//! Starts Apache Cassandra on loopback addresses, for tests and by hand.
//!
//! It fetches a release with Maven once, writes a configuration per node with a small heap and
//! without the waits of a real cluster, starts a process per node, and waits until each serves CQL
//! and reaches all the others. It is no way to run a database: nodes keep their data as long as the
//! cluster, mostly on a RAM disk.
//!
//! Everything blocks. From an async test call it in a `spawn_blocking`, or where blocking is fine.
//!
//! ```no_run
//! use shardwire_testing_cassandra::{Cassandra, Version};
//!
//! let mut cluster = Cassandra::builder().version(Version::V5_0).nodes(3).start()?;
//! println!("{:?}", cluster.contact_points());
//! cluster.kill(2)?; // as a crash would
//! cluster.restart(2)?; // on its data; returns when all nodes reach each other again
//! cluster.shutdown()?; // so does dropping it, and so does the death of this process
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! Read on in this order: `cluster.rs`, `node.rs`, `config.rs`, `ready.rs`, `client.rs`; what they
//! need of the machine is in `tools.rs`, `install.rs`, `ports.rs`, `folder.rs` and `watcher.rs`.

#![forbid(unsafe_code)]

mod cluster;
mod version;

mod certificates;
mod client;
mod config;
mod folder;
mod install;
mod node;
mod ports;
mod progress;
mod ready;
mod tools;
mod watcher;

pub use certificates::TlsFiles;
pub use cluster::{Builder, Cassandra, NODES_MAX, PASSWORD, USER};
pub use version::{ParseVersionError, Version};
