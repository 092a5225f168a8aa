//! A small disk of its own for a scenario: mounted, filled up, made read-only and back. Needs Linux and root.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Enough for the logins of a scenario, and soon full.
const SIZE: &str = "4m";

/// A mounted disk. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct SmallDisk {
    place: PathBuf,
    is_disturbed: bool,
    disturbances: usize,
}

impl SmallDisk {
    /// Mounts one at that empty folder; the error says why it cannot be.
    pub(super) fn mount(place: &Path) -> Result<Self, String> {
        if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
            return Err("needs Linux and root, to mount a small disk".to_owned());
        }
        fs::create_dir_all(place).map_err(|error| error.to_string())?;
        let options = format!("size={SIZE},mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &options, "jeton-fault-lab", &place.to_string_lossy()])
            .map_err(|why| format!("no small disk can be mounted here: {why}"))?;
        Ok(Self { place: place.to_owned(), is_disturbed: false, disturbances: 0 })
    }

    /// Whether it is full, or read-only, now.
    pub(super) fn is_disturbed(&self) -> bool {
        self.is_disturbed
    }

    /// How often it was full, or read-only.
    pub(super) fn disturbances(&self) -> usize {
        self.disturbances
    }

    /// Fills it up to the last byte.
    pub(super) fn fill(&mut self) {
        self.is_disturbed = true;
        self.disturbances += 1;
        let Ok(mut filler) = File::create(self.filler()) else { return };
        // From large to small: it is full when not a byte fits any more.
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(super) fn make_room(&mut self) {
        self.is_disturbed = false;
        if let Err(error) = fs::remove_file(self.filler()) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
    }

    /// Makes it read-only; not while somebody has a file open for writing, which the kernel does not allow.
    pub(super) fn make_read_only(&mut self) {
        self.is_disturbed = self.remount("remount,ro").is_ok();
        self.disturbances += usize::from(self.is_disturbed);
    }

    /// And writable again.
    pub(super) fn make_writable(&mut self) {
        self.remount("remount,rw").expect("a disk can be made writable");
        self.is_disturbed = false;
    }

    fn remount(&self, options: &str) -> Result<(), String> {
        run("mount", &["-o", options, &self.place.to_string_lossy()])
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let place = self.place.to_string_lossy().into_owned();
        // Lazily, if a process that was killed has not quite gone.
        if run("umount", &[&place]).is_err()
            && let Err(why) = run("umount", &["-l", &place])
        {
            tracing::warn!(place, why, "a small disk stays mounted");
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
