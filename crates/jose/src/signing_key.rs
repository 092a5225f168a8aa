//! `SigningKey`: a private key or shared secret in memory. From PEM, PKCS#8, a JWK or a client secret, or made anew.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jeton_models::Secret;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::der::{self, EcPrivateKey};
use crate::encoding::{decode, encode};
use crate::jwk::public_key;
use crate::key::{Curve, PublicKey, hmac_function};
use crate::{Jwk, JwsAlgorithm, SignError, Signer};

/// A signing key in memory.
///
/// It is bound to one algorithm, never shown, and cheap to clone.
///
/// ```
/// use jeton_jose::{JwsAlgorithm, Signer, SigningKey};
///
/// let key = SigningKey::generate(JwsAlgorithm::Es256)?;
/// let kept = key.to_jwk().ok_or("a key that can be kept")?; // the private key, for a store
/// let again = SigningKey::from_jwk(&kept)?;
/// assert_eq!(key.public_jwk(), again.public_jwk());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    key: Arc<Key>,
    algorithm: JwsAlgorithm,
    key_id: Option<Arc<str>>,
    public: Option<Arc<Jwk>>,
}

enum Key {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, Zeroizing<Vec<u8>>),
    Ed25519(Ed25519KeyPair, Zeroizing<Vec<u8>>),
}

