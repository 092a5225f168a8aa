//! `Signer`: whoever holds a private key and signs with it. The key itself need not be in this process.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Jwk, JwsAlgorithm};

/// Signs with a private key or a shared secret, which may live in a hardware module, an agent or a key service.
///
/// [`SigningKey`](crate::SigningKey) is one whose key is in memory. One of your own:
///
/// ```
/// use jeton_jose::{JwsAlgorithm, SignError, Signer};
///
/// struct KeyService { /* a connection */ }
///
/// #[async_trait::async_trait]
/// impl Signer for KeyService {
///     fn algorithm(&self) -> JwsAlgorithm {
///         JwsAlgorithm::Es256
///     }
///
///     fn key_id(&self) -> Option<&str> {
///         Some("key-7")
///     }
///
///     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
///         # fn ask_the_service(_: &[u8]) -> Result<Vec<u8>, std::io::Error> { Err(std::io::ErrorKind::NotConnected.into()) }
///         // For ES256 the signature is r and s, 32 bytes each; many modules give DER, which must be taken apart first.
///         ask_the_service(message).map_err(SignError::other)
///     }
/// }
/// ```
#[async_trait]
pub trait Signer: Send + Sync {
    /// The algorithm of its signatures. Always the same one.
    fn algorithm(&self) -> JwsAlgorithm;

    /// The name under which the other side knows the public key, the header `kid` (RFC 7515 §4.1.4).
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// The public key. DPoP needs it, whose proofs carry it (RFC 9449 §4.2).
    fn public_jwk(&self) -> Option<&Jwk> {
        None
    }

    /// The signature of a message in the form of RFC 7518 §3: for ECDSA `r` and `s` in their full length, not DER.
    ///
    /// # Errors
    /// [`SignError`] if the key cannot be used now.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

#[async_trait]
impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn algorithm(&self) -> JwsAlgorithm {
        (**self).algorithm()
    }

    fn key_id(&self) -> Option<&str> {
        (**self).key_id()
    }

    fn public_jwk(&self) -> Option<&Jwk> {
        (**self).public_jwk()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        (**self).sign(message).await
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer could not; the source says why.
    #[error("the signing key could not be used: {0}")]
    Signer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The signer gave something that cannot be a signature of its algorithm.
    #[error(
        "the signer gave {length} bytes, which is no {algorithm} signature in the form of RFC 7518 §3; a signer for ECDSA gives \
         r and s in their full length, not DER"
    )]
    Form {
        /// The algorithm that it names.
        algorithm: JwsAlgorithm,
        /// How many bytes it gave.
        length: usize,
    },
}

impl SignError {
    /// For signers of your own. The text must not hold secrets.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Signer(error.into())
    }
}
