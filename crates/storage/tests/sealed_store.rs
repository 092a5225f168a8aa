//! The sealed store with keys given and from a passphrase: the contract, wrong keys, files that were changed, cut off or
//! swapped, plain ones in its place, passphrases that change.
#![cfg(feature = "sealed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{
    Argon2Cost, FileStore, LoginKey, LoginRecord, SealedStore, SealingKey, Sharing, StoreError, TokenStore,
};

const SOON: Duration = Duration::from_secs(30);

struct Place {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
    sealing_key: SealingKey,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("sealed");
        Self { _temporary: temporary, folder, sealing_key: SealingKey::generate().unwrap() }
    }

    fn store(&self) -> SealedStore {
        SealedStore::with_key(&self.folder, self.sealing_key.clone())
    }

    fn with_passphrase(&self, passphrase: &str) -> SealedStore {
        SealedStore::with_passphrase_of_cost(&self.folder, Secret::from(passphrase), cheap())
    }

    fn file(&self, key: &LoginKey) -> PathBuf {
        self.folder.join(format!("login-{}.json", key.digest()))
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock") && !name.ends_with(".holder"));
        names.sort();
        names
    }
}

/// The least that is allowed: these tests are not about guessing.
fn cheap() -> Argon2Cost {
    Argon2Cost::new(19, 2).unwrap()
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(key: &LoginKey, generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.generation = generation;
    record.set_refresh_token(Secret::from("r3fr3sh"), SystemTime::now());
    record
}

async fn save(store: &dyn TokenStore, record: &LoginRecord) {
    store.lease(&record.key, SOON).await.unwrap().save(record).await.unwrap();
}

/// Everything that a store can be asked about that login, with the same kind of refusal each time; the file stays.
async fn assert_refused(store: &dyn TokenStore, place: &Place, is_right: impl Fn(&StoreError) -> bool) {
    let key = key("default");
    let before = fs::read(place.file(&key)).unwrap();
    let names = place.names();
    let mut lease = store.lease(&key, SOON).await.unwrap();
    let mut refusals = vec![
        store.load(&key).await.map(drop),
        lease.load().await.map(drop),
        lease.reserve(10).await,
        lease.save(&record(&key, 99)).await,
        lease.delete().await,
        lease.load().await.map(drop),
    ];
    drop(lease);
    let mut listing = store.list();
    let mut listed = Vec::new();
    while let Some(found) = listing.next().await {
        listed.push(found.map(drop));
    }
    assert_eq!(listed.len(), names.iter().filter(|name| name.starts_with("login-")).count());
    refusals.extend(listed.into_iter().filter(Result::is_err));
    assert!(refusals.len() > 6, "the listing found nothing wrong");
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(is_right(&error), "{error:?}");
        assert!(!error.to_string().contains("r3fr3sh") && !error.is_transient(), "{error}");
    }
    assert_eq!(fs::read(place.file(&key)).unwrap(), before);
    assert_eq!(place.names(), names);
}

#[cfg(feature = "contract-tests")]
mod contract {
    use super::*;

