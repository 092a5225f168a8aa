//! The command line of `cargo xtask`, parsed by hand: few commands, few options.

pub(crate) const HELP: &str = "\
cargo xtask COMMAND

  header              generate include/jeton.h from the crate ffi
  header --check      compare the committed header with a fresh one; fails if they differ
  test                all that the README promises, step by step, with a summary
  test --list         the steps and what they need
  test --only NAME    one step (may be given several times)
  faults [OPTIONS]    kill, suspend and starve processes that share a login, and count what is lost
                      (faults --help: its options); needs Unix
  interop [FILTER]    install and start a real authorization server, run jeton against it
                      (FILTER: only the tests whose name contains it); needs Node 20 or newer
  help                this text

A step whose tool is missing is skipped, with a word on what to install. With CI=true in the
environment a skipped step is a failure.";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    Help,
    List,
    Header { check: bool },
    Test { only: Vec<String> },
    Faults { arguments: Vec<String> },
    Interop { filter: Option<String> },
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
            "test" => Self::parse_test(arguments),
            "faults" => Ok(Self::Faults { arguments: arguments.collect() }),
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
        let mut only = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => return Ok(Self::List),
                "--only" => {
                    only.push(arguments.next().ok_or("--only wants the name of a step (see --list)")?)
                }
                other => return Err(format!("`test` does not know `{other}`")),
            }
        }
        Ok(Self::Test { only })
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_command_of_the_help() {
        assert_eq!(parse(""), Ok(Arguments::Help));
        assert_eq!(parse("--help"), Ok(Arguments::Help));
        assert_eq!(parse("header"), Ok(Arguments::Header { check: false }));
        assert_eq!(parse("header --check"), Ok(Arguments::Header { check: true }));
        assert_eq!(parse("test"), Ok(Arguments::Test { only: vec![] }));
        assert_eq!(parse("test --list"), Ok(Arguments::List));
        assert_eq!(
            parse("test --only fmt --only docs"),
            Ok(Arguments::Test { only: vec!["fmt".to_owned(), "docs".to_owned()] })
        );
        let options = ["--scenario", "storm", "--help"].map(str::to_owned).to_vec();
        assert_eq!(parse("faults --scenario storm --help"), Ok(Arguments::Faults { arguments: options }));
        assert_eq!(parse("interop"), Ok(Arguments::Interop { filter: None }));
        assert_eq!(parse("interop device"), Ok(Arguments::Interop { filter: Some("device".to_owned()) }));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("bench", "bench"),
            ("header --force", "--check"),
            ("header --check twice", "--check"),
            ("test --only", "--only"),
            ("test fast", "fast"),
            ("interop --fast", "--fast"),
            ("interop a b", "one filter"),
        ] {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(named), "{line}: {problem}");
        }
    }
}
