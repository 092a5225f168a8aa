//! The command line of `cargo xtask`, parsed by hand: few commands, few options.

use crate::fuzz::{self, Aim};

pub(crate) const HELP: &str = "\
cargo xtask COMMAND

  header              generate include/jeton.h from the crate ffi
  header --check      compare the committed header with a fresh one; fails if they differ
  test                all that the README promises, step by step, with a summary
  test --list         the steps and what they need
  test --only NAME    one step (may be given several times)
  test --lean         remove after each step what no later one needs: less disk, but nothing is left to
                      build upon (CI=true in the environment does the same)
  dist [--prefix FOLDER]
                      build libjeton to be installed, with headers, pkg-config and CMake files, into a folder that
                      may be moved (target/prefix unless told)
  faults [OPTIONS]    kill, suspend and starve processes that share a login, and count what is lost
                      (faults --help: its options); needs Unix
  bench [FILTER] [OPTIONS]
                      cached reads, stores, ten thousand waiters, client credentials beside other clients
                      (bench --help: its options)
  bench ffi           what libjeton costs C and Go programs, beside libcurl, net/http and golang.org/x/oauth2
  bench size          what each feature adds to a program
  bench token         how long `jeton token` takes, beside other commands that print a stored token
  interop [FILTER]    install and start a real authorization server, run jeton against it
                      (FILTER: only the tests whose name contains it); needs Node 20 or newer
  fuzz [TARGET] [--seconds N]
                      look for inputs that break a parser (60 s for each target, or N); needs a C++ compiler
  fuzz [TARGET] --minimise
                      put what was found into fuzz/corpus, as few files as reach the same code
  pictures            draw the pictures of README anew; needs Chromium, Node 20 and gnome-keyring
  pictures --check    compare those of terminals with what the command shows today; fails if they differ
  help                this text

A step whose tool is missing is skipped, with a word on what to install. With CI=true in the
environment a skipped step is a failure.";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    Help,
    List,
    Header { check: bool },
    Test { only: Vec<String>, lean: bool },
    Dist { prefix: Option<String> },
    Faults { arguments: Vec<String> },
    Bench { arguments: Vec<String> },
    Interop { filter: Option<String> },
    Pictures { check: bool },
    Fuzz { target: Option<String>, aim: Aim },
}

impl Arguments {
    /// Parses the arguments after the program's name; the error is a sentence for the terminal.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let Some(command) = arguments.next() else { return Ok(Self::Help) };
        match command.as_str() {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "header" => match (arguments.next().as_deref(), arguments.next()) {
                (None, _) => Ok(Self::Header { check: false }),
                (Some("--check"), None) => Ok(Self::Header { check: true }),
                _ => Err("`header` takes nothing or --check".to_owned()),
            },
            "pictures" => match (arguments.next().as_deref(), arguments.next()) {
                (None, _) => Ok(Self::Pictures { check: false }),
                (Some("--check"), None) => Ok(Self::Pictures { check: true }),
                _ => Err("`pictures` takes nothing or --check".to_owned()),
            },
            "test" => Self::parse_test(arguments),
            "fuzz" => Self::parse_fuzz(arguments),
            "faults" => Ok(Self::Faults { arguments: arguments.collect() }),
            "bench" => Ok(Self::Bench { arguments: arguments.collect() }),
            "dist" => match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
                (None, _, _) => Ok(Self::Dist { prefix: None }),
                (Some("--prefix"), Some(prefix), None) => Ok(Self::Dist { prefix: Some(prefix) }),
                _ => Err("`dist` takes nothing or --prefix FOLDER".to_owned()),
            },
            "interop" => match (arguments.next(), arguments.next()) {
                (Some(filter), _) if filter.starts_with('-') => {
                    Err(format!("`interop` has no option {filter}"))
                }
                (filter, None) => Ok(Self::Interop { filter }),
                _ => Err("`interop` takes one filter at most".to_owned()),
            },
            other => Err(format!("there is no command `{other}`")),
        }
    }

    fn parse_test(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut only, mut lean) = (Vec::new(), false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => return Ok(Self::List),
                "--lean" => lean = true,
                "--only" => {
                    only.push(arguments.next().ok_or("--only wants the name of a step (see --list)")?)
                }
                other => return Err(format!("`test` does not know `{other}`")),
            }
        }
        Ok(Self::Test { only, lean })
    }

    fn parse_fuzz(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut target, mut aim) = (None, Aim::Search { seconds: fuzz::SECONDS });
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds = arguments.next().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                    aim = Aim::Search { seconds: seconds.ok_or("--seconds wants a number of seconds")? };
                }
                "--minimise" => aim = Aim::Minimise,
                name if !name.starts_with('-') && target.is_none() => target = Some(argument),
                other => return Err(format!("`fuzz` does not know `{other}`")),
            }
        }
        Ok(Self::Fuzz { target, aim })
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use crate::fuzz::{self, Aim};

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_command_of_the_help() {
        assert_eq!(parse(""), Ok(Arguments::Help));
        assert_eq!(parse("--help"), Ok(Arguments::Help));
        assert_eq!(parse("header"), Ok(Arguments::Header { check: false }));
        assert_eq!(parse("header --check"), Ok(Arguments::Header { check: true }));
        assert_eq!(parse("pictures"), Ok(Arguments::Pictures { check: false }));
        assert_eq!(parse("pictures --check"), Ok(Arguments::Pictures { check: true }));
        assert_eq!(parse("test"), Ok(Arguments::Test { only: vec![], lean: false }));
        assert_eq!(parse("test --list"), Ok(Arguments::List));
        assert_eq!(
            parse("test --only fmt --lean --only docs"),
            Ok(Arguments::Test { only: vec!["fmt".to_owned(), "docs".to_owned()], lean: true })
        );
        let options = ["--scenario", "storm", "--help"].map(str::to_owned).to_vec();
        assert_eq!(parse("faults --scenario storm --help"), Ok(Arguments::Faults { arguments: options }));
        assert_eq!(parse("dist"), Ok(Arguments::Dist { prefix: None }));
        assert_eq!(parse("dist --prefix p"), Ok(Arguments::Dist { prefix: Some("p".to_owned()) }));
        assert_eq!(parse("interop"), Ok(Arguments::Interop { filter: None }));
        assert_eq!(
            parse("fuzz"),
            Ok(Arguments::Fuzz { target: None, aim: Aim::Search { seconds: fuzz::SECONDS } })
        );
        assert_eq!(
            parse("fuzz scope --seconds 600"),
            Ok(Arguments::Fuzz { target: Some("scope".to_owned()), aim: Aim::Search { seconds: 600 } })
        );
        assert_eq!(parse("fuzz --minimise"), Ok(Arguments::Fuzz { target: None, aim: Aim::Minimise }));
        assert_eq!(parse("interop device"), Ok(Arguments::Interop { filter: Some("device".to_owned()) }));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("benchmark", "benchmark"),
            ("header --force", "--check"),
            ("header --check twice", "--check"),
            ("pictures all", "--check"),
            ("test --only", "--only"),
            ("test fast", "fast"),
            ("fuzz --seconds 0", "--seconds"),
            ("fuzz a b", "b"),
            ("fuzz --fast", "--fast"),
            ("dist --prefix", "--prefix"),
            ("interop --fast", "--fast"),
            ("interop a b", "one filter"),
        ] {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(named), "{line}: {problem}");
        }
    }
}
