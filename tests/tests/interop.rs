//! jeton at a server that nobody here wrote: the certified OpenID provider of tests/interop. Run it with
//! `cargo xtask interop`, which starts that server and counts these tests by the grant that begins their names.

// Tests may end by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "interop/pages.rs"]
mod pages;
#[path = "interop/person.rs"]
mod person;
#[path = "interop/server.rs"]
mod server;
#[path = "interop/wire.rs"]
mod wire;

#[path = "interop/authorization_code.rs"]
mod authorization_code;
#[path = "interop/client_credentials.rs"]
mod client_credentials;
#[path = "interop/device_code.rs"]
mod device_code;
#[path = "interop/discovery.rs"]
mod discovery;
#[path = "interop/password.rs"]
mod password;
#[path = "interop/refresh_token.rs"]
mod refresh_token;
#[path = "interop/revocation.rs"]
mod revocation;
