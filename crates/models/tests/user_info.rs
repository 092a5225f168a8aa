//! Userinfo answers (OpenID Connect Core §5.3): whose they are is never guessed, the rest is read tolerantly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use jeton_models::{Answer, AnswerError, ParseOptions, UnusableReason, UserInfo, Warning};
use serde_json::json;

fn parse(body: &str, options: &ParseOptions) -> Result<UserInfo, AnswerError> {
    UserInfo::parse(&Answer::new(200, Some("application/json"), body.as_bytes()), options)
}

fn lenient(body: &str) -> UserInfo {
    parse(body, &ParseOptions::default()).unwrap()
}

fn reason(body: &str, options: &ParseOptions) -> UnusableReason {
    match parse(body, options) {
        Err(AnswerError::Unusable(unusable)) => unusable.reason,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a29_without_a_subject_it_is_about_nobody() {
    for body in [
        "{}",
        r#"{"sub":""}"#,
        r#"{"sub":7}"#,
        r#"{"sub":null}"#,
        r#"{"sub":["alice"]}"#,
        r#"{"name":"alice","email":"a@b.example"}"#,
    ] {
        assert_eq!(reason(body, &ParseOptions::default()), UnusableReason::Member("sub"), "{body}");
    }
}

#[test]
fn what_servers_send_is_read_and_nothing_is_lost() {
    let person = lenient(
        r#"{"sub":"a","name":"Ada","email":"a@b.example","email_verified":true,"zoneinfo":"Europe/Berlin","updated_at":5}"#,
    );
    assert_eq!((&*person.sub, person.name.as_deref()), ("a", Some("Ada")));
    assert_eq!((person.email.as_deref(), person.email_verified), (Some("a@b.example"), Some(true)));
    assert_eq!(person.extra.get_str("zoneinfo"), Some("Europe/Berlin"));
    assert!(person.warnings.is_empty());
    let json: serde_json::Value = serde_json::from_str(&person.to_json()).unwrap();
    assert_eq!(json["updated_at"], 5);
    assert_eq!(json["email_verified"], true);

    // Cognito writes its booleans as strings.
    let person = lenient(r#"{"sub":"a","email_verified":"false","name":5,"picture":{"data":{"url":"x"}}}"#);
    assert_eq!((person.email_verified, person.name.as_deref()), (Some(false), Some("5")));
    assert_eq!(person.warnings, [Warning::TextNumber, Warning::FlagString, Warning::TextInvalid]);
    assert_eq!(person.extra.get("picture"), Some(&json!({"data":{"url":"x"}})));
    let odd = lenient(r#"{"sub":"a","email_verified":"yes"}"#);
    assert_eq!((odd.email_verified, &*odd.warnings), (None, &[Warning::FlagInvalid][..]));

    let strict = reason(r#"{"sub":"a","email_verified":"true"}"#, &ParseOptions::strict());
    assert_eq!(strict, UnusableReason::Strict(Warning::FlagString));
}

#[test]
fn errors_and_pages_are_told_apart_and_debug_names_nobody() {
    let error = parse(r#"{"error":"invalid_token"}"#, &ParseOptions::default()).unwrap_err();
    assert!(matches!(&error, AnswerError::OAuth(error) if error.code() == "invalid_token"), "{error}");
    assert_eq!(reason("<html>", &ParseOptions::default()), UnusableReason::Markup);
    let shown = format!("{:?}", lenient(r#"{"sub":"h1dd3n","name":"h1dd3n","x":"h1dd3n","h1dd3n":1}"#));
    assert!(!shown.contains("h1dd3n"), "{shown}");
}
