//! Resources that say which server is theirs (RFC 9728), that ask for another authentication (RFC 9470), and that move.

use std::time::Duration;

use jeton_devserver::{DevServer, Endpoint, ResourceMetadata};
use serde_json::{Value, json};

use crate::http::{get, get_with_token, post};
use crate::login::{Attempt, exchange, member, parameter, sign_in};

fn announcing(place: ResourceMetadata) -> DevServer {
    DevServer::builder().resource_metadata(place).start().unwrap()
}

fn challenge(server: &DevServer, token: Option<&str>, path: &str, status: u16) -> String {
    let url = server.url(path);
    let reply = match token {
        Some(token) => get_with_token(&url, token),
        None => get(&url),
    };
    assert_eq!(reply.status, status, "{}", reply.text());
    reply.header("www-authenticate").unwrap_or_default().to_owned()
}

/// Signs in with further parameters of the authorization request.
fn token_with(server: &DevServer, further: &str) -> String {
    let attempt = Attempt::new();
    let redirected = server.authorize(&format!("{}{further}", attempt.url(server))).unwrap();
    let code = parameter(&redirected, "code").unwrap();
    let reply = post(&server.token_url(), &exchange(&code, &attempt));
    member(&reply.json(), "access_token").to_owned()
}

#[test]
fn a28_the_metadata_is_where_the_test_wants_it_and_nowhere_else() {
    let places = [
        "/resource-metadata/api",
        "/.well-known/oauth-protected-resource/api",
        "/.well-known/oauth-protected-resource",
    ];
    for (place, at, resource) in [
        (ResourceMetadata::None, None, ""),
        (ResourceMetadata::InHeader, Some(0), "/api"),
        (ResourceMetadata::AtPath, Some(1), "/api"),
        (ResourceMetadata::AtRoot, Some(2), ""),
    ] {
        let server = announcing(place);
        for (index, path) in places.iter().enumerate() {
            let reply = get(&server.url(path));
            assert_eq!(reply.status, if at == Some(index) { 200 } else { 404 }, "{place:?} {path}");
            if at == Some(index) {
                let document: Value = reply.json();
                assert_eq!(document["resource"], server.url(resource));
                assert_eq!(document["authorization_servers"], json!([server.issuer()]));
            }
        }
        let header = challenge(&server, None, "/api/me", 401);
        assert_eq!(header.contains("resource_metadata"), place == ResourceMetadata::InHeader, "{header}");
        assert!(server.last_request(Endpoint::ResourceMetadata).is_some());
    }
}

#[test]
fn a8_the_challenge_says_which_scope_only_to_those_without_a_token() {
    let server = DevServer::builder().challenge_scope("read write").start().unwrap();
    assert!(challenge(&server, None, "/api/me", 401).contains(r#", scope="read write""#));
    assert!(!challenge(&server, Some("unknown"), "/api/me", 401).contains("scope="));
}

#[test]
fn a26_the_resource_wants_what_its_url_says() {
    let server = DevServer::start().unwrap();
    let token = member(&sign_in(&server), "access_token").to_owned();
    let wanted = challenge(&server, Some(&token), "/api/wants?acr_values=gold+silver", 401);
    assert!(
        wanted.contains(r#"error="insufficient_user_authentication""#)
            && wanted.ends_with(r#", acr_values="gold silver""#),
        "{wanted}"
    );
    let silver = token_with(&server, "&acr_values=silver");
    assert_eq!(get_with_token(&server.url("/api/wants?acr_values=gold+silver"), &silver).status, 200);
    challenge(&server, Some(&silver), "/api/wants?acr_values=gold", 401);

    assert_eq!(get_with_token(&server.url("/api/wants?max_age=60"), &token).status, 200);
    server.advance(Duration::from_secs(61));
    assert!(challenge(&server, Some(&token), "/api/wants?max_age=60", 401).ends_with(r#", max_age="60""#));
    // The browser remembers the person, unless it is asked not to.
    let remembered = token_with(&server, "");
    challenge(&server, Some(&remembered), "/api/wants?max_age=60", 401);
    let fresh = token_with(&server, "&max_age=60");
    assert_eq!(get_with_token(&server.url("/api/wants?max_age=60"), &fresh).status, 200);

    let scope = challenge(&server, Some(&fresh), "/api/wants?scope=admin", 403);
    assert!(scope.contains(r#"error="insufficient_scope""#) && scope.contains(r#"scope="admin""#), "{scope}");
}

#[test]
fn resources_that_move_take_the_new_servers_tokens_only() {
    let (old, new) = (announcing(ResourceMetadata::AtPath), DevServer::start().unwrap());
    let token = member(&sign_in(&old), "access_token").to_owned();
    assert_eq!(get_with_token(&old.resource_url(), &token).status, 200);
    old.entrust_resources_to(&new);
    challenge(&old, Some(&token), "/api/me", 401);
    let document: Value = get(&old.url("/.well-known/oauth-protected-resource/api")).json();
    assert_eq!(document["authorization_servers"], json!([new.issuer()]));
    let resource: String =
        url::form_urlencoded::byte_serialize(old.resource_identifier().as_bytes()).collect();
    let token = token_with(&new, &format!("&resource={resource}"));
    assert_eq!(get_with_token(&old.resource_url(), &token).status, 200);
    // The new server's own resource is another one.
    challenge(&new, Some(&token), "/api/me", 401);
}
