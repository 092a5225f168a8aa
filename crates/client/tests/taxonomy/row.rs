//! One row of the taxonomy, and what has to be seen of it: without a token that lives, with one, and when a refresh is asked
//! for in so many words.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use jeton_client::{Client, Error, HttpOptions, Recovery, ReqwestTransport, Session, Transport};
use jeton_devserver::{Endpoint, Fault};
use jeton_grants::{Limits, TransportError};
use jeton_storage::{LoginRecord, unix_ms};

use crate::support::{LIFETIME, LONG, World, log_in, soon, text};

/// Inside the margin: the token counts as expired and still lives.
pub(crate) const LEFT: Duration = Duration::from_secs(20);

/// In each body that holds what nobody may see.
pub(crate) const SECRET: &str = "S3CR3T";

/// How long a request may take that gets no answer. What has to work has the usual limits.
const NO_ANSWER: Duration = Duration::from_millis(300);

/// An hour: no server is left alone for longer, whatever it asks for.
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// One line of a table: what the server does, and what becomes of it.
pub(crate) struct Row {
    name: String,
    does: Does,
    strict: bool,
    /// What the caller is told to do. All of these leave the login as it is.
    told: Recovery,
    /// What the message says beside that.
    says: &'static str,
    /// Whether the server may have acted on the request: the refresh token may be spent. Then it is not sent again while the
    /// access token lives, by any process; otherwise it is after the back-off, whether a token lives or not.
    may_have_acted: bool,
    /// For how many seconds the server wants to be left alone. Nobody who shares the login comes earlier, not even when asked
    /// to in so many words.
    retry_after: Option<u64>,
    /// Whether the answer brings a new refresh token, which is kept although the rest is of no use.
    rotates: bool,
}

enum Does {
    /// The server itself.
    Server(Fault),
    /// The server, which looks at the time.
    ServerAt(fn(SystemTime) -> Fault),
    /// The server never answers.
    Silence(Fault),
    /// The network.
    Network(fn() -> Broken),
}

/// Where the request goes instead of the server.
pub(crate) struct Broken {
    pub(crate) url: String,
    pub(crate) patience: Patience,
    /// Whatever has to live as long as the network is broken.
    pub(crate) _held: Box<dyn Any + Send>,
}

/// For how long a request is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Usual,
    /// Nothing ever comes, so that there is no use in waiting for long.
    ShortForTheAnswer,
    /// No connection ever comes about.
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only TLS takes its time to connect"))]
    ShortForTheConnection,
}

pub(crate) const RETRY: Recovery = Recovery::Retry { after: None };
pub(crate) const LOG_IN: Recovery = Recovery::LogIn;
pub(crate) const FIX_REQUEST: Recovery = Recovery::FixRequest;
pub(crate) const FIX_CONFIGURATION: Recovery = Recovery::FixConfiguration;
pub(crate) const GIVE_UP: Recovery = Recovery::GiveUp;

/// The server has done nothing with the refresh token: it is sent again after the back-off, of 0.5 to 1 s the first time.
pub(crate) fn refused(name: impl Into<String>, fault: Fault, told: Recovery, says: &'static str) -> Row {
    Row {
        name: name.into(),
        does: Does::Server(fault),
        strict: false,
        told,
        says,
        may_have_acted: false,
        retry_after: None,
        rotates: false,
    }
}

/// The server may have acted, so that the refresh token may be spent: it is not sent again while the access token lives.
pub(crate) fn lost(name: impl Into<String>, fault: Fault, told: Recovery, says: &'static str) -> Row {
    Row { may_have_acted: true, ..refused(name, fault, told, says) }
}

