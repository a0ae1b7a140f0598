//! Both codecs make the same of the same bytes. See `src/differential.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardwire_fuzz::differential::check(data));
