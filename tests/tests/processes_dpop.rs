//! Real processes that share a login which is bound to a key (DPoP, RFC 9449): the key goes where the login goes, and the promise
//! holds as for any other login.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use jeton_devserver::Fault;
use jeton_devserver::{Endpoint, RecordedRequest};
use jeton_tests::house::{House, one_token, tell_all};
use jeton_tests::worker::{Command, Reply, Worker};

fn house() -> House {
    House::with(env!("CARGO_BIN_EXE_worker"), |builder| builder.require_dpop(true).dpop_nonces(1_000))
}

fn bound(house: &House) -> Worker {
    let mut setup = house.setup("default");
    setup.dpop = true;
    house.worker_as(&setup)
}

fn key(house: &House) -> String {
    house.record().unwrap().dpop_key.unwrap().expose().to_owned()
}

#[test]
fn a25_six_processes_that_share_a_bound_login_cause_one_refresh_per_expiry() {
    let house = house();
    let mut workers: Vec<Worker> = (0..6).map(|_| bound(&house)).collect();
    let mut last = workers[0].ask(&Command::LogIn).token();
    let first_key = key(&house);
    for expiry in 1..=5 {
        house.pass_an_expiry(&mut workers);
        // In every other round the server has forgotten its nonces, and the one that refreshes is held up.
        let odd = expiry % 2 == 1;
        if odd {
            house.server.forget_dpop_nonces();
        } else {
            house.server.fault(Endpoint::Token, Fault::Gate);
        }
        workers.iter_mut().for_each(|worker| worker.tell(&Command::Token));
        if !odd {
            house.wait_until_held();
            house.server.open_gate();
        }
        let token = one_token(workers.iter_mut().map(Worker::reply).collect());
        assert_ne!(token, last);
        last = token;
        assert_eq!(house.server.stats().refreshes, expiry, "one refresh per expiry");
        // Each of them can use it: they all have the key.
        let api = Command::Get(house.server.resource_url());
        assert!(tell_all(&mut workers, &api).iter().all(|reply| *reply == Reply::Done));
    }
    assert_eq!(house.server.stats().max_concurrent_token_requests, 1);
    assert_eq!(key(&house), first_key, "the login is bound to the key that it was made with");
    house.assert_login_alive();
    let unbound = |request: &RecordedRequest| request.bearer().is_some();
    assert!(!house.server.requests().iter().any(unbound), "no token was ever sent as Bearer");

    // A process that has DPoP switched off does the login no harm.
    let mut plain = house.worker();
    house.pass_an_expiry(workers.iter_mut().chain([&mut plain]));
    for command in [Command::Token, Command::Refresh] {
        match plain.ask(&command) {
            Reply::Failed(why) => assert!(why.contains("bound to a DPoP key"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    one_token(tell_all(&mut workers, &Command::Token));
    assert_eq!(house.server.stats().refreshes, 6);
    house.assert_login_alive();
}

#[test]
fn a25_a_bound_login_survives_the_process_that_made_it() {
    let house = house();
    let mut first = bound(&house);
    first.ask(&Command::LogIn).token();
    house.pass_an_expiry([&mut first]);
    house.hold_the_next_answer();
    // Held at the nonce, which uses nothing up; killed there.
    house.server.forget_dpop_nonces();
    first.tell(&Command::Token);
    house.wait_until_held();
    first.kill();
    house.server.open_gate();

    let mut next = bound(&house);
    next.ask(&jeton_tests::house::advance(jeton_tests::world::LIFETIME));
    let token = next.ask(&Command::Token).token();
    assert!(house.server.is_access_token_live(&token));
    assert_eq!(next.ask(&Command::Get(house.server.resource_url())), Reply::Done);
    assert_eq!(house.server.stats().refreshes, 1);
    house.assert_login_alive();
}
