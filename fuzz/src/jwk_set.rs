//! Sets of public keys (RFC 7517 §5), as a server publishes them, and single keys, public and private.

use jeton_jose::{Jwk, JwkSet, JwsAlgorithm, Signer, SigningKey};
use serde_json::Value;

use super::property::{in_proportion, is_fit_to_be_shown};

/// Checks one input: a set, and the same text as a single key and as a private one.
pub fn check(data: &[u8]) {
    match in_proportion(data, || JwkSet::parse(data)) {
        Ok(set) => {
            let sent: Value = serde_json::from_slice(data).expect("JSON");
            assert!(set.keys().len() <= sent["keys"].as_array().map_or(0, Vec::len).min(200));
            set.keys().iter().for_each(is_sound);
            // What is written is the same set, and has no private number in it.
            let written = serde_json::to_vec(&set).expect("JSON");
            let again = JwkSet::parse(&written).expect("a set");
            assert_eq!(again.keys().len(), set.keys().len());
            assert!(again.keys().iter().zip(set.keys()).all(|(one, other)| one.is_same_key(other)));
        }
        Err(error) => is_fit_to_be_shown(&error),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Jwk::parse(text) {
        Ok(jwk) => is_sound(&jwk),
        Err(error) => is_fit_to_be_shown(&error),
    }
    match SigningKey::from_jwk(&text.into()) {
        Ok(key) => {
            let sent: Value = serde_json::from_str(text).expect("JSON");
            for secret in ["d", "p", "q", "k"].into_iter().filter_map(|name| sent[name].as_str()) {
                assert!(!format!("{key:?}").contains(secret) || secret.len() < 8);
            }
            key.public_jwk().into_iter().for_each(is_sound);
            assert!(key.public_jwk().is_none_or(|public| public.fits(key.algorithm())));
            if let Some(kept) = key.to_jwk() {
                let again = SigningKey::from_jwk(&kept).expect("what is kept is a key");
                assert_eq!((again.key_id(), again.public_jwk()), (key.key_id(), key.public_jwk()));
            }
        }
        Err(error) => is_fit_to_be_shown(&error),
    }
}

/// What holds for every public key.
fn is_sound(jwk: &Jwk) {
    assert_eq!(jwk.thumbprint().len(), 43);
    assert!(!jwk.fits(JwsAlgorithm::Hs256) && !jwk.fits(JwsAlgorithm::Hs512));
    let written = serde_json::to_value(jwk).expect("JSON");
    assert!(written.get("d").is_none() && written.get("k").is_none());
    let again = Jwk::from_value(&written).expect("a key");
    assert!(again.is_same_key(jwk) && again.key_id() == jwk.key_id());
    assert_eq!(again.thumbprint(), jwk.thumbprint());
}
