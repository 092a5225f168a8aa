//! The small runtime on which refreshes and logins run, so that a caller that is dropped, times out or ends its own
//! runtime never loses a rotated token (rule 1 of the life of a token).

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::Error;

/// Threads of the runtime. One is enough for the work; the second keeps it going while a callback of the program blocks.
const WORKERS: usize = 2;

/// One runtime for all clients of the process; it ends with the last of them.
static SHARED: Mutex<Weak<Background>> = Mutex::new(Weak::new());

thread_local! {
    static ON_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

pub(crate) struct Background {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Background {
    /// The runtime of this process, started if there is none.
    pub(crate) fn shared() -> Result<Arc<Self>, Error> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(background) = shared.upgrade() {
            return Ok(background);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("jeton")
            .enable_all()
            .on_thread_start(|| ON_BACKGROUND.set(true))
            .build()
            .map_err(|error| Error::configuration(format!("no threads could be started: {error}")))?;
        let background = Arc::new(Self { handle: runtime.handle().clone(), runtime: Some(runtime) });
        *shared = Arc::downgrade(&background);
        Ok(background)
    }

    /// Runs a future to its end, whatever becomes of the caller.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a future to its end and blocks this thread meanwhile.
    ///
    /// # Errors
    /// As [`Client::block_on`](crate::Client::block_on).
    pub(crate) fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        if Self::is_current_thread() {
            return Err(Error::configuration(
                "a blocking call was made from a callback of jeton; hand the work to another thread",
            ));
        }
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.spawn(async move {
            drop(sender.send(future.await));
        });
        receiver.recv().map_err(|_| Error::Panicked)
    }

    /// Whether this very thread belongs to the runtime: blocking it would keep others from going on.
    pub(crate) fn is_current_thread() -> bool {
        ON_BACKGROUND.get()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Never blocks, so it may happen on any thread, also inside of a runtime. Nothing under way is lost: each
            // refresh and login owns its client, and so this runtime.
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Background")
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant, SystemTime};

    use ::http::{Request, Response};
    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::future::join_all;
    use jeton_grants::{Limits, Transport, TransportError, TransportErrorKind};
    use jeton_models::{Secret, Token};
    use jeton_storage::{LoginRecord, MemoryStore, StoredToken, TokenStore as _, TokenTarget};

    use crate::{Client, Session};

    const CHILD: &str = "JETON_BACKGROUND_TEST_CHILD";
    const SESSIONS: usize = 10_000;

    struct Unreachable;

    #[async_trait]
    impl Transport for Unreachable {
        async fn send(&self, _: Request<Bytes>, _: &Limits) -> Result<Response<Bytes>, TransportError> {
            Err(TransportError::new(TransportErrorKind::Connect))
        }
    }

    /// In a process of its own: the runtime is shared with all other tests of this one.
    #[test]
    fn sessions_have_no_tasks_but_while_they_refresh() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child
            .args(["--exact", "background::tests::child", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("tasks were counted"), "{output:?}");
    }

    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let caller = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = MemoryStore::new();
        let client = Client::builder("c")
            .issuer("https://as.example")
            .token_endpoint("https://as.example/token")
            .transport(Unreachable)
            .store(store.clone())
            .refresh_ahead(true)
            .build()
            .unwrap();
        let tasks = || client.0.background.handle.metrics().num_alive_tasks();
        // A task may take a moment to go after it has told its caller.
        let none_is_left = || {
            let begun = Instant::now();
            while tasks() > 0 {
                assert!(begun.elapsed() < Duration::from_secs(60), "{} tasks are left", tasks());
                std::thread::yield_now();
            }
        };

        let sessions: Vec<Session> =
            (0..SESSIONS).map(|number| client.account(format!("account {number}"))).collect();
        assert_eq!(tasks(), 0, "idle sessions have none");
        for session in &sessions[1..] {
            caller.block_on(store_login(&store, session, Duration::from_secs(3_600)));
        }
        let used = caller.block_on(join_all(sessions.iter().map(Session::token)));
        assert!(used[0].is_err() && used[1..].iter().all(Result::is_ok));
        none_is_left();

        // An expired token, and nobody who gives another one.
        caller.block_on(store_login(&store, &sessions[0], Duration::ZERO));
        caller.block_on(sessions[0].token()).unwrap_err();
        none_is_left();
        caller.block_on(sessions[1].refresh()).unwrap_err();
        none_is_left();
        caller.block_on(sessions[1].close());
        drop(sessions);
        none_is_left();
        println!("tasks were counted");
    }

    async fn store_login(store: &MemoryStore, session: &Session, lifetime: Duration) {
        let now = SystemTime::now();
        let mut record = LoginRecord::new(session.key().clone(), now);
        record.set_refresh_token(Secret::from("r"), now);
        let mut token = Token::new(Secret::from("t"));
        token.expires_in = Some(lifetime.as_secs());
        record.set_token(StoredToken::new(&token, TokenTarget::default(), now));
        let mut lease = store.lease(session.key(), Duration::ZERO).await.unwrap();
        lease.save(&record).await.unwrap();
    }
}
