//! `jeton git-credential` with the real git: it clones from a server that takes the token as a password and nothing else.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jeton_devserver::DevServer;

use crate::http::{Answer, Request, Server};
use crate::world::{Ran, World, has, run};

/// A git server with one repository, `/team/repo.git`. It takes what `judge` says of user name and password.
fn git_server(world: &World, judge: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Server {
    let root = world.home().join("served");
    let repository = root.join("team/repo.git");
    git_alone(world, &["init", "--quiet", "--bare", "--initial-branch=main", path(&repository)]);
    let work = world.home().join("work");
    git_alone(world, &["init", "--quiet", "--initial-branch=main", path(&work)]);
    let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
    let commit = ["commit", "--quiet", "--allow-empty", "--message", "first"];
    git_alone(world, &[&["-C", path(&work)], &identity[..], &commit[..]].concat());
    git_alone(world, &["-C", path(&work), "push", "--quiet", path(&repository), "main"]);
    Server::start(move |request| {
        match password(request).is_some_and(|(username, password)| judge(&username, &password)) {
            true => backend(&root, request),
            false => {
                Answer::new(401, "text/plain", "who are you?").with("WWW-Authenticate", "Basic realm=\"git\"")
            }
        }
    })
}

/// User name and password of a request.
fn password(request: &Request) -> Option<(String, String)> {
    let encoded = request.header("authorization").strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    let (username, password) = text.split_once(':').unwrap();
    Some((username.to_owned(), password.to_owned()))
}

/// What git's own server says.
fn backend(root: &Path, request: &Request) -> Answer {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("headers");
    let mut answer = Answer { status: 200, headers: Vec::new(), body: output[end + 4..].to_vec() };
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => answer.status = value[..3].parse().unwrap(),
            _ => answer.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    answer
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The user's git, which finds the binary by its name.
fn git(world: &World, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new("git");
    command.args(arguments).env_clear().current_dir(world.home());
    for (name, value) in world.environment() {
        command.env(name, value);
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_jeton")).parent().unwrap().to_owned();
    let folders = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let folders = [vec![world.home().join("bin"), binaries], folders].concat();
    command.env("PATH", std::env::join_paths(folders).unwrap());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    run(&mut command, input.as_bytes())
}

fn git_alone(world: &World, arguments: &[&str]) {
    git(world, arguments, "").answer();
}

/// Logged in, with a git server that takes the tokens of the devserver, and git told to ask jeton.
fn world_with_git() -> (World, Server) {
    let world = World::new();
    world.signed_in("work");
    let devserver: Arc<DevServer> = world.server.clone();
    let server = git_server(&world, move |username, password| {
        username == "oauth2" && devserver.is_access_token_live(password)
    });
    name_git_server(&world, &server.url);
    world.jeton(["git-credential", "--install"]).answer();
    (world, server)
}

/// Adds a line to the last profile.
fn name_git_server(world: &World, url: &str) {
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), format!("{text}git = [\"{url}\"]\n")).unwrap();
}

fn access_token(world: &World) -> String {
    world.record("work").tokens[0].access_token.expose().to_owned()
}

/// The token was received ten minutes ago.
fn age(world: &World) {
    world.change_record("work", |record| record.tokens[0].received_at_ms -= 600_000);
}

fn question(url: &str, more: &str) -> String {
    let (protocol, host) = url.split_once("://").unwrap();
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    format!("protocol={protocol}\nhost={host}\npath={path}\n{more}\n")
}

#[test]
fn git_clones_with_the_token_and_keeps_it_nowhere() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    // Somebody has told git to keep passwords in the clear, before jeton came.
    std::fs::write(world.home().join(".gitconfig"), "[credential]\n\thelper = store\n").unwrap();
    world.jeton(["git-credential", "--install"]).answer();
    git_alone(&world, &["clone", "--quiet", &format!("{}/team/repo.git", server.url), "cloned"]);
    assert!(world.home().join("cloned/.git/HEAD").exists());
    let sent: Vec<_> = server.requests().iter().filter_map(password).collect();
    assert!(!sent.is_empty());
    assert!(
        sent.iter().all(|(username, password)| username == "oauth2" && *password == access_token(&world))
    );
    assert!(!world.home().join(".git-credentials").exists(), "a token is no password to be kept");
    assert_eq!(world.server.stats().refreshes, 0);
}

#[test]
fn an_expired_token_is_refreshed_before_git_sends_it() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    world.expire("work");
    let old = access_token(&world);
    git_alone(&world, &["ls-remote", &format!("{}/team/repo.git", server.url)]);
    assert_ne!(access_token(&world), old);
    assert!(server.requests().iter().filter_map(password).all(|(_, password)| password != old));
    assert_eq!(world.server.stats().refreshes, 1);
}

