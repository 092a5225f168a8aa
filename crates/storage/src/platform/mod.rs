//! What differs between operating systems about private files: permissions, links, folders that can be synced.
//! Every module here has the same functions.

#[cfg(not(any(unix, windows)))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(any(unix, windows)))]
pub(crate) use other::{
    claim, create_folder, is_claimed, is_same_file, open_options, refuse_others, replace, sync_folder,
};
#[cfg(unix)]
pub(crate) use unix::{
    claim, create_folder, is_claimed, is_same_file, open_options, refuse_others, replace, sync_folder,
};
#[cfg(windows)]
pub(crate) use windows::{
    claim, create_folder, is_claimed, is_same_file, open_options, refuse_others, replace, sync_folder,
};
