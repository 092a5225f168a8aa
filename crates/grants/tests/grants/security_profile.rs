//! A31: the FAPI 2.0 Security Profile as one switch. Each part that is missing is told before anything is sent.

use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint};
use jeton_grants::{
    AuthorizationPolicy, AuthorizationRequestError, ClientAuthentication, ClientCredentials,
    ClientSecretBasic, ClientSecretJwt, Dpop, Grant, GrantContext, GrantError, IdTokenCheck, IdTokenPolicy,
    JwksCache, JwtRejection, ManualClock, PkceDialect, PrivateKeyJwt, PublicClient, PushedRequests, Recovery,
    RefreshToken, RequestDialect, RequestObject, ResourceOwnerPasswordCredentials, SecurityProfile,
    SecurityProfileError, TlsClientAuth, begin_authorization, finish_authorization,
};
use jeton_jose::{Claims, JwkSet, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::{AuthorizationResponseError, AuthorizationServerMetadata, Secret};
use url::Url;

use crate::support::{
    FakeListener, PlainHttp, Scripted, a_moment, as_example, clocked, json, metadata, token,
};

const REDIRECT_URI: &str = FakeListener::REDIRECT_URI;
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const RSA: &str = include_str!("../../../devserver/keys/rs256-1.pem");

fn fapi() -> AuthorizationPolicy {
    let mut policy = AuthorizationPolicy::new();
    policy.security_profile = Some(SecurityProfile::Fapi2);
    policy
}

fn es256() -> SigningKey {
    SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).unwrap()
}

fn rsa(algorithm: JwsAlgorithm) -> SigningKey {
    SigningKey::from_pem(RSA, algorithm).unwrap()
}

/// A server that has all that the profile asks for.
fn fapi_example() -> AuthorizationServerMetadata {
    let mut server = as_example();
    server.pushed_authorization_request_endpoint = Some("https://as.example/par".into());
    server.authorization_response_iss_parameter_supported = Some(true);
    server
}

#[tokio::test]
async fn a31_a_login_by_the_profile_at_a_server_that_demands_it() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(DevServer::builder().fapi2(), &clock);
    let server = metadata(&devserver).await;
    let (authorization, dpop) = (fapi(), Dpop::generate().unwrap());
    let authentication = PrivateKeyJwt::new(es256());
    let client_id = DevServer::KEY_CLIENT.0;
    let mut cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    let (url, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    assert!(url.query().unwrap().contains("request_uri=") && !url.query().unwrap().contains("state="));
    let redirected: Url = devserver.authorize(url.as_str()).unwrap().parse().unwrap();
    let response = finish_authorization(&cx, pending, &redirected).await.unwrap();
    assert_eq!(response.token_type.as_str(), "DPoP");
    RefreshToken::new(response.refresh_token.unwrap()).obtain(&cx).await.unwrap();
    ClientCredentials.obtain(&cx).await.unwrap();
    assert_eq!(devserver.stats().requests_to(Endpoint::PushedAuthorization), 1);

    // The same client without the switch, and so without the proof, is refused there.
    let mut cx = GrantContext::new(&server, client_id, &authentication, &PlainHttp, &clock);
    cx.dpop = None;
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(error.to_string().contains("A31"), "{error}");
}

/// The error of a login and that of a token request, and that nothing was sent.
async fn refused(cx: &GrantContext<'_>) -> SecurityProfileError {
    let begun = begin_authorization(cx, REDIRECT_URI, FIVE_MINUTES).await.map(drop).unwrap_err();
    let GrantError::SecurityProfile(error) = begun else { panic!("{begun:?}") };
    assert!(GrantError::from(error.clone()).recovery() != Recovery::LogIn);
    error
}

