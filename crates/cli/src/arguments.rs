//! The arguments: one place for the options of all commands, and the list of commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser, Subcommand};

use crate::commands::*;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::Colour;
use crate::store::StoreSetting;

const EXAMPLES: &str = "\
Examples:
  jeton login work --issuer https://as.example --client-id my-tool
  jeton token work --header | curl -H @- https://api.example/me
  jeton request work GET https://api.example/me";

/// Sign in once and stay signed in: a valid OAuth 2.0 access token for the shell, git, kubectl and scripts.
#[derive(Debug, Parser)]
#[command(
    name = "jeton",
    bin_name = "jeton",
    version,
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The arguments of this process. By the name `git-credential-jeton`, under which git looks for a helper, it is that helper.
pub(crate) fn of_process() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_stem);
    if name.is_some_and(|name| name == "git-credential-jeton") {
        arguments.insert(1, "git-credential".into());
    }
    arguments
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Answer in JSON.
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) json: bool,
    /// Say nothing but the answer and what went wrong; that it is done is no answer.
    #[arg(long, short, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
    /// When to use colour.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) color: Colour,
    /// The profiles file, instead of the platform's place.
    #[arg(long, global = true, value_name = "FILE", env = "JETON_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where logins are kept: auto, keychain, file or sealed.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "STORE",
        env = "JETON_STORE",
        hide_env_values = true,
        hide_possible_values = true
    )]
    pub(crate) store: Option<StoreSetting>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign in: in the browser, by a pasted URL, or by a code on another device.
    Login(Box<login::Args>),
    /// Print a valid access token, refreshed if need be.
    Token(token::Args),
    /// Send an HTTP request with the token, as curl would.
    Request(request::Args),
    /// Run a command with the token in its environment.
    Run(run::Args),
    /// List the logins: whose, where kept, how long valid; never a token.
    Status(status::Args),
    /// Get a new access token now.
    Refresh(refresh::Args),
    /// Have the server revoke the access token; the login stays.
    Revoke(revoke::Args),
    /// Revoke the login, forget it here, and the profile with --forget.
    Logout(logout::Args),
    /// Ask the server what it says of the token (RFC 7662).
    Introspect(introspect::Args),
    /// Show who is logged in: the claims of the ID token.
    Claims(claims::Args),
    /// Show where logins are kept, or move them to a better store.
    Store(store::Args),
    /// Be a credential helper of git.
    GitCredential(git_credential::Args),
    /// Be an exec credential plugin of kubectl.
    Kubectl(kubectl::Args),
    /// Print request headers as JSON, for programs that call a headers helper.
    Headers(headers::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Write man pages.
    Man(man::Args),
    /// Look whether everything is in order, and say what to do.
    Doctor(doctor::Args),
    /// Show an exchange with a server, with fingerprints for secrets.
    Trace(trace::Args),
    /// Run an authorization server to test against, on this machine.
    #[cfg(feature = "devserver")]
    Devserver(devserver::Args),
}

impl Command {
    /// Whether it sends requests, waits or talks to a person by itself. The others are done before a runtime would have started.
    pub(crate) fn needs_runtime(&self) -> bool {
        !matches!(
            self,
            Self::Token(_)
                | Self::GitCredential(_)
                | Self::Kubectl(_)
                | Self::Headers(_)
                | Self::Completions(_)
                | Self::Man(_)
        )
    }

    pub(crate) async fn run(&self, cx: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Login(args) => login::run(args, cx).await,
            Self::Token(args) => token::run(args, cx).await,
            Self::Request(args) => request::run(args, cx).await,
            Self::Run(args) => run::run(args, cx).await,
            Self::Status(args) => status::run(args, cx).await,
            Self::Refresh(args) => refresh::run(args, cx).await,
            Self::Revoke(args) => revoke::run(args, cx).await,
            Self::Logout(args) => logout::run(args, cx).await,
            Self::Introspect(args) => introspect::run(args, cx).await,
            Self::Claims(args) => claims::run(args, cx).await,
            Self::Store(args) => store::run(args, cx).await,
            Self::GitCredential(args) => git_credential::run(args, cx).await,
            Self::Kubectl(args) => kubectl::run(args, cx).await,
            Self::Headers(args) => headers::run(args, cx).await,
            Self::Completions(args) => completions::run(args, cx).await,
            Self::Man(args) => man::run(args, cx).await,
            Self::Doctor(args) => doctor::run(args, cx).await,
            Self::Trace(args) => trace::run(args, cx).await,
            #[cfg(feature = "devserver")]
            Self::Devserver(args) => devserver::run(args, cx).await,
        }
    }
}
