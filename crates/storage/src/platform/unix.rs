//! Unix: owner, mode bits, `O_NOFOLLOW`, and folders that have to be synced.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::StoreError;

/// Options for a file that only its owner may read: created with mode 0600, a symbolic link never followed.
///
/// Not blocking, so that a pipe planted in the place of a file is an error and not a hang; regular files ignore it.
pub(crate) fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// Creates a folder (not its parents) that only its owner may enter.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Checks that the file or folder belongs to this user and that nobody else has any right to it.
pub(crate) fn refuse_others(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(StoreError::NotOwner { path: path.to_owned(), owner: metadata.uid(), user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let wanted = if metadata.is_dir() { "700" } else { "600" };
    let quoted = path.display().to_string().replace('\'', r"'\''");
    Err(StoreError::Permissions {
        path: path.to_owned(),
        mode,
        mend: format!(
            "run `chmod {wanted} '{quoted}'`; if others could read it for long, log out and in again, for they may \
             have the tokens"
        ),
    })
}

/// Whether the path, not followed if it is a link, still names the open file.
pub(crate) fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((own.dev(), own.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Shows that what is written into the file is true, until it is closed or the process dies. Others may still read it.
///
/// # Errors
/// `WouldBlock` if somebody else has claimed it, or looks at this very moment whether anybody has.
pub(crate) fn claim(file: &File) -> io::Result<()> {
    file.try_lock().map_err(io::Error::from)
}

/// Whether the one who claimed the file still lives and has it open.
pub(crate) fn is_claimed(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Makes names that were created, renamed or removed in the folder survive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some network and user-space file systems have no sync for folders: nothing more can be done there.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Renames, replacing in one step what had the name.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}
