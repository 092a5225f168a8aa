//! Real processes that share one file store against a strict server: a refresh token that is used twice ends the login,
//! so that every test here ends by asking whether it still lives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::time::Duration;

use jeton_devserver::{Endpoint, Fault};
use jeton_tests::browser::PATIENCE;
use jeton_tests::house::{House, advance, one_token, tell_all};
use jeton_tests::worker::{Command, Reply, Worker};
use jeton_tests::world::LIFETIME;

fn house() -> House {
    House::new(env!("CARGO_BIN_EXE_worker"))
}

#[test]
fn fifty_processes_cause_one_refresh_per_expiry() {
    let house = house();
    let mut first = house.signed_in();
    let mut workers = house.workers(49);
    let before = first.ask(&Command::Token).token();
    assert_eq!(one_token(tell_all(&mut workers, &Command::Token)), before);
    assert_eq!(house.refreshes(), 0, "a valid token in the store is nobody's reason to ask");
    workers.push(first);

    let mut last = before;
    for expiry in 1..=4 {
        house.pass_an_expiry(&mut workers);
        // In every other round the one that refreshes is held up until the others have come, too.
        let held = expiry % 2 == 0;
        if held {
            house.server.fault(Endpoint::Token, Fault::Gate);
        }
        workers.iter_mut().for_each(|worker| worker.tell(&Command::Token));
        if held {
            house.wait_until_held();
            house.server.open_gate();
        }
        let token = one_token(workers.iter_mut().map(Worker::reply).collect());

        assert_ne!(token, last);
        assert!(house.server.is_access_token_live(&token));
        assert_eq!(house.refreshes(), expiry, "one request per expiry");
        last = token;
    }
    assert_eq!(house.server.stats().max_concurrent_token_requests, 1);
    house.assert_login_alive();
}

