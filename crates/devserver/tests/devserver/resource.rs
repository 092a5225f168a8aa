//! The protected resources (RFC 6750), and redirects to another origin.

use std::time::Duration;

use jeton_devserver::DevServer;

use crate::http::{FORM, get, get_with_token, send};
use crate::login::{Attempt, authorization_url, exchange, member, parameter, sign_in, with};

#[test]
fn it_says_who_was_seen_and_what_came() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    let header = format!("bEARER {}", member(&token, "access_token"));
    let headers = [("Authorization", &*header), ("Content-Type", "application/json")];
    let body = vec![b' '; 3 << 20];
    let reply = send("POST", &server.url("/api/things/1?x=y"), &headers, &body).unwrap();
    assert_eq!(
        reply.json(),
        serde_json::json!({
            "sub": "alice",
            "client_id": "public-app",
            "scope": "read write",
            "resource": server.resource_identifier(),
            "method": "POST",
            "path": "/api/things/1",
            "content_type": "application/json",
            "body_length": 3 << 20,
        })
    );
}

#[test]
fn a8_challenges() {
    let server = DevServer::start().unwrap();
    let url = server.resource_url();
    let token = sign_in(&server);
    let access = member(&token, "access_token");
    let challenge = |status: u16, headers: &[(&str, &str)], url: &str| {
        let reply = send("GET", url, headers, b"").unwrap();
        assert_eq!(reply.status, status, "{}", reply.text());
        reply.header("www-authenticate").unwrap().to_owned()
    };
    // No token at all: no error code (RFC 6750 §3.1).
    assert_eq!(challenge(401, &[], &url), r#"Bearer realm="jeton-devserver""#);
    let unknown = challenge(401, &[("Authorization", "Bearer unknown")], &url);
    assert!(unknown.contains(r#"error="invalid_token", error_description="The access token is unknown""#));
    for malformed in ["Bearer", "Bearer a b", "Basic abc", "Bearer \u{e9}"] {
        assert!(
            challenge(400, &[("Authorization", malformed)], &url).contains("invalid_request"),
            "{malformed}"
        );
    }
    let good = format!("Bearer {access}");
    let twice = challenge(400, &[("Authorization", &good), ("Authorization", &good)], &url);
    assert!(twice.contains("A8: two Authorization headers"));
    // In the query or the body it is refused, even beside a good header.
    let in_query = format!("{url}?access_token={access}");
    assert!(challenge(400, &[], &in_query).contains(r#"error="invalid_request""#));
    assert!(challenge(400, &[("Authorization", &good)], &in_query).contains("A8"));
    let body = format!("access_token={access}");
    assert_eq!(send("POST", &url, &[FORM], body.as_bytes()).unwrap().status, 400);

    server.advance(Duration::from_secs(3600));
    let expired = challenge(401, &[("Authorization", &good)], &url);
    assert!(expired.contains(r#"error="invalid_token", error_description="The access token expired""#));
    assert_eq!((server.stats().api_requests, server.stats().api_unauthorized), (11, 3));
}

#[test]
fn the_admin_path_asks_for_its_scope() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    let url = server.url("/api/admin");
    let reply = get_with_token(&url, member(&token, "access_token"));
    assert_eq!(reply.status, 403);
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.contains(r#"error="insufficient_scope""#) && challenge.contains(r#"scope="admin""#));

    let attempt = Attempt::new();
    let parameters = with(attempt.parameters(), "scope", Some("read admin"));
    let location = server.authorize(&authorization_url(&server, &parameters)).unwrap();
    let code = parameter(&location, "code").unwrap();
    let token = crate::http::post(&server.token_url(), &exchange(&code, &attempt)).json();
    assert_eq!(get_with_token(&url, member(&token, "access_token")).status, 200);
}

#[test]
fn redirects_lead_to_another_origin_that_records_what_arrives() {
    let server = DevServer::start().unwrap();
    let recorder = DevServer::recorder().unwrap();
    let token = sign_in(&server);
    let target = format!("{}/landing?x=1", recorder.url());
    let encoded = crate::http::encode(&[("to", &target), ("status", "307")]);
    let url = server.url(&format!("/api/redirect?{encoded}"));
    assert_eq!(get(&url).status, 401);
    let reply = get_with_token(&url, member(&token, "access_token"));
    assert_eq!((reply.status, reply.header("location")), (307, Some(&*target)));
    let plain = server.url(&format!("/api/redirect?{}", crate::http::encode(&[("to", &target)])));
    assert_eq!(get_with_token(&plain, member(&token, "access_token")).status, 302);
    let bad = server.url("/api/redirect?to=x&status=200");
    assert_eq!(get_with_token(&bad, member(&token, "access_token")).status, 400);

    // A client that does not look where it goes would do this.
    assert!(recorder.requests().is_empty());
    assert_eq!(get_with_token(&target, "leaked").status, 200);
    let leaked = &recorder.requests()[0];
    assert_eq!((leaked.path.as_str(), leaked.bearer()), ("/landing", Some("leaked")));
    assert_eq!(leaked.query_value("x"), Some("1"));
    assert!(!format!("{leaked:?}").contains("leaked"));
}
