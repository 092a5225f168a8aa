//! libFuzzer on token answers in the dialects of providers: `cargo xtask fuzz dialect_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::dialect_answer::check(data));
