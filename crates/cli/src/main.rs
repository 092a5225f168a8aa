//! The `jeton` command: the library's logins for the shell, git, kubectl, curl and scripts.

mod arguments;
mod bearer;
mod client;
mod commands;
mod context;
mod credentials;
#[cfg(test)]
mod examples;
mod exit;
mod failure;
mod hidden_input;
mod interrupts;
mod login_state;
mod logins;
mod members;
mod output;
mod own_file;
mod plain_url;
mod printable;
mod profile;
mod profiles_error;
mod profiles_file;
#[cfg(test)]
mod readme;
mod slips;
mod store;
mod usage;
mod waiting;
mod when;
mod wrap;

use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

type Running<'a> = Pin<Box<dyn Future<Output = Result<Exit, Failure>> + 'a>>;

fn main() -> ExitCode {
    let arguments = arguments::of_process();
    let Arguments { global, command } = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage::told(&error, &arguments).into(),
    };
    let context = Context::new(global);
    // In a box of no particular type: what all commands are in is there once, whoever runs it.
    let running: Running<'_> = Box::pin(command.run(&context));
    // The library has threads of its own; this one waits.
    let ended = match command.needs_runtime() {
        true => waiting::on_a_runtime(running)
            .unwrap_or_else(|error| Err(Failure::io("no runtime could be started", &error))),
        false => waiting::on_this_thread(running),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit.into()
        }
    }
}
