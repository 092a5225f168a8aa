//! A keychain in memory for tests, with whatever faults a keychain can have. Clones are the same keychain, opened by
//! other processes.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, CredentialStore, Entry, Error, Result};

use super::platform::{Failure, FailureKind, Platform};

/// Windows' limit.
pub(crate) const SMALL: usize = 2_560;

#[derive(Clone, Default)]
pub(crate) struct FakeKeychain {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) limit: Option<usize>,
    pub(crate) entries: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) labels: BTreeMap<(String, String), String>,
    /// Calls that read, write or remove an entry.
    pub(crate) calls: u64,
    /// From this call on each one fails, before it does anything, as if the process had died there.
    pub(crate) dead_from: Option<u64>,
    pub(crate) absent: bool,
    pub(crate) locked: bool,
    /// A locked one says that it has nothing, as KeePassXC does, and asks nobody.
    pub(crate) hides_when_locked: bool,
    pub(crate) read_only: bool,
    /// Secrets are given as no bytes.
    pub(crate) gives_nothing: bool,
    /// Each call waits until this is false.
    pub(crate) hangs: bool,
    /// Calls that are waiting.
    pub(crate) waiting: usize,
    /// Connections of older sessions are of no use.
    pub(crate) session: u64,
    /// It is restarted when the next listing looks at what it found.
    pub(crate) restarts_in_listing: bool,
    pub(crate) opened: u64,
    /// What the person does who is asked to unlock it.
    pub(crate) person_unlocks: bool,
    pub(crate) asked: u64,
    pub(crate) panics: bool,
}

impl FakeKeychain {
    pub(crate) fn with_limit(limit: Option<usize>) -> Self {
        let keychain = Self::default();
        keychain.state().limit = limit;
        keychain
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Changes something, and wakes whoever waits for it.
    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.moved.notify_all();
    }

    /// Waits until that many calls hang.
    pub(crate) fn wait_for_hanging(&self, calls: usize) {
        let mut state = self.state();
        while state.waiting != calls {
            state = self.shared.moved.wait(state).unwrap();
        }
    }

    /// The users of the entries.
    pub(crate) fn users(&self) -> Vec<String> {
        self.state().entries.keys().map(|(_, user)| user.clone()).collect()
    }
}

#[cfg(feature = "sealed")]
impl FakeKeychain {
    /// A store over this keychain, and its single entries.
    pub(crate) fn open_store(
        &self,
        builder: super::KeyringStoreBuilder,
    ) -> std::result::Result<(super::KeyringStore, super::keychain::Keychain), crate::StoreError> {
        let worker = super::worker::Worker::new(Arc::new(self.clone()));
        let store = builder.over(Arc::clone(&worker))?;
        let service = super::service::ServiceName::new(store.service())?;
        Ok((store, super::keychain::Keychain::over(worker, service)))
    }
}

impl Platform for FakeKeychain {
    fn name(&self) -> &'static str {
        "fake keychain"
    }

    fn limit(&self) -> Option<usize> {
        self.state().limit
    }

    fn open(&self) -> Result<Arc<CredentialStore>> {
        let mut state = self.state();
        if state.absent {
            return Err(Error::NoStorageAccess("absent".into()));
        }
        state.opened += 1;
        Ok(Arc::new(FakeStore { shared: Arc::clone(&self.shared), session: state.session }))
    }

    fn modifiers<'a>(&self, label: &'a str) -> HashMap<&'static str, &'a str> {
        HashMap::from([("label", label)])
    }

    fn entries_of(&self, service: &str) -> HashMap<&'static str, String> {
        HashMap::from([("service", service.to_owned())])
    }

    fn failure(&self, error: &Error) -> Failure {
        let Error::NoStorageAccess(cause) = error else {
            return Failure::common(error).unwrap_or_else(|| Failure::new(FailureKind::Refused, "unknown"));
        };
        let what = cause.to_string();
        let kind = match what.as_str() {
            "absent" => FailureKind::Absent,
            "locked" => FailureKind::Locked,
            "no such session" => FailureKind::Broken,
            _ => FailureKind::Refused,
        };
        Failure::new(kind, what)
    }

    fn check(&self) -> std::result::Result<(), Failure> {
        let state = self.state();
        if state.absent {
            return Err(Failure::new(FailureKind::Absent, "absent"));
        }
        if state.locked {
            return Err(Failure::new(FailureKind::Locked, "locked"));
        }
        Ok(())
    }

    fn unlocked_just_now(&self) -> std::result::Result<bool, Failure> {
        let mut state = self.state();
        if !state.locked {
            return Ok(false);
        }
        state.asked += 1;
        if !state.person_unlocks {
            return Err(Failure::new(FailureKind::Locked, "locked"));
        }
        state.locked = false;
        Ok(true)
    }
}

