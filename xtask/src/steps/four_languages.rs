//! One login that programs in four languages share; what they do and what has to come of it is in `tests/`.

use std::time::Duration;

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, WARNINGS, installed};
use super::go;

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(unix) {
        return Err(Stop::Skipped("the programs are built on Unix only".to_owned()));
    }
    let tools: &[&str] =
        if cfg!(target_os = "linux") { &["dbus-daemon", "gnome-keyring-daemon"] } else { &[] };
    if let Some(missing) = tools.iter().find(|tool| !is_installed(tool, "--version")) {
        return Err(Stop::without(missing, "D-Bus and gnome-keyring (Debian: dbus gnome-keyring)"));
    }
    if !is_installed("go", "version") {
        return Err(Stop::without("go", go::GO));
    }
    let (c, cpp) = (installed(&["gcc", "clang"])?[0], installed(&["g++", "clang++"])?[0]);
    let library = Library::build(project)?.folder();
    const NAME: &str = "four-languages";
    project.cargo().args(["build", "-p", "jeton-tests", "--bin", NAME]).run()?;

    let folder = project.scratch(NAME)?;
    let output = |name: &str| folder.join(name).display().to_string();
    for (compiler, standard, source, name) in
        [(c, "-std=c11", "worker.c", "C"), (cpp, "-std=c++17", "worker.cpp", "C++")]
    {
        // poll() is of POSIX.
        let cmd = project.cmd(compiler).args([standard, "-O1", "-D_POSIX_C_SOURCE=200809L", "-Iinclude"]);
        let cmd = cmd.args(WARNINGS.iter().copied()).arg(format!("tests/four_languages/{source}"));
        let cmd = cmd.args([format!("-L{library}"), "-ljeton".to_owned(), format!("-Wl,-rpath,{library}")]);
        cmd.args(["-pthread", "-o", &output(name)]).run()?;
    }
    go::formatted(project, "tests/four_languages/go")?;
    go::command(project, "tests/four_languages/go", &library, "build")?
        .args(["-o", &output("Go"), "."])
        .run()?;

    let program = project.metadata.target_directory.join("debug").join(NAME).display().to_string();
    let tried =
        project.cmd(&program).args(["C", "C++", "Go"].map(output)).limit(Duration::from_secs(300)).run();
    // What cannot be removed takes room, no more.
    drop(std::fs::remove_dir_all(&folder));
    tried
}
