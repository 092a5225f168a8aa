//! What the browser's URL holds: the authorization request itself (RFC 6749 §4.1.1), or a reference to one that was pushed to the
//! server before (RFC 9126).

use std::time::{Duration, SystemTime};

use jeton_models::{
    AuthorizationDetailsError, AuthorizationRequest, Parameters, PushedAuthorizationResponse,
};
use url::Url;

use crate::{
    EndpointRequest, GrantContext, GrantError, Operation, PkceDialect, PushedRequests, Recovery,
    SecurityProfileError,
};

/// Why an authorization request cannot be made. Nothing was sent to the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationRequestError {
    /// The server takes pushed requests only, and the client is not to send them (RFC 9126 §5).
    #[error(
        "{issuer} takes pushed authorization requests only (RFC 9126 §5); allow them in the client's configuration"
    )]
    PushRequired {
        /// The server.
        issuer: String,
    },
    /// The client is to push its requests, and the server has no endpoint for that (RFC 9126 §5).
    #[error(
        "{issuer} names no `pushed_authorization_request_endpoint` (RFC 9126 §5); set it if there is one, or do not ask for pushed \
         requests"
    )]
    NoPushEndpoint {
        /// The server.
        issuer: String,
    },
    /// The server does not know a type of authorization details (RFC 9396 §10).
    #[error(
        "{issuer} does not list the type {detail_type:?} among its `authorization_details_types_supported` (RFC 9396 §10); ask \
         for types that it documents"
    )]
    DetailType {
        /// The server.
        issuer: String,
        /// The type.
        detail_type: String,
    },
    /// The server takes signed requests only, and the client is not to sign them (RFC 9101 §10.5).
    #[error(
        "{issuer} takes signed request objects only (RFC 9101 §10.5); give the client a key to sign them with, and the feature `jose`"
    )]
    SignatureRequired {
        /// The server.
        issuer: String,
    },
    /// The server takes no request objects in the browser's URL.
    #[error(
        "{issuer} says that it takes no request objects by value (`request_parameter_supported`); push the requests, or do not sign          them"
    )]
    NoRequestObjects {
        /// The server.
        issuer: String,
    },
    /// The server does not take request objects of the key's algorithm (RFC 9101 §10.5).
    #[error(
        "{issuer} takes request objects signed by {listed:?}, and the key signs by {algorithm} (RFC 9101 §10.5); use another key"
    )]
    RequestObjectAlgorithm {
        /// The server.
        issuer: String,
        /// The key's.
        algorithm: &'static str,
        /// What the server lists.
        listed: Vec<String>,
    },
    /// It is not known for whom a request object would be.
    #[error("a request object names its server (RFC 9101 §4), and only endpoints are set; set the `issuer`")]
    RequestObjectAudience,
    /// A parameter cannot stand in a request object.
    #[error("the parameter `{name}` cannot stand in a request object (RFC 9101 §4); leave it out")]
    RequestObjectParameter {
        /// Its name.
        name: String,
    },
    /// The request object cannot be signed.
    #[error("the request object cannot be signed: {0}")]
    RequestObject(String),
    /// The server does not sign its answers (JARM §3).
    #[error(
        "{issuer} lists no `jwt` among its `response_modes_supported`, so that it signs no answers (JARM §3); do not ask for signed          ones"
    )]
    NoSignedResponse {
        /// The server.
        issuer: String,
    },
    /// The authorization details are none (RFC 9396 §2).
    #[error(transparent)]
    Details(AuthorizationDetailsError),
}

impl AuthorizationRequestError {
    /// What the caller can do.
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            Self::DetailType { .. } | Self::Details(_) | Self::RequestObjectParameter { .. } => {
                Recovery::FixRequest
            }
            _ => Recovery::FixConfiguration,
        }
    }
}

/// Where the browser goes, and until when that address can be opened.
pub(crate) struct FrontChannel {
    pub(crate) url: Url,
    /// A pushed request is to be opened before this; `None`: any time.
    pub(crate) open_before: Option<SystemTime>,
}

