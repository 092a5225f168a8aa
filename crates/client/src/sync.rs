//! What the concurrent core of a session (slot.rs, tasks.rs, the marks of an access token) is made of: the standard library's
//! locks, `ArcSwap` and tokio's channels; or, for the model checker, loom's types and models of the others.

#[cfg(not(all(test, jeton_loom)))]
mod real {
    use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;

    use arc_swap::ArcSwapOption;
    pub(crate) use tokio::sync::{Notify, watch};

    use crate::AccessToken;

    /// A place for a token that is read without a lock and replaced at once.
    pub(crate) type TokenCell = ArcSwapOption<AccessToken>;

    /// A token of a [`TokenCell`], borrowed.
    pub(crate) type TokenGuard = arc_swap::Guard<Option<Arc<AccessToken>>>;

    /// Waits on the condition variable as long as the condition holds, or until the time is over.
    pub(crate) fn wait_while<T>(
        condvar: &Condvar,
        guard: MutexGuard<'_, T>,
        most: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) {
        drop(condvar.wait_timeout_while(guard, most, condition));
    }
}

#[cfg(all(test, jeton_loom))]
mod model;

#[cfg(all(test, jeton_loom))]
pub(crate) use model::*;
#[cfg(not(all(test, jeton_loom)))]
pub(crate) use real::*;
