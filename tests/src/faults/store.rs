//! The stores that can be put under test: whatever processes can share.

use std::path::PathBuf;
use std::sync::Arc;

use jeton_storage::{FileStore, KeyringStore, SealedStore, SealingKey, TokenStore};
use serde::{Deserialize, Serialize};

/// The lab's sealing key. Each worker has to have it, and there is nothing to hide.
const SEALING_KEY: &[u8; SealingKey::LENGTH] = b"the fault lab hides nothing here";

/// Which kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Plain files.
    File,
    /// Sealed files, with a key that everybody has.
    Sealed,
    /// Sealed files, with a key in the keychain.
    SealedKeychain,
    /// The keychain.
    Keyring,
}

impl StoreKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::File, Self::Sealed, Self::SealedKeychain, Self::Keyring];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Sealed => "sealed",
            Self::SealedKeychain => "sealed-keychain",
            Self::Keyring => "keyring",
        }
    }

    /// Whether a keychain has to be there.
    pub(super) fn needs_keychain(self) -> bool {
        matches!(self, Self::SealedKeychain | Self::Keyring)
    }
}

/// A store that several processes open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreSpec {
    /// Which kind.
    pub kind: StoreKind,
    /// Where it keeps its files.
    pub folder: PathBuf,
}

/// Opens it, in whichever process.
pub fn open_store(spec: &StoreSpec) -> Arc<dyn TokenStore> {
    const SERVICE: &str = "jeton-fault-lab";
    match spec.kind {
        StoreKind::File => Arc::new(FileStore::new(&spec.folder)),
        StoreKind::Sealed => {
            let key = SealingKey::from_bytes(SEALING_KEY).expect("a key");
            Arc::new(SealedStore::with_key(&spec.folder, key))
        }
        StoreKind::SealedKeychain => {
            Arc::new(SealedStore::with_keychain(&spec.folder, SERVICE).expect("a name that keychains take"))
        }
        StoreKind::Keyring => {
            let builder = KeyringStore::builder().service(SERVICE).lock_folder(&spec.folder);
            Arc::new(builder.open().expect("a name that keychains take"))
        }
    }
}
