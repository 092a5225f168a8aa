//! `jeton request`: what is sent where, what comes back, and that the token goes nowhere else.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use jeton_devserver::{DevServer, Endpoint, Fault, RecordedRequest};
use jeton_tests::browser::PATIENCE;
use jeton_tests::terminal::Terminal;
use serde_json::{Value, json};

use crate::http::{Answer, Server};
use crate::world::{Ran, World, run};

const MEGABYTE: usize = 1024 * 1024;

fn signed_in() -> World {
    let world = World::new();
    world.signed_in("work");
    world
}

/// A profile that may show its token to that origin, too.
fn with_api(origin: &str) -> World {
    let world = signed_in();
    world.profile(
        "api",
        &format!(
            "issuer = \"{}\"\nclient_id = \"{}\"\naccount = \"work\"\napis = [\"{origin}\"]",
            world.server.issuer(),
            DevServer::PUBLIC_CLIENT
        ),
    );
    world
}

fn me(world: &World) -> String {
    world.server.resource_url()
}

fn at_api(world: &World) -> Vec<RecordedRequest> {
    world.server.requests().into_iter().filter(|request| request.endpoint == Endpoint::Resource).collect()
}

fn body(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

/// The most memory that a process has used so far, in bytes.
fn peak(child: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

// ----- What is sent ------------------------------------------------------------------------------------------------------

#[test]
fn a_get_brings_the_body_and_nothing_else() {
    let world = signed_in();
    let ran = world.jeton(["request", "work", &me(&world)]);
    assert_eq!(body(&ran)["sub"], "alice");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // The only profile need not be named.
    for arguments in
        [vec![me(&world)], vec!["GET".into(), me(&world)], vec!["work".into(), "GET".into(), me(&world)]]
    {
        let arguments = ["request"].into_iter().chain(arguments.iter().map(String::as_str));
        assert_eq!(run(&mut world.command(arguments), b"").code, Some(0));
    }
    assert_eq!(at_api(&world).len(), 4);
    assert_eq!(world.jeton(["request", "work", "delete", &me(&world)]).code, Some(0));
    assert_eq!(at_api(&world)[4].method, "DELETE");
}

#[test]
fn a_body_goes_as_what_it_is() {
    let world = signed_in();
    let me = me(&world);
    let file = world.file("note.bin", b"\x00\xff");
    let file = format!("@{}", file.display());
    let json_file = format!("@{}", world.file("note", "[1]").display());
    for (arguments, input, method, media_type, length) in [
        (vec!["-d", "{\"a\": 1}"], "", "POST", "application/json", 8),
        (vec!["-d", &file], "", "POST", "application/octet-stream", 2),
        (vec!["-d", &json_file], "", "POST", "application/json", 3),
        (vec!["-d", "@-"], "{}", "POST", "application/json", 2),
        (vec!["-d", "@-"], "a=b", "POST", "application/octet-stream", 3),
        (vec!["-d", "a b", "-H", "content-type:text/plain"], "", "POST", "text/plain", 3),
        (
            vec!["-d", "{}", "-H", "Content-Type: application/merge-patch+json"],
            "",
            "POST",
            "application/merge-patch+json",
            2,
        ),
        (vec!["--form", "a=1&2", "--form", "b=é"], "", "POST", "application/x-www-form-urlencoded", 16),
        (vec!["PUT", "-d", "[]"], "", "PUT", "application/json", 2),
    ] {
        let mut all = vec!["request", "work"];
        all.extend(arguments.iter().filter(|own| **own == "PUT"));
        all.push(&me);
        all.extend(arguments.iter().filter(|own| **own != "PUT"));
        let ran = run(&mut world.command(all), input.as_bytes());
        let body = body(&ran);
        assert_eq!(
            (&body["method"], &body["content_type"], &body["body_length"]),
            (&json!(method), &json!(media_type), &json!(length)),
            "{arguments:?}: {ran}"
        );
    }
    let form = at_api(&world)[7].form.clone();
    assert_eq!(form, [("a".to_owned(), "1&2".to_owned()), ("b".to_owned(), "é".to_owned())]);
    let sent = at_api(&world).len();
    let failure = world.jeton(["request", "work", &me, "-d", "a=b", "--json"]).failed_json(2);
    assert!(failure["do"].as_str().unwrap().contains("--form"), "{failure}");
    assert_eq!(at_api(&world).len(), sent);
}

#[test]
fn headers_are_sent_and_those_that_are_not_the_persons_are_refused() {
    let world = signed_in();
    let me = me(&world);
    world.jeton(["request", "work", &me, "-H", "X-One: a", "-H", "x-one: b", "-H", "X-Empty:"]).answer();
    let request = &at_api(&world)[0];
    let ones: Vec<&str> =
        request.headers.iter().filter(|(name, _)| name == "x-one").map(|(_, value)| value.as_str()).collect();
    assert_eq!((ones, request.header("x-empty")), (vec!["a", "b"], Some("")));
    for wrong in [
        "Authorization: Bearer x",
        "DPoP: x",
        "Host: evil.example",
        "no colon",
        "a b: c",
        "X: a\nInjected: b",
        "Content-Length: 5",
    ] {
        let ran = world.jeton(["request", "work", &me, "-H", wrong]);
        assert_eq!(ran.code, Some(2), "{wrong}: {ran}");
    }
    assert_eq!(at_api(&world).len(), 1);
}

#[test]
fn wrong_targets_are_told() {
    let world = signed_in();
    for (arguments, words) in [
        (vec!["work", "PUT", "api.example/me"], "jeton request work PUT https://api.example/me"),
        (vec!["GET", "localhost:8080/me"], "do:  jeton request GET http://localhost:8080/me"),
        (vec!["work"], "do:  jeton request work GET http://127.0.0.1:"),
        (vec!["PUT"], "do:  jeton request PUT http://127.0.0.1:"),
        (vec!["work", "DELETE"], "do:  jeton request work DELETE http://127.0.0.1:"),
        (vec!["work", "//evil.example/me"], "is no URL"),
        (vec!["work", "/\\evil.example/me"], "is no URL"),
        (vec!["nobody", "/me"], "there is no profile `nobody`"),
        (vec!["work", "PUT", "/me", "-X", "GET"], "two methods: `PUT` and `GET`"),
        (vec!["work", "POST", "/me", "-I"], "two methods"),
        (vec!["work", "/me", "-I", "-d", "{}"], "cannot be used with"),
        (vec!["work", "GET", "ftp://api.example/"], "its scheme is `ftp`"),
        (vec!["work", "GET", "https://"], "is no URL"),
        (vec!["work", "CONNECT", "https://api.example/"], "no method that can be sent"),
        (vec!["work", "G ET", "https://api.example/"], "no method that can be sent"),
        (vec!["nobody", "https://api.example/"], "there is no profile `nobody`"),
        (vec!["work", "https://api.example/", "-d", "@/no/such/file"], "cannot be read"),
        (vec!["work", "https://api.example/", "-d", "{}", "--form", "a=b"], "cannot be used with"),
        (vec!["work", "https://user:marker-pw@api.example/"], "api.example"),
    ] {
        let ran = run(&mut world.command(["request"].into_iter().chain(arguments.iter().copied())), b"");
        assert!(ran.failed(2).contains(words), "{arguments:?}: {ran}");
        assert!(!ran.stderr.contains("marker-pw"), "{ran}");
    }
}

// ----- Where the token goes ----------------------------------------------------------------------------------------------

#[test]
fn another_origin_gets_nothing_unless_it_is_named() {
    let world = signed_in();
    let recorder = DevServer::recorder().unwrap();
    let url = format!("{}/me", recorder.url());
    let failure = world.jeton(["request", "work", &url, "--json"]).failed_json(2);
    assert_eq!(failure["code"], "foreign_origin");
    assert!(failure["do"].as_str().unwrap().contains(&format!("--api {}", recorder.url())), "{failure}");
    let elsewhere = world.jeton(["request", "work", &url, "--allow-origin", "https://other.example"]);
    elsewhere.failed(2);
    let (with_path, with_user) = (format!("{}/path", recorder.url()), recorder.url().replace("//", "//a@"));
    for wrong in ["api.example", &with_path, &with_user, "data:x"] {
        assert_eq!(world.jeton(["request", "work", &url, "--allow-origin", wrong]).code, Some(2), "{wrong}");
    }
    assert!(recorder.requests().is_empty());

    world.jeton(["request", "work", &url, "--allow-origin", recorder.url()]).answer();
    let token = world.record("work").tokens[0].access_token.expose().to_owned();
    assert_eq!(recorder.requests()[0].bearer(), Some(token.as_str()));
    // Once is once.
    world.jeton(["request", "work", &url]).failed(2);
    assert!(world.jeton(["request", "work", "http://api.example/"]).failed(2).contains("over HTTPS"));
}

#[test]
fn a_path_is_one_of_the_profiles_only_api() {
    let world = signed_in();
    for arguments in [vec!["work", "/api/me"], vec!["/api/me?a=b"], vec!["work", "GET", "/api/me"]] {
        let ran = run(&mut world.command(["request"].into_iter().chain(arguments.iter().copied())), b"");
        assert_eq!(body(&ran)["sub"], "alice", "{arguments:?}");
    }
    assert!(at_api(&world).iter().all(|request| request.path == "/api/me" && request.bearer().is_some()));
    let profile = format!(
        "issuer = \"{}\"\nclient_id = \"public-app\"\napis = [\"https://a.example\", \"https://b.example\"]",
        world.server.issuer()
    );
    world.profile("two", &profile);
    assert!(world.jeton(["request", "two", "/me"]).failed(2).contains("jeton request two GET https://"));
}

#[test]
fn methods_are_given_as_with_curl_too() {
    let world = signed_in();
    let me = me(&world);
    assert_eq!(body(&world.jeton(["request", "work", &me, "-X", "PUT", "-d", "{}"]))["method"], "PUT");
    world.jeton(["request", "-X", "delete", &me]).answer();
    assert_eq!(at_api(&world)[1].method, "DELETE");
    // Of a HEAD there is nothing to see but its head.
    for arguments in [vec!["-I", &me], vec!["HEAD", &me], vec!["-X", "HEAD", &me]] {
        let ran = run(&mut world.command(["request"].into_iter().chain(arguments.iter().copied())), b"");
        assert!(ran.answer().starts_with("HTTP/1.1 200 OK\n"), "{ran}");
        assert_eq!(at_api(&world).pop().unwrap().method, "HEAD");
    }
    // Other flags of curl are told from values.
    let ran = world.jeton(["request", "work", &me, "-v"]);
    assert!(ran.failed(2).contains("`jeton request --help`") && !ran.stderr.contains("-- -v"), "{ran}");
}

#[test]
fn a_redirect_takes_what_is_sent_to_another_origin_only_if_it_may() {
    let world = signed_in();
    let recorder = DevServer::recorder().unwrap();
    let to = |status: u16| {
        world.server.url(&format!("/api/redirect?to={}/landed&status={status}", recorder.url()))
    };
    let (url, see_other) = (to(307), to(303));
    let file = world.file("answer", "before");
    for arguments in [
        vec![url.as_str(), "-d", "{}"],
        vec!["DELETE", &url],
        vec!["GET", &url, "-d", "{}"],
        vec![&url, "-H", "X-Api-Key: marker"],
        vec![&see_other, "--form", "a=b"],
        vec![&url, "-d", "{}", "-o", file.to_str().unwrap()],
    ] {
        let arguments = [&["request", "work"], &arguments[..]].concat();
        let ran = run(&mut world.command(arguments.iter().copied()), b"");
        assert_eq!(ran.code, Some(7), "{arguments:?}: {ran}");
        assert!(ran.stderr.contains(&format!("sends the request on to {}", recorder.url())), "{ran}");
        assert!(ran.stderr.contains("--location"), "{ran}");
    }
    assert!(recorder.requests().is_empty());
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    let ran = world.jeton(["request", "work", &url, "-d", "{}", "--json"]);
    assert_eq!((ran.code, &body(&ran)["status"]), (Some(7), &json!(307)), "{ran}");
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "foreign_redirect");

    let ran = world.jeton(["request", "work", &url, "-d", "{}", "-H", "X-Api-Key: marker", "--location"]);
    assert_eq!(body(&ran), json!({ "recorded": true }));
    let landed = recorder.requests().pop().unwrap();
    assert_eq!((landed.header("authorization"), landed.header("x-api-key")), (None, Some("marker")));
    // Within the origin all of it is for the API.
    let within = world.server.url("/api/redirect?to=/api/me&status=307");
    assert_eq!(body(&world.jeton(["request", "work", &within, "-d", "{}"]))["method"], "POST");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_sent() {
    let world = signed_in();
    let me = me(&world);
    let ran = world.jeton(["request", "work", "POST", &me, "-d", "{}", "-o", "/nonexistent/x"]);
    assert!(ran.failed(2).contains("nothing was sent") && ran.stderr.contains("do:"), "{ran}");
    assert!(at_api(&world).is_empty());
    // What was made for an answer that did not come is no answer.
    let file = world.home().join("new");
    let path = file.to_str().unwrap();
    assert_eq!(world.jeton(["request", "work", &world.server.url("/api/admin"), "-o", path]).code, Some(7));
    assert!(!file.exists());
    let longer = world.file("longer", vec![b'x'; 100_000]);
    assert_eq!(world.jeton(["request", "work", &me, "-o", longer.to_str().unwrap()]).answer(), "");
    let answer: Value = serde_json::from_slice(&std::fs::read(&longer).unwrap()).unwrap();
    assert_eq!(answer["sub"], "alice");
}

#[test]
fn a_redirect_to_another_origin_goes_on_without_the_token() {
    let world = signed_in();
    let recorder = DevServer::recorder().unwrap();
    let url = world.server.url(&format!("/api/redirect?to={}/landed&status=307", recorder.url()));
    let ran = world.jeton(["request", "work", &url]);
    assert_eq!(body(&ran), json!({ "recorded": true }));
    assert_eq!(recorder.requests()[0].header("authorization"), None);
    assert!(ran.stderr.contains(&format!("sent the request on to {}", recorder.url())), "{ran}");
    let within = world.server.url("/api/redirect?to=/api/me");
    assert_eq!(body(&world.jeton(["request", "work", &within]))["sub"], "alice");
}

#[test]
fn a_token_that_is_refused_is_replaced_once_and_a_bound_one_brings_its_proof() {
    let world = signed_in();
    world.server.revoke_access_tokens();
    assert_eq!(body(&world.jeton(["request", "work", &me(&world), "-d", "{}"]))["body_length"], 2);
    assert_eq!(world.server.stats().grant("refresh_token").requests, 1);
    assert_eq!(at_api(&world).len(), 2);

    let world = World::with(|builder| builder.require_dpop(true).dpop_nonces(1));
    world.profile(
        "bound",
        &format!(
            "issuer = \"{}\"\nclient_id = \"public-app\"\ndpop = true\napis = [\"{}\"]",
            world.server.issuer(),
            world.server.url("")
        ),
    );
    world.sign_in_again("bound", "public-app", |builder| builder.dpop(true));
    assert_eq!(body(&world.jeton(["request", "bound", &me(&world)]))["sub"], "alice");
    // A stream cannot be sent twice; the file is opened anew.
    let file = world.file("large", vec![b'x'; 2 * MEGABYTE]);
    let ran = world.jeton(["request", "bound", &me(&world), "-d", &format!("@{}", file.display())]);
    assert_eq!(body(&ran)["body_length"], 2 * MEGABYTE, "{ran}");
}

// ----- What comes back ---------------------------------------------------------------------------------------------------

#[test]
fn a_refusal_has_its_body_on_stdout_its_reason_on_stderr_and_its_own_exit_code() {
    let world = signed_in();
    let url = world.server.url("/api/admin");
    let ran = world.jeton(["request", "work", &url]);
    assert_eq!(ran.code, Some(7), "{ran}");
    assert_eq!(body(&ran)["error"], "insufficient_scope");
    assert!(
        ran.stderr.starts_with("jeton: the API answered 403 Forbidden\n  why: insufficient_scope: "),
        "{ran}"
    );
    assert!(ran.stderr.contains("jeton login work --scope \"admin\""), "{ran}");
    ran.shows_none_of(&world.secrets("work"));

    let ran = world.jeton(["request", "work", &url, "--json"]);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["exit"]), (&json!("http_status"), &json!(7)));
    let answer = body(&ran);
    assert_eq!(
        (&answer["profile"], &answer["status"], &answer["body"]["error"]),
        (&json!("work"), &json!(403), &json!("insufficient_scope"))
    );
    assert!(answer["headers"]["www-authenticate"].as_str().unwrap().starts_with("Bearer"), "{answer}");

    // The file is for answers.
    let file = world.file("answer", "before");
    let ran = world.jeton(["request", "work", &url, "-o", file.to_str().unwrap()]);
    assert_eq!((ran.code, body(&ran)["error"].as_str()), (Some(7), Some("insufficient_scope")));
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    assert_eq!(world.jeton(["request", "work", &world.server.url("/nowhere")]).code, Some(7));
}

