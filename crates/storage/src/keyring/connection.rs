//! What is done with entries of the keychain: found, read, written, removed. A connection that has become useless (the
//! daemon was restarted) is made anew, once for each call. Blocks; lives on the keychain's own thread.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

use super::platform::{Failure, FailureKind, Platform};
use crate::StoreError;

/// A keychain, opened when it is first needed.
pub(crate) struct Connection {
    platform: Arc<dyn Platform>,
    store: Option<Arc<CredentialStore>>,
}

/// An entry by its names. The label is for people, and only used when the entry is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryName<'a> {
    pub(crate) service: &'a str,
    pub(crate) user: &'a str,
    pub(crate) label: &'a str,
}

impl Connection {
    pub(crate) fn new(platform: Arc<dyn Platform>) -> Self {
        Self { platform, store: None }
    }

    /// How many bytes a secret may have.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.platform.limit()
    }

    /// Whether the keychain could be used now; asks the person for nothing.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.platform.check().map_err(|failure| failure.into_error("say whether it is unlocked"))?;
        // Opens it, which is all that can be tried without asking somebody.
        self.attempt("be opened", |_| Ok(())).map(drop)
    }

    /// The secret of an entry; `None` if there is no such entry, for sure.
    pub(crate) fn get(&mut self, name: EntryName<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let found = self.read(name)?;
        if !found.as_ref().is_some_and(|secret| secret.is_empty()) {
            return Ok(found);
        }
        // KWallet has been seen to give nothing for a secret that it could not get at. It is not taken for the secret.
        self.store = None;
        match self.read(name)? {
            Some(secret) if secret.is_empty() => Err(StoreError::Damaged {
                what: format!("the entry {:?} of {:?} in the keychain is empty", name.user, name.service),
                set_aside: None,
            }),
            found => Ok(found),
        }
    }

    fn read(&mut self, name: EntryName<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let operation = "read an entry";
        let get = |entry: &Entry| entry.get_secret().map(Zeroizing::new);
        match self.with_entry(operation, name, get)? {
            None if self.unlocked_just_now(operation)? => self.with_entry(operation, name, get),
            found => Ok(found),
        }
    }

    /// Makes the entry, or replaces its secret.
    pub(crate) fn set(&mut self, name: EntryName<'_>, secret: &[u8]) -> Result<(), StoreError> {
        let operation = "write an entry";
        match self.with_entry(operation, name, |entry| entry.set_secret(secret))? {
            Some(()) => Ok(()),
            None => Err(StoreError::Keychain {
                operation,
                what: "the entry vanished while it was written; try again".to_owned(),
            }),
        }
    }

    /// Removes the entry; whether there was one.
    pub(crate) fn remove(&mut self, name: EntryName<'_>) -> Result<bool, StoreError> {
        let operation = "remove an entry";
        let remove = |entry: &Entry| entry.delete_credential();
        let removed = match self.with_entry(operation, name, remove)? {
            None if self.unlocked_just_now(operation)? => self.with_entry(operation, name, remove)?,
            removed => removed,
        };
        Ok(removed.is_some())
    }

    /// The users of the service's entries, in alphabetical order.
    pub(crate) fn users(&mut self, service: &str) -> Result<BTreeSet<String>, StoreError> {
        let operation = "list its entries";
        let spec = self.platform.entries_of(service);
        let spec: HashMap<&str, &str> = spec.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let platform = Arc::clone(&self.platform);
        let search = |store: &CredentialStore| {
            let mut users = BTreeSet::new();
            for entry in store.search(&spec)? {
                match entry.get_specifiers() {
                    Some((of, user)) if of == service => drop(users.insert(user)),
                    Some(_) => {}
                    // Of another kind, or it could not be looked at, which only its attributes tell: a connection that
                    // broke is no keychain without logins.
                    None => match entry.get_attributes() {
                        // Removed since it was found.
                        Ok(_) | Err(Error::NoEntry) => {}
                        Err(error) if platform.is_gone(&error) => {}
                        Err(error) => return Err(error),
                    },
                }
            }
            Ok(users)
        };
        let found = self.attempt(operation, search)?.unwrap_or_default();
        if found.is_empty() && self.unlocked_just_now(operation)? {
            return Ok(self.attempt(operation, search)?.unwrap_or_default());
        }
        Ok(found)
    }

    fn unlocked_just_now(&self, operation: &'static str) -> Result<bool, StoreError> {
        self.platform.unlocked_just_now().map_err(|failure| failure.into_error(operation))
    }

    fn with_entry<T>(
        &mut self,
        operation: &'static str,
        name: EntryName<'_>,
        call: impl Fn(&Entry) -> Result<T, Error>,
    ) -> Result<Option<T>, StoreError> {
        let platform = Arc::clone(&self.platform);
        let modifiers = platform.modifiers(name.label);
        self.attempt(operation, |store| call(&store.build(name.service, name.user, Some(&modifiers))?))
    }

    /// Makes the call, and once more over a new connection if that failed as a useless connection would. Calls may
    /// therefore happen twice, which changes nothing: writing the same again, or removing what is gone.
    fn attempt<T>(
        &mut self,
        operation: &'static str,
        call: impl Fn(&CredentialStore) -> Result<T, Error>,
    ) -> Result<Option<T>, StoreError> {
        if let Some(store) = self.store.clone() {
            match self.judged(call(&*store)) {
                Err(failure) if matches!(failure.kind, FailureKind::Absent | FailureKind::Broken) => {
                    tracing::debug!(
                        operation,
                        what = failure.what,
                        "a new connection to the keychain is made"
                    );
                }
                result => return result.map_err(|failure| failure.into_error(operation)),
            }
        }
        self.store = None;
        let opened = self.platform.open().map_err(|error| self.platform.failure(&error));
        let store = opened.map_err(|failure| failure.into_error(operation))?;
        let result = self.judged(call(&*store));
        if !matches!(&result, Err(failure) if failure.kind == FailureKind::Broken) {
            self.store = Some(store);
        }
        result.map_err(|failure| failure.into_error(operation))
    }

    fn judged<T>(&self, result: Result<T, Error>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(self.platform.failure(&error)),
        }
    }
}
