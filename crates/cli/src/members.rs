//! What a server says, an object of named values, as lines for people.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::output::STRONG;
use crate::printable::printable;
use crate::when;
use crate::wrap::wrapped;

/// Names that mean a time in Unix seconds (RFC 7519 §4.1, OpenID Connect Core §2 and §5.1).
const TIMES: [&str; 5] = ["auth_time", "exp", "iat", "nbf", "updated_at"];

/// A line for each member, the values below each other; times are told in words too.
pub(crate) fn lines(members: &Map<String, Value>, columns: usize, now: SystemTime) -> String {
    let names: Vec<String> = members.keys().map(|name| printable(name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().min(columns / 3);
    let mut text = String::new();
    for (name, (key, value)) in names.iter().zip(members) {
        let shown = printable(&text_of(key, value, now));
        let _ = writeln!(
            text,
            "{STRONG}{name:width$}{STRONG:#}  {}",
            wrapped(&shown, width.max(name.chars().count()) + 2, columns)
        );
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

fn text_of(name: &str, value: &Value, now: SystemTime) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if TIMES.contains(&name) => {
            let at = number.as_u64().and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
            match at {
                Some(at) => format!("{number} ({}, {})", when::utc(at), when::relative(at, now)),
                None => number.to_string(),
            }
        }
        Value::Array(several) if several.iter().all(Value::is_string) => {
            several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stand_below_each_other_and_cannot_play_tricks() {
        let members = json!({
            "sub": "alice\u{1b}[2J", "aud": ["a", "b"], "exp": 1_900_000_060, "address": { "locality": "\u{202e}Bern" },
        });
        let now = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let text = lines(members.as_object().unwrap(), 80, now);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "address  {\"locality\":\"\u{fffd}Bern\"}\n\
             aud      a, b\n\
             exp      1900000060 (2030-03-17 17:47:40 UTC, in 1 min)\n\
             sub      alice\u{fffd}[2J"
        );
    }
}
