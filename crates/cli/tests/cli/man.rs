//! `jeton man`: the pages are there, say what they should, and those who read man pages find no fault with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::help::commands;
use crate::world::{World, has, run};

#[test]
fn each_command_has_a_page_that_man_takes_without_a_warning() {
    let world = World::new();
    let folder = world.home().join("share/man1");
    let written = world.jeton(["--json", "man", "--dir", folder.to_str().unwrap()]).json();
    let names: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(written["files"].as_array().unwrap().len(), names.len());
    let mut expected: BTreeSet<String> =
        commands(&world).iter().map(|name| format!("jeton-{name}.1")).collect();
    expected.insert("jeton.1".to_owned());
    expected.insert("jeton-store-move.1".to_owned());
    assert!(names.is_superset(&expected), "{names:?}");
    for name in names {
        let file = folder.join(&name);
        nobody_complains(&world, &file);
        let page = std::fs::read_to_string(&file).unwrap();
        for heading in
            ["NAME", "SYNOPSIS", "EXAMPLES", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!(".SH {heading}\n")), "{name} has no {heading}");
        }
        assert!(page.contains("\\fB3\\fR\n"), "{name} has no exit codes");
    }
}

/// Neither mandoc nor groff.
fn nobody_complains(world: &World, file: &Path) {
    if !has(&["mandoc", "groff"]) {
        return;
    }
    let lint = run(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(file), b"");
    let said = String::from_utf8_lossy(&lint.stdout);
    assert_eq!((lint.code, &*said, lint.stderr.as_str()), (Some(0), "", ""), "{}", file.display());
    let groff = ["-man", "-ww", "-z", "-T", "utf8"];
    let groff = run(Command::new("groff").args(groff).arg(file).current_dir(world.home()), b"");
    assert_eq!((groff.code, groff.stderr.as_str()), (Some(0), ""), "{}", file.display());
}

#[test]
fn one_page_is_printed_and_the_same_on_each_machine_that_names_the_day() {
    let world = World::new();
    let page = run(world.command(["man", "token"]).env("SOURCE_DATE_EPOCH", "86400"), b"");
    assert!(page.answer().contains("JETON-TOKEN 1 1970-01-02"), "{page}");
    assert!(page.answer().contains("jeton token work"));
    assert!(world.jeton(["man"]).answer().contains(".SH SUBCOMMANDS"));
    world.jeton(["man", "nothing"]).failed(2);
    for page in [world.jeton(["man", "login"]), world.jeton(["man"])] {
        let (_, keys) = page.answer().split_once(".SH \"PROFILES FILE\"\n").expect("the keys");
        for key in ["default", "issuer", "certificate, certificate_key", "parameters"] {
            assert!(keys.contains(&format!("\\fB{key}\\fR\n")), "{key}: {keys}");
        }
    }
    assert!(!page.answer().contains("PROFILES FILE"));
    world.jeton(["man", "token", "--dir", "x"]).failed(2);
    let file = world.file("file", "");
    world.jeton(["man", "--dir", file.to_str().unwrap()]).failed(1);
}
