//! The node's own reading and writing of the protocol's bytes.
//!
//! Deliberately not the code of `shardwire-protocol`: a mistake there would otherwise be answered
//! by the same mistake here and no test would see it.

pub(crate) mod compression;
pub(crate) mod frame;
pub(crate) mod read;
pub(crate) mod segment;
pub(crate) mod version;
pub(crate) mod write;
