//! A sealing key: 256 bits that every login of a sealed store is encrypted with, and the id that files name it by.

use std::fmt;
use std::sync::Arc;

use rand::TryRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::StoreError;

/// A 256-bit key for a [`SealedStore`](crate::SealedStore). Redacted in `Debug`, wiped when the last clone is dropped.
///
/// For programs that have a place of their own for a key: a secrets manager, an HSM that unwraps it, a mounted secret.
/// It must be random. What a person can remember is a passphrase, and goes to
/// [`SealedStore::with_passphrase`](crate::SealedStore::with_passphrase).
///
/// ```
/// use jeton_storage::SealingKey;
///
/// let key = SealingKey::generate()?;
/// let kept = key.expose().to_vec(); // into the secrets manager
/// assert_eq!(SealingKey::from_bytes(&kept)?.id(), key.id());
/// # Ok::<(), jeton_storage::StoreError>(())
/// ```
#[derive(Clone)]
pub struct SealingKey(Arc<Zeroizing<[u8; Self::LENGTH]>>);

impl SealingKey {
    /// How many bytes a key has.
    pub const LENGTH: usize = 32;

    /// A new key from the system's random generator.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the system has no random numbers.
    pub fn generate() -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; Self::LENGTH]);
        fill_random(&mut *key)?;
        Ok(Self(Arc::new(key)))
    }

    /// The key of those bytes: 32, from a random generator.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if they are not 32, or all the same (a variable that nobody filled in).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; Self::LENGTH]);
        let refused = |what: &str| Err(StoreError::Unavailable { what: what.to_owned() });
        if bytes.len() != Self::LENGTH {
            return refused(
                "a sealing key has 32 bytes: decode it if it is written in hexadecimal or base64, and take a passphrase \
                 to `with_passphrase`",
            );
        }
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return refused("the sealing key is one byte repeated: make one with `SealingKey::generate`");
        }
        key.copy_from_slice(bytes);
        Ok(Self(Arc::new(key)))
    }

    /// The bytes, to keep them somewhere safe.
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// What files name this key by: 32 hexadecimal digits, the first half of the SHA-256 of
    /// `jeton-sealing-key-id-1` LF and the key. It does not help to find the key.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"jeton-sealing-key-id-1\n");
        hash.update(self.expose());
        hex(&hash.finalize()[..16])
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// Hexadecimal digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From the operating system's generator.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    rand::rngs::SysRng.try_fill_bytes(bytes).map_err(|_| StoreError::Unavailable {
        what: "the operating system gives no random numbers, without which nothing can be encrypted"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for bytes in [&[][..], &[1; 31], &[1; 64], &[0; 32], &[7; 32]] {
            assert!(matches!(SealingKey::from_bytes(bytes), Err(StoreError::Unavailable { .. })));
        }
    }

    #[test]
    fn the_id_never_changes_and_debug_shows_nothing() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = SealingKey::from_bytes(&bytes).unwrap();
        assert_eq!(key.id(), "c90118c6b32a4dee751319b90b5819af");
        assert_eq!(format!("{key:?}"), "SealingKey(…)");
        assert_ne!(SealingKey::generate().unwrap().id(), SealingKey::generate().unwrap().id());
    }
}
