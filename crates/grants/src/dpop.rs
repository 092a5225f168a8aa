//! DPoP: tokens that are bound to a key, and the proof of that key in each request (RFC 9449). A stolen token is then worth
//! nothing without the key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method};
use jeton_jose::{Claims, Jwk, JwsAlgorithm, JwtHeader, Signer, SigningKey, sign_jwt};
use jeton_models::{AuthorizationServerMetadata, Secret, create_code_challenge, random_token};
use serde_json::Value;
use url::{Origin, Url};

/// The header with the proof (RFC 9449 §4.1).
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The header with the nonce for the next proof (RFC 9449 §8.1).
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Marks a kept key whose private half is elsewhere.
const EXTERNAL: &str = "external";

/// A nonce longer than this is none: it goes into each request.
const LONGEST_NONCE: usize = 1024;
/// So many servers' nonces are remembered. A client has one authorization server and a few resource servers.
const MOST_NONCES: usize = 64;

/// The key that tokens are bound to (RFC 9449), with the nonces that servers want to see beside it.
///
/// Put it into [`GrantContext::dpop`](crate::GrantContext::dpop): token requests then carry proofs, and what they bring is
/// bound to the key, refresh tokens of public clients too. Whoever keeps such tokens keeps the key with them
/// ([`to_kept`](Self::to_kept)). Each request to a resource server needs a [`proof`](Self::proof) of its own; sessions of
/// jeton-client do all of that.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::SystemTime;
/// use jeton_grants::{Dpop, http::Method};
/// use jeton_models::Secret;
///
/// let dpop = Dpop::generate()?;
/// let token = Secret::from("the access token");
/// let url = "https://api.example/notes?draft=yes".parse()?;
/// let proof = dpop.proof(&Method::GET, &url, Some(&token), SystemTime::now()).await?;
/// // Sent as `Authorization: DPoP the access token` and `DPoP: {proof}`.
/// # let _ = proof;
/// let again = Dpop::from_kept(&dpop.to_kept())?;
/// assert_eq!(again.thumbprint(), dpop.thumbprint());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Dpop {
    key: Arc<Key>,
    nonces: DpopNonces,
}

struct Key {
    signer: Box<dyn Signer>,
    public: Jwk,
    thumbprint: String,
    kept: Secret,
    external: bool,
}

