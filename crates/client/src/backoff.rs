//! When to ask the server again after a failure: exponential with jitter, and `Retry-After` is honoured.

use std::time::Duration;

use jeton_grants::Recovery;
use rand::TryRng;

use crate::Error;
use crate::access_token::millis;

/// The longest wait after the first failure; doubled at each further one.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait at all.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest `Retry-After` that is believed: an hour.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A failed try and when the next one is due.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    began_ms: u64,
    until_ms: u64,
    /// Before this a try could do harm, as long as there is a living token to spare.
    spared_until_ms: u64,
    /// Until when the server itself asked to be left alone, so that not even an explicit refresh comes earlier.
    asked_until_ms: u64,
    error: Error,
}

impl Backoff {
    /// After a failure at `now_ms`, given the one before it. `spared_until_ms` is a time before which a try could cost the
    /// token that still lives.
    pub(crate) fn after(
        before: Option<&Self>,
        error: Error,
        now_ms: u64,
        spared_until_ms: Option<u64>,
    ) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let most = FIRST.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST);
        let after = |wait| now_ms.saturating_add(millis(wait));
        let asked_until_ms = asked_wait(&error.recovery()).map_or(0, after);
        // Jittered, so that processes that failed together do not come back together.
        let until_ms = after(jittered(most)).max(asked_until_ms);
        let spared_until_ms = spared_until_ms.unwrap_or(0);
        Self { failures, began_ms: now_ms, until_ms, spared_until_ms, asked_until_ms, error }
    }

    /// The token that expires then, if that is the one to spare, is dead already.
    pub(crate) fn spare_no_longer(&mut self, expires_at_ms: u64) {
        if self.spared_until_ms == expires_at_ms {
            self.spared_until_ms = 0;
        }
    }

    /// The error to give instead of a try, if it is too early for one.
    pub(crate) fn too_early(&self, now_ms: u64, urgency: Urgency) -> Option<Error> {
        let until_ms = match urgency {
            Urgency::Ordinary => self.until_ms.max(self.spared_until_ms),
            Urgency::NothingToSpare => self.until_ms,
            Urgency::Explicit => self.asked_until_ms,
        };
        // A clock that was set back must not make the wait longer.
        if !(self.began_ms..until_ms).contains(&now_ms) {
            return None;
        }
        let after = Duration::from_millis(until_ms - now_ms);
        Some(Error::BackingOff { after, last: Box::new(self.error.clone()) })
    }
}

/// How much a caller may risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Waits for all reasons.
    Ordinary,
    /// The token that was to be spared is dead: a resource server rejected it.
    NothingToSpare,
    /// A person or program asked for a try in so many words. Only the server can say no.
    Explicit,
}

/// How long the server wants to be left alone (`Retry-After`), as far as that is believed.
pub(crate) fn asked_wait(recovery: &Recovery) -> Option<Duration> {
    match recovery {
        Recovery::Retry { after: Some(after) } => Some((*after).min(LONGEST_RETRY_AFTER)),
        _ => None,
    }
}

/// From half to all of it.
pub(crate) fn jittered(most: Duration) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(most / 2 + random_up_to(most / 2))
}

/// A number from 0 to `most`, for spreading tries over time. If the system has no random numbers there is no spread.
pub(crate) fn random_up_to(most: u64) -> u64 {
    let random = rand::rngs::SysRng.try_next_u64().unwrap_or(0);
    // The bias of the remainder does not matter here.
    random % most.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Error {
        Error::configuration("down")
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::after(None, failing(), 0, None);
        assert!((500..=1_000).contains(&backoff.until_ms));
        for _ in 0..20 {
            backoff = Backoff::after(Some(&backoff), failing(), 0, None);
        }
        assert!((30_000..=60_000).contains(&backoff.until_ms));
    }

    #[test]
    fn an_explicit_refresh_does_not_wait_unless_the_server_named_the_time() {
        let backoff = Backoff::after(None, failing(), 1_000, Some(5_000));
        assert!(matches!(backoff.too_early(1_001, Urgency::Ordinary), Some(Error::BackingOff { .. })));
        assert!(backoff.too_early(1_001, Urgency::Explicit).is_none());
        assert!(backoff.too_early(5_000, Urgency::Ordinary).is_none());
        assert!(backoff.too_early(999, Urgency::Ordinary).is_none(), "the clock was set back");
    }

    #[test]
    fn what_there_is_no_more_to_spare_is_not_waited_for() {
        let backoff = Backoff::after(None, failing(), 1_000, Some(5_000));
        assert!(backoff.too_early(4_999, Urgency::Ordinary).is_some());
        assert!(backoff.too_early(1_001, Urgency::NothingToSpare).is_some(), "the ordinary wait");
        assert!(backoff.too_early(2_001, Urgency::NothingToSpare).is_none());
    }
}
