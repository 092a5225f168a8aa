//! A gate that requests wait at until a test opens it: concurrency without sleeps.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub(crate) struct Gate {
    state: watch::Sender<Held>,
    /// For those who wait without an async runtime; guards nothing, orders check and wake-up.
    arrivals: Mutex<()>,
    arrived: Condvar,
}

#[derive(Default)]
struct Held {
    count: usize,
    /// How often the gate was opened. A request waits for the next time after its arrival.
    opened: u64,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::default(), arrivals: Mutex::default(), arrived: Condvar::new() }
    }

    /// Waits until the gate is opened.
    pub(crate) async fn hold(&self) {
        let mut watch = self.state.subscribe();
        let mut opened = 0;
        self.state.send_modify(|held| {
            held.count += 1;
            opened = held.opened;
        });
        let _place = Place { gate: self, opened };
        drop(self.arrivals.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_all();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = watch.wait_for(|held| held.opened > opened).await;
    }

    pub(crate) fn open(&self) {
        self.state.send_modify(|held| {
            held.count = 0;
            held.opened += 1;
        });
    }

    pub(crate) async fn wait_until_held(&self, count: usize) {
        let mut watch = self.state.subscribe();
        let _ = watch.wait_for(|held| held.count >= count).await;
    }

    pub(crate) fn wait_until_held_blocking(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut guard = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.state.borrow().count >= count {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            guard = self.arrived.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A request's place at the gate; leaves when the client goes away.
struct Place<'a> {
    gate: &'a Gate,
    opened: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Opening the gate has already emptied it, and others may have come since.
        self.gate.state.send_if_modified(|held| {
            let counted = held.opened == self.opened;
            held.count -= usize::from(counted);
            counted
        });
    }
}
