//! Rules of the house, as tests: `cargo test -p shardwire-tidy`.
//!
//! This library reads the repository; the rules themselves are in `tests/tidy/`. It needs no
//! network and no tool beyond cargo. A rule that is not worth failing the build for is not here.
//!
//! `cargo run -p shardwire-tidy` prints the largest files and functions, which nothing limits but
//! taste.

#![forbid(unsafe_code)]

pub mod packages;
pub mod source;
pub mod tree;
