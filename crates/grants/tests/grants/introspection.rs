//! Token introspection (RFC 7662).

use jeton_devserver::DevServer;
use jeton_grants::{
    ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError, ManualClock, PublicClient,
    Recovery, introspect,
};
use jeton_models::{MetadataError, ParseOptions, Secret, UnusableReason, Warning};

use crate::support::{PlainHttp, Scripted, a_moment, as_example, clocked, json, metadata, with_header};

#[tokio::test]
async fn a13_the_server_says_what_it_knows_of_a_token() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(DevServer::builder(), &clock);
    let server = metadata(&devserver).await;
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let authentication = ClientSecretBasic::new(secret);
    let scope = "read".parse().unwrap();
    let mut cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    cx.scope = Some(&scope);
    cx.parse = ParseOptions::strict();
    let token = ClientCredentials.obtain(&cx).await.unwrap().access_token;

    let introspection = introspect(&cx, &token, Some("access_token")).await.unwrap();
    assert!(introspection.active);
    assert_eq!(introspection.client_id.as_deref(), Some(client_id));
    assert_eq!(introspection.scope, Some(scope.clone()));
    assert_eq!(introspection.iss.as_deref(), Some(&*server.issuer));
    assert_eq!(introspection.iat, Some(1_700_000_000));
    assert!(introspection.expires_at().unwrap() > a_moment());

    devserver.revoke_access_tokens();
    assert!(!introspect(&cx, &token, None).await.unwrap().active);
    assert!(!introspect(&cx, &Secret::from("made-up"), None).await.unwrap().active);

    // A public client is not told (RFC 7662 §2.1).
    let cx = GrantContext::new(&server, DevServer::PUBLIC_CLIENT, &PublicClient, &PlainHttp, &clock);
    let error = introspect(&cx, &token, Some("access_token")).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_client");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
}

#[tokio::test]
async fn the_request_is_as_the_rfc_says() {
    let clock = ManualClock::at(a_moment());
    let transport =
        Scripted::new(&clock, [json(200, r#"{"active":"true"}"#), json(200, r#"{"active":false}"#)]);
    let mut server = as_example();
    server.introspection_endpoint = Some("https://as.example/introspect".into());
    let authentication = ClientSecretBasic::new("s3cr3t");
    let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    let introspection = introspect(&cx, &Secret::from("a+b/c"), Some("refresh_token")).await.unwrap();
    assert_eq!((introspection.active, &*introspection.warnings), (true, &[Warning::ActiveString][..]));
    assert!(!introspect(&cx, &Secret::from("a"), None).await.unwrap().active);
    assert_eq!(transport.bodies(), ["token=a%2Bb%2Fc&token_type_hint=refresh_token", "token=a"]);
    let request = &transport.requests()[0];
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/introspect"));
    assert_eq!(request.headers()["accept"], "application/json");
    assert_eq!(request.headers()["authorization"], "Basic bWU6czNjcjN0");
}

#[tokio::test]
async fn where_there_is_nothing_to_ask_nothing_is_sent() {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let mut server = as_example();
    let token = Secret::from("t");
    {
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let error = introspect(&cx, &token, None).await.unwrap_err();
        assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
        assert_eq!(
            error.to_string(),
            "https://as.example names no `introspection_endpoint`; it does not offer what was asked for, or set the endpoint by \
             hand"
        );
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
    server.introspection_endpoint = Some("http://as.example/introspect".into());
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let error = introspect(&cx, &token, None).await.unwrap_err();
    assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointInvalid { .. })), "{error}");
    server.introspection_endpoint = Some("https://as.example/introspect".into());
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let error = introspect(&cx, &Secret::from(""), None).await.unwrap_err();
    assert!(matches!(error, GrantError::Parameter(_)), "{error}");
    assert!(transport.requests().is_empty());
}

#[tokio::test]
async fn an_error_says_what_to_do_and_shows_no_token() {
    let clock = ManualClock::at(a_moment());
    let mut server = as_example();
    server.introspection_endpoint = Some("https://as.example/introspect?key=h1dd3n-key".into());
    let authentication = ClientSecretBasic::new("h1dd3n-secret");
    let of = async |answered, strict: bool| {
        let transport = Scripted::new(&clock, [answered]);
        let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
        cx.parse.strict = strict;
        let error = introspect(&cx, &Secret::from("h1dd3n-token"), None).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("h1dd3n") && shown.contains("introspection at https://as.example"),
            "{shown}"
        );
        error
    };
    let repeats = r#"{"error":"invalid_request","error_description":"h1dd3n-token h1dd3n-secret h1dd3n-key","h1dd3n-token":1}"#;
    assert_eq!(of(json(400, repeats), false).await.recovery(), Recovery::FixRequest);
    let unavailable = with_header(json(503, r#"{"message":"h1dd3n-token"}"#), "retry-after", "7");
    let after = Some(std::time::Duration::from_secs(7));
    assert_eq!(of(unavailable, false).await.recovery(), Recovery::Retry { after });
    let mute = of(json(200, r#"{"message":"h1dd3n-token"}"#), false).await;
    assert!(
        matches!(&mute, GrantError::Unusable { answer, .. } if answer.reason == UnusableReason::Member("active")),
        "{mute}"
    );
    let odd = of(json(200, r#"{"active":"true"}"#), true).await;
    let strict = UnusableReason::Strict(Warning::ActiveString);
    assert!(matches!(&odd, GrantError::Unusable { answer, .. } if answer.reason == strict), "{odd}");
}
