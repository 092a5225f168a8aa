//! What a program meets with a real keychain (gnome-keyring, on a bus of the test's own): none at all, a locked one, one
//! that hangs, one that is restarted or killed.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(all(feature = "keyring", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod secret_service;

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{KeyringStore, LoginKey, LoginRecord, StoreError, TokenLease, TokenStore};
use secret_service::{Process, Session, obey};

const SOON: Duration = Duration::from_secs(60);

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client")
}

/// A record that tells when it is a mixture: its refresh token repeats the generation.
fn record(generation: u64) -> LoginRecord {
    let mut record = LoginRecord::new(key(), SystemTime::UNIX_EPOCH);
    record.generation = generation;
    let length = if generation.is_multiple_of(2) { 5_000 } else { 50 };
    record.set_refresh_token(Secret::new(format!("{generation:08}").repeat(length)), SystemTime::UNIX_EPOCH);
    record
}

/// What a call gave, in a word that the parent can compare; the whole error goes behind it.
fn answer_to<T>(result: Result<T, StoreError>, said: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => said(value),
        Err(error) => {
            let kind = match &error {
                StoreError::NoKeychain { .. } => "absent",
                StoreError::Locked { .. } => "locked",
                StoreError::TimedOut { .. } => "timed out",
                StoreError::LeaseTimeout { .. } => "in use",
                _ => "failed",
            };
            format!("{kind}: {error}")
        }
    }
}

fn generation(found: Option<LoginRecord>) -> String {
    match found {
        None => "none".to_owned(),
        Some(found) => {
            assert_eq!(found, record(found.generation), "a mixture");
            found.generation.to_string()
        }
    }
}

#[test]
fn child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut store, mut lease) = (None::<KeyringStore>, None::<Box<dyn TokenLease>>);
    obey(|order, answer| {
        let (order, number) = order.split_once(' ').unwrap_or((order, "0"));
        let number: u64 = number.parse().unwrap();
        let said = runtime.block_on(async {
            if order == "open" {
                let deadline = Duration::from_millis(number);
                store =
                    Some(KeyringStore::builder().service("jeton-test").deadline(deadline).open().unwrap());
                return "open".to_owned();
            }
            let patient = || KeyringStore::builder().service("jeton-test").deadline(SOON).open().unwrap();
            let store = store.get_or_insert_with(patient);
            match order {
                "check" => answer_to(store.check().await, |()| "ready".to_owned()),
                "load" => answer_to(store.load(&key()).await, generation),
                "list" => match store.list().next().await {
                    None => "none".to_owned(),
                    Some(found) => answer_to(found, |key| key.to_string()),
                },
                "lease" => answer_to(store.lease(&key(), Duration::from_millis(number)).await, |taken| {
                    lease = Some(taken);
                    "leased".to_owned()
                }),
                "release" => {
                    lease = None;
                    "released".to_owned()
                }
                "reserve" => {
                    answer_to(lease.as_mut().unwrap().reserve(10_000).await, |()| "reserved".to_owned())
                }
                "save" => match &mut lease {
                    Some(lease) => answer_to(lease.save(&record(number)).await, |()| "saved".to_owned()),
                    None => {
                        let saved = match store.lease(&key(), SOON).await {
                            Ok(mut lease) => lease.save(&record(number)).await,
                            Err(error) => Err(error),
                        };
                        answer_to(saved, |()| "saved".to_owned())
                    }
                },
                "delete" => match store.lease(&key(), SOON).await {
                    Ok(mut lease) => answer_to(lease.delete().await, |()| "deleted".to_owned()),
                    Err(error) => answer_to(Err(error), |()| String::new()),
                },
                "saves" => {
                    let mut lease = store.lease(&key(), SOON).await.unwrap();
                    for generation in number.. {
                        if let Err(error) = lease.save(&record(generation)).await {
                            return answer_to(Err(error), |()| String::new());
                        }
                        answer(&format!("saved {generation}"));
                    }
                    unreachable!()
                }
                "threads" => {
                    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
                    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
                    let ours = tasks.filter_map(|task| name(task.unwrap()).ok());
                    ours.filter(|name| name.trim() == "jeton-keychain").count().to_string()
                }
                order => panic!("no order {order}"),
            }
        });
        answer(&said);
    });
}

fn is(answer: String, kind: &str) -> String {
    assert!(answer.starts_with(kind), "expected {kind:?}: {answer}");
    answer
}

