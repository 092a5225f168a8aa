//! Wrong arguments, told as every other failure is: what, and what to do; with `--json` in JSON.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::arguments::Arguments;
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
    let failure = failure_of(&error.render().to_string(), &command_of(arguments));
    Output::new(json, false, Colour::Auto).failure(&failure);
    failure.exit
}

/// From clap's text: `error: what`, perhaps with lines that belong to it, `tip: ..`, `Usage: ..`.
fn failure_of(text: &str, command: &str) -> Failure {
    let mut paragraphs = text.split("\n\n").map(one_line);
    let what = paragraphs.next().unwrap_or_default();
    let (mut tips, mut usage) = (Vec::new(), None);
    for paragraph in paragraphs {
        if let Some(all) = paragraph.strip_prefix("tip: ") {
            // Somebody who wrote `-v` means an option, seldom a value that is spelled so.
            let meant = |tip: &&str| !(tip.starts_with("to pass ") && command != "jeton run");
            tips.extend(all.split(" tip: ").filter(meant).map(str::to_owned));
        } else if let Some(rest) = paragraph.strip_prefix("Usage: ") {
            usage = Some(rest.to_owned());
        }
    }
    // Named by what other programs call it.
    if command == "jeton" && ["'version'", "'-v'"].into_iter().any(|version| what.contains(version)) {
        tips = vec!["`jeton --version` prints the version".to_owned()];
    }
    let explained = format!("`{command} --help` explains it");
    let help = match (tips.is_empty(), &usage) {
        (false, _) => format!("{}; {explained}", tips.join("; ")),
        (true, Some(usage)) => format!("{usage}; {explained}"),
        (true, None) => explained,
    };
    Failure::usage(what.strip_prefix("error: ").unwrap_or(&what)).help(help)
}

/// The command that the arguments name, with the one beneath it, as in `jeton store move`.
fn command_of(arguments: &[OsString]) -> String {
    let mut root = Arguments::command();
    root.build();
    let (mut command, mut words) = (&root, vec![root.get_name()]);
    let mut arguments = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            break;
        }
        if let Some(option) = argument.strip_prefix("--") {
            let takes_value =
                |own: &&clap::Arg| own.get_long() == Some(option) && own.get_action().takes_values();
            if command.get_arguments().any(|own| takes_value(&own)) {
                arguments.next();
            }
        } else if let Some(beneath) = command.find_subcommand(&*argument) {
            words.push(beneath.get_name());
            command = beneath;
        } else if !argument.starts_with('-') {
            break;
        }
    }
    words.join(" ")
}

fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

    use clap::Parser as _;

    use super::*;

    fn failure(arguments: &str) -> Failure {
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        let error = Arguments::try_parse_from(&arguments).unwrap_err();
        failure_of(&error.render().to_string(), &command_of(&arguments))
    }

    #[test]
    fn the_help_of_the_command_that_failed_is_named() {
        for (arguments, command) in [
            ("jeton request -H foo https://api.example", "jeton request"),
            ("jeton request -v https://api.example", "jeton request"),
            ("jeton --config token request work -s https://api.example", "jeton request"),
            ("jeton --store=file token --min-valid soon", "jeton token"),
            ("jeton store move --nonsense", "jeton store move"),
            ("jeton --nonsense", "jeton"),
            ("jeton run token --min-valid soon -- ls", "jeton run"),
        ] {
            let help = failure(arguments).help.unwrap();
            assert!(help.ends_with(&format!("`{command} --help` explains it")), "{arguments}: {help}");
            assert!(!help.contains("as a value"), "{arguments}: {help}");
        }
    }

    #[test]
    fn wrong_arguments_are_told_in_three_parts() {
        let unknown = failure("jeton tokn");
        assert_eq!(unknown.what, "unrecognized subcommand 'tokn'");
        let help = unknown.help.unwrap();
        assert!(help.starts_with("a similar subcommand exists: 'token'; `jeton --help`"), "{help}");

        for arguments in ["jeton version", "jeton -v"] {
            assert!(failure(arguments).help.unwrap().starts_with("`jeton --version` prints"), "{arguments}");
        }
        assert!(!failure("jeton token -v").help.unwrap().contains("--version"));

        let missing = failure("jeton headers");
        assert!(missing.what.contains("required arguments were not provided: <NAME>"), "{}", missing.what);
        assert!(missing.help.unwrap().contains("`jeton headers --help`"));

        let wrong = failure("jeton token --min-valid soon");
        assert!(wrong.what.starts_with("invalid value 'soon' for '--min-valid"), "{}", wrong.what);
        assert_eq!(wrong.exit, Exit::Usage);
    }
}
