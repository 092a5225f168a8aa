//! DPoP (RFC 9449): proofs, nonces, and what tokens and codes are bound to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_devserver::DevServer;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::http::{FORM, Reply, basic, send};
use crate::login::{Attempt, REDIRECT_URI, authorization_url, member, parameter, with};

/// P-256 keys: of RFC 7515 A.3, and of RFC 7517 A.1.
const KEY: [&str; 3] = [
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
];
const OTHER_KEY: [&str; 3] = [
    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
];

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The key as PKCS#8.
fn signing(key: [&str; 3]) -> EncodingKey {
    let head = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420";
    let hex = |text: &str| {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let mut der: Vec<u8> = hex(head);
    der.extend(bytes(key[2]));
    der.extend([0xa1, 0x44, 0x03, 0x42, 0x00, 0x04]);
    der.extend(bytes(key[0]));
    der.extend(bytes(key[1]));
    EncodingKey::from_ec_der(&der)
}

fn public(key: [&str; 3]) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": key[0], "y": key[1] })
}

fn thumbprint(key: [&str; 3]) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, key[0], key[1]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// A flawless proof, to be spoilt.
struct Proof {
    key: [&'static str; 3],
    header: Value,
    claims: Value,
}

impl Proof {
    fn new(method: &str, url: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let iat = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let jti = format!("a-proof-of-its-own-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self {
            key: KEY,
            header: json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": public(KEY) }),
            claims: json!({ "htm": method, "htu": url, "iat": iat, "jti": jti }),
        }
    }

    fn of(key: [&'static str; 3], method: &str, url: &str) -> Self {
        let mut proof = Self::new(method, url);
        proof.key = key;
        proof.header["jwk"] = public(key);
        proof
    }

    fn at_resource(key: [&'static str; 3], url: &str, token: &str) -> Self {
        Self::of(key, "GET", url).with("ath", json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token))))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    fn header(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    /// Any header, signed with ES256 whatever it says.
    fn text(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &signing(self.key), Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }
}

fn token_request(server: &DevServer, proof: Option<&str>, pairs: &[(&str, &str)]) -> Reply {
    let mut headers = vec![FORM];
    headers.extend(proof.map(|proof| ("DPoP", proof)));
    send("POST", &server.token_url(), &headers, crate::http::encode(pairs).as_bytes()).unwrap()
}

fn service_request(server: &DevServer, proof: &str) -> Reply {
    let authorization = basic(DevServer::SERVICE_CLIENT);
    let headers = [FORM, ("Authorization", &*authorization), ("DPoP", proof)];
    send("POST", &server.token_url(), &headers, b"grant_type=client_credentials").unwrap()
}

fn get(url: &str, scheme: &str, token: &str, proof: Option<&str>) -> Reply {
    let authorization = format!("{scheme} {token}");
    let mut headers = vec![("Authorization", &*authorization)];
    headers.extend(proof.map(|proof| ("DPoP", proof)));
    send("GET", url, &headers, b"").unwrap()
}

#[test]
fn a25_a_proof_binds_the_token_and_a_bound_token_needs_a_proof() {
    let server = DevServer::start().unwrap();
    let answer = service_request(&server, &Proof::new("POST", &server.token_url()).text()).json();
    assert_eq!(answer["token_type"], "DPoP");
    let token = member(&answer, "access_token");
    let url = server.resource_url();
    let proof = || Proof::at_resource(KEY, &url, token);
    assert_eq!(get(&format!("{url}?a=1"), "dpop", token, Some(&proof().text())).status, 200);

    let refused = |scheme: &str, token: &str, proof: Option<&str>, error: &str| {
        let reply = get(&url, scheme, token, proof);
        assert_eq!((reply.status, reply.error().as_str()), (401, error), "{}", reply.text());
        let challenge = reply.header("www-authenticate").unwrap().to_owned();
        assert!(
            challenge.starts_with(if scheme == "DPoP" { "DPoP algs=" } else { "Bearer " }),
            "{challenge}"
        );
    };
    refused("Bearer", token, None, "invalid_token");
    refused("DPoP", token, None, "invalid_dpop_proof");
    refused("DPoP", token, Some(&Proof::at_resource(OTHER_KEY, &url, token).text()), "invalid_token");
    refused("DPoP", token, Some(&Proof::at_resource(KEY, &url, "another").text()), "invalid_dpop_proof");
    refused("DPoP", token, Some(&proof().without("ath").text()), "invalid_dpop_proof");
    refused("DPoP", token, Some(&proof().with("htm", json!("POST")).text()), "invalid_dpop_proof");
    let elsewhere = Proof::at_resource(KEY, &server.url("/api/other"), token);
    refused("DPoP", token, Some(&elsewhere.text()), "invalid_dpop_proof");
    let used = proof().text();
    assert_eq!(get(&url, "DPoP", token, Some(&used)).status, 200);
    refused("DPoP", token, Some(&used), "invalid_dpop_proof");

    // And one that is not bound is no better for a proof.
    let authorization = basic(DevServer::SERVICE_CLIENT);
    let headers = [FORM, ("Authorization", &*authorization)];
    let bearer =
        send("POST", &server.token_url(), &headers, b"grant_type=client_credentials").unwrap().json();
    assert_eq!(bearer["token_type"], "Bearer");
    let bearer = member(&bearer, "access_token");
    refused("DPoP", bearer, Some(&Proof::at_resource(KEY, &url, bearer).text()), "invalid_token");
    assert_eq!(server.stats().dpop_proofs, 5);
}

#[test]
fn a25_what_is_no_proof_is_refused() {
    let server = DevServer::start().unwrap();
    let url = server.token_url();
    let proof = || Proof::new("POST", &url);
    let mut private = public(KEY);
    private["d"] = json!(KEY[2]);
    let table = [
        ("no JWT", "x".to_owned()),
        ("typ", proof().header("typ", json!("JWT")).text()),
        ("no key", proof().header("jwk", Value::Null).text()),
        ("private key", proof().header("jwk", private).text()),
        ("another's key", proof().header("jwk", public(OTHER_KEY)).text()),
        ("none", proof().header("alg", json!("none")).text()),
        ("symmetric", proof().header("alg", json!("HS256")).text()),
        ("another algorithm", proof().header("alg", json!("ES384")).text()),
        ("method", proof().with("htm", json!("GET")).text()),
        ("no method", proof().without("htm").text()),
        ("URL", proof().with("htu", json!(server.resource_url())).text()),
        ("origin", proof().with("htu", json!("https://as.example/token")).text()),
        ("query", proof().with("htu", json!(format!("{url}?a=b"))).text()),
        ("fragment", proof().with("htu", json!(format!("{url}#a"))).text()),
        ("no URL", proof().without("htu").text()),
        ("no jti", proof().without("jti").text()),
        ("short jti", proof().with("jti", json!("1")).text()),
        ("no iat", proof().without("iat").text()),
        ("text as iat", proof().with("iat", json!("now")).text()),
        ("ath", proof().with("ath", json!("x")).text()),
    ];
    for (what, proof) in &table {
        let reply = service_request(&server, proof);
        assert_eq!(reply.status, 400, "{what}");
        reply.assert_refused(400, "invalid_dpop_proof", "A25: ");
    }
    // The signature covers it all.
    let text = proof().text();
    let (rest, signature) = text.rsplit_once('.').unwrap();
    let (head, claims) = rest.split_once('.').unwrap();
    let claims = String::from_utf8(bytes(claims)).unwrap().replace("\"jti\":\"a", "\"jti\":\"b");
    let tampered = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims));
    service_request(&server, &tampered).assert_refused(400, "invalid_dpop_proof", "A25: ");
    // Twice.
    assert_eq!(service_request(&server, &text).status, 200);
    service_request(&server, &text).assert_refused(
        400,
        "invalid_dpop_proof",
        "A25: this proof was used before",
    );
    // Two at once.
    let authorization = basic(DevServer::SERVICE_CLIENT);
    let (one, two) = (proof().text(), proof().text());
    let headers = [FORM, ("Authorization", &*authorization), ("DPoP", &one), ("DPoP", &two)];
    let reply = send("POST", &url, &headers, b"grant_type=client_credentials").unwrap();
    reply.assert_refused(400, "invalid_dpop_proof", "A25: two");
    assert_eq!(server.stats().dpop_proofs, 1);
}

