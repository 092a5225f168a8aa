//! The fifteen defects of the reference system, each as one test that a client with that defect would fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use jeton_client::{
    AuthorizationCode, Client, ClientCredentials, ClientSecretPost, DeviceCode, Error, ExtraParameters,
    FileStore, GrantError, Limits, LoginRequired, LoopbackRedirect, Recovery,
    ResourceOwnerPasswordCredentials, Session, Warning,
};
use jeton_devserver::{DevServer, Endpoint, Fault, Rotation};
use jeton_grants::{InteractionError, LoginOutcome, RedirectEndpoint as _, TransportErrorKind};
use jeton_models::{AuthorizationResponseError, Secret, Token, create_code_challenge, random_token};
use jeton_tests::browser::PATIENCE;
use jeton_tests::person::{Browsing, Person, REDIRECT_URI, Typing, redirect, sign_in};
use jeton_tests::world::World;
use jeton_tests::{eventually, log};
use serde_json::{Value, json};
use url::Url;

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

#[tokio::test]
async fn defect_01_the_token_never_travels_to_another_origin() {
    let world = World::new();
    let elsewhere = DevServer::recorder().unwrap();
    let session = world.public_client().build().unwrap().session();
    let token = sign_in(&world.server, &session).await.unwrap();

    for status in [301, 302, 303, 307, 308] {
        for target in [elsewhere.url().to_owned(), elsewhere.url().replace("127.0.0.1", "localhost")] {
            let url = world.server.url(&format!("/api/redirect?to={target}/landing&status={status}"));
            for request in [session.get(&url), session.post(&url).body("x")] {
                assert_eq!(request.send().await.unwrap().status(), 200, "the redirect itself is followed");
            }
        }
    }
    let arrived = elsewhere.requests();
    assert_eq!(arrived.len(), 20);
    for request in &arrived {
        assert_eq!(request.header("authorization"), None);
        // Neither under another name nor in the URL.
        let everything = request.headers.iter().chain(&request.query).chain(&request.form);
        assert!(everything.into_iter().all(|(_, value)| !value.contains(token.secret().expose())));
    }

    // Asked for directly, it is not even sent.
    let error = session.get(&format!("{}/x", elsewhere.url())).send().await.unwrap_err();
    assert!(matches!(error, Error::ForeignOrigin { .. }), "{error:?}");
    assert_eq!(elsewhere.requests().len(), 20);

    // Within the origin it goes along: what is tested above is not that redirects lose it anywhere.
    let url = world.server.url(&format!("/api/redirect?to={}&status=307", world.server.resource_url()));
    assert_eq!(session.get(&url).send().await.unwrap().status(), 200);
    let landed = world.server.last_request(Endpoint::Resource).unwrap();
    assert_eq!((landed.path.as_str(), landed.bearer()), ("/api/me", Some(token.secret().expose())));
}

