//! Logins and how they stay apart: accounts, resources, grants without a person, what a program brings itself, damaged files,
//! logging out.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::{EventLog, LIFETIME, REDIRECT, World, soon, subject, text};
use jeton_client::{
    AuthorizationCode, Client, ClientCredentials, Error, ExtraParameters, GrantError, LoginRequired,
    PendingLogin, Recovery, Scope, Secret, StoreError, Token,
};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_models::TokenType;
use jeton_storage::FileStore;

// ----- Accounts and resources ------------------------------------------------------------------------------------------

#[tokio::test]
async fn two_accounts_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(FileStore::new(folder.path().join("logins")), |builder| builder);
    let client = world.client();
    let (home, work) = (client.account("home"), client.account("work"));
    world.log_in(&home).await;
    world.server.approve_as("bob");
    world.log_in(&work).await;
    let url = world.server.resource_url();
    for round in 1..=3 {
        assert_eq!(subject(&home, &url).await, "alice");
        assert_eq!(subject(&work, &url).await, "bob");
        // Each in its own time, and both at once.
        world.expire();
        if round == 2 {
            let (a, b) = tokio::join!(home.token(), work.token());
            assert_ne!(text(&a.unwrap()), text(&b.unwrap()));
        }
    }
    world.assert_sound(&home).await;
    world.assert_sound(&work).await;
    assert_ne!(world.stored_refresh_token(&home).await, world.stored_refresh_token(&work).await);
    assert!(
        client.session().token().await.unwrap_err().is_login_required(),
        "the default account is a third one"
    );

    let mut accounts = client.accounts().await.unwrap();
    accounts.sort();
    assert_eq!(accounts, ["home", "work"]);
    // One account's end is not the other's.
    home.log_out().await.unwrap();
    assert_eq!(client.accounts().await.unwrap(), ["work"]);
    assert_eq!(subject(&work, &url).await, "bob");
    assert!(home.token().await.unwrap_err().is_login_required());
}

#[tokio::test]
async fn accounts_are_those_of_this_client_alone_and_odd_names_are_names() {
    let world = World::new();
    let client = world.client();
    for account in ["", "../../etc/passwd", "ünï\u{0}code\n", "A", "a"] {
        world.log_in(&client.account(account)).await;
    }
    let service = world
        .builder_of(DevServer::SERVICE_CLIENT.0)
        .client_secret(DevServer::SERVICE_CLIENT.1)
        .grant(ClientCredentials)
        .build()
        .unwrap();
    service.account("service").token().await.unwrap();
    let accounts: HashSet<_> = client.accounts().await.unwrap().into_iter().collect();
    assert_eq!(accounts, ["", "../../etc/passwd", "ünï\u{0}code\n", "A", "a"].map(str::to_owned).into());
    assert_eq!(service.accounts().await.unwrap(), ["service"]);
}

#[tokio::test]
async fn two_resources_of_one_login_share_its_one_refresh_token() {
    let world = World::new();
    let (one, two) = (world.server.resource_identifier(), world.server.second_resource_identifier());
    let client = world.builder().resource(&one).resource(&two).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let (first, second) = (session.for_resource(&one), session.for_resource(&two));
    let (one_url, two_url) = (world.server.resource_url(), world.server.second_resource_url());

    for _ in 0..3 {
        assert_eq!(subject(&first, &one_url).await, "alice");
        assert_eq!(subject(&second, &two_url).await, "alice");
        assert_ne!(text(&first.token().await.unwrap()), text(&second.token().await.unwrap()));
        // Each token is for its resource alone.
        let status = first.get(&two_url).send().await.unwrap().status();
        assert_eq!(status, 401);
        world.expire();
        // Both at once: one after the other, never with the same refresh token.
        let (a, b) = soon(async { tokio::join!(first.token(), second.token()) }).await;
        a.unwrap();
        b.unwrap();
    }
    let record = world.stored(&session).await.unwrap();
    assert_eq!(record.tokens.len(), 3, "the default one and one for each resource");
    world.assert_sound(&session).await;
    // A later run finds each.
    let requests = world.refresh_requests();
    let later = world.builder().resource(&one).resource(&two).build().unwrap();
    assert_eq!(
        text(&later.session().for_resource(&two).token().await.unwrap()),
        text(&second.token().await.unwrap())
    );
    assert_eq!(world.refresh_requests(), requests);
}