#[test]
fn a_token_that_the_server_refuses_is_replaced_for_the_next_time() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    age(&world);
    world.server.revoke_access_tokens();
    let repository = format!("{}/team/repo.git", server.url);
    let refused = git(&world, &["ls-remote", &repository], "");
    assert_ne!(refused.code, Some(0), "{refused}");
    assert_eq!(world.server.stats().refreshes, 1);
    git_alone(&world, &["ls-remote", &repository]);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[test]
fn a_new_token_that_is_refused_is_not_replaced_again_and_again() {
    if !has(&["git"]) {
        return;
    }
    let (world, _) = world_with_git();
    let never = git_server_that_takes_nobody();
    name_another_git_server(&world, &never.url);
    let token = access_token(&world);
    let erased = world.jeton_with_input(
        ["git-credential", "erase"],
        question(&never.url, &format!("username=oauth2\npassword={token}\n")),
    );
    assert_eq!(erased.answer(), "");
    assert!(erased.stderr.contains("less than a minute old"), "{erased}");
    assert_eq!(access_token(&world), token);
    assert_eq!(world.server.stats().refreshes, 0);
    // Git, which is refused each time, has one made, and no second one.
    age(&world);
    for _ in 0..3 {
        let refused =
            git(&world, &["-c", "credential.helper=!jeton git-credential", "ls-remote", &never.url], "");
        assert_ne!(refused.code, Some(0));
    }
    assert_eq!(world.server.stats().refreshes, 1);
}

fn git_server_that_takes_nobody() -> Server {
    Server::start(|_| Answer::new(401, "text/plain", "no").with("WWW-Authenticate", "Basic realm=\"git\""))
}

fn name_another_git_server(world: &World, url: &str) {
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), text.replace("git = [", &format!("git = [\"{url}\", "))).unwrap();
}

#[test]
fn what_another_helper_gave_is_not_erased() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    let other = question(&server.url, "username=oauth2\npassword=hunter2\n");
    let erased = world.jeton_with_input(["git-credential", "erase"], other);
    assert_eq!(erased.stderr, "", "nothing is said of the token, which is new: nobody refused it");
    age(&world);
    for more in ["username=oauth2\npassword=hunter2\n", "username=oauth2\n", ""] {
        let erased = world.jeton_with_input(["git-credential", "erase"], question(&server.url, more));
        assert_eq!((erased.answer(), erased.stderr.as_str()), ("", ""), "{more:?}");
    }
    // Nor by somebody who names another host, and has the right token.
    let right = format!("username=oauth2\npassword={}\n", access_token(&world));
    world.jeton_with_input(["git-credential", "erase"], question("https://git.example", &right)).answer();
    assert_eq!(world.server.stats().refreshes, 0);
    // And so that this test could fail at all:
    world.jeton_with_input(["git-credential", "erase"], question(&server.url, &right)).answer();
    assert_eq!(world.server.stats().refreshes, 1);
}

#[test]
fn a_host_that_no_profile_names_gets_nothing_and_hears_nothing() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    let port = server.url.rsplit(':').next().unwrap();
    for other in [
        "https://git.example".to_owned(),
        // Neither over TLS, nor by another name of the same machine, nor at another port.
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "http://127.0.0.1:1".to_owned(),
        // In the clear to elsewhere.
        format!("http://git.example:{port}"),
    ] {
        let given = world.jeton_with_input(["git-credential", "get"], question(&other, ""));
        assert_eq!((given.answer(), given.stderr.as_str()), ("", ""), "{other}");
        let named =
            world.jeton_with_input(["git-credential", "--profile", "work", "get"], question(&other, ""));
        assert_eq!(
            (named.answer(), named.stderr.as_str()),
            ("", ""),
            "{other}, although the profile is named"
        );
    }
    let asked = git(&world, &["credential", "fill"], &question("https://git.example", ""));
    assert!(!asked.to_string().contains(&access_token(&world)));
}

