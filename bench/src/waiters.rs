//! One expired token and everybody who wants it: ten thousand tasks of one process, or fifty processes that share a file
//! store. Each of them is timed from its call to its token, and the server counts the requests.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use jeton::{Client, FileStore, HttpOptions, Secret, Session, Token};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::server::Server;

/// What came of all rounds.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// Each waiter's time, the shortest first.
    pub waits: Vec<Duration>,
    /// How many requests the server got in each round.
    pub requests: Vec<u64>,
}

impl Waits {
    fn finish(mut self) -> Self {
        self.waits.sort_unstable();
        self
    }

    /// The time within which that part of the waiters had their token.
    pub fn quantile(&self, part: f64) -> Duration {
        let index = (part * self.waits.len() as f64).ceil() as usize;
        self.waits.get(index.max(1) - 1).copied().unwrap_or_default()
    }
}

/// A login whose access token is over and whose refresh token is good.
fn expired() -> Token {
    let mut token = Token::new(Secret::from("expired"));
    token.refresh_token = Some(Secret::from("refresh-0"));
    token.expires_at = Some(1);
    token
}

fn client(token_endpoint: &str) -> jeton::ClientBuilder {
    Client::builder("bench-client").token_endpoint(token_endpoint).http(HttpOptions::new().no_proxy())
}

/// That many tasks of this process, on the runtime that this runs on.
pub async fn tasks(server: &Server, waiters: usize, rounds: usize) -> Waits {
    let client = client(&server.slow_token_endpoint()).build().expect("a client");
    let session = client.session();
    let mut waits = Waits::default();
    for round in 0..=rounds {
        session.adopt(expired()).await.expect("a login");
        let before = server.count().await.expect("the server counts");
        let mut tasks = JoinSet::new();
        for _ in 0..waiters {
            let session: Session = session.clone();
            tasks.spawn(async move {
                let started = Instant::now();
                let token = session.token().await.expect("a token");
                let waited = started.elapsed();
                (waited, token.secret().expose().to_owned())
            });
        }
        let got = tasks.join_all().await;
        let requests = server.count().await.expect("the server counts") - before;
        let newest = format!("access-{}", before + requests);
        assert!(got.iter().all(|(_, token)| *token == newest), "somebody got another token");
        // The first round makes the connection.
        if round > 0 {
            waits.waits.extend(got.into_iter().map(|(waited, _)| waited));
            waits.requests.push(requests);
        }
    }
    waits.finish()
}

// ----- Processes -----------------------------------------------------------------------------------------------------------

/// What a waiting process is told in its argument.
#[derive(Serialize, Deserialize)]
struct Setup {
    token_endpoint: String,
    folder: PathBuf,
}

/// What it answers.
#[derive(Serialize, Deserialize)]
struct Answer {
    waited_us: u64,
    access_token: String,
}

/// That many processes, each started anew for each round: `program waiter SETUP`.
pub async fn processes(
    program: &Path,
    server: &Server,
    folder: &Path,
    waiters: usize,
    rounds: usize,
) -> Waits {
    let setup = Setup { token_endpoint: server.slow_token_endpoint(), folder: folder.join("shared") };
    let client =
        client(&setup.token_endpoint).store(FileStore::new(&setup.folder)).build().expect("a client");
    let session = client.session();
    let mut waits = Waits::default();
    for _ in 0..rounds {
        session.adopt(expired()).await.expect("a login");
        let before = server.count().await.expect("the server counts");
        let mut waiting: Vec<_> = (0..waiters).map(|_| Waiter::start(program, &setup)).collect();
        for waiter in &mut waiting {
            waiter.is_ready();
        }
        for waiter in &mut waiting {
            waiter.go();
        }
        let answers: Vec<Answer> = waiting.iter_mut().map(Waiter::answer).collect();
        let requests = server.count().await.expect("the server counts") - before;
        let newest = format!("access-{}", before + requests);
        assert!(answers.iter().all(|answer| answer.access_token == newest), "somebody got another token");
        waits.waits.extend(answers.iter().map(|answer| Duration::from_micros(answer.waited_us)));
        waits.requests.push(requests);
    }
    waits.finish()
}

/// A waiting process as the others have it. It ends when its standard input closes.
struct Waiter {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Waiter {
    fn start(program: &Path, setup: &Setup) -> Self {
        let mut child = Command::new(program)
            .arg("waiter")
            .arg(serde_json::to_string(setup).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdin, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    fn is_ready(&mut self) {
        assert_eq!(self.line(), "ready\n");
    }

    fn go(&mut self) {
        self.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("it listens");
    }

    fn answer(&mut self) -> Answer {
        serde_json::from_str(&self.line()).expect("an answer")
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // There is nobody to tell if this fails.
        let _ = self.child.wait();
    }
}

/// The `main` of a waiting process.
pub fn wait(setup: &str) {
    let setup: Setup = serde_json::from_str(setup).expect("a setup");
    let client =
        client(&setup.token_endpoint).store(FileStore::new(&setup.folder)).build().expect("a client");
    let session = jeton::blocking::Client::from(client).session();
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    if line.is_empty() {
        return;
    }
    let started = Instant::now();
    let token = session.token().expect("a token");
    let waited = started.elapsed();
    let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    let answer = Answer { waited_us, access_token: token.secret().expose().to_owned() };
    println!("{}", serde_json::to_string(&answer).expect("JSON"));
}
