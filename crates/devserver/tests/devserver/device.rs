//! The device authorization grant (RFC 8628), on a clock that the test turns.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jeton_devserver::{Builder, DevServer};
use serde_json::Value;

use crate::http::{Reply, get_with_token, post, post_basic};
use crate::login::{Attempt, member};

/// A server whose time stands still until it is advanced.
fn server(build: impl FnOnce(Builder) -> Builder) -> DevServer {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    build(DevServer::builder().clock(Arc::new(move || start))).start().unwrap()
}

fn begin(server: &DevServer, more: &[(&str, &str)]) -> Value {
    let form = [&[("client_id", DevServer::PUBLIC_CLIENT)], more].concat();
    let reply = post(&server.device_authorization_url(), &form);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

fn poll(server: &DevServer, answer: &Value, more: &[(&str, &str)]) -> Reply {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", DevServer::PUBLIC_CLIENT),
        ("device_code", member(answer, "device_code")),
    ];
    post(&server.token_url(), &[&form[..], more].concat())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a16_pending_then_approved_then_used_up() {
    let server = server(|builder| builder);
    let answer = begin(&server, &[("scope", "read profile")]);
    assert_eq!((&answer["interval"], &answer["expires_in"]), (&5.into(), &600.into()));
    assert_eq!(answer["verification_uri"], server.verification_url());
    let complete = format!("{}?user_code={}", server.verification_url(), member(&answer, "user_code"));
    assert_eq!(answer["verification_uri_complete"], complete);

    poll(&server, &answer, &[]).assert_refused(400, "authorization_pending", "");
    server.advance(seconds(5));
    poll(&server, &answer, &[]).assert_refused(400, "authorization_pending", "");
    // People type as they like.
    let typed = member(&answer, "user_code").to_lowercase().replace('-', " ");
    assert!(server.approve_device(&typed));
    assert!(!server.approve_device(&typed), "decided once");
    server.advance(seconds(5));
    let token = poll(&server, &answer, &[]).json();
    assert_eq!(token["scope"], "read profile");
    assert!(server.is_refresh_token_live(member(&token, "refresh_token")));
    let me = get_with_token(&server.resource_url(), member(&token, "access_token"));
    assert_eq!(me.json()["sub"], "alice");
    server.advance(seconds(5));
    poll(&server, &answer, &[]).assert_refused(400, "invalid_grant", "A16");
}

#[test]
fn a16_slow_down_adds_five_seconds_for_good() {
    let server = server(|builder| builder);
    let answer = begin(&server, &[]);
    poll(&server, &answer, &[]).assert_refused(400, "authorization_pending", "");
    server.advance(Duration::from_millis(4900));
    poll(&server, &answer, &[]).assert_refused(400, "slow_down", "A16");
    // Ten seconds from now on: five are too few, and cost five more.
    server.advance(seconds(5));
    poll(&server, &answer, &[]).assert_refused(400, "slow_down", "A16");
    server.advance(seconds(14));
    poll(&server, &answer, &[]).assert_refused(400, "slow_down", "A16");
    server.advance(seconds(20));
    poll(&server, &answer, &[]).assert_refused(400, "authorization_pending", "");
    // Also approval does not excuse impatience.
    assert!(server.approve_device(member(&answer, "user_code")));
    server.advance(seconds(5));
    poll(&server, &answer, &[]).assert_refused(400, "slow_down", "A16");
    server.advance(seconds(25));
    assert_eq!(poll(&server, &answer, &[]).status, 200);
    // Another device code is not slowed down.
    let other = begin(&server, &[]);
    poll(&server, &other, &[]).assert_refused(400, "authorization_pending", "");
    server.advance(seconds(5));
    poll(&server, &other, &[]).assert_refused(400, "authorization_pending", "");
}

#[test]
fn a16_expiry_denial_and_strangers() {
    let server = server(|builder| builder.device_code_lifetime(seconds(60)));
    let answer = begin(&server, &[]);
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", member(&answer, "device_code")),
    ];
    post_basic(&server.token_url(), DevServer::CONFIDENTIAL_CLIENT, &form).assert_refused(
        400,
        "invalid_grant",
        "the device code was issued to another client",
    );
    assert!(server.deny_device(member(&answer, "user_code")));
    poll(&server, &answer, &[]).assert_refused(400, "access_denied", "");

    let answer = begin(&server, &[]);
    server.advance(seconds(60));
    poll(&server, &answer, &[]).assert_refused(400, "expired_token", "A16");
    assert!(!server.approve_device(member(&answer, "user_code")));
    assert!(!server.approve_device("nonsense"));
    let unknown = serde_json::json!({ "device_code": "no-such-code" });
    poll(&server, &unknown, &[]).assert_refused(400, "invalid_grant", "no such device code");
}

