//! libFuzzer on authorization details: `cargo xtask fuzz authorization_details`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::authorization_details::check(data));
