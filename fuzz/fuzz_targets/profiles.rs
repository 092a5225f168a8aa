//! libFuzzer on provider profiles in TOML: `cargo xtask fuzz profiles`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::profiles::check(data));
