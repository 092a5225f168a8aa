//! A25: logins that are bound to a key (DPoP, RFC 9449): the key lives and moves with the login, each request has a proof of its
//! own, and nothing that goes wrong with keys or nonces costs anybody a login.

use std::collections::HashSet;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeton_client::{
    Client, ClientBuilder, ClientCredentials, ClientSecretBasic, Error, GrantError, PendingLogin, Recovery,
    Secret, Session, Token,
};
use jeton_devserver::{DevServer, Endpoint, Fault, RecordedRequest, Rotation};
use jeton_grants::DpopError;
use jeton_jose::{Jwk, JwsAlgorithm, SigningKey};
use jeton_models::TokenType;
use url::Url;

use crate::support::{REDIRECT, Step, World, soon, text};

/// A server that gives bound tokens only and wants a new nonce in each proof.
fn strict() -> World {
    World::with(|builder| builder.require_dpop(true).dpop_nonces(1))
}

fn bound(world: &World) -> Client {
    world.builder().dpop(true).build().unwrap()
}

async fn status(session: &Session, url: &str) -> u16 {
    soon(session.get(url).send()).await.unwrap().status().as_u16()
}

async fn key(world: &World, session: &Session) -> Option<String> {
    world.stored(session).await.unwrap().dpop_key.map(|key| key.expose().to_owned())
}

fn api_requests(world: &World) -> Vec<RecordedRequest> {
    let all = world.server.requests();
    all.into_iter().filter(|request| request.endpoint == Endpoint::Resource).collect()
}

