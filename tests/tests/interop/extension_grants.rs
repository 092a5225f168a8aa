//! Token exchange (RFC 8693) and JWT bearer assertions (RFC 7523 section 2.1).

use jeton_client::jose::{JwsAlgorithm, SigningKey};
use jeton_client::{Recovery, SecurityToken, TokenExchange};
use jeton_grants::{JwtBearer, SignedAssertion};

use crate::server::Server;

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn token_exchange_acts_for_the_person() {
    let server = Server::get();
    let (person, _wire) = server.signed_in("native", |builder| builder).await;
    let token = person.token().await.unwrap();
    let exchange =
        TokenExchange::new(SecurityToken::access_token(token.secret().expose())).audience("inventory");
    let session = server.builder("extensions").grant(exchange).scope("api:read").build().unwrap().session();
    let caller = server.who_am_i(&session).await;
    assert_eq!((&caller["client_id"], &caller["sub"]), (&"jeton-extensions".into(), &"alice".into()));

    // When the person's token is gone, so is what it was good for.
    let stale = TokenExchange::new(SecurityToken::access_token("n0t.a.token"));
    let session = server.builder("extensions").grant(stale).build().unwrap().session();
    let error = session.token().await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_request"), "{error}");
    assert!(!format!("{error} {error:?}").contains("n0t.a.token"));
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn jwt_bearer_speaks_for_somebody() {
    let server = Server::get();
    let assertion = |key: SigningKey| SignedAssertion::new(key, "https://idp.example").subject("bob");
    let grant = JwtBearer::new(assertion(server.key("assertions")));
    let session = server.builder("extensions").grant(grant).scope("api:read").build().unwrap().session();
    assert_eq!(server.who_am_i(&session).await["sub"], "bob");
    // Each request has an assertion of its own; the server refuses one that comes again.
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["sub"], "bob");

    let stranger = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let session =
        server.builder("extensions").grant(JwtBearer::new(assertion(stranger))).build().unwrap().session();
    let error = session.token().await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_grant"), "{error}");
    assert_ne!(error.recovery(), Recovery::Retry { after: None });
}
