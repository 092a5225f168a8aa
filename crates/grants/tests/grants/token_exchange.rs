//! A17: token exchange (RFC 8693), against scripted answers. What the server makes of it is in `exchange_at_the_devserver`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jeton_grants::{
    Grant, GrantContext, GrantError, ManualClock, PublicClient, Recovery, SecurityToken, TokenExchange,
};
use jeton_models::{Scope, TokenType, TokenTypeIdentifier, UnusableReason};

use crate::support::{Answered, Scripted, a_moment, as_example, json};

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn exchanged() -> Answered {
    json(
        200,
        &format!(r#"{{"access_token":"t0k3n","token_type":"Bearer","issued_token_type":"{ACCESS_TOKEN}"}}"#),
    )
}

fn pairs(body: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn a17_the_request_says_what_the_tokens_are_and_an_actor_only_with_its_type() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [exchanged(), exchanged()]));
    let mut cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    let scope: Scope = "read".parse().unwrap();
    let resources = ["https://api.example/a".to_owned(), "https://api.example/b".to_owned()];
    (cx.scope, cx.resources) = (Some(&scope), &resources);
    let grant = TokenExchange::new(SecurityToken::access_token("subject"))
        .audience("inventory")
        .audience("billing")
        .requested_token_type(TokenTypeIdentifier::ACCESS_TOKEN);
    let response = grant.obtain(&cx).await.unwrap();
    assert_eq!(response.issued_token_type(), Some(ACCESS_TOKEN));
    let actor = SecurityToken::new("actor", TokenTypeIdentifier::JWT);
    grant.clone().actor(actor).obtain(&cx).await.unwrap();

    let bodies = transport.bodies();
    let first = pairs(&bodies[0]);
    assert_eq!(value(&first, "grant_type"), Some("urn:ietf:params:oauth:grant-type:token-exchange"));
    assert_eq!(value(&first, "subject_token"), Some("subject"));
    assert_eq!(value(&first, "subject_token_type"), Some(ACCESS_TOKEN));
    assert_eq!(value(&first, "requested_token_type"), Some(ACCESS_TOKEN));
    assert_eq!(value(&first, "scope"), Some("read"));
    let all =
        |name: &str| first.iter().filter(|(own, _)| own == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
    assert_eq!(all("audience"), ["inventory", "billing"]);
    assert_eq!(all("resource"), resources);
    assert!(value(&first, "actor_token").is_none() && value(&first, "actor_token_type").is_none());
    let second = pairs(&bodies[1]);
    assert_eq!(value(&second, "actor_token"), Some("actor"));
    assert_eq!(value(&second, "actor_token_type"), Some("urn:ietf:params:oauth:token-type:jwt"));
}

#[tokio::test]
async fn a17_each_exchange_asks_its_source_anew_and_without_a_token_nothing_is_sent() {
    let clock = ManualClock::at(a_moment());
    let (server, transport) = (as_example(), Scripted::new(&clock, [exchanged(), exchanged()]));
    let cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    let count = Arc::new(AtomicUsize::new(0));
    let grant = TokenExchange::new(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 | 1 => Ok(SecurityToken::access_token(format!("subject-{number}"))),
                _ => Err(GrantError::source("subject token", Recovery::LogIn, "the login is over")),
            }
        }
    });
    grant.obtain(&cx).await.unwrap();
    grant.obtain(&cx).await.unwrap();
    for (number, body) in transport.bodies().iter().enumerate() {
        assert_eq!(value(&pairs(body), "subject_token"), Some(format!("subject-{number}").as_str()));
    }
    let error = grant.obtain(&cx).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert_eq!(error.to_string(), "there is no subject token to present: the login is over");
    assert_eq!(transport.requests().len(), 2);
    // An empty one is none.
    let error = TokenExchange::new(SecurityToken::access_token("")).obtain(&cx).await.unwrap_err();
    assert!(matches!(error, GrantError::Parameter(_)), "{error}");
    assert_eq!(transport.requests().len(), 2);
}

#[tokio::test]
async fn a17_an_answer_must_say_what_was_issued() {
    for (odd, refresh_token) in [
        (r#"{"access_token":"t0k3n","token_type":"Bearer","refresh_token":"r"}"#, true),
        (r#"{"access_token":"t0k3n","token_type":"Bearer","issued_token_type":""}"#, false),
        (r#"{"access_token":"t0k3n","token_type":"Bearer","issued_token_type":7}"#, false),
        (r#"{"access_token":"t0k3n","token_type":"Bearer","issued_token_type":null}"#, false),
    ] {
        let clock = ManualClock::at(a_moment());
        let (server, transport) = (as_example(), Scripted::new(&clock, [json(200, odd)]));
        let cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
        let error = TokenExchange::new(SecurityToken::access_token("s")).obtain(&cx).await.unwrap_err();
        let GrantError::Unusable { answer, .. } = &error else { panic!("{odd}: {error}") };
        assert_eq!(answer.reason, UnusableReason::Member("issued_token_type"), "{odd}");
        assert_eq!(answer.refresh_token.is_some(), refresh_token, "{odd}");
        assert!(error.to_string().contains("issued_token_type") && !error.to_string().contains("t0k3n"));
    }
}

#[tokio::test]
async fn a17_n_a_is_taken_where_something_else_may_be_issued_and_nowhere_else() {
    let id_jag = r#"{"access_token":"a.b.c","token_type":"n_a","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}"#;
    let clock = ManualClock::at(a_moment());
    let server = as_example();
    let transport = Scripted::new(&clock, [json(200, id_jag)]);
    let cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    let response = TokenExchange::new(SecurityToken::id_token("s")).obtain(&cx).await.unwrap();
    assert_eq!(response.token_type, TokenType::NotApplicable);
    assert_eq!(response.token_type.as_str(), "N_A");

    let plain = json(200, r#"{"access_token":"a.b.c","token_type":"N_A"}"#);
    let transport = Scripted::new(&clock, [plain]);
    let cx = GrantContext::new(&server, "my-service", &PublicClient, &transport, &clock);
    let error = jeton_grants::ClientCredentials.obtain(&cx).await.unwrap_err();
    let GrantError::Unusable { answer, .. } = &error else { panic!("{error}") };
    assert!(matches!(answer.reason, UnusableReason::TokenType(_)), "{error}");
    assert_eq!(error.recovery(), Recovery::GiveUp);
}
