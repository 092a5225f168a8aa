//! Single small secrets in the keychain, for whatever needs one: the sealing key of a file store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::connection::EntryName;
use super::service::ServiceName;
use super::worker::{DEADLINE, Worker};
use crate::StoreError;

/// The entries of one service in the operating system's keychain.
///
/// Its calls work on any executor and never block it. Errors: [`StoreError::NoKeychain`], [`StoreError::Locked`],
/// [`StoreError::TimedOut`], [`StoreError::Keychain`], and [`StoreError::Damaged`] for an entry of no bytes.
#[derive(Clone)]
pub(crate) struct Keychain {
    service: ServiceName,
    deadline: Duration,
    worker: Arc<Worker>,
}

impl Keychain {
    /// The entries of that service. Touches nothing until the first call.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if some keychain could not take that name.
    pub(crate) fn open(service: &str) -> Result<Self, StoreError> {
        Ok(Self::over(Worker::of_this_process(), ServiceName::new(service)?))
    }

    /// The entries of that service in any keychain.
    pub(crate) fn over(worker: Arc<Worker>, service: ServiceName) -> Self {
        Self { service, deadline: DEADLINE, worker }
    }

    /// The same with another deadline for each call.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The keychain's name, for people.
    #[cfg(feature = "sealed")]
    pub(crate) fn name(&self) -> &'static str {
        self.worker.platform().name()
    }

    /// How many bytes a secret may have, where there is a limit.
    #[cfg(test)]
    pub(crate) fn limit(&self) -> Option<usize> {
        self.worker.platform().limit()
    }

    /// The secret of that user; `None` only if there is none for sure.
    pub(crate) async fn get(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let name = self.entry(user, "");
        self.worker
            .run("read an entry", self.deadline, move |connection| connection.get(name.as_name()))
            .await
    }

    /// Makes the entry or replaces its secret. The label is what people see in the keychain's own program, where it
    /// shows one. UTF-8 only: one of the keychains takes nothing else.
    #[cfg(any(feature = "sealed", test))]
    pub(crate) async fn set(
        &self,
        user: &str,
        label: &str,
        secret: Zeroizing<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let name = self.entry(user, label);
        self.worker
            .run("write an entry", self.deadline, move |connection| connection.set(name.as_name(), &secret))
            .await
    }

    /// Removes the entry; whether there was one.
    #[cfg(any(feature = "sealed", test))]
    pub(crate) async fn delete(&self, user: &str) -> Result<bool, StoreError> {
        let name = self.entry(user, "");
        self.worker
            .run("remove an entry", self.deadline, move |connection| connection.remove(name.as_name()))
            .await
    }

    fn entry(&self, user: &str, label: &str) -> OwnedName {
        // A keychain that takes labels takes no empty one.
        let label = if label.is_empty() { user } else { label };
        OwnedName { service: self.service.clone(), user: user.to_owned(), label: label.to_owned() }
    }
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").field("service", &self.service).finish()
    }
}

struct OwnedName {
    service: ServiceName,
    user: String,
    label: String,
}

impl OwnedName {
    fn as_name(&self) -> EntryName<'_> {
        EntryName { service: self.service.as_str(), user: &self.user, label: &self.label }
    }
}

