//! Resources that say where their tokens come from (RFC 9728), that ask for another authentication of the person (RFC 9470), and
//! that move to another authorization server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::answer::{Answer, Request};
use crate::server::Shared;
use crate::state::State;
use crate::tokens::Login;

/// Where the metadata of the protected resources is to be found (RFC 9728).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceMetadata {
    /// Nowhere: the resources do not say who their authorization server is. The default.
    None,
    /// At a URL of its own that only the challenge names (`resource_metadata`, RFC 9728 §5.1).
    InHeader,
    /// At the well-known path of each resource, which no challenge names (RFC 9728 §3.1).
    AtPath,
    /// At the well-known path of the whole origin, which is the resource then.
    AtRoot,
}

/// What the resources announce.
#[derive(Clone)]
pub(crate) struct Announcement {
    pub(crate) place: ResourceMetadata,
    /// `scopes_supported` of the metadata.
    pub(crate) scopes: Option<Vec<String>>,
    /// `scope` of the challenge to a request without a token.
    pub(crate) challenge_scope: Option<String>,
    /// The server whose tokens the resources take, if it is another one.
    pub(crate) entrusted_to: Option<Arc<Shared>>,
}

impl Default for Announcement {
    fn default() -> Self {
        Self { place: ResourceMetadata::None, scopes: None, challenge_scope: None, entrusted_to: None }
    }
}

impl std::fmt::Debug for Announcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcement").field("place", &self.place).finish_non_exhaustive()
    }
}

pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const ONLY_BY_HEADER: &str = "/resource-metadata";

/// Which resource the metadata at this path is of: the path of the resource, empty for the whole origin.
pub(crate) fn described_by(path: &str) -> Option<&str> {
    [WELL_KNOWN, ONLY_BY_HEADER]
        .into_iter()
        .filter_map(|place| path.strip_prefix(place))
        .find(|rest| ["", "/api", "/api2"].contains(rest))
}

/// The metadata document at that path.
pub(crate) fn metadata(state: &State, request: &Request) -> Answer {
    let announced = &state.announcement;
    let resource = described_by(&request.path).filter(|resource| match announced.place {
        ResourceMetadata::None => false,
        ResourceMetadata::InHeader => request.path.starts_with(ONLY_BY_HEADER) && !resource.is_empty(),
        ResourceMetadata::AtPath => request.path.starts_with(WELL_KNOWN) && !resource.is_empty(),
        ResourceMetadata::AtRoot => request.path == WELL_KNOWN,
    });
    let Some(resource) = resource else { return Answer::empty(StatusCode::NOT_FOUND) };
    if request.method != Method::GET {
        return Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET");
    }
    let issuer = match &announced.entrusted_to {
        Some(other) => other.state().settings.issuer.clone(),
        None => state.settings.issuer.clone(),
    };
    let mut document = json!({
        "resource": format!("{}{resource}", state.settings.origin),
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
    });
    if let Some(scopes) = &announced.scopes {
        document["scopes_supported"] = json!(scopes);
    }
    Answer::json(StatusCode::OK, &document)
}

/// Which identifiers a token may be for at the resource with that path.
pub(crate) fn audiences(state: &State, resource: &str) -> Vec<String> {
    let mut audiences = vec![resource.to_owned()];
    if state.announcement.place == ResourceMetadata::AtRoot {
        audiences.push(state.settings.origin.clone());
    }
    audiences
}

/// Adds to a challenge what the resource announces.
pub(crate) fn announce(state: &State, request: &Request, answer: Answer) -> Answer {
    let header = answer.headers.get("www-authenticate").and_then(|value| value.to_str().ok());
    let Some(mut header) = header.map(str::to_owned) else { return answer };
    let root = if request.path.starts_with("/api2") { "/api2" } else { "/api" };
    if state.announcement.place == ResourceMetadata::InHeader && answer.status == StatusCode::UNAUTHORIZED {
        let url = format!("{}{ONLY_BY_HEADER}{root}", state.settings.origin);
        header.push_str(&format!(r#", resource_metadata="{url}""#));
    }
    if let Some(scope) = &state.announcement.challenge_scope
        && answer.status == StatusCode::UNAUTHORIZED
        && !header.contains("error=")
    {
        header.push_str(&format!(r#", scope="{scope}""#));
    }
    answer.with_header("www-authenticate", &header)
}

/// What `/api/wants?acr_values=..&max_age=..` wants that the person's authentication is not (RFC 9470 §3): the parameters of the
/// challenge. `None` if it is good enough.
pub(crate) fn wanted_authentication(
    login: Option<&Login>,
    now: SystemTime,
    query: &[(String, String)],
) -> Option<String> {
    let value = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let (acr_values, max_age) = (value("acr_values"), value("max_age"));
    let good_acr = acr_values.is_none_or(|wanted| {
        let acr = login.and_then(|login| login.acr.as_deref());
        acr.is_some_and(|acr| wanted.split(' ').any(|wanted| wanted == acr))
    });
    let age = login.and_then(|login| now.duration_since(login.authenticated_at?).ok());
    let good_age = max_age
        .and_then(|text| text.parse().ok())
        .is_none_or(|seconds| age.is_some_and(|age| age <= Duration::from_secs(seconds)));
    if good_acr && good_age {
        return None;
    }
    let parameters = [("acr_values", acr_values), ("max_age", max_age)];
    Some(parameters.iter().filter_map(|(name, value)| Some(format!(r#", {name}="{}""#, (*value)?))).collect())
}
