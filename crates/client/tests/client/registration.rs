//! Client registrations (RFC 7591, RFC 7592): kept by issuer, shared by processes, renewed in time, and never used elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::Either;
use jeton_client::models::{ClientMetadata, ClientMetadataDocument, ClientRegistration, Issuer};
use jeton_client::{
    Client, ClientCredentials, ClientSecretPost, Error, GrantError, HttpOptions, Registrar, RegistrarBuilder,
    ReqwestTransport, Secret, TokenStore,
};
use jeton_devserver::{Builder, DevServer, Endpoint, Fault};
use jeton_grants::{
    Limits, RegistrationContext, Transport, TransportError, read_registration, update_registration,
};
use jeton_storage::{FileStore, LoginKey};

use crate::support::{World, soon};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn service() -> ClientMetadata {
    let mut metadata = ClientMetadata::new();
    metadata.client_name = Some("Nightly Report".to_owned());
    metadata.grant_types = Some(vec!["client_credentials".to_owned()]);
    metadata.response_types = Some(vec![]);
    metadata
}

fn app() -> ClientMetadata {
    let mut metadata = ClientMetadata::public(["http://127.0.0.1/callback"]);
    metadata.client_name = Some("My App".to_owned());
    metadata
}

fn registering(change: impl FnOnce(Builder) -> Builder) -> World {
    World::with(|builder| change(builder.registration(true)))
}

impl World {
    fn registrar(&self) -> Registrar {
        self.registrar_builder().build().unwrap()
    }

    fn registrar_builder(&self) -> RegistrarBuilder {
        Registrar::builder().store(self.store.clone()).clock(self.clock.clone())
    }

    fn issuer(&self) -> Issuer {
        self.server.issuer().parse().unwrap()
    }

    async fn server_metadata(&self) -> jeton_client::models::AuthorizationServerMetadata {
        self.client().metadata().await.unwrap()
    }

    fn registrations(&self) -> u64 {
        self.server.stats().clients_registered
    }
}

fn text(registration: &ClientRegistration) -> &str {
    registration.client_secret.as_ref().unwrap().expose()
}

