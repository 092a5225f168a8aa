//! A10: client assertions (RFC 7521, RFC 7523 and its update), at a server that refuses each deviation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jeton_devserver::{Client, DevServer, Endpoint};
use jeton_grants::{
    AuthenticationContext, ClientAssertionError, ClientAuthentication, ClientCredentials, ClientSecretJwt,
    Clock, Dpop, EndpointRequest, Grant, GrantContext, GrantError, Limits, ManualClock, PrivateKeyJwt,
    Recovery, RefreshToken, Transport, TransportError, async_trait, bytes::Bytes, http, introspect, revoke,
};
use jeton_jose::{
    Claims, JwkSet, JwsAlgorithm, KeyError, SignError, Signer, SigningKey, UnverifiedJwt, VerifiedJwt,
};
use jeton_models::Secret;

use crate::support::{PlainHttp, Scripted, a_moment, as_example, clocked, metadata, token};

const RSA: &str = include_str!("../../../devserver/keys/rs256-1.pem");

fn key() -> SigningKey {
    SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).unwrap()
}

fn keys(key: &SigningKey) -> JwkSet {
    key.public_jwk().cloned().into_iter().collect()
}

/// A server that lives by the test's clock.
fn server_by(clock: &ManualClock, clients: impl IntoIterator<Item = Client>) -> DevServer {
    clocked(clients.into_iter().fold(DevServer::builder(), jeton_devserver::Builder::client), clock)
}

/// The assertion of the last request to the token endpoint.
fn last_assertion(devserver: &DevServer) -> Secret {
    let request = devserver.last_request(Endpoint::Token).unwrap();
    assert_eq!(
        request.form_value("client_assertion_type"),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!((request.header("authorization"), request.form_value("client_secret")), (None, None));
    Secret::from(request.form_value("client_assertion").unwrap())
}

fn verified(assertion: &Secret, key: &SigningKey) -> VerifiedJwt {
    UnverifiedJwt::parse(assertion.expose()).unwrap().verify(&keys(key), &[key.algorithm()]).unwrap()
}

#[tokio::test]
async fn a10_each_request_has_an_assertion_of_its_own_for_this_server_alone() {
    let clock = ManualClock::at(a_moment());
    let devserver = server_by(&clock, []);
    let server = metadata(&devserver).await;
    let authentication = PrivateKeyJwt::new(key());
    let client_id = DevServer::KEY_CLIENT.0;
    let cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);

    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        ClientCredentials.obtain(&cx).await.unwrap();
        let jwt = verified(&last_assertion(&devserver), &key());
        let claims = jwt.claims();
        assert_eq!(jwt.header().typ.as_deref(), Some("client-authentication+jwt"));
        assert_eq!((claims.issuer(), claims.subject()), (Some(client_id), Some(client_id)));
        // A string, not an array of one.
        assert_eq!(claims.text("aud"), Some(devserver.issuer()));
        let now = a_moment().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((claims.issued_at(), claims.expires_at()), (Some(now), Some(now + 60)));
        let jti = claims.jwt_id().unwrap().to_owned();
        assert!(jti.len() >= 22 && seen.insert(jti), "128 random bits, new each time");
    }
}

#[tokio::test]
async fn a10_every_algorithm_is_taken_by_its_registered_key() {
    use JwsAlgorithm as A;
    let clock = ManualClock::at(a_moment());
    for algorithm in [A::Rs256, A::Rs512, A::Ps256, A::Ps384, A::Es256, A::Es384, A::EdDsa] {
        let key = match algorithm {
            A::Rs256 | A::Rs512 | A::Ps256 | A::Ps384 => SigningKey::from_pem(RSA, algorithm),
            _ => SigningKey::generate(algorithm),
        };
        let key = key.unwrap().with_key_id("k1");
        let registered = serde_json::to_string(&keys(&key)).unwrap();
        let devserver = server_by(&clock, [Client::private_key_jwt("signs", registered)]);
        let server = metadata(&devserver).await;
        let authentication = PrivateKeyJwt::new(key);
        let cx = GrantContext::new(&server, "signs", &authentication, &PlainHttp, &clock);
        ClientCredentials.obtain(&cx).await.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!(authentication.signing_algorithm(), Some(algorithm.as_str()));
    }
}

#[tokio::test]
async fn a10_a_client_secret_signs_and_is_never_sent() {
    let clock = ManualClock::at(a_moment());
    let devserver = server_by(&clock, []);
    let server = metadata(&devserver).await;
    let (client_id, client_secret) = DevServer::SECRET_JWT_CLIENT;
    for algorithm in [JwsAlgorithm::Hs256, JwsAlgorithm::Hs384, JwsAlgorithm::Hs512] {
        let authentication = ClientSecretJwt::with_algorithm(client_secret, algorithm).unwrap();
        let cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
        ClientCredentials.obtain(&cx).await.unwrap();
        let assertion = last_assertion(&devserver);
        let jwt = UnverifiedJwt::parse(assertion.expose()).unwrap();
        assert_eq!(jwt.header().algorithm, algorithm);
        assert!(jwt.verify_with_secret(&client_secret.into(), &[algorithm]).is_ok());
        let body = format!("{:?}", devserver.last_request(Endpoint::Token).unwrap().form);
        assert!(!body.contains(client_secret));
        assert!(!format!("{authentication:?}").contains(client_secret));
    }
    assert!(matches!(ClientSecretJwt::new("too short"), Err(KeyError::Short { least: 32, .. })));
    assert!(ClientSecretJwt::with_algorithm(client_secret, JwsAlgorithm::Es256).is_err());
}

