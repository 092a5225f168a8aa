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
