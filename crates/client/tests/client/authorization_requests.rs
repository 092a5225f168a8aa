//! Logins that ask for something else or in another way: options of one login, pushed (A22), in detail (A24), for a resource (A19),
//! answered by a JWT (A30), and the FAPI 2.0 Security Profile (A31).

use std::time::Duration;

use jeton_client::{
    AuthorizationCode, AuthorizationDetail, Client, ClientCredentials, Error, GrantError, LoginOptions,
    PastedRedirect, PushedRequests, Recovery,
};
use jeton_devserver::{DevServer, Endpoint};
use url::Url;

use crate::support::{REDIRECT, World, soon};

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_login_may_ask_for_more_and_the_record_says_what_was_asked_for() {
    let world = World::new();
    let client = world.builder().scope("read").build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    assert_eq!(world.stored(&session).await.unwrap().scope.unwrap().to_string(), "read");

    let options = LoginOptions::new()
        .scope("read write".parse().unwrap())
        .acr_values(["urn:strong"])
        .max_age(Duration::from_secs(60))
        .prompt("login");
    let (url, pending) = session.begin_log_in_with(REDIRECT, options).await.unwrap();
    for (name, expected) in
        [("scope", "read write"), ("acr_values", "urn:strong"), ("max_age", "60"), ("prompt", "login")]
    {
        assert_eq!(value(&url, name).as_deref(), Some(expected), "{name}");
    }
    // The login before is in use until this one is there.
    assert_eq!(soon(session.token()).await.unwrap().scope().unwrap().to_string(), "read");
    let redirected = world.server.authorize(url.as_str()).unwrap();
    let token = session.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap();
    assert_eq!(token.scope().unwrap().to_string(), "read write");
    assert_eq!(world.stored(&session).await.unwrap().scope.unwrap().to_string(), "read write");
    // Refreshes keep it, although the client's own scope is less.
    world.expire();
    assert_eq!(soon(session.token()).await.unwrap().scope().unwrap().to_string(), "read write");
    // And the next plain login is the client's again.
    world.log_in(&session).await;
    assert_eq!(world.stored(&session).await.unwrap().scope.unwrap().to_string(), "read");
}

#[tokio::test]
async fn options_go_through_the_clients_grant_and_say_no_more_than_they_do() {
    let world = World::new();
    let grant = AuthorizationCode::new(PastedRedirect::new(REDIRECT));
    let client = world.builder().grant(grant).build().unwrap();
    // Nobody can open a browser: what is looked at is that the error comes from there, after the request was made.
    let error = client.session().log_in_with(LoginOptions::new().login_hint("bob")).await.unwrap_err();
    assert!(matches!(error, Error::Grant(_)), "{error:?}");
    let odd = LoginOptions::new().authorization_details([AuthorizationDetail::new("")]);
    let error = client.session().log_in_with(odd).await.unwrap_err();
    assert!(error.to_string().contains("RFC 9396"), "{error}");
    assert_eq!(error.recovery(), Recovery::FixRequest);
}

#[tokio::test]
async fn a22_a_session_pushes_where_the_server_requires_it_and_where_it_is_told_to() {
    for (required, pushed) in [(true, PushedRequests::WhenRequired), (false, PushedRequests::Always)] {
        let world = World::with(|builder| builder.require_par(required));
        let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
        let builder = world.builder_of(id).client_secret(secret).pushed_authorization_requests(pushed);
        let session = builder.build().unwrap().session();
        let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
        assert_eq!((value(&url, "state"), value(&url, "client_id").as_deref()), (None, Some(id)));
        let open_before = pending.open_before().unwrap();
        assert_eq!(open_before, world.now() + Duration::from_secs(60));
        let redirected = world.server.authorize(url.as_str()).unwrap();
        session.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap();
        world.assert_sound(&session).await;
        assert_eq!(world.server.stats().requests_to(Endpoint::PushedAuthorization), 1);
    }
    let world = World::with(|builder| builder.require_par(true));
    let never = world.builder().pushed_authorization_requests(PushedRequests::Never).build().unwrap();
    let error = never.session().begin_log_in(REDIRECT).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::FixConfiguration, "{error}");
    assert_eq!(world.server.stats().requests_to(Endpoint::PushedAuthorization), 0);
}

