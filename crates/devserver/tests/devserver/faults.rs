//! Each fault, as a client meets it.

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use jeton_devserver::{DevServer, Endpoint, Fault};
use serde_json::{Value, json};

use crate::http::{Reply, get, send, try_post};
use crate::login::{member, refresh, refresh_form, sign_in};

/// A server with one login, and its refresh token.
fn signed_in() -> (DevServer, String) {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    let refresh_token = member(&token, "refresh_token").to_owned();
    (server, refresh_token)
}

fn faulty(fault: Fault) -> (DevServer, String, std::io::Result<Reply>) {
    let (server, token) = signed_in();
    server.fault(Endpoint::Token, fault);
    assert_eq!(server.faults_waiting(Endpoint::Token), 1);
    let reply = try_post(&server.token_url(), &refresh_form(&token));
    assert_eq!(server.faults_waiting(Endpoint::Token), 0);
    (server, token, reply)
}

#[test]
fn dropped_before_commit_nothing_has_happened() {
    let (server, token, reply) = faulty(Fault::DropBeforeCommit);
    assert_eq!(reply.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(server.is_refresh_token_live(&token));
    assert_eq!((server.stats().refreshes, server.stats().grant("refresh_token").requests), (0, 1));
    assert_eq!(refresh(&server, &token, &[]).status, 200);
}

#[test]
fn dropped_after_commit_the_token_is_rotated() {
    let (server, token, reply) = faulty(Fault::DropAfterCommit);
    assert_eq!(reply.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(!server.is_refresh_token_live(&token));
    assert_eq!((server.stats().refreshes, server.live_logins()), (1, 1));
    // Whoever tries again with the old token loses the login.
    refresh(&server, &token, &[]).assert_refused(400, "invalid_grant", "A27");
    assert_eq!(server.live_logins(), 0);
}

#[test]
fn truncated_bodies_promise_more_than_they_bring() {
    for bytes in [0, 1, 20] {
        let (server, token, reply) = faulty(Fault::TruncateAfter(bytes));
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, bytes));
        assert!(reply.promised > bytes);
        assert!(!server.is_refresh_token_live(&token));
    }
    let (_, _, reply) = faulty(Fault::TruncateAfter(1 << 20));
    let reply = reply.unwrap();
    assert_eq!(reply.promised, reply.body.len());

    // Every byte before the cut goes out, also of a body larger than any buffer.
    let server = DevServer::start().unwrap();
    let body = vec![b'x'; 8 << 20];
    server.fault(
        Endpoint::Metadata,
        Fault::Sequence(vec![Fault::answer(200, "text/plain", body), Fault::TruncateAfter(7 << 20)]),
    );
    let reply = get(&server.metadata_url());
    assert_eq!((reply.promised, reply.body.len()), (8 << 20, 7 << 20));
}

#[test]
fn statuses_and_retry_after() {
    for retry_after in ["120", "Wed, 21 Oct 2099 07:28:00 GMT"] {
        let (server, token, reply) = faulty(Fault::unavailable(Some(retry_after)));
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some(retry_after)));
        assert!(reply.header("content-type").unwrap().starts_with("text/html"));
        assert!(server.is_refresh_token_live(&token));
    }
    let (_, _, reply) = faulty(Fault::Status { status: 502, retry_after: None });
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (502, None));
}

#[test]
fn oauth_errors_and_any_answer() {
    let (server, token, reply) = faulty(Fault::oauth_error("temporarily_unavailable"));
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.json()), (400, json!({ "error": "temporarily_unavailable" })));
    assert!(server.is_refresh_token_live(&token));
    let error = Fault::OAuthError {
        status: 200,
        error: "bad_code".into(),
        description: Some("GitHub says so".into()),
    };
    let reply = faulty(error).2.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), json!({ "error": "bad_code", "error_description": "GitHub says so" }));

    let answer = Fault::Answer {
        status: 418,
        headers: vec![("content-type".into(), "x/y".into()), ("content-encoding".into(), "gzip".into())],
        body: b"\x1f\x8b not really".to_vec(),
    };
    let (server, token, reply) = faulty(answer);
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (418, Some("x/y")));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.body, b"\x1f\x8b not really");
    assert!(server.is_refresh_token_live(&token));
}

