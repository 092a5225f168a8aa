//! Client authentication by a signed JWT (RFC 7523): `private_key_jwt` and `client_secret_jwt`.

use jeton_client::jose::{JwsAlgorithm, SigningKey};
use jeton_client::{ClientCredentials, ClientSecretJwt, PrivateKeyJwt, Recovery, Token};
use jeton_grants::{AuthenticationContext, ClientAuthentication, EndpointRequest, GrantError, async_trait};
use jeton_models::Secret;

use crate::server::Server;
use crate::wire::Wire;

/// Tokens by assertions, each of which is another one; the server takes them at each of its endpoints.
async fn is_granted(client: &str) {
    let server = Server::get();
    let wire = Wire::new();
    let builder = server.builder(client).grant(ClientCredentials).scope("api:read");
    let session = builder.transport(wire.clone()).build().unwrap().session();
    assert_eq!(server.who_am_i(&session).await["client_id"], server.client_id(client));
    let first = session.token().await.unwrap();
    session.refresh().await.unwrap();
    assert!(session.introspect().await.unwrap().active);

    // Revocation authenticates, too.
    let elsewhere = server.elsewhere(client, Token::new(first.secret().clone())).await;
    assert!(elsewhere.log_out().await.unwrap().revocation_error.is_none());
    assert_eq!(server.status_of(first.secret()).await, 401);

    let sent: Vec<_> =
        wire.exchanges().iter().filter_map(|e| e.parameter("client_assertion").map(str::to_owned)).collect();
    assert_eq!(sent.len(), 3, "two token requests and an introspection");
    assert!(sent[0] != sent[1] && sent[1] != sent[2]);
    assert!(wire.exchanges().iter().all(|exchange| exchange.parameter("client_secret").is_none()));
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_by_es256() {
    is_granted("key_es256").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_by_rs256() {
    is_granted("key_rs256").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_by_ps256() {
    is_granted("key_ps256").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_by_ed25519() {
    is_granted("key_ed25519").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_secret_jwt_by_hs256() {
    is_granted("secret_jwt").await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_of_another_key_is_refused() {
    let server = Server::get();
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    // The registered key's name does not help.
    for key in [key.clone(), key.with_key_id("key_es256")] {
        let builder =
            server.builder("key_es256").grant(ClientCredentials).authentication(PrivateKeyJwt::new(key));
        let error = builder.build().unwrap().session().token().await.unwrap_err();
        let answer = error.oauth_error().unwrap_or_else(|| panic!("{error}"));
        assert_eq!((answer.code(), answer.status), ("invalid_client", 401));
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn client_secret_jwt_of_another_secret_is_refused() {
    let server = Server::get();
    let authentication = ClientSecretJwt::new("n0t the secret of this client, but long enough").unwrap();
    let builder = server.builder("secret_jwt").grant(ClientCredentials).authentication(authentication);
    let error = builder.build().unwrap().session().token().await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_client"), "{error}");
    assert!(!format!("{error} {error:?}").contains("n0t the"));
}

/// An assertion that was sent before.
struct Replayed(Secret);

#[async_trait]
impl ClientAuthentication for Replayed {
    fn method(&self) -> &str {
        "private_key_jwt"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        _: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        request.parameters.set("client_assertion_type", assertion_type);
        request.parameters.set("client_assertion", self.0.expose());
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn private_key_jwt_that_was_sent_before_is_refused() {
    let server = Server::get();
    let wire = Wire::new();
    let builder = server.builder("key_es256").grant(ClientCredentials).transport(wire.clone());
    builder.build().unwrap().session().token().await.unwrap();
    let sent =
        wire.exchanges().iter().find_map(|e| e.parameter("client_assertion").map(Secret::from)).unwrap();

    let builder = server.builder("key_es256").grant(ClientCredentials).authentication(Replayed(sent));
    let error = builder.build().unwrap().session().token().await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_client"), "{error}");
}
