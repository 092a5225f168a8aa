//! A process that is suspended, or killed, while it holds the lease on a login that others share: the others are served what
//! still lives, and told who holds them up; nobody sends a refresh token twice. And what new processes make of a login that
//! ended.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::time::Duration;

use jeton_devserver::{Endpoint, Fault, Rotation};
use jeton_tests::house::{House, advance, one_token, tell_all};
use jeton_tests::worker::{Command, Reply, Worker};
use jeton_tests::world::LIFETIME;

/// The longest that the impatient wait for somebody else's lease.
const LEASE_TIMEOUT: Duration = Duration::from_millis(300);

/// So long before its end the token of those who are served counts as expired: long enough for any machine to get through.
const EARLY: Duration = Duration::from_secs(600);

fn house() -> House {
    House::new(env!("CARGO_BIN_EXE_worker"))
}

/// A process that does not wait for long.
fn impatient(house: &House) -> Worker {
    let mut setup = house.setup("default");
    setup.lease_timeout_ms = Some(LEASE_TIMEOUT.as_millis().try_into().unwrap());
    setup.early_expiry_ms = Some(EARLY.as_millis().try_into().unwrap());
    house.worker_as(&setup)
}

/// The process is in the middle of a refresh, which the server has under way, and is suspended there. `committed`: the server has
/// done all but answer; otherwise it has done nothing yet.
fn suspend_in_a_refresh(house: &House, holder: &mut Worker, committed: bool) {
    holder.ask(&advance(LIFETIME));
    let held = if committed { vec![Fault::Commit, Fault::Gate] } else { vec![Fault::Gate] };
    house.server.fault(Endpoint::Token, Fault::Sequence(held));
    assert_eq!(holder.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    holder.suspend();
}

/// That error tells who holds the lease, since when, and what to do.
fn assert_names(reply: &Reply, holder: &Worker) {
    let Reply::Failed(shown) = reply else { panic!("no failure but {reply:?}") };
    for words in [
        "the login is in use by \"worker",
        &format!("pid {}", holder.pid()),
        "since 20",
        "gave up after",
        "try again, or end that program if it hangs",
    ] {
        assert!(shown.contains(words), "no {words:?} in: {shown}");
    }
}

#[test]
fn a_suspended_holder_is_named_and_a_living_token_is_served() {
    for committed in [false, true] {
        let house = house();
        let mut holder = house.signed_in();
        // One whose token lives, and counts as expired, and one whose token is dead.
        let (mut served, mut denied) = (impatient(&house), impatient(&house));
        let old = one_token(tell_all([&mut holder, &mut served, &mut denied], &Command::Token));
        suspend_in_a_refresh(&house, &mut holder, committed);
        served.ask(&advance(LIFETIME - EARLY / 2));
        denied.ask(&advance(LIFETIME));

        for _ in 0..3 {
            assert_eq!(served.ask(&Command::Token).token(), old, "it lives, and is served");
            assert_names(&denied.ask(&Command::Token), &holder);
        }
        // Whoever asks for a refresh in so many words is told, also if a token lives.
        assert_names(&served.ask(&Command::Refresh), &holder);
        assert_eq!(house.refreshes(), 1, "nobody sends what the holder may have spent");

        // The answer arrives while the holder is suspended, or only after it goes on.
        if committed {
            house.server.open_gate();
            holder.go_on();
        } else {
            holder.go_on();
            house.server.open_gate();
        }
        let new = holder.ask(&Command::Finish).token();
        assert_ne!(new, old);
        assert_eq!(one_token(tell_all([&mut served, &mut denied], &Command::Token)), new);
        assert_eq!(house.refreshes(), 1, "the one refresh was enough for all");
        house.assert_login_alive();
    }
}

#[test]
fn who_waits_has_the_token_as_soon_as_the_holder_goes_on() {
    for committed in [false, true] {
        let house = house();
        let mut holder = house.signed_in();
        suspend_in_a_refresh(&house, &mut holder, committed);
        let mut waiters = house.workers(4);
        for waiter in &mut waiters {
            waiter.ask(&advance(LIFETIME));
            waiter.tell(&Command::Token);
        }
        house.server.open_gate();
        holder.go_on();
        let new = holder.ask(&Command::Finish).token();
        assert_eq!(one_token(waiters.iter_mut().map(Worker::reply).collect()), new);
        assert_eq!(house.refreshes(), 1);
        house.assert_login_alive();
    }
}

#[test]
fn killing_a_suspended_holder_frees_the_lease() {
    let house = house();
    let mut holder = house.signed_in();
    suspend_in_a_refresh(&house, &mut holder, false);
    let mut denied = impatient(&house);
    denied.ask(&advance(LIFETIME));
    assert_names(&denied.ask(&Command::Token), &holder);
    // What the error says to do. The server has done nothing with what the holder sent, and never will.
    house.server.clear_faults();
    holder.kill();
    let new = denied.ask(&Command::Token).token();
    assert!(house.server.is_access_token_live(&new));
    assert_eq!(house.refreshes(), 2, "one that was never answered, and this one");
    house.assert_login_alive();
}

/// The window that no client can close: the server has rotated, and whoever should have saved the answer is dead. A server
/// that forgives a second use gives the login back; a strict one takes it for a theft, and then everybody is told so.
#[test]
fn killing_a_holder_whose_answer_is_lost_is_told_as_the_server_sees_it() {
    for (rotation, lives) in [(Rotation::GracePeriod(LIFETIME * 3), true), (Rotation::Strict, false)] {
        let house =
            House::with(env!("CARGO_BIN_EXE_worker"), |builder| builder.refresh_token_rotation(rotation));
        let mut holder = house.signed_in();
        suspend_in_a_refresh(&house, &mut holder, true);
        holder.kill();
        let mut others = house.workers(2);
        tell_all(&mut others, &advance(LIFETIME));
        let first = others[0].ask(&Command::Token);
        assert_eq!(house.refreshes(), 2);
        if lives {
            let token = first.token();
            assert_eq!(others[1].ask(&Command::Token).token(), token);
            house.assert_login_alive();
        } else {
            assert!(
                matches!(&first, Reply::LoginRequired(why) if why.contains("invalid_grant")),
                "{first:?}"
            );
            assert_eq!(others[1].ask(&Command::Token), first);
            assert!(!house.record().unwrap().is_live());
        }
        assert_eq!(house.refreshes(), 2, "said once, and not asked again");
    }
}

#[test]
fn a_suspended_process_that_holds_no_lease_holds_up_nobody() {
    let house = house();
    let mut idle = house.signed_in();
    let mut others = house.workers(2);
    one_token(tell_all(&mut others, &Command::Token));
    idle.suspend();
    let advanced = advance(LIFETIME);
    tell_all(&mut others, &advanced);
    let new = one_token(tell_all(&mut others, &Command::Token));
    idle.go_on();
    idle.ask(&advanced);
    assert_eq!(idle.ask(&Command::Token).token(), new, "it finds what the others got meanwhile");
    assert_eq!(house.refreshes(), 1);
    house.assert_login_alive();
}

#[test]
fn one_that_is_suspended_while_it_waits_for_the_lease_holds_up_nobody_afterwards() {
    let house = house();
    let mut holder = house.signed_in();
    holder.ask(&advance(LIFETIME));
    house.server.fault(Endpoint::Token, Fault::Gate);
    assert_eq!(holder.ask(&Command::Begin), Reply::Done);
    house.wait_until_held();
    let mut waiter = house.worker();
    waiter.ask(&advance(LIFETIME));
    assert_eq!(waiter.ask(&Command::Begin), Reply::Done);
    waiter.suspend();
    house.server.open_gate();
    let new = holder.ask(&Command::Finish).token();

    // Another expiry comes and goes while it is suspended.
    let mut other = house.worker();
    house.server.advance(LIFETIME);
    tell_all([&mut holder, &mut other], &advance(LIFETIME));
    other.ask(&advance(LIFETIME));
    let newer = other.ask(&Command::Token).token();
    assert_ne!(newer, new);
    waiter.go_on();
    waiter.ask(&advance(LIFETIME));
    waiter.ask(&Command::Finish).token();
    assert_eq!(waiter.ask(&Command::Token).token(), newer);
    assert_eq!(house.refreshes(), 2);
    house.assert_login_alive();
}

// ----- A login that ended --------------------------------------------------------------------------------------------------

#[test]
fn a_login_that_ended_is_known_to_new_processes_until_somebody_logs_in() {
    let house = house();
    let mut first = house.signed_in();
    let mut second = house.worker();
    second.ask(&Command::Token).token();
    house.pass_an_expiry([&mut first, &mut second]);
    house.server.revoke_all_logins();

    let ended = first.ask(&Command::Token);
    assert!(matches!(&ended, Reply::LoginRequired(why) if why.contains("invalid_grant")), "{ended:?}");
    // One that was there, one that has only just begun, and the first one again: told at once, without a request.
    let (mut third, mut fourth) = (house.worker(), house.worker());
    tell_all([&mut third, &mut fourth], &advance(LIFETIME));
    for command in [Command::Token, Command::Refresh] {
        for reply in tell_all([&mut first, &mut second, &mut third], &command) {
            assert_eq!(reply, ended);
        }
    }
    assert_eq!(house.refreshes(), 1);

    // Somebody logs in, in whatever process: all the others have the new token, again without a request.
    let token = third.ask(&Command::LogIn).token();
    let requests = house.server.stats().requests_to(Endpoint::Token);
    assert_eq!(
        one_token(tell_all([&mut first, &mut second, &mut third, &mut fourth], &Command::Token)),
        token
    );
    assert_eq!(house.server.stats().requests_to(Endpoint::Token), requests);
    assert!(house.server.is_access_token_live(&token));
}

/// What the server asked for holds for processes that begin later, too.
#[test]
fn a_retry_after_is_known_to_new_processes() {
    let house = house();
    let mut first = house.signed_in();
    house.pass_an_expiry([&mut first]);
    house.server.fault(Endpoint::Token, Fault::unavailable(Some("600")));
    for _ in 0..2 {
        assert!(matches!(first.ask(&Command::Token), Reply::Failed(shown) if shown.contains("HTTP 503")));
    }
    assert_eq!(first.ask(&Command::Return), Reply::Done);
    assert!(first.ended().success());

    let mut later = house.worker();
    later.ask(&advance(LIFETIME));
    let reply = later.ask(&Command::Token);
    let Reply::Failed(shown) = &reply else { panic!("{reply:?}") };
    for words in ["the next one is due in", "another process, or an earlier run", "HTTP 503"] {
        assert!(shown.contains(words), "no {words:?} in: {shown}");
    }
    assert_eq!(house.refreshes(), 1);
    later.ask(&advance(Duration::from_secs(600)));
    later.ask(&Command::Token).token();
    assert_eq!(house.refreshes(), 2);
    house.assert_login_alive();
}
