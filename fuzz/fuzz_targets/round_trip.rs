//! What is written is read back. See `src/round_trip.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::round_trip::check(data));
