//! Logging out (RFC 7009): the tokens are worth nothing afterwards, wherever they are.

use std::sync::Arc;

use jeton_client::{ClientCredentials, Error, FileStore, LoginRequired, Token, TokenStore};

use crate::server::{Server, expired_with, stored};
use crate::wire::Wire;

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn revocation_ends_the_login_at_the_server_and_in_other_processes() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::new(folder.path().join("logins"));
    let (session, wire) = server.signed_in("native", |builder| builder.store(store())).await;
    let other = server.with_browser("native").0.store(store()).build().unwrap().session();
    assert_eq!(server.who_am_i(&other).await["sub"], "alice");

    let shared = Arc::new(store()) as Arc<dyn TokenStore>;
    let refresh_token = stored(&shared, &session).await.unwrap().refresh_token.unwrap();
    let access_token = session.token().await.unwrap();
    assert_eq!(server.status_of(access_token.secret()).await, 200);

    let logged_out = session.log_out().await.unwrap();
    assert!(logged_out.revocation_error.is_none(), "{logged_out:?}");
    let exchanges = wire.exchanges();
    let revocations: Vec<_> =
        exchanges.iter().filter_map(|e| Some((e.parameter("token_type_hint")?, e.status))).collect();
    assert_eq!(revocations, [("refresh_token", 200), ("access_token", 200)]);
    assert_eq!(stored(&shared, &session).await, None);
    assert!(is_logged_out(&session.token().await.unwrap_err()));

    // Neither token is taken any more.
    assert_eq!(server.status_of(access_token.secret()).await, 401);
    let elsewhere = server.elsewhere("native", expired_with(refresh_token)).await;
    assert!(elsewhere.token().await.unwrap_err().is_login_required());
    // The other process still has its access token, and hears of the log-out by the 401.
    assert!(is_logged_out(&other.get(&server.resource).send().await.unwrap_err()));

    // Logging out once more is no error, and asks nobody.
    let before = wire.exchanges().len();
    assert!(session.log_out().await.unwrap().revocation_error.is_none());
    assert_eq!(wire.exchanges().len(), before);
}

fn is_logged_out(error: &Error) -> bool {
    matches!(error, Error::LoginRequired(LoginRequired::LoggedOut))
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn revocation_takes_access_tokens_where_there_is_no_refresh_token() {
    let server = Server::get();
    for client in ["service", "basic", "post"] {
        let wire = Wire::new();
        let builder = server.builder(client).grant(ClientCredentials).transport(wire.clone());
        let session = builder.build().unwrap().session();
        let token = session.token().await.unwrap();
        assert_eq!(server.status_of(token.secret()).await, 200);
        assert!(session.log_out().await.unwrap().revocation_error.is_none());
        assert_eq!(wire.exchanges().last().unwrap().parameter("token_type_hint"), Some("access_token"));
        assert_eq!(server.status_of(token.secret()).await, 401);
        assert!(session.cached().is_none());
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn revocation_of_the_access_token_by_somebody_else_is_noticed() {
    let server = Server::get();
    let (session, wire) = server.signed_in("native", |builder| builder).await;
    let revoked = session.token().await.unwrap();
    let elsewhere = server.elsewhere("native", Token::new(revoked.secret().clone())).await;
    assert!(elsewhere.log_out().await.unwrap().revocation_error.is_none());
    assert_eq!(server.status_of(revoked.secret()).await, 401);

    // By the clock it still lives; the API says otherwise. This server has revoked the refresh token with it, as it may
    // (RFC 7009 section 2.1).
    assert_eq!(session.token().await.unwrap().secret(), revoked.secret());
    let error = session.get(&server.resource).send().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::Ended(_))), "{error:?}");
    assert_eq!(wire.token_requests("refresh_token"), 1);
}
