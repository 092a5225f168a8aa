//! The marker of a program's folder, `store.json`: in which store its logins are. It is written before the first of them.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

use super::StoreKind;
use crate::lock::LockFolder;
use crate::private_folder::PrivateFolder;
use crate::time::unix_ms;
use crate::{StoreError, blocking};

/// The file's name.
pub(super) const NAME: &str = "store.json";
/// What is written to see whether the marker could be.
const ROOM: &str = "store.json.room";
const FORMAT: &str = "jeton-store-choice";
const VERSION: u64 = 1;
/// The lock under which it is written, and how long to wait for somebody who does.
const LOCK: &str = "choice";
const MOMENT: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marker {
    pub(super) kind: StoreKind,
    pub(super) since_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct MarkerV1 {
    format: String,
    version: u64,
    store: String,
    since_ms: u64,
}

impl Marker {
    pub(super) async fn read(folder: &PrivateFolder) -> Result<Option<Self>, StoreError> {
        let folder = folder.clone();
        blocking::run(move || read(&folder)).await
    }

    /// Notes that logins are kept in a store of that kind, unless that is noted; `instead_of` is what was noted when
    /// it was chosen.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if something else is noted by now, or if the store that was noted holds logins again.
    pub(super) async fn write(
        folder: &PrivateFolder,
        kind: StoreKind,
        instead_of: Option<&Self>,
    ) -> Result<(), StoreError> {
        under_lock(folder, kind, instead_of, |folder, json| folder.replace(NAME, json)).await
    }

    /// Whether [`write`](Self::write) would succeed now; writes something of the same size, and removes it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(super) async fn check(
        folder: &PrivateFolder,
        kind: StoreKind,
        instead_of: Option<&Self>,
    ) -> Result<(), StoreError> {
        under_lock(folder, kind, instead_of, |folder, json| {
            folder.replace(ROOM, json)?;
            folder.remove(ROOM)
        })
        .await
    }
}

/// Does that with the marker's new contents, unless it says the same already.
async fn under_lock(
    folder: &PrivateFolder,
    kind: StoreKind,
    instead_of: Option<&Marker>,
    put: impl FnOnce(&PrivateFolder, &[u8]) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let lock = LockFolder::new(folder.clone()).lock(LOCK, MOMENT).await?;
    let (folder, instead_of) = (folder.clone(), instead_of.cloned());
    blocking::run(move || {
        // In here, for this goes on if nobody waits for it any more.
        let _lock = lock;
        let found = read(&folder)?;
        if found.as_ref().is_some_and(|found| found.kind == kind) {
            return Ok(());
        }
        // Somebody may have stored a login since that one was found empty.
        let has_logins_again = match &instead_of {
            Some(old) if old.kind != kind => old.kind.has_files(&folder)?,
            _ => false,
        };
        if has_logins_again || (found.is_some() && found != instead_of) {
            return Err(StoreError::Unavailable {
                what: format!(
                    "another process of this program has kept its logins in another store since ({} says which): start this \
                     one again, which then takes the same",
                    folder.path_of(NAME).display()
                ),
            });
        }
        let marker = MarkerV1 {
            format: FORMAT.to_owned(),
            version: VERSION,
            store: kind.name().to_owned(),
            since_ms: unix_ms(SystemTime::now()),
        };
        let json = serde_json::to_vec(&marker)
            .map_err(|_| StoreError::Unavailable { what: "a marker could not be written as JSON".to_owned() })?;
        put(&folder, &json)
    })
    .await
}

fn read(folder: &PrivateFolder) -> Result<Option<Marker>, StoreError> {
    if !folder.exists()? {
        return Ok(None);
    }
    let Some(json) = folder.read(NAME)? else { return Ok(None) };
    let place = || folder.path_of(NAME).display().to_string();
    let broken = || StoreError::Unavailable {
        what: format!(
            "{} does not say in which store the logins are: remove it, and they are looked for",
            place()
        ),
    };
    let marker: MarkerV1 = serde_json::from_slice(&json).map_err(|_| broken())?;
    if marker.format != FORMAT {
        return Err(broken());
    }
    match StoreKind::of_name(&marker.store) {
        Some(kind) if marker.version == VERSION => Ok(Some(Marker { kind, since_ms: marker.since_ms })),
        _ => Err(StoreError::NewerFormat {
            place: place(),
            found: format!("version {}, store {:.40?}", marker.version, marker.store),
        }),
    }
}
