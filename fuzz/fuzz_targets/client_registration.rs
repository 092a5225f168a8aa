//! libFuzzer on registration answers and clients' documents: `cargo xtask fuzz client_registration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::client_registration::check(data));
