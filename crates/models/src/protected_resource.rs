//! What a protected resource says of itself (RFC 9728): which authorization servers it trusts, which scopes it knows.
//! A document counts only if it is of the resource that was asked for: whoever names another one is not believed.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::json::Members;
use crate::metadata::{as_list, as_text, take};
use crate::text::printable;
use crate::{ExtraMembers, Issuer, is_secure_or_loopback};

/// Metadata of a protected resource (RFC 9728 §2).
///
/// Unknown members are kept; known ones of an odd type are kept among them, and never break the reading.
///
/// ```
/// use jeton_models::{ExpectedResource, ProtectedResourceMetadata};
///
/// let body = br#"{"resource":"https://api.example/v1","authorization_servers":["https://as.example"]}"#;
/// let requested = "https://api.example/v1/notes/7".parse()?;
/// let metadata = ProtectedResourceMetadata::parse(body, &ExpectedResource::Covering(&requested))?;
/// assert_eq!(metadata.issuers()[0].as_str(), "https://as.example");
///
/// // The neighbour is another resource.
/// let requested = "https://api.example/v10".parse()?;
/// assert!(ProtectedResourceMetadata::parse(body, &ExpectedResource::Covering(&requested)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ProtectedResourceMetadata {
    /// The resource identifier: what the parameter `resource` of RFC 8707 has to be, in this very spelling.
    pub resource: String,
    /// The issuers of the authorization servers whose tokens the resource takes, in its own order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_servers: Option<Vec<String>>,
    /// The resource's own signing keys (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Scopes that are of use at this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// How the resource takes a bearer token: `header`, `body`, `query`. jeton uses the header only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_methods_supported: Option<Vec<String>>,
    /// The resource's name, in its own words. To be shown with care: anybody can write anything there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// A page for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// Whether tokens have to be bound to the client's certificate (RFC 8705).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// Types of authorization details that are of use here (RFC 9396).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details_types_supported: Option<Vec<String>>,
    /// Signing algorithms of DPoP proofs (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Whether tokens have to be bound by DPoP (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_bound_access_tokens_required: Option<bool>,
    /// Members that this model has no name for, and known ones whose type is not the RFC's.
    #[serde(flatten)]
    pub extra: ExtraMembers,
}

/// Which resource a metadata document has to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpectedResource<'a> {
    /// That very identifier, character by character: for a document at a well-known URL that was made of the identifier (RFC
    /// 9728 §3.3). Only whether an identifier without a path ends in `/` makes no difference, for both make the same URL.
    Identical(&'a str),
    /// The resource at that URL: for a document that the resource itself named in its challenge. `resource` has to be of the
    /// same origin, and its path the URL's or one above it.
    ///
    /// RFC 9728 §3.3 asks for the very URL that was requested. That would give each page of an API a metadata document of its
    /// own; what the rule is for, that nobody names somebody else's resource, the origin sees to.
    Covering(&'a Url),
}

/// So many authorization servers are looked at.
const MOST_SERVERS: usize = 16;

impl ProtectedResourceMetadata {
    /// Reads a metadata document.
    ///
    /// # Errors
    /// [`ResourceMetadataError`] if it is not a JSON object, has no `resource`, or is of another resource than the expected one
    /// (RFC 9728 §3.3): nothing of it may be used then.
    pub fn parse(body: &[u8], expected: &ExpectedResource<'_>) -> Result<Self, ResourceMetadataError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let members = Members::from_json(body).map_err(|_| ResourceMetadataError::NotAnObject)?;
        let mut members = members.into_map();
        let Some(Value::String(resource)) = members.remove("resource") else {
            return Err(ResourceMetadataError::ResourceAbsent);
        };
        if !expected.is_met_by(&resource) {
            return Err(ResourceMetadataError::ResourceMismatch {
                expected: printable(expected.shown(), 200),
                found: printable(resource.split(['?', '#']).next().unwrap_or_default(), 200),
            });
        }
        Ok(Self::from_members(resource, members))
    }

    fn from_members(resource: String, mut members: Map<String, Value>) -> Self {
        let m = &mut members;
        let flag = |value: &Value| value.as_bool();
        Self {
            resource,
            authorization_servers: take(m, "authorization_servers", as_list),
            jwks_uri: take(m, "jwks_uri", as_text),
            scopes_supported: take(m, "scopes_supported", as_list),
            bearer_methods_supported: take(m, "bearer_methods_supported", as_list),
            resource_name: take(m, "resource_name", as_text),
            resource_documentation: take(m, "resource_documentation", as_text),
            tls_client_certificate_bound_access_tokens: take(
                m,
                "tls_client_certificate_bound_access_tokens",
                flag,
            ),
            authorization_details_types_supported: take(m, "authorization_details_types_supported", as_list),
            dpop_signing_alg_values_supported: take(m, "dpop_signing_alg_values_supported", as_list),
            dpop_bound_access_tokens_required: take(m, "dpop_bound_access_tokens_required", flag),
            extra: ExtraMembers::from(members),
        }
    }

    /// The authorization servers that can be asked at all, in the resource's order, each once: what is no issuer (RFC 8414 §2)
    /// is passed over, and so is what comes after the sixteenth.
    pub fn issuers(&self) -> Vec<Issuer> {
        let mut issuers: Vec<Issuer> = Vec::new();
        let listed = self.authorization_servers.iter().flatten().take(MOST_SERVERS);
        for issuer in listed.filter_map(|text| text.parse().ok()) {
            if !issuers.contains(&issuer) {
                issuers.push(issuer);
            }
        }
        issuers
    }
}

impl<'de> Deserialize<'de> for ProtectedResourceMetadata {
    /// Reads metadata that was checked before and kept; the resource is not compared with anything.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        match members.remove("resource") {
            Some(Value::String(resource)) => Ok(Self::from_members(resource, members)),
            _ => Err(serde::de::Error::missing_field("resource")),
        }
    }
}