#[tokio::test]
async fn defect_02_state_is_sent_and_checked() {
    let world = World::new();
    let session = world.public_client().build().unwrap().session();
    let mut states = HashSet::new();
    for _ in 0..3 {
        let (url, _) = session.begin_log_in(REDIRECT_URI).await.unwrap();
        let state = parameter(&url, "state").expect("state is sent");
        assert!(state.len() >= 22, "128 bits need 22 characters of base64url");
        assert!(states.insert(state), "a fresh one for each login");
    }

    // The answer to another login of the same client, without state, and with one of the right length.
    let (other, _) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    let others_answer = redirect(&world.server, &other);
    let wrong = [
        others_answer.clone(),
        without(&others_answer, "state"),
        with(&others_answer, "state", random_token(32).expose()),
        with(&others_answer, "state", ""),
    ];
    for redirected in wrong {
        let (_, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        let GrantError::AuthorizationResponse(error) = grant_error(&error) else { panic!("{error:?}") };
        assert!(
            matches!(
                error,
                AuthorizationResponseError::StateAbsent | AuthorizationResponseError::StateMismatch
            ),
            "{error:?}"
        );
    }
    assert_eq!(world.token_requests().len(), 0, "no code of a stranger's is redeemed");

    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    session.finish_log_in(pending, &redirect(&world.server, &url)).await.unwrap();
}

#[tokio::test]
async fn defect_03_the_listener_binds_loopback_only_and_one_port_for_both_protocols() {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let state = random_token(32);
    let mut receiver = LoopbackRedirect::new().open(&state).await.unwrap();
    let uri = Url::parse(receiver.redirect_uri()).unwrap();
    let port = uri.port().unwrap();
    assert_eq!(uri.host_str(), Some("127.0.0.1"));

    let listens = |address: SocketAddr| TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok();
    assert!(listens(SocketAddr::new("127.0.0.1".parse().unwrap(), port)));
    assert_eq!(listens(SocketAddr::new("::1".parse().unwrap(), port)), has_ipv6, "the same port of [::1]");
    for outside in addresses_outside() {
        assert!(!listens(SocketAddr::new(outside, port)), "nobody listens on {outside}");
    }
    receiver.finish(LoginOutcome::Success).await;

    // Both addresses belong to the same login.
    let ways = [Some(Browsing::Listener), has_ipv6.then_some(Browsing::ListenerOverIpv6)];
    for browsing in ways.into_iter().flatten() {
        let world = World::paused();
        let person = Person::new(&world.server, browsing);
        let client = world
            .public_client()
            .grant(AuthorizationCode::new(LoopbackRedirect::new()))
            .interaction(person.clone())
            .build()
            .unwrap();
        client.session().log_in().await.unwrap();
        assert!(person.page().body.contains("You are signed in"), "{browsing:?}");
    }
}

/// Addresses of this machine that a listener on every interface would have, too.
fn addresses_outside() -> Vec<std::net::IpAddr> {
    let mut addresses = Vec::new();
    // On Linux all of 127.0.0.0/8 is this machine.
    if TcpListener::bind("127.0.0.2:0").is_ok() {
        addresses.push("127.0.0.2".parse().unwrap());
    }
    // Nothing is sent: this asks the routing table which address would be used (RFC 5737, RFC 3849).
    for (local, remote) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
        let socket = UdpSocket::bind(local).and_then(|socket| socket.connect(remote).map(|()| socket));
        if let Ok(address) = socket.and_then(|socket| socket.local_addr())
            && !address.ip().is_loopback()
        {
            addresses.push(address.ip());
        }
    }
    addresses
}

#[tokio::test]
async fn defect_04_a_login_that_timed_out_leaves_nothing_behind() {
    let world = World::paused();
    let port = fixed_port();
    let client = |browsing| {
        let person = Person::new(&world.server, browsing);
        let grant = AuthorizationCode::new(LoopbackRedirect::new().port(port));
        let client = world.public_client().grant(grant).interaction(person.clone()).build().unwrap();
        (client.session(), person)
    };
    let (session, person) = client(Browsing::GoesAway);
    for round in 1..=3 {
        let login = tokio::spawn({
            let session = session.clone();
            async move { session.log_in().await }
        });
        eventually("the login waits", || world.clock.slept().len() == round).await;
        // A browser tab that was opened and never used holds nothing up either.
        let idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
        world.clock.advance(jeton_grants::DEFAULT_LOGIN_TIMEOUT);
        let error = login.await.unwrap().unwrap_err();
        assert!(
            matches!(grant_error(&error), GrantError::Interaction(InteractionError::TimedOut { .. })),
            "round {round}: {error:?}"
        );
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the listener is closed");
        drop(idle);
    }
    // Nor does one whose caller went away: it ends on a thread of jeton's, a moment later.
    let login = tokio::spawn({
        let session = session.clone();
        async move { session.log_in().await }
    });
    eventually("the login waits", || world.clock.slept().len() == 4).await;
    login.abort();
    eventually("the listener is closed", || TcpStream::connect(("127.0.0.1", port)).is_err()).await;
    assert_eq!(person.seen().len(), 4);

    // At once, on the same port.
    let (session, person) = client(Browsing::Listener);
    session.log_in().await.unwrap();
    assert_eq!(person.seen()[0].redirect_uri, format!("http://127.0.0.1:{port}/callback"));
    assert_eq!(person.page().status, 200);
}

