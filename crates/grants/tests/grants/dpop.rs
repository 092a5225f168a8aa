//! A25: DPoP proofs in token requests (RFC 9449), judged by the devserver, and what becomes of answers that fit no proof.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint};
use jeton_grants::{
    AuthenticationContext, ClientAuthentication, ClientCredentials, ClientSecretBasic, Dpop, DpopError,
    DpopSide, EndpointRequest, Grant, GrantContext, GrantError, Limits, ManualClock, PublicClient, Recovery,
    RefreshToken, ResourceOwnerPasswordCredentials, Transport, TransportError, async_trait, bytes::Bytes,
    http,
};
use jeton_jose::{Jwk, JwsAlgorithm, SignError, Signer, SigningKey};
use jeton_models::{AuthorizationServerMetadata, Secret, TokenResponse, TokenType};
use serde_json::Value;

use crate::support::{
    PlainHttp, Scripted, a_moment, as_example, clocked, json, metadata, oauth_error, token, with_header,
};

/// Header and claims of a proof.
fn parts(proof: &http::HeaderValue) -> (Value, Value) {
    let part = |text: &str| serde_json::from_slice(&decoded(text)).unwrap();
    let mut parts = proof.to_str().unwrap().split('.');
    (part(parts.next().unwrap()), part(parts.next().unwrap()))
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A token of the devserver's for Alice.
async fn password(cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
    let (name, password) = DevServer::ALICE;
    ResourceOwnerPasswordCredentials::new(name, password).obtain(cx).await
}

/// A devserver, what it says of itself, and its clock.
async fn world(
    change: impl FnOnce(jeton_devserver::Builder) -> jeton_devserver::Builder,
) -> (DevServer, AuthorizationServerMetadata, ManualClock) {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(change(DevServer::builder()), &clock);
    let server = metadata(&devserver).await;
    (devserver, server, clock)
}

fn bound() -> http::Response<jeton_grants::bytes::Bytes> {
    json(200, r#"{"access_token":"t0k3n","token_type":"DPoP","expires_in":60}"#).unwrap()
}

#[tokio::test]
async fn a25_each_request_has_a_fresh_proof_of_the_key() {
    let clock = ManualClock::at(a_moment());
    let (mut server, transport) = (as_example(), Scripted::new(&clock, [Ok(bound()), Ok(bound())]));
    server.token_endpoint = Some("https://as.example/token?key=of-the-endpoint".into());
    let dpop = Dpop::generate().unwrap();
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.dpop = Some(&dpop);
    let answer = RefreshToken::new("r").obtain(&cx).await.unwrap();
    assert_eq!(answer.token_type, TokenType::DPoP);
    clock.advance(Duration::from_secs(7));
    RefreshToken::new("r").obtain(&cx).await.unwrap();

    let requests = transport.requests();
    let (header, first) = parts(&requests[0].headers()["dpop"]);
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["alg"], "ES256");
    let mut names: Vec<_> = header["jwk"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["crv", "kty", "x", "y"], "the bare public key");
    assert_eq!(Jwk::from_value(&header["jwk"]).unwrap().thumbprint(), dpop.thumbprint());
    assert_eq!(first["htm"], "POST");
    assert_eq!(first["htu"], "https://as.example/token");
    assert_eq!(first["iat"], 1_700_000_000);
    assert_eq!(first["jti"].as_str().unwrap().len(), 22, "128 bits");
    assert_eq!(first.as_object().unwrap().len(), 4, "neither ath nor nonce");
    let (_, second) = parts(&requests[1].headers()["dpop"]);
    assert_eq!(second["iat"], 1_700_000_007);
    assert_ne!(first["jti"], second["jti"]);
    assert!(requests[0].headers()["dpop"].is_sensitive());
    assert_eq!(requests[0].headers().get_all("dpop").iter().count(), 1);
}

#[tokio::test]
async fn a25_the_devserver_takes_it_all_and_binds_the_refresh_token() {
    let (devserver, server, clock) = world(|builder| builder.require_dpop(true)).await;
    let dpop = Dpop::generate().unwrap();
    let client = DevServer::PASSWORD_CLIENT;
    let mut cx = GrantContext::new(&server, client, &PublicClient, &PlainHttp, &clock);
    let error = password(&cx).await.unwrap_err();
    assert!(error.to_string().contains("A25: this server gives tokens"), "{error}");
    cx.dpop = Some(&dpop);
    let first = password(&cx).await.unwrap();
    assert_eq!(first.token_type, TokenType::DPoP);
    let refresh_token = first.refresh_token.unwrap();

    // Another key, or none: refused, and nothing is used up.
    let other = Dpop::generate().unwrap();
    cx.dpop = Some(&other);
    let error = RefreshToken::new(refresh_token.clone()).obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("A25: the refresh token is bound"), "{error}");
    // The key comes back from where it was kept.
    let again = Dpop::from_kept(&dpop.to_kept()).unwrap();
    cx.dpop = Some(&again);
    let second = RefreshToken::new(refresh_token).obtain(&cx).await.unwrap();
    assert_eq!(second.token_type, TokenType::DPoP);
    assert_eq!(devserver.stats().refresh_reuses_detected, 0);

    // At the resource the proof has the token's hash.
    let url: url::Url = devserver.resource_url().parse().unwrap();
    let at_api = |dpop: &Dpop, token: &Secret| {
        let (dpop, token, now) = (dpop.clone(), token.clone(), clock.clone());
        let url = url.clone();
        async move {
            use jeton_grants::{Clock, Transport};
            let proof = dpop.proof(&http::Method::GET, &url, Some(&token), now.now()).await.unwrap();
            let request = http::Request::get(url.as_str())
                .header("authorization", format!("DPoP {}", token.expose()))
                .header("dpop", proof)
                .body(jeton_grants::bytes::Bytes::new())
                .unwrap();
            PlainHttp.send(request, &Default::default()).await.unwrap().status().as_u16()
        }
    };
    assert_eq!(at_api(&dpop, &second.access_token).await, 200);
    assert_eq!(at_api(&other, &second.access_token).await, 401);
    // Proofs of a clock that goes wrong are too old, or too early.
    clock.advance(Duration::from_secs(1));
    devserver.advance(Duration::from_secs(120));
    let error = password(&cx).await.unwrap_err();
    assert!(error.to_string().contains("A25: `iat`"), "{error}");
    assert_eq!(error.recovery(), Recovery::FixRequest);
}

