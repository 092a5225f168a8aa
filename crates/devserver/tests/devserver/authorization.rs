//! What the authorization endpoint refuses, and whom it tells.

use jeton_devserver::{Client, DevServer, Endpoint};

use crate::http::{get, post, post_basic};
use crate::login::{
    Attempt, REDIRECT_URI, authorization_url, exchange, parameter, redirected, sign_in, with,
};

#[test]
fn a_flawless_request_brings_code_state_and_iss() {
    let server = DevServer::start().unwrap();
    let attempt = Attempt::new();
    let reply = get(&attempt.url(&server));
    assert_eq!(reply.status, 302);
    assert!(reply.header("location").unwrap().starts_with("http://127.0.0.1:49152/callback?code="));
    assert_eq!(redirected(&reply, "state"), Some(attempt.state));
    assert_eq!(redirected(&reply, "iss").as_deref(), Some(server.issuer()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(server.stats().requests_to(Endpoint::Authorization), 1);
}

#[test]
fn without_a_client_and_redirect_uri_of_its_own_nobody_is_redirected() {
    let server = DevServer::start().unwrap();
    let flawless = Attempt::new().parameters();
    let twice = |name: &str, value: &str| {
        let mut parameters = flawless.clone();
        parameters.push((name.to_owned(), value.to_owned()));
        parameters
    };
    for parameters in [
        with(flawless.clone(), "client_id", None),
        with(flawless.clone(), "client_id", Some("nobody")),
        with(flawless.clone(), "redirect_uri", None),
        with(flawless.clone(), "redirect_uri", Some("https://evil.example/callback")),
        with(flawless.clone(), "redirect_uri", Some("http://localhost:49152/callback")),
        with(flawless.clone(), "redirect_uri", Some("http://127.0.0.1:49152/callback/../other")),
        twice("redirect_uri", "https://evil.example/callback"),
        twice("client_id", "public-app"),
    ] {
        let reply = get(&authorization_url(&server, &parameters));
        assert_eq!(reply.status, 400, "{parameters:?}");
        assert_eq!(reply.header("location"), None);
        assert!(reply.header("content-type").unwrap().starts_with("text/html"));
    }
}

#[test]
fn a3_a5_a12_a19_each_flaw_is_told_to_the_client_with_its_rule() {
    let server = DevServer::start().unwrap();
    let flaws: &[(&str, Option<&str>, &str, &str)] = &[
        ("state", None, "invalid_request", "A5"),
        ("state", Some("123456789012345678901"), "invalid_request", "A5"),
        ("state", Some(""), "invalid_request", "A3"),
        ("code_challenge", None, "invalid_request", "A12"),
        ("code_challenge_method", None, "invalid_request", "A12"),
        ("code_challenge_method", Some("plain"), "invalid_request", "A12"),
        ("code_challenge", Some("tooshort"), "invalid_request", "A12"),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), "invalid_request", "A12"),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="), "invalid_request", "A12"),
        ("response_type", None, "invalid_request", "the parameter response_type"),
        ("response_type", Some("token"), "unsupported_response_type", "A27"),
        ("response_mode", Some("fragment"), "invalid_request", "only response_mode query"),
        ("client_secret", Some("oops"), "invalid_request", "a client secret has no place"),
        ("scope", Some("read everything"), "invalid_scope", "a scope that"),
        ("scope", Some("read  write"), "invalid_scope", "scope must be"),
        ("resource", Some("/api"), "invalid_target", "A19"),
        ("resource", Some("http://127.0.0.1/api#x"), "invalid_target", "A19"),
        ("resource", Some("https://elsewhere.example/"), "invalid_target", "a resource that"),
    ];
    for (name, value, error, rule) in flaws {
        let parameters = with(Attempt::new().parameters(), name, *value);
        let reply = get(&authorization_url(&server, &parameters));
        assert_eq!(reply.status, 302, "{name} {value:?}");
        assert_eq!(redirected(&reply, "error").as_deref(), Some(*error), "{name} {value:?}");
        let description = redirected(&reply, "error_description").unwrap();
        assert!(description.starts_with(rule), "{name} {value:?}: {description}");
        assert_eq!(redirected(&reply, "code"), None);
        // RFC 9207: the issuer is named on errors too.
        assert_eq!(redirected(&reply, "iss").as_deref(), Some(server.issuer()));
    }
    assert_eq!(server.live_logins(), 0);
}

#[test]
fn a3_a_repeated_parameter_is_refused_even_if_alike() {
    let server = DevServer::start().unwrap();
    let mut parameters = Attempt::new().parameters();
    parameters.push(("scope".into(), "read write".into()));
    let reply = get(&authorization_url(&server, &parameters));
    assert_eq!(redirected(&reply, "error").as_deref(), Some("invalid_request"));
    assert!(redirected(&reply, "error_description").unwrap().contains("scope is repeated"));
}

