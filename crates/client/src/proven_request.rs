//! Authenticated requests with tokens that are bound to a key: redirects are followed here, for each step needs a proof of its
//! own URL (RFC 9449 §4.3), and an HTTP client that follows them by itself would carry the old one along.

use ::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use ::http::{Method, StatusCode};
use reqwest::{Request, Response};
use url::Url;

use crate::exchange::{Copies, send_with_token};
use crate::request::{Answer, Step, next_step};
use crate::{Error, Session};

/// Sends the request, and whatever it is redirected to: with the token and a fresh proof as long as that is the same origin,
/// and with neither from the first step on that leaves it, which is not gone if the request `stays`.
pub(crate) async fn send_with_proofs(
    session: &Session,
    mut request: Request,
    stays: bool,
) -> Result<Response, Error> {
    let api = session.client().api()?;
    let mut before: Vec<Url> = Vec::new();
    let mut with_token = true;
    loop {
        let url = request.url().clone();
        let next = Next::after(&request);
        let http = api.for_url(&url).clone();
        let response = if with_token {
            let copies = Copies::of(session, || request.try_clone());
            let answer = send_with_token(session, request, copies, |request| {
                let sending = http.execute(request);
                async { Ok::<_, Error>(Answer { response: sending.await?, left_origin: false }) }
            });
            answer.await?.response
        } else {
            http.execute(request).await?
        };
        let Some(target) = target(&url, &response) else { return Ok(response) };
        before.push(url);
        match next_step(&before, &target) {
            Step::Follow => {}
            Step::FollowWithoutToken if stays => return Ok(response),
            Step::FollowWithoutToken => with_token = false,
            Step::Stop => return Ok(response),
            Step::TooMany => {
                return Err(Error::invalid_request("the resource server redirects again and again"));
            }
        }
        match next.request(response.status(), target, with_token) {
            Some(redirected) => request = redirected,
            // The body was a stream, which cannot be sent twice.
            None => return Ok(response),
        }
    }
}

/// Where a redirect leads.
fn target(url: &Url, response: &Response) -> Option<Url> {
    let followed = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !followed.contains(&response.status()) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location).ok()
}

/// What is needed of a request to make the next one of it.
struct Next {
    /// Without body, for what becomes a GET.
    bare: Request,
    /// With its body, if that can be sent twice.
    whole: Option<Request>,
}

impl Next {
    fn after(request: &Request) -> Self {
        let mut bare = Request::new(request.method().clone(), request.url().clone());
        bare.headers_mut().clone_from(request.headers());
        *bare.timeout_mut() = request.timeout().copied();
        *bare.version_mut() = request.version();
        Self { bare, whole: request.try_clone() }
    }

    /// The request to send next (RFC 9110 §15.4): 303, and 301 and 302 after a POST, ask for a GET; the others repeat all of it.
    fn request(self, status: StatusCode, target: Url, with_token: bool) -> Option<Request> {
        let post = *self.bare.method() == Method::POST;
        let becomes_get = match status {
            StatusCode::SEE_OTHER => *self.bare.method() != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => post,
            _ => false,
        };
        let mut request = if becomes_get {
            let mut request = self.bare;
            *request.method_mut() = Method::GET;
            for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                request.headers_mut().remove(name);
            }
            request
        } else {
            self.whole?
        };
        *request.url_mut() = target;
        if !with_token {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                request.headers_mut().remove(name);
            }
        }
        Some(request)
    }
}
