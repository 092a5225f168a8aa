//! libFuzzer on redirected URLs: `cargo xtask fuzz authorization_response`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::authorization_response::check(data));
