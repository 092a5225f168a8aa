//! What is done with a login's tokens: `refresh`, `revoke`, `introspect`, `claims`.

use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_tests::browser::PATIENCE;
use serde_json::json;

use crate::world::{SCOPE, World, now_ms};

fn access_token(world: &World, account: &str) -> String {
    world.record(account).tokens[0].access_token.expose().to_owned()
}

// ----- refresh -----------------------------------------------------------------------------------------------------------

#[test]
fn refresh_gets_another_token_although_the_present_one_is_good_and_does_not_show_it() {
    let world = World::new();
    world.signed_in("work");
    let before = world.secrets("work");
    let ran = world.jeton(["refresh", "work"]);
    assert!(ran.answer().starts_with("`work` has a new access token; it expires in 59 min ("), "{ran}");
    assert_eq!(ran.stderr, "");
    let after = world.secrets("work");
    assert_ne!(before[0], after[0]);
    ran.shows_none_of(&before);
    ran.shows_none_of(&after);
    assert_eq!(world.server.stats().grant("refresh_token").requests, 1);

    let json = world.jeton(["refresh", "work", "--json"]).json();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["expires_at", "profile", "scope", "token_type"]);
    assert_eq!((&json["profile"], &json["scope"]), (&json!("work"), &json!(SCOPE)));
    assert!(json["expires_at"].as_u64().unwrap() * 1_000 > now_ms() + 3_500_000);
}

#[test]
fn refresh_is_for_services_too() {
    let world = World::new();
    world.service_profile("robot");
    world.jeton(["token", "robot"]).answer();
    world.jeton(["refresh", "robot"]).answer();
    assert_eq!(world.server.stats().grant("client_credentials").requests, 2);
}

#[test]
fn a_refresh_that_is_refused_needs_a_login_and_one_that_meets_nobody_may_work_later() {
    let world = World::new();
    world.signed_in("work");
    world.server.fault_always(Endpoint::Token, Fault::unavailable(Some("7")));
    let failure = world.jeton(["refresh", "work", "--json"]).failed_json(5);
    assert_eq!(failure["code"], "try_later");
    assert!(failure["do"].as_str().unwrap().contains("try again in"), "{failure}");
    // What the server asked for holds for the next run, too: nothing is sent.
    let sent = world.server.stats().requests_to(Endpoint::Token);
    world.jeton(["refresh", "work"]).failed(5);
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), sent);

    let world = World::new();
    world.signed_in("work");
    world.server.revoke_all_logins();
    let ran = world.jeton(["refresh", "work"]);
    assert!(ran.failed(3).contains("jeton login work"), "{ran}");
}

#[test]
fn a_token_that_could_not_be_stored_is_told_in_whatever_command_it_happens() {
    for command in [&["token", "work"][..], &["claims", "work", "--access-token"], &["refresh", "work"]] {
        let world = World::new();
        world.signed_in("work");
        world.expire("work");
        world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
        let child = world.begun(command.iter().copied());
        assert!(world.server.wait_until_held_blocking(1, PATIENCE));
        // The folder goes away while the server has the refresh token.
        let logins = world.state_folder().join("logins");
        std::fs::rename(&logins, world.home().join("away")).unwrap();
        std::fs::write(&logins, "").unwrap();
        world.server.open_gate();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said.matches("the login of `work` could not be stored: ").count(),
            1,
            "{command:?}: {said}"
        );
    }
}

// ----- revoke ------------------------------------------------------------------------------------------------------------

#[test]
fn revoke_ends_the_access_token_and_leaves_the_login() {
    let world = World::new();
    world.signed_in("work");
    let old = access_token(&world, "work");
    let ran = world.jeton(["revoke", "work"]);
    assert_eq!(
        ran.answer(),
        "the access token of `work` is revoked; the login stays, and the next use gets another\n"
    );
    assert!(!world.server.is_access_token_live(&old));
    assert!(world.record("work").tokens.is_empty());
    let new = world.jeton(["token", "work"]).answer().trim().to_owned();
    assert_ne!(new, old);

    // Twice does no harm.
    world.jeton(["revoke", "work"]).answer();
    let json = world.jeton(["revoke", "work", "--json"]).json();
    assert_eq!(json, json!({ "profile": "work", "revoked": false, "login_required": false }));
}

#[test]
fn revoke_of_a_login_that_cannot_be_renewed_says_what_that_means() {
    let world = World::with(|builder| builder.issue_refresh_tokens(false));
    world.signed_in("work");
    let ran = world.jeton(["revoke", "work"]);
    assert!(ran.answer().ends_with("to get another one: jeton login work\n"), "{ran}");
    world.jeton(["token", "work"]).failed(3);
}

#[test]
fn revoke_at_a_server_without_the_endpoint_and_at_one_that_is_down() {
    let world = World::new();
    world.server.fault_always(Endpoint::Metadata, Fault::remove("revocation_endpoint"));
    world.signed_in("work");
    let failure = world.jeton(["revoke", "work", "--json"]).failed_json(2);
    assert!(failure["why"].as_str().unwrap().contains("revocation_endpoint"), "{failure}");
    assert!(failure["do"].as_str().unwrap().contains("jeton logout work"), "{failure}");
    assert!(world.server.is_access_token_live(&access_token(&world, "work")));

    world.server.clear_faults();
    world.server.fault_always(Endpoint::Revocation, Fault::unavailable(None));
    world.jeton(["revoke", "work"]).failed(5);
    // It may live on, and stays in use.
    assert_eq!(world.jeton(["token", "work"]).answer().trim(), access_token(&world, "work"));
}

