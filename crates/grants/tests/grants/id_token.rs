//! ID tokens (OpenID Connect Core §2, §3.1.3.7, §12.2): each wrong claim is one row.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jeton_grants::{
    ClientCredentials, Grant, GrantContext, GrantError, IdToken, IdTokenCheck, IdTokenPolicy, JwksCache,
    JwtRejection, LoginOptions, ManualClock, PendingLogin, PublicClient, Recovery, RefreshToken, RejectedJwt,
    SignedAnswer, begin_authorization, finish_authorization,
};
use jeton_jose::{
    Claims, JwkSet, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, half_hash, sign_jwt,
};
use jeton_models::Secret;
use serde_json::{Value, json};

use crate::support::{Scripted, a_moment, as_example, json};

const NOW: u64 = 1_700_000_000;
const ACCESS_TOKEN: &str = "acc3ss";

fn key() -> SigningKey {
    SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k1")
}

fn public(key: &SigningKey) -> JwkSet {
    key.public_jwk().cloned().into_iter().collect()
}

/// An ID token as it should be.
fn claims() -> Claims {
    Claims::new()
        .with("iss", "https://as.example")
        .with("sub", "alice")
        .with("aud", "me")
        .with("exp", NOW + 600)
        .with("iat", NOW)
}

async fn signed(key: &SigningKey, typ: Option<&str>, claims: &Claims) -> String {
    let mut header = JwtHeader::default();
    header.typ = typ;
    sign_jwt(key, header, claims).await.unwrap().expose().to_owned()
}

/// What the check makes of a token answer with that member `id_token`.
struct Trial<'a> {
    policy: IdTokenPolicy,
    keys: JwksCache,
    refresh: bool,
    previous: Option<IdToken>,
    listed: Option<Vec<String>>,
    issuer: Option<&'a str>,
    now: SystemTime,
}

impl Trial<'_> {
    fn with(key: &SigningKey) -> Self {
        Self {
            policy: IdTokenPolicy::new(),
            keys: JwksCache::pinned(public(key)),
            refresh: false,
            previous: None,
            listed: Some(vec!["ES256".to_owned(), "none".to_owned(), "HS256".to_owned()]),
            issuer: Some("https://as.example"),
            now: a_moment(),
        }
    }

    async fn of(&self, id_token: impl Into<Value>) -> Result<Option<IdToken>, GrantError> {
        let answer = json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "refresh_token": "n3w", "id_token": id_token.into()});
        self.of_answer(&answer).await
    }

    async fn of_answer(&self, answer: &Value) -> Result<Option<IdToken>, GrantError> {
        let clock = ManualClock::at(self.now);
        let transport = Scripted::new(&clock, [json(200, &answer.to_string())]);
        let mut server = as_example();
        server.id_token_signing_alg_values_supported = self.listed.clone();
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let check = IdTokenCheck::new(&self.policy);
        cx.server_keys = Some(&self.keys);
        cx.id_tokens = Some(&check);
        cx.issuer = self.issuer;
        match self.refresh {
            true => {
                RefreshToken::new(Secret::from("0ld")).id_token(self.previous.clone()).obtain(&cx).await?
            }
            false => ClientCredentials.obtain(&cx).await?,
        };
        Ok(check.id_token())
    }

    async fn rejection(&self, id_token: impl Into<Value>) -> RejectedJwt {
        match self.of(id_token).await {
            Err(GrantError::RejectedJwt(rejected)) => *rejected,
            other => panic!("{other:?}"),
        }
    }
}

fn is_claim(reason: &JwtRejection, expected: &str) -> bool {
    matches!(reason, JwtRejection::Jwt(JwtError::Claim { name, .. }) if *name == expected)
}

