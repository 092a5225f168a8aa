//! What differs between operating systems about private files: permissions, links, folders that can be synced.
//! Every module here has the same functions.

#[cfg(not(any(unix, windows)))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(any(unix, windows)))]
pub(crate) use other::{create_folder, is_same_file, open_options, refuse_others, replace, sync_folder};
#[cfg(unix)]
pub(crate) use unix::{create_folder, is_same_file, open_options, refuse_others, replace, sync_folder};
#[cfg(windows)]
pub(crate) use windows::{create_folder, is_same_file, open_options, refuse_others, replace, sync_folder};
