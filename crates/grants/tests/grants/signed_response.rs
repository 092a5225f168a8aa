//! A30: authorization responses that the server signs (JARM). Nothing of one that is not right is used or shown.

use std::time::{Duration, UNIX_EPOCH};

use jeton_devserver::DevServer;
use jeton_grants::{
    AuthorizationPolicy, AuthorizationRequestError, GrantContext, GrantError, JwksCache, JwtRejection,
    ManualClock, PendingLogin, PublicClient, Recovery, begin_authorization, finish_authorization,
};
use jeton_jose::{Claims, JwkSet, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::{AuthorizationResponseError, Secret};
use serde_json::{Value, json};
use url::Url;

use crate::support::{FakeListener, PlainHttp, Scripted, a_moment, as_example, clocked, metadata, token};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn signed_response() -> AuthorizationPolicy {
    let mut policy = AuthorizationPolicy::new();
    policy.signed_response = true;
    policy
}

#[tokio::test]
async fn a30_a_signed_answer_is_checked_and_its_code_redeemed() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let clock = ManualClock::at(a_moment());
        let devserver = clocked(DevServer::builder().response_algorithm(algorithm), &clock);
        let server = metadata(&devserver).await;
        let (authorization, keys) = (signed_response(), JwksCache::new());
        let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
        (cx.authorization, cx.server_keys) = (&authorization, Some(&keys));
        // The second time with keys that were changed meanwhile: they are asked for once more.
        for _ in 0..2 {
            let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
            assert!(url.query().unwrap().contains("response_mode=jwt"));
            let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
            assert_eq!(redirected.query_pairs().count(), 1);
            assert!(pending.matches(&redirected), "a listener must see whose it is");
            let kept: PendingLogin = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
            finish_authorization(&cx, kept, &redirected).await.unwrap();
            devserver.rotate_signing_keys();
            // Keys are not asked for at each request of an attacker's; the time of that passes.
            clock.advance(Duration::from_secs(3600));
        }
        // A refusal is signed, too.
        devserver.deny_next_authorization();
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        let error = finish_authorization(&cx, pending, &redirected).await.unwrap_err();
        assert_eq!(error.error_response().unwrap().error, "access_denied");
    }
}

/// What a server signs, before somebody changes it.
struct Answer {
    key: SigningKey,
    claims: Claims,
}

impl Answer {
    fn to(pending: &PendingLogin, key: &SigningKey) -> Self {
        let now = a_moment().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = Claims::new()
            .with("iss", "https://as.example")
            .with("aud", "app")
            .with("exp", now + 60)
            .with("code", "c0de-in-the-jwt")
            .with("state", pending.state().expose());
        Self { key: key.clone(), claims }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name, value);
        self
    }

    fn without(self, name: &str) -> Self {
        let claims: Vec<_> = self
            .claims
            .iter()
            .filter(|(own, _)| *own != name)
            .map(|(n, v)| (n.to_owned(), v.clone()))
            .collect();
        Self { claims: claims.into_iter().fold(Claims::new(), |all, (n, v)| all.with(n, v)), ..self }
    }

    async fn jwt(&self) -> Secret {
        sign_jwt(&self.key, JwtHeader::default(), &self.claims).await.unwrap()
    }

    async fn url(&self) -> Url {
        Url::parse(&format!("{REDIRECT_URI}?response={}", self.jwt().await.expose())).unwrap()
    }
}

