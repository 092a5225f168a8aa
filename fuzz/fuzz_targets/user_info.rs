//! libFuzzer on userinfo answers: `cargo xtask fuzz user_info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::user_info::check(data));
