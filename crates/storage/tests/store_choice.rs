//! The choice of a store with a real keychain (gnome-keyring, on a bus of the test's own) that comes and goes, and without
//! one. Every branch is tested in the crate, over a keychain of the tests.
//!
//! The processes are this very test program, started again to run the test `child` alone.
#![cfg(all(feature = "keyring", feature = "sealed", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod secret_service;

use std::time::{Duration, SystemTime};

use jeton_storage::{LoginKey, LoginRecord, StoreChoice, StoreError, TokenStore};
use secret_service::{Process, Session, obey};

const SOON: Duration = Duration::from_secs(60);

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client")
}

#[test]
fn child() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let choice = StoreChoice::for_program("com.example.my-tool");
    obey(|order, answer| {
        let said = runtime.block_on(async {
            let choice = match order.strip_suffix(" or file") {
                Some(_) => choice.clone().allow_unencrypted_file(),
                None => choice.clone(),
            };
            let chosen = match order.split(' ').next().unwrap() {
                "move" => choice.move_logins().await.map(|(store, _)| store),
                _ => choice.choose().await,
            };
            let chosen = match chosen {
                Ok(chosen) => chosen,
                Err(StoreError::Locked { what }) => return format!("locked: {what}"),
                Err(error) => return error.to_string(),
            };
            if order.starts_with("save") {
                let mut lease = chosen.lease(&key(), SOON).await.unwrap();
                lease.save(&LoginRecord::new(key(), SystemTime::UNIX_EPOCH)).await.unwrap();
            }
            let there = if chosen.load(&key()).await.unwrap().is_some() { "with" } else { "without" };
            format!("{there} the login, {}", chosen.describe())
        });
        answer(&said);
    });
}

fn says(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "expected {part:?}: {answer}");
    }
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn the_login_is_where_it_was_while_the_keychain_comes_and_goes() {
    let mut session = Session::without_service();
    says(&Process::new(&session).ask("look"), &["no place to keep", "there is no keychain ("]);
    says(
        &Process::new(&session).ask("save or file"),
        &["with the login, file at ", "/programs/com.example.my-tool/logins"],
    );

    session.start_unlocked();
    let stays = Process::new(&session).ask("look or file");
    says(&stays, &["with the login, file at ", "the keychain would be better"]);
    says(&Process::new(&session).ask("look"), &["not encrypted since", "allow_unencrypted_file"]);

    says(&Process::new(&session).ask("move or file"), &["with the login, Secret Service"]);
    says(
        &Process::new(&session).ask("look"),
        &["with the login, Secret Service", ", encrypted,", "are there since"],
    );

    session.kill_daemon();
    for order in ["look", "look or file", "save or file"] {
        says(
            &Process::new(&session).ask(order),
            &["are in the keychain since", "there is none now", "to begin anew"],
        );
    }
    session.start_locked();
    for order in ["look", "look or file", "save or file"] {
        says(&Process::new(&session).ask(order), &["locked: "]);
    }
    session.kill_daemon();
    session.start_unlocked();
    says(&Process::new(&session).ask("look or file"), &["with the login, Secret Service"]);
}

#[test]
#[ignore = "needs a real keychain: cargo xtask test --only keychain"]
fn a_locked_keychain_that_asks_and_gets_no_answer_is_an_error() {
    let mut session = Session::unlocked();
    session.kill_daemon();
    session.start_locked();
    let (_nobody, asked) = session.with_nobody_at_the_screen();
    let told = Process::new(&session).ask("look or file");
    says(&told, &["the keychain gave no answer"]);
    assert!(asked.load(std::sync::atomic::Ordering::SeqCst) > 0, "nobody was asked");
    assert!(!session.path("state").join("jeton").join("programs").exists());
}
