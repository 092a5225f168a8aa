//! Faults on request: what a server, a proxy or a network does to a client on a bad day.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::form;

/// Changes a JSON answer, after the server has committed.
pub type RewriteFn = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// What is to go wrong with a request.
///
/// "Commits" means that the server does all that the request asks for: a refresh token is rotated, a code is used up.
/// Faults that say nothing of committing do not commit, unless [`Fault::Commit`] comes before them in a
/// [`Fault::Sequence`].
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// Waits for so long, in real time, then goes on as usual (or with the next fault of a sequence).
    Latency(Duration),
    /// Holds the request until [`DevServer::open_gate`](crate::DevServer::open_gate), then goes on as usual (or with
    /// the next fault of a sequence). Requests that arrive at a gate after it was opened are held again.
    Gate,
    /// Commits now. In a sequence: `[Commit, Gate]` holds an answer whose refresh token is already rotated.
    Commit,
    /// Closes the connection without a byte; nothing has happened.
    DropBeforeCommit,
    /// Commits, then closes the connection without a byte.
    DropAfterCommit,
    /// Commits, answers with the right Content-Length, and closes the connection after so many bytes of the body.
    TruncateAfter(usize),
    /// A status of the server, or of a proxy before it, with an HTML body.
    Status {
        /// The HTTP status, such as 503.
        status: u16,
        /// The header `Retry-After` as it stands: seconds or an HTTP date.
        retry_after: Option<String>,
    },
    /// `slow_down` (RFC 8628 §3.5) with status 400. The device code of the request, if there is one, has to be polled
    /// five seconds slower from now on.
    SlowDown,
    /// An OAuth error (RFC 6749 §5.2).
    OAuthError {
        /// The HTTP status, such as 400.
        status: u16,
        /// The member `error`.
        error: String,
        /// The member `error_description`.
        description: Option<String>,
    },
    /// Any answer, as it stands.
    Answer {
        /// The HTTP status.
        status: u16,
        /// All headers but those of HTTP itself.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Commits, then changes the JSON answer.
    Rewrite(RewriteFn),
    /// Commits and gives the right body under this content type.
    ContentType(String),
    /// Commits and gives the answer form-encoded instead of as JSON.
    FormEncoded,
    /// 200 with a JSON body of so many bytes.
    HugeBody(u64),
    /// 307 to this URL.
    Redirect(String),
    /// Never answers, until the client goes away or the server stops.
    Hang,
    /// One after the other, for the same request.
    Sequence(Vec<Fault>),
}