#[test]
fn what_is_said_to_git_is_what_git_reads() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    let filled = git(&world, &["credential", "fill"], &question(&server.url, ""));
    let token = access_token(&world);
    let expires_at = world.record("work").tokens[0].expires_at_ms.unwrap() / 1_000;
    assert!(filled.answer().contains(&format!("username=oauth2\npassword={token}\n")), "{filled}");
    let own = world.jeton_with_input(["git-credential", "get"], question(&server.url, ""));
    assert_eq!(
        own.answer(),
        format!("username=oauth2\npassword={token}\npassword_expiry_utc={expires_at}\n")
    );
    let named = world.jeton_with_input(["git-credential", "get"], question(&server.url, "username=alice\n"));
    assert!(named.answer().starts_with("username=alice\n"), "a user name in the URL stays: {named}");
    let json = world.jeton_with_input(["--json", "git-credential", "get"], question(&server.url, "")).json();
    assert_eq!(json["profile"], "work");
    assert_eq!((&json["password"], &json["expires_at"]), (&token.into(), &expires_at.into()));
    // A git that knows more than passwords, and a server that takes none.
    let bearer = "capability[]=authtype\nwwwauth[]=Bearer realm=\"x\"\n";
    let bearer = world.jeton_with_input(["git-credential", "get"], question(&server.url, bearer));
    assert!(bearer.answer().starts_with("capability[]=authtype\nauthtype=Bearer\ncredential="), "{bearer}");
    assert!(!bearer.answer().contains("password="));
    // What it has no use for, it leaves alone.
    for operation in ["store", "capability", "anything"] {
        let input = question(&server.url, "username=x\npassword=y\n");
        let ran = world.jeton_with_input(["git-credential", operation], input);
        assert_eq!((ran.answer(), ran.stderr.as_str()), ("", ""), "{operation}");
    }
}

#[cfg(unix)]
#[test]
fn git_finds_it_by_its_own_name() {
    if !has(&["git"]) {
        return;
    }
    let (world, server) = world_with_git();
    let link = world.home().join("bin/git-credential-jeton");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_jeton"), &link).unwrap();
    std::fs::remove_file(world.home().join(".gitconfig")).unwrap();
    let key = format!("credential.{}.helper=jeton", server.url);
    git_alone(&world, &["-c", &key, "ls-remote", &format!("{}/team/repo.git", server.url)]);
    assert!(server.requests().iter().any(|request| password(request).is_some()));
}

#[test]
fn who_is_not_logged_in_is_told_and_git_gets_nothing() {
    if !has(&["git"]) {
        return;
    }
    let world = World::new();
    world.person_profile("work");
    name_git_server(&world, "https://git.example");
    let asked = world.jeton_with_input(["git-credential", "get"], question("https://git.example", ""));
    assert!(asked.failed(3).contains("jeton login work"), "{asked}");
    // A profile without a git server cannot be set up for git.
    world.person_profile("other");
    let set_up = world.jeton(["git-credential", "--install", "--profile", "other"]);
    assert!(set_up.failed(2).contains("names no git server"), "{set_up}");
    let neither = world.jeton(["git-credential"]);
    neither.failed(2);
}

#[test]
fn a_login_can_name_the_git_server() {
    if !has(&["git"]) {
        return;
    }
    let world = World::new();
    world.service_profile("work");
    world.jeton(["login", "work", "--git", "https://git.example"]).answer();
    let given = world.jeton_with_input(["git-credential", "get"], question("https://git.example", ""));
    assert!(given.answer().contains("username=oauth2\npassword="), "{given}");
}

#[test]
fn the_longest_path_decides_between_profiles_and_else_the_user_name() {
    if !has(&["git"]) {
        return;
    }
    let world = World::new();
    for (name, git) in [("all", "https://git.example"), ("team", "https://git.example/team")] {
        world.signed_in(name);
        name_git_server(&world, git);
    }
    let profile_of = |url: &str, more: &str| {
        let answer = world.jeton_with_input(["--json", "git-credential", "get"], question(url, more));
        answer.json()["profile"].as_str().unwrap().to_owned()
    };
    assert_eq!(profile_of("https://git.example/team/repo.git", ""), "team");
    assert_eq!(profile_of("https://git.example/teams/repo.git", ""), "all");
    assert_eq!(profile_of("https://git.example", ""), "all");
    world.signed_in("second");
    name_git_server(&world, "https://git.example");
    let unclear = world.jeton_with_input(["git-credential", "get"], question("https://git.example", ""));
    assert!(unclear.failed(2).contains("all, second"), "{unclear}");
    assert_eq!(profile_of("https://git.example", "username=second\n"), "second");
    // One that is written wrongly is told, and keeps nobody else from theirs.
    world.person_profile("wrong");
    name_git_server(&world, "ssh://git.example");
    let warned =
        world.jeton_with_input(["git-credential", "get"], question("https://git.example/team/x", ""));
    assert!(
        warned.answer().contains("password=")
            && warned.stderr.contains("warning: `git` of the profile `wrong`")
    );
}

#[test]
fn a_token_that_is_bound_to_a_key_is_not_handed_out() {
    if !has(&["git"]) {
        return;
    }
    let world = World::new();
    world.person_profile("work");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), format!("{text}dpop = true\ngit = [\"https://git.example\"]\n"))
        .unwrap();
    world.sign_in_again("work", DevServer::PUBLIC_CLIENT, |builder| builder.dpop(true));
    let asked = world.jeton_with_input(["git-credential", "get"], question("https://git.example", ""));
    assert!(asked.failed(2).contains("bound to a key"), "{asked}");
    asked.shows_none_of(&world.secrets("work"));
}
