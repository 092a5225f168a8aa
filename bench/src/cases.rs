//! The small cases: what a call costs that does not wait for a network. criterion times them (`micro`), and a counting
//! allocator counts what they allocate (`allocations`).

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use jeton::models::{Answer, ParseOptions, Pkce, TokenResponse};
use jeton::{Client, FileStore, LoginKey, MemoryStore, Secret, Session, Token, TokenStore, blocking};
use jeton_storage::{KeyringStore, LoginRecord, SealedStore, SealingKey, StoredToken, TokenTarget};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::server::{access_token, answer};

/// Longest wait for a lease that nobody else wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// One case.
pub struct Case {
    /// Which table it belongs to.
    pub group: Group,
    /// What is done.
    pub name: String,
    /// How many threads do it at the same time. The time is that of each of them.
    pub threads: usize,
    /// Does it, or says why it cannot be done here.
    pub work: Work,
}

/// The tables of small cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    /// A token that is there.
    Cached,
    /// Work on the way to a token, without I/O.
    Protocol,
    /// Keeping a login.
    Store,
}

/// What a case does.
pub enum Work {
    /// Does it so many times and tells how long that took. Panics on a wrong result.
    Ready(Box<dyn FnMut(u64) -> Duration>),
    /// Why it cannot be done on this machine.
    NotHere(String),
}

impl Case {
    /// The name with the number of threads, if that matters.
    pub fn id(&self) -> String {
        match (self.group, self.threads) {
            (Group::Cached, 1) => format!("{}, 1 thread", self.name),
            (Group::Cached, threads) => format!("{}, {threads} threads", self.name),
            _ => self.name.clone(),
        }
    }
}

/// Every case whose id contains the filter, set up. Files go below `folder`. A keychain is used only if it is said to be the
/// benchmarks' own.
pub fn all(filter: &str, folder: &Path, own_keychain: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |group: Group, name: &str, threads: usize, work: &dyn Fn() -> Work| {
        let mut case = Case { group, name: name.to_owned(), threads, work: Work::NotHere(String::new()) };
        if case.id().to_lowercase().contains(&filter.to_lowercase()) {
            case.work = work();
            cases.push(case);
        }
    };
    for threads in [1, 2] {
        add(Group::Cached, "cached token, borrowed (Session::cached_ref)", threads, &|| {
            let session = signed_in();
            cached(threads, move || {
                let token = session.cached_ref().expect("a token");
                token.secret().len()
            })
        });
        add(Group::Cached, "cached token, owned (Session::cached)", threads, &|| {
            let session = signed_in();
            cached(threads, move || session.cached().expect("a token").secret().len())
        });
        add(Group::Cached, "cached token, owned (Session::token().await)", threads, &|| {
            let session = signed_in();
            cached(threads, move || {
                let token = session.token().now_or_never().expect("no waiting").expect("a token");
                token.secret().len()
            })
        });
        add(Group::Cached, "cached token, owned (blocking::Session::token)", threads, &|| {
            let session = blocking_signed_in();
            cached(threads, move || session.token().expect("a token").secret().len())
        });
    }
    add(Group::Protocol, "PKCE: new verifier and its S256 challenge", 1, &|| {
        repeated(|| {
            let pkce = Pkce::new();
            assert_eq!(pkce.code_challenge().len(), 43);
            pkce
        })
    });
    let typical = answer();
    let large = large_answer();
    for (name, body) in [("access token only", typical), ("with refresh and id_token", large)] {
        let name = format!("token answer read: {name} ({} bytes)", body.len());
        add(Group::Protocol, &name, 1, &|| {
            let body = body.clone();
            repeated(move || {
                let answer = Answer::new(200, Some("application/json;charset=UTF-8"), body.as_bytes());
                let response = TokenResponse::parse(&answer, &ParseOptions::default()).expect("a token");
                assert_eq!(response.expires_in, Some(3600));
                response
            })
        });
    }
    add(Group::Store, "memory: lease, load, save", 1, &|| store(MemoryStore::new()));
    add(Group::Store, "file: lease, load, save", 1, &|| store(FileStore::new(folder.join("file"))));
    add(Group::Store, "sealed file: lease, load, save", 1, &|| {
        let key = SealingKey::generate().expect("a key");
        store(SealedStore::with_key(folder.join("sealed"), key))
    });
    add(Group::Store, "keychain: lease, load, save", 1, &|| match own_keychain {
        true => keychain(folder),
        false => Work::NotHere("dbus-daemon and gnome-keyring-daemon are not installed".to_owned()),
    });
    cases
}

