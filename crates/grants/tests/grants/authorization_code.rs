//! A4, A5, A12, A14, A23 and the two halves of the authorization code grant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jeton_devserver::{DevServer, Endpoint};
use jeton_grants::{
    AuthorizationCode, AuthorizationReply, ClientSecretBasic, ClientSecretPost, ExtraParameters, Grant,
    GrantContext, GrantError, InteractionError, ManualClock, PastedRedirect, PendingLogin, PublicClient,
    Recovery, begin_authorization, finish_authorization,
};
use jeton_models::{
    AuthorizationResponseError, AuthorizationServerMetadata, MetadataError, ParameterError, Secret,
    create_code_challenge,
};
use url::Url;

use crate::support::{FakeListener, Person, PlainHttp, Scripted, a_moment, as_example, metadata, token};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The pending login as it is kept, for looking into it.
fn kept(pending: &PendingLogin) -> serde_json::Value {
    serde_json::to_value(pending).unwrap()
}

/// Where the server sends the browser, with these parameters besides `state`.
fn redirected(pending: &PendingLogin, others: &[(&str, &str)]) -> Url {
    let mut url: Url = pending.redirect_uri().parse().unwrap();
    url.query_pairs_mut().append_pair("state", pending.state().expose()).extend_pairs(others);
    url
}

#[tokio::test]
async fn a4_the_redirect_uri_is_byte_identical_at_both_endpoints() {
    // Spellings that a URL library would tidy up.
    for redirect_uri in [
        "https://app.example/callback",
        "HTTPS://App.example:443/callback",
        "https://app.example",
        "https://app.example/a/../callback?x=%7e&y=a b",
        "com.example.app:/callback",
    ] {
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let (url, pending) = begin_authorization(&cx, redirect_uri, FIVE_MINUTES).await.unwrap();
        assert_eq!(query(&url)["redirect_uri"], redirect_uri);
        let answer = redirected(&pending, &[("code", "c")]);
        finish_authorization(&cx, pending, &answer).await.unwrap();
        let body = transport.bodies().remove(0);
        let sent: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        assert_eq!(sent["redirect_uri"], redirect_uri);
        assert_eq!(sent["code"], "c");
    }
}

#[tokio::test]
async fn a4_the_strict_server_takes_it_from_every_kind_of_client() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let (basic, post) = (
        ClientSecretBasic::new(DevServer::CONFIDENTIAL_CLIENT.1),
        ClientSecretPost::new(DevServer::POST_CLIENT.1),
    );
    let clients: [(&str, &dyn jeton_grants::ClientAuthentication); 3] = [
        (DevServer::PUBLIC_CLIENT, &PublicClient),
        (DevServer::CONFIDENTIAL_CLIENT.0, &basic),
        (DevServer::POST_CLIENT.0, &post),
    ];
    for (client_id, authentication) in clients {
        let cx = GrantContext::new(&server, client_id, authentication, &PlainHttp, &clock);
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let answer = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        assert!(pending.matches(&answer));
        let response = finish_authorization(&cx, pending, &answer).await.unwrap();
        assert!(devserver.is_access_token_live(response.access_token.expose()));
        assert!(response.refresh_token.is_some());
    }
}

#[tokio::test]
async fn a5_state_is_fresh_and_cannot_be_guessed() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let (mut states, mut bytes_seen) = (HashSet::new(), [const { [false; 128] }; 43]);
    for _ in 0..1000 {
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let state = query(&url)["state"].clone();
        assert_eq!(state, pending.state().expose());
        // 43 characters of base64url are 256 bits.
        assert_eq!(state.len(), 43);
        state.bytes().enumerate().for_each(|(at, byte)| bytes_seen[at][usize::from(byte)] = true);
        assert!(states.insert(state), "a state came twice");
    }
    // No place of it is constant. The last character has 4 bits, each other 6; of 1000 draws hardly one value stays out.
    for (at, seen) in bytes_seen.iter().enumerate() {
        let different = seen.iter().filter(|seen| **seen).count();
        assert!(different >= if at == 42 { 12 } else { 50 }, "place {at} had only {different} values");
    }
}

