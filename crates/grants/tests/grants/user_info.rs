//! Signed userinfo answers (OpenID Connect Core §5.3.2): this server's, for this client, about this person.

use jeton_grants::{
    GrantContext, GrantError, IdToken, JwksCache, JwtRejection, ManualClock, PublicClient, read_user_info,
    user_info_request,
};
use jeton_jose::{Claims, JwsAlgorithm, JwtError, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::{Secret, UserInfo};
use serde_json::Value;

use crate::support::{Answered, Scripted, a_moment, answer, as_example, json};

fn claims() -> Claims {
    Claims::new()
        .with("iss", "https://as.example")
        .with("aud", "me")
        .with("sub", "alice")
        .with("name", "Alice")
}

async fn read(answered: Answered, key: &SigningKey, must_be_signed: bool) -> Result<UserInfo, GrantError> {
    let clock = ManualClock::at(a_moment());
    let transport = Scripted::new(&clock, []);
    let mut server = as_example();
    server.userinfo_endpoint = Some("https://as.example/userinfo?key=h1dd3n-key".into());
    server.userinfo_signing_alg_values_supported = Some(vec!["ES256".into()]);
    let keys = JwksCache::pinned(key.public_jwk().cloned().into_iter().collect());
    let mut cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
    cx.server_keys = Some(&keys);
    let id_token = sign_jwt(key, JwtHeader::default(), &Claims::new().with("sub", "alice")).await.unwrap();
    let id_token = IdToken::from_kept(&id_token);
    assert_eq!(user_info_request(&cx).unwrap().uri().path(), "/userinfo");
    let sent = [Secret::from("h1dd3n-t0k3n")];
    read_user_info(&cx, &answered.unwrap(), &sent, id_token.as_ref(), must_be_signed).await
}

#[tokio::test]
async fn a29_each_wrong_claim_of_a_signed_answer_is_a_reason_to_refuse() {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let signed = async |typ: Option<&str>, claims: &Claims| {
        let mut header = JwtHeader::default();
        header.typ = typ;
        let jwt = sign_jwt(&key, header, claims).await.unwrap();
        answer(200, "application/jwt; charset=utf-8", jwt.expose().to_owned())
    };
    for typ in [None, Some("JWT")] {
        let person = read(signed(typ, &claims()).await, &key, true).await.unwrap();
        assert_eq!((&*person.sub, person.name.as_deref()), ("alice", Some("Alice")));
    }
    let rows = [
        ("another server", claims().with("iss", "https://evil.example")),
        ("no server", claims().with("iss", Value::Null)),
        ("another client", claims().with("aud", "you")),
        ("no client", claims().with("aud", Value::Null)),
        ("another person", claims().with("sub", "mallory")),
        ("nobody", claims().with("sub", Value::Null)),
    ];
    for (row, wrong) in rows {
        let error = read(signed(None, &wrong).await, &key, false).await.unwrap_err();
        assert!(!error.to_string().contains("mallory"), "{row}: {error}");
    }
    assert!(read(signed(Some("at+jwt"), &claims()).await, &key, false).await.is_err());
    let stranger = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let error = read(signed(None, &claims()).await, &stranger, false).await.unwrap_err();
    assert!(
        matches!(&error, GrantError::RejectedJwt(rejected)
            if matches!(rejected.reason, JwtRejection::Jwt(JwtError::Signature { .. } | JwtError::UnknownKey { .. }))),
        "{error}"
    );
}

#[tokio::test]
async fn a29_a_plain_answer_is_taken_unless_it_must_be_signed_and_about_the_same_person_always() {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let right = || json(200, r#"{"sub":"alice"}"#);
    assert_eq!(read(right(), &key, false).await.unwrap().sub, "alice");
    assert!(matches!(read(right(), &key, true).await, Err(GrantError::RejectedJwt(_))));
    for other in [r#"{"sub":"mallory"}"#, r#"{"sub":"alice "}"#, r#"{"sub":"Alice"}"#] {
        assert!(
            matches!(read(json(200, other), &key, false).await, Err(GrantError::UserInfoSubject)),
            "{other}"
        );
    }
    let error = read(json(401, r#"{"error":"invalid_token"}"#), &key, false).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_token");
    let repeats =
        r#"{"error":"invalid_token","error_description":"h1dd3n-t0k3n","h1dd3n-t0k3n":["h1dd3n-t0k3n"]}"#;
    let repeated = read(json(401, repeats), &key, false).await.unwrap_err();
    let page = read(json(500, r#"{"message":"no h1dd3n-t0k3n"}"#), &key, false).await.unwrap_err();
    let shown = format!("{error} {error:?} {repeated} {repeated:?} {page} {page:?}");
    assert!(
        shown.contains("userinfo request at https://as.example/userinfo") && !shown.contains("h1dd3n"),
        "{shown}"
    );
}
