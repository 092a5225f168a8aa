//! `jeton login` in pipes: each way to sign in, what it writes and where, and what it leaves alone when it fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_tests::browser::{self, Answer};
use url::Url;

use crate::world::{Ran, World, run};

/// A browser, as the variable BROWSER names one: a program that is given a URL. A thread opens what it was given, once.
pub(crate) struct Browser {
    pub(crate) program: PathBuf,
    visited: JoinHandle<Answer>,
}

impl Browser {
    pub(crate) fn of(world: &World) -> Self {
        Self::named(world, "browser")
    }

    pub(crate) fn named(world: &World, name: &str) -> Self {
        let pipe = world.home().join(format!("{name}.pipe"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let program = world.file(name, format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", pipe.display()));
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = world.server.clone();
        let visited = thread::spawn(move || visit(&server, &std::fs::read_to_string(pipe).unwrap()));
        Self { program, visited }
    }

    /// The page that the person saw at last.
    pub(crate) fn page(self) -> Answer {
        self.visited.join().unwrap()
    }
}

/// Approves at the server, and goes to where it redirects.
pub(crate) fn visit(server: &Arc<DevServer>, url: &str) -> Answer {
    let redirected = Url::parse(&server.authorize(url).unwrap()).unwrap();
    browser::get(&redirected).unwrap()
}

/// The arguments of a first login to the server of that world.
pub(crate) fn arguments<'a>(world: &'a World, further: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["login", "work", "--issuer", world.server.issuer()];
    arguments.extend(["--client-id", DevServer::PUBLIC_CLIENT]);
    arguments.extend(further);
    arguments
}

fn in_browser(world: &World, arguments: &[&str]) -> (Ran, Answer) {
    let browser = Browser::of(world);
    let mut command = world.command(arguments.iter().copied());
    let ran = run(command.env("BROWSER", &browser.program), b"");
    (ran, browser.page())
}

fn profiles(world: &World) -> String {
    std::fs::read_to_string(world.profiles_file()).unwrap()
}

/// The command that a failure says to type.
#[track_caller]
fn as_it_stands(ran: &Ran) -> &str {
    ran.stderr
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("jeton "))
        .unwrap_or_else(|| panic!("{ran}"))
}

/// Types that into a shell.
#[track_caller]
fn typed(world: &World, line: &str, environment: &[(&str, &str)]) -> Ran {
    let jeton = world.command([]);
    let line = line.replacen("jeton", &format!("'{}'", jeton.get_program().display()), 1);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).env_clear().current_dir(world.home()).envs(world.environment());
    run(shell.envs(environment.iter().copied()), b"")
}

/// Nothing of the login that failed is left.
#[track_caller]
fn nothing_is_left(world: &World, before: &str) {
    assert_eq!(profiles(world), before);
    let logins = world.with_store(async |store| {
        let (mut keys, mut found) = (store.list(), Vec::new());
        while let Some(key) = keys.next().await {
            found.push(key.unwrap().to_string());
        }
        found
    });
    assert!(logins.is_empty(), "{logins:?}");
}

#[test]
fn a_login_in_the_browser_makes_the_profile_and_says_all_about_it() {
    let world = World::new();
    let scope = "openid read admin";
    let (ran, page) =
        in_browser(&world, &arguments(&world, &["--scope", scope, "--api", &world.server.url("/api")]));
    let answer = ran.answer();
    assert!(answer.starts_with("Signed in to work as alice.\n"), "{ran}");
    for part in [
        &format!("server     {}", world.server.issuer()),
        "scope      openid read admin",
        "the access token expires in 59 min; it is refreshed by itself",
        "kept in    a file that is not encrypted:",
        &world.state_folder().display().to_string(),
        &format!("written to {}", world.profiles_file().display()),
    ] {
        assert!(answer.contains(part), "{part:?} is not in {ran}");
    }
    assert!(ran.stderr.starts_with("Signing in in the browser: there is one here.\n"), "{ran}");
    assert!(ran.stderr.contains("jeton --store sealed store move"), "what to do about the plain file: {ran}");
    let next = format!("jeton request work GET {}/api", world.server.issuer());
    assert!(ran.stderr.ends_with(&format!("Try it:\n  {next}\n")), "{ran}");
    assert_eq!(page.status, 200);
    let saved: toml::Table = profiles(&world).parse().unwrap();
    let saved = &saved["profiles"]["work"];
    assert_eq!(saved["client_id"].as_str(), Some(DevServer::PUBLIC_CLIENT));
    assert_eq!(saved["scope"].as_str(), Some(scope));
    assert!(saved.get("login").is_none(), "the way is chosen anew each time");
    ran.shows_none_of(&world.secrets("work"));
    assert_eq!(world.jeton(["token", "work"]).answer().trim_end(), world.secrets("work")[0]);
}

