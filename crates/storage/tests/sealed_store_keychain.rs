//! The sealed store with its key in a real keychain (gnome-keyring, on a bus of the test's own), which is also locked,
//! restarted, killed and lost.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(all(feature = "keyring", feature = "sealed", feature = "contract-tests", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod secret_service;

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{LoginKey, LoginRecord, SealedStore, StoreError, TokenStore, contract};
use secret_service::{Process, Session, obey};

const SOON: Duration = Duration::from_secs(60);

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

/// A record that tells when it is a mixture, and large.
fn record(account: &str, generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(account), SystemTime::UNIX_EPOCH);
    record.generation = generation;
    let token = format!("{generation:08}").repeat(5_000);
    record.set_refresh_token(Secret::new(token), SystemTime::UNIX_EPOCH);
    record
}

fn open() -> SealedStore {
    SealedStore::with_keychain(SealedStore::default_folder().unwrap(), "jeton-test").unwrap()
}

fn answer_to<T>(result: Result<T, StoreError>, said: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => said(value),
        Err(error) => {
            let kind = match &error {
                StoreError::NoKeychain { .. } => "absent",
                StoreError::Locked { .. } => "locked",
                StoreError::SealingKeyLost { .. } => "lost",
                _ => "failed",
            };
            format!("{kind}: {error}")
        }
    }
}

#[test]
fn child() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut store = None;
    obey(|order, answer| {
        let (order, account) = order.split_once(' ').unwrap_or((order, "a"));
        let said = runtime.block_on(async {
            let store = store.get_or_insert_with(open);
            match order {
                "contract" => {
                    contract::run(|| async { Box::new(open()) as Box<dyn TokenStore> }).await;
                    "kept".to_owned()
                }
                "load" => answer_to(store.load(&key(account)).await, |found| match found {
                    None => "none".to_owned(),
                    Some(found) => {
                        assert_eq!(found, record(account, found.generation), "a mixture");
                        found.generation.to_string()
                    }
                }),
                "save" => {
                    let mut lease = store.lease(&key(account), SOON).await.unwrap();
                    let loaded = lease.load().await.map(|found| found.map_or(0, |found| found.generation));
                    let saved = match loaded {
                        Ok(generation) => lease.save(&record(account, generation + 1)).await,
                        Err(error) => Err(error),
                    };
                    answer_to(saved, |()| "saved".to_owned())
                }
                "rotate" => answer_to(store.rotate_key(SOON).await, |outcome| {
                    assert!(outcome.is_complete, "{outcome:?}");
                    "rotated".to_owned()
                }),
                "rotate-on-and-on" => loop {
                    answer("rotating");
                    if let Err(error) = store.rotate_key(SOON).await {
                        return answer_to::<()>(Err(error), |()| String::new());
                    }
                },
                order => panic!("no order {order}"),
            }
        });
        answer(&said);
    });
}

fn folder(session: &Session) -> PathBuf {
    session.path("state").join("jeton").join("sealed")
}

fn is(answer: String, kind: &str) -> String {
    assert!(answer.starts_with(kind), "expected {kind:?}: {answer}");
    answer
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
    let attributes = HashMap::from([("service", "jeton-test")]);
    let found: (Vec<zbus::zvariant::OwnedObjectPath>, Vec<zbus::zvariant::OwnedObjectPath>) =
        service.call("SearchItems", &(attributes,)).unwrap();
    found.0.len() + found.1.len()
}

