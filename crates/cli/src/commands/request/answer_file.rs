//! `--output`: the file for the answer. It is opened before anything is sent, and changed only when there is something to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The file. One that was made for an answer which did not come is taken away again.
#[derive(Debug)]
pub(super) struct AnswerFile {
    path: PathBuf,
    file: File,
    /// Whether it was made here and has nothing of an answer yet.
    is_unused: bool,
}

impl AnswerFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (opened, is_unused) = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (options.create_new(true).open(path), true)
            }
            opened => (opened, false),
        };
        let file = opened.map_err(|error| {
            Failure::usage(format!("{} cannot be written; nothing was sent", path.display()))
                .because(error.to_string())
                .help("name a file in a folder that is there, and that you may write to, after --output")
        })?;
        Ok(Self { path: path.to_owned(), file, is_unused })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From here on it has the answer, and nothing of what was in it.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        self.is_unused = false;
        // A device or a pipe has no length.
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file { self.file.set_len(0).map_err(|error| self.failed(&error)) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.file.write_all(piece).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::io(format!("the answer could not be written to {}", self.path.display()), error)
    }
}

impl Drop for AnswerFile {
    fn drop(&mut self) {
        if self.is_unused {
            // An empty file that stays is no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}