#[test]
fn a5_a12_state_and_challenge_serve_for_one_authorization() {
    let server = DevServer::start().unwrap();
    let (first, second) = (Attempt::new(), Attempt::new());
    assert!(redirected(&get(&first.url(&server)), "code").is_some());
    // A reload of the very same request is a person's right.
    assert!(redirected(&get(&first.url(&server)), "code").is_some());
    let same_state = Attempt { state: first.state.clone(), verifier: second.verifier.clone() };
    let reply = get(&same_state.url(&server));
    assert!(redirected(&reply, "error_description").unwrap().starts_with("A5"), "{reply:?}");
    let same_challenge = Attempt { state: second.state.clone(), verifier: first.verifier.clone() };
    let reply = get(&same_challenge.url(&server));
    assert!(redirected(&reply, "error_description").unwrap().starts_with("A12"), "{reply:?}");
}

#[test]
fn the_endpoint_is_opened_with_get() {
    let server = DevServer::start().unwrap();
    let reply = post(&server.authorization_url(), &[("client_id", "public-app")]);
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
}

#[test]
fn a23_iss_can_be_left_out() {
    let server = DevServer::builder().advertise_iss(false).start().unwrap();
    let reply = get(&Attempt::new().url(&server));
    assert!(redirected(&reply, "code").is_some());
    assert_eq!(redirected(&reply, "iss"), None);
}

#[test]
fn a_person_who_always_says_no() {
    let server = DevServer::builder().auto_deny(true).start().unwrap();
    for _ in 0..2 {
        let reply = get(&Attempt::new().url(&server));
        assert_eq!(redirected(&reply, "error").as_deref(), Some("access_denied"));
    }
}

#[test]
fn denial_login_hint_and_approve_as() {
    let server = DevServer::start().unwrap();
    server.deny_next_authorization();
    let attempt = Attempt::new();
    let reply = get(&attempt.url(&server));
    assert_eq!(redirected(&reply, "error").as_deref(), Some("access_denied"));
    assert_eq!(redirected(&reply, "state"), Some(attempt.state));

    let subject = |parameters: Vec<(String, String)>, attempt: &Attempt| {
        let url = server.authorize(&authorization_url(&server, &parameters)).unwrap();
        let code = parameter(&url, "code").unwrap();
        let token = post(&server.token_url(), &exchange(&code, attempt)).json();
        let me = crate::http::get_with_token(&server.resource_url(), token["access_token"].as_str().unwrap());
        me.json()["sub"].as_str().unwrap().to_owned()
    };
    let attempt = Attempt::new();
    assert_eq!(subject(attempt.parameters(), &attempt), "alice");
    let attempt = Attempt::new();
    assert_eq!(subject(with(attempt.parameters(), "login_hint", Some("bob")), &attempt), "bob");
    server.approve_as("bob");
    let attempt = Attempt::new();
    assert_eq!(subject(attempt.parameters(), &attempt), "bob");
}

#[test]
fn authorize_without_a_socket_counts_and_says_what_is_wrong() {
    let server = DevServer::start().unwrap();
    let other = DevServer::start().unwrap();
    let attempt = Attempt::new();
    assert!(server.authorize(&attempt.url(&server)).unwrap().starts_with(REDIRECT_URI));
    assert_eq!(server.stats().requests_to(Endpoint::Authorization), 1);
    assert!(server.authorize(&attempt.url(&other)).is_err());
    assert!(server.authorize(&server.token_url()).is_err());
    assert!(server.authorize("nonsense").is_err());
    let unknown = with(attempt.parameters(), "client_id", Some("nobody"));
    let error = server.authorize(&authorization_url(&server, &unknown)).unwrap_err().to_string();
    assert!(error.contains("client_id"), "{error}");
    let elsewhere = with(attempt.parameters(), "redirect_uri", Some("https://elsewhere.example/"));
    let error = server.authorize(&authorization_url(&server, &elsewhere)).unwrap_err().to_string();
    assert!(error.contains("redirect_uri"), "{error}");
}

#[test]
fn registered_clients_and_their_grants() {
    let client = Client::basic("my app", "s:e/c ret").redirect_uri("https://my.example/cb?fixed=1");
    let server = DevServer::builder()
        .client(client)
        .client(Client::public("device only").redirect_uri(REDIRECT_URI).grant_types(["refresh_token"]))
        .start()
        .unwrap();
    let attempt = Attempt::new();
    let parameters = with(attempt.parameters(), "client_id", Some("my app"));
    let uri = "https://my.example/cb?fixed=1";
    let parameters = with(parameters, "redirect_uri", Some(uri));
    let location = server.authorize(&authorization_url(&server, &parameters)).unwrap();
    assert!(location.starts_with("https://my.example/cb?fixed=1&code="));
    let code = parameter(&location, "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", uri),
        ("code_verifier", &attempt.verifier),
    ];
    assert_eq!(post_basic(&server.token_url(), ("my app", "s:e/c ret"), &form).status, 200);

    let parameters = with(Attempt::new().parameters(), "client_id", Some("device only"));
    let location = server.authorize(&authorization_url(&server, &parameters)).unwrap();
    assert_eq!(parameter(&location, "error").as_deref(), Some("unauthorized_client"));
    assert_eq!(sign_in(&server)["token_type"], "Bearer");
}
