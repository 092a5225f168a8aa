//! The project's own commands, `cargo xtask COMMAND`: generate the C header, run all that the README
//! promises, run jeton against a real authorization server. Needs nothing but Rust; steps that need
//! another tool say so.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program talks to its terminal")]

mod arguments;
mod bench;
mod command;
mod disk;
mod dist;
mod faults;
mod fuzz;
mod header;
mod interop;
mod metadata;
mod outcome;
mod pictures;
mod project;
mod steps;
mod test;

use std::process::ExitCode;

use arguments::Arguments;
use disk::Builds;
use outcome::Stop;
use project::Project;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Failed(why) | Stop::Skipped(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Stop> {
    match arguments {
        Arguments::Help => {
            println!("{}", arguments::HELP);
            Ok(())
        }
        Arguments::List => {
            test::list();
            Ok(())
        }
        Arguments::Header { check: false } => header::write(&Project::load()?),
        Arguments::Header { check: true } => header::check(&Project::load()?),
        Arguments::Test { only, lean } => {
            test::run(&Project { builds: Builds::of_run(lean), ..Project::load()? }, &only)
        }
        Arguments::Bench { arguments } => bench::run(&Project::load()?, &arguments),
        Arguments::Faults { arguments } => faults::run(&Project::load()?, &arguments),
        Arguments::Fuzz { target, aim } => fuzz::run(&Project::load()?, target.as_deref(), aim),
        Arguments::Dist { prefix } => dist::run(&Project::load()?, prefix.as_deref()).map(drop),
        Arguments::Pictures { check: false } => pictures::draw(&Project::load()?),
        Arguments::Pictures { check: true } => pictures::check(&Project::load()?),
        Arguments::Interop { filter } => interop::run(&Project::load()?, filter.as_deref()),
    }
}
