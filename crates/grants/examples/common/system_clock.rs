//! The system's clock, with sleeps by tokio.

use std::time::{Duration, SystemTime};

use jeton_grants::{Clock, async_trait};

/// Real time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
