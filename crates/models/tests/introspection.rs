//! Introspection answers (RFC 7662 §2.2): what jeton makes of each member in each shape, the warning for each leniency, and the
//! error that the strict switch makes of it.
// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, UNIX_EPOCH};

use jeton_models::{Answer, AnswerError, Introspection, ParseOptions, UnusableReason, Warning};
use serde_json::{Value, json};

const JSON: Option<&str> = Some("application/json");

fn parse(body: &str, options: &ParseOptions) -> Result<Introspection, AnswerError> {
    Introspection::parse(&Answer::new(200, JSON, body.as_bytes()), options)
}

fn read(body: &str) -> Introspection {
    parse(body, &ParseOptions::default()).unwrap()
}

#[test]
fn the_answer_of_the_rfc_is_read_strictly_and_comes_out_as_it_was() {
    // RFC 7662 §2.2.
    let body = r#"{"active":true,"client_id":"l238j323ds-23ij4","username":"jdoe","scope":"read write dolphin",
        "sub":"Z5O3upPC88QrAjx00dis","aud":"https://protected.example.net/resource",
        "iss":"https://server.example.com/","exp":1419356238,"iat":1419350238,"extension_field":"twenty-seven"}"#;
    let introspection = parse(body, &ParseOptions::strict()).unwrap();
    assert!(introspection.active);
    assert_eq!(introspection.scope, Some("read write dolphin".parse().unwrap()));
    assert_eq!(introspection.client_id.as_deref(), Some("l238j323ds-23ij4"));
    assert_eq!(introspection.username.as_deref(), Some("jdoe"));
    assert_eq!(introspection.sub.as_deref(), Some("Z5O3upPC88QrAjx00dis"));
    assert_eq!(introspection.aud, ["https://protected.example.net/resource"]);
    assert_eq!(introspection.iss.as_deref(), Some("https://server.example.com/"));
    assert_eq!((introspection.iat, introspection.nbf), (Some(1_419_350_238), None));
    assert_eq!(introspection.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(1_419_356_238)));
    assert_eq!((introspection.token_type, introspection.jti), (None, None));
    assert_eq!(introspection.extra.get_str("extension_field"), Some("twenty-seven"));
    let again: Value = serde_json::from_str(&read(body).to_json()).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(body).unwrap());
}

