//! Authenticated requests: the token goes to the client's resource servers and nowhere else, and a rejected token is
//! replaced once (RFC 6750 §3.1).

use ::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jeton_models::{is_secure_or_loopback, parse_www_authenticate};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response};
use url::Url;

use crate::client::ClientInner;
use crate::http::HttpClients;
use crate::{Error, Session};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// A request that will carry the session's access token.
///
/// [`send`](Self::send) attaches the token and, if the resource server answers 401 `invalid_token`, gets another one and sends
/// the request once more (unless its body is a stream, which cannot be sent twice). Redirects within the origin keep the
/// token; to any other origin they go without it.
#[must_use = "a request does nothing until it is sent"]
pub struct AuthenticatedRequest {
    session: Session,
    request: Result<RequestBuilder, Error>,
}

impl AuthenticatedRequest {
    pub(crate) fn new(session: Session, method: Method, url: &str) -> Self {
        let request = session.client().new_request(method, url);
        Self { session, request }
    }

    /// Adds a header.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Sets a JSON body.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, json: &T) -> Self {
        self.with(|request| request.json(json))
    }

    /// Sets a multipart body.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, form: reqwest::multipart::Form) -> Self {
        self.with(|request| request.multipart(form))
    }

    /// The longest that the whole exchange may take.
    pub fn timeout(self, timeout: std::time::Duration) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Anything else that reqwest's builder can do.
    pub fn with(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.request = self.request.map(change);
        self
    }

    /// Sends the request. Any status is an answer, not an error.
    ///
    /// Must be called within a tokio runtime (the blocking API of the crate `jeton` needs none).
    ///
    /// # Errors
    /// [`Error::ForeignOrigin`] if the URL is at none of the client's resource servers; [`Error::Request`] if there is no answer;
    /// and those of [`Session::token`].
    pub async fn send(self) -> Result<Response, Error> {
        let session = self.session;
        let mut request = self.request?.build()?;
        session.client().check_origin(request.url())?;
        let api = session.client().api()?.for_url(request.url()).clone();
        let origin = request.url().origin();

        let token = session.token().await?;
        request.headers_mut().insert(AUTHORIZATION, token.authorization().clone());
        let again = request.try_clone();
        let response = api.execute(request).await?;
        let rejected =
            response.url().origin() == origin && is_rejection(response.status(), response.headers());
        if !rejected {
            session.confirm(&token);
            return Ok(response);
        }
        if !session.reject(&token) {
            return Ok(response);
        }
        let Some(mut again) = again else { return Ok(response) };
        let another = match session.token_after(&token).await {
            Ok(another) => another,
            // The server's own answer says more than that there is no other token.
            Err(error) => {
                tracing::debug!(%error, "no other token after a rejection");
                return if error.is_login_required() { Err(error) } else { Ok(response) };
            }
        };
        again.headers_mut().insert(AUTHORIZATION, another.authorization().clone());
        let response = api.execute(again).await?;
        if response.url().origin() == origin && is_rejection(response.status(), response.headers()) {
            session.reject(&another);
        } else {
            session.confirm(&another);
        }
        Ok(response)
    }
}

impl std::fmt::Debug for AuthenticatedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticatedRequest").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Whether an answer says that the token is not valid (any more). A 401 that names another error, such as a lack of
/// authentication strength, is something that a refresh would not mend.
pub(crate) fn is_rejection(status: StatusCode, headers: &HeaderMap) -> bool {
    if status != StatusCode::UNAUTHORIZED {
        return false;
    }
    let mut errors = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse_www_authenticate)
        .filter(|challenge| challenge.is("Bearer"))
        .filter_map(|challenge| challenge.get("error").map(str::to_owned))
        .peekable();
    // Many servers send a bare 401 for an expired token.
    errors.peek().is_none() || errors.any(|error| error == "invalid_token")
}

impl ClientInner {
    /// Whether the token may be sent to that URL.
    pub(crate) fn check_origin(&self, url: &Url) -> Result<(), Error> {
        let origin = url.origin();
        if is_secure_or_loopback(url) && self.resource_servers.contains(&origin) {
            return Ok(());
        }
        Err(Error::ForeignOrigin { origin: origin.ascii_serialization() })
    }

    /// The HTTP clients of authenticated requests, made at the first one.
    fn api(&self) -> Result<&HttpClients, Error> {
        if let Some(api) = self.api.get() {
            return Ok(api);
        }
        let api = HttpClients::new(&self.http, |builder| builder.redirect(redirects()));
        let api = api.map_err(|error| Error::configuration(error.to_string()))?;
        Ok(self.api.get_or_init(|| api))
    }

    fn new_request(&self, method: Method, url: &str) -> Result<RequestBuilder, Error> {
        let url = Url::parse(url).map_err(|error| {
            let shown = url.split(['?', '#']).next().unwrap_or_default();
            Error::configuration(format!("`{shown}` is no absolute URL: {error}"))
        })?;
        Ok(self.api()?.for_url(&url).request(method, url))
    }
}

/// Follows redirects; reqwest takes the token off when host or port change, and this refuses a step from HTTPS down to HTTP,
/// for which it would not.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        let downgrade = attempt.previous().last().is_some_and(|from| from.scheme() == "https")
            && attempt.url().scheme() != "https";
        if downgrade { attempt.stop() } else { attempt.follow() }
    })
}
