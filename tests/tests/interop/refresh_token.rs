//! Refresh with rotation (RFC 6749 section 6): each refresh token works once, and using one twice ends the login. Access
//! tokens of the client `short_lived` live for three real seconds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jeton_client::{Error, FileStore, LoginRequired, MemoryStore, Secret, Session, TokenStore};
use jeton_grants::ManualClock;
use jeton_storage::LoginStatus;
use jeton_tests::worker::{Command, Setup, Worker};
use tokio::task::JoinSet;

use crate::server::{LEAST_LIFE, SHORT_LIFE, Server, expired_with, stored};
use crate::wire::Wire;

/// The pause between two looks at something that takes its time.
const PAUSE: Duration = Duration::from_millis(25);

/// The longest wait for a few expiries.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many refreshes there may be in that time, if each token is used until it expires.
fn most_refreshes_in(time: Duration) -> u128 {
    1 + time.as_millis() / LEAST_LIFE.as_millis()
}

fn file_store(folder: &tempfile::TempDir) -> FileStore {
    FileStore::new(folder.path().join("logins"))
}

/// The same login in another run of the program.
fn another_run(server: &Server, folder: &tempfile::TempDir) -> (Session, Wire) {
    let wire = Wire::new();
    let builder = server.with_browser("short_lived").0.store(file_store(folder));
    (builder.transport(wire.clone()).build().unwrap().session(), wire)
}