#[tokio::test]
async fn a11_a_client_registers_once_and_works_from_then_on() {
    let world = registering(|builder| builder);
    let registrar = world.registrar();
    for _ in 0..2 {
        let builder = soon(registrar.client(world.server.issuer(), &service())).await.unwrap();
        let client = builder.grant(ClientCredentials).build().unwrap();
        soon(client.session().token()).await.unwrap();
    }
    // Another run: another registrar over the same store.
    let server = world.server_metadata().await;
    let again = soon(world.registrar().registered(&server, &service())).await.unwrap();
    assert_eq!(world.registrations(), 1);
    let request = world.server.last_request(Endpoint::Registration).unwrap();
    assert_eq!((request.method.as_str(), request.header("content-type")), ("POST", Some("application/json")));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(again.authentication_method(), "client_secret_basic");
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap().unwrap(), again);
    // It is no login.
    assert_eq!(world.client().accounts().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a11_a_person_logs_in_with_a_registered_client() {
    let world = registering(|builder| builder);
    let builder = soon(world.registrar().client(world.server.issuer(), &app())).await.unwrap();
    let client = builder.build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    assert_eq!(world.registrations(), 1);
    assert_eq!(world.server.live_logins(), 1);
}

#[tokio::test]
async fn a11_what_was_returned_is_used_and_not_what_was_asked_for() {
    // Asked for Basic, registered for Post: the devserver refuses Basic.
    let world = registering(|builder| builder.registers_as("client_secret_post"));
    let registrar = world.registrar();
    let mut asked = service();
    asked.token_endpoint_auth_method = Some("client_secret_basic".to_owned());
    let builder = soon(registrar.client(world.server.issuer(), &asked)).await.unwrap();
    let client = builder.grant(ClientCredentials).build().unwrap();
    soon(client.session().token()).await.unwrap();
    let request = world.server.last_request(Endpoint::Token).unwrap();
    assert!(request.form_value("client_secret").is_some() && request.header("authorization").is_none());

    // Another method than the registered one is refused before anything is sent, as is one that needs a key.
    let registration = soon(registrar.stored(&world.issuer())).await.unwrap().unwrap();
    let wrong = Client::of_registration(&registration).client_secret("s").build().unwrap_err();
    assert!(matches!(&wrong, Error::Configuration(what) if what.contains("client_secret_post")), "{wrong}");
    let mut signing = registration.clone();
    signing.metadata.token_endpoint_auth_method = Some("private_key_jwt".to_owned());
    let wrong = Client::of_registration(&signing).build().unwrap_err();
    assert!(matches!(&wrong, Error::Configuration(what) if what.contains("private_key_jwt")), "{wrong}");
    let right = Client::of_registration(&registration).authentication(ClientSecretPost::new("s")).build();
    assert!(right.is_ok());
}

#[tokio::test]
async fn a11_a_registration_is_never_used_at_another_server() {
    let (one, other) = (registering(|builder| builder), registering(|builder| builder));
    let registrar = one.registrar();
    let (here, there) = (one.server_metadata().await, other.server_metadata().await);
    let first = soon(registrar.registered(&here, &service())).await.unwrap();
    let second = soon(registrar.registered(&there, &service())).await.unwrap();
    assert_ne!(first.client_id, second.client_id);
    assert_eq!((one.registrations(), other.registrations()), (1, 1));
    assert_eq!(soon(registrar.stored(&one.issuer())).await.unwrap().unwrap(), first);

    // Nothing of it goes there by another way, either.
    let foreign = |error: &Error| matches!(error, Error::Grant(error) if matches!(&**error, GrantError::RegistrationForeign { .. }));
    let error = soon(registrar.keep(&other.issuer(), first.clone())).await.unwrap_err();
    assert!(foreign(&error), "{error}");
    let error = soon(registrar.replace(&there, &service(), &first)).await.unwrap_err();
    assert!(foreign(&error), "{error}");
    let error = Client::of_registration(&first).metadata(there.clone()).issuer(other.server.issuer()).build();
    assert!(foreign(&error.unwrap_err()));
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let cx = RegistrationContext::new(&there, &transport, &one.clock);
    for result in [read_registration(&cx, &first).await, update_registration(&cx, &first, &service()).await] {
        assert!(matches!(result, Err(GrantError::RegistrationForeign { .. })));
    }
    assert_eq!(other.server.stats().requests_to(Endpoint::Registration), 1);

    // A record that somebody moved to the other server's place.
    let key = |world: &World| LoginKey::registration(&world.issuer(), "default");
    let record = one.store.load(&key(&one)).await.unwrap().unwrap();
    let mut moved = one.store.load(&key(&other)).await.unwrap().unwrap();
    moved.registration = record.registration;
    one.store.lease(&key(&other), Duration::ZERO).await.unwrap().save(&moved).await.unwrap();
    let error = soon(registrar.registered(&there, &service())).await.unwrap_err();
    assert!(foreign(&error), "{error}");
}

#[tokio::test]
async fn a11_two_that_start_at_once_register_one_client() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    let folder = tempfile::tempdir().unwrap();
    let registrar = || {
        // Each with a store of its own, as two processes have.
        let store = FileStore::new(folder.path().join("logins"));
        Registrar::builder().store(store).clock(world.clock.clone()).build().unwrap()
    };
    let (one, other) = (registrar(), registrar());
    world.server.fault(Endpoint::Registration, Fault::Gate);
    let both = tokio::spawn(async move {
        let metadata = service();
        tokio::join!(one.registered(&server, &metadata), other.registered(&server, &metadata))
    });
    let held = world.server.wait_until_held(1);
    tokio::pin!(held);
    let both = match soon(futures_util::future::select(held, both)).await {
        Either::Left(((), both)) => both,
        Either::Right((ended, _)) => panic!("nothing was asked for: {ended:?}"),
    };
    world.server.open_gate();
    let (first, second) = soon(both).await.unwrap();
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(world.registrations(), 1);
}

