//! Wrong arguments, told as every other failure is: what, and what to do; with `--json` in JSON.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Colour, Output};

/// Prints the help, the version, or what is wrong with the arguments.
pub(crate) fn told(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // Nobody reads: there is nobody to tell.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Success };
    }
    let own = arguments.iter().take_while(|argument| *argument != OsStr::new("--"));
    let json = own.into_iter().any(|argument| argument == OsStr::new("--json"));
    let failure = failure_of(&error.render().to_string());
    Output::new(json, false, Colour::Auto).failure(&failure);
    failure.exit
}

/// From clap's text: `error: what`, perhaps with lines that belong to it, `tip: ..`, `Usage: ..`.
fn failure_of(text: &str) -> Failure {
    let mut paragraphs = text.split("\n\n").map(one_line);
    let what = paragraphs.next().unwrap_or_default();
    let (mut tips, mut usage) = (Vec::new(), None);
    for paragraph in paragraphs {
        if let Some(tip) = paragraph.strip_prefix("tip: ") {
            tips.push(tip.replace(" tip: ", "; "));
        } else if let Some(rest) = paragraph.strip_prefix("Usage: ") {
            usage = Some(rest.to_owned());
        }
    }
    let command =
        usage.as_deref().unwrap_or("jeton").split(' ').take_while(|word| !word.starts_with(['-', '[', '<']));
    let explained = format!("`{} --help` explains it", command.collect::<Vec<_>>().join(" "));
    let help = match (tips.is_empty(), &usage) {
        (false, _) => format!("{}; {explained}", tips.join("; ")),
        (true, Some(usage)) => format!("{usage}; {explained}"),
        (true, None) => explained,
    };
    Failure::usage(what.strip_prefix("error: ").unwrap_or(&what)).help(help)
}

fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

    use clap::Parser as _;

    use super::*;
    use crate::arguments::Arguments;

    fn failure(arguments: &str) -> Failure {
        let error = Arguments::try_parse_from(arguments.split(' ')).unwrap_err();
        failure_of(&error.render().to_string())
    }

    #[test]
    fn wrong_arguments_are_told_in_three_parts() {
        let unknown = failure("jeton tokn");
        assert_eq!(unknown.what, "unrecognized subcommand 'tokn'");
        let help = unknown.help.unwrap();
        assert!(help.starts_with("a similar subcommand exists: 'token'; `jeton --help`"), "{help}");

        let missing = failure("jeton completions");
        assert!(missing.what.contains("required arguments were not provided: <SHELL>"), "{}", missing.what);
        assert!(missing.help.unwrap().contains("`jeton completions --help`"));

        let wrong = failure("jeton token --min-valid soon");
        assert!(wrong.what.starts_with("invalid value 'soon' for '--min-valid"), "{}", wrong.what);
        assert_eq!(wrong.exit, Exit::Usage);
    }
}