#[test]
fn a_strangers_words_cannot_play_tricks_in_what_is_said() {
    let api = Server::start(|_| {
        Answer::new(403, "text/plain", "no").with(
            "WWW-Authenticate",
            "Bearer error=\"insufficient_scope\", error_description=\"a\u{9b}2Jb\u{202e}\", scope=\"$(id) x\"",
        )
    });
    let world = with_api(&api.url);
    let ran = world.jeton(["request", "api", &format!("{}/", api.url)]);
    assert_eq!(ran.code, Some(7));
    assert!(ran.stderr.contains("a\u{fffd}2Jb\u{fffd}") && !ran.stderr.contains("$(id)"), "{ran}");
}

#[test]
fn status_and_headers_come_first_if_they_are_asked_for() {
    let api = Server::start(|_| {
        Answer::new(201, "text/plain", "body").with("Set-Cookie", "a=1").with("Set-Cookie", "b=2")
    });
    let world = with_api(&api.url);
    let ran = world.jeton(["request", "api", &api.url, "-i"]);
    let (head, body) = ran.answer().split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201 Created\n"), "{ran}");
    assert!(head.contains("\nset-cookie: a=1\nset-cookie: b=2\n") && body == "body", "{ran}");
    let json = world.jeton(["request", "api", &api.url, "--json"]).json();
    assert_eq!((&json["body"], &json["headers"]["set-cookie"]), (&json!("body"), &json!(["a=1", "b=2"])));
}

