//! Requests are as long as they announce. See `src/requests.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::requests::check(data));
