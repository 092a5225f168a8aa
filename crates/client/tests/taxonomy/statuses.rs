//! HTTP statuses without an OAuth error in the body: a page of a gateway, or nothing at all.

use jeton_devserver::{DevServer, Endpoint, Fault};

use crate::row::{FIX_CONFIGURATION, RETRY, check, lost, refused};
use crate::support::{LIFETIME, World, soon};

/// That status with an HTML page.
fn page(status: u16) -> Fault {
    Fault::Status { status, retry_after: None }
}

/// That status without a body.
fn bare(status: u16) -> Fault {
    Fault::Answer { status, headers: Vec::new(), body: Vec::new() }
}

fn challenge(challenge: &str) -> Fault {
    let headers = vec![("www-authenticate".to_owned(), challenge.to_owned())];
    Fault::Answer { status: 401, headers, body: Vec::new() }
}

#[tokio::test]
async fn a_success_without_a_token() {
    check(vec![
        // The server thinks that it has done its part: the refresh token may be spent.
        lost("200 and nothing", bare(200), RETRY, "HTTP 200"),
        lost("201 and nothing", bare(201), RETRY, "HTTP 201"),
        lost("202 and nothing", bare(202), RETRY, "HTTP 202"),
        lost("204", bare(204), RETRY, "without a body"),
        lost("201 and a page", page(201), FIX_CONFIGURATION, "HTTP 201"),
    ])
    .await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let to = |status, location: &str| Fault::Answer {
        status,
        headers: vec![("location".to_owned(), location.to_owned())],
        body: Vec::new(),
    };
    check(vec![
        refused("301", to(301, "https://elsewhere.example/"), FIX_CONFIGURATION, "redirect [HTTP 301]"),
        refused("302", to(302, "https://elsewhere.example/"), FIX_CONFIGURATION, "redirect [HTTP 302]"),
        refused("303", to(303, "https://elsewhere.example/"), FIX_CONFIGURATION, "redirect [HTTP 303]"),
        refused("307", to(307, "https://elsewhere.example/"), FIX_CONFIGURATION, "redirect [HTTP 307]"),
        refused("308", to(308, "https://elsewhere.example/"), FIX_CONFIGURATION, "redirect [HTTP 308]"),
        refused("302 to nowhere", bare(302), FIX_CONFIGURATION, "redirect [HTTP 302]"),
        // What a cache says to a GET; to a POST nobody does, and it is no token either.
        refused("304", bare(304), FIX_CONFIGURATION, "redirect [HTTP 304]"),
        refused("a location with a secret", to(302, "/?x=S3CR3T"), FIX_CONFIGURATION, "redirect [HTTP 302]"),
    ])
    .await;
}

#[tokio::test]
async fn nothing_arrives_where_a_redirect_leads() {
    let elsewhere = DevServer::recorder().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let world = World::new();
        let (_client, session) = world.signed_in().await;
        world.clock.advance(LIFETIME);
        let headers = vec![("location".to_owned(), elsewhere.url().to_owned())];
        let redirect = Fault::Answer { status, headers, body: Vec::new() };
        world.server.fault_always(Endpoint::Token, redirect);
        soon(session.token()).await.unwrap_err();
        assert_eq!(world.refresh_requests(), 1, "{status}");
        assert_eq!(elsewhere.requests().len(), 0, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_without_an_oauth_error() {
    check(vec![
        refused("400 and a page", page(400), FIX_CONFIGURATION, "HTTP 400"),
        refused("400 and nothing", bare(400), FIX_CONFIGURATION, "HTTP 400"),
        refused("401 and nothing", bare(401), FIX_CONFIGURATION, "HTTP 401"),
        // The client's credentials, not the person's login: nothing that logging in would mend.
        refused("401 Basic", challenge(r#"Basic realm="token""#), FIX_CONFIGURATION, "HTTP 401"),
        refused("401 Bearer", challenge(r#"Bearer error="invalid_token""#), FIX_CONFIGURATION, "HTTP 401"),
        refused("403", page(403), FIX_CONFIGURATION, "HTTP 403"),
        refused("404", page(404), FIX_CONFIGURATION, "HTTP 404"),
        refused("405", page(405), FIX_CONFIGURATION, "HTTP 405"),
        refused("407", page(407), FIX_CONFIGURATION, "HTTP 407"),
        refused("408", page(408), RETRY, "HTTP 408"),
        refused("410", page(410), FIX_CONFIGURATION, "HTTP 410"),
        refused("413", page(413), FIX_CONFIGURATION, "HTTP 413"),
        refused("415", page(415), FIX_CONFIGURATION, "HTTP 415"),
        refused("421", page(421), FIX_CONFIGURATION, "HTTP 421"),
        refused("425", page(425), RETRY, "HTTP 425"),
        refused("429", page(429), RETRY, "HTTP 429"),
        refused("431", page(431), FIX_CONFIGURATION, "HTTP 431"),
    ])
    .await;
}

#[tokio::test]
async fn a_server_or_gateway_that_fails() {
    check(vec![
        lost("500", page(500), RETRY, "HTTP 500"),
        lost("500 and nothing", bare(500), RETRY, "HTTP 500"),
        lost("501", page(501), RETRY, "HTTP 501"),
        // A gateway says nothing of what the server behind it has done.
        lost("502", page(502), RETRY, "HTTP 502"),
        lost("504", page(504), RETRY, "HTTP 504"),
        lost("520, of a content network", page(520), RETRY, "HTTP 520"),
        // This one is for saying that nothing was done.
        refused("503", page(503), RETRY, "HTTP 503"),
        refused("503 and nothing", bare(503), RETRY, "HTTP 503"),
        refused("503 in plain words", Fault::answer(503, "text/plain", "try again later"), RETRY, "HTTP 503"),
    ])
    .await;
}

/// What a network shows to everybody until somebody has paid, or agreed to something.
#[tokio::test]
async fn a_captive_portal() {
    let portal = "<html><head><title>Welcome to S3CR3T hotel</title></head></html>";
    check(vec![
        // It may as well be a wrong endpoint URL; both are said. By the status the server has done its part.
        lost(
            "200",
            Fault::answer(200, "text/html", portal),
            FIX_CONFIGURATION,
            "a proxy or a wrong endpoint URL",
        ),
        lost("200 as JSON", Fault::answer(200, "application/json", portal), FIX_CONFIGURATION, "markup"),
        refused("403", Fault::answer(403, "text/html", portal), FIX_CONFIGURATION, "markup"),
        // This one is for saying that the network in between wants a login of its own.
        refused("511", Fault::answer(511, "text/html", portal), RETRY, "HTTP 511"),
    ])
    .await;
}
