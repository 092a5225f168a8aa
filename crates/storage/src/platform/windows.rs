//! Windows: privacy comes from the folder (the per-user local application data is the user's alone), links are
//! opened as themselves, and a rename may have to wait for a virus scanner.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::StoreError;

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself instead of what it points to.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// `ERROR_SHARING_VIOLATION`.
const SHARING_VIOLATION: i32 = 32;

/// Options for a file, a link not followed.
pub(crate) fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OPEN_REPARSE_POINT);
    options
}

/// Creates a folder (not its parents); it inherits who may enter it.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().create(path)
}

/// There are no mode bits to check.
pub(crate) fn refuse_others(_path: &Path, _metadata: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// The standard library has no stable identity of a file here, so a deleted lock file goes unnoticed.
pub(crate) fn is_same_file(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Nothing to do: a locked file cannot be read by others here.
pub(crate) fn claim(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Believed: its writer removes it in time, unless it is killed.
pub(crate) fn is_claimed(_file: &File) -> bool {
    true
}

/// A folder cannot be opened to be synced; the file system journals its names.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Renames, replacing what had the name. A scanner or indexer that has the old file open for a moment without
/// sharing it is waited for, at most about half a second. Runs on a blocking thread.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match std::fs::rename(from, to) {
            Err(error)
                if pause < Duration::from_millis(500)
                    && (error.kind() == io::ErrorKind::PermissionDenied
                        || error.raw_os_error() == Some(SHARING_VIOLATION)) =>
            {
                std::thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}