#[tokio::test]
async fn a22_the_endpoint_may_be_set_by_hand_and_must_be_secure() {
    let server = DevServer::start().unwrap();
    let builder = || {
        Client::builder(DevServer::PUBLIC_CLIENT)
            .issuer(server.issuer())
            .pushed_authorization_requests(PushedRequests::Always)
    };
    let elsewhere = builder().pushed_authorization_request_endpoint(server.url("/nowhere")).build().unwrap();
    let error = elsewhere.session().begin_log_in(REDIRECT).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let plain = builder().pushed_authorization_request_endpoint("http://as.example/par").build();
    assert!(
        matches!(plain, Err(Error::Configuration(text)) if text.contains("pushed authorization request endpoint"))
    );
}

#[tokio::test]
async fn a24_what_was_granted_stands_with_the_token_and_in_the_store() {
    let world = World::with(|builder| builder.authorization_detail_types(["payment"]));
    let asked = AuthorizationDetail::new("payment").actions(["send"]);
    let granted = vec![asked.clone().identifier("account-of-alice")];
    let builder = || world.builder().authorization_details([asked.clone()]);
    let session = builder().build().unwrap().session();
    let token = world.log_in(&session).await;
    assert_eq!(token.authorization_details(), Some(granted.clone()));
    assert_eq!(token.warnings(), []);

    // Another process, from the store, without a request.
    let requests = world.server.requests().len();
    let elsewhere = builder().build().unwrap().session();
    assert_eq!(soon(elsewhere.token()).await.unwrap().authorization_details(), Some(granted.clone()));
    assert_eq!(world.server.requests().len(), requests);
    world.expire();
    assert_eq!(soon(session.token()).await.unwrap().authorization_details(), Some(granted));
    assert_eq!(world.server.last_request(Endpoint::Token).unwrap().form_value("authorization_details"), None);

    // One login asks for other ones.
    let other = LoginOptions::new().authorization_details([asked.clone().identifier("savings")]);
    let (url, pending) = session.begin_log_in_with(REDIRECT, other).await.unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap();
    let token = session.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap();
    assert_eq!(token.authorization_details(), Some(vec![asked.identifier("savings")]));
    // And a server that does not know the type is not asked.
    let unknown = LoginOptions::new().authorization_details([AuthorizationDetail::new("transfer")]);
    let error = session.begin_log_in_with(REDIRECT, unknown).await.unwrap_err();
    assert!(error.to_string().contains("transfer"), "{error}");
}