impl Dpop {
    /// A new key for ES256, which every server that knows DPoP takes.
    ///
    /// # Errors
    /// [`DpopError::Key`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, DpopError> {
        Self::of_key(SigningKey::generate(JwsAlgorithm::Es256).map_err(DpopError::key)?)
    }

    /// A key of the program's, which may live in a hardware module. What is kept of it is the public half.
    ///
    /// # Errors
    /// [`DpopError::Unsuitable`] if the signer gives no public key, or signs with a shared secret.
    pub fn with_signer(signer: impl Signer + 'static) -> Result<Self, DpopError> {
        if signer.algorithm().is_symmetric() {
            return Err(DpopError::Unsuitable {
                what: "it signs with a shared secret, which proves nothing",
            });
        }
        let public = signer.public_jwk().cloned();
        let public = public.ok_or(DpopError::Unsuitable {
            what: "the signer gives no public key (`Signer::public_jwk`), which each proof carries",
        })?;
        let mut kept = serde_json::to_value(&public).map_err(DpopError::key)?;
        kept[EXTERNAL] = Value::Bool(true);
        Ok(Self::of(signer, public, Secret::new(kept.to_string()), true))
    }

    /// The key that [`to_kept`](Self::to_kept) gave.
    ///
    /// # Errors
    /// [`DpopError::External`] if only the public half was kept; [`DpopError::Key`] if it cannot be read.
    pub fn from_kept(kept: &Secret) -> Result<Self, DpopError> {
        if external_key(kept).is_some() {
            return Err(DpopError::External);
        }
        Self::of_key(SigningKey::from_jwk(kept).map_err(DpopError::key)?)
    }

    /// With nonces that are shared with other keys: a server's nonce is the same for all of them.
    #[must_use]
    pub fn with_nonces(mut self, nonces: DpopNonces) -> Self {
        self.nonces = nonces;
        self
    }

    fn of_key(key: SigningKey) -> Result<Self, DpopError> {
        let unsuitable = DpopError::Unsuitable { what: "it has no public half" };
        match (key.public_jwk().cloned(), key.to_jwk()) {
            (Some(public), Some(kept)) => Ok(Self::of(key, public, kept, false)),
            _ => Err(unsuitable),
        }
    }

    fn of(signer: impl Signer + 'static, public: Jwk, kept: Secret, external: bool) -> Self {
        let thumbprint = public.thumbprint();
        let key = Key { signer: Box::new(signer), public, thumbprint, kept, external };
        Self { key: Arc::new(key), nonces: DpopNonces::default() }
    }

    /// What has to be kept with the tokens: the private key as a JWK (RFC 7517), or, for a key of the program's, the public one
    /// with the member `external`.
    pub fn to_kept(&self) -> Secret {
        self.key.kept.clone()
    }

    /// The key's thumbprint (RFC 7638), by which `dpop_jkt` and tokens name it.
    pub fn thumbprint(&self) -> &str {
        &self.key.thumbprint
    }

    /// The algorithm of its proofs.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.key.signer.algorithm()
    }

    /// Whether the private half is the program's affair.
    pub fn is_external(&self) -> bool {
        self.key.external
    }

    /// The nonces that servers have given.
    pub fn nonces(&self) -> &DpopNonces {
        &self.nonces
    }

    /// Whether that is what is kept of this key.
    ///
    /// # Errors
    /// [`DpopError::Foreign`] if it is another key; [`DpopError::Key`] if it cannot be read.
    pub fn check_kept(&self, kept: &Secret) -> Result<(), DpopError> {
        if *kept == self.key.kept {
            return Ok(());
        }
        let found = match external_key(kept) {
            Some(key) => key?.thumbprint(),
            None => Self::from_kept(kept)?.key.thumbprint.clone(),
        };
        match found == self.key.thumbprint {
            true => Ok(()),
            false => Err(DpopError::Foreign { found, expected: self.key.thumbprint.clone() }),
        }
    }

    /// Whether the server takes proofs of this algorithm (RFC 9449 §5.1). One that does not say is asked.
    ///
    /// # Errors
    /// [`DpopError::Algorithm`] if it lists others.
    pub fn check_server(&self, server: &AuthorizationServerMetadata) -> Result<(), DpopError> {
        let own = self.algorithm();
        let Some(listed) = &server.dpop_signing_alg_values_supported else { return Ok(()) };
        let same = |name: &String| name.parse::<JwsAlgorithm>().is_ok_and(|other| other.is_same_as(own));
        match listed.iter().any(same) {
            true => Ok(()),
            false => Err(DpopError::Algorithm { algorithm: own.as_str(), listed: listed.clone() }),
        }
    }

    /// A proof for one request (RFC 9449 §4.2): for that method, that URL (its query and fragment are left out) and that time.
    /// With the access token for a request to a resource server, without one for the token endpoint. It carries the
    /// [nonce](Self::nonces) that the server gave last, and is good for one request.
    ///
    /// # Errors
    /// [`DpopError::Sign`] if the key cannot sign now.
    pub async fn proof(
        &self,
        method: &Method,
        url: &Url,
        access_token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<HeaderValue, DpopError> {
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = Claims::new()
            .with("jti", random_token(16).expose())
            .with("htm", method.as_str())
            .with("htu", target(url))
            .with("iat", iat);
        let mut side = DpopSide::AuthorizationServer;
        if let Some(access_token) = access_token {
            side = DpopSide::Resource;
            // The same hash as that of a code verifier: SHA-256 in base64url (RFC 9449 §4.2, RFC 7636 §4.2).
            claims.insert("ath", create_code_challenge(access_token));
        }
        if let Some(nonce) = self.nonces.get(side, url) {
            claims.insert("nonce", nonce);
        }
        let header = JwtHeader::typed("dpop+jwt").with_jwk(&self.key.public);
        let proof = sign_jwt(&*self.key.signer, header, &claims).await.map_err(DpopError::sign)?;
        let mut proof = HeaderValue::from_str(proof.expose()).map_err(DpopError::sign)?;
        proof.set_sensitive(true);
        Ok(proof)
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("algorithm", &self.algorithm())
            .field("thumbprint", &self.key.thumbprint)
            .field("external", &self.key.external)
            .finish_non_exhaustive()
    }
}

