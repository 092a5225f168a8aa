//! Refresh, rotation, reuse, revocation, introspection, resource indicators.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jeton_devserver::{DevServer, RefreshEvent, RefreshOutcome, Rotation};

use crate::http::{FORM, encode, get_with_token, post, post_basic, send};
use crate::login::{
    Attempt, authorization_url, exchange, member, parameter, refresh, refresh_form, sign_in, with,
};

#[test]
fn a27_strict_rotation_and_a_reused_token_revokes_the_whole_login_for_good() {
    let server = DevServer::start().unwrap();
    let (first, bystander) = (sign_in(&server), sign_in(&server));
    let old = member(&first, "refresh_token");
    let second = refresh(&server, old, &[]).json();
    let new = member(&second, "refresh_token");
    assert_ne!(old, new);
    assert!(server.is_refresh_token_live(new) && !server.is_refresh_token_live(old));
    assert_eq!((server.stats().refreshes, server.stats().refresh_reuses_detected), (1, 0));

    let reused = refresh(&server, old, &[]);
    reused.assert_refused(400, "invalid_grant", "A27");
    assert!(!reused.text().contains(old));
    // The newest one is dead too, and so are both access tokens.
    refresh(&server, new, &[]).assert_refused(400, "invalid_grant", "the login was revoked");
    for token in [&first, &second] {
        assert_eq!(get_with_token(&server.resource_url(), member(token, "access_token")).status, 401);
    }
    let stats = server.stats();
    assert_eq!((stats.refreshes, stats.refresh_reuses_detected, stats.logins_revoked), (1, 1, 1));
    assert_eq!((stats.grant("refresh_token").requests, stats.grant("refresh_token").successes), (3, 1));
    // Another login of the same person is not touched.
    assert_eq!(server.live_logins(), 1);
    assert_eq!(refresh(&server, member(&bystander, "refresh_token"), &[]).status, 200);
}

#[test]
fn a_grace_period_takes_the_old_token_and_answers_with_the_newest() {
    let grace = Duration::from_secs(10);
    let builder = DevServer::builder().refresh_token_rotation(Rotation::GracePeriod(grace));
    let server = builder.clock(Arc::new(|| SystemTime::UNIX_EPOCH)).start().unwrap();
    let first = sign_in(&server);
    let old = member(&first, "refresh_token");
    let second = refresh(&server, old, &[]).json();
    server.advance(grace);
    let again = refresh(&server, old, &[]).json();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    assert_ne!(again["access_token"], second["access_token"]);
    server.advance(Duration::from_secs(1));
    refresh(&server, old, &[]).assert_refused(400, "invalid_grant", "A27");
    assert_eq!(server.live_logins(), 0);
}

#[test]
fn a_listener_is_told_of_each_refresh_with_its_request_and_its_fate() {
    let told: Arc<Mutex<Vec<RefreshEvent>>> = Arc::default();
    let listener = {
        let told = Arc::clone(&told);
        move |event: &RefreshEvent| told.lock().unwrap().push(event.clone())
    };
    let grace = Duration::from_secs(10);
    let builder = DevServer::builder().refresh_token_rotation(Rotation::GracePeriod(grace));
    let server = builder.clock(Arc::new(|| SystemTime::UNIX_EPOCH)).on_refresh(listener).start().unwrap();
    sign_in(&server);
    let first = sign_in(&server);
    let old = member(&first, "refresh_token");
    let body = encode(&refresh_form(old));
    let named = send("POST", &server.token_url(), &[FORM, ("x-request-id", "r-7")], body.as_bytes()).unwrap();
    let second = member(&named.json(), "refresh_token").to_owned();
    refresh(&server, old, &[]);
    server.advance(grace + Duration::from_secs(1));
    refresh(&server, old, &[]);
    refresh(&server, &second, &[]);
    refresh(&server, "unknown", &[]);

    let told = told.lock().unwrap();
    let granted = |forgiven| RefreshOutcome::Granted { refresh_token: Some(second.clone()), forgiven };
    let outcomes: Vec<_> = told.iter().map(|event| event.outcome.clone()).collect();
    let refused = RefreshOutcome::Refused;
    assert_eq!(
        outcomes,
        [granted(false), granted(true), RefreshOutcome::ReuseDetected, refused.clone(), refused]
    );
    let logins: Vec<_> = told.iter().map(|event| (event.login, event.subject.as_deref())).collect();
    let second_login = (Some(1), Some("alice"));
    assert_eq!(logins, [second_login, second_login, second_login, second_login, (None, None)]);
    assert_eq!((told[0].request_id.as_deref(), told[1].request_id.as_deref()), (Some("r-7"), None));
    assert_eq!((told[0].presented.as_str(), told[3].presented.as_str()), (old, second.as_str()));
    let shown = format!("{told:?}");
    assert!(!shown.contains(old) && !shown.contains(&second), "{shown}");
}