#[tokio::test]
async fn a19_a_resource_that_is_none_is_refused_and_nothing_is_sent() {
    let world = World::new();
    let (_, session) = world.signed_in().await;
    let requests = world.server.stats().requests_to(Endpoint::Token);
    for wrong in ["api", "/v1", "https://api.example/#v1", ""] {
        let error = soon(session.for_resource(wrong).token()).await.unwrap_err();
        assert!(
            matches!(&error, Error::Grant(error) if matches!(**error, GrantError::Resource { .. })),
            "{wrong}: {error:?}"
        );
        assert_eq!(error.recovery(), Recovery::FixRequest);
    }
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests);
    // The login is as good as before.
    soon(session.token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a31_the_profile_wants_a_key_or_a_certificate_to_authenticate_with() {
    let builder = || Client::builder("app").issuer("https://as.example").fapi2_security_profile();
    for (builder, says) in [
        (builder(), "`none`"),
        (builder().client_secret("s3cr3t"), "client_secret_basic"),
        (builder().client_secret("s3cr3t").grant(ClientCredentials), "client_secret_basic"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(&error, Error::Configuration(text) if text.contains(says)), "{error}");
        assert!(!error.to_string().contains("s3cr3t"));
    }
    // A certificate is good enough for the profile; what is missing here is the certificate itself.
    let error = builder().authentication(jeton_client::TlsClientAuth).build().unwrap_err();
    assert!(error.to_string().contains("RFC 8705") && !error.to_string().contains("FAPI"), "{error}");
}

#[cfg(feature = "jose")]
mod signed {
    use jeton_client::{
        JwsAlgorithm, PrivateKeyJwt, RequestObject, ResourceOwnerPasswordCredentials, Secret, SigningKey,
    };

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).unwrap()
    }

    #[tokio::test]
    async fn a31_a_session_by_the_profile_from_login_to_log_out() {
        let world = World::with(|builder| builder.fapi2());
        let builder = world
            .builder_of(DevServer::KEY_CLIENT.0)
            .authentication(PrivateKeyJwt::new(key()))
            .dpop(true)
            .fapi2_security_profile();
        let session = builder.build().unwrap().session();
        let token = world.log_in(&session).await;
        assert_eq!(token.token_type().as_str(), "DPoP");
        assert_eq!(soon(session.get(&world.server.resource_url()).send()).await.unwrap().status(), 200);
        world.expire();
        soon(session.token()).await.unwrap();
        assert_eq!(soon(session.get(&world.server.resource_url()).send()).await.unwrap().status(), 200);
        world.assert_sound(&session).await;
        assert!(session.log_out().await.unwrap().revocation_error.is_none());
        let authorization = world.server.last_request(Endpoint::Authorization).unwrap();
        assert_eq!(authorization.query.len(), 2, "client_id and request_uri");
    }

    #[tokio::test]
    async fn a31_what_is_not_configured_is_told_by_build_and_what_is_not_offered_by_the_login() {
        let rsa =
            SigningKey::from_pem(include_str!("../../../devserver/keys/rs256-1.pem"), JwsAlgorithm::Rs256);
        let builder =
            || Client::builder(DevServer::KEY_CLIENT.0).issuer("https://as.example").fapi2_security_profile();
        let good = || builder().authentication(PrivateKeyJwt::new(key()));
        let password = ResourceOwnerPasswordCredentials::new("alice", "secret");
        for (builder, says) in [
            (good(), "neither DPoP nor mutual TLS"),
            (good().dpop(true).grant(password), "`password`"),
            (builder().authentication(PrivateKeyJwt::new(rsa.unwrap())).dpop(true), "RS256"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(matches!(&error, Error::Configuration(text) if text.contains(says)), "{says}: {error}");
        }
        assert!(good().dpop(true).build().is_ok());

        // A server without `iss` in its answers.
        let world = World::with(|builder| builder.advertise_iss(false));
        let session = world
            .builder_of(DevServer::KEY_CLIENT.0)
            .authentication(PrivateKeyJwt::new(key()))
            .dpop(true)
            .fapi2_security_profile()
            .build()
            .unwrap()
            .session();
        let error = session.begin_log_in(REDIRECT).await.unwrap_err();
        assert!(error.to_string().contains("authorization_response_iss_parameter_supported"), "{error}");
        assert_eq!(world.server.stats().requests_to(Endpoint::PushedAuthorization), 0);
    }

    #[tokio::test]
    async fn a21_a30_a_session_signs_its_request_and_gets_a_signed_answer() {
        let world =
            World::with(|builder| builder.require_signed_request_object(true).response_algorithm("ES256"));
        let session = world
            .builder_of(DevServer::KEY_CLIENT.0)
            .authentication(PrivateKeyJwt::new(key()))
            .request_object(RequestObject::new(key()))
            .signed_authorization_responses(true)
            .build()
            .unwrap()
            .session();
        for _ in 0..2 {
            let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
            assert_eq!(url.query_pairs().count(), 2, "client_id and request");
            let redirected: Url = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
            assert!(value(&redirected, "response").is_some() && value(&redirected, "code").is_none());
            session.finish_log_in(pending, &redirected).await.unwrap();
        }
        world.assert_sound(&session).await;
        // A pending login whose answer is somebody else's is not used up by it.
        let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
        let (other, _) = session.begin_log_in(REDIRECT).await.unwrap();
        let foreign: Url = world.server.authorize(other.as_str()).unwrap().parse().unwrap();
        assert!(!pending.matches(&foreign));
        let kept = serde_json::to_string(&pending).unwrap();
        session.finish_log_in(pending, &foreign).await.unwrap_err();
        let redirected: Url = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
        session.finish_log_in(serde_json::from_str(&kept).unwrap(), &redirected).await.unwrap();
        let again =
            session.finish_log_in(serde_json::from_str(&kept).unwrap(), &redirected).await.unwrap_err();
        assert!(matches!(&again, Error::Grant(error) if matches!(**error, GrantError::PendingLoginUsed)));
    }
}
