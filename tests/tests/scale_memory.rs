//! The memory store with 100,000 logins: each operation makes the allocations that it makes with 10, and a listing
//! streams. The counts are of the whole process, so that this file has one test.

// A test says what it expects, and what it counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::alloc::System;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use jeton_models::Secret;
use jeton_storage::{LoginKey, LoginRecord, MemoryStore, TokenStore as _};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FEW: usize = 10;
const MANY: usize = 100_000;
/// A tree of 100,000 logins is a few nodes deep; a login that comes or goes may split or join each of them.
const DEPTH: usize = 8;

/// What an operation allocated: how often, and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allocated {
    times: usize,
    bytes: usize,
}

#[test]
fn with_100_000_logins_operations_allocate_what_they_allocate_with_10_and_listings_stream() {
    let (few, many) = (store_of(FEW), store_of(MANY));
    let (with_few, with_many) = (operations(&few, "known"), operations(&many, "known"));
    println!("{with_few:#?}");
    assert_eq!(with_few, with_many, "on the left with {FEW} logins, on the right with {MANY}");
    assert!(with_few.iter().any(|(_, allocated)| allocated.times > 0), "nothing was counted");

    for ((operation, with_few), (_, with_many)) in
        operations(&few, "new").iter().zip(operations(&many, "new"))
    {
        assert!(
            with_many.times <= with_few.times + DEPTH,
            "{operation} of a new login: {with_few:?}, {with_many:?}"
        );
    }
    assert_listing_streams(&many);
}

fn store_of(count: usize) -> MemoryStore {
    let store = MemoryStore::new();
    let accounts = (1..count).map(|number| format!("account-{number:06}"));
    for account in accounts.chain(["known".to_owned()]) {
        let key = key(&account);
        now(now(store.lease(&key, Duration::ZERO)).unwrap().save(&record(&key))).unwrap();
    }
    store
}

fn operations(store: &MemoryStore, account: &str) -> Vec<(&'static str, Allocated)> {
    let key = key(account);
    let record = record(&key);
    let mut counted = Vec::with_capacity(10);
    let mut count = |operation, region: &Region<'_, System>| {
        let stats = region.change();
        let allocated =
            Allocated { times: stats.allocations + stats.reallocations, bytes: stats.bytes_allocated };
        counted.push((operation, allocated));
    };
    // Something may be made once, at the first use.
    drop(now(store.lease(&key, Duration::ZERO)).unwrap());

    let region = Region::new(MEMORY);
    let loaded = now(store.load(&key)).unwrap();
    count("load", &region);
    drop(loaded);

    let region = Region::new(MEMORY);
    let mut lease = now(store.lease(&key, Duration::ZERO)).unwrap();
    count("lease", &region);

    let region = Region::new(MEMORY);
    let loaded = now(lease.load()).unwrap();
    count("load under the lease", &region);
    drop(loaded);

    let region = Region::new(MEMORY);
    now(lease.reserve(1_000)).unwrap();
    count("reserve", &region);

    let region = Region::new(MEMORY);
    now(lease.save(&record)).unwrap();
    count("save", &region);

    let region = Region::new(MEMORY);
    drop(lease);
    count("release", &region);
    counted
}

/// It holds the key that it gave last, and no lock between two of them.
fn assert_listing_streams(store: &MemoryStore) {
    let mut listing = store.list();
    let begun = Region::new(MEMORY);
    let (mut count, mut most_held) = (0, 0);
    while let Some(key) = now(listing.next()) {
        let stats = begun.change();
        most_held = most_held.max(stats.bytes_allocated.saturating_sub(stats.bytes_deallocated));
        if count == MANY / 2 {
            // Whoever lists in the middle of all that is in nobody's way.
            assert!(now(store.load(&key.unwrap())).unwrap().is_some());
        }
        count += 1;
    }
    println!("listed {count} logins, holding {most_held} bytes at most");
    assert_eq!(count, MANY + 1);
    assert!(most_held <= 1_024, "{most_held} bytes are held at one time");
}

fn key(account: &str) -> LoginKey {
    LoginKey::new(&"https://as.example".parse().unwrap(), "my-client").with_account(account)
}

fn record(key: &LoginKey) -> LoginRecord {
    let mut record = LoginRecord::new(key.clone(), SystemTime::now());
    record.set_refresh_token(Secret::new("r".repeat(200)), SystemTime::now());
    record
}

/// Nobody else is there to wait for: what is asked is done when it is first polled, on this very thread.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
