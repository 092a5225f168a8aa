//! libFuzzer on scopes: `cargo xtask fuzz scope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::scope::check(data));