#[test]
fn binary_bodies_stay_as_they_are_but_not_on_a_terminal() {
    let bytes: Vec<u8> = (0..=255).collect();
    let api = Server::start({
        let bytes = bytes.clone();
        move |request| match request.path.as_str() {
            "/text" => Answer::new(200, "text/plain", "before\u{1b}]0;title\u{7}after\n")
                .with("X-Evil", "a\u{9b}31mb\u{202e}"),
            _ => Answer::new(200, "application/octet-stream", bytes.clone()),
        }
    });
    let world = with_api(&api.url);
    let url = format!("{}/binary", api.url);
    assert_eq!(world.jeton(["request", "api", &url]).stdout, bytes);
    let file = world.home().join("out");
    let ran = world.jeton(["request", "api", &url, "--output", file.to_str().unwrap(), "--json"]);
    assert_eq!((&ran.json()["length"], &ran.json()["file"]), (&json!(256), &json!(file)));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert!(world.jeton(["request", "api", &url, "--json"]).failed(2).contains("binary"));

    let mut terminal = Terminal::start(world.command(["request", "api", &url]));
    terminal.ended_with(2);
    assert!(terminal.text().contains("the answer is binary"), "{}", terminal.text());
    let mut terminal = Terminal::start(world.command(["request", "api", &format!("{}/text", api.url), "-i"]));
    terminal.ended_with(0);
    // What a terminal would obey can be read on it.
    assert!(terminal.text().contains("]0;title"), "{}", terminal.text());
    let history = String::from_utf8(terminal.history()).unwrap();
    assert!(
        history.contains("x-evil: a") && !history.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
        "{history:?}"
    );
}

