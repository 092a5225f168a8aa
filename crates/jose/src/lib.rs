//! What OAuth 2.0 needs of JOSE: signing keys that may live elsewhere, signed JWTs, JWK sets, and verification with pinned
//! algorithms.
//!
//! It makes and reads signed JWTs in compact form (RFC 7515, RFC 7519) and public keys as JWKs (RFC 7517), over `ring`.
//! Nothing is encrypted here, `none` is no algorithm, and no key is ever taken from the JWT that it should verify.
//!
//! A key signs through the trait [`Signer`], which is async because the key may live in a hardware module, an agent or a
//! key service. [`SigningKey`] is one in memory.
//!
//! ```
//! use jeton_jose::{Claims, JwkSet, JwsAlgorithm, JwtHeader, Signer, SigningKey, UnverifiedJwt, sign_jwt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate(JwsAlgorithm::Es256)?.with_key_id("2026-01");
//! let claims = Claims::new().with("iss", "client-1").with("exp", 1_800_000_000);
//! let jwt = sign_jwt(&key, JwtHeader::typed("client-authentication+jwt"), &claims).await?;
//!
//! // The other side knows the public key, and which algorithms it takes.
//! let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
//! let verified = UnverifiedJwt::parse(jwt.expose())?.verify(&keys, &[JwsAlgorithm::Es256])?;
//! assert_eq!(verified.claims().issuer(), Some("client-1"));
//! # Ok(())
//! # }
//! ```

// The README's examples are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod algorithm;
mod claims;
mod der;
mod encoding;
mod hash;
mod jwk;
mod jwt;
mod key;
mod signer;
mod signing_key;

pub use algorithm::{JwsAlgorithm, UnknownAlgorithm};
pub use claims::Claims;
pub use hash::half_hash;
pub use jwk::{Jwk, JwkError, JwkSet};
pub use jwt::{JwtError, JwtHeader, ReceivedHeader, UnverifiedJwt, VerifiedJwt, sign_jwt};
pub use signer::{SignError, Signer};
pub use signing_key::{KeyError, SigningKey};