/// Asks again and again while the answer is that the deadline has passed, as it may on a busy machine.
fn in_the_end(process: &mut Process, order: &str, said: &str) {
    loop {
        let answer = process.ask(order);
        if !answer.starts_with("timed out") {
            return assert_eq!(answer, said, "{order}");
        }
    }
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn without_any_bus_the_keychain_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no-bus");
    let environments: [&dyn Fn(&mut Command); 3] = [
        &|command| {
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", nowhere.display()));
        },
        &|command| {
            command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", folder.path());
        },
        &|command| {
            command.env("DBUS_SESSION_BUS_ADDRESS", "what is this");
        },
    ];
    for environment in environments {
        let mut process = Process::with(|command| {
            command.env("XDG_STATE_HOME", folder.path().join("state"));
            environment(command);
        });
        for order in ["check", "load", "list", "save 1", "delete"] {
            let told = is(process.ask(order), "absent");
            assert!(told.contains("start a Secret Service"), "{order}: {told}");
        }
        process.end();
    }
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_bus_without_a_secret_service_is_no_keychain_until_there_is_one() {
    let mut session = Session::without_service();
    let mut process = Process::new(&session);
    for order in ["check", "load", "list", "save 1", "delete"] {
        let told = is(process.ask(order), "absent");
        assert!(told.contains("no Secret Service runs here"), "{order}: {told}");
    }
    session.start_unlocked();
    assert_eq!(process.ask("check"), "ready");
    assert_eq!(process.ask("save 1"), "saved");
    assert_eq!(process.ask("load"), "1");
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_secret_service_without_any_keyring_is_no_keychain() {
    let mut session = Session::without_service();
    session.start_without_keyring();
    let mut process = Process::new(&session);
    for order in ["check", "load", "list", "save 1", "delete"] {
        let told = is(process.ask(order), "absent");
        assert!(told.contains("no default collection"), "{order}: {told}");
    }
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_missing_entry_is_no_login() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("check"), "ready");
    assert_eq!(process.ask("load"), "none");
    assert_eq!(process.ask("list"), "none");
    assert_eq!(process.ask("delete"), "deleted");
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_login_is_there_in_the_next_run_and_after_the_daemon_was_restarted() {
    let mut session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save 2"), "saved");
    process.end();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("load"), "2");
    assert_eq!(process.ask("list"), key().to_string());
    session.kill_daemon();
    session.start_unlocked();
    // The process that lived through it, and a new one.
    assert_eq!(process.ask("load"), "2");
    assert_eq!(process.ask("save 3"), "saved");
    process.end();
    assert_eq!(Process::new(&session).ask("load"), "3");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn each_operation_survives_a_restart_of_the_daemon() {
    let mut session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save 1"), "saved");
    for (order, said) in [
        ("check", "ready"),
        ("load", "1"),
        ("lease 60000", "leased"),
        ("reserve", "reserved"),
        ("save 2", "saved"),
        ("release", "released"),
        ("load", "2"),
        ("delete", "deleted"),
        ("list", "none"),
    ] {
        session.kill_daemon();
        session.start_unlocked();
        assert_eq!(process.ask(order), said, "{order}");
    }
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn while_the_daemon_is_gone_the_keychain_is_absent_and_never_the_login() {
    let mut session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save 1"), "saved");
    session.kill_daemon();
    for order in ["check", "load", "list", "save 2", "delete"] {
        is(process.ask(order), "absent");
    }
    session.start_unlocked();
    assert_eq!(process.ask("load"), "1");
    // The whole bus is gone, and does not come back at that address.
    session.kill_bus();
    for order in ["check", "load"] {
        is(process.ask(order), "absent");
    }
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_locked_keyring_without_a_screen_is_an_error_and_never_an_absent_login() {
    let mut session = Session::unlocked();
    // No login in it at first: the locked keyring must not be taken for an empty one.
    session.kill_daemon();
    session.start_locked();
    let mut process = Process::new(&session);
    for order in ["check", "load", "list", "save 1", "delete"] {
        let told = is(process.ask(order), "locked");
        assert!(told.contains("unlock"), "{order}: {told}");
    }
    session.kill_daemon();
    session.start_unlocked();
    assert_eq!(process.ask("save 1"), "saved");
    session.lock();
    for order in ["check", "load", "list", "save 2", "delete"] {
        is(process.ask(order), "locked");
    }
    // What is to be refreshed finds out before it sends anything.
    assert_eq!(process.ask("lease 60000"), "leased");
    is(process.ask("reserve"), "locked");
    process.end();
    session.kill_daemon();
    session.start_unlocked();
    assert_eq!(Process::new(&session).ask("load"), "1");
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_question_that_nobody_answers_costs_a_deadline() {
    let mut session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save 1"), "saved");
    let (screen, asked) = session.with_nobody_at_the_screen();
    session.lock();
    // A look asks nobody.
    is(process.ask("check"), "locked");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(process.ask("open 2000"), "open");
    // On a busy machine the deadline may pass before anybody is asked.
    while asked.load(Ordering::SeqCst) == 0 {
        let told = is(process.ask("load"), "timed out");
        assert!(told.contains("asking for a password"), "{told}");
    }
    // Who comes later waits behind the same question.
    let asked_once = asked.load(Ordering::SeqCst);
    is(process.ask("load"), "timed out");
    is(process.ask("save 2"), "timed out");
    assert_eq!(asked.load(Ordering::SeqCst), asked_once);
    // The window goes away: what waits for its answer ends, and it is locked as before.
    drop(screen);
    assert_eq!(process.ask("open 60000"), "open");
    is(process.ask("load"), "locked");
    session.kill_daemon();
    session.start_unlocked();
    // What had not been begun never happened.
    assert_eq!(process.ask("load"), "1");
    process.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_daemon_that_hangs_costs_a_deadline_and_the_write_keeps_the_lease() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("save 1"), "saved");
    assert_eq!(process.ask("lease 60000"), "leased");
    assert_eq!(process.ask("load"), "1");
    assert_eq!(process.ask("open 1000"), "open");
    session.suspend_daemon();
    is(process.ask("load"), "timed out");
    is(process.ask("check"), "timed out");
    session.resume_daemon();
    // What hung comes to its end.
    in_the_end(&mut process, "load", "1");

    // A store that waits a second: the lease of the one before waits longer.
    assert_eq!(process.ask("release"), "released");
    assert_eq!(process.ask("lease 60000"), "leased");
    in_the_end(&mut process, "reserve", "reserved");
    session.suspend_daemon();
    // Not begun within a second, on a busy machine: then it never is.
    while !is(process.ask("save 2"), "timed out").contains("may still happen") {}
    assert_eq!(process.ask("release"), "released");
    let mut other = Process::new(&session);
    let told = is(other.ask("lease 200"), "in use");
    assert!(told.contains(&format!("pid {}", process.id())), "{told}");
    session.resume_daemon();
    assert_eq!(other.ask("lease 60000"), "leased");
    assert_eq!(other.ask("load"), "2");
    process.end();
    other.end();
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_daemon_killed_while_it_writes_leaves_the_old_record_or_the_new_one() {
    let mut session = Session::unlocked();
    let mut last = 0;
    for saves in [1, 2, 3, 5, 8, 2, 4, 7] {
        let mut process = Process::new(&session);
        process.tell(&format!("saves {}", last + 1));
        for _ in 0..saves {
            let said = is(process.answer().unwrap(), "saved ");
            last = said["saved ".len()..].parse().unwrap();
        }
        // In the middle of whatever it does now.
        session.kill_daemon();
        let refused = loop {
            let said = process.answer().unwrap();
            match said.strip_prefix("saved ") {
                Some(generation) => last = generation.parse().unwrap(),
                None => break said,
            }
        };
        is(refused, "absent");
        session.start_unlocked();
        let found: u64 = process.ask("load").parse().unwrap();
        assert!(found == last || found == last + 1, "generation {found} after {last} was saved");
        last = found;
        process.end();
    }
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_killed_process_leaves_the_old_record_or_the_new_one_and_frees_the_lease() {
    let session = Session::unlocked();
    let mut last: u64 = 0;
    for saves in [1, 2, 3, 5, 8, 2] {
        let mut process = Process::new(&session);
        process.tell(&format!("saves {}", last + 1));
        for _ in 0..saves {
            last = process.answer().unwrap()["saved ".len()..].parse().unwrap();
        }
        if let Some(more) = process.kill() {
            last = more["saved ".len()..].parse().unwrap();
        }
        let mut next = Process::new(&session);
        assert_eq!(next.ask("lease 60000"), "leased");
        let found: u64 = next.ask("load").parse().unwrap();
        assert!(found == last || found == last + 1, "generation {found} after {last} was saved");
        last = found;
    }
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn all_stores_of_a_process_share_one_thread_and_it_ends_with_the_last() {
    let session = Session::unlocked();
    let mut process = Process::new(&session);
    assert_eq!(process.ask("threads"), "0");
    for _ in 0..3 {
        assert_eq!(process.ask("open 10000"), "open");
        assert_eq!(process.ask("check"), "ready");
        assert_eq!(process.ask("threads"), "1");
    }
    process.end();
}