#[cfg(test)]
impl Keychain {
    /// The entries of the service `jeton` in a keychain of the tests.
    pub(crate) fn of_tests(keychain: &super::fake::FakeKeychain) -> Self {
        let worker = Worker::new(Arc::new(keychain.clone()));
        Self::over(worker, ServiceName::new("jeton").unwrap()).with_deadline(Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeKeychain, SMALL};
    use super::*;

    /// Makes a call with that deadline, until one was begun and not answered: on a busy machine the deadline may pass
    /// before the thread comes to it, and then it never happens.
    async fn hang(keychain: &Keychain, value: &str) {
        for _ in 0..100 {
            match keychain.set("key", "", secret(value)).await {
                Err(error @ StoreError::TimedOut { pending: true, .. }) => {
                    return assert!(error.is_transient());
                }
                Err(StoreError::TimedOut { pending: false, .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("it was never begun");
    }

    fn secret(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_secret_comes_back_until_it_is_deleted() {
        let fake = FakeKeychain::default();
        let (one, other) = (Keychain::of_tests(&fake), Keychain::of_tests(&fake));
        assert_eq!(one.get("key").await.unwrap(), None);
        assert!(!one.delete("key").await.unwrap());
        one.set("key", "the sealing key", secret("1")).await.unwrap();
        one.set("key", "the sealing key", secret("2")).await.unwrap();
        assert_eq!(other.get("key").await.unwrap().unwrap().as_slice(), b"2");
        assert_eq!(other.get("another").await.unwrap(), None);
        assert!(other.delete("key").await.unwrap());
        assert_eq!(one.get("key").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_absent_keychain_is_told_apart_from_a_locked_one_and_from_a_missing_entry() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        fake.set(|state| state.absent = true);
        assert!(matches!(keychain.get("key").await, Err(StoreError::NoKeychain { .. })));
        assert!(matches!(keychain.set("key", "", secret("1")).await, Err(StoreError::NoKeychain { .. })));

        fake.set(|state| (state.absent, state.locked) = (false, true));
        assert!(matches!(keychain.get("key").await, Err(StoreError::Locked { .. })));
        fake.set(|state| state.hides_when_locked = true);
        assert!(matches!(keychain.get("key").await, Err(StoreError::Locked { .. })), "taken for absent");
        assert!(matches!(keychain.delete("key").await, Err(StoreError::Locked { .. })), "taken for absent");
        assert_eq!(fake.state().asked, 2);

        fake.set(|state| state.person_unlocks = true);
        assert_eq!(keychain.get("key").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_entry_that_a_locked_keychain_hides_is_found_once_it_is_unlocked() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        keychain.set("key", "", secret("1")).await.unwrap();
        fake.set(|state| (state.locked, state.hides_when_locked, state.person_unlocks) = (true, true, true));
        assert_eq!(keychain.get("key").await.unwrap().unwrap().as_slice(), b"1");
    }

    #[tokio::test]
    async fn a_restarted_daemon_gets_a_new_connection() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        keychain.set("key", "", secret("1")).await.unwrap();
        for session in 1..4 {
            fake.set(|state| state.session = session);
            assert_eq!(keychain.get("key").await.unwrap().unwrap().as_slice(), b"1");
            fake.set(|state| state.session += 10);
            keychain.set("key", "", secret("1")).await.unwrap();
        }
        assert_eq!(fake.state().opened, 1 + 6);
    }

    #[tokio::test]
    async fn no_bytes_are_no_secret() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        keychain.set("key", "", secret("1")).await.unwrap();
        fake.set(|state| state.gives_nothing = true);
        match keychain.get("key").await {
            Err(StoreError::Damaged { what, set_aside: None }) => assert!(what.contains("empty"), "{what}"),
            other => panic!("{other:?}"),
        }
        // It asked twice, over a new connection.
        assert_eq!(fake.state().opened, 2);
        fake.set(|state| state.gives_nothing = false);
        assert_eq!(keychain.get("key").await.unwrap().unwrap().as_slice(), b"1");
    }

    #[tokio::test]
    async fn what_is_too_large_is_told() {
        let fake = FakeKeychain::with_limit(Some(SMALL));
        let keychain = Keychain::of_tests(&fake);
        assert_eq!(keychain.limit(), Some(SMALL));
        keychain.set("key", "", secret(&"x".repeat(SMALL))).await.unwrap();
        let error = keychain.set("key", "", secret(&"x".repeat(SMALL + 1))).await.unwrap_err();
        assert!(error.to_string().contains("longer than the 2560 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_hanging_call_ends_at_its_deadline_and_what_waits_behind_it_never_happens() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        keychain.set("key", "", secret("old")).await.unwrap();
        fake.set(|state| state.hangs = true);
        // A twelfth of the time after which the thread is given up.
        let hasty = keychain.clone().with_deadline(Duration::from_millis(400));
        hang(&hasty, "begun").await;
        let queued = hasty.set("key", "", secret("queued")).await;
        assert!(matches!(queued, Err(StoreError::TimedOut { pending: false, .. })), "{queued:?}");
        fake.set(|state| state.hangs = false);
        assert_eq!(keychain.get("key").await.unwrap().unwrap().as_slice(), b"begun");
        assert_eq!(fake.state().calls, 3, "what was given up was begun");
    }

    #[tokio::test]
    async fn a_call_that_never_ends_does_not_take_the_keychain_with_it() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        keychain.set("key", "", secret("1")).await.unwrap();
        fake.set(|state| state.hangs = true);
        let hasty = keychain.clone().with_deadline(Duration::from_millis(10));
        hang(&hasty, "1").await;
        // These wait for their deadline, until one gets a thread of its own and hangs there.
        hang(&hasty, "1").await;
        fake.wait_for_hanging(2);
        fake.set(|state| state.hangs = false);
        assert_eq!(keychain.get("key").await.unwrap().unwrap().as_slice(), b"1");
    }

    #[tokio::test]
    async fn a_panic_of_the_keychain_is_an_error_and_the_next_call_works() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        // The panic is in the fake's own thread: what it prints is meant to be there.
        fake.set(|state| state.panics = true);
        let error = keychain.get("key").await.unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        fake.set(|state| state.panics = false);
        assert_eq!(keychain.get("key").await.unwrap(), None);
    }

    #[test]
    fn the_thread_ends_with_the_last_that_uses_it() {
        let fake = FakeKeychain::default();
        let keychain = Keychain::of_tests(&fake);
        // Without any runtime, too.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut get = Box::pin(keychain.get("key"));
        while get.as_mut().poll(&mut cx).is_pending() {
            std::thread::yield_now();
        }
        drop(get);
        let started = std::time::Instant::now();
        // The thread's connection has a share of the fake.
        let users = || Arc::strong_count(&keychain.worker.platform_shared());
        assert!(users() > 2);
        let platform = keychain.worker.platform_shared();
        drop(keychain);
        while Arc::strong_count(&platform) > 1 {
            assert!(started.elapsed() < Duration::from_secs(60), "the thread is still there");
            std::thread::yield_now();
        }
    }
}
