//! The CQL native protocol: frames, messages, values and routing, without I/O.
//!
//! Everything here works on bytes that the caller owns: nothing opens a socket, reads a clock or
//! starts a thread, and nothing on the request path allocates. Modules stand in reading order:
//! what all messages share, then values and rows, then requests, then responses.

#![forbid(unsafe_code)]

// What all messages share.
pub mod error;

pub mod header;

pub mod deframer;

pub mod consistency;

pub mod wire;

pub mod types;

pub mod metadata;

// Values, and the rows they make up.
pub mod value;

pub mod row;

// From a row to the shard that owns it.
pub mod routing;

// From client to server.
pub mod request;

// From server to client.
pub mod response;

pub mod rows;

pub mod supported;

pub mod compression;
