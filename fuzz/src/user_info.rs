//! The answer of the userinfo endpoint (OpenID Connect Core §5.3.2).

use jeton_models::{Answer, ParseOptions, UserInfo, Warning};
use serde_json::Value;

use super::answer;
use super::property::is_same;

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read = answer::readings(&answer, UserInfo::parse, |person| &person.warnings);
    let Ok(person) = read.tolerant else { return };
    assert!(!person.sub.is_empty(), "it is about somebody");
    // `Debug` shows warnings and nothing else.
    assert_eq!(format!("{person:?}"), format!("UserInfo {{ warnings: {:?}, .. }}", person.warnings));
    // What it serializes to says the same.
    let json = person.to_json();
    let members: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(members["sub"], person.sub.as_str());
    let again = UserInfo::parse(
        &Answer::new(200, Some("application/json"), json.as_bytes()),
        &ParseOptions::default(),
    );
    // A member of the name `error` makes an error of it: such an answer was none in the first place.
    let again = again.expect("what was read can be read");
    let lasting = [Warning::TextInvalid, Warning::FlagInvalid];
    assert!(again.warnings.iter().all(|warning| lasting.contains(warning)), "{:?}", again.warnings);
    let all = |person: &UserInfo| serde_json::to_value(person).expect("it is JSON");
    assert!(is_same(&all(&again), &all(&person)), "{json} became {}", again.to_json());
}