/// A port that is free on both loopback addresses, from a range out of which no platform takes ephemeral ports, so that
/// nobody gets it between two logins.
fn fixed_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 20_000).unwrap();
    (0..1_000)
        .map(|_| 10_000 + (spread + NEXT.fetch_add(7, Ordering::Relaxed)) % 20_000)
        .find(|port| {
            ["127.0.0.1", "::1"].into_iter().all(|host| {
                !matches!(TcpListener::bind((host, *port)), Err(error) if error.kind() == std::io::ErrorKind::AddrInUse)
            })
        })
        .expect("a free port")
}

#[tokio::test]
async fn defect_05_a_denied_login_looks_denied_and_says_so() {
    let world = World::paused();
    let person = Person::new(&world.server, Browsing::Listener);
    let grant = AuthorizationCode::new(LoopbackRedirect::new());
    let session = world.public_client().grant(grant).interaction(person.clone()).build().unwrap().session();

    world.server.deny_next_authorization();
    let error = session.log_in().await.unwrap_err();
    let GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(answer)) = grant_error(&error)
    else {
        panic!("{error:?}")
    };
    assert_eq!(answer.error, "access_denied");
    assert_eq!(answer.error_description.as_deref(), Some("the person said no"));
    assert_eq!(error.recovery(), Recovery::LogIn);
    let page = person.page().body;
    assert!(page.contains("The login was refused") && page.contains("access_denied"), "{page}");
    assert!(!page.contains("signed in"), "{page}");
    assert_eq!(world.token_requests().len(), 0);

    // A login that fails after the redirect is no success on the page either.
    world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    session.log_in().await.unwrap_err();
    let page = person.page().body;
    assert!(page.contains("The login failed") && !page.contains("signed in"), "{page}");

    session.log_in().await.unwrap();
    assert!(person.page().body.contains("You are signed in"));
}

#[tokio::test]
async fn defect_06_extra_parameters_reach_their_request_and_no_other() {
    let world = World::new();
    let mut extra = ExtraParameters::default();
    extra.authorization.append("x_authorization", "1").unwrap();
    extra.token.append("x_token", "1").unwrap();
    extra.refresh.append("x_refresh", "1").unwrap();
    extra.device_authorization.append("x_device", "1").unwrap();
    let by_code = world.public_client().extra_parameters(extra.clone()).build().unwrap().account("by code");
    sign_in(&world.server, &by_code).await.unwrap();
    by_code.refresh().await.unwrap();
    let by_device = world
        .public_client()
        .grant(DeviceCode::new())
        .interaction(Person::at_a_device(&world.server, Typing::Approves))
        .extra_parameters(extra)
        .build()
        .unwrap()
        .account("by device");
    by_device.log_in().await.unwrap();
    by_device.refresh().await.unwrap();

    let mut seen = 0;
    for request in world.server.requests() {
        let expected = match (request.endpoint, request.form_value("grant_type")) {
            (Endpoint::Authorization, _) => "x_authorization",
            (Endpoint::DeviceAuthorization, _) => "x_device",
            (Endpoint::Token, Some("refresh_token")) => "x_refresh",
            (Endpoint::Token, _) => "x_token",
            _ => continue,
        };
        seen += 1;
        let all = request.query.iter().chain(&request.form).map(|(name, _)| name.as_str());
        let extras: Vec<&str> = all.filter(|name| name.starts_with("x_")).collect();
        assert_eq!(extras, [expected], "{request:?}");
    }
    assert_eq!(seen, 6, "authorization, device authorization, two first tokens, two refreshes");
}

