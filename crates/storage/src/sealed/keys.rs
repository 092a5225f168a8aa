//! The keys of one opened store: loaded when the first file asks for one, made when the first login is written, and
//! loaded again when a file names a key that is not known, which another process has made since.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::envelope::key_id_of;
use super::gate;
use super::key::{SealingKey, fill_random, hex};
use super::keys_file::{self, KeysFile};
use super::ring::Ring;
use super::source::{KeyPlace, Source};
use crate::login_folder::LoginFolder;
use crate::{StoreError, blocking};

/// How long to wait for a process that makes the first key, or makes another one current: both take milliseconds.
const MOMENT: Duration = Duration::from_secs(15);
/// The lock under which the first key is made.
const CREATION: &str = "sealing";

pub(crate) struct Keys {
    pub(super) folder: LoginFolder,
    pub(super) source: Source,
    /// Only to open with.
    pub(super) previous: Vec<SealingKey>,
    known: RwLock<Arc<Ring>>,
    /// Held while keys are loaded: who comes second finds them.
    loading: Mutex<()>,
}

impl Keys {
    pub(super) fn new(folder: LoginFolder, source: Source, previous: Vec<SealingKey>) -> Self {
        let known = match &source {
            Source::Given(key) => Ring::new(key, previous.clone()),
            _ => Ring::default(),
        };
        Self { folder, source, previous, known: RwLock::new(Arc::new(known)), loading: Mutex::new(()) }
    }