/// Makes the browser's URL, pushing the request to the server if that is how it goes.
pub(crate) async fn front_channel(
    cx: &GrantContext<'_>,
    request: &AuthorizationRequest,
) -> Result<FrontChannel, GrantError> {
    let authorization_endpoint = cx.server.endpoint("authorization_endpoint")?;
    let mut parameters = request.to_parameters()?;
    if let Some(dialect) = cx.dialect {
        dialect.authorization(&mut parameters)?;
    }
    if cx.authorization.security_profile.is_some()
        && cx.dialect.is_some_and(|dialect| dialect.pkce != PkceDialect::Standard)
    {
        return Err(SecurityProfileError::NoPkce.into());
    }
    let is_pushed = is_pushed(cx)?;
    let is_signed = sign(cx, &mut parameters, is_pushed).await?;
    if !is_pushed {
        let mut url = parameters.to_url(&authorization_endpoint)?;
        if let Some(dialect) = cx.dialect {
            dialect.authorization_url(&mut url);
        }
        return Ok(FrontChannel { url, open_before: None });
    }
    let asked_at = cx.clock.now();
    let pushed = push(cx, parameters, is_signed).await?;
    let mut reference = Parameters::new();
    reference.append_required("client_id", cx.client_id)?;
    reference.append_required("request_uri", pushed.request_uri)?;
    Ok(FrontChannel {
        url: reference.to_url(&authorization_endpoint)?,
        // From before it was asked for: what the request took on its way does not make it live longer.
        open_before: asked_at.checked_add(Duration::from_secs(pushed.expires_in)),
    })
}

/// Replaces the parameters by a request object, if that is how it goes (RFC 9101 §5). Gives back whether it is.
async fn sign(
    cx: &GrantContext<'_>,
    parameters: &mut Parameters,
    is_pushed: bool,
) -> Result<bool, GrantError> {
    #[cfg(feature = "jose")]
    if let Some(request_object) = &cx.authorization.request_object {
        if !is_pushed && cx.server.request_parameter_supported == Some(false) {
            let issuer = cx.server.issuer.clone();
            return Err(AuthorizationRequestError::NoRequestObjects { issuer }.into());
        }
        let jwt = request_object.sign(cx, parameters).await?;
        *parameters = Parameters::new();
        parameters.append_required("client_id", cx.client_id)?;
        parameters.append_required("request", jwt.expose())?;
        return Ok(true);
    }
    let _ = (parameters, is_pushed);
    match cx.server.require_signed_request_object {
        Some(true) => {
            Err(AuthorizationRequestError::SignatureRequired { issuer: cx.server.issuer.clone() }.into())
        }
        _ => Ok(false),
    }
}

/// How the answer is to come, if not by default (JARM §2.3).
pub(crate) fn response_mode(
    cx: &GrantContext<'_>,
) -> Result<Option<&'static str>, AuthorizationRequestError> {
    #[cfg(feature = "jose")]
    if cx.authorization.signed_response {
        let Some(listed) = &cx.server.response_modes_supported else { return Ok(Some("jwt")) };
        let mode = ["jwt", "query.jwt"].into_iter().find(|mode| listed.iter().any(|own| own == mode));
        let none = || AuthorizationRequestError::NoSignedResponse { issuer: cx.server.issuer.clone() };
        return mode.map(Some).ok_or_else(none);
    }
    let _ = cx;
    Ok(None)
}

fn is_pushed(cx: &GrantContext<'_>) -> Result<bool, AuthorizationRequestError> {
    let issuer = || cx.server.issuer.clone();
    let required = cx.server.require_pushed_authorization_requests == Some(true);
    let pushed = match cx.authorization.pushed {
        _ if cx.authorization.security_profile.is_some() => true,
        PushedRequests::WhenRequired => required,
        PushedRequests::Always => true,
        PushedRequests::Never if required => {
            return Err(AuthorizationRequestError::PushRequired { issuer: issuer() });
        }
        PushedRequests::Never => false,
    };
    if pushed && cx.server.pushed_authorization_request_endpoint.is_none() {
        return Err(AuthorizationRequestError::NoPushEndpoint { issuer: issuer() });
    }
    Ok(pushed)
}

/// Pushes a request (RFC 9126 §2): the same parameters, with the client's authentication, to the server itself.
async fn push(
    cx: &GrantContext<'_>,
    mut parameters: Parameters,
    is_signed: bool,
) -> Result<PushedAuthorizationResponse, GrantError> {
    // Whoever authenticates adds it as it needs to.
    parameters.remove("client_id");
    let url = cx.endpoint("pushed_authorization_request_endpoint")?;
    let mut request = EndpointRequest::new(Operation::PUSHED_AUTHORIZATION, url, parameters);
    // With a request object nothing else is sent but what authentication needs (RFC 9126 §3).
    request.names_client = !is_signed;
    // Some servers want the key of `dpop_jkt` to be proven here already (RFC 9449 §10.1).
    let answer = request.proving_key().send(cx).await?;
    let response = answer.read(|answer| PushedAuthorizationResponse::parse(answer, &cx.parse))?;
    for warning in &response.warnings {
        tracing::warn!(
            code = warning.code(),
            "the answer to the pushed request is not what the RFC says: {warning}"
        );
    }
    Ok(response)
}
