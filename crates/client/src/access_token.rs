//! `AccessToken`: a token as a caller gets it. A cheap handle: cloning it copies a pointer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::HeaderValue;
use jeton_models::{AuthorizationDetail, ExtraMembers, Scope, Secret, Token, TokenType, Warning};
use jeton_storage::StoredToken;

use crate::Error;
use crate::backoff::random_up_to;
use crate::binding::Binding;
use crate::sync::{AtomicBool, AtomicU64};

/// A valid access token, as it was when it was asked for. Does not change and does not know the refresh token.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    stored: StoredToken,
    authorization: HeaderValue,
    requested_scope: Option<Scope>,
    /// The key that it is bound to.
    #[cfg(feature = "jose")]
    binding: Binding,
    /// The margin before its expiry in milliseconds, fixed when the token was received.
    early_ms: u64,
    /// Until when it is handed out without asking anybody, in Unix milliseconds: its expiry less the margin.
    fresh_until_ms: u64,
    /// When to look next whether it is to be refreshed ahead of time, in Unix milliseconds.
    ahead_at_ms: AtomicU64,
    /// A resource server said that this very token is not valid.
    rejected: AtomicBool,
    /// It was obtained because the one before it was rejected, and no resource server has taken it yet.
    on_probation: AtomicBool,
}

/// How often a busy session looks, at most, whether a token that is due is to be refreshed ahead of time.
const AHEAD_INTERVAL_MS: u64 = 1_000;

/// What a session decides about a token's age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margins {
    /// A token counts as expired so long before its expiry, but never more than a fifth of its lifetime.
    pub(crate) early_expiry: Duration,
    /// Whether it is refreshed in the background before that.
    pub(crate) refresh_ahead: bool,
}

impl AccessToken {
    pub(crate) fn new(
        stored: StoredToken,
        requested_scope: Option<Scope>,
        margins: Margins,
        binding: Binding,
    ) -> Result<Self, Error> {
        #[cfg(not(feature = "jose"))]
        let Binding = binding;
        if stored.token_type == TokenType::NotApplicable {
            return Err(Error::configuration(
                "the token is no access token (its type is `N_A`), so that no request can carry it; start from an access token",
            ));
        }
        let text = Secret::new(format!("{} {}", stored.token_type, stored.access_token.expose()));
        let mut authorization = HeaderValue::try_from(text.expose())
            .map_err(|_| Error::configuration("the access token has characters that no header can carry"))?;
        authorization.set_sensitive(true);
        let lifetime = stored.lifetime_ms();
        let early_ms = lifetime.map_or(0, |lifetime| millis(margins.early_expiry).min(lifetime / 5));
        let ahead_at_ms = match (margins.refresh_ahead, stored.expires_at_ms, lifetime) {
            (true, Some(expires_at), Some(lifetime)) => {
                // The last fifth of what is left after the margin, jittered by up to half of it, so that many processes
                // do not come at once.
                let window = (lifetime - early_ms) / 5;
                let jitter = random_up_to(window / 2);
                expires_at.saturating_sub(early_ms + window - jitter)
            }
            _ => u64::MAX,
        };
        let fresh_until_ms =
            stored.expires_at_ms.map_or(u64::MAX, |expires_at| expires_at.saturating_sub(early_ms));
        Ok(Self(Arc::new(Inner {
            stored,
            authorization,
            requested_scope,
            #[cfg(feature = "jose")]
            binding,
            early_ms,
            fresh_until_ms,
            ahead_at_ms: AtomicU64::new(ahead_at_ms),
            rejected: AtomicBool::new(false),
            on_probation: AtomicBool::new(false),
        })))
    }

    /// The token itself. Opaque: do not parse it (RFC 9068 §6), do not log it.
    pub fn secret(&self) -> &Secret {
        &self.0.stored.access_token
    }

    /// The key that it is bound to (RFC 9449).
    #[cfg(feature = "jose")]
    pub(crate) fn dpop(&self) -> Option<&jeton_grants::Dpop> {
        self.0.binding.dpop()
    }

