//! The slot under loom: each test is run for every order in which its threads can come, with up to three of them put aside
//! against their will, and with every value that a load may give. `cargo xtask test --only loom`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use jeton_models::{Secret, Token};
use jeton_storage::{StoredToken, TokenTarget};
use loom::future::block_on;
use loom::thread;

use super::{Flight, Joined, Slot, landed_or};
use crate::access_token::Margins;
use crate::binding::Binding;
use crate::sync::Mutex;
use crate::sync::checked;
use crate::{AccessToken, Error};

/// In Unix milliseconds: the old token is expired, the fresh ones are not.
const NOW_MS: u64 = 5_000_000;

fn token(text: &str, expires_at: u64, refresh_ahead: bool) -> AccessToken {
    let mut token = Token::new(Secret::from(text));
    token.expires_at = Some(expires_at);
    let stored = StoredToken::new(&token, TokenTarget::default(), UNIX_EPOCH);
    let margins = Margins { early_expiry: Duration::ZERO, refresh_ahead };
    AccessToken::new(stored, None, margins, Binding::NONE).unwrap()
}

fn expired() -> AccessToken {
    token("expired", 1_000, false)
}

fn fresh(text: &str) -> AccessToken {
    token(text, 10_000, false)
}

fn text(token: Option<AccessToken>) -> Option<String> {
    token.map(|token| token.secret().expose().to_owned())
}

fn slot_with(token: Option<AccessToken>) -> Arc<Slot> {
    let slot = Arc::new(Slot::new(TokenTarget::default()));
    token.iter().for_each(|token| slot.publish(token));
    slot
}

/// What a caller gets that wants any fresh token: the loop of `Session::ensure`.
fn get(slot: &Arc<Slot>, fly: impl Fn(Flight)) -> Result<AccessToken, Error> {
    get_that(slot, |token| token.is_fresh_now(NOW_MS), fly).0
}

/// The same for a certain need, and how many flights it took.
fn get_that(
    slot: &Arc<Slot>,
    is_wanted: impl Fn(&AccessToken) -> bool,
    fly: impl Fn(Flight),
) -> (Result<AccessToken, Error>, usize) {
    block_on(async {
        for flights in 1.. {
            match slot.join_or_start(|| slot.cached().filter(&is_wanted), &fly) {
                Joined::Settled(token) => return (Ok(token), flights - 1),
                Joined::Flight { flight, started } => match landed_or(flight, || None).await {
                    result if started => return (result, flights),
                    Ok(token) if is_wanted(&token) => return (Ok(token), flights),
                    Ok(_) => {}
                    Err(error) => return (Err(error), flights),
                },
            }
        }
        unreachable!("the loop has no end")
    })
}

/// Runs the same in so many threads, of which this is one, and gives what they give.
fn in_threads<T: 'static>(count: usize, run: impl Fn() -> T + Clone + 'static) -> Vec<T> {
    let others: Vec<_> = (1..count).map(|_| thread::spawn(run.clone())).collect();
    let mut results = vec![run()];
    results.extend(others.into_iter().map(|other| other.join().unwrap()));
    results
}

fn assert_free(slot: &Arc<Slot>) {
    let joined = slot.join_or_start(|| None, drop);
    assert!(matches!(joined, Joined::Flight { started: true, .. }), "the slot is not free");
}

// ----- Flights ---------------------------------------------------------------------------------------------------------

#[test]
fn however_many_join_one_flight_per_expiry() {
    checked(|| {
        let (slot, flights) = (slot_with(Some(expired())), Arc::new(AtomicUsize::new(0)));
        let results = in_threads(3, {
            let (slot, flights) = (slot.clone(), flights.clone());
            move || {
                get(&slot, |flight| {
                    flights.fetch_add(1, Ordering::SeqCst);
                    let token = fresh("fresh");
                    slot.publish(&token);
                    flight.land(Ok(token));
                })
            }
        });
        assert!(results.into_iter().all(|result| text(result.ok()).as_deref() == Some("fresh")));
        assert_eq!(flights.load(Ordering::SeqCst), 1);
        assert_free(&slot);
    });
}