fn dpop_error(error: &Error) -> &DpopError {
    match error {
        Error::Grant(grant) => match &**grant {
            GrantError::Dpop(error) => error,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a25_a_login_has_a_key_of_its_own_that_stays_with_it() {
    let world = strict();
    let client = bound(&world);
    let session = client.session();
    let token = world.log_in(&session).await;
    assert_eq!(token.token_type(), TokenType::DPoP);
    assert!(token.authorization().to_str().unwrap().starts_with("DPoP "));
    let url = world.server.resource_url();
    assert_eq!(status(&session, &url).await, 200);
    let first = key(&world, &session).await.unwrap();
    assert!(first.contains("\"d\":"), "the private key is kept with the tokens");

    // Through refreshes, in other processes and later runs.
    for _ in 0..3 {
        world.expire();
        let elsewhere = bound(&world);
        assert_eq!(status(&elsewhere.session(), &url).await, 200);
        assert_eq!(status(&session, &url).await, 200);
        assert_eq!(key(&world, &session).await.unwrap(), first);
    }
    let refreshes = world.server.stats().refreshes;
    assert_eq!(refreshes, 3, "one for each expiry");
    world.assert_sound(&session).await;

    // The other account's is another one, and so is that of the next login.
    let other = client.account("other");
    world.log_in(&other).await;
    assert_ne!(key(&world, &other).await.unwrap(), first);
    world.log_in(&session).await;
    assert_ne!(key(&world, &session).await.unwrap(), first);
    assert_eq!(status(&session, &url).await, 200);
    // Not once was the token sent as if it were not bound.
    assert!(api_requests(&world).iter().all(|request| request.bearer().is_none()));
}

#[tokio::test]
async fn a25_a_login_is_begun_here_and_finished_there_with_the_same_key() {
    let world = strict();
    let (url, pending) = bound(&world).session().begin_log_in(REDIRECT).await.unwrap();
    let asked = Url::parse(url.as_str()).unwrap();
    let jkt = asked.query_pairs().find(|(name, _)| name == "dpop_jkt").unwrap().1.into_owned();
    let kept = serde_json::to_string(&pending).unwrap();
    assert!(!format!("{pending:?}").contains("\"d\""));
    let again = || serde_json::from_str::<PendingLogin>(&kept).unwrap();
    let redirected: Url = world.server.authorize(url.as_str()).unwrap().parse().unwrap();

    // Without the key: refused before anything is used up.
    let without = world.client().session();
    let error = without.finish_log_in(again(), &redirected).await.unwrap_err();
    assert_eq!(*dpop_error(&error), DpopError::SwitchedOff);
    let signer = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let other = world.builder().dpop_signer(signer).build().unwrap();
    let error = other.session().finish_log_in(again(), &redirected).await.unwrap_err();
    assert!(matches!(dpop_error(&error), DpopError::Foreign { .. }), "{error}");
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), 0);

    let session = bound(&world).session();
    session.finish_log_in(again(), &redirected).await.unwrap();
    let kept = key(&world, &session).await.unwrap();
    let public = kept.replace("\"d\":", "\"secret\":");
    assert_eq!(Jwk::parse(&public).unwrap().thumbprint(), jkt);
    assert_eq!(status(&session, &world.server.resource_url()).await, 200);
}

#[tokio::test]
async fn a25_a_pushed_request_proves_the_key_and_names_it() {
    let world = strict();
    let pushed = jeton_client::PushedRequests::Always;
    let client = world.builder().dpop(true).pushed_authorization_requests(pushed).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let push = world.server.last_request(Endpoint::PushedAuthorization).unwrap();
    assert_eq!(push.dpop_claim("htu").unwrap(), world.server.pushed_authorization_url());
    assert!(push.form_value("dpop_jkt").is_some());
    assert_eq!(world.server.stats().requests_to(Endpoint::PushedAuthorization), 2, "the nonce first");
    assert_eq!(world.server.stats().dpop_nonces_demanded, 1, "and then it is known");
    assert_eq!(status(&session, &world.server.resource_url()).await, 200);
}

#[tokio::test]
async fn a25_a_pending_login_from_before_is_finished_and_bound() {
    let world = World::new();
    let (url, pending) = world.client().session().begin_log_in(REDIRECT).await.unwrap();
    assert!(!url.as_str().contains("dpop"));
    let kept = serde_json::to_string(&pending).unwrap();
    assert!(!kept.contains("dpop"), "what an older jeton reads is as it was");
    let redirected: Url = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
    let session = bound(&world).session();
    let token = session.finish_log_in(serde_json::from_str(&kept).unwrap(), &redirected).await.unwrap();
    assert_eq!(token.token_type(), TokenType::DPoP);
    assert!(key(&world, &session).await.is_some());
}

#[tokio::test]
async fn a25_each_request_and_each_redirect_has_a_proof_of_its_own() {
    let world = strict();
    let session = bound(&world).session();
    world.log_in(&session).await;
    let elsewhere = DevServer::recorder().unwrap();
    let api = |path: &str| world.server.url(path);
    let to = |target: &str, status: u16| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("to", target)
            .append_pair("status", &status.to_string())
            .finish();
        api(&format!("/api/redirect?{query}"))
    };
    // Within the origin, by any status: a proof for the place where it lands.
    for code in [301, 302, 303, 307, 308] {
        let request = session.post(&to(&api("/api/landed?a=b"), code)).form([("text", "hello")]);
        let response = soon(request.send()).await.unwrap();
        assert_eq!(response.status(), 200, "{code}");
        let landed = api_requests(&world).pop().unwrap();
        let (method, body) = if code >= 307 { ("POST", Some("hello")) } else { ("GET", None) };
        assert_eq!((landed.method.as_str(), landed.form_value("text")), (method, body), "{code}");
        assert_eq!(landed.dpop_claim("htm").unwrap(), method);
        assert_eq!(landed.dpop_claim("htu").unwrap(), api("/api/landed"));
    }
    let requests = api_requests(&world);
    let ids: HashSet<_> = requests.iter().map(|request| request.dpop_claim("jti").unwrap()).collect();
    assert_eq!(ids.len(), requests.len());
    assert!(requests.iter().all(|request| request.dpop_token().is_some()));

    // To another origin goes neither token nor proof, and back neither.
    for code in [302, 307] {
        let request =
            session.post(&to(&format!("{}/landed", elsewhere.url()), code)).form([("text", "hello")]);
        let request = request.header(http::header::COOKIE, HeaderValue::from_static("a=b"));
        assert_eq!(soon(request.send()).await.unwrap().status(), 200, "{code}");
        let landed = elsewhere.requests().pop().unwrap();
        for name in ["authorization", "dpop", "cookie"] {
            assert_eq!(landed.header(name), None, "{name}");
        }
        assert_eq!(landed.form_value("text"), (code == 307).then_some("hello"));
    }
    // Nor does anything else of a request that stays.
    let seen = elsewhere.requests().len();
    let stays = session.post(&to(&format!("{}/landed", elsewhere.url()), 307)).stay_at_origin();
    assert_eq!(soon(stays.send()).await.unwrap().status(), 307);
    assert_eq!(elsewhere.requests().len(), seen);
    // A proof for another origin is not to be had.
    let token = session.token().await.unwrap();
    let foreign = Url::parse(elsewhere.url()).unwrap();
    let error = session.dpop_proof(&Method::GET, &foreign, &token).await.unwrap_err();
    assert!(matches!(error, Error::ForeignOrigin { .. }), "{error}");
    assert!(matches!(session.get(foreign.as_str()).send().await, Err(Error::ForeignOrigin { .. })));
    // Round and round.
    let mut turning = to(&api("/api/landed"), 302);
    for _ in 0..12 {
        turning = to(&turning, 302);
    }
    let error = soon(session.get(&turning).send()).await.unwrap_err();
    assert!(error.to_string().contains("again and again"), "{error}");
}

