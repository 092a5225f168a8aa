//! By authorization code at the devserver, whose consent page a person reads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use jeton_devserver::{Endpoint, Fault};
use jeton_tests::browser::PATIENCE;
use jeton_tests::chromium::{Browser, Settings};
use jeton_tests::eventually;
use url::Url;

use crate::login::{Login, has_tidied_up};
use crate::world::World;

fn world() -> World {
    let world = World::with(|server| server.auto_approve(false));
    world.person_profile("work");
    world
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn approved_in_the_browser_that_the_command_opens() {
    let world = world();
    let opened = world.home().join("opened");
    // A browser that only notes what it is to open, so that the test can open it.
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > '{}'\n", opened.display());
    let browser = world.file("browser", script);
    std::fs::set_permissions(&browser, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut login = Login::start(&world, ["work"], &[("BROWSER", browser.to_str().unwrap())]);
    let noted = || std::fs::read_to_string(&opened).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(eventually("the browser is opened", || noted().ends_with('\n')));
    assert_eq!(noted().trim_end(), login.url, "what is opened and what is shown for copying");

    let browser = Browser::new();
    let tab = browser.open(&login.url);
    tab.heading("Allow Public App?").is_accessible();
    let look = tab.look();
    let redirect_uri = login.redirect_uri();
    let back_to = format!("You will go back to {}", redirect_uri.origin().ascii_serialization());
    for expected in ["see your e-mail address", "openid", "read", &back_to] {
        assert!(look.text.contains(expected), "{expected}: {}", look.text);
    }
    tab.press("Approve").heading("You are signed in").is_accessible();
    login.ended_with(0);

    let look = has_tidied_up(&tab, &redirect_uri);
    assert_eq!(look.title, "You are signed in");
    assert_eq!(look.text, "You are signed in\n\nYou can close this tab and go back to the program.");
    browser.evidence().is_clean();
    let token = world.jeton(["token", "work"]).answer().trim_end().to_owned();
    assert!(world.server.is_access_token_live(&token));
    for secret in world.secrets("work") {
        assert!(
            !login.terminal.text().contains(&secret) && !look.source.contains(&secret),
            "a secret is shown"
        );
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn refused() {
    let world = world();
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let browser = Browser::new();
    let tab = browser.open(&login.url);
    tab.heading("Allow Public App?").press("Deny").heading("The login was refused").is_accessible();
    login.ended_with(4);
    let look = has_tidied_up(&tab, &login.redirect_uri());
    assert_eq!(look.title, "The login was refused");
    assert!(
        look.text.contains("access_denied") && look.text.contains("start the login again"),
        "{}",
        look.text
    );
    browser.evidence().is_clean();
    world.jeton(["token", "work"]).failed(3);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_address_is_pasted_where_the_browser_cannot_come_back() {
    let world = world();
    let mut login =
        Login::start(&world, ["work", "--login-method", "paste"], &[("SSH_CONNECTION", "a b c d")]);
    let redirect_uri = login.redirect_uri();
    let origin = redirect_uri.origin().ascii_serialization();
    let elsewhere = Browser::with(&Settings { refused: vec![origin], ..Settings::default() });
    let tab = elsewhere.open(&login.url);
    tab.heading("Allow Public App?").press("Approve");
    let address = tab.address(redirect_uri.as_str());
    login.terminal.type_line("https://somewhere.example/else");
    login.terminal.wait_for("That is not the address to which the browser was sent");
    login.terminal.type_line(&address);
    login.terminal.ended_with(0);
    world.jeton(["token", "work"]).answer();
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn two_browsers_with_the_same_answer_are_one_login() {
    let world = world();
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let redirect_uri = login.redirect_uri();
    world.server.fault(Endpoint::Token, Fault::Gate);
    let browser = Browser::new();
    let first = browser.open(&login.url);
    first.heading("Allow Public App?").press("Approve");
    // The first tab is kept back until the login has ended, and that until the gate opens.
    assert!(world.server.wait_until_held_blocking(1, PATIENCE));
    let answer = first.address(redirect_uri.as_str());
    // Another one brings the same. It is a socket: when its request has been written, it is there.
    let mut second = TcpStream::connect(redirect_uri.socket_addrs(|| None).unwrap()[0]).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = Url::parse(&answer).unwrap();
    let (host, query) =
        (&address[url::Position::BeforeHost..url::Position::AfterPort], address.query().unwrap());
    write!(second, "GET {}?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n", address.path()).unwrap();
    // The listener takes connections in their order: when this is answered, it has taken the second one.
    let stray = Url::parse(&format!("{redirect_uri}?state=of-another-login")).unwrap();
    assert_eq!(jeton_tests::browser::get(&stray).unwrap().status, 400);
    world.server.open_gate();
    first.heading("You are signed in");
    has_tidied_up(&first, &redirect_uri);
    let mut page = String::new();
    second.read_to_string(&mut page).unwrap();
    assert!(page.contains("<h1>You are signed in</h1>"), "{page}");
    login.ended_with(0);
    assert_eq!(world.server.stats().grant("authorization_code").requests, 1);
    // Afterwards nobody is there any more.
    let late = browser.open(&answer);
    late.address(redirect_uri.as_str());
    assert!(!late.look().text.contains("signed in"), "{:?}", late.look());
    world.jeton(["token", "work"]).answer();
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_tab_of_another_login_does_not_disturb() {
    let world = world();
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let redirect_uri = login.redirect_uri();
    let browser = Browser::new();
    let stray = browser.open(&format!("{redirect_uri}?code=another&state=of-another-login"));
    stray.heading("This is not the login that is waiting").is_accessible();
    let look = has_tidied_up(&stray, &redirect_uri);
    assert!(look.text.contains("The login that is waiting goes on waiting"), "{}", look.text);
    let nothing = browser.open(&format!("{}/elsewhere", redirect_uri.origin().ascii_serialization()));
    nothing.heading("There is nothing here").is_accessible();

    let tab = browser.open(&login.url);
    tab.heading("Allow Public App?").press("Approve").heading("You are signed in");
    login.ended_with(0);
    assert_eq!(world.server.stats().grant("authorization_code").requests, 1);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_server_that_fails_behind_the_browser_is_told_on_the_page() {
    let world = world();
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    world.server.fault_always(Endpoint::Token, Fault::oauth_error("<b>odd</b>"));
    let browser = Browser::new();
    let tab = browser.open(&login.url);
    tab.heading("Allow Public App?").press("Approve").heading("The login failed").is_accessible();
    let look = has_tidied_up(&tab, &login.redirect_uri());
    assert!(look.text.contains("<b>odd</b>"), "shown as text: {}", look.text);
    assert!(!login.ended().success());
    browser.evidence().is_clean();
    assert_eq!(world.server.live_logins(), 0);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn whoever_gives_up_is_told_in_the_browser() {
    let world = world();
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let redirect_uri = login.redirect_uri();
    let browser = Browser::new();
    let tab = browser.open(&login.url);
    tab.heading("Allow Public App?");
    login.terminal.press_ctrl_c();
    let status = login.ended();
    assert!(!status.success(), "{status}");
    tab.press("Approve");
    tab.address(redirect_uri.as_str());
    assert!(!tab.look().text.contains("signed in"));
    world.jeton(["token", "work"]).failed(3);
    assert_eq!(world.server.stats().grant("authorization_code").requests, 0);
}