impl SigningKey {
    /// From a PEM file with a private key: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC 1).
    ///
    /// # Errors
    /// [`KeyError`] if there is none, if it is encrypted, or if the algorithm is not one of its kind.
    pub fn from_pem(pem: impl AsRef<[u8]>, algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        let pem = pem.as_ref();
        let encrypted = [b"ENCRYPTED PRIVATE KEY".as_slice(), b"Proc-Type: 4,ENCRYPTED"];
        if encrypted.iter().any(|mark| pem.windows(mark.len()).any(|part| part == *mark)) {
            return Err(KeyError::Encrypted);
        }
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Pem)?;
        // The type of the section wipes nothing.
        match &key {
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8_der(key.secret_pkcs8_der(), algorithm),
            PrivateKeyDer::Pkcs1(key) if is_rsa(algorithm) => {
                Self::rsa(RsaKeyPair::from_der(key.secret_pkcs1_der()), algorithm)
            }
            PrivateKeyDer::Sec1(key) => {
                let (curve, oid) = curve_of(algorithm).ok_or(KeyError::Type { algorithm })?;
                let key = der::ec_from_sec1(key.secret_sec1_der(), oid);
                Self::ec(&key.ok_or(KeyError::Type { algorithm })?, curve)
            }
            _ => Err(KeyError::Type { algorithm }),
        }
    }

    /// From a PKCS#8 document in DER (RFC 5958), not encrypted.
    ///
    /// # Errors
    /// [`KeyError`] if it is none, or if the algorithm is not one of its kind.
    pub fn from_pkcs8_der(document: &[u8], algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        if is_rsa(algorithm) {
            return Self::rsa(RsaKeyPair::from_pkcs8(document), algorithm);
        }
        if let Some((curve, oid)) = curve_of(algorithm) {
            let key = der::ec_from_pkcs8(document, oid).ok_or(KeyError::Type { algorithm })?;
            return Self::ec(&key, curve);
        }
        if is_ed25519(algorithm) {
            let seed = der::ed25519_from_pkcs8(document).ok_or(KeyError::Type { algorithm })?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(KeyError::rejected)?;
            return Ok(Self::ed25519(pair, seed, algorithm));
        }
        Err(KeyError::Type { algorithm })
    }

    /// From a private key as a JWK (RFC 7518 §6, RFC 8037), with the algorithm of its member `alg`. Without that member it is
    /// ES256, ES384 or EdDSA by the key's curve. `kid` is taken over.
    ///
    /// # Errors
    /// [`KeyError`] if it is no private key; [`KeyError::AlgorithmAbsent`] if RSA and symmetric keys name no algorithm: use
    /// [`from_jwk_for`](Self::from_jwk_for).
    pub fn from_jwk(json: &Secret) -> Result<Self, KeyError> {
        let jwk = PrivateJwk::read(json)?;
        let algorithm = match jwk.alg.as_deref() {
            Some(name) => name.parse().map_err(|_| KeyError::Jwk("its `alg` is not known"))?,
            None => match (jwk.kty.as_str(), jwk.crv.as_deref()) {
                ("EC", Some("P-256")) => JwsAlgorithm::Es256,
                ("EC", Some("P-384")) => JwsAlgorithm::Es384,
                ("OKP", Some("Ed25519")) => JwsAlgorithm::EdDsa,
                _ => return Err(KeyError::AlgorithmAbsent),
            },
        };
        jwk.into_key(algorithm)
    }

    /// From a private key as a JWK, for that algorithm. `kid` is taken over.
    ///
    /// # Errors
    /// [`KeyError`] if it is no private key, or if it is for another algorithm.
    pub fn from_jwk_for(json: &Secret, algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        let jwk = PrivateJwk::read(json)?;
        let says = |name: &str| name.parse::<JwsAlgorithm>().is_ok_and(|own| own.is_same_as(algorithm));
        if !jwk.alg.as_deref().is_none_or(says) {
            return Err(KeyError::Type { algorithm });
        }
        jwk.into_key(algorithm)
    }

    /// From a shared secret, such as a client secret: its UTF-8 bytes are the key (OpenID Connect Core §9).
    ///
    /// # Errors
    /// [`KeyError::Type`] unless the algorithm is HMAC; [`KeyError::Short`] if the secret is shorter than the algorithm's hash,
    /// 32 bytes for HS256 (RFC 7518 §3.2).
    pub fn from_secret(secret: &Secret, algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        Self::hmac(secret.expose().as_bytes(), algorithm)
    }

    /// A new key: ES256, ES384, EdDSA or Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Generate`] for other algorithms, or if the system gives no random bytes.
    pub fn generate(algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        let unable = |_| KeyError::Generate { algorithm };
        let random = SystemRandom::new();
        let document = match algorithm {
            JwsAlgorithm::Es256 | JwsAlgorithm::Es384 => {
                let how = curve_of(algorithm).map(|(curve, _)| signing(curve));
                EcdsaKeyPair::generate_pkcs8(how.ok_or(KeyError::Generate { algorithm })?, &random)
            }
            JwsAlgorithm::EdDsa | JwsAlgorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            _ => return Err(KeyError::Generate { algorithm }),
        };
        Self::from_pkcs8_der(document.map_err(unable)?.as_ref(), algorithm)
    }

    /// With the name under which the other side knows the key, the header `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        let key_id = key_id.into();
        self.public = self.public.map(|public| Arc::new(Arc::unwrap_or_clone(public).with_key_id(&key_id)));
        self.key_id = Some(key_id.into());
        self
    }

    /// The private key as a JWK, for whoever keeps it: [`from_jwk`](Self::from_jwk) reads it. `None` for RSA and shared secrets,
    /// which are not given out again.
    pub fn to_jwk(&self) -> Option<Secret> {
        let (Key::Ec(_, d) | Key::Ed25519(_, d)) = &*self.key else { return None };
        let d = Secret::new(encode(d));
        let mut members: Vec<(&str, &str)> = vec![("d", d.expose()), ("alg", self.algorithm.as_str())];
        let public = self.public.as_ref()?.key.members();
        members.extend(public.iter().map(|(name, value)| (*name, value.as_str())));
        let key_id = self.key_id.as_deref().map(|kid| serde_json::Value::from(kid).to_string());
        // In one buffer of the right size: one that grows leaves unwiped copies behind.
        let length = members.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
        let mut json = String::with_capacity(length + key_id.as_ref().map_or(0, |kid| kid.len() + 7) + 2);
        json.push('{');
        for (index, (name, value)) in members.into_iter().enumerate() {
            json.extend([if index == 0 { "\"" } else { ",\"" }, name, "\":\"", value, "\""]);
        }
        if let Some(key_id) = &key_id {
            json.extend([",\"kid\":", key_id]);
        }
        json.push('}');
        Some(Secret::new(json))
    }

    fn new(key: Key, public: Option<PublicKey>, algorithm: JwsAlgorithm) -> Self {
        let public = public.map(|public| Arc::new(Jwk::of_signer(public, algorithm)));
        Self { key: Arc::new(key), algorithm, key_id: None, public }
    }

    fn hmac(secret: &[u8], algorithm: JwsAlgorithm) -> Result<Self, KeyError> {
        let function = hmac_function(algorithm).ok_or(KeyError::Type { algorithm })?;
        let least = function.digest_algorithm().output_len();
        if secret.len() < least {
            return Err(KeyError::Short { algorithm, least });
        }
        Ok(Self::new(Key::Hmac(hmac::Key::new(function, secret)), None, algorithm))
    }

    fn rsa(
        pair: Result<RsaKeyPair, ring::error::KeyRejected>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, KeyError> {
        let pair = pair.map_err(KeyError::rejected)?;
        let numbers = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = PublicKey::Rsa { n: numbers.n, e: numbers.e };
        Ok(Self::new(Key::Rsa(pair), Some(public), algorithm))
    }

    fn ec(key: &EcPrivateKey<'_>, curve: Curve) -> Result<Self, KeyError> {
        let point = key.point.ok_or(KeyError::PublicKeyAbsent)?;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(signing(curve), key.d, point, &SystemRandom::new())
                .map_err(KeyError::rejected)?;
        let public = PublicKey::Ec { curve, point: point.to_vec() };
        Ok(Self::new(Key::Ec(pair, Zeroizing::new(key.d.to_vec())), Some(public), curve.algorithm()))
    }

    fn ed25519(pair: Ed25519KeyPair, seed: &[u8], algorithm: JwsAlgorithm) -> Self {
        let public = PublicKey::Ed25519 { x: pair.public_key().as_ref().to_vec() };
        Self::new(Key::Ed25519(pair, Zeroizing::new(seed.to_vec())), Some(public), algorithm)
    }
}

