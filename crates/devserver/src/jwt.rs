//! JWTs: what clients sign is checked here, and what the server signs is made here. The cryptography is `jsonwebtoken`'s, so that
//! it is nobody's of jeton. The server's own keys are fixed files, which make no key of any worth.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde_json::{Map, Value, json};

use crate::clock::unix_seconds;

/// The algorithms of key pairs that the server takes, by the names that its metadata has.
pub(crate) const ASYMMETRIC: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];
/// Those of shared secrets.
pub(crate) const SYMMETRIC: &[&str] = &["HS256", "HS384", "HS512"];

/// A JWT taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

impl Jwt {
    /// Takes a JWT apart without believing any of it: to see whose it is, and which key it should be checked with.
    pub(crate) fn unverified(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (header, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        let object = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        parts.next().is_none().then_some(())?;
        Some(Self { header: object(header)?, claims: object(claims)? })
    }

    /// A JWT that one of the keys has signed by one of the algorithms. The error says what is wrong.
    pub(crate) fn signed_by(text: &str, keys: &Value, allowed: &[&str]) -> Result<Self, &'static str> {
        let jwt = Self::unverified(text).ok_or("it is no JWT in compact form")?;
        let algorithm = jwt.algorithm(allowed)?;
        let keys: JwkSet =
            serde_json::from_value(keys.clone()).map_err(|_| "there are no keys to check it with")?;
        let kid = jwt.header.get("kid").and_then(Value::as_str);
        let mut candidates = keys.keys.iter().filter(|key| {
            kid.is_none() || key.common.key_id.is_none() || key.common.key_id.as_deref() == kid
        });
        if candidates.any(|key| is_signed_by(text, key, algorithm)) {
            Ok(jwt)
        } else {
            Err("its signature is not one of the registered keys")
        }
    }

    /// A JWT that the holder of a shared secret has signed.
    pub(crate) fn signed_with(text: &str, secret: &str) -> Result<Self, &'static str> {
        let jwt = Self::unverified(text).ok_or("it is no JWT in compact form")?;
        let algorithm = jwt.algorithm(SYMMETRIC)?;
        let key = DecodingKey::from_secret(secret.as_bytes());
        if is_signed(text, &key, algorithm) { Ok(jwt) } else { Err("its signature is wrong") }
    }

    /// The algorithm, if it is one of those, and nothing in the header asks for more.
    pub(crate) fn algorithm(&self, allowed: &[&str]) -> Result<Algorithm, &'static str> {
        if self.header.contains_key("crit") {
            return Err("its header has crit, and this server knows no extension");
        }
        let name = self.header.get("alg").and_then(Value::as_str).filter(|name| allowed.contains(name));
        // RFC 9864's name of what has been EdDSA.
        let name = name.map(|name| if name == "Ed25519" { "EdDSA" } else { name });
        name.and_then(|name| name.parse().ok()).ok_or("its algorithm is not allowed here")
    }

    /// A claim that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A claim that is a time, Unix time in seconds.
    pub(crate) fn seconds(&self, name: &str) -> Option<u64> {
        self.claims.get(name).and_then(Value::as_u64)
    }

    /// The header `typ` without `application/`, in lower case (RFC 7515 §4.1.9).
    pub(crate) fn typ(&self) -> Option<String> {
        let typ = self.header.get("typ").and_then(Value::as_str)?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned))
    }

    /// Checks `exp` (which must be there, and not be more than `lifetime` away), `nbf` and `iat`.
    pub(crate) fn check_times(&self, now: SystemTime, lifetime: Duration) -> Result<(), &'static str> {
        // Clients may run ahead by that much.
        const SKEW: u64 = 5;
        let now = unix_seconds(now);
        let expires_at = self.seconds("exp").ok_or("exp is absent or no whole number")?;
        if expires_at <= now {
            return Err("it has expired");
        }
        if expires_at > now + lifetime.as_secs() + SKEW {
            return Err("it lives too long");
        }
        for name in ["nbf", "iat"] {
            if self.claims.contains_key(name) && self.seconds(name).is_none_or(|from| from > now + SKEW) {
                return Err("nbf or iat lies in the future, or is no whole number");
            }
        }
        Ok(())
    }
}

/// Whether the holder of that public key has signed it. For keys that come along, such as that of a DPoP proof.
pub(crate) fn is_signed_by(text: &str, key: &Jwk, algorithm: Algorithm) -> bool {
    let fits = key.common.key_algorithm.is_none_or(|own| own.to_string() == format!("{algorithm:?}"));
    fits && DecodingKey::from_jwk(key).is_ok_and(|key| is_signed(text, &key, algorithm))
}

