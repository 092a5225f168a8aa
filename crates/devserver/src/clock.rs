//! The server's own clock: a source (real time unless a test brings its own) plus an offset that only grows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub(crate) type TimeSource = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(crate) struct Clock {
    source: TimeSource,
    offset: Mutex<Duration>,
}

impl Clock {
    pub(crate) fn new(source: Option<TimeSource>) -> Self {
        Self { source: source.unwrap_or_else(|| Arc::new(SystemTime::now)), offset: Mutex::default() }
    }

    pub(crate) fn now(&self) -> SystemTime {
        let offset = *self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.source)();
        now.checked_add(offset).unwrap_or(now)
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = offset.saturating_add(by);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

/// Whole seconds since 1970, as the members `exp` and `iat` want them.
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
