//! libFuzzer on answers that repeat what was sent: `cargo xtask fuzz endpoint_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::endpoint_answer::check(data));
