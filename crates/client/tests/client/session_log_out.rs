//! What a log-out revokes at the server, and what it says about the rest (RFC 7009).

use std::time::Duration;

use crate::support::{LIFETIME, World, soon};
use jeton_client::{ClientCredentials, Error, IntrospectionCache, Recovery, Scope, TokenKind};
use jeton_devserver::{DevServer, Endpoint, Fault};

impl World {
    /// What was asked to be revoked, in order.
    fn asked_to_revoke(&self) -> Vec<(String, String)> {
        let requests = self.server.requests().into_iter();
        requests
            .filter(|request| request.endpoint == Endpoint::Revocation)
            .map(|request| {
                let value = |name| request.form_value(name).unwrap_or_default().to_owned();
                (value("token_type_hint"), value("token"))
            })
            .collect()
    }
}

#[tokio::test]
async fn a9_the_refresh_token_goes_first_and_then_each_access_token_that_lives() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let narrow = soon(session.with_scope("read".parse::<Scope>().unwrap()).token()).await.unwrap();
    let refresh_token = world.stored_refresh_token(&session).await;
    let logged_out = session.log_out().await.unwrap();
    assert!(logged_out.revocation_error.is_none() && logged_out.not_revoked.is_empty());
    assert_eq!(logged_out.may_try_again_after(), None);
    let asked = world.asked_to_revoke();
    assert_eq!(asked[0], ("refresh_token".to_owned(), refresh_token));
    let mut access_tokens: Vec<_> = asked[1..].to_vec();
    access_tokens.sort();
    let mut expected = [&token, &narrow]
        .map(|token| ("access_token".to_owned(), token.secret().expose().to_owned()))
        .to_vec();
    expected.sort();
    assert_eq!(access_tokens, expected);
}

#[tokio::test]
async fn a9_dead_access_tokens_are_not_worth_a_request() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.clock.advance(LIFETIME);
    session.log_out().await.unwrap();
    assert_eq!(world.asked_to_revoke().len(), 1);
}

#[tokio::test]
async fn a9_after_a_503_the_tokens_may_live_on_and_another_try_revokes_them() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let refresh_token = world.stored_refresh_token(&session).await;
    let token = session.cached().unwrap();
    world.server.fault(Endpoint::Revocation, Fault::unavailable(Some("7")));
    let logged_out = session.log_out().await.unwrap();
    // One request was enough to know that the server has no time.
    assert_eq!(world.asked_to_revoke().len(), 1);
    let error = logged_out.revocation_error.clone().unwrap();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(7)) });
    let kinds: Vec<_> = logged_out.not_revoked.iter().map(|own| (own.kind, own.expires_at)).collect();
    assert_eq!(
        kinds,
        [(TokenKind::RefreshToken, None), (TokenKind::AccessToken, Some(world.now() + LIFETIME))]
    );
    assert_eq!(logged_out.may_try_again_after(), Some(Duration::from_secs(7)));
    let shown = format!("{logged_out:?}");
    assert!(!shown.contains(&refresh_token) && !shown.contains(token.secret().expose()), "{shown}");
    // Forgotten here, alive there.
    assert!(world.stored(&session).await.is_none());
    assert!(world.server.is_refresh_token_live(&refresh_token));

    world.server.fault(Endpoint::Revocation, Fault::unavailable(None));
    let again = session.revoke_remaining(logged_out).await.unwrap();
    assert_eq!((again.not_revoked.len(), again.may_try_again_after()), (2, Some(Duration::ZERO)));
    let done = session.revoke_remaining(again).await.unwrap();
    assert!(done.revocation_error.is_none() && done.not_revoked.is_empty());
    assert!(!world.server.is_refresh_token_live(&refresh_token));
    let requests = world.asked_to_revoke().len();
    session.revoke_remaining(done).await.unwrap();
    assert_eq!(world.asked_to_revoke().len(), requests);
}

