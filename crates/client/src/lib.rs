//! An OAuth 2.0 client that stays signed in.
//!
//! A [`Client`] is the configuration of one client at one authorization server. A [`Session`] is one login, kept valid: its
//! token is cached, refreshed once for all threads and processes that share the store, stored before anybody sees it, and
//! found again by the next run.
//!
//! ```
//! use jeton_client::{Client, ClientCredentials};
//!
//! # let server = jeton_devserver::DevServer::start()?;
//! # let issuer = server.issuer();
//! # let api = server.resource_url();
//! # let (id, secret) = jeton_devserver::DevServer::SERVICE_CLIENT;
//! let client = Client::builder(id)
//!     .issuer(issuer)
//!     .client_secret(secret)
//!     .grant(ClientCredentials)
//!     .resource_server(&api)
//!     .build()?;
//! let session = client.session();
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let response = session.get(&api).send().await?;
//! assert!(response.status().is_success());
//! # Ok::<(), jeton_client::Error>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a strict server may ask for
//! How the client authenticates, what binds its tokens and how it asks for them are settings of the [`ClientBuilder`]; a session
//! works the same with all of them. What needs a feature is off unless that is on.
//!
//! | wanted | set | feature |
//! |---|---|---|
//! | `private_key_jwt`, `client_secret_jwt` | `authentication(PrivateKeyJwt::new(key))`, `ClientSecretJwt` | `jose` |
//! | mutual TLS | `http(HttpOptions::new().client_certificate(..))`, `authentication(TlsClientAuth)` | `mtls` |
//! | DPoP | `dpop(true)`, `dpop_signer(key)` | `jose` |
//! | pushed, signed, detailed authorization requests | `pushed_authorization_requests`, `request_object`, `authorization_details` | `jose` to sign |
//! | signed authorization responses (JARM) | `signed_authorization_responses(true)` | `jose` |
//! | FAPI 2.0 Security Profile | `fapi2_security_profile()` | `jose` or `mtls` |
//! | OpenID Connect | scope `openid`, then `Session::{id_token, user_info, end_session_url}` | `openid` |
//! | another grant | `grant(TokenExchange, JwtBearer, Ciba, IdentityAssertion)` | `jose` for the last |
//! | introspection | [`Session::introspect`], [`Client::introspect`], `introspection_cache`, `signed_introspection` | `jose` for signed ones |
//! | to be registered | `Registrar` | `registration` |
//! | an API of which only the URL is known | `ResourceClient` | `registration` |
//! | a provider with ways of its own | `provider(Profile::named(..)?)` | `profiles` |
//!
//! # What it reads from the environment
//! Only what platforms' conventions ask for: proxies (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`; with the feature
//! `system-proxy` also the settings of macOS and Windows), certificate authorities on Linux (`SSL_CERT_FILE`, `SSL_CERT_DIR`),
//! the folder of the default file store (`XDG_STATE_HOME`, `HOME`, `LOCALAPPDATA`), and whether there is a browser (`DISPLAY`,
//! `WAYLAND_DISPLAY`, `SSH_CONNECTION`, `SSH_TTY`, `WSL_INTEROP`, `WSL_DISTRO_NAME`), and which one to open (`BROWSER`).

mod access_token;
#[cfg(all(feature = "rustls", unix, not(target_vendor = "apple"), not(target_os = "android")))]
mod authorities;
mod background;
mod backoff;
mod binding;
#[cfg(feature = "browser")]
mod browser;
mod builder;
mod cached_token;
mod client;
mod clock;
mod error;
mod event;
mod exchange;
mod http;
mod log_out;
mod login;
#[cfg(feature = "loopback")]
mod loopback;
#[cfg(feature = "tower")]
mod middleware;
#[cfg(feature = "openid")]
mod openid;
#[cfg(feature = "loopback")]
mod page;
#[cfg(feature = "jose")]
mod proven_request;
#[cfg(feature = "profiles")]
mod provider;
#[cfg(feature = "registration")]
mod reach;
#[cfg(feature = "registration")]
mod registrar;
mod request;
#[cfg(feature = "registration")]
mod resource_client;
mod session;
mod session_source;
mod slot;
mod sync;
mod tasks;
#[cfg(feature = "terminal")]
mod terminal;
mod transaction;
mod transport;

