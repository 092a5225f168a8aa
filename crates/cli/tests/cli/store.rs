//! `jeton store`: says where logins are and why; `jeton store move` takes them along, and nothing is lost on the way.

use std::path::PathBuf;

use jeton_devserver::DevServer;
use serde_json::json;

use crate::world::{World, run};

fn passphrase(world: &World) -> PathBuf {
    world.file("passphrase", "a long passphrase of the tests\n")
}

#[test]
fn it_says_where_logins_are_and_why() {
    let world = World::new();
    world.signed_in("work");
    world.service_profile("job");
    let ran = world.jeton(["store", "--json"]);
    let answer = ran.json();
    assert_eq!(answer["store"]["kind"], "file");
    assert_eq!(answer["store"]["location"], world.state_folder().join("logins").to_str().unwrap());
    assert_eq!(
        (&answer["store"]["encrypted"], &answer["store"]["persistent"]),
        (&json!(false), &json!(true))
    );
    assert_eq!((&answer["logins"], &answer["registrations"]), (&json!(1), &json!(1)));
    assert_eq!(answer["better"], json!(null), "there is no bus here");
    let text = world.jeton(["store"]);
    assert!(text.answer().starts_with("Logins are kept in a file that is not encrypted.\n"), "{text}");
    assert!(text.answer().contains("1 login, 1 client secret or registration"), "{text}");
    assert!(text.answer().contains("`jeton --store sealed store move`"), "{text}");
    text.shows_none_of(&world.secrets("work"));
}

#[test]
fn logins_that_were_sealed_are_found_by_the_next_command() {
    let world = World::new();
    world.signed_in("work");
    let secrets = world.secrets("work");
    let file = std::fs::read_to_string(world.profiles_file()).unwrap();
    assert!(file.contains("store = \"file\""), "{file}");
    // As where nobody set anything.
    std::fs::write(world.profiles_file(), file.replace("store = \"file\"", "# mine")).unwrap();
    let with_passphrase = |arguments: &[&'static str]| {
        let mut command = world.command(arguments.iter().copied());
        run(command.env("JETON_PASSPHRASE_FILE", passphrase(&world)), b"")
    };
    let ran = with_passphrase(&["--store", "sealed", "store", "move", "--yes"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("is written to"), "{ran}");
    let file = std::fs::read_to_string(world.profiles_file()).unwrap();
    assert!(file.contains("# mine") && file.contains("store = \"sealed\""), "{file}");
    assert_eq!(with_passphrase(&["token", "work"]).answer().trim(), secrets[0]);
    let plain = with_passphrase(&["--store", "file", "token", "work"]);
    assert!(plain.failed(6).contains("store = \"sealed\""), "{plain}");
    assert!(!plain.stderr.contains("remove"), "nobody is led to delete logins: {plain}");
}

#[test]
fn logins_move_to_sealed_files_and_work_there() {
    let world = World::new();
    world.signed_in("work");
    world.service_profile("job");
    let passphrase = passphrase(&world);
    let secrets = world.secrets("work");
    let sealed = |arguments: &[&'static str]| {
        let mut command = world.command(["--store", "sealed"].into_iter().chain(arguments.iter().copied()));
        run(command.env("JETON_PASSPHRASE_FILE", &passphrase), b"")
    };
    // Nobody is asked where nobody is.
    assert!(sealed(&["store", "move"]).failed(2).contains("jeton --store sealed store move --yes"));
    let ran = sealed(&["store", "move", "--yes", "--json"]);
    let answer = ran.json();
    assert_eq!((&answer["from"], &answer["to"]), (&json!("file"), &json!("sealed")));
    assert_eq!(answer["failed"], json!([]));
    let moved = answer["moved"].as_array().unwrap();
    assert_eq!(moved.len(), 2, "{answer:#}");
    let login = moved.iter().find(|entry| entry["registration"] == false).expect("the login");
    assert_eq!((&login["account"], &login["how"]), (&json!("work"), &json!("moved")));
    assert_eq!(login["client_id"], DevServer::PUBLIC_CLIENT);
    ran.shows_none_of(&secrets);
    // The profiles file still says `file`, and is named.
    assert!(ran.stderr.contains("sets another `store`"), "{ran}");

    // They are nowhere in plain text any more, and work.
    for entry in std::fs::read_dir(world.state_folder().join("logins")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_none_or(|kind| kind != "json"), "{} was left", path.display());
    }
    for entry in std::fs::read_dir(world.state_folder().join("sealed")).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in &secrets {
            assert!(!content.windows(secret.len()).any(|part| part == secret.as_bytes()), "in plain text");
        }
    }
    assert_eq!(sealed(&["token", "work"]).answer().trim(), secrets[0]);
    assert_eq!(sealed(&["store", "--json"]).json()["logins"], 1);
    // Again: nothing is left to be moved.
    let again = sealed(&["store", "move", "--yes"]);
    assert!(again.answer().starts_with("Nothing had to be moved"), "{again}");
    // The old place does not begin a second life.
    let failure = world.jeton(["token", "work"]);
    assert!(failure.failed(6).contains("sealed files"), "{failure}");
}

#[test]
fn nothing_is_moved_to_a_lesser_store_or_one_that_is_not_there() {
    let world = World::new();
    world.signed_in("work");
    let lesser = world.jeton(["--store", "file", "store", "move", "--yes", "--json"]);
    assert_eq!(lesser.failed_json(2)["code"], "usage");
    let absent = world.jeton(["--store", "keychain", "store", "move", "--yes", "--json"]);
    assert_eq!(absent.failed_json(6)["code"], "store");
    let elsewhere = world.jeton(["--store", "keychain", "token", "work"]);
    let said = elsewhere.failed(6);
    assert!(
        said.contains("\n  do:  ") && !said.contains("remove") && said.contains("`--store file`"),
        "{said}"
    );
    assert_eq!(world.jeton(["store", "--json"]).json()["logins"], 1);
    assert_eq!(world.jeton(["token", "work"]).answer().trim(), world.secrets("work")[0]);
}