#[test]
fn processes_that_all_ask_for_a_refresh_share_what_one_of_them_gets() {
    let house = house();
    drop(house.signed_in());
    let mut workers = house.workers(20);
    let old = one_token(tell_all(&mut workers, &Command::Token));
    house.server.fault(Endpoint::Token, Fault::Gate);
    workers.iter_mut().for_each(|worker| worker.tell(&Command::Refresh));
    house.wait_until_held();
    house.server.open_gate();
    let new = one_token(workers.iter_mut().map(Worker::reply).collect());
    assert_ne!(new, old);
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn a_caller_dropped_in_the_middle_of_a_refresh_loses_nothing() {
    let house = house();
    let mut worker = house.signed_in();
    house.pass_an_expiry([&mut worker]);
    house.hold_the_next_answer();
    assert_eq!(worker.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    assert_eq!(worker.ask(&Command::DropCaller), Reply::Done);
    house.server.open_gate();

    // The refresh goes on without its caller, and the next caller gets what it brought.
    let token = worker.ask(&Command::Token).token();
    assert!(house.server.is_access_token_live(&token));
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn a_runtime_that_ends_in_the_middle_of_a_refresh_loses_nothing() {
    for end in [Command::EndRuntime, Command::AbandonRuntime] {
        let house = house();
        let mut worker = house.signed_in();
        house.pass_an_expiry([&mut worker]);
        house.hold_the_next_answer();
        assert_eq!(worker.ask(&Command::Begin), Reply::Done);
        house.wait_until_held();
        assert_eq!(worker.ask(&end), Reply::Done);
        house.server.open_gate();

        let token = worker.ask(&Command::Token).token();
        assert!(house.server.is_access_token_live(&token));
        assert_eq!(house.refreshes(), 1);
        house.assert_login_alive();
    }
}

#[test]
fn a_runtime_and_then_the_process_that_end_in_the_middle_of_a_refresh_lose_nothing() {
    let house = house();
    let mut worker = house.signed_in();
    house.pass_an_expiry([&mut worker]);
    house.hold_the_next_answer();
    assert_eq!(worker.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    assert_eq!(worker.ask(&Command::EndRuntime), Reply::Done);
    assert_eq!(worker.ask(&Command::Return), Reply::Done);
    house.server.open_gate();
    assert!(worker.ended().success());
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

/// An abandoned runtime's threads may still hold a session when `main` returns, and no thread outlives `main`: then the
/// session that `main` drops is not the last one and does not wait. That is what `close` is for.
#[test]
fn close_keeps_the_refresh_of_a_runtime_that_was_abandoned() {
    let house = house();
    let mut worker = house.signed_in();
    house.pass_an_expiry([&mut worker]);
    house.hold_the_next_answer();
    assert_eq!(worker.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    assert_eq!(worker.ask(&Command::AbandonRuntime), Reply::Done);
    worker.tell(&Command::Close);
    house.server.open_gate();
    assert_eq!(worker.reply(), Reply::Done);
    assert_eq!(worker.ask(&Command::Return), Reply::Done);
    assert!(worker.ended().success());
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn a_main_that_returns_in_the_middle_of_a_refresh_loses_nothing() {
    let house = house();
    let mut worker = house.signed_in();
    house.pass_an_expiry([&mut worker]);
    house.hold_the_next_answer();
    assert_eq!(worker.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    assert_eq!(worker.ask(&Command::Return), Reply::Done);
    assert!(worker.runs(), "the process waits for the refresh under way");
    let spent = house.record().unwrap().refresh_token.unwrap();
    assert!(
        !house.server.is_refresh_token_live(spent.expose()),
        "the server has rotated, the answer is on its way"
    );
    house.server.open_gate();
    assert!(worker.ended().success());

    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();

    // The next run finds the new token.
    let mut next = house.worker();
    assert_eq!(next.ask(&advance(LIFETIME)), Reply::Done);
    assert!(house.server.is_access_token_live(&next.ask(&Command::Token).token()));
    assert_eq!(house.refreshes(), 1);
}

#[test]
fn a_process_killed_between_expiries_holds_up_nobody() {
    let house = house();
    let mut workers = house.workers(6);
    workers[0].ask(&Command::LogIn).token();
    for expiry in 1..=3 {
        house.pass_an_expiry(&mut workers);
        let token = one_token(tell_all(&mut workers, &Command::Token));
        assert!(house.server.is_access_token_live(&token));
        assert_eq!(house.refreshes(), expiry);
        workers.remove(0).kill();
    }
    house.assert_login_alive();
}

#[test]
fn a_process_killed_while_it_holds_the_lease_gives_it_up() {
    let house = house();
    let mut doomed = house.signed_in();
    let mut heir = house.worker();
    heir.ask(&Command::Token).token();
    house.pass_an_expiry([&mut doomed, &mut heir]);

    // The server has not done anything yet: the gate comes first.
    house.server.fault(Endpoint::Token, Fault::Sequence(vec![Fault::Gate, Fault::DropBeforeCommit]));
    assert_eq!(doomed.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    heir.tell(&Command::Token);
    doomed.kill();

    let token = heir.reply().token();
    house.server.open_gate();
    assert!(house.server.is_access_token_live(&token));
    assert_eq!(house.refreshes(), 2, "one that was never answered, and the heir's");
    assert_eq!(house.server.stats().refreshes, 1);
    house.assert_login_alive();
}

#[test]
fn a_log_out_by_one_process_is_seen_by_the_others() {
    let house = house();
    let mut one = house.signed_in();
    let mut others = house.workers(2);
    one_token(tell_all(&mut others, &Command::Token));
    assert_eq!(one.ask(&Command::LogOut), Reply::Done);
    assert_eq!(house.server.live_logins(), 0, "the refresh token was revoked at the server");
    assert_eq!(house.record(), None);

    let gone = Reply::LoginRequired("LoggedOut".to_owned());
    // One asks for a refresh at once, the other notices at the next expiry.
    assert_eq!(others[0].ask(&Command::Refresh), gone);
    house.pass_an_expiry(&mut others);
    assert_eq!(others[1].ask(&Command::Token), gone);
    assert_eq!(house.refreshes(), 0, "nobody sends a token of a login that is gone");
    assert_eq!(house.record(), None, "and nobody brings it back");
}

#[test]
fn a_new_login_by_one_process_is_adopted_by_the_others() {
    let house = house();
    let mut one = house.signed_in();
    let mut others = house.workers(3);
    let old = one_token(tell_all(&mut others, &Command::Token));

    // While the old one lives: seen at a refresh and at the next expiry.
    let new = one.ask(&Command::LogIn).token();
    assert_ne!(new, old);
    assert_eq!(others[0].ask(&Command::Refresh).token(), new);
    assert_eq!(house.refreshes(), 0, "theirs is new enough");
    house.pass_an_expiry(others.iter_mut().chain([&mut one]));
    let after = one_token(tell_all(others.iter_mut().chain([&mut one]), &Command::Token));
    assert!(house.server.is_access_token_live(&after));
    assert_eq!(house.refreshes(), 1);

    // And after a log-out, by processes that have been told that nobody is signed in.
    assert_eq!(one.ask(&Command::LogOut), Reply::Done);
    for other in &mut others {
        assert_eq!(other.ask(&Command::Refresh), Reply::LoginRequired("LoggedOut".to_owned()));
    }
    let again = one.ask(&Command::LogIn).token();
    assert_eq!(one_token(tell_all(&mut others, &Command::Token)), again);
    assert_eq!(house.refreshes(), 1);
    let record = house.record().unwrap();
    assert!(house.server.is_refresh_token_live(record.refresh_token.unwrap().expose()));
    assert_eq!(house.server.stats().refresh_reuses_detected, 0);
}

#[test]
fn the_second_run_finds_the_login() {
    let house = house();
    let mut first = house.worker();
    assert_eq!(first.ask(&Command::Token), Reply::LoginRequired("NeverLoggedIn".to_owned()));
    let token = first.ask(&Command::LogIn).token();
    assert_eq!(first.ask(&Command::Return), Reply::Done);
    assert!(first.ended().success());

    let before = house.server.stats().requests_to(Endpoint::Token);
    let mut second = house.worker();
    assert_eq!(second.ask(&Command::Token).token(), token);
    assert_eq!(house.server.stats().requests_to(Endpoint::Token), before, "a valid token needs no request");

    house.pass_an_expiry([&mut second]);
    let refreshed = second.ask(&Command::Token).token();
    assert!(house.server.is_access_token_live(&refreshed));
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn a_restart_of_all_processes_costs_one_refresh() {
    let house = house();
    drop(house.signed_in());
    let offset = advance(LIFETIME + Duration::from_secs(1));
    let mut generation = house.workers(8);
    let first = one_token(tell_all(&mut generation, &Command::Token));
    for worker in &mut generation {
        assert_eq!(worker.ask(&Command::Return), Reply::Done);
    }
    assert!(generation.into_iter().all(|worker| worker.ended().success()));

    // The machine was off for longer than the token lived.
    house.server.advance(LIFETIME + Duration::from_secs(1));
    let mut generation = house.workers(8);
    tell_all(&mut generation, &offset);
    let second = one_token(tell_all(&mut generation, &Command::Token));
    assert_ne!(second, first);
    assert!(house.server.is_access_token_live(&second));
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn two_accounts_in_one_store_never_meet() {
    let house = house();
    let (mut alice, mut bob) = (house.worker_of("alice"), house.worker_of("bob"));
    house.server.approve_as("alice");
    let of_alice = alice.ask(&Command::LogIn).token();
    assert_eq!(bob.ask(&Command::Token), Reply::LoginRequired("NeverLoggedIn".to_owned()));
    house.server.approve_as("bob");
    let of_bob = bob.ask(&Command::LogIn).token();
    assert_ne!(of_alice, of_bob);

    // Their refreshes do not wait for each other: both are held at the same time.
    house.pass_an_expiry([&mut alice, &mut bob]);
    house.server.fault_times(Endpoint::Token, Fault::Gate, 2);
    alice.tell(&Command::Token);
    bob.tell(&Command::Token);
    assert!(house.server.wait_until_held_blocking(2, PATIENCE));
    house.server.open_gate();
    let (of_alice, of_bob) = (alice.reply().token(), bob.reply().token());
    assert_ne!(of_alice, of_bob);
    assert_eq!(house.refreshes(), 2);

    // A log-out of one is none of the other's business.
    assert_eq!(alice.ask(&Command::LogOut), Reply::Done);
    assert!(!house.server.is_access_token_live(&of_alice));
    assert!(house.server.is_access_token_live(&of_bob));
    house.pass_an_expiry([&mut bob]);
    assert!(house.server.is_access_token_live(&bob.ask(&Command::Token).token()));
    assert_eq!(house.server.stats().refresh_reuses_detected, 0);
    assert_eq!(house.server.live_logins(), 1);
}
