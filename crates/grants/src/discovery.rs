//! Discovery: the metadata of an authorization server from its issuer URL (RFC 8414 §3, OpenID Connect Discovery §4).

use jeton_models::{AuthorizationServerMetadata, Issuer, MetadataError};
use url::Url;

use crate::{Clock, GrantError, Limits, Operation, Recovery, Transport, TransportErrorKind, document};

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
    let response = document::get(sender, limits, &Operation::DISCOVERY, url, "application/json").await?;
    if response.status().is_success() {
        match AuthorizationServerMetadata::parse(response.body(), issuer) {
            // What it is instead, the error of the answer says better.
            Err(MetadataError::NotAnObject) => {}
            read => return Ok(read?),
        }
    }
    Err(document::not_a_document(&response, clock, &Operation::DISCOVERY, url))
}
