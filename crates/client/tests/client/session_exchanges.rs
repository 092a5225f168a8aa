//! Sessions whose tokens come from exchanges and assertions: they get a new one by themselves, each time for something fresh, and
//! say what to do when there is nothing to present.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jeton_client::{
    AuthorizationCode, Client, Error, GrantError, JwtBearer, PastedRedirect, Recovery, SecurityToken,
    Session, TokenExchange,
};
#[cfg(feature = "openid")]
use jeton_devserver::DevServer;
use jeton_devserver::{Client as Registered, Endpoint, Fault};
use jeton_models::TokenTypeIdentifier;

use crate::support::{World, text};

const EXCHANGER: (&str, &str) = ("exchanger", "exchange-s3cr3t");
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn world() -> World {
    World::with(|builder| builder.client(Registered::basic(EXCHANGER.0, EXCHANGER.1)))
}

fn exchanging(world: &World, person: &Session) -> Session {
    let grant = TokenExchange::new(person.clone()).audience(world.server.second_resource_identifier());
    let builder = world.builder_of(EXCHANGER.0).client_secret(EXCHANGER.1).grant(grant);
    builder.build().unwrap().session()
}

/// Somebody who logged in: a client whose grant needs a person.
async fn person(world: &World) -> Session {
    let grant = AuthorizationCode::new(PastedRedirect::new(crate::support::REDIRECT));
    let session = world.builder().grant(grant).build().unwrap().session();
    world.log_in(&session).await;
    session
}

#[tokio::test]
async fn a17_a_session_exchanges_the_fresh_token_of_another_whenever_its_own_is_over() {
    let world = world();
    let person = person(&world).await;
    let session = exchanging(&world, &person);
    let first = session.token().await.unwrap();
    assert_eq!(first.extra().get_str("issued_token_type"), Some(TokenTypeIdentifier::ACCESS_TOKEN.as_str()));
    assert_eq!(session.get(&world.server.second_resource_url()).send().await.unwrap().status(), 200);
    let subject = |world: &World| {
        let request = world.server.last_request(Endpoint::Token).unwrap();
        assert_eq!(request.form_value("grant_type"), Some(EXCHANGE));
        request.form_value("subject_token").unwrap().to_owned()
    };
    let presented = subject(&world);
    assert_eq!(presented, text(&person.token().await.unwrap()));

    // Both are over: the person's is refreshed, and the new one is exchanged.
    world.expire();
    let second = session.token().await.unwrap();
    assert_ne!(text(&first), text(&second));
    assert_ne!(subject(&world), presented);
    assert_eq!(subject(&world), text(&person.token().await.unwrap()));
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(world.server.stats().grant(EXCHANGE).requests, 2);
    world.assert_sound(&person).await;

    // Another process over the same store exchanges nothing.
    assert_eq!(text(&exchanging(&world, &person).token().await.unwrap()), text(&second));
    assert_eq!(world.server.stats().grant(EXCHANGE).requests, 2);
}

#[tokio::test]
async fn a17_when_the_person_is_logged_out_somebody_has_to_log_in_there() {
    let world = world();
    let person = person(&world).await;
    let session = exchanging(&world, &person);
    session.token().await.unwrap();
    person.log_out().await.unwrap();
    world.expire();
    let error = session.token().await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(error.to_string().contains("there is no subject token to present"), "{error}");
    assert!(!error.is_login_required(), "it is not this login that is over");
    // Somebody logs in, and it goes on by itself.
    world.log_in(&person).await;
    session.refresh().await.unwrap();
}

#[tokio::test]
async fn a17_what_is_no_access_token_never_gets_into_a_session() {
    let world = world();
    let person = person(&world).await;
    let session = exchanging(&world, &person);
    let id_jag = r#"{"access_token":"e.y.J","token_type":"N_A","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}"#;
    world.server.fault(Endpoint::Token, Fault::answer(200, "application/json", id_jag));
    let error = session.token().await.unwrap_err();
    assert!(
        error.to_string().contains("no access token but urn:ietf:params:oauth:token-type:id-jag"),
        "{error}"
    );
    assert_eq!(error.recovery(), Recovery::FixRequest);
    assert!(world.stored(&session).await.is_none_or(|record| record.tokens.is_empty()));
    session.log_in().await.unwrap();
    world.server.fault(Endpoint::Token, Fault::answer(200, "application/json", id_jag));
    assert!(session.log_in().await.is_err());
}

