//! Answers with a token that are odd (quirks.md), and what the session makes of them: for how long it serves the token, which
//! refresh token it keeps, and what it warns of. Under the strict switch each warning is an error: see `bodies.rs`.

use std::time::Duration;

use jeton_devserver::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::row::{caught, words};
use crate::support::{LIFETIME, World, soon, text};

struct Row {
    name: &'static str,
    fault: Fault,
    /// For how many seconds the token lives; `None`: nobody knows, and a 401 tells.
    lives: Option<u64>,
    refresh_token: Kept,
    warnings: &'static [&'static str],
}

/// For how long a token is tried out that does not die, or not within a person's life.
const YEARS: Duration = Duration::from_secs(10 * 31_536_000);

/// Beyond the end of time: the expiry saturates.
const FOR_EVER: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    New,
    Old,
}
use Kept::{New, Old};

fn row(
    name: &'static str,
    fault: Fault,
    lives: impl Into<Option<u64>>,
    warnings: &'static [&'static str],
) -> Row {
    Row { name, fault, lives: lives.into(), refresh_token: New, warnings }
}

impl Row {
    fn keeps_the_old(self) -> Self {
        Self { refresh_token: Old, ..self }
    }
}

fn set(member: &str, value: impl Into<Value>) -> Fault {
    Fault::set(member, value)
}

/// Nothing that the server knows of: it has committed nothing, and the old refresh token stays.
fn body(body: impl Into<Vec<u8>>) -> Fault {
    Fault::answer(200, "application/json", body)
}