// ----- introspect --------------------------------------------------------------------------------------------------------

#[test]
fn introspect_shows_what_the_server_says() {
    let world = World::new();
    world.service_profile("robot");
    let json = world.jeton(["introspect", "robot", "--json"]).json();
    assert_eq!(json["profile"], "robot");
    assert_eq!(json["introspection"]["active"], true);
    assert_eq!(json["introspection"]["client_id"], DevServer::SERVICE_CLIENT.0);

    let ran = world.jeton(["introspect", "robot"]);
    assert!(ran.answer().contains("\nclient_id   service-app\n"), "{ran}");
    assert!(ran.answer().contains(" UTC, in 59 min)"), "{ran}");
    assert!(!ran.answer().contains('\u{1b}'), "no colour in a pipe: {ran}");

    // Not active is an answer.
    world.server.revoke_access_tokens();
    assert_eq!(world.jeton(["introspect", "robot", "--json"]).json()["introspection"]["active"], false);
}

#[test]
fn introspect_is_refused_to_a_public_client_and_warns_of_odd_answers() {
    let world = World::new();
    world.signed_in("work");
    let failure = world.jeton(["introspect", "work", "--json"]).failed_json(4);
    assert!(failure["why"].as_str().unwrap().contains("confidential clients only"), "{failure}");
    let help = failure["do"].as_str().unwrap();
    assert!(
        help.contains("jeton claims work --access-token") && !help.contains("configuration"),
        "{failure}"
    );

    world.service_profile("robot");
    world.server.fault(Endpoint::Introspection, Fault::set("active", "true"));
    let ran = world.jeton(["introspect", "robot", "--quiet"]);
    assert!(ran.answer().starts_with("active "), "{ran}");
    assert!(ran.stderr.starts_with("warning: the server's answer is odd: `active` was a string"), "{ran}");
}

// ----- claims ------------------------------------------------------------------------------------------------------------

#[test]
fn claims_are_those_of_the_id_token_and_nothing_is_sent() {
    let world = World::new();
    world.signed_in("work");
    world.server.advance(Duration::from_secs(1));
    let before = world.server.requests().len();
    let json = world.jeton(["claims", "work", "--json"]).json();
    assert_eq!(
        (&json["profile"], &json["source"], &json["verified"]),
        (&json!("work"), &json!("id_token"), &json!(true))
    );
    assert_eq!(
        (&json["claims"]["sub"], &json["claims"]["iss"]),
        (&json!("alice"), &json!(world.server.issuer()))
    );
    let ran = world.jeton(["claims", "work"]);
    assert!(ran.answer().lines().any(|line| line.starts_with("sub ") && line.ends_with(" alice")), "{ran}");
    assert_eq!(world.server.requests().len(), before);
    ran.shows_none_of(&world.secrets("work"));
}

#[test]
fn userinfo_is_asked_for_and_must_be_about_the_same_person() {
    let world = World::new();
    world.signed_in("work");
    let json = world.jeton(["claims", "work", "--userinfo", "--json"]).json();
    assert_eq!((&json["source"], &json["claims"]["sub"]), (&json!("userinfo"), &json!("alice")));
    world.server.fault(Endpoint::UserInfo, Fault::set("sub", "mallory"));
    let ran = world.jeton(["claims", "work", "--userinfo"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.stdout.is_empty());
}

#[test]
fn an_access_token_is_looked_into_only_on_demand_and_without_belief() {
    let world = World::new();
    world.signed_in("work");
    let failure = world.jeton(["claims", "work", "--access-token", "--json"]).failed_json(1);
    assert_eq!(failure["code"], "opaque_token");
    assert_eq!(failure["do"], "jeton introspect work");

    // {"alg":"RS256"} . {"sub":"alice","exp":2000000000}, signed by nobody.
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MjAwMDAwMDAwMH0.AAAA";
    world.change_record("work", |record| record.tokens[0].access_token = jwt.into());
    let ran = world.jeton(["claims", "work", "--access-token"]);
    assert!(ran.answer().contains("2033-05-18 03:33:20 UTC"), "{ran}");
    assert!(ran.stderr.starts_with("These claims are not verified"), "{ran}");
    let json = world.jeton(["claims", "work", "--access-token", "--json", "--quiet"]).json();
    assert_eq!((&json["verified"], &json["claims"]["sub"]), (&json!(false), &json!("alice")));
}

#[test]
fn claims_without_an_id_token_say_why_there_is_none() {
    let world = World::new();
    world.person_profile("work");
    let failure = world.jeton(["claims", "work", "--json"]).failed_json(3);
    assert_eq!((&failure["code"], &failure["do"]), (&json!("login_required"), &json!("jeton login work")));

    world.sign_in_again("work", DevServer::PUBLIC_CLIENT, |builder| builder.scope("read"));
    let failure = world.jeton(["claims", "work", "--json"]).failed_json(3);
    assert_eq!(failure["code"], "no_id_token");
    assert!(failure["do"].as_str().unwrap().contains("--scope \"openid"), "{failure}");

    world.service_profile("robot");
    let nobody = world.jeton(["claims", "robot"]);
    assert!(nobody.failed(2).contains("client credentials"));
    assert!(nobody.stderr.contains("do:  jeton claims robot --access-token"), "{nobody}");
    assert_eq!(world.jeton(["claims", "work", "--userinfo", "--access-token"]).code, Some(2));
}
