//! What goes over the wire in OAuth 2.0: requests, answers, errors, PKCE and server metadata.
//!
//! This crate does no I/O, is not async and reads no clock but where a function says so; time is an argument.
//! It is the ground floor of jeton and worth having alone: a server, a proxy or a test can use it without
//! bringing in an HTTP library.
//!
//! Outgoing models know how to become form parameters ([`Parameters`]); incoming ones are read by tolerant
//! parsers that record each leniency as a [`Warning`] and have a strict switch ([`ParseOptions`]).
//!
//! ```
//! use jeton_models::{Answer, ParseOptions, TokenResponse, Warning};
//!
//! // What a real server sends: the lifetime as a string, no token_type.
//! let answer = Answer::new(200, Some("application/json"), br#"{"access_token":"t0k3n","expires_in":"3600"}"#);
//! let response = TokenResponse::parse(&answer, &ParseOptions::default())?;
//! assert_eq!(response.expires_in, Some(3600));
//! assert_eq!(response.warnings, [Warning::TokenTypeAbsent, Warning::ExpiresInString]);
//!
//! // The same answer under the strict switch.
//! assert!(TokenResponse::parse(&answer, &ParseOptions::strict()).is_err());
//! # Ok::<(), jeton_models::AnswerError>(())
//! ```

// The README's examples are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod answer;
mod authorization;
mod authorization_details;
mod backchannel;
mod challenge;
mod client_document;
mod device;
mod dialect;
mod error;
mod extra;
mod grant_type;
mod introspection;
mod issuer;
mod json;
mod metadata;
mod parameters;
mod pkce;
mod protected_resource;
mod pushed;
mod random;
mod registration;
mod request;
mod resource_challenge;
mod scope;
mod secret;
mod text;
mod token;
mod token_exchange;
mod token_response;
mod user_info;
mod warning;

pub use answer::{Answer, AnswerError, ParseOptions, UnusableAnswer, UnusableReason};
pub use authorization::{AuthorizationRequest, AuthorizationResponse, AuthorizationResponseError};
pub use authorization_details::{AuthorizationDetail, AuthorizationDetailsError};
pub use backchannel::{
    BackchannelAccessTokenRequest, BackchannelAuthenticationRequest, BackchannelAuthenticationResponse,
};
pub use challenge::{Challenge, parse_www_authenticate};
pub use client_document::{ClientMetadataDocument, client_id_url};
pub use device::{DeviceAuthorizationRequest, DeviceAuthorizationResponse};
pub use dialect::Dialect;
pub use error::{ErrorResponse, OAuth2Error};
pub use extra::ExtraMembers;
pub use grant_type::GrantType;
pub use introspection::Introspection;
pub use issuer::{Issuer, IssuerError, is_loopback_host, is_secure_or_loopback};
pub use metadata::{AuthorizationServerMetadata, MetadataError};
pub use parameters::{ParameterError, Parameters};
pub use pkce::{CodeChallengeMethod, CodeVerifierError, Pkce, create_code_challenge, create_code_verifier};
pub use protected_resource::{
    ExpectedResource, ProtectedResourceMetadata, ResourceMetadataError, resource_covers,
};
pub use pushed::PushedAuthorizationResponse;
pub use random::random_token;
pub use registration::{ClientMetadata, ClientMetadataError, ClientRegistration};
pub use request::{
    AccessTokenRequest, AuthorizationCodeAccessTokenRequest, ClientCredentialsAccessTokenRequest,
    DeviceAccessTokenRequest, JwtBearerAccessTokenRequest, RefreshTokenAccessTokenRequest,
    ResourceOwnerPasswordCredentialsAccessTokenRequest,
};
pub use resource_challenge::ResourceChallenge;
pub use scope::{Scope, ScopeError};
pub use secret::{Secret, exposed, exposed_option};
pub use text::is_deceptive;
pub use token::{DEFAULT_EARLY_EXPIRY, Token, TokenType, UnsupportedTokenType};
pub use token_exchange::{TokenExchangeRequest, TokenTypeIdentifier};
pub use token_response::TokenResponse;
pub use url::Url;
pub use user_info::UserInfo;
pub use warning::Warning;
