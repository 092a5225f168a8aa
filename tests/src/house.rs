//! A house of worker processes: a strict server on the machine's clock, one folder for the file store, and what the server and
//! the store say of the login in the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jeton_devserver::{Builder, DevServer, Endpoint, Fault};
use jeton_storage::{FileStore, LoginKey, LoginRecord, TokenStore as _};
use tempfile::TempDir;

use crate::browser::PATIENCE;
use crate::worker::{Command, Reply, Setup, Worker};
use crate::world::LIFETIME;

/// A strict server on the machine's clock plus what `pass_an_expiry` adds, and the folder of the file store.
#[derive(Debug)]
pub struct House {
    /// The server.
    pub server: DevServer,
    folder: TempDir,
    worker: PathBuf,
}

impl House {
    /// With the worker's program, which is `env!("CARGO_BIN_EXE_worker")` in a test.
    pub fn new(worker: impl AsRef<Path>) -> Self {
        Self::with(worker, |builder| builder)
    }

    /// With other settings of the server.
    pub fn with(worker: impl AsRef<Path>, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self {
            server: change(DevServer::builder()).start().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            worker: worker.as_ref().to_owned(),
        }
    }

    /// What a worker is to be.
    pub fn setup(&self, account: &str) -> Setup {
        Setup {
            issuer: self.server.issuer().to_owned(),
            client_id: DevServer::PUBLIC_CLIENT.to_owned(),
            account: account.to_owned(),
            // The store makes the folder itself, with the permissions that it insists on.
            folder: self.folder.path().join("logins"),
            lease_timeout_ms: None,
            early_expiry_ms: None,
            dpop: false,
        }
    }

    /// A worker of that kind.
    pub fn worker_as(&self, setup: &Setup) -> Worker {
        Worker::start(&self.worker, setup)
    }

    /// A worker of that account.
    pub fn worker_of(&self, account: &str) -> Worker {
        self.worker_as(&self.setup(account))
    }

    /// A worker of the account that everybody shares.
    pub fn worker(&self) -> Worker {
        self.worker_of("default")
    }

    /// So many of them.
    pub fn workers(&self, count: usize) -> Vec<Worker> {
        (0..count).map(|_| self.worker()).collect()
    }

    /// A worker that has just logged in.
    pub fn signed_in(&self) -> Worker {
        let mut worker = self.worker();
        worker.ask(&Command::LogIn).token();
        worker
    }

    /// Lets every access token expire, on the server's clock and on each worker's.
    pub fn pass_an_expiry<'a>(&self, workers: impl IntoIterator<Item = &'a mut Worker>) {
        self.server.advance(LIFETIME);
        tell_all(workers, &advance(LIFETIME)).iter().for_each(|reply| assert_eq!(*reply, Reply::Done));
    }

    /// Refresh requests that arrived at the server.
    pub fn refreshes(&self) -> u64 {
        self.server.stats().grant("refresh_token").requests
    }

    /// What the store holds.
    pub fn record(&self) -> Option<LoginRecord> {
        let setup = self.setup("default");
        let key = LoginKey::new(&setup.issuer.parse().unwrap(), setup.client_id).with_account(setup.account);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(FileStore::new(setup.folder).load(&key)).unwrap()
    }

    /// The store holds the one refresh token that the server would take, and the server has never seen an old one.
    #[track_caller]
    pub fn assert_login_alive(&self) {
        let record = self.record().expect("the login is stored");
        let refresh_token = record.refresh_token.expect("a refresh token");
        assert!(
            self.server.is_refresh_token_live(refresh_token.expose()),
            "the stored refresh token is the live one"
        );
        let stats = self.server.stats();
        assert_eq!(stats.refresh_reuses_detected, 0);
        assert_eq!(stats.logins_revoked, 0);
    }

    /// The next answer waits at the gate; the server has rotated.
    pub fn hold_the_next_answer(&self) {
        self.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Commit, Fault::Gate]));
    }

    /// Waits until a request is held at the gate.
    pub fn wait_until_held(&self) {
        assert!(self.server.wait_until_held_blocking(1, PATIENCE), "a token request arrives");
    }
}

/// An advance of a worker's clock.
pub fn advance(by: Duration) -> Command {
    Command::Advance(by.as_millis().try_into().unwrap())
}

/// Gives all of them the command at once, then collects the replies.
pub fn tell_all<'a>(workers: impl IntoIterator<Item = &'a mut Worker>, command: &Command) -> Vec<Reply> {
    let mut workers: Vec<&mut Worker> = workers.into_iter().collect();
    workers.iter_mut().for_each(|worker| worker.tell(command));
    workers.iter_mut().map(|worker| worker.reply()).collect()
}

/// The one token that all of them got.
pub fn one_token(replies: Vec<Reply>) -> String {
    let mut tokens: Vec<String> = replies.into_iter().map(Reply::token).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "all have the same token");
    tokens.remove(0)
}
