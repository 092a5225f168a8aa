//! The life of a token, rules 7, 8 and 9: when a token counts as expired, what a rejection by a resource server means, and how
//! what others do with the login is seen. And refreshing ahead of time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{EventLog, LIFETIME, World, soon, text};
use jeton_client::{Error, LoginRequired, Scope, Secret, Session, Token};
use jeton_devserver::{Endpoint, Fault};
use jeton_storage::unix_ms;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// ----- Rule 7 ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule7_a_token_counts_as_expired_30_s_early_but_at_most_a_fifth_of_its_life() {
    for (lifetime, early_expiry, margin) in [
        (3600, None, 30),
        (151, None, 30),
        (150, None, 30),
        (60, None, 12),
        (20, None, 4),
        (5, None, 1),
        (3600, Some(300), 300),
        (600, Some(300), 120),
        (3600, Some(0), 0),
    ] {
        let world = World::with(|builder| builder.access_token_lifetime(seconds(lifetime)));
        let mut builder = world.builder();
        if let Some(early_expiry) = early_expiry {
            builder = builder.early_expiry(seconds(early_expiry));
        }
        let client = builder.build().unwrap();
        let session = client.session();
        let first = text(&world.log_in(&session).await);

        world.clock.advance(seconds(lifetime - margin) - Duration::from_millis(1));
        assert_eq!(text(&session.token().await.unwrap()), first, "{lifetime} s");
        assert!(session.cached().is_some());
        world.clock.advance(Duration::from_millis(1));
        assert!(session.cached().is_none(), "{lifetime} s");
        assert_ne!(text(&session.token().await.unwrap()), first, "{lifetime} s");
        assert_eq!(world.refresh_requests(), 1, "{lifetime} s");
    }
}

