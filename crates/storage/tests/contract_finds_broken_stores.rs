//! The contract has teeth: each store here breaks one promise, and the clause about that promise says so.
#![cfg(all(feature = "contract-tests", feature = "memory"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_storage::{
    LoginKey, LoginKeys, LoginRecord, MemoryStore, StoreDescription, StoreError, TokenLease, TokenStore,
    contract,
};

/// The promise that a store breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// Everybody gets a lease at once.
    NoExclusion,
    /// Exclusive among its own clones, not among stores opened apart.
    ExcludesOnlyItself,
    /// Opened anew it is empty.
    ForgetsOnReopen,
    /// Saves only the members that it knows.
    ForgetsUnknownMembers,
    /// Loads under the lease what it loaded first.
    StaleLease,
    /// One login for all accounts.
    MixesAccounts,
    /// Case does not matter to it.
    FoldsCase,
    /// `delete` changes nothing.
    NeverDeletes,
    /// Waits for a lease as long as it takes.
    IgnoresDeadline,
    /// Gives up at once.
    NeverWaits,
    /// The lease is never released.
    KeepsLease,
    /// Takes any record.
    TakesForeignRecords,
    /// A reservation shows as a record.
    ReserveShows,
    /// Cuts off what is large.
    RefusesLarge,
    /// Counts the generation itself.
    CountsGenerations,
    /// Removes before it writes.
    AbsentWhileSaving,
    /// Lists leases as logins.
    ListsTooMuch,
    /// Lists the first only.
    ListsTooLittle,
}

#[derive(Clone)]
struct Broken {
    flaw: Flaw,
    inner: MemoryStore,
    /// What else was opened on the same storage.
    siblings: MemoryStore,
    leased: Arc<Mutex<Vec<LoginKey>>>,
}

struct BrokenLease {
    flaw: Flaw,
    /// Several tasks write through one here, which is the flaw.
    inner: Option<Box<dyn TokenLease>>,
    store: Broken,
    key: LoginKey,
    first: Option<Option<LoginRecord>>,
}

static OPENED: AtomicU64 = AtomicU64::new(0);

impl Broken {
    fn open(flaw: Flaw, storage: &MemoryStore, leased: &Arc<Mutex<Vec<LoginKey>>>) -> Self {
        OPENED.fetch_add(1, Ordering::Relaxed);
        let inner = if flaw == Flaw::ForgetsOnReopen { MemoryStore::new() } else { storage.clone() };
        let siblings = if flaw == Flaw::ExcludesOnlyItself { MemoryStore::new() } else { storage.clone() };
        Self { flaw, inner, siblings, leased: Arc::clone(leased) }
    }

    fn key(&self, key: &LoginKey) -> LoginKey {
        match self.flaw {
            Flaw::MixesAccounts => key.clone().with_account("one"),
            Flaw::FoldsCase => key.clone().with_account(key.account().to_lowercase()),
            _ => key.clone(),
        }
    }

    /// Under the key that was asked for, so that the flaw is not found by the key alone.
    fn under(key: &LoginKey, record: Option<LoginRecord>) -> Option<LoginRecord> {
        record.map(|mut record| {
            record.key = key.clone();
            record
        })
    }
}

#[async_trait]
impl TokenStore for Broken {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        Ok(Self::under(key, self.inner.load(&self.key(key)).await?))
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let own = self.key(key);
        let inner = match self.flaw {
            Flaw::NoExclusion => None,
            // The lock of a store apart, the data of the common one.
            Flaw::ExcludesOnlyItself => Some(self.siblings.lease(&own, deadline).await?),
            Flaw::IgnoresDeadline => Some(self.inner.lease(&own, Duration::from_secs(3_600)).await?),
            Flaw::NeverWaits => Some(self.inner.lease(&own, Duration::ZERO).await?),
            _ => Some(self.inner.lease(&own, deadline).await?),
        };
        self.leased.lock().unwrap().push(key.clone());
        Ok(Box::new(BrokenLease {
            flaw: self.flaw,
            inner,
            store: self.clone(),
            key: key.clone(),
            first: None,
        }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        match self.flaw {
            Flaw::ListsTooMuch => Box::new(Listed(self.leased.lock().unwrap().clone())),
            Flaw::ListsTooLittle => Box::new(Listed(self.leased.lock().unwrap()[..1].to_vec())),
            _ => self.inner.list(),
        }
    }

    fn describe(&self) -> StoreDescription {
        self.inner.describe()
    }
}

struct Listed(Vec<LoginKey>);

#[async_trait]
impl LoginKeys for Listed {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        self.0.pop().map(Ok)
    }
}