/// Anywhere in the next few milliseconds, so that over the rounds a kill meets each step. No outcome depends on it.
fn somewhere_in_the_next_milliseconds() {
    let micros = RandomState::new().hash_one(0_u8) % 40_000;
    std::thread::sleep(Duration::from_micros(micros));
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn it_keeps_the_contract_with_one_entry_for_all_logins() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("contract"), "kept");
    for account in ["a", "b", "c"] {
        assert_eq!(process.ask(&format!("save {account}")), "saved");
    }
    process.end();
    assert_eq!(entries(&session), 1);
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn processes_that_begin_together_agree_on_one_key() {
    let session = Session::unlocked();
    let mut processes: Vec<Process> = (0..8).map(|_| Process::new(&session)).collect();
    for (number, process) in processes.iter_mut().enumerate() {
        process.tell(&format!("save {number}"));
    }
    for process in &mut processes {
        assert_eq!(process.answer().unwrap(), "saved");
    }
    let mut reader = Process::new(&session);
    for number in 0..8 {
        assert_eq!(reader.ask(&format!("load {number}")), "1");
    }
    assert_eq!(entries(&session), 1);
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn the_login_is_there_after_the_daemon_was_killed_and_restarted() {
    let mut session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save"), "saved");
    session.kill_daemon();
    // Who has the key goes on reading; who has not is told.
    assert_eq!(process.ask("load"), "1");
    is(Process::new(&session).ask("load"), "absent");
    session.start_unlocked();
    assert_eq!(Process::new(&session).ask("load"), "1");
    assert_eq!(process.ask("save"), "saved");
    assert_eq!(process.ask("rotate"), "rotated");
    assert_eq!(Process::new(&session).ask("load"), "2");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn an_absent_or_locked_keychain_is_told_and_nothing_is_overwritten() {
    let mut session = Session::without_service();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("load"), "none");
    is(process.ask("save"), "absent");
    assert!(!folder(&session).join("sealing.json").exists());
    session.start_unlocked();
    assert_eq!(process.ask("save"), "saved");

    let file = folder(&session).join(format!("login-{}.json", key("a").digest()));
    let before = (fs::read(&file).unwrap(), fs::read(folder(&session).join("sealing.json")).unwrap());
    session.kill_daemon();
    session.start_locked();
    let mut other = Process::new(&session);
    for order in ["load", "save", "rotate"] {
        is(other.ask(order), "locked");
    }
    is(other.ask("save other"), "locked");
    assert_eq!(before, (fs::read(&file).unwrap(), fs::read(folder(&session).join("sealing.json")).unwrap()));
    session.kill_daemon();
    session.start_unlocked();
    assert_eq!(other.ask("load"), "1");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_keychain_that_was_thrown_away_is_told_and_nothing_is_overwritten() {
    let mut session = Session::unlocked();
    assert_eq!(Process::new(&session).ask("save"), "saved");
    session.kill_daemon();
    fs::remove_dir_all(session.path("data").join("keyrings")).unwrap();
    session.start_unlocked();
    let mut process = Process::new(&session);
    for order in ["load", "save", "rotate", "save other"] {
        let told = is(process.ask(order), "lost");
        assert!(told.contains("from a backup"), "{told}");
    }
    assert_eq!(entries(&session), 0);
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_killed_rotation_or_daemon_loses_nothing_while_others_write() {
    let mut session = Session::unlocked();
    let mut writer = Process::new(&session);
    for account in ["a", "b", "c"] {
        assert_eq!(writer.ask(&format!("save {account}")), "saved");
    }
    for round in 1..=16 {
        let mut rotator = Process::new(&session);
        assert_eq!(rotator.ask("rotate-on-and-on"), "rotating");
        somewhere_in_the_next_milliseconds();
        match round % 4 {
            0 => {
                // The daemon instead. The rotation ends with an error, and what it had begun is in nobody's way.
                session.kill_daemon();
                while let Some(answer) = rotator.answer() {
                    if answer != "rotating" {
                        assert!(answer.contains("keychain"), "{answer}");
                        break;
                    }
                }
                session.start_unlocked();
            }
            _ => drop(rotator.kill()),
        }
        let mut reader = Process::new(&session);
        for account in ["a", "b", "c"] {
            let generation: u64 = reader.ask(&format!("load {account}")).parse().unwrap();
            assert_eq!(generation, if account == "a" { round } else { 1 });
        }
        assert_eq!(writer.ask("save a"), "saved");
    }
    assert_eq!(writer.ask("rotate"), "rotated");
    for account in ["a", "b", "c"] {
        Process::new(&session).ask(&format!("load {account}")).parse::<u64>().unwrap();
    }
}