#[tokio::test]
async fn rule7_a_lifetime_counts_from_the_request_and_not_from_the_arrival_of_the_answer() {
    // The machine sleeps, or the process is stopped, while the answer is on its way.
    for (lifetime, away, served) in
        [(60, 10, true), (60, 47, true), (60, 48, false), (60, 3_600, false), (3_600, 36_000, false)]
    {
        let world = World::with(|builder| builder.access_token_lifetime(seconds(lifetime)));
        let (_client, session) = world.signed_in().await;
        world.clock.advance(seconds(lifetime));
        world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
        let waiter = tokio::spawn({
            let session = session.clone();
            async move { session.token().await }
        });
        soon(world.server.wait_until_held(1)).await;
        world.clock.advance(seconds(away));
        world.server.open_gate();

        // Whoever waited has it, also if it is dead on arrival: a slow server must not make each of many waiters ask anew.
        let first = text(&soon(waiter).await.unwrap().unwrap());
        assert_eq!(world.server.is_access_token_live(&first), away < lifetime, "{away} s");
        assert_eq!(world.refresh_requests(), 1, "{away} s");
        // The next one has one that lives, without having to be told by a 401.
        let next = text(&session.token().await.unwrap());
        assert!(world.server.is_access_token_live(&next), "{away} s");
        assert_eq!(next == first, served, "{away} s");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule7_a_token_of_20_s_is_not_refreshed_at_each_call() {
    let world = World::with(|builder| builder.access_token_lifetime(seconds(20)));
    let (_client, session) = world.signed_in().await;
    for _ in 0..160 {
        session.token().await.unwrap();
        world.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(world.refresh_requests(), 0);
    session.token().await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule7_a_caller_can_ask_for_a_token_that_is_valid_for_at_least_so_long() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let first = text(&session.cached().unwrap());
    world.clock.advance(seconds(3000));
    assert_eq!(text(&session.token_valid_for(seconds(599)).await.unwrap()), first);
    let second = text(&session.token_valid_for(seconds(600)).await.unwrap());
    assert_ne!(second, first);
    assert_eq!(text(&session.token_valid_for(seconds(600)).await.unwrap()), second);
    assert_eq!(world.refresh_requests(), 1);

    // With the server down, a token that lives is not what was asked for.
    world.clock.advance(seconds(3000));
    world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
    session.token_valid_for(seconds(1200)).await.unwrap_err();
    assert_eq!(text(&session.token_valid_for(seconds(300)).await.unwrap()), second);
}

#[tokio::test]
async fn rule7_the_wish_for_more_than_tokens_live_causes_no_refresh_per_call() {
    let world = World::with(|builder| builder.access_token_lifetime(seconds(60)));
    let (_client, session) = world.signed_in().await;
    for _ in 0..11 {
        session.token_valid_for(seconds(300)).await.unwrap();
        world.clock.advance(seconds(1));
    }
    assert_eq!(world.refresh_requests(), 0);
    world.clock.advance(seconds(1));
    session.token_valid_for(seconds(300)).await.unwrap();
    session.token_valid_for(Duration::MAX).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule7_callers_with_different_wishes_are_each_served() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(seconds(3000));
    let wishes = (0..20).map(|n| {
        let session = session.clone();
        tokio::spawn(async move { session.token_valid_for(seconds(n * 60)).await })
    });
    for (n, caller) in wishes.collect::<Vec<_>>().into_iter().enumerate() {
        let token = soon(caller).await.unwrap().unwrap();
        let left = token.expires_at().unwrap().duration_since(world.now()).unwrap();
        assert!(left > seconds(n as u64 * 60));
    }
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule7_a_token_that_is_expired_when_it_comes_causes_no_refresh_per_call() {
    for (name, value) in [("expires_in", 0), ("expires_in", -5), ("expires_at", 1_000)] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.expire();
        let change = Fault::rewrite(move |mut answer| {
            answer.as_object_mut().unwrap().remove("expires_in");
            answer[name] = value.into();
            answer
        });
        world.server.fault(Endpoint::Token, change);
        for _ in 0..10 {
            session.token().await.unwrap();
        }
        // Also for others, and for a later run.
        world.client().session().token().await.unwrap();
        assert_eq!(world.refresh_requests(), 1, "{name}: {value}");
    }
}

#[tokio::test]
async fn rule7_a_clock_that_steps_costs_one_refresh_at_most() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let now = world.now();
    // Back: the token is no older than it was.
    world.clock.set(now - seconds(86_400));
    for _ in 0..5 {
        session.token().await.unwrap();
    }
    assert_eq!(world.refresh_requests(), 0);
    // Forward, far beyond the expiry.
    world.clock.set(now + seconds(86_400));
    for _ in 0..5 {
        session.token().await.unwrap();
    }
    assert_eq!(world.refresh_requests(), 1);
    // Back, to where it should have been. The new token seems to come from the future.
    world.clock.set(now);
    for _ in 0..5 {
        session.token().await.unwrap();
    }
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule7_a_clock_that_was_set_back_does_not_lengthen_a_wait() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::unavailable(Some("60")));
    session.token().await.unwrap_err();
    let now = world.now();
    world.clock.set(now - seconds(10));
    // Its access token lives again by this clock, but for the margin.
    session.token().await.unwrap();
    world.clock.set(now + seconds(60));
    session.token().await.unwrap();
    world.assert_sound(&session).await;
}

// ----- Rule 8 ----------------------------------------------------------------------------------------------------------

async fn get(session: &Session, world: &World) -> u16 {
    soon(session.get(&world.server.resource_url()).send()).await.unwrap().status().as_u16()
}

fn always_401() -> Fault {
    Fault::Answer {
        status: 401,
        headers: vec![("www-authenticate".to_owned(), r#"Bearer error="invalid_token""#.to_owned())],
        body: Vec::new(),
    }
}

#[tokio::test]
async fn rule8_a_token_without_expiry_never_expires_by_time() {
    let world = World::with(|builder| builder.access_tokens_never_expire());
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    assert_eq!(token.expires_at(), None);
    for _ in 0..10 {
        world.clock.advance(seconds(365 * 86_400));
        assert_eq!(text(&session.token_valid_for(seconds(86_400)).await.unwrap()), text(&token));
        assert_eq!(text(&world.client().session().token().await.unwrap()), text(&token));
    }
    assert_eq!(world.refresh_requests(), 0);

    world.server.revoke_access_tokens();
    assert_eq!(get(&session, &world).await, 200);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule8_a_401_makes_that_one_token_stale_once() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let first = session.cached().unwrap();
    world.server.revoke_access_tokens();
    assert_eq!(get(&session, &world).await, 200);
    assert_eq!(world.refresh_requests(), 1);
    let second = session.cached().unwrap();
    assert_ne!(text(&second), text(&first));

    // Whoever still has the old one and is late to say so does not hurt the new one.
    assert!(session.reject(&first));
    assert_eq!(text(&session.token().await.unwrap()), text(&second));
    assert_eq!(world.refresh_requests(), 1);

    // The new one was taken, so that it can become stale in its turn.
    world.server.revoke_access_tokens();
    assert_eq!(get(&session, &world).await, 200);
    assert_eq!(world.refresh_requests(), 2);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule8_many_401s_at_once_cause_one_refresh() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.server.revoke_access_tokens();
    let requests = (0..50).map(|_| {
        let (session, url) = (session.clone(), world.server.resource_url());
        tokio::spawn(async move { session.get(&url).send().await.unwrap().status().as_u16() })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(soon(request).await.unwrap(), 200);
    }
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule8_an_api_that_always_answers_401_causes_no_refresh_per_request() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.server.fault_always(Endpoint::Resource, always_401());
    for _ in 0..10 {
        assert_eq!(get(&session, &world).await, 401);
    }
    assert_eq!(world.refresh_requests(), 1);

    // It comes to its senses, and everything is as before.
    world.server.clear_faults();
    assert_eq!(get(&session, &world).await, 200);
    world.server.revoke_access_tokens();
    assert_eq!(get(&session, &world).await, 200);
    assert_eq!(world.refresh_requests(), 2);
}

#[tokio::test]
async fn rule8_an_api_that_always_answers_401_beside_one_that_works_causes_few_refreshes() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    for _ in 0..20 {
        world.server.fault(Endpoint::Resource, always_401());
        world.server.fault(Endpoint::Resource, always_401());
        assert_eq!(get(&session, &world).await, 401);
        // What is left of the two, if the first 401 was not replayed.
        while world.server.faults_waiting(Endpoint::Resource) > 0 {
            get(&session, &world).await;
        }
        assert_eq!(get(&session, &world).await, 200);
    }
    assert!(world.refresh_requests() <= 10, "{}", world.refresh_requests());
    // A minute later a token that was really revoked is replaced again.
    world.clock.advance(seconds(60));
    world.server.revoke_access_tokens();
    assert_eq!(get(&session, &world).await, 200);
}

#[tokio::test]
async fn rule8_a_rejected_token_is_not_served_again_by_a_server_that_is_down() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.server.revoke_access_tokens();
    world.server.fault(Endpoint::Token, Fault::unavailable(None));
    assert_eq!(get(&session, &world).await, 401, "the resource server's own answer");
    assert!(session.cached().is_none());
    assert!(matches!(session.token().await, Err(Error::BackingOff { .. })));
    world.clock.advance(seconds(1));
    assert_ne!(text(&session.token().await.unwrap()), text(&token));
}

#[tokio::test]
async fn rule8_a_401_here_finds_what_another_process_got_meanwhile() {
    let world = World::new();
    let (_client, first) = world.signed_in().await;
    let other_client = world.client();
    let second = other_client.session();
    second.token().await.unwrap();
    world.server.revoke_access_tokens();
    assert_eq!(get(&first, &world).await, 200);
    assert_eq!(get(&second, &world).await, 200);
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(text(&first.cached().unwrap()), text(&second.cached().unwrap()));
}

// ----- Rule 9 ----------------------------------------------------------------------------------------------------------

/// How a session comes to look into the store.
#[derive(Clone, Copy, Debug)]
enum Occasion {
    Expiry,
    Rejection,
    Refresh,
}

const OCCASIONS: [Occasion; 3] = [Occasion::Expiry, Occasion::Rejection, Occasion::Refresh];

async fn look(occasion: Occasion, session: &Session, world: &World) -> Result<String, Error> {
    let token = match occasion {
        Occasion::Expiry => {
            world.expire();
            session.token().await
        }
        Occasion::Rejection => {
            assert!(session.reject(&session.cached().unwrap()));
            session.token().await
        }
        Occasion::Refresh => session.refresh().await,
    };
    token.map(|token| text(&token))
}

#[tokio::test]
async fn rule9_a_log_out_elsewhere_is_seen_and_told_once() {
    for occasion in OCCASIONS {
        let world = World::new();
        let events = EventLog::default();
        let client = world.builder().on_event(events.listener()).build().unwrap();
        let session = client.session();
        world.log_in(&session).await;
        let elsewhere = world.client().session();
        elsewhere.log_out().await.unwrap();
        session.token().await.expect("what is in memory is served until there is a reason to look");

        let error = look(occasion, &session, &world).await.unwrap_err();
        assert!(matches!(error, Error::LoginRequired(LoginRequired::LoggedOut)), "{occasion:?}: {error}");
        for _ in 0..3 {
            let error = session.token().await.unwrap_err();
            assert!(matches!(error, Error::LoginRequired(LoginRequired::LoggedOut)), "{occasion:?}: {error}");
            assert!(session.refresh().await.is_err());
        }
        assert_eq!(events.count("LoggedOutElsewhere"), 1, "{occasion:?}");
        assert!(world.stored(&session).await.is_none(), "{occasion:?}: nothing was written over it");
        assert_eq!(world.refresh_requests(), 0, "{occasion:?}");

        // A new login, and a new log-out, are told anew.
        world.log_in(&session).await;
        elsewhere.log_out().await.unwrap();
        look(occasion, &session, &world).await.unwrap_err();
        assert_eq!(events.count("LoggedOutElsewhere"), 2, "{occasion:?}");
    }
}

#[tokio::test]
async fn rule9_a_new_login_elsewhere_is_seen_and_not_overwritten() {
    for occasion in OCCASIONS {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let elsewhere = world.client().session();
        world.server.approve_as("bob");
        if matches!(occasion, Occasion::Expiry) {
            // So that their token is a young one when this one's expires.
            world.clock.advance(seconds(1800));
        }
        let theirs = text(&world.log_in(&elsewhere).await);
        if matches!(occasion, Occasion::Expiry) {
            world.clock.advance(seconds(1800));
            assert_eq!(text(&session.token().await.unwrap()), theirs);
        } else {
            assert_eq!(look(occasion, &session, &world).await.unwrap(), theirs, "{occasion:?}");
        }
        assert_eq!(world.refresh_requests(), 0, "{occasion:?}");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule9_a_log_out_that_comes_while_waiting_for_the_lease_is_not_overwritten() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    let mut lease = world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap();
    let leases = world.store.faults.leases.load(Ordering::SeqCst);
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(async {
        while world.store.faults.leases.load(Ordering::SeqCst) == leases {
            tokio::task::yield_now().await;
        }
    })
    .await;
    lease.delete().await.unwrap();
    drop(lease);
    let error = soon(caller).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::LoggedOut)), "{error}");
    assert!(world.stored(&session).await.is_none());
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn rule9_what_was_read_before_a_log_out_here_does_not_come_back() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    // A session that has nothing in memory, as at the start of a process.
    let other_client = world.client();
    let late = other_client.session();
    let (reading, go_on) = world.store.hold_next_load();
    let caller = tokio::spawn({
        let late = late.clone();
        async move { late.token().await }
    });
    soon(reading).await.unwrap();
    late.log_out().await.unwrap();
    go_on.send(()).unwrap();
    // This one caller had asked before the log-out.
    drop(soon(caller).await.unwrap());
    assert!(late.cached().is_none(), "the login that was left is in memory again");
    let error = late.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::LoggedOut)), "{error}");
    drop((client, session));
}