#[test]
fn the_answer_is_json_for_programs() {
    let world = World::new();
    let scope = "openid read";
    let (ran, _) = in_browser(&world, &arguments(&world, &["--scope", scope, "--json"]));
    let answer = ran.json();
    for (key, value) in [
        ("profile", "work"),
        ("issuer", world.server.issuer()),
        ("client_id", DevServer::PUBLIC_CLIENT),
        ("account", "work"),
        ("login_method", "browser"),
        ("scope", scope),
        ("profiles_file", world.profiles_file().to_str().unwrap()),
    ] {
        assert_eq!(answer[key], value, "{key}: {ran}");
    }
    assert_eq!((&answer["person"]["sub"], &answer["store"]["kind"]), (&"alice".into(), &"file".into()));
    let status = world.jeton(["status", "--json"]).json();
    let members = |store: &serde_json::Value| store.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&answer["store"]), members(&status["store"]), "the same in each command");
    assert_eq!(status["store"], world.jeton(["store", "--json"]).json()["store"]);
    assert_eq!(answer["person"], status["logins"][0]["person"]);
    assert!(answer["warnings"][0].as_str().unwrap().contains("jeton --store sealed store move"), "{ran}");
    assert!(!ran.stderr.contains("Be careful"), "it is in the answer: {ran}");
    assert_eq!(answer["refresh_token"], true);
    assert_eq!(answer["missing_scope"], serde_json::Value::Null);
    assert!(answer["expires_at"].as_u64().unwrap() > crate::world::now_ms() / 1000 + 3_500);
    ran.shows_none_of(&world.secrets("work"));
    // Nothing has changed the second time, so that nothing is written.
    let text = profiles(&world);
    let browser = Browser::named(&world, "another");
    let ran = run(world.command(["login", "work", "--json"]).env("BROWSER", &browser.program), b"");
    assert_eq!(ran.json()["profiles_file"], serde_json::Value::Null);
    assert_eq!(ran.json()["warnings"], serde_json::json!([]), "it was said at the first login");
    assert_eq!(profiles(&world), text);
    let browser = Browser::named(&world, "third");
    let ran = run(world.command(["login", "work"]).env("BROWSER", &browser.program), b"");
    assert!(ran.code == Some(0) && !ran.stderr.contains("Be careful"), "{ran}");
}

#[test]
fn what_was_not_granted_and_what_did_not_come_is_told() {
    let world = World::with(|builder| builder.issue_refresh_tokens(false));
    world.server.fault(
        Endpoint::Token,
        Fault::rewrite(|mut answer| {
            answer["scope"] = "read".into();
            answer
        }),
    );
    let (ran, _) = in_browser(&world, &arguments(&world, &["--scope", "read write admin"]));
    assert!(ran.answer().contains("scope      read\n"), "{ran}");
    assert!(ran.answer().contains("not given  write admin (asked for, and not granted)"), "{ran}");
    assert!(ran.answer().contains("the server gave no refresh"), "{ran}");
}

