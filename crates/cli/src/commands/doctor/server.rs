//! The server: whether it can be reached, where its metadata are, and what is odd about how it gives them.

use std::time::{Duration, SystemTime};

use jeton::grants::bytes::Bytes;
use jeton::grants::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, DATE, LOCATION};
use jeton::grants::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use jeton::grants::{Limits, Transport as _, TransportError, TransportErrorKind, metadata_urls};
use jeton::models::{AuthorizationServerMetadata, Issuer, MetadataError};
use jeton::{ReqwestTransport, Url};
use serde_json::Value;

use super::Subject;
use super::clock::{self, Exchange};
use super::report::{Group, Report};
use super::{metadata, transport};
use crate::printable::printable_start;

/// For each request. A person waits.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn look(report: &mut Report, subject: &Subject) {
    let Some(issuer) = &subject.issuer else {
        if let Some(failure) = &subject.problem {
            let help = failure.help.clone().unwrap_or_else(|| "change the profile".to_owned());
            report.group("server").mend("profile", failure.what.clone(), help);
        }
        return;
    };
    let asking = match Asking::new(subject) {
        Ok(asking) => asking,
        Err(problem) => return report.group("server").mend("network", problem, "change the profile"),
    };
    if !subject.discovers {
        return endpoint_by_hand(report, &asking, issuer).await;
    }
    let Some(found) = find(report.group("server"), &asking, issuer).await else { return };
    metadata::look(report, &found, subject.profile.as_ref());
    if let Ok(url) = found.endpoint("jwks_uri") {
        keys(report.group("server"), &asking, &url).await;
    }
}

/// One GET after another.
struct Asking {
    transport: ReqwestTransport,
    limits: Limits,
}

/// An answer, and when it came.
struct Answered {
    response: Response<Bytes>,
    exchange: Exchange,
}

