//! As much DER as private keys need: the elliptic-curve key in PKCS#8 (RFC 5958) and SEC 1 (RFC 5915), Ed25519 in PKCS#8
//! (RFC 8410). `ring` checks what is found; it cannot give a private key back, which a JWK needs, nor does it read SEC 1.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]` and `[1]`, explicit.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;

const ID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// `secp256r1`, which JOSE calls `P-256`.
pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `secp384r1`, which JOSE calls `P-384`.
pub(crate) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// A private key on an elliptic curve.
pub(crate) struct EcPrivateKey<'a> {
    /// The private number, in the length of the field.
    pub(crate) d: &'a [u8],
    /// The public point, uncompressed, if it is in the file.
    pub(crate) point: Option<&'a [u8]>,
}

/// The key on the curve of that identifier in a PKCS#8 document. `None` if it is none or belongs to another curve.
pub(crate) fn ec_from_pkcs8<'a>(document: &'a [u8], curve: &[u8]) -> Option<EcPrivateKey<'a>> {
    let (mut algorithm, key) = pkcs8(document)?;
    let is_of_curve =
        algorithm.take(OBJECT_IDENTIFIER)? == ID_EC_PUBLIC_KEY && algorithm.take(OBJECT_IDENTIFIER)? == curve;
    if is_of_curve { ec_from_sec1(key, curve) } else { None }
}

/// The key in a SEC 1 document.
pub(crate) fn ec_from_sec1<'a>(document: &'a [u8], curve: &[u8]) -> Option<EcPrivateKey<'a>> {
    let mut key = Reader(Reader(document).take_all(SEQUENCE)?);
    if key.take(INTEGER)? != [1] {
        return None;
    }
    let d = key.take(OCTET_STRING)?;
    if key.next_is(CONTEXT_0) && Reader(key.take(CONTEXT_0)?).take_all(OBJECT_IDENTIFIER)? != curve {
        return None;
    }
    let point = if key.next_is(CONTEXT_1) {
        let bits = Reader(key.take(CONTEXT_1)?).take_all(BIT_STRING)?;
        Some(bits.strip_prefix(&[0])?)
    } else {
        None
    };
    Some(EcPrivateKey { d, point })
}

/// The seed of an Ed25519 key in a PKCS#8 document.
pub(crate) fn ed25519_from_pkcs8(document: &[u8]) -> Option<&[u8]> {
    let (mut algorithm, key) = pkcs8(document)?;
    if algorithm.take(OBJECT_IDENTIFIER)? != ID_ED25519 {
        return None;
    }
    Reader(key).take_all(OCTET_STRING)
}

/// What the algorithm is, and the key.
fn pkcs8(document: &[u8]) -> Option<(Reader<'_>, &[u8])> {
    let mut outer = Reader(Reader(document).take_all(SEQUENCE)?);
    // 0 without, 1 with a public key after the private one.
    if !matches!(outer.take(INTEGER)?, [0 | 1]) {
        return None;
    }
    let algorithm = Reader(outer.take(SEQUENCE)?);
    Some((algorithm, outer.take(OCTET_STRING)?))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The content of the next element, which must have that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            // No key is larger than 64 KiB.
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The content of the only element.
    fn take_all(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.take(tag)?;
        self.0.is_empty().then_some(content)
    }
}
