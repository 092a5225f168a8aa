//! Somebody holds the lease on the login and does not give it back: a suspended process, a store that hangs. Whoever has a
//! token that lives is served, the others are told within a bounded time who it is, and when the lease is free again all goes
//! on. (`tests/tests/suspended.rs` does it with real processes.)

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{LIFETIME, World, log_in, soon, text};
use jeton_client::{Error, Recovery, StoreError};
use jeton_storage::{FileStore, TokenLease};
use tempfile::TempDir;

/// Inside the margin: the token counts as expired and still lives.
const LEFT: Duration = Duration::from_secs(20);

/// For callers that have nothing better to do than to wait.
const LEASE_TIMEOUT: Duration = Duration::from_millis(50);

fn world() -> (World, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (World::over(FileStore::new(folder.path().join("logins")), |builder| builder), folder)
}

/// What a suspended process does.
async fn hold(world: &World, session: &jeton_client::Session) -> Box<dyn TokenLease> {
    world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap()
}

/// That error says who holds the lease, since when, and what to do.
fn assert_names_the_holder(error: &Error) {
    let Error::Store(store) = error else { panic!("another error: {error}") };
    let StoreError::LeaseTimeout { holder: Some(holder), .. } = &**store else {
        panic!("another error: {error}")
    };
    assert_eq!(holder.pid, std::process::id());
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    assert!(!error.is_login_required());
    let shown = error.to_string();
    for words in [
        &format!("in use by {:?}", holder.program),
        &format!("pid {}", std::process::id()),
        "since 20",
        "gave up after",
        "try again, or end that program if it hangs",
    ] {
        assert!(shown.contains(words), "no {words:?} in: {shown}");
    }
}