impl Broken {
    /// Writes without any regard to who else does.
    async fn write_around(&self, key: &LoginKey, record: Option<&LoginRecord>) -> Result<(), StoreError> {
        let mut lease = self.inner.lease(&self.key(key), Duration::from_secs(60)).await?;
        match record {
            Some(record) => lease.save(record).await,
            None => lease.delete().await,
        }
    }
}

#[async_trait]
impl TokenLease for BrokenLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        if let (Flaw::StaleLease, Some(first)) = (self.flaw, &self.first) {
            return Ok(first.clone());
        }
        let found = self.store.load(&self.key).await?;
        self.first.get_or_insert(found.clone());
        Ok(found)
    }

    async fn reserve(&mut self, _bytes: usize) -> Result<(), StoreError> {
        if self.flaw == Flaw::ReserveShows {
            let room = LoginRecord::new(self.key.clone(), SystemTime::now());
            return self.inner.as_mut().unwrap().save(&room).await;
        }
        Ok(())
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        if record.key != self.key && self.flaw != Flaw::TakesForeignRecords {
            let (place, found) = (self.key.to_string(), Box::new(record.key.clone()));
            return Err(StoreError::WrongKey { place, found });
        }
        let mut record = record.clone();
        match self.flaw {
            Flaw::MixesAccounts | Flaw::FoldsCase => record.key = self.store.key(&record.key),
            Flaw::TakesForeignRecords => record.key = self.key.clone(),
            Flaw::CountsGenerations => record.generation += 1,
            Flaw::RefusesLarge if record.to_json().len() > 2_560 => {
                return Err(StoreError::other("more than 2,560 bytes"));
            }
            Flaw::AbsentWhileSaving => {
                self.inner.as_mut().unwrap().delete().await?;
                tokio::task::yield_now().await;
            }
            Flaw::ForgetsUnknownMembers => {
                let mut known = LoginRecord::new(record.key.clone(), SystemTime::now());
                known.refresh_token.clone_from(&record.refresh_token);
                known.refresh_token_received_at_ms = record.refresh_token_received_at_ms;
                known.tokens.clone_from(&record.tokens);
                known.scope.clone_from(&record.scope);
                known.dpop_key.clone_from(&record.dpop_key);
                known.id_token.clone_from(&record.id_token);
                known.registration.clone_from(&record.registration);
                known.status = record.status;
                known.generation = record.generation;
                known.created_at_ms = record.created_at_ms;
                known.updated_at_ms = record.updated_at_ms;
                record = known;
            }
            _ => {}
        }
        match (&mut self.inner, self.flaw) {
            (Some(inner), flaw) if flaw != Flaw::ExcludesOnlyItself => inner.save(&record).await,
            _ => self.store.write_around(&self.key, Some(&record)).await,
        }
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        if self.flaw == Flaw::NeverDeletes {
            return Ok(());
        }
        match (&mut self.inner, self.flaw) {
            (Some(inner), flaw) if flaw != Flaw::ExcludesOnlyItself => inner.delete().await,
            _ => self.store.write_around(&self.key, None).await,
        }
    }
}

impl Drop for BrokenLease {
    fn drop(&mut self) {
        if self.flaw == Flaw::KeepsLease {
            std::mem::forget(self.inner.take());
        }
    }
}

/// What the contract says about a store with that flaw; `None` if it finds nothing.
async fn verdict(flaw: Flaw) -> Option<String> {
    let (storage, leased) = (MemoryStore::new(), Arc::default());
    let checked = tokio::spawn(contract::run(move || {
        let store = Broken::open(flaw, &storage, &leased);
        async move { Box::new(store) as Box<dyn TokenStore> }
    }));
    let panic = checked.await.err()?.into_panic();
    Some(panic.downcast_ref::<String>().unwrap().clone())
}

