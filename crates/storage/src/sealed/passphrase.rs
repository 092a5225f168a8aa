//! From a passphrase to a key: argon2id (RFC 9106), which costs whoever guesses as much memory and time as it costs us.

use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use jeton_models::Secret;
use zeroize::{Zeroize, Zeroizing};

use super::key::SealingKey;
use crate::StoreError;

/// How many bytes of salt (RFC 9106 §3.1 recommends 16).
pub(super) const SALT: usize = 16;
/// One thread: more would help whoever guesses as much as us.
pub(super) const LANES: u32 = 1;
/// What a file may ask for: 4 GiB and a minute or so. More is a mistake, or malice.
const MOST_MEMORY_KIB: u32 = 4 * 1_024 * 1_024;
const MOST_PASSES: u32 = 100;

/// What it costs to try one passphrase, with argon2id and one lane.
///
/// The default is 64 MiB and 3 passes, the second choice of RFC 9106 §4 with one lane instead of four: about 0.1 s on a
/// machine of 2025, once per opened store. The least that is allowed is what OWASP's password storage cheat sheet asks for: 19 MiB
/// with 2 passes, or 46 MiB with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
}

impl Argon2Cost {
    /// That many MiB of memory, gone through that many times.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] for less than the least, or more than 4 GiB or 100 passes.
    pub fn new(memory_mib: u32, passes: u32) -> Result<Self, StoreError> {
        let cost = Self { memory_kib: memory_mib.saturating_mul(1_024), passes };
        match cost.is_enough() && cost.is_bearable() {
            true => Ok(cost),
            false => Err(StoreError::Unavailable {
                what: format!(
                    "argon2id with {memory_mib} MiB and {passes} passes is not allowed: take at least 19 MiB and 2 passes, \
                     or 46 MiB and 1, and at most 4096 MiB and {MOST_PASSES}"
                ),
            }),
        }
    }

    fn is_enough(self) -> bool {
        let mib = self.memory_kib / 1_024;
        (mib >= 19 && self.passes >= 2) || (mib >= 46 && self.passes >= 1)
    }

    /// Whether a stored cost is one to go to.
    pub(super) fn is_bearable(self) -> bool {
        self.memory_kib <= MOST_MEMORY_KIB && self.passes <= MOST_PASSES
    }
}

impl Default for Argon2Cost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1_024, passes: 3 }
    }
}

/// A passphrase, and the key that was last derived from it: the derivation is not done twice.
pub(crate) struct Passphrase {
    passphrase: Secret,
    pub(super) cost: Argon2Cost,
    derived: Mutex<Option<(Argon2Cost, [u8; SALT], SealingKey)>>,
}

impl Passphrase {
    pub(super) fn new(passphrase: Secret, cost: Argon2Cost) -> Self {
        Self { passphrase, cost, derived: Mutex::new(None) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.passphrase.is_empty()
    }

    /// The key for that salt. Blocks for long unless it was derived before.
    pub(super) fn key(&self, cost: Argon2Cost, salt: &[u8; SALT]) -> Result<SealingKey, StoreError> {
        // Held meanwhile: a second caller waits instead of doing the same work.
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_cost, of_salt, key)) = &*derived
            && (of_cost, of_salt) == (&cost, salt)
        {
            return Ok(key.clone());
        }
        let key = derive(&self.passphrase, cost, salt)?;
        *derived = Some((cost, *salt, key.clone()));
        Ok(key)
    }
}

fn derive(passphrase: &Secret, cost: Argon2Cost, salt: &[u8; SALT]) -> Result<SealingKey, StoreError> {
    let failed = |what: String| StoreError::Unavailable { what };
    if passphrase.is_empty() {
        return Err(failed("the passphrase is empty: ask the person for one".to_owned()));
    }
    let params = Params::new(cost.memory_kib, cost.passes, LANES, Some(SealingKey::LENGTH))
        .map_err(|error| failed(format!("argon2id refused its parameters: {error}")))?;
    let mut blocks: Vec<Block> = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|_| {
        failed(format!("there is no memory for the passphrase: it takes {} MiB", cost.memory_kib / 1_024))
    })?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new([0; SealingKey::LENGTH]);
    let result = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        passphrase.expose().as_bytes(),
        salt,
        &mut *key,
        &mut blocks,
    );
    blocks.zeroize();
    result.map_err(|error| failed(format!("argon2id failed: {error}")))?;
    SealingKey::from_bytes(&*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_argon2id_of_that_cost() {
        // Made with argon2-cffi (the reference implementation): low_level.hash_secret_raw(b"correct horse",
        // b"0123456789abcdef", time_cost=2, memory_cost=19456, parallelism=1, hash_len=32, type=Type.ID).
        let cost = Argon2Cost::new(19, 2).unwrap();
        let key = derive(&Secret::from("correct horse"), cost, b"0123456789abcdef").unwrap();
        assert_eq!(
            super::super::key::hex(key.expose()),
            "ae4d8c8b713876044c8347c76986a9b5655944aaacfffe9bea4dff9e7b6a1899"
        );
    }

    #[test]
    fn the_same_salt_is_derived_once_and_another_anew() {
        let passphrase = Passphrase::new(Secret::from("p"), Argon2Cost::new(19, 2).unwrap());
        let key = |salt: &[u8; SALT]| passphrase.key(passphrase.cost, salt).unwrap();
        let one = key(&[1; SALT]);
        assert!(std::ptr::eq(one.expose(), key(&[1; SALT]).expose()), "derived twice");
        assert_ne!(one.id(), key(&[2; SALT]).id());
    }

    #[test]
    fn too_little_and_too_much_are_refused() {
        for (mib, passes) in
            [(18, 9), (19, 1), (45, 1), (46, 0), (0, 0), (4_097, 3), (64, 101), (u32::MAX, 1)]
        {
            assert!(Argon2Cost::new(mib, passes).is_err(), "{mib} {passes}");
        }
        for (mib, passes) in [(19, 2), (46, 1), (64, 3), (4_096, 1)] {
            assert!(Argon2Cost::new(mib, passes).is_ok(), "{mib} {passes}");
        }
        assert!(Argon2Cost::default().is_enough());
        let empty = derive(&Secret::from(""), Argon2Cost::default(), &[0; SALT]);
        assert!(matches!(empty, Err(StoreError::Unavailable { .. })));
    }
}
