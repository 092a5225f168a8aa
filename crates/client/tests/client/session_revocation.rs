//! Revoking the access token of a session (RFC 7009): it dies at the server, is forgotten here and in the store, and the login
//! lives on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{EventLog, LIFETIME, World, soon, text};
use jeton_client::models::MetadataError;
use jeton_client::{
    AccessToken, Client, ClientCredentials, Error, GrantError, LoginRequired, Recovery, Scope,
};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_storage::FileStore;

/// What is left of a token's life in the tests of a refresh before its expiry.
const LEFT: Duration = Duration::from_secs(10);

impl World {
    fn is_live(&self, token: &AccessToken) -> bool {
        self.server.is_access_token_live(token.secret().expose())
    }

    fn revocations(&self) -> u64 {
        self.server.stats().requests_to(Endpoint::Revocation)
    }
}

#[tokio::test]
async fn the_token_dies_and_is_forgotten_and_the_login_lives_on() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    let token = world.log_in(&session).await;
    let before = world.stored(&session).await.unwrap();

    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&token));
    let request = world.server.last_request(Endpoint::Revocation).unwrap();
    assert_eq!(request.form_value("token"), Some(token.secret().expose()));
    assert_eq!(request.form_value("token_type_hint"), Some("access_token"));
    assert!(session.cached().is_none());
    let after = world.stored(&session).await.unwrap();
    assert!(after.tokens.is_empty() && after.is_live());
    assert_eq!((after.refresh_token, after.generation), (before.refresh_token, before.generation));

    // Another process finds nothing of it in the store, and both share the new one.
    let elsewhere = world.client().session();
    let new = soon(elsewhere.token()).await.unwrap();
    assert_ne!(text(&new), text(&token));
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&new));
    assert_eq!((world.refresh_requests(), world.revocations()), (1, 1));
    assert_eq!(events.all(), ["LoggedIn"]);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_session_that_has_read_nothing_so_far_revokes_the_stored_token() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let later = world.client().session();
    soon(later.revoke()).await.unwrap();
    assert!(!world.is_live(&token));
    assert_ne!(text(&soon(later.token()).await.unwrap()), text(&token));

    // Who has it in its cache hears of it from a resource server.
    assert_eq!(session.get(&world.server.resource_url()).send().await.unwrap().status(), 200);
    assert_eq!(text(&session.cached().unwrap()), text(&later.cached().unwrap()));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn where_there_is_no_token_there_is_nothing_to_do() {
    let world = World::new();
    let session = world.client().session();
    soon(session.revoke()).await.unwrap();
    world.log_in(&session).await;
    session.log_out().await.unwrap();
    soon(session.revoke()).await.unwrap();
    // Those of the log-out, for the refresh token and the access token.
    assert_eq!(world.revocations(), 2);
    assert!(world.stored(&session).await.is_none());
    assert!(session.token().await.unwrap_err().is_login_required());
}

#[tokio::test]
async fn tokens_of_other_scopes_stay() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let narrower = session.with_scope("read".parse::<Scope>().unwrap());
    let narrow = soon(narrower.token()).await.unwrap();
    let token = session.cached().unwrap();
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&token) && world.is_live(&narrow));
    assert_eq!(text(&narrower.cached().unwrap()), text(&narrow));
    let stored = world.stored(&session).await.unwrap();
    assert_eq!(
        stored.tokens.iter().map(|token| token.access_token.expose()).collect::<Vec<_>>(),
        [text(&narrow)]
    );
}

#[tokio::test]
async fn a_newer_token_of_another_process_stays_and_is_the_next_one() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let newer = soon(world.client().session().refresh()).await.unwrap();
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&token) && world.is_live(&newer));
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&newer));
    assert_eq!(world.refresh_requests(), 1);

    // One in the cache that is dead already is not what is in use.
    world.expire();
    let newest = soon(world.client().session().token()).await.unwrap();
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&newest));
    assert_ne!(text(&soon(session.token()).await.unwrap()), text(&newest));
}

#[tokio::test]
async fn what_is_revoked_is_the_token_at_the_time_of_the_call_also_if_a_refresh_is_under_way() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
    let refreshing = tokio::spawn({
        let session = session.clone();
        async move { session.refresh().await }
    });
    soon(world.server.wait_until_held(1)).await;
    let leases = world.store.faults.leases.load(Ordering::SeqCst);
    let revoking = tokio::spawn({
        let session = session.clone();
        async move { session.revoke().await }
    });
    soon(async {
        while world.store.faults.leases.load(Ordering::SeqCst) == leases {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    let new = soon(refreshing).await.unwrap().unwrap();
    soon(revoking).await.unwrap().unwrap();
    assert!(!world.is_live(&token) && world.is_live(&new));
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&new));
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn whoever_has_just_read_it_from_the_store_does_not_put_it_back() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let later = world.client().session();
    let (reading, go_on) = world.store.hold_next_load();
    let reader = tokio::spawn({
        let later = later.clone();
        async move { later.token().await }
    });
    soon(reading).await.unwrap();
    soon(later.revoke()).await.unwrap();
    go_on.send(()).unwrap();
    // It was read before it was revoked.
    assert_eq!(text(&soon(reader).await.unwrap().unwrap()), text(&token));
    assert!(later.cached().is_none());
    assert_ne!(text(&soon(later.token()).await.unwrap()), text(&token));
}

