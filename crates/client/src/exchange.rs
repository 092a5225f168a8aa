//! One authenticated exchange over any HTTP library: attach the token, judge the answer, and replace a rejected token once
//! (RFC 6750 §3.1). `AuthenticatedRequest` and the tower layer are both made of it.
#![cfg_attr(
    not(feature = "tower"),
    expect(unreachable_pub, reason = "the traits are public for the layer, which is a feature")
)]

use std::future::Future;

use ::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use ::http::{HeaderMap, StatusCode};
#[cfg(feature = "jose")]
use ::http::{HeaderName, Method};
#[cfg(feature = "jose")]
use jeton_grants::GrantError;
use jeton_models::{is_secure_or_loopback, parse_www_authenticate};
use url::{Host, Url};

use crate::client::ClientInner;
use crate::{AccessToken, Error, Session};

/// The header with the proof of a token's key (RFC 9449 §4.1).
#[cfg(feature = "jose")]
const PROOF: HeaderName = HeaderName::from_static("dpop");

/// A request as an HTTP library has it: `http::Request<B>` and `reqwest::Request`.
pub trait HttpRequest: sealed::Sealed {
    /// Where it goes.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if that cannot be told, or not without doubt.
    fn target(&self) -> Result<Url, Error>;

    /// Its method.
    #[cfg(feature = "jose")]
    fn method(&self) -> &Method;

    /// Its URL as a DPoP proof names it: path included, with whatever query.
    ///
    /// # Errors
    /// As [`target`](Self::target).
    #[cfg(feature = "jose")]
    fn url_to_prove(&self) -> Result<Url, Error>;

    /// Its headers.
    fn headers(&self) -> &HeaderMap;

    /// Its headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// An answer as an HTTP library has it: `http::Response<B>` and `reqwest::Response`.
pub trait HttpResponse: sealed::Sealed {
    /// Its status.
    fn status(&self) -> StatusCode;

    /// Its headers.
    fn headers(&self) -> &HeaderMap;

