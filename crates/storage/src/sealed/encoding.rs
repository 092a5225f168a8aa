//! Base64 for what is sealed: the alphabet that is safe in URLs and file names, without padding (RFC 4648 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `None` for what is not in that alphabet, is padded, or has stray bits.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// How long the text of that many bytes is.
pub(super) fn encoded_length(bytes: usize) -> usize {
    bytes / 3 * 4 + (bytes % 3 * 4).div_ceil(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_known_beforehand() {
        for bytes in 0..100 {
            assert_eq!(encode(&vec![7; bytes]).len(), encoded_length(bytes));
        }
    }
}