/// Begins a login at a server with that key, and hands the test what it needs to answer.
macro_rules! login {
    ($cx:ident, $pending:ident, $key:ident, $transport:ident) => {
        let clock = ManualClock::at(a_moment());
        let $key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k");
        let mut server = as_example();
        server.jwks_uri = Some("https://as.example/jwks".into());
        server.authorization_signing_alg_values_supported =
            Some(vec!["ES256".into(), "none".into(), "HS256".into()]);
        let keys = JwksCache::pinned(JwkSet::from_iter($key.public_jwk().cloned()));
        let $transport = Scripted::new(&clock, [token()]);
        let authorization = signed_response();
        let mut $cx = GrantContext::new(&server, "app", &PublicClient, &$transport, &clock);
        ($cx.authorization, $cx.server_keys) = (&authorization, Some(&keys));
        let (_, $pending) = begin_authorization(&$cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    };
}

#[tokio::test]
async fn a30_only_what_stands_in_the_jwt_is_read() {
    login!(cx, pending, key, transport);
    let answer = Answer::to(&pending, &key);
    let mut url = answer.url().await;
    url.query_pairs_mut()
        .append_pair("code", "another")
        .append_pair("error", "access_denied")
        .append_pair("state", "another")
        .append_pair("iss", "https://evil.example");
    assert!(pending.matches(&url), "whoever takes care that it works once must see whose it is");
    let foreign = answer.with("state", "another".into()).url().await;
    assert!(!pending.matches(&foreign));
    finish_authorization(&cx, pending, &url).await.unwrap();
    assert!(transport.bodies()[0].contains("code=c0de-in-the-jwt"), "{:?}", transport.bodies());
}

fn rejection(error: &GrantError) -> &JwtRejection {
    match error {
        GrantError::RejectedJwt(rejected) => &rejected.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a30_each_wrong_claim_is_refused_and_nothing_is_sent() {
    let now = a_moment().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (name, value) in [
        ("aud", json!("another")),
        ("aud", json!(["another", "apps"])),
        ("aud", json!(null)),
        ("exp", json!(now - 61)),
        ("exp", json!("never")),
        ("exp", json!(null)),
        ("iat", json!(now + 3600)),
        ("nbf", json!(now + 3600)),
    ] {
        login!(cx, pending, key, transport);
        let url = Answer::to(&pending, &key).with(name, value.clone()).url().await;
        let error = finish_authorization(&cx, pending, &url).await.unwrap_err();
        assert!(matches!(rejection(&error), JwtRejection::Jwt(_)), "{name} {value}: {error:?}");
        assert_eq!(error.recovery(), Recovery::LogIn, "{name} {value}");
        assert_eq!(transport.requests().len(), 0, "{name} {value}");
    }
    for (name, value) in [
        ("iss", Some(json!("https://evil.example"))),
        ("iss", Some(json!("https://as.example/"))),
        ("iss", None),
        ("state", Some(json!("another"))),
        ("state", None),
        ("code", None),
        ("code", Some(json!(7))),
    ] {
        login!(cx, pending, key, transport);
        let answer = Answer::to(&pending, &key).with("error_description", json!("EVIL words"));
        let answer = match value.clone() {
            Some(value) => answer.with(name, value),
            None => answer.without(name),
        };
        let error = finish_authorization(&cx, pending, &answer.url().await).await.unwrap_err();
        let expected = match (name, &value) {
            ("iss", Some(_)) => {
                AuthorizationResponseError::IssuerMismatch { expected: "https://as.example".into() }
            }
            ("iss", None) => {
                AuthorizationResponseError::IssuerAbsent { expected: "https://as.example".into() }
            }
            ("state", Some(_)) => AuthorizationResponseError::StateMismatch,
            ("state", None) => AuthorizationResponseError::StateAbsent,
            _ => AuthorizationResponseError::CodeAbsent,
        };
        let GrantError::AuthorizationResponse(found) = &error else { panic!("{name} {value:?}: {error:?}") };
        assert_eq!(*found, expected, "{name} {value:?}");
        assert!(!error.to_string().contains("EVIL"));
        assert_eq!(transport.requests().len(), 0);
    }
}

#[tokio::test]
async fn a30_a_signature_that_is_not_the_servers_is_refused() {
    use base64::Engine as _;
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    login!(cx, pending, key, transport);
    let good = Answer::to(&pending, &key);
    let claims = serde_json::to_value(&good.claims).unwrap();
    let signature = good.jwt().await.expose().rsplit('.').next().unwrap().to_owned();
    let another = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k");
    // The public key as a shared secret, the oldest trick of all.
    let public = serde_json::to_string(key.public_jwk().unwrap()).unwrap();
    let symmetric = SigningKey::from_secret(&Secret::new(public), JwsAlgorithm::Hs256).unwrap();
    let forged = [
        format!("{}.{}.", part(json!({"alg": "none"})), part(claims.clone())),
        format!("{}.{}.{signature}", part(json!({"alg": "none"})), part(claims.clone())),
        format!("{}.{}.{signature}", part(json!({"alg": "ES256", "kid": "k"})), part(json!({"code": "x"}))),
        Answer { key: another, claims: good.claims.clone() }.jwt().await.expose().to_owned(),
        Answer { key: symmetric, claims: good.claims.clone() }.jwt().await.expose().to_owned(),
        "not.a.jwt".to_owned(),
        String::new(),
        "x".repeat(100_000),
    ];
    let kept = serde_json::to_string(&pending).unwrap();
    for jwt in forged {
        let pending: PendingLogin = serde_json::from_str(&kept).unwrap();
        let mut url = Url::parse(REDIRECT_URI).unwrap();
        url.query_pairs_mut().append_pair("response", &jwt);
        let error = finish_authorization(&cx, pending, &url).await.unwrap_err();
        assert!(matches!(rejection(&error), JwtRejection::Jwt(_)), "{jwt}: {error:?}");
        assert!(!error.to_string().contains("c0de"), "{error}");
    }
    assert_eq!(transport.requests().len(), 0);
    // An algorithm that is right as such, but not one that the server lists.
    let eddsa = SigningKey::generate(JwsAlgorithm::Ed25519).unwrap().with_key_id("k");
    let url = Answer { key: eddsa, claims: good.claims.clone() }.url().await;
    let error = finish_authorization(&cx, serde_json::from_str(&kept).unwrap(), &url).await.unwrap_err();
    assert!(matches!(rejection(&error), JwtRejection::Jwt(JwtError::Algorithm { .. })), "{error:?}");
    // And the good one is good.
    finish_authorization(&cx, pending, &good.url().await).await.unwrap();
}

#[tokio::test]
async fn a30_a_plain_answer_and_one_that_comes_twice_are_refused() {
    login!(cx, pending, key, transport);
    let kept = serde_json::to_string(&pending).unwrap();
    let again = || serde_json::from_str::<PendingLogin>(&kept).unwrap();
    let state = pending.state().expose().to_owned();
    for plain in ["code=c", "error=access_denied&error_description=EVIL"] {
        let url = format!("{REDIRECT_URI}?{plain}&state={state}&iss=https%3A%2F%2Fas.example");
        let error = finish_authorization(&cx, again(), &url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(rejection(&error), JwtRejection::NotSigned), "{error:?}");
        assert!(!error.to_string().contains("EVIL"));
    }
    let good = Answer::to(&pending, &key);
    let mut twice = good.url().await;
    twice.query_pairs_mut().append_pair("response", good.jwt().await.expose());
    let error = finish_authorization(&cx, again(), &twice).await.unwrap_err();
    assert!(
        matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::Repeated)),
        "{error:?}"
    );
    assert_eq!(transport.requests().len(), 0);
    // Whoever does not ask for a JWT does not take one either.
    let plainly = AuthorizationPolicy::new();
    cx.authorization = &plainly;
    let (_, plain) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    let url = Answer::to(&plain, &key).url().await;
    let error = finish_authorization(&cx, plain, &url).await.unwrap_err();
    assert!(
        matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::StateAbsent)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a30_an_error_in_the_jwt_is_told_without_the_state() {
    login!(cx, pending, key, transport);
    let state = pending.state().expose().to_owned();
    let answer = Answer::to(&pending, &key)
        .without("code")
        .with("error", json!("access_denied"))
        .with("error_description", json!(format!("no, {state}")));
    let error = finish_authorization(&cx, pending, &answer.url().await).await.unwrap_err();
    assert_eq!(error.error_response().unwrap().error, "access_denied");
    assert!(!format!("{error} {error:?}").contains(&state));
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn a30_a_server_that_signs_no_answers_is_not_asked_to() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let authorization = signed_response();
    for (modes, expected) in [
        (None, Some("jwt")),
        (Some(vec!["query", "jwt"]), Some("jwt")),
        (Some(vec!["query", "query.jwt"]), Some("query.jwt")),
        (Some(vec!["query", "fragment.jwt"]), None),
        (Some(vec![]), None),
    ] {
        let mut server = as_example();
        server.response_modes_supported = modes.map(|modes| modes.into_iter().map(str::to_owned).collect());
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        cx.authorization = &authorization;
        let begun = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await;
        match (begun, expected) {
            (Ok((url, pending)), Some(mode)) => {
                assert!(url.query_pairs().any(|(name, value)| name == "response_mode" && value == mode));
                assert!(cx.clock.now() < pending.expires_at());
            }
            (
                Err(GrantError::AuthorizationRequest(AuthorizationRequestError::NoSignedResponse { .. })),
                None,
            ) => {}
            (begun, expected) => panic!("{expected:?}: {begun:?}"),
        }
    }
}