#[test]
fn without_rotation_the_token_stays_and_answers_hold_none() {
    let server = DevServer::builder().refresh_token_rotation(Rotation::Off).start().unwrap();
    let first = sign_in(&server);
    for _ in 0..3 {
        let answer = refresh(&server, member(&first, "refresh_token"), &[]).json();
        assert!(answer.get("refresh_token").is_none());
        assert_ne!(answer["access_token"], first["access_token"]);
    }
    assert!(server.is_refresh_token_live(member(&first, "refresh_token")));
    assert_eq!(server.stats().refreshes, 3);
}

#[test]
fn a7_scope_may_narrow_and_never_widen() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server); // read write
    let old = member(&token, "refresh_token");
    refresh(&server, old, &[("scope", "read admin")]).assert_refused(400, "invalid_scope", "A7");
    // A refused refresh rotates nothing.
    assert!(server.is_refresh_token_live(old));
    let narrow = refresh(&server, old, &[("scope", "read")]).json();
    assert_eq!(narrow["scope"], "read");
    // The refresh token keeps what the login was granted (RFC 6749 §6).
    let whole = refresh(&server, member(&narrow, "refresh_token"), &[]).json();
    assert_eq!(whole["scope"], "read write");
}

#[test]
fn a_refresh_token_belongs_to_its_client() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    let own = member(&token, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", own)];
    post_basic(&server.token_url(), DevServer::CONFIDENTIAL_CLIENT, &form).assert_refused(
        400,
        "invalid_grant",
        "the refresh token was issued to another client",
    );
    assert!(server.is_refresh_token_live(own));
    refresh(&server, "no-such-token", &[]).assert_refused(400, "invalid_grant", "no such refresh token");
    refresh(&server, member(&token, "access_token"), &[]).assert_refused(400, "invalid_grant", "no such");
}

#[test]
fn a19_one_refresh_token_two_resources() {
    let server = DevServer::start().unwrap();
    let (one, two) = (server.resource_identifier(), server.second_resource_identifier());
    let attempt = Attempt::new();
    let mut parameters = with(attempt.parameters(), "resource", Some(&one));
    parameters.push(("resource".into(), two.clone()));
    let location = server.authorize(&authorization_url(&server, &parameters)).unwrap();
    let code = parameter(&location, "code").unwrap();
    let form = [&exchange(&code, &attempt)[..], &[("resource", &one)]].concat();
    let first = post(&server.token_url(), &form).json();
    let status =
        |url: String, token: &serde_json::Value| get_with_token(&url, member(token, "access_token")).status;
    assert_eq!(status(server.resource_url(), &first), 200);
    assert_eq!(status(server.second_resource_url(), &first), 401);

    let second = refresh(&server, member(&first, "refresh_token"), &[("resource", &two)]).json();
    assert_eq!(status(server.resource_url(), &second), 401);
    assert_eq!(status(server.second_resource_url(), &second), 200);
    // None named: all that the authorization named.
    let both = refresh(&server, member(&second, "refresh_token"), &[]).json();
    assert_eq!(
        (status(server.resource_url(), &both), status(server.second_resource_url(), &both)),
        (200, 200)
    );
    refresh(&server, member(&both, "refresh_token"), &[("resource", "https://else.example/")])
        .assert_refused(400, "invalid_target", "A19");

    // A login that named none is for the default resource only.
    let default = sign_in(&server);
    refresh(&server, member(&default, "refresh_token"), &[("resource", &two)]).assert_refused(
        400,
        "invalid_target",
        "A19",
    );
    assert_eq!(status(server.resource_url(), &default), 200);
    assert_eq!(status(server.second_resource_url(), &default), 401);
}

