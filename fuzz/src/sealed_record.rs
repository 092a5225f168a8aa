//! A sealed login, through the store that keeps it: nothing opens but what was sealed, and what does not open stays as it
//! is.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use jeton_storage::{LoginKey, LoginRecord, SealedStore, SealingKey, StoreError, TokenLease, TokenStore};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::runtime::{Builder, Runtime};

use super::property::is_fit_to_be_shown;

/// A login sealed with the key below.
const SEALED: &str = include_str!("../../crates/storage/tests/golden/sealed-login-v1.json");

thread_local! {
    static PLACE: Place = Place::new();
}

/// A store with one login. It is made once for each thread, because making folders and files safely takes milliseconds.
struct Place {
    runtime: Runtime,
    store: SealedStore,
    key: LoginKey,
    path: PathBuf,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let bytes: Vec<u8> = (1..=32).collect();
        let store = SealedStore::with_key(
            folder.path().join("sealed"),
            SealingKey::from_bytes(&bytes).expect("a key"),
        );
        let key = LoginKey::new(&"https://as.example".parse().expect("an issuer"), "my-client")
            .with_account("work");
        // Whoever takes a lease makes the folder, and makes it private. The file has to be, too.
        drop(runtime.block_on(store.lease(&key, Duration::ZERO)).expect("nobody else is here"));
        let path = store.path().join(format!("login-{}.json", key.digest()));
        NamedTempFile::new_in(store.path()).and_then(|file| Ok(file.persist(&path)?)).expect("a file");
        Self { runtime, store, key, path, _folder: folder }
    }

    async fn meet(&self, data: &[u8]) {
        std::fs::write(&self.path, data).expect("room");
        let listed = self.store.list().next().await.expect("one file");
        let error = match self.store.load(&self.key).await {
            Ok(record) => {
                // The seal is bound to all that stands around it.
                let found: Value = serde_json::from_slice(data).expect("what opens is JSON");
                let sealed: Value = serde_json::from_str(SEALED).expect("JSON");
                assert_eq!(found, sealed, "a forgery opens");
                assert_eq!(record.expect("a file is there").key, self.key);
                assert_eq!(listed.ok().as_ref(), Some(&self.key));
                return;
            }
            Err(error) => error,
        };
        assert!(
            matches!(
                error,
                StoreError::SealBroken { .. }
                    | StoreError::NotSealed { .. }
                    | StoreError::WrongSealingKey { .. }
                    | StoreError::NewerFormat { .. }
            ),
            "{error:?}"
        );
        assert!(listed.is_err(), "a login is listed that does not open");
        is_fit_to_be_shown(&error);
        // Taking a lease writes and syncs, which would be nearly all that a fuzzer does: for some inputs only.
        if data.len() % 64 == 63 {
            let lease = self.store.lease(&self.key, Duration::ZERO).await.expect("nobody else is here");
            is_not_replaced(lease, LoginRecord::new(self.key.clone(), UNIX_EPOCH)).await;
        }
        assert_eq!(std::fs::read(&self.path).expect("it is still there"), data, "it was changed");
    }
}

/// Checks one input: what the store finds in the file.
pub fn check(data: &[u8]) {
    PLACE.with(|place| place.runtime.block_on(place.meet(data)));
}

/// It may be all that is left of a login: nothing replaces it, least of all by the way.
async fn is_not_replaced(mut lease: Box<dyn TokenLease>, record: LoginRecord) {
    assert!(lease.load().await.is_err());
    assert!(lease.reserve(10).await.is_err());
    assert!(lease.save(&record).await.is_err());
    assert!(lease.delete().await.is_err());
}