#[test]
fn a_profile_keeps_its_comments_when_a_login_changes_it() {
    let world = World::new();
    world.profile(
        "work",
        &format!(
            "# Ask Carol about this one.\nissuer = \"{}\" # ours\nclient_id = \"{}\"\nscope = \"read\" # enough",
            world.server.issuer(),
            DevServer::PUBLIC_CLIENT
        ),
    );
    let (ran, _) =
        in_browser(&world, &["login", "work", "--scope", "read write", "--account", "shared", "-q"]);
    ran.answer();
    let text = profiles(&world);
    for part in [
        "# Ask Carol about this one.\n",
        "# ours\n",
        "scope = \"read write\" # enough\n",
        "account = \"shared\"",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(world.record_of("shared", DevServer::PUBLIC_CLIENT).is_some());
    assert!(!ran.stderr.contains("Signing in") && !ran.stderr.contains("Try it"), "{ran}");
    world.jeton(["token", "work"]).answer();
}

#[test]
fn an_address_is_pasted_where_the_program_is_driven_by_another() {
    let world = World::new();
    let mut command = world.command(arguments(&world, &["--no-open"]));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut typing = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = said.by_ref().map(Result::unwrap).find(|line| line.contains("/authorize?")).unwrap();
    writeln!(typing, "{}", world.server.authorize(url.trim()).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("Signed in to work.\n"));
    assert!(world.record_of("work", DevServer::PUBLIC_CLIENT).is_some());
}

#[test]
fn a_code_is_shown_where_that_is_asked_for_and_pipes_get_neither_colour_nor_a_moving_line() {
    let world =
        World::with(|builder| builder.device_auto_approve_after_polls(Some(1)).device_interval(Some(1)));
    let ran = run(&mut world.command(arguments(&world, &["--login-method", "device"])), b"");
    ran.answer();
    assert!(ran.stderr.starts_with("To sign in, open  http://127.0.0.1:"), "{ran}");
    assert!(ran.stderr.contains("\nand enter the code  "), "{ran}");
    assert!(!ran.stderr.contains(['\u{1b}', '\r']), "{ran}");
    assert!(!ran.stderr.contains("after a scan"), "there is nothing to scan: {ran}");
    assert_eq!(ran.stderr.matches("Waiting for you: ").count(), 1, "{ran}");
}

#[test]
fn a_code_that_nobody_enters_in_time_is_told_so() {
    let world = World::with(|builder| {
        builder.device_interval(Some(1)).device_code_lifetime(std::time::Duration::from_secs(1))
    });
    let before = profiles(&world);
    let ran = run(&mut world.command(arguments(&world, &["--login-method", "device", "--json"])), b"");
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("\"code\":\"timed_out\""), "{ran}");
    let typed = arguments(&world, &["--login-method", "device", "--json"]).join(" ");
    assert!(ran.stderr.contains(&format!("\"do\":\"to try again:\\njeton {typed}\"")), "{ran}");
    nothing_is_left(&world, &before);
}

#[test]
fn a_service_logs_in_with_its_secret_and_a_wrong_one_replaces_no_good_one() {
    let world = World::new();
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let login = ["login", "job", "--issuer", world.server.issuer(), "--client-id", client_id];
    let first = [&login[..], &["--login-method", "client-credentials", "--client-secret-stdin"]].concat();
    let before = profiles(&world);

    let ran = run(&mut world.command(first.iter().copied()), b"not the secret\n");
    let said = ran.failed(4);
    assert!(
        said.contains("invalid_client") && said.contains("do:  check --client-id and the secret, then:\n"),
        "{ran}"
    );
    nothing_is_left(&world, &before);
    let again = as_it_stands(&ran);
    assert_eq!(again, format!("jeton {}", first.join(" ")));

    let ran = run(&mut world.command(first.iter().copied()), format!("{secret}\r\n").as_bytes());
    assert!(ran.answer().contains("the next one is fetched by"), "{ran}");
    let saved = profiles(&world);
    assert!(saved.contains("login = \"client-credentials\"") && !saved.contains(secret), "{saved}");
    assert!(saved.contains("authentication = \"client_secret_basic\""), "{saved}");
    ran.shows_none_of(&[secret.to_owned()]);

    // The stored secret is used, and stays when another one turns out to be wrong.
    world.jeton(["login", "job"]).answer();
    let ran = world.jeton_with_input(["login", "job", "--client-secret-stdin"], "wrong again");
    ran.failed(4);
    world.jeton(["login", "job"]).answer();
    let basic = world.server.last_request(Endpoint::Token).unwrap();
    assert!(basic.headers.iter().any(|(name, _)| name == "authorization"), "{basic:?}");
    // One of the environment is for a profile that has none: the server takes the stored one.
    run(world.command(["login", "job"]).env("JETON_CLIENT_SECRET", "of another profile"), b"").answer();
}

