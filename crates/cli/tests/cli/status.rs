//! `jeton status`: what the store has, in words and in JSON; nothing is sent, and no token is shown.

use jeton::jose::{Claims, JwtHeader, sign_jwt};
use jeton::models::Warning;
use jeton::storage::{LoginStatus, RefreshHold};
use jeton::{JwsAlgorithm, SigningKey};
use jeton_devserver::DevServer;
use jeton_tests::terminal::Terminal;
use serde_json::{Value, json};

use crate::world::{SCOPE, World, now_ms};

/// The login of that name in the answer.
fn login<'a>(json: &'a Value, name: &str) -> &'a Value {
    let logins = json["logins"].as_array().unwrap();
    logins.iter().find(|own| own["profile"] == name).unwrap_or_else(|| panic!("no `{name}` in {json}"))
}

/// An ID token with these claims, signed by nobody who matters.
fn id_token(claims: &Value) -> jeton::Secret {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let claims = Claims::from(claims.as_object().unwrap().clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(sign_jwt(&key, JwtHeader::default(), &claims)).unwrap()
}

/// A world with a login of each kind.
fn full() -> World {
    let world = World::new();
    world.signed_in("alive");
    world.signed_in("expired");
    world.signed_in("lost");
    world.signed_in("over");
    world.person_profile("never");
    world.service_profile("robot");
    world.profile("broken", "client_id = \"x\"");
    world.sign_in_again("stray", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    world.expire("expired");
    world.expire("lost");
    world.change_record("lost", |record| record.refresh_token = None);
    world.change_record("over", |record| {
        record.status =
            LoginStatus::Ended { reason: "invalid_grant: gone\u{1b}[2J".to_owned(), at_ms: now_ms() };
        record.refresh_token = None;
    });
    world
}

#[test]
fn each_login_stands_there_with_a_stable_word_and_nothing_is_sent() {
    let world = full();
    let secrets: Vec<String> =
        ["alive", "expired", "lost"].iter().flat_map(|name| world.secrets(name)).collect();
    let before = world.server.requests().len();
    let ran = world.jeton(["status", "--json"]);
    let json = ran.json();
    for (name, state) in [
        ("alive", "signed_in"),
        ("expired", "signed_in"),
        ("lost", "login_needed"),
        ("over", "login_needed"),
        ("never", "login_needed"),
        ("robot", "unattended"),
        ("broken", "misconfigured"),
    ] {
        assert_eq!(login(&json, name)["state"], state, "{name}: {ran}");
    }
    let keys: Vec<&String> = login(&json, "alive").as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "account",
            "client_id",
            "dpop",
            "expires_at",
            "further_tokens",
            "has_token",
            "held_until",
            "issuer",
            "person",
            "profile",
            "renews_itself",
            "scope",
            "signed_in_at",
            "state",
            "warnings",
        ]
    );
    let alive = login(&json, "alive");
    assert_eq!((&alive["person"]["sub"], &alive["scope"]), (&json!("alice"), &json!(SCOPE)));
    assert_eq!((&alive["renews_itself"], &alive["has_token"]), (&json!(true), &json!(true)));
    let expires_at = alive["expires_at"].as_u64().unwrap();
    assert!((3_500..=3_600).contains(&(expires_at - now_ms() / 1_000)), "{ran}");
    assert_eq!(login(&json, "lost")["renews_itself"], false);
    let stray = json["logins"].as_array().unwrap().iter().find(|own| own["account"] == "stray").unwrap();
    assert_eq!((&stray["profile"], &stray["state"]), (&json!(null), &json!("signed_in")));
    assert_eq!((&json["store"]["kind"], &json["store"]["encrypted"]), (&json!("file"), &json!(false)));
    assert_eq!(json["logins"].as_array().unwrap().len(), 8, "a registration is no login: {ran}");

    assert_eq!(world.server.requests().len(), before);
    ran.shows_none_of(&secrets);
    let text = world.jeton(["status"]);
    assert!(text.answer().contains("stray"), "{text}");
    text.shows_none_of(&secrets);
    assert_eq!(text.stderr, "");
    // Nor what a fingerprint would give away.
    assert!(!text.answer().contains("fingerprint"));
}

#[test]
fn one_login_in_detail_and_an_exit_code_for_scripts() {
    let world = full();
    let ran = world.jeton(["status", "alive"]);
    assert!(ran.answer().starts_with("alive        signed in as alice\n"), "{ran}");
    assert!(ran.answer().contains("\n    token    expires in 59 min, and renews itself\n"), "{ran}");
    assert!(!ran.answer().contains("expired"), "only the one that was asked for: {ran}");
    assert_eq!(world.jeton(["status", "expired"]).code, Some(0));
    for (name, words) in [
        ("never", "needs a login: jeton login never"),
        ("lost", "expired 1 h ago, and there is no refresh token"),
        ("over", "the login has ended: invalid_grant: gone\u{fffd}[2J"),
    ] {
        let ran = world.jeton(["status", name]);
        assert_eq!(ran.code, Some(3), "{name}: {ran}");
        assert!(String::from_utf8_lossy(&ran.stdout).contains(words), "{name}: {ran}");
    }
    assert_eq!(world.jeton(["status", "nobody"]).code, Some(2));
    assert_eq!(world.jeton(["status", "broken"]).code, Some(2));
    assert_eq!(world.jeton(["status", "robot"]).code, Some(0));
    let json = world.jeton(["status", "alive", "--json"]).json();
    assert_eq!((&json["profile"], json["logins"].as_array().unwrap().len()), (&json!("alive"), 1));
}

