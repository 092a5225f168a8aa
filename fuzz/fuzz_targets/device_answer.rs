//! libFuzzer on device authorization answers: `cargo xtask fuzz device_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::device_answer::check(data));
