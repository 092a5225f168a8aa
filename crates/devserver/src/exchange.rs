//! `Exchange`: one request and what became of it, told without a secret: for the page that lists what the server saw, and for
//! programs that show it while it happens.

use std::time::SystemTime;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::record::{HARMLESS, RecordedRequest};
use crate::serve::Cut;

/// A value is cut after so many characters, and so many of a kind are kept: whoever sends more cannot fill the memory.
const LONGEST_VALUE: usize = 400;
const MOST_VALUES: usize = 60;

/// A value of fewer characters may be a password, and could be had back from its fingerprint by trying.
const SHORTEST_TOKEN: usize = 22;

/// Parameters that are secrets which people or programs choose: even a long one gets no fingerprint.
const CHOSEN: &[&str] = &["client_secret", "login_hint", "password", "user_code", "username"];

/// One request and what became of it. It holds no secret: a token stands there as its fingerprint, the first eight
/// hexadecimal digits of its SHA-256, so that the same token can be followed from request to request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The first one is 1.
    pub number: u64,
    /// When it arrived, on the server's clock.
    pub at: SystemTime,
    /// Where it arrived.
    pub endpoint: Endpoint,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Who the client says it is, or whose access token it showed.
    pub client_id: Option<String>,
    /// The person in whose name it was, as far as it is known.
    pub user: Option<String>,
    /// The `grant_type` of a token request.
    pub grant_type: Option<String>,
    /// The query's parameters, without secrets.
    pub query: Vec<(String, String)>,
    /// The headers, without secrets.
    pub headers: Vec<(String, String)>,
    /// The parameters of a form body, without secrets.
    pub form: Vec<(String, String)>,
    /// The body's length in bytes.
    pub body_length: usize,
    /// What the faults that it met did to it, in words.
    pub fault: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is not answered yet.
    UnderWay,
    /// It was answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The OAuth error code, if there was one.
        error: Option<String>,
        /// Why, in words that begin with the rule that was broken (`A12: ...`) if it was one of the server's.
        reason: Option<String>,
    },
    /// The connection was closed without an answer, as a fault asked for.
    Cut,
    /// The client went away, or the server was stopped, before there was an answer.
    Abandoned,
}

impl Exchange {
    /// What has arrived; whose it is, is added by who knows the tokens.
    pub(crate) fn new(number: u64, at: SystemTime, request: &RecordedRequest) -> Self {
        let grant_type = (request.endpoint == Endpoint::Token).then(|| request.form_value("grant_type"));
        Self {
            number,
            at,
            endpoint: request.endpoint,
            method: cut(&request.method),
            path: cut(&request.path),
            client_id: None,
            user: None,
            grant_type: grant_type.flatten().map(cut),
            query: without_secrets(&request.query),
            headers: without_secrets(&request.headers),
            form: without_secrets(&request.form),
            body_length: request.body_length,
            fault: None,
            outcome: Outcome::UnderWay,
        }
    }
}

impl Outcome {
    pub(crate) fn of(answer: Result<&Answer, &Cut>) -> Self {
        match answer {
            Err(Cut) => Self::Cut,
            Ok(answer) => {
                let (error, reason) = complaint(answer);
                Self::Answered { status: answer.status.as_u16(), error, reason }
            }
        }
    }

    /// Whether the client got what it wanted, or is still waiting for it.
    pub fn is_good(&self) -> bool {
        match self {
            Self::UnderWay => true,
            Self::Answered { status, error, .. } => *status < 400 && error.is_none(),
            Self::Cut | Self::Abandoned => false,
        }
    }
}

