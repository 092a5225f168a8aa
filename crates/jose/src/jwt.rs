//! Signed JWTs in compact form (RFC 7515 §7.1, RFC 7519): made by a `Signer`, and read in two steps, of which the first knows
//! nothing but the header and only the second, after the signature was checked, gives the claims away.

use std::fmt;

use jeton_models::Secret;
use serde_json::{Map, Value};

use crate::encoding::{decode, encode, shown, unique_members};
use crate::key::secret_verifies;
use crate::{Claims, Jwk, JwkSet, JwsAlgorithm, SignError, Signer};

/// The most bytes that a JWT may have.
const MAX_JWT: usize = 256 * 1024;
/// The most characters of a header. There may be a chain of certificates in it.
const MAX_HEADER: usize = 32 * 1024;

/// What stands in the header of a JWT that is made, besides `alg` and `kid`, which the signer says.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct JwtHeader<'a> {
    /// `typ`: what kind of JWT it is (RFC 8725 §3.11).
    pub typ: Option<&'a str>,
    /// `jwk`: the public key itself, in the place of its name `kid` (DPoP proofs, RFC 9449 §4.2).
    pub jwk: Option<&'a Jwk>,
}

impl<'a> JwtHeader<'a> {
    /// A header with that `typ`.
    pub const fn typed(typ: &'a str) -> Self {
        Self { typ: Some(typ), jwk: None }
    }

    /// With the public key in it.
    #[must_use]
    pub const fn with_jwk(mut self, jwk: &'a Jwk) -> Self {
        self.jwk = Some(jwk);
        self
    }
}

/// Makes a signed JWT.
///
/// It is a `Secret`, as what it proves may be what a password proves.
///
/// # Errors
/// [`SignError`] if the signer cannot sign, or gives what is no signature of its algorithm.
pub async fn sign_jwt(
    signer: &dyn Signer,
    header: JwtHeader<'_>,
    claims: &Claims,
) -> Result<Secret, SignError> {
    let algorithm = signer.algorithm();
    let mut members = Map::new();
    members.insert("alg".to_owned(), algorithm.as_str().into());
    if let Some(typ) = header.typ {
        members.insert("typ".to_owned(), typ.into());
    }
    match (header.jwk, signer.key_id()) {
        (Some(jwk), _) => {
            members.insert("jwk".to_owned(), jwk.bare().into());
        }
        (None, Some(key_id)) => {
            members.insert("kid".to_owned(), key_id.into());
        }
        (None, None) => {}
    }
    let header = encode(Value::Object(members).to_string());
    let claims = serde_json::to_vec(claims).map_err(SignError::other)?;
    let mut jwt = format!("{header}.{}", encode(claims));
    let signature = signer.sign(jwt.as_bytes()).await?;
    let fits = match algorithm.signature_length() {
        Some(length) => signature.len() == length,
        None => (256..=1024).contains(&signature.len()),
    };
    if !fits {
        return Err(SignError::Form { algorithm, length: signature.len() });
    }
    jwt.push('.');
    jwt.push_str(&encode(signature));
    Ok(Secret::new(jwt))
}

/// The header of a JWT that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedHeader {
    /// `alg`.
    pub algorithm: JwsAlgorithm,
    /// `kid`: by which key it says to be signed.
    pub key_id: Option<String>,
    /// `typ`: what kind of JWT it says to be.
    pub typ: Option<String>,
}

impl ReceivedHeader {
    /// Whether `typ` is that media type. It is one without regard to case, and may omit `application/` (RFC 7515 §4.1.9).
    pub fn has_type(&self, expected: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| short_type(typ).eq_ignore_ascii_case(short_type(expected)))
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, JwtError> {
        // No extension is understood here, so that each one that must be understood is a reason to refuse (RFC 7515 §4.1.11).
        if members.contains_key("crit") {
            return Err(JwtError::Critical);
        }
        let text = |name| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(JwtError::Malformed("a member of its header is not a string")),
        };
        let algorithm = text("alg")?.ok_or(JwtError::Malformed("its header has no `alg`"))?;
        if algorithm.eq_ignore_ascii_case("none") {
            return Err(JwtError::Unsigned);
        }
        let algorithm =
            algorithm.parse().map_err(|_| JwtError::Algorithm { algorithm: shown(&algorithm) })?;
        Ok(Self { algorithm, key_id: text("kid")?, typ: text("typ")? })
    }
}