/// The public key of a kept one whose private half is elsewhere; `None` if it is not such a one.
fn external_key(kept: &Secret) -> Option<Result<Jwk, DpopError>> {
    let value: Value = serde_json::from_str(kept.expose()).ok()?;
    (value.get(EXTERNAL) == Some(&Value::Bool(true))).then(|| Jwk::from_value(&value).map_err(DpopError::key))
}

/// `htu`: the URL without query and fragment (RFC 9449 §4.2), and without whoever it names before the host.
fn target(url: &Url) -> String {
    let mut target = url.clone();
    target.set_query(None);
    target.set_fragment(None);
    // These fail only for URLs that cannot have credentials.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    target.into()
}

/// Which kind of server a nonce is from. The nonces of an authorization server and of a resource server are apart (RFC 9449
/// §9), also where both are at one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DpopSide {
    /// The token endpoint.
    AuthorizationServer,
    /// A resource server.
    Resource,
}

/// The nonces that servers have given (RFC 9449 §8), by kind and origin. Cheap to clone; clones are one.
///
/// Each is sent to the server that gave it and to no other.
#[derive(Clone, Default)]
pub struct DpopNonces(Arc<Mutex<HashMap<(DpopSide, Origin), String>>>);

impl DpopNonces {
    /// Takes the nonce out of an answer's headers, whatever its status (RFC 9449 §8.2). Gives back whether there was one.
    pub fn note(&self, side: DpopSide, url: &Url, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(NONCE).iter();
        // Which one of two is meant is anybody's guess.
        let (Some(nonce), None) = (values.next(), values.next()) else { return false };
        let Some(nonce) = nonce.to_str().ok().filter(|nonce| is_nonce(nonce)) else { return false };
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (side, url.origin());
        if nonces.len() >= MOST_NONCES && !nonces.contains_key(&key) {
            nonces.clear();
        }
        nonces.insert(key, nonce.to_owned());
        true
    }

    fn get(&self, side: DpopSide, url: &Url) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(side, url.origin())).cloned()
    }
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopNonces").finish_non_exhaustive()
    }
}

/// RFC 9449 §8.1: visible characters but for the quotation mark and the backslash.
fn is_nonce(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= LONGEST_NONCE && text.bytes().all(fits)
}