type Named = (&'static str, fn() -> Fault);

/// What command lines call the faults that need nothing to be said about them.
const NAMES: [Named; 17] = [
    ("drop-before-commit", || Fault::DropBeforeCommit),
    ("drop-after-commit", || Fault::DropAfterCommit),
    ("truncated", || Fault::TruncateAfter(20)),
    ("hang", || Fault::Hang),
    ("gate", || Fault::Gate),
    ("unavailable", || Fault::unavailable(None)),
    ("unavailable-retry-after-1", || Fault::unavailable(Some("1"))),
    ("invalid-grant", || Fault::oauth_error("invalid_grant")),
    ("invalid-client", || Fault::OAuthError {
        status: 401,
        error: "invalid_client".to_owned(),
        description: None,
    }),
    ("server-error", || Fault::Status { status: 500, retry_after: None }),
    ("html", || Fault::answer(200, "text/html", "<html>Please accept our terms of use</html>")),
    ("garbage", || Fault::answer(200, "application/json", &b"\xff\xfe{\"access_token\":\0"[..])),
    ("huge-body", || Fault::HugeBody(64 << 20)),
    ("redirect", || Fault::Redirect("http://127.0.0.1:9/elsewhere".to_owned())),
    ("form-encoded", || Fault::FormEncoded),
    ("no-access-token", || Fault::remove("access_token")),
    ("slow-down", || Fault::SlowDown),
];

impl Fault {
    /// The names of the faults that command lines know.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().map(|(name, _)| name)
    }

    /// The fault of that name, such as `drop-after-commit` or `unavailable`.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, fault)| fault())
    }

    /// 503 Service Unavailable with this `Retry-After`.
    pub fn unavailable(retry_after: Option<&str>) -> Self {
        Self::Status { status: 503, retry_after: retry_after.map(str::to_owned) }
    }

    /// Any status, content type and body.
    pub fn answer(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self::Answer { status, headers, body: body.into() }
    }

    /// An OAuth error with status 400.
    pub fn oauth_error(error: &str) -> Self {
        Self::OAuthError { status: 400, error: error.to_owned(), description: None }
    }

    /// Commits, then changes the JSON answer.
    ///
    /// ```
    /// # use jeton_devserver::{DevServer, Endpoint, Fault};
    /// # let server = DevServer::start()?;
    /// server.fault(
    ///     Endpoint::Token,
    ///     Fault::rewrite(|mut answer| {
    ///         answer["expires_in"] = "3600".into();
    ///         answer
    ///     }),
    /// );
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn rewrite(change: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        Self::Rewrite(Arc::new(change))
    }

    /// Commits, then sets one member of the JSON answer.
    pub fn set(member: &str, value: impl Into<Value>) -> Self {
        let (member, value) = (member.to_owned(), value.into());
        Self::rewrite(move |mut answer| {
            if let Value::Object(members) = &mut answer {
                members.insert(member.clone(), value.clone());
            }
            answer
        })
    }

    /// Commits, then removes one member from the JSON answer.
    pub fn remove(member: &str) -> Self {
        let member = member.to_owned();
        Self::rewrite(move |mut answer| {
            if let Value::Object(members) = &mut answer {
                members.remove(&member);
            }
            answer
        })
    }

    /// What it does, for people.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Latency(duration) => format!("answered {} ms later", duration.as_millis()),
            Self::Gate => "held at the gate".to_owned(),
            Self::Commit => "committed first".to_owned(),
            Self::DropBeforeCommit => "connection closed, nothing committed".to_owned(),
            Self::DropAfterCommit => "connection closed after the commit".to_owned(),
            Self::TruncateAfter(bytes) => format!("committed, answer cut after {bytes} bytes"),
            Self::Status { status, .. } => format!("status {status}, nothing committed"),
            Self::SlowDown => "slow_down".to_owned(),
            Self::OAuthError { error, .. } => format!("error {error}, nothing committed"),
            Self::Answer { status, .. } => format!("another answer with status {status}, nothing committed"),
            Self::Rewrite(_) => "committed, answer changed".to_owned(),
            Self::ContentType(name) => format!("committed, answered as {name}"),
            Self::FormEncoded => "committed, answered form-encoded".to_owned(),
            Self::HugeBody(bytes) => format!("a body of {bytes} bytes, nothing committed"),
            Self::Redirect(_) => "redirected elsewhere, nothing committed".to_owned(),
            Self::Hang => "never answered".to_owned(),
            Self::Sequence(faults) => faults.iter().map(Self::in_words).collect::<Vec<_>>().join(", then "),
        }
    }

    /// The faults of a request in their order, with no sequence left among them.
    pub(crate) fn flatten(self) -> Vec<Fault> {
        match self {
            Self::Sequence(faults) => faults.into_iter().flat_map(Self::flatten).collect(),
            fault => vec![fault],
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(duration) => f.debug_tuple("Latency").field(duration).finish(),
            Self::Gate => f.write_str("Gate"),
            Self::Commit => f.write_str("Commit"),
            Self::DropBeforeCommit => f.write_str("DropBeforeCommit"),
            Self::DropAfterCommit => f.write_str("DropAfterCommit"),
            Self::TruncateAfter(bytes) => f.debug_tuple("TruncateAfter").field(bytes).finish(),
            Self::Status { status, retry_after } => {
                f.debug_struct("Status").field("status", status).field("retry_after", retry_after).finish()
            }
            Self::SlowDown => f.write_str("SlowDown"),
            Self::OAuthError { status, error, .. } => f
                .debug_struct("OAuthError")
                .field("status", status)
                .field("error", error)
                .finish_non_exhaustive(),
            // A replayed answer may hold a token of somebody's.
            Self::Answer { status, .. } => {
                f.debug_struct("Answer").field("status", status).finish_non_exhaustive()
            }
            Self::Rewrite(_) => f.write_str("Rewrite"),
            Self::ContentType(name) => f.debug_tuple("ContentType").field(name).finish(),
            Self::FormEncoded => f.write_str("FormEncoded"),
            Self::HugeBody(bytes) => f.debug_tuple("HugeBody").field(bytes).finish(),
            Self::Redirect(_) => f.write_str("Redirect"),
            Self::Hang => f.write_str("Hang"),
            Self::Sequence(faults) => f.debug_tuple("Sequence").field(faults).finish(),
        }
    }
}

/// The faults that wait for requests.
#[derive(Default)]
pub(crate) struct Faults {
    next: BTreeMap<Endpoint, VecDeque<Fault>>,
    always: BTreeMap<Endpoint, Fault>,
}

impl Faults {
    pub(crate) fn push(&mut self, endpoint: Endpoint, fault: Fault) {
        self.next.entry(endpoint).or_default().push_back(fault);
    }

    pub(crate) fn set_always(&mut self, endpoint: Endpoint, fault: Fault) {
        self.always.insert(endpoint, fault);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The faults for a request that has just arrived: the oldest pushed one, else the lasting one.
    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Vec<Fault> {
        let next = self.next.get_mut(&endpoint).and_then(VecDeque::pop_front);
        next.or_else(|| self.always.get(&endpoint).cloned()).map(Fault::flatten).unwrap_or_default()
    }

    pub(crate) fn waiting(&self, endpoint: Endpoint) -> usize {
        self.next.get(&endpoint).map_or(0, VecDeque::len)
    }
}

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn status_answer(code: u16, retry_after: Option<&str>) -> Answer {
    let status = status(code);
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<!DOCTYPE html><html><head><title>{code} {reason}</title></head><body><h1>{code} {reason}</h1></body></html>"
    );
    let answer = Answer::new(status, "text/html; charset=utf-8", page);
    match retry_after {
        Some(value) => answer.with_header("retry-after", value),
        None => answer,
    }
}

pub(crate) fn oauth_error_answer(code: u16, error: &str, description: Option<&str>) -> Answer {
    let mut body = json!({ "error": error });
    if let Some(description) = description {
        body["error_description"] = description.into();
    }
    Answer::json(status(code), &body)
}

pub(crate) fn rewritten(mut answer: Answer, change: &RewriteFn) -> Answer {
    if let Ok(value) = serde_json::from_slice(&answer.body) {
        answer.body = change(value).to_string().into();
    }
    answer
}

/// As GitHub answers unless asked for JSON.
pub(crate) fn form_encoded(mut answer: Answer) -> Answer {
    if let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(&answer.body) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let present = members.iter().filter(|(_, value)| !value.is_null());
        let pairs = present.map(|(name, value)| (name.as_str(), text(value).into()));
        answer.body = form::encode(pairs).into();
        answer = answer.with_header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    }
    answer
}
