//! A client that counts its heap traffic: for counting runs. See `CONTRACT.md`.

use std::process::ExitCode;

use shardwire_compare::{client, measure::Instrument};

#[global_allocator]
static ALLOCATOR: shardwire_meter::CountingAllocator = shardwire_meter::CountingAllocator::new();

fn main() -> ExitCode {
    client::main(Instrument::Counting)
}
