//! `JwksCache`: the public keys of the server, fetched when they are needed (RFC 7517, OpenID Connect Core §10.1.1).
//!
//! Whoever can make us look at a JWT must not be able to make us ask the server for its keys again and again: a key of an
//! unknown name costs one request, and then none for a while.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use http::header::CACHE_CONTROL;
use jeton_jose::{JwkSet, JwsAlgorithm, JwtError, UnverifiedJwt, VerifiedJwt};
use url::Url;

use crate::{GrantContext, GrantError, JwtRejection, Limits, Operation, document};

/// The most bytes of a set of keys.
const MOST_BYTES: usize = 512 * 1024;
/// How long keys are good for where the server does not say, and the least and most that it can say.
const USUAL: Duration = Duration::from_secs(3_600);
const SHORTEST: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// How long old keys go on working, after their time, while newer ones cannot be had.
const GRACE: Duration = Duration::from_secs(24 * 3_600);
/// How long nobody asks again after a key of an unknown name was looked for, or after newer keys could not be had.
const PAUSE: Duration = Duration::from_secs(60);

/// The signing keys of an authorization server, kept for all who verify what it has signed: ID tokens, JWT answers.
///
/// Cheap to clone; clones share the keys. One for each server: with another `jwks_uri` the keys before it are dropped.
///
/// They are fetched at first use from the metadata's `jwks_uri`, once for all who wait, and kept as long as the answer's
/// `Cache-Control` says, but for five minutes at least and a day at most (an hour where it says nothing). A JWT whose key is not
/// among them has them fetched again, once in a minute at most. While newer ones cannot be had, old keys go on working for
/// another day.
#[derive(Clone, Default)]
pub struct JwksCache(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pinned: Option<Arc<JwkSet>>,
    kept: Mutex<Kept>,
    /// Whoever has it asks the server; the others wait and look again. If its owner goes away, the next one asks.
    flight: futures_util::lock::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    set: Option<KeptSet>,
    /// When a key of an unknown name was last looked for.
    looked_at: Option<SystemTime>,
    /// When newer keys could not be had.
    failed_at: Option<SystemTime>,
}

struct KeptSet {
    url: Url,
    keys: Arc<JwkSet>,
    fetched_at: SystemTime,
    fresh_for: Duration,
}

/// Keys, and whether they were fetched for this very caller.
struct Keys {
    set: Arc<JwkSet>,
    are_new: bool,
}

impl JwksCache {
    /// Without keys so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// These keys and no others; nothing is fetched. For servers that publish none, and for those who trust no others.
    pub fn pinned(keys: JwkSet) -> Self {
        Self(Arc::new(Inner { pinned: Some(Arc::new(keys)), ..Inner::default() }))
    }

