//! Introspection answers as JWTs (RFC 9701): nothing is believed that the server has not signed for this client, now.

use jeton_grants::{
    ClientSecretBasic, GrantContext, GrantError, JwksCache, JwtRejection, ManualClock, Recovery, RejectedJwt,
    SignedAnswer, introspect,
};
use jeton_jose::{Claims, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::{Introspection, Secret};
use serde_json::{Value, json};

use crate::support::{Answered, Scripted, a_moment, answer, as_example, json};

const NOW: u64 = 1_700_000_000;
const TYPE: &str = "token-introspection+jwt";
const MEDIA: &str = "application/token-introspection+jwt";

fn claims() -> Claims {
    Claims::new()
        .with("iss", "https://as.example")
        .with("aud", "me")
        .with("iat", NOW)
        .with("token_introspection", json!({"active": true, "sub": "alice", "scope": "read", "x": [1]}))
}

struct World {
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        Self { key: SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("k") }
    }

    async fn signed(&self, typ: Option<&str>, claims: &Claims) -> Answered {
        let mut header = JwtHeader::default();
        header.typ = typ;
        let jwt = sign_jwt(&self.key, header, claims).await.unwrap();
        answer(200, MEDIA, jwt.expose().to_owned())
    }

    async fn of(&self, answered: Answered) -> Result<Introspection, GrantError> {
        let clock = ManualClock::at(a_moment());
        let transport = Scripted::new(&clock, [answered]);
        let mut server = as_example();
        server.introspection_endpoint = Some("https://as.example/introspect".into());
        server.introspection_signing_alg_values_supported = Some(vec!["ES256".into(), "none".into()]);
        let authentication = ClientSecretBasic::new("s3cr3t");
        let keys = JwksCache::pinned(self.key.public_jwk().cloned().into_iter().collect());
        let mut cx = GrantContext::new(&server, "me", &authentication, &transport, &clock);
        cx.server_keys = Some(&keys);
        cx.signed_introspection = true;
        let introspection = introspect(&cx, &Secret::from("h1dd3n"), None).await;
        assert_eq!(transport.requests()[0].headers()["accept"], MEDIA);
        introspection
    }

    async fn rejection(&self, answered: Answered) -> RejectedJwt {
        match self.of(answered).await {
            Err(GrantError::RejectedJwt(rejected)) => {
                assert_eq!(rejected.what, SignedAnswer::Introspection);
                *rejected
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a13_what_the_server_signed_for_this_client_is_read() {
    let world = World::new();
    let introspection = world.of(world.signed(Some(TYPE), &claims()).await).await.unwrap();
    assert_eq!((introspection.active, introspection.sub.as_deref()), (true, Some("alice")));
    assert_eq!(introspection.extra.get("x"), Some(&json!([1])));
    for right in [
        claims().with("aud", json!(["me", "you"])),
        claims().with("iat", NOW - 120).with("token_introspection", json!({"active": false})),
    ] {
        world.of(world.signed(Some(MEDIA), &right).await).await.unwrap();
    }
}

#[tokio::test]
async fn a13_each_wrong_claim_is_a_reason_to_refuse() {
    let world = World::new();
    let rows: [(&str, Claims, &str); 10] = [
        ("another server", claims().with("iss", "https://evil.example"), "iss"),
        ("nobody", claims().with("iss", Value::Null), "iss"),
        ("another client", claims().with("aud", "you"), "aud"),
        ("for nobody", claims().with("aud", Value::Null), "aud"),
        ("no time", claims().with("iat", Value::Null), "iat"),
        ("an old answer", claims().with("iat", NOW - 121), "iat"),
        ("one from the future", claims().with("iat", NOW + 121), "iat"),
        ("no answer in it", claims().with("token_introspection", Value::Null), "token_introspection"),
        ("text in it", claims().with("token_introspection", "{\"active\":true}"), "token_introspection"),
        // What stands beside the answer is not the answer.
        (
            "beside it",
            Claims::new()
                .with("iss", "https://as.example")
                .with("aud", "me")
                .with("iat", NOW)
                .with("active", true),
            "token_introspection",
        ),
    ];
    for (row, wrong, name) in rows {
        let rejected = world.rejection(world.signed(Some(TYPE), &wrong).await).await;
        assert!(
            matches!(&rejected.reason, JwtRejection::Jwt(JwtError::Claim { name: own, .. }) if *own == name),
            "{row}: {rejected}"
        );
        assert_eq!(GrantError::from(rejected).recovery(), Recovery::GiveUp);
    }
    let mute = claims().with("token_introspection", json!({"sub": "alice"}));
    let error = world.of(world.signed(Some(TYPE), &mute).await).await.unwrap_err();
    assert!(
        matches!(&error, GrantError::Unusable { .. }) && !format!("{error:?}").contains("h1dd3n"),
        "{error}"
    );
}

#[tokio::test]
async fn a13_a_plain_answer_and_other_kinds_of_jwt_are_refused() {
    let world = World::new();
    for plain in [
        json(200, r#"{"active":true}"#),
        answer(200, "application/jwt", "a.b.c"),
        answer(200, "text/html", "<html>"),
    ] {
        let rejected = world.rejection(plain).await;
        assert_eq!(rejected.reason, JwtRejection::NotSigned);
        assert_eq!(GrantError::from(rejected).recovery(), Recovery::FixConfiguration);
    }
    for typ in [None, Some("JWT"), Some("at+jwt")] {
        let rejected = world.rejection(world.signed(typ, &claims()).await).await;
        assert!(matches!(rejected.reason, JwtRejection::Jwt(JwtError::Malformed(_))), "{typ:?}");
    }
    let stranger = World::new();
    let rejected = world.rejection(stranger.signed(Some(TYPE), &claims()).await).await;
    assert!(matches!(rejected.reason, JwtRejection::Jwt(JwtError::Signature { .. })), "{rejected}");
    let rejected = world.rejection(answer(200, MEDIA, "eyJhbGciOiJub25lIn0.e30.")).await;
    assert_eq!(rejected.reason, JwtRejection::Jwt(JwtError::Unsigned));
    // An error is an error, signed or not.
    let error = world.of(json(401, r#"{"error":"invalid_client"}"#)).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_client");
}
