//! `EndpointRequest`: one POST to an endpoint of the authorization server, authenticated, sent and answered
//! (RFC 6749 §3.2). Whatever the server repeats of our secrets is cut out of errors here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use jeton_models::{Answer, AnswerError, ErrorResponse, Parameters, Secret, is_secure_or_loopback};
use tracing::Instrument;
use url::{Url, form_urlencoded};

#[cfg(feature = "jose")]
use jeton_models::ParseOptions;

#[cfg(feature = "jose")]
use crate::dpop::{Dpop, DpopError, DpopSide};
use crate::error::is_registered;
use crate::{GrantContext, GrantError, Operation, TransportError, TransportErrorKind, transport};

/// Parameters whose values a server may repeat in an error without giving anything away.
const PUBLIC_PARAMETERS: [&str; 12] = [
    "grant_type",
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "resource",
    "audience",
    "code_challenge",
    "code_challenge_method",
    "username",
    "token_type_hint",
    "prompt",
];

/// Shorter values in the query of an endpoint's URL are versions and switches; cutting those out of a server's words would
/// garble them.
const SHORTEST_KEY: usize = 8;

/// A request to an endpoint of the authorization server, before client authentication.
///
/// For grants of your own: fill `parameters`, then [`EndpointRequest::send`] it.
#[non_exhaustive]
pub struct EndpointRequest {
    /// What it is for, as errors and spans name it.
    pub operation: Operation,
    /// The endpoint.
    pub url: Url,
    /// Further headers.
    pub headers: HeaderMap,
    /// The form parameters.
    pub parameters: Parameters,
    secrets: Vec<Secret>,
    /// Those of the client's authentication, where they are the same in each request.
    pub(crate) credentials: Option<Arc<[Secret]>>,
    /// Whether it carries a DPoP proof, if the client has a key for that.
    #[cfg(feature = "jose")]
    proves_key: bool,
    /// Whether `client_id` is sent however the client authenticates: a pushed authorization request is one, and has it.
    pub(crate) names_client: bool,
}

impl EndpointRequest {
    /// A request of these parameters to that endpoint.
    pub fn new(operation: Operation, url: Url, parameters: Parameters) -> Self {
        Self {
            operation,
            url,
            headers: HeaderMap::new(),
            parameters,
            secrets: Vec::new(),
            credentials: None,
            names_client: false,
            #[cfg(feature = "jose")]
            proves_key: false,
        }
    }

    /// The same as a request that proves the key to which the token is to be bound, if there is one: a token request (RFC 9449
    /// §5), or a pushed authorization request (§10.1).
    pub(crate) fn proving_key(self) -> Self {
        #[cfg(feature = "jose")]
        return Self { proves_key: true, ..self };
        #[cfg(not(feature = "jose"))]
        self
    }

    /// Has that text cut out of whatever the server says. Values of parameters are cut out anyway.
    pub fn add_secret(&mut self, secret: Secret) {
        self.secrets.push(secret);
    }

    /// Authenticates the client, sends the request and reads the answer.
    ///
    /// # Errors
    /// [`GrantError::Transport`] if there is no answer, and for a URL that is neither HTTPS nor on loopback, where
    /// nothing is sent; [`GrantError::Redirected`] for a redirect, which is never
    /// followed, [`GrantError::TwoAuthentications`] if two methods of client authentication met.
    pub fn send(
        self,
        cx: &GrantContext<'_>,
    ) -> impl Future<Output = Result<EndpointAnswer, GrantError>> + Send {
        // Small futures are cheap to allocate, and this one is part of several.
        Box::new(self).sent(cx)
    }

    async fn sent(self: Box<Self>, cx: &GrantContext<'_>) -> Result<EndpointAnswer, GrantError> {
        #[cfg(feature = "jose")]
        if let Some(dpop) = cx.dpop.filter(|_| self.proves_key) {
            return Box::pin(self.sent_with_proof(cx, dpop)).await;
        }
        self.sent_once(cx).await
    }

