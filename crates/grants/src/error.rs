//! `GrantError`: why there is no token, and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "jose")]
use jeton_models::AnswerError;
use jeton_models::{
    AuthorizationResponseError, ClientMetadataError, ErrorResponse, GrantType, MetadataError, OAuth2Error,
    ParameterError, Secret, TokenResponse, UnusableAnswer, UnusableReason,
};

use crate::{AuthorizationRequestError, InteractionError, SecurityProfileError, TransportError};

/// What a request was for, as errors and spans name it: `token request (refresh_token)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation(Cow<'static, str>);

impl Operation {
    /// Reading the server's metadata.
    pub const DISCOVERY: Self = Self(Cow::Borrowed("discovery"));
    /// Reading a protected resource's metadata.
    pub const RESOURCE_METADATA: Self = Self(Cow::Borrowed("resource metadata"));
    /// Reading the server's keys.
    pub const SIGNING_KEYS: Self = Self(Cow::Borrowed("signing keys"));
    /// A pushed authorization request (RFC 9126).
    pub const PUSHED_AUTHORIZATION: Self = Self(Cow::Borrowed("pushed authorization request"));
    /// A device authorization request.
    pub const DEVICE_AUTHORIZATION: Self = Self(Cow::Borrowed("device authorization request"));

    /// A token request of that grant.
    pub fn token_request(grant_type: &GrantType) -> Self {
        Self(match grant_type {
            GrantType::AuthorizationCode => Cow::Borrowed("token request (authorization_code)"),
            GrantType::RefreshToken => Cow::Borrowed("token request (refresh_token)"),
            GrantType::ClientCredentials => Cow::Borrowed("token request (client_credentials)"),
            other => Cow::Owned(format!("token request ({other})")),
        })
    }

    /// Anything else.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovery {
    /// Try again, not before that time has passed if there is one.
    Retry {
        /// What the server asked for, or what the back-off says.
        after: Option<Duration>,
    },
    /// Log in again.
    LogIn,
    /// The request itself is wrong: its scope, its resource, its parameters.
    FixRequest,
    /// The configuration is wrong: client identifier, secret, endpoint, redirect URI, permissions of a folder.
    FixConfiguration,
    /// Nothing that the program could do.
    GiveUp,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { after: Some(after) } => write!(f, "try again in {} s", after.as_secs_f64().ceil()),
            Self::Retry { after: None } => f.write_str("try again later"),
            Self::LogIn => f.write_str("log in again"),
            Self::FixRequest => f.write_str("change the request: its scope, resource or parameters"),
            Self::FixConfiguration => {
                f.write_str("check the configuration: client identifier, secret, endpoints, redirect URI")
            }
            Self::GiveUp => f.write_str("there is nothing that the program could do"),
        }
    }
}

