//! jeton-grants against the strict devserver, over a transport without an HTTP library, and against scripted answers where
//! a request has to be looked at byte by byte. A test of a line of standards.md begins with its id.
// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod authorization_code;
mod authorization_request;
mod ciba;
#[cfg(feature = "jose")]
mod client_assertion;
mod client_authentication;
mod device_code;
mod discovery;
#[cfg(feature = "jose")]
mod dpop;
mod extension_grant;
mod hygiene;
#[cfg(feature = "jose")]
mod id_token;
mod introspection;
mod introspection_cache;
#[cfg(feature = "jose")]
mod introspection_signed;
#[cfg(feature = "jose")]
mod jwks;
mod jwt_bearer;
mod more_grants_at_the_devserver;
mod mutual_tls;
mod own_transport;
mod protected_resource;
mod recovery;
mod refresh_token;
mod resource;
mod revocation;
#[cfg(feature = "jose")]
mod security_profile;
#[cfg(feature = "jose")]
mod signed_request;
#[cfg(feature = "jose")]
mod signed_response;
mod token_exchange;
mod token_request;
#[cfg(feature = "jose")]
mod user_info;
