//! XChaCha20-Poly1305: the one algorithm that logins and key rings are sealed with.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};

use super::key::{SealingKey, fill_random};
use crate::StoreError;

/// How files name it.
pub(super) const ALGORITHM: &str = "XChaCha20-Poly1305";
/// Random for each sealing: with 192 bits, two that are alike need not be feared.
pub(super) const NONCE: usize = 24;
/// How much longer the ciphertext is than the text.
pub(super) const TAG: usize = 16;

pub(super) fn random_nonce() -> Result<[u8; NONCE], StoreError> {
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce)?;
    Ok(nonce)
}

/// The ciphertext with its tag. `bound` is not in it, and must be the same to open it.
pub(super) fn seal(
    key: &SealingKey,
    nonce: &[u8; NONCE],
    bound: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, StoreError> {
    // Encrypted in place, in a buffer that is never grown: no plain text stays behind.
    let mut buffer = Vec::with_capacity(plain.len() + TAG);
    buffer.extend_from_slice(plain);
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(*nonce), bound, buffer.as_mut_slice().into())
        .map_err(|_| StoreError::Unavailable { what: "a login of 256 GiB cannot be sealed".to_owned() })?;
    buffer.extend_from_slice(&tag);
    Ok(buffer)
}

/// Opens in place what [`seal`] made; what is left is the text. `None` if key, nonce, `bound` or ciphertext is another;
/// then nothing was decrypted.
pub(super) fn open<'a>(
    key: &SealingKey,
    nonce: &[u8; NONCE],
    bound: &[u8],
    sealed: &'a mut [u8],
) -> Option<&'a [u8]> {
    let (buffer, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG)?)?;
    let tag = <[u8; TAG]>::try_from(&*tag).ok()?;
    cipher(key)
        .decrypt_inout_detached(&XNonce::from(*nonce), bound, (&mut *buffer).into(), &Tag::from(tag))
        .ok()?;
    Some(buffer)
}

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(<&Key>::from(key.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: String = hex.split_whitespace().collect();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn it_is_the_algorithm_of_that_name() {
        let plain =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                      sunscreen would be it.";
        let key: Vec<u8> = (0x80..0xa0).collect();
        let key = SealingKey::from_bytes(&key).unwrap();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let nonce: [u8; NONCE] = nonce.try_into().unwrap();
        let bound = bytes("50515253c0c1c2c3c4c5c6c7");
        let mut sealed = seal(&key, &nonce, &bound, plain).unwrap();
        assert_eq!(
            sealed,
            bytes(
                "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
                 731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
                 2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
                 21f9664c97637da9768812f615c68b13b52e
                 c0875924c1c7987947deafd8780acf49"
            )
        );
        assert_eq!(open(&key, &nonce, &bound, &mut sealed.clone()).unwrap(), plain);
        for at in 0..sealed.len() {
            sealed[at] ^= 1;
            assert!(open(&key, &nonce, &bound, &mut sealed.clone()).is_none());
            sealed[at] ^= 1;
        }
        assert!(open(&key, &nonce, b"", &mut sealed.clone()).is_none());
        assert!(open(&key, &nonce, &bound, &mut sealed[..5]).is_none());
    }
}
