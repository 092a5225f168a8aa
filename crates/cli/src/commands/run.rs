//! `jeton run`: a command with a valid token in its environment.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::Duration;

use crate::bearer::bearer_token_valid_for;
use crate::context::Context;
use crate::credentials::SECRET_VARIABLE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The command gets the token as it is now and no other one: what runs for longer
than the token lives does better to call `jeton token` itself. On Unix the
command takes the place of jeton, with its signals and its exit code; 127 says
that there is no such command, 126 that it cannot be executed.

Examples:
  jeton run work -- ./backup.sh
  jeton run work --env GITHUB_TOKEN --min-valid 30m -- gh pr list
  jeton run work -- sh -c 'echo \"Bearer $ACCESS_TOKEN\" | my-tool --auth-stdin'")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// The variable that holds the token. May be given several times.
    #[arg(long, value_name = "VARIABLE", default_value = "ACCESS_TOKEN", value_parser = variable)]
    env: Vec<String>,
    /// How long the token is to be valid at least, such as 90s or 5m. Where the server gives none that live so long, it is the one that it gives, with a note.
    #[arg(long, value_name = "TIME", value_parser = when::typed)]
    min_valid: Option<Duration>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("which command is to run?"));
    };
    let connection = cx.connect(args.name.as_deref()).await?;
    let least = args.min_valid.unwrap_or_default();
    let token = bearer_token_valid_for(&connection, "another command", least).await?;
    let mut command = Command::new(program);
    command.args(arguments).env_remove(SECRET_VARIABLE).env_remove("JETON_PASSPHRASE_FILE");
    for variable in &args.env {
        command.env(variable, token.secret().expose());
    }
    // A refresh ahead of time may be under way, which must not end with this process.
    connection.session.close().await;
    drop((token, connection));
    replace_this_process(command).map_err(|error| not_started(program, &error))
}

/// Does not come back unless the command cannot be started.
#[cfg(unix)]
fn replace_this_process(mut command: Command) -> io::Result<Exit> {
    use std::os::unix::process::CommandExt as _;

    Err(command.exec())
}

/// Waits for the command, and ends as it ended.
#[cfg(not(unix))]
fn replace_this_process(mut command: Command) -> io::Result<Exit> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1))
}

fn not_started(program: &OsString, error: &io::Error) -> Failure {
    let program = program.to_string_lossy();
    let (exit, code, what) = match error.kind() {
        io::ErrorKind::NotFound => {
            (Exit::CommandNotFound, "command_not_found", format!("there is no command `{program}`"))
        }
        _ => {
            (Exit::CommandNotExecutable, "command_not_executable", format!("`{program}` cannot be executed"))
        }
    };
    let failure = Failure::new(exit, code, what).because(error.to_string());
    match exit {
        Exit::CommandNotFound => failure.help("look for its name, and for its folder in PATH"),
        _ => failure,
    }
}

/// The name of an environment variable.
fn variable(name: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(fits)
    {
        true => Ok(name.to_owned()),
        false => Err("a variable's name has letters, digits and underscores, no digit first".to_owned()),
    }
}
