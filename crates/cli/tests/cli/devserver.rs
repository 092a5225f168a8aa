//! `jeton devserver`: it starts, says where it is, tells what it sees, and ends when it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use jeton_devserver::{Endpoint, Fault};
use jeton_tests::browser::{self, PATIENCE};
use jeton_tests::terminal::Terminal;
use serde_json::Value;
use url::Url;

use crate::world::World;

/// The command while it runs.
struct Running {
    child: Started,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command([&["devserver"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child: Started(child), stdin, stdout, stderr }
    }

    /// With `--json`: what it announces.
    fn announced(world: &World, arguments: &[&str]) -> (Self, Value) {
        let running = Self::start(world, &[&["--json", "--until-stdin-closes"], arguments].concat());
        let line = running.stdout.recv_timeout(PATIENCE).expect("it says where it is");
        let announcement = serde_json::from_str(&line).expect("one line of JSON");
        (running, announcement)
    }

    fn told(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).expect("it tells of a request")
    }

    fn told_json(&self) -> Value {
        serde_json::from_str(&self.told()).expect("a line of JSON")
    }

    /// Closes its standard input, and gives what was still to be read.
    fn close(mut self) -> (ExitStatus, String, String) {
        drop(self.stdin.take());
        self.ended()
    }

    fn ended(mut self) -> (ExitStatus, String, String) {
        let rest = |lines: &Receiver<String>| {
            let mut all = String::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => all.extend([&line, "\n"]),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                    Err(mpsc::RecvTimeoutError::Timeout) => panic!("the command does not end"),
                }
            }
        };
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        (self.child.0.wait().unwrap(), stdout, stderr)
    }
}

/// A program that does not outlive its test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn text<'a>(announcement: &'a Value, name: &str) -> &'a str {
    announcement[name].as_str().unwrap_or_else(|| panic!("no {name}: {announcement}"))
}

fn get(url: &str) -> browser::Answer {
    browser::get(&Url::parse(url).unwrap()).unwrap()
}

