//! What the token endpoint refuses: requests, clients, codes.

use std::time::Duration;

use base64::Engine as _;
use jeton_devserver::{DevServer, Endpoint};

use crate::http::{FORM, Reply, basic, encode, get_with_token, post, post_basic, send};
use crate::login::{Attempt, code, exchange, member, sign_in};

const SERVICE: [(&str, &str); 1] = [("grant_type", "client_credentials")];

#[test]
fn a_login_end_to_end() {
    let server = DevServer::start().unwrap();
    let attempt = Attempt::new();
    let code = code(&server, &attempt);
    let reply = post(&server.token_url(), &exchange(&code, &attempt));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), (Some("no-store"), Some("no-cache")));
    let token = reply.json();
    assert_eq!(
        (&token["token_type"], &token["expires_in"], &token["scope"]),
        (&"Bearer".into(), &3600.into(), &"read write".into())
    );
    let me = get_with_token(&server.resource_url(), member(&token, "access_token"));
    assert_eq!((me.status, me.json()["sub"].as_str()), (200, Some("alice")));
    assert!(server.is_refresh_token_live(member(&token, "refresh_token")));
    assert!(server.is_access_token_live(member(&token, "access_token")));

    let stats = server.stats();
    assert_eq!(
        (stats.grant("authorization_code").requests, stats.grant("authorization_code").successes),
        (1, 1)
    );
    assert_eq!((stats.tokens_issued, stats.api_requests, stats.api_unauthorized), (1, 1, 0));
    assert_eq!((stats.max_concurrent_token_requests, server.live_logins()), (1, 1));
}

#[test]
fn a3_the_form_of_a_token_request() {
    let server = DevServer::start().unwrap();
    let url = server.token_url();
    let service = basic(DevServer::SERVICE_CLIENT);
    let form = encode(&SERVICE);
    let sent = |method: &str, url: &str, content_type: Option<&str>, body: &str| {
        let mut headers = vec![("Authorization", service.as_str())];
        headers.extend(content_type.map(|value| ("Content-Type", value)));
        send(method, url, &headers, body.as_bytes()).unwrap()
    };
    sent("GET", &format!("{url}?{form}"), None, "").assert_refused(405, "invalid_request", "A3");
    assert_eq!(sent("GET", &url, None, "").header("allow"), Some("POST"));
    sent("PUT", &url, Some(FORM.1), &form).assert_refused(405, "invalid_request", "A3");
    sent("POST", &url, None, &form).assert_refused(400, "invalid_request", "A3");
    sent("POST", &url, Some("application/json"), r#"{"grant_type":"client_credentials"}"#).assert_refused(
        400,
        "invalid_request",
        "A3",
    );
    sent("POST", &format!("{url}?x=1"), Some(FORM.1), &form).assert_refused(400, "invalid_request", "A3");
    for body in [
        "grant_type=client_credentials&grant_type=client_credentials",
        "grant_type=client_credentials&scope=",
        "grant_type=client_credentials&scope",
        "grant_type=client_credentials&",
        "grant_type=client_credentials&scope=read write",
        "grant_type=client_credentials&scope=%zz",
        "grant_type=",
    ] {
        sent("POST", &url, Some(FORM.1), body).assert_refused(400, "invalid_request", "A3");
    }
    sent("POST", &url, Some(FORM.1), "").assert_refused(400, "invalid_request", "the parameter grant_type");
    sent("POST", &url, Some(FORM.1), "grant_type=magic").assert_refused(
        400,
        "unsupported_grant_type",
        "this server",
    );
    assert_eq!(server.stats().tokens_issued, 0);
    let charset = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    assert_eq!(sent("POST", &url, Some(charset), &form).status, 200);
}

