//! Discovery (RFC 8414, OpenID Connect Discovery).

use jeton_client::{Client, Error, GrantError, Recovery};
use jeton_models::MetadataError;

use crate::server::Server;
use crate::wire::Wire;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn paths(wire: &Wire) -> Vec<(String, u16)> {
    wire.exchanges().into_iter().map(|exchange| (exchange.path, exchange.status)).collect()
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn discovery_finds_what_the_grants_need() {
    let server = Server::get();
    let wire = Wire::new();
    let client = server.builder("native").transport(wire.clone()).build().unwrap();
    let metadata = client.metadata().await.unwrap();
    assert_eq!(paths(&wire), [(OAUTH.to_owned(), 200)]);

    assert_eq!(metadata.issuer, server.issuer);
    for name in
        ["authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint"]
    {
        let url = metadata.endpoint(name).unwrap();
        assert!(url.as_str().starts_with(&server.issuer), "{name}: {url}");
    }
    assert_eq!(metadata.code_challenge_methods_supported, Some(vec!["S256".to_owned()]));
    assert_eq!(metadata.authorization_response_iss_parameter_supported, Some(true));
    for grant_type in ["authorization_code", "refresh_token", "client_credentials", "password"] {
        assert!(!metadata.refuses_grant_type(grant_type), "{grant_type}");
    }
    assert!(metadata.refuses_grant_type("urn:ietf:params:oauth:grant-type:saml2-bearer"));
    // No model has a name for this one.
    assert!(metadata.extra.get("claim_types_supported").is_some());
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn discovery_takes_either_well_known_path() {
    let server = Server::get();
    let oauth = server.builder("native").build().unwrap().metadata().await.unwrap();

    let wire = Wire::new().without(OAUTH);
    let client = server.builder("native").transport(wire.clone()).build().unwrap();
    let openid = client.metadata().await.unwrap();
    assert_eq!(paths(&wire), [(OAUTH.to_owned(), 404), (OPENID.to_owned(), 200)]);
    assert_eq!(openid, oauth);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn discovery_rejects_another_spelling_of_the_issuer() {
    let server = Server::get();
    for spelling in [format!("{}/", server.issuer), server.issuer.replacen("http:", "HTTP:", 1)] {
        let wire = Wire::new();
        let client =
            Client::builder(server.client_id("native")).issuer(&spelling).transport(wire.clone()).build();
        let error = client.unwrap().metadata().await.unwrap_err();
        let Error::Grant(grant_error) = &error else { panic!("{spelling}: {error:?}") };
        let GrantError::Metadata(MetadataError::IssuerMismatch { expected, found }) = &**grant_error else {
            panic!("{spelling}: {error:?}")
        };
        assert_eq!((expected, found), (&spelling, &server.issuer));
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
        assert!(error.to_string().contains("use its own spelling"), "{error}");
        assert_eq!(paths(&wire), [(OAUTH.to_owned(), 200)], "what was found is final");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn discovery_of_what_is_no_issuer_says_so() {
    let server = Server::get();
    let issuer = format!("{}/no/such/tenant", server.issuer);
    let wire = Wire::new();
    let client = Client::builder("any").issuer(&issuer).transport(wire.clone()).build().unwrap();
    let error = client.metadata().await.unwrap_err();
    assert_eq!(
        paths(&wire),
        [
            (format!("{OAUTH}/no/such/tenant"), 404),
            (format!("{OPENID}/no/such/tenant"), 404),
            (format!("/no/such/tenant{OPENID}"), 404),
        ]
    );
    assert!(error.to_string().contains("discovery at "), "{error}");
    assert!(error.to_string().contains("404"), "{error}");
}
