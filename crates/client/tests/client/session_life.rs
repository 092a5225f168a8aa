//! The life of a token, rules 1, 2 and 6: a refresh under way comes to its end whatever becomes of the callers, the decision
//! is taken under the lease, and one expiry costs one request.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{FlakyStore, LIFETIME, LONG, Step, World, log_in, soon, text};
use async_trait::async_trait;
use jeton_client::{
    AccessToken, Client, ClientCredentials, Error, EventKind, Grant, GrantError, HttpOptions, Limits,
    MemoryStore, ReqwestTransport, Session, Transport,
};
use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::bytes::Bytes;
use jeton_grants::{GrantContext, TransportError, http};
use jeton_models::{GrantType, Secret, Token, TokenResponse};
use jeton_storage::{FileStore, StoredToken};

/// The server has rotated the refresh token already, and the answer waits at the gate.
fn held_answer() -> Fault {
    Fault::Sequence(vec![Fault::Commit, Fault::Gate])
}

// ----- Rule 1 ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn rule1_a_caller_dropped_mid_refresh_loses_nothing() {
    for fault in [Fault::Gate, held_answer()] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        let old = text(&session.cached().unwrap());
        world.expire();
        world.server.fault(Endpoint::Token, fault);

        let caller = tokio::spawn({
            let session = session.clone();
            async move { session.token().await }
        });
        soon(world.server.wait_until_held(1)).await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        world.server.open_gate();
        soon(session.close()).await;

        let token = session.cached().expect("the refresh came to its end");
        assert_ne!(text(&token), old);
        assert_eq!(text(&session.token().await.unwrap()), text(&token));
        assert_eq!(world.refresh_requests(), 1);
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule1_a_caller_that_times_out_and_comes_again_joins_the_same_refresh() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, held_answer());

    let gave_up = tokio::time::timeout(Duration::from_millis(20), session.token()).await;
    assert!(gave_up.is_err());
    soon(world.server.wait_until_held(1)).await;
    let again = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    world.server.open_gate();
    soon(again).await.unwrap().unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[test]
fn rule1_the_callers_runtime_ended_mid_refresh_and_nothing_is_lost() {
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_client, session) = runtime.block_on(world.signed_in());
    world.expire();
    world.server.fault(Endpoint::Token, held_answer());

    runtime.spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    assert!(world.server.wait_until_held_blocking(1, LONG));
    runtime.shutdown_background();
    world.server.open_gate();

    let another = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    another.block_on(async {
        soon(session.close()).await;
        let token = session.cached().expect("the refresh came to its end");
        assert_eq!(text(&session.token().await.unwrap()), text(&token));
        world.assert_sound(&session).await;
    });
    assert_eq!(world.refresh_requests(), 1);
}

#[test]
fn rule1_the_last_session_to_go_waits_for_the_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(FileStore::new(folder.path().join("logins")), |builder| builder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (client, session) = runtime.block_on(world.signed_in());
    world.expire();
    world.server.fault(Endpoint::Token, held_answer());
    runtime.spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    assert!(world.server.wait_until_held_blocking(1, LONG));
    // Returns when the caller's future, and the session in it, are gone.
    drop(runtime);

    let (sender, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        drop((session, client));
        sender.send(()).unwrap();
    });
    // A sign of waiting that could only ever fail to show a defect, never make up one.
    assert!(
        dropped.recv_timeout(Duration::from_millis(50)).is_err(),
        "the session went before the refresh was stored"
    );
    world.server.open_gate();
    dropped.recv_timeout(LONG).expect("the last session goes when the refresh is stored");

    // What a process would find that starts at this very moment.
    let session = world.client().session();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        session.token().await.unwrap();
        world.assert_sound(&session).await;
    });
    assert_eq!(world.refresh_requests(), 1);
}

