//! The tasks of a login that are under way, counted: the last session and `close` wait until there are none.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard, Notify, wait_while};

/// How many tasks are under way, waited for by threads and by futures.
#[derive(Default)]
pub(crate) struct Tasks {
    count: Mutex<usize>,
    condvar: Condvar,
    changed: Notify,
}

impl Tasks {
    /// Counts a task of that owner, until the guard goes.
    pub(crate) fn begin<O: AsRef<Self>>(owner: &Arc<O>) -> TaskGuard<O> {
        *(**owner).as_ref().count() += 1;
        TaskGuard(owner.clone())
    }

    /// Waits until no task is under way.
    pub(crate) async fn idle(&self) {
        loop {
            // Before the count is looked at: a task that ends in between is heard of.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if *self.count() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits, blocking, until no task is under way or the time is over.
    pub(crate) fn wait_until_idle(&self, most: Duration) {
        wait_while(&self.condvar, self.count(), most, |count| *count > 0);
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task under way; also when it panics, its end is noticed.
pub(crate) struct TaskGuard<O: AsRef<Tasks>>(Arc<O>);

impl<O: AsRef<Tasks>> Drop for TaskGuard<O> {
    fn drop(&mut self) {
        let tasks = (*self.0).as_ref();
        *tasks.count() -= 1;
        tasks.condvar.notify_all();
        tasks.changed.notify_waiters();
    }
}

#[cfg(all(test, jeton_loom))]
mod model;
