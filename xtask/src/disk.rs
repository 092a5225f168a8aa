//! Room on the disk: how much is free, how much the builds take, and what a lean run removes again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::outcome::Stop;
use crate::project::{Project, is_ci};
use crate::steps::Step;

const GB: f64 = 1e9;

/// What a lean run takes at most; nobody gets through with less.
const LEAN_RUN: u64 = 4_000_000_000;
/// What a run takes that keeps all it builds.
const WHOLE_RUN: u64 = 12_000_000_000;

/// Whether a run removes what it built. A person's builds are kept: they make the next run quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builds {
    Kept,
    Removed,
}

impl Builds {
    /// Removed where it was asked for, and where nobody builds again.
    pub(crate) fn of_run(lean: bool) -> Self {
        if lean || is_ci() { Self::Removed } else { Self::Kept }
    }
}

/// Says how much is free, and fails when that is not enough for all steps; what is already built counts as free.
pub(crate) fn begin(project: &Project) -> Result<(), Stop> {
    // Not known: whoever runs out of it will notice.
    let Some(free) = free(project) else { return Ok(()) };
    let built = built(project);
    println!("disk: {} free, builds take {}", gigabytes(free), gigabytes(built));
    match (enough(free + built, project.builds), project.builds) {
        (Err(why), Builds::Kept) if free + built >= LEAN_RUN => {
            println!("disk: {why}");
            Ok(())
        }
        (result, _) => result.map_err(Stop::Failed),
    }
}

/// Whether there is room for all steps; if not, what to do.
fn enough(room: u64, builds: Builds) -> Result<(), String> {
    let (needed, hint) = match builds {
        Builds::Removed => (LEAN_RUN, "make room"),
        Builds::Kept => (WHOLE_RUN, "make room, or add --lean, which removes builds as it goes"),
    };
    if room >= needed {
        return Ok(());
    }
    let (room, needed) = (gigabytes(room), gigabytes(needed));
    Err(format!("all steps need about {needed}, and there are {room}, builds included: {hint}"))
}

/// After a step: in a lean run removes what it built and no later step uses; one line says what there is.
pub(crate) fn end_step(project: &Project, next: Option<&Step>) {
    let before = built(project);
    let mut line = format!("disk: builds take {}", gigabytes(before));
    if project.builds == Builds::Removed {
        remove_builds(project);
        if !next.is_some_and(|step| step.runs_again) {
            remove_programs(project);
        }
        line.push_str(&format!(", {} of it removed", gigabytes(before.saturating_sub(built(project)))));
    }
    if let Some(free) = free(project) {
        line.push_str(&format!("; {} free", gigabytes(free)));
    }
    println!("{line}");
}

/// What one step alone builds: all but the debug builds, which the steps share, and what the tests write, which may tell
/// why one failed.
fn remove_builds(project: &Project) {
    const KEPT: &[&str] = &["debug", "tmp", "xtask"];
    let target = &project.metadata.target_directory;
    entries(target)
        .filter(|entry| !KEPT.iter().any(|kept| entry.ends_with(kept)))
        .for_each(|entry| remove_folder(&entry));
    remove_folder(&target.join("debug/incremental"));
    // The inputs that were found are no build.
    entries(&fuzz_target(project))
        .filter(|entry| !entry.ends_with("found"))
        .for_each(|entry| remove_folder(&entry));
}

/// Between the parts of a step that builds many programs.
pub(crate) fn end_part(project: &Project) {
    if project.builds == Builds::Removed {
        remove_programs(project);
    }
}

/// What is in the folder of libraries that the steps share.
pub(crate) fn libraries(project: &Project) -> BTreeSet<PathBuf> {
    entries(&project.metadata.target_directory.join("debug/deps")).collect()
}

/// In a lean run removes the libraries that are not among these; cargo builds anew what it misses.
pub(crate) fn remove_other_libraries(project: &Project, wanted: &BTreeSet<PathBuf>) {
    if project.builds == Builds::Removed {
        for file in libraries(project).difference(wanted) {
            drop(std::fs::remove_file(file));
        }
    }
}

