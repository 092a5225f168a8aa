//! Logins kept in encrypted files: the same files, leases and durability as those of the plain file store, sealed with
//! one key for any number of logins of any size.

mod cipher;
mod encoding;
mod envelope;
mod gate;
mod key;
#[cfg(feature = "keyring")]
mod keychain;
mod keys;
mod keys_file;
mod passphrase;
mod ring;
mod rotation;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jeton_models::Secret;

use self::envelope::{Sealed, sealed_length};
pub use self::key::SealingKey;
use self::keys::{Keys, is_unknown_key};
pub use self::passphrase::Argon2Cost;
use self::passphrase::Passphrase;
use self::ring::Ring;
pub use self::rotation::Resealed;
use self::source::Source;
use crate::login_folder::{Envelope, FolderLease, LoginFolder, LoginList};
use crate::{
    LoginKey, LoginKeys, LoginRecord, Sharing, StoreDescription, StoreError, TokenLease, TokenStore, place,
};

/// Keeps each login in an encrypted file of its own, in one folder, for all processes of the user.
///
/// Whoever reads the files (a backup, a stolen disk, another program without the key) learns how many logins there are,
/// how large they are and when they were written, and nothing else: not the tokens, not the issuer, not the account. A file
/// that was changed, cut off, or put under the name of another login does not open.
///
/// Leases, durability, permissions and [what not to put it on](crate::FileStore#not-on) are those of
/// [`FileStore`](crate::FileStore). In the same folder the two would use the same names; each leaves the other's logins alone.
/// [`transfer`](crate::transfer) moves logins from one to the other.
///
/// # The key
///
/// | | |
/// |---|---|
#[cfg_attr(
    feature = "keyring",
    doc = "| [`with_keychain`](Self::with_keychain) | made at first use, and kept in the operating system's keychain: one small entry, however many logins |"
)]
/// | [`with_passphrase`](Self::with_passphrase) | made at first use, and kept in the folder, sealed with the passphrase by argon2id |
/// | [`with_key`](Self::with_key) | given by the program, which has a place for it |
///
/// The key is needed when the first file is read or written, not before: then the keychain is asked, or the passphrase
/// is worked on, once for each opened store. [`unlock`](Self::unlock) does it at once.
///
/// # When it does not open
///
/// [`StoreError::WrongSealingKey`], [`StoreError::SealingKeyLost`], [`StoreError::SealBroken`] and
/// [`StoreError::NotSealed`] leave the file as it is, byte for byte. None of them is [`StoreError::Damaged`]: a login that a
/// wrong key cannot open is there, and no new login and no log-out replaces it, until the right key is given or
/// somebody says [`put_away`](Self::put_away).
///
/// # What it does not do
///
/// - An older copy of a file, put back under its own name, opens: nothing here remembers what came after it.
/// - A program of the same user that may use the keychain, or sees the key, can open everything.
/// - A copy of the folder has the same key as its original: rotating the one leaves the other without.
///
/// # Files
///
/// Those of [`FileStore`](crate::FileStore#files), and
///
/// | name | what |
/// |---|---|
/// | `sealing.json` | where the keys are, and which of them is current; not with a given key |
/// | `sealing.lock`, `rotation.lock`, `sealing.gate` | locks, never deleted |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
/// use jeton_storage::{LoginKey, LoginRecord, SealedStore, SealingKey, StoreError, TokenStore};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("sealed");
/// let sealing_key = SealingKey::generate()?; // the first time; from then on from where the program keeps it
/// let store = SealedStore::with_key(&folder, sealing_key.clone());
/// let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
///
/// let mut lease = store.lease(&key, Duration::from_secs(5)).await?;
/// lease.save(&LoginRecord::new(key.clone(), SystemTime::now())).await?;
/// drop(lease);
///
/// // Another process that has the key:
/// assert!(SealedStore::with_key(&folder, sealing_key).load(&key).await?.is_some());
/// // And one that has not:
/// let stranger = SealedStore::with_key(&folder, SealingKey::generate()?);
/// assert!(matches!(stranger.load(&key).await, Err(StoreError::WrongSealingKey { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealedStore {
    keys: Arc<Keys>,
}

impl SealedStore {
    /// A store in that folder, sealed with that key. Nothing is touched until the first operation.
    ///
    /// To change the key, open with the new one, name the old one in [`with_previous_keys`](Self::with_previous_keys), and
    /// call [`reseal_all`](Self::reseal_all).
    pub fn with_key(folder: impl AsRef<Path>, key: SealingKey) -> Self {
        Self::new(folder.as_ref(), Source::Given(key))
    }