#[test]
fn rewritten_answers_are_committed() {
    let (server, token, reply) = faulty(Fault::rewrite(|mut answer| {
        answer["expires_in"] = answer["expires_in"].to_string().into();
        answer
    }));
    let answer = reply.unwrap().json();
    assert_eq!(answer["expires_in"], "3600");
    assert!(server.is_refresh_token_live(member(&answer, "refresh_token")));
    assert!(!server.is_refresh_token_live(&token));

    let sequence = vec![Fault::remove("token_type"), Fault::set("scope", json!(["read", "write"]))];
    let answer = faulty(Fault::Sequence(sequence)).2.unwrap().json();
    assert!(answer.get("token_type").is_none());
    assert_eq!(answer["scope"], json!(["read", "write"]));
    let answer = faulty(Fault::set("scope", Value::Null)).2.unwrap().json();
    assert!(answer["scope"].is_null() && answer.as_object().unwrap().contains_key("scope"));
}

#[test]
fn wrong_content_type_and_form_encoding() {
    let (server, token, reply) = faulty(Fault::ContentType("text/html".into()));
    let reply = reply.unwrap();
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert!(server.is_refresh_token_live(member(&reply.json(), "refresh_token")));
    assert!(!server.is_refresh_token_live(&token));

    let reply = faulty(Fault::FormEncoded).2.unwrap();
    assert!(reply.header("content-type").unwrap().starts_with("application/x-www-form-urlencoded"));
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&reply.body).into_owned().collect();
    assert!(pairs.contains(&("expires_in".into(), "3600".into())));
    assert!(pairs.contains(&("scope".into(), "read write".into())));
}

#[test]
fn huge_bodies_have_exactly_the_size_asked_for() {
    for bytes in [0, 1, 5, 13, 14, 100, 3_000_000] {
        let reply = faulty(Fault::HugeBody(bytes)).2.unwrap();
        assert_eq!((reply.status, reply.body.len() as u64), (200, bytes));
        if bytes > 20 {
            assert!(reply.json()["filler"].is_string());
        }
    }
}

#[test]
fn redirects() {
    let reply = faulty(Fault::Redirect("https://elsewhere.example/token".into())).2.unwrap();
    assert_eq!((reply.status, reply.header("location")), (307, Some("https://elsewhere.example/token")));
}

#[test]
fn slow_down_is_meant_seriously() {
    let start = std::time::SystemTime::UNIX_EPOCH;
    let server = DevServer::builder().clock(std::sync::Arc::new(move || start)).start().unwrap();
    let begun = crate::http::post(&server.device_authorization_url(), &[("client_id", "public-app")]).json();
    let poll = || {
        crate::http::post(
            &server.token_url(),
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("client_id", "public-app"),
                ("device_code", member(&begun, "device_code")),
            ],
        )
        .error()
    };
    assert_eq!(poll(), "authorization_pending");
    server.fault(Endpoint::Token, Fault::SlowDown);
    server.advance(Duration::from_secs(5));
    assert_eq!(poll(), "slow_down");
    server.advance(Duration::from_secs(4));
    assert_eq!(poll(), "slow_down");
    server.advance(Duration::from_secs(15));
    assert_eq!(poll(), "authorization_pending");
}

#[test]
fn latency_passes_before_what_follows_it() {
    let (server, token) = signed_in();
    let latency = Duration::from_millis(80);
    server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Latency(latency), Fault::unavailable(None)]));
    let begun = Instant::now();
    let reply = try_post(&server.token_url(), &refresh_form(&token)).unwrap();
    assert_eq!(reply.status, 503);
    assert!(begun.elapsed() >= latency);
    server.fault(Endpoint::Token, Fault::Latency(latency));
    let begun = Instant::now();
    assert_eq!(refresh(&server, &token, &[]).status, 200);
    assert!(begun.elapsed() >= latency);
}

#[test]
fn a_sequence_can_commit_first_and_fail_then() {
    let (server, token, reply) = faulty(Fault::Sequence(vec![Fault::Commit, Fault::unavailable(Some("1"))]));
    assert_eq!(reply.unwrap().status, 503);
    assert!(!server.is_refresh_token_live(&token));
    assert_eq!(server.stats().refreshes, 1);
    // However many steps want the answer, the request is committed once.
    let (server, _, reply) = faulty(Fault::Sequence(vec![
        Fault::Commit,
        Fault::FormEncoded,
        Fault::ContentType("text/plain".into()),
        Fault::TruncateAfter(5),
    ]));
    let reply = reply.unwrap();
    assert_eq!((reply.body.len(), reply.header("content-type")), (5, Some("text/plain")));
    assert_eq!(server.stats().refreshes, 1);
}

