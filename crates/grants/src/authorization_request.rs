//! What the browser's URL holds: the authorization request itself (RFC 6749 §4.1.1), or a reference to one that was pushed to the
//! server before (RFC 9126).

use std::time::{Duration, SystemTime};

use jeton_models::{
    AuthorizationDetailsError, AuthorizationRequest, Parameters, PushedAuthorizationResponse,
};
use url::Url;

use crate::{EndpointRequest, GrantContext, GrantError, Operation, PushedRequests, Recovery};

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
    /// The authorization details are none (RFC 9396 §2).
    #[error(transparent)]
    Details(AuthorizationDetailsError),
}

impl AuthorizationRequestError {
    /// What the caller can do.
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            Self::PushRequired { .. } | Self::NoPushEndpoint { .. } => Recovery::FixConfiguration,
            Self::DetailType { .. } | Self::Details(_) => Recovery::FixRequest,
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
    if !is_pushed(cx)? {
        let mut url = parameters.to_url(&authorization_endpoint)?;
        if let Some(dialect) = cx.dialect {
            dialect.authorization_url(&mut url);
        }
        return Ok(FrontChannel { url, open_before: None });
    }
    let asked_at = cx.clock.now();
    let pushed = push(cx, parameters).await?;
    let mut reference = Parameters::new();
    reference.append_required("client_id", cx.client_id)?;
    reference.append_required("request_uri", pushed.request_uri)?;
    Ok(FrontChannel {
        url: reference.to_url(&authorization_endpoint)?,
        // From before it was asked for: what the request took on its way does not make it live longer.
        open_before: asked_at.checked_add(Duration::from_secs(pushed.expires_in)),
    })
}

fn is_pushed(cx: &GrantContext<'_>) -> Result<bool, AuthorizationRequestError> {
    let issuer = || cx.server.issuer.clone();
    let required = cx.server.require_pushed_authorization_requests == Some(true);
    let pushed = match cx.authorization.pushed {
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
) -> Result<PushedAuthorizationResponse, GrantError> {
    // Whoever authenticates adds it as it needs to.
    parameters.remove("client_id");
    let url = cx.endpoint("pushed_authorization_request_endpoint")?;
    let mut request = EndpointRequest::new(Operation::PUSHED_AUTHORIZATION, url, parameters);
    request.names_client = true;
    let answer = request.send(cx).await?;
    let response = answer.read(|answer| PushedAuthorizationResponse::parse(answer, &cx.parse))?;
    for warning in &response.warnings {
        tracing::warn!(
            code = warning.code(),
            "the answer to the pushed request is not what the RFC says: {warning}"
        );
    }
    Ok(response)
}
