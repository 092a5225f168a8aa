//! A10: a session whose client signs (RFC 7523): login, refresh, client credentials, log-out, each with an assertion of its own.

use std::collections::HashSet;

use crate::support::{World, soon};
use jeton_client::{Client, ClientCredentials, PrivateKeyJwt, Recovery, Secret, SigningKey};
use jeton_devserver::{DevServer, Endpoint};

fn authentication() -> PrivateKeyJwt {
    PrivateKeyJwt::new(SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).unwrap())
}

#[tokio::test]
async fn a10_a_session_signs_each_of_its_requests() {
    let world = World::new();
    let id = DevServer::KEY_CLIENT.0;
    let session = world.builder_of(id).authentication(authentication()).build().unwrap().session();
    world.log_in(&session).await;
    for _ in 0..2 {
        world.expire();
        soon(session.token()).await.unwrap();
    }
    assert_eq!(world.refresh_requests(), 2);
    world.assert_sound(&session).await;
    soon(session.log_out()).await.unwrap();

    let requests = world.server.requests();
    let signed =
        requests.iter().filter(|request| [Endpoint::Token, Endpoint::Revocation].contains(&request.endpoint));
    let assertions: Vec<_> = signed.map(|request| request.form_value("client_assertion").unwrap()).collect();
    assert!(assertions.len() >= 4, "the code, two refreshes, the revocation");
    assert_eq!(
        assertions.iter().collect::<HashSet<_>>().len(),
        assertions.len(),
        "no assertion goes out twice"
    );
}

#[tokio::test]
async fn a10_endpoints_by_hand_without_an_issuer_cannot_be_signed_for() {
    let server = DevServer::start().unwrap();
    let builder = || {
        Client::builder(DevServer::KEY_CLIENT.0).token_endpoint(server.token_url()).grant(ClientCredentials)
    };
    let error =
        builder().authentication(authentication()).build().unwrap().session().token().await.unwrap_err();
    assert!(error.to_string().contains("configure the client with the issuer"), "{error}");
    assert_eq!(
        (error.recovery(), server.stats().requests_to(Endpoint::Token)),
        (Recovery::FixConfiguration, 0)
    );

    let both = builder().issuer(server.issuer()).authentication(authentication());
    soon(both.build().unwrap().session().token()).await.unwrap();
}