#[tokio::test]
async fn a10_a_session_asks_for_a_fresh_assertion_each_time() {
    let world = world();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let grant = JwtBearer::new(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, GrantError>(jeton_client::Secret::new(format!("a.{number}.c"))) }
    });
    let builder = Client::builder(EXCHANGER.0).issuer(world.server.issuer()).client_secret(EXCHANGER.1);
    let session = builder.grant(grant).clock(world.clock.clone()).build().unwrap().session();
    for number in 0..2 {
        let answer = format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":60}}"#);
        world.server.fault(Endpoint::Token, Fault::answer(200, "application/json", answer));
        assert_eq!(text(&session.token().await.unwrap()), format!("t{number}"));
        session.token().await.unwrap();
        let request = world.server.last_request(Endpoint::Token).unwrap();
        assert_eq!(request.form_value("assertion"), Some(format!("a.{number}.c").as_str()));
        world.expire();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_exchange_that_fails_for_a_moment_is_tried_again() {
    let world = world();
    let person = person(&world).await;
    let session = exchanging(&world, &person);
    world.server.fault(Endpoint::Token, Fault::Status { status: 503, retry_after: Some("7".to_owned()) });
    let error = session.token().await.unwrap_err();
    assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error}");
    world.clock.advance(std::time::Duration::from_secs(8));
    session.token().await.unwrap();
    // A fixed token is exchanged as long as it is good, and then it is told.
    let fixed = SecurityToken::access_token(text(&person.token().await.unwrap()));
    let builder = world.builder_of(EXCHANGER.0).client_secret(EXCHANGER.1).grant(TokenExchange::new(fixed));
    let session = builder.build().unwrap().account("fixed");
    session.token().await.unwrap();
    world.expire();
    let error = session.token().await.unwrap_err();
    assert!(matches!(&error, Error::Grant(_)) && error.to_string().contains("A17: "), "{error}");
}

#[cfg(feature = "openid")]
mod enterprise {
    use jeton_client::{ClientSecretBasic, IdentityAssertion};
    use jeton_grants::Clock as _;

    use super::*;

    /// The provider where people are signed in, and a server that lets them in on its word.
    #[tokio::test]
    async fn an_identity_assertion_keeps_a_session_valid_and_each_token_has_its_own() {
        let world = World::with(|builder| builder.client(Registered::basic("wiki-at-idp", "idp-s3cr3t")));
        let provider = &world.server;
        let clock = world.clock.clone();
        let wiki = DevServer::builder()
            .client(Registered::basic(EXCHANGER.0, EXCHANGER.1))
            .clock(Arc::new(move || clock.now()))
            .trust(provider.issuer(), provider.jwks())
            .start()
            .unwrap();
        let known = Registered::basic("wiki-at-idp", "idp-s3cr3t").known_as(wiki.issuer(), EXCHANGER.0);
        provider.register(known.redirect_uri("http://127.0.0.1/callback"));

        let at_provider =
            world.builder_of("wiki-at-idp").client_secret("idp-s3cr3t").scope("openid").build().unwrap();
        let person = at_provider.session();
        let metadata = at_provider.metadata().await.unwrap();
        let authentication = ClientSecretBasic::new("idp-s3cr3t");
        let grant = IdentityAssertion::new(metadata, "wiki-at-idp", authentication, person.id_tokens());
        let session = Client::builder(EXCHANGER.0)
            .issuer(wiki.issuer())
            .client_secret(EXCHANGER.1)
            .grant(grant)
            .clock(world.clock.clone())
            .resource_server(wiki.url(""))
            .build()
            .unwrap()
            .session();

        // Nobody is signed in at the provider.
        let error = session.token().await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::LogIn);
        world.log_in(&person).await;
        session.refresh().await.unwrap();
        assert_eq!(session.get(&wiki.resource_url()).send().await.unwrap().status(), 200);

        // Everything is over: the provider's login is refreshed, and its new ID token exchanged.
        world.expire();
        session.token().await.unwrap();
        assert_eq!(world.refresh_requests(), 1);
        let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        assert_eq!(wiki.stats().grant(bearer).requests, 2);
        assert_eq!(provider.stats().grant(EXCHANGE).requests, 2);

        provider.revoke_all_logins();
        world.expire();
        let error = session.token().await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::LogIn, "{error}");
        assert!(error.to_string().contains("ID token"), "{error}");
    }
}