#[tokio::test]
async fn a25_the_nonce_first_and_then_another_token() {
    let world = World::with(|builder| builder.dpop_nonces(100));
    let session = bound(&world).session();
    let token = world.log_in(&session).await;
    let url = world.server.resource_url();
    assert_eq!(status(&session, &url).await, 200);
    let demanded = world.server.stats().dpop_nonces_demanded;
    assert_eq!(demanded, 2, "one by either side");
    // Both at once: the server has forgotten its nonces, and takes the token no more.
    world.server.forget_dpop_nonces();
    world.server.revoke_access_tokens();
    let before = api_requests(&world).len();
    let request = session.post(&url).form([("text", "hello")]);
    assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    let requests = api_requests(&world);
    assert_eq!(requests.len() - before, 3, "nonce, then token, then well");
    assert!(requests[before..].iter().all(|request| request.form_value("text") == Some("hello")));
    assert_ne!(text(&session.token().await.unwrap()), text(&token));
    world.assert_sound(&session).await;

    // That a nonce is wanted says nothing about the token: it stays.
    let token = session.token().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_static(r#"DPoP error="use_dpop_nonce""#));
    assert!(!session.judge(&token, StatusCode::UNAUTHORIZED, &headers));
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
}

#[tokio::test]
async fn a25_a_resource_server_that_asks_for_nonces_again_and_again_gets_two_requests() {
    let world = World::new();
    let session = bound(&world).session();
    let token = world.log_in(&session).await;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let asks = |nonce: Option<&str>| {
        let mut headers = vec![header("www-authenticate", r#"DPoP error="use_dpop_nonce", algs="ES256""#)];
        headers.extend(nonce.map(|nonce| header("dpop-nonce", nonce)));
        Fault::Answer { status: 401, headers, body: Vec::new() }
    };
    let url = world.server.resource_url();
    world.server.fault(Endpoint::Resource, asks(Some("first")));
    world.server.fault(Endpoint::Resource, asks(Some("s3cond")));
    assert_eq!(status(&session, &url).await, 401);
    let requests = api_requests(&world);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].dpop_claim("nonce").as_deref(), Some("first"));
    // Without a nonce there is nothing to try again with.
    world.server.fault(Endpoint::Resource, asks(None));
    assert_eq!(status(&session, &url).await, 401);
    assert_eq!(api_requests(&world).len(), 3);
    assert_eq!(api_requests(&world)[2].dpop_claim("nonce").as_deref(), Some("s3cond"));
    assert_eq!(text(&session.token().await.unwrap()), text(&token), "the token is as good as before");
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn a25_a_bearer_answer_is_discarded_and_what_the_server_rotated_to_is_kept() {
    let world = World::new();
    let session = bound(&world).session();
    world.log_in(&session).await;
    let before = world.stored_refresh_token(&session).await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::set("token_type", "Bearer"));
    let error = soon(session.token()).await.unwrap_err();
    assert!(error.to_string().contains("discarded"), "{error}");
    assert_ne!(world.stored_refresh_token(&session).await, before);
    world.assert_sound(&session).await;
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(soon(session.token()).await.unwrap().token_type(), TokenType::DPoP);
    world.assert_sound(&session).await;

    // At login: nothing is stored.
    let other = bound(&world).account("other");
    world.server.fault(Endpoint::Token, Fault::set("token_type", "Bearer"));
    let (url, pending) = other.begin_log_in(REDIRECT).await.unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap();
    let error = other.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("discarded"), "{error}");
    assert!(world.stored(&other).await.is_none());
}