#[tokio::test]
async fn sessions_of_one_account_are_one_login() {
    let world = World::new();
    let (client, session) = world.signed_in().await;
    world.expire();
    let token = client.session().token().await.unwrap();
    assert_eq!(text(&session.cached().unwrap()), text(&token));
    let narrower = session.with_scope("read".parse::<Scope>().unwrap());
    assert_ne!(text(&narrower.token().await.unwrap()), text(&token));
    assert_eq!(
        text(&session.with_scope("read".parse().unwrap()).cached().unwrap()),
        text(&narrower.cached().unwrap())
    );
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_new_login_leaves_nothing_of_the_old_one_in_any_resource() {
    let world = World::new();
    let client = world.builder().resource(world.server.resource_identifier()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let api = session.for_resource(world.server.resource_identifier());
    let url = world.server.resource_url();
    assert_eq!(subject(&api, &url).await, "alice");
    world.server.approve_as("bob");
    world.log_in(&session).await;
    assert_eq!(subject(&api, &url).await, "bob");
    assert_eq!(subject(&session, &url).await, "bob");
}

// ----- Grants ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn client_credentials_are_refreshed_by_a_new_request() {
    let world = World::new();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client =
        world.builder_of(id).client_secret(secret).grant(ClientCredentials).scope("read").build().unwrap();
    let session = client.session();
    let first = session.token().await.unwrap();
    world.expire();
    // RFC 6749 §4.4.3: a server should send no refresh token. One that does is not asked with it.
    world.server.fault(Endpoint::Token, Fault::set("refresh_token", "unwanted"));
    let second = session.token().await.unwrap();
    assert_ne!(text(&first), text(&second));
    assert!(world.stored(&session).await.unwrap().refresh_token.is_none());
    world.expire();
    session.token().await.unwrap();
    assert_eq!(world.server.stats().grant("client_credentials").requests, 3);
    assert_eq!(world.refresh_requests(), 0);

    // Another configuration of the same client that shares the store is not served a token of another scope.
    let wider = world
        .builder_of(id)
        .client_secret(secret)
        .grant(ClientCredentials)
        .scope("read write")
        .build()
        .unwrap();
    assert_eq!(wider.session().token().await.unwrap().scope().unwrap().to_string(), "read write");
    assert_eq!(session.token().await.unwrap().scope().unwrap().to_string(), "read");
    // A later run finds both.
    let requests = world.server.stats().grant("client_credentials").requests;
    wider.session().token().await.unwrap();
    assert_eq!(world.server.stats().grant("client_credentials").requests, requests);
}

#[tokio::test]
async fn what_a_person_would_have_to_do_is_never_begun_by_token() {
    let world = World::new();
    let client = world.builder().build().unwrap();
    let error = client.session().token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NeverLoggedIn)), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(world.server.requests().is_empty(), "nothing was sent");
    assert!(
        matches!(client.session().log_in().await, Err(Error::Configuration(_))),
        "no grant to log in with"
    );
}

#[tokio::test]
async fn without_a_refresh_token_the_login_is_over_with_its_token() {
    let world = World::with(|builder| builder.issue_refresh_tokens(false));
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    world.clock.advance(LIFETIME - Duration::from_secs(10));
    // In the margin it still lives, and nothing better can be had.
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    let error = session.refresh().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NoRefreshToken)), "{error}");
    world.clock.advance(Duration::from_secs(10));
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::LoginRequired(LoginRequired::NoRefreshToken)), "{error}");
    assert_eq!(world.refresh_requests(), 0);
}

