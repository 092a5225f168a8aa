//! The blocking API offers what the async one does, outside of a runtime and inside.
#![cfg(all(feature = "blocking", feature = "json"))]
// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jeton::grants::http::{HeaderMap, StatusCode};
use jeton::{Client, ClientCredentials, blocking};
use jeton_devserver::{DevServer, Endpoint};
use serde_json::{Value, json};

fn client(server: &DevServer) -> blocking::Client {
    let (client_id, client_secret) = DevServer::SERVICE_CLIENT;
    let client = Client::builder(client_id)
        .issuer(server.issuer())
        .client_secret(client_secret)
        .grant(ClientCredentials)
        .resource_server(server.issuer());
    client.build().unwrap().into()
}

fn requests_arrive(server: &DevServer) {
    let session = client(server).session();
    let url = server.url("/api/notes");

    let answer = session.post(&url).query([("draft", "a b")]).json(&json!({"text": "hi"})).send().unwrap();
    let answer: Value = answer.json().unwrap();
    assert_eq!((&answer["content_type"], &answer["body_length"]), (&json!("application/json"), &json!(13)));
    let arrived = server.last_request(Endpoint::Resource).unwrap();
    assert_eq!(arrived.query_value("draft"), Some("a b"));

    let answer: Value = session.post(&url).form([("text", "a b")]).send().unwrap().json().unwrap();
    assert_eq!(answer["content_type"], "application/x-www-form-urlencoded");
    assert_eq!(answer["body_length"], "text=a+b".len());
}

#[test]
fn requests_without_a_runtime() {
    requests_arrive(&DevServer::start().unwrap());
}

#[tokio::test]
async fn requests_inside_of_a_runtime() {
    requests_arrive(&DevServer::start().unwrap());
}

#[test]
fn what_the_server_says_about_itself_and_where_logins_are_kept() {
    let server = DevServer::start().unwrap();
    let client = client(&server);
    assert_eq!(client.metadata().unwrap().token_endpoint, Some(server.token_url()));
    assert_eq!(client.store().backend, "memory");
}

#[test]
fn answers_to_another_http_client_are_judged() {
    let server = DevServer::start().unwrap();
    let session = client(&server).session();
    session.check_url(&server.resource_url().parse().unwrap()).unwrap();
    let foreign = session.check_url(&"https://elsewhere.example/".parse().unwrap());
    assert!(matches!(foreign, Err(jeton::Error::ForeignOrigin { .. })));
    let token = session.token().unwrap();
    assert!(!session.judge(&token, StatusCode::OK, &HeaderMap::new()));
    assert_eq!(session.token().unwrap().secret(), token.secret());
    assert!(session.judge(&token, StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    assert_ne!(session.token().unwrap().secret(), token.secret());
}

#[test]
fn the_server_is_asked_about_the_token_and_told_to_forget_it() {
    let server = DevServer::start().unwrap();
    let session = client(&server).session();
    let introspection = session.introspect().unwrap();
    assert_eq!(
        (introspection.active, introspection.client_id.as_deref()),
        (true, Some(DevServer::SERVICE_CLIENT.0))
    );
    let revoked = session.token().unwrap();
    session.revoke().unwrap();
    assert!(!server.is_access_token_live(revoked.secret().expose()));
    assert_ne!(session.token().unwrap().secret(), revoked.secret());
    server.revoke_access_tokens();
    assert!(!session.introspect().unwrap().active);
}