    /// The value of the `Authorization` header, marked sensitive. A token of type DPoP needs a proof beside it, another one for
    /// each request: `Session::dpop_proof` (feature `jose`).
    pub fn authorization(&self) -> &HeaderValue {
        &self.0.authorization
    }

    /// How it is presented.
    pub fn token_type(&self) -> TokenType {
        self.0.stored.token_type
    }

    /// What it is good for: the granted scope, or the requested one where the server named none (RFC 6749 §5.1).
    /// `None` if no scope was asked for or named.
    pub fn scope(&self) -> Option<&Scope> {
        self.0.stored.granted_scope.as_ref().or(self.0.requested_scope.as_ref())
    }

    /// When it expires. `None`: the server did not say, so it never expires by time.
    pub fn expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0.stored.expires_at_ms?))
    }

    /// Until when sessions hand it out without asking anybody: its expiry less the client's
    /// [`early_expiry`](crate::ClientBuilder::early_expiry), of which a fifth of its lifetime counts at most. What to tell a program that
    /// keeps the token and comes back for another one. `None`: it never expires by time.
    pub fn fresh_until(&self) -> Option<SystemTime> {
        self.0.stored.expires_at_ms?;
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0.fresh_until_ms))
    }

    /// What had to be forgiven when the server's answer was read.
    pub fn warnings(&self) -> &[Warning] {
        &self.0.stored.warnings
    }

    /// Further members of the server's answer.
    pub fn extra(&self) -> &ExtraMembers {
        &self.0.stored.extra
    }

    /// The authorization details that were granted (RFC 9396 §7), which may differ from those that were asked for; `None` if the
    /// server says nothing of them. Each call reads them anew.
    pub fn authorization_details(&self) -> Option<Vec<AuthorizationDetail>> {
        AuthorizationDetail::granted_in(self.extra())
    }

    /// The token as the model of the wire has it, without a refresh token.
    pub fn to_token(&self) -> Token {
        self.0.stored.to_token(None)
    }

    /// Whether it lives for longer than `least` from `now_ms`, by its real expiry.
    pub(crate) fn lives(&self, now_ms: u64, least: Duration) -> bool {
        !self.is_rejected()
            && self
                .0
                .stored
                .expires_at_ms
                .is_none_or(|expires_at| now_ms.saturating_add(millis(least)) < expires_at)
    }

    /// Whether it can be handed out without asking anybody: it lives for longer than the margin and than `least`.
    ///
    /// `least` counts up to four fifths of the lifetime: a token of a minute can never be valid for five, and asking the
    /// server again at each call would not change that.
    pub(crate) fn is_fresh(&self, now_ms: u64, least: Duration) -> bool {
        let most = self.0.stored.lifetime_ms().map_or(u64::MAX, |lifetime| lifetime / 5 * 4);
        let margin = self.0.early_ms.max(millis(least).min(most));
        self.lives(now_ms, Duration::from_millis(margin))
    }

    /// Whether it can be handed out without asking anybody, to a caller that needs it just now.
    #[inline]
    pub(crate) fn is_fresh_now(&self, now_ms: u64) -> bool {
        now_ms < self.0.fresh_until_ms && !self.is_rejected()
    }

    /// Whether it is time to refresh it in the background.
    #[inline]
    pub(crate) fn is_due_ahead(&self, now_ms: u64) -> bool {
        now_ms >= self.0.ahead_at_ms.load(Ordering::Relaxed)
    }

    /// Whether this very caller is the one to refresh it in the background. The next one comes a second later, should it still be
    /// there then: so that the many callers in between take no lock to find out that a refresh is under way, or must wait.
    pub(crate) fn claim_ahead(&self, now_ms: u64) -> bool {
        let due_ms = self.0.ahead_at_ms.load(Ordering::Relaxed);
        let next_ms = now_ms.saturating_add(AHEAD_INTERVAL_MS);
        now_ms >= due_ms
            && self
                .0
                .ahead_at_ms
                .compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    #[inline]
    pub(crate) fn is_rejected(&self) -> bool {
        self.0.rejected.load(Ordering::Acquire)
    }

    /// A resource server said that the token is not valid.
    pub(crate) fn reject(&self) {
        self.0.rejected.store(true, Ordering::Release);
    }

    /// Whether it was itself the answer to a rejection and no resource server has taken it yet: another one would be no
    /// better.
    pub(crate) fn is_on_probation(&self) -> bool {
        self.0.on_probation.load(Ordering::Acquire)
    }

    pub(crate) fn put_on_probation(&self) {
        self.0.on_probation.store(true, Ordering::Release);
    }

    /// A resource server took the token.
    pub(crate) fn confirm(&self) {
        if self.0.on_probation.load(Ordering::Relaxed) {
            self.0.on_probation.store(false, Ordering::Release);
        }
    }

    /// When it really expires, in Unix milliseconds.
    pub(crate) fn expires_at_ms(&self) -> Option<u64> {
        self.0.stored.expires_at_ms
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.secret() == other.secret()
    }

    pub(crate) fn is_stored_as(&self, stored: &StoredToken) -> bool {
        *self.secret() == stored.access_token
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("fingerprint", &self.secret().fingerprint())
            .field("scope", &self.scope())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// A duration in milliseconds; the largest number if it is longer than that.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jeton_storage::TokenTarget;

    use super::*;

    fn token(lifetime_s: u64, early_expiry: Duration, refresh_ahead: bool) -> AccessToken {
        let mut token = Token::new(Secret::from("t"));
        token.expires_in = Some(lifetime_s);
        let received_at = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let stored = StoredToken::new(&token, TokenTarget::default(), received_at);
        AccessToken::new(stored, None, Margins { early_expiry, refresh_ahead }, Binding::NONE).unwrap()
    }

    #[test]
    fn the_window_for_refreshing_ahead_is_a_fifth_of_what_is_left_before_the_margin_and_jittered_by_half_of_it()
     {
        for (lifetime_s, early_s) in
            [(3_600, 30), (3_600, 0), (600, 300), (60, 30), (20, 30), (5, 30), (1, 30)]
        {
            let drawn: BTreeSet<u64> = (0..100)
                .map(|_| {
                    let token = token(lifetime_s, Duration::from_secs(early_s), true);
                    let ends_ms =
                        1_000_000_000 + lifetime_s * 1_000 - (early_s * 1_000).min(lifetime_s * 200);
                    let window_ms = (ends_ms - 1_000_000_000) / 5;
                    assert_eq!(token.0.fresh_until_ms, ends_ms);
                    assert_eq!(token.fresh_until(), Some(UNIX_EPOCH + Duration::from_millis(ends_ms)));
                    let ahead_at_ms = token.0.ahead_at_ms.load(Ordering::Relaxed);
                    assert!(ahead_at_ms >= ends_ms - window_ms && ahead_at_ms <= ends_ms - window_ms / 2);
                    assert!(!token.is_due_ahead(ahead_at_ms - 1) && token.is_due_ahead(ahead_at_ms));
                    ahead_at_ms
                })
                .collect();
            assert!(drawn.len() > 20, "{lifetime_s} s: {drawn:?}");
        }
    }

    #[test]
    fn without_an_expiry_or_if_it_is_switched_off_no_token_is_ever_due() {
        let mut eternal = Token::new(Secret::from("t"));
        eternal.expires_in = None;
        let stored = StoredToken::new(&eternal, TokenTarget::default(), UNIX_EPOCH);
        let margins = Margins { early_expiry: Duration::ZERO, refresh_ahead: true };
        let eternal = AccessToken::new(stored, None, margins, Binding::NONE).unwrap();
        for token in [eternal, token(3_600, Duration::ZERO, false)] {
            assert!(!token.is_due_ahead(u64::MAX - 1));
        }
    }

    #[test]
    fn one_caller_a_second_is_to_look_whether_a_due_token_is_to_be_refreshed() {
        let token = token(3_600, Duration::ZERO, true);
        let now_ms = token.0.fresh_until_ms - 10_000;
        assert!(token.claim_ahead(now_ms));
        assert!(!token.is_due_ahead(now_ms + 999) && !token.claim_ahead(now_ms + 999));
        // Whoever saw it due and comes late.
        assert!(!token.claim_ahead(now_ms));
        assert!(token.is_due_ahead(now_ms + 1_000) && token.claim_ahead(now_ms + 1_000));
    }
}