#[tokio::test]
async fn a25_trouble_with_nonces_and_proofs_ends_no_login() {
    let world = World::new();
    let session = bound(&world).session();
    world.log_in(&session).await;
    let before = world.stored_login(&session).await;
    for code in ["use_dpop_nonce", "invalid_dpop_proof"] {
        world.expire();
        world.server.fault_times(Endpoint::Token, Fault::oauth_error(code), 2);
        let error = soon(session.token()).await.unwrap_err();
        assert!(!error.is_login_required(), "{error}");
        let recovery = error.recovery();
        match code {
            "use_dpop_nonce" => assert!(matches!(recovery, Recovery::Retry { .. }), "{error}"),
            _ => assert_eq!(recovery, Recovery::FixRequest, "{error}"),
        }
        assert_eq!(world.stored_login(&session).await, before, "{code}");
        world.server.clear_faults();
        world.clock.advance(Duration::from_secs(600));
    }
    soon(session.token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a25_switched_on_the_next_refresh_binds_the_login() {
    let world = World::new();
    let (_, plain) = world.signed_in().await;
    let bearer = plain.token().await.unwrap();
    let session = bound(&world).session();
    // The Bearer token lives, and is not sent any more.
    let token = soon(session.token()).await.unwrap();
    assert_eq!((token.token_type(), world.refresh_requests()), (TokenType::DPoP, 1));
    assert_ne!(text(&token), text(&bearer));
    assert!(key(&world, &session).await.is_some());
    assert_eq!(status(&session, &world.server.resource_url()).await, 200);
    world.assert_sound(&session).await;
    // An explicit refresh finds its way, too.
    let other = World::new();
    other.signed_in().await;
    let session = bound(&other).session();
    assert_eq!(soon(session.refresh()).await.unwrap().token_type(), TokenType::DPoP);
}

#[tokio::test]
async fn a25_the_key_is_stored_before_the_server_hears_of_it() {
    // A server that binds the refresh token, keeps it, and whose answer is lost.
    let world = World::with(|builder| builder.refresh_token_rotation(Rotation::Off));
    world.signed_in().await;
    world.expire();
    let session = bound(&world).session();
    world.server.fault(Endpoint::Token, Fault::DropAfterCommit);
    soon(session.token()).await.unwrap_err();
    let first = key(&world, &session).await.unwrap();
    world.clock.advance(Duration::from_secs(600));
    let later = bound(&world).session();
    assert_eq!(soon(later.token()).await.unwrap().token_type(), TokenType::DPoP);
    assert_eq!(key(&world, &session).await.unwrap(), first);

    // What cannot be stored is not sent.
    let full = World::new();
    full.signed_in().await;
    full.expire();
    full.store.fail_saves(1);
    let session = bound(&full).session();
    let error = soon(session.token()).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert_eq!(full.refresh_requests(), 0);
    soon(session.token()).await.unwrap();
    full.assert_sound(&session).await;
}

#[tokio::test]
async fn a25_switched_off_a_bound_login_is_neither_sent_nor_lost() {
    let world = strict();
    let bound_session = bound(&world).session();
    world.log_in(&bound_session).await;
    let before = world.stored(&bound_session).await;
    let requests = world.server.stats().requests_to(Endpoint::Token);
    let plain = world.client().session();
    for result in [soon(plain.token()).await, soon(plain.refresh()).await] {
        let error = result.unwrap_err();
        assert_eq!(*dpop_error(&error), DpopError::SwitchedOff);
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
    assert!(plain.cached().is_none());
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests, "nothing was sent");
    assert_eq!(world.stored(&bound_session).await, before);
    assert_eq!(status(&bound_session, &world.server.resource_url()).await, 200);

    // Logging in anew is what it takes, where the server gives Bearer tokens at all.
    let lenient = World::new();
    let session = bound(&lenient).session();
    lenient.log_in(&session).await;
    let plain = lenient.client().session();
    lenient.log_in(&plain).await;
    assert_eq!(key(&lenient, &plain).await, None);
    assert_eq!(status(&plain, &lenient.server.resource_url()).await, 200);
}

#[tokio::test]
async fn a25_a_key_that_cannot_be_used_is_told_before_anything_is_sent() {
    let world = strict();
    let session = bound(&world).session();
    world.log_in(&session).await;
    let good = world.stored(&session).await.unwrap();
    let requests = world.server.stats().requests_to(Endpoint::Token);
    for odd in ["", "no JSON", r#"{"kty":"EC","crv":"P-256","d":"AAAA"}"#, r#"{"kty":"oct","k":"AAAA"}"#] {
        let mut record = good.clone();
        record.dpop_key = Some(Secret::from(odd));
        let mut lease = world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap();
        lease.save(&record).await.unwrap();
        drop(lease);
        let error = soon(bound(&world).session().token()).await.unwrap_err();
        assert!(matches!(dpop_error(&error), DpopError::Key { .. }), "{odd}: {error}");
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(!error.to_string().contains("AAAA"));
        assert_eq!(world.stored(&session).await.unwrap(), record, "it stays as it is");
    }
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests);
    // Another login's key: the token is not taken, and the refresh token of a public client neither.
    let other = bound(&world).account("other");
    world.log_in(&other).await;
    let mut record = good.clone();
    record.dpop_key = world.stored(&other).await.unwrap().dpop_key;
    let mut lease = world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap();
    lease.save(&record).await.unwrap();
    drop(lease);
    let error = soon(bound(&world).session().get(&world.server.resource_url()).send()).await.unwrap_err();
    assert!(error.is_login_required() && error.to_string().contains("A25"), "{error}");
}

#[tokio::test]
async fn a25_a_key_of_the_programs_is_known_by_its_thumbprint() {
    let world = strict();
    let signer = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let with = |signer: &SigningKey| world.builder().dpop_signer(signer.clone()).build().unwrap().session();
    let session = with(&signer);
    world.log_in(&session).await;
    let url = world.server.resource_url();
    assert_eq!(status(&session, &url).await, 200);
    let kept: serde_json::Value = serde_json::from_str(&key(&world, &session).await.unwrap()).unwrap();
    assert_eq!((kept.get("d"), &kept["external"]), (None, &serde_json::Value::Bool(true)));

    // Another run with the same key, by whatever name.
    world.expire();
    assert_eq!(status(&with(&signer.clone().with_key_id("slot 9")), &url).await, 200);
    assert_eq!(status(&session, &url).await, 200);
    assert_eq!(world.server.stats().refreshes, 1);

    let before = world.stored(&session).await;
    let requests = world.server.stats().requests_to(Endpoint::Token);
    let other = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let error = soon(with(&other).token()).await.unwrap_err();
    assert!(matches!(dpop_error(&error), DpopError::Foreign { .. }), "{error}");
    let error = soon(bound(&world).session().token()).await.unwrap_err();
    assert_eq!(*dpop_error(&error), DpopError::External);
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests);
    assert_eq!(world.stored(&session).await, before);

    // What cannot be a key for this is told when the client is built.
    let shared =
        SigningKey::from_secret(&Secret::from("0123456789012345678901234567890123"), JwsAlgorithm::Hs256);
    let error = world.builder().dpop_signer(shared.unwrap()).build().unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("shared secret")), "{error}");
}

