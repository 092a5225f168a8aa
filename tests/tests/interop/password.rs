//! The resource owner password credentials grant (RFC 6749 section 4.3), which this server has as an extension.

use jeton_client::{ClientBuilder, MemoryStore, Recovery, ResourceOwnerPasswordCredentials, TokenStore};
use std::sync::Arc;

use crate::server::{Server, expired_with, stored};
use crate::wire::Wire;

fn with_password(server: &Server, client: &str, person: &str) -> ClientBuilder {
    let grant = ResourceOwnerPasswordCredentials::new(person, server.password(person));
    server.builder(client).grant(grant).scope("api:read api:write")
}

async fn is_granted(client: &str) {
    let server = Server::get();
    for person in ["alice", "bob"] {
        let wire = Wire::new();
        let session =
            with_password(&server, client, person).transport(wire.clone()).build().unwrap().session();
        let caller = server.who_am_i(&session).await;
        assert_eq!(
            (&caller["client_id"], &caller["sub"]),
            (&server.client_id(client).into(), &person.into())
        );
        let token = session.token().await.unwrap();
        assert_eq!(token.scope(), Some(&"api:read api:write".parse().unwrap()));

        // The password goes out once; the refresh token does the rest.
        for _ in 0..2 {
            session.refresh().await.unwrap();
            assert_eq!(server.who_am_i(&session).await["sub"], person);
        }
        assert_eq!((wire.token_requests("password"), wire.token_requests("refresh_token")), (1, 2));
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn password_of_a_public_client() {
    is_granted("password").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn password_of_a_confidential_client_by_basic() {
    is_granted("basic").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn password_of_a_confidential_client_by_post() {
    is_granted("post").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn password_that_is_wrong_is_refused() {
    let server = Server::get();
    let store = Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>;
    let grant = ResourceOwnerPasswordCredentials::new("alice", "wr0ng passw0rd");
    let client = server.builder("password").grant(grant).shared_store(store.clone()).build().unwrap();
    let session = client.session();
    for error in [session.log_in().await.unwrap_err(), session.token().await.unwrap_err()] {
        assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_grant"), "{error}");
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(!format!("{error} {error:?}").contains("passw0rd"), "{error:?}");
    }
    assert_eq!(stored(&store, &session).await, None);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn password_signs_in_again_when_the_login_was_ended() {
    let server = Server::get();
    let (wire, store) = (Wire::new(), Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>);
    let builder = with_password(&server, "password", "alice").transport(wire.clone());
    let session = builder.shared_store(store.clone()).build().unwrap().session();
    session.token().await.unwrap();
    let used = stored(&store, &session).await.unwrap().refresh_token.unwrap();
    session.refresh().await.unwrap();

    // Somebody uses the old refresh token: the server ends the login.
    let elsewhere = server.elsewhere("password", expired_with(used)).await;
    assert!(elsewhere.token().await.unwrap_err().is_login_required());

    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
    assert_eq!((wire.token_requests("password"), wire.token_requests("refresh_token")), (2, 2));
    assert!(stored(&store, &session).await.unwrap().is_live());
}
