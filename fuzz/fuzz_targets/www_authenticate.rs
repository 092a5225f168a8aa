//! libFuzzer on `WWW-Authenticate`: `cargo xtask fuzz www_authenticate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::www_authenticate::check(data));