#[tokio::test]
async fn a31_client_authentication_must_prove_a_key_by_a_good_algorithm() {
    let (server, clock) = (fapi_example(), ManualClock::at(a_moment()));
    let (authorization, dpop, transport) = (fapi(), Dpop::generate().unwrap(), Scripted::new(&clock, []));
    let secret = Secret::from("a secret of at least thirty-two bytes");
    let weak: [(&dyn ClientAuthentication, &str); 5] = [
        (&PublicClient, "none"),
        (&ClientSecretBasic::new(secret.clone()), "client_secret_basic"),
        (&ClientSecretJwt::new(secret).unwrap(), "client_secret_jwt"),
        (&PrivateKeyJwt::new(rsa(JwsAlgorithm::Rs256)), "RS256"),
        (&PrivateKeyJwt::new(rsa(JwsAlgorithm::Ps384)), "PS384"),
    ];
    for (authentication, says) in weak {
        let mut cx = GrantContext::new(&server, "app", authentication, &transport, &clock);
        (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
        let error = refused(&cx).await;
        assert!(error.to_string().contains(says), "{says}: {error}");
        let of_token = ClientCredentials.obtain(&cx).await.unwrap_err();
        assert!(matches!(of_token, GrantError::SecurityProfile(same) if same == error), "{says}");
    }
    for good in [rsa(JwsAlgorithm::Ps256), es256(), SigningKey::generate(JwsAlgorithm::Ed25519).unwrap()] {
        let authentication = PrivateKeyJwt::new(good);
        assert_eq!(SecurityProfile::Fapi2.check_authentication(&authentication), Ok(()));
    }
    assert_eq!(SecurityProfile::Fapi2.check_authentication(&TlsClientAuth), Ok(()));
    assert_eq!(transport.requests().len(), 0);
}

#[tokio::test]
async fn a31_tokens_must_be_bound() {
    let clock = ManualClock::at(a_moment());
    let (authorization, transport) = (fapi(), Scripted::new(&clock, []));
    let authentication = PrivateKeyJwt::new(es256());
    let mut server = fapi_example();
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    cx.authorization = &authorization;
    assert_eq!(refused(&cx).await, SecurityProfileError::Unbound);
    // A key for proofs that is not good enough.
    let weak = Dpop::with_signer(rsa(JwsAlgorithm::Rs256)).unwrap();
    cx.dpop = Some(&weak);
    assert!(matches!(refused(&cx).await, SecurityProfileError::Algorithm { what: "DPoP proof", .. }));
    // A certificate is of no use where the server does not bind tokens to it.
    let mut cx = GrantContext::new(&server, "app", &TlsClientAuth, &transport, &clock);
    cx.authorization = &authorization;
    assert!(matches!(refused(&cx).await, SecurityProfileError::ServerUnbound { .. }));
    assert_eq!(transport.requests().len(), 0);

    server.tls_client_certificate_bound_access_tokens = Some(true);
    let pushed = r#"{"request_uri":"urn:x","expires_in":60}"#;
    let transport = Scripted::new(&clock, [json(201, pushed), token()]);
    let mut cx = GrantContext::new(&server, "app", &TlsClientAuth, &transport, &clock);
    cx.authorization = &authorization;
    begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    ClientCredentials.obtain(&cx).await.unwrap();
}

#[tokio::test]
async fn a31_an_answer_without_the_binding_is_refused() {
    let (server, clock) = (fapi_example(), ManualClock::at(a_moment()));
    let (authorization, dpop) = (fapi(), Dpop::generate().unwrap());
    let authentication = PrivateKeyJwt::new(es256());
    let transport = Scripted::new(&clock, [token()]);
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    let error = ClientCredentials.obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn a31_requests_are_pushed_whatever_else_is_set() {
    let clock = ManualClock::at(a_moment());
    let (dpop, authentication) = (Dpop::generate().unwrap(), PrivateKeyJwt::new(es256()));
    let mut server = fapi_example();
    server.pushed_authorization_request_endpoint = None;
    for pushed in [PushedRequests::WhenRequired, PushedRequests::Always, PushedRequests::Never] {
        let mut authorization = fapi();
        authorization.pushed = pushed;
        let transport = Scripted::new(&clock, []);
        let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
        (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
        let error = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap_err();
        assert!(
            matches!(
                error,
                GrantError::AuthorizationRequest(AuthorizationRequestError::NoPushEndpoint { .. })
            ),
            "{pushed:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a31_the_server_must_name_itself_in_its_answers() {
    let clock = ManualClock::at(a_moment());
    let (authorization, dpop) = (fapi(), Dpop::generate().unwrap());
    let authentication = PrivateKeyJwt::new(es256());
    for says in [None, Some(false)] {
        let mut server = fapi_example();
        server.authorization_response_iss_parameter_supported = says;
        let transport = Scripted::new(&clock, []);
        let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
        (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
        assert!(matches!(refused(&cx).await, SecurityProfileError::NoIss { .. }));
        cx.issuer = None;
        assert_eq!(refused(&cx).await, SecurityProfileError::NoIssuer);
    }
    // Whatever its metadata says when the answer comes: without `iss` it is not taken.
    let mut server = fapi_example();
    let pushed = r#"{"request_uri":"urn:x","expires_in":60}"#;
    let transport = Scripted::new(&clock, [json(201, pushed)]);
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
    let url = format!("{REDIRECT_URI}?code=c&state={}", pending.state().expose());
    server.authorization_response_iss_parameter_supported = None;
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    let error = finish_authorization(&cx, pending, &url.parse().unwrap()).await.unwrap_err();
    assert!(
        matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::IssuerAbsent { .. })),
        "{error:?}"
    );
    assert_eq!(transport.requests().len(), 1);
}

#[tokio::test]
async fn a31_no_password_grant_no_missing_pkce_no_weak_request_object() {
    let (server, clock) = (fapi_example(), ManualClock::at(a_moment()));
    let (dpop, transport) = (Dpop::generate().unwrap(), Scripted::new(&clock, []));
    let authentication = PrivateKeyJwt::new(es256());
    let mut authorization = fapi();
    let password = ResourceOwnerPasswordCredentials::new("alice", "secret");
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    let error = password.obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::SecurityProfile(SecurityProfileError::Grant { .. })), "{error:?}");
    assert_eq!(error.recovery(), Recovery::FixRequest);

    for pkce in [PkceDialect::Omitted, PkceDialect::Hex] {
        let mut dialect = RequestDialect::new("odd");
        dialect.pkce = pkce;
        let mut cx = cx.clone();
        cx.dialect = Some(&dialect);
        assert_eq!(refused(&cx).await, SecurityProfileError::NoPkce);
    }

    authorization.request_object = Some(RequestObject::new(rsa(JwsAlgorithm::Rs512)));
    let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
    (cx.authorization, cx.dpop) = (&authorization, Some(&dpop));
    assert!(matches!(refused(&cx).await, SecurityProfileError::Algorithm { what: "request object", .. }));
    assert_eq!(transport.requests().len(), 0);
}

/// A signed answer by RS256, which JARM has as its default, is not good enough here.
#[tokio::test]
async fn a31_signed_answers_are_taken_by_good_algorithms_only() {
    let clock = ManualClock::at(a_moment());
    let (dpop, authentication) = (Dpop::generate().unwrap(), PrivateKeyJwt::new(es256()));
    let mut authorization = fapi();
    authorization.signed_response = true;
    let pushed = r#"{"request_uri":"urn:x","expires_in":60}"#;
    for (key, good) in [(rsa(JwsAlgorithm::Rs256), false), (rsa(JwsAlgorithm::Ps256), true)] {
        let mut server = fapi_example();
        server.authorization_signing_alg_values_supported = Some(vec!["RS256".into(), "PS256".into()]);
        let keys = JwksCache::pinned(JwkSet::from_iter(key.public_jwk().cloned()));
        let bound = r#"{"access_token":"t","token_type":"DPoP"}"#;
        let transport = Scripted::new(&clock, [json(201, pushed), json(200, bound)]);
        let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
        (cx.authorization, cx.dpop, cx.server_keys) = (&authorization, Some(&dpop), Some(&keys));
        let (_, pending) = begin_authorization(&cx, REDIRECT_URI, FIVE_MINUTES).await.unwrap();
        let claims = Claims::new()
            .with("iss", "https://as.example")
            .with("aud", "app")
            .with("exp", 1_700_000_060)
            .with("code", "c")
            .with("state", pending.state().expose());
        let jwt = sign_jwt(&key, JwtHeader::default(), &claims).await.unwrap();
        let url = Url::parse(&format!("{REDIRECT_URI}?response={}", jwt.expose())).unwrap();
        let finished = finish_authorization(&cx, pending, &url).await;
        assert_eq!(finished.is_ok(), good, "{finished:?}");
    }
}

/// RS256 is the default of ID tokens, too, and a shared secret proves nothing to others; neither is good enough here.
#[tokio::test]
async fn a31_id_tokens_are_taken_by_good_algorithms_only() {
    let clock = ManualClock::at(a_moment());
    let (dpop, authentication) = (Dpop::generate().unwrap(), PrivateKeyJwt::new(es256()));
    let client_secret = "a client secret of 32 bytes or more";
    let hmac = SigningKey::from_secret(&Secret::from(client_secret), JwsAlgorithm::Hs256).unwrap();
    let by_secret = IdTokenPolicy::new().signed_with_secret(JwsAlgorithm::Hs256, client_secret);
    for (key, policy, good) in [
        (rsa(JwsAlgorithm::Rs256), IdTokenPolicy::new(), false),
        (rsa(JwsAlgorithm::Rs256), IdTokenPolicy::new().algorithm(JwsAlgorithm::Rs256), false),
        (hmac, by_secret, false),
        (rsa(JwsAlgorithm::Ps256), IdTokenPolicy::new(), true),
    ] {
        for authorization in [fapi(), AuthorizationPolicy::new()] {
            let mut server = fapi_example();
            server.id_token_signing_alg_values_supported = Some(vec!["RS256".into(), "PS256".into()]);
            let keys = JwksCache::pinned(JwkSet::from_iter(key.public_jwk().cloned()));
            let claims = Claims::new()
                .with("iss", "https://as.example")
                .with("sub", "alice")
                .with("aud", "app")
                .with("iat", 1_700_000_000)
                .with("exp", 1_700_000_060);
            let id_token = sign_jwt(&key, JwtHeader::default(), &claims).await.unwrap();
            let answer = format!(
                r#"{{"access_token":"t","token_type":"DPoP","refresh_token":"n3w","id_token":"{}"}}"#,
                id_token.expose()
            );
            let transport = Scripted::new(&clock, [json(200, &answer)]);
            let check = IdTokenCheck::new(&policy);
            let mut cx = GrantContext::new(&server, "app", &authentication, &transport, &clock);
            (cx.authorization, cx.dpop, cx.server_keys) = (&authorization, Some(&dpop), Some(&keys));
            cx.id_tokens = Some(&check);
            let obtained = ClientCredentials.obtain(&cx).await;
            if good || authorization.security_profile.is_none() {
                obtained.unwrap();
                continue;
            }
            match obtained {
                Err(GrantError::RejectedJwt(rejected)) => {
                    let reason = &rejected.reason;
                    assert!(matches!(reason, JwtRejection::Jwt(JwtError::Algorithm { .. })), "{reason}");
                    assert!(rejected.refresh_token.is_some(), "a rotated refresh token is not lost");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
