//! libFuzzer on signed authorization responses: `cargo xtask fuzz signed_response`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::signed_response::check(data));
