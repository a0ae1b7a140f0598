//! LZ4 bodies decompress to what they announce or not at all. See `src/compression.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::compression::check(data));