async fn assert_found(flaw: Flaw, clauses: &[&str]) {
    let verdict = verdict(flaw).await.unwrap_or_else(|| panic!("{flaw:?} passed the contract"));
    let named = clauses.iter().any(|clause| verdict.contains(&format!("clause `{clause}`")));
    assert!(named, "{flaw:?} was found elsewhere than in {clauses:?}: {verdict}");
    assert!(
        clauses.iter().all(|clause| contract::CLAUSES.contains(clause)),
        "{clauses:?} are not all clauses"
    );
}

#[tokio::test]
async fn the_wrapper_without_a_flaw_passes() {
    assert_eq!(verdict(Flaw::None).await, None);
    assert!(OPENED.load(Ordering::Relaxed) > 20);
}

macro_rules! found {
    ($($test:ident: $flaw:ident in $($clause:literal)|+;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            assert_found(Flaw::$flaw, &[$($clause),+]).await;
        })*
    };
}

found! {
    no_exclusion: NoExclusion in "the_deadline_is_kept";
    exclusion_within_one_opened_store: ExcludesOnlyItself in "the_deadline_is_kept";
    empty_when_reopened: ForgetsOnReopen in "a_login_is_there_after_reopening";
    unknown_members_forgotten: ForgetsUnknownMembers in "unknown_members_survive";
    stale_under_the_lease: StaleLease in "a_record_comes_back_as_it_was_saved" | "a_save_replaces_the_whole_record";
    accounts_mixed: MixesAccounts in "logins_are_apart";
    case_folded: FoldsCase in "odd_keys_are_kept_apart";
    nothing_deleted: NeverDeletes in "delete_removes_the_login";
    deadline_ignored: IgnoresDeadline in "the_deadline_is_kept";
    no_waiting: NeverWaits in "the_deadline_is_kept";
    foreign_records_taken: TakesForeignRecords in "a_record_of_another_key_is_refused";
    reservation_shows: ReserveShows in "room_can_be_reserved";
    large_records_refused: RefusesLarge in "a_save_replaces_the_whole_record" | "large_records_are_kept";
    generations_counted: CountsGenerations in "a_record_comes_back_as_it_was_saved";
    absent_while_saving: AbsentWhileSaving in "readers_see_whole_records";
    leases_listed: ListsTooMuch in "the_listing_is_complete";
    not_all_listed: ListsTooLittle in "the_listing_is_complete";
}

/// One clause alone, for flaws that an earlier clause would find first.
async fn verdict_of<Fut: Future<Output = ()> + Send>(
    flaw: Flaw,
    clause: impl FnOnce(contract::Factory) -> Fut + Send + 'static,
) -> String {
    let (storage, leased) = (MemoryStore::new(), Arc::default());
    let factory = contract::Factory::new(move || {
        let store = Broken::open(flaw, &storage, &leased);
        async move { Box::new(store) as Box<dyn TokenStore> }
    });
    let checked = tokio::spawn(async move { clause(factory).await });
    let panic = checked.await.unwrap_err().into_panic();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn competition_alone_finds_what_does_not_exclude() {
    for flaw in [Flaw::NoExclusion, Flaw::ExcludesOnlyItself] {
        let tasks =
            verdict_of(flaw, |factory| async move { contract::tasks_exclude_each_other(&factory).await })
                .await;
        assert!(tasks.contains("two had the lease at once"), "{tasks}");
        let threads =
            verdict_of(flaw, |factory| async move { contract::threads_exclude_each_other(&factory).await })
                .await;
        assert!(threads.contains("two had the lease at once"), "{threads}");
    }
}

#[tokio::test(start_paused = true)]
async fn lease_never_released() {
    let clause = |factory: contract::Factory| async move {
        contract::a_lease_excludes_until_it_is_dropped(&factory).await
    };
    let text = verdict_of(Flaw::KeepsLease, clause).await;
    assert!(text.contains("waiting for a lease that is dropped failed"), "{text}");
}