#[test]
fn a_secret_that_nobody_can_type_is_asked_for_with_what_to_pass() {
    let world = World::new();
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let mut arguments = vec!["login", "job", "--issuer", world.server.issuer(), "--client-id", client_id];
    arguments.extend(["--login-method", "client-credentials", "--authentication", "client_secret_basic"]);
    let ran = run(&mut world.command(arguments.iter().copied()), b"");
    let said = ran.failed(2);
    assert!(said.contains("--client-secret-stdin") && said.contains("JETON_CLIENT_SECRET"), "{ran}");
    let mut empty = arguments.clone();
    empty.push("--client-secret-stdin");
    assert!(run(&mut world.command(empty), b"\n").failed(2).contains("empty"));
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), 0);
    run(world.command(arguments).env("JETON_CLIENT_SECRET", secret), b"").answer();
}

#[test]
fn a_login_that_is_denied_leaves_nothing_behind() {
    let world = World::new();
    let before = profiles(&world);
    world.server.deny_next_authorization();
    let (ran, page) = in_browser(&world, &arguments(&world, &[]));
    let said = ran.failed(4);
    assert!(said.contains("jeton: nobody is signed in to `work`\n"), "{ran}");
    assert!(said.contains("access_denied") && said.contains("do:  to try again:\n"), "{ran}");
    assert_eq!(as_it_stands(&ran), format!("jeton {}", arguments(&world, &[]).join(" ")));
    assert!(!page.body.contains("signed in"), "{}", page.body);
    nothing_is_left(&world, &before);
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let world = World::new();
    let ran = run(&mut world.command(arguments(&world, &[])), b"");
    let said = ran.failed(2);
    assert!(
        said.contains("there is no browser here") && said.contains("--login-method device or paste"),
        "{ran}"
    );
    assert!(world.server.requests().is_empty(), "nothing is sent");
}

#[test]
fn arguments_that_cannot_work_are_told_before_anything_is_sent() {
    let world = World::new();
    let issuer = world.server.issuer();
    world.person_profile("known");
    for (arguments, part) in [
        (&["login", "nothing"][..], "there is no profile `nothing`"),
        (&["login", "-x"], "-x"),
        (&["login", "a/b", "--issuer", issuer, "--client-id", "x"], "cannot name a profile"),
        (&["login", "--issuer", issuer, "--client-id", "x"], "the login has no name"),
        (&["login", "work", "--issuer", issuer], "has no `client_id`"),
        (&["login", "work", "--issuer", "http://as.example", "--client-id", "x"], "https"),
        (&["login", "gh", "--provider", "gihub", "--client-id", "x"], "did you mean `github`?"),
        (
            &["login", "gh", "--provider", "gihub", "--client-id", "x"],
            "jeton: there is no provider `gihub`\n",
        ),
        (&["login", "gh", "--provider", "gihub", "--client-id", "x"], "jeton login gh --provider github"),
        (&["login", "gh", "--provider", "nowhere", "--client-id", "x"], "--list-providers"),
        (&["login", "a/b", "--issuer", issuer, "--client-id", "x"], "  do:  take 1 to 64 letters"),
        (&["login", "work", "--issuer", "as.example", "--client-id", "x"], "--issuer https://as.example"),
        (&["login", "work", "--issuer", "http://as.example", "--client-id", "x"], "  do:  take an https URL"),
        (&["login", "knwon"], "did you mean `known`?"),
        (&["login", "--default", "--list-providers"], "cannot be used with"),
        (&["login", "ms", "--provider", "entra", "--client-id", "x"], "--provider-value"),
        (&["login", "known", "--login-method", "device", "--prompt", "login"], "--prompt"),
        (&["login", "known", "--provider-value", "tenant"], "NAME=VALUE"),
        (&["login", "known", "--no-open", "--login-method", "device"], "cannot be used with"),
        (&["login", "known", "--url", "https://api.example", "--issuer", issuer], "cannot be used with"),
        (&["login", "known", "--client-secret-stdin", "--authentication", "none"], "has no secret"),
    ] {
        let ran = run(world.command(arguments.iter().copied()).env("BROWSER", "/bin/true"), b"s3cret\n");
        let said = ran.failed(2);
        assert!(said.contains(part), "{arguments:?}: {part:?} is not in {ran}");
        assert!(!said.contains("s3cret"), "{ran}");
    }
    assert!(world.server.requests().is_empty());
}