    /// Checks the signature of a JWT of the server's, in compact form, with its keys. An algorithm that is not among the
    /// allowed ones is refused before any key is fetched.
    ///
    /// # Errors
    /// [`JwtRejection::Jwt`] if it is no JWT that one of the keys has signed, [`JwtRejection::Keys`] if there are no keys to be
    /// had.
    pub async fn verify(
        &self,
        cx: &GrantContext<'_>,
        jwt: &str,
        allowed: &[JwsAlgorithm],
    ) -> Result<VerifiedJwt, JwtRejection> {
        let unverified = UnverifiedJwt::parse(jwt)?;
        let algorithm = unverified.header().algorithm;
        if algorithm.is_symmetric() || !allowed.iter().any(|one| one.is_same_as(algorithm)) {
            return Err(JwtError::Algorithm { algorithm: algorithm.to_string() }.into());
        }
        let keys = self.keys(cx).await.map_err(JwtRejection::keys)?;
        let error = match unverified.verify(&keys.set, allowed) {
            Err(error) if error.may_have_a_newer_key() && !keys.are_new => error,
            result => return Ok(result?),
        };
        match self.newer_than(cx, &keys.set).await.map_err(JwtRejection::keys)? {
            Some(newer) => Ok(UnverifiedJwt::parse(jwt)?.verify(&newer, allowed)?),
            None => Err(error.into()),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys that are good now, fetched if need be.
    async fn keys(&self, cx: &GrantContext<'_>) -> Result<Keys, GrantError> {
        if let Some(pinned) = &self.0.pinned {
            return Ok(Keys { set: pinned.clone(), are_new: true });
        }
        let url = cx.server.endpoint("jwks_uri")?;
        let good = |now| self.kept().good(&url, now).map(|set| Keys { set, are_new: false });
        if let Some(keys) = good(cx.clock.now()) {
            return Ok(keys);
        }
        let _flight = self.0.flight.lock().await;
        if let Some(keys) = good(cx.clock.now()) {
            return Ok(keys);
        }
        match self.fetch(cx, url.clone()).await {
            Ok(set) => Ok(Keys { set, are_new: true }),
            Err(error) => {
                let now = cx.clock.now();
                let mut kept = self.kept();
                kept.failed_at = Some(now);
                let set = kept.good(&url, now).ok_or_else(|| error.clone())?;
                tracing::warn!(%error, "no newer signing keys; the old ones go on working for a while");
                Ok(Keys { set, are_new: false })
            }
        }
    }

    /// Keys that are newer than those, for a JWT that none of them has signed. `None` if there are none to be had now.
    async fn newer_than(
        &self,
        cx: &GrantContext<'_>,
        seen: &Arc<JwkSet>,
    ) -> Result<Option<Arc<JwkSet>>, GrantError> {
        let url = cx.server.endpoint("jwks_uri")?;
        let _flight = self.0.flight.lock().await;
        {
            let now = cx.clock.now();
            let mut kept = self.kept();
            // Somebody else has looked while this caller waited.
            let other = kept.set.as_ref().filter(|set| set.url == url && !Arc::ptr_eq(&set.keys, seen));
            if let Some(other) = other {
                return Ok(Some(other.keys.clone()));
            }
            if kept.looked_at.is_some_and(|at| is_within(at, now, PAUSE)) {
                return Ok(None);
            }
            kept.looked_at = Some(now);
        }
        tracing::debug!(url = %crate::endpoint::shown(&url), "a key of an unknown name; the server's keys are fetched again");
        self.fetch(cx, url).await.map(Some)
    }

    /// Asks the server, and keeps what it says.
    async fn fetch(&self, cx: &GrantContext<'_>, url: Url) -> Result<Arc<JwkSet>, GrantError> {
        let operation = Operation::SIGNING_KEYS;
        let limits = Limits { max_body: cx.limits.max_body.min(MOST_BYTES), ..cx.limits.clone() };
        let accept = "application/jwk-set+json, application/json";
        let response = document::get(cx.transport, &limits, &operation, &url, accept).await?;
        if !response.status().is_success() {
            return Err(document::not_a_document(&response, cx.clock, &operation, &url));
        }
        let keys = match JwkSet::parse(response.body()) {
            Ok(keys) => Arc::new(keys),
            // A page of a proxy says better what it is.
            Err(_) if response.body().first() != Some(&b'{') => {
                return Err(document::not_a_document(&response, cx.clock, &operation, &url));
            }
            Err(error) => return Err(GrantError::other(error)),
        };
        let fetched_at = cx.clock.now();
        let fresh_for = lifetime(&response);
        let mut kept = self.kept();
        kept.failed_at = None;
        kept.set = Some(KeptSet { url, keys: keys.clone(), fetched_at, fresh_for });
        Ok(keys)
    }
}

impl Kept {
    /// The keys of that place that may be used now without asking.
    fn good(&self, url: &Url, now: SystemTime) -> Option<Arc<JwkSet>> {
        let set = self.set.as_ref().filter(|set| set.url == *url)?;
        let in_grace = || self.failed_at.is_some_and(|at| is_within(at, now, PAUSE));
        let is_good = is_within(set.fetched_at, now, set.fresh_for)
            || (in_grace() && is_within(set.fetched_at, now, set.fresh_for + GRACE));
        is_good.then(|| set.keys.clone())
    }
}

/// Whether less than that has passed. What lies in the future is from before the clock was set back, and counts no more.
fn is_within(since: SystemTime, now: SystemTime, period: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < period)
}

/// How long the keys of an answer are good for (RFC 9111 §5.2.2.1).
fn lifetime(response: &Response<Bytes>) -> Duration {
    let directives = response.headers().get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut said = None;
    for directive in directives.flat_map(|value| value.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST,
            "max-age" => said = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    said.unwrap_or(USUAL).clamp(SHORTEST, LONGEST)
}

impl fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksCache").field("pinned", &self.0.pinned.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_keys_are_kept_is_the_servers_to_say_within_bounds() {
        let of = |values: &[&str]| {
            let mut response = Response::new(Bytes::new());
            for value in values {
                response.headers_mut().append(CACHE_CONTROL, value.parse().unwrap());
            }
            lifetime(&response).as_secs()
        };
        assert_eq!(of(&[]), 3_600);
        assert_eq!(of(&["public, max-age=7200"]), 7_200);
        assert_eq!(of(&["public", "Max-Age=\"7200\""]), 7_200);
        assert_eq!(of(&["max-age=5"]), 300);
        assert_eq!(of(&["max-age=99999999999"]), 86_400);
        assert_eq!(of(&["max-age=7200, no-store"]), 300);
        assert_eq!(of(&["no-cache"]), 300);
        for unreadable in ["max-age=-1", "max-age", "max-age=soon", "s-maxage=5", "\u{7f}"] {
            if let Ok(value) = http::HeaderValue::from_str(unreadable) {
                let mut response = Response::new(Bytes::new());
                response.headers_mut().insert(CACHE_CONTROL, value);
                assert_eq!(lifetime(&response).as_secs(), 3_600, "{unreadable}");
            }
        }
    }
}