#[test]
fn a1_a2_client_authentication() {
    let server = DevServer::start().unwrap();
    let url = server.token_url();
    let raw = |(id, secret): (&str, &str)| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
    };
    let with_header = |header: &str, form: &[(&str, &str)]| {
        send("POST", &url, &[FORM, ("Authorization", header)], encode(form).as_bytes()).unwrap()
    };
    let grant = SERVICE[0];
    let (basic_client, post_client) = (DevServer::CONFIDENTIAL_CLIENT, DevServer::POST_CLIENT);

    assert_eq!(with_header(&basic(basic_client), &[grant]).status, 200);
    assert_eq!(with_header(&basic(basic_client), &[grant, ("client_id", basic_client.0)]).status, 200);
    let in_body = [grant, ("client_id", post_client.0), ("client_secret", post_client.1)];
    assert_eq!(post(&url, &in_body).status, 200);

    // A1: not form-encoded.
    with_header(&raw(basic_client), &[grant]).assert_refused(401, "invalid_client", "A1");
    // A2: two methods at once, or contradicting ids.
    let (id, secret) = (("client_id", basic_client.0), ("client_secret", basic_client.1));
    with_header(&basic(basic_client), &[grant, id, secret]).assert_refused(400, "invalid_request", "A2");
    with_header(&basic(basic_client), &[grant, secret]).assert_refused(400, "invalid_request", "A2");
    with_header(&basic(basic_client), &[grant, ("client_id", "post-app")]).assert_refused(
        400,
        "invalid_request",
        "A2",
    );
    let twice = [FORM, ("Authorization", &*basic(basic_client)), ("Authorization", &*basic(basic_client))];
    let reply = send("POST", &url, &twice, encode(&[grant]).as_bytes()).unwrap();
    reply.assert_refused(400, "invalid_request", "A2");
    // Exactly the registered method.
    post(&url, &[grant, id, secret]).assert_refused(401, "invalid_client", "A2");
    with_header(&basic(post_client), &[grant]).assert_refused(401, "invalid_client", "A2");
    post(&url, &[grant, ("client_id", basic_client.0)]).assert_refused(401, "invalid_client", "A2");
    let public = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "public-app")];
    post(&url, &[&public[..], &[("client_secret", "x")]].concat()).assert_refused(
        401,
        "invalid_client",
        "A2",
    );
    // Wrong or no credentials.
    let reply = with_header(&basic((basic_client.0, "wrong")), &[grant]);
    reply.assert_refused(401, "invalid_client", "wrong client secret");
    assert!(reply.header("www-authenticate").unwrap().starts_with("Basic realm="));
    post(&url, &[grant]).assert_refused(401, "invalid_client", "no client authentication");
    post(&url, &[grant, ("client_id", "nobody")]).assert_refused(401, "invalid_client", "no such client");
    post(&url, &[grant, ("client_id", "nobody"), ("client_assertion", "x")]).assert_refused(
        400,
        "invalid_request",
        "A10",
    );
    with_header("Bearer abc", &[grant]).assert_refused(401, "invalid_client", "the Authorization header");
}

#[test]
fn grants_are_for_the_clients_that_may_use_them() {
    let server = DevServer::start().unwrap();
    let url = server.token_url();
    let refused = |reply: Reply| reply.assert_refused(400, "unauthorized_client", "");
    refused(post(&url, &[SERVICE[0], ("client_id", DevServer::PUBLIC_CLIENT)]));
    let (name, password) = DevServer::ALICE;
    let form = [("grant_type", "password"), ("username", name), ("password", password)];
    refused(post(&url, &[&form[..], &[("client_id", DevServer::PUBLIC_CLIENT)]].concat()));
    refused(post_basic(&url, DevServer::SERVICE_CLIENT, &form));
}

#[test]
fn client_credentials() {
    let server = DevServer::start().unwrap();
    let reply = post_basic(&server.token_url(), DevServer::SERVICE_CLIENT, &SERVICE);
    let token = reply.json();
    assert_eq!(reply.status, 200);
    assert!(token.get("refresh_token").is_none());
    assert_eq!(server.live_logins(), 0);
    let me = get_with_token(&server.resource_url(), member(&token, "access_token")).json();
    assert_eq!((me["sub"].as_str(), me["scope"].as_str()), (Some("service-app"), Some("read")));
}

#[test]
fn password() {
    let server = DevServer::builder().user("carol", "pass word").start().unwrap();
    let form = |name, password| {
        [
            ("grant_type", "password"),
            ("client_id", DevServer::PASSWORD_CLIENT),
            ("username", name),
            ("password", password),
        ]
    };
    for (name, password) in [DevServer::ALICE, DevServer::BOB, ("carol", "pass word")] {
        let reply = post(&server.token_url(), &form(name, password));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(server.is_refresh_token_live(member(&reply.json(), "refresh_token")));
        let me = get_with_token(&server.resource_url(), member(&reply.json(), "access_token"));
        assert_eq!(me.json()["sub"], name);
    }
    assert_eq!(server.live_logins(), 3);
    for (name, password) in [("alice", "hunter2hunter2"), ("mallory", "hunter2hunter2")] {
        let reply = post(&server.token_url(), &form(name, password));
        reply.assert_refused(400, "invalid_grant", "wrong username or password");
        assert!(!reply.text().contains("hunter2"));
    }
}

#[test]
fn a4_redirect_uri_is_byte_identical_and_a_failed_code_is_burnt() {
    let server = DevServer::start().unwrap();
    for wrong in
        ["http://127.0.0.1:49153/callback", "http://127.0.0.1:49152/callback/", "http://127.0.0.1/callback"]
    {
        let attempt = Attempt::new();
        let code = code(&server, &attempt);
        let mut form = exchange(&code, &attempt);
        form[3].1 = wrong;
        post(&server.token_url(), &form).assert_refused(400, "invalid_grant", "A4");
        let again = post(&server.token_url(), &exchange(&code, &attempt));
        again.assert_refused(400, "invalid_grant", "the authorization code was already presented");
    }
    let attempt = Attempt::new();
    let code = code(&server, &attempt);
    let mut form = exchange(&code, &attempt);
    form.remove(3);
    post(&server.token_url(), &form).assert_refused(400, "invalid_request", "A4");
    assert_eq!(post(&server.token_url(), &exchange(&code, &attempt)).status, 200);
}

