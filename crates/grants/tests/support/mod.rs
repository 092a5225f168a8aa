//! What the tests have in common: a scripted transport, a person, a redirect endpoint that is as exclusive as a port.
// Each test binary uses its part of it.
#![allow(dead_code)]

#[path = "../../examples/common/plain_http.rs"]
pub(crate) mod plain_http;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton_devserver::DevServer;
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, Clock, DeviceCodePrompt, Interaction, InteractionError, Limits,
    LoginOutcome, ManualClock, RedirectEndpoint, RedirectReceiver, Transport, TransportError,
    TransportErrorKind, async_trait, bytes::Bytes, discover, http,
};
use jeton_models::{AuthorizationServerMetadata, Secret};
use tokio::sync::Notify;
use url::Url;

pub(crate) use plain_http::PlainHttp;

/// Any moment will do; this one is in 2023.
pub(crate) fn a_moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) type Answered = Result<http::Response<Bytes>, TransportError>;

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answered {
    Ok(http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body.into())
        .unwrap())
}

pub(crate) fn json(status: u16, body: &str) -> Answered {
    answer(status, "application/json", body.to_owned())
}

pub(crate) fn with_header(answered: Answered, name: &'static str, value: &str) -> Answered {
    answered.map(|mut response| {
        response.headers_mut().insert(name, value.parse().unwrap());
        response
    })
}

