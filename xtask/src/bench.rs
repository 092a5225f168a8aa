//! `cargo xtask bench`: builds the package bench, which is no member of the workspace, and runs it. The step `bench` of
//! `cargo xtask test` runs each benchmark once, without timing it.

use std::path::Path;

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;
use crate::steps;

const MANIFEST: &str = "bench/Cargo.toml";

/// Runs the benchmarks with these arguments, which the program explains, built like a user's release build; `ffi` is what the
/// C ABI costs.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<(), Stop> {
    if arguments == ["ffi"] {
        return steps::cost_of_c_abi(project);
    }
    // The program starts others, which `cargo run` would not build.
    let apart = project.metadata.target_directory.join("bench");
    quietly(&cargo(project, "build", &apart).args(["--release", "--quiet", "--bins"]))?;
    quietly(&cargo(project, "run", &apart).args(["--release", "--quiet", "--"]).args(arguments))
}

/// The package is formatted and without warnings, and each benchmark gives the right results.
pub(crate) fn step(project: &Project) -> Result<(), Stop> {
    project.cargo().args(["fmt", "--check", "--manifest-path", MANIFEST]).run()?;
    // In the workspace's target folder: two of three dependencies are there already, built with the same profile.
    let shared = &project.metadata.target_directory;
    cargo(project, "clippy", shared).args(["--locked", "--all-targets", "--", "-D", "warnings"]).run()?;
    cargo(project, "test", shared).args(["--locked", "--quiet"]).run()?;
    cargo(project, "build", shared).args(["--locked", "--quiet", "--bins"]).run()?;
    cargo(project, "run", shared).args(["--locked", "--quiet", "--", "--smoke"]).run()
}

fn cargo(project: &Project, command: &str, target: &Path) -> Cmd {
    let target = target.display().to_string();
    project.cargo().args([command, "--manifest-path", MANIFEST, "--target-dir"]).arg(target)
}

/// Standard output is the program's alone: it may be JSON.
fn quietly(cmd: &Cmd) -> Result<(), Stop> {
    eprintln!("$ {}", cmd.line());
    match cmd.command().status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(cmd.failed(&status.to_string())),
        Err(error) => Err(cmd.failed(&error.to_string())),
    }
}