#[tokio::test]
async fn a9_a_server_that_revokes_no_access_tokens_is_told_of_but_the_login_is_over() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let refresh_token = world.stored_refresh_token(&session).await;
    // The refresh token goes; the access token stays.
    let commit_then = Fault::Sequence(vec![Fault::Commit, Fault::answer(200, "application/json", "")]);
    world.server.fault(Endpoint::Revocation, commit_then);
    world.server.fault(Endpoint::Revocation, Fault::oauth_error("unsupported_token_type"));
    let logged_out = session.log_out().await.unwrap();
    assert!(logged_out.revocation_error.is_none());
    assert!(!world.server.is_refresh_token_live(&refresh_token));
    let [left] = &logged_out.not_revoked[..] else { panic!("{logged_out:?}") };
    assert_eq!((left.kind, left.may_try_again_after()), (TokenKind::AccessToken, None));
    assert!(left.error.to_string().contains("unsupported_token_type"), "{}", left.error);
    // What cannot be helped is not tried again.
    let requests = world.asked_to_revoke().len();
    assert_eq!(session.revoke_remaining(logged_out).await.unwrap().not_revoked.len(), 1);
    assert_eq!(world.asked_to_revoke().len(), requests);
}

#[tokio::test]
async fn a9_a_refused_refresh_token_does_not_keep_the_access_token_alive() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.server.fault(Endpoint::Revocation, Fault::oauth_error("unsupported_token_type"));
    let logged_out = session.log_out().await.unwrap();
    assert!(matches!(&logged_out.revocation_error, Some(Error::Grant(_))));
    assert_eq!(logged_out.not_revoked.len(), 1);
    assert!(!world.server.is_access_token_live(token.secret().expose()));
}

#[tokio::test]
async fn a9_without_a_refresh_token_it_is_the_access_token_that_counts() {
    let world = World::new();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = world.builder_of(id).client_secret(secret).grant(ClientCredentials).build().unwrap();
    let session = client.session();
    soon(session.token()).await.unwrap();
    world.server.fault(Endpoint::Revocation, Fault::oauth_error("unsupported_token_type"));
    let logged_out = session.log_out().await.unwrap();
    assert!(logged_out.revocation_error.is_some());
    assert_eq!(logged_out.not_revoked[0].kind, TokenKind::AccessToken);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_asked_once() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.server.fault_always(Endpoint::Revocation, Fault::DropBeforeCommit);
    let logged_out = session.log_out().await.unwrap();
    assert_eq!((logged_out.not_revoked.len(), world.asked_to_revoke().len()), (2, 1));
    assert_eq!(logged_out.may_try_again_after(), Some(Duration::ZERO));
}

#[tokio::test]
async fn a13_a_resource_server_asks_about_others_tokens_and_not_each_time() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let asks = || world.server.stats().requests_to(Endpoint::Introspection);
    // Off unless switched on.
    let without = world.builder_of(id).client_secret(secret).build().unwrap();
    for _ in 0..2 {
        assert!(without.introspect(token.secret()).await.unwrap().active);
    }
    assert_eq!(asks(), 2);
    let cache = IntrospectionCache::new();
    let with = world.builder_of(id).client_secret(secret).introspection_cache(cache).build().unwrap();
    for _ in 0..5 {
        let introspection = with.introspect(token.secret()).await.unwrap();
        assert_eq!((introspection.active, introspection.sub.as_deref()), (true, Some("alice")));
    }
    assert_eq!(asks(), 3);
    // Whoever keeps answers hears of a revocation late, but not later than that.
    session.log_out().await.unwrap();
    assert!(with.introspect(token.secret()).await.unwrap().active);
    world.clock.advance(Duration::from_secs(30));
    assert!(!with.introspect(token.secret()).await.unwrap().active);
    assert_eq!(asks(), 4);
    // That it is not active is asked each time.
    assert!(!with.introspect(token.secret()).await.unwrap().active);
    assert_eq!(asks(), 5);
}

#[tokio::test]
async fn a13_what_this_client_revokes_it_forgets() {
    let world = World::new();
    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let builder = world.builder_of(id).client_secret(secret).introspection_cache(IntrospectionCache::new());
    let client = builder.build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let token = session.cached().unwrap();
    assert!(session.introspect().await.unwrap().active);
    soon(session.revoke()).await.unwrap();
    assert!(!client.introspect(token.secret()).await.unwrap().active);
    let token = soon(session.token()).await.unwrap();
    assert!(client.introspect(token.secret()).await.unwrap().active);
    session.log_out().await.unwrap();
    assert!(!client.introspect(token.secret()).await.unwrap().active);
}