    /// The keys as far as they are known.
    pub(super) fn known(&self) -> Arc<Ring> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_known(&self, mut ring: Ring) -> Arc<Ring> {
        ring.add(self.previous.iter().cloned());
        let ring = Arc::new(ring);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ring);
        ring
    }

    /// The keys as they are now, for somebody whom those that he `saw` did not help. The same ones if there can be no
    /// others.
    pub(super) async fn newer_than(&self, seen: &Arc<Ring>) -> Result<Arc<Ring>, StoreError> {
        let _loading = self.loading.lock().await;
        let known = self.known();
        if matches!(self.source, Source::Given(_)) || !Arc::ptr_eq(&known, seen) {
            return Ok(known);
        }
        match self.read_file().await? {
            Some(_) => self.load().await,
            // Nothing was ever sealed here by this kind of store, and what was sealed otherwise may open with those.
            None if !self.previous.is_empty() => Ok(self.set_known(Ring::default())),
            None => Err(self.keys_file_lost()),
        }
    }

    /// Makes the first key if there is none, and loads the keys.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        if matches!(self.source, Source::Given(_)) {
            return self.refuse_keys_file().await;
        }
        if self.read_file().await?.is_none() {
            self.begin(None).await?;
        }
        self.for_writing().await.map(drop)
    }

    /// The keys to write with, and the passage that keeps the current one current.
    pub(super) async fn for_writing(&self) -> Result<(Arc<Ring>, Option<Arc<gate::Shared>>), StoreError> {
        if matches!(self.source, Source::Given(_)) {
            self.refuse_keys_file().await?;
            return Ok((self.known(), None));
        }
        // Before the gate: nobody waits inside of it.
        if self.read_file().await?.is_none() {
            self.begin(None).await?;
        }
        let passage = gate::pass(self.folder.private(), MOMENT).await?;
        let file = self.read_file().await?.ok_or_else(|| self.keys_file_lost())?;
        let known = self.known();
        if known.current_id() == file.current() && known.current().is_some() {
            return Ok((known, Some(Arc::new(passage))));
        }
        let loading = self.loading.lock().await;
        let ring = match self.load().await {
            Err(StoreError::SealingKeyLost { .. }) if self.nothing_is_sealed().await? => {
                // The keychain was emptied, and nothing is lost by it. Both are let go of first: the change waits for
                // everybody inside of the gate, where some wait to load.
                drop((loading, passage));
                return self.begin_anew(&file).await;
            }
            ring => ring?,
        };
        Ok((ring, Some(Arc::new(passage))))
    }

    /// Makes a key in the place of one that was lost and that nothing was sealed with, and passes with it.
    async fn begin_anew(
        &self,
        lost: &KeysFile,
    ) -> Result<(Arc<Ring>, Option<Arc<gate::Shared>>), StoreError> {
        self.begin(Some(lost)).await?;
        let passage = gate::pass(self.folder.private(), MOMENT).await?;
        let _loading = self.loading.lock().await;
        Ok((self.load().await?, Some(Arc::new(passage))))
    }

    /// Makes the first key, or the first after the one that was `lost`. Nothing is done if somebody else was first, or
    /// if something was sealed with the lost one after all.
    ///
    /// # Errors
    /// [`StoreError::SealingKeyLost`] if something is sealed and there is no keys file.
    async fn begin(&self, lost: Option<&KeysFile>) -> Result<(), StoreError> {
        let creating = self.folder.locks().lock(CREATION, MOMENT).await?;
        if !self.is_to_begin(lost).await? {
            return Ok(());
        }
        let ring = Ring::new(&SealingKey::generate()?, []);
        let file = match &self.source {
            Source::Given(_) => return Ok(()),
            Source::Keychain(place) => keep_in_keychain(&**place, &ring).await?,
            Source::Passphrase(passphrase) => {
                let (passphrase, ring) = (Arc::clone(passphrase), ring.clone());
                blocking::run(move || KeysFile::sealed(&ring, &passphrase)).await?
            }
        };
        // A program that has the lost key in memory may be sealing with it: what it writes is looked for when it is done.
        let alone = match gate::close(self.folder.private(), MOMENT).await {
            Ok(alone) => self.is_to_begin(lost).await.map(|is_to_begin| is_to_begin.then_some(alone)),
            Err(error) => Err(error),
        };
        if !matches!(alone, Ok(Some(_)))
            && let (Source::Keychain(place), KeysFile::Keychain { entry, .. }) = (&self.source, &file)
        {
            forget(&**place, entry).await;
        }
        if let Some(alone) = alone? {
            self.write_file(&file, (alone, creating)).await?;
            self.set_known(ring);
        }
        Ok(())
    }

    /// Whether the keys file is still the `lost` one, or still not there, and nothing is sealed.
    async fn is_to_begin(&self, lost: Option<&KeysFile>) -> Result<bool, StoreError> {
        if self.read_file().await?.as_ref() != lost {
            return Ok(false);
        }
        match (self.nothing_is_sealed().await?, lost) {
            (false, None) => Err(self.keys_file_lost()),
            (nothing_is_sealed, _) => Ok(nothing_is_sealed),
        }
    }

    /// Loads the keys that the keys file speaks of now, for this store to use.
    async fn load(&self) -> Result<Arc<Ring>, StoreError> {
        let (_, ring) = self.kept().await?;
        Ok(self.set_known(ring))
    }

    /// The keys file and the keys that it speaks of, as they are now.
    pub(super) async fn kept(&self) -> Result<(KeysFile, Ring), StoreError> {
        let mut file = self.read_file().await?.ok_or_else(|| self.keys_file_lost())?;
        loop {
            match self.kept_ring(&file).await {
                // Somebody else may have put the keys into another entry since the file was read.
                Err(error @ StoreError::SealingKeyLost { .. }) => match self.read_file().await? {
                    Some(newer) if newer != file => file = newer,
                    _ => return Err(error),
                },
                ring => return Ok((file, ring?)),
            }
        }
    }

    /// The keys that the keys file speaks of.
    async fn kept_ring(&self, file: &KeysFile) -> Result<Ring, StoreError> {
        let path = self.folder.private().path_of(keys_file::NAME);
        let (json, from) = match (&self.source, file) {
            (Source::Keychain(place), KeysFile::Keychain { entry, .. }) => {
                let lost = || StoreError::SealingKeyLost {
                    folder: self.folder.path().to_owned(),
                    what: format!("{} has no entry {entry:?} any more", place.name()),
                };
                let json = place.get(entry).await?.filter(|json| !json.is_empty()).ok_or_else(lost)?;
                (json, format!("the entry {entry:?} of {}", place.name()))
            }
            (Source::Passphrase(passphrase), KeysFile::Passphrase { .. }) => {
                let (passphrase, file) = (Arc::clone(passphrase), file.clone());
                let opened = blocking::run(move || match &file {
                    KeysFile::Passphrase { current, cost, salt, nonce, keys } => {
                        keys_file::open(&passphrase, (current, *cost, salt), nonce, keys)
                    }
                    KeysFile::Keychain { .. } => Ok(None),
                });
                let wrong = || StoreError::WrongSealingKey {
                    place: path.display().to_string(),
                    what: "another passphrase, unless the file was changed".to_owned(),
                };
                (opened.await?.ok_or_else(wrong)?, path.display().to_string())
            }
            (source, file) => return Err(self.other_source(source, file)),
        };
        let broken = |what: &str| StoreError::SealBroken { place: from.clone(), what: what.to_owned() };
        let ring = Ring::from_json(&json).map_err(broken)?;
        ring.with_current(file.current()).ok_or_else(|| StoreError::SealingKeyLost {
            folder: self.folder.path().to_owned(),
            what: format!("{from} does not hold the key {} (an old copy put back?)", file.current()),
        })
    }

    pub(super) async fn read_file(&self) -> Result<Option<KeysFile>, StoreError> {
        let folder = self.folder.private().clone();
        blocking::run(move || {
            if !folder.exists()? {
                return Ok(None);
            }
            let path = folder.path_of(keys_file::NAME);
            folder.read(keys_file::NAME)?.map(|json| KeysFile::from_json(&json, &path)).transpose()
        })
        .await
    }

    /// Replaces the keys file under those `locks`, which are let go of afterwards: the write goes on when the future is
    /// dropped, and so do they.
    pub(super) async fn write_file(
        &self,
        file: &KeysFile,
        locks: impl Send + 'static,
    ) -> Result<(), StoreError> {
        let (folder, json) = (self.folder.private().clone(), file.to_json()?);
        blocking::run(move || {
            let _locks = locks;
            folder.create()?;
            folder.replace(keys_file::NAME, &json)
        })
        .await
    }

    /// A given key must not mix with those of a keychain or passphrase, whose store could then not read its logins.
    pub(super) async fn refuse_keys_file(&self) -> Result<(), StoreError> {
        match self.read_file().await? {
            None => Ok(()),
            Some(file) => Err(self.other_source(&self.source, &file)),
        }
    }

    /// Whether no login in the folder is sealed, but with keys that are known.
    async fn nothing_is_sealed(&self) -> Result<bool, StoreError> {
        let (folder, previous) =
            (self.folder.clone(), self.previous.iter().map(SealingKey::id).collect::<Vec<_>>());
        blocking::run(move || {
            for name in folder.file_names()? {
                let path = folder.private().path_of(&name);
                let Some(contents) = folder.private().read(&name)? else { continue };
                match key_id_of(&contents, &path) {
                    Ok(id) if previous.contains(&id) => {}
                    Err(StoreError::NotSealed { .. }) => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        })
        .await
    }

    pub(super) fn keys_file_lost(&self) -> StoreError {
        StoreError::SealingKeyLost {
            folder: self.folder.path().to_owned(),
            what: format!("{} is gone, or they were sealed with a key that a program gave", keys_file::NAME),
        }
    }

    fn other_source(&self, source: &Source, file: &KeysFile) -> StoreError {
        let used = match file {
            KeysFile::Keychain { .. } => "a key in the keychain",
            KeysFile::Passphrase { .. } => "a passphrase",
        };
        StoreError::WrongSealingKey {
            place: self.folder.path().display().to_string(),
            what: format!("with {used}, and this store was opened with {}", source.name()),
        }
    }
}

/// Puts the keys into an entry of their own, looks whether they are there, and gives the file that names it.
///
/// Never into one that is there: a write that was given up at its deadline may still happen, and must not overwrite
/// newer keys. And an entry for each folder: two that shared one would drop each other's keys. What a death leaves
/// behind is an entry that nobody needs.
pub(super) async fn keep_in_keychain(place: &dyn KeyPlace, ring: &Ring) -> Result<KeysFile, StoreError> {
    let mut name = [0; 8];
    fill_random(&mut name)?;
    let entry = format!("sealing-keys-{}", hex(&name));
    let json = ring.to_json();
    let kept = match place.set(&entry, json.clone()).await {
        Ok(()) => place.get(&entry).await.map(|found| found.is_some_and(|found| found == json)),
        Err(error) => Err(error),
    };
    match kept {
        Ok(true) => Ok(KeysFile::Keychain { entry, current: ring.current_id().to_owned() }),
        Ok(false) => Err(StoreError::Unavailable {
            what: format!("{} does not keep what it took: nothing was sealed with that key", place.name()),
        }),
        Err(error) => {
            forget(place, &entry).await;
            Err(error)
        }
    }
}

/// Removes an entry that nobody needs, if that can be done.
pub(super) async fn forget(place: &dyn KeyPlace, entry: &str) {
    if let Err(error) = place.delete(entry).await {
        tracing::debug!(entry, %error, "an entry with keys that nobody needs is left in the keychain");
    }
}

/// Names what a file is sealed with, in the words of this store.
pub(super) fn is_unknown_key(error: &StoreError) -> bool {
    matches!(error, StoreError::WrongSealingKey { .. })
}
