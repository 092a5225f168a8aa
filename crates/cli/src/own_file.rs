//! A file of the user's that several commands may write at once: each waits its turn, writes aside, and puts the whole file in its place.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody else may be writing. Anybody who can read the lock file can hold it.
const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The turn of whoever writes the file; others wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The file itself, not a link to it.
    path: PathBuf,
    _lock: File,
}

impl Turn {
    /// Waits for the turn. The folder is made if need be, for this user only.
    pub(crate) fn wait_for(path: &Path) -> io::Result<Self> {
        // A link goes on being one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder_of(&path);
        for_this_user(DirBuilder::new().recursive(true)).create(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock =
            private(OpenOptions::new().create(true).truncate(false).write(true)).open(folder.join(name))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    let what = format!(
                        "another program has been writing it for {} s; end that program, or try again",
                        PATIENCE.as_secs()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_LOOKS),
            }
        }
    }

    /// What stands in the file; nothing if it is not there.
    pub(crate) fn read(&self) -> io::Result<String> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    /// Whether the file could be replaced now: nothing is.
    pub(crate) fn try_out(&self) -> io::Result<()> {
        let (aside, _) = self.aside()?;
        fs::remove_file(aside)
    }

    /// Replaces the file, which keeps its permissions; a new one is for this user only.
    pub(crate) fn replace(&self, text: &str) -> io::Result<()> {
        let (aside, mut file) = self.aside()?;
        let written = (|| {
            if let Ok(before) = fs::metadata(&self.path) {
                file.set_permissions(before.permissions())?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &self.path)
        })();
        if written.is_err() {
            // What is left of it is of no use to anybody.
            drop(fs::remove_file(&aside));
        }
        written
    }

    /// A new file in the same folder, that nobody has put there.
    fn aside(&self) -> io::Result<(PathBuf, File)> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", jeton::models::random_token(8).expose()));
        let path = folder_of(&self.path).join(name);
        let file = private(OpenOptions::new().create_new(true).write(true)).open(&path)?;
        Ok((path, file))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(unix)]
fn for_this_user(builder: &mut DirBuilder) -> &mut DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;
    builder.mode(0o700)
}

/// The user's folders are theirs there.
#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
fn for_this_user(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}
