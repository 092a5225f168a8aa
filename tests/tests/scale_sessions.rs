//! 10,000 sessions of one client: what each costs in memory, and that none has a thread or a task of its own.
//! The counts are of the whole process, so that this file has one test.

// A test says what it expects, and what it counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::alloc::System;
use std::time::{Duration, SystemTime};

use jeton_client::{Client, Session};
use jeton_models::{Scope, Secret, Token};
use jeton_storage::{LoginKey, LoginRecord, MemoryStore, StoredToken, TokenStore as _, TokenTarget};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SESSIONS: usize = 10_000;
/// What a session may cost beyond its strings, in bytes.
const MOST: usize = 1_024;

const ISSUER: &str = "https://as.example";
const CLIENT_ID: &str = "my-client";
const SCOPE: &str = "openid profile offline_access";

#[test]
fn an_idle_session_costs_less_than_a_kibibyte_beyond_its_strings_and_neither_thread_nor_task() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = MemoryStore::new();
    runtime.block_on(log_everybody_in(&store));
    let client = Client::builder(CLIENT_ID)
        .issuer(ISSUER)
        .token_endpoint(format!("{ISSUER}/token"))
        .scope(SCOPE)
        .store(store)
        .build()
        .unwrap();
    // What is made once for all is no session's.
    runtime.block_on(client.account("somebody else").token()).unwrap_err();
    let threads = threads();

    let mut sessions: Vec<Session> = Vec::with_capacity(SESSIONS);
    let begun = Region::new(MEMORY);
    sessions.extend((0..SESSIONS).map(|number| client.account(account(number))));
    let idle = held_by(&begun) / SESSIONS;
    println!("an idle session: {idle} bytes, of which its strings {}", strings());
    assert!(idle < MOST + strings(), "{idle} bytes");
    assert_eq!(threads, self::threads());

    for session in &sessions {
        runtime.block_on(session.token()).unwrap();
    }
    let with_token = held_by(&begun) / SESSIONS;
    println!("with its token: {with_token} bytes, of which all strings {}", strings() + token_strings());
    assert!(with_token < MOST + strings() + token_strings(), "{with_token} bytes");
    assert_eq!(threads, self::threads());

    drop(sessions);
    // As a server does that has many accounts and few requests at a time.
    for number in 0..10 * SESSIONS {
        drop(client.account(format!("visitor {number}")));
    }
    let left = held_by(&begun);
    println!("after all are gone, and ten times as many visitors: {left} bytes");
    assert!(left < 2 * MOST * 64, "{left} bytes are kept of sessions that are gone");
}

/// The length of the texts that a session is about: issuer, client id, account.
fn strings() -> usize {
    ISSUER.len() + CLIENT_ID.len() + account(0).len()
}

/// The length of the texts that its token is about: the token, as such and as the value of a header, and its scope.
fn token_strings() -> usize {
    token(0).expose().len() * 2 + "Bearer ".len() + SCOPE.len()
}

fn account(number: usize) -> String {
    format!("account-{number:06}")
}

/// As long as a token with claims usually is.
fn token(number: usize) -> Secret {
    Secret::new(format!("{number:06}").repeat(150))
}

async fn log_everybody_in(store: &MemoryStore) {
    let now = SystemTime::now();
    let scope: Scope = SCOPE.parse().unwrap();
    for number in 0..SESSIONS {
        let key = LoginKey::new(&ISSUER.parse().unwrap(), CLIENT_ID).with_account(account(number));
        let mut record = LoginRecord::new(key.clone(), now);
        record.scope = Some(scope.clone());
        record.set_refresh_token(Secret::new("r".repeat(100)), now);
        let mut token = Token::new(token(number));
        token.expires_in = Some(3_600);
        record.set_token(StoredToken::new(&token, TokenTarget::default(), now));
        store.lease(&key, Duration::ZERO).await.unwrap().save(&record).await.unwrap();
    }
}

fn held_by(region: &Region<'_, System>) -> usize {
    let stats = region.change();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The threads of this process, where the system tells.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