/// Error code and reason of an answer: in JSON, in a redirect to the client, or on a page.
fn complaint(answer: &Answer) -> (Option<String>, Option<String>) {
    if let Some(problem) = &answer.problem {
        return (None, Some(cut(problem)));
    }
    if let Some(location) = answer.headers.get("location").and_then(|location| location.to_str().ok()) {
        let url = url::Url::parse(location).ok();
        let parameter = |wanted: &str| {
            let found = url.as_ref()?.query_pairs().find(|(name, _)| name == wanted)?.1;
            Some(cut(&found))
        };
        return (parameter("error"), parameter("error_description"));
    }
    if answer.status.as_u16() < 400 {
        return (None, None);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let member = |name: &str| body[name].as_str().map(cut);
    (member("error"), member("error_description"))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

fn without_secrets(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let mut shown: Vec<_> =
        pairs.iter().take(MOST_VALUES).map(|(name, value)| (shown_name(name), shown(name, value))).collect();
    if let Some(more) = pairs.len().checked_sub(MOST_VALUES).filter(|more| *more > 0) {
        shown.push(("\u{2026}".to_owned(), format!("{more} more")));
    }
    shown
}

/// A body that is no form may have a secret where a name is expected; names are short and in small letters.
fn shown_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || b"_-".contains(&byte);
    match name.len() <= 40 && name.bytes().all(plain) {
        true => name.to_owned(),
        false => "[not a known name]".to_owned(),
    }
}

fn shown(name: &str, value: &str) -> String {
    if HARMLESS.contains(&name) || SHOWN.contains(&name) || value.is_empty() {
        return cut(value);
    }
    if name == "authorization" {
        // A scheme is a word; a header without one is all secret.
        return match value.split_once(' ') {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("basic") => {
                format!("Basic {}", redacted(secret))
            }
            Some((scheme, secret)) if ["bearer", "dpop"].contains(&&*scheme.to_ascii_lowercase()) => {
                format!("{scheme} {}", fingerprint(secret))
            }
            _ => redacted(value),
        };
    }
    match CHOSEN.contains(&name) {
        true => redacted(value),
        false => fingerprint(value),
    }
}

/// Beside what `Debug` shows: what helps to understand a request and is no secret either.
const SHOWN: &[&str] = &[
    "accept-language",
    "acr_values",
    "actor_token_type",
    "audience",
    "cache-control",
    "client_assertion_type",
    "claims_locales",
    "dnt",
    "max_age",
    "origin",
    "post_logout_redirect_uri",
    "prompt",
    "requested_token_type",
    "response_mode",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "subject_token_type",
    "ui_locales",
    "upgrade-insecure-requests",
    "user",
    "x-request-id",
];

/// The same as jeton's logs have for this token.
fn fingerprint(secret: &str) -> String {
    let length = secret.chars().count();
    if length < SHORTEST_TOKEN {
        return redacted(secret);
    }
    let digest = Sha256::digest(secret.as_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("[fingerprint {digits}, {length} characters]")
}

fn redacted(secret: &str) -> String {
    format!("[redacted, {} characters]", secret.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_can_be_followed_and_passwords_cannot_be_guessed() {
        let token = "0123456789012345678901234567890123456789abc";
        let told = shown("refresh_token", token);
        assert!(told.starts_with("[fingerprint ") && told.ends_with(", 43 characters]"), "{told}");
        assert_eq!(shown("authorization", &format!("Bearer {token}")), format!("Bearer {told}"));
        for name in ["password", "client_secret", "username"] {
            assert_eq!(shown(name, token), "[redacted, 43 characters]", "{name}");
        }
        assert_eq!(shown("code", "short"), "[redacted, 5 characters]");
        assert_eq!(shown("authorization", "Basic YTpi"), "Basic [redacted, 4 characters]");
        assert_eq!(shown("authorization", token), "[redacted, 43 characters]");
        assert_eq!(shown("scope", "read write"), "read write");
    }

    #[test]
    fn what_is_kept_of_a_request_is_bounded() {
        let pairs: Vec<_> = (0..1_000).map(|_| ("scope".to_owned(), "x".repeat(10_000))).collect();
        let kept = without_secrets(&pairs);
        assert_eq!(kept.len(), MOST_VALUES + 1);
        assert!(kept.iter().all(|(_, value)| value.chars().count() <= LONGEST_VALUE + 1));
        assert_eq!(kept[MOST_VALUES].1, "940 more");
        assert_eq!(shown_name("Hunter2"), "[not a known name]");
        assert_eq!(shown_name(&"x".repeat(41)), "[not a known name]");
    }
}
