//! The page that lists what the devserver saw: looked at by everybody, and its buttons pressed in a real browser, which says of a
//! form where it comes from.

use std::thread;
use std::time::Instant;

use jeton_devserver::{Client, DevServer, Endpoint};
use jeton_tests::browser::{self as http, PATIENCE};
use jeton_tests::chromium::{Browser, Settings};
use url::Url;

use crate::world::World;

/// A name that is long, has no place to break, and wants to be more than a name.
const CLIENT: &str =
    "<b>app</b>-with-a-name-that-does-not-end-and-does-not-end-and-does-not-end-and-does-not-end";

/// Waits until the server knows of the button: the page before and the page after have the same heading.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::yield_now();
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn is_accessible_in_light_and_in_dark() {
    for dark in [false, true] {
        let world = World::with(|server| server.seen_page(true).client(Client::public(CLIENT)));
        let browser = Browser::with(&Settings { dark, ..Settings::default() });
        browser.open(&world.server.seen_url()).heading("What the server saw").is_accessible();
        world.signed_in("work");
        for path in [
            "/authorize?client_id=nobody",
            "/api/me?access_token=x",
            &format!("/authorize?client_id={CLIENT}"),
        ] {
            http::get(&Url::parse(&world.server.url(path)).unwrap()).unwrap();
        }
        let tab = browser.open(&world.server.seen_url());
        tab.heading("What the server saw").is_accessible();
        let text = tab.look().text;
        assert!(text.contains(CLIENT) && text.contains("alice signed in"), "{text}");
        tab.press("POST /token").heading("POST /token").is_accessible();
        assert!(tab.look().text.contains("code_verifier"));
        tab.press("All requests").heading("What the server saw");
        browser.evidence().is_clean();
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn its_buttons_work_there_and_from_no_other_site() {
    let world = World::with(|server| server.seen_page(true));
    world.signed_in("work");
    let browser = Browser::new();
    let tab = browser.open(&world.server.seen_url());
    tab.heading("What the server saw");
    tab.choose("endpoint", "metadata").choose("fault", "unavailable").press("Break it");
    until("a fault waits", || world.server.faults_waiting(Endpoint::Metadata) == 1);
    let tab = browser.open(&world.server.seen_url());
    tab.heading("What the server saw");
    assert!(tab.look().text.contains("1 fault waits for a request."));
    tab.press("End all logins");
    until("logins end", || world.server.live_logins() == 0);
    let tab = browser.open(&world.server.seen_url());
    tab.heading("What the server saw");
    assert!(tab.look().text.contains("alice ended"));

    // The same form, on a page of somebody else's: another origin is another port.
    world.sign_in_again("again", DevServer::PUBLIC_CLIENT, |builder| builder);
    let other = DevServer::start().unwrap();
    let form = format!(
        "<!DOCTYPE html><html lang=en><title>x</title><h1>Win</h1><form method=post action='{}/do'>\
         <input type=hidden name=button value=revoke-logins><button>Press</button></form>",
        world.server.seen_url()
    );
    let page = other.host_document("/win.html", "text/html", &form);
    browser.open(&page).heading("Win").press("Press").heading("That did not work");
    assert_eq!(world.server.live_logins(), 1);
}
