//! The command that was typed, to be typed again: until the first login has worked, no profile knows its options.

use std::ffi::OsString;

use jeton::models::is_deceptive;

/// Longer ones nobody reads.
const LONGEST: usize = 1000;

/// Advice to type the same command again, with further options if they are not there yet: `before`, and the command in its own line.
pub(super) fn again(before: &str, further: &[&str]) -> String {
    advice(before, std::env::args_os().skip(1), further)
}

fn advice(before: &str, arguments: impl Iterator<Item = OsString>, further: &[&str]) -> String {
    match command(arguments, further) {
        Some(command) => format!("{before}:\n{command}"),
        None if further.is_empty() => format!("{before}: the same command"),
        None => format!("{before}: the same command with {}", further.join(" ")),
    }
}

/// `None` for one that cannot be shown.
fn command(arguments: impl Iterator<Item = OsString>, further: &[&str]) -> Option<String> {
    let mut words: Vec<String> = arguments.map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    // The value of a parameter may be a secret.
    if words.iter().any(|word| word.starts_with("--parameter") || word.chars().any(is_deceptive)) {
        return None;
    }
    let is_there = further.first().is_some_and(|option| words.iter().any(|word| word == option));
    if !is_there {
        words.extend(further.iter().map(|word| (*word).to_owned()));
    }
    let command = words.iter().fold("jeton".to_owned(), |command, word| command + " " + &quoted(word));
    (command.len() <= LONGEST).then_some(command)
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    match (!word.is_empty() && word.chars().all(is_plain), cfg!(windows)) {
        (true, _) => word.to_owned(),
        (false, true) => format!("\"{}\"", word.replace('"', "\\\"")),
        (false, false) => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str], further: &[&str]) -> String {
        advice("to try again", words.iter().map(OsString::from), further)
    }

    #[test]
    fn what_was_typed_can_be_typed_again() {
        let typed =
            ["login", "work", "--issuer", "https://as.example/a?b", "--scope", "read write", "--api", ""];
        if cfg!(not(windows)) {
            assert_eq!(
                said(&typed, &[]),
                "to try again:\njeton login work --issuer 'https://as.example/a?b' --scope 'read write' --api ''"
            );
            assert_eq!(said(&["login", "it's"], &[]), "to try again:\njeton login 'it'\\''s'");
        }
        assert_eq!(said(&["login", "x"], &["--trust", "i"]), "to try again:\njeton login x --trust i");
        let given = ["login", "x", "--client-secret-stdin"];
        assert_eq!(
            said(&given, &["--client-secret-stdin"]),
            "to try again:\njeton login x --client-secret-stdin"
        );
    }

    #[test]
    fn what_may_be_secret_or_steers_the_terminal_is_not_shown() {
        for words in [
            &["login", "--parameter", "password=x"][..],
            &["login", "--parameter=password=x"],
            &["a\u{1b}[2J"],
        ] {
            assert_eq!(said(words, &[]), "to try again: the same command");
        }
        assert_eq!(said(&["a\u{202e}"], &["--x"]), "to try again: the same command with --x");
        assert_eq!(said(&[&"a".repeat(2 * LONGEST)], &[]), "to try again: the same command");
    }
}