#[tokio::test]
async fn a5_an_absent_or_wrong_state_is_rejected_before_code_or_error() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let other = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap().1;
    let other = other.state().expose();
    type Check = fn(&AuthorizationResponseError) -> bool;
    let absent: Check = |error| matches!(error, AuthorizationResponseError::StateAbsent);
    let mismatch: Check = |error| matches!(error, AuthorizationResponseError::StateMismatch);
    let repeated: Check = |error| matches!(error, AuthorizationResponseError::Repeated);
    for (answer, expected) in [
        ("code=c".to_owned(), absent),
        ("code=c&state=".to_owned(), absent),
        ("error=access_denied&error_description=evil+words".to_owned(), absent),
        (format!("code=c&state={other}"), mismatch),
        (format!("error=access_denied&error_description=evil+words&state={other}"), mismatch),
        ("code=c&state=MINE&state=MINE".to_owned(), repeated),
        ("code=c&code=d&state=MINE".to_owned(), repeated),
        ("code=c&state=MINEx".to_owned(), mismatch),
    ] {
        let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let answer = answer.replace("MINE", pending.state().expose());
        let url: Url = format!("{REDIRECT_URI}?{answer}").parse().unwrap();
        assert!(!pending.matches(&url));
        let error = finish_authorization(&cx, pending, &url).await.unwrap_err();
        let GrantError::AuthorizationResponse(inner) = &error else { panic!("{error}") };
        assert!(expected(inner), "{answer}: {error}");
        assert_eq!(error.recovery(), Recovery::LogIn);
        // Nothing that the stranger said is repeated.
        assert!(!format!("{error} {error:?}").contains("evil"), "{error:?}");
    }
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn a5_no_extra_parameter_takes_the_place_of_what_protects_the_login() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    for name in
        ["state", "response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method"]
    {
        let mut extra = ExtraParameters::default();
        extra.authorization.append(name, "mine").unwrap();
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        cx.extra = &extra;
        let error = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap_err();
        assert!(
            matches!(&error, GrantError::Parameter(ParameterError::Repeated { name: n }) if n == name),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a12_pkce_by_s256_with_a_fresh_verifier_each_time() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    // A confidential client sends it, too (RFC 9700 §2.1.1).
    let authentication = ClientSecretBasic::new(DevServer::CONFIDENTIAL_CLIENT.1);
    let client_id = DevServer::CONFIDENTIAL_CLIENT.0;
    let cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    let mut verifiers = HashSet::new();
    for _ in 0..20 {
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let verifier = kept(&pending)["code_verifier"].as_str().unwrap().to_owned();
        assert_eq!(verifier.len(), 43);
        assert!(verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
        let asked = query(&url);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["code_challenge"], create_code_challenge(&Secret::from(verifier.as_str())));
        assert!(!url.as_str().contains(&verifier));

        let answer = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        finish_authorization(&cx, pending, &answer).await.unwrap();
        let sent = devserver.last_request(Endpoint::Token).unwrap();
        assert_eq!(sent.form_value("code_verifier"), Some(verifier.as_str()));
        assert!(verifiers.insert(verifier));
    }
}

#[tokio::test]
async fn a12_a_server_that_lists_methods_without_s256_is_refused() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    for (listed, fine) in [
        (None, true),
        (Some(vec!["plain", "S256"]), true),
        (Some(vec!["plain"]), false),
        (Some(vec![]), false),
    ] {
        let mut server = as_example();
        server.code_challenge_methods_supported =
            listed.map(|listed| listed.into_iter().map(str::to_owned).collect());
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        match begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await {
            Ok(_) => assert!(fine),
            Err(error) => {
                assert!(!fine && matches!(error, GrantError::NoS256 { .. }), "{error}");
                assert_eq!(error.recovery(), Recovery::GiveUp);
            }
        }
    }
}

