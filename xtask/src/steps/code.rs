//! What cargo checks over the whole workspace: format, lints, documentation, tests, quickstart.

use std::time::Duration;

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;

/// `native-tls` wants OpenSSL's headers on Linux and has a step of its own, so that a machine with only Rust
/// passes all the others.
pub(crate) const NEEDS_MORE_THAN_RUST: &[&str] = &["native-tls"];

pub(crate) fn fmt(project: &Project) -> Result<(), Stop> {
    project.cargo().args(["fmt", "--all", "--check"]).run()
}

pub(crate) fn clippy(project: &Project) -> Result<(), Stop> {
    let features = project.metadata.all_features(NEEDS_MORE_THAN_RUST);
    let cmd = project.cargo().args(["clippy", "--workspace", "--all-targets", "--features"]).arg(features);
    cmd.args(["--", "-D", "warnings"]).run()
}

pub(crate) fn doc(project: &Project) -> Result<(), Stop> {
    let features = project.metadata.all_features(NEEDS_MORE_THAN_RUST);
    let cmd = project.cargo().args(["doc", "--workspace", "--no-deps", "--features"]).arg(features);
    cmd.env("RUSTDOCFLAGS", "-D warnings").run()
}

/// With every feature; the steps `features` and `features-test` see to the other combinations.
pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    every_test(project).arg("--no-fail-fast").run()
}

/// `cargo test` of the workspace with every feature. Whoever runs a few of these tests again, with something that not
/// every machine has, selects the same way, and has nothing to build.
pub(crate) fn every_test(project: &Project) -> Cmd {
    let features = project.metadata.all_features(NEEDS_MORE_THAN_RUST);
    project.cargo().args(["test", "--workspace", "--features"]).arg(features)
}

/// Builds a program with the same selection, so that next to nothing is left to do where the tests have been built.
pub(crate) fn every_program(project: &Project, name: &str) -> Cmd {
    let features = project.metadata.all_features(NEEDS_MORE_THAN_RUST);
    project.cargo().args(["build", "--workspace", "--bin", name, "--features"]).arg(features)
}

pub(crate) fn quickstart(project: &Project) -> Result<(), Stop> {
    project.cargo().args(["build", "--example", "quickstart"]).run()?;
    project.cargo().args(["run", "--example", "quickstart"]).limit(Duration::from_secs(120)).run()
}
