//! A33: HTTPS but for loopback, no redirects, bounded bodies, and whatever servers and proxies send instead of an answer.

use std::time::{Duration, Instant};

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{
    ClientCredentials, ClientSecretBasic, DeviceCode, EndpointRequest, Grant, GrantContext, GrantError,
    Limits, ManualClock, Operation, PublicClient, Recovery, TransportErrorKind, begin_authorization,
    discover,
};
use jeton_models::{
    AuthorizationServerMetadata, Issuer, MetadataError, Parameters, ParseOptions, TokenResponse,
    UnusableReason, Warning,
};

use crate::support::{PlainHttp, Scripted, a_moment, answer, as_example, json, metadata, token};

fn transport_error(error: &GrantError) -> TransportErrorKind {
    match error {
        GrantError::Transport { source, .. } => source.kind(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a33_credentials_go_over_https_or_to_loopback() {
    let clock = ManualClock::at(a_moment());
    for (origin, fine) in [
        ("https://as.example", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost:8080", true),
        ("http://as.example", false),
        ("http://10.0.0.1", false),
        ("http://localhost.as.example", false),
        ("ftp://as.example", false),
    ] {
        let mut server = AuthorizationServerMetadata::new("https://as.example");
        server.token_endpoint = Some(format!("{origin}/token"));
        server.authorization_endpoint = Some(format!("{origin}/authorize"));
        server.device_authorization_endpoint = Some(format!("{origin}/device_authorization"));
        let transport = Scripted::new(&clock, [token(), token()]);
        let authentication = ClientSecretBasic::new("s");
        let cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);

        let result = ClientCredentials.obtain(&cx).await;
        // A grant from outside may bring its own URL.
        let url = format!("{origin}/token").parse().unwrap();
        let own = EndpointRequest::new(Operation::named("own"), url, Parameters::new()).send(&cx).await;
        let begun = begin_authorization(&cx, "https://app.example/cb", Duration::from_secs(60)).await;
        if fine {
            result.unwrap();
            own.unwrap();
            begun.unwrap();
            continue;
        }
        let insecure =
            |error: &GrantError| matches!(error, GrantError::Metadata(MetadataError::EndpointInvalid { .. }));
        let error = result.unwrap_err();
        assert!(insecure(&error), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert!(insecure(&begun.unwrap_err()));
        assert!(insecure(&DeviceCode::new().obtain(&cx).await.unwrap_err()));
        let error = own.unwrap_err();
        assert_eq!(transport_error(&error), TransportErrorKind::Request);
        assert!(error.to_string().contains("HTTPS"), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert_eq!(transport.requests().len(), 0, "{origin}");
    }
    assert!("http://as.example".parse::<Issuer>().is_err());
}

#[tokio::test]
async fn a33_redirects_are_not_followed() {
    let (devserver, elsewhere) = (DevServer::start().unwrap(), DevServer::recorder().unwrap());
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let authentication = ClientSecretBasic::new(DevServer::CONFIDENTIAL_CLIENT.1);
    let client_id = DevServer::CONFIDENTIAL_CLIENT.0;
    let cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    for endpoint in
        [Endpoint::Token, Endpoint::DeviceAuthorization, Endpoint::Metadata, Endpoint::OpenIdConfiguration]
    {
        devserver.fault(endpoint, Fault::Redirect(format!("{}/x?code=1", elsewhere.url())));
    }
    let issuer: Issuer = devserver.issuer().parse().unwrap();
    for result in [
        ClientCredentials.obtain(&cx).await.map(|_| ()),
        DeviceCode::new().obtain(&cx).await.map(|_| ()),
        discover(&PlainHttp, &clock, &issuer, &Limits::default()).await.map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, GrantError::Redirected { status: 307, .. }), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert!(!error.may_have_been_acted_on());
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

/// What came instead of a token, and what is made of it.
#[tokio::test]
async fn a33_whatever_comes_instead_of_an_answer_is_an_error_that_says_so() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let authentication = ClientSecretBasic::new(DevServer::SERVICE_CLIENT.1);
    let cx = GrantContext::new(&server, DevServer::SERVICE_CLIENT.0, &authentication, &PlainHttp, &clock);
    let retry = Recovery::Retry { after: None };
    let gzip = {
        // The beginning of a gzip stream: nobody asked for one.
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Fault::Answer { status: 200, headers, body: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56] }
    };
    for (fault, reason, status, content_type, recovery) in [
        (
            Fault::answer(502, "text/html", "<h1>Bad Gateway</h1>"),
            UnusableReason::Markup,
            502,
            "text/html",
            retry,
        ),
        (
            Fault::answer(200, "text/html", "<h1>Log in to this Wi-Fi</h1>"),
            UnusableReason::Markup,
            200,
            "text/html",
            Recovery::FixConfiguration,
        ),
        (
            Fault::answer(404, "text/html", "<h1>Not Found</h1>"),
            UnusableReason::Markup,
            404,
            "text/html",
            Recovery::FixConfiguration,
        ),
        (Fault::answer(200, "application/json", ""), UnusableReason::Empty, 200, "application/json", retry),
        (Fault::answer(500, "application/json", ""), UnusableReason::Empty, 500, "application/json", retry),
        (
            Fault::answer(200, "application/json", r#"{"access_token":"ha"#),
            UnusableReason::NotJson,
            200,
            "application/json",
            retry,
        ),
        (
            Fault::answer(200, "application/json", "[]"),
            UnusableReason::NotAnObject,
            200,
            "application/json",
            Recovery::FixConfiguration,
        ),
        (
            Fault::answer(200, "application/json", "{}"),
            UnusableReason::Member("access_token"),
            200,
            "application/json",
            Recovery::FixConfiguration,
        ),
        (
            Fault::answer(403, "application/json", r#"{"message":"blocked"}"#),
            UnusableReason::Status,
            403,
            "application/json",
            Recovery::FixConfiguration,
        ),
        (gzip, UnusableReason::NotJson, 200, "application/json", retry),
    ] {
        devserver.fault(Endpoint::Token, fault);
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        let GrantError::Unusable { answer, url, .. } = &error else { panic!("{error}") };
        assert_eq!((&answer.reason, answer.status), (&reason, status), "{error}");
        assert_eq!(*url, devserver.token_url());
        assert_eq!(error.recovery(), recovery, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("HTTP {status}, content type {content_type}")), "{text}");
        assert!(text.starts_with("token request (client_credentials) at http://127.0.0.1:"), "{text}");
    }
    // Nothing of all this harms what comes after.
    ClientCredentials.obtain(&cx).await.unwrap();
}

#[tokio::test]
async fn a33_a_wrong_content_type_a_form_and_an_error_under_200_are_understood() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let authentication = ClientSecretBasic::new(DevServer::SERVICE_CLIENT.1);
    let mut cx = GrantContext::new(&server, DevServer::SERVICE_CLIENT.0, &authentication, &PlainHttp, &clock);

    devserver.fault(Endpoint::Token, Fault::ContentType("text/html".to_owned()));
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap().warnings, [Warning::ContentType]);
    devserver.fault(Endpoint::Token, Fault::FormEncoded);
    assert_eq!(ClientCredentials.obtain(&cx).await.unwrap().warnings, [Warning::FormEncoded]);

    // The error comes through also where leniency is switched off.
    for parse in [ParseOptions::default(), ParseOptions::strict()] {
        cx.parse = parse;
        let body = r#"{"error":"invalid_scope","error_description":"no such scope"}"#;
        for content_type in ["application/json", "text/plain"] {
            devserver.fault(Endpoint::Token, Fault::answer(200, content_type, body));
            let error = ClientCredentials.obtain(&cx).await.unwrap_err();
            assert_eq!(error.oauth_error().unwrap().code(), "invalid_scope");
            assert_eq!(error.oauth_error().unwrap().status, 200);
            assert!(error.to_string().contains("no such scope"), "{error}");
        }
    }
    devserver.fault(Endpoint::Token, Fault::ContentType("text/html".to_owned()));
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(matches!(&error, GrantError::Unusable { .. }), "{error}");
}

#[tokio::test]
async fn a33_bodies_are_capped_connections_may_break_and_time_runs_out() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let authentication = ClientSecretBasic::new(DevServer::SERVICE_CLIENT.1);
    let mut cx = GrantContext::new(&server, DevServer::SERVICE_CLIENT.0, &authentication, &PlainHttp, &clock);
    assert_eq!((cx.limits.max_body, cx.limits.timeout), (1 << 20, Duration::from_secs(30)));

    for (fault, kind) in [
        (Fault::HugeBody((1 << 20) + 1), TransportErrorKind::BodyTooLarge),
        (Fault::HugeBody(1 << 40), TransportErrorKind::BodyTooLarge),
        (Fault::TruncateAfter(10), TransportErrorKind::Interrupted),
        (Fault::DropBeforeCommit, TransportErrorKind::Interrupted),
        (Fault::DropAfterCommit, TransportErrorKind::Interrupted),
    ] {
        devserver.fault(Endpoint::Token, fault);
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert_eq!(transport_error(&error), kind, "{error}");
        assert!(error.may_have_been_acted_on());
    }

    cx.limits.timeout = Duration::from_millis(200);
    devserver.fault(Endpoint::Token, Fault::Hang);
    let begun = Instant::now();
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert_eq!(transport_error(&error), TransportErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(200));

    // A port that is taken and at which nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut server = server;
    server.token_endpoint = Some(format!("http://{}/token", taken.local_addr().unwrap()));
    let cx = GrantContext::new(&server, "me", &PublicClient, &PlainHttp, &clock);
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert_eq!(transport_error(&error), TransportErrorKind::Connect, "{error}");
    assert!(!error.may_have_been_acted_on());
}

#[tokio::test]
async fn a33_the_cap_holds_whatever_the_transport_does() {
    let clock = ManualClock::at(a_moment());
    let mut body = br#"{"access_token":"t","token_type":"Bearer","x":""#.to_vec();
    body.resize(1000, b'x');
    body.extend_from_slice(br#""}"#);
    let length = body.len();
    for (max_body, fine) in [(length, true), (length - 1, false)] {
        let (server, transport) =
            (as_example(), Scripted::new(&clock, [answer(200, "application/json", body.clone())]));
        let authentication = ClientSecretBasic::new("s");
        let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
        cx.limits.max_body = max_body;
        match ClientCredentials.obtain(&cx).await {
            Ok(_) => assert!(fine),
            Err(error) => {
                assert!(!fine);
                assert_eq!(transport_error(&error), TransportErrorKind::BodyTooLarge);
            }
        }
    }
}

#[tokio::test]
async fn a33_an_endpoint_of_ones_own_is_read_with_the_same_care() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) =
        (as_example(), Scripted::new(&clock, [json(200, r#"{"access_token":"t","token_type":"Bearer"}"#)]));
    let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    let mut parameters = Parameters::new();
    parameters.append("token", "t").unwrap();
    let request = EndpointRequest::new(
        Operation::named("introspection"),
        "https://as.example/introspect".parse().unwrap(),
        parameters,
    );
    let answer = request.send(&cx).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.read(|answer| TokenResponse::parse(answer, &ParseOptions::default())).unwrap();
    assert_eq!(transport.bodies(), ["token=t&client_id=me"]);
}
