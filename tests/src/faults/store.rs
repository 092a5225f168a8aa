//! The stores that can be put under test: whatever processes can share.

use std::path::PathBuf;
use std::sync::Arc;

use jeton_storage::{FileStore, TokenStore};
use serde::{Deserialize, Serialize};

/// Which kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Plain files.
    File,
}

impl StoreKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::File];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
        }
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
    match spec.kind {
        StoreKind::File => Arc::new(FileStore::new(&spec.folder)),
    }
}
