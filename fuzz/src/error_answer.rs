//! Error answers (RFC 6749 §5.2), in the RFC's shape and in those that servers use instead.

use jeton_models::{Answer, AnswerError, ErrorResponse, ParseOptions};
use serde_json::Value;

use super::answer;
use super::disguise::{self, STAND_INS};
use super::property::{in_proportion, is_fit_to_be_shown, is_same};

/// What was sent to the server, which may repeat it wherever it likes. It has two spellings in a form.
const SENT: &str = "s3nt/s3cr3t";
const SENT_IN_A_FORM: &str = "s3nt%2Fs3cr3t";

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let error = in_proportion(answer.body, || answer.error(&ParseOptions::default()));
    assert_eq!(error, answer.error(&ParseOptions::strict()), "strictness hides what the server says");
    is_fit_to_be_shown(&error);
    let [one, other] = STAND_INS.map(|stand_in| {
        let body = disguise::body(answer.body, stand_in);
        let error = Answer::new(answer.status, answer.content_type, &body).error(&ParseOptions::default());
        format!("{error} {error:?}")
    });
    assert_eq!(one, other, "a secret can be read from what is printed");

    match error {
        AnswerError::OAuth(mut error) => {
            assert_eq!(error.status, answer.status);
            assert!(!error.code().is_empty());
            reads_back(&error.response);
            error.response.redact(SENT);
            shows_nothing_sent(&format!("{error} {error:?}"));
            let kept = serde_json::to_value(&error.response).expect("an error can be written");
            assert!(is_free_of_what_was_sent(&kept), "what the server repeated is kept: {kept}");
        }
        AnswerError::Unusable(mut unusable) => {
            assert_eq!(unusable.status, answer.status);
            unusable.redact(SENT);
            shows_nothing_sent(&format!("{unusable} {unusable:?}"));
        }
        other => panic!("a variant that nobody checks: {other:?}"),
    }
}

fn shows_nothing_sent(text: &str) {
    assert!(!text.contains(SENT) && !text.contains(SENT_IN_A_FORM), "what was sent is shown: {text}");
}

fn is_free_of_what_was_sent(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains(SENT) && !text.contains(SENT_IN_A_FORM),
        Value::Array(values) => values.iter().all(is_free_of_what_was_sent),
        Value::Object(members) => members.values().all(is_free_of_what_was_sent),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Written as JSON, the error is the same again, to serde and to the tolerant reading.
fn reads_back(response: &ErrorResponse) {
    let written = serde_json::to_vec(response).expect("an error can be written");
    let Ok(with_serde) = serde_json::from_slice::<ErrorResponse>(&written) else {
        panic!("cannot be read: {}", String::from_utf8_lossy(&written))
    };
    let answer = Answer::new(400, Some("application/json"), &written);
    let AnswerError::OAuth(tolerant) = answer.error(&ParseOptions::default()) else {
        panic!("is no error any more: {}", String::from_utf8_lossy(&written))
    };
    let value = |response: &ErrorResponse| serde_json::to_value(response).expect("an error can be written");
    for again in [&with_serde, &tolerant.response] {
        assert!(is_same(&value(again), &value(response)), "{response:?} became {again:?}");
    }
}