    /// Whether it comes from where the request was sent, as far as can be told, and not from another origin to which the HTTP
    /// client followed a redirect: what others say about a token that they did not get counts for nothing.
    fn is_from(&self, target: &Url) -> bool;
}

pub(crate) mod sealed {
    /// Keeps the traits free to grow.
    pub trait Sealed {}
}

impl<B> sealed::Sealed for ::http::Request<B> {}

impl<B> HttpRequest for ::http::Request<B> {
    fn target(&self) -> Result<Url, Error> {
        let uri = self.uri();
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(Error::invalid_request(
                "the request's URI has no scheme or no host, so that nobody can tell who would get the token; give it \
                 the whole URL",
            ));
        };
        let url = Url::parse(&format!("{scheme}://{authority}/")).map_err(|error| {
            Error::invalid_request(format!("the host of the request's URI cannot be understood: {error}"))
        })?;
        // The HTTP client connects to what the URI's own parser understands. What the two read differently (`127.1`, percent
        // signs, ..) would be checked as one host and sent to another.
        let same_host = match url.host() {
            Some(Host::Ipv6(address)) => authority.host().trim_matches(['[', ']']).parse() == Ok(address),
            Some(_) => url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(authority.host())),
            None => false,
        };
        if !same_host || authority.port_u16().is_some_and(|port| url.port_or_known_default() != Some(port)) {
            return Err(Error::invalid_request(
                "the host of the request's URI is spelled in a way that not everybody reads alike; write a plain host \
                 name or address",
            ));
        }
        Ok(url)
    }

    #[cfg(feature = "jose")]
    fn method(&self) -> &Method {
        self.method()
    }

    #[cfg(feature = "jose")]
    fn url_to_prove(&self) -> Result<Url, Error> {
        let mut url = self.target()?;
        url.set_path(self.uri().path());
        Ok(url)
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl sealed::Sealed for reqwest::Request {}

impl HttpRequest for reqwest::Request {
    fn target(&self) -> Result<Url, Error> {
        Ok(self.url().clone())
    }

    #[cfg(feature = "jose")]
    fn method(&self) -> &Method {
        self.method()
    }

    #[cfg(feature = "jose")]
    fn url_to_prove(&self) -> Result<Url, Error> {
        self.target()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl<B> sealed::Sealed for ::http::Response<B> {}

impl<B> HttpResponse for ::http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn is_from(&self, _target: &Url) -> bool {
        true
    }
}

impl sealed::Sealed for reqwest::Response {}

impl HttpResponse for reqwest::Response {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn is_from(&self, target: &Url) -> bool {
        self.url().origin() == target.origin()
    }
}

/// Copies of a request, for those tries that turn out to be needed. Made before the token is attached.
pub(crate) struct Copies<R> {
    /// With another token, after the first one was rejected.
    again: Option<R>,
    /// With the server's nonce in the proof, for a token that is bound to a key.
    #[cfg(feature = "jose")]
    with_nonce: Option<R>,
}

impl<R> Copies<R> {
    /// `copy` gives one, or `None` if the request cannot be sent twice.
    pub(crate) fn of(session: &Session, copy: impl Fn() -> Option<R>) -> Self {
        #[cfg(not(feature = "jose"))]
        let _ = session;
        Self {
            again: copy(),
            #[cfg(feature = "jose")]
            with_nonce: if session.client().dpop.is_on() { copy() } else { None },
        }
    }
}

/// Sends the request with the session's token, if that may go there, and once more with another one if the token is rejected.
pub(crate) async fn send_with_token<R, A, E, F>(
    session: &Session,
    request: R,
    copies: Copies<R>,
    send: impl FnMut(R) -> F,
) -> Result<A, E>
where
    R: HttpRequest,
    A: HttpResponse,
    E: From<Error>,
    F: Future<Output = Result<A, E>>,
{
    let target = request.target()?;
    session.client().check_origin(&target)?;
    send_with_token_to(session, target, request, copies, send).await
}

/// The same to a URL of which it is known already that it may have the token.
pub(crate) async fn send_with_token_to<R, A, E, F>(
    session: &Session,
    target: Url,
    mut request: R,
    copies: Copies<R>,
    mut send: impl FnMut(R) -> F,
) -> Result<A, E>
where
    R: HttpRequest,
    A: HttpResponse,
    E: From<Error>,
    F: Future<Output = Result<A, E>>,
{
    check_unauthorized(&target, request.headers())?;

    let token = session.token().await?;
    attach(session, &mut request, &token).await?;
    #[cfg_attr(not(feature = "jose"), expect(unused_mut, reason = "there is no second try with a nonce"))]
    let mut response = send(request).await?;
    #[cfg(feature = "jose")]
    if note_nonce(session, &token, &response, &target)
        && let Some(mut with_nonce) = copies.with_nonce
    {
        drop(response);
        attach(session, &mut with_nonce, &token).await?;
        response = send(with_nonce).await?;
        note_nonce(session, &token, &response, &target);
    }
    if !learn(session, &token, &response, &target) {
        return Ok(response);
    }
    let Some(mut again) = copies.again else { return Ok(response) };
    let another = match session.token_after(&token).await {
        Ok(another) => another,
        Err(error) if error.is_login_required() => return Err(error.into()),
        // The server's own answer says more than that there is no other token.
        Err(error) => {
            tracing::debug!(%error, "no other token after a rejection");
            return Ok(response);
        }
    };
    drop(response);
    attach(session, &mut again, &another).await?;
    let response = send(again).await?;
    #[cfg(feature = "jose")]
    note_nonce(session, &another, &response, &target);
    learn(session, &another, &response, &target);
    Ok(response)
}

/// Attaches the token, and the proof of its key if it is bound to one: a fresh one, for this very request.
#[cfg_attr(not(feature = "jose"), expect(clippy::unused_async, reason = "proofs are signed asynchronously"))]
async fn attach(session: &Session, request: &mut impl HttpRequest, token: &AccessToken) -> Result<(), Error> {
    request.headers_mut().insert(AUTHORIZATION, token.authorization().clone());
    #[cfg(not(feature = "jose"))]
    let _ = session;
    #[cfg(feature = "jose")]
    if let Some(dpop) = token.dpop() {
        let (method, url) = (request.method().clone(), request.url_to_prove()?);
        let now = session.client().clock.now();
        let proof = Box::pin(dpop.proof(&method, &url, Some(token.secret()), now)).await;
        request.headers_mut().insert(PROOF, proof.map_err(GrantError::from)?);
    }
    Ok(())
}

/// Notes the nonce that the resource server wants to see in the next proof (RFC 9449 §9). Gives back whether it refused this
/// one for want of it.
#[cfg(feature = "jose")]
fn note_nonce(session: &Session, token: &AccessToken, response: &impl HttpResponse, target: &Url) -> bool {
    token.dpop().is_some()
        && response.is_from(target)
        && session.dpop_nonce(target, response.status(), response.headers())
}

/// Whether the resource server refused a proof for want of its nonce (RFC 9449 §9).
#[cfg(feature = "jose")]
pub(crate) fn wants_nonce(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED && token_errors(headers).iter().any(|error| error == "use_dpop_nonce")
}

/// Tells the session what an answer says about the token. Gives back whether it was rejected and another one may help.
fn learn(session: &Session, token: &AccessToken, response: &impl HttpResponse, target: &Url) -> bool {
    if !response.is_from(target) {
        return false;
    }
    session.judge(token, response.status(), response.headers())
}

/// What an answer says about the token that came with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is valid.
    Taken,
    /// It is not valid, or not any more.
    Rejected,
    /// Nothing: a 503 comes from a server that may not have looked at the token at all.
    None,
}

/// A 401 that names another error, such as a lack of authentication strength (RFC 9470), is something that a refresh would
/// not mend.
pub(crate) fn verdict_of(status: StatusCode, headers: &HeaderMap) -> Verdict {
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Verdict::Taken;
    }
    if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Verdict::None;
    }
    let errors = token_errors(headers);
    let named = |name: &str| errors.iter().any(|error| error == name);
    // Many servers send a bare 401 for an expired token.
    if status == StatusCode::UNAUTHORIZED && (errors.is_empty() || named("invalid_token")) {
        return Verdict::Rejected;
    }
    if named("insufficient_scope") || named("insufficient_user_authentication") {
        return Verdict::Taken;
    }
    Verdict::None
}

