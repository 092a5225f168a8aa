//! Sealed stores over a keychain of the tests: the first key, its loss, rotation, and a death at each point of both.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::Secret;
use zeroize::Zeroizing;

use super::envelope::{Sealed, key_id_of};
use super::source::{KeyPlace, Source};
use super::{SealedStore, SealingKey};
use crate::{LoginKey, LoginRecord, StoreError, TokenStore};

const SOON: Duration = Duration::from_secs(30);

/// A keychain that fails when it is told to; clones share it.
#[derive(Clone, Default)]
struct FakePlace(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: HashMap<String, Vec<u8>>,
    locked: bool,
    forgets: bool,
    /// How many more writes succeed; then none does.
    writes_left: Option<usize>,
    /// Whether the write that fails happens all the same, as after a deadline.
    fails_late: bool,
}

impl FakePlace {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().entries.values().cloned().collect()
    }

    /// How many keys the only entry holds.
    fn keys(&self) -> usize {
        let entries = self.entries();
        assert_eq!(entries.len(), 1);
        super::ring::Ring::from_json(&entries[0]).unwrap().keys().count()
    }

    fn writes(state: &mut State) -> bool {
        let fails = state.locked || state.writes_left == Some(0);
        state.writes_left = state.writes_left.map(|left| left.saturating_sub(1));
        !fails
    }
}

#[async_trait]
impl KeyPlace for FakePlace {
    async fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let state = self.0.lock().unwrap();
        match state.locked {
            true => Err(StoreError::Locked { what: "unlock it".to_owned() }),
            false => Ok(state.entries.get(entry).cloned().map(Zeroizing::new)),
        }
    }

    async fn set(&self, entry: &str, secret: Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        let works = Self::writes(&mut state);
        if (works || state.fails_late) && !state.forgets {
            state.entries.insert(entry.to_owned(), secret.to_vec());
        }
        match works {
            true => Ok(()),
            false => Err(StoreError::Locked { what: "unlock it".to_owned() }),
        }
    }

    async fn delete(&self, entry: &str) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        let works = Self::writes(&mut state);
        if works || state.fails_late {
            state.entries.remove(entry);
        }
        match works {
            true => Ok(()),
            false => Err(StoreError::Locked { what: "unlock it".to_owned() }),
        }
    }

    fn name(&self) -> String {
        "the keychain of the tests".to_owned()
    }
}

struct Place {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
    keychain: FakePlace,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("sealed");
        Self { _temporary: temporary, folder, keychain: FakePlace::default() }
    }

    /// As another process would open it.
    fn open(&self) -> SealedStore {
        SealedStore::new(&self.folder, Source::Keychain(Arc::new(self.keychain.clone())))
    }

    /// A folder with logins, each of its own account and generation.
    async fn with_logins(count: u64) -> Self {
        let place = Self::new();
        for generation in 0..count {
            save(&place.open(), &record(&generation.to_string(), generation)).await;
        }
        place
    }

    async fn assert_all_readable(&self, count: u64) {
        let store = self.open();
        for generation in 0..count {
            let found = store.load(&key(&generation.to_string())).await.unwrap().unwrap();
            assert_eq!(found.generation, generation);
        }
        let mut listing = store.list();
        let mut listed = 0;
        while let Some(key) = listing.next().await {
            key.unwrap();
            listed += 1;
        }
        assert_eq!(listed, count);
    }

    fn file(&self, account: &str) -> PathBuf {
        self.folder.join(format!("login-{}.json", key(account).digest()))
    }

    fn key_id(&self, account: &str) -> String {
        key_id_of(&fs::read(self.file(account)).unwrap(), Path::new("x")).unwrap()
    }
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(account: &str, generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(account), SystemTime::now());
    record.generation = generation;
    record.set_refresh_token(Secret::from("r3fr3sh"), SystemTime::now());
    record
}

async fn save(store: &SealedStore, record: &LoginRecord) {
    store.lease(&record.key, SOON).await.unwrap().save(record).await.unwrap();
}

