//! Version 1 of the sealed login: the JSON around an encrypted record. The crate's docs describe it; the golden file in
//! `tests/golden` holds it fast.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cipher::{self, ALGORITHM, NONCE, TAG};
use super::encoding::{decode, encode, encoded_length};
use super::gate::Shared;
use super::ring::Ring;
use crate::format::shown;
use crate::login_folder::Envelope;
use crate::record::RecordError;
use crate::{LoginRecord, StoreError, format};

const FORMAT: &str = format::SEALED_FORMAT;
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
}

/// Exactly these members: what is not bound to the ciphertext has no business beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedV1 {
    format: String,
    version: u64,
    algorithm: String,
    key_id: String,
    nonce: String,
    ciphertext: String,
}

/// Opens and seals logins with the keys of a ring.
pub(crate) struct Sealed {
    pub(crate) ring: Arc<Ring>,
    /// Kept by whoever writes until the write has ended.
    _gate: Option<Arc<Shared>>,
}

impl Sealed {
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, _gate: None }
    }

    /// For whoever writes: the gate stays open until the write has ended.
    pub(crate) fn for_writing(ring: Arc<Ring>, gate: Option<Arc<Shared>>) -> Self {
        Self { ring, _gate: gate }
    }

    /// The file's contents for that record, sealed with the current key.
    pub(crate) fn seal(&self, record: &[u8], digest: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.seal_with_nonce(record, digest, &cipher::random_nonce()?)
    }

    fn seal_with_nonce(
        &self,
        record: &[u8],
        digest: &str,
        nonce: &[u8; NONCE],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let key_id = self.ring.current_id();
        let key = self.ring.current().ok_or_else(|| StoreError::Unavailable {
            what: "there is no key to seal logins with; please report this".to_owned(),
        })?;
        let ciphertext = cipher::seal(key, nonce, bound(key_id, digest).as_bytes(), record)?;
        let sealed = SealedV1 {
            format: FORMAT.to_owned(),
            version: VERSION,
            algorithm: ALGORITHM.to_owned(),
            key_id: key_id.to_owned(),
            nonce: encode(nonce),
            ciphertext: encode(&ciphertext),
        };
        serde_json::to_vec(&sealed)
            .map(Zeroizing::new)
            .map_err(|_| StoreError::Unavailable { what: "a login could not be written as JSON".to_owned() })
    }

    /// The record in a file's contents, unread.
    pub(crate) fn unseal(
        &self,
        contents: &[u8],
        digest: &str,
        path: &Path,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let broken = |what| seal_broken(path, what);
        let sealed = read(contents, path)?;
        let Some(key) = self.ring.get(&sealed.key_id) else {
            return Err(StoreError::WrongSealingKey {
                place: path.display().to_string(),
                what: format!("key {}", shown(&sealed.key_id)),
            });
        };
        let nonce = decode(&sealed.nonce).and_then(|nonce| <[u8; NONCE]>::try_from(nonce).ok());
        let nonce = nonce.ok_or_else(|| broken("its nonce is damaged"))?;
        let ciphertext = decode(&sealed.ciphertext).ok_or_else(|| broken("its ciphertext is damaged"))?;
        let mut ciphertext = Zeroizing::new(ciphertext);
        let bound = bound(&sealed.key_id, digest);
        let length = cipher::open(key, &nonce, bound.as_bytes(), &mut ciphertext)
            .ok_or_else(|| broken("it was changed, or it is the file of another login"))?
            .len();
        ciphertext.truncate(length);
        Ok(ciphertext)
    }
}

impl Envelope for Sealed {
    fn open(&self, contents: &[u8], digest: &str, path: &Path) -> Result<LoginRecord, StoreError> {
        let record = self.unseal(contents, digest, path)?;
        format::read(&record).map_err(|error| match error {
            // Nobody but a holder of the key can have sealed it, and it is not for us to replace.
            RecordError::Damaged { what } => {
                seal_broken(path, format!("what was sealed is no login: {what}"))
            }
            other => StoreError::from_record(other, path.display()),
        })
    }
}

