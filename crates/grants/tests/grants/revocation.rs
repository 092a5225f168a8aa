//! Token revocation (RFC 7009).

use std::time::Duration;

use jeton_devserver::DevServer;
use jeton_grants::{
    Grant, GrantContext, GrantError, ManualClock, PublicClient, Recovery, ResourceOwnerPasswordCredentials,
    revoke,
};
use jeton_models::{MetadataError, Secret};

use crate::support::{
    PlainHttp, Scripted, a_moment, answer, as_example, clocked, json, metadata, oauth_error, with_header,
};

#[tokio::test]
async fn a9_an_access_token_goes_alone_and_a_refresh_token_takes_the_login_with_it() {
    let clock = ManualClock::at(a_moment());
    let devserver = clocked(DevServer::builder(), &clock);
    let server = metadata(&devserver).await;
    let cx = GrantContext::new(&server, DevServer::PASSWORD_CLIENT, &PublicClient, &PlainHttp, &clock);
    let (user, password) = DevServer::ALICE;
    let tokens = ResourceOwnerPasswordCredentials::new(user, password).obtain(&cx).await.unwrap();
    let refresh_token = tokens.refresh_token.unwrap();

    revoke(&cx, &tokens.access_token, Some("access_token")).await.unwrap();
    assert!(devserver.is_refresh_token_live(refresh_token.expose()));
    // Once more, and one that nobody knows: done is done (RFC 7009 §2.2).
    revoke(&cx, &tokens.access_token, Some("access_token")).await.unwrap();
    revoke(&cx, &Secret::from("made-up"), None).await.unwrap();
    revoke(&cx, &refresh_token, Some("refresh_token")).await.unwrap();
    assert!(!devserver.is_refresh_token_live(refresh_token.expose()));
}

#[tokio::test]
async fn a9_where_the_token_may_live_on_there_is_an_error() {
    let clock = ManualClock::at(a_moment());
    let mut server = as_example();
    let token = Secret::from("h1dd3n-token");
    {
        let transport = Scripted::new(&clock, []);
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let error = revoke(&cx, &token, None).await.unwrap_err();
        assert!(matches!(error, GrantError::Metadata(MetadataError::EndpointAbsent { .. })), "{error}");
    }
    server.revocation_endpoint = Some("https://as.example/revoke".into());
    let after = Some(Duration::from_secs(7));
    for (answered, recovery) in [
        (with_header(answer(503, "text/html", "<"), "retry-after", "7"), Recovery::Retry { after }),
        (oauth_error(400, "unsupported_token_type"), Recovery::GiveUp),
        (oauth_error(401, "invalid_client"), Recovery::FixConfiguration),
        (json(404, r#"{"message":"no h1dd3n-token here"}"#), Recovery::FixConfiguration),
    ] {
        let transport = Scripted::new(&clock, [answered]);
        let cx = GrantContext::new(&server, "me", &PublicClient, &transport, &clock);
        let error = revoke(&cx, &token, Some("access_token")).await.unwrap_err();
        assert_eq!(error.recovery(), recovery, "{error}");
        assert!(!format!("{error} {error:?}").contains("h1dd3n"), "{error:?}");
        assert_eq!(transport.bodies(), ["token=h1dd3n-token&token_type_hint=access_token&client_id=me"]);
    }
}
