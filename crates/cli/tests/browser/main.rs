//! `jeton login` as a person meets it: the real binary in a terminal, and the pages of a server in a real browser, up to the page
//! with which the program says how it ended. Run it with `cargo xtask test --only browser`, which sees to Chromium's driver and
//! starts the server that nobody here wrote.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../cli/world.rs"]
mod world;

mod devserver_device;
mod devserver_login;
mod devserver_seen;
mod login;
mod pages;
mod provider;
