//! `SystemClock`: the clock of this machine, and tokio's timer.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_grants::Clock;

/// The clock of this machine; it waits with tokio's timer.
///
/// `sleep` has to run on a tokio runtime whose time driver is enabled (`enable_time` or `enable_all`); `now` runs anywhere.
/// A wait is measured on the monotonic clock: setting the time of day neither shortens nor lengthens it.
///
/// On Linux and Android `coarse_unix_ms` shows the time of the kernel's last tick (`CLOCK_REALTIME_COARSE`), which takes a few
/// nanoseconds to read instead of tens. It is late by a tick at most: 1 to 10 ms, as the kernel is configured. So a cached token
/// can be served that much longer than its margin says, which is no harm: a request is longer than that on its way, and the margin
/// of 30 s is there for it. Elsewhere it is the same as `now`.
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

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn coarse_unix_ms(&self) -> u64 {
        tick_ms().unwrap_or(0)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The time of the kernel's last tick in Unix milliseconds. Nothing before 1970.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn tick_ms() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
    Some(seconds.checked_mul(1_000)? + nanoseconds / 1_000_000)
}

#[cfg(test)]
mod tests {
    use jeton_storage::unix_ms;

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

    #[test]
    fn its_coarse_time_is_the_same_time_of_day_but_for_a_tick() {
        // A virtual machine that was put aside has its tick later: it is enough to see the lag of a tick once.
        let seen = (0..10_000).any(|_| {
            let before = unix_ms(SystemClock.now());
            let coarse = SystemClock.coarse_unix_ms();
            let after = unix_ms(SystemClock.now());
            assert!(coarse <= after, "{coarse} is ahead of {after}");
            before.saturating_sub(coarse) <= 10
        });
        assert!(seen, "always more than a tick behind");
    }
}