#[tokio::test]
async fn rule9_what_was_read_before_a_new_login_here_does_not_come_back() {
    let world = World::new();
    let (_client, _session) = world.signed_in().await;
    let other_client = world.client();
    let session = other_client.session();
    let (reading, go_on) = world.store.hold_next_load();
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(reading).await.unwrap();
    world.server.approve_as("bob");
    let bobs = world.log_in(&session).await;
    go_on.send(()).unwrap();
    drop(soon(caller).await.unwrap());
    assert_eq!(text(&session.token().await.unwrap()), text(&bobs));
}

#[tokio::test]
async fn rule9_what_was_read_before_the_first_login_turns_nobody_away_after_it() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    let (reading, go_on) = world.store.hold_next_load();
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(reading).await.unwrap();
    let token = world.log_in(&session).await;
    go_on.send(()).unwrap();
    assert_eq!(text(&soon(caller).await.unwrap().unwrap()), text(&token));
    assert_eq!(text(&session.cached().unwrap()), text(&token));
    assert_eq!(events.all(), ["LoggedIn"]);
}

#[tokio::test]
async fn rule9_after_a_log_out_here_the_reason_is_the_log_out() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NeverLoggedIn)), "{error}");
    world.log_in(&session).await;
    session.log_out().await.unwrap();
    for _ in 0..2 {
        let error = session.token().await.unwrap_err();
        assert!(matches!(error, Error::LoginRequired(LoginRequired::LoggedOut)), "{error}");
    }
    assert_eq!(events.all(), ["LoggedIn", "LoggedOut"]);
}