/// The id of the key that a file is sealed with.
pub(crate) fn key_id_of(contents: &[u8], path: &Path) -> Result<String, StoreError> {
    read(contents, path).map(|sealed| sealed.key_id)
}

/// How many bytes a file has that holds a record of that many.
pub(crate) fn sealed_length(record: usize) -> usize {
    let around = format!(
        r#"{{"format":"{FORMAT}","version":{VERSION},"algorithm":"{ALGORITHM}","key_id":"{:032}","nonce":"{}","ciphertext":""}}"#,
        0,
        encode(&[0; NONCE]),
    );
    around.len() + encoded_length(record + TAG)
}

/// What is bound to the ciphertext without being in it: everything that says how to read it, and whose it is.
fn bound(key_id: &str, digest: &str) -> String {
    format!("{FORMAT}\n{VERSION}\n{ALGORITHM}\n{key_id}\n{digest}\n")
}

fn read(contents: &[u8], path: &Path) -> Result<SealedV1, StoreError> {
    let broken = |what| seal_broken(path, what);
    let newer = |found| StoreError::NewerFormat { place: path.display().to_string(), found };
    let header: Header = match serde_json::from_slice(contents) {
        Ok(header) => header,
        Err(_) if contents.is_empty() => return Err(broken("it is empty")),
        Err(error) if error.is_eof() => return Err(broken("it was cut off")),
        Err(_) => return Err(broken("it is not a sealed login")),
    };
    match header.format.as_str() {
        FORMAT if header.version == VERSION => {}
        FORMAT if header.version > VERSION => {
            return Err(newer(format!("format {FORMAT:?} version {}", header.version)));
        }
        FORMAT => return Err(broken("its version is 0")),
        format::FORMAT => return Err(StoreError::NotSealed { place: path.display().to_string() }),
        other if other.starts_with(format::FAMILY) => {
            return Err(newer(format!("format {:?}", shown(other))));
        }
        _ => return Err(broken("it is not a sealed login")),
    }
    let sealed: SealedV1 =
        serde_json::from_slice(contents).map_err(|_| broken("its members are not those of version 1"))?;
    if sealed.algorithm != ALGORITHM {
        return Err(newer(format!("algorithm {:?}", shown(&sealed.algorithm))));
    }
    Ok(sealed)
}