#[cfg(feature = "contract-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_its_key_in_a_keychain_keeps_the_contract() {
    let place = Place::new();
    let (folder, keychain) = (place.folder.clone(), place.keychain.clone());
    crate::contract::run(move || {
        let store = SealedStore::new(&folder, Source::Keychain(Arc::new(keychain.clone())));
        async move { Box::new(store) as Box<dyn TokenStore> }
    })
    .await;
    assert_eq!(place.keychain.keys(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_begin_together_agree_on_one_key() {
    for _ in 0..20 {
        let place = Place::new();
        let tasks: Vec<_> = (0..8)
            .map(|number: u64| {
                let store = place.open();
                tokio::spawn(async move { save(&store, &record(&number.to_string(), number)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(place.keychain.keys(), 1);
        place.assert_all_readable(8).await;
    }
}

#[tokio::test]
async fn nothing_is_asked_before_there_is_something_to_open() {
    let place = Place::new();
    place.keychain.set(|state| state.locked = true);
    assert_eq!(place.open().load(&key("a")).await.unwrap(), None);
    assert!(place.open().list().next().await.is_none());
    assert!(!place.folder.exists());
    let mut lease = place.open().lease(&key("a"), SOON).await.unwrap();
    assert_eq!(lease.load().await.unwrap(), None);
    // And before a refresh token is used up it is found that nothing could be saved.
    assert!(matches!(lease.reserve(10).await, Err(StoreError::Locked { .. })));
    assert!(matches!(lease.save(&record("a", 1)).await, Err(StoreError::Locked { .. })));
}

#[tokio::test]
async fn a_locked_keychain_is_never_taken_for_an_empty_one() {
    let place = Place::with_logins(1).await;
    let before = (place.keychain.entries(), fs::read(place.file("0")).unwrap());
    place.keychain.set(|state| state.locked = true);
    let store = place.open();
    assert!(matches!(store.load(&key("0")).await, Err(StoreError::Locked { .. })));
    let mut lease = store.lease(&key("0"), SOON).await.unwrap();
    for refused in [
        lease.load().await.map(drop),
        lease.reserve(1).await,
        lease.save(&record("0", 5)).await,
        lease.delete().await,
        store.unlock().await,
        store.rotate_key(SOON).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
    }
    drop(lease);
    assert_eq!(before, (place.keychain.entries(), fs::read(place.file("0")).unwrap()));
    place.keychain.set(|state| state.locked = false);
    // The same store goes on.
    assert_eq!(store.load(&key("0")).await.unwrap().unwrap().generation, 0);
}

#[tokio::test]
async fn a_keychain_that_lost_the_key_is_told_and_nothing_is_overwritten() {
    for lose_file in [false, true] {
        let place = Place::with_logins(2).await;
        match lose_file {
            true => fs::remove_file(place.folder.join("sealing.json")).unwrap(),
            false => place.keychain.set(|state| state.entries.clear()),
        }
        let before = fs::read(place.file("0")).unwrap();
        let (store, new) = (place.open(), key("new"));
        let mut lease = store.lease(&key("0"), SOON).await.unwrap();
        let mut new_lease = store.lease(&new, SOON).await.unwrap();
        for refused in [
            store.load(&key("0")).await.map(drop),
            lease.load().await.map(drop),
            lease.reserve(1).await,
            lease.save(&record("0", 5)).await,
            lease.delete().await,
            new_lease.save(&record("new", 1)).await,
            store.unlock().await,
            store.rotate_key(SOON).await.map(drop),
            store.list().next().await.unwrap().map(drop),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, StoreError::SealingKeyLost { .. }), "{error:?}");
            assert!(error.to_string().contains("from a backup"), "{error}");
        }
        assert_eq!(fs::read(place.file("0")).unwrap(), before);
        assert!(place.keychain.entries().len() <= 1 && !place.file("new").exists());
    }
}

#[tokio::test]
async fn a_key_that_was_lost_before_it_sealed_anything_is_made_anew() {
    let place = Place::with_logins(1).await;
    let store = place.open();
    store.lease(&key("0"), SOON).await.unwrap().delete().await.unwrap();
    place.keychain.set(|state| state.entries.clear());
    save(&place.open(), &record("0", 0)).await;
    place.assert_all_readable(1).await;
    // The store that had the lost key takes the new one up.
    save(&store, &record("1", 1)).await;
    place.assert_all_readable(2).await;
}

#[tokio::test]
async fn a_keychain_that_does_not_keep_what_it_took_seals_nothing() {
    let place = Place::new();
    place.keychain.set(|state| state.forgets = true);
    let refused = place.open().lease(&key("a"), SOON).await.unwrap().save(&record("a", 1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(!place.file("a").exists() && !place.folder.join("sealing.json").exists());
}

#[tokio::test]
async fn rotation_seals_everything_anew_and_others_take_the_key_up() {
    let place = Place::with_logins(5).await;
    let (reader, writer, lister) = (place.open(), place.open(), place.open());
    for store in [&reader, &writer, &lister] {
        store.load(&key("0")).await.unwrap().unwrap();
    }
    let (old, old_entry) = (place.key_id("0"), place.keychain.entries());
    let outcome = place.open().rotate_key(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.failed.len(), outcome.is_complete), (5, 0, true));
    assert_ne!(place.key_id("0"), old);
    assert_ne!(place.keychain.entries(), old_entry);
    assert_eq!(place.keychain.keys(), 1, "the old key is gone");
    place.assert_all_readable(5).await;

    for generation in 0..5 {
        assert!(reader.load(&key(&generation.to_string())).await.unwrap().is_some());
    }
    save(&writer, &record("5", 5)).await;
    assert_eq!(place.key_id("5"), place.key_id("0"));
    let mut listing = lister.list();
    let mut listed = 0;
    while let Some(found) = listing.next().await {
        found.unwrap();
        listed += 1;
    }
    assert_eq!(listed, 6);
    place.assert_all_readable(6).await;
}

#[tokio::test]
async fn a_listing_under_way_goes_on_with_the_new_key() {
    let place = Place::with_logins(100).await;
    let store = place.open();
    let mut listing = store.list();
    let mut listed = vec![listing.next().await.unwrap().unwrap()];
    place.open().rotate_key(SOON).await.unwrap();
    while let Some(found) = listing.next().await {
        listed.push(found.unwrap());
    }
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), 100);
}

#[tokio::test]
async fn a_death_at_each_write_of_a_rotation_loses_nothing_and_the_next_one_finishes() {
    for fails_late in [false, true] {
        let mut failures = 0;
        for writes in 0.. {
            let place = Place::with_logins(3).await;
            let before = place.open();
            before.unlock().await.unwrap();
            place.keychain.set(|state| (state.writes_left, state.fails_late) = (Some(writes), fails_late));
            let outcome = place.open().rotate_key(SOON).await;
            place.keychain.set(|state| state.writes_left = None);

            place.assert_all_readable(3).await;
            save(&before, &record("3", 3)).await;
            place.assert_all_readable(4).await;
            if outcome.is_ok() {
                break;
            }
            failures += 1;
            assert!(place.open().rotate_key(SOON).await.unwrap().is_complete);
            // What a death leaves behind is in nobody's way.
            let in_use = fs::read_to_string(place.folder.join("sealing.json")).unwrap();
            place.keychain.set(|state| state.entries.retain(|entry, _| in_use.contains(entry)));
            assert_eq!(place.keychain.keys(), 1);
            place.assert_all_readable(4).await;
        }
        assert_eq!(failures, 3, "both keys kept, the old entry removed, the new key kept alone");
    }
}

#[tokio::test]
async fn a_login_in_use_keeps_the_old_key_until_it_is_sealed_anew() {
    let place = Place::with_logins(3).await;
    let in_use = place.open();
    let mut lease = in_use.lease(&key("1"), SOON).await.unwrap();
    lease.load().await.unwrap().unwrap();
    let outcome = place.open().rotate_key(Duration::from_millis(20)).await.unwrap();
    assert_eq!((outcome.resealed, outcome.is_complete), (2, false));
    let [(path, StoreError::LeaseTimeout { .. })] = &outcome.failed[..] else { panic!("{outcome:?}") };
    assert_eq!(*path, place.file("1"));
    assert_eq!(place.keychain.keys(), 2);
    place.assert_all_readable(3).await;

    // It saves with the new key, under the lease that it took before.
    lease.save(&record("1", 1)).await.unwrap();
    drop(lease);
    assert_eq!(place.key_id("1"), place.key_id("0"));
    let outcome = place.open().reseal_all(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.is_complete), (0, true));
    assert_eq!(place.keychain.keys(), 1);
    place.assert_all_readable(3).await;
}

#[tokio::test]
async fn whoever_has_reserved_room_saves_with_the_key_that_was_current_then() {
    let place = Place::with_logins(1).await;
    let store = place.open();
    let mut lease = store.lease(&key("new"), SOON).await.unwrap();
    lease.reserve(1_000).await.unwrap();
    // Nobody can make another key current meanwhile: the login is not there yet, and would be missed.
    let refused = place.open().rotate_key(Duration::from_millis(20)).await.unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("writing"), "{refused}");
    lease.save(&record("new", 1)).await.unwrap();
    assert_eq!(place.key_id("new"), place.key_id("0"));
    drop(lease);
    let outcome = place.open().rotate_key(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.is_complete), (2, true));
    assert!(place.open().load(&key("new")).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_newer_version_sealed_is_sealed_anew_unread() {
    let place = Place::with_logins(1).await;
    let newer = br#"{"format":"jeton-login","version":2,"secret":"?"}"#;
    let store = place.open();
    store.unlock().await.unwrap();
    let digest = key("newer").digest();
    let contents = Sealed::new(store.keys.known()).seal(newer, &digest).unwrap();
    store.keys.folder.private().replace(&format!("login-{digest}.json"), &contents).unwrap();
    assert!(place.open().rotate_key(SOON).await.unwrap().is_complete);

    let store = place.open();
    assert!(matches!(store.load(&key("newer")).await, Err(StoreError::NewerFormat { .. })));
    let refused = store.lease(&key("newer"), SOON).await.unwrap().save(&record("newer", 1)).await;
    assert!(matches!(refused, Err(StoreError::NewerFormat { .. })));
    let unsealed = Sealed::new(store.keys.known());
    let unsealed = unsealed.unseal(&fs::read(place.file("newer")).unwrap(), &digest, Path::new("x")).unwrap();
    assert_eq!(*unsealed, newer);
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_key_and_stays() {
    let place = Place::with_logins(3).await;
    let broken = fs::read_to_string(place.file("1")).unwrap().replace("\"nonce\":\"", "\"nonce\":\"A");
    fs::write(place.file("1"), &broken).unwrap();
    let outcome = place.open().rotate_key(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.is_complete), (2, false));
    assert!(matches!(outcome.failed[..], [(_, StoreError::SealBroken { .. })]), "{outcome:?}");
    assert_eq!(fs::read_to_string(place.file("1")).unwrap(), broken);
    assert_eq!(place.keychain.keys(), 2);
}

#[tokio::test]
async fn a_folder_sealed_with_a_given_key_can_get_one_in_the_keychain() {
    let place = Place::new();
    let given = SealingKey::generate().unwrap();
    save(&SealedStore::with_key(&place.folder, given.clone()), &record("0", 0)).await;

    let refused = place.open().lease(&key("1"), SOON).await.unwrap().save(&record("1", 1)).await;
    assert!(matches!(refused, Err(StoreError::SealingKeyLost { .. })), "{refused:?}");
    let store = place.open().with_previous_keys([given.clone()]);
    assert_eq!(store.load(&key("0")).await.unwrap().unwrap().generation, 0);
    save(&store, &record("1", 1)).await;
    assert!(store.reseal_all(SOON).await.unwrap().is_complete);
    place.assert_all_readable(2).await;
    assert_eq!(place.keychain.keys(), 1);
    // And from then on the given key alone does not do.
    let given = SealedStore::with_key(&place.folder, given);
    assert!(matches!(given.load(&key("0")).await, Err(StoreError::WrongSealingKey { .. })));
    let refused = given.lease(&key("2"), SOON).await.unwrap().save(&record("2", 2)).await;
    assert!(matches!(refused, Err(StoreError::WrongSealingKey { .. })), "{refused:?}");
}

/// Polls on this thread, where file operations are done in place: a future is pending only where it waits for somebody.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
        std::thread::yield_now();
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn a_writer_that_waited_for_another_key_to_become_current_seals_with_that() {
    let place = block_on(Place::with_logins(1));
    let (store, rotator) = (place.open(), place.open());
    block_on(store.load(&key("0"))).unwrap().unwrap();
    let new = SealingKey::generate().unwrap();
    let mut lease = block_on(store.lease(&key("new"), SOON)).unwrap();
    {
        let closed = block_on(super::gate::close(rotator.keys.folder.private(), SOON)).unwrap();
        let mut reserve = std::pin::pin!(lease.reserve(10));
        assert!(poll_once(reserve.as_mut()).is_pending(), "it did not wait at the gate");
        let (_, old) = block_on(rotator.keys.kept()).unwrap();
        let ring = super::ring::Ring::new(&new, old.keys().cloned());
        let file = block_on(super::keys::keep_in_keychain(&place.keychain, &ring)).unwrap();
        block_on(rotator.keys.write_file(&file, closed)).unwrap();
        block_on(reserve).unwrap();
    }
    block_on(lease.save(&record("new", 1))).unwrap();
    assert_eq!(place.key_id("new"), new.id());
}

/// Lets a whole rotation happen between a look into the keys file and the look into the keychain.
struct RotatedMeanwhile(FakePlace, Mutex<Option<SealedStore>>);

#[async_trait]
impl KeyPlace for RotatedMeanwhile {
    async fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let rotator = self.1.lock().unwrap().take();
        if let Some(rotator) = rotator {
            assert!(rotator.rotate_key(SOON).await?.is_complete);
        }
        self.0.get(entry).await
    }

    async fn set(&self, entry: &str, secret: Zeroizing<Vec<u8>>) -> Result<(), StoreError> {
        KeyPlace::set(&self.0, entry, secret).await
    }

    async fn delete(&self, entry: &str) -> Result<(), StoreError> {
        self.0.delete(entry).await
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

#[tokio::test]
async fn keys_that_moved_to_another_entry_meanwhile_are_found_there() {
    let place = Place::with_logins(2).await;
    let meanwhile = || {
        let rotated = RotatedMeanwhile(place.keychain.clone(), Mutex::new(Some(place.open())));
        SealedStore::new(&place.folder, Source::Keychain(Arc::new(rotated)))
    };
    assert_eq!(meanwhile().load(&key("1")).await.unwrap().unwrap().generation, 1);
    let store = meanwhile();
    let mut listing = store.list();
    for _ in 0..2 {
        listing.next().await.unwrap().unwrap();
    }
}

/// A folder whose only key is lost but for the store that is given, and sealed nothing that is left.
async fn with_lost_key() -> (Place, SealedStore) {
    let place = Place::with_logins(1).await;
    let store = place.open();
    store.load(&key("0")).await.unwrap().unwrap();
    store.lease(&key("0"), SOON).await.unwrap().delete().await.unwrap();
    place.keychain.set(|state| state.entries.clear());
    (place, store)
}

#[test]
fn no_key_is_made_anew_while_somebody_may_seal_with_the_lost_one() {
    for seals in [false, true] {
        let (place, store) = block_on(with_lost_key());
        let keys_file = fs::read(place.folder.join("sealing.json")).unwrap();
        let mut writing = block_on(store.lease(&key("writer"), SOON)).unwrap();
        block_on(writing.reserve(10)).unwrap();

        let mut lease = block_on(place.open().lease(&key("other"), SOON)).unwrap();
        let mut reserve = std::pin::pin!(lease.reserve(10));
        assert!(poll_once(reserve.as_mut()).is_pending(), "it did not wait for the writer");
        if seals {
            block_on(writing.save(&record("writer", 1))).unwrap();
        }
        drop(writing);
        let reserved = block_on(reserve);
        let is_as_before = fs::read(place.folder.join("sealing.json")).unwrap() == keys_file;
        match seals {
            true => {
                assert!(matches!(reserved, Err(StoreError::SealingKeyLost { .. })), "{reserved:?}");
                assert!(is_as_before && place.keychain.entries().is_empty());
                assert!(block_on(store.load(&key("writer"))).unwrap().is_some());
            }
            false => {
                reserved.unwrap();
                assert!(!is_as_before);
                assert_eq!(place.keychain.keys(), 1);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_one_store_that_find_the_key_lost_do_not_wait_for_each_other_in_vain() {
    for _ in 0..20 {
        let (place, _) = with_lost_key().await;
        let store = place.open();
        let tasks: Vec<_> = (0..8)
            .map(|number: u64| {
                let store = store.clone();
                tokio::spawn(async move { save(&store, &record(&number.to_string(), number)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(place.keychain.keys(), 1);
        place.assert_all_readable(8).await;
    }
}

/// The one thread for file operations of a runtime, held and let go from outside.
struct FileThread(tokio::runtime::Runtime);

impl FileThread {
    fn new() -> Self {
        Self(tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap())
    }

    /// Until what is given is dropped, operations are queued and none begins.
    fn hold(&self) -> std::sync::mpsc::Sender<()> {
        let (held, dropped) = std::sync::mpsc::channel::<()>();
        drop(self.0.spawn_blocking(move || dropped.recv()));
        held
    }

    /// Waits until all operations that were queued have ended.
    fn settle(&self) {
        let (sender, reached) = std::sync::mpsc::channel();
        drop(self.0.spawn_blocking(move || sender.send(())));
        reached.recv().unwrap();
    }
}

/// Drops an operation at each of its file operations in turn. Where that one goes on and replaces the keys file, `locks`
/// must be held until then. Gives how many such writes there were.
fn writes_under_locks(
    locks: &[&str],
    change: impl AsyncFn(&SealedStore),
    prepare: impl AsyncFn() -> Place,
) -> usize {
    let mut writes = 0;
    for steps in 0.. {
        let place = block_on(prepare());
        let store = place.open();
        let thread = FileThread::new();
        let _entered = thread.0.enter();
        let keys_file = || fs::read(place.folder.join("sealing.json")).ok();
        let is_held = |lock: &&str| {
            let file = fs::File::open(place.folder.join(*lock));
            file.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
        };
        let mut changing = Box::pin(change(&store));
        for _ in 0..steps {
            let held = thread.hold();
            if poll_once(changing.as_mut()).is_ready() {
                return writes;
            }
            drop(held);
            thread.settle();
        }
        let (before, held) = (keys_file(), thread.hold());
        let is_ready = poll_once(changing.as_mut()).is_ready();
        drop(changing);
        let free: Vec<_> = locks.iter().filter(|lock| !is_held(lock)).collect();
        drop(held);
        thread.settle();
        if keys_file() != before && !is_ready {
            assert_eq!(free, [&""; 0], "let go of before the keys file was replaced");
            writes += 1;
        }
        assert!(!locks.iter().any(is_held), "held for longer than the write");
    }
    writes
}

#[test]
fn a_write_of_the_keys_file_that_nobody_waits_for_any_more_keeps_its_locks() {
    let unlock = async |store: &SealedStore| store.unlock().await.unwrap();
    let save_one = async |store: &SealedStore| save(store, &record("1", 1)).await;
    let rotate = async |store: &SealedStore| drop(store.rotate_key(SOON).await.unwrap());

    assert_eq!(writes_under_locks(&["sealing.lock", "sealing.gate"], unlock, async || Place::new()), 1);
    let lost = async || with_lost_key().await.0;
    assert_eq!(writes_under_locks(&["sealing.lock", "sealing.gate"], save_one, lost), 1);
    // The new key is made current, and the old one dropped.
    assert_eq!(writes_under_locks(&["rotation.lock"], rotate, async || Place::with_logins(1).await), 2);
}
