//! libFuzzer on JWTs: `cargo xtask fuzz jwt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::jwt::check(data));
