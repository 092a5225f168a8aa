//! `SystemClock`: the clock of this machine, and tokio's timer.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_grants::Clock;

/// The clock of this machine; it waits with tokio's timer.
///
/// `sleep` has to run on a tokio runtime whose time driver is enabled (`enable_time` or `enable_all`); `now` runs anywhere.
/// A wait is measured on the monotonic clock: setting the time of day neither shortens nor lengthens it.
///
/// ```
/// use std::time::Duration;
/// use jeton_client::SystemClock;
/// use jeton_grants::Clock;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let before = SystemClock.now();
/// SystemClock.sleep(Duration::from_millis(1)).await;
/// assert!(SystemClock.now() >= before);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The clock of this machine.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_on_tokios_timer_for_as_long_as_it_was_told() {
        let before = tokio::time::Instant::now();
        SystemClock.sleep(Duration::from_secs(3600)).await;
        let waited = before.elapsed();
        assert!(waited >= Duration::from_secs(3600) && waited < Duration::from_secs(3601), "{waited:?}");
    }

    #[test]
    fn it_shows_the_time_of_day_of_this_machine() {
        let (before, shown, after) = (SystemTime::now(), SystemClock.now(), SystemTime::now());
        assert!(before <= shown && shown <= after);
    }
}
