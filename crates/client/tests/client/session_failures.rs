//! The life of a token, rules 3, 4 and 5: what answers without this or that mean, what failures do and do not do, and what
//! becomes of a token that cannot be stored.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{EventLog, LIFETIME, World, log_in, soon, subject, text};
use jeton_client::{Error, Limits, LoginRequired, Recovery, ResourceOwnerPasswordCredentials};
use jeton_devserver::{DevServer, Endpoint, Fault, Rotation};
use jeton_models::Secret;
use jeton_storage::{LoginStatus, StoreError};

/// Inside the margin: the token counts as expired and still lives.
const LEFT: Duration = Duration::from_secs(20);

// ----- Rule 3 ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule3_an_answer_without_refresh_token_keeps_the_old_one() {
    let world = World::with(|builder| builder.refresh_token_rotation(Rotation::Off));
    let (_client, session) = world.signed_in().await;
    let first = world.stored_refresh_token(&session).await;
    for _ in 0..3 {
        world.expire();
        session.token().await.unwrap();
        assert_eq!(world.stored_refresh_token(&session).await, first);
    }
    assert_eq!(world.server.stats().refreshes, 3);

    // An empty one is none (quirks).
    world.expire();
    world.server.fault(Endpoint::Token, Fault::set("refresh_token", ""));
    session.token().await.unwrap();
    assert_eq!(world.stored_refresh_token(&session).await, first);
}

#[tokio::test]
async fn rule3_a_rotated_refresh_token_replaces_the_old_one() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let mut seen = vec![world.stored_refresh_token(&session).await];
    for _ in 0..3 {
        world.expire();
        session.token().await.unwrap();
        let newest = world.stored_refresh_token(&session).await;
        assert!(!seen.contains(&newest));
        seen.push(newest);
        let json = String::from_utf8(world.stored(&session).await.unwrap().to_json().to_vec()).unwrap();
        assert_eq!(
            seen.iter().filter(|token| json.contains(token.as_str())).count(),
            1,
            "one refresh token, one record"
        );
    }
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule3_a_narrower_scope_is_recorded_and_the_one_asked_for_stays() {
    let world = World::new();
    let client = world.builder().scope("read write").build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::set("scope", "read"));
    let token = session.token().await.unwrap();
    assert_eq!(token.scope().unwrap().to_string(), "read");
    let record = world.stored(&session).await.unwrap();
    assert_eq!(record.scope.unwrap().to_string(), "read write");
    assert_eq!(record.tokens[0].granted_scope.as_ref().unwrap().to_string(), "read");

    // No scope in the answer: as asked for (RFC 6749 §5.1).
    world.expire();
    world.server.fault(Endpoint::Token, Fault::remove("scope"));
    let token = session.token().await.unwrap();
    assert_eq!(token.scope().unwrap().to_string(), "read write");
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule3_the_refresh_token_of_an_answer_that_cannot_be_used_is_kept() {
    // The server rotates, and something else is wrong with its answer: once.
    for (fault, strict) in [
        (Fault::set("token_type", "DPoP"), false),
        (Fault::set("token_type", "N_A"), false),
        (Fault::set("access_token", "two\nlines"), false),
        (Fault::remove("access_token"), false),
        (Fault::set("expires_in", "3600"), true),
        (Fault::ContentType("text/plain".to_owned()), true),
    ] {
        let shown = format!("{fault:?}, strict: {strict}");
        let world = World::new();
        let client = world.builder().strict(strict).build().unwrap();
        let session = client.session();
        world.log_in(&session).await;
        let before = world.stored_refresh_token(&session).await;
        world.expire();
        world.server.fault(Endpoint::Token, fault);
        let error = soon(session.token()).await.unwrap_err();
        assert!(matches!(&error, Error::Grant(_)), "{shown}: {error}");
        assert_ne!(world.stored_refresh_token(&session).await, before, "{shown}");
        world.assert_sound(&session).await;
        // Nor is it to be had from the error.
        let kept = world.stored_refresh_token(&session).await;
        assert!(!format!("{error} {error:?}").contains(&kept), "{shown}");

        world.clock.advance(Duration::from_secs(120));
        soon(session.token()).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        world.assert_sound(&session).await;
    }
}

// ----- Rule 4 ----------------------------------------------------------------------------------------------------------

