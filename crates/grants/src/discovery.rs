//! Discovery: the metadata of an authorization server from its issuer URL (RFC 8414 §3, OpenID Connect Discovery §4).

use bytes::Bytes;
use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_TYPE};
use jeton_models::{Answer, AnswerError, AuthorizationServerMetadata, Issuer, MetadataError, ParseOptions};
use url::Url;

use crate::endpoint::{retry_after, shown};
use crate::{
    Clock, GrantError, Limits, Operation, Recovery, Transport, TransportError, TransportErrorKind, transport,
};

/// Where the metadata of an issuer may stand, in the order in which to ask.
///
/// RFC 8414 puts the well-known path between host and path; OpenID Connect Discovery appends it.
///
/// ```
/// let issuer = "https://as.example/tenant/".parse()?;
/// let urls: Vec<String> = jeton_grants::metadata_urls(&issuer).iter().map(ToString::to_string).collect();
/// assert_eq!(urls, [
///     "https://as.example/.well-known/oauth-authorization-server/tenant",
///     "https://as.example/.well-known/openid-configuration/tenant",
///     "https://as.example/tenant/.well-known/openid-configuration",
/// ]);
/// # Ok::<(), jeton_models::IssuerError>(())
/// ```
pub fn metadata_urls(issuer: &Issuer) -> Vec<Url> {
    let path = issuer.url().path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = issuer.url().clone();
        url.set_path(&path);
        url
    };
    let mut urls = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/openid-configuration{path}")),
    ];
    if !path.is_empty() {
        urls.push(at(format!("{path}/.well-known/openid-configuration")));
    }
    urls
}

/// Reads the metadata of an authorization server.
///
/// Asks at each of [`metadata_urls`] until one has a document. The document's `issuer` must be identical to the asked
/// one, or the document is rejected and nothing else is tried (RFC 8414 §3.3).
///
/// # Errors
/// [`GrantError::Metadata`] for a document that is not that issuer's; [`GrantError::Transport`] if the server cannot be
/// reached; the first URL's error if no URL has a document.
pub async fn discover(
    transport: &dyn Transport,
    clock: &dyn Clock,
    issuer: &Issuer,
    limits: &Limits,
) -> Result<AuthorizationServerMetadata, GrantError> {
    let mut first = None;
    for url in metadata_urls(issuer) {
        match fetch(transport, clock, issuer, limits, &url).await {
            Ok(metadata) => {
                tracing::debug!(issuer = %issuer, url = %url, "metadata found");
                return Ok(metadata);
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(issuer = %issuer, url = %url, error = %error, "no metadata here");
                match (&first, error.recovery()) {
                    (None, _) => first = Some(error),
                    // "Try again later" says more than "not found".
                    (Some(earlier), Recovery::Retry { .. })
                        if !matches!(earlier.recovery(), Recovery::Retry { .. }) =>
                    {
                        first = Some(error);
                    }
                    _ => {}
                }
            }
        }
    }
    Err(first.unwrap_or_else(|| GrantError::other("no metadata URL to ask at")))
}

/// Whether there is no use in asking at another place: the server cannot be reached, or it has a document of another issuer,
/// which is not passed over in silence. A page that is too large says nothing of the other places.
fn is_final(error: &GrantError) -> bool {
    match error {
        GrantError::Transport { source, .. } => source.kind() != TransportErrorKind::BodyTooLarge,
        GrantError::Metadata(MetadataError::IssuerMismatch { .. }) => true,
        _ => false,
    }
}

async fn fetch(
    sender: &dyn Transport,
    clock: &dyn Clock,
    issuer: &Issuer,
    limits: &Limits,
    url: &Url,
) -> Result<AuthorizationServerMetadata, GrantError> {
    let (operation, shown) = (Operation::DISCOVERY, shown(url));
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| GrantError::Transport {
        operation: operation.clone(),
        url: shown.clone(),
        source: TransportError::new(TransportErrorKind::Request).with_source("the issuer is no valid URI"),
    })?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = match transport::send(sender, request, limits).await {
        Ok(response) => response,
        Err(source) => return Err(GrantError::Transport { operation, url: shown, source }),
    };
    let status = response.status();
    if status.is_redirection() {
        return Err(GrantError::Redirected { operation, url: shown, status: status.as_u16() });
    }
    if status.is_success() {
        match AuthorizationServerMetadata::parse(response.body(), issuer) {
            // What it is instead, the error of the answer says better.
            Err(MetadataError::NotAnObject) => {}
            read => return Ok(read?),
        }
    }
    let retry_after = retry_after(response.headers(), || clock.now());
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let answer = Answer::new(status.as_u16(), content_type, response.body());
    Err(match answer.error(&ParseOptions::default()) {
        AnswerError::OAuth(error) => {
            GrantError::OAuth { operation, url: shown, error: Box::new(error), retry_after }
        }
        AnswerError::Unusable(answer) => {
            GrantError::Unusable { operation, url: shown, answer: Box::new(answer), retry_after }
        }
        other => GrantError::other(other.to_string()),
    })
}
