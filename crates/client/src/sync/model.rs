//! What the concurrent core is made of when loom checks it: loom's own locks and atomic numbers, and over these what `ArcSwap`
//! and tokio's `watch` and `Notify` promise in their documentation, no more.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

use crate::AccessToken;

/// An `ArcSwapOption`: a pointer that is loaded (acquire) and swapped (acquire and release). A load may give an older token as
/// long as nothing orders it after the swap, which a lock in its place would hide.
pub(crate) struct TokenCell {
    newest: AtomicUsize,
    /// All there ever were. The standard library's lock: loom need not know of it, as it never waits.
    all: std::sync::Mutex<Vec<TokenGuard>>,
}

/// A token of a [`TokenCell`], borrowed: it stays what it was.
#[derive(Clone)]
pub(crate) struct TokenGuard(Option<Arc<AccessToken>>);

impl TokenCell {
    pub(crate) fn empty() -> Self {
        Self { newest: AtomicUsize::new(0), all: std::sync::Mutex::new(vec![TokenGuard(None)]) }
    }

    pub(crate) fn load(&self) -> TokenGuard {
        let index = self.newest.load(Ordering::Acquire);
        self.all.lock().unwrap()[index].clone()
    }

    pub(crate) fn store(&self, token: Option<Arc<AccessToken>>) {
        let index = {
            let mut all = self.all.lock().unwrap();
            all.push(TokenGuard(token));
            all.len() - 1
        };
        self.newest.swap(index, Ordering::AcqRel);
    }
}

impl Deref for TokenGuard {
    type Target = Option<Arc<AccessToken>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Loom knows no time: this wait has no end but the condition's.
pub(crate) fn wait_while<T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'_, T>,
    _most: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) {
    while condition(&mut guard) {
        guard = condvar.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Those who wait, to be woken all at once.
#[derive(Default)]
struct Waiting(Vec<Waker>);

impl Waiting {
    fn add(&mut self, waker: &Waker) {
        if !self.0.iter().any(|known| known.will_wake(waker)) {
            self.0.push(waker.clone());
        }
    }

    fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.0)
    }
}

/// tokio's `Notify`, as far as it is used: whoever was made before the call hears of it, also if never polled before.
#[derive(Default)]
pub(crate) struct Notify(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    count: usize,
    waiting: Waiting,
}

impl Notify {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap()
    }

    pub(crate) fn notify_waiters(&self) {
        let waiting = {
            let mut calls = self.calls();
            calls.count += 1;
            calls.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, made_after: self.calls().count }
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    made_after: usize,
}

impl Notified<'_> {
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        self.notify.calls().count > self.made_after
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let mut calls = self.notify.calls();
        if calls.count > self.made_after {
            return Poll::Ready(());
        }
        calls.waiting.add(cx.waker());
        Poll::Pending
    }
}

/// tokio's `watch`, as far as it is used: receivers see the newest value, and that the sender is gone.
pub(crate) mod watch {
    use super::*;

    struct Shared<T>(Mutex<State<T>>);

    struct State<T> {
        value: T,
        closed: bool,
        waiting: Waiting,
    }

    pub(crate) struct Sender<T>(Arc<Shared<T>>);

    pub(crate) struct Receiver<T>(Arc<Shared<T>>);

    /// The newest value, borrowed: nobody changes it meanwhile.
    pub(crate) struct Ref<'a, T>(MutexGuard<'a, State<T>>);

    #[derive(Debug)]
    pub(crate) struct Closed;

    pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let shared =
            Arc::new(Shared(Mutex::new(State { value, closed: false, waiting: Waiting::default() })));
        (Sender(shared.clone()), Receiver(shared))
    }

    impl<T> Shared<T> {
        fn state(&self) -> MutexGuard<'_, State<T>> {
            self.0.lock().unwrap()
        }

        fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
            let (result, waiting) = {
                let mut state = self.state();
                (change(&mut state), state.waiting.take())
            };
            waiting.into_iter().for_each(Waker::wake);
            result
        }
    }

    impl<T> Sender<T> {
        pub(crate) fn send_replace(&self, value: T) -> T {
            self.0.change(|state| std::mem::replace(&mut state.value, value))
        }

        pub(crate) fn borrow(&self) -> Ref<'_, T> {
            Ref(self.0.state())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.change(|state| state.closed = true);
        }
    }

    impl<T> Receiver<T> {
        pub(crate) async fn wait_for(
            &mut self,
            is_wanted: impl Fn(&T) -> bool,
        ) -> Result<Ref<'_, T>, Closed> {
            let shared = &*self.0;
            poll_fn(move |cx| {
                let mut state = shared.state();
                if is_wanted(&state.value) {
                    return Poll::Ready(Ok(Ref(state)));
                }
                if state.closed {
                    return Poll::Ready(Err(Closed));
                }
                state.waiting.add(cx.waker());
                Poll::Pending
            })
            .await
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> Deref for Ref<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.value
        }
    }
}

/// Checks what a test does in every order that three unwanted changes of thread, and any number of wanted ones, can make.
#[track_caller]
pub(crate) fn checked(test: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check({
        let executions = executions.clone();
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            test();
        }
    });
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{:>9} executions: {name}", executions.load(Ordering::Relaxed));
}
