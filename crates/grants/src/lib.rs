//! How a token is obtained: the grants of OAuth 2.0, over any HTTP library.
//!
//! Five traits, each with one job: a [`Grant`] obtains a token; a [`ClientAuthentication`] puts the client's identity on
//! a request; a [`Transport`] sends it; an [`Interaction`] reaches the person; a [`Clock`] tells the time. Hand them to
//! a grant in a [`GrantContext`].
//!
//! This crate sends one request when asked. Keeping a token valid, stored and shared is the work of jeton-client.
//!
//! ```
//! use std::time::SystemTime;
//! use jeton_grants::{
//!     ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError, Limits, ManualClock, Transport,
//!     TransportError, async_trait, bytes::Bytes, http,
//! };
//! use jeton_models::{AuthorizationServerMetadata, Token};
//!
//! # struct MyHttp;
//! # #[async_trait]
//! # impl Transport for MyHttp {
//! #     async fn send(&self, request: http::Request<Bytes>, _: &Limits) -> Result<http::Response<Bytes>, TransportError> {
//! #         assert_eq!(request.body(), "grant_type=client_credentials");
//! #         let body = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":60}"#;
//! #         let response = http::Response::builder().header("content-type", "application/json");
//! #         Ok(response.body(Bytes::from(body)).unwrap())
//! #     }
//! # }
//! async fn token(http: &MyHttp) -> Result<Token, GrantError> {
//!     let mut server = AuthorizationServerMetadata::new("https://as.example");
//!     server.token_endpoint = Some("https://as.example/token".into());
//!     let authentication = ClientSecretBasic::new("s3cr3t");
//!     let clock = ManualClock::at(SystemTime::now());
//!     let cx = GrantContext::new(&server, "my-service", &authentication, http, &clock);
//!     Ok(ClientCredentials.obtain(&cx).await?.into_token(SystemTime::now()))
//! }
//! # let token = tokio::runtime::Builder::new_current_thread().build()?.block_on(token(&MyHttp))?;
//! # assert!(!token.is_expired(None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authentication;
mod authorization_code;
mod authorization_policy;
mod authorization_request;
mod authorization_response;
mod ciba;
#[cfg(feature = "jose")]
mod client_assertion;
mod client_credentials;
mod clock;
mod context;
mod device_code;
mod dialect;
mod discovery;
mod document;
#[cfg(feature = "jose")]
mod dpop;
#[cfg(feature = "jose")]
mod end_session;
mod endpoint;
mod error;
mod grant;
#[cfg(feature = "jose")]
mod id_token;
#[cfg(feature = "jose")]
mod identity_assertion;
mod interaction;
mod introspection;
mod introspection_cache;
#[cfg(feature = "jose")]
mod jwks;
mod jwt_bearer;
mod login_options;
mod mutual_tls;
mod polling;
mod protected_resource;
mod refresh_token;
mod registration;
#[cfg(feature = "jose")]
mod rejected_jwt;
#[cfg(feature = "jose")]
mod request_object;
mod resource_owner_password_credentials;
mod revocation;
mod security_profile;
mod security_token;
#[cfg(feature = "jose")]
mod signed_assertion;
#[cfg(feature = "jose")]
mod signed_client_secret;
mod token_exchange;
mod transport;
#[cfg(feature = "jose")]
mod user_info;

// What implementations of the traits need, in the versions that the signatures have.
pub use async_trait::async_trait;
pub use url::Url;
pub use {bytes, http};

pub use authentication::{
    AuthenticationContext, ClientAuthentication, ClientSecretBasic, ClientSecretPost, PublicClient,
};
pub use authorization_code::{
    AuthorizationCode, DEFAULT_LOGIN_TIMEOUT, PastedRedirect, PendingLogin, begin_authorization,
    finish_authorization,
};
pub use authorization_policy::{AuthorizationPolicy, PushedRequests};
pub use authorization_request::AuthorizationRequestError;
pub use ciba::Ciba;
#[cfg(feature = "jose")]
pub use client_assertion::{ClientAssertionError, ClientSecretJwt, PrivateKeyJwt};
pub use client_credentials::ClientCredentials;
pub use clock::{Clock, ManualClock};
pub use context::{Advice, ExtraParameters, GrantContext};
pub use device_code::DeviceCode;
pub use dialect::{OmittedParameters, PkceDialect, RequestDialect, redirected_by_form_post};
pub use discovery::{discover, metadata_urls};
#[cfg(feature = "jose")]
pub use dpop::{Dpop, DpopError, DpopNonces, DpopSide};
#[cfg(feature = "jose")]
pub use end_session::{EndSession, PendingLogout, begin_end_session};
pub use endpoint::{EndpointAnswer, EndpointRequest};
pub use error::{GrantError, Operation, Recovery};
pub use grant::Grant;
#[cfg(feature = "jose")]
pub use id_token::{IdToken, IdTokenCheck, IdTokenPolicy};
#[cfg(feature = "jose")]
pub use identity_assertion::IdentityAssertion;
pub use interaction::{
    AuthorizationPrompt, AuthorizationReply, BackchannelPrompt, DeviceCodePrompt, Interaction,
    InteractionError, LoginOutcome, ManualRegistration, NoInteraction, RedirectEndpoint, RedirectReceiver,
    RegistrationPrompt, ServerPrompt, ServerReason,
};
pub use introspection::introspect;
pub use introspection_cache::IntrospectionCache;
#[cfg(feature = "jose")]
pub use jwks::JwksCache;
pub use jwt_bearer::{AssertionSource, JwtBearer};
pub use login_options::LoginOptions;
pub use mutual_tls::{SelfSignedTlsClientAuth, TlsClientAuth};
pub use protected_resource::{
    ProtectedResourceError, protected_resource_metadata, protected_resource_metadata_urls,
};
pub use refresh_token::RefreshToken;
pub use registration::{
    RegistrationContext, delete_registration, read_registration, register, update_registration,
};
#[cfg(feature = "jose")]
pub use rejected_jwt::{JwtRejection, RejectedJwt, SignedAnswer};
#[cfg(feature = "jose")]
pub use request_object::RequestObject;
pub use resource_owner_password_credentials::ResourceOwnerPasswordCredentials;
pub use revocation::revoke;
pub use security_profile::{SecurityProfile, SecurityProfileError};
pub use security_token::{SecurityToken, SecurityTokenSource};
#[cfg(feature = "jose")]
pub use signed_assertion::SignedAssertion;
#[cfg(feature = "jose")]
pub use signed_client_secret::SignedClientSecret;
pub use token_exchange::TokenExchange;
pub use transport::{Limits, Transport, TransportError, TransportErrorKind};
#[cfg(feature = "jose")]
pub use user_info::{read_user_info, user_info_request};

/// The README's example is compiled and run like the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