#[test]
fn a_token_that_is_not_active_is_an_answer() {
    let introspection = parse(r#"{"active":false}"#, &ParseOptions::strict()).unwrap();
    assert!(!introspection.active);
    assert_eq!(introspection.expires_at(), None);
    assert_eq!(introspection.to_json(), r#"{"active":false}"#);
}

#[test]
fn a13_an_answer_that_does_not_say_whether_the_token_is_active_is_unusable() {
    for body in [
        "{}",
        r#"{"active":null}"#,
        r#"{"active":1}"#,
        r#"{"active":0}"#,
        r#"{"active":""}"#,
        r#"{"active":"yes"}"#,
        r#"{"active":" true"}"#,
        r#"{"active":"True"}"#,
        r#"{"active":[true]}"#,
        r#"{"active":{}}"#,
        r#"{"Active":true}"#,
        r#"{"sub":"alice","exp":1419356238}"#,
    ] {
        for options in [ParseOptions::default(), ParseOptions::strict()] {
            let Err(AnswerError::Unusable(unusable)) = parse(body, &options) else { panic!("{body}") };
            assert_eq!(unusable.reason, UnusableReason::Member("active"), "{body}");
        }
    }
}

#[test]
fn each_leniency_is_a_warning_and_an_error_under_the_strict_switch() {
    use Warning::{
        ActiveString, MemberRepeated, ScopeArray, ScopeCharacters, ScopeEmpty, ScopeInvalid, TextInvalid,
        TextNumber, TimeFraction, TimeInvalid, TimeString,
    };
    // The members sent, the members that come out, and the warnings.
    let table: &[(&str, Value, &[Warning])] = &[
        (r#""active":"true""#, json!({"active": true}), &[ActiveString]),
        (r#""active":"false""#, json!({"active": false}), &[ActiveString]),
        (r#""active":true,"active":false"#, json!({"active": false}), &[MemberRepeated]),
        (r#""active":true,"exp":7"#, json!({"active": true, "exp": 7}), &[]),
        (r#""active":true,"exp":7.0"#, json!({"active": true, "exp": 7}), &[]),
        (r#""active":true,"exp":null"#, json!({"active": true}), &[]),
        (r#""active":true,"exp":"7""#, json!({"active": true, "exp": 7}), &[TimeString]),
        (r#""active":true,"iat":7.9"#, json!({"active": true, "iat": 7}), &[TimeFraction]),
        (r#""active":true,"nbf":"7.9""#, json!({"active": true, "nbf": 7}), &[TimeString, TimeFraction]),
        (r#""active":true,"exp":253402300799"#, json!({"active": true, "exp": 253_402_300_799_u64}), &[]),
        // Milliseconds, and what other servers say for "never" or "not known". It stays where a program can look at it.
        (
            r#""active":true,"exp":1900000000000"#,
            json!({"active": true, "exp": 1_900_000_000_000_u64}),
            &[TimeInvalid],
        ),
        (r#""active":true,"exp":0"#, json!({"active": true, "exp": 0}), &[TimeInvalid]),
        (r#""active":true,"exp":-1"#, json!({"active": true, "exp": -1}), &[TimeInvalid]),
        (r#""active":true,"iat":"soon""#, json!({"active": true, "iat": "soon"}), &[TimeInvalid]),
        (r#""active":true,"nbf":{}"#, json!({"active": true, "nbf": {}}), &[TimeInvalid]),
        (r#""active":true,"sub":42"#, json!({"active": true, "sub": "42"}), &[TextNumber]),
        (r#""active":true,"username":null"#, json!({"active": true}), &[]),
        (r#""active":true,"username":["a"]"#, json!({"active": true, "username": ["a"]}), &[TextInvalid]),
        (r#""active":true,"client_id":true"#, json!({"active": true, "client_id": true}), &[TextInvalid]),
        (r#""active":true,"aud":"a""#, json!({"active": true, "aud": "a"}), &[]),
        (r#""active":true,"aud":["a"]"#, json!({"active": true, "aud": "a"}), &[]),
        (r#""active":true,"aud":["a","b"]"#, json!({"active": true, "aud": ["a", "b"]}), &[]),
        (r#""active":true,"aud":[]"#, json!({"active": true}), &[]),
        (r#""active":true,"aud":["a",1]"#, json!({"active": true, "aud": ["a", 1]}), &[TextInvalid]),
        (r#""active":true,"aud":1"#, json!({"active": true, "aud": 1}), &[TextInvalid]),
        (r#""active":true,"scope":["a","b c"]"#, json!({"active": true, "scope": "a b c"}), &[ScopeArray]),
        (r#""active":true,"scope":"""#, json!({"active": true, "scope": ""}), &[ScopeEmpty]),
        (r#""active":true,"scope":7"#, json!({"active": true, "scope": 7}), &[ScopeInvalid]),
        (r#""active":true,"scope":"\u001b""#, json!({"active": true, "scope": "\u{1b}"}), &[ScopeCharacters]),
        (r#""active":true,"x":{"y":[1]}"#, json!({"active": true, "x": {"y": [1]}}), &[]),
    ];
    for (members, out, warnings) in table {
        let body = format!("{{{members}}}");
        let introspection = read(&body);
        assert_eq!(introspection.warnings, *warnings, "{members}");
        assert_eq!(serde_json::from_str::<Value>(&introspection.to_json()).unwrap(), *out, "{members}");
        match parse(&body, &ParseOptions::strict()) {
            Ok(strict) => assert!(warnings.is_empty() && strict == introspection, "{members}"),
            Err(AnswerError::Unusable(unusable)) => {
                let reason = warnings.first().map(|warning| UnusableReason::Strict(warning.clone()));
                assert_eq!(Some(unusable.reason), reason, "{members}");
            }
            Err(other) => panic!("{members}: {other}"),
        }
    }
}

#[test]
fn a_member_that_could_not_be_read_is_not_taken_for_what_it_names() {
    let introspection = read(r#"{"active":true,"exp":"soon","sub":{},"aud":["a",1],"scope":7}"#);
    assert_eq!((introspection.exp, introspection.expires_at()), (None, None));
    assert_eq!((introspection.sub, introspection.scope), (None, None));
    assert!(introspection.aud.is_empty());
    assert_eq!(introspection.extra.get_str("exp"), Some("soon"));
}

#[test]
fn what_is_no_answer_is_an_error() {
    let of = |status, content_type, body: &str| {
        Introspection::parse(&Answer::new(status, content_type, body.as_bytes()), &ParseOptions::default())
            .unwrap_err()
    };
    let error = of(401, JSON, r#"{"error":"invalid_client"}"#);
    assert!(matches!(&error, AnswerError::OAuth(error) if error.code() == "invalid_client"), "{error}");
    // An error under a status of success.
    let error = of(200, JSON, r#"{"error":"invalid_request"}"#);
    assert!(matches!(&error, AnswerError::OAuth(error) if error.code() == "invalid_request"), "{error}");
    // Not even if it says that the token is active.
    for (status, content_type, body, reason) in [
        (403, JSON, r#"{"active":true}"#, UnusableReason::Status),
        (200, Some("text/html"), "<html>", UnusableReason::Markup),
        (200, JSON, "", UnusableReason::Empty),
        (200, JSON, r#"{"active":tr"#, UnusableReason::NotJson),
        (200, JSON, "[true]", UnusableReason::NotAnObject),
        (200, JSON, "active=true", UnusableReason::NotJson),
        // RFC 9701, which nobody asked for.
        (200, Some("application/token-introspection+jwt"), "eyJ0.eyJh.c2ln", UnusableReason::NotJson),
    ] {
        let error = of(status, content_type, body);
        assert!(
            matches!(&error, AnswerError::Unusable(unusable) if unusable.reason == reason),
            "{body}: {error}"
        );
    }
}

#[test]
fn debug_shows_nothing_of_what_the_server_repeats() {
    let introspection = read(
        r#"{"active":true,"exp":7,"scope":"S3CR3T","client_id":"S3CR3T","username":"S3CR3T","token_type":"S3CR3T",
        "sub":"S3CR3T","aud":"S3CR3T","iss":"S3CR3T","jti":"S3CR3T","token":"S3CR3T","S3CR3T":1}"#,
    );
    let shown = format!("{introspection:?}");
    assert!(shown.contains("active: true") && !shown.contains("S3CR3T"), "{shown}");
}