#[tokio::test]
async fn tokens_that_the_program_has_already_can_be_adopted() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    let refresh_token = world.stored_refresh_token(&session).await;
    let cached = session.cached().unwrap();

    let other_client = world.builder().scope("read").build().unwrap();
    let adopting = other_client.account("adopted");
    let mut token: Token = cached.to_token();
    assert!(token.refresh_token.is_none(), "what a caller gets does not know the refresh token");
    token.refresh_token = Some(Secret::from(refresh_token));
    let adopted = adopting.adopt(token).await.unwrap();
    assert_eq!(text(&adopted), text(&cached));
    assert_eq!(adopted.expires_at(), cached.expires_at());
    assert_eq!(subject(&adopting, &world.server.resource_url()).await, "alice");
    world.expire();
    adopting.token().await.unwrap();
    world.assert_sound(&adopting).await;

    // One that cannot be sent replaces nothing.
    let mut no_access_token = Token::new(Secret::from("an ID-JAG"));
    no_access_token.token_type = TokenType::NotApplicable;
    let error = adopting.adopt(no_access_token).await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("N_A")), "{error}");
    let error = adopting.adopt(Token::new(Secret::from("two\nlines"))).await.unwrap_err();
    assert!(matches!(error, Error::Configuration(_)) && !error.to_string().contains("two"), "{error}");
    let error = adopting.adopt(Token::new(Secret::from(""))).await.unwrap_err();
    assert!(matches!(error, Error::Configuration(_)), "{error}");
    world.assert_sound(&adopting).await;
}

// ----- A login in two halves -------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_login_begun_by_one_client_is_finished_by_another_and_works_once() {
    let world = World::new();
    let (url, pending) = {
        let beginning = world.client();
        beginning.session().begin_log_in(REDIRECT).await.unwrap()
    };
    let json = serde_json::to_string(&pending).unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap().parse().unwrap();

    let finishing = world.client();
    let session = finishing.session();
    let again: PendingLogin = serde_json::from_str(&json).unwrap();
    let token = session.finish_log_in(serde_json::from_str(&json).unwrap(), &redirected).await.unwrap();
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    let requests = world.server.stats().requests_to(Endpoint::Token);
    let error = session.finish_log_in(again, &redirected).await.unwrap_err();
    assert!(
        matches!(&error, Error::Grant(error) if matches!(**error, GrantError::PendingLoginUsed)),
        "{error}"
    );
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), requests, "no code is sent twice");
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn a_pending_login_is_for_one_account_and_a_foreign_url_does_not_use_it_up() {
    let world = World::new();
    let client = world.client();
    let (alice, bob) = (client.account("alice"), client.account("bob"));
    let (url, pending) = alice.begin_log_in(REDIRECT).await.unwrap();
    let json = serde_json::to_string(&pending).unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap().parse().unwrap();

    let error = bob.finish_log_in(pending, &redirected).await.unwrap_err();
    assert!(error.to_string().contains("begun for the account \"alice\""), "{error}");
    assert!(bob.token().await.unwrap_err().is_login_required());

    // Somebody sends the browser along with a code of their own.
    let foreign = format!("{REDIRECT}?code=theirs&state=guessed").parse().unwrap();
    let error = alice.finish_log_in(serde_json::from_str(&json).unwrap(), &foreign).await.unwrap_err();
    assert!(error.to_string().contains("state"), "{error}");
    alice.finish_log_in(serde_json::from_str(&json).unwrap(), &redirected).await.unwrap();
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_pending_login_expires() {
    let world = World::new();
    let client = world.builder().login_timeout(Duration::from_secs(60)).build().unwrap();
    let session = client.session();
    let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
    world.clock.advance(Duration::from_secs(60));
    let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
    assert!(
        matches!(&error, Error::Grant(error) if matches!(**error, GrantError::PendingLoginExpired)),
        "{error}"
    );
    assert_eq!(world.server.stats().requests_to(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_caller_dropped_while_a_login_is_finished_loses_nothing() {
    let world = World::new();
    let client = world.client();
    let session = client.session();
    let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    let redirected = world.server.authorize(url.as_str()).unwrap().parse().unwrap();
    world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.finish_log_in(pending, &redirected).await }
    });
    soon(world.server.wait_until_held(1)).await;
    caller.abort();
    drop(caller.await);
    world.server.open_gate();
    soon(session.close()).await;
    session.token().await.unwrap();
    world.assert_sound(&session).await;
}

// ----- Damage, log-out -------------------------------------------------------------------------------------------------

fn files(folder: &std::path::Path, part: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(part)).collect()
}