fn service(world: &World) -> ClientBuilder {
    let (id, secret) = DevServer::SERVICE_CLIENT;
    world.builder_of(id).authentication(ClientSecretBasic::new(secret)).grant(ClientCredentials)
}

#[tokio::test]
async fn a25_clients_that_get_tokens_by_themselves_have_a_key_too() {
    let world = strict();
    let session = service(&world).dpop(true).build().unwrap().session();
    let url = world.server.resource_url();
    assert_eq!(status(&session, &url).await, 200);
    let first = key(&world, &session).await.unwrap();
    world.expire();
    let elsewhere = service(&world).dpop(true).build().unwrap().session();
    assert_eq!(status(&elsewhere, &url).await, 200);
    assert_eq!(key(&world, &session).await.unwrap(), first);
    assert_eq!(world.server.stats().grant("client_credentials").successes, 2);

    // Nothing is lost with a key that cannot be read: there is another one. The tokens of the old one go with it.
    world.expire();
    let mut record = world.stored(&session).await.unwrap();
    record.dpop_key = Some(Secret::from("gone"));
    world.store.inner.lease(session.key(), Duration::ZERO).await.unwrap().save(&record).await.unwrap();
    let later = service(&world).dpop(true).build().unwrap().session();
    assert_eq!(status(&later, &url).await, 200);
    assert_ne!(key(&world, &session).await.unwrap(), first);
    assert_eq!(world.stored(&session).await.unwrap().tokens.len(), 1);

    // Switched off: a Bearer token, where the server gives one.
    let lenient = World::new();
    let session = service(&lenient).dpop(true).build().unwrap().session();
    session.token().await.unwrap();
    let plain = service(&lenient).build().unwrap().session();
    assert_eq!(status(&plain, &lenient.server.resource_url()).await, 200);
    assert_eq!(key(&lenient, &plain).await, None);
}

