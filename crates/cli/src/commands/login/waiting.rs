//! What the person sees while a browser or a pasted address is waited for: how long there is still time, and that the browser is back.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jeton::grants::{InteractionError, LoginOutcome, RedirectEndpoint, RedirectReceiver, async_trait};
use jeton::{Secret, TerminalInteraction, Url};
use tokio::task::AbortHandle;

/// How often the time is shown while nothing is typed.
const OFTEN: Duration = Duration::from_secs(1);
/// How often it is shown beside something that may just be pasted: a long address takes several rows, and is not to be overwritten.
const SELDOM: Duration = Duration::from_secs(10);

/// The terminal, and the time that passes on it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) terminal: Arc<TerminalInteraction>,
    counting: Mutex<Option<AbortHandle>>,
}

impl Waiting {
    pub(super) fn at(terminal: TerminalInteraction) -> Arc<Self> {
        Arc::new(Self { terminal: Arc::new(terminal), counting: Mutex::new(None) })
    }

    /// Shows from now on how long there is time until then.
    pub(super) fn count_down(&self, until: SystemTime) {
        let terminal = self.terminal.clone();
        let counting = tokio::spawn(async move {
            // There is nobody to tell when standard error is closed.
            while terminal.count_down(time_until(until)).is_ok() && !time_until(until).is_zero() {
                tokio::time::sleep(OFTEN).await;
            }
        });
        self.replace(Some(counting.abort_handle()));
    }

    /// Shows it before the answer to the question that `asking` asks.
    pub(super) async fn count_down_while<T>(&self, until: SystemTime, asking: impl Future<Output = T>) -> T {
        let mut asking = std::pin::pin!(asking);
        // It asks first.
        let mut next = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                () = tokio::time::sleep(next) => {}
            }
            next = SELDOM;
            if draws() {
                let _ = self.terminal.count_down(time_until(until));
            }
        }
    }

    pub(super) fn end(&self) {
        self.replace(None);
    }

    fn replace(&self, counting: Option<AbortHandle>) {
        let mut own = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counting) = std::mem::replace(&mut *own, counting) {
            counting.abort();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end();
    }
}

fn time_until(until: SystemTime) -> Duration {
    until.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Whether standard error is a terminal that knows escape sequences.
fn draws() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// A place to which the browser is redirected, and the word that it was: what comes then may take its time.
pub(super) struct Told<R> {
    pub(super) redirect: R,
    pub(super) waiting: Arc<Waiting>,
}

#[async_trait]
impl<R: RedirectEndpoint> RedirectEndpoint for Told<R> {
    async fn open(&self, state: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
        let receiver = self.redirect.open(state).await?;
        Ok(Box::new(ToldReceiver { receiver, waiting: self.waiting.clone() }))
    }
}

struct ToldReceiver {
    receiver: Box<dyn RedirectReceiver>,
    waiting: Arc<Waiting>,
}

#[async_trait]
impl RedirectReceiver for ToldReceiver {
    fn redirect_uri(&self) -> &str {
        self.receiver.redirect_uri()
    }

    fn listens(&self) -> bool {
        self.receiver.listens()
    }

    async fn receive(&mut self) -> Result<Url, InteractionError> {
        let redirected = self.receiver.receive().await?;
        self.waiting.end();
        let _ = self.waiting.terminal.say_for_now("The browser is back; asking the server.");
        Ok(redirected)
    }

    async fn finish(&mut self, outcome: LoginOutcome<'_>) {
        self.receiver.finish(outcome).await;
    }
}