impl Row {
    /// Nothing comes before so many seconds are over.
    pub(crate) fn at(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The answer brings a new refresh token, which is kept. It is known to be good, so that nothing speaks against sending it.
    pub(crate) fn rotates(self) -> Self {
        Self { rotates: true, ..self }
    }

    pub(crate) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    pub(crate) fn at_time(self, fault: fn(SystemTime) -> Fault) -> Self {
        Self { does: Does::ServerAt(fault), ..self }
    }

    /// The server does this and never answers.
    pub(crate) fn silent(name: impl Into<String>, fault: Fault, says: &'static str) -> Self {
        Self { does: Does::Silence(fault.clone()), ..lost(name, fault, RETRY, says) }
    }

    pub(crate) fn network(self, broken: fn() -> Broken) -> Self {
        Self { does: Does::Network(broken), ..self }
    }
}

/// Looks at each row in each situation, and tells of all that are wrong.
pub(crate) async fn check(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for row in &rows {
        let mut note = |situation: &str, result: Result<(), Box<dyn Any + Send>>| {
            if let Err(panic) = result {
                wrong.push(format!("{} [{situation}]: {}", row.name, words(&*panic)));
            }
        };
        note("no token lives", caught(without_a_living_token(row)).await);
        note("a token lives", caught(with_a_living_token(row)).await);
        note("an explicit refresh", caught(asked_in_so_many_words(row)).await);
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len() * 3, wrong.join("\n"));
}

pub(crate) async fn caught(check: impl Future<Output = ()>) -> Result<(), Box<dyn Any + Send>> {
    AssertUnwindSafe(check).catch_unwind().await
}

pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

// ----- The three situations ------------------------------------------------------------------------------------------------

/// The access token is dead: the caller hears of the failure, and of the same failure until it is time to try again.
async fn without_a_living_token(row: &Row) {
    let place = Place::new(row).await;
    let Place { world, session, .. } = &place;
    world.clock.advance(LIFETIME);
    let before = place.stored().await;
    place.fail(row);

    let error = soon(session.token()).await.unwrap_err();
    place.assert_told(row, &error).await;
    assert_eq!(place.requests(), 1, "one request");
    place.assert_kept(row, &before).await;

    // Too early: nothing is sent, and the error says for how long to wait, and why.
    let error = soon(session.token()).await.unwrap_err();
    let Error::BackingOff { after, last } = &error else { panic!("told instead of a wait: {error}") };
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(*after) });
    place.assert_told(row, last).await;
    assert!(error.to_string().contains(&last.to_string()), "{error}");
    match row.wait() {
        Some(wait) => assert_eq!(*after, wait),
        None => assert!((500..=1_000).contains(&after.as_millis()), "the wait is {after:?}"),
    }
    let since = world.now();
    place.assert_held(None, row.wait().map(|wait| since + wait)).await;
    if row.wait().is_some() {
        let error = soon(session.refresh()).await.unwrap_err();
        assert!(matches!(error, Error::BackingOff { .. }), "not even if asked for: {error}");
        place.assert_nobody_else_asks(false).await;
    }
    assert_eq!(place.requests(), 1, "the next try waits");

    place.mend();
    world.clock.advance(*after - Duration::from_millis(1));
    soon(session.token()).await.unwrap_err();
    assert_eq!(place.requests(), 1, "a millisecond too early");
    world.clock.advance(Duration::from_millis(1));
    soon(session.token()).await.unwrap();
    assert_eq!(place.requests(), 2, "now is the time");
    world.assert_sound(session).await;
}

/// The access token counts as expired and lives: it is served, and the failure is nobody's business.
async fn with_a_living_token(row: &Row) {
    let place = Place::new(row).await;
    let Place { world, session, .. } = &place;
    let old = text(&session.cached().unwrap());
    world.clock.advance(LIFETIME - LEFT);
    let (failed_at, dies_at) = (world.now(), world.now() + LEFT);
    let before = place.stored().await;
    place.fail(row);

    for _ in 0..5 {
        assert_eq!(text(&soon(session.token()).await.unwrap()), old, "the token lives and is served");
    }
    // On a machine that is busy with other things, the callers may have been served before the answer was.
    soon(session.close()).await;
    assert_eq!(place.requests(), 1, "one request");
    place.assert_kept(row, &before).await;

    // When the next one is due, before which nobody sends any.
    let spared = Some(dies_at).filter(|_| row.may_have_acted && !row.rotates);
    let asked = row.wait().map(|wait| failed_at + wait);
    place.assert_held(spared, asked).await;
    let due = spared.max(asked);
    let (latest, earliest) = match due {
        Some(due) => {
            place.assert_nobody_else_asks(true).await;
            (due, due)
        }
        None => (failed_at + Duration::from_secs(1), failed_at + Duration::from_millis(500)),
    };
    let almost = earliest.min(dies_at) - Duration::from_millis(1);
    world.clock.set(almost);
    assert_eq!(text(&soon(session.token()).await.unwrap()), old, "almost due, and served");
    assert_eq!(place.requests(), 1, "almost due");
    if dies_at < latest {
        // The token is dead, and it is not time yet.
        world.clock.set(latest - Duration::from_millis(1));
        let error = soon(session.token()).await.unwrap_err();
        let Error::BackingOff { after, .. } = &error else { panic!("told instead of a wait: {error}") };
        assert_eq!(*after, Duration::from_millis(1));
        assert_eq!(place.requests(), 1, "dead, and not due");
    }
    world.clock.set(latest);
    if latest < dies_at {
        assert_eq!(text(&soon(session.token()).await.unwrap()), old, "tried again, and served");
        soon(session.close()).await;
        assert_eq!(place.requests(), 2, "now is the time");
        world.clock.set(dies_at + Duration::from_secs(LONGEST_RETRY_AFTER));
    }
    place.mend();
    let requests = place.requests();
    assert_ne!(text(&soon(session.token()).await.unwrap()), old, "a new token");
    assert_eq!(place.requests(), requests + 1);
    world.assert_sound(session).await;
}

