//! One login, four languages: a Rust, a C, a C++ and a Go program, each with a copy of jeton of its own, call an API side by side
//! on one store, while the server rotates refresh tokens strictly and access tokens live for two seconds.
//!
//! At the end there was one refresh for each expiry among all of them, no refresh token was used twice, and the login is alive.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeton_client::{Client, Error, FileStore, Session};
use jeton_devserver::{DevServer, RefreshOutcome};
use jeton_storage::KeyringStore;
use url::Url;

use crate::browser::{self, PATIENCE};
use crate::person::REDIRECT_URI;

const LIFE: Duration = Duration::from_secs(2);
const EXPIRIES: u64 = 4;
const SERVICE: &str = "jeton-four-languages";

/// The program's `main`: its arguments are the other languages' programs; with `--worker` it is the Rust one.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--worker"] {
        return work();
    }
    let folder = tempfile::tempdir().expect("a folder");
    on("one file store", &arguments, |command| {
        // Made by whoever comes first, for its owner alone.
        command.env("SHARED_FOLDER", folder.path().join("logins"));
    });
    on_a_keychain(&arguments);
    ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn on_a_keychain(programs: &[String]) {
    let session = crate::faults::secret_service::Session::unlocked();
    on("one keychain", programs, |command| {
        session.set_environment(command);
        command.env("SHARED_SERVICE", SERVICE);
    });
}

#[cfg(not(target_os = "linux"))]
fn on_a_keychain(_: &[String]) {}

/// A program that calls the API. Dropping it kills it.
struct Worker {
    name: String,
    child: Child,
}

impl Worker {
    fn start(name: &str, mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        Self { name: name.to_owned(), child }
    }

    /// Ends it in the ordinary way, and gives the number of its calls. It fails at its first error.
    fn end(mut self) -> u64 {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
        let status = self.child.wait().expect("our own child");
        assert!(status.success(), "{} ended with {status}", self.name);
        said.trim().parse().expect("the number of its calls")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Already ended, unless a check failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn on(store: &str, programs: &[String], environment: impl Fn(&mut Command)) {
    let refreshes: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = refreshes.clone();
    let server = DevServer::builder().access_token_lifetime(LIFE).on_refresh(move |event| {
        assert!(matches!(event.outcome, RefreshOutcome::Granted { forgiven: false, .. }), "{event:?}");
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    });
    let server = server.start().expect("a loopback port");
    let command = |program: &str| {
        let mut command = Command::new(program);
        environment(&mut command);
        command
            .env("SHARED_ISSUER", server.issuer())
            .env("SHARED_API", server.resource_url())
            .env("SHARED_CLIENT", DevServer::PUBLIC_CLIENT);
        command
    };

    // The Rust program logs in; the others find the login where it stored it.
    let this = std::env::current_exe().expect("this very program");
    let mut rust = command(&this.display().to_string());
    rust.arg("--worker");
    let mut rust = Worker::start("the Rust program", rust);
    let mut stdout = BufReader::new(rust.child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "logged in");
    rust.child.stdout = Some(stdout.into_inner());
    let mut workers = vec![rust];
    for program in programs {
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        workers.push(Worker::start(&name, command(program)));
    }

    let deadline = Instant::now() + PATIENCE + LIFE * 10;
    while server.stats().refreshes < EXPIRIES {
        for worker in &mut workers {
            let ended = worker.child.try_wait().expect("our own child");
            assert!(ended.is_none(), "{} ended by itself: {ended:?}", worker.name);
        }
        assert!(Instant::now() < deadline, "after {:?} on {store}", server.stats());
        std::thread::sleep(Duration::from_millis(20));
    }
    let calls: Vec<(String, u64)> =
        workers.into_iter().map(|worker| (worker.name.clone(), worker.end())).collect();

    let stats = server.stats();
    let requests = stats.grant("refresh_token");
    assert_eq!((stats.refresh_reuses_detected, stats.logins_revoked, server.live_logins()), (0, 0, 1));
    assert_eq!(requests.requests, requests.successes, "a refresh was refused");
    assert_eq!(stats.tokens_issued, stats.refreshes + 1);
    assert_eq!(stats.api_unauthorized, 0, "a token was used that the API did not take");
    // Each token was used until it counted as expired, a fifth of its life before its end: no refresh came too early, as a
    // second one for the same expiry would.
    let refreshes = refreshes.lock().unwrap_or_else(PoisonError::into_inner);
    for pair in refreshes.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart > LIFE / 2, "two refreshes within {apart:?} on {store}");
    }
    for (name, calls) in &calls {
        assert!(*calls > 0, "{name} never called the API");
    }
    let calls: Vec<String> = calls.iter().map(|(name, calls)| format!("{name} {calls}")).collect();
    let _ =
        writeln!(std::io::stdout(), "{store}: {} refreshes; calls: {}", stats.refreshes, calls.join(", "));
}

fn work() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(call()) {
        Ok(calls) => {
            let _ = writeln!(std::io::stdout(), "{calls}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Rust: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn call() -> Result<u64, Error> {
    let value = |name: &str| std::env::var(name).expect("set by the test");
    let api = value("SHARED_API");
    let builder =
        Client::builder(value("SHARED_CLIENT")).issuer(value("SHARED_ISSUER")).resource_server(api.clone());
    let client = match std::env::var("SHARED_SERVICE") {
        Ok(service) => builder.store(KeyringStore::open(&service)?).build()?,
        Err(_) => builder.store(FileStore::new(value("SHARED_FOLDER"))).build()?,
    };
    let session = client.session();
    log_in(&session).await?;
    let _ = writeln!(std::io::stdout(), "logged in");

    let closed = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    let mut calls = 0;
    while !closed.is_finished() {
        let response = session.get(&api).send().await?;
        assert_eq!(response.status().as_u16(), 200, "the API's answer");
        calls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    session.close().await;
    Ok(calls)
}

/// The server approves by itself; a GET is all that a browser would do.
async fn log_in(session: &Session) -> Result<(), Error> {
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await?;
    let answer =
        tokio::task::spawn_blocking(move || browser::get(&url)).await.expect("no panic").expect("an answer");
    let location = answer.header("location").expect("the server redirects");
    session.finish_log_in(pending, &Url::parse(location).expect("a URL")).await?;
    Ok(())
}
