//! `cargo xtask faults`: builds the fault lab of `tests/` and runs it; its own `--help` says what it takes.

use crate::outcome::Stop;
use crate::project::Project;

/// Runs the lab with these arguments, and fails when it says that a promise was broken.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<(), Stop> {
    // With optimisation: the length of the window in which a kill costs a login is one of the figures.
    project.cargo().args(["build", "--release", "--quiet", "-p", "jeton-tests", "--bin", "faults"]).run()?;
    let program = project.metadata.target_directory.join("release").join("faults");
    project.cmd(&program.display().to_string()).args(arguments).run()
}
