//! `cargo xtask pictures`: draws the pictures of README and the guides anew; with `--check` compares them with what the program
//! shows today. The pictures of terminals are the same at each run; those of pages depend on the machine's fonts, and are drawn,
//! not compared.

use std::path::Path;

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;
use crate::steps::{every_program, install_browser_driver};

/// Where they are kept.
const FOLDER: &str = "pictures";

/// Draws all.
pub(crate) fn draw(project: &Project) -> Result<(), Stop> {
    let folder = project.root.join(FOLDER);
    terminals(project, &folder)?;
    install_browser_driver(project)?;
    run(project, &folder, &["--pages"])
}

/// Whether the pictures of terminals are what the program shows.
pub(crate) fn check(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        println!("the pictures are drawn on Linux");
        return Ok(());
    }
    let fresh = project.scratch("pictures")?;
    // What is drawn no longer must not be found there.
    std::fs::remove_dir_all(&fresh).map_err(|error| Stop::failed(error.to_string()))?;
    terminals(project, &fresh)?;
    let kept = project.root.join(FOLDER);
    let (fresh_names, kept_names) = (names(&fresh)?, names(&kept)?);
    let outdated: Vec<&String> = fresh_names
        .iter()
        .chain(kept_names.iter().filter(|name| !fresh_names.contains(name)))
        .filter(|name| std::fs::read(fresh.join(name)).ok() != std::fs::read(kept.join(name)).ok())
        .collect();
    if outdated.is_empty() {
        println!("{} pictures", fresh_names.len());
        return Ok(());
    }
    let list = outdated.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    Err(Stop::failed(format!(
        "{list} in {FOLDER}: not what the program shows today, which is in {}; run `cargo xtask pictures`",
        fresh.display()
    )))
}

/// The pictures of terminals in that folder.
fn names(folder: &Path) -> Result<Vec<String>, Stop> {
    let unreadable =
        |error: std::io::Error| Stop::failed(format!("cannot read {}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".svg") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn terminals(project: &Project, folder: &Path) -> Result<(), Stop> {
    for tool in ["dbus-daemon", "gnome-keyring-daemon"] {
        if !is_installed(tool, "--version") {
            return Err(Stop::without(tool, "D-Bus and gnome-keyring (Debian: dbus gnome-keyring)"));
        }
    }
    run(project, folder, &[])
}

fn run(project: &Project, folder: &Path, further: &[&str]) -> Result<(), Stop> {
    for program in ["jeton", "pictures"] {
        every_program(project, program).run()?;
    }
    let built = project.metadata.target_directory.join("debug");
    let pictures = project.cmd(&built.join("pictures").display().to_string());
    let pictures = pictures.arg("--command").arg(built.join("jeton").display().to_string());
    let pictures = pictures.arg("--folder").arg(folder.display().to_string());
    pictures.args(further.iter().copied()).run()
}
