//! Moving logins: everything arrives as it was, a death or failure at each call loses nothing and a second run finishes, what is
//! in both stores is told.
#![cfg(feature = "memory")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{
    LoginKey, LoginKeys, LoginRecord, LoginStatus, MemoryStore, Moved, StoreDescription, StoreError,
    TokenLease, TokenStore, Transfer, async_trait, transfer,
};

const SOON: Duration = Duration::from_secs(30);

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(account: &str, generation: u64) -> LoginRecord {
    // All of one login.
    let mut record = LoginRecord::new(key(account), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    record.generation = generation;
    record.set_refresh_token(Secret::new(format!("r3fr3sh-{account}-{generation}")), SystemTime::now());
    record
}

/// With a member that this version does not know.
fn newer(account: &str, generation: u64) -> LoginRecord {
    let json = String::from_utf8(record(account, generation).to_json().to_vec()).unwrap();
    let json = json.replacen('{', r#"{"later":{"is":[1,null]},"#, 1);
    LoginRecord::from_json(json.as_bytes(), &key(account)).unwrap()
}

async fn save(store: &dyn TokenStore, record: &LoginRecord) {
    store.lease(&record.key, SOON).await.unwrap().save(record).await.unwrap();
}

async fn load(store: &dyn TokenStore, account: &str) -> Option<LoginRecord> {
    store.load(&key(account)).await.unwrap()
}

async fn count(store: &dyn TokenStore) -> usize {
    let (mut keys, mut count) = (store.list(), 0);
    while let Some(key) = keys.next().await {
        key.unwrap();
        count += 1;
    }
    count
}

#[tokio::test]
async fn everything_arrives_as_it_was() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let records: Vec<LoginRecord> = (0..150).map(|number| newer(&number.to_string(), number)).collect();
    for record in &records {
        save(&from, record).await;
    }
    save(&to, &record("other", 1)).await;
    let transferred = transfer(&from, &to).await.unwrap();
    assert!(transferred.is_complete());
    assert_eq!(transferred.moved.len(), 150);
    assert!(transferred.moved.iter().all(|(_, how)| *how == Moved::Copied));
    assert_eq!((count(&from).await, count(&to).await), (0, 151));
    for record in records {
        let found = load(&to, record.key.account()).await.unwrap();
        assert_eq!(found.to_json(), record.to_json());
    }
    let text = transferred.to_string();
    assert!(text.starts_with("150 moved, 0 left") && !text.contains("r3fr3sh"), "{text}");
    // Nothing is left to do.
    assert!(transfer(&from, &to).await.unwrap().moved.is_empty());
}

#[tokio::test]
async fn what_is_in_both_is_told_and_the_newest_stays() {
    let ended = |generation| {
        let mut record = record("a", generation);
        record.status = LoginStatus::Ended { reason: "invalid_grant".to_owned(), at_ms: 1 };
        record
    };
    let at = |generation, updated_at_ms| {
        let mut record = record("a", generation);
        record.updated_at_ms = updated_at_ms;
        record
    };
    let begun = |created_at_ms, generation, updated_at_ms| {
        let mut record = at(generation, updated_at_ms);
        record.created_at_ms = created_at_ms;
        record
    };
    let later_but_ended = {
        let mut record = ended(7);
        record.created_at_ms += 1;
        record
    };
    for (old, there, expected, first_stays) in [
        (record("a", 7), record("a", 3), Moved::ReplacedOlder { generation: 3 }, true),
        (record("a", 3), record("a", 7), Moved::GaveWayToNewer { generation: 7 }, false),
        (record("a", 3), ended(7), Moved::ReplacedOlder { generation: 7 }, true),
        (ended(7), record("a", 3), Moved::GaveWayToNewer { generation: 3 }, false),
        (ended(7), ended(3), Moved::ReplacedOlder { generation: 3 }, true),
        (at(3, 20), at(3, 10), Moved::ReplacedOlder { generation: 3 }, true),
        (at(3, 10), at(3, 20), Moved::GaveWayToNewer { generation: 3 }, false),
        // A new login where there was no record begins at generation 1 again.
        (begun(2, 1, 2), begun(1, 50, 1), Moved::ReplacedOlder { generation: 50 }, true),
        (begun(1, 50, 3), begun(2, 1, 2), Moved::GaveWayToNewer { generation: 1 }, false),
        (record("a", 3), later_but_ended, Moved::ReplacedOlder { generation: 7 }, true),
    ] {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        save(&from, &old).await;
        save(&to, &there).await;
        let transferred = transfer(&from, &to).await.unwrap();
        assert_eq!(transferred.moved, [(key("a"), expected)]);
        assert!(
            transferred.to_string().contains(&format!("generation {}", there.generation)),
            "{transferred}"
        );
        assert_eq!(load(&to, "a").await, Some(if first_stays { old } else { there }));
        assert_eq!(load(&from, "a").await, None);
    }
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let same = record("a", 1);
    save(&from, &same).await;
    save(&to, &same).await;
    assert_eq!(transfer(&from, &to).await.unwrap().moved, [(key("a"), Moved::WasThere)]);
    assert_eq!((load(&from, "a").await, load(&to, "a").await), (None, Some(same)));
}

/// Fails at its call number `fails_at`, counted over everything, and if it is `dead` at each one after it. A failing save or
/// delete may have happened.
#[derive(Clone)]
struct Failing {
    inner: MemoryStore,
    name: &'static str,
    calls: Arc<AtomicUsize>,
    fails_at: usize,
    dead: bool,
    happens_all_the_same: bool,
}

impl Failing {
    fn next(&self) -> Result<(), StoreError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match call == self.fails_at || (self.dead && call > self.fails_at) {
            true => Err(StoreError::other("out of order; repair it")),
            false => Ok(()),
        }
    }
}