/// Test binaries, examples and the like in the workspace's target folder: large, and used by one step each.
fn remove_programs(project: &Project) {
    let debug = project.metadata.target_directory.join("debug");
    for folder in [debug.clone(), debug.join("deps"), debug.join("examples")] {
        for file in entries(&folder).filter(|file| is_program(file)) {
            // What cannot be removed takes room, no more.
            drop(std::fs::remove_file(file));
        }
    }
}

fn remove_folder(folder: &Path) {
    // As above; most often it is not there.
    drop(std::fs::remove_dir_all(folder));
}

/// Whether a file in cargo's target folder is one that can be run, but for the one that is running: libraries and
/// cargo's notes have extensions, and its lock begins with a dot.
fn is_program(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or(".");
    let extension = file.extension().unwrap_or_default();
    !name.starts_with('.') && !name.starts_with("xtask") && extension == std::env::consts::EXE_EXTENSION
}

/// What all builds take, in bytes.
fn built(project: &Project) -> u64 {
    let mut seen = BTreeSet::new();
    size(&project.metadata.target_directory, &mut seen) + size(&fuzz_target(project), &mut seen)
}

fn fuzz_target(project: &Project) -> PathBuf {
    project.root.join("fuzz").join("target")
}

/// What the files below a folder take, each counted once however many names it has: cargo links much of what it builds
/// to a second name.
fn size(folder: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let mut total = 0;
    for path in entries(folder) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        total += if metadata.is_dir() { size(&path, seen) } else { size_of_file(&metadata, seen) };
    }
    total
}

#[cfg(unix)]
fn size_of_file(metadata: &std::fs::Metadata, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let is_new = metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino()));
    // The unit of `blocks` is 512 bytes, whatever the file system's own is.
    if is_new { metadata.blocks() * 512 } else { 0 }
}

#[cfg(not(unix))]
fn size_of_file(metadata: &std::fs::Metadata, _: &mut BTreeSet<(u64, u64)>) -> u64 {
    metadata.len()
}

/// What a user may still write where the project is, in bytes; `None` where there is no `df` to ask.
fn free(project: &Project) -> Option<u64> {
    let output =
        project.cmd("df").args(["-P", "-k"]).arg(project.root.display().to_string()).output().ok()?;
    available(&output)
}

/// The fourth column of `df -P -k`, in bytes.
fn available(df: &str) -> Option<u64> {
    let kibibytes: u64 = df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / GB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_is_told_before_anything_is_built() {
        assert_eq!(enough(LEAN_RUN, Builds::Removed), Ok(()));
        assert_eq!(enough(WHOLE_RUN, Builds::Kept), Ok(()));
        let why = enough(3_000_000_000, Builds::Removed).unwrap_err();
        assert!(why.contains("4.0 GB") && why.contains("3.0 GB") && !why.contains("--lean"), "{why}");
        let why = enough(LEAN_RUN, Builds::Kept).unwrap_err();
        assert!(why.contains("12.0 GB") && why.contains("--lean"), "{why}");
    }

    #[test]
    fn programs_are_told_from_libraries_and_notes() {
        let exe = std::env::consts::EXE_SUFFIX;
        assert!(is_program(Path::new(&format!("t/debug/deps/session_life-0a1b{exe}"))));
        for other in ["libserde-0a1b.rlib", "libserde-0a1b.rmeta", "session_life-0a1b.d", ".cargo-lock"] {
            assert!(!is_program(&Path::new("t/debug/deps").join(other)), "{other}");
        }
        assert!(!is_program(Path::new(&format!("t/debug/xtask{exe}"))), "it is running");
    }

    #[test]
    fn the_free_room_is_read_from_df() {
        let df = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
            /dev/vda         263174212 14680064  81788928      16% /\n";
        assert_eq!(available(df), Some(81_788_928 * 1024));
        assert_eq!(available("df: no such file"), None);
    }

    #[test]
    #[cfg(unix)]
    fn a_file_of_two_names_counts_once() {
        let folder = std::env::temp_dir().join(format!("xtask-size-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("below")).unwrap();
        std::fs::write(folder.join("one"), vec![1; 100_000]).unwrap();
        let once = size(&folder, &mut BTreeSet::new());
        std::fs::hard_link(folder.join("one"), folder.join("below/two")).unwrap();
        let twice = size(&folder, &mut BTreeSet::new());
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(once >= 100_000, "{once}");
        assert_eq!(once, twice);
    }
}
