//! A folder that only its owner may enter, and the private files in it.
//! Everything here blocks; every file is opened through here, so that no link is followed and no mode overlooked.

use std::fs::{File, OpenOptions, symlink_metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{StoreError, platform};

/// A folder by its path; it need not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// A relative path is taken from the current folder of now, and stays there when the program changes it. Does no
    /// other I/O.
    pub(crate) fn new(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // A trailing slash would make the system follow a link in the final component.
        Self(path.components().collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether the folder exists.
    ///
    /// # Errors
    /// When it is a link, no folder, another user's, or open to others: then nothing in it may be trusted or read.
    pub(crate) fn exists(&self) -> Result<bool, StoreError> {
        let metadata = match symlink_metadata(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.map_err(|error| StoreError::io("look at", &self.0, error))?,
        };
        if metadata.is_symlink() {
            return Err(StoreError::Symlink { path: self.0.clone() });
        }
        if !metadata.is_dir() {
            let error = io::Error::new(io::ErrorKind::NotADirectory, "it is a file and no folder");
            return Err(StoreError::io("use", &self.0, error));
        }
        platform::refuse_others(&self.0, &metadata)?;
        Ok(true)
    }

    /// Creates the folder, and the parents that are missing, unless it exists.
    ///
    /// # Errors
    /// Those of [`exists`](Self::exists), and what keeps it from being created.
    pub(crate) fn create(&self) -> Result<(), StoreError> {
        if self.exists()? {
            return Ok(());
        }
        let missing: Vec<&Path> = self.0.ancestors().take_while(|path| !path.exists()).collect();
        for folder in missing.into_iter().rev() {
            match platform::create_folder(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result.map_err(|error| StoreError::io("create the folder", folder, error))?,
            }
            if let Some(parent) = folder.parent() {
                platform::sync_folder(parent).map_err(|error| StoreError::io("sync", parent, error))?;
            }
        }
        match self.exists()? {
            true => Ok(()),
            false => Err(StoreError::io("create the folder", &self.0, io::ErrorKind::NotFound.into())),
        }
    }

    /// Opens a file and checks that it is a regular one of this user's and nobody else's; `None` if there is none.
    fn open(&self, name: &str, options: &OpenOptions) -> Result<Option<File>, StoreError> {
        let path = self.path_of(name);
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Each system has another error for a link that is not followed.
            Err(_) if symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) => {
                return Err(StoreError::Symlink { path });
            }
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        let metadata = file.metadata().map_err(|error| StoreError::io("look at", &path, error))?;
        if metadata.is_symlink() {
            return Err(StoreError::Symlink { path });
        }
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file; remove it");
            return Err(StoreError::io("use", path, error));
        }
        platform::refuse_others(&path, &metadata)?;
        Ok(Some(file))
    }

    fn open_for_sure(&self, name: &str, options: &OpenOptions) -> Result<File, StoreError> {
        self.open(name, options)?
            .ok_or_else(|| StoreError::io("create", self.path_of(name), io::ErrorKind::NotFound.into()))
    }

    /// Opens a file for reading and writing, created empty if there is none.
    pub(crate) fn open_or_create(&self, name: &str) -> Result<File, StoreError> {
        self.open_for_sure(name, platform::open_options().read(true).write(true).create(true))
    }

    /// Creates a file that did not exist, for writing. What had its name before, a link too, is removed.
    pub(crate) fn create_anew(&self, name: &str) -> Result<File, StoreError> {
        self.remove(name)?;
        self.open_for_sure(name, platform::open_options().write(true).create_new(true))
    }

    /// Opens a file for reading; `None` if there is none.
    pub(crate) fn open_to_read(&self, name: &str) -> Result<Option<File>, StoreError> {
        self.open(name, platform::open_options().read(true))
    }

    /// A file's contents, in one buffer that is wiped when dropped; `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.open_to_read(name)?.map(|mut file| self.contents(name, &mut file)).transpose()
    }

    /// The contents of the open file of that name, from where it stands, in one buffer that is wiped when dropped.
    pub(crate) fn contents(&self, name: &str, file: &mut File) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let failed = |error| StoreError::io("read", self.path_of(name), error);
        let length = file.metadata().map_err(failed)?.len();
        // One more, so that the read that finds the end needs no larger buffer: growing leaves unwiped copies behind.
        let room = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1);
        let mut contents = Zeroizing::new(Vec::new());
        contents.try_reserve_exact(room).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        file.take(length).read_to_end(&mut contents).map_err(failed)?;
        Ok(contents)
    }

    /// Whether there is something of that name, be it a link.
    pub(crate) fn has(&self, name: &str) -> Result<bool, StoreError> {
        match symlink_metadata(self.path_of(name)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("look at", self.path_of(name), error)),
        }
    }

    /// Gives a file another name, taking it from whatever had it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        platform::replace(&self.path_of(from), &self.path_of(to))
            .map_err(|error| StoreError::io("rename", self.path_of(from), error))
    }

    /// Removes a file, or the link of that name; nothing to remove is no error.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        match std::fs::remove_file(self.path_of(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", self.path_of(name), error))
            }
            _ => Ok(()),
        }
    }

    /// Replaces a small file, or creates it: whole and durable when it returns, the old one or the new one before. Only for
    /// whoever holds a lock that keeps others from doing the same.
    pub(crate) fn replace(&self, name: &str, contents: &[u8]) -> Result<(), StoreError> {
        let temporary = format!("{name}.tmp");
        let mut file = self.create_anew(&temporary)?;
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        written.map_err(|error| StoreError::io("write", self.path_of(&temporary), error))?;
        // Closed first, for Windows.
        drop(file);
        self.rename(&temporary, name)?;
        self.sync()
    }

    /// Makes new names durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        platform::sync_folder(&self.0).map_err(|error| StoreError::io("sync the folder", &self.0, error))
    }
}