struct FailingLease(Failing, Box<dyn TokenLease>);

#[async_trait]
impl TokenStore for Failing {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.next()?;
        self.inner.load(key).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        self.next()?;
        Ok(Box::new(FailingLease(self.clone(), self.inner.lease(key, deadline).await?)))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.inner.list()
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription::new(self.name)
    }
}

#[async_trait]
impl TokenLease for FailingLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.0.next()?;
        self.1.load().await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.0.next()?;
        self.1.reserve(bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        let next = self.0.next();
        if next.is_ok() || self.0.happens_all_the_same {
            self.1.save(record).await?;
        }
        next
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        let next = self.0.next();
        if next.is_ok() || self.0.happens_all_the_same {
            self.1.delete().await?;
        }
        next
    }
}

#[tokio::test]
async fn a_failure_at_each_call_loses_nothing_and_the_next_run_finishes() {
    let records = [record("a", 1), record("b", 2), record("c", 3)];
    for (dead, happens_all_the_same) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut failures = 0;
        for fails_at in 0.. {
            let calls = Arc::new(AtomicUsize::new(0));
            let store = |name| Failing {
                inner: MemoryStore::new(),
                name,
                calls: Arc::clone(&calls),
                fails_at,
                dead,
                happens_all_the_same,
            };
            let (from, to) = (store("one"), store("two"));
            for record in &records {
                save(&from.inner, record).await;
            }
            let first = transfer(&from, &to).await.unwrap();
            assert_eq!(first.moved.len() + first.failed.len(), 3, "each is told");
            if first.is_complete() {
                assert_eq!(failures, calls.load(Ordering::SeqCst));
                break;
            }
            failures += 1;
            for (failed, error) in &first.failed {
                assert!(failed.is_some() && error.to_string().contains("repair it"), "{error}");
            }
            for record in &records {
                // In one store, or in both; never in none.
                let places = [
                    load(&from.inner, record.key.account()).await,
                    load(&to.inner, record.key.account()).await,
                ];
                assert!(places.iter().any(Option::is_some), "{} is lost at call {fails_at}", record.key);
                assert!(places.iter().flatten().all(|found| found == record));
            }
            // Both are in order again.
            let second = transfer(&from.inner, &to.inner).await.unwrap();
            assert!(second.is_complete());
            for record in &records {
                assert_eq!(load(&to.inner, record.key.account()).await.as_ref(), Some(record));
                assert_eq!(load(&from.inner, record.key.account()).await, None);
            }
        }
        // Three logins: load; two leases; two loads; reserve, save, load; delete.
        assert_eq!(failures, 3 * 9);
    }
}

/// Takes everything and keeps something else.
struct Forgetful(MemoryStore);
struct ForgetfulLease(Box<dyn TokenLease>);

#[async_trait]
impl TokenStore for Forgetful {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.0.load(key).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        Ok(Box::new(ForgetfulLease(self.0.lease(key, deadline).await?)))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.0.list()
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription::new("forgetful")
    }
}

#[async_trait]
impl TokenLease for ForgetfulLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.0.load().await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.0.reserve(bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        let mut other = record.clone();
        other.refresh_token = Some(Secret::from("other"));
        self.0.save(&other).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.0.delete().await
    }
}

#[tokio::test]
async fn what_does_not_come_back_as_it_was_written_is_not_deleted() {
    let (from, to) = (MemoryStore::new(), Forgetful(MemoryStore::new()));
    save(&from, &record("a", 1)).await;
    let transferred = transfer(&from, &to).await.unwrap();
    let [(Some(_), error)] = &transferred.failed[..] else { panic!("{transferred}") };
    assert!(error.to_string().contains("not there as it was written"), "{error}");
    assert!(load(&from, "a").await.is_some());
}

/// Lists by position among what is there at the time, as a folder may that changes while it is read.
struct Shifting(MemoryStore);
struct ShiftingKeys<'a>(&'a MemoryStore, usize);

#[async_trait]
impl TokenStore for Shifting {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.0.load(key).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        self.0.lease(key, deadline).await
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        Box::new(ShiftingKeys(&self.0, 0))
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription::new("shifting")
    }
}

