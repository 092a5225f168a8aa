//! A3 and A6: what a token request looks like and what is made of the answer; extra parameters by kind of request.

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{
    ClientCredentials, ClientSecretBasic, DeviceCode, ExtraParameters, Grant, GrantContext, GrantError,
    ManualClock, PublicClient, Recovery, RefreshToken, ResourceOwnerPasswordCredentials, begin_authorization,
    finish_authorization,
};
use jeton_models::{ParameterError, ParseOptions, Scope, TokenType, Warning};
use std::time::Duration;
use url::Url;

use crate::support::{
    FakeListener, Person, PlainHttp, Scripted, a_moment, as_example, clocked, json, metadata, oauth_error,
    token,
};

const DEVICE: &str =
    r#"{"device_code":"d","user_code":"U","verification_uri":"https://as.example/d","expires_in":60}"#;

#[tokio::test]
async fn a3_a_token_request_is_a_post_of_a_form() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
    let scope: Scope = "read write".parse().unwrap();
    let mut cx = GrantContext::new(&server, "my app", &PublicClient, &transport, &clock);
    cx.scope = Some(&scope);
    ResourceOwnerPasswordCredentials::new("ann é", "p&=+%").obtain(&cx).await.unwrap();

    let request = &transport.requests()[0];
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://as.example/token");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(request.headers()["accept"], "application/json");
    assert_eq!(request.headers().len(), 2);
    assert_eq!(
        request.body(),
        "grant_type=password&username=ann+%C3%A9&password=p%26%3D%2B%25&scope=read+write&client_id=my+app"
    );
}

#[tokio::test]
async fn a3_every_grant_sends_what_its_rfc_says_and_nothing_else() {
    let clock = ManualClock::at(a_moment());
    let answers = [token(), token(), json(200, DEVICE), token()];
    let (server, transport) = (as_example(), Scripted::new(&clock, answers));
    let (authentication, scope) = (ClientSecretBasic::new("s"), "read".parse::<Scope>().unwrap());
    let person = Person::idle();
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    cx.scope = Some(&scope);
    cx.interaction = &person;
    ClientCredentials.obtain(&cx).await.unwrap();
    RefreshToken::new("r").obtain(&cx).await.unwrap();
    DeviceCode::new().obtain(&cx).await.unwrap();
    assert_eq!(
        transport.bodies(),
        [
            "grant_type=client_credentials&scope=read",
            "grant_type=refresh_token&refresh_token=r",
            "scope=read",
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d",
        ]
    );
}

#[tokio::test]
async fn a3_the_strict_server_finds_no_fault_with_any_grant() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(DevServer::builder().device_auto_approve_after_polls(Some(1)), &clock);
    let server = metadata(&devserver).await;
    let authentication = ClientSecretBasic::new(DevServer::CONFIDENTIAL_CLIENT.1);
    let person = Person::idle();
    let scope: Scope = "read write".parse().unwrap();
    let mut cx =
        GrantContext::new(&server, DevServer::CONFIDENTIAL_CLIENT.0, &authentication, &PlainHttp, &clock);
    (cx.interaction, cx.scope) = (&person, Some(&scope));

    ClientCredentials.obtain(&cx).await.unwrap();
    let (name, password) = DevServer::ALICE;
    let response = ResourceOwnerPasswordCredentials::new(name, password).obtain(&cx).await.unwrap();
    RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
    let (url, pending) =
        begin_authorization(&cx, FakeListener::REDIRECT_URI, Duration::from_secs(60)).await.unwrap();
    let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
    finish_authorization(&cx, pending, &redirected).await.unwrap();
    DeviceCode::new().obtain(&cx).await.unwrap();
    assert_eq!(devserver.stats().tokens_issued, 5);
}