#[test]
fn a12_verifiers() {
    let server = DevServer::start().unwrap();
    let attempt = Attempt::new();
    let code = code(&server, &attempt);
    let exchanged = |verifier: &str| {
        let mut form = exchange(&code, &attempt);
        form[4].1 = verifier;
        post(&server.token_url(), &form)
    };
    let (short, long) = ("a".repeat(42), "a".repeat(129));
    for misshapen in [&short, &long, &format!("{}+", "a".repeat(43)), &format!("{}\u{e9}", "a".repeat(43))] {
        exchanged(misshapen).assert_refused(400, "invalid_request", "A12");
    }
    let mut form = exchange(&code, &attempt);
    form.pop();
    post(&server.token_url(), &form).assert_refused(400, "invalid_request", "the parameter code_verifier");
    // Well-formed but wrong: the challenge itself, and another one.
    exchanged(&attempt.challenge()).assert_refused(400, "invalid_grant", "A12");
    exchanged(&attempt.verifier).assert_refused(400, "invalid_grant", "the authorization code was already");
}

#[test]
fn a_code_is_used_once_and_a_second_use_revokes_what_it_brought() {
    let server = DevServer::start().unwrap();
    let attempt = Attempt::new();
    let code = code(&server, &attempt);
    let token = post(&server.token_url(), &exchange(&code, &attempt)).json();
    let again = post(&server.token_url(), &exchange(&code, &attempt));
    again.assert_refused(400, "invalid_grant", "A27");
    assert!(!again.text().contains(&code));
    assert!(!server.is_refresh_token_live(member(&token, "refresh_token")));
    assert_eq!(get_with_token(&server.resource_url(), member(&token, "access_token")).status, 401);
    assert_eq!((server.live_logins(), server.stats().logins_revoked), (0, 1));
}

#[test]
fn codes_expire_on_the_servers_clock_and_belong_to_one_client() {
    let server = DevServer::builder().authorization_code_lifetime(Duration::from_secs(30)).start().unwrap();
    let attempt = Attempt::new();
    let first = code(&server, &attempt);
    let form = exchange(&first, &attempt);
    post_basic(&server.token_url(), DevServer::CONFIDENTIAL_CLIENT, &[&form[..1], &form[2..]].concat())
        .assert_refused(400, "invalid_grant", "the authorization code was issued to another client");
    server.advance(Duration::from_secs(30));
    post(&server.token_url(), &form).assert_refused(400, "invalid_grant", "the authorization code expired");
    let mut unknown = exchange("no-such-code", &attempt);
    unknown[2].1 = "no-such-code";
    let reply = post(&server.token_url(), &unknown);
    reply.assert_refused(400, "invalid_grant", "no such authorization code");
    assert!(!reply.text().contains("no-such-code"));
}

#[test]
fn lifetimes_sizes_and_refresh_tokens_as_built() {
    let server = DevServer::builder()
        .access_tokens_never_expire()
        .issue_refresh_tokens(false)
        .access_token_size(6000)
        .start()
        .unwrap();
    let token = sign_in(&server);
    assert!(token.get("expires_in").is_none() && token.get("refresh_token").is_none());
    assert_eq!(member(&token, "access_token").len(), 6000);
    server.advance(Duration::from_secs(10 * 365 * 86_400));
    assert_eq!(get_with_token(&server.resource_url(), member(&token, "access_token")).status, 200);
    assert_eq!(server.live_logins(), 1);

    let server = DevServer::builder().access_token_lifetime(Duration::from_secs(20)).start().unwrap();
    assert_eq!(sign_in(&server)["expires_in"], 20);
}

#[test]
fn requests_are_recorded_and_their_debug_output_shows_no_secret() {
    let server = DevServer::start().unwrap();
    let token = sign_in(&server);
    post_basic(&server.token_url(), DevServer::SERVICE_CLIENT, &[SERVICE[0], ("scope", "read")]);
    let last = server.last_request(Endpoint::Token).unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("POST", "/token"));
    assert_eq!(last.form_value("grant_type"), Some("client_credentials"));
    assert_eq!(last.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    get_with_token(&server.resource_url(), member(&token, "access_token"));
    let api = server.last_request(Endpoint::Resource).unwrap();
    assert_eq!(api.bearer(), Some(member(&token, "access_token")));

    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    let exchange = &requests[1];
    let debug = format!("{requests:?} {server:?}");
    let secrets = ["code", "code_verifier"].map(|name| exchange.form_value(name).unwrap().to_owned());
    for secret in secrets.iter().map(String::as_str).chain([
        member(&token, "access_token"),
        &last.header("authorization").unwrap()[6..],
        requests[0].query_value("state").unwrap(),
        requests[0].query_value("code_challenge").unwrap(),
    ]) {
        assert!(!debug.contains(secret), "{debug}");
    }
    assert!(debug.contains("client_credentials") && debug.contains("[redacted]"));
    send("POST", &server.token_url(), &[FORM], b"hunter2hunter2").unwrap();
    assert!(!format!("{:?}", server.last_request(Endpoint::Token)).contains("hunter2"));
}
