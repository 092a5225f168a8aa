//! Signed authorization requests (RFC 9101) and responses (JARM), and all of it at once: the FAPI 2.0 Security Profile.

use jeton_client::PushedRequests;
use jeton_grants::RequestObject;
use jeton_tests::user_agent::UserAgent;

use crate::pages;
use crate::server::{SCOPE, Server, asking_for_consent, log_in};
use crate::wire::Wire;

const CALLBACK: &str = "http://127.0.0.1/callback";

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn request_object_by_value_and_pushed() {
    let server = Server::get();
    for pushed in [PushedRequests::Never, PushedRequests::Always] {
        let (builder, mut screen) = server.with_browser("request_object");
        let wire = Wire::new();
        let builder = builder
            .request_object(RequestObject::new(server.key("request_object")))
            .pushed_authorization_requests(pushed)
            .transport(wire.clone());
        let session = builder.build().unwrap().session();
        log_in(&session, &mut screen, &UserAgent::new(), "alice").await;
        assert_eq!(server.who_am_i(&session).await["sub"], "alice");
        let was_pushed =
            wire.exchanges().iter().any(|exchange| exchange.path == "/request" && exchange.status == 201);
        assert_eq!(was_pushed, pushed == PushedRequests::Always);
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn request_object_is_what_this_server_insists_on() {
    let server = Server::get();
    let builder = || server.builder("request_object").scope("openid");
    let plain = builder().build().unwrap().session();
    let (url, _pending) = plain.begin_log_in(CALLBACK).await.unwrap();
    let page = UserAgent::new().open(&url).await.unwrap();
    assert!(page.form().is_err() || page.form().unwrap().value("prompt").is_none(), "{page:?}");

    // One that another key has signed is no better.
    let stranger = jeton_client::SigningKey::generate(jeton_client::JwsAlgorithm::Es256).unwrap();
    let forged = builder().request_object(RequestObject::new(stranger)).build().unwrap().session();
    let (url, _pending) = forged.begin_log_in(CALLBACK).await.unwrap();
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request"], "nothing stands beside it");
    let page = UserAgent::new().open(&url).await.unwrap();
    assert!(page.form().is_err() || page.form().unwrap().value("prompt").is_none(), "{page:?}");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn jarm_is_verified_with_the_servers_keys() {
    let server = Server::get();
    let (session, _wire) =
        server.signed_in("jarm", |builder| builder.signed_authorization_responses(true)).await;
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn jarm_that_was_changed_or_left_out_is_refused() {
    let server = Server::get();
    let builder = server.builder("jarm").scope(SCOPE).extra_parameters(asking_for_consent());
    let session = builder.signed_authorization_responses(true).build().unwrap().session();
    for forge in [
        (|jwt: &str| ("response", format!("{}A", &jwt[..jwt.len() - 2])))
            as fn(&str) -> (&'static str, String),
        |_| ("code", "a code beside it".to_owned()),
    ] {
        let (url, pending) = session.begin_log_in(CALLBACK).await.unwrap();
        let mut redirected = pages::redirected(&UserAgent::new(), &url, "alice").await;
        let pairs: Vec<(String, String)> = redirected.query_pairs().into_owned().collect();
        let [(name, jwt)] = &pairs[..] else { panic!("{pairs:?}") };
        assert_eq!(name, "response", "only the JWT");
        let (name, value) = forge(jwt);
        redirected.query_pairs_mut().clear().append_pair(name, &value);
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        assert!(error.oauth_error().is_none(), "no code was redeemed: {error}");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn fapi_login_pushed_bound_and_signed() {
    let server = Server::get();
    let (session, wire) = server
        .signed_in("fapi", |builder| {
            builder.dpop(true).fapi2_security_profile().pushed_authorization_requests(PushedRequests::Always)
        })
        .await;
    let caller = server.who_am_i(&session).await;
    assert_eq!((&caller["sub"], &caller["bound"]), (&"alice".into(), &"dpop".into()));
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["bound"], "dpop");
    assert!(wire.exchanges().iter().any(|exchange| exchange.path == "/request" && exchange.status == 201));
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn fapi_lets_nothing_less_pass() {
    let server = Server::get();
    // No binding of tokens; no proof of who the client is.
    for client in ["fapi", "native"] {
        let (builder, _screen) = server.with_browser(client);
        let wire = Wire::new();
        let built = builder.fapi2_security_profile().transport(wire.clone()).build();
        let error = match built {
            Ok(client) => client.session().begin_log_in(CALLBACK).await.map(|_| ()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("FAPI"), "{client}: {error}");
        assert!(wire.exchanges().iter().all(|exchange| exchange.path != "/request"));
    }
}
