//! libFuzzer on backchannel authentication answers: `cargo xtask fuzz backchannel_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::backchannel_answer::check(data));
