//! The concurrent core of a session under loom: its models are run for every order in which threads can come.

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;

/// Prints how many executions each model took.
pub(crate) fn models(project: &Project) -> Result<(), Stop> {
    // Without the switch nothing would be left to run, and nothing would fail.
    let cmd = models_and(project, "--list");
    println!("$ {}", cmd.line());
    let count = cmd.output()?.lines().filter(|line| line.ends_with(": test")).count();
    if count == 0 {
        return Err(cmd.failed("there is no model among the tests"));
    }
    println!("{count} models");
    models_and(project, "--nocapture").run()
}

/// In a target folder of its own: the switch concerns every crate, and would have all of them built anew.
fn models_and(project: &Project, option: &str) -> Cmd {
    let mut cmd =
        project.cargo().args(["test", "--package", "jeton-client", "--lib", "--no-default-features"]);
    // The checker is the hot part.
    for (package, level) in [("loom", 3), ("generator", 3), ("jeton-client", 1)] {
        cmd = cmd.args(["--config", &format!("profile.dev.package.{package}.opt-level={level}")]);
    }
    cmd.args(["--", "model::", option])
        .env("RUSTFLAGS", "--cfg jeton_loom")
        .env("CARGO_TARGET_DIR", project.metadata.target_directory.join("loom").display().to_string())
}
