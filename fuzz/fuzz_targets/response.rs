//! No response body makes a decoder panic, loop or allocate without limit. See `src/response.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::response::check(data));