struct Case {
    name: &'static str,
    fault: Fault,
    recovery: fn(&Recovery) -> bool,
    /// Whether the refresh token may have been used up.
    ambiguous: bool,
    /// How long the server asks to wait.
    retry_after: Option<u64>,
}

fn retries(recovery: &Recovery) -> bool {
    matches!(recovery, Recovery::Retry { .. })
}

fn fixes_request(recovery: &Recovery) -> bool {
    *recovery == Recovery::FixRequest
}

fn fixes_configuration(recovery: &Recovery) -> bool {
    *recovery == Recovery::FixConfiguration
}

fn cases() -> Vec<Case> {
    let case = |name, fault, recovery, ambiguous, retry_after| Case {
        name,
        fault,
        recovery,
        ambiguous,
        retry_after,
    };
    let oauth =
        |status, error: &str| Fault::OAuthError { status, error: error.to_owned(), description: None };
    let status =
        |status, after: Option<&str>| Fault::Status { status, retry_after: after.map(str::to_owned) };
    vec![
        case("invalid_request", oauth(400, "invalid_request"), fixes_request, false, None),
        case("invalid_scope", oauth(400, "invalid_scope"), fixes_request, false, None),
        case("invalid_client", oauth(401, "invalid_client"), fixes_configuration, false, None),
        case("unauthorized_client", oauth(400, "unauthorized_client"), fixes_configuration, false, None),
        case(
            "unsupported_grant_type",
            oauth(400, "unsupported_grant_type"),
            fixes_configuration,
            false,
            None,
        ),
        case("an error under 200", oauth(200, "temporarily_unavailable"), retries, false, None),
        case("temporarily_unavailable", oauth(503, "temporarily_unavailable"), retries, false, None),
        case("server_error", oauth(500, "server_error"), retries, true, None),
        case("an error of its own", oauth(400, "flux_capacitor"), |r| *r == Recovery::GiveUp, false, None),
        case("400 and a page", status(400, None), fixes_configuration, false, None),
        case("429", status(429, None), retries, false, None),
        case("429 and 120 s", status(429, Some("120")), retries, false, Some(120)),
        case("500", status(500, None), retries, true, None),
        case("502", status(502, None), retries, true, None),
        case("503", status(503, None), retries, false, None),
        case("503 and 7 s", status(503, Some("7")), retries, false, Some(7)),
        case("503 and a date", status(503, Some("AT +90")), retries, false, Some(90)),
        case(
            "a redirect",
            Fault::Redirect("https://elsewhere.example/token".to_owned()),
            fixes_configuration,
            false,
            None,
        ),
        case("dropped before the commit", Fault::DropBeforeCommit, retries, true, None),
        case("an empty answer", Fault::answer(200, "application/json", ""), retries, true, None),
        case("a page under 200", Fault::answer(200, "text/html", "<html>"), fixes_configuration, true, None),
        case(
            "no access token",
            Fault::answer(200, "application/json", r#"{"token_type":"Bearer"}"#),
            fixes_configuration,
            true,
            None,
        ),
        case(
            "a token of unknown type",
            Fault::answer(200, "application/json", r#"{"access_token":"x","token_type":"mac"}"#),
            |r| *r == Recovery::GiveUp,
            true,
            None,
        ),
        case("over the cap", Fault::HugeBody(2 << 20), fixes_configuration, true, None),
    ]
}

/// An HTTP date so long from now on the world's clock.
fn with_date(fault: Fault, world: &World) -> Fault {
    match fault {
        Fault::Status { status, retry_after: Some(at) } if at.starts_with("AT +") => {
            let seconds: u64 = at.trim_start_matches("AT +").parse().unwrap();
            let date = httpdate::fmt_http_date(world.now() + LEFT + Duration::from_secs(seconds));
            Fault::Status { status, retry_after: Some(date) }
        }
        fault => fault,
    }
}

#[tokio::test]
async fn rule4_while_the_token_lives_a_failure_serves_it_and_changes_nothing() {
    for case in cases() {
        let name = case.name;
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let old = text(&session.cached().unwrap());
        let before = world.stored_login(&session).await;
        world.clock.advance(LIFETIME - LEFT);
        world.server.fault_always(Endpoint::Token, with_date(case.fault, &world));

        for _ in 0..5 {
            assert_eq!(text(&session.token().await.unwrap()), old, "{name}: the token lives and is served");
        }
        assert_eq!(world.refresh_requests(), 1, "{name}: the tries back off");
        assert!(world.stored_login(&session).await == before, "{name}: the login is as it was");

        // A little before the end of its life: an ambiguous failure is still not retried, others are.
        world.clock.advance(LEFT - Duration::from_millis(1));
        assert_eq!(text(&session.token().await.unwrap()), old, "{name}");
        let tries = if case.ambiguous || case.retry_after.is_some_and(|after| after >= 20) { 1 } else { 2 };
        assert_eq!(world.refresh_requests(), tries, "{name}");

        // Then the token is dead, and the error says what is the matter and what to do.
        world.clock.advance(Duration::from_millis(1));
        world.server.clear_faults();
        if case.retry_after.is_none_or(|after| after < 20) && case.ambiguous {
            assert_ne!(text(&session.token().await.unwrap()), old, "{name}: it works again");
            world.assert_sound(&session).await;
        }
    }
}

#[tokio::test]
async fn rule4_without_a_living_token_the_error_says_what_to_do_and_the_next_try_waits() {
    for case in cases() {
        let name = case.name;
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let before = world.stored_login(&session).await;
        world.clock.advance(LIFETIME);
        let fault = match case.fault {
            // The date is counted from now on.
            Fault::Status { status, retry_after: Some(at) } if at.starts_with("AT +") => Fault::Status {
                status,
                retry_after: Some(httpdate::fmt_http_date(world.now() + Duration::from_secs(90))),
            },
            fault => fault,
        };
        world.server.fault_always(Endpoint::Token, fault);

        let error = session.token().await.unwrap_err();
        assert!((case.recovery)(&error.recovery()), "{name}: {:?} of {error}", error.recovery());
        assert!(!error.is_login_required(), "{name}");
        assert!(world.stored_login(&session).await == before, "{name}: the login is as it was");

        // Too early: nothing is sent, and the error says how long to wait and why.
        let error = session.token().await.unwrap_err();
        let Error::BackingOff { after, last } = &error else { panic!("{name}: {error}") };
        assert_eq!(world.refresh_requests(), 1, "{name}");
        assert_eq!(error.recovery(), Recovery::Retry { after: Some(*after) }, "{name}");
        assert!((case.recovery)(&last.recovery()), "{name}");
        match case.retry_after {
            Some(seconds) => {
                assert_eq!(*after, Duration::from_secs(seconds), "{name}");
                // The server named the time: not even an explicit refresh comes earlier.
                assert!(matches!(session.refresh().await, Err(Error::BackingOff { .. })), "{name}");
                assert_eq!(world.refresh_requests(), 1, "{name}");
            }
            None => assert!((500..=1_000).contains(&after.as_millis()), "{name}: {after:?}"),
        }

        world.server.clear_faults();
        world.clock.advance(*after - Duration::from_millis(1));
        assert!(session.token().await.is_err(), "{name}");
        assert_eq!(world.refresh_requests(), 1, "{name}");
        world.clock.advance(Duration::from_millis(1));
        session.token().await.unwrap();
        assert_eq!(world.refresh_requests(), 2, "{name}");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule4_waits_grow_and_an_answer_ends_them() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
    let mut waits = Vec::new();
    session.token().await.unwrap_err();
    for _ in 0..9 {
        let Err(Error::BackingOff { after, .. }) = session.token().await else { panic!("a wait") };
        waits.push(after.as_millis());
        world.clock.advance(after);
        session.token().await.unwrap_err();
    }
    assert_eq!(world.refresh_requests(), 10);
    for (index, wait) in waits.iter().enumerate() {
        let most = (1_000_u128 << index).min(60_000);
        assert!((most / 2..=most).contains(wait), "{waits:?}");
    }
    world.server.clear_faults();
    world.clock.advance(Duration::from_secs(60));
    session.token().await.unwrap();

    world.expire();
    world.server.fault(Endpoint::Token, Fault::unavailable(None));
    session.token().await.unwrap_err();
    let Err(Error::BackingOff { after, .. }) = session.token().await else { panic!("a wait") };
    assert!(after <= Duration::from_secs(1), "it begins anew: {after:?}");
}

#[tokio::test]
async fn rule4_the_wait_outlives_the_sessions() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    drop(session);
    world.expire();
    world.server.fault_always(Endpoint::Token, Fault::unavailable(Some("30")));
    // As a web application does: a session for each request.
    for _ in 0..5 {
        client.session().token().await.unwrap_err();
        client.account("other").token().await.unwrap_err();
    }
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule4_a_scope_that_the_server_will_not_have_holds_nobody_else_up() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(LIFETIME / 2);
    let admin = session.with_scope("admin".parse().unwrap());
    let error = admin.token().await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_scope");
    assert_eq!(error.recovery(), Recovery::FixRequest);
    assert!(matches!(admin.token().await, Err(Error::BackingOff { .. })));
    let requests = world.refresh_requests();
    assert_eq!(requests, 1);

    // At this very moment, another token of the same login.
    session.token_valid_for(LIFETIME * 2 / 3).await.unwrap();
    assert_eq!(world.refresh_requests(), requests + 1);
    assert!(matches!(admin.token().await, Err(Error::BackingOff { .. })), "that one still waits");
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule4_an_ambiguous_failure_is_not_retried_while_the_token_lives() {
    for (name, fault) in [
        ("dropped", Fault::DropAfterCommit),
        ("truncated", Fault::TruncateAfter(20)),
        ("hanging", Fault::Hang),
        ("committed and hanging", Fault::Sequence(vec![Fault::Commit, Fault::Hang])),
    ] {
        // At expiry, ahead of it, and when somebody asked for a refresh in so many words.
        for way in ["margin", "ahead", "explicit"] {
            let world = World::new();
            // Everything that has to work is done in good time by another client; only the hanging request is cut short.
            let (first, _) = world.signed_in().await;
            let mut limits = Limits::default();
            if name.contains("hanging") {
                limits.timeout = Duration::from_millis(500);
            }
            let metadata = first.metadata().await.unwrap();
            let client = world
                .builder()
                .metadata(metadata)
                .limits(limits)
                .refresh_ahead(way == "ahead")
                .build()
                .unwrap();
            let session = client.session();
            session.token().await.unwrap();
            let old = text(&session.cached().unwrap());
            world.server.fault(Endpoint::Token, fault.clone());
            match way {
                "margin" => {
                    world.clock.advance(LIFETIME - LEFT);
                    assert_eq!(text(&soon(session.token()).await.unwrap()), old, "{name}");
                }
                "ahead" => {
                    world.clock.advance(LIFETIME - LEFT * 2);
                    assert_eq!(text(&session.cached().unwrap()), old);
                    soon(session.close()).await;
                }
                _ => drop(soon(session.refresh()).await.unwrap_err()),
            }
            assert_eq!(world.refresh_requests(), 1, "{name} {way}");
            let now = world.now();
            let dies = session.cached_or_stored_expiry(&world).await;
            while world.now() + Duration::from_secs(1) < dies {
                let left = dies.duration_since(world.now()).unwrap();
                world.clock.advance(left / 2);
                assert_eq!(text(&soon(session.token()).await.unwrap()), old, "{name} {way}");
                soon(session.close()).await;
            }
            assert!(world.now() > now);
            assert_eq!(world.refresh_requests(), 1, "{name} {way}: the old token still lives");
            world.clock.advance(Duration::from_secs(1));
            drop(soon(session.token()).await);
            assert_eq!(world.refresh_requests(), 2, "{name} {way}: nothing to lose any more");
        }
    }
}

/// When the token in the store expires.
trait Expiry {
    async fn cached_or_stored_expiry(&self, world: &World) -> std::time::SystemTime;
}

impl Expiry for jeton_client::Session {
    async fn cached_or_stored_expiry(&self, world: &World) -> std::time::SystemTime {
        let record = world.stored(self).await.unwrap();
        std::time::UNIX_EPOCH + Duration::from_millis(record.tokens[0].expires_at_ms.unwrap())
    }
}

#[tokio::test]
async fn rule4_an_ambiguous_failure_of_one_token_holds_back_the_one_that_waits_for_the_lease() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let other = session.with_scope("read".parse().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    world
        .server
        .fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate, Fault::DropBeforeCommit]));
    let leases = world.store.faults.leases.load(Ordering::SeqCst);
    let first = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    let second = tokio::spawn(async move { other.token().await });
    soon(async {
        while world.store.faults.leases.load(Ordering::SeqCst) < leases + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    soon(first).await.unwrap().expect("the old token lives and is served");
    assert!(matches!(soon(second).await.unwrap(), Err(Error::BackingOff { .. })));
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
}

#[tokio::test]
async fn rule4_discovery_that_fails_is_no_ambiguous_refresh_and_recovers() {
    let world = World::new();
    drop(world.signed_in().await);
    // A later run, which takes the token from the store and has not needed the server so far.
    let client = world.client();
    let session = client.session();
    let old = text(&session.token().await.unwrap());
    for endpoint in [Endpoint::Metadata, Endpoint::OpenIdConfiguration] {
        world.server.fault_always(endpoint, Fault::DropBeforeCommit);
    }
    world.clock.advance(LIFETIME - LEFT);
    assert_eq!(text(&session.token().await.unwrap()), old, "served while it lives");
    let asked = world.server.stats().requests_to(Endpoint::Metadata);
    assert_eq!(text(&session.token().await.unwrap()), old);
    assert_eq!(world.server.stats().requests_to(Endpoint::Metadata), asked, "it backs off");
    assert!(asked > 1, "and the first one was tried");

    world.server.clear_faults();
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(
        text(&session.token().await.unwrap()),
        old,
        "no refresh token was sent, so there is nothing to wait for"
    );
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule4_invalid_grant_ends_the_login_and_then_nobody_asks_again() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.server.revoke_all_logins();

    let error = session.token().await.unwrap_err();
    assert!(
        matches!(&error, Error::LoginRequired(LoginRequired::Ended(why)) if why.contains("invalid_grant")),
        "{error}"
    );
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(matches!(world.stored(&session).await.unwrap().status, LoginStatus::Ended { .. }));
    assert!(session.cached().is_none());

    for _ in 0..3 {
        assert!(session.token().await.unwrap_err().is_login_required());
        assert!(session.refresh().await.unwrap_err().is_login_required());
    }
    // Another process knows it from the store.
    let other = world.client().session();
    let error = other.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::Ended(_))), "{error}");
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(events.count("LoginEnded"), 1);

    // Until somebody logs in, through another client over the same store.
    let token = world.log_in(&other).await;
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule4_invalid_grant_for_a_token_that_the_store_no_longer_holds_adopts_what_it_holds() {
    // What the intruder wrote has an access token that lives, or one that has to be refreshed itself.
    for lives in [true, false] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let old = world.stored(&session).await.unwrap();
        // A second login, as a restored backup or a foreign program would have it.
        let second = world.client().account("second");
        world.expire();
        world.log_in(&second).await;
        let mut theirs = world.stored(&second).await.unwrap();
        theirs.key = old.key.clone();
        theirs.generation = old.generation + 1;
        if !lives {
            theirs.tokens.clear();
        }
        // At the second load under the lease: after the refusal.
        world.store.intrude(1, theirs.clone());
        world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));

        let token = session.token().await.unwrap();
        let record = world.stored(&session).await.unwrap();
        assert!(record.is_live());
        assert_eq!(text(&token), record.tokens[0].access_token.expose());
        if lives {
            assert_eq!(record.refresh_token, theirs.refresh_token);
            assert_eq!(world.refresh_requests(), 1);
        } else {
            assert_ne!(record.refresh_token, theirs.refresh_token);
            assert_eq!(world.refresh_requests(), 2);
        }
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule4_a_record_that_changed_before_the_lease_is_adopted_without_a_request() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let second = world.client().account("second");
    world.expire();
    world.log_in(&second).await;
    let mut theirs = world.stored(&second).await.unwrap();
    theirs.key = session.key().clone();
    world.store.intrude(0, theirs.clone());
    let token = session.token().await.unwrap();
    assert_eq!(text(&token), theirs.tokens[0].access_token.expose());
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn rule4_the_password_grant_takes_over_after_invalid_grant() {
    let world = World::new();
    let (name, password) = DevServer::ALICE;
    let client = world
        .builder_of(DevServer::PASSWORD_CLIENT)
        .grant(ResourceOwnerPasswordCredentials::new(name, password))
        .build()
        .unwrap();
    let session = client.session();
    session.token().await.unwrap();
    world.expire();
    session.token().await.unwrap();
    assert_eq!((world.refresh_requests(), world.server.stats().grant("password").requests), (1, 1));

    world.expire();
    world.server.revoke_all_logins();
    session.token().await.unwrap();
    assert_eq!((world.refresh_requests(), world.server.stats().grant("password").requests), (2, 2));
    world.expire();
    session.token().await.unwrap();
    assert_eq!((world.refresh_requests(), world.server.stats().grant("password").requests), (3, 2));
    world.assert_sound(&session).await;

    // The new grant gives no refresh token: the refused one is not sent again.
    world.expire();
    world.server.revoke_all_logins();
    world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    world.server.fault(Endpoint::Token, Fault::remove("refresh_token"));
    session.token().await.unwrap();
    world.expire();
    session.token().await.unwrap();
    assert_eq!((world.refresh_requests(), world.server.stats().grant("password").requests), (4, 4));

    // It fails: the refused one is not sent again either.
    world.expire();
    world.server.revoke_all_logins();
    world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    world.server.fault(Endpoint::Token, Fault::unavailable(None));
    session.token().await.unwrap_err();
    world.clock.advance(Duration::from_secs(2));
    session.token().await.unwrap();
    assert_eq!((world.refresh_requests(), world.server.stats().grant("password").requests), (5, 6));
    world.assert_sound(&session).await;
}

