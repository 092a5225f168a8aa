//! What an authorization request asks for, and how it gets to the server: pushed (A22), in detail (A24), for resources (A19); and
//! that answers of other servers are told nothing (A23).

use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint};
use jeton_grants::{
    AuthorizationCode, AuthorizationPolicy, AuthorizationReply, AuthorizationRequestError,
    ClientAuthentication, ClientCredentials, ClientSecretBasic, ClientSecretPost, Clock, DeviceCode, Grant,
    GrantContext, GrantError, LoginOptions, ManualClock, PendingLogin, PublicClient, PushedRequests,
    Recovery, RefreshToken, begin_authorization, finish_authorization,
};
use jeton_models::{
    AnswerError, AuthorizationDetail, AuthorizationResponseError, AuthorizationServerMetadata, MetadataError,
    ParameterError,
};
use serde_json::json;
use url::Url;

use crate::support::{
    FakeListener, Person, PlainHttp, Scripted, a_moment, as_example, clocked, json as answer, metadata,
    oauth_error, token,
};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;
const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn pushing(pushed: PushedRequests) -> AuthorizationPolicy {
    let mut policy = AuthorizationPolicy::new();
    policy.pushed = pushed;
    policy
}

fn names(url: &Url) -> Vec<String> {
    url.query_pairs().map(|(name, _)| name.into_owned()).collect()
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// A server that takes pushed requests.
fn par_example(required: bool) -> AuthorizationServerMetadata {
    let mut server = as_example();
    server.pushed_authorization_request_endpoint = Some("https://as.example/par".into());
    server.require_pushed_authorization_requests = required.then_some(true);
    server
}

const PUSHED: &str =
    r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c","expires_in":60}"#;

#[tokio::test]
async fn a22_a_pushed_login_leaves_only_the_reference_in_the_browser() {
    let devserver = DevServer::builder().require_par(true).start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let (post_id, post_secret) = DevServer::POST_CLIENT;
    let clients: [(&str, &dyn ClientAuthentication); 3] = [
        (DevServer::PUBLIC_CLIENT, &PublicClient),
        (id, &ClientSecretBasic::new(secret)),
        (post_id, &ClientSecretPost::new(post_secret)),
    ];
    for (client_id, authentication) in clients {
        let mut cx = GrantContext::new(&server, client_id, authentication, &PlainHttp, &clock);
        let scope = "read write".parse().unwrap();
        cx.scope = Some(&scope);
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        assert_eq!(names(&url), ["client_id", "request_uri"]);
        assert_eq!(value(&url, "client_id").as_deref(), Some(client_id));

        // Everything else went to the server itself, with the client's authentication and `client_id` once.
        let pushed = devserver.last_request(Endpoint::PushedAuthorization).unwrap();
        assert_eq!(pushed.method, "POST");
        assert_eq!(pushed.form_value("state"), Some(pending.state().expose()));
        assert_eq!(pushed.form_value("redirect_uri"), Some(REDIRECT_URI));
        assert_eq!(pushed.form_value("code_challenge_method"), Some("S256"));
        assert_eq!(pushed.form_value("scope"), Some("read write"));
        assert_eq!(pushed.form.iter().filter(|(name, _)| name == "client_id").count(), 1);

        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        let response = finish_authorization(&cx, pending, &redirected).await.unwrap();
        assert!(response.refresh_token.is_some());
        // The server lets nobody in by the same reference again.
        assert!(devserver.authorize(url.as_str()).unwrap_err().to_string().contains("A22"));
    }
}

#[tokio::test]
async fn a22_each_login_pushes_anew_and_the_url_says_until_when_it_can_be_opened() {
    let clock = ManualClock::at(a_moment());
    let devserver =
        clocked(DevServer::builder().require_par(true).request_uri_lifetime(Duration::from_secs(90)), &clock);
    let server = metadata(&devserver).await;
    let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    let (one, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    let (other, _) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    assert_ne!(value(&one, "request_uri"), value(&other, "request_uri"));
    assert_eq!(pending.open_before(), Some(a_moment() + Duration::from_secs(90)));
    assert_eq!(pending.expires_at(), a_moment() + FIVE_MINUTES);
    let kept: PendingLogin = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    assert_eq!(kept.open_before(), pending.open_before());

    // Whoever opens it in time may take the rest of the time to log in.
    let redirected: Url = devserver.authorize(one.as_str()).unwrap().parse().unwrap();
    clock.advance(Duration::from_secs(89));
    devserver.authorize(other.as_str()).unwrap();
    let (late, _) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    clock.advance(Duration::from_secs(90));
    assert!(devserver.authorize(late.as_str()).unwrap_err().to_string().contains("expired"));
    // The code has its own lifetime, which is over; the login itself is not.
    let error = finish_authorization(&cx, pending, &redirected).await.unwrap_err();
    assert!(error.is_invalid_grant(), "{error}");
}

#[tokio::test]
async fn a22_the_person_is_told_until_when_the_url_works() {
    let (server, clock) = (par_example(true), ManualClock::at(a_moment()));
    for (lifetime, told) in [(60, Some(a_moment() + MINUTE)), (600, None)] {
        let body = format!(r#"{{"request_uri":"urn:x","expires_in":{lifetime}}}"#);
        let transport = Scripted::new(&clock, [answer(201, &body)]);
        let person =
            Person::who(|_| Ok(AuthorizationReply::Redirected(Url::parse("http://x.example").unwrap())));
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        cx.interaction = &person;
        let error =
            AuthorizationCode::new(FakeListener::new()).timeout(FIVE_MINUTES).obtain(&cx).await.unwrap_err();
        assert!(matches!(error, GrantError::AuthorizationResponse(_)), "{error}");
        assert_eq!(*person.open_before.lock().unwrap(), [told], "{lifetime}");
    }
}

#[tokio::test]
async fn a22_requests_are_pushed_when_required_always_or_never() {
    let clock = ManualClock::at(a_moment());
    for (policy, required, offered, pushes) in [
        (PushedRequests::WhenRequired, false, true, Some(false)),
        (PushedRequests::WhenRequired, true, true, Some(true)),
        (PushedRequests::WhenRequired, false, false, Some(false)),
        (PushedRequests::WhenRequired, true, false, None),
        (PushedRequests::Always, false, true, Some(true)),
        (PushedRequests::Always, false, false, None),
        (PushedRequests::Never, false, true, Some(false)),
        (PushedRequests::Never, true, true, None),
    ] {
        let mut server = par_example(required);
        if !offered {
            server.pushed_authorization_request_endpoint = None;
        }
        let transport = Scripted::new(&clock, pushes.filter(|yes| *yes).map(|_| answer(201, PUSHED)));
        let authorization = pushing(policy);
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        cx.authorization = &authorization;
        let begun = begin_authorization(&cx, REDIRECT_URI, MINUTE).await;
        let case = format!("{policy:?} required {required} offered {offered}");
        assert_eq!(transport.requests().len(), usize::from(pushes == Some(true)), "{case}");
        match (begun, pushes) {
            (Ok((url, _)), Some(pushes)) => assert_eq!(value(&url, "state").is_none(), pushes, "{case}"),
            (Err(GrantError::AuthorizationRequest(error)), None) => {
                let says = if policy == PushedRequests::Never { "pushed" } else { "endpoint" };
                assert!(error.to_string().contains(says), "{case}: {error}");
                assert_eq!(GrantError::from(error).recovery(), Recovery::FixConfiguration, "{case}");
            }
            (begun, _) => panic!("{case}: {begun:?}"),
        }
    }
}

#[tokio::test]
async fn a22_a_refusal_or_a_useless_answer_opens_no_browser() {
    let (server, clock) = (par_example(true), ManualClock::at(a_moment()));
    for (answered, says) in [
        (oauth_error(400, "invalid_request"), "invalid_request"),
        (oauth_error(401, "invalid_client"), "invalid_client"),
        (answer(201, r#"{"expires_in":60}"#), "request_uri"),
        (answer(201, r#"{"request_uri":"urn:x\nSet-Cookie: a=b","expires_in":60}"#), "request_uri"),
        (answer(201, "<html>"), "markup"),
        (answer(503, "{}"), "HTTP 503"),
        (answer(302, ""), "redirect"),
    ] {
        let transport = Scripted::new(&clock, [answered]);
        let cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        let error = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(
            error.to_string().contains("pushed authorization request at https://as.example/par"),
            "{error}"
        );
        // One try: what was pushed may be there.
        assert_eq!(transport.requests().len(), 1);
    }
}

#[tokio::test]
async fn a22_status_200_is_forgiven_and_not_under_the_strict_switch() {
    let (server, clock) = (par_example(true), ManualClock::at(a_moment()));
    for strict in [false, true] {
        let transport = Scripted::new(&clock, [answer(200, PUSHED)]);
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        cx.parse.strict = strict;
        let begun = begin_authorization(&cx, REDIRECT_URI, MINUTE).await;
        assert_eq!(begun.is_err(), strict);
    }
    assert!(matches!(
        jeton_models::PushedAuthorizationResponse::parse(
            &jeton_models::Answer::new(404, None, b"{}"),
            &jeton_models::ParseOptions::default()
        ),
        Err(AnswerError::Unusable(_))
    ));
}

#[tokio::test]
async fn a22_an_endpoint_that_is_not_secure_gets_nothing() {
    let clock = ManualClock::at(a_moment());
    let mut server = par_example(true);
    server.pushed_authorization_request_endpoint = Some("http://as.example/par".into());
    let transport = Scripted::new(&clock, []);
    let cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    let error = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap_err();
    assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointInvalid { .. })), "{error:?}");
}

fn payment() -> AuthorizationDetail {
    AuthorizationDetail::new("payment").actions(["send"]).with("amount", json!({ "EUR": "12.50" }))
}

#[tokio::test]
async fn a24_details_are_asked_for_granted_and_read_back() {
    let devserver = DevServer::builder().authorization_detail_types(["payment"]).start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let options = LoginOptions::new().authorization_details([payment()]);
    for pushed in [PushedRequests::Never, PushedRequests::Always] {
        let authorization = pushing(pushed);
        let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
        (cx.login, cx.authorization) = (&options, &authorization);
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        let response = finish_authorization(&cx, pending, &redirected).await.unwrap();
        // The person chose the account: what was granted is more than what was asked for.
        let granted = payment().identifier("account-of-alice");
        assert_eq!(response.authorization_details(), Some(vec![granted.clone()]));
        assert_eq!(response.warnings, []);
        // The code stands for what the person saw, so that the token request does not ask again (RFC 9396 §6).
        let last = || devserver.last_request(Endpoint::Token).unwrap();
        assert_eq!(last().form_value("authorization_details"), None);
        let response = RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
        assert_eq!(last().form_value("authorization_details"), None);
        assert_eq!(response.authorization_details(), Some(vec![granted]));
    }
    // Without a person, the token request is where they are asked for.
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let authentication = ClientSecretBasic::new(secret);
    let mut cx = GrantContext::new(&server, id, &authentication, &PlainHttp, &clock);
    cx.login = &options;
    let response = ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(response.authorization_details(), Some(vec![payment()]));
}

#[tokio::test]
async fn a24_a_type_that_the_server_does_not_list_is_told_before_anything_is_sent() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let mut server = as_example();
    server.authorization_details_types_supported = Some(vec!["payment".into()]);
    for (detail, says) in
        [(AuthorizationDetail::new("transfer"), "\"transfer\""), (AuthorizationDetail::new(""), "type")]
    {
        let options = LoginOptions::new().authorization_details([payment(), detail]);
        let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        cx.login = &options;
        let person = Person::idle();
        cx.interaction = &person;
        let errors = [
            begin_authorization(&cx, REDIRECT_URI, MINUTE).await.map(drop).unwrap_err(),
            ClientCredentials.obtain(&cx).await.map(drop).unwrap_err(),
            DeviceCode::new().obtain(&cx).await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, GrantError::AuthorizationRequest(_)), "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.recovery(), Recovery::FixRequest);
        }
    }
    // A server that lists none says nothing.
    server.authorization_details_types_supported = None;
    let options = LoginOptions::new().authorization_details([AuthorizationDetail::new("transfer")]);
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    cx.login = &options;
    let (url, _) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
    assert_eq!(value(&url, "authorization_details").unwrap(), r#"[{"type":"transfer"}]"#);
}

#[tokio::test]
async fn options_of_one_login_become_parameters_and_never_stand_twice() {
    let (server, clock) = (as_example(), ManualClock::at(a_moment()));
    let transport = Scripted::new(&clock, []);
    let scope = "read".parse().unwrap();
    let options = LoginOptions::new()
        .scope("read write".parse().unwrap())
        .acr_values(["urn:a", "urn:b"])
        .max_age(Duration::ZERO)
        .prompt("login")
        .login_hint("alice@example.org");
    let mut cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    cx.scope = Some(&scope);
    let (plain, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
    assert_eq!(value(&plain, "scope").as_deref(), Some("read"));
    assert_eq!((pending.scope(), pending.max_age()), (None, None));
    for absent in ["acr_values", "max_age", "prompt", "login_hint", "authorization_details", "response_mode"]
    {
        assert_eq!(value(&plain, absent), None, "{absent}");
    }

    cx.login = &options;
    let (url, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
    for (name, expected) in [
        ("scope", "read write"),
        ("acr_values", "urn:a urn:b"),
        ("max_age", "0"),
        ("prompt", "login"),
        ("login_hint", "alice@example.org"),
    ] {
        assert_eq!(value(&url, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!((pending.scope(), pending.max_age()), (options.scope.as_ref(), Some(Duration::ZERO)));

    let mut extra = jeton_grants::ExtraParameters::default();
    extra.authorization.append("prompt", "consent").unwrap();
    cx.extra = &extra;
    let error = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap_err();
    assert!(
        matches!(&error, GrantError::Parameter(ParameterError::Repeated { name }) if name == "prompt"),
        "{error}"
    );
}

#[tokio::test]
async fn a19_a_resource_is_the_same_at_authorization_token_and_refresh() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let resources = [devserver.resource_identifier(), devserver.second_resource_identifier()];
    for pushed in [PushedRequests::Never, PushedRequests::Always] {
        let authorization = pushing(pushed);
        let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
        (cx.resources, cx.authorization) = (&resources, &authorization);
        let sent = |endpoint: Endpoint| {
            let request = devserver.last_request(endpoint).unwrap();
            let pairs = request.form.into_iter().chain(request.query).filter(|(name, _)| name == "resource");
            pairs.map(|(_, value)| value).collect::<Vec<_>>()
        };
        let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
        let asked = if pushed == PushedRequests::Always {
            Endpoint::PushedAuthorization
        } else {
            Endpoint::Authorization
        };
        assert_eq!(sent(asked), resources);
        let response = finish_authorization(&cx, pending, &redirected).await.unwrap();
        assert_eq!(sent(Endpoint::Token), resources);
        RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
        assert_eq!(sent(Endpoint::Token), resources);
    }
}

/// Another server answers in the place of the one that was asked (RFC 9207 §1): nothing of what it says is shown, be it a code or an
/// error, and whether the first one advertises `iss` or not.
#[tokio::test]
async fn a23_what_another_server_says_is_never_shown_and_its_code_never_sent() {
    let clock = ManualClock::at(a_moment());
    for advertised in [None, Some(false), Some(true)] {
        let mut server = as_example();
        server.authorization_response_iss_parameter_supported = advertised;
        let transport = Scripted::new(&clock, []);
        let cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
        for evil in [
            "code=stolen",
            "error=access_denied&error_description=call+0190+EVIL&error_uri=https://evil.example",
        ] {
            let (_, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
            let state = pending.state().expose().to_owned();
            let url = format!("{REDIRECT_URI}?{evil}&state={state}&iss=https://evil.example");
            let error = finish_authorization(&cx, pending, &url.parse().unwrap()).await.unwrap_err();
            assert!(
                matches!(
                    &error,
                    GrantError::AuthorizationResponse(AuthorizationResponseError::IssuerMismatch { .. })
                ),
                "{error:?}"
            );
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("evil") && !shown.contains("EVIL") && !shown.contains("stolen"),
                "{shown}"
            );
            assert_eq!(error.recovery(), Recovery::LogIn);
            assert!(error.error_response().is_none());
        }
        assert_eq!(transport.requests().len(), 0);
    }
}

#[tokio::test]
async fn a23_iss_that_is_advertised_and_absent_is_refused_and_of_the_right_server_taken() {
    let (mut server, clock) = (as_example(), ManualClock::at(a_moment()));
    server.authorization_response_iss_parameter_supported = Some(true);
    let transport = Scripted::new(&clock, [token()]);
    let cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    for absent in ["code=c", "error=access_denied"] {
        let (_, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
        let url = format!("{REDIRECT_URI}?{absent}&state={}", pending.state().expose());
        let error = finish_authorization(&cx, pending, &url.parse().unwrap()).await.unwrap_err();
        assert!(
            matches!(
                error,
                GrantError::AuthorizationResponse(AuthorizationResponseError::IssuerAbsent { .. })
            ),
            "{error:?}"
        );
    }
    let (_, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
    let url =
        format!("{REDIRECT_URI}?code=c&state={}&iss=https%3A%2F%2Fas.example", pending.state().expose());
    finish_authorization(&cx, pending, &url.parse().unwrap()).await.unwrap();
    assert_eq!(transport.requests().len(), 1);
}

/// A pending login that an older version wrote has none of the newer members.
#[tokio::test]
async fn a_pending_login_of_an_older_version_is_still_read_and_a_plain_one_still_looks_like_it() {
    let (server, clock) = (as_example(), ManualClock::at(a_moment()));
    let transport = Scripted::new(&clock, []);
    let cx = GrantContext::new(&server, "app", &PublicClient, &transport, &clock);
    let (_, pending) = begin_authorization(&cx, REDIRECT_URI, MINUTE).await.unwrap();
    let written = serde_json::to_value(&pending).unwrap();
    let members: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "code_verifier", "expires_at_ms", "issuer", "redirect_uri", "state"]);
    let read: PendingLogin = serde_json::from_value(written).unwrap();
    assert_eq!((read.scope(), read.max_age(), read.open_before()), (None, None, None));
    assert!(clock.now() < read.expires_at());
}

#[test]
fn a_policy_that_is_not_touched_is_the_rfcs() {
    let policy = AuthorizationPolicy::new();
    assert_eq!((policy.pushed, policy.security_profile), (PushedRequests::WhenRequired, None));
    let error = AuthorizationRequestError::PushRequired { issuer: "https://as.example".into() };
    assert!(error.to_string().starts_with("https://as.example takes pushed"));
}
