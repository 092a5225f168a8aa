//! `PublicKey`: the numbers of a public key, which algorithms they fit, and the verification itself.

use jeton_models::Secret;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::JwsAlgorithm;
use crate::encoding::encode;

/// A curve of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::P256, Self::P384].into_iter().find(|curve| curve.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// How long a coordinate is, in bytes.
    pub(crate) fn field_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) fn algorithm(self) -> JwsAlgorithm {
        match self {
            Self::P256 => JwsAlgorithm::Es256,
            Self::P384 => JwsAlgorithm::Es384,
        }
    }
}

/// The numbers of a public key, in their one form: RSA without leading zeros, points in full length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The uncompressed point, `4`, `x`, `y`.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed25519 {
        x: Vec<u8>,
    },
}

impl PublicKey {
    /// Whether a key of that type can have made a signature of that algorithm.
    pub(crate) fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        use JwsAlgorithm as A;
        match self {
            Self::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
            Self::Ec { curve, .. } => algorithm == curve.algorithm(),
            Self::Ed25519 { .. } => matches!(algorithm, A::EdDsa | A::Ed25519),
        }
    }

    /// The members that a JWK must have, in the order of their names (RFC 7638 §3.2).
    pub(crate) fn members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Rsa { n, e } => vec![("e", encode(e)), ("kty", "RSA".to_owned()), ("n", encode(n))],
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.field_length());
                vec![
                    ("crv", curve.name().to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", encode(x)),
                    ("y", encode(y)),
                ]
            }
            Self::Ed25519 { x } => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", encode(x))]
            }
        }
    }

    /// RFC 7638 §3: the SHA-256 of the required members, without white space. None of the values needs an escape.
    pub(crate) fn thumbprint(&self) -> String {
        let members: Vec<_> =
            self.members().into_iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
        encode(digest(&SHA256, format!("{{{}}}", members.join(",")).as_bytes()))
    }

    /// Whether the signature is one of the message by this key. Points that are not on their curve and RSA keys under 2048 bits
    /// never verify.
    pub(crate) fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let by = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, signature).is_ok()
        };
        match self {
            Self::Rsa { n, e } => rsa_parameters(algorithm)
                .is_some_and(|how| RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()),
            Self::Ec { curve: Curve::P256, point } => by(&ECDSA_P256_SHA256_FIXED, point),
            Self::Ec { curve: Curve::P384, point } => by(&ECDSA_P384_SHA384_FIXED, point),
            Self::Ed25519 { x } => by(&ED25519, x),
        }
    }
}

fn rsa_parameters(algorithm: JwsAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        JwsAlgorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        JwsAlgorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        JwsAlgorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        JwsAlgorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        JwsAlgorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        JwsAlgorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

/// The HMAC function of an algorithm.
pub(crate) fn hmac_function(algorithm: JwsAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        JwsAlgorithm::Hs256 => Some(hmac::HMAC_SHA256),
        JwsAlgorithm::Hs384 => Some(hmac::HMAC_SHA384),
        JwsAlgorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Whether it is the HMAC of the message under that secret, in constant time.
pub(crate) fn secret_verifies(secret: &Secret, algorithm: JwsAlgorithm, message: &[u8], tag: &[u8]) -> bool {
    hmac_function(algorithm).is_some_and(|function| {
        hmac::verify(&hmac::Key::new(function, secret.expose().as_bytes()), message, tag).is_ok()
    })
}
