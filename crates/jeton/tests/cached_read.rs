//! The cached read allocates nothing: not on the guard path, not owned, not awaited, not by the blocking API, and not in the
//! window in which a refresh ahead of time is under way or has failed.
//!
//! That it takes no lock is so by construction: a coarse clock, an `ArcSwap` and two relaxed numbers are all that it touches.
// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "blocking")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use jeton::grants::ManualClock;
use jeton::{Client, ClientBuilder, ClientCredentials, blocking};
use jeton_devserver::{DevServer, Endpoint, Fault};

const CALLS: usize = 1_000;

fn client(server: &DevServer) -> ClientBuilder {
    let (client_id, client_secret) = DevServer::SERVICE_CLIENT;
    Client::builder(client_id).issuer(server.issuer()).client_secret(client_secret).grant(ClientCredentials)
}

/// How often this thread allocates while it reads, in each of the ways that there are.
fn allocations(session: &blocking::Session, secret: &str) -> Vec<(&'static str, u64)> {
    let read = |name, read: &dyn Fn() -> bool| {
        let counted = allocation_counter::measure(|| {
            for _ in 0..CALLS {
                assert!(read(), "{name}");
            }
        });
        (name, counted.count_total)
    };
    let (asynchronous, least) = (session.as_async(), Duration::from_secs(5));
    vec![
        read("borrowed", &|| asynchronous.cached_ref().unwrap().secret().expose() == secret),
        read("owned", &|| asynchronous.cached().unwrap().secret().expose() == secret),
        read("for so long", &|| asynchronous.cached_valid_for(least).is_some()),
        read("awaited", &|| at_once(asynchronous.token()).is_ok()),
        read("awaited for so long", &|| at_once(asynchronous.token_valid_for(least)).is_ok()),
        read("blocking, borrowed", &|| session.cached_ref().unwrap().secret().expose() == secret),
        read("blocking", &|| session.token().unwrap().secret().expose() == secret),
        read("blocking, for so long", &|| session.token_valid_for(least).is_ok()),
    ]
}

/// What a future gives that has nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a caller with a valid token waits"),
    }
}

#[track_caller]
fn assert_none(allocations: &[(&str, u64)]) {
    assert!(allocations.iter().all(|(_, count)| *count == 0), "in {CALLS} calls each: {allocations:?}");
}

#[test]
fn a_cached_token_is_read_without_allocating() {
    let server = DevServer::start().unwrap();
    let client = client(&server).build().unwrap();
    let session = blocking::Client::from(client).session();
    let token = session.token().unwrap();
    assert_none(&allocations(&session, token.secret().expose()));
    // The counter counts.
    assert_ne!(
        allocation_counter::measure(|| drop(session.for_resource("https://api.example"))).count_total,
        0
    );
}

#[test]
fn nor_while_a_refresh_ahead_is_under_way_or_has_failed() {
    let clock = ManualClock::paused(SystemTime::now());
    let servers = clock.clone();
    let server = DevServer::builder()
        .access_token_lifetime(Duration::from_secs(3_600))
        .clock(std::sync::Arc::new(move || jeton::grants::Clock::now(&servers)))
        .start()
        .unwrap();
    let client = client(&server).clock(clock.clone()).refresh_ahead(true).build().unwrap();
    let session = blocking::Client::from(client).session();
    let token = session.token().unwrap();
    let requests = || server.stats().grant("client_credentials").requests;
    clock.advance(Duration::from_secs(3_600 - 60));

    server.fault(Endpoint::Token, Fault::Gate);
    server.fault(Endpoint::Token, Fault::unavailable(Some("60")));
    // Whoever comes first starts it.
    drop(session.cached_ref());
    assert!(server.wait_until_held_blocking(1, Duration::from_secs(60)));
    assert_none(&allocations(&session, token.secret().expose()));
    server.open_gate();
    session.close().unwrap();
    assert_eq!(requests(), 2);

    // A gate lets the request through in the end, so that now there is another token.
    let token = session.cached().unwrap();
    clock.advance(Duration::from_secs(3_600 - 60));
    drop(session.cached_ref());
    session.close().unwrap();
    assert_none(&allocations(&session, token.secret().expose()));
    assert_eq!(requests(), 3, "it failed, and the server said when to come back");
}
