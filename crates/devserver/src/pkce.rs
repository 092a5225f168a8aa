//! PKCE (RFC 7636) as the server sees it: the shapes of verifier and challenge, and whether they belong
//! together. S256 only; written here and not taken from jeton-models, so that two readings of the RFC meet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::form::Parameters;
use crate::refusal::Refusal;

/// The challenge of an authorization or device authorization request: `None` when there is none at all.
pub(crate) fn challenge(parameters: &Parameters) -> Result<Option<String>, Refusal> {
    let method = parameters.get("code_challenge_method");
    let Some(challenge) = parameters.get("code_challenge") else {
        return match method {
            None => Ok(None),
            Some(_) => Err(Refusal::invalid_request("A12: code_challenge_method without code_challenge")),
        };
    };
    if method != Some("S256") {
        return Err(Refusal::invalid_request(
            "A12: code_challenge_method must be S256; absent means plain, which is refused (RFC 9700 section \
             2.1.1)",
        ));
    }
    let shaped = challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok();
    if !shaped {
        return Err(Refusal::invalid_request(
            "A12: code_challenge must be 43 characters of base64url without padding (RFC 7636 section 4.2)",
        ));
    }
    Ok(Some(challenge.to_owned()))
}

/// The verifier of a token request, if it has the shape of RFC 7636 §4.1.
pub(crate) fn verifier(parameters: &Parameters) -> Result<&str, Refusal> {
    let verifier = parameters.require("code_verifier")?;
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(Refusal::invalid_request(
            "A12: code_verifier must be 43 to 128 unreserved characters (RFC 7636 section 4.1)",
        ));
    }
    Ok(verifier)
}

pub(crate) fn matches(verifier: &str, challenge: &str) -> bool {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a12_rfc7636_appendix_b() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(matches(verifier, challenge));
        assert!(!matches(challenge, verifier));
    }
}
