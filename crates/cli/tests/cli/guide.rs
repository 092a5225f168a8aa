//! The members of the JSON answers are those that the user guide lists, no more and no less.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

/// The members in the guide's row of that command.
fn listed(command: &str) -> BTreeSet<String> {
    row_of(&format!("`{command}`"))
}

fn row_of(what: &str) -> BTreeSet<String> {
    let (_, guide) = include_str!("../../README.md").split_once("| command | members |").expect("the table");
    let head = format!("| {what} | ");
    let row = guide.lines().find_map(|line| line.strip_prefix(&head)).expect("a row of that");
    // What a member consists of stands in parentheses; what an option makes of it, behind a semicolon.
    let members: String = row.split(" (").map(|part| part.rsplit(')').next().unwrap()).collect();
    let members = members.split(';').take(1);
    members.flat_map(|part| part.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn the_answers_have_the_members_that_the_guide_lists() {
    let world = World::new();
    world.signed_in("work");
    let of = |command: &str, arguments: &[&str]| {
        let line = [&["--json"], arguments].concat();
        let answer = crate::world::run(&mut world.command(line.iter().copied()), b"").json();
        assert_eq!(members(&answer), listed(command), "{command}");
    };
    of("token", &["token", "work"]);
    of("status", &["status"]);
    let status = world.jeton(["--json", "status"]).json();
    assert_eq!(members(&status["store"]), row_of("`store` (wherever it is)"));
    assert_eq!(members(&status["logins"][0]["person"]), row_of("`person` (wherever it is)"));
    assert_eq!(members(&status["logins"][0]), row_of("one of `logins`"));
    assert_eq!(
        members(&world.jeton(["--json", "store"]).json()["store"]),
        row_of("`store` (wherever it is)")
    );
    of("refresh", &["refresh", "work"]);
    of("claims", &["claims", "work"]);
    of("store", &["store"]);
    of("revoke", &["revoke", "work"]);
    let logout = world.jeton(["--json", "logout", "work"]).json();
    assert_eq!(members(&logout), listed("logout"));
    assert_eq!(members(&world.jeton(["--json", "logout", "--all"]).json()), listed("logout"));
    assert_eq!(members(&logout["logouts"][0]), row_of("one of `logouts`"));
    world.service_profile("job");
    of("login", &["login", "job", "--git", "https://git.example"]);
    of("introspect", &["introspect", "job"]);
    let question = "protocol=https\nhost=git.example\n\n";
    let answer = world.jeton_with_input(["--json", "git-credential", "get"], question).json();
    assert_eq!(members(&answer), listed("git-credential get"));
    let checked = crate::world::run(&mut world.command(["--json", "doctor", "--offline", "job"]), b"");
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(members(&checked), listed("doctor"));
    of("trace", &["trace", "job"]);
    of("headers", &["headers", "job"]);
    of("kubectl", &["kubectl", "job"]);
    of("completions", &["completions", "bash"]);
    of("man", &["man", "token"]);
    of("login --list-providers", &["login", "--list-providers"]);
    of("request", &["request", "job", &world.server.resource_url()]);
    if crate::world::has(&["git"]) {
        of("git-credential --install", &["git-credential", "--install", "--profile", "job"]);
    }
    // It ends with its input.
    #[cfg(feature = "devserver")]
    of("devserver", &["devserver", "--until-stdin-closes"]);
    // The last one: the profiles file names another store, which every other command keeps to.
    let mut moving = world.command(["--json", "--store", "sealed", "store", "move", "--yes"]);
    moving.env("JETON_PASSPHRASE_FILE", world.file("passphrase", "a long passphrase"));
    let moved = crate::world::run(&mut moving, b"").json();
    assert_eq!(members(&moved), listed("store move"));
    let failed = world.jeton(["--json", "token", "nobody"]).failed_json(2);
    let row: BTreeSet<String> = ["code", "exit", "what", "why", "do"].map(str::to_owned).into();
    assert_eq!(members(&failed), row);
}