fn short_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// A JWT whose signature nobody has checked yet. It gives away its header, and what it says only under a name that warns.
pub struct UnverifiedJwt {
    header: ReceivedHeader,
    text: Secret,
    /// Where the signed part, header and claims, ends, and where the claims begin.
    signed: usize,
    claims: usize,
    signature: Vec<u8>,
}

impl UnverifiedJwt {
    /// Takes a JWT in compact form apart, of at most 256 KiB.
    ///
    /// # Errors
    /// [`JwtError`] if it is none, not signed (`none`), encrypted, of an unknown algorithm, or if its header asks for an extension.
    pub fn parse(text: &str) -> Result<Self, JwtError> {
        if text.len() > MAX_JWT {
            return Err(JwtError::Malformed("it has more than 256 KiB"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let is_encrypted = text.split('.').count() == 5;
            return Err(if is_encrypted {
                JwtError::Encrypted
            } else {
                JwtError::Malformed("it has not three parts")
            });
        };
        if header.len() > MAX_HEADER {
            return Err(JwtError::Malformed("its header is too large"));
        }
        let members = decode(header).and_then(|json| unique_members(&json));
        let members = members.ok_or(JwtError::Malformed("its header is no JSON object in base64url"))?;
        let header_length = header.len();
        let header = ReceivedHeader::from_members(&members)?;
        let signature = decode(signature).ok_or(JwtError::Malformed("its signature is not in base64url"))?;
        let signed = header_length + 1 + claims.len();
        Ok(Self { header, text: Secret::from(text), signed, claims: header_length + 1, signature })
    }

    /// Its header, which nobody has checked: good for choosing a key, and for nothing else.
    pub fn header(&self) -> &ReceivedHeader {
        &self.header
    }

    /// What it says of itself, which nobody has checked: good for one that is only handed on to whoever will check it, so that it
    /// does not get into the wrong hands. Believe nothing of it.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] if the claims are no JSON object.
    pub fn unchecked_claims(&self) -> Result<Claims, JwtError> {
        let claims = &self.text.expose()[self.claims..self.signed];
        let claims = decode(claims).and_then(|json| unique_members(&json));
        claims.map(Claims::from).ok_or(JwtError::Malformed("its claims are no JSON object in base64url"))
    }

    /// Checks the signature with the public keys of whom it should be from.
    ///
    /// Only keys that fit the algorithm are tried. Those of the name `kid` come first; where there are none of that name,
    /// keys without a name are tried.
    ///
    /// # Errors
    /// [`JwtError::Algorithm`] if the algorithm is not among those allowed (HMAC never is: a public key must not serve as a
    /// shared secret), [`JwtError::UnknownKey`] if none of the keys can have signed it, [`JwtError::Signature`] if the signature
    /// is wrong, [`JwtError::Malformed`] if the claims are no JSON object. [`JwtError::may_have_a_newer_key`] tells when it is worth
    /// to fetch the keys anew.
    pub fn verify(&self, keys: &JwkSet, allowed: &[JwsAlgorithm]) -> Result<VerifiedJwt, JwtError> {
        let algorithm = self.allowed(allowed, false)?;
        let key_id = self.header.key_id.as_deref();
        let fitting: Vec<&Jwk> = keys.keys().iter().filter(|key| key.fits(algorithm)).collect();
        let of_name = |name: Option<&str>| -> Vec<&Jwk> {
            fitting.iter().filter(|key| key.key_id() == name).copied().collect()
        };
        let (candidates, is_named): (Vec<&Jwk>, bool) = match key_id {
            None => (fitting.clone(), false),
            Some(_) => match of_name(key_id) {
                named if named.is_empty() => (of_name(None), false),
                named => (named, true),
            },
        };
        if candidates.iter().any(|key| key.key.verifies(algorithm, self.message(), &self.signature)) {
            return self.verified();
        }
        // Whether it is the signature that is wrong, or the key that is not here.
        let is_signature = is_named || (key_id.is_none() && !candidates.is_empty());
        let key_id = key_id.map(shown);
        Err(if is_signature { JwtError::Signature { key_id } } else { JwtError::UnknownKey { key_id } })
    }

    /// Checks the signature with a secret that both sides hold, such as the client secret (HS256 to HS512).
    ///
    /// # Errors
    /// As [`verify`](Self::verify), where only algorithms of HMAC are taken.
    pub fn verify_with_secret(
        &self,
        secret: &Secret,
        allowed: &[JwsAlgorithm],
    ) -> Result<VerifiedJwt, JwtError> {
        let algorithm = self.allowed(allowed, true)?;
        if !secret_verifies(secret, algorithm, self.message(), &self.signature) {
            return Err(JwtError::Signature { key_id: self.header.key_id.as_deref().map(shown) });
        }
        self.verified()
    }

    fn message(&self) -> &[u8] {
        &self.text.expose().as_bytes()[..self.signed]
    }

    /// The algorithm, if it is allowed and of that kind.
    fn allowed(&self, allowed: &[JwsAlgorithm], symmetric: bool) -> Result<JwsAlgorithm, JwtError> {
        let algorithm = self.header.algorithm;
        let is_allowed = allowed.iter().any(|one| one.is_same_as(algorithm));
        if !is_allowed || algorithm.is_symmetric() != symmetric {
            return Err(JwtError::Algorithm { algorithm: algorithm.to_string() });
        }
        Ok(algorithm)
    }

    fn verified(&self) -> Result<VerifiedJwt, JwtError> {
        let claims = self.unchecked_claims()?;
        Ok(VerifiedJwt { header: self.header.clone(), claims })
    }
}

impl fmt::Debug for UnverifiedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJwt").field("header", &self.header).finish_non_exhaustive()
    }
}