// ----- How a case is repeated ----------------------------------------------------------------------------------------------

fn repeated<T>(mut call: impl FnMut() -> T + 'static) -> Work {
    Work::Ready(Box::new(move |times| timed(times, &mut call)))
}

fn timed<T>(times: u64, mut call: impl FnMut() -> T) -> Duration {
    let started = Instant::now();
    for _ in 0..times {
        black_box(call());
    }
    started.elapsed()
}

/// On so many threads at once, each for itself; the longest time of them counts.
fn cached(threads: usize, read: impl Fn() -> usize + Send + Sync + 'static) -> Work {
    assert_eq!(read(), access_token().len());
    Work::Ready(Box::new(move |times| {
        if threads == 1 {
            return timed(times, &read);
        }
        let start = Barrier::new(threads);
        let run = || {
            start.wait();
            timed(times, &read)
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
            let mine = run();
            others.into_iter().map(|other| other.join().expect("no panic")).fold(mine, Duration::max)
        })
    }))
}

/// What a refresh does with the store, but for the room that it reserves.
fn store(store: impl TokenStore + 'static) -> Work {
    let runtime = runtime();
    let record = record();
    Work::Ready(Box::new(move |times| {
        runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..times {
                let mut lease = store.lease(&record.key, PATIENCE).await.expect("nobody else has it");
                black_box(lease.load().await.expect("a record or none"));
                lease.save(&record).await.expect("room for it");
            }
            let took = started.elapsed();
            assert_eq!(store.load(&record.key).await.expect("a record").as_ref(), Some(&record));
            took
        })
    }))
}

fn keychain(folder: &Path) -> Work {
    let store = KeyringStore::builder().service("jeton-bench").lock_folder(folder.join("locks"));
    let store = store.deadline(PATIENCE).open().expect("a store");
    let runtime = runtime();
    // It has just been started.
    let started = Instant::now();
    loop {
        match runtime.block_on(store.check()) {
            Ok(()) => return self::store(store),
            Err(error) if started.elapsed() > PATIENCE => return Work::NotHere(error.to_string()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

// ----- What they work on ---------------------------------------------------------------------------------------------------

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn client() -> Client {
    let client = Client::builder("bench-client").issuer("https://as.example").scope("read write");
    client.build().expect("a client")
}

fn token() -> Token {
    let mut token = Token::new(Secret::new(access_token()));
    token.expires_in = Some(24 * 3600);
    token.set_received_at(SystemTime::now());
    token
}

fn signed_in() -> Session {
    let session = client().session();
    let adopting = session.clone();
    runtime().block_on(async move { adopting.adopt(token()).await }).expect("a login");
    session
}

fn blocking_signed_in() -> Arc<blocking::Session> {
    let session = blocking::Client::from(client()).session();
    session.adopt(token()).expect("a login");
    Arc::new(session)
}

/// A login with tokens of the usual length.
fn record() -> LoginRecord {
    let now = SystemTime::now();
    let key = LoginKey::new(&"https://as.example".parse().expect("an issuer"), "bench-client");
    let mut record = LoginRecord::new(key, now);
    record.set_refresh_token(Secret::from("v1.MRrtuZ0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"), now);
    record.set_token(StoredToken::new(&token(), TokenTarget::default(), now));
    record
}

/// As OpenID providers answer: an ID token with many claims beside the others.
fn large_answer() -> String {
    let id_token: String = access_token().chars().cycle().take(3_000).collect();
    let refresh_token: String = access_token().chars().cycle().take(1_200).collect();
    answer().replacen('{', &format!(r#"{{"id_token":"{id_token}","refresh_token":"{refresh_token}","session_state":"1c2d3e4f","not-before-policy":0,"#), 1)
}
