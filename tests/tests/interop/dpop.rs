//! Tokens bound to a key (DPoP, RFC 9449): at the token endpoint, the userinfo endpoint and a resource of its own, each of which
//! wants its nonce.

use std::sync::Arc;

use jeton_client::{ClientCredentials, FileStore, TokenStore};

use crate::server::{Server, expired_with, stored};
use crate::wire::Wire;

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn dpop_binds_a_login_and_its_refreshes() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::new(folder.path().join("logins"));
    let (session, wire) = server.signed_in("dpop", |builder| builder.dpop(true).store(store())).await;
    let token = session.token().await.unwrap();
    assert_eq!(token.authorization().to_str().unwrap().split(' ').next(), Some("DPoP"));

    let caller = server.who_am_i(&session).await;
    assert_eq!((&caller["sub"], &caller["bound"]), (&"alice".into(), &"dpop".into()));
    // The provider's own resource, which has a nonce of its own.
    let me = session.get(&format!("{}/me", server.issuer)).send().await.unwrap();
    assert_eq!(me.status(), 200);

    // The token alone is worth nothing.
    assert_eq!(server.status_of(token.secret()).await, 401);
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["bound"], "dpop");
    // The nonce was asked for once, and then known.
    let asked = wire.exchanges().iter().filter(|exchange| exchange.is_error("use_dpop_nonce")).count();
    assert_eq!(asked, 1, "{:?}", wire.exchanges());

    // Another process has the key with the login.
    let other = server.with_browser("dpop").0.dpop(true).store(store()).build().unwrap().session();
    assert_eq!(server.who_am_i(&other).await["sub"], "alice");
    other.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&other).await["bound"], "dpop");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn dpop_refresh_token_is_of_no_use_without_its_key() {
    let server = Server::get();
    let store = Arc::new(jeton_client::MemoryStore::new()) as Arc<dyn TokenStore>;
    let kept = store.clone();
    let (session, _wire) = server.signed_in("dpop", |builder| builder.dpop(true).shared_store(kept)).await;
    let refresh_token = stored(&store, &session).await.unwrap().refresh_token.unwrap();

    // A thief has a key, but another one.
    let thief = server.builder("dpop").dpop(true).build().unwrap().session();
    thief.adopt(expired_with(refresh_token)).await.unwrap();
    let error = thief.token().await.unwrap_err();
    assert!(error.is_login_required(), "{error}");
    // The person whose login it is notices nothing.
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn dpop_binds_the_tokens_of_a_service() {
    let server = Server::get();
    let wire = Wire::new();
    let builder = server.builder("dpop_service").grant(ClientCredentials).dpop(true).transport(wire.clone());
    let session = builder.build().unwrap().session();
    let caller = server.who_am_i(&session).await;
    assert_eq!((&caller["client_id"], &caller["bound"]), (&"jeton-dpop-service".into(), &"dpop".into()));
    // The second try carries another assertion, or else the server would call it a replay.
    assert_eq!(wire.token_requests("client_credentials"), 2);

    // Without a proof the server gives nothing to a client that is registered for bound tokens.
    let without = server.builder("dpop_service").grant(ClientCredentials).build().unwrap().session();
    assert!(without.token().await.unwrap_err().oauth_error().is_some());
    assert_eq!(server.status_of(session.token().await.unwrap().secret()).await, 401, "without the proof");
}