fn seal_broken(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::SealBroken { place: path.display().to_string(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use jeton_models::Secret;
    use serde_json::{Value, json};

    use super::super::key::SealingKey;
    use super::*;
    use crate::LoginKey;

    const GOLDEN: &str = include_str!("../../tests/golden/sealed-login-v1.json");

    fn key(first: u8) -> SealingKey {
        let bytes: Vec<u8> = (first..first + 32).collect();
        SealingKey::from_bytes(&bytes).unwrap()
    }

    fn sealed() -> Sealed {
        Sealed::new(Arc::new(Ring::new(&key(1), [])))
    }

    fn record() -> LoginRecord {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let issuer = "https://as.example".parse().unwrap();
        let mut record = LoginRecord::new(LoginKey::new(&issuer, "my-client").with_account("work"), at);
        record.set_refresh_token(Secret::from("r3fr3sh-Ω"), at);
        record
    }

    fn open(contents: &[u8]) -> Result<LoginRecord, StoreError> {
        sealed().open(contents, &record().key.digest(), Path::new("/x/login"))
    }

    #[test]
    fn version_1_is_read_and_written_to_the_byte() {
        let nonce: Vec<u8> = (100..124).collect();
        let nonce = nonce.try_into().unwrap();
        let record = record();
        let written = sealed().seal_with_nonce(&record.to_json(), &record.key.digest(), &nonce).unwrap();
        assert_eq!(std::str::from_utf8(&written).unwrap(), GOLDEN);
        assert_eq!(open(GOLDEN.as_bytes()).unwrap(), record);
    }

    #[test]
    fn the_length_is_known_beforehand() {
        for length in [0, 1, 2, 3, 1_000, 30_001] {
            let contents = sealed().seal(&vec![b'x'; length], "digest").unwrap();
            assert_eq!(contents.len(), sealed_length(length));
        }
    }

    #[test]
    fn two_seals_of_one_record_have_nothing_in_common_and_show_nothing() {
        let (json, digest) = (record().to_json(), record().key.digest());
        let (one, two) = (sealed().seal(&json, &digest).unwrap(), sealed().seal(&json, &digest).unwrap());
        let ciphertext =
            |contents: &[u8]| serde_json::from_slice::<Value>(contents).unwrap()["ciphertext"].clone();
        assert_ne!(ciphertext(&one), ciphertext(&two));
        for secret in ["r3fr3sh", "as.example", "my-client", "work"] {
            assert!(!String::from_utf8_lossy(&one).contains(secret));
        }
    }

    #[test]
    fn no_member_can_be_changed() {
        let change = |name: &str, value: Value| {
            let mut json: Value = serde_json::from_str(GOLDEN).unwrap();
            json[name] = value;
            open(&serde_json::to_vec(&json).unwrap()).unwrap_err()
        };
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let flipped = |name: &str| {
            let text = golden[name].as_str().unwrap();
            let first = if text.starts_with('A') { 'B' } else { 'A' };
            json!(format!("{first}{}", &text[1..]))
        };
        for broken in [
            change("nonce", flipped("nonce")),
            change("nonce", json!("AAAA")),
            change("nonce", json!("?")),
            change("nonce", json!(5)),
            change("ciphertext", flipped("ciphertext")),
            change("ciphertext", json!("")),
            change("ciphertext", json!("AA")),
            change("ciphertext", json!("AA==")),
            change("version", json!(0)),
            change("format", json!("other")),
            change("note", json!("hello")),
        ] {
            assert!(matches!(broken, StoreError::SealBroken { .. }), "{broken:?}");
        }
        let other_key = change("key_id", json!(key(2).id()));
        assert!(matches!(other_key, StoreError::WrongSealingKey { .. }), "{other_key:?}");
        for newer in [
            change("version", json!(2)),
            change("algorithm", json!("AES-256-GCM-SIV")),
            change("format", json!("jeton-client")),
        ] {
            assert!(matches!(newer, StoreError::NewerFormat { .. }), "{newer:?}");
        }
        assert!(matches!(open(&record().to_json()), Err(StoreError::NotSealed { .. })));
    }

    #[test]
    fn a_key_known_under_the_id_of_another_does_not_open() {
        // As after a collision of ids, which nobody will ever see: the key decides, not its name.
        let mut json: Value = serde_json::from_str(GOLDEN).unwrap();
        json["key_id"] = json!(key(2).id());
        let both = Sealed::new(Arc::new(Ring::new(&key(1), [key(2)])));
        let digest = record().key.digest();
        let opened = both.open(&serde_json::to_vec(&json).unwrap(), &digest, Path::new("/x"));
        assert!(matches!(opened, Err(StoreError::SealBroken { .. })));
    }

    #[test]
    fn cut_off_anywhere_it_is_broken_and_never_a_panic() {
        for length in 0..GOLDEN.len() {
            let error = open(&GOLDEN.as_bytes()[..length]).unwrap_err();
            assert!(matches!(error, StoreError::SealBroken { .. }), "{length}: {error:?}");
        }
        let opened = open(&[GOLDEN.as_bytes(), b"x"].concat());
        assert!(matches!(opened, Err(StoreError::SealBroken { .. })));
    }

    #[test]
    fn it_does_not_open_as_another_login() {
        let other = record().key.with_account("other").digest();
        let opened = sealed().open(GOLDEN.as_bytes(), &other, Path::new("/x"));
        assert!(matches!(opened, Err(StoreError::SealBroken { .. })));
    }

    #[test]
    fn a_record_of_a_newer_version_inside_is_newer_and_one_that_is_none_is_broken() {
        let digest = record().key.digest();
        let open = |json: &[u8]| open(&sealed().seal(json, &digest).unwrap()).unwrap_err();
        assert!(matches!(open(br#"{"format":"jeton-login","version":2}"#), StoreError::NewerFormat { .. }));
        assert!(matches!(open(b"{}"), StoreError::SealBroken { .. }));
    }
}
