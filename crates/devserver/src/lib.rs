//! A strict OAuth 2.0 authorization server and resource server on loopback, to test clients against.
//!
//! [`DevServer::start`] takes an ephemeral port on `127.0.0.1` and serves from its own thread until it is dropped:
//!
//! - **Strict.** What the RFCs forbid a client is refused with the proper OAuth error, and the
//!   `error_description` begins with the rule that was broken (`A12: code_verifier must be ...`).
//! - **Unforgiving.** Refresh tokens rotate; a reused one revokes the whole login for good
//!   ([`Rotation`]).
//! - **Faulty on request.** Latency, cut connections before and after the server committed, 503, wrong content
//!   types, any answer at all ([`Fault`]), and a gate for deterministic concurrency.
//! - **Watchful.** It counts ([`Stats`]) and remembers ([`RecordedRequest`]) what it saw.
//!
//! It depends on no other crate of jeton, so that what it says about a client is a second opinion. It keeps
//! everything in memory, speaks plain HTTP (but for mutual TLS) and lets everybody in: it is for tests, never for production.
//!
//! ```
//! use jeton_devserver::{DevServer, Endpoint, Fault};
//!
//! let server = DevServer::start()?;
//! // The next token request commits (a refresh token would be rotated), and the answer gets lost.
//! server.fault(Endpoint::Token, Fault::DropAfterCommit);
//! // ... let the client under test refresh at server.token_url() ...
//! assert_eq!(server.stats().refreshes, 0); // this example has no client
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;
mod authorization;
mod authorization_details;
mod builder;
mod ciba;
mod client_authentication;
mod client_documents;
mod clients;
mod clock;
mod codes;
mod device;
mod dpop;
mod endpoint;
mod exchange;
mod fapi;
mod faults;
mod form;
mod gate;
mod id_token;
mod introspection;
mod jarm;
mod jwt;
mod jwt_bearer;
mod logout;
mod metadata;
mod mint;
mod mutual_tls;
mod pages;
mod par;
mod pkce;
mod protected_resource;
mod record;
mod recorder;
mod refresh;
mod refusal;
mod registration;
mod request_object;
mod resource;
mod revocation;
mod scope;
mod seen;
mod seen_page;
mod serve;
mod server;
mod state;
mod stats;
mod token_endpoint;
mod token_exchange;
mod tokens;
mod userinfo;

pub use builder::Builder;
pub use clients::Client;
pub use endpoint::Endpoint;
pub use exchange::{Exchange, Outcome};
pub use faults::{Fault, RewriteFn};
pub use id_token::IdTokenFault;
pub use protected_resource::ResourceMetadata;
pub use record::RecordedRequest;
pub use recorder::Recorder;
pub use refresh::{RefreshEvent, RefreshOutcome};
pub use server::DevServer;
pub use stats::{GrantStats, Stats};
pub use tokens::Rotation;

/// The README's examples, run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
