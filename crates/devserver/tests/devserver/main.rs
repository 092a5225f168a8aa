//! The devserver over real HTTP, as any client meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod authorization;
mod client_assertion;
mod device;
mod dpop;
mod faults;
mod http;
mod lifecycle;
mod login;
mod metadata;
mod openid;
mod pages;
mod protected_resource;
mod pushed;
mod refresh;
mod registration;
mod resource;
mod seen;
mod token;
