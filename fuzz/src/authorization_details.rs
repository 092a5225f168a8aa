//! Authorization details (RFC 9396), as a configuration has them and as a server grants them.

use jeton_models::{Answer, AuthorizationDetail, ParseOptions, TokenResponse, Warning};
use serde_json::{Map, Value};

use super::disguise::STAND_INS;
use super::property::{in_proportion, is_fit_to_be_shown, is_same};

/// Checks one input: what should be a JSON array of details.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = in_proportion(text.as_bytes(), || AuthorizationDetail::parse_all(&text));
    let value = serde_json::from_str::<Value>(&text).ok();
    let is_list = |value: &Value| {
        let typed = |item: &Value| {
            item.as_object()
                .is_some_and(|own| own.get("type").and_then(Value::as_str).is_some_and(|t| !t.is_empty()))
        };
        value.as_array().is_some_and(|items| items.iter().all(typed))
    };
    assert_eq!(read.is_ok(), value.as_ref().is_some_and(is_list));
    match &read {
        Ok(details) => round_trips(details, value.as_ref().expect("it was read")),
        Err(error) => is_fit_to_be_shown(error),
    }
    if let Some(value) = value {
        granted(&value, read.ok());
    }
}

fn round_trips(details: &[AuthorizationDetail], value: &Value) {
    let parameter = AuthorizationDetail::to_parameter(details).expect("each has a type");
    let again = AuthorizationDetail::parse_all(&parameter).expect("what was written");
    assert_eq!(again.len(), details.len());
    assert!(is_same(&serde_json::from_str(&parameter).expect("JSON"), value), "a member was lost");
    for detail in details {
        // Nothing but the type and the names of the members is ever shown.
        let shown = STAND_INS.map(|stand_in| {
            let members = detail.iter().map(|(name, value)| {
                let value = if name == "type" { value.clone() } else { Value::from(stand_in) };
                (name.to_owned(), value)
            });
            let changed = AuthorizationDetail::try_from(members.collect::<Map<_, _>>()).expect("a type");
            format!("{changed:?}")
        });
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0], format!("{detail:?}"));
    }
}

/// The same value in a token answer: what is right is given back as it is, anything else is a warning and no error.
fn granted(value: &Value, details: Option<Vec<AuthorizationDetail>>) {
    let body = format!(r#"{{"access_token":"t","token_type":"Bearer","authorization_details":{value}}}"#);
    let answer = Answer::new(200, Some("application/json"), body.as_bytes());
    let response = TokenResponse::parse(&answer, &ParseOptions::default()).expect("a token");
    let strict = TokenResponse::parse(&answer, &ParseOptions::strict());
    match (value, details) {
        (Value::Null, _) => assert_eq!((response.authorization_details(), strict.is_ok()), (None, true)),
        (Value::String(_), _) => assert!(strict.is_err()),
        (_, Some(_)) => {
            assert!(strict.is_ok());
            let granted = response.authorization_details().expect("what was granted");
            assert!(is_same(&serde_json::to_value(granted).expect("JSON"), value));
        }
        (_, None) => {
            assert_eq!(response.authorization_details(), None);
            assert!(response.warnings.contains(&Warning::AuthorizationDetailsInvalid) && strict.is_err());
        }
    }
}
