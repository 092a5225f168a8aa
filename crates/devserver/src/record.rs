//! Requests as they came in, kept for assertions. Their Debug output shows no secret.

use std::collections::VecDeque;
use std::fmt;

use crate::answer::Request;
use crate::dpop;
use crate::endpoint::Endpoint;
use crate::form;

/// How many requests are kept unless somebody says otherwise; older ones fall out.
pub(crate) const KEPT: usize = 4096;

/// One request that arrived. `Debug` shows values only of what is known to be harmless.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// Where it arrived ([`Endpoint::Other`] at a [`Recorder`](crate::Recorder)).
    pub endpoint: Endpoint,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers in order, names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The parameters of a form body, decoded, in order; empty for other bodies.
    pub form: Vec<(String, String)>,
    /// The body's length in bytes.
    pub body_length: usize,
}

impl RecordedRequest {
    pub(crate) fn new(endpoint: Endpoint, request: &Request) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            endpoint,
            method: request.method.to_string(),
            path: request.path.clone(),
            query: form::parse_tolerantly(request.query.as_bytes()),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
                .collect(),
            form: if request.is_form() { form::parse_tolerantly(&request.body) } else { Vec::new() },
            body_length: request.body.len(),
        }
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first form parameter of this name.
    pub fn form_value(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }

    /// The first query parameter of this name.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The token of an `Authorization: Bearer` header.
    pub fn bearer(&self) -> Option<&str> {
        self.authorization("bearer")
    }

    /// The token of an `Authorization: DPoP` header (RFC 9449 §7.1).
    pub fn dpop_token(&self) -> Option<&str> {
        self.authorization("dpop")
    }

    fn authorization(&self, wanted: &str) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case(wanted).then_some(token)
    }

    /// A claim of the DPoP proof in the header `DPoP`, unverified (RFC 9449 §4.2); text as it is, anything else as JSON.
    pub fn dpop_claim(&self, name: &str) -> Option<String> {
        dpop::claim(self.header("dpop")?, name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Names of parameters and headers whose values are no secret. A list of what may be shown forgets more safely than
/// a list of what may not.
pub(crate) const HARMLESS: &[&str] = &[
    "accept",
    "accept-encoding",
    "client_id",
    "code_challenge_method",
    "connection",
    "content-length",
    "content-type",
    "decision",
    "grant_type",
    "host",
    "iss",
    "redirect_uri",
    "resource",
    "response_type",
    "scope",
    "status",
    "to",
    "token_type_hint",
    "transfer-encoding",
    "user-agent",
];

struct Redacted<'a>(&'a [(String, String)]);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): &'_ (String, String)| {
            let redacted = || "[redacted]".to_owned();
            match HARMLESS.contains(&name.as_str()) {
                true => (name.clone(), value.clone()),
                // A name without a value may be a secret in a body that is no form.
                false if value.is_empty() => (redacted(), String::new()),
                false => (name.clone(), redacted()),
            }
        };
        f.debug_map().entries(self.0.iter().map(shown)).finish()
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &Redacted(&self.query))
            .field("headers", &Redacted(&self.headers))
            .field("form", &Redacted(&self.form))
            .field("body_length", &self.body_length)
            .finish()
    }
}

/// The newest requests, oldest first.
pub(crate) struct RequestLog {
    requests: VecDeque<RecordedRequest>,
    most: usize,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl RequestLog {
    pub(crate) fn keeping(most: usize) -> Self {
        Self { requests: VecDeque::new(), most }
    }

    pub(crate) fn push(&mut self, request: RecordedRequest) {
        self.requests.push_back(request);
        if self.requests.len() > self.most {
            self.requests.pop_front();
        }
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn last(&self, endpoint: Endpoint) -> Option<RecordedRequest> {
        self.requests.iter().rev().find(|request| request.endpoint == endpoint).cloned()
    }
}
