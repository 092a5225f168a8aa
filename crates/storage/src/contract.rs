//! The contract that every store must pass, as functions for the tests of whoever writes one.
//!
//! Each function checks one clause of the docs of [`TokenStore`] and [`TokenLease`], and panics with the clause and what
//! the store did instead. [`run`] runs them all. They need a tokio runtime with time enabled, whatever the store itself
//! runs on; they leave no login behind when they pass, and do not mind others in the same storage.
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
//! # async fn main() {
//! use jeton_storage::{MemoryStore, TokenStore, contract};
//!
//! let storage = MemoryStore::new();
//! contract::run(move || {
//!     let storage = storage.clone();
//!     async move { Box::new(storage) as Box<dyn TokenStore> }
//! })
//! .await;
//! # }
//! # #[cfg(not(feature = "memory"))]
//! # fn main() {}
//! ```

#![allow(clippy::panic, reason = "these are tests: a panic is how they report")]

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jeton_models::{Issuer, Secret, Token};
use serde_json::{Value, json};

use crate::{
    LoginKey, LoginRecord, LoginStatus, StoreError, StoredToken, TokenLease, TokenStore, TokenTarget,
};

/// Long enough for a slow machine: what takes longer hangs.
const AT_MOST: Duration = Duration::from_secs(60);
/// How long a lease that should be free is waited for.
const SOON: Duration = Duration::from_secs(30);
/// Tasks, or threads, that compete for one lease, and how often each of them takes it.
const COMPETITORS: u64 = 8;
const ROUNDS: u64 = 10;

type Opening = Pin<Box<dyn Future<Output = Box<dyn TokenStore>> + Send>>;

/// Opens the same storage anew at each call, as another process would.
#[derive(Clone)]
pub struct Factory(Arc<dyn Fn() -> Opening + Send + Sync>);

impl Factory {
    /// From a function that opens the storage. Each call must give a store over the same logins.
    pub fn new<F, Fut>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Box<dyn TokenStore>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(open())))
    }

    /// Opens the storage.
    pub async fn open(&self) -> Arc<dyn TokenStore> {
        Arc::from((self.0)().await)
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Factory")
    }
}

macro_rules! clauses {
    ($($clause:ident),* $(,)?) => {
        /// Checks every clause, one after another.
        ///
        /// # Panics
        /// When the store breaks one, naming it; when one takes longer than a minute.
        pub async fn run<F, Fut>(open: F)
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Box<dyn TokenStore>> + Send + 'static,
        {
            let factory = Factory::new(open);
            $(
                if tokio::time::timeout(AT_MOST, $clause(&factory)).await.is_err() {
                    broken(stringify!($clause), format_args!("it did not end within {AT_MOST:?}"));
                }
            )*
        }

        /// The names of the clauses, in the order in which [`run`] checks them.
        pub const CLAUSES: &[&str] = &[$(stringify!($clause)),*];
    };
}

clauses! {
    absent_is_none,
    a_record_comes_back_as_it_was_saved,
    a_login_is_there_after_reopening,
    the_lease_loads_the_newest,
    a_save_replaces_the_whole_record,
    delete_removes_the_login,
    logins_are_apart,
    a_record_of_another_key_is_refused,
    odd_keys_are_kept_apart,
    large_records_are_kept,
    unknown_members_survive,
    room_can_be_reserved,
    the_deadline_is_kept,
    a_lease_excludes_until_it_is_dropped,
    a_dropped_wait_holds_nothing,
    tasks_exclude_each_other,
    threads_exclude_each_other,
    readers_see_whole_records,
    a_dropped_save_is_whole_or_nothing,
    the_listing_is_complete,
    the_description_is_steady,
}

fn broken(clause: &str, what: fmt::Arguments<'_>) -> ! {
    panic!("the store breaks the contract, clause `{clause}`: {what}")
}

/// One clause under test, with the names of its own that it uses.
struct Clause {
    name: &'static str,
    run: u64,
}

impl Clause {
    fn new(name: &'static str) -> Self {
        Self { name, run: RandomState::new().hash_one(name) }
    }

    fn check(&self, holds: bool, what: fmt::Arguments<'_>) {
        if !holds {
            broken(self.name, what);
        }
    }