#[test]
fn large_bodies_pass_both_ways_in_little_memory() {
    let world = signed_in();
    let size = 50 * MEGABYTE;
    world.server.fault(Endpoint::Resource, Fault::HugeBody(size as u64));
    let mut child = world.command(["request", "work", &me(&world)]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut piece = vec![0; MEGABYTE];
    for _ in 0..40 {
        stdout.read_exact(&mut piece).unwrap();
    }
    let while_it_comes = peak(&child);
    let rest = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(rest as usize, size - 40 * MEGABYTE);
    assert!(while_it_comes < 40 * MEGABYTE, "{while_it_comes} bytes");

    // The server has all of the body, and keeps its answer back meanwhile.
    let file = world.file("large", vec![b'x'; size]);
    for from_file in [true, false] {
        world.server.fault(Endpoint::Resource, Fault::Gate);
        let data = if from_file { format!("@{}", file.display()) } else { "@-".to_owned() };
        let mut command = world.command(["request", "work", "PUT", &me(&world), "-d", &data]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if !from_file {
            stdin.write_all(&std::fs::read(&file).unwrap()).unwrap();
        }
        drop(stdin);
        assert!(world.server.wait_until_held_blocking(1, PATIENCE));
        let while_it_waits = peak(&child);
        world.server.open_gate();
        let output = child.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&answer["body_length"], &answer["content_type"]),
            (&json!(size), &json!("application/octet-stream"))
        );
        assert!(while_it_waits < 40 * MEGABYTE, "{while_it_waits} bytes");
    }
}

