//! libFuzzer on `Retry-After`: `cargo xtask fuzz retry_after`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::retry_after::check(data));
