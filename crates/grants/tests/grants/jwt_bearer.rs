//! A10, second half: assertions as grants (RFC 7523 §2.1), and the identity assertion grant, which is made of one.

use jeton_grants::{Grant, GrantContext, GrantError, JwtBearer, ManualClock, PublicClient, Recovery};
use jeton_models::{Scope, Secret};

use crate::support::{Scripted, a_moment, as_example, token};

#[tokio::test]
async fn a10_an_assertion_is_asked_for_anew_each_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [token(), token()]));
    let scope: Scope = "read".parse().unwrap();
    let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    cx.scope = Some(&scope);
    let count = AtomicUsize::new(0);
    let grant = JwtBearer::new(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 | 1 => Ok(Secret::new(format!("a.{number}.c"))),
                2 => Ok(Secret::from("")),
                _ => {
                    Err(GrantError::source("assertion", Recovery::Retry { after: None }, "the agent is away"))
                }
            }
        }
    });
    grant.obtain(&cx).await.unwrap();
    grant.obtain(&cx).await.unwrap();
    let start = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.";
    for (number, body) in transport.bodies().iter().enumerate() {
        assert_eq!(*body, format!("{start}{number}.c&scope=read&client_id=my-service"));
    }
    assert!(matches!(grant.obtain(&cx).await, Err(GrantError::Parameter(_))));
    assert_eq!(grant.obtain(&cx).await.unwrap_err().recovery(), Recovery::Retry { after: None });
    assert_eq!(transport.requests().len(), 2);
}

#[cfg(feature = "jose")]
mod signed {
    use std::time::Duration;

    use jeton_grants::{
        AssertionSource, ClientSecretBasic, IdentityAssertion, SecurityToken, SignedAssertion,
    };
    use jeton_jose::{Claims, JwkSet, JwsAlgorithm, JwtHeader, Signer, SigningKey, UnverifiedJwt, sign_jwt};
    use jeton_models::AuthorizationServerMetadata;
    use serde_json::json;

    use super::*;
    use crate::support::json as answered;

