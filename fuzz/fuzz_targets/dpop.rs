//! libFuzzer on DPoP nonces and kept keys: `cargo xtask fuzz dpop`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::dpop::check(data));