#[tokio::test]
async fn a_token_that_may_live_on_stays_in_use() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let before = world.stored(&session).await;
    for (fault, recovery) in [
        (Fault::unavailable(Some("5")), Recovery::Retry { after: Some(Duration::from_secs(5)) }),
        (Fault::oauth_error("unsupported_token_type"), Recovery::GiveUp),
        (Fault::DropBeforeCommit, Recovery::Retry { after: None }),
    ] {
        world.server.fault(Endpoint::Revocation, fault);
        let error = soon(session.revoke()).await.unwrap_err();
        assert_eq!(error.recovery(), recovery, "{error}");
        assert!(!format!("{error} {error:?}").contains(&text(&token)));
    }
    world.store.faults.lease_busy.store(true, Ordering::SeqCst);
    let error = soon(session.revoke()).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    world.store.faults.lease_busy.store(false, Ordering::SeqCst);
    assert_eq!(world.revocations(), 3, "without the lease nothing is sent");
    assert!(world.is_live(&token));
    assert_eq!(text(&soon(session.token()).await.unwrap()), text(&token));
    assert_eq!(world.stored(&session).await, before);
}

#[tokio::test]
async fn a_server_without_a_revocation_endpoint_is_told() {
    let world = World::new();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = Client::builder(id)
        .token_endpoint(world.server.token_url())
        .client_secret(secret)
        .grant(ClientCredentials)
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let session = client.session();
    let token = session.token().await.unwrap();
    let error = session.revoke().await.unwrap_err();
    let Error::Grant(grant) = &error else { panic!("{error}") };
    assert!(matches!(**grant, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
}

#[tokio::test]
async fn a_store_that_cannot_be_written_brings_the_token_back_neither_here_nor_later() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.store.fail_saves(usize::MAX);
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&token));
    assert!(matches!(session.persist_error(), Some(Error::Store(_))));
    let second = soon(session.token()).await.unwrap();
    assert_ne!(text(&second), text(&token));

    // One that could not be stored so far is revoked like any other.
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&second));
    world.store.fail_saves(0);
    let third = soon(session.token()).await.unwrap();
    assert!(world.is_live(&third));
    assert_eq!(world.refresh_requests(), 2);
    let stored = world.stored(&session).await.unwrap();
    assert_eq!(
        stored.tokens.iter().map(|token| token.access_token.expose()).collect::<Vec<_>>(),
        [text(&third)]
    );
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn what_another_process_could_not_store_yet_is_no_older_for_it() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let first = session.cached().unwrap();
    // The refresh token in the store is spent; the other process has the new one and cannot store it.
    let other = world.client().session();
    world.store.fail_saves(usize::MAX);
    soon(other.refresh()).await.unwrap();
    world.store.fail_saves(0);
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&first));
    other.close().await;
    assert!(other.persist_error().is_none());
    soon(session.token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_login_that_cannot_be_read_keeps_no_token_alive() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("logins");
    let world = World::over(FileStore::new(&place), |builder| builder);
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    let mut files = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap();
    std::fs::write(&file, b"{\"half\": ").unwrap();
    soon(session.revoke()).await.unwrap();
    assert!(!world.is_live(&token));
    assert!(session.cached().is_none());
    assert!(session.token().await.is_err());
}

#[tokio::test]
async fn a_server_that_revokes_the_refresh_token_along_ends_the_login() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    soon(session.revoke()).await.unwrap();
    // RFC 7009 §2.1 allows it.
    world.server.revoke_all_logins();
    let error = soon(session.token()).await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::Ended(_))), "{error}");
}

#[tokio::test]
async fn without_a_refresh_token_somebody_has_to_log_in_again() {
    let world = World::with(|builder| builder.issue_refresh_tokens(false));
    let (_client, session) = world.signed_in().await;
    soon(session.revoke()).await.unwrap();
    let error = soon(session.token()).await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NoRefreshToken)), "{error}");
}

#[tokio::test]
async fn a_revoked_token_is_not_spared() {
    // In the process that saw the failure after the usual wait, in another one at once.
    for (same_process, wait) in [(true, Duration::from_secs(1)), (false, Duration::ZERO)] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.clock.advance(LIFETIME - LEFT);
        // The refresh token may be spent: it is not sent again while the access token lives.
        world.server.fault(Endpoint::Token, Fault::DropBeforeCommit);
        let token = soon(session.token()).await.unwrap();
        let session = if same_process { session } else { world.client().session() };
        world.clock.advance(wait);
        assert_eq!(text(&soon(session.token()).await.unwrap()), text(&token));
        assert_eq!(world.refresh_requests(), 1);

        soon(session.revoke()).await.unwrap();
        assert_ne!(text(&soon(session.token()).await.unwrap()), text(&token));
        assert_eq!(world.refresh_requests(), 2);
        world.assert_sound(&session).await;
    }
}
