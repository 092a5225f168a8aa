//! `jeton token`, as scripts call it: what is printed, when the server is asked, and what is said when there is no token.

use std::thread;
use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_tests::browser::PATIENCE;
use serde_json::Value;

use crate::world::{Ran, World, holds, run};

/// So many processes ask at once.
const CROWD: usize = 50;

fn refreshes(world: &World) -> u64 {
    world.server.stats().grant("refresh_token").requests
}

fn stored(world: &World) -> String {
    world.record("work").tokens[0].access_token.expose().to_owned()
}

#[test]
fn fifty_processes_and_an_expired_token_are_one_request() {
    let world = World::new();
    world.signed_in("work");
    let old = stored(&world);
    world.expire("work");
    // The first one is held at the server until all the others have been started.
    world.server.fault(Endpoint::Token, Fault::Gate);
    let tokens: Vec<String> = thread::scope(|scope| {
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let child = world.begun(["token", "work"]);
                scope.spawn(move || child.wait_with_output().unwrap())
            })
            .collect();
        assert!(world.server.wait_until_held_blocking(1, PATIENCE));
        world.server.open_gate();
        let ended = crowd.into_iter().map(|one| one.join().unwrap());
        ended
            .map(|output| {
                assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            })
            .collect()
    });
    assert_eq!(refreshes(&world), 1);
    assert_eq!(tokens, vec![format!("{}\n", stored(&world)); CROWD]);
    assert_ne!(stored(&world), old);
}

#[test]
fn a_token_that_is_valid_for_too_short_a_time_is_refreshed() {
    let world = World::new();
    world.signed_in("work");
    let old = stored(&world);
    assert_eq!(world.jeton(["token", "work", "--min-valid", "20m"]).answer().trim_end(), old);
    assert_eq!(refreshes(&world), 0);
    leave(&world, Duration::from_secs(60));
    assert_eq!(world.jeton(["token", "work"]).answer().trim_end(), old);
    let new = world.jeton(["token", "work", "--min-valid", "2m"]);
    assert_ne!(new.answer().trim_end(), old);
    assert_eq!((refreshes(&world), new.stderr.as_str()), (1, ""));
}

#[test]
fn more_than_the_server_gives_is_no_failure_but_told() {
    let world = World::new();
    world.signed_in("work");
    let old = stored(&world);
    let ran = world.jeton(["token", "work", "--min-valid", "3h"]);
    assert_eq!(ran.answer().trim_end(), old);
    assert!(ran.stderr.contains("and not for 3h"), "{ran}");
    assert_eq!(refreshes(&world), 0);
    assert_eq!(world.jeton(["token", "work", "--min-valid", "3h", "--quiet"]).stderr, "");
    for wrong in ["soon", "-5m", "5 parsecs"] {
        let ran = run(&mut world.command(["token", "work", &format!("--min-valid={wrong}")]), b"");
        ran.failed(2);
    }
}

#[test]
fn the_header_and_the_json_say_the_same() {
    let world = World::new();
    world.signed_in("work");
    let header = world.jeton(["token", "work", "--header"]);
    assert_eq!(header.answer(), format!("Authorization: Bearer {}\n", stored(&world)));
    // `--json` says more, and has the header in it.
    for arguments in [&["token", "work", "--json"][..], &["token", "work", "--json", "--header"]] {
        let ran = run(&mut world.command(arguments.iter().copied()), b"");
        let json = ran.json();
        assert_eq!(format!("Authorization: {}\n", json["authorization"].as_str().unwrap()), header.answer());
        assert_eq!((&json["profile"], &json["token_type"]), (&Value::from("work"), &Value::from("Bearer")));
        assert_eq!(json["scope"], "openid profile email read");
        let expires_at_ms = world.record("work").tokens[0].expires_at_ms.unwrap();
        assert_eq!(json["expires_at"], expires_at_ms / 1_000);
        assert!(json["refresh_token"].is_null());
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_header() {
    let world = World::new();
    world.person_profile("work");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), format!("{text}\ndpop = true\n")).unwrap();
    world.sign_in_again("work", DevServer::PUBLIC_CLIENT, |builder| {
        builder.scope(crate::world::SCOPE).dpop(true)
    });
    let failure = world.jeton(["token", "work", "--header", "--json"]).failed_json(2);
    assert!(failure["why"].as_str().unwrap().contains("DPoP"), "{failure}");
    assert!(failure["do"].as_str().unwrap().contains("jeton request work"), "{failure}");
    let ran = world.jeton(["token", "work"]);
    assert_eq!(ran.answer().trim_end(), stored(&world));
    assert!(ran.stderr.contains("bound to a key"), "{ran}");
    assert_eq!(world.jeton(["token", "work", "--json"]).json()["token_type"], "DPoP");
}

