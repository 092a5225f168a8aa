//! Logins the way a well-behaved client does them.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_devserver::DevServer;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::http::{Reply, encode, get, post};

pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:49152/callback";

/// What one authorization needs; fresh for each.
pub(crate) struct Attempt {
    pub(crate) state: String,
    pub(crate) verifier: String,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let seed = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let text = |purpose: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{purpose}{seed}")));
        Self { state: text("state"), verifier: text("verifier") }
    }

    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }

    /// The parameters of a flawless authorization request.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        [
            ("response_type", "code"),
            ("client_id", DevServer::PUBLIC_CLIENT),
            ("redirect_uri", REDIRECT_URI),
            ("scope", "read write"),
            ("state", &self.state),
            ("code_challenge", &self.challenge()),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub(crate) fn url(&self, server: &DevServer) -> String {
        authorization_url(server, &self.parameters())
    }
}

pub(crate) fn authorization_url(server: &DevServer, parameters: &[(String, String)]) -> String {
    let pairs: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    format!("{}?{}", server.authorization_url(), encode(&pairs))
}

/// The same parameters with one set to another value, or with `None` left out.
pub(crate) fn with(
    mut parameters: Vec<(String, String)>,
    name: &str,
    value: Option<&str>,
) -> Vec<(String, String)> {
    parameters.retain(|(known, _)| known != name);
    parameters.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    parameters
}

/// One parameter of the URL that an answer redirects to.
pub(crate) fn redirected(reply: &Reply, name: &str) -> Option<String> {
    let location = reply.header("location").unwrap_or_else(|| panic!("no redirect: {}", reply.text()));
    parameter(location, name)
}

pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// A code for the public client.
pub(crate) fn code(server: &DevServer, attempt: &Attempt) -> String {
    let reply = get(&attempt.url(server));
    assert_eq!(reply.status, 302, "{}", reply.text());
    assert_eq!(redirected(&reply, "state").as_ref(), Some(&attempt.state));
    redirected(&reply, "code").unwrap()
}

/// The form of a flawless code exchange.
pub(crate) fn exchange<'a>(code: &'a str, attempt: &'a Attempt) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", DevServer::PUBLIC_CLIENT),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", &attempt.verifier),
    ]
}

/// A whole login of alice's with the public client: its token answer.
pub(crate) fn sign_in(server: &DevServer) -> Value {
    let attempt = Attempt::new();
    let code = code(server, &attempt);
    let reply = post(&server.token_url(), &exchange(&code, &attempt));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

pub(crate) fn member<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name}"))
}

/// A refresh by the public client.
pub(crate) fn refresh(server: &DevServer, refresh_token: &str, more: &[(&str, &str)]) -> Reply {
    post(&server.token_url(), &[&refresh_form(refresh_token)[..], more].concat())
}

pub(crate) fn refresh_form(refresh_token: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", "refresh_token"),
        ("client_id", DevServer::PUBLIC_CLIENT),
        ("refresh_token", refresh_token),
    ]
}