    /// The value, or the clause is broken.
    fn ok<T, E: fmt::Display>(&self, what: &str, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => broken(self.name, format_args!("{what} failed: {error}")),
        }
    }

    fn key(&self, account: &str) -> LoginKey {
        let issuer = self.ok("an issuer", "https://contract.jeton.example/tenant".parse::<Issuer>());
        LoginKey::new(&issuer, "contract").with_account(format!("{}-{:016x}-{account}", self.name, self.run))
    }

    async fn lease(&self, store: &dyn TokenStore, key: &LoginKey) -> Box<dyn TokenLease> {
        self.ok("taking a free lease", store.lease(key, SOON).await)
    }

    async fn save(&self, store: &dyn TokenStore, record: &LoginRecord) {
        let mut lease = self.lease(store, &record.key).await;
        self.ok("save", lease.save(record).await);
    }

    async fn load(&self, store: &dyn TokenStore, key: &LoginKey) -> Option<LoginRecord> {
        self.ok("load", store.load(key).await)
    }

    /// Whether the stored record is that one, members that this version does not know included.
    fn is(&self, found: Option<&LoginRecord>, wanted: Option<&LoginRecord>, when: &str) {
        let json = |record: Option<&LoginRecord>| record.map(LoginRecord::to_json);
        self.check(
            found == wanted && json(found) == json(wanted),
            format_args!("{when}: expected {wanted:?}, found {found:?}"),
        );
    }

    async fn clean(&self, store: &dyn TokenStore, key: &LoginKey) {
        let mut lease = self.lease(store, key).await;
        self.ok("delete", lease.delete().await);
    }
}