#[tokio::test]
async fn a_damaged_login_is_an_error_until_somebody_logs_in_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("logins");
    let world = World::over(FileStore::new(&place), |builder| builder);
    {
        let (_client, _session) = world.signed_in().await;
    }
    let data = files(&place, ".json").remove(0);
    std::fs::write(&data, b"{\"half\": ").unwrap();

    let client = world.client();
    let session = client.session();
    for _ in 0..3 {
        let error = session.token().await.unwrap_err();
        assert!(
            matches!(&error, Error::Store(error) if matches!(**error, StoreError::Damaged { .. })),
            "{error}"
        );
        assert_eq!(error.recovery(), Recovery::LogIn);
        assert!(session.refresh().await.is_err());
    }
    assert_eq!(world.refresh_requests(), 0);
    assert!(client.accounts().await.unwrap().is_empty());

    world.log_in(&session).await;
    world.expire();
    session.token().await.unwrap();
    world.assert_sound(&session).await;
    let kept = files(&place, ".damaged");
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), b"{\"half\": ");
}

#[tokio::test]
async fn a_login_damaged_while_the_session_lives_serves_its_token_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("logins");
    let world = World::over(FileStore::new(&place), |builder| builder);
    let (_client, session) = world.signed_in().await;
    let token = session.cached().unwrap();
    std::fs::write(files(&place, ".json").remove(0), b"").unwrap();
    world.clock.advance(LIFETIME - Duration::from_secs(10));
    assert_eq!(text(&session.token().await.unwrap()), text(&token));
    world.clock.advance(Duration::from_secs(10));
    assert!(matches!(session.token().await, Err(Error::Store(_))));
    assert_eq!(world.refresh_requests(), 0);
    session.log_out().await.unwrap();
    assert!(matches!(session.token().await, Err(Error::LoginRequired(LoginRequired::LoggedOut))));
}

#[tokio::test]
async fn logging_out_revokes_and_forgets() {
    let world = World::new();
    let events = EventLog::default();
    let client = world.builder().on_event(events.listener()).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    let refresh_token = world.stored_refresh_token(&session).await;
    let outcome = session.log_out().await.unwrap();
    assert!(outcome.revocation_error.is_none());
    assert!(!world.server.is_refresh_token_live(&refresh_token));
    assert!(world.stored(&session).await.is_none());
    assert!(session.cached().is_none());
    assert_eq!(events.all(), ["LoggedIn", "LoggedOut"]);
    // Again: there is nothing to do, and that is no error.
    session.log_out().await.unwrap();
    // The refresh token and the access token.
    assert_eq!(world.server.stats().requests_to(Endpoint::Revocation), 2);
}

#[tokio::test]
async fn logging_out_forgets_also_where_revoking_fails_and_says_so() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.server.fault(Endpoint::Revocation, Fault::unavailable(Some("5")));
    let outcome = session.log_out().await.unwrap();
    let error = outcome.revocation_error.unwrap();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(Duration::from_secs(5)) }, "{error}");
    assert!(world.stored(&session).await.is_none());
    assert!(session.token().await.unwrap_err().is_login_required());
}

#[tokio::test]
async fn logging_out_revokes_the_newest_token_also_if_it_could_not_be_stored() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.store.fail_saves(usize::MAX);
    session.token().await.unwrap();
    world.store.fail_saves(0);
    session.log_out().await.unwrap();
    assert_eq!(world.server.live_logins(), 0);
    assert_eq!(world.server.stats().refresh_reuses_detected, 0);
    assert!(world.stored(&session).await.is_none());
    assert!(session.persist_error().is_none());
    assert!(session.token().await.unwrap_err().is_login_required(), "it does not come back");
}

