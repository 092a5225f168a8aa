//! libFuzzer on server metadata: `cargo xtask fuzz metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::metadata::check(data));
