//! Properties that several targets share: texts that are fit to be shown, allocations in proportion to the input, JSON
//! that is the same but for the last bit of a fraction.

use std::fmt::{Debug, Display};

use jeton_models::is_deceptive;
use serde_json::Value;

/// More characters than any error text has, whatever a server says.
const LONGEST_TEXT: usize = 1_500;
/// What a parser may allocate for any input, in bytes over all of its allocations.
const FIXED_BYTES: usize = 64 << 10;
/// What it may allocate for each byte of the input. A [`Value`] takes some hundred bytes for the few that an object of
/// one member takes in JSON.
const BYTES_PER_BYTE: usize = 1 << 10;

/// Runs a parser; fails if what it allocates grows faster than its input.
pub(crate) fn in_proportion<T>(input: &[u8], parse: impl FnOnce() -> T) -> T {
    let mut result = None;
    let allocated = allocation_counter::measure(|| result = Some(parse())).bytes_total;
    let most = FIXED_BYTES + BYTES_PER_BYTE * input.len();
    assert!(allocated <= most as u64, "{allocated} bytes were allocated for {} bytes of input", input.len());
    result.expect("measured code has run")
}

/// Fails unless the text of that error can be shown on a terminal: bounded, without control characters and without those
/// that turn the direction of a text around.
pub(crate) fn is_fit_to_be_shown(error: &impl Display) {
    let text = error.to_string();
    assert!(!text.is_empty());
    assert!(!text.contains(is_deceptive), "deceptive characters in {text:?}");
    let characters = text.chars().count();
    assert!(characters <= LONGEST_TEXT, "a text of {characters} characters: {text}");
}

/// All that a program could print of a result.
pub(crate) fn printed<T: Debug, E: Debug + Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error} {error:?}"),
    }
}

/// Whether two JSON values are the same, but for the last bits of fractions and of numbers that no integer holds: the
/// record format promises no more, and `serde_json` reads them no more exactly.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * 1e-12
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}