#[test]
fn what_is_odd_is_told() {
    let world = World::new();
    world.signed_in("work");
    let claims = json!({ "sub": "248289761001", "name": "Jane \u{202e}Doe", "email": "jane@example.com" });
    let jane = id_token(&claims);
    world.change_record("work", |record| {
        record.tokens[0].warnings = vec![Warning::ExpiresInString];
        let mut hold = RefreshHold::new(now_ms() - 1_000, "the server answered 503");
        hold.asked_until_ms = Some(now_ms() + 600_000);
        record.refresh_hold = Some(hold);
        record.id_token = Some(jane);
    });
    let json = world.jeton(["status", "--json"]).json();
    let work = login(&json, "work");
    let codes: Vec<&str> =
        work["warnings"].as_array().unwrap().iter().map(|own| own["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["held", "expires_in_string"]);
    assert!(work["held_until"].as_u64().unwrap() > now_ms() / 1_000 + 500);
    assert_eq!(work["person"], claims);
    let ran = world.jeton(["status"]);
    assert!(ran.answer().contains("signed in as Jane \u{fffd}Doe <jane@example.com>"), "{ran}");
    assert!(ran.answer().contains("the server answered 503"), "{ran}");
    assert!(ran.answer().contains("`expires_in` was a string"), "{ran}");
}

#[test]
fn a_damaged_login_does_not_hide_the_others() {
    let world = World::new();
    world.signed_in("a");
    world.sign_in_again("stray", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    let logins = world.state_folder().join("logins");
    let files: Vec<_> = std::fs::read_dir(&logins)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert_eq!(files.len(), 2);
    for file in files {
        std::fs::write(file, "{").unwrap();
    }
    world.signed_in("b");
    let json = world.jeton(["status", "--json"]).json();
    assert_eq!(login(&json, "a")["state"], "unreadable");
    assert_eq!(login(&json, "b")["state"], "signed_in");
    assert_eq!(json["unreadable"].as_array().unwrap().len(), 1, "each is told once: {json}");
    let ran = world.jeton(["status"]);
    assert!(ran.answer().contains("cannot be read"), "{ran}");
    assert_eq!(world.jeton(["status", "a"]).code, Some(6));
}

#[test]
fn nothing_at_all_is_an_answer_too() {
    let world = World::new();
    let ran = world.jeton(["status"]);
    assert!(ran.answer().starts_with("There is no profile and no login."), "{ran}");
    assert_eq!(world.jeton(["status", "--json"]).json()["logins"], json!([]));
    assert!(!world.state_folder().exists(), "looking leaves nothing behind");
}

#[test]
fn a_terminal_of_80_columns_shows_it_with_and_without_colour() {
    let world = full();
    let long = format!("https://login.example.com/{}/v2.0", "tenant-0123456789-".repeat(8));
    world.profile("long", &format!("issuer = \"{long}\"\nclient_id = \"x\""));
    world.change_record("alive", |record| {
        let scope = format!(
            "https://www.example.com/auth/drive.readonly {}",
            (0..20).map(|number| format!("api{number}.read")).collect::<Vec<_>>().join(" ")
        );
        record.tokens[0].granted_scope = Some(scope.parse().unwrap());
    });
    let mut terminal = Terminal::start_in((60, 80), world.command(["status"]));
    terminal.ended_with(0);
    terminal.no_line_wider_than(80);
    let text = terminal.text();
    assert!(text.contains("https://login.example.com/") && text.contains('…'), "{text}");
    assert!(terminal.cells("alive").iter().all(|cell| cell.bold()));
    let colour = |words: &str| terminal.cells(words)[0].fgcolor();
    assert_ne!(colour("signed in as alice"), colour("needs a login: jeton login never"));

    let mut command = world.command(["status"]);
    command.env("NO_COLOR", "1");
    let mut plain = Terminal::start_in((60, 80), command);
    plain.ended_with(0);
    assert_eq!(plain.text(), text, "nothing is told by colour alone");
    assert!(!plain.history().contains(&0x1b));

    // The details have the long words whole.
    let ran = world.jeton(["status", "long"]);
    assert!(String::from_utf8_lossy(&ran.stdout).contains(&long), "{ran}");
}

#[test]
fn a_profile_that_cannot_work_is_told_as_such_also_if_somebody_is_signed_in() {
    let world = World::new();
    world.signed_in("work");
    let issuer = world.server.issuer();
    let bad_api = format!("issuer = \"{issuer}\"\nclient_id = \"public-app\"\napis = [\"api.example\"]");
    world.profile("bad", &bad_api);
    world.profile("same", &format!("{bad_api}\naccount = \"work\""));
    let all = world.jeton(["status", "--json"]).json();
    assert_eq!(login(&all, "work")["state"], "signed_in");
    for name in ["bad", "same"] {
        let state = login(&all, name);
        assert_eq!(state["state"], "misconfigured", "{state}");
        assert!(state["warnings"].to_string().contains("api.example"), "{state}");
        assert_eq!(world.jeton(["status", name]).code, Some(2));
    }
    assert_eq!(world.jeton(["token", "bad"]).code, Some(2));
}