#[tokio::test]
async fn a11_a_caller_that_goes_away_loses_no_registration() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    let registrar = world.registrar();
    world.server.fault(Endpoint::Registration, Fault::Gate);
    {
        let metadata = service();
        let registering = registrar.registered(&server, &metadata);
        let held = world.server.wait_until_held(1);
        tokio::select! {
            _ = registering => panic!("the gate is closed"),
            () = held => {}
        }
    }
    world.server.open_gate();
    soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!(world.registrations(), 1);
}

#[tokio::test]
async fn a11_a_secret_that_expires_is_renewed_before_it_does_and_the_client_stays() {
    let world = registering(|builder| builder.client_secret_lifetime(10 * DAY));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let builder = soon(registrar.client(world.server.issuer(), &service())).await.unwrap();
    let client = builder.grant(ClientCredentials).build().unwrap();
    let first = soon(registrar.registered(&server, &service())).await.unwrap();

    world.clock.advance(8 * DAY);
    assert_eq!(soon(registrar.registered(&server, &service())).await.unwrap(), first);
    assert_eq!(world.server.stats().requests_to(Endpoint::Registration), 1);

    // A day before; a program that runs has it, too, without being told.
    world.clock.advance(DAY);
    soon(client.session().token()).await.unwrap();
    let renewed = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!(renewed.client_id, first.client_id);
    assert_ne!(text(&renewed), text(&first));
    assert_eq!(
        renewed.client_secret_expires_at.unwrap(),
        first.client_secret_expires_at.unwrap() + 9 * 24 * 3600
    );
    assert_ne!(renewed.registration_access_token, first.registration_access_token);
    assert_eq!((world.registrations(), world.server.stats().requests_to(Endpoint::Registration)), (1, 2));

    // The registration access token was rotated: the next renewal needs the new one.
    world.clock.advance(9 * DAY + DAY / 2);
    let renewed_again = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!((renewed_again.client_id, world.registrations()), (first.client_id, 1));
}

#[tokio::test]
async fn a11_without_management_an_expiring_secret_means_another_client() {
    let world =
        registering(|builder| builder.client_secret_lifetime(10 * DAY).registrations_are_managed(false));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let builder = soon(registrar.client(world.server.issuer(), &service())).await.unwrap();
    let client = builder.grant(ClientCredentials).build().unwrap();
    let first = soon(registrar.stored(&world.issuer())).await.unwrap().unwrap();
    assert!(first.management().is_none());
    world.clock.advance(9 * DAY + DAY / 2);
    let second = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_ne!(second.client_id, first.client_id);
    assert_eq!(world.registrations(), 2);

    // A running client does not turn into another one behind the program's back.
    let error = soon(client.session().token()).await.unwrap_err();
    assert!(error.to_string().contains("registered anew"), "{error}");
}

#[tokio::test]
async fn a11_an_update_that_leaves_the_expiry_as_it_is_does_not_help() {
    let world = registering(|builder| builder.client_secret_lifetime(10 * DAY).updates_renew_secrets(false));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let first = soon(registrar.registered(&server, &service())).await.unwrap();
    world.clock.advance(9 * DAY + DAY / 2);
    let second = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_ne!(second.client_id, first.client_id);
    assert_eq!(world.registrations(), 2);
}

