//! The CQL native protocol: frames, messages, values and routing, without I/O.
//!
//! Everything here works on bytes that the caller owns: nothing opens a socket, reads a clock or
//! starts a thread, and nothing on the request path allocates. Modules stand in reading order:
//! what all messages share, then values and rows, then requests, then responses.

#![forbid(unsafe_code)]

pub mod error;

pub mod consistency;
pub mod header;
pub mod wire;

pub mod types;

pub mod row;
pub mod value;

pub mod metadata;
pub mod response;
pub mod rows;
pub mod supported;