    async fn check(open: impl Fn(&Place) -> SealedStore + Send + Sync + 'static) {
        let place = std::sync::Arc::new(Place::new());
        let shared = std::sync::Arc::clone(&place);
        jeton_storage::contract::run(move || {
            let store = open(&shared);
            async move { Box::new(store) as Box<dyn TokenStore> }
        })
        .await;
        // What is left are locks, and where the keys are.
        for name in place.names() {
            assert!(["sealing.json", "sealing.gate"].contains(&name.as_str()), "{name} was left behind");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_with_a_given_key_keeps_it() {
        check(Place::store).await;
    }

    #[tokio::test]
    async fn a_store_with_a_given_key_keeps_it_on_one_thread() {
        check(Place::store).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_with_a_passphrase_keeps_it() {
        check(|place| place.with_passphrase("correct horse")).await;
    }
}

#[tokio::test]
async fn nothing_can_be_read_in_the_folder_and_debug_shows_nothing() {
    let place = Place::new();
    let store = place.store();
    save(&store, &record(&key("some-account"), 1)).await;
    for name in place.names() {
        let text = String::from_utf8_lossy(&fs::read(place.folder.join(&name)).unwrap()).into_owned();
        for secret in ["r3fr3sh", "as.example", "my-client", "some-account"] {
            assert!(!text.contains(secret) && !name.contains(secret), "{name}: {text}");
        }
    }
    let description = store.describe();
    assert!(description.encrypted && description.persistent);
    assert_eq!(description.shared_with, Sharing::User);
    assert_eq!(description.location, place.folder.display().to_string());
    let passphrase = place.with_passphrase("p4ssphr4se");
    let shown = format!("{store:?} {:?} {passphrase:?}", place.sealing_key);
    let bytes = format!("{:?}", place.sealing_key.expose());
    assert!(!shown.contains("p4ssphr4se") && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

#[tokio::test]
async fn another_key_opens_nothing_and_overwrites_nothing() {
    let place = Place::new();
    save(&place.store(), &record(&key("default"), 1)).await;
    let other = SealedStore::with_key(&place.folder, SealingKey::generate().unwrap());
    assert_refused(&other, &place, |error| {
        matches!(error, StoreError::WrongSealingKey { .. })
            && error.to_string().contains(&place.sealing_key.id())
    })
    .await;
    assert_eq!(place.store().load(&key("default")).await.unwrap().unwrap().generation, 1);
    // It may have logins of its own beside those that it cannot read.
    save(&other, &record(&key("other"), 2)).await;
    assert!(matches!(place.store().load(&key("other")).await, Err(StoreError::WrongSealingKey { .. })));
}

#[tokio::test]
async fn what_was_changed_cut_off_or_swapped_stays_as_it_is() {
    type Damage = fn(&[u8]) -> Vec<u8>;
    let damages: [(&str, Damage); 6] = [
        ("empty", |_| Vec::new()),
        ("cut off", |good| good[..good.len() - 30].to_vec()),
        ("zeros", |good| vec![0; good.len()]),
        ("a bit", |good| {
            let mut bad = good.to_vec();
            let at = bad.len() - 20;
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            bad
        }),
        ("more behind", |good| [good, b"x"].concat()),
        ("another key's name", |good| {
            let text = std::str::from_utf8(good).unwrap();
            text.replace("XChaCha20-Poly1305\"", "XChaCha20-Poly1305\",\"x\":\"\"").into_bytes()
        }),
    ];
    for (name, damage) in damages {
        let place = Place::new();
        save(&place.store(), &record(&key("default"), 1)).await;
        let path = place.file(&key("default"));
        let damaged = damage(&fs::read(&path).unwrap());
        fs::write(&path, damaged).unwrap();
        assert_refused(&place.store(), &place, |error| {
            matches!(error, StoreError::SealBroken { .. })
                && error.to_string().contains("restore it from a backup")
        })
        .await;

        // Until somebody says so.
        let away = place.store().put_away(&key("default"), SOON).await.unwrap().unwrap();
        assert!(away.exists(), "{name}");
        assert_eq!(place.store().load(&key("default")).await.unwrap(), None);
        save(&place.store(), &record(&key("default"), 2)).await;
        assert_eq!(place.store().load(&key("default")).await.unwrap().unwrap().generation, 2);
        assert!(away.exists());
    }
    assert_eq!(Place::new().store().put_away(&key("default"), SOON).await.unwrap(), None);

    let place = Place::new();
    save(&place.store(), &record(&key("default"), 1)).await;
    save(&place.store(), &record(&key("other"), 2)).await;
    fs::copy(place.file(&key("other")), place.file(&key("default"))).unwrap();
    assert_refused(&place.store(), &place, |error| matches!(error, StoreError::SealBroken { .. })).await;
    assert_eq!(place.store().load(&key("other")).await.unwrap().unwrap().generation, 2);
}

#[tokio::test]
async fn plain_and_sealed_stores_leave_each_others_logins_alone() {
    let place = Place::new();
    let plain = FileStore::new(&place.folder);
    save(&plain, &record(&key("default"), 1)).await;
    assert_refused(&place.store(), &place, |error| {
        matches!(error, StoreError::NotSealed { .. }) && error.to_string().contains("transfer")
    })
    .await;

    let place = Place::new();
    let plain = FileStore::new(&place.folder);
    save(&place.store(), &record(&key("default"), 1)).await;
    assert_refused(&plain, &place, |error| matches!(error, StoreError::NewerFormat { .. })).await;
}

#[tokio::test]
async fn the_room_reserved_is_that_of_the_sealed_file() {
    let place = Place::new();
    for store in [place.store(), Place::new().with_passphrase("p")] {
        let record = record(&key("default"), 1);
        let mut lease = store.lease(&record.key, SOON).await.unwrap();
        lease.reserve(record.to_json().len()).await.unwrap();
        let file = |ending: &str| store.path().join(format!("login-{}.{ending}", record.key.digest()));
        let reserved = fs::metadata(file("tmp")).unwrap();
        lease.save(&record).await.unwrap();
        let saved = fs::metadata(file("json")).unwrap();
        assert_eq!(reserved.len(), saved.len());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(reserved.ino(), saved.ino(), "the save took the reserved room");
        }
    }
}

#[tokio::test]
async fn a_given_key_is_changed_with_the_previous_one_and_everything_sealed_again() {
    let place = Place::new();
    for account in ["a", "b", "c"] {
        save(&place.store(), &record(&key(account), 1)).await;
    }
    let new = SealingKey::generate().unwrap();
    let both =
        SealedStore::with_key(&place.folder, new.clone()).with_previous_keys([place.sealing_key.clone()]);
    assert_eq!(both.load(&key("a")).await.unwrap().unwrap().generation, 1);
    // A save is with the new one already.
    save(&both, &record(&key("a"), 2)).await;
    let only_new = SealedStore::with_key(&place.folder, new);
    assert_eq!(only_new.load(&key("a")).await.unwrap().unwrap().generation, 2);
    assert!(matches!(only_new.load(&key("b")).await, Err(StoreError::WrongSealingKey { .. })));

    let refused = both.rotate_key(SOON).await.unwrap_err();
    assert!(refused.to_string().contains("with_previous_keys"), "{refused}");
    let outcome = only_new.reseal_all(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.failed.len(), outcome.is_complete), (0, 2, false));
    let outcome = both.reseal_all(SOON).await.unwrap();
    assert_eq!((outcome.resealed, outcome.failed.len(), outcome.is_complete), (2, 0, true));
    for account in ["a", "b", "c"] {
        assert!(only_new.load(&key(account)).await.unwrap().is_some());
    }
    assert!(matches!(place.store().load(&key("b")).await, Err(StoreError::WrongSealingKey { .. })));
}

#[tokio::test]
async fn a_wrong_passphrase_is_told_and_a_changed_one_works() {
    let place = Place::new();
    let store = place.with_passphrase("correct horse");
    save(&store, &record(&key("default"), 1)).await;
    assert_refused(&place.with_passphrase("battery staple"), &place, |error| {
        matches!(error, StoreError::WrongSealingKey { .. }) && error.to_string().contains("passphrase")
    })
    .await;
    assert!(matches!(
        place.with_passphrase("battery staple").unlock().await,
        Err(StoreError::WrongSealingKey { .. })
    ));
    assert_refused(&place.with_passphrase(""), &place, |error| {
        matches!(error, StoreError::Unavailable { .. }) && error.to_string().contains("empty")
    })
    .await;
    // A given key in the same folder would be a second set.
    let given = place.store().lease(&key("other"), SOON).await.unwrap().save(&record(&key("other"), 1)).await;
    assert!(matches!(given, Err(StoreError::WrongSealingKey { .. })));

    let cost = Argon2Cost::new(20, 2).unwrap();
    let changed = store.change_passphrase(Secret::from("new"), cost, SOON).await.unwrap();
    assert_eq!(changed.load(&key("default")).await.unwrap().unwrap().generation, 1);
    assert!(matches!(
        place.with_passphrase("correct horse").load(&key("default")).await,
        Err(StoreError::WrongSealingKey { .. })
    ));
    // The cost is the folder's.
    assert!(place.with_passphrase("new").load(&key("default")).await.unwrap().is_some());
    assert!(fs::read_to_string(place.folder.join("sealing.json")).unwrap().contains("\"memory_kib\":20480"));
    assert!(matches!(
        store.change_passphrase(Secret::from("newer"), cost, SOON).await,
        Err(StoreError::WrongSealingKey { .. })
    ));
    assert!(changed.change_passphrase(Secret::from(""), cost, SOON).await.is_err());
    assert!(place.store().change_passphrase(Secret::from("x"), cost, SOON).await.is_err());

    // Another key beneath the same passphrase.
    let outcome = changed.rotate_key(SOON).await.unwrap();
    assert!(outcome.is_complete && outcome.resealed == 1, "{outcome:?}");
    // Whoever has the old keys in memory, and not the new passphrase, is told so.
    assert!(matches!(store.load(&key("default")).await, Err(StoreError::WrongSealingKey { .. })));
    assert!(place.with_passphrase("new").load(&key("default")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_keys_file_that_was_changed_opens_nothing_and_stays() {
    let place = Place::new();
    save(&place.with_passphrase("p"), &record(&key("default"), 1)).await;
    let path = place.folder.join("sealing.json");
    let good = fs::read_to_string(&path).unwrap();
    let current = good.split("\"current\":\"").nth(1).unwrap()[..32].to_owned();
    for (bad, is_newer) in [
        (String::new(), false),
        (good[..good.len() - 9].to_owned(), false),
        (good.replace(&current, &"0".repeat(32)), false),
        (good.replace("\"passes\":2", "\"passes\":1"), false),
        (good.replace("\"passes\":2", "\"passes\":101"), false),
        (good.replace("\"memory_kib\":19456", "\"memory_kib\":4294967295"), false),
        (good.replace("\"lanes\":1", "\"lanes\":4"), false),
        (good.replace("\"nonce\":\"", "\"nonce\":\"A"), false),
        (good.replace("\"version\":1", "\"version\":2"), true),
        (good.replace("\"source\":\"passphrase\"", "\"source\":\"yubikey\""), true),
    ] {
        assert_ne!(bad, good);
        fs::write(&path, &bad).unwrap();
        assert_refused(&place.with_passphrase("p"), &place, |error| match error {
            StoreError::NewerFormat { .. } => is_newer,
            StoreError::SealBroken { .. } | StoreError::WrongSealingKey { .. } => !is_newer,
            _ => false,
        })
        .await;
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, good).unwrap();
    assert!(place.with_passphrase("p").load(&key("default")).await.unwrap().is_some());
}

#[test]
fn it_works_without_any_runtime() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut cx = std::task::Context::from_waker(&waker);
    let mut life = std::pin::pin!(async {
        let place = Place::new();
        for store in [place.store(), Place::new().with_passphrase("p")] {
            save(&store, &record(&key("default"), 1)).await;
            assert!(store.load(&key("default")).await.unwrap().is_some());
            assert!(store.list().next().await.unwrap().is_ok());
        }
    });
    while life.as_mut().poll(&mut cx).is_pending() {
        std::thread::park();
    }
}
