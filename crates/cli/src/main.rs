//! The `jeton` command: the library's logins for the shell, git, kubectl, curl and scripts.

mod arguments;
mod bearer;
mod client;
mod commands;
mod context;
mod credentials;
mod exit;
mod failure;
mod output;
mod printable;
mod profile;
mod profiles_file;
mod store;
mod wrap;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::failure::Failure;

fn main() -> ExitCode {
    let Arguments { global, command } = Arguments::parse_from(arguments::of_process());
    let context = Context::new(global);
    // The library has threads of its own; this one waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(command.run(&context)),
        Err(error) => Err(Failure::io("no runtime could be started", &error)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit.into()
        }
    }
}
