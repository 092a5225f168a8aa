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

#[test]
fn a_resource_server_asks_about_the_token_of_a_request() {
    let server = DevServer::start().unwrap();
    let client = client(&server);
    let token = client.session().token().unwrap();
    assert!(client.introspect(token.secret()).unwrap().active);
    assert!(!client.introspect(&"unheard of".into()).unwrap().active);
}

#[cfg(feature = "registration")]
#[test]
fn a_client_registers_itself_once_and_goes_when_it_is_told_to() {
    let server = DevServer::builder().registration(true).start().unwrap();
    let mut metadata = jeton::ClientMetadata::new();
    metadata.grant_types = Some(vec!["client_credentials".into()]);
    metadata.response_types = Some(vec![]);
    let registrar = blocking::Registrar::from(jeton::Registrar::builder().build().unwrap());
    let issuer: jeton::Issuer = server.issuer().parse().unwrap();
    assert!(registrar.stored(&issuer).unwrap().is_none());
    for _ in 0..2 {
        let builder = registrar.client(server.issuer(), &metadata).unwrap();
        let client = blocking::Client::from(builder.grant(ClientCredentials).build().unwrap());
        client.session().token().unwrap();
    }
    assert_eq!(server.stats().clients_registered, 1);
    let kept = registrar.stored(&issuer).unwrap().unwrap();
    let mut of_server = jeton::AuthorizationServerMetadata::new(server.issuer());
    of_server.registration_endpoint = Some(server.registration_url());
    assert_eq!(registrar.registered(&of_server, &metadata).unwrap().client_id, kept.client_id);
    registrar.delete(&of_server).unwrap();
    assert!(registrar.stored(&issuer).unwrap().is_none());
    assert_eq!(server.registered_clients(), 0);
    registrar.keep(&issuer, kept.clone()).unwrap();
    assert_eq!(registrar.stored(&issuer).unwrap().unwrap().client_id, kept.client_id);
    registrar.forget(&issuer).unwrap();
    assert!(registrar.stored(&issuer).unwrap().is_none());
}