#[tokio::test]
async fn defect_07_a_confidential_client_proves_itself_in_the_code_exchange() {
    let world = World::new();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let session = world.client(id).client_secret(secret).build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    session.refresh().await.unwrap();
    for request in world.token_requests() {
        assert!(request.header("authorization").unwrap().starts_with("Basic "), "{request:?}");
        assert_eq!(request.form_value("client_secret"), None);
    }

    let (id, secret) = DevServer::POST_CLIENT;
    let before = world.token_requests().len();
    let session = world.client(id).authentication(ClientSecretPost::new(secret)).build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    session.refresh().await.unwrap();
    let requests = world.token_requests();
    assert_eq!(requests.len() - before, 2);
    for request in &requests[before..] {
        assert_eq!(request.form_value("client_id"), Some(id));
        assert_eq!(request.form_value("client_secret"), Some(secret));
    }

    // And it is not that the server would take anybody.
    let session = world.client(id).build().unwrap().session();
    let error = sign_in(&world.server, &session).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_client");
}

#[tokio::test]
async fn defect_08_an_expired_token_is_refreshed_and_fetched_once() {
    let world = World::new();
    let (name, password) = DevServer::ALICE;
    // A grant that could fetch a new token by itself: still the refresh token is what is used.
    let session = world
        .client(DevServer::PASSWORD_CLIENT)
        .grant(ResourceOwnerPasswordCredentials::new(name, password))
        .build()
        .unwrap()
        .session();
    let mut token = session.token().await.unwrap();
    assert_eq!(world.requests_of("password"), 1);
    for expiry in 1..=3 {
        assert_eq!(session.token().await.unwrap().secret(), token.secret(), "a valid token is kept");
        world.pass_an_expiry();
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let session = session.clone();
                tokio::spawn(async move { session.token().await.unwrap() })
            })
            .collect();
        let mut got = HashSet::new();
        for caller in callers {
            got.insert(caller.await.unwrap().secret().expose().to_owned());
        }
        assert_eq!(got.len(), 1);
        let new = session.token().await.unwrap();
        assert_ne!(new.secret(), token.secret());
        assert!(world.server.is_access_token_live(new.secret().expose()));
        assert_eq!(world.requests_of("refresh_token"), expiry, "one request");
        assert_eq!(world.token_requests().len() as u64, 1 + expiry, "and no other");
        token = new;
    }
}

#[tokio::test]
async fn defect_09_a_refresh_answer_without_a_refresh_token_keeps_the_old_one() {
    let world = World::with(|server| server.refresh_token_rotation(Rotation::Off));
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::new(folder.path().join("logins"));
    let session = world.public_client().store(store()).build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();

    let answers = [None, Some(Value::Null), Some("".into())];
    for answer in answers.iter().cycle().take(6) {
        if let Some(value) = answer {
            world.server.fault(Endpoint::Token, Fault::set("refresh_token", value.clone()));
        }
        world.pass_an_expiry();
        session.token().await.unwrap_or_else(|error| panic!("after {answer:?}: {error}"));
    }
    let sent: HashSet<_> = world
        .token_requests()
        .iter()
        .filter_map(|request| request.form_value("refresh_token").map(str::to_owned))
        .collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(world.requests_of("refresh_token"), 6);

    // The next run has it, too.
    drop(session);
    world.pass_an_expiry();
    world.public_client().store(store()).build().unwrap().session().token().await.unwrap();
}

