//! One access token of a login within this process: the cached token, and the one refresh under way.

use std::sync::{Arc, PoisonError};

use jeton_models::Secret;
use jeton_storage::TokenTarget;

use crate::sync::{Mutex, MutexGuard, TokenCell, watch};
use crate::{AccessToken, CachedToken, Error};

/// How far a flight is.
#[derive(Clone)]
pub(crate) enum Flying {
    /// Under way.
    Begun,
    /// Under way for so long that nobody waits for it who can do without.
    Late,
    /// What it came to.
    Landed(Result<AccessToken, Error>),
}

pub(crate) struct Slot {
    pub(crate) target: TokenTarget,
    cached: TokenCell,
    /// Counts the changes of `cached`, which are made under this lock; reading takes none.
    changes: Mutex<u64>,
    flight: Mutex<Option<watch::Receiver<Flying>>>,
}

impl Slot {
    pub(crate) fn new(target: TokenTarget) -> Self {
        Self { target, cached: TokenCell::empty(), changes: Mutex::new(0), flight: Mutex::new(None) }
    }

    /// The token as this process knows it. Takes no lock.
    pub(crate) fn cached(&self) -> Option<AccessToken> {
        self.cached_ref().map(|token| token.clone())
    }

    /// The same, borrowed: not even a counter is touched that others touch.
    #[inline(always)]
    pub(crate) fn cached_ref(&self) -> Option<CachedToken<'_>> {
        CachedToken::new(self.cached.load())
    }

    pub(crate) fn publish(&self, token: &AccessToken) {
        self.change(Some(token));
    }

    pub(crate) fn clear(&self) {
        self.change(None);
    }

    /// Forgets that very token. Whoever has just read it from the store does not put it back.
    pub(crate) fn forget(&self, token: &Secret) {
        let mut changes = self.changes();
        *changes += 1;
        if self.cached_ref().is_some_and(|cached| cached.secret() == token) {
            self.cached.store(None);
        }
    }

    fn change(&self, token: Option<&AccessToken>) {
        let mut changes = self.changes();
        *changes += 1;
        self.cached.store(token.cloned().map(Arc::new));
    }

    /// How often the cache changed so far, to be asked before a read whose result goes to [`publish_unless_changed`].
    ///
    /// [`publish_unless_changed`]: Self::publish_unless_changed
    pub(crate) fn change_count(&self) -> u64 {
        *self.changes()
    }

    /// Publishes a token that was read without the lease, unless anything was published or cleared since the count was
    /// `before`: what was read may be older than that, and a login that was left meanwhile must not come back.
    pub(crate) fn publish_unless_changed(&self, before: u64, token: &AccessToken) -> bool {
        let mut changes = self.changes();
        if *changes != before {
            return false;
        }
        *changes += 1;
        self.cached.store(Some(Arc::new(token.clone())));
        true
    }

    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight under way, or has `start` begin one.
    ///
    /// `settled` looks at the cache once more under the lock: a flight publishes before it lands, so whoever comes just
    /// after a landing finds the token there and starts nothing. It must neither wait nor call anything that the program
    /// brought.
    pub(crate) fn join_or_start(
        self: &Arc<Self>,
        settled: impl FnOnce() -> Option<AccessToken>,
        start: impl FnOnce(Flight),
    ) -> Joined {
        let mut flight = self.flight();
        if let Some(under_way) = &*flight {
            return Joined::Flight { flight: under_way.clone(), started: false };
        }
        if let Some(token) = settled() {
            return Joined::Settled(token);
        }
        let (sender, begun) = watch::channel(Flying::Begun);
        *flight = Some(begun.clone());
        // A flight that is dropped at once frees the slot, which takes the lock.
        drop(flight);
        start(Flight { slot: self.clone(), sender });
        Joined::Flight { flight: begun, started: true }
    }

    /// Ends the flight. After this a new one can start.
    fn land(&self) {
        *self.flight() = None;
    }

    fn flight(&self) -> MutexGuard<'_, Option<watch::Receiver<Flying>>> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight in the hands of whoever flies it. However it ends, also by a panic, the slot is free again and the waiters hear
/// of it.
pub(crate) struct Flight {
    slot: Arc<Slot>,
    sender: watch::Sender<Flying>,
}

impl Flight {
    /// From here on nobody waits who can do without.
    pub(crate) fn is_late(&self) {
        self.sender.send_replace(Flying::Late);
    }

    /// Ends the flight with what it came to. A new token is published already.
    pub(crate) fn land(self, result: Result<AccessToken, Error>) {
        // Whoever hears of this landing and needs more must find the slot free.
        self.slot.land();
        self.sender.send_replace(Flying::Landed(result));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !matches!(*self.sender.borrow(), Flying::Landed(_)) {
            self.slot.land();
        }
    }
}

pub(crate) enum Joined {
    /// The token is there already.
    Settled(AccessToken),
    /// A refresh is under way; whether this very caller started it.
    Flight { flight: watch::Receiver<Flying>, started: bool },
}

/// Waits for a flight to land. If it is late, whoever has something `instead` takes that.
pub(crate) async fn landed_or(
    mut flight: watch::Receiver<Flying>,
    instead: impl Fn() -> Option<AccessToken>,
) -> Result<AccessToken, Error> {
    let far_enough = |flying: &Flying| !matches!(flying, Flying::Begun);
    let flying = flight.wait_for(far_enough).await.map(|flying| flying.clone());
    if matches!(flying, Ok(Flying::Late))
        && let Some(token) = instead()
    {
        return Ok(token);
    }
    match flight.wait_for(|flying| matches!(flying, Flying::Landed(_))).await.as_deref() {
        Ok(Flying::Landed(result)) => result.clone(),
        // The sender went away without a word: its task panicked.
        _ => Err(Error::Panicked),
    }
}

#[cfg(all(test, jeton_loom))]
mod model;