#[tokio::test]
async fn a29_a_right_id_token_says_who_logged_in() {
    let key = key();
    let claims = claims()
        .with("auth_time", NOW - 30)
        .with("acr", "gold")
        .with("amr", json!(["pwd", "otp"]))
        .with("azp", "me")
        .with("at_hash", half_hash(JwsAlgorithm::Es256, ACCESS_TOKEN))
        .with("email", "a@b.example");
    let trial = Trial::with(&key);
    let id_token = trial.of(signed(&key, Some("JWT"), &claims).await).await.unwrap().unwrap();
    assert_eq!((id_token.issuer(), id_token.subject()), ("https://as.example", "alice"));
    assert_eq!((id_token.audiences(), id_token.amr()), (vec!["me"], vec!["pwd", "otp"]));
    assert_eq!((id_token.acr(), id_token.claims().text("email")), (Some("gold"), Some("a@b.example")));
    assert_eq!(id_token.auth_time(), Some(a_moment() - Duration::from_secs(30)));
    assert_eq!(id_token.expires_at(), Some(a_moment() + Duration::from_secs(600)));
    assert_eq!(id_token.issued_at(), Some(a_moment()));
    let shown = format!("{id_token:?}");
    assert!(!shown.contains("alice") && !shown.contains("eyJ"), "{shown}");
    // As it is kept, it is read again without the keys.
    assert_eq!(IdToken::from_kept(id_token.text()), Some(id_token));
    for nothing in ["", "a.b.c", "a", "e30.e30.x"] {
        assert_eq!(IdToken::from_kept(&Secret::from(nothing)), None, "{nothing}");
    }
    // One with a list of audiences, one without `kid`.
    for right in [claims.clone().with("aud", json!(["me"])), claims] {
        assert!(trial.of(signed(&key, None, &right).await).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a29_each_wrong_claim_is_a_reason_to_refuse() {
    let key = key();
    let trial = Trial::with(&key);
    let long = "s".repeat(256);
    let rows: Vec<(&str, Claims, &str)> = vec![
        ("another issuer", claims().with("iss", "https://as.example/"), "iss"),
        ("no issuer", claims().with("iss", Value::Null), "iss"),
        ("several issuers", claims().with("iss", json!(["https://as.example"])), "iss"),
        ("another client", claims().with("aud", "you"), "aud"),
        ("nobody", claims().with("aud", json!([])), "aud"),
        ("an audience that is no text", claims().with("aud", json!(["me", 1])), "aud"),
        ("somebody untrusted besides", claims().with("aud", json!(["me", "you"])).with("azp", "me"), "aud"),
        ("for another party", claims().with("azp", "you"), "azp"),
        ("a party that is no text", claims().with("azp", 1), "azp"),
        ("no subject", claims().with("sub", Value::Null), "sub"),
        ("an empty subject", claims().with("sub", ""), "sub"),
        ("a subject that is a number", claims().with("sub", 7), "sub"),
        ("too long a subject", claims().with("sub", long), "sub"),
        ("no expiry", claims().with("exp", Value::Null), "exp"),
        ("an expiry in words", claims().with("exp", "soon"), "exp"),
        ("no time of issue", without(claims(), "iat"), "iat"),
        ("a time of issue in words", claims().with("iat", "today"), "iat"),
        (
            "of another access token",
            claims().with("at_hash", half_hash(JwsAlgorithm::Es256, "other")),
            "at_hash",
        ),
        (
            "by another hash",
            claims().with("at_hash", half_hash(JwsAlgorithm::Es384, ACCESS_TOKEN)),
            "at_hash",
        ),
        ("a hash that is no text", claims().with("at_hash", 5), "at_hash"),
    ];
    for (row, wrong, name) in rows {
        let rejected = trial.rejection(signed(&key, Some("JWT"), &wrong).await).await;
        assert!(is_claim(&rejected.reason, name), "{row}: {rejected:?}");
        assert_eq!(rejected.what, SignedAnswer::IdToken);
        assert_eq!(GrantError::from(rejected).recovery(), Recovery::LogIn, "{row}");
    }
    // Within the skew of two minutes, and beyond it.
    let at = async |iat: u64, exp: u64| {
        trial.of(signed(&key, None, &claims().with("iat", iat).with("exp", exp)).await).await
    };
    assert!(at(NOW + 120, NOW + 600).await.is_ok() && at(NOW - 600, NOW - 119).await.is_ok());
    for (iat, exp) in [(NOW + 121, NOW + 600), (NOW - 600, NOW - 120)] {
        let error = at(iat, exp).await.unwrap_err();
        assert!(error.to_string().contains("clock"), "{error}");
    }
    // Without the issuer's name nobody can say whose it is.
    let nameless = Trial { issuer: None, ..Trial::with(&key) };
    assert!(is_claim(&nameless.rejection(signed(&key, None, &claims()).await).await.reason, "iss"));
}

fn without(claims: Claims, name: &str) -> Claims {
    let mut map = claims.into_map();
    map.remove(name);
    map.into()
}

#[tokio::test]
async fn a29_a_trusted_audience_beside_the_client_needs_azp() {
    let key = key();
    let policy = IdTokenPolicy::new().trusted_audience("api");
    let trial = Trial { policy, ..Trial::with(&key) };
    let both = claims().with("aud", json!(["me", "api"]));
    assert!(trial.of(signed(&key, None, &both.clone().with("azp", "me")).await).await.is_ok());
    assert!(is_claim(&trial.rejection(signed(&key, None, &both).await).await.reason, "azp"));
    let three = claims().with("aud", json!(["me", "api", "you"])).with("azp", "me");
    assert!(is_claim(&trial.rejection(signed(&key, None, &three).await).await.reason, "aud"));
}

#[tokio::test]
async fn a29_the_algorithm_is_pinned_and_the_signature_counts() {
    let key = key();
    let right = signed(&key, None, &claims()).await;
    let (header, rest) = right.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let of_other_claims = signed(&key, None, &claims().with("sub", "bob")).await;
    let forged = format!("{header}.{}.{signature}", of_other_claims.split('.').nth(1).unwrap());
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    // The public key's text as a shared secret, which the server lists HS256 for.
    let public_text = Secret::new(serde_json::to_string(&public(&key)).unwrap());
    let confused = SigningKey::from_secret(&public_text, JwsAlgorithm::Hs256).unwrap();
    let confused = signed(&confused, None, &claims()).await;
    let stranger = signed(&self::key(), None, &claims()).await;
    let rs384 = "eyJhbGciOiJFUzM4NCJ9.e30.AAAA";
    let trial = Trial::with(&key);
    type Is = fn(&JwtError) -> bool;
    let rows: [(&str, Value, Is); 8] = [
        ("claims of another", forged.into(), |e| matches!(e, JwtError::Signature { .. })),
        ("of another key of that name", stranger.into(), |e| matches!(e, JwtError::Signature { .. })),
        ("not signed", unsigned.into(), |e| matches!(e, JwtError::Unsigned)),
        ("with the public key as secret", confused.into(), |e| matches!(e, JwtError::Algorithm { .. })),
        ("by an algorithm that is not listed", rs384.into(), |e| matches!(e, JwtError::Algorithm { .. })),
        ("encrypted", "a.b.c.d.e".into(), |e| matches!(e, JwtError::Encrypted)),
        ("no JWT", "e30".into(), |e| matches!(e, JwtError::Malformed(_))),
        ("no text", json!({"iss": "x"}), |e| matches!(e, JwtError::Malformed(_))),
    ];
    for (row, id_token, is) in rows {
        let rejected = trial.rejection(id_token).await;
        assert!(matches!(&rejected.reason, JwtRejection::Jwt(error) if is(error)), "{row}: {rejected}");
    }
    // Another kind of token by the same key.
    for typ in ["at+jwt", "logout+jwt", "application/token-introspection+jwt"] {
        let rejected = trial.rejection(signed(&key, Some(typ), &claims()).await).await;
        assert!(matches!(rejected.reason, JwtRejection::Jwt(JwtError::Malformed(_))), "{typ}");
    }
    // Where nothing is listed, RS256 is what a client is registered with; and what is pinned goes before what is listed.
    let unlisted = Trial { listed: None, ..Trial::with(&key) };
    assert!(matches!(
        unlisted.rejection(right.clone()).await.reason,
        JwtRejection::Jwt(JwtError::Algorithm { .. })
    ));
    let pinned = Trial { policy: IdTokenPolicy::new().algorithm(JwsAlgorithm::Ps256), ..Trial::with(&key) };
    assert!(pinned.of(right.clone()).await.is_err());
    let pinned = Trial {
        policy: IdTokenPolicy::new().algorithm(JwsAlgorithm::Es256),
        listed: None,
        ..Trial::with(&key)
    };
    assert!(pinned.of(right).await.is_ok());
}

#[tokio::test]
async fn a29_hmac_only_where_it_was_asked_for_and_with_the_client_secret() {
    let secret = Secret::from("a client secret of thirty-two bytes or so");
    let hmac = SigningKey::from_secret(&secret, JwsAlgorithm::Hs256).unwrap();
    let id_token = signed(&hmac, None, &claims()).await;
    let with = |policy| Trial { policy, ..Trial::with(&key()) };
    let asked = with(IdTokenPolicy::new().signed_with_secret(JwsAlgorithm::Hs256, secret.clone()));
    assert!(asked.of(id_token.clone()).await.is_ok());
    assert!(asked.of(signed(&key(), None, &claims()).await).await.is_err());
    let wrong = with(
        IdTokenPolicy::new().signed_with_secret(JwsAlgorithm::Hs256, "another secret of the same length .."),
    );
    assert!(wrong.of(id_token.clone()).await.is_err());
    assert!(with(IdTokenPolicy::new()).of(id_token.clone()).await.is_err());
    assert!(with(IdTokenPolicy::new().algorithm(JwsAlgorithm::Hs256)).of(id_token).await.is_err());
    assert!(!format!("{:?}", asked.policy).contains("thirty-two"));
}

#[tokio::test]
async fn a29_an_answer_without_an_id_token_is_refused_at_login_and_taken_at_a_refresh() {
    let key = key();
    let login = Trial::with(&key);
    for answer in [
        json!({"access_token": "t", "token_type": "Bearer", "refresh_token": "n3w"}),
        json!({"access_token": "t", "token_type": "Bearer", "refresh_token": "n3w", "id_token": null}),
    ] {
        let error = login.of_answer(&answer).await.unwrap_err();
        let GrantError::RejectedJwt(rejected) = &error else { panic!("{error:?}") };
        assert_eq!(rejected.reason, JwtRejection::Absent);
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        let refresh = Trial { refresh: true, ..Trial::with(&key) };
        assert_eq!(refresh.of_answer(&answer).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a29_a_refreshed_id_token_is_of_the_same_login_and_a_wrong_one_leaves_the_refresh_token() {
    let key = key();
    let first = claims().with("auth_time", NOW - 500).with("nonce", "n");
    let previous = IdToken::from_kept(&Secret::new(signed(&key, None, &first).await)).unwrap();
    let refresh = || Trial { refresh: true, previous: Some(previous.clone()), ..Trial::with(&key) };
    for right in [claims(), first.clone(), first.clone().with("exp", NOW + 900)] {
        assert!(refresh().of(signed(&key, None, &right).await).await.unwrap().is_some());
    }
    let trusting = Trial {
        issuer: Some("https://other.example"),
        policy: IdTokenPolicy::new().trusted_audience("api"),
        ..refresh()
    };
    let other = first.clone().with("iss", "https://other.example");
    assert!(is_claim(&trusting.rejection(signed(&key, None, &other).await).await.reason, "iss"));
    let rows = [
        (first.clone().with("sub", "bob"), "sub"),
        (first.clone().with("auth_time", NOW - 400), "auth_time"),
        (first.clone().with("nonce", "m"), "nonce"),
        (first.clone().with("aud", "you"), "aud"),
        (first.clone().with("exp", NOW - 3_600), ""),
    ];
    for (wrong, name) in rows {
        let rejected = refresh().rejection(signed(&key, None, &wrong).await).await;
        assert!(name.is_empty() || is_claim(&rejected.reason, name), "{rejected:?}");
        // The server has rotated.
        assert_eq!(rejected.refresh_token, Some(Secret::from("n3w")));
        let shown = format!("{rejected} {rejected:?}");
        assert!(!shown.contains("n3w") && !shown.contains("bob"), "{shown}");
    }
    // Two audiences before, one now.
    let two = first.clone().with("aud", json!(["me", "api"])).with("azp", "me");
    let previous = IdToken::from_kept(&Secret::new(signed(&key, None, &two).await)).unwrap();
    let narrowed = Trial { previous: Some(previous), ..refresh() };
    assert!(is_claim(&narrowed.rejection(signed(&key, None, &first).await).await.reason, "aud"));
}

#[tokio::test]
async fn a29_where_the_keys_cannot_be_had_a_login_fails_and_a_refresh_does_not() {
    let key = key();
    let id_token = signed(&key, None, &claims()).await;
    // The server names no `jwks_uri`.
    let login = Trial { keys: JwksCache::new(), ..Trial::with(&key) };
    let error = login.of(id_token.clone()).await.unwrap_err();
    let GrantError::RejectedJwt(rejected) = &error else { panic!("{error:?}") };
    assert!(matches!(&rejected.reason, JwtRejection::Keys(_)), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    let refresh = Trial { refresh: true, keys: JwksCache::new(), ..Trial::with(&key) };
    assert_eq!(refresh.of(id_token).await.unwrap(), None);
}

#[tokio::test]
async fn without_a_check_an_id_token_is_one_more_member() {
    let clock = ManualClock::at(a_moment());
    let answer = r#"{"access_token":"t","token_type":"Bearer","id_token":"n0nsense"}"#;
    let transport = Scripted::new(&clock, [json(200, answer)]);
    let server = as_example();
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let response = ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(response.extra.get_str("id_token"), Some("n0nsense"));
}

/// A login by authorization code whose ID token is made when the nonce is known.
async fn logged_in(
    options: LoginOptions,
    make: impl AsyncFnOnce(Claims, &SigningKey) -> String,
) -> Result<IdToken, RejectedJwt> {
    let key = key();
    let clock = ManualClock::at(a_moment());
    let mut server = as_example();
    server.id_token_signing_alg_values_supported = Some(vec!["ES256".to_owned()]);
    let keys = JwksCache::pinned(public(&key));
    let policy = IdTokenPolicy::new();
    let check = IdTokenCheck::new(&policy);
    let scope = "openid read".parse().unwrap();
    let nowhere = Scripted::new(&clock, []);
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &nowhere, &clock);
    cx.scope = Some(&scope);
    cx.login = &options;
    cx.id_tokens = Some(&check);
    cx.server_keys = Some(&keys);
    let (url, pending) =
        begin_authorization(&cx, "https://app.example/cb", Duration::from_secs(60)).await.unwrap();
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let nonce = &query["nonce"];
    assert!(nonce.len() >= 43 && *nonce != query["state"], "{nonce}");
    // Between the two halves it is kept.
    let kept = serde_json::to_string(&pending).unwrap();
    let pending: PendingLogin = serde_json::from_str(&kept).unwrap();
    assert!(!format!("{pending:?}").contains(nonce));

    let id_token = make(claims().with("nonce", nonce.as_str()), &key).await;
    let answer = json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": id_token});
    let transport = Scripted::new(&clock, [json(200, &answer.to_string())]);
    cx.transport = &transport;
    let redirected = format!("https://app.example/cb?code=c0de&state={}", query["state"]);
    match finish_authorization(&cx, pending, &redirected.parse().unwrap()).await {
        Ok(_) => Ok(check.id_token().unwrap()),
        Err(GrantError::RejectedJwt(rejected)) => {
            assert_eq!(check.id_token(), None);
            Err(*rejected)
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a29_the_nonce_ties_the_id_token_to_the_login() {
    let right = logged_in(LoginOptions::new(), async |claims, key| signed(key, None, &claims).await).await;
    assert_eq!(right.unwrap().subject(), "alice");
    type Make = fn(Claims) -> Claims;
    let rows: [(&str, Make, &str); 6] = [
        ("another login's", |claims| claims.with("nonce", "x".repeat(43)), "nonce"),
        ("none", |claims| without(claims, "nonce"), "nonce"),
        ("no text", |claims| claims.with("nonce", 5), "nonce"),
        ("empty", |claims| claims.with("nonce", ""), "nonce"),
        (
            "of another code",
            |claims| claims.with("c_hash", half_hash(JwsAlgorithm::Es256, "other")),
            "c_hash",
        ),
        ("a hash that is no text", |claims| claims.with("c_hash", Value::Null), "c_hash"),
    ];
    for (row, wrong, name) in rows {
        let rejected =
            logged_in(LoginOptions::new(), async |claims, key| signed(key, None, &wrong(claims)).await).await;
        assert!(is_claim(&rejected.clone().unwrap_err().reason, name), "{row}: {rejected:?}");
    }
    let of_the_code = logged_in(LoginOptions::new(), async |claims, key| {
        signed(key, None, &claims.with("c_hash", half_hash(JwsAlgorithm::Es256, "c0de"))).await
    });
    assert!(of_the_code.await.is_ok());
}

#[tokio::test]
async fn a29_what_was_asked_for_at_the_login_must_stand_in_the_id_token() {
    let fresh = || LoginOptions::new().max_age(Duration::from_secs(60));
    let strong = || LoginOptions::new().acr_values(["gold", "silver"]);
    type Make = fn(Claims) -> Claims;
    let rows: [(&str, LoginOptions, Make, Option<&str>); 10] = [
        ("fresh", fresh(), |claims| claims.with("auth_time", NOW - 60), None),
        ("within the skew", fresh(), |claims| claims.with("auth_time", NOW - 180), None),
        ("too old", fresh(), |claims| claims.with("auth_time", NOW - 181), Some("auth_time")),
        ("without time", fresh(), |claims| claims, Some("auth_time")),
        ("a time in words", fresh(), |claims| claims.with("auth_time", "now"), Some("auth_time")),
        ("strong", strong(), |claims| claims.with("acr", "silver"), None),
        ("too weak", strong(), |claims| claims.with("acr", "bronze"), Some("acr")),
        ("two in one", strong(), |claims| claims.with("acr", "gold silver"), Some("acr")),
        ("not said", strong(), |claims| claims, Some("acr")),
        ("not asked for", LoginOptions::new(), |claims| claims.with("acr", "bronze"), None),
    ];
    for (row, options, change, expected) in rows {
        let result = logged_in(options, async |claims, key| signed(key, None, &change(claims)).await).await;
        match (expected, &result) {
            (None, Ok(_)) => {}
            (Some(name), Err(rejected)) if is_claim(&rejected.reason, name) => {}
            _ => panic!("{row}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn no_nonce_where_no_id_token_is_asked_for_or_checked_and_an_older_pending_login_is_read() {
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    let policy = IdTokenPolicy::new();
    let check = IdTokenCheck::new(&policy);
    let (openid, read) = ("openid".parse().unwrap(), "read".parse().unwrap());
    let transport = Scripted::new(&clock, []);
    for (scope, id_tokens) in [(Some(&read), Some(&check)), (None, Some(&check)), (Some(&openid), None)] {
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        (cx.scope, cx.id_tokens) = (scope, id_tokens);
        let (url, pending) =
            begin_authorization(&cx, "https://app.example/cb", Duration::from_secs(60)).await.unwrap();
        assert!(url.query_pairs().all(|(name, _)| name != "nonce"), "{scope:?}");
        let kept = serde_json::to_value(&pending).unwrap();
        assert!(kept.get("nonce").is_none() && kept.get("acr_values").is_none());
        serde_json::from_value::<PendingLogin>(kept).unwrap();
    }
}
