//! A worker process: threads that want valid tokens of many logins, again and again, until they are told to end or are killed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jeton_client::{AccessToken, Client, Error, HttpOptions, ReqwestTransport, Session};
use jeton_grants::{Limits, Transport as _};
use jeton_storage::StoreError;
use serde::{Deserialize, Serialize};

use super::clock::SteppedClock;
use super::event::{Point, What};
use super::random::Random;
use super::store::{StoreSpec, open_store};
use super::witness::{Witness, WitnessedStore, WitnessedTransport};

/// What a caller does after an error, before it asks again.
const AFTER_AN_ERROR: Duration = Duration::from_millis(50);

/// What a worker is to be: its only argument, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Its name in the trail, and the beginning of its request ids.
    pub name: String,
    /// What its decisions are drawn from.
    pub seed: u64,
    /// The devserver.
    pub issuer: String,
    /// The public client.
    pub client_id: String,
    /// Where the logins are.
    pub store: StoreSpec,
    /// How many there are: the accounts `a0`, `a1`, ...
    pub logins: usize,
    /// The clock that all processes share.
    pub clock: PathBuf,
    /// Callers, each on a thread and a runtime of its own.
    pub threads: usize,
    /// What a caller does between two calls, on average.
    pub pause: Duration,
    /// The request timeout.
    pub request_timeout: Duration,
    /// The longest wait for a lease.
    pub lease_timeout: Duration,
    /// Whether tokens are refreshed ahead of their expiry.
    pub refresh_ahead: bool,
    /// A protected resource to show each new token to.
    pub resource: Option<String>,
    /// With which probability the process kills itself at a point.
    pub kills: Vec<(Point, f64)>,
    /// With which probability it stops itself there.
    pub stops: Vec<(Point, f64)>,
    /// How long a request and its answer are on their way: the span of [`Point::RequestSent`].
    pub way: Duration,
}

/// The worker's `main`. Ends when its standard input does.
pub fn run(setup: &str) {
    let setup: Setup = serde_json::from_str(setup).expect("a setup");
    // A stopped one would not notice by itself that its lab is gone.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).expect("Linux");
    let clock = SteppedClock::open(&setup.clock).expect("the clock");
    let witness = Witness::new(&setup, clock.clone());
    tell_of_panics(&witness);
    witness.tell(None, What::Started);

    let sessions = sessions(&setup, &witness, clock);
    let ends = Arc::new(AtomicBool::new(false));
    let random = Random::new(setup.seed);
    let callers: Vec<_> = (0..setup.threads)
        .map(|number| {
            let caller = Caller {
                sessions: sessions.clone(),
                witness: witness.clone(),
                random: random.fork(&format!("caller {number}")),
                pause: setup.pause,
                resource: setup.resource.clone(),
                http: transport(),
            };
            let ends = ends.clone();
            std::thread::spawn(move || caller.run(&ends))
        })
        .collect();

    // Whoever started this process tells it to end by closing the pipe, or by dying.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    ends.store(true, Ordering::SeqCst);
    for caller in callers {
        // A panic was told already.
        let _ = caller.join();
    }
    let runtime = runtime();
    for session in sessions.iter() {
        runtime.block_on(session.close());
    }
    drop(sessions);
    witness.tell(None, What::Bye);
}

fn tell_of_panics(witness: &Arc<Witness>) {
    let (witness, usual) = (witness.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        witness.tell(None, What::Panicked { what: panic.to_string() });
        usual(panic);
    }));
}

fn sessions(setup: &Setup, witness: &Arc<Witness>, clock: SteppedClock) -> Arc<[Session]> {
    let mut limits = Limits::default();
    limits.timeout = setup.request_timeout;
    let client = Client::builder(&setup.client_id)
        .issuer(&setup.issuer)
        .store(WitnessedStore { inner: open_store(&setup.store), witness: witness.clone() })
        .transport(WitnessedTransport { inner: transport(), witness: witness.clone() })
        .clock(clock)
        .limits(limits)
        .lease_timeout(setup.lease_timeout)
        .close_timeout(setup.lease_timeout + setup.request_timeout)
        .refresh_ahead(setup.refresh_ahead)
        .build()
        .expect("a client");
    (0..setup.logins).map(|number| client.account(account(number))).collect()
}

/// The name of an account, which is also the user's at the server.
pub fn account(number: usize) -> String {
    format!("a{number}")
}

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(&HttpOptions::new()).expect("a transport")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A thread that wants tokens.
struct Caller {
    sessions: Arc<[Session]>,
    witness: Arc<Witness>,
    random: Random,
    pause: Duration,
    resource: Option<String>,
    http: ReqwestTransport,
}

impl Caller {
    fn run(mut self, ends: &AtomicBool) {
        let runtime = runtime();
        while !ends.load(Ordering::SeqCst) {
            let number = self.random.below(self.sessions.len());
            let pause = self.random.around(self.pause);
            let well = runtime.block_on(self.call(number));
            std::thread::sleep(if well { pause } else { pause + AFTER_AN_ERROR });
        }
    }

    /// Asks for a token; tells how long it took unless it was there already.
    async fn call(&self, number: usize) -> bool {
        let session = &self.sessions[number];
        let had = session.cached();
        let begun = Instant::now();
        let result = match &had {
            Some(token) => Ok(token.clone()),
            None => session.token().await,
        };
        let waited_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match result {
            Ok(token) => {
                if had.is_none() {
                    self.witness.tell(Some(number), What::Served { waited_us });
                }
                self.show(number, session, token).await;
                true
            }
            Err(error) => {
                let (kind, text) = (kind_of(&error), error.to_string());
                self.witness.tell(Some(number), What::Failed { waited_us, kind, text });
                false
            }
        }
    }

    /// Uses the token at the resource server, as a program that sends requests by itself does.
    async fn show(&self, number: usize, session: &Session, token: AccessToken) {
        let Some(resource) = &self.resource else { return };
        let request = http::Request::get(resource).header("authorization", token.authorization());
        let request = request.body(Bytes::new()).expect("a request");
        // What the resource server has to say of the token is all that matters here.
        let Ok(answer) = self.http.send(request, &Limits::default()).await else { return };
        if answer.status() == http::StatusCode::UNAUTHORIZED {
            session.reject(&token);
            let access = token.secret().fingerprint();
            self.witness.tell(Some(number), What::Rejected { access });
        }
    }
}

/// An error in a word: what the table counts.
fn kind_of(error: &Error) -> String {
    match error {
        Error::LoginRequired(_) => "login-required".to_owned(),
        Error::BackingOff { .. } => "backing-off".to_owned(),
        Error::Grant(error) => format!("server/{}", variant(&format!("{error:?}"))),
        Error::Store(error) => match &**error {
            StoreError::LeaseTimeout { holder: Some(_), .. } => "store/lease-timeout".to_owned(),
            StoreError::LeaseTimeout { holder: None, .. } => "store/lease-timeout-unnamed".to_owned(),
            error => format!("store/{}", variant(&format!("{error:?}"))),
        },
        other => variant(&format!("{other:?}")),
    }
}

/// `Transport` of `Transport { .. }`.
fn variant(debug: &str) -> String {
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}
