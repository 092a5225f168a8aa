//! The client credentials grant (RFC 6749 section 4.4), and client authentication with reserved characters.

use jeton_client::{ClientCredentials, ClientSecretPost, Recovery, Session, Token};

use crate::server::Server;
use crate::wire::Wire;

fn service(server: &Server, client: &str) -> (Session, Wire) {
    let wire = Wire::new();
    let builder = server.builder(client).grant(ClientCredentials).scope("api:read api:write");
    (builder.transport(wire.clone()).build().unwrap().session(), wire)
}

/// A token without anybody's log-in, used twice and asked for once.
async fn is_granted(client: &str) {
    let server = Server::get();
    let (session, wire) = service(&server, client);
    for _ in 0..2 {
        let caller = server.who_am_i(&session).await;
        assert_eq!(caller["client_id"], server.client_id(client));
        assert_eq!(caller["sub"], serde_json::Value::Null);
    }
    let token = session.token().await.unwrap();
    assert_eq!(token.scope(), Some(&"api:read api:write".parse().unwrap()));
    assert!(token.expires_at().is_some());
    assert_eq!(wire.token_requests("client_credentials"), 1);

    // A refresh is a new request.
    assert_ne!(session.refresh().await.unwrap().secret(), token.secret());
    assert_eq!((wire.token_requests("client_credentials"), wire.token_requests("refresh_token")), (2, 0));
    server.who_am_i(&session).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_credentials_of_a_service() {
    is_granted("service").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_credentials_with_reserved_characters_by_basic() {
    is_granted("basic").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_credentials_with_reserved_characters_by_post() {
    is_granted("post").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_credentials_of_a_wrong_secret_are_refused() {
    const WRONG: &str = "wr0ng+&= s3cr3t";
    let server = Server::get();
    for client in ["service", "basic", "post"] {
        let builder = server.builder(client).grant(ClientCredentials);
        let builder = match client {
            "post" => builder.authentication(ClientSecretPost::new(WRONG)),
            _ => builder.client_secret(WRONG),
        };
        let error = builder.build().unwrap().session().token().await.unwrap_err();
        let answer = error.oauth_error().unwrap_or_else(|| panic!("{error}"));
        assert_eq!((answer.code(), answer.status), ("invalid_client", 401), "{client}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_credentials_whose_token_was_revoked_are_asked_for_again() {
    let server = Server::get();
    let (session, wire) = service(&server, "service");
    server.who_am_i(&session).await;
    let token = session.token().await.unwrap();

    let elsewhere = server.elsewhere("service", Token::new(token.secret().clone())).await;
    assert!(elsewhere.log_out().await.unwrap().revocation_error.is_none());
    assert_eq!(server.status_of(token.secret()).await, 401);

    // The session hears of it by a 401, gets another token and asks the API again.
    assert_eq!(server.who_am_i(&session).await["client_id"], "jeton-service");
    assert_ne!(session.token().await.unwrap().secret(), token.secret());
    assert_eq!(wire.token_requests("client_credentials"), 2);
}
