//! Authenticated requests: the token goes to the client's resource servers and nowhere else, and a rejected token is
//! replaced once (RFC 6750 §3.1).

use std::cell::Cell;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use url::{Url, form_urlencoded};

use crate::client::ClientInner;
use crate::exchange::{Copies, HttpResponse, sealed, send_with_token};
use crate::http::HttpClients;
#[cfg(feature = "jose")]
use crate::proven_request::send_with_proofs;
use crate::{Error, Session};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// Without it reqwest does not refuse `https://` but speaks plain HTTP, to a proxy at least.
const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

/// A request that will carry the session's access token.
///
/// [`send`](Self::send) attaches the token and, if the resource server answers 401 `invalid_token`, gets another one and sends
/// the request once more, unless its body is a stream (a multipart form is one), which cannot be sent twice: then the 401 is
/// the answer, and the next request has another token. A 401 that names another error and a 403 are answers like any other.
///
/// # Where the token goes
/// To the origins that the client names as its [resource servers](crate::ClientBuilder::resource_server), and nowhere else.
/// Redirects within the origin keep the token; to any other origin, be it another of the client's resource servers, the request
/// goes on without it (but with the rest of it, as HTTP has it: a 307 repeats the body), unless it is to
/// [stay at its origin](Self::stay_at_origin). A redirect from HTTPS to HTTP is not followed.
///
/// With [DPoP](crate::ClientBuilder) each request, each repetition and each redirect within the origin carries a fresh proof.
/// The server may answer the first one with 401 `use_dpop_nonce`: then the request is sent once more with the server's nonce,
/// unless its body is a stream. The timeout counts for each step of a redirect.
///
/// A request that brings an `Authorization` header of its own (also by way of [`with`](Self::with), or as `user@` in its URL) is
/// refused with [`Error::InvalidRequest`]: neither is silently sent in the place of the other.
///
/// ```
/// # use jeton_client::{Client, ClientCredentials};
/// # let server = jeton_devserver::DevServer::start()?;
/// # let (issuer, (id, secret)) = (server.issuer(), jeton_devserver::DevServer::SERVICE_CLIENT);
/// # let api = server.url("");
/// # let client = Client::builder(id).issuer(issuer).client_secret(secret).grant(ClientCredentials)
/// #     .resource_server(&api).build()?;
/// # let session = client.session();
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let notes = session
///     .post(&format!("{api}/api/notes"))
///     .query([("draft", "yes")])
///     .form([("text", "Bring the jeton")])
///     .send()
///     .await?;
/// assert!(notes.status().is_success());
/// # Ok::<(), jeton_client::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct AuthenticatedRequest {
    session: Session,
    draft: Draft,
    stays: bool,
}

impl AuthenticatedRequest {
    pub(crate) fn new(session: Session, method: Method, url: &str) -> Self {
        let draft = Draft::new(session.client().new_request(method, url));
        Self { session, draft, stays: false }
    }

    /// A request that was made elsewhere.
    #[cfg(feature = "registration")]
    pub(crate) fn of(session: Session, request: reqwest::Request) -> Self {
        let api = session.client().api().map(|api| api.for_url(request.url()).clone());
        let draft = Draft::new(api.map(|api| RequestBuilder::from_parts(api, request)));
        Self { session, draft, stays: false }
    }

    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Adds parameters to the URL's query, encoded.
    pub fn query<N: Into<String>, V: Into<String>>(
        mut self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.draft.query(parameters);
        self
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sets a form as body: `application/x-www-form-urlencoded`.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, parameters: impl IntoIterator<Item = (N, V)>) -> Self {
        self.with(|request| form(request, parameters))
    }

