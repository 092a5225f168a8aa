//! Scopes (RFC 6749 §3.3), those that a program names and those that a server sends.

use jeton_models::Scope;
use serde_json::Value;

use super::property::in_proportion;

/// Checks one input: two scopes, with a line feed between them.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (one, other) = text.split_once('\n').unwrap_or((&text, ""));
    let (one, other) = (of(one), of(other));

    let both = one.union(&other);
    assert_eq!(both, other.union(&one));
    assert!(one.is_subset(&both) && other.is_subset(&both) && both.is_subset(&both));
    assert_eq!(both.len() == one.len(), other.is_subset(&one));
    assert_eq!(one == other, one.is_subset(&other) && other.is_subset(&one));
    assert_eq!(one == other, one.canonical() == other.canonical());
}

fn of(text: &str) -> Scope {
    // As a server sends it: nothing is refused.
    let sent: Scope = serde_json::from_value(Value::from(text)).expect("any text is a scope of a server");
    let names: Vec<&str> = sent.iter().collect();
    assert_eq!(sent.len(), names.len());
    assert_eq!(sent.is_empty(), text.trim_ascii().is_empty());
    for (at, name) in names.iter().enumerate() {
        assert!(!name.is_empty() && !name.contains(|c: char| c.is_ascii_whitespace()), "{name:?}");
        assert!(!names[..at].contains(name) && sent.contains(name), "{name:?} stands twice");
    }
    let again: Scope = serde_json::from_value(Value::from(sent.to_string())).expect("a scope is a text");
    assert_eq!(again.iter().collect::<Vec<_>>(), names);

    // As a program names it: what the RFC allows, and that the same way.
    match in_proportion(text.as_bytes(), || text.parse::<Scope>()) {
        Ok(named) => {
            assert!(named.iter().all(|name| name.bytes().all(|byte| (0x21..0x7f).contains(&byte))));
            assert!(!named.to_string().contains(['"', '\\']));
            assert_eq!(named.iter().collect::<Vec<_>>(), names);
            assert_eq!(named.to_string().parse::<Scope>().as_ref(), Ok(&named));
            assert_eq!(
                named.canonical().parse::<Scope>().map(|scope| scope.canonical()),
                Ok(named.canonical())
            );
        }
        Err(error) => {
            assert!(
                names.contains(&error.name.as_str()),
                "{:?} is refused and does not stand there",
                error.name
            );
            assert!(!error.to_string().contains(char::is_control));
        }
    }
    sent
}