#[test]
fn a_stream_is_sent_again_with_another_token_if_it_can_be_read_again() {
    let world = signed_in();
    let large = vec![b'x'; 2 * MEGABYTE];
    let file = world.file("large.json", &large);
    let data = format!("@{}", file.display());
    world.server.revoke_access_tokens();
    let ran = world.jeton(["request", "work", &me(&world), "-d", &data]);
    assert_eq!(
        (&body(&ran)["body_length"], &body(&ran)["content_type"]),
        (&json!(2 * MEGABYTE), &json!("application/json"))
    );
    assert_eq!(world.server.stats().grant("refresh_token").requests, 1);

    // Standard input is gone; the next run has a token that works.
    world.server.revoke_access_tokens();
    let ran = world.jeton_with_input(["request", "work", &me(&world), "-d", "@-"], &large);
    assert_eq!(ran.code, Some(7), "{ran}");
    let ran = world.jeton_with_input(["request", "work", &me(&world), "-d", "@-"], &large);
    assert_eq!(body(&ran)["body_length"], 2 * MEGABYTE, "{ran}");
    assert_eq!(world.server.stats().grant("refresh_token").requests, 2);
}

#[test]
fn who_reads_no_further_has_what_they_wanted() {
    let world = signed_in();
    world.server.fault(Endpoint::Resource, Fault::HugeBody(200 * MEGABYTE as u64));
    let mut command = world.command(["request", "work", &me(&world)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn an_api_that_is_down_slow_or_breaks_off_may_work_later() {
    let world = signed_in();
    let me = me(&world);
    world.server.fault(Endpoint::Resource, Fault::DropAfterCommit);
    let failure = world.jeton(["request", "work", "POST", &me, "--json"]).failed_json(5);
    assert_eq!(failure["code"], "network");
    world.server.fault(Endpoint::Resource, Fault::Hang);
    world.jeton(["request", "work", &me, "--timeout", "200ms"]).failed(5);
    world.server.fault(Endpoint::Resource, Fault::TruncateAfter(20));
    let file = world.home().join("part");
    let ran = world.jeton(["request", "work", &me, "-o", file.to_str().unwrap()]);
    assert!(ran.failed(5).contains("has the beginning only"), "{ran}");
    assert_eq!(std::fs::read(&file).unwrap().len(), 20);
    world.person_profile("other");
    world.jeton(["request", "other", &me]).failed(3);
}