#[test]
fn the_providers_are_listed_and_each_can_be_named() {
    let world = World::new();
    let text = world.jeton(["login", "--list-providers"]);
    assert!(text.answer().contains("github") && text.answer().contains("--provider-value tenant="), "{text}");
    assert!(text.answer().lines().all(|line| line.chars().count() <= 80), "{text}");
    let all = world.jeton(["login", "--list-providers", "--json"]).json();
    let all = all["providers"].as_array().unwrap();
    assert!(all.len() > 5, "{all:?}");
    for provider in all {
        let name = provider["name"].as_str().unwrap();
        // It goes on to the next question, or the value that is missing is named.
        let ran = world.jeton(["login", "p", "--provider", name, "--client-id", "x"]);
        assert!(!ran.failed(2).contains("there is no provider"), "{name}: {ran}");
    }
}

#[test]
fn what_to_do_about_a_wrong_server_works_without_a_profile() {
    let world = World::new();
    let nowhere = format!("{}/nowhere", world.server.issuer());
    let line = ["login", "new", "--issuer", &nowhere, "--client-id", "x"];
    let ran = run(world.command(line).env("BROWSER", "/bin/true"), b"");
    assert!(ran.stderr.contains(&format!("`jeton doctor --issuer {nowhere}`")), "{ran}");
    let gone = "http://127.0.0.1:1";
    let line = ["login", "new", "--issuer", gone, "--client-id", "x"];
    let ran = run(world.command(line).env("BROWSER", "/bin/true"), b"");
    assert!(ran.failed(5).contains(&format!("`jeton doctor --issuer {gone}`")), "{ran}");
}

#[test]
fn what_to_do_about_a_first_login_works_as_it_stands() {
    let world = World::new();
    world.server.deny_next_authorization();
    let typed_first = arguments(&world, &["--scope", "openid read", "--api", "https://api.example/it's?"]);
    let (ran, _) = in_browser(&world, &typed_first);
    let line = as_it_stands(&ran).to_owned();
    assert!(line.contains("--scope 'openid read'"), "{line}");
    let browser = Browser::named(&world, "again");
    let again = typed(&world, &line, &[("BROWSER", browser.program.to_str().unwrap())]);
    assert!(again.answer().starts_with("Signed in to work as alice."), "{again}");
    assert!(profiles(&world).contains("https://api.example/it's?"), "{}", profiles(&world));

    let ran = world.jeton(["login", "new", "--issuer", world.server.issuer()]);
    ran.failed(2);
    let issuer = world.server.issuer();
    assert_eq!(as_it_stands(&ran), format!("jeton login new --issuer {issuer} --client-id ID"));
    // What may be a secret is not said again.
    world.server.deny_next_authorization();
    let ran = Browser::named(&world, "parameter");
    let mut command = world.command(["login", "new", "--issuer", issuer, "--client-id", "public-app"]);
    let ran = run(command.args(["--parameter", "hint=s3cret"]).env("BROWSER", &ran.program), b"");
    assert!(ran.failed(4).contains("do:  to try again: the same command\n"), "{ran}");
    assert!(!ran.stderr.split("jeton: ").last().unwrap().contains("s3cret"), "{ran}");
}

