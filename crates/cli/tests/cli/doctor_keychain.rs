//! `jeton doctor` and `jeton store` with a real keychain: gnome-keyring on a bus of the test's own. Run by
//! `cargo xtask test --only keychain`.

use std::collections::HashMap;

use serde_json::json;

use crate::doctor::{check, report};
use crate::secret_service::Session;
use crate::world::{Ran, World, holds, run};

/// The command within that session, where the person's home is the world's.
fn jeton(world: &World, session: &Session, arguments: &[&str]) -> Ran {
    let mut command = world.command(arguments.iter().copied());
    session.set_environment(&mut command);
    command.envs(world.environment());
    run(&mut command, b"")
}

/// How many entries of that service there are, locked ones too.
fn entries(session: &Session, service: &str) -> usize {
    let connection = session.connection();
    let secrets = zbus::blocking::Proxy::new(
        &connection,
        "org.freedesktop.secrets",
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service",
    )
    .unwrap();
    let found = secrets.call_method("SearchItems", &(HashMap::from([("service", service)]),)).unwrap();
    type Paths = Vec<zbus::zvariant::OwnedObjectPath>;
    let (unlocked, locked): (Paths, Paths) = found.body().deserialize().unwrap();
    unlocked.len() + locked.len()
}

#[test]
#[ignore = "needs a keychain"]
fn a_keychain_that_works_is_told_by_name_and_nothing_stays_in_it() {
    let (world, session) = (World::new(), Session::unlocked());
    let found = report(&jeton(&world, &session, &["--store", "auto", "doctor", "--json"]), 0);
    for (name, says) in [
        ("program", "gnome-keyring ("),
        ("there", "Secret Service, unlocked"),
        ("entry", "written, read and removed again"),
    ] {
        let check = check(&found, "keychain", name);
        assert_eq!(check["mark"], "ok", "{check:#}");
        assert!(check["found"].as_str().unwrap().contains(says), "{check:#}");
    }
    assert!(check(&found, "store", "chosen")["found"].as_str().unwrap().starts_with("the keychain"));
    assert_eq!(entries(&session, "jeton-doctor"), 0);
}

#[test]
#[ignore = "needs a keychain"]
fn a_locked_keychain_is_told_and_nobody_is_asked() {
    let (world, session) = (World::new(), Session::unlocked());
    session.lock();
    let (_nobody, asked) = session.with_nobody_at_the_screen();
    // The store of this world is a file, for which it does not matter.
    let found = report(&jeton(&world, &session, &["doctor", "--json"]), 0);
    assert_eq!(check(&found, "keychain", "locked")["mark"], "note");
    assert_eq!(check(&found, "store", "chosen")["mark"], "ok");
    let found = report(&jeton(&world, &session, &["--store", "auto", "doctor", "--json"]), 8);
    assert_eq!(check(&found, "keychain", "locked")["mark"], "mend");
    assert_eq!(check(&found, "store", "chosen")["mark"], "note");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
#[ignore = "needs a keychain"]
fn a_keychain_that_does_not_answer_is_told_and_the_rest_is_looked_at() {
    let (world, session) = (World::new(), Session::unlocked());
    session.suspend_daemon();
    let found = report(&jeton(&world, &session, &["doctor", "--json"]), 0);
    session.resume_daemon();
    let answer = check(&found, "keychain", "answer");
    assert_eq!(answer["mark"], "note");
    assert!(answer["found"].as_str().unwrap().contains("gave no answer"), "{answer:#}");
    assert_eq!(check(&found, "folder", "locks")["mark"], "ok");
}

#[test]
#[ignore = "needs a keychain"]
fn a_session_without_a_keychain_is_told_apart_from_one_without_a_bus() {
    let (world, session) = (World::new(), Session::without_service());
    let found = report(&jeton(&world, &session, &["doctor", "--json"]), 0);
    let there = check(&found, "keychain", "there");
    assert!(there["found"].as_str().unwrap().contains("no Secret Service runs here"), "{there:#}");
    let found = report(&world.jeton(["doctor", "--json"]), 0);
    let there = check(&found, "keychain", "there");
    assert!(there["found"].as_str().unwrap().contains("D-Bus"), "{there:#}");
    assert!(there["do"].as_str().unwrap().contains("start a Secret Service"), "{there:#}");
}

#[test]
#[ignore = "needs a keychain"]
fn logins_in_a_file_move_to_the_keychain_once_there_is_one() {
    let (world, session) = (World::new(), Session::unlocked());
    world.signed_in("work");
    world.service_profile("job");
    let secrets = world.secrets("work");
    let shown = jeton(&world, &session, &["store", "--json"]).json();
    assert_eq!((&shown["store"]["kind"], &shown["better"]), (&json!("file"), &json!("keychain")));
    let found = report(&jeton(&world, &session, &["doctor", "--json"]), 0);
    assert_eq!(check(&found, "store", "better")["do"], "jeton --store keychain store move");

    let ran = jeton(&world, &session, &["--store", "keychain", "store", "move", "--yes", "--json"]);
    let answer = ran.json();
    assert_eq!((&answer["from"], &answer["to"]), (&json!("file"), &json!("keychain")));
    assert_eq!(answer["moved"].as_array().unwrap().len(), 2, "{answer:#}");
    assert!(ran.stderr.contains("sets another `store`"), "{ran}");
    for secret in &secrets {
        assert!(!holds(world.home(), secret), "it lies in a file, too");
    }
    assert_eq!(jeton(&world, &session, &["--store", "auto", "token", "work"]).answer().trim(), secrets[0]);
    let shown = jeton(&world, &session, &["--store", "auto", "store", "--json"]).json();
    assert_eq!((&shown["store"]["kind"], &shown["store"]["encrypted"]), (&json!("keychain"), &json!(true)));
    assert_eq!((&shown["logins"], &shown["registrations"]), (&json!(1), &json!(1)));
}
