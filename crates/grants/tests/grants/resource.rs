//! Resource indicators (RFC 8707) at authorization, token, device and refresh requests.

use std::time::Duration;

use jeton_devserver::DevServer;
use jeton_grants::{
    ClientCredentials, ClientSecretBasic, DeviceCode, Grant, GrantContext, GrantError, ManualClock,
    PublicClient, Recovery, RefreshToken, begin_authorization, finish_authorization,
};
use url::Url;

use crate::support::{
    FakeListener, Person, PlainHttp, Scripted, a_moment, as_example, json, metadata, token,
};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;

#[tokio::test]
async fn every_resource_at_authorization_and_the_target_at_the_token_endpoint() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let resources = [devserver.resource_identifier(), devserver.second_resource_identifier()];
    let mut cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.resources = &resources;
    cx.target = Some(&resources[1]);

    let (url, pending) = begin_authorization(&cx, REDIRECT_URI, Duration::from_secs(60)).await.unwrap();
    let asked: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(asked, resources);
    let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
    let response = finish_authorization(&cx, pending, &redirected).await.unwrap();
    let sent = |devserver: &DevServer| {
        let request = devserver.last_request(jeton_devserver::Endpoint::Token).unwrap();
        let pairs = request.form.into_iter().filter(|(name, _)| name == "resource");
        pairs.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(sent(&devserver), [resources[1].clone()]);

    // The same login, a token for its other resource, then for all of them.
    cx.target = Some(&resources[0]);
    let response = RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
    assert_eq!(sent(&devserver), [resources[0].clone()]);
    cx.target = None;
    RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
    assert_eq!(sent(&devserver), resources);
}

#[tokio::test]
async fn a_device_login_names_its_resources_twice() {
    let clock = ManualClock::at(a_moment());
    let device =
        r#"{"device_code":"d","user_code":"U","verification_uri":"https://as.example/d","expires_in":60}"#;
    let (server, transport) = (as_example(), Scripted::new(&clock, [json(200, device), token()]));
    let (resources, person) = (["https://a.example/".to_owned(), "urn:b".to_owned()], Person::idle());
    let authentication = ClientSecretBasic::new("s");
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    (cx.resources, cx.target, cx.interaction) = (&resources, Some("urn:b"), &person);
    DeviceCode::new().obtain(&cx).await.unwrap();
    assert_eq!(
        transport.bodies(),
        [
            "resource=https%3A%2F%2Fa.example%2F&resource=urn%3Ab",
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d&resource=urn%3Ab",
        ]
    );
}

#[tokio::test]
async fn what_is_no_resource_indicator_never_leaves_the_house() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    for wrong in ["", "api", "/api", "https://a.example/#here"] {
        let resources = [wrong.to_owned()];
        let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        cx.resources = &resources;
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(matches!(&error, GrantError::Resource { resource } if resource == wrong), "{error}");
        assert_eq!(error.recovery(), Recovery::FixRequest);
        let error = begin_authorization(&cx, REDIRECT_URI, Duration::from_secs(60)).await.unwrap_err();
        assert!(matches!(error, GrantError::Resource { .. }), "{error}");
    }
    assert_eq!(transport.requests().len(), 0);
}
