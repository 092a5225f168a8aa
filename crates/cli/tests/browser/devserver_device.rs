//! By device code at the devserver: the code is read in the terminal and typed into the page.

use jeton_tests::chromium::{Browser, Tab};

use crate::login::Login;
use crate::world::World;

fn world() -> World {
    let world = World::with(|server| server.auto_approve(false).device_interval(Some(1)));
    world.person_profile("tv");
    world
}

fn login(world: &World) -> (Login, String) {
    let login = Login::start(world, ["tv", "--login-method", "device"], &[]);
    let code = login.terminal.wait_for_user_code();
    (login, code)
}

/// Types the code into the page on which a person lands who types the shorter URL.
fn enter(world: &World, browser: &Browser, code: &str) -> Tab {
    let tab = browser.open(&world.server.verification_url());
    tab.heading("Connect a device").is_accessible();
    tab.fill("user_code", code).press("Continue");
    tab
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn typed_and_approved() {
    let world = world();
    let (mut login, code) = login(&world);
    let browser = Browser::new();
    let tab = enter(&world, &browser, &code.to_lowercase());
    tab.heading("Allow Public App?").is_accessible();
    let look = tab.look();
    assert!(look.text.contains(&code) && look.text.contains("see your e-mail address"), "{}", look.text);
    tab.press("Approve").heading("Device connected").is_accessible();
    assert!(tab.look().text.contains("Your device is signed in."));
    login.ended_with(0);
    browser.evidence().is_clean();
    let token = world.jeton(["token", "tv"]).answer().trim_end().to_owned();
    assert!(world.server.is_access_token_live(&token));
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_url_with_the_code_in_it_asks_all_the_same() {
    let world = world();
    let (mut login, code) = login(&world);
    let complete = format!("{}?user_code={code}", world.server.verification_url());
    assert!(login.terminal.text().contains(world.server.verification_url().as_str()));
    let browser = Browser::new();
    let tab = browser.open(&complete);
    tab.heading("Allow Public App?");
    assert!(tab.look().text.contains(&code), "to be compared with the device");
    tab.choose("user", "bob").press("Approve").heading("Device connected");
    login.ended_with(0);
    let claims = world.record("tv").id_token.map(|token| token.expose().to_owned()).unwrap_or_default();
    assert!(!claims.is_empty());
    browser.evidence().is_clean();
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn mistyped_then_refused() {
    let world = world();
    let (mut login, code) = login(&world);
    let browser = Browser::new();
    let tab = enter(&world, &browser, "XXXX-XXXX");
    tab.heading("Connect a device").is_accessible();
    assert!(tab.look().text.to_lowercase().contains("code"), "{}", tab.look().text);
    tab.fill("user_code", &code).key("Enter").heading("Allow Public App?");
    tab.press("Deny").heading("Device refused").is_accessible();
    login.ended_with(4);
    world.jeton(["token", "tv"]).failed(3);
}