/// Calls the API again and again until that many different access tokens were used.
async fn use_up(server: &Server, session: &Session, tokens: usize) -> Vec<String> {
    let begun = Instant::now();
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < tokens {
        assert!(begun.elapsed() < PATIENCE, "only {} tokens in {PATIENCE:?}", seen.len());
        assert_eq!(server.who_am_i(session).await["sub"], "alice");
        let token = session.token().await.unwrap().secret().fingerprint();
        if seen.last() != Some(&token) {
            seen.push(token);
        }
        tokio::time::sleep(PAUSE).await;
    }
    seen
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_rotates_at_each_expiry_and_survives_restarts() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(file_store(&folder)) as Arc<dyn TokenStore>;
    let begun = Instant::now();
    let (session, wire) = server.signed_in("short_lived", |builder| builder.store(file_store(&folder))).await;
    let before = stored(&store, &session).await.unwrap().generation;
    let lifetime = session.token().await.unwrap().to_token().expires_in;
    assert_eq!(lifetime, Some(SHORT_LIFE.as_secs()));

    let mut refresh_tokens: HashSet<String> = HashSet::new();
    let mut access_tokens: HashSet<String> = HashSet::new();
    let (mut refreshes, mut generation) = (0, before);
    // The first run, then another one, each over a few expiries.
    for (session, wire) in [(session, wire), another_run(&server, &folder)] {
        for _ in 0..3 {
            access_tokens.extend(use_up(&server, &session, 2).await);
            let record = stored(&store, &session).await.unwrap();
            refresh_tokens.insert(record.refresh_token.unwrap().fingerprint());
            generation = record.generation;
        }
        session.close().await;
        let spent: Vec<_> = wire
            .exchanges()
            .into_iter()
            .filter(|exchange| exchange.parameter("refresh_token").is_some())
            .collect();
        assert!(spent.iter().all(|exchange| exchange.status == 200), "{spent:?}");
        refreshes += spent.len();
    }
    assert_eq!(generation - before, refreshes as u64, "each refresh is one step of the login");
    assert!(refreshes as u128 <= most_refreshes_in(begun.elapsed()), "{refreshes} in {:?}", begun.elapsed());
    assert!(access_tokens.len() <= refreshes + 1);
    for (what, different) in [("access", access_tokens.len()), ("refresh", refresh_tokens.len())] {
        assert!(different >= 4, "{different} {what} tokens after {refreshes} refreshes");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_is_spent_once_for_a_hundred_callers() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let (one, one_wire) = server.signed_in("short_lived", |builder| builder.store(file_store(&folder))).await;
    let (other, other_wire) = another_run(&server, &folder);
    let refreshes = || one_wire.token_requests("refresh_token") + other_wire.token_requests("refresh_token");
    other.token().await.unwrap();
    assert_eq!(other_wire.token_requests("authorization_code"), 0, "it found the login");

    for _ in 0..3 {
        let (begun, before) = (Instant::now(), refreshes());
        while one.cached().is_some() || other.cached().is_some() {
            assert!(begun.elapsed() < PATIENCE, "the tokens do not expire");
            tokio::time::sleep(PAUSE).await;
        }
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for session in std::iter::repeat_n([&one, &other], 50).flatten() {
            let session = session.clone();
            callers.spawn(async move { session.token().await.map(|token| token.secret().fingerprint()) });
        }
        let tokens: HashSet<String> = callers.join_all().await.into_iter().map(Result::unwrap).collect();
        let spent = refreshes() - before;
        assert_eq!(tokens.len(), spent);
        // One, unless this machine was so busy that the new token expired, too.
        assert!(spent as u128 <= most_refreshes_in(begun.elapsed()), "{spent} in {:?}", begun.elapsed());
    }
    assert_eq!(server.who_am_i(&one).await["sub"], "alice");
    assert_eq!(server.who_am_i(&other).await["sub"], "alice");
}

/// Another process with the login in the folder.
fn worker(session: &Session, server: &Server, folder: &tempfile::TempDir) -> Worker {
    let setup = Setup {
        issuer: server.issuer.clone(),
        client_id: session.key().client_id().to_owned(),
        account: session.key().account().to_owned(),
        folder: file_store(folder).path().to_owned(),
        lease_timeout_ms: None,
        early_expiry_ms: None,
        dpop: false,
    };
    Worker::start(env!("CARGO_BIN_EXE_worker"), &setup)
}

/// Asks a worker for tokens until it has had that many different ones.
fn tokens_of(worker: &mut Worker, tokens: usize) -> HashSet<String> {
    let begun = Instant::now();
    let mut seen = HashSet::new();
    while seen.len() < tokens {
        assert!(begun.elapsed() < PATIENCE, "only {} tokens in {PATIENCE:?}", seen.len());
        let token = worker.ask(&Command::Token).token();
        seen.insert(Secret::from(token.as_str()).fingerprint());
        std::thread::sleep(PAUSE);
    }
    seen
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_is_shared_by_processes() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(file_store(&folder)) as Arc<dyn TokenStore>;
    let (session, wire) = server.signed_in("short_lived", |builder| builder.store(file_store(&folder))).await;
    let (begun, before) = (Instant::now(), stored(&store, &session).await.unwrap().generation);

    // Two processes and this one, over the same folder. All are running before any goes on.
    let mut workers = [worker(&session, &server, &folder), worker(&session, &server, &folder)];
    workers.iter_mut().for_each(|worker| drop(worker.ask(&Command::Token).token()));
    let theirs = workers.map(|mut worker| tokio::task::spawn_blocking(move || tokens_of(&mut worker, 4)));
    let own: HashSet<String> = use_up(&server, &session, 4).await.into_iter().collect();
    let [one, other] = theirs;
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    session.close().await;

    let record = stored(&store, &session).await.unwrap();
    assert!(record.is_live());
    let refreshes = record.generation - before;
    assert!(refreshes >= 3, "{refreshes}");
    // Had each process refreshed for itself, it would be three times as many.
    assert!(
        u128::from(refreshes) <= most_refreshes_in(begun.elapsed()),
        "{refreshes} in {:?}",
        begun.elapsed()
    );
    assert!(wire.token_requests("refresh_token") as u64 <= refreshes);
    let all: HashSet<&String> = own.iter().chain(&one).chain(&other).collect();
    assert!(all.len() as u64 <= refreshes + 1, "{} tokens after {refreshes} refreshes", all.len());
    for (one, other) in [(&own, &one), (&own, &other), (&one, &other)] {
        assert!(!one.is_disjoint(other), "they use each other's tokens");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_used_twice_ends_the_login_for_everybody() {
    let server = Server::get();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(file_store(&folder)) as Arc<dyn TokenStore>;
    let (session, wire) = server.signed_in("native", |builder| builder.store(file_store(&folder))).await;
    let old = stored(&store, &session).await.unwrap().refresh_token.unwrap();
    let newer = session.refresh().await.unwrap();
    assert_eq!(server.status_of(newer.secret()).await, 200);

    // A thief, or a restored backup, uses the old one.
    let elsewhere = server.elsewhere("native", expired_with(old)).await;
    let error = elsewhere.token().await.unwrap_err();
    assert!(is_ended_by_invalid_grant(&error), "{error:?}");
    assert!(error.to_string().contains("log_in"), "{error}");
    assert_eq!(server.status_of(newer.secret()).await, 401, "the server ends the newer tokens, too");

    // The rightful owner hears of it at the next call: by the 401, then by what the server says to the refresh.
    let before = wire.token_requests("refresh_token");
    let error = session.get(&server.resource).send().await.unwrap_err();
    assert!(is_ended_by_invalid_grant(&error), "{error:?}");
    assert_eq!(wire.token_requests("refresh_token"), before + 1);
    assert!(matches!(stored(&store, &session).await.unwrap().status, LoginStatus::Ended { .. }));

    // Nobody asks the server on and on, neither this process nor another run of it.
    let another_run = server.with_browser("native").0.store(file_store(&folder)).build().unwrap().session();
    for session in [&session, &another_run] {
        assert!(is_ended_by_invalid_grant(&session.token().await.unwrap_err()));
        assert!(session.refresh().await.unwrap_err().is_login_required());
    }
    assert_eq!(wire.token_requests("refresh_token"), before + 1);
}

fn is_ended_by_invalid_grant(error: &Error) -> bool {
    matches!(error, Error::LoginRequired(LoginRequired::Ended(reason)) if reason.contains("invalid_grant"))
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_replaces_an_access_token_that_the_api_rejects() {
    let server = Server::get();
    // A clock that stands still, as on a machine that slept: by that, no token ever expires.
    let clock = ManualClock::paused(SystemTime::now());
    let (session, wire) = server.signed_in("short_lived", |builder| builder.clock(clock)).await;
    let expired = session.token().await.unwrap();
    let begun = Instant::now();
    while server.status_of(expired.secret()).await == 200 {
        assert!(begun.elapsed() < PATIENCE, "the token does not expire");
        tokio::time::sleep(PAUSE).await;
    }

    assert_eq!(session.token().await.unwrap().secret(), expired.secret());
    assert_eq!(server.who_am_i(&session).await["sub"], "alice", "the call is made again with a new token");
    assert_ne!(session.token().await.unwrap().secret(), expired.secret());
    assert_eq!(wire.token_requests("refresh_token"), 1);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_serves_several_scopes() {
    let server = Server::get();
    let store = Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>;
    let (session, wire) = server.signed_in("native", |builder| builder.shared_store(store.clone())).await;
    let whole = session.token().await.unwrap();

    let reader = session.with_scope("api:read".parse().unwrap());
    assert_eq!(server.who_am_i(&reader).await["scope"], "api:read");
    let narrow = reader.token().await.unwrap();
    assert_eq!(narrow.scope(), Some(&"api:read".parse().unwrap()));
    assert!(narrow.extra().get("id_token").is_none(), "`openid` was not asked for");
    assert_eq!(wire.token_requests("refresh_token"), 1);

    // The wider token is still there, and the one refresh token still brings the whole scope.
    assert_eq!(session.token().await.unwrap().secret(), whole.secret());
    let again = session.refresh().await.unwrap();
    assert_eq!(again.scope(), whole.scope());
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
    let record = stored(&store, &session).await.unwrap();
    assert_eq!(record.tokens.len(), 2);
    assert_eq!(wire.token_requests("refresh_token"), 2);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn refresh_token_of_another_client_is_refused() {
    let server = Server::get();
    let store = Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>;
    let (session, _) = server.signed_in("native", |builder| builder.shared_store(store.clone())).await;
    let refresh_token: Secret = stored(&store, &session).await.unwrap().refresh_token.unwrap();
    let stranger = server.elsewhere("short_lived", expired_with(refresh_token)).await;
    assert!(is_ended_by_invalid_grant(&stranger.token().await.unwrap_err()));
    // Its owner is none the worse for it.
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}