/// Why there is no token.
///
/// The texts say what happened, where and what the server said, and show no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// There is no answer.
    #[error("{operation} at {url}: {source}")]
    Transport {
        /// What was asked for.
        operation: Operation,
        /// Where, without query.
        url: String,
        /// What kept the answer from coming.
        source: TransportError,
    },
    /// The server answered an OAuth error.
    #[error("{operation} at {url}: {error}")]
    OAuth {
        /// What was asked for.
        operation: Operation,
        /// Where, without query.
        url: String,
        /// The whole error answer and its HTTP status.
        error: Box<OAuth2Error>,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server's answer cannot be used.
    #[error("{operation} at {url}: {answer}")]
    Unusable {
        /// What was asked for.
        operation: Operation,
        /// Where, without query.
        url: String,
        /// What is wrong with it.
        answer: Box<UnusableAnswer>,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server answered with a redirect, which is not followed (RFC 9700 §4.12): credentials would go elsewhere.
    #[error(
        "{operation} at {url}: the server answered with a redirect [HTTP {status}], which is not followed; set the endpoint's final URL"
    )]
    Redirected {
        /// What was asked for.
        operation: Operation,
        /// Where, without query.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The server's metadata lacks what is needed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A parameter cannot be sent.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The authorization request cannot be made as it was asked for. Nothing was sent.
    #[error(transparent)]
    AuthorizationRequest(#[from] AuthorizationRequestError),
    /// The client or the server lacks what the client's security profile asks for. Nothing was sent.
    #[error(transparent)]
    SecurityProfile(#[from] SecurityProfileError),
    /// The redirected URL is not the answer to this login, or says no.
    #[error(transparent)]
    AuthorizationResponse(#[from] AuthorizationResponseError),
    /// The person could not be reached.
    #[error(transparent)]
    Interaction(#[from] InteractionError),
    /// The pending login is too old.
    #[error("this pending login expired; start the login again")]
    PendingLoginExpired,
    /// The pending login was begun by another client or for another server.
    #[error(
        "this pending login was begun for {what}; finish it where it was begun, or start the login again"
    )]
    PendingLoginForeign {
        /// Whose it is.
        what: String,
    },
    /// The pending login was finished before.
    #[error("this pending login was used before; a login works once: start it again")]
    PendingLoginUsed,
    /// The server offers no PKCE by S256 (RFC 7636 §4.2).
    #[error(
        "{issuer} does not support PKCE with S256 (it lists {listed:?}); jeton does not log in without: have the server support it"
    )]
    NoS256 {
        /// The server.
        issuer: String,
        /// What it lists.
        listed: Vec<String>,
    },
    /// A resource indicator is not one (RFC 8707 §2).
    #[error(
        "`{resource}` cannot be a resource indicator: it must be an absolute URI without a fragment (RFC 8707 §2)"
    )]
    Resource {
        /// As it was given.
        resource: String,
    },
    /// A redirect URI is not one (RFC 6749 §3.1.2).
    #[error(
        "`{redirect_uri}` cannot be a redirect URI: it must be an absolute URI without a fragment (RFC 6749 §3.1.2); give \
         the one that is registered for the client"
    )]
    RedirectUri {
        /// As it was given.
        redirect_uri: String,
    },
    /// The page that the server names for the user code is not one to send a person to.
    #[error(
        "the server sends the person to `{uri}`, which is neither HTTPS nor on loopback; jeton does not show that: the server's \
         configuration has to be mended"
    )]
    VerificationUri {
        /// As the server named it, shortened.
        uri: String,
    },
    /// The device code expired before the person approved (RFC 8628 §3.5).
    #[error("the device code expired before the login was approved; start the login again")]
    DeviceCodeExpired,
    /// What the server signed is not taken: an ID token, a JWT answer.
    #[cfg(feature = "jose")]
    #[error(transparent)]
    RejectedJwt(Box<crate::RejectedJwt>),
    /// The authentication request expired before the person approved (CIBA Core §11).
    #[error("the authentication request expired before the person approved it; start the login again")]
    AuthenticationRequestExpired,
    /// What the grant was to present (a subject token, an assertion) could not be had.
    #[error("there is no {what} to present: {source}")]
    Source {
        /// What was to be presented.
        what: &'static str,
        /// What its source says can be done.
        recovery: Recovery,
        /// Why there is none.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The request lacks what its standard asks for, or has what it forbids. Nothing was sent.
    #[error("the request is not sent: {what}")]
    Unfit {
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
    /// What the server issued is no access token, so that no request can carry it (`token_type` is `N_A`, RFC 8693 §2.2.1).
    #[error(
        "the server issued a token that is no access token{}; ask for an access token, or take it from \
         the grant by itself to hand it on (RFC 8693 §2.2.1)",
        .issued_token_type.as_ref().map(|kind| format!(" but {kind}")).unwrap_or_default()
    )]
    NotAnAccessToken {
        /// What the server says it is, shortened.
        issued_token_type: Option<String>,
        /// A refresh token that came with it: the one that was sent is spent then.
        refresh_token: Option<Secret>,
    },
    /// What the identity provider issued as an ID-JAG is not one for this client at this server. It was not handed on.
    #[error(
        "the identity assertion of {issuer} is not handed on: {what}; check how client and server are registered at the \
         identity provider"
    )]
    IdentityAssertion {
        /// The identity provider.
        issuer: String,
        /// What is wrong with the assertion.
        what: String,
    },
    /// The userinfo answer is about somebody else than the ID token (OpenID Connect Core §5.3.2).
    #[error(
        "the server's userinfo answer is about another person than the one who logged in; it is not used: log in \
         again, and tell whoever runs the server if it says so again"
    )]
    UserInfoSubject,
    /// The browser did not come back from the log-out that was begun (OpenID Connect RP-Initiated Logout §3).
    #[error(
        "this URL is not the answer to the log-out that was begun: it is another place, or its `state` is another one; \
         begin the log-out again"
    )]
    LogoutResponse,
    /// Two methods of client authentication met in one request (RFC 6749 §2.3).
    #[error(
        "the request would carry two methods of client authentication, which RFC 6749 §2.3 forbids; remove the \
         credentials from the extra parameters"
    )]
    TwoAuthentications,
    /// There is no way from a protected resource to a token for it (RFC 9728).
    #[error(transparent)]
    ProtectedResource(#[from] crate::ProtectedResourceError),
    /// What a client wants to be is nothing that a server may take (RFC 7591 §2).
    #[error(transparent)]
    ClientMetadata(#[from] ClientMetadataError),
    /// A registration was used at another server than the one that made it.
    #[error(
        "the client was registered at {registered_at} and must not be used at {used_at}; register it there, too"
    )]
    RegistrationForeign {
        /// The issuer that registered it.
        registered_at: String,
        /// The issuer that was to be asked.
        used_at: String,
    },
    /// The server does not know the registration any more (RFC 7592 §2.1).
    #[error(
        "{issuer} does not know this client any more, or not under this registration access token; register it anew"
    )]
    RegistrationGone {
        /// The issuer that registered it.
        issuer: String,
    },
    /// The server gave nothing to manage the registration with (RFC 7592 §3).
    #[error(
        "{issuer} gave no registration access token, or no `registration_client_uri` that one may be sent to; its clients cannot \
         be read or changed: register anew"
    )]
    RegistrationUnmanaged {
        /// The issuer that registered it.
        issuer: String,
    },
    /// The proof of the key that tokens are bound to (RFC 9449).
    #[cfg(feature = "jose")]
    #[error(transparent)]
    Dpop(#[from] crate::DpopError),
    /// The client could not prove who it is (RFC 7523).
    #[cfg(feature = "jose")]
    #[error(transparent)]
    ClientAssertion(#[from] crate::ClientAssertionError),
    /// Anything else, from a grant or an authentication outside of this crate.
    #[error(transparent)]
    Other(Arc<dyn StdError + Send + Sync>),
}

impl GrantError {
    /// An error of a grant or an authentication outside of this crate. Its texts are shown: no secrets.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(Arc::from(error.into()))
    }

    /// That what was issued is no access token.
    pub fn not_an_access_token(response: &TokenResponse) -> Self {
        let shown = |uri: &str| uri.chars().filter(char::is_ascii_graphic).take(100).collect();
        Self::NotAnAccessToken {
            issued_token_type: response.issued_token_type().map(shown),
            refresh_token: response.refresh_token.clone(),
        }
    }

    /// A source that has nothing to present, such as a session whose login is over. What it says is shown: no secrets.
    ///
    /// `what` names the thing, such as `subject token`; `recovery` is what the caller can do about it.
    pub fn source(
        what: &'static str,
        recovery: Recovery,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Source { what, recovery, source: Arc::from(error.into()) }
    }

    /// What is wrong with an answer that was not sent for by an [`EndpointRequest`](crate::EndpointRequest).
    #[cfg(feature = "jose")]
    pub(crate) fn of_answer(error: AnswerError, operation: &Operation, url: &url::Url) -> Self {
        let (operation, url, retry_after) = (operation.clone(), crate::endpoint::shown(url), None);
        match error {
            AnswerError::OAuth(error) => Self::OAuth { operation, url, error: Box::new(error), retry_after },
            AnswerError::Unusable(answer) => {
                Self::Unusable { operation, url, answer: Box::new(answer), retry_after }
            }
            other => Self::other(other.to_string()),
        }
    }

    /// The OAuth error that an endpoint answered, with its HTTP status, if that is what it is (RFC 6749 §5.2).
    pub fn oauth_error(&self) -> Option<&OAuth2Error> {
        match self {
            Self::OAuth { error, .. } => Some(error),
            _ => None,
        }
    }

    /// What the server said is wrong, whether an endpoint answered it (RFC 6749 §5.2) or the browser brought it
    /// (`access_denied` in the redirected URL, RFC 6749 §4.1.2.1).
    pub fn error_response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::OAuth { error, .. } => Some(&error.response),
            Self::AuthorizationResponse(AuthorizationResponseError::Denied(response)) => Some(response),
            _ => None,
        }
    }

    /// Whether the server refused for good what was presented: the code or refresh token is not valid (any more).
    ///
    /// That is `invalid_grant` (RFC 6749 §5.2), or a provider's own code for it, under any status but those of a server that
    /// could not work or had no time (5xx, 429): those give no verdict.
    pub fn is_invalid_grant(&self) -> bool {
        self.oauth_error().is_some_and(|error| {
            standard(error.code()) == "invalid_grant" && !matches!(error.status, 429 | 500..)
        })
    }

    /// Whether the server does not know the client, or not with what it proved itself by (RFC 6749 §5.2). A client that was
    /// registered dynamically may have been forgotten: register it anew.
    ///
    /// That is `invalid_client`, or a provider's own code for it, under any status but 429 and 5xx.
    pub fn is_invalid_client(&self) -> bool {
        self.oauth_error().is_some_and(|error| {
            standard(error.code()) == "invalid_client" && !matches!(error.status, 429 | 500..)
        })
    }

    /// Whether the server may have acted on the request although there is no usable answer: a single-use refresh token
    /// may be used up. Reading metadata uses up nothing.
    pub fn may_have_been_acted_on(&self) -> bool {
        match self {
            Self::Transport { operation, .. }
            | Self::OAuth { operation, .. }
            | Self::Unusable { operation, .. }
                if [Operation::DISCOVERY, Operation::RESOURCE_METADATA, Operation::SIGNING_KEYS]
                    .contains(operation) =>
            {
                false
            }
            Self::Transport { source, .. } => source.may_have_reached_server(),
            // An answer under a success status that cannot be used: the server has done its part. An error page of a
            // gateway (502, 504) says nothing of the server behind it. 503 and 429 say that it did nothing, and 511 that the
            // request did not get to it (RFC 6585 §6).
            Self::Unusable { answer, .. } => !matches!(answer.status, 400..=499 | 503 | 511),
            // A code that is registered says that the request was refused. Any other one under a 5xx is an accident, and so
            // is `invalid_grant`.
            Self::OAuth { error, .. } => match standard(error.code()) {
                "server_error" => true,
                "invalid_grant" => error.status >= 500 && error.status != 503,
                code => error.status >= 500 && error.status != 503 && !is_registered(code),
            },
            _ => false,
        }
    }

    /// What the caller can do.
    ///
    /// A request that redeemed an authorization code is never to be sent again, whatever became of it: the code is good
    /// for one try (RFC 6749 §4.1.2). What would be [`Recovery::Retry`] elsewhere is [`Recovery::LogIn`] there.
    pub fn recovery(&self) -> Recovery {
        match self.recovery_of_the_request() {
            Recovery::Retry { .. } if self.redeems_a_code() => Recovery::LogIn,
            recovery => recovery,
        }
    }

    fn redeems_a_code(&self) -> bool {
        match self {
            Self::Transport { operation, .. }
            | Self::OAuth { operation, .. }
            | Self::Unusable { operation, .. } => {
                *operation == Operation::token_request(&GrantType::AuthorizationCode)
            }
            _ => false,
        }
    }

    fn recovery_of_the_request(&self) -> Recovery {
        match self {
            Self::Transport { source, .. } => match source.kind() {
                crate::TransportErrorKind::BodyTooLarge
                | crate::TransportErrorKind::Request
                | crate::TransportErrorKind::Tls => Recovery::FixConfiguration,
                _ => Recovery::Retry { after: None },
            },
            Self::OAuth { error, retry_after, .. } => of_oauth_error(error, *retry_after),
            Self::Unusable { answer, retry_after, .. } => match (&answer.reason, answer.status) {
                (_, 408 | 425 | 429 | 500..) => Recovery::Retry { after: *retry_after },
                (UnusableReason::Empty | UnusableReason::NotJson, 200..=299) => {
                    Recovery::Retry { after: *retry_after }
                }
                (UnusableReason::TokenType(_) | UnusableReason::AccessTokenCharacters, _) => Recovery::GiveUp,
                // A server that names a time wants to be asked again: rate limits come under 403, too.
                _ if retry_after.is_some() => Recovery::Retry { after: *retry_after },
                _ => Recovery::FixConfiguration,
            },
            Self::Redirected { .. }
            | Self::Metadata(_)
            | Self::RedirectUri { .. }
            | Self::ClientMetadata(_)
            | Self::RegistrationForeign { .. }
            | Self::RegistrationGone { .. }
            | Self::RegistrationUnmanaged { .. }
            | Self::TwoAuthentications => Recovery::FixConfiguration,
            #[cfg(feature = "jose")]
            Self::RejectedJwt(rejected) => rejected.recovery(),
            #[cfg(feature = "jose")]
            Self::Dpop(error) => error.recovery(),
            #[cfg(feature = "jose")]
            Self::ClientAssertion(error) => error.recovery(),
            Self::SecurityProfile(error) => error.recovery(),
            Self::AuthorizationRequest(error) => error.recovery(),
            Self::Parameter(_)
            | Self::Resource { .. }
            | Self::Unfit { .. }
            | Self::NotAnAccessToken { .. } => Recovery::FixRequest,
            Self::IdentityAssertion { .. } => Recovery::FixConfiguration,
            Self::AuthorizationResponse(AuthorizationResponseError::Denied(response)) => {
                of_oauth_error(&OAuth2Error::new(0, response.clone()), None)
            }
            Self::AuthorizationResponse(_)
            | Self::PendingLoginExpired
            | Self::PendingLoginForeign { .. }
            | Self::PendingLoginUsed
            | Self::DeviceCodeExpired
            | Self::AuthenticationRequestExpired => Recovery::LogIn,
            Self::Source { recovery, .. } => *recovery,
            Self::Interaction(InteractionError::TimedOut { .. } | InteractionError::Cancelled) => {
                Recovery::LogIn
            }
            Self::NoS256 { .. }
            | Self::UserInfoSubject
            | Self::LogoutResponse
            | Self::VerificationUri { .. }
            | Self::Interaction(InteractionError::Other(_))
            | Self::Other(_) => Recovery::GiveUp,
            Self::Interaction(_) => Recovery::FixConfiguration,
            Self::ProtectedResource(error) => error.recovery(),
        }
    }
}