#[tokio::test]
async fn a25_tokens_that_a_program_brings() {
    let world = World::new();
    let (_, plain) = world.signed_in().await;
    let record = world.stored(&plain).await.unwrap();
    let mut token = record.tokens[0].to_token(record.refresh_token.as_ref());

    // A Bearer token is not sent, and its refresh token binds the next one.
    let session = bound(&world).account("adopted");
    session.adopt(token.clone()).await.unwrap();
    assert!(session.cached().is_none());
    assert_eq!(soon(session.token()).await.unwrap().token_type(), TokenType::DPoP);
    assert_eq!(status(&session, &world.server.resource_url()).await, 200);
    // Alone it is of no use.
    token.refresh_token = None;
    let error = bound(&world).account("alone").adopt(token.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("Bearer")), "{error}");
    // A bound one needs its key.
    token.token_type = TokenType::DPoP;
    for client in [bound(&world), world.client()] {
        let error = client.account("bound").adopt(token.clone()).await.unwrap_err();
        assert!(matches!(&error, Error::Configuration(text) if text.contains("dpop_signer")), "{error}");
    }
    let signer = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let own = world.builder().dpop_signer(signer.clone()).build().unwrap();
    let session = own.account("own");
    let bound_token = world.log_in(&session).await;
    let mut brought = Token::new(bound_token.secret().clone());
    brought.token_type = TokenType::DPoP;
    let adopted = own.account("brought");
    adopted.adopt(brought).await.unwrap();
    assert_eq!(status(&adopted, &world.server.resource_url()).await, 200);
}

#[tokio::test]
async fn a25_what_cannot_be_stored_keeps_its_key() {
    let world = strict();
    let session = bound(&world).session();
    world.store.fail_saves(3);
    world.log_in(&session).await;
    assert!(session.persist_error().is_some());
    let url = world.server.resource_url();
    assert_eq!(status(&session, &url).await, 200);
    world.expire();
    assert_eq!(status(&session, &url).await, 200);
    assert!(session.persist_error().is_none());
    assert!(key(&world, &session).await.is_some());
    world.assert_sound(&session).await;
    // And so does a login whose store panics while it saves.
    let other = bound(&world).account("other");
    world.store.panic_once_at(Step::Save);
    world.log_in(&other).await;
    assert_eq!(status(&other, &url).await, 200);
    assert!(key(&world, &other).await.is_some());
}

