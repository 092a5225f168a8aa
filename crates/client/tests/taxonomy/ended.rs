//! A definitive `invalid_grant` (RFC 6749 §5.2): the login is over, everybody is told at once and nobody asks again, until
//! somebody logs in anywhere.

use jeton_client::{Error, LoginRequired, Recovery};
use jeton_devserver::{Endpoint, Fault};
use jeton_storage::LoginStatus;

use crate::row::{LEFT, caught, words};
use crate::support::{EventLog, LIFETIME, World, soon, text};

fn json(status: u16, body: &str) -> Fault {
    Fault::answer(status, "application/json", body)
}

/// What the server answers, and which of its words the person is told.
fn rows() -> Vec<(&'static str, Fault, &'static str)> {
    let oauth = |status| Fault::OAuthError {
        status,
        error: "invalid_grant".to_owned(),
        description: Some("the refresh token was revoked".to_owned()),
    };
    let words = "invalid_grant: the refresh token was revoked";
    vec![
        ("as the RFC has it", oauth(400), words),
        ("under 401", oauth(401), words),
        ("under 403", oauth(403), words),
        ("under 404", oauth(404), words),
        ("under 200", oauth(200), words),
        // Google, Microsoft Entra, Salesforce: the RFC's code, and more of their own beside it.
        (
            "Google",
            json(
                400,
                r#"{"error":"invalid_grant","error_description":"Bad Request","error_subtype":"invalid_rapt"}"#,
            ),
            "invalid_grant: Bad Request",
        ),
        (
            "Microsoft Entra",
            json(
                400,
                r#"{"error":"invalid_grant","error_description":"AADSTS70008: expired","error_codes":[70008],"suberror":"bad_token"}"#,
            ),
            "AADSTS70008: expired",
        ),
        (
            "Salesforce",
            json(400, r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#),
            "expired",
        ),
        // Shapes of their own.
        (
            "Fitbit",
            json(
                401,
                r#"{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid"}],"success":false}"#,
            ),
            "Refresh token invalid",
        ),
        (
            "an object",
            json(400, r#"{"error":{"code":"invalid_grant","message":"gone"}}"#),
            "invalid_grant: gone",
        ),
        (
            "a form",
            Fault::answer(
                400,
                "application/x-www-form-urlencoded",
                "error=invalid_grant&error_description=gone",
            ),
            "gone",
        ),
        ("as text/html", Fault::answer(400, "text/html", r#"{"error":"invalid_grant"}"#), "invalid_grant"),
        (
            "described in Latin-1",
            Fault::answer(
                400,
                "application/json",
                b"{\"error\":\"invalid_grant\",\"error_description\":\"p\xe9rim\xe9\"}".as_slice(),
            ),
            "invalid_grant",
        ),
        ("a byte-order mark", json(400, "\u{feff}{\"error\":\"invalid_grant\"}"), "invalid_grant"),
        // Codes of their own for the same thing.
        (
            "GitHub",
            Fault::answer(
                200,
                "application/x-www-form-urlencoded",
                "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.",
            ),
            "bad_refresh_token: The refresh token passed is incorrect or expired.",
        ),
        ("Slack", json(200, r#"{"ok":false,"error":"invalid_refresh_token"}"#), "invalid_refresh_token"),
        // No wait makes it valid.
        (
            "with Retry-After",
            Fault::Answer {
                status: 400,
                headers: vec![
                    ("content-type".into(), "application/json".into()),
                    ("retry-after".into(), "7".into()),
                ],
                body: br#"{"error":"invalid_grant"}"#.to_vec(),
            },
            "invalid_grant",
        ),
        (
            "beside secrets",
            json(400, r#"{"error":"invalid_grant","refresh_token":"S3CR3T"}"#),
            "invalid_grant",
        ),
    ]
}

/// What a caller was told.
fn ended(error: &Error, words: &str) {
    assert!(matches!(error, Error::LoginRequired(LoginRequired::Ended(_))), "{error:?}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(error.is_login_required());
    let shown = error.to_string();
    assert!(shown.contains(words) && shown.contains("call `log_in`"), "{shown}");
    assert!(!format!("{shown} {error:?}").contains("S3CR3T"), "{shown}");
}

async fn look(fault: Fault, words: &str, token_lives: bool) {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    // It was there before the login ended, and has the token in memory.
    let second_client = world.client();
    let second = second_client.session();
    soon(second.token()).await.unwrap();
    world.clock.advance(if token_lives { LIFETIME - LEFT } else { LIFETIME });
    world.server.fault(Endpoint::Token, fault);

    // Also if the access token would live for a little longer: with the login goes its token.
    // (On a machine that is busy with other things the token may be served once more before the answer is there.)
    let error = soon(async {
        loop {
            match session.token().await {
                Ok(_) => session.close().await,
                Err(error) => return error,
            }
        }
    });
    ended(&error.await, words);
    assert!(session.cached().is_none());
    let record = world.stored(&session).await.unwrap();
    assert!(
        matches!(&record.status, LoginStatus::Ended { reason, .. } if reason.contains(words)),
        "{record:?}"
    );
    assert!(record.refresh_hold.is_none());
    assert_eq!(events.count("LoginEnded"), 1);

    // At once, and without a request: here, in the client that was there, in a new one, and asked in so many words.
    for _ in 0..3 {
        ended(&soon(session.token()).await.unwrap_err(), words);
        ended(&soon(session.refresh()).await.unwrap_err(), words);
        ended(&soon(session.with_scope("read".parse().unwrap()).token()).await.unwrap_err(), words);
        ended(&soon(second.token()).await.unwrap_err(), words);
        ended(&soon(second.refresh()).await.unwrap_err(), words);
        let third = world.client().session();
        ended(&soon(third.token()).await.unwrap_err(), words);
        // Not tomorrow either.
        world.clock.advance(LIFETIME * 24);
    }
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(events.count("LoginEnded"), 1, "told once");

    // Until somebody logs in, anywhere: the others serve the new token without a request.
    let token = world.log_in(&second).await;
    let requests = world.server.stats().requests_to(Endpoint::Token);
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&token));
    assert_eq!(text(&soon(world.client().session().token()).await.unwrap()), text(&token));
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests);
    world.assert_sound(&session).await;
    world.expire();
    soon(session.token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn every_spelling_of_the_table() {
    let mut wrong = Vec::new();
    for (name, fault, said) in rows() {
        for token_lives in [false, true] {
            if let Err(panic) = caught(look(fault.clone(), said, token_lives)).await {
                wrong.push(format!("{name} [a token lives: {token_lives}]: {}", words(&*panic)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