// ----- Rule 5 ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule5_a_save_that_fails_once_is_tried_again_under_the_lease() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.store.fail_saves(2);
    let token = session.token().await.unwrap();
    assert_eq!(world.stored(&session).await.unwrap().tokens[0].access_token.expose(), text(&token));
    assert_eq!(events.count("PersistFailed"), 0);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_a_save_that_fails_for_good_keeps_the_token_and_is_made_up_for() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let stored = world.stored_refresh_token(&session).await;
    world.store.fail_saves(usize::MAX);

    // Several rotations with the store down.
    for round in 1..=3 {
        world.expire();
        session.token().await.unwrap();
        assert_eq!(world.refresh_requests(), round);
        assert_eq!(world.stored_refresh_token(&session).await, stored, "the store has the old one");
        assert!(matches!(session.persist_error(), Some(Error::Store(_))));
        assert!(events.count("PersistFailed") >= 1);
    }
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);

    world.store.fail_saves(0);
    world.expire();
    session.token().await.unwrap();
    assert_eq!(world.refresh_requests(), 4);
    world.assert_sound(&session).await;
    assert_eq!(events.count("LoginEnded"), 0);
}

#[tokio::test]
async fn rule5_what_could_not_be_stored_outlives_the_sessions_of_a_client() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    world.expire();
    world.store.fail_saves(usize::MAX);
    session.token().await.unwrap();
    let key = session.key().clone();
    drop(session);
    world.store.fail_saves(0);
    // Somebody else's session comes in between.
    drop(client.account("other"));

    let session = client.session();
    assert_eq!(*session.key(), key);
    assert!(session.persist_error().is_some());
    world.expire();
    session.token().await.unwrap();
    assert_eq!(world.refresh_requests(), 2);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_close_stores_what_could_not_be_stored() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    world.expire();
    world.store.fail_saves(usize::MAX);
    let token = session.token().await.unwrap();
    world.store.fail_saves(0);
    soon(session.close()).await;
    world.assert_sound(&session).await;
    drop((session, client));
    assert_eq!(text(&world.client().session().token().await.unwrap()), text(&token));
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule5_an_older_token_in_the_store_is_never_taken_for_a_newer_one() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let first = text(&session.cached().unwrap());
    world.store.fail_saves(usize::MAX);
    let second = text(&session.refresh().await.unwrap());
    assert_ne!(first, second);
    // The store still holds the first one, which has not expired.
    let third = text(&session.refresh().await.unwrap());
    assert!(third != first && third != second, "a new one, and not the old one of the store");
    world.store.fail_saves(0);
    session.refresh().await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_if_somebody_else_logged_in_meanwhile_theirs_wins() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.store.fail_saves(usize::MAX);
    session.token().await.unwrap();
    world.store.fail_saves(0);
    let other = world.client().session();
    world.clock.advance(Duration::from_secs(1));
    let theirs = world.log_in(&other).await;

    let requests = world.refresh_requests();
    assert_eq!(text(&session.refresh().await.unwrap()), text(&theirs), "adopted");
    assert_eq!(world.refresh_requests(), requests);
    // Nor does the one that could not be stored come back later.
    world.expire();
    session.token().await.unwrap();
    world.assert_sound(&session).await;
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
}

