//! The keys file of a sealed folder, `sealing.json`: where its keys are, and which of them is current. The crate's docs
//! describe it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cipher::{self, ALGORITHM, NONCE};
use super::encoding::{decode, encode};
use super::key::fill_random;
use super::passphrase::{Argon2Cost, LANES, Passphrase, SALT};
use super::ring::Ring;
use crate::StoreError;

/// The file's name.
pub(super) const NAME: &str = "sealing.json";
const FORMAT: &str = "jeton-sealing-keys";
const VERSION: u64 = 1;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum KeysFile {
    /// The keys are in an entry of the keychain.
    Keychain { entry: String, current: String },
    /// The keys are in here, sealed with one that is made from a passphrase.
    Passphrase { current: String, cost: Argon2Cost, salt: [u8; SALT], nonce: [u8; NONCE], keys: Vec<u8> },
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
    source: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeychainV1 {
    format: String,
    version: u64,
    source: String,
    current: String,
    entry: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PassphraseV1 {
    format: String,
    version: u64,
    source: String,
    current: String,
    argon2id: Argon2idV1,
    algorithm: String,
    nonce: String,
    keys: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Argon2idV1 {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

impl KeysFile {
    /// The keys of that ring, sealed with a passphrase. Blocks for as long as that takes.
    pub(super) fn sealed(ring: &Ring, passphrase: &Passphrase) -> Result<Self, StoreError> {
        let mut salt = [0; SALT];
        fill_random(&mut salt)?;
        Self::sealed_again(ring, passphrase, passphrase.cost, salt)
    }

    /// The same with a salt, and thus a key, that is there already.
    pub(super) fn sealed_again(
        ring: &Ring,
        passphrase: &Passphrase,
        cost: Argon2Cost,
        salt: [u8; SALT],
    ) -> Result<Self, StoreError> {
        let (current, nonce) = (ring.current_id().to_owned(), cipher::random_nonce()?);
        let key = passphrase.key(cost, &salt)?;
        let keys = cipher::seal(&key, &nonce, bound(&current, cost, &salt).as_bytes(), &ring.to_json())?;
        Ok(Self::Passphrase { current, cost, salt, nonce, keys })
    }

    /// The id of the key that logins are to be sealed with.
    pub(super) fn current(&self) -> &str {
        match self {
            Self::Keychain { current, .. } | Self::Passphrase { current, .. } => current,
        }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, StoreError> {
        let (format, version) = (FORMAT.to_owned(), VERSION);
        let json = match self.clone() {
            Self::Keychain { entry, current } => serde_json::to_vec(&KeychainV1 {
                format,
                version,
                source: "keychain".to_owned(),
                current,
                entry,
            }),
            Self::Passphrase { current, cost, salt, nonce, keys } => serde_json::to_vec(&PassphraseV1 {
                format,
                version,
                source: "passphrase".to_owned(),
                current,
                argon2id: Argon2idV1 {
                    memory_kib: cost.memory_kib,
                    passes: cost.passes,
                    lanes: LANES,
                    salt: encode(&salt),
                },
                algorithm: ALGORITHM.to_owned(),
                nonce: encode(&nonce),
                keys: encode(&keys),
            }),
        };
        json.map_err(|_| StoreError::Unavailable {
            what: "the keys file could not be written as JSON".to_owned(),
        })
    }

    /// # Errors
    /// [`StoreError::SealBroken`], [`StoreError::NewerFormat`].
    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self, StoreError> {
        let broken = || broken(path, "it is not a keys file, or was cut off");
        let newer = |found| Err(StoreError::NewerFormat { place: path.display().to_string(), found });
        let header: Header = serde_json::from_slice(json).map_err(|_| broken())?;
        if header.format != FORMAT {
            return Err(broken());
        }
        match (header.version, header.source.as_str()) {
            (VERSION, "keychain") => {
                let KeychainV1 { entry, current, .. } = serde_json::from_slice(json).map_err(|_| broken())?;
                Ok(Self::Keychain { entry, current })
            }
            (VERSION, "passphrase") => {
                let wire: PassphraseV1 = serde_json::from_slice(json).map_err(|_| broken())?;
                wire.read().ok_or_else(broken)
            }
            (version, source) => newer(format!("version {version}, keys from {source:.40?}")),
        }
    }
}

impl PassphraseV1 {
    fn read(self) -> Option<KeysFile> {
        let Argon2idV1 { memory_kib, passes, lanes, salt } = self.argon2id;
        let cost = Argon2Cost { memory_kib, passes };
        (lanes == LANES && cost.is_bearable() && self.algorithm == ALGORITHM).then_some(())?;
        Some(KeysFile::Passphrase {
            current: self.current,
            cost,
            salt: decode(&salt)?.try_into().ok()?,
            nonce: decode(&self.nonce)?.try_into().ok()?,
            keys: decode(&self.keys)?,
        })
    }
}

/// Opens the keys of a file of [`KeysFile::Passphrase`]. `None` for another passphrase, or when anything was changed.
/// Blocks for as long as the passphrase takes.
pub(super) fn open(
    passphrase: &Passphrase,
    (current, cost, salt): (&str, Argon2Cost, &[u8; SALT]),
    nonce: &[u8; NONCE],
    keys: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let key = passphrase.key(cost, salt)?;
    let mut keys = Zeroizing::new(keys.to_vec());
    let length =
        cipher::open(&key, nonce, bound(current, cost, salt).as_bytes(), &mut keys).map(|json| json.len());
    Ok(length.map(|length| {
        keys.truncate(length);
        keys
    }))
}

fn bound(current: &str, cost: Argon2Cost, salt: &[u8; SALT]) -> String {
    let Argon2Cost { memory_kib, passes } = cost;
    format!(
        "{FORMAT}\n{VERSION}\npassphrase\n{current}\n{memory_kib}\n{passes}\n{LANES}\n{}\n{ALGORITHM}\n",
        encode(salt)
    )
}

fn broken(path: &Path, what: &str) -> StoreError {
    StoreError::SealBroken { place: path.display().to_string(), what: what.to_owned() }
}
