//! The store over a keychain in memory that has Windows' limit and every fault: what a crash at any point leaves, what
//! readers meet, what is swept, how many calls it takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jeton_models::Secret;

use super::KeyringStore;
use super::fake::{FakeKeychain, SMALL};
use super::login::name_of;
use super::worker::Worker;
use crate::{LoginKey, LoginRecord, StoreError, TokenLease, TokenStore};

const SOON: Duration = Duration::from_secs(60);

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client")
}

/// A record that tells when it is a mixture: its refresh token repeats the generation.
fn record(generation: u64, bytes: usize) -> LoginRecord {
    let mut record = LoginRecord::new(key(), SystemTime::UNIX_EPOCH);
    record.generation = generation;
    // Two bytes each, so that parts would end within a character.
    let text = format!("{generation:04}\u{e4}\u{f6}").repeat(bytes / 8 + 1);
    record.set_refresh_token(Secret::from(text.as_str()), SystemTime::UNIX_EPOCH);
    record
}

/// A store with a thread of its own, as another process would have.
fn open(keychain: &FakeKeychain, locks: &Path) -> KeyringStore {
    let worker = Worker::new(Arc::new(keychain.clone()));
    KeyringStore::builder().lock_folder(locks).deadline(SOON).over(worker).unwrap()
}

struct Place {
    keychain: FakeKeychain,
    locks: tempfile::TempDir,
}