/// Somebody asked for a refresh although the token is good: the failure is told, and takes nothing away from the others.
async fn asked_in_so_many_words(row: &Row) {
    let place = Place::new(row).await;
    let Place { world, session, .. } = &place;
    let old = text(&session.cached().unwrap());
    let before = place.stored().await;
    place.fail(row);

    let error = soon(session.refresh()).await.unwrap_err();
    place.assert_told(row, &error).await;
    place.assert_kept(row, &before).await;
    assert_eq!(text(&soon(session.token()).await.unwrap()), old, "the good token is served");
    assert_eq!(place.requests(), 1);

    // Asked again: at once, unless the server named the time.
    let error = soon(session.refresh()).await.unwrap_err();
    match row.wait() {
        Some(_) => assert!(matches!(error, Error::BackingOff { .. }), "{error}"),
        None => place.assert_told(row, &error).await,
    }
    assert_eq!(place.requests(), if row.wait().is_some() { 1 } else { 2 });

    place.mend();
    world.clock.advance(row.wait().unwrap_or_default());
    assert_ne!(text(&soon(session.refresh()).await.unwrap()), old, "a new token");
    world.assert_sound(session).await;
}

impl Row {
    /// How long the server is left alone because it wants to be.
    fn wait(&self) -> Option<Duration> {
        self.retry_after.map(|seconds| Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
    }

    fn recovery(&self) -> Recovery {
        match self.told {
            Recovery::Retry { .. } => Recovery::Retry { after: self.retry_after.map(Duration::from_secs) },
            other => other,
        }
    }
}

// ----- A place to try it ---------------------------------------------------------------------------------------------------

/// A server, a client whose requests can be led astray, and its session, logged in.
struct Place {
    world: World,
    #[allow(dead_code, reason = "the session needs it no more, but its sessions share it")]
    client: Client,
    session: Session,
    detour: Detour,
}

impl Place {
    async fn new(row: &Row) -> Self {
        let world = World::new();
        let detour = Detour::new();
        let client = world.builder().transport(detour.clone()).strict(row.strict).build().unwrap();
        let session = client.session();
        log_in(&world.server, &session).await;
        detour.0.token_requests.store(0, Ordering::SeqCst);
        Self { world, client, session, detour }
    }

    /// From now on the row's failure is what comes of each request.
    fn fail(&self, row: &Row) {
        let fault = |fault: &Fault| self.world.server.fault_always(Endpoint::Token, fault.clone());
        match &row.does {
            Does::Server(does) => fault(does),
            Does::ServerAt(does) => fault(&does(self.world.now())),
            Does::Silence(does) => {
                fault(does);
                *self.detour.0.mood.lock().unwrap() = Mood::Impatient;
            }
            Does::Network(broken) => *self.detour.0.mood.lock().unwrap() = Mood::Astray(broken()),
        }
    }

    fn mend(&self) {
        self.world.server.clear_faults();
        *self.detour.0.mood.lock().unwrap() = Mood::Well;
    }

    /// Token requests that this client sent, and all that came to the server if they could get there.
    fn requests(&self) -> u64 {
        let sent = self.detour.0.token_requests.load(Ordering::SeqCst);
        if !matches!(*self.detour.0.mood.lock().unwrap(), Mood::Astray(_)) {
            let gone_astray = self.detour.0.astray.load(Ordering::SeqCst);
            assert_eq!(sent - gone_astray, self.world.refresh_requests(), "sent, and arrived");
        }
        sent
    }

    async fn stored(&self) -> LoginRecord {
        self.world.stored(&self.session).await.expect("a login in the store")
    }

    /// What is said, in which words, and what is not.
    async fn assert_told(&self, row: &Row, error: &Error) {
        assert!(matches!(error, Error::Grant(_)), "{error:?}");
        assert_eq!(error.recovery(), row.recovery(), "{error}");
        assert!(!error.is_login_required());
        let shown = error.to_string();
        assert!(shown.contains(row.says), "no {:?} in: {shown}", row.says);
        // A redirect says more than "check the configuration".
        let to_do = if row.says.contains("redirect") {
            "set the endpoint's final URL".to_owned()
        } else {
            row.recovery().to_string()
        };
        assert!(shown.contains(&to_do), "no {to_do:?} in: {shown}");
        self.assert_no_secret(&format!("{shown} {error:?} {:?}", self.session)).await;
    }