#[tokio::test]
async fn defect_10_there_is_a_way_back_to_a_login() {
    // No refresh token at expiry.
    let world = World::with(|server| server.issue_refresh_tokens(false));
    let session = world.public_client().build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    world.pass_an_expiry();
    for _ in 0..2 {
        let error = session.token().await.unwrap_err();
        assert!(matches!(error, Error::LoginRequired(LoginRequired::NoRefreshToken)), "{error:?}");
        assert_eq!(error.recovery(), Recovery::LogIn);
    }
    assert_eq!(world.token_requests().len(), 1, "there was nothing to ask with");
    let token = sign_in(&world.server, &session).await.unwrap();
    assert_eq!(session.token().await.unwrap().secret(), token.secret());

    // `invalid_grant`: the login ended at the server.
    let world = World::new();
    let session = world.public_client().build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    world.server.revoke_all_logins();
    world.pass_an_expiry();
    for _ in 0..3 {
        let error = session.token().await.unwrap_err();
        assert!(
            matches!(&error, Error::LoginRequired(LoginRequired::Ended(why)) if why.contains("invalid_grant"))
        );
        assert_eq!(error.recovery(), Recovery::LogIn);
    }
    assert_eq!(world.requests_of("refresh_token"), 1, "a dead refresh token is not sent again and again");
    sign_in(&world.server, &session).await.unwrap();
    world.pass_an_expiry();
    session.token().await.unwrap();
    assert_eq!(world.requests_of("refresh_token"), 2);

    // Where no person is needed, the way back is taken by itself.
    let session = {
        let (name, password) = DevServer::ALICE;
        let grant = ResourceOwnerPasswordCredentials::new(name, password);
        world.client(DevServer::PASSWORD_CLIENT).grant(grant).build().unwrap().session()
    };
    session.token().await.unwrap();
    world.server.revoke_all_logins();
    world.pass_an_expiry();
    assert!(world.server.is_access_token_live(session.token().await.unwrap().secret().expose()));
    assert_eq!(world.requests_of("password"), 2);
}

#[tokio::test]
async fn defect_11_any_expires_in_is_survived() {
    let cases: [(Option<Value>, Option<u64>, Option<Warning>); 11] = [
        (None, None, None),
        (Some(Value::Null), None, None),
        (Some(json!(1800)), Some(1800), None),
        (Some(json!("3599.5")), Some(3599), Some(Warning::ExpiresInFraction)),
        (Some(json!(3599.5)), Some(3599), Some(Warning::ExpiresInFraction)),
        (Some(json!("3600")), Some(3600), Some(Warning::ExpiresInString)),
        (Some(json!(false)), None, Some(Warning::ExpiresInInvalid)),
        (Some(json!({})), None, Some(Warning::ExpiresInInvalid)),
        (Some(json!("zzz")), None, Some(Warning::ExpiresInInvalid)),
        (Some(json!(0)), None, Some(Warning::ExpiresInNotPositive)),
        (Some(json!(-5)), None, Some(Warning::ExpiresInNotPositive)),
    ];
    for (sent, lifetime, warning) in cases {
        let world = World::new();
        let session = service(&world);
        let fault = match &sent {
            Some(value) => Fault::set("expires_in", value.clone()),
            None => Fault::remove("expires_in"),
        };
        world.server.fault(Endpoint::Token, fault);
        let token = session.token().await.unwrap_or_else(|error| panic!("{sent:?}: {error}"));
        let expected = lifetime.map(|seconds| world.server.now() + Duration::from_secs(seconds));
        assert_eq!(token.expires_at(), expected, "{sent:?}");
        if let Some(warning) = warning {
            assert!(token.warnings().contains(&warning), "{sent:?}: {:?}", token.warnings());
        }
        // Usable, and kept: no expiry means no refresh by time.
        assert_eq!(session.get(&world.server.resource_url()).send().await.unwrap().status(), 200, "{sent:?}");
        assert_eq!(session.token().await.unwrap().secret(), token.secret(), "{sent:?}");
        assert_eq!(world.token_requests().len(), 1, "{sent:?}");
    }
}