#[tokio::test]
async fn each_call_while_somebody_else_holds_the_lease() {
    use Outcome::{Served, Told};
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Outcome {
        /// The token that lives.
        Served,
        /// The error that names the holder.
        Told,
    }
    #[derive(Clone, Copy, Debug)]
    enum Call {
        Token,
        ValidFor(u64),
        Refresh,
        OtherScope,
        Get,
    }
    use Call::{Get, OtherScope, Refresh, Token, ValidFor};
    for (left, call, outcome) in [
        // Good: nobody is asked.
        (LIFETIME, Token, Served),
        (LIFETIME, ValidFor(600), Served),
        (LIFETIME, Get, Served),
        // In the margin before its end: what lives is served, to those who can use it.
        (LEFT, Token, Served),
        (LEFT, ValidFor(10), Served),
        (LEFT, ValidFor(25), Told),
        (LEFT, Get, Served),
        // A refresh in so many words, and a token that there is none of.
        (LIFETIME, Refresh, Told),
        (LEFT, Refresh, Told),
        (LIFETIME, OtherScope, Told),
        // Dead.
        (Duration::ZERO, Token, Told),
        (Duration::ZERO, ValidFor(10), Told),
        (Duration::ZERO, Refresh, Told),
        (Duration::ZERO, Get, Told),
    ] {
        let shown = format!("{call:?} with {left:?} left");
        let (world, _folder) = world();
        let client = world.builder().lease_timeout(LEASE_TIMEOUT).build().unwrap();
        let session = client.session();
        let old = text(&log_in(&world.server, &session).await);
        world.clock.advance(LIFETIME - left);
        let lease = hold(&world, &session).await;

        // As often as one likes: each wait is bounded.
        for _ in 0..2 {
            let result = soon(async {
                match call {
                    Token => session.token().await.map(|token| text(&token)),
                    ValidFor(seconds) => {
                        session.token_valid_for(Duration::from_secs(seconds)).await.map(|token| text(&token))
                    }
                    Refresh => session.refresh().await.map(|token| text(&token)),
                    OtherScope => {
                        let other = session.with_scope("read".parse().unwrap());
                        other.token().await.map(|token| text(&token))
                    }
                    Get => {
                        let response = session.get(&world.server.resource_url()).send().await?;
                        assert_eq!(response.status(), 200);
                        Ok(old.clone())
                    }
                }
            })
            .await;
            match (outcome, result) {
                (Served, Ok(token)) => assert_eq!(token, old, "{shown}"),
                (Told, Err(error)) => assert_names_the_holder(&error),
                (_, result) => panic!("{shown}: {result:?}"),
            }
        }
        assert_eq!(world.refresh_requests(), 0, "{shown}: without the lease nothing is sent");

        drop(lease);
        world.clock.advance(left);
        assert_ne!(text(&soon(session.token()).await.unwrap()), old, "{shown}");
        assert_eq!(world.refresh_requests(), 1, "{shown}");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn all_who_wait_are_told_by_one_wait_for_the_lease() {
    let (world, _folder) = world();
    // Long enough for all of them to come together, on any machine.
    let client = world.builder().lease_timeout(Duration::from_secs(3)).build().unwrap();
    let session = client.session();
    log_in(&world.server, &session).await;
    world.expire();
    let lease = hold(&world, &session).await;
    let leases = || world.store.faults.leases.load(Ordering::SeqCst);
    let before = leases();
    let told = soon(futures_util::future::join_all((0..1_000).map(|_| session.token()))).await;
    told.iter().for_each(|result| assert_names_the_holder(result.as_ref().unwrap_err()));
    assert_eq!(leases(), before + 1);

    drop(lease);
    let tokens = soon(futures_util::future::join_all((0..1_000).map(|_| session.token()))).await;
    let first = text(tokens[0].as_ref().unwrap());
    assert!(tokens.iter().all(|token| text(token.as_ref().unwrap()) == first));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

/// Three seconds of patience are for the flight, not for each call: a busy caller whose token lives must not be slowed down to
/// one request in three seconds for as long as the lease timeout lasts.
#[tokio::test]
async fn a_living_token_is_waited_for_once_and_then_served_at_once() {
    let (world, _folder) = world();
    // The usual lease timeout: 45 s.
    let (_client, session) = world.signed_in().await;
    let old = text(&session.cached().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    let lease = hold(&world, &session).await;
    // `soon` gives up after a minute, in which one call after the other would wait twenty times.
    soon(async {
        for _ in 0..1_000 {
            assert_eq!(text(&session.token().await.unwrap()), old);
        }
    })
    .await;
    drop(lease);
    soon(session.close()).await;
    assert_ne!(text(&session.token().await.unwrap()), old);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_person_can_log_in_and_nobody_can_be_logged_out_by_halves() {
    let (world, _folder) = world();
    let client = world.builder().lease_timeout(LEASE_TIMEOUT).build().unwrap();
    let session = client.session();
    log_in(&world.server, &session).await;
    let lease = hold(&world, &session).await;

    // The log-out would be overwritten by whoever holds the lease: it does not happen, and says so.
    assert_names_the_holder(&soon(session.log_out()).await.unwrap_err());
    assert!(world.server.is_refresh_token_live(&world.stored_refresh_token(&session).await));

    // A person has logged in, and has the token; it is stored when the lease is free.
    world.clock.advance(Duration::from_secs(1));
    world.server.approve_as("bob");
    let new = soon(log_in(&world.server, &session)).await;
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&new));
    assert_names_the_holder(&session.persist_error().unwrap());
    drop(lease);
    soon(session.close()).await;
    world.assert_sound(&session).await;
    assert_eq!(text(&soon(world.client().session().token()).await.unwrap()), text(&new));
}

#[tokio::test]
async fn a_caller_that_goes_away_waits_no_longer() {
    let (world, _folder) = world();
    let (_client, session) = world.signed_in().await;
    world.expire();
    let lease = hold(&world, &session).await;
    let waited = tokio::time::timeout(Duration::from_millis(50), session.token()).await;
    assert!(waited.is_err(), "the caller's own patience ends first");
    drop(lease);
    // What it began goes on: the next caller joins it.
    soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}
