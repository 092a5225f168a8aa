//! A folder of login files, for the stores that keep one file per login: plain, or sealed.
//! The lease is an OS lock; a save writes beside the file, syncs, renames and syncs the folder. What stands in a file
//! is the business of its [`Envelope`].
#![cfg_attr(
    not(feature = "sealed"),
    allow(dead_code, reason = "sealed files are sealed anew, and read with other keys")
)]

use std::collections::VecDeque;
use std::fs::{File, ReadDir};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::lock::{Lock, LockFolder};
use crate::private_folder::PrivateFolder;
use crate::time::unix_ms;
use crate::{LoginKey, LoginRecord, StoreError, blocking};

/// How many logins a listing reads at a time on a blocking thread.
const BATCH: usize = 64;

/// What is said of a damaged login that was set aside before.
const FOUND_EARLIER: &str = "found earlier, and nobody has logged in since";

/// What a login is wrapped in while it is in a file.
pub(crate) trait Envelope: Send + Sync {
    /// Takes the record of any login out of a file's contents. `digest` is the part of the file's name that tells
    /// whose it should be.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for what a new login may replace, after it was set aside; anything else for what must
    /// be left alone.
    fn open(&self, contents: &[u8], digest: &str, path: &Path) -> Result<LoginRecord, StoreError>;
}

/// A folder of login files by its path; it need not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct LoginFolder(Arc<PrivateFolder>);

impl LoginFolder {
    /// A relative path is taken from the current folder of now.
    pub(crate) fn new(path: &Path) -> Self {
        Self(Arc::new(PrivateFolder::new(path)))
    }

