//! The embedded node: an in-memory CQL server for tests, benchmarks and demos.
//!
//! A [`Cluster`] is any number of nodes on consecutive loopback addresses, each with any number of
//! shards, a plain and a shard-aware port. It passes for ScyllaDB or, as a [`Persona`], for Apache
//! Cassandra. It stores rows in memory, counts where requests arrive, and goes wrong on demand. It
//! treats every client alike and forgets everything when it is dropped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let cluster = shardwire_server::Cluster::builder().nodes(2).shards(4).start().await?;
//! println!("contact points: {:?}", cluster.contact_points());
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! `README.md` lists the CQL it understands, its counters, faults and admin commands, and what
//! canned mode does. Reading order: `cluster.rs`, `node.rs`, `connection/mod.rs`.

#![forbid(unsafe_code)]

mod address;
mod admin;
mod cdc;
mod cluster;
mod connection;
mod coordinator;
mod counters;
mod cql;
mod endpoints;
mod error;
mod exec;
mod faults;
mod growing;
mod healing;
mod limits;
mod node;
mod persona;
mod rate;
mod replicas;
mod roles;
mod routing;
mod schema;
mod state;
mod store;
mod tablets;
mod tls;
mod topology;
mod users;
mod value;
mod wire;

pub use address::Addresses;
pub use cluster::{Cluster, ClusterBuilder};
pub use counters::{ClusterCounters, NodeCounters, ShardCounters};
pub use faults::{FaultAction, FaultRule};
pub use persona::Persona;
pub use tls::Tls;
pub use topology::{NewNode, TabletHome};

/// Compiles the example of `README.md`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
