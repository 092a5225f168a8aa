//! `jeton logout`: forgotten here in any case, revoked at the server if it can be told.

use jeton_devserver::{DevServer, Endpoint, Fault, ResourceMetadata};
use serde_json::json;

use crate::login::Browser;
use crate::world::{World, run};

#[test]
fn a_logout_revokes_forgets_and_may_be_repeated() {
    let world = World::new();
    world.signed_in("work");
    let secrets = world.secrets("work");
    let ran = world.jeton(["logout", "work"]);
    assert_eq!(ran.answer(), "logged out of `work`, here and at the server\n");
    assert_eq!(ran.stderr, "");
    assert_eq!(world.server.live_logins(), 0);
    assert!(!world.server.is_access_token_live(&secrets[0]));
    assert!(world.record_of("work", DevServer::PUBLIC_CLIENT).is_none());
    assert_eq!(world.jeton(["logout", "work"]).answer(), "nobody was logged in to `work`\n");
    // The profile is still there.
    world.jeton(["token", "work"]).failed(3);

    let world = World::new();
    world.signed_in("work");
    let json = world.jeton(["logout", "work", "--json"]).json();
    assert_eq!(
        json,
        json!({
            "profile": "work",
            "logouts": [{
                "profile": "work", "account": "work", "was_logged_in": true, "revoked": true, "not_revoked": [],
                "profile_removed": false, "browser_opened": false, "still_stored": false,
            }],
        })
    );
    let json = &world.jeton(["logout", "work", "--json"]).json()["logouts"][0];
    assert_eq!((&json["was_logged_in"], &json["revoked"]), (&json!(false), &json!(null)));
}

