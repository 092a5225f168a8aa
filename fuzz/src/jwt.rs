//! Signed JWTs (RFC 7515, RFC 7519): as a stranger sends them, and with any header and any claims under a good signature.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_jose::{JwkSet, JwsAlgorithm, JwtError, Signer, SigningKey, UnverifiedJwt, VerifiedJwt};
use serde_json::Value;

use super::property::{in_proportion, is_fit_to_be_shown, printed};

/// The key of RFC 8037, Appendix A.1. Its signatures are the same each time.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    SigningKey::from_jwk(&jwk.into()).expect("a key")
});
static KEYS: LazyLock<JwkSet> = LazyLock::new(|| KEY.public_jwk().cloned().into_iter().collect());

/// Checks one input: a JWT, or else a header and claims in JSON with a line feed between them.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match data.iter().position(|byte| *byte == b'\n') {
        None => as_sent(&text),
        Some(end) => well_signed(&data[..end], &data[end + 1..]),
    }
}

fn read(text: &str) -> Result<VerifiedJwt, JwtError> {
    let jwt = in_proportion(text.as_bytes(), || UnverifiedJwt::parse(text))?;
    // Nobody without a key is ever believed, and never by a shared secret.
    assert!(jwt.verify(&JwkSet::default(), JwsAlgorithm::ALL).is_err());
    assert!(jwt.verify(&KEYS, &[]).is_err());
    assert!(jwt.verify_with_secret(&"a secret that nobody knows".into(), JwsAlgorithm::ALL).is_err());
    jwt.verify(&KEYS, JwsAlgorithm::ASYMMETRIC)
}

fn as_sent(text: &str) {
    let result = read(text);
    match &result {
        Ok(jwt) => is_sound(jwt, text),
        Err(error) => is_fit_to_be_shown(error),
    }
    // What is printed does not depend on the claims.
    if let Some((header, rest)) = text.split_once('.') {
        let other = format!("{header}.{}", "A".repeat(rest.len()));
        if let (Ok(one), Ok(other)) = (UnverifiedJwt::parse(text), UnverifiedJwt::parse(&other)) {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }
    assert!(printed(&result).len() < 4_000 + text.len());
}

fn well_signed(header: &[u8], claims: &[u8]) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let signature = runtime.block_on(KEY.sign(message.as_bytes())).expect("a signature");
    let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
    match read(&text) {
        Ok(jwt) => {
            is_sound(&jwt, &text);
            // Another spelling of the same signature, or one bit of it.
            assert!(read(&format!("{text}=")).is_err());
            let mut forged = signature;
            forged[usize::from(header.len() as u8) % 64] ^= 1;
            assert!(read(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(forged))).is_err());
        }
        Err(error) => {
            is_fit_to_be_shown(&error);
            // Only what was signed well is refused for its claims.
            let is_object =
                |json: &[u8]| serde_json::from_slice::<serde_json::Map<String, Value>>(json).is_ok();
            if header == br#"{"alg":"EdDSA"}"# && is_object(claims) {
                assert!(matches!(error, JwtError::Malformed(_)), "{error}");
            }
        }
    }
}

/// What holds for every JWT that is taken.
fn is_sound(jwt: &VerifiedJwt, text: &str) {
    assert!(jwt.header().algorithm.is_same_as(JwsAlgorithm::EdDsa));
    let part = |index| {
        let decoded =
            URL_SAFE_NO_PAD.decode(text.split('.').nth(index).expect("three parts")).expect("base64url");
        serde_json::from_slice::<Value>(&decoded).expect("JSON")
    };
    let (header, claims) = (part(0), part(1));
    assert!(header.get("crit").is_none());
    assert_eq!(header["alg"].as_str(), Some(jwt.header().algorithm.as_str()));
    assert_eq!(header.get("kid").and_then(Value::as_str), jwt.header().key_id.as_deref());
    assert_eq!(Value::Object(jwt.claims().clone().into_map()), claims);

    let claims = jwt.claims();
    let audiences = claims.audiences();
    assert_eq!(claims.is_sole_audience("a"), audiences == ["a"]);
    // Whoever has a time that nobody understands is late.
    if claims.check_times(1_800_000_000, 60).is_ok() {
        assert!(claims.expires_at().is_some_and(|expires_at| expires_at + 60 > 1_800_000_000));
        assert!(claims.get("nbf").is_none() || claims.not_before().is_some());
    }
}
