//! The record of a login: what is read is written back as it was, and what cannot be read says so without a secret.

use std::time::{Duration, UNIX_EPOCH};

use jeton_models::{Secret, Token};
use jeton_storage::{LoginKey, LoginRecord, RecordError, StoredToken, TokenTarget};
use serde_json::{Map, Value};

use super::disguise::{self, STAND_INS};
use super::property::{in_proportion, is_fit_to_be_shown, is_same, printed};

/// The members of version 1. Every other one belongs to a later version.
const OF_RECORD: [&str; 11] = [
    "format",
    "version",
    "key",
    "status",
    "generation",
    "created_at_ms",
    "updated_at_ms",
    "scope",
    "refresh_token",
    "refresh_token_received_at_ms",
    // What a later version adds to a hold goes with it.
    "refresh_hold",
];
const OF_TOKEN: [&str; 8] = [
    "access_token",
    "token_type",
    "target",
    "granted_scope",
    "received_at_ms",
    "expires_at_ms",
    "warnings",
    "extra",
];

/// Checks one input: what a store found.
pub fn check(data: &[u8]) {
    let [one, other] = STAND_INS.map(|stand_in| {
        let json = disguise::json(data, stand_in);
        printed(&LoginRecord::key_in_json(&json).and_then(|key| LoginRecord::from_json(&json, &key)))
    });
    assert_eq!(one, other, "a token can be read from what is printed");

    let key = match in_proportion(data, || LoginRecord::key_in_json(data)) {
        Ok(key) => key,
        Err(error) => {
            assert!(
                matches!(error, RecordError::Damaged { .. } | RecordError::NewerFormat { .. }),
                "{error:?}"
            );
            is_fit_to_be_shown(&error);
            assert_eq!(LoginRecord::from_json(data, &nobody()).err(), Some(error));
            return;
        }
    };
    let record = LoginRecord::from_json(data, &key).expect("a record of that key");
    assert_eq!(record.key, key);
    assert!(!record.status.to_string().is_empty());
    // A record is never taken for another login's.
    if key != nobody() {
        assert!(matches!(LoginRecord::from_json(data, &nobody()), Err(RecordError::WrongKey { .. })));
    }
    // A torn write is never taken for a record.
    let whole = data.trim_ascii_end();
    for cut in [whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        assert!(
            LoginRecord::key_in_json(&whole[..cut]).is_err(),
            "a record of which {cut} bytes are left is read"
        );
    }

    let written = record.to_json();
    let again = LoginRecord::from_json(&written, &key).expect("what is written reads back");
    assert_eq!(*again.to_json(), *written, "it changes each time it is written");
    let input: Value = serde_json::from_slice(data).expect("a record is JSON");
    keeps_what_it_does_not_know(&input, &json(&record), true);

    // The next refresh: the tokens are replaced, and the rest stays.
    let mut refreshed = record.clone();
    refreshed.set_refresh_token(Secret::from("next"), UNIX_EPOCH + Duration::from_secs(1));
    refreshed.set_token(StoredToken::new(&Token::new(Secret::from("fresh")), TokenTarget::new(), UNIX_EPOCH));
    let read = LoginRecord::from_json(&refreshed.to_json(), &key).expect("what is written reads back");
    assert_eq!(read.refresh_token, Some(Secret::from("next")));
    assert_eq!(read.refresh_hold, None, "the new refresh token is held back for the old one's sake");
    assert_eq!(read.token(&TokenTarget::new()).map(|token| token.access_token.expose()), Some("fresh"));
    keeps_what_it_does_not_know(&input, &json(&refreshed), false);

    for token in &record.tokens {
        let shown = token.to_token(None);
        assert!(shown.expires_in.is_none_or(|seconds| seconds > 0 || token.lifetime_ms() < Some(1_000)));
        assert_eq!(record.token(&token.target), Some(token), "two tokens have the same target");
    }
}

/// The key of a login that no input is likely to have.
fn nobody() -> LoginKey {
    LoginKey::new(&"https://nobody.example".parse().expect("an issuer"), "nobody")
}

fn json(record: &LoginRecord) -> Value {
    serde_json::from_slice(&record.to_json()).expect("what is written is JSON")
}

fn keeps_what_it_does_not_know(input: &Value, output: &Value, with_tokens: bool) {
    let known = |name: &str| name == "tokens" || OF_RECORD.contains(&name);
    keeps("the record", input, output, known);
    keeps("the key", &input["key"], &output["key"], |name| name == "issuer");
    keeps("the status", &input["status"], &output["status"], |_| false);
    if !with_tokens {
        return;
    }
    for name in
        ["generation", "created_at_ms", "updated_at_ms", "refresh_token", "refresh_token_received_at_ms"]
    {
        assert!(input[name] == output[name], "`{name}` changed");
    }

    let none = Vec::new();
    let tokens = |json: &Value| json["tokens"].as_array().cloned().unwrap_or_default();
    // Those that this version cannot use come behind the others.
    let (usable, foreign): (Vec<Value>, Vec<Value>) = tokens(input).into_iter().partition(is_usable);
    let (expected, found) = ([usable, foreign].concat(), tokens(output));
    assert_eq!(expected.len(), found.len(), "a token is lost");
    for (input, output) in expected.iter().zip(&found) {
        keeps("a token", input, output, |name| OF_TOKEN.contains(&name));
        assert!(input["access_token"] == output["access_token"], "a token changed");
        let lost_one = |code: &Value| code == "extra_member_too_deep";
        if !output["warnings"].as_array().unwrap_or(&none).iter().any(lost_one) {
            keeps("a token's further members", &input["extra"], &output["extra"], |_| false);
        }
        keeps("a token's target", &input["target"], &output["target"], |name| {
            // Another spelling of the same scope is the same; none is the same as null.
            name == "scope" || input["target"][name].is_null() && name == "resource"
        });
    }
}

fn is_usable(token: &Value) -> bool {
    let is_one = |text: &str| ["bearer", "dpop"].iter().any(|known| text.eq_ignore_ascii_case(known));
    let known = token["token_type"].as_str().is_some_and(is_one);
    let target = token["target"].as_object();
    known && target.is_some_and(|target| target.keys().all(|name| name == "resource" || name == "scope"))
}

/// Fails unless each member that the input has, but for those, is in the output as it was.
fn keeps(whose: &str, input: &Value, output: &Value, but_for: impl Fn(&str) -> bool) {
    let (none, nothing) = (Map::new(), Map::new());
    let input = input.as_object().unwrap_or(&none);
    let output = output.as_object().unwrap_or(&nothing);
    for (name, value) in input.iter().filter(|(name, _)| !but_for(name)) {
        let kept = output.get(name).is_some_and(|own| is_same(own, value));
        assert!(kept, "`{name}` of {whose} is lost or changed: {value} became {:?}", output.get(name));
    }
}
