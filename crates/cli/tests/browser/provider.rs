//! At a server that nobody here wrote: the certified OpenID provider of tests/interop, with its own login, consent and device
//! pages.

use jeton_tests::chromium::{Browser, Evidence, Settings, Tab};
use serde_json::Value;

use crate::login::{Login, has_tidied_up};
use crate::world::World;

/// The server that `cargo xtask test --only browser` has started.
struct Provider {
    issuer: String,
    resource: String,
    said: Value,
}

impl Provider {
    fn get() -> Self {
        let config = std::env::var("JETON_INTEROP_CONFIG")
            .expect("a server: run these tests with `cargo xtask test --only browser`");
        let said: Value = serde_json::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
        let text = |name: &str| said[name].as_str().expect(name).to_owned();
        Self { issuer: text("issuer"), resource: text("resource"), said }
    }

    /// A world in which `work` is a profile of that client there.
    fn world(&self, client: &str) -> World {
        let world = World::new();
        let client_id = self.said["clients"][client]["client_id"].as_str().unwrap();
        let (issuer, origin) = (&self.issuer, self.resource.trim_end_matches("/api/whoami"));
        world.profile(
            "work",
            &format!(
                "issuer = \"{issuer}\"\nclient_id = \"{client_id}\"\nscope = \"openid offline_access profile api:read\"\n\
                 apis = [\"{origin}\"]\nparameters = {{ prompt = \"consent\" }}"
            ),
        );
        world
    }

    /// Its pages ask for fonts from elsewhere, which was cut off; nobody else asked for anything.
    #[track_caller]
    fn asked_for_fonts_only(&self, evidence: &Evidence) {
        for foreign in &evidence.foreign {
            assert_eq!(*foreign, format!("https://fonts.googleapis.com for {}", self.issuer), "{evidence:?}");
        }
        assert!(evidence.violations.is_empty() && evidence.complaints.is_empty(), "{evidence:?}");
    }
}

fn sign_in(tab: &Tab) {
    tab.heading("Sign-in");
    tab.fill("login", "alice").fill("password", "any will do").press("Sign-in");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn signed_in_and_agreed() {
    let provider = Provider::get();
    let world = provider.world("native");
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let browser = Browser::new();
    let tab = browser.open(&login.url);
    sign_in(&tab);
    tab.heading("Authorize").press("Continue");
    tab.heading("You are signed in").is_accessible();
    login.ended_with(0);
    let look = has_tidied_up(&tab, &login.redirect_uri());
    assert_eq!(look.title, "You are signed in");
    provider.asked_for_fonts_only(&browser.evidence());
    let said = world.jeton(["request", "work", "GET", &provider.resource]);
    assert!(said.answer().contains("alice"), "{said}");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn cancelled_at_the_consent_page() {
    let provider = Provider::get();
    let world = provider.world("native");
    let mut login = Login::start(&world, ["work", "--no-open"], &[]);
    let browser = Browser::new();
    let tab = browser.open(&login.url);
    sign_in(&tab);
    tab.heading("Authorize").press("[ Cancel ]");
    tab.heading("The login was refused").is_accessible();
    login.ended_with(4);
    let look = has_tidied_up(&tab, &login.redirect_uri());
    assert!(look.text.contains("access_denied"), "{}", look.text);
    provider.asked_for_fonts_only(&browser.evidence());
    world.jeton(["token", "work"]).failed(3);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn pasted_where_the_browser_cannot_come_back() {
    let provider = Provider::get();
    let world = provider.world("native");
    let mut login = Login::start(&world, ["work", "--login-method", "paste"], &[]);
    let redirect_uri = login.redirect_uri();
    let origin = redirect_uri.origin().ascii_serialization();
    let elsewhere = Browser::with(&Settings { refused: vec![origin], ..Settings::default() });
    let tab = elsewhere.open(&login.url);
    sign_in(&tab);
    tab.heading("Authorize").press("Continue");
    login.terminal.type_line(&tab.address(redirect_uri.as_str()));
    login.terminal.ended_with(0);
    world.jeton(["token", "work"]).answer();
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_device_is_connected() {
    let provider = Provider::get();
    let world = provider.world("device");
    let mut login = Login::start(&world, ["work", "--login-method", "device"], &[]);
    let code = login.terminal.wait_for_user_code();
    let browser = Browser::new();
    let tab = browser.open(&format!("{}/device", provider.issuer));
    tab.heading("Sign-in").fill("user_code", &code).press("Continue");
    tab.heading("Confirm Device").press("Continue");
    sign_in(&tab);
    tab.heading("Authorize").press("Continue").heading("Sign-in Success");
    login.ended_with(0);
    provider.asked_for_fonts_only(&browser.evidence());
    world.jeton(["token", "work"]).answer();
}
