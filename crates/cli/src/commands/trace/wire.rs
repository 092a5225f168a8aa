//! A `Transport` that writes down what goes through it, and passes it on to reqwest.

use std::time::Instant;

use jeton::Url;
use jeton::grants::bytes::Bytes;
use jeton::grants::http::header::{AUTHORIZATION, CONTENT_TYPE};
use jeton::grants::http::{HeaderMap, Method, Request, Response};
use jeton::grants::{Limits, Transport, TransportError, async_trait};
use jeton::{HttpOptions, HttpOptionsError, ReqwestTransport};
use serde_json::Value;

use super::redact::Redactor;
use super::timeline::{Kind, Timeline, milliseconds};
use crate::printable::printable_start;

/// Whose answers go through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The authorization server: documents and tokens.
    Server,
    /// An API, whose answers may hold anything.
    Api,
}

#[derive(Debug)]
pub(super) struct WatchedTransport {
    inner: ReqwestTransport,
    timeline: Timeline,
    side: Side,
}

impl WatchedTransport {
    pub(super) fn new(
        options: &HttpOptions,
        timeline: &Timeline,
        side: Side,
    ) -> Result<Self, HttpOptionsError> {
        Ok(Self { inner: ReqwestTransport::new(options)?, timeline: timeline.clone(), side })
    }

    fn note_request(&self, request: &Request<Bytes>) {
        let redactor = self.timeline.redactor();
        let url = match Url::parse(&request.uri().to_string()) {
            Ok(url) => redactor.url(&url),
            Err(_) => "a URL that cannot be read".to_owned(),
        };
        let mut details = headers(redactor, request.headers(), REQUEST_HEADERS);
        details.extend(self.body(request.headers(), request.body(), false));
        self.timeline.add(Kind::Request, format!("{} {url}", request.method()), details);
    }

    fn note_answer(&self, answer: &Response<Bytes>, begun: Instant, is_document: bool) {
        let mut details = headers(self.timeline.redactor(), answer.headers(), ANSWER_HEADERS);
        details.extend(self.body(answer.headers(), answer.body(), is_document));
        let took = milliseconds(begun.elapsed());
        self.timeline.add(Kind::Answer, format!("{} after {took} ms", answer.status()), details);
    }

    /// A form or a JSON object by its members; of anything else what it is and how long.
    fn body(&self, headers: &HeaderMap, body: &Bytes, is_document: bool) -> Vec<(String, Value)> {
        if body.is_empty() {
            return Vec::new();
        }
        let redactor = self.timeline.redactor();
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no type");
        if self.side == Side::Server {
            if let Some(members) = redactor.json(body, is_document) {
                return members;
            }
            if media_type.contains("x-www-form-urlencoded") {
                return redactor.form(body);
            }
            if let Some(jwt) = as_jwt(redactor, body) {
                return vec![("body".to_owned(), jwt)];
            }
        }
        let shown = format!("{} bytes, not shown ({})", body.len(), printable_start(media_type, 60));
        vec![("body".to_owned(), shown.into())]
    }
}

#[async_trait]
impl Transport for WatchedTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        self.note_request(&request);
        // What is given to whoever asks.
        let is_document = request.method() == Method::GET && !request.headers().contains_key(AUTHORIZATION);
        let begun = Instant::now();
        let answer = self.inner.send(request, limits).await;
        match &answer {
            Ok(answer) => self.note_answer(answer, begun, is_document),
            Err(error) => {
                let took = milliseconds(begun.elapsed());
                let sent = match error.may_have_reached_server() {
                    true => "the server may have acted on it",
                    false => "the server has not seen it",
                };
                let why = self.timeline.redactor().words(&error.to_string());
                let details = vec![("why".to_owned(), why.into()), ("so".to_owned(), sent.into())];
                self.timeline.add(Kind::Answer, format!("none after {took} ms"), details);
            }
        }
        answer
    }
}

/// A signed answer (RFC 9701, JARM).
fn as_jwt(redactor: &Redactor, body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?.trim();
    match redactor.signed_header(text) {
        jwt @ Value::Object(_) => Some(jwt),
        _ => None,
    }
}

const REQUEST_HEADERS: &[&str] = &[
    "accept",
    "content-type",
    "content-length",
    "user-agent",
    "accept-encoding",
    "host",
    "authorization",
    "dpop",
];

const ANSWER_HEADERS: &[&str] = &[
    "content-type",
    "content-length",
    "cache-control",
    "date",
    "retry-after",
    "server",
    "location",
    "www-authenticate",
    "dpop-nonce",
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "traceparent",
];

/// The headers that may be shown; of the others, that they were there.
fn headers(redactor: &Redactor, headers: &HeaderMap, shown: &[&str]) -> Vec<(String, Value)> {
    let mut details = Vec::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let value = match name.as_str() {
            "authorization" => redactor.authorization(&text),
            "dpop" => redactor.signed_header(&text),
            "dpop-nonce" => redactor.secret(&text).into(),
            "location" => location(redactor, &text).into(),
            "www-authenticate" => redactor.words(&text).into(),
            own if shown.contains(&own) => printable_start(&text, 200).into(),
            _ => "<not shown>".into(),
        };
        details.push((name.as_str().to_owned(), value));
    }
    details
}

fn location(redactor: &Redactor, text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => redactor.url(&url),
        // Relative to what was asked.
        Err(_) => redactor.words(text.split(['?', '#']).next().unwrap_or_default()),
    }
}
