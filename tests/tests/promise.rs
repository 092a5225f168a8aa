//! What a user is promised when the pieces are put together: accounts never meet, a login's resources share one refresh
//! token, and ten thousand callers are one request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::collections::HashSet;
use std::sync::Arc;

use jeton_client::{FileStore, MemoryStore, Session, TokenStore};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_tests::person::sign_in;
use jeton_tests::world::World;

/// Both kinds of store, the second in a folder that is gone when the test ends.
fn stores(folder: &tempfile::TempDir) -> [Arc<dyn TokenStore>; 2] {
    [Arc::new(MemoryStore::new()), Arc::new(FileStore::new(folder.path().join("logins")))]
}

/// Whom the API sees.
async fn seen_at_the_api(world: &World, session: &Session) -> String {
    let answer = session.get(&world.server.resource_url()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    body["sub"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_accounts_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder) {
        // Labels that a file system, a trimming or a folding of case could confuse.
        let labels = [
            "work",
            "Work",
            "work ",
            "",
            "../work",
            "work/x",
            "wo\u{301}rk",
            "w\u{f3}rk",
            "default",
            "work\0",
        ];
        let world = World::with(|server| {
            labels.iter().fold(server, |server, label| server.user(format!("<{label}>"), "x"))
        });
        let client = world.public_client().shared_store(store.clone()).build().unwrap();
        for label in labels {
            world.server.approve_as(&format!("<{label}>"));
            sign_in(&world.server, &client.account(label)).await.unwrap();
        }
        let mut expected: Vec<&str> = labels.into();
        expected.sort_unstable();
        assert_eq!(client.accounts().await.unwrap(), expected);

        // All of them at once over several expiries, also by a client that has just been started.
        for expiry in 1..=3 {
            world.pass_an_expiry();
            let other_run = world.public_client().shared_store(store.clone()).build().unwrap();
            let world = Arc::new(&world);
            let calls = labels
                .into_iter()
                .flat_map(|label| [client.account(label), other_run.account(label)])
                .map(|session| {
                    let world = world.clone();
                    async move {
                        let label = session.key().account().to_owned();
                        assert_eq!(seen_at_the_api(&world, &session).await, format!("<{label}>"));
                    }
                });
            futures_util::future::join_all(calls).await;
            assert_eq!(world.requests_of("refresh_token"), expiry * labels.len() as u64);
        }
        assert_eq!(world.server.stats().refresh_reuses_detected, 0);

        // The end of one is nobody else's.
        client.account("work").log_out().await.unwrap();
        assert!(client.account("work").token().await.unwrap_err().is_login_required());
        for label in &labels[1..] {
            assert_eq!(seen_at_the_api(&world, &client.account(*label)).await, format!("<{label}>"));
        }
        assert_eq!(world.server.live_logins(), labels.len() - 1);
    }
}

#[tokio::test]
async fn logins_of_two_servers_and_two_clients_in_one_store_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder) {
        let (here, there) = (World::new(), World::new());
        let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
        let sessions = [
            (&here, here.public_client().shared_store(store.clone()).build().unwrap().session()),
            (&there, there.public_client().shared_store(store.clone()).build().unwrap().session()),
            (
                &here,
                here.client(id).client_secret(secret).shared_store(store.clone()).build().unwrap().session(),
            ),
        ];
        for (world, session) in &sessions {
            assert!(
                session.token().await.unwrap_err().is_login_required(),
                "nobody finds another one's login"
            );
            sign_in(&world.server, session).await.unwrap();
        }
        for _ in 0..2 {
            here.pass_an_expiry();
            there.pass_an_expiry();
            for (world, session) in &sessions {
                assert!(world.server.is_access_token_live(session.token().await.unwrap().secret().expose()));
            }
        }
        // No server has seen a token of the other one's.
        let sent = |world: &World| -> HashSet<String> {
            world
                .token_requests()
                .iter()
                .filter_map(|request| request.form_value("refresh_token").map(str::to_owned))
                .collect()
        };
        assert_eq!((sent(&here).len(), sent(&there).len()), (4, 2));
        assert!(sent(&here).is_disjoint(&sent(&there)));
        for world in [&here, &there] {
            assert_eq!(world.server.stats().refresh_reuses_detected, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_resources_of_one_login_share_its_refresh_token() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder) {
        let world = World::new();
        let (first, second) = (world.server.resource_identifier(), world.server.second_resource_identifier());
        let client =
            world.public_client().resource(&first).resource(&second).shared_store(store).build().unwrap();
        let login = client.session();
        sign_in(&world.server, &login).await.unwrap();
        let sessions = [
            (login.for_resource(&first), world.server.resource_url(), world.server.second_resource_url()),
            (login.for_resource(&second), world.server.second_resource_url(), world.server.resource_url()),
        ];
        for _ in 0..3 {
            world.pass_an_expiry();
            let tokens =
                futures_util::future::join_all(sessions.iter().map(|(session, ..)| session.token())).await;
            let tokens: HashSet<String> =
                tokens.into_iter().map(|token| token.unwrap().secret().expose().to_owned()).collect();
            assert_eq!(tokens.len(), 2, "a token for each");
            for (session, own, _) in &sessions {
                assert_eq!(session.get(own).send().await.unwrap().status(), 200);
            }
        }
        let stats = world.server.stats();
        assert_eq!(stats.grant("refresh_token").successes, 6);
        assert_eq!((stats.refresh_reuses_detected, stats.api_unauthorized), (0, 0));
        assert_eq!(world.server.live_logins(), 1);

        // What is for the one is not taken by the other.
        let (session, _, other) = &sessions[0];
        assert_eq!(session.get(other).send().await.unwrap().status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_callers_are_one_request() {
    let world = World::new();
    let session = world.public_client().build().unwrap().session();
    sign_in(&world.server, &session).await.unwrap();
    world.pass_an_expiry();
    world.server.fault(Endpoint::Token, Fault::Gate);
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.token().await.unwrap().secret().expose().to_owned() })
        })
        .collect();
    world.server.wait_until_held(1).await;
    world.server.open_gate();
    let mut tokens = HashSet::new();
    for caller in callers {
        tokens.insert(caller.await.unwrap());
    }
    assert_eq!(tokens.len(), 1);
    assert_eq!(world.requests_of("refresh_token"), 1);
}