/// The iss of an answer, and how a client that expects `https://as.example` takes it.
#[tokio::test]
async fn a23_iss_is_compared_as_a_plain_string_in_answers_and_in_errors() {
    #[derive(Debug, PartialEq)]
    enum Taken {
        Fine,
        Mismatch,
        Absent,
    }
    use Taken::{Absent, Fine, Mismatch};
    let clock = ManualClock::at(a_moment());
    for (advertised, known, iss, expected) in [
        (Some(true), true, Some("https://as.example"), Fine),
        (Some(true), true, Some("https://as.example/"), Mismatch),
        (Some(true), true, Some("HTTPS://as.example"), Mismatch),
        (Some(true), true, Some("https://as.example:443"), Mismatch),
        (Some(true), true, Some("https://evil.example"), Mismatch),
        (Some(true), true, Some(""), Mismatch),
        (Some(true), true, None, Absent),
        (Some(true), false, None, Absent),
        (Some(false), true, Some("https://evil.example"), Mismatch),
        (None, true, Some("https://evil.example"), Mismatch),
        (None, true, Some("https://as.example"), Fine),
        (None, true, None, Fine),
        (Some(false), true, None, Fine),
        (None, false, Some("https://anybody.example"), Fine),
    ] {
        for said in [("code", "c"), ("error", "evil_words")] {
            let mut server = as_example();
            server.authorization_response_iss_parameter_supported = advertised;
            let transport = Scripted::new(&clock, [token()]);
            let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
            if !known {
                cx.issuer = None;
            }
            let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
            let mut url = redirected(&pending, &[said]);
            if let Some(iss) = iss {
                // Form-encoded on the way, as `https%3A%2F%2Fas.example`.
                url.query_pairs_mut().append_pair("iss", iss);
            }
            let result = finish_authorization(&cx, pending, &url).await;
            let taken = match &result {
                Ok(_) => Fine,
                Err(GrantError::AuthorizationResponse(error)) => match error {
                    AuthorizationResponseError::IssuerMismatch { .. } => Mismatch,
                    AuthorizationResponseError::IssuerAbsent { .. } => Absent,
                    // The server's own refusal, listened to once its identity is known.
                    AuthorizationResponseError::Denied(response) if response.is("evil_words") => Fine,
                    other => panic!("{other}"),
                },
                Err(other) => panic!("{other}"),
            };
            assert_eq!(taken, expected, "{advertised:?} {iss:?} {said:?}");
            assert_eq!(transport.requests().len(), usize::from(taken == Fine && said.0 == "code"));
            if taken != Fine {
                let error = result.unwrap_err();
                assert!(!format!("{error} {error:?}").contains("evil"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a23_the_devserver_names_itself_and_is_believed() {
    let devserver = DevServer::builder().issuer_path("/tenant/").start().unwrap();
    let server = metadata(&devserver).await;
    assert_eq!(server.authorization_response_iss_parameter_supported, Some(true));
    let clock = ManualClock::at(a_moment());
    let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    let answer: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
    assert_eq!(query(&answer)["iss"], devserver.issuer());
    finish_authorization(&cx, pending, &answer).await.unwrap();
}

#[tokio::test]
async fn the_two_halves_need_not_share_a_process() {
    let devserver = DevServer::start().unwrap();
    let clock = ManualClock::at(a_moment());
    let kept = {
        let server = metadata(&devserver).await;
        let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let debug = format!("{pending:?}");
        assert!(!debug.contains(pending.state().expose()), "{debug}");
        (url, serde_json::to_string(&pending).unwrap())
    };
    clock.advance(FIVE_MINUTES - Duration::from_secs(1));
    let answer: Url = devserver.authorize(kept.0.as_str()).unwrap().parse().unwrap();

    let pending: PendingLogin = serde_json::from_str(&kept.1).unwrap();
    assert_eq!(pending.expires_at(), a_moment() + FIVE_MINUTES);
    assert!(pending.matches(&answer));
    let server = metadata(&devserver).await;
    let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    finish_authorization(&cx, pending, &answer).await.unwrap();
}

#[tokio::test]
async fn a_pending_login_expires() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    let answer = redirected(&pending, &[("code", "c")]);
    clock.advance(FIVE_MINUTES);
    let error = finish_authorization(&cx, pending, &answer).await.unwrap_err();
    assert!(matches!(error, GrantError::PendingLoginExpired), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn a_pending_login_that_is_to_last_for_ever_does() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let (_, pending) = begin_authorization(&cx, REDIRECT_URI, Duration::MAX).await.unwrap();
    let answer = redirected(&pending, &[("code", "c")]);
    clock.advance(Duration::from_secs(1000 * 365 * 24 * 3600));
    finish_authorization(&cx, pending, &answer).await.unwrap();
}

#[tokio::test]
async fn a_pending_login_works_for_its_client_at_its_server_only() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let mut elsewhere = as_example();
    elsewhere.issuer = "https://other.example".into();
    for (server, client_id) in [(&elsewhere, "me"), (&server, "you")] {
        let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let answer = redirected(&pending, &[("code", "c")]);
        let foreign = GrantContext::new(server, client_id, &PublicClient, &transport, &clock);
        let error = finish_authorization(&foreign, pending, &answer).await.unwrap_err();
        assert!(matches!(error, GrantError::PendingLoginForeign { .. }), "{error}");
        assert_eq!(error.recovery(), Recovery::LogIn);
    }
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn an_answer_with_neither_code_nor_error_is_no_answer() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    for others in [vec![], vec![("code", "")], vec![("error", "")]] {
        let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let answer = redirected(&pending, &others);
        let error = finish_authorization(&cx, pending, &answer).await.unwrap_err();
        assert!(
            matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::CodeAbsent)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_without_an_authorization_endpoint_cannot_be_logged_in_at() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) =
        (AuthorizationServerMetadata::new("https://as.example"), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let error = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap_err();
    assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn what_is_no_redirect_uri_never_reaches_the_browser() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    for wrong in ["", "/callback", "app.example/callback", "https://app.example/callback#top"] {
        let error = begin_authorization(&cx, wrong, FIVE_MINUTES).await.unwrap_err();
        assert!(matches!(error, GrantError::RedirectUri { .. }), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
    for right in
        [REDIRECT_URI, "https://app.example/cb?x=1", "com.example.app:/cb", "urn:ietf:wg:oauth:2.0:oob"]
    {
        begin_authorization(&cx, right, FIVE_MINUTES).await.unwrap();
    }
}

/// A person whose browser goes where the devserver sends it.
fn browsing(devserver: &Arc<DevServer>, listener: &FakeListener) -> Person {
    let (devserver, listener) = (devserver.clone(), listener.clone());
    Person::who(move |url| {
        listener.arrive(&devserver.authorize(url.as_str()).unwrap());
        Ok(AuthorizationReply::Opened)
    })
}

#[tokio::test]
async fn a14_the_receiver_is_closed_after_the_answer_and_told_the_outcome() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let (clock, listener) = (ManualClock::paused(SystemTime::now()), FakeListener::new());
    let person = browsing(&devserver, &listener);
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    let grant = AuthorizationCode::new(listener.clone());
    assert!(grant.needs_person());

    // Twice, on the same place.
    for _ in 0..2 {
        grant.obtain(&cx).await.unwrap();
        assert!(!listener.is_open());
    }
    assert_eq!(listener.outcomes(), ["success", "success"]);
    assert_eq!(person.seen(), ["authorization URL", "success", "authorization URL", "success"]);
    // The place's own redirect URI was sent.
    let asked = devserver.last_request(Endpoint::Authorization).unwrap();
    assert_eq!(asked.query_value("redirect_uri"), Some(REDIRECT_URI));
}

#[tokio::test]
async fn a14_denied_reaches_the_receiver_as_denied() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let (clock, listener) = (ManualClock::paused(SystemTime::now()), FakeListener::new());
    let person = browsing(&devserver, &listener);
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    devserver.deny_next_authorization();
    let error = AuthorizationCode::new(listener.clone()).obtain(&cx).await.unwrap_err();
    let GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(response)) = &error else {
        panic!("{error}")
    };
    assert_eq!(response.error, "access_denied");
    assert_eq!(error.error_response(), Some(response));
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(listener.outcomes()[0].starts_with("denied: access_denied"), "{:?}", listener.outcomes());
    assert_eq!(person.seen()[1], listener.outcomes()[0]);
    assert!(!listener.is_open());
    assert_eq!(devserver.stats().requests_to(Endpoint::Token), 0);
}

#[tokio::test]
async fn a14_a_refused_code_is_told_as_failed() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let (clock, listener) = (ManualClock::paused(SystemTime::now()), FakeListener::new());
    let person = browsing(&devserver, &listener);
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    devserver.fault(Endpoint::Token, jeton_devserver::Fault::unavailable(Some("3")));
    let error = AuthorizationCode::new(listener.clone()).obtain(&cx).await.unwrap_err();
    // Not `Retry`: the code is good for one try.
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(listener.outcomes(), [format!("failed: {error}")]);
    assert_eq!(devserver.stats().requests_to(Endpoint::Token), 1);
}

#[tokio::test]
async fn a14_it_works_again_at_once_after_a_timeout() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let (clock, listener) = (ManualClock::paused(SystemTime::now()), FakeListener::new());
    let grant = AuthorizationCode::new(listener.clone()).timeout(Duration::from_secs(20));

    let idle = Person::idle();
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &idle;
    let time_passes = async {
        idle.shown.notified().await;
        clock.advance(Duration::from_secs(19));
        tokio::task::yield_now().await;
        assert!(listener.is_open());
        clock.advance(Duration::from_secs(1));
    };
    let (result, ()) = tokio::join!(grant.obtain(&cx), time_passes);
    let error = result.unwrap_err();
    let GrantError::Interaction(InteractionError::TimedOut { waited }) = error else { panic!("{error}") };
    assert_eq!(waited, Duration::from_secs(20));
    assert!(!listener.is_open());
    assert!(listener.outcomes()[0].starts_with("failed: nobody finished the login within 20 seconds"));

    let person = browsing(&devserver, &listener);
    cx.interaction = &person;
    grant.obtain(&cx).await.unwrap();
    assert_eq!(listener.outcomes()[1], "success");
}

#[tokio::test]
async fn a14_a_dropped_login_leaves_nothing_open() {
    let clock = ManualClock::paused(a_moment());
    let (server, transport, listener) = (as_example(), Scripted::new(&clock, []), FakeListener::new());
    let (grant, idle) = (AuthorizationCode::new(listener.clone()), Person::idle());
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &idle;
    tokio::select! {
        biased;
        result = grant.obtain(&cx) => panic!("{result:?}"),
        () = async {
            idle.shown.notified().await;
            assert!(listener.is_open());
        } => {}
    }
    assert!(!listener.is_open());

    // Nor does a login that could not begin; nobody is told of it, because nobody saw it.
    let mut cx = cx.clone();
    let refused = AuthorizationServerMetadata::new("https://as.example");
    cx.server = &refused;
    assert!(matches!(grant.obtain(&cx).await, Err(GrantError::Metadata(_))));
    assert!(!listener.is_open());
    assert_eq!(idle.seen(), ["authorization URL"]);
}

#[tokio::test]
async fn a14_a_browser_that_cannot_be_opened_ends_the_login() {
    let clock = ManualClock::paused(a_moment());
    let (server, transport, listener) = (as_example(), Scripted::new(&clock, []), FakeListener::new());
    let person = Person::who(|_| Err(InteractionError::failed("no browser here")));
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let error = AuthorizationCode::new(listener.clone()).obtain(&cx).await.unwrap_err();
    assert_eq!(error.to_string(), "no browser here");
    assert!(!listener.is_open());
    assert_eq!(listener.outcomes(), ["failed: no browser here"]);
}

#[tokio::test]
async fn the_error_of_an_interaction_ends_the_login_and_comes_through_as_it_was() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("the window is closed; open it again")]
    struct WindowClosed(u32);

    let clock = ManualClock::paused(a_moment());
    let (server, transport, listener) = (as_example(), Scripted::new(&clock, []), FakeListener::new());
    let person = Person::who(|_| Err(InteractionError::other(WindowClosed(7))));
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.interaction = &person;
    let error = AuthorizationCode::new(listener.clone()).obtain(&cx).await.unwrap_err();
    assert_eq!(error.to_string(), "the window is closed; open it again");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&WindowClosed(7)));
    assert!(!listener.is_open());
    assert_eq!(listener.outcomes(), ["failed: the window is closed; open it again"]);
}

