//! Proof Key for Code Exchange (RFC 7636), S256 only.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Secret, random_token};

/// How a code challenge was made (RFC 7636 §4.2). jeton never sends `plain`, so that there is no name for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CodeChallengeMethod {
    /// `S256`: base64url of the SHA-256 of the verifier.
    #[default]
    S256,
}

impl CodeChallengeMethod {
    /// The value of the parameter `code_challenge_method`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S256 => "S256",
        }
    }
}

impl fmt::Display for CodeChallengeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CodeChallengeMethod {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CodeChallengeMethod".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": ["S256"] })
    }
}

/// A code verifier with its challenge: a fresh pair for every authorization (RFC 7636 §4.1, §4.2).
///
/// ```
/// use jeton_models::{Pkce, Secret};
///
/// let pkce = Pkce::new();
/// assert_eq!(pkce.code_verifier().len(), 43);
///
/// // The example of RFC 7636, Appendix B.
/// let pkce = Pkce::from_code_verifier(Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))?;
/// assert_eq!(pkce.code_challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
/// # Ok::<(), jeton_models::CodeVerifierError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pkce {
    code_verifier: Secret,
    code_challenge: String,
}

impl Pkce {
    /// A fresh pair from 256 random bits.
    pub fn new() -> Self {
        let code_verifier = create_code_verifier();
        let code_challenge = create_code_challenge(&code_verifier);
        Self { code_verifier, code_challenge }
    }

    /// The pair of a verifier that was made elsewhere, or kept.
    ///
    /// # Errors
    /// [`CodeVerifierError`] if it is not of 43 to 128 unreserved characters (RFC 7636 §4.1).
    pub fn from_code_verifier(code_verifier: Secret) -> Result<Self, CodeVerifierError> {
        let text = code_verifier.expose();
        if !(43..=128).contains(&text.len()) {
            return Err(CodeVerifierError::Length(text.len()));
        }
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if !text.bytes().all(unreserved) {
            return Err(CodeVerifierError::Character);
        }
        let code_challenge = create_code_challenge(&code_verifier);
        Ok(Self { code_verifier, code_challenge })
    }

    /// The verifier, for the token request only.
    pub fn code_verifier(&self) -> &Secret {
        &self.code_verifier
    }

    /// The challenge, for the authorization request.
    pub fn code_challenge(&self) -> &str {
        &self.code_challenge
    }

    /// Always [`CodeChallengeMethod::S256`].
    pub fn code_challenge_method(&self) -> CodeChallengeMethod {
        CodeChallengeMethod::S256
    }
}

impl Default for Pkce {
    fn default() -> Self {
        Self::new()
    }
}

/// What is wrong with a code verifier (RFC 7636 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeVerifierError {
    /// Too short or too long; the length in bytes.
    #[error("a code verifier has 43 to 128 characters, this one has {0}; use Pkce::new() (RFC 7636 §4.1)")]
    Length(usize),
    /// A character outside of `A-Z a-z 0-9 - . _ ~`.
    #[error("a code verifier has only the characters A-Z a-z 0-9 - . _ ~; use Pkce::new() (RFC 7636 §4.1)")]
    Character,
}

/// A random code verifier of 43 characters from 256 random bits (RFC 7636 §4.1).
pub fn create_code_verifier() -> Secret {
    random_token(32)
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub fn create_code_challenge(code_verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(code_verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a12_verifier_has_43_unreserved_characters_of_256_bits_and_differs_each_time() {
        let (one, two) = (Pkce::new(), Pkce::new());
        assert_eq!(one.code_verifier().len(), 43);
        assert_eq!(URL_SAFE_NO_PAD.decode(one.code_verifier().expose()).unwrap().len(), 32);
        assert_ne!(one.code_verifier(), two.code_verifier());
        assert_eq!(one.code_challenge_method().as_str(), "S256");
        assert!(Pkce::from_code_verifier(one.code_verifier().clone()).is_ok());
    }

    #[test]
    fn a12_rfc_7636_appendix_b_vector() {
        let verifier = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(create_code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a12_foreign_verifiers_are_checked() {
        let of = |text: &str| Pkce::from_code_verifier(Secret::from(text)).map(|_| ());
        assert_eq!(of(&"a".repeat(42)), Err(CodeVerifierError::Length(42)));
        assert_eq!(of(&"a".repeat(129)), Err(CodeVerifierError::Length(129)));
        assert_eq!(of(&"+".repeat(43)), Err(CodeVerifierError::Character));
        assert_eq!(of(&"~".repeat(128)), Ok(()));
    }
}