/// A JWT that was signed by a key it should be signed by. What its claims mean for whom is the caller's to check: `iss`, `aud`,
/// and [`Claims::check_times`].
#[derive(Clone, Debug)]
pub struct VerifiedJwt {
    header: ReceivedHeader,
    claims: Claims,
}

impl VerifiedJwt {
    /// Its header.
    pub fn header(&self) -> &ReceivedHeader {
        &self.header
    }

    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What it says.
    pub fn into_claims(self) -> Claims {
        self.claims
    }
}

/// Why a JWT is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// It is none, or one that nobody should have made.
    #[error("it is not a signed JWT in compact form: {0} (RFC 7515 §7.1)")]
    Malformed(&'static str),
    /// `alg` is `none`.
    #[error("the JWT is not signed (`alg` is `none`); nobody can tell who made it")]
    Unsigned,
    /// It is encrypted, which jeton does not do.
    #[error("the JWT is encrypted; register the client for signed ones that are not encrypted")]
    Encrypted,
    /// Its header names extensions that must be understood.
    #[error("the JWT's header demands an extension (`crit`) that jeton does not know (RFC 7515 §4.1.11)")]
    Critical,
    /// The algorithm is not known or not allowed here.
    #[error("the JWT is signed by `{algorithm}`, which is not allowed here")]
    Algorithm {
        /// The name of the algorithm.
        algorithm: String,
    },
    /// None of the keys can have signed it.
    #[error("none of the known keys can have signed the JWT (its key is named {})", name(.key_id))]
    UnknownKey {
        /// The header `kid`.
        key_id: Option<String>,
    },
    /// The signature is not one of the key.
    #[error("the signature of the JWT is wrong (its key is named {})", name(.key_id))]
    Signature {
        /// The header `kid`.
        key_id: Option<String>,
    },
    /// A claim is not what it must be.
    #[error("the claim `{name}` of the JWT {what}")]
    Claim {
        /// The name of the claim.
        name: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// `exp` is over.
    #[error(
        "the JWT expired at {expired_at}, and it is {now} (Unix time); is the clock of this machine right?"
    )]
    Expired {
        /// `exp`, Unix time in seconds.
        expired_at: u64,
        /// The time by this machine's clock.
        now: u64,
    },
    /// `nbf` or `iat` lies in the future.
    #[error(
        "the JWT is from the future (`{name}` is {from}, and it is {now}, Unix time); is the clock of this machine right?"
    )]
    NotYetValid {
        /// The claim.
        name: &'static str,
        /// Its value, Unix time in seconds.
        from: u64,
        /// The time by this machine's clock.
        now: u64,
    },
}

impl JwtError {
    /// Whether a key that the other side has made since may have signed it: fetch its keys again, once.
    pub fn may_have_a_newer_key(&self) -> bool {
        // Without a name nobody knows which key it should have been.
        matches!(self, Self::UnknownKey { .. } | Self::Signature { key_id: None })
    }
}

fn name(key_id: &Option<String>) -> String {
    key_id.as_ref().map_or("nothing".to_owned(), |key_id| format!("`{key_id}`"))
}