// ----- Ahead of time ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn ahead_in_the_window_one_refresh_runs_and_no_caller_waits() {
    let world = World::new();
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    let first = text(&world.log_in(&session).await);
    // Before the window, whatever the jitter.
    world.clock.advance(LIFETIME - seconds(745));
    for _ in 0..10 {
        assert_eq!(text(&session.token().await.unwrap()), first);
    }
    soon(session.close()).await;
    assert_eq!(world.refresh_requests(), 0);

    // In the window, whatever the jitter.
    world.clock.advance(seconds(745 - 60));
    world.server.fault(Endpoint::Token, Fault::Gate);
    for _ in 0..100 {
        assert_eq!(text(&soon(session.token()).await.unwrap()), first);
        assert_eq!(text(&session.cached().unwrap()), first);
    }
    soon(world.server.wait_until_held(1)).await;
    assert_eq!(text(&soon(session.token()).await.unwrap()), first);
    world.server.open_gate();
    soon(session.close()).await;
    assert_ne!(text(&session.cached().unwrap()), first);
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn ahead_nothing_happens_for_a_session_that_nobody_uses_or_that_is_gone() {
    let world = World::new();
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.clock.advance(LIFETIME - seconds(60));
    soon(session.close()).await;
    assert_eq!(world.refresh_requests(), 0);
    session.token().await.unwrap();
    drop(session);
    assert_eq!(world.refresh_requests(), 1, "the last session waited for the one under way");
    world.clock.advance(LIFETIME - seconds(60));
    assert_eq!(world.refresh_requests(), 1);
    drop(client);
}

