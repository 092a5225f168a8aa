//! Refreshing ahead of time: among many callers, among processes, after failures, and at the end of a session. What a single
//! caller sees of it is in session_time.rs.

use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::{EventLog, LIFETIME, World, soon, text};
use jeton_client::{Client, Error, LoginRequired, Secret, Session, Token};
use jeton_devserver::{Endpoint, Fault};

const CALLERS: usize = 1_000;

/// A client that refreshes ahead, logged in, whose token is in its window whatever the jitter.
async fn in_the_window(world: &World) -> (Client, Session, String) {
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    let first = text(&world.log_in(&session).await);
    to_the_window(world);
    (client, session, first)
}

fn to_the_window(world: &World) {
    world.clock.advance(LIFETIME - Duration::from_secs(60));
}

/// The same store, read by another process that refreshes ahead.
async fn elsewhere(world: &World) -> (Client, Session) {
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    session.token().await.unwrap();
    (client, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn ahead_a_thousand_callers_start_one_refresh_and_are_all_served_at_once() {
    let world = World::new();
    let (_client, session, first) = in_the_window(&world).await;
    world.server.fault(Endpoint::Token, Fault::Gate);
    let callers = (0..CALLERS).map(|number| {
        let session = session.clone();
        tokio::spawn(async move {
            match number % 4 {
                0 => text(&session.cached_ref().unwrap()),
                1 => text(&session.cached().unwrap()),
                2 => text(&session.cached_valid_for(Duration::from_secs(59)).unwrap()),
                _ => text(&session.token().await.unwrap()),
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        // The server answers nobody yet.
        assert_eq!(soon(caller).await.unwrap(), first);
    }
    soon(world.server.wait_until_held(1)).await;
    world.server.open_gate();
    soon(session.close()).await;
    assert_ne!(text(&session.cached_ref().unwrap()), first);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn ahead_after_a_failure_nobody_asks_the_server_or_the_store_before_it_is_time() {
    let world = World::new();
    let (_client, session, first) = in_the_window(&world).await;
    world.server.fault(Endpoint::Token, Fault::unavailable(Some("20")));
    let loads = || world.store.faults.loads.load(Ordering::SeqCst);
    let before = loads();
    drop(session.cached_ref());
    soon(session.close()).await;
    let first_try = loads() - before;
    assert_eq!(world.refresh_requests(), 1);
    for _ in 0..20 {
        for _ in 0..CALLERS {
            assert_eq!(text(&session.cached_ref().unwrap()), first);
        }
        soon(session.close()).await;
        assert_eq!((world.refresh_requests(), loads() - before), (1, first_try));
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(text(&session.cached_ref().unwrap()), first);
    soon(session.close()).await;
    assert_ne!(text(&session.cached_ref().unwrap()), first);
    assert_eq!(world.refresh_requests(), 2);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn ahead_two_processes_in_their_windows_make_one_request() {
    let world = World::new();
    let (_client, here, first) = in_the_window(&world).await;
    let (_other_client, there) = elsewhere(&world).await;
    assert_eq!(text(&there.cached_ref().unwrap()), first);
    soon(there.close()).await;
    assert_eq!(world.refresh_requests(), 1);
    let second = text(&there.cached().unwrap());
    assert_ne!(second, first);

    // This one adopts what the other one got, without a request.
    assert_eq!(text(&here.cached_ref().unwrap()), first);
    soon(here.close()).await;
    assert_eq!(text(&here.cached_ref().unwrap()), second);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&here).await;
}

#[tokio::test]
async fn ahead_two_processes_at_the_same_time_make_one_request() {
    let world = World::new();
    let (_client, here, first) = in_the_window(&world).await;
    world.server.fault(Endpoint::Token, Fault::Gate);
    let (_other_client, there) = elsewhere(&world).await;
    for session in [&here, &there] {
        assert_eq!(text(&session.cached_ref().unwrap()), first);
    }
    soon(world.server.wait_until_held(1)).await;
    // Whoever did not ask waits for the lease, and its callers do not wait for that.
    soon(async {
        while world.store.faults.leases.load(Ordering::SeqCst) < 3 {
            assert_eq!(text(&here.token().await.unwrap()), first);
            assert_eq!(text(&there.token().await.unwrap()), first);
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    soon(here.close()).await;
    soon(there.close()).await;
    assert_ne!(text(&here.cached().unwrap()), first);
    assert_eq!(text(&here.cached().unwrap()), text(&there.cached().unwrap()));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&here).await;
}

#[tokio::test]
async fn ahead_a_session_that_goes_meanwhile_waits_for_a_while_and_its_token_is_stored_all_the_same() {
    let world = World::new();
    let events = EventLog::default();
    let client = world
        .builder()
        .refresh_ahead(true)
        .close_timeout(Duration::from_millis(20))
        .on_event(events.listener())
        .build()
        .unwrap();
    let session = client.session();
    let first = text(&world.log_in(&session).await);
    to_the_window(&world);
    world.server.fault(Endpoint::Token, Fault::Gate);
    assert_eq!(text(&session.cached_ref().unwrap()), first);
    soon(world.server.wait_until_held(1)).await;
    // The server hangs, and yet this comes to an end. The client goes, too.
    soon(tokio::task::spawn_blocking(move || drop((session, client)))).await.unwrap();
    assert_eq!(events.count("Refreshed"), 0);

    world.server.open_gate();
    soon(async {
        while events.count("Refreshed") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (_client, next_run) = elsewhere(&world).await;
    assert_ne!(text(&next_run.cached().unwrap()), first);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&next_run).await;
}

#[tokio::test]
async fn ahead_a_login_that_cannot_be_refreshed_is_served_to_its_end() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().refresh_ahead(true).on_event(events.listener()).build().unwrap();
    let session = client.session();
    let mut token = Token::new(Secret::from("all there is"));
    token.expires_at = Some((world.now() + LIFETIME).duration_since(UNIX_EPOCH).unwrap().as_secs());
    session.adopt(token).await.unwrap();
    to_the_window(&world);
    let loads = || world.store.faults.loads.load(Ordering::SeqCst);
    let before = loads();
    for _ in 0..29 {
        for _ in 0..CALLERS {
            assert_eq!(text(&session.cached_ref().unwrap()), "all there is");
        }
        soon(session.close()).await;
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(loads() - before <= 29, "{} looks into the store", loads() - before);
    assert_eq!(world.server.stats().grant("refresh_token").requests, 0);
    assert_eq!(events.all(), ["LoggedIn"]);

    world.clock.advance(Duration::from_secs(60));
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NoRefreshToken)), "{error}");
}

#[tokio::test]
async fn ahead_the_end_of_the_login_is_told_at_once() {
    let world = World::new();
    let (_client, session, first) = in_the_window(&world).await;
    world.server.revoke_all_logins();
    assert_eq!(text(&session.cached_ref().unwrap()), first);
    soon(session.close()).await;
    assert!(session.cached_ref().is_none());
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::Ended(_))), "{error}");
    assert_eq!(world.refresh_requests(), 1);
}