#[test]
fn a_browser_that_cannot_be_started_is_told_at_once() {
    let world = World::new();
    let before = profiles(&world);
    let not_to_be_run = world.file("no-program", "");
    for (browser, why) in [
        ("/nonexistent/browser", "there is no such program"),
        (not_to_be_run.to_str().unwrap(), "it may not be run"),
        ("/bin/false", "it failed"),
    ] {
        let ran = run(world.command(arguments(&world, &[])).env("BROWSER", browser), b"");
        let said = ran.failed(2);
        let why = format!("why: no browser could be opened: `{browser}` (the variable BROWSER): {why}\n");
        assert!(said.contains(&why) && said.contains("add --login-method device, or paste"), "{ran}");
        assert!(!said.contains("paste it here") && !said.contains("> "), "nobody is there to paste: {ran}");
    }
    // The same where there is none to start.
    let ran = run(&mut world.command(arguments(&world, &["--login-method", "browser"])), b"");
    assert!(ran.failed(2).contains("no browser could be opened: there is none here"), "{ran}");
    nothing_is_left(&world, &before);
}

#[test]
fn a_program_that_opens_the_address_itself_hears_how_long_there_is_time() {
    let world = World::new();
    let mut command = world.command(arguments(&world, &["--no-open"]));
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url = said.by_ref().find(|line| line.contains("/authorize?")).unwrap();
    assert!(said.by_ref().any(|line| line == "Waiting for you: 5:00 left"));
    let visiting = {
        let (server, url) = (world.server.clone(), url.trim().to_owned());
        thread::spawn(move || visit(&server, &url).status)
    };
    assert!(said.any(|line| line == "The browser is back; asking the server."));
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(visiting.join().unwrap(), 200);
}

#[test]
fn where_the_token_may_go_changes_without_a_login() {
    let world = World::new();
    world.signed_in("work");
    let requests = world.server.requests().len();
    // Nobody is there who could sign in.
    let targets = ["login", "work", "--git", "https://git.example", "--api", "https://api.example"];
    let ran = world.jeton(targets);
    assert!(ran.answer().starts_with("Still signed in to work as "), "{ran}");
    assert!(ran.answer().contains("written to") && !ran.stderr.contains("Be careful"), "{ran}");
    let saved: toml::Table = profiles(&world).parse().unwrap();
    let saved = &saved["profiles"]["work"];
    assert_eq!(saved["git"][0].as_str(), Some("https://git.example"));
    assert_eq!(saved["apis"].as_array().unwrap().len(), 1, "{saved:?}");
    assert_eq!(saved["apis"][0].as_str(), Some("https://api.example"));
    let again = [&targets[..], &["--json", "--default"]].concat();
    let answer = run(&mut world.command(again), b"").json();
    assert_eq!((&answer["profile"], &answer["profiles_file"]), (&"work".into(), &serde_json::Value::Null));
    assert!(profiles(&world).contains("default = \"work\""));
    assert_eq!(world.server.requests().len(), requests, "nothing is asked");

    // Whatever else is said is for the server, even if it is the same.
    let text = profiles(&world);
    for further in
        [&["--scope", crate::world::SCOPE][..], &["--resource", "https://api.example"], &["--account", ""]]
    {
        let line = [&targets[..2], &["--api", "https://other.example"], further].concat();
        let ran = run(&mut world.command(line), b"");
        assert!(ran.failed(2).contains("a login needs a person"), "{ran}");
    }
    // A login that has ended is none.
    world.server.revoke_all_logins();
    world.expire("work");
    let ran = world.jeton(["login", "work", "--api", "https://other.example"]);
    assert!(ran.failed(2).contains("a login needs a person"), "{ran}");
    assert_eq!(profiles(&world), text);
    let (ran, _) = in_browser(&world, &["login", "work", "--api", "https://other.example"]);
    assert!(ran.answer().starts_with("Signed in to work"), "{ran}");
    assert!(profiles(&world).contains("https://other.example"));
}

#[test]
fn a_login_makes_its_profile_the_default_one() {
    let world = World::new();
    world.signed_in("work");
    world.service_profile("job");
    let said = world.jeton(["token"]);
    assert!(said.failed(2).contains("jeton login job --default"), "{said}");
    let ran = world.jeton(["login", "job", "--default"]);
    assert!(ran.code == Some(0) && profiles(&world).contains("default = \"job\""), "{ran}");
    assert_eq!(world.jeton(["token", "--json"]).json()["profile"], "job");
}

