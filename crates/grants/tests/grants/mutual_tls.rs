//! A18: what mutual TLS changes about requests (RFC 8705). The handshake itself is in the tests of jeton-client.

use jeton_grants::{
    ClientAuthentication, ClientCredentials, ClientSecretBasic, Grant, GrantContext, GrantError, ManualClock,
    Recovery, RefreshToken, SelfSignedTlsClientAuth, TlsClientAuth, begin_authorization, introspect, revoke,
};
use jeton_models::{AuthorizationServerMetadata, MetadataError, Secret};
use std::time::Duration;

use crate::support::{Scripted, a_moment, as_example, json, token};

fn with_aliases() -> AuthorizationServerMetadata {
    let mut server = as_example();
    server.introspection_endpoint = Some("https://as.example/introspect".into());
    server.revocation_endpoint = Some("https://as.example/revoke".into());
    let aliases = [
        ("token_endpoint", "https://mtls.as.example/token"),
        ("introspection_endpoint", "https://mtls.as.example/introspect"),
        ("authorization_endpoint", "https://mtls.as.example/authorize"),
    ];
    server.mtls_endpoint_aliases = Some(aliases.map(|(name, url)| (name.into(), url.into())).into());
    server
}

#[tokio::test]
async fn a18_the_client_id_is_always_sent_and_nothing_else_proves_who_it_is() {
    for authentication in
        [&TlsClientAuth as &dyn ClientAuthentication, &SelfSignedTlsClientAuth as &dyn ClientAuthentication]
    {
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, [token(), token()]));
        let cx = GrantContext::new(&server, "my-service", authentication, &transport, &clock);
        assert!(cx.mutual_tls);
        ClientCredentials.obtain(&cx).await.unwrap();
        RefreshToken::new("r").obtain(&cx).await.unwrap();
        for (request, body) in transport.requests().iter().zip(transport.bodies()) {
            assert!(body.ends_with("&client_id=my-service"), "{body}");
            assert!(!request.headers().contains_key("authorization"));
        }
        let cx = GrantContext::new(&server, "", authentication, &transport, &clock);
        assert!(matches!(ClientCredentials.obtain(&cx).await, Err(GrantError::Parameter(_))));
    }
}

#[tokio::test]
async fn a18_requests_go_to_the_aliases_and_the_browser_does_not() {
    let clock = ManualClock::at(a_moment());
    let active = || json(200, r#"{"active":true}"#);
    let answers = [token(), token(), active(), json(200, "{}"), token(), active()];
    let (server, transport) = (with_aliases(), Scripted::new(&clock, answers));
    let mut cx = GrantContext::new(&server, "my-service", &TlsClientAuth, &transport, &clock);
    ClientCredentials.obtain(&cx).await.unwrap();
    ClientCredentials.obtain(&cx).await.unwrap();
    introspect(&cx, &Secret::from("t"), None).await.unwrap();
    // No alias, so the ordinary one.
    revoke(&cx, &Secret::from("t"), None).await.unwrap();
    let (url, _) =
        begin_authorization(&cx, "https://app.example/callback", Duration::from_secs(60)).await.unwrap();
    assert!(url.as_str().starts_with("https://as.example/authorize?"), "{url}");

    // Tokens may be bound to a certificate by a client that authenticates otherwise, or not at all; and the other way round
    // what is remembered of the endpoint does not stick.
    let secret = ClientSecretBasic::new("s3cr3t");
    cx.authentication = &secret;
    cx.mutual_tls = false;
    ClientCredentials.obtain(&cx).await.unwrap();
    cx.mutual_tls = true;
    introspect(&cx, &Secret::from("t"), None).await.unwrap();

    let urls: Vec<_> = transport.requests().iter().map(|request| request.uri().to_string()).collect();
    assert_eq!(
        urls,
        [
            "https://mtls.as.example/token",
            "https://mtls.as.example/token",
            "https://mtls.as.example/introspect",
            "https://as.example/revoke",
            "https://as.example/token",
            "https://mtls.as.example/introspect",
        ]
    );
}

#[tokio::test]
async fn a18_an_alias_that_is_not_https_is_refused_and_nothing_is_sent() {
    for alias in [
        "http://as.example/token",
        "http://127.0.0.1:1/token",
        "/token",
        "https://u:p@as.example/token",
        "https://as.example/token#f",
    ] {
        let clock = ManualClock::at(a_moment());
        let transport = Scripted::new(&clock, [token()]);
        let mut server = as_example();
        // Remembered as the ordinary endpoint it must not pass as an alias.
        if alias.starts_with("http://127") {
            server.token_endpoint = Some(alias.to_owned());
            let cx = GrantContext::new(&server, "my-service", &TlsClientAuth, &transport, &clock);
            ClientCredentials.obtain(&cx).await.unwrap();
        }
        server.mtls_endpoint_aliases = Some([("token_endpoint".to_owned(), alias.to_owned())].into());
        let sent = transport.requests().len();
        let cx = GrantContext::new(&server, "my-service", &TlsClientAuth, &transport, &clock);
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(
            matches!(
                &error,
                GrantError::Metadata(MetadataError::EndpointInvalid { name: "token_endpoint", .. })
            ),
            "{alias}: {error}"
        );
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert_eq!(transport.requests().len(), sent, "{alias}");
    }
}

#[test]
fn a18_aliases_of_an_odd_type_do_not_break_the_metadata() {
    let issuer = "https://as.example".parse().unwrap();
    let body = br#"{"issuer":"https://as.example","token_endpoint":"https://as.example/t",
        "mtls_endpoint_aliases":{"token_endpoint":7,"x":"https://m.example/x"}}"#;
    let metadata = AuthorizationServerMetadata::parse(body, &issuer).unwrap();
    assert_eq!(metadata.mtls_endpoint("token_endpoint").unwrap().as_str(), "https://as.example/t");
    assert_eq!(metadata.mtls_endpoint_alias("x"), Some("https://m.example/x"));
    let body = br#"{"issuer":"https://as.example","mtls_endpoint_aliases":["a"]}"#;
    let metadata = AuthorizationServerMetadata::parse(body, &issuer).unwrap();
    assert!(
        metadata.mtls_endpoint_aliases.is_none() && metadata.extra.get("mtls_endpoint_aliases").is_some()
    );
}