    pub(crate) fn private(&self) -> &PrivateFolder {
        &self.0
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The locks of this folder, those of the logins and others.
    pub(crate) fn locks(&self) -> LockFolder {
        LockFolder::new(PrivateFolder::clone(&self.0))
    }

    fn login(&self, key: &LoginKey) -> LoginFiles {
        LoginFiles { folder: Arc::clone(&self.0), name: name_of(key) }
    }

    /// The record as it is now.
    pub(crate) async fn load(
        &self,
        key: &LoginKey,
        envelope: Arc<dyn Envelope>,
    ) -> Result<Option<LoginRecord>, StoreError> {
        let login = self.login(key);
        blocking::run(move || login.read(&*envelope)).await
    }

    /// Waits for the lease on that login, at most until the deadline.
    pub(crate) async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<FolderLease, StoreError> {
        self.lease_files(self.login(key), deadline).await
    }

    /// The same for the login that a file of that name holds: see [`file_names`](Self::file_names).
    pub(crate) async fn lease_of_file(
        &self,
        file_name: &str,
        deadline: Duration,
    ) -> Result<FolderLease, StoreError> {
        let name = format!("{PREFIX}{}", digest_in(file_name));
        self.lease_files(LoginFiles { folder: Arc::clone(&self.0), name }, deadline).await
    }

    async fn lease_files(&self, login: LoginFiles, deadline: Duration) -> Result<FolderLease, StoreError> {
        let lock = self.locks().lock(&login.name, deadline).await?;
        let held = Held { login, room: None, may_be_replaced: false, _lock: lock };
        Ok(FolderLease { held: Arc::new(Mutex::new(held)) })
    }

    /// Whether any file holds a login, or is what was set aside of one. Blocks.
    pub(crate) fn has_logins(&self) -> Result<bool, StoreError> {
        if !self.0.exists()? {
            return Ok(false);
        }
        let failed = |error| StoreError::io("list the folder", self.path(), error);
        for entry in std::fs::read_dir(self.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if matches!(name.to_str().and_then(kind_of), Some("json" | "damaged")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files that hold logins, none of them opened. Blocks, and holds all names in memory: not for the everyday.
    pub(crate) fn file_names(&self) -> Result<Vec<String>, StoreError> {
        if !self.0.exists()? {
            return Ok(Vec::new());
        }
        let failed = |error| StoreError::io("list the folder", self.path(), error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().filter(|name| kind_of(name) == Some("json")).map(str::to_owned));
        }
        Ok(names)
    }

    /// The logins, read as they are asked for.
    pub(crate) fn list(&self, envelope: Arc<dyn Envelope>) -> LoginList {
        let folder = Arc::clone(&self.0);
        let listing = Listing { folder, envelope, entries: Entries::NotOpened, found: VecDeque::new() };
        LoginList(Arc::new(Mutex::new(listing)))
    }
}

/// How the name of each file of a login begins; the digest of its key follows.
const PREFIX: &str = "login-";

fn name_of(key: &LoginKey) -> String {
    format!("{PREFIX}{}", key.digest())
}

/// What comes after `login-<digest>.` in the name of a file; `None` for other files.
fn kind_of(file_name: &str) -> Option<&str> {
    let (name, kind) = file_name.split_once('.')?;
    let digest = name.strip_prefix(PREFIX)?;
    let is_digest =
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then_some(kind)
}

/// The digest in the name of a login, or of one of its files.
fn digest_in(name: &str) -> &str {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    name.split_once('.').map_or(name, |(digest, _)| digest)
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
    /// `login-<digest>`
    name: String,
}

impl LoginFiles {
    fn digest(&self) -> &str {
        digest_in(&self.name)
    }

    fn path(&self) -> PathBuf {
        self.folder.path_of(&data_name(&self.name))
    }

    /// The record as it is now. Changes nothing, whatever it finds.
    fn read(&self, envelope: &dyn Envelope) -> Result<Option<LoginRecord>, StoreError> {
        if !self.folder.exists()? {
            return Ok(None);
        }
        let (data, damaged) = (data_name(&self.name), damaged_name(&self.name));
        // Twice: a save that settles a damaged login may come between the look at the one name and at the other.
        for _ in 0..2 {
            if let Some(contents) = self.folder.read(&data)? {
                let path = self.folder.path_of(&data);
                let record = envelope.open(&contents, self.digest(), &path)?;
                return match record.key.digest() == self.digest() {
                    true => Ok(Some(record)),
                    false => Err(wrong_key(&path, record.key)),
                };
            }
            if self.folder.has(&damaged)? {
                return Err(StoreError::Damaged {
                    what: FOUND_EARLIER.to_owned(),
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
        tracing::warn!(path = %self.folder.path_of(&name).display(), "a damaged login was set aside");
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
    fn load(&mut self, envelope: &dyn Envelope) -> Result<Option<LoginRecord>, StoreError> {
        let found = match self.login.read(envelope) {
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
    fn look_before_writing(&mut self, envelope: &dyn Envelope) -> Result<(), StoreError> {
        if self.may_be_replaced {
            return Ok(());
        }
        match self.load(envelope) {
            Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reserve(&mut self, envelope: &dyn Envelope, bytes: usize) -> Result<(), StoreError> {
        self.look_before_writing(envelope)?;
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

    fn save(&mut self, envelope: &dyn Envelope, contents: &[u8]) -> Result<(), StoreError> {
        self.look_before_writing(envelope)?;
        self.write(contents)
    }

    fn write(&mut self, contents: &[u8]) -> Result<(), StoreError> {
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
            .and_then(|()| room.file.write_all(contents))
            .and_then(|()| room.file.set_len(contents.len() as u64))
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
            tracing::warn!(login = self.login.name, %error, "the damaged login that was replaced keeps its name");
        }
        Ok(())
    }

    fn rewrite(
        &mut self,
        change: impl FnOnce(&[u8], &str, &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>,
    ) -> Result<bool, StoreError> {
        let Some(old) = self.login.folder.read(&data_name(&self.login.name))? else { return Ok(false) };
        let Some(new) = change(&old, self.login.digest(), &self.login.path())? else { return Ok(false) };
        self.write(&new)?;
        Ok(true)
    }

    fn put_away(&mut self) -> Result<Option<PathBuf>, StoreError> {
        let folder = &self.login.folder;
        if !folder.has(&data_name(&self.login.name))? {
            return Ok(None);
        }
        let name = self.login.unused_dated_name()?;
        folder.rename(&data_name(&self.login.name), &name)?;
        folder.sync()?;
        Ok(Some(folder.path_of(&name)))
    }

    fn delete(&mut self, envelope: &dyn Envelope) -> Result<(), StoreError> {
        if !self.login.folder.exists()? {
            return Ok(());
        }
        self.look_before_writing(envelope)?;
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
            tracing::debug!(login = self.login.name, %error, "the room reserved for a login is left behind");
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

/// The sole right to write one login. Each operation runs on a blocking thread with a share of what is held: a dropped
/// future, or lease, neither tears the file nor releases the lock before the operation has ended.
pub(crate) struct FolderLease {
    held: Arc<Mutex<Held>>,
}

impl FolderLease {
    async fn run<T: Send + 'static>(
        &self,
        envelope: Arc<dyn Envelope>,
        operation: impl FnOnce(&mut Held, &dyn Envelope) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = Arc::clone(&self.held);
        blocking::run(move || operation(&mut locked(&held), &*envelope)).await
    }

    /// The newest record; sets a damaged one aside.
    pub(crate) async fn load(&self, envelope: Arc<dyn Envelope>) -> Result<Option<LoginRecord>, StoreError> {
        self.run(envelope, Held::load).await
    }

    /// Puts that many bytes of the file to be on the disk.
    pub(crate) async fn reserve(&self, envelope: Arc<dyn Envelope>, bytes: usize) -> Result<(), StoreError> {
        self.run(envelope, move |held, envelope| held.reserve(envelope, bytes)).await
    }

    /// Writes the record as `wrap` makes it; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] if it is the record of another login; those of `wrap`; what keeps it from being written.
    pub(crate) async fn save(
        &self,
        envelope: Arc<dyn Envelope>,
        record: &LoginRecord,
        wrap: impl FnOnce(Zeroizing<Vec<u8>>, &str) -> Result<Zeroizing<Vec<u8>>, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (key, json) = (record.key.clone(), record.to_json());
        self.run(envelope, move |held, envelope| {
            if key.digest() != held.login.digest() {
                let place = format!("the lease on the login in {}", held.login.path().display());
                return Err(StoreError::WrongKey { place, found: Box::new(key) });
            }
            let contents = wrap(json, held.login.digest())?;
            held.save(envelope, &contents)
        })
        .await
    }

    /// Replaces the file by what `change` makes of its contents, unless that is `None`; durable when it returns.
    /// Whether it did.
    pub(crate) async fn rewrite(
        &self,
        change: impl FnOnce(&[u8], &str, &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let held = Arc::clone(&self.held);
        blocking::run(move || locked(&held).rewrite(change)).await
    }

    /// Gives the file, whatever is in it, the name of a damaged one that was settled; where it is then. `None` if there
    /// is no file.
    pub(crate) async fn put_away(&self) -> Result<Option<PathBuf>, StoreError> {
        let held = Arc::clone(&self.held);
        blocking::run(move || locked(&held).put_away()).await
    }

    /// Removes the file; durable when it returns.
    pub(crate) async fn delete(&self, envelope: Arc<dyn Envelope>) -> Result<(), StoreError> {
        self.run(envelope, Held::delete).await
    }
}

/// A listing under way. Shared with the blocking thread that reads the next batch, so that a dropped `next` loses none.
pub(crate) struct LoginList(Arc<Mutex<Listing>>);

/// What a listing came upon.
pub(crate) struct Listed {
    /// The file's name, if one was read.
    pub(crate) file_name: Option<String>,
    pub(crate) key: Result<LoginKey, StoreError>,
}

struct Listing {
    folder: Arc<PrivateFolder>,
    envelope: Arc<dyn Envelope>,
    entries: Entries,
    found: VecDeque<Listed>,
}

enum Entries {
    NotOpened,
    Open(ReadDir),
    Ended,
}

impl LoginList {
    /// Reads the rest with another envelope.
    pub(crate) async fn use_envelope(&self, envelope: Arc<dyn Envelope>) -> Result<(), StoreError> {
        let listing = Arc::clone(&self.0);
        blocking::run(move || {
            locked(&listing).envelope = envelope;
            Ok(())
        })
        .await
    }

    /// The key in the file of that name, read again; `None` if it is gone.
    pub(crate) async fn read_again(
        &self,
        file_name: &str,
        envelope: Arc<dyn Envelope>,
    ) -> Result<Option<LoginKey>, StoreError> {
        let (listing, file_name) = (Arc::clone(&self.0), file_name.to_owned());
        blocking::run(move || {
            let folder = Arc::clone(&locked(&listing).folder);
            key_in(&folder, &file_name, &*envelope)
        })
        .await
    }

    /// The next login; `None` at the end. May be dropped before it is ready without losing one.
    pub(crate) async fn next(&mut self) -> Option<Listed> {
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
                return Some(Listed { file_name: None, key: Err(error) });
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
            self.found.push_back(Listed { file_name: None, key: Err(error) });
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
                    let found = name.to_str().and_then(|name| login_in(&self.folder, name, &*self.envelope));
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

/// The login that the file of that name holds; `None` for any other file.
fn login_in(folder: &PrivateFolder, file_name: &str, envelope: &dyn Envelope) -> Option<Listed> {
    let key = match kind_of(file_name)? {
        "json" => key_in(folder, file_name, envelope).transpose()?,
        // Reported with the record if there is one, and then it is readable.
        "damaged" => match folder.has(&data_name(&format!("{PREFIX}{}", digest_in(file_name)))) {
            Ok(true) => return None,
            Ok(false) => Err(StoreError::Damaged {
                what: FOUND_EARLIER.to_owned(),
                set_aside: Some(folder.path_of(file_name)),
            }),
            Err(error) => Err(error),
        },
        _ => return None,
    };
    Some(Listed { file_name: Some(file_name.to_owned()), key })
}

/// The key of the record in a login file; `None` if there is no such file (any more).
fn key_in(
    folder: &PrivateFolder,
    file_name: &str,
    envelope: &dyn Envelope,
) -> Result<Option<LoginKey>, StoreError> {
    let Some(contents) = folder.read(file_name)? else { return Ok(None) };
    let (path, digest) = (folder.path_of(file_name), digest_in(file_name));
    let key = envelope.open(&contents, digest, &path)?.key;
    match key.digest() == digest {
        true => Ok(Some(key)),
        false => Err(wrong_key(&path, key)),
    }
}

fn wrong_key(path: &Path, found: LoginKey) -> StoreError {
    StoreError::WrongKey { place: path.display().to_string(), found: Box::new(found) }
}

/// A panic under this lock leaves nothing that the next operation does not look at anew.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