    /// Sends it with a DPoP proof, and once more if the server wants a nonce in it (RFC 9449 §8). Nothing was used up then.
    #[cfg(feature = "jose")]
    async fn sent_with_proof(
        self: Box<Self>,
        cx: &GrantContext<'_>,
        dpop: &Dpop,
    ) -> Result<EndpointAnswer, GrantError> {
        dpop.check_server(cx.server)?;
        // Each try authenticates anew: an assertion is good for one request.
        let again = Box::new(Self {
            operation: self.operation.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            parameters: self.parameters.clone(),
            secrets: self.secrets.clone(),
            credentials: self.credentials.clone(),
            ..*self
        });
        let answer = self.sent_once(cx).await?;
        let noted = answer.note_nonce(dpop);
        if !answer.wants_nonce() {
            return Ok(answer);
        }
        if !noted {
            return Err(answer.nonce_error("and gives none"));
        }
        tracing::debug!("the server wants its nonce in the DPoP proof");
        drop(answer);
        let answer = again.sent_once(cx).await?;
        answer.note_nonce(dpop);
        match answer.wants_nonce() {
            true => Err(answer.nonce_error("again, although it was sent the one that it gave")),
            false => Ok(answer),
        }
    }

    /// Adds the proof that this very request needs.
    #[cfg(feature = "jose")]
    async fn add_proof(&mut self, cx: &GrantContext<'_>, dpop: &Dpop) -> Result<(), GrantError> {
        let proof = dpop.proof(&Method::POST, &self.url, None, cx.clock.now()).await?;
        if let Ok(text) = proof.to_str() {
            self.secrets.push(Secret::from(text));
        }
        self.headers.insert(crate::dpop::PROOF, proof);
        Ok(())
    }

    async fn sent_once(mut self: Box<Self>, cx: &GrantContext<'_>) -> Result<EndpointAnswer, GrantError> {
        if let Some(dialect) = cx.dialect {
            dialect.prepare(&mut self)?;
        }
        cx.authentication.authenticate(&mut self, &cx.authentication_context()).await?;
        if self.names_client && !self.parameters.contains("client_id") {
            self.parameters.append_required("client_id", cx.client_id)?;
        }
        let in_body =
            self.parameters.contains("client_secret") || self.parameters.contains("client_assertion");
        let both_in_body =
            self.parameters.contains("client_secret") && self.parameters.contains("client_assertion");
        if both_in_body || (in_body && self.headers.contains_key(AUTHORIZATION)) {
            return Err(GrantError::TwoAuthentications);
        }
        #[cfg(feature = "jose")]
        if let Some(dpop) = cx.dpop.filter(|_| self.proves_key) {
            Box::pin(self.add_proof(cx, dpop)).await?;
        }
        let span =
            tracing::debug_span!("oauth_request", operation = %self.operation, url = %shown(&self.url));
        // What was sent is kept as the one text that it became, not in many: it is looked at only if there is an error.
        let parameters = std::mem::take(&mut self.parameters);
        let body = match cx.dialect {
            Some(dialect) => Some(Bytes::from_owner(Form(Secret::new(dialect.body(&parameters)?)))),
            None => None,
        };
        let form = Bytes::from_owner(Form(Secret::new(parameters.to_form())));
        let response = match self.exchange(cx, body.unwrap_or_else(|| form.clone())).instrument(span).await {
            Ok(response) => response,
            Err(source) => {
                let url = shown(&self.url);
                return Err(GrantError::Transport { operation: self.operation, url, source });
            }
        };
        if response.status().is_redirection() {
            let (url, status) = (shown(&self.url), response.status().as_u16());
            return Err(GrantError::Redirected { operation: self.operation, url, status });
        }
        let retry_after = retry_after(response.headers(), || cx.clock.now());
        Ok(EndpointAnswer { request: self, form, response, retry_after })
    }