/// Posts a form (or JSON, if it begins so); gives status and body.
fn post(url: &str, body: &str) -> (u16, Value) {
    let url = Url::parse(url).unwrap();
    let authority = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let mut stream = TcpStream::connect(&authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        url.path(),
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An authorization request of that client.
fn authorization(announcement: &Value, client: &str, redirect_uri: &str) -> browser::Answer {
    let mut url = Url::parse(text(announcement, "authorization_endpoint")).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("state", "0123456789012345678901"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    browser::get(&url).unwrap()
}

const REDIRECT_URI: &str = "http://127.0.0.1:49152/callback";

#[test]
fn a_login_against_it_by_the_command_itself() {
    let world = World::new();
    let (running, announcement) = Running::announced(&world, &[]);
    let issuer = text(&announcement, "issuer");
    let metadata: Value = serde_json::from_str(&get(text(&announcement, "metadata")).body).unwrap();
    assert_eq!(metadata["issuer"], issuer);
    let seen = running.told_json();
    assert_eq!(
        (&seen["method"], &seen["status"], &seen["endpoint"]),
        (&"GET".into(), &200.into(), &"metadata".into())
    );

    let service = &announcement["clients"][1];
    let client_id = text(service, "client_id");
    let profile = format!(
        "issuer = \"{issuer}\"\nclient_id = \"{client_id}\"\nlogin = \"client-credentials\"\nauthentication = \"{}\"",
        text(service, "authentication")
    );
    world.profile("bot", &profile);
    let mut command = world.command(["token", "bot"]);
    let token = crate::world::run(command.env("JETON_CLIENT_SECRET", text(service, "client_secret")), b"");
    let token = token.answer().trim().to_owned();
    assert_eq!(token.len(), 43);

    let (status, stdout, stderr) = running.close();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(stdout, "", "the answer was one line");
    let told: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let issued = told.iter().find(|line| line["endpoint"] == "token").expect("the token request");
    assert_eq!(
        (&issued["grant_type"], &issued["client_id"]),
        (&"client_credentials".into(), &client_id.into())
    );
    assert_eq!((&issued["status"], &issued["error"]), (&200.into(), &Value::Null));
    for secret in [&*token, "service-secret"] {
        assert!(!stderr.contains(secret), "{secret}: {stderr}");
    }
}

#[test]
fn what_it_says_to_try_works_as_it_stands() {
    let world = World::new();
    let (running, announcement) = Running::announced(&world, &["--approve", "--client", "my app"]);
    let pipe = world.home().join("browser.pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let browser = world.file("browser", format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", pipe.display()));
    Command::new("chmod").arg("+x").arg(&browser).status().unwrap();
    let browsing = thread::spawn(move || {
        let redirected = get(&std::fs::read_to_string(pipe).unwrap());
        get(redirected.header("location").expect("nobody is asked")).status
    });
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_jeton")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let pasted = |index: usize| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(announcement["commands"][index].as_str().unwrap());
        shell.env_clear().envs(world.environment()).env("PATH", &path).env("BROWSER", &browser);
        crate::world::run(&mut shell, b"")
    };
    assert!(pasted(0).answer().starts_with("Signed in"));
    assert_eq!(browsing.join().unwrap(), 200);
    let me = pasted(1).json();
    assert_eq!((&me["sub"], &me["client_id"]), (&"alice".into(), &"my app".into()));
    let page = get(text(&announcement, "seen")).body;
    assert!(page.contains("<bdi>alice</bdi></b> <i class=\"good\">signed in</i>"), "{page}");
    assert_eq!(running.close().0.code(), Some(0));
}

#[test]
fn at_a_terminal_refusals_are_marked_and_ctrl_c_ends_it() {
    let world = World::new();
    let mut command = world.command(["devserver"]);
    command.env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(command);
    terminal.wait_for("grant_type=client_credentials");
    let shown = terminal.text();
    let issuer = shown.split_once("--issuer ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    post(&format!("{issuer}/token"), "grant_type=refresh_token&client_id=public-app&refresh_token=x&x=");
    terminal.wait_for("leave it out");
    assert_eq!(get(&format!("{issuer}/api/me")).status, 401);
    terminal.wait_for("GET /api/me 401 unauthorized");
    assert!(terminal.cells("400 invalid_request").iter().all(|cell| cell.fgcolor() == vt100::Color::Idx(1)));
    terminal.no_line_wider_than(80);
    terminal.press_ctrl_c();
    terminal.ended_with(0);
}

#[test]
fn what_a_person_reads_fits_a_terminal_and_says_which_rule_was_broken() {
    let world = World::new();
    let running =
        Running::start(&world, &["--until-stdin-closes", "--client", "my app", "--client", "own=MARKER"]);
    let first = running.stdout.recv_timeout(PATIENCE).unwrap();
    let issuer = first.split(' ').next_back().unwrap().trim_end_matches('.').to_owned();
    let (status, _) =
        post(&format!("{issuer}/token"), "grant_type=client_credentials&client_id=%1b%5b2Jx&scope=MARKER");
    assert_eq!(status, 401);
    let page = get(&format!("{issuer}/seen"));
    assert!(page.status == 200 && page.body.contains("401 <bdi>invalid_client</bdi>"), "{}", page.body);
    let (_, stdout, stderr) = running.close();
    for line in stdout.lines().chain(stderr.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let expected = [
        format!("{issuer}/seen"),
        format!("jeton login dev --issuer {issuer}"),
        "--client-id 'my app'".to_owned(),
        "service-secret/2".to_owned(),
        "as you said".to_owned(),
    ];
    for text in expected {
        assert!(stdout.contains(&text), "{text}: {stdout}");
    }
    let line = "POST /token 401 invalid_client (client_credentials, \u{fffd}[2Jx)\n  no such client\n";
    assert_eq!(stderr, line, "and nothing of who looked at the page");
    assert!(!stdout.contains("MARKER") && !stdout.contains('\u{1b}'), "{stdout}");

    let (_running, announcement) = Running::announced(&world, &["--client", "own=MARKER"]);
    let own = announcement["clients"].as_array().unwrap().last().unwrap();
    assert_eq!((&own["client_id"], &own["client_secret"]), (&"own".into(), &Value::Null), "{own}");
    assert!(!announcement.to_string().contains("MARKER"));

    let quiet = Running::start(&world, &["--until-stdin-closes", "--quiet"]);
    let first = quiet.stdout.recv_timeout(PATIENCE).unwrap();
    assert_eq!(get(first.split(' ').next_back().unwrap().trim_end_matches('.')).status, 200);
    assert_eq!(quiet.close().2, "");
}

#[cfg(unix)]
#[test]
fn it_ends_when_the_system_or_a_person_asks_for_it() {
    let world = World::new();
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&world, &["--json"]);
        running.stdout.recv_timeout(PATIENCE).expect("it says where it is");
        // Without the option a closed input is no reason to end: as under a supervisor.
        drop(running.stdin.take());
        let pid = running.child.0.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid]).status();
        assert!(sent.unwrap().success());
        assert_eq!(running.ended().0.code(), Some(0), "{signal}");
    }
}

