//! Pushed authorization requests (RFC 9126).

use jeton_client::PushedRequests;
use jeton_tests::user_agent::UserAgent;

use crate::server::{Server, log_in};
use crate::wire::Wire;

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn par_of_a_client_that_must() {
    let server = Server::get();
    let wire = Wire::new();
    let (builder, mut screen) = server.with_browser("pushing");
    let builder = builder.transport(wire.clone()).pushed_authorization_requests(PushedRequests::Always);
    let session = builder.build().unwrap().session();
    log_in(&session, &mut screen, &UserAgent::new(), "alice").await;
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
    session.refresh().await.unwrap();

    let pushed: Vec<_> =
        wire.exchanges().into_iter().filter(|exchange| exchange.path == "/request").collect();
    let [pushed] = &pushed[..] else { panic!("{pushed:?}") };
    assert_eq!(pushed.status, 201);
    assert!(pushed.parameter("client_assertion").is_some() && pushed.parameter("code_challenge").is_some());
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn par_leaves_nothing_in_the_browsers_url() {
    let server = Server::get();
    let builder =
        server.builder("pushing").scope("openid").pushed_authorization_requests(PushedRequests::Always);
    let session = builder.build().unwrap().session();
    let (url, _pending) = session.begin_log_in("http://127.0.0.1/callback").await.unwrap();
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    assert_eq!(UserAgent::new().open(&url).await.unwrap().form().unwrap().value("prompt"), Some("login"));

    // Without: the server sends the person away.
    let plain =
        server.builder("pushing").scope("openid").pushed_authorization_requests(PushedRequests::Never);
    let (url, _pending) =
        plain.build().unwrap().session().begin_log_in("http://127.0.0.1/callback").await.unwrap();
    let page = UserAgent::new().open(&url).await.unwrap();
    let sent_back = page
        .leads_to()
        .expect("an error for the client")
        .query_pairs()
        .any(|(_, value)| value == "invalid_request");
    assert!(sent_back, "{page:?}");
}