#[test]
fn offline_the_login_is_forgotten_here_and_the_exit_code_says_that_the_server_does_not_know() {
    let world = World::new();
    world.signed_in("work");
    let secrets = world.secrets("work");
    world.server.fault_always(Endpoint::Revocation, Fault::DropBeforeCommit);
    let ran = world.jeton(["logout", "work"]);
    assert_eq!(ran.code, Some(5), "{ran}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "logged out of `work` here, but not at the server\n");
    assert!(
        ran.stderr.starts_with("jeton: the tokens of `work` may live on at the server\n  why: "),
        "{ran}"
    );
    ran.shows_none_of(&secrets);
    assert!(world.record_of("work", DevServer::PUBLIC_CLIENT).is_none());
    assert!(world.server.is_refresh_token_live(&secrets[1]));

    world.server.clear_faults();
    world.signed_in("again");
    world.server.fault_always(
        Endpoint::Revocation,
        Fault::OAuthError { status: 400, error: "invalid_client".to_owned(), description: None },
    );
    let ran = world.jeton(["logout", "again", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran}");
    let json: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let json = &json["logouts"][0];
    assert_eq!(
        (&json["revoked"], &json["not_revoked"][0]["token"]),
        (&json!(false), &json!("refresh_token"))
    );
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_once_more() {
    let world = World::new();
    world.signed_in("work");
    world.server.fault(Endpoint::Revocation, Fault::unavailable(Some("1")));
    assert_eq!(world.jeton(["logout", "work"]).answer(), "logged out of `work`, here and at the server\n");
    assert_eq!(world.server.live_logins(), 0);
}

#[test]
fn a_server_without_the_endpoint_is_a_warning_only() {
    let world = World::new();
    world.server.fault_always(Endpoint::Metadata, Fault::remove("revocation_endpoint"));
    world.signed_in("work");
    let ran = world.jeton(["logout", "work", "--quiet"]);
    assert_eq!(ran.answer(), "");
    assert!(ran.stderr.starts_with("warning: the server of `work` has no revocation endpoint"), "{ran}");
}

#[test]
fn forget_removes_the_profile_and_its_secret_and_leaves_the_others() {
    let world = World::new();
    world.signed_in("work");
    world.service_profile("robot");
    world.jeton(["token", "robot"]).answer();
    let ran = world.jeton(["logout", "robot", "--forget"]);
    assert_eq!(ran.answer(), "logged out of `robot`, here and at the server; the profile is removed\n");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    assert!(text.contains("[profiles.work]") && !text.contains("robot"), "{text}");
    // The secret is gone, too: the profile alone does not bring the service back.
    let (id, _) = DevServer::SERVICE_CLIENT;
    world.profile(
        "robot",
        &format!(
            "issuer = \"{}\"\nclient_id = \"{id}\"\nlogin = \"client-credentials\"\nauthentication = \"client_secret_basic\"",
            world.server.issuer()
        ),
    );
    assert!(world.jeton(["token", "robot"]).stderr.contains("is not in the store"));
    world.jeton(["token", "work"]).answer();
    assert_eq!(world.jeton(["logout", "nobody"]).code, Some(2));
}

#[test]
fn all_means_every_profile_and_every_login_without_one() {
    let world = World::new();
    world.signed_in("work");
    world.signed_in("home");
    world.person_profile("never");
    world.sign_in_again("stray", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    assert_eq!(world.server.live_logins(), 3);
    let json = world.jeton(["logout", "--all", "--json"]).json();
    assert_eq!(json["profile"], json!(null), "all are meant, and none by name");
    let outcomes: Vec<(Option<&str>, &str, bool)> = json["logouts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            let account = own["account"].as_str().unwrap();
            (own["profile"].as_str(), account, own["was_logged_in"].as_bool().unwrap())
        })
        .collect();
    let expected = [
        (Some("home"), "home", true),
        (Some("never"), "never", false),
        (Some("work"), "work", true),
        (None, "stray", true),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(world.server.live_logins(), 0);
    assert_eq!(world.jeton(["logout", "--all", "work"]).code, Some(2));
}

#[test]
fn a_login_without_a_profile_is_named_by_its_account() {
    let world = World::new();
    world.sign_in_again("stray", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    assert_eq!(world.jeton(["logout", "stray"]).answer(), "logged out of `stray`, here and at the server\n");
    assert_eq!(world.jeton(["logout", "stray"]).code, Some(2));
    assert_eq!(world.server.live_logins(), 0);
}

#[test]
fn a_damaged_login_can_be_got_rid_of() {
    let world = World::new();
    world.signed_in("work");
    let logins = world.state_folder().join("logins");
    let file = std::fs::read_dir(&logins)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .expect("the login's file");
    std::fs::write(&file, "{").unwrap();
    world.jeton(["token", "work"]).failed(6);
    world.jeton(["logout", "work"]).answer();
    world.jeton(["token", "work"]).failed(3);
}

#[test]
fn the_browser_ends_the_session_at_the_server_and_is_given_no_token() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new();
    world.signed_in("work");
    let secrets = world.secrets("work");
    let opened = world.home().join("opened");
    let launcher = world.file(
        "xdg-open",
        format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > {}.new\nmv {}.new {}\n",
            opened.display(),
            opened.display(),
            opened.display()
        ),
    );
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", world.home().display(), std::env::var("PATH").unwrap());
    let mut command = world.command(["logout", "work", "--browser", "--json"]);
    command.env("DISPLAY", ":99").env("PATH", path);
    let ran = run(&mut command, b"");
    assert_eq!(ran.json()["logouts"][0]["browser_opened"], true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(jeton_tests::eventually("the launcher has run", || opened.exists()));
    let url = std::fs::read_to_string(&opened).unwrap();
    assert!(url.starts_with(&format!("{}/logout?client_id=public-app", world.server.issuer())), "{url}");
    assert!(secrets.iter().all(|secret| !url.contains(secret.as_str())));

    // Without a browser the person is told where to go.
    world.signed_in("other");
    let ran = world.jeton(["logout", "other", "--browser"]);
    assert!(ran.stderr.contains("/logout?client_id=public-app"), "{ran}");
    assert!(ran.answer().starts_with("logged out of `other`"), "{ran}");
}

#[test]
fn forget_removes_a_registration_with_the_last_profile_that_has_it() {
    let world = World::with(|builder| {
        builder
            .resource_metadata(ResourceMetadata::InHeader)
            .registration(true)
            .registers_as("client_secret_post")
    });
    let url = world.server.resource_url();
    for name in ["one", "two"] {
        let browser = Browser::named(&world, name);
        let mut command = world.command(["login", "--url", &url, name, "--trust", world.server.issuer()]);
        run(command.env("BROWSER", &browser.program), b"").answer();
    }
    assert_eq!(world.server.registered_clients(), 1);
    // A server that is still trusted need not be asked about.
    run(
        world.command(["login", "--url", &url, "one"]).env("BROWSER", Browser::named(&world, "3").program),
        b"",
    )
    .answer();
    world.jeton(["logout", "one", "--forget"]).answer();
    let ran = run(
        world.command(["login", "--url", &url, "one"]).env("BROWSER", Browser::named(&world, "4").program),
        b"",
    );
    assert_ne!(ran.code, Some(0), "the trust is forgotten, too: {ran}");
    world.jeton(["refresh", "two"]).answer();
    world.jeton(["logout", "two", "--forget"]).answer();
    let registrations = world.with_store(async |store| {
        let (mut keys, mut found) = (store.list(), 0);
        while let Some(key) = keys.next().await {
            found += usize::from(key.unwrap().is_registration());
        }
        found
    });
    assert_eq!(registrations, 0);
    assert!(!std::fs::read_to_string(world.profiles_file()).unwrap().contains("profiles."));
}

#[test]
fn one_that_cannot_be_told_to_the_server_does_not_keep_the_others_signed_in() {
    let world = World::new();
    world.signed_in("a");
    world.signed_in("z");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    let broken = text.replacen(
        "[profiles.a]",
        "[profiles.a]\ncertificate = \"/nowhere\"\ncertificate_key = \"/nowhere\"",
        1,
    );
    std::fs::write(world.profiles_file(), broken).unwrap();
    let ran = world.jeton(["logout", "--all"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(
        text,
        "logged out of `a` here, but not at the server\nlogged out of `z`, here and at the server\n"
    );
    assert!(ran.stderr.contains("/nowhere"), "{ran}");
    for account in ["a", "z"] {
        assert!(world.record_of(account, DevServer::PUBLIC_CLIENT).is_none());
    }
    assert_eq!(world.server.live_logins(), 1);
}

#[test]
fn a_login_that_a_changed_profile_has_left_behind_goes_with_it() {
    let world = World::new();
    world.signed_in("work");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    let changed = text.replacen("[profiles.work]", "[profiles.work]\naccount = \"other\"", 1);
    std::fs::write(world.profiles_file(), changed).unwrap();
    world.sign_in_again("other", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    assert_eq!(world.server.live_logins(), 2);
    let json = world.jeton(["logout", "work", "--json"]).json();
    let own = |name: &str| [0, 1].map(|index| json["logouts"][index][name].clone());
    assert_eq!(json["profile"], "work");
    assert_eq!(own("profile"), [json!("work"), json!(null)]);
    assert_eq!(own("account"), [json!("other"), json!("work")]);
    assert_eq!(own("revoked"), [json!(true), json!(true)]);
    assert_eq!(world.server.live_logins(), 0);
}

#[test]
fn what_cannot_be_read_and_has_no_profile_stays_and_is_told() {
    let world = World::new();
    world.sign_in_again("stray", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    let logins = world.state_folder().join("logins");
    for entry in std::fs::read_dir(&logins).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "json") {
            std::fs::write(entry, "{").unwrap();
        }
    }
    let ran = world.jeton(["logout", "--all"]);
    assert_eq!(ran.code, Some(6), "{ran}");
    assert!(ran.stderr.contains("cannot be read, and stays"), "{ran}");
}