/// A port that the system gives to nobody by itself: between an end and a new start it stays free.
fn on_a_port_of_its_own(world: &World) -> (Running, String) {
    let first = 20_000 + std::process::id() % 10_000;
    for port in (first..first + 100).map(|port| port.to_string()) {
        let running = Running::start(world, &["--json", "--until-stdin-closes", "--port", &port]);
        if running.stdout.recv_timeout(PATIENCE).is_ok() {
            return (running, port);
        }
    }
    panic!("a hundred ports are taken");
}

#[test]
fn a_port_is_had_or_its_loss_is_told() {
    let world = World::new();
    let (running, port) = on_a_port_of_its_own(&world);
    let said = world.jeton(["devserver", "--port", &port]).failed(2).to_owned();
    assert!(said.contains(&format!("the port {port} is taken")) && said.contains("--port"), "{said}");
    assert_eq!(world.jeton(["devserver", "--json", "--port", &port]).failed_json(2)["code"], "port_taken");
    // A connection that is still ending does not hold it.
    let idle = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    assert_eq!(running.close().0.code(), Some(0));
    let (running, announcement) = Running::announced(&world, &["--port", &port]);
    assert_eq!(text(&announcement, "issuer"), format!("http://127.0.0.1:{port}"));
    drop((idle, running));
}