    /// A store in that folder whose keys are sealed with a passphrase, by argon2id at [`Argon2Cost::default`]: 64 MiB, and
    /// about 0.1 s once for each opened store. Nothing is touched until the first operation.
    ///
    /// The passphrase is taken byte for byte: two Unicode spellings of a letter are two passphrases. It is as good as it is
    /// hard to guess: whoever has the files may try as often as they like.
    pub fn with_passphrase(folder: impl AsRef<Path>, passphrase: Secret) -> Self {
        Self::with_passphrase_of_cost(folder, passphrase, Argon2Cost::default())
    }

    /// The same at another cost. It counts when the folder gets its first login, and in
    /// [`change_passphrase`](Self::change_passphrase); from then on it stands in the folder.
    pub fn with_passphrase_of_cost(folder: impl AsRef<Path>, passphrase: Secret, cost: Argon2Cost) -> Self {
        let passphrase = Passphrase::new(passphrase, cost);
        Self::new(folder.as_ref(), Source::Passphrase(Arc::new(passphrase)))
    }

    /// A store in that folder whose keys are kept in the operating system's keychain, in one entry of that service: a
    /// name by which people recognise the program. Nothing is touched until the first operation.
    ///
    /// [`StoreError::NoKeychain`], [`StoreError::Locked`] and [`StoreError::TimedOut`] tell when the keychain cannot be asked; a
    /// key is made only if it is certain that there is none and that nothing is sealed yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if some keychain could not take the name.
    #[cfg(feature = "keyring")]
    pub fn with_keychain(folder: impl AsRef<Path>, service: &str) -> Result<Self, StoreError> {
        let keychain = crate::keyring::keychain::Keychain::open(service)?;
        Ok(Self::new(folder.as_ref(), Source::Keychain(Arc::new(keychain))))
    }

    /// The folder that the platform has for such data, for the programs of this user that use jeton: `sealed` beside the
    /// `logins` of [`FileStore::at_default_place`](crate::FileStore::at_default_place).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the user has no home folder.
    pub fn default_folder() -> Result<PathBuf, StoreError> {
        Ok(place::state_folder()?.join("sealed"))
    }

    /// Also opens, and never seals, with those keys: what they sealed is sealed with the store's own key when it is next
    /// saved, or by [`reseal_all`](Self::reseal_all).
    #[must_use]
    pub fn with_previous_keys(self, keys: impl IntoIterator<Item = SealingKey>) -> Self {
        let previous = self.keys.previous.iter().cloned().chain(keys).collect();
        Self { keys: Arc::new(Keys::new(self.keys.folder.clone(), self.keys.source.clone(), previous)) }
    }

    fn new(folder: &Path, source: Source) -> Self {
        Self { keys: Arc::new(Keys::new(LoginFolder::new(folder), source, Vec::new())) }
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        self.keys.folder.path()
    }

    /// Asks the keychain, or works on the passphrase, now instead of at the first login, so that a wrong passphrase is
    /// found before anything depends on it. Makes the first key if the folder has none.
    ///
    /// A given key cannot be told right from wrong without a login: this then only finds a folder that is sealed otherwise.
    ///
    /// # Errors
    /// [`StoreError::WrongSealingKey`], [`StoreError::SealingKeyLost`], and what keeps the keychain or folder from being used.
    pub async fn unlock(&self) -> Result<(), StoreError> {
        self.keys.ready().await
    }

    /// Makes a new key current and seals every login with it, one after another under its lease, for each of which
    /// it waits at most until the deadline. The old key is dropped when no login needs it any more.
    ///
    /// Other processes may read and write meanwhile, and take the new key up by themselves. If this one dies at any point,
    /// everything opens as before; calling it again finishes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the key was given by the program; what keeps the new key from being kept: then the old
    /// one goes on. Logins that could not be sealed anew are no error, but stand in the answer, and keep the old key.
    pub async fn rotate_key(&self, deadline: Duration) -> Result<Resealed, StoreError> {
        rotation::rotate(&self.keys, deadline).await
    }

    /// Seals every login with the current key that is not: what [`rotate_key`](Self::rotate_key) does after it has
    /// made one, for keys that the program gives and after a rotation that could not finish.
    ///
    /// # Errors
    /// As [`rotate_key`](Self::rotate_key).
    pub async fn reseal_all(&self, deadline: Duration) -> Result<Resealed, StoreError> {
        rotation::reseal_all(&self.keys, deadline).await
    }

    /// Seals the keys with another passphrase, and gives the store that has it. The logins stay as they are. Whoever knows
    /// the old passphrase and has an old copy of the folder can open that, and what is sealed later with the
    /// same key: [`rotate_key`](Self::rotate_key) ends the latter.
    ///
    /// # Errors
    /// [`StoreError::WrongSealingKey`] if the old passphrase is wrong; [`StoreError::Unavailable`] if the store has none.
    pub async fn change_passphrase(
        &self,
        new: Secret,
        cost: Argon2Cost,
        deadline: Duration,
    ) -> Result<Self, StoreError> {
        let new = Arc::new(Passphrase::new(new, cost));
        rotation::change_passphrase(&self.keys, Arc::clone(&new), deadline).await?;
        let Keys { folder, previous, .. } = &*self.keys;
        Ok(Self { keys: Arc::new(Keys::new(folder.clone(), Source::Passphrase(new), previous.clone())) })
    }

