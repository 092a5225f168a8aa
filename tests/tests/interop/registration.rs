//! Dynamic client registration and its management (RFC 7591, RFC 7592).

use std::sync::Arc;

use jeton_client::models::{AuthorizationServerMetadata, ClientMetadata, Issuer};
use jeton_client::{
    AuthorizationCode, Client, ClientCredentials, HttpOptions, Limits, LoopbackRedirect, MemoryStore,
    Registrar, ReqwestTransport, SystemClock, TokenStore,
};
use jeton_grants::discover;
use jeton_tests::user_agent::UserAgent;

use crate::person::person;
use crate::server::{SCOPE, Server, asking_for_consent, log_in};

async fn metadata(server: &Server) -> AuthorizationServerMetadata {
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let issuer: Issuer = server.issuer.parse().unwrap();
    discover(&transport, &SystemClock::new(), &issuer, &Limits::default()).await.unwrap()
}

fn service() -> ClientMetadata {
    let mut metadata = ClientMetadata::new();
    metadata.client_name = Some("jeton interop".into());
    metadata.grant_types = Some(vec!["client_credentials".into()]);
    metadata.response_types = Some(vec![]);
    metadata
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn registration_is_made_once_and_used_by_all_who_share_the_store() {
    let server = Server::get();
    let store = Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>;
    let registrar = || {
        let builder = Registrar::builder().shared_store(store.clone());
        builder.initial_access_token(server.initial_access_token()).build().unwrap()
    };
    let at = metadata(&server).await;
    let (one, two) = (registrar(), registrar());
    let (service_one, service_two) = (service(), service());
    let (first, second) = tokio::join!(one.registered(&at, &service_one), two.registered(&at, &service_two));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.client_id, second.client_id);

    let builder = Client::of_registration(&first).resource_server(&server.resource).grant(ClientCredentials);
    let session = builder.build().unwrap().session();
    assert_eq!(server.who_am_i(&session).await["client_id"], first.client_id);

    // Another name is an update of the same client; the server gives another registration access token each time.
    let mut renamed = service();
    renamed.client_name = Some("jeton interop, renamed".into());
    let updated = registrar().registered(&at, &renamed).await.unwrap();
    assert_eq!(updated.client_id, first.client_id);

    // Deleted is deleted: the next one is another client.
    registrar().delete(&at).await.unwrap();
    let builder = Client::of_registration(&first).grant(ClientCredentials);
    let error = builder.build().unwrap().session().token().await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_client"), "{error}");
    let next = registrar().registered(&at, &service()).await.unwrap();
    assert_ne!(next.client_id, first.client_id);
    registrar().delete(&at).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn registration_of_a_native_client_that_signs_in() {
    let server = Server::get();
    let registrar = Registrar::builder().initial_access_token(server.initial_access_token()).build().unwrap();
    let mut metadata = ClientMetadata::public(["http://127.0.0.1/", "http://127.0.0.1/callback"]);
    metadata.grant_types = Some(vec!["authorization_code".into(), "refresh_token".into()]);
    let at = self::metadata(&server).await;
    let registration = registrar.registered(&at, &metadata).await.unwrap();
    assert_eq!((registration.authentication_method(), registration.client_secret.is_some()), ("none", false));

    let (person, mut screen) = person();
    let builder = Client::of_registration(&registration)
        .resource_server(&server.resource)
        .grant(AuthorizationCode::new(LoopbackRedirect::new()))
        .interaction(person)
        .scope(SCOPE)
        .extra_parameters(asking_for_consent());
    let session = builder.build().unwrap().session();
    log_in(&session, &mut screen, &UserAgent::new(), "bob").await;
    assert_eq!(server.who_am_i(&session).await["sub"], "bob");
    registrar.delete(&at).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn registration_without_the_initial_access_token_is_refused() {
    let server = Server::get();
    let at = metadata(&server).await;
    for token in [None, Some("n0t the token")] {
        let builder = Registrar::builder();
        let registrar = match token {
            Some(token) => builder.initial_access_token(token),
            None => builder,
        };
        let error = registrar.build().unwrap().registered(&at, &service()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("n0t the token"), "{error:?}");
    }
}
