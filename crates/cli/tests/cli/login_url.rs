//! `jeton login --url`: an API says which server it trusts, the command registers itself, and the profile works from then on.

use jeton_devserver::{DevServer, Endpoint, ResourceMetadata};
use jeton_tests::terminal::Terminal;

use crate::login::{Browser, visit};
use crate::world::{World, run};

fn world() -> World {
    World::with(|builder| builder.resource_metadata(ResourceMetadata::InHeader).registration(true))
}

#[test]
fn a_url_is_enough_and_the_profile_works_from_then_on() {
    let world = world();
    let url = world.server.resource_url();
    let browser = Browser::of(&world);
    let mut command = world.command(["login", "--url", &url, "--trust", world.server.issuer()]);
    let ran = run(command.env("BROWSER", &browser.program), b"");
    assert!(ran.answer().starts_with("Signed in to 127.0.0.1.\n"), "{ran}");
    assert_eq!(browser.page().status, 200);
    assert_eq!(world.server.registered_clients(), 1);

    let saved: toml::Table = std::fs::read_to_string(world.profiles_file()).unwrap().parse().unwrap();
    let saved = &saved["profiles"]["127.0.0.1"];
    assert_eq!(saved["url"].as_str(), Some(url.as_str()));
    assert_eq!(saved["issuer"].as_str(), Some(world.server.issuer()));
    assert_eq!(saved["resource"][0].as_str(), Some(world.server.resource_identifier().as_str()));

    let requests = world.server.requests().len();
    let token = world.jeton(["token", "127.0.0.1"]).answer().trim_end().to_owned();
    assert_eq!(world.server.requests().len(), requests, "without the network");
    assert!(world.server.is_access_token_live(&token));
    world.server.expire_access_tokens();
    world.jeton(["refresh", "127.0.0.1"]).answer();
    assert_eq!(world.server.stats().grant("refresh_token").successes, 1);
    assert_ne!(world.jeton(["token", "127.0.0.1"]).answer().trim_end(), token);

    // Signing in again is a login like any other, as the same client.
    let browser = Browser::named(&world, "again");
    run(world.command(["login", "127.0.0.1"]).env("BROWSER", &browser.program), b"").answer();
    assert_eq!(world.server.registered_clients(), 1);
}

#[test]
fn a_client_that_got_a_secret_keeps_it_in_the_store() {
    let world = World::with(|builder| {
        builder
            .resource_metadata(ResourceMetadata::InHeader)
            .registration(true)
            .registers_as("client_secret_post")
    });
    let url = world.server.resource_url();
    let browser = Browser::of(&world);
    let mut command = world.command(["login", "--url", &url, "api", "--trust", world.server.issuer()]);
    run(command.env("BROWSER", &browser.program), b"").answer();
    let saved = std::fs::read_to_string(world.profiles_file()).unwrap();
    assert!(saved.contains("authentication = \"client_secret_post\""), "{saved}");
    let refresh = world.server.last_request(Endpoint::Token).unwrap();
    let (_, secret) = refresh.form.iter().find(|(name, _)| name == "client_secret").unwrap();
    assert!(!saved.contains(secret));
    // A new process finds the secret and refreshes with it.
    world.jeton(["refresh", "api"]).answer();
    assert_eq!(world.server.stats().grant("refresh_token").successes, 1);
}

#[test]
fn a_server_that_nobody_trusts_gets_nothing() {
    let world = world();
    let url = world.server.resource_url();
    let mut command = world.command(["login", "--url", &url]);
    let ran = run(command.env("BROWSER", "/bin/true"), b"yes\n");
    let said = ran.failed(2);
    assert!(said.contains(&format!("--trust {}", world.server.issuer())), "{ran}");
    assert_eq!(world.server.registered_clients(), 0);
    assert!(!std::fs::read_to_string(world.profiles_file()).unwrap().contains("[profiles"));
    // Another server is not this one.
    let ran = run(
        world.command(["login", "--url", &url, "--trust", "https://as.example"]).env("BROWSER", "/bin/true"),
        b"",
    );
    ran.failed(2);
}

#[test]
fn a_person_says_whether_the_server_is_trusted() {
    let world = world();
    let url = world.server.resource_url();
    let mut terminal = Terminal::start(world.command(["login", "--url", &url]));
    terminal.wait_for("Do you trust that server? Type yes or no.");
    terminal.wait_for(world.server.issuer());
    terminal.type_line("no");
    terminal.ended_with(4);
    assert!(terminal.text().contains("you do not trust"), "{}", terminal.text());
    terminal.no_line_wider_than(80);
    assert_eq!(world.server.registered_clients(), 0);

    let mut terminal = Terminal::start(world.command(["login", "--url", &url]));
    terminal.wait_for("Do you trust that server? Type yes or no.");
    terminal.type_line("yes");
    terminal.wait_for("paste it here and press Enter.");
    let text = terminal.text();
    let address = text.lines().find(|line| line.contains("/authorize?")).unwrap().trim().to_owned();
    visit(&world.server, &address);
    terminal.ended_with(0);
    terminal.wait_for("Signed in to 127.0.0.1.");
}

#[test]
fn what_is_no_such_api_is_told_so() {
    let plain = World::new();
    for (url, part) in [
        (plain.server.resource_url(), "nobody is signed in for"),
        (plain.server.issuer().to_owned(), "nobody is signed in for"),
        ("http://api.example/".to_owned(), "HTTPS"),
        ("api.example".to_owned(), "no URL"),
    ] {
        let ran = run(plain.command(["login", "--url", &url]).env("BROWSER", "/bin/true"), b"");
        assert_ne!(ran.code, Some(0), "{ran}");
        assert!(ran.stderr.contains(part), "{part:?} is not in {ran}");
    }
    assert_eq!(plain.server.stats().requests_to(Endpoint::Authorization), 0);
}

#[test]
fn a_server_that_registers_nobody_is_told_with_what_to_do_by_hand() {
    let world = World::with(|builder| builder.resource_metadata(ResourceMetadata::InHeader));
    let url = world.server.resource_url();
    let mut command = world.command(["login", "--url", &url, "--trust", world.server.issuer()]);
    let ran = run(command.env("BROWSER", "/bin/true"), b"");
    let said = ran.failed(2);
    assert!(said.contains("registers no clients") && said.contains("--client-id ID"), "{ran}");
}

#[test]
fn a_name_that_is_taken_is_not_taken_away() {
    let world = world();
    world.person_profile("api");
    let url = world.server.resource_url();
    let mut command = world.command(["login", "--url", &url, "api", "--trust", world.server.issuer()]);
    let ran = run(command.env("BROWSER", "/bin/true"), b"");
    assert!(ran.failed(2).contains("there is a profile `api` already"), "{ran}");
    assert!(std::fs::read_to_string(world.profiles_file()).unwrap().contains(DevServer::PUBLIC_CLIENT));
}
