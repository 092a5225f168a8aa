//! Rich authorization requests (RFC 9396), resource indicators (RFC 8707) and the issuer in the authorization response (RFC 9207).

use jeton_client::{AuthorizationDetail, Error, GrantError};
use jeton_models::AuthorizationResponseError;
use jeton_tests::user_agent::UserAgent;
use serde_json::json;

use crate::pages;
use crate::server::{SCOPE, Server, asking_for_consent};

fn payment(amount: u32) -> AuthorizationDetail {
    AuthorizationDetail::new("payment_initiation").with("amount", amount)
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn rar_is_granted_and_read_back() {
    let server = Server::get();
    // This server wants to know for which resource.
    let resource = format!("{}/api", server.issuer);
    let (session, _wire) = server
        .signed_in("rar", |builder| builder.authorization_details([payment(42)]).resource(resource))
        .await;
    let token = session.token().await.unwrap();
    assert_eq!(token.authorization_details(), Some(vec![payment(42)]));
    assert_eq!(server.who_am_i(&session).await["authorization_details"], json!([payment(42)]));
    // A refresh keeps them.
    let token = session.refresh().await.unwrap();
    assert_eq!(token.authorization_details(), Some(vec![payment(42)]));
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn rar_that_is_too_much_is_refused_by_name() {
    let server = Server::get();
    let builder = server.builder("rar").scope("openid").authorization_details([payment(1_000)]);
    let session = builder.build().unwrap().session();
    let (url, pending) = session.begin_log_in("http://127.0.0.1/callback").await.unwrap();
    let page = UserAgent::new().open(&url).await.unwrap();
    let error = session.finish_log_in(pending, page.leads_to().expect("a refusal")).await.unwrap_err();
    assert!(error.to_string().contains("invalid_authorization_details"), "{error}");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn resource_indicators_choose_the_audience_from_login_to_refresh() {
    let server = Server::get();
    let audience = format!("{}/api", server.issuer);
    let resource = audience.clone();
    let (session, wire) = server
        .signed_in("native", |builder| builder.resource(resource).scope("offline_access api:read api:write"))
        .await;
    assert_eq!(server.who_am_i(&session).await["aud"], audience);
    session.refresh().await.unwrap();
    assert_eq!(server.who_am_i(&session).await["aud"], audience);
    let sent: Vec<_> =
        wire.exchanges().iter().filter_map(|e| e.parameter("resource").map(str::to_owned)).collect();
    assert_eq!(sent, [audience.clone(), audience]);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn resource_indicators_of_a_stranger_are_refused() {
    let server = Server::get();
    let builder = server.builder("native").scope("api:read").resource("https://api.example");
    let session = builder.build().unwrap().session();
    let (url, pending) = session.begin_log_in("http://127.0.0.1/callback").await.unwrap();
    let page = UserAgent::new().open(&url).await.unwrap();
    let error = session.finish_log_in(pending, page.leads_to().expect("a refusal")).await.unwrap_err();
    assert!(error.to_string().contains("invalid_target"), "{error}");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn issuer_identification_tells_another_servers_answer() {
    let server = Server::get();
    let builder = || server.builder("web").scope(SCOPE).extra_parameters(asking_for_consent());
    let session = builder().build().unwrap().session();
    for mixed_up in [Some("https://attacker.example"), None] {
        let (url, pending) = session.begin_log_in("https://app.example/callback").await.unwrap();
        let mut redirected = pages::redirected(&UserAgent::new(), &url, "alice").await;
        let pairs: Vec<(String, String)> = redirected.query_pairs().into_owned().collect();
        assert!(pairs.contains(&("iss".to_owned(), server.issuer.clone())), "{pairs:?}");
        let others = pairs.into_iter().filter(|(name, _)| name != "iss");
        let iss = mixed_up.map(|issuer| ("iss".to_owned(), issuer.to_owned()));
        redirected.query_pairs_mut().clear().extend_pairs(others.chain(iss));
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        let Error::Grant(grant) = &error else { panic!("{error:?}") };
        let GrantError::AuthorizationResponse(why) = &**grant else { panic!("{error:?}") };
        assert!(!matches!(why, AuthorizationResponseError::Denied(_)), "{why}");
    }
}
