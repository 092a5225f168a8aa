//! `cargo xtask bench token`: the command `jeton token` beside other commands that print a stored token.

use std::error::Error;
use std::path::{Path, PathBuf};

use jeton_bench::commands::{Places, cases, measure};
use jeton_bench::keychain::Keychain;
use jeton_bench::report::{Goal, Machine, Report};
use jeton_bench::server::Server;

const HELP: &str = "\
token JETON [--smoke] [--json]

  JETON    the command to time
  --smoke  everything once, not timed: fails if a result is wrong
  --json   JSON instead of a table";

/// Enough for a 95th percentile that means something, in about a minute.
const ROUNDS: usize = 200;

/// The bound on the median with a file store.
const GOAL_MS: f64 = 5.0;

fn main() -> Result<(), Box<dyn Error>> {
    use lexopt::{Arg, ValueExt};

    let (mut jeton, mut smoke, mut json) = (None, false, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("smoke") => smoke = true,
            Arg::Long("json") => json = true,
            Arg::Value(path) if jeton.is_none() => jeton = Some(PathBuf::from(path.string()?)),
            other => return Err(format!("{}\n\n{HELP}", other.unexpected()).into()),
        }
    }
    let jeton = jeton.ok_or(HELP)?;

    let program =
        std::env::current_exe()?.with_file_name(format!("jeton-bench{}", std::env::consts::EXE_SUFFIX));
    let server = Server::start(&program)?;
    let keychain = Keychain::start().ok();
    let folder = tempfile::Builder::new()
        .prefix("jeton-bench-")
        // Beside the program and not in the system's folder for temporary files, which may be in memory.
        .tempdir_in(program.parent().unwrap_or(Path::new(".")))?;
    let places = Places { jeton: &jeton, folder: folder.path() };
    let (cases, missing) = cases(&places, &server, keychain.as_ref())?;
    let rounds = if smoke { 1 } else { ROUNDS };
    let (table, median) = measure(&cases, &missing, rounds, std::fs::metadata(&jeton)?.len())?;
    if smoke {
        println!("every command that prints a token ran with the right result");
        return Ok(());
    }
    let goal = Goal {
        what: format!("jeton token, file store, median < {GOAL_MS} ms"),
        measured: median,
        met: median < GOAL_MS,
    };
    let machine = Machine::this("cargo xtask bench token".to_owned());
    let report = Report { machine, tables: vec![table], goals: vec![goal] };
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text()),
    }
    Ok(())
}