#[tokio::test]
async fn a10_every_endpoint_is_asked_with_an_assertion() {
    let clock = ManualClock::at(a_moment());
    let devserver = server_by(&clock, []);
    let server = metadata(&devserver).await;
    let authentication = PrivateKeyJwt::new(key());
    let cx = GrantContext::new(&server, DevServer::KEY_CLIENT.0, &authentication, &PlainHttp, &clock);
    let token = ClientCredentials.obtain(&cx).await.unwrap().into_token(clock.now());
    assert!(introspect(&cx, &token.access_token, None).await.unwrap().active);
    revoke(&cx, &token.access_token, None).await.unwrap();
    assert!(!introspect(&cx, &token.access_token, None).await.unwrap().active);
    let refused = RefreshToken::new("unknown").obtain(&cx).await.unwrap_err();
    assert!(refused.is_invalid_grant(), "{refused}");
}

/// Sends an assertion that was made before.
struct Replayed(Secret);

#[async_trait]
impl ClientAuthentication for Replayed {
    fn method(&self) -> &str {
        "private_key_jwt"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        _: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        request
            .parameters
            .set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        request.parameters.set("client_assertion", self.0.expose());
        Ok(())
    }
}

/// What the server says of a request with that authentication.
async fn refusal(
    devserver: &DevServer,
    authentication: &dyn ClientAuthentication,
    clock: &dyn Clock,
) -> String {
    let server = metadata(devserver).await;
    let cx = GrantContext::new(&server, DevServer::KEY_CLIENT.0, authentication, &PlainHttp, clock);
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(error.is_invalid_client(), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    error.to_string()
}

#[tokio::test]
async fn a10_a_replayed_an_expired_and_a_foreign_assertion_are_refused() {
    let clock = ManualClock::at(a_moment());
    let devserver = server_by(&clock, []);
    let server = metadata(&devserver).await;
    let authentication = PrivateKeyJwt::new(key());
    let cx = GrantContext::new(&server, DevServer::KEY_CLIENT.0, &authentication, &PlainHttp, &clock);
    ClientCredentials.obtain(&cx).await.unwrap();
    let assertion = last_assertion(&devserver);

    let said = refusal(&devserver, &Replayed(assertion.clone()), &clock).await;
    assert!(said.contains("its jti was used before"), "{said}");
    assert!(!said.contains(assertion.expose()), "the assertion is a secret: {said}");

    let another = PrivateKeyJwt::new(SigningKey::generate(JwsAlgorithm::Es256).unwrap());
    let said = refusal(&devserver, &another, &clock).await;
    assert!(said.contains("not one of the registered keys"), "{said}");

    // Clocks that are far apart.
    let late = ManualClock::at(a_moment() - Duration::from_secs(120));
    let said = refusal(&devserver, &authentication, &late).await;
    assert!(said.contains("it has expired"), "{said}");
    let early = ManualClock::at(a_moment() + Duration::from_secs(120));
    let said = refusal(&devserver, &authentication, &early).await;
    assert!(said.contains("nbf or iat"), "{said}");

    // The assertion that one server was given is of no use at another one.
    let other = server_by(&clock, []);
    let said = refusal(&other, &Replayed(assertion), &clock).await;
    assert!(said.contains("aud must be the issuer"), "{said}");
    assert_eq!(devserver.stats().tokens_issued, 1);
}

#[tokio::test]
async fn a10_the_token_endpoint_is_the_audience_only_where_that_is_asked_for() {
    let clock = ManualClock::at(a_moment());
    let (id, _) = DevServer::KEY_CLIENT;
    let old =
        Client::private_key_jwt(id, serde_json::to_string(&keys(&key())).unwrap()).old_assertion_audience();
    let devserver = server_by(&clock, [old]);
    let said = refusal(&devserver, &PrivateKeyJwt::new(key()), &clock).await;
    assert!(said.contains("aud"), "{said}");

    let server = metadata(&devserver).await;
    let authentication = PrivateKeyJwt::new(key()).token_endpoint_as_audience();
    let mut cx = GrantContext::new(&server, id, &authentication, &PlainHttp, &clock);
    ClientCredentials.obtain(&cx).await.unwrap();
    // The issuer need not be known then. At other endpoints it is the same audience.
    cx.issuer = None;
    let token = ClientCredentials.obtain(&cx).await.unwrap();
    revoke(&cx, &token.access_token, None).await.unwrap();

    let secret = "a secret of more than thirty-two bytes";
    let old = Client::client_secret_jwt("old", secret).old_assertion_audience();
    let devserver = server_by(&clock, [old]);
    let server = metadata(&devserver).await;
    let authentication = ClientSecretJwt::new(secret).unwrap().token_endpoint_as_audience();
    let cx = GrantContext::new(&server, "old", &authentication, &PlainHttp, &clock);
    ClientCredentials.obtain(&cx).await.unwrap();
}

#[tokio::test]
async fn a10_without_an_issuer_nothing_is_sent_and_the_error_says_why() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
    let (by_key, by_secret) =
        (PrivateKeyJwt::new(key()), ClientSecretJwt::new("a secret of more than thirty-two bytes").unwrap());
    let by_wrong_key =
        PrivateKeyJwt::new(SigningKey::from_secret(&"x".repeat(32).into(), JwsAlgorithm::Hs256).unwrap());
    for authentication in [&by_key as &dyn ClientAuthentication, &by_secret] {
        let mut cx = GrantContext::new(&server, "app", authentication, &transport, &clock);
        cx.issuer = None;
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(matches!(error, GrantError::ClientAssertion(ClientAssertionError::IssuerUnknown)), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert!(!error.may_have_been_acted_on());
    }
    let cx = GrantContext::new(&server, "app", &by_wrong_key, &transport, &clock);
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(
        matches!(error, GrantError::ClientAssertion(ClientAssertionError::SharedSecret { .. })),
        "{error}"
    );
    let cx = GrantContext::new(&server, "", &by_key, &transport, &clock);
    assert!(matches!(ClientCredentials.obtain(&cx).await, Err(GrantError::Parameter(_))));
    assert!(transport.requests().is_empty());
}

/// A key service: it fails at first, then gives what another format would be.
struct KeyService {
    key: SigningKey,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Signer for KeyService {
    fn algorithm(&self) -> JwsAlgorithm {
        self.key.algorithm()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        tokio::task::yield_now().await;
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => Err(SignError::other("the key service is away")),
            1 => Ok([&[0x30, 0x44], &*self.key.sign(message).await?].concat()),
            _ => self.key.sign(message).await,
        }
    }
}

#[tokio::test]
async fn a10_a_key_that_lives_elsewhere_signs_and_its_failures_are_told() {
    let clock = ManualClock::at(a_moment());
    let devserver = server_by(&clock, []);
    let server = metadata(&devserver).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let authentication = PrivateKeyJwt::new(KeyService { key: key(), asked: Arc::clone(&asked) });
    let cx = GrantContext::new(&server, DevServer::KEY_CLIENT.0, &authentication, &PlainHttp, &clock);
    for expected in ["the key service is away", "not DER"] {
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.recovery(), Recovery::Retry { after: None });
        assert!(!error.may_have_been_acted_on());
    }
    assert_eq!(devserver.stats().requests_to(Endpoint::Token), 0);
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a10_a_retry_for_a_dpop_nonce_authenticates_anew() {
    let clock = ManualClock::at(a_moment());
    let builder = DevServer::builder().dpop_nonces(3);
    let devserver = clocked(builder, &clock);
    let server = metadata(&devserver).await;
    let (authentication, dpop) = (PrivateKeyJwt::new(key()), Dpop::generate().unwrap());
    let mut cx = GrantContext::new(&server, DevServer::KEY_CLIENT.0, &authentication, &PlainHttp, &clock);
    cx.dpop = Some(&dpop);
    // Were the second try to carry the assertion of the first one, it would be refused as a replay.
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(devserver.stats().requests_to(Endpoint::Token), 2);
}

/// A server that repeats what it was sent.
struct Echo;

#[async_trait]
impl Transport for Echo {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let form = String::from_utf8(request.into_body().to_vec()).unwrap();
        let (_, assertion) = form.split_once("client_assertion=").unwrap();
        let body = serde_json::json!({ "error": "invalid_client", "error_description": format!("not {assertion}, {form}") });
        let response = http::Response::builder().status(401).header("content-type", "application/json");
        Ok(response.body(Bytes::from(body.to_string())).unwrap())
    }
}

#[tokio::test]
async fn an_assertion_that_the_server_repeats_is_cut_out() {
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    let authentication = PrivateKeyJwt::new(key());
    let cx = GrantContext::new(&server, "app", &authentication, &Echo, &clock);
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("not "), "{shown}");
    // Every JWT begins like that.
    assert!(!shown.contains("eyJ"), "{shown}");
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", PrivateKeyJwt::new(key().with_key_id("k1")));
    assert!(shown.contains("k1") && shown.contains("Es256"), "{shown}");
    assert!(!shown.contains("jpsQ"), "{shown}");
    let claims = Claims::new().with("jti", "m4rker");
    assert!(!format!("{claims:?}").contains("m4rker"));
}
