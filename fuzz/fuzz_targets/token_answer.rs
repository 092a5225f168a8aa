//! libFuzzer on token answers: `cargo xtask fuzz token_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::token_answer::check(data));
