//! The keyring store over a real keychain (gnome-keyring, on a bus of the test's own): it keeps the contract, and
//! nobody's update is lost among processes.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(all(feature = "keyring", feature = "contract-tests", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod secret_service;

use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{KeyringStore, LoginKey, LoginRecord, Sharing, TokenStore, contract};
use secret_service::{Process, Session, obey};

const SOON: Duration = Duration::from_secs(60);
const PROCESSES: u64 = 8;
const ROUNDS: u64 = 25;

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client")
}

fn open() -> KeyringStore {
    KeyringStore::builder().deadline(SOON).open().unwrap()
}

fn record(generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(), SystemTime::UNIX_EPOCH);
    record.generation = generation;
    let length = if generation.is_multiple_of(2) { 5_000 } else { 50 };
    record.set_refresh_token(Secret::new(format!("{generation:08}").repeat(length)), SystemTime::UNIX_EPOCH);
    record
}

async fn keeps_the_contract() {
    contract::run(|| async { Box::new(open()) as Box<dyn TokenStore> }).await;
}

#[test]
fn child() {
    obey(|order, answer| {
        let runtime = match order {
            "contract on two threads" => {
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
            }
            _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        };
        runtime.unwrap().block_on(async {
            match order {
                "contract" | "contract on two threads" => keeps_the_contract().await,
                "increment" => {
                    let store = open();
                    for _ in 0..ROUNDS {
                        let mut lease = store.lease(&key(), SOON).await.unwrap();
                        let found = lease.load().await.unwrap();
                        let generation = found.as_ref().map_or(0, |record| record.generation);
                        assert!(found.is_none() || found == Some(record(generation)), "a mixture");
                        lease.reserve(1_000).await.unwrap();
                        lease.save(&record(generation + 1)).await.unwrap();
                    }
                }
                "load" => {
                    let found = open().load(&key()).await.unwrap().unwrap();
                    assert_eq!(found, record(found.generation));
                    answer(&found.generation.to_string());
                }
                "describe" => {
                    let store = open();
                    let description = store.describe();
                    assert!(description.persistent && description.encrypted);
                    assert_eq!(description.shared_with, Sharing::User);
                    assert_eq!(store.lock_folder().file_name().unwrap(), "locks");
                    answer(&description.to_string());
                }
                order => panic!("no order {order}"),
            }
        });
        answer("done");
    });
}

/// The entries of the service that the daemon has.
fn entries(session: &Session) -> usize {
    let connection = session.connection();
    let service = zbus::blocking::Proxy::new(
        &connection,
        "org.freedesktop.secrets",
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service",
    )
    .unwrap();
    let attributes = std::collections::HashMap::from([("service", "jeton")]);
    let found: (Vec<zbus::zvariant::OwnedObjectPath>, Vec<zbus::zvariant::OwnedObjectPath>) =
        service.call("SearchItems", &(attributes,)).unwrap();
    found.0.len() + found.1.len()
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn it_keeps_the_contract() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("contract"), "done");
    process.end();
    assert_eq!(entries(&session), 0, "entries were left behind");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn it_keeps_the_contract_on_two_threads() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("contract on two threads"), "done");
    process.end();
    assert_eq!(entries(&session), 0, "entries were left behind");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn no_update_is_lost_among_eight_processes() {
    let session = Session::unlocked();
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::new(&session)).collect();
    for process in &mut processes {
        process.tell("increment");
    }
    let mut reader = Process::new(&session);
    for mut process in processes {
        assert_eq!(process.answer().unwrap(), "done");
        // Readers, meanwhile, see whole records.
        let generation: u64 = reader.ask("load").parse().unwrap();
        assert_eq!(reader.answer().unwrap(), "done");
        assert!(generation <= PROCESSES * ROUNDS);
        process.end();
    }
    assert_eq!(reader.ask("load"), (PROCESSES * ROUNDS).to_string());
    assert_eq!(entries(&session), 1, "entries were left behind");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn it_says_which_keychain_it_is() {
    let session = Session::without_service();
    assert_eq!(
        Process::new(&session).ask("describe"),
        "Secret Service at the service \"jeton\" (kept across restarts, encrypted, shared with the programs of this user)"
    );
}