    /// Where to send it, unless credentials must not go there. Metadata was checked before; a grant from outside of this
    /// crate may have got its URL elsewhere.
    fn uri(&self) -> Result<http::Uri, &'static str> {
        if !is_secure_or_loopback(&self.url) {
            return Err("the endpoint is neither HTTPS nor on loopback; use https://");
        }
        self.url.as_str().parse().map_err(|_| "the endpoint is no valid URI")
    }

    async fn exchange(
        &mut self,
        cx: &GrantContext<'_>,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let uri =
            self.uri().map_err(|what| TransportError::new(TransportErrorKind::Request).with_source(what))?;
        let mut request = http::Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = std::mem::take(&mut self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        if let Some(dialect) = cx.dialect {
            dialect.set_headers(headers);
        }

        let result = transport::send(cx.transport, request, &cx.limits).await;
        match &result {
            Ok(response) => tracing::debug!(status = response.status().as_u16(), "answered"),
            Err(error) => tracing::debug!(%error, "no answer"),
        }
        result
    }
}

impl fmt::Debug for EndpointRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointRequest")
            .field("operation", &self.operation)
            .field("url", &shown(&self.url))
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// The answer of an endpoint, together with what its errors need to say.
pub struct EndpointAnswer {
    request: Box<EndpointRequest>,
    /// The parameters of the request, as they were sent.
    form: Bytes,
    response: http::Response<Bytes>,
    retry_after: Option<Duration>,
}

impl EndpointAnswer {
    /// The answer to a request that was no form: `request` says what it was for, where it went and what is secret in it.
    pub(crate) fn to(
        request: EndpointRequest,
        response: http::Response<Bytes>,
        clock: &dyn crate::Clock,
    ) -> Self {
        let retry_after = retry_after(response.headers(), || clock.now());
        Self { request: Box::new(request), form: Bytes::new(), response, retry_after }
    }

    /// Reads the answer with one of the parsers of jeton-models.
    ///
    /// # Errors
    /// What the parser says, as a [`GrantError`] that knows operation, URL and `Retry-After`, and shows none of the
    /// secrets that were sent.
    pub fn read<T>(
        &self,
        parse: impl FnOnce(&Answer<'_>) -> Result<T, AnswerError>,
    ) -> Result<T, GrantError> {
        let content_type = self.response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let answer = Answer::new(self.response.status().as_u16(), content_type, self.response.body());
        parse(&answer).map_err(|error| self.error(error))
    }

    fn error(&self, error: AnswerError) -> GrantError {
        let (operation, url) = (self.request.operation.clone(), shown(&self.request.url));
        let (secrets, retry_after) = (self.secrets(), self.retry_after);
        match error {
            AnswerError::Unusable(mut answer) => {
                secrets.iter().for_each(|secret| answer.redact(secret.expose()));
                GrantError::Unusable { operation, url, answer: Box::new(answer), retry_after }
            }
            AnswerError::OAuth(mut error) => {
                redact(&mut error.response, &secrets);
                GrantError::OAuth { operation, url, error: Box::new(error), retry_after }
            }
            other => GrantError::other(other.to_string()),
        }
    }

    /// Whatever the server might repeat in an error and nobody may see. Asked for when there is an error: most requests
    /// have none.
    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.request.secrets.clone();
        secrets.extend(self.request.credentials.iter().flat_map(|credentials| credentials.iter()).cloned());
        let sent =
            form_urlencoded::parse(&self.form).filter(|(name, _)| !PUBLIC_PARAMETERS.contains(&&**name));
        secrets.extend(sent.map(|(_, value)| Secret::new(value)));
        // The query of an endpoint's URL is never shown; a server may repeat the key that stands in it.
        let in_query = self.request.url.query_pairs().map(|(_, value)| value.into_owned());
        secrets.extend(in_query.filter(|value| value.len() >= SHORTEST_KEY).map(Secret::new));
        spellings(secrets)
    }