#[tokio::test]
async fn logging_out_waits_for_the_refresh_under_way() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    let leases = world.store.faults.leases.load(std::sync::atomic::Ordering::SeqCst);
    let leaving = tokio::spawn({
        let session = session.clone();
        async move { session.log_out().await }
    });
    soon(async {
        while world.store.faults.leases.load(std::sync::atomic::Ordering::SeqCst) == leases {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    drop(soon(caller).await.unwrap());
    assert!(soon(leaving).await.unwrap().unwrap().revocation_error.is_none());
    assert_eq!(world.server.live_logins(), 0, "the rotated token was the one that was revoked");
    assert!(session.cached().is_none());
    assert!(world.stored(&session).await.is_none());
}

// ----- Configuration ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn strict_turns_leniencies_into_errors_and_changes_nothing_else() {
    for (strict, works) in [(false, true), (true, false)] {
        let world = World::new();
        let client = world.builder().strict(strict).build().unwrap();
        let session = client.session();
        world.log_in(&session).await;
        world.expire();
        world.server.fault(Endpoint::Token, Fault::set("expires_in", "3600"));
        match session.token().await {
            Ok(token) => {
                assert!(works);
                assert_eq!(token.warnings().len(), 1);
                // Also in a later run.
                assert_eq!(world.client().session().token().await.unwrap().warnings().len(), 1);
            }
            Err(error) => assert!(!works && !error.is_login_required(), "{error}"),
        }
    }
}

#[tokio::test]
async fn extra_parameters_of_one_kind_of_request_do_not_leak_into_another() {
    let world = World::new();
    let mut extra = ExtraParameters::default();
    extra.authorization.append("audience", "for-authorization").unwrap();
    extra.token.append("audience", "for-token").unwrap();
    extra.refresh.append("audience", "for-refresh").unwrap();
    extra.device_authorization.append("audience", "for-device").unwrap();
    let client = world.builder().extra_parameters(extra).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    session.token().await.unwrap();
    session.log_out().await.unwrap();
    let seen: Vec<_> = world
        .server
        .requests()
        .into_iter()
        .map(|request| {
            let all = request.query.into_iter().chain(request.form);
            all.filter(|(name, _)| name == "audience").map(|(_, value)| value).collect::<Vec<_>>()
        })
        .filter(|seen| !seen.is_empty())
        .collect();
    assert_eq!(seen, [vec!["for-authorization"], vec!["for-token"], vec!["for-refresh"]]);
}

#[tokio::test]
async fn discovery_that_fails_at_a_login_is_tried_again_at_the_next() {
    let world = World::new();
    let client: Client = world.client();
    let session = client.session();
    for endpoint in [Endpoint::Metadata, Endpoint::OpenIdConfiguration] {
        world.server.fault_always(endpoint, Fault::unavailable(None));
    }
    let error = session.begin_log_in(REDIRECT).await.unwrap_err();
    assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{error}");
    assert!(client.metadata().await.is_err());
    world.server.clear_faults();
    world.log_in(&session).await;
    let found = world.server.stats().requests_to(Endpoint::Metadata);
    client.metadata().await.unwrap();
    world.expire();
    session.token().await.unwrap();
    assert_eq!(world.server.stats().requests_to(Endpoint::Metadata), found, "found once, kept");
}

#[tokio::test]
async fn a_login_by_a_person_is_asked_for_only_when_it_can_be_kept() {
    let world = World::new();
    let client =
        world.builder().grant(AuthorizationCode::new(jeton_client::PastedRedirect::new(REDIRECT))).build();
    let client = client.unwrap();
    world.store.faults.failing_reserves.store(1, std::sync::atomic::Ordering::SeqCst);
    let error = client.session().log_in().await.unwrap_err();
    assert!(
        matches!(&error, Error::Store(error) if matches!(**error, StoreError::NoSpace { .. })),
        "{error}"
    );
    assert!(world.server.requests().is_empty());
    // Nobody to ask: said so, nothing hangs, the lease is free.
    let error = soon(client.session().log_in()).await.unwrap_err();
    assert!(matches!(error, Error::Grant(_)), "{error}");
    world.store.inner.lease(client.session().key(), Duration::ZERO).await.unwrap();
}