#[tokio::test]
async fn a11_an_update_that_does_not_help_rotates_the_registration_access_token_all_the_same() {
    let world = registering(|builder| builder.client_secret_lifetime(10 * DAY).updates_renew_secrets(false));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let first = soon(registrar.registered(&server, &service())).await.unwrap();
    world.clock.advance(9 * DAY + DAY / 2);
    // The update works, and the registration after it does not.
    world.server.fault(Endpoint::Registration, Fault::set("client_name", "updated"));
    world.server.fault(Endpoint::Registration, Fault::Status { status: 503, retry_after: None });
    let kept = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!((&kept.client_id, text(&kept)), (&first.client_id, text(&first)));
    assert_eq!((world.registrations(), world.server.stats().requests_to(Endpoint::Registration)), (1, 3));
    assert_ne!(kept.registration_access_token, first.registration_access_token);
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn a11_an_expired_secret_is_not_sent() {
    let world = registering(|builder| builder.client_secret_lifetime(DAY));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let registration = soon(registrar.registered(&server, &service())).await.unwrap();
    let build =
        || Client::of_registration(&registration).clock(world.clock.clone()).grant(ClientCredentials).build();
    soon(build().unwrap().session().token()).await.unwrap();
    world.clock.advance(DAY);
    let error = build().unwrap_err();
    assert!(matches!(&error, Error::Configuration(what) if what.contains("expired")), "{error}");

    // With the server down there is nothing left that works.
    world.server.fault_always(Endpoint::Registration, Fault::Status { status: 503, retry_after: None });
    let error = soon(registrar.registered(&server, &service())).await.unwrap_err();
    assert!(matches!(error, Error::Grant(_)), "{error}");
    world.server.clear_faults();
    let renewed = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!((renewed.client_id, world.registrations()), (registration.client_id, 1));
}

#[tokio::test]
async fn a11_what_still_works_is_used_while_it_cannot_be_renewed() {
    let world = registering(|builder| builder.client_secret_lifetime(10 * DAY));
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let first = soon(registrar.registered(&server, &service())).await.unwrap();
    world.clock.advance(9 * DAY + DAY / 2);
    world.server.fault_always(Endpoint::Registration, Fault::Status { status: 503, retry_after: None });
    for _ in 0..3 {
        assert_eq!(soon(registrar.registered(&server, &service())).await.unwrap(), first);
    }
    // One try a minute, not one for each call; and no other client because of a server that has no time.
    assert_eq!(world.server.stats().requests_to(Endpoint::Registration), 2);
    world.clock.advance(Duration::from_secs(60));
    world.server.clear_faults();
    let renewed = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!((renewed.client_id.as_str(), world.registrations()), (first.client_id.as_str(), 1));
    assert_ne!(text(&renewed), text(&first));
}

#[tokio::test]
async fn a11_other_metadata_updates_the_client_and_makes_no_other() {
    let world = registering(|builder| builder);
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let first = soon(registrar.registered(&server, &app())).await.unwrap();
    let mut more = app();
    more.redirect_uris.push("http://[::1]/callback".to_owned());
    let second = soon(registrar.registered(&server, &more)).await.unwrap();
    assert_eq!(second.client_id, first.client_id);
    assert_eq!(second.metadata.redirect_uris.len(), 2);
    assert_eq!(world.registrations(), 1);
    // Two clients of one program have labels of their own.
    let other = world.registrar_builder().label("service").build().unwrap();
    let service = soon(other.registered(&server, &service())).await.unwrap();
    assert_ne!(service.client_id, first.client_id);
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap().unwrap(), second);
}

#[tokio::test]
async fn a11_a_forgotten_client_is_registered_anew_a_few_times_and_no_more() {
    let world = registering(|builder| builder);
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let mut refused = soon(registrar.registered(&server, &service())).await.unwrap();
    for round in 1..=3 {
        assert!(world.server.forget_client(&refused.client_id));
        let client = Client::of_registration(&refused).grant(ClientCredentials).build().unwrap();
        let error = soon(client.session().token()).await.unwrap_err();
        assert!(matches!(&error, Error::Grant(error) if error.is_invalid_client()), "{error}");
        let new = soon(registrar.replace(&server, &service(), &refused)).await.unwrap();
        assert_ne!(new.client_id, refused.client_id);
        // Whoever comes late with the old one gets what is there.
        let late = soon(registrar.replace(&server, &service(), &refused)).await.unwrap();
        assert_eq!(late, new);
        assert_eq!(world.registrations(), round + 1);
        refused = new;
    }
    let error = soon(registrar.replace(&server, &service(), &refused)).await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(what) if what.contains("invalid_client")), "{error}");
    assert_eq!(world.registrations(), 4);
    world.clock.advance(Duration::from_secs(3601));
    soon(registrar.replace(&server, &service(), &refused)).await.unwrap();
    assert_eq!(world.registrations(), 5);
}

