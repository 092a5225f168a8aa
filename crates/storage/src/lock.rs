//! Locks between processes: one OS lock per name, on lock files that are never deleted.
//!
//! Deleting a lock file on release lets two holders in: one who has waited on the old file, one who made a new
//! one. A lock made by creating a file outlives a killed holder. The OS lock on a permanent file does neither: it ends
//! with its holder, by whatever death. It is tried again and again instead of waited for in the kernel, because such
//! a wait cannot be given up and would hold a runtime's shutdown hostage.
//!
//! A holder that hangs, or is suspended, keeps its lock: taking it away would let two processes send the same refresh
//! token. So everybody's wait is bounded, and ends with an error that names the holder, for a person to end it. The name
//! comes from a note beside the lock file, which is believed only while its writer holds it: locked (on Unix) as long as
//! the lock itself, and removed before the lock is released. What a killed holder left behind accuses nobody, whoever has
//! its process id by now. On Windows, where a locked file cannot be read, a killed holder's note counts until the next
//! holder has replaced it, which it does at once.
//!
//! There is one lock file for each name, and not a fixed number of them shared by all: two logins of one shard would
//! wait for each other's servers, and a program that takes two leases could wait for itself. An empty file costs an inode
//! and an entry in the folder, which file systems find without reading the others. Nothing here ever lists the folder.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Holder;
use crate::private_folder::PrivateFolder;
use crate::wait::pause;
use crate::{StoreError, blocking, platform};

/// The first pause between two tries; each is longer than the last by half, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);
/// How often a lock file may be replaced under our hands in one try before we call it an error.
const REPLACED_AT_MOST: usize = 100;

/// How often a note that nobody holds is looked at again: its writer may be about to write it.
const LOOKS_FOR_HOLDER: usize = 4;
/// How often the writer of a note tries to lock it, which somebody who looks at it hinders for a moment.
const TRIES_TO_CLAIM: usize = 16;

/// A folder of lock files; beside each that is held, a note on who holds it.
#[derive(Clone, Debug)]
pub(crate) struct LockFolder(PrivateFolder);

/// An exclusive lock, among all processes that use the same folder. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    note: Option<Note>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // First, as long as nobody else can have written theirs.
        self.note = None;
        // Closing would do, but for a child forked without exec, which has the same lock and would keep it.
        let _ = self.file.unlock();
    }
}

/// The note on who holds a lock. Dropping it removes it.
#[derive(Debug)]
struct Note {
    folder: PrivateFolder,
    name: String,
    /// Open as long as the note is true; `None` only while it is dropped.
    file: Option<File>,
}

impl Drop for Note {
    fn drop(&mut self) {
        // Closed first, for Windows.
        self.file = None;
        if let Err(error) = self.folder.remove(&self.name) {
            tracing::debug!(%error, "the note on the holder of a lock is left behind");
        }
    }
}

impl LockFolder {
    pub(crate) fn new(folder: PrivateFolder) -> Self {
        Self(folder)
    }