/// The errors of the Bearer and DPoP challenges (RFC 6750 §3, RFC 9449 §7.1).
fn token_errors(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        // A description in somebody's language must not hide the error beside it.
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .flat_map(|value| parse_www_authenticate(&value))
        .filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"))
        .filter_map(|challenge| challenge.get("error").map(str::to_owned))
        .collect()
}

/// Refuses a request that says already who is asking. Replacing that silently would be a surprise, and so would be sending a
/// request that the caller thinks has the session's token.
pub(crate) fn check_unauthorized(target: &Url, headers: &HeaderMap) -> Result<(), Error> {
    let userinfo = !target.username().is_empty() || target.password().is_some();
    if !userinfo && !headers.contains_key(AUTHORIZATION) {
        return Ok(());
    }
    Err(Error::invalid_request(
        "the request has an Authorization header, or a user name in its URL, of its own; leave it out to have the session's \
         token sent, or send the request without the session",
    ))
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
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn verdict(status: u16, challenges: &[&[u8]]) -> Verdict {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(challenge).unwrap());
        }
        verdict_of(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a8_what_an_answer_says_about_the_token() {
        use Verdict::{None, Rejected, Taken};
        let table: &[(u16, &[&[u8]], Verdict)] = &[
            (200, &[], Taken),
            (204, &[], Taken),
            (304, &[], Taken),
            (302, &[], None),
            (400, &[br#"Bearer error="invalid_request""#], None),
            (404, &[], None),
            (429, &[], None),
            (503, &[], None),
            (401, &[], Rejected),
            (401, &[b"Bearer"], Rejected),
            (401, &[br#"Bearer realm="x""#], Rejected),
            (401, &[br#"Bearer error="invalid_token""#], Rejected),
            (401, &[br#"bEARER realm="x", ERROR=invalid_token"#], Rejected),
            (401, &[br#"Basic realm="a, Bearer error=x", Bearer error="invalid_token""#], Rejected),
            (401, &[b"Negotiate", br#"Bearer error="invalid_token""#], Rejected),
            // Servers that forget to say Bearer.
            (401, &[br#"Basic realm="x""#], Rejected),
            (401, &[br#"Bearer error="insufficient_user_authentication", acr_values="gold""#], Taken),
            (
                401,
                &["Bearer error=\"insufficient_user_authentication\", error_description=\"\u{e9}\""
                    .as_bytes()],
                Taken,
            ),
            (401, &[b"Bearer error=\"insufficient_user_authentication\", error_description=\"\xe9\""], Taken),
            (401, &[br#"Bearer error="insufficient_scope""#], Taken),
            (401, &[br#"Bearer error="something_else""#], None),
            (401, &[br#"Bearer error="insufficient_scope", Bearer error="invalid_token""#], Rejected),
            (401, &[br#"DPoP algs="ES256""#], Rejected),
            (401, &[br#"DPoP error="invalid_token", algs="ES256""#], Rejected),
            (401, &[br#"dpop algs="ES256", ERROR="use_dpop_nonce""#], None),
            (401, &[br#"Bearer, DPoP error="use_dpop_nonce""#], None),
            (401, &[br#"DPoP error="invalid_dpop_proof""#], None),
            (401, &[br#"Bearer error="invalid_token", DPoP error="use_dpop_nonce""#], Rejected),
            (403, &[br#"DPoP error="insufficient_scope""#], Taken),
            (403, &[br#"Bearer error="insufficient_scope", scope="admin""#], Taken),
            (403, &[br#"Bearer error="invalid_token""#], None),
            (403, &[], None),
        ];
        for (status, challenges, expected) in table {
            let shown: Vec<_> = challenges.iter().map(|c| String::from_utf8_lossy(c)).collect();
            assert_eq!(verdict(*status, challenges), *expected, "{status} {shown:?}");
        }
    }

    #[test]
    fn the_target_of_a_uri_is_read_as_the_http_client_will_read_it() {
        let target = |uri: &str| ::http::Request::get(uri).body(()).map(|request| request.target());
        let origin = |uri: &str| target(uri).unwrap().unwrap().origin().ascii_serialization();
        assert_eq!(origin("https://API.example/a?b"), "https://api.example");
        assert_eq!(origin("https://api.example:443/"), "https://api.example");
        assert_eq!(origin("http://127.0.0.1:80@evil.example/"), "http://evil.example");
        assert_eq!(origin("http://[0:0::1]:8080/"), "http://[::1]:8080");
        for refused in
            ["/path", "api.example:443", "http://127.1/", "http://0x7f.0.0.1/", "http://127.0.0.1%2eevil/"]
        {
            match target(refused) {
                Ok(Err(Error::InvalidRequest(_))) => {}
                // Not even a URI.
                Err(_) => {}
                Ok(target) => panic!("{refused}: {target:?}"),
            }
        }
    }
}
