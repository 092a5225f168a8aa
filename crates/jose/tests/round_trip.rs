//! What is signed here is verified here, by each algorithm, and nothing else is.
// Tests may unwrap: a failure is what they are there to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jeton_jose::{
    Claims, JwkSet, JwsAlgorithm, JwtError, JwtHeader, KeyError, Signer, SigningKey, UnverifiedJwt, sign_jwt,
};
use jeton_models::Secret;

async fn signed(key: &SigningKey) -> Secret {
    let claims = Claims::new().with("iss", "me").with("aud", "https://as.example");
    sign_jwt(key, JwtHeader::typed("test+jwt"), &claims).await.unwrap()
}

fn keys(of: &SigningKey) -> JwkSet {
    of.public_jwk().cloned().into_iter().collect()
}

#[tokio::test]
async fn made_keys_sign_and_are_kept_as_jwk() {
    for algorithm in [JwsAlgorithm::Es256, JwsAlgorithm::Es384, JwsAlgorithm::EdDsa, JwsAlgorithm::Ed25519] {
        let key = SigningKey::generate(algorithm).unwrap().with_key_id("k\"1");
        let kept = SigningKey::from_jwk(&key.to_jwk().unwrap()).unwrap();
        assert_eq!(kept.key_id(), Some("k\"1"));
        assert_eq!(kept.public_jwk(), key.public_jwk());
        let verified =
            UnverifiedJwt::parse(signed(&kept).await.expose()).unwrap().verify(&keys(&key), &[algorithm]);
        let verified = verified.unwrap();
        assert_eq!(verified.header().algorithm, algorithm);
        assert!(verified.header().has_type("application/TEST+jwt"));
        assert!(verified.claims().is_sole_audience("https://as.example"));
    }
    assert!(matches!(SigningKey::generate(JwsAlgorithm::Ps256), Err(KeyError::Generate { .. })));
}

#[tokio::test]
async fn another_key_is_unknown_by_its_name_and_a_wrong_signature_without_one() {
    let (one, two) = (
        SigningKey::generate(JwsAlgorithm::Es256).unwrap(),
        SigningKey::generate(JwsAlgorithm::Es256).unwrap(),
    );
    let jwt = signed(&one).await;
    let verify = |keys: &JwkSet, jwt: &Secret| {
        UnverifiedJwt::parse(jwt.expose()).unwrap().verify(keys, JwsAlgorithm::ASYMMETRIC)
    };
    let error = verify(&keys(&two), &jwt).unwrap_err();
    assert_eq!(error, JwtError::Signature { key_id: None });
    assert!(error.may_have_a_newer_key());

    let jwt = signed(&one.clone().with_key_id("1")).await;
    let error = verify(&keys(&two.clone().with_key_id("2")), &jwt).unwrap_err();
    assert_eq!(error, JwtError::UnknownKey { key_id: Some("1".into()) });
    assert!(error.may_have_a_newer_key());
    let error = verify(&keys(&two.with_key_id("1")), &jwt).unwrap_err();
    assert_eq!(error, JwtError::Signature { key_id: Some("1".into()) });
    assert!(!error.may_have_a_newer_key());
    // A server that does not name its key.
    assert!(verify(&keys(&one), &jwt).is_ok());
}