/// What to do by OAuth error code, and by status where the code is not registered.
fn of_oauth_error(error: &OAuth2Error, retry_after: Option<Duration>) -> Recovery {
    let no_verdict = error.status >= 500 && standard(error.code()) == "invalid_grant";
    match advice(error.code()) {
        // "Not now" is about the time, whatever the code beside it is about.
        _ if matches!(error.status, 429 | 503) || no_verdict => Recovery::Retry { after: retry_after },
        Some(Recovery::Retry { .. }) => Recovery::Retry { after: retry_after },
        Some(recovery) => recovery,
        None if matches!(error.status, 408 | 425 | 429 | 500..) => Recovery::Retry { after: retry_after },
        None => Recovery::GiveUp,
    }
}

/// Whether that is one of the error codes of the RFCs, or stands for one: text that cannot be a secret.
pub(crate) fn is_registered(code: &str) -> bool {
    advice(code).is_some()
}

/// Error codes that providers have of their own, and what the RFC calls the same thing. Only what their documentation leaves
/// no doubt about: what is taken for `invalid_grant` ends a login.
const SPELLINGS: [(&str, &str); 9] = [
    // GitHub.
    ("bad_refresh_token", "invalid_grant"),
    ("bad_verification_code", "invalid_grant"),
    ("incorrect_client_credentials", "invalid_client"),
    // Slack. Its last two say themselves that a part of the work may have been done.
    ("invalid_refresh_token", "invalid_grant"),
    ("invalid_client_id", "invalid_client"),
    ("bad_client_secret", "invalid_client"),
    ("ratelimited", "temporarily_unavailable"),
    ("internal_error", "server_error"),
    ("fatal_error", "server_error"),
];

