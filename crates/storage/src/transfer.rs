//! Moving logins from one store to another: each copied, read back and compared before the old one is deleted.

use std::fmt;
use std::time::Duration;

use crate::{LoginKey, LoginRecord, LoginStatus, StoreError, TokenLease, TokenStore};

/// Moves every login of one store to another, waiting for each lease at most 30 seconds. See [`Transfer`].
///
/// ```
/// # #[cfg(all(feature = "file", feature = "sealed"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jeton_storage::{FileStore, SealedStore, SealingKey, TokenStore, transfer};
/// # use jeton_storage::{LoginKey, LoginRecord};
/// # use std::time::{Duration, SystemTime};
///
/// # let folder = tempfile::tempdir()?;
/// # let (old, new) = (folder.path().join("logins"), folder.path().join("sealed"));
/// let plain = FileStore::new(old);
/// let sealed = SealedStore::with_key(new, SealingKey::generate()?);
/// # let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
/// # plain.lease(&key, Duration::ZERO).await?.save(&LoginRecord::new(key.clone(), SystemTime::now())).await?;
/// let transferred = transfer(&plain, &sealed).await?;
/// println!("{transferred}");
/// assert!(transferred.is_complete());
/// # assert!(plain.load(&key).await?.is_none() && sealed.load(&key).await?.is_some());
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "file", feature = "sealed")))]
/// # fn main() {}
/// ```
///
/// # Errors
/// As [`Transfer::run`].
pub async fn transfer(from: &dyn TokenStore, to: &dyn TokenStore) -> Result<Transferred, StoreError> {
    Transfer::new(from, to).run().await
}

/// Moves logins from one store to another.
///
/// Each login is copied under its leases in both stores, so that nobody refreshes it meanwhile; read back from where it
/// was written and compared; and only then deleted where it was. If the process dies at any point, the login is in one store
/// or in both, and running the transfer again finishes. Programs that go on with the old store find themselves logged out:
/// end them first, or they log in anew there.
///
/// If a login is in both stores and not the same, one of them stays, and the answer says which: one that lives before one
/// that has ended, then the one of the later login, then (of one login) the one of the higher generation, then the one that
/// was changed last, then the one that was there already. The other is deleted. (Its refresh token may still work: where that matters, log out of one first.)
#[derive(Debug)]
pub struct Transfer<'a> {
    from: &'a dyn TokenStore,
    to: &'a dyn TokenStore,
    deadline: Duration,
}

impl<'a> Transfer<'a> {
    /// From one store to another.
    pub fn new(from: &'a dyn TokenStore, to: &'a dyn TokenStore) -> Self {
        Self { from, to, deadline: Duration::from_secs(30) }
    }

    /// How long to wait for each lease at most, instead of 30 seconds. A refresh under way holds one for as long as the
    /// server takes.
    #[must_use]
    pub fn lease_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Moves every login. A login that cannot be moved stays where it is and stands in the answer; the others go on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if both stores are in the same place: then nothing was done.
    pub async fn run(&self) -> Result<Transferred, StoreError> {
        let (from, to) = (self.from.describe(), self.to.describe());
        if !from.location.is_empty() && from.location == to.location {
            return Err(StoreError::Unavailable {
                what: format!("both stores are at {}: move the logins to another place", from.location),
            });
        }
        // All of them before the first is moved: a folder that is read while files are deleted from it may skip some.
        let listed = listed(self.from).await;
        Ok(self.move_listed(listed).await)
    }

    /// Moves what was listed in the first store.
    pub(crate) async fn move_listed(&self, listed: Vec<Result<LoginKey, StoreError>>) -> Transferred {
        let mut transferred = Transferred::default();
        for key in listed {
            let (key, result) = match key {
                Ok(key) => (Some(key.clone()), self.transfer_login(&key).await),
                Err(error) => (None, Err(error)),
            };
            match (key, result) {
                (Some(key), Ok(Some(how))) => transferred.moved.push((key, how)),
                (_, Ok(_)) => {}
                (key, Err(error)) => transferred.failed.push((key, error)),
            }
        }
        transferred
    }