#[test]
fn a_server_that_is_down_does_not_matter_while_the_token_lives() {
    let world = World::new();
    world.signed_in("work");
    let old = stored(&world);
    world.server.fault_always(Endpoint::Token, Fault::unavailable(None));
    // It is time for a new one, and this one lives for another 20 seconds.
    let left = Duration::from_secs(20);
    leave(&world, left);
    let ran = world.jeton(["token", "work"]);
    assert_eq!((ran.answer().trim_end(), ran.stderr.as_str()), (old.as_str(), ""));
    assert_eq!(refreshes(&world), 1);
    // Who asks for more is told that there is no such token.
    let failure = world.jeton(["token", "work", "--json", "--min-valid", "40m"]).failed_json(5);
    assert_eq!(failure["what"], "there is no token of `work` that is valid for 40m");
}

#[test]
fn a_server_that_is_down_is_left_alone_for_as_long_as_it_says() {
    let world = World::new();
    world.signed_in("work");
    let secrets = world.secrets("work");
    world.expire("work");
    world.server.fault_always(Endpoint::Token, Fault::unavailable(Some("120")));
    let first = world.jeton(["token", "work", "--json"]);
    assert_eq!(first.failed_json(5)["code"], "try_later");
    first.shows_none_of(&secrets);
    assert_eq!(refreshes(&world), 1);
    // The next process reads in the store that it is too early, and does not ask.
    let second = world.jeton(["token", "work", "--json"]).failed_json(5);
    assert_eq!(second["code"], "try_later");
    assert!(second["do"].as_str().unwrap().contains("try again in"), "{second}");
    assert_eq!(refreshes(&world), 1);
}

#[test]
fn a_login_that_the_server_ended_asks_for_a_new_one() {
    let world = World::new();
    world.signed_in("work");
    world.expire("work");
    world.server.fault(Endpoint::Token, Fault::oauth_error("invalid_grant"));
    let failure = world.jeton(["token", "work", "--json"]).failed_json(3);
    assert_eq!((&failure["code"], &failure["do"]), (&"login_required".into(), &"jeton login work".into()));
    // From now on the server is not asked any more.
    let asked = refreshes(&world);
    let text = world.jeton(["token", "work"]);
    assert!(text.failed(3).starts_with("jeton: the login of `work` has ended\n"), "{text}");
    assert_eq!(refreshes(&world), asked);
}

#[test]
fn a_service_gets_one_token_and_keeps_it() {
    let world = World::new();
    world.service_profile("robot");
    let first = world.jeton(["token", "robot"]);
    let second = world.jeton(["token"]);
    assert_eq!(first.answer(), second.answer(), "the only profile is meant where none is named");
    assert_eq!(world.server.stats().grant("client_credentials").requests, 1);
}