/// The registered code that says the same, or the code itself.
fn standard(code: &str) -> &str {
    SPELLINGS.iter().find(|(own, _)| *own == code).map_or(code, |(_, registered)| registered)
}

/// What to do by registered error code (RFC 6749 §4.1.2.1 and §5.2, RFC 7009 §2.2.1, RFC 8628 §3.5, RFC 8707 §2, RFC 9396 §5,
/// RFC 7591 §3.2.2, RFC 9449 §5 and §8, OpenID Connect Core §3.1.2.6, CIBA Core §13).
fn advice(code: &str) -> Option<Recovery> {
    Some(match standard(code) {
        "invalid_grant"
        | "access_denied"
        | "expired_token"
        | "login_required"
        | "interaction_required"
        | "account_selection_required"
        | "consent_required" => Recovery::LogIn,
        "temporarily_unavailable"
        | "server_error"
        | "slow_down"
        | "authorization_pending"
        | "use_dpop_nonce" => Recovery::Retry { after: None },
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "unsupported_response_type"
        | "invalid_redirect_uri"
        | "invalid_client_metadata"
        | "invalid_software_statement"
        | "unapproved_software_statement" => Recovery::FixConfiguration,
        "invalid_request"
        | "unknown_user_id"
        | "expired_login_hint_token"
        | "missing_user_code"
        | "invalid_user_code"
        | "invalid_binding_message"
        | "invalid_scope"
        | "invalid_target"
        | "invalid_authorization_details"
        | "invalid_dpop_proof"
        | "invalid_request_object"
        | "invalid_request_uri"
        | "request_not_supported"
        | "request_uri_not_supported"
        | "registration_not_supported"
        | "unmet_authentication_requirements" => Recovery::FixRequest,
        "unsupported_token_type" => Recovery::GiveUp,
        _ => return None,
    })
}
