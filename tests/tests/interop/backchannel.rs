//! Client-initiated backchannel authentication in poll mode (CIBA): the person approves on a device of theirs.

use jeton_client::{Ciba, Error, GrantError};

use crate::server::Server;
use crate::wire::Wire;

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn ciba_polls_until_the_person_has_approved() {
    let server = Server::get();
    let wire = Wire::new();
    let builder = server
        .builder("ciba")
        .grant(Ciba::login_hint("alice").binding_message("W4SCT"))
        .scope("openid offline_access api:read")
        .transport(wire.clone());
    let session = builder.build().unwrap().session();
    session.log_in().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
    let polls = wire.token_requests("urn:openid:params:grant-type:ciba");
    assert!(polls >= 1, "{:?}", wire.exchanges());
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn ciba_ends_when_the_person_says_no() {
    let server = Server::get();
    let grant = Ciba::login_hint("alice").binding_message("deny");
    let session = server.builder("ciba").grant(grant).scope("openid").build().unwrap().session();
    let error = session.log_in().await.unwrap_err();
    assert!(
        matches!(&error, Error::Grant(grant) if matches!(**grant, GrantError::OAuth { .. })),
        "{error:?}"
    );
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("access_denied"));
}
