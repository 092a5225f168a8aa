//! The pages that people see, driven as a browser without scripts drives them.

use jeton_devserver::{Client, DevServer, Endpoint};

use crate::http::{Reply, get, post};
use crate::login::{Attempt, REDIRECT_URI, authorization_url, exchange, redirected, with};

/// The value of a hidden input.
fn hidden(reply: &Reply, name: &str) -> String {
    let (_, rest) = reply.text().split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Where the page's form leads.
fn action(server: &DevServer, reply: &Reply) -> String {
    let (_, rest) = reply.text().split_once("action=\"").unwrap();
    server.url(rest.split('"').next().unwrap())
}

fn people() -> DevServer {
    DevServer::builder().auto_approve(false).issuer_path("/tenant").start().unwrap()
}

#[test]
fn approving_on_the_consent_page_once() {
    let server = people();
    let attempt = Attempt::new();
    let page = get(&attempt.url(&server));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(page.text().contains("Public App") && page.text().contains("<b>write</b>"));
    assert!(!page.text().contains("<script"));

    let form = [("transaction", &*hidden(&page, "transaction")), ("user", "bob"), ("decision", "approve")];
    let url = action(&server, &page);
    let reply = post(&url, &form);
    assert_eq!(reply.status, 303);
    assert_eq!(redirected(&reply, "state").as_ref(), Some(&attempt.state));
    assert_eq!(redirected(&reply, "iss").as_deref(), Some(server.issuer()));
    let code = redirected(&reply, "code").unwrap();
    let token = post(&server.token_url(), &exchange(&code, &attempt)).json();
    let me = crate::http::get_with_token(&server.resource_url(), token["access_token"].as_str().unwrap());
    assert_eq!(me.json()["sub"], "bob");

    // The transaction is used up.
    let again = post(&url, &form);
    assert_eq!((again.status, again.header("location")), (400, None));
    assert_eq!(server.stats().requests_to(Endpoint::Consent), 2);
}

#[test]
fn denying_on_the_consent_page() {
    let server = people();
    let attempt = Attempt::new();
    let page = get(&attempt.url(&server));
    let reply = post(
        &action(&server, &page),
        &[("transaction", &hidden(&page, "transaction")), ("decision", "deny")],
    );
    assert_eq!(redirected(&reply, "error").as_deref(), Some("access_denied"));
    assert_eq!(redirected(&reply, "state"), Some(attempt.state));
}

#[test]
fn a_button_needs_a_transaction_a_decision_and_a_known_user() {
    let server = people();
    for (transaction, decision, user) in [
        (Some("guessed"), "approve", "alice"),
        (None, "approve", "alice"),
        (Some("real"), "maybe", "alice"),
        (Some("real"), "approve", "mallory"),
    ] {
        let page = get(&Attempt::new().url(&server));
        let real = hidden(&page, "transaction");
        let mut form = vec![("decision", decision), ("user", user)];
        form.extend(transaction.map(|id| ("transaction", if id == "real" { &*real } else { id })));
        let reply = post(&action(&server, &page), &form);
        assert_eq!((reply.status, reply.header("location")), (400, None), "{form:?}");
    }
    // Too late.
    let page = get(&Attempt::new().url(&server));
    server.advance(std::time::Duration::from_secs(600));
    let form = [("transaction", &*hidden(&page, "transaction")), ("decision", "approve")];
    assert_eq!(post(&action(&server, &page), &form).status, 400);
    let url = action(&server, &page);
    assert_eq!(get(&url).status, 405);
}

#[test]
fn everything_shown_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let server = DevServer::builder()
        .auto_approve(false)
        .client(Client::public(evil).name(evil).redirect_uri(REDIRECT_URI))
        .user(evil, "x")
        .scope("<b>scope")
        .start()
        .unwrap();
    let parameters = with(Attempt::new().parameters(), "client_id", Some(evil));
    let parameters = with(parameters, "scope", Some("<b>scope"));
    let page = get(&authorization_url(&server, &parameters));
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("<script") && !page.text().contains("<b>scope"));
    assert!(page.text().contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
    assert!(page.text().contains("&lt;b&gt;scope"));
    let wrong = with(parameters, "redirect_uri", Some("javascript:<script>alert(1)</script>"));
    let page = get(&authorization_url(&server, &wrong));
    assert_eq!(page.status, 400);
    assert!(!page.text().contains("<script"));
}

#[test]
fn the_device_page_from_code_to_approval() {
    let server = people();
    let begin = || post(&server.device_authorization_url(), &[("client_id", "public-app")]).json();
    let text = |answer: &serde_json::Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let page = get(&server.verification_url());
    assert!(page.text().contains("name=\"user_code\""));
    let wrong = post(&server.verification_url(), &[("user_code", "XXXX-XXXX")]);
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("There is no such code"));
    assert_eq!(post(&server.verification_url(), &[("user_code", "")]).status, 400);

    let device = begin();
    let page = post(&server.verification_url(), &[("user_code", &text(&device, "user_code").to_lowercase())]);
    assert_eq!(page.status, 200);
    // It shows the code again, to be compared with the device's.
    assert!(page.text().contains(&text(&device, "user_code")) && page.text().contains("Public App"));
    let form = [("transaction", &*hidden(&page, "transaction")), ("decision", "approve"), ("user", "bob")];
    let done = post(&action(&server, &page), &form);
    assert!(done.text().contains("Device connected"));
    assert_eq!(post(&action(&server, &page), &form).status, 400);
    let poll = |device: &serde_json::Value| {
        post(
            &server.token_url(),
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("client_id", "public-app"),
                ("device_code", &text(device, "device_code")),
            ],
        )
    };
    assert_eq!(poll(&device).status, 200);

    // The complete URL still asks.
    let device = begin();
    let page = get(&text(&device, "verification_uri_complete"));
    assert!(page.text().contains(&text(&device, "user_code")));
    let form = [("transaction", &*hidden(&page, "transaction")), ("decision", "deny")];
    assert!(post(&action(&server, &page), &form).text().contains("Device refused"));
    poll(&device).assert_refused(400, "access_denied", "");
}

#[test]
fn a_transaction_of_one_page_is_no_good_at_the_other() {
    let server = people();
    let device = post(&server.device_authorization_url(), &[("client_id", "public-app")]).json();
    let device_page = get(device["verification_uri_complete"].as_str().unwrap());
    let consent_page = get(&Attempt::new().url(&server));
    let form = |page: &Reply| vec![("transaction".to_owned(), hidden(page, "transaction"))];
    for (page, url) in
        [(&device_page, action(&server, &consent_page)), (&consent_page, action(&server, &device_page))]
    {
        let form = form(page);
        let reply = post(&url, &[("transaction", &form[0].1), ("decision", "approve")]);
        assert_eq!((reply.status, reply.header("location")), (400, None));
    }
}

#[test]
fn home_and_nothing() {
    let server = people();
    assert!(get(&server.url("/tenant/")).text().contains(server.issuer()));
    assert_eq!(get(&server.url("/nothing")).status, 404);
}
