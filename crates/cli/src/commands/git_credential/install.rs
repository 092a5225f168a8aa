//! `jeton git-credential --install`: has git ask jeton for the servers of a profile, and nobody else for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::host;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn run(name: Option<&str>, local: bool, cx: &Context) -> Result<Exit, Failure> {
    let profiles = cx.profiles()?;
    let (name, profile) = profiles.choose(name)?;
    let servers = host::servers(name, profile)?;
    if servers.is_empty() {
        return Err(Failure::configuration(format!("the profile `{name}` names no git server")).help(
            format!(
                "write `git = [\"https://git.example\"]` under [profiles.{name}] in {}",
                profiles.path().display()
            ),
        ));
    }
    let scope = if local { "--local" } else { "--global" };
    let helper = helper(cx.config_option())?;
    let origins: BTreeSet<String> =
        servers.iter().map(|server| server.origin().ascii_serialization()).collect();
    for origin in &origins {
        let key = format!("credential.{origin}.helper");
        // The empty one makes git forget the helpers before it. One that stores passwords would keep tokens, in the clear and
        // for longer than they live.
        git(&[scope, "--replace-all", &key, ""])?;
        git(&[scope, "--add", &key, &helper])?;
    }
    for server in servers.iter().filter(|server| server.path() != "/") {
        // Git tells the path only if it is asked to.
        let origin = server.origin().ascii_serialization();
        git(&[scope, &format!("credential.{origin}.useHttpPath"), "true"])?;
    }
    let list = origins.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    cx.output.confirm(
        format!("git asks jeton for {list} from now on (`git config {scope}`)"),
        || json!({ "profile": name, "servers": origins, "helper": helper }),
    )?;
    Ok(Exit::Success)
}

fn git(arguments: &[&str]) -> Result<(), Failure> {
    let output = Command::new("git").arg("config").args(arguments).output().map_err(|error| {
        Failure::io("git could not be started", &error)
            .help("install git, or write the lines of `man jeton-git-credential` yourself")
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failure, "git", "git did not take its new configuration")
            .because(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// The command line of this helper in git's configuration, for a shell.
fn helper(config: Option<&Path>) -> Result<String, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::io("it is not known where jeton is installed", &error))?;
    let mut line = match is_found(&program) {
        true => "!jeton".to_owned(),
        false => format!("!{}", quoted(&program.to_string_lossy())),
    };
    if let Some(config) = config {
        let config = std::path::absolute(config)
            .map_err(|error| Failure::io(format!("{} is nowhere", config.display()), &error))?;
        line.push_str(&format!(" --config {}", quoted(&config.to_string_lossy())));
    }
    line.push_str(" git-credential");
    Ok(line)
}

/// Whether a shell finds this very program by its name.
fn is_found(program: &Path) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    let name = format!("jeton{}", std::env::consts::EXE_SUFFIX);
    let found = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file());
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    found.is_some_and(|found| real(&found).is_some() && real(&found) == real(program))
}

/// In quotation marks of the shell, if need be.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
