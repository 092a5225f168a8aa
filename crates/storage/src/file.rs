//! Logins kept in files, one for each, in a folder that only its owner may enter.
//! The lease is an OS lock; a save writes beside the file, syncs, renames and syncs the folder.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, ReadDir};
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::lock::{Lock, LockFolder};
use crate::private_folder::PrivateFolder;
use crate::time::unix_ms;
use crate::{
    LoginKey, LoginKeys, LoginRecord, Sharing, StoreDescription, StoreError, TokenLease, TokenStore,
    blocking, place,
};

/// How many logins a listing reads at a time on a blocking thread.
const BATCH: usize = 64;

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
/// | `<login>.holder` | who took the lease last, for messages |
/// | `<login>.damaged` | a record that could not be read, set aside; while it is there and no record is, every load says so |
/// | `<login>.damaged-<Unix time>` | the same after a new login or a log-out settled it; kept as evidence, yours to delete |
///
/// # Cost
///
/// Load, save and lease make a fixed number of system calls, however many logins there are. A save syncs twice.
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
    folder: Arc<PrivateFolder>,
}

impl FileStore {
    /// A store in that folder. Nothing is touched until the first operation; the first lease creates the folder, with
    /// mode 0700, and the parents that are missing.
    ///
    /// A relative path is taken from the current folder at the time of this call.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: Arc::new(PrivateFolder::new(folder.as_ref())) }
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