#[test]
fn a_login_that_cannot_be_read_keeps_all_where_they_are() {
    let world = World::new();
    world.signed_in("work");
    world.signed_in("home");
    let logins = world.state_folder().join("logins");
    let mut records = std::fs::read_dir(&logins).unwrap().map(|entry| entry.unwrap().path());
    let record = records.find(|path| path.extension().is_some_and(|kind| kind == "json")).unwrap();
    std::fs::write(&record, "{").unwrap();
    let shown = world.jeton(["store"]);
    assert_eq!(shown.code, Some(6), "{shown}");
    assert!(shown.stderr.contains("damaged"), "{shown}");
    let mut command = world.command(["--store", "sealed", "store", "move", "--yes", "--json"]);
    let ran = run(command.env("JETON_PASSPHRASE_FILE", passphrase(&world)), b"");
    assert_eq!(ran.code, Some(6), "{ran}");
    assert!(record.exists(), "it is left where it was");
    assert_eq!(world.jeton(["store", "--json"]).code, Some(6));
}

#[test]
fn a_passphrase_that_is_wrong_or_not_there_is_told_as_such() {
    let world = World::new();
    world.signed_in("work");
    let sealed = |arguments: &[&'static str], passphrase: &std::path::Path| {
        let mut command = world.command(["--store", "sealed"].into_iter().chain(arguments.iter().copied()));
        run(command.env("JETON_PASSPHRASE_FILE", passphrase), b"")
    };
    sealed(&["store", "move", "--yes"], &passphrase(&world)).answer();
    let nowhere = world.home().join("nowhere");
    let ran = sealed(&["token", "work"], &nowhere);
    let what = format!("jeton: the passphrase file {} cannot be read\n", nowhere.display());
    assert!(ran.failed(2).starts_with(&what) && ran.stderr.contains("  do:  write the passphrase"), "{ran}");
    let wrong = world.file("wrong", "another one");
    let ran = sealed(&["token", "work"], &wrong);
    assert!(ran.failed(6).starts_with("jeton: the passphrase of the store is wrong\n"), "{ran}");
    let folder = world.state_folder().join("sealed");
    assert!(ran.stderr.contains(folder.to_str().unwrap()) && ran.stderr.contains("forgotten"), "{ran}");
    sealed(&["token", "work"], &passphrase(&world)).answer();
}

#[cfg(unix)]
mod at_a_terminal {
    use jeton_tests::terminal::Terminal;

    use super::{World, passphrase};

    #[test]
    fn a_new_passphrase_is_typed_twice_and_a_wrong_one_may_be_typed_again() {
        let world = World::new();
        world.signed_in("work");
        let start = |arguments: &[&'static str]| {
            Terminal::start(world.command(["--store", "sealed"].into_iter().chain(arguments.iter().copied())))
        };
        for (first, second, code) in
            [("a slip", "a slop", 2), ("", "", 2), ("the right one", "the right one", 0)]
        {
            let mut terminal = start(&["store", "move", "--yes"]);
            terminal.wait_for("New passphrase for sealed files:");
            terminal.type_line(first);
            if !first.is_empty() {
                terminal.wait_for("Once more:");
                terminal.type_line(second);
            }
            terminal.ended_with(code);
            let text = terminal.text();
            assert!(!text.contains("a sl") && !text.contains("right one"), "it is not shown: {text}");
            assert_eq!(text.contains("not the same"), first != second, "{text}");
        }

        let mut terminal = start(&["token", "work"]);
        for (asked, typed) in ["wrong", "wrong again", "the right one"].into_iter().enumerate() {
            terminal
                .wait_until("it asks", |text| text.matches("Passphrase of the store:").count() == asked + 1);
            assert_eq!(terminal.text().matches("That is not the passphrase.").count(), asked);
            terminal.type_line(typed);
        }
        terminal.ended_with(0);
        let mut terminal = start(&["token", "work"]);
        for asked in 1..=3 {
            terminal.wait_until("it asks", |text| text.matches("Passphrase of the store:").count() == asked);
            terminal.type_line("wrong");
        }
        terminal.ended_with(6);
        assert!(
            terminal.text().contains("jeton: the passphrase of the store is wrong"),
            "{}",
            terminal.text()
        );
    }

    fn moving(world: &World) -> Terminal {
        let mut command = world.command(["--store", "sealed", "store", "move"]);
        command.env("JETON_PASSPHRASE_FILE", passphrase(world));
        Terminal::start(command)
    }

    #[test]
    fn somebody_is_asked_before_logins_move_and_no_is_an_answer() {
        let world = World::new();
        world.signed_in("work");
        for refusal in ["n", "", "what?"] {
            let mut terminal = moving(&world);
            terminal.wait_for("Move 1 login out of a file that is not encrypted");
            terminal.type_line(refusal);
            terminal.ended_with(4);
            assert_eq!(world.jeton(["store", "--json"]).json()["logins"], 1);
        }
        let mut terminal = moving(&world);
        terminal.wait_for("[y/N]");
        terminal.type_line("y");
        terminal.wait_for("1 moved to sealed files.");
        terminal.ended_with(0);
        // A path stays whole, so that it can be copied.
        let text = terminal.text().replace(world.home().to_str().unwrap(), "~");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