#[async_trait]
impl LoginKeys for ShiftingKeys<'_> {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        let mut keys = self.0.list();
        for _ in 0..self.1 {
            keys.next().await?.unwrap();
        }
        self.1 += 1;
        keys.next().await
    }
}

#[tokio::test]
async fn a_listing_that_skips_what_is_deleted_meanwhile_leaves_nothing_behind() {
    let (from, to) = (Shifting(MemoryStore::new()), MemoryStore::new());
    for number in 0..10 {
        save(&from, &record(&number.to_string(), 1)).await;
    }
    let transferred = transfer(&from, &to).await.unwrap();
    assert!(transferred.is_complete());
    assert_eq!((count(&from).await, count(&to).await), (0, 10), "{transferred}");
}

#[tokio::test]
async fn a_login_in_use_is_left_and_the_others_go() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    for account in ["a", "b", "c"] {
        save(&from, &record(account, 1)).await;
    }
    let _in_use = from.lease(&key("b"), SOON).await.unwrap();
    let transferred = Transfer::new(&from, &to).lease_deadline(Duration::from_millis(5)).run().await.unwrap();
    assert_eq!(transferred.moved.len(), 2);
    assert!(
        matches!(&transferred.failed[..], [(Some(key), StoreError::LeaseTimeout { .. })] if key.account() == "b")
    );
    assert_eq!((count(&from).await, count(&to).await), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_transfers_in_opposite_directions_do_not_wait_for_each_other() {
    let store = |name| Failing {
        inner: MemoryStore::new(),
        name,
        calls: Arc::default(),
        fails_at: usize::MAX,
        dead: false,
        happens_all_the_same: false,
    };
    for _ in 0..50 {
        let (one, two) = (store("one"), store("two"));
        for number in 0..20 {
            save(&one.inner, &record(&number.to_string(), 1)).await;
            save(&two.inner, &record(&number.to_string(), 2)).await;
        }
        let move_all = |from: Failing, to: Failing| {
            tokio::spawn(async move {
                let transferred = transfer(&from, &to).await.unwrap();
                assert!(transferred.is_complete(), "{transferred}");
            })
        };
        let (there, back) = (move_all(one.clone(), two.clone()), move_all(two.clone(), one.clone()));
        there.await.unwrap();
        back.await.unwrap();
        for number in 0..20 {
            let account = number.to_string();
            let found = [load(&one, &account).await, load(&two, &account).await];
            let found: Vec<u64> = found.iter().flatten().map(|record| record.generation).collect();
            assert_eq!(found, [2], "one of them, and the newest");
        }
    }
}

#[cfg(feature = "file")]
#[tokio::test]
async fn a_damaged_login_is_told_and_stays_where_it_is() {
    let place = tempfile::tempdir().unwrap();
    let from = jeton_storage::FileStore::new(place.path().join("from"));
    save(&from, &record("a", 1)).await;
    save(&from, &record("b", 1)).await;
    let file = from.path().join(format!("login-{}.json", key("a").digest()));
    std::fs::write(&file, "{").unwrap();
    let to = MemoryStore::new();
    let transferred = transfer(&from, &to).await.unwrap();
    assert!(matches!(&transferred.failed[..], [(None, StoreError::Damaged { .. })]), "{transferred}");
    assert_eq!(transferred.moved.len(), 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{");

    // And one in the way is not replaced in passing.
    let other = MemoryStore::new();
    save(&other, &record("a", 1)).await;
    let transferred = transfer(&other, &from).await.unwrap();
    assert!(matches!(&transferred.failed[..], [(Some(_), StoreError::Damaged { .. })]), "{transferred}");
    assert!(load(&other, "a").await.is_some());
}

#[cfg(feature = "sealed")]
#[tokio::test]
async fn files_can_be_sealed_and_unsealed_but_not_in_the_same_folder() {
    let place = tempfile::tempdir().unwrap();
    let plain = jeton_storage::FileStore::new(place.path().join("plain"));
    let sealing_key = jeton_storage::SealingKey::generate().unwrap();
    let sealed = jeton_storage::SealedStore::with_key(place.path().join("sealed"), sealing_key.clone());
    let record = newer("a", 5);
    save(&plain, &record).await;
    assert!(transfer(&plain, &sealed).await.unwrap().is_complete());
    assert_eq!(load(&sealed, "a").await.unwrap().to_json(), record.to_json());
    assert_eq!(load(&plain, "a").await, None);
    assert!(transfer(&sealed, &plain).await.unwrap().is_complete());
    assert_eq!(load(&plain, "a").await.unwrap().to_json(), record.to_json());

    let same_folder = jeton_storage::SealedStore::with_key(plain.path(), sealing_key);
    let refused = transfer(&plain, &same_folder).await.unwrap_err();
    assert!(refused.to_string().contains("another place"), "{refused}");
    assert!(load(&plain, "a").await.is_some());
}