#[tokio::test]
async fn rule5_if_somebody_else_logged_out_meanwhile_that_counts() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.store.fail_saves(usize::MAX);
    session.token().await.unwrap();
    world.store.fail_saves(0);
    world.client().session().log_out().await.unwrap();
    world.expire();
    assert!(session.token().await.unwrap_err().is_login_required());
    assert!(world.stored(&session).await.is_none(), "nothing came back");
}

#[tokio::test]
async fn rule5_no_room_no_request() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let old = text(&session.cached().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    world.store.faults.failing_reserves.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(text(&session.token().await.unwrap()), old, "served while it lives");
    assert!(
        matches!(session.refresh().await, Err(Error::Store(error)) if matches!(*error, StoreError::NoSpace { .. }))
    );
    world.clock.advance(LEFT);
    let error = session.token().await.unwrap_err();
    assert!(retries(&error.recovery()), "{error}");
    assert_eq!(world.refresh_requests(), 0, "what cannot be kept is not asked for");
    // Nor is a person.
    let (url, pending) = session.begin_log_in(crate::support::REDIRECT).await.unwrap();
    drop((url, pending));

    world.store.faults.failing_reserves.store(0, Ordering::SeqCst);
    session.token().await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_the_end_of_a_login_that_cannot_be_noted_is_known_all_the_same() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.revoke_all_logins();
    world.store.fail_saves(usize::MAX);
    for _ in 0..3 {
        assert!(session.token().await.unwrap_err().is_login_required());
    }
    assert_eq!(world.refresh_requests(), 1);
    world.store.fail_saves(0);
    assert!(session.token().await.unwrap_err().is_login_required());
    assert!(!world.stored(&session).await.unwrap().is_live());
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule5_a_login_kept_in_memory_is_stored_later() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    let (url, pending) = session.begin_log_in(crate::support::REDIRECT).await.unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap();
    world.store.faults.lease_busy.store(true, Ordering::SeqCst);
    let token = session.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap();
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    assert!(session.persist_error().is_some());
    assert_eq!(events.all(), ["PersistFailed", "LoggedIn"]);
    assert!(world.stored(&session).await.is_none());

    world.store.faults.lease_busy.store(false, Ordering::SeqCst);
    world.expire();
    session.token().await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_a_login_is_kept_in_memory_also_if_the_store_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("logins");
    let world = World::over(jeton_storage::FileStore::new(&place), |builder| builder);
    let (client, session) = world.signed_in().await;
    let data = std::fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .unwrap();
    // A record that a later version wrote is neither read nor overwritten.
    let json = std::fs::read_to_string(&data).unwrap();
    let newer =
        json.replacen("\"version\":1", "\"version\":99", 1).replacen("\"version\": 1", "\"version\": 99", 1);
    assert_ne!(json, newer);
    std::fs::write(&data, &newer).unwrap();
    world.clock.advance(Duration::from_secs(1));
    let token = world.log_in(&session).await;
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    assert!(matches!(session.persist_error(), Some(Error::Store(_))));
    assert_eq!(std::fs::read_to_string(&data).unwrap(), newer);

    // When the place is free again the login is stored.
    std::fs::write(&data, &json).unwrap();
    soon(session.close()).await;
    world.assert_sound(&session).await;
    drop(client);
    assert_eq!(text(&world.client().session().token().await.unwrap()), text(&token));
}