#[tokio::test]
async fn a11_a_secret_that_was_changed_at_the_server_is_read_and_the_client_stays() {
    let world = registering(|builder| builder);
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    let first = soon(registrar.registered(&server, &service())).await.unwrap();
    // As if the secret here were an older one: the server knows the client by another.
    let mut stale = first.clone();
    stale.client_secret = Some(Secret::from("old"));
    soon(registrar.keep(&world.issuer(), stale.clone())).await.unwrap();
    let current = soon(registrar.replace(&server, &service(), &stale)).await.unwrap();
    assert_eq!((current.client_id.as_str(), text(&current)), (first.client_id.as_str(), text(&first)));
    assert_eq!(world.registrations(), 1);
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap().unwrap(), current);
}

#[tokio::test]
async fn a11_a_wrong_registration_access_token_says_that_the_registration_is_gone() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    let registration = soon(world.registrar().registered(&server, &service())).await.unwrap();
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let cx = RegistrationContext::new(&server, &transport, &world.clock);
    let mut wrong = registration.clone();
    wrong.registration_access_token = Some(Secret::from("wrong-t0ken"));
    for result in [read_registration(&cx, &wrong).await, update_registration(&cx, &wrong, &service()).await] {
        let error = result.unwrap_err();
        assert!(matches!(error, GrantError::RegistrationGone { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("wrong-t0ken"));
    }
    // A rotated one is good for nothing either.
    let read = read_registration(&cx, &registration).await.unwrap();
    assert_ne!(read.registration_access_token, registration.registration_access_token);
    assert!(read_registration(&cx, &registration).await.is_err());
    assert!(read_registration(&cx, &read).await.is_ok());
}

#[tokio::test]
async fn a11_deleting_and_forgetting() {
    let world = registering(|builder| builder);
    let registrar = world.registrar();
    let server = world.server_metadata().await;
    soon(registrar.delete(&server)).await.unwrap();
    soon(registrar.registered(&server, &service())).await.unwrap();
    soon(registrar.delete(&server)).await.unwrap();
    assert_eq!(world.server.registered_clients(), 0);
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap(), None);

    soon(registrar.registered(&server, &service())).await.unwrap();
    soon(registrar.forget(&world.issuer())).await.unwrap();
    assert_eq!(world.server.registered_clients(), 1);
    assert_eq!(soon(registrar.stored(&world.issuer())).await.unwrap(), None);

    // One that was made by hand is kept as it is, and never replaced for other metadata.
    let mut by_hand = ClientRegistration::new(world.server.issuer(), "by-hand");
    by_hand.client_secret = Some(Secret::from("typed"));
    soon(registrar.keep(&world.issuer(), by_hand.clone())).await.unwrap();
    assert_eq!(soon(registrar.registered(&server, &service())).await.unwrap(), by_hand);
    assert_eq!(world.registrations(), 2);
}

