//! A21: authorization requests as signed JWTs (RFC 9101), by value and pushed, at a server that refuses each deviation.

use std::collections::HashSet;
use std::time::Duration;

use jeton_devserver::{Client, DevServer, Endpoint};
use jeton_grants::{
    AuthorizationPolicy, AuthorizationRequestError, ClientAuthentication, ClientSecretBasic, GrantContext,
    GrantError, LoginOptions, ManualClock, PrivateKeyJwt, PublicClient, PushedRequests, Recovery,
    RequestObject, async_trait, begin_authorization, finish_authorization,
};
use jeton_jose::{JwkSet, JwsAlgorithm, SignError, Signer, SigningKey, UnverifiedJwt, VerifiedJwt};
use jeton_models::{AuthorizationDetail, Secret};
use serde_json::json;
use url::Url;

use crate::support::{FakeListener, PlainHttp, Scripted, a_moment, as_example, clocked, metadata};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn key() -> SigningKey {
    SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).unwrap()
}

fn signing(key: impl Signer + 'static, pushed: PushedRequests) -> AuthorizationPolicy {
    let mut policy = AuthorizationPolicy::new();
    (policy.request_object, policy.pushed) = (Some(RequestObject::new(key)), pushed);
    policy
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

fn opened(jwt: &str, key: &SigningKey) -> VerifiedJwt {
    let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
    UnverifiedJwt::parse(jwt).unwrap().verify(&keys, &[key.algorithm()]).unwrap()
}

#[tokio::test]
async fn a21_a_signed_request_says_all_inside_and_only_the_client_outside() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(
        DevServer::builder().require_signed_request_object(true).authorization_detail_types(["payment"]),
        &clock,
    );
    let server = metadata(&devserver).await;
    let (client_id, authentication) = (DevServer::KEY_CLIENT.0, PrivateKeyJwt::new(key()));
    let authorization = signing(key(), PushedRequests::Never);
    let resources = [devserver.resource_identifier(), devserver.second_resource_identifier()];
    let options = LoginOptions::new()
        .max_age(Duration::from_secs(60))
        .authorization_details([AuthorizationDetail::new("payment").actions(["send"])]);
    let mut cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    (cx.authorization, cx.resources, cx.login) = (&authorization, &resources, &options);
    let mut seen = HashSet::new();
    for _ in 0..2 {
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["client_id", "request"]);
        let jwt = opened(&value(&url, "request").unwrap(), &key());
        assert!(jwt.header().has_type("oauth-authz-req+jwt"));
        let claims = jwt.claims();
        assert_eq!(claims.issuer(), Some(client_id));
        assert_eq!(claims.get("aud"), Some(&json!(devserver.issuer())));
        assert_eq!(claims.text("client_id"), value(&url, "client_id").as_deref());
        assert_eq!(claims.subject(), None);
        let now = a_moment().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((claims.issued_at(), claims.not_before()), (Some(now), Some(now)));
        assert_eq!(claims.expires_at(), Some(now + 300));
        assert_eq!(claims.text("state"), Some(pending.state().expose()));
        assert_eq!(claims.text("response_type"), Some("code"));
        assert_eq!(claims.text("code_challenge_method"), Some("S256"));
        // What is no text is what it is (RFC 9101 §4).
        assert_eq!(claims.get("resource"), Some(&json!(resources)));
        assert_eq!(claims.get("max_age"), Some(&json!(60)));
        assert_eq!(
            claims.get("authorization_details"),
            Some(&json!([{ "type": "payment", "actions": ["send"] }]))
        );
        assert!(seen.insert(claims.jwt_id().unwrap().to_owned()), "a fresh jti each time");

        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        finish_authorization(&cx, pending, &redirected).await.unwrap();
    }
}

