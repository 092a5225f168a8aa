//! Lines of the standards (by their ids) on the wire: through `Client` and `Session`, as a strict server sees them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jeton_client::{
    AccessToken, AuthorizationCode, Client, ClientCredentials, ClientSecretPost, DeviceCode, Error,
    ExtraParameters, FileStore, GrantError, HttpOptions, Limits, LoopbackRedirect, PendingLogin, Recovery,
    ReqwestTransport, ResourceOwnerPasswordCredentials, Scope, Session, Transport, Warning,
};
use jeton_devserver::{Client as Registered, DevServer, Endpoint, Fault, RecordedRequest, Rotation};
use jeton_grants::{ManualClock, TransportError, TransportErrorKind, bytes::Bytes, http};
use jeton_models::{
    AuthorizationResponseError, CodeChallengeMethod, Secret, UnusableReason, create_code_challenge,
    random_token,
};
use jeton_tests::browser::{get, get_with_host};
use jeton_tests::eventually;
use jeton_tests::person::{Browsing, Person, REDIRECT_URI, Typing, redirect, sign_in};
use jeton_tests::world::{LIFETIME, World};
use url::Url;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn confidential(world: &World) -> Session {
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    world.client(id).client_secret(secret).build().unwrap().session()
}

fn service(world: &World) -> Session {
    let (id, secret) = DevServer::SERVICE_CLIENT;
    world.client(id).client_secret(secret).grant(ClientCredentials).build().unwrap().session()
}

fn grant_error(error: &Error) -> &GrantError {
    match error {
        Error::Grant(error) => error,
        other => panic!("not an error of the server: {other:?}"),
    }
}

fn answer_error(error: &Error) -> &AuthorizationResponseError {
    match grant_error(error) {
        GrantError::AuthorizationResponse(error) => error,
        other => panic!("not about the redirected URL: {other:?}"),
    }
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

/// The same URL with one query parameter set to another value, or taken out.
fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = url.clone();
    let kept = url.query_pairs().filter(|(known, _)| known != name);
    let added = value.map(|value| (name.into(), value.into()));
    changed.query_pairs_mut().clear().extend_pairs(kept.chain(added));
    changed
}

/// Every grant of the devserver, each followed by a refresh where it has a refresh token.
async fn every_grant(world: &World) {
    sign_in(&world.server, &confidential(world)).await.unwrap();
    confidential_refresh(world).await;
    service(world).token().await.unwrap();
    let (name, password) = DevServer::ALICE;
    let grant = ResourceOwnerPasswordCredentials::new(name, password);
    let by_password = world.client(DevServer::PASSWORD_CLIENT).grant(grant).build().unwrap().session();
    by_password.token().await.unwrap();
    by_password.refresh().await.unwrap();
    let person = Person::at_a_device(&world.server, Typing::Approves);
    let by_device = world
        .public_client()
        .scope("read write")
        .grant(DeviceCode::new())
        .interaction(person)
        .build()
        .unwrap()
        .session();
    by_device.log_in().await.unwrap();
    by_device.refresh().await.unwrap();
    by_device.log_out().await.unwrap();
}

async fn confidential_refresh(world: &World) {
    let (id, secret) = DevServer::POST_CLIENT;
    let session = world.client(id).authentication(ClientSecretPost::new(secret)).build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn a01_basic_is_form_encoded_joined_and_base64() {
    let world = World::new();
    let session = confidential(&world);
    sign_in(&world.server, &session).await.unwrap();
    session.refresh().await.unwrap();
    let pair = "confidential+app%3A1%25:p%40ss%3Aw%2Frd+%2B%25%26%C3%A9";
    let requests = world.token_requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.header("authorization"), Some(&*format!("Basic {}", STANDARD.encode(pair))));
    }
}

#[tokio::test]
async fn a02_one_client_authentication_method_per_request() {
    let world = World::new();
    every_grant(&world).await;
    sign_in(&world.server, &confidential(&world)).await.unwrap();
    let endpoints = [Endpoint::Token, Endpoint::DeviceAuthorization, Endpoint::Revocation];
    let requests: Vec<RecordedRequest> =
        endpoints.into_iter().flat_map(|endpoint| world.recorded(endpoint)).collect();
    assert!(requests.len() >= 10);
    for request in &requests {
        let by_header = request.header("authorization").is_some();
        let by_secret = request.form_value("client_secret").is_some();
        let by_name = request.form_value("client_id").is_some() && !by_secret;
        assert_eq!([by_header, by_secret, by_name].into_iter().filter(|yes| *yes).count(), 1, "{request:?}");
    }

    // A second one through the back door is refused before anything is sent.
    let before = world.token_requests().len();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let mut extra = ExtraParameters::default();
    extra.token.append("client_secret", "another").unwrap();
    let session = world
        .client(id)
        .client_secret(secret)
        .grant(ClientCredentials)
        .extra_parameters(extra)
        .build()
        .unwrap()
        .session();
    let error = session.token().await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::TwoAuthentications), "{error:?}");
    assert_eq!(world.token_requests().len(), before);
}