#[tokio::test]
async fn defect_12_odd_bodies_are_understood() {
    let world = World::new();
    let session = world.public_client().build().unwrap().session();

    // An error under status 200, as JSON and form-encoded.
    for body in [
        (r#"{"error":"invalid_scope","error_description":"no"}"#, "application/json"),
        ("error=invalid_scope&error_description=no", "application/x-www-form-urlencoded"),
    ] {
        world.server.fault(Endpoint::Token, Fault::answer(200, body.1, body.0));
        let error = sign_in(&world.server, &session).await.unwrap_err();
        let oauth = error.oauth_error().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!((oauth.code(), oauth.status), ("invalid_scope", 200));
        assert_eq!(oauth.response.error_description.as_deref(), Some("no"));
    }

    // A form-encoded token.
    world.server.fault(Endpoint::Token, Fault::FormEncoded);
    let token = sign_in(&world.server, &session).await.unwrap();
    assert!(token.warnings().contains(&Warning::FormEncoded));
    assert!(world.server.is_access_token_live(token.secret().expose()));

    // An HTML page of a gateway: told as what it is, transient, and the login survives.
    for status in [500, 502, 503, 504] {
        world.pass_an_expiry();
        world.server.fault(Endpoint::Token, Fault::Status { status, retry_after: None });
        let error = session.token().await.unwrap_err();
        let GrantError::Unusable { answer, .. } = grant_error(&error) else { panic!("{error:?}") };
        assert_eq!(answer.status, status);
        assert!(answer.content_type.as_deref().unwrap().starts_with("text/html"));
        assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&status.to_string()) && text.contains("text/html"), "{text}");
        world.pass_an_expiry();
        session.token().await.unwrap();
    }
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
}

#[tokio::test]
async fn defect_13_device_errors_are_oauth_errors_and_one_503_is_no_end() {
    let world = World::new();
    let session = |typing| {
        let person = Person::at_a_device(&world.server, typing);
        world.public_client().grant(DeviceCode::new()).interaction(person).build().unwrap().session()
    };
    // The device endpoint says what is wrong.
    let description = Some("not yours".to_owned());
    let error = "invalid_scope".to_owned();
    world.server.fault(Endpoint::DeviceAuthorization, Fault::OAuthError { status: 400, error, description });
    let error = session(Typing::Approves).log_in().await.unwrap_err();
    let oauth = error.oauth_error().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!((oauth.code(), oauth.status), ("invalid_scope", 400));
    assert_eq!(oauth.response.error_description.as_deref(), Some("not yours"));
    assert!(error.to_string().contains("invalid_scope"), "{error}");
    assert_eq!(world.token_requests().len(), 0);

    // What spoils one poll does not end the polling.
    let spoiled = [
        Fault::unavailable(None),
        Fault::unavailable(Some("2")),
        Fault::Status { status: 502, retry_after: None },
        Fault::DropBeforeCommit,
    ];
    let polls = spoiled.len() as u64 + 1;
    spoiled.into_iter().for_each(|fault| world.server.fault(Endpoint::Token, fault));
    let token = session(Typing::Approves).log_in().await.unwrap();
    assert!(world.server.is_access_token_live(token.secret().expose()));
    assert_eq!(world.requests_of("urn:ietf:params:oauth:grant-type:device_code"), polls);

    // A real refusal does.
    let error = session(Typing::Denies).log_in().await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "access_denied");
}

#[tokio::test]
async fn defect_14_nothing_prints_tokens_and_every_login_has_its_own_verifier() {
    let world = World::new();
    let client = world.public_client().build().unwrap();
    let mut verifiers = HashSet::new();
    let mut challenges = HashSet::new();
    for _ in 0..5 {
        let session = client.session();
        let token = sign_in(&world.server, &session).await.unwrap();
        let plain: Token = token.to_token();
        for text in [
            format!("{token:?} {token:#?}"),
            format!("{plain:?} {plain:#?}"),
            format!("{session:?} {client:?}"),
            format!("{:?} {:?}", token.secret(), token.authorization()),
        ] {
            assert!(!text.contains(token.secret().expose()), "{text}");
        }
        let authorization = world.server.last_request(Endpoint::Authorization).unwrap();
        let exchange = world.server.last_request(Endpoint::Token).unwrap();
        let verifier = exchange.form_value("code_verifier").unwrap();
        let challenge = authorization.query_value("code_challenge").unwrap();
        assert_eq!(challenge, create_code_challenge(&Secret::from(verifier)));
        assert!(verifiers.insert(verifier.to_owned()), "a fresh verifier for each login");
        assert!(challenges.insert(challenge.to_owned()), "a fresh challenge for each login");
    }
}