#[tokio::test]
async fn ahead_is_off_unless_asked_for() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(LIFETIME - seconds(31));
    session.token().await.unwrap();
    soon(session.close()).await;
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn ahead_a_failure_is_nobodys_business_while_the_token_is_good() {
    let world = World::new();
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    let first = text(&world.log_in(&session).await);
    world.clock.advance(LIFETIME - seconds(60));
    world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
    for _ in 0..20 {
        assert_eq!(text(&session.token().await.unwrap()), first);
        soon(session.close()).await;
    }
    assert_eq!(world.refresh_requests(), 1, "it backs off");
    world.server.clear_faults();
    world.clock.advance(seconds(2));
    assert_eq!(text(&session.token().await.unwrap()), first);
    soon(session.close()).await;
    assert_ne!(text(&session.token().await.unwrap()), first);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn ahead_a_caller_whose_token_expires_meanwhile_joins_the_refresh_under_way() {
    let world = World::new();
    let client = world.builder().refresh_ahead(true).build().unwrap();
    let session = client.session();
    let first = text(&world.log_in(&session).await);
    world.clock.advance(LIFETIME - seconds(60));
    world.server.fault(Endpoint::Token, Fault::Gate);
    session.token().await.unwrap();
    soon(world.server.wait_until_held(1)).await;
    world.clock.advance(seconds(60));
    assert!(session.cached().is_none());
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    tokio::task::yield_now().await;
    world.server.open_gate();
    assert_ne!(text(&soon(caller).await.unwrap().unwrap()), first);
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn adopting_an_expired_token_refreshes_it_at_the_first_call() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let refresh_token = world.stored_refresh_token(&session).await;
    let mut token = Token::new(Secret::from("old"));
    token.refresh_token = Some(Secret::from(refresh_token));
    token.expires_at = Some(1_000);
    token.scope = Some("read".parse::<Scope>().unwrap());
    let other_client = world.client();
    let adopting = other_client.account("adopted");
    adopting.adopt(token).await.unwrap();
    assert!(adopting.cached().is_none());
    let fresh = adopting.token().await.unwrap();
    assert_ne!(text(&fresh), "old");
    adopting.token().await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&adopting).await;
}

#[tokio::test]
async fn a_token_that_died_on_its_way_is_not_taken_for_one_that_never_expires() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    let dies_at = unix_ms(world.now() + LIFETIME) / 1_000;
    world.server.fault(
        Endpoint::Token,
        Fault::Sequence(vec![Fault::Commit, Fault::Gate, Fault::set("expires_at", dies_at)]),
    );
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    // The machine sleeps over the answer.
    world.clock.advance(LIFETIME * 2);
    world.server.open_gate();
    let dead = soon(waiting).await.unwrap().unwrap();
    assert!(dead.expires_at().is_some());
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(text(&soon(session.token()).await.unwrap()), text(&dead));
    world.assert_sound(&session).await;
}
