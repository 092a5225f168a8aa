//! Where a program of this user keeps its state by the platform's convention.

use std::path::PathBuf;

use etcetera::base_strategy::BaseStrategy;

use crate::StoreError;

/// The folder `jeton` in the user's state folder.
///
/// Reads `XDG_STATE_HOME` (ignored if relative) and `HOME` on Unix, `HOME` on macOS, `LOCALAPPDATA` and
/// `USERPROFILE` on Windows; asks the system where they are not set.
pub(crate) fn state_folder() -> Result<PathBuf, StoreError> {
    user_folder()
        .map(|folder| folder.join("jeton"))
        .filter(|folder| folder.is_absolute())
        .ok_or_else(|| StoreError::Unavailable {
            what: "this user has no home folder: set HOME (or on Windows USERPROFILE), or name a folder for the tokens"
                .to_owned(),
        })
}

#[cfg(windows)]
fn user_folder() -> Option<PathBuf> {
    // The local application data, which do not roam to other machines.
    etcetera::base_strategy::Windows::new().ok().map(|user| user.cache_dir())
}

#[cfg(target_vendor = "apple")]
fn user_folder() -> Option<PathBuf> {
    etcetera::base_strategy::Apple::new().ok().map(|user| user.data_dir())
}

#[cfg(not(any(windows, target_vendor = "apple")))]
fn user_folder() -> Option<PathBuf> {
    etcetera::base_strategy::Xdg::new().ok().and_then(|user| user.state_dir())
}