#[tokio::test]
async fn rule4_a_server_that_hangs_does_not_keep_a_living_token_from_its_callers() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.clock.advance(LIFETIME - LEFT);
    world.server.fault(Endpoint::Token, Fault::Gate);
    let callers = [session.token(), session.token()];
    for served in soon(futures_util::future::join_all(callers)).await {
        assert_eq!(text(&served.unwrap()), text(&token), "while the request waits at the gate");
    }
    world.server.open_gate();
    soon(session.close()).await;
    assert_ne!(text(&session.cached().unwrap()), text(&token));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_a_new_login_kept_in_memory_is_not_lost_to_a_refresh_of_the_old_one() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let other_client = world.client();
    let other = other_client.session();
    other.token().await.unwrap();
    world.clock.advance(Duration::from_secs(1));

    world.store.faults.lease_busy.store(true, Ordering::SeqCst);
    world.server.approve_as("bob");
    world.log_in(&session).await;
    world.store.faults.lease_busy.store(false, Ordering::SeqCst);
    // Who held the lease was another process, which refreshed the old login.
    other.refresh().await.unwrap();

    let cached = session.token().await.unwrap();
    world.expire();
    session.token().await.unwrap();
    assert!(world.server.is_refresh_token_live(&world.stored_refresh_token(&session).await));
    assert_ne!(text(&cached), text(&session.token().await.unwrap()));
    assert_eq!(subject(&session, &world.server.resource_url()).await, "bob");
    let record = world.stored(&session).await.unwrap();
    assert_eq!(record.tokens[0].access_token.expose(), text(&session.token().await.unwrap()));
    // The other process finds the new login, at the latest when its token expires.
    world.expire();
    assert_eq!(text(&other.token().await.unwrap()), text(&session.token().await.unwrap()));
    assert_eq!(subject(&other, &world.server.resource_url()).await, "bob");
    assert!(session.persist_error().is_none());
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
}

