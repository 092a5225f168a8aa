//! `jeton token` with a real keychain: gnome-keyring on a bus of the test's own. Run by `cargo xtask test --only keychain`.

use jeton_devserver::DevServer;

use crate::secret_service::Session;
use crate::world::{Ran, World, holds, run};

/// A service's profile; its secret comes by the environment.
fn world() -> World {
    let world = World::new();
    world.service_profile_without_secret("robot");
    world
}

/// The command within that session, where the person's home is the world's.
fn jeton(world: &World, session: &Session, store: &str) -> Ran {
    let mut command = world.command(["token", "robot", "--json"]);
    session.set_environment(&mut command);
    let (_, secret) = DevServer::SERVICE_CLIENT;
    command.envs(world.environment()).env("JETON_STORE", store).env("JETON_CLIENT_SECRET", secret);
    run(&mut command, b"")
}

fn requests(world: &World) -> u64 {
    world.server.stats().grant("client_credentials").requests
}

#[test]
#[ignore = "needs a keychain"]
fn a_token_in_the_keychain_is_printed_without_a_request() {
    let (world, session) = (world(), Session::unlocked());
    let first = jeton(&world, &session, "keychain").json();
    // Where the platform chooses, it is the same keychain.
    for store in ["keychain", "auto"] {
        assert_eq!(jeton(&world, &session, store).json(), first);
    }
    assert_eq!(requests(&world), 1);
    assert!(!holds(world.home(), first["access_token"].as_str().unwrap()), "it lies in a file, too");
}

#[test]
#[ignore = "needs a keychain"]
fn a_locked_keychain_is_an_error_of_the_store_and_no_reason_to_ask_the_server() {
    let (world, session) = (world(), Session::unlocked());
    jeton(&world, &session, "keychain").answer();
    session.lock();
    for store in ["keychain", "auto"] {
        let ran = jeton(&world, &session, store);
        let failure = ran.failed_json(6);
        assert_eq!(failure["code"], "store");
        assert!(failure["do"].as_str().unwrap().contains("unlock the keychain"), "{ran}");
    }
    assert_eq!(requests(&world), 1);
}

#[test]
#[ignore = "needs a keychain"]
fn where_there_is_no_keychain_only_a_file_that_was_allowed_is_taken() {
    let (world, session) = (world(), Session::without_service());
    jeton(&world, &session, "keychain").failed_json(6);
    assert_eq!(requests(&world), 0);
    let token = jeton(&world, &session, "auto").json();
    assert!(holds(world.home(), token["access_token"].as_str().unwrap()), "it lies in no file");
}

#[test]
#[ignore = "needs a keychain"]
fn a_keychain_that_went_away_is_missed_and_no_second_login_begun() {
    let (world, mut session) = (world(), Session::unlocked());
    jeton(&world, &session, "auto").answer();
    session.kill_daemon();
    let failure = jeton(&world, &session, "auto").failed_json(6);
    assert!(failure["why"].as_str().unwrap().contains("are in the keychain"), "{failure}");
    assert_eq!(requests(&world), 1);
    session.start_unlocked();
    jeton(&world, &session, "auto").answer();
    assert_eq!(requests(&world), 1);
}
