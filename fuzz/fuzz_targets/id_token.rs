//! libFuzzer on ID tokens: `cargo xtask fuzz id_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::id_token::check(data));
