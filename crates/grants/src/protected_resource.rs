//! The metadata of a protected resource from nothing but its URL (RFC 9728): where it may be, and whose it is.

use jeton_models::{
    ExpectedResource, ProtectedResourceMetadata, ResourceMetadataError, is_secure_or_loopback,
};
use url::Url;

use crate::{Clock, GrantError, Limits, Operation, Recovery, Transport, TransportErrorKind, document};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Where the metadata of a resource may stand that does not say where, in the order in which to ask: for the resource at that
/// very path, then for the whole origin (RFC 9728 §3.1).
///
/// The query of the URL is left out: in a request it is nearly always a part of the request, and no part of the resource's
/// identifier (RFC 9728 §1.2 advises against that).
///
/// ```
/// let resource = "https://api.example/mcp?cursor=7".parse()?;
/// let urls = jeton_grants::protected_resource_metadata_urls(&resource);
/// assert_eq!(urls.iter().map(|url| url.as_str()).collect::<Vec<_>>(), [
///     "https://api.example/.well-known/oauth-protected-resource/mcp",
///     "https://api.example/.well-known/oauth-protected-resource",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn protected_resource_metadata_urls(resource: &Url) -> Vec<Url> {
    places(resource).into_iter().map(|(url, _)| url).collect()
}

/// The places with the identifier that each was made of.
fn places(resource: &Url) -> Vec<(Url, String)> {
    let at = |path: &str| {
        let mut url = resource.clone();
        url.set_query(None);
        url.set_fragment(None);
        // These fail only for URLs that cannot have credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_path(path);
        url
    };
    let place = |path: &str| (at(&format!("{WELL_KNOWN}{path}")), at(path).to_string());
    match resource.path() {
        "" | "/" => vec![place("")],
        path => vec![place(path), place("")],
    }
}

/// Reads the metadata of the protected resource at `requested`, the URL whose request was answered with a challenge.
///
/// `announced` is the `resource_metadata` of the challenge. If there is one, that is where the metadata is, and nowhere else
/// (RFC 9728 §5.1); it may be on another host, as the RFC does not tie it to the resource's own. Nobody gains by that: whoever
/// writes the challenge could as well write the document, and the document has to be of the resource that was asked
/// (§3.3, §7.3), which the certificate of that very resource vouches for. Without one, each of
/// [`protected_resource_metadata_urls`] is asked until one has a document.
///
/// A document that is of another resource is rejected, and nothing else is tried.
///
/// # Errors
/// [`GrantError::ProtectedResource`] for a document that is not the resource's, and for a URL that is neither HTTPS nor on
/// loopback; [`GrantError::Transport`] if there is no answer; the first place's error if no place has a document.
pub async fn protected_resource_metadata(
    transport: &dyn Transport,
    clock: &dyn Clock,
    requested: &Url,
    announced: Option<&Url>,
    limits: &Limits,
) -> Result<ProtectedResourceMetadata, GrantError> {
    if let Some(url) = announced {
        return read(transport, clock, limits, url, &ExpectedResource::Covering(requested)).await;
    }
    let mut first: Option<GrantError> = None;
    for (url, identifier) in places(requested) {
        match read(transport, clock, limits, &url, &ExpectedResource::Identical(&identifier)).await {
            Ok(metadata) => return Ok(metadata),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(url = %url, error = %error, "no resource metadata here");
                // "Try again later" says more than "not found".
                let is_later = matches!(error.recovery(), Recovery::Retry { .. });
                if first
                    .as_ref()
                    .is_none_or(|earlier| is_later && !matches!(earlier.recovery(), Recovery::Retry { .. }))
                {
                    first = Some(error);
                }
            }
        }
    }
    Err(first.unwrap_or_else(|| GrantError::other("no metadata URL to ask at")))
}

