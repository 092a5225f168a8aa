//! libFuzzer on error answers: `cargo xtask fuzz error_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::error_answer::check(data));
