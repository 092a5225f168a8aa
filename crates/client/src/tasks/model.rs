//! The count of tasks under loom: nobody who waits is forgotten, and nobody is told too early. `cargo xtask test --only loom`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::future::block_on;
use loom::thread;

use super::{TaskGuard, Tasks};
use crate::sync::checked;

#[derive(Default)]
struct Owner {
    tasks: Tasks,
    ended: AtomicUsize,
}

impl AsRef<Tasks> for Owner {
    fn as_ref(&self) -> &Tasks {
        &self.tasks
    }
}

impl Owner {
    /// A task that is under way already, and ends in a thread of its own.
    fn run(self: &Arc<Self>) {
        let (owner, task) = (self.clone(), Tasks::begin(self));
        thread::spawn(move || owner.end(task));
    }

    fn end(&self, task: TaskGuard<Self>) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        drop(task);
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

#[test]
fn a_future_waits_until_the_last_task_has_ended() {
    checked(|| {
        let owner = Arc::new(Owner::default());
        owner.run();
        owner.run();
        block_on(owner.tasks.idle());
        assert_eq!(owner.ended(), 2);
    });
}

#[test]
fn a_thread_waits_until_the_last_task_has_ended() {
    checked(|| {
        let owner = Arc::new(Owner::default());
        owner.run();
        owner.run();
        owner.tasks.wait_until_idle(Duration::MAX);
        assert_eq!(owner.ended(), 2);
    });
}

#[test]
fn futures_and_threads_that_wait_are_all_woken() {
    checked(|| {
        let owner = Arc::new(Owner::default());
        owner.run();
        let future = thread::spawn({
            let owner = owner.clone();
            move || {
                block_on(owner.tasks.idle());
                assert_eq!(owner.ended(), 1);
            }
        });
        owner.tasks.wait_until_idle(Duration::MAX);
        assert_eq!(owner.ended(), 1);
        future.join().unwrap();
    });
}

#[test]
fn a_task_that_begins_before_the_last_one_has_ended_is_waited_for() {
    checked(|| {
        let owner = Arc::new(Owner::default());
        let first = Tasks::begin(&owner);
        thread::spawn({
            let owner = owner.clone();
            move || {
                let second = Tasks::begin(&owner);
                owner.end(first);
                owner.end(second);
            }
        });
        block_on(owner.tasks.idle());
        assert_eq!(owner.ended(), 2);
    });
}