    fn login(&self, key: &LoginKey) -> LoginFiles {
        LoginFiles { folder: Arc::clone(&self.folder), name: name_of(key), key: key.clone() }
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
        let login = self.login(key);
        blocking::run(move || login.read()).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let login = self.login(key);
        let lock = LockFolder::new(PrivateFolder::clone(&self.folder)).lock(&login.name, deadline).await?;
        let held = Held { login, room: None, may_be_replaced: false, _lock: lock };
        Ok(Box::new(FileLease { key: key.clone(), held: Arc::new(Mutex::new(held)) }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        let listing =
            Listing { folder: Arc::clone(&self.folder), entries: Entries::NotOpened, found: VecDeque::new() };
        Box::new(FileKeys(Arc::new(Mutex::new(listing))))
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

fn name_of(key: &LoginKey) -> String {
    format!("login-{}", key.digest())
}

fn data_name(name: &str) -> String {
    format!("{name}.json")
}

fn temporary_name(name: &str) -> String {
    format!("{name}.tmp")
}

fn damaged_name(name: &str) -> String {
    format!("{name}.damaged")
}

/// The files of one login. All of this blocks.
struct LoginFiles {
    folder: Arc<PrivateFolder>,
    name: String,
    key: LoginKey,
}

impl LoginFiles {
    /// The record as it is now. Changes nothing, whatever it finds.
    fn read(&self) -> Result<Option<LoginRecord>, StoreError> {
        if !self.folder.exists()? {
            return Ok(None);
        }
        let (data, damaged) = (data_name(&self.name), damaged_name(&self.name));
        // Twice: a save that settles a damaged login may come between the look at the one name and at the other.
        for _ in 0..2 {
            if let Some(json) = self.folder.read(&data)? {
                return LoginRecord::from_json(&json, &self.key)
                    .map(Some)
                    .map_err(|error| StoreError::from_record(error, self.folder.path_of(&data).display()));
            }
            if self.folder.has(&damaged)? {
                return Err(StoreError::Damaged {
                    what: format!("{}: found earlier, and nobody has logged in since", self.key),
                    set_aside: Some(self.folder.path_of(&damaged)),
                });
            }
        }
        Ok(None)
    }

    /// Gives the damaged file its telling name. Only under the lease, so that no writer is robbed of its file.
    fn set_aside(&self) -> Result<String, StoreError> {
        let name = match damaged_name(&self.name) {
            name if self.folder.has(&name)? => self.unused_dated_name()?,
            name => name,
        };
        self.folder.rename(&data_name(&self.name), &name)?;
        self.folder.sync()?;
        tracing::warn!(login = %self.key, path = %self.folder.path_of(&name).display(), "a damaged login was set aside");
        Ok(name)
    }

    /// Takes note that somebody has dealt with the damaged login: loads no longer report it, the file is kept.
    fn settle_damage(&self) -> Result<(), StoreError> {
        let damaged = damaged_name(&self.name);
        if self.folder.has(&damaged)? {
            self.folder.rename(&damaged, &self.unused_dated_name()?)?;
        }
        Ok(())
    }

    fn unused_dated_name(&self) -> Result<String, StoreError> {
        let dated = format!("{}-{}", damaged_name(&self.name), unix_ms(SystemTime::now()) / 1_000);
        let mut name = dated.clone();
        let mut count = 1;
        while self.folder.has(&name)? {
            count += 1;
            name = format!("{dated}-{count}");
        }
        Ok(name)
    }
}

/// What the holder of a lease has. It lives until the last operation has ended, so that the lock does too.
struct Held {
    login: LoginFiles,
    room: Option<Room>,
    /// What is stored was looked at under this lease, and is neither from a newer version nor another login's.
    may_be_replaced: bool,
    // The last member, dropped last.
    _lock: Lock,
}

/// The temporary file, with that many bytes of it on the disk.
struct Room {
    file: File,
    bytes: usize,
}

impl Held {
    fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        let found = match self.login.read() {
            Err(StoreError::Damaged { what, set_aside: None }) => {
                let name = self.login.set_aside()?;
                Err(StoreError::Damaged { what, set_aside: Some(self.login.folder.path_of(&name)) })
            }
            found => found,
        };
        self.may_be_replaced = matches!(found, Ok(_) | Err(StoreError::Damaged { .. }));
        found
    }

    /// Refuses what must not be overwritten; sets the damaged aside.
    fn look_before_writing(&mut self) -> Result<(), StoreError> {
        if self.may_be_replaced {
            return Ok(());
        }
        match self.load() {
            Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.look_before_writing()?;
        if self.room.as_ref().is_some_and(|room| room.bytes >= bytes) {
            return Ok(());
        }
        let temporary = temporary_name(&self.login.name);
        self.give_room_back();
        let room = self.room.insert(Room { file: self.login.folder.create_anew(&temporary)?, bytes });
        let filled = fill(&mut room.file, bytes).and_then(|()| room.file.sync_all());
        filled.map_err(|error| {
            self.give_room_back();
            StoreError::io("reserve room in", self.login.folder.path_of(&temporary), error)
        })
    }

    fn save(&mut self, json: &[u8]) -> Result<(), StoreError> {
        self.look_before_writing()?;
        let temporary = temporary_name(&self.login.name);
        let room = match self.room.take() {
            Some(room) => room,
            None => {
                // Somebody may have removed the whole folder meanwhile; what is to be saved may be all that is left.
                self.login.folder.create()?;
                Room { file: self.login.folder.create_anew(&temporary)?, bytes: 0 }
            }
        };
        // Kept while it is written: after a failure the next try has the same room, and a lease that is given up
        // removes it.
        let room = self.room.insert(room);
        let written = (room.file.rewind())
            .and_then(|()| room.file.write_all(json))
            .and_then(|()| room.file.set_len(json.len() as u64))
            .and_then(|()| room.file.sync_all());
        written.map_err(|error| StoreError::io("write", self.login.folder.path_of(&temporary), error))?;
        // Closed before it is renamed, for Windows.
        self.room = None;
        let folder = &self.login.folder;
        if let Err(error) = folder.rename(&temporary, &data_name(&self.login.name)) {
            let _ = folder.remove(&temporary);
            return Err(error);
        }
        folder.sync()?;
        // The login is kept, and a record hides the damaged one from every load: no reason to fail.
        if let Err(error) = self.login.settle_damage() {
            tracing::warn!(login = %self.login.key, %error, "the damaged login that was replaced keeps its name");
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<(), StoreError> {
        if !self.login.folder.exists()? {
            return Ok(());
        }
        self.look_before_writing()?;
        self.give_room_back();
        self.login.folder.remove(&data_name(&self.login.name))?;
        // A killed writer may have left a refresh token in it.
        self.login.folder.remove(&temporary_name(&self.login.name))?;
        self.login.settle_damage()?;
        self.login.folder.sync()
    }

    fn give_room_back(&mut self) {
        let Some(room) = self.room.take() else { return };
        // Closed first, for Windows.
        drop(room);
        if let Err(error) = self.login.folder.remove(&temporary_name(&self.login.name)) {
            tracing::debug!(login = %self.login.key, %error, "the room reserved for a login is left behind");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_room_back();
    }
}

/// Writes that many bytes that no file system can store in fewer: neither zeros nor a pattern.
fn fill(file: &mut File, bytes: usize) -> std::io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = [0_u8; 4_096];
    let mut left = bytes;
    while left > 0 {
        for chunk in block.chunks_exact_mut(8) {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        let now = left.min(block.len());
        file.write_all(&block[..now])?;
        left -= now;
    }
    Ok(())
}

/// Each operation runs on a blocking thread with a share of what is held: a dropped future, or lease, neither tears
/// the file nor releases the lock before the operation has ended.
struct FileLease {
    key: LoginKey,
    held: Arc<Mutex<Held>>,
}

impl FileLease {
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Held) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = Arc::clone(&self.held);
        blocking::run(move || operation(&mut locked(&held))).await
    }
}

#[async_trait]
impl TokenLease for FileLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.run(Held::load).await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.run(move |held| held.reserve(bytes)).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        if record.key != self.key {
            return Err(StoreError::WrongKey {
                place: format!("the lease on {}", self.key),
                found: Box::new(record.key.clone()),
            });
        }
        let json: Zeroizing<Vec<u8>> = record.to_json();
        self.run(move |held| held.save(&json)).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.run(Held::delete).await
    }
}

/// A listing under way. Shared with the blocking thread that reads the next batch, so that a dropped `next` loses none.
struct FileKeys(Arc<Mutex<Listing>>);

struct Listing {
    folder: Arc<PrivateFolder>,
    entries: Entries,
    found: VecDeque<Result<LoginKey, StoreError>>,
}

enum Entries {
    NotOpened,
    Open(ReadDir),
    Ended,
}

#[async_trait]
impl LoginKeys for FileKeys {
    async fn next(&mut self) -> Option<Result<LoginKey, StoreError>> {
        loop {
            // Not waited for: after a dropped `next` the last batch may still be under way.
            if let Ok(mut listing) = self.0.try_lock() {
                match listing.found.pop_front() {
                    None if matches!(listing.entries, Entries::Ended) => return None,
                    None => {}
                    found => return found,
                }
            }
            let listing = Arc::clone(&self.0);
            let more = move || {
                locked(&listing).read_more();
                Ok(())
            };
            if let Err(error) = blocking::run(more).await {
                locked(&self.0).entries = Entries::Ended;
                return Some(Err(error));
            }
        }
    }
}

impl Listing {
    /// Puts the next batch into `found`, unless there is one. An error of the folder itself ends the listing.
    fn read_more(&mut self) {
        if self.found.is_empty()
            && let Err(error) = self.read_batch()
        {
            self.entries = Entries::Ended;
            self.found.push_back(Err(error));
        }
    }

    fn read_batch(&mut self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("list the folder", self.folder.path(), error);
        if matches!(self.entries, Entries::NotOpened) {
            self.entries = match self.folder.exists()? {
                true => Entries::Open(std::fs::read_dir(self.folder.path()).map_err(failed)?),
                false => Entries::Ended,
            };
        }
        let Entries::Open(entries) = &mut self.entries else { return Ok(()) };
        while self.found.len() < BATCH {
            match entries.next() {
                Some(entry) => {
                    let name = entry.map_err(failed)?.file_name();
                    let found = name.to_str().and_then(|name| self.folder.login_in(name));
                    self.found.extend(found);
                }
                None => {
                    self.entries = Entries::Ended;
                    break;
                }
            }
        }
        Ok(())
    }
}

impl PrivateFolder {
    /// The login that the file of that name holds; `None` for any other file.
    fn login_in(&self, file_name: &str) -> Option<Result<LoginKey, StoreError>> {
        let (name, kind) = file_name.split_once('.')?;
        let digest = name.strip_prefix("login-")?;
        if digest.len() != 64 || !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        match kind {
            "json" => self.key_in(name, file_name).transpose(),
            // Reported with the record if there is one, and then it is readable.
            "damaged" => match self.has(&data_name(name)) {
                Ok(true) => None,
                Ok(false) => Some(Err(StoreError::Damaged {
                    what: "found earlier, and nobody has logged in since".to_owned(),
                    set_aside: Some(self.path_of(file_name)),
                })),
                Err(error) => Some(Err(error)),
            },
            _ => None,
        }
    }

    fn key_in(&self, name: &str, file_name: &str) -> Result<Option<LoginKey>, StoreError> {
        // Deleted since the folder was read.
        let Some(json) = self.read(file_name)? else { return Ok(None) };
        let path = self.path_of(file_name);
        let key = LoginRecord::key_in_json(&json)
            .map_err(|error| StoreError::from_record(error, path.display()))?;
        if name_of(&key) != name {
            return Err(StoreError::WrongKey { place: path.display().to_string(), found: Box::new(key) });
        }
        Ok(Some(key))
    }
}

/// A panic under this lock leaves nothing that the next operation does not look at anew.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
