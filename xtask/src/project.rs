//! Where the project is, and how its commands are started.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::disk::Builds;
use crate::metadata::Metadata;
use crate::outcome::Stop;

/// The workspace that xtask belongs to.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) metadata: Metadata,
    pub(crate) builds: Builds,
}

impl Project {
    /// Finds the workspace and asks cargo what is in it.
    pub(crate) fn load() -> Result<Self, Stop> {
        // Set by `cargo run`; the other is for whoever starts the program by hand.
        let folder =
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = PathBuf::from(folder).parent().map(PathBuf::from).unwrap_or_default();
        let json = Cmd::new(cargo(), &root).args(["metadata", "--format-version", "1"]).output()?;
        let metadata =
            Metadata::parse(&json).ok_or_else(|| Stop::failed("cannot read what `cargo metadata` says"))?;
        Ok(Self { root, metadata, builds: Builds::Kept })
    }

    /// A program, started in the root of the workspace.
    pub(crate) fn cmd(&self, program: &str) -> Cmd {
        Cmd::new(program, &self.root)
    }

    /// The cargo that runs us, so that the toolchain is the same.
    pub(crate) fn cargo(&self) -> Cmd {
        self.cmd(&cargo())
    }

    /// What this machine is called as a target of rustc.
    pub(crate) fn host(&self) -> Result<String, Stop> {
        let version = self.cmd("rustc").arg("-vV").output()?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
        host.ok_or_else(|| Stop::failed("rustc -vV does not say for which machine it builds"))
    }

    /// A folder below the target folder for what xtask makes.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf, Stop> {
        let folder = self.metadata.target_directory.join("xtask").join(name);
        std::fs::create_dir_all(&folder)
            .map_err(|error| Stop::failed(format!("cannot make {}: {error}", folder.display())))?;
        Ok(folder)
    }

    /// A text file of the project, by its path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String, Stop> {
        std::fs::read_to_string(self.root.join(path))
            .map_err(|error| Stop::failed(format!("cannot read {path}: {error}")))
    }
}

/// Whether nobody but a machine looks on.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
