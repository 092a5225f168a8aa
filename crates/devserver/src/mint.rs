//! Where tokens, codes and transaction ids are struck: unguessable strings from one seed of the operating
//! system. Hashing seed and counter means that only starting the server can fail for want of randomness.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// The letters of a user code: no vowels, nothing that is misread (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

pub(crate) struct Mint {
    seed: [u8; 32],
    struck: u64,
}

impl Mint {
    pub(crate) fn new() -> io::Result<Self> {
        let mut seed = [0; 32];
        SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
        Ok(Self { seed, struck: 0 })
    }

    /// Strikes the same at each run.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { seed: Sha256::digest(seed.to_be_bytes()).into(), struck: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.struck += 1;
        Sha256::new().chain_update(self.seed).chain_update(self.struck.to_be_bytes()).finalize().into()
    }

    /// 43 characters of base64url, 256 bits.
    pub(crate) fn secret(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.block())
    }

    /// A secret of exactly `size` characters, but never of fewer than 43.
    pub(crate) fn secret_of(&mut self, size: usize) -> String {
        let mut secret = self.secret();
        while secret.len() < size {
            let more = self.secret();
            secret.push_str(&more[..more.len().min(size - secret.len())]);
        }
        secret
    }

    /// Eight letters in the form `WDJB-MJHT`.
    pub(crate) fn user_code(&mut self) -> String {
        let block = self.block();
        let letter = |byte: &u8| char::from(USER_CODE_LETTERS[usize::from(*byte) % USER_CODE_LETTERS.len()]);
        let (left, right) = (block[..4].iter().map(letter), block[4..8].iter().map(letter));
        left.chain(std::iter::once('-')).chain(right).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Mint;

    #[test]
    fn no_two_secrets_are_alike_and_sizes_are_exact() {
        let mut mint = Mint::new().unwrap();
        let (a, b) = (mint.secret(), mint.secret());
        assert_ne!(a, b);
        assert_eq!(a.len(), 43);
        assert_eq!(mint.secret_of(6000).len(), 6000);
        assert_eq!(mint.secret_of(1).len(), 43);
        let code = mint.user_code();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
    }

    #[test]
    fn a_seed_strikes_the_same_again() {
        let struck = |seed| {
            let mut mint = Mint::seeded(seed);
            (mint.secret(), mint.user_code())
        };
        assert_eq!(struck(7), struck(7));
        assert_ne!(struck(7), struck(8));
    }
}