/// Whether there is no use in asking at another place: the resource cannot be reached, or it has a document of another resource,
/// which is not passed over in silence. A document without `resource` is some other page.
fn is_final(error: &GrantError) -> bool {
    match error {
        GrantError::Transport { source, .. } => source.kind() != TransportErrorKind::BodyTooLarge,
        GrantError::ProtectedResource(error) => {
            *error != ProtectedResourceError::Metadata(ResourceMetadataError::ResourceAbsent)
        }
        _ => false,
    }
}

async fn read(
    transport: &dyn Transport,
    clock: &dyn Clock,
    limits: &Limits,
    url: &Url,
    expected: &ExpectedResource<'_>,
) -> Result<ProtectedResourceMetadata, GrantError> {
    if !is_secure_or_loopback(url) {
        return Err(ProtectedResourceError::InsecureMetadata { url: crate::endpoint::shown(url) }.into());
    }
    let operation = Operation::RESOURCE_METADATA;
    let answer = document::get(transport, limits, &operation, url, "application/json").await?;
    let no_document = || document::not_a_document(&answer, clock, &operation, url);
    if !answer.status().is_success() {
        return Err(no_document());
    }
    let metadata = match ProtectedResourceMetadata::parse(answer.body(), expected) {
        // What it is instead, the error of the answer says better.
        Err(ResourceMetadataError::NotAnObject) => return Err(no_document()),
        Err(error) => return Err(ProtectedResourceError::from(error).into()),
        Ok(metadata) => metadata,
    };
    tracing::debug!(resource = %metadata.resource, url = %url, "resource metadata found");
    Ok(metadata)
}

/// Why there is no way from a resource to a token for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectedResourceError {
    /// The resource's metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] ResourceMetadataError),
    /// The resource's metadata is where anybody on the way could change it.
    #[error("the resource's metadata is at {url}, which is neither HTTPS nor on loopback; it is not read")]
    InsecureMetadata {
        /// Where, without query.
        url: String,
    },
    /// The resource names no authorization server that could be asked.
    #[error(
        "the resource {resource} names no authorization server that could be asked (RFC 9728 §2); if you know its server, \
         log in there with a client of your own"
    )]
    NoAuthorizationServer {
        /// The resource's identifier.
        resource: String,
    },
    /// Nobody allowed to trust the authorization server that the resource named.
    #[error(
        "the resource {resource} wants a login at {issuer}, which nobody has approved; approve it when asked, or name it in the \
         program"
    )]
    ServerNotApproved {
        /// The resource's identifier.
        resource: String,
        /// The server.
        issuer: String,
    },
    /// There is no way to become a client of the authorization server.
    #[error(
        "there is no client at {issuer}: it takes neither client metadata documents nor registrations from this program; \
         register one there by hand and name it in the program"
    )]
    NoRegistration {
        /// The server.
        issuer: String,
    },
    /// The resource does not say where to log in, and does not ask for it either.
    #[error(
        "{resource} answers a request without a token with HTTP {status}, and has no metadata that names a server to log in at \
         (RFC 9728); use the URL of a protected resource, or name the server in the program"
    )]
    NotProtected {
        /// The origin that was asked.
        resource: String,
        /// The HTTP status of its answer.
        status: u16,
    },
    /// The URL redirects to another origin, which may not say whom this one trusts.
    #[error("{resource} redirects to {to}; log in with the URL that it leads to")]
    LeadsElsewhere {
        /// The origin that was asked.
        resource: String,
        /// The origin that answered.
        to: String,
    },
    /// The person has logged in for the resource again and again within a short time.
    #[error("there were several logins for {resource} within ten minutes; wait some minutes")]
    TooManyLogins {
        /// The origin that was asked.
        resource: String,
    },
}

impl ProtectedResourceError {
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            Self::Metadata(_) | Self::InsecureMetadata { .. } | Self::NoAuthorizationServer { .. } => {
                Recovery::GiveUp
            }
            Self::NotProtected { .. } | Self::LeadsElsewhere { .. } => Recovery::FixRequest,
            Self::TooManyLogins { .. } => Recovery::Retry { after: None },
            Self::ServerNotApproved { .. } => Recovery::LogIn,
            Self::NoRegistration { .. } => Recovery::FixConfiguration,
        }
    }
}