#[tokio::test]
async fn a25_a_hundred_callers_cost_one_refresh() {
    let world = World::with(|builder| builder.require_dpop(true));
    let session = bound(&world).session();
    world.log_in(&session).await;
    for _ in 0..3 {
        world.expire();
        let callers = (0..100).map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.token().await.unwrap() })
        });
        for caller in callers.collect::<Vec<_>>() {
            soon(caller).await.unwrap();
        }
    }
    assert_eq!(world.refresh_requests(), 3);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a25_proofs_for_programs_with_an_http_client_of_their_own() {
    let world = World::with(|builder| builder.dpop_nonces(1));
    let session = bound(&world).session();
    let token = world.log_in(&session).await;
    let url: Url = world.server.resource_url().parse().unwrap();
    let get = || async {
        let proof = session.dpop_proof(&Method::GET, &url, &token).await.unwrap().unwrap();
        assert!(proof.is_sensitive());
        let transport = jeton_client::ReqwestTransport::new(&jeton_client::HttpOptions::default()).unwrap();
        let request = http::Request::get(url.as_str())
            .header("authorization", token.authorization())
            .header("dpop", proof)
            .body(bytes::Bytes::new())
            .unwrap();
        let limits = jeton_client::Limits::default();
        let response = jeton_client::Transport::send(&transport, request, &limits).await.unwrap();
        (response.status(), response.headers().clone())
    };
    let (first, headers) = get().await;
    assert_eq!(first, 401);
    assert!(session.dpop_nonce(&url, first, &headers));
    let (second, headers) = get().await;
    assert_eq!(second, 200);
    assert!(!session.dpop_nonce(&url, second, &headers), "noted, and no reason to try again");
    assert_eq!(get().await.0, 200);

    // Without DPoP there is neither.
    let plain = World::new();
    let (_, session) = plain.signed_in().await;
    let token = session.token().await.unwrap();
    let url: Url = plain.server.resource_url().parse().unwrap();
    assert!(session.dpop_proof(&Method::GET, &url, &token).await.unwrap().is_none());
    assert!(!session.dpop_nonce(&url, first, &headers));
}

#[tokio::test]
async fn a25_a_body_that_is_a_stream_is_sent_once() {
    let world = World::with(|builder| builder.dpop_nonces(1));
    let session = bound(&world).session();
    world.log_in(&session).await;
    let url = world.server.resource_url();
    let post = || {
        let body = jeton_client::reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from("hello")));
        session.post(&url).body(body).send()
    };
    assert_eq!(soon(post()).await.unwrap().status(), 401);
    assert_eq!(api_requests(&world).len(), 1);
    // The nonce is known now.
    assert_eq!(soon(post()).await.unwrap().status(), 200);
}

#[cfg(feature = "tower")]
mod tower_layer {
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::client::legacy::Client as HttpClient;
    use hyper_util::rt::TokioExecutor;
    use jeton_client::{AuthenticationLayer, NoReplay};
    use tower::{Layer, ServiceExt};

    use super::*;

    #[tokio::test]
    async fn a25_the_layer_proves_each_request_too() {
        let world = World::with(|builder| builder.dpop_nonces(100));
        let session = bound(&world).session();
        world.log_in(&session).await;
        let http = HttpClient::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let url = world.server.url("/api/a%20b/c?d=e");
        let request = || http::Request::post(&url).body(Full::from("hello")).unwrap();
        let layer = AuthenticationLayer::new(session.clone());
        let service = layer.layer(http.clone());
        assert_eq!(soon(service.clone().oneshot(request())).await.unwrap().status(), 200);
        assert_eq!(api_requests(&world).len(), 2, "the nonce first");
        let proven = api_requests(&world)[1].dpop_claim("htu").unwrap();
        assert_eq!(proven, world.server.url("/api/a%20b/c"));
        world.server.forget_dpop_nonces();
        world.server.revoke_access_tokens();
        assert_eq!(soon(service.oneshot(request())).await.unwrap().status(), 200);
        assert_eq!(api_requests(&world).len(), 5);
        // What cannot be kept is sent once.
        world.server.forget_dpop_nonces();
        let service = layer.replay(NoReplay).layer(http);
        assert_eq!(soon(service.oneshot(request())).await.unwrap().status(), 401);
        assert_eq!(api_requests(&world).len(), 6);
        world.assert_sound(&session).await;
    }
}
