//! One login within this process: shared by all sessions of the same account, and by the refreshes under way.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jeton_storage::{LoginKey, LoginRecord, StoredToken, TokenTarget};
use tokio::sync::Notify;

use crate::backoff::Backoff;
use crate::client::ClientInner;
use crate::event::{Event, EventKind};
use crate::slot::Slot;
use crate::{AccessToken, Error};

pub(crate) struct Login {
    pub(crate) client: Arc<ClientInner>,
    pub(crate) key: LoginKey,
    slots: Mutex<Vec<Weak<Slot>>>,
    state: Mutex<State>,
    tasks: Tasks,
}

/// What is known of the login beside its tokens. No lock on it is held across an await or while a callback runs.
#[derive(Default)]
pub(crate) struct State {
    /// When to ask the server again after failures.
    pub(crate) backoff: Option<Backoff>,
    /// A record that could not be stored: newer than what the store has.
    pub(crate) unsaved: Option<Unsaved>,
    /// Why the last save failed.
    pub(crate) persist_error: Option<Error>,
    /// Whether this process has had a token of this login: its vanishing then is a log-out elsewhere.
    pub(crate) was_signed_in: bool,
}

/// A record that could not be stored, and the generation that it replaces (`None`: there was nothing).
#[derive(Clone)]
pub(crate) struct Unsaved {
    pub(crate) record: LoginRecord,
    pub(crate) replaces: Revision,
}

/// Which state of a login the store has: creation and generation. `None`: nothing.
pub(crate) type Revision = Option<(u64, u64)>;

/// What tells one state of a stored login from another.
pub(crate) fn revision(record: &LoginRecord) -> (u64, u64) {
    (record.created_at_ms, record.generation)
}

impl Login {
    pub(crate) fn new(client: Arc<ClientInner>, key: LoginKey) -> Self {
        Self { client, key, slots: Mutex::default(), state: Mutex::default(), tasks: Tasks::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of that target, one for all sessions.
    pub(crate) fn slot(&self, target: TokenTarget) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        if let Some(slot) = slots.iter().filter_map(Weak::upgrade).find(|slot| slot.target == target) {
            return slot;
        }
        let slot = Arc::new(Slot::new(target));
        slots.push(Arc::downgrade(&slot));
        slot
    }

    /// Forgets the cached tokens of all targets.
    pub(crate) fn clear_slots(&self) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(Weak::upgrade).for_each(|slot| slot.clear());
    }

    /// A stored token as a caller gets it.
    pub(crate) fn handle(&self, stored: &StoredToken, record: &LoginRecord) -> Result<AccessToken, Error> {
        let requested = stored.target.scope.clone().or_else(|| record.scope.clone());
        AccessToken::new(stored.clone(), requested, self.client.margins)
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        self.client.emit(&Event { key: self.key.clone(), kind });
    }

    /// Counts a task that must come to its end before the last session may go.
    pub(crate) fn task(self: &Arc<Self>) -> TaskGuard {
        *self.tasks.count() += 1;
        TaskGuard(self.clone())
    }

    /// Waits until no task is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.tasks.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if *self.tasks.count() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits, blocking, until no task is under way or the time is over.
    pub(crate) fn wait_until_idle(&self, most: Duration) {
        let count = self.tasks.count();
        drop(self.tasks.condvar.wait_timeout_while(count, most, |count| *count > 0));
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("key", &self.key).finish_non_exhaustive()
    }
}

/// How many tasks are under way, waited for by threads and by futures.
#[derive(Default)]
struct Tasks {
    count: Mutex<usize>,
    condvar: Condvar,
    changed: Notify,
}

impl Tasks {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task under way; also when it panics, its end is noticed.
pub(crate) struct TaskGuard(Arc<Login>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        *self.0.tasks.count() -= 1;
        self.0.tasks.condvar.notify_all();
        self.0.tasks.changed.notify_waiters();
    }
}