struct FakeStore {
    shared: Arc<Shared>,
    session: u64,
}

struct FakeEntry {
    store: Arc<Shared>,
    session: u64,
    name: (String, String),
    label: String,
}

impl CredentialStoreApi for FakeStore {
    fn vendor(&self) -> String {
        "jeton's tests".to_owned()
    }

    fn id(&self) -> String {
        self.session.to_string()
    }

    fn build(&self, service: &str, user: &str, modifiers: Option<&HashMap<&str, &str>>) -> Result<Entry> {
        let label = modifiers.and_then(|modifiers| modifiers.get("label")).copied().unwrap_or_default();
        Ok(Entry::new_with_credential(Arc::new(FakeEntry {
            store: Arc::clone(&self.shared),
            session: self.session,
            name: (service.to_owned(), user.to_owned()),
            label: label.to_owned(),
        })))
    }

    fn search(&self, spec: &HashMap<&str, &str>) -> Result<Vec<Entry>> {
        let names: Vec<_> = self.shared.enter(self.session)?.entries.keys().cloned().collect();
        let of_service =
            names.into_iter().filter(|(service, _)| spec.get("service") == Some(&service.as_str()));
        of_service.map(|(service, user)| self.build(&service, &user, None)).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeStore")
    }
}

impl Shared {
    /// Counts a call, and fails it as the state says.
    fn enter(&self, session: u64) -> Result<MutexGuard<'_, State>> {
        let no_access = |what: &str| Err(Error::NoStorageAccess(what.into()));
        let mut state = self.state.lock().unwrap();
        if state.hangs {
            state.waiting += 1;
            self.moved.notify_all();
            while state.hangs {
                state = self.moved.wait(state).unwrap();
            }
            state.waiting -= 1;
            self.moved.notify_all();
        }
        state.calls += 1;
        if state.panics {
            drop(state);
            panic!("a panic of the keychain's own");
        }
        if state.dead_from.is_some_and(|from| state.calls >= from) {
            return no_access("dead");
        }
        if state.absent {
            return no_access("absent");
        }
        if session != state.session {
            return no_access("no such session");
        }
        if state.locked && !state.hides_when_locked {
            return no_access("locked");
        }
        Ok(state)
    }
}

impl FakeEntry {
    fn enter(&self) -> Result<MutexGuard<'_, State>> {
        self.store.enter(self.session)
    }

    fn enter_to_write(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.enter()?;
        if state.read_only {
            return Err(Error::NoStorageAccess("read-only".into()));
        }
        Ok(state)
    }
}

impl CredentialApi for FakeEntry {
    fn set_secret(&self, secret: &[u8]) -> Result<()> {
        let mut state = self.enter_to_write()?;
        if let Some(limit) = state.limit
            && secret.len() > limit
        {
            return Err(Error::TooLong("secret".to_owned(), limit as u32));
        }
        // KWallet takes nothing else.
        assert!(std::str::from_utf8(secret).is_ok(), "not UTF-8");
        state.entries.insert(self.name.clone(), secret.to_vec());
        state.labels.entry(self.name.clone()).or_insert_with(|| self.label.clone());
        Ok(())
    }

    fn get_secret(&self) -> Result<Vec<u8>> {
        let state = self.enter()?;
        if state.locked {
            return Err(Error::NoEntry);
        }
        match state.entries.get(&self.name) {
            Some(_) if state.gives_nothing => Ok(Vec::new()),
            Some(secret) => Ok(secret.clone()),
            None => Err(Error::NoEntry),
        }
    }

    fn delete_credential(&self) -> Result<()> {
        let mut state = self.enter_to_write()?;
        state.labels.remove(&self.name);
        state.entries.remove(&self.name).map(drop).ok_or(Error::NoEntry)
    }

    fn get_credential(&self) -> Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        let mut state = self.store.state.lock().unwrap();
        if std::mem::take(&mut state.restarts_in_listing) {
            state.session += 1;
        }
        (self.session == state.session).then(|| self.name.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeEntry")
    }
}