#[test]
fn a_store_that_cannot_be_had_is_told_before_anybody_is_asked() {
    let world = World::new();
    world.file("state", "a file where a folder is to be");
    let ran = run(world.command(arguments(&world, &[])).env("BROWSER", "/bin/true"), b"");
    assert!(ran.failed(6).contains("jeton: the logins cannot be reached"), "{ran}");
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_port_that_is_taken_and_a_server_that_is_not_there() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let before = profiles(&world);
    let mut command = world.command(arguments(&world, &["--redirect-port", &port]));
    let ran = run(command.env("BROWSER", "/bin/true"), b"");
    let said = ran.failed(2);
    assert!(said.contains(&format!("port {port}")) && said.contains("--redirect-port"), "{ran}");

    let nobody = format!("http://127.0.0.1:{port}0");
    let mut command = world.command(["login", "x", "--issuer", &nobody, "--client-id", "c", "--no-open"]);
    let ran = run(&mut command, b"");
    assert!(matches!(ran.code, Some(2 | 5)), "{ran}");

    world.server.fault_always(Endpoint::OpenIdConfiguration, Fault::answer(404, "text/html", "no such page"));
    world.server.fault_always(Endpoint::Metadata, Fault::answer(404, "text/html", "no such page"));
    let ran = run(world.command(arguments(&world, &[])).env("BROWSER", "/bin/true"), b"");
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("jeton doctor"), "{ran}");
    nothing_is_left(&world, &before);
}

#[test]
fn a_server_without_a_login_page_is_told_so() {
    let world = World::new();
    world.server.fault_always(Endpoint::Metadata, Fault::remove("device_authorization_endpoint"));
    let ran = run(&mut world.command(arguments(&world, &["--login-method", "device"])), b"");
    assert!(ran.failed(ran.code.unwrap()).contains("device_authorization_endpoint"), "{ran}");
    assert!(ran.stderr.contains("--login-method browser or paste"), "{ran}");
}

#[test]
fn two_logins_at_once_are_both_kept() {
    let world = World::new();
    let login = |name: &'static str| {
        let browser = Browser::named(&world, name);
        let mut command = world.command(["login", name, "--issuer", world.server.issuer()]);
        command.args(["--client-id", DevServer::PUBLIC_CLIENT]).env("BROWSER", &browser.program);
        thread::spawn(move || run(&mut command, b""))
    };
    for ran in ["one", "two", "three"].map(login).map(JoinHandle::join) {
        ran.unwrap().answer();
    }
    for name in ["one", "two", "three"] {
        assert!(profiles(&world).contains(&format!("[profiles.{name}]")));
        world.jeton(["token", name]).answer();
    }
}

#[test]
fn six_processes_refresh_the_login_with_one_request() {
    let world = World::new();
    in_browser(&world, &arguments(&world, &["--scope", "read"])).0.answer();
    world.expire("work");
    let tokens: Vec<_> = (0..6)
        .map(|_| {
            let mut command = world.command(["token", "work"]);
            thread::spawn(move || run(&mut command, b""))
        })
        .collect();
    let tokens: Vec<Ran> = tokens.into_iter().map(|thread| thread.join().unwrap()).collect();
    for token in &tokens {
        assert_eq!(token.answer(), tokens[0].answer());
    }
    assert_eq!(world.server.stats().grant("refresh_token").requests, 1);
}

#[test]
fn a_client_with_a_key_signs_and_its_file_is_found_from_any_folder() {
    let world = World::new();
    let (client_id, jwk) = DevServer::KEY_CLIENT;
    world.file("key.json", jwk);
    let mut command = world.command(["login", "signed", "--issuer", world.server.issuer()]);
    command.args(["--client-id", client_id, "--authentication", "private_key_jwt"]);
    command.args(["--signing-key", "key.json", "--signing-algorithm", "ES256", "--dpop", "--scope", "read"]);
    let browser = Browser::of(&world);
    run(command.env("BROWSER", &browser.program), b"").answer();
    let saved: toml::Table = profiles(&world).parse().unwrap();
    let saved = &saved["profiles"]["signed"];
    assert_eq!(saved["signing_key"].as_str(), world.home().join("key.json").to_str());
    assert_eq!(saved["dpop"].as_bool(), Some(true));
    assert!(!profiles(&world).contains("\"d\""), "the key stays in its file");
    let request = world.server.last_request(Endpoint::Token).unwrap();
    assert!(request.form.iter().any(|(name, _)| name == "client_assertion"), "{request:?}");
    let refresh = run(world.command(["refresh", "signed"]).current_dir("/"), b"");
    refresh.answer();

    // An empty value, and `=false`, take a setting away.
    let browser = Browser::named(&world, "again");
    let mut command = world.command(["login", "signed", "--dpop=false", "--scope", ""]);
    run(command.env("BROWSER", &browser.program), b"").answer();
    let saved: toml::Table = profiles(&world).parse().unwrap();
    let saved = &saved["profiles"]["signed"];
    assert!(saved.get("dpop").is_none() && saved.get("scope").is_none(), "{saved:?}");
}

