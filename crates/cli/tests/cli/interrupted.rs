//! Ctrl-C at the worst moment: between the spending of a refresh token and the saving of the next one.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

use jeton_devserver::{Endpoint, Fault};
use jeton_tests::browser::PATIENCE;

use crate::world::World;

const INTERRUPT: i32 = 2;

/// `jeton refresh`, whose request the server holds.
fn refreshing(world: &World) -> Child {
    world.server.fault(Endpoint::Token, Fault::Gate);
    let child = world.begun(["refresh", "work"]);
    assert!(world.server.wait_until_held_blocking(1, PATIENCE), "the request came");
    child
}

fn send(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupted_refresh_is_saved_before_the_command_ends() {
    for (signal, number) in [("-INT", INTERRUPT), ("-TERM", 15), ("-HUP", 1)] {
        let world = World::new();
        world.signed_in("work");
        let child = refreshing(&world);
        send(&child, signal);
        // The command has heard it, and says so; it is no pause that is hoped to be long enough.
        let child = heard(child);
        world.server.open_gate();
        let status = child.wait_with_output().unwrap().status;
        assert_eq!(status.signal(), Some(number), "{status:?}");

        // The next run has the new refresh token, and an access token without asking again.
        let refreshes = world.server.stats().refreshes;
        world.jeton(["token", "work"]).answer();
        assert_eq!(world.server.stats().refreshes, refreshes);
        world.jeton(["refresh", "work"]).answer();
        assert_eq!(world.server.stats().refresh_reuses_detected, 0);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let world = World::new();
    world.signed_in("work");
    let child = refreshing(&world);
    send(&child, "-INT");
    let child = heard(child);
    send(&child, "-INT");
    let status = child.wait_with_output().unwrap().status;
    assert_eq!(status.signal(), Some(INTERRUPT), "{status:?}");
    world.server.open_gate();
}

/// Waits until the command says that it ends soon.
fn heard(mut child: Child) -> Child {
    use std::io::{BufRead as _, BufReader};

    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ends as soon as it is stored") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended without a word");
    }
    child
}
