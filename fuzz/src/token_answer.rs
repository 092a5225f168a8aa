//! The answer of the token endpoint (RFC 6749 §5.1).

use std::time::{Duration, UNIX_EPOCH};

use jeton_models::{Answer, AnswerError, ParseOptions, Token, TokenResponse, Warning};
use serde_json::{Map, Value, json};

use super::answer;
use super::disguise::{self, STAND_INS};
use super::property::{is_same, printed};

/// Checks one input: a byte for status and content type, then the body.
pub fn check(data: &[u8]) {
    let Some(answer) = answer::of(data) else { return };
    let read = answer::readings(&answer, TokenResponse::parse, |response| &response.warnings);
    if let Ok(response) = read.tolerant {
        is_usable(&response);
        reads_back(&response);
        // A server that rotates has used up the old refresh token: the new one is never lost, least of all to strictness.
        if let Err(AnswerError::Unusable(strict)) = read.strict {
            assert_eq!(strict.refresh_token, response.refresh_token, "the refresh token is lost: {strict}");
        }
        has_an_expiry(response);
    }
    // The other way to read a token: with serde.
    let [one, other] = STAND_INS.map(|stand_in| {
        let body = disguise::json(answer.body, stand_in);
        printed(&serde_json::from_slice::<Token>(&body))
    });
    assert_eq!(one, other, "a secret can be read from what serde says");
}

fn is_usable(response: &TokenResponse) {
    let token = response.access_token.expose();
    assert!(
        !token.is_empty() && token.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "no header can carry it"
    );
    assert!(response.refresh_token.as_ref().is_none_or(|token| !token.is_empty()));
    for time in [response.expires_in, response.expires_at].into_iter().flatten() {
        assert!((1..=i64::MAX.unsigned_abs()).contains(&time), "readers in C and Go cannot hold {time}");
    }
    for name in ["access_token", "refresh_token", "token_type", "expires_in", "expires_at", "scope"] {
        assert!(response.extra.get(name).is_none(), "`{name}` is read and yet among the further members");
    }
}

/// Written the way the RFC says, the token is the same again, without a leniency.
fn reads_back(response: &TokenResponse) {
    let mut members: Map<String, Value> =
        response.extra.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    members.insert("access_token".to_owned(), json!(response.access_token.expose()));
    members.insert("token_type".to_owned(), json!(response.token_type.as_str()));
    let optional = [
        ("expires_in", response.expires_in.map(Value::from)),
        ("expires_at", response.expires_at.map(Value::from)),
        ("refresh_token", response.refresh_token.as_ref().map(|token| json!(token.expose()))),
        ("scope", response.scope.as_ref().map(|scope| json!(scope.to_string()))),
    ];
    members.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let written = Value::Object(members).to_string();

    let answer = Answer::new(200, Some("application/json"), written.as_bytes());
    let mut again =
        TokenResponse::parse(&answer, &ParseOptions::default()).expect("what was read can be read");
    // A scope that is empty, or has characters that none may have, stays what it is.
    let of_the_scope = [Warning::ScopeEmpty, Warning::ScopeCharacters];
    assert!(again.warnings.iter().all(|warning| of_the_scope.contains(warning)), "{:?}", again.warnings);
    assert_eq!(TokenResponse::parse(&answer, &ParseOptions::strict()).is_ok(), again.warnings.is_empty());
    let extra = |response: &TokenResponse| -> Value {
        response.extra.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    };
    assert!(is_same(&extra(&again), &extra(response)), "{:?} became {:?}", extra(response), extra(&again));
    again.extra = response.extra.clone();
    again.warnings.clone_from(&response.warnings);
    assert_eq!(again, *response);
}

/// No lifetime makes the computation of the expiry overflow, wherever the clock stands.
fn has_an_expiry(response: TokenResponse) {
    let known = response.expires_in.is_some() || response.expires_at.is_some();
    for now in [0, 1_700_000_000, i64::MAX.unsigned_abs()] {
        let Some(now) = UNIX_EPOCH.checked_add(Duration::from_secs(now)) else { continue };
        let token = response.clone().into_token(now);
        assert_eq!(token.expires_at.is_some(), known);
        assert!(token.expires_at.is_none_or(|at| at <= i64::MAX.unsigned_abs()));
        // Whoever asks for more time in advance finds it expired no later.
        let expired = |early: u64| token.is_expired_at(now, Duration::from_secs(early));
        assert!(known || !expired(u64::MAX));
        assert!(!expired(30) || expired(31));
    }
}
