//! A1 and A2: how the client shows who it is (RFC 6749 §2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeton_devserver::{DevServer, Endpoint};
use jeton_grants::{
    AuthenticationContext, ClientAuthentication, ClientCredentials, ClientSecretBasic, ClientSecretPost,
    DeviceCode, EndpointRequest, ExtraParameters, Grant, GrantContext, GrantError, ManualClock, PublicClient,
    Recovery, RefreshToken, async_trait, http,
};
use jeton_models::ParameterError;

use crate::support::{Person, PlainHttp, Scripted, a_moment, as_example, metadata, token};

#[tokio::test]
async fn a1_basic_goes_over_the_wire_with_reserved_characters() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let (client_id, client_secret) = DevServer::CONFIDENTIAL_CLIENT;
    let (authentication, clock) = (ClientSecretBasic::new(client_secret), ManualClock::at(a_moment()));
    let cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);

    ClientCredentials.obtain(&cx).await.unwrap();

    let request = devserver.last_request(Endpoint::Token).unwrap();
    let joined = "confidential+app%3A1%25:p%40ss%3Aw%2Frd+%2B%25%26%C3%A9";
    assert_eq!(request.header("authorization").unwrap(), format!("Basic {}", STANDARD.encode(joined)));
}

#[tokio::test]
async fn a1_the_vectors_of_the_rfc_go_out_byte_by_byte() {
    for (client_id, client_secret, expected) in [
        (
            "s6BhdRkqt3",
            "7Fjfp0ZBr1KtDRbnfVdmIw",
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3".to_owned(),
        ),
        (" %&+£€", "", format!("Basic {}", STANDARD.encode("+%25%26%2B%C2%A3%E2%82%AC:"))),
        ("a:b", "*-._~", format!("Basic {}", STANDARD.encode("a%3Ab:*-._%7E"))),
    ] {
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, [token()]));
        let authentication = ClientSecretBasic::new(client_secret);
        let cx = GrantContext::new(&server, client_id, &authentication, &transport, &clock);
        ClientCredentials.obtain(&cx).await.unwrap();
        let header = transport.requests()[0].headers()["authorization"].clone();
        assert_eq!(header, expected);
        assert!(header.is_sensitive());
    }
}

#[tokio::test]
async fn a2_each_method_shows_itself_and_no_other() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let methods: [(&str, Box<dyn ClientAuthentication>, [bool; 3]); 3] = [
        (DevServer::PUBLIC_CLIENT, Box::new(PublicClient), [false, true, false]),
        (
            DevServer::CONFIDENTIAL_CLIENT.0,
            Box::new(ClientSecretBasic::new(DevServer::CONFIDENTIAL_CLIENT.1)),
            [true, false, false],
        ),
        (
            DevServer::POST_CLIENT.0,
            Box::new(ClientSecretPost::new(DevServer::POST_CLIENT.1)),
            [false, true, true],
        ),
    ];
    for (client_id, authentication, [header, id_in_body, secret_in_body]) in methods {
        let person = Person::with_patience_for(0);
        let mut cx = GrantContext::new(&server, client_id, &*authentication, &PlainHttp, &clock);
        cx.interaction = &person;
        // A refresh token that the server does not know: it says so only to a client that it knows.
        let refused = RefreshToken::new("unknown").obtain(&cx).await.unwrap_err();
        assert!(refused.is_invalid_grant(), "{}: {refused}", authentication.method());
        // The same goes for the other endpoint of this crate; the person gives up when the code is shown.
        let cancelled = DeviceCode::new().obtain(&cx).await.unwrap_err();
        assert!(matches!(cancelled, GrantError::Interaction(_)), "{}: {cancelled}", authentication.method());

        for endpoint in [Endpoint::Token, Endpoint::DeviceAuthorization] {
            let request = devserver.last_request(endpoint).unwrap();
            let shown = [
                request.header("authorization").is_some(),
                request.form_value("client_id").is_some(),
                request.form_value("client_secret").is_some(),
            ];
            assert_eq!(
                shown,
                [header, id_in_body, secret_in_body],
                "{} {endpoint:?}",
                authentication.method()
            );
        }
    }
}

/// A method from outside of the crate, over a header of its own.
struct AgentKey;

#[async_trait]
impl ClientAuthentication for AgentKey {
    fn method(&self) -> &str {
        "agent_key"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        assert_eq!((cx.client_id, cx.issuer), ("me", Some("https://as.example")));
        request.headers.insert("authorization", http::HeaderValue::from_static("Agent signature"));
        Ok(())
    }
}

#[tokio::test]
async fn a2_two_methods_never_leave_the_house() {
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    let methods: [(Box<dyn ClientAuthentication>, &str); 4] = [
        (Box::new(ClientSecretBasic::new("s")), "client_secret"),
        (Box::new(ClientSecretBasic::new("s")), "client_assertion"),
        (Box::new(ClientSecretPost::new("s")), "client_assertion"),
        (Box::new(AgentKey), "client_secret"),
    ];
    for (authentication, extra_parameter) in methods {
        let transport = Scripted::new(&clock, []);
        let mut extra = ExtraParameters::default();
        extra.token.append(extra_parameter, "another").unwrap();
        let mut cx = GrantContext::new(&server, "me", &*authentication, &transport, &clock);
        cx.extra = &extra;
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(matches!(error, GrantError::TwoAuthentications), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert_eq!(transport.requests().len(), 0);
    }
}

#[tokio::test]
async fn a2_a_second_secret_never_leaves_the_house() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, []));
    let mut extra = ExtraParameters::default();
    extra.token.append("client_secret", "another").unwrap();
    let authentication = ClientSecretPost::new("s");
    let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
    cx.extra = &extra;
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(
        matches!(&error, GrantError::Parameter(ParameterError::Repeated { name }) if name == "client_secret")
    );
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn a2_a_client_without_a_name_never_leaves_the_house() {
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    let methods: [Box<dyn ClientAuthentication>; 3] =
        [Box::new(PublicClient), Box::new(ClientSecretBasic::new("s")), Box::new(ClientSecretPost::new("s"))];
    for authentication in methods {
        let transport = Scripted::new(&clock, []);
        let cx = GrantContext::new(&server, "", &*authentication, &transport, &clock);
        let error = ClientCredentials.obtain(&cx).await.unwrap_err();
        let GrantError::Parameter(ParameterError::Empty { name }) = &error else { panic!("{error}") };
        assert_eq!(name, "client_id");
        assert_eq!(transport.requests().len(), 0);
    }
}