pub use access_token::AccessToken;
#[cfg(feature = "browser")]
pub use browser::{OpenBrowserError, browser_available, open_browser};
pub use builder::ClientBuilder;
pub use cached_token::CachedToken;
pub use client::Client;
pub use clock::SystemClock;
pub use error::{Error, LoginRequired};
pub use event::{Event, EventKind, Events};
#[cfg(feature = "tower")]
pub use exchange::{HttpRequest, HttpResponse};
pub use http::{HttpOptions, HttpOptionsError};
pub use log_out::{LoggedOut, NotRevoked, TokenKind};
#[cfg(feature = "loopback")]
pub use loopback::LoopbackRedirect;
#[cfg(feature = "tower")]
pub use middleware::{Authentication, AuthenticationLayer, Clonable, MiddlewareError, NoReplay, Replay};
#[cfg(feature = "registration")]
pub use registrar::{Registrar, RegistrarBuilder};
pub use request::AuthenticatedRequest;
#[cfg(feature = "registration")]
pub use resource_client::{ResourceClient, ResourceClientBuilder, ResourceLogin, ResourceRequest};
pub use session::Session;
#[cfg(feature = "openid")]
pub use session_source::SessionIdTokens;
#[cfg(feature = "terminal")]
pub use terminal::TerminalInteraction;
pub use transport::ReqwestTransport;

// What the builder takes, so that most programs need this crate alone; for an `Interaction`, a `Transport` or a store of your
// own, the crates that define them.
pub use jeton_grants as grants;
#[cfg(feature = "jose")]
pub use jeton_grants::SignedClientSecret;
pub use jeton_grants::{
    AssertionSource, AuthorizationCode, BackchannelPrompt, Ciba, ClientAuthentication, ClientCredentials,
    ClientSecretBasic, ClientSecretPost, Clock, DeviceCode, ExtraParameters, Grant, GrantError, Interaction,
    IntrospectionCache, JwtBearer, Limits, LoginOptions, PastedRedirect, PendingLogin, PublicClient,
    PushedRequests, Recovery, ResourceOwnerPasswordCredentials, SecurityProfile, SecurityProfileError,
    SecurityToken, SecurityTokenSource, SelfSignedTlsClientAuth, TlsClientAuth, TokenExchange, Transport,
};
#[cfg(feature = "jose")]
pub use jeton_grants::{ClientSecretJwt, PrivateKeyJwt, RequestObject};
#[cfg(feature = "openid")]
pub use jeton_grants::{EndSession, IdToken, IdTokenPolicy, PendingLogout};
#[cfg(feature = "jose")]
pub use jeton_grants::{IdentityAssertion, SignedAssertion};
#[cfg(feature = "jose")]
pub use jeton_jose as jose;
#[cfg(feature = "jose")]
pub use jeton_jose::{JwsAlgorithm, Signer, SigningKey};
pub use jeton_models as models;
pub use jeton_models::{
    AuthorizationDetail, AuthorizationServerMetadata, Introspection, Issuer, Scope, Secret, Token,
    TokenTypeIdentifier, UserInfo, Warning,
};
#[cfg(feature = "registration")]
pub use jeton_models::{ClientMetadata, ClientMetadataDocument, ClientRegistration};
#[cfg(feature = "profiles")]
pub use jeton_profiles as profiles;
#[cfg(feature = "profiles")]
pub use jeton_profiles::Profile;
pub use jeton_storage as storage;
#[cfg(feature = "sealed")]
pub use jeton_storage::{Argon2Cost, SealedStore, SealingKey};
#[cfg(feature = "file")]
pub use jeton_storage::{ChosenStore, FileStore, StoreChoice, StoreKind};
#[cfg(feature = "keyring")]
pub use jeton_storage::{KeyringStore, KeyringStoreBuilder};
pub use jeton_storage::{LoginKey, MemoryStore, StoreError, TokenStore};
/// The HTTP library of authenticated requests.
///
/// jeton brings the cryptography of its own connections (ring) and sets no default for the process. A `reqwest::Client` that the
/// program makes by itself finds none with the feature `rustls` alone, and panics: depend on `reqwest` with its own feature
/// `rustls`, or call `rustls::crypto::ring::default_provider().install_default()` first.
pub use reqwest;
pub use url::Url;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
