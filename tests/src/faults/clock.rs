//! A clock that all processes of a scenario share, and that the lab steps forward and back: the machine's clock and an offset
//! in a small file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_client::SystemClock;
use jeton_grants::Clock;

/// The machine's clock and what the file adds to it.
#[derive(Clone, Debug)]
pub(super) struct SteppedClock(Arc<File>);

impl SteppedClock {
    /// Makes the file, with an offset of nothing.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let clock = Self(Arc::new(file));
        clock.step_to(0)?;
        Ok(clock)
    }

    /// The clock that somebody else made.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(File::open(path)?)))
    }

    /// Sets the offset, in milliseconds, for everybody who has the clock.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn step_to(&self, offset_ms: i64) -> io::Result<()> {
        self.0.write_all_at(&offset_ms.to_le_bytes(), 0)
    }

    fn offset_ms(&self) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).expect("the clock's file");
        i64::from_le_bytes(bytes)
    }
}

#[async_trait]
impl Clock for SteppedClock {
    fn now(&self) -> SystemTime {
        let offset_ms = self.offset_ms();
        let by = Duration::from_millis(offset_ms.unsigned_abs());
        if offset_ms < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
