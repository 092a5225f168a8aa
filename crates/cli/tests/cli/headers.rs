//! `jeton headers`: what programs with a headers helper get, Bazel among them.

use jeton_devserver::DevServer;
use serde_json::json;

use crate::world::World;

#[test]
fn the_headers_are_those_of_a_request() {
    let world = World::new();
    world.signed_in("work");
    let bearer = format!("Bearer {}", world.record("work").tokens[0].access_token.expose());
    assert_eq!(world.jeton(["headers", "work"]).json(), json!({ "Authorization": bearer }));
    let api = world.server.resource_url();
    assert_eq!(world.jeton(["headers", "work", &api]).json(), json!({ "Authorization": bearer }));
    world.expire("work");
    let fresh = world.jeton(["headers", "work"]).json();
    assert_ne!(fresh["Authorization"], bearer);
    assert_eq!(world.server.stats().refreshes, 1);
}

#[test]
fn no_headers_for_a_server_that_the_profile_does_not_name() {
    let world = World::new();
    world.signed_in("work");
    let own = world.server.url("");
    let of_two_readings = format!("{own}\\@evil.example/x");
    let with_a_user = own.replace("http://", "http://evil.example@");
    for url in [
        "https://api.example/x",
        "http://127.0.0.1:1/",
        "http://api.example/",
        &of_two_readings,
        &with_a_user,
    ] {
        let refused = world.jeton(["headers", "work", url]);
        refused.failed(2);
        if url == "https://api.example/x" {
            assert!(
                refused.stderr.contains(
                    "do:  if it is to have the token: jeton login work --api https://api.example\n"
                ),
                "{refused}"
            );
        }
        refused.shows_none_of(&world.secrets("work"));
        let bazel =
            world.jeton_with_input(["headers", "work", "--bazel", "get"], json!({ "uri": url }).to_string());
        assert_eq!(bazel.json(), json!({ "headers": {} }), "{url}");
    }
    // Nor is a token made for it that nobody gets.
    world.expire("work");
    world.jeton(["headers", "work", "https://api.example/x"]).failed(2);
    assert_eq!(world.server.stats().refreshes, 0);
    assert!(world.jeton(["headers", "work", "/path"]).failed(2).contains("absolute URL"));
}

#[test]
fn bazel_gets_lists_of_values_and_an_expiry_before_the_real_one() {
    let world = World::new();
    world.signed_in("work");
    let token = world.record("work").tokens[0].clone();
    let question = json!({ "uri": world.server.resource_url() }).to_string();
    let answer = world.jeton_with_input(["headers", "work", "--bazel", "get"], &question).json();
    assert_eq!(
        answer["headers"],
        json!({ "Authorization": [format!("Bearer {}", token.access_token.expose())] })
    );
    let until = humantime::parse_rfc3339(answer["expires"].as_str().unwrap()).unwrap();
    let until = until.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(until.as_secs(), token.expires_at_ms.unwrap() / 1_000 - 30);
    world.jeton_with_input(["headers", "work", "--bazel"], &question).failed(2);
    world.jeton_with_input(["headers", "work", "--bazel", "erase"], &question).failed(2);
    world.jeton_with_input(["headers", "work", "--bazel", "get"], "https://api.example").failed(2);
}

#[test]
fn a_token_that_is_bound_to_a_key_comes_with_its_proof_or_not_at_all() {
    let world = World::new();
    world.person_profile("work");
    let text = std::fs::read_to_string(world.profiles_file()).unwrap();
    std::fs::write(world.profiles_file(), format!("{text}dpop = true\n")).unwrap();
    world.sign_in_again("work", DevServer::PUBLIC_CLIENT, |builder| builder.dpop(true));
    let refused = world.jeton(["headers", "work"]);
    assert!(refused.failed(2).contains("bound to a key"), "{refused}");
    refused.shows_none_of(&world.secrets("work"));
    let api = world.server.resource_url();
    let headers = world.jeton(["headers", "work", &api, "--method", "PUT"]).json();
    assert!(headers["Authorization"].as_str().unwrap().starts_with("DPoP "));
    let claims = headers["DPoP"].as_str().unwrap().split('.').nth(1).unwrap();
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["htm"], &claims["htu"]), (&"PUT".into(), &api.into()));
}
