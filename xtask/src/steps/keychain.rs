//! The tests that start a real keychain, each one of its own: a bus, a daemon, a folder, no screen.

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

use super::code::every_test;

/// They are ignored by `cargo test`, so that a machine with only Rust passes that.
pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        println!("there is no keychain that a test could start on this system");
        return Ok(());
    }
    for tool in ["dbus-daemon", "gnome-keyring-daemon"] {
        if !is_installed(tool, "--version") {
            return Err(Stop::without(tool, "D-Bus and gnome-keyring (Debian: dbus gnome-keyring)"));
        }
    }
    let storage = project.metadata.member("jeton-storage");
    let storage = storage.ok_or_else(|| Stop::failed("jeton-storage is not in the workspace"))?;
    let tests = storage.tests.iter().flat_map(|name| ["--test", name]);
    every_test(project).args(tests).args(["--", "--ignored"]).run()?;
    every_test(project).args(["--test", "cli", "keychain::", "--", "--ignored"]).run()
}