fn lifetimes() -> Vec<Row> {
    vec![
        row("as the RFC has it", set("expires_in", 3_600), 3_600, &[]),
        row("a string", set("expires_in", "3600"), 3_600, &["expires_in_string"]),
        row("a fraction", set("expires_in", 3_599.5), 3_599, &["expires_in_fraction"]),
        row(
            "a string with a fraction",
            set("expires_in", "3599.5"),
            3_599,
            &["expires_in_string", "expires_in_fraction"],
        ),
        row("absent", Fault::remove("expires_in"), None, &[]),
        row("null", set("expires_in", Value::Null), None, &[]),
        row("false", set("expires_in", false), None, &["expires_in_invalid"]),
        row("an object", set("expires_in", json!({})), None, &["expires_in_invalid"]),
        row("a word", set("expires_in", "zzz"), None, &["expires_in_invalid"]),
        row("zero (Mailchimp: never)", set("expires_in", 0), None, &["expires_in_not_positive"]),
        row("negative", set("expires_in", -5), None, &["expires_in_not_positive"]),
        row("beyond 2^31", set("expires_in", 4_294_967_296_u64), 4_294_967_296, &[]),
        row("beyond 2^63", set("expires_in", u64::MAX), FOR_EVER, &[]),
        row("1e400 beside it", body(r#"{"access_token":"t","token_type":"Bearer","x":1e400}"#), None, &[])
            .keeps_the_old(),
    ]
}

fn members() -> Vec<Row> {
    vec![
        row("token_type bearer", set("token_type", "bearer"), 3_600, &[]),
        row("token_type BEARER", set("token_type", "BEARER"), 3_600, &[]),
        row("token_type absent", Fault::remove("token_type"), 3_600, &["token_type_absent"]),
        row("token_type null", set("token_type", Value::Null), 3_600, &["token_type_absent"]),
        row("scope an array", set("scope", ["read"].as_slice()), 3_600, &["scope_array"]),
        row("scope null", set("scope", Value::Null), 3_600, &[]),
        row("scope empty", set("scope", ""), 3_600, &["scope_empty"]),
        row("scope with a comma", set("scope", "a,b"), 3_600, &[]),
        row("refresh_token absent", Fault::remove("refresh_token"), 3_600, &[]).keeps_the_old(),
        row("refresh_token null", set("refresh_token", Value::Null), 3_600, &[]).keeps_the_old(),
        row("refresh_token empty", set("refresh_token", ""), 3_600, &["refresh_token_empty"]).keeps_the_old(),
        row("refresh_token a number", set("refresh_token", 7), 3_600, &["refresh_token_invalid"])
            .keeps_the_old(),
        row("error null", set("error", Value::Null), 3_600, &[]),
        row("error empty", set("error", ""), 3_600, &[]),
    ]
}

fn bodies() -> Vec<Row> {
    let token = r#""access_token":"t","token_type":"Bearer","expires_in":3600"#;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let headers = |status| Fault::Answer { status, headers: Vec::new(), body: format!("{{{token}}}").into() };
    let old = |name, fault, warnings| row(name, fault, 3_600, warnings).keeps_the_old();
    vec![
        row("form-encoded (GitHub)", Fault::FormEncoded, 3_600, &["form_encoded"]),
        row("as text/html", Fault::ContentType("text/html".to_owned()), 3_600, &["content_type"]),
        old(
            "as text/plain, a form",
            Fault::answer(200, "text/plain", "access_token=t&token_type=bearer&expires=3600"),
            &["form_encoded", "expires_in_alias"],
        ),
        old("no content type", headers(200), &["content_type"]),
        old("a byte-order mark", body(format!("\u{feff}{{{token}}}")), &["byte_order_mark"]),
        old("a member twice", body(format!(r#"{{"access_token":"x",{token}}}"#)), &["member_repeated"]),
        old("nesting in a member", body(format!(r#"{{{token},"x":{deep}}}"#)), &[]),
        old("half a surrogate pair in a member", body(format!(r#"{{{token},"x":"\ud800"}}"#)), &[]),
        old(
            "a name in Latin-1",
            body([b"{", token.as_bytes(), b",\"name\":\"Ren\xe9\"}"].concat()),
            &["not_utf8"],
        ),
        old("surrounded by white space", body(format!("\r\n{{{token}}}\n")), &[]),
        old(
            "under 201",
            Fault::Answer {
                status: 201,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: format!("{{{token}}}").into(),
            },
            &[],
        ),
    ]
}

async fn look(row: &Row) {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let before = world.stored_refresh_token(&session).await;
    world.clock.advance(LIFETIME);
    world.server.fault(Endpoint::Token, row.fault.clone());
    let token = soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    let warnings: Vec<_> = token.warnings().iter().map(|warning| warning.code().to_owned()).collect();
    assert_eq!(warnings, row.warnings);

    // Kept, and what a later run finds.
    let after = world.stored_refresh_token(&session).await;
    assert_eq!(if after == before { Old } else { New }, row.refresh_token);
    let record = world.stored(&session).await.unwrap();
    assert!(record.is_live() && record.refresh_hold.is_none());
    assert_eq!(record.tokens[0].access_token.expose(), text(&token));
    assert_eq!(text(&soon(world.client().session().token()).await.unwrap()), text(&token));
    assert_eq!(world.refresh_requests(), 1);

    // Served until the margin before its end, or for good.
    let served_for = match row.lives {
        Some(lives) if lives != FOR_EVER => Duration::from_secs(lives - 30) - Duration::from_millis(1),
        _ => YEARS,
    };
    match row.lives {
        None => assert_eq!(token.expires_at(), None),
        Some(FOR_EVER) => assert!(token.expires_at().unwrap() > world.now() + YEARS * 100),
        Some(lives) => assert_eq!(token.expires_at(), Some(world.now() + Duration::from_secs(lives))),
    }
    world.clock.advance(served_for);
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&token));
    assert_eq!(world.refresh_requests(), 1, "served without a request");
    if served_for != YEARS {
        world.clock.advance(Duration::from_millis(1));
        let _ = soon(session.token()).await;
        assert_eq!(world.refresh_requests(), 2, "due");
    }
}

#[tokio::test]
async fn every_odd_answer_of_the_table() {
    let mut wrong = Vec::new();
    for row in [lifetimes(), members(), bodies()].into_iter().flatten() {
        if let Err(panic) = caught(look(&row)).await {
            wrong.push(format!("{}: {}", row.name, words(&*panic)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
