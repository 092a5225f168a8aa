//! What the tests of the session share: a devserver and a client on one clock, and a store that can be made to fail.

// Each test binary uses a part of it; a test that fails does so by a panic.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use jeton_client::{AccessToken, Client, ClientBuilder, Event, LoginKey, MemoryStore, Session, StoreError};
use jeton_devserver::{Builder, DevServer};
use jeton_grants::{Clock, ManualClock};
use jeton_storage::{LoginKeys, LoginRecord, StoreDescription, TokenLease, TokenStore};
use tokio::sync::oneshot;

/// How long access tokens live in these tests, unless a test says otherwise.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// Longer than anything takes that works. Only what hangs gets there.
pub const LONG: Duration = Duration::from_secs(60);

pub const REDIRECT: &str = "http://127.0.0.1:7777/callback";

/// A devserver, a clock that it shares with the clients, and a store that they share.
pub struct World {
    pub server: DevServer,
    pub clock: ManualClock,
    pub store: FlakyStore,
}

impl World {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::over(MemoryStore::new(), change)
    }

    pub fn over(store: impl TokenStore + 'static, change: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_900_000_000));
        let servers = clock.clone();
        let builder =
            DevServer::builder().access_token_lifetime(LIFETIME).clock(Arc::new(move || servers.now()));
        let server = change(builder).start().unwrap();
        Self { server, clock, store: FlakyStore::over(store) }
    }

    /// A public client over the shared store.
    pub fn builder(&self) -> ClientBuilder {
        self.builder_of(DevServer::PUBLIC_CLIENT)
    }

    pub fn builder_of(&self, client_id: &str) -> ClientBuilder {
        Client::builder(client_id)
            .issuer(self.server.issuer())
            .store(self.store.clone())
            .clock(self.clock.clone())
            .resource_server(self.server.resource_url())
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// A client and its session, logged in.
    pub async fn signed_in(&self) -> (Client, Session) {
        let client = self.client();
        let session = client.session();
        self.log_in(&session).await;
        (client, session)
    }

    pub async fn log_in(&self, session: &Session) -> AccessToken {
        log_in(&self.server, session).await
    }

    /// The access token that everybody has expires.
    pub fn expire(&self) {
        self.clock.advance(LIFETIME);
    }

    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub async fn stored(&self, session: &Session) -> Option<LoginRecord> {
        self.store.inner.load(session.key()).await.unwrap()
    }

    /// The login in the store, but for the hold on its refresh token that a failed refresh may have left.
    pub async fn stored_login(&self, session: &Session) -> Option<LoginRecord> {
        self.stored(session).await.map(|mut record| {
            record.refresh_hold = None;
            record.updated_at_ms = 0;
            record
        })
    }

    /// The refresh token in the store, whose life the server can tell.
    pub async fn stored_refresh_token(&self, session: &Session) -> String {
        let record = self.stored(session).await.expect("a login in the store");
        record.refresh_token.expect("a refresh token in the store").expose().to_owned()
    }

    /// Refresh requests that arrived at the server.
    pub fn refresh_requests(&self) -> u64 {
        self.server.stats().grant("refresh_token").requests
    }

    /// The login is in good order: stored, the refresh token there is the one to use, and nobody was taken for a thief.
    pub async fn assert_sound(&self, session: &Session) {
        let refresh_token = self.stored_refresh_token(session).await;
        assert!(
            self.server.is_refresh_token_live(&refresh_token),
            "the stored refresh token is not the newest"
        );
        assert_eq!(self.server.stats().refresh_reuses_detected, 0);
        assert!(session.persist_error().is_none());
    }
}

/// Logs in by authorization code, with a willing person.
pub async fn log_in(server: &DevServer, session: &Session) -> AccessToken {
    let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    let redirected = server.authorize(url.as_str()).unwrap();
    session.finish_log_in(pending, &redirected.parse().unwrap()).await.unwrap()
}

pub fn text(token: &AccessToken) -> String {
    token.secret().expose().to_owned()
}

/// Who the resource server says is logged in.
pub async fn subject(session: &Session, url: &str) -> String {
    let response = soon(session.get(url).send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    body["sub"].as_str().unwrap().to_owned()
}

/// What the future gives; a test that hangs fails instead.
pub async fn soon<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("nothing came after {LONG:?}"),
    }
}

/// The events of a client, by their names.
#[derive(Clone, Default)]
pub struct EventLog(Arc<Mutex<Vec<String>>>);