impl fmt::Display for ProtectedResourceMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata of the resource {}", printable(&self.resource, 200))
    }
}

impl ExpectedResource<'_> {
    fn is_met_by(&self, resource: &str) -> bool {
        match self {
            Self::Identical(identifier) => {
                resource == *identifier
                    || root_of(resource).is_some_and(|root| root_of(identifier) == Some(root))
            }
            Self::Covering(url) => resource_covers(resource, url),
        }
    }

    fn shown(&self) -> &str {
        let whole = match self {
            Self::Identical(identifier) => identifier,
            Self::Covering(url) => url.as_str(),
        };
        whole.split(['?', '#']).next().unwrap_or_default()
    }
}

/// The identifier without its last `/`, if that is the whole of its path.
fn root_of(identifier: &str) -> Option<&str> {
    let bare = identifier.strip_suffix('/').unwrap_or(identifier);
    let (_, authority) = bare.split_once("://")?;
    (!authority.is_empty() && !authority.contains(['/', '?', '#'])).then_some(bare)
}

/// Whether the resource with that identifier covers that URL: the same origin, and the URL's path or one above it, segment by
/// segment. An identifier with a query covers the very same query only; one with a fragment or a user name covers nothing, nor
/// does one that is neither HTTPS nor on loopback.
///
/// ```
/// let covers = |resource: &str, url: &str| jeton_models::resource_covers(resource, &url.parse().unwrap());
/// assert!(covers("https://api.example", "https://api.example/v1/notes?draft=yes"));
/// assert!(covers("https://api.example/v1", "https://api.example/v1/notes"));
/// assert!(!covers("https://api.example/v1", "https://api.example/v10"));
/// assert!(!covers("https://api.example/v1", "https://api.example:8443/v1"));
/// ```
pub fn resource_covers(resource: &str, url: &Url) -> bool {
    // A URL parser forgives white space and control characters, which would make two spellings of one identifier.
    if resource.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let Ok(own) = Url::parse(resource) else { return false };
    let plain = own.fragment().is_none() && own.username().is_empty() && own.password().is_none();
    if !plain || !is_secure_or_loopback(&own) || own.origin() != url.origin() {
        return false;
    }
    if own.query().is_some() {
        return own.path() == url.path() && own.query() == url.query();
    }
    let above = own.path().strip_suffix('/').unwrap_or(own.path());
    url.path() == own.path()
        || url.path().strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is wrong with a resource's metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceMetadataError {
    /// The document is not a JSON object.
    #[error("the resource's metadata is not a JSON object")]
    NotAnObject,
    /// The document has no `resource`.
    #[error("the resource's metadata has no `resource` (RFC 9728 §2) and is not used")]
    ResourceAbsent,
    /// The document is of another resource.
    #[error(
        "the metadata that was found for {expected} is of `{found}`, another resource, and is not used (RFC 9728 §3.3); \
         its operator has to mend that"
    )]
    ResourceMismatch {
        /// The resource that was asked for, or the URL that was requested; without its query.
        expected: String,
        /// The resource in the document, without its query.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resource: &str, expected: &ExpectedResource<'_>) -> bool {
        let body =
            serde_json::json!({ "resource": resource, "authorization_servers": ["https://as.example"] });
        match ProtectedResourceMetadata::parse(body.to_string().as_bytes(), expected) {
            Ok(metadata) => {
                assert_eq!(metadata.resource, resource);
                true
            }
            Err(ResourceMetadataError::ResourceMismatch { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a28_the_resource_is_identical_or_rejected() {
        let identical = |resource, identifier| read(resource, &ExpectedResource::Identical(identifier));
        assert!(identical("https://api.example/v1", "https://api.example/v1"));
        assert!(identical("https://api.example", "https://api.example/"));
        assert!(identical("https://api.example/", "https://api.example"));
        for (resource, identifier) in [
            ("https://api.example/v1/", "https://api.example/v1"),
            ("https://api.example", "https://api.example/v1"),
            ("https://api.example/v1", "https://api.example"),
            ("https://API.example/v1", "https://api.example/v1"),
            ("https://api.example:443/v1", "https://api.example/v1"),
            ("https://api.example/V1", "https://api.example/v1"),
            ("https://api.example/v1?x", "https://api.example/v1"),
            ("https://other.example", "https://api.example"),
            ("http://api.example", "https://api.example"),
            ("", "https://api.example"),
            ("/", "https://api.example"),
        ] {
            assert!(!identical(resource, identifier), "{resource} for {identifier}");
        }
    }

    #[test]
    fn a28_a_resource_covers_what_is_below_it_and_nobody_elses() {
        let covers = |resource: &str, url: &str| {
            let url = url.parse().unwrap();
            let covers = resource_covers(resource, &url);
            assert_eq!(read(resource, &ExpectedResource::Covering(&url)), covers);
            covers
        };
        for (resource, url) in [
            ("https://api.example", "https://api.example/"),
            ("https://api.example/", "https://api.example/v1/notes"),
            ("https://api.example/v1", "https://api.example/v1"),
            ("https://api.example/v1", "https://api.example/v1?x=1"),
            ("https://api.example/v1/", "https://api.example/v1/notes"),
            ("https://api.example/mcp?x=1", "https://api.example/mcp?x=1"),
            ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp"),
        ] {
            assert!(covers(resource, url), "{resource} and {url}");
        }
        for (resource, url) in [
            ("https://api.example/v1", "https://api.example/"),
            ("https://api.example/v1", "https://api.example/v10"),
            ("https://api.example/v1/notes", "https://api.example/v1"),
            ("https://api.example/v1", "https://api.example/v1/../v2"),
            ("https://api.example/mcp?x=1", "https://api.example/mcp"),
            ("https://api.example/mcp?x=1", "https://api.example/mcp?x=2"),
            ("https://api.example#f", "https://api.example/"),
            ("https://user@api.example", "https://api.example/"),
            ("https://api.example.evil", "https://api.example/"),
            ("https://api.example:8443", "https://api.example/"),
            ("http://api.example", "http://api.example/"),
            ("http://api.example", "https://api.example/"),
            (" https://api.example", "https://api.example/"),
            ("https://api.exa\nmple", "https://api.example/"),
            ("urn:example:api", "https://api.example/"),
            ("", "https://api.example/"),
        ] {
            assert!(!covers(resource, url), "{resource} and {url}");
        }
    }

    #[test]
    fn odd_members_never_break_the_reading() {
        let url = "https://api.example/".parse().unwrap();
        let of = |body: &[u8]| ProtectedResourceMetadata::parse(body, &ExpectedResource::Covering(&url));
        let metadata = of(
            br#"{"resource":"https://api.example","authorization_servers":
            ["https://as.example",7,"http://as.example","https://AS.example/","https://two.example"],
            "scopes_supported":"read","x":1e400,"resource_name":5,"dpop_bound_access_tokens_required":true}"#,
        )
        .unwrap();
        let issuers = metadata.issuers();
        assert_eq!(
            issuers.iter().map(Issuer::as_str).collect::<Vec<_>>(),
            ["https://as.example", "https://two.example"]
        );
        assert_eq!(metadata.scopes_supported, None);
        assert_eq!(metadata.extra.get("scopes_supported"), Some(&Value::from("read")));
        assert_eq!(metadata.dpop_bound_access_tokens_required, Some(true));
        let kept = serde_json::to_string(&metadata).unwrap();
        assert_eq!(serde_json::from_str::<ProtectedResourceMetadata>(&kept).unwrap(), metadata);

        assert_eq!(of(b"<html>"), Err(ResourceMetadataError::NotAnObject));
        assert_eq!(of(b"[]"), Err(ResourceMetadataError::NotAnObject));
        assert_eq!(of(b"{}"), Err(ResourceMetadataError::ResourceAbsent));
        assert_eq!(
            of(br#"{"resource":["https://api.example"]}"#),
            Err(ResourceMetadataError::ResourceAbsent)
        );
    }

    #[test]
    fn a_list_without_end_is_not_followed_to_it() {
        let servers: Vec<String> = (0..1000).map(|number| format!("https://as{number}.example")).collect();
        let metadata =
            ProtectedResourceMetadata { authorization_servers: Some(servers), ..Default::default() };
        assert_eq!(metadata.issuers().len(), MOST_SERVERS);
    }

    #[test]
    fn an_error_shows_no_query_and_no_tricks() {
        let url = "https://api.example/a?token=s3cr3t".parse().unwrap();
        let body = r#"{"resource":"https://evil.example/\u001b[2J?s3cr3t"}"#;
        let error =
            ProtectedResourceMetadata::parse(body.as_bytes(), &ExpectedResource::Covering(&url)).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cr3t") && !text.contains('\u{1b}'), "{text}");
    }
}