/// A record with something in every member.
fn full_record(key: &LoginKey) -> LoginRecord {
    let now = SystemTime::now();
    let scope = "read write".parse().ok();
    let mut token = Token::new(Secret::from("access \u{1F511} \"quoted\" \\ \n"));
    token.expires_in = Some(3_600);
    token.scope = "read".parse().ok();
    token.extra.insert("id_token", "identity");
    token.extra.insert("nested", json!({ "list": [1, 2.5, null, true], "text": "\u{0}" }));
    let target = TokenTarget { resource: Some("https://api.example/v1".to_owned()), scope: scope.clone() };

    let mut record = LoginRecord::new(key.clone(), now);
    record.set_refresh_token(Secret::from("refresh"), now);
    record.set_token(StoredToken::new(&token, target, now));
    record.set_token(StoredToken::new(&Token::new(Secret::from("other")), TokenTarget::default(), now));
    record.dpop_key = Some(Secret::from(r#"{"kty":"EC","d":"private"}"#));
    record.registration = Some(Secret::from(r#"{"client_id":"c","client_secret":"s"}"#));
    record.id_token = Some(Secret::from("eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmVk"));
    record.scope = scope;
    record.status = LoginStatus::Ended { reason: "invalid_grant".to_owned(), at_ms: 1_700_000_000_123 };
    record.generation = 41;
    record
}

/// A record that fills about that many bytes.
fn padded_record(key: &LoginKey, generation: u64, bytes: usize) -> LoginRecord {
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.generation = generation;
    // Each part depends on the generation, so that a mixture of two is found out.
    let text = format!("{generation:08}").repeat(bytes / 8);
    record.set_refresh_token(Secret::from(text.as_str()), SystemTime::now());
    record
}

fn is_whole(record: &LoginRecord) -> bool {
    let generation = format!("{:08}", record.generation);
    record.refresh_token.as_ref().is_some_and(|token| {
        token.len() % 8 == 0 && token.expose().as_bytes().chunks(8).all(|part| part == generation.as_bytes())
    })
}

/// A login that nobody made is `Ok(None)`, with and without the lease, and taking the lease does not make it.
pub async fn absent_is_none(factory: &Factory) {
    let clause = Clause::new("absent_is_none");
    let (store, key) = (factory.open().await, clause.key("nobody"));
    clause.is(clause.load(&*store, &key).await.as_ref(), None, "before anybody logged in");
    let mut lease = clause.lease(&*store, &key).await;
    let found = clause.ok("load under the lease", lease.load().await);
    clause.is(found.as_ref(), None, "under the lease");
    clause.ok("delete of what is not there", lease.delete().await);
    drop(lease);
    clause.is(clause.load(&*store, &key).await.as_ref(), None, "after the lease");
}

/// What `load` gives is what `save` got, every member of it; the store counts and dates nothing by itself.
pub async fn a_record_comes_back_as_it_was_saved(factory: &Factory) {
    let clause = Clause::new("a_record_comes_back_as_it_was_saved");
    let (store, key) = (factory.open().await, clause.key("full"));
    let record = full_record(&key);
    let mut lease = clause.lease(&*store, &key).await;
    clause.ok("save", lease.save(&record).await);
    let found = clause.ok("load under the lease", lease.load().await);
    clause.is(found.as_ref(), Some(&record), "under the lease");
    clause.is(clause.load(&*store, &key).await.as_ref(), Some(&record), "while the lease is held");
    drop(lease);
    clause.is(clause.load(&*store, &key).await.as_ref(), Some(&record), "after the lease");
    clause.clean(&*store, &key).await;
}

/// A saved login is there for whoever opens the same storage afterwards.
pub async fn a_login_is_there_after_reopening(factory: &Factory) {
    let clause = Clause::new("a_login_is_there_after_reopening");
    let (store, key) = (factory.open().await, clause.key("kept"));
    let record = full_record(&key);
    clause.save(&*store, &record).await;
    let open_before = factory.open().await;
    clause.is(clause.load(&*open_before, &key).await.as_ref(), Some(&record), "opened beside the first");
    drop((store, open_before));
    let store = factory.open().await;
    clause.is(
        clause.load(&*store, &key).await.as_ref(),
        Some(&record),
        "opened after all others were closed",
    );
    clause.clean(&*store, &key).await;
}

/// `load` under the lease gives what the last holder saved, through whichever opened store.
pub async fn the_lease_loads_the_newest(factory: &Factory) {
    let clause = Clause::new("the_lease_loads_the_newest");
    let (one, other, key) = (factory.open().await, factory.open().await, clause.key("newest"));
    let mut record = full_record(&key);
    for generation in 1..=6 {
        let (writer, reader) = if generation % 2 == 0 { (&one, &other) } else { (&other, &one) };
        // The reader knows the previous one: it must not be content with it.
        clause.load(&**reader, &key).await;
        record.generation = generation;
        clause.save(&**writer, &record).await;
        let mut lease = clause.lease(&**reader, &key).await;
        let found = clause.ok("load under the lease", lease.load().await);
        clause.is(found.as_ref(), Some(&record), "after another store saved");
    }
    clause.clean(&*one, &key).await;
}

/// A save replaces everything: nothing of a longer record before it is left.
pub async fn a_save_replaces_the_whole_record(factory: &Factory) {
    let clause = Clause::new("a_save_replaces_the_whole_record");
    let (store, key) = (factory.open().await, clause.key("replaced"));
    let short = LoginRecord::new(key.clone(), SystemTime::now());
    let mut lease = clause.lease(&*store, &key).await;
    for record in [&padded_record(&key, 1, 20_000), &short, &full_record(&key), &short] {
        clause.ok("save", lease.save(record).await);
        let found = clause.ok("load under the lease", lease.load().await);
        clause.is(found.as_ref(), Some(record), "after one record replaced another");
    }
    drop(lease);
    clause.clean(&*store, &key).await;
}

/// After `delete` the login is absent, for all; it may be deleted again, and made again under the same lease.
pub async fn delete_removes_the_login(factory: &Factory) {
    let clause = Clause::new("delete_removes_the_login");
    let (store, key) = (factory.open().await, clause.key("gone"));
    let record = full_record(&key);
    clause.save(&*store, &record).await;
    let mut lease = clause.lease(&*store, &key).await;
    clause.ok("delete", lease.delete().await);
    let found = clause.ok("load under the lease", lease.load().await);
    clause.is(found.as_ref(), None, "under the lease that deleted it");
    let other = factory.open().await;
    clause.is(clause.load(&*other, &key).await.as_ref(), None, "in a store opened afterwards");
    clause.ok("a second delete", lease.delete().await);
    clause.ok("save after delete", lease.save(&record).await);
    clause.is(clause.load(&*other, &key).await.as_ref(), Some(&record), "after it was made again");
    drop(lease);
    clause.clean(&*store, &key).await;
}

/// A record of another login than the lease's is `WrongKey`, and neither login changes.
pub async fn a_record_of_another_key_is_refused(factory: &Factory) {
    let clause = Clause::new("a_record_of_another_key_is_refused");
    let (store, key, foreign) = (factory.open().await, clause.key("own"), clause.key("foreign"));
    let record = full_record(&key);
    clause.save(&*store, &record).await;
    let mut lease = clause.lease(&*store, &key).await;
    let refused = lease.save(&full_record(&foreign)).await;
    clause.check(
        matches!(refused, Err(StoreError::WrongKey { .. })),
        format_args!("a foreign record was answered with {refused:?}"),
    );
    drop(lease);
    clause.is(clause.load(&*store, &key).await.as_ref(), Some(&record), "the login of the lease");
    clause.is(clause.load(&*store, &foreign).await.as_ref(), None, "the login of the record");
    clause.clean(&*store, &key).await;
}

/// Two accounts, two clients, two issuers never meet, and a lease on one does not hinder the other.
pub async fn logins_are_apart(factory: &Factory) {
    let clause = Clause::new("logins_are_apart");
    let store = factory.open().await;
    let account = clause.key("a").account().to_owned();
    let key = |issuer: &str, client: &str, account: &str| {
        LoginKey::new(&clause.ok("an issuer", issuer.parse::<Issuer>()), client).with_account(account)
    };
    let other_account = format!("{account}2");
    let keys = [
        key("https://one.example", "client", &account),
        key("https://one.example", "client", &other_account),
        key("https://one.example", "other", &account),
        key("https://two.example", "client", &account),
        key("https://one.example/tenant", "client", &account),
    ];
    let mut leases = Vec::new();
    for (generation, key) in (1..).zip(&keys) {
        clause.is(clause.load(&*store, key).await.as_ref(), None, "before its own login");
        let mut lease = match store.lease(key, Duration::from_secs(5)).await {
            Ok(lease) => lease,
            Err(error) => broken(
                clause.name,
                format_args!("a lease on another login hinders the one on {key}: {error}"),
            ),
        };
        clause.ok("save", lease.save(&padded_record(key, generation, 64)).await);
        leases.push(lease);
    }
    for (generation, key) in (1..).zip(&keys) {
        let found = clause.load(&*store, key).await;
        clause.check(
            found.as_ref().is_some_and(|record| record.generation == generation && record.key == *key),
            format_args!("the login of {key} became {found:?}"),
        );
    }
    clause.ok("delete", leases.remove(0).delete().await);
    drop(leases);
    for key in &keys[1..] {
        clause.check(
            clause.load(&*store, key).await.is_some(),
            format_args!("deleting {} deleted {key} too", keys[0]),
        );
        clause.clean(&*store, key).await;
    }
}

/// Keys may have any text in them: separators, dots, letters of every script, control characters, none at all.
pub async fn odd_keys_are_kept_apart(factory: &Factory) {
    let clause = Clause::new("odd_keys_are_kept_apart");
    let store = factory.open().await;
    let long = "long ".repeat(2_000);
    let odd = [
        "",
        " ",
        ".",
        "..",
        "../up",
        "a/b",
        "a\\b",
        "a:b",
        "a|b",
        "a\nb",
        "a\0b",
        "a",
        "A",
        "\u{e4}",
        "a\u{308}",
        "%2F",
        "\u{1F511}",
        "\"quoted\"",
        "{}",
        "con",
        "a ",
        " a",
        "a\u{202e}b",
        "*?<>",
        &long,
    ];
    let issuer = clause.ok("an issuer", "https://[2001:db8::1]:8443/t%20/x".parse::<Issuer>());
    let client = format!("odd-{:016x}", clause.run);
    let keys: Vec<LoginKey> =
        (odd.iter().map(|odd| LoginKey::new(&issuer, client.as_str()).with_account(*odd)))
            .chain(odd.iter().map(|odd| LoginKey::new(&issuer, format!("{client}{odd}")).with_account("odd")))
            .collect();
    for (generation, key) in (1..).zip(&keys) {
        let found = clause.load(&*store, key).await;
        clause.is(found.as_ref(), None, &format!("{key} met an earlier one"));
        clause.save(&*store, &padded_record(key, generation, 16)).await;
    }
    for (generation, key) in (1..).zip(&keys) {
        let found = clause.load(&*store, key).await;
        clause.check(
            found.as_ref().is_some_and(|record| record.generation == generation && record.key == *key),
            format_args!("{key} became {found:?}"),
        );
        clause.clean(&*store, key).await;
    }
}

/// A record of 300 KiB is kept like any other.
pub async fn large_records_are_kept(factory: &Factory) {
    let clause = Clause::new("large_records_are_kept");
    let (store, key) = (factory.open().await, clause.key("large"));
    for bytes in [2_560, 64 * 1_024, 300 * 1_024, 1_024] {
        let record = padded_record(&key, bytes as u64, bytes);
        clause.save(&*store, &record).await;
        let found = clause.load(&*factory.open().await, &key).await;
        clause.check(
            found.as_ref() == Some(&record),
            format_args!("a record of {bytes} bytes came back otherwise"),
        );
    }
    clause.clean(&*store, &key).await;
}

/// What this version does not know is kept: members at every level, states, tokens of other types.
pub async fn unknown_members_survive(factory: &Factory) {
    let clause = Clause::new("unknown_members_survive");
    let (store, key) = (factory.open().await, clause.key("future"));
    let mut record = full_record(&key);
    record.status = LoginStatus::Live;
    let mut wire: Value = clause.ok("reading the record's JSON", serde_json::from_slice(&record.to_json()));
    wire["future"] = json!({ "deep": [1, { "er": "x" }] });
    wire["key"]["future"] = json!("k");
    wire["status"] = json!({ "state": "paused", "until_ms": 5 });
    wire["tokens"][0]["future"] = json!(true);
    if let Some(tokens) = wire["tokens"].as_array_mut() {
        tokens.push(json!({
            "access_token": "p", "token_type": "future", "target": { "future": 1 }, "received_at_ms": 1, "more": []
        }));
    }
    let record =
        clause.ok("reading a later record", LoginRecord::from_json(wire.to_string().as_bytes(), &key));
    clause.save(&*store, &record).await;
    let found = clause.load(&*factory.open().await, &key).await;
    clause.is(found.as_ref(), Some(&record), "a record of a later version");
    // And again after a change, as a refresh makes it.
    let Some(mut changed) = found else { return };
    changed.generation += 1;
    changed.set_refresh_token(Secret::from("next"), SystemTime::now());
    clause.save(&*store, &changed).await;
    let found = clause.load(&*store, &key).await;
    let json = found.map(|record| record.to_json());
    let found: Value =
        clause.ok("reading the rewritten record", serde_json::from_slice(&json.unwrap_or_default()));
    for pointer in ["/future", "/key/future", "/status", "/tokens/0/future", "/tokens/2"] {
        clause.check(
            found.pointer(pointer) == wire.pointer(pointer),
            format_args!("{pointer} became {:?}", found.pointer(pointer)),
        );
    }
    clause.clean(&*store, &key).await;
}

/// `reserve` changes nothing that a reader sees; the save after it may be smaller, larger, or not come at all.
pub async fn room_can_be_reserved(factory: &Factory) {
    let clause = Clause::new("room_can_be_reserved");
    let (store, key) = (factory.open().await, clause.key("room"));
    let mut lease = clause.lease(&*store, &key).await;
    clause.ok("reserve", lease.reserve(10_000).await);
    clause.is(clause.load(&*store, &key).await.as_ref(), None, "after a reservation for a first login");
    let mut last = None;
    for (generation, (room, bytes)) in (1..).zip([(10_000, 100), (100, 10_000), (0, 100), (4_096, 4_000)]) {
        clause.ok("reserve", lease.reserve(room).await);
        clause.ok("a second reserve", lease.reserve(room / 2).await);
        let found = clause.ok("load after reserve", lease.load().await);
        clause.is(found.as_ref(), last.as_ref(), "after a reservation, under the lease");
        clause.is(clause.load(&*store, &key).await.as_ref(), last.as_ref(), "after a reservation");
        let record = padded_record(&key, generation, bytes);
        clause.ok("save after reserve", lease.save(&record).await);
        let found = clause.load(&*store, &key).await;
        clause.is(found.as_ref(), Some(&record), "after a save into reserved room");
        last = Some(record);
    }
    clause.ok("reserve", lease.reserve(50_000).await);
    drop(lease);
    clause.is(clause.load(&*store, &key).await.as_ref(), last.as_ref(), "after an unused reservation");
    let mut lease = clause.lease(&*store, &key).await;
    clause.ok("reserve before delete", lease.reserve(1_000).await);
    clause.ok("delete after reserve", lease.delete().await);
    drop(lease);
    clause.is(clause.load(&*store, &key).await.as_ref(), None, "after reserve and delete");
}

/// Whoever waits for a lease that is held gets `LeaseTimeout` at the deadline: not before, not much later.
pub async fn the_deadline_is_kept(factory: &Factory) {
    let clause = Clause::new("the_deadline_is_kept");
    let (store, other, key) = (factory.open().await, factory.open().await, clause.key("held"));
    let mut lease = clause.lease(&*store, &key).await;
    for deadline in [Duration::ZERO, Duration::from_millis(150)] {
        for waiter in [&store, &other] {
            let started = Instant::now();
            let refused =
                tokio::time::timeout(deadline + Duration::from_secs(5), waiter.lease(&key, deadline)).await;
            let waited = started.elapsed();
            match refused {
                Ok(Err(StoreError::LeaseTimeout { .. })) => clause.check(
                    waited + Duration::from_millis(5) >= deadline,
                    format_args!("it gave up after {waited:?} of {deadline:?}"),
                ),
                Ok(other) => broken(
                    clause.name,
                    format_args!("a held lease with a deadline of {deadline:?} was answered with {other:?}"),
                ),
                Err(_) => broken(clause.name, format_args!("it waits on after a deadline of {deadline:?}")),
            }
        }
    }
    // The holder has lost nothing by it.
    clause.ok("save", lease.save(&full_record(&key)).await);
    drop(lease);
    clause.clean(&*store, &key).await;
}

/// A lease is exclusive through saves and deletes, and free as soon as it is dropped.
pub async fn a_lease_excludes_until_it_is_dropped(factory: &Factory) {
    let clause = Clause::new("a_lease_excludes_until_it_is_dropped");
    let (store, other, key) = (factory.open().await, factory.open().await, clause.key("excluded"));
    let mut lease = clause.lease(&*store, &key).await;
    for step in ["taking it", "reserve", "save", "delete"] {
        match step {
            "reserve" => clause.ok(step, lease.reserve(100).await),
            "save" => clause.ok(step, lease.save(&full_record(&key)).await),
            "delete" => clause.ok(step, lease.delete().await),
            _ => {}
        }
        clause.check(
            other.lease(&key, Duration::ZERO).await.is_err(),
            format_args!("a second lease was given after {step}"),
        );
    }
    // Somebody who waits gets it when it is dropped.
    let waiting = tokio::spawn({
        let (other, key) = (Arc::clone(&other), key.clone());
        async move { other.lease(&key, SOON).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(lease);
    let got = clause.ok("the waiting task", waiting.await);
    clause.ok("waiting for a lease that is dropped", got);
    // And one that is dropped is free at the first try, again and again.
    for _ in 0..20 {
        clause.ok("taking a lease that was dropped", store.lease(&key, Duration::from_secs(5)).await);
        clause.ok("taking a lease that was dropped", other.lease(&key, Duration::from_secs(5)).await);
    }
}

/// A `lease` that is dropped while it waits holds nothing afterwards.
pub async fn a_dropped_wait_holds_nothing(factory: &Factory) {
    let clause = Clause::new("a_dropped_wait_holds_nothing");
    let (store, key) = (factory.open().await, clause.key("given-up"));
    let lease = clause.lease(&*store, &key).await;
    for wait in [0, 1, 5, 30] {
        // Dropped by the timeout, in the middle of whatever it does.
        let given_up = tokio::time::timeout(Duration::from_millis(wait), store.lease(&key, SOON)).await;
        clause.check(given_up.is_err(), format_args!("a held lease was answered with {given_up:?}"));
    }
    drop(lease);
    // Dropped as it gets it.
    for _ in 0..20 {
        let taking = tokio::spawn({
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { store.lease(&key, SOON).await.map(drop) }
        });
        tokio::task::yield_now().await;
        taking.abort();
        let _ = taking.await;
    }
    clause.lease(&*store, &key).await;
}

/// What competitors share to find out whether two are inside at once.
#[derive(Default)]
struct Inside {
    arrived: AtomicU64,
    holders: AtomicUsize,
    overlaps: AtomicUsize,
    rounds: AtomicU64,
}

async fn compete(clause: &Clause, store: &dyn TokenStore, key: &LoginKey, inside: &Inside) {
    inside.arrived.fetch_add(1, Ordering::SeqCst);
    for _ in 0..ROUNDS {
        let mut lease = clause.ok("waiting for the lease", store.lease(key, AT_MOST).await);
        if inside.holders.fetch_add(1, Ordering::SeqCst) != 0 {
            inside.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let found = clause.ok("load under the lease", lease.load().await);
        let mut record = found.unwrap_or_else(|| LoginRecord::new(key.clone(), SystemTime::now()));
        // The first one in stays until all have come, so that there is a crowd at the door; later ones a moment.
        while inside.arrived.load(Ordering::SeqCst) < COMPETITORS {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        record.generation += 1;
        clause.ok("save", lease.save(&record).await);
        inside.rounds.fetch_add(1, Ordering::SeqCst);
        inside.holders.fetch_sub(1, Ordering::SeqCst);
        drop(lease);
        tokio::task::yield_now().await;
    }
}

async fn check_competition(clause: &Clause, factory: &Factory, key: &LoginKey, inside: &Inside) {
    let overlaps = inside.overlaps.load(Ordering::SeqCst);
    clause.check(overlaps == 0, format_args!("two had the lease at once, {overlaps} times"));
    let store = factory.open().await;
    let counted = clause.load(&*store, key).await.map_or(0, |record| record.generation);
    let rounds = inside.rounds.load(Ordering::SeqCst);
    clause.check(
        counted == rounds && rounds == COMPETITORS * ROUNDS,
        format_args!("{rounds} increments under the lease counted up to {counted}: updates were lost"),
    );
    clause.clean(&*store, key).await;
}

/// Tasks of one runtime, sharing one store or having one each, hold the lease one at a time; no update is lost.
pub async fn tasks_exclude_each_other(factory: &Factory) {
    let clause = Arc::new(Clause::new("tasks_exclude_each_other"));
    let (shared, key, inside) = (factory.open().await, clause.key("counted"), Arc::new(Inside::default()));
    let mut tasks = Vec::new();
    for number in 0..COMPETITORS {
        let store = if number % 2 == 0 { Arc::clone(&shared) } else { factory.open().await };
        let (clause, key, inside) = (Arc::clone(&clause), key.clone(), Arc::clone(&inside));
        tasks.push(tokio::spawn(async move { compete(&clause, &*store, &key, &inside).await }));
    }
    for task in tasks {
        clause.ok("a competing task", task.await);
    }
    check_competition(&clause, factory, &key, &inside).await;
}

/// Threads, each with a runtime and a store of its own, hold the lease one at a time; no update is lost.
pub async fn threads_exclude_each_other(factory: &Factory) {
    let clause = Arc::new(Clause::new("threads_exclude_each_other"));
    let (key, inside) = (clause.key("counted"), Arc::new(Inside::default()));
    let mut threads = Vec::new();
    for _ in 0..COMPETITORS {
        let (factory, clause) = (factory.clone(), Arc::clone(&clause));
        let (key, inside) = (key.clone(), Arc::clone(&inside));
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = clause.ok("a runtime", runtime);
            runtime.block_on(async {
                let store = factory.open().await;
                compete(&clause, &*store, &key, &inside).await;
            });
            let _ = ended.send(());
        });
        threads.push(end);
    }
    for end in threads {
        // A thread that panics drops its sender.
        clause.ok("a competing thread", end.await);
    }
    check_competition(&clause, factory, &key, &inside).await;
}

/// Readers without a lease see one saved record or another while it is replaced, never half of one, never none, and
/// never an older one after a newer.
pub async fn readers_see_whole_records(factory: &Factory) {
    let clause = Arc::new(Clause::new("readers_see_whole_records"));
    let (store, key) = (factory.open().await, clause.key("read"));
    clause.save(&*store, &padded_record(&key, 1, 40_000)).await;
    let (done, watch) = tokio::sync::watch::channel(false);
    let reader = tokio::spawn({
        let (clause, reader, key) = (Arc::clone(&clause), factory.open().await, key.clone());
        async move {
            let (mut newest, mut loads) = (0, 0_u32);
            while !*watch.borrow() || loads == 0 {
                let found = clause.load(&*reader, &key).await;
                let Some(record) = found else {
                    broken(clause.name, format_args!("a login was absent while it was saved"));
                };
                clause.check(is_whole(&record), format_args!("a reader saw a mixture"));
                clause.check(
                    record.generation >= newest,
                    format_args!("a reader saw generation {} after {newest}", record.generation),
                );
                newest = record.generation;
                loads += 1;
                tokio::task::yield_now().await;
            }
        }
    });
    let mut lease = clause.lease(&*store, &key).await;
    for generation in 2..40 {
        let bytes = if generation % 2 == 0 { 80 } else { 40_000 };
        clause.ok("save", lease.save(&padded_record(&key, generation, bytes)).await);
        tokio::task::yield_now().await;
    }
    drop(lease);
    let _ = done.send(true);
    clause.ok("the reading task", reader.await);
    clause.clean(&*store, &key).await;
}

/// A `save` that is dropped before it is ready leaves the old record or the new one, and the lease can be had again;
/// whoever has it next sees the outcome, and it stays.
pub async fn a_dropped_save_is_whole_or_nothing(factory: &Factory) {
    let clause = Clause::new("a_dropped_save_is_whole_or_nothing");
    let (store, other, key) = (factory.open().await, factory.open().await, clause.key("dropped"));
    let mut last = 1;
    clause.save(&*store, &padded_record(&key, last, 40_000)).await;
    for polls in 1..=20_u64 {
        let next = last + 1;
        let record = padded_record(&key, next, if polls % 2 == 0 { 400_000 } else { 400 });
        let mut lease = clause.lease(&*store, &key).await;
        {
            let mut save = lease.save(&record);
            let mut left = polls;
            // Polled once to a few times, and dropped unless it was quicker.
            let _ = std::future::poll_fn(|cx| {
                left -= 1;
                match save.as_mut().poll(cx) {
                    std::task::Poll::Pending if left > 0 => {
                        cx.waker().wake_by_ref();
                        std::task::Poll::Pending
                    }
                    _ => std::task::Poll::Ready(()),
                }
            })
            .await;
        }
        drop(lease);
        let mut lease = clause.lease(&*other, &key).await;
        let outcome = clause.ok("load after a dropped save", lease.load().await);
        let Some(outcome) = outcome else { broken(clause.name, format_args!("the login is gone")) };
        clause.check(is_whole(&outcome), format_args!("the record is torn"));
        clause.check(
            outcome.generation == last || outcome.generation == next,
            format_args!("generation {} after a dropped save of {next} over {last}", outcome.generation),
        );
        tokio::task::yield_now().await;
        let again = clause.ok("load again", lease.load().await);
        clause.is(again.as_ref(), Some(&outcome), "the outcome changed under the lease of the next holder");
        last = outcome.generation;
    }
    clause.clean(&*store, &key).await;
}

/// The listing has each login once, ended ones too, and no deleted one.
pub async fn the_listing_is_complete(factory: &Factory) {
    let clause = Clause::new("the_listing_is_complete");
    let store = factory.open().await;
    let keys: HashSet<LoginKey> = (0..70).map(|number| clause.key(&number.to_string())).collect();
    let deleted = clause.key("deleted");
    for key in keys.iter().chain([&deleted]) {
        clause.save(&*store, &full_record(key)).await;
    }
    clause.clean(&*store, &deleted).await;
    // Taking a lease makes no login.
    let leased = clause.key("leased");
    let lease = clause.lease(&*store, &leased).await;

    let store = factory.open().await;
    let (mut seen, mut listing) = (HashSet::new(), store.list());
    while let Some(key) = listing.next().await {
        let Ok(key) = key else { continue };
        if keys.contains(&key) || key == deleted || key == leased {
            clause.check(seen.insert(key.clone()), format_args!("{key} was listed twice"));
        }
    }
    clause.check(listing.next().await.is_none(), format_args!("something came after the end"));
    drop((listing, lease));
    clause.check(!seen.contains(&deleted), format_args!("a deleted login was listed"));
    clause.check(!seen.contains(&leased), format_args!("a login that nobody made was listed"));
    clause.check(seen == keys, format_args!("{} of {} logins were listed", seen.len(), keys.len()));
    for key in &keys {
        clause.clean(&*store, key).await;
    }
}

/// The description names a backend, and is the same for each store that is opened.
pub async fn the_description_is_steady(factory: &Factory) {
    let clause = Clause::new("the_description_is_steady");
    let (one, other) = (factory.open().await.describe(), factory.open().await.describe());
    clause.check(!one.backend.is_empty(), format_args!("the backend has no name"));
    clause.check(one == other, format_args!("{one} became {other}"));
}