    /// Moves the file of that login, whatever is in it, out of the way of a new login, under a name that is told. For
    /// what will never open again; nothing else does this. `None` if there is no file.
    ///
    /// # Errors
    /// [`StoreError::LeaseTimeout`] after the deadline; what keeps the file from being renamed.
    pub async fn put_away(&self, key: &LoginKey, deadline: Duration) -> Result<Option<PathBuf>, StoreError> {
        self.keys.folder.lease(key, deadline).await?.put_away().await
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore").field("path", &self.path()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for SealedStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.keys.open(|envelope| self.keys.folder.load(key, envelope)).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let lease = self.keys.folder.lease(key, deadline).await?;
        Ok(Box::new(SealedLease { lease, keys: Arc::clone(&self.keys), writing: None }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        let ring = self.keys.known();
        let envelope = Arc::new(Sealed::new(Arc::clone(&ring)));
        Box::new(SealedKeys {
            list: self.keys.folder.list(envelope),
            keys: Arc::clone(&self.keys),
            ring,
            unknown: None,
        })
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription {
            location: self.path().display().to_string(),
            persistent: true,
            encrypted: true,
            shared_with: Sharing::User,
            ..StoreDescription::new("sealed file")
        }
    }
}

impl Keys {
    /// Does what opens files, with the keys that are known; and once more if that asked for one that is not.
    async fn open<T, F>(&self, operation: impl Fn(Arc<dyn Envelope>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let seen = self.known();
        match operation(Arc::new(Sealed::new(Arc::clone(&seen)))).await {
            Err(error) if is_unknown_key(&error) => {
                let ring = self.newer_than(&seen).await?;
                match Arc::ptr_eq(&ring, &seen) {
                    true => Err(error),
                    false => operation(Arc::new(Sealed::new(ring))).await,
                }
            }
            result => result,
        }
    }
}

struct SealedLease {
    lease: FolderLease,
    keys: Arc<Keys>,
    /// The keys of this lease's writes, from the first one on: the current key cannot change until it ends.
    writing: Option<Arc<Sealed>>,
}

impl SealedLease {
    async fn writing(&mut self) -> Result<Arc<Sealed>, StoreError> {
        if let Some(writing) = &self.writing {
            return Ok(Arc::clone(writing));
        }
        let (ring, gate) = self.keys.for_writing().await?;
        Ok(Arc::clone(self.writing.insert(Arc::new(Sealed::for_writing(ring, gate)))))
    }
}

#[async_trait]
impl TokenLease for SealedLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.keys.open(|envelope| self.lease.load(envelope)).await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        // The key first: without it there would be nothing to save with.
        let sealed = self.writing().await?;
        self.lease.reserve(sealed, sealed_length(bytes)).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        let sealed = self.writing().await?;
        let wrap = {
            let sealed = Arc::clone(&sealed);
            move |json: zeroize::Zeroizing<Vec<u8>>, digest: &str| sealed.seal(&json, digest)
        };
        self.lease.save(sealed, record, wrap).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.keys.open(|envelope| self.lease.delete(envelope)).await
    }
}

/// A listing under way.
struct SealedKeys {
    list: LoginList,
    keys: Arc<Keys>,
    ring: Arc<Ring>,
    /// A file that asked for a key that was not known, kept until it was read again: a dropped `next` loses none.
    unknown: Option<(String, StoreError)>,
}

#[async_trait]
impl LoginKeys for SealedKeys {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        loop {
            if let Some((file_name, error)) = self.unknown.clone() {
                let read_again = self.read_again(&file_name, error).await;
                self.unknown = None;
                match read_again {
                    Ok(None) => {}
                    found => return found.transpose(),
                }
            }
            let listed = self.list.next().await?;
            match (listed.key, listed.file_name) {
                (Err(error), Some(file_name)) if is_unknown_key(&error) => {
                    self.unknown = Some((file_name, error));
                }
                (key, _) => return Some(key),
            }
        }
    }
}

impl SealedKeys {
    /// The key in a file, with the newest keys; what is listed after it is read with them too.
    async fn read_again(
        &mut self,
        file_name: &str,
        error: StoreError,
    ) -> Result<Option<LoginKey>, StoreError> {
        let ring = self.keys.newer_than(&self.ring).await?;
        if Arc::ptr_eq(&ring, &self.ring) {
            return Err(error);
        }
        self.ring = Arc::clone(&ring);
        let envelope: Arc<dyn Envelope> = Arc::new(Sealed::new(ring));
        self.list.use_envelope(Arc::clone(&envelope)).await?;
        self.list.read_again(file_name, envelope).await
    }
}