    /// Moves one login; `None` if it is not there (any more).
    ///
    /// # Errors
    /// What kept it from being moved. It is still in the first store then, and may be in both.
    pub async fn transfer_login(&self, key: &LoginKey) -> Result<Option<Moved>, StoreError> {
        // Looked at before any lease: a damaged login would be set aside under one.
        if self.from.load(key).await?.is_none() {
            return Ok(None);
        }
        let (mut from, mut to) = self.leases(key).await?;
        let Some(record) = from.load().await? else { return Ok(None) };
        let moved = match to.load().await? {
            None => {
                copy(&record, &mut *to).await?;
                Moved::Copied
            }
            Some(there) if is_same(&there, &record) => Moved::WasThere,
            Some(there) if rank(&record) > rank(&there) => {
                copy(&record, &mut *to).await?;
                Moved::ReplacedOlder { generation: there.generation }
            }
            Some(there) => Moved::GaveWayToNewer { generation: there.generation },
        };
        from.delete().await?;
        Ok(Some(moved))
    }

    /// Both leases, always in the same order, so that two transfers in opposite directions do not wait for each other.
    async fn leases(&self, key: &LoginKey) -> Result<(Box<dyn TokenLease>, Box<dyn TokenLease>), StoreError> {
        let place = |store: &dyn TokenStore| {
            let description = store.describe();
            (description.location, description.backend)
        };
        if place(self.from) <= place(self.to) {
            let from = self.from.lease(key, self.deadline).await?;
            Ok((from, self.to.lease(key, self.deadline).await?))
        } else {
            let to = self.to.lease(key, self.deadline).await?;
            Ok((self.from.lease(key, self.deadline).await?, to))
        }
    }
}

/// All that a store lists, held in memory.
pub(crate) async fn listed(store: &dyn TokenStore) -> Vec<Result<LoginKey, StoreError>> {
    let (mut keys, mut listed) = (store.list(), Vec::new());
    while let Some(key) = keys.next().await {
        listed.push(key);
    }
    listed
}

/// Writes the record and looks whether it is there.
async fn copy(record: &LoginRecord, to: &mut dyn TokenLease) -> Result<(), StoreError> {
    to.reserve(record.to_json().len()).await?;
    to.save(record).await?;
    match to.load().await? {
        Some(found) if is_same(&found, record) => Ok(()),
        _ => Err(StoreError::Unavailable {
            what: format!("{} is not there as it was written; it was left where it was", record.key),
        }),
    }
}

/// Whether they are the same, members that this version does not know included.
fn is_same(one: &LoginRecord, other: &LoginRecord) -> bool {
    one == other && one.to_json() == other.to_json()
}

/// Which of two records of a login is worth more. Generations count within one login only: the next one begins at 1 where
/// there is no record.
fn rank(record: &LoginRecord) -> (bool, u64, u64, u64) {
    let is_over = matches!(record.status, LoginStatus::Ended { .. });
    (!is_over, record.created_at_ms, record.generation, record.updated_at_ms)
}

/// What became of one login that was moved. It is in the second store, and in the first no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moved {
    /// It was not in the second store, and is now.
    Copied,
    /// The same was in the second store already, as after a transfer that was interrupted.
    WasThere,
    /// Another, older one in the second store was replaced.
    ReplacedOlder {
        /// The generation of the replaced one.
        generation: u64,
    },
    /// The one in the second store is newer, and stayed.
    GaveWayToNewer {
        /// The generation of the one that stayed.
        generation: u64,
    },
}

/// What became of the logins of a store. `Display` gives a line for each.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Transferred {
    /// What was moved, and how.
    pub moved: Vec<(LoginKey, Moved)>,
    /// What was not, and why. There is no key if not even that could be read.
    pub failed: Vec<(Option<LoginKey>, StoreError)>,
}

impl Transferred {
    /// Whether the first store has nothing left that could be moved.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    #[cfg(feature = "file")]
    pub(crate) fn add(&mut self, other: Self) {
        self.moved.extend(other.moved);
        self.failed.extend(other.failed);
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copied => f.write_str("moved"),
            Self::WasThere => f.write_str("moved earlier"),
            Self::ReplacedOlder { generation } => {
                write!(f, "moved, in the place of an older one (generation {generation})")
            }
            Self::GaveWayToNewer { generation } => {
                write!(f, "dropped, for the other store has a newer one (generation {generation})")
            }
        }
    }
}

impl fmt::Display for Transferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} moved, {} left", self.moved.len(), self.failed.len())?;
        for (key, how) in &self.moved {
            write!(f, "\n{key}: {how}")?;
        }
        for (key, error) in &self.failed {
            match key {
                Some(key) => write!(f, "\n{key}: left, for {error}")?,
                None => write!(f, "\na login: left, for {error}")?,
            }
        }
        Ok(())
    }
}
