//! The user guide says what is so: its commands are taken by the parser, its tables are complete.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use crate::arguments::Arguments;
use crate::examples::calls;
use crate::exit;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;

const README: &str = include_str!("../README.md");

/// What stands in code marks in the first column of the table whose head begins so.
fn first_column(head: &str) -> BTreeSet<String> {
    let table = README.split(&format!("| {head}")).nth(1).expect("a table with that head");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_start_matches('|').split('|').next().unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The fenced blocks of that language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn each_key_of_a_profile_is_explained_and_no_other_one() {
    // serde lists what it knows.
    let error = toml::from_str::<Profile>("x = 1").unwrap_err().message().to_owned();
    let known: BTreeSet<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(known.contains("issuer") && known.contains("parameters"), "{error}");
    assert_eq!(first_column("key of a profile"), known);
}

#[test]
fn the_file_in_it_is_a_profiles_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("profiles.toml");
    let examples = blocks("toml");
    assert_eq!(examples.len(), 1);
    std::fs::write(&file, examples[0]).unwrap();
    let profiles = ProfilesFile::read(Some(&file)).unwrap();
    assert_eq!(profiles.choose(None).unwrap().0, "work");
}

#[test]
fn the_parser_takes_its_commands_and_all_are_there() {
    let mut seen = BTreeSet::new();
    let lines = blocks("sh")
        .into_iter()
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    for line in lines {
        for mut call in calls(line.trim_start_matches("exec ")) {
            // What Bazel puts there.
            call.iter_mut().filter(|word| *word == "$@").for_each(|word| *word = "get".to_owned());
            if let Err(error) = Arguments::try_parse_from(&call) {
                panic!("{line}\n{error}");
            }
            seen.insert(call[1].clone());
        }
    }
    let mut command = Arguments::command();
    command.build();
    for command in command.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help") {
        assert!(
            seen.contains(command) || README.contains(&format!("`jeton {command}")),
            "{command} is not mentioned"
        );
    }
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let of_the_help = exit::TABLE.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    let of_the_help: Vec<String> = of_the_help.map(|(code, text)| format!("| {code} | {text} |")).collect();
    assert!(of_the_help.len() > 8);
    for row in of_the_help {
        assert!(README.contains(&row), "{row}");
    }
}

#[test]
fn each_variable_of_ours_is_explained() {
    let mut read = BTreeSet::new();
    collect_variables(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut read);
    assert!(read.contains("JETON_CONFIG"), "{read:?}");
    let explained = first_column("variable");
    let missing: Vec<_> = read.difference(&explained).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names in quotation marks that begin with `JETON_`, in the files below.
fn collect_variables(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_variables(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("\"JETON_").skip(1) {
            let name = part.split('"').next().unwrap();
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                names.insert(format!("JETON_{name}"));
            }
        }
    }
}
