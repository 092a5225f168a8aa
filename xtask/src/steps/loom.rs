//! The concurrent core of a session under loom: its models are run for every order in which threads can come.

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;

/// Prints how many executions each model took.
pub(crate) fn models(project: &Project) -> Result<(), Stop> {
    // Without the switch nothing would be left to run, and nothing would fail.
    let cmd = models_and(project, "--list")?;
    println!("$ {}", cmd.line());
    let count = cmd.output()?.lines().filter(|line| line.ends_with(": test")).count();
    if count == 0 {
        return Err(cmd.failed("there is no model among the tests"));
    }
    println!("{count} models");
    models_and(project, "--nocapture")?.run()
}

/// With a target named, the switch is not for build scripts and macros, which are not built anew.
fn models_and(project: &Project, option: &str) -> Result<Cmd, Stop> {
    let mut cmd =
        project.cargo().args(["test", "--package", "jeton-client", "--lib", "--no-default-features"]);
    // The checker is the hot part.
    for (package, level) in [("loom", 3), ("generator", 3), ("jeton-client", 1)] {
        cmd = cmd.args(["--config", &format!("profile.dev.package.{package}.opt-level={level}")]);
    }
    let cmd = cmd.args(["--target", &project.host()?, "--", "model::", option]);
    Ok(cmd.env("RUSTFLAGS", "--cfg jeton_loom"))
}
