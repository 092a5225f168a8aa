//! **Sign in once and stay signed in**: from Rust, C, C++ and Go, across threads, processes and restarts.
//!
//! This crate is the front door of jeton: one dependency that brings the client ([`Client`], [`Session`]), the grants, the
//! stores, and a [`blocking`] API for programs without an async runtime. Whoever wants less takes single crates:
//! [`models`], [`grants`], [`storage`], [`jeton_client`], and with the features `jose` and `profiles` the modules of these names.
//!
//! # A service that calls an API
//! ```
//! use jeton::{Client, ClientCredentials};
//!
//! # let server = jeton_devserver::DevServer::start()?;
//! # let (issuer, api) = (server.issuer(), server.resource_url());
//! # let (client_id, client_secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
//! let client = Client::builder(client_id)
//!     .issuer(issuer)
//!     .client_secret(client_secret)
//!     .grant(ClientCredentials)
//!     .resource_server(&api)
//!     .build()?;
//! let session = client.session();
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let answer = session.get(&api).send().await?;
//! assert!(answer.status().is_success());
//! # Ok::<(), jeton::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A person at a desktop
//! The person's browser opens, the answer comes back to a listener on loopback, and the login is kept in a file: the next run
//! finds it.
//! ```no_run
//! # #[cfg(all(feature = "loopback", feature = "terminal", feature = "file"))]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use jeton::{AuthorizationCode, Client, FileStore, LoopbackRedirect, TerminalInteraction};
//!
//! let client = Client::builder("my-app")
//!     .issuer("https://as.example")
//!     .scope("openid offline_access")
//!     .grant(AuthorizationCode::new(LoopbackRedirect::new()))
//!     .interaction(TerminalInteraction::new())
//!     .store(FileStore::at_default_place()?)
//!     .build()?;
//! let session = client.session();
//! let token = match session.token().await {
//!     Err(error) if error.is_login_required() => session.log_in().await?,
//!     other => other?,
//! };
//! # let _ = token; Ok(()) }
//! ```
//!
//! # Without an async runtime
//! ```
//! # #[cfg(feature = "blocking")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use jeton::{ClientCredentials, blocking};
//!
//! # let server = jeton_devserver::DevServer::start()?;
//! # let issuer = server.issuer();
//! # let (client_id, client_secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
//! let client = jeton::Client::builder(client_id)
//!     .issuer(issuer)
//!     .client_secret(client_secret)
//!     .grant(ClientCredentials)
//!     .build()?;
//! let token = blocking::Client::from(client).session().token()?;
//! println!("valid until {:?}", token.expires_at());
//! # Ok(()) }
//! # #[cfg(not(feature = "blocking"))]
//! # fn main() {}
//! ```

//!
//! # What a strict server may ask for
//! Keys instead of secrets, bound tokens, pushed and signed requests, FAPI 2.0, OpenID Connect, registration, further grants: each is
//! a setting of the [`ClientBuilder`], most of them behind a feature. [`jeton_client`] has the list of what to set, the README
//! that of the standards and the tests that show them.

#[cfg(feature = "blocking")]
pub mod blocking;

pub use jeton_client::*;
pub use jeton_grants as grants;
pub use jeton_models as models;
pub use jeton_storage as storage;
pub use url::Url;

/// The examples of the READMEs, compiled.
#[cfg(doctest)]
mod readme {
    #[cfg(all(feature = "loopback", feature = "terminal", feature = "file"))]
    #[doc = include_str!("../../../README.md")]
    struct Project;

    #[cfg(feature = "blocking")]
    #[doc = include_str!("../README.md")]
    struct Crate;
}
