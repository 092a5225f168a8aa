//! Worker processes: programs of their own that share a file store, ordered about by lines of JSON.
//!
//! The one half of this file runs in the worker (`run`, called by `src/bin/worker.rs`), the other in the test (`Worker`).
//! Every command gets one reply, so that a test knows where each process stands and never has to sleep.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use jeton_client::{AccessToken, Client, Clock, Error, FileStore, Session, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use url::Url;

use crate::browser::{self, PATIENCE};
use crate::person::REDIRECT_URI;

/// What a worker is to be: its only argument, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// The devserver in the test.
    pub issuer: String,
    /// The public client.
    pub client_id: String,
    /// Whose login.
    pub account: String,
    /// The file store's folder.
    pub folder: PathBuf,
    /// The longest wait for a lease, in milliseconds; the client's own choice unless set.
    #[serde(default)]
    pub lease_timeout_ms: Option<u64>,
    /// How long before its expiry a token counts as expired, in milliseconds; the client's own choice unless set.
    #[serde(default)]
    pub early_expiry_ms: Option<u64>,
    /// Whether its tokens are bound to a key (DPoP).
    #[serde(default)]
    pub dpop: bool,
}

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Puts the worker's clock forward by so many milliseconds.
    Advance(u64),
    /// Logs in by authorization code.
    LogIn,
    /// Logs out.
    LogOut,
    /// Asks for a token and waits for it.
    Token,
    /// Asks for a refresh and waits for it.
    Refresh,
    /// Sends an authenticated GET request to that URL of the devserver's and waits for the answer.
    Get(String),
    /// Asks for a token on the worker's runtime, and does not wait.
    Begin,
    /// Waits for what was begun.
    Finish,
    /// Drops the caller that was begun.
    DropCaller,
    /// Drops the runtime on which the caller was begun, which waits for its threads to let go of what they hold.
    EndRuntime,
    /// Shuts that runtime down in the background: its threads may hold their session for a moment longer.
    AbandonRuntime,
    /// Closes the session, which waits for a refresh under way.
    Close,
    /// `main` returns in the ordinary way, whatever is under way.
    Return,
}

/// What a worker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Done,
    /// The access token that it got.
    Token(String),
    /// A person has to log in; why.
    LoginRequired(String),
    /// Anything else.
    Failed(String),
}