#[test]
fn faults_queue_up_last_and_are_cleared() {
    let (server, token) = signed_in();
    server.fault_times(Endpoint::Token, Fault::unavailable(None), 2);
    server.fault_always(Endpoint::Token, Fault::Status { status: 500, retry_after: None });
    let status = || try_post(&server.token_url(), &refresh_form(&token)).unwrap().status;
    assert_eq!([status(), status(), status(), status()], [503, 503, 500, 500]);
    // Other endpoints are as ever.
    assert_eq!(get(&server.metadata_url()).status, 200);
    server.fault_times(Endpoint::Token, Fault::unavailable(None), 2);
    server.clear_faults();
    assert_eq!(status(), 200);
    server.fault(Endpoint::Metadata, Fault::Status { status: 404, retry_after: None });
    assert_eq!(get(&server.metadata_url()).status, 404);
    server.fault(Endpoint::Resource, Fault::DropBeforeCommit);
    assert!(send("GET", &server.resource_url(), &[], b"").is_err());
    assert_eq!(server.stats().api_requests, 1);
}

#[test]
fn a_gate_holds_requests_until_it_is_opened() {
    let (server, token) = signed_in();
    let other = sign_in(&server);
    server.fault_always(Endpoint::Token, Fault::Gate);
    thread::scope(|scope| {
        let ask = |token: &str| {
            let (url, token) = (server.token_url(), token.to_owned());
            scope.spawn(move || try_post(&url, &refresh_form(&token)).unwrap().status)
        };
        let held = [ask(&token), ask(member(&other, "refresh_token"))];
        assert!(server.wait_until_held_blocking(2, Duration::from_secs(10)));
        assert_eq!((server.stats().refreshes, server.stats().max_concurrent_token_requests), (0, 2));
        assert!(!server.wait_until_held_blocking(3, Duration::from_millis(1)));
        server.clear_faults();
        server.open_gate();
        assert_eq!(held.map(|thread| thread.join().unwrap()), [200, 200]);
        assert_eq!(server.stats().refreshes, 2);
        assert!(!server.wait_until_held_blocking(1, Duration::ZERO));
    });
}

#[test]
fn a_gate_behind_the_commit_holds_the_answer_of_a_rotated_token() {
    let (server, token) = signed_in();
    server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::scope(|scope| {
        let url = server.token_url();
        let asked = scope.spawn({
            let token = token.clone();
            move || try_post(&url, &refresh_form(&token)).unwrap()
        });
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), server.wait_until_held(1)).await.unwrap();
        });
        assert!(!server.is_refresh_token_live(&token));
        server.open_gate();
        let answer = asked.join().unwrap().json();
        assert!(server.is_refresh_token_live(member(&answer, "refresh_token")));
    });
}

#[test]
fn who_leaves_the_gate_or_hangs_is_no_longer_counted() {
    use std::io::Write as _;
    let (server, token) = signed_in();
    server.fault(Endpoint::Token, Fault::Gate);
    let authority = server.issuer().trim_start_matches("http://");
    let form = crate::http::encode(&refresh_form(&token));
    let mut stream = std::net::TcpStream::connect(authority).unwrap();
    write!(
        stream,
        "POST /token HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    assert!(server.wait_until_held_blocking(1, Duration::from_secs(10)));
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.wait_until_held_blocking(1, Duration::ZERO) {
        assert!(Instant::now() < deadline, "still held");
        thread::yield_now();
    }
    assert!(server.is_refresh_token_live(&token));
    assert_eq!(refresh(&server, &token, &[]).status, 200);
    assert_eq!(server.stats().max_concurrent_token_requests, 1);
}

#[test]
fn debug_output_of_faults_shows_no_body() {
    let fault = Fault::Sequence(vec![
        Fault::answer(200, "application/json", r#"{"access_token":"hunter2"}"#),
        Fault::set("refresh_token", "hunter2"),
        Fault::Latency(Duration::from_millis(5)),
    ]);
    let debug = format!("{fault:?}");
    assert!(!debug.contains("hunter2") && debug.contains("Latency(5ms)"), "{debug}");
}
