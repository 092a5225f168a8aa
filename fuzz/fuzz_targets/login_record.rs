//! libFuzzer on records of logins: `cargo xtask fuzz login_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jeton_fuzz::login_record::check(data));
