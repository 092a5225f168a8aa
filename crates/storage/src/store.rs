//! The two traits of this crate: a store of logins, and the lease under which a login is written.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{LoginKey, LoginRecord, StoreDescription, StoreError};

/// A place where logins are kept, shared by everybody who opens the same place.
///
/// Reading needs no lease; writing does, and there is no other way to write. The reason is the refresh token: it is
/// used up by being sent, so whoever is about to send it must be alone with it, must see the newest, and must be
/// able to write down its successor. [`TokenLease`] says what that guarantees.
///
/// # What is atomic
///
/// A record is read and written as a whole. [`load`](Self::load) gives the record as one `save` wrote it: never
/// half of one, never a mixture of two, also while somebody saves. Loads that begin after a `save` returned see it
/// or a later one, in whichever task, thread or process ([`StoreDescription::shared_with`] says among whom).
/// Records of different keys have nothing to do with each other: no lease on one hinders another.
///
/// # Absent, damaged, newer
///
/// `Ok(None)` means that nobody has logged in, or that the login was deleted; a caller may begin a new one. Anything
/// that *is* there but cannot be read is an error, time and again, until a `save` or `delete` under the lease settles
/// it, and a record from a newer version not even then. A store never takes the unreadable for absent.
///
/// # Whole records
///
/// A store keeps whatever [`LoginRecord::to_json`] gives, of any size up to a few megabytes, and never members that
/// it happens to know: later versions of jeton add more, and they must survive an older one's rewrite.
///
/// # Dropped futures
///
/// Each method may be dropped before it is ready. A dropped `lease` leaves nobody holding anything. See
/// [`TokenLease`] for a dropped `save`.
///
/// # Runtimes
///
/// The stores of this crate work on any executor. Inside a tokio runtime they use its blocking threads and its timer
/// (the runtime needs `enable_time` or `enable_all`); elsewhere they do file operations in place.
///
/// # Writing your own
///
/// See the crate's README; then run `contract::run` of the feature `contract-tests` over it.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The record of that login as it is now, without waiting for anybody; `None` if there is none.
    ///
    /// By the time the caller looks at it, it may be out of date. It is good enough to take a still-valid access
    /// token from, never to send the refresh token: for that, load under the lease.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] (nothing is moved or changed), [`StoreError::NewerFormat`],
    /// [`StoreError::WrongKey`], and whatever keeps the store from reading.
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError>;

    /// Waits until nobody else holds the lease on that login and takes it. The login need not exist.
    ///
    /// `deadline` is how long to wait at most, counted from the call; zero means one try. Waiting ends soon after the
    /// deadline, whatever the holder does. Who comes first is not promised: there is no queue.
    ///
    /// Taking a second lease on the same login while holding the first waits for oneself, and times out.
    ///
    /// # Errors
    /// [`StoreError::LeaseTimeout`] with the holder, if known; whatever keeps the store from locking.
    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError>;

    /// Every login in the store, in no particular order, read as it is asked for.
    ///
    /// Logins saved or deleted while the listing runs may be in it or not; all others are in it exactly once. One that
    /// cannot be read is an `Err` item, and the listing goes on after it.
    fn list(&self) -> Box<dyn LoginKeys + '_>;

    /// Which backend, where, and what it promises. Does no I/O.
    fn describe(&self) -> StoreDescription;
}

/// The sole right to write one login, until it is dropped.
///
/// # What is exclusive
///
/// From [`TokenStore::lease`] until the lease is released, nobody else (task, thread, process, as far as
/// [`StoreDescription::shared_with`] reaches) gets a lease on the same login, and thus nobody else writes it.
///
/// # What is durable
///
/// When [`save`](Self::save) or [`delete`](Self::delete) returned `Ok` on a persistent store, the change is on the
/// medium: it survives the death of the process and the loss of power, as far as the medium keeps its word. When they
/// returned an error the stored record is what it was before; only if the very last step failed (making the new
/// name durable) may it be the new one already. Saving again is right in either case.
///
/// # Release and death
///
/// Dropping the lease releases it. So does the death of the process, by whatever signal, at once and without any
/// clean-up by others: a lock that outlives its holder locks everybody out.
/// The one delay: a write that is still running when the future or the lease is dropped keeps the
/// lease until it has ended, so that no late write ever meets a new holder.
///
/// # Dropped futures
///
/// A dropped `save` or `delete` has happened entirely or not at all; which of the two, the next `load` tells. It may
/// still be running, and be seen a moment later by readers without a lease; whoever has the lease next sees the outcome.
#[async_trait]
pub trait TokenLease: Send {
    /// The newest record, or `None`. Nobody can change it while the lease is held.
    ///
    /// This is the load after which to decide whether to refresh, and the one whose refresh token to send.
    ///
    /// # Errors
    /// As [`TokenStore::load`]; a damaged record is set aside, where the store can, under a name that is told in
    /// [`StoreError::Damaged`].
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError>;

    /// Makes room for a record of that many bytes ([`LoginRecord::to_json`] tells how many), so that the next
    /// [`save`](Self::save) of no more than that finds it even if the disk is full by then. To be called before
    /// anything irrevocable, such as sending a refresh token that works once.
    ///
    /// The stored record is not touched. The room is given back by the save, or when the lease is released.
    /// A store for which there is nothing to reserve returns `Ok`.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], and whatever else would keep the save from succeeding: then do not ask for what
    /// cannot be kept.
    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError>;

    /// Replaces the whole record, or creates it. Durable when it returns. The lease is kept.
    ///
    /// The store changes nothing in the record: generation and times are what the caller set.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] if the record is of another key than the lease; [`StoreError::NewerFormat`] if what is
    /// stored is from a newer version, which is never overwritten. A damaged record is not an error here: it is
    /// kept under another name, and replaced.
    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError>;

    /// Removes the record. Durable when it returns; `Ok` if there was none. The lease is kept.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    async fn delete(&mut self) -> Result<(), StoreError>;
}

/// The keys of a store, one after another: see [`TokenStore::list`].
#[async_trait]
pub trait LoginKeys: Send {
    /// The next key; `None` at the end, from then on always.
    ///
    /// May be dropped before it is ready without losing a key.
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>>;
}

impl fmt::Debug for dyn TokenStore + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenStore").field(&self.describe()).finish()
    }
}

impl fmt::Debug for dyn TokenLease + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenLease")
    }
}

impl fmt::Debug for dyn LoginKeys + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKeys")
    }
}
