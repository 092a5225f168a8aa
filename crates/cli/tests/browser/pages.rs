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
            ("state", jeton::models::random_token(32).expose()),
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

/// The judge is judged: each fault is found, and said.
#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn what_is_wrong_with_a_page_is_told() {
    let page = "<body style='background:#fff'><h1>One</h1><h1>Two</h1><p style='color:#aaa'>pale</p><input name=nameless>\
                <button></button><img src='data:,'><a href='/' style='outline:none' tabindex=2>first</a>\
                <div id=same></div><div id=same style='width:3000px'>wide</div>";
    let faults =
        Browser::new().open(&format!("data:text/html,{}", page.replace('#', "%23"))).heading("One").faults();
    for fault in [
        "the page does not say its language",
        "the page has no title",
        "the page has 2 main headings",
        "the page has not one main part",
        "the page is not made for telephones",
        "the page is wider than the window",
        "an id is there twice: same,same",
        "the field nameless has no label",
        "<button></button> has no name",
        "<img src=\"data:,\"> has no description",
        "\"pale\" has a contrast of 2.32, which is less than 4.5",
        "the tab key goes to null when it is the turn of 2",
        "nothing shows that the keyboard is at 2",
    ] {
        assert!(faults.iter().any(|found| found == fault), "{fault}: {faults:#?}");
    }
}

/// So is the evidence.
#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn what_leaves_loopback_or_is_forbidden_is_told() {
    let browser = Browser::new();
    let page = "<meta http-equiv=content-security-policy content=\"img-src 'none'\"><h1>Here</h1><img alt='' src='http://127.0.0.1:9/x'>\
                <script src='https://elsewhere.example/x.js'></script><script>nothing()</script>";
    browser.open(&format!("data:text/html,{page}")).heading("Here");
    let evidence = browser.evidence();
    assert_eq!(evidence.foreign, ["https://elsewhere.example for null"]);
    assert!(evidence.complaints.iter().any(|text| text.contains("nothing is not defined")), "{evidence:?}");
    assert!(evidence.violations.iter().any(|text| text.starts_with("img-src")), "{evidence:?}");
}
