//! Logins kept in files of plain text, one for each, in a folder that only its owner may enter.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::login_folder::{Envelope, FolderLease, LoginFolder, LoginList};
use crate::{
    LoginKey, LoginKeys, LoginRecord, Sharing, StoreDescription, StoreError, TokenLease, TokenStore, format,
    place,
};

/// Keeps each login in a file of its own, in one folder, for all processes of the user.
///
/// The files are plain text: whoever can read the user's files can read the tokens. On Unix the folder has mode 0700
/// and the files 0600; anything wider, another owner, or a symbolic link in the place of the folder or of a file is
/// an error that says how to mend it, and then nothing is read. On Windows keep to the default place, or to another
/// folder that is the user's alone.
///
/// # Files
///
/// `<login>` is `login-` followed by [`LoginKey::digest`].
///
/// | name | what |
/// |---|---|
/// | `<login>.json` | the record |
/// | `<login>.tmp` | the next record while it is written, or the room reserved for it; only the holder of the lease touches it |
/// | `<login>.lock` | the OS lock; empty, never deleted |
/// | `<login>.holder` | who holds the lease, for messages; removed with it, and not believed if its writer was killed (on Windows until the next takes the lease) |
/// | `<login>.damaged` | a record that could not be read, set aside; while it is there and no record is, every load says so |
/// | `<login>.damaged-<Unix time>` | the same after a new login or a log-out settled it; kept as evidence, yours to delete |
///
/// # Cost
///
/// Load, save and lease make a fixed number of system calls, however many logins there are: nothing but a listing reads
/// the folder, which holds two files for each login (the file systems of today find a name among hundreds of thousands
/// by a tree), and one of no length for each that is gone. A save syncs twice.
/// [`reserve`](TokenLease::reserve) writes and syncs the room once more; on file systems that copy on write (btrfs,
/// ZFS) no reservation can be had for certain, by this or any other means.
///
/// # Not on
///
/// Folders that several machines share (NFS, SMB): their locks are not to be relied upon.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
/// use jeton_storage::{FileStore, LoginKey, LoginRecord, TokenStore};
///
/// # let folder = tempfile::tempdir()?;
/// let store = FileStore::new(folder.path().join("logins"));
/// let key = LoginKey::new(&"https://as.example".parse()?, "my-client");
///
/// let mut lease = store.lease(&key, Duration::from_secs(5)).await?;
/// lease.save(&LoginRecord::new(key.clone(), SystemTime::now())).await?;
/// drop(lease);
///
/// // Another process, or this one tomorrow:
/// let store = FileStore::new(folder.path().join("logins"));
/// assert!(store.load(&key).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileStore {
    folder: LoginFolder,
}

impl FileStore {
    /// A store in that folder. Nothing is touched until the first operation; the first lease creates the folder, with
    /// mode 0700, and the parents that are missing.
    ///
    /// A relative path is taken from the current folder at the time of this call.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: LoginFolder::new(folder.as_ref()) }
    }

    /// A store in the place that the platform has for such data, shared by all programs of the user that use jeton:
    ///
    /// | | |
    /// |---|---|
    /// | Linux and other Unix | `$XDG_STATE_HOME/jeton/logins`, or `~/.local/state/jeton/logins` |
    /// | macOS | `~/Library/Application Support/jeton/logins` |
    /// | Windows | `%LOCALAPPDATA%\jeton\logins` |
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the user has no home folder.
    pub fn at_default_place() -> Result<Self, StoreError> {
        Ok(Self::new(place::state_folder()?.join("logins")))
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path()).finish()
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.folder.load(key, plain()).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        Ok(Box::new(FileLease(self.folder.lease(key, deadline).await?)))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        Box::new(FileKeys(self.folder.list(plain())))
    }

    fn describe(&self) -> StoreDescription {
        StoreDescription {
            location: self.path().display().to_string(),
            persistent: true,
            shared_with: Sharing::User,
            ..StoreDescription::new("file")
        }
    }
}

/// The record as it is.
struct Plain;

fn plain() -> Arc<dyn Envelope> {
    Arc::new(Plain)
}

impl Envelope for Plain {
    fn open(&self, contents: &[u8], _digest: &str, path: &Path) -> Result<LoginRecord, StoreError> {
        format::read(contents).map_err(|error| StoreError::from_record(error, path.display()))
    }
}

struct FileLease(FolderLease);

#[async_trait]
impl TokenLease for FileLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.0.load(plain()).await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.0.reserve(plain(), bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        self.0.save(plain(), record, |json, _| Ok(json)).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.0.delete(plain()).await
    }
}

struct FileKeys(LoginList);

#[async_trait]
impl LoginKeys for FileKeys {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        self.0.next().await.map(|listed| listed.key)
    }
}
