//! `--quiet`: answers, warnings and failures, and not that something is done.

use crate::world::{World, run};

#[test]
fn that_it_is_done_is_not_said() {
    let world = World::new();
    world.service_profile("job");
    world.signed_in("work");
    for arguments in [
        &["login", "job", "--git", "https://git.example"][..],
        &["login", "job"],
        &["refresh", "job"],
        &["revoke", "job"],
        &["logout", "job"],
        &["logout", "--all"],
        &["logout", "--all"],
        &["man", "--dir", "pages"],
    ] {
        let ran = run(&mut world.command([&["--quiet"], arguments].concat()), b"");
        assert_eq!((ran.answer(), ran.stderr.as_str()), ("", ""), "{arguments:?}");
    }
    // It is done, for all that.
    assert!(std::fs::read_to_string(world.profiles_file()).unwrap().contains("https://git.example"));
    assert_eq!(world.server.live_logins(), 0);
    assert!(world.home().join("pages/jeton.1").exists());
}

#[test]
fn logins_are_moved_without_a_word() {
    let world = World::new();
    world.signed_in("work");
    let file = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), file.replace("store = \"file\"", "")).unwrap();
    let mut command = world.command(["--store", "sealed", "store", "move", "--yes", "-q"]);
    command.env("JETON_PASSPHRASE_FILE", world.file("passphrase", "a long passphrase"));
    let ran = run(&mut command, b"");
    assert_eq!((ran.answer(), ran.stderr.as_str()), ("", ""));
    assert!(world.state_folder().join("sealed").exists());
}

#[test]
fn answers_are_given_and_json_is_one() {
    let world = World::new();
    world.signed_in("work");
    let token = world.secrets("work")[0].clone();
    assert_eq!(world.jeton(["token", "work", "-q"]).answer().trim(), token);
    assert!(world.jeton(["request", "work", &world.server.resource_url(), "-q"]).answer().contains("alice"));
    assert!(world.jeton(["claims", "work", "-q"]).answer().contains("alice"));
    assert!(world.jeton(["store", "-q"]).answer().starts_with("Logins are kept in"));
    assert_eq!(world.jeton(["refresh", "work", "-q", "--json"]).json()["profile"], "work");
    assert_eq!(world.jeton(["logout", "work", "-q", "--json"]).json()["logouts"][0]["revoked"], true);
    assert!(world.jeton(["refresh", "work", "-q"]).failed(3).contains("jeton login work"));
}

#[test]
fn the_status_is_without_advice() {
    let world = World::new();
    world.signed_in("work");
    let (told, brief) = (world.jeton(["status"]), world.jeton(["status", "--quiet"]));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (told, brief) = (words(told.answer()), words(brief.answer()));
    assert!(told.contains("because") && told.contains("`jeton store` says"), "{told}");
    assert!(brief.contains("signed in as") && brief.contains("(not encrypted)"), "{brief}");
    assert!(told.starts_with(&brief) && !brief.contains("because"), "{brief}");
}