    /// Notes the nonce that the server wants to see next; gives back whether there is one.
    #[cfg(feature = "jose")]
    fn note_nonce(&self, dpop: &Dpop) -> bool {
        dpop.nonces().note(DpopSide::AuthorizationServer, &self.request.url, self.response.headers())
    }

    /// Whether the server refused a DPoP proof for want of its nonce (RFC 9449 §8).
    #[cfg(feature = "jose")]
    fn wants_nonce(&self) -> bool {
        let refused = matches!(self.status(), 400 | 401);
        refused
            && self
                .read(|answer| Err::<(), _>(answer.error(&ParseOptions::default())))
                .is_err_and(|error| error.oauth_error().is_some_and(|error| error.code() == "use_dpop_nonce"))
    }

    #[cfg(feature = "jose")]
    fn nonce_error(&self, how: &'static str) -> GrantError {
        DpopError::Nonce { url: shown(&self.request.url), how }.into()
    }

    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

impl fmt::Debug for EndpointAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointAnswer")
            .field("operation", &self.request.operation)
            .field("url", &shown(&self.request.url))
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The body of a request, or a header's value, wiped when the last who holds it lets go.
pub(crate) struct Form(pub(crate) Secret);

impl AsRef<[u8]> for Form {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// The secrets with those spellings that a server may repeat and jeton-models does not look for, the longest first, so that
/// a secret that contains another one is cut out whole.
fn spellings(mut secrets: Vec<Secret>) -> Vec<Secret> {
    // Form-encoding is looked for already; this is how a URL's path and many a JavaScript spell a space.
    let percent = |secret: &Secret| {
        let encoded: String = form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect();
        encoded.contains('+').then(|| Secret::new(encoded.replace('+', "%20")))
    };
    // And how it stands in a body that was sent as JSON.
    let json = |secret: &Secret| {
        let mut one = Parameters::new();
        one.set("x", secret.expose());
        let text = Secret::new(one.to_json());
        let spelling = text.expose().strip_prefix("{\"x\":\"")?.strip_suffix("\"}")?;
        (spelling != secret.expose()).then(|| Secret::new(spelling))
    };
    let others = secrets.iter().flat_map(|secret| [percent(secret), json(secret)]).flatten();
    secrets.extend(others.collect::<Vec<_>>());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// Cuts secrets out of an error answer. A registered error code stays as it is: a password such as `grant` must not turn
/// `invalid_grant` into something that nobody understands.
pub(crate) fn redact(response: &mut ErrorResponse, secrets: &[Secret]) {
    let code = Some(response.error.clone()).filter(|code| is_registered(code));
    secrets.iter().for_each(|secret| response.redact(secret.expose()));
    if let Some(code) = code {
        response.error = code;
    }
}

/// A URL as errors and logs may show it: without query, fragment and credentials.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3). `None` if there is none, or none that can be read, or if it says
/// "any time": zero, or a date in the past.
pub(crate) fn retry_after(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // Some servers send fractions. Whoever is asked to wait for 0.2 s does not come earlier.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let wait = if is_number {
        let seconds: f64 = text.parse().ok()?;
        // Saturates at more than a hundred years.
        Duration::from_secs((seconds.ceil() as u32).into())
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now()).ok()?
    };
    Some(wait).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers, || now)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("0.2"), Some(Duration::from_secs(1)));
        assert_eq!(of("99999999999999999999999"), Some(Duration::from_secs(u32::MAX.into())));
        for any_time in ["0", "00", "0.0", "Sun, 06 Nov 1994 08:00:00 GMT"] {
            assert_eq!(of(any_time), None, "{any_time}");
        }
        for unreadable in ["", ".", "soon", "-1", "+1", "1e3", "1.2.3", "inf", "NaN", "120 s"] {
            assert_eq!(of(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn shown_urls_have_no_query_and_no_credentials() {
        let url = Url::parse("https://u:p@as.example/token?code=c#f").unwrap();
        assert_eq!(shown(&url), "https://as.example/token");
    }
}
