//! The tests that go through pages in a real browser: headless Chromium, driven over npm's playwright-core by tests/browser.

use crate::command::is_installed;
use crate::interop::{self, Server};
use crate::outcome::Stop;
use crate::project::Project;

use super::code::every_test;

/// They are ignored by `cargo test`, so that a machine with only Rust passes that.
pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(unix) {
        println!("the terminals of these tests are those of Unix");
        return Ok(());
    }
    interop::check_node()?;
    install(project)?;
    let folder = project.root.join("tests/interop");
    interop::install(&folder)?;
    let test = |last: &[&str]| every_test(project).args(["--test", "browser"]).args(last.iter().copied());
    // Compiled before the server starts, so that a mistake in the tests is told as such.
    test(&["--no-run"]).run()?;
    let server = Server::start(&folder, &project.scratch("browser")?)?;
    server.known_to(test(&["--", "--include-ignored"])).run()
}

/// Chromium's driver; Chromium itself has to be there.
pub(crate) fn install(project: &Project) -> Result<(), Stop> {
    let chromium = std::env::var("JETON_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !is_installed(&chromium, "--version") {
        return Err(Stop::without(
            &chromium,
            "Chromium (Debian: chromium), or say with JETON_CHROMIUM where it is",
        ));
    }
    interop::install(&project.root.join("tests/browser"))
}