    /// Waits for the lock `<name>.lock`, at most until the deadline; zero is one try. Creates the folder.
    ///
    /// # Errors
    /// [`StoreError::LeaseTimeout`] with the holder that the note names; whatever keeps the lock file from being opened.
    pub(crate) async fn lock(&self, name: &str, deadline: Duration) -> Result<Lock, StoreError> {
        let started = Instant::now();
        let mut opened = None;
        let mut longest = FIRST_PAUSE;
        loop {
            let (folder, name_of_try) = (self.clone(), name.to_owned());
            match blocking::run(move || folder.try_lock(&name_of_try, opened)).await? {
                Try::Got(lock) => return Ok(lock),
                Try::Busy(file) => opened = Some(file),
            }
            let waited = started.elapsed();
            if waited >= deadline {
                return Err(StoreError::LeaseTimeout { waited, holder: self.holder(name).await? });
            }
            pause(jittered(longest).min(deadline - waited)).await;
            longest = (longest * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    fn try_lock(&self, name: &str, mut opened: Option<File>) -> Result<Try, StoreError> {
        let lock_name = format!("{name}.lock");
        let path = self.0.path_of(&lock_name);
        for _ in 0..REPLACED_AT_MOST {
            let file = match opened.take() {
                Some(file) => file,
                None => {
                    self.0.create()?;
                    self.0.open_or_create(&lock_name)?
                }
            };
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Lock { file, note: None };
                    // Somebody may have deleted the file in spite of all; then this is a lock on nothing.
                    if platform::is_same_file(&lock.file, &path)
                        .map_err(|e| StoreError::io("look at", &path, e))?
                    {
                        lock.note = self.note_holder(name);
                        return Ok(Try::Got(lock));
                    }
                }
                Err(TryLockError::WouldBlock) => return Ok(Try::Busy(file)),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Err(StoreError::Unavailable {
                        what: format!(
                            "the file system of {} has no locks, without which two programs would use up each other's \
                             tokens: choose a folder on a local disk",
                            path.display()
                        ),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
            }
        }
        let error = io::Error::other("the lock file is deleted again and again; lock files must stay");
        Err(StoreError::io("lock", path, error))
    }

    /// Writes down who holds the lock, in a file of its own: on Windows the locked one cannot be read by others.
    ///
    /// A new file each time: whoever looks at an old one, left by a killed holder, sees that nobody holds that any more.
    /// The note is for a message only, so failing to write it (the disk may be full) is no reason to give the lock up.
    fn note_holder(&self, name: &str) -> Option<Note> {
        let name = holder_name(name);
        let noted = self.0.create_anew(&name).map(|file| {
            let note = Note { folder: self.0.clone(), name, file: Some(file) };
            (note.write().map_err(|error| StoreError::io("write", self.0.path_of(&note.name), error)), note)
        });
        let (written, note) = match noted {
            Ok((written, note)) => (written, Some(note)),
            Err(error) => (Err(error), None),
        };
        if let Err(error) = written {
            tracing::debug!(%error, "the holder of a lock could not be noted");
        }
        note
    }

    /// Who holds the lock; `None` if nobody says so.
    async fn holder(&self, name: &str) -> Result<Option<Holder>, StoreError> {
        let mut looks_left = LOOKS_FOR_HOLDER;
        loop {
            let (folder, name) = (self.clone(), name.to_owned());
            let holder = blocking::run(move || Ok(folder.noted_holder(&name))).await?;
            looks_left -= 1;
            if holder.is_some() || looks_left == 0 {
                return Ok(holder);
            }
            pause(FIRST_PAUSE).await;
        }
    }

    fn noted_holder(&self, name: &str) -> Option<Holder> {
        let name = holder_name(name);
        let mut note = self.0.open_to_read(&name).ok()??;
        if !platform::is_claimed(&note) {
            return None;
        }
        serde_json::from_slice(&self.0.contents(&name, &mut note).ok()?).ok()
    }
}

impl Note {
    /// Claims the file and writes this process into it, in this order: what can be read in a claimed file is true.
    fn write(&self) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        for tries_left in (0..TRIES_TO_CLAIM).rev() {
            match platform::claim(file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries_left > 0 => {
                    std::thread::yield_now();
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        file.write_all(&serde_json::to_vec(&Holder::this_process(SystemTime::now()))?)
    }
}

enum Try {
    Got(Lock),
    /// Somebody else has it. The open file, for the next try.
    Busy(File),
}

fn holder_name(name: &str) -> String {
    format!("{name}.holder")
}

/// Between half of the duration and all of it. The standard library's hash keys are random enough for that.
fn jittered(longest: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    let half = longest / 2;
    half + half.mul_f64((random % 1_024) as f64 / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, LockFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = LockFolder::new(PrivateFolder::new(&place.path().join("locks")));
        (place, folder)
    }

    #[tokio::test]
    async fn one_holder_at_a_time_and_the_note_names_it() {
        let (_place, locks) = folder();
        let lock = locks.lock("a", Duration::ZERO).await.unwrap();
        let _other = locks.lock("b", Duration::ZERO).await.unwrap();
        match locks.lock("a", Duration::from_millis(20)).await {
            Err(StoreError::LeaseTimeout { waited, holder: Some(holder) }) => {
                assert!(waited >= Duration::from_millis(20), "{waited:?}");
                assert_eq!(holder.pid, std::process::id());
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        locks.lock("a", Duration::ZERO).await.unwrap();
        assert!(!locks.0.has(&holder_name("a")).unwrap(), "nobody holds it, and nobody is named");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_note_left_behind_accuses_nobody() {
        let (_place, locks) = folder();
        let innocent = serde_json::to_vec(&Holder::this_process(SystemTime::now())).unwrap();
        let lock = locks.lock("a", Duration::ZERO).await.unwrap();
        // As a killed process leaves it, before the next holder has written its own.
        let mut left = locks.0.create_anew(&holder_name("a")).unwrap();
        left.write_all(&innocent).unwrap();
        for left in [Some(left), None] {
            // Open without a claim, as by whoever reads it, or not open at all.
            match locks.lock("a", Duration::ZERO).await {
                Err(error @ StoreError::LeaseTimeout { holder: None, .. }) => {
                    assert!(error.to_string().contains("another task or program"), "{error}");
                }
                other => panic!("{other:?} with {left:?}"),
            }
        }
        drop(lock);

        // The next holder's note is a file of its own: whoever has the old one open learns nothing of it.
        locks.0.create_anew(&holder_name("a")).unwrap().write_all(&innocent).unwrap();
        let mut old = locks.0.open_to_read(&holder_name("a")).unwrap().unwrap();
        let _lock = locks.lock("a", Duration::ZERO).await.unwrap();
        assert!(!platform::is_claimed(&old));
        assert_eq!(*locks.0.contents("old", &mut old).unwrap(), innocent);
        assert_eq!(locks.noted_holder("a").unwrap().pid, std::process::id());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn whoever_looks_at_a_note_does_not_keep_the_next_holder_from_being_named() {
        let (_place, locks) = folder();
        let lock = locks.lock("a", Duration::ZERO).await.unwrap();
        let looking = locks.0.open_to_read(&holder_name("a")).unwrap().unwrap();
        drop(lock);
        // Suspended while it looked.
        looking.lock_shared().unwrap();
        let _lock = locks.lock("a", Duration::ZERO).await.unwrap();
        assert_eq!(locks.noted_holder("a").unwrap().pid, std::process::id());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn whoever_waited_on_a_deleted_lock_file_takes_the_new_one() {
        let (_place, locks) = folder();
        let lock = locks.lock("a", Duration::ZERO).await.unwrap();
        let Try::Busy(waiting_on) = locks.try_lock("a", None).unwrap() else { panic!("locked twice") };
        locks.0.remove("a.lock").unwrap();
        let _newcomer = locks.lock("a", Duration::ZERO).await.unwrap();
        drop(lock);
        assert!(matches!(locks.try_lock("a", Some(waiting_on)).unwrap(), Try::Busy(_)));
    }

    #[test]
    fn the_jitter_stays_within_its_bounds() {
        for _ in 0..1_000 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{pause:?}");
        }
    }

    #[test]
    fn it_works_without_any_runtime() {
        let (_place, locks) = folder();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let lock = match std::pin::pin!(locks.lock("a", Duration::ZERO)).poll(&mut cx) {
            std::task::Poll::Ready(lock) => lock.unwrap(),
            std::task::Poll::Pending => panic!("a free lock is taken at the first poll"),
        };
        // Busy: it waits, without blocking the thread that polls it.
        let mut second = std::pin::pin!(locks.lock("a", Duration::from_secs(60)));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(lock);
        let started = Instant::now();
        loop {
            if let std::task::Poll::Ready(lock) = second.as_mut().poll(&mut cx) {
                lock.unwrap();
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
    }
}
