//! libFuzzer on sets of keys: `cargo xtask fuzz jwk_set`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::jwk_set::check(data));
