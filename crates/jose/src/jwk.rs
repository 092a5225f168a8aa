//! `Jwk` and `JwkSet`: public keys on the wire (RFC 7517, RFC 7518 §6, RFC 8037).
//! A set is read tolerantly, as servers publish keys for other purposes and of kinds that do not exist yet; a single key is not.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::JwsAlgorithm;
use crate::encoding::decode;
use crate::key::{Curve, PublicKey};

/// The most bytes that a set may have.
const MAX_SET: usize = 512 * 1024;
/// The most keys that a set may have: each may cost a verification.
const MAX_KEYS: usize = 200;

/// A public key: RSA of 2048 bits and more, a point on P-256 or P-384, or Ed25519.
///
/// ```
/// use jeton_jose::Jwk;
///
/// // RFC 8037, Appendix A.2 and A.3.
/// let jwk = Jwk::parse(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), jeton_jose::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    pub(crate) key: PublicKey,
    key_id: Option<String>,
    /// `alg`, as it stands there: it may be one that this crate does not know, and then the key verifies nothing here.
    algorithm: Option<String>,
    /// `use`, likewise.
    usage: Option<String>,
    /// Whether `key_ops` lets it verify.
    verifies: bool,
}

impl Jwk {
    pub(crate) fn of(key: PublicKey) -> Self {
        Self { key, key_id: None, algorithm: None, usage: None, verifies: true }
    }

    /// The public half of a signing key.
    pub(crate) fn of_signer(key: PublicKey, algorithm: JwsAlgorithm) -> Self {
        let (algorithm, usage) = (algorithm.as_str().to_owned(), "sig".to_owned());
        Self { algorithm: Some(algorithm), usage: Some(usage), ..Self::of(key) }
    }

    /// Reads a JSON text.
    ///
    /// # Errors
    /// As [`from_value`](Self::from_value).
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        let value = serde_json::from_str(json).map_err(|_| JwkError::new("it is not JSON"))?;
        Self::from_value(&value)
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`JwkError`] if it is of a kind that this crate does not know, if a number of it is absent, of the wrong length or not
    /// base64url, if RSA has under 2048 bits, or if it is a private or a symmetric key: whatever that signs proves nothing.
    pub fn from_value(value: &Value) -> Result<Self, JwkError> {
        let members = value.as_object().ok_or(JwkError::new("it is not a JSON object"))?;
        if members.contains_key("d") || members.contains_key("k") {
            return Err(JwkError::new(
                "it holds a private or a symmetric key, where only a public one may be",
            ));
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let verifies = match members.get("key_ops") {
            None => true,
            Some(operations) => operations
                .as_array()
                .is_some_and(|operations| operations.iter().any(|operation| operation == "verify")),
        };
        Ok(Self {
            key: public_key(members)?,
            key_id: text("kid"),
            algorithm: text("alg"),
            usage: text("use"),
            verifies,
        })
    }

    /// `kid`: the name of the key (RFC 7517 §4.5).
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// With that name.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The key's thumbprint (RFC 7638, SHA-256): what `jkt` and `dpop_jkt` name it by.
    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    /// Whether it is the same key, whatever stands beside it.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether signatures of that algorithm may be verified by it: its type fits, and nothing that it says of itself forbids it.
    pub fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        let says = |own: &str| own.parse::<JwsAlgorithm>().is_ok_and(|own| own.is_same_as(algorithm));
        self.key.fits(algorithm)
            && self.verifies
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.algorithm.as_deref().is_none_or(says)
    }

    /// The key alone, without what stands beside it, as it goes into a header (RFC 9449 §4.2).
    pub(crate) fn bare(&self) -> Map<String, Value> {
        self.key.members().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }
}

/// The numbers of a public key (RFC 7518 §6.2.1, §6.3.1, RFC 8037 §2).
pub(crate) fn public_key(members: &Map<String, Value>) -> Result<PublicKey, JwkError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let number = |name: &str| {
        text(name)
            .and_then(decode)
            .ok_or(JwkError::new("a number of it is absent or not in base64url without padding"))
    };
    let of_length = |number: Vec<u8>, length| {
        let error = JwkError::new("a number of it has not the length that its curve asks for");
        if number.len() == length { Ok(number) } else { Err(error) }
    };
    match text("kty") {
        Some("RSA") => rsa_key(&number("n")?, &number("e")?),
        Some("EC") => {
            let curve = text("crv").and_then(Curve::named).ok_or(JwkError::new("its curve is not known"))?;
            let length = curve.field_length();
            let (x, y) = (of_length(number("x")?, length)?, of_length(number("y")?, length)?);
            Ok(PublicKey::Ec { curve, point: [&[4], &*x, &*y].concat() })
        }
        Some("OKP") if text("crv") == Some("Ed25519") => {
            Ok(PublicKey::Ed25519 { x: of_length(number("x")?, 32)? })
        }
        Some("OKP") => Err(JwkError::new("its curve is not known")),
        _ => Err(JwkError::new("its type (`kty`) is not known")),
    }
}

/// An RSA key in its one form. Some servers write a zero before the modulus.
fn rsa_key(n: &[u8], e: &[u8]) -> Result<PublicKey, JwkError> {
    let without_zeros =
        |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let (n, e) = (without_zeros(n), without_zeros(e));
    let bits = n.first().map_or(0, |first| 8 * n.len() - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(JwkError::new("an RSA key has 2048 to 8192 bits (RFC 7518 §3.3)"));
    }
    if e.is_empty() || e.len() > 8 {
        return Err(JwkError::new("its exponent is none"));
    }
    Ok(PublicKey::Rsa { n, e })
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.key.members() {
            map.serialize_entry(name, &value)?;
        }
        for (name, value) in [("kid", &self.key_id), ("alg", &self.algorithm), ("use", &self.usage)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Public keys, such as a server's at its `jwks_uri` (RFC 7517 §5).
///
/// Keys that cannot be read are passed over, as that RFC asks: a set may hold kinds of keys that nobody here knows.
///
/// ```
/// use jeton_jose::JwkSet;
///
/// let keys = JwkSet::parse(br#"{"keys":[
///     {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"},
///     {"kty":"of the future"}
/// ]}"#)?;
/// assert_eq!(keys.keys().len(), 1);
/// # Ok::<(), jeton_jose::JwkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a JSON text of at most 512 KiB.
    ///
    /// # Errors
    /// As [`from_value`](Self::from_value), and if it is no JSON or too large.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        if json.len() > MAX_SET {
            return Err(JwkError::new("the set of keys has more than 512 KiB"));
        }
        let value = serde_json::from_slice(json).map_err(|_| JwkError::new("the set of keys is not JSON"))?;
        Self::from_value(&value)
    }

    /// Reads a JSON object with the member `keys`.
    ///
    /// # Errors
    /// [`JwkError`] if it is no set of keys, or has more than 200 of them.
    pub fn from_value(value: &Value) -> Result<Self, JwkError> {
        let keys = value.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(JwkError::new("the set of keys has no array `keys` (RFC 7517 §5)"))?;
        if keys.len() > MAX_KEYS {
            return Err(JwkError::new("the set of keys has more than 200 keys"));
        }
        Ok(keys.iter().filter_map(|key| Jwk::from_value(key).ok()).collect())
    }

    /// The keys that could be read, in their order.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

impl<'de> Deserialize<'de> for JwkSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why something is no public key, or no set of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JWK cannot be used: {what}")]
pub struct JwkError {
    what: &'static str,
}

impl JwkError {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what }
    }
}
