//! DPoP (RFC 9449): the nonce that a server wants to see, and the key that was kept with a login.

use std::sync::OnceLock;
use std::time::SystemTime;

use jeton_grants::http::{HeaderMap, HeaderValue, Method};
use jeton_grants::{Dpop, DpopNonces, DpopSide, Url};
use jeton_models::Secret;
use serde_json::Value;

use super::property::{in_proportion, is_fit_to_be_shown};

/// Checks one input: as the value of the header `DPoP-Nonce`, and as a kept key.
pub fn check(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        nonce(data, value);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        kept(text);
    }
}

/// What is taken for a nonce is one (RFC 9449 §8.1), and stands in the next proof as it came.
fn nonce(data: &[u8], value: HeaderValue) {
    let url: Url = "https://as.example/token?key=x".parse().expect("a URL");
    let (nonces, mut headers) = (DpopNonces::default(), HeaderMap::new());
    headers.insert("dpop-nonce", value);
    let taken = in_proportion(data, || nonces.note(DpopSide::AuthorizationServer, &url, &headers));
    let fits = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert_eq!(taken, !data.is_empty() && data.len() <= 1024 && data.iter().all(fits));

    let claims = claims_of_a_proof(&key().clone().with_nonces(nonces), &url);
    let sent = taken.then(|| Value::from(String::from_utf8_lossy(data).into_owned()));
    assert_eq!(claims.get("nonce"), sent.as_ref());
    assert_eq!(claims["htu"], "https://as.example/token");
    assert_eq!(claims.as_object().map(|claims| claims.len()), Some(if taken { 5 } else { 4 }));
}

/// A kept key is the same when it is kept again, and is never shown.
fn kept(text: &str) {
    let secret = Secret::from(text);
    match Dpop::from_kept(&secret) {
        Ok(dpop) => {
            assert!(!dpop.is_external() && dpop.check_kept(&secret).is_ok());
            let again = Dpop::from_kept(&dpop.to_kept()).expect("a kept key");
            assert_eq!((again.thumbprint(), again.algorithm()), (dpop.thumbprint(), dpop.algorithm()));
            let members: Value = serde_json::from_str(text).expect("JSON");
            let private = members["d"].as_str().expect("a private key");
            assert!(private.len() < 8 || !format!("{dpop:?}").contains(private));
        }
        Err(error) => is_fit_to_be_shown(&error),
    }
    if let Err(error) = key().check_kept(&secret) {
        is_fit_to_be_shown(&error);
    }
}

fn key() -> &'static Dpop {
    static KEY: OnceLock<Dpop> = OnceLock::new();
    KEY.get_or_init(|| Dpop::generate().expect("a key"))
}

fn claims_of_a_proof(dpop: &Dpop, url: &Url) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let proof = runtime.block_on(dpop.proof(&Method::POST, url, None, SystemTime::now())).expect("a proof");
    let proof = proof.to_str().expect("text").to_owned();
    let claims = proof.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&decoded(claims)).expect("JSON")
}

/// base64url, for which the package needs no library: the text is our own.
fn decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |byte: u8| ALPHABET.iter().position(|own| *own == byte).expect("base64url") as u32;
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 6 | bit(*byte)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    text.as_bytes().chunks(4).flat_map(group).collect()
}
