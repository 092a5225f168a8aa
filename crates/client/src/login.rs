//! One login within this process: shared by all sessions of the same account, and by the refreshes under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jeton_models::{Secret, TokenType};
use jeton_storage::{LoginKey, LoginRecord, StoredToken, TokenTarget};

use crate::backoff::{Backoff, Urgency};
use crate::binding::Binding;
use crate::client::ClientInner;
use crate::event::{Event, EventKind};
use crate::slot::Slot;
use crate::tasks::Tasks;
use crate::{AccessToken, Error};

pub(crate) struct Login {
    pub(crate) client: Arc<ClientInner>,
    pub(crate) key: LoginKey,
    slots: Mutex<Vec<Weak<Slot>>>,
    state: SharedState,
    sessions: AtomicUsize,
    tasks: Tasks,
}

/// What is known of a login beside its tokens. The client keeps it, so that a record that could not be saved, or a wait
/// that the server asked for, outlives the sessions.
pub(crate) type SharedState = Arc<Mutex<State>>;

/// What is known of the login beside its tokens. No lock on it is held across an await or while a callback runs.
#[derive(Default)]
pub(crate) struct State {
    /// When to ask the server again after failures: all of the login (`None`), or one target that the server will not have.
    backoffs: HashMap<Option<TokenTarget>, Backoff>,
    /// A record that could not be stored: newer than what the store has. Apart, for hardly any login has one.
    pub(crate) unsaved: Option<Box<Unsaved>>,
    /// Why the last save failed.
    pub(crate) persist_error: Option<Error>,
    /// Whether this process has had a token of this login: its vanishing then is a log-out elsewhere.
    pub(crate) was_signed_in: bool,
    /// Whether the last thing that happened to the login was a log-out, here or elsewhere.
    pub(crate) logged_out: bool,
    /// When tokens were replaced because a resource server rejected them, in Unix milliseconds; the newest ones.
    rejections_ms: Vec<u64>,
    /// The key of the login's tokens, as it is kept and as it signs: taken apart once, not at each load.
    #[cfg(feature = "jose")]
    binding: Option<(Secret, Binding)>,
}

/// So many rejected tokens are replaced within [`REJECTION_PERIOD_MS`]. A resource server that rejects every token, while
/// another one takes them, must not cause a refresh for each request.
const REJECTIONS: usize = 10;
const REJECTION_PERIOD_MS: u64 = 60_000;

impl State {
    /// The error to give instead of a request for that target, if it is too early for one.
    pub(crate) fn too_early(&self, target: &TokenTarget, now_ms: u64, urgency: Urgency) -> Option<Error> {
        let of_login = self.backoffs.get(&None);
        let of_target = self.backoffs.get(&Some(target.clone()));
        of_login.into_iter().chain(of_target).find_map(|backoff| backoff.too_early(now_ms, urgency))
    }

    /// Notes a failure. `target` if only requests for that target fail so; `spared_until_ms` as for [`Backoff::after`].
    pub(crate) fn back_off(
        &mut self,
        target: Option<TokenTarget>,
        error: Error,
        now_ms: u64,
        spared_until_ms: Option<u64>,
    ) {
        let backoff = Backoff::after(self.backoffs.get(&target), error, now_ms, spared_until_ms);
        self.backoffs.insert(target, backoff);
    }

    /// A request for that target worked.
    pub(crate) fn all_is_well_for(&mut self, target: &TokenTarget) {
        self.backoffs.remove(&None);
        self.backoffs.remove(&Some(target.clone()));
    }

    /// The token that expires then is dead already: no request waits any more so as not to put it at risk.
    pub(crate) fn spare_no_longer(&mut self, expires_at_ms: u64) {
        self.backoffs.values_mut().for_each(|backoff| backoff.spare_no_longer(expires_at_ms));
    }

    /// The login is another one now: what the server said of the old one does not count.
    pub(crate) fn begin_anew(&mut self) {
        self.backoffs.clear();
    }

    /// Whether one more rejected token may be replaced now, which is then counted.
    pub(crate) fn may_replace_rejected(&mut self, now_ms: u64) -> bool {
        self.rejections_ms.retain(|at_ms| is_recent(*at_ms, now_ms));
        let may = self.rejections_ms.len() < REJECTIONS;
        if may {
            self.rejections_ms.push(now_ms);
        }
        may
    }

    /// Whether there is something in it that must not be forgotten with the last session.
    pub(crate) fn is_worth_keeping(&self, now_ms: u64) -> bool {
        self.unsaved.is_some()
            || self.backoffs.values().any(|backoff| backoff.too_early(now_ms, Urgency::Ordinary).is_some())
            || self.rejections_ms.iter().any(|at_ms| is_recent(*at_ms, now_ms))
    }
}

/// Whether a rejection at that time counts now. One in the future is from before the clock was set back.
fn is_recent(at_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(at_ms).is_some_and(|age| age < REJECTION_PERIOD_MS)
}

/// A record that could not be stored, and the state of the store that it replaces.
#[derive(Clone)]
pub(crate) struct Unsaved {
    pub(crate) record: LoginRecord,
    pub(crate) replaces: Revision,
}

impl Unsaved {
    /// Whether it is newer than what is stored now: nobody wrote meanwhile, or a person has logged in anew here and what is
    /// there is still an older login.
    pub(crate) fn still_counts(&self, stored: Option<&LoginRecord>) -> bool {
        stored.map(revision) == self.replaces
            || stored.is_some_and(|stored| self.record.created_at_ms > stored.created_at_ms)
    }
}

/// What tells one state of a stored login from another.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredState {
    created_at_ms: u64,
    generation: u64,
    refresh_token: Option<Secret>,
}

