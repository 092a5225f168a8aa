//! libFuzzer on introspection answers: `cargo xtask fuzz introspection_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::introspection_answer::check(data));
