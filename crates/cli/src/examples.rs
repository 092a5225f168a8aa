//! The examples in the help texts are right: the binary's own parser takes them.

use clap::{Command, CommandFactory as _, Parser as _};

use crate::arguments::Arguments;

/// The lines of a command's examples, each in one piece.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let joined = help.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| line.trim().to_owned()).collect()
}

/// The calls of jeton in a line of shell, as words: at its beginning, behind a pipe, and in `$(...)`.
pub(crate) fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let starts = line.match_indices("jeton ").map(|(place, _)| place);
    for start in starts {
        let before = line[..start].trim_end();
        let in_parentheses = before.ends_with("$(") || before.ends_with("<(");
        let variables = before.split(' ').all(|word| word.is_empty() || word.contains('='));
        if !(before.is_empty() || in_parentheses || variables || before.ends_with(['|', '&', ';'])) {
            continue;
        }
        calls.push(words(&line[start..], in_parentheses));
    }
    calls
}

/// The words up to where the call ends.
fn words(text: &str, in_parentheses: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ')') if in_parentheses => break,
            (None, '|' | '>' | '<' | ';' | '&' | '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_parser_takes_the_examples_of_its_help() {
    let mut root = Arguments::command();
    root.build();
    let mut wrong = Vec::new();
    let commands = root.get_subcommands().filter(|command| command.get_name() != "help");
    for command in std::iter::once(&root).chain(commands) {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        // clap would break them.
        let wide = help.lines().filter(|line| line.chars().count() > 80);
        wrong.extend(wide.map(|line| format!("{name}: wider than 80 columns: {line}")));
        let mut own = 0;
        for line in examples(command) {
            for call in calls(&line) {
                own += usize::from(name == "jeton" || call.iter().any(|word| word == name));
                if let Err(error) = Arguments::try_parse_from(&call) {
                    wrong.push(format!("{name}: {line}\n{error}"));
                }
            }
        }
        if own == 0 {
            wrong.push(format!("{name}: no example of it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn calls_are_found_where_a_shell_finds_them() {
    let of = |line: &str| calls(line).iter().map(|call| call.join(" ")).collect::<Vec<_>>();
    assert_eq!(of("curl -H \"$(jeton token work --header)\" https://x"), ["jeton token work --header"]);
    assert_eq!(of("echo x | jeton headers work --bazel get > y"), ["jeton headers work --bazel get"]);
    assert_eq!(of("jeton run work -- sh -c 'echo $X | wc'"), ["jeton run work -- sh -c echo $X | wc"]);
    assert_eq!(of("git config x '!jeton git-credential'"), [""; 0]);
    assert_eq!(of("A=b jeton token"), ["jeton token"]);
}
