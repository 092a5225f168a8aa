//! One access token of a login within this process: the cached token, and the one refresh under way.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jeton_storage::TokenTarget;
use tokio::sync::watch;

use crate::access_token::Inner;
use crate::{AccessToken, Error};

/// What a flight came to. `None` while it is under way.
pub(crate) type Landing = Option<Result<AccessToken, Error>>;

pub(crate) struct Slot {
    pub(crate) target: TokenTarget,
    cached: ArcSwapOption<Inner>,
    flight: Mutex<Option<watch::Receiver<Landing>>>,
}

impl Slot {
    pub(crate) fn new(target: TokenTarget) -> Self {
        Self { target, cached: ArcSwapOption::empty(), flight: Mutex::new(None) }
    }

    /// The token as this process knows it. Takes no lock.
    pub(crate) fn cached(&self) -> Option<AccessToken> {
        self.cached.load_full().map(AccessToken)
    }

    pub(crate) fn publish(&self, token: &AccessToken) {
        self.cached.store(Some(token.0.clone()));
    }

    /// Publishes a token that was read without the lease: only if nothing else was published since `before`.
    /// Gives back what stands there now.
    pub(crate) fn publish_over(&self, before: Option<&AccessToken>, token: AccessToken) -> AccessToken {
        let before = before.map(|before| before.0.clone());
        let found = self.cached.compare_and_swap(&before, Some(token.0.clone()));
        let unchanged = match (&*found, &before) {
            (Some(found), Some(before)) => Arc::ptr_eq(found, before),
            (None, None) => true,
            _ => false,
        };
        match &*found {
            Some(newer) if !unchanged => AccessToken(newer.clone()),
            _ => token,
        }
    }

    pub(crate) fn clear(&self) {
        self.cached.store(None);
    }

    /// Joins the flight under way, or has `start` begin one.
    ///
    /// `settled` looks at the cache once more under the lock: a flight publishes before it lands, so whoever comes just
    /// after a landing finds the token there and starts nothing.
    pub(crate) fn join_or_start(
        &self,
        settled: impl FnOnce() -> Option<AccessToken>,
        start: impl FnOnce(watch::Sender<Landing>),
    ) -> Joined {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = &*flight {
            return Joined::Flight { landing: under_way.clone(), started: false };
        }
        if let Some(token) = settled() {
            return Joined::Settled(token);
        }
        let (sender, landing) = watch::channel(None);
        *flight = Some(landing.clone());
        start(sender);
        Joined::Flight { landing, started: true }
    }

    /// Ends the flight. After this a new one can start.
    pub(crate) fn land(&self) {
        *self.flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

pub(crate) enum Joined {
    /// The token is there already.
    Settled(AccessToken),
    /// A refresh is under way; whether this very caller started it.
    Flight { landing: watch::Receiver<Landing>, started: bool },
}

/// Waits for a flight.
pub(crate) async fn landed(mut landing: watch::Receiver<Landing>) -> Result<AccessToken, Error> {
    match landing.wait_for(Option::is_some).await {
        Ok(landing) => landing.clone().unwrap_or(Err(Error::Panicked)),
        // The sender went away without a word: its task panicked.
        Err(_) => Err(Error::Panicked),
    }
}
