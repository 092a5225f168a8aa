//! A short cut of the fault lab, from a fixed seed: real processes on one store against a server that revokes a login when a
//! refresh token is used twice. `cargo xtask faults` runs all of it.
//!
//! Nothing here depends on how long anything takes: each run goes on until there were enough rotations, and what is asserted
//! is what may never happen, whatever happens first.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::path::Path;
use std::time::Duration;

use jeton_tests::faults::driver;
use jeton_tests::faults::event::Point;
use jeton_tests::faults::scenario::{Mishap, Scenario};
use jeton_tests::faults::verdict::Row;

const SEED: u64 = 20_261_122;

/// Small, so that several fit beside each other on a busy machine.
fn scenario(name: &str, change: impl FnOnce(&mut Scenario)) -> Scenario {
    Scenario::new(name, "a short cut").with(|it| {
        (it.processes, it.threads, it.logins, it.seconds, it.at_least) = (4, 2, 10, 5, 50);
        change(it);
    })
}

/// Runs it, and sees to it that no promise was broken.
#[track_caller]
fn kept(scenario: &Scenario) -> Row {
    let row = driver::run(scenario, SEED, Path::new(env!("CARGO_BIN_EXE_faults")));
    assert_eq!(row.skipped, None);
    assert!(row.broken.is_empty(), "seed {SEED}, {}:\n{}", scenario.name, row.broken.join("\n\n"));
    assert_eq!((row.duplicates, row.lost_otherwise), (0, 0), "{row:?}");
    assert!(row.rotations >= scenario.at_least && row.served > 0, "{row:?}");
    row
}

#[test]
fn kills_at_every_point_cost_nothing_but_what_was_never_saved() {
    let row = kept(&scenario("kills", |it| {
        it.kills = Point::ALL.map(|point| (point, 0.06)).to_vec();
        it.kill_every = Some(Duration::from_millis(500));
    }));
    assert!(row.kills > 0, "{row:?}");
    assert!(row.lost_in_window <= row.kills_in_window - row.kills_in_window_kept, "{row:?}");
    assert_eq!(row.lost_with_answer, 0, "{row:?}");
}

#[test]
fn kills_cost_nothing_at_all_where_the_server_has_a_grace_period() {
    let row = kept(&scenario("grace", |it| {
        it.kills = vec![(Point::RequestSent, 0.05), (Point::AnswerReceived, 0.15), (Point::DuringSave, 0.05)];
        it.grace = Some(Duration::from_secs(600));
    }));
    assert!(row.kills > 0 && row.forgiven > 0, "{row:?}");
    assert_eq!((row.reuses, row.lost_in_window), (0, 0), "{row:?}");
}

#[test]
fn a_stopped_holder_of_the_lease_loses_nothing_even_if_its_time_is_long_over() {
    let row = kept(&scenario("stops", |it| {
        it.stops = vec![(Point::RequestSent, 0.06), (Point::AnswerReceived, 0.02), (Point::DuringSave, 0.02)];
        // A busy server may be slow, but not that slow.
        (it.request_timeout, it.lease_timeout) = (Duration::from_secs(2), Duration::from_secs(2));
        it.stopped_for = Duration::from_secs(3);
    }));
    assert!(row.stops > 0, "{row:?}");
    assert_eq!((row.reuses, row.answers_lost), (0, 0), "{row:?}");
}

#[test]
fn what_servers_and_networks_do_costs_nothing_as_long_as_nothing_was_committed() {
    let row = kept(&scenario("faults", |it| {
        it.faults = Mishap::ALL.to_vec();
        it.faults.retain(|mishap| {
            !matches!(mishap, Mishap::DropAfterCommit | Mishap::Truncated | Mishap::HangAfterCommit)
        });
        it.kill_every = Some(Duration::from_secs(1));
        it.request_timeout = Duration::from_secs(3);
    }));
    assert!(row.error_count() > 0, "{row:?}");
    assert_eq!((row.lost_with_answer, row.answers_lost), (0, 0), "{row:?}");
}

#[test]
fn a_clock_that_jumps_causes_no_refresh_too_many() {
    let row = kept(&scenario("clock", |it| {
        it.clock_steps = vec![2, 0, -2, 0, 3_600, 0, -3_600, 0];
        it.uses_tokens = true;
    }));
    assert!(row.disturbances > 0, "{row:?}");
    assert_eq!(row.reuses, 0, "{row:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn sealed_files_and_the_keychain_keep_it_too() {
    use jeton_tests::faults::store::StoreKind;

    let there = ["gnome-keyring-daemon", "dbus-daemon"]
        .iter()
        .all(|tool| std::process::Command::new(tool).arg("--version").output().is_ok());
    assert!(there || std::env::var_os("CI").is_none(), "needs dbus and gnome-keyring (Debian's packages)");
    for store in [StoreKind::Sealed, StoreKind::SealedKeychain, StoreKind::Keyring] {
        if !there && store != StoreKind::Sealed {
            eprintln!("{}: NOT TRIED: that needs dbus and gnome-keyring (Debian's packages)", store.name());
            continue;
        }
        let row = kept(&scenario(store.name(), |it| {
            it.store = store;
            it.kills = Point::ALL.map(|point| (point, 0.08)).to_vec();
            (it.processes, it.logins, it.seconds, it.at_least) = (3, 6, 4, 25);
        }));
        assert!(row.kills > 0, "{row:?}");
    }
}