#[async_trait]
impl Signer for SigningKey {
    fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    fn public_jwk(&self) -> Option<&Jwk> {
        self.public.as_deref()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unable = |_| SignError::other("the cryptographic library refused to sign with it");
        match &*self.key {
            Key::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Key::Ec(pair, _) => {
                pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()).map_err(unable)
            }
            Key::Ed25519(pair, _) => Ok(pair.sign(message).as_ref().to_vec()),
            Key::Rsa(pair) => {
                let encoding = rsa_encoding(self.algorithm)
                    .ok_or_else(|| SignError::other("its algorithm is not one of RSA"))?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(unable)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The members of a private JWK.
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    dp: Option<Secret>,
    dq: Option<Secret>,
    qi: Option<Secret>,
    k: Option<Secret>,
    /// Of keys with more than two primes (RFC 7518 §6.3.2.7).
    oth: Option<serde::de::IgnoredAny>,
}

impl PrivateJwk {
    fn read(json: &Secret) -> Result<Self, KeyError> {
        // What serde says could quote the text.
        serde_json::from_str(json.expose()).map_err(|_| KeyError::Jwk("it is no JSON object of that form"))
    }

    fn into_key(self, algorithm: JwsAlgorithm) -> Result<SigningKey, KeyError> {
        let key = match self.kty.as_str() {
            "oct" => SigningKey::hmac(&secret_number(self.k.as_ref())?, algorithm),
            "RSA" if is_rsa(algorithm) => self.rsa(algorithm),
            "EC" if curve_of(algorithm).map(|(curve, _)| curve.name()) == self.crv.as_deref() => self.ec(),
            "OKP" if is_ed25519(algorithm) && self.crv.as_deref() == Some("Ed25519") => {
                self.ed25519(algorithm)
            }
            _ => Err(KeyError::Type { algorithm }),
        }?;
        Ok(match self.kid {
            Some(kid) => key.with_key_id(kid),
            None => key,
        })
    }

    /// The public half, read as any other public key.
    fn public(&self) -> Result<PublicKey, KeyError> {
        let all = [("crv", &self.crv), ("x", &self.x), ("y", &self.y), ("n", &self.n), ("e", &self.e)];
        let present =
            all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())));
        let members = present.chain([("kty".to_owned(), self.kty.clone().into())]).collect();
        public_key(&members).map_err(|_| KeyError::Jwk("its public half is absent or malformed"))
    }

    fn rsa(&self, algorithm: JwsAlgorithm) -> Result<SigningKey, KeyError> {
        if self.oth.is_some() {
            return Err(KeyError::Jwk("it has more than two primes"));
        }
        let PublicKey::Rsa { n, e } = self.public()? else { return Err(KeyError::Type { algorithm }) };
        let [d, p, q, dp, dq, qi] = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi]
            .map(|number| secret_number(number.as_ref()));
        let pair = RsaKeyPair::from_components(&rsa::KeyPairComponents {
            public_key: rsa::PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
            d: d?.as_slice(),
            p: p?.as_slice(),
            q: q?.as_slice(),
            dP: dp?.as_slice(),
            dQ: dq?.as_slice(),
            qInv: qi?.as_slice(),
        });
        SigningKey::rsa(pair, algorithm)
    }

    fn ec(&self) -> Result<SigningKey, KeyError> {
        let d = secret_number(self.d.as_ref())?;
        match self.public()? {
            PublicKey::Ec { curve, point } => {
                SigningKey::ec(&EcPrivateKey { d: &d, point: Some(&point) }, curve)
            }
            _ => Err(KeyError::Jwk("its public half is of another type")),
        }
    }

    fn ed25519(&self, algorithm: JwsAlgorithm) -> Result<SigningKey, KeyError> {
        let seed = secret_number(self.d.as_ref())?;
        let PublicKey::Ed25519 { x } = self.public()? else { return Err(KeyError::Type { algorithm }) };
        let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &x).map_err(KeyError::rejected)?;
        Ok(SigningKey::ed25519(pair, &seed, algorithm))
    }
}

