//! What can go wrong with a store, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::key::LoginKey;
use crate::record::RecordError;
use crate::time::{readable, unix_ms};

/// Why a store could not do what was asked. Each message says what to do; none shows a secret.
///
/// None of them means "there is no login": that is `Ok(None)`, and only that. Whoever gets an error must not begin
/// a new login over it unasked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else held the lease until the deadline.
    #[error(
        "the login is in use by {}; gave up after {:.1} s: try again, or end that program if it hangs",
        holder.as_ref().map_or_else(|| "another task or program".to_owned(), ToString::to_string),
        waited.as_secs_f64()
    )]
    LeaseTimeout {
        /// How long it was waited for.
        waited: Duration,
        /// Who holds it, where the store knows.
        holder: Option<Holder>,
    },

    /// What is stored is not a login any more: cut off, empty, or not of that shape. The evidence is kept.
    #[error(
        "the stored login is damaged ({what}){}: log in again, which replaces it and keeps the damaged data under another name",
        set_aside.as_ref().map(|path| format!("; it was set aside as {}", path.display())).unwrap_or_default()
    )]
    Damaged {
        /// What is wrong with it, and where.
        what: String,
        /// Where the damaged data is now, if it was moved away.
        set_aside: Option<PathBuf>,
    },

    /// The login was written by a later version of jeton, or by another kind of store. It is left alone.
    #[error(
        "the login in {place} was written by a newer jeton ({found}), and this one can neither read nor replace it: \
         update this program, or log in under another account"
    )]
    NewerFormat {
        /// Where it is kept.
        place: String,
        /// What was found that this version does not understand.
        found: String,
    },

    /// The place of one login holds another one, or a record was saved under a lease that is not its own.
    #[error(
        "{place} is not the place of {found}: restore the file or entry under its own name, or \
         remove it; a program that saves must take the lease of the record's own key"
    )]
    WrongKey {
        /// The place, or the key whose place it is.
        place: String,
        /// The key that the record names.
        found: Box<LoginKey>,
    },

    /// What is stored is sealed (encrypted), and not with a key that this store has. It stays as it is: no new login and no
    /// log-out replaces it.
    #[error(
        "{place} is sealed with another key than this store was given ({what}): open it with the right key or passphrase; \
         nothing was changed"
    )]
    WrongSealingKey {
        /// The file.
        place: String,
        /// What is known of the right key.
        what: String,
    },

    /// The key that logins are sealed with is not where it was kept. They stay as they are.
    #[error(
        "the key that the logins in {} are sealed with is lost: {what}. Restore that from a backup; or move the folder \
         away and log in again", folder.display()
    )]
    SealingKeyLost {
        /// Where the sealed logins are.
        folder: PathBuf,
        /// What is missing.
        what: String,
    },

    /// A sealed login, or a file of sealed keys, is not what was sealed there. It stays as it is: no new login and no
    /// log-out replaces it.
    #[error(
        "{place} does not open: {what}. It was left as it is: restore it from a backup, or move it away and log in again"
    )]
    SealBroken {
        /// The file or entry.
        place: String,
        /// What is wrong with it.
        what: String,
    },

    /// A store of sealed logins met one that is not. It was left alone.
    #[error(
        "the login in {place} is not encrypted, and this store keeps encrypted ones only: move it with `transfer` from a \
         plain file store to a sealed one in another folder, or open it with the plain file store"
    )]
    NotSealed {
        /// The file.
        place: String,
    },

    /// Others than the owner may read or write what only the owner should; nothing was read.
    #[error("{} can be accessed by other users (mode {mode:03o}), so nothing was read: {mend}", path.display())]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The command that mends it.
        mend: String,
    },

    /// A symbolic link stands where a file or folder of the store should; it was not followed.
    #[error(
        "{} is a symbolic link, which the store does not follow: name the folder that it points to, or remove the link",
        path.display()
    )]
    Symlink {
        /// The link.
        path: PathBuf,
    },

    /// The file or folder belongs to another user; nothing was read.
    #[error(
        "{} belongs to another user (uid {owner}, and this program runs as uid {user}), so nothing was read: run as \
         that user (sudo is a usual reason), choose another folder, or `chown {user} {}`",
        path.display(),
        path.display()
    )]
    NotOwner {
        /// The file or folder.
        path: PathBuf,
        /// The user id that it belongs to.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },

    /// No room on the disk, or in the user's quota. What was stored before is still there.
    #[error("no room to keep the login at {}: free some space and try again; what was stored is untouched", path.display())]
    NoSpace {
        /// What could not be written.
        path: PathBuf,
        /// The operating system's error.
        source: Arc<io::Error>,
    },

    /// The operating system refused.
    #[error("could not {operation} {}: {source}; mend that, or keep logins in another place", path.display())]
    Io {
        /// What was tried, as a verb: `open`, `sync`, ...
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's error.
        source: Arc<io::Error>,
    },

    /// There is no keychain: none on this platform, none running in this session, none for this kind of log-on. Nothing
    /// can have been kept there by a program that met the same.
    #[error("there is no keychain to use: {what}")]
    NoKeychain {
        /// What is missing, and what to do.
        what: String,
    },

    /// The keychain is locked, and was not unlocked when it asked.
    #[error("the keychain is locked: {what}")]
    Locked {
        /// Why it stayed locked, and what to do.
        what: String,
    },

    /// The keychain did not answer in time. Whether it still will is not known.
    #[error(
        "the keychain gave no answer to `{operation}` within {:.1} s: {}",
        waited.as_secs_f64(),
        if *pending {
            "it may be asking for a password in a window; answer that, or restart it. What was asked may still happen, \
             and a write keeps the lease until it has ended"
        } else {
            "an earlier call is still waiting for it, and this one was not begun; answer the window in which it may be \
             asking for a password, or restart it"
        }
    )]
    TimedOut {
        /// What was tried, as a verb.
        operation: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// Whether it was begun and may still happen. If not, it never will.
        pending: bool,
    },

    /// The keychain refused, or failed.
    #[error("the keychain could not {operation}: {what}")]
    Keychain {
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the keychain said, and what to do.
        what: String,
    },

    /// The store cannot be used at all: no place for it, no locks there, a runtime that is shutting down.
    #[error("the store cannot be used: {what}")]
    Unavailable {
        /// Why, and what to do.
        what: String,
    },

    /// An error of a store that is not jeton's own.
    #[error("{0}")]
    Other(#[source] Arc<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Wraps the error of one's own store. Its `Display` must say what to do and show no secret.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(Arc::from(error.into()))
    }

    /// Wraps an error of the operating system; a full disk becomes [`StoreError::NoSpace`].
    ///
    /// `operation` is a verb that fits into "could not {operation} {path}".
    pub fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, source: Arc::new(source) }
            }
            _ => Self::Io { operation, path, source: Arc::new(source) },
        }
    }

    /// What an unreadable record is to a store; `place` says where it is kept.
    pub fn from_record(error: RecordError, place: impl fmt::Display) -> Self {
        match error {
            RecordError::Damaged { what } => {
                Self::Damaged { what: format!("{place}: {what}"), set_aside: None }
            }
            RecordError::NewerFormat { found } => Self::NewerFormat { place: place.to_string(), found },
            RecordError::WrongKey { found, .. } => Self::WrongKey { place: place.to_string(), found },
        }
    }

    /// Whether the same call may well succeed a little later, with nothing mended by a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LeaseTimeout { .. } | Self::NoSpace { .. } | Self::TimedOut { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::Interrupted
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::ResourceBusy
                    | io::ErrorKind::OutOfMemory
                    | io::ErrorKind::StaleNetworkFileHandle
            ),
            _ => false,
        }
    }
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it took the lease, in milliseconds since 1970 (Unix time).
    pub since_ms: u64,
    /// The name of its executable, without the path.
    pub program: String,
}

