//! libFuzzer on answers to pushed authorization requests: `cargo xtask fuzz pushed_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::pushed_answer::check(data));
