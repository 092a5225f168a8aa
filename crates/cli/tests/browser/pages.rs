//! Every page that the devserver shows: for people who see little, have no mouse, prefer the dark, or hold a telephone.

use jeton_devserver::{Client, DevServer};
use jeton_tests::chromium::{Browser, Settings, Tab};

/// A name that is long, and wants to be more than a name.
const NAME: &str = "The Extraordinarily Long-Winded <b>Reporting</b> & \"Archiving\" Suite of the Ministry";

fn server() -> DevServer {
    let client = Client::public("many").name(NAME).redirect_uri("http://127.0.0.1/callback");
    let scopes = (1..=12).map(|number| format!("scope-with-a-long-name-that-does-not-end:{number}"));
    let server = scopes
        .fold(DevServer::builder().client(client).auto_approve(false), |server, scope| server.scope(scope));
    server.start().unwrap()
}

/// The consent page for everything that can be asked for.
fn consent(browser: &Browser, server: &DevServer) -> Tab {
    let scopes: Vec<String> =
        (1..=12).map(|number| format!("scope-with-a-long-name-that-does-not-end:{number}")).collect();
    let url = url::Url::parse_with_params(
        &server.authorization_url(),
        [
            ("response_type", "code"),
            ("client_id", "many"),
            ("redirect_uri", "http://127.0.0.1:49152/callback"),
            ("scope", &scopes.join(" ")),
            ("state", &jeton::models::random_token(32).expose().to_owned()),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ],
    );
    browser.open(url.unwrap().as_str())
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn are_accessible_in_light_and_in_dark() {
    for dark in [false, true] {
        let server = server();
        let browser = Browser::with(&Settings { dark, ..Settings::default() });
        let tab = consent(&browser, &server);
        tab.heading(&format!("Allow {NAME}?")).is_accessible();
        assert!(tab.look().text.contains("scope-with-a-long-name-that-does-not-end:12"));
        for (path, heading) in
            [("/", "jeton devserver"), ("/device", "Connect a device"), ("/logout", "Signed out")]
        {
            browser.open(&server.url(path)).heading(heading).is_accessible();
        }
        browser.open(&server.url("/authorize?client_id=nobody")).heading("That did not work").is_accessible();
        let evidence = browser.evidence();
        assert!(evidence.foreign.is_empty() && evidence.violations.is_empty(), "{evidence:?}");
    }
}