#[tokio::test]
async fn a03_token_requests_are_forms_without_empty_or_repeated_parameters() {
    let world = World::new();
    every_grant(&world).await;
    let mut extra = ExtraParameters::default();
    extra.token.append("empty", "").unwrap();
    let with_extra = |extra| {
        let (id, secret) = DevServer::SERVICE_CLIENT;
        let client = world.client(id).client_secret(secret).grant(ClientCredentials).scope("");
        client.extra_parameters(extra).build().unwrap().account("extra")
    };
    with_extra(extra).token().await.unwrap();

    let requests = world.token_requests();
    let grants: HashSet<&str> =
        requests.iter().filter_map(|request| request.form_value("grant_type")).collect();
    assert_eq!(
        grants,
        ["authorization_code", "client_credentials", "password", "refresh_token", DEVICE_CODE].into()
    );
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert!(request.query.is_empty(), "nothing in the URL");
        let mut names = HashSet::new();
        for (name, value) in &request.form {
            assert!(!value.is_empty(), "{name} is empty: {request:?}");
            assert!(names.insert(name), "{name} is repeated: {request:?}");
        }
    }

    let mut extra = ExtraParameters::default();
    extra.token.append("grant_type", "password").unwrap();
    let error = with_extra(extra).refresh().await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::Parameter(_)), "{error:?}");
    assert_eq!(error.recovery(), Recovery::FixRequest);
    assert_eq!(world.token_requests().len(), requests.len(), "nothing was sent");
}

#[tokio::test]
async fn a04_the_redirect_uri_is_byte_identical() {
    let uris = [
        "https://app.example/cb?a=b%20c&x=%2F",
        "http://127.0.0.1:50123/callback",
        "https://app.example:8443/%7Ecb/",
    ];
    let registered =
        uris.iter().fold(Registered::public("odd redirects"), |client, uri| client.redirect_uri(*uri));
    let world = World::with(|server| server.client(registered));
    let session = world.client("odd redirects").build().unwrap().session();
    for uri in uris {
        let (url, pending) = session.begin_log_in(uri).await.unwrap();
        session.finish_log_in(pending, &redirect(&world.server, &url)).await.unwrap();
        let authorization = world.server.last_request(Endpoint::Authorization).unwrap();
        let exchange = world.server.last_request(Endpoint::Token).unwrap();
        assert_eq!(authorization.query_value("redirect_uri"), Some(uri));
        assert_eq!(exchange.form_value("redirect_uri"), Some(uri));
    }
}

#[tokio::test]
async fn a05_state_has_128_bits_is_bound_to_the_login_and_works_once() {
    let world = World::new();
    let client = world.public_client().build().unwrap();
    let session = client.session();
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    let state = pending.state().expose().to_owned();
    assert!(
        state.len() >= 22 && state.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let answer = redirect(&world.server, &url);

    // Rejected before code or error is acted on.
    let wrong = random_token(32);
    let denial =
        Url::parse(&format!("{REDIRECT_URI}?error=access_denied&error_description=mallory")).unwrap();
    let cases = [
        (with(&answer, "state", None), AuthorizationResponseError::StateAbsent),
        (with(&answer, "state", Some(wrong.expose())), AuthorizationResponseError::StateMismatch),
        (with(&answer, "state", Some(&state[1..])), AuthorizationResponseError::StateMismatch),
        (denial.clone(), AuthorizationResponseError::StateAbsent),
        (with(&denial, "state", Some(wrong.expose())), AuthorizationResponseError::StateMismatch),
    ];
    for (redirected, expected) in cases {
        let (_, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        assert_eq!(answer_error(&error), &expected);
        assert!(!format!("{error} {error:?}").contains("mallory"), "{error:?}");
    }
    assert_eq!(world.token_requests().len(), 0);

    // Single use, also for a pending login that was kept outside and read twice.
    let kept = serde_json::to_string(&pending).unwrap();
    session.finish_log_in(pending, &answer).await.unwrap();
    let again = || serde_json::from_str::<PendingLogin>(&kept).unwrap();
    let error = session.finish_log_in(again(), &answer).await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::PendingLoginUsed), "{error:?}");
    let error = client.account("another").finish_log_in(again(), &answer).await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::PendingLoginUsed), "{error:?}");
    // Begun for a named account, it works for no other.
    let (url, pending) = client.account("alice").begin_log_in(REDIRECT_URI).await.unwrap();
    let error = session.finish_log_in(pending, &redirect(&world.server, &url)).await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::PendingLoginForeign { .. }), "{error:?}");
    assert_eq!(world.requests_of("authorization_code"), 1);
    assert_eq!(
        world.server.live_logins(),
        1,
        "the server has not seen the code twice, which would end the login"
    );

    // And it expires.
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    world.clock.advance(Duration::from_secs(300));
    let error = session.finish_log_in(pending, &redirect(&world.server, &url)).await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::PendingLoginExpired), "{error:?}");
}