    async fn assert_no_secret(&self, shown: &str) {
        assert!(!shown.contains(SECRET), "a secret in: {shown}");
        let record = self.stored().await;
        let secrets =
            record.refresh_token.iter().chain(record.tokens.iter().map(|token| &token.access_token));
        for secret in secrets {
            assert!(!shown.contains(secret.expose()), "a token in: {shown}");
        }
    }

    /// The login is as it was, but for a new refresh token, if one came.
    async fn assert_kept(&self, row: &Row, before: &LoginRecord) {
        let mut now = self.stored().await;
        let mut before = before.clone();
        if row.rotates {
            assert!(now.refresh_token != before.refresh_token, "the new refresh token is kept");
            let newest = now.refresh_token.as_ref().unwrap().expose();
            assert!(self.world.server.is_refresh_token_live(newest), "the newest one is kept");
            before.refresh_token = now.refresh_token.clone();
            before.refresh_token_received_at_ms = now.refresh_token_received_at_ms;
            before.generation = now.generation;
        }
        // A hold and its time are no change of the login.
        now.refresh_hold = None;
        before.refresh_hold = None;
        before.updated_at_ms = now.updated_at_ms;
        assert!(now == before, "the login is as it was: {now:?} {before:?}");
        assert!(self.session.persist_error().is_none());
    }

    /// What the others find in the store: until when the refresh token may be spent and is spared, and until when the server
    /// wants to be left alone.
    async fn assert_held(&self, spared: Option<SystemTime>, asked: Option<SystemTime>) {
        let now_ms = unix_ms(self.world.now());
        let hold = self.stored().await.refresh_hold.filter(|hold| hold.remaining(now_ms).is_some());
        let seen = hold.as_ref().map(|hold| (hold.spared_until_ms, hold.asked_until_ms)).unwrap_or_default();
        assert_eq!(seen, (spared.map(unix_ms), asked.map(unix_ms)), "the hold in the store");
        if let Some(hold) = hold {
            self.assert_no_secret(&hold.reason).await;
        }
    }

    /// Another process, or a later run, sends nothing either. If a token lives it has that one.
    async fn assert_nobody_else_asks(&self, token_lives: bool) {
        let requests = self.world.refresh_requests();
        let client = self.world.client();
        let other = client.session();
        match soon(other.token()).await {
            Ok(token) => {
                assert!(token_lives);
                assert_eq!(text(&token), text(&self.session.token().await.unwrap()));
            }
            Err(error) => {
                assert!(!token_lives, "{error}");
                let Error::BackingOff { last, .. } = &error else {
                    panic!("told instead of a wait: {error}")
                };
                assert!(matches!(&**last, Error::FailedElsewhere(_)), "{error}");
                self.assert_no_secret(&format!("{error} {error:?}")).await;
            }
        }
        assert_eq!(self.world.refresh_requests(), requests, "another process asked");
    }
}

/// The real transport, which counts token requests, and leads them astray when it is told to.
#[derive(Clone)]
struct Detour(Arc<DetourInner>);

struct DetourInner {
    inner: ReqwestTransport,
    /// Gives up connecting early: for what never comes about.
    hasty: ReqwestTransport,
    mood: Mutex<Mood>,
    token_requests: AtomicU64,
    astray: AtomicU64,
}

enum Mood {
    Well,
    /// Waits for an answer no longer than it must.
    Impatient,
    Astray(Broken),
}

impl Detour {
    fn new() -> Self {
        Self(Arc::new(DetourInner {
            inner: ReqwestTransport::new(&HttpOptions::new()).unwrap(),
            hasty: ReqwestTransport::new(&HttpOptions::new().connect_timeout(NO_ANSWER)).unwrap(),
            mood: Mutex::new(Mood::Well),
            token_requests: AtomicU64::new(0),
            astray: AtomicU64::new(0),
        }))
    }
}

#[async_trait]
impl Transport for Detour {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let Detour(detour) = self;
        if request.method() != http::Method::POST {
            return detour.inner.send(request, limits).await;
        }
        detour.token_requests.fetch_add(1, Ordering::SeqCst);
        let mut limits = limits.clone();
        assert!(limits.timeout < LONG);
        let (url, patience) = match &*detour.mood.lock().unwrap() {
            Mood::Well => (None, Patience::Usual),
            Mood::Impatient => (None, Patience::ShortForTheAnswer),
            Mood::Astray(broken) => (Some(broken.url.clone()), broken.patience),
        };
        if patience == Patience::ShortForTheAnswer {
            limits.timeout = NO_ANSWER;
        }
        if let Some(url) = url {
            detour.astray.fetch_add(1, Ordering::SeqCst);
            *request.uri_mut() = url.parse().unwrap();
        }
        match patience {
            Patience::ShortForTheConnection => detour.hasty.send(request, &limits).await,
            _ => detour.inner.send(request, &limits).await,
        }
    }
}
