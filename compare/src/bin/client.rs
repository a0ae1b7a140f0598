//! A client with the system allocator: for timed and checking runs. See `CONTRACT.md`.

use std::process::ExitCode;

use shardwire_compare::{client, measure::Instrument};

fn main() -> ExitCode {
    client::main(Instrument::Plain)
}
