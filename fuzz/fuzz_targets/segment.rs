//! Segments, whatever the cuts. See `src/segment.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::segment::check(data));