impl Answered {
    fn header(&self, name: HeaderName) -> Option<&str> {
        header(self.response.headers(), name)
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Asking {
    fn new(subject: &Subject) -> Result<Self, String> {
        let http = subject.http().map_err(|failure| failure.what)?;
        let transport = ReqwestTransport::new(&http).map_err(|error| error.to_string())?;
        let mut limits = Limits::default();
        limits.timeout = DEADLINE;
        Ok(Self { transport, limits })
    }

    async fn get(&self, url: &Url) -> Result<Answered, TransportError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() =
            url.as_str().parse().map_err(|_| TransportError::new(TransportErrorKind::Request))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let sent = SystemTime::now();
        let response = self.transport.send(request, &self.limits).await?;
        Ok(Answered { response, exchange: Exchange { sent, answered: SystemTime::now() } })
    }
}

/// Asks where metadata may be, one place after another, as the library does.
async fn find(group: &mut Group, asking: &Asking, issuer: &Issuer) -> Option<AuthorizationServerMetadata> {
    let mut in_vain: Vec<String> = Vec::new();
    let mut is_first = true;
    for url in metadata_urls(issuer) {
        let answered = match asking.get(&url).await {
            Ok(answered) => answered,
            Err(error) => {
                let (check, found, help) = transport::in_words(&error, &url);
                if error.kind() == TransportErrorKind::BodyTooLarge {
                    in_vain.push(format!("{}: {found}", url.path()));
                    continue;
                }
                group.mend(check, found, help);
                return None;
            }
        };
        if is_first {
            let took = answered.exchange.answered.duration_since(answered.exchange.sent).unwrap_or_default();
            let how = if url.scheme() == "https" { "over TLS" } else { "in the clear, on this machine" };
            group.ok("reached", format!("{}, {how}, in {} ms", host_of(&url), took.as_millis()));
            clock::look(group, answered.exchange, answered.header(DATE));
            is_first = false;
        }
        match read(&answered, issuer) {
            Read::Metadata(metadata) => {
                group.ok("discovery", format!("{url}{}", not_at(&in_vain)));
                how_it_came(group, &answered);
                return Some(*metadata);
            }
            Read::Other(found) => {
                group.mend(
                    "issuer",
                    format!("the server at {issuer} calls itself {found}; the two must be the same, letter for letter"),
                    match found.parse::<Issuer>() {
                        Ok(_) => format!("if that is the server you mean, set the issuer to {found}"),
                        Err(_) => "ask whoever runs the server to mend its metadata".to_owned(),
                    },
                );
                return None;
            }
            Read::Nothing(what) => in_vain.push(format!("{}: {what}", url.path())),
        }
    }
    group.mend(
        "discovery",
        format!("{issuer} has no metadata: {}", in_vain.join("; ")),
        "is the issuer right, with its path? A server without metadata needs its endpoints in the profile \
         (`token_endpoint`, `authorization_endpoint`) or a `provider`",
    );
    None
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn not_at(in_vain: &[String]) -> String {
    match in_vain {
        [] => String::new(),
        _ => format!(" (not at {})", in_vain.join("; ")),
    }
}

enum Read {
    Metadata(Box<AuthorizationServerMetadata>),
    /// Those of another issuer.
    Other(String),
    /// What came instead.
    Nothing(String),
}

fn read(answered: &Answered, issuer: &Issuer) -> Read {
    let (status, body) = (answered.response.status(), answered.response.body());
    if status.is_redirection() {
        let target = answered.header(LOCATION).map(|location| {
            let end = location.find(['?', '#']).unwrap_or(location.len());
            format!(" to {}", printable_start(&location[..end], 100))
        });
        return Read::Nothing(format!(
            "a redirect{} (status {}), which is not followed",
            target.unwrap_or_default(),
            status.as_u16()
        ));
    }
    if !status.is_success() {
        return Read::Nothing(format!("status {}", status.as_u16()));
    }
    match AuthorizationServerMetadata::parse(body, issuer) {
        Ok(metadata) => Read::Metadata(Box::new(metadata)),
        Err(MetadataError::IssuerMismatch { found, .. }) => Read::Other(found),
        Err(MetadataError::IssuerAbsent) => Read::Nothing("JSON without `issuer`".to_owned()),
        Err(_) => Read::Nothing(what_it_is(answered)),
    }
}

/// What a body is that is no document of JSON.
fn what_it_is(answered: &Answered) -> String {
    let body = answered.response.body();
    let media_type = answered.header(CONTENT_TYPE).unwrap_or_default();
    if body.is_empty() {
        return "an empty answer".to_owned();
    }
    let is_page = body.trim_ascii_start().first() == Some(&b'<') || media_type.contains("html");
    match is_page {
        true => {
            "a web page instead of JSON (a login page of the network, or a site without metadata)".to_owned()
        }
        false => format!("no JSON object ({})", printable_start(media_type, 60)),
    }
}

/// Whatever is odd but taken.
fn how_it_came(group: &mut Group, answered: &Answered) {
    let media_type = answered.header(CONTENT_TYPE).unwrap_or("none");
    if !media_type.to_ascii_lowercase().starts_with("application/json") {
        let shown = printable_start(media_type, 60);
        group.note(
            "content type",
            format!("{shown} instead of application/json (RFC 8414 §3.2); it is read all the same"),
        );
    }
    if answered.response.body().starts_with(b"\xef\xbb\xbf") {
        group.note(
            "encoding",
            "the document begins with a byte-order mark, which JSON has not; it is read all the same",
        );
    }
    match answered.header(CACHE_CONTROL) {
        Some(caching) => group.ok("caching", format!("the server says `{}`", printable_start(caching, 60))),
        None => group.ok("caching", "the server says nothing; jeton asks once in each run that needs it"),
    }
}

/// The keys that the server signs with.
async fn keys(group: &mut Group, asking: &Asking, url: &Url) {
    let answered = match asking.get(url).await {
        Ok(answered) => answered,
        Err(error) => {
            let (_, found, help) = transport::in_words(&error, url);
            return group.mend("keys", found, help);
        }
    };
    let document: Option<Value> = serde_json::from_slice(answered.response.body()).ok();
    let keys = document.as_ref().and_then(|document| document.get("keys")).and_then(Value::as_array);
    match keys {
        Some(keys) if answered.response.status().is_success() && !keys.is_empty() => {
            let keys = if keys.len() == 1 { "1 key".to_owned() } else { format!("{} keys", keys.len()) };
            group.ok("keys", format!("{keys} at {url}"));
        }
        _ => group.mend(
            "keys",
            format!("there are no keys at {url} (status {})", answered.response.status().as_u16()),
            "ID tokens and signed answers cannot be checked: ask whoever runs the server",
        ),
    }
}

/// A server without metadata: is it there, and what time is it there?
async fn endpoint_by_hand(report: &mut Report, asking: &Asking, issuer: &Issuer) {
    let group = report.group("server");
    group.note("discovery", "not used: the profile or its provider says where the endpoints are");
    let mut root = issuer.url().clone();
    root.set_path("/");
    root.set_query(None);
    match asking.get(&root).await {
        Ok(answered) => {
            group.ok("reached", host_of(&root));
            clock::look(group, answered.exchange, answered.header(DATE));
        }
        Err(error) if error.kind() == TransportErrorKind::BodyTooLarge => group.ok("reached", host_of(&root)),
        Err(error) => {
            let (check, found, help) = transport::in_words(&error, &root);
            group.mend(check, found, help);
        }
    }
}