#[test]
fn wrong_options_say_which_are_right() {
    let world = World::new();
    for (arguments, expected) in [
        (["--fault", "flood"], "drop-after-commit"),
        (["--fault", "hang:moon"], "device-authorization"),
        (["--approve=carol", "--json"], "--user carol"),
        (["--client", "=secret"], "--client wants"),
        (["--client", "id="], "--client wants"),
        (["--user", "=x"], "--user wants"),
        (["--redirect-uri", "http://127.0.0.1/cb"], "--client"),
        (["--access-token-life", "0s"], "never"),
        (["--access-token-life", "soon"], "never"),
        (["--deny", "--approve"], "cannot be used"),
        (["--port", "70000"], "70000"),
    ] {
        let ran = world.jeton(["devserver", arguments[0], arguments[1]]);
        let said = ran.failed(2);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn the_help_names_every_fault_and_endpoint() {
    let world = World::new();
    let help = world.jeton(["devserver", "--help"]);
    let names = help.answer().split_once("\nFaults: ").expect("the names at its end").1.to_owned();
    let words: Vec<&str> = names.split([' ', '\n', ',', '.', ':']).collect();
    for name in Fault::names().chain(Endpoint::all().map(Endpoint::name)) {
        assert!(words.contains(&name), "{name}");
    }
}

#[test]
fn faults_meet_the_requests_that_they_are_for() {
    let world = World::new();
    let faults =
        ["--fault", "unavailable:metadata", "--fault", "drop-after-commit", "--fault", "invalid-grant"];
    let (running, announcement) = Running::announced(&world, &faults);
    let metadata = || get(text(&announcement, "metadata")).status;
    assert_eq!((metadata(), metadata()), (503, 200));
    assert_eq!(running.told_json()["fault"], "status 503, nothing committed");
    assert_eq!(running.told_json()["fault"], Value::Null);
    let authority = text(&announcement, "issuer").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&authority).unwrap();
    write!(stream, "POST /token HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut nothing = Vec::new();
    let _ = stream.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    let cut = running.told_json();
    assert_eq!((&cut["status"], &cut["fault"]), (&Value::Null, &"connection closed after the commit".into()));
    let (status, body) = post(text(&announcement, "token_endpoint"), "grant_type=client_credentials");
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
}

#[test]
fn who_approves_is_a_page_a_name_or_nobody() {
    let world = World::new();
    let redirected = |arguments: &[&str], client: &str, redirect_uri: &str| {
        let (_running, announcement) = Running::announced(&world, arguments);
        let answer = authorization(&announcement, client, redirect_uri);
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(redirected(&[], "public-app", REDIRECT_URI), (200, String::new()));
    let (status, location) = redirected(&["--approve"], "public-app", REDIRECT_URI);
    assert!(status == 302 && location.contains("code="), "{location}");
    let (_, location) = redirected(&["--deny"], "public-app", REDIRECT_URI);
    assert!(location.contains("error=access_denied"), "{location}");
    let own = ["--approve", "--client", "mine"];
    assert!(redirected(&own, "mine", "http://[::1]:7/callback").1.contains("code="));
    assert_eq!(redirected(&own, "mine", "http://127.0.0.1:7/cb").0, 400);
    let elsewhere = ["--approve", "--client", "mine", "--redirect-uri", "http://127.0.0.1/cb"];
    assert!(redirected(&elsewhere, "mine", "http://127.0.0.1:7/cb").1.contains("code="));
    assert_eq!(redirected(&elsewhere, "mine", REDIRECT_URI).0, 400);
}

#[test]
fn options_reach_the_server() {
    let world = World::new();
    let dora = "grant_type=password&client_id=password-app&username=dora&password=pw&scope=pets";
    let told = ["--user", "dora=pw", "--scope", "pets", "--access-token-life", "90s", "--no-rotation"];
    let (_running, announcement) = Running::announced(&world, &told);
    let (status, login) = post(text(&announcement, "token_endpoint"), dora);
    assert_eq!((status, &login["expires_in"], &login["scope"]), (200, &90.into(), &"pets".into()));
    let refresh = format!(
        "grant_type=refresh_token&client_id=password-app&refresh_token={}",
        login["refresh_token"].as_str().unwrap()
    );
    for _ in 0..2 {
        let (status, again) = post(text(&announcement, "token_endpoint"), &refresh);
        assert_eq!((status, &again["refresh_token"]), (200, &Value::Null));
    }

    let (_running, announcement) =
        Running::announced(&world, &["--user", "dora=pw", "--scope", "pets", "--access-token-life", "never"]);
    let (_, login) = post(text(&announcement, "token_endpoint"), dora);
    assert_eq!((login["scope"].as_str(), &login["expires_in"]), (Some("pets"), &Value::Null));
    assert_eq!(post(&format!("{}/register", text(&announcement, "issuer")), "{}").0, 404);
    assert_eq!(
        get(text(&announcement, "api")).header("www-authenticate"),
        Some("Bearer realm=\"jeton-devserver\"")
    );

    let (_running, announcement) =
        Running::announced(&world, &["--registration", "--resource-metadata", "--require-par"]);
    let registration = r#"{"redirect_uris":["http://127.0.0.1/callback"],"application_type":"native"}"#;
    assert_eq!(post(&format!("{}/register", text(&announcement, "issuer")), registration).0, 201);
    let challenge = get(text(&announcement, "api"));
    assert!(challenge.header("www-authenticate").unwrap().contains("resource_metadata="));
    assert!(announcement["commands"][0].as_str().unwrap().contains("--url"), "{announcement}");
    assert!(authorization(&announcement, "public-app", REDIRECT_URI).body.contains("A22: "));
}

#[test]
fn a_reader_who_reads_no_further_stops_nobody() {
    let world = World::new();
    let mut command = world.command(["devserver", "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Started(command.spawn().unwrap());
    let announcement = lines(child.0.stdout.take().unwrap()).recv_timeout(PATIENCE).unwrap();
    let announcement: Value = serde_json::from_str(&announcement).unwrap();
    // More than the pipe and the queue hold.
    let issuer = text(&announcement, "issuer");
    for _ in 0..1_700 {
        assert_eq!(get(&format!("{issuer}/api/me")).status, 401);
    }
    let told = lines(child.0.stderr.take().unwrap());
    let missing = loop {
        let line = told.recv_timeout(PATIENCE).expect("a line that says what is missing");
        if line.contains("were left out") {
            break line;
        }
        assert!(line.contains("\"api\""), "{line}");
    };
    assert!(missing.starts_with('('), "{missing}");
}
