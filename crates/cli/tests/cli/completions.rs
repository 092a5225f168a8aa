//! `jeton completions`, tried in the shells themselves: what the Tab key makes of a line.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use jeton_tests::terminal::Terminal;

use crate::world::{World, has, run};

/// Two profiles, one of which nobody takes for a command.
fn world() -> World {
    let world = World::new();
    world.person_profile("quarterly-reports");
    world.person_profile("play");
    world
}

/// A shell that finds the binary by its name, and its own files in the home folder.
fn shell(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(arguments[0]);
    command.args(&arguments[1..]).env_clear().current_dir(world.home());
    for (name, value) in world.environment() {
        command.env(name, value);
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_jeton")).parent().unwrap().to_owned();
    let folders = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    command.env("PATH", std::env::join_paths([vec![binaries], folders].concat()).unwrap());
    command.env("ZDOTDIR", world.home());
    command
}

/// Types the beginning of a line, presses Tab, and waits until the line is what it should be.
fn completes(terminal: &Terminal, typed: &str, expected: &str) {
    terminal.type_text(&format!("{typed}\t"));
    terminal.wait_for(expected);
    // Away with the line: nothing is run.
    terminal.type_text("\x15");
    terminal.wait_until("the line is empty", |text| text.trim_end().ends_with('>'));
}

const LINES: [(&str, &str); 5] = [
    ("jeton intro", "jeton introspect"),
    ("jeton token --min", "jeton token --min-valid"),
    ("jeton token quart", "jeton token quarterly-reports"),
    ("jeton git-credential --profile pl", "jeton git-credential --profile play"),
    ("jeton token --color nev", "jeton token --color never"),
];

#[test]
fn bash_completes_commands_options_and_profiles() {
    if !has(&["bash"]) {
        return;
    }
    let world = world();
    let terminal = Terminal::start(shell(&world, &["bash", "--norc", "--noprofile", "-i"]));
    terminal.type_line("PS1='ready>'; source <(jeton completions bash)");
    terminal.wait_until("a prompt", |text| {
        text.trim_end().ends_with("ready>") && text.matches("ready>").count() > 1
    });
    for (typed, expected) in LINES {
        completes(&terminal, typed, expected);
    }
}

#[test]
fn zsh_completes_commands_options_and_profiles() {
    if !has(&["zsh"]) {
        return;
    }
    let world = world();
    std::fs::create_dir(world.home().join("zfunc")).unwrap();
    world.file("zfunc/_jeton", world.jeton(["completions", "zsh"]).answer());
    world.file(".zshrc", "fpath=(~/zfunc $fpath)\nautoload -Uz compinit\ncompinit -u\nPS1='ready>'\nunsetopt zle_bracketed_paste\n");
    let terminal = Terminal::start(shell(&world, &["zsh", "-d", "-i"]));
    terminal.wait_for("ready>");
    for (typed, expected) in LINES {
        completes(&terminal, typed, expected);
    }
}

#[test]
fn fish_completes_commands_options_and_profiles() {
    if !has(&["fish"]) {
        return;
    }
    let world = world();
    world.file("jeton.fish", world.jeton(["completions", "fish"]).answer());
    for (typed, expected) in LINES {
        let script = format!("source jeton.fish; complete -C '{typed}'");
        let ran = run(&mut shell(&world, &["fish", "--no-config", "-c", &script]), b"");
        let word = expected.rsplit(' ').next().unwrap();
        assert!(ran.answer().lines().any(|line| line.split('\t').next() == Some(word)), "{typed}: {ran}");
    }
}

#[test]
fn the_other_shells_get_the_commands_and_no_marks_of_ours() {
    let world = world();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = world.jeton(["completions", shell]);
        assert!(
            script.answer().contains("git-credential") && script.answer().contains("min-valid"),
            "{shell}"
        );
        assert!(!script.answer().contains("NAMES_OF_PROFILES"), "{shell}");
        assert!(script.stderr.is_empty(), "{script}");
    }
    world.jeton(["completions"]).failed(2);
    world.jeton(["completions", "tcsh"]).failed(2);
}

#[test]
fn unless_a_shell_is_named_it_is_that_of_the_person() {
    let world = World::new();
    let with = |shell: &str| run(world.command(["completions"]).env("SHELL", shell), b"");
    for (shell, named) in [("/usr/bin/zsh", "zsh"), ("/bin/fish", "fish")] {
        assert_eq!(with(shell).answer(), world.jeton(["completions", named]).answer());
    }
    assert!(with("/bin/tcsh").failed(2).contains("jeton completions bash, or zsh"));
    assert!(world.jeton(["completions"]).failed(2).contains("SHELL"));
}

#[test]
fn without_profiles_nothing_is_offered_and_nothing_is_said() {
    if !has(&["bash"]) {
        return;
    }
    let world = World::new();
    let ran = world.jeton(["completions", "--profiles"]);
    assert_eq!((ran.answer().trim(), ran.stderr.as_str()), ("", ""));
    let script = "source <(jeton completions bash); COMP_WORDS=(jeton token q); COMP_CWORD=2; _jeton jeton q token; echo \"<${COMPREPLY[*]}>\"";
    let ran = run(&mut shell(&world, &["bash", "-c", script]), b"");
    assert_eq!(ran.answer(), "<>\n");
}
