//! libFuzzer on sealed logins: `cargo xtask fuzz sealed_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::sealed_record::check(data));
