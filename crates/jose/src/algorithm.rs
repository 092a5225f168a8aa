//! `JwsAlgorithm`: the signature algorithms that jeton makes and takes (RFC 7518 §3, RFC 8037, RFC 9864).
//! `none` is not among them, so that no list of allowed algorithms can ever hold it.

use std::fmt;
use std::str::FromStr;

use crate::encoding::shown;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// An algorithm of JSON Web Signatures (RFC 7518 §3.1).
        ///
        /// ```
        /// use jeton_jose::JwsAlgorithm;
        ///
        /// assert_eq!("ES256".parse(), Ok(JwsAlgorithm::Es256));
        /// assert_eq!(JwsAlgorithm::Ps256.to_string(), "PS256");
        /// assert!("none".parse::<JwsAlgorithm>().is_err());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum JwsAlgorithm {
            $($(#[$doc])* $variant,)*
        }

        impl JwsAlgorithm {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The registered name, the value of `alg`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

algorithms! {
    /// HMAC with SHA-256.
    Hs256 = "HS256",
    /// HMAC with SHA-384.
    Hs384 = "HS384",
    /// HMAC with SHA-512.
    Hs512 = "HS512",
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 = "RS256",
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 = "RS384",
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 = "RS512",
    /// RSASSA-PSS with SHA-256.
    Ps256 = "PS256",
    /// RSASSA-PSS with SHA-384.
    Ps384 = "PS384",
    /// RSASSA-PSS with SHA-512.
    Ps512 = "PS512",
    /// ECDSA with the curve P-256 and SHA-256.
    Es256 = "ES256",
    /// ECDSA with the curve P-384 and SHA-384.
    Es384 = "ES384",
    /// EdDSA, of which only the curve Ed25519 is supported (RFC 8037). Its fully specified name is [`Ed25519`](Self::Ed25519).
    EdDsa = "EdDSA",
    /// EdDSA with the curve Ed25519 under the name of RFC 9864. The same signatures as [`EdDsa`](Self::EdDsa).
    Ed25519 = "Ed25519",
}

impl JwsAlgorithm {
    /// The algorithms of key pairs, where who verifies cannot sign: all but HMAC.
    pub const ASYMMETRIC: &[Self] = &[
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ed25519,
    ];

    /// Whether both sides hold the same secret (HMAC).
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// Whether a signature of the one is a signature of the other: `EdDSA` and `Ed25519` are two names of one algorithm here.
    pub fn is_same_as(self, other: Self) -> bool {
        let one_name = |algorithm| if algorithm == Self::Ed25519 { Self::EdDsa } else { algorithm };
        one_name(self) == one_name(other)
    }

    /// How long a signature is, where the algorithm alone says so (not RSA), in bytes.
    pub(crate) const fn signature_length(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 | Self::Es256 | Self::EdDsa | Self::Ed25519 => Some(64),
            Self::Es384 => Some(96),
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => None,
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JwsAlgorithm {
    type Err = UnknownAlgorithm;

    /// Reads a registered name; they are case-sensitive (RFC 7515 §4.1.1).
    ///
    /// # Errors
    /// [`UnknownAlgorithm`] for any other text, `none` among them.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.iter().find(|algorithm| algorithm.as_str() == name);
        found.copied().ok_or_else(|| UnknownAlgorithm { name: shown(name) })
    }
}

/// A name that is no algorithm of [`JwsAlgorithm`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no signature algorithm that jeton takes (HS, RS and PS 256 to 512, ES256, ES384, EdDSA, Ed25519)"
)]
pub struct UnknownAlgorithm {
    /// The name, shortened and without control characters.
    pub name: String,
}
