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
#[path = "interop/authorization_details.rs"]
mod authorization_details;
#[path = "interop/backchannel.rs"]
mod backchannel;
#[path = "interop/client_assertion.rs"]
mod client_assertion;
#[path = "interop/client_credentials.rs"]
mod client_credentials;
#[path = "interop/device_code.rs"]
mod device_code;
#[path = "interop/discovery.rs"]
mod discovery;
#[path = "interop/dpop.rs"]
mod dpop;
#[path = "interop/extension_grants.rs"]
mod extension_grants;
#[path = "interop/mutual_tls.rs"]
mod mutual_tls;
#[path = "interop/openid.rs"]
mod openid;
#[path = "interop/password.rs"]
mod password;
#[path = "interop/pushed_requests.rs"]
mod pushed_requests;
#[path = "interop/refresh_token.rs"]
mod refresh_token;
#[path = "interop/registration.rs"]
mod registration;
#[path = "interop/revocation.rs"]
mod revocation;
#[path = "interop/signed_requests.rs"]
mod signed_requests;