#[tokio::test]
async fn rule1_the_wait_is_bounded_and_the_refresh_goes_on() {
    let world = World::new();
    let client = world.builder().close_timeout(Duration::from_millis(20)).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.server.fault(Endpoint::Token, held_answer());
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    caller.abort();
    drop(caller.await);

    soon(session.close()).await;
    drop((session, client));
    assert_eq!(world.refresh_requests(), 1, "still at the gate");
    world.server.open_gate();

    // Another client waits for the lease, and adopts.
    let session = world.client().session();
    soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule1_a_session_that_is_not_the_last_one_goes_at_once() {
    let world = World::new();
    let client = world.builder().close_timeout(LONG).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::Gate);
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;

    // As a web application does for each request. If it waited, it would wait for the gate that is opened below.
    let before = Instant::now();
    drop(client.session());
    assert!(before.elapsed() < LONG / 2);
    world.server.open_gate();
    soon(caller).await.unwrap().unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn rule1_the_last_session_dropped_inside_a_current_thread_runtime_does_not_deadlock() {
    let world = Arc::new(World::new());
    let client = world.builder().close_timeout(LONG).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    world.server.fault(Endpoint::Token, held_answer());
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    caller.abort();
    drop(caller.await);

    let opener = std::thread::spawn({
        let world = world.clone();
        move || world.server.open_gate()
    });
    let before = Instant::now();
    drop((session, client));
    assert!(before.elapsed() < LONG / 2, "it waited for something that could not happen");
    opener.join().unwrap();
    let session = world.client().session();
    soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule1_a_session_dropped_by_a_listener_does_not_block_jetons_own_thread() {
    let world = World::new();
    let own: Arc<std::sync::Mutex<Option<Session>>> = Arc::default();
    let client = world
        .builder()
        .close_timeout(LONG)
        .on_event({
            let own = own.clone();
            move |event| {
                if matches!(event.kind, EventKind::Refreshed) {
                    drop(own.lock().unwrap().take());
                }
            }
        })
        .build()
        .unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    let before = Instant::now();
    let other = client.session();
    *own.lock().unwrap() = Some(session);
    soon(other.token()).await.unwrap();
    assert!(before.elapsed() < LONG / 2);
}

/// Panics at the next request, if told to.
struct PanickingTransport {
    inner: ReqwestTransport,
    panics: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for PanickingTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the transport panics, as the test wants it");
        self.inner.send(request, limits).await
    }
}

/// Three callers that wait for the same refresh.
async fn three_callers(world: &World, session: &Session) -> Vec<Result<AccessToken, Error>> {
    let (reading, go_on) = world.store.hold_next_load();
    // All three are polled, and so have joined, before the store is let go on.
    let joined = async {
        reading.await.unwrap();
        go_on.send(()).unwrap();
    };
    let (a, b, c, ()) =
        soon(async { tokio::join!(biased; session.token(), session.token(), session.token(), joined) }).await;
    vec![a, b, c]
}

#[tokio::test]
async fn rule1_a_panic_of_the_transport_is_an_error_and_the_next_call_works() {
    let world = World::new();
    let panics = Arc::new(AtomicBool::new(false));
    let inner = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    let client =
        world.builder().transport(PanickingTransport { inner, panics: panics.clone() }).build().unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();

    panics.store(true, Ordering::SeqCst);
    for result in three_callers(&world, &session).await {
        assert!(matches!(result, Err(Error::Panicked)), "{result:?}");
    }
    soon(session.close()).await;
    soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule1_a_panic_of_the_store_is_an_error_and_the_next_call_works() {
    for step in [Step::Load, Step::Lease, Step::LeaseLoad, Step::Reserve] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.expire();
        world.store.panic_once_at(step);
        for result in three_callers(&world, &session).await {
            assert!(matches!(result, Err(Error::Panicked)), "{step:?}: {result:?}");
        }
        soon(session.token()).await.unwrap();
        assert_eq!(world.refresh_requests(), 1, "{step:?}");
        world.assert_sound(&session).await;
    }
}

#[tokio::test]
async fn rule1_a_panic_of_the_store_while_it_saves_does_not_lose_the_rotated_token() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.store.panic_once_at(Step::Save);
    // Whether or not the callers hear of it: the server has rotated, and what it gave must not be lost.
    three_callers(&world, &session).await;
    soon(session.token()).await.unwrap();
    world.expire();
    soon(session.token()).await.unwrap();
    world.assert_sound(&session).await;
}

#[tokio::test]
async fn rule1_a_panic_of_a_listener_hangs_nobody_and_the_token_is_there() {
    let world = World::new();
    let client = world
        .builder()
        .on_event(|event| assert!(!matches!(event.kind, EventKind::Refreshed), "as the test wants it"))
        .build()
        .unwrap();
    let session = client.session();
    world.log_in(&session).await;
    world.expire();
    for result in three_callers(&world, &session).await {
        assert!(matches!(result, Ok(_) | Err(Error::Panicked)), "{result:?}");
    }
    soon(session.token()).await.unwrap();
    assert_eq!(world.refresh_requests(), 1, "the token was stored and published before the listener heard");
    world.assert_sound(&session).await;
}

struct PanickingGrant(AtomicBool);

#[async_trait]
impl Grant for PanickingGrant {
    fn grant_type(&self) -> GrantType {
        GrantType::ClientCredentials
    }
    fn needs_person(&self) -> bool {
        false
    }
    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        assert!(!self.0.swap(false, Ordering::SeqCst), "the grant panics, as the test wants it");
        ClientCredentials.obtain(cx).await
    }
}