/// Which state of a login the store has. `None`: nothing.
pub(crate) type Revision = Option<StoredState>;

pub(crate) fn revision(record: &LoginRecord) -> StoredState {
    StoredState {
        created_at_ms: record.created_at_ms,
        generation: record.generation,
        refresh_token: record.refresh_token.clone(),
    }
}

impl Login {
    pub(crate) fn new(client: Arc<ClientInner>, key: LoginKey, state: SharedState) -> Self {
        Self {
            client,
            key,
            slots: Mutex::default(),
            state,
            sessions: AtomicUsize::new(0),
            tasks: Tasks::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn session_begins(&self) {
        self.sessions.fetch_add(1, Ordering::AcqRel);
    }

    /// The record that this process could not save, if it is newer than what the store has now.
    pub(crate) fn unsaved_over(&self, stored: Option<&LoginRecord>) -> Option<LoginRecord> {
        let state = self.state();
        state.unsaved.as_ref().filter(|unsaved| unsaved.still_counts(stored)).map(|u| u.record.clone())
    }

    /// The same under the lease: what is stored now is final, and whatever it replaces is given up.
    pub(crate) fn settle_unsaved(&self, stored: Option<&LoginRecord>) -> Option<LoginRecord> {
        let mut state = self.state();
        if state.unsaved.as_ref().is_some_and(|unsaved| !unsaved.still_counts(stored)) {
            state.unsaved = None;
            state.persist_error = None;
        }
        state.unsaved.as_ref().map(|unsaved| unsaved.record.clone())
    }

    /// Gives back whether it was the last one.
    pub(crate) fn session_ends(&self) -> bool {
        self.sessions.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The slot of that target, one for all sessions.
    pub(crate) fn slot(&self, target: TokenTarget) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        if let Some(slot) = slots.iter().filter_map(Weak::upgrade).find(|slot| slot.target == target) {
            return slot;
        }
        let slot = Arc::new(Slot::new(target));
        // Most logins have one.
        slots.reserve_exact(1);
        slots.push(Arc::downgrade(&slot));
        slot
    }

    /// Forgets the cached tokens of all targets.
    pub(crate) fn clear_slots(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.clear());
    }

    /// Forgets that very token wherever it is cached.
    pub(crate) fn forget_token(&self, token: &Secret) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.forget(token));
    }

    /// A stored token as a caller gets it.
    pub(crate) fn handle(&self, stored: &StoredToken, record: &LoginRecord) -> Result<AccessToken, Error> {
        let requested = stored.target.scope.clone().or_else(|| record.scope.clone());
        let binding = match stored.token_type {
            TokenType::DPoP => self.kept_binding(record)?.ok_or_else(|| {
                Error::configuration(
                    "the access token is bound to a DPoP key that was not kept with it; log in again",
                )
            })?,
            _ => Binding::NONE,
        };
        AccessToken::new(stored.clone(), requested, self.client.margins, binding)
    }

    /// What the tokens of the record are bound to; `None` if to nothing.
    fn kept_binding(&self, record: &LoginRecord) -> Result<Option<Binding>, Error> {
        let kept = record.dpop_key.as_ref();
        #[cfg(feature = "jose")]
        if let (Some(kept), Some((known, binding))) = (kept, &self.state().binding)
            && kept == known
        {
            return Ok(Some(binding.clone()));
        }
        let binding = self.client.dpop.kept_binding(kept)?;
        #[cfg(feature = "jose")]
        if let (Some(kept), Some(binding)) = (kept, &binding) {
            self.state().binding = Some((kept.clone(), binding.clone()));
        }
        Ok(binding)
    }

    /// What a refresh of that record is bound to: the key that it was bound to before, or a new one where keys have been switched
    /// on since.
    pub(crate) fn binding_to_refresh(&self, record: &LoginRecord) -> Result<Binding, Error> {
        match self.kept_binding(record)? {
            Some(binding) => Ok(binding),
            None => self.client.dpop.new_binding(),
        }
    }

    /// What tokens are bound to that the client gets by itself: a key that cannot be used any more is replaced.
    pub(crate) fn binding_to_begin(&self, record: &LoginRecord) -> Result<Binding, Error> {
        match self.kept_binding(record) {
            Ok(Some(binding)) => Ok(binding),
            Ok(None) => self.client.dpop.new_binding(),
            Err(error) => {
                tracing::warn!(login = %self.key, %error, "tokens are bound to another key from now on");
                self.client.dpop.new_binding()
            }
        }
    }

    /// The record's token for that target as a caller gets it.
    pub(crate) fn handle_of(&self, record: &LoginRecord, target: &TokenTarget) -> Result<AccessToken, Error> {
        // Whoever asks has just put it there.
        let stored = record.token(target).ok_or(Error::Panicked)?;
        self.handle(stored, record)
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        self.client.emit(&Event { key: self.key.clone(), kind });
    }

    /// Counts a task that must come to its end before the last session may go.
    pub(crate) fn task(self: &Arc<Self>) -> TaskGuard {
        Tasks::begin(self)
    }

    /// Waits until no task is under way.
    pub(crate) async fn idle(&self) {
        self.tasks.idle().await;
    }

    /// Waits, blocking, until no task is under way or the time is over.
    pub(crate) fn wait_until_idle(&self, most: Duration) {
        self.tasks.wait_until_idle(most);
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("key", &self.key).finish_non_exhaustive()
    }
}

impl AsRef<Tasks> for Login {
    fn as_ref(&self) -> &Tasks {
        &self.tasks
    }
}

/// A task of the login that is under way; also when it panics, its end is noticed.
pub(crate) type TaskGuard = crate::tasks::TaskGuard<Login>;