    /// Sets a JSON body.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.with(|request| request.json(json))
    }

    /// Sets a multipart body. It is a stream, and so is not sent a second time after a 401.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, form: reqwest::multipart::Form) -> Self {
        self.with(|request| request.multipart(form))
    }

    /// The longest that the resource server may take, from connecting until the body is read. The second try after a 401 has
    /// as long again; what getting a token may take is limited by the client's own
    /// [limits](crate::ClientBuilder::limits). Unless set there is no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Follows no redirect to another origin: the redirect itself is the answer then. For requests whose body and headers are
    /// meant for this API only, since everything but the token (and cookies) goes along with a redirect.
    pub fn stay_at_origin(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Anything else that reqwest's builder can do. It cannot send the token elsewhere: the origin is checked in
    /// [`send`](Self::send), on the request as it then is.
    pub fn with(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.draft.change(change);
        self
    }

    /// Sends the request. Any status is an answer, not an error.
    ///
    /// Must be called within a tokio runtime (the blocking API of the crate `jeton` needs none). Connections are kept for the
    /// next request, and live on the runtime on which they were made: where threads have runtimes of their own, one that ends
    /// breaks the requests of others that happen to use its connections. Send from a runtime that lives as long as the client.
    ///
    /// # Errors
    /// [`Error::ForeignOrigin`] if the URL is at none of the client's resource servers; [`Error::InvalidRequest`] if it is no
    /// URL, or if the request has an `Authorization` header; [`Error::Request`] if there is no answer; and those of
    /// [`Session::token`]. If no other token is to be had after a 401, that is told where somebody has to log in
    /// ([`Error::LoginRequired`]); otherwise the 401 is the answer.
    pub async fn send(self) -> Result<Response, Error> {
        let session = self.session;
        let request = self.draft.build()?;
        check_tls(request.url())?;
        #[cfg(feature = "jose")]
        if session.client().dpop.is_on() {
            return Box::pin(send_with_proofs(&session, request, self.stays)).await;
        }
        let api = session.client().api()?.for_url(request.url()).clone();
        let copies = Copies::of(&session, || request.try_clone());
        let answer = send_with_token(&session, request, copies, |request| {
            let sending = api.execute(request);
            let journey = Journey { stays: self.stays, left_origin: Cell::new(false) };
            JOURNEY.scope(journey, async {
                let response = sending.await?;
                let left_origin = JOURNEY.with(|journey| journey.left_origin.get());
                Ok::<_, Error>(Answer { response, left_origin })
            })
        })
        .await?;
        Ok(answer.response)
    }
}

tokio::task_local! {
    /// The request under way, for the policy that judges its redirects.
    static JOURNEY: Journey;
}

/// What redirects may do, and have done, to a request.
struct Journey {
    /// Whether it is to stay at its origin.
    stays: bool,
    /// Whether a redirect has led it away from its origin, where the token is taken off for good: even if it is led back, the
    /// answer says nothing about the token.
    left_origin: Cell<bool>,
}

pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) left_origin: bool,
}

impl sealed::Sealed for Answer {}

impl HttpResponse for Answer {
    fn status(&self) -> StatusCode {
        self.response.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    fn is_from(&self, target: &Url) -> bool {
        !self.left_origin && HttpResponse::is_from(&self.response, target)
    }
}

impl std::fmt::Debug for AuthenticatedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticatedRequest").field("session", &self.session).finish_non_exhaustive()
    }
}

impl ClientInner {
    /// The HTTP clients of authenticated requests, made at the first one.
    pub(crate) fn api(&self) -> Result<&HttpClients, Error> {
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        // Where each step needs a proof of its own, redirects are followed one by one.
        let policy = || if self.dpop.is_on() { Policy::none() } else { redirects() };
        let api = HttpClients::new(&self.http, |builder| builder.redirect(policy()));
        let api = api.map_err(|error| Error::configuration(error.to_string()))?;
        Ok(self.api.get_or_init(|| api))
    }

    fn new_request(&self, method: Method, url: &str) -> Result<RequestBuilder, Error> {
        let url = parsed(url)?;
        Ok(self.api()?.for_url(&url).request(method, url))
    }
}

/// A request that is being put together. What is wrong with it is told when it is sent.
pub(crate) struct Draft {
    request: Result<RequestBuilder, Error>,
    query: Vec<(String, String)>,
}

impl Draft {
    pub(crate) fn new(request: Result<RequestBuilder, Error>) -> Self {
        Self { request, query: Vec::new() }
    }

    pub(crate) fn query<N: Into<String>, V: Into<String>>(
        &mut self,
        parameters: impl IntoIterator<Item = (N, V)>,
    ) {
        self.query.extend(parameters.into_iter().map(|(name, value)| (name.into(), value.into())));
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) {
        let request = std::mem::replace(&mut self.request, Err(Error::Panicked));
        self.request = request.map(change);
    }

