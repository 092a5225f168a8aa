//! The gate between writers and whoever makes another key current: writers pass together, a change waits for all of them.
//!
//! A writer looks up the current key and seals with it inside of the gate. So when the change has been through it, no
//! login will be sealed with the old key any more, and those that were can be found: the old key can be dropped.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

use crate::private_folder::PrivateFolder;
use crate::wait::pause;
use crate::{StoreError, blocking};

const NAME: &str = "sealing.gate";
const PAUSE: Duration = Duration::from_millis(5);

/// A writer's passage. Dropping it, or dying, ends it.
#[derive(Debug)]
pub(crate) struct Shared(File);

/// The passage of whoever changes the current key.
#[derive(Debug)]
pub(crate) struct Exclusive(File);

impl Drop for Shared {
    fn drop(&mut self) {
        // Closing would do, but for a child forked without exec.
        let _ = self.0.unlock();
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Waits until nobody changes the key, at most until the deadline. The folder must exist.
pub(crate) async fn pass(folder: &PrivateFolder, deadline: Duration) -> Result<Shared, StoreError> {
    lock(folder, deadline, File::try_lock_shared, "another program is changing the sealing key")
        .await
        .map(Shared)
}

/// Waits until nobody is writing, at most until the deadline. The folder must exist.
pub(crate) async fn close(folder: &PrivateFolder, deadline: Duration) -> Result<Exclusive, StoreError> {
    lock(folder, deadline, File::try_lock, "other programs are writing logins").await.map(Exclusive)
}

async fn lock(
    folder: &PrivateFolder,
    deadline: Duration,
    try_lock: fn(&File) -> Result<(), TryLockError>,
    who: &'static str,
) -> Result<File, StoreError> {
    let started = Instant::now();
    loop {
        let folder_of_try = folder.clone();
        let tried = blocking::run(move || {
            let file = folder_of_try.open_or_create(NAME)?;
            match try_lock(&file) {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => {
                    Err(StoreError::io("lock", folder_of_try.path_of(NAME), error))
                }
            }
        });
        if let Some(file) = tried.await? {
            return Ok(file);
        }
        let waited = started.elapsed();
        if waited >= deadline {
            let error = format!(
                "{who}; gave up after {:.1} s: try again, or end that program if it hangs",
                waited.as_secs_f64()
            );
            let error = io::Error::new(io::ErrorKind::TimedOut, error);
            return Err(StoreError::io("lock", folder.path_of(NAME), error));
        }
        pause(PAUSE.min(deadline - waited)).await;
    }
}
