//! Client assertions (A10): what RFC 7523 and its update ask for is taken, and each deviation is refused by name.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_devserver::{Client, DevServer};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::http::{Reply, post};

const TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// The private key of a JWK on P-256 as PKCS#8, which is what jsonwebtoken reads.
pub(crate) fn private_key(jwk: &str) -> EncodingKey {
    let jwk: Value = serde_json::from_str(jwk).unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let mut der = vec![0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8];
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20]);
    der.extend(number("d"));
    der.extend([0xa1, 0x44, 3, 0x42, 0, 4]);
    der.extend(number("x"));
    der.extend(number("y"));
    EncodingKey::from_ec_der(&der)
}

fn claims(server: &DevServer, id: &str, jti: &str) -> Value {
    let now = server.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let jti = format!("{jti:-<22}");
    json!({ "iss": id, "sub": id, "aud": server.issuer(), "jti": jti, "iat": now, "exp": now + 60 })
}

fn present(server: &DevServer, assertion: &str, more: &[(&str, &str)]) -> Reply {
    post(&server.token_url(), &[&[GRANT, TYPE, ("client_assertion", assertion)], more].concat())
}

#[test]
fn a10_an_assertion_by_key_or_by_secret_is_taken_once() {
    let server = DevServer::start().unwrap();
    let (id, jwk) = DevServer::KEY_CLIENT;
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("client-authentication+jwt".to_owned());
    let assertion = encode(&header, &claims(&server, id, "1"), &private_key(jwk)).unwrap();
    assert_eq!(present(&server, &assertion, &[("client_id", id)]).status, 200);
    present(&server, &assertion, &[]).assert_refused(
        401,
        "invalid_client",
        "A10: the client assertion is refused: its jti",
    );

    let (id, secret) = DevServer::SECRET_JWT_CLIENT;
    let key = EncodingKey::from_secret(secret.as_bytes());
    for (algorithm, jti) in [(Algorithm::HS256, "1"), (Algorithm::HS384, "2"), (Algorithm::HS512, "3")] {
        let assertion = encode(&Header::new(algorithm), &claims(&server, id, jti), &key).unwrap();
        assert_eq!(present(&server, &assertion, &[]).status, 200);
    }
}

#[test]
fn a10_each_deviation_is_refused() {
    let server = DevServer::start().unwrap();
    let (id, jwk) = DevServer::KEY_CLIENT;
    let key = private_key(jwk);
    let good = claims(&server, id, "good");
    let now = good["iat"].as_u64().unwrap();
    let token_url = server.token_url();
    let refused = |header: &Header, claims: &Value, why: &str| {
        let reply = present(&server, &encode(header, claims, &key).unwrap(), &[]);
        reply.assert_refused(401, "invalid_client", &format!("A10: the client assertion is refused: {why}"));
    };
    let es256 = Header::new(Algorithm::ES256);
    for (claim, value, why) in [
        ("iss", json!("another"), "iss and sub"),
        ("aud", json!([server.issuer()]), "aud"),
        ("aud", json!(token_url), "aud"),
        ("aud", json!("https://another.example"), "aud"),
        ("exp", json!(now), "it has expired"),
        ("exp", json!(now + 3600), "it lives too long"),
        ("exp", json!(null), "exp"),
        ("iat", json!(now + 60), "nbf or iat"),
        ("nbf", json!(now + 60), "nbf or iat"),
        ("jti", json!("1"), "jti"),
        ("jti", json!(null), "jti"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        refused(&es256, &claims, why);
    }
    let mut header = es256.clone();
    header.typ = Some("dpop+jwt".to_owned());
    refused(&header, &good, "typ");

    // Another's key, another's secret, a public key for a secret, another's identifier.
    let symmetric = |secret: &str, claims: &Value| {
        encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    for assertion in
        [symmetric(jwk, &good), symmetric("wrong", &claims(&server, DevServer::SECRET_JWT_CLIENT.0, "x"))]
    {
        present(&server, &assertion, &[]).assert_refused(401, "invalid_client", "A10");
    }
    let assertion = encode(&es256, &good, &key).unwrap();
    present(&server, &assertion, &[("client_id", "another")]).assert_refused(400, "invalid_request", "A10");
    present(&server, &assertion, &[("client_secret", "x")]).assert_refused(400, "invalid_request", "A2");
    present(&server, "x.y", &[]).assert_refused(401, "invalid_client", "A10");
    let forged = format!("{assertion}A");
    present(&server, &forged, &[]).assert_refused(401, "invalid_client", "A10");
    // None of that used the jti up.
    assert_eq!(present(&server, &assertion, &[]).status, 200);
    assert_eq!(server.stats().tokens_issued, 1);
}

#[test]
fn the_audience_of_old_is_for_clients_that_are_registered_for_it() {
    let (id, secret) = ("old", "a secret of at least thirty-two bytes");
    let client = Client::client_secret_jwt(id, secret).old_assertion_audience();
    let server = DevServer::builder().client(client).start().unwrap();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let mut claims = claims(&server, id, "1");
    let header = Header::new(Algorithm::HS256);
    let assertion = encode(&header, &claims, &key).unwrap();
    present(&server, &assertion, &[]).assert_refused(
        401,
        "invalid_client",
        "A10: the client assertion is refused: aud",
    );
    claims["aud"] = server.token_url().into();
    let assertion = encode(&header, &claims, &key).unwrap();
    assert_eq!(present(&server, &assertion, &[]).status, 200);
    // A long-lived replay does not come through later either.
    server.advance(Duration::from_secs(30));
    present(&server, &assertion, &[]).assert_refused(
        401,
        "invalid_client",
        "A10: the client assertion is refused: its jti",
    );
}