fn secret_number(text: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let number = text.and_then(|text| decode(text.expose()));
    number.map(Zeroizing::new).ok_or(KeyError::Jwk("a private number of it is absent or not in base64url"))
}

fn is_rsa(algorithm: JwsAlgorithm) -> bool {
    rsa_encoding(algorithm).is_some()
}

fn is_ed25519(algorithm: JwsAlgorithm) -> bool {
    algorithm.is_same_as(JwsAlgorithm::EdDsa)
}

/// The curve of an ECDSA algorithm, and its identifier in DER.
fn curve_of(algorithm: JwsAlgorithm) -> Option<(Curve, &'static [u8])> {
    match algorithm {
        JwsAlgorithm::Es256 => Some((Curve::P256, der::P256)),
        JwsAlgorithm::Es384 => Some((Curve::P384, der::P384)),
        _ => None,
    }
}

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
    }
}

fn rsa_encoding(algorithm: JwsAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        JwsAlgorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        JwsAlgorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        JwsAlgorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        JwsAlgorithm::Ps256 => Some(&RSA_PSS_SHA256),
        JwsAlgorithm::Ps384 => Some(&RSA_PSS_SHA384),
        JwsAlgorithm::Ps512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

/// Why something is no signing key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text has no section with a private key.
    #[error("there is no private key in the PEM file; it has a section such as -----BEGIN PRIVATE KEY-----")]
    Pem,
    /// The key is encrypted by a passphrase.
    #[error(
        "the private key in the PEM file is encrypted; decrypt it first (`openssl pkey -in key.pem -out plain.pem`)"
    )]
    Encrypted,
    /// The key is of a type that does not go with the algorithm.
    #[error(
        "the key cannot be used for {algorithm}: it is of another type or curve, or for another algorithm"
    )]
    Type {
        /// The algorithm that was asked for.
        algorithm: JwsAlgorithm,
    },
    /// A JWK does not say for which algorithm it is.
    #[error("the JWK has no `alg`, and its type does not tell; use SigningKey::from_jwk_for")]
    AlgorithmAbsent,
    /// A JWK that cannot be read.
    #[error("the private JWK cannot be used: {0}")]
    Jwk(&'static str),
    /// A private key on an elliptic curve without its public half.
    #[error(
        "the private key has no public key beside it; write it anew with `openssl ec -in key.pem -out full.pem`"
    )]
    PublicKeyAbsent,
    /// The numbers are no key, or a weak one.
    #[error("the key was rejected: {0} (RSA needs 2048 to 4096 bits)")]
    Rejected(String),
    /// The shared secret is too short.
    #[error("a shared secret for {algorithm} has at least {least} bytes (RFC 7518 §3.2); use a longer one")]
    Short {
        /// The algorithm.
        algorithm: JwsAlgorithm,
        /// How many bytes it needs.
        least: usize,
    },
    /// No key of that algorithm can be made here.
    #[error("no key for {algorithm} can be made here; ES256, ES384, EdDSA and Ed25519 can")]
    Generate {
        /// The algorithm.
        algorithm: JwsAlgorithm,
    },
}

impl KeyError {
    /// ring's reasons are fixed words, such as `TooSmall`.
    fn rejected(reason: ring::error::KeyRejected) -> Self {
        Self::Rejected(reason.to_string())
    }
}