#[tokio::test]
async fn rule4_the_end_of_the_old_login_does_not_end_a_new_one_that_waits_to_be_stored() {
    let world = World::new();
    let events = EventLog::default();
    let client =
        world.builder().lease_timeout(Duration::from_millis(50)).on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();

    // The refresh of the old login waits for its answer and holds the lease; meanwhile a person logs in anew.
    let refused = Fault::Sequence(vec![Fault::Gate, Fault::oauth_error("invalid_grant")]);
    world.server.fault(Endpoint::Token, refused);
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    world.clock.advance(Duration::from_secs(1));
    let new = world.log_in(&session).await;
    assert!(session.persist_error().is_some(), "the lease was not to be had");
    world.server.open_gate();

    assert_eq!(text(&soon(caller).await.unwrap().unwrap()), text(&new));
    assert_eq!(text(&session.token().await.unwrap()), text(&new));
    assert_eq!(events.count("LoginEnded"), 0, "{:?}", events.all());
    soon(session.close()).await;
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule5_a_lease_that_cannot_be_had_names_its_holder_and_the_living_token_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(jeton_storage::FileStore::new(folder.path().join("logins")), |builder| builder);
    let client = world.builder().lease_timeout(Duration::from_millis(50)).build().unwrap();
    let session = client.session();
    let token = log_in(&world.server, &session).await;
    let lease = world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap();
    world.clock.advance(LIFETIME - LEFT);
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    let error = session.refresh().await.unwrap_err();
    let Error::Store(inner) = &error else { panic!("{error}") };
    let StoreError::LeaseTimeout { holder: Some(holder), .. } = &**inner else { panic!("{error}") };
    assert_eq!(holder.pid, std::process::id());
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert!(retries(&error.recovery()));
    world.clock.advance(LEFT);
    assert!(matches!(session.token().await, Err(Error::Store(_))));
    assert_eq!(world.refresh_requests(), 0);
    drop(lease);
    session.token().await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule4_errors_show_no_secret() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let record = world.stored(&session).await.unwrap();
    let secrets: Vec<Secret> =
        record.refresh_token.into_iter().chain([record.tokens[0].access_token.clone()]).collect();
    world.expire();
    for case in cases() {
        world.server.fault(Endpoint::Token, case.fault);
        if let Err(error) = session.refresh().await {
            let shown = format!("{error} {error:?} {session:?}");
            for secret in &secrets {
                assert!(!shown.contains(secret.expose()), "{}", case.name);
            }
        }
        world.clock.advance(Duration::from_secs(4_000));
    }
}

#[tokio::test]
async fn rule5_a_login_kept_in_memory_is_served_to_sessions_that_begin_later() {
    let world = World::new();
    let client = world.builder().lease_timeout(Duration::from_millis(50)).build().unwrap();
    let session = client.session();
    // A program that hangs has the lease.
    let lease = world.store.inner.lease(session.key(), Duration::from_secs(5)).await.unwrap();
    let token = text(&world.log_in(&session).await);
    assert!(session.persist_error().is_some());
    drop(session);
    assert_eq!(text(&soon(client.session().token()).await.unwrap()), token);
    drop(lease);
}
