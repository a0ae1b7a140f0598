//! Values: how Rust types and CQL's meet.
//!
//! Next: `value/ser.rs`.

mod ser;