#[tokio::test]
async fn rule1_a_panic_of_a_grant_is_an_error_and_the_next_call_works() {
    let world = World::new();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = world
        .builder_of(id)
        .client_secret(secret)
        .grant(PanickingGrant(AtomicBool::new(true)))
        .build()
        .unwrap();
    let session = client.session();
    for result in three_callers(&world, &session).await {
        assert!(matches!(result, Err(Error::Panicked)), "{result:?}");
    }
    soon(session.token()).await.unwrap();

    let client = world
        .builder_of(id)
        .client_secret(secret)
        .grant(PanickingGrant(AtomicBool::new(true)))
        .build()
        .unwrap();
    let session = client.account("by hand");
    assert!(matches!(soon(session.log_in()).await, Err(Error::Panicked)));
    soon(session.log_in()).await.unwrap();
}

// ----- Rules 2 and 6 ---------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule6_ten_thousand_callers_on_an_expired_token_cause_one_request() {
    const CALLERS: usize = 10_000;
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    world.server.fault(Endpoint::Token, Fault::Gate);

    let arrived = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (session, arrived) = (session.clone(), arrived.clone());
            tokio::spawn(async move {
                arrived.fetch_add(1, Ordering::SeqCst);
                session.token().await.map(|token| text(&token))
            })
        })
        .collect();
    soon(world.server.wait_until_held(1)).await;
    soon(async {
        while arrived.load(Ordering::SeqCst) < CALLERS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();

    let mut tokens = HashSet::new();
    for caller in callers {
        tokens.insert(soon(caller).await.unwrap().unwrap());
    }
    assert_eq!(tokens.len(), 1, "all got the same token");
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule6_callers_that_come_while_a_refresh_lands_start_no_other() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    for round in 1..=100 {
        world.expire();
        let callers: Vec<_> = (0..40)
            .map(|caller| {
                let session = session.clone();
                tokio::spawn(async move {
                    // Some at once, some a little later, some just when it lands.
                    for _ in 0..caller * 10 {
                        tokio::task::yield_now().await;
                    }
                    text(&session.token().await.unwrap())
                })
            })
            .collect();
        let mut tokens = HashSet::new();
        for caller in callers {
            tokens.insert(soon(caller).await.unwrap());
        }
        assert_eq!((tokens.len(), world.refresh_requests()), (1, round));
    }
    world.assert_sound(&session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule6_several_clients_over_one_file_store_cause_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(FileStore::new(folder.path().join("logins")), |builder| builder);
    let (_client, first) = world.signed_in().await;
    let clients: Vec<_> = (0..6)
        .map(|_| {
            // Another store object, as another process has.
            let store = FlakyStore::over(FileStore::new(folder.path().join("logins")));
            world.builder().store(store).build().unwrap()
        })
        .collect();
    let sessions: Vec<_> = clients.iter().map(Client::session).collect();
    for session in &sessions {
        assert_eq!(text(&session.token().await.unwrap()), text(&first.cached().unwrap()));
    }
    for round in 1..=3 {
        world.expire();
        let callers = sessions.iter().chain([&first]).map(|session| {
            let session = session.clone();
            tokio::spawn(async move { text(&session.token().await.unwrap()) })
        });
        let mut tokens = HashSet::new();
        for caller in callers.collect::<Vec<_>>() {
            tokens.insert(soon(caller).await.unwrap());
        }
        assert_eq!((tokens.len(), world.refresh_requests()), (1, round));
    }
    world.assert_sound(&first).await;
}

#[tokio::test]
async fn rule2_who_waited_for_the_lease_adopts_and_asks_nobody() {
    let world = World::new();
    let (_client, first) = world.signed_in().await;
    let other_client = world.client();
    let second = other_client.session();
    second.token().await.unwrap();
    world.expire();
    world.server.fault(Endpoint::Token, Fault::Gate);
    let leases = world.store.faults.leases.load(Ordering::SeqCst);

    let a = tokio::spawn({
        let first = first.clone();
        async move { first.token().await }
    });
    soon(world.server.wait_until_held(1)).await;
    let b = tokio::spawn({
        let second = second.clone();
        async move { second.token().await }
    });
    // The second one has looked into the store, found nothing new, and waits for the lease.
    soon(async {
        while world.store.faults.leases.load(Ordering::SeqCst) < leases + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.server.open_gate();
    let (a, b) = (soon(a).await.unwrap().unwrap(), soon(b).await.unwrap().unwrap());
    assert_eq!(text(&a), text(&b));
    assert_eq!(world.refresh_requests(), 1);
    world.assert_sound(&first).await;
}

#[tokio::test]
async fn rule6_sequential_adopters_make_no_request_and_take_no_lease() {
    let world = World::new();
    let (_client, first) = world.signed_in().await;
    let clients: Vec<_> = (0..5).map(|_| world.client()).collect();
    let sessions: Vec<_> = clients.iter().map(Client::session).collect();
    for session in &sessions {
        session.token().await.unwrap();
    }
    world.expire();
    let token = first.token().await.unwrap();
    let leases = world.store.faults.leases.load(Ordering::SeqCst);
    for session in &sessions {
        assert_eq!(text(&session.token().await.unwrap()), text(&token));
        // An explicit refresh on the old one would do as well.
    }
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(world.store.faults.leases.load(Ordering::SeqCst), leases);
}

#[tokio::test]
async fn rule6_an_explicit_refresh_takes_what_another_process_got_meanwhile() {
    let world = World::new();
    let (_client, first) = world.signed_in().await;
    let other_client = world.client();
    let second = other_client.session();
    second.token().await.unwrap();
    let token = first.refresh().await.unwrap();
    assert_eq!(text(&second.refresh().await.unwrap()), text(&token));
    assert_eq!(world.refresh_requests(), 1);
    assert_ne!(
        text(&second.refresh().await.unwrap()),
        text(&token),
        "now it is the newest one that is not wanted"
    );
    assert_eq!(world.refresh_requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule6_ten_thousand_callers_while_the_server_is_down_cause_one_request() {
    const CALLERS: usize = 10_000;
    // While the token still lives (inside the margin), and after it expired.
    for (left, served) in [(Duration::from_secs(20), true), (Duration::ZERO, false)] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.clock.advance(LIFETIME - left);
        world
            .server
            .fault_always(Endpoint::Token, Fault::Sequence(vec![Fault::Gate, Fault::unavailable(None)]));
        let arrived = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (session, arrived) = (session.clone(), arrived.clone());
                tokio::spawn(async move {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    session.token().await.is_ok()
                })
            })
            .collect();
        soon(world.server.wait_until_held(1)).await;
        soon(async {
            while arrived.load(Ordering::SeqCst) < CALLERS {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let loads = world.store.faults.loads.load(Ordering::SeqCst);
        world.server.open_gate();
        for caller in callers {
            assert_eq!(soon(caller).await.unwrap(), served);
        }
        assert_eq!(world.refresh_requests(), 1);
        let loads = world.store.faults.loads.load(Ordering::SeqCst) - loads;
        assert!(loads < 100, "each caller tried for itself: {loads}");
    }
}

#[tokio::test]
async fn rule2_a_token_in_a_memory_store_is_shared_by_clients_that_share_the_store() {
    let server = DevServer::start().unwrap();
    let store = MemoryStore::new();
    let client = |store: MemoryStore| {
        Client::builder(DevServer::PUBLIC_CLIENT).issuer(server.issuer()).store(store).build().unwrap()
    };
    let first = client(store.clone()).session();
    let token = log_in(&server, &first).await;
    assert_eq!(text(&client(store).session().token().await.unwrap()), text(&token));
    assert!(client(MemoryStore::new()).session().token().await.unwrap_err().is_login_required());
    assert_eq!(LIFETIME, Duration::from_secs(3600));
}

#[tokio::test]
async fn rule2_whoever_waits_for_the_lease_adopts_what_its_holder_has_stored() {
    let world = World::new();
    let (_client, session) = world.signed_in().await;
    world.expire();
    // Another process: it has the lease, stores a new token, and keeps the lease.
    let mut lease = world.store.inner.lease(session.key(), Duration::from_secs(5)).await.unwrap();
    let leases = || world.store.faults.leases.load(Ordering::SeqCst);
    let before = leases();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    soon(async {
        while leases() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut record = lease.load().await.unwrap().unwrap();
    let mut token = Token::new(Secret::from("stored by the holder"));
    token.expires_in = Some(3600);
    record.set_token(StoredToken::new(&token, record.tokens[0].target.clone(), world.now()));
    record.generation += 1;
    lease.save(&record).await.unwrap();

    assert_eq!(text(&soon(waiting).await.unwrap().unwrap()), "stored by the holder");
    assert_eq!(world.refresh_requests(), 0);
    drop(lease);
    // The wait that was given up holds nothing.
    drop(soon(world.store.inner.lease(session.key(), Duration::from_secs(30))).await.unwrap());
}
