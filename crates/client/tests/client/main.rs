//! The tests of the client that need no process of their own, in one program: linking is what costs most of them.
//!
//! Files that begin alike belong together: `session_*` are the rules of the life of a token, `requests_*` the authenticated
//! requests.

// A test that fails does so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authorization_requests;
#[cfg(feature = "jose")]
mod client_assertion;
#[cfg(feature = "jose")]
mod dpop;
mod loopback;
mod middleware_tower;
mod mutual_tls;
#[cfg(feature = "openid")]
mod openid;
#[cfg(feature = "profiles")]
mod providers;
#[cfg(feature = "registration")]
mod registration;
mod requests_bodies;
mod requests_origin;
mod requests_rejection;
mod requests_support;
mod resource_client;
mod session_ahead;
mod session_exchanges;
mod session_executors;
mod session_failures;
mod session_holds;
mod session_introspection;
mod session_life;
mod session_log_out;
mod session_logins;
mod session_revocation;
mod session_sealed;
mod session_time;
mod support;
mod suspended;
mod taxonomy_lifetimes;
mod terminal;
mod transport;
mod transport_tls;
