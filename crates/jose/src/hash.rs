//! `half_hash`: how an ID token names a code or an access token (OpenID Connect Core §3.1.3.6, §3.3.2.11).

use ring::digest::{SHA256, SHA384, SHA512, digest};

use crate::JwsAlgorithm;
use crate::encoding::encode;

/// The left half of a value's hash in base64url: `at_hash`, `c_hash` and `s_hash` of an ID token that was signed by that
/// algorithm, whose hash function is taken (SHA-512 for Ed25519).
///
/// ```
/// use jeton_jose::{JwsAlgorithm, half_hash};
///
/// // OpenID Connect Core, Appendix A.3.
/// let hash = half_hash(JwsAlgorithm::Rs256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
/// assert_eq!(hash, "77QmUPtjPfzWtF2AnpK9RQ");
/// ```
pub fn half_hash(algorithm: JwsAlgorithm, value: &str) -> String {
    use JwsAlgorithm as A;
    let function = match algorithm {
        A::Hs256 | A::Rs256 | A::Ps256 | A::Es256 => &SHA256,
        A::Hs384 | A::Rs384 | A::Ps384 | A::Es384 => &SHA384,
        A::Hs512 | A::Rs512 | A::Ps512 | A::EdDsa | A::Ed25519 => &SHA512,
    };
    let hash = digest(function, value.as_bytes());
    encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}
