//! Random values that nobody may guess: `state`, code verifiers, one-time names.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;

use crate::Secret;

/// `bytes` random bytes of the operating system as base64url without padding (RFC 4648 §5).
///
/// 32 bytes give 43 characters and 256 bits; RFC 6749 §10.10 asks for at least 128 bits.
///
/// If the operating system cannot give random bytes the process cannot do anything safe; on the supported
/// platforms this happens only in a sandbox that forbids the system call, and the process is then aborted.
pub fn random_token(bytes: usize) -> Secret {
    let mut buffer = zeroize::Zeroizing::new(vec![0_u8; bytes]);
    if rand::rngs::SysRng.try_fill_bytes(&mut buffer).is_err() {
        // Going on with predictable values would be worse than stopping, and there is no caller that could
        // do anything else.
        std::process::abort();
    }
    Secret::new(URL_SAFE_NO_PAD.encode(buffer.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::random_token;

    #[test]
    fn tokens_have_the_asked_size_and_differ() {
        let (one, two) = (random_token(32), random_token(32));
        assert_eq!(one.len(), 43);
        assert_ne!(one, two);
        assert!(one.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }
}