pub(crate) fn token() -> Answered {
    json(200, r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":60}"#)
}

pub(crate) fn oauth_error(status: u16, code: &str) -> Answered {
    json(status, &format!(r#"{{"error":"{code}"}}"#))
}

pub(crate) fn broken(kind: TransportErrorKind) -> Answered {
    Err(TransportError::new(kind))
}

/// A transport that gives the answers it was given, and keeps the requests with the time at which they came.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Script>);

struct Script {
    clock: ManualClock,
    answers: Mutex<VecDeque<Answered>>,
    requests: Mutex<Vec<(SystemTime, http::Request<Bytes>)>>,
}

impl Scripted {
    pub(crate) fn new(clock: &ManualClock, answers: impl IntoIterator<Item = Answered>) -> Self {
        Self(Arc::new(Script {
            clock: clock.clone(),
            answers: Mutex::new(answers.into_iter().collect()),
            requests: Mutex::default(),
        }))
    }

    pub(crate) fn requests(&self) -> Vec<http::Request<Bytes>> {
        self.0.requests.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        let text = |request: &http::Request<Bytes>| String::from_utf8(request.body().to_vec()).unwrap();
        self.requests().iter().map(text).collect()
    }

    /// When the requests came, in seconds after `start`.
    pub(crate) fn seconds_since(&self, start: SystemTime) -> Vec<u64> {
        let requests = self.0.requests.lock().unwrap();
        requests.iter().map(|(at, _)| at.duration_since(start).unwrap().as_secs()).collect()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: http::Request<Bytes>, _: &Limits) -> Answered {
        self.0.requests.lock().unwrap().push((self.0.clock.now(), request));
        self.0.answers.lock().unwrap().pop_front().expect("a request that nobody expects")
    }
}

/// Metadata of a server that is nowhere.
pub(crate) fn as_example() -> AuthorizationServerMetadata {
    let mut server = AuthorizationServerMetadata::new("https://as.example");
    server.authorization_endpoint = Some("https://as.example/authorize".into());
    server.token_endpoint = Some("https://as.example/token".into());
    server.device_authorization_endpoint = Some("https://as.example/device_authorization".into());
    server
}

/// What the devserver says of itself.
pub(crate) async fn metadata(devserver: &DevServer) -> AuthorizationServerMetadata {
    let issuer = devserver.issuer().parse().unwrap();
    discover(&PlainHttp, &ManualClock::at(a_moment()), &issuer, &Limits::default()).await.unwrap()
}

/// A devserver whose time is the clock's.
pub(crate) fn clocked(builder: jeton_devserver::Builder, clock: &ManualClock) -> DevServer {
    let clock = clock.clone();
    builder.clock(Arc::new(move || clock.now())).start().unwrap()
}

type Answerer = Box<dyn Fn(&Url) -> Result<AuthorizationReply, InteractionError> + Send + Sync>;

/// A person who does as told when shown an authorization URL, and who remembers everything.
pub(crate) struct Person {
    answerer: Answerer,
    pub(crate) shown: Notify,
    pub(crate) seen: Mutex<Vec<String>>,
    /// Until when each authorization URL could be opened, as the person was told.
    pub(crate) open_before: Mutex<Vec<Option<SystemTime>>>,
    /// What was shown while a device login was pending: the time left.
    pub(crate) countdown: Mutex<Vec<Duration>>,
    /// After so many countdowns the person gives up.
    patience: usize,
}

impl Person {
    pub(crate) fn who(
        answerer: impl Fn(&Url) -> Result<AuthorizationReply, InteractionError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            answerer: Box::new(answerer),
            shown: Notify::new(),
            seen: Mutex::default(),
            open_before: Mutex::default(),
            countdown: Mutex::default(),
            patience: usize::MAX,
        }
    }

    /// Somebody who opens the browser and does nothing else.
    pub(crate) fn idle() -> Self {
        Self::who(|_| Ok(AuthorizationReply::Opened))
    }

    /// Somebody who gives up after so many countdowns.
    pub(crate) fn with_patience_for(patience: usize) -> Self {
        Self { patience, ..Self::idle() }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Interaction for Person {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        self.seen.lock().unwrap().push("authorization URL".to_owned());
        self.open_before.lock().unwrap().push(prompt.open_before);
        self.shown.notify_one();
        (self.answerer)(prompt.url)
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        self.seen.lock().unwrap().push(format!("{} at {}", prompt.user_code, prompt.verification_uri));
        Ok(())
    }

    async fn device_code_pending(
        &self,
        _: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        let mut countdown = self.countdown.lock().unwrap();
        countdown.push(remaining);
        if countdown.len() > self.patience { Err(InteractionError::cancelled()) } else { Ok(()) }
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        self.seen.lock().unwrap().push(told(outcome));
    }
}

fn told(outcome: LoginOutcome<'_>) -> String {
    match outcome {
        LoginOutcome::Success => "success".to_owned(),
        LoginOutcome::Denied { error, description } => format!("denied: {error} {description:?}"),
        LoginOutcome::Failed(why) => format!("failed: {why}"),
        _ => "something new".to_owned(),
    }
}

/// A redirect endpoint that can be open once at a time, as a port can.
#[derive(Clone)]
pub(crate) struct FakeListener(Arc<Listener>);

struct Listener {
    is_open: AtomicBool,
    arrived: Mutex<VecDeque<Url>>,
    arrival: Notify,
    outcomes: Mutex<Vec<String>>,
}

impl FakeListener {
    pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:49152/callback";

    pub(crate) fn new() -> Self {
        Self(Arc::new(Listener {
            is_open: AtomicBool::new(false),
            arrived: Mutex::default(),
            arrival: Notify::new(),
            outcomes: Mutex::default(),
        }))
    }

    /// The browser comes with that URL.
    pub(crate) fn arrive(&self, redirected: &str) {
        self.0.arrived.lock().unwrap().push_back(redirected.parse().unwrap());
        self.0.arrival.notify_one();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::SeqCst)
    }

    /// What the page in the browser told.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        self.0.outcomes.lock().unwrap().clone()
    }
}

#[async_trait]
impl RedirectEndpoint for FakeListener {
    async fn open(&self, _: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
        if self.0.is_open.swap(true, Ordering::SeqCst) {
            return Err(InteractionError::failed("the address is in use"));
        }
        Ok(Box::new(Receiver(self.clone())))
    }
}

struct Receiver(FakeListener);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.0.is_open.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl RedirectReceiver for Receiver {
    fn redirect_uri(&self) -> &str {
        FakeListener::REDIRECT_URI
    }

    async fn receive(&mut self) -> Result<Url, InteractionError> {
        loop {
            if let Some(url) = self.0.0.arrived.lock().unwrap().pop_front() {
                return Ok(url);
            }
            self.0.0.arrival.notified().await;
        }
    }

    async fn finish(&mut self, outcome: LoginOutcome<'_>) {
        self.0.0.outcomes.lock().unwrap().push(told(outcome));
        self.0.0.is_open.store(false, Ordering::SeqCst);
    }
}