/// Why there is no proof, or none that a server takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// The key cannot be made or read.
    #[error("the DPoP key cannot be used: {what}; log in again to have another one")]
    Key {
        /// Why; no secret.
        what: String,
    },
    /// The signer is none for DPoP.
    #[error(
        "the signer cannot be used for DPoP: {what}; give another one, or have jeton make a key by `dpop(true)`"
    )]
    Unsuitable {
        /// Why.
        what: &'static str,
    },
    /// The tokens are bound to a key that the program keeps elsewhere, and it was not given.
    #[error(
        "these tokens are bound to a DPoP key that is kept elsewhere; give the client the signer that it was made with, or log \
         in again"
    )]
    External,
    /// The tokens are bound to another key than the one that was given.
    #[error(
        "these tokens are bound to the DPoP key {found}, and the one that was given is {expected}; give the signer of that key, \
         or log in again"
    )]
    Foreign {
        /// The thumbprint of the key that they are bound to (RFC 7638).
        found: String,
        /// The thumbprint of the key that was given.
        expected: String,
    },
    /// The tokens are bound to a key and the client does not use DPoP, or cannot.
    #[error(
        "this login is bound to a DPoP key, and the client does not use DPoP; switch it on with `dpop(true)`, or log in again"
    )]
    SwitchedOff,
    /// The server takes no proofs of the key's algorithm (RFC 9449 §5.1).
    #[error(
        "the server takes no DPoP proofs by {algorithm} (it lists {listed:?}); use a key of an algorithm that it lists"
    )]
    Algorithm {
        /// The key's algorithm.
        algorithm: &'static str,
        /// What the server lists.
        listed: Vec<String>,
    },
    /// The key could not sign.
    #[error("no DPoP proof could be signed: {what}; nothing was sent, try again when the key can sign")]
    Sign {
        /// Why; no secret.
        what: String,
    },
    /// The server wants a nonce in the proof and gives none, or asks for another one again and again (RFC 9449 §8).
    #[error("{url} asks for a DPoP nonce {how}; nothing was used up, and a later try may succeed")]
    Nonce {
        /// Where, without query.
        url: String,
        /// What is wrong with that.
        how: &'static str,
    },
}

impl DpopError {
    fn key(error: impl fmt::Display) -> Self {
        Self::Key { what: error.to_string() }
    }

    fn sign(error: impl fmt::Display) -> Self {
        Self::Sign { what: error.to_string() }
    }

    /// What the caller can do.
    pub fn recovery(&self) -> crate::Recovery {
        match self {
            Self::Sign { .. } | Self::Nonce { .. } => crate::Recovery::Retry { after: None },
            Self::Key { .. } => crate::Recovery::LogIn,
            _ => crate::Recovery::FixConfiguration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a25_vector_ath_of_rfc_9449() {
        let token = Secret::from("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        assert_eq!(create_code_challenge(&token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    #[test]
    fn a25_vector_jkt_of_rfc_9449() {
        let jwk = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
        assert_eq!(Jwk::parse(jwk).unwrap().thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn a25_htu_has_no_query_no_fragment_and_no_userinfo() {
        let of = |url: &str| target(&url.parse().unwrap());
        assert_eq!(of("https://u:p@API.example:443/a/b?c=d#e"), "https://api.example/a/b");
        assert_eq!(of("https://api.example"), "https://api.example/");
    }

    #[test]
    fn a25_nonces_are_by_kind_and_origin_bounded_and_only_what_may_be_one() {
        let nonces = DpopNonces::default();
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(NONCE, HeaderValue::from_str(value).unwrap());
            });
            headers
        };
        let url: Url = "https://as.example/token?x".parse().unwrap();
        let other: Url = "https://as.example:8443/token".parse().unwrap();
        let long = "n".repeat(LONGEST_NONCE + 1);
        for bad in [&[][..], &[""], &["a b"], &["\"a\""], &["a\\"], &["a", "b"], &[&long]] {
            assert!(!nonces.note(DpopSide::Resource, &url, &headers(bad)), "{bad:?}");
        }
        assert!(nonces.note(DpopSide::Resource, &url, &headers(&["first"])));
        assert!(nonces.clone().note(DpopSide::Resource, &url, &headers(&["s3cond"])));
        assert_eq!(nonces.get(DpopSide::Resource, &url).as_deref(), Some("s3cond"));
        assert_eq!(nonces.get(DpopSide::AuthorizationServer, &url), None);
        assert_eq!(nonces.get(DpopSide::Resource, &other), None);
        for port in 1..200 {
            let url = format!("https://as.example:{port}/").parse().unwrap();
            assert!(nonces.note(DpopSide::Resource, &url, &headers(&["n"])));
        }
        assert!(nonces.0.lock().unwrap().len() <= MOST_NONCES);
        assert!(!format!("{nonces:?}").contains("s3cond"));
    }
}