impl Reply {
    fn of(result: Result<AccessToken, Error>) -> Self {
        match result {
            Ok(token) => Self::Token(token.secret().expose().to_owned()),
            Err(Error::LoginRequired(why)) => Self::LoginRequired(format!("{why:?}")),
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    /// The access token.
    pub fn token(self) -> String {
        match self {
            Self::Token(token) => token,
            other => panic!("no token but {other:?}"),
        }
    }
}

// ----- In the worker -------------------------------------------------------------------------------------------------------

/// The system's clock and an offset that grows on command.
#[derive(Clone, Debug, Default)]
struct OffsetClock(Arc<AtomicU64>);

#[async_trait]
impl Clock for OffsetClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// The worker's `main`.
pub fn run() {
    let setup: Setup = serde_json::from_str(&std::env::args().nth(1).expect("a setup")).expect("a setup");
    let clock = OffsetClock::default();
    let mut builder = Client::builder(&setup.client_id)
        .issuer(&setup.issuer)
        .store(FileStore::new(&setup.folder))
        .resource_server(&setup.issuer)
        .dpop(setup.dpop)
        .clock(clock.clone());
    if let Some(ms) = setup.lease_timeout_ms {
        builder = builder.lease_timeout(Duration::from_millis(ms));
    }
    if let Some(ms) = setup.early_expiry_ms {
        builder = builder.early_expiry(Duration::from_millis(ms));
    }
    let client = builder.build().expect("a client");
    let session = client.account(&setup.account);
    let mut runtime = new_runtime();
    let mut begun: Option<JoinHandle<Result<AccessToken, Error>>> = None;

    for line in io::stdin().lines() {
        let command = serde_json::from_str(&line.expect("a line")).expect("a command");
        let reply = match command {
            Command::Advance(ms) => {
                clock.0.fetch_add(ms, Ordering::SeqCst);
                Reply::Done
            }
            Command::LogIn => Reply::of(runtime.block_on(log_in(&session))),
            Command::LogOut => match runtime.block_on(session.log_out()) {
                Ok(_) => Reply::Done,
                Err(error) => Reply::Failed(error.to_string()),
            },
            Command::Token => Reply::of(runtime.block_on(session.token())),
            Command::Refresh => Reply::of(runtime.block_on(session.refresh())),
            Command::Get(url) => match runtime.block_on(session.get(&url).send()) {
                Ok(answer) if answer.status() == 200 => Reply::Done,
                Ok(answer) => Reply::Failed(answer.status().to_string()),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Command::Begin => {
                let session = session.clone();
                begun = Some(runtime.spawn(async move { session.token().await }));
                Reply::Done
            }
            Command::Finish => {
                Reply::of(runtime.block_on(begun.take().expect("begun")).expect("the caller does not panic"))
            }
            Command::DropCaller => {
                let caller = begun.take().expect("begun");
                caller.abort();
                let cancelled = runtime.block_on(caller).is_err_and(|error| error.is_cancelled());
                assert!(cancelled, "the caller was still waiting");
                Reply::Done
            }
            Command::EndRuntime => {
                begun = None;
                drop(std::mem::replace(&mut runtime, new_runtime()));
                Reply::Done
            }
            Command::AbandonRuntime => {
                begun = None;
                std::mem::replace(&mut runtime, new_runtime()).shutdown_background();
                Reply::Done
            }
            Command::Close => {
                runtime.block_on(session.close());
                Reply::Done
            }
            Command::Return => {
                answer(&Reply::Done);
                return;
            }
        };
        answer(&reply);
    }
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// The server approves by itself; a GET is all that a browser would do.
async fn log_in(session: &Session) -> Result<AccessToken, Error> {
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await?;
    let answer =
        tokio::task::spawn_blocking(move || browser::get(&url)).await.expect("no panic").expect("an answer");
    let location = answer.header("location").expect("the server redirects");
    session.finish_log_in(pending, &Url::parse(location).expect("a URL")).await
}

fn answer(reply: &Reply) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(reply).expect("JSON")).expect("the test listens");
    stdout.flush().expect("the test listens");
}

// ----- In the test ---------------------------------------------------------------------------------------------------------

/// A worker process as the test has it. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    replies: mpsc::Receiver<Reply>,
}

impl Worker {
    /// Starts the program, which is `env!("CARGO_BIN_EXE_worker")` in a test.
    pub fn start(program: impl AsRef<Path>, setup: &Setup) -> Self {
        let mut child = std::process::Command::new(program.as_ref())
            .arg(serde_json::to_string(setup).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, replies) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let reply = serde_json::from_str(&line).expect("a reply");
                if sender.send(reply).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, replies }
    }

    /// Gives a command and does not wait for the reply.
    pub fn tell(&mut self, command: &Command) {
        writeln!(self.stdin, "{}", serde_json::to_string(command).expect("JSON"))
            .expect("the worker listens");
        self.stdin.flush().expect("the worker listens");
    }

    /// Waits for the next reply.
    pub fn reply(&mut self) -> Reply {
        self.replies.recv_timeout(PATIENCE * 2).expect("the worker replies")
    }

    /// Gives a command and waits for its reply.
    pub fn ask(&mut self, command: &Command) -> Reply {
        self.tell(command);
        self.reply()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Suspends the process, as Ctrl-Z, a debugger or a container runtime does. It holds on to all that it has.
    #[cfg(unix)]
    pub fn suspend(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    #[cfg(unix)]
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .expect("our own child");
    }

    /// Ends the process at once, as `SIGKILL` and `TerminateProcess` do.
    pub fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Waits for the process to end by itself.
    pub fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the worker does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
