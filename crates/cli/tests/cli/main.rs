//! The `jeton` command as people and scripts have it: the real binary, in a home of its own, against the devserver. What
//! it does on every platform is in `anywhere.rs`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod completions;
mod devserver;
mod doctor;
#[cfg(target_os = "linux")]
mod doctor_keychain;
mod frame;
mod git_credential;
mod guide;
mod headers;
mod help;
mod http;
#[cfg(unix)]
mod interrupted;
#[cfg(target_os = "linux")]
mod keychain;
mod kubectl;
#[cfg(unix)]
mod login;
#[cfg(unix)]
mod login_terminal;
#[cfg(unix)]
mod login_url;
mod logout;
mod man;
mod quiet;
mod request;
mod run;
#[cfg(target_os = "linux")]
#[path = "../../../storage/tests/secret_service/mod.rs"]
mod secret_service;
mod status;
mod store;
mod token;
mod tokens;
mod trace;
mod world;
