//! `Secret`: a string that must not be seen.
//! It is redacted in `Debug`, wiped when dropped, compared in constant time, and neither `Display` nor
//! `Serialize`: whoever stores or sends it asks for it by name.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret string: a token, a client secret, a password, a code, a verifier.
///
/// `Debug` prints `Secret(..)`; the memory is wiped on drop; `==` takes the same time wherever the first
/// difference is. There is no `Display` and no `Serialize`; use [`Secret::expose`], or the serde modules
/// [`exposed`] and [`exposed_option`] where a store writes it on purpose.
///
/// ```
/// use jeton_models::Secret;
///
/// let secret = Secret::from("hunter2");
/// assert_eq!(secret.expose(), "hunter2");
/// assert!(!format!("{secret:?}").contains("hunter2"));
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes over a string. The string's own spare capacity is not kept, so that nothing unwiped stays behind.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        if value.len() == value.capacity() {
            // Without spare capacity its memory is taken as it is.
            return Self(Zeroizing::new(value.into_boxed_str()));
        }
        let value = Zeroizing::new(value);
        Self(Zeroizing::new(Box::from(value.as_str())))
    }

    /// The text itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A short name for logs: the first 8 hexadecimal digits of the SHA-256 of the text.
    ///
    /// Two equal secrets have equal fingerprints; the text cannot be had back from it as long as it has the
    /// entropy of a token. Do not print one for a password.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(self.expose().as_bytes());
        digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(Zeroizing::new(Box::from(value)))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of a wrong type would quote the value (`password: 123456`), so that it is put in other words.
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| serde::de::Error::custom("a secret must be a string"))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// Serde functions that write a [`Secret`] as its plain text: `#[serde(with = "jeton_models::exposed")]`.
///
/// For stores and for pending logins that are kept where only their owner reads.
pub mod exposed {
    use super::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the plain text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads the plain text.
    ///
    /// # Errors
    /// When the input is not a string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        Secret::deserialize(deserializer)
    }
}

/// Like [`exposed`], for an `Option<Secret>`; pair it with `default` and `skip_serializing_if`.
pub mod exposed_option {
    use super::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the plain text, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the plain text, or nothing.
    ///
    /// # Errors
    /// When the input is neither a string nor null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Option::<Secret>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_text_and_equality_compares_it() {
        let secret = Secret::from("s3cr3t");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret, Secret::new("s3cr3t".to_owned()));
        assert_ne!(secret, Secret::from("s3cr3T"));
        assert_ne!(secret, Secret::from("s3cr3"));
    }

    #[test]
    fn a_wrong_type_is_not_quoted() {
        for json in ["123456", "[\"123456\"]", "{\"123456\":1}", "\"123456\\x\""] {
            let error = serde_json::from_str::<Secret>(json).unwrap_err().to_string();
            assert!(error.contains("must be a string") && !error.contains("123456"), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_is_short_and_stable() {
        assert_eq!(Secret::from("abc").fingerprint(), "ba7816bf");
    }
}
