//! OpenID Connect: ID tokens, userinfo, the end session endpoint and signed introspection answers, and what each refuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_devserver::{DevServer, Endpoint, IdTokenFault};
use serde_json::Value;

use crate::http::{FORM, basic, encode, get, get_with_token, post, send};
use crate::login::{
    Attempt, authorization_url, code, exchange, member, parameter, redirected, refresh, sign_in, with,
};

const NONCE: &str = "n-0123456789012345678901";

/// A login with that scope and nonce: its token answer.
fn login(server: &DevServer, scope: &str, nonce: Option<&str>) -> Value {
    let attempt = Attempt::new();
    let parameters = with(with(attempt.parameters(), "scope", Some(scope)), "nonce", nonce);
    let reply = get(&authorization_url(server, &parameters));
    let code = redirected(&reply, "code").unwrap_or_else(|| panic!("{}", reply.text()));
    post(&server.token_url(), &exchange(&code, &attempt)).json()
}

fn part(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a29_an_id_token_names_the_person_the_client_and_the_nonce_once() {
    let server = DevServer::start().unwrap();
    let answer = login(&server, "openid read", Some(NONCE));
    let id_token = member(&answer, "id_token");
    let (header, claims) = (part(id_token, 0), part(id_token, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&"ES256".into(), &"JWT".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&server.issuer().into(), &"alice".into()));
    assert_eq!((&claims["aud"], &claims["nonce"]), (&DevServer::PUBLIC_CLIENT.into(), &NONCE.into()));
    let keys = get(&server.url("/jwks")).json();
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
    // A refreshed one has no nonce.
    let refreshed = refresh(&server, member(&answer, "refresh_token"), &[]).json();
    assert!(part(member(&refreshed, "id_token"), 1).get("nonce").is_none());
    // Without the scope there is none.
    assert!(sign_in(&server).get("id_token").is_none());
    server.rotate_signing_keys();
    let changed = get(&server.url("/jwks")).json();
    assert!(changed["keys"].as_array().unwrap().iter().all(|key| key["kid"] != header["kid"]));
    assert_eq!(server.stats().requests_to(Endpoint::Jwks), 2);
}

#[test]
fn a29_a_nonce_that_can_be_guessed_is_refused() {
    let server = DevServer::start().unwrap();
    let attempt = Attempt::new();
    for weak in ["short", attempt.state.as_str()] {
        let parameters = with(attempt.parameters(), "nonce", Some(weak));
        let reply = get(&authorization_url(&server, &parameters));
        let description = redirected(&reply, "error_description").unwrap();
        assert!(description.starts_with("A29:"), "{description}");
    }
    code(&server, &attempt);
}

#[test]
fn faults_of_id_tokens_queue_up() {
    let server = DevServer::start().unwrap();
    server.fault_id_token(IdTokenFault::Absent);
    server.fault_id_token(IdTokenFault::claims(|mut claims| {
        claims["aud"] = "you".into();
        claims
    }));
    server.fault_id_token(IdTokenFault::Unsigned);
    server.fault_id_token(IdTokenFault::PublicKeyAsSecret);
    let next = || login(&server, "openid", None);
    assert!(next().get("id_token").is_none());
    assert_eq!(part(member(&next(), "id_token"), 1)["aud"], "you");
    assert!(member(&next(), "id_token").ends_with('.'));
    assert_eq!(part(member(&next(), "id_token"), 0)["alg"], "HS256");
    assert_eq!(part(member(&next(), "id_token"), 0)["alg"], "ES256");
}

#[test]
fn userinfo_is_for_tokens_with_the_scope() {
    let server = DevServer::start().unwrap();
    let url = server.url("/userinfo");
    let answer = login(&server, "openid email", None);
    let person = get_with_token(&url, member(&answer, "access_token")).json();
    assert_eq!((&person["sub"], &person["email"]), (&"alice".into(), &"alice@users.example".into()));
    assert!(person.get("name").is_none());
    let reply = get_with_token(&url, member(&sign_in(&server), "access_token"));
    assert_eq!(reply.status, 403);
    assert!(reply.header("www-authenticate").unwrap().contains(r#"scope="openid""#));
    assert_eq!((get(&url).status, get_with_token(&url, "made-up").status), (401, 401));
    let query = format!("{url}?access_token={}", member(&answer, "access_token"));
    assert_eq!(get(&query).status, 400);
    assert_eq!(send("PUT", &url, &[], b"").unwrap().status, 405);
}

#[test]
fn a29_a_log_out_ends_the_login_of_the_hint_and_goes_to_registered_places_only() {
    let server = DevServer::start().unwrap();
    let answer = login(&server, "openid", None);
    let hint = member(&answer, "id_token");
    let end = |pairs: &[(&str, &str)]| get(&format!("{}?{}", server.url("/logout"), encode(pairs)));
    let back = "https://app.example/signed-out";
    let forged = format!("{}x", hint);
    let wrong: [&[(&str, &str)]; 6] = [
        &[("id_token_hint", &forged)],
        &[("id_token_hint", hint), ("client_id", "post-app")],
        &[("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.example/")],
        &[("post_logout_redirect_uri", back)],
        &[("client_id", "nobody"), ("post_logout_redirect_uri", back)],
        &[("id_token_hint", hint), ("state", "s")],
    ];
    for pairs in wrong {
        let reply = end(pairs);
        assert_eq!(reply.status, 400, "{pairs:?}");
        assert!(reply.text().contains("A29:"), "{}", reply.text());
    }
    assert_eq!(server.live_logins(), 1);
    let reply = end(&[("id_token_hint", hint), ("post_logout_redirect_uri", back), ("state", "a b")]);
    let location = reply.header("location").unwrap();
    assert!(location.starts_with(back));
    assert_eq!(parameter(location, "state").as_deref(), Some("a b"));
    assert_eq!(server.live_logins(), 0);
    assert_eq!(end(&[]).status, 200);
}

#[test]
fn a13_an_introspection_answer_is_signed_where_that_is_asked_for() {
    let server = DevServer::start().unwrap();
    let answer = sign_in(&server);
    let form = encode(&[("token", member(&answer, "access_token"))]);
    let ask = |accept: &str| {
        let authorization = basic(DevServer::CONFIDENTIAL_CLIENT);
        let headers = [FORM, ("Authorization", &*authorization), ("Accept", accept)];
        send("POST", &server.url("/introspect"), &headers, form.as_bytes()).unwrap()
    };
    assert_eq!(ask("application/json").json()["active"], true);
    let reply = ask("application/token-introspection+jwt");
    assert_eq!(reply.header("content-type"), Some("application/token-introspection+jwt"));
    let (header, claims) = (part(reply.text(), 0), part(reply.text(), 1));
    assert_eq!(header["typ"], "token-introspection+jwt");
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&server.issuer().into(), &DevServer::CONFIDENTIAL_CLIENT.0.into())
    );
    assert_eq!(claims["token_introspection"]["sub"], "alice");
    assert!(claims.get("active").is_none());
}
