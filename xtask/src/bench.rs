//! `cargo xtask bench`: builds the package bench, which is no member of the workspace, and runs it. The step `bench` of
//! `cargo xtask test` runs each benchmark once, without timing it.

use std::path::Path;

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;
use crate::steps::{self, every_program};

const MANIFEST: &str = "bench/Cargo.toml";

/// The features of jeton that bring code of their own for a standard.
const FEATURES: &[&str] = &["jose", "openid", "mtls", "registration", "profiles"];

/// Runs the benchmarks with these arguments, which the program explains, built like a user's release build; `ffi` is what the
/// C ABI costs, `size` what each feature adds to a program, `token` how long the command `jeton token` takes.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<(), Stop> {
    if arguments == ["ffi"] {
        return steps::cost_of_c_abi(project);
    }
    if arguments == ["size"] {
        return sizes(project);
    }
    if arguments.first().is_some_and(|first| first == "token") {
        return token(project, &arguments[1..]);
    }
    // The program starts others, which `cargo run` would not build.
    let apart = project.metadata.target_directory.join("bench");
    quietly(&cargo(project, "build", &apart).args(["--release", "--quiet", "--bins"]))?;
    quietly(&cargo(project, "run", &apart).args(["--release", "--quiet", "--"]).args(arguments))
}

/// Other commands that print a stored token, by Debian's packages.
const TOOLS: &[&str] = &["gh", "libsecret-tools"];

/// The command as `cargo install` builds it, beside others that print a stored token.
fn token(project: &Project, arguments: &[String]) -> Result<(), Stop> {
    let apart = project.metadata.target_directory.join("bench");
    let jeton = build_command(project)?;
    quietly(&cargo(project, "build", &apart).args(["--release", "--quiet", "--bins"]))?;
    let tools = apart.join("tools");
    for package in TOOLS {
        if let Err(Stop::Failed(why) | Stop::Skipped(why)) = unpack(project, package, &tools) {
            eprintln!("{package} is not unpacked, and takes part if it is installed: {why}");
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", tools.join("usr/bin").display());
    let cmd = project.cmd(&program(&apart.join("release"), "token")).env("PATH", path);
    quietly(&cmd.arg(jeton).args(arguments))
}

/// Unpacks one of Debian's packages into that folder, unless it is there; nothing is installed.
fn unpack(project: &Project, package: &str, folder: &Path) -> Result<(), Stop> {
    let unpacked = folder.join(package);
    if unpacked.is_dir() {
        return Ok(());
    }
    let download = folder.join("packages").join(package);
    let made = |error: std::io::Error| Stop::failed(format!("cannot make {}: {error}", download.display()));
    std::fs::create_dir_all(&download).map_err(made)?;
    let apt = Cmd::new("apt-get", &download).args(["-q", "download", package]);
    apt.output()?;
    for entry in std::fs::read_dir(&download).map_err(made)?.filter_map(Result::ok) {
        let (file, into) = (entry.path().display().to_string(), folder.display().to_string());
        project.cmd("dpkg-deb").args(["-x", &file, &into]).output()?;
    }
    std::fs::create_dir(&unpacked).map_err(made)
}

fn program(folder: &Path, name: &str) -> String {
    folder.join(name).with_extension(std::env::consts::EXE_EXTENSION).display().to_string()
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
    println!(
        "| the command `jeton`: all of these, all stores, and a devserver | | {} KiB |",
        command_size(project)? / 1024
    );
    Ok(())
}

/// The command as it is released, without symbols.
fn command_size(project: &Project) -> Result<u64, Stop> {
    let built = build_command(project)?;
    let stripped = project.scratch("size")?.join("jeton");
    let stripped = stripped.display().to_string();
    project.cmd("strip").args(["-o", &stripped, &built]).output()?;
    let size = std::fs::metadata(&stripped).map(|metadata| metadata.len());
    size.map_err(|error| Stop::failed(format!("cannot look at {stripped}: {error}")))
}

/// The command as `cargo install` builds it, and where it is.
fn build_command(project: &Project) -> Result<String, Stop> {
    quietly(&project.cargo().args(["build", "--release", "--quiet", "-p", "jeton-cli", "--bin", "jeton"]))?;
    Ok(program(&project.metadata.target_directory.join("release"), "jeton"))
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
    cargo(project, "run", shared)
        .args(["--locked", "--quiet", "--bin", "jeton-bench", "--", "--smoke"])
        .run()?;
    // As the tests have built it.
    every_program(project, "jeton").run()?;
    let debug = shared.join("debug");
    project.cmd(&program(&debug, "token")).args([program(&debug, "jeton"), "--smoke".to_owned()]).run()
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