impl Holder {
    /// This process, holding since `since`.
    pub fn this_process(since: SystemTime) -> Self {
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(std::path::Path::file_name);
        Self {
            pid: std::process::id(),
            since_ms: unix_ms(since),
            program: program.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned()),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (pid {}, since {})", self.program, self.pid, readable(self.since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_and_transient() {
        let full = StoreError::io("write", "/x/y", io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, StoreError::NoSpace { .. }) && full.is_transient());
        let denied = StoreError::io("open", "/x/y", io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(!denied.is_transient());
        assert!(denied.to_string().starts_with("could not open /x/y: "), "{denied}");
    }

    #[test]
    fn a_timeout_names_the_holder() {
        let holder = Holder { pid: 7, since_ms: 1_700_000_000_000, program: "tool".into() };
        let error = StoreError::LeaseTimeout { waited: Duration::from_millis(1_500), holder: Some(holder) };
        assert_eq!(
            error.to_string(),
            "the login is in use by \"tool\" (pid 7, since 2023-11-14 22:13:20 UTC); gave up after 1.5 s: try again, \
             or end that program if it hangs"
        );
        assert!(error.is_transient());
    }

    #[test]
    fn a_strangers_error_is_the_source() {
        let error = StoreError::other("the database is gone; start it").clone();
        assert_eq!(error.to_string(), "the database is gone; start it");
        assert!(error.source().is_some());
    }
}