#[test]
fn whoever_waits_while_it_is_late_hears_of_the_landing() {
    checked(|| {
        let slot = slot_with(Some(expired()));
        let flights = Arc::new(AtomicUsize::new(0));
        let results = in_threads(2, {
            let (slot, flights) = (slot.clone(), flights.clone());
            move || {
                get(&slot, |flight| {
                    flights.fetch_add(1, Ordering::SeqCst);
                    let slot = slot.clone();
                    // Apart from whoever started it, who waits like the others.
                    thread::spawn(move || {
                        flight.is_late();
                        let token = fresh("fresh");
                        slot.publish(&token);
                        flight.land(Ok(token));
                    });
                })
            }
        });
        assert!(results.into_iter().all(|result| text(result.ok()).as_deref() == Some("fresh")));
        assert_eq!(flights.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn whoever_has_a_token_that_lives_does_not_wait_for_a_flight_that_is_late() {
    checked(|| {
        let slot = slot_with(Some(fresh("old")));
        let Joined::Flight { flight: waiting, .. } = slot.join_or_start(
            || None,
            |flight| {
                let slot = slot.clone();
                thread::spawn(move || {
                    flight.is_late();
                    let token = fresh("new");
                    slot.publish(&token);
                    flight.land(Ok(token));
                });
            },
        ) else {
            panic!("the slot was free");
        };
        // The old one if it had to wait, or already the new one.
        let got = block_on(landed_or(waiting, || slot.cached())).unwrap();
        assert!(["old", "new"].contains(&got.secret().expose()));
    });
}

#[test]
fn a_failed_flight_is_told_to_all_who_wait_and_the_next_can_start() {
    checked(|| {
        let (slot, flights) = (slot_with(Some(expired())), Arc::new(AtomicUsize::new(0)));
        let results = in_threads(3, {
            let (slot, flights) = (slot.clone(), flights.clone());
            move || {
                get(&slot, |flight| match flights.fetch_add(1, Ordering::SeqCst) {
                    0 => flight.land(Err(Error::configuration("down"))),
                    _ => {
                        let token = fresh("fresh");
                        slot.publish(&token);
                        flight.land(Ok(token));
                    }
                })
            }
        });
        let failed = results.iter().filter(|result| result.is_err()).count();
        let got = results.into_iter().filter_map(Result::ok).all(|token| token.secret().expose() == "fresh");
        assert!(failed >= 1 && got);
        // Whoever came after the failure shared one flight.
        assert_eq!(flights.load(Ordering::SeqCst), if failed == 3 { 1 } else { 2 });
        assert_free(&slot);
    });
}

#[test]
fn a_flight_that_panics_frees_the_slot_and_leaves_nobody_waiting() {
    checked(|| {
        let (slot, flights) = (slot_with(Some(expired())), Arc::new(AtomicUsize::new(0)));
        let results = in_threads(3, {
            let (slot, flights) = (slot.clone(), flights.clone());
            move || {
                get(&slot, |flight| match flights.fetch_add(1, Ordering::SeqCst) {
                    // What unwinding does.
                    0 => drop(flight),
                    _ => {
                        let token = fresh("fresh");
                        slot.publish(&token);
                        flight.land(Ok(token));
                    }
                })
            }
        });
        let panicked = results.iter().filter(|result| matches!(result, Err(Error::Panicked))).count();
        let got = results.iter().filter(|result| result.is_ok()).count();
        assert!(panicked >= 1 && panicked + got == 3);
        assert_eq!(flights.load(Ordering::SeqCst), if got == 0 { 1 } else { 2 });
        assert_free(&slot);
    });
}

#[test]
fn whoever_needs_more_than_a_flight_gave_starts_the_next() {
    checked(|| {
        let (slot, flights) = (slot_with(Some(expired())), Arc::new(AtomicUsize::new(0)));
        let get = |wanted: u64| {
            let (slot, flights) = (slot.clone(), flights.clone());
            move || {
                let is_wanted = |token: &AccessToken| token.expires_at_ms() >= Some(wanted * 1_000);
                let fly = |flight: Flight| {
                    flights.fetch_add(1, Ordering::SeqCst);
                    let token = token(&wanted.to_string(), wanted, false);
                    slot.publish(&token);
                    flight.land(Ok(token));
                };
                get_that(&slot, is_wanted, fly)
            }
        };
        let modest = [thread::spawn(get(10_000)), thread::spawn(get(10_000))];
        let (demanding, joined) = get(20_000)();
        assert_eq!(demanding.unwrap().expires_at_ms(), Some(20_000_000));
        // Never twice the same: a flight that has landed is joined by nobody.
        assert!(joined <= 2, "joined {joined} flights");
        for modest in modest {
            let (token, joined) = modest.join().unwrap();
            assert!(token.unwrap().expires_at_ms() >= Some(10_000_000));
            assert!(joined <= 1, "joined {joined} flights");
        }
        assert!(flights.load(Ordering::SeqCst) <= 2);
        assert_free(&slot);
    });
}

// ----- Ahead of time ---------------------------------------------------------------------------------------------------

#[test]
fn ahead_of_time_many_callers_start_one_flight_and_none_waits() {
    checked(|| {
        // Lives until 10,000 s, and is due long before that, whatever the jitter.
        let old = token("old", 10_000, true);
        let (slot, flights) = (slot_with(Some(old)), Arc::new(AtomicUsize::new(0)));
        let claims = Arc::new(AtomicUsize::new(0));
        let now_ms = 9_999_000;
        in_threads(3, {
            let (slot, flights, claims) = (slot.clone(), flights.clone(), claims.clone());
            move || {
                let token = slot.cached_ref().filter(|token| token.is_fresh_now(now_ms)).unwrap();
                if !token.is_due_ahead(now_ms) || !token.claim_ahead(now_ms) {
                    return;
                }
                claims.fetch_add(1, Ordering::SeqCst);
                let settled = || slot.cached().filter(|cached| !cached.is_same(&token));
                slot.join_or_start(settled, |flight| {
                    flights.fetch_add(1, Ordering::SeqCst);
                    let new = fresh("new");
                    slot.publish(&new);
                    flight.land(Ok(new));
                });
            }
        });
        assert_eq!((claims.load(Ordering::SeqCst), flights.load(Ordering::SeqCst)), (1, 1));
        assert_eq!(text(slot.cached()).as_deref(), Some("new"));
    });
}

#[test]
fn ahead_of_time_and_on_expiry_at_once_is_one_flight() {
    checked(|| {
        let old = token("old", 10_000, true);
        let (slot, flights) = (slot_with(Some(old.clone())), Arc::new(AtomicUsize::new(0)));
        let fly = {
            let (slot, flights) = (slot.clone(), flights.clone());
            move |flight: Flight| {
                flights.fetch_add(1, Ordering::SeqCst);
                let new = token("new", 20_000, true);
                slot.publish(&new);
                flight.land(Ok(new));
            }
        };
        let ahead = thread::spawn({
            let (slot, fly) = (slot.clone(), fly.clone());
            move || {
                assert!(old.claim_ahead(9_999_999));
                slot.join_or_start(|| slot.cached().filter(|cached| !cached.is_same(&old)), fly);
            }
        });
        let (got, _) = get_that(&slot, |token| token.is_fresh_now(10_000_000), fly);
        assert_eq!(text(got.ok()).as_deref(), Some("new"));
        ahead.join().unwrap();
        assert_eq!(flights.load(Ordering::SeqCst), 1);
    });
}

// ----- The cached token ------------------------------------------------------------------------------------------------

/// A store that is read without a lease and written under it, and the process that caches it.
struct Process {
    slot: Arc<Slot>,
    store: Mutex<Option<AccessToken>>,
    lease: Mutex<()>,
}

impl Process {
    /// With a token in the store, and none in memory.
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: slot_with(None),
            store: Mutex::new(Some(fresh("first"))),
            lease: Mutex::new(()),
        })
    }

    fn stored(&self) -> Option<AccessToken> {
        self.store.lock().unwrap().clone()
    }

    /// What a transaction does before it asks for the lease.
    fn adopt(&self) {
        let changes = self.slot.change_count();
        if let Some(token) = self.stored() {
            self.slot.publish_unless_changed(changes, &token);
        }
    }

    /// What it does under the lease; or nothing, if the login is gone.
    fn refresh(&self) {
        let _lease = self.lease.lock().unwrap();
        let Some(old) = self.stored() else { return };
        let new = fresh(&format!("{}, refreshed", old.secret().expose()));
        *self.store.lock().unwrap() = Some(new.clone());
        self.slot.publish(&new);
    }

    fn log_out(&self) {
        let _lease = self.lease.lock().unwrap();
        *self.store.lock().unwrap() = None;
        self.slot.clear();
    }

    /// Revokes the first token, whatever there is by now.
    fn revoke(&self) {
        let _lease = self.lease.lock().unwrap();
        let first = Secret::from("first");
        self.store.lock().unwrap().take_if(|token| *token.secret() == first);
        self.slot.forget(&first);
    }

    fn log_in(&self) {
        let _lease = self.lease.lock().unwrap();
        let token = fresh("second");
        *self.store.lock().unwrap() = Some(token.clone());
        self.slot.clear();
        self.slot.publish(&token);
    }

    /// Runs these at once; afterwards memory must have what the store has.
    fn all(steps: impl IntoIterator<Item = fn(&Self)>) -> Option<String> {
        let process = Self::new();
        let threads: Vec<_> = steps
            .into_iter()
            .map(|step| {
                let process = process.clone();
                thread::spawn(move || step(&process))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let cached = text(process.slot.cached());
        assert_eq!(cached, text(process.stored()));
        cached
    }
}

#[test]
fn what_was_read_without_the_lease_never_overwrites_what_is_newer() {
    checked(|| {
        let cached = Process::all([Process::adopt, Process::refresh, Process::adopt]);
        assert_eq!(cached.as_deref(), Some("first, refreshed"));
    });
}

#[test]
fn a_login_that_was_left_never_comes_back() {
    checked(|| assert_eq!(Process::all([Process::adopt, Process::log_out, Process::adopt]), None));
}

#[test]
fn a_refresh_and_a_log_out_leave_what_the_store_has() {
    checked(|| assert_eq!(Process::all([Process::adopt, Process::log_out, Process::refresh]), None));
}

#[test]
fn a_revoked_token_never_comes_back() {
    checked(|| assert_eq!(Process::all([Process::adopt, Process::revoke, Process::adopt]), None));
}

#[test]
fn revoking_a_token_leaves_the_next_one() {
    checked(|| {
        let cached = Process::all([Process::adopt, Process::revoke, Process::refresh]);
        assert!([None, Some("first, refreshed")].contains(&cached.as_deref()), "{cached:?}");
    });
}

#[test]
fn a_new_login_is_not_replaced_by_the_old_one() {
    checked(|| {
        let cached = Process::all([Process::adopt, Process::log_in, Process::refresh]);
        assert!(["second", "second, refreshed"].map(Some).contains(&cached.as_deref()), "{cached:?}");
    });
}

#[test]
fn a_reader_never_sees_an_older_token_after_a_newer_one_and_what_it_holds_stays() {
    checked(|| {
        let slot = slot_with(Some(fresh("first")));
        let writer = thread::spawn({
            let slot = slot.clone();
            move || {
                slot.publish(&fresh("second"));
                slot.clear();
            }
        });
        let age = |token: &Option<crate::CachedToken<'_>>| match token
            .as_ref()
            .map(|token| token.secret().expose())
        {
            Some("first") => 0,
            Some(_) => 1,
            None => 2,
        };
        let earlier = slot.cached_ref();
        let seen = age(&earlier);
        let later = slot.cached_ref();
        assert!(age(&later) >= seen);
        writer.join().unwrap();
        assert_eq!(age(&earlier), seen);
        assert!(slot.cached_ref().is_none());
    });
}