#[test]
fn a25_a_proof_is_good_for_a_minute() {
    let server = DevServer::start().unwrap();
    let url = server.token_url();
    let now = server.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = |iat: u64| service_request(&server, &Proof::new("POST", &url).with("iat", json!(iat)).text());
    assert_eq!(at(now - 50).status, 200);
    assert_eq!(at(now + 3).status, 200);
    at(now - 70).assert_refused(400, "invalid_dpop_proof", "A25: `iat`");
    at(now + 30).assert_refused(400, "invalid_dpop_proof", "A25: `iat`");
    let early = Proof::new("POST", &url).text();
    server.advance(Duration::from_secs(90));
    service_request(&server, &early).assert_refused(400, "invalid_dpop_proof", "A25: `iat`");
}

#[test]
fn a25_nonces_are_demanded_rotate_and_are_of_one_side() {
    let server = DevServer::builder().dpop_nonces(2).start().unwrap();
    let url = server.token_url();
    let with =
        |nonce: &str| service_request(&server, &Proof::new("POST", &url).with("nonce", json!(nonce)).text());
    let first = service_request(&server, &Proof::new("POST", &url).text());
    first.assert_refused(400, "use_dpop_nonce", "A25: ");
    let nonce = first.header("dpop-nonce").unwrap().to_owned();
    let second = with(&nonce);
    assert_eq!((second.status, second.header("dpop-nonce")), (200, Some(&*nonce)));
    let third = with(&nonce);
    assert_eq!(third.status, 200);
    // Used up; the answer has named the next one.
    let next = third.header("dpop-nonce").unwrap().to_owned();
    assert_ne!(next, nonce);
    with(&nonce).assert_refused(400, "use_dpop_nonce", "A25: ");
    let answer = with(&next).json();
    let token = member(&answer, "access_token");

    let api = server.resource_url();
    let proof = |nonce: &str| Proof::at_resource(KEY, &api, token).with("nonce", json!(nonce)).text();
    let reply = get(&api, "DPoP", token, Some(&proof(&next)));
    assert_eq!((reply.status, reply.error().as_str()), (401, "use_dpop_nonce"));
    assert!(reply.header("www-authenticate").unwrap().contains(r#"error="use_dpop_nonce""#));
    let of_api = reply.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(get(&api, "DPoP", token, Some(&proof(&of_api))).status, 200);
    server.forget_dpop_nonces();
    assert_eq!(get(&api, "DPoP", token, Some(&proof(&of_api))).status, 401);
    assert_eq!(server.stats().dpop_nonces_demanded, 4);
    // Whoever speaks no DPoP hears nothing of it.
    assert_eq!(token_request(&server, None, &[("grant_type", "x")]).header("dpop-nonce"), None);
}

#[test]
fn a25_codes_and_refresh_tokens_of_public_clients_are_bound() {
    let server = DevServer::builder().require_dpop(true).start().unwrap();
    let url = server.token_url();
    let redeem = |key: Option<[&'static str; 3]>| {
        let attempt = Attempt::new();
        let parameters = with(attempt.parameters(), "dpop_jkt", Some(&thumbprint(KEY)));
        let redirected = server.authorize(&authorization_url(&server, &parameters)).unwrap();
        let code = parameter(&redirected, "code").unwrap();
        let proof = key.map(|key| Proof::of(key, "POST", &url).text());
        token_request(
            &server,
            proof.as_deref(),
            &[
                ("grant_type", "authorization_code"),
                ("client_id", DevServer::PUBLIC_CLIENT),
                ("code", &code),
                ("redirect_uri", REDIRECT_URI),
                ("code_verifier", &attempt.verifier),
            ],
        )
    };
    redeem(None).assert_refused(400, "invalid_dpop_proof", "A25: this server gives");
    redeem(Some(OTHER_KEY)).assert_refused(400, "invalid_grant", "A25: the authorization code is bound");
    let token = redeem(Some(KEY)).json();
    let refresh_token = member(&token, "refresh_token");
    let refresh = |key: [&'static str; 3]| {
        token_request(
            &server,
            Some(&Proof::of(key, "POST", &url).text()),
            &[
                ("grant_type", "refresh_token"),
                ("client_id", DevServer::PUBLIC_CLIENT),
                ("refresh_token", refresh_token),
            ],
        )
    };
    refresh(OTHER_KEY).assert_refused(400, "invalid_grant", "A25: the refresh token is bound");
    // Which used nothing up.
    let refreshed = refresh(KEY).json();
    assert_eq!(refreshed["token_type"], "DPoP");
    assert_eq!(server.stats().refresh_reuses_detected, 0);

    let attempt = Attempt::new();
    let odd = with(attempt.parameters(), "dpop_jkt", Some("short"));
    let redirected = server.authorize(&authorization_url(&server, &odd)).unwrap();
    assert_eq!(parameter(&redirected, "error").as_deref(), Some("invalid_request"));
}

#[test]
fn a25_introspection_names_the_key() {
    let server = DevServer::start().unwrap();
    let token = service_request(&server, &Proof::new("POST", &server.token_url()).text()).json();
    let about = crate::http::post_basic(
        &server.introspection_url(),
        DevServer::CONFIDENTIAL_CLIENT,
        &[("token", member(&token, "access_token"))],
    )
    .json();
    assert_eq!((&about["token_type"], &about["cnf"]["jkt"]), (&json!("DPoP"), &json!(thumbprint(KEY))));
    // The library's own header type signs the same way.
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("dpop+jwt".to_owned());
    header.jwk = Some(serde_json::from_value(public(KEY)).unwrap());
    let proof = Proof::new("POST", &server.token_url());
    let text = encode(&header, &proof.claims, &signing(KEY)).unwrap();
    assert_eq!(service_request(&server, &text).status, 200);
}

#[test]
fn a25_a_pushed_request_with_a_proof_binds_the_code_to_its_key() {
    let server = DevServer::start().unwrap();
    let url = server.pushed_authorization_url();
    let push = |proof: Proof, jkt: Option<&str>| {
        let parameters = with(Attempt::new().parameters(), "dpop_jkt", jkt);
        let pairs: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let proof = proof.text();
        send("POST", &url, &[FORM, ("DPoP", &proof)], crate::http::encode(&pairs).as_bytes()).unwrap()
    };
    assert_eq!(push(Proof::new("POST", &url), Some(&thumbprint(KEY))).status, 201);
    assert_eq!(push(Proof::new("POST", &url), None).status, 201);
    let foreign = push(Proof::of(OTHER_KEY, "POST", &url), Some(&thumbprint(KEY)));
    foreign.assert_refused(400, "invalid_dpop_proof", "A25: `dpop_jkt` is not");
    let elsewhere = push(Proof::new("POST", &server.token_url()), None);
    elsewhere.assert_refused(400, "invalid_dpop_proof", "A25: `htu`");
}