#[test]
fn a_service_whose_secret_is_gone_is_told_where_it_belongs() {
    let world = World::new();
    let (_, secret) = DevServer::SERVICE_CLIENT;
    world.service_profile_without_secret("robot");
    let ran = world.jeton(["token", "robot"]);
    assert!(ran.failed(ran.code.unwrap()).contains("--client-secret-stdin"), "{ran}");
    assert_eq!(world.server.stats().grant("client_credentials").requests, 0);
    // From the environment it is taken, and stored nowhere.
    let ran = run(world.command(["token", "robot"]).env("JETON_CLIENT_SECRET", secret), b"");
    ran.answer();
    assert!(!holds(&world.state_folder(), secret), "the secret is in the store");
}

#[test]
fn who_reads_no_further_is_no_failure_and_a_full_disk_is_one() {
    let world = World::new();
    world.signed_in("work");
    let mut command = world.command(["token", "work"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    if cfg!(target_os = "linux") {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = world.command(["token", "work"]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"), "{output:?}");
    }
}

#[test]
fn a_store_that_cannot_be_read_is_told_apart_from_no_login() {
    let world = World::new();
    world.signed_in("work");
    let logins = world.state_folder().join("logins");
    let login = std::fs::read_dir(&logins)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name().unwrap().to_string_lossy().starts_with("login-")
                && path.extension().is_some_and(|end| end == "json")
        })
        .expect("the login's file");
    std::fs::write(&login, "{").unwrap();
    let failure = world.jeton(["token", "work", "--json"]).failed_json(6);
    assert_eq!(failure["code"], "store");
    assert_eq!(refreshes(&world), 0);
    // Others could have written it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&logins, std::fs::Permissions::from_mode(0o777)).unwrap();
        world.jeton(["token", "work", "--json"]).failed_json(6);
    }
}

#[test]
fn a_new_token_that_could_not_be_stored_is_printed_and_told() {
    let world = World::new();
    world.signed_in("work");
    world.expire("work");
    world.server.fault(Endpoint::Token, Fault::Gate);
    let child = world.begun(["token", "work"]);
    assert!(world.server.wait_until_held_blocking(1, PATIENCE));
    // There was room when it asked; now there is no folder.
    let logins = world.state_folder().join("logins");
    std::fs::rename(&logins, world.home().join("away")).unwrap();
    std::fs::write(&logins, "").unwrap();
    world.server.open_gate();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{said}");
    assert!(said.starts_with("warning: ") && said.contains("stored"), "{said}");
}

#[test]
fn a_sealed_store_opens_with_the_passphrase_in_a_file() {
    let world = World::new();
    world.service_profile("robot");
    let passphrase = world.file("passphrase", "correct horse\n");
    let sealed = |arguments: &[&str]| -> Ran {
        let (_, secret) = DevServer::SERVICE_CLIENT;
        let mut command = world.command(arguments.iter().copied());
        command.env("JETON_STORE", "sealed").env("JETON_CLIENT_SECRET", secret);
        command.env("XDG_STATE_HOME", world.home().join("sealed-state"));
        run(command.env("JETON_PASSPHRASE_FILE", &passphrase), b"")
    };
    let first = sealed(&["token", "robot"]);
    let second = sealed(&["token", "robot"]);
    assert_eq!(first.answer(), second.answer());
    assert_eq!(world.server.stats().grant("client_credentials").requests, 1);
    assert!(!holds(&world.home().join("sealed-state"), first.answer().trim_end()), "it is not sealed");
    std::fs::write(&passphrase, "tr0ub4dor\n").unwrap();
    let wrong = sealed(&["token", "robot"]);
    wrong.failed(6);
    assert!(!wrong.stderr.contains("tr0ub4dor"), "{wrong}");
}

/// Lets the stored tokens of an hour have only that left.
fn leave(world: &World, left: Duration) {
    let passed = 3_600_000 - u64::try_from(left.as_millis()).unwrap();
    world.change_record("work", |record| {
        for token in &mut record.tokens {
            token.received_at_ms -= passed;
            token.expires_at_ms = token.expires_at_ms.map(|expires_at| expires_at - passed);
        }
    });
}
