//! libFuzzer on the metadata of protected resources: `cargo xtask fuzz resource_metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::resource_metadata::check(data));