#[tokio::test]
async fn a14_the_person_pastes_the_url_where_nobody_listens() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let clock = ManualClock::paused(SystemTime::now());
    let person = {
        let devserver = devserver.clone();
        Person::who(move |url| {
            let pasted = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
            Ok(AuthorizationReply::Redirected(pasted))
        })
    };
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    AuthorizationCode::new(PastedRedirect::new("https://app.example/callback")).obtain(&cx).await.unwrap();
    assert_eq!(person.seen(), ["authorization URL", "success"]);

    // Another login's URL is not taken.
    let person = Person::who(|_| {
        Ok(AuthorizationReply::Redirected("https://app.example/callback?code=c&state=s".parse().unwrap()))
    });
    cx.interaction = &person;
    let error = AuthorizationCode::new(PastedRedirect::new("https://app.example/callback"))
        .obtain(&cx)
        .await
        .unwrap_err();
    assert!(matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::StateMismatch)));

    // Nobody pastes anything.
    let idle = Person::idle();
    cx.interaction = &idle;
    let grant = AuthorizationCode::new(PastedRedirect::new("https://app.example/callback"));
    let time_passes = async {
        idle.shown.notified().await;
        clock.advance(FIVE_MINUTES);
    };
    let (result, ()) = tokio::join!(grant.obtain(&cx), time_passes);
    assert!(matches!(result, Err(GrantError::Interaction(InteractionError::TimedOut { .. }))));
}

#[tokio::test]
async fn a14_a_pasted_url_is_taken_beside_a_listener_that_hears_nothing() {
    let devserver = Arc::new(DevServer::start().unwrap());
    let server = metadata(&devserver).await;
    let (clock, listener) = (ManualClock::paused(SystemTime::now()), FakeListener::new());
    let person = {
        let devserver = devserver.clone();
        Person::who(move |url| {
            Ok(AuthorizationReply::Redirected(devserver.authorize(url.as_str()).unwrap().parse().unwrap()))
        })
    };
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.interaction = &person;
    AuthorizationCode::new(listener.clone()).obtain(&cx).await.unwrap();
    assert_eq!(listener.outcomes(), ["success"]);
    assert!(!listener.is_open());
}
