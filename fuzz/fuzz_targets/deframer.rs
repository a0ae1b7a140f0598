//! Frames are the same wherever the bytes are cut. See `src/deframer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::deframer::check(data));