#[test]
fn a9_revocation() {
    let server = DevServer::start().unwrap();
    let revoke = |token: &str| {
        post(&server.revocation_url(), &[("token", token), ("client_id", DevServer::PUBLIC_CLIENT)])
    };
    let token = sign_in(&server);
    let (access, refresh_token) = (member(&token, "access_token"), member(&token, "refresh_token"));
    // An access token alone.
    assert_eq!(revoke(access).status, 200);
    assert!(!server.is_access_token_live(access) && server.is_refresh_token_live(refresh_token));
    // Another client's.
    let form = [("token", refresh_token)];
    post_basic(&server.revocation_url(), DevServer::CONFIDENTIAL_CLIENT, &form).assert_refused(
        400,
        "invalid_grant",
        "the token was issued to another client",
    );
    assert!(server.is_refresh_token_live(refresh_token));
    // The refresh token ends the login, its newer access tokens too.
    let newer = refresh(&server, refresh_token, &[]).json();
    assert_eq!(revoke(member(&newer, "refresh_token")).status, 200);
    assert!(!server.is_access_token_live(member(&newer, "access_token")));
    assert_eq!((server.live_logins(), server.stats().logins_revoked), (0, 1));
    // Again, and one that nobody knows: success.
    assert_eq!(revoke(member(&newer, "refresh_token")).status, 200);
    assert_eq!(revoke("no-such-token").status, 200);
    post(&server.revocation_url(), &[("client_id", DevServer::PUBLIC_CLIENT)]).assert_refused(
        400,
        "invalid_request",
        "the parameter token",
    );
    post(&server.revocation_url(), &[("token", "x")]).assert_refused(401, "invalid_client", "");
}

#[test]
fn a13_introspection() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    let introspect = |token: &str| {
        post_basic(&server.introspection_url(), DevServer::CONFIDENTIAL_CLIENT, &[("token", token)]).json()
    };
    let access = introspect(member(&token, "access_token"));
    assert_eq!(
        (&access["active"], &access["sub"], &access["scope"]),
        (&true.into(), &"alice".into(), &"read write".into())
    );
    assert_eq!(access["client_id"], DevServer::PUBLIC_CLIENT);
    assert_eq!(access["iss"], server.issuer());
    assert_eq!(access["exp"].as_u64().unwrap() - access["iat"].as_u64().unwrap(), 3600);
    assert_eq!(introspect(member(&token, "refresh_token"))["active"], true);
    assert_eq!(introspect("no-such-token"), serde_json::json!({ "active": false }));
    server.advance(Duration::from_secs(3600));
    assert_eq!(introspect(member(&token, "access_token")), serde_json::json!({ "active": false }));
    post(&server.introspection_url(), &[("token", "x"), ("client_id", DevServer::PUBLIC_CLIENT)])
        .assert_refused(401, "invalid_client", "introspection is for confidential clients");
}

#[test]
fn what_a_test_can_do_to_tokens_behind_the_clients_back() {
    let server = DevServer::start().unwrap();
    let mut token = sign_in(&server);
    let url = server.resource_url();
    for take_away in [DevServer::revoke_access_tokens, DevServer::expire_access_tokens] {
        assert_eq!(get_with_token(&url, member(&token, "access_token")).status, 200);
        take_away(&server);
        let reply = get_with_token(&url, member(&token, "access_token"));
        assert_eq!(reply.status, 401);
        assert!(reply.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
        token = refresh(&server, member(&token, "refresh_token"), &[]).json();
    }
    server.revoke_all_logins();
    assert_eq!(server.live_logins(), 0);
    assert_eq!(get_with_token(&url, member(&token, "access_token")).status, 401);
    refresh(&server, member(&token, "refresh_token"), &[]).assert_refused(400, "invalid_grant", "the login");
    assert_eq!(server.stats().api_unauthorized, 3);
}