#[tokio::test]
async fn a06_token_type_unknown_members_and_absent_scope() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let session = || {
        let (id, secret) = DevServer::SERVICE_CLIENT;
        let store = FileStore::new(folder.path().join("logins"));
        let client =
            world.client(id).client_secret(secret).grant(ClientCredentials).scope("read write").store(store);
        client.build().unwrap().session()
    };
    // Case does not matter, and what goes out is `Bearer`.
    for token_type in ["Bearer", "bearer", "BEARER"] {
        world.server.fault(Endpoint::Token, Fault::set("token_type", token_type));
        let session = session();
        let token = session.refresh().await.unwrap();
        assert!(token.authorization().to_str().unwrap().starts_with("Bearer "));
        assert_eq!(session.get(&world.server.resource_url()).send().await.unwrap().status(), 200);
    }
    // An unknown type is unusable, and no older token is put in its place.
    for token_type in ["mac", "PoP"] {
        world.server.fault(Endpoint::Token, Fault::set("token_type", token_type));
        let error = session().refresh().await.unwrap_err();
        let GrantError::Unusable { answer, .. } = grant_error(&error) else { panic!("{error:?}") };
        assert!(matches!(answer.reason, UnusableReason::TokenType(_)));
        assert_eq!(error.recovery(), Recovery::GiveUp);
    }
    // Unknown members are kept, also over a restart; an absent scope is the requested one.
    let answer = Fault::rewrite(|mut answer| {
        answer.as_object_mut().unwrap().remove("scope");
        answer["instance_url"] = "https://eu7.example".into();
        answer["nested"] = serde_json::json!({"a": [1, 2]});
        answer
    });
    world.server.fault(Endpoint::Token, answer);
    let first = session().refresh().await.unwrap();
    let second = session().token().await.unwrap();
    assert_eq!(first.secret(), second.secret(), "from the store");
    for token in [first, second] {
        assert_eq!(token.extra().get_str("instance_url"), Some("https://eu7.example"));
        assert_eq!(token.extra().get("nested"), Some(&serde_json::json!({"a": [1, 2]})));
        assert_eq!(token.scope(), Some(&scope("read write")));
    }
}

#[tokio::test]
async fn a07_refresh_scope_and_refresh_token() {
    let world = World::new();
    let session = world.public_client().scope("read write").build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();

    // Omitted unless a part of it is wanted.
    session.refresh().await.unwrap();
    assert_eq!(last_refresh(&world).form_value("scope"), None);
    let narrow = session.with_scope(scope("read")).token().await.unwrap();
    assert_eq!(last_refresh(&world).form_value("scope"), Some("read"));
    assert_eq!(narrow.scope(), Some(&scope("read")));
    let whole = session.refresh().await.unwrap();
    assert_eq!(last_refresh(&world).form_value("scope"), None);
    assert_eq!(whole.scope(), Some(&scope("read write")), "the login has not become narrower");

    // A new one replaces the old: none is ever sent twice.
    let sent: Vec<String> = refresh_tokens_sent(&world);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);

    // None returned keeps the old one.
    let world = World::with(|server| server.refresh_token_rotation(Rotation::Off));
    let session = world.public_client().build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    for _ in 0..3 {
        session.refresh().await.unwrap();
    }
    let sent = refresh_tokens_sent(&world);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 1);
}

