//! A client that writes a heap profile of its steady state. See `CONTRACT.md`.

use std::process::ExitCode;

use shardwire_compare::{client, measure::Instrument};

#[global_allocator]
static ALLOCATOR: shardwire_meter::dhat::Alloc = shardwire_meter::dhat::Alloc;

fn main() -> ExitCode {
    client::main(Instrument::Dhat)
}
