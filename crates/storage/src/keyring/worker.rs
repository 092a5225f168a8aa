//! The keychain's own thread. A call to a keychain blocks, for as long as a person takes to type a password or for
//! good, so none is made on an async thread: each is queued here, and its caller waits with a deadline.
//!
//! One thread and one connection serve all stores of the process. It ends with the last of them, and never keeps
//! the process alive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connection::Connection;
use super::platform::{Platform, this_platform};
use crate::StoreError;
use crate::wait::within;

/// How long a call to the keychain is waited for unless told otherwise: a person has to find and type a password.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How many deadlines a call may last until newer ones get a thread and a connection of their own: a daemon that died
/// while it asked for a password never answers. Not fewer, because each new connection may ask the person again.
const DEADLINES_UNTIL_LEFT: u32 = 12;

/// The worker of this process, while anybody uses it.
static OF_THIS_PROCESS: Mutex<Weak<Worker>> = Mutex::new(Weak::new());

/// Does the work, and gives what tells the caller: by then the thread counts as idle again.
type Job = Box<dyn FnOnce(&mut Connection) -> Tell + Send>;
type Tell = Box<dyn FnOnce()>;

/// Hands calls to the thread, which is started with the first.
pub(crate) struct Worker {
    platform: Arc<dyn Platform>,
    line: Mutex<Option<Line>>,
}

/// The queue before one thread.
struct Line {
    jobs: mpsc::Sender<Job>,
    /// Since when the thread is at the job that it is at.
    busy: Arc<Mutex<Option<Instant>>>,
}

impl Worker {
    pub(crate) fn new(platform: Arc<dyn Platform>) -> Arc<Self> {
        Arc::new(Self { platform, line: Mutex::new(None) })
    }

    /// The one that all stores of this process share.
    pub(crate) fn of_this_process() -> Arc<Self> {
        let mut shared = locked(&OF_THIS_PROCESS);
        shared.upgrade().unwrap_or_else(|| {
            let worker = Self::new(this_platform());
            *shared = Arc::downgrade(&worker);
            worker
        })
    }

    pub(crate) fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    #[cfg(test)]
    pub(crate) fn platform_shared(&self) -> Arc<dyn Platform> {
        Arc::clone(&self.platform)
    }

    /// Does the work on the thread and gives what it gave, or [`StoreError::TimedOut`] at the deadline.
    ///
    /// Work that was begun goes on to its end whether or not anybody waits for it; work whose caller gave up before is
    /// never begun. Whatever the work owns is dropped when it has ended, before its caller is told.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Duration,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let begun = Arc::new(AtomicBool::new(false));
        let (answer, mut answered) = oneshot::channel();
        let job = {
            let begun = Arc::clone(&begun);
            move |connection: &mut Connection| -> Tell {
                // In this order: a caller who gave up and finds this false knows that it never will be begun.
                begun.store(true, Ordering::SeqCst);
                if answer.is_closed() {
                    return Box::new(|| {});
                }
                let result = work(connection);
                Box::new(move || drop(answer.send(result)))
            }
        };
        self.queue(Box::new(job), deadline)?;
        match within(deadline, &mut answered).await {
            Some(answer) => answer.unwrap_or_else(|_| Err(panicked(operation))),
            None => {
                answered.close();
                let pending = begun.load(Ordering::SeqCst);
                // It may have come at the last moment.
                answered.try_recv().unwrap_or_else(|_| {
                    Err(StoreError::TimedOut { operation, waited: started.elapsed(), pending })
                })
            }
        }
    }

    /// Does the work if the thread has nothing else to do: what the work owns must not wait behind a call that hangs.
    /// Nobody is told the outcome.
    pub(crate) fn run_if_idle(&self, work: impl FnOnce(&mut Connection) + Send + 'static) {
        let idle = locked(&self.line).as_ref().is_none_or(|line| locked(&line.busy).is_none());
        let job = |connection: &mut Connection| -> Tell {
            work(connection);
            Box::new(|| {})
        };
        if idle && let Err(error) = self.queue(Box::new(job), Duration::MAX) {
            tracing::debug!(%error, "the keychain is not tidied up now");
        }
    }

    fn queue(&self, mut job: Job, deadline: Duration) -> Result<(), StoreError> {
        let mut line = locked(&self.line);
        if let Some(line) = &*line {
            let stuck = locked(&line.busy)
                .is_some_and(|since| since.elapsed() > deadline.saturating_mul(DEADLINES_UNTIL_LEFT));
            if stuck {
                tracing::warn!(
                    "a call to the keychain has not been answered for long: a new connection is made"
                );
            } else {
                match line.jobs.send(job) {
                    Ok(()) => return Ok(()),
                    Err(mpsc::SendError(returned)) => job = returned,
                }
            }
        }
        let new = Line::start(Arc::clone(&self.platform))?;
        // Cannot fail: the thread was started just now.
        let _ = new.jobs.send(job);
        *line = Some(new);
        Ok(())
    }
}

impl Line {
    fn start(platform: Arc<dyn Platform>) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let busy = Arc::new(Mutex::new(None));
        let (thread, doing) =
            (std::thread::Builder::new().name("jeton-keychain".to_owned()), Arc::clone(&busy));
        let started = thread.spawn(move || {
            let mut connection = Connection::new(Arc::clone(&platform));
            // Until the last store is dropped.
            for job in queue {
                *locked(&doing) = Some(Instant::now());
                let told = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
                *locked(&doing) = None;
                match told {
                    Ok(tell) => tell(),
                    // What panicked dropped what would have told the caller, who knows by that.
                    Err(_) => connection = Connection::new(Arc::clone(&platform)),
                }
            }
        });
        started.map_err(|error| StoreError::Unavailable {
            what: format!("no thread can be started to talk to the keychain ({error}): end other programs"),
        })?;
        Ok(Self { jobs, busy })
    }
}

fn panicked(operation: &'static str) -> StoreError {
    StoreError::Keychain {
        operation,
        what: "the thread that talks to it panicked; please report it with its backtrace, and try again"
            .to_owned(),
    }
}

/// No code that can panic runs under these locks, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
