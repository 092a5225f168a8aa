//! What the answer of a resource asks for, and the request once more when that was done.

use std::sync::Arc;

use ::http::header::WWW_AUTHENTICATE;
use ::http::{HeaderMap, StatusCode};
use jeton_grants::{GrantError, ProtectedResourceError};
use jeton_models::{ResourceChallenge, Scope, is_secure_or_loopback, parse_www_authenticate};
use reqwest::{Request, Response};
use url::Url;

use super::Inner;
use super::bootstrap::is_absent;
use super::memory::Known;
use crate::exchange::check_unauthorized;
use crate::reach::Zone;
use crate::request::check_tls;
use crate::{AuthenticatedRequest, Error};

/// So often a request goes out for one answer, each time for another reason: without a token, with one, with more scope, with
/// another authentication.
const ROUNDS: usize = 5;

/// What a resource wants before it does what it was asked for.
pub(super) enum Want {
    /// A token, or another one.
    Login(Box<LoginWanted>),
    /// More scope (RFC 6750 §3.1).
    Scope(Scope),
    /// Another authentication of the person (RFC 9470 §3).
    Authentication { acr_values: Vec<String>, max_age: Option<u64> },
}

/// The challenge to a request without a token.
pub(super) struct LoginWanted {
    pub(super) challenge: ResourceChallenge,
    /// Whether there is a challenge for OAuth clients at all; many servers send a bare 401.
    pub(super) is_for_oauth: bool,
    /// Where the answer came from.
    pub(super) zone: Zone,
    /// Why the login that there is gave no token.
    pub(super) failed: Option<Error>,
    /// Whether the person is to log in even if there is a login that works.
    pub(super) anew: bool,
}

impl Inner {
    /// Asks the resource which server it trusts, and logs in there.
    pub(super) async fn log_in_anew(self: &Arc<Self>, url: &Url) -> Result<Arc<Known>, Error> {
        check_secure(url)?;
        let response = self.api.for_url(url).get(url.clone()).send().await?;
        let resource = origin_of(url);
        if response.url().origin() != url.origin() {
            let to = origin_of(response.url());
            return Err(GrantError::from(ProtectedResourceError::LeadsElsewhere { resource, to }).into());
        }
        let status = response.status().as_u16();
        let challenge = match response.status() {
            StatusCode::UNAUTHORIZED => challenge(response.headers()).0,
            _ => ResourceChallenge::default(),
        };
        let zone = self.witness.zone_of(&response);
        // Also a 401 that says nothing of OAuth is one here: what is asked for is a login.
        let wanted = LoginWanted { challenge, is_for_oauth: true, zone, failed: None, anew: true };
        let seen = self.known(url).await?;
        match self.satisfied(url, seen, Want::Login(Box::new(wanted))).await {
            Err(Error::Grant(error)) if status != 401 && is_absent(&error) => {
                let error = ProtectedResourceError::NotProtected { resource, status };
                return Err(GrantError::from(error).into());
            }
            Err(error) => return Err(error),
            Ok(true) => {}
            Ok(false) => {
                return Err(GrantError::from(ProtectedResourceError::TooManyLogins { resource }).into());
            }
        }
        self.known(url).await?.ok_or(Error::Panicked)
    }

    /// Sends the request and does what its answer asks for, until there is nothing more to be done.
    pub(super) async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Error> {
        let url = request.url().clone();
        check_secure(&url)?;
        check_unauthorized(&url, request.headers())?;
        let mut request = request;
        for round in 1.. {
            let again = request.try_clone();
            let known = self.known(&url).await?;
            let (response, want) = match &known {
                Some(known) => self.with_token(known, request, again.as_ref()).await?,
                None => self.without_token(request, None).await?,
            };
            let (Some(want), Some(again)) = (want, again) else { return Ok(response) };
            if round == ROUNDS || !self.satisfied(&url, known, want).await? {
                return Ok(response);
            }
            request = again;
        }
        Err(Error::Panicked)
    }

    async fn with_token(
        &self,
        known: &Known,
        request: Request,
        again: Option<&Request>,
    ) -> Result<(Response, Option<Want>), Error> {
        let url = request.url().clone();
        let bare = || again.and_then(Request::try_clone);
        let answered = AuthenticatedRequest::of(known.session.clone(), request).send().await;
        let (response, failed) = match answered {
            Ok(response) if response.url().origin() != url.origin() => return Ok((response, None)),
            Ok(response) => {
                let challenge = challenge(response.headers()).0;
                match (response.status(), step_up(&challenge)) {
                    (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(want)) => {
                        return Ok((response, Some(want)));
                    }
                    // The token was replaced already if that could be: the login itself is what is wrong.
                    (StatusCode::UNAUTHORIZED, None) if challenge_is_about_the_token(&challenge) => {
                        (Some(response), None)
                    }
                    _ => return Ok((response, None)),
                }
            }
            // The resource may have moved away from a server that gives no tokens any more.
            Err(error @ (Error::LoginRequired(_) | Error::Grant(_) | Error::BackingOff { .. })) => {
                (None, Some(error))
            }
            Err(error) => return Err(error),
        };
        // Without the token it says where to get one.
        match (bare(), response, failed) {
            (Some(request), _, failed) => self.without_token(request, failed).await,
            (None, Some(response), _) => Ok((response, None)),
            (None, None, failed) => Err(failed.unwrap_or(Error::Panicked)),
        }
    }

    async fn without_token(
        &self,
        request: Request,
        failed: Option<Error>,
    ) -> Result<(Response, Option<Want>), Error> {
        let url = request.url().clone();
        let response = self.api.for_url(&url).execute(request).await?;
        // What another origin says, to which a redirect led, is not about this one.
        if response.status() != StatusCode::UNAUTHORIZED || response.url().origin() != url.origin() {
            return Ok((response, None));
        }
        let (challenge, is_for_oauth) = challenge(response.headers());
        let zone = self.witness.zone_of(&response);
        let wanted = LoginWanted { challenge, is_for_oauth, zone, failed, anew: false };
        Ok((response, Some(Want::Login(Box::new(wanted)))))
    }
}

fn check_secure(url: &Url) -> Result<(), Error> {
    if !is_secure_or_loopback(url) {
        return Err(Error::invalid_request(
            "the URL is neither HTTPS nor on loopback; a token must not go there, use https://",
        ));
    }
    check_tls(url)
}

/// A 401 with some other error than one about the token is something that a login would not mend.
fn challenge_is_about_the_token(challenge: &ResourceChallenge) -> bool {
    challenge.errors.is_empty() || challenge.errors.iter().any(|error| error == "invalid_token")
}

fn step_up(challenge: &ResourceChallenge) -> Option<Want> {
    if challenge.is_insufficient_user_authentication() {
        let (acr_values, max_age) = (challenge.acr_values.clone(), challenge.max_age);
        let says_what = !acr_values.is_empty() || max_age.is_some();
        return says_what.then_some(Want::Authentication { acr_values, max_age });
    }
    challenge.is_insufficient_scope().then(|| challenge.scope.clone().map(Want::Scope)).flatten()
}

/// What the challenges ask for, and whether any of them is one of OAuth.
fn challenge(headers: &HeaderMap) -> (ResourceChallenge, bool) {
    let challenges: Vec<_> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        // A description in somebody's language must not hide what stands beside it.
        .flat_map(|value| parse_www_authenticate(&String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let is_for_oauth = challenges.iter().any(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
    (ResourceChallenge::of(&challenges), is_for_oauth)
}

/// The origin of a URL, as it is remembered.
pub(super) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}
