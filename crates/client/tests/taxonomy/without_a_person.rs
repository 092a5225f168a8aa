//! Tokens that need no person (client credentials, RFC 6749 §4.4): there is no login to lose and nothing to be spent, so that
//! every failure is tried again after the back-off, whether a token lives or not. Nobody is ever told to call `log_in`.

use std::time::Duration;

use jeton_client::{ClientCredentials, Error, Recovery, Session};
use jeton_devserver::{DevServer, Endpoint, Fault};

use crate::row::{FIX_CONFIGURATION, FIX_REQUEST, GIVE_UP, LEFT, LOG_IN, RETRY, caught, words};
use crate::support::{LIFETIME, World, soon, text};

/// What the server does, what the caller is told to do, and for how long the server wants to be left alone.
fn rows() -> Vec<(&'static str, Fault, Recovery, Option<u64>)> {
    let oauth =
        |status, error: &str| Fault::OAuthError { status, error: error.to_owned(), description: None };
    let page = |status| Fault::Status { status, retry_after: None };
    let json = |body: &str| Fault::answer(200, "application/json", body);
    let in_seven = Recovery::Retry { after: Some(Duration::from_secs(7)) };
    vec![
        ("invalid_client", oauth(401, "invalid_client"), FIX_CONFIGURATION, None),
        ("unauthorized_client", oauth(400, "unauthorized_client"), FIX_CONFIGURATION, None),
        ("unsupported_grant_type", oauth(400, "unsupported_grant_type"), FIX_CONFIGURATION, None),
        ("invalid_scope", oauth(400, "invalid_scope"), FIX_REQUEST, None),
        ("invalid_request", oauth(400, "invalid_request"), FIX_REQUEST, None),
        // Makes no sense here, and ends nothing.
        ("invalid_grant", oauth(400, "invalid_grant"), LOG_IN, None),
        ("server_error", oauth(500, "server_error"), RETRY, None),
        ("an unknown code", oauth(400, "flux_capacitor"), GIVE_UP, None),
        ("401", page(401), FIX_CONFIGURATION, None),
        ("404", page(404), FIX_CONFIGURATION, None),
        (
            "429, Retry-After: 7",
            Fault::Status { status: 429, retry_after: Some("7".into()) },
            in_seven,
            Some(7),
        ),
        ("500", page(500), RETRY, None),
        ("502", page(502), RETRY, None),
        ("503", page(503), RETRY, None),
        ("503, Retry-After: 7", Fault::unavailable(Some("7")), in_seven, Some(7)),
        ("302", Fault::Redirect("https://elsewhere.example/".to_owned()), FIX_CONFIGURATION, None),
        ("closed before the answer", Fault::DropBeforeCommit, RETRY, None),
        ("closed after the commit", Fault::DropAfterCommit, RETRY, None),
        ("closed in the answer", Fault::TruncateAfter(20), RETRY, None),
        ("an empty answer", json(""), RETRY, None),
        ("a page", Fault::answer(200, "text/html", "<html>"), FIX_CONFIGURATION, None),
        ("no token", json("{}"), FIX_CONFIGURATION, None),
        ("a mac token", json(r#"{"access_token":"x","token_type":"mac"}"#), GIVE_UP, None),
    ]
}

fn requests(world: &World) -> u64 {
    world.server.stats().grant("client_credentials").requests
}

async fn signed_in(world: &World) -> Session {
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = world.builder_of(id).client_secret(secret).grant(ClientCredentials).build().unwrap();
    let session = client.session();
    soon(session.token()).await.unwrap();
    session
}

async fn look(fault: Fault, told: Recovery, retry_after: Option<u64>, token_lives: bool) {
    let world = World::new();
    let session = signed_in(&world).await;
    let old = text(&session.cached().unwrap());
    world.clock.advance(if token_lives { LIFETIME - LEFT } else { LIFETIME });
    world.server.fault_always(Endpoint::Token, fault);

    let wait = retry_after.map_or(Duration::from_secs(1), Duration::from_secs);
    let told_or_served = |result: Result<_, Error>| match result {
        Ok(token) => assert!(token_lives && text(&token) == old),
        Err(Error::Grant(error)) => assert!(!token_lives && error.recovery() == told, "{error}"),
        Err(error) => panic!("{error:?}"),
    };
    told_or_served(soon(session.token()).await);
    // On a machine that is busy with other things, the caller may have been served before the answer was there.
    soon(session.close()).await;
    assert_eq!(requests(&world), 2);
    match soon(session.token()).await {
        Ok(token) => assert!(token_lives && text(&token) == old),
        Err(Error::BackingOff { after, .. }) => assert!(!token_lives && after <= wait && after >= wait / 2),
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!(requests(&world), 2, "the next try waits");
    world.clock.advance(wait);
    told_or_served(soon(session.token()).await);
    soon(session.close()).await;
    assert_eq!(requests(&world), 3, "the next try, whether a token lives or not");

    world.server.clear_faults();
    world.clock.advance(LIFETIME);
    assert_ne!(text(&soon(session.token()).await.unwrap()), old);
    assert_eq!(requests(&world), 4);
}

#[tokio::test]
async fn every_failure_of_the_table() {
    let mut wrong = Vec::new();
    for (name, fault, told, retry_after) in rows() {
        for token_lives in [false, true] {
            if let Err(panic) = caught(look(fault.clone(), told, retry_after, token_lives)).await {
                wrong.push(format!("{name} [a token lives: {token_lives}]: {}", words(&*panic)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