    #[tokio::test]
    async fn a10_a_signed_assertion_names_the_server_as_sole_audience_and_is_fresh_and_short() {
        let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k1");
        let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, []));
        let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
        let source = SignedAssertion::new(key, "https://sts.example")
            .subject("alice")
            .claim("aud", "x")
            .claim("act", 1);
        let read = |jwt: &Secret| {
            let jwt = UnverifiedJwt::parse(jwt.expose()).unwrap();
            assert_eq!(
                (jwt.header().key_id.as_deref(), jwt.header().typ.as_deref()),
                (Some("k1"), Some("JWT"))
            );
            jwt.verify(&keys, &[JwsAlgorithm::Es256]).unwrap().into_claims()
        };
        let first = read(&source.assertion(&cx).await.unwrap());
        let second = read(&source.assertion(&cx).await.unwrap());
        assert_eq!((first.issuer(), first.subject()), (Some("https://sts.example"), Some("alice")));
        assert!(first.is_sole_audience("https://as.example"));
        assert_eq!(first.get("act"), Some(&json!(1)));
        let now = 1_700_000_000;
        assert_eq!((first.issued_at(), first.expires_at()), (Some(now), Some(now + 60)));
        assert!(first.jwt_id().unwrap().len() >= 22);
        assert_ne!(first.jwt_id(), second.jwt_id());

        cx.issuer = None;
        assert!(matches!(source.assertion(&cx).await, Err(GrantError::Unfit { .. })));
        let source = source.audience("https://as.example/token").lifetime(Duration::from_secs(600));
        let claims = read(&source.assertion(&cx).await.unwrap());
        assert!(claims.is_sole_audience("https://as.example/token"));
        assert_eq!(claims.expires_at(), Some(now + 600));
    }

    /// What an identity provider answers that issues an ID-JAG of this type with these claims.
    async fn id_jag(typ: &str, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = Claims::new()
            .with("iss", "https://idp.example")
            .with("sub", "alice")
            .with("aud", "https://as.example")
            .with("client_id", "my-service")
            .with("jti", "9e43f81b64a33f20116179")
            .with("iat", 1_700_000_000)
            .with("exp", 1_700_000_300);
        change(&mut claims);
        let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
        sign_jwt(&key, JwtHeader::typed(typ), &claims).await.unwrap().expose().to_owned()
    }

    const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

    fn issued(jwt: &str, kind: &str) -> crate::support::Answered {
        answered(
            200,
            &json!({"access_token": jwt, "token_type": "N_A", "issued_token_type": kind, "expires_in": 300})
                .to_string(),
        )
    }

    fn grant() -> IdentityAssertion {
        let mut provider = AuthorizationServerMetadata::new("https://idp.example");
        provider.token_endpoint = Some("https://idp.example/token".into());
        let authentication = ClientSecretBasic::new("idp-s3cr3t");
        IdentityAssertion::new(provider, "wiki-at-idp", authentication, SecurityToken::id_token("i.d.t"))
    }

    #[tokio::test]
    async fn an_id_jag_is_got_at_the_provider_and_taken_to_the_server() {
        let clock = ManualClock::at(a_moment());
        let jwt = id_jag("oauth-id-jag+jwt", |_| {}).await;
        let (server, transport) = (
            as_example(),
            Scripted::new(&clock, [issued(&jwt, ID_JAG), token(), issued(&jwt, ID_JAG), token()]),
        );
        let scope: Scope = "read".parse().unwrap();
        let resources = ["https://api.example/".to_owned()];
        let secret = ClientSecretBasic::new("as-s3cr3t");
        let mut cx = GrantContext::new(&server, "my-service", &secret, &transport, &clock);
        (cx.scope, cx.resources) = (Some(&scope), &resources);
        grant().obtain(&cx).await.unwrap();
        grant().obtain(&cx).await.unwrap();

        let requests = transport.requests();
        assert_eq!(requests.len(), 4, "each token has an ID-JAG of its own");
        assert_eq!(requests[0].uri(), "https://idp.example/token");
        assert_eq!(requests[1].uri(), "https://as.example/token");
        assert_ne!(requests[0].headers()["authorization"], requests[1].headers()["authorization"]);
        let read = |number: usize| -> Vec<(String, String)> {
            url::form_urlencoded::parse(transport.bodies()[number].as_bytes()).into_owned().collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read(0),
            [
                pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                pair("subject_token", "i.d.t"),
                pair("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
                pair("requested_token_type", ID_JAG),
                pair("audience", "https://as.example"),
                pair("scope", "read"),
                pair("resource", "https://api.example/"),
            ]
        );
        assert_eq!(
            read(1),
            [
                pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                pair("assertion", &jwt),
                pair("resource", "https://api.example/"),
            ]
        );
    }

    #[tokio::test]
    async fn what_is_no_id_jag_for_this_client_and_server_is_not_handed_on() {
        let none = |_: &mut Claims| {};
        let typed = "oauth-id-jag+jwt";
        let cases: Vec<(String, &str)> = vec![
            (id_jag("JWT", none).await, ID_JAG),
            (id_jag(typed, none).await, "urn:ietf:params:oauth:token-type:access_token"),
            (id_jag(typed, |c| c.insert("iss", "https://evil.example")).await, ID_JAG),
            (id_jag(typed, |c| c.insert("aud", "https://other.example")).await, ID_JAG),
            (
                id_jag(typed, |c| c.insert("aud", json!(["https://as.example", "https://b.example"]))).await,
                ID_JAG,
            ),
            (id_jag(typed, |c| c.insert("client_id", "another")).await, ID_JAG),
            (id_jag(typed, |c| c.insert("exp", 1_699_999_000)).await, ID_JAG),
            (id_jag(typed, |c| c.insert("exp", json!(null))).await, ID_JAG),
            (id_jag(typed, |c| c.insert("iat", 1_700_009_000)).await, ID_JAG),
            (id_jag(typed, |c| c.insert("sub", "")).await, ID_JAG),
            (id_jag(typed, |c| c.insert("jti", json!(null))).await, ID_JAG),
            ("opaque".to_owned(), ID_JAG),
            ("e30.e30.".to_owned(), ID_JAG),
        ];
        for (jwt, kind) in cases {
            let clock = ManualClock::at(a_moment());
            let (server, transport) = (as_example(), Scripted::new(&clock, [issued(&jwt, kind), token()]));
            let cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
            let error = grant().obtain(&cx).await.unwrap_err();
            assert!(matches!(error, GrantError::IdentityAssertion { .. }), "{error}");
            assert_eq!(error.recovery(), Recovery::FixConfiguration);
            assert!(!error.to_string().contains(&jwt) && !format!("{error:?}").contains(&jwt));
            assert_eq!(transport.requests().len(), 1, "{error}: nothing goes to the server");
        }
    }

    #[tokio::test]
    async fn without_a_person_at_the_provider_somebody_has_to_log_in_there() {
        let clock = ManualClock::at(a_moment());
        let refused = answered(400, r#"{"error":"invalid_grant"}"#);
        let (server, transport) = (as_example(), Scripted::new(&clock, [refused]));
        let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
        let error = grant().obtain(&cx).await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(!error.is_invalid_grant(), "no verdict on a login at the server");
        cx.issuer = None;
        assert!(matches!(grant().obtain(&cx).await, Err(GrantError::Unfit { .. })));
    }
}