fn is_signed(text: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let Some((message, signature)) = text.rsplit_once('.') else { return false };
    // An error is a key of the wrong family or curve.
    crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// What was seen once and must not be seen again: `jti` of assertions, proofs and request objects.
#[derive(Default)]
pub(crate) struct Replays {
    /// By kind, owner and name, until when it has to be remembered.
    seen: HashMap<(&'static str, String, String), SystemTime>,
}

impl Replays {
    /// Whether `jti` is new for that owner in that role. It is remembered until `until`.
    pub(crate) fn is_first_use(
        &mut self,
        kind: &'static str,
        owner: &str,
        jti: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> bool {
        if self.seen.len() > 10_000 {
            self.seen.retain(|_, until| *until > now);
        }
        self.seen.insert((kind, owner.to_owned(), jti.to_owned()), until).is_none_or(|until| until <= now)
    }
}

/// Algorithms that the server signs by, and its fixed keys for them: one set, and the one that it changes to.
const KEYS: [(Algorithm, [&str; 2]); 3] = [
    (Algorithm::RS256, [include_str!("../keys/rs256-1.pem"), include_str!("../keys/rs256-2.pem")]),
    (Algorithm::ES256, [include_str!("../keys/es256-1.pem"), include_str!("../keys/es256-2.pem")]),
    (Algorithm::EdDSA, [include_str!("../keys/eddsa-1.pem"), include_str!("../keys/eddsa-2.pem")]),
];

/// The algorithms that the server signs by, for its metadata.
pub(crate) const SIGNING: &[&str] = &["RS256", "ES256", "EdDSA"];

/// The keys that the server signs with. `/jwks` publishes their public halves.
#[derive(Default)]
pub(crate) struct ServerKeys {
    /// How often they were changed. It stands in their names.
    generation: usize,
}

impl ServerKeys {
    /// From now on other keys sign, and `/jwks` has only those: whoever kept the old ones has to ask again.
    pub(crate) fn rotate(&mut self) {
        self.generation += 1;
    }

    /// The keys that it would change to.
    pub(crate) fn changed(&self) -> Self {
        Self { generation: self.generation + 1 }
    }

    /// A JWT signed by the server. `None` for an algorithm that is not among [`SIGNING`].
    pub(crate) fn sign(&self, algorithm: Algorithm, typ: Option<&str>, claims: &Value) -> Option<String> {
        let mut header = json!({ "alg": name(algorithm), "kid": self.kid(algorithm) });
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key(algorithm)?, algorithm).ok()?;
        Some(format!("{message}.{signature}"))
    }

    /// The public keys, as `/jwks` has them.
    pub(crate) fn jwks(&self) -> Value {
        let public = |(algorithm, _): &(Algorithm, _)| {
            let mut key =
                serde_json::to_value(Jwk::from_encoding_key(&self.key(*algorithm)?, *algorithm).ok()?)
                    .ok()?;
            key["kid"] = self.kid(*algorithm).into();
            key["use"] = "sig".into();
            Some(key)
        };
        json!({ "keys": KEYS.iter().filter_map(public).collect::<Vec<_>>() })
    }

    fn key(&self, algorithm: Algorithm) -> Option<EncodingKey> {
        let (_, pems) = KEYS.iter().find(|(own, _)| *own == algorithm)?;
        let pem = pems[self.generation % pems.len()].as_bytes();
        let key = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
            _ => EncodingKey::from_ed_pem(pem),
        };
        key.ok()
    }

    fn kid(&self, algorithm: Algorithm) -> String {
        format!("{}-{}", name(algorithm), self.generation)
    }
}

/// The registered name.
fn name(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn what_the_server_signs_its_published_keys_verify_until_they_change() {
        let mut keys = ServerKeys::default();
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let jwt = keys.sign(algorithm, Some("at+jwt"), &json!({ "sub": "alice" })).unwrap();
            let read = Jwt::signed_by(&jwt, &keys.jwks(), SIGNING).unwrap();
            assert_eq!((read.text("sub"), read.typ().as_deref()), (Some("alice"), Some("at+jwt")));
            assert!(Jwt::signed_by(&jwt, &keys.jwks(), &["PS256"]).is_err());
            keys.rotate();
            assert!(Jwt::signed_by(&jwt, &keys.jwks(), SIGNING).is_err());
            // A claim changed by one letter.
            let (header, rest) = jwt.split_once('.').unwrap();
            let signature = rest.split_once('.').unwrap().1;
            let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"alicf"}"#));
            keys.generation -= 1;
            assert!(Jwt::signed_by(&forged, &keys.jwks(), SIGNING).is_err());
        }
        assert!(keys.sign(Algorithm::PS384, None, &json!({})).is_none());
    }

    #[test]
    fn a_public_key_is_no_shared_secret_and_none_is_no_algorithm() {
        let keys = ServerKeys::default();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&json!({"sub": "alice"})));
        assert!(Jwt::signed_by(&unsigned, &keys.jwks(), ASYMMETRIC).is_err());
        let jwt = keys.sign(Algorithm::ES256, None, &json!({})).unwrap();
        assert!(Jwt::signed_with(&jwt, "anything").is_err());
    }

    #[test]
    fn a_jti_is_taken_once_until_it_is_forgotten() {
        let mut replays = Replays::default();
        let until = NOW + Duration::from_secs(60);
        assert!(replays.is_first_use("assertion", "a", "1", until, NOW));
        assert!(!replays.is_first_use("assertion", "a", "1", until, NOW));
        assert!(replays.is_first_use("assertion", "b", "1", until, NOW));
        assert!(replays.is_first_use("proof", "a", "1", until, NOW));
        assert!(replays.is_first_use("assertion", "a", "1", until, until));
    }
}
