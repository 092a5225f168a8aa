//! `cargo xtask bench`: builds the package bench, which is no member of the workspace, and runs it. The step `bench` of
//! `cargo xtask test` runs each benchmark once, without timing it.

use std::path::Path;

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;
use crate::steps;

const MANIFEST: &str = "bench/Cargo.toml";

/// The features of jeton that bring code of their own for a standard.
const FEATURES: &[&str] = &["jose", "openid", "mtls", "registration", "profiles"];

/// Runs the benchmarks with these arguments, which the program explains, built like a user's release build; `ffi` is what the
/// C ABI costs, `size` what each feature adds to a program.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<(), Stop> {
    if arguments == ["ffi"] {
        return steps::cost_of_c_abi(project);
    }
    if arguments == ["size"] {
        return sizes(project);
    }
    // The program starts others, which `cargo run` would not build.
    let apart = project.metadata.target_directory.join("bench");
    quietly(&cargo(project, "build", &apart).args(["--release", "--quiet", "--bins"]))?;
    quietly(&cargo(project, "run", &apart).args(["--release", "--quiet", "--"]).args(arguments))
}

/// What each feature adds to a stripped program: switched on, and used.
fn sizes(project: &Project) -> Result<(), Stop> {
    let bare = size_with(project, None)?;
    let more = |size: u64| size.cast_signed().wrapping_sub(bare.cast_signed()) / 1024;
    println!("| feature | switched on, not used | used |\n|---|---:|---:|");
    println!("| a service with client credentials: none of these | {} KiB | |", bare / 1024);
    for feature in FEATURES {
        let on = size_with(project, Some(feature))?;
        let used = size_with(project, Some(&format!("use-{feature}")))?;
        println!("| `{feature}` | {:+} KiB | {:+} KiB |", more(on), more(used));
    }
    Ok(())
}

/// Builds the program that uses that feature, and tells its size in bytes.
fn size_with(project: &Project, feature: Option<&str>) -> Result<u64, Stop> {
    let apart = project.metadata.target_directory.join("bench");
    let cmd = cargo(project, "build", &apart).args(["--quiet", "--profile", "size", "--bin", "size"]);
    quietly(&cmd.args(feature.map(|feature| format!("--features={feature}"))))?;
    let program = apart.join("size").join("size").with_extension(std::env::consts::EXE_EXTENSION);
    let size = std::fs::metadata(&program).map(|metadata| metadata.len());
    size.map_err(|error| Stop::failed(format!("cannot look at {}: {error}", program.display())))
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
