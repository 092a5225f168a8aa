//! The keychains of the operating systems: how each is opened, what its errors mean, what it asks of an entry.
//! Everything here blocks, and runs on the keychain's own thread only.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Error};

use crate::StoreError;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(any(
    windows,
    target_os = "macos",
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
mod none;
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
mod secret_service;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "macos")]
use macos::MacosKeychain as ThisPlatform;
#[cfg(not(any(
    windows,
    target_os = "macos",
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
use none::NoKeychain as ThisPlatform;
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
use secret_service::SecretService as ThisPlatform;
#[cfg(windows)]
use windows::CredentialManager as ThisPlatform;

/// The keychain of the operating system that this program was built for.
pub(crate) fn this_platform() -> Arc<dyn Platform> {
    Arc::new(ThisPlatform::default())
}

/// One kind of keychain.
pub(crate) trait Platform: Send + Sync + 'static {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// How many bytes a secret may have.
    fn limit(&self) -> Option<usize> {
        None
    }

    /// Opens it anew; nothing that an earlier call opened is used again.
    fn open(&self) -> Result<Arc<CredentialStore>, Error>;

    /// What goes with an entry when it is made. The label is for people.
    fn modifiers<'a>(&self, _label: &'a str) -> HashMap<&'static str, &'a str> {
        HashMap::new()
    }

    /// What to search for to find every entry of that service. More may be found.
    fn entries_of(&self, service: &str) -> HashMap<&'static str, String>;

    /// What an error means.
    fn failure(&self, error: &Error) -> Failure;

    /// Whether an error says that an entry that was found before is no longer there, besides [`Error::NoEntry`].
    fn is_gone(&self, _error: &Error) -> bool {
        false
    }

    /// Whether the keychain is there and unlocked, without asking the person for anything. Where the system does not
    /// tell, it is taken to be.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Called when an entry was not found, because a locked keychain may hide what it has. Asks the person to unlock
    /// it, if so; `true` if it was locked and is no longer, so that the entry is to be looked for again.
    fn unlocked_just_now(&self) -> Result<bool, Failure> {
        Ok(false)
    }
}

/// What went wrong in a keychain.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// For people; without secrets.
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each platform tells only some of them: Windows never says that it is locked")]
pub(crate) enum FailureKind {
    /// There is no keychain.
    Absent,
    /// It is locked.
    Locked,
    /// The connection to it may be of no use any more: to be tried again over a new one.
    Broken,
    /// It said no.
    Refused,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    /// What the errors mean that are the same on every platform; `None` for those of the platform itself.
    ///
    /// The text never comes from an error as a whole: some carry the bytes of the secret.
    pub(crate) fn common(error: &Error) -> Option<Self> {
        let what = match error {
            Error::PlatformFailure(_) | Error::NoStorageAccess(_) => return None,
            Error::NoEntry => "there is no such entry".to_owned(),
            Error::TooLong(what, limit) => {
                format!("the {what} is longer than the {limit} bytes that it takes")
            }
            Error::Invalid(what, why) => format!("it does not take the {what}: {why}"),
            Error::Ambiguous(entries) => format!(
                "it has {} entries of the same name, in different collections: look at them in the keychain's own \
                 program and remove all but the newest",
                entries.len()
            ),
            Error::BadEncoding(_) | Error::BadDataFormat(..) => {
                "the entry is not in the form in which it was written".to_owned()
            }
            Error::BadStoreFormat(why) | Error::NotSupportedByStore(why) => why.clone(),
            _ => "it gave an error that this version of jeton does not know; update this program".to_owned(),
        };
        Some(Self::new(FailureKind::Refused, what))
    }

    pub(crate) fn into_error(self, operation: &'static str) -> StoreError {
        let Self { kind, what } = self;
        match kind {
            FailureKind::Absent => StoreError::NoKeychain { what },
            FailureKind::Locked => StoreError::Locked { what },
            FailureKind::Broken | FailureKind::Refused => StoreError::Keychain { operation, what },
        }
    }
}
