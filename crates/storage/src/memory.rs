//! Logins kept in memory: shared by whoever has a clone, gone when the last clone is.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use crate::wait::within;
use crate::{Holder, LoginKey, LoginKeys, LoginRecord, StoreDescription, StoreError, TokenLease, TokenStore};

/// Keeps any number of logins for the life of the process. Clones share them; the secrets are wiped when they are
/// replaced, deleted, or dropped with the last clone.
///
/// For programs whose tokens need not outlive them (a service with client credentials), and for tests. What it
/// promises is what the file store promises, but for persistence. Leases are given in the order in which they were
/// asked for.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
/// use jeton_storage::{LoginKey, LoginRecord, MemoryStore, TokenStore};
///
/// let store = MemoryStore::new();
/// let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
///
/// let mut lease = store.lease(&key, Duration::from_secs(5)).await?;
/// lease.save(&LoginRecord::new(key.clone(), SystemTime::now())).await?;
/// drop(lease);
///
/// assert!(store.clone().load(&key).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    logins: Arc<Mutex<BTreeMap<LoginKey, Arc<Slot>>>>,
}

/// The place of one login. It stays in the map while there is a record or somebody holds, or waits for, the lease.
#[derive(Default)]
struct Slot {
    record: Mutex<Option<LoginRecord>>,
    lease: Arc<tokio::sync::Mutex<()>>,
    holder: Mutex<Option<Holder>>,
}

impl MemoryStore {
    /// An empty store, apart from every other.
    pub fn new() -> Self {
        Self::default()
    }

    fn slot_in_use(&self, key: &LoginKey) -> SlotInUse {
        let slot = Arc::clone(locked(&self.logins).entry(key.clone()).or_default());
        SlotInUse { store: self.clone(), key: key.clone(), slot }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("logins", &locked(&self.logins).len()).finish()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        let slot = locked(&self.logins).get(key).cloned();
        Ok(slot.and_then(|slot| locked(&slot.record).clone()))
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let started = Instant::now();
        let in_use = self.slot_in_use(key);
        let lease = &in_use.slot.lease;
        let exclusive = match Arc::clone(lease).try_lock_owned() {
            // Tried first and not only waited for: tokio lets a wait be pending, free or not, when the task has
            // done a lot without a pause, and then a deadline of zero would be over.
            Ok(exclusive) => Some(exclusive),
            Err(_) => within(deadline, Arc::clone(lease).lock_owned()).await,
        };
        match exclusive {
            Some(exclusive) => {
                *locked(&in_use.slot.holder) = Some(Holder::this_process(SystemTime::now()));
                Ok(Box::new(MemoryLease { _exclusive: exclusive, in_use }))
            }
            None => Err(StoreError::LeaseTimeout {
                waited: started.elapsed(),
                holder: locked(&in_use.slot.holder).clone(),
            }),
        }
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        Box::new(MemoryKeys { store: self, last: None })
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription::new("memory")
    }
}

struct MemoryLease {
    // Dropped first: whoever comes after finds the lease free and the slot still in its place.
    _exclusive: OwnedMutexGuard<()>,
    in_use: SlotInUse,
}

#[async_trait]
impl TokenLease for MemoryLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        Ok(locked(&self.in_use.slot.record).clone())
    }

    async fn reserve(&mut self, _bytes: usize) -> Result<(), StoreError> {
        Ok(())
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        if record.key != self.in_use.key {
            return Err(StoreError::WrongKey {
                place: format!("the lease on {}", self.in_use.key),
                found: Box::new(record.key.clone()),
            });
        }
        *locked(&self.in_use.slot.record) = Some(record.clone());
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        *locked(&self.in_use.slot.record) = None;
        Ok(())
    }
}

/// Held by whoever has the lease or waits for it; the last to go takes an empty slot out of the map.
struct SlotInUse {
    store: MemoryStore,
    key: LoginKey,
    slot: Arc<Slot>,
}

impl Drop for SlotInUse {
    fn drop(&mut self) {
        let mut logins = locked(&self.store.logins);
        // Two: the map's and this one. Others can only be made under the lock that is held here.
        if Arc::strong_count(&self.slot) == 2 && locked(&self.slot.record).is_none() {
            logins.remove(&self.key);
        }
    }
}

/// Goes from key to key; holds no lock in between and copies one key at a time.
struct MemoryKeys<'a> {
    store: &'a MemoryStore,
    last: Option<LoginKey>,
}

#[async_trait]
impl LoginKeys for MemoryKeys<'_> {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let logins = locked(&self.store.logins);
        let next = logins
            .range::<LoginKey, _>((after, Bound::Unbounded))
            .find(|(_, slot)| locked(&slot.record).is_some())
            .map(|(key, _)| key.clone());
        drop(logins);
        if next.is_some() {
            self.last.clone_from(&next);
        }
        next.map(Ok)
    }
}

/// No code that can panic runs under these locks, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LoginKey {
        LoginKey::new(&"https://as.example".parse().unwrap(), "c")
    }

    #[tokio::test]
    async fn a_slot_goes_when_nobody_needs_it() {
        let store = MemoryStore::new();
        let lease = store.lease(&key(), Duration::ZERO).await.unwrap();
        assert!(store.lease(&key(), Duration::ZERO).await.is_err());
        assert_eq!(locked(&store.logins).len(), 1, "the one who gave up left the holder's slot alone");
        drop(lease);
        assert_eq!(locked(&store.logins).len(), 0);

        let mut lease = store.lease(&key(), Duration::ZERO).await.unwrap();
        lease.save(&LoginRecord::new(key(), SystemTime::now())).await.unwrap();
        drop(lease);
        assert_eq!(locked(&store.logins).len(), 1);
    }

    #[tokio::test]
    async fn a_timeout_names_this_process() {
        let store = MemoryStore::new();
        let _lease = store.lease(&key(), Duration::ZERO).await.unwrap();
        match store.lease(&key(), Duration::from_millis(5)).await {
            Err(StoreError::LeaseTimeout { holder: Some(holder), .. }) => {
                assert_eq!(holder.pid, std::process::id());
            }
            other => panic!("{other:?}"),
        }
    }
}
