//! Systems that are neither Unix nor Windows: nothing but the standard library.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use crate::StoreError;

/// Options for a file.
pub(crate) fn open_options() -> OpenOptions {
    OpenOptions::new()
}

/// Creates a folder (not its parents).
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().create(path)
}

/// There is nothing to check.
pub(crate) fn refuse_others(_path: &Path, _metadata: &Metadata) -> Result<(), StoreError> {
    Ok(())
}

/// Not to be found out.
pub(crate) fn is_same_file(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// There is no such thing that could be relied upon.
pub(crate) fn claim(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Believed: its writer removes it in time, unless it is killed.
pub(crate) fn is_claimed(_file: &File) -> bool {
    true
}

/// There is no such thing.
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Renames, replacing what had the name.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}
