//! What the server says about the session's access token (RFC 7662).

use crate::support::{LIFETIME, World, soon};
use jeton_client::models::MetadataError;
use jeton_client::{Client, ClientCredentials, Error, GrantError, Recovery, Session};
use jeton_devserver::{DevServer, Endpoint, Fault};

async fn signed_in(world: &World) -> Session {
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let session = world.builder_of(id).client_secret(secret).build().unwrap().session();
    world.log_in(&session).await;
    session
}

#[tokio::test]
async fn the_server_is_asked_about_the_token_in_use() {
    let world = World::new();
    let session = signed_in(&world).await;
    let introspection = soon(session.introspect()).await.unwrap();
    assert!(introspection.active);
    assert_eq!(introspection.client_id.as_deref(), Some(DevServer::CONFIDENTIAL_CLIENT.0));
    assert_eq!(introspection.expires_at(), Some(world.now() + LIFETIME));
    let request = world.server.last_request(Endpoint::Introspection).unwrap();
    assert_eq!(request.form_value("token"), Some(session.cached().unwrap().secret().expose()));
    assert_eq!(request.form_value("token_type_hint"), Some("access_token"));

    // An expired one is replaced first.
    world.expire();
    let introspection = soon(session.introspect()).await.unwrap();
    assert_eq!((introspection.active, introspection.iat), (true, Some(1_900_003_600)));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn that_it_is_not_active_is_an_answer_and_changes_nothing() {
    let world = World::new();
    let session = signed_in(&world).await;
    let token = session.token().await.unwrap();
    world.server.revoke_access_tokens();
    let introspection = session.introspect().await.unwrap();
    assert!(!introspection.active);
    assert_eq!(introspection.to_json(), r#"{"active":false}"#);
    assert_eq!(session.token().await.unwrap().secret(), token.secret());
    session.refresh().await.unwrap();
    assert!(session.introspect().await.unwrap().active);
}

#[tokio::test]
async fn the_endpoint_set_by_hand_counts_and_its_absence_is_told() {
    let world = World::new();
    let token_endpoint = world.server.token_url();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = |introspection_endpoint: Option<&str>| {
        let builder = Client::builder(id).token_endpoint(&token_endpoint).client_secret(secret);
        let builder = builder.grant(ClientCredentials).clock(world.clock.clone());
        match introspection_endpoint {
            Some(url) => builder.introspection_endpoint(url).build(),
            None => builder.build(),
        }
    };
    let error = client(None).unwrap().session().introspect().await.unwrap_err();
    let Error::Grant(grant) = &error else { panic!("{error}") };
    assert!(matches!(**grant, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
    assert!(error.to_string().contains("names no `introspection_endpoint`"), "{error}");
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    assert!(matches!(client(Some("http://as.example/introspect")), Err(Error::Configuration(_))));

    let session = client(Some(&world.server.introspection_url())).unwrap().session();
    assert!(session.introspect().await.unwrap().active);
    // Beside an issuer it overrides what discovery finds.
    let elsewhere = DevServer::recorder().unwrap();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let client = world.builder_of(id).client_secret(secret).introspection_endpoint(elsewhere.url());
    let session = client.build().unwrap().session();
    world.log_in(&session).await;
    soon(session.introspect()).await.unwrap_err();
    assert_eq!(elsewhere.requests().len(), 1);
    assert_eq!(world.server.stats().requests_to(Endpoint::Introspection), 1);
}

#[tokio::test]
async fn a_failure_leaves_the_login_as_it_is() {
    let world = World::new();
    let session = signed_in(&world).await;
    let before = world.stored(&session).await;
    world.server.fault(Endpoint::Introspection, Fault::unavailable(Some("5")));
    let error = session.introspect().await.unwrap_err();
    let after = Some(std::time::Duration::from_secs(5));
    assert_eq!(error.recovery(), Recovery::Retry { after }, "{error}");
    world.server.fault(Endpoint::Introspection, Fault::remove("active"));
    let error = session.introspect().await.unwrap_err();
    assert!(error.to_string().contains("no usable `active`"), "{error}");
    let secret = session.cached().unwrap().secret().expose().to_owned();
    assert!(!format!("{error} {error:?}").contains(&secret));
    assert_eq!(world.stored(&session).await, before);
    assert!(session.introspect().await.unwrap().active);

    // Who is not logged in has no token to ask about.
    let nobody = world.builder().build().unwrap().account("nobody");
    assert!(nobody.introspect().await.unwrap_err().is_login_required());
}

#[tokio::test]
async fn a20_an_access_token_is_opaque_whatever_it_looks_like() {
    let world = World::new();
    let session = signed_in(&world).await;
    let like_a_jwt = [
        // Expired in 1970, from another server, for somebody else, not signed: none of the client's business (RFC 9068 §6).
        "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJleHAiOjEsImlzcyI6Imh0dHBzOi8vZXZpbC5leGFtcGxlIiwiYXVkIjoieW91In0.",
        "eyJhbGciOiJFUzI1NiIsImNyaXQiOlsieCJdfQ.e30.AAAA",
        "a.b.c",
        "..",
    ];
    for text in like_a_jwt {
        world.expire();
        world.server.fault(Endpoint::Token, Fault::set("access_token", text));
        let token = soon(session.token()).await.unwrap();
        assert_eq!((token.secret().expose(), token.expires_at()), (text, Some(world.now() + LIFETIME)));
        assert!(token.warnings().is_empty());
        assert_eq!(session.cached().unwrap().secret().expose(), text);
    }
}
