//! libFuzzer on issuers: `cargo xtask fuzz issuer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::issuer::check(data));
