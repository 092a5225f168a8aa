//! Both stores pass the public contract, unchanged; every clause of it as a test of its own would say less about
//! `contract::run`, which is what strangers call.
#![cfg(all(feature = "contract-tests", any(feature = "memory", feature = "file")))]
#![allow(clippy::unwrap_used, reason = "tests")]

use jeton_storage::{TokenStore, contract};

#[cfg(feature = "memory")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_keeps_the_contract() {
    let storage = jeton_storage::MemoryStore::new();
    contract::run(move || {
        let storage = storage.clone();
        async move { Box::new(storage) as Box<dyn TokenStore> }
    })
    .await;
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn the_memory_store_keeps_the_contract_on_one_thread() {
    let storage = jeton_storage::MemoryStore::new();
    contract::run(move || {
        let storage = storage.clone();
        async move { Box::new(storage) as Box<dyn TokenStore> }
    })
    .await;
}

#[cfg(feature = "file")]
async fn check_file_store() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("deep").join("logins");
    contract::run({
        let folder = folder.clone();
        move || {
            let store = jeton_storage::FileStore::new(&folder);
            async move { Box::new(store) as Box<dyn TokenStore> }
        }
    })
    .await;
    // What is left are locks and the notes beside them.
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".lock") || name.ends_with(".holder"), "{name} was left behind");
    }
}

#[cfg(feature = "file")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_store_keeps_the_contract() {
    check_file_store().await;
}

#[cfg(feature = "file")]
#[tokio::test]
async fn the_file_store_keeps_the_contract_on_one_thread() {
    check_file_store().await;
}
