//! `IntrospectionCache`: what the server said about a token, for those who ask about the same tokens again and again
//! (RFC 7662 §4).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jeton_models::{Introspection, Secret, create_code_challenge};

use crate::{GrantContext, GrantError, introspect};

/// What the server said about tokens, kept for a short time. For resource servers that see the same token in many requests.
///
/// Cheap to clone; clones share what they know. Whoever keeps an answer does not hear of a revocation meanwhile (RFC 7662 §4).
/// So an active answer is kept for 30 s at most unless set otherwise, never beyond the token's `exp`, and one that the token is
/// not active is not kept at all unless that is asked for: it may be active in a moment. Errors are never kept. A token that
/// this client revokes is forgotten. No token is kept, but its SHA-256.
///
/// ```
/// use std::time::Duration;
/// use jeton_grants::{GrantContext, GrantError, IntrospectionCache};
/// use jeton_models::Secret;
///
/// async fn is_good(cache: &IntrospectionCache, cx: &GrantContext<'_>, token: &Secret) -> Result<bool, GrantError> {
///     Ok(cache.introspect(cx, token, Some("access_token")).await?.active)
/// }
/// let cache = IntrospectionCache::new().longest(Duration::from_secs(10));
/// # let _ = (cache, is_good);
/// ```
#[derive(Clone)]
pub struct IntrospectionCache {
    longest: Duration,
    inactive: Duration,
    most: usize,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    answers: HashMap<String, Kept>,
    /// How often something was forgotten: an answer from before that is not kept any more.
    forgotten: u64,
}

struct Kept {
    introspection: Introspection,
    asked_at: SystemTime,
    until: SystemTime,
}

impl Default for IntrospectionCache {
    fn default() -> Self {
        Self::new()
    }
}

impl IntrospectionCache {
    /// Active answers for 30 s, others not at all, of 10,000 tokens at most.
    pub fn new() -> Self {
        Self {
            longest: Duration::from_secs(30),
            inactive: Duration::ZERO,
            most: 10_000,
            known: Arc::default(),
        }
    }

    /// The longest that an active answer is kept.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// How long it is kept that a token is not active; never longer than an active answer.
    #[must_use]
    pub fn inactive(mut self, inactive: Duration) -> Self {
        self.inactive = inactive;
        self
    }

    /// Of how many tokens at most something is kept. When there are more, those go first that go soonest.
    #[must_use]
    pub fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// What the server said about the token lately, or else says now. As [`introspect`] otherwise.
    ///
    /// # Errors
    /// As [`introspect`].
    pub async fn introspect(
        &self,
        cx: &GrantContext<'_>,
        token: &Secret,
        token_type_hint: Option<&str>,
    ) -> Result<Introspection, GrantError> {
        let key = key(cx, token);
        // Counts from before the question: what the server knew then is what it answers.
        let asked_at = cx.clock.now();
        let forgotten = {
            let known = self.known();
            if let Some(introspection) = known.get(&key, asked_at) {
                return Ok(introspection);
            }
            known.forgotten
        };
        let introspection = introspect(cx, token, token_type_hint).await?;
        self.keep(key, &introspection, asked_at, forgotten);
        Ok(introspection)
    }

    /// Forgets what the server said about that token: it was revoked, or it is doubted.
    pub fn forget(&self, cx: &GrantContext<'_>, token: &Secret) {
        let mut known = self.known();
        known.answers.remove(&key(cx, token));
        known.forgotten += 1;
    }

    fn keep(&self, key: String, introspection: &Introspection, asked_at: SystemTime, forgotten: u64) {
        let period = if introspection.active { self.longest } else { self.inactive.min(self.longest) };
        let Some(mut until) = asked_at.checked_add(period) else { return };
        if let Some(expires_at) = introspection.expires_at().filter(|_| introspection.active) {
            until = until.min(expires_at);
        }
        let mut known = self.known();
        if until <= asked_at || self.most == 0 || known.forgotten != forgotten {
            return;
        }
        if known.answers.len() >= self.most && !known.answers.contains_key(&key) {
            known.make_room(asked_at);
        }
        known.answers.insert(key, Kept { introspection: introspection.clone(), asked_at, until });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn get(&self, key: &str, now: SystemTime) -> Option<Introspection> {
        let kept = self.answers.get(key)?;
        // What lies in the future is from before the clock was set back.
        (kept.asked_at <= now && now < kept.until).then(|| kept.introspection.clone())
    }

    /// Removes what is over, and the quarter that goes soonest if that is nothing: looking through all of it for each new one
    /// would be slow.
    fn make_room(&mut self, now: SystemTime) {
        let before = self.answers.len();
        self.answers.retain(|_, kept| kept.asked_at <= now && now < kept.until);
        if self.answers.len() < before {
            return;
        }
        let mut ends: Vec<SystemTime> = self.answers.values().map(|kept| kept.until).collect();
        ends.sort_unstable();
        let mut surplus = before / 4 + 1;
        let Some(last) = ends.get(surplus - 1).copied() else { return };
        self.answers.retain(|_, kept| {
            let goes = kept.until <= last && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

/// By whom which server was asked about which token, as a hash.
fn key(cx: &GrantContext<'_>, token: &Secret) -> String {
    let text = format!("{}\n{}\n{}", cx.server.issuer, cx.client_id, token.expose());
    create_code_challenge(&Secret::new(text))
}

impl fmt::Debug for IntrospectionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionCache")
            .field("longest", &self.longest)
            .field("inactive", &self.inactive)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