#[tokio::test]
async fn a11_a_server_that_wants_a_token_or_a_statement_gets_it_and_no_secret_is_shown() {
    let world = World::with(|builder| {
        builder.initial_access_token("1nitial-access").software_statement("eyJzdGF0ZW1lbnQ.x.y")
    });
    let server = world.server_metadata().await;
    let refused = [
        world.registrar_builder(),
        world.registrar_builder().initial_access_token("wr0ng-initial"),
        world.registrar_builder().initial_access_token("1nitial-access"),
        world
            .registrar_builder()
            .initial_access_token("1nitial-access")
            .software_statement("f0rged-statement"),
    ];
    for builder in refused {
        let error = soon(builder.build().unwrap().registered(&server, &service())).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("A11"), "{shown}");
        for secret in ["1nitial", "wr0ng", "f0rged"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert_eq!(world.registrations(), 0);
    let builder = world.registrar_builder().initial_access_token("1nitial-access");
    let registrar = builder.software_statement("eyJzdGF0ZW1lbnQ.x.y").build().unwrap();
    soon(registrar.registered(&server, &service())).await.unwrap();
    assert!(!format!("{registrar:?}").contains("1nitial"));

    // What the server repeats of it in an error is cut out.
    let parrot =
        r#"{"error":"invalid_client_metadata","error_description":"1nitial-access eyJzdGF0ZW1lbnQ.x.y"}"#;
    world.server.fault(
        Endpoint::Registration,
        Fault::Answer {
            status: 400,
            headers: vec![("content-type".into(), "application/json".into())],
            body: parrot.into(),
        },
    );
    let mut other = service();
    other.client_name = Some("Other".to_owned());
    let fresh = Registrar::builder()
        .clock(world.clock.clone())
        .initial_access_token("1nitial-access")
        .software_statement("eyJzdGF0ZW1lbnQ.x.y")
        .build()
        .unwrap();
    let error = soon(fresh.registered(&server, &other)).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("[redacted]") && !shown.contains("1nitial") && !shown.contains("eyJzd"),
        "{shown}"
    );
}

#[tokio::test]
async fn a33_no_redirect_is_followed_and_nothing_goes_to_an_odd_place() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    let elsewhere = DevServer::recorder().unwrap();
    world.server.fault(Endpoint::Registration, Fault::Redirect(elsewhere.url().to_owned()));
    let error = soon(world.registrar().registered(&server, &service())).await.unwrap_err();
    assert!(
        matches!(&error, Error::Grant(error) if matches!(&**error, GrantError::Redirected { .. })),
        "{error}"
    );
    assert!(elsewhere.requests().is_empty());

    let mut plain = server.clone();
    plain.registration_endpoint = Some("http://as.example/register".to_owned());
    assert!(soon(world.registrar().registered(&plain, &service())).await.is_err());
    plain.registration_endpoint = None;
    assert!(soon(world.registrar().registered(&plain, &service())).await.is_err());
    assert_eq!(world.registrations(), 0);
}

/// Counts, and lets everything through to the server.
struct Counting(ReqwestTransport, Arc<AtomicUsize>);

#[async_trait]
impl Transport for Counting {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.send(request, limits).await
    }
}

#[tokio::test]
async fn a_registration_that_cannot_be_stored_is_used_all_the_same_and_stored_later() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let transport = Counting(ReqwestTransport::new(&HttpOptions::new()).unwrap(), sent.clone());
    let registrar = world.registrar_builder().transport(transport).build().unwrap();
    world.store.fail_saves(1);
    let first = soon(registrar.registered(&server, &service())).await.unwrap();
    assert_eq!(soon(registrar.registered(&server, &service())).await.unwrap(), first);
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    // The next one in finds it there.
    assert_eq!(soon(world.registrar().registered(&server, &service())).await.unwrap(), first);
    assert_eq!((world.registrations(), world.store.saves()), (1, 1));
}

#[tokio::test]
async fn nothing_is_asked_for_that_cannot_be_kept() {
    let world = registering(|builder| builder);
    let server = world.server_metadata().await;
    world.store.faults.failing_reserves.store(1, Ordering::SeqCst);
    let error = soon(world.registrar().registered(&server, &service())).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert_eq!(world.registrations(), 0);
}

#[tokio::test]
async fn a32_a_client_that_describes_itself_logs_in_without_registering() {
    let world = World::with(|builder| builder.client_documents(true));
    let host = DevServer::start().unwrap();
    let url = host.url("/oauth/client.json");
    let document = ClientMetadataDocument::new(url.as_str(), app()).unwrap();
    host.host_document("/oauth/client.json", "application/json", &document.to_json());
    assert_eq!(world.server_metadata().await.client_id_metadata_document_supported, Some(true));

    let client = world.builder_of(document.client_id()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.clock.advance(Duration::from_secs(3600));
    soon(session.token()).await.unwrap();
    let stats = world.server.stats();
    assert_eq!((stats.client_documents_fetched, stats.clients_registered, stats.refreshes), (1, 0, 1));
}
