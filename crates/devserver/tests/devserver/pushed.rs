//! Authorization requests that do not stand in the browser's URL: pushed (A22), signed (A21), in detail (A24), and answers that the
//! server signs (A30).

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_devserver::{Client, DevServer, Endpoint};
use jsonwebtoken::{Algorithm, Header, encode};
use serde_json::{Value, json};

use crate::client_assertion::private_key;
use crate::http::{Reply, get, post, post_basic};
use crate::login::{Attempt, redirected};

fn pairs(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn push(server: &DevServer, parameters: &[(String, String)]) -> Reply {
    post(&server.pushed_authorization_url(), &pairs(parameters))
}

fn open(server: &DevServer, client_id: &str, request_uri: &str, more: &str) -> Reply {
    let query = crate::http::encode(&[("client_id", client_id), ("request_uri", request_uri)]);
    get(&format!("{}?{query}{more}", server.authorization_url()))
}

fn reference(reply: &Reply) -> String {
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["request_uri"].as_str().unwrap().to_owned()
}

/// A page for the person, who alone can be told.
#[track_caller]
fn assert_page(reply: &Reply, rule: &str) {
    assert_eq!((reply.status, reply.header("location")), (400, None));
    assert!(reply.text().contains(rule), "{}", reply.text());
}

#[test]
fn a22_a_reference_works_once_for_its_client_and_before_it_expires() {
    let server = DevServer::builder().request_uri_lifetime(Duration::from_secs(90)).start().unwrap();
    let reply = push(&server, &Attempt::new().parameters());
    assert_eq!(reply.json()["expires_in"], 90);
    let request_uri = reference(&reply);
    let another = DevServer::CONFIDENTIAL_CLIENT.0;
    assert_page(&open(&server, another, &request_uri, ""), "given to another client");
    assert_page(&open(&server, "public-app", &request_uri, "&scope=admin"), "nothing else");
    assert!(redirected(&open(&server, "public-app", &request_uri, ""), "code").is_some());
    assert_page(&open(&server, "public-app", &request_uri, ""), "used before");

    let request_uri = reference(&push(&server, &Attempt::new().parameters()));
    server.advance(Duration::from_secs(90));
    assert_page(&open(&server, "public-app", &request_uri, ""), "expired");
    assert_page(&open(&server, "public-app", "urn:ietf:params:oauth:request_uri:guessed", ""), "no such");
    assert_eq!(server.stats().requests_to(Endpoint::PushedAuthorization), 2);
}

#[test]
fn a22_a_pushed_request_is_authenticated_and_checked_at_once() {
    let server = DevServer::start().unwrap();
    let url = server.pushed_authorization_url();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let of = |id: &str| {
        let mut parameters = Attempt::new().parameters();
        parameters.iter_mut().filter(|(name, _)| name == "client_id").for_each(|(_, own)| *own = id.into());
        parameters
    };
    assert_eq!(post_basic(&url, (id, secret), &pairs(&of(id))).status, 201);
    post_basic(&url, (id, "wrong"), &pairs(&of(id))).assert_refused(401, "invalid_client", "wrong");
    push(&server, &of(id)).assert_refused(401, "invalid_client", "A2");
    let nameless: Vec<_> = of(id).into_iter().filter(|(name, _)| name != "client_id").collect();
    post_basic(&url, (id, secret), &pairs(&nameless)).assert_refused(400, "invalid_request", "A22");
    for (name, value, error, rule) in [
        ("request_uri", "urn:x", "invalid_request", "A22"),
        ("state", "short", "invalid_request", "A5"),
        ("scope", "everything", "invalid_scope", "a scope that"),
        ("redirect_uri", "https://evil.example/", "invalid_request", "A4"),
    ] {
        let mut parameters = Attempt::new().parameters();
        parameters.retain(|(own, _)| own != name);
        parameters.push((name.into(), value.into()));
        push(&server, &parameters).assert_refused(400, error, rule);
    }
}

#[test]
fn a22_a_server_that_requires_pushed_requests_says_so_and_takes_no_other() {
    let server = DevServer::builder().require_par(true).start().unwrap();
    let metadata = get(&server.metadata_url()).json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(metadata["pushed_authorization_request_endpoint"], server.pushed_authorization_url());
    assert_page(&get(&Attempt::new().url(&server)), "A22");
    assert_page(&get(&signed_url(&server, &request_object(&server, "1"))), "A22");
    let request_uri = reference(&push(&server, &Attempt::new().parameters()));
    assert!(redirected(&open(&server, "public-app", &request_uri, ""), "code").is_some());
}

const SIGNER: &str = DevServer::KEY_CLIENT.0;

/// What a request object of the predefined client with a key should be.
fn request_object(server: &DevServer, jti: &str) -> Value {
    let now = server.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims =
        json!({ "iss": SIGNER, "aud": server.issuer(), "iat": now, "nbf": now, "exp": now + 60 });
    for (name, value) in Attempt::new().parameters() {
        claims[name] = value.into();
    }
    claims["client_id"] = SIGNER.into();
    claims["jti"] = format!("{jti:-<22}").into();
    claims
}

fn signed(claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("oauth-authz-req+jwt".into());
    encode(&header, claims, &private_key(DevServer::KEY_CLIENT.1)).unwrap()
}

fn signed_url(server: &DevServer, claims: &Value) -> String {
    let query = crate::http::encode(&[("client_id", SIGNER), ("request", &signed(claims))]);
    format!("{}?{query}", server.authorization_url())
}

#[test]
fn a21_a_request_object_is_taken_by_value_once() {
    let server = DevServer::builder().require_signed_request_object(true).start().unwrap();
    assert_eq!(get(&server.metadata_url()).json()["require_signed_request_object"], true);
    let url = signed_url(&server, &request_object(&server, "1"));
    assert!(redirected(&get(&url), "code").is_some());
    assert_page(&get(&url), "jti was used before");
    let unsigned = get(&Attempt::new().url(&server));
    assert!(redirected(&unsigned, "error_description").unwrap().starts_with("A21"));
}

#[test]
fn a21_each_deviation_of_a_request_object_is_refused() {
    let server = DevServer::start().unwrap();
    let good = request_object(&server, "good");
    let now = good["iat"].as_u64().unwrap();
    for (claim, value, why) in [
        ("iss", json!("another"), "iss must be"),
        ("aud", json!("https://another.example"), "aud must be"),
        ("aud", json!([server.issuer(), "https://another.example"]), "aud must be"),
        ("sub", json!(SIGNER), "sub must not"),
        ("client_id", json!("public-app"), "client_id in it"),
        ("request_uri", json!("urn:x"), "must not stand in it"),
        ("exp", json!(now), "it has expired"),
        ("exp", json!(now + 3600), "it lives too long"),
        ("nbf", json!(now + 60), "nbf or iat"),
        ("nbf", json!(null), "nbf"),
        ("jti", json!("1"), "jti"),
        ("scope", json!(["read"]), "of a type"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_page(&get(&signed_url(&server, &claims)), why);
    }
    let key = private_key(DevServer::KEY_CLIENT.1);
    let jwt = encode(&Header::new(Algorithm::ES256), &good, &key).unwrap();
    let query = crate::http::encode(&[("client_id", SIGNER), ("request", &jwt)]);
    assert_page(&get(&format!("{}?{query}", server.authorization_url())), "typ must be");
    let jwt = format!("{}A", signed(&good));
    let query = crate::http::encode(&[("client_id", SIGNER), ("request", &jwt)]);
    assert_page(&get(&format!("{}?{query}", server.authorization_url())), "A21");
    // A client without keys cannot sign.
    let query = crate::http::encode(&[("client_id", "public-app"), ("request", &signed(&good))]);
    assert_page(&get(&format!("{}?{query}", server.authorization_url())), "no keys registered");
    assert!(redirected(&get(&signed_url(&server, &good)), "code").is_some());
}

#[test]
fn a21_a_request_object_is_pushed_alone() {
    let jwks: Value = serde_json::from_str(DevServer::KEY_CLIENT.1).unwrap();
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": jwks["x"], "y": jwks["y"] }] });
    let client = Client::public(SIGNER).keys(jwks.to_string()).redirect_uri("http://127.0.0.1/callback");
    let server = DevServer::builder().client(client).start().unwrap();
    let url = server.pushed_authorization_url();
    let jwt = signed(&request_object(&server, "1"));
    let reply = post(&url, &[("client_id", SIGNER), ("request", &jwt)]);
    let request_uri = reference(&reply);
    assert!(redirected(&open(&server, SIGNER, &request_uri, ""), "code").is_some());
    let jwt = signed(&request_object(&server, "2"));
    post(&url, &[("client_id", SIGNER), ("request", &jwt), ("scope", "admin")]).assert_refused(
        400,
        "invalid_request",
        "A22",
    );
}

#[test]
fn a24_details_are_checked_granted_and_told() {
    let server = DevServer::builder().authorization_detail_types(["payment"]).start().unwrap();
    let metadata = get(&server.metadata_url()).json();
    assert_eq!(metadata["authorization_details_types_supported"], json!(["payment"]));
    let url_with = |attempt: &Attempt, details: &str| {
        format!("{}&{}", attempt.url(&server), crate::http::encode(&[("authorization_details", details)]))
    };
    for wrong in [
        "payment",
        r#"{"type":"payment"}"#,
        "[{}]",
        r#"["payment"]"#,
        r#"[{"type":7}]"#,
        r#"[{"type":"transfer"}]"#,
        r#"[{"type":"payment","actions":"send"}]"#,
    ] {
        let reply = get(&url_with(&Attempt::new(), wrong));
        assert_eq!(redirected(&reply, "error").as_deref(), Some("invalid_authorization_details"), "{wrong}");
        assert!(redirected(&reply, "error_description").unwrap().starts_with("A24"), "{wrong}");
    }
    let attempt = Attempt::new();
    let reply = get(&url_with(&attempt, r#"[{"type":"payment","actions":["send"]}]"#));
    let code = redirected(&reply, "code").unwrap();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", "public-app"),
        ("code", &code),
        ("redirect_uri", crate::login::REDIRECT_URI),
        ("code_verifier", &attempt.verifier),
    ];
    let more =
        [&redeem[..], &[("authorization_details", r#"[{"type":"payment","actions":["send","more"]}]"#)]];
    post(&server.token_url(), &more.concat()).assert_refused(400, "invalid_authorization_details", "A24");
    let granted = json!([{ "type": "payment", "actions": ["send"], "identifier": "account-of-alice" }]);
    let body = post(&server.token_url(), &redeem).json();
    assert_eq!(body["authorization_details"], granted);

    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "public-app"),
        ("refresh_token", body["refresh_token"].as_str().unwrap()),
    ];
    let body = post(&server.token_url(), &refresh).json();
    assert_eq!(body["authorization_details"], granted);
    let token = [("token", body["access_token"].as_str().unwrap())];
    let seen = post_basic(&server.introspection_url(), DevServer::CONFIDENTIAL_CLIENT, &token).json();
    assert_eq!(seen["authorization_details"], granted);
}

#[test]
fn a30_a_client_that_asks_for_a_signed_answer_gets_it_and_nothing_beside_it() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let server = DevServer::builder().response_algorithm(algorithm).start().unwrap();
        for (mode, deny) in [("jwt", false), ("query.jwt", true)] {
            let attempt = Attempt::new();
            if deny {
                server.deny_next_authorization();
            }
            let reply = get(&format!("{}&response_mode={mode}", attempt.url(&server)));
            let location = url::Url::parse(reply.header("location").unwrap()).unwrap();
            assert_eq!(
                location.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>(),
                ["response"]
            );
            let jwt = redirected(&reply, "response").unwrap();
            let part = |index: usize| -> Value {
                let text = jwt.split('.').nth(index).unwrap();
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
            };
            assert_eq!(part(0)["alg"], algorithm);
            let claims = part(1);
            assert_eq!((&claims["iss"], &claims["aud"]), (&json!(server.issuer()), &json!("public-app")));
            assert_eq!(claims["state"], attempt.state);
            assert_eq!(claims["error"].as_str(), deny.then_some("access_denied"));
            assert_eq!(claims["code"].is_string(), !deny);
        }
    }
}

#[test]
fn a31_the_security_profile_refuses_what_is_not_good_enough() {
    let server = DevServer::builder().fapi2().start().unwrap();
    let metadata = get(&server.metadata_url()).json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["private_key_jwt"]));
    assert!(!metadata["grant_types_supported"].as_array().unwrap().contains(&json!("password")));
    assert_page(&get(&Attempt::new().url(&server)), "A22");
    let grant = [("grant_type", "client_credentials")];
    post_basic(&server.token_url(), DevServer::SERVICE_CLIENT, &grant).assert_refused(
        401,
        "invalid_client",
        "A31",
    );
}