    pub(crate) fn build(self) -> Result<reqwest::Request, Error> {
        let mut request = self.request?.build()?;
        if !self.query.is_empty() {
            request.url_mut().query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(request)
    }
}

/// The request with a form as its body.
pub(crate) fn form<N: AsRef<str>, V: AsRef<str>>(
    request: RequestBuilder,
    parameters: impl IntoIterator<Item = (N, V)>,
) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")).body(body)
}

/// Where a request is to go.
pub(crate) fn parsed(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| {
        // Neither the query nor a password before the host is shown.
        let shown = url.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit('@').next().unwrap_or_default();
        Error::invalid_request(format!("`{shown}` is no absolute URL: {error}"))
    })
}

/// Refuses what this build would send in the clear.
pub(crate) fn check_tls(url: &Url) -> Result<(), Error> {
    if HAS_TLS || url.scheme() != "https" {
        return Ok(());
    }
    Err(Error::configuration(
        "this build has no TLS; build jeton-client with the feature `rustls` or `native-tls`",
    ))
}

/// Follows redirects. reqwest takes the token off at the first step that leaves the origin.
pub(crate) fn redirects() -> Policy {
    Policy::custom(|attempt| match next_step(attempt.previous(), attempt.url()) {
        Step::Follow => attempt.follow(),
        Step::FollowWithoutToken => {
            // Somebody else's future may be polled under this policy, but not outside of `send`.
            let stays = JOURNEY.try_with(|journey| {
                journey.left_origin.set(!journey.stays);
                journey.stays
            });
            if stays.unwrap_or(false) { attempt.stop() } else { attempt.follow() }
        }
        Step::Stop => attempt.stop(),
        Step::TooMany => attempt.error("too many redirects"),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Follow,
    FollowWithoutToken,
    /// The redirect itself is the answer.
    Stop,
    TooMany,
}

/// Where a redirect to `next` leads, after the URLs in `previous`.
pub(crate) fn next_step(previous: &[Url], next: &Url) -> Step {
    if previous.len() > REDIRECTS {
        return Step::TooMany;
    }
    let Some(from) = previous.last() else { return Step::Stop };
    let downgrade = from.scheme() == "https" && next.scheme() != "https";
    if downgrade || (!HAS_TLS && next.scheme() == "https") {
        return Step::Stop;
    }
    if from.origin() == next.origin() { Step::Follow } else { Step::FollowWithoutToken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn where_redirects_lead() {
        let step = |from: &str, to: &str| next_step(&[from.parse().unwrap()], &to.parse().unwrap());
        let table = [
            ("https://api.example/a", "https://api.example/b", Step::Follow),
            ("https://api.example/a", "https://API.example:443/b", Step::Follow),
            ("http://127.0.0.1:80/a", "http://127.0.0.1/b", Step::Follow),
            ("https://api.example/a", "https://api.example:8443/a", Step::FollowWithoutToken),
            ("https://api.example/a", "https://api.example.evil/a", Step::FollowWithoutToken),
            ("https://api.example/a", "https://api.example@evil.example/a", Step::FollowWithoutToken),
            ("http://127.0.0.1:4000/a", "http://127.0.0.1.evil:4000/a", Step::FollowWithoutToken),
            ("http://127.0.0.1:4000/a", "http://localhost:4000/a", Step::FollowWithoutToken),
            ("http://localhost/a", "https://localhost/a", Step::FollowWithoutToken),
            // Down to the clear, be it on the same host or to this very machine.
            ("https://api.example/a", "http://api.example/a", Step::Stop),
            ("https://api.example:8443/a", "http://api.example:8443/a", Step::Stop),
            ("https://api.example/a", "http://127.0.0.1:4000/a", Step::Stop),
            ("https://api.example/a", "ftp://api.example/a", Step::Stop),
        ];
        for (from, to, expected) in table {
            assert_eq!(step(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn a_build_without_tls_is_not_led_to_https() {
        let step =
            next_step(&["http://localhost/a".parse().unwrap()], &"https://localhost/a".parse().unwrap());
        assert_eq!(step, if HAS_TLS { Step::FollowWithoutToken } else { Step::Stop });
    }

    #[test]
    fn redirects_come_to_an_end() {
        let url: Url = "http://localhost/".parse().unwrap();
        assert_eq!(next_step(&vec![url.clone(); REDIRECTS], &url), Step::Follow);
        assert_eq!(next_step(&vec![url.clone(); REDIRECTS + 1], &url), Step::TooMany);
    }
}