#[tokio::test]
async fn a3_empty_parameters_stay_at_home_and_repeated_ones_are_refused() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
    let mut extra = ExtraParameters::default();
    extra.token.append("tenant", "").unwrap();
    extra.token.append("audience", "a").unwrap();
    let (authentication, nothing) = (ClientSecretBasic::new("s"), Scope::default());
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    (cx.extra, cx.scope) = (&extra, Some(&nothing));
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(transport.bodies(), ["grant_type=client_credentials&audience=a"]);

    for name in ["grant_type", "username", "password", "client_id", "scope"] {
        let transport = Scripted::new(&clock, []);
        let mut extra = ExtraParameters::default();
        extra.token.append(name, "again").unwrap();
        let scope: Scope = "read".parse().unwrap();
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        (cx.extra, cx.scope) = (&extra, Some(&scope));
        let error = ResourceOwnerPasswordCredentials::new("ann", "pw").obtain(&cx).await.unwrap_err();
        assert!(
            matches!(&error, GrantError::Parameter(ParameterError::Repeated { name: n }) if n == name),
            "{error}"
        );
        assert_eq!(error.recovery(), Recovery::FixRequest);
        assert_eq!(transport.requests().len(), 0);
    }

    let transport = Scripted::new(&clock, []);
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    for grant in
        [ResourceOwnerPasswordCredentials::new("", "pw"), ResourceOwnerPasswordCredentials::new("ann", "")]
    {
        let error = grant.obtain(&cx).await.unwrap_err();
        assert!(matches!(error, GrantError::Parameter(ParameterError::Empty { .. })), "{error}");
    }
    let error = RefreshToken::new("").obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Parameter(ParameterError::Empty { .. })), "{error}");
}

#[tokio::test]
async fn a3_a_query_of_the_endpoint_is_kept_and_not_shown() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, [oauth_error(400, "invalid_scope")]);
    let mut server = as_example();
    server.token_endpoint = Some("https://as.example/token?key=hunter2".into());
    let authentication = ClientSecretBasic::new("s");
    let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert_eq!(transport.requests()[0].uri(), "https://as.example/token?key=hunter2");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn extra_parameters_of_one_kind_never_reach_another() {
    let clock = ManualClock::at(a_moment());
    let answers = [token(), token(), json(200, DEVICE), token(), token()];
    let (server, transport) = (as_example(), Scripted::new(&clock, answers));
    let mut extra = ExtraParameters::default();
    extra.authorization.append("x", "authorization").unwrap();
    extra.token.append("x", "token").unwrap();
    extra.refresh.append("x", "refresh").unwrap();
    extra.device_authorization.append("x", "device").unwrap();
    let (authentication, person) = (ClientSecretBasic::new("s"), Person::idle());
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    (cx.extra, cx.interaction) = (&extra, &person);

    ClientCredentials.obtain(&cx).await.unwrap();
    RefreshToken::new("r").obtain(&cx).await.unwrap();
    DeviceCode::new().obtain(&cx).await.unwrap();
    let (url, pending) =
        begin_authorization(&cx, FakeListener::REDIRECT_URI, Duration::from_secs(60)).await.unwrap();
    let redirected = format!("{}?code=c&state={}", FakeListener::REDIRECT_URI, pending.state().expose());
    finish_authorization(&cx, pending, &redirected.parse().unwrap()).await.unwrap();

    let x = |pairs: &str| {
        let pairs = url::form_urlencoded::parse(pairs.as_bytes()).into_owned();
        pairs.filter(|(name, _)| name == "x").map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(x(url.query().unwrap()), ["authorization"]);
    let sent: Vec<_> = transport.bodies().iter().map(|body| x(body)).collect();
    assert_eq!(sent, [["token"], ["refresh"], ["device"], ["token"], ["token"]]);
}

#[tokio::test]
async fn a6_the_answer_is_read_as_the_rfc_says() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let (client_id, client_secret) = DevServer::SERVICE_CLIENT;
    let authentication = ClientSecretBasic::new(client_secret);
    let mut cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);

    for spelling in ["Bearer", "bearer", "BEARER"] {
        devserver.fault(Endpoint::Token, Fault::set("token_type", spelling));
        let response = ClientCredentials.obtain(&cx).await.unwrap();
        assert_eq!(response.token_type, TokenType::Bearer);
        assert!(response.warnings.is_empty());
    }
    devserver.fault(Endpoint::Token, Fault::set("token_type", "mac"));
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("mac"), "{error}");
    assert_eq!(error.recovery(), Recovery::GiveUp);
    assert!(error.may_have_been_acted_on());

    devserver.fault(Endpoint::Token, Fault::set("tenant", "t7"));
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap().extra.get_str("tenant"), Some("t7"));
    devserver.fault(Endpoint::Token, Fault::remove("scope"));
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap().scope, None);

    // A leniency is recorded, or refused under the strict switch.
    devserver.fault_times(Endpoint::Token, Fault::remove("token_type"), 2);
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap().warnings, [Warning::TokenTypeAbsent]);
    cx.parse = ParseOptions::strict();
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("strict"), "{error}");
}
