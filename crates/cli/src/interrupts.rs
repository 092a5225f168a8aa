//! Ctrl-C, `kill` and a closed terminal: they end the command at once, but not between the spending of a refresh token and the saving of
//! the next one. That takes as long as one request; a second signal ends it even so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jeton::storage::{
    LoginKey, LoginKeys, LoginRecord, StoreDescription, StoreError, TokenLease, TokenStore, async_trait,
};

static STATE: Mutex<State> = Mutex::new(State { listens: false, holds: 0, pending: None, clean_up: None });

struct State {
    listens: bool,
    /// How many leases are held.
    holds: usize,
    /// The signal that came meanwhile.
    pending: Option<i32>,
    /// What must be done before the end.
    clean_up: Option<Box<dyn FnOnce() + Send>>,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store whose leases are not interrupted.
pub(crate) struct Uninterrupted(pub(crate) Arc<dyn TokenStore>);

#[async_trait]
impl TokenStore for Uninterrupted {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.0.load(key).await
    }

    async fn lease(
        &self,
        key: &LoginKey,
        deadline: std::time::Duration,
    ) -> Result<Box<dyn TokenLease>, StoreError> {
        // Waiting for others may be interrupted.
        let inner = self.0.lease(key, deadline).await?;
        Ok(Box::new(UninterruptedLease { inner, _hold: Hold::begin() }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.0.list()
    }

    fn describe(&self) -> StoreDescription {
        self.0.describe()
    }
}

/// The lease goes first, then what holds signals back.
struct UninterruptedLease {
    inner: Box<dyn TokenLease>,
    _hold: Hold,
}

#[async_trait]
impl TokenLease for UninterruptedLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        self.inner.load().await
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.inner.reserve(bytes).await
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        self.inner.save(record).await
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.inner.delete().await
    }
}

/// As long as one lives, the first signal waits.
struct Hold(());

impl Hold {
    fn begin() -> Self {
        let mut state = state();
        state.holds += 1;
        listen(&mut state);
        Self(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = state();
        state.holds -= 1;
        if state.holds == 0
            && let Some(signal) = state.pending
        {
            die(state, signal);
        }
    }
}

/// Does that before a signal ends the command, as long as what is given back lives.
pub(crate) fn before_the_end(clean_up: impl FnOnce() + Send + 'static) -> CleanUp {
    let mut state = state();
    state.clean_up = Some(Box::new(clean_up));
    listen(&mut state);
    CleanUp(())
}

/// See [`before_the_end`].
pub(crate) struct CleanUp(());

impl Drop for CleanUp {
    fn drop(&mut self) {
        state().clean_up = None;
    }
}

fn received(signal: i32) {
    let mut state = state();
    if state.holds == 0 || state.pending.is_some() {
        die(state, signal);
    }
    state.pending = Some(signal);
    drop(state);
    crate::output::Output::notice(
        "jeton: a login is being renewed; this ends as soon as it is stored (a second time ends it at once, and may lose the login)",
    );
}

fn die(mut state: MutexGuard<'_, State>, signal: i32) -> ! {
    let clean_up = state.clean_up.take();
    drop(state);
    if let Some(clean_up) = clean_up {
        clean_up();
    }
    end_by(signal)
}

#[cfg(unix)]
fn listen(state: &mut State) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    if state.listens {
        return;
    }
    // Who cannot listen is ended at once, as if nobody had tried.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    let thread = std::thread::Builder::new().name("interrupts".to_owned());
    state.listens = thread.spawn(move || signals.forever().for_each(received)).is_ok();
}

/// By the signal itself, so that a shell sees that the person wanted to end more than this one command.
#[cfg(unix)]
fn end_by(signal: i32) -> ! {
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

#[cfg(not(unix))]
fn listen(state: &mut State) {
    if state.listens {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let thread = std::thread::Builder::new().name("interrupts".to_owned());
    let listening = thread.spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                received(INTERRUPT);
            }
        });
    });
    state.listens = listening.is_ok();
}

#[cfg(not(unix))]
const INTERRUPT: i32 = 2;

#[cfg(not(unix))]
fn end_by(signal: i32) -> ! {
    std::process::exit(128 + signal)
}