impl Place {
    fn new(limit: Option<usize>) -> Self {
        Self { keychain: FakeKeychain::with_limit(limit), locks: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> KeyringStore {
        open(&self.keychain, &self.locks.path().join("locks"))
    }

    async fn lease(&self) -> Box<dyn TokenLease> {
        self.open().lease(&key(), SOON).await.unwrap()
    }

    async fn save(&self, record: &LoginRecord) {
        self.lease().await.save(record).await.unwrap();
    }

    /// The ends of the entries' names.
    fn entries(&self) -> Vec<String> {
        let name = name_of(&key());
        let users = self.keychain.users();
        users.iter().map(|user| user.strip_prefix(&name).unwrap().to_owned()).collect()
    }

    /// Waits until the thread has done what nobody waits for, and the lock is free.
    async fn settle(&self) {
        drop(self.open().lease(&key(), SOON).await.unwrap());
    }
}

#[cfg(feature = "contract-tests")]
mod contract {
    use super::*;

    async fn check(limit: Option<usize>) {
        let place = Place::new(limit);
        let (keychain, locks) = (place.keychain.clone(), place.locks.path().join("locks"));
        crate::contract::run(move || {
            let store = open(&keychain, &locks);
            async move { Box::new(store) as Box<dyn TokenStore> }
        })
        .await;
        assert_eq!(place.keychain.users(), Vec::<String>::new(), "entries were left behind");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_store_keeps_it_over_a_keychain_without_limit() {
        check(None).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_store_keeps_it_over_2560_bytes() {
        check(Some(SMALL)).await;
    }

    #[tokio::test]
    async fn the_store_keeps_it_over_2560_bytes_on_one_thread() {
        check(Some(SMALL)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_store_keeps_it_over_very_small_entries() {
        check(Some(400)).await;
    }
}

#[tokio::test]
async fn a_small_record_is_one_entry_and_a_large_one_has_parts_of_alternating_halves() {
    let place = Place::new(Some(SMALL));
    place.save(&record(1, 100)).await;
    assert_eq!(place.entries(), [""]);
    place.save(&record(2, 6_000)).await;
    assert_eq!(place.entries(), ["", ".a1", ".a2", ".a3"]);
    place.save(&record(3, 3_000)).await;
    assert_eq!(place.entries(), ["", ".b1", ".b2"]);
    place.save(&record(4, 6_000)).await;
    assert_eq!(place.entries(), ["", ".a1", ".a2", ".a3"]);
    place.save(&record(5, 100)).await;
    assert_eq!(place.entries(), [""]);
    place.save(&record(6, 6_000)).await;
    place.lease().await.delete().await.unwrap();
    assert_eq!(place.entries(), [""; 0]);

    let label = place.keychain.state().labels.clone();
    assert!(label.is_empty());
    place.save(&record(7, 100)).await;
    let labels = place.keychain.state().labels.clone();
    assert_eq!(
        labels.values().next().unwrap(),
        r#"jeton: account "default" of client "my-client" at https://as.example"#
    );
}

#[tokio::test]
async fn without_a_limit_every_record_is_one_entry() {
    let place = Place::new(None);
    place.save(&record(1, 500_000)).await;
    assert_eq!(place.entries(), [""]);
}

#[tokio::test]
async fn parts_that_an_earlier_limit_made_are_read_and_swept_where_there_is_none() {
    let place = Place::new(Some(SMALL));
    place.save(&record(1, 6_000)).await;
    place.keychain.set(|state| state.limit = None);
    assert_eq!(place.open().load(&key()).await.unwrap(), Some(record(1, 6_000)));
    place.save(&record(2, 6_000)).await;
    assert_eq!(place.entries(), [""]);
}

/// What one process does that dies at some call.
#[derive(Clone, Copy, Debug)]
enum Step {
    Save(usize),
    ReserveAndSave(usize),
    Delete,
}

/// Dies at each call of the step in turn, over a login of that size, or none.
async fn crash_at_each_call(limit: usize, before: Option<usize>, step: Step) -> u64 {
    for dead_from in 1.. {
        let place = Place::new(Some(limit));
        if let Some(bytes) = before {
            place.save(&record(1, bytes)).await;
        }
        let calls_before = place.keychain.state().calls;
        place.keychain.set(|state| state.dead_from = Some(calls_before + dead_from));
        let outcome = {
            let mut lease = place.lease().await;
            match step {
                Step::Save(bytes) => lease.save(&record(2, bytes)).await,
                Step::ReserveAndSave(bytes) => match lease.reserve(record(2, bytes).to_json().len()).await {
                    Ok(()) => lease.save(&record(2, bytes)).await,
                    Err(error) => Err(error),
                },
                Step::Delete => lease.delete().await,
            }
        };
        let died = place.keychain.state().calls >= calls_before + dead_from;
        // Another process comes after it.
        place.keychain.set(|state| state.dead_from = None);
        place.settle().await;
        let old = before.map(|bytes| record(1, bytes));
        let new = match step {
            Step::Save(bytes) | Step::ReserveAndSave(bytes) => Some(record(2, bytes)),
            Step::Delete => None,
        };
        let found = place.open().load(&key()).await.unwrap();
        let when = format!("{step:?} over {before:?}, dead from call {dead_from}: {outcome:?}");
        assert!(found == old || found == new, "{when}: neither the old record nor the new one");
        if outcome.is_ok() {
            assert!(found == new, "{when}: what was done is gone");
        }
        assert_eq!(place.lease().await.load().await.unwrap(), found, "{when}");

        // What it left behind goes with the next save, and with the next log-out.
        place.save(&record(3, 100)).await;
        assert_eq!(place.entries(), [""], "{when}");
        assert_eq!(place.open().load(&key()).await.unwrap(), Some(record(3, 100)), "{when}");
        if !died {
            return dead_from - 1;
        }
    }
    unreachable!("the step ends some time")
}

#[tokio::test]
async fn a_crash_at_any_call_leaves_the_old_record_or_the_new_one_and_leftovers_are_swept() {
    let mut points = 0;
    for before in [None, Some(100), Some(6_000), Some(12_000)] {
        for step in [
            Step::Save(100),
            Step::Save(6_000),
            Step::Save(12_000),
            Step::ReserveAndSave(100),
            Step::ReserveAndSave(6_000),
            Step::Delete,
        ] {
            points += crash_at_each_call(SMALL, before, step).await;
        }
    }
    assert!(points > 200, "{points}");
}

#[tokio::test]
async fn a_log_out_sweeps_what_a_crash_left_also_where_there_is_no_login() {
    for dead_from in 2..6 {
        let place = Place::new(Some(SMALL));
        place.keychain.set(|state| state.dead_from = Some(dead_from));
        assert!(place.lease().await.save(&record(1, 12_000)).await.is_err());
        place.keychain.set(|state| state.dead_from = None);
        assert_eq!(place.open().load(&key()).await.unwrap(), None);
        place.lease().await.delete().await.unwrap();
        assert_eq!(place.entries(), [""; 0], "dead from {dead_from}");
    }
}

#[tokio::test]
async fn a_save_that_failed_is_right_when_it_is_done_again_under_the_same_lease() {
    let calls = crash_at_each_call(SMALL, Some(6_000), Step::Save(12_000)).await;
    for dead_from in 1..=calls {
        let place = Place::new(Some(SMALL));
        place.save(&record(1, 6_000)).await;
        let mut lease = place.lease().await;
        let calls_before = place.keychain.state().calls;
        place.keychain.set(|state| state.dead_from = Some(calls_before + dead_from));
        let _ = lease.save(&record(2, 12_000)).await;
        place.keychain.set(|state| state.dead_from = None);
        lease.save(&record(3, 12_000)).await.unwrap();
        assert_eq!(lease.load().await.unwrap(), Some(record(3, 12_000)));
        assert_eq!(place.entries().len(), 1 + 5, "dead from {dead_from}: {:?}", place.entries());
    }
}

#[tokio::test]
async fn a_missing_or_changed_part_is_damage_and_a_new_login_replaces_it() {
    let name = ("jeton".to_owned(), format!("{}.a2", name_of(&key())));
    for fault in ["missing", "changed", "empty"] {
        let place = Place::new(Some(SMALL));
        place.save(&record(1, 6_000)).await;
        place.keychain.set(|state| {
            match fault {
                "missing" => state.entries.remove(&name),
                "empty" => state.entries.insert(name.clone(), Vec::new()),
                _ => state.entries.insert(name.clone(), b"another".to_vec()),
            };
        });
        let damaged = |result| matches!(result, Err(StoreError::Damaged { .. }));
        assert!(damaged(place.open().load(&key()).await), "{fault}");
        let mut lease = place.lease().await;
        assert!(damaged(lease.load().await), "{fault}");
        assert!(damaged(lease.load().await), "{fault}: time and again");
        lease.save(&record(2, 100)).await.unwrap();
        assert_eq!(lease.load().await.unwrap(), Some(record(2, 100)));
        assert_eq!(
            place.entries(),
            if fault == "missing" { vec!["", ".a3", ".damaged"] } else { vec!["", ".damaged"] }
        );
    }
}

#[tokio::test]
async fn what_is_no_record_is_damage_and_is_kept_as_evidence() {
    let place = Place::new(None);
    let head = ("jeton".to_owned(), name_of(&key()));
    place.keychain.set(|state| drop(state.entries.insert(head.clone(), b"what is this".to_vec())));
    assert!(matches!(place.open().load(&key()).await, Err(StoreError::Damaged { .. })));
    place.save(&record(1, 100)).await;
    assert_eq!(place.entries(), ["", ".damaged"]);
    let evidence = ("jeton".to_owned(), format!("{}.damaged", name_of(&key())));
    assert_eq!(place.keychain.state().entries[&evidence], b"what is this");
    place.lease().await.delete().await.unwrap();
    assert_eq!(place.entries(), [".damaged"]);
    assert_eq!(place.open().load(&key()).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_later_version_wrote_is_neither_read_nor_replaced() {
    for later in [
        r#"{"format":"jeton-login-parts","version":2}"#,
        r#"{"format":"jeton-login","version":2}"#,
        r#"{"format":"jeton-sealed-login","version":1}"#,
    ] {
        let place = Place::new(Some(SMALL));
        let head = ("jeton".to_owned(), name_of(&key()));
        place.keychain.set(|state| drop(state.entries.insert(head.clone(), later.into())));
        let mut lease = place.lease().await;
        let newer = |result: Result<(), StoreError>| matches!(result, Err(StoreError::NewerFormat { .. }));
        assert!(newer(place.open().load(&key()).await.map(drop)), "{later}");
        assert!(newer(lease.load().await.map(drop)), "{later}");
        assert!(newer(lease.reserve(10).await), "{later}");
        assert!(newer(lease.save(&record(1, 100)).await), "{later}");
        assert!(newer(lease.delete().await), "{later}");
        assert_eq!(place.keychain.state().entries[&head], later.as_bytes());
    }
}

#[tokio::test]
async fn an_entry_of_no_bytes_is_never_taken_for_a_login_nor_for_none() {
    let place = Place::new(None);
    place.save(&record(1, 100)).await;
    place.keychain.set(|state| state.gives_nothing = true);
    let load = place.open().load(&key()).await;
    assert!(matches!(&load, Err(StoreError::Damaged { what, .. }) if what.contains("empty")), "{load:?}");
    place.keychain.set(|state| state.gives_nothing = false);
    assert_eq!(place.open().load(&key()).await.unwrap(), Some(record(1, 100)));
}

#[tokio::test]
async fn a_locked_or_read_only_keychain_is_met_before_anything_is_sent() {
    for (before, bytes) in [(None, 100), (Some(100), 100), (Some(100), 6_000), (Some(6_000), 6_000)] {
        let place = Place::new(Some(SMALL));
        if let Some(bytes) = before {
            place.save(&record(1, bytes)).await;
        }
        let mut lease = place.lease().await;
        lease.load().await.unwrap();
        place.keychain.set(|state| state.read_only = true);
        let refused = lease.reserve(bytes).await;
        assert!(matches!(refused, Err(StoreError::Keychain { .. })), "{refused:?}");
        place.keychain.set(|state| (state.read_only, state.locked) = (false, true));
        let refused = lease.reserve(bytes).await;
        assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
        place.keychain.set(|state| state.locked = false);
        lease.reserve(bytes).await.unwrap();
    }
}

#[tokio::test]
async fn room_that_was_not_used_is_given_back() {
    for bytes in [100, 12_000] {
        let place = Place::new(Some(SMALL));
        place.save(&record(1, 6_000)).await;
        let entries = place.entries();
        let mut lease = place.lease().await;
        lease.reserve(bytes).await.unwrap();
        assert!(place.entries().len() > entries.len(), "nothing was written for {bytes} bytes");
        assert_eq!(place.open().load(&key()).await.unwrap(), Some(record(1, 6_000)));
        drop(lease);
        place.settle().await;
        assert_eq!(place.entries(), entries);
    }
}

#[tokio::test]
async fn a_refresh_takes_as_many_calls_as_is_documented() {
    let calls_of = async |limit, bytes: usize| {
        let place = Place::new(limit);
        place.save(&record(1, bytes)).await;
        let before = place.keychain.state().calls;
        let mut lease = place.lease().await;
        lease.load().await.unwrap();
        lease.reserve(record(2, bytes).to_json().len()).await.unwrap();
        lease.save(&record(2, bytes)).await.unwrap();
        drop(lease);
        let calls = place.keychain.state().calls - before;
        place.settle().await;
        assert_eq!(place.keychain.state().calls - before, calls, "more was done after the lease");
        calls
    };
    // Read, make room, write, remove the room.
    assert_eq!(calls_of(None, 6_000).await, 4);
    // And a look for leftovers in each half.
    assert_eq!(calls_of(Some(SMALL), 100).await, 4 + 2);
    // Three parts to read, room for three, written, removed from the other half after a look; and no room to remove.
    assert_eq!(calls_of(Some(SMALL), 6_000).await, (1 + 3) + 3 + (3 + 1) + 1 + 1 + (3 + 1 + 3));
}

/// On a busy machine a short deadline passes before the call is begun, and then it never happens: it is made again.
async fn again_until<T>(mut call: impl AsyncFnMut() -> T, right: impl Fn(&T) -> bool) {
    for _ in 0..200 {
        if right(&call().await) {
            return;
        }
    }
    panic!("in vain");
}

fn hangs(saved: &Result<(), StoreError>) -> bool {
    matches!(saved, Err(StoreError::TimedOut { pending: true, .. }))
}

#[tokio::test]
async fn a_timed_out_write_keeps_the_lease_until_it_has_ended() {
    let place = Place::new(None);
    place.save(&record(1, 100)).await;
    let worker = Worker::new(Arc::new(place.keychain.clone()));
    let locks = place.locks.path().join("locks");
    let hasty = KeyringStore::builder()
        .lock_folder(&locks)
        .deadline(Duration::from_millis(400))
        .over(worker)
        .unwrap();
    let mut lease = hasty.lease(&key(), SOON).await.unwrap();
    again_until(async || lease.load().await, Result::is_ok).await;
    place.keychain.set(|state| state.hangs = true);
    again_until(async || lease.save(&record(2, 100)).await, hangs).await;
    drop((lease, hasty));
    let other = place.open();
    match other.lease(&key(), Duration::from_millis(50)).await {
        Err(StoreError::LeaseTimeout { holder: Some(holder), .. }) => {
            assert_eq!(holder.pid, std::process::id())
        }
        other => panic!("a write that may still come met a new holder: {other:?}"),
    }
    place.keychain.set(|state| state.hangs = false);
    let mut lease = other.lease(&key(), SOON).await.unwrap();
    assert_eq!(lease.load().await.unwrap(), Some(record(2, 100)));
}

#[tokio::test]
async fn a_write_that_hangs_for_good_is_never_overtaken_by_another_of_the_same_lease() {
    let place = Place::new(None);
    place.save(&record(1, 100)).await;
    let worker = Worker::new(Arc::new(place.keychain.clone()));
    let locks = place.locks.path().join("locks");
    let hasty = KeyringStore::builder()
        .lock_folder(&locks)
        .deadline(Duration::from_millis(100))
        .over(worker)
        .unwrap();
    let mut lease = hasty.lease(&key(), SOON).await.unwrap();
    again_until(async || lease.load().await, Result::is_ok).await;
    place.keychain.set(|state| state.hangs = true);
    again_until(async || lease.save(&record(2, 100)).await, hangs).await;
    place.keychain.wait_for_hanging(1);
    // Until the thread is given up; the new one finds that the write before it has not ended.
    let refused_at_once = |saved: &Result<(), StoreError>| matches!(saved, Err(StoreError::TimedOut { pending: false, waited, .. }) if waited.is_zero());
    again_until(async || lease.save(&record(3, 100)).await, refused_at_once).await;
    assert_eq!(place.keychain.state().waiting, 1);
    place.keychain.set(|state| state.hangs = false);
    // It comes through in the end, and then the next one may.
    again_until(async || lease.save(&record(4, 100)).await, Result::is_ok).await;
    assert_eq!(place.open().load(&key()).await.unwrap(), Some(record(4, 100)));
}

#[tokio::test]
async fn a_listing_shows_what_cannot_be_read_and_leaves_others_entries_alone() {
    let place = Place::new(Some(SMALL));
    let store = place.open();
    let keys: Vec<LoginKey> = (0..40).map(|number| key().with_account(number.to_string())).collect();
    for key in &keys {
        let mut record = LoginRecord::new(key.clone(), SystemTime::UNIX_EPOCH);
        record.set_refresh_token(Secret::from("x".repeat(3_000).as_str()), SystemTime::UNIX_EPOCH);
        store.lease(key, SOON).await.unwrap().save(&record).await.unwrap();
    }
    let entry = |user: &str| ("jeton".to_owned(), user.to_owned());
    let stranger = key().with_account("stranger");
    place.keychain.set(|state| {
        state.entries.insert(entry("sealing-key"), b"no login".to_vec());
        state.entries.insert(entry(&format!("login-{}", "0".repeat(64))), b"damaged".to_vec());
        state.entries.insert(("another".to_owned(), name_of(&stranger)), b"of another service".to_vec());
        let record = LoginRecord::new(key(), SystemTime::UNIX_EPOCH);
        state.entries.insert(entry(&name_of(&stranger)), record.to_json().to_vec());
    });
    let (mut seen, mut errors) = (Vec::new(), Vec::new());
    let mut listing = store.list();
    while let Some(found) = listing.next().await {
        match found {
            Ok(key) => seen.push(key),
            Err(error) => errors.push(error),
        }
    }
    assert!(listing.next().await.is_none());
    seen.sort();
    let mut keys = keys;
    keys.sort();
    assert_eq!(seen, keys);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| matches!(error, StoreError::Damaged { .. })));
    assert!(errors.iter().any(|error| matches!(error, StoreError::WrongKey { .. })));

    place.keychain.set(|state| state.locked = true);
    let mut listing = store.list();
    assert!(matches!(listing.next().await, Some(Err(StoreError::Locked { .. }))));
    assert!(listing.next().await.is_none());
}

#[tokio::test]
async fn a_connection_that_breaks_during_a_listing_is_not_taken_for_no_logins() {
    let place = Place::new(None);
    place.save(&record(1, 100)).await;
    let store = place.open();
    assert_eq!(store.list().next().await.unwrap().unwrap(), key());
    place.keychain.set(|state| state.restarts_in_listing = true);
    assert_eq!(store.list().next().await.expect("the login is not listed").unwrap(), key());
}

#[tokio::test]
async fn a_look_asks_nobody_and_writes_nothing() {
    let place = Place::new(None);
    let store = place.open();
    store.check().await.unwrap();
    place.keychain.set(|state| (state.locked, state.person_unlocks) = (true, true));
    assert!(matches!(store.check().await, Err(StoreError::Locked { .. })));
    assert_eq!(place.keychain.state().asked, 0);
    place.keychain.set(|state| state.absent = true);
    assert!(matches!(store.check().await, Err(StoreError::NoKeychain { .. })));
    assert_eq!(place.keychain.state().calls, 0);
}

#[tokio::test]
async fn two_services_are_apart() {
    let place = Place::new(None);
    let worker = Worker::new(Arc::new(place.keychain.clone()));
    let locks = place.locks.path().join("locks");
    let open = |service: &str| {
        let builder = KeyringStore::builder().service(service).lock_folder(&locks).deadline(SOON);
        builder.over(Arc::clone(&worker)).unwrap()
    };
    let (one, other) = (open("one"), open("other"));
    let mut lease = one.lease(&key(), SOON).await.unwrap();
    let _not_hindered = other.lease(&key(), Duration::ZERO).await.unwrap();
    lease.save(&record(1, 100)).await.unwrap();
    assert_eq!(other.load(&key()).await.unwrap(), None);
    assert!(other.list().next().await.is_none());
}

#[tokio::test]
async fn no_secret_shows() {
    let place = Place::new(None);
    let secret = "MARKER-of-a-secret";
    let head = ("jeton".to_owned(), name_of(&key()));
    place.keychain.set(|state| drop(state.entries.insert(head, format!("{secret}{{").into())));
    let error = place.open().load(&key()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("MARKER"), "{error:?}");
}

#[test]
fn the_description_names_the_keychain_and_the_service() {
    let place = Place::new(None);
    let store = place.open();
    assert_eq!(
        store.describe().to_string(),
        "fake keychain at the service \"jeton\" (kept across restarts, encrypted, shared with the programs of this user)"
    );
    assert!(KeyringStore::open("no spaces").is_err());
}
