//! `Clock`: what time it is and how to wait, injected so that no test waits for real time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

/// A source of time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// The same time of day in Unix milliseconds, as cheap as it can be had: it may lag behind [`now`](Self::now) by some
    /// milliseconds, and is never ahead of it. Asked each time a cached token is read.
    ///
    /// Unless a clock has something cheaper, this is [`now`](Self::now).
    fn coarse_unix_ms(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for that long. Dropping the future ends the wait.
    async fn sleep(&self, duration: Duration);
}

/// Whole seconds since 1970, as claims count them; 0 for a clock that is set before.
#[cfg(feature = "jose")]
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn coarse_unix_ms(&self) -> u64 {
        (**self).coarse_unix_ms()
    }

    async fn sleep(&self, duration: Duration) {
        (**self).sleep(duration).await;
    }
}

/// A clock for tests: it stands still until it is moved.
///
/// By default a sleep moves it on by itself, so that a device login of ten minutes passes at once;
/// [`ManualClock::paused`] makes sleepers wait for [`ManualClock::advance`].
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use jeton_grants::{Clock, ManualClock};
///
/// let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(1_005));
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Manual>>);

struct Manual {
    now: SystemTime,
    sleeps_advance: bool,
    slept: Vec<Duration>,
    sleepers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that shows `now`, and moves on by each sleep.
    pub fn at(now: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(Manual {
            now,
            sleeps_advance: true,
            slept: Vec::new(),
            sleepers: Vec::new(),
        })))
    }

    /// A clock that shows `now`, and moves by [`advance`](Self::advance) only.
    pub fn paused(now: SystemTime) -> Self {
        let clock = Self::at(now);
        clock.lock().sleeps_advance = false;
        clock
    }

    /// Moves the clock forward and wakes whoever sleeps. Beyond the end of time it stays where it is.
    pub fn advance(&self, duration: Duration) {
        let sleepers = {
            let mut manual = self.lock();
            manual.now = manual.now.checked_add(duration).unwrap_or(manual.now);
            std::mem::take(&mut manual.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: SystemTime) {
        self.lock().now = now;
        self.advance(Duration::ZERO);
    }

    /// Each sleep that was begun, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.lock().slept.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.lock().now).finish()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let until = {
            let mut manual = self.lock();
            manual.slept.push(duration);
            let until = manual.now.checked_add(duration);
            if let (true, Some(until)) = (manual.sleeps_advance, until) {
                manual.now = until;
            }
            until
        };
        let mut yielded = false;
        futures_util::future::poll_fn(|cx| {
            let mut manual = self.lock();
            // A sleep beyond the end of time never ends.
            if until.is_none_or(|until| manual.now < until) {
                if !manual.sleepers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    manual.sleepers.push(cx.waker().clone());
                }
                return std::task::Poll::Pending;
            }
            drop(manual);
            // Give way once, so that a loop of sleeps never starves the rest of a runtime.
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
}
