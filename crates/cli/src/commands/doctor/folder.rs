//! The folder of logins and locks: who can read it, whether its file system locks, what room there is, what was set aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jeton::models::random_token;
use jeton::storage::{FileStore, LoginKey, LoginRecord, StoreError, TokenStore};

use super::report::{Group, Report};
use crate::store::{PROGRAM, state_folder};

pub(super) async fn look(report: &mut Report) {
    let group = report.group("folder");
    let state = match state_folder() {
        Ok(state) => state,
        Err(error) => return group.mend("place", error.to_string(), "set HOME"),
    };
    let program = state.join("programs").join(PROGRAM);
    if program.exists() {
        group.ok("place", program.display().to_string());
    } else {
        group.note("place", format!("{} is not there yet; the first login makes it", program.display()));
    }
    let folders = [program.clone(), program.join("logins"), program.join("sealed"), state.join("locks")];
    permissions(group, &folders);
    set_aside(group, &folders);
    disk(group, nearest(&program));
    match locks_hold(&state).await {
        Ok(true) => group.ok("locks", "a lease keeps others out, and is gone with its holder"),
        Ok(false) => group.mend(
            "locks",
            "a lease does not keep others out: two programs may spend the same refresh token and lose the login",
            "keep logins on a disk of this machine (XDG_STATE_HOME names the place)",
        ),
        Err(error) => group.mend(
            "locks",
            format!("no lease can be had: {error}"),
            "see to it that this user may write there, on a disk with room",
        ),
    }
}

/// The folder itself, or where it would be made.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

#[cfg(unix)]
fn permissions(group: &mut Group, folders: &[PathBuf]) {
    use std::os::unix::fs::MetadataExt as _;

    let user = rustix::process::geteuid().as_raw();
    let mut private = 0;
    let mut look_at = |group: &mut Group, path: &Path, wanted: &str| {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        let (mode, shown) = (metadata.mode() & 0o777, path.display());
        if metadata.is_symlink() {
            group.mend("permissions", format!("{shown} is a link, which is not followed"), "remove the link");
        } else if metadata.uid() != user {
            let found = format!("{shown} belongs to another user (uid {})", metadata.uid());
            group.mend("permissions", found, format!("chown {user} '{shown}'"));
        } else if mode & 0o077 != 0 {
            group.mend(
                "permissions",
                format!("{shown} can be accessed by other users (mode {mode:03o}), so that nothing is read from it"),
                format!(
                    "chmod {wanted} '{shown}'; if others could read it for long, log out and in again, for they may have \
                     the tokens"
                ),
            );
        } else {
            private += 1;
        }
    };
    for folder in folders {
        look_at(group, folder, "700");
        let files = names_in(folder).into_iter().map(|name| folder.join(name));
        for file in files.filter(|path| !path.is_dir()) {
            look_at(group, &file, "600");
        }
    }
    if private > 0 {
        group.ok("permissions", "nobody but this user can read it");
    }
}

#[cfg(not(unix))]
fn permissions(_group: &mut Group, _folders: &[PathBuf]) {}

/// The names of what is in a folder, as far as it can be listed.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// What was damaged, and what holders of locks that were killed left behind.
fn set_aside(group: &mut Group, folders: &[PathBuf]) {
    for folder in folders {
        let (mut old, mut notes) = (0, 0);
        for name in names_in(folder) {
            let path = folder.join(&name);
            match name.rsplit_once('.') {
                Some((_, "damaged")) => group.mend(
                    "damaged",
                    format!("a login could not be read and was set aside as {}", path.display()),
                    "log in again, which settles it; or restore the file from a backup",
                ),
                Some((_, kind)) if kind.starts_with("damaged-") => old += 1,
                Some((_, "holder")) if is_old(&path) => notes += 1,
                _ => {}
            }
        }
        if old > 0 {
            group.note(
                "set aside",
                format!(
                    "{old} damaged of earlier in {}; nobody needs them, and they may hold tokens",
                    folder.display()
                ),
            );
        }
        if notes > 0 {
            group.note(
                "lock notes",
                format!(
                    "{notes} of holders that were killed, in {}; the next holder replaces them",
                    folder.display()
                ),
            );
        }
    }
}