fn last_refresh(world: &World) -> RecordedRequest {
    let last = world.server.last_request(Endpoint::Token).unwrap();
    assert_eq!(last.form_value("grant_type"), Some("refresh_token"));
    last
}

fn refresh_tokens_sent(world: &World) -> Vec<String> {
    let requests = world.token_requests();
    requests.iter().filter_map(|request| request.form_value("refresh_token").map(str::to_owned)).collect()
}

#[tokio::test]
async fn a12_pkce_is_s256_with_a_fresh_verifier_and_never_plain() {
    let world = World::new();
    // For confidential clients, too (RFC 9700 §2.1.1).
    let mut verifiers = HashSet::new();
    for session in [world.public_client().build().unwrap().session(), confidential(&world)] {
        for _ in 0..2 {
            sign_in(&world.server, &session).await.unwrap();
            let authorization = world.server.last_request(Endpoint::Authorization).unwrap();
            let exchange = world.server.last_request(Endpoint::Token).unwrap();
            let verifier = exchange.form_value("code_verifier").unwrap();
            assert!((43..=128).contains(&verifier.len()), "256 bits are 43 characters of base64url");
            assert!(verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
            assert_eq!(
                authorization.query_value("code_challenge_method"),
                Some(CodeChallengeMethod::S256.as_str())
            );
            let challenge = create_code_challenge(&Secret::from(verifier));
            assert_eq!(authorization.query_value("code_challenge"), Some(challenge.as_str()));
            assert!(verifiers.insert(verifier.to_owned()));
        }
    }

    // A server that has nothing but plain is not logged in to.
    for methods in [serde_json::json!(["plain"]), serde_json::json!([])] {
        let world = World::new();
        world
            .server
            .fault_always(Endpoint::Metadata, Fault::set("code_challenge_methods_supported", methods));
        let session = world.public_client().build().unwrap().session();
        let error = session.begin_log_in(REDIRECT_URI).await.unwrap_err();
        assert!(matches!(grant_error(&error), GrantError::NoS256 { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a14_loopback_redirect() {
    let world = World::paused();
    let other = World::paused();
    let begun = |world: &World| {
        let person = Person::new(&world.server, Browsing::GoesAway);
        let grant = AuthorizationCode::new(LoopbackRedirect::new());
        let session =
            world.public_client().grant(grant).interaction(person.clone()).build().unwrap().session();
        (tokio::spawn(async move { session.log_in().await }), person)
    };
    let (login, person) = begun(&world);
    let (other_login, other_person) = begun(&other);
    eventually("both logins wait", || person.seen().len() + other_person.seen().len() == 2).await;
    let (seen, other_seen) = (person.seen().remove(0), other_person.seen().remove(0));

    // Loopback by address, an ephemeral port, one redirect URI per server.
    let uri = Url::parse(&seen.redirect_uri).unwrap();
    let port = uri.port().unwrap();
    assert!(matches!(uri.host_str(), Some("127.0.0.1" | "[::1]")), "{uri}");
    assert!(port >= 1024);
    assert_ne!(seen.redirect_uri, other_seen.redirect_uri);

    // Strays are answered, and the wait goes on: another path, no state, another login's answer, DNS rebinding.
    let answer = redirect(&world.server, &seen.url);
    let other_answer = redirect(&other.server, &other_seen.url);
    let mut mixed_up = other_answer.clone();
    mixed_up.set_port(Some(port)).unwrap();
    let elsewhere = uri.join("/favicon.ico").unwrap();
    let rebound = answer.clone();
    let stray_statuses = tokio::task::spawn_blocking(move || {
        let visits = [
            get(&elsewhere),
            get(&uri),
            get(&mixed_up),
            get_with_host(&rebound, &format!("evil.example:{port}")),
        ];
        visits.map(|page| page.unwrap().status)
    });
    assert_eq!(stray_statuses.await.unwrap(), [404, 400, 400, 421]);
    assert!(!login.is_finished());
    assert_eq!(world.token_requests().len(), 0);

    // The right one ends it; then the listener is closed.
    for (answer, login) in [(answer, login), (other_answer, other_login)] {
        let port = answer.port().unwrap();
        let page = tokio::task::spawn_blocking(move || get(&answer)).await.unwrap().unwrap();
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        login.await.unwrap().unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "closed after the answer");
    }
}

/// Notes on the shared clock when each request goes to the token endpoint.
struct Timed {
    inner: ReqwestTransport,
    clock: ManualClock,
    polls: Arc<Mutex<Vec<SystemTime>>>,
    /// The first so many polls are given up after a moment.
    impatient: usize,
}

#[async_trait]
impl Transport for Timed {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut limits = limits.clone();
        if request.uri().path().ends_with("/token") {
            let mut polls = self.polls.lock().unwrap();
            polls.push(jeton_grants::Clock::now(&self.clock));
            if polls.len() <= self.impatient {
                limits.timeout = Duration::from_millis(200);
            }
        }
        self.inner.send(request, &limits).await
    }
}

/// A device login, and the seconds between its beginning and each poll.
async fn device_login(world: &World, typing: Typing) -> (Result<AccessToken, Error>, Vec<u64>) {
    impatient_device_login(world, typing, 0).await
}

/// The same; the first so many polls get no answer in time.
async fn impatient_device_login(
    world: &World,
    typing: Typing,
    impatient: usize,
) -> (Result<AccessToken, Error>, Vec<u64>) {
    let polls = Arc::new(Mutex::new(Vec::new()));
    let transport = Timed {
        inner: ReqwestTransport::new(&HttpOptions::new()).unwrap(),
        clock: world.clock.clone(),
        polls: polls.clone(),
        impatient,
    };
    let client = world
        .public_client()
        .grant(DeviceCode::new())
        .interaction(Person::at_a_device(&world.server, typing))
        .transport(transport)
        .build()
        .unwrap();
    client.metadata().await.unwrap();
    let began = world.server.now();
    let result = client.session().log_in().await;
    let polls = polls.lock().unwrap();
    (result, polls.iter().map(|at| at.duration_since(began).unwrap().as_secs()).collect())
}

#[tokio::test]
async fn a16_device_polling() {
    // The interval is 5 s if the server names none; pending goes on.
    let patient = |server: jeton_devserver::Builder| server.device_auto_approve_after_polls(Some(3));
    let world = World::with(|server| patient(server).device_interval(None));
    let (token, polls) = device_login(&world, Typing::Ignores).await;
    token.unwrap();
    assert_eq!(polls, [5, 10, 15, 20]);

    // The server's own interval.
    let world = World::with(|server| patient(server).device_interval(Some(8)));
    let (token, polls) = device_login(&world, Typing::Ignores).await;
    token.unwrap();
    assert_eq!(polls, [8, 16, 24, 32]);

    // slow_down adds 5 s for good.
    let world = World::with(patient);
    [Fault::SlowDown, Fault::SlowDown]
        .into_iter()
        .for_each(|fault| world.server.fault(Endpoint::Token, fault));
    let (token, polls) = device_login(&world, Typing::Ignores).await;
    token.unwrap();
    assert_eq!(polls, [5, 15, 30, 45, 60, 75], "intervals of 5, 10 and then 15 s");
    assert_eq!(world.server.stats().grant(DEVICE_CODE).successes, 1);

    // A connection timeout backs off exponentially.
    let world = World::new();
    world.server.fault_times(Endpoint::Token, Fault::Hang, 2);
    let (token, polls) = impatient_device_login(&world, Typing::Approves, 2).await;
    token.unwrap();
    assert_eq!(polls, [5, 15, 35]);

    // It ends at `expires_in`.
    let world = World::with(|server| server.device_code_lifetime(Duration::from_secs(22)));
    let (token, polls) = device_login(&world, Typing::Ignores).await;
    let error = token.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::DeviceCodeExpired), "{error:?}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(polls, [5, 10, 15, 20]);

    // Other errors end it at once.
    let (token, polls) = device_login(&World::new(), Typing::Denies).await;
    assert_eq!(token.unwrap_err().oauth_error().unwrap().code(), "access_denied");
    assert_eq!(polls, [5]);
    for code in ["expired_token", "invalid_grant", "invalid_client", "a_code_of_its_own"] {
        let world = World::new();
        world.server.fault(Endpoint::Token, Fault::oauth_error(code));
        let (token, polls) = device_login(&world, Typing::Ignores).await;
        assert_eq!(token.unwrap_err().oauth_error().unwrap().code(), code);
        assert_eq!(polls, [5], "{code}");
    }
}

#[tokio::test]
async fn a23_iss_is_compared_as_a_plain_string() {
    let world = World::new();
    let session = world.public_client().build().unwrap().session();
    let issuer = world.server.issuer().to_owned();
    let answer_to = |url: &Url| redirect(&world.server, url);

    // After form-decoding.
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    let answer = answer_to(&url);
    assert!(answer.query().unwrap().contains("iss=http%3A%2F%2F127.0.0.1"), "{answer}");
    session.finish_log_in(pending, &answer).await.unwrap();
    let asked = world.token_requests().len();

    let mismatch = AuthorizationResponseError::IssuerMismatch { expected: issuer.clone() };
    let absent = AuthorizationResponseError::IssuerAbsent { expected: issuer.clone() };
    let mut others =
        vec![Some("https://evil.example".to_owned()), Some(format!("{issuer}/")), Some(String::new())];
    others.extend([Some(issuer.to_uppercase()), Some(issuer.replace("127.0.0.1", "localhost")), None]);
    for iss in others {
        // The same for a code and for an error.
        for denied in [false, true] {
            let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
            if denied {
                world.server.deny_next_authorization();
            }
            let answer = with(&answer_to(&url), "iss", iss.as_deref());
            let error = session.finish_log_in(pending, &answer).await.unwrap_err();
            let expected = if iss.is_some() { &mismatch } else { &absent };
            assert_eq!(answer_error(&error), expected, "iss {iss:?}, denied {denied}");
        }
    }
    assert_eq!(world.token_requests().len(), asked, "no code went to a token endpoint");

    // Not advertised: absent is fine, a wrong one is not.
    let world = World::with(|server| server.advertise_iss(false));
    let session = world.public_client().build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    let answer = with(&redirect(&world.server, &url), "iss", Some("https://evil.example"));
    let error = session.finish_log_in(pending, &answer).await.unwrap_err();
    assert!(matches!(answer_error(&error), AuthorizationResponseError::IssuerMismatch { .. }));
}

#[tokio::test]
async fn a20_access_tokens_are_opaque() {
    // It looks like a JWT of another issuer that expired long ago and says more than was granted; one is damaged.
    let claims = br#"{"iss":"https://other.example","exp":1,"scope":"admin","aud":"nobody"}"#;
    let jwt = format!("eyJhbGciOiJub25lIn0.{}.", URL_SAFE_NO_PAD.encode(claims));
    for opaque in [jwt.as_str(), "eyJhbGciOiJub25lIn0.e30", "a.b.c", "~.~._-/+=="] {
        let world = World::new();
        world.server.fault(Endpoint::Token, Fault::set("access_token", opaque));
        let session = world.public_client().scope("read").build().unwrap().session();
        sign_in(&world.server, &session).await.unwrap();
        let token = session.token().await.unwrap();
        assert_eq!(token.secret().expose(), opaque);
        assert_eq!(token.authorization(), &format!("Bearer {opaque}"));
        assert_eq!(token.expires_at(), Some(world.server.now() + LIFETIME), "what the answer said counts");
        assert_eq!(token.scope(), Some(&scope("read")));
        assert_eq!(token.warnings(), []);
        assert_eq!(world.token_requests().len(), 1, "it is taken as valid");
    }
}

#[tokio::test]
async fn a27_code_flow_alone_with_pkce_and_no_refresh_token_is_sent_twice() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    // Two programs that share a store and know nothing of each other.
    let [one, other] = [(); 2].map(|()| {
        let client =
            world.client(id).client_secret(secret).store(FileStore::new(folder.path().join("logins")));
        client.build().unwrap().session()
    });
    sign_in(&world.server, &one).await.unwrap();
    for request in world.recorded(Endpoint::Authorization) {
        assert_eq!(request.query_value("response_type"), Some("code"), "nothing implicit");
        assert_eq!(
            request.query_value("code_challenge_method"),
            Some("S256"),
            "for confidential clients, too"
        );
        assert_eq!(request.query_value("client_secret"), None);
    }
    for round in 0..6 {
        let (first, second) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        first.refresh().await.unwrap();
        world.pass_an_expiry();
        second.token().await.unwrap();
        // The first one's memory has a token of before: it takes over what the other one got.
        first.refresh().await.unwrap();
    }
    let sent = refresh_tokens_sent(&world);
    assert_eq!(sent.len(), 12);
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 12);
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
}

#[tokio::test]
async fn a33_https_but_for_loopback() {
    for url in ["http://as.example", "http://192.0.2.1", "http://127.0.0.1.as.example", "ftp://127.0.0.1"] {
        for builder in [
            Client::builder("c").issuer(url),
            Client::builder("c").token_endpoint(format!("{url}/token")),
            Client::builder("c")
                .issuer("https://as.example")
                .authorization_endpoint(format!("{url}/authorize")),
            Client::builder("c").issuer("https://as.example").revocation_endpoint(format!("{url}/revoke")),
            Client::builder("c").issuer("https://as.example").resource_server(url),
        ] {
            let error = builder.build().unwrap_err();
            assert!(matches!(error, Error::Configuration(_)), "{error:?}");
            assert_eq!(error.recovery(), Recovery::FixConfiguration);
        }
    }
    // What discovery finds is held to the same.
    let world = World::new();
    world.server.fault_always(Endpoint::Metadata, Fault::set("token_endpoint", "http://as.example/token"));
    let error = service(&world).token().await.unwrap_err();
    assert!(matches!(grant_error(&error), GrantError::Metadata(_)), "{error:?}");
}

#[tokio::test]
async fn a33_no_redirects_on_server_endpoints() {
    let elsewhere = DevServer::recorder().unwrap();
    let away = || Fault::Redirect(format!("{}/take", elsewhere.url()));
    let redirected = |error: &Error| {
        assert!(matches!(grant_error(error), GrantError::Redirected { status: 307, .. }), "{error:?}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    };
    let world = World::new();
    world.server.fault(Endpoint::Token, away());
    redirected(&service(&world).token().await.unwrap_err());

    let person = Person::at_a_device(&world.server, Typing::Approves);
    let session =
        world.public_client().grant(DeviceCode::new()).interaction(person).build().unwrap().session();
    world.server.fault(Endpoint::DeviceAuthorization, away());
    redirected(&session.log_in().await.unwrap_err());

    session.log_in().await.unwrap();
    world.server.fault(Endpoint::Token, away());
    redirected(&session.refresh().await.unwrap_err());
    world.server.fault(Endpoint::Revocation, away());
    redirected(&session.log_out().await.unwrap().revocation_error.unwrap());

    for endpoint in [Endpoint::Metadata, Endpoint::OpenIdConfiguration] {
        world.server.fault_always(endpoint, away());
    }
    redirected(&service(&world).token().await.unwrap_err());
    assert_eq!(elsewhere.requests().len(), 0, "nothing went elsewhere");
}

#[tokio::test]
async fn a33_unusable_answers_are_told_as_what_they_are() {
    let html = "<!DOCTYPE html><title>Sign in to the Wi-Fi</title>";
    let token = r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":60}"#;
    let encoded = |body: Vec<u8>| Fault::Answer {
        status: 200,
        headers: [("content-type", "application/json"), ("content-encoding", "gzip")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body,
    };
    let unusable = [
        (Fault::answer(200, "text/html", html), UnusableReason::Markup),
        (Fault::answer(200, "application/json", ""), UnusableReason::Empty),
        (Fault::answer(200, "application/json", &token[..30]), UnusableReason::NotJson),
        (Fault::answer(200, "application/json", "[]"), UnusableReason::NotAnObject),
        (Fault::answer(200, "application/json", "{}"), UnusableReason::Member("access_token")),
        (
            Fault::answer(200, "application/json", r#"{"access_token":7}"#),
            UnusableReason::Member("access_token"),
        ),
        (Fault::answer(502, "text/html", html), UnusableReason::Markup),
        (Fault::answer(500, "application/json", r#"{"a":1}"#), UnusableReason::Status),
        // Compression is not asked for and not undone: a bomb stays as small as it came.
        (
            encoded(gzip_bomb(r#"{"access_token":"b0mb","token_type":"Bearer","#, 16 << 20, r#""a":1}"#)),
            UnusableReason::NotJson,
        ),
    ];
    let world = World::new();
    for (fault, reason) in unusable {
        let shown = format!("{fault:?}");
        world.server.fault(Endpoint::Token, fault);
        let error = service(&world).token().await.unwrap_err();
        let GrantError::Unusable { answer, .. } = grant_error(&error) else { panic!("{shown}: {error:?}") };
        assert_eq!(answer.reason, reason, "{shown}");
        let text = error.to_string();
        assert!(text.contains(&answer.status.to_string()), "{text}");
        assert!(text.contains(answer.content_type.as_deref().unwrap()), "{text}");
        assert!(!format!("{text} {error:?}").contains("t0k3n"), "not even half a token is shown: {text}");
    }

    // A connection that is cut within the body, and a body over the cap.
    for (fault, kind) in [
        (Fault::TruncateAfter(20), TransportErrorKind::Interrupted),
        (Fault::DropBeforeCommit, TransportErrorKind::Interrupted),
        (Fault::HugeBody((1 << 20) + 1), TransportErrorKind::BodyTooLarge),
        (Fault::HugeBody(1 << 40), TransportErrorKind::BodyTooLarge),
    ] {
        world.server.fault(Endpoint::Token, fault);
        let error = service(&world).token().await.unwrap_err();
        let GrantError::Transport { source, .. } = grant_error(&error) else { panic!("{error:?}") };
        assert_eq!(source.kind(), kind);
    }

    // JSON under a wrong content type, and an error under 200.
    world.server.fault_times(Endpoint::Token, Fault::ContentType("text/html".to_owned()), 2);
    let token = service(&world).token().await.unwrap();
    assert!(token.warnings().contains(&Warning::ContentType));
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let strict = world
        .client(id)
        .client_secret(secret)
        .grant(ClientCredentials)
        .strict(true)
        .build()
        .unwrap()
        .session();
    let error = strict.token().await.unwrap_err();
    let GrantError::Unusable { answer, .. } = grant_error(&error) else { panic!("{error:?}") };
    assert_eq!(answer.reason, UnusableReason::Strict(Warning::ContentType));
    world
        .server
        .fault(Endpoint::Token, Fault::answer(200, "application/json", r#"{"error":"invalid_client"}"#));
    let error = service(&world).token().await.unwrap_err();
    assert_eq!(
        (error.oauth_error().unwrap().code(), error.oauth_error().unwrap().status),
        ("invalid_client", 200)
    );
}

#[tokio::test]
async fn a33_queries_and_echoed_secrets_are_redacted() {
    let world = World::new();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = world
        .client(id)
        .client_secret(secret)
        .grant(ClientCredentials)
        .token_endpoint(format!("{}?api_key=k3y", world.server.token_url()));
    let session = client.build().unwrap().session();
    world.server.fault(
        Endpoint::Token,
        Fault::Sequence(vec![Fault::OAuthError {
            status: 401,
            error: "invalid_client".to_owned(),
            description: Some(format!("bad secret {secret} in the request")),
        }]),
    );
    let error = session.token().await.unwrap_err();
    let shown = format!("{error} {error:?} {error:#?}");
    assert!(shown.contains("bad secret [redacted] in the request"), "{shown}");
    assert!(!shown.contains(secret) && !shown.contains("k3y"), "{shown}");
    assert!(shown.contains(&world.server.token_url()), "where it was is told: {shown}");
}

/// A gzip file of `begin`, that many spaces (rounded to whole runs) and `end`: a few hundred bytes per hundred thousand.
fn gzip_bomb(begin: &str, spaces: usize, end: &str) -> Vec<u8> {
    /// The longest run that DEFLATE can name (RFC 1951 §3.2.5).
    const RUN: usize = 258;
    let mut bits = Bits::default();
    let mut content: Vec<u8> = begin.bytes().chain([b' ']).collect();
    bits.push(0b1, 1); // the last block
    bits.push(0b01, 2); // with the fixed codes (§3.2.6)
    content.iter().for_each(|byte| bits.literal(*byte));
    for _ in 0..spaces / RUN {
        bits.code(0b1100_0101, 8); // length 258,
        bits.code(0, 5); // distance 1
    }
    content.resize(content.len() + spaces / RUN * RUN, b' ');
    end.bytes().for_each(|byte| bits.literal(byte));
    content.extend_from_slice(end.as_bytes());
    bits.code(0, 7); // the end of the block

    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.extend(bits.bytes);
    file.extend(crc32(&content).to_le_bytes());
    file.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    assert!(file.len() * 100 < content.len());
    file
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// The lowest bit first.
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// A Huffman code, which stands with its highest bit first.
    fn code(&mut self, value: u32, count: u32) {
        (0..count).rev().for_each(|bit| self.push(value >> bit & 1, 1));
    }

    fn literal(&mut self, byte: u8) {
        assert!(byte < 144);
        self.code(0x30 + u32::from(byte), 8);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256)
        .map(|index| {
            (0..8).fold(index, |value, _| (value >> 1) ^ if value & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
        .collect();
    !bytes.iter().fold(u32::MAX, |crc, byte| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}
