//! Another key: made, made current, every login sealed again with it, the old one dropped when nothing needs it any more.
//! At each moment between, every login opens with a key that is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::envelope::{Sealed, key_id_of};
use super::gate;
use super::key::SealingKey;
use super::keys::{Keys, forget, keep_in_keychain};
use super::keys_file::KeysFile;
use super::passphrase::Passphrase;
use super::ring::Ring;
use super::source::Source;
use crate::lock::Lock;
use crate::{StoreError, blocking};

/// The lock under which keys are changed.
const ROTATION: &str = "rotation";

/// What became of the logins of a store whose key was changed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resealed {
    /// How many logins were sealed anew.
    pub resealed: usize,
    /// The files that could not be, as they are, and why: in use for too long, damaged, sealed with a key that is not known.
    pub failed: Vec<(PathBuf, StoreError)>,
    /// Whether every login in the folder is sealed with the current key now. Older keys are needed until it is so: a
    /// store keeps its own; those given to `with_previous_keys` must go on being given.
    pub is_complete: bool,
}

/// Makes a new key current and seals everything with it.
pub(super) async fn rotate(keys: &Keys, deadline: Duration) -> Result<Resealed, StoreError> {
    if matches!(keys.source, Source::Given(_)) {
        return Err(StoreError::Unavailable {
            what: "the key of this store is given by the program, which therefore has to change it: open the store with a \
                   new key and `with_previous_keys`, and call `reseal_all`"
                .to_owned(),
        });
    }
    keys.ready().await?;
    let rotating = Arc::new(keys.folder.locks().lock(ROTATION, deadline).await?);
    let (file, old) = keys.kept().await?;
    let ring = Ring::new(&SealingKey::generate()?, old.keys().cloned());
    keep(keys, &file, ring, Some(deadline), &rotating).await?;
    reseal(keys, deadline, &rotating).await
}

/// Seals everything with the key that is current.
pub(super) async fn reseal_all(keys: &Keys, deadline: Duration) -> Result<Resealed, StoreError> {
    keys.ready().await?;
    let rotating = Arc::new(keys.folder.locks().lock(ROTATION, deadline).await?);
    reseal(keys, deadline, &rotating).await
}

/// Seals the keys with another passphrase. The keys, and so all logins, stay as they are.
pub(super) async fn change_passphrase(
    keys: &Keys,
    new: Arc<Passphrase>,
    deadline: Duration,
) -> Result<(), StoreError> {
    let Source::Passphrase(_) = &keys.source else {
        return Err(StoreError::Unavailable {
            what: format!(
                "the logins are sealed with {}: there is no passphrase to change",
                keys.source.name()
            ),
        });
    };
    if new.is_empty() {
        return Err(StoreError::Unavailable { what: "the new passphrase is empty".to_owned() });
    }
    keys.ready().await?;
    let rotating = Arc::new(keys.folder.locks().lock(ROTATION, deadline).await?);
    let (_, ring) = keys.kept().await?;
    let sealed = blocking::run(move || KeysFile::sealed(&ring, &new)).await?;
    keys.write_file(&sealed, rotating).await
}

/// Keeps that ring where this store keeps its keys. With a deadline, its first key becomes the current one, for which all
/// writers are waited for.
async fn keep(
    keys: &Keys,
    file: &KeysFile,
    ring: Ring,
    deadline: Option<Duration>,
    rotating: &Arc<Lock>,
) -> Result<(), StoreError> {
    let next = match (&keys.source, file) {
        // The keychain before the file, which names an entry that must be there.
        (Source::Keychain(place), KeysFile::Keychain { .. }) => keep_in_keychain(&**place, &ring).await?,
        (Source::Passphrase(passphrase), KeysFile::Passphrase { cost, salt, .. }) => {
            let (passphrase, ring, cost, salt) = (Arc::clone(passphrase), ring.clone(), *cost, *salt);
            blocking::run(move || KeysFile::sealed_again(&ring, &passphrase, cost, salt)).await?
        }
        _ => return Ok(()),
    };
    let rotating = Arc::clone(rotating);
    let written = match deadline {
        Some(deadline) => match gate::close(keys.folder.private(), deadline).await {
            Ok(alone) => keys.write_file(&next, (alone, rotating)).await,
            Err(error) => Err(error),
        },
        None => keys.write_file(&next, rotating).await,
    };
    let unneeded = match &written {
        Ok(()) => file,
        // Unless the file names it: what failed may be only to make its new name durable.
        Err(_) => match keys.read_file().await {
            Ok(Some(named)) if named != next => &next,
            _ => return written,
        },
    };
    if let (Source::Keychain(place), KeysFile::Keychain { entry, .. }) = (&keys.source, unneeded) {
        forget(&**place, entry).await;
    }
    written?;
    keys.set_known(ring);
    Ok(())
}

/// Only under the lock of rotation.
async fn reseal(keys: &Keys, deadline: Duration, rotating: &Arc<Lock>) -> Result<Resealed, StoreError> {
    // With the keys as they are now; no other key becomes current meanwhile.
    let (file, kept, ring) = match keys.source {
        Source::Given(_) => (None, 1, keys.known()),
        _ => {
            let (file, ring) = keys.kept().await?;
            (Some(file), ring.keys().count(), keys.set_known(ring))
        }
    };
    let (mut resealed, mut failed) = (0, Vec::new());
    for name in sealed_otherwise(keys, &ring).await? {
        match reseal_file(keys, &ring, &name, deadline).await {
            Ok(true) => resealed += 1,
            Ok(false) => {}
            Err(error) => failed.push((keys.folder.private().path_of(&name), error)),
        }
    }
    // Looked at anew: nobody can have written with an older key meanwhile, but a backup may have been put back.
    let is_complete = sealed_otherwise(keys, &ring).await?.is_empty();
    if let Some(file) = file
        && is_complete
        && kept > 1
        && let Some(current) = ring.current()
    {
        keep(keys, &file, Ring::new(current, []), None, rotating).await?;
    }
    Ok(Resealed { resealed, failed, is_complete })
}

async fn reseal_file(
    keys: &Keys,
    ring: &Arc<Ring>,
    name: &str,
    deadline: Duration,
) -> Result<bool, StoreError> {
    let lease = keys.folder.lease_of_file(name, deadline).await?;
    let sealed = Sealed::new(Arc::clone(ring));
    lease
        .rewrite(move |old, digest, path| {
            if key_id_of(old, path)? == sealed.ring.current_id() {
                return Ok(None);
            }
            // What is inside is not looked at: it may be from a newer version.
            let record = sealed.unseal(old, digest, path)?;
            sealed.seal(&record, digest).map(Some)
        })
        .await
}

/// The login files that are not sealed with the current key, or cannot be read. Plain ones are not ours.
async fn sealed_otherwise(keys: &Keys, ring: &Arc<Ring>) -> Result<Vec<String>, StoreError> {
    let (folder, current) = (keys.folder.clone(), ring.current_id().to_owned());
    blocking::run(move || {
        let mut otherwise = Vec::new();
        for name in folder.file_names()? {
            let Some(contents) = folder.private().read(&name)? else { continue };
            match key_id_of(&contents, &folder.private().path_of(&name)) {
                Ok(id) if id == current => {}
                Err(StoreError::NotSealed { .. }) => {}
                _ => otherwise.push(name),
            }
        }
        Ok(otherwise)
    })
    .await
}