/// A client assertion that may be used once, as that of `private_key_jwt`.
#[derive(Default)]
struct OnceOnly(AtomicU32);

#[async_trait]
impl ClientAuthentication for OnceOnly {
    fn method(&self) -> &str {
        "once_only"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        _: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(request.parameters.append_required("client_assertion", format!("assertion-{count}"))?)
    }
}

#[tokio::test]
async fn a25_the_servers_nonce_is_sent_once_more_with_a_fresh_authentication() {
    let clock = ManualClock::at(a_moment());
    let wanted = |nonce: &str| with_header(oauth_error(400, "use_dpop_nonce"), "dpop-nonce", nonce);
    let next = |nonce: &str| with_header(Ok(bound()), "dpop-nonce", nonce);
    let answers = [wanted("first"), next("s3cond"), Ok(bound()), wanted("third"), Ok(bound())];
    let (server, transport) = (as_example(), Scripted::new(&clock, answers));
    let (dpop, authentication) = (Dpop::generate().unwrap(), OnceOnly::default());
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    cx.dpop = Some(&dpop);
    ClientCredentials.obtain(&cx).await.unwrap();
    // The nonce of an answer that went well is taken, too; and one that the server wants to have replaced is.
    ClientCredentials.obtain(&cx).await.unwrap();
    ClientCredentials.obtain(&cx).await.unwrap();

    let nonces: Vec<_> = transport
        .requests()
        .iter()
        .map(|request| parts(&request.headers()["dpop"]).1["nonce"].as_str().map(str::to_owned))
        .collect();
    let expected = [None, Some("first"), Some("s3cond"), Some("s3cond"), Some("third")];
    assert_eq!(nonces, expected.map(|nonce| nonce.map(str::to_owned)));
    let expected = (0..5).map(|n| format!("grant_type=client_credentials&client_assertion=assertion-{n}"));
    assert_eq!(transport.bodies(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a25_a_server_that_asks_again_and_again_is_told_and_nothing_is_used_up() {
    let clock = ManualClock::at(a_moment());
    let wanted = |nonce: &str| with_header(oauth_error(400, "use_dpop_nonce"), "dpop-nonce", nonce);
    let cases = [
        (vec![wanted("a"), wanted("b")], "again"),
        (vec![wanted("same"), wanted("same")], "again"),
        (vec![oauth_error(400, "use_dpop_nonce")], "and gives none"),
        (vec![wanted("\"")], "and gives none"),
    ];
    for (answers, how) in cases {
        let requests = answers.len();
        let (server, transport) = (as_example(), Scripted::new(&clock, answers));
        let dpop = Dpop::generate().unwrap();
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        cx.dpop = Some(&dpop);
        let error = RefreshToken::new("r").obtain(&cx).await.unwrap_err();
        assert!(matches!(&error, GrantError::Dpop(DpopError::Nonce { .. })), "{error}");
        assert!(error.to_string().contains(how), "{error}");
        assert_eq!(transport.requests().len(), requests);
        assert_eq!(error.recovery(), Recovery::Retry { after: None });
        assert!(!error.is_invalid_grant() && !error.may_have_been_acted_on());
    }
    // Whoever sends no proof is not told to send one more.
    let (server, transport) = (as_example(), Scripted::new(&clock, [wanted("a")]));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let error = RefreshToken::new("r").obtain(&cx).await.unwrap_err();
    assert!(error.oauth_error().is_some_and(|error| error.code() == "use_dpop_nonce"), "{error}");
}

#[tokio::test]
async fn a25_nonces_that_rotate_at_each_request_and_are_lost_by_the_server() {
    let (devserver, server, clock) = world(|builder| builder.dpop_nonces(1)).await;
    let dpop = Dpop::generate().unwrap();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let authentication = ClientSecretBasic::new(secret);
    let mut cx = GrantContext::new(&server, id, &authentication, &PlainHttp, &clock);
    cx.dpop = Some(&dpop);
    for _ in 0..5 {
        ClientCredentials.obtain(&cx).await.unwrap();
    }
    assert_eq!(devserver.stats().dpop_nonces_demanded, 1);
    devserver.forget_dpop_nonces();
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(devserver.stats().dpop_nonces_demanded, 2);
    assert_eq!(devserver.stats().requests_to(Endpoint::Token), 8);
    // Two keys with the nonces of one client.
    let other = Dpop::generate().unwrap().with_nonces(dpop.nonces().clone());
    cx.dpop = Some(&other);
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(devserver.stats().dpop_nonces_demanded, 2);
    // The nonce of an answer without a proof, or of a server that is another one, is not used.
    let url = "https://as.example/token".parse().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("dpop-nonce", "of-another".parse().unwrap());
    assert!(dpop.nonces().note(DpopSide::AuthorizationServer, &url, &headers));
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_ne!(
        devserver.last_request(Endpoint::Token).unwrap().dpop_claim("nonce").as_deref(),
        Some("of-another")
    );
}

#[tokio::test]
async fn a25_a_bearer_answer_is_discarded() {
    let clock = ManualClock::at(a_moment());
    let bearer = r#"{"access_token":"b3ar3r","token_type":"Bearer","refresh_token":"r0tated"}"#;
    let untyped = r#"{"access_token":"b3ar3r","refresh_token":"r0tated"}"#;
    let (server, transport) =
        (as_example(), Scripted::new(&clock, [json(200, bearer), json(200, untyped), Ok(bound()), token()]));
    let dpop = Dpop::generate().unwrap();
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.dpop = Some(&dpop);
    for _ in 0..2 {
        let error = RefreshToken::new("r").obtain(&cx).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("discarded") && !text.contains("b3ar3r") && !text.contains("r0tated"),
            "{text}"
        );
        // The server has done its part: what it rotated to is kept.
        assert!(error.may_have_been_acted_on());
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        let GrantError::Unusable { answer, .. } = error else { panic!("{error}") };
        assert_eq!(answer.refresh_token.unwrap().expose(), "r0tated");
    }
    // The other way round: a bound token that nobody could present.
    cx.dpop = None;
    let error = RefreshToken::new("r").obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("proved none"), "{error}");
    assert!(transport.requests()[2].headers().get("dpop").is_none());
    RefreshToken::new("r").obtain(&cx).await.unwrap();
}

#[tokio::test]
async fn a25_the_algorithm_is_one_that_the_server_lists() {
    let clock = ManualClock::at(a_moment());
    let (mut server, transport) = (as_example(), Scripted::new(&clock, [Ok(bound()), Ok(bound())]));
    let dpop = Dpop::generate().unwrap();
    server.dpop_signing_alg_values_supported = Some(vec!["PS256".into(), "RS256".into()]);
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.dpop = Some(&dpop);
    let error = RefreshToken::new("r").obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("ES256") && error.to_string().contains("PS256"), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    assert_eq!(transport.requests().len(), 0, "nothing was sent");
    let mut fits = server.clone();
    fits.dpop_signing_alg_values_supported = Some(vec!["EdDSA".into(), "ES256".into()]);
    cx.server = &fits;
    RefreshToken::new("r").obtain(&cx).await.unwrap();
    // Ed25519 by either name.
    let ed25519 = SigningKey::generate(JwsAlgorithm::Ed25519).unwrap();
    let ed25519 = Dpop::with_signer(ed25519).unwrap();
    cx.dpop = Some(&ed25519);
    RefreshToken::new("r").obtain(&cx).await.unwrap();
}

/// A key that lives elsewhere.
struct Module {
    key: Option<SigningKey>,
    public: Option<Jwk>,
    algorithm: JwsAlgorithm,
}

#[async_trait]
impl Signer for Module {
    fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    fn public_jwk(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.key {
            Some(key) => key.sign(message).await,
            None => Err(SignError::other("the module is not plugged in")),
        }
    }
}

fn module(key: Option<&SigningKey>, public: &SigningKey) -> Module {
    let public = public.public_jwk().cloned();
    Module { key: key.cloned(), public, algorithm: JwsAlgorithm::Es256 }
}

#[tokio::test]
async fn a25_a_key_that_lives_elsewhere_is_kept_as_its_public_half() {
    let (_devserver, server, clock) = world(|builder| builder.require_dpop(true)).await;
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let dpop = Dpop::with_signer(module(Some(&key), &key)).unwrap();
    let mut cx = GrantContext::new(&server, DevServer::PASSWORD_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.dpop = Some(&dpop);
    password(&cx).await.unwrap();

    let kept: Value = serde_json::from_str(dpop.to_kept().expose()).unwrap();
    assert_eq!((kept.get("d"), &kept["external"]), (None, &Value::Bool(true)));
    assert_eq!(Dpop::from_kept(&dpop.to_kept()).unwrap_err(), DpopError::External);
    // The same key in another run, and another one.
    let again = Dpop::with_signer(module(Some(&key), &key)).unwrap();
    again.check_kept(&dpop.to_kept()).unwrap();
    let own = Dpop::generate().unwrap();
    assert!(matches!(own.check_kept(&dpop.to_kept()), Err(DpopError::Foreign { .. })));
    assert!(matches!(again.check_kept(&own.to_kept()), Err(DpopError::Foreign { .. })));
    for unreadable in ["", "{}", "no JSON", r#"{"kty":"EC","external":true}"#, r#"{"kty":"EC","d":"AAAA"}"#] {
        let error = own.check_kept(&Secret::from(unreadable)).unwrap_err();
        assert!(matches!(&error, DpopError::Key { .. }), "{unreadable}: {error}");
    }

    // What cannot sign now is told, and is no verdict on anything.
    let unplugged = Dpop::with_signer(module(None, &key)).unwrap();
    cx.dpop = Some(&unplugged);
    let error = password(&cx).await.unwrap_err();
    assert!(error.to_string().contains("not plugged in"), "{error}");
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    assert!(!error.may_have_been_acted_on());
    // No public key, or a shared secret, is found out before anything is asked for.
    let mute = Module { public: None, ..module(Some(&key), &key) };
    assert!(matches!(Dpop::with_signer(mute), Err(DpopError::Unsuitable { .. })));
    let shared = Module { algorithm: JwsAlgorithm::Hs256, ..module(Some(&key), &key) };
    assert!(matches!(Dpop::with_signer(shared), Err(DpopError::Unsuitable { .. })));
    // One that signs with another key than it names is refused by the server.
    let other = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let liar = Dpop::with_signer(module(Some(&other), &key)).unwrap();
    cx.dpop = Some(&liar);
    let error = password(&cx).await.unwrap_err();
    assert!(error.to_string().contains("A25: the proof is not signed"), "{error}");
}

/// A server that repeats the proof in its error.
struct Echo(Mutex<String>);

#[async_trait]
impl Transport for Echo {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let proof = request.headers()["dpop"].to_str().unwrap().to_owned();
        *self.0.lock().unwrap() = proof.clone();
        json(400, &format!(r#"{{"error":"invalid_dpop_proof","error_description":"not {proof}"}}"#))
    }
}

#[tokio::test]
async fn a25_no_error_and_no_debug_shows_key_or_proof() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Echo(Mutex::default()));
    let dpop = Dpop::generate().unwrap();
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.dpop = Some(&dpop);
    let error = RefreshToken::new("4-refresh-token").obtain(&cx).await.unwrap_err();
    let sent = transport.0.lock().unwrap().clone();
    let kept: Value = serde_json::from_str(dpop.to_kept().expose()).unwrap();
    let url = "https://as.example/token".parse().unwrap();
    let proof = dpop.proof(&http::Method::POST, &url, None, a_moment()).await.unwrap();
    let shown = format!("{error} {error:?} {dpop:?} {:?} {proof:?} {cx:?}", dpop.nonces());
    assert!(shown.contains("not [redacted]"), "{shown}");
    assert!(!shown.contains(&sent) && !shown.contains(kept["d"].as_str().unwrap()), "{shown}");
    assert!(!shown.contains(proof.to_str().unwrap()));
}