#[tokio::test]
async fn defect_15_storage_discovery_timeouts_retries_logging_token_type_and_client_id() {
    let log = log::captured();
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let client = || {
        let store = FileStore::new(folder.path().join("logins"));
        world.public_client().store(store)
    };

    // Discovery: nothing but the issuer was configured.
    let session = client().build().unwrap().session();
    let token = sign_in(&world.server, &session).await.unwrap();
    assert_eq!(world.recorded(Endpoint::Metadata).len(), 1, "once per client");

    // Storage: another client, as in another run, finds the login without asking anybody.
    drop(session);
    let session = client().build().unwrap().session();
    assert_eq!(session.token().await.unwrap().secret(), token.secret());
    assert_eq!(world.token_requests().len(), 1);

    // client_id on refresh (RFC 6749 §3.2.1), and the refresh is logged.
    world.pass_an_expiry();
    session.token().await.unwrap();
    let refresh = world.server.last_request(Endpoint::Token).unwrap();
    assert_eq!(refresh.form_value("grant_type"), Some("refresh_token"));
    assert_eq!(refresh.form_value("client_id"), Some(DevServer::PUBLIC_CLIENT));
    let token_url = world.server.token_url();
    let told = |text: &str| {
        text.lines().any(|l| l.contains("token request (refresh_token)") && l.contains(&token_url))
    };
    assert!(told(&log.text()), "the refresh stands in the log");

    // Timeouts: a server that never answers holds nobody up.
    world.pass_an_expiry();
    world.server.fault(Endpoint::Token, Fault::Hang);
    let mut limits = Limits::default();
    limits.timeout = Duration::from_millis(300);
    let hurried = client().limits(limits).build().unwrap();
    // What is measured is the one request that hangs; discovery may take its time on a busy machine.
    hurried_metadata(&hurried).await;
    let began = Instant::now();
    let error = hurried.session().token().await.unwrap_err();
    assert!(began.elapsed() < PATIENCE / 2, "after {:?}", began.elapsed());
    let GrantError::Transport { source, .. } = grant_error(&error) else { panic!("{error:?}") };
    assert_eq!(source.kind(), TransportErrorKind::Timeout);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));

    // Retries: when the server said so, not before, and then it works.
    world.pass_an_expiry();
    world.server.fault(Endpoint::Token, Fault::unavailable(Some("7")));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(7)) });
    let asked = world.token_requests().len();
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::BackingOff { .. }), "{error:?}");
    assert_eq!(world.token_requests().len(), asked, "too early: nothing is sent");
    world.clock.advance(Duration::from_secs(8));
    session.token().await.unwrap();

    // token_type: Bearer in any case, and nothing else.
    for token_type in ["bearer", "BEARER"] {
        world.server.fault(Endpoint::Token, Fault::set("token_type", token_type));
        session.refresh().await.unwrap();
        assert_eq!(session.get(&world.server.resource_url()).send().await.unwrap().status(), 200);
    }
    let service = service(&world);
    for token_type in ["mac", "DPoP", "N_A"] {
        world.server.fault(Endpoint::Token, Fault::set("token_type", token_type));
        let error = service.refresh().await.unwrap_err();
        assert!(error.to_string().contains(token_type), "{error}");
        assert_eq!(
            service.cached().map(|_| ()),
            None,
            "nothing to send with a scheme that it was not made for"
        );
    }
}

/// Discovery within short limits, tried again where the machine is busy.
async fn hurried_metadata(client: &Client) {
    for _ in 0..100 {
        if client.metadata().await.is_ok() {
            return;
        }
    }
    panic!("no metadata");
}

// ----- URLs ----------------------------------------------------------------------------------------------------------------

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn without(url: &Url, name: &str) -> Url {
    let mut changed = url.clone();
    let kept = url.query_pairs().filter(|(known, _)| known != name);
    changed.query_pairs_mut().clear().extend_pairs(kept);
    changed
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = without(url, name);
    changed.query_pairs_mut().append_pair(name, value);
    changed
}