fn is_old(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(300)))
}

#[cfg(unix)]
fn disk(group: &mut Group, folder: &Path) {
    /// A login, its successor and room to spare.
    const LEAST: u64 = 1 << 20;
    const LITTLE: u64 = 50 << 20;

    let kind = file_system::kind(folder);
    match kind {
        Some(file_system::Kind::Network(name)) => group.mend(
            "disk",
            format!("{} is on {name}, whose locks are not to be relied upon", folder.display()),
            "keep logins on a disk of this machine (XDG_STATE_HOME names the place), or in the keychain",
        ),
        Some(file_system::Kind::Memory) => group.note(
            "disk",
            format!(
                "{} is in memory (tmpfs): logins are gone when the machine is started anew",
                folder.display()
            ),
        ),
        None => {}
    }
    let Ok(disk) = rustix::fs::statvfs(folder) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{} MiB free", free >> 20);
    if free < LEAST || (disk.f_files > 0 && disk.f_favail == 0) {
        group.mend("room", format!("{shown}: a new token could not be kept"), "free some space");
    } else if free < LITTLE {
        group.note("room", shown);
    } else {
        group.ok("room", shown);
    }
}

#[cfg(not(unix))]
fn disk(_group: &mut Group, _folder: &Path) {}

#[cfg(unix)]
mod file_system {
    use std::path::Path;

    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "told apart on Linux only"))]
    pub(super) enum Kind {
        Network(&'static str),
        Memory,
    }

    /// By the numbers of statfs(2).
    #[cfg(target_os = "linux")]
    pub(super) fn kind(folder: &Path) -> Option<Kind> {
        let found = rustix::fs::statfs(folder).ok()?;
        match found.f_type as u32 {
            0x6969 => Some(Kind::Network("NFS")),
            0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some(Kind::Network("SMB")),
            0x0102_1997 => Some(Kind::Network("9P, which another machine shares")),
            0x0102_1994 => Some(Kind::Memory),
            _ => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn kind(_folder: &Path) -> Option<Kind> {
        None
    }
}

/// Whether a lease on a login is exclusive here, and what is saved under it comes back.
async fn locks_hold(state: &Path) -> Result<bool, StoreError> {
    let scratch = Scratch::make_in(state).map_err(|error| StoreError::io("use", state, error))?;
    let (one, other) = (FileStore::new(scratch.path()), FileStore::new(scratch.path()));
    let issuer = "https://doctor.invalid".parse();
    let issuer = issuer.map_err(|error: jeton::models::IssuerError| StoreError::other(error.to_string()))?;
    let key = LoginKey::new(&issuer, "jeton-doctor");
    let record = LoginRecord::new(key.clone(), SystemTime::now());
    let mut lease = one.lease(&key, Duration::from_secs(1)).await?;
    lease.save(&record).await?;
    let kept_out = matches!(other.lease(&key, Duration::ZERO).await, Err(StoreError::LeaseTimeout { .. }));
    drop(lease);
    let mut lease = other.lease(&key, Duration::from_secs(1)).await?;
    Ok(kept_out && lease.load().await? == Some(record))
}

/// A folder of our own, gone with this.
pub(super) struct Scratch {
    path: PathBuf,
    /// What was made for it, the innermost first; removed if nobody has put anything in.
    made: Vec<PathBuf>,
}

impl Scratch {
    /// In the system's folder for such things.
    pub(super) fn make() -> io::Result<Self> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("jeton-doctor-{}", random_token(12).expose()));
        let made: Vec<PathBuf> =
            parent.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        let scratch = Self { path, made };
        for folder in scratch.made.iter().rev() {
            create_private(folder)?;
        }
        create_private(&scratch.path)?;
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed holds no secret.
        let _ = fs::remove_dir_all(&self.path);
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}