#[test]
fn a_person_who_always_says_no() {
    let server = server(|builder| builder.auto_deny(true).device_auto_approve_after_polls(Some(0)));
    for _ in 0..2 {
        poll(&server, &begin(&server, &[]), &[]).assert_refused(400, "access_denied", "");
    }
}

#[test]
fn the_interval_can_be_set_and_left_out() {
    let server = server(|builder| builder.device_interval(None).device_auto_approve_after_polls(Some(2)));
    let answer = begin(&server, &[]);
    assert!(answer.get("interval").is_none());
    for _ in 0..2 {
        poll(&server, &answer, &[]).assert_refused(400, "authorization_pending", "");
        server.advance(seconds(5));
    }
    assert_eq!(poll(&server, &answer, &[]).status, 200);

    let server = DevServer::builder()
        .device_interval(Some(0))
        .device_auto_approve_after_polls(Some(0))
        .start()
        .unwrap();
    server.approve_as("bob");
    let answer = begin(&server, &[]);
    assert_eq!(answer["interval"], 0);
    let token = poll(&server, &answer, &[]).json();
    let me = get_with_token(&server.resource_url(), member(&token, "access_token"));
    assert_eq!(me.json()["sub"], "bob");
}

#[test]
fn pkce_and_resources_with_a_device_code() {
    let server = server(|builder| builder.device_interval(Some(0)).device_auto_approve_after_polls(Some(0)));
    let attempt = Attempt::new();
    let challenge = [("code_challenge", &*attempt.challenge()), ("code_challenge_method", "S256")];
    let two = server.second_resource_identifier();
    let answer = begin(&server, &[&challenge[..], &[("resource", &two)]].concat());
    poll(&server, &answer, &[]).assert_refused(400, "invalid_request", "the parameter code_verifier");
    let wrong = "a".repeat(43);
    poll(&server, &answer, &[("code_verifier", &wrong)]).assert_refused(400, "invalid_grant", "A12");
    let token = poll(&server, &answer, &[("code_verifier", &attempt.verifier)]).json();
    assert_eq!(get_with_token(&server.second_resource_url(), member(&token, "access_token")).status, 200);
    assert_eq!(get_with_token(&server.resource_url(), member(&token, "access_token")).status, 401);

    let form = [("client_id", DevServer::PUBLIC_CLIENT), ("code_challenge", &wrong)];
    post(&server.device_authorization_url(), &form).assert_refused(400, "invalid_request", "A12");
}

#[test]
fn a_refused_beginning() {
    let server = server(|builder| builder);
    let url = server.device_authorization_url();
    post(&url, &[("client_id", "nobody")]).assert_refused(401, "invalid_client", "");
    post(&url, &[("client_id", DevServer::PUBLIC_CLIENT), ("scope", "magic")]).assert_refused(
        400,
        "invalid_scope",
        "",
    );
    post_basic(&url, DevServer::SERVICE_CLIENT, &[]).assert_refused(400, "unauthorized_client", "");
    crate::http::send("GET", &url, &[], b"").unwrap().assert_refused(405, "invalid_request", "A3");
}

#[test]
fn an_injected_clock_is_the_servers_time() {
    let time = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
    let source = Arc::clone(&time);
    let server = DevServer::builder().clock(Arc::new(move || *source.lock().unwrap())).start().unwrap();
    *time.lock().unwrap() += seconds(1000);
    server.advance(seconds(7));
    assert_eq!(server.now(), SystemTime::UNIX_EPOCH + seconds(1007));
}