impl EventLog {
    pub fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let log = self.0.clone();
        move |event| {
            let kind = format!("{:?}", event.kind);
            let name = kind.split('(').next().unwrap_or_default().to_owned();
            log.lock().unwrap().push(name);
        }
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, name: &str) -> usize {
        self.all().iter().filter(|event| *event == name).count()
    }
}

/// What a step of the store may do instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Load,
    Lease,
    LeaseLoad,
    Reserve,
    Save,
}

/// A store over another one that counts, and fails or panics on request.
#[derive(Clone)]
pub struct FlakyStore {
    pub inner: Arc<dyn TokenStore>,
    pub faults: Arc<Faults>,
}

#[derive(Default)]
pub struct Faults {
    /// How many of the next saves, and reservations, fail.
    pub failing_saves: AtomicUsize,
    pub failing_reserves: AtomicUsize,
    /// While set, no lease is to be had.
    pub lease_busy: AtomicBool,
    pub panic_at: Mutex<Option<Step>>,
    pub loads: AtomicUsize,
    pub leases: AtomicUsize,
    pub saves: AtomicUsize,
    /// The next load without a lease tells that it has read, and gives what it has read when it is told to.
    pub held_load: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
    /// Written into the store, in spite of the lease, before its n-th load from now (0: the next).
    pub intruder: Mutex<VecDeque<(usize, LoginRecord)>>,
}

impl FlakyStore {
    pub fn over(store: impl TokenStore + 'static) -> Self {
        Self { inner: Arc::new(store), faults: Arc::default() }
    }

    pub fn fail_saves(&self, times: usize) {
        self.faults.failing_saves.store(times, Ordering::SeqCst);
    }

    pub fn saves(&self) -> usize {
        self.faults.saves.load(Ordering::SeqCst)
    }

    pub fn panic_once_at(&self, step: Step) {
        *self.faults.panic_at.lock().unwrap() = Some(step);
    }

    /// Holds the next load without a lease after it has read: when it has, and how to let it go on.
    pub fn hold_next_load(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((has_read, reading), (going_on, go_on)) = (oneshot::channel(), oneshot::channel());
        *self.faults.held_load.lock().unwrap() = Some((has_read, go_on));
        (reading, going_on)
    }

    pub fn intrude(&self, at_load: usize, record: LoginRecord) {
        self.faults.intruder.lock().unwrap().push_back((at_load, record));
    }
}

impl Faults {
    fn step(&self, step: Step) {
        let mut panic_at = self.panic_at.lock().unwrap();
        if *panic_at == Some(step) {
            *panic_at = None;
            drop(panic_at);
            panic!("the store panics at {step:?}, as the test wants it");
        }
    }

    fn fails(counter: &AtomicUsize) -> bool {
        counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn intruder(&self) -> Option<LoginRecord> {
        let mut intruder = self.intruder.lock().unwrap();
        match intruder.front_mut() {
            Some((0, _)) => intruder.pop_front().map(|(_, record)| record),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }
}

#[async_trait]
impl TokenStore for FlakyStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.faults.loads.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.load(key).await;
        let held = self.faults.held_load.lock().unwrap().take();
        if let Some((has_read, go_on)) = held {
            has_read.send(()).unwrap();
            go_on.await.unwrap();
        }
        self.faults.step(Step::Load);
        found
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        self.faults.leases.fetch_add(1, Ordering::SeqCst);
        self.faults.step(Step::Lease);
        if self.faults.lease_busy.load(Ordering::SeqCst) {
            return Err(StoreError::LeaseTimeout { waited: deadline, holder: None });
        }
        let inner = self.inner.lease(key, deadline).await?;
        Ok(Box::new(FlakyLease { inner, faults: self.faults.clone() }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.inner.list()
    }

    fn describe(&self) -> StoreDescription {
        self.inner.describe()
    }
}

struct FlakyLease {
    inner: Box<dyn TokenLease>,
    faults: Arc<Faults>,
}

#[async_trait]
impl TokenLease for FlakyLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.faults.step(Step::LeaseLoad);
        if let Some(record) = self.faults.intruder() {
            self.inner.save(&record).await?;
        }
        self.inner.load().await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.faults.step(Step::Reserve);
        if Faults::fails(&self.faults.failing_reserves) {
            return Err(StoreError::io("reserve room in", "/full", std::io::ErrorKind::StorageFull.into()));
        }
        self.inner.reserve(bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        self.faults.step(Step::Save);
        if Faults::fails(&self.faults.failing_saves) {
            return Err(StoreError::io("write", "/full", std::io::ErrorKind::StorageFull.into()));
        }
        self.faults.saves.fetch_add(1, Ordering::SeqCst);
        self.inner.save(record).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.inner.delete().await
    }
}
