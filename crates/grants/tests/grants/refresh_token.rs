//! A7: refreshing, as far as one request goes (RFC 6749 §6).

use jeton_devserver::{DevServer, Endpoint, Fault};
use jeton_grants::{
    Grant, GrantContext, ManualClock, PublicClient, Recovery, RefreshToken, ResourceOwnerPasswordCredentials,
};
use jeton_models::{Scope, Secret};

use crate::support::{PlainHttp, a_moment, metadata};

#[tokio::test]
async fn a7_a_refresh_omits_the_scope_or_narrows_it_and_its_token_replaces_the_old_one() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let scope: Scope = "read write".parse().unwrap();
    let mut cx = GrantContext::new(&server, DevServer::PASSWORD_CLIENT, &PublicClient, &PlainHttp, &clock);
    cx.scope = Some(&scope);
    let (name, password) = DevServer::ALICE;
    let first = ResourceOwnerPasswordCredentials::new(name, password).obtain(&cx).await.unwrap();
    let first_token = first.refresh_token.unwrap();

    // Without a scope, though the context has one: what was granted stays.
    let second = RefreshToken::new(first_token.clone()).obtain(&cx).await.unwrap();
    let request = devserver.last_request(Endpoint::Token).unwrap();
    assert_eq!(request.form_value("scope"), None);
    assert_eq!(request.form_value("client_id"), Some(DevServer::PASSWORD_CLIENT));
    assert_eq!(second.scope, Some(scope.clone()));
    let second_token = second.refresh_token.unwrap();
    assert_ne!(second_token, first_token);
    assert!(devserver.is_refresh_token_live(second_token.expose()));

    // A subset.
    let narrow: Scope = "read".parse().unwrap();
    let third = RefreshToken::new(second_token).scope(narrow.clone()).obtain(&cx).await.unwrap();
    assert_eq!(third.scope, Some(narrow));
    let third_token = third.refresh_token.unwrap();

    // More than was granted: the request is wrong, the login lives.
    let wide = RefreshToken::new(third_token.clone()).scope("read admin".parse().unwrap());
    let error = wide.obtain(&cx).await.unwrap_err();
    assert_eq!(error.oauth_error().unwrap().code(), "invalid_scope");
    assert_eq!(error.recovery(), Recovery::FixRequest);
    assert!(!error.may_have_been_acted_on());
    assert!(devserver.is_refresh_token_live(third_token.expose()));

    // An answer without a refresh token says `None`, which means that the old one stays.
    devserver.fault(Endpoint::Token, Fault::remove("refresh_token"));
    assert_eq!(RefreshToken::new(third_token).obtain(&cx).await.unwrap().refresh_token, None);

    // A token of which the server does not know (any more).
    let error = RefreshToken::new(first_token).obtain(&cx).await.unwrap_err();
    assert!(error.is_invalid_grant());
    assert_eq!(error.recovery(), Recovery::LogIn);
}

#[tokio::test]
async fn a7_a_refresh_is_sent_once_and_says_when_it_may_have_worked() {
    let devserver = DevServer::start().unwrap();
    let server = metadata(&devserver).await;
    let clock = ManualClock::at(a_moment());
    let cx = GrantContext::new(&server, DevServer::PASSWORD_CLIENT, &PublicClient, &PlainHttp, &clock);
    for (fault, committed) in [(Fault::DropAfterCommit, true), (Fault::DropBeforeCommit, false)] {
        let refresh_token = logged_in(&cx).await;
        let before = devserver.stats();
        devserver.fault(Endpoint::Token, fault);
        let error = RefreshToken::new(refresh_token.clone()).obtain(&cx).await.unwrap_err();
        // From here the two look alike, so that both have to be taken for the worse.
        assert!(error.may_have_been_acted_on(), "{error}");
        assert_eq!(error.recovery(), Recovery::Retry { after: None });
        let after = devserver.stats();
        assert_eq!(after.grant("refresh_token").requests, before.grant("refresh_token").requests + 1);
        assert_eq!(after.refreshes - before.refreshes, u64::from(committed));
        assert_eq!(devserver.is_refresh_token_live(refresh_token.expose()), !committed);
    }
}

async fn logged_in(cx: &GrantContext<'_>) -> Secret {
    let (name, password) = DevServer::ALICE;
    let response = ResourceOwnerPasswordCredentials::new(name, password).obtain(cx).await.unwrap();
    response.refresh_token.unwrap()
}