#[test]
fn what_the_person_is_to_be_asked_reaches_the_server() {
    let world = World::new();
    let further =
        ["--prompt", "login", "--login-hint", "bob", "--acr-values", "gold silver", "--max-age", "10m"];
    let (ran, _) =
        in_browser(&world, &arguments(&world, &[&further[..], &["--scope", "openid read"]].concat()));
    assert!(ran.answer().starts_with("Signed in to work as bob."), "{ran}");
    let request = world.server.last_request(Endpoint::Authorization).unwrap();
    for (name, value) in
        [("prompt", "login"), ("login_hint", "bob"), ("acr_values", "gold silver"), ("max_age", "600")]
    {
        assert!(request.query.iter().any(|own| own == &(name.to_owned(), value.to_owned())), "{request:?}");
    }
    assert!(!profiles(&world).contains("bob"), "that was for once");
}

#[test]
fn a_refusal_cannot_steer_the_terminal() {
    let world = World::new();
    let denial = Fault::OAuthError {
        status: 400,
        error: "invalid_scope".into(),
        description: Some("no\r\u{1b}[2J\u{202e}Signed in to work.\n".into()),
    };
    world.server.fault_always(Endpoint::Token, denial);
    let (ran, _) = in_browser(&world, &arguments(&world, &[]));
    let said = ran.failed(4);
    assert!(said.contains("invalid_scope") && said.contains("ask for another --scope"), "{ran}");
    assert!(!said.contains(['\u{1b}', '\r', '\u{202e}']) && !said.contains("\nSigned in"), "{ran}");
}

#[test]
fn the_login_that_a_profile_meant_before_is_logged_out_unless_it_is_shared() {
    let world = World::new();
    world.signed_in("work");
    let former = world.record("work").refresh_token.unwrap();
    let (ran, _) = in_browser(&world, &["login", "work", "--account", "shared"]);
    ran.answer();
    assert!(
        ran.stderr.contains("The former login of `work` (client public-app at http://127.0.0.1:"),
        "{ran}"
    );
    assert!(ran.stderr.contains("was logged out"), "{ran}");
    assert!(!world.server.is_refresh_token_live(former.expose()));
    assert!(world.record_of("shared", DevServer::PUBLIC_CLIENT).is_some());

    // A label is how programs share a login.
    let browser = Browser::named(&world, "again");
    let ran = run(world.command(["login", "work", "--account", ""]).env("BROWSER", &browser.program), b"");
    ran.answer();
    assert!(ran.stderr.contains("is kept: others may use it"), "{ran}");
    let shared = world.record_of("shared", DevServer::PUBLIC_CLIENT).unwrap();
    assert!(world.server.is_refresh_token_live(shared.refresh_token.unwrap().expose()));
}

#[test]
fn a_profiles_file_that_cannot_be_written_is_told_before_anybody_is_asked() {
    let world = World::new();
    // No folder can be made there.
    let place = "/proc/jeton/profiles.toml";
    let mut command = world.command(arguments(&world, &["--config", place, "--store", "file"]));
    let ran = run(command.env("BROWSER", "/bin/true"), b"");
    assert!(ran.failed(2).contains("/proc/jeton/profiles.toml cannot be written"), "{ran}");
    assert!(world.server.requests().is_empty());
}
