//! No cell makes a decoder panic; what is read can be written and read again. See `src/rows.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::rows::check(data));
