//! The answer of the introspection endpoint (RFC 7662 §2.2).

use jeton_models::{Answer, ExtraMembers, Introspection, ParseOptions, Warning};
use serde_json::Value;

use super::answer;
use super::property::is_same;

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read = answer::readings(&answer, Introspection::parse, |introspection| &introspection.warnings);
    let Ok(introspection) = read.tolerant else { return };
    for time in [introspection.exp, introspection.iat, introspection.nbf].into_iter().flatten() {
        assert!((1..=253_402_300_799).contains(&time), "{time} is no time in seconds");
    }
    assert_eq!(introspection.expires_at().is_some(), introspection.exp.is_some());
    shows_no_text(&introspection);
    reads_back(&introspection);
}

/// `Debug` does not depend on any text of the server.
fn shows_no_text(introspection: &Introspection) {
    let mut bare = introspection.clone();
    let texts = [
        &mut bare.client_id,
        &mut bare.username,
        &mut bare.token_type,
        &mut bare.sub,
        &mut bare.iss,
        &mut bare.jti,
    ];
    texts.into_iter().for_each(|text| *text = None);
    (bare.scope, bare.aud, bare.extra) = (None, Vec::new(), ExtraMembers::new());
    assert_eq!(format!("{bare:?}"), format!("{introspection:?}"));
}

/// What it serializes to says the same, in the RFC's types but for what could not be read either time.
fn reads_back(introspection: &Introspection) {
    let json = introspection.to_json();
    let members: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(members["active"], Value::Bool(introspection.active));
    let answer = Answer::new(200, Some("application/json"), json.as_bytes());
    let mut again =
        Introspection::parse(&answer, &ParseOptions::default()).expect("what was read can be read");
    let lasting = [
        Warning::ScopeEmpty,
        Warning::ScopeCharacters,
        Warning::ScopeInvalid,
        Warning::TimeInvalid,
        Warning::TextInvalid,
    ];
    assert!(again.warnings.iter().all(|warning| lasting.contains(warning)), "{:?}", again.warnings);
    let extra = |introspection: &Introspection| -> Value {
        introspection.extra.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    };
    assert!(is_same(&extra(&again), &extra(introspection)), "{json} became {}", again.to_json());
    again.extra = introspection.extra.clone();
    again.warnings.clone_from(&introspection.warnings);
    assert!(again == *introspection, "{json} became {}", again.to_json());
}
