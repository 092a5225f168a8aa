//! What all commands share, seen at `jeton token`: a stored login, a refresh, a secret in the store, a login that is missing.

use crate::world::World;

#[test]
fn a_stored_token_is_printed_and_nothing_is_sent() {
    let world = World::new();
    world.signed_in("work");
    let before = world.server.requests().len();
    let stored = world.record("work").tokens[0].access_token.expose().to_owned();
    let ran = world.jeton(["token", "work"]);
    assert_eq!(ran.answer(), format!("{stored}\n"));
    assert_eq!(ran.stderr, "");
    assert_eq!(world.server.requests().len(), before);
}

#[test]
fn an_expired_token_is_refreshed_first() {
    let world = World::new();
    world.signed_in("work");
    let old = world.record("work").tokens[0].access_token.expose().to_owned();
    world.expire("work");
    let json = world.jeton(["token", "work", "--json"]).json();
    assert_ne!(json["access_token"], old);
    assert_eq!(json["profile"], "work");
    assert_eq!(world.server.stats().grant("refresh_token").requests, 1);
}

#[test]
fn the_token_of_a_service_is_had_with_the_secret_in_the_store() {
    let world = World::new();
    world.service_profile("robot");
    let ran = world.jeton(["token", "robot", "--header"]);
    assert!(ran.answer().starts_with("Authorization: Bearer "), "{ran}");
}

#[test]
fn who_never_logged_in_is_told_to() {
    let world = World::new();
    world.person_profile("work");
    let failure = world.jeton(["token", "work", "--json"]).failed_json(3);
    assert_eq!(
        (failure["code"].as_str(), failure["do"].as_str()),
        (Some("login_required"), Some("jeton login work"))
    );
    assert!(world.server.requests().is_empty());
}