#[tokio::test]
async fn a21_a_request_object_is_pushed_with_nothing_beside_it_but_authentication() {
    let clock = ManualClock::at(a_moment());
    let jwks = JwkSet::from_iter(key().public_jwk().cloned());
    let jwks = serde_json::to_string(&jwks).unwrap();
    let public = Client::public("signing-app").keys(&jwks).redirect_uri("http://127.0.0.1/callback");
    let basic = Client::basic("basic-app", "s").keys(&jwks).redirect_uri("http://127.0.0.1/callback");
    let builder = DevServer::builder()
        .client(public)
        .client(basic)
        .require_par(true)
        .require_signed_request_object(true);
    let devserver = clocked(builder, &clock);
    let server = metadata(&devserver).await;
    let authorization = signing(key(), PushedRequests::WhenRequired);
    let authentication = PrivateKeyJwt::new(key());
    let secret = ClientSecretBasic::new("s");
    let clients: [(&str, &dyn ClientAuthentication, &[&str]); 3] = [
        (
            DevServer::KEY_CLIENT.0,
            &authentication,
            &["client_assertion", "client_assertion_type", "client_id", "request"],
        ),
        ("signing-app", &PublicClient, &["client_id", "request"]),
        // The header says who it is (RFC 9126 §3).
        ("basic-app", &secret, &["request"]),
    ];
    for (client_id, authentication, expected) in clients {
        let mut cx = GrantContext::new(&server, client_id, authentication, &PlainHttp, &clock);
        cx.authorization = &authorization;
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        assert_eq!((value(&url, "request"), value(&url, "state")), (None, None));
        let pushed = devserver.last_request(Endpoint::PushedAuthorization).unwrap();
        let names: HashSet<_> = pushed.form.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.is_subset(&expected.iter().copied().collect()), "{names:?}");
        assert_eq!(names.len(), pushed.form.len());
        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        finish_authorization(&cx, pending, &redirected).await.unwrap();
    }
}

async fn refused(cx: &GrantContext<'_>) -> AuthorizationRequestError {
    match begin_authorization(cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap_err() {
        GrantError::AuthorizationRequest(error) => {
            let recovery = GrantError::from(error.clone()).recovery();
            assert!(matches!(recovery, Recovery::FixConfiguration | Recovery::FixRequest), "{recovery:?}");
            error
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a21_what_the_server_does_not_take_is_told_before_anything_is_sent() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let authorization =
        signing(SigningKey::generate(JwsAlgorithm::Es256).unwrap(), PushedRequests::WhenRequired);
    let mut server = as_example();

    server.request_object_signing_alg_values_supported =
        Some(vec!["RS256".into(), "none".into(), "odd".into()]);
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    cx.authorization = &authorization;
    let error = refused(&cx).await;
    assert!(
        matches!(error, AuthorizationRequestError::RequestObjectAlgorithm { algorithm: "ES256", .. }),
        "{error:?}"
    );

    let mut server = as_example();
    server.request_parameter_supported = Some(false);
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    cx.authorization = &authorization;
    assert!(matches!(refused(&cx).await, AuthorizationRequestError::NoRequestObjects { .. }));

    let mut server = as_example();
    server.require_signed_request_object = Some(true);
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    assert!(matches!(refused(&cx).await, AuthorizationRequestError::SignatureRequired { .. }));
    cx.authorization = &authorization;
    begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();

    // Nobody knows for whom it would be.
    cx.issuer = None;
    assert!(matches!(refused(&cx).await, AuthorizationRequestError::RequestObjectAudience));
    assert_eq!(transport.requests().len(), 0);
}

/// No parameter takes the place of a claim of the JWT itself.
#[tokio::test]
async fn a21_reserved_claims_are_no_parameters() {
    let (server, clock) = (as_example(), ManualClock::at(a_moment()));
    let transport = Scripted::new(&clock, []);
    let authorization = signing(key(), PushedRequests::Never);
    for name in ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "request", "request_uri"] {
        let mut extra = jeton_grants::ExtraParameters::default();
        extra.authorization.append(name, "x").unwrap();
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        (cx.authorization, cx.extra) = (&authorization, &extra);
        let error = refused(&cx).await;
        assert_eq!(error, AuthorizationRequestError::RequestObjectParameter { name: name.into() });
    }
}

/// A key that is not to be had just now.
struct Locked;

#[async_trait]
impl Signer for Locked {
    fn algorithm(&self) -> JwsAlgorithm {
        JwsAlgorithm::Ps256
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::other("the token is not plugged in"))
    }
}

#[tokio::test]
async fn a21_a_key_that_cannot_sign_is_told_and_shown_by_its_name_only() {
    let (server, clock) = (as_example(), ManualClock::at(a_moment()));
    let transport = Scripted::new(&clock, []);
    let authorization = signing(Locked, PushedRequests::Never);
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    cx.authorization = &authorization;
    assert!(refused(&cx).await.to_string().contains("not plugged in"));
    let shown = format!("{:?}", RequestObject::new(key().with_key_id("k-1")));
    assert!(shown.contains("k-1") && !shown.contains("jpsQ"), "{shown}");
}
